"""A wheel holds all of npuc and runs without the checkout; a copy without symbolic links says what is wrong."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "test" / "models" / "digits_cnn.tflite"
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
RUN = """
import sys
from npuc.tools import npu_compile, npu_run
import npuc
model = sys.argv[1]
assert npu_compile.main([model, "-o", "out.tflite", "--system-config", "Corstone_300", "--report", "out.html"]) == 0
assert npu_run.main(["out.tflite", "--reference", model, "--seed", "1"]) == 0
print(npuc.__file__)
"""


def linked_folders() -> list[Path]:
    """The folders that npuc links to."""
    return [path.resolve() for path in (ROOT / "npuc").iterdir() if path.is_symlink()]


def run(code: str, *arguments: str | Path, folder: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A Python that sees nothing of the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8")


def test_wheel(tmp_path: Path) -> None:
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.split(".")[0]) < 77:
        pytest.skip("setuptools is older than the build asks for")
    copy, site = tmp_path / "copy", tmp_path / "site"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("npuc", *(folder.name for folder in linked_folders())):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    built = run(BUILD, tmp_path, folder=copy)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        assert not [one.filename for one in archive.infolist() if stat.S_ISLNK(one.external_attr >> 16)]
        names = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
        archive.extractall(site)
    data = {
        f"npuc/{p.relative_to(ROOT)}"
        for part in ("hardware/systems/*/*.ini", "tools/report/*", "tools/sweep/front.*")
        for p in ROOT.glob(part)
    }
    code = {f"npuc/{p.relative_to(ROOT)}" for folder in linked_folders() for p in folder.rglob("*.py")}
    own = {f"npuc/{p.name}" for p in (ROOT / "npuc").glob("*.py")}
    assert names == data | code | own | {"npuc/py.typed"}
    ran = run(RUN, MODEL, folder=tmp_path, path=site)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == str(site / "npuc" / "__init__.py")


def test_without_symbolic_links(tmp_path: Path) -> None:
    package = tmp_path / "npuc"
    package.mkdir()
    shutil.copy(ROOT / "npuc" / "__init__.py", package)
    for folder in linked_folders():  # what git writes where it may make no links
        (package / folder.name).write_text(f"../{folder.name}", encoding="utf-8")
    said = run("import npuc", folder=tmp_path, path=tmp_path).stderr.splitlines()[-1]
    assert said.startswith(
        "ImportError: npuc/dialects is no folder: this copy of npuc was made without symbolic links."
    )
