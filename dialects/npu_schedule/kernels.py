"""
The kernels: convolutions, pools and elementwise kernels, what all of them have, and the decisions about them.
"""

from __future__ import annotations

from typing import ClassVar, cast

from xdsl.dialects.builtin import DenseArrayBase, StringAttr, TensorType, UnitAttr, i32
from xdsl.ir import SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.assembly import Clause, ClauseOp, clause_op_definition
from npuc.dialects.feature_maps import element_of, form_of, is_brick, layout_of, nhwc, space_of, verify_written
from npuc.dialects.launch import padding, verify_launch
from npuc.dialects.npu import (
    ActivationAttr,
    BlockAttr,
    BufferType,
    IntsAttr,
    OperandScalesAttr,
    ScaleAttr,
    Window,
    WindowAttr,
    within,
)
from npuc.dialects.npu_schedule.constants import ConstantOp, ScalesType
from npuc.dialects.stripes import Reach
from npuc.hardware.alignment import ALIGNMENT
from npuc.hardware.limits import MAX_EXTENT
from npuc.hardware.shram import BRICK, Dims, Kernel, Kind, prefers_part_kernel
from npuc.hardware.shram import Operation as ElementwiseOperation

CASCADE = "npu_schedule.cascade"
"""The name of the operation whose kernels run stripe by stripe."""
REGISTER = (-(1 << 15), (1 << 16) - 1)
"""What registers of 16 bits hold, signed or not."""

POOL_KINDS: dict[str, Kind] = {"max": "max_pool", "average": "avg_pool", "sum": "reduce_sum"}
UNARY_KINDS = ("lrelu", "abs", "clz")
BINARY_KINDS = ("add", "sub", "mul", "min", "max", "shr", "shl")

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


def verify_rows(height: int, stripe: IntsAttr | None, rolling: IntsAttr | None) -> None:
    """Stripe and rolling buffer have a number of rows that a feature map of so many has."""
    for name, rows in (("stripe", stripe), ("rolling", rolling)):
        if rows is not None and (len(rows.data) != 1 or not 1 <= rows.data[0] <= height):
            raise VerifyException(f"{name} is one number of rows from 1 to {height}")


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
            ifm_format=layout_of(ifm),
            ofm_format=layout_of(ofm),
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
        around = self.parent_op()
        if around is None or around.name != CASCADE:
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
        verify_launch(self, self.launch(), self.block)


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
        verify_launch(self, self.launch(), self.block)


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
        ifm2, layout = Dims(*nhwc(value)), layout_of(value)
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
        verify_launch(self, self.launch(), self.block)
