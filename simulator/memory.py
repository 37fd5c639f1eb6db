"""
Memories, regions, and feature maps as strided views of them.

A region is a window of a physical memory; two regions may share bytes (region 1 and 2 where there is no dedicated fast
memory), so ordering is checked on physical bytes. Beside the bytes each memory keeps which of them were ever written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from npuc.hardware import registers
from npuc.simulator.stream import Op, StreamError

# Tiles may show a byte more than once (edge replication), but no map is many times its memory.
_LARGEST = 4


class ExecutionError(StreamError):
    """An operation that cannot be executed, because a rule forbids it or none is known: one line naming the word."""


@dataclass(frozen=True, slots=True)
class Report:
    """
    One rule broken by a stream that could still be executed.

    `kind` is one of hazard, uninitialised, shram, alignment, overflow, inferred (a rule that is not proven decided the
    result), plan (the file lays one tensor over another); `words` are the words of the operations involved, the last of
    them the one that breaks the rule, `operator` the TFLite operator's index.
    """

    kind: str
    message: str
    words: tuple[int, ...]
    operator: int = 0

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class Memory:
    """A physical memory: its bytes, and for each whether it holds anything defined."""

    def __init__(self, name: str, size: int, data: NDArray[np.uint8] | None = None):
        self.name = name
        # Some slack makes views of whole 16-byte bricks at the very end possible; it is never in a region.
        self._store = np.zeros(size + 64, np.uint8) if data is None else data
        self.data = self._store[:size]
        # Zeros cost nothing until they are touched.
        self.written = np.zeros(size, np.bool_) if data is None else np.ones(size, np.bool_)
        self.lanes = np.zeros(size, np.bool_)
        """Where an operation left something undefined in the lanes beside its channels, or a DMA has carried that."""

    @property
    def size(self) -> int:
        return self.data.size


@dataclass(frozen=True, slots=True)
class Region:
    """`size` bytes of a memory from `origin` on, as a base pointer of the NPU sees them."""

    index: int
    memory: Memory
    origin: int
    size: int
    read_only: bool = False

    def __str__(self) -> str:
        return f"region {self.index} ({self.memory.name})"


class Piece(NamedTuple):
    """
    A box of bytes in a memory: as_strided's arguments for a byte view, and its hull [low, high).

    The last axis is contiguous. `y` and `x` place the piece in its feature map (rows and columns, end exclusive),
    `channels` the first channel and their number.
    """

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    low: int
    high: int
    y: tuple[int, int]
    x: tuple[int, int]
    channels: tuple[int, int]

    def view(self, array: NDArray) -> NDArray:
        return as_strided(array[self.offset :], self.shape, self.strides)

    @property
    def dense(self) -> bool:
        """Whether it is every byte of its hull, each once."""
        inner = 1
        for stride, extent in self.axes:
            if stride != inner:
                return False
            inner *= extent
        return True

    @property
    def axes(self) -> list[tuple[int, int]]:
        """(distance of neighbours, extent) of the axes along which it extends, nearest neighbours first."""
        return sorted((abs(stride), n) for stride, n in zip(self.strides, self.shape, strict=True) if n > 1)

    @property
    def folded(self) -> bool:
        """Whether two elements of the box lie at one byte."""
        inner = 1
        for stride, extent in self.axes:
            if stride < inner:
                break
            inner = stride * (extent - 1) + inner
        else:
            return False
        count = math.prod(self.shape)
        if count > self.high - self.low:
            return True
        marks = np.zeros(self.high - self.low, np.bool_)
        as_strided(marks[self.offset - self.low :], self.shape, self.strides)[...] = True
        return int(np.count_nonzero(marks)) < count


class Access(NamedTuple):
    """What one operation reads or writes through one feature map, stream or DMA: pieces of one memory."""

    what: str
    memory: Memory
    pieces: tuple[Piece, ...]
    low: int
    high: int


def pieces_overlap(a: Piece, b: Piece) -> bool:
    """Whether two pieces of one memory have a byte in common, exactly."""
    low, high = max(a.low, b.low), min(a.high, b.high)
    if low >= high:
        return False
    if a.dense and b.dense:
        return True
    # Byte by byte: mark the bytes of one and look at those of the other.
    base = min(a.low, b.low)
    marks = np.zeros(max(a.high, b.high) - base, np.bool_)
    as_strided(marks[a.offset - base :], a.shape, a.strides)[...] = True
    return bool(as_strided(marks[b.offset - base :], b.shape, b.strides).any())


def writes_twice(access: Access) -> bool:
    """Whether an access has a byte twice: what it would hold after a write, no rule tells."""
    pieces = access.pieces
    return any(piece.folded for piece in pieces) or any(pieces_overlap(a, b) for a, b in combinations(pieces, 2))


def span(what: str, region: Region, op: Op, address: int, length: int) -> Access:
    """`length` consecutive bytes of a region; raises ExecutionError if they are not all in it."""
    if address + length > region.size:
        raise ExecutionError(
            f"{op} accesses {what} at bytes {address:#x}..{address + length:#x} of {region}, which has {region.size:#x}"
        )
    low = region.origin + address
    piece = Piece(low, (length,), (1,), low, low + length, (0, 1), (0, 1), (0, length))
    return Access(what, region.memory, (piece,), low, low + length)


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """
    A box of elements as the IFM, IFM2 or OFM registers place it: the first element they address is (0, 0, 0).

    `tiles` are (base, y range, x range) of the rectangles that the box meets, in box coordinates.
    """

    what: str
    region: Region
    op: Op
    dtype: np.dtype
    brick: bool
    height: int
    width: int
    depth: int
    stride_y: int
    stride_x: int
    stride_c: int
    tiles: tuple[tuple[int, tuple[int, int], tuple[int, int]], ...]

    def pieces(
        self, y: tuple[int, int] | None = None, x: tuple[int, int] | None = None, c: tuple[int, int] | None = None
    ) -> Iterator[Piece]:
        """The byte boxes of a sub-box (all of it by default); raises ExecutionError if one leaves the region."""
        element = self.dtype.itemsize
        y_from, y_to = y or (0, self.height)
        x_from, x_to = x or (0, self.width)
        c_from, c_to = c or (0, self.depth)
        for base, (tile_y, end_y), (tile_x, end_x) in self.tiles:
            y0, y1 = max(y_from, tile_y), min(y_to, end_y)
            x0, x1 = max(x_from, tile_x), min(x_to, end_x)
            if y0 >= y1 or x0 >= x1:
                continue
            start = base + (y0 - tile_y) * self.stride_y
            if not self.brick:
                start += (x0 - tile_x) * self.stride_x + c_from * element
                shape = (y1 - y0, x1 - x0, (c_to - c_from) * element)
                strides = (self.stride_y, self.stride_x, 1)
                yield self._piece(start, shape, strides, (y0, y1), (x0, x1), (c_from, c_to))
                continue
            start += (x0 - tile_x) * 16 * element
            # Whole bricks are one box; a first or last brick of which only some channels count is a box of its own.
            first, last = c_from // 16, -(-c_to // 16)
            cuts = {c_from, c_to}
            if c_from % 16:
                cuts.add(min(16 * (first + 1), c_to))
            if c_to % 16:
                cuts.add(max(16 * (last - 1), c_from))
            ordered = sorted(cuts)
            for low, high in pairwise(ordered):
                at = start + low // 16 * self.stride_c + low % 16 * element
                bricks = (high - low) // 16 if low % 16 == 0 and high % 16 == 0 else 1
                lanes = (high - low) * element // bricks
                shape = (y1 - y0, bricks, x1 - x0, lanes)
                strides = (self.stride_y, self.stride_c, 16 * element, 1)
                yield self._piece(at, shape, strides, (y0, y1), (x0, x1), (low, high))

    @property
    def stored_depth(self) -> int:
        """
        Channels up to the end of the last brick.

        What an operation leaves in the lanes beyond `depth` no rule tells; lanes outside the region are nobody's.
        """
        whole = -(-self.depth // 16) * 16
        if not self.brick or whole == self.depth:
            return self.depth
        end = max(piece.high for piece in self.pieces()) + (whole - self.depth) * self.dtype.itemsize
        return whole if end <= self.region.origin + self.region.size else self.depth

    def places_alike(self, other: FeatureMap) -> bool:
        """Whether each element has the same bytes in both maps."""
        return self._places() == other._places()

    def _places(self) -> tuple[object, ...]:
        origin = self.region.origin
        tiles = [(base + origin, y, x) for base, y, x in self.tiles]
        along = self.stride_c if self.brick else self.stride_x
        shape = self.height, self.width, self.depth, self.dtype.itemsize
        return self.region.memory, tiles, self.brick, self.stride_y, along, shape

    def _piece(
        self,
        start: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        y: tuple[int, int],
        x: tuple[int, int],
        channels: tuple[int, int],
    ) -> Piece:
        low, high = start, start + 1
        for extent, stride in zip(shape, strides, strict=True):
            if stride < 0:
                low += (extent - 1) * stride
            else:
                high += (extent - 1) * stride
        if low < 0 or high > self.region.size:
            raise ExecutionError(
                f"{self.op} accesses its {self.what} at bytes {low:#x}..{high:#x} of {self.region}, "
                f"which has {self.region.size:#x}"
            )
        origin = self.region.origin
        return Piece(start + origin, shape, strides, low + origin, high + origin, y, x, channels)

    def access(self, pieces: Sequence[Piece] | None = None) -> Access:
        found = tuple(self.pieces() if pieces is None else pieces)
        return Access(self.what, self.region.memory, found, min(p.low for p in found), max(p.high for p in found))

    def read(self, access: Access) -> NDArray:
        """The elements as an array (height, width, depth), freshly copied."""
        element = self.dtype.itemsize
        if len(access.pieces) == 1 and not self.brick:
            raw = np.ascontiguousarray(self._stored(access.pieces[0]))
            return raw.view(self.dtype).reshape(self.height, self.width, self.depth)
        raw = np.empty((self.height, self.width, self.depth * element), np.uint8)
        for piece in access.pieces:
            self._copy(self._part(raw, piece), self._stored(piece))
        return raw.view(self.dtype)

    def write(self, access: Access, values: NDArray) -> None:
        """Stores (height, width, depth) elements of the map's type."""
        element = self.dtype.itemsize
        raw = np.ascontiguousarray(values).view(np.uint8).reshape(self.height, self.width, self.depth * element)
        for piece in access.pieces:
            self._copy(self._stored(piece), self._part(raw, piece))

    def _part(self, raw: NDArray[np.uint8], piece: Piece) -> NDArray[np.uint8]:
        """The bytes of a piece among those of all elements: rows, columns and channels, in bricks by brick."""
        element = self.dtype.itemsize
        part = raw[slice(*piece.y), slice(*piece.x), piece.channels[0] * element : piece.channels[1] * element]
        if not self.brick:
            return part
        rows, bricks, columns, lanes = piece.shape
        return as_strided(part, (rows, columns, bricks, lanes), (part.strides[0], part.strides[1], lanes, 1))

    def _stored(self, piece: Piece) -> NDArray[np.uint8]:
        """The bytes of a piece in memory, in the same order."""
        view = piece.view(self.region.memory.data)
        return view.transpose(0, 2, 1, 3) if self.brick else view

    def _copy(self, target: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
        if self.brick:
            _copy_lanes(target, source)
        else:
            target[...] = source


def _copy_lanes(target: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
    """Copies bytes whose last axis is contiguous, 16 at a time where the addresses allow."""
    wide = np.dtype(np.complex128)
    lanes = target.shape[3]
    if lanes % 16 == 0 and all(
        array.__array_interface__["data"][0] % 16 == 0 and not any(stride % 16 for stride in array.strides[:3])
        for array in (target, source)
    ):
        target.view(wide)[...] = source.view(wide)
    else:
        target[...] = source


def is_written(access: Access) -> bool:
    """Whether every byte of an access was written before."""
    written = access.memory.written
    if written[access.low : access.high].all():
        return True
    return all(bool(piece.view(written).all()) for piece in access.pieces)


def mark_written(access: Access) -> None:
    written = access.memory.written
    for piece in access.pieces:
        if piece.dense:
            written[piece.low : piece.high] = True
        else:
            piece.view(written)[...] = True


def sign_extend(op: Op, register: str, bits40: bool) -> int:
    """A stride operand as a signed number: from bit 39 on U65, from bit 31 (with a sign-extended param) on U55."""
    value = op.state[register]
    if bits40:
        return value - (1 << 40) if value >> 39 & 1 else value
    low = value & 0xFFFF_FFFF
    signed = low - (1 << 32) if low >> 31 else low
    if value >> 32 not in (0, 0xFF) or (value >> 32 == 0xFF) != (signed < 0):
        raise ExecutionError(f"{op} has NPU_SET_{register} {value:#x}, which does not fit 32 bits")
    return signed


def feature_map(
    op: Op, prefix: str, region: Region, bits40: bool, dtype: np.dtype, size: tuple[int, int, int]
) -> FeatureMap:
    """The feature map that the registers `prefix`_* of an operation describe, for a box of `size` (h, w, c)."""
    state = op.state
    height, width, depth = size
    if height < 1 or width < 1:
        raise ExecutionError(f"{op} has an {prefix} of {height} x {width}: its padding covers all of its input")
    element = dtype.itemsize
    if height * width * depth * element > _LARGEST * region.size + (1 << 20):
        raise ExecutionError(f"{op} has an {prefix} of {height} x {width} x {depth}, far beyond {region}")
    brick = bool(registers.field(prefix + "_PRECISION", "format", state[prefix + "_PRECISION"]))
    width0 = state[prefix + "_WIDTH0_M1"] + 1
    height0 = state[prefix + "_HEIGHT0_M1"] + 1
    height1 = state[prefix + "_HEIGHT1_M1"] + 1
    rectangles = (
        (0, (0, min(height0, height)), (0, min(width0, width))),
        (1, (0, min(height1, height)), (width0, width)),
        (2, (height0, height), (0, min(width0, width))),
        (3, (height1, height), (width0, width)),
    )
    tiles = tuple((state[f"{prefix}_BASE{tile}"], y, x) for tile, y, x in rectangles if y[0] < y[1] and x[0] < x[1])
    stride_y = sign_extend(op, prefix + "_STRIDE_Y", bits40)
    stride_x = sign_extend(op, prefix + "_STRIDE_X", bits40)
    stride_c = sign_extend(op, prefix + "_STRIDE_C", bits40)
    if brick:
        wrong = [base for base, _, _ in tiles if base % 16]
        if wrong or stride_y % 16 or stride_c % 16:
            raise ExecutionError(f"{op} has an NHCWB16 {prefix} whose addresses are no multiples of 16")
    elif any(base % element for base, _, _ in tiles) or stride_y % element or stride_x % element:
        raise ExecutionError(f"{op} has an NHWC {prefix} whose addresses are no multiples of its element size")
    return FeatureMap(prefix, region, op, dtype, brick, height, width, depth, stride_y, stride_x, stride_c, tiles)
