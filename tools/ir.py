"""Modules from text in MLIR syntax or TFLite models, and text from modules."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from io import StringIO
from itertools import accumulate
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects import get_all_dialects
from xdsl.dialects.builtin import (
    AnyFloat,
    BytesAttr,
    ComplexType,
    DenseIntOrFPElementsAttr,
    DenseResourceAttr,
    FileLineColLoc,
    IndexType,
    IntAttr,
    IntegerType,
    ModuleOp,
    RankedStructure,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import Attribute, Data, Operation
from xdsl.parser import Parser
from xdsl.parser.generic_parser import ParserState
from xdsl.printer import Printer
from xdsl.utils.exceptions import DiagnosticException, ParseError
from xdsl.utils.lexer import Input, Span
from xdsl.utils.mlir_lexer import MLIRLexer, MLIRTokenKind, StringLiteral

from npuc.dialects import all_dialects
from npuc.dialects.value_names import name_values
from npuc.tools.command_line import note
from npuc.tools.errors import UserError, format_error, one_line
from npuc.tools.files import read_arrays

ELIDED = "__elided__"
"""What stands for the contents of a large constant in text that is only for reading; MLIR's own spelling."""


CONSTANTS_FILE = "constants.npz"
"""Where large constants are that a text names; it lies beside the text."""


ELIDE_ABOVE = 64
"""Bytes of a constant, or scales of a type times eight, that are still printed where large ones are elided."""


MAX_ELEMENTS = 1 << 28
"""Elements of a constant in a text: a few bytes of it could ask for any amount of memory."""


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


class _Lexer(MLIRLexer):
    """xDSL's, but what it needs for a string without an end grows with its length, not exponentially."""

    _unescaped_characters_regex = re.compile(r'"[^"\\\n\v\f]*(?:\\(?:["nt\\]|[0-9A-Fa-f]{2})[^"\\\n\v\f]*)*"')


class LocatingParser(Parser):
    """
    xDSL's parser, but operations get the place in the text as their location where they carry none of their own,
    names may be in any script, and elided constants are an error.
    """

    def __init__(self, ctx: Context, text: str, name: str, line_offset: int = 0):
        super().__init__(ctx, "", name)
        self._parser_state = ParserState(_Lexer(Input(text, name)))
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
    return {name: values.tobytes() for name, values in read_arrays(path).items()} if path.exists() else {}


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
    raise UserError(f"{where.file}:{where.line}:{where.col}: {one_line(message)}")


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


def elided_text(module: ModuleOp) -> str:
    """The module as people read it: large constants and long lists of scales left out, values named."""
    name_values(module)
    out = StringIO()
    ElidingPrinter(stream=out).print_op(module)
    return out.getvalue() + "\n"
