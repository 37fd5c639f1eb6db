"""
Put the kernels of a region in an order in which less memory is alive at one time, where branches allow another.

Assumes a target on the module, kernels and views as they are to stay, and formats, which decide sizes. Decides the
order in which kernels and copies stand. `npuc.planning.order` proposes orders by what is alive in the scarce memory,
nothing spilled and host values counted: elementwise kernels write over operands that nobody needs any more, and kernels
that only depend on each other stay together, so that branches become cascades as before. One is taken

- under strategy `size`, or where the region as it stands does not fit the target: if the best cascades
  (`npuc.planning.cascades`) need less memory than in the given order, or as much and kernels that run whole less;
- else if kernels that run whole need less memory, and the whole schedule is no slower (`npuc.planning.schedules`):
  transfers of weights hide behind other kernels than before.

Leaves regions as they are that are pinned by `npu.kernels_ordered`, which this pass writes where it has changed
anything, and those in which something is decided already that depends on the order: cascades, transfers, buffers of
weights, and results that lie over operands. Leaving it out costs memory and changes no result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, UnitAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation
from xdsl.passes import ModulePass

from npuc.analysis.host import NOTHING_HELD, Held, held_by_host
from npuc.analysis.machine import machine_of, setup_of
from npuc.dialects.npu import ORDERED_ATTR, find_target
from npuc.dialects.npu_schedule import CascadeOp, ElementwiseOp, KernelOp, TransferOp, WeightBuffersOp, space_of
from npuc.passes.npu_schedule_limit_sram import available, is_named
from npuc.planning.cascades import Planner
from npuc.planning.network import Network, scheduled_functions
from npuc.planning.order import orders, peaks, problem_of
from npuc.planning.placement import movable_roots
from npuc.planning.schedules import region_of, score_as_it_stands
from npuc.planning.tasks import Works


@dataclass(frozen=True)
class NpuScheduleOrderKernelsPass(ModulePass):
    """Reorder kernels so that less is alive at one time."""

    name = "npu-schedule-order-kernels"

    strategy: Literal["performance", "size"] = "performance"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if find_target(op) is None:
            return
        held = held_by_host(op)
        for function in scheduled_functions(op):
            if ORDERED_ATTR in function.attributes or any(map(_depends_on_order, function.body.ops)):
                continue
            kept = held.get(function.sym_name.data, NOTHING_HELD)
            network = _network(function, kept)
            is_scarce = self.strategy == "size" or network.plain_peak > available(op)
            proposed = orders(network)
            if not proposed:
                continue
            problem, items = problem_of(network), [item.op for item in network.items]
            given_peaks, given = peaks(problem, range(len(items))), list(function.body.ops)
            if is_scarce:
                value_of, first = _memory, _memory(function, kept)
                # What changes where the best cascades have memory to spare need not be valued.
                proposed = [order for order in proposed if _most_where_changed(given_peaks, order) >= first[0]]
            else:
                # Nor need what only helps in cascades, or elsewhere than at the peak.
                proposed = [order for order in proposed if max(peaks(problem, order)) < max(given_peaks)]
                if not proposed:
                    continue
                value_of, first = _memory_and_time, _memory_and_time(function, kept)
            best = first
            chosen: list[int] | None = None
            for order in proposed:
                _reorder(function.body.block, [items[number] for number in order])
                value = value_of(function, kept)
                if value < best and (is_scarce or value[1] <= first[1]):
                    best, chosen = value, order
            _reorder(function.body.block, given if chosen is None else [items[number] for number in chosen])
            if chosen is not None:
                function.attributes[ORDERED_ATTR] = UnitAttr()


def _most_where_changed(given_peaks: Sequence[int], order: Sequence[int]) -> int:
    """Of the peaks of items in the given order the greatest at which another order has another item."""
    return max(given_peaks[at] for at, number in enumerate(order) if number != at)


def _network(function: FuncOp, held: Held) -> Network:
    """A region with all in the scarce memory that could lie there."""
    network = Network(function, held)
    if network.space == "arena":
        return network
    movable = set(movable_roots(network.storage))
    return network.placed(lambda root: "fast" if root in movable else space_of(root))


def _memory(function: FuncOp, held: Held) -> tuple[float, float]:
    """The least bytes that a region needs, and those of kernels that run whole."""
    network = _network(function, held)
    if network.space == "arena":
        # The next pass asks the same planner, if the order stays.
        planner = region_of(function, held, machine_of(function), setup_of(function)).planner
    else:
        planner = Planner(network, Works(network, machine_of(function), setup_of(function)))
    return planner.least_peak(), network.plain_peak


def _memory_and_time(function: FuncOp, held: Held) -> tuple[float, float]:
    """The bytes of kernels that run whole, and how long they take with weights through buffers."""
    network = _network(function, held)
    limit = available(function) if is_named(function) else network.plain_peak
    works = Works(network, machine_of(function), setup_of(function))
    return network.plain_peak, score_as_it_stands(works, limit)


def _depends_on_order(op: Operation) -> bool:
    """Whether something has been decided that another order might contradict."""
    if isinstance(op, ElementwiseOp) and op.in_place is not None:
        return True
    return isinstance(op, CascadeOp | TransferOp | WeightBuffersOp) or (
        isinstance(op, KernelOp) and any(one is not None for one in (op.cascade, op.laid_over, op.upwards))
    )


def _reorder(block: Block, order: Sequence[Operation]) -> None:
    """
    Put some operations in this order, each right behind the views and constants that it needs first; what nobody needs
    comes last.
    """
    last = block.last_op
    assert last is not None
    placed = set[Operation]()
    inside = set(order)
    unused = [op for op in block.ops if op is not last and op not in inside]
    for op in (*order, *unused, last):
        waiting = [op]
        while waiting:
            one = waiting[-1]
            owners = (value.owner for value in reversed(one.operands))
            needed = [owner for owner in owners if isinstance(owner, Operation) and owner not in placed]
            if needed:
                waiting += needed
                continue
            waiting.pop()
            if one in placed:
                continue
            placed.add(one)
            if one is not last:
                one.detach()
                block.insert_op_before(one, last)
