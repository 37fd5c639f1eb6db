"""
`tfl-drop-float-borders`: inputs and results that are quantised or dequantised at once become integers.

Assumes a `tfl` module. Where all that reads a float input of the main function is QUANTIZE to one type, the input takes
that type, and keeps its name; where a result is what DEQUANTIZE makes of a tensor, that tensor is the result:

    func @main(%x: tensor<4xf32>) -> tensor<4xf32> {        func @main(%0: tensor<4x!quant...>) -> tensor<4x!quant...> {
      %0 = tfl.quantize %x                                    %1 = tfl.relu %0
      %1 = tfl.relu %0                                 ->     return %1
      %2 = tfl.builtin %1 {operator = "DEQUANTIZE"}
      return %2

Who runs the file then quantises and dequantises, by the scales in its types. Leaves other floats alone.

It is not among the usual passes: `npu-compile --integer-io` asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import BlockArgument
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.dialects.npu import host_functions
from npuc.operators.support.float_borders import input_borders, output_border


@dataclass(frozen=True)
class TflDropFloatBordersPass(ModulePass):
    """Inputs and results that are quantised or dequantised at once become integers."""

    name = "tfl-drop-float-borders"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = host_functions(op)
        if not functions:
            return
        main = functions[0]
        for argument in list(main.body.block.args):
            quantizes = input_borders(argument)
            if quantizes:
                value = Rewriter.replace_value_with_new_type(argument, quantizes[0].results[0].type)
                assert isinstance(value, BlockArgument)
                value.location = argument.location
                for quantize in quantizes:
                    quantize.results[0].replace_all_uses_with(value)
                    Rewriter.erase_op(quantize)
        end = main.body.block.last_op
        assert isinstance(end, ReturnOp)
        for index, value in enumerate(list(end.operands)):
            dequantize = output_border(value)
            if dequantize is not None:
                end.operands[index] = dequantize.operands[0]
                if not value.uses:
                    Rewriter.erase_op(dequantize)
        main.update_function_type()
