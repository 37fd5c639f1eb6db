"""Which weights stay: no choice within the room saves more, and more room never saves less."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from property_tests import examples

from npuc.planning.residency import LONGEST_FRONT, NOTHING, best_within, extended

KERNELS = st.lists(st.tuples(st.integers(16, 4000), st.integers(-500, 5000)), max_size=6)


@examples(100)
@given(KERNELS, st.integers(0, 12000))
def test_the_best_of_all_choices_is_found(kernels: list[tuple[int, int]], room: int) -> None:
    front = NOTHING
    for index, (size, gain) in enumerate(kernels):
        front = extended(front, index, size, gain)
    found = best_within(front, room)
    assert found.size == sum(kernels[i][0] for i in found.kernels) <= room
    assert found.gain == sum(kernels[i][1] for i in found.kernels)
    choices = [one for n in range(len(kernels) + 1) for one in combinations(kernels, n)]
    assert found.gain == max(sum(g for _, g in one) for one in choices if sum(s for s, _ in one) <= room)


@examples(30)
@given(st.lists(st.tuples(st.integers(16, 4000), st.integers(1, 5000)), min_size=12, max_size=20))
def test_more_room_never_saves_less_though_choices_are_dropped(kernels: list[tuple[int, int]]) -> None:
    front = NOTHING
    for index, (size, gain) in enumerate(kernels):
        front = extended(front, index, size, gain)
    assert len(front) <= LONGEST_FRONT
    gains = [best_within(front, room).gain for room in range(-1, sum(size for size, _ in kernels) + 2, 97)]
    assert gains == sorted(gains)
