"""
What the levels below `tosa` share: the target, memory spaces, buffers and the vocabulary of one kernel launch.

    module attributes {npu.target = #npu.target<"ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram">} {
      func.func @main(%x: tensor<1x8x8x4xi8>) -> tensor<1x8x8x4xi8> {
        %y = npu.invoke @npu_0(%x) : (tensor<1x8x8x4xi8>) -> tensor<1x8x8x4xi8>

An NPU region is an outlined function that carries the unit attribute `npu.region`; the host reaches it
through `npu.invoke` and nothing else. Attributes of a kernel hold frozen dataclasses, so that planners
work on plain data, and print without their `#npu.` prefix inside the operations that own them:
`window <3x3, stride 2x2, pad 0 0 1 1>`.

Shapes are height x width x depth throughout, padding is top left bottom right, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, Self, TypeVar, cast, get_args

from xdsl.dialects.builtin import (
    ArrayAttr,
    IntAttr,
    IntegerType,
    ModuleOp,
    Signedness,
    StringAttr,
    SymbolRefAttr,
    UnitAttr,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Data, Dialect, Operation, ParametrizedAttribute, SSAValue, TypeAttribute
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    prop_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from npuc.hardware.accelerators import Block, accelerator
from npuc.hardware.memory import Area

Space = Literal["read_only", "arena", "fast", "external", "shram"]
"""
Where a buffer lives: constants (base pointer 0), the arena (1), a dedicated SRAM (2), memory of the application that
an input of the network lies in (3 and up, one for each operand of the region), or the table area in SHRAM.
"""

EXTERNAL_REGIONS = range(3, 8)
"""The base pointers of the operands of a region, in order: no more than so many can lie outside of the arena."""

AREAS: dict[Space, Area] = {"read_only": "constants", "arena": "arena", "fast": "cache", "external": "external"}
"""What each memory space is called in a memory setup."""

Layout = Literal["nhwc", "nhcwb16"]
"""Linear, or bricks of 16 channels: row -> brick -> column -> channel."""

FeatureMapSpace = Literal["arena", "fast", "external"]
"""The memories of feature maps; what is external is only read."""

Rounding = Literal["double_round", "truncate", "natural"]
"""`double_round` is TFLite's rounding in two steps, `natural` rounds half up once, `truncate` towards zero."""

Upscale = Literal["none", "nearest", "zeros"]
"""What the NPU does to the IFM before the window: nothing, repeat 2x2, or insert zeros 2x2."""

Function = Literal["none", "tanh", "sigmoid", "table"]

REGION_ATTR = "npu.region"
PARTITIONED_ATTR = "npu.partitioned"
"""On a module in which the functions without `npu.region` are the host's, even if there is no other."""
TARGET_ATTR = "npu.target"
TRANSFER_LIMIT_ATTR = "npu.transfer_limit"
"""On a region or its program: bytes of the scarce memory that transfers which are issued early keep to."""
FORWARDS_ATTR = "npu.transfers_forwards"
"""On a region or its program: transfers are given time in the order in which they are needed, not the last first."""
ORDERED_ATTR = "npu.kernels_ordered"
"""On a region: its kernels stand in the order in which they are to run, which `npu-schedule-order-kernels` keeps."""
LIMIT_ATTR = "npu.sram_limit"
"""On an NPU region and its program: the bytes of the arena that its schedule may take."""
LEAST_ATTR = "npu.least_sram"
"""On a module: bytes of the scarce memory in which its regions could run, cut into the best cascades."""
MISSED_ATTR = "npu.sram_limit_missed"
"""On an allocated module whose arena is larger than that: by how many bytes."""


