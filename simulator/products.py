"""
The six products as their payload's config word names them, with what the SHRAM check needs.

Kept apart from the compiler's own table on purpose: the simulator shares only the register map with what it checks.
"""

from __future__ import annotations

from typing import NamedTuple


class Product(NamedTuple):
    """
    What the config word of a payload tells, and what follows from it for SHRAM.

    `macs` counts both cores; `banks` and the granules are per core, in banks of 1 KiB: granules for 8, 16 and 32-bit
    IFM and for 32 and 40-bit accumulators. `ublock` is OFM (height, width, depth); the IFM's is as high and wide.
    """

    name: str
    config: int
    u65: bool
    cores: int
    macs: int
    banks: int
    lut_banks_reserved: bool
    ublock: tuple[int, int, int]
    ifm_granules: tuple[int, int, int]
    acc_granules: tuple[int, int]

    @property
    def lut_base(self) -> int:
        """SHRAM byte where the 2 KiB of lookup tables start, at the end of SHRAM."""
        return (self.banks - 2) * 1024


PRODUCTS: tuple[Product, ...] = (
    Product("ethos-u55-32", 0x00001005, False, 1, 32, 16, False, (1, 1, 4), (2, 2, 4), (4, 4)),
    Product("ethos-u55-64", 0x00001006, False, 1, 64, 16, False, (1, 1, 8), (2, 2, 4), (4, 8)),
    Product("ethos-u55-128", 0x00001807, False, 1, 128, 24, True, (1, 2, 8), (4, 4, 8), (8, 12)),
    Product("ethos-u55-256", 0x00003008, False, 1, 256, 48, True, (2, 2, 8), (8, 8, 16), (16, 20)),
    Product("ethos-u65-256", 0x10003008, True, 1, 256, 48, True, (2, 2, 8), (8, 8, 16), (16, 20)),
    Product("ethos-u65-512", 0x10006009, True, 2, 512, 48, True, (2, 2, 8), (8, 8, 16), (16, 20)),
)
PRODUCT_BY_CONFIG: dict[int, Product] = {product.config: product for product in PRODUCTS}
