"""
What the machine must know of one kernel launch, and the SHRAM that a launch in blocks of a given size needs.

SHRAM holds, from its start: finished OFM elements on their way out (2 banks), the input buffer, free space, the
accumulators, the lookup tables (last 2 banks). Input buffer and accumulators are doubled, so that one block is fetched
while another is worked on. A block is legal if input buffer and accumulators do not meet. Elementwise kernels have no
accumulators but a second input buffer.

The formulas are those that the IFM_IB_END, IFM2_IB_START and AB_START registers of real command streams bear out
(docs/hardware.md). All sizes are in elements, heights before widths before depths; SHRAM positions in banks of 1 KiB.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from npuc.hardware.accelerators import LUT_BANKS, MAX_BLOCK, MAX_SUBKERNEL, Accelerator, Block
from npuc.hardware.limits import CONVOLUTION, MAX_AFTER, MAX_BEFORE, MAX_DILATION, MAX_EXTENT, MAX_STRIDE, POOL

Kind = Literal["conv", "depthwise", "max_pool", "avg_pool", "reduce_sum", "elementwise"]
Operation = Literal["", "mul", "add", "sub", "min", "max", "lrelu", "abs", "clz", "shr", "shl"]
Upscale = Literal["none", "nearest", "zeros"]
Format = Literal["nhwc", "nhcwb16"]

UNARY_OPERATIONS = ("lrelu", "abs", "clz")
POOLS = ("max_pool", "avg_pool")
BRICK = 16
"""Channels of a brick of NHCWB16; OFM blocks that do not reach the full depth are multiples of it."""
MICRO_BLOCK_DEPTH = 8
"""Channels of an IFM micro-block: the machine takes as long for one that is partly empty."""


class Dims(NamedTuple):
    """The extent of a feature map of batch 1."""

    height: int
    width: int
    depth: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.depth}"

    @property
    def elements(self) -> int:
        return self.height * self.width * self.depth


class Kernel(NamedTuple):
    """
    One kernel launch, as far as placing, checking and costing it need.

    A fully connected layer is a `conv` of 1x1. Pairs are (height, width).
    """

    kind: Kind
    ifm: Dims
    """As in memory: without padding, before upscaling."""
    ofm: Dims
    kernel: tuple[int, int] = (1, 1)
    """Before dilation."""
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, bottom, left, right, in rows and columns of the upscaled IFM."""
    operation: Operation = ""
    """What an elementwise kernel computes."""
    ifm_bits: int = 8
    ofm_bits: int = 8
    upscale: Upscale = "none"
    ifm2: Dims | None = None
    """The second operand of a binary elementwise kernel, which broadcasts where it is 1."""
    ifm2_scalar: bool = False
    """The second operand is one number in a register; `ifm2` is ignored."""
    lut: bool = False
    """Results are looked up in a table."""
    part_kernel: bool = False
    """Weights are ordered by kernel element first, which suits an IFM of few channels."""
    ifm_format: Format = "nhwc"
    ifm2_format: Format = "nhwc"
    ofm_format: Format = "nhwc"
    ifm_apart: bool = False
    """Columns of the IFM, in nhwc, do not follow each other in memory: each is a run of bytes of its own."""
    ifm2_apart: bool = False
    ofm_apart: bool = False

    @property
    def binary(self) -> bool:
        """Reads two operands, one of which may be a scalar."""
        return self.kind == "elementwise" and self.operation not in UNARY_OPERATIONS

    @property
    def dilated(self) -> tuple[int, int]:
        """Kernel rows and columns including the gaps of dilation."""
        return (
            self.dilation[0] * (self.kernel[0] - 1) + 1,
            self.dilation[1] * (self.kernel[1] - 1) + 1,
        )

    @property
    def by_channel(self) -> bool:
        """Each OFM channel depends on the IFM channel of the same number only."""
        return self.kind not in ("conv", "reduce_sum")


class ShramLayout(NamedTuple):
    """Where the buffers of a kernel lie in SHRAM, in banks: the values of the registers of similar name."""

    ib_end: int
    ib2_start: int
    """Start of the second operand's buffer; register IFM2_IB_START, meaningful only with a second feature map."""
    ab_start: int
    lut_start: int


