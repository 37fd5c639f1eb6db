"""
The table of this field: networks, three compilers, six accelerators, strategies, bounds and gaps.

    python bench/corpus.py [--vela VELA [--cache DIR]] [--match REGEX] [--accelerators A,B] [--database FILE]
        [--jobs N | --scheduler ADDRESS] [--page FILE.md]

The networks are those that lie in the shared folder itself, where there is one (MLPerf Tiny's first), and those models
of test/models that have five operators or more. Each is compiled by us and, with --vela, by vela's two cores, for each
accelerator in its usual memories and by both strategies; and by us once more in the SRAM that vela's quickest file
takes. Every file is decoded and timed by one model, so that no compiler's own estimate counts.

It is a sweep (docs/sweep.md): what is in the database for these models, options and versions is not made again, so that
the command can be ended and repeated. --page writes docs/results.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from pathlib import Path

from npuc.tools.npu_sweep import shown
from npuc.tools.sweep.plan import OURS, STRATEGIES, VELA, Combination, Model, combinations, read_models
from npuc.tools.sweep.row import Row
from npuc.tools.sweep.run import rows_of
from npuc.tools.sweep.vela import vela_version

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("NPUC_SHARED", ROOT.parent / "shared")) / "models"
MODELS = ROOT / "test" / "models"
ACCELERATORS = "ethos-u55-32,ethos-u55-64,ethos-u55-128,ethos-u55-256,ethos-u65-256,ethos-u65-512"
FIRST = ("mlperf_kws", "mlperf_vww", "mlperf_resnet8", "mlperf_ad01", "mlperf")
"""Beginnings of names: MLPerf Tiny's four networks, and a later one."""
LEAST_OPERATORS = 5
"""That make a model of test/models a network."""
LEAST_COUNTED = 8 * 1024
"""Bytes: points of vela's in no more are shown and not counted where memory is compared."""


def corpus(match: str) -> list[tuple[str, Model]]:
    """The networks whose name matches, each with the group that it is shown in."""
    shared = sorted(SHARED.glob("*.tflite"), key=lambda path: (_rank(path.stem), path.stat().st_size, path.name))
    groups = [("MLPerf Tiny" if _rank(path.stem) < len(FIRST) else "Of other collections", path) for path in shared]
    manifest = json.loads((MODELS / "manifest.json").read_text())
    own = [name for name, one in sorted(manifest.items()) if len(one["operators"]) >= LEAST_OPERATORS]
    groups += [("Of test/models", MODELS / f"{name}.tflite") for name in own]
    return [(group, *read_models([path])) for group, path in groups if re.search(match, path.stem)]


def _rank(name: str) -> int:
    return next((at for at, start in enumerate(FIRST) if name.startswith(start)), len(FIRST))


@dataclass(frozen=True)
class Line:
    """One network on one accelerator: a file of each compiler and strategy, and ours in vela's memory."""

    accelerator: str
    files: dict[tuple[str, str], Row]
    within: Row | None

    def file(self, compiler: str, strategy: str) -> Row | None:
        """One that can be compared; None where there is none."""
        row = self.files.get((compiler, strategy))
        return row if row is not None and row.counts else None

    @property
    def quickest(self) -> Row | None:
        """Vela's file of fewest cycles; of equal ones that of less memory."""
        rows = [row for core in VELA for strategy in STRATEGIES if (row := self.file(core, strategy)) is not None]
        return min(rows, key=lambda row: (row.cycles or 0, row.sram or 0), default=None)

    @property
    def smallest(self) -> Row | None:
        """Vela's file of least SRAM; of equal ones that of fewer cycles."""
        rows = [row for core in VELA for strategy in STRATEGIES if (row := self.file(core, strategy)) is not None]
        return min(rows, key=lambda row: (row.sram or 0, row.cycles or 0), default=None)

    @property
    def beside(self) -> Row | None:
        """What of ours stands beside vela's quickest: in its memory where that is the arena, else as it comes."""
        return self.within if self.within is not None and self.within.counts else None

    @property
    def ratios(self) -> tuple[float, float] | None:
        """Our cycles over those of vela's quickest at the low and the high end of the cost model, where both are."""
        ours, theirs = self.beside, self.quickest
        if ours is None or theirs is None or not theirs.cycles_low or not theirs.cycles_high:
            return None
        return (ours.cycles_low or 0) / theirs.cycles_low, (ours.cycles_high or 0) / theirs.cycles_high

    @property
    def same_operators(self) -> bool:
        """Whether as many operators are on the CPU on both sides of `ratios`."""
        return (
            self.beside is not None
            and self.quickest is not None
            and self.beside.cpu_operators == self.quickest.cpu_operators
        )


def is_slow_arena(made_of: Combination) -> bool:
    """Whether the SRAM is a cache of the mode's size, which is there for every schedule."""
    return made_of.memory_mode.startswith("Dedicated_Sram")


