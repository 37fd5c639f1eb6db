"""
What the weights of a kernel take in memory: the one oracle of planners and lowering.

A depth slice is one run of bytes: for each core its scale entries, then its weights, each padded to 16. Where
`scales_apart` stands on the kernel the scales are a run of their own, so that kernels with equal weights can share
these. The OFM block of the kernel decides the order of the weights, and so their size. Sizes are remembered as long as
the constant is there, so asking again costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from xdsl.ir import Attribute, SSAValue
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.constants import as_numpy
from npuc.dialects.locations import concerning
from npuc.dialects.npu_schedule import ConstantOp, ConvKernelOp, DepthwiseConv2DOp, KernelOp, ScalesOp, element_of, nhwc
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.shram import largest_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from npuc.hardware.weights import WeightOrder

SCALE_ENTRY = 10
"""Bytes of one channel's bias, multiplier and shift."""
ALIGNMENT = 16
"""Of every stream, in bytes."""

_Slice = tuple["WeightOrder", int, int, int]
"""An order, a zero point, and the first channel of a slice and the one behind it."""
_sizes: WeakKeyDictionary[Attribute, dict[_Slice, int]] = WeakKeyDictionary()
"""By constants the bytes of what has been asked about them before."""


def constant_of(value: SSAValue, what: str) -> NDArray:
    """The array behind a constant operand."""
    if not isinstance(value.owner, ConstantOp):
        raise VerifyException(f"{what} must be an npu_schedule.constant")
    return as_numpy(value.owner.value)


def cuts_of(op: ConvKernelOp) -> tuple[int, ...]:
    """The OFM depths at which the weights are cut: 0 and the whole depth where the kernel is not sliced."""
    return op.slices.data if op.slices is not None else (0, nhwc(op.result)[2])


def block_of(op: KernelOp, machine: Accelerator) -> Block:
    """The OFM block of a kernel: the chosen one, or the largest legal one where no pass has chosen."""
    return op.block.data if op.block is not None else largest_block(machine, op.launch())


def _zero_point(op: ConvKernelOp) -> int:
    return op.weight_zero_point.data[0] if op.weight_zero_point is not None else 0


def volume_of(op: ConvKernelOp) -> NDArray:
    """The weights (O, H, W, I) of a kernel less their zero point, 16 bits each."""
    import numpy as np

    with concerning(op):
        return constant_of(op.weights, "weights").astype(np.int16) - _zero_point(op)


def order_of(op: ConvKernelOp, block: Block, machine: Accelerator) -> WeightOrder:
    """The order in which a kernel of this block reads its weights."""
    from npuc.hardware.weights import WeightOrder

    window = op.sliding
    return WeightOrder(
        kind="depthwise" if isinstance(op, DepthwiseConv2DOp) else "conv",
        part_kernel=op.part_kernel,
        ifm_bits=element_of(op.ifm).bits,
        dilation=(window.dilation_y, window.dilation_x),
        block_depth=block.depth,
        ofm_ublock_depth=machine.ofm_ublock.depth,
        ifm_ublock_depth=machine.ifm_ublock.depth,
        cores=machine.cores,
    )


def weights_key(op: ConvKernelOp, block: Block, machine: Accelerator) -> Hashable:
    """Equal for kernels whose weights, cut alike, are encoded to the same bytes: content, zero point and order."""
    return _content(op.weights), op.weight_zero_point, order_of(op, block, machine)


def weights_key_but_for_depth(op: ConvKernelOp, block: Block, machine: Accelerator) -> Hashable:
    """Equal for kernels that would have equal weights, encoded, if their blocks were equally deep."""
    return weights_key(op, block._replace(depth=machine.ofm_ublock.depth * machine.cores), machine)


def scales_key(op: ConvKernelOp) -> Hashable:
    """Equal for kernels with equal scales."""
    return _content(op.scales)


def _content(constant: SSAValue) -> Hashable:
    """What makes constants equal: their properties; what is none is only equal to itself."""
    owner = constant.owner
    return tuple(owner.properties.items()) if isinstance(owner, ConstantOp | ScalesOp) else constant


def scale_bytes(channels: int, machine: Accelerator) -> int:
    """Bytes of the scale entries of so many channels, over all cores."""
    each = (-(-(channels - core) // machine.cores) * SCALE_ENTRY for core in range(machine.cores))
    return sum(-(-size // ALIGNMENT) * ALIGNMENT for size in each)


def slice_sizes(kernels: Sequence[tuple[ConvKernelOp, Sequence[int]]], machine: Accelerator) -> list[list[int]]:
    """
    Bytes of every slice of every kernel, given the depths at which each is cut: weights of all cores, and scales where
    these are not apart.
    """
    weights = encoded_sizes_of([(op, block_of(op, machine), cuts) for op, cuts in kernels], machine)
    found: list[list[int]] = []
    for (op, cuts), sizes in zip(kernels, weights, strict=True):
        along = op.scales_apart is None
        found.append(
            [
                size + along * scale_bytes(end - start, machine)
                for size, (start, end) in zip(sizes, pairwise(cuts), strict=True)
            ]
        )
    return found


def encoded_sizes_of(
    kernels: Sequence[tuple[ConvKernelOp, Block, Sequence[int]]], machine: Accelerator
) -> list[list[int]]:
    """Bytes of the weights of every slice of every kernel without scales, given its block and where it is cut."""
    from npuc.hardware.weights import Request, encoded_sizes

    asked: list[list[tuple[dict[_Slice, int], _Slice]]] = []
    unknown: dict[tuple[int, _Slice], tuple[dict[_Slice, int], Request]] = {}
    for op, block, cuts in kernels:
        owner, order, zero_point = op.weights.owner, order_of(op, block, machine), _zero_point(op)
        known = _sizes.setdefault(owner.value, {}) if isinstance(owner, ConstantOp) else dict[_Slice, int]()
        slices: list[_Slice] = [(order, zero_point, start, end) for start, end in pairwise(cuts)]
        if any(one not in known for one in slices):
            volume = volume_of(op)
            for one in slices:
                if one not in known:
                    unknown.setdefault((id(known), one), (known, (volume[one[2] : one[3]], order)))
        asked.append([(known, one) for one in slices])
    sizes = encoded_sizes([request for _, request in unknown.values()])
    for (_, one), (known, _), size in zip(unknown, unknown.values(), sizes, strict=True):
        known[one] = sum(size)
    return [[known[one] for known, one in slices] for slices in asked]


def buffer_sizes(slices: Sequence[int], count: int) -> tuple[int, ...]:
    """Bytes of each of `count` buffers that slices of these sizes pass through in turn."""
    return tuple(max(slices[first::count], default=0) for first in range(count))
