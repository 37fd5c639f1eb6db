"""
Which operators the NPU takes, by vela's two cores and by ours, and whether the result is exact.

    python bench/coverage.py --vela DIR [--draws N] [--match TEXT] [--accelerator NAME] [--write DIR]

For each operator that the compiler or vela's table for Ethos-U55 and U65 knows, N models are drawn as the property
tests draw them, the same each time. Each is compiled by three compilers; it is accepted where no operator is left on
the CPU, and exact where the simulator then equals LiteRT on all usual inputs. A row gives accepted and exact of those
models that LiteRT runs. Below the table stands, for each operator, why ours refused a model that a core accepted: all
lines of the form `operator: rule` with their counts, first those where the core was exact. What is known not to be
worth it, or not to be exact on all inputs, is marked so (`KEPT`, docs/rationale.md). DIR is vela's virtual environment.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from npuc.tools.sweep import pool

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "test" / "models"))

import golden  # noqa: E402
import numpy as np  # noqa: E402
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from one_operator import near, usual_inputs, zero_points  # noqa: E402
from tiny_writer import Model, Op, Subgraph, Tensor  # noqa: E402

from npuc.simulator import Session, load  # noqa: E402
from npuc.tools.errors import UserError  # noqa: E402
from npuc.tools.npu_compile import compile_tflite  # noqa: E402
from npuc.tools.pipeline import Target  # noqa: E402

VELA_TABLE = frozenset(
    """
    ABS ADD ARG_MAX AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION CONV_2D DEPTHWISE_CONV_2D ELU EXP EXPAND_DIMS
    FULLY_CONNECTED GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG PACK PAD
    PADV2 PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR REVERSE_V2 RSQRT SLICE SOFTMAX SPLIT SPLIT_V SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB
    SUM TANH TILE TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK
    """.split()
)
"""vela 5.2's table of TFLite operators for Ethos-U55 and U65 (`vela --supported-ops-report`)."""
KEPT = {
    "CONV_2D": "scaled sums must fit 32 bits",
    "FULLY_CONNECTED": "scaled sums must fit 32 bits",
    "HARD_SWISH": "the result's scale must be from 1/128 to 512 of the operand's",
    "LOG": "tables of 16 bits must rise or fall by less than 32768 from node to node",
    "PACK": "tensors must have at most 6 dimensions",
    "PRELU": "alpha must have the operand's shape above 4 dimensions|of 16 bits LiteRT reads alpha as bytes",
    "RELU": "the activation's limit",
    "RELU6": "the activation's limit",
    "RELU_N1_TO_1": "the activation's limit",
    "RELU_0_TO_1": "the activation's limit",
    "RSQRT": "RSQRT must scale inverse roots by",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "LSTM keeps its state in variable tensors",
}
"""
What a core takes exactly, as far as inputs were tried, and stays on the CPU for a reason that docs/rationale.md gives:
the rules of an operator, of which the refusal must hold one.
"""
CORES = {"legacy": ["--debug-force-legacy-core"], "regor": []}
DRIVER = """
import io, sys, contextlib
from ethosu.vela import vela
for name in sys.argv[2:]:
    print(name, flush=True)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            vela.main([name, *sys.argv[1].split()])
        except (Exception, SystemExit):
            pass
"""
"""Compiles many files in one process; it says which one it is at, so that an abort is known for one of them."""


@dataclass
class Row:
    """What became of one operator's models."""

    drawn: int
    accepted: dict[str, int]
    exact: dict[str, int]
    refusals: Counter[str]
    """What ours refused although a core accepted, and was exact."""
    inexact: Counter[str]
    """What ours refused although a core accepted it, inexactly."""
    kept: Counter[str]
    """What ours refused, as `KEPT` says, although a core accepted it, and was exact as far as inputs were tried."""


def tests(name: str) -> ModuleType:
    """A file of property tests as a module."""
    path = ROOT / "test" / "unit" / f"{name}.py"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def drawers() -> dict[str, Callable[[Any], Model]]:
    """For each operator what draws a model of it."""
    plain, weighted = tests("test_weightless_operators"), tests("test_weighted_operators")
    found: dict[str, Callable[[Any], Model]] = {}
    for operator, drawer in plain.DRAWERS.items():
        found[operator] = lambda draw, drawer=drawer, operator=operator: drawer(draw, operator)
    for operator in sorted({operator for operator, _ in weighted.WAYS}):
        types = sorted({dtype for one, dtype in weighted.WAYS if one == operator})
        found[operator] = lambda draw, operator=operator, types=types: weighted.draw_model(
            draw, operator, draw(st.sampled_from(types))
        )
    found["UNIDIRECTIONAL_SEQUENCE_LSTM"] = lstm
    return found


