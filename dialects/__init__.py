"""
The dialects of npuc, a module or a package each, loaded only when a module mentions them; `tfl` has a file for each
operator, in `npuc.operators`.

`all_dialects()` gives name -> factory; a factory imports its file. `tosa` is ours, in TOSA 1.0
syntax, and takes the place of xDSL's dialect of that name in our own tools.
"""

from collections.abc import Callable
from importlib import import_module

from xdsl.ir import Dialect

DIALECT_NAMES = ("npu", "npu_cmd", "npu_schedule", "quant", "tfl", "tosa")


def _factory(name: str) -> Callable[[], Dialect]:
    def load() -> Dialect:
        return getattr(import_module(f"npuc.dialects.{name}"), name.upper())

    return load


def _tfl() -> Dialect:
    return import_module("npuc.operators").tfl_dialect()


def all_dialects() -> dict[str, Callable[[], Dialect]]:
    """Name -> zero-argument factory of every dialect; `npuc.dialects.<name>` defines `<NAME>: Dialect`."""
    return {name: _tfl if name == "tfl" else _factory(name) for name in DIALECT_NAMES}
