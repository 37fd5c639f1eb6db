"""
The TFLite operators that the compiler knows, one file each (a family that differs in little shares one): class, rules,
lowering. `support/` holds what they share; docs/adding-an-operator.md shows how to add one.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from xdsl.ir import Dialect, Operation

from npuc.dialects import tfl
from npuc.dialects.tfl import TflOp
from npuc.operators.support.record import Operator

_NAME = re.compile(r'^    name = "tfl\.(\w+)"$', re.MULTILINE)


@cache
def _modules() -> dict[str, str]:
    """
    The module that defines the class of each operator, by the operator's name in the TFLite schema.

    It is read off the sources: a model holds few of the operators, and importing all of them takes ten times as long.
    """
    modules: dict[str, str] = {}
    for folder in __path__:
        for info in iter_modules([folder]):
            if not info.ispkg:
                source = (Path(folder) / f"{info.name}.py").read_text(encoding="utf-8")
                modules |= dict.fromkeys((name.upper() for name in _NAME.findall(source)), f"{__name__}.{info.name}")
    return modules


def all_operators() -> dict[type[Operation], Operator]:
    """The record of each operator, by its class; derived from the files of this folder, all of which are imported."""
    modules = dict.fromkeys(_modules().values())
    return {record.op: record for module in modules for record in import_module(module).OPERATORS}


def operator_of(op: Operation) -> Operator | None:
    """The record of an operation; None if it is none of the operators that have one."""
    return _record_of(type(op))


@cache
def _record_of(kind: type[Operation]) -> Operator | None:
    if not issubclass(kind, TflOp) or kind.__module__ not in _modules().values():
        return None
    return next((record for record in import_module(kind.__module__).OPERATORS if record.op is kind), None)


@cache
def operator_class(name: str) -> type[TflOp] | None:
    """The class of an operator, by its name in the TFLite schema; None if it has none of its own."""
    module = _modules().get(name)
    if module is None:
        return None
    return next(record.op for record in import_module(module).OPERATORS if record.name == name)


@cache
def tfl_dialect() -> Dialect:
    """The dialect `tfl`: what every graph has, and all operators that have a class."""
    classes = sorted(all_operators(), key=lambda op: op.name)
    return Dialect("tfl", [*tfl.OPERATIONS, *classes], list(tfl.ATTRIBUTES))