def lstm(draw: Any) -> Model:
    """An LSTM of 8 bits as the converter writes it."""
    steps, width, units = (draw(st.integers(1, most)) for most in (5, 9, 7))
    seed, limits = np.random.default_rng(draw(st.integers(0, 1 << 32))), (-127, 127)

    def weights(name: str, *shape: int) -> Tensor:
        scale = float(np.float32(seed.uniform(0.002, 0.02)))
        return Tensor(name, shape, "int8", scale, data=seed.integers(*limits, shape, np.int8, endpoint=True))

    x = Tensor("x", (1, steps, width), "int8", draw(near(1 / 128, -1, 1)), draw(zero_points("int8")))
    scale = draw(near(1 / 128, -1, 0))
    hidden, state = (
        Tensor("hidden", (1, units), "int8", scale, variable=True),
        Tensor("state", (1, units), "int16", 2.0**-12, variable=True),
    )
    of_input = [weights(f"w{gate}", units, width) for gate in range(4)]
    of_hidden = [weights(f"r{gate}", units, units) for gate in range(4)]
    biases = [
        Tensor(
            f"b{gate}",
            (units,),
            "int32",
            float(np.float32(one.scales()[0] * x.scales()[0])),
            data=seed.integers(-4000, 4000, units, np.int32),
        )
        for gate, one in enumerate(of_input)
    ]
    y = Tensor("y", (1, steps, units), "int8", scale)
    inputs = [x, *of_input, *of_hidden, None, None, None, *biases, None, None, hidden, state, None, None, None, None]
    intermediates = [
        *(Tensor(f"i{gate}", (0,), "float32") for gate in range(4)),
        Tensor("effective", (0,), "int8", scale),
    ]
    op = Op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y], activation="TANH", cell_clip=10.0, intermediates=intermediates)
    return Model(Subgraph([x], [y], [op]))


def models(drawer: Callable[[Any], Model], count: int) -> list[Model]:
    """The first models that a drawer draws, the same each time."""
    drawn: list[Model] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        drawn.append(drawer(data.draw))

    draw()
    return drawn[:count]


def compile_by_vela(vela: Path, core: str, folder: Path, accelerator: str) -> None:
    """Compiles all `*.tflite` of a folder into the folder `core` in it; what vela refuses or dies of is not there."""
    names = sorted(str(path) for path in folder.glob("*.tflite"))
    options = " ".join([f"--accelerator-config={accelerator}", f"--output-dir={folder / core}", *CORES[core]])
    while names:
        run = subprocess.run(
            [vela / "bin" / "python", "-c", DRIVER, options, *names], capture_output=True, text=True, timeout=3600
        )
        begun = [line for line in run.stdout.splitlines() if line in names]
        if run.returncode == 0 or not begun:
            return
        # It went down with the last one that it began.
        names = names[names.index(begun[-1]) + 1 :]


def reference(item: tuple[bytes, Sequence[Sequence[np.ndarray]]]) -> list[list[np.ndarray]] | None:
    """What LiteRT makes of the inputs of each case; None if it refuses the model."""
    data, cases = item
    try:
        return [golden.run(data, case) for case in cases]
    except (RuntimeError, ValueError):
        return None


def is_exact(data: bytes, cases: Sequence[Sequence[np.ndarray]], expected: Sequence[Sequence[np.ndarray]]) -> bool:
    """Whether a compiled file gives these outputs in the simulator, which reports nothing."""
    session = Session(load(data))
    for case, outputs in zip(cases, expected, strict=True):
        result = session.run(dict(enumerate(case)))
        values = list(result.outputs.values())
        if result.reports or len(values) != len(outputs):
            return False
        for value, wanted in zip(values, outputs, strict=True):
            if not np.array_equal(value.reshape(wanted.shape), wanted):
                return False
    return True


def takes_all(data: bytes) -> bool:
    """Whether a compiled file has no operator that the host must run."""
    model = load(data)
    return all(operator.is_npu for operator in model.operators)


