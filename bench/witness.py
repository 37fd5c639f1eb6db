"""
Is the simulator right? It executes streams that this project did not make, and says how exactly.

    python bench/witness.py --shared ../shared --vela ~/vela/bin/vela --cache build/witness

Every model of the shared folder is compiled by vela for each accelerator, core and strategy. Our own test models, and
the operators that these lack (`witness_models.py`), are for two accelerators, one with one core and one with two.
Compiled files stay in the cache. Each is executed and compared with LiteRT's reference kernels bit for bit. Then faults
are seeded into some of the streams, and the time for two networks is taken beside LiteRT's own. Without vela only what
the cache and `models/vela` of the shared folder hold is executed. Exit 0 only if something was, every difference is
explained, as many faults as asked were seeded and none was missed. Each model has a process of its own.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

import witness_files
import witness_models
from witness_faults import MISSED, seed_faults

from npuc.simulator import CompiledModel, Op, Session, StreamError, load
from npuc.simulator.compare import Comparer, Comparison
from npuc.simulator.convolution import forget_weights
from npuc.simulator.coverage import coverage, unexercised
from npuc.simulator.hazards import overlap
from npuc.simulator.inputs import random_inputs
from npuc.simulator.litert import HostError, Reference
from npuc.simulator.memory import Access, Report
from npuc.simulator.tflite import read_model
from npuc.tools.sweep import pool

ACCELERATORS = ("ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512")
OWN_ACCELERATORS = ("ethos-u55-128", "ethos-u65-512")
CORES = ("regor", "legacy")
STRATEGIES = ("Performance", "Size")
FAULTY = (
    ("ethos-u55-128", "legacy", "Size", "mlperf_kws_int8"),
    ("ethos-u55-32", "legacy", "Size", "mlperf_resnet8_int8"),
    ("ethos-u65-512", "regor", "Performance", "mlperf_strww_int8"),
    ("ethos-u65-512", "legacy", "Size", "mlperf_resnet8_int8"),
    ("ethos-u55-256", "regor", "Size", "tflm_micro_speech_quantized"),
)


@dataclass(frozen=True)
class Known:
    """
    A difference or report that is explained, and what it must look like to be that one.

    `first` is the operator of the source model that the comparison must name first, "" if it can name none; `distance`
    how far off the wrong intermediates may be; `outputs` whether outputs differ; `reports` the kinds of which there
    must be some; `error` is in the line with which the run ends instead, "" if it does not. `shown` is an experiment
    with the compiled file and its source model that must succeed.
    """

    why: str
    first: str
    distance: float = math.inf
    outputs: bool = True
    reports: frozenset[str] = frozenset()
    error: str = ""
    shown: Callable[[CompiledModel, bytes], bool] | None = None

    def fits(self, found: Comparison) -> bool:
        first = found.first_wrong.maker if found.first_wrong else ""
        kinds = {report.kind for report in found.reports}
        return (
            (f"({self.first})" in first if self.first else not first)
            and all(wrong.distance <= self.distance for wrong in found.wrong)
            and bool(found.differences) == self.outputs
            and kinds <= self.reports
            and bool(kinds) == bool(self.reports)
            and not self.error
        )

    def explains(self, case: Case, cache: Path, came: Comparison | StreamError) -> bool:
        """Whether what came of a case is this one, experiment and all."""
        if isinstance(came, StreamError):
            if not self.error or self.error not in str(came):
                return False
        elif not self.fits(came):
            return False
        return self.shown is None or self.shown(load(case.compiled(cache)), case.model.read_bytes())


BADLY_PLACED = frozenset({"uninitialised", "hazard"})
"""What is reported of a kernel that reads bytes that nothing wrote, and writes over some that it has yet to read."""
# Found by looking at the operation that the comparison names first.
KNOWN: dict[tuple[str, str], Known | tuple[Known, ...]] = {
    **dict.fromkeys(
        [
            (name, core)
            for name in ("op_fully_connected_int16", "fully_connected_steps", "fully_connected_ties_int16")
            for core in CORES
        ],
        Known(
            "LiteRT's 16-bit FULLY_CONNECTED multiplies by 32 bits, vela by 16 as TFLM does: equal to TFLM",
            "FULLY_CONNECTED",
            1,
        ),
    ),
    **dict.fromkeys(
        [(name, core) for name in ("coral_keras_lstm_mnist_ptq", "tflm_mnist_lstm_int8") for core in CORES],
        Known(
            "LiteRT's LSTM is off by one from TFLM's in some elements, vela's equals TFLM's; no output shows it",
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            1,
            outputs=False,
        ),
    ),
    **dict.fromkeys(
        [(name, core) for name in ("fully_connected_ties_int8", "fully_connected_ties_uint8") for core in CORES],
        Known("LiteRT's FULLY_CONNECTED rounds once and halves away from zero, vela twice", "FULLY_CONNECTED", 1),
    ),
    **dict.fromkeys(
        [(f"op_add_{scales}_of_two_int16", core) for scales in ("powers", "nearly_powers") for core in CORES],
        Known("LiteRT shifts 16-bit operands of ADD whose scales are powers of two, vela multiplies them", "ADD", 8),
    ),
    **dict.fromkeys(
        [("scaled_sums_wrap", core) for core in CORES],
        Known("scaled sums beyond 32 bits wrap in LiteRT and saturate on the NPU", "CONV_2D"),
    ),
    ("int16_bias_32", "legacy"): Known(
        "vela's legacy core scales 16-bit sums with biases of 32 bits as those with 64", "CONV_2D", 1, outputs=False
    ),
    ("op_strided_slice_shrink_open", "regor"): Known(
        "vela's regor core takes the begin of a dropped axis that begin_mask leaves open", "STRIDED_SLICE"
    ),
    ("many_tables", "legacy"): Known(
        "vela's legacy core loses HARD_SWISH before a LEAKY_RELU of alpha 0", "LEAKY_RELU"
    ),
    ("int16x8_net", "legacy"): Known(
        "vela's legacy core reads an NHCWB16 map as if it had been flattened", "LEAKY_RELU", reports=BADLY_PLACED
    ),
    ("op_transpose_conv_stride1_valid", "legacy"): Known(
        "vela's legacy core does not pad a VALID TRANSPOSE_CONV of stride 1", "TRANSPOSE_CONV", reports=BADLY_PLACED
    ),
    ("shared_weights", "regor"): Known(
        "vela's regor core gives convolutions with equal weights and different biases one bias", "CONV_2D"
    ),
    **dict.fromkeys(
        [("uint8_concat_rescale", core) for core in CORES],
        Known("TFLite rescales a uint8 CONCATENATION in floating point, vela by an integer scale", ""),
    ),
    ("sparse_operand", "regor"): Known(
        "vela's regor core takes sparse weights for dense, and loses the bias behind DENSIFY: exact when LiteRT does",
        "FULLY_CONNECTED",
        shown=witness_files.sparse_read_as_dense,
    ),
    ("behind_the_flatbuffer", "legacy"): Known(
        "vela's legacy core loses data behind the flatbuffer: exact when it is put back",
        "",
        error="CPU operator 0 reads tensor 'weights_0', which nothing has written",
        shown=witness_files.data_lost,
    ),
    ("exp_int16", "legacy"): Known(
        "vela's legacy core makes one entry of the 16-bit table of EXP one too low", "EXP", 1
    ),
    ("neg_int8", "regor"): Known("LiteRT's NEG of -128 wraps, vela's saturates", "NEG", 255),
    **dict.fromkeys(
        [(f"mirror_pad_{dtype}", "legacy") for dtype in ("int8", "uint8", "int16")],
        Known(
            "vela's legacy core extends negative strides by their sign into reserved bits: exact without these",
            "",
            error="NPU_SET_OFM_STRIDE_Y has reserved bits set",
            shown=witness_files.strides_extended,
        ),
    ),
    **dict.fromkeys(
        [("sum_int8", "regor"), ("sum_int16", "regor")],
        Known("vela's regor core sums wrongly over two axes", ""),
    ),
    ("sum_uint8", "regor"): (
        Known("vela's regor core sums wrongly over two axes", ""),
        Known("vela's regor core sums wrongly over weights that it overwrites", "", reports=frozenset({"hazard"})),
        Known("vela's regor core gives the second core no weights for a sum", "", error="reads NPU_SET_WEIGHT1_BASE"),
    ),
    ("transpose_uint8", "regor"): Known(
        "vela's regor core reads uint8 as int8 where it transposes",
        "",
        error="NPU_SET_IFM_ZERO_POINT 128, which is no int8",
    ),
    ("integer_operators", "regor"): Known("int32 ADD saturates on the NPU and wraps in TFLite", ""),
}
TIMED = ("coral_mobilenet_v2_1.0_224_quant", "tflm_person_detect")


@dataclass(frozen=True)
class Case:
    accelerator: str
    core: str
    strategy: str
    model: Path

    def compiled(self, cache: Path) -> Path:
        return cache / f"{self.accelerator}_{self.core}_{self.strategy}" / f"{self.model.stem}.tflite"

    def __str__(self) -> str:
        return f"{self.model.stem} {self.accelerator} {self.core} {self.strategy}"


def compile_with_vela(case: Case, vela: Path, cache: Path) -> bool:
    target = case.compiled(cache)
    work = target.parent / "tmp"
    work.mkdir(parents=True, exist_ok=True)
    u65 = "u65" in case.accelerator
    command = [str(vela), str(case.model), "--output-dir", str(work), "--config", "Arm/vela.ini"]
    command += ["--accelerator-config", case.accelerator, "--optimise", case.strategy]
    command += ["--system-config", "Ethos_U65_High_End" if u65 else "Ethos_U55_High_End_Embedded"]
    command += ["--memory-mode", "Dedicated_Sram" if u65 else "Shared_Sram"]
    if case.core == "legacy":
        command.append("--debug-force-legacy-core")
    subprocess.run(command, capture_output=True, check=False)
    made = work / f"{case.model.stem}_vela.tflite"
    if made.exists():
        made.rename(target)
    return target.exists()


def rounding_once(op: Op) -> Op:
    """The operation with NATURAL rounding, if it is a fully connected layer."""
    is_layer = op.name == "CONV" and not op.state["OFM_HEIGHT_M1"] and not op.state["OFM_WIDTH_M1"]
    return witness_files.rounding_once(op) if is_layer else op


def explain_difference(comparer: Comparer) -> str:
    """Why a file differs from LiteRT, shown by experiment; "" if this is not why."""
    programs = comparer.session.programs
    kept = dict(programs)
    for index, program in kept.items():
        programs[index] = replace(program, ops=tuple(rounding_once(op) for op in program.ops))
    exact = comparer.run(seed=0).exact
    programs.update(kept)
    return "LiteRT's FULLY_CONNECTED rounds once, vela twice as TFLM does: exact when rounded once" if exact else ""


def blockdep_before(first: Op, second: Op) -> tuple[int, str]:
    """The BLOCKDEP that the second of two kernels should have had, and the fault of vela's that set another."""
    follows = first.state.get("OFM_BASE0") == second.state.get("IFM_BASE0")
    if not follows or not first.is_kernel or not second.is_kernel:
        return -1, ""
    as_columns = first.state["OFM_DEPTH_M1"] == second.state.get("KERNEL_WIDTH_M1") and not first.state["OFM_WIDTH_M1"]
    if second.mode == "MAX" and second.name == "POOL" and as_columns and second.state["BLOCKDEP"] == 3:
        return 0, "vela's legacy core sets BLOCKDEP 3 between a layer and the softmax that sees its channels as columns"
    if second.name == "DEPTHWISE" and len({second.state[f"IFM_BASE{tile}"] for tile in range(4)}) == 1:
        return second.state["BLOCKDEP"] - 1, (
            "vela's legacy core sets BLOCKDEP one too high before a half-pixel resize, whose tiles repeat its edge"
        )
    return -1, ""


