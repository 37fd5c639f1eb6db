"""Tools end as a shell expects: one line or silence, the right exit code, and nothing left behind."""

import argparse
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from npuc.tools.compiling.several import compile_models
from npuc.tools.errors import UserError
from npuc.tools.files import descriptor_of, write_files
from npuc.tools.npu_compile import compile_tflite

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "test" / "models" / "op_add.tflite"
TOOL = f"{sys.executable} -m npuc.tools."
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
FULL = "standard output: No space left on device"
CLOSED = "standard output: Bad file descriptor"

STREAMS = {
    f"npu_opt {MODEL} >/dev/full": (1, f"npu-opt: error: {FULL}"),
    f"npu_opt {MODEL} >&-": (1, f"npu-opt: error: {CLOSED}"),
    "npu_opt <&-": (1, "npu-opt: error: <stdin>: Bad file descriptor"),
    "npu_opt --help >/dev/full": (1, f"npu-opt: error: {FULL}"),
    f"npu_compile {MODEL} -o out >/dev/full": (1, f"npu-compile: error: {FULL}"),
    f"npu_compile {MODEL} -o out >&-": (1, f"npu-compile: error: {CLOSED}"),
    f"npu_compile {MODEL} -o /dev/full": (1, "npu-compile: error: /dev/full: No space left on device"),
    f"npu_compile {MODEL} -o out 2>&- >/dev/null": (0, ""),
    "npu_compile missing 2>/dev/full": (1, ""),
    "npu_profile missing": (1, "npu-profile: error: missing: No such file or directory"),
}


@pytest.mark.parametrize("command", STREAMS)
def test_streams_that_cannot_be_written(command: str, tmp_path: Path) -> None:
    code, line = STREAMS[command]
    run = subprocess.run(
        ["sh", "-c", TOOL + command], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT, check=False
    )
    assert (run.returncode, run.stderr.strip()) == (code, line)
    files = [*tmp_path.iterdir()]
    assert [path.name for path in files] in ([], ["out"])
    # A model that was written is whole, whether or not its summary could be printed.
    whole = compile_tflite(Path(MODEL).read_bytes()).data
    assert all(path.read_bytes() == whole for path in files)


