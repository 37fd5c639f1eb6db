"""Faults seeded into a stream of the compiler's own: each is caught, or harmless in every order that is tried."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

pytest.importorskip("ai_edge_litert")
BENCH = Path(__file__).parents[2] / "bench" / "witness_faults.py"
COUNT = 40


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("witness_faults", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u65-512"])
def test_no_fault_is_missed(bench, models, tmp_path: Path, accelerator: str):
    path = tmp_path / "compiled.tflite"
    compiled = compile_tflite(models["digits_cnn"].path.read_bytes(), Target(accelerator))
    path.write_bytes(compiled.data)
    seeder = bench.Seeder(path)
    assert [good.reports for good, _ in seeder.good] == [[]] * len(seeder.good)
    source = bench.faults(list(seeder.program.ops), random.Random(0))
    verdicts: Counter[str] = Counter()
    for _ in range(COUNT):
        fault = next(source)
        verdict, why = seeder.judge(fault)
        assert verdict != "MISSED", f"{fault.what}: {why}"
        verdicts[verdict.split()[0]] += 1
    assert verdicts["caught"] > COUNT // 2
