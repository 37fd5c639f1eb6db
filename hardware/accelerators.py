"""
The six Ethos-U55 and Ethos-U65 configurations as data.

Figures that the machine's correct use depends on (micro-blocks, SHRAM banks, granules, configuration word) are those
that real command streams bear out, see docs/hardware.md. The output rates are a performance model's and only steer
choices.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Block(NamedTuple):
    """A box of a feature map: rows, columns, channels."""

    height: int
    width: int
    depth: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.depth}"


class OutputRates(NamedTuple):
    """Cycles that the output stage takes for one OFM element of a kernel, all cores working."""

    binary32: float
    """Elementwise kernel with two 32-bit operands."""
    unary32: float
    """Elementwise kernel with one 32-bit operand."""
    mul_to_32: float
    """MUL with a 32-bit OFM."""
    mul: float
    """Other MUL, and any kernel with 40-bit accumulators."""
    add: float
    """ADD and SUB, whose operands are rescaled."""
    max_pool: float
    other: float
    lut: float
    """Lower bound of whatever looks its results up in a table."""


@dataclass(frozen=True, eq=False)
class Accelerator:
    """
    One configuration of the machine. Instances are compared by identity: take them from `accelerator`.

    SHRAM is counted in banks of 1 KiB, for each core.
    """

    name: str
    """As in `--accelerator-config`, for example `ethos-u55-128`."""
    product: str
    """`U55` or `U65`."""
    macs: int
    """8-bit multiply-accumulates a cycle in one core."""
    cores: int
    ofm_ublock: Block
    """What the MAC array makes at once; OFM blocks are multiples of it."""
    ifm_ublock: Block
    shram_banks: int
    reserved_end_banks: int
    """Banks at the end that always belong to the lookup tables; 0 where accumulators may overlay them."""
    ifm_granule: int
    """The IFM buffer is a multiple of so many banks, for 8- and 16-bit data."""
    ifm32_granule: int
    """The same for 32-bit data."""
    acc32_granule: int
    """The accumulator buffer is a multiple of so many banks, for 32-bit accumulators."""
    acc40_granule: int
    output_rates: OutputRates
    address_bits: int
    max_outstanding_dmas: int
    axi_bytes_per_cycle: int
    """Width of each of the two AXI ports."""
    config_word: int
    """What the machine's CONFIG register reads and the driver payload must repeat."""
    external_dma_alignment: int
    """Bytes to which a DMA's addresses outside SHRAM and its length between such addresses are aligned."""

    reserved_output_banks: int = 2
    """Banks at the start that hold finished OFM elements on their way out."""
    max_outstanding_kernels: int = 2
    id_word: int = 0x10066001
    """Architecture version that the driver payload states: 1.0.6."""

    @property
    def total_macs(self) -> int:
        """8-bit multiply-accumulates a cycle of all cores together."""
        return self.macs * self.cores

    @property
    def lut_base(self) -> int:
        """SHRAM byte address of table 0; table k lies 256 * k bytes further."""
        return (self.shram_banks - LUT_BANKS) * BANK_BYTES

    def __repr__(self) -> str:
        return f"accelerator({self.name!r})"


BANK_BYTES = 1024
LUT_BANKS = 2
"""Banks of lookup tables, at the end of SHRAM."""
TABLE_BYTES = LUT_BANKS * BANK_BYTES
"""All of these banks."""
LUT_SLOT_BYTES = 256
MAX_BLOCK = Block(32, 64, 128)
"""What the block registers can hold."""
MAX_SUBKERNEL = 8
"""A kernel is walked in steps of at most so many rows and columns."""

_RATES_256 = OutputRates(1.125, 0.625, 0.5, 0.375, 0.75, 0.125, 0.25, 1)

