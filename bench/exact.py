"""
Every model on every accelerator in every memory mode, compiled and executed: exact or not.

    python bench/exact.py [--models DIR ...] [--match TEXT] [--accelerators NAME,...] [--strategies size,performance]
        [--limits N] [--seeds N] [--resume FILE]

Prints one line for each model and machine, and a table of how many runs were exact. Without --models the committed
test models are run, and the shared ones where `../shared/models` or $NPUC_SHARED exists. The reference is LiteRT with
its reference kernels; TFLM where LiteRT cannot load the file but `--tflm-python` says where `tflite-micro` is
installed. --limits N adds N limits of the arena, from what the strategy size needs to what performance needs. With
--resume, runs that stand in FILE as exact are not repeated.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npuc.simulator import Session, load
from npuc.simulator.runner import random_inputs
from npuc.simulator.tflite import read_model
from npuc.tools.driver import UserError
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

ROOT = Path(__file__).parents[1]
U55 = ("ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256")
U65 = ("ethos-u65-256", "ethos-u65-512")
MODES = ("Sram_Only", "Shared_Sram")

TFLM = """
import sys, numpy as np
from tflite_micro import runtime
model, inputs, outputs = sys.argv[1:]
run = runtime.Interpreter.from_file(model)
given = np.load(inputs)
for name in given: run.set_input(given[name], int(name[1:]))
run.invoke()
found = {}
while True:
    try: found[f"o{len(found)}"] = run.get_output(len(found))
    except Exception: break
np.savez(outputs, **found)
"""


def targets(accelerators: Sequence[str], strategies: Sequence[str]) -> Iterator[Target]:
    """Every machine with every memory mode that it has, for each strategy."""
    for name in accelerators:
        for mode in MODES if name in U55 else (*MODES, "Dedicated_Sram"):
            for strategy in strategies:
                yield Target(name, memory_mode=mode, strategy="size" if strategy == "size" else "performance")


def find_models(folders: Sequence[str]) -> list[Path]:
    """The .tflite files of some folders, or of the usual ones."""
    shared = Path(os.environ.get("NPUC_SHARED", ROOT.parent / "shared")) / "models"
    roots = [Path(f) for f in folders] or [ROOT / "test" / "models", *([shared] if shared.is_dir() else [])]
    return [path for root in roots for path in sorted(root.rglob("*.tflite")) if "vela" not in path.parts]


def litert_outputs(data: bytes, inputs: Sequence[NDArray]) -> list[NDArray] | None:
    """What LiteRT's reference kernels answer; None if it cannot load the model."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        made = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        made.allocate_tensors()
    except (ValueError, RuntimeError):
        return None
    for detail, value in zip(made.get_input_details(), inputs, strict=True):
        made.set_tensor(detail["index"], value.reshape(detail["shape"]))
    made.invoke()
    return [made.get_tensor(detail["index"]) for detail in made.get_output_details()]


