"""Addresses for live ranges: nothing overlaps, the height is what the addresses say, and the bound is one."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from property_tests import examples

from npuc.analysis.allocation import (
    ALIGNMENT,
    DRAWN,
    FEW,
    QUIET,
    TRIES,
    LiveRange,
    _Search,  # pyright: ignore[reportPrivateUsage]
    allocate,
    in_moments,
    lower_bound,
    usage,
)

RANGES = st.lists(
    st.builds(
        lambda start, length, size: LiveRange(start, start + length, size),
        st.integers(0, 40),
        st.integers(0, 12),
        st.integers(1, 5000),
    ),
    max_size=40,
)


@given(RANGES)
@examples(150)
def test_what_is_alive_together_does_not_overlap(ranges: list[LiveRange]) -> None:
    found = allocate(ranges)
    placed = list(zip(ranges, found.addresses, strict=True))
    for i, (a, at) in enumerate(placed):
        assert at >= 0
        assert at % ALIGNMENT == 0
        for b, other in placed[:i]:
            if a.start <= b.end and b.start <= a.end:
                assert at + a.size <= other or other + b.size <= at
    assert found.height == max((at + r.rounded for r, at in placed), default=0)


@given(RANGES)
@examples(100)
def test_the_bound_is_the_most_that_is_alive_at_one_time(ranges: list[LiveRange]) -> None:
    alive = [sum(r.rounded for r in ranges if r.start <= time <= r.end) for time in range(60)]
    assert lower_bound(ranges) == max(alive)
    assert lower_bound(ranges) <= allocate(ranges).height
    # The curve says the same at every time.
    curve = dict(usage(ranges))
    total = 0
    for time, bytes_alive in enumerate(alive):
        total = curve.get(time, total)
        assert total == bytes_alive


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=30))
@examples(50)
def test_a_chain_reaches_the_bound(sizes: list[int]) -> None:
    """Each buffer is written while the one before is read: two are alive at a time."""
    found = allocate([LiveRange(i, i + 1, size) for i, size in enumerate(sizes)])
    assert found.height == found.bound


def test_a_tight_packing_is_found() -> None:
    """Four ranges of two sizes that fit only if the outer two lie on the same side of both others."""
    ranges = [LiveRange(0, 2, 160), LiveRange(1, 4, 320), LiveRange(3, 6, 320), LiveRange(5, 8, 160)]
    assert allocate(ranges).height == lower_bound(ranges) == 640


def cut(random: Random, pieces: int) -> list[LiveRange]:
    """A full memory of 64 KiB over 60 times, cut at random into live ranges that fill it without a gap."""
    parts = [(0, 59, 4096)]
    while len(parts) < pieces:
        start, end, units = parts.pop(random.randrange(len(parts)))
        if end > start and (units == 1 or random.random() < 0.5):
            at = random.randrange(start, end)
            parts += [(start, at, units), (at + 1, end, units)]
        elif units > 1:
            at = random.randrange(1, units)
            parts += [(start, end, at), (start, end, units - at)]
        else:
            parts.append((start, end, units))
    return [LiveRange(start, end, units * ALIGNMENT) for start, end, units in parts]


def test_a_memory_without_a_gap_is_packed_again() -> None:
    """Climbing finds what the first orders miss by up to an eighth."""
    puzzles = [cut(Random(seed), 60) for seed in range(10)]
    first = [allocate(ranges, tries=0).height for ranges in puzzles]
    heights = [allocate(ranges).height for ranges in puzzles]
    whole = 64 << 10
    assert sum(height > whole for height in first) >= 3
    assert sum(height == whole for height in heights) >= 9
    assert max(heights) <= 1.01 * whole < max(first)


def test_a_memory_filled_from_below_is_full() -> None:
    """Where a short climb has left gaps."""
    puzzles = [cut(Random(seed), 60) for seed in (77, 85, 87, 92)]
    climbed, filled = ([allocate(ranges, tries).height for ranges in puzzles] for tries in (FEW, FEW + 3))
    assert min(climbed) > 64 << 10 == max(filled)


def test_orders_that_are_drawn_find_more() -> None:
    """Where all orders that follow from the ranges leave gaps."""
    puzzles = [cut(Random(seed), 60) for seed in (83, 145, 231, 262)]
    before, drawn = ([allocate(ranges, FEW + count).height for ranges in puzzles] for count in (3, 3 + DRAWN))
    assert min(before) > 64 << 10 == max(drawn)


def test_an_answer_does_not_depend_on_what_was_asked_before() -> None:
    """A search is carried on for others who ask about the same ranges; each gets the answer of a search of its own."""
    gaps = 0
    for seed in range(4):
        ranges = cut(Random(seed), 60)
        first = allocate(ranges, tries=0)
        whole = allocate(ranges[::-1])
        again, enough = allocate(ranges, tries=0), allocate(ranges, tries=0, enough=first.height)
        assert first == again == enough
        gaps += whole.height < first.height
    assert gaps


def test_a_search_that_no_longer_helps_ends() -> None:
    """At the bound, or `QUIET` orders behind the last that was lower; more tries are then not made, whoever asks."""
    ended = 0
    for seed in range(83, 95):
        search = _Search(in_moments(cut(Random(seed), 60)))
        best = search.reach(0, TRIES)
        last, lowest = search.found[-1]
        assert best is lowest
        if best.height > search.bound:
            assert search.tries == last + QUIET < TRIES
            ended += 1
        tries = search.tries
        assert search.reach(0, 2 * TRIES) is best
        assert search.tries == tries
    assert ended


def test_equal_ranges_get_equal_addresses() -> None:
    ranges = [LiveRange(i % 7, i % 7 + i % 5, 16 * (i * 37 % 11 + 1)) for i in range(30)]
    assert allocate(ranges) == allocate(list(ranges))
