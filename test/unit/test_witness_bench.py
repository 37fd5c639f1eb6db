"""What the witness bench takes for a success, and what for an explanation."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import witness

from npuc.simulator import Op, Report, RunResult
from npuc.simulator.compare import Comparison, Difference, Intermediate


def test_nothing_executed_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "models").mkdir()
    arguments = ["--shared", str(tmp_path), "--cache", str(tmp_path), "--models", "nosuch", "--faults", "2"]
    monkeypatch.setattr(sys, "argv", ["witness.py", *arguments])
    assert witness.main() == 1
    printed = capsys.readouterr().out
    assert "FAILED: nothing was executed" in printed
    assert f"FAILED: only 0 of {2 * len(witness.FAULTY)} faults were seeded" in printed


def comparison(maker: str = "", distance: float = 1, outputs: bool = True, report: str = "") -> Comparison:
    op = Op("CONV", "", 0, 0, 0, MappingProxyType({}))
    wrong = Intermediate(op, "should be", "t", f"operator 3 ({maker})", 0.5, distance, "") if maker else None
    reports = [Report(report, "text", (0,))] if report else []
    differences = [Difference("out", (0,), 1, 2, 1, 9)] if outputs else []
    found = Comparison(1, RunResult({}, reports, []), differences, [wrong] if wrong else [])
    return replace(found, first_wrong=wrong)


def test_a_known_difference_must_be_that_one():
    known = witness.Known("why", "FULLY_CONNECTED", 1)
    assert known.fits(comparison("FULLY_CONNECTED"))
    assert not known.fits(comparison("FULLY_CONNECTED", distance=2))
    assert not known.fits(comparison("CONV_2D"))
    assert not known.fits(comparison())
    assert not known.fits(comparison("FULLY_CONNECTED", outputs=False))
    assert not known.fits(comparison("FULLY_CONNECTED", report="hazard"))
    reported = witness.Known("why", "LEAKY_RELU", reports=frozenset({"uninitialised", "shram"}))
    assert reported.fits(comparison("LEAKY_RELU", report="uninitialised"))
    assert reported.fits(comparison("LEAKY_RELU", report="shram"))
    assert not reported.fits(comparison("LEAKY_RELU", report="hazard"))
    assert not reported.fits(comparison("LEAKY_RELU"))


def kernel(name: str, mode: str = "", **state: int) -> Op:
    defaults = {f"IFM_BASE{tile}": 64 for tile in range(4)}
    return Op(name, mode, 0, 0, 0, MappingProxyType({**defaults, "BLOCKDEP": 3, **state}))


LAYER = kernel("CONV", OFM_BASE0=64, OFM_DEPTH_M1=1000, OFM_WIDTH_M1=0)
SOFTMAX = kernel("POOL", "MAX", KERNEL_WIDTH_M1=1000)


@pytest.mark.parametrize(
    ("first", "second", "blockdep"),
    [
        (LAYER, SOFTMAX, 0),
        (LAYER, kernel("POOL", "MAX", KERNEL_WIDTH_M1=1000, BLOCKDEP=2), -1),
        (LAYER, kernel("POOL", "MAX", KERNEL_WIDTH_M1=1000, IFM_BASE0=80), -1),
        (LAYER, kernel("POOL", "MAX", KERNEL_WIDTH_M1=999), -1),
        (LAYER, kernel("POOL", "AVERAGE", KERNEL_WIDTH_M1=1000), -1),
        (LAYER, kernel("DEPTHWISE", BLOCKDEP=2), 1),
        (LAYER, kernel("DEPTHWISE", IFM_BASE1=0), -1),
        (Op("DMA_START", "", 0, 0, 0, MappingProxyType({})), SOFTMAX, -1),
    ],
)
def test_a_hazard_is_velas_only_between_kernels_of_that_kind(first: Op, second: Op, blockdep: int):
    assert witness.blockdep_before(first, second)[0] == blockdep


def test_inputs_differ_from_each_other(models):
    from witness_faults import inputs_of

    from npuc.simulator import load
    from npuc.simulator.inputs import KINDS

    found = inputs_of(load(models["digits_cnn"].path.read_bytes()), 0)
    # What npu-run draws is among them, and of that one is constant as the bench has them all.
    assert len({value[0].tobytes() for value in found}) == len(found) - 1
    assert len(found) > len(KINDS)
    assert {int(value[0].min()) for value in found} >= {-128, 127}
    assert all(value[0].dtype == np.int8 for value in found)