def single_values(session: Session) -> dict[int, int]:
    """The operations that give every element one value, and that value."""
    found: dict[int, int] = {}

    def look(op: Op, reads: Sequence[Access], writes: Sequence[Access], ofm: NDArray | None) -> None:
        if ofm is not None and (ofm == ofm.flat[0]).all():
            found[id(op)] = int(ofm.flat[0])

    session.run(seed=0, trace=look)
    return found


def explain_reports(case: Case, comparer: Comparer, reports: Sequence[Report]) -> str:
    """
    Why a stream of vela's is reported; "" if any report is unexplained.

    Each must be a hazard between two kernels of a known kind, and all be gone with the BLOCKDEP that vela should have
    set.
    """
    programs = comparer.session.programs
    fills = single_values(comparer.session)
    kept = dict(programs)
    reasons: set[str] = set()
    for report in reports:
        if report.kind != "hazard":
            return ""
        program = programs[report.operator]
        ops = {op.word: op for op in kept[report.operator].ops}
        first, second = ops.get(report.words[0]), ops.get(report.words[-1])
        if first is None or second is None:
            return ""
        if case.core == "regor" and id(first) in fills and fills[id(first)] == fills.get(id(second)):
            blockdep, reason = 0, "vela's regor core fills the corners of a padding twice, with the same value"
        elif case.core == "legacy":
            blockdep, reason = blockdep_before(first, second)
        else:
            return ""
        if blockdep < 0:
            return ""
        reasons.add(reason)
        mended = replace(second, state=MappingProxyType({**second.state, "BLOCKDEP": blockdep}))
        programs[report.operator] = replace(program, ops=tuple(mended if op is second else op for op in program.ops))
    mended_reports = comparer.run(seed=0).reports
    programs.update(kept)
    return "" if mended_reports else "; ".join(sorted(reasons))


