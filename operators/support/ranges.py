"""
Which integers a tensor can hold, by what makes it: where sums and products of 32 bits stay within them, the NPU, which
saturates, and LiteRT, which wraps, agree.
"""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerType, Signedness, TensorType
from xdsl.ir import Operation, SSAValue

from npuc.dialects import tfl
from npuc.dialects.quant import machine_tensor
from npuc.operators.support import rules

Range = tuple[int, int]
"""Least and greatest."""

_MOVING = frozenset(
    """
    CONCATENATION EXPAND_DIMS GATHER PACK RESHAPE REVERSE_V2 SLICE SPLIT SPLIT_V SQUEEZE STRIDED_SLICE TILE TRANSPOSE
    UNPACK
    """.split()
)
"""Operators whose results have elements of their data operands, and no others."""
_OF_SEVERAL = frozenset(("CONCATENATION", "PACK"))
"""Those of which all operands are data; the others have one such operand, SPLIT behind its axis."""
_DEEPEST = 32
"""So many operators before a value are looked at."""


def held_type(value: SSAValue) -> IntegerType:
    """The type of the integers that the NPU holds of a tensor."""
    type_ = machine_tensor(value.type)
    assert isinstance(type_, TensorType)
    assert isinstance(type_.element_type, IntegerType)
    return type_.element_type


def type_range(type_: IntegerType) -> Range:
    """All that a type holds; a truth value is 0 or 1."""
    if type_.bitwidth == 1:
        return 0, 1
    if type_.signedness.data == Signedness.UNSIGNED:
        return 0, (1 << type_.bitwidth) - 1
    return -(1 << type_.bitwidth - 1), (1 << type_.bitwidth - 1) - 1


def range_of(value: SSAValue) -> Range:
    """Least and greatest of the integers that a tensor of integers can hold, whatever its quantisation says."""
    return _range(value, {}, _DEEPEST)


def arithmetic(op: tfl.TflOp, lhs: Range, rhs: Range) -> Range:
    """What ADD, SUB or MUL makes of integers that do not overflow."""
    name = rules.operator_name(op)
    if name == "ADD":
        return lhs[0] + rhs[0], lhs[1] + rhs[1]
    if name == "SUB":
        return lhs[0] - rhs[1], lhs[1] - rhs[0]
    assert name == "MUL"
    products = [a * b for a in lhs for b in rhs]
    return min(products), max(products)


def is_of_32_bits(op: tfl.BinaryOp) -> bool:
    """Whether the result is of int32, which TFLite takes for plain integers."""
    return held_type(op.output).bitwidth == 32


def check_arithmetic(op: tfl.BinaryOp) -> None:
    """ADD, SUB or MUL of plain integers: of int32, without an activation, and never beyond its ends."""
    for value in (op.lhs, op.rhs):
        rules.require(held_type(value).bitwidth == 32, "operands must be of the result's type", value)
    activation = getattr(op, "fused_activation_function", tfl.NO_ACTIVATION)
    rules.require(activation == tfl.NO_ACTIVATION, "plain integers must have no activation", op.output)
    rules.require_shape(op.output, rules.broadcast_shape(rules.shape(op.lhs), rules.shape(op.rhs), op.output))
    least, greatest = arithmetic(op, range_of(op.lhs), range_of(op.rhs))
    fits = -(1 << 31) <= least and greatest < 1 << 31
    rules.require(fits, "results of plain integers must be known to fit 32 bits, as LiteRT wraps", op.output)


def _range(value: SSAValue, known: dict[SSAValue, Range], deepest: int) -> Range:
    if value not in known:
        stated = value.type.element_type if isinstance(value.type, TensorType) else None
        whole = type_range(stated if isinstance(stated, IntegerType) else held_type(value))
        made = _made(value, known, deepest - 1) if deepest else None
        # What leaves the type wraps.
        known[value] = made if made is not None and whole[0] <= made[0] and made[1] <= whole[1] else whole
    return known[value]


def _made(value: SSAValue, known: dict[SSAValue, Range], deepest: int) -> Range | None:
    """What an operator makes before it is stored; None if nothing is known of that."""
    op = value.owner
    array = tfl.constant_array(value)
    if array is not None:
        return (int(array.min()), int(array.max())) if array.size else (0, 0)
    if not isinstance(op, Operation) or not tfl.is_operator(op):
        return None
    name = rules.operator_name(op)
    if name in ("ARG_MAX", "ARG_MIN"):
        return 0, max(rules.shape(op.operands[0]), default=1) - 1
    if name == "CAST":
        return None if rules.is_float(op.operands[0]) else _range(op.operands[0], known, deepest)
    if name in ("ADD", "SUB", "MUL") and held_type(value).bitwidth == 32:
        activation = getattr(op, "fused_activation_function", tfl.NO_ACTIVATION)
        if activation != tfl.NO_ACTIVATION or not all(map(_is_integer, op.operands)):
            return None
        lhs, rhs = (_range(operand, known, deepest) for operand in op.operands)
        return arithmetic(op, lhs, rhs)
    if name in _MOVING:
        data = op.operands if name in _OF_SEVERAL else op.operands[1:2] if name == "SPLIT" else op.operands[:1]
        if not all(_is_like(one, value) for one in data):
            return None  # Some of them may be rescaled.
        parts = [_range(one, known, deepest) for one in data]
        return min(low for low, _ in parts), max(high for _, high in parts)
    return None


def _is_integer(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and not rules.is_float(value)


def _is_like(one: SSAValue, other: SSAValue) -> bool:
    """Whether two tensors have elements of one type."""
    types = one.type, other.type
    if not isinstance(types[0], TensorType) or not isinstance(types[1], TensorType):
        return False
    return types[0].element_type == types[1].element_type
