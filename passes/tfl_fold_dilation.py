"""
`tfl-fold-dilation`: a convolution between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND becomes a dilated one.

That is how frameworks wrote a dilated convolution before their formats could say it: every n-th row and column is an
image of its own, which an ordinary convolution reads. A one-dimensional one has a dimension of 1 put in for it between.

Assumes nothing. Decides for each convolution by itself: where only these three (and the reshapes between) read each
other, strides are 1 and block, paddings and crops constant, the three become a pad and a convolution whose dilation is
the block's; crops take from the padding first, and the rest of them is a slice. `tosa-fold-pad` takes in the pad.
Leaves what is to stay on the CPU or the NPU would refuse, and what would cost more than `MOST_TAPS` times as much,
because the machine has dilations of 1 and 2 and computes others with zeros between the weights. Leaving it out changes
no result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, StringAttr, TensorType, i32
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.dialects import tfl
from npuc.dialects.constants import from_numpy
from npuc.dialects.locations import fused, renamed
from npuc.operators.conv_2d import Conv2DOp
from npuc.operators.depthwise_conv_2d import DepthwiseConv2DOp
from npuc.operators.pad import PadOp
from npuc.operators.reshape import ExpandDimsOp, ReshapeOp, SqueezeOp
from npuc.operators.slice import SliceOp
from npuc.operators.space_to_batch_nd import BatchToSpaceNdOp, SpaceToBatchNdOp
from npuc.operators.support import rules
from npuc.operators.support.deferred import deferred
from npuc.operators.support.legality import cpu_reason

if TYPE_CHECKING:
    import numpy as np
else:
    (np,) = deferred("numpy")

MOST_TAPS = 4
"""So many times as many weights, with zeros between, still cost less than the images and their copies."""
Convolution = Conv2DOp | DepthwiseConv2DOp
Reshape = ReshapeOp | ExpandDimsOp | SqueezeOp


@dataclass(frozen=True)
class TflFoldDilationPass(ModulePass):
    """Convolutions of every n-th row and column become dilated ones."""

    name = "tfl-fold-dilation"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for last in [one for one in op.walk() if isinstance(one, BatchToSpaceNdOp)]:
            pattern = _pattern(last)
            if pattern is not None:
                _fold(pattern)


class Pattern(NamedTuple):
    """The operations of one dilated convolution."""

    first: SpaceToBatchNdOp
    convolution: Convolution
    last: BatchToSpaceNdOp
    between: list[Operation]
    """All that goes, readers before what they read."""


def _pattern(last: BatchToSpaceNdOp) -> Pattern | None:
    """The convolution that ends with `last`, if it is one that can be folded."""
    between: list[Operation] = [last]
    value = last.input
    while isinstance(value.owner, Reshape | Convolution) and value.has_one_use():
        between.append(value.owner)
        value = value.owner.input
    first = value.owner
    convolutions = [op for op in between if isinstance(op, Convolution)]
    if not isinstance(first, SpaceToBatchNdOp) or not value.has_one_use() or len(convolutions) != 1:
        return None
    (convolution,) = convolutions
    if rules.strides(convolution) != (1, 1) or any(cpu_reason(op) is not None for op in (first, last)):
        return None
    if any(tfl.CPU_REASON in op.attributes for op in (*between, first)):
        return None
    blocks = (first.block_shape, last.block_shape)
    if tfl.constant_value(blocks[0]) != tfl.constant_value(blocks[1]):
        return None
    return Pattern(first, convolution, last, [*between, first])


class _Axis(NamedTuple):
    """One spatial axis of the map as the convolution sees it."""

    size: int
    block: int
    padding: tuple[int, int]
    crop: tuple[int, int]


def _axes(pattern: Pattern) -> list[_Axis] | None:
    """Height and width; None if what is between does not put a dimension of 1 beside the one that is spatial."""
    first, convolution, last, _ = pattern
    _, *sizes, depth = rules.shape(first.input)
    constants = (first.block_shape, first.paddings, last.crops)
    blocks, paddings, crops = (rules.integers(value, "the pattern is constant") for value in constants)
    axes = [
        _Axis(size, block, (paddings[2 * at], paddings[2 * at + 1]), (crops[2 * at], crops[2 * at + 1]))
        for at, (size, block) in enumerate(zip(sizes, blocks, strict=True))
    ]
    images, (*_, after) = rules.shape(first.output)[0], rules.shape(last.input)
    read, made = rules.shape(convolution.input), rules.shape(convolution.output)
    if len(read) != 4 or len(made) != 4 or (read[0], read[3]) != (images, depth) or made[3] != after:
        return None
    if len(axes) == 2:
        same = read == rules.shape(first.output) and made == rules.shape(last.input)
        return axes if same else None
    (axis,) = axes
    length, result = rules.shape(first.output)[1], rules.shape(last.input)[1]
    beside = _Axis(1, 1, (0, 0), (0, 0))
    if read[1:3] == (1, length) and made[1:3] == (1, result):
        return [beside, axis]
    if read[1:3] == (length, 1) and made[1:3] == (result, 1):
        return [axis, beside]
    return None


class _Sizes(NamedTuple):
    """One axis of the dilated convolution."""

    before: int
    padding: tuple[int, int]
    result: int
    cut: int
    """Rows of the result that go at its beginning."""
    after: int
    dilation: int
    taps: float
    """Weights along the axis, with zeros between, for each that is none."""


def _sizes(axis: _Axis, rows: int, dilation: int, padding: str) -> _Sizes:
    """An axis along which the kernel has so many rows, `dilation` apart in each image."""
    reach = (rows - 1) * dilation
    same = (reach // 2, reach - reach // 2) if padding == "SAME" else (0, 0)
    whole = [around + axis.block * more for around, more in zip(axis.padding, same, strict=True)]
    # Rows that are cropped need not be computed where they come of the padding.
    pads = (max(whole[0] - axis.crop[0], 0), max(whole[1] - axis.crop[1], 0))
    cuts = [crop - (around - pad) for around, pad, crop in zip(whole, pads, axis.crop, strict=True)]
    result = axis.size + sum(pads) - reach * axis.block
    apart = dilation * axis.block
    spread = (rows - 1) * (apart // 2 if apart % 2 == 0 else apart) + 1
    return _Sizes(axis.size, pads, result, cuts[0], result - sum(cuts), apart, spread / rows)


class _Chain:
    """Operations that are made one behind the other, before it is known whether they are of use."""

    def __init__(self) -> None:
        self.ops: list[Operation] = []

    def add(self, op: tfl.TflOp) -> SSAValue:
        op.fill_in_defaults()
        self.ops.append(op)
        return op.results[0]

    def integers(self, values: Sequence[int] | Sequence[Sequence[int]]) -> SSAValue:
        return self.add(tfl.PseudoConstOp(from_numpy(np.array(values, np.int32), i32)))

    def reshaped(self, value: SSAValue, shape: tuple[int, ...]) -> SSAValue:
        if rules.shape(value) == shape:
            return value
        operands = [[value], [self.integers(shape)]]
        return self.add(ReshapeOp.build(operands=operands, result_types=[_typed(value, shape)]))


def _typed(like: SSAValue, shape: Sequence[int]) -> TensorType[Attribute]:
    assert isinstance(like.type, TensorType)
    return TensorType(like.type.element_type, list(shape))


def _fold(pattern: Pattern) -> None:
    """Puts a dilated convolution in the place of a pattern, if the NPU takes it."""
    first, convolution, last, between = pattern
    axes = _axes(pattern)
    if axes is None or 0 in rules.shape(convolution.filter):
        return
    dilations = (convolution.dilation_h_factor.value.data, convolution.dilation_w_factor.value.data)
    kernel = rules.shape(convolution.filter)[1:3]
    height, width = (
        _sizes(axis, rows, dilation, convolution.padding.data)
        for axis, rows, dilation in zip(axes, kernel, dilations, strict=True)
    )
    if min(height.after, width.after) < 1 or height.taps * width.taps > MOST_TAPS:
        return
    chain = _Chain()
    batch, depth = rules.shape(first.input)[0], rules.shape(first.input)[-1]
    value = chain.reshaped(first.input, (batch, height.before, width.before, depth))
    if any((*height.padding, *width.padding)):
        amounts = chain.integers([(0, 0), height.padding, width.padding, (0, 0)])
        padded = (batch, height.before + sum(height.padding), width.before + sum(width.padding), depth)
        value = chain.add(PadOp.build(operands=[value, amounts], result_types=[_typed(value, padded)]))
    channels = rules.shape(convolution.output)[3]
    dilated = type(convolution).create(
        operands=[value, *list(convolution.operands)[1:]],
        properties=convolution.properties
        | {
            "padding": StringAttr("VALID"),
            "dilation_h_factor": IntegerAttr(height.dilation, 32),
            "dilation_w_factor": IntegerAttr(width.dilation, 32),
        },
        result_types=[_typed(convolution.output, (batch, height.result, width.result, channels))],
    )
    value = chain.add(dilated)
    kept = (batch, height.after, width.after, channels)
    if rules.shape(value) != kept:
        operands = [value, chain.integers((0, height.cut, width.cut, 0)), chain.integers(kept)]
        value = chain.add(SliceOp.build(operands=operands, result_types=[_typed(value, kept)]))
    value = chain.reshaped(value, rules.shape(last.output))
    if any(cpu_reason(op) is not None for op in chain.ops if not isinstance(op, tfl.ConstantOp)):
        for op in reversed(chain.ops):
            op.erase()
        return
    part = first
    for op in chain.ops:
        if op is dilated:
            part = convolution
        op.location = renamed(part.location, tfl.tensor_name(part.results[0]) if op is dilated else "")
        if op is dilated:
            part = last
        Rewriter.insert_op(op, InsertPoint.before(last))
    assert isinstance(value.owner, Operation)
    value.owner.location = fused(value.owner.location, last.location, convolution.location, first.location)
    if tfl.TENSORS in last.attributes:
        value.owner.attributes[tfl.TENSORS] = last.attributes[tfl.TENSORS]
    last.output.replace_all_uses_with(value)
    for op in between:
        Rewriter.erase_op(op)