def takeovers(session: Session) -> Counter[str]:
    """
    Pairs of kernels that meet in memory, by what the second may do to the first without waiting.

    They are the evidence for the order that the hazard check takes as given: a kernel writes after its predecessor has
    read. Were it not so, streams in which a kernel with BLOCKDEP above 0 overwrites its predecessor's IFM would fail.
    """
    found: Counter[str] = Counter()
    previous: list[tuple[list[Access], list[Access]]] = []

    def look(op: Op, reads: Sequence[Access], writes: Sequence[Access], ofm: object) -> None:
        if not op.is_kernel:
            return
        if previous and op.state["BLOCKDEP"]:
            before, after = previous[-1]
            maps = [access for access in before if access.what in ("IFM", "IFM2")]
            found["overwrites its predecessor's input"] += any(overlap(access, writes[0]) for access in maps)
            found["overwrites its predecessor's output"] += overlap(after[0], writes[0])
        previous.append((list(reads), list(writes)))

    session.run(seed=0, trace=look)
    return found


@dataclass
class Tally:
    """What came of some cases: how many of each verdict, why, and what there is to say of them."""

    verdicts: Counter[str] = field(default_factory=Counter)
    explanations: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    order: Counter[str] = field(default_factory=Counter)
    executed: int = 0
    unexplained: int = 0
    lines: list[str] = field(default_factory=list)

    def __iadd__(self, other: Tally) -> Tally:
        self.verdicts += other.verdicts
        self.explanations += other.explanations
        self.features += other.features
        self.order += other.order
        self.executed += other.executed
        self.unexplained += other.unexplained
        self.lines += other.lines
        return self


