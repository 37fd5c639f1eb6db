"""
What the tools share: files to modules, pipelines to passes, passes to results, errors to one line.

Everything that goes wrong for a reason that the user can do something about ends in a `UserError`, whose text
is one line that begins with where: `file:line:column`, or the file and the name of the tensor. A pass that fails also
leaves a reproducer: the module as it was before that pass, and the command that runs the rest of the pipeline on it.
"""

from __future__ import annotations

import argparse
import errno
import math
import os
import re
import stat
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from importlib.util import module_from_spec, spec_from_file_location
from io import StringIO
from itertools import accumulate
from pathlib import Path
from typing import NoReturn, get_args, get_type_hints

from xdsl.context import Context
from xdsl.dialects import get_all_dialects
from xdsl.dialects.builtin import (
    AnyFloat,
    ArrayAttr,
    BytesAttr,
    ComplexType,
    DenseIntOrFPElementsAttr,
    DenseResourceAttr,
    FileLineColLoc,
    FusedLoc,
    IndexType,
    IntAttr,
    IntegerType,
    LocationAttr,
    ModuleOp,
    NameLoc,
    RankedStructure,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import Attribute, Data, Operation, Region, SSAValue
from xdsl.parser import Parser
from xdsl.passes import ModulePass
from xdsl.printer import Printer
from xdsl.transforms import get_all_passes
from xdsl.utils.arg_spec import ArgSpec, parse_pipeline
from xdsl.utils.exceptions import ArgSpecParseError, DiagnosticException, ParseError, ShrinkException, VerifyException
from xdsl.utils.hints import isa, type_repr
from xdsl.utils.lexer import Span
from xdsl.utils.mlir_lexer import MLIRTokenKind, StringLiteral

from npuc.dialects import all_dialects
from npuc.dialects.locations import OperationError
from npuc.dialects.value_names import name_values
from npuc.registry import all_passes
from npuc.tools import process

ELIDED = "__elided__"
"""What stands for the contents of a large constant in text that is only for reading; MLIR's own spelling."""
ELIDE_ABOVE = 64
"""Bytes of a constant, or scales of a type times eight, that are still printed where large ones are elided."""

CONSTANTS_FILE = "constants.npz"
"""Where large constants are that a text names; it lies beside the text."""

MAX_LINKS = 40
"""As many links behind each other as the system follows."""
MAX_ELEMENTS = 1 << 28
"""Elements of a constant in a text: a few bytes of it could ask for any amount of memory."""


class UserError(Exception):
    """An error that the user can do something about; the text is one line that says where and what."""


def refuse_arguments(message: str) -> NoReturn:
    """What a command line's parser does with arguments that it cannot take: one line, as for any other error."""
    raise UserError(f"{_one_line(message)} (see --help)")


def command_line(prog: str, description: str) -> argparse.ArgumentParser:
    """A parser for a tool's arguments."""
    parser = argparse.ArgumentParser(prog, description=description)
    adopt(parser)
    return parser


def adopt(parser: argparse.ArgumentParser) -> None:
    """Has a parser raise UserError for wrong arguments, and OSError where its help cannot be written."""
    parser.error = refuse_arguments
    parser._print_message = lambda message, file=None: print(message, end="", file=file, flush=True)  # pyright: ignore


def exit_code(prog: str, run: Callable[[], int | None]) -> int:
    """
    What a tool exits with: what `run` returns, 0 for None; 1 after one line on standard error for a UserError, or where
    standard output cannot be written. A reader that went away is no error of ours: no word, and the code of SIGPIPE.
    """
    process.open_standard_streams()
    try:
        try:
            code = run() or 0
        except SystemExit as done:  # of --help and the like
            code = done.code if isinstance(done.code, int) else 0
        sys.stdout.flush()
    except UserError as error:
        note(f"{prog}: error: {error}")
        code = 1
    except BrokenPipeError:
        code = process.PIPE_CLOSED
    except OSError as error:  # what is a file's is a UserError
        note(f"{prog}: error: standard output: {error.strerror}")
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # do not complain again when Python flushes
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    process.ended(code)
    return code


def note(text: str, end: str = "\n") -> None:
    """Says something on standard error; where that cannot be written there is nobody to tell."""
    with suppress(OSError):
        print(text, end=end, file=sys.stderr, flush=True)


@contextmanager
def progress(text: str) -> Generator[None, None, None]:
    """Shows on a terminal what goes on meanwhile."""
    shown = sys.stderr.isatty()
    if shown:
        note(f"{process.CLEAR_LINE}{text}", end="")
    try:
        yield
    finally:
        if shown:
            note(process.CLEAR_LINE, end="")


# Text in and out


class ElidingPrinter(Printer):
    """Prints large constants as `dense_resource<__elided__>` and long lists of scales with dots, for people to read."""

    def print_attribute(self, attribute: Attribute) -> None:
        if isinstance(attribute, DenseIntOrFPElementsAttr):
            if len(attribute.data.data) > ELIDE_ABOVE:
                self.print_string(f"dense_resource<{ELIDED}> : ")
                self.print_attribute(attribute.type)
                return
        elif isinstance(attribute, Data):
            data = attribute.data
            if isinstance(data, bytes) and len(data) > ELIDE_ABOVE and not isinstance(attribute, BytesAttr):
                self.print_string(f"#{attribute.name}<{ELIDED}>")
                return
            if attribute.name == "quant.uniform":
                text = str(attribute)
                self.print_string(re.sub(r"\{([^,]*, [^,]*, )([^}]*,){6}[^}]*\}", r"{\1...}", text))
                return
        super().print_attribute(attribute)


class LocatingParser(Parser):
    """
    xDSL's parser, but operations get the place in the text as their location where they carry none of their own,
    names may be in any script, and elided constants are an error.
    """

    def __init__(self, ctx: Context, text: str, name: str, line_offset: int = 0):
        super().__init__(ctx, text, name)
        self._file = StringAttr(name)
        self._line_offset = line_offset
        self._operation_start = 0
        self._constants: dict[str, bytes] | None = None
        self._line_starts = list(accumulate((len(line) for line in text.splitlines(keepends=True)), initial=0))

    def parse_operation(self) -> Operation:
        start = self._operation_start = self._current_token.span.start
        op = super().parse_operation()
        if isinstance(op.location, UnknownLoc):
            line = bisect_right(self._line_starts, start)
            column = start - self._line_starts[line - 1] + 1
            op.location = FileLineColLoc(self._file, IntAttr(line + self._line_offset), IntAttr(column))
        return op

    def _get_op_by_name(self, name: str) -> type[Operation]:
        try:
            return super()._get_op_by_name(name)
        except ParseError as error:  # it would point behind the operation's name
            start = self._operation_start
            error.span = Span(start, start + 1, self.lexer.input)
            raise

    def parse_optional_str_literal(self) -> str | None:
        # xDSL's lexer takes a string with escaped bytes beyond ASCII for raw bytes; names are UTF-8.
        if self._current_token.kind == MLIRTokenKind.BYTES_LIT:
            data = StringLiteral.from_span(self._current_token.span).bytes_contents
            try:
                text = data.decode()
            except UnicodeDecodeError:
                return None
            self._consume_token(MLIRTokenKind.BYTES_LIT)
            return text
        return super().parse_optional_str_literal()

    def _parse_optional_string_attr(self) -> StringAttr | None:
        text = self.parse_optional_str_literal()
        return None if text is None else StringAttr(text)

    def _parse_dense_literal_type(self) -> RankedStructure[IntegerType | IndexType | AnyFloat | ComplexType]:
        type_ = super()._parse_dense_literal_type()
        if math.prod(type_.get_shape()) > MAX_ELEMENTS:  # `dense<0>` would make them all
            self.raise_error(f"a constant may have at most {MAX_ELEMENTS} elements")
        return type_

    def _parse_builtin_dense_resource_attr(self) -> DenseResourceAttr:
        start = self.pos
        if known := _CONSTANT.match(self.lexer.input.content, start):
            return self._constant(known[1])  # pyright: ignore[reportReturnType]
        attr = super()._parse_builtin_dense_resource_attr()
        if ELIDED in attr.resource_handle.data:
            self.raise_error("the value of this constant was left out when the file was printed", start, self.pos)
        return attr

    def _constant(self, name: str) -> DenseIntOrFPElementsAttr:
        """`<constant_3> : type`, whose contents are in the file beside the text."""
        start = self.pos
        self.parse_characters("<")
        self.parse_identifier()
        self.parse_characters(">")
        self.parse_characters(":")
        type_ = self._parse_dense_literal_type()
        path = Path(self._file.data).with_name(CONSTANTS_FILE)
        if self._constants is None:
            self._constants = read_constants(path)
        data = self._constants.get(name)
        if data is None:
            self.raise_error(f"{name} is in no {path}", start, self.pos)
        element = type_.get_element_type()
        if len(data) != math.prod(type_.get_shape()) * getattr(element, "compile_time_size", 0):
            self.raise_error(f"{name} in {path} has other than the bytes of {type_}", start, self.pos)
        return DenseIntOrFPElementsAttr(type_, BytesAttr(data))


_CONSTANT = re.compile(r"\s*<\s*(constant_\d+)\s*>")


def constant_name(number: int) -> str:
    """What a text calls the constant of a number whose contents are in `CONSTANTS_FILE`."""
    return f"constant_{number}"


def read_constants(path: Path) -> dict[str, bytes]:
    """The contents of constants by their names; none where there is no such file. Raises UserError."""
    import zipfile

    import numpy as np

    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name].tobytes() for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split()) or 'it holds no constants'}") from None


