"""A compiled file says what made it, and the same bytes are made again from that; passes of others are part of it."""

import json
from pathlib import Path

import pytest

from npuc.tools import npu_compile, npu_opt
from npuc.tools.ir import load_module, make_context
from npuc.tools.origin import Origin, origin_of
from npuc.tools.pipeline import Target, pipeline

ROOT = Path(__file__).parents[2]
MODEL = str(ROOT / "test" / "models" / "tf_conv_2d.tflite")
OTHER = str(ROOT / "test" / "models" / "batch_2.tflite")
PIN = ROOT / "examples" / "pin_one_block.py"
SYSTEM = """
# What stands here for people is left out.
[System_Config.Mine]
core_clock=400e6
axi0_port=Sram
axi1_port=OffChipFlash
Sram_clock_scale=1.0
OffChipFlash_clock_scale=0.125
"""


def said_by(path: Path) -> Origin:
    return origin_of(load_module(make_context(), path.read_bytes(), str(path)), str(path))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def own_pipeline(target: Target) -> str:
    """With a pass of one's own before the planner of blocks."""
    return pipeline(target).replace("npu-schedule-select-blocks", "pin-one-block{height=4},npu-schedule-select-blocks")


def test_configuration_and_own_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.ini").write_text(SYSTEM, encoding="utf-8")
    (folder / "own.py").write_bytes(PIN.read_bytes())
    text = own_pipeline(Target(config=("mine.ini",), system_config="Mine"))
    assert npu_compile.main([MODEL, "--load-pass", "own.py", "--pipeline", text, "-o", "a.tflite"]) == 0
    origin = said_by(folder / "a.tflite")
    assert list(origin.passes) == ["pin-one-block"]
    assert origin.config["mine.ini"].startswith("[System_Config.Mine]\ncore_clock=400e6\n")
    assert origin.xdsl
    # The file of the system is gone, or says something else.
    rebuild = ["--rebuild", "a.tflite", "--source", MODEL, "-o", "b.tflite"]
    (folder / "mine.ini").write_text(SYSTEM.replace("400e6", "100e6").replace("0.125", "0.5"), encoding="utf-8")
    assert npu_compile.main([*rebuild, "--load-pass", "own.py"]) == 0
    assert (folder / "b.tflite").read_bytes() == (folder / "a.tflite").read_bytes()
    capsys.readouterr()
    # The text that is printed is one that compiles.
    assert npu_opt.main(["--pipeline-of", "a.tflite"]) == 0
    assert "pin-one-block{height=4},npu" in capsys.readouterr().out
    # Without the pass, or with another of its name, nothing is made.
    (folder / "b.tflite").unlink()
    assert npu_compile.main(rebuild) == 1
    assert "it was made by pass pin-one-block, whose file --load-pass must name" in capsys.readouterr().err
    (folder / "own.py").write_bytes(PIN.read_bytes() + b"# changed\n")
    assert npu_compile.main([*rebuild, "--load-pass", "own.py"]) == 1
    assert "pass pin-one-block is not the one that made it (sha256 " in capsys.readouterr().err
    assert not (folder / "b.tflite").exists()


def test_options_of_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--optimise", "Size", "--accelerator-config", "ethos-u65-512", "--no-debug-info"]
    assert npu_compile.main([MODEL, *options, "-o", "a.tflite"]) == 0
    assert npu_compile.main(["--rebuild", "a.tflite", "--source", MODEL, "-o", "b.tflite"]) == 0
    assert (folder / "b.tflite").read_bytes() == (folder / "a.tflite").read_bytes()
    assert npu_compile.main(["--rebuild", "a.tflite", "--source", OTHER, "-o", "c.tflite"]) == 1
    assert f"{OTHER}: it is not the model that a.tflite was made from" in capsys.readouterr().err
    assert npu_compile.main(["--rebuild", MODEL, "--source", MODEL]) == 1
    assert "it does not say by which pipeline it was made" in capsys.readouterr().err
    assert npu_compile.main(["--rebuild", "a.tflite"]) == 1
    assert "--rebuild COMPILED and --source MODEL go together" in capsys.readouterr().err


def test_other_bytes_are_no_rebuild(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert npu_compile.main([MODEL, "-o", "a.tflite"]) == 0
    data = (folder / "a.tflite").read_bytes()
    assert data.count(b'"npuc":"') == 1
    (folder / "a.tflite").write_bytes(data.replace(b'"npuc":"0', b'"npuc":"9'))
    assert npu_compile.main(["--rebuild", "a.tflite", "--source", MODEL, "-o", "b.tflite"]) == 1
    assert "other bytes come out: it was made by npuc 9" in capsys.readouterr().err
    assert not (folder / "b.tflite").exists()


def test_files_of_npu_opt(folder: Path) -> None:
    text = own_pipeline(Target())
    assert npu_opt.main([MODEL, "--load-pass", str(PIN), "-p", text, "-t", "tflite", "-o", "a.tflite"]) == 0
    assert list(said_by(folder / "a.tflite").passes) == ["pin-one-block"]
    again = ["--rebuild", "a.tflite", "--source", MODEL, "--load-pass", str(PIN), "-o", "b.tflite"]
    assert npu_compile.main(again) == 0
    assert (folder / "b.tflite").read_bytes() == (folder / "a.tflite").read_bytes()
    # By way of a level, in two steps.
    assert npu_compile.main([MODEL, "-o", "c.tflite"]) == 0
    assert npu_compile.main([MODEL, "--to", "tosa", "-o", "c.mlir"]) == 0
    assert npu_opt.main(["c.mlir", "--from", "tosa", "-t", "tflite", "-o", "d.tflite"]) == 0
    assert said_by(folder / "d.tflite") == said_by(folder / "c.tflite")


def test_installed_passes(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    site = folder / "site"
    metadata = site / "their_passes-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "their_passes.py").write_bytes(PIN.read_bytes())
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-passes\nVersion: 1.0\n", encoding="utf-8")
    entries = (
        "[npuc.passes]\npin-one-block = their_passes:PinOneBlockPass\nno-pass = their_passes:Block\nlost = lost:X\n"
    )
    (metadata / "entry_points.txt").write_text(entries, encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    assert npu_compile.main([MODEL, "--pipeline", own_pipeline(Target()), "-o", "a.tflite"]) == 0
    assert list(said_by(folder / "a.tflite").passes) == ["pin-one-block"]
    assert npu_compile.main(["--rebuild", "a.tflite", "--source", MODEL, "-o", "b.tflite"]) == 0
    capsys.readouterr()
    assert npu_opt.main([MODEL, "-p", "no-pass"]) == 1
    assert "plug-in no-pass (their_passes:Block): it is no pass of this name" in capsys.readouterr().err
    assert npu_opt.main([MODEL, "-p", "lost"]) == 1
    assert "plug-in lost (lost:X): ModuleNotFoundError: No module named 'lost'" in capsys.readouterr().err


def test_damaged_metadata(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert npu_compile.main([MODEL, "-o", "a.tflite"]) == 0
    data = (folder / "a.tflite").read_bytes()
    start = data.index(b'{"npuc":')
    json.loads(data[start : data.index(b"}", start) + 1])
    (folder / "a.tflite").write_bytes(data.replace(b'{"npuc":', b'["npuc":'))
    assert npu_opt.main(["--pipeline-of", "a.tflite"]) == 1
    assert "a.tflite: its metadata npuc_origin is damaged" in capsys.readouterr().err
