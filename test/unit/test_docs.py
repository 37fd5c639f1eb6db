"""The pages that are made from the source are up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_pass_reference() -> None:
    spec = importlib.util.spec_from_file_location("make_pass_reference", DOCS / "make_pass_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text() == module.page(), "run python docs/make_pass_reference.py"
