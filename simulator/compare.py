"""
Compares a compiled file with its source model: the outputs, and what each NPU operation computed on the way to them.

A source tensor is recognised by its values: an operation's OFM equals it, or a box of it, or every second row (or
column) where the OFM's strides say so. What equals a part of an input is a copy of it. An OFM that unmistakably is
a source tensor, but not to the last bit, is wrong even where the outputs do not show it, as behind a softmax that
saturates; but not if what the stream made exactly could not have been made of it. So the first wrong operation is
found without any help from the compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from npuc.simulator.flow import Flow
from npuc.simulator.inputs import random_inputs
from npuc.simulator.isolation import SourceError
from npuc.simulator.litert import Reference, operator_names
from npuc.simulator.memory import Access, Report
from npuc.simulator.runner import Inputs, RunResult, Session, given_inputs
from npuc.simulator.stream import Op
from npuc.simulator.tflite import CompiledModel, FileError, Tensor

# An OFM is unmistakably a source tensor if over so many elements of so many levels they correlate so well and are
# nowhere further apart than a part of the levels: less where there are few elements, more where the OFM stands between
# the tensor's neighbours. Of correct files no operation's OFM is so near a tensor that it is not (docs/simulator.md).
_ELEMENTS, _MANY_ELEMENTS = 8, 64
_LEVELS = 16
_CORRELATION = 0.98
_DISTANCE, _DISTANCE_OF_MANY, _DISTANCE_IN_PLACE = 1 / 32, 1 / 8, 1 / 2
# To name the first wrong operation of a run that is known to be wrong, less will do.
_RESEMBLES = 0.8
# So many tensors are named that are not compared.
_NAMED = 3
_QUANTIZE, _DEQUANTIZE = "114", "6"


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
    equals: str = ""

    def __str__(self) -> str:
        def places(accesses: Sequence[Access]) -> str:
            return ", ".join(f"{a.what.removeprefix('its ')} {a.memory.name}[{a.low:#x}:{a.high:#x}]" for a in accesses)

        line = f"{self.op}: reads {places(self.reads)}; writes {places(self.writes)}"
        return f"{line}; {self.equals}" if self.equals else line


@dataclass(frozen=True)
class Intermediate:
    """
    An OFM that is not the source tensor `name` which it resembles, or in whose place it stands.

    `maker` names the tensor's operator, `text` the two values of the first element that differs.
    """

    op: Op
    verb: str
    name: str
    maker: str
    share: float
    distance: float
    text: str

    def __str__(self) -> str:
        return (
            f"{self.op} {self.verb} {self.name!r} of {self.maker}, of which {self.share:.1%} is equal and nothing "
            f"further off than {self.distance:g}; {self.text}"
        )


@dataclass
class Comparison:
    """
    One input's run beside the reference: exact if it has neither `differences` of outputs nor `wrong` intermediates.

    `unwritten` names the source tensors of the NPU's part that no operation wrote and whose readers' outputs are not
    all there either: what became of them this comparison cannot say.
    """

    seed: int | None
    result: RunResult
    differences: list[Difference]
    wrong: list[Intermediate] = field(default_factory=list)
    unwritten: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    first_wrong: Intermediate | None = None

    @property
    def exact(self) -> bool:
        return not self.differences and not self.wrong

    @property
    def reports(self) -> list[Report]:
        return self.result.reports


_Place = tuple[int, int, int]
_Part = tuple[slice, slice, slice]


def _as_map(values: NDArray) -> NDArray:
    """A tensor as (height, width, depth); leading dimensions beyond three are folded into the height."""
    shape = (1, 1, 1, *values.shape)
    return values.reshape(-1, shape[-2], shape[-1])


def _strips(tensor: NDArray, box: NDArray, channels: int = 16) -> Iterator[tuple[tuple[int, int], NDArray]]:
    """
    Where in a tensor a box could lie: full width or full height, channels from 0 or a multiple of so many.

    Gives (column, channel), and the rows in which the box could start, cut to its columns and channels.
    """
    rows, columns, depth = (a - b for a, b in zip(tensor.shape, box.shape, strict=True))
    if rows < 0 or columns < 0 or depth < 0:
        return
    for channel in range(0, depth + 1, channels):
        for column in range(columns + 1) if columns <= 1 or not rows else (0,):
            end = column + box.shape[1], channel + box.shape[2]
            yield (column, channel), tensor[: rows + 1, column : end[0], channel : end[1]]


def _part(box: NDArray, at: _Place) -> _Part:
    y, x, c = (slice(low, low + size) for low, size in zip(at, box.shape, strict=True))
    return y, x, c


def _spread(op: Op, values: NDArray, tensor: NDArray) -> Iterator[_Part]:
    """
    Where in a tensor an OFM could lie whose strides leave out rows or columns, if the tensor is dense and NHWC: each
    part begins with the OFM's first row.
    """
    if op.get("OFM_PRECISION", "format"):
        return
    size = values.dtype.itemsize
    dense = tensor.shape[2] * size, tensor.shape[1] * tensor.shape[2] * size
    steps = [op.state[register] // one for register, one in zip(("OFM_STRIDE_X", "OFM_STRIDE_Y"), dense, strict=True)]
    across, down = (step if count > 1 else 1 for step, count in zip(steps, values.shape[1::-1], strict=True))
    if min(across, down) < 1 or across == down == 1:
        return
    extents = (values.shape[0] - 1) * down + 1, (values.shape[1] - 1) * across + 1, values.shape[2]
    rows, columns, depth = (a - b for a, b in zip(tensor.shape, extents, strict=True))
    if min(rows, columns, depth) < 0:
        return
    for channel in range(depth + 1):
        for column in range(min(columns, across - 1) + 1):
            cut = slice(column, column + extents[1], across), slice(channel, channel + values.shape[2])
            for row in np.flatnonzero((tensor[: rows + 1, *cut] == values[0]).all(axis=(1, 2))).tolist():
                yield slice(row, row + extents[0], down), *cut


def _is_among_channels(op: Op, tensor: NDArray) -> bool:
    """Whether the columns of an OFM are as far apart as those of a dense tensor in NHWC."""
    column = tensor.shape[2] * tensor.itemsize
    return not op.get("OFM_PRECISION", "format") and op.state["OFM_STRIDE_X"] == column


def _lies(op: Op, values: NDArray, tensor: NDArray) -> _Part | None:
    """The part of a tensor that an OFM equals: every so many rows or columns where its strides say so, or a box."""
    for part in _spread(op, values, tensor):
        if np.array_equal(tensor[part], values):
            return part
    for at, rows in _strips(tensor, values, 1 if _is_among_channels(op, tensor) else 16):
        for row in np.flatnonzero((rows[:, 0] == values[0, 0]).all(axis=1)).tolist():
            part = _part(values, (row, *at))
            if np.array_equal(tensor[part], values):
                return part
    return None


def _run(values: NDArray, box: NDArray) -> int:
    """The element of a tensor at which a box's begin if they follow one another in rows of its depth, or -1."""
    depth = box.shape[-1]
    if values.size % depth or (box == box.flat[0]).all():
        return -1  # of equal elements there would be runs in many tensors
    rows, wanted = values.reshape(-1, depth), box.reshape(-1, depth)
    starts = np.flatnonzero(rows[: len(rows) - len(wanted) + 1, 0] == wanted[0, 0])
    starts = starts[(rows[starts] == wanted[0]).all(axis=1)]
    return next((at * depth for at in starts.tolist() if np.array_equal(rows[at : at + len(wanted)], wanted)), -1)


