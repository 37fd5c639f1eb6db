"""A report answers what people ask: of our files and of such as know nothing of their source, as vela's."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from newcomer import Answers, answers

from npuc.tools.compiling.compile import compile_tflite
from npuc.tools.npu_compile import main as npu_compile
from npuc.tools.npu_profile import main as npu_profile
from npuc.tools.pipeline import Target
from npuc.tools.profiling.attribution import CAUSES

MODELS = Path(__file__).parents[1] / "models"
U55 = Target("ethos-u55-128")
U65 = Target("ethos-u65-512")
SHARED = {
    "kws": "mlperf_kws_int8",
    "resnet8": "mlperf_resnet8_int8",
    "mobilenet_v2": "coral_tf2_mobilenet_v2_1.0_224_ptq",
    "movenet": "coral_movenet_single_pose_lightning_ptq",
}


class Asked:
    """Asks npu-profile, and keeps what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.said: list[dict[str, Any]] = []

    def __call__(self, *arguments: str) -> dict[str, Any]:
        self.capsys.readouterr()
        assert npu_profile([*arguments, "--json"]) == 0
        self.said.append(json.loads(self.capsys.readouterr().out))
        return self.said[-1]


def check(found: Answers, said: list[dict[str, Any]]) -> None:
    """That the answers are ones, and that all they come from adds up."""
    one, both = said
    assert sum(row["cycles"] for row in one["rows"]) == one["cycles"]
    assert all(sum(row["causes"].values()) == row["cycles"] for row in one["rows"])
    assert sum(line["difference"] for line in both["lines"]) == both["cycles"][1] - both["cycles"][0]
    for number in range(2):
        assert sum(line["cycles"][number] for line in both["lines"]) == both["cycles"][number]
    shares = [share for _, share, _ in found.time]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0
    assert all(reason in CAUSES and name.split()[0].isdigit() for name, _, reason in found.time)
    # Every byte at the peak has the name of a tensor of the source, or of what was brought or given.
    assert sum(size for _, size in found.memory) == one["peak"]["bytes"] <= one["sram_bytes"]
    tensors = {operator["tensor"].split(";")[0] for row in one["rows"] for operator in row["operators"]}
    assert all(
        name.endswith("from the host") or name.removeprefix("brought for ") in tensors for name, _ in found.memory
    )
    # Most of the time of both is compared operator by operator.
    aligned = sum(sum(line["cycles"]) for line in both["lines"] if all(line["rows"]))
    assert aligned >= 0.9 * sum(both["cycles"])
    assert all(cycles > 0 or sram > 0 for _, cycles, sram in found.levers)


@pytest.mark.parametrize(("name", "target"), [("digits_cnn", U55), ("unet", U65)])
def test_a_newcomer_gets_answers(name: str, target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = MODELS / f"{name}.tflite"
    ours, theirs = tmp_path / "ours.tflite", tmp_path / "theirs.tflite"
    ours.write_bytes(compile_tflite(source.read_bytes(), target).data)
    bare = replace(target, strategy="size", debug_info=False)
    theirs.write_bytes(compile_tflite(source.read_bytes(), bare).data)
    ask = Asked(capsys)
    found = answers(str(ours), str(theirs), str(source), ask)
    check(found, ask.said)
    assert found.levers
    # What a lever is said to give is what comes of it.
    what, cycles, sram = next(lever for lever in found.levers if lever[0].startswith("--"))
    command = [str(source), "--accelerator-config", target.accelerator, *what.split(",")[0].split()]
    assert npu_compile([*command, "-o", str(tmp_path / "tried.tflite"), "--json"]) == 0
    tried = json.loads(capsys.readouterr().out)
    now = ask.said[0]
    assert tried["cycles"] == now["cycles"] - cycles
    assert (tried["arena"] if tried["fast"] is None else tried["fast"]) == now["sram_bytes"] - sram


@pytest.mark.parametrize("target", [U55, U65], ids=lambda target: target.accelerator)
@pytest.mark.parametrize("name", [*SHARED, "silu_detector"])
def test_a_newcomer_gets_answers_about_vela(
    name: str, target: Target, tmp_path: Path, shared_models: Path | None, capsys: pytest.CaptureFixture[str]
) -> None:
    vela = shutil.which("vela")
    if shared_models is None or vela is None:
        pytest.skip("the shared models or vela are not here")
    if not os.environ.get("NPUC_NIGHTLY") and (name, target) != ("kws", U55):
        pytest.skip("takes up to minutes: NPUC_NIGHTLY=1")
    source = tmp_path / "source.tflite"
    if name in SHARED:
        source.write_bytes((shared_models / f"{SHARED[name]}.tflite").read_bytes())
    else:
        from bench.networks import detector

        source.write_bytes(detector(128, 8))
    ours = tmp_path / "ours.tflite"
    ours.write_bytes(compile_tflite(source.read_bytes(), target).data)
    command = [vela, str(source), "--accelerator-config", target.accelerator, "--output-dir", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    ask = Asked(capsys)
    check(answers(str(ours), str(tmp_path / "source_vela.tflite"), str(source), ask), ask.said)
