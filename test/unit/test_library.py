"""`import npuc` gives the library: what docs/library.md shows is what comes out, and nothing is imported too early."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import npuc

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "library.md"
BLOCK = re.compile(r"^```python\n(?P<code>(?:.*\n)*?)```\n```text\n(?P<text>(?:.*\n)*?)```$", re.MULTILINE)
MODEL = ROOT / "test" / "models" / "tf_conv_2d.tflite"


def test_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ai_edge_litert")
    monkeypatch.chdir(ROOT)
    page = PAGE.read_text(encoding="utf-8")
    # Dataclasses look for the module that they are defined in.
    scope: dict[str, Any] = {"__name__": __name__}
    blocks = list(BLOCK.finditer(page))
    assert len(blocks) == page.count("```python")
    for block in blocks:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block["code"], str(PAGE), "exec"), scope)
        assert out.getvalue() == block["text"], block["code"]


def test_nothing_is_imported_before_it_is_used() -> None:
    code = (
        "import npuc, sys; print(dir(npuc).count('compile'))\n"
        "print(*(n for n in sys.modules if n.startswith(('npuc.', 'xdsl', 'numpy'))))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1"]


def test_outputs_without_a_reference() -> None:
    compiled = npuc.compile(MODEL.read_bytes())
    result = npuc.run(compiled)
    assert result.outputs
    assert not result.reports


def test_a_module_is_not_changed_by_what_runs_over_it() -> None:
    module = npuc.optimise(MODEL, "")
    before = str(module)
    after = npuc.optimise(module, "npu-set-target")
    assert "npu.target" in after.attributes
    assert str(module) == before


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(npuc.UserError, match=r"none\.tflite: No such file"):
        npuc.compile(tmp_path / "none.tflite")
    with pytest.raises(npuc.UserError, match="pipeline:1:1: unknown pass no-such-pass"):
        npuc.optimise(MODEL, "no-such-pass")
    with pytest.raises(npuc.UserError, match="nothing to profile"):
        npuc.profile(MODEL)
    with pytest.raises(AttributeError, match="no attribute 'no_such_function'"):
        _ = npuc.no_such_function  # pyright: ignore