def _same_elements(a: NDArray, b: NDArray) -> bool:
    return a.dtype == b.dtype and a.size == b.size and np.array_equal(a.reshape(-1), b.reshape(-1))


class _Source(NamedTuple):
    """
    A tensor of the source model: its number, the operator that makes it, and the tensors that its readers make of it.

    `alone` are those of them that are made of nothing else but constants. `written` says which of its elements some OFM
    gave.
    """

    name: str
    number: int
    operator: int
    producer: str
    readers: tuple[int, ...]
    alone: tuple[int, ...]
    values: NDArray
    written: NDArray[np.bool_]

    def __str__(self) -> str:
        return f"{self.name!r} of {self.producer}"


class _Near(NamedTuple):
    """How an OFM compares with part of a source tensor: whether it is that tensor, in its place or anywhere."""

    source: _Source
    at: _Place
    correlation: float
    distance: float
    in_place: bool
    unmistakable: bool


def _near(source: _Source, at: _Place, ours: NDArray, theirs: NDArray) -> _Near:
    a, b = ours.astype(np.float64).reshape(-1), theirs.astype(np.float64).reshape(-1)
    distance = float(np.abs(a - b).max())
    levels = float(b.max() - b.min())
    a, b = a - a.mean(), b - b.mean()
    power = float(np.sqrt((a @ a) * (b @ b)))
    correlation = float(a @ b) / power if power else 0.0
    alike = a.size >= _ELEMENTS and levels >= _LEVELS and correlation >= _CORRELATION
    allowed = levels * (_DISTANCE if a.size < _MANY_ELEMENTS else _DISTANCE_OF_MANY)
    unmistakable = alike and distance <= max(allowed, 2)
    return _Near(source, at, correlation, distance, alike and distance <= levels * _DISTANCE_IN_PLACE, unmistakable)


