"""
What the NPU takes of a TFLite graph: one predicate, `cpu_reason`, which tfl-partition asks and nobody decides again.

The rules are those of the Ethos-U55/U65 as vela's two cores state them (hardware limits) and of TFLite's kernels (which
types go together), for the operators that the compiler lowers so far. After the partition an operator that cannot be
lowered is a fault of the compiler, so a rule belongs here as soon as some lowering relies on it.

A refusal is one line: the rule that is broken, then the tensor that breaks it.
"""

import math
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DenseArrayBase,
    IntegerType,
    Signedness,
    TensorType,
)
from xdsl.ir import Operation, SSAValue

from npuc.dialects import tfl
from npuc.dialects.quant import UniformQuantizedType, quantization, to_float32

MAX_DIMENSION = 65535
MAX_PADDING = 127
"""Rows above, or columns to the left; the registers for below and right hold one more bit."""
MAX_WEIGHT_SUM = 127 * 65536
"""Greatest sum of the absolute weights of one output channel: beyond it the 32-bit accumulator could overflow."""
MAX_STRIDE = 3
MAX_LAUNCHES = 64
"""Most kernels that one operator is split into for the sake of its strides."""
MAX_SPREAD_WEIGHTS = 1 << 18
"""Most weights of the convolution that stands for a depthwise one with a depth multiplier."""


class _Refused(Exception):
    pass


OpT = TypeVar("OpT", bound=tfl.TflOp)


def cpu_reason(op: Operation) -> str | None:
    """Why the NPU cannot take `op`, in one line; None if it can."""
    rules = _RULES.get(type(op))
    if rules is None:
        return f"operator {operator_name(op)} is not supported"
    try:
        _check_tensors(op)
        rules(op)
    except _Refused as refusal:
        return str(refusal)
    return None


def supported_operators() -> set[str]:
    """The operators that the NPU takes in some form, by their names in the TFLite schema."""
    return {type_.name.removeprefix("tfl.").upper() for type_ in _RULES}


def operator_name(op: Operation) -> str:
    """The operator's name in the TFLite schema, for messages: `CONV_2D`, or the code of a custom operator."""
    if isinstance(op, tfl.BuiltinOp):
        return op.operator_name.data
    if isinstance(op, tfl.CustomOp):
        return op.custom_code.data
    return op.name.removeprefix("tfl.").upper()


# What the rules are made of


def _refuse(rule: str, value: SSAValue) -> NoReturn:
    shape = "x".join("?" if size == DYNAMIC_INDEX else str(size) for size in _shape(value))
    name = " ".join(tfl.tensor_name(value).split())
    raise _Refused(f"{rule}: tensor '{name}' ({shape})")


def _require(condition: bool, rule: str, value: SSAValue) -> None:
    if not condition:
        _refuse(rule, value)


def _shape(value: SSAValue) -> tuple[int, ...]:
    return value.type.get_shape() if isinstance(value.type, TensorType) else ()


def _element(value: SSAValue) -> UniformQuantizedType:
    element = quantization(value)
    if element is None:
        _refuse("tensors must be quantised to 8 or 16 bit integers", value)
    return element


def _shape_signature(value: SSAValue) -> Sequence[int]:
    """The shape with -1 where the file leaves a dimension open; empty if it leaves none."""
    info = tfl.tensor_info(value)
    signature = None if info is None else info.data.get("shape_signature")
    return tuple(signature.iter_values()) if isinstance(signature, DenseArrayBase) else ()


def _constants(value: SSAValue, rule: str) -> list[int]:
    """The integers of a constant operand, flat."""
    array = tfl.constant_array(value)
    if array is None:
        _refuse(rule, value)
    return [int(element) for element in array.reshape(-1)]


def _is_feature_map(op: Operation, value: SSAValue) -> bool:
    """Whether an operand is data rather than weights, biases or the shape-like arguments of an operator."""
    if isinstance(op, tfl.Conv2DOp | tfl.DepthwiseConv2DOp | tfl.FullyConnectedOp | tfl.TransposeConvOp):
        return value is op.input
    parameters: dict[type[Operation], tuple[str, ...]] = {
        tfl.ExpandDimsOp: ("dim",),
        tfl.MeanOp: ("axis",),
        tfl.PadOp: ("padding",),
        tfl.ReshapeOp: ("shape",),
        tfl.ResizeNearestNeighborOp: ("size",),
        tfl.SliceOp: ("begin", "size"),
        tfl.SplitOp: ("axis",),
        tfl.StridedSliceOp: ("begin", "end", "strides"),
    }
    return all(value is not getattr(op, name) for name in parameters.get(type(op), ()))


_ANY_BATCH = (tfl.FullyConnectedOp, tfl.SoftmaxOp, tfl.ReshapeOp, tfl.SqueezeOp, tfl.ExpandDimsOp, tfl.SplitOp)
_SCALAR_OPERANDS = (tfl.AddOp, tfl.SubOp, tfl.MulOp, tfl.MinimumOp, tfl.MaximumOp)


