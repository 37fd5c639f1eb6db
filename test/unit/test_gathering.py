"""Plans of source indices: each gives just its indices, in few copies."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from property_tests import examples

from npuc.operators.support.gathering import InTurn, Piece, Run, copies, plan


def blocks(piece: Piece) -> list[list[int]]:
    """The source indices of a piece, those together that stay together where it is taken in turn."""
    if isinstance(piece, Run):
        return [[piece.first + piece.step * at] for at in range(piece.count)]
    parts = [blocks(part) for part in piece.parts]
    if isinstance(piece, InTurn):
        return [list(chain.from_iterable(together)) for together in zip(*parts, strict=True)]
    return [[index] for part in parts for one in part for index in one]


def indices(piece: Piece) -> list[int]:
    return [index for together in blocks(piece) for index in together]


RUNS = st.builds(
    lambda first, step, count, times, inner: [
        index for _ in range(times) for at in range(count) for index in [abs(first + step * at)] * inner
    ],
    st.integers(0, 30),
    st.integers(-3, 3),
    st.integers(1, 8),
    st.integers(1, 3),
    st.integers(1, 5),
)


@examples(200)
@given(st.lists(RUNS, min_size=1, max_size=3))
def test_a_plan_gives_its_indices(parts: list[list[int]]) -> None:
    wanted = list(chain.from_iterable(parts))
    piece = plan(wanted)
    assert indices(piece) == wanted
    assert copies(piece) <= len(wanted)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (range(9), 1),
        (range(8, -1, -2), 1),
        # Mirrored at both ends: the middle is whole.
        ([2, 1, *range(6), 4, 3], 3),
        # A mean of two neighbours each: twice all.
        ([at // 2 for at in range(20)], 2),
        # Eight times, by doubling.
        ([at // 8 for at in range(80)], 4),
        # Five for two: a period of five.
        ([at * 2 // 5 for at in range(50)], 5),
        # With corners aligned the first and the last occur less often.
        ([(at + 1) // 2 for at in range(19)], 3),
        # One element many times, and a whole many times.
        ([3] * 33, 7),
        ([*range(5)] * 6, 4),
    ],
)
def test_few_copies(wanted: list[int], count: int) -> None:
    assert copies(plan(list(wanted))) <= count
    assert indices(plan(list(wanted))) == list(wanted)


def test_a_border_leaves_the_inside_whole() -> None:
    assert Run(0, 6) in plan([2, 1, *range(6), 4, 3]).parts  # type: ignore[union-attr]
