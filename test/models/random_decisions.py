"""
Decisions about memory taken at random and written into a region, as a hand would: which values lie in the fast memory,
and which operands are transferred, whole or row by row. Whatever is written is legal; nothing need be of use.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from execute_region import region_of
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.utils.exceptions import VerifyException

from npuc.analysis.machine import machine_of, scarce_space_of
from npuc.analysis.storage import Storage, storage_bytes, tensor_type
from npuc.dialects.feature_maps import stored
from npuc.dialects.npu import IntsAttr
from npuc.dialects.npu_schedule import (
    CascadeOp,
    CopyOp,
    ElementwiseOp,
    KernelOp,
    TransferOp,
    is_brick,
    nhwc,
    space_of,
    stages_of,
)
from npuc.dialects.stripes import unroll
from npuc.passes.npu_schedule_form_cascades import form
from npuc.planning.network import inputs_of
from npuc.planning.placement import movable_roots


def place_at_random(module: ModuleOp, rng: np.random.Generator) -> int:
    """Put some of the values that only kernels touch into the fast memory; returns how many."""
    storage = Storage(region_of(module))
    chosen = [root for root in movable_roots(storage) if rng.random() < 0.5]
    for value in [value for root in chosen for value in storage.members(root)]:
        Rewriter.replace_value_with_new_type(value, _in(value, "fast"))
    module.verify()
    return len(chosen)


def transfer_at_random(module: ModuleOp, rng: np.random.Generator) -> tuple[int, int]:
    """Transfer some operands to the scarce memory; returns how many whole, and how many row by row."""
    whole = rolling = 0
    function = region_of(module)
    space, step = scarce_space_of(module), machine_of(module).external_dma_alignment
    items = [op for op in function.body.block.ops if isinstance(op, KernelOp | CopyOp | CascadeOp)]
    for item in items:
        storage = Storage(function)
        # Only now, since items before have become cascades, whose results are others.
        for value in [one for one in _operands(item) if _can(storage, one, step)]:
            kind = rng.integers(0, 3)
            target = _in(value, space)
            if kind == 1:
                transfer = TransferOp(value, target)
                outer = (
                    item if item.parent is not None and isinstance(item.parent_op(), type(function)) else _around(item)
                )
                Rewriter.insert_op(transfer, InsertPoint.before(outer))
                _read(outer, value, transfer.result)
                whole += 1
            elif kind == 2 and not isinstance(item, CopyOp) and _rows(storage, value) % step == 0:
                cascade = _cascade(item, rng)
                if cascade is None:
                    continue
                transfer = TransferOp(value, target)
                if rng.random() < 0.3:
                    transfer.stripe = IntsAttr((int(rng.integers(1, nhwc(value)[0] + 1)),))
                Rewriter.insert_op(transfer, InsertPoint.at_start(cascade.body.block))
                _read(cascade, value, transfer.result)
                stages = cascade.stages
                alive = unroll(stages_of(stages, cascade.yielded)).alive[stages.index(transfer)]
                more = int(rng.choice([0, 0, 1, 3]))
                if rng.random() < 0.9:  # else all rows have a place
                    transfer.rolling = IntsAttr((min(nhwc(value)[0], alive + more),))
                rolling += 1
    module.verify()
    return whole, rolling


def overlap_at_random(module: ModuleOp, rng: np.random.Generator) -> tuple[int, int]:
    """
    Lay some results over operands that nothing reads later, as near as launches allow it or a little farther; returns
    how many in cascades that walk downwards, and how many upwards.
    """
    found = [0, 0]
    function = region_of(module)
    items = [op for op in function.body.block.ops if isinstance(op, KernelOp | CascadeOp)]
    covered = set[SSAValue]()
    for item in items:
        cascade = _cascade(item, rng) if rng.random() < 0.8 else None
        if cascade is None or not cascade.kernels:
            continue
        upwards = rng.random() < 0.5
        for kernel in cascade.kernels:
            kernel.upwards = UnitAttr() if upwards else None
        try:
            cascade.verify_()
        except VerifyException:  # it upscales, or would need higher buffers
            upwards = False
            for kernel in cascade.kernels:
                kernel.upwards = None
        kernel = cascade.kernels[-1]
        values = [value for one in cascade.kernels for value in one.feature_maps]
        value = values[rng.integers(0, len(values))]
        storage = Storage(function)
        outside = not isinstance(value.owner, CascadeOp | KernelOp) or value.owner.parent_op() is not cascade
        if not outside or storage.root(value) in covered or space_of(value) != space_of(kernel.result):
            continue
        at = _laid_over(function, cascade, kernel, value)
        if at is None:
            continue
        covered.add(storage.root(value))
        more = int(rng.choice([0, 0, 16, 160]))
        kernel.at = IntsAttr((at + more if upwards else at - more,))
        found[upwards] += 1
    module.verify()
    return found[0], found[1]


def _laid_over(function, cascade: CascadeOp, kernel: KernelOp, value: SSAValue) -> int | None:
    """Let a result lie over an operand, and say how near it may; None, and nothing is changed, if it cannot."""
    kernel.lay_over(value)
    if kernel.result in cascade.yielded and Storage(function).lying_problem(kernel) is None:
        return cascade.nearest(kernel)
    kernel.lay_over(None)
    return None


def _in(value: SSAValue, space):
    return stored(tensor_type(value), "nhcwb16" if is_brick(value) else "nhwc", space)


def _operands(item: KernelOp | CopyOp | CascadeOp) -> Iterator[SSAValue]:
    """The feature maps that an item reads from outside of it, but for numbers in registers."""
    kernels = item.kernels if isinstance(item, CascadeOp) else (item,)
    inside = {kernel.result for kernel in kernels}
    seen: set[SSAValue] = set()
    for kernel in kernels:
        for value in inputs_of(kernel):
            scalar = isinstance(kernel, ElementwiseOp) and value is kernel.ifm2 and kernel.has_scalar
            if value not in inside | seen and not scalar:
                seen.add(value)
                yield value


def _can(storage: Storage, value: SSAValue, step: int) -> bool:
    """Whether a DMA can bring a value."""
    place = storage.place(value)
    aligned = place.offset % step == 0 and storage_bytes(tensor_type(value)) % step == 0
    return aligned and storage.is_dense(value)


def _rows(storage: Storage, value: SSAValue) -> int:
    return storage_bytes(tensor_type(value)) // nhwc(value)[0]


def _around(item) -> CascadeOp:
    found = item.parent_op()
    assert isinstance(found, CascadeOp)
    return found


def _cascade(item: KernelOp | CascadeOp, rng: np.random.Generator) -> CascadeOp | None:
    """The cascade that an item is, or becomes in stripes of some height; None for what cannot be one."""
    if isinstance(item, CascadeOp):
        return item
    if isinstance(item.parent_op(), CascadeOp):
        return _around(item)
    height = nhwc(item.result)[0]
    if isinstance(item, ElementwiseOp) and item.in_place is not None:
        return None
    item.stripe = IntsAttr((int(rng.integers(1, height + 1)),))
    return form(0, [item])


def _read(item: KernelOp | CopyOp | CascadeOp, value: SSAValue, instead: SSAValue) -> None:
    for kernel in item.kernels if isinstance(item, CascadeOp) else (item,):
        for index, operand in enumerate(kernel.operands):
            if operand is value:
                kernel.operands[index] = instead
