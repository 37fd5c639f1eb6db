"""The template of a package with passes of its own builds, installs, and passes its own lit tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def test_template(tmp_path: Path) -> None:
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.split(".")[0]) < 77:
        pytest.skip("setuptools is older than the build asks for")
    pytest.importorskip("lit")
    template, site = tmp_path / "template", tmp_path / "site"
    shutil.copytree(ROOT / "examples" / "out_of_tree", template, ignore=shutil.ignore_patterns("__pycache__", "build"))
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path)], cwd=template, capture_output=True, text=True, encoding="utf-8"
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(site)
    # Where the tests run there is nothing of the package but what is installed.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    lit = [sys.executable, "-c", "from lit.main import main; main()", "-v", "-j1", "test"]
    ran = subprocess.run(lit, cwd=template, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "PASS: own-passes :: flat-blocks.mlir" in ran.stdout