def execute(case: Case, vela: Path | None, cache: Path) -> Tally:
    """Runs one case beside the reference."""
    found = Tally()
    compiled = case.compiled(cache)
    if not compiled.exists() and not (vela and compile_with_vela(case, vela, cache)):
        found.verdicts["not compiled"] += 1
        return found
    known = KNOWN.get((case.model.stem, case.core), ())
    ways = known if isinstance(known, tuple) else (known,)
    try:
        comparer = Comparer(load(compiled), case.model.read_bytes())
        comparison = comparer.run(seed=0)
    except HostError as error:
        found.verdicts["no reference"] += 1
        found.explanations[str(error)] += 1
        return found
    except StreamError as error:
        found.verdicts["refused"] += 1
        why = next((one.why for one in ways if one.explains(case, cache, error)), "")
        if why:
            found.explanations[why] += 1
        else:
            found.unexplained += 1
            found.lines.append(f"{case}: {error}")
        return found
    found.executed += 1
    found.features.update(coverage(comparison.result.ops))
    if case.model.stem.startswith("mlperf"):
        found.order += takeovers(comparer.session)
    verdict = "exact" if comparison.exact else "differs" if comparison.differences else "outputs exact"
    if comparison.reports:
        verdict += ", reported"
    reasons: list[str] = []
    why = next((one.why for one in ways if one.explains(case, cache, comparison)), "")
    if why:
        reasons.append(why)
    else:
        reasons += [] if comparison.exact else [explain_difference(comparer)]
        reasons += [explain_reports(case, comparer, comparison.reports)] if comparison.reports else []
    found.verdicts[verdict] += 1
    found.explanations.update(reason for reason in reasons if reason)
    if "" in reasons:
        found.unexplained += 1
        found.lines.append(f"{case}: {verdict}, unexplained")
        found.lines += [f"  {line}" for line in (*comparison.differences, comparison.first_wrong)][:5]
        found.lines += [f"  {report}" for report in comparison.reports[:3]]
    return found


