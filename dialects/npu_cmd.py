"""
Level 3: the linear program of one NPU region, one operation for each kernel launch, transfer and wait.

Memory is explicit: a buffer is an SSA value that lives from its `alloc` to its `free`, so its live range is what
stands between the two. Feature maps are views of buffers with shape, layout, offset and strides. Addresses are
properties that `npu-cmd-allocate` fills in; until then the program is valid for any placement.

    npu_cmd.program @npu_0 {
      %x = npu_cmd.input index <0> address <0> : !npu.buffer<6912, arena>
      %y = npu_cmd.output index <0> address <6912> : !npu.buffer<9216, arena>
      %w = npu_cmd.constant dense<"0x..."> : tensor<1168xui8> -> !npu.buffer<1168, read_only>
      %b = npu_cmd.alloc address <16128> : !npu.buffer<1168, arena>
      npu_cmd.dma from %w to %b size <1168> : ...
      npu_cmd.wait dma pending <0>
      npu_cmd.conv ifm %x <48x48x3xi8, nhwc, zero_point -1> ofm %y <24x24x16xi8, nhwc, zero_point -128>
        weights %b <160, 1008> scales %b <0, 160> window <3x3, stride 2x2, pad 0 0 1 1>
        scale <per_channel, double_round> activation <-128, 127>
        block <8x8x16> shram <ib_end 10, ab_start 14, acc 32> blockdep <0> : ...
      npu_cmd.free %b : !npu.buffer<1168, arena>
      npu_cmd.stop
    }

A decoded stream has no buffers of its own: it speaks of whole memories (`npu_cmd.memory`) with absolute offsets.
One operation per register write would be too slow to build and to read; writing only registers that change is the
encoder's business, and `-t asm` shows the words. Everything here is what a register can hold: an operation that
verifies can be encoded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast, get_args

from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, StringAttr, SymbolNameConstraint, UnitAttr
from xdsl.ir import Attribute, Dialect, Operation, Region, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import IsTerminator, NoTerminator, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.assembly import Clause, ClauseOp, clause_op_definition
from npuc.dialects.npu import (
    ActivationAttr,
    BlockAttr,
    BufferType,
    Element,
    IntsAttr,
    Layout,
    OperandScalesAttr,
    Payload,
    ScaleAttr,
    Space,
    Window,
    WindowAttr,
    find_target,
    read_dims,
    read_word,
)
from npuc.dialects.npu_schedule import BINARY_KINDS, POOL_KINDS, UNARY_KINDS
from npuc.hardware.accelerators import Accelerator, accelerator
from npuc.hardware.accelerators import Block as MachineBlock
from npuc.hardware.alignment import ALIGNMENT
from npuc.hardware.shram import Dims, Kernel, Kind, acc_bits, illegal_reason, kernel_problem, layout
from npuc.hardware.shram import Operation as MachineOperation

REGIONS: dict[Space, int] = {"read_only": 0, "arena": 1, "fast": 2}
"""Base pointer of each memory; what is external has one for each operand."""


# ---------------------------------------------------------------------------------------------------------------------
# Plain data and its attributes
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tiles:
    """
    A feature map in up to four pieces: columns below `width0` are tile 0 (rows below `height0`) and tile 2, the others
    tile 1 (rows below `height1`) and tile 3. Offsets in bytes from the start of the buffer.
    """

    width0: int
    height0: int
    height1: int
    offset1: int = 0
    offset2: int = 0
    offset3: int = 0


@dataclass(frozen=True)
class FeatureMap:
    """
    A view of a buffer. Strides in bytes: from row to row, from column to column, from brick to brick (linear maps
    ignore the last, brick maps the middle one). `offset` is that of element (0, 0, 0), in bytes from the start of the
    buffer.
    """

    height: int
    width: int
    depth: int
    element: Element
    layout: Layout = "nhwc"
    zero_point: int = 0
    offset: int = 0
    stride_y: int = 0
    stride_x: int = 0
    stride_c: int = 0
    tiles: Tiles | None = None

    @staticmethod
    def packed_strides(height: int, width: int, depth: int, element: Element, layout: Layout) -> tuple[int, int, int]:
        """Strides (y, x, c) of a feature map that fills its buffer without gaps."""
        size = element.size
        if layout == "nhcwb16":
            return size * width * (-(-depth // 16) * 16), 16 * size, 16 * size * width
        return width * depth * size, depth * size, size

    @staticmethod
    def packed(
        height: int,
        width: int,
        depth: int,
        element: Element,
        layout: Layout = "nhwc",
        zero_point: int = 0,
        offset: int = 0,
    ) -> FeatureMap:
        """A feature map without gaps."""
        strides = FeatureMap.packed_strides(height, width, depth, element, layout)
        return FeatureMap(height, width, depth, element, layout, zero_point, offset, *strides)

    @property
    def strides(self) -> tuple[int, int, int]:
        """Row, column and brick stride in bytes."""
        return self.stride_y, self.stride_x, self.stride_c

    @property
    def dims(self) -> Dims:
        """Height, width, depth."""
        return Dims(self.height, self.width, self.depth)

    @property
    def apart(self) -> bool:
        """Whether its columns do not follow each other in memory."""
        return self.layout == "nhwc" and self.width > 1 and self.stride_x != self.depth * self.element.size

    @property
    def pieces(self) -> Sequence[tuple[int, int, int]]:
        """Offset, rows and columns of every tile that holds something."""
        if self.tiles is None:
            return [(self.offset, self.height, self.width)]
        t = self.tiles
        left = min(t.width0, self.width)
        above, above_right = min(t.height0, self.height), min(t.height1, self.height)
        tiles = (
            (self.offset, above, left),
            (t.offset1, above_right, self.width - left),
            (t.offset2, self.height - above, left),
            (t.offset3, self.height - above_right, self.width - left),
        )
        return [(offset, rows, columns) for offset, rows, columns in tiles if rows and columns]

    @property
    def extent(self) -> tuple[int, int]:
        """The first byte of all elements, and the one behind the last, from the start of the buffer."""
        size = self.element.size
        if self.layout == "nhcwb16":
            stride_x = 16 * size
            bricks = -(-self.depth // 16)
            ends = [(brick * self.stride_c, min(16, self.depth - 16 * brick) * size) for brick in {0, bricks - 1}]
        else:
            stride_x, ends = self.stride_x, [(0, self.depth * size)]
        first: list[int] = []
        last: list[int] = []
        for offset, rows, columns in self.pieces:
            y, x = (rows - 1) * self.stride_y, (columns - 1) * stride_x
            first += [offset + min(0, y) + min(0, x) + start for start, _ in ends]
            last += [offset + max(0, y) + max(0, x) + start + length for start, length in ends]
        return min(first), max(last)


@irdl_attr_definition
class FeatureMapAttr(Payload[FeatureMap]):
    """
    `<24x24x16xi8, nhcwb16, zero_point -128, offset 256, strides 6144 16 384, tiles 24 8 8 0 512 0>`; packed strides
    are left out, and so are zero point and offset 0. `tiles` are width 0, height 0, height 1, offsets 1 to 3.
    """

    name = "npu_cmd.feature_map"

    @classmethod
    def read(cls, parser: AttrParser) -> FeatureMap:
        dims = read_dims(parser, 3)
        parser.parse_shape_delimiter()
        element = Element.of(parser.parse_type())
        parser.parse_punctuation(",")
        layout = cast(Layout, read_word(parser, get_args(Layout), "a layout"))
        zero_point = offset = 0
        strides = FeatureMap.packed_strides(dims[0], dims[1], dims[2], element, layout)
        tiles = None

        def numbers(count: int) -> tuple[int, ...]:
            return tuple(parser.parse_integer(allow_boolean=False) for _ in range(count))

        while parser.parse_optional_punctuation(","):
            words = ("zero_point", "offset", "strides", "tiles")
            match read_word(parser, words, "a property of the feature map"):
                case "zero_point":
                    (zero_point,) = numbers(1)
                case "offset":
                    (offset,) = numbers(1)
                case "strides":
                    a, b, c = numbers(3)
                    strides = (a, b, c)
                case _:
                    tiles = Tiles(*numbers(6))
        return FeatureMap(dims[0], dims[1], dims[2], element, layout, zero_point, offset, *strides, tiles)

    def text(self) -> str:
        fm = self.data
        out = f"{fm.height}x{fm.width}x{fm.depth}x{fm.element}, {fm.layout}"
        if fm.zero_point:
            out += f", zero_point {fm.zero_point}"
        if fm.offset:
            out += f", offset {fm.offset}"
        if fm.strides != FeatureMap.packed_strides(fm.height, fm.width, fm.depth, fm.element, fm.layout):
            out += ", strides {} {} {}".format(*fm.strides)
        if (t := fm.tiles) is not None:
            out += f", tiles {t.width0} {t.height0} {t.height1} {t.offset1} {t.offset2} {t.offset3}"
        return out


@dataclass(frozen=True)
class Shram:
    """
    Where in SHRAM a kernel keeps its IFM and accumulators, in KiB, and the accumulator's width in bits. `ib2_start` is
    that of IFM2, None where there is none.
    """

    ib_end: int
    ab_start: int
    acc: int = 32
    ib2_start: int | None = None


@irdl_attr_definition
class ShramAttr(Payload[Shram]):
    """`<ib_end 10, ab_start 14, acc 32>`, with `ib2_start 6` after it for two IFMs"""

    name = "npu_cmd.shram"

    @classmethod
    def read(cls, parser: AttrParser) -> Shram:
        def field(name: str) -> int:
            parser.parse_keyword(name)
            return parser.parse_integer(allow_boolean=False)

        ib_end = field("ib_end")
        parser.parse_punctuation(",")
        ab_start = field("ab_start")
        parser.parse_punctuation(",")
        acc = field("acc")
        return Shram(ib_end, ab_start, acc, field("ib2_start") if parser.parse_optional_punctuation(",") else None)

    def text(self) -> str:
        s = self.data
        ib2 = "" if s.ib2_start is None else f", ib2_start {s.ib2_start}"
        return f"ib_end {s.ib_end}, ab_start {s.ab_start}, acc {s.acc}{ib2}"


# ---------------------------------------------------------------------------------------------------------------------
# Program and memory
# ---------------------------------------------------------------------------------------------------------------------


@irdl_op_definition
class ProgramOp(IRDLOperation):
    """The commands of one NPU region, in the order in which they are issued."""

    name = "npu_cmd.program"
    sym_name = prop_def(SymbolNameConstraint())
    body = region_def("single_block")
    traits = traits_def(SymbolOpInterface(), NoTerminator())
    assembly_format = "$sym_name attr-dict-with-keyword $body"

    def __init__(self, name: str, body: Region, attributes: dict[str, Attribute] | None = None):
        super().__init__(properties={"sym_name": StringAttr(name)}, regions=[body], attributes=attributes)


class BufferOp(ClauseOp):
    """An operation that makes a buffer; `address` in bytes from the start of its memory, once allocated."""

    address = opt_prop_def(IntsAttr)
    result = result_def(BufferType)

    @property
    def buffer(self) -> BufferType:
        """The type of the buffer: size and memory."""
        type_ = self.result.type
        assert isinstance(type_, BufferType)
        return type_

    def verify_(self) -> None:
        if self.address is not None and (len(self.address.data) != 1 or self.address.data[0] < 0):
            raise VerifyException("an address is one number of bytes, not negative")


@irdl_op_definition
class InputOp(BufferOp):
    """
    The buffer of an operand of the region; live from the start. An external one has no address: it is what the base
    pointer of the operand points to.
    """

    name = "npu_cmd.input"
    index = prop_def(IntsAttr)
    CLAUSES: ClassVar[tuple[Clause, ...]] = (
        Clause("index", attribute="index", payload=IntsAttr),
        Clause("address", attribute="address", payload=IntsAttr),
    )


@irdl_op_definition
class OutputOp(BufferOp):
    """The buffer of a result of the region; live to the end."""

    name = "npu_cmd.output"
    index = prop_def(IntsAttr)
    CLAUSES: ClassVar[tuple[Clause, ...]] = InputOp.CLAUSES


@irdl_op_definition
class AllocOp(BufferOp):
    """A buffer, live from here to its `free`."""

    name = "npu_cmd.alloc"
    CLAUSES: ClassVar[tuple[Clause, ...]] = (Clause("address", attribute="address", payload=IntsAttr),)

    def __init__(self, size: int, space: Space):
        super().__init__(result_types=[BufferType(size, space)])

    def verify_(self) -> None:
        super().verify_()
        if self.buffer.space in ("read_only", "external"):
            raise VerifyException(f"nothing is written to memory that is {self.buffer.space}")


@clause_op_definition
class OverlapOp(ClauseOp):
    """
    The first buffer may have bytes in common with the second, which dies meanwhile, if it begins `at_most` so many
    bytes behind it, or `at_least`. It is no command: it tells whoever finds addresses what launches allow.

        npu_cmd.overlap %y, %x at_most <-2560> : !npu.buffer<12288, arena>, !npu.buffer<12288, arena>
    """

    name = "npu_cmd.overlap"
    source = operand_def(BufferType)
    under = operand_def(BufferType)
    at_most = opt_prop_def(IntsAttr)
    at_least = opt_prop_def(IntsAttr)

    CLAUSES: ClassVar[tuple[Clause, ...]] = (
        Clause(operand="source"),
        Clause(operand="under"),
        Clause("at_most", attribute="at_most", payload=IntsAttr),
        Clause("at_least", attribute="at_least", payload=IntsAttr),
    )

    @property
    def distance(self) -> int:
        """Bytes from the start of the second buffer to that of the first, at most or at least."""
        given = self.at_most or self.at_least
        assert given is not None
        return given.data[0]

    def verify_(self) -> None:
        given = self.at_most or self.at_least
        if given is None or (self.at_most is not None and self.at_least is not None):
            raise VerifyException("a buffer begins `at_most` so many bytes behind another, or `at_least`")
        if len(given.data) != 1 or given.data[0] % ALIGNMENT:
            raise VerifyException(f"the distance is one number of bytes, a multiple of {ALIGNMENT}")
        owners = [value.owner for value in (self.source, self.under)]
        buffers = [owner for owner in owners if isinstance(owner, BufferOp) and owner.buffer.space in ("arena", "fast")]
        if len(buffers) < 2 or buffers[0].buffer.space != buffers[1].buffer.space or self.source is self.under:
            raise VerifyException("buffers that may overlap are two of one memory that kernels write")


@irdl_op_definition
class MemoryOp(BufferOp):
    """
    A whole memory as one buffer at address 0, as a decoded stream sees it; `data` is what read-only memory holds,
    `index` the number of the operand that external memory is.
    """

    name = "npu_cmd.memory"
    data = opt_prop_def(DenseIntOrFPElementsAttr)
    index = opt_prop_def(IntsAttr)
    CLAUSES: ClassVar[tuple[Clause, ...]] = (Clause("index", attribute="index", payload=IntsAttr),)

    def __init__(self, size: int, space: Space, data: DenseIntOrFPElementsAttr | None = None, index: int | None = None):
        properties: dict[str, Attribute] = {} if data is None else {"data": data}
        if index is not None:
            properties["index"] = IntsAttr((index,))
        super().__init__(result_types=[BufferType(size, space)], properties=properties)


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """Bytes in read-only memory: weight and scale streams, tables, constant feature maps."""

    name = "npu_cmd.constant"
    value = prop_def(DenseIntOrFPElementsAttr)
    address = opt_prop_def(IntsAttr)
    result = result_def(BufferType)

    def __init__(self, value: DenseIntOrFPElementsAttr, size: int):
        super().__init__(properties={"value": value}, result_types=[BufferType(size, "read_only")])

    def print(self, printer: Printer) -> None:
        if self.address is not None:
            printer.print_string(" address ")
            self.address.print_parameter(printer)
        printer.print_string(" ")
        printer.print_attribute(self.value)
        if self.attributes:
            printer.print_string(" ")
            printer.print_attr_dict(self.attributes)
        printer.print_string(" -> ")
        printer.print_attribute(self.result.type)

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        address = IntsAttr.parse_bare(parser) if parser.parse_optional_keyword("address") else None
        value = parser.parse_attribute()
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation("->")
        type_ = parser.parse_type()
        properties = {"value": value} if address is None else {"value": value, "address": address}
        return cls.create(result_types=[type_], properties=properties, attributes=attributes)

    def verify_(self) -> None:
        type_ = self.result.type
        assert isinstance(type_, BufferType)
        if type_.space != "read_only" or (self.value.type.get_shape(), str(self.value.get_element_type())) != (
            (type_.size,),
            "ui8",
        ):
            raise VerifyException(f"a tensor<{type_.size}xui8> fills {type_}, not {self.value.type}")


@irdl_op_definition
class FreeOp(IRDLOperation):
    """The end of a buffer's life: what is issued from here on may take its place."""

    name = "npu_cmd.free"
    source = operand_def(BufferType)
    assembly_format = "$source attr-dict `:` type($source)"

    def __init__(self, source: SSAValue):
        super().__init__(operands=[source])


