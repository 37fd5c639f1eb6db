"""
What every test may use. `models` are the committed test models by name, `each_model` runs a test once for each of
them, `shared_models` is the folder of larger real networks, where there is one.

Tests run in several processes, those of one file in one (`pytest -n0` runs all in this one). What a test notes with
`record_property("compared", ...)` stands below the results, so that a reader sees how much has been compared.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

MODELS = Path(__file__).parent / "models"
# So that tests can import the makers: `from tiny_writer import Model`, `from random_network import random_network`.
sys.path.insert(0, str(MODELS))

from golden import Golden, load  # noqa: E402
from property_tests import load_profile  # noqa: E402

load_profile()


@dataclass(frozen=True)
class TestModel:
    """One committed model: `operators` of its main subgraph, and the indices of those that must be on the NPU."""

    __test__ = False

    name: str
    about: str
    source: str
    operators: list[str]
    npu: list[int]
    litert: bool
    comparisons: int

    @property
    def path(self) -> Path:
        """The .tflite file."""
        return MODELS / f"{self.name}.tflite"

    def golden(self) -> Golden:
        """Inputs and LiteRT's outputs; only models with `comparisons` have them."""
        return load(MODELS / f"{self.name}.npz")


@cache
def manifest() -> dict[str, TestModel]:
    """test/models/manifest.json."""
    entries = json.loads((MODELS / "manifest.json").read_text())
    return {name: TestModel(name, **entry) for name, entry in entries.items()}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the argument `each_model` runs once a model."""
    if "each_model" in metafunc.fixturenames:
        metafunc.parametrize("each_model", list(manifest().values()), ids=list(manifest()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much has been compared, as tests have noted it."""
    for report in terminalreporter.stats.get("passed", []):
        for name, text in getattr(report, "user_properties", ()):
            if name == "compared" and report.when == "call":
                terminalreporter.write_line(text)


@pytest.fixture(scope="session")
def models() -> dict[str, TestModel]:
    """The committed test models by name."""
    return manifest()


@pytest.fixture(scope="session")
def shared_models() -> Path | None:
    """The folder `models` in $NPUC_SHARED or in `shared` beside the checkout, or None."""
    shared = Path(os.environ.get("NPUC_SHARED", MODELS.parents[2] / "shared")) / "models"
    return shared if shared.is_dir() else None