def _check_tensors(op: Operation) -> None:
    """What holds for the tensors of every operator, and for its feature maps."""
    for value in (*op.operands, *op.results):
        _require(not tfl.is_sparse(value), "constants must be dense, TFLite computes otherwise with sparse ones", value)
    feature_maps = [value for value in op.operands if _is_feature_map(op, value)]
    if all(tfl.constant_value(value) is not None for value in feature_maps):
        raise _Refused(f"operators must have an input that is not constant: {operator_name(op)}")
    for value in (*feature_maps, *op.results):
        element, shape = _element(value), _shape(value)
        _require(not element.is_per_axis, "feature maps must be quantised per tensor", value)
        width = element.data.storage_width
        # A 32-bit value is rescaled by a multiplication.
        wide = isinstance(op, tfl.QuantizeOp) and value is op.input
        _require(width in (8, 16) or (width == 32 and wide), "feature maps must be of 8 or 16 bit integers", value)
        _require(element.data.signed or width == 8, f"{width} bit integers must be signed", value)
        if width > 8:
            _require(element.zero_point == 0, f"{width} bit tensors must have the zero point 0", value)
        _require(DYNAMIC_INDEX not in shape, "shapes must be constant", value)
        _require(-1 not in _shape_signature(value)[1:], "only the first dimension may be open", value)
        _require(len(shape) <= 4, "tensors must have at most 4 dimensions", value)
        _require(all(1 <= size <= MAX_DIMENSION for size in shape), f"dimensions must be 1 to {MAX_DIMENSION}", value)
        _require(2.0**-100 < element.scale < 2.0**100, "scales must be between 2^-100 and 2^100", value)
        if not shape and not (isinstance(op, _SCALAR_OPERANDS) and value not in op.results):
            _refuse("only operands of element-wise operators may be scalars", value)
        if len(shape) == 4:
            if not isinstance(op, _ANY_BATCH):
                _require(shape[0] == 1, "the batch must be 1", value)
            rows = shape[0] * shape[1]
            _require(rows <= MAX_DIMENSION, f"all batches together must have at most {MAX_DIMENSION} rows", value)
        _require(not isinstance(value.owner, tfl.PseudoTensorOp), "tensors must not be variable", value)


def _same_storage(op: Operation, values: Sequence[SSAValue], result: SSAValue) -> None:
    for value in values:
        if _element(value).storage_type != _element(result).storage_type:
            _refuse(f"{operator_name(op)} must have operands of its result's type", value)


def _same_quantization(op: Operation, values: Sequence[SSAValue], result: SSAValue) -> None:
    """For operators that move values or compare them as they are."""
    for value in values:
        _require(
            quantization(value) == quantization(result),
            f"{operator_name(op)} must have operands of its result's quantisation",
            value,
        )


def _values(value: SSAValue) -> tuple[int, int]:
    """Least and greatest of a tensor's values less its zero point."""
    element = _element(value)
    least, greatest = element.storage_limits
    return least - element.zero_point, greatest - element.zero_point


def _require_scalable(values: tuple[int, int], factor: float, result: SSAValue) -> None:
    """
    TFLite multiplies by a factor of 1 or more in two steps: it shifts left, in 32 bits, and multiplies by a fraction.
    Where the first step overflows its result is no multiple of the value.
    """
    mantissa, exponent = math.frexp(factor)
    left = max(exponent + (mantissa >= 1 - 2.0**-32), 0)
    fits = math.isfinite(factor) and left < 32 and -(1 << 31) <= values[0] << left and values[1] << left < 1 << 31
    _require(fits, f"values times the scales' quotient, {factor:.4g}, must fit 32 bits", result)


def _require_shape(result: SSAValue, expected: Sequence[int]) -> None:
    """The shape that the file gives a result must be the one that its operator makes: runtimes go by the latter."""
    if _shape(result) != tuple(expected):
        _refuse(f"the shape must be the one that the operator makes, {'x'.join(map(str, expected))}", result)


