"""
What TFLite operators make of constants: those that move elements, of any type, those that compute with integers that
are not quantised, as shapes, sizes and indices are, and QUANTIZE of floats, as of a first state. The same functions say
which shape a result has.

Operators are known by their names and options in the TFLite schema, whether they have a class or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerAttr, IntegerType, StringAttr, TensorType
from xdsl.ir import Attribute, SSAValue

from npuc.dialects import tfl
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.quant import quantization, storage_tensor

Array = NDArray[Any]
Shape = tuple[int, ...]


class Unknown(Exception):
    """What an operator makes is not known here."""


@dataclass(frozen=True)
class Call:
    """One operator: its name in the schema, and what its operands and results are."""

    op: tfl.TflOp
    name: str

    def option(self, name: str, default: Any) -> Any:
        """An option as a Python value; the default where the file leaves it out."""
        op = self.op
        options = op.properties if not isinstance(op, tfl.BuiltinOp) else op.options.data if op.options else {}
        attribute = options.get(name)
        if isinstance(attribute, IntegerAttr | FloatAttr):
            return type(default)(attribute.value.data)
        if isinstance(attribute, StringAttr):
            return attribute.data
        return tuple(attribute.iter_values()) if isinstance(attribute, DenseArrayBase) else default

    def element(self, number: int = 0) -> Attribute:
        """The element type of a result, without its quantisation."""
        stored = storage_tensor(self.op.results[number].type)
        assert isinstance(stored, TensorType)
        return stored.element_type


def evaluate(call: Call) -> list[Array] | None:
    """
    The results of an operator whose operands are all constant, in their element types; None if that is not known.

    Booleans are bool. The shape is the one that the operator makes, whatever the file says.
    """
    try:
        _require_one_quantization(call)
        return [_typed(call, number, one) for number, one in enumerate(_results(call, _constants(call)))]
    except (Unknown, ValueError, IndexError, TypeError, ArithmeticError, MemoryError):
        return None


def result_shapes(call: Call, shapes: Sequence[Shape]) -> list[Shape] | None:
    """The shapes of an operator's results, where its operands have these; None if that is not known."""
    try:
        if call.name in _SHAPES:
            return [_SHAPES[call.name](call, shapes)]
        return [one.shape for one in _moved(call, _stand_ins(call, shapes))]
    except (Unknown, ValueError, IndexError, TypeError, ArithmeticError, MemoryError):
        return None


def _read(value: SSAValue) -> Array | None:
    """A constant operand; booleans as bool."""
    array = tfl.constant_array(value)
    if array is None:
        return None
    stored = storage_tensor(value.type)
    is_bool = isinstance(stored, TensorType) and stored.element_type == IntegerType(1)
    return array != 0 if is_bool else array


def _constants(call: Call) -> list[Array]:
    arrays: list[Array] = []
    for value in call.op.operands:
        array = _read(value)
        if array is None:
            raise Unknown
        arrays.append(array)
    return arrays


def _stand_ins(call: Call, shapes: Sequence[Shape]) -> list[Array]:
    """Operands of elements that all lie at one address, where only their shapes matter."""
    arrays: list[Array] = []
    for number, (value, shape) in enumerate(zip(call.op.operands, shapes, strict=True)):
        array = _read(value)
        if array is None:
            if call.name not in _ALL_ARE_MOVED and number != _MOVED_OPERAND.get(call.name, 0):
                raise Unknown
            array = np.broadcast_to(np.zeros((), np.int8), shape)
        arrays.append(array)
    return arrays


def _typed(call: Call, number: int, array: Array) -> Array:
    element = call.element(number)
    if element == IntegerType(1):
        return array.astype(np.bool_)
    dtype = numpy_dtype(element)
    if array.dtype != dtype and not (array.dtype.kind in "iu" and dtype.kind in "iu" and call.name in _COMPUTING):
        raise Unknown
    return array.astype(dtype)


def _results(call: Call, arrays: Sequence[Array]) -> list[Array]:
    if call.name in _MOVING:
        return _moved(call, arrays)
    if call.name in _COMPUTING:
        if call.option("fused_activation_function", "NONE") != "NONE":
            raise Unknown
        for value in (*call.op.operands, *call.op.results):
            if not isinstance(value.type, TensorType) or not isinstance(value.type.element_type, IntegerType):
                raise Unknown
        return [_COMPUTING[call.name](call, *arrays)]
    if call.name == "CAST":
        return [_cast(call, arrays[0])]
    if call.name == "QUANTIZE":
        return [_quantize(call, arrays[0])]
    raise Unknown


