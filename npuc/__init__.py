"""
npuc: an MLIR-style compiler from quantised TFLite to Arm Ethos-U55/U65 command streams.

The sub-packages are relative links to the top-level folders of the repository, so that the
source stands where a reader looks for it while imports stay `npuc.dialects`, `npuc.passes` ...

The functions of the library, `npuc.compile` and the others of npuc/api.py, are imported when they are first used.
"""

import os
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from npuc.api import Compiled, Target, UserError, compile, optimise, profile, run, sweep

__all__ = ["Compiled", "Target", "UserError", "compile", "optimise", "profile", "run", "sweep"]

if not os.path.isdir(os.path.join(os.path.dirname(__file__), "dialects")):
    raise ImportError(
        "npuc/dialects is no folder: this copy of npuc was made without symbolic links. Clone it again with "
        "`git clone -c core.symlinks=true` (on Windows in developer mode), or install a wheel"
    )


def __getattr__(name: str) -> object:
    if name in __all__:
        from npuc import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