def round_up(value: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `value`."""
    return -(-value // step) * step


def prefers_part_kernel(ifm_depth: int, kernel: tuple[int, int], ifm_bits: int) -> bool:
    """
    Whether a convolution with this (undilated) kernel (height, width) wastes less of the MAC array part-kernel-first.

    Depthwise and fully connected kernels are always walked depth-first. Any answer is exact as long as the kernel
    register says the same as the stream.
    """
    if ifm_depth <= 8:
        return True
    elements = kernel[0] * kernel[1]
    elements_rounded = round_up(elements, 2 if ifm_bits == 16 else 4)
    depth_part_kernel = round_up(ifm_depth, 8)
    depth_first = round_up(ifm_depth, 16 if ifm_bits == 16 else 32)
    # Used share of the array, part-kernel-first against depth-first, kept in integers.
    return ifm_depth * elements * depth_first >= ifm_depth * depth_part_kernel * elements_rounded


def acc_bits(kernel: Kernel) -> int:
    """Width of the accumulators: 40 if 16-bit elements are summed up with weights or over an area, else 32."""
    return 40 if kernel.ifm_bits == 16 and kernel.kind not in POOLS else 32


def ifm_block(acc: Accelerator, kernel: Kernel, block: Block) -> Block:
    """The part of the IFM that is in SHRAM at once to make an OFM block; rows and columns before upscaling."""
    upscale = 1 if kernel.upscale == "none" else 2
    nearest = 1 if kernel.upscale == "nearest" else 0
    dilated_height, dilated_width = kernel.dilated
    height = (block.height - 1) * kernel.stride[0] + min(dilated_height, MAX_SUBKERNEL) + nearest
    width = (block.width - 1) * kernel.stride[1] + min(dilated_width, MAX_SUBKERNEL) + nearest
    if kernel.by_channel:
        depth = block.depth
    elif kernel.ifm_bits == 16:
        depth = round_up(min(kernel.ifm.depth, 16), 4)
    else:
        depth = round_up(min(kernel.ifm.depth, 16 if kernel.part_kernel else 32), 8)
    return Block(
        round_up(-(-height // upscale), acc.ofm_ublock.height),
        round_up(-(-width // upscale), acc.ofm_ublock.width),
        depth,
    )


def _layout(acc: Accelerator, kernel: Kernel, block: Block) -> ShramLayout:
    """Where the buffers would lie, whether or not they fit."""
    lut_start = acc.shram_banks - max(acc.reserved_end_banks, LUT_BANKS if kernel.lut else 0)
    height, width, depth = ifm_block(acc, kernel, block)
    ifm_bytes = height * width * round_up(-(-depth * kernel.ifm_bits // 8), 8)
    ifm_granule = acc.ifm32_granule if kernel.ifm_bits == 32 else acc.ifm_granule
    ifm_end = acc.reserved_output_banks + round_up(2 * -(-ifm_bytes // 1024), ifm_granule)
    if kernel.kind == "elementwise":
        return ShramLayout(lut_start, ifm_end, lut_start, lut_start)
    bits = acc_bits(kernel)
    # A micro-block of two rows makes only one of a one-row OFM (the register still says two).
    one_row = kernel.ofm.height == 1 and kernel.kernel[0] == 1 and acc.ofm_ublock.height == 2
    acc_bytes = (1 if one_row else block.height) * block.width * round_up(block.depth, 8) * bits // 8
    acc_granule = acc.acc40_granule if bits == 40 else acc.acc32_granule
    ab_start = lut_start - round_up(2 * -(-acc_bytes // 1024), acc_granule)
    return ShramLayout(ifm_end, ifm_end, ab_start, lut_start)


def _fits(acc: Accelerator, kernel: Kernel, plan: ShramLayout) -> bool:
    if kernel.kind != "elementwise":
        return plan.ib_end <= plan.ab_start
    # Unary kernels, too, are given room for a second operand.
    buffers = 1 if kernel.ifm2_scalar and kernel.binary else 2
    start = acc.reserved_output_banks
    return start + buffers * (plan.ib2_start - start) <= plan.lut_start


def _shape_problem(acc: Accelerator, kernel: Kernel, block: Block) -> str | None:
    """Why the machine or the order of weights cannot take such a block, whatever SHRAM it needs."""
    for what, size, step, most in zip(("height", "width", "depth"), block, acc.ofm_ublock, MAX_BLOCK, strict=True):
        if not 1 <= size <= most or size % step:
            return f"block {what} {size} is not a multiple of {step} from {step} to {most} ({acc.name})"
    if block.depth < kernel.ofm.depth and block.depth % BRICK:
        return f"block depth {block.depth} is neither a multiple of {BRICK} nor all of OFM depth {kernel.ofm.depth}"
    return None


def layout(acc: Accelerator, kernel: Kernel, block: Block) -> ShramLayout | None:
    """The SHRAM layout for `kernel` in OFM blocks of `block`, None if the block is illegal (`illegal_reason`)."""
    if _shape_problem(acc, kernel, block) is not None:
        return None
    plan = _layout(acc, kernel, block)
    return plan if _fits(acc, kernel, plan) else None


def illegal_reason(acc: Accelerator, kernel: Kernel, block: Block) -> str | None:
    """Why `block` is illegal for `kernel`, in one line; None if it is legal."""
    problem = _shape_problem(acc, kernel, block)
    if problem is not None:
        return problem
    plan = _layout(acc, kernel, block)
    if _fits(acc, kernel, plan):
        return None
    start = acc.reserved_output_banks
    ifm = plan.ib2_start - start
    if kernel.kind == "elementwise":
        need = f"operands of {ifm} banks"
    else:
        need = f"input of {ifm} and accumulators of {plan.lut_start - plan.ab_start} banks"
    return f"block {block} needs more SHRAM than {acc.name} has: {need} in {plan.lut_start - start}"


@lru_cache(maxsize=4096)
def block_extents(acc: Accelerator, ofm: Dims) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """The heights, widths and depths that blocks of such an OFM may have, ascending."""
    unit = acc.ofm_ublock
    heights = range(unit.height, min(MAX_BLOCK.height, round_up(ofm.height, unit.height)) + 1, unit.height)
    widths = range(unit.width, min(MAX_BLOCK.width, round_up(ofm.width, unit.width)) + 1, unit.width)
    whole = round_up(ofm.depth, unit.depth)
    depths = [*range(BRICK, min(MAX_BLOCK.depth + 1, whole), BRICK)]
    if whole <= MAX_BLOCK.depth:
        depths.append(whole)
    return heights, widths, tuple(depths)


def legal_blocks(acc: Accelerator, kernel: Kernel) -> Iterator[Block]:
    """
    The OFM blocks that `kernel` may be launched with, no larger than its OFM needs.

    Ascending by depth, then height, then width. There is none only if `kernel_problem` has something to say.
    """
    heights, widths, depths = block_extents(acc, kernel.ofm)
    for depth in depths:
        for height in heights:
            for width in widths:
                block = Block(height, width, depth)
                if not _fits(acc, kernel, _layout(acc, kernel, block)):
                    break  # a wider one needs no less
                yield block


def largest_block(acc: Accelerator, kernel: Kernel) -> Block:
    """The largest legal block: what a kernel gets that nobody has chosen one for. ValueError if there is none."""
    return max(legal_blocks(acc, kernel), key=lambda b: (b.height * b.width * b.depth, b))


def kernel_problem(acc: Accelerator, kernel: Kernel) -> str | None:
    """What the machine cannot do about `kernel`, in one line; None if it can be launched."""
    return (
        _type_problem(kernel)
        or _extent_problem(kernel)
        or _window_problem(kernel)
        or _operand_problem(kernel)
        or (
            "reduce_sum of two cores or 32 bits reads nhwc only"
            if kernel.kind == "reduce_sum" and kernel.ifm_format != "nhwc" and (acc.cores > 1 or kernel.ifm_bits == 32)
            else None
        )
        or (
            None
            if any(True for _ in legal_blocks(acc, kernel))
            else f"no block of the kernel fits the SHRAM of {acc.name}"
        )
    )


def _type_problem(kernel: Kernel) -> str | None:
    kind, ifm, ofm = kernel.kind, kernel.ifm_bits, kernel.ofm_bits
    if ifm not in (8, 16, 32) or ofm not in (8, 16, 32):
        return f"elements of {ifm} and {ofm} bits: only 8, 16 and 32 exist"
    if kind in ("conv", "depthwise") and ifm == 32:
        return f"{kind} does not take a 32-bit IFM"
    if kind == "max_pool" and (ifm == 32 or ifm != ofm):
        return f"max_pool from {ifm} to {ofm} bits: both must be 8 or both 16"
    if kind == "avg_pool" and 32 in (ifm, ofm) and not kernel.lut:
        return f"avg_pool from {ifm} to {ofm} bits: both must be 8 or 16"
    if kernel.operation in ("clz", "shl") and (ifm, ofm) != (32, 32):
        return f"{kernel.operation} from {ifm} to {ofm} bits: both must be 32"
    if kernel.operation == "shr" and ifm != 32:
        return f"shr of {ifm} bits: the IFM must be 32"
    return None


def _extent_problem(kernel: Kernel) -> str | None:
    for name, dims in (("IFM", kernel.ifm), ("OFM", kernel.ofm), ("IFM2", kernel.ifm2)):
        if dims is not None and not all(1 <= size <= MAX_EXTENT for size in dims):
            return f"{name} {dims}: each dimension must be 1 to {MAX_EXTENT}"
    return None


def _window_problem(kernel: Kernel) -> str | None:
    """Kernel, stride, dilation and padding against their limits and against the feature maps."""
    kind = kernel.kind
    kernel_height, kernel_width = kernel.kernel
    height, width = kernel.dilated
    if kind in ("elementwise", "reduce_sum"):
        if (kernel.kernel, kernel.stride, kernel.dilation) != ((1, 1), (1, 1), (1, 1)) or any(kernel.pad):
            return f"{kind} has no kernel, stride, dilation or padding"
    if kind == "elementwise" and kernel.upscale != "none":
        return "elementwise does not upscale"
    if not all(1 <= stride <= MAX_STRIDE for stride in kernel.stride):
        return f"stride {kernel.stride[0]}x{kernel.stride[1]}: each must be 1 to {MAX_STRIDE}"
    if not all(1 <= dilation <= MAX_DILATION for dilation in kernel.dilation):
        return f"dilation {kernel.dilation[0]}x{kernel.dilation[1]}: each must be 1 or {MAX_DILATION}"
    if kernel_height < 1 or kernel_width < 1:
        return f"kernel {kernel_height}x{kernel_width} is empty"
    most_rows, most_elements = CONVOLUTION if kind in ("conv", "depthwise") else POOL
    if height > most_rows or height * width > most_elements:
        return f"{kind} kernel {height}x{width}: at most {most_rows} rows and {most_elements} elements, dilated"
    top, bottom, left, right = kernel.pad
    if kind == "avg_pool" and any(kernel.pad) and max(height, width) > MAX_SUBKERNEL:
        return f"padded avg_pool kernel {height}x{width}: at most {MAX_SUBKERNEL}x{MAX_SUBKERNEL}"
    limits = (
        ("top", top, MAX_BEFORE),
        ("bottom", bottom, MAX_AFTER),
        ("left", left, MAX_BEFORE),
        ("right", right, MAX_AFTER),
    )
    for name, pad, most in limits:
        if not 0 <= pad <= most:
            return f"padding of {pad} at the {name}: must be 0 to {most}"
    upscale = 1 if kernel.upscale == "none" else 2
    if kind != "elementwise":
        # The machine has no register for the IFM's extent: it follows from OFM, kernel and padding.
        rows = (kernel.ofm.height - 1) * kernel.stride[0] + height - top - bottom
        columns = (kernel.ofm.width - 1) * kernel.stride[1] + width - left - right
        if rows > kernel.ifm.height * upscale or columns > kernel.ifm.width * upscale:
            return f"OFM {kernel.ofm} needs {rows}x{columns} of an IFM that has " + (
                f"{kernel.ifm.height * upscale}x{kernel.ifm.width * upscale}"
            )
        if rows < 1 or columns < 1:
            return f"OFM {kernel.ofm} would be made of padding only"
    return None


def _operand_problem(kernel: Kernel) -> str | None:
    ifm, ofm, ifm2 = kernel.ifm, kernel.ofm, kernel.ifm2
    if (kernel.operation == "") == (kernel.kind == "elementwise"):
        return "elementwise, and nothing else, names an operation"
    if kernel.kind == "reduce_sum" and ofm.depth != 1:
        return f"reduce_sum makes an OFM of depth 1, not {ofm.depth}"
    if kernel.kind in ("depthwise", *POOLS) and ifm.depth != ofm.depth:
        return f"{kernel.kind} from depth {ifm.depth} to {ofm.depth}: both must be equal"
    if kernel.kind == "elementwise" and ifm != ofm:
        return f"IFM {ifm} is not of the extent of OFM {ofm}; only IFM2 is broadcast"
    if kernel.binary and not kernel.ifm2_scalar:
        if ifm2 is None:
            return f"{kernel.operation} needs a second operand"
        if any(size not in (1, full) for size, full in zip(ifm2, ofm, strict=True)):
            return f"IFM2 {ifm2} does not broadcast to OFM {ofm}"
    if not kernel.binary and (ifm2 is not None or kernel.ifm2_scalar):
        return f"{kernel.operation or kernel.kind} has no second operand"
    return None