# ---------------------------------------------------------------------------------------------------------------------
# Commands
# ---------------------------------------------------------------------------------------------------------------------


@clause_op_definition
class DmaOp(ClauseOp):
    """Copy `size` bytes; offsets in bytes from the start of each buffer, 0 where left out."""

    name = "npu_cmd.dma"
    source = operand_def(BufferType)
    destination = operand_def(BufferType)
    source_offset = opt_prop_def(IntsAttr)
    destination_offset = opt_prop_def(IntsAttr)
    size = prop_def(IntsAttr)

    CLAUSES: ClassVar[tuple[Clause, ...]] = (
        Clause("from", operand="source", attribute="source_offset", payload=IntsAttr),
        Clause("to", operand="destination", attribute="destination_offset", payload=IntsAttr),
        Clause("size", attribute="size", payload=IntsAttr),
    )

    def __init__(
        self,
        source: SSAValue,
        destination: SSAValue,
        size: int,
        source_offset: int = 0,
        destination_offset: int = 0,
    ):
        properties: dict[str, Attribute] = {"size": IntsAttr((size,))}
        if source_offset:
            properties["source_offset"] = IntsAttr((source_offset,))
        if destination_offset:
            properties["destination_offset"] = IntsAttr((destination_offset,))
        super().__init__(operands=[source, destination], properties=properties)

    def verify_(self) -> None:
        for what, value, offset in (
            ("source", self.source, self.source_offset),
            ("destination", self.destination, self.destination_offset),
        ):
            type_ = value.type
            assert isinstance(type_, BufferType)
            end = (offset.data[0] if offset else 0) + self.size.data[0]
            if end > type_.size:
                raise VerifyException(f"the transfer ends at byte {end} of its {what}, which has {type_.size}")


