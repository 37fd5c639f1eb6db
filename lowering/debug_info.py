"""
Where the commands of a compiled file come from, as a few bytes of its metadata.

`convert-npu-cmd-to-tfl` writes down the locations of all transfers and launches, and of the operators that stay on the
host with the reason why; `convert-tfl-to-npu-cmd` puts them back, so that a file shows the names of the model that it
was made from. Nothing else needs them.

The entry `npuc_sources` is the byte 2, for this version, and behind it, deflated by zlib, a sequence of numbers (7 bits
a byte, least first, the high bit set in all bytes but the last of a number):

    texts       count, then length and UTF-8 of each: types of operators, tensors and reasons
    operators   count, then of each: subgraph, number there less that of the one before (zigzag), type
    locations   count, then of each the number of its entries; of each entry the operator plus 1 (0 for none), tensor
    programs    count, then of each the number of runs; of each run a location plus 1 (0 for none), less that of the run
                before (zigzag), and how many commands in a row have it. Waits do not count
    host        count, then of each operator of the file that is no `ethos-u`: operator of the source plus 1 (0 for
                none), reason plus 1
    least       bytes of SRAM that the best cascades need (`npu.least_sram`); 0 where nobody has asked

Both ends walk the module in the same order, so that nothing else tells which entry is whose.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby, repeat
from typing import NamedTuple, TypeVar

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, LocationAttr, ModuleOp, StringAttr
from xdsl.ir import Operation

from npuc.dialects.locations import (
    Source,
    SourceOperator,
    first_name,
    joined,
    name_location,
    of_operator,
    operator_location,
    source_name,
    sources,
)
from npuc.dialects.npu_cmd import DmaOp, LaunchOp, ProgramOp
from npuc.dialects.tfl import CPU_REASON, ConstBytesAttr, is_operator

SOURCES = "npuc_sources"
"""Name of the metadata entry."""
VERSION = 2
SMALL = 512
"""Bytes that no file is too small for."""
MOST_BYTES = 1 << 24
"""More than what this says is never inflated."""


def origins(program: ProgramOp) -> list[DmaOp | LaunchOp]:
    """The commands of a program that come from an operator, in order."""
    return [op for op in program.body.block.ops if isinstance(op, DmaOp | LaunchOp)]


def host_operators(module: ModuleOp) -> list[Operation]:
    """The operators of TFLite in a module whose regions are programs, in order."""
    return [op for op in module.walk() if is_operator(op)]


def most_bytes(size: int) -> int:
    """How many bytes the entry may have in a file of `size` bytes."""
    return max(SMALL, size // 100)


def encode_sources(programs: Sequence[ProgramOp], host: Sequence[Operation], most: int, least: int = 0) -> bytes:
    """
    The entry for programs and operators of the host, in the order of the file; empty where nothing is known. `least`
    are the bytes that the best cascades need, 0 where they are not known.

    If it has more than `most` bytes, of the names that converters join with `;` only the first is kept, then tensors
    have no names; if it is still larger, there is none.
    """
    for named in (_whole, first_name, _nothing):
        data = _encode(programs, host, named, least)
        if len(data) <= most:
            return data
    return b""


def _whole(tensor: str) -> str:
    return tensor


def _nothing(_: str) -> str:
    return ""


def _encode(programs: Sequence[ProgramOp], host: Sequence[Operation], named: Callable[[str], str], least: int) -> bytes:
    table = _Table(named)
    streams: list[list[int]] = []
    for program in programs:
        runs: list[int] = []
        count, before = 0, 0
        for number, run in groupby(table.location(op.location) for op in origins(program)):
            runs += (_zigzag(number - before), sum(1 for _ in run))
            count, before = count + 1, number
        streams.append([count, *runs])
    others: list[int] = []
    for op in host:
        reason = op.attributes.get(CPU_REASON)
        others.append(table.operator(sources(op.location)))
        others.append(table.text(reason.data) + 1 if isinstance(reason, StringAttr) else 0)
    if not table.operators and not table.locations:
        return b""
    numbers = [len(table.texts)]
    out = bytearray(_bytes(numbers))
    for text in table.texts:
        data = text.encode("utf-8", "surrogateescape")
        out += _bytes([len(data)]) + data
    numbers = [len(table.operators)]
    before = 0
    for operator in table.operators:
        numbers += (operator.subgraph, _zigzag(operator.number - before), table.texts[operator.type])
        before = operator.number
    numbers.append(len(table.locations))
    for entries in table.locations:
        numbers += (len(entries), *(number for entry in entries for number in entry))
    numbers.append(len(streams))
    numbers += [number for stream in streams for number in stream]
    numbers += (len(host), *others, least)
    return bytes([VERSION]) + zlib.compress(bytes(out + _bytes(numbers)), 9)


class Origins(NamedTuple):
    """What an entry says, in the order of the file."""

    programs: list[list[tuple[LocationAttr | None, int]]]
    """Of each command stream, runs of commands: where they come from, and how many there are in a row."""
    host: list[tuple[SourceOperator | None, str | None]]
    """Of each operator that stays on the host, what it was in the source, and why it stays."""
    least: int
    """Bytes of SRAM that the best cascades need; 0 where they are not known."""


def decode_sources(data: bytes) -> Origins:
    """What an entry says; ValueError where it is damaged."""
    reader = _Reader(data)
    texts = [reader.text() for _ in reader.counted()]
    operators: list[SourceOperator] = []
    before = 0
    for _ in reader.counted():
        subgraph, before, type_ = reader.number(), before + reader.signed(), reader.pick(texts)
        if before < 0:
            raise ValueError("an operator has a negative number")
        operators.append(SourceOperator(subgraph, before, type_))
    none_or_operators, none_or_texts = [None, *operators], [None, *texts]
    locations: list[LocationAttr | None] = [None]
    for _ in reader.counted():
        entries: list[LocationAttr] = []
        for _ in reader.counted():
            operator, tensor = reader.pick(none_or_operators), reader.pick(texts)
            entries.append(name_location(tensor) if operator is None else operator_location(Source(operator, tensor)))
        locations.append(joined(entries))
    programs: list[list[tuple[LocationAttr | None, int]]] = []
    for _ in reader.counted():
        runs: list[tuple[LocationAttr | None, int]] = []
        number = 0
        for _ in reader.counted():
            number += reader.signed()
            if not 0 <= number < len(locations):
                raise ValueError("a command has a location that is not there")
            runs.append((locations[number], reader.number()))
        programs.append(runs)
    host = [(reader.pick(none_or_operators), reader.pick(none_or_texts)) for _ in reader.counted()]
    least = reader.number()
    reader.finish()
    return Origins(programs, host, least)


def restore_sources(known: Origins, programs: Sequence[ProgramOp], host: Sequence[Operation]) -> None:
    """Gives commands and operators the locations that an entry says; ValueError where it is not theirs."""
    if len(known.programs) != len(programs):
        raise ValueError("it is about another number of command streams")
    if len(known.host) != len(host):
        raise ValueError("it is about another number of operators")
    for program, runs in zip(programs, known.programs, strict=True):
        ops = origins(program)
        if sum(count for _, count in runs) != len(ops):
            raise ValueError(f"it is about another number of commands than @{program.sym_name.data} has")
        for op, location in zip(ops, expanded(runs), strict=True):
            if location is not None:
                op.location = location
    for op, (operator, reason) in zip(host, known.host, strict=True):
        op.location = of_operator(op.location, operator)
        if reason is not None:
            op.attributes[CPU_REASON] = StringAttr(reason)


def expanded(runs: Iterable[tuple[LocationAttr | None, int]]) -> Iterator[LocationAttr | None]:
    """The location of each command of a stream."""
    return chain.from_iterable(repeat(location, count) for location, count in runs)


def entry_of(module: ModuleOp) -> bytes | None:
    """The entry in the metadata of a module; None where there is none."""
    entries = module.attributes.get("tfl.metadata")
    for entry in entries.data if isinstance(entries, ArrayAttr) else ():
        if isinstance(entry, DictionaryAttr) and entry.data.get("name") == StringAttr(SOURCES):
            data = entry.data.get("data")
            if isinstance(data, ConstBytesAttr):
                return data.data
    return None


def take_entry(module: ModuleOp) -> bytes | None:
    """The same, and the module is then without it."""
    data = entry_of(module)
    entries = module.attributes.get("tfl.metadata")
    if data is not None and isinstance(entries, ArrayAttr):
        names = [entry.data.get("name") if isinstance(entry, DictionaryAttr) else None for entry in entries.data]
        left = [entry for entry, name in zip(entries.data, names, strict=True) if name != StringAttr(SOURCES)]
        module.attributes["tfl.metadata"] = ArrayAttr(left)
    return data


class _Table:
    """Texts, operators and locations, each once, in the order of their first use."""

    def __init__(self, named: Callable[[str], str]) -> None:
        self.named = named
        """What is kept of the name of a tensor."""
        self.texts: dict[str, int] = {}
        self.operators: dict[SourceOperator, int] = {}
        self.locations: dict[tuple[tuple[int, int], ...], int] = {}
        self._numbers: dict[int, tuple[int, LocationAttr]] = {}
        """By identity, since most commands share theirs; the attribute is kept, so that no other gets its identity."""

    def text(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))

    def location(self, location: LocationAttr) -> int:
        """The number of a location plus 1; 0 for one that names nothing."""
        known = self._numbers.get(id(location))
        if known is None:
            known = self._numbers[id(location)] = self._number(location), location
        return known[0]

    def operator(self, known: Sequence[Source]) -> int:
        """The number of the first of some sources plus 1; 0 where there is none."""
        return self._operator(known[0].operator) if known else 0

    def _operator(self, operator: SourceOperator) -> int:
        self.text(operator.type)
        return self.operators.setdefault(operator, len(self.operators)) + 1

    def _number(self, location: LocationAttr) -> int:
        entries: list[tuple[int, int]] = []
        for operator, tensor in sources(location):
            entries.append((self._operator(operator), self.text(self.named(tensor))))
        if not entries and (name := self.named(source_name(location))):
            entries.append((0, self.text(name)))
        return self.locations.setdefault(tuple(entries), len(self.locations)) + 1 if entries else 0


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else -number << 1 | 1


def _bytes(numbers: Iterable[int]) -> bytearray:
    out = bytearray()
    for number in numbers:
        while number > 0x7F:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        out.append(number)
    return out


T = TypeVar("T")


class _Reader:
    """The numbers and texts of an entry, one after the other; all that it raises is ValueError."""

    def __init__(self, data: bytes):
        if data[:1] != bytes([VERSION]):
            raise ValueError("it is of a version that is not known")
        inflate = zlib.decompressobj()
        try:
            self._data = inflate.decompress(data[1:], MOST_BYTES)
        except zlib.error as error:
            raise ValueError("it cannot be inflated") from error
        if not inflate.eof or inflate.unused_data:
            raise ValueError("it is cut short, or too long")
        self._at = 0

    def number(self) -> int:
        number, shift = 0, 0
        while True:
            if self._at == len(self._data) or shift > 56:
                raise ValueError("it is cut short")
            byte = self._data[self._at]
            self._at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    def signed(self) -> int:
        number = self.number()
        return -(number >> 1) if number & 1 else number >> 1

    def counted(self) -> Iterator[int]:
        """As many steps as the next number says."""
        return iter(range(self.number()))

    def text(self) -> str:
        size = self.number()
        data = self._data[self._at : self._at + size]
        if len(data) != size:
            raise ValueError("it is cut short")
        self._at += size
        return data.decode("utf-8", "surrogateescape")

    def pick(self, values: Sequence[T]) -> T:
        number = self.number()
        if number >= len(values):
            raise ValueError("it refers to what is not there")
        return values[number]

    def finish(self) -> None:
        if self._at != len(self._data):
            raise ValueError("there is more than it should hold")
