"""
A region as planners see it: kernels in program order and the tensors between them, with sizes and live ranges.

Plain data, built once from the IR. Sizes are bytes of the memory that is scarce, 0 for what lies elsewhere. Items run
in the order in which they stand; views are seen through `Storage`, so that a tensor is all that lives in one root.
What the host keeps in the arena meanwhile counts with it, where the arena is what is scarce.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

from npuc.analysis.allocation import ALIGNMENT, Rule
from npuc.analysis.host import NOTHING_HELD, Held
from npuc.analysis.machine import scarce_space_of
from npuc.analysis.storage import Storage, storage_bytes, tensor_type
from npuc.dialects.npu import FeatureMapSpace
from npuc.dialects.npu_schedule import (
    CascadeOp,
    ConcatOp,
    ConstantOp,
    CopyOp,
    ElementwiseOp,
    KernelOp,
    SliceOp,
    TransferOp,
    nhwc,
    rolling_of,
    space_of,
)
from npuc.dialects.views import keeps_rows, row_sources
from npuc.planning.forms import Form


def rounded(size: int) -> int:
    """Bytes that a buffer takes in the arena."""
    return -(-size // ALIGNMENT) * ALIGNMENT


class Overlap(NamedTuple):
    """A result of a cascade that lies over one of its operands; both roots."""

    upper: SSAValue
    lower: SSAValue
    at: int
    """It begins at most so many bytes behind the operand."""
    behind: bool
    """At least so many."""


def inputs_of(op: KernelOp | CopyOp | TransferOp) -> Sequence[SSAValue]:
    """The feature maps that are read."""
    if isinstance(op, KernelOp):
        return op.feature_maps
    return (op.ifm,) if isinstance(op, CopyOp) else (op.source,)


def scheduled_functions(module: ModuleOp) -> list[FuncOp]:
    """The functions that hold kernels."""
    kinds = (KernelOp, CopyOp, CascadeOp)
    return [f for f in module.ops if isinstance(f, FuncOp) and any(isinstance(op, kinds) for op in f.body.ops)]


def _rolls(root: SSAValue) -> bool:
    """Whether all that lies in a root is written and read by kernels row by row."""
    read = False
    waiting, seen = [root], {root}
    while waiting:
        value = waiting.pop()
        owner = value.owner
        if isinstance(owner, ConcatOp) and keeps_rows(owner):
            members = list(owner.inputs)
        elif isinstance(owner, ElementwiseOp) and owner.in_place is not None:
            return False
        elif isinstance(owner, SliceOp) and keeps_rows(owner):
            members = [owner.source]
        elif isinstance(owner, KernelOp):
            members = []
        else:
            return False
        for use in value.uses:
            if isinstance(use.operation, SliceOp | ConcatOp):
                members += use.operation.results
            elif isinstance(use.operation, KernelOp):
                read = True
            else:
                return False
        waiting += (one for one in members if one not in seen)
        seen.update(members)
    return read


@dataclass
class Tensor:
    """Memory of the arena: one root of `Storage` and all that lives in it."""

    size: int
    first: int
    """The item that writes it first, -1 for what the region is given."""
    last: int
    """The last item that reads it; the number of items if it is needed when the region ends."""
    rolls: bool = False
    """It may live in a rolling buffer: only kernels write it, and read it as it is or through views that keep rows."""
    writers: list[int] = field(default_factory=list[int])
    """The items that write it, in order."""
    row: int = 0
    """Bytes of a row."""
    whole: int = 0
    """Bytes of all of it, whichever memory it lies in."""


@dataclass
class Item:
    """A kernel, copy or formed cascade: what runs before the next item begins."""

    op: KernelOp | CopyOp | CascadeOp
    barrier: int = 0
    """The first item that may be in one cascade with it: it reads views of what earlier items write."""
    writes: list[int] = field(default_factory=list[int])
    """Tensors that it writes."""
    reads: list[int] = field(default_factory=list[int])
    """Tensors that it reads."""
    brings: list[int] = field(default_factory=list[int])
    """Tensors that are transferred to memory right before it."""
    own: int = 0
    """Rolling buffers of a formed cascade, in bytes."""
    views: list[int] = field(default_factory=list[int])
    """Tensors that may live in rolling buffers and that it reads through views."""
    over: list[int] = field(default_factory=list[int])
    """Tensors of which its OFM takes the place of one that lies in the same memory."""
    rules: list[Rule] = field(default_factory=list[Rule])
    """How tensors that a formed cascade writes lie over others as these die."""
    saved: int = 0
    """Bytes that it does not need because its OFM takes the place of an operand."""

    @property
    def kernel(self) -> KernelOp | None:
        """The kernel, if that is what it is and it has rows to be cut."""
        return self.op if isinstance(self.op, KernelOp) and nhwc(self.op.result)[0] > 1 else None


class Network:
    """Items in order and tensors of one region, and what the host keeps in the arena meanwhile."""

    def __init__(self, function: FuncOp, host: Held = NOTHING_HELD):
        self.function = function
        self.space: FeatureMapSpace = scarce_space_of(function)
        """The memory that counts."""
        self.storage = Storage(function)
        self.items: list[Item] = []
        self.tensors: list[Tensor] = []
        self._space_of: Callable[[SSAValue], FeatureMapSpace] = space_of
        self._forms: dict[KernelOp | CopyOp, Form] = {}
        self._index: dict[SSAValue, int] = {}
        self._writers: dict[int, int] = {}
        """The last item that writes a tensor."""
        self._kernels: dict[SSAValue, int] = {}
        self._pending: dict[SSAValue, TransferOp] = {}
        """Transfers that no item has read yet, by the root that they write."""
        block = function.body.block
        for argument in block.args:
            self._tensor(argument, -1)
        for op in block.ops:
            if isinstance(op, KernelOp | CopyOp | CascadeOp):
                self._add(op)
            elif isinstance(op, TransferOp):
                self._transfer(op)
        for op in self._pending.values():
            self._tensor(op.result, max(0, len(self.items) - 1))
        last = block.last_op
        if isinstance(last, ReturnOp):
            for value in last.operands:
                if (index := self._find(value)) is not None:
                    self.tensors[index].last = len(self.items)
        if self.space != "arena":
            host = NOTHING_HELD
        for number in host.arguments:
            self.tensors[self._index[block.args[number]]].last = len(self.items)
        for item in self.items:
            if isinstance(op := item.op, ElementwiseOp):
                operands = [op.feature_maps[number] for number in self.storage.all_reusable(op)]
                item.over = [self._index[self.storage.root(value)] for value in operands]
        self.overlaps: list[Overlap] = []
        for item in self.items:
            for kernel in item.op.kernels if isinstance(item.op, CascadeOp) else ():
                if kernel.laid_over is None or kernel.at is None:
                    continue
                roots = self.storage.root(kernel.result), self.storage.root(kernel.laid_over)
                at, behind = kernel.at.data[0], kernel.upwards is not None
                if all(root in self._index for root in roots):
                    self.overlaps.append(Overlap(*roots, at, behind))
                    upper, lower = (self._index[root] for root in roots)
                    item.rules.append(Rule(upper, lower, at, behind))
        self.host_bytes = host.size
        """Of what the host keeps in the scarce memory meanwhile."""
        self.before: list[int] = []
        """For each item the bytes of what exists when it begins and is still needed."""
        self._add_up()

    def placed(self, space: Callable[[SSAValue], FeatureMapSpace]) -> Network:
        """The same items, their values in other memories: `space` says which one a root lies in."""
        new = copy(self)
        new._space_of = space
        new.tensors = [replace(tensor) for tensor in self.tensors]
        for root, index in self._index.items():
            new.tensors[index].size = new.tensors[index].whole if space(root) == self.space else 0
        new.items = [replace(item, own=new._own(item.op)) for item in self.items]
        new._add_up()
        return new

    def given_up(self, start: int, stop: int, taken: Collection[int] = ()) -> dict[SSAValue, int]:
        """
        The roots that no item behind `stop` needs, but one from `start` on does, with their bytes; but for tensors that
        are `taken`, since a result lies over them.
        """
        last = {index for index, tensor in enumerate(self.tensors) if start <= tensor.last <= stop and tensor.size}
        last.difference_update(taken)
        return {root: self.tensors[index].size for root, index in self._index.items() if index in last}

    def _own(self, op: KernelOp | CopyOp | CascadeOp) -> int:
        """Bytes of the rolling buffers of a formed cascade."""
        return sum(self.rolling_bytes(op).values()) if isinstance(op, CascadeOp) else 0

    def rolling_bytes(self, op: CascadeOp) -> dict[SSAValue, int]:
        """The roots that live in the rolling buffers of a formed cascade, and their bytes."""
        sizes: dict[SSAValue, int] = {}
        for root in dict.fromkeys(self.storage.root(stage.result) for stage in op.stages):
            inside = isinstance(root.owner, Operation) and root.owner.parent_op() is op
            if inside and self._space_of(root) == self.space:
                sizes[root] = rounded((rolling_of(root) or nhwc(root)[0]) * self.storage.place(root).stride_y)
        return sizes

    def _add_up(self) -> None:
        """What is saved and what lives across items, by the sizes of tensors."""
        for item in self.items:
            reuses = any(self.tensors[index].size for index in item.over)
            item.saved = self.tensors[item.writes[0]].size if reuses else 0
            for rule in item.rules:
                sizes = self.tensors[rule.upper].size, self.tensors[rule.lower].size
                item.saved += rule.saved(*sizes) if all(sizes) else 0
        count = len(self.items)
        steps = [0] * (count + 2)
        for tensor in self.tensors:
            # Lives across an item if written before it and needed by it or later.
            if tensor.last > tensor.first:
                steps[tensor.first + 1] += tensor.size
                steps[tensor.last + 1] -= tensor.size
        total = self.host_bytes
        self.before = [total := total + step for step in steps[:count]]

    def form(self, op: KernelOp | CopyOp) -> Form:
        """The form of one of its kernels or copies."""
        if op not in self._forms:
            self._forms[op] = Form.of(op, self.storage)
        return self._forms[op]

    def alive_at(self, number: int) -> list[SSAValue]:
        """The roots that take scarce memory while an item runs."""
        alive: list[SSAValue] = []
        for root, index in self._index.items():
            tensor = self.tensors[index]
            if tensor.size and tensor.first <= number <= max(tensor.first, tensor.last):
                alive.append(root)
        return alive

    def written_by(self, value: SSAValue) -> int:
        """The last item that writes what a value lies in; -1 if none does."""
        index = self._find(value)
        return -1 if index is None else self._writers.get(index, -1)

    def producers(self, value: SSAValue) -> list[int]:
        """The items whose kernels' OFMs a value consists of, row by row; -1 for what is none."""
        return [self._kernels.get(source, -1) for source in row_sources(value)]

    def tensor_of(self, value: SSAValue) -> int | None:
        """The number of the tensor that a value lies in; None for constants."""
        return self._find(value)

    def _find(self, value: SSAValue) -> int | None:
        """The tensor that a value lives in; None for constants."""
        root = self.storage.root(value)
        return None if isinstance(root.owner, ConstantOp) else self._index.get(root)

    def _tensor(self, value: SSAValue, item: int) -> int:
        """The tensor that an item writes, or an argument."""
        root = self.storage.root(value)
        if root not in self._index:
            self._index[root] = len(self.tensors)
            whole = rounded(storage_bytes(tensor_type(root)))
            tensor = Tensor(whole if self._space_of(root) == self.space else 0, item, item, whole=whole)
            if isinstance(root.owner, KernelOp | ConcatOp):
                tensor.rolls = _rolls(root)
                tensor.row = self.storage.place(root).stride_y
            self.tensors.append(tensor)
        return self._index[root]

    def _transfer(self, op: TransferOp) -> None:
        """Its source is needed while the next item runs; its result is there from its first reader on."""
        source, root = self._find(op.source), self.storage.root(op.result)
        if source is not None:
            self.tensors[source].last = max(self.tensors[source].last, len(self.items))
        if root is op.result and root not in self._index:
            self._pending[root] = op
        else:
            self._writers[self._tensor(op.result, len(self.items))] = len(self.items)

    def _bring(self, value: SSAValue, item: Item, number: int) -> None:
        """Make a tensor of what is brought for an item, if `value` lies in that."""
        op = self._pending.pop(self.storage.root(value), None)
        if op is None:
            return
        item.brings.append(self._tensor(op.result, number))
        written = self._find(op.source)
        if written in self._writers:
            item.barrier = max(item.barrier, 1 + self._writers[written])

    def _add(self, op: KernelOp | CopyOp | CascadeOp) -> None:
        number = len(self.items)
        item = Item(op, own=self._own(op))
        self.items.append(item)
        inner = op.stages if isinstance(op, CascadeOp) else (op,)
        results = list(op.outputs) if isinstance(op, CascadeOp) else [op.result]
        for one in inner:
            for value in inputs_of(one):
                self._bring(value, item, number)
                index = self._find(value)
                if index is None:
                    continue
                tensor = self.tensors[index]
                tensor.last = max(tensor.last, number)
                item.reads.append(index)
                if value in self._kernels or index not in self._writers:
                    continue
                if tensor.rolls:
                    item.views.append(index)
                else:
                    item.barrier = max(item.barrier, 1 + self._writers[index])
        for value in results:
            index = self._tensor(value, number)
            item.writes.append(index)
            self.tensors[index].writers.append(number)
            self._writers[index] = number
            if isinstance(op, KernelOp):
                self._kernels[value] = number

    @property
    def plain_peak(self) -> int:
        """Bytes needed if every item runs as it stands."""
        return max(map(self.alone, range(len(self.items))), default=0)

    def alone(self, number: int) -> int:
        """Bytes needed while an item runs as it stands, one kernel whole."""
        item = self.items[number]
        new = sum(self.tensors[t].size for t in {*item.writes, *item.brings} if self.tensors[t].first == number)
        return self.before[number] + new + item.own - item.saved
