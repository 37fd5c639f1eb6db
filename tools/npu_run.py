"""`npu-run`: executes a compiled TFLite file on the simulated NPU and compares it with its source model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from npuc.tools.command_line import command_line, exit_code
from npuc.tools.errors import UserError
from npuc.tools.files import read_arrays, read_file, write_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from npuc.simulator.compare import Comparison
    from npuc.simulator.memory import Access, Report
    from npuc.simulator.runner import Inputs, RunResult
    from npuc.simulator.stream import Op
    from npuc.simulator.tflite import CompiledModel

_MAX_REPORTS = 10
_INVOCATIONS = 3


def _parser() -> argparse.ArgumentParser:
    parser = command_line(
        "npu-run",
        "Executes a compiled TFLite file on the simulated NPU (CPU operators on LiteRT). "
        "Exit 0 only if nothing was reported and, with a reference, every output equals it and "
        "every operation's result that can be found in it.",
    )
    parser.add_argument("compiled", type=Path, help="TFLite file with ethos-u operators")
    parser.add_argument("--reference", type=Path, help="the TFLite file it was compiled from")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--seed", type=int, default=0, help="first seed of the inputs, which chooses their kind, too (default 0)"
    )
    chosen.add_argument("--input", type=Path, help=".npz with all inputs, by tensor name or position ('0', '1' ...)")
    parser.add_argument(
        "--runs",
        type=int,
        help="number of seeds, each from fresh state (default: one for every kind of input, or 3 for a large model)",
    )
    parser.add_argument(
        "--invocations",
        type=int,
        help="invocations of each run, which go on with the state of the one before: variable tensors and resources "
        f"(default {_INVOCATIONS} where the model keeps state, otherwise 1)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help=".npz for the outputs of the last run, by tensor name, or NAME:POSITION where several have it",
    )
    parser.add_argument(
        "--trace", action="store_true", help="print what each operation read and wrote, and which source tensor it is"
    )
    return parser


def _read_inputs(path: Path) -> dict[str | int, NDArray]:
    """The arrays of an .npz file; raises UserError."""
    return {int(name) if name.isdigit() else name: values for name, values in read_arrays(path).items()}


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

    data = read_file(str(path))
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


def _labels(arguments: argparse.Namespace, seeds: Sequence[int], invocations: int) -> Iterator[tuple[int, int, str]]:
    """Every seed with every invocation, and what the run is called."""
    for seed in seeds:
        for invocation in range(invocations):
            label = str(arguments.input) if arguments.input else f"seed {seed}"
            yield seed, invocation, f"{label}, invocation {invocation}" if invocations > 1 else label


def _beside_reference(arguments: argparse.Namespace, compiled: CompiledModel) -> tuple[bool, RunResult | None]:
    """Whether all runs equal the reference and nothing was reported, and the last one's result."""
    from npuc.simulator.compare import Comparer
    from npuc.simulator.inputs import default_runs
    from npuc.simulator.runner import given_inputs

    comparer = Comparer(compiled, _load(arguments.reference)[1])
    inputs, seeds, invocations = _plan(arguments, default_runs(comparer.original), comparer.keeps_state)
    if inputs is not None:
        inputs = given_inputs(comparer.original, inputs, complete=True)
    for note in comparer.notes:
        print(f"note: {note}")
    clean = True
    result: RunResult | None = None
    unwritten: list[str] | None = None
    for seed, invocation, label in _labels(arguments, seeds, invocations):
        comparison = comparer.run(inputs, seed, arguments.trace, invocation)
        clean &= _describe(comparison, label)
        result = comparison.result
        unwritten = [one for one in comparison.unwritten if unwritten is None or one in unwritten]
    for tensor in unwritten or ():
        print(f"note: no operation wrote {tensor}")
    return clean, result


def _by_itself(arguments: argparse.Namespace, compiled: CompiledModel) -> tuple[bool, RunResult | None]:
    """Whether nothing was reported in any run, and the last one's result."""
    from npuc.simulator.compare import Step
    from npuc.simulator.inputs import default_runs
    from npuc.simulator.runner import Session, given_inputs

    def show(op: Op, reads: Sequence[Access], writes: Sequence[Access], ofm: NDArray | None) -> None:
        print(f"  {Step(op, reads, writes)}")

    session = Session(compiled)
    inputs, seeds, invocations = _plan(arguments, default_runs(compiled), session.keeps_state)
    if inputs is not None:
        inputs = given_inputs(compiled, inputs, complete=True)
    for note in session.notes:
        print(f"note: {note}")
    clean = True
    result: RunResult | None = None
    for seed, invocation, label in _labels(arguments, seeds, invocations):
        result = session.run(inputs, seed, show if arguments.trace else None, invocation)
        print(f"{label}: {len(result.ops)} operations, {len(result.reports) or 'nothing'} reported")
        _print_reports(result.reports)
        clean &= not result.reports
    return clean, result


def _plan(arguments: argparse.Namespace, runs: int, keeps_state: bool) -> tuple[Inputs | None, Sequence[int], int]:
    """The inputs if a file gives them, the seeds, and the invocations of each."""
    inputs = _read_inputs(arguments.input) if arguments.input else None
    invocations = arguments.invocations
    if invocations is None:
        invocations = _INVOCATIONS if keeps_state and inputs is None else 1
    seeds = [0] if inputs is not None else range(arguments.seed, arguments.seed + (arguments.runs or runs))
    return inputs, seeds, invocations


def _run(arguments: argparse.Namespace) -> bool:
    if arguments.seed < 0:
        raise UserError(f"--seed {arguments.seed}: seeds are not negative")
    for option in ("runs", "invocations"):
        count = getattr(arguments, option)
        if count is not None and count < 1:
            raise UserError(f"--{option} {count}: at least one is needed")
    if arguments.input and arguments.runs is not None:
        raise UserError(f"--runs {arguments.runs}: --input {arguments.input} gives the inputs of one run")
    compiled, _ = _load(arguments.compiled)
    if not compiled.npu_operators:
        raise UserError(f"{arguments.compiled}: no ethos-u operator, so there is nothing to execute")
    execute = _beside_reference if arguments.reference else _by_itself
    clean, result = execute(arguments, compiled)
    if arguments.output and result is not None:
        write_file(str(arguments.output), _pack_outputs(result.outputs))
    return clean


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tool; returns the exit code."""
    from npuc.simulator.isolation import SourceError
    from npuc.simulator.stream import StreamError

    def run() -> int:
        parsed = _parser().parse_args(arguments)
        try:
            return 0 if _run(parsed) else 1
        except SourceError as error:
            raise UserError(f"{parsed.reference}: {error}") from None
        except StreamError as error:
            raise UserError(f"{parsed.compiled}: {error}") from None

    return exit_code("npu-run", run)


if __name__ == "__main__":
    sys.exit(main())
