"""
The cycle model beside measured cycles of whole networks, and beside vela's estimate.

    python bench/calibration.py --vela VELA [--folder DIR] [--cache DIR]

Arm's own model of the machine was measured by others on streams that vela 5.0.0 makes (docs/hardware.md says how). VELA
is the command of an installation of that version: `pip install ethos-u-vela==5.0.0`. The streams are made again, and
are the ones that were measured if the hash of the file agrees. DIR of `--folder` holds the models and `fvp_cells.csv`:
a line for each stream with accelerator, model, measured cycles, the first digits of the stream's sha256 and vela's
estimate. With `--cache` streams are kept, and taken from there if they are the right ones.

Printed is by how much we differ from what was measured, with the default parameters of the model and at both their ends
(`npuc.hardware.parameters`). Exit code 0 if all are within `BOUNDS` with the default parameters, which are the same for
all; else 1.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from npuc.hardware.accelerators import accelerator
from npuc.hardware.parameters import DEFAULT, HIGH, LOW
from npuc.tools.profiling.profile import profile

ROOT = Path(__file__).parents[1]
SYSTEMS = {"U55": ("Ethos_U55_High_End_Embedded", "Shared_Sram"), "U65": ("Ethos_U65_High_End", "Dedicated_Sram")}
"""System configuration and memory mode of the measurements."""
BOUNDS = {("U55", "convolutional"): 0.04, ("U65", "convolutional"): 0.07, ("U55", "tiny"): 0.05, ("U65", "tiny"): 0.15}
"""Largest relative difference from what was measured."""
TINY = ("rnnoise_INT8",)
"""Networks of many kernels of a few hundred cycles, whose time is that of their weights' way from slow memory."""


class Cell(NamedTuple):
    """One measured stream."""

    accelerator: str
    model: str
    cycles: int
    digest: str
    """The first digits of its sha256."""
    by_vela: int

    @property
    def bound(self) -> float:
        """How far we may be off."""
        kind = "tiny" if self.model in TINY else "convolutional"
        return BOUNDS[accelerator(self.accelerator).product, kind]


def read_cells(path: Path) -> list[Cell]:
    """The lines of `fvp_cells.csv`."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Cell(
                row["accelerator"],
                row["model"],
                int(row["measured_cycles"]),
                row["stream_sha256_prefix"],
                int(row["vela_5_0_estimate"]),
            )
            for row in csv.DictReader(file)
        ]


def stream(cell: Cell, folder: Path, cache: Path, vela: str | None) -> bytes:
    """The measured stream: the one in the cache, or made by vela; SystemExit if there is none to be had."""
    path = cache / cell.accelerator / f"{cell.model}_vela.tflite"
    if not path.exists():
        if vela is None:
            raise SystemExit(f"{path} does not exist: --vela COMMAND makes it")
        system, mode = SYSTEMS[accelerator(cell.accelerator).product]
        command = [vela, str(folder / f"{cell.model}.tflite"), "--accelerator-config", cell.accelerator]
        command += ["--config", "Arm/vela.ini", "--system-config", system, "--memory-mode", mode]
        run = subprocess.run([*command, "--output-dir", str(path.parent)], capture_output=True, text=True)
        if run.returncode:
            raise SystemExit(f"{cell.accelerator} {cell.model}: {(run.stderr or run.stdout).strip().splitlines()[-1]}")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(cell.digest):
        raise SystemExit(f"{path}: sha256 {digest[: len(cell.digest)]}, measured was {cell.digest}")
    return data


def report(cells: list[Cell], folder: Path, cache: Path, vela: str | None) -> bool:
    """Print a line for each stream; whether all are within their bounds."""
    print(f"{'':28} {'measured':>9} {'ours':>9} {'':>7} {'low':>7} {'high':>7} {'vela':>7} {'bound':>6}")
    good = True
    for cell in cells:
        data = stream(cell, folder, cache, vela)
        system, mode = SYSTEMS[accelerator(cell.accelerator).product]
        ours, low, high = (
            profile(data, name=cell.model, system_config=system, memory_mode=mode, parameters=parameters).cycles
            for parameters in (DEFAULT, LOW, HIGH)
        )
        off, *others = (cycles / cell.cycles - 1 for cycles in (ours, low, high, cell.by_vela))
        within = abs(off) <= cell.bound
        good &= within
        print(
            f"{cell.accelerator:13} {cell.model:14} {cell.cycles:9} {ours:9} {off:7.1%}",
            *(f"{other:7.1%}" for other in others),
            f"{cell.bound:6.0%}{'' if within else ' missed'}",
            flush=True,
        )
    return good


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vela", metavar="COMMAND", help="vela 5.0.0; not needed for streams in the cache")
    parser.add_argument("--folder", default=str(ROOT.parent / "shared" / "calibration"), metavar="DIR")
    parser.add_argument("--cache", metavar="DIR", help="where streams are kept")
    args = parser.parse_args()
    folder = Path(args.folder)
    cells = read_cells(folder / "fvp_cells.csv")
    with tempfile.TemporaryDirectory() as empty:
        good = report(cells, folder, Path(args.cache or empty), args.vela)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
