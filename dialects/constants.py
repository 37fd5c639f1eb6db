"""
Constants as NumPy arrays and back: the one helper through which weights, biases and tables are read.

A constant in the IR is a `DenseIntOrFPElementsAttr` made from bytes, never from a list of Python numbers.
Arrays that come out are read-only views of those bytes. NumPy is imported on use, so that a tool that
only looks at the IR starts without it.
"""

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import (
    BytesAttr,
    ComplexType,
    DenseIntOrFPElementsAttr,
    Float16Type,
    Float32Type,
    Float64Type,
    IntegerType,
    Signedness,
    TensorType,
    f16,
    f32,
    f64,
)
from xdsl.ir import Attribute

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def numpy_dtype(element_type: Attribute) -> "np.dtype":
    """
    The NumPy type of the stored elements, little-endian.

    `ui8` is uint8, `i8` int8, `i1` int8 (a stored 0 is false, all else true), `i4` int8 (one element a
    byte). Raises TypeError for a type that has no such form.
    """
    import numpy as np

    match element_type:
        case IntegerType():
            size = element_type.compile_time_size
            kind = "u" if element_type.signedness.data == Signedness.UNSIGNED else "i"
            return np.dtype(f"<{kind}{size}")
        case Float16Type():
            return np.dtype("<f2")
        case Float32Type():
            return np.dtype("<f4")
        case Float64Type():
            return np.dtype("<f8")
        case ComplexType():
            return np.dtype("<c8") if element_type.element_type == f32 else np.dtype("<c16")
        case _:
            raise TypeError(f"{element_type} has no NumPy element type")


def element_type_of(dtype: "np.dtype") -> Attribute:
    """The IR element type of a NumPy type: int8 -> `i8`, uint8 -> `ui8`, float32 -> `f32` ..."""
    if dtype.kind == "b":
        return IntegerType(1)
    if dtype.kind in "iu":
        return IntegerType(8 * dtype.itemsize, Signedness.UNSIGNED if dtype.kind == "u" else Signedness.SIGNLESS)
    floats = {2: f16, 4: f32, 8: f64}
    if dtype.kind == "f" and dtype.itemsize in floats:
        return floats[dtype.itemsize]
    raise TypeError(f"{dtype} has no element type in the IR")


def as_numpy(attr: DenseIntOrFPElementsAttr) -> "NDArray":
    """A read-only array of the constant's shape and element type; a splat of one stored element is broadcast."""
    import numpy as np

    values = np.frombuffer(attr.data.data, dtype=numpy_dtype(attr.type.element_type))
    shape = attr.get_shape()
    if values.size == 1 and shape:
        return np.broadcast_to(values, shape)
    return values.reshape(shape)


def from_numpy(array: "NDArray", element_type: Attribute | None = None) -> DenseIntOrFPElementsAttr:
    """
    The constant with the array's values and shape.

    `element_type` (default: that of the array's dtype) must be stored as the array's dtype, for example
    `i4` for int8. Raises TypeError otherwise.
    """
    wanted = element_type if element_type is not None else element_type_of(array.dtype)
    if array.dtype.kind == "b":
        array = array.astype("i1")
    dtype = numpy_dtype(wanted)
    if array.dtype != dtype:
        raise TypeError(f"an array of {array.dtype} does not hold elements of {wanted}")
    return from_bytes(TensorType(wanted, array.shape), array.astype(dtype, copy=False).tobytes())


def machine_constant(value: DenseIntOrFPElementsAttr) -> DenseIntOrFPElementsAttr:
    """A constant as the NPU holds it: truth values as bytes of 0 and 1, others as they are."""
    if value.type.element_type != IntegerType(1):
        return value
    return from_numpy((as_numpy(value) != 0).astype("i1"), IntegerType(8))


def from_bytes(type_: TensorType, data: bytes) -> DenseIntOrFPElementsAttr:
    """The constant of `type_` whose stored elements are `data`, little-endian, row by row."""
    return DenseIntOrFPElementsAttr.new((type_, BytesAttr(data)))
