"""
Holds the IR that pages show against the compiler: `python docs/snippets.py [PAGE.md ...]` prints what does not agree.

IR stands in a page as a fenced block that says where it comes from:

    ```mlir input                           a module, from here on the state of the page
    ```mlir from test/models/tour.tflite    what the file holds; the passes of the block follow after `|`
    ```mlir after PASSES                    the state after these passes: the lines of the block stand in it

The lines of a block stand one below the other in what is printed, whatever the indentation and the names of values;
`...` is any text within a line, a line of it any number of lines. In PASSES `a .. b` is `a`, `b` and all that the
pipeline of `npu-compile` has between them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from npuc.tools.errors import UserError
from npuc.tools.ir import ElidingPrinter, load_module, make_context
from npuc.tools.passes import PassFailure, available_passes, parse_passes, run_passes
from npuc.tools.pipeline import COMMANDS, EMIT, LOWERING, SCHEDULE

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```mlir *(?P<source>.*)\n(?P<text>(?:.*\n)*?)```$", re.MULTILINE)
PYTHON = re.compile(r"^```(?:python|text)\n(?:.*\n)*?```$", re.MULTILINE)
"""Code in Python, which unit tests run, and what it prints."""
UNCHECKED = re.compile(
    r"^(    .*\b(?:tfl|tosa|npu|npu_schedule|npu_cmd)\.[a-z0-9_]+ .*(?:%|->).*|```(?:mlir)?)$", re.MULTILINE
)
"""Lines of IR in blocks of another kind, and the head of such a block."""


class Disagreement(Exception):
    """A block that the compiler does not print, or cannot read."""


def pages() -> list[Path]:
    """The pages that are written by hand."""
    return [
        ROOT / "README.md",
        *sorted(page for page in ROOT.glob("docs/**/*.md") if page.name not in ("passes.md", "operators.md")),
    ]


def check(page: Path) -> int:
    """How many blocks of a page agree; raises Disagreement for the first that does not."""
    text = page.read_text(encoding="utf-8")
    ctx, module, count = make_context(), ModuleOp([]), 0
    for block in BLOCK.finditer(text):
        kind, _, rest = block["source"].partition(" ")
        where = f"{page.name}:{1 + text.count(chr(10), 0, block.start())}"
        try:
            if kind == "input":
                module = load_module(ctx, block["text"].encode(), where, "mlir")
                module.verify()
            elif kind == "from":
                name, _, passes = rest.partition("|")
                path = ROOT / name.strip()
                module = load_module(ctx, path.read_bytes(), path.name)
                _run(ctx, module, passes)
            elif kind == "after":
                _run(ctx, module, rest)
            else:
                raise Disagreement(f"{where}: a block of IR says `input`, `from` or `after`, not `{kind}`")
        except (UserError, PassFailure) as error:
            raise Disagreement(f"{where}: {error}") from error
        if kind != "input" and not pattern(block["text"]).search(printed := _printed(module)):
            raise Disagreement(f"{where}: not what comes out:\n{printed}")
        count += 1
    left = UNCHECKED.search(PYTHON.sub("", BLOCK.sub("", text)))
    if left:
        raise Disagreement(f"{page.name}: IR that nothing checks: {left.group().strip()}")
    return count


def pattern(text: str) -> re.Pattern[str]:
    """What matches the lines of a block in printed text, whose lines are not indented."""
    names = set[str]()

    def value(match: re.Match[str]) -> str:
        """A value by any name, the same one each time."""
        name = f"v{match[1]}"
        if name in names:
            return rf"%(?P={name})\b"
        names.add(name)
        return rf"%(?P<{name}>\w+)"

    parts: list[str] = []
    for line in text.splitlines():
        line = line.strip()
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        elif line:
            words = re.escape(line).replace(re.escape("..."), ".*?")
            parts.append(re.sub(r"%(\w+)", value, words) + r"\n")
    return re.compile("^" + "".join(parts), re.MULTILINE)


def _passes(text: str) -> Iterator[str]:
    """The passes of a text in which `..` stands for what the pipeline has between two of them."""
    order = [*LOWERING, *SCHEDULE, *COMMANDS, EMIT]
    for part in re.split(r",(?![^{]*\})", text):
        first, between, last = (word.strip() for word in part.partition(".."))
        if between:
            yield from order[order.index(first) : order.index(last) + 1]
        elif first:
            yield first


def _run(ctx: Context, module: ModuleOp, text: str) -> None:
    passes = parse_passes(",".join(_passes(text)), available_passes())
    run_passes(ctx, module, passes)


def _printed(module: ModuleOp) -> str:
    """The module as people read it, without indentation."""
    stream = StringIO()
    ElidingPrinter(stream=stream).print_op(module)
    return "".join(f"{line.strip()}\n" for line in stream.getvalue().splitlines())


def main() -> int:
    wrong = 0
    for page in [Path(name).resolve() for name in sys.argv[1:]] or pages():
        try:
            count = check(page)
        except Disagreement as error:
            print(error)
            wrong += 1
        else:
            print(f"{page.name}: {count} blocks agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
