"""
A tiny assembler for command streams, so that tests of the simulator need no compiler.

`Assembler` turns operations into a driver payload, `place` gives the registers of a feature map in the arena. The rest
puts maps, weights and scales into bytes, and takes maps out again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from npuc.hardware import registers
from npuc.simulator.products import PRODUCTS, Product

U55_32, U55_64, U55_128, U55_256, U65_256, U65_512 = PRODUCTS
DTYPES = {"u1": (0, 0), "i1": (0, 1), "i2": (1, 1), "i4": (2, 1)}
ARENA, CONSTANTS = 1, 0


class Assembler:
    """Words of a command stream; `kernel` sets every register that the operation reads, with plain defaults."""

    def __init__(self, product: Product = U55_128):
        self.product = product
        self.words: list[int] = []
        if product.u65:
            self.set(PARALLEL_MODE=product.cores - 1)

    def set(self, **values: int) -> None:
        for name, value in values.items():
            self.words += registers.set_words(name, value)

    def op(self, name: str, param: int = 0) -> None:
        self.words.append(registers.operation_word(name, param))

    def dma(self, source: tuple[int, int], target: tuple[int, int], length: int, internal: bool = False) -> None:
        to = registers.pack("DMA0_DST_REGION", region=3, internal=1) if internal else target[0]
        self.set(DMA0_SRC_REGION=source[0], DMA0_SRC=source[1], DMA0_DST_REGION=to, DMA0_DST=target[1])
        self.set(DMA0_LEN=length)
        self.op("DMA_START")

    def kernel(self, name: str, param: int, ofm: dict[str, int], ifm: dict[str, int], **values: int) -> None:
        elementwise = name == "ELEMENTWISE"
        end = self.product.banks - 2
        middle = end // 4 * 2
        # A small block that fits every product: 2 x 2 x 16, inputs below bank 8, accumulators above.
        defaults = {
            **{f"IFM_PAD_{side}": 0 for side in ("TOP", "LEFT", "RIGHT", "BOTTOM")},
            **{"IFM_UPSCALE": 0, "KERNEL_WIDTH_M1": 0, "KERNEL_HEIGHT_M1": 0},
            **{"KERNEL_STRIDE": registers.kernel_stride(1, 1), "IFM_ZERO_POINT": 0, "OFM_ZERO_POINT": 0},
            **{"OFM_BLK_HEIGHT_M1": 1, "OFM_BLK_WIDTH_M1": 1, "OFM_BLK_DEPTH_M1": 15, "ACC_FORMAT": 0},
            **{"IFM_IB_END": end if elementwise else middle, "AB_START": end if elementwise else middle},
            **{"IFM2_IB_START": end // 2 + end // 2 % 2, "ACTIVATION": 0, "BLOCKDEP": 0},
            **{"ACTIVATION_MIN": -32768, "ACTIVATION_MAX": 32767, "WEIGHT_REGION": 0, "SCALE_REGION": 0},
            **{"OFM_SCALE": 1, "OPA_SCALE": 1, "OPB_SCALE": 1, "IFM2_BROADCAST": 0, "IFM2_ZERO_POINT": 0},
        }
        self.set(**{**defaults, **ofm, **ifm, **values})
        self.op(name, param)

    def payload(self) -> bytes:
        words = [*self.words, registers.operation_word("STOP", registers.STOP_PARAM)]
        head = [registers.PAYLOAD_FOURCC, 1, self.product.config, 0x10066001, 5, 5, 5]
        head.append(registers.ACTION_COMMAND_STREAM | (len(words) >> 16) << 8 | (len(words) & 0xFFFF) << 16)
        return struct.pack(f"<{len(head) + len(words)}I", *head, *words)


def place(prefix: str, base: int, shape: tuple[int, int, int], dtype: str = "i1", brick: bool = False, **fields: int):
    """Registers of a feature map at `base` of the arena, whole, with default strides."""
    height, width, depth = shape
    size = np.dtype(dtype).itemsize
    precision, signed = DTYPES[dtype]
    slots = -(-depth // 16) * 16
    found = {
        f"{prefix}_REGION": ARENA,
        **{f"{prefix}_BASE{tile}": base if tile == 0 else 0 for tile in range(4)},
        f"{prefix}_WIDTH0_M1": width - 1,
        f"{prefix}_HEIGHT0_M1": height - 1,
        f"{prefix}_HEIGHT1_M1": height - 1,
        f"{prefix}_STRIDE_X": 16 * size if brick else depth * size,
        f"{prefix}_STRIDE_Y": width * slots * size if brick else width * depth * size,
        f"{prefix}_STRIDE_C": 16 * width * size if brick else size,
        f"{prefix}_PRECISION": registers.pack(
            f"{prefix}_PRECISION", type=signed, precision=precision, format=int(brick), **fields
        ),
    }
    if prefix == "OFM":
        found |= {"OFM_HEIGHT_M1": height - 1, "OFM_WIDTH_M1": width - 1, "OFM_DEPTH_M1": depth - 1}
    if prefix == "IFM":
        found["IFM_DEPTH_M1"] = depth - 1
    return found


def to_bytes(values: np.ndarray, brick: bool = False) -> np.ndarray:
    if brick:
        height, width, depth = values.shape
        padded = np.zeros((height, width, -(-depth // 16) * 16), values.dtype)
        padded[..., :depth] = values
        values = padded.reshape(height, width, -1, 16).transpose(0, 2, 1, 3)
    return np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)


def from_bytes(data: np.ndarray, shape: tuple[int, int, int], dtype: str = "i1", brick: bool = False) -> np.ndarray:
    height, width, depth = shape
    if not brick:
        return data[: height * width * depth * np.dtype(dtype).itemsize].view(dtype).reshape(shape)
    slots = -(-depth // 16)
    size = height * width * slots * 16 * np.dtype(dtype).itemsize
    bricks = data[:size].view(dtype).reshape(height, slots, width, 16)
    return bricks.transpose(0, 2, 1, 3).reshape(height, width, slots * 16)[..., :depth]


def arena(*parts: tuple[int, np.ndarray], size: int = 1 << 16) -> np.ndarray:
    data = np.zeros(size, np.uint8)
    for offset, part in parts:
        data[offset : offset + part.size] = part
    return data


def plain_stream(weights: list[int]) -> bytes:
    value, position = 0, 0
    fields = [(6, 3), (len(weights) - 1, 15), (7, 3), (0, 1), (1, 1), (0, 5), (0, 5), (7, 3)]
    fields += [(2 * w if w >= 0 else 1 - 2 * w, 9) for w in weights]
    for bits, width in [*fields, (7, 3)]:
        value |= bits << position
        position += width
    total = -(-position // 128) * 128
    return (value | ((1 << total) - (1 << position))).to_bytes(total // 8, "little")


def scale_bytes(bias: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> bytes:
    entries = b"".join(
        int(b).to_bytes(5, "little", signed=True) + int(s).to_bytes(4, "little") + bytes([int(h)])
        for b, s, h in zip(bias, scale, shift, strict=True)
    )
    return entries + b"\0" * (-len(entries) % 16)


def each(function: Callable[..., int], *arrays: np.ndarray) -> np.ndarray:
    return np.array(np.vectorize(lambda *values: function(*map(int, values)), otypes=[object])(*arrays), np.int64)


def random_map(seed: int, shape: tuple[int, ...], dtype: str = "i1") -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype, endpoint=True)