def make_context(allow_unregistered: bool = False) -> Context:
    """A context that knows xDSL's dialects and ours, ours first (`tosa`); none is imported before it is used."""
    ctx = Context(allow_unregistered=allow_unregistered)
    for name, factory in (get_all_dialects() | all_dialects()).items():
        ctx.register_dialect(name, factory)
    return ctx


def parse_text(
    ctx: Context, data: bytes, name: str, line_offset: int = 0, allow_implicit_module: bool = True
) -> ModuleOp:
    """The module that a text in MLIR syntax holds; raises xDSL's ParseError, and UserError for what has no such."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: byte {error.start} is not UTF-8 text, nor is the file a TFLite model") from None
    parser = LocatingParser(ctx, text, name, line_offset)
    try:
        return parser.parse_module(allow_implicit_module)
    except RecursionError:
        raise UserError(f"{name}: nested too deeply") from None
    except (NotImplementedError, ValueError) as error:  # the latter for a number that its type cannot hold
        message = str(error)
    except DiagnosticException as error:  # an attribute that does not verify
        message = str(error)
    where = Span(parser.pos, parser.pos, parser.lexer.input, line_offset).get_location()
    raise UserError(f"{where.file}:{where.line}:{where.col}: {_one_line(message)}")


def load_module(ctx: Context, data: bytes, name: str, frontend: str | None = None) -> ModuleOp:
    """
    The module of a file's bytes, in MLIR syntax or a TFLite model.

    `frontend` is `mlir`, `tflite`, or None to go by the name's extension and the bytes. Raises UserError.
    """
    if frontend is None:
        frontend = "tflite" if name.endswith(".tflite") or data[4:8] == b"TFL3" else "mlir"
    if frontend == "mlir":
        try:
            return parse_text(ctx, data, name)
        except ParseError as error:
            raise UserError(format_error(error)) from None
    from npuc.lowering.tflite.import_tflite import import_tflite
    from npuc.lowering.tflite.tflite_schema import TFLiteError

    try:
        return import_tflite(data)
    except TFLiteError as error:
        raise UserError(format_error(error, name)) from None


def decode_streams(ctx: Context, module: ModuleOp, name: str) -> None:
    """
    Turns `ethos-u` operators, which a compiled file has, into NPU programs; raises UserError. Where only what the file
    says about its commands is damaged, they have no names, and a line on standard error says why.
    """
    from npuc.dialects.tfl import CustomOp

    if not any(isinstance(op, CustomOp) for op in module.walk()):
        return
    from npuc.lowering.convert_tfl_to_npu_cmd import DAMAGED_SOURCES, ConvertTflToNpuCmdPass

    try:
        ConvertTflToNpuCmdPass().apply(ctx, module)
    except DiagnosticException as error:
        raise UserError(format_error(error, name)) from None
    problem = module.attributes.pop(DAMAGED_SOURCES, None)
    if isinstance(problem, StringAttr):
        note(f"{name}: warning: {problem.data}, so that commands have no names")


def read_file(path: str | None) -> bytes:
    """The bytes of a file, or of standard input where `path` is None; raises UserError."""
    try:
        return sys.stdin.buffer.read() if path is None else Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{'<stdin>' if path is None else path}: {error.strerror}") from None


def make_folder(path: Path) -> None:
    """Makes a folder and those around it, as far as they are not there; raises UserError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def write_file(path: str | None, data: bytes) -> None:
    """
    Writes all bytes to a file, or to standard output where `path` is None; raises UserError.

    The file appears whole or not at all.
    """
    if path is not None:
        write_files([(Path(path), data)])
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_files(files: Sequence[tuple[Path, bytes]]) -> None:
    """
    Writes files, all of them whole or none; raises UserError.

    The bytes go to neighbours first, which take the files' names when all are written. Links stay, and what they name
    is written; a file that is there keeps its mode. What is no file, such as a pipe, is written as it stands.
    """
    parts: list[tuple[str, str]] = []
    path = Path()
    try:
        for number, (path, data) in enumerate(files):
            descriptor = descriptor_of(path)
            if descriptor is not None:
                sys.stdout.flush()
                with open(descriptor, "wb", closefd=False) as stream:
                    stream.write(data)
                continue
            target, mode = _target(path)
            if any(target == other for _, other in parts):
                raise UserError(f"{path}: two outputs would be this file")
            if mode is not None and not stat.S_ISREG(mode):
                Path(target).write_bytes(data)
                continue
            part = str(Path(target).with_name(f".npuc-{os.getpid()}-{number}.part"))
            parts.append((part, target))
            process.begin(part)
            Path(part).write_bytes(data)
            if mode is not None:
                os.chmod(part, stat.S_IMODE(mode))
        with process.signals_held():
            for part, target in parts:
                os.replace(part, target)
                process.finish(part)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    finally:
        for part, _ in parts:
            with suppress(OSError):  # what has its name, or could not be written, is not there
                os.unlink(part)
            process.finish(part)


