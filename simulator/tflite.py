"""
Reads a TFLite file: what the simulator needs of it, by code of its own, from the bytes.

The flatbuffer is walked with every offset checked, so that a damaged file is one FileError and never a crash.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from npuc.simulator.stream import StreamError

CUSTOM = 32
ETHOS_U = "ethos-u"
_HANDLES = (13, 14)
ETHOS_U_OPTIONS = b"\x01\x04\x01"
OFFLINE_ALLOCATION = "OfflineMemoryAllocation"
# Far beyond any network's, and small enough for the machine that runs it.
LARGEST_TENSOR = 1 << 30
DTYPES: dict[int, str] = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    7: "int16",
    8: "complex64",
    9: "int8",
    10: "float64",
    12: "uint64",
    15: "uint32",
    16: "uint16",
}


class FileError(StreamError):
    """A file that is no TFLite model, or a damaged one: one line."""


class _Table:
    """One flatbuffer table; fields by their id in the schema."""

    def __init__(self, data: bytes, position: int):
        self.data = data
        self.position = position
        vtable = position - self._at("<i", position)
        length = self._at("<H", vtable)
        if length < 4 or length % 2:
            raise FileError(f"damaged flatbuffer: vtable of {length} bytes at byte {vtable}")
        self.fields = [self._at("<H", vtable + i) for i in range(4, length, 2)]

    def _at(self, kind: str, position: int) -> int:
        if position < 0 or position + struct.calcsize(kind) > len(self.data):
            raise FileError(f"damaged flatbuffer: reference to byte {position} of {len(self.data)}")
        return struct.unpack_from(kind, self.data, position)[0]

    def where(self, index: int) -> int | None:
        if index >= len(self.fields) or not self.fields[index]:
            return None
        return self.position + self.fields[index]

    def scalar(self, index: int, kind: str, default: int) -> int:
        where = self.where(index)
        return default if where is None else self._at(kind, where)

    def follow(self, index: int) -> int | None:
        where = self.where(index)
        return None if where is None else where + self._at("<I", where)

    def vector(self, index: int, size: int) -> tuple[int, int]:
        """(position of the first element, number of elements)."""
        where = self.follow(index)
        if where is None:
            return 0, 0
        count = self._at("<I", where)
        if where + 4 + count * size > len(self.data):
            raise FileError(f"damaged flatbuffer: vector of {count} elements at byte {where} ends beyond the file")
        return where + 4, count

    def array(self, index: int, dtype: str) -> NDArray:
        start, count = self.vector(index, np.dtype(dtype).itemsize)
        return np.frombuffer(self.data, dtype, count, start)

    def text(self, index: int) -> str:
        start, count = self.vector(index, 1)
        return self.data[start : start + count].decode("utf-8", "replace")

    def table(self, index: int) -> _Table | None:
        where = self.follow(index)
        return None if where is None else _Table(self.data, where)

    def tables(self, index: int) -> list[_Table]:
        start, count = self.vector(index, 4)
        return [_Table(self.data, at + self._at("<I", at)) for at in range(start, start + 4 * count, 4)]


@dataclass(frozen=True)
class Tensor:
    """
    A tensor of a subgraph.

    `data` holds the constant's bytes or None, `offset` its place in the arena or None. `scale` and `zero_point` are
    per-tensor quantisation (0.0 and 0 where there is none; the first of each for per-axis ones). `is_handle` says that
    it stands for a resource or a variant, whose contents are elsewhere, `is_sparse` that `data` holds only what is not
    zero.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    data: NDArray[np.uint8] | None
    is_variable: bool
    scale: float
    zero_point: int
    offset: int | None = None
    is_handle: bool = False
    is_sparse: bool = False

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Operator:
    """An operator of subgraph 0; `kind` is its custom code, or its builtin code as a number in text."""

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: bytes

    @property
    def is_npu(self) -> bool:
        return self.kind == ETHOS_U


@dataclass(frozen=True)
class CompiledModel:
    """Subgraph 0 of a TFLite file, with the arena offsets of its metadata. `source` is the file's bytes."""

    source: bytes = field(repr=False)
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @cached_property
    def npu_operators(self) -> tuple[Operator, ...]:
        return tuple(operator for operator in self.operators if operator.is_npu)


def _contents(buffer: _Table) -> NDArray[np.uint8] | None:
    """A buffer's bytes, which may lie behind the flatbuffer; None if it has none."""
    start, size = buffer.scalar(1, "<Q", 0), buffer.scalar(2, "<Q", 0)
    if start <= 1:
        data = buffer.array(0, "u1")
        return data if data.size else None
    if start + size > len(buffer.data):
        raise FileError(f"damaged flatbuffer: a buffer of {size} bytes at byte {start} ends beyond the file")
    return np.frombuffer(buffer.data, np.uint8, size, start)


