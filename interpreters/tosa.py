"""
What `tosa` computes: functions for xDSL's interpreter, and `run`, which interprets one function of a module.

A tensor is a NumPy array (int8 for `i8`, uint8 for `ui8`, int64 for `i48`, bool for `i1`), a `!tosa.shape` a tuple.
Any module that is wholly tosa runs, with `quant.scast` (which moves nothing) where quantised types stand at its edges.
The arithmetic is in `tosa_kernels`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, ModuleOp, TensorType
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls
from xdsl.interpreters.func import FuncFunctions
from xdsl.ir import Operation, SSAValue

from npuc.dialects import tosa
from npuc.dialects.constants import as_numpy, numpy_dtype
from npuc.dialects.quant import StorageCastOp
from npuc.interpreters import tosa_kernels as kernels

Array = NDArray[Any]


def run(module: ModuleOp, inputs: Sequence[Array], function: str = "main") -> list[Array]:
    """
    The results of `function` on `inputs`, one array an argument, of its storage type.

    Raises InterpretationError for an operation that is not tosa's, ArithmeticError where TOSA leaves the result open.
    """
    interpreter = Interpreter(module)
    interpreter.register_implementations(FuncFunctions())
    interpreter.register_implementations(TosaFunctions())
    return list(interpreter.call_op(function, tuple(inputs)))


def _element(value: SSAValue) -> Any:
    assert isinstance(value.type, TensorType)
    return value.type.element_type


def _dtype(value: SSAValue) -> np.dtype[Any]:
    element_type = _element(value)
    return np.dtype(np.bool_) if tosa.width_of(element_type) == 1 else numpy_dtype(element_type)


def _number(array: Array, like: Array | None = None) -> int:
    """The one element of a zero point; with the signedness of `like`, whose zero point it is."""
    if like is not None and like.dtype != array.dtype and like.dtype.itemsize == array.dtype.itemsize:
        array = array.view(like.dtype)
    return int(array.reshape(-1)[0])


def _pads(attribute: Any) -> kernels.Pads:
    top, bottom, left, right = tosa.integers(attribute)
    return top, bottom, left, right


def _pair(attribute: Any) -> kernels.Pair:
    y, x = tosa.integers(attribute)
    return y, x


def _conv2d(op: tosa.Conv2DOp, args: Sequence[Any]) -> Array:
    return _convolution(kernels.conv2d, op, args)


def _depthwise_conv2d(op: tosa.DepthwiseConv2DOp, args: Sequence[Any]) -> Array:
    return _convolution(kernels.depthwise_conv2d, op, args)


def _convolution(kernel: Callable[..., Array], op: tosa.ConvolutionOp, args: Sequence[Any]) -> Array:
    values, weights, bias, input_zp, weight_zp = args
    zero_points = (_number(input_zp, values), _number(weight_zp, weights))
    return kernel(
        values,
        weights,
        bias,
        zero_points,
        _pads(op.pad),
        _pair(op.stride),
        _pair(op.dilation),
        tosa.width_of(op.acc_type),
    )


def _transpose_conv2d(op: tosa.TransposeConv2DOp, args: Sequence[Any]) -> Array:
    values, weights, bias, input_zp, weight_zp = args
    zero_points = (_number(input_zp, values), _number(weight_zp, weights))
    return kernels.transpose_conv2d(
        values, weights, bias, zero_points, _pads(op.out_pad), _pair(op.stride), tosa.width_of(op.acc_type)
    )


def _max_pool2d(op: tosa.MaxPool2DOp, args: Sequence[Any]) -> Array:
    return kernels.max_pool2d(args[0], _pair(op.kernel), _pair(op.stride), _pads(op.pad))


def _avg_pool2d(op: tosa.AvgPool2DOp, args: Sequence[Any]) -> Array:
    zero_points = (_number(args[1], args[0]), _number(args[2], args[0]))
    return kernels.avg_pool2d(args[0], zero_points, _pair(op.kernel), _pair(op.stride), _pads(op.pad))


def _matmul(op: tosa.MatMulOp, args: Sequence[Any]) -> Array:
    zero_points = (_number(args[2], args[0]), _number(args[3], args[1]))
    return kernels.matmul(args[0], args[1], zero_points, tosa.width_of(_element(op.output)))


def _rescale(op: tosa.RescaleOp, args: Sequence[Any]) -> Array:
    values, multiplier, shift, input_zp, output_zp = args
    target = _dtype(op.output)
    # A signless value is read as unsigned, and written so, where the operation says it.
    if op.input_unsigned and values.dtype.kind == "i":
        values = values.view(f"u{values.dtype.itemsize}")
    computed = np.dtype(f"u{target.itemsize}") if op.output_unsigned else target
    result = kernels.rescale(
        values,
        multiplier,
        shift,
        _number(input_zp, values),
        _number(output_zp, np.empty(0, computed)),
        computed,
        op.rounding_mode.data == tosa.RoundingMode.DOUBLE_ROUND,
    )
    return result.view(target)


def _clamp(op: tosa.ClampOp, args: Sequence[Any]) -> Array:
    low, high = op.min_val, op.max_val
    assert isinstance(low, IntegerAttr | FloatAttr)  # by the verifier
    assert isinstance(high, IntegerAttr | FloatAttr)
    return np.clip(args[0], low.value.data, high.value.data).astype(args[0].dtype)


def _negate(op: tosa.NegateOp, args: Sequence[Any]) -> Array:
    values, input_zp, output_zp = args
    if values.dtype.kind == "f":
        return -values
    limits = np.iinfo(values.dtype)
    negated = _number(output_zp, values) - (values.astype(np.int64) - _number(input_zp, values))
    return np.clip(negated, limits.min, limits.max).astype(values.dtype)


def _const(op: tosa.ConstOp, args: Sequence[Any]) -> Array:
    values = as_numpy(op.values)
    return values != 0 if tosa.width_of(_element(op.output)) == 1 else values


def _cast(op: tosa.CastOp, args: Sequence[Any]) -> Array:
    return kernels.cast(args[0], _dtype(op.output))


def _slice(op: tosa.SliceOp, args: Sequence[Any]) -> Array:
    values, start, size = args
    return values[tuple(slice(first, first + count) for first, count in zip(start, size, strict=True))]


def _pad(op: tosa.PadOp, args: Sequence[Any]) -> Array:
    values, padding, fill = args
    return np.pad(values, list(zip(padding[::2], padding[1::2], strict=True)), constant_values=fill.reshape(-1)[0])


def _gather(op: tosa.GatherOp, args: Sequence[Any]) -> Array:
    return np.take_along_axis(args[0], args[1][:, :, None].astype(np.int64), axis=1)


def _select(op: tosa.SelectOp, args: Sequence[Any]) -> Array:
    return np.where(args[0], args[1], args[2])


def _resize(op: tosa.ResizeOp, args: Sequence[Any]) -> Array:
    values, scale, offset, border = args
    return kernels.resize(values, scale, offset, border, op.mode.data == tosa.ResizeMode.BILINEAR)


def _reduction(function: Callable[..., Array]) -> Callable[[Any, Sequence[Any]], Array]:
    def reduce(op: tosa.ReduceOp, args: Sequence[Any]) -> Array:
        return function(args[0], axis=op.axis.value.data, keepdims=True).astype(args[0].dtype)

    return reduce


def _reduce_sum(op: tosa.ReduceSumOp, args: Sequence[Any]) -> Array:
    return kernels.exact_sum(args[0], op.axis.value.data)


_RULES: Mapping[type[Operation], Callable[[Any, Sequence[Any]], Any]] = {
    StorageCastOp: lambda op, args: args[0],
    tosa.AbsOp: lambda op, args: np.abs(args[0]),
    tosa.AddOp: lambda op, args: kernels.exact_binary(np.add, args[0], args[1]),
    tosa.ArgMaxOp: lambda op, args: np.argmax(args[0], axis=op.axis.value.data).astype(_dtype(op.output)),
    tosa.ArithmeticRightShiftOp: lambda op, args: kernels.arithmetic_right_shift(args[0], args[1], bool(op.round)),
    tosa.AvgPool2DOp: _avg_pool2d,
    tosa.BitwiseAndOp: lambda op, args: args[0] & args[1],
    tosa.BitwiseNotOp: lambda op, args: ~args[0],
    tosa.BitwiseOrOp: lambda op, args: args[0] | args[1],
    tosa.BitwiseXorOp: lambda op, args: args[0] ^ args[1],
    tosa.CastOp: _cast,
    tosa.CeilOp: lambda op, args: np.ceil(args[0]),
    tosa.ClampOp: _clamp,
    tosa.ClzOp: lambda op, args: kernels.count_leading_zeros(args[0]),
    tosa.ConcatOp: lambda op, args: np.concatenate(args, axis=op.axis.value.data),
    tosa.ConstOp: _const,
    tosa.ConstShapeOp: lambda op, args: tosa.shape_values(op.output),
    tosa.Conv2DOp: _conv2d,
    tosa.DepthwiseConv2DOp: _depthwise_conv2d,
    tosa.EqualOp: lambda op, args: args[0] == args[1],
    tosa.ExpOp: lambda op, args: np.exp(args[0]),
    tosa.FloorOp: lambda op, args: np.floor(args[0]),
    tosa.GatherOp: _gather,
    tosa.GreaterEqualOp: lambda op, args: args[0] >= args[1],
    tosa.GreaterOp: lambda op, args: args[0] > args[1],
    tosa.IdentityOp: lambda op, args: args[0],
    tosa.IntdivOp: lambda op, args: kernels.divide(args[0], args[1]),
    tosa.LogOp: lambda op, args: np.log(args[0]),
    tosa.LogicalAndOp: lambda op, args: args[0] & args[1],
    tosa.LogicalLeftShiftOp: lambda op, args: args[0] << args[1],
    tosa.LogicalNotOp: lambda op, args: ~args[0],
    tosa.LogicalOrOp: lambda op, args: args[0] | args[1],
    tosa.LogicalRightShiftOp: lambda op, args: kernels.logical_right_shift(args[0], args[1]),
    tosa.LogicalXorOp: lambda op, args: args[0] ^ args[1],
    tosa.MatMulOp: _matmul,
    tosa.MaxPool2DOp: _max_pool2d,
    tosa.MaximumOp: lambda op, args: np.maximum(args[0], args[1]),
    tosa.MinimumOp: lambda op, args: np.minimum(args[0], args[1]),
    tosa.MulOp: lambda op, args: kernels.multiply(args[0], args[1], _number(args[2])),
    tosa.NegateOp: _negate,
    tosa.PadOp: _pad,
    tosa.PowOp: lambda op, args: np.power(args[0], args[1]),
    tosa.ReciprocalOp: lambda op, args: 1 / args[0],
    tosa.ReduceAllOp: _reduction(np.all),
    tosa.ReduceAnyOp: _reduction(np.any),
    tosa.ReduceMaxOp: _reduction(np.max),
    tosa.ReduceMinOp: _reduction(np.min),
    tosa.ReduceProductOp: _reduction(np.prod),
    tosa.ReduceSumOp: _reduce_sum,
    tosa.RescaleOp: _rescale,
    tosa.ReshapeOp: lambda op, args: args[0].reshape(args[1]),
    tosa.ResizeOp: _resize,
    tosa.ReverseOp: lambda op, args: np.flip(args[0], op.axis.value.data),
    tosa.RsqrtOp: lambda op, args: np.reciprocal(np.sqrt(args[0])),
    tosa.ScatterOp: lambda op, args: kernels.scatter(args[0], args[1], args[2]),
    tosa.SelectOp: _select,
    tosa.SigmoidOp: lambda op, args: 1 / (1 + np.exp(-args[0])),
    tosa.SliceOp: _slice,
    tosa.SubOp: lambda op, args: kernels.exact_binary(np.subtract, args[0], args[1]),
    tosa.TableOp: lambda op, args: kernels.table(args[0], args[1]),
    tosa.TanhOp: lambda op, args: np.tanh(args[0]),
    tosa.TileOp: lambda op, args: np.tile(args[0], args[1]),
    tosa.TransposeConv2DOp: _transpose_conv2d,
    tosa.TransposeOp: lambda op, args: args[0].transpose(tosa.integers(op.perms)),
}
"""What each operation computes from its operands' values: one array, or the tuple of a shape."""


def _method(rule: Callable[[Any, Sequence[Any]], Any]) -> Any:
    def run(self: InterpreterFunctions, interpreter: Interpreter, op: Operation, args: PythonValues) -> PythonValues:
        return (rule(op, args),)

    return run


TosaFunctions: type[InterpreterFunctions] = register_impls(
    type(
        "TosaFunctions",
        (InterpreterFunctions,),
        {f"run_{op_type.name}": impl(op_type)(_method(rule)) for op_type, rule in _RULES.items()},
    )
)
"""The functions to register with an `Interpreter`."""
