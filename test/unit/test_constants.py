"""Constants go through bytes: NumPy in, NumPy out, whatever the element type."""

import numpy as np
import pytest
from xdsl.dialects.builtin import BytesAttr, DenseIntOrFPElementsAttr, IntegerType, Signedness, TensorType, bf16, i8

from npuc.dialects.constants import as_numpy, from_bytes, from_numpy


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"])
def test_round_trip(dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    attr = from_numpy(array)
    back = as_numpy(attr)
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)
    assert not back.flags.writeable


def test_unsigned_bytes_are_ui8() -> None:
    assert from_numpy(np.array([255], "u1")).type.element_type == IntegerType(8, Signedness.UNSIGNED)


def test_array_in_any_memory_order() -> None:
    array = np.arange(6, dtype="i1").reshape(2, 3).T
    assert np.array_equal(as_numpy(from_numpy(array)), array)


def test_scalar() -> None:
    assert as_numpy(from_numpy(np.array(7, "i4"))).shape == ()


def test_splat_of_one_stored_element() -> None:
    attr = DenseIntOrFPElementsAttr.new((TensorType(i8, [2, 2]), BytesAttr(b"\x05")))
    assert np.array_equal(as_numpy(attr), np.full((2, 2), 5))


def test_wrong_element_type_is_refused() -> None:
    with pytest.raises(TypeError, match="does not hold"):
        from_numpy(np.zeros(3, "i2"), i8)
    with pytest.raises(TypeError, match="no NumPy element type"):
        as_numpy(from_bytes(TensorType(bf16, [1]), b"\0\0"))
