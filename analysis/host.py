"""
What the host of NPU regions keeps in the arena: its values, and when each is needed.

The host is every function that is no region itself, in the order in which a runtime reaches them: from the main
function, through the operators that name others (IF, WHILE ...), then those that nothing names. Values and regions
share one arena, as TFLM plans it, so every value of a known size counts that is no constant and no state:

- arguments, and tensors that nothing makes, from before the first operation;
- results from the operation that makes them, whether anybody reads them or not;
- all up to the end of the last operation that reads them, results of a function up to its end. An operation that runs
  other functions ends after them, so its operands and results are needed all the while;
- what belongs to a function that is run again lives from its first run into its last.

An input that regions take as external lies outside of the arena.

No operation is taken to write over its operands. What kernels of a runtime keep for themselves is not known here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    CompileTimeFixedBitwidthType,
    ComplexType,
    DictionaryAttr,
    ModuleOp,
    StringAttr,
    SymbolRefAttr,
    TensorType,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue

from npuc.analysis.allocation import ALIGNMENT
from npuc.dialects.npu import EXTERNAL_REGIONS, BufferType, IntsAttr, InvokeOp, LayoutAttr, host_functions, is_region
from npuc.dialects.quant import storage_tensor
from npuc.dialects.tfl import ConstantOp, OpaqueType, PseudoTensorOp

HANDLE_BYTES = 4
"""Of a RESOURCE element, as TFLM counts it."""


class Span(NamedTuple):
    """From one time to another, both included."""

    start: int
    end: int


@dataclass
class HostValue:
    """Bytes of one value, and when they are needed."""

    size: int
    start: int
    end: int


@dataclass
class HostTimes:
    """The operations of the host in the order in which they run, and what it keeps in the arena."""

    spans: dict[Operation, Span] = field(default_factory=dict[Operation, Span])
    """From the first start of an operation to its last end."""
    values: dict[SSAValue, HostValue] = field(default_factory=dict[SSAValue, HostValue])
    end: int = 0
    """The time behind all of them."""


class Held(NamedTuple):
    """What the host of a region needs in the arena while it runs, besides what it hands over and takes back."""

    size: int
    """Bytes of values for regions and operators before and after."""
    arguments: frozenset[int]
    """Arguments of the region that the host needs afterwards."""


NOTHING_HELD = Held(0, frozenset())


def value_bytes(value: SSAValue) -> int | None:
    """Bytes that a value would take in the arena; None for constants, state, and values of unknown size."""
    owner = value.owner
    if isinstance(owner, ConstantOp) or (isinstance(owner, PseudoTensorOp) and owner.is_variable is not None):
        return None
    type_ = storage_tensor(value.type)
    if not isinstance(type_, TensorType) or DYNAMIC_INDEX in type_.get_shape():
        return None
    size = _element_bytes(type_.element_type)
    return None if size is None else size * prod(type_.get_shape())


def _element_bytes(element: Attribute) -> int | None:
    if isinstance(element, OpaqueType):
        return HANDLE_BYTES if element.data == "RESOURCE" else None
    if isinstance(element, ComplexType):
        part = _element_bytes(element.element_type)
        return None if part is None else 2 * part
    return element.compile_time_size if isinstance(element, CompileTimeFixedBitwidthType) else None


def invoking_functions(module: ModuleOp) -> list[FuncOp]:
    """The functions that the host runs, the main one first; none where nothing invokes a region."""
    functions = host_functions(module)
    return functions if any(isinstance(op, InvokeOp) for f in functions for op in f.body.block.ops) else []


def main_function(module: ModuleOp) -> FuncOp | None:
    """The function of the host that a runtime calls; None where nothing invokes a region."""
    return next(iter(invoking_functions(module)), None)


def why_in_arena(value: SSAValue) -> str | None:
    """Why an input of the network has to lie in the arena, not just anywhere; None if it need not."""
    uses = list(value.uses)
    if not uses:
        return "nothing reads it"
    if not all(isinstance(use.operation, InvokeOp) for use in uses):
        return "not only the NPU reads it"
    if any(use.index >= len(EXTERNAL_REGIONS) for use in uses):
        return f"it is operand {max(use.index for use in uses)} of a region, and there are base pointers for 0 to 4"
    return None


def external_values(module: ModuleOp) -> frozenset[SSAValue]:
    """The values of the host that regions read outside of the arena, as their arguments or `npu_cmd.input`s say."""
    operands: dict[str, set[int]] = {}
    for op in module.ops:
        if isinstance(op, FuncOp):
            if is_region(op) and op.body.blocks:
                spaces = enumerate(map(_is_external, op.body.block.args))
                operands[op.sym_name.data] = {index for index, external in spaces if external}
        elif isinstance(name := op.properties.get("sym_name"), StringAttr) and op.regions:
            inputs = (one for one in op.regions[0].ops if one.results and _is_external(one.results[0]))
            indices = (one.properties.get("index") for one in inputs)
            operands[name.data] = {index.data[0] for index in indices if isinstance(index, IntsAttr)}
    if not any(operands.values()):
        return frozenset()
    invokes = (op for f in module.ops if isinstance(f, FuncOp) for op in f.body.ops if isinstance(op, InvokeOp))
    return frozenset(
        value
        for op in invokes
        for index, value in enumerate(op.arguments)
        if index in operands.get(op.callee.string_value(), ())
    )


def _is_external(value: SSAValue) -> bool:
    """Whether a tensor or buffer lies outside of the arena, by its type."""
    type_ = value.type
    if isinstance(type_, TensorType):
        return isinstance(type_.encoding, LayoutAttr) and type_.encoding.space.data == "external"
    return isinstance(type_, BufferType) and type_.space == "external"


def _one(_: InvokeOp) -> int:
    return 1


def host_times(module: ModuleOp, length: Callable[[InvokeOp], int] = _one) -> HostTimes:
    """The host's operations and values in time; `length` says how long an invocation takes, others take 1."""
    walk = _Walk({f.sym_name.data: f for f in invoking_functions(module)}, length, external_values(module))
    for function in walk.functions.values():
        if function not in walk.first:
            walk.run(function)
    walk.finish()
    return walk.found