def within_vela(rows: Sequence[Row]) -> list[Combination]:
    """What is compiled once more: ours in the SRAM of vela's quickest file, where the arena is SRAM."""
    planned: list[Combination] = []
    for line in lines(rows, {}):
        quickest, ours = line.quickest, line.files.get((OURS, "Performance"))
        if quickest is not None and ours is not None and not is_slow_arena(ours.made_of):
            planned.append(replace(ours.made_of, limit=quickest.sram))
    return planned


def lines(rows: Iterable[Row], within: dict[str, Row]) -> list[Line]:
    """Of each network and accelerator; `within` has rows in vela's memory by the key of the one without a limit."""
    groups: dict[tuple[str, str], dict[tuple[str, str], Row]] = {}
    for row in rows:
        one = row.made_of
        groups.setdefault((one.sha256, one.accelerator), {})[one.compiler, one.strategy] = row
    made: list[Line] = []
    for (_, accelerator), files in groups.items():
        ours = files.get((OURS, "Performance"))
        beside = None
        if ours is not None:
            beside = ours if is_slow_arena(ours.made_of) else within.get(ours.made_of.key)
        made.append(Line(accelerator, files, beside))
    return made


# The page


def page(networks: Sequence[tuple[str, Model]], table: dict[str, list[Line]], commands: Sequence[str]) -> str:
    """docs/results.md: `table` has the lines of each network by its sha256."""
    out = [
        "# Results",
        "",
        "Made by `bench/corpus.py`; do not edit. Every file, ours and vela's, is decoded and timed by one",
        "model of the machine at its defaults ([hardware.md](hardware.md)): figures compare schedules, they",
        "are no promise about silicon. A cell is thousand cycles in KiB of SRAM as a runtime needs it (with",
        "Dedicated_Sram the cache beside the arena). *npuc* is Performance without a limit: no more SRAM than",
        "whole feature maps need. *In vela's* is the same with the SRAM of vela's quickest file as its limit,",
        "where the arena is SRAM; *ratio* is its cycles over vela's at the low and the high end of the cost",
        "model, and where the arena is slow, that of *npuc*. *Bound* is what no schedule of our kernels takes",
        "less than; *gap* is how many times their own bound ours and vela's quickest take. `c`: not as many",
        "operators are on the CPU on both sides. A dash: nothing is on the NPU, or there is no such file.",
        "",
        *(f"    {command}" for command in commands),
        "",
        *_summary([line for _, model in networks for line in table[model.sha256]]),
    ]
    shown_group = ""
    for group, model in networks:
        if group != shown_group:
            out += ["", f"## {group}"]
            shown_group = group
        out += ["", f"### {model.name}", "", f"sha256 `{model.sha256}`", "", *_network(table[model.sha256])]
    return "\n".join(out) + "\n"


