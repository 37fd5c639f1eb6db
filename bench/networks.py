"""
The networks that schedules are measured on: the files of a folder, and some of our own.

Our own are of kinds that the folder lacks. They are made when asked for, with random weights from a fixed seed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "models"
sys.path.insert(0, str(ROOT / "test" / "models"))


@dataclass(frozen=True)
class Network:
    """A model by name: a file, or one of `OWN`."""

    name: str
    path: Path | None = None

    @property
    def group(self) -> str:
        """Which geometric mean it is part of."""
        return "own" if self.path is None else "shared"

    def read(self) -> bytes:
        """The bytes of the model."""
        return OWN[self.name]() if self.path is None else self.path.read_bytes()


OWN: dict[str, Callable[[], bytes]] = {}


def networks(folder: Path, match: str = "") -> list[Network]:
    """The .tflite files that lie in a folder itself, in the order of their size, and the own networks."""
    files = sorted(folder.glob("*.tflite"), key=lambda path: (path.stat().st_size, path.name))
    every = [*(Network(path.stem, path) for path in files), *(Network(name) for name in OWN)]
    return [network for network in every if match in network.name]