class _Walk:
    """One pass over the host."""

    def __init__(self, functions: dict[str, FuncOp], length: Callable[[InvokeOp], int], external: frozenset[SSAValue]):
        self.functions = functions
        self.external = external
        self.length = length
        self.found = HostTimes()
        self.now = 0
        self.first: dict[FuncOp, int] = {}
        """When a function runs first."""
        self.members: dict[FuncOp, list[Operation | HostValue]] = {}
        """What lives in a function."""
        self.called: dict[FuncOp, list[FuncOp]] = {}
        """The functions that it runs."""
        self.again: dict[FuncOp, int] = {}
        """When a function that has run before runs for the last time."""

    def run(self, entry: FuncOp) -> None:
        """A function that nothing names, and all that it runs."""
        # By hand, since functions may be nested deeper than Python's stack.
        todo: list[tuple[str, FuncOp | Operation]] = [("enter", entry)]
        open_: dict[FuncOp, None] = {}
        while todo:
            event, one = todo.pop()
            if isinstance(one, FuncOp):
                if event == "leave":
                    open_.popitem()
                elif one in self.first:
                    if one not in open_:
                        self.again[one] = self.now
                else:
                    open_[one] = None
                    self._enter(one)
                    todo.append(("leave", one))
                    todo += [("begin", op) for op in reversed(list(one.body.block.ops))]
            elif event == "begin":
                called = self._begin(one, next(reversed(open_)))
                todo.append(("end", one))
                todo += [("enter", function) for function in reversed(called)]
            else:
                self._end(one)
        self.now += 1

    def _enter(self, function: FuncOp) -> None:
        self.first[function] = self.now
        self.members[function], self.called[function] = [], []
        for argument in function.body.block.args:
            self._born(argument, self.now, function)

    def finish(self) -> None:
        """What lives in a function is needed until it runs for the last time, and so in those that it runs."""
        self.found.end = self.now
        seen: set[FuncOp] = set()
        # The latest first, so that each function is seen once.
        for function, time in sorted(self.again.items(), key=lambda item: -item[1]):
            todo = [function]
            while todo:
                one = todo.pop()
                if one in seen:
                    continue
                seen.add(one)
                todo += self.called[one]
                for member in self.members[one]:
                    if isinstance(member, HostValue):
                        member.end = max(member.end, time)
                    else:
                        span = self.found.spans[member]
                        self.found.spans[member] = Span(span.start, max(span.end, time))

    def _begin(self, op: Operation, function: FuncOp) -> list[FuncOp]:
        """Start an operation; returns the functions that it runs."""
        self.now += 1
        self.found.spans[op] = Span(self.now, self.now)
        self.members[function].append(op)
        start = 0 if isinstance(op, PseudoTensorOp) else self.now
        for result in op.results:
            self._born(result, start, function)
        if isinstance(op, InvokeOp):
            self.now += self.length(op) - 1
            return []
        called = [self.functions[name] for name in _named(op) if name in self.functions]
        self.called[function] += called
        return called

    def _end(self, op: Operation) -> None:
        self.found.spans[op] = Span(self.found.spans[op].start, self.now)
        for value in (*op.operands, *op.results):
            if value in self.found.values and not isinstance(op, PseudoTensorOp):
                self.found.values[value].end = self.now

    def _born(self, value: SSAValue, start: int, function: FuncOp) -> None:
        size = None if value in self.external else value_bytes(value)
        if size is not None:
            self.found.values[value] = HostValue(size, start, start)
            self.members[function].append(self.found.values[value])


