"""
Modules that are imported when something in them is first asked for.

Whoever reads a `tfl` operation loads the files of all operators. What these need for lowering alone, NumPy and the
dialects of the levels below, would take as long to import as all that a tool has to do on the `tfl` level.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any


class _Deferred(ModuleType):
    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self.__name__), name)
        setattr(self, name, value)
        return value


def deferred(*names: str) -> tuple[ModuleType, ...]:
    """
    Stand-ins for modules, to be bound where a type checker sees the true ones:

        if TYPE_CHECKING:
            import numpy as np
        else:
            (np,) = deferred("numpy")
    """
    return tuple(_Deferred(name) for name in names)
