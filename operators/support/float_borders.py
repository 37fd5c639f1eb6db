"""
Float borders: where a network that computes with integers takes or gives floats.

A border of an input is a QUANTIZE of it, if nothing else reads the input and all its readers make the same type. A
border of an output is a DEQUANTIZE that only the caller reads.
"""

from __future__ import annotations

from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, Operation, SSAValue

from npuc.dialects.tfl import TflOp
from npuc.operators.support.rules import is_float, operator_name


def input_borders(argument: SSAValue) -> list[Operation]:
    """The QUANTIZEs that are the border of an input of the network; none if it has no such border."""
    readers = [use.operation for use in argument.uses]
    if not readers or not is_float(argument) or not all(_is(op, "QUANTIZE") for op in readers):
        return []
    types = {op.results[0].type for op in readers}
    returned = any(isinstance(use.operation, ReturnOp) for op in readers for use in op.results[0].uses)
    return readers if len(types) == 1 and not returned else []


def output_border(value: SSAValue) -> TflOp | None:
    """The DEQUANTIZE that makes a result of the network and nothing else; None if there is none."""
    op = value.owner
    if not isinstance(op, TflOp) or not _is(op, "DEQUANTIZE") or is_float(op.operands[0]):
        return None
    source = op.operands[0].owner
    # A runtime would not fill in a result that is an input or a constant.
    made = isinstance(source, TflOp) and bool(source.operands)
    return op if made and all(isinstance(use.operation, ReturnOp) for use in value.uses) else None


def borders(block: Block) -> set[Operation]:
    """The float borders of a network, by the block of its main function."""
    operators = {op for argument in block.args for op in input_borders(argument)}
    end = block.last_op
    if isinstance(end, ReturnOp):
        operators |= {op for value in end.operands if (op := output_border(value)) is not None}
    return operators


def _is(op: Operation, name: str) -> bool:
    return isinstance(op, TflOp) and operator_name(op) == name
