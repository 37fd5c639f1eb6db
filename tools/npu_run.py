"""`npu-run`: executes a compiled TFLite file on the simulated NPU and compares it with its source model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from npuc.tools import driver
from npuc.tools.driver import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from npuc.simulator.compare import Comparison
    from npuc.simulator.memory import Access, Report
    from npuc.simulator.runner import Inputs
    from npuc.simulator.stream import Op
    from npuc.simulator.tflite import CompiledModel

_MAX_REPORTS = 10
_RUNS = 3


def _parser() -> argparse.ArgumentParser:
    parser = driver.command_line(
        "npu-run",
        "Executes a compiled TFLite file on the simulated NPU (CPU operators on LiteRT). "
        "Exit 0 only if nothing was reported and, with a reference, every output equals it and "
        "every operation's result that can be found in it.",
    )
    parser.add_argument("compiled", type=Path, help="TFLite file with ethos-u operators")
    parser.add_argument("--reference", type=Path, help="the TFLite file it was compiled from")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--seed", type=int, default=0, help="first seed of the random inputs (default 0)")
    chosen.add_argument("--input", type=Path, help=".npz with all inputs, by tensor name or position ('0', '1' ...)")
    parser.add_argument("--runs", type=int, help=f"number of random inputs (default {_RUNS})")
    parser.add_argument("--output", type=Path, help=".npz for the outputs of the last run, by tensor name")
    parser.add_argument(
        "--trace", action="store_true", help="print what each operation read and wrote, and which source tensor it is"
    )
    return parser


def _read_inputs(path: Path) -> dict[str | int, NDArray]:
    """The arrays of an .npz file; raises UserError."""
    from zipfile import BadZipFile
    from zlib import error as DamagedStream

    import numpy as np

    data = driver.read_file(str(path))
    if not data.startswith(b"PK"):
        raise UserError(f"{path}: not an .npz file")
    try:
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            return {int(name) if name.isdigit() else name: arrays[name] for name in arrays.files}
    except (BadZipFile, DamagedStream, EOFError, KeyError, MemoryError, OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{path}: damaged .npz file: {error}") from None


def _pack_outputs(outputs: Mapping[str, NDArray]) -> bytes:
    """An .npz of arrays by name; np.savez has no room for some names, such as "file"."""
    from zipfile import ZipFile

    import numpy as np

    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, values in outputs.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, np.asanyarray(values), allow_pickle=False)
    return packed.getvalue()


def _load(path: Path) -> tuple[CompiledModel, bytes]:
    """A TFLite file, read and as it is; raises UserError that names it."""
    from npuc.simulator.runner import load
    from npuc.simulator.stream import StreamError

    data = driver.read_file(str(path))
    try:
        return load(data), data
    except StreamError as error:
        raise UserError(f"{path}: {error}") from None


def _print_reports(reports: Sequence[Report]) -> None:
    for report in reports[:_MAX_REPORTS]:
        print(f"  {report}")
    if len(reports) > _MAX_REPORTS:
        print(f"  and {len(reports) - _MAX_REPORTS} more reports")


def _describe(comparison: Comparison, label: str) -> bool:
    """Prints one run; whether it is exact and nothing was reported."""
    for step in comparison.steps:
        print(f"  {step}")
    if comparison.exact:
        print(f"{label}: exact" if not comparison.reports else f"{label}: exact, but reported:")
    else:
        print(f"{label}: DIFFERS" if comparison.differences else f"{label}: DIFFERS, but no output shows it")
        for difference in comparison.differences:
            print(f"  output {difference}")
        print(f"  first wrong: {comparison.first_wrong or 'no operation resembles a source tensor'}")
    _print_reports(comparison.reports)
    return comparison.exact and not comparison.reports


def _run(arguments: argparse.Namespace) -> bool:
    from npuc.simulator.compare import Comparer, Step
    from npuc.simulator.runner import RunResult, Session, given_inputs

    runs = _RUNS if arguments.runs is None else arguments.runs
    if arguments.seed < 0:
        raise UserError(f"--seed {arguments.seed}: seeds are not negative")
    if runs < 1:
        raise UserError(f"--runs {runs}: at least one is needed")
    if arguments.input and arguments.runs is not None:
        raise UserError(f"--runs {runs}: --input {arguments.input} gives the inputs of one run")
    compiled, _ = _load(arguments.compiled)
    if not compiled.npu_operators:
        raise UserError(f"{arguments.compiled}: no ethos-u operator, so there is nothing to execute")
    inputs: Inputs | None = _read_inputs(arguments.input) if arguments.input else None
    seeds = [arguments.seed + i for i in range(runs)] if inputs is None else [0]
    clean = True
    result: RunResult | None = None
    if arguments.reference:
        comparer = Comparer(compiled, _load(arguments.reference)[1])
        if inputs is not None:
            inputs = given_inputs(comparer.original, inputs, complete=True)
        unwritten: list[str] | None = None
        for seed in seeds:
            comparison = comparer.run(inputs, seed, arguments.trace)
            clean &= _describe(comparison, f"seed {seed}" if inputs is None else str(arguments.input))
            result = comparison.result
            unwritten = [one for one in comparison.unwritten if unwritten is None or one in unwritten]
        for tensor in unwritten or ():
            print(f"note: no operation wrote {tensor}")
    else:
        session = Session(compiled)
        if inputs is not None:
            inputs = given_inputs(compiled, inputs, complete=True)

        def show(op: Op, reads: Sequence[Access], writes: Sequence[Access], ofm: NDArray | None) -> None:
            print(f"  {Step(op, reads, writes)}")

        for seed in seeds:
            result = session.run(inputs, seed, show if arguments.trace else None)
            label = f"seed {seed}" if inputs is None else str(arguments.input)
            print(f"{label}: {len(result.ops)} operations, {len(result.reports) or 'nothing'} reported")
            _print_reports(result.reports)
            clean &= not result.reports
    if arguments.output and result is not None:
        driver.write_file(str(arguments.output), _pack_outputs(result.outputs))
    return clean


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tool; returns the exit code."""
    from npuc.simulator.stream import StreamError

    def run() -> int:
        parsed = _parser().parse_args(arguments)
        try:
            return 0 if _run(parsed) else 1
        except StreamError as error:
            raise UserError(f"{parsed.compiled}: {error}") from None

    return driver.exit_code("npu-run", run)


if __name__ == "__main__":
    sys.exit(main())
