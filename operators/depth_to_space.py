"""
DEPTH_TO_SPACE and SPACE_TO_DEPTH: blocks of rows and columns out of channels, and back.
"""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, shape_of
from npuc.operators.support.record import NO_KERNEL, ElementName, Operator


@irdl_op_definition
class DepthToSpaceOp(tfl.TflOp):
    """The channels of each pixel, in groups, as the pixels of a block."""

    name = "tfl.depth_to_space"

    input = operand_def(TensorType)
    output = result_def(TensorType)
    block_size = prop_def(IntegerAttr)
    traits = traits_def(Pure())


@irdl_op_definition
class SpaceToDepthOp(tfl.TflOp):
    """The pixels of each block side by side, as the channels of one."""

    name = "tfl.space_to_depth"

    input = operand_def(TensorType)
    output = result_def(TensorType)
    block_size = prop_def(IntegerAttr)
    traits = traits_def(Pure())


def check_depth_to_space(op: DepthToSpaceOp) -> None:
    _check(op, op.input, op.output)


def check_space_to_depth(op: SpaceToDepthOp) -> None:
    _check(op, op.output, op.input)


def _check(op: DepthToSpaceOp | SpaceToDepthOp, deep: SSAValue, wide: SSAValue) -> None:
    """`deep` has the blocks as channels, `wide` as rows and columns."""
    rules.same_elements(op, op.input, op.output)
    block = op.block_size.value.data
    rules.require(block >= 1, "the size of a block must be at least 1", op.input)
    rules.require(len(rules.shape(op.input)) == 4, "the input must have 4 dimensions", op.input)
    rules.require(len(rules.shape(op.output)) == 4, "the result must have 4 dimensions", op.output)
    batch, height, width, depth = rules.shape(wide)
    whole = height % block == width % block == 0
    shape = (batch, height // block, width // block, depth * block * block)
    rules.require(whole and rules.shape(deep) == shape, "blocks must fill the map", op.output)


def convert_depth_to_space(build: Builder, op: DepthToSpaceOp) -> list[SSAValue]:
    block = op.block_size.value.data
    batch, height, width, _ = shape_of(op.input)
    depth = shape_of(op.output)[3]
    seen = build.reshape(build.storage(op.input), (batch * height, width, block, block * depth))
    return [build.reshape(moving.transpose(build, seen, (0, 2, 1, 3)), shape_of(op.output))]


def convert_space_to_depth(build: Builder, op: SpaceToDepthOp) -> list[SSAValue]:
    block = op.block_size.value.data
    batch, height, width, _ = shape_of(op.output)
    depth = shape_of(op.input)[3]
    seen = build.reshape(build.storage(op.input), (batch * height, block, width, block * depth))
    return [build.reshape(moving.transpose(build, seen, (0, 2, 1, 3)), shape_of(op.output))]


TYPES: tuple[ElementName, ...] = ("int8", "uint8", "int32")
"""LiteRT has no kernels for 16 bits."""

OPERATORS = (
    Operator(
        op=DepthToSpaceOp,
        kernels="a copy for each row of a block",
        check=check_depth_to_space,
        convert=convert_depth_to_space,
        types=TYPES,
        others=NO_KERNEL,
        plain=True,
        batches=True,
    ),
    Operator(
        op=SpaceToDepthOp,
        kernels="a copy for each row of a block",
        check=check_space_to_depth,
        convert=convert_space_to_depth,
        types=TYPES,
        others=NO_KERNEL,
        plain=True,
        batches=True,
    ),
)