def _target(path: Path) -> tuple[str, int | None]:
    """The file that a path names behind all links, and its mode where there is one; raises OSError."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:  # also behind a link, which is then where the file is to be
        return os.path.realpath(path), None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return os.path.realpath(path), mode


def descriptor_of(path: Path) -> int | None:
    """Which open file of the process a path such as /dev/stdout names; None for the path of a file."""
    name = str(path)
    for _ in range(MAX_LINKS):
        folder = os.path.realpath(os.path.dirname(name) or ".")
        if folder in (f"/proc/{os.getpid()}/fd", "/dev/fd"):
            return int(os.path.basename(name)) if os.path.basename(name).isdigit() else None
        if not os.path.islink(name):
            return None
        name = os.path.join(folder, os.readlink(name))
    return None


def elided_text(module: ModuleOp) -> str:
    """The module as people read it: large constants and long lists of scales left out, values named."""
    name_values(module)
    out = StringIO()
    ElidingPrinter(stream=out).print_op(module)
    return out.getvalue() + "\n"


# Errors


def describe_location(location: LocationAttr, file: str | None = None) -> str:
    """`file:line:column`, or the file and the tensor's name, as far as they are known."""
    match location:
        case FileLineColLoc() if location.filename.data != "tflite":
            return f"{location.filename.data}:{location.line.data}:{location.column.data}"
        case NameLoc():
            parts = [file, f"'{location.desc.data}'"]
        case FusedLoc():
            inner = location.locations.data if isinstance(location.locations, ArrayAttr) else ()
            parts = [file, *(f"'{item.desc.data}'" for item in inner[:1] if isinstance(item, NameLoc))]
        case _:
            parts = [file]
    return ": ".join(part for part in parts if part)


