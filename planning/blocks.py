"""
OFM blocks for whole schedules: for weights that may pass through buffers, and for memories that may be quicker.

The block that suits a kernel depends on where its weights come from: read in place, from slow memory, they hold up
whatever the block, and one that reads them seldom wins; from a buffer, blocks that calculate quickly do. Which weights
are buffered depends on the blocks in turn. So whole schedules are timed: with all blocks chosen for weights in place,
with all chosen for weights in a buffer, and with each chosen for what the first of these schedules does with its
weights.

Where a memory may be quicker than it is taken to be, the same is timed with blocks that are good by both costs. A
memory that holds up many blocks alike says little of them, and the other end decides; but few large blocks leave a
kernel nothing that the next one could run beside. Where all of them together gain by one cost and lose by the other,
some of them may be better than either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from npuc.dialects.npu import AREAS
from npuc.dialects.npu_schedule import ConvKernelOp
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.cycles import Places
from npuc.hardware.memory import Area, MemorySetup
from npuc.hardware.shram import Kernel
from npuc.planning.network import Network
from npuc.planning.schedules import MIXED, REGRET, Buffered, Schedules
from npuc.planning.tasks import (
    BlockPolicy,
    Op,
    Task,
    Works,
    block_for_both_ends,
    policy_for_buffers,
    setups_to_compare,
    suitable_block,
)


class _Variant(NamedTuple):
    """Blocks, and the schedule that comes of them."""

    schedule: Buffered
    blocks: Mapping[Op, Block]

    @property
    def buffered(self) -> set[Op]:
        """The kernels whose weights pass through buffers."""
        return {work.op for work, decision in self.schedule.decisions.items() if decision.buffers}


def quickest_blocks(network: Network, machine: Accelerator, setup: MemorySetup, limit: int) -> dict[Op, Block]:
    """
    The blocks of the quickest schedule within `limit` bytes of the scarce memory, of kernels that have no block and are
    not sliced; none where nothing competes. OperationError if no block is legal for one.
    """
    competition = _Competition(network, machine, setup, limit)
    uncertain = len(setups_to_compare(setup)) > 1
    if not competition.schedules.buffers_help and not uncertain:
        return {}
    best = competition.for_buffers()
    if uncertain:
        best = competition.for_both_ends(best)
    return {
        op: block
        for op, block in best.blocks.items()
        if op.block is None and not (isinstance(op, ConvKernelOp) and op.slices is not None)
    }


@dataclass
class _Competition:
    network: Network
    machine: Accelerator
    setup: MemorySetup
    limit: int

    def __post_init__(self) -> None:
        self.area: Area = AREAS[self.network.space]
        self.schedules = Schedules(self.area, self.machine, self.setup)

    def for_buffers(self) -> _Variant:
        """The quickest with weights in place, in buffers, or where the first of these has them."""
        plain = self._timed(None)
        if not self.schedules.buffers_help:
            return plain
        variants = [plain, self._timed(policy_for_buffers(self.area, self.machine, self.setup))]
        near = plain.buffered
        if 0 < len(near) < len(plain.schedule.decisions):

            def mixed(op: Op, whole: Kernel, launch: Kernel, places: Places) -> Block:
                return suitable_block(whole, launch, self.machine, self.setup, self._placed(op, near, places))

            variants.append(self._timed(mixed))
        return min(variants, key=lambda one: one.schedule.score)

    def for_both_ends(self, best: _Variant) -> _Variant:
        """The quickest of this one, one whose blocks are good by both costs, and mixtures of both."""
        near = best.buffered

        def policy(op: Op, whole: Kernel, launch: Kernel, places: Places) -> Block:
            places = self._placed(op, near, places)
            return block_for_both_ends(best.blocks[op], whole, launch, self.machine, self.setup, places)

        other = self._timed(policy)
        variants = [best, other]
        if other.schedule.low * REGRET <= best.schedule.low and other.schedule.cycles > best.schedule.cycles:
            variants.append(self._mixed(best, other.blocks))
        return min(variants, key=lambda one: one.schedule.score)

    def _mixed(self, best: _Variant, others: Mapping[Op, Block]) -> _Variant:
        """A variant with some blocks of another, as far as that is better. Where it slices weights its blocks stay."""
        decisions = best.schedule.decisions
        sliced = {work.op for work, decision in decisions.items() if len(decision.cuts) > 2}
        differ = [op for op, block in best.blocks.items() if others[op] != block and op not in sliced]
        for number in range(min(MIXED, len(differ))):
            blocks = {**best.blocks, **{op: others[op] for op in differ[number::MIXED]}}
            tasks = self._tasks(lambda op, _whole, _launch, _places, blocks=blocks: blocks[op])
            mixture = _Variant(self.schedules.decided(tasks, decisions, self.limit), blocks)
            best = min(best, mixture, key=lambda one: one.schedule.score)
        return best

    def _placed(self, op: Op, near: Collection[Op], places: Places) -> Places:
        return places._replace(weights=self.area) if op in near else places

    def _tasks(self, policy: BlockPolicy | None) -> list[Task]:
        works = Works(self.network, self.machine, self.setup, policy)
        tasks = works.of_network()
        works.measure(work for task in tasks for work in task.works)
        return tasks

    def _timed(self, policy: BlockPolicy | None) -> _Variant:
        tasks = self._tasks(policy)
        blocks = {work.op: work.block for task in tasks for work in task.works}
        return _Variant(self.schedules.quick(tasks, self.limit), blocks)