def _moved(call: Call, arrays: Sequence[Array]) -> list[Array]:
    if call.name not in _MOVING:
        raise Unknown
    made = _MOVING[call.name](call, *arrays)
    return made if isinstance(made, list) else [made]


def _require_one_quantization(call: Call) -> None:
    """What is moved keeps its element type; lists of axes and the like have another one."""
    if call.name not in _MOVING:
        return
    types = {v.type.element_type for v in (*call.op.operands, *call.op.results) if isinstance(v.type, TensorType)}
    if len([one for one in types if not isinstance(one, IntegerType) or one.bitwidth < 32]) > 1:
        raise Unknown


def _cast(call: Call, x: Array) -> Array:
    element = call.element()
    if not isinstance(element, IntegerType) or x.dtype.kind == "f":
        raise Unknown
    return x.astype(np.bool_ if element.bitwidth == 1 else numpy_dtype(element))


def _quantize(call: Call, x: Array) -> Array:
    """Of floats, as TFLite's kernel computes it: a division in float32, and ties away from zero."""
    type_ = quantization(call.op.results[0])
    if type_ is None or type_.is_per_axis or x.dtype != np.float32:
        raise Unknown
    scaled = x / np.float32(type_.scale)
    whole = np.floor(np.abs(scaled))
    whole += np.abs(scaled) - whole >= 0.5
    if not (whole < 1 << 30).all():
        raise Unknown
    least, greatest = type_.storage_limits
    values = np.clip((np.sign(scaled) * whole).astype(np.int64) + type_.zero_point, least, greatest)
    return values.astype(numpy_dtype(call.element()))


def _indices(array: Array) -> list[int]:
    return [int(one) for one in array.reshape(-1)]


