"""
The dialects of npuc, one file each, loaded only when a module mentions them.

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


def all_dialects() -> dict[str, Callable[[], Dialect]]:
    """Name -> zero-argument factory of every dialect; `dialects/<name>.py` defines `<NAME>: Dialect`."""
    return {name: _factory(name) for name in DIALECT_NAMES}
