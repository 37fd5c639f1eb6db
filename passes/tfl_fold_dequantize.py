"""
`tfl-fold-dequantize`: QUANTIZE of what DEQUANTIZE makes of integers becomes one operator on integers.

Assumes a `tfl` module, and works on its main function. Converters leave such pairs where a part of a network was
quantised by itself, or where the scales of two parts differ:

    %1 = tfl.builtin %0 {operator = "DEQUANTIZE"}
    %2 = tfl.quantize %1                                ->      %2 = tfl.quantize %0

The results are those of the pair, for each value that there is: all are tried, with LiteRT's float arithmetic. Where
QUANTIZE between integers rounds some of them otherwise, the new operator is marked `npu.through_float` if it is from 8
bits to 8 bits, and becomes a table; others stay as they are. So do those of which LiteRT may make anything, beyond 32
bits, and what the NPU would refuse. A DEQUANTIZE that something else reads stays as well.

Decides nothing else. `tfl-remove-identities` drops the pairs that change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.dialects import tfl
from npuc.dialects.npu import host_functions
from npuc.dialects.quant import quantization
from npuc.operators import quantize
from npuc.operators.quantize import THROUGH_FLOAT, QuantizeOp
from npuc.operators.support.deferred import deferred
from npuc.operators.support.legality import cpu_reason
from npuc.operators.support.rules import operator_name

if TYPE_CHECKING:
    import numpy as np
else:
    (np,) = deferred("numpy")


@dataclass(frozen=True)
class TflFoldDequantizePass(ModulePass):
    """QUANTIZE of what DEQUANTIZE makes becomes one operator on integers."""

    name = "tfl-fold-dequantize"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        # Elsewhere the NPU takes nothing.
        for inner in [inner for function in host_functions(op)[:1] for inner in function.body.block.ops]:
            if isinstance(inner, QuantizeOp) and tfl.CPU_REASON not in inner.attributes:
                source = _dequantized(inner.input)
                if source is not None:
                    _fold(inner, source)


def _dequantized(value: SSAValue) -> SSAValue | None:
    """What a DEQUANTIZE makes floats of; None if the value is made otherwise."""
    op = value.owner
    if not isinstance(op, tfl.TflOp) or operator_name(op) != "DEQUANTIZE" or tfl.CPU_REASON in op.attributes:
        return None
    return op.operands[0]


def _fold(op: QuantizeOp, source: SSAValue) -> None:
    """Lets `op` read `source`, if the NPU takes what that makes, and it is exact."""
    floats = op.input
    before, after = quantization(source), quantization(op.output)
    if before is None or after is None or before.is_per_axis or after.is_per_axis or before.data.storage_width > 16:
        return
    values = quantize.through_float(before, after)
    if values is None:
        return
    op.operands[0] = source
    if cpu_reason(op) is None and np.array_equal(quantize.rescaled(before, after), values):
        _erase_unread(floats)
        return
    op.attributes[THROUGH_FLOAT] = UnitAttr()
    if cpu_reason(op) is None:
        _erase_unread(floats)
        return
    del op.attributes[THROUGH_FLOAT]
    op.operands[0] = floats


def _erase_unread(value: SSAValue) -> None:
    if not value.uses and isinstance(value.owner, Operation):
        Rewriter.erase_op(value.owner)
