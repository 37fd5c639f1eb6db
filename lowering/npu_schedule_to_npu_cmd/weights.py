"""
Weight and scale streams of all convolutions of a region, encoded in one batch.

A depth slice becomes one run of bytes: for each core its scale entries, then its weights, each padded to 16; two runs
where `scales_apart` stands on the kernel. The OFM block of the kernel decides the order of the weights, so blocks are
final when this runs. Equal weights are encoded once, whatever kernels they serve.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from npuc.analysis.weights import cuts_of, order_of, volume_of, weights_key
from npuc.dialects.locations import OperationError
from npuc.dialects.npu_schedule import ConvKernelOp, ScalesOp
from npuc.hardware.accelerators import Accelerator, Block


@dataclass(frozen=True)
class WeightSlice:
    """The streams of OFM channels `start` to `end`; ranges are (offset, length) of core 0, core 1 ..."""

    start: int
    end: int
    data: bytes
    """What is stored as one, and passes through a buffer: weights, and scales unless these are apart."""
    weight_ranges: tuple[int, ...]
    scale_ranges: tuple[int, ...]
    scales: bytes | None = None
    """Scales that are apart; their ranges are within them."""


Streams = dict[Hashable, list[bytes]]
"""Encoded weights, core by core, of what has been asked for before."""


def encode_weights(
    kernels: Sequence[tuple[ConvKernelOp, Block]], machine: Accelerator, known: Streams
) -> dict[ConvKernelOp, list[WeightSlice]]:
    """The slices of every kernel, given its OFM block; `known` is added to, and may serve other regions."""
    from npuc.hardware.weights import Request, encode

    keys = {op: weights_key(op, block, machine) for op, block in kernels}
    requests: dict[Hashable, Request] = {}
    for op, block in kernels:
        wanted = ((keys[op], cut) for cut in pairwise(cuts_of(op)))
        missing = [key for key in wanted if key not in known and key not in requests]
        if missing:
            volume, order = volume_of(op), order_of(op, block, machine)
            requests.update({(key, (start, end)): (volume[start:end], order) for key, (start, end) in missing})
    known.update(zip(requests, encode(list(requests.values())), strict=True))
    return {
        op: [_slice(op, start, end, known[keys[op], (start, end)]) for start, end in pairwise(cuts_of(op))]
        for op, _ in kernels
    }


def _slice(op: ConvKernelOp, start: int, end: int, streams: Sequence[bytes]) -> WeightSlice:
    """A slice of a kernel, given the streams of its weights."""
    from npuc.hardware.weights import encode_scales

    owner = op.scales.owner
    if not isinstance(owner, ScalesOp):
        raise OperationError(op, "scales must be an npu_schedule.scales")
    data = scales = b""
    weight_ranges: list[int] = []
    scale_ranges: list[int] = []
    for core, stream in enumerate(streams):
        channels = slice(start + core, end, len(streams))
        entries = encode_scales(*(values[channels] for values in owner.values))
        if op.scales_apart is None:
            scale_ranges += [len(data), len(entries)]
            data += entries
        else:
            scale_ranges += [len(scales), len(entries)]
            scales += entries
        weight_ranges += [len(data), len(stream)]
        data += stream
    apart = scales if op.scales_apart is not None else None
    return WeightSlice(start, end, data, tuple(weight_ranges), tuple(scale_ranges), apart)