def _check_extent(input_: SSAValue, window: tuple[int, int], stride: tuple[int, int], padding: str) -> tuple[int, int]:
    """Height and width that a (dilated) window makes of an NHWC input, whose padding the NPU must be able to hold."""
    found: list[int] = []
    for size, length, step in zip(_shape(input_)[1:3], window, stride, strict=True):
        count = -(-size // step) if padding == "SAME" else (size - length) // step + 1
        total = max((count - 1) * step + length - size, 0)
        if total // 2 > MAX_PADDING:
            _refuse(f"there must be at most {MAX_PADDING} rows or columns of padding, not {total // 2}", input_)
        found.append(count)
    return found[0], found[1]


def _check_activation(op: tfl.TflOp) -> None:
    chosen = op.properties.get("fused_activation_function")
    allowed = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")
    if chosen is not None and getattr(chosen, "data", "") not in allowed:
        _refuse(f"the fused activation must be one of {', '.join(allowed)}", op.results[0])
    _check_limits(op.results[0], getattr(chosen, "data", "NONE"))


def _check_limits(result: SSAValue, activation: str) -> None:
    """TFLite brings the limits of an activation to the result's scale in 32 bits."""
    from npuc.analysis.fixed_point import ACTIVATION_LIMITS  # which brings in NumPy

    limit = max(abs(one or 0.0) for one in ACTIVATION_LIMITS[activation])
    steps = limit / _element(result).scale
    _require(steps < 1 << 30, f"the activation's limit, {limit:g}, must be below 2^30 steps of the scale", result)


# One rule an operator


def _check_weights(op: tfl.Conv2DOp | tfl.DepthwiseConv2DOp | tfl.FullyConnectedOp | tfl.TransposeConvOp) -> None:
    """Weights and biases, and the types that go together in TFLite's kernels."""
    _check_activation(op)
    _same_storage(op, [op.input], op.output)
    input_, element = _element(op.input), quantization(op.filter)
    rank = 2 if isinstance(op, tfl.FullyConnectedOp) else 4
    _require(len(_shape(op.filter)) == rank, f"weights must have {rank} dimensions", op.filter)
    axis = 3 if isinstance(op, tfl.DepthwiseConv2DOp) else 0
    weights = tfl.constant_value(op.filter)
    if weights is None or element is None:
        _refuse("weights must be constant and quantised", op.filter)
    unsigned = not input_.data.signed
    _require(element.data.storage_width == 8, "weights must be of 8 bits", op.filter)
    _require(element.data.signed != unsigned, "weights must be signed or unsigned as the input is", op.filter)
    if element.is_per_axis:
        per_channel = element.axis == axis and len(element.scales) == _shape(op.filter)[axis]
        _require(per_channel, "weights must be quantised per output channel", op.filter)
        _require(not any(element.zero_points), "weights quantised per channel must have the zero point 0", op.filter)
    _require(min(_shape(op.filter), default=0) >= 1, "weights must not be empty", op.filter)
    least, greatest = element.storage_limits
    largest = max(max(abs(least - z), abs(greatest - z)) for z in set(element.zero_points))
    channel_size = math.prod(_shape(op.filter)) // _shape(op.filter)[axis]
    if channel_size * largest > MAX_WEIGHT_SUM:
        _require(
            _greatest_weight_sum(op.filter, element, axis) <= MAX_WEIGHT_SUM,
            f"the absolute weights of a channel must sum to at most {MAX_WEIGHT_SUM}",
            op.filter,
        )
    if element.is_per_axis and unsigned:
        _refuse("unsigned weights must be quantised per tensor", op.filter)
    # It loads NumPy, which partitions without such operators do not need.
    from npuc.analysis import weighted_sums

    if op.bias is not None:
        _check_bias(op.bias, _shape(op.filter)[axis], weighted_sums.bias_width(op))
    if input_.data.storage_width == 16 and isinstance(op, tfl.Conv2DOp | tfl.FullyConnectedOp | tfl.TransposeConvOp):
        option = op.quantized_bias_type.data
        _require(option in ("FLOAT32", "INT32", "INT64"), f"quantized_bias_type must not be {option}", op.input)
    try:
        weighted_sums.scaling(op)
    except weighted_sums.CannotScale as error:
        _refuse(str(error), error.value)


def _greatest_weight_sum(filter_: SSAValue, element: UniformQuantizedType, axis: int) -> int:
    import numpy as np

    weights = tfl.constant_array(filter_)
    assert weights is not None
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.int32)
    zero_points = np.array(element.zero_points, np.int32).reshape(-1, 1)
    return int(np.abs(rows - zero_points).sum(axis=1, dtype=np.int64).max())


def _check_bias(bias: SSAValue, channels: int, width: int) -> None:
    constant = tfl.constant_value(bias)
    if constant is None:
        _refuse("biases must be constant", bias)
    _require(_shape(bias) == (channels,), f"there must be one bias for each of {channels} channels", bias)
    type_ = constant.type.element_type
    signed = isinstance(type_, IntegerType) and type_.signedness.data != Signedness.UNSIGNED
    if not (isinstance(type_, IntegerType) and signed and type_.bitwidth == width):
        # For 16-bit input this goes by the option quantized_bias_type, not by what the tensor holds.
        _refuse(f"biases must be integers of the {width} bits that TFLite's kernel reads", bias)
    if type_.bitwidth == 64:
        values = tfl.constant_array(bias)
        assert values is not None
        limit = 1 << 39
        within = values.size == 0 or (int(values.min()) >= -limit and int(values.max()) < limit)
        _require(within, "biases must fit 40 bits", bias)


