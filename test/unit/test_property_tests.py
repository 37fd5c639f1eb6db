"""Property tests draw the same examples each time, and fresh ones in a nightly run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
DRAW = """
import sys
sys.path.insert(0, "test/models")
import property_tests
property_tests.load_profile()
from hypothesis import given, strategies as st

@property_tests.examples(4)
@given(st.lists(st.integers(0, 10**6), min_size=100, max_size=100), st.sets(st.sampled_from("abcdefgh")))
def test(numbers, letters):
    print(numbers, sorted(letters))

test()
print(property_tests.seeds(3))
"""


def drawn(before: str = "", **environment: str) -> list[str]:
    script = f"{before}\n{DRAW}"
    environment = {**os.environ, "NPUC_NIGHTLY": "", "OPENBLAS_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-c", script]
    return subprocess.run(
        command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_the_same_examples_each_time() -> None:
    """Neither hash seeds nor what else was imported changes them."""
    first = drawn(PYTHONHASHSEED="1")
    assert len(first) >= 4
    assert first[-1] == "range(0, 3)"
    # More numbers in loaded modules, which Hypothesis would draw now and then.
    assert drawn("import npuc.hardware.registers, npuc.hardware.cycles, npuc.simulator", PYTHONHASHSEED="2") == first


def test_a_nightly_run_draws_thousands_of_others() -> None:
    first, second = drawn(NPUC_NIGHTLY="1"), drawn(NPUC_NIGHTLY="1")
    assert min(len(first), len(second)) >= 150
    assert first != second
    assert first[-1] != second[-1]


def test_no_test_goes_its_own_way() -> None:
    own = re.compile(r"\bsettings\(|max_examples|derandomize|deadline=|@seed\(")
    for path in sorted(TESTS.rglob("test_*.py")):
        assert path == Path(__file__) or not own.search(path.read_text()), path.name