def _tensor(index: int, table: _Table, buffers: list[_Table], offset: int | None) -> Tensor:
    kind = table.scalar(1, "<b", 0)
    buffer = table.scalar(2, "<I", 0)
    if buffer >= len(buffers):
        raise FileError(f"tensor {index} refers to buffer {buffer} of {len(buffers)}")
    data = _contents(buffers[buffer]) if buffer else None
    shape = tuple(int(n) for n in table.array(0, "<i4"))
    # Unknown element types (strings, 4-bit ...) can only pass by the NPU, on the CPU.
    dtype = np.dtype(DTYPES.get(kind, "V1"))
    if math.prod(map(abs, shape)) * dtype.itemsize > LARGEST_TENSOR:
        raise FileError(f"tensor {index} {table.text(3)!r} of shape {shape} is larger than {LARGEST_TENSOR >> 20} MiB")
    quantisation = table.table(4)
    scales = quantisation.array(2, "<f4") if quantisation else np.zeros(0)
    zeros = quantisation.array(3, "<i8") if quantisation else np.zeros(0)
    return Tensor(
        index,
        table.text(3),
        shape,
        dtype,
        data,
        bool(table.scalar(5, "<B", 0)),
        float(scales[0]) if scales.size else 0.0,
        int(zeros[0]) if zeros.size else 0,
        offset,
        kind in _HANDLES,
        table.table(6) is not None,
    )


def _operator(index: int, table: _Table, codes: list[_Table]) -> Operator:
    code = table.scalar(0, "<I", 0)
    if code >= len(codes):
        raise FileError(f"operator {index} refers to operator code {code} of {len(codes)}")
    builtin = max(codes[code].scalar(0, "<b", 0), codes[code].scalar(3, "<i", 0))
    return Operator(
        index,
        codes[code].text(1) if builtin == CUSTOM else str(builtin),
        tuple(int(i) for i in table.array(1, "<i4")),
        tuple(int(i) for i in table.array(2, "<i4")),
        table.array(5, "u1").tobytes(),
    )


def _offline_offsets(model: _Table, buffers: list[_Table]) -> NDArray[np.int32] | None:
    for entry in model.tables(6):
        if entry.text(0) == OFFLINE_ALLOCATION:
            buffer = entry.scalar(1, "<I", 0)
            if buffer >= len(buffers):
                raise FileError(f"metadata refers to buffer {buffer} of {len(buffers)}")
            data = buffers[buffer].array(0, "u1")
            words = np.frombuffer(data[: data.size & ~3].tobytes(), "<i4")
            if data.size % 4 or words.size < 3 or words[0] != 0 or words.size != 3 + int(words[2]):
                raise FileError(f"{OFFLINE_ALLOCATION} metadata of {data.size} bytes does not hold what it announces")
            return words[3:]
    return None


def initial_state(model: CompiledModel) -> dict[int, NDArray]:
    """
    What variable tensors hold before the first inference: 8-bit ones their zero point, others zero. Not those that the
    caller gives.

    Raises FileError for a zero point that the type does not hold.
    """
    state: dict[int, NDArray] = {}
    for tensor in model.tensors:
        if tensor.is_variable and tensor.data is None and tensor.index not in model.inputs:
            start = tensor.zero_point if tensor.dtype.itemsize == 1 else 0
            if tensor.dtype.kind in "iu" and not np.iinfo(tensor.dtype).min <= start <= np.iinfo(tensor.dtype).max:
                raise FileError(f"variable tensor {tensor.name!r} has zero point {start}, no {tensor.dtype.name}")
            state[tensor.index] = np.full(tensor.shape, start, tensor.dtype)
    return state


def read_model(data: bytes) -> CompiledModel:
    """Reads a TFLite file from its bytes; raises FileError."""
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise FileError("not a TFLite file: the identifier TFL3 is absent")
    model = _Table(data, struct.unpack_from("<I", data)[0])
    subgraphs = model.tables(2)
    if not subgraphs:
        raise FileError("the file has no subgraph")
    main = subgraphs[0]
    buffers = model.tables(4)
    codes = model.tables(1)
    tables = main.tables(0)
    planned = _offline_offsets(model, buffers)
    offsets: Callable[[int], int | None] = lambda _: None  # noqa: E731
    if planned is not None:
        if planned.size < len(tables):
            raise FileError(f"{OFFLINE_ALLOCATION} metadata plans {planned.size} tensors of {len(tables)}")
        offsets = lambda i: int(planned[i]) if planned[i] >= 0 else None  # noqa: E731
    tensors = tuple(_tensor(i, table, buffers, offsets(i)) for i, table in enumerate(tables))
    operators = tuple(_operator(i, table, codes) for i, table in enumerate(main.tables(3)))
    inputs = tuple(int(i) for i in main.array(1, "<i4"))
    outputs = tuple(int(i) for i in main.array(2, "<i4"))
    for operator in operators:
        for index in (*operator.inputs, *operator.outputs):
            if not -1 <= index < len(tensors):
                raise FileError(f"operator {operator.index} refers to tensor {index} of {len(tensors)}")
    for index in (*inputs, *outputs):
        if not 0 <= index < len(tensors):
            raise FileError(f"subgraph 0 refers to tensor {index} of {len(tensors)}")
    return CompiledModel(data, tensors, operators, inputs, outputs)
