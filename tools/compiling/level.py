"""`npu-compile --to LEVEL`: a model up to a stage of the pipeline, as text that `npu-opt --from LEVEL` takes up."""

from __future__ import annotations

import argparse
from io import StringIO
from pathlib import Path

from xdsl.printer import Printer

from npuc.dialects.value_names import name_values
from npuc.tools.compiling.model import target_of
from npuc.tools.errors import UserError
from npuc.tools.files import make_folder, read_file, write_file
from npuc.tools.ir import load_module, make_context
from npuc.tools.origin import note_origin
from npuc.tools.passes import PassFailure, available_passes, load_pass_files, parse_passes, run_passes
from npuc.tools.pipeline import pipeline
from npuc.tools.stages import between


def compile_to(model: str, args: argparse.Namespace) -> Path:
    """Writes the module as it is when stage `args.to` is done, and returns the file's path; raises UserError."""
    ctx = make_context()
    data = read_file(model)
    module = load_module(ctx, data, model, "tflite")
    text = pipeline(target_of(args)) if args.pipeline is None else args.pipeline
    passes = parse_passes(text, available_passes() | load_pass_files(args.load_pass))
    note_origin(module, passes, data)
    try:
        run_passes(ctx, module, between(passes, None, args.to), file=model)
    except PassFailure as failure:
        raise UserError(failure.message) from None
    name_values(module)
    out = StringIO()
    Printer(stream=out, print_debuginfo=True).print_op(module)
    output = Path(args.output_dir) / f"{Path(model).stem}_{args.to}.mlir" if args.output is None else Path(args.output)
    make_folder(output.parent)
    write_file(str(output), f"{out.getvalue()}\n".encode())
    return output