def tflm_outputs(path: Path, inputs: Sequence[NDArray], python: str) -> list[NDArray]:
    """What TFLM answers."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/in.npz", **{f"i{i}": value for i, value in enumerate(inputs)})
        command = [python, "-c", TFLM, str(path), f"{folder}/in.npz", f"{folder}/out.npz"]
        subprocess.run(command, check=True, capture_output=True)
        with np.load(f"{folder}/out.npz") as found:
            return [found[f"o{i}"] for i in range(len(found))]


def limited(data: bytes, target: Target, count: int) -> Iterator[Target]:
    """The target with limits spread evenly between the smallest arena and the one that is best for cycles."""
    try:
        ends = [compile_tflite(data, replace(target, strategy=s)).summary.arena for s in ("size", "performance")]
    except UserError:
        return
    low, high = sorted(ends)
    for step in range(count):
        limit = (low + (high - low) * step // max(count, 1)) // 16 * 16
        yield replace(target, strategy="performance", limit=max(limit, low))


class Judge:
    """References of one model, kept over all machines."""

    def __init__(self, path: Path, seeds: int, tflm: str | None):
        self.path, self.seeds, self.tflm = path, seeds, tflm
        self.data = path.read_bytes()
        self.original = read_model(self.data)
        self.references: dict[int, list[NDArray] | None] = {}

    def run(self, target: Target) -> str:
        """`exact`, or what is wrong."""
        try:
            compiled = compile_tflite(self.data, target, name=self.path.name)
        except UserError as error:
            return f"not compiled: {error}"
        if target.limit is not None and compiled.summary.arena > target.limit:
            return f"the arena has {compiled.summary.arena} bytes, the limit is {target.limit}"
        session = Session(load(compiled.data))
        for seed in range(self.seeds):
            inputs = random_inputs(self.original, seed)
            values = [inputs[i] for i in sorted(inputs)]
            if seed not in self.references:
                found = litert_outputs(self.data, values)
                if found is None and self.tflm is not None:
                    found = tflm_outputs(self.path, values, self.tflm)
                self.references[seed] = found
            reference = self.references[seed]
            if reference is None:
                return "no reference"
            result = session.run(inputs)
            if result.reports:
                return f"reported: {result.reports[0]}"
            for index, expected in zip(session.model.outputs, reference, strict=True):
                value = result.outputs[session.model.tensors[index].name]
                wrong = int((value.reshape(-1) != expected.reshape(-1)).sum())
                if wrong:
                    return f"{wrong} of {expected.size} elements differ"
        cpu = sum(compiled.summary.cpu_operators.values())
        return f"exact ({compiled.summary.npu_operators} on the NPU, {cpu} on the CPU)"


def main() -> int:
    """0 if every run is exact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=[], metavar="DIR")
    parser.add_argument("--match", default="", help="only models with this in their name")
    parser.add_argument("--accelerators", default=",".join(U55 + U65))
    parser.add_argument("--strategies", default="performance,size")
    parser.add_argument("--limits", type=int, default=0, help="limits between the arenas of the two strategies")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--resume", metavar="FILE", help="where results are kept")
    parser.add_argument("--tflm-python", metavar="PYTHON", help="a Python that has tflite-micro")
    args = parser.parse_args()
    known: set[str] = set()
    if args.resume and Path(args.resume).exists():
        known = {line.rsplit("\t", 1)[0] for line in Path(args.resume).read_text().splitlines() if "\texact" in line}
    counts: Counter[str] = Counter()
    for path in find_models(args.models):
        if args.match not in path.name:
            continue
        judge = Judge(path, args.seeds, args.tflm_python)
        machines = list(targets(args.accelerators.split(","), args.strategies.split(",")))
        if args.limits:
            plain = [t for t in machines if t.strategy == "performance" and t.memory_mode != "Dedicated_Sram"]
            machines += [one for t in plain for one in limited(judge.data, t, args.limits)]
        for target in machines:
            limit = "" if target.limit is None else f"\t{target.limit}"
            key = f"{path.stem}\t{target.accelerator}\t{target.memory_mode}\t{target.strategy}{limit}"
            if key in known:
                counts["exact"] += 1
                continue
            start = time.perf_counter()
            try:
                verdict = judge.run(target)
            except Exception as error:  # one broken run must not end the table
                verdict = f"failed: {type(error).__name__}: {error}"
            counts["exact" if verdict.startswith("exact") else verdict.split(":")[0]] += 1
            print(f"{key}\t{verdict}\t{time.perf_counter() - start:.2f} s", flush=True)
            if args.resume:
                with open(args.resume, "a") as file:
                    file.write(f"{key}\t{verdict}\n")
    print(", ".join(f"{count} {what}" for what, count in counts.most_common()))
    return 0 if set(counts) <= {"exact"} else 1


if __name__ == "__main__":
    sys.exit(main())
