"""
`npu-compile MODELS`: TFLite models with what the NPU supports turned into `ethos-u` operators.

Its parts are in npuc/tools/compiling: the command line, one compilation, one model with its files, several models, and
what is printed. This file only chooses among them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from npuc.tools.command_line import exit_code, note
from npuc.tools.compiling.arguments import notes, read
from npuc.tools.compiling.compile import Compiled, compile_tflite
from npuc.tools.compiling.model import Result, compile_model, target_of
from npuc.tools.files import descriptor_of, write_file

__all__ = ["Compiled", "compile_tflite", "main"]

STANDARD_OUTPUT = 1
"""Its file descriptor."""


def run(arguments: Sequence[str] | None) -> int:
    """Compile as the command line says, and return the exit code; raises UserError."""
    args = read(arguments)
    if args.list_config_files or args.list_configs:
        from npuc.tools.compiling.configurations import list_configs, list_files

        print(list_files() if args.list_config_files else list_configs(args.list_configs))
        return 0
    if args.supported_ops_report:
        from npuc.tools.compiling.operators import PAGE, page

        write_file(PAGE, page().encode())
        print(PAGE)
        return 0
    if args.print_pipeline:
        from npuc.tools.pipeline import pipeline

        print(pipeline(target_of(args)) if args.pipeline is None else args.pipeline)
        return 0
    for line in notes(args):
        note(f"npu-compile: note: {line}")
    if args.rebuild is not None:
        from npuc.tools.compiling.rebuild import rebuild_to

        path = rebuild_to(args)
        if descriptor_of(path) != STANDARD_OUTPUT:
            print(path)
        return 0
    if args.to is not None:
        from npuc.tools.compiling.level import compile_to

        for model in args.models:
            path = compile_to(model, args)
            if descriptor_of(path) != STANDARD_OUTPUT:
                print(path)
        return 0
    if len(args.models) == 1:
        _say(compile_model(args.models[0], args, progress=sys.stderr.isatty()), args)
        return 0
    return _several(args)


def _say(result: Result, args: argparse.Namespace) -> None:
    """Prints what came of a model."""
    _warn(result)
    text = _json(result.data) if args.json else result.text
    if descriptor_of(result.output) == STANDARD_OUTPUT:  # nothing may stand behind the model
        note(text)
    else:
        print(text)


def _warn(result: Result) -> None:
    if result.warning:
        note(f"npu-compile: warning: {result.warning}")


def _several(args: argparse.Namespace) -> int:
    """Compiles all models, says what came of each in their order, and of those that failed once more at the end."""
    from npuc.tools.compiling.several import compile_models

    table: list[dict[str, Any]] = []
    for model, result in compile_models(args):
        if isinstance(result, str):
            note(f"npu-compile: error: {result}")
            table.append({"model": model, "error": result})
            continue
        table.append(result.data)
        if args.json:
            _warn(result)
        else:
            _say(result, args)
    if args.json:
        print(_json(table))
    failed = sum("error" in row for row in table)
    if failed:
        note(f"npu-compile: error: {failed} of {len(args.models)} models failed")
    return 1 if failed else 0


def _json(data: object) -> str:
    import json

    return json.dumps(data, indent=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tool; 0, or 1 after one line on standard error."""
    return exit_code("npu-compile", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
