"""Numbers along time, against a plain list."""

from hypothesis import given
from hypothesis import strategies as st
from property_tests import examples

from npuc.planning.levels import Levels
from npuc.planning.prefetch import GRANULE, MOST_PIECES, SHORTEST, early_pieces


@examples(100)
@given(st.data())
def test_levels_are_those_of_a_list(data: st.DataObject) -> None:
    number = st.integers(-9, 9)
    wanted = data.draw(st.lists(number, max_size=9))
    levels = Levels(wanted)
    for _ in range(data.draw(st.integers(0, 30))):
        kind = data.draw(st.sampled_from(["extend", "add", "ask"]))
        if kind == "extend":
            more = data.draw(st.lists(number, max_size=9))
            wanted += more
            levels.extend(more)
        elif kind == "add":
            start = data.draw(st.integers(0, len(wanted)))
            stop = data.draw(st.integers(0, len(wanted)))
            amount = data.draw(number)
            levels.add(start, stop, amount)
            for index in range(start, stop):
                wanted[index] += amount
        else:
            limit, stop = data.draw(st.integers(-20, 20)), data.draw(st.integers(0, len(wanted)))
            last = max((index for index in range(stop) if wanted[index] > limit), default=-1)
            assert levels.last_above(limit, stop) == last
    assert [levels[index] for index in range(len(levels))] == wanted


@examples(150)
@given(
    idle=st.lists(st.integers(0, 900), max_size=12),
    first=st.integers(0, 12),
    size=st.integers(1, 20000),
    per_cycle=st.integers(1, 40),
    whole=st.booleans(),
)
def test_a_transfer_takes_the_latest_launches_that_have_time(
    idle: list[int], first: int, size: int, per_cycle: int, whole: bool
) -> None:
    def cycles(size: int) -> int:
        return 20 + -(-size // per_cycle)

    found, late = early_pieces(Levels(idle), first, len(idle), size, cycles, whole)
    least = size if whole else min(size, max(SHORTEST, -(-size // MOST_PIECES)))
    left = size
    wanted: dict[int, int] = {}
    for number in range(len(idle) - 1, first - 1, -1):
        fits = [n for n in {left, *range(GRANULE, left + 1, GRANULE)} if cycles(n) <= idle[number]]
        piece = max(fits, default=0)
        if left and piece and piece >= min(least, left):
            wanted[number] = piece
            left -= piece
    if first >= len(idle):
        assert (found, late) == ({}, cycles(size))
        return
    if left:
        wanted[len(idle) - 1] = wanted.get(len(idle) - 1, 0) + left
    assert found == wanted
    assert late == (max(0, cycles(found[len(idle) - 1]) - idle[-1]) if left else 0)