@clause_op_definition
class WaitOp(ClauseOp):
    """Stall until at most `pending` transfers (`dma`) or kernels (`kernel`) are outstanding."""

    name = "npu_cmd.wait"
    kind = prop_def(StringAttr)
    pending = prop_def(IntsAttr)

    KINDS: ClassVar[tuple[str, ...]] = ("dma", "kernel")
    CLAUSES: ClassVar[tuple[Clause, ...]] = (Clause("pending", attribute="pending", payload=IntsAttr),)

    def __init__(self, kind: str, pending: int):
        super().__init__(properties={"kind": StringAttr(kind), "pending": IntsAttr((pending,))})

    def verify_(self) -> None:
        most = {"dma": 15, "kernel": 3}.get(self.kind.data)
        if most is None:
            raise VerifyException(f"unknown wait {self.kind.data}: one of {', '.join(self.KINDS)}")
        if not 0 <= self.pending.data[0] <= most:
            raise VerifyException(f"a {self.kind.data} wait leaves 0 to {most} pending, not {self.pending.data[0]}")


@irdl_op_definition
class StopOp(IRDLOperation):
    """The end of the stream."""

    name = "npu_cmd.stop"
    traits = traits_def(IsTerminator())
    assembly_format = "attr-dict"


class LaunchOp(ClauseOp, ABC):
    """
    What all kernel launches have. `clip_range` is the register field of that name (0: that of the OFM precision);
    `table` names the bytes of SHRAM where the lookup table stands.

    Feature maps lie in their buffers. Where the module names a machine, it can do the kernel, the block is legal, and
    input and accumulators have as many bytes of SHRAM as they need.
    """

    ifm = operand_def(BufferType)
    ofm = operand_def(BufferType)
    ifm_map = prop_def(FeatureMapAttr)
    ofm_map = prop_def(FeatureMapAttr)
    scale = prop_def(ScaleAttr)
    activation = prop_def(ActivationAttr)
    table_offset = opt_prop_def(IntsAttr)
    clip_range = opt_prop_def(IntsAttr)
    block = prop_def(BlockAttr)
    shram = prop_def(ShramAttr)
    blockdep = opt_prop_def(IntsAttr)

    FIRST: ClassVar[tuple[Clause, ...]] = (
        Clause("ifm", operand="ifm", attribute="ifm_map", payload=FeatureMapAttr),
        Clause("ofm", operand="ofm", attribute="ofm_map", payload=FeatureMapAttr),
    )
    LAST: ClassVar[tuple[Clause, ...]] = (
        Clause("scale", attribute="scale", payload=ScaleAttr),
        Clause("activation", attribute="activation", payload=ActivationAttr),
        Clause("table", operand="table", attribute="table_offset", payload=IntsAttr),
        Clause("clip_range", attribute="clip_range", payload=IntsAttr),
        Clause("block", attribute="block", payload=BlockAttr),
        Clause("shram", attribute="shram", payload=ShramAttr),
        Clause("blockdep", attribute="blockdep", payload=IntsAttr),
    )

    @property
    @abstractmethod
    def kernel(self) -> Kernel:
        """What the machine's rules need to know of the launch."""

    def base_kernel(self, kind: Kind, window: Window | None = None) -> Kernel:
        """The kernel but for what only some launches have."""
        ifm, ofm = self.ifm_map.data, self.ofm_map.data
        w = window or Window()
        return Kernel(
            kind,
            ifm.dims,
            ofm.dims,
            kernel=(w.height, w.width),
            stride=(w.stride_y, w.stride_x),
            dilation=(w.dilation_y, w.dilation_x),
            pad=(w.top, w.bottom, w.left, w.right),
            upscale=w.upscale,
            ifm_bits=ifm.element.bits,
            ofm_bits=ofm.element.bits,
            lut=self.activation.data.function == "table",
            ifm_format=ifm.layout,
            ofm_format=ofm.layout,
            ifm_apart=ifm.apart,
            ofm_apart=ofm.apart,
        )

    def verify_(self) -> None:
        if isinstance(kind := self.properties.get("kind"), StringAttr) and kind.data not in self.KINDS:
            raise VerifyException(f"unknown {self.name} {kind.data}: one of {', '.join(self.KINDS)}")
        if (self.activation.data.function == "table") != bool(self.values_of("table")):
            raise VerifyException("a table operand goes with the activation function `table`")
        if self.blockdep is not None and self.blockdep.data[0] not in range(4):
            raise VerifyException("blockdep is a number from 0 to 3")
        for clause in self.CLAUSES:
            fm = self.properties.get(clause.attribute)
            if isinstance(fm, FeatureMapAttr):
                first, end = fm.data.extent
                for value in self.values_of(clause.operand):
                    size = cast(BufferType, value.type).size
                    if first < 0 or end > size:
                        raise VerifyException(f"{clause.keyword} lies in bytes {first} to {end} of a buffer of {size}")
        if (acc := machine_of(self)) is not None:
            problem = self.machine_problem(acc)
            if problem is not None:
                raise VerifyException(problem)

    def machine_problem(self, acc: Accelerator) -> str | None:
        """What a machine cannot do of this launch, or what collides in its SHRAM; None if all is well."""
        kernel, b, shram = self.kernel, self.block.data, self.shram.data
        block = MachineBlock(b.height, b.width, b.depth)
        if (problem := kernel_problem(acc, kernel)) is not None:
            return problem
        if kernel.kind != "elementwise" and shram.ib_end > shram.ab_start:
            return f"ib_end {shram.ib_end} lies behind ab_start {shram.ab_start}"
        if kernel.kind != "elementwise" and shram.acc != acc_bits(kernel):
            # Whoever knows that the sums fit may choose narrower accumulators, as vela does for ARG_MAX: the formulas
            # are for those that always fit.
            return None
        if (problem := illegal_reason(acc, kernel, block)) is not None:
            return problem
        plan = layout(acc, kernel, block)
        assert plan is not None
        if kernel.kind == "elementwise":
            if shram.ib2_start is not None and shram.ib2_start < plan.ib2_start:
                return f"ib2_start {shram.ib2_start}: the first input ends at {plan.ib2_start} KiB of SHRAM"
        elif shram.ib_end < plan.ib_end:
            return f"ib_end {shram.ib_end}: the input of such blocks ends at {plan.ib_end} KiB of SHRAM"
        elif shram.ab_start > plan.ab_start:
            return f"ab_start {shram.ab_start}: the accumulators of such blocks start at {plan.ab_start} KiB of SHRAM"
        return None


