"""What `--dump-ir` writes is complete: from every step the rest of the pipeline makes the same file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from npuc.tools.compiling.compile import compile_tflite
from npuc.tools.errors import UserError
from npuc.tools.ir import CONSTANTS_FILE, load_module, make_context, read_constants
from npuc.tools.ir_dump import IrDump
from npuc.tools.npu_opt import main as npu_opt
from npuc.tools.passes import available_passes, parse_passes, run_passes
from npuc.tools.pipeline import Target, pipeline


def header(text: str) -> bytes:
    """The beginning of an .npy file, and all that there is of it."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.fixture(scope="module")
def compiled(models, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The dump of a network under a limit that makes cascades and buffers, and its file."""
    folder = tmp_path_factory.mktemp("dump")
    data = models["tour"].path.read_bytes()
    return folder, compile_tflite(data, Target("ethos-u55-128", limit=32768), name="tour.tflite", dump=str(folder)).data


def steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.mlir"))


def test_every_step_leads_to_the_same_file(compiled: tuple[Path, bytes], tmp_path: Path) -> None:
    folder, data = compiled
    passes = pipeline(Target("ethos-u55-128", limit=32768))
    chain = parse_passes(passes, available_passes())
    assert len(steps(folder)) == len(chain) + 1
    from npuc.lowering.tflite.export_tflite import export_tflite

    for number, step in enumerate(steps(folder)):
        ctx = make_context()
        module = load_module(ctx, step.read_bytes(), str(step))
        run_passes(ctx, module, chain[number:], verify_each=False)
        assert export_tflite(module) == data, step.name


def test_the_index_names_each_pass_and_what_it_changed(compiled: tuple[Path, bytes]) -> None:
    folder, _ = compiled
    index = (folder / "index.md").read_text()
    for step in steps(folder):
        assert f"[{step.stem}]({step.name})" in index
    changed = {path.stem for path in folder.glob("*.diff")}
    assert {"20-npu-schedule-limit-sram", "32-npu-cmd-allocate"} <= changed
    assert "| [02-tfl-fold-constants](02-tfl-fold-constants.mlir) | nothing |" in index
    assert "+    %conv.0 = npu_schedule.conv2d" in (folder / "21-npu-schedule-plan-cascades.diff").read_text()


def test_the_command_of_the_index_makes_the_file(compiled: tuple[Path, bytes], tmp_path: Path) -> None:
    folder, data = compiled
    (line,) = (one for one in (folder / "index.md").read_text().splitlines() if " 29-" in one)
    _, step, _, passes, *_ = line.replace("'", " ").split()
    file = tmp_path / "again.tflite"
    assert npu_opt([str(folder / step), "-p", passes, "-t", "tflite", "-o", str(file)]) == 0
    assert file.read_bytes() == data


def test_constants_are_there_once_or_in_the_text(compiled: tuple[Path, bytes], models, tmp_path: Path) -> None:
    folder, _ = compiled
    with np.load(folder / "constants.npz") as constants:
        contents = [constants[name].tobytes() for name in constants.files]
    assert len(set(contents)) == len(contents)
    ctx = make_context()
    module = load_module(ctx, models["tour"].path.read_bytes(), "tour.tflite")
    IrDump(str(tmp_path), (), inline=True).write(0, "input", module)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["00-input.mlir", "index.md"]
    text = (tmp_path / "00-input.mlir").read_text()
    assert "dense_resource" not in text
    assert str(load_module(ctx, text.encode(), "00-input.mlir")) == str(module)


def test_a_constant_that_is_not_there(compiled: tuple[Path, bytes], tmp_path: Path, capsys) -> None:
    folder, _ = compiled
    alone = tmp_path / "alone.mlir"
    alone.write_text((folder / "00-input.mlir").read_text())
    for contents, message in ((None, "constant_0 is in no "), (b"no archive", "constants.npz: ")):
        if contents is not None:
            (tmp_path / "constants.npz").write_bytes(contents)
        assert npu_opt([str(alone)]) == 1
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1
        assert not captured.out
    short = {"constant_0": np.zeros(3, np.uint8)}
    np.savez(tmp_path / "constants.npz", **short)
    assert npu_opt([str(alone)]) == 1
    assert "has other than the bytes of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "entry", "says"),
    [
        ("constant_0.npy", b"no array", "'constant_0' is no array"),
        ("constant_0", b"no array", "'constant_0' is no array"),
        ("constant_0.npy", header("{'descr':'|u1','fortran_order':False,'shape':(1152921504606846976,)}"), "allocate"),
        ("constant_0.npy", header("((("), "EOF in multi-line statement"),
        ("constant_0.npy", header("{'descr':'|O','fortran_order':False,'shape':(1,)}"), "Object arrays"),
    ],
)
def test_constants_that_are_damaged_are_one_line(name: str, entry: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / CONSTANTS_FILE
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, entry)
    with pytest.raises(UserError, match=says) as caught:
        read_constants(path)
    assert str(caught.value).startswith(f"{path}: damaged .npz file: ")
    assert "\n" not in str(caught.value)


def test_one_array_alone_is_no_file_of_constants(tmp_path: Path) -> None:
    path = tmp_path / CONSTANTS_FILE
    path.write_bytes(header("{'descr':'|u1','fortran_order':False,'shape':(0,)}"))
    with pytest.raises(UserError, match=r"not an \.npz file"):
        read_constants(path)


def test_no_diff_of_an_earlier_dump_stays(tmp_path: Path) -> None:
    old = tmp_path / "01-canonicalize.diff"
    old.write_text("of another network")
    module = load_module(make_context(), b"builtin.module {}", "empty.mlir")
    dump = IrDump(str(tmp_path), [])
    dump.write(0, "input", module)
    dump.write(1, "canonicalize", module)
    assert not old.exists()
