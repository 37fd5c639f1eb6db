"""The examples that are no passes of lit tests: each run, with what comes out before it and after it."""

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from xdsl.dialects.builtin import ModuleOp

import npuc
from npuc.dialects.npu_schedule import KernelOp
from npuc.tools.pipeline import LOWERING, SCHEDULE, Target, pipeline

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "test" / "models"
ORDER = "npu-schedule-order-kernels"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    def load(name: str) -> ModuleType:
        spec = spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load


def test_report(
    example: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    compiled = npuc.compile(MODELS / "separable_net.tflite")
    path = tmp_path / "a.tflite"
    path.write_bytes(compiled.data)
    monkeypatch.setattr(sys, "argv", ["report", str(path)])
    example("report_of_transfers").main()
    profile = npuc.profile(path)
    (read, written) = profile.traffic()["arena"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: {compiled.summary.cycles} cycles, {compiled.summary.arena} bytes of SRAM"
    assert f"    arena: {read} bytes read, {written} written" in lines


def kernels(module: ModuleOp) -> list[str]:
    """Where kernels come from, in their order."""
    return [str(op.location) for op in module.walk() if isinstance(op, KernelOp)]


def test_launch_order(example: Callable[[str], ModuleType]) -> None:
    model, own = MODELS / "concat_of_concat.tflite", example("latest_order").LatestOrderPass
    lowered = npuc.optimise(model, ",".join(["npu-set-target", *LOWERING, *SCHEDULE[: SCHEDULE.index(ORDER) + 1]]))
    moved = npuc.optimise(lowered, "latest-order", passes=[own])
    assert kernels(moved) != kernels(lowered)
    assert sorted(kernels(moved)) == sorted(kernels(lowered))
    text = pipeline(Target()).replace("npu-schedule-place-feature-maps", "latest-order,npu-schedule-place-feature-maps")
    pytest.importorskip("ai_edge_litert")
    proof = npuc.run(npuc.compile(model, pipeline=text, passes=[own]), model, seed=1)
    assert proof.exact
    assert not proof.reports
