"""
Let each kernel start while the last blocks of its predecessor are still being made, where their bytes allow it.

Assumes an allocated program. Decides BLOCKDEP of every launch that has none: 3 where the kernel touches nothing that
its predecessor writes, else as many blocks as the first jobs of the one are away from the last jobs of the other
(`npuc.analysis.block_jobs`). 0, that is waiting for the predecessor altogether, where a broadcast input or a table in
shared SHRAM is concerned, and where the kernel touches what an even earlier kernel may not have finished because its
predecessor is so short. The option `most` bounds what is decided. Without this pass every kernel waits for the one
before: slower, and just as right.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from npuc.analysis.accesses import Span, accesses, map_spans, overlap
from npuc.analysis.block_jobs import MOST, block_dependency, job_count
from npuc.dialects.npu import IntsAttr, target_of
from npuc.dialects.npu_cmd import ElementwiseOp, LaunchOp, ProgramOp
from npuc.hardware.accelerators import Accelerator, accelerator


@dataclass(frozen=True)
class NpuCmdSetBlockdepPass(ModulePass):
    """Choose BLOCKDEP of every kernel launch."""

    name = "npu-cmd-set-blockdep"

    most: int = MOST

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if not 0 <= self.most <= MOST:
            raise PassFailedException(f"BLOCKDEP is 0 to {MOST}, not {self.most}")
        for program in op.ops:
            if not isinstance(program, ProgramOp):
                continue
            machine = accelerator(target_of(program).accelerator.data)
            launches = [one for one in program.body.block.ops if isinstance(one, LaunchOp)]
            for index, launch in enumerate(launches):
                if launch.blockdep is None:
                    depth = self._depth(launches[max(0, index - 3) : index], launch, machine)
                    launch.blockdep = IntsAttr((min(self.most, depth),))

    def _depth(self, earlier: list[LaunchOp], op: LaunchOp, machine: Accelerator) -> int:
        """BLOCKDEP of `op` after the launches `earlier`, as many as can still be unfinished."""
        if not earlier:
            return 0
        touched = accesses(op, machine)
        reads = [span for span in touched.reads if span.space != "shram"]
        own = _written(op)
        previous = earlier[-1]
        if not machine.reserved_end_banks and previous.values_of("table") and not op.values_of("table"):
            return 0
        # Blocks of kernels before the predecessor are still unfinished only if it has too few of its own.
        blocks = job_count(previous)
        for before in reversed(earlier[:-1]):
            if blocks >= MOST:
                break
            if overlap(_written(before), [*reads, *own]):
                return 0
            blocks += job_count(before)
        writes = _written(previous)
        if not overlap(writes, [*reads, *own]):
            return MOST
        if isinstance(op, ElementwiseOp) and op.ifm2 is not None and op.ifm2_map is not None:
            first = overlap(writes, map_spans(op.ifm, op.ifm_map.data))
            second = overlap(writes, map_spans(op.ifm2, op.ifm2_map.data))
            if (first and second) or (second and op.broadcast is not None):
                return 0
        return block_dependency(previous, op, machine)


def _written(op: LaunchOp) -> list[Span]:
    """What a launch writes, but for its working memory."""
    return map_spans(op.ofm, op.ofm_map.data)
