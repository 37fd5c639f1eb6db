"""
TILE and BROADCAST_TO: a tensor several times along its axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, broadcast, constant_integers, shape_of, storage_type
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
else:
    (tosa,) = deferred("npuc.dialects.tosa")


@irdl_op_definition
class TileOp(tfl.TflOp):
    """Each axis `multiples` times, 1-D with one integer an axis."""

    name = "tfl.tile"

    input = operand_def(TensorType)
    multiples = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


@irdl_op_definition
class BroadcastToOp(tfl.TflOp):
    """Axes of one element as large as the constant `shape` says, which may have more axes in front."""

    name = "tfl.broadcast_to"

    input = operand_def(TensorType)
    shape = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


def check_tile(op: TileOp) -> None:
    multiples = rules.integers(op.multiples, "the multiples must be constant")
    rules.same_elements(op, op.input, op.output)
    shape = rules.shape(op.input)
    rules.require(len(multiples) == len(shape), "there must be a multiple for each dimension", op.multiples)
    rules.require_shape(op.output, [size * count for size, count in zip(shape, multiples, strict=True)])


def check_broadcast_to(op: BroadcastToOp) -> None:
    target = rules.integers(op.shape, "the new shape must be constant")
    rules.same_elements(op, op.input, op.output)
    shape = rules.shape(op.input)
    rules.require(len(shape) <= len(target), "BROADCAST_TO must not drop dimensions", op.input)
    padded = (*(1,) * (len(target) - len(shape)), *shape)
    same = all(size in (1, wanted) for size, wanted in zip(padded, target, strict=True))
    rules.require(same, "dimensions must be 1, or stay as they are", op.input)
    rules.require_shape(op.output, target)


def convert_tile(build: Builder, op: TileOp) -> list[SSAValue]:
    multiples = constant_integers(op.multiples, "the multiples of a tile")
    return [_tiled(build, op, build.storage(op.input), multiples)]


def convert_broadcast_to(build: Builder, op: BroadcastToOp) -> list[SSAValue]:
    target = shape_of(op.output)
    value = broadcast(build, build.storage(op.input), len(target))
    multiples = [wanted // size for size, wanted in zip(shape_of(value), target, strict=True)]
    return [_tiled(build, op, value, multiples)]


def _tiled(build: Builder, op: TileOp | BroadcastToOp, value: SSAValue, multiples: Sequence[int]) -> SSAValue:
    if all(count == 1 for count in multiples):
        return value
    operands = [value, build.shape(multiples)]
    return build.insert(tosa.TileOp.build(operands=operands, result_types=[storage_type(op.output)]))


OPERATORS = (
    Operator(
        op=TileOp,
        kernels="copies, about the logarithm of the multiple of each axis",
        check=check_tile,
        convert=convert_tile,
        arguments=("multiples",),
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        host_cycles=1.0,
        batches=True,
    ),
    Operator(
        op=BroadcastToOp,
        kernels="as TILE",
        check=check_broadcast_to,
        convert=convert_broadcast_to,
        arguments=("shape",),
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        host_cycles=1.0,
        batches=True,
    ),
)