def row_of(job: tuple[str, Path, Path, str, int]) -> Row:
    """The row of one operator; its models are written to a folder."""
    operator, vela, folder, accelerator, count = job
    accepted, exact = (dict.fromkeys((*CORES, "ours"), 0) for _ in range(2))
    row = Row(0, accepted, exact, Counter(), Counter(), Counter())
    drawn = models(drawers()[operator], count)
    folder.mkdir(parents=True, exist_ok=True)
    for number, model in enumerate(drawn):
        (folder / f"{number:03}.tflite").write_bytes(model.to_bytes())
    for core in CORES:
        compile_by_vela(vela, core, folder, accelerator)
    for number, model in enumerate(drawn):
        data = model.to_bytes()
        cases = usual_inputs(model.subgraphs.inputs)
        try:
            compiled = compile_tflite(data, Target(accelerator))
        except UserError as error:
            row.refusals[str(error)] += 1
            continue
        ours = not compiled.summary.cpu_operators
        # LiteRT takes its process down with some models that ours refuses.
        answer = reference((data, cases)) if ours else next(pool.each(reference, [(data, cases)], 1))[1]
        if answer is None or isinstance(answer, pool.Died):
            continue
        row.drawn += 1
        taken: dict[str, bool] = {}
        for core in CORES:
            path = folder / core / f"{number:03}_vela.tflite"
            if not path.exists() or not takes_all(path.read_bytes()):
                continue
            row.accepted[core] += 1
            try:
                taken[core] = is_exact(path.read_bytes(), cases, answer)
            except Exception as error:  # of a core's stream only: it counts as inexact, and is named below the table
                taken[core] = False
                row.inexact[f"{core}: {type(error).__name__}: {error}"] += 1
            row.exact[core] += taken[core]
        if ours:
            row.accepted["ours"] += 1
            row.exact["ours"] += is_exact(compiled.data, cases, answer)
        elif taken:
            for reason in set(compiled.summary.cpu_reasons):
                counter = row.inexact
                if any(taken.values()):
                    rules = KEPT.get(operator, "").split("|")
                    counter = row.kept if any(rule and rule in reason for rule in rules) else row.refusals
                counter[str(reason).split(": tensor '")[0]] += 1
    return row


def report(rows: Iterator[tuple[tuple[str, Any], Row | pool.Died]]) -> int:
    """Prints the table; how many models a core takes exactly and ours not, or ours inexactly."""
    lost = 0
    notes: list[str] = []
    print("operator\tvela\tdrawn\t" + "\t".join(f"{name}\texact" for name in (*CORES, "ours")))
    for (operator, *_), row in rows:
        table = "yes" if operator in VELA_TABLE else ""
        if isinstance(row, pool.Died):
            print(f"{operator}\t{table}\t{row}", flush=True)
            lost += 1
            continue
        counts = "\t".join(f"{row.accepted[name]}\t{row.exact[name]}" for name in (*CORES, "ours"))
        print(f"{operator}\t{table}\t{row.drawn}\t{counts}", flush=True)
        lost += sum(row.refusals.values()) + row.accepted["ours"] - row.exact["ours"]
        titles = {"exact by a core": row.refusals, "kept on the CPU": row.kept, "inexact by a core": row.inexact}
        for title, counter in titles.items():
            notes += [f"{operator}: {title}: {rule}: {count}" for rule, count in counter.most_common()]
    print("\n".join(["", *notes]))
    return lost


def main() -> int:
    """0 if ours takes, exactly, whatever a core takes exactly but for what is `KEPT`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vela", type=Path, required=True, help="virtual environment of vela")
    parser.add_argument("--draws", type=int, default=20, help="models an operator")
    parser.add_argument("--match", default="", help="operators whose name has this in it")
    parser.add_argument("--accelerator", default="ethos-u55-128")
    parser.add_argument("--jobs", type=int, default=2, help="operators at a time")
    parser.add_argument("--write", type=Path, help="folder for the models")
    args = parser.parse_args()
    names = sorted(name for name in drawers() if args.match in name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.write or Path(temporary)
        jobs = [(name, args.vela, folder / name, args.accelerator, args.draws) for name in names]
        lost = report(pool.each(row_of, jobs, args.jobs))
    missing = sorted(VELA_TABLE - set(names)) if not args.match else []
    print(f"\nof vela's table nothing draws: {', '.join(missing) or 'none'}")
    print(f"{lost} models that a core takes exactly and ours not, or ours inexactly")
    return 1 if lost or missing else 0


if __name__ == "__main__":
    sys.exit(main())
