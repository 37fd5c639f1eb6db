"""
`tosa-fold-pad`: a pad with the zero point becomes padding of the convolution that reads it.

TFLite graphs that come from other frameworks pad explicitly before a VALID convolution; the NPU pads for nothing while
it reads, and a `tosa.pad` of its own would be copies.

Assumes nothing. Decides for each convolution by itself: its pad, or a trim of the padded rows and columns at bottom and
right, is folded if the pad is in height and width only, its value is the convolution's input zero point, and the sum
of both paddings is one that the NPU has: less than the (dilated) kernel, so that every window sees an element of the
IFM, and no more than its registers hold. Leaves a pad that another operation reads, too, where it was.
"""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from npuc.dialects import tosa
from npuc.dialects.locations import fused

MOST_BEFORE = 127
"""Greatest padding at top and left that the NPU's registers hold."""
MOST_AFTER = 128
"""Greatest padding at bottom and right."""

Pads = tuple[int, int, int, int]


def _padding_of(value: SSAValue) -> tuple[tosa.PadOp, Pads] | None:
    """The pad that made `value`, and its rows and columns (top, bottom, left, right) that are still there."""
    trimmed = (0, 0)
    owner = value.owner
    if isinstance(owner, tosa.SliceOp):
        start = tosa.shape_values(owner.start)
        if start is None or any(start):
            return None
        before, after = tosa.shape_of(owner.input1), tosa.shape_of(owner.output)
        if len(before) != 4 or (before[0], before[3]) != (after[0], after[3]):
            return None
        trimmed = (before[1] - after[1], before[2] - after[2])
        owner = owner.input1.owner
    if not isinstance(owner, tosa.PadOp):
        return None
    counts = tosa.shape_values(owner.padding)
    if counts is None or len(counts) != 8 or any(counts[:2]) or any(counts[6:]):
        return None
    top, bottom, left, right = counts[2], counts[3] - trimmed[0], counts[4], counts[5] - trimmed[1]
    # A trim of more than the padding takes elements of the operand away: not a padding any more.
    return None if bottom < 0 or right < 0 else (owner, (top, bottom, left, right))


class _FoldPad(RewritePattern):
    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: tosa.Conv2DOp | tosa.DepthwiseConv2DOp, rewriter: PatternRewriter, /):
        padding = _padding_of(op.input)
        if padding is None:
            return
        pad, counts = padding
        zero_point = tosa.scalar_value(op.input_zp)
        if zero_point is None or tosa.scalar_value(pad.pad_const) != zero_point:
            return
        top, bottom, left, right = (a + b for a, b in zip(tosa.integers(op.pad), counts, strict=True))
        rows, columns = (
            (size - 1) * dilation for size, dilation in zip(op.kernel_size, tosa.integers(op.dilation), strict=True)
        )
        if max(top, bottom) > rows or max(left, right) > columns:
            return
        if max(top, left) > MOST_BEFORE or max(bottom, right) > MOST_AFTER:
            return
        folded = type(op)(
            pad.input1,
            op.weight,
            op.bias,
            op.input_zp,
            op.weight_zp,
            tosa.tensor_type(op.output),
            pad=(top, bottom, left, right),
            stride=tosa.integers(op.stride),
            dilation=tosa.integers(op.dilation),
        )
        folded.location = fused(op.location, op.location, pad.location)
        rewriter.replace(op, folded)


@dataclass(frozen=True)
class TosaFoldPadPass(ModulePass):
    """A pad with the zero point becomes padding of the convolution that reads it."""

    name = "tosa-fold-pad"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        # The greedy applier also erases the pads and trims that nothing reads any more.
        PatternRewriteWalker(
            GreedyRewritePatternApplier([_FoldPad()], dce_enabled=True), walk_reverse=True
        ).rewrite_module(op)
