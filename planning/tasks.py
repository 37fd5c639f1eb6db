"""
A schedule of a region as plain data: tasks in order, each with its launches and the memory that is taken meanwhile.

A *task* is a kernel that runs whole, a copy, or a cascade. It is built from a `Network` and the segments that a planner
would cut it into, before there is any IR of cascades (`of_cascade`, `of_item`), or from IR in which cascades are formed
(`of_network`); both give the same tasks for the same schedule. A *work* is one kernel and how it is launched: the rows
of its stripes, the OFM block, where its operands lie, and what its weights take when they are cut in some way.

What a launch of some rows and channels is, the block that suits it, and what it costs, is asked here by whoever plans.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from xdsl.ir import SSAValue

from npuc.analysis.machine import places_of
from npuc.analysis.storage import Storage, storage_bytes, tensor_type
from npuc.analysis.weights import encoded_sizes_of, order_of, scale_bytes, weights_key
from npuc.dialects.launch import padding
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import AREAS
from npuc.dialects.npu_schedule import CascadeOp, ConvKernelOp, CopyOp, ElementwiseOp, KernelOp, TransferOp, nhwc
from npuc.dialects.stripes import Launch, pieces
from npuc.dialects.views import row_sources
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.cycles import PORT_WEIGHT, KernelCost, Places, best_block, kernel_cost
from npuc.hardware.memory import Area, MemorySetup
from npuc.hardware.parameters import LOW
from npuc.hardware.shram import Kernel, ifm_block, illegal_reason
from npuc.planning.forms import Form, of_channels
from npuc.planning.network import Network, rounded
from npuc.planning.slices import Sizes, Slices, Weighted, slices_of

if TYPE_CHECKING:
    from npuc.hardware.weights import WeightOrder

Op = KernelOp | CopyOp
BlockPolicy = Callable[[Op, Kernel, Kernel, Places], Block]
"""The OFM block of a kernel or copy, given the launch of the whole and one as most are."""


def setups_to_compare(setup: MemorySetup) -> list[MemorySetup]:
    """
    What costs are compared by, their geometric mean: by the setup itself and, where the memory of the constants may be
    quicker than it is taken to be, as low as they can be.
    """
    low = setup.with_parameters(LOW)
    return [setup] if low.constants.read_rate == setup.constants.read_rate else [setup, low]


def suitable_block(whole: Kernel, launch: Kernel, machine: Accelerator, setup: MemorySetup, places: Places) -> Block:
    """
    The block in which a launch of a kernel is quickest, its operands in these memories; that of the whole if it would
    not be legal there.

    ValueError if none is legal.
    """
    block = best_block(machine, setup, launch, places)
    if launch != whole and illegal_reason(machine, whole, block) is not None:
        return best_block(machine, setup, whole, places)
    return block


def block_for_both_ends(
    known: Block, whole: Kernel, launch: Kernel, machine: Accelerator, setup: MemorySetup, places: Places
) -> Block:
    """
    A block, or the one in which a launch is quickest where costs are low if that is better by the mean of both costs.
    """
    setups = setups_to_compare(setup)

    def score(block: Block) -> float:
        costs = [kernel_cost(machine, one, launch, block, places) for one in setups]
        return prod(cost.cycles + sum(cost.port_cycles) * PORT_WEIGHT for cost in costs)

    return min(known, suitable_block(whole, launch, machine, setups[-1], places), key=score)


def policy_for_buffers(area: Area, machine: Accelerator, setup: MemorySetup) -> BlockPolicy:
    """The block in which a launch is quickest whose weights come from a buffer in `area`."""

    def block(op: Op, whole: Kernel, launch: Kernel, places: Places) -> Block:
        return suitable_block(whole, launch, machine, setup, places._replace(weights=area))

    return block


@dataclass(eq=False)
class Work:
    """One kernel or copy, and how it is launched."""

    op: Op
    stripe: int
    """OFM rows a launch as a rule."""
    block: Block
    places: Places
    """Where its operands lie, weights in the memory of the constants."""
    machine: Accelerator
    setup: MemorySetup
    storage: Storage
    form: Form
    rolling: int = 0
    """Rows of the rolling buffer that its OFM lives in; 0 where it is whole."""
    height: int = 0
    depth: int = 0
    table: SSAValue | None = None
    table_bytes: int = 0
    weighted: bool = field(init=False)
    """It has weights."""
    writes: SSAValue = field(init=False)
    """The root of what it writes."""
    reads: tuple[tuple[SSAValue, SSAValue], ...] = ()
    """Of each feature map that it reads the value and its root."""
    _costs: dict[Hashable, KernelCost] = field(default_factory=dict[Hashable, KernelCost])
    measured: dict[tuple[int, ...], list[Sizes]] = field(default_factory=dict[tuple[int, ...], list[Sizes]])
    """Bytes of the weights, by the channels where they are cut, as far as somebody has asked."""
    _slices: dict[Area, Slices] = field(default_factory=dict[Area, Slices])
    _others: dict[MemorySetup, Work] = field(default_factory=dict[MemorySetup, "Work"])

    def __post_init__(self) -> None:
        op = self.op
        self.height, _, self.depth = self.form.ofm
        self.weighted = isinstance(op, ConvKernelOp)
        self.writes = self.storage.root(op.result)
        inputs = (op.ifm,) if isinstance(op, CopyOp) else op.feature_maps
        self.reads = tuple((value, self.storage.root(value)) for value in inputs)
        if isinstance(op, KernelOp) and (table := op.table_value) is not None:
            self.table, self.table_bytes = table, storage_bytes(tensor_type(table))

    def under(self, setup: MemorySetup) -> Work:
        """The same work where costs are those of another setup; it shares what is known of its weights."""
        if setup is self.setup:
            return self
        if setup not in self._others:
            self._others[setup] = replace(self, setup=setup, _costs={}, _slices={}, _others={})
        return self._others[setup]

    @cached_property
    def ifm_depth(self) -> int:
        """Channels of the IFM that a job reads at once; 0 for those of the OFM block."""
        kernel = self.form.whole
        return 0 if kernel.by_channel else ifm_block(self.machine, kernel, self.block).depth

    @cached_property
    def key(self) -> Hashable:
        """Equal for works that read equal weights in one order."""
        assert isinstance(self.op, ConvKernelOp)
        return weights_key(self.op, self.block, self.machine)

    def sizes(self, cuts: tuple[int, ...]) -> list[Sizes]:
        """Exact bytes of the weights, cut at these channels."""
        if cuts not in self.measured:
            op = self.op
            assert isinstance(op, ConvKernelOp)
            self.remember(cuts, encoded_sizes_of([(op, self.block, cuts)], self.machine)[0])
        return self.measured[cuts]

    def remember(self, cuts: tuple[int, ...], weights: Sequence[int]) -> None:
        """Take note of the bytes of slices without scales."""
        op = self.op
        along = isinstance(op, ConvKernelOp) and op.scales_apart is None
        self.measured[cuts] = [
            Sizes(size, scale_bytes(high - low, self.machine) if along else 0)
            for size, (low, high) in zip(weights, pairwise(cuts), strict=True)
        ]

    def slices(self, area: Area) -> Slices:
        """The ways to bring its weights, through buffers in `area` or in place."""
        if area not in self._slices:
            launch, sizes = self.form.usual(self.stripe), self.sizes((0, self.depth))[0]
            kernel = Weighted(self.machine, self.setup, launch, self.block, self.places, area, sizes)
            self._slices[area] = slices_of(kernel)
        return self._slices[area]

    @property
    def size(self) -> int:
        """Bytes of all weights as one run; 0 without weights."""
        return self.sizes((0, self.depth))[0].total if self.weighted else 0

    def usual_cost(self, area: Area = "constants", rows: int | None = None) -> KernelCost:
        """A launch of so many rows (a stripe), away from the padding above and below, its weights whole in a memory."""
        key = (area, rows)
        if key not in self._costs:
            weights = self.sizes((0, self.depth))[0].weights if self.weighted else None
            self._costs[key] = self._cost(self.form.usual(self.stripe if rows is None else rows), weights, area)
        return self._costs[key]

    def cost(self, run: Run, channels: tuple[int, int], weights: int | None, area: Area) -> KernelCost:
        """Just this launch, with the padding at its ends."""
        op = self.op
        if isinstance(op, CopyOp):
            return self.usual_cost()
        form = self.form
        rows = form.rows(run.start, run.stop)
        depth = channels[1] - channels[0]
        key = (rows.last - rows.first, run.stop - run.start, rows.top, rows.bottom, depth, weights, area)
        if key not in self._costs:
            kernel = form.launch(rows.last - rows.first, run.stop - run.start)
            if not isinstance(op, ElementwiseOp):
                _, left, _, right = padding(form.window, form.inputs[0][:2], (run.stop - run.start, form.ofm[1]))
                kernel = kernel._replace(pad=(rows.top, rows.bottom, left, right))
            self._costs[key] = self._cost(of_channels(kernel, depth), weights, area)
        return self._costs[key]

    def _cost(self, kernel: Kernel, weights: int | None, area: Area) -> KernelCost:
        places = self.places._replace(weights=area)
        return kernel_cost(self.machine, self.setup, kernel, self.block, places, weights)


class Run(NamedTuple):
    """A launch of all channels of OFM rows `start` to `stop` of a work."""

    work: Work
    start: int
    stop: int


class Piece(NamedTuple):
    """Rows of a feature map that are brought."""

    op: TransferOp
    start: int
    stop: int


@dataclass
class Task:
    """What runs before the next task begins, and the bytes of the scarce memory that it takes, without buffers."""

    works: list[Work]
    runs: list[Run]
    used: int
    cascade: bool
    brings: list[TransferOp] = field(default_factory=list[TransferOp])
    """Transfers of feature maps that stand right before it."""
    pieces: dict[int, list[Piece]] = field(default_factory=dict[int, list[Piece]])
    """By the number of runs before them, rows that a cascade brings beside its kernels."""
    given_up: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])
    """The roots that nothing needs any more once the last run of a cascade has read them, and their bytes."""

    @cached_property
    def kernel_cycles(self) -> int:
        """The cycles of its kernels one behind the other, weights in place: what it takes at least without buffers."""
        total = 0
        for run in self.runs:
            work = run.work
            weights = work.sizes((0, work.depth))[0].weights if work.weighted else None
            total += work.cost(run, (0, work.depth), weights, "constants").cycles
        return total

    def under(self, setup: MemorySetup) -> Task:
        """The same task where costs are those of another setup."""
        if all(work.setup is setup for work in self.works):
            return self
        return replace(
            self,
            works=[work.under(setup) for work in self.works],
            runs=[run._replace(work=run.work.under(setup)) for run in self.runs],
        )


class Works:
    """The works of a region's kernels, each made once for every stripe height that is asked for."""

    def __init__(self, network: Network, machine: Accelerator, setup: MemorySetup, policy: BlockPolicy | None = None):
        self.network, self.machine, self.setup = network, machine, setup
        self._policy = policy or self._suitable
        self._works: dict[tuple[Op, int, int, Places], Work] = {}
        self._places: dict[Op, Places] = {}
        """Where the types of their operands say that these lie."""

    def work(self, op: Op, stripe: int, rolling: int = 0, places: Places | None = None) -> Work:
        """
        A kernel in stripes of so many rows, its OFM in a rolling buffer of so many, its operands in these memories, by
        default as its types say. OperationError if no block is legal for it.
        """
        places = places or self.places(op)
        key = (op, stripe, rolling, places)
        if key not in self._works:
            if rolling:
                # Neither the block nor a cost depends on it.
                self._works[key] = replace(self.work(op, stripe, places=places), rolling=rolling, _others={})
            else:
                form, storage = self.network.form(op), self.network.storage
                block = self._block(op, form.whole, form.usual(stripe), places)
                self._works[key] = Work(op, stripe, block, places, self.machine, self.setup, storage, form)
        return self._works[key]

    def _block(self, op: Op, whole: Kernel, launch: Kernel, places: Places) -> Block:
        if op.block is not None:
            return op.block.data
        try:
            return self._policy(op, whole, launch, places)
        except ValueError as error:
            raise OperationError(op, str(error)) from error

    def _suitable(self, op: Op, whole: Kernel, launch: Kernel, places: Places) -> Block:
        return suitable_block(whole, launch, self.machine, self.setup, places)

    def measure(self, works: Iterable[Work]) -> None:
        """Find out what the whole weights of these take, all at once."""
        missing: dict[tuple[ConvKernelOp, WeightOrder], list[Work]] = {}
        for work in works:
            if isinstance(work.op, ConvKernelOp) and (0, work.depth) not in work.measured:
                missing.setdefault((work.op, order_of(work.op, work.block, self.machine)), []).append(work)
        requests = [(op, alike[0].block, (0, alike[0].depth)) for (op, _), alike in missing.items()]
        for alike, (size,) in zip(missing.values(), encoded_sizes_of(requests, self.machine), strict=True):
            for work in alike:
                work.remember((0, work.depth), [size])

    def places(self, op: Op) -> Places:
        """Which memory each operand of a kernel lies in."""
        if op not in self._places:
            self._places[op] = places_of(op)
        return self._places[op]

    def places_within(self, op: KernelOp, inside: Container[SSAValue]) -> Places:
        """Which memory each operand of a kernel lies in where these values are in rolling buffers."""
        near: Area = AREAS[self.network.space]
        places, inputs = self.places(op), op.feature_maps
        if op.result in inside:
            places = places._replace(ofm=near)
        if all(source in inside for source in row_sources(inputs[0])):
            places = places._replace(ifm=near)
        if all(source in inside for source in row_sources(inputs[-1])):
            places = places._replace(ifm2=near)
        return places

    def of_network(self) -> list[Task]:
        """The tasks of a region as it stands, with the transfers that it holds."""
        tasks = [self.of_item(number) for number in range(len(self.network.items))]
        by_op = {item.op: task for item, task in zip(self.network.items, tasks, strict=True)}
        brings: list[TransferOp] = []
        for op in self.network.function.body.block.ops:
            if isinstance(op, TransferOp):
                brings.append(op)
            elif isinstance(op, KernelOp | CopyOp | CascadeOp):
                by_op[op].brings += brings
                brings.clear()
        return tasks

    def of_cascade(
        self,
        start: int,
        stripes: Sequence[int],
        rolling: Sequence[int | None],
        launches: Iterable[Launch],
        used: int,
        over: int = -1,
    ) -> Task:
        """
        The task that items from number `start` on become in one cascade, given the rows a launch of each and of the
        rolling buffer that its OFM lives in (None: none), the launches in order, the bytes that all of that takes, and
        the tensor that its result lies over (-1: none).
        """
        works: list[Work] = []
        inside = set[SSAValue]()
        given_up = self.network.given_up(start, start + len(stripes) - 1, (over,))
        for number, (stripe, rows) in enumerate(zip(stripes, rolling, strict=True), start):
            op = self.network.items[number].op
            assert isinstance(op, KernelOp)
            if rows is not None:
                inside.add(op.result)
                place = self.network.storage.place(op.result)
                given_up[place.root] = rounded(rows * place.stride_y)
            works.append(self.work(op, stripe, rows or 0, self.places_within(op, inside)))
        runs = [Run(works[one.stage], one.start, one.stop) for one in launches]
        return Task(works, runs, used, True, given_up=given_up)

    def of_item(self, number: int) -> Task:
        """The task that an item is as it stands."""
        op, used = self.network.items[number].op, self.network.alone(number)
        if isinstance(op, CascadeOp):
            works: dict[int, Work] = {}
            for index, kernel in enumerate(op.stages):
                if isinstance(kernel, KernelOp):
                    stripe = nhwc(kernel.result)[0] if kernel.stripe is None else kernel.stripe.data[0]
                    rolls = kernel.rolling is not None and kernel.result not in op.yielded
                    rolling = kernel.rolling.data[0] if kernel.rolling and rolls else 0
                    works[index] = self.work(kernel, stripe, rolling)
            given_up = self.network.given_up(
                number, number, [rule.lower for rule in self.network.items[number].rules]
            ) | self.network.rolling_bytes(op)
            task = Task(list(works.values()), [], used, True, given_up=given_up)
            stages = op.stages
            for index, start, stop in op.unrolled().launches:
                stage = stages[index]
                if isinstance(stage, TransferOp):
                    rows = nhwc(stage.result)[0] if stage.rolling is None else stage.rolling.data[0]
                    brought = (Piece(stage, *ends) for ends in pieces(start, stop, rows))
                    task.pieces.setdefault(len(task.runs), []).extend(brought)
                else:
                    task.runs.append(Run(works[index], start, stop))
            return task
        # Outside of a cascade a kernel runs whole, whatever stripe is written on it.
        work = self.work(op, nhwc(op.result)[0])
        return Task([work], [Run(work, 0, work.height)], used, False)
