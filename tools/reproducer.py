"""
What is left when a pass fails: the module as it was before that pass, and the command that runs what was left of the
pipeline.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.printer import Printer

from npuc.tools import process
from npuc.tools.files import write_file
from npuc.tools.ir import make_context
from npuc.tools.passes import PassFailure, pipeline_text, run_passes


def write_reproducer(
    failure: PassFailure,
    passes: Sequence[ModulePass],
    original: ModuleOp,
    folder: str | None,
    arguments: str = "",
) -> str:
    """
    Writes what repeats a failure alone, and returns the file's path.

    `original` is the module as it was before the first pass; the passes before the failing one run on it again,
    which spares every successful run a copy of the module after each pass. `folder` None means a new temporary file.
    """
    run_passes(make_context(), original, passes[: failure.index], verify_each=False)
    lines = [f"// RUN: npu-opt %s{arguments} -p '{pipeline_text(passes[failure.index :])}'", f"// {failure.message}"]
    lines += [f"// {line}" for line in failure.details.splitlines()]
    out = StringIO("\n".join(lines) + "\n\n")
    out.seek(0, os.SEEK_END)
    Printer(stream=out, print_debuginfo=True).print_op(original)
    text = out.getvalue().encode() + b"\n"
    if folder is not None:
        path = str(Path(folder) / "reproducer.mlir")
    else:
        with process.signals_held():
            handle, path = tempfile.mkstemp(prefix="npu-opt-reproducer-", suffix=".mlir")
            process.begin(path)
        os.close(handle)
    write_file(path, text)
    process.finish(path)
    return path
