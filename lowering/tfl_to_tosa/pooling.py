"""
AVERAGE_POOL_2D and MAX_POOL_2D: `tosa.avg_pool2d` or `tosa.max_pool2d`, then a clamp for an activation.

TFLite averages the stored values, zero point and all, over the valid elements, and rounds ties away from zero: with
zero points of 0, TOSA's average does the same. Neither operator rescales.
"""

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue

from npuc.dialects import tfl, tosa
from npuc.lowering.tfl_to_tosa.builder import Builder, CannotConvert, per_tensor, shape_of
from npuc.lowering.tfl_to_tosa.convolution import trim, window


def pool_2d(build: Builder, op: tfl.AveragePool2DOp | tfl.MaxPool2DOp) -> list[SSAValue]:
    """Either pooling; input and output must be quantised alike."""
    x, output = per_tensor(op.input), per_tensor(op.output)
    if (x.scale, x.zero_point) != (output.scale, output.zero_point):
        raise CannotConvert("a pooling that changes the quantisation")
    kernel = (op.filter_height.value.data, op.filter_width.value.data)
    stride = (op.stride_h.value.data, op.stride_w.value.data)
    size, pad, after = window(op.input, kernel, stride, (1, 1), op.padding.data)
    batch, _, _, depth = shape_of(op.input)
    value = trim(build, build.storage(op.input), after)
    result = TensorType(output.storage_type, [batch, *size, depth])
    if isinstance(op, tfl.MaxPool2DOp):
        pooled = build.insert(tosa.MaxPool2DOp(value, result, kernel=kernel, stride=stride, pad=pad))
    else:
        zero = build.number(0, x.storage_type)
        pooled = build.insert(tosa.AvgPool2DOp(value, zero, zero, result, kernel=kernel, stride=stride, pad=pad))
    return [build.activate(pooled, op.fused_activation_function.data, output)]
