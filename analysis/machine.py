"""
The machine as planners see it: what a kernel costs, given the target of its module.

The `launch` of an operation is its plain data, `setup_of` says what the memories of the target are, `places_of` which
of them each operand lies in. With these three every planner asks `npuc.hardware.cycles` about the same launch.
"""

from __future__ import annotations

from functools import lru_cache

from xdsl.dialects.builtin import IntegerAttr, UnitAttr
from xdsl.ir import Operation, SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.analysis.storage import base_of
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import (
    AREAS,
    FORWARDS_ATTR,
    LIMIT_ATTR,
    TRANSFER_LIMIT_ATTR,
    FeatureMapSpace,
    Space,
    TargetAttr,
    target_of,
)
from npuc.dialects.npu_schedule import ConstantOp, ConvKernelOp, CopyOp, KernelOp, SliceOp, space_of
from npuc.hardware.accelerators import Accelerator, accelerator
from npuc.hardware.cycles import Places
from npuc.hardware.memory import Area, MemorySetup, memory_setup

UNLIMITED = 1 << 40
"""Bytes that nothing has: for planners where nothing limits a memory."""


class LimitError(PassFailedException):
    """A limit of memory that is too low for what has been decided, or for anything that the planner knows."""

    def __init__(self, message: str, limit: int, need: int):
        super().__init__(message)
        self.limit = limit
        self.need = need
        """Bytes that this one would need."""


def machine_of(op: Operation) -> Accelerator:
    """The accelerator that the module around `op` is compiled for."""
    return accelerator(target_of(op).accelerator.data)


@lru_cache(maxsize=16)
def _setup(target: TargetAttr) -> MemorySetup:
    files = target.config.data.splitlines()
    return memory_setup(
        accelerator(target.accelerator.data), files, target.system.data or None, target.memory.data or None
    )


def forget_setups() -> None:
    """What configuration files say is read again."""
    _setup.cache_clear()


def setup_of(op: Operation) -> MemorySetup:
    """The memories of the target; PassFailedException, one line, where its names or its file are not to be had."""
    try:
        return _setup(target_of(op))
    except ValueError as error:
        raise PassFailedException(str(error)) from error


def scarce_space_of(op: Operation) -> FeatureMapSpace:
    """The memory that schedules have little of: the arena, or the fast memory beside it where the arena is slow."""
    return "fast" if setup_of(op).spilling else "arena"


def written_limit(region: Operation) -> int | None:
    """`npu.sram_limit` of a region or its program in bytes, None if there is none."""
    written = region.attributes.get(LIMIT_ATTR)
    if written is None:
        return None
    if not isinstance(written, IntegerAttr) or written.value.data < 0:
        raise OperationError(region, f"{LIMIT_ATTR} is a number of bytes, not {written}")
    return written.value.data


def limit_of(region: Operation, space: Space) -> int | None:
    """
    The most bytes of a memory that a region or its program may take; None if nothing limits it.

    Limits are for the memory that is scarce: a fast memory beside a slow arena, whose own size limits it as well, else
    the arena. What is written on the region comes before the limit of the target.
    """
    setup, given, written = setup_of(region), target_of(region).sram_limit, written_limit(region)
    if space != scarce_space_of(region):
        return None
    if setup.spilling and given is None:
        given = setup.arena_cache_size
    if written is None:
        return given
    return min(written, given) if setup.spilling and given is not None else written


def transfer_limit_of(region: Operation, space: Space) -> int | None:
    """The most bytes of a memory that may be in use where a transfer is issued early; None if nothing limits it."""
    limit, written = limit_of(region, space), region.attributes.get(TRANSFER_LIMIT_ATTR)
    if written is None or space != scarce_space_of(region):
        return limit
    if not isinstance(written, IntegerAttr) or written.value.data < 0:
        raise OperationError(region, f"{TRANSFER_LIMIT_ATTR} is a number of bytes, not {written}")
    return written.value.data if limit is None else min(limit, written.value.data)


def transfers_forwards(region: Operation) -> bool:
    """Whether transfers of a region or its program are given time in the order in which they are needed."""
    written = region.attributes.get(FORWARDS_ATTR)
    if written is not None and not isinstance(written, UnitAttr):
        raise OperationError(region, f"{FORWARDS_ATTR} stands alone, without {written}")
    return written is not None


def area_of(value: SSAValue) -> Area:
    """The memory of a feature map, constant or not."""
    base = base_of(value)
    while isinstance(base.owner, SliceOp):
        base = base_of(base.owner.source)
    return "constants" if isinstance(base.owner, ConstantOp) else AREAS[space_of(value)]


def places_of(op: KernelOp | CopyOp) -> Places:
    """Which memory each operand of a kernel lies in."""
    if isinstance(op, CopyOp):
        return Places(area_of(op.ifm), "arena", area_of(op.result), "constants")
    inputs: list[Area] = [area_of(value) for value in op.feature_maps]
    apart = isinstance(op, ConvKernelOp) and op.scales_apart is not None
    return Places(inputs[0], inputs[-1], area_of(op.result), "constants", "constants" if apart else None)