def _strides(op: tfl.Conv2DOp | tfl.DepthwiseConv2DOp | tfl.TransposeConvOp | tfl.PoolOp) -> tuple[int, int]:
    return op.stride_h.value.data, op.stride_w.value.data


def _check_window(op: tfl.Conv2DOp | tfl.DepthwiseConv2DOp) -> None:
    _require(len(_shape(op.input)) == 4, "the input must have 4 dimensions", op.input)
    stride_h, stride_w = _strides(op)
    dilation_h, dilation_w = op.dilation_h_factor.value.data, op.dilation_w_factor.value.data
    _require(min(stride_h, stride_w, dilation_h, dilation_w) >= 1, "strides and dilations must be positive", op.output)
    _, height, width, _ = _shape(op.filter)
    height, width = (height - 1) * dilation_h + 1, (width - 1) * dilation_w + 1
    _require(height <= 64, f"the dilated kernel must be at most 64 high, not {height}", op.filter)
    if height * width > 4096:
        _refuse(f"the dilated kernel must have at most 4096 elements, not {height}x{width}", op.filter)
    extent = _check_extent(op.input, (height, width), (stride_h, stride_w), op.padding.data)
    channels = _shape(op.filter)[3 if isinstance(op, tfl.DepthwiseConv2DOp) else 0]
    _require_shape(op.output, (_shape(op.input)[0], *extent, channels))
    _check_launches(op, (stride_h, stride_w))


def _check_launches(op: tfl.TflOp, strides: tuple[int, int]) -> None:
    """A stride that the machine lacks costs a kernel for each row, or column, of the output."""
    output = op.results[0]
    sizes = _shape(output)[1:3]
    launches = math.prod(size for size, stride in zip(sizes, strides, strict=True) if stride > MAX_STRIDE)
    if launches > MAX_LAUNCHES:
        _refuse(f"strides beyond {MAX_STRIDE} make at most {MAX_LAUNCHES} rows or columns, not {launches}", output)


def _check_conv_2d(op: tfl.Conv2DOp) -> None:
    _check_weights(op)
    _check_window(op)
    _require(_shape(op.filter)[3] == _shape(op.input)[3], "convolutions must not be grouped", op.filter)


def _check_depthwise_conv_2d(op: tfl.DepthwiseConv2DOp) -> None:
    _check_weights(op)
    _check_window(op)
    channels, depth = _shape(op.input)[3], _shape(op.filter)[3]
    # Several results a channel are those of a convolution in which all other weights are 0.
    fits = depth in (channels, 0) or channels * math.prod(_shape(op.filter)) <= MAX_SPREAD_WEIGHTS
    _require(fits and depth % channels == 0, "a depth multiplier beyond 1 needs a smaller kernel", op.filter)
    _require(_shape(op.filter)[0] == 1, "depthwise weights must begin with a dimension of 1", op.filter)


def _check_transpose_conv(op: tfl.TransposeConvOp) -> None:
    _check_weights(op)
    _require(len(_shape(op.input)) == 4, "the input must have 4 dimensions", op.input)
    _, height, width, channels = _shape(op.input)
    _, kernel_h, kernel_w, depth = _shape(op.filter)
    stride_h, stride_w = _strides(op)
    _require(depth == channels, "convolutions must not be grouped", op.filter)
    _require(
        kernel_h <= 64 and kernel_h * kernel_w <= 4096, "the kernel must be at most 64 high, 4096 in all", op.filter
    )
    # A single row is the same under either stride, and so is a single column.
    allowed = [(1, 1), (2, 2)] + [(1, 2)] * (height == 1) + [(2, 1)] * (width == 1)
    if (stride_h, stride_w) not in allowed:
        _refuse(f"the stride must be 1x1 or 2x2 (or 2 along the only axis), not {stride_h}x{stride_w}", op.input)
    extent = (height * stride_h, width * stride_w)
    if op.padding.data == "VALID":
        extent = (extent[0] + max(kernel_h - stride_h, 0), extent[1] + max(kernel_w - stride_w, 0))
    expected = (1, *extent, _shape(op.filter)[0])
    _require_shape(op.output, expected)
    if tfl.constant_value(op.output_shape) is not None:
        given = tuple(_constants(op.output_shape, "the output's shape must be constant"))
        _require(given == expected, "the operand output_shape must agree with the result's shape", op.output_shape)


