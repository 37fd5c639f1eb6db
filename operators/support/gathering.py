"""
Elements along one axis in another order, dropped or repeated, by few copies: nearest neighbours, mirrored borders,
constant indices.

A list of source indices becomes a `Piece`: runs of indices that step evenly, which are one strided copy each, joined
one behind the other or taken in turn. What occurs again is copied from what has been written, so that repeating n times
takes about log2(n) copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import prod

from xdsl.ir import SSAValue

from npuc.operators.support.kernels import Emitter, shape_of

LONGEST_PERIOD = 64
"""So many runs at most are taken in turn."""
LEAST_REPEATED = 4
"""Fewer equal indices than these are no cheaper by repetition than one by one."""


@dataclass(frozen=True)
class Run:
    """`count` source indices from `first` on, `step` apart; a negative step goes backwards."""

    first: int
    count: int
    step: int = 1


@dataclass(frozen=True)
class Joined:
    """Pieces one behind the other."""

    parts: tuple[Piece, ...]


@dataclass(frozen=True)
class InTurn:
    """The first block of each piece, then the second of each; pieces have equally many blocks."""

    parts: tuple[Piece, ...]


Piece = Run | Joined | InTurn


@cache
def copies(piece: Piece) -> int:
    """How many copies make it: each part once, and once more for each time that it occurs again."""
    if isinstance(piece, Run):
        return 1
    return sum(map(copies, set(piece.parts))) + len(piece.parts) - len(set(piece.parts))


def plan(indices: Sequence[int]) -> Piece:
    """The piece of fewest copies that has these source indices, of which there is at least one."""
    return _plan(tuple(indices))


@cache
def _plan(indices: tuple[int, ...]) -> Piece:
    plain = _joined(_runs(indices))
    candidates = [plain]
    if copies(plain) > 2:
        for period in range(1, min(LONGEST_PERIOD, copies(plain), len(indices) // 2) + 1):
            start, stop = _longest_even(indices, period)
            rounds = (stop - start) // period
            if rounds < 2:
                continue
            stop = start + rounds * period
            step = indices[start + period] - indices[start]
            if step:
                body = _in_turn([Run(first, rounds, step) for first in indices[start : start + period]])
            else:
                body = _repeated(Joined, _joined(_runs(indices[start : start + period])), rounds)
            candidates.append(_joined([*_runs(indices[:start]), body, *_runs(indices[stop:])]))
    return min(candidates, key=copies)


def _longest_even(indices: tuple[int, ...], period: int) -> tuple[int, int]:
    """The longest stretch in which the index `period` places on is always as far away: first, and one past the last."""
    best = (0, 0)
    start = 0
    last: int | None = None
    for at in range(len(indices) - period):
        step = indices[at + period] - indices[at]
        if step != last:
            start, last = at, step
        if at + period + 1 - start > best[1] - best[0]:
            best = (start, at + period + 1)
    return best


def _runs(indices: tuple[int, ...]) -> list[Piece]:
    """The fewest runs one behind the other; many equal indices are one of them, repeated."""
    runs: list[Piece] = []
    at = 0
    while at < len(indices):
        equal = at
        while equal < len(indices) and indices[equal] == indices[at]:
            equal += 1
        if equal - at >= LEAST_REPEATED:
            runs.append(_repeated(Joined, Run(indices[at], 1), equal - at))
            at = equal
            continue
        stop = at + 1
        step = indices[stop] - indices[at] if stop < len(indices) else 0
        while step and stop < len(indices) and indices[stop] - indices[stop - 1] == step:
            stop += 1
        run = Run(indices[at], stop - at, step or 1)
        before = runs[-1] if runs else None
        # What may belong to either of two is of the longer one: where that is all there is, it need not be moved.
        if isinstance(before, Run) and 2 <= before.count <= run.count and run.count > 1:
            if before.first + (before.count - 1) * before.step == run.first - run.step:
                runs[-1] = Run(before.first, before.count - 1, before.step if before.count > 2 else 1)
                run = Run(run.first - run.step, run.count + 1, run.step)
        runs.append(run)
        at = stop
    return runs


def _joined(pieces: Sequence[Piece]) -> Piece:
    return pieces[0] if len(pieces) == 1 else Joined(tuple(pieces))


def _in_turn(runs: Sequence[Run]) -> Piece:
    """Runs in turn, equal neighbours repeated."""
    groups: list[Piece] = []
    at = 0
    while at < len(runs):
        stop = at
        while stop < len(runs) and runs[stop] == runs[at]:
            stop += 1
        groups.append(_repeated(InTurn, runs[at], stop - at))
        at = stop
    return groups[0] if len(groups) == 1 else InTurn(tuple(groups))


def _repeated(kind: type[Joined | InTurn], piece: Piece, count: int) -> Piece:
    """A piece `count` times over, by doubling."""
    if count == 1:
        return piece
    half = _repeated(kind, piece, count // 2)
    return kind((half, half, piece)) if count % 2 else kind((half, half))


def _seen_as(outer: int, inner: int, depth: int) -> tuple[int, int]:
    """
    Columns and depth of what lies at one place of an axis with `outer` elements before it and `inner` behind: an axis
    with nothing before it is the height of a map of `depth` channels, any other the width.
    """
    return (inner // depth, depth) if outer == 1 and inner % depth == 0 and depth > 1 else (1, inner)


def gather(emit: Emitter, value: SSAValue, axis: int, piece: Piece, depth: int = 1) -> SSAValue:
    """
    The elements of `piece` along one axis of a tensor of any rank, in that rank; each run is a copy. `depth` is the
    number of channels behind the axis, for the machine to move together, if not all that is behind it.
    """
    shape = shape_of(value)
    outer, inner = prod(shape[:axis]), prod(shape[axis + 1 :])
    columns, channels = _seen_as(outer, inner, depth)
    tall = outer == 1
    seen = (1, shape[axis], columns, channels) if tall else (1, outer, shape[axis], channels)
    source = emit.view(value, seen)
    made: dict[Piece, SSAValue] = {}

    def make(piece: Piece) -> SSAValue:
        """Blocks of the piece, side by side along the width if the axis is the height, else along the depth."""
        if piece not in made:
            made[piece] = _make(piece)
        return made[piece]

    def _make(piece: Piece) -> SSAValue:
        if isinstance(piece, Run):
            offsets, sizes, strides = [0, 0, 0], list(seen[1:]), [1, 1, 1]
            if inner == 1 and not tall and piece.step == 1:
                # Elements that follow each other are channels.
                flat = emit.view(source, (1, 1, outer, shape[axis]))
                part = emit.copy(emit.slice(flat, (0, 0, piece.first), (1, outer, piece.count)))
                return emit.view(part, (1, outer, piece.count, 1))
            at = 0 if tall else 1
            offsets[at], sizes[at], strides[at] = piece.first, piece.count, piece.step if piece.count > 1 else 1
            return emit.slice(source, offsets, sizes, strides)
        if isinstance(piece, InTurn):
            return emit.concat([emit.copy(make(part)) for part in piece.parts], 2 if tall else 3)
        flat = [emit.copy(_one_by_one(make(part))) for part in piece.parts]
        return emit.concat(flat, 1 if tall else 2)

    def _one_by_one(blocks: SSAValue) -> SSAValue:
        _, height, width, depth = shape_of(blocks)
        if tall:
            return emit.view(blocks, (1, height * width // columns, columns, depth))
        return emit.view(blocks, (1, height, width * depth // channels, channels))

    result = _one_by_one(make(piece))
    if isinstance(piece, Run):
        result = emit.copy(result)
    count = shape_of(result)[1 if tall else 2]
    return emit.view(result, (*shape[:axis], count, *shape[axis + 1 :]))