@pytest.mark.parametrize(("model", "code"), [(str(MODEL), 0), ("missing", 1)])
def test_what_is_to_be_done_at_the_exit_is_done(model: str, code: int, tmp_path: Path) -> None:
    script = f"""
import atexit, sys
sys.argv[0] = "npu-compile"
from npuc.tools.npu_compile import main
atexit.register(print, "done at the exit")
sys.exit(main(["{model}", "-o", "out"]))
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT, check=False
    )
    assert (run.returncode, run.stdout.splitlines()[-1]) == (code, "done at the exit")


def test_what_was_to_be_done_at_the_exit_before_the_tool_began_is_done(tmp_path: Path) -> None:
    """As by a measurement of coverage, which begins with Python."""
    (tmp_path / "sitecustomize.py").write_text("import atexit; atexit.register(print, 'done at the exit')")
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    command = [sys.executable, "-m", "npuc.tools.npu_opt", "--version"]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (run.returncode, run.stdout.splitlines()[-1]) == (0, "done at the exit")


def test_a_reader_that_goes_away() -> None:
    command = [sys.executable, "-m", "npuc.tools.npu_opt", MODEL]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.close()
    assert (run.wait(), run.stderr.read()) == (128 + signal.SIGPIPE, b"")
    run.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_in_silence(number: signal.Signals, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model")
    command = [sys.executable, "-m", "npuc.tools.npu_compile", "model", "-o", "out"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=ENVIRONMENT)
    with open(tmp_path / "model", "wb"):  # waits until the tool has opened it, too
        run.send_signal(number)
        assert (*run.communicate(), run.returncode) == (b"", b"", 128 + number)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def several(tmp_path: Path, models: list[str]) -> subprocess.Popen[bytes]:
    """Two processes that compile models."""
    command = [sys.executable, "-m", "npuc.tools.npu_compile", "-j2", *models, "--output-dir", "out"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=ENVIRONMENT)


def test_a_signal_ends_all_processes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        os.mkfifo(tmp_path / name)
    run = several(tmp_path, ["one", "two"])
    with open(tmp_path / "one", "wb"), open(tmp_path / "two", "wb"):
        run.terminate()
        # The streams end only with the last process that has them.
        assert (*run.communicate(timeout=60), run.returncode) == (b"", b"", 128 + signal.SIGTERM)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not tell children")
def test_a_process_that_is_killed_loses_one_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "one")
    run = several(tmp_path, ["one", str(MODEL)])
    with open(tmp_path / "one", "wb"):
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text(encoding="ascii").split()
        os.kill(int(children[0]), signal.SIGKILL)
    out, error = run.communicate(timeout=60)
    assert run.returncode == 1
    assert error.decode().splitlines() == [
        "npu-compile: error: one: its process ended with exit code -9",
        "npu-compile: error: 1 of 2 models failed",
    ]
    assert out.decode().startswith(f"{Path('out') / Path(MODEL).stem}_npuc.tflite\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="another process would not have what is replaced here")
def test_a_process_that_ends_between_two_models_loses_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(connection: Connection, others: list[Connection], args: argparse.Namespace) -> None:
        for other in others:
            other.close()
        connection.send(f"no {connection.recv()}")
        os._exit(3)

    def wait(connections: list[Connection]) -> list[Connection]:
        time.sleep(0.3)  # until both have ended
        return connections

    monkeypatch.setattr("npuc.tools.compiling.several._work", work)
    monkeypatch.setattr("multiprocessing.connection.wait", wait)
    outcomes = list(compile_models(argparse.Namespace(models=["one", "two", "three"], jobs=2)))
    assert outcomes == [("one", "no one"), ("two", "no two"), ("three", "three: its process ended with exit code 3")]


def test_nothing_is_left_of_a_file_that_was_being_written(tmp_path: Path) -> None:
    script = """
import sys, time
sys.argv[0] = "npu-opt"
from npuc.tools import process
process.begin("part")
open("part", "w").close()
print(flush=True)
time.sleep(60)
"""
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=tmp_path, env=ENVIRONMENT)
    assert run.stdout is not None
    run.stdout.readline()
    assert (tmp_path / "part").exists()
    run.terminate()
    assert run.wait() == 128 + signal.SIGTERM
    run.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_links_are_written_through(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "target"
    (tmp_path / "one").symlink_to("folder/target")  # hangs in the air at first
    (tmp_path / "two").symlink_to(tmp_path / "one")
    for data in (b"first", b"second"):
        write_files([(tmp_path / "two", data)])
        assert target.read_bytes() == data
        assert not target.is_symlink()
        target.chmod(0o640)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert os.readlink(tmp_path / "one") == "folder/target"
    assert os.readlink(tmp_path / "two") == str(tmp_path / "one")
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_what_cannot_be_written_leaves_the_rest_alone(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("good")
    (tmp_path / "folder").mkdir()
    wrong = {
        "folder": "folder: Is a directory",
        "loop": "loop: Too many levels of symbolic links",
        "no/file": "file: No such file or directory",
        "link": "link: two outputs would be this file",
    }
    before = sorted(path.name for path in tmp_path.iterdir())
    for name, message in wrong.items():
        with pytest.raises(UserError, match=f"^{tmp_path}.*{message}$"):
            write_files([(tmp_path / "good", b""), (tmp_path / name, b"")])
        assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_pipes_and_descriptors_are_written_as_they_stand(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_files([(tmp_path / "pipe", b"data")])
    reader.join()
    assert received == [b"data"]
    with open(tmp_path / "file", "wb") as stream:
        stream.write(b"before ")
        stream.flush()
        name = Path(f"/dev/fd/{stream.fileno()}")
        assert descriptor_of(name) == stream.fileno()
        write_files([(name, b"behind")])
    assert (tmp_path / "file").read_bytes() == b"before behind"
    assert descriptor_of(Path("/dev/stdout")) == 1
    assert descriptor_of(tmp_path / "file") is None
