"""
`npu-compile MODEL.tflite`: the model with what the NPU supports turned into `ethos-u` operators.

Its parts are in npuc/tools/compiling: the command line, one compilation, the summary. This file reads the model, writes
the file, and says what came of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from npuc.tools import driver
from npuc.tools.compiling.arguments import parser
from npuc.tools.compiling.compile import Compiled, compile_tflite
from npuc.tools.driver import UserError
from npuc.tools.pipeline import Target, pipeline
from npuc.tools.process import CLEAR_LINE

__all__ = ["Compiled", "compile_tflite", "main"]

STANDARD_OUTPUT = 1
"""Its file descriptor."""


def _show_progress(index: int, count: int, name: str) -> None:
    driver.note(f"{CLEAR_LINE}[{index + 1}/{count}] {name}", end="")


def run(arguments: Sequence[str] | None) -> None:
    """Compile as the command line says; raises UserError."""
    args = parser().parse_args(arguments)
    target = Target(
        args.accelerator_config,
        args.config,
        args.system_config,
        args.memory_mode,
        args.arena_cache_size,
        "size" if args.optimise == "Size" else "performance",
        args.external_inputs,
        args.integer_io,
        args.round_trip,
        not args.no_debug_info,
    )
    if args.print_pipeline:
        print(pipeline(target) if args.pipeline is None else args.pipeline)
        return
    data = driver.read_file(args.model)
    terminal = sys.stderr.isatty()
    try:
        compiled = compile_tflite(
            data,
            target,
            name=args.model,
            passes=args.pipeline,
            verify_each=args.verify_each,
            dump=args.dump_ir,
            want_parts=args.parts_dir is not None,
            want_figures=True,
            progress=_show_progress if terminal else None,
        )
    finally:
        if terminal:
            driver.note(CLEAR_LINE, end="")
    output = Path(args.output_dir) / f"{Path(args.model).stem}_npuc.tflite"
    if args.output is not None:
        output = Path(args.output)
    files = [(output, compiled.data)]
    if args.parts_dir is not None:
        files += [(Path(args.parts_dir) / name, data) for name, data in compiled.parts.items()]
    if args.report is not None:
        if not compiled.summary.npu_operators:
            raise UserError(f"--report: nothing of {args.model} is on the NPU, so that there is nothing to show")
        files.append((Path(args.report), _report(compiled.data, str(output), args)))
    for path, _ in files:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path.parent}: {error.strerror}") from None
    driver.write_files(files)
    text = f"{output}\n{compiled.summary.text()}"
    if args.json:
        import json

        text = json.dumps({"output": str(output), **asdict(compiled.summary)}, indent=2)
    if driver.descriptor_of(output) == STANDARD_OUTPUT:  # nothing may stand behind the model
        driver.note(text)
    else:
        print(text)


def _report(data: bytes, name: str, args: argparse.Namespace) -> bytes:
    """The page about a compiled file of which something is on the NPU."""
    from npuc.tools.profiling.page import as_html
    from npuc.tools.profiling.profile import profile

    config = [] if args.config is None else [args.config]
    known = profile(data, name=name, config=config, system_config=args.system_config, memory_mode=args.memory_mode)
    return as_html(known, name).encode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tool; 0, or 1 after one line on standard error."""
    return driver.exit_code("npu-compile", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
