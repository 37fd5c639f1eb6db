"""Runs the lit tests as part of `pytest`, so that one command runs everything."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_lit() -> None:
    lit = [sys.executable, "-c", "from lit.main import main; main()"]
    run = subprocess.run([*lit, "-v", str(ROOT / "test")], capture_output=True, text=True, cwd=ROOT)
    print(run.stdout[-20000:], run.stderr[-5000:])
    assert run.returncode == 0, "a lit test failed, see the output above"
    passed = re.search(r"Passed\s*:\s*(\d+)", run.stdout)
    on_disk = sum(1 for pattern in ("*.mlir", "*.test") for _ in (ROOT / "test").rglob(pattern))
    assert passed is not None
    assert int(passed[1]) >= 0.9 * on_disk, "too many lit tests were left out"