def execute_all(cases: tuple[Case, ...], vela: Path | None, cache: Path) -> Tally:
    """Runs the cases of one model."""
    total = Tally()
    for case in cases:
        total += execute(case, vela, cache)
    return total


def print_table(name: str, found: Tally) -> None:
    print(f"\n{sum(found.verdicts.values())} streams of {name} (models x accelerators x cores x strategies):")
    for verdict, count in found.verdicts.most_common():
        print(f"  {count:5} {verdict}")
    if found.explanations:
        print("explained:")
    for reason, count in found.explanations.most_common():
        print(f"  {count:5} {reason}")


def seed_all(arguments: argparse.Namespace) -> Counter[str]:
    """Seeds faults into the five streams and prints what came of them."""
    faults: Counter[str] = Counter()
    print("\nfaults that no run shows, and why they are harmless:")
    for accelerator, core, strategy, name in FAULTY:
        original = arguments.shared / "models" / f"{name}.tflite"
        case = Case(accelerator, core, strategy, original)
        compiled = case.compiled(arguments.cache)
        if original.exists() and (
            compiled.exists() or (arguments.vela and compile_with_vela(case, arguments.vela, arguments.cache))
        ):
            print(f"{case}:")
            faults += seed_faults(compiled, original, arguments.faults, 0)
    print(f"{sum(faults.values())} faults seeded:")
    for verdict, count in faults.most_common():
        print(f"  {count:5} {verdict}")
    return faults


