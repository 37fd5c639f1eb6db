"""
What somebody new to a network asks, answered from the JSON of npu-profile and nothing else.

    python test/models/newcomer.py OURS.tflite THEIRS.tflite SOURCE.tflite

THEIRS may be of another compiler. It prints which operators take the time and why, what holds the memory at its peak,
what the other file does differently, and what to try next.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

FIVE = 5


class Answers(NamedTuple):
    """Each a list of what a person would say, the most important first."""

    time: list[tuple[str, float, str]]
    """Operators, their shares of all cycles, and what bounds them."""
    memory: list[tuple[str, int]]
    """What lies in SRAM at the peak, and its bytes."""
    differences: list[tuple[str, int, str, str]]
    """Operators, the cycles that the other file takes more, and what bounds either."""
    levers: list[tuple[str, int, int]]
    """What to try, and the cycles and bytes of SRAM that it saves."""


def answers(ours: str, theirs: str, source: str, ask: Callable[..., dict[str, Any]]) -> Answers:
    """`ask` gives the JSON of npu-profile for its arguments."""
    one = ask(ours, "--reference", source, "--advise")
    both = ask(ours, theirs, "--reference", source)

    def bound(rows: list[dict[str, Any]]) -> str:
        return max(rows, key=lambda row: row["cycles"])["bound"] if rows else "not there"

    rows = sorted(one["rows"], key=lambda row: -row["cycles"])[:FIVE]
    levers = one["advice"]["levers"]
    return Answers(
        [(row["name"], row["share"], row["bound"]) for row in rows],
        [(held["name"], held["bytes"]) for held in one["peak"]["holds"]],
        [(line["name"], line["difference"], *map(bound, line["rows"])) for line in both["lines"][:FIVE]],
        [(lever["what"], lever["cycles_saved"], lever["sram_saved"]) for lever in levers],
    )


def ask_tool(*arguments: str) -> dict[str, Any]:
    """What the installed tool says."""
    command = [sys.executable, "-m", "npuc.tools.npu_profile", *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the answers."""
    for question, lines in zip(Answers._fields, answers(*sys.argv[1:4], ask_tool), strict=True):
        print(question)
        for line in lines:
            print("  ", *(f"{part:.1%}" if isinstance(part, float) else part for part in line))


if __name__ == "__main__":
    main()
