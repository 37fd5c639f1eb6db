"""
`tosa-fold-constants`: a constant whose elements are only moved becomes a constant.

TOSA that other tools write shapes its weights by operations (Arm's converter reshapes those of depthwise and fully
connected layers); the lowering to kernels wants them constant. What `convert-tfl-to-tosa` makes needs no folding.

Assumes nothing. Decides nothing: every `tosa.reshape`, `transpose`, `reverse`, `slice`, `pad`, `tile`, `concat` and
`gather` of constants goes. Leaves arithmetic on constants alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Operation
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

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Arrays = Sequence[Array]


class _FoldReshape(RewritePattern):
    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: tosa.ReshapeOp, rewriter: PatternRewriter, /):
        constant = tosa.constant_attribute(op.input1)
        result = tosa.tensor_type(op.output)
        if constant is not None and result.has_static_shape():
            folded = tosa.ConstOp(from_bytes(result, constant.data.data))
            folded.location = op.location
            rewriter.replace(op, folded)


def _slice(op: tosa.SliceOp, values: Arrays) -> Array | None:
    start, size = tosa.shape_values(op.start), tosa.shape_values(op.size)
    if start is None or size is None or min(size, default=1) < 0:
        return None
    return values[0][tuple(slice(first, first + count) for first, count in zip(start, size, strict=True))]


def _pad(op: tosa.PadOp, values: Arrays) -> Array | None:
    import numpy as np

    counts = tosa.shape_values(op.padding)
    if counts is None:
        return None
    around = list(zip(counts[::2], counts[1::2], strict=True))
    return np.pad(values[0], around, constant_values=values[1].reshape(-1)[0])


def _tile(op: tosa.TileOp, values: Arrays) -> Array | None:
    import numpy as np

    counts = tosa.shape_values(op.multiples)
    return None if counts is None or min(counts, default=1) < 0 else np.tile(values[0], counts)


def _reverse(op: tosa.ReverseOp, values: Arrays) -> Array:
    import numpy as np

    return np.flip(values[0], op.axis.value.data)


def _concat(op: tosa.ConcatOp, values: Arrays) -> Array:
    import numpy as np

    return np.concatenate(values, op.axis.value.data)


def _gather(op: tosa.GatherOp, values: Arrays) -> Array | None:
    import numpy as np

    if ((values[1] < 0) | (values[1] >= values[0].shape[1])).any():
        return None
    return np.take_along_axis(values[0], values[1][:, :, None].astype(np.int64), 1)


_MOVEMENTS: dict[type[Operation], Callable[[Any, Arrays], Array | None]] = {
    tosa.TransposeOp: lambda op, values: values[0].transpose(tosa.integers(op.perms)),
    tosa.ReverseOp: _reverse,
    tosa.SliceOp: _slice,
    tosa.PadOp: _pad,
    tosa.TileOp: _tile,
    tosa.ConcatOp: _concat,
    tosa.GatherOp: _gather,
}
"""What each makes of constant tensors; None where it also needs a shape that is not constant."""


class _FoldMovement(RewritePattern):
    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter, /):
        if type(op) not in _MOVEMENTS:
            return
        operands = [value for value in op.operands if isinstance(value.type, TensorType)]
        constants = [tosa.constant_attribute(value) for value in operands]
        known = [constant for constant in constants if constant is not None]
        if len(known) < len(constants):
            return
        moved = _MOVEMENTS[type(op)](op, [as_numpy(constant) for constant in known])
        if moved is not None:
            folded = tosa.ConstOp(from_numpy(moved, known[0].get_element_type()))
            folded.location = op.location
            rewriter.replace(op, folded)


@dataclass(frozen=True)
class TosaFoldConstantsPass(ModulePass):
    """A constant whose elements are only moved becomes a constant."""

    name = "tosa-fold-constants"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        # The greedy applier also erases the constants that nothing reads any more.
        PatternRewriteWalker(
            GreedyRewritePatternApplier([_FoldReshape(), _FoldMovement()], dce_enabled=True)
        ).rewrite_module(op)
