"""Imports go downwards: what each folder may import of the others, lazily or not."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "hardware": set[str](),
    "simulator": {"hardware"},
    "dialects": {"hardware"},
    "interpreters": {"dialects"},
    "analysis": {"dialects", "hardware"},
    "planning": {"analysis", "dialects", "hardware"},
    "operators": {"analysis", "dialects", "hardware"},
    "lowering": {"analysis", "dialects", "hardware", "operators"},
    "passes": {"analysis", "dialects", "hardware", "interpreters", "lowering", "operators", "planning"},
}
"""By folder; each may import itself. `tools` may import all."""
IMPORTED = re.compile(r"\bnpuc\.([a-z_]+)(?:\.[a-z_]+)+\"|^\s*(?:from|import) npuc\.([a-z_]+)", re.MULTILINE)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_what_lies_below_it(folder: str) -> None:
    faults = [
        f"{path.relative_to(ROOT)}: {other}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for one, two in IMPORTED.findall(path.read_text())
        if (other := one or two) not in MAY_IMPORT[folder] | {folder}
    ]
    assert not faults
