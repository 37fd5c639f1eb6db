"""
Writes docs/passes.md from the docstrings and options of the passes: `python docs/make_pass_reference.py`.

A unit test holds the page against the passes, so that neither goes without the other.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from xdsl.passes import get_pass_option_infos

from npuc.registry import all_passes
from npuc.tools.pipeline import Target, pipeline

PAGE = Path(__file__).parent / "passes.md"


def page() -> str:
    """The text of the page."""
    lines = [
        "# Passes",
        "",
        "Made from the source by `docs/make_pass_reference.py`. `npu-compile` runs these, in this order:",
        "",
        *(f"    {one}" for one in pipeline(Target()).split(",")),
        "",
    ]
    for name, factory in all_passes().items():
        pass_ = factory()
        text = inspect.cleandoc(sys.modules[pass_.__module__].__doc__ or "")
        lines += [f"## {name}", "", text, ""]
        for option in get_pass_option_infos(pass_):
            default = f", default `{option.default_value}`" if option.default_value is not None else ""
            lines.append(f"- `{option.name.replace('_', '-')}`: {option.expected_type}{default}")
        if lines[-1]:
            lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
