"""Broadcasting in any number of dimensions, cut into kernels of three, is NumPy's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npuc.operators.support.broadcasting import MOST_ELEMENTS, Broadcast, broadcast_of

AXES = st.lists(st.tuples(st.sampled_from((1, 2, 3, 5)), st.sampled_from(((0, 0), (1, 0), (0, 1)))), max_size=6)


@given(AXES)
def test_kernels_make_what_numpy_does(axes: list[tuple[int, tuple[int, int]]]) -> None:
    shapes = [tuple(1 if repeats[which] else size for size, repeats in axes) for which in range(2)]
    result = tuple(size for size, _ in axes)
    how = broadcast_of(*shapes, result)
    a, b = (np.arange(np.prod(shape, dtype=int)).reshape(shape) for shape in shapes)
    made = [x + 1000 * y for x, y in zip(parts(a, how, 0), parts(b, how, 1), strict=True)]
    assert len(made) == how.kernels
    assert all(part.shape == how.shape(2) for part in made)
    assert np.array_equal(np.concatenate(made).reshape(result), np.broadcast_to(a + 1000 * b, result))


def parts(array: np.ndarray, how: Broadcast, which: int) -> list[np.ndarray]:
    shape = how.shape(which)
    return [array.reshape(-1, *shape[1:])[place][np.newaxis] for place in how.parts(which)]


def test_axes_that_fit_no_feature_map_are_not_one() -> None:
    shape = (2, 300, 300, 300)
    how = broadcast_of(shape, (1, *shape[1:]), shape)
    assert max(how.shape(2)) <= MOST_ELEMENTS
    assert how.kernels == 2


def test_a_map_keeps_its_width_and_depth() -> None:
    assert broadcast_of((2, 3, 4, 5), (2, 3, 4, 5), (2, 3, 4, 5)).shape(2) == (1, 6, 4, 5)
