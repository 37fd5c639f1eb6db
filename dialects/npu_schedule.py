"""
Level 2: NPU kernels on tensors, and what has been decided about them so far.

Every value is a tensor NHWC of rank 4 with N = 1; a tensor type without encoding is linear, one with
`#npu.layout<nhcwb16>` is stored in bricks; `#npu.layout<nhcwb16, fast>` and `#npu.layout<nhwc, fast>` lie in the fast
memory beside a slow arena. An operation is a *kernel* (one or more launches of the NPU),
a *view* (`reshape`, `transpose`, `slice`, `concat`: no bytes move), a constant, or a `cascade` that holds kernels which
run stripe by stripe. A kernel takes scaling, clamp, function and table of its OFM with it.

    %s = npu_schedule.scales {bias = dense<...>, multiplier = dense<...>, shift = dense<...>} : !npu_schedule.scales<16>
    %y = npu_schedule.conv2d %x, %w, %s window <3x3, stride 2x2, pad 0 0 1 1> zero_points <-1, -128>
           scale <per_channel, double_round> activation <-128, 127> block <16x16x16> : (...) -> tensor<1x24x24x16xi8>

Decisions are optional properties that passes fill in and respect where they stand already: `block`,
`cascade` (the number of the cascade that the kernel is to become part of), `stripe` (OFM rows per launch, at most, in a
cascade), `rolling` (rows of the rolling buffer that holds the result inside a cascade), `upwards` (the cascade walks
from the last rows to the first), `over` (what the result of a cascade is to lie over as far as its launches allow),
`at` (how many bytes behind that it begins), `scales_apart` (weights and
scales are constants of their own, and the scales are read in place), `slices` (OFM depths at which the weights are
cut), `buffers` (how many SRAM buffers the slices pass through: one memory, with a part for each) and `in_place` (which
operand's memory the result takes over). Where each buffer is to be memory of its own they are values,
and the kernel names them:

    %b0, %b1 = npu_schedule.weight_buffers : !npu.buffer<1008, arena>, !npu.buffer<768, arena>
    %y = npu_schedule.conv2d %x, %w, %s ... slices <0, 16, 32, 48> buffers <2> through %b0, %b1 : (...) -> ...

Addresses and registers are not of this level.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import prod
from typing import TYPE_CHECKING, ClassVar, cast

from xdsl.dialects.builtin import (
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    IntAttr,
    StringAttr,
    TensorType,
    UnitAttr,
    i32,
)
from xdsl.ir import (
    Attribute,
    Dialect,
    Operation,
    ParametrizedAttribute,
    Region,
    SSAValue,
    TypeAttribute,
)
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import ConstantLike, IsTerminator, Pure, SingleBlockImplicitTerminator
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.assembly import Clause, ClauseOp, clause_op_definition
from npuc.dialects.constants import as_numpy
from npuc.dialects.feature_maps import element_of, form_of, is_brick, nhwc, row_bytes, space_of, verify_written
from npuc.dialects.launch import launch_problem, padding
from npuc.dialects.npu import (
    ActivationAttr,
    BlockAttr,
    BufferType,
    IntsAttr,
    OperandScalesAttr,
    ScaleAttr,
    Space,
    Window,
    WindowAttr,
    within,
)
from npuc.dialects.stripes import Input, Reach, Stage, Unrolled, bytes_before, turned, unroll
from npuc.dialects.views import ConcatOp, ReshapeOp, SliceOp, TransposeOp, keeps_rows, row_sources
from npuc.hardware.alignment import ALIGNMENT
from npuc.hardware.limits import MAX_EXTENT
from npuc.hardware.shram import BRICK, MICRO_BLOCK_DEPTH, Dims, Format, Kernel, Kind, prefers_part_kernel
from npuc.hardware.shram import Operation as ElementwiseOperation

if TYPE_CHECKING:
    from numpy.typing import NDArray

REGISTER = (-(1 << 15), (1 << 16) - 1)
"""What registers of 16 bits hold, signed or not."""

POOL_KINDS: dict[str, Kind] = {"max": "max_pool", "average": "avg_pool", "sum": "reduce_sum"}
UNARY_KINDS = ("lrelu", "abs", "clz")
BINARY_KINDS = ("add", "sub", "mul", "min", "max", "shr", "shl")


@irdl_attr_definition
class ScalesType(ParametrizedAttribute, TypeAttribute):
    """`!npu_schedule.scales<16>`: bias, multiplier and shift of 16 channels."""

    name = "npu_schedule.scales"
    channels: IntAttr

    def __init__(self, channels: int):
        super().__init__(IntAttr(channels))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            return (IntAttr(parser.parse_integer(allow_boolean=False, allow_negative=False)),)

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(str(self.channels.data))


# ---------------------------------------------------------------------------------------------------------------------
# Constants
# ---------------------------------------------------------------------------------------------------------------------


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """Weights (O, H, W, I), a table, or a feature map that is known at compile time; lives in read-only memory."""

    name = "npu_schedule.constant"
    value = prop_def(DenseIntOrFPElementsAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure(), ConstantLike())

    def __init__(self, value: DenseIntOrFPElementsAttr):
        super().__init__(properties={"value": value}, result_types=[value.type])

    def print(self, printer: Printer) -> None:
        if self.attributes:
            printer.print_string(" ")
            printer.print_attr_dict(self.attributes)
        printer.print_string(" ")
        printer.print_attribute(self.value)

    @classmethod
    def parse(cls, parser: Parser) -> ConstantOp:
        attributes = parser.parse_optional_attr_dict()
        value = parser.parse_attribute()
        if not isinstance(value, DenseIntOrFPElementsAttr):
            parser.raise_error("expected dense<...>")
        op = cls(value)
        op.attributes.update(attributes)
        return op

    def verify_(self) -> None:
        if self.value.type != self.result.type:
            raise VerifyException(f"the value is a {self.value.type}, the result a {self.result.type}")
        if space_of(self.result) != "arena":
            raise VerifyException("a constant lies in read-only memory: transfer it to another")


@irdl_op_definition
class ScalesOp(IRDLOperation):
    """
    Per-channel bias (40 bits), multiplier (32 bits, unsigned) and shift (0 to 63) of a convolution:
    `round((acc + bias) * multiplier >> shift)`.
    """

    name = "npu_schedule.scales"
    bias = prop_def(DenseIntOrFPElementsAttr)
    multiplier = prop_def(DenseIntOrFPElementsAttr)
    shift = prop_def(DenseIntOrFPElementsAttr)
    result = result_def(ScalesType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "attr-dict `:` type($result)"

    def __init__(
        self,
        bias: DenseIntOrFPElementsAttr,
        multiplier: DenseIntOrFPElementsAttr,
        shift: DenseIntOrFPElementsAttr,
    ):
        super().__init__(
            properties={"bias": bias, "multiplier": multiplier, "shift": shift},
            result_types=[ScalesType(prod(bias.get_shape()))],
        )

    @property
    def values(self) -> tuple[NDArray, NDArray, NDArray]:
        """Bias, multiplier (the 32 bits taken as unsigned) and shift of each channel."""
        import numpy as np

        bias, multiplier, shift = map(as_numpy, (self.bias, self.multiplier, self.shift))
        return bias, multiplier.astype(np.int64) & 0xFFFFFFFF, shift

    def verify_(self) -> None:
        from npuc.hardware.weights import scales_problem

        for name, attr, bits in (
            ("bias", self.bias, 64),
            ("multiplier", self.multiplier, 32),
            ("shift", self.shift, 8),
        ):
            type_ = attr.type
            if type_.get_shape() != (self.result.type.channels.data,) or str(type_.get_element_type()) != f"i{bits}":
                raise VerifyException(f"{name} must be tensor<{self.result.type.channels.data}xi{bits}>, got {type_}")
        problem = scales_problem(*self.values)
        if problem is not None:
            raise VerifyException(problem)


@irdl_op_definition
class WeightBuffersOp(IRDLOperation):
    """
    Buffers that the depth slices of a kernel pass through, in the order of the slices: each one memory of its own, of
    its own size. It is alive from the transfer of the first slice into it to the last kernel that reads from it, and
    kernels that name one buffer share it: what it holds already is not transferred again.
    """

    name = "npu_schedule.weight_buffers"
    outputs = var_result_def(BufferType)
    assembly_format = "attr-dict `:` type($outputs)"

    def __init__(self, sizes: Sequence[int], space: Space):
        super().__init__(result_types=[[BufferType(size, space) for size in sizes]])

    def verify_(self) -> None:
        if not self.outputs:
            raise VerifyException("no buffer: weights that are read in place need none")
        for buffer in self.outputs:
            if buffer.type.space not in ("arena", "fast") or buffer.type.size % 16:
                raise VerifyException(
                    f"weights pass through writable memory, a multiple of 16 bytes, not {buffer.type}"
                )


# ---------------------------------------------------------------------------------------------------------------------
# Kernels
# ---------------------------------------------------------------------------------------------------------------------

_DECISIONS = (
    Clause("block", attribute="block", payload=BlockAttr),
    Clause("cascade", attribute="cascade", payload=IntsAttr),
    Clause("stripe", attribute="stripe", payload=IntsAttr),
    Clause("rolling", attribute="rolling", payload=IntsAttr),
    Clause("upwards", attribute="upwards"),
    Clause("over", operand="over"),
    Clause("at", attribute="at", payload=IntsAttr),
)
_WEIGHT_DECISIONS = (
    Clause("scales_apart", attribute="scales_apart"),
    Clause("slices", attribute="slices", payload=IntsAttr),
    Clause("buffers", attribute="buffers", payload=IntsAttr),
    Clause("through", operand="through"),
)
_TABLE = Clause("table", operand="table")
NO_WINDOW = Window()
"""That of kernels which have none: 1x1."""


def verify_launch(op: KernelOp | CopyOp) -> None:
    """The target of the module can launch a kernel, in blocks of the size that it states."""
    problem = launch_problem(op, op.launch(), op.block)
    if problem is not None:
        raise VerifyException(problem)


def verify_rows(height: int, stripe: IntsAttr | None, rolling: IntsAttr | None) -> None:
    """Stripe and rolling buffer have a number of rows that a feature map of so many has."""
    for name, rows in (("stripe", stripe), ("rolling", rolling)):
        if rows is not None and (len(rows.data) != 1 or not 1 <= rows.data[0] <= height):
            raise VerifyException(f"{name} is one number of rows from 1 to {height}")


def _format(value: SSAValue) -> Format:
    return "nhcwb16" if is_brick(value) else "nhwc"


class KernelOp(ClauseOp):
    """What all kernels have: one OFM, zero points, scale, activation, and the decisions about them."""

    result = result_def(TensorType)
    zero_points = prop_def(IntsAttr)
    scale = opt_prop_def(ScaleAttr)
    activation = prop_def(ActivationAttr)
    block = opt_prop_def(BlockAttr)
    cascade = opt_prop_def(IntsAttr)
    stripe = opt_prop_def(IntsAttr)
    rolling = opt_prop_def(IntsAttr)
    upwards = opt_prop_def(UnitAttr)
    at = opt_prop_def(IntsAttr)
    traits = traits_def(Pure())

    INPUTS: ClassVar[tuple[str, ...]] = ("ifm",)
    """Operand names of the feature maps that the kernel reads."""

    @property
    def machine_kind(self) -> Kind:
        """What the machine calls such a kernel."""
        raise NotImplementedError

    def launch(self) -> Kernel:
        """The launch that computes the kernel whole."""
        window, ifm, ofm = self.sliding, self.values_of("ifm")[0], self.result
        ifm_dims, ofm_dims = Dims(*nhwc(ifm)), Dims(*nhwc(ofm))
        top, left, bottom, right = padding(window, ifm_dims[:2], ofm_dims[:2])
        return Kernel(
            kind=self.machine_kind,
            ifm=ifm_dims,
            ofm=ofm_dims,
            kernel=(window.height, window.width),
            stride=(window.stride_y, window.stride_x),
            dilation=(window.dilation_y, window.dilation_x),
            pad=(top, bottom, left, right),
            ifm_bits=element_of(ifm).bits,
            ofm_bits=element_of(ofm).bits,
            upscale=window.upscale,
            lut=self.table_value is not None,
            ifm_format=_format(ifm),
            ofm_format=_format(ofm),
        )

    @property
    def feature_maps(self) -> tuple[SSAValue, ...]:
        """The feature maps that the kernel reads: IFM, and IFM2 where there is one."""
        return tuple([v for name in self.INPUTS for v in self.values_of(name)])

    @property
    def table_value(self) -> SSAValue | None:
        """The lookup table, a constant of 256 x 8 bit, 256 x 32 bit or 512 x 32 bit."""
        return next(iter(self.values_of("table")), None)

    @property
    def laid_over(self) -> SSAValue | None:
        """The feature map that the result is to lie over, as far as launches allow; None for memory of its own."""
        return next(iter(self.values_of("over")), None)

    def lay_over(self, value: SSAValue | None) -> None:
        """Let the result lie over a feature map as far as launches allow it, or have memory of its own again."""
        index = [name for name, _ in self.get_irdl_definition().operands].index("over")
        sizes = self.properties["operandSegmentSizes"]
        assert isinstance(sizes, DenseArrayBase)
        lengths = list(sizes.get_values())
        start = sum(lengths[:index])
        self.operands = [
            *self.operands[:start],
            *([] if value is None else [value]),
            *self.operands[start + lengths[index] :],
        ]
        lengths[index] = int(value is not None)
        self.properties["operandSegmentSizes"] = DenseArrayBase.from_list(i32, lengths)

    @property
    def sliding(self) -> Window:
        """The window, 1x1 for kernels that have none."""
        attribute = self.properties.get("window")
        return attribute.data if isinstance(attribute, WindowAttr) else NO_WINDOW

    def reach(self, value: SSAValue) -> Reach:
        """Which rows of `value`, a feature map that the kernel reads, its launches read."""
        return Reach.of(self.sliding, nhwc(value)[0])

    def walked(self, value: SSAValue) -> Reach:
        """The same in the order in which the kernel is to be walked: rows counted from the last one for `upwards`."""
        reach = self.reach(value)
        return reach if self.upwards is None else reach.mirrored(nhwc(self.result)[0])

    def verify_common(self) -> None:
        """Shapes, zero points, activation and table fit each other."""
        maps = self.feature_maps
        verify_written(self.result)
        for value in (*maps, self.result):
            nhwc(value)
            element_of(value)
        if len(self.zero_points.data) != len(maps) + 1:
            raise VerifyException("zero_points has one number for each feature map read, and one for the OFM")
        clamp = self.activation.data
        if (clamp.function == "table") != (self.table_value is not None):
            raise VerifyException("a table operand goes with the activation function `table`")
        if element_of(self.result).bits != 32 or self.table_value is not None:
            for limit in (clamp.low, clamp.high):
                within("clamp limit", limit, *REGISTER)
        for zero_point in self.zero_points.data:
            within("zero point", zero_point, *REGISTER)
        ofm_h = nhwc(self.result)[0]
        # Cascades are unrolled row by row, with or without a target.
        within("OFM height", ofm_h, 1, MAX_EXTENT)
        verify_rows(ofm_h, self.stripe, self.rolling)
        if self.cascade is not None and len(self.cascade.data) != 1:
            raise VerifyException("a kernel is part of one cascade")
        self._verify_over()

    def _verify_over(self) -> None:
        """What the result lies over can be that."""
        value = self.laid_over
        if value is None:
            if self.at is not None:
                raise VerifyException("`at` says how many bytes behind what it lies over a result begins: `over` what?")
            return
        nhwc(value)
        if space_of(value) != space_of(self.result):
            raise VerifyException("a result lies over what is in the same memory")
        if self.at is None:
            return
        if len(self.at.data) != 1 or self.at.data[0] % ALIGNMENT:
            raise VerifyException(f"`at` is one number of bytes, a multiple of {ALIGNMENT}")
        if not isinstance(self.parent_op(), CascadeOp):
            raise VerifyException("a result lies over what is read meanwhile in a cascade only, stripe by stripe")

    def verify_window(self) -> None:
        """The OFM is no larger than the padded IFM allows."""
        ifm_h, ifm_w, _ = nhwc(self.feature_maps[0])
        ofm_h, ofm_w, _ = nhwc(self.result)
        window = self.sliding
        up = 1 if window.upscale == "none" else 2
        for axis, have, out, stride, size, before, after in (
            ("height", ifm_h, ofm_h, window.stride_y, window.dilated_height, window.top, window.bottom),
            ("width", ifm_w, ofm_w, window.stride_x, window.dilated_width, window.left, window.right),
        ):
            need = (out - 1) * stride + size
            if need > have * up + before + after:
                raise VerifyException(
                    f"OFM {axis} {out} needs {need} padded IFM elements, there are {have * up + before + after}"
                )


class ConvKernelOp(KernelOp):
    """Kernels with weights: IFM, weights (O, H, W, I), scales."""

    ifm = operand_def(TensorType)
    weights = operand_def(TensorType)
    scales = operand_def(ScalesType)
    table = opt_operand_def(TensorType)
    over = opt_operand_def(TensorType)
    through = var_operand_def(BufferType)
    window = prop_def(WindowAttr)
    weight_zero_point = opt_prop_def(IntsAttr)
    scales_apart = opt_prop_def(UnitAttr)
    slices = opt_prop_def(IntsAttr)
    buffers = opt_prop_def(IntsAttr)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    CLAUSES: ClassVar[tuple[Clause, ...]] = (
        Clause(operand="ifm"),
        Clause(operand="weights"),
        Clause(operand="scales"),
        Clause("window", attribute="window", payload=WindowAttr),
        Clause("zero_points", attribute="zero_points", payload=IntsAttr),
        Clause("weight_zero_point", attribute="weight_zero_point", payload=IntsAttr),
        Clause("scale", attribute="scale", payload=ScaleAttr),
        Clause("activation", attribute="activation", payload=ActivationAttr),
        _TABLE,
        *_DECISIONS,
        *_WEIGHT_DECISIONS,
    )
    DEPTHWISE: ClassVar[bool]

    @property
    def machine_kind(self) -> Kind:
        return "depthwise" if self.DEPTHWISE else "conv"

    @property
    def part_kernel(self) -> bool:
        """Whether the weights are ordered kernel element first. Fully connected kernels gain nothing from it."""
        size = (self.sliding.height, self.sliding.width)
        if self.DEPTHWISE or (size == (1, 1) and nhwc(self.result)[:2] == (1, 1)):
            return False
        return prefers_part_kernel(nhwc(self.ifm)[2], size, element_of(self.ifm).bits)

    def launch(self) -> Kernel:
        return super().launch()._replace(part_kernel=self.part_kernel)

    def verify_(self) -> None:
        self.verify_common()
        self.verify_window()
        window = self.sliding
        ifm_c, depth = nhwc(self.ifm)[2], nhwc(self.result)[2]
        weights = self.weights.type
        assert isinstance(weights, TensorType)
        expected = (depth, window.height, window.width, 1 if self.DEPTHWISE else ifm_c)
        if weights.get_shape() != expected:
            raise VerifyException(f"weights must be (O, H, W, I) = {expected}, got {weights.get_shape()}")
        if self.DEPTHWISE and ifm_c != depth:
            raise VerifyException("a depthwise kernel has as many OFM as IFM channels")
        scales = self.scales.type
        assert isinstance(scales, ScalesType)
        if scales.channels.data != depth:
            raise VerifyException(f"{depth} OFM channels, but scales for {scales.channels.data}")
        if self.scale is None:
            raise VerifyException("a convolution states its scale: `scale <per_channel, ...>`")
        if self.slices is not None:
            cuts = self.slices.data
            if cuts[0] != 0 or cuts[-1] != depth or list(cuts) != sorted(set(cuts)):
                raise VerifyException(f"slices are the ascending depths 0, ..., {depth} at which the OFM is cut")
        if self.buffers is not None and self.buffers.data not in ((1,), (2,)):
            raise VerifyException("weights pass through one or two buffers")
        if self.through:
            if self.buffers is None or self.buffers.data[0] != len(self.through):
                raise VerifyException(
                    f"weights pass through {len(self.through)} values: say buffers <N> of that number"
                )
            if len(set(self.through)) != len(self.through):
                raise VerifyException("the buffers that the slices of one kernel pass through are different values")
        cut = (self.result, self.ifm) if self.DEPTHWISE else (self.result,)
        if self.slices is not None and any(map(is_brick, cut)) and any(at % BRICK for at in self.slices.data[:-1]):
            raise VerifyException(f"slices of bricks start at multiples of {BRICK} channels")
        verify_launch(self)


@clause_op_definition
class Conv2DOp(ConvKernelOp):
    """Convolution; also fully connected (1x1 on a 1x1 map) and transposed convolution (upscale zeros)."""

    name = "npu_schedule.conv2d"
    DEPTHWISE: ClassVar[bool] = False


@clause_op_definition
class DepthwiseConv2DOp(ConvKernelOp):
    """Depthwise convolution, one filter a channel; weights (C, H, W, 1)."""

    name = "npu_schedule.depthwise_conv2d"
    DEPTHWISE: ClassVar[bool] = True


@clause_op_definition
class PoolOp(KernelOp):
    """
    `max` or `average` over a window, or `sum` over the depth (OFM depth 1). An average without padding is the sum
    times the scale; one with padding divides by the number of elements inside the IFM and takes no scale.
    """

    name = "npu_schedule.pool"
    kind = prop_def(StringAttr)
    ifm = operand_def(TensorType)
    table = opt_operand_def(TensorType)
    over = opt_operand_def(TensorType)
    window = prop_def(WindowAttr)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    KINDS: ClassVar[tuple[str, ...]] = tuple(POOL_KINDS)
    CLAUSES: ClassVar[tuple[Clause, ...]] = (
        Clause(operand="ifm"),
        Clause("window", attribute="window", payload=WindowAttr),
        Clause("zero_points", attribute="zero_points", payload=IntsAttr),
        Clause("scale", attribute="scale", payload=ScaleAttr),
        Clause("activation", attribute="activation", payload=ActivationAttr),
        _TABLE,
        *_DECISIONS,
    )

    @property
    def machine_kind(self) -> Kind:
        return POOL_KINDS[self.kind.data]

    def verify_(self) -> None:
        if self.kind.data not in POOL_KINDS:
            raise VerifyException(f"unknown pool {self.kind.data}: one of {', '.join(POOL_KINDS)}")
        self.verify_common()
        self.verify_window()
        depth = 1 if self.kind.data == "sum" else nhwc(self.ifm)[2]
        if nhwc(self.result)[2] != depth:
            raise VerifyException(f"this pool has OFM depth {depth}")
        verify_launch(self)


@clause_op_definition
class ElementwiseOp(KernelOp):
    """
    One element at a time: unary (`lrelu`, `abs`, `clz`) or binary. IFM2 may be broadcast along any of height, width
    and depth; `reversed` computes `ifm2 - ifm`, `ifm2 >> ifm`. The OFM of `in_place <0>` is written over the IFM,
    that of `in_place <1>` over IFM2, which nothing may read later.
    """

    name = "npu_schedule.elementwise"
    kind = prop_def(StringAttr)
    ifm = operand_def(TensorType)
    ifm2 = opt_operand_def(TensorType)
    table = opt_operand_def(TensorType)
    over = opt_operand_def(TensorType)
    is_reversed = opt_prop_def(UnitAttr, prop_name="reversed")
    operand_scales = opt_prop_def(OperandScalesAttr)
    in_place = opt_prop_def(IntsAttr)
    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    KINDS: ClassVar[tuple[str, ...]] = UNARY_KINDS + BINARY_KINDS
    INPUTS: ClassVar[tuple[str, ...]] = ("ifm", "ifm2")
    CLAUSES: ClassVar[tuple[Clause, ...]] = (
        Clause(operand="ifm"),
        Clause(operand="ifm2"),
        Clause("reversed", attribute="reversed"),
        Clause("zero_points", attribute="zero_points", payload=IntsAttr),
        Clause("operand_scales", attribute="operand_scales", payload=OperandScalesAttr),
        Clause("scale", attribute="scale", payload=ScaleAttr),
        Clause("activation", attribute="activation", payload=ActivationAttr),
        _TABLE,
        *_DECISIONS,
        Clause("in_place", attribute="in_place", payload=IntsAttr),
    )

    @property
    def machine_kind(self) -> Kind:
        return "elementwise"

    @property
    def has_scalar(self) -> bool:
        """Whether IFM2 is one constant element that fits the scalar register."""
        value = self.ifm2
        if value is None or not isinstance(value.owner, ConstantOp):
            return False
        return nhwc(value) == (1, 1, 1) and element_of(value).bits <= 16

    def launch(self) -> Kernel:
        kernel = super().launch()
        operation, value = cast(ElementwiseOperation, self.kind.data), self.ifm2
        if value is None:
            return kernel._replace(operation=operation)
        ifm2, layout = Dims(*nhwc(value)), _format(value)
        return kernel._replace(operation=operation, ifm2=ifm2, ifm2_scalar=self.has_scalar, ifm2_format=layout)

    def reach(self, value: SSAValue) -> Reach:
        height = nhwc(value)[0]
        return Reach(height, whole=height == 1)

    @property
    def overwritten(self) -> SSAValue | None:
        """The feature map whose memory the OFM takes over, if any."""
        return None if self.in_place is None else self.feature_maps[self.in_place.data[0]]

    def verify_(self) -> None:
        self.verify_common()
        kind = self.kind.data
        if kind not in self.KINDS:
            raise VerifyException(f"unknown elementwise kernel {kind}: one of {', '.join(self.KINDS)}")
        if (kind in BINARY_KINDS) != (self.ifm2 is not None):
            raise VerifyException(f"{kind} is {'binary' if kind in BINARY_KINDS else 'unary'}")
        ofm = nhwc(self.result)
        if nhwc(self.ifm) != ofm:
            raise VerifyException("IFM and OFM of an elementwise kernel have one shape; only IFM2 is broadcast")
        if self.ifm2 is not None:
            if any(size not in (1, full) for size, full in zip(nhwc(self.ifm2), ofm, strict=True)):
                raise VerifyException(f"IFM2 {nhwc(self.ifm2)} does not broadcast to {ofm}")
            if element_of(self.ifm2) != element_of(self.ifm):
                raise VerifyException("IFM and IFM2 have one element type")
        if self.in_place is not None:
            if self.in_place.data not in [(index,) for index in range(len(self.feature_maps))]:
                raise VerifyException("in_place is the number of a feature map that the kernel reads: 0, or 1 for IFM2")
            old, new = self.feature_maps[self.in_place.data[0]], self.result
            if form_of(old) != form_of(new):
                raise VerifyException(f"a {new.type} does not fit exactly in the place of a {old.type}")
        verify_launch(self)


def copying(dims: Dims, bits: int, ifm_format: Format, ofm_format: Format) -> Kernel:
    """
    The launch that copies a map of such elements: an average pool of one element, or, of linear maps whose channels do
    not fill micro-blocks, the maximum of each element and the least of its type, which takes the time of its output
    alone (by the cost model). 32-bit elements are moved as pairs of 16 bits.
    """
    units = max(1, bits // 16)
    dims, bits = dims._replace(depth=dims.depth * units), min(bits, 16)
    pool = Kernel("avg_pool", dims, dims, ifm_bits=bits, ofm_bits=bits, ifm_format=ifm_format, ofm_format=ofm_format)
    if dims.depth % MICRO_BLOCK_DEPTH == 0 or not ifm_format == ofm_format == "nhwc":
        return pool
    return pool._replace(kind="elementwise", operation="max", ifm2=Dims(1, 1, 1), ifm2_scalar=True)


@irdl_op_definition
class CopyOp(IRDLOperation):
    """A feature map copied to memory of its own, byte for byte; stands where a view alone would not do."""

    name = "npu_schedule.copy"
    ifm = operand_def(TensorType)
    result = result_def(TensorType)
    block = opt_prop_def(BlockAttr)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$ifm (`block` $block^)? attr-dict `:` type($ifm) `->` type($result)"

    def __init__(self, ifm: SSAValue, result_type: Attribute | None = None):
        super().__init__(operands=[ifm], result_types=[result_type or ifm.type])

    def launch(self) -> Kernel:
        """The launch that makes the copy."""
        return copying(Dims(*nhwc(self.ifm)), element_of(self.ifm).bits, _format(self.ifm), _format(self.result))

    def verify_(self) -> None:
        if nhwc(self.ifm) != nhwc(self.result) or element_of(self.ifm) != element_of(self.result):
            raise VerifyException("a copy has the shape and element type of what it copies")
        verify_written(self.result)
        if element_of(self.ifm).bits == 32 and (is_brick(self.ifm) or is_brick(self.result)):
            raise VerifyException("32-bit feature maps are copied in linear layout only")
        verify_launch(self)


@clause_op_definition
class TransferOp(ClauseOp):
    """
    A feature map brought to another place by DMA, beside the kernels that run meanwhile: a constant or an operand of
    the region to a faster memory, or a value between the arena and the fast memory beside it. Byte for byte, so that
    source and result are stored alike, and the source has no gaps.

    Outside of a cascade it is brought whole. Inside of one it brings the rows that its readers want, at most `stripe`
    at a time, always one launch ahead of them, and a rolling buffer of `rolling` rows holds what is needed of them.
    """

    name = "npu_schedule.transfer"
    source = operand_def(TensorType)
    result = result_def(TensorType)
    stripe = opt_prop_def(IntsAttr)
    rolling = opt_prop_def(IntsAttr)
    traits = traits_def(Pure())

    CLAUSES: ClassVar[tuple[Clause, ...]] = (
        Clause(operand="source"),
        Clause("stripe", attribute="stripe", payload=IntsAttr),
        Clause("rolling", attribute="rolling", payload=IntsAttr),
    )

    def __init__(self, source: SSAValue, result_type: Attribute, rolling: int | None = None):
        super().__init__(
            operands=[source],
            result_types=[result_type],
            properties={} if rolling is None else {"rolling": IntsAttr((rolling,))},
        )

    def verify_(self) -> None:
        if nhwc(self.source) != nhwc(self.result) or element_of(self.source) != element_of(self.result):
            raise VerifyException("a transfer keeps shape and element type")
        verify_written(self.result)
        if is_brick(self.source) != is_brick(self.result):
            raise VerifyException("a transfer keeps the layout: only kernels change it")
        verify_rows(nhwc(self.result)[0], self.stripe, self.rolling)


# ---------------------------------------------------------------------------------------------------------------------
# Cascades
# ---------------------------------------------------------------------------------------------------------------------


@irdl_op_definition
class YieldOp(IRDLOperation):
    """What leaves a cascade."""

    name = "npu_schedule.yield"
    values = var_operand_def(TensorType)
    traits = traits_def(IsTerminator())
    assembly_format = "$values attr-dict `:` type($values)"

    def __init__(self, values: Sequence[SSAValue]):
        super().__init__(operands=[list(values)])


@irdl_op_definition
class CascadeOp(IRDLOperation):
    """
    Kernels that run stripe by stripe, on demand of the last one (`npuc.dialects.stripes`): a value that stays inside
    lives in a rolling buffer of `rolling` rows, one that is yielded, or has no `rolling`, in a whole feature map.

    A value may be read through slices and concats that keep rows, and are inside as well: the parts of a concat share
    one rolling buffer, and each kernel writes its channels or columns of the rows.

    A transfer may be one of its stages: it brings rows of what lies outside, beside the kernels.

        %y = npu_schedule.cascade -> tensor<1x32x32x16xi8> {
          %near = npu_schedule.transfer %x rolling <10> : (tensor<1x32x32x8xi8>) -> tensor<1x32x32x8xi8>
          %1 = npu_schedule.conv2d %near, ... window <3x3, pad 1 1 1 1> stripe <4> : ...

    A result may lie over what the cascade is the last to read, so far before it that no launch writes a row that one is
    still to read; or so far behind it, if all kernels walk `upwards`, from the last rows to the first:

        %y = npu_schedule.cascade -> tensor<1x32x32x16xi8> {
          %1 = npu_schedule.pool max %x ... window <3x3, pad 1 1 1 1> stripe <4> over %x at <-2560> : ...
    """

    name = "npu_schedule.cascade"
    body = region_def("single_block")
    outputs = var_result_def(TensorType)
    traits = traits_def(Pure(), SingleBlockImplicitTerminator(YieldOp))
    assembly_format = "attr-dict-with-keyword `->` type($outputs) $body"

    def __init__(self, body: Region, result_types: Sequence[Attribute]):
        super().__init__(regions=[body], result_types=[list(result_types)])

    @property
    def stages(self) -> tuple[KernelOp | TransferOp, ...]:
        """The kernels and transfers of the cascade in program order: the stages of `unrolled`."""
        return tuple(op for op in self.body.block.ops if isinstance(op, KernelOp | TransferOp))

    @property
    def kernels(self) -> tuple[KernelOp, ...]:
        """The kernels of the cascade in program order."""
        return tuple(op for op in self.stages if isinstance(op, KernelOp))

    @property
    def yielded(self) -> tuple[SSAValue, ...]:
        """What leaves the cascade, in the order of its results."""
        last = self.body.block.last_op
        assert isinstance(last, YieldOp)
        return tuple(last.values)

    @property
    def upwards(self) -> bool:
        """Whether it walks from the last rows to the first."""
        return any(op.upwards is not None for op in self.kernels)

    def unrolled(self) -> Unrolled:
        """The launches in order; VerifyException if a rolling buffer is too low for what is alive in it."""
        walk = self._walk()
        return turned(walk, stages_of(self.stages, self.yielded)) if self.upwards else walk

    def _walk(self) -> Unrolled:
        """The same, rows counted from the last one where it walks upwards."""
        stages = self.stages
        found = unroll(stages_of(stages, self.yielded))
        for op, rows in zip(stages, found.alive, strict=True):
            if op.rolling is not None and op.result not in self.yielded and rows > op.rolling.data[0]:
                raise VerifyException(f"{rows} rows are alive in a rolling buffer of {op.rolling.data[0]}")
        return found

    def nearest(self, op: KernelOp) -> int:
        """
        How many bytes behind what the result of one of its kernels lies over it may begin: at most so many, or at least
        where the cascade walks upwards, a multiple of 16. Both are taken to have no gaps.
        """
        return self._nearest(op, self._walk())

    def _nearest(self, op: KernelOp, walk: Unrolled) -> int:
        value, stages = op.laid_over, self.stages
        assert value is not None
        readers = [
            (index, one.walked(value))
            for index, one in enumerate(stages)
            if isinstance(one, KernelOp)
            for read in one.feature_maps
            if read is value
        ]
        if not readers:
            raise VerifyException("a result lies over what its own cascade reads, and nothing reads later")
        row, read_row = row_bytes(op.result), row_bytes(value)
        apart = bytes_before(walk.launches, stages.index(op), row, readers, read_row)
        if self.upwards:
            # As far as its end lies behind the other end.
            behind = apart + nhwc(value)[0] * read_row - nhwc(op.result)[0] * row
            return -(-behind // ALIGNMENT) * ALIGNMENT
        return -apart // ALIGNMENT * ALIGNMENT

    def verify_(self) -> None:
        last = self.body.block.last_op
        if not isinstance(last, YieldOp) or list(last.operand_types) != list(self.result_types):
            raise VerifyException("a cascade yields exactly its results")
        for op in self.body.block.ops:
            if not isinstance(op, KernelOp | TransferOp | ConstantOp | ScalesOp | YieldOp) and not keeps_rows(op):
                raise VerifyException(
                    f"a cascade holds kernels, transfers, constants, and views that keep rows, not {op.name}"
                )
            if isinstance(op, ConcatOp | SliceOp):
                self._verify_view(op)
            if isinstance(op, TransferOp):
                self._verify_transfer(op)
            if isinstance(op, ElementwiseOp) and op.in_place is not None:
                # Stripes take turns: another kernel may read the operand's rows after this one has written them.
                raise VerifyException("a kernel of a cascade cannot be in_place")
        kernels = self.kernels
        if self.upwards and any(op.upwards is None for op in kernels):
            raise VerifyException("the kernels of a cascade walk in one direction: all are `upwards`, or none is")
        if self.upwards and any(op.sliding.upscale != "none" for op in kernels):
            raise VerifyException("a cascade that upscales does not walk upwards")
        walk = self._walk()
        for op in kernels:
            if op.at is not None:
                self._verify_over(op, walk)

    def _verify_over(self, op: KernelOp, walk: Unrolled) -> None:
        """A result that lies over an operand leaves alone what is still to be read of it."""
        value = op.laid_over
        assert value is not None
        assert op.at is not None
        if op.result not in self.yielded:
            raise VerifyException("what lies over an operand of its cascade leaves the cascade")
        if isinstance(value.owner, Operation) and value.owner.parent_op() is self:
            raise VerifyException("a result lies over what was there before its cascade")
        if sum(one.laid_over is value for one in self.kernels) > 1:
            raise VerifyException("two results do not lie over one feature map")
        nearest, at = self._nearest(op, walk), op.at.data[0]
        if self.upwards and at < nearest:
            raise VerifyException(
                f"it writes over rows that are still to be read {at} bytes behind what it lies over: at least {nearest}"
            )
        if not self.upwards and at > nearest:
            raise VerifyException(
                f"it writes over rows that are still to be read {at} bytes behind what it lies over: at most {nearest}"
            )

    def _verify_view(self, op: ConcatOp | SliceOp) -> None:
        kernels = [source.owner for source in row_sources(op.result)]
        if not all(isinstance(one, KernelOp) and one.parent_op() is self for one in kernels):
            raise VerifyException("a view in a cascade is one of what its kernels write")
        if op.result in self.yielded:
            raise VerifyException("what is yielded is the result of a kernel: a view of it stands outside")
        if isinstance(op, ConcatOp) and len({one.rolling for one in kernels if isinstance(one, KernelOp)}) > 1:
            raise VerifyException("the parts of a concat lie in one rolling buffer: `rolling` is the same for all")

    def _verify_transfer(self, op: TransferOp) -> None:
        owner = op.source.owner
        if isinstance(owner, KernelOp | TransferOp) and owner.parent_op() is self:
            raise VerifyException("a transfer of a cascade brings what lies outside of it")
        if op.result in self.yielded:
            raise VerifyException("a transfer of a cascade brings what is read inside of it")


def rolling_of(root: SSAValue) -> int | None:
    """Rows of the rolling buffer that holds all that lies in a root; None where it is whole."""
    owner = row_sources(root)[0].owner
    if not isinstance(owner, KernelOp | TransferOp) or not isinstance(root.owner, Operation) or owner.rolling is None:
        return None
    return owner.rolling.data[0] if isinstance(root.owner.parent_op(), CascadeOp) else None


def stages_of(
    ops: Sequence[KernelOp | TransferOp], leaving: Collection[SSAValue], stripes: Sequence[int] | None = None
) -> list[Stage]:
    """
    The stages that kernels and transfers in program order are in one cascade, the results `leaving` it given.

    `stripes` are rows a launch for each of them; None takes those that are written on them, or all rows. Rows are
    counted from the last one where the kernels walk upwards.
    """
    index: dict[SSAValue, int] = {op.result: k for k, op in enumerate(ops)}
    stages: list[Stage] = []
    for k, op in enumerate(ops):
        height = nhwc(op.result)[0]
        written = op.stripe.data[0] if op.stripe is not None else height
        if isinstance(op, TransferOp):
            stages.append(Stage(height, written if stripes is None else stripes[k], ahead=True))
            continue
        own = op.reach(op.feature_maps[0])
        stages.append(
            Stage(
                height,
                written if stripes is None else stripes[k],
                tuple(
                    Input(index[source], op.walked(value))
                    for value in op.feature_maps
                    for source in row_sources(value)
                    if source in index
                ),
                op.result in leaving,
                own if own.up > 1 else None,
            )
        )
    return stages


NPU_SCHEDULE = Dialect(
    "npu_schedule",
    [
        ConstantOp,
        ScalesOp,
        WeightBuffersOp,
        Conv2DOp,
        DepthwiseConv2DOp,
        PoolOp,
        ElementwiseOp,
        CopyOp,
        TransferOp,
        ReshapeOp,
        TransposeOp,
        SliceOp,
        ConcatOp,
        CascadeOp,
        YieldOp,
    ],
    [ScalesType],
)