def _whole(source: _Source, values: NDArray) -> _Near:
    return _near(source, (0, 0, 0), values, source.values.reshape(values.shape))


class _Suspect(NamedTuple):
    """An OFM that may be a source tensor with errors."""

    near: _Near
    op: Op
    values: NDArray
    place: int


def _put(suspects: Sequence[_Suspect]) -> NDArray:
    """The source tensor of some suspects as (height, width, depth), with their values in place of its own."""
    made = suspects[0].near.source.values.copy()
    for near, _, values, _ in suspects:
        if values.size == made.size:
            made[...] = values.reshape(made.shape)
        else:
            made[_part(values, near.at)] = values
    return made


Contradicted = Callable[[int, NDArray], bool]
"""Whether a tensor, by number, cannot have held some values in a run, because what was made of it is exact."""


def _never(number: int, values: NDArray) -> bool:
    return False


class _Seen(NamedTuple):
    """
    An OFM in its place in the stream: values if it equals no source tensor, else the operator of the one it does.

    What is `copied` from an input can stand in a tensor's place, but it resembles none.
    """

    op: Op
    values: NDArray | None
    operator: int
    place: int
    copied: bool = False


class SourceTensors:
    """The reference's tensors after a run, to be recognised in what the NPU writes, operation by operation."""

    def __init__(
        self,
        original: CompiledModel,
        tensors: Mapping[int, NDArray],
        on_cpu: Container[str] = (),
        inputs: Iterable[NDArray] = (),
    ):
        names = operator_names(original)
        readers: dict[int, list[int]] = {}
        alone: dict[int, list[int]] = {}
        constant = {tensor.index for tensor in original.tensors if tensor.data is not None} | {-1}
        given = list(inputs)
        self.inputs = [_as_map(one) for one in given if one.size > 1]
        self.sources: list[_Source] = []
        # Tensors that the reference has no values of: their operator, type and number of elements.
        self.unknown: list[tuple[int, np.dtype, int]] = []
        for operator in original.operators:
            for index in operator.inputs:
                readers.setdefault(index, []).extend(operator.outputs)
                if constant.issuperset({*operator.inputs} - {index}):
                    alone.setdefault(index, []).extend(operator.outputs)
        for operator in original.operators:
            folded = bool(operator.inputs) and constant.issuperset(operator.inputs)
            folded |= names[operator.index] in ("SHAPE", "RANK")
            constant.update(operator.outputs if folded else ())
            for index in operator.outputs:
                if index >= 0 and index not in tensors and original.tensors[index].name not in on_cpu:
                    tensor = original.tensors[index]
                    self.unknown.append((operator.index, tensor.dtype, prod(tensor.shape)))
                if index not in tensors or tensors[index].size <= 1:
                    continue
                name, values = original.tensors[index].name, tensors[index]
                # What the CPU computes, what can be known beforehand, and views of the inputs no OFM need give.
                there = name in on_cpu or folded or any(_same_elements(values, one) for one in given)
                producer = f"operator {operator.index} ({names[operator.index]})"
                after, only = tuple(readers.get(index, ())), tuple(alone.get(index, ()))
                made = _as_map(values)
                written = np.full(made.shape, there)
                self.sources.append(_Source(name, index, operator.index, producer, after, only, made, written))
        self.seen: list[_Seen] = []
        self.flow = Flow()
        # The operations that gave a tensor, or parts of it.
        self.places: dict[int, list[int]] = {}
        self.count = len(original.operators)

    def take(self, op: Op, values: NDArray | None, reads: Sequence[Access] = (), writes: Sequence[Access] = ()) -> str:
        """
        One operation in the order of the stream, with its OFM if it has one.

        Gives a line naming the tensor, or part of a tensor, that the OFM equals, or "".
        """
        place = self.flow.add(reads, writes)
        if values is None:
            return ""
        found = self._equal(op, values)
        if found is None:
            copied = self._is_copy(op, values)
            self.seen.append(_Seen(op, values.copy(), -1, place, copied))
            return "copies an input, or a part of one" if copied else ""
        source, part = found
        self.seen.append(_Seen(op, None, source.operator, place))
        self.places.setdefault(source.number, []).append(place)
        return f"equals {part}{source}"

    def _equal(self, op: Op, values: NDArray) -> tuple[_Source, str] | None:
        """The tensor that an OFM is, or of which it is a part or a run of rows, now written; and that part's name."""
        alike = [s for s in self.sources if s.values.dtype == values.dtype]
        flat = values.reshape(-1)
        whole = [s for s in alike if _same_elements(s.values, flat)]
        if whole:
            # Views of a tensor have its values, and are there with it.
            for source in whole:
                source.written[...] = True
            return whole[0], ""
        larger = [source for source in alike if source.values.size > values.size]
        for source in larger:
            part = _lies(op, values, source.values)
            if part is not None:
                source.written[part] = True
                steps = (f"{cut.start}:{cut.stop}" + (f":{cut.step}" if (cut.step or 1) > 1 else "") for cut in part)
                return source, f"[{', '.join(steps)}] of "
        # A compiler may see an elementwise operator's tensor as rows of another length.
        for source in larger:
            first = _run(source.values, values)
            if first >= 0:
                source.written.reshape(-1)[first : first + values.size] = True
                return source, f"elements {first}:{first + values.size} of "
        return None

    def _is_copy(self, op: Op, values: NDArray) -> bool:
        """Whether an OFM is an input, or a part of one that is more than one value over and over."""
        alike = [given for given in self.inputs if given.dtype == values.dtype]
        if any(_same_elements(given, values) for given in alike):
            return True
        if (values == values.flat[0]).all():
            return False
        return any(given.size > values.size and _lies(op, values, given) is not None for given in alike)

    def _resembling(self, values: NDArray) -> Iterator[_Near]:
        """The tensors, or boxes of tensors, that resemble an OFM and that none wrote exactly."""
        middle = values.shape[0] // 2
        for source in self.sources:
            tensor, written = source.values, source.written
            if tensor.dtype != values.dtype or written.all():
                continue
            if tensor.size == values.size:
                yield _whole(source, values)
                continue
            for at, rows in _strips(tensor, values):
                # The row that fits best of those where the box's middle one could lie.
                across = _part(values, (0, *at))[1:]
                probes = tensor[middle : middle + rows.shape[0], across[0], across[1]]
                row = int(np.abs(probes - values[middle].astype(np.float32)).mean(axis=(1, 2)).argmin())
                part = _part(values, (row, *at))
                if not written[part].all():
                    yield _near(source, (row, *at), values, tensor[part])

    def _nearest(self, values: NDArray) -> _Near | None:
        found = [near for near in self._resembling(values) if near.unmistakable or near.correlation >= _RESEMBLES]
        return max(found, key=lambda near: (near.unmistakable, near.correlation, -near.distance), default=None)

    def wrong(self, contradicted: Contradicted = _never) -> list[Intermediate]:
        """
        After the last operation: those that wrote a source tensor, which none wrote exactly, with an error.

        That is so where an OFM unmistakably is the tensor, or less surely so but as large and in its place; but not
        where the tensor with these elements is `contradicted`. Where one that the reference does not know may be, only
        what unmistakably is the tensor that is due there counts.
        """
        suspects: list[_Suspect] = []
        for seen, places in zip(self.seen, self._places(), strict=True):
            if seen.values is None:
                continue
            near = None if seen.copied else self._nearest(seen.values)
            due = list(self._due(seen.values, places))
            if self._may_be_unknown(seen.values, places):
                is_due = near is not None and near.unmistakable and any(near.source is one for one in due)
                near = near if is_due else None
            elif near is None or not near.unmistakable:
                here = (_whole(source, seen.values) for source in due)
                near = next((one for one in here if one.in_place), None)
            if near is not None:
                suspects.append(_Suspect(near, seen.op, seen.values, seen.place))
        groups: dict[int, list[_Suspect]] = {}
        for one in suspects:
            groups.setdefault(one.near.source.number, []).append(one)
        # Stripes of one tensor may be wrong all together, or each by itself.
        together = {number: self._stands(group, contradicted) for number, group in groups.items()}
        return [
            _differs(one.near, one.op, one.values, "should be")
            for one in suspects
            if together[one.near.source.number] or self._stands([one], contradicted)
        ]

    def _stands(self, group: Sequence[_Suspect], contradicted: Contradicted) -> bool:
        """
        Whether some OFMs can be parts of the tensor that they resemble, seen from what the stream made exactly.

        Not if that could not have been made of these values; nor if it was made of something older as well, where the
        source model makes it of this tensor alone.
        """
        source = group[0].near.source
        places = [one.place for one in group]
        exact = self.places.get(source.number, ())
        made = {place for number in source.alone for place in self.places.get(number, ())}
        if any(self.flow.goes_past(places, place, exact) for place in made):
            return False
        return not contradicted(source.number, _put(group))

    def _places(self) -> list[tuple[int, int]]:
        """For each OFM, the last operator whose tensor stands before it, and the first of those that follow."""
        before = list(accumulate((seen.operator for seen in self.seen), max, initial=-1))
        following = (seen.operator if seen.operator >= 0 else self.count for seen in reversed(self.seen))
        after = list(accumulate(following, min))
        return list(zip(before[:-1], reversed(after), strict=True))

    def _due(self, values: NDArray, places: tuple[int, int]) -> Iterator[_Source]:
        """The tensors in whose place an OFM could stand: between those of its neighbours, as large, and not written."""
        for source in self.sources:
            tensor = source.values
            if places[0] < source.operator < places[1] and not source.written.all():
                if (tensor.dtype, tensor.size) == (values.dtype, values.size):
                    yield source

    def _may_be_unknown(self, values: NDArray, places: tuple[int, int]) -> bool:
        """Whether a tensor that the reference has no values of, or a part of one, could stand in an OFM's place."""
        return any(
            places[0] < operator < places[1] and dtype == values.dtype and size >= values.size
            for operator, dtype, size in self.unknown
        )

    def exact(self) -> set[int]:
        """The numbers of the tensors that are all there."""
        return {source.number for source in self.sources if source.written.all()}

    def unwritten(self) -> list[_Source]:
        """Tensors that no OFM gave, nor all the tensors made of them, as from a fused operation."""
        missing = {source.number for source in self.sources if not source.written.all()}
        return [
            source
            for source in self.sources
            if source.number in missing and (not source.readers or missing.intersection(source.readers))
        ]

    def first_wrong(self, contradicted: Contradicted = _never) -> Intermediate | None:
        """
        Of a run that is known to be wrong, the first operation that shows it, if one does.

        It resembles a tensor that no operation wrote; or it stands where such a tensor is due, and is as large.
        """
        unwritten = {source.number for source in self.unwritten()}
        for seen, places in zip(self.seen, self._places(), strict=True):
            if seen.values is None or self._may_be_unknown(seen.values, places):
                continue
            near = None if seen.copied else self._nearest(seen.values)
            if near is not None:
                if not self._stands([_Suspect(near, seen.op, seen.values, seen.place)], contradicted):
                    continue
                return _differs(near, seen.op, seen.values, "resembles")
            for source in self._due(seen.values, places):
                if source.number in unwritten:
                    return _differs(_whole(source, seen.values), seen.op, seen.values, "stands in the place of")
        return None


