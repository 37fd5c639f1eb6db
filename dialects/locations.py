"""
Where operations come from, as their locations say, and errors that say which operation they are about.

`loc("conv1"("CONV_2D"("tflite":0:3)))` is the tensor that an operation makes, and the source operator whose work it
does, by its type, its subgraph and its number there. What does the work of several has a fused location of such
entries, the main one first: that holds the tensor which is made and the operator that counts for the whole. (Of an
operator of TFLite a fused location names the results, one after the other, before what else it was made from.)
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    ArrayAttr,
    FileLineColLoc,
    FusedLoc,
    IntAttr,
    LocationAttr,
    NameLoc,
    NoneAttr,
    StringAttr,
)
from xdsl.ir import Attribute, Operation
from xdsl.utils.exceptions import DiagnosticException, PassFailedException

SOURCE_FILE = "tflite"
"""What stands where other locations have the name of a file."""


class SourceOperator(NamedTuple):
    """An operator of the TFLite file that was compiled."""

    subgraph: int
    number: int
    type: str
    """`CONV_2D`, or the code of a custom operator."""


class Source(NamedTuple):
    """A source operator that an operation works for, and the tensor that is made; empty where that has no name."""

    operator: SourceOperator
    tensor: str


def name_location(tensor: str) -> LocationAttr:
    """`loc("name")`: a tensor that no operator makes."""
    return NameLoc(StringAttr(tensor), NoneAttr())


def operator_location(source: Source) -> LocationAttr:
    """`loc("conv1"("CONV_2D"("tflite":0:3)))`."""
    operator, tensor = source
    place = FileLineColLoc(StringAttr(SOURCE_FILE), IntAttr(operator.subgraph), IntAttr(operator.number))
    return NameLoc(StringAttr(tensor), NameLoc(StringAttr(operator.type), place))


MOST_SOURCES = 16
"""Operators that one operation is said to work for: chains can be any number long."""


def sources(location: Attribute) -> tuple[Source, ...]:
    """The source operators of a location, each once, the main one first."""
    known: dict[SourceOperator, Source] = {}
    for entry in _entries(location):
        source = _source(entry)
        if source is not None:
            known.setdefault(source.operator, source)
    return tuple(known.values())


def result_locations(location: LocationAttr) -> tuple[LocationAttr, ...]:
    """The entries of a location, which is one for each result where an operation has several."""
    return tuple(entry if isinstance(entry, LocationAttr) else UNKNOWN_LOC for entry in _entries(location))


def _entries(location: Attribute) -> Iterable[Attribute]:
    if isinstance(location, FusedLoc) and isinstance(location.locations, ArrayAttr):
        return location.locations.data
    return (location,)


def _source(entry: Attribute) -> Source | None:
    if not isinstance(entry, NameLoc) or not isinstance(entry.location, NameLoc):
        return None
    place = entry.location.location
    if not isinstance(place, FileLineColLoc) or place.filename.data != SOURCE_FILE:
        return None
    operator = SourceOperator(place.line.data, place.column.data, entry.location.desc.data)
    return Source(operator, entry.desc.data)


def of_operator(location: LocationAttr, operator: SourceOperator | None) -> LocationAttr:
    """The tensors of a location, as those that an operator makes; None for one that is not known."""
    entries: list[Attribute] = []
    for entry in _entries(location):
        name = source_name(entry)
        if operator is not None:
            entries.append(operator_location(Source(operator, name)))
        else:
            entries.append(name_location(name) if name else UNKNOWN_LOC)
    return joined(entries)


def renamed(location: LocationAttr, tensor: str) -> LocationAttr:
    """The location of an operation that makes the tensor `tensor` from now on, and works for the same operators."""
    first, *rest = _entries(location)
    main = NameLoc(StringAttr(tensor), first.location if isinstance(first, NameLoc) else NoneAttr())
    return joined([main, *rest])


def fused(main: LocationAttr, made: LocationAttr, *others: LocationAttr) -> LocationAttr:
    """
    The location of an operation that does the work of all of these, or of the first 16: `main` counts for the whole,
    and what is made is the tensor of `made`.
    """
    first, *rest = _entries(main)
    name = source_name(made)
    if name and isinstance(first, NameLoc):
        first = NameLoc(StringAttr(name), first.location)
    for location in (made, *others):
        rest += _entries(location)
    entries = [first]
    have = {source.operator for source in sources(first)}
    for entry in rest:
        source = _source(entry)
        if len(entries) < MOST_SOURCES and source is not None and source.operator not in have:
            have.add(source.operator)
            entries.append(entry)
    return joined(entries)


def joined(entries: Sequence[Attribute]) -> LocationAttr:
    """The location of several entries, or of the only one."""
    if len(entries) != 1:
        return FusedLoc(ArrayAttr(entries), NoneAttr())
    (entry,) = entries
    return entry if isinstance(entry, LocationAttr) else UNKNOWN_LOC


def source_name(location: Attribute) -> str:
    """The name in `loc("name")`, the first where several are fused; empty where there is none."""
    if isinstance(location, NameLoc):
        return location.desc.data
    if isinstance(location, FusedLoc) and isinstance(location.locations, ArrayAttr):
        return next((name for one in location.locations.data if (name := source_name(one))), "")
    return ""


def first_name(tensor: str) -> str:
    """The first of the names that converters join."""
    return tensor.split(";")[0]


def describe(op: Operation) -> str:
    """`npu_cmd.conv (Conv1/Relu6)`: an operation as an error message names it."""
    name = source_name(op.location)
    return f"{op.name} ({name})" if name else op.name


class OperationError(PassFailedException):
    """What a pass cannot do with an operation; whoever shows it to the user adds where the operation comes from."""

    def __init__(self, op: Operation, reason: str):
        super().__init__(f"{describe(op)}: {reason}")
        self.op = op
        self.reason = reason


@contextmanager
def concerning(op: Operation) -> Generator[None, None, None]:
    """What goes wrong meanwhile is about `op`, if it does not say itself which operation it is about."""
    try:
        yield
    except OperationError:
        raise
    except DiagnosticException as error:
        raise OperationError(op, str(error)) from error
