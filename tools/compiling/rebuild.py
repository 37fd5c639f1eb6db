"""`npu-compile --rebuild COMPILED --source MODEL`: the same bytes again, from what a compiled file says of itself."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from xdsl.passes import ModulePass

from npuc import __version__
from npuc.analysis.machine import forget_setups
from npuc.hardware.memory import files_given
from npuc.tools.compiling.compile import Compiled, compile_tflite
from npuc.tools.errors import UserError
from npuc.tools.files import make_folder, read_file, write_file
from npuc.tools.ir import load_module, make_context
from npuc.tools.origin import check_passes, origin_of, xdsl_version
from npuc.tools.passes import load_pass_files


def rebuild(compiled: str, source: str, own: Mapping[str, Callable[[], type[ModulePass]]]) -> Compiled:
    """
    Compile `source` as the file `compiled` was: by its passes, with the texts of its configuration files.

    Raises UserError where the model or a pass is not the one that it was made from, or other bytes come out.
    """
    wanted, data = read_file(compiled), read_file(source)
    origin = origin_of(load_module(make_context(), wanted, compiled, "tflite"), compiled)
    if origin.source and sha256(data).hexdigest() != origin.source:
        raise UserError(f"{source}: it is not the model that {compiled} was made from (sha256 {origin.source})")
    check_passes(origin, own, compiled)
    forget_setups()  # a file of the same name may say something else
    try:
        with files_given(origin.config):
            result = compile_tflite(data, name=source, passes=origin.pipeline, own=own, want_figures=True)
    finally:
        forget_setups()
    if result.data != wanted:
        made = f"npuc {origin.npuc} on xDSL {origin.xdsl}, this is npuc {__version__} on xDSL {xdsl_version()}"
        raise UserError(f"{compiled}: other bytes come out: it was made by {made}")
    return result


def rebuild_to(args: argparse.Namespace) -> Path:
    """Does so for a command line, and returns the path of the file; raises UserError."""
    result = rebuild(args.rebuild, args.source, load_pass_files(args.load_pass))
    name = f"{Path(args.source).stem}{args.suffix}.tflite"
    output = Path(args.output_dir) / name if args.output is None else Path(args.output)
    make_folder(output.parent)
    write_file(str(output), result.data)
    return output