def _differs(near: _Near, op: Op, values: NDArray, verb: str) -> Intermediate:
    part = near.source.values
    part = part.reshape(values.shape) if part.size == values.size else part[_part(values, near.at)]
    wrong = part != values
    element = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = [i + low for i, low in zip(element, near.at, strict=True)]
    text = f"first at {where}: {values[element]}, the reference has {part[element]}"
    share = 1 - float(wrong.mean())
    return Intermediate(op, verb, near.source.name, near.source.producer, share, near.distance, text)


def _pairs(
    original: CompiledModel, theirs: Sequence[int], compiled: CompiledModel, ours: Sequence[int]
) -> list[int] | None:
    """
    For each of some tensors the position of its counterpart in the compiled file: by name where a name says which, as
    order and repetition may differ, else by position; None if there are then not as many.
    """
    by_name = {compiled.tensors[index].name: position for position, index in enumerate(ours)}
    names = {original.tensors[index].name for index in theirs}
    if names == by_name.keys() and len(names) == len({*theirs}) == len({*ours}):
        return [by_name[original.tensors[index].name] for index in theirs]
    return list(range(len(theirs))) if len(theirs) == len(ours) else None


class Comparer:
    """
    A compiled file and its source model, both ready to run on the same inputs.

    `notes` says what is compared otherwise than with LiteRT's reference kernels, or not at all. Raises SourceError for
    a source model that cannot be run, or not so far that anything can be compared.
    """

    def __init__(self, compiled: CompiledModel, original: bytes):
        self.reference = Reference(original)
        self.original = self.reference.model
        self.session = Session(compiled)
        inputs = _pairs(self.original, self.original.inputs, compiled, compiled.inputs)
        outputs = _pairs(self.original, self.original.outputs, compiled, compiled.outputs)
        if inputs is None or outputs is None or len(compiled.inputs) != len(inputs):
            raise FileError("the compiled file and the reference differ in their number of inputs or outputs")
        # Reference input position -> compiled input position, reference output position -> compiled tensor.
        self.positions = inputs
        self._outputs = [compiled.outputs[position] for position in outputs]
        self._quantised = self._quantised_inputs()
        self._theirs = [self._compared(*pair) for pair in zip(self.original.outputs, self._outputs, strict=True)]
        # What the CPU computes is no operation's OFM.
        self.on_cpu = {
            compiled.tensors[i].name for operator in compiled.operators if not operator.is_npu for i in operator.outputs
        }
        self.notes = self._notes()

    def _quantised_inputs(self) -> dict[int, int]:
        """For the float inputs, by position, that the compiled file takes as integers: what QUANTIZE makes of them."""
        made = {op.inputs[0]: op.outputs[0] for op in self.original.operators if op.kind == _QUANTIZE}
        found: dict[int, int] = {}
        for position, index in enumerate(self.original.inputs):
            ours, theirs = self._ours(position), self.original.tensors[index]
            if ours.dtype != theirs.dtype:
                if theirs.dtype.kind != "f" or ours.dtype.kind not in "iu" or index not in made:
                    raise FileError(
                        f"input {theirs.name!r} is {ours.dtype.name}, but {theirs.dtype.name} in the reference"
                    )
                found[position] = made[index]
        return found

    def _ours(self, position: int) -> Tensor:
        """The compiled file's tensor for an input of the reference."""
        compiled = self.session.model
        return compiled.tensors[compiled.inputs[self.positions[position]]]

    def _compared(self, theirs: int, ours: int) -> int:
        """The reference's tensor that an output is compared with: what DEQUANTIZE reads, if the output is integers."""
        wanted = self.session.model.tensors[ours].dtype
        if self.original.tensors[theirs].dtype.kind == "f" and wanted.kind in "iu":
            for op in self.original.operators:
                if op.kind == _DEQUANTIZE and op.outputs == (theirs,):
                    return op.inputs[0]
        return theirs

    def _drawn(self, seed: int, invocation: int) -> dict[int, NDArray]:
        """Inputs by position; floats that the compiled file takes as integers stand for integers of its type."""
        values = random_inputs(self.original, seed, invocation)
        if self._quantised:
            integers = random_inputs(self.session.model, seed, invocation)
            for position in self._quantised:
                tensor = self._ours(position)
                drawn = integers[self.positions[position]].astype(np.float64)
                values[position] = ((drawn - tensor.zero_point) * tensor.scale).astype(values[position].dtype)
        return values

    @property
    def keeps_state(self) -> bool:
        """Whether a run can depend on the one before it."""
        return self.reference.keeps_state or self.session.keeps_state

    def _made(self, operator: int) -> tuple[int, ...]:
        return self.original.operators[operator].outputs

    def _notes(self) -> list[str]:
        tensors = self.original.tensors
        made = {i for operator in self.original.operators for i in operator.outputs if i >= 0}
        handles = [tensor for tensor in tensors if tensor.is_handle]
        known = self.reference.known & made
        told = {tensors[i].name for note in self.reference.notes for n in note.operators for i in self._made(n)}
        notes = [str(note) for note in self.reference.notes]
        compiled = self.session.model
        for note in self.session.notes:
            names = {compiled.tensors[i].name for n in note.operators for i in compiled.operators[n].outputs}
            if not told >= names:
                notes.append(f"of the compiled file {note}")
        if handles:
            some = ", ".join(repr(tensor.name) for tensor in handles[:_NAMED])
            more = f" and {len(handles) - _NAMED} more" if len(handles) > _NAMED else ""
            notes.append(f"not compared, because they only name a resource: {some}{more}")
        if self.reference.left_out:
            comparable = made - {tensor.index for tensor in handles}
            if not any(tensors[i].name not in self.on_cpu for i in known):
                raise SourceError(f"nothing can be compared: {notes[0]}")
            notes.append(f"compared with {len(known)} of the {len(comparable)} tensors that the reference makes")
        return notes

    def run(self, inputs: Inputs | None = None, seed: int = 0, trace: bool = False, invocation: int = 0) -> Comparison:
        """
        One input through both; `inputs` as for `npuc.simulator.run`, by the reference's names and positions.

        Invocation 0 begins with fresh state, the others go on with that of the run before. With `trace` the comparison
        keeps its steps.
        """
        values = self._drawn(seed, invocation) | given_inputs(self.original, inputs or {})
        tensors, feeds, source = self._prepared(values, carry=invocation > 0)
        steps: list[Step] = []

        def collect(op: Op, reads: Sequence[Access], writes: Sequence[Access], ofm: NDArray | None) -> None:
            equals = source.take(op, ofm, reads, writes)
            if trace:
                steps.append(Step(op, reads, writes, equals))

        result = self.session.run(feeds, trace=collect, invocation=invocation)
        exact = {number for number in source.exact() if self.original.tensors[number].name not in self.on_cpu}
        differences: list[Difference] = []
        for position, index in enumerate(self.original.outputs):
            name = self.original.tensors[index].name
            ours = result.by_index.get(self._outputs[position])
            theirs = self._output(self._theirs[position], values, tensors)
            if ours is None or theirs is None:
                continue
            difference = first_difference(name, ours, theirs)
            if difference:
                differences.append(difference)
            else:
                exact |= {index, self._theirs[position]}

        known = {index: values[position] for position, index in enumerate(self.original.inputs)} | tensors

        def contradicted(number: int, values: NDArray) -> bool:
            return self._contradicted(number, values, known, exact)

        found = Comparison(None if inputs else seed, result, differences, source.wrong(contradicted), steps=steps)
        found.unwritten = [str(one) for one in source.unwritten() if one.number not in exact]
        if not found.exact:
            found.first_wrong = source.first_wrong(contradicted)
        return found

    def served(self, seed: int = 0) -> list[int]:
        """
        For each kernel of the streams, in their order, the operator of the source whose tensor it makes, or a part of
        it; -1 where none is recognised. A few elements could be part of anything, so that they count as a whole only.
        """
        _, feeds, source = self._prepared(self._drawn(seed, 0), carry=False)
        sizes: dict[int, set[int]] = {}
        for one in source.sources:
            sizes.setdefault(one.operator, set()).add(one.values.size)
        operators: list[int] = []

        def collect(op: Op, reads: Sequence[Access], writes: Sequence[Access], ofm: NDArray | None) -> None:
            source.take(op, ofm, reads, writes)
            if ofm is not None:
                operator = source.seen.pop().operator
                is_known = ofm.size >= _ELEMENTS or ofm.size in sizes.get(operator, ())
                operators.append(operator if is_known else -1)

        self.session.run(feeds, trace=collect)
        return operators

    def _prepared(
        self, values: Mapping[int, NDArray], carry: bool
    ) -> tuple[dict[int, NDArray], dict[int, NDArray], SourceTensors]:
        """What the reference makes of inputs, what the compiled file is to be given, and the tensors to recognise."""
        tensors = self.reference.run(values, carry=carry)
        taken = {**values, **{position: tensors[index] for position, index in self._quantised.items()}}
        feeds = {self.positions[position]: value for position, value in taken.items()}
        return tensors, feeds, SourceTensors(self.original, tensors, self.on_cpu, [*values.values(), *taken.values()])

    def _output(self, index: int, inputs: Mapping[int, NDArray], made: Mapping[int, NDArray]) -> NDArray | None:
        """The reference's value of an output; None if it is sparse, or depends on an operator that is left out."""
        tensor = self.original.tensors[index]
        if index in self.original.inputs:
            return inputs[self.original.inputs.index(index)]
        if tensor.data is not None and index not in made:
            return None if tensor.is_sparse else tensor.data.view(tensor.dtype).reshape(tensor.shape)
        return made.get(index)

    def _contradicted(
        self, number: int, values: NDArray, tensors: Mapping[int, NDArray], exact: Container[int]
    ) -> bool:
        """
        Whether what the source model makes of a tensor with other values is not what the stream made of it.

        Only tensors that are `exact` tell; what lies between is computed.
        """
        changed = {number: values.reshape(tensors[number].shape)}
        for operator in self.original.operators:
            if changed.keys().isdisjoint(operator.inputs):
                continue
            made = self.reference.run_operator(operator.index, {**tensors, **changed})
            if made is None:
                return False
            for index, value in made.items():
                if index not in exact:
                    changed[index] = value
                elif not np.array_equal(value, tensors[index]):
                    return True
        return False
