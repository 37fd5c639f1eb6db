"""
What the model of the machine (`npuc.hardware`) says to a kernel of `npu_schedule`, whose operations make themselves
plain data for it (`launch`), so that verifiers, planners and the lowering ask about the same launch.
"""

from __future__ import annotations

from functools import lru_cache

from xdsl.ir import Operation
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.npu import BlockAttr, Window, find_target
from npuc.hardware.accelerators import Block, accelerator
from npuc.hardware.shram import Kernel, illegal_reason, kernel_problem


def padding(window: Window, ifm: tuple[int, int], ofm: tuple[int, int]) -> tuple[int, int, int, int]:
    """
    Rows and columns of padding (top, left, bottom, right) that a window really reads, for extents (height, width).

    The machine derives the extent of the IFM from that of the OFM, so padding which no window reaches must not be
    programmed.
    """
    up = 1 if window.upscale == "none" else 2
    bottom = (ofm[0] - 1) * window.stride_y + window.dilated_height - window.top - ifm[0] * up
    right = (ofm[1] - 1) * window.stride_x + window.dilated_width - window.left - ifm[1] * up
    return window.top, window.left, max(0, bottom), max(0, right)


@lru_cache(maxsize=4096)
def _problem(name: str, kernel: Kernel, block: Block | None) -> str | None:
    machine = accelerator(name)
    return kernel_problem(machine, kernel) or (None if block is None else illegal_reason(machine, kernel, block))


def launch_problem(op: Operation, kernel: Kernel, block: BlockAttr | None) -> str | None:
    """
    Why the target cannot launch the kernel that `op` becomes, or not in the blocks that it states, in one line; None
    if it can, or if the module names no target.
    """
    target = find_target(op)
    return None if target is None else _problem(target.accelerator.data, kernel, None if block is None else block.data)


def verify_launch(op: Operation, kernel: Kernel, block: BlockAttr | None) -> None:
    """The target of the module can launch the kernel that `op` becomes, in blocks of the size that it states."""
    problem = launch_problem(op, kernel, block)
    if problem is not None:
        raise VerifyException(problem)
