"""
Level 2: NPU kernels on tensors, and what has been decided about them so far.

Every value is a tensor NHWC of rank 4 with N = 1; a tensor type without encoding is linear, one with
`#npu.layout<nhcwb16>` is stored in bricks; `#npu.layout<nhcwb16, fast>` and `#npu.layout<nhwc, fast>` lie in the fast
memory beside a slow arena. An operation is a *kernel* (one or more launches of the NPU),
a *view* (`reshape`, `transpose`, `slice`, `concat`: no bytes move), a constant, or a `cascade` that holds kernels which
run stripe by stripe. A kernel takes scaling, clamp, function and table of its OFM with it.

    %s = npu_schedule.scales {bias = dense<...>, multiplier = dense<...>, shift = dense<...>} : !npu_schedule.scales<16>
    %y = npu_schedule.conv2d %x, %w, %s window <3x3, stride 2x2, pad 0 0 1 1> zero_points <-1, -128>
           scale <per_channel, double_round> activation <-128, 127> block <16x16x16> : (...) -> tensor<1x24x24x16xi8>

Decisions are optional properties that passes fill in and respect where they stand already: `block`,
`cascade` (the number of the cascade that the kernel is to become part of), `stripe` (OFM rows per launch, at most, in a
cascade), `rolling` (rows of the rolling buffer that holds the result inside a cascade), `upwards` (the cascade walks
from the last rows to the first), `over` (what the result of a cascade is to lie over as far as its launches allow),
`at` (how many bytes behind that it begins), `scales_apart` (weights and
scales are constants of their own, and the scales are read in place), `slices` (OFM depths at which the weights are
cut), `buffers` (how many SRAM buffers the slices pass through: one memory, with a part for each) and `in_place` (which
operand's memory the result takes over). Where each buffer is to be memory of its own they are values,
and the kernel names them:

    %b0, %b1 = npu_schedule.weight_buffers : !npu.buffer<1008, arena>, !npu.buffer<768, arena>
    %y = npu_schedule.conv2d %x, %w, %s ... slices <0, 16, 32, 48> buffers <2> through %b0, %b1 : (...) -> ...

Addresses and registers are not of this level.
"""

from __future__ import annotations

from xdsl.ir import Dialect

from npuc.dialects.feature_maps import element_of, form_of, is_brick, nhwc, space_of
from npuc.dialects.npu_schedule.cascades import CascadeOp, YieldOp, rolling_of, stages_of
from npuc.dialects.npu_schedule.constants import ConstantOp, ScalesOp, ScalesType, WeightBuffersOp
from npuc.dialects.npu_schedule.copies import CopyOp, TransferOp, copying
from npuc.dialects.npu_schedule.kernels import (
    BINARY_KINDS,
    POOL_KINDS,
    UNARY_KINDS,
    Conv2DOp,
    ConvKernelOp,
    DepthwiseConv2DOp,
    ElementwiseOp,
    KernelOp,
    PoolOp,
)
from npuc.dialects.views import ConcatOp, ReshapeOp, SliceOp, TransposeOp

__all__ = [
    "BINARY_KINDS",
    "NPU_SCHEDULE",
    "POOL_KINDS",
    "UNARY_KINDS",
    "CascadeOp",
    "ConcatOp",
    "ConstantOp",
    "Conv2DOp",
    "ConvKernelOp",
    "CopyOp",
    "DepthwiseConv2DOp",
    "ElementwiseOp",
    "KernelOp",
    "PoolOp",
    "ReshapeOp",
    "ScalesOp",
    "ScalesType",
    "SliceOp",
    "TransferOp",
    "TransposeOp",
    "WeightBuffersOp",
    "YieldOp",
    "copying",
    "element_of",
    "form_of",
    "is_brick",
    "nhwc",
    "rolling_of",
    "space_of",
    "stages_of",
]

NPU_SCHEDULE = Dialect(
    "npu_schedule",
    [
        ConstantOp,
        ScalesOp,
        WeightBuffersOp,
        Conv2DOp,
        DepthwiseConv2DOp,
        PoolOp,
        ElementwiseOp,
        CopyOp,
        TransferOp,
        ReshapeOp,
        TransposeOp,
        SliceOp,
        ConcatOp,
        CascadeOp,
        YieldOp,
    ],
    [ScalesType],
)
