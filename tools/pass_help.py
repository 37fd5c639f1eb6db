"""
npuc's passes by level, as the help of `npu-opt` shows them: each with the first line of its file.

The files are read, not imported, so that help is there at once.
"""

from __future__ import annotations

import ast
from importlib.util import find_spec

from npuc.registry import all_passes, module_names
from npuc.tools.pipeline import COMMANDS, EMIT, LOWERING, SCHEDULE

LEVELS = {
    "tfl": "tfl, the network as it came",
    "tosa": "tosa, what operators compute",
    "npu-schedule": "npu_schedule, kernels and what is decided about them",
    "npu-cmd": "npu_cmd, commands and addresses",
    "convert": "from one level to the next",
    "npu": "the target",
}
"""What the name of a pass begins with -> the level; of two the first that fits."""


def passes_by_level() -> str:
    """A few lines a level: its passes, those of the pipeline of `npu-compile` first and in their order."""
    order = [*LOWERING, *SCHEDULE, *COMMANDS, EMIT]
    names = sorted(all_passes(), key=lambda name: (order.index(name) if name in order else len(order), name))
    width = max(map(len, names))
    lines: list[str] = []
    for start, title in LEVELS.items():
        level = [name for name in names if next(one for one in LEVELS if name.startswith(f"{one}-")) == start]
        lines += [f"passes of {title}:" if start != "convert" else f"passes {title}:"]
        lines += [f"  {name:{width}}  {summary(name)}" for name in level]
        lines.append("")
    return "\n".join(lines)


def summary(name: str) -> str:
    """The first sentence of what the file of a pass says about it."""
    spec = find_spec(module_names()[name])
    assert spec is not None
    assert spec.origin is not None
    with open(spec.origin, encoding="utf-8") as file:
        text = ast.get_docstring(ast.parse(file.read())) or ""
    return " ".join(text.split("\n\n")[0].split()).removeprefix(f"`{name}`: ").rstrip(".")