def format_error(error: BaseException, file: str | None = None, doing: str = "") -> str:
    """
    One line for an error of parsing, verifying or transforming, which begins with where: the place and name of an
    operation as far as the error knows one, else `file`. `doing` is what was being done, behind the place.
    """
    if isinstance(error, ParseError):
        where = error.span.get_location()
        return f"{where.file}:{where.line}:{where.col}: {_one_line(error.msg)}"
    if isinstance(error, OperationError):
        parts = [describe_location(error.op.location, file), doing, f"'{error.op.name}'", _one_line(error.reason)]
    else:
        parts = [file, doing, _one_line(str(error))]
    return ": ".join(part for part in parts if part)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def verify(module: ModuleOp, file: str | None = None) -> None:
    """Verifies the module; raises UserError that names the first operation at fault."""
    try:
        _verify(module)
    except OperationError as error:
        raise UserError(format_error(error, file)) from None


def _verify(module: ModuleOp) -> None:
    _refuse_undefined(module)  # first, for what verifies an operation follows its operands
    # Not `module.verify()`, because that prints the whole module into the exception, weights and all. Errors that
    # need the enclosing operations are found when these are verified, each without its regions.
    for op in _inner_first(module):
        try:
            op.verify(verify_nested_ops=False)
        except VerifyException as error:
            message = _one_line(str(error)).removeprefix("Operation does not verify: ")
            raise OperationError(op, message) from None


