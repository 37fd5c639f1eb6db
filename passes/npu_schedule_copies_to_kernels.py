"""
Turn copies into concats into kernels, which can be part of a cascade.

Assumes copies as they are to stay (`npu-schedule-fold-views`) and formats. A copy runs whole; a pool or a maximum that
computes the same in the same launch is a kernel like any other, and runs stripe by stripe where a cascade is planned.
Decides that for copies of several rows whose result is part of a concat along width or depth, since that may then live
in a rolling buffer. Leaves copies of 32 bits, which move halves, and those that read or write backwards, which go
through their maps in an order of their own. Leaving it out costs memory and changes no result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.storage import Storage, tensor_type
from npuc.dialects.constants import from_numpy, numpy_dtype
from npuc.dialects.npu import Activation, ActivationAttr, IntsAttr, Window, WindowAttr
from npuc.dialects.npu_schedule import ConcatOp, ConstantOp, CopyOp, ElementwiseOp, KernelOp, PoolOp, element_of, nhwc
from npuc.dialects.views import keeps_rows


@dataclass(frozen=True)
class NpuScheduleCopiesToKernelsPass(ModulePass):
    """Let copies into concats run stripe by stripe."""

    name = "npu-schedule-copies-to-kernels"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in [f for f in op.ops if isinstance(f, FuncOp)]:
            storage = Storage(function)
            copies = [one for one in function.body.walk() if isinstance(one, CopyOp)]
            for copy in [one for one in copies if _is_joined(one) and _goes_by_rows(storage, one)]:
                _replace(copy)


def _is_joined(copy: CopyOp) -> bool:
    """Whether a result is part of a concat whose rows have rows of it."""
    return any(isinstance(use.operation, ConcatOp) and keeps_rows(use.operation) for use in copy.result.uses)


def _goes_by_rows(storage: Storage, copy: CopyOp) -> bool:
    """Whether a kernel could do the same in stripes."""
    several = nhwc(copy.result)[0] > 1 and element_of(copy.ifm).bits < 32
    return several and not storage.goes_back(copy.ifm) and not storage.goes_back(copy.result)


def _replace(copy: CopyOp) -> None:
    """Put the kernel that has the launch of a copy in its place."""
    low, high = element_of(copy.ifm).range
    decided: Mapping[str, Attribute] = {} if copy.block is None else {"block": copy.block}
    properties = {"activation": ActivationAttr(Activation(low, high)), **decided}
    new: KernelOp
    if copy.launch().kind == "elementwise":
        least = _least(copy, low)
        Rewriter.insert_op(least, InsertPoint.before(copy))
        properties |= {"kind": StringAttr("max"), "zero_points": IntsAttr((0, 0, 0))}
        new = ElementwiseOp.of({"ifm": [copy.ifm], "ifm2": [least.result]}, properties, [copy.result.type])
    else:
        properties |= {"kind": StringAttr("average"), "window": WindowAttr(Window()), "zero_points": IntsAttr((0, 0))}
        new = PoolOp.of({"ifm": [copy.ifm]}, properties, [copy.result.type])
    new.location = copy.location
    Rewriter.replace_op(copy, new)


def _least(copy: CopyOp, low: int) -> ConstantOp:
    """The least number of a map's type."""
    import numpy as np

    element = tensor_type(copy.ifm).element_type
    return ConstantOp(from_numpy(np.full((1, 1, 1, 1), low, numpy_dtype(element)), element))