# ---------------------------------------------------------------------------------------------------------------------
# Plain data
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Element:
    """Type of one element of a feature map: 8, 16 or 32 bit, signed or not."""

    bits: int
    signed: bool

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.bits // 8

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest value."""
        return (-(1 << self.bits - 1), (1 << self.bits - 1) - 1) if self.signed else (0, (1 << self.bits) - 1)

    @staticmethod
    def of(type_: Attribute) -> Element:
        """The element of an integer type: `i8` is signed, `ui8` unsigned."""
        if not isinstance(type_, IntegerType) or type_.width.data not in (8, 16, 32):
            raise VerifyException(f"the NPU has no element type {type_}")
        return _ELEMENTS[type_.width.data, type_.signedness.data != Signedness.UNSIGNED]

    @property
    def type(self) -> IntegerType:
        """The builtin type: `i8` for signed, `ui8` for unsigned."""
        return IntegerType(self.bits, Signedness.SIGNLESS if self.signed else Signedness.UNSIGNED)

    def __str__(self) -> str:
        return f"{'i' if self.signed else 'ui'}{self.bits}"


_ELEMENTS = {(bits, signed): Element(bits, signed) for bits in (8, 16, 32) for signed in (False, True)}


@dataclass(frozen=True)
class Window:
    """
    The window that a kernel slides over its (upscaled, padded) IFM. The kernel size is undilated; padding is in
    rows and columns of the upscaled IFM.
    """

    height: int = 1
    width: int = 1
    stride_y: int = 1
    stride_x: int = 1
    dilation_y: int = 1
    dilation_x: int = 1
    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    upscale: Upscale = "none"

    @property
    def dilated_height(self) -> int:
        """Rows that one window spans."""
        return (self.height - 1) * self.dilation_y + 1

    @property
    def dilated_width(self) -> int:
        """Columns that one window spans."""
        return (self.width - 1) * self.dilation_x + 1


@dataclass(frozen=True)
class Scale:
    """
    From accumulator to OFM: `round(acc * multiplier >> shift)`. Multiplier and shift are None where each channel
    has its own, in the scale stream.
    """

    rounding: Rounding = "double_round"
    multiplier: int | None = None
    shift: int | None = None


@dataclass(frozen=True)
class OperandScales:
    """
    How ADD and SUB scale their operands: `both` with 16 bits each, or `ifm` / `ifm2` alone with
    `multiplier >> shift` at full width while the other is shifted left by the hardware. `a` is the IFM's where there
    are two; IFM and IFM2 are meant as the launch names them, also where it reverses them.
    """

    which: Literal["both", "ifm", "ifm2"]
    a: int
    b: int = 0
    shift: int = 0


@dataclass(frozen=True)
class Activation:
    """What follows scaling and zero point: clamp to [low, high], then possibly a function or a table."""

    low: int
    high: int
    function: Function = "none"


# ---------------------------------------------------------------------------------------------------------------------
# Attributes: one dataclass each, with a syntax of its own
# ---------------------------------------------------------------------------------------------------------------------

PayloadT = TypeVar("PayloadT")


class Payload(Data[PayloadT], Generic[PayloadT]):
    """An attribute around a frozen dataclass; subclasses read and write what stands between the angle brackets."""

    keyword: ClassVar[str]

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> PayloadT:
        with parser.in_angle_brackets():
            return cls.read(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(self.text())

    @classmethod
    def read(cls, parser: AttrParser) -> PayloadT:
        """Parse the text between the brackets."""
        raise NotImplementedError(cls.name)

    def text(self) -> str:
        """The text between the brackets."""
        raise NotImplementedError(self.name)

    @classmethod
    def parse_bare(cls, parser: AttrParser) -> Self:
        """Parse `<...>` without the `#npu.name` prefix."""
        return cls.new(cls.parse_parameter(parser))


def within(what: str, value: int, low: int, high: int) -> None:
    """Raises VerifyException unless low <= value <= high: what a register cannot hold no attribute says."""
    if not low <= value <= high:
        raise VerifyException(f"{what} {value} is not from {low} to {high}")


def read_dims(parser: AttrParser, count: int) -> tuple[int, ...]:
    """Read `3x3` or `16x16x16`: exactly `count` numbers."""
    dims = [parser.parse_shape_dimension(allow_dynamic=False)]
    for _ in range(count - 1):
        parser.parse_shape_delimiter()
        dims.append(parser.parse_shape_dimension(allow_dynamic=False))
    return tuple(dims)


def read_word(parser: AttrParser, words: tuple[str, ...], what: str) -> str:
    """Read one of `words`; anything else is an error that names `what` was wanted."""
    word = parser.parse_optional_keyword_in(words)
    if word is None:
        parser.raise_error(f"expected {what}: one of {', '.join(words)}")
    return word


@irdl_attr_definition
class WindowAttr(Payload[Window]):
    """`#npu.window<3x3, stride 2x2, dilation 2x2, pad 0 0 1 1, upscale nearest>`"""

    name = "npu.window"

    @classmethod
    def read(cls, parser: AttrParser) -> Window:
        height, width = read_dims(parser, 2)
        stride = dilation = (1, 1)
        pad: tuple[int, ...] = (0, 0, 0, 0)
        upscale = "none"
        while parser.parse_optional_punctuation(","):
            match read_word(parser, ("stride", "dilation", "pad", "upscale"), "a property of the window"):
                case "stride":
                    stride = read_dims(parser, 2)
                case "dilation":
                    dilation = read_dims(parser, 2)
                case "pad":
                    pad = tuple(parser.parse_integer(allow_boolean=False) for _ in range(4))
                case _:
                    upscale = read_word(parser, get_args(Upscale), "an upscale mode")
        return Window(*(height, width, *stride, *dilation, *pad), upscale=cast(Upscale, upscale))

    def text(self) -> str:
        w = self.data
        out = f"{w.height}x{w.width}"
        if (w.stride_y, w.stride_x) != (1, 1):
            out += f", stride {w.stride_y}x{w.stride_x}"
        if (w.dilation_y, w.dilation_x) != (1, 1):
            out += f", dilation {w.dilation_y}x{w.dilation_x}"
        if any((w.top, w.left, w.bottom, w.right)):
            out += f", pad {w.top} {w.left} {w.bottom} {w.right}"
        if w.upscale != "none":
            out += f", upscale {w.upscale}"
        return out

    def verify(self) -> None:
        w = self.data
        for what, values, low in (
            ("window size", (w.height, w.width), 1),
            ("stride", (w.stride_y, w.stride_x), 1),
            ("dilation", (w.dilation_y, w.dilation_x), 1),
            ("padding", (w.top, w.left, w.bottom, w.right), 0),
        ):
            for value in values:
                within(what, value, low, 1 << 16)


@irdl_attr_definition
class ScaleAttr(Payload[Scale]):
    """`#npu.scale<per_channel, double_round>` or `#npu.scale<1073741824, shift 35, natural>`"""

    name = "npu.scale"

    @classmethod
    def read(cls, parser: AttrParser) -> Scale:
        multiplier = shift = None
        if not parser.parse_optional_keyword("per_channel"):
            multiplier = parser.parse_integer(allow_boolean=False)
            parser.parse_punctuation(",")
            parser.parse_keyword("shift")
            shift = parser.parse_integer(allow_boolean=False)
        parser.parse_punctuation(",")
        return Scale(cast(Rounding, read_word(parser, get_args(Rounding), "a rounding mode")), multiplier, shift)

    def text(self) -> str:
        s = self.data
        amount = "per_channel" if s.multiplier is None else f"{s.multiplier}, shift {s.shift}"
        return f"{amount}, {s.rounding}"

    def verify(self) -> None:
        within("multiplier", self.data.multiplier or 0, 0, (1 << 32) - 1)
        within("shift", self.data.shift or 0, 0, 63)


@irdl_attr_definition
class OperandScalesAttr(Payload[OperandScales]):
    """`#npu.operand_scales<both 32768 32768>` or `#npu.operand_scales<ifm 1623821475, shift 13>`"""

    name = "npu.operand_scales"

    @classmethod
    def read(cls, parser: AttrParser) -> OperandScales:
        which = read_word(parser, ("both", "ifm", "ifm2"), "the scaled operand")
        a = parser.parse_integer(allow_boolean=False)
        if which == "both":
            return OperandScales("both", a, parser.parse_integer(allow_boolean=False))
        parser.parse_punctuation(",")
        parser.parse_keyword("shift")
        return OperandScales("ifm" if which == "ifm" else "ifm2", a, shift=parser.parse_integer(allow_boolean=False))

    def text(self) -> str:
        s = self.data
        return f"both {s.a} {s.b}" if s.which == "both" else f"{s.which} {s.a}, shift {s.shift}"

    def verify(self) -> None:
        s = self.data
        for scale in (s.a, s.b):
            within("operand scale", scale, 0, (1 << (16 if s.which == "both" else 32)) - 1)
        within("shift", s.shift, 0, 63)


@irdl_attr_definition
class ActivationAttr(Payload[Activation]):
    """`#npu.activation<-128, 127>` or `#npu.activation<table, -128, 127>`"""

    name = "npu.activation"

    @classmethod
    def read(cls, parser: AttrParser) -> Activation:
        function = parser.parse_optional_keyword_in(("tanh", "sigmoid", "table"))
        if function is not None:
            parser.parse_punctuation(",")
        low = parser.parse_integer(allow_boolean=False)
        parser.parse_punctuation(",")
        high = parser.parse_integer(allow_boolean=False)
        return Activation(low, high, cast(Function, function or "none"))

    def text(self) -> str:
        a = self.data
        return ("" if a.function == "none" else f"{a.function}, ") + f"{a.low}, {a.high}"

    def verify(self) -> None:
        if self.data.low > self.data.high:
            raise VerifyException(f"empty clamp range {self.data.low}..{self.data.high}")


@irdl_attr_definition
class BlockAttr(Payload[Block]):
    """`#npu.block<16x16x16>`: the part of the OFM that the NPU computes at a time, height x width x depth"""

    name = "npu.block"

    @classmethod
    def read(cls, parser: AttrParser) -> Block:
        return Block(*read_dims(parser, 3))

    def text(self) -> str:
        return str(self.data)

    def verify(self) -> None:
        for size in self.data:
            within("block size", size, 1, 1 << 16)


@irdl_attr_definition
class IntsAttr(Payload[tuple[int, ...]]):
    """`#npu.ints<-1, -128>`: zero points, stripe heights, slice boundaries; the owner says which."""

    name = "npu.ints"

    @classmethod
    def read(cls, parser: AttrParser) -> tuple[int, ...]:
        values = [parser.parse_integer(allow_boolean=False)]
        while parser.parse_optional_punctuation(","):
            values.append(parser.parse_integer(allow_boolean=False))
        return tuple(values)

    def text(self) -> str:
        return ", ".join(map(str, self.data))


@irdl_attr_definition
class LayoutAttr(ParametrizedAttribute):
    """
    Encoding of a tensor type: how a feature map is stored, linear (`nhwc`) or in bricks (`nhcwb16`), and in which
    memory, the arena unless it says `fast`: `tensor<1x8x8x16xi8, #npu.layout<nhcwb16, fast>>`, or `external`: an
    operand of the region that lies outside of the arena. A tensor without encoding is linear; it lies in the arena if
    kernels write it, as a constant in read-only memory.
    """

    name = "npu.layout"
    layout: StringAttr
    space: StringAttr

    def __init__(self, layout: Layout, space: FeatureMapSpace = "arena"):
        super().__init__(StringAttr(layout), StringAttr(space))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            layout, space = read_word(parser, get_args(Layout), "a layout"), "arena"
            if parser.parse_optional_punctuation(","):
                space = read_word(parser, get_args(FeatureMapSpace), "a memory space of feature maps")
            return (StringAttr(layout), StringAttr(space))

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(self.layout.data)
            if self.space.data != "arena":
                printer.print_string(f", {self.space.data}")

    def verify(self) -> None:
        if self.layout.data == "nhwc" and self.space.data == "arena":
            raise VerifyException("a linear feature map of the arena has no encoding")


NHCWB16 = LayoutAttr("nhcwb16")


@irdl_attr_definition
class TargetAttr(ParametrizedAttribute):
    """
    The machine that a module is compiled for: accelerator, system configuration and memory mode by name, and the
    largest number of bytes of the arena (or of the fast memory, if the mode has one) where that is limited. Inputs of
    the network lie outside of the arena where it says `external_inputs`.

    `#npu.target<"ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram", limit 65536, external_inputs>`
    """

    name = "npu.target"
    accelerator: StringAttr
    system: StringAttr
    memory: StringAttr
    config: StringAttr
    limit: ArrayAttr[IntAttr]
    inputs: StringAttr
    """`external` or nothing."""

    def __init__(
        self,
        accelerator: str,
        system: str = "",
        memory: str = "",
        config: str = "",
        limit: int | None = None,
        external_inputs: bool = False,
    ):
        super().__init__(
            StringAttr(accelerator),
            StringAttr(system),
            StringAttr(memory),
            StringAttr(config),
            ArrayAttr([] if limit is None else [IntAttr(limit)]),
            StringAttr("external" if external_inputs else ""),
        )

    @property
    def external_inputs(self) -> bool:
        """Whether inputs of the network lie outside of the arena."""
        return bool(self.inputs.data)

    @property
    def sram_limit(self) -> int | None:
        """Bytes, or None where the memory mode decides."""
        return self.limit.data[0].data if self.limit.data else None

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            names = [parser.parse_str_literal()]
            config, limit, external = "", None, False
            while parser.parse_optional_punctuation(","):
                match parser.parse_optional_keyword_in(("config", "limit", "external_inputs")):
                    case "config":
                        config = parser.parse_str_literal()
                    case "limit":
                        limit = parser.parse_integer(allow_boolean=False)
                    case "external_inputs":
                        external = True
                    case _:
                        names.append(parser.parse_str_literal())
            if len(names) > 3:
                parser.raise_error("a target has three names: accelerator, system configuration, memory mode")
        return TargetAttr(names[0], *names[1:], config=config, limit=limit, external_inputs=external).parameters

    def print_parameters(self, printer: Printer) -> None:
        names = [self.accelerator.data, self.system.data, self.memory.data]
        while not names[-1]:
            names.pop()
        parts = [f'"{name}"' for name in names]
        if self.config.data:
            parts.append(f"config {self.config}")
        if self.sram_limit is not None:
            parts.append(f"limit {self.sram_limit}")
        if self.external_inputs:
            parts.append("external_inputs")
        with printer.in_angle_brackets():
            printer.print_string(", ".join(parts))

    def verify(self) -> None:
        try:
            accelerator(self.accelerator.data)
        except ValueError as error:
            raise VerifyException(str(error)) from error


@irdl_attr_definition
class BufferType(ParametrizedAttribute, TypeAttribute):
    """`!npu.buffer<1024, arena>`: bytes of memory that live from their `alloc` to their `free`."""

    name = "npu.buffer"
    bytes: IntAttr
    memory: StringAttr

    def __init__(self, size: int, space: Space):
        super().__init__(IntAttr(size), StringAttr(space))

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.bytes.data

    @property
    def space(self) -> Space:
        """The memory that it lives in."""
        return cast(Space, self.memory.data)

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            size = parser.parse_integer(allow_boolean=False, allow_negative=False)
            parser.parse_punctuation(",")
            return (IntAttr(size), StringAttr(read_word(parser, get_args(Space), "a memory space")))

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"{self.size}, {self.space}")


# ---------------------------------------------------------------------------------------------------------------------
# Operations
# ---------------------------------------------------------------------------------------------------------------------


@irdl_op_definition
class InvokeOp(IRDLOperation):
    """The host runs an NPU region: operands and results are those of the function it names."""

    name = "npu.invoke"
    callee = prop_def(SymbolRefAttr)
    arguments = var_operand_def()
    res = var_result_def()

    assembly_format = "$callee `(` $arguments `)` attr-dict `:` functional-type($arguments, $res)"

    def __init__(self, callee: str, arguments: Sequence[SSAValue], result_types: Sequence[Attribute]):
        super().__init__(
            operands=[list(arguments)], result_types=[list(result_types)], properties={"callee": SymbolRefAttr(callee)}
        )


def is_region(op: Operation) -> bool:
    """Whether `op` is a function that runs on the NPU."""
    return isinstance(op.attributes.get(REGION_ATTR), UnitAttr)


def host_functions(module: ModuleOp) -> list[FuncOp]:
    """The functions that the host runs, the main one first: those with a body that no region is and nothing invokes."""
    functions = [op for op in module.body.block.ops if isinstance(op, FuncOp) and op.body.blocks and not is_region(op)]
    called = {op.callee.string_value() for f in functions for op in f.body.block.ops if isinstance(op, InvokeOp)}
    return [function for function in functions if function.sym_name.data not in called]


def regions_of(module: ModuleOp) -> list[FuncOp]:
    """
    The functions that are to be lowered for the NPU: those marked `npu.region`, or all of a module that nobody has
    partitioned, so that every pass works on hand-written functions.
    """
    functions = [op for op in module.body.block.ops if isinstance(op, FuncOp)]
    marked = [op for op in functions if is_region(op)]
    return marked if marked or PARTITIONED_ATTR in module.attributes else functions


def find_target(op: Operation) -> TargetAttr | None:
    """The target of the module around `op`, if it names one."""
    module: Operation | None = op
    while module is not None:
        target = module.attributes.get(TARGET_ATTR)
        if isinstance(module, ModuleOp) and isinstance(target, TargetAttr):
            return target
        module = module.parent_op()
    return None


def target_of(op: Operation) -> TargetAttr:
    """The target of the module around `op`; a module that names none is an error of its user."""
    target = find_target(op)
    if target is not None:
        return target
    raise VerifyException(f"the module names no machine: give it the attribute {TARGET_ATTR} = #npu.target<...>")


NPU = Dialect(
    "npu",
    [InvokeOp],
    [
        WindowAttr,
        ScaleAttr,
        OperandScalesAttr,
        ActivationAttr,
        BlockAttr,
        IntsAttr,
        LayoutAttr,
        TargetAttr,
        BufferType,
    ],
)