def _strided_slice(call: Call, x: Array, begin: Array, end: Array, strides: Array) -> Array:
    begins, ends, steps = _indices(begin), _indices(end), _indices(strides)
    masks = {name: call.option(f"{name}_mask", 0) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    index: list[Any] = []
    for at, (first, last, step) in enumerate(zip(begins, ends, steps, strict=True)):
        bit = {name: mask >> at & 1 for name, mask in masks.items()}
        if call.option("offset", False):
            last += first
        if bit["ellipsis"]:
            index.append(...)
        elif bit["new_axis"]:
            index.append(None)
        elif bit["shrink_axis"]:
            index.append(0 if bit["begin"] else first)
        else:
            index.append(slice(None if bit["begin"] else first, None if bit["end"] else last, step))
    return x[tuple(index)]


def _slice(_: Call, x: Array, begin: Array, size: Array) -> Array:
    starts, sizes = _indices(begin), _indices(size)
    ends = [whole if n < 0 else at + n for at, n, whole in zip(starts, sizes, x.shape, strict=True)]
    if any(not 0 <= at <= end <= whole for at, end, whole in zip(starts, ends, x.shape, strict=True)):
        raise Unknown
    return x[tuple(slice(at, end) for at, end in zip(starts, ends, strict=True))]


def _reshape(call: Call, x: Array, shape: Array | None = None) -> Array:
    sizes = call.option("new_shape", ()) if shape is None else _indices(shape)
    return x.reshape(sizes)


def _squeeze(call: Call, x: Array) -> Array:
    axes = call.option("squeeze_dims", ())
    return np.squeeze(x, axis=tuple(axes) or None)


def _gather(call: Call, x: Array, indices: Array) -> Array:
    axis, batch = call.option("axis", 0), call.option("batch_dims", 0)
    if batch or (indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < x.shape[axis]):
        raise Unknown
    return np.take(x, indices, axis)


def _pack(call: Call, *parts: Array) -> Array:
    return np.stack(parts, call.option("axis", 0))


def _unpack(call: Call, x: Array) -> list[Array]:
    return list(np.moveaxis(x, call.option("axis", 0), 0))


def _concatenation(call: Call, *parts: Array) -> Array:
    if call.option("fused_activation_function", "NONE") != "NONE":
        raise Unknown
    return np.concatenate(parts, call.option("axis", 0))


def _split(call: Call, axis: Array, x: Array) -> list[Array]:
    return np.split(x, len(call.op.results), int(axis.reshape(())))


def _split_v(_: Call, x: Array, sizes: Array, axis: Array) -> list[Array]:
    along = int(axis.reshape(()))
    counts = _indices(sizes)
    if -1 in counts:
        counts[counts.index(-1)] = x.shape[along] - sum(counts) - 1
    if sum(counts) != x.shape[along] or min(counts) < 0:
        raise Unknown
    return np.split(x, list(np.cumsum(counts))[:-1], along)


def _tile(_: Call, x: Array, times: Array) -> Array:
    return np.tile(x, _indices(times))


def _transpose(_: Call, x: Array, order: Array) -> Array:
    return x.transpose(_indices(order))


def _broadcast_to(_: Call, x: Array, shape: Array) -> Array:
    return np.broadcast_to(x, _indices(shape))


def _expand_dims(_: Call, x: Array, axis: Array) -> Array:
    return np.expand_dims(x, int(axis.reshape(())))


def _fill(_: Call, shape: Array, x: Array) -> Array:
    return np.broadcast_to(x.reshape(()), _indices(shape))


def _reverse_v2(_: Call, x: Array, axes: Array) -> Array:
    return np.flip(x, tuple(_indices(axes)))


_MOVING: dict[str, Callable[..., Array | list[Array]]] = {
    "BROADCAST_TO": _broadcast_to,
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _expand_dims,
    "FILL": _fill,
    "GATHER": _gather,
    "PACK": _pack,
    "RESHAPE": _reshape,
    "REVERSE_V2": _reverse_v2,
    "SLICE": _slice,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
}
"""Operators that only move elements."""
_ALL_ARE_MOVED = ("CONCATENATION", "GATHER", "PACK")
_MOVED_OPERAND = {"FILL": 1, "SPLIT": 1}
"""Which operand it is whose elements move, where it is not the first. The others say how."""


def _reduced(function: Callable[..., Any]) -> Callable[..., Array]:
    def reduce(call: Call, x: Array, axes: Array) -> Array:
        made = function(x, axis=tuple(_indices(axes)), keepdims=call.option("keep_dims", False))
        return np.asarray(made).astype(x.dtype)

    return reduce


def _floor_div(_: Call, a: Array, b: Array) -> Array:
    if not b.all():
        raise Unknown
    return np.floor_divide(a, b)


def _floor_mod(_: Call, a: Array, b: Array) -> Array:
    if not b.all():
        raise Unknown
    return np.mod(a, b)


def _range(_: Call, start: Array, limit: Array, delta: Array) -> Array:
    return np.arange(int(start.reshape(())), int(limit.reshape(())), int(delta.reshape(()))).astype(start.dtype)


def _broadcast_args(_: Call, a: Array, b: Array) -> Array:
    return np.array(np.broadcast_shapes(tuple(_indices(a)), tuple(_indices(b))), a.dtype)


def _by_element(function: Callable[..., Any]) -> Callable[..., Array]:
    def apply(_: Call, *operands: Array) -> Array:
        return np.asarray(function(*operands))

    return apply


_COMPUTING: dict[str, Callable[..., Array]] = {
    "BROADCAST_ARGS": _broadcast_args,
    "FLOOR_DIV": _floor_div,
    "FLOOR_MOD": _floor_mod,
    "RANGE": _range,
    "REDUCE_MAX": _reduced(np.max),
    "REDUCE_MIN": _reduced(np.min),
    "REDUCE_PROD": _reduced(np.prod),
    **{
        name: _by_element(function)
        for name, function in {
            "ABS": np.abs,
            "ADD": np.add,
            "EQUAL": np.equal,
            "GREATER": np.greater,
            "GREATER_EQUAL": np.greater_equal,
            "LESS": np.less,
            "LESS_EQUAL": np.less_equal,
            "LOGICAL_AND": np.logical_and,
            "LOGICAL_NOT": np.logical_not,
            "LOGICAL_OR": np.logical_or,
            "MAXIMUM": np.maximum,
            "MINIMUM": np.minimum,
            "MUL": np.multiply,
            "NEG": np.negative,
            "NOT_EQUAL": np.not_equal,
            "SELECT_V2": np.where,
            "SUB": np.subtract,
            "ZEROS_LIKE": np.zeros_like,
        }.items()
    },
}
"""Operators that compute with integers."""

EVALUATED = frozenset((*_MOVING, *_COMPUTING, "CAST", "QUANTIZE"))
"""The operators that `evaluate` may know the results of."""


# Shapes of results that nothing here computes


def _same(_: Call, shapes: Sequence[Shape]) -> Shape:
    return shapes[0]


def _broadcast(_: Call, shapes: Sequence[Shape]) -> Shape:
    return np.broadcast_shapes(*shapes)


def _window(call: Call, shapes: Sequence[Shape]) -> Shape:
    """Of convolutions and pools."""
    batch, *sizes, depth = shapes[0]
    pools = "POOL" in call.name
    window = (call.option("filter_height", 0), call.option("filter_width", 0)) if pools else shapes[1][1:3]
    found: list[int] = []
    for size, length, letter in zip(sizes, window, "hw", strict=True):
        step, dilation = call.option(f"stride_{letter}", 1), call.option(f"dilation_{letter}_factor", 1)
        reach = (length - 1) * dilation + 1
        found.append(-(-size // step) if call.option("padding", "SAME") == "SAME" else (size - reach) // step + 1)
    if call.name == "CONV_2D":
        depth = shapes[1][0]
    elif call.name == "DEPTHWISE_CONV_2D":
        depth = shapes[1][3]
    return (batch, *found, depth)


def _fully_connected(call: Call, shapes: Sequence[Shape]) -> Shape:
    units, depth = shapes[1]
    if call.option("keep_num_dims", False):
        return (*shapes[0][:-1], units)
    count = math.prod(shapes[0])
    if count % depth:
        raise Unknown
    return (count // depth, units)


def _padded(call: Call, shapes: Sequence[Shape]) -> Shape:
    paddings = _read(call.op.operands[1])
    if paddings is None:
        raise Unknown
    return tuple(size + int(pair.sum()) for size, pair in zip(shapes[0], paddings, strict=True))


def _without(call: Call, shapes: Sequence[Shape]) -> Shape:
    """Of reductions."""
    axes = _read(call.op.operands[1])
    if axes is None:
        raise Unknown
    rank = len(shapes[0])
    reduced = {axis % rank for axis in _indices(axes)}
    keep = call.option("keep_dims", False)
    return tuple(1 if at in reduced else size for at, size in enumerate(shapes[0]) if keep or at not in reduced)


def _resized(call: Call, shapes: Sequence[Shape]) -> Shape:
    size = _read(call.op.operands[1])
    if size is None:
        raise Unknown
    batch, _, _, depth = shapes[0]
    return (batch, *_indices(size), depth)


def _product(call: Call, shapes: Sequence[Shape]) -> Shape:
    (*batches, rows, _), (*others, a, b) = shapes[0], shapes[1]
    if call.option("adj_x", False):
        rows = shapes[0][-1]
    return (*np.broadcast_shapes(tuple(batches), tuple(others)), rows, a if call.option("adj_y", False) else b)


_SHAPES: dict[str, Callable[[Call, Sequence[Shape]], Shape]] = {
    **dict.fromkeys(
        """
        ABS CAST CEIL COS CUMSUM DEQUANTIZE ELU EXP FAKE_QUANT FLOOR GELU HARD_SWISH L2_NORMALIZATION LEAKY_RELU LOG
        LOGICAL_NOT LOGISTIC LOG_SOFTMAX NEG QUANTIZE RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIGN SIN SOFTMAX
        SQRT SQUARE TANH ZEROS_LIKE
        """.split(),
        _same,
    ),
    **dict.fromkeys(
        """
        ADD DIV EQUAL FLOOR_DIV FLOOR_MOD GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND LOGICAL_OR MAXIMUM MINIMUM
        MUL NOT_EQUAL POW PRELU SELECT_V2 SQUARED_DIFFERENCE SUB
        """.split(),
        _broadcast,
    ),
    **dict.fromkeys("AVERAGE_POOL_2D CONV_2D DEPTHWISE_CONV_2D MAX_POOL_2D".split(), _window),
    **dict.fromkeys("MEAN REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM".split(), _without),
    **dict.fromkeys("PAD PADV2".split(), _padded),
    **dict.fromkeys("RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR".split(), _resized),
    "BATCH_MATMUL": _product,
    "FULLY_CONNECTED": _fully_connected,
}
