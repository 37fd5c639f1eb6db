"""
Which values of a region lie in the fast memory beside a slow arena, and which are spilled to the arena.

A value that kernels write and the host does not see could lie in the fast memory. Where the limit is missed with all
of them there, values are spilled until it is kept. Of those that are alive where it is missed the one goes that costs
least for each byte, by what the kernels that write and read it take longer with it in the arena. In the end those come
back for which there is memory after all, dearest first.

The limit can be kept by cascades, or by kernels that run whole and more values spilled; in little memory cascades are
many small launches, and nothing in the fast memory may be quicker still. `placements` are these three.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue

from npuc.analysis.machine import places_of
from npuc.analysis.storage import Storage, makes_bytes, storage_bytes, tensor_type
from npuc.dialects.npu import FeatureMapSpace
from npuc.dialects.npu_schedule import CascadeOp, CopyOp, KernelOp
from npuc.hardware.accelerators import Accelerator
from npuc.hardware.cycles import PORT_WEIGHT, Places, best_block, kernel_cost
from npuc.hardware.memory import Area, MemorySetup
from npuc.planning.cascades import Planner
from npuc.planning.network import Network, rounded
from npuc.planning.tasks import Works


def movable_roots(storage: Storage) -> list[SSAValue]:
    """The values with memory of their own that only kernels of the region touch."""
    return [
        root
        for root in storage.roots
        if makes_bytes(root)
        and not any(isinstance(use.operation, ReturnOp) for value in storage.members(root) for use in value.uses)
    ]


def placements(function: FuncOp, machine: Accelerator, setup: MemorySetup, limit: int) -> list[set[SSAValue]]:
    """
    Sets of roots that could lie in the fast memory together, of so many bytes: the first where kernels run in cascades,
    the others where they run whole. Just one where all fit.
    """
    network = Network(function)
    whole = _Placement(network, machine, setup, limit, True).run()
    if whole == set(movable_roots(network.storage)):
        return [whole]
    sets = [_Placement(network, machine, setup, limit, False).run()]
    for other in (whole, set[SSAValue]()):
        if other not in sets:
            sets.append(other)
    return sets


@dataclass
class _Placement:
    """Decides for one region; `run` returns the values that lie in the fast memory."""

    network: Network
    machine: Accelerator
    setup: MemorySetup
    limit: int
    whole: bool
    """All kernels run whole: no cascade makes a value smaller."""
    fast: set[SSAValue] = field(default_factory=set[SSAValue])
    planner: Planner | None = None
    """The last one, if any was needed."""

    def run(self) -> set[SSAValue]:
        """The roots that lie in the fast memory."""
        self.storage = self.network.storage
        self.fast = set(movable_roots(self.storage))
        costs: dict[SSAValue, float] = {}
        while (network := self._network()).plain_peak > self.limit:
            alive = self._alive_where_missed(network)
            if not alive:
                # None is missed, or what is missed was decided before: no value that is spilled would help.
                break
            for root in alive:
                if root not in costs:
                    costs[root] = self._spill_cycles(root)
            sizes = {root: rounded(storage_bytes(tensor_type(root))) for root in alive}
            self.fast.remove(min(alive, key=lambda root: (costs[root] / sizes[root], -sizes[root])))
        for root in sorted(costs, key=costs.__getitem__, reverse=True):
            if root not in self.fast:
                self.fast.add(root)
                if self._alive_where_missed(self._network()) is not None:
                    self.fast.remove(root)
        return self.fast

    def _network(self) -> Network:
        def space(root: SSAValue) -> FeatureMapSpace:
            return "fast" if root in self.fast else "arena"

        return self.network.placed(space)

    def _alive_where_missed(self, network: Network) -> Collection[SSAValue] | None:
        """The values in the fast memory at the first item that no schedule within the limit gets past; None if none."""
        if self.whole:
            items = range(len(network.items))
            number = next((number for number in items if network.alone(number) > self.limit), None)
        else:
            self.planner = Planner(network, Works(network, self.machine, self.setup), self.planner)
            number = self.planner.first_missed(self.limit)
        if number is None:
            return None
        alive = network.alive_at(number)
        item = network.items[number].op
        if isinstance(item, CascadeOp):
            alive += (op.result for op in item.stages if op.result not in alive)
        return [root for root in alive if root in self.fast]

    def _spill_cycles(self, root: SSAValue) -> float:
        """What the kernels that touch a value take longer with it in the arena."""
        members = set(self.storage.members(root))
        users = {use.operation: None for value in members for use in value.uses}
        writers = {value.owner: None for value in members}
        cycles = 0.0
        for op in {**writers, **users}:
            if isinstance(op, KernelOp | CopyOp):
                near, far = (self._time(op, members, area) for area in ("cache", "arena"))
                cycles += far - near
        return cycles

    def _time(self, op: KernelOp | CopyOp, members: Collection[SSAValue], area: Area) -> float:
        """Cycles of a kernel with these of its operands in `area`, and a little for the ports that it keeps busy."""
        now = places_of(op)
        inputs = (op.ifm,) if isinstance(op, CopyOp) else op.feature_maps

        def place(value: SSAValue, known: Area) -> Area:
            if value in members:
                return area
            return "cache" if known == "arena" and self.storage.root(value) in self.fast else known

        places = Places(
            place(inputs[0], now.ifm), place(inputs[-1], now.ifm2), place(op.result, now.ofm), now.weights, now.scales
        )
        kernel = self.storage.launch(op)
        block = op.block.data if op.block is not None else best_block(self.machine, self.setup, kernel, places)
        cost = kernel_cost(self.machine, self.setup, kernel, block, places)
        return cost.cycles + sum(cost.port_cycles) * PORT_WEIGHT
