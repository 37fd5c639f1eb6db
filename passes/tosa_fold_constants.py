"""
`tosa-fold-constants`: a reshaped or transposed constant becomes a constant.

TOSA that other tools write shapes its weights by operations (Arm's converter reshapes those of depthwise and fully
connected layers); the lowering to kernels wants them constant. What `convert-tfl-to-tosa` makes needs no folding.

Assumes nothing. Decides nothing: every `tosa.reshape` and `tosa.transpose` of a constant goes. Leaves arithmetic on
constants alone.
"""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from npuc.dialects import tosa
from npuc.dialects.constants import as_numpy, from_bytes, from_numpy


class _FoldReshape(RewritePattern):
    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: tosa.ReshapeOp, rewriter: PatternRewriter, /):
        constant = tosa.constant_attribute(op.input1)
        result = tosa.tensor_type(op.output)
        if constant is not None and result.has_static_shape():
            folded = tosa.ConstOp(from_bytes(result, constant.data.data))
            folded.location = op.location
            rewriter.replace(op, folded)


class _FoldTranspose(RewritePattern):
    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: tosa.TransposeOp, rewriter: PatternRewriter, /):
        constant = tosa.constant_attribute(op.input1)
        if constant is not None:
            transposed = as_numpy(constant).transpose(tosa.integers(op.perms))
            folded = tosa.ConstOp(from_numpy(transposed, constant.get_element_type()))
            folded.location = op.location
            rewriter.replace(op, folded)


@dataclass(frozen=True)
class TosaFoldConstantsPass(ModulePass):
    """A reshaped or transposed constant becomes a constant."""

    name = "tosa-fold-constants"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        # The greedy applier also erases the constants that nothing reads any more.
        PatternRewriteWalker(
            GreedyRewritePatternApplier([_FoldReshape(), _FoldTranspose()], dce_enabled=True)
        ).rewrite_module(op)