ACCELERATORS: dict[str, Accelerator] = {
    acc.name: acc
    for acc in (
        Accelerator(
            name="ethos-u55-32",
            product="U55",
            macs=32,
            cores=1,
            ofm_ublock=Block(1, 1, 4),
            ifm_ublock=Block(1, 1, 8),
            shram_banks=16,
            reserved_end_banks=0,
            ifm_granule=2,
            ifm32_granule=4,
            acc32_granule=4,
            acc40_granule=4,
            output_rates=OutputRates(3, 2, 3, 3, 6, 1, 2, 1),
            address_bits=32,
            max_outstanding_dmas=1,
            axi_bytes_per_cycle=8,
            config_word=0x00001005,
            external_dma_alignment=16,
        ),
        Accelerator(
            name="ethos-u55-64",
            product="U55",
            macs=64,
            cores=1,
            ofm_ublock=Block(1, 1, 8),
            ifm_ublock=Block(1, 1, 8),
            shram_banks=16,
            reserved_end_banks=0,
            ifm_granule=2,
            ifm32_granule=4,
            acc32_granule=4,
            acc40_granule=8,
            output_rates=OutputRates(1.5, 1, 1.5, 1.5, 3, 0.5, 1, 1),
            address_bits=32,
            max_outstanding_dmas=1,
            axi_bytes_per_cycle=8,
            config_word=0x00001006,
            external_dma_alignment=16,
        ),
        Accelerator(
            name="ethos-u55-128",
            product="U55",
            macs=128,
            cores=1,
            ofm_ublock=Block(1, 2, 8),
            ifm_ublock=Block(1, 2, 8),
            shram_banks=24,
            reserved_end_banks=2,
            ifm_granule=4,
            ifm32_granule=8,
            acc32_granule=8,
            acc40_granule=12,
            output_rates=OutputRates(1.25, 0.75, 0.75, 0.75, 1.5, 0.25, 0.5, 1),
            address_bits=32,
            max_outstanding_dmas=1,
            axi_bytes_per_cycle=8,
            config_word=0x00001807,
            external_dma_alignment=16,
        ),
        Accelerator(
            name="ethos-u55-256",
            product="U55",
            macs=256,
            cores=1,
            ofm_ublock=Block(2, 2, 8),
            ifm_ublock=Block(2, 2, 8),
            shram_banks=48,
            reserved_end_banks=2,
            ifm_granule=8,
            ifm32_granule=16,
            acc32_granule=16,
            acc40_granule=20,
            output_rates=_RATES_256,
            address_bits=32,
            max_outstanding_dmas=1,
            axi_bytes_per_cycle=8,
            config_word=0x00003008,
            external_dma_alignment=16,
        ),
        Accelerator(
            name="ethos-u65-256",
            product="U65",
            macs=256,
            cores=1,
            ofm_ublock=Block(2, 2, 8),
            ifm_ublock=Block(2, 2, 8),
            shram_banks=48,
            reserved_end_banks=2,
            ifm_granule=8,
            ifm32_granule=16,
            acc32_granule=16,
            acc40_granule=20,
            output_rates=_RATES_256,
            address_bits=40,
            max_outstanding_dmas=2,
            axi_bytes_per_cycle=16,
            config_word=0x10003008,
            external_dma_alignment=1,
        ),
        Accelerator(
            name="ethos-u65-512",
            product="U65",
            macs=256,
            cores=2,
            ofm_ublock=Block(2, 2, 8),
            ifm_ublock=Block(2, 2, 8),
            shram_banks=48,
            reserved_end_banks=2,
            ifm_granule=8,
            ifm32_granule=16,
            acc32_granule=16,
            acc40_granule=20,
            output_rates=OutputRates(*(rate / 2 for rate in _RATES_256)),
            address_bits=40,
            max_outstanding_dmas=2,
            axi_bytes_per_cycle=16,
            config_word=0x10006009,
            external_dma_alignment=1,
        ),
    )
}


def accelerator(name: str) -> Accelerator:
    """The configuration of that name; ValueError, listing the names that exist, if there is none."""
    found = ACCELERATORS.get(name)
    if found is None:
        raise ValueError(f"unknown accelerator '{name}': expected one of {', '.join(ACCELERATORS)}")
    return found
