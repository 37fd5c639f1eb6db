"""
Work that grows faster than the network: calls of every function are counted, so that a loaded machine is no noise.

Compiled at three sizes, each twice the one before. Calls that a function gets more of from the second size to the third
than from the first to the second must be about twice as many; a search through all operators for each of them makes
four times. Counted are calls, and the steps of generators, for each function by itself, so that one that is still cheap
at this size is found as well.
"""

from __future__ import annotations

import cProfile
import pstats
from pathlib import Path

import pytest
from growing import KINDS

from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target, pipeline

SIZE = 16
SHARE = 0.004
"""Of all calls at the largest size: functions with fewer are not looked at, for they grow in steps."""
MOST = 2.6

BOUNDED = frozenset(("npu-schedule-order-kernels",))
"""Its search is for parts of up to so many runs, so that larger networks may be less work (`test_order.py`)."""

Function = tuple[str, int, str]


def calls(data: bytes, target: Target, passes: str | None = None) -> dict[Function, int]:
    """How often each function is called while a model is compiled, by all passes or by some."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        compile_tflite(data, target, passes=passes)
    finally:
        profile.disable()
    return {function: values[1] for function, values in pstats.Stats(profile).stats.items()}  # type: ignore[attr-defined]


def growing_too_fast(small: dict[Function, int], middle: dict[Function, int], large: dict[Function, int]) -> list[str]:
    """The functions whose calls grow faster than the network, and how often each was called."""
    least = SHARE * sum(large.values())
    found: list[str] = []
    for function, count in large.items():
        before, first = middle.get(function, 0), small.get(function, 0)
        if count >= least and count - before > MOST * max(before - first, 1):
            found.append(f"{Path(function[0]).name}:{function[1]} {function[2]}: {first}, {before}, {count} calls")
    return found


@pytest.mark.parametrize("kind", ["residual", "additions", "fan", "split", "alternation", "lstm"])
def test_no_function_is_called_more_often_than_the_network_grows(kind: str) -> None:
    # With memory to spend: how many limits are tried, where nobody names one, differs from size to size.
    target = Target("ethos-u55-128", limit=1 << 30)
    compile_tflite(KINDS[kind](4).to_bytes(), target)  # what is computed once and kept
    passes = pipeline(target, BOUNDED)
    small, middle, large = (calls(KINDS[kind](size).to_bytes(), target, passes) for size in (SIZE, 2 * SIZE, 4 * SIZE))
    assert growing_too_fast(small, middle, large) == []


@pytest.mark.parametrize("kind", ["residual", "additions", "fan", "split", "alternation", "lstm"])
def test_the_searches_for_limits_and_orders_grow_no_faster(kind: str) -> None:
    """
    By the defaults, from a size beyond the longest cascade to one four times as large: these searches go in steps, but
    what grows with the square of the network is called sixteen times as often.
    """
    target = Target("ethos-u55-128")
    compile_tflite(KINDS[kind](4).to_bytes(), target)
    small, large = (calls(KINDS[kind](size).to_bytes(), target) for size in (2 * SIZE, 8 * SIZE))
    least = SHARE * sum(large.values())
    assert [f for f, count in large.items() if count >= least and count > MOST**2 * max(small.get(f, 0), 1)] == []


def test_a_search_through_all_for_each_is_found() -> None:
    def work(count: int) -> dict[Function, int]:
        return {("a.py", 1, "search"): count * count, ("a.py", 2, "step"): 100 * count}

    assert growing_too_fast(work(20), work(40), work(80)) == ["a.py:1 search: 400, 1600, 6400 calls"]
