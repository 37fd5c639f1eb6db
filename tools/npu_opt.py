"""
`npu-opt [FILE.mlir|FILE.tflite] -p 'PIPELINE' [-t mlir|tflite|asm]`: run passes on a module and print it.

xDSL's driver with the dialects and passes of npuc. What is added: TFLite models as input and output (files or streams),
errors of one line that say where, `--dump-ir`, `--load-pass`, `--list-passes`, a reproducer when a pass fails, and
no output at all unless everything went well.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
import time
from collections.abc import Sequence
from io import BytesIO
from itertools import accumulate
from typing import IO

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass, PassPipeline, get_pass_option_infos
from xdsl.utils.arg_spec import parse_spec
from xdsl.utils.exceptions import ArgSpecParseError, ParseError, ShrinkException
from xdsl.xdsl_opt_main import xDSLOptMain

from npuc import __version__
from npuc.lowering.convert_npu_cmd_to_tfl import PIPELINE
from npuc.registry import all_passes
from npuc.tools.command_line import adopt, exit_code, note
from npuc.tools.errors import UserError, format_error
from npuc.tools.files import read_file, write_file
from npuc.tools.ir import decode_streams, elided_text, load_module, make_context, parse_text
from npuc.tools.origin import note_origin, origin_of
from npuc.tools.passes import PassFailure, available_passes, load_pass_files, parse_passes, plugin_passes, run_passes
from npuc.tools.pipeline import EMIT, Target, pipeline
from npuc.tools.reproducer import write_reproducer
from npuc.tools.stages import STAGES, between
from npuc.tools.targets import all_targets, render
from npuc.tools.verification import verify


class NpuOptMain(xDSLOptMain):
    """The tool; `run` raises UserError and writes nothing before all is done."""

    version_format = f"npu-opt of npuc {__version__}, built on xDSL {{xdsl_version}}"

    def register_all_dialects(self) -> None:
        self.ctx = make_context()

    def register_all_passes(self) -> None:
        self.available_passes = available_passes()

    def register_all_targets(self) -> None:
        self.available_targets = dict(all_targets())

    def register_all_frontends(self) -> None:
        self.available_frontends = {"mlir": self.load, "tflite": self.load}

    def register_all_arguments(self, arg_parser: argparse.ArgumentParser) -> None:
        adopt(arg_parser)
        of_options = arg_parser.format_help
        arg_parser.format_help = lambda: f"{_passes_by_level()}\n{of_options()}"
        super().register_all_arguments(arg_parser)
        arg_parser.add_argument(
            "--dump-ir", metavar="DIR", help="write the module after each pass to files in DIR, and an index.md"
        )
        arg_parser.add_argument(
            "--inline-constants", action="store_true", help="there, large constants stand in the text itself"
        )
        arg_parser.add_argument(
            "--load-pass", metavar="FILE.py", action="append", default=[], help="also offer the passes in a Python file"
        )
        for option, text in (("--from", "go on behind this level"), ("--to", "stop when this level is done")):
            arg_parser.add_argument(
                option,
                choices=STAGES,
                metavar="LEVEL",
                dest=f"{option[2:]}_stage",
                help=f"in place of -p, run the passes of npu-compile, as the module names them if it does: {text}",
            )
        arg_parser.add_argument(
            "--pipeline-of", metavar="COMPILED.tflite", help="print the passes that made a compiled file, and stop"
        )
        arg_parser.add_argument("--list-passes", action="store_true", help="list npuc's passes with their options")

    def setup_pipeline(self) -> None:
        self.available_passes |= load_pass_files(self.args.load_pass)
        if self.args.list_passes:
            self.available_passes = plugin_passes() | self.available_passes
        self.by_stage = self.args.from_stage is not None or self.args.to_stage is not None
        if self.by_stage and self.args.passes:
            raise UserError("-p and a level (--from, --to) exclude each other")
        self.pipeline = PassPipeline(parse_passes(self.args.passes, self.available_passes))

    def passes_for(self, module: ModuleOp) -> tuple[ModulePass, ...]:
        """What runs on a module; by levels these are the passes that it was compiled with, else the usual ones."""
        if not self.by_stage:
            return self.pipeline.passes
        named = module.attributes.get("npu.pipeline")
        text = named.data if isinstance(named, StringAttr) else pipeline(Target())
        return between(parse_passes(text, self.available_passes), self.args.from_stage, self.args.to_stage)

    def load(self, io: IO[bytes]) -> ModuleOp:
        """
        The module of the whole input, by its content where `-f` does not say; command streams in it are decoded.

        `-t asm` alone shows streams as they stand, word by word.
        """
        module = load_module(self.ctx, io.read(), self.get_input_name(), self.args.frontend)
        if self.args.target != "asm" or self.pipeline.passes:
            decode_streams(self.ctx, module, self.get_input_name())
        return module

    def get_input_name(self) -> str:
        return self.args.input_file or "<stdin>"

    def run(self) -> None:
        if self.args.list_passes:
            print(self.pass_list())
            return
        if self.args.pipeline_of is not None:
            name = self.args.pipeline_of
            print(origin_of(load_module(self.ctx, read_file(name), name, "tflite"), name).pipeline)
            return
        data = read_file(self.args.input_file)
        target_spec = parse_spec(self.args.target)
        try:
            target = self.available_targets[target_spec.name]().from_spec(target_spec)  # pyright: ignore
        except ValueError as error:
            raise UserError(f"target {target_spec.name}: {' '.join(str(error).split())}") from None
        if target_spec.name == "mlir":
            target = dataclasses.replace(
                target,
                print_generic_format=self.args.print_op_generic,
                print_properties_as_attributes=self.args.print_no_properties,
                print_debuginfo=self.args.print_debuginfo,
                syntax_highlight=self.args.syntax_highlight,
            )
        chunks = [(data, 0)]
        if self.args.split_input_file:
            parts = data.split(b"// -----")
            lines = accumulate((part.count(b"\n") for part in parts[:-1]), initial=0)
            chunks = list(zip(parts, lines, strict=True))
        outputs: list[bytes] = []
        for chunk, line_offset in chunks:
            try:
                module = self.parse(chunk, line_offset)
                if target_spec.name == "tflite":
                    self.note_origin(module, chunk)
                self.apply_passes(module)
                outputs.append(render(target, self.ctx, module, self.get_input_name()))
            except (ParseError, UserError) as error:
                # Tests of what must be refused ask for the message as the output.
                wanted = (
                    self.args.parsing_diagnostics if isinstance(error, ParseError) else self.args.verify_diagnostics
                )
                line = format_error(error)
                if not wanted:
                    raise UserError(line) from None
                outputs.append(f"{line}\n".encode())
        write_file(self.args.output_file, b"// -----\n".join(outputs))

    def parse(self, data: bytes, line_offset: int) -> ModuleOp:
        """One chunk of the input, parsed and verified."""
        name = self.get_input_name()
        frontend = self.args.frontend
        if frontend == "tflite" or (frontend is None and (name.endswith(".tflite") or data[4:8] == b"TFL3")):
            module = self.load(BytesIO(data))
        else:
            try:
                module = parse_text(self.ctx, data, name, line_offset, not self.args.no_implicit_module)
            except ParseError as error:
                error.span = dataclasses.replace(error.span, line_offset=line_offset)
                raise
        if not self.args.disable_verify:
            verify(module, name)
        return module

    def note_origin(self, module: ModuleOp, data: bytes) -> None:
        """
        Has the file say what made it, unless the module says so itself.

        A compiled file keeps what it says where its streams are only decoded and written again.
        """
        passes = self.passes_for(module)
        if PIPELINE in module.attributes or [one.name for one in passes] in ([], [EMIT]):
            return
        note_origin(module, passes, data if data[4:8] == b"TFL3" else None)

    def apply_passes(self, prog: ModuleOp) -> None:
        """Runs the pipeline; raises UserError that names the reproducer."""
        passes = self.passes_for(prog)
        dump = None
        if self.args.dump_ir is not None:
            from npuc.tools.ir_dump import IrDump

            dump = IrDump(self.args.dump_ir, passes, self.args.inline_constants)
        if dump is not None:
            dump.write(0, "input", prog)
        original = prog.clone() if passes else prog
        started = time.perf_counter()

        def before(index: int, pass_: ModulePass) -> None:
            nonlocal started
            started = time.perf_counter()

        def after(index: int, pass_: ModulePass, module: ModuleOp) -> None:
            if self.args.time_passes:
                note(f"{pass_.name}: {time.perf_counter() - started:.4f} s")
            if dump is not None:
                dump.write(index + 1, pass_.name, module)
            if self.args.print_between_passes and index + 1 < len(passes):
                note(f"// After {pass_.name}:\n{elided_text(module)}")

        try:
            run_passes(
                self.ctx,
                prog,
                passes,
                file=self.get_input_name(),
                verify_each=not self.args.disable_verify,
                before=before,
                after=after,
            )
        except PassFailure as failure:
            if self.args.verify_diagnostics:
                raise UserError(failure.message) from None
            loaded = "".join(f" --load-pass {shlex.quote(path)}" for path in self.args.load_pass)
            path = write_reproducer(failure, passes, original, self.args.dump_ir, loaded)
            raise UserError(f"{failure.message} (reproducer: {path})") from None

    def pass_list(self) -> str:
        """Name, first line of the docstring and options of each of npuc's passes and those loaded from files."""
        lines: list[str] = []
        ours = all_passes()
        own = [name for name in self.available_passes if name in ours or name not in available_passes()]
        for name in sorted(own):
            pass_ = self.available_passes[name]()
            text = pass_.__doc__ if "__doc__" in vars(pass_) else None
            if text is None or text.startswith(pass_.__name__ + "("):  # what dataclass writes
                text = sys.modules[pass_.__module__].__doc__
            summary = (text or "").strip().split("\n")[0]
            lines.append(f"{name}: {summary}")
            for option in get_pass_option_infos(pass_):
                default = f" = {option.default_value}" if option.default_value is not None else ""
                lines.append(f"    {option.name.replace('_', '-')}: {option.expected_type}{default}")
        return "\n".join(lines)


def _passes_by_level() -> str:
    from npuc.tools.pass_help import passes_by_level

    return passes_by_level()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tool; 0, or 1 after one line on standard error."""

    def run() -> int:
        try:
            tool = NpuOptMain("Run passes on a module in MLIR syntax or a TFLite model", arguments)
            tool.run()
            return int(tool.args.shrink)
        except ShrinkException:  # the input still shows what somebody reduces it for
            return 0
        except ArgSpecParseError as error:
            raise UserError(f"target: {str(error).splitlines()[-1].strip()}") from None

    return exit_code("npu-opt", run)


if __name__ == "__main__":
    sys.exit(main())