def _check_fully_connected(op: tfl.FullyConnectedOp) -> None:
    _check_weights(op)
    _require(op.weights_format.data == "DEFAULT", "weights must not be shuffled", op.filter)
    channels, depth = _shape(op.filter)
    size = math.prod(_shape(op.input))
    _require(size % depth == 0, f"the input must be rows of {depth}", op.input)
    rows: tuple[int, ...] = (size // depth,)
    if op.keep_num_dims:
        rows = _shape(op.input)[:-1]
        _require(_shape(op.input)[-1] == depth, f"the input must be rows of {depth}", op.input)
    _require_shape(op.output, (*rows, channels))


def _check_pool(op: tfl.PoolOp) -> None:
    _check_activation(op)
    _same_quantization(op, [op.input], op.output)
    _require(len(_shape(op.input)) == 4, "the input must have 4 dimensions", op.input)
    stride_h, stride_w = _strides(op)
    height, width = op.filter_height.value.data, op.filter_width.value.data
    _require(min(stride_h, stride_w, height, width) >= 1, "strides and windows must be positive", op.input)
    if isinstance(op, tfl.AveragePool2DOp) and op.padding.data == "SAME":
        if max(height, width) > 8:
            _refuse(f"the window must be at most 8x8 with padding SAME, not {height}x{width}", op.input)
    elif height > 256 or height * width > 65536:
        _refuse(f"the window must be at most 256 high and 65536 in all, not {height}x{width}", op.input)
    extent = _check_extent(op.input, (height, width), (stride_h, stride_w), op.padding.data)
    _require_shape(op.output, (_shape(op.input)[0], *extent, _shape(op.input)[3]))
    _check_launches(op, (stride_h, stride_w))


def _check_binary(op: tfl.BinaryOp) -> None:
    _check_activation(op)
    _same_storage(op, [op.lhs, op.rhs], op.output)
    shapes = [_shape(op.lhs), _shape(op.rhs)]
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    for one, other in zip(*padded, strict=True):
        _require(one == other or 1 in (one, other), "operands must be equal in size, or 1, along each axis", op.rhs)
    expected = tuple(max(sizes) for sizes in zip(*padded, strict=True))
    _require_shape(op.output, expected)


def _powers_of_two(scales: Sequence[float]) -> list[int]:
    """Exponents of those scales that TFLite takes for powers of two."""
    # It loads NumPy, which partitions without 16-bit operators do not need.
    from npuc.analysis.fixed_point import checked_log2

    logs = [checked_log2(scale) for scale in scales]
    return [log for log in logs if log is not None]


def _check_sum(op: tfl.AddOp | tfl.SubOp) -> None:
    _check_binary(op)
    width = _element(op.output).data.storage_width
    scales = [_element(value).scale for value in (op.lhs, op.rhs, op.output)]
    powers = _powers_of_two(scales) if width == 16 and op.pot_scale_int16 else []
    if len(powers) == 3:
        _require(max(powers[:2]) == powers[2], "the greater scale must be the result's", op.output)
        # TFLite shifts 16 bits.
        _require(powers[2] - min(powers) < 16, "scales that are powers of two must be less than 2^16 apart", op.output)
        if isinstance(op, tfl.AddOp):
            alike = math.prod(_shape(op.lhs)) == math.prod(_shape(op.rhs))
            _require(alike, "ADD of 16 bits with scales that are powers of two must not broadcast", op.output)
        return
    # TFLite stops unless a sum, which it has shifted left by 20 or 15 bits and halved, is scaled by less than 1.
    shift = 14 if width == 16 else 19
    below = max(scales[:2]) / scales[2] < 2.0**shift * (1 - 2.0**-32)
    _require(below, f"the result's scale must be above 2^-{shift} of its operands'", op.output)


def _check_mul(op: tfl.MulOp) -> None:
    _check_binary(op)
    factor = to_float32(to_float32(_element(op.lhs).scale * _element(op.rhs).scale) / _element(op.output).scale)
    products = [a * b for a in _values(op.lhs) for b in _values(op.rhs)]
    _require_scalable((min(products), max(products)), factor, op.output)


def _check_rescaled(op: tfl.UnaryOp) -> None:
    """What is of the operand's type and scaled by the float32 quotient of the scales."""
    _check_unary(op)
    factor = to_float32(_element(op.input).scale / _element(op.output).scale)
    _require_scalable(_values(op.input), factor, op.output)


def _check_abs(op: tfl.AbsOp) -> None:
    _check_rescaled(op)
    _require(_element(op.input).data.signed, "ABS must be of signed integers", op.input)


def _check_relu(op: tfl.ReluOp) -> None:
    _check_rescaled(op)


def _check_relu6(op: tfl.Relu6Op) -> None:
    _check_rescaled(op)
    _check_limits(op.output, "RELU6")


def _check_relu_n1_to_1(op: tfl.ReluN1To1Op) -> None:
    _check_rescaled(op)
    _check_limits(op.output, "RELU_N1_TO_1")
    _require(_element(op.input).data.storage_width == 8, "RELU_N1_TO_1 must be of 8 bits", op.input)


def _check_leaky_relu(op: tfl.LeakyReluOp) -> None:
    _check_rescaled(op)
    scale, alpha = _element(op.input).scale, to_float32(op.alpha.value.data)
    slope = to_float32(to_float32(scale * alpha) / _element(op.output).scale)
    _require_scalable(_values(op.input), abs(slope), op.output)
    if _element(op.input).data.storage_width == 16:
        _require(alpha >= 0, "LEAKY_RELU of 16 bits must have an alpha of at least 0", op.input)
        from npuc.analysis.activations import leaky_relu_choice

        _require(leaky_relu_choice(op) is not None, "LEAKY_RELU of 16 bits must be a minimum or maximum", op.input)


def _check_minimum_maximum(op: tfl.BinaryOp) -> None:
    _check_binary(op)
    _same_quantization(op, [op.lhs, op.rhs], op.output)


def _check_unary(op: tfl.UnaryOp) -> None:
    _same_storage(op, [op.input], op.output)
    _require_shape(op.output, _shape(op.input))


def _check_logistic(op: tfl.LogisticOp) -> None:
    _check_function(op)
    steps = 1 << (15 if _element(op.output).data.storage_width == 16 else 8)
    _require(_element(op.output).scale == 1 / steps, f"LOGISTIC must give a scale of 1/{steps}", op.output)


def _check_tanh(op: tfl.TanhOp) -> None:
    _check_function(op)
    element = _element(op.output)
    fixed = element.data.storage_width == 8 or _powers_of_two([element.scale]) == [-15]
    _require(fixed, "TANH of 16 bits must give a scale of 1/32768", op.output)


def _check_function(op: tfl.LogisticOp | tfl.TanhOp) -> None:
    _check_unary(op)
    element = _element(op.input)
    if element.data.storage_width == 16:
        # The argument, in steps of 1 / (3 * 4096), must fit 32 bits.
        _require(element.scale < 5.0, f"{operator_name(op)} of 16 bits must have a scale below 5", op.input)


def _check_hard_swish(op: tfl.HardSwishOp) -> None:
    _check_unary(op)
    _require(_element(op.input).data.storage_width == 8, "HARD_SWISH must be of 8 bits", op.input)
    from npuc.analysis.activations import hard_swish_factors

    result, argument = hard_swish_factors(_element(op.input), _element(op.output))
    # TFLite shifts 16-bit values by less than 16 bits, and the result only to the right.
    _require(2.0**-16 <= result < 1, "the result's scale must be from 1/128 to 512 of the operand's", op.output)
    _require(2.0**-16 <= argument < 2.0**16, "HARD_SWISH must have a scale from 3 * 2^-24 to 768", op.input)


def _check_softmax(op: tfl.SoftmaxOp) -> None:
    _check_unary(op)
    _require(_element(op.input).data.storage_width == 8, "SOFTMAX must be of 8 bits", op.input)
    if _element(op.output).data.signed:
        fixed = abs(_element(op.output).scale - 1 / 256) < 1e-3 / 256 and _element(op.output).zero_point == -128
        _require(fixed, "SOFTMAX must give a scale of 1/256 and a zero point of -128", op.output)
    # TFLite's kernel aborts unless a step of the input is more than one of the exponential's argument, 2^-26.
    steep = op.beta.value.data * _element(op.input).scale > 2.0**-26
    _require(steep, "beta times the input's scale must be above 2^-26", op.input)
    rows = math.prod(_shape(op.input)[:-1])
    _require(rows < 65536, f"SOFTMAX must have fewer than 65536 rows, not {rows}", op.input)


def _check_quantize(op: tfl.QuantizeOp) -> None:
    """From integers to integers; other element types are refused as for all operators."""
    _require_shape(op.output, _shape(op.input))
    source, target = _element(op.input), _element(op.output)
    known = source.data.storage_width == 8 or target.data.signed
    _require(known, "QUANTIZE from 16 or 32 bits must give signed integers", op.output)
    _require_scalable(_values(op.input), source.scale / target.scale, op.output)


def _check_concatenation(op: tfl.ConcatenationOp) -> None:
    _require(op.fused_activation_function.data == "NONE", "CONCATENATION must have no fused activation", op.output)
    _same_quantization(op, op.values, op.output)
    shape = _shape(op.values[0])
    axis = _axis(op.axis.value.data, len(shape), op.output)
    for value in op.values:
        same = len(_shape(value)) == len(shape) and _without(_shape(value), axis) == _without(shape, axis)
        _require(same, "operands must be equal in size but along the axis", value)
    total = sum(_shape(value)[axis] for value in op.values)
    _require_shape(op.output, (*shape[:axis], total, *shape[axis + 1 :]))


def _axis(axis: int, rank: int, value: SSAValue) -> int:
    """An axis counted from the front."""
    _require(-rank <= axis < rank, f"axis {axis} must be one of the {rank} dimensions", value)
    return axis % rank


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _check_split(op: tfl.SplitOp) -> None:
    axes = _constants(op.axis, "the axis must be constant")
    _require(len(axes) == 1, "SPLIT must be along one axis", op.axis)
    shape, parts = _shape(op.input), len(op.outputs)
    _require(op.num_splits.value.data == parts >= 1, "SPLIT must have as many results as it says", op.input)
    axis = _axis(axes[0], len(shape), op.input)
    _require(shape[axis] % parts == 0, f"the axis must divide into {parts} equal parts", op.input)
    if len(shape) == 4 and shape[0] > 1 and axis < 2:
        size = math.prod(shape[axis + 1 :])
        _require(size <= MAX_DIMENSION, f"there must be at most {MAX_DIMENSION} elements behind the axis", op.input)
    for output in op.outputs:
        _same_quantization(op, [op.input], output)
        _require_shape(output, (*shape[:axis], shape[axis] // parts, *shape[axis + 1 :]))


def _check_slice(op: tfl.SliceOp) -> None:
    begin = _constants(op.begin, "begin and size must be constant")
    size = _constants(op.size, "begin and size must be constant")
    _same_quantization(op, [op.input], op.output)
    shape = _shape(op.input)
    _require(len(begin) == len(size) == len(shape), "begin and size must have one element a dimension", op.begin)
    sizes = [whole - b if s == -1 else s for b, s, whole in zip(begin, size, shape, strict=True)]
    inside = all(0 <= b and s >= 0 and b + s <= whole for b, s, whole in zip(begin, sizes, shape, strict=True))
    _require(inside, "the slice must lie within the input", op.begin)
    _require_shape(op.output, sizes)


def _check_strided_slice(op: tfl.StridedSliceOp) -> None:
    begin, end, strides = (
        _constants(operand, "begin, end and strides must be constant") for operand in (op.begin, op.end, op.strides)
    )
    _same_quantization(op, [op.input], op.output)
    _require(op.ellipsis_mask.value.data == 0, "STRIDED_SLICE must have no ellipsis", op.input)
    new, shrunk = op.new_axis_mask.value.data, op.shrink_axis_mask.value.data
    _require(not (new and shrunk), "STRIDED_SLICE must not both add and drop dimensions", op.input)
    _require(all(stride > 0 for stride in strides), "strides must be positive", op.input)
    rank = len(_shape(op.input))
    fixed = [stride for axis, stride in enumerate(strides) if axis + 4 - rank not in (1, 2)]
    _require(all(stride == 1 for stride in fixed), "only height and width may have strides above 1", op.input)
    _require(new == 0, "STRIDED_SLICE must not add dimensions", op.input)
    _require(not op.offset, "the end must not be counted from the beginning", op.input)
    shape = _shape(op.input)
    _require(
        len(begin) == len(end) == len(strides) == rank, "begin and end must have one element a dimension", op.begin
    )
    sizes: list[int] = []
    for axis, whole in enumerate(shape):
        first = 0 if op.begin_mask.value.data >> axis & 1 else begin[axis]
        last = whole if op.end_mask.value.data >> axis & 1 else end[axis]
        if shrunk >> axis & 1:
            first += whole if first < 0 else 0
            _require(0 <= first < whole, "an index must lie within the input", op.begin)
        else:
            sizes.append(len(range(*slice(first, last, strides[axis]).indices(whole))))
    _require_shape(op.output, sizes)


def _check_moved_whole(op: tfl.TflOp, source: SSAValue, result: SSAValue) -> None:
    _same_quantization(op, [source], result)
    size = math.prod(_shape(source))
    _require(math.prod(_shape(result)) == size, f"{operator_name(op)} must keep all {size} elements", result)


def _check_reshape(op: tfl.ReshapeOp) -> None:
    if op.shape is not None:
        _constants(op.shape, "the new shape must be constant")
    _check_moved_whole(op, op.input, op.output)


def _check_squeeze(op: tfl.SqueezeOp) -> None:
    _check_moved_whole(op, op.input, op.output)


def _check_expand_dims(op: tfl.ExpandDimsOp) -> None:
    _constants(op.dim, "the axis must be constant")
    _check_moved_whole(op, op.input, op.output)


def _check_pad(op: tfl.PadOp) -> None:
    amounts = _constants(op.padding, "the amounts of padding must be constant")
    _require(all(amount >= 0 for amount in amounts), "the amounts of padding must not be negative", op.input)
    shape = _shape(op.input)
    _require(len(amounts) == 2 * len(shape), "there must be two amounts a dimension", op.padding)
    if len(shape) == 4:
        _require(amounts[:2] == [0, 0], "the batch must not be padded", op.input)
    _same_quantization(op, [op.input], op.output)
    pairs = zip(amounts[::2], amounts[1::2], strict=True)
    _require_shape(op.output, [before + size + after for size, (before, after) in zip(shape, pairs, strict=True)])


def _check_mean(op: tfl.MeanOp) -> None:
    shape = _shape(op.input)
    axes = {_axis(axis, len(shape), op.axis) for axis in _constants(op.axis, "the axes must be constant")}
    _same_storage(op, [op.input], op.output)
    _require(bool(axes), "MEAN must be over at least one axis", op.input)
    # The sum is over one axis of a map of three: what is before the averaged axes, these, and what is behind them.
    averaged = [axis for axis in axes if shape[axis] > 1]
    span = range(min(averaged, default=0), max(averaged, default=-1) + 1)
    _require(all(axis in axes or shape[axis] == 1 for axis in span), "the averaged axes must be neighbours", op.input)
    count = math.prod(shape[axis] for axis in averaged)
    around = (math.prod(shape[: span.start]), math.prod(shape[span.stop :]))
    _require(max(around) <= MAX_DIMENSION, f"MEAN must have at most {MAX_DIMENSION} sums on each side", op.input)
    _require(count <= MAX_DIMENSION, f"MEAN must be over at most {MAX_DIMENSION} elements", op.input)
    sizes = [shape[axis] for axis in axes]
    _require(max(sizes) < 4096, "an axis that is averaged must be below 4096", op.input)
    element = _element(op.input).data
    limit = 1 << (16 if element.storage_width == 16 else 24 if element.signed else 23)
    _require(math.prod(sizes) <= limit, f"MEAN must be over at most {limit} elements", op.input)
    # TFLite divides before it shifts left, by the power of two below the count.
    least, greatest = _values(op.input)
    factor = _element(op.input).scale / _element(op.output).scale
    _require_scalable((count * least, count * greatest), factor / (1 << count.bit_length() - 1), op.output)
    kept = [1 if axis in axes else size for axis, size in enumerate(shape) if axis not in axes or op.keep_dims]
    _require_shape(op.output, kept)


def _check_resize_nearest_neighbor(op: tfl.ResizeNearestNeighborOp) -> None:
    size = _constants(op.size, "the size must be constant")
    aligned = not (op.align_corners and op.half_pixel_centers)
    _require(aligned, "corners must not be aligned together with half-pixel centres", op.input)
    _same_quantization(op, [op.input], op.output)
    _require(len(_shape(op.input)) == 4, "the input must have 4 dimensions", op.input)
    _require_shape(op.output, (1, *size, _shape(op.input)[3]))
    source, target = _shape(op.input)[1:3], _shape(op.output)[1:3]
    if source in ((1, 1), target):
        return
    less = 1 if op.align_corners else 0
    factors = {
        (large - less) / (small - less) if small > less else 0.0
        for small, large in zip(source, target, strict=True)
        if not (small == 1 and large == 1)
    }
    if len(factors) != 1 or not factors <= {2.0, 4.0, 8.0}:
        _refuse("height and width must grow by the same factor of 2, 4 or 8", op.output)


def _typed(op_type: type[OpT], rule: Callable[[OpT], None]) -> tuple[type[OpT], Callable[[Operation], None]]:
    def check(op: Operation) -> None:
        assert isinstance(op, op_type)
        rule(op)

    return op_type, check


_RULES: dict[type[Operation], Callable[[Operation], None]] = dict(
    [
        _typed(tfl.AbsOp, _check_abs),
        _typed(tfl.AddOp, _check_sum),
        _typed(tfl.AveragePool2DOp, _check_pool),
        _typed(tfl.ConcatenationOp, _check_concatenation),
        _typed(tfl.Conv2DOp, _check_conv_2d),
        _typed(tfl.DepthwiseConv2DOp, _check_depthwise_conv_2d),
        _typed(tfl.ExpandDimsOp, _check_expand_dims),
        _typed(tfl.FullyConnectedOp, _check_fully_connected),
        _typed(tfl.HardSwishOp, _check_hard_swish),
        _typed(tfl.LeakyReluOp, _check_leaky_relu),
        _typed(tfl.LogisticOp, _check_logistic),
        _typed(tfl.MaxPool2DOp, _check_pool),
        _typed(tfl.MaximumOp, _check_minimum_maximum),
        _typed(tfl.MeanOp, _check_mean),
        _typed(tfl.MinimumOp, _check_minimum_maximum),
        _typed(tfl.MulOp, _check_mul),
        _typed(tfl.PadOp, _check_pad),
        _typed(tfl.QuantizeOp, _check_quantize),
        _typed(tfl.Relu6Op, _check_relu6),
        _typed(tfl.ReluN1To1Op, _check_relu_n1_to_1),
        _typed(tfl.ReluOp, _check_relu),
        _typed(tfl.ReshapeOp, _check_reshape),
        _typed(tfl.ResizeNearestNeighborOp, _check_resize_nearest_neighbor),
        _typed(tfl.SliceOp, _check_slice),
        _typed(tfl.SoftmaxOp, _check_softmax),
        _typed(tfl.SplitOp, _check_split),
        _typed(tfl.SqueezeOp, _check_squeeze),
        _typed(tfl.StridedSliceOp, _check_strided_slice),
        _typed(tfl.SubOp, _check_sum),
        _typed(tfl.TanhOp, _check_tanh),
        _typed(tfl.TransposeConvOp, _check_transpose_conv),
    ]
)
