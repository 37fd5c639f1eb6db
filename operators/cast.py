"""
CAST of stored integers and truth values: to a type of more bits a copy, between types of 8 bits a table. LiteRT cuts
off to fewer bits, where the NPU saturates: two kernels from 16 bits, and from 32 only values that fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import Signedness, StringAttr, TensorType, i1, i16
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, prop_def

from npuc.dialects import tfl
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.npu import Activation
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import IDENTITY
from npuc.operators.support.quantized import QuantizedEmitter
from npuc.operators.support.ranges import held_type, range_of, type_range
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import tosa
    from npuc.operators.support import fixed_point
else:
    np, tosa, fixed_point = deferred("numpy", "npuc.dialects.tosa", "npuc.operators.support.fixed_point")


@irdl_op_definition
class CastOp(tfl.UnaryOp):
    """To the result's type. LiteRT goes by the types of the tensors; the options only repeat them."""

    name = "tfl.cast"

    in_data_type = prop_def(StringAttr, StringAttr("FLOAT32"))
    out_data_type = prop_def(StringAttr, StringAttr("FLOAT32"))


def check(op: CastOp) -> None:
    rules.require_shape(op.output, rules.shape(op.input))
    source, target = held_type(op.input), held_type(op.output)
    if source.bitwidth < 32 or (source == target and not _is_truth(op)):
        return
    (least, greatest), (low, high) = range_of(op.input), target_range(op)
    fits = low <= least and greatest <= high
    rules.require(fits, f"CAST from 32 bits must be of values from {low} to {high}, as LiteRT cuts off", op.input)


def target_range(op: CastOp) -> tuple[int, int]:
    """Values that the result can have."""
    return type_range(i1 if _is_truth(op) else held_type(op.output))


def _is_truth(op: CastOp) -> bool:
    return op.output.type.element_type == i1


def _cuts_off(op: CastOp) -> bool:
    """Whether it is from 16 bits to 8, and values that the result cannot have may occur."""
    if held_type(op.input).bitwidth != 16 or held_type(op.output).bitwidth != 8:
        return False
    (least, greatest), (low, high) = range_of(op.input), target_range(op)
    return least < low or greatest > high


def convert(build: Builder, op: CastOp) -> list[SSAValue]:
    """CAST: see the docstring of this file."""
    source, target = held_type(op.input), held_type(op.output)
    value = build.storage(op.input)
    if target.bitwidth != source.bitwidth:
        return [build.rescale(value, target, fixed_point.UNIT)]
    if source == target and not _is_truth(op):
        return [value]
    least, greatest = tosa.value_range(source)
    every = np.arange(least, greatest + 1)
    entries = (every != 0 if _is_truth(op) else every).astype(numpy_dtype(target))
    return [build.insert(tosa.TableOp(value, build.array(entries, target), TensorType(target, list(shape_of(value)))))]


def lower(op: CastOp, emit: QuantizedEmitter) -> None:
    """
    Replace a CAST of 16 bits to 8: the lower 8 bits by a table, whose segments are 128 values long and begin at one of
    two values, or, for truth, the least of the size and 1. Then a copy.
    """
    x, target = emit.feature_map(emit.storage(op.input)), held_type(op.output)
    type_ = TensorType(i16, list(shape_of(x)))
    if _is_truth(op):
        low = emit.elementwise("abs", x, None, type_, scale=IDENTITY, activation=Activation(0, 1))
    else:
        starts = np.arange(512, dtype=np.int64) % 2 * (128 if target.signedness.data == Signedness.UNSIGNED else -128)
        words = (np.int64(128) << 16 | starts & 0xFFFF).astype(np.uint32).view(np.int32)
        low = emit.look_up(x, emit.constant(words), i16)
    emit.replace([emit.pool("average", low, TensorType(target, list(shape_of(x))), scale=IDENTITY)])


OPERATORS = (
    Operator(
        op=CastOp,
        kernels="a copy, with a table between types of 8 bits; two from 16 to 8; DEPTHWISE to 32, MUL from them",
        check=check,
        convert=convert,
        lower=lower,
        directly=_cuts_off,
        types=("int8", "uint8", "int16", "int32", "bool"),
        plain=True,
        rank=6,
        batches=True,
    ),
)
