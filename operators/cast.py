"""
CAST of stored integers and truth values: to a type of more bits a copy, between types of 8 bits a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import IntegerType, StringAttr, TensorType, i1
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, prop_def

from npuc.dialects import tfl
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.quant import machine_tensor
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, shape_of
from npuc.operators.support.deferred import deferred
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
    rules.require(source.bitwidth < 32, "CAST must be from 8 or 16 bits", op.input)
    narrows = target.bitwidth < source.bitwidth
    rules.require(not narrows, "CAST must not be to fewer bits: the NPU saturates, LiteRT cuts off", op.output)


def held_type(value: SSAValue) -> IntegerType:
    """The type of the integers that the NPU holds of a tensor."""
    type_ = machine_tensor(value.type)
    assert isinstance(type_, TensorType)
    assert isinstance(type_.element_type, IntegerType)
    return type_.element_type


def convert(build: Builder, op: CastOp) -> list[SSAValue]:
    """CAST: see the docstring of this file."""
    source, target = held_type(op.input), held_type(op.output)
    value = build.storage(op.input)
    if target.bitwidth > source.bitwidth:
        return [build.rescale(value, target, fixed_point.UNIT)]
    to_truth = op.output.type.element_type == i1
    if source == target and not to_truth:
        return [value]
    least, greatest = tosa.value_range(source)
    every = np.arange(least, greatest + 1)
    entries = (every != 0 if to_truth else every).astype(numpy_dtype(target))
    return [build.insert(tosa.TableOp(value, build.array(entries, target), TensorType(target, list(shape_of(value)))))]


OPERATORS = (
    Operator(
        op=CastOp,
        kernels="a copy, with a table between types of 8 bits; DEPTHWISE to 32 bits; none to the same bits",
        check=check,
        convert=convert,
        types=("int8", "uint8", "int16", "int32", "bool"),
        plain=True,
        rank=6,
        batches=True,
    ),
)
