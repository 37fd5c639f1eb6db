"""
SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: every n-th row and column as an image of its own, and back.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.dialects.quant import quantization
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, constant_integers, shape_of, tensor_type
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
else:
    (tosa,) = deferred("npuc.dialects.tosa")


@irdl_op_definition
class SpaceToBatchNdOp(tfl.TflOp):
    """The input with `paddings` around its spatial axes; every `block_shape`-th row and column is an image."""

    name = "tfl.space_to_batch_nd"

    input = operand_def(TensorType)
    block_shape = operand_def(TensorType)
    paddings = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


@irdl_op_definition
class BatchToSpaceNdOp(tfl.TflOp):
    """Images as every `block_shape`-th row and column of a larger one, less `crops` around its spatial axes."""

    name = "tfl.batch_to_space_nd"

    input = operand_def(TensorType)
    block_shape = operand_def(TensorType)
    crops = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


def check_space_to_batch(op: SpaceToBatchNdOp) -> None:
    blocks, around = _constants(op, op.paddings)
    batch, *spatial, depth = rules.shape(op.input)
    padded = [before + size + after for size, (before, after) in zip(spatial, around, strict=True)]
    whole = all(size % block == 0 for size, block in zip(padded, blocks, strict=True))
    rules.require(whole, "blocks must fill the padded input", op.input)
    sizes = [size // block for size, block in zip(padded, blocks, strict=True)]
    rules.require_shape(op.output, (batch * prod(blocks), *sizes, depth))


def check_batch_to_space(op: BatchToSpaceNdOp) -> None:
    blocks, around = _constants(op, op.crops)
    batch, *spatial, depth = rules.shape(op.input)
    rules.require(batch % prod(blocks) == 0, "blocks must divide the batch", op.input)
    sizes = [
        size * block - before - after for size, block, (before, after) in zip(spatial, blocks, around, strict=True)
    ]
    rules.require_shape(op.output, (batch // prod(blocks), *sizes, depth))


def _constants(op: SpaceToBatchNdOp | BatchToSpaceNdOp, amounts: SSAValue) -> tuple[list[int], list[tuple[int, int]]]:
    """The block's sizes and the amounts before and after each spatial axis."""
    blocks = rules.integers(op.block_shape, "the size of a block must be constant")
    flat = rules.integers(amounts, "paddings and crops must be constant")
    rules.same_quantization(op, [op.input], op.output)
    rank = len(rules.shape(op.input))
    rules.require(rank in (3, 4), "the input must have 3 or 4 dimensions", op.input)
    agrees = len(blocks) == rank - 2 and len(flat) == 2 * len(blocks)
    rules.require(agrees, "there must be a block size and two amounts for each spatial dimension", op.block_shape)
    rules.require(min(blocks) >= 1, "the size of a block must be at least 1", op.block_shape)
    rules.require(min(flat) >= 0, "paddings and crops must not be negative", amounts)
    return blocks, list(zip(flat[::2], flat[1::2], strict=True))


def convert_space_to_batch(build: Builder, op: SpaceToBatchNdOp) -> list[SSAValue]:
    blocks = constant_integers(op.block_shape, "the size of a block")
    counts = [0, 0, *constant_integers(op.paddings, "the padding"), 0, 0]
    value = build.storage(op.input)
    if any(counts):
        type_ = quantization(op.input)
        element_type = tensor_type(value).element_type
        shape = [size + sum(counts[2 * axis : 2 * axis + 2]) for axis, size in enumerate(shape_of(value))]
        fill = build.number(0 if type_ is None else type_.zero_point, element_type)
        value = build.insert(tosa.PadOp(value, build.shape(counts), fill, TensorType(element_type, shape)))
    batch, *spatial, depth = shape_of(value)
    seen = [batch]
    for size, block in zip(spatial, blocks, strict=True):
        seen += [size // block, block]
    within, across = range(2, len(seen), 2), range(1, len(seen), 2)
    order = [*within, 0, *across, len(seen)]
    split = build.reshape(value, (*seen, depth))
    return [build.reshape(moving.transpose(build, split, order), shape_of(op.output))]


def convert_batch_to_space(build: Builder, op: BatchToSpaceNdOp) -> list[SSAValue]:
    blocks = constant_integers(op.block_shape, "the size of a block")
    crops = constant_integers(op.crops, "the crops")
    batch, *spatial, depth = shape_of(op.input)
    count = len(blocks)
    split = build.reshape(build.storage(op.input), (*blocks, batch // prod(blocks), *spatial, depth))
    order = [count, *(axis for at in range(count) for axis in (count + 1 + at, at)), 2 * count + 1]
    whole = [size * block for size, block in zip(spatial, blocks, strict=True)]
    merged = build.reshape(moving.transpose(build, split, order), (batch // prod(blocks), *whole, depth))
    return [build.slice(merged, [0, *crops[::2], 0], shape_of(op.output))]


OPERATORS = (
    Operator(
        op=SpaceToBatchNdOp,
        kernels="copies of rows and columns; those of a padding",
        check=check_space_to_batch,
        convert=convert_space_to_batch,
        arguments=("block_shape", "paddings"),
        types=moving.TYPES,
        plain=True,
        batches=True,
    ),
    Operator(
        op=BatchToSpaceNdOp,
        kernels="copies of rows and columns",
        check=check_batch_to_space,
        convert=convert_batch_to_space,
        arguments=("block_shape", "crops"),
        types=moving.TYPES,
        plain=True,
        batches=True,
    ),
)