def _summary(all_lines: Sequence[Line]) -> list[str]:
    """Means over networks, by accelerator."""
    out = [
        "## In short",
        "",
        "Geometric means over the networks below with as many operators on the CPU on both sides: our cycles",
        "over those of vela's quickest file, in no more SRAM (low end, high end of the cost model; those of",
        f"which vela's quickest takes more than {LEAST_COUNTED // 1024} KiB); under Size our SRAM over that of vela's",
        "smallest, where the arena is SRAM; gaps of Performance.",
        "",
        "| accelerator | networks | cycles | slower by over 2 % | SRAM under Size | gap, npuc | gap, vela |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for accelerator in dict.fromkeys(line.accelerator for line in all_lines):
        counted = [line for line in all_lines if line.accelerator == accelerator and line.same_operators]
        pairs = [line.ratios for line in counted if line.ratios and _sram(line.quickest) > LEAST_COUNTED]
        sizes = [
            _sram(ours) / _sram(line.smallest)
            for line in counted
            if (ours := line.file(OURS, "Size")) is not None
            and not is_slow_arena(ours.made_of)
            and _sram(line.smallest) > LEAST_COUNTED
        ]
        gaps = [line.file(OURS, "Performance") for line in counted], [line.quickest for line in counted]
        means = [_mean([row.gap for row in rows if row is not None and row.gap is not None]) for rows in gaps]
        cycles = f"{_mean([low for low, _ in pairs])} / {_mean([high for _, high in pairs])}"
        lost = sum(max(pair) > 1.02 for pair in pairs)
        out.append(f"| {accelerator} | {len(pairs)} | {cycles} | {lost} | {_mean(sizes)} | {means[0]} | {means[1]} |")
    return out


def _network(table: Sequence[Line]) -> list[str]:
    columns = ["bound", "npuc", "npuc, Size", "in vela's"]
    columns += [f"{core.removeprefix('vela ')}{', Size' * (s == 'Size')}" for core in VELA for s in STRATEGIES]
    out = [
        f"| accelerator | {' | '.join(columns)} | gap, npuc / vela | ratio |",
        f"| ---{' | ---:' * (len(columns) + 2)} |",
    ]
    failures: list[str] = []
    for line in table:
        ours = line.file(OURS, "Performance")
        bound = f"{ours.least_cycles / 1000:.1f}" if ours is not None and ours.least_cycles else "–"
        cells = [_cell(ours), _cell(line.file(OURS, "Size"))]
        cells.append("" if line.within is ours else _cell(line.beside))
        cells += [_cell(line.file(core, strategy)) for core in VELA for strategy in STRATEGIES]
        gaps = [f"{row.gap:.2f}" if row is not None and row.gap else "–" for row in (ours, line.quickest)]
        ratio = f"{line.ratios[0]:.3f} / {line.ratios[1]:.3f}" if line.ratios else "–"
        out.append(
            f"| {line.accelerator} | {bound} | {' | '.join(cells)} | {' / '.join(gaps)} |"
            f" {ratio}{'' if line.same_operators or not line.ratios else ' c'} |"
        )
        failures += [
            f"{line.accelerator}, {compiler} {strategy}: {row.error}"
            for (compiler, strategy), row in line.files.items()
            if row.state != "done"
        ]
    return [*out, *(["", *(f"- {text}" for text in failures)] if failures else [])]


def _cell(row: Row | None) -> str:
    return "–" if row is None or not row.counts else f"{(row.cycles or 0) / 1000:.1f} in {_sram(row) / 1024:.1f}"


def _sram(row: Row | None) -> int:
    return 0 if row is None or row.sram is None else row.sram


def _mean(values: Sequence[float]) -> str:
    """The geometric mean, as text."""
    return f"{exp(sum(map(log, values)) / len(values)):.3f}" if values else "–"


# The command


def main() -> int:
    """Fill the database, print the table, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vela", metavar="COMMAND")
    parser.add_argument("--cache", metavar="DIR", help="where vela's files are kept")
    parser.add_argument("--match", default="", metavar="REGEX", help="networks of which this is part of the name")
    parser.add_argument("--accelerators", default=ACCELERATORS, metavar="NAME,...")
    parser.add_argument("--database", default=str(ROOT / "build" / "corpus.sqlite"), metavar="FILE")
    parser.add_argument("--jobs", type=int, metavar="N")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="where to write the page")
    args = parser.parse_args()
    networks = corpus(args.match)
    if not networks:
        parser.error(f"--match {args.match}: no such network")
    Path(args.database).parent.mkdir(parents=True, exist_ok=True)
    version = None if args.vela is None else vela_version(args.vela)
    models = [model for _, model in networks]
    planned = combinations(models, args.accelerators.split(","), strategies=STRATEGIES, vela_version=version)
    data = {model.sha256: model.data for model in models}

    def made(these: Sequence[Combination]) -> list[Row]:
        return rows_of(
            these,
            data,
            vela=args.vela,
            cache=args.cache,
            database=args.database,
            jobs=args.jobs,
            scheduler=args.scheduler,
            progress=shown(),
        )

    rows = made(planned)
    inside = {replace(row.made_of, limit=None).key: row for row in made(within_vela(rows))}
    table = {model.sha256: [] for model in models}
    for line in lines(rows, inside):
        table[next(iter(line.files.values())).made_of.sha256].append(line)
    text = page(networks, table, commands(args, planned))
    print(text, end="")
    if args.page is not None:
        args.page.write_text(text, encoding="utf-8")
    return 0


def commands(args: argparse.Namespace, planned: Sequence[Combination]) -> list[str]:
    """What was run, by which versions; no paths of this machine."""
    versions = dict.fromkeys(one.version for one in planned)
    asked = "".join(
        f" --{name} '{value}'"
        for name, value in (("match", args.match), ("accelerators", args.accelerators))
        if value not in ("", ACCELERATORS)
    )
    said = [f"# npuc {', '.join(versions)}"]
    said.append(f"python bench/corpus.py{' --vela vela' if args.vela else ''}{asked} --page docs/results.md")
    said.append("# each file by")
    said.append("npu-compile MODEL --accelerator-config NAME --optimise STRATEGY [--arena-cache-size BYTES]")
    if args.vela:
        said.append("vela MODEL --accelerator-config NAME --optimise STRATEGY --config Arm/vela.ini \\")
        said.append("    --system-config SYSTEM --memory-mode MODE [--debug-force-legacy-core]")
    said.append("# system and mode: " + "; ".join(dict.fromkeys(_memories(one) for one in planned)))
    return said


def _memories(one: Combination) -> str:
    family = one.accelerator.rpartition("-")[0]
    return f"{one.system_config} and {one.memory_mode} on {family}"


if __name__ == "__main__":
    sys.exit(main())
