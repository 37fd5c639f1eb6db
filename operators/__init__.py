"""
The TFLite operators that the compiler knows, one file each (a family that differs in little shares one): class, rules,
lowering. `support/` holds what they share; docs/adding-an-operator.md shows how to add one.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from xdsl.ir import Dialect, Operation

from npuc.dialects import tfl
from npuc.dialects.tfl import TflOp
from npuc.operators.support.record import Operator


@cache
def all_operators() -> dict[type[Operation], Operator]:
    """The record of each operator, by its class; derived from the files of this folder."""
    records: dict[type[Operation], Operator] = {}
    for info in iter_modules(__path__):
        if not info.ispkg:
            for record in import_module(f"{__name__}.{info.name}").OPERATORS:
                records[record.op] = record
    return records


def operator_of(op: Operation) -> Operator | None:
    """The record of an operation; None if it is none of the operators that have one."""
    return all_operators().get(type(op))


@cache
def operator_classes() -> dict[str, type[TflOp]]:
    """The class of each operator that has one, by its name in the TFLite schema."""
    return {record.name: record.op for record in all_operators().values()}


@cache
def tfl_dialect() -> Dialect:
    """The dialect `tfl`: what every graph has, and all operators that have a class."""
    classes = sorted(all_operators(), key=lambda op: op.name)
    return Dialect("tfl", [*tfl.OPERATIONS, *classes], list(tfl.ATTRIBUTES))
