"""
Weight and scale streams of all convolutions of a region, encoded in one batch.

A depth slice becomes one run of bytes: for each core its scale entries, then its weights, each padded to 16. The
OFM block of the kernel decides the order of the weights, so blocks are final when this runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from npuc.analysis.weights import cuts_of, order_of, volume_of
from npuc.dialects.locations import OperationError
from npuc.dialects.npu_schedule import ConvKernelOp, ScalesOp
from npuc.hardware.accelerators import Accelerator, Block


@dataclass(frozen=True)
class WeightSlice:
    """The streams of OFM channels `start` to `end`; ranges are (offset, length) of core 0, core 1 ..."""

    start: int
    end: int
    data: bytes
    weight_ranges: tuple[int, ...]
    scale_ranges: tuple[int, ...]


def encode_weights(
    kernels: Sequence[tuple[ConvKernelOp, Block]], machine: Accelerator
) -> dict[ConvKernelOp, list[WeightSlice]]:
    """The slices of every kernel, given its OFM block."""
    from npuc.hardware.weights import Request, encode, encode_scales

    requests: list[Request] = []
    for op, block in kernels:
        volume, order = volume_of(op), order_of(op, block, machine)
        requests += [(volume[start:end], order) for start, end in pairwise(cuts_of(op))]
    streams = iter(encode(requests))
    found: dict[ConvKernelOp, list[WeightSlice]] = {}
    for op, _ in kernels:
        scales = op.scales.owner
        if not isinstance(scales, ScalesOp):
            raise OperationError(op, "scales must be an npu_schedule.scales")
        bias, multiplier, shift = scales.values
        slices: list[WeightSlice] = []
        for start, end in pairwise(cuts_of(op)):
            data = b""
            weight_ranges: list[int] = []
            scale_ranges: list[int] = []
            for core, stream in enumerate(next(streams)):
                channels = slice(start + core, end, machine.cores)
                entries = encode_scales(bias[channels], multiplier[channels], shift[channels])
                scale_ranges += [len(data), len(entries)]
                data += entries
                weight_ranges += [len(data), len(stream)]
                data += stream
            slices.append(WeightSlice(start, end, data, tuple(weight_ranges), tuple(scale_ranges)))
        found[op] = slices
    return found
