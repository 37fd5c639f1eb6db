"""
Let kernels with equal weights share them, whatever their scales.

Assumes a target on the module and OFM blocks chosen, since they decide the order in which weights are encoded. Decides
`scales_apart` on all kernels of the module whose weights, zero points and orders are equal while their scales are not:
the scales become constants of their own, which are read in place, and the weights are stored once. Kernels whose scales
are equal, too, share one run of both and need nothing; other kernels keep theirs together, so that one transfer brings
both.

Leaves it to `npu-schedule-buffer-weights` to cut equal weights alike. Without this pass such weights are stored
once for each of the scales: larger, and just as right.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.passes import ModulePass

from npuc.analysis.machine import machine_of
from npuc.analysis.weights import block_of, scales_key, weights_key
from npuc.dialects.npu_schedule import ConvKernelOp


@dataclass(frozen=True)
class NpuScheduleShareWeightsPass(ModulePass):
    """Take scales apart from weights that serve several."""

    name = "npu-schedule-share-weights"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = [kernel for kernel in op.walk() if isinstance(kernel, ConvKernelOp)]
        if not kernels:
            return
        machine = machine_of(op)
        sharing: dict[Hashable, list[ConvKernelOp]] = {}
        for kernel in kernels:
            sharing.setdefault(weights_key(kernel, block_of(kernel, machine), machine), []).append(kernel)
        for equal in sharing.values():
            if len({scales_key(kernel) for kernel in equal}) > 1:
                for kernel in equal:
                    kernel.scales_apart = UnitAttr()