def _named(op: Operation) -> Iterator[str]:
    """The functions that an operation names, in order."""
    todo: list[Attribute] = [*op.properties.values(), *op.attributes.values()]
    todo.reverse()
    while todo:
        attribute = todo.pop()
        if isinstance(attribute, SymbolRefAttr):
            yield attribute.string_value()
        elif isinstance(attribute, DictionaryAttr):
            todo += reversed(list(attribute.data.values()))
        elif isinstance(attribute, ArrayAttr):
            todo += reversed(attribute.data)


def _rounded(value: HostValue) -> int:
    return -(-value.size // ALIGNMENT) * ALIGNMENT


def _alive(host: HostTimes) -> list[int]:
    """Bytes of the host's values at each time."""
    steps = [0] * (host.end + 2)
    for value in host.values.values():
        steps[value.start] += _rounded(value)
        steps[value.end + 1] -= _rounded(value)
    total = 0
    alive: list[int] = []
    for step in steps:
        total += step
        alive.append(total)
    return alive


def held_by_host(module: ModuleOp) -> dict[str, Held]:
    """What the host keeps in the arena, by the names of the regions that run meanwhile."""
    host = host_times(module)
    alive = _alive(host)
    held: dict[str, Held] = {}
    for op, span in host.spans.items():
        if not isinstance(op, InvokeOp):
            continue
        own = dict.fromkeys(value for value in (*op.arguments, *op.res) if value in host.values)
        size = alive[span.start] - sum(_rounded(host.values[value]) for value in own)
        # One of a function that is run again lasts until then.
        size = max([size, *alive[span.start + 1 : span.end + 1]])
        name = op.callee.string_value()
        # A region that runs more than once has one place for each operand all the time.
        again = span.end > span.start or name in held
        # What is handed over twice is read under another name while it may be written over.
        times = Counter(op.arguments)
        kept = {
            k
            for k, v in enumerate(op.arguments)
            if v in host.values and (again or times[v] > 1 or host.values[v].end > span.end)
        }
        before = held.get(name, NOTHING_HELD)
        held[name] = Held(max(size, before.size), before.arguments | kept)
    return held


def host_peak(module: ModuleOp) -> int:
    """Most bytes in the arena while an operator of the host runs."""
    host = host_times(module)
    alive = _alive(host)
    invocations = {span.start for op, span in host.spans.items() if isinstance(op, InvokeOp)}
    return max((size for time, size in enumerate(alive) if time not in invocations), default=0)