def machine_of(op: Operation) -> Accelerator | None:
    """The accelerator of the module around `op`, if it names one."""
    target = find_target(op)
    return None if target is None else accelerator(target.accelerator.data)


class WeightedOp(LaunchOp, ABC):
    """A launch with weights: ranges of bytes (offset, length) for each core, of the weight and of the scale stream."""

    KIND: ClassVar[Kind]

    weights = operand_def(BufferType)
    scales = operand_def(BufferType)
    table = opt_operand_def(BufferType)
    weight_ranges = prop_def(IntsAttr)
    scale_ranges = prop_def(IntsAttr)
    window = prop_def(WindowAttr)
    part_kernel = opt_prop_def(UnitAttr)

    CLAUSES: ClassVar[tuple[Clause, ...]] = (
        *LaunchOp.FIRST,
        Clause("weights", operand="weights", attribute="weight_ranges", payload=IntsAttr),
        Clause("scales", operand="scales", attribute="scale_ranges", payload=IntsAttr),
        Clause("window", attribute="window", payload=WindowAttr),
        Clause("part_kernel", attribute="part_kernel"),
        *LaunchOp.LAST,
    )

    @property
    def kernel(self) -> Kernel:
        return self.base_kernel(self.KIND, self.window.data)._replace(part_kernel=self.part_kernel is not None)

    def verify_(self) -> None:
        super().verify_()
        for what, value, ranges in (
            ("weights", self.weights, self.weight_ranges.data),
            ("scales", self.scales, self.scale_ranges.data),
        ):
            size = cast(BufferType, value.type).size
            if len(ranges) not in (2, 4):
                raise VerifyException(f"{what} have an offset and a length for each core")
            for offset, length in zip(ranges[::2], ranges[1::2], strict=True):
                if offset < 0 or length < 0 or offset + length > size:
                    raise VerifyException(f"{what} lie in bytes {offset} to {offset + length} of a buffer of {size}")


