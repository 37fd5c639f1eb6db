"""
Writes docs/operators.md from the records of the operators: `python docs/make_operator_reference.py`.

The conditions of an operator are the rules that its `check` can refuse it by, read from the source: from `check` itself
and from the functions that it calls. A unit test holds the page against the records.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

from npuc.operators import all_operators
from npuc.operators.support import legality, rules
from npuc.operators.support.record import Operator

PAGE = Path(__file__).parent / "operators.md"
TESTS = Path(__file__).parents[1] / "test" / "operators"
OPERATOR = "OPERATOR"
"""What stands for the operator's own name in a rule that several share."""
RULE_AT = {"require": 1, "refuse": 0, "integers": 1}
"""Which argument of a function of `rules` is the rule."""


def refusals(check: Callable[..., Any]) -> list[str]:
    """The rules that a function can refuse by, those of the functions that it calls too, in the order of the source."""
    sentences: dict[str, None] = {}
    _collect(check, sentences, set())
    return list(sentences)


def _collect(function: Callable[..., Any], sentences: dict[str, None], seen: set[Callable[..., Any]]) -> None:
    if function in seen or not isinstance(function, FunctionType):
        return
    seen.add(function)
    scope = vars(sys.modules[function.__module__])
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = _value(call.func, scope)
        name = getattr(called, "__name__", "")
        if name in RULE_AT and getattr(called, "__module__", "") == rules.__name__:
            for sentence in _sentences(call.args[RULE_AT[name]], scope):
                sentences[sentence] = None
        elif getattr(called, "__module__", "").startswith("npuc.operators"):
            _collect(called, sentences, seen)


def _value(node: ast.expr, scope: dict[str, Any]) -> Any:
    """What a name, with attributes, stands for in a module; None if that is not known before it runs."""
    if isinstance(node, ast.Name):
        return scope.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_value(node.value, scope), node.attr, None)
    return None


def _sentences(node: ast.expr, scope: dict[str, Any]) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.IfExp):
        return [*_sentences(node.body, scope), *_sentences(node.orelse, scope)]
    if isinstance(node, ast.JoinedStr):
        return ["".join(_part(part, scope) for part in node.values)]
    return []


def _part(node: ast.expr, scope: dict[str, Any]) -> str:
    """A piece of an f-string: numbers and texts that a module knows as they are, all else as an ellipsis."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.FormattedValue)
    if "name" in ast.unparse(node.value):
        return OPERATOR
    value = _value(node.value, scope)
    return str(value) if isinstance(value, int | str) else "…"


def page() -> str:
    """The text of the page."""
    records = sorted(all_operators().values(), key=lambda record: record.name)
    general = refusals(legality.check_tensors)
    lines = [
        "# Operators",
        "",
        "Made from the records in `operators/` by `docs/make_operator_reference.py`. What the NPU takes equals",
        "LiteRT's reference kernel bit for bit. An operator that is not here stays on the CPU. What an operator is",
        "refused by is read from the source of its rules; where there is … the message has a number or a name.",
        "",
        "| operator | types | kernels |",
        "| --- | --- | --- |",
        *(f"| {record.name} | {_types(record)} | {record.kernels} |" for record in records),
        "",
        "These rules hold for all:",
        "",
        *(f"- {rule.replace(OPERATOR, 'the operator')}" for rule in general),
        "",
    ]
    for record in records:
        lines += _section(record, general)
    return "\n".join(lines)


def _types(record: Operator) -> str:
    wide = f"; {' and '.join(record.wide)} also int32" if record.wide else ""
    words = f"; {' and '.join(record.words)} also int64" if record.words else ""
    return ", ".join(record.types) + wide + words + (", quantised or not" if record.plain else "")


def _section(record: Operator, general: list[str]) -> list[str]:
    module = sys.modules[record.check.__module__]
    stem = record.op.__module__.rsplit(".", 1)[-1]
    summary = inspect.cleandoc(module.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    tests = [f"`test/operators/{path.name}`" for path in sorted(TESTS.glob(f"*{stem}.*"))]
    others = f" ({record.others})" if record.others else ""
    lines = [
        f"## {record.name}",
        "",
        f"`operators/{stem}.py`: {summary}",
        "",
        f"- Types: {_types(record)}{others}. Up to {record.rank} dimensions{', any batch' if record.batches else ''}.",
        f"- Kernels: {record.kernels}.",
    ]
    if tests:
        lines.append(f"- Tests: {', '.join(tests)}.")
    conditions = [rule.replace(OPERATOR, record.name) for rule in refusals(record.check) if rule not in general]
    if conditions:
        lines.append("- On the CPU unless:")
        lines += [f"  - {condition}" for condition in conditions]
    return [*lines, ""]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
