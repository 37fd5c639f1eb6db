"""
How addresses, strides and lengths must be aligned in memory (docs/hardware.md says what proves each rule).

All figures are bytes. `address` is relative to its region, whose base is itself 16-byte aligned.
"""

from npuc.hardware.accelerators import TABLE_BYTES, Accelerator
from npuc.hardware.shram import Format

ALIGNMENT = 16
"""Of weight streams, scale streams (address and length), region bases, the command stream and NHCWB16 data."""


def feature_map_alignment(format: Format, bits: int) -> int:
    """What the addresses of a feature map's tiles, and its row (and NHCWB16: brick) strides, are multiples of."""
    return ALIGNMENT if format == "nhcwb16" else bits // 8


def address_problem(acc: Accelerator, address: int, length: int) -> str | None:
    """Why `length` bytes at `address` are out of the machine's reach; None if they are not."""
    if address < 0 or address + length > 1 << acc.address_bits:
        return f"bytes {address} to {address + length} are outside the {acc.address_bits}-bit space of {acc.name}"
    return None


def dma_problem(acc: Accelerator, source: int, destination: int, length: int, to_shram: bool = False) -> str | None:
    """Why a one-dimensional DMA is not possible, in one line; None if it is. `to_shram`: to an SHRAM address."""
    if length < 1:
        return f"DMA of {length} bytes"
    outer = acc.external_dma_alignment
    inner = ALIGNMENT if to_shram else outer
    for what, value, step in (
        ("source", source, outer),
        ("destination", destination, inner),
        ("length", length, inner),
    ):
        if value % step:
            return f"DMA {what} {value} is not a multiple of {step} ({acc.name})"
    if to_shram:
        start, end = acc.lut_base, acc.lut_base + TABLE_BYTES
        if not start <= destination <= destination + length <= end:
            return f"DMA to SHRAM bytes {destination} to {destination + length}: tables lie from {start} to {end}"
        return address_problem(acc, source, length)
    return address_problem(acc, source, length) or address_problem(acc, destination, length)
