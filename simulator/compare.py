"""
Compares a compiled file's outputs with those of its source model, and names what each NPU operation computed.

A source tensor is recognised by its values: an operation's OFM equals it, or a box of it. So the first operation whose
output is nearly, but not quite, a source tensor is found without any help from the compiler.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from npuc.simulator.litert import Reference, operator_names
from npuc.simulator.memory import Access, Report
from npuc.simulator.runner import Inputs, RunResult, Session, random_inputs
from npuc.simulator.stream import Op
from npuc.simulator.tflite import CompiledModel, FileError, read_model

_RESEMBLES = 0.25


@dataclass(frozen=True)
class Difference:
    """The first element in which an output differs, with both values; `count` of `total` elements differ in all."""

    name: str
    element: tuple[int, ...]
    ours: object
    theirs: object
    count: int
    total: int

    def __str__(self) -> str:
        return (
            f"{self.name!r} differs in {self.count} of {self.total} elements, "
            f"first at {list(self.element)}: {self.ours}, the reference has {self.theirs}"
        )


def first_difference(name: str, ours: NDArray, theirs: NDArray) -> Difference | None:
    """None if both hold the same elements (shapes may differ in unit dimensions)."""
    if ours.size != theirs.size:
        return Difference(name, (), f"shape {ours.shape}", f"shape {theirs.shape}", ours.size, theirs.size)
    flat = ours.reshape(theirs.shape)
    # A NaN of the CPU part equals a NaN of the reference.
    wrong = (flat != theirs) & ~((flat != flat) & (theirs != theirs))
    if not wrong.any():
        return None
    element = tuple(int(i) for i in np.argwhere(wrong)[0])
    return Difference(name, element, flat[element], theirs[element], int(wrong.sum()), theirs.size)


@dataclass
class Step:
    """One traced operation: what it read and wrote, and what of the source model its output equals."""

    op: Op
    reads: Sequence[Access]
    writes: Sequence[Access]
    values: NDArray | None
    equals: str = ""

    def __str__(self) -> str:
        def places(accesses: Sequence[Access]) -> str:
            return ", ".join(f"{a.what.removeprefix('its ')} {a.memory.name}[{a.low:#x}:{a.high:#x}]" for a in accesses)

        line = f"{self.op}: reads {places(self.reads)}; writes {places(self.writes)}"
        return f"{line}; {self.equals}" if self.equals else line


@dataclass
class Comparison:
    """One input's run beside the reference: exact if `differences` is empty, clean if also `reports` is."""

    seed: int | None
    result: RunResult
    differences: list[Difference]
    steps: list[Step] = field(default_factory=list)
    first_wrong: str = ""

    @property
    def exact(self) -> bool:
        return not self.differences

    @property
    def reports(self) -> list[Report]:
        return self.result.reports


def _as_map(values: NDArray) -> NDArray:
    """A tensor as (height, width, depth); leading dimensions beyond three are folded into the height."""
    shape = (1, 1, 1, *values.shape)
    return values.reshape(-1, shape[-2], shape[-1])


def _boxes(tensor: NDArray, box: NDArray) -> Iterator[tuple[int, int, int]]:
    """Where in a tensor a box could lie: full width, any row, channels from 0 or a multiple of 16."""
    rows, columns, depth = (a - b for a, b in zip(tensor.shape, box.shape, strict=True))
    if rows < 0 or columns < 0 or depth < 0:
        return
    for channel in range(0, depth + 1, 16):
        for column in range(columns + 1) if columns <= 1 else (0,):
            for row in range(rows + 1):
                yield row, column, channel


def _cut(tensor: NDArray, box: NDArray, at: tuple[int, int, int]) -> NDArray:
    return tensor[tuple(slice(low, low + size) for low, size in zip(at, box.shape, strict=True))]


