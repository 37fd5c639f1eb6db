"""
What `npu-opt -t NAME` can write. A target is imported when it is asked for.

To add one, write a `Target` and put its factory into `all_targets`. A target writes text; one whose output is bytes
says `encoding = "latin-1"` and writes each byte as the character of that number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import IO

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.targets.mlir import MLIRTarget
from xdsl.utils.exceptions import DiagnosticException
from xdsl.utils.target import Target

from npuc.dialects.value_names import name_values
from npuc.tools.errors import UserError, format_error


@dataclass(frozen=True)
class TfliteTarget(Target):
    """A TFLite file; beside `tfl` the module may hold NPU programs, which become `ethos-u` operators."""

    name = "tflite"
    encoding = "latin-1"

    def emit(self, ctx: Context, module: ModuleOp, output: IO[str]) -> None:
        from npuc.lowering.convert_npu_cmd_to_tfl import ConvertNpuCmdToTflPass
        from npuc.lowering.tflite.export_tflite import export_tflite
        from npuc.lowering.tflite.tflite_schema import TFLiteError

        try:
            ConvertNpuCmdToTflPass().apply(ctx, module)
            output.write(export_tflite(module).decode(self.encoding))
        except TFLiteError as error:
            raise UserError(str(error)) from None


@dataclass(frozen=True)
class AsmTarget(Target):
    """The words of all command streams, annotated."""

    name = "asm"

    def emit(self, ctx: Context, module: ModuleOp, output: IO[str]) -> None:
        from npuc.lowering.command_stream.print_asm import asm

        output.write(asm(module))


def all_targets() -> dict[str, Callable[[], type[Target]]]:
    """Target name -> factory."""
    return {"mlir": lambda: MLIRTarget, "tflite": lambda: TfliteTarget, "asm": lambda: AsmTarget}


def render(target: Target, ctx: Context, module: ModuleOp, file: str) -> bytes:
    """The output of a target as the bytes of a file, for a module that came from `file`; raises UserError."""
    out = StringIO()
    if target.name == "mlir":
        name_values(module)
    try:
        target.emit(ctx, module, out)
    except DiagnosticException as error:
        raise UserError(format_error(error, file)) from None
    return out.getvalue().encode(getattr(target, "encoding", "utf-8"))