@clause_op_definition
class ConvOp(WeightedOp):
    """Convolution."""

    name = "npu_cmd.conv"
    KIND: ClassVar[Kind] = "conv"


@clause_op_definition
class DepthwiseOp(WeightedOp):
    """Depthwise convolution."""

    name = "npu_cmd.depthwise"
    KIND: ClassVar[Kind] = "depthwise"


@clause_op_definition
class PoolOp(LaunchOp):
    """`max`, `average` or `sum` (over the depth)."""

    name = "npu_cmd.pool"
    kind = prop_def(StringAttr)
    table = opt_operand_def(BufferType)
    window = prop_def(WindowAttr)

    KINDS: ClassVar[tuple[str, ...]] = tuple(POOL_KINDS)
    CLAUSES: ClassVar[tuple[Clause, ...]] = (
        *LaunchOp.FIRST,
        Clause("window", attribute="window", payload=WindowAttr),
        *LaunchOp.LAST,
    )

    @property
    def kernel(self) -> Kernel:
        kinds: dict[str, Kind] = {"max": "max_pool", "average": "avg_pool", "sum": "reduce_sum"}
        return self.base_kernel(kinds[self.kind.data], self.window.data)


@clause_op_definition
class ElementwiseOp(LaunchOp):
    """
    An elementwise kernel. IFM2 is a feature map with `broadcast` bits (1 height, 2 width, 4 depth), or a `scalar` with
    value and zero point. `reversed` swaps the operands of a kernel that does not commute.
    """

    name = "npu_cmd.elementwise"
    kind = prop_def(StringAttr)
    ifm2 = opt_operand_def(BufferType)
    table = opt_operand_def(BufferType)
    ifm2_map = opt_prop_def(FeatureMapAttr)
    scalar = opt_prop_def(IntsAttr)
    broadcast = opt_prop_def(IntsAttr)
    is_reversed = opt_prop_def(UnitAttr, prop_name="reversed")
    operand_scales = opt_prop_def(OperandScalesAttr)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    KINDS: ClassVar[tuple[str, ...]] = UNARY_KINDS + BINARY_KINDS
    CLAUSES: ClassVar[tuple[Clause, ...]] = (
        *LaunchOp.FIRST,
        Clause("ifm2", operand="ifm2", attribute="ifm2_map", payload=FeatureMapAttr),
        Clause("scalar", attribute="scalar", payload=IntsAttr),
        Clause("broadcast", attribute="broadcast", payload=IntsAttr),
        Clause("reversed", attribute="reversed"),
        Clause("operand_scales", attribute="operand_scales", payload=OperandScalesAttr),
        *LaunchOp.LAST,
    )

    @property
    def kernel(self) -> Kernel:
        ifm2 = None if self.ifm2_map is None else self.ifm2_map.data
        return self.base_kernel("elementwise")._replace(
            operation=cast(MachineOperation, self.kind.data),
            ifm2=None if ifm2 is None else ifm2.dims,
            ifm2_scalar=self.scalar is not None,
            ifm2_format="nhwc" if ifm2 is None else ifm2.layout,
            ifm2_apart=ifm2 is not None and ifm2.apart,
        )

    def verify_(self) -> None:
        super().verify_()
        if (self.ifm2 is None) != (self.ifm2_map is None):
            raise VerifyException("an IFM2 operand goes with its feature map")
        has_second = self.ifm2 is not None or self.scalar is not None
        if has_second != (self.kind.data in BINARY_KINDS) or (self.ifm2 is not None and self.scalar is not None):
            raise VerifyException(f"{self.kind.data} takes {'one' if has_second else 'two'} inputs: IFM2 or a scalar")
        if self.scalar is not None and len(self.scalar.data) != 2:
            raise VerifyException("a scalar has a value and a zero point")


NPU_CMD = Dialect(
    "npu_cmd",
    [
        ProgramOp,
        InputOp,
        OutputOp,
        AllocOp,
        OverlapOp,
        MemoryOp,
        ConstantOp,
        FreeOp,
        DmaOp,
        WaitOp,
        StopOp,
        ConvOp,
        DepthwiseOp,
        PoolOp,
        ElementwiseOp,
    ],
    [FeatureMapAttr, ShramAttr],
)


def commands(program: ProgramOp) -> Sequence[IRDLOperation]:
    """The operations of a program that become commands, in order."""
    return [op for op in program.body.block.ops if isinstance(op, DmaOp | WaitOp | StopOp | LaunchOp)]