def _inner_first(op: Operation) -> Iterator[Operation]:
    """Each operation after those in its regions, which it may rely on when it is verified."""
    for region in op.regions:
        for block in region.blocks:
            for inner in block.ops:
                yield from _inner_first(inner)
    yield op


def _refuse_undefined(module: ModuleOp) -> None:
    """
    Refuses operands that stand later than their use, or in a region that does not enclose it; xDSL asks neither.

    Of values from other blocks of the same region it is not asked whether control flow comes by them first.
    """
    defined: set[SSAValue] = set()

    def visit(region: Region) -> None:
        blocks = list(region.blocks)
        defined.update(argument for block in blocks for argument in block.args)
        if len(blocks) > 1:
            defined.update(result for block in blocks for op in block.ops for result in op.results)
        for block in blocks:
            if len(blocks) > 1:
                defined.difference_update(result for op in block.ops for result in op.results)
            for op in block.ops:
                for index, value in enumerate(op.operands):
                    if value not in defined:
                        raise OperationError(op, _undefined(op, index))
                for nested in op.regions:
                    visit(nested)
                defined.update(op.results)
        for block in blocks:
            defined.difference_update(block.args)
            for op in block.ops:
                defined.difference_update(op.results)

    for region in module.regions:
        visit(region)


def _undefined(op: Operation, index: int) -> str:
    """Why an operand of `op` has no value there."""
    value = op.operands[index]
    owner = value.owner
    name = f" %{value.name_hint}" if value.name_hint else ""
    source = f"'{owner.name}'" if isinstance(owner, Operation) else "a block"
    block = owner.parent if isinstance(owner, Operation) else owner
    around = op.parent
    while around is not None and around is not block:
        around = around.parent_block()
    why = "does not enclose it" if around is None else "gives it later"
    return f"operand {index}{name} is used where it is not defined: {source} {why}"


# Pipelines


