"""
Weight and scale streams of all convolutions of a region, encoded in one batch.

A depth slice becomes one run of bytes: for each core its scale entries, then its weights, each padded to 16. The
OFM block of the kernel decides the order of the weights, so blocks are final when this runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from xdsl.ir import SSAValue
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.constants import as_numpy
from npuc.dialects.launch import part_kernel
from npuc.dialects.npu_schedule import ConstantOp, ConvKernelOp, DepthwiseConv2DOp, ScalesOp, element_of, nhwc
from npuc.hardware.accelerators import Accelerator, Block

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class WeightSlice:
    """The streams of OFM channels `start` to `end`; ranges are (offset, length) of core 0, core 1 ..."""

    start: int
    end: int
    data: bytes
    weight_ranges: tuple[int, ...]
    scale_ranges: tuple[int, ...]


def constant_of(value: SSAValue, what: str) -> NDArray:
    """The array behind a constant operand."""
    if not isinstance(value.owner, ConstantOp):
        raise VerifyException(f"{what} must be an npu_schedule.constant")
    return as_numpy(value.owner.value)


def cuts_of(op: ConvKernelOp) -> list[tuple[int, int]]:
    """The OFM channels of each slice, the whole depth where the kernel is not sliced."""
    cuts = op.slices.data if op.slices is not None else (0, nhwc(op.result)[2])
    return list(pairwise(cuts))


def encode_weights(
    kernels: Sequence[tuple[ConvKernelOp, Block]], machine: Accelerator
) -> dict[ConvKernelOp, list[WeightSlice]]:
    """The slices of every kernel, given its OFM block."""
    import numpy as np

    from npuc.hardware.weights import WeightOrder, encode, encode_scales

    requests: list[tuple[NDArray, WeightOrder]] = []
    for op, block in kernels:
        window = op.sliding
        zero_point = op.weight_zero_point.data[0] if op.weight_zero_point is not None else 0
        volume = constant_of(op.weights, "weights").astype(np.int16) - zero_point
        order = WeightOrder(
            kind="depthwise" if isinstance(op, DepthwiseConv2DOp) else "conv",
            part_kernel=part_kernel(op),
            ifm_bits=element_of(op.ifm).bits,
            dilation=(window.dilation_y, window.dilation_x),
            block_depth=block.depth,
            ofm_ublock_depth=machine.ofm_ublock.depth,
            ifm_ublock_depth=machine.ifm_ublock.depth,
            cores=machine.cores,
        )
        requests += [(volume[start:end], order) for start, end in cuts_of(op)]
    streams = iter(encode(requests))
    found: dict[ConvKernelOp, list[WeightSlice]] = {}
    for op, _ in kernels:
        scales = op.scales.owner
        if not isinstance(scales, ScalesOp):
            raise VerifyException("scales must be an npu_schedule.scales")
        fields = (as_numpy(scales.bias), as_numpy(scales.multiplier).astype(np.int64) & 0xFFFFFFFF)
        shift = as_numpy(scales.shift)
        slices: list[WeightSlice] = []
        for start, end in cuts_of(op):
            data = b""
            weight_ranges: list[int] = []
            scale_ranges: list[int] = []
            for core, stream in enumerate(next(streams)):
                channels = slice(start + core, end, machine.cores)
                entries = encode_scales(fields[0][channels], fields[1][channels], shift[channels])
                scale_ranges += [len(data), len(entries)]
                data += entries
                weight_ranges += [len(data), len(stream)]
                data += stream
            slices.append(WeightSlice(start, end, data, tuple(weight_ranges), tuple(scale_ranges)))
        found[op] = slices
    return found