class SourceTensors:
    """The reference's tensors after a run, to be recognised in what the NPU wrote."""

    def __init__(self, original: CompiledModel, tensors: Sequence[tuple[str, NDArray]]):
        names = operator_names(original)
        self.producers: dict[str, str] = {}
        for operator in original.operators:
            for index in operator.outputs:
                producer = f"operator {operator.index} ({names[operator.index]})"
                self.producers[original.tensors[index].name] = producer
        self.maps = [(name, _as_map(values)) for name, values in tensors if name in self.producers and values.size > 1]

    def recognise(self, values: NDArray) -> str:
        """A line naming the tensor, or box of a tensor, that equals `values`; "" if none does."""
        for name, tensor in self.maps:
            if tensor.dtype == values.dtype and tensor.size == values.size:
                if np.array_equal(tensor.reshape(-1), values.reshape(-1)):
                    return f"equals {name!r} of {self.producers[name]}"
        for name, tensor in self.maps:
            if tensor.dtype != values.dtype or tensor.size <= values.size:
                continue
            probe = values[0, 0]
            for at in _boxes(tensor, values):
                start = tensor[at[0], at[1], at[2] : at[2] + probe.size]
                if np.array_equal(start, probe) and np.array_equal(_cut(tensor, values, at), values):
                    height, width, depth = values.shape
                    box = f"[{at[0]}:{at[0] + height}, {at[1]}:{at[1] + width}, {at[2]}:{at[2] + depth}]"
                    return f"equals {box} of {name!r} of {self.producers[name]}"
        return ""

    def resembles(self, values: NDArray) -> str:
        """A line on the tensor that `values` nearly equals, with the first element that differs; "" if none."""
        best, found = _RESEMBLES, ""
        for name, tensor in self.maps:
            if tensor.dtype != values.dtype:
                continue
            if tensor.size == values.size:
                tensor = tensor.reshape(values.shape)
            for at in _boxes(tensor, values):
                part = _cut(tensor, values, at)
                share = float((part == values).mean())
                if share > best:
                    best = share
                    element = tuple(int(i) for i in np.argwhere(part != values)[0])
                    where = [i + low for i, low in zip(element, at, strict=True)]
                    found = (
                        f"resembles {name!r} of {self.producers[name]}, of which {share:.1%} is equal; first at "
                        f"{where}: {values[element]}, the reference has {part[element]}"
                    )
        return found


class Comparer:
    """A compiled file and its source model, both ready to run on the same inputs."""

    def __init__(self, compiled: CompiledModel, original: bytes):
        self.session = Session(compiled)
        self.original = read_model(original)
        self.reference = Reference(original)
        ours = [compiled.tensors[i] for i in compiled.inputs]
        theirs = [self.original.tensors[i] for i in self.original.inputs]
        outputs = [compiled.tensors[i].name for i in compiled.outputs]
        expected = [self.original.tensors[i].name for i in self.original.outputs]
        # A tensor may be an output more than once.
        if len(ours) != len(theirs) or (len(outputs) != len(expected) and set(outputs) != set(expected)):
            raise FileError("the compiled file and the reference differ in their number of inputs or outputs")
        by_name = {tensor.name for tensor in ours} == {tensor.name for tensor in theirs}
        order = {tensor.name: position for position, tensor in enumerate(ours)}
        # Reference input position -> compiled input position.
        self.positions = [order[tensor.name] if by_name else i for i, tensor in enumerate(theirs)]

    def run(self, inputs: Inputs | None = None, seed: int = 0, trace: bool = False) -> Comparison:
        """
        One input through both; `inputs` as for `npuc.simulator.run`, by the reference's names and positions.

        A difference makes it trace, to name the first operation that is wrong.
        """
        given: Inputs = inputs or {}
        drawn = random_inputs(self.original, seed)
        values: dict[int, NDArray] = {}
        for position, index in enumerate(self.original.inputs):
            value = given.get(position, drawn[position])
            values[position] = np.asarray(given.get(self.original.tensors[index].name, value))
        feeds = {self.positions[position]: value for position, value in values.items()}
        steps: list[Step] = []

        def collect(op: Op, reads: Sequence[Access], writes: Sequence[Access], ofm: NDArray | None) -> None:
            steps.append(Step(op, reads, writes, ofm))

        result = self.session.run(feeds, trace=collect if trace else None)
        theirs = self.reference.run(values)
        differences: list[Difference] = []
        names = [self.original.tensors[index].name for index in self.original.outputs]
        same_names = set(names) == set(result.outputs)
        for position, (name, reference) in enumerate(zip(names, theirs, strict=True)):
            ours = result.outputs[name] if same_names else list(result.outputs.values())[position]
            difference = first_difference(name, ours, reference)
            if difference:
                differences.append(difference)
        found = Comparison(None if inputs else seed, result, differences, steps)
        if differences and not trace:
            self.session.run(feeds, trace=collect)
        if steps:
            self._recognise(found)
            if not trace:
                found.steps = []
        return found

    def _recognise(self, comparison: Comparison) -> None:
        source = SourceTensors(self.original, self.reference.tensors())
        for step in comparison.steps:
            if step.values is None:
                continue
            step.equals = source.recognise(step.values)
            if not step.equals and comparison.differences and not comparison.first_wrong:
                near = source.resembles(step.values)
                if near:
                    step.equals = near
                    comparison.first_wrong = f"{step.op} {near}"