def clock(action, repeats: int = 3) -> float:
    """Seconds of processor time, the least of a few runs: the machine may be shared."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        action()
        best = min(best, time.process_time() - start)
    return best


def times(models: list[Path], arguments: argparse.Namespace) -> None:
    print("\nseconds of one core, hazard check on: load, decode and run / run again / LiteRT's reference kernels")
    for model in models:
        compiled = Case("ethos-u55-128", "legacy", "Performance", model).compiled(arguments.cache)
        if model.stem not in TIMED or not compiled.exists():
            continue

        def cold(path: Path = compiled) -> None:
            forget_weights()
            Session(load(path)).run(seed=0)

        session = Session(load(compiled))
        session.run(seed=0)
        reference = Reference(model.read_bytes())
        inputs = random_inputs(read_model(model.read_bytes()), 1)
        again = clock(lambda s=session: s.run(seed=0))
        host = clock(lambda r=reference, i=inputs: r.run(i))
        print(f"  {model.stem}: {clock(cold):.3f} / {again:.3f} / {host:.3f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--vela", type=Path, help="vela's executable")
    parser.add_argument("--cache", type=Path, default=Path("build/witness"))
    parser.add_argument("--models", nargs="*", help="only models whose name contains one of these")
    parser.add_argument("--accelerators", nargs="*", default=list(ACCELERATORS))
    parser.add_argument("--faults", type=int, default=120, help="faults seeded into each of five streams")
    parser.add_argument("--coverage", type=Path, help="file for the list of register features exercised")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="models at a time")
    arguments = parser.parse_args()
    folder = arguments.shared / "models"
    own = Path(__file__).parents[1] / "test" / "models"
    with_two = [name for name in arguments.accelerators if name in OWN_ACCELERATORS]
    sets = {
        "the shared networks": (sorted(folder.glob("*.tflite")), arguments.accelerators),
        "the SEANet operators": (sorted((folder / "seanet").glob("*.tflite")), arguments.accelerators),
        "our own test models": (sorted(own.glob("*.tflite")), with_two),
        "single operators": (witness_models.write(arguments.cache / "operators"), with_two),
    }
    total = Tally()
    run = partial(execute_all, vela=arguments.vela, cache=arguments.cache)
    for name, (models, accelerators) in sets.items():
        kept = [m for m in models if not arguments.models or any(part in m.stem for part in arguments.models)]
        items = [tuple(Case(a, c, s, model) for a in accelerators for c in CORES for s in STRATEGIES) for model in kept]
        part = Tally()
        for number, (cases, found) in enumerate(pool.each(run, items, arguments.jobs)):
            if isinstance(found, pool.Died):
                part.unexplained += 1
                found = Tally(lines=[f"{cases[0].model.stem}: {found}"])
            for line in found.lines:
                print(line, flush=True)
            if sys.stderr.isatty():
                print(f"\r\033[K[{number + 1}/{len(items)}] {kept[number].stem}", end="", file=sys.stderr, flush=True)
            part += found
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        print_table(name, part)
        total += part
    unexplained, features = total.unexplained, total.features
    print("kernels of the mlperf networks that, with BLOCKDEP above 0, do what no wait orders:")
    print(f"  {dict(total.order)}")
    for old in sorted((folder / "vela").glob("*_vela.tflite")):
        original = folder / f"{old.stem.removesuffix('_vela')}.tflite"
        comparison = Comparer(load(old), original.read_bytes()).run(seed=0)
        verdict = "exact" if comparison.exact else "differs"
        print(f"{old.name}, by an old vela: {verdict}, {len(comparison.reports)} reports")
        unexplained += not comparison.exact or bool(comparison.reports)
        features.update(coverage(comparison.result.ops))
    print(f"{len(features)} register features exercised; in no stream: {', '.join(unexercised(features))}")
    if arguments.coverage:
        arguments.coverage.write_text("".join(f"{count:8} {name}\n" for name, count in sorted(features.items())))
    faults = seed_all(arguments) if arguments.faults else Counter[str]()
    times(sorted(folder.glob("*.tflite")), arguments)
    wanted = arguments.faults * len(FAULTY)
    if not total.executed:
        print("FAILED: nothing was executed: no file in the cache, and no vela to make one")
    if sum(faults.values()) < wanted:
        print(f"FAILED: only {sum(faults.values())} of {wanted} faults were seeded")
    failed = not total.executed or sum(faults.values()) < wanted
    return 1 if failed or unexplained or faults[MISSED] else 0


if __name__ == "__main__":
    sys.exit(main())
