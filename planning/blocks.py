"""
OFM blocks for kernels whose weights may pass through buffers.

The block that suits a kernel depends on where its weights come from: read in place, from slow memory, they hold up
whatever the block, and one that reads them seldom wins; from a buffer, blocks that calculate quickly do. Which weights
are buffered depends on the blocks in turn. So whole schedules are timed: with all blocks chosen for weights in place,
with all chosen for weights in a buffer, and with each chosen for what the first of these schedules does with its
weights.
"""

from __future__ import annotations

from npuc.dialects.npu import AREAS
from npuc.dialects.npu_schedule import ConvKernelOp
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.cycles import Places
from npuc.hardware.memory import MemorySetup
from npuc.hardware.shram import Kernel
from npuc.planning.network import Network
from npuc.planning.schedules import Buffered, Schedules
from npuc.planning.tasks import BlockPolicy, Op, Works, policy_for_buffers, suitable_block


def blocks_for_buffers(network: Network, machine: Accelerator, setup: MemorySetup, limit: int) -> dict[Op, Block]:
    """
    The blocks of the quickest schedule within `limit` bytes of the scarce memory, of kernels with weights that have no
    block and are not sliced; none where buffers cannot gain anything. OperationError if no block is legal for one.
    """
    area = AREAS[network.space]
    schedules = Schedules(area, machine, setup)
    if not schedules.buffers_help:
        return {}
    near = policy_for_buffers(area, machine, setup)

    def timed(policy: BlockPolicy | None) -> tuple[Buffered, Works]:
        works = Works(network, machine, setup, policy)
        tasks = works.of_network()
        works.measure(work for task in tasks for work in task.works)
        return schedules.quick(tasks, limit), works

    plain, works = timed(None)
    variants = [(plain, works), timed(near)]
    buffered = {work.op for work, decision in plain.decisions.items() if decision.buffers}
    if 0 < len(buffered) < len(plain.decisions):

        def mixed(op: Op, whole: Kernel, launch: Kernel, places: Places) -> Block:
            if op in buffered:
                return near(op, whole, launch, places)
            return suitable_block(whole, launch, machine, setup, places)

        variants.append(timed(mixed))
    _, best = min(variants, key=lambda one: one[0].score)
    return {
        op: block
        for op, block in best.blocks().items()
        if isinstance(op, ConvKernelOp) and op.block is None and op.slices is None
    }
