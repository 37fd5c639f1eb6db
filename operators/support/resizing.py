"""
What resizes have in common: their rules, and the rows and columns that LiteRT reads for each of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue

from npuc.dialects import tfl
from npuc.dialects.npu import Window
from npuc.operators.support import gathering, rules
from npuc.operators.support.deferred import deferred
from npuc.operators.support.gathering import Piece
from npuc.operators.support.kernels import IDENTITY, Emitter, shape_of, tensor

if TYPE_CHECKING:
    import numpy as np
else:
    (np,) = deferred("numpy")


def check(op: tfl.ResizeOp) -> None:
    """What holds for every resize."""
    size = rules.integers(op.size, "the size must be constant")
    aligned = not (op.align_corners and op.half_pixel_centers)
    rules.require(aligned, "corners must not be aligned together with half-pixel centres", op.input)
    rules.same_quantization(op, [op.input], op.output)
    shape = rules.shape(op.input)
    rules.require(len(shape) == 4, "the input must have 4 dimensions", op.input)
    rules.require_shape(op.output, (shape[0], *size, shape[3]))


def sizes(op: tfl.ResizeOp) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size before and after of the height, and of the width."""
    (_, *before, _), (_, *after, _) = rules.shape(op.input), rules.shape(op.output)
    return (before[0], after[0]), (before[1], after[1])


def nearest(before: int, after: int, *, align_corners: bool, half_pixel: bool) -> list[int]:
    """The source index of each element, as LiteRT computes it in float32."""
    scale = np.float32(before) / np.float32(after)
    if align_corners and after > 1:
        scale = np.float32(before - 1) / np.float32(after - 1)
    position = (np.arange(after).astype(np.float32) + np.float32(0.5 if half_pixel else 0)) * scale
    # Halves away from zero: no position is negative, and below 2^23 a half more is exact.
    index = np.floor(position.astype(np.float64) + 0.5) if align_corners else np.floor(position)
    return np.clip(index, 0, before - 1).astype(int).tolist()


class Doubled(NamedTuple):
    """A map doubled `steps` times along both axes, and the first row and column of it that the result has."""

    steps: int
    offsets: tuple[int, int]


def doubled(lists: Sequence[Sequence[int]]) -> Doubled | None:
    """How doubling gives these source indices of rows and columns; None if it does not."""
    for steps in range(1, max(map(len, lists)).bit_length() + 1):
        offsets: list[int] = []
        for indices in lists:
            for offset in (0, 1 << steps - 1):
                if all(index == at + offset >> steps for at, index in enumerate(indices)):
                    offsets.append(offset)
                    break
        if len(offsets) == len(lists):
            return Doubled(steps, (offsets[0], offsets[1]))
    return None


def double(emit: Emitter, value: SSAValue, form: Doubled, after: tuple[int, int]) -> SSAValue:
    """A map doubled by pools over an IFM repeated 2x2, each as far as the result needs it, and cut to `after`."""
    depth = shape_of(value)[3]
    reach = [size + offset for size, offset in zip(after, form.offsets, strict=True)]
    for left in reversed(range(form.steps)):
        rows, columns = (-(-size >> left) for size in reach)
        result_type = TensorType(tensor(value).element_type, [1, rows, columns, depth])
        value = emit.pool("average", value, result_type, window=Window(upscale="nearest"), scale=IDENTITY)
    return emit.copy(emit.slice(value, (*form.offsets, 0), (*after, depth))) if any(form.offsets) else value


def pieces(op: tfl.ResizeOp, lists: Sequence[Sequence[int]]) -> list[tuple[int, Piece]]:
    """
    Axes of an NHWC tensor and the pieces that give them these source indices of rows and columns: axes that shrink
    first, columns before rows, so that few bytes are moved often and many in long runs. No axis that stays.
    """
    before, after = rules.shape(op.input), rules.shape(op.output)
    axes = sorted((2, 1), key=lambda axis: after[axis] > before[axis])
    changed = [axis for axis in axes if list(lists[axis - 1]) != list(range(before[axis]))]
    return [(axis, gathering.plan(lists[axis - 1])) for axis in changed]


def check_pieces(op: tfl.ResizeOp, lists: Sequence[Sequence[int]]) -> None:
    """Refuses rows and columns that many copies make, or that the machine cannot address."""
    made = pieces(op, lists)
    count = sum(gathering.copies(piece) for _, piece in made)
    most = rules.MAX_LAUNCHES
    rules.require(count <= most, f"rows and columns must be moved by at most {most} copies, not {count}", op.output)
