"""
Dataclasses whose methods are compiled when they are first called.

Until Python 3.12 the standard library compiles every method of a dataclass by itself, as the class is made. xDSL and
npuc make more than three hundred such classes, and a tool calls few of the two thousand methods: compiling them all
took a third of what a small model takes in all. `defer_dataclass_methods` puts into the place of each method a function
that compiles it at its first call, and takes its place in the class. Until then `inspect` sees no parameters.

Only the tools do this, as processes of their own; a program that imports npuc keeps its dataclasses as they are. It
replaces a function of the standard library that is not documented. Where that is gone, as from Python 3.13 on, which
compiles all methods of a class at once, nothing is changed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

NAMES = frozenset("__init__ __repr__ __eq__ __hash__ __setattr__ __delattr__ __lt__ __le__ __gt__ __ge__".split())
"""Methods that are compiled at their first call."""
UNKNOWN = Signature([Parameter("self", Parameter.POSITIONAL_ONLY)])
"""
What a method that is not yet compiled says of its parameters: to find out the true ones would take longer than to
compile it, and each dataclass without a docstring asks.
"""


def defer_dataclass_methods() -> None:
    """For all dataclasses that are made from now on in this process."""
    compile_method: Callable[..., Callable[..., Any]] | None = getattr(dataclasses, "_create_fn", None)
    if compile_method is None:
        return

    def create(name: str, *definition: Any, **scope: Any) -> Callable[..., Any]:
        if name not in NAMES:
            return compile_method(name, *definition, **scope)
        compiled: Callable[..., Any] | None = None

        def method(self: object, *rest: Any, **named: Any) -> Any:
            nonlocal compiled
            if compiled is None:
                compiled = compile_method(name, *definition, **scope)
            # A class that is made from this one, as xDSL does, has its own entry.
            for owner in type(self).__mro__:
                if owner.__dict__.get(name) is method:
                    setattr(owner, name, compiled)
            return compiled(self, *rest, **named)

        method.__name__ = name
        method.__signature__ = UNKNOWN  # pyright: ignore[reportFunctionMemberAccess]
        return method

    dataclasses._create_fn = create  # pyright: ignore[reportAttributeAccessIssue]