def load_pass_file(path: str) -> dict[str, Callable[[], type[ModulePass]]]:
    """The passes that a Python file defines, by name; raises UserError."""
    spec = spec_from_file_location(f"npuc_loaded_{Path(path).stem}", path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise UserError(f"{path}: no such Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever somebody else's file may raise
        raise UserError(f"{path}: {type(error).__name__}: {_one_line(str(error))}") from None
    found = {
        value.name: value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ModulePass) and value.__module__ == spec.name
    }
    if not found:
        raise UserError(f"{path}: defines no pass")
    return {name: _constant_factory(pass_) for name, pass_ in found.items()}


def _constant_factory(pass_: type[ModulePass]) -> Callable[[], type[ModulePass]]:
    return lambda: pass_


def available_passes() -> dict[str, Callable[[], type[ModulePass]]]:
    """Name -> factory of xDSL's passes and ours."""
    return get_all_passes() | all_passes()


def parse_passes(pipeline: str, available: Mapping[str, Callable[[], type[ModulePass]]]) -> tuple[ModulePass, ...]:
    """The passes of a pipeline's text; raises UserError that says at which column of the text it is wrong."""
    passes: list[ModulePass] = []
    position = 0
    try:
        for spec in parse_pipeline(pipeline):
            position = pipeline.index(spec.name, position)
            where = f"pipeline:1:{position + 1}"
            position += len(spec.name)
            if spec.name not in available:
                import difflib

                close = difflib.get_close_matches(spec.name, available, 1)
                hint = f", did you mean {close[0]}?" if close else ""
                raise UserError(f"{where}: unknown pass {spec.name}{hint}")
            pass_ = available[spec.name]()
            problem = _option_problem(pass_, spec)
            if problem is not None:
                raise UserError(f"{where}: {spec.name}: {problem}")
            try:
                passes.append(pass_.from_pass_spec(spec))
            except ValueError as error:  # one is missing, or a value that the pass itself refuses
                raise UserError(f"{where}: {spec.name}: {_one_line(str(error))}") from None
    except ArgSpecParseError as error:
        # "... specification:", "pass-pipeline:1:7", the text, the carets, the message
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise UserError(f"{lines[1].replace('pass-pipeline', 'pipeline')}: {lines[-1].strip()}") from None
    return tuple(passes)


def _option_problem(pass_: type[ModulePass], spec: ArgSpec) -> str | None:
    """Which option a pass does not have, or not with such a value; xDSL's own message does not say which."""
    types = get_type_hints(pass_)
    names = [field.name for field in fields(pass_) if field.init]
    for name, values in spec.normalize_parameter_names().parameters.items():
        shown = name.replace("_", "-")
        if name not in names:
            has = f"it has {', '.join(other.replace('_', '-') for other in names)}" if names else "it has none"
            return f"no option {shown}: {has}"
        wanted = types[name]
        if not values and type(None) in get_args(wanted):
            continue
        # To Python a bool is an int.
        flag = any(isinstance(value, bool) for value in values) and "bool" not in type_repr(wanted)
        if flag or not (isa(values, wanted) or (len(values) == 1 and isa(values[0], wanted))):
            text = str(ArgSpec("", {shown: values})).removeprefix("{").removesuffix("}")
            return f"option {text}: the value must be of type {type_repr(wanted).removeprefix('typing.')}"
    return None


def pipeline_text(passes: Sequence[ModulePass]) -> str:
    """The text that `parse_passes` turns into these passes."""
    return ",".join(str(pass_) for pass_ in passes)


@dataclass
class PassFailure(Exception):
    """A pass raised, or left a module that does not verify."""

    index: int
    """Which pass of the pipeline."""
    message: str
    """One line."""
    details: str
    """The traceback where the fault is the compiler's; else empty."""


AfterPass = Callable[[int, ModulePass, ModuleOp], None]
"""Called after each pass with its index, the pass and the module."""


def run_passes(
    ctx: Context,
    module: ModuleOp,
    passes: Sequence[ModulePass],
    *,
    file: str | None = None,
    verify_each: bool = True,
    before: Callable[[int, ModulePass], None] | None = None,
    after: AfterPass | None = None,
) -> None:
    """Applies the passes in order; `after` sees the module once it is verified. Raises PassFailure."""
    for index, pass_ in enumerate(passes):
        if before is not None:
            before(index, pass_)
        try:
            pass_.apply(ctx, module)
        except ShrinkException:
            raise
        except DiagnosticException as error:
            raise PassFailure(index, format_error(error, file, pass_.name), "") from error
        except Exception as error:  # a fault of ours: one line for the user, the traceback into the reproducer
            import traceback

            doing = f"{pass_.name}: internal error: {type(error).__name__}"
            raise PassFailure(index, format_error(error, file, doing), traceback.format_exc()) from error
        if verify_each:
            try:
                _verify(module)
            except OperationError as error:
                doing = f"the module does not verify after {pass_.name}"
                raise PassFailure(index, format_error(error, file, doing), "") from error
        if after is not None:
            after(index, pass_, module)


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
