"""
Operators that move values and compute nothing: RESHAPE, SQUEEZE, EXPAND_DIMS, CONCATENATION, SPLIT, SPLIT_V, SLICE,
STRIDED_SLICE, PAD, PADV2 and TRANSPOSE.

They become `reshape`, `concat`, `slice`, `pad` and `transpose`. Three are less plain:

- An unsigned CONCATENATION rescales inputs of other scales in float32; each such input becomes a rescale where that
  gives the same 256 values, else a table.
- STRIDED_SLICE with steps in height and width of a rank 4 tensor is a `slice` and a `max_pool2d` whose window is one
  element and whose stride is the step. Along other dimensions the steps become a dimension of their own, of which
  one element is taken.
- Negative steps are refused.
"""

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue

from npuc.analysis import fixed_point
from npuc.analysis.fixed_point import Array
from npuc.dialects import tfl, tosa
from npuc.dialects.quant import UniformQuantizedType, quantization
from npuc.lowering.tfl_to_tosa.builder import (
    Builder,
    CannotConvert,
    constant_integers,
    per_tensor,
    shape_of,
    storage_type,
    tensor_type,
)


def _axis(value: int, rank: int) -> int:
    axis = value + rank if value < 0 else value
    if not 0 <= axis < rank:
        raise CannotConvert(f"axis {value} of rank {rank}")
    return axis


def reshape(build: Builder, op: tfl.ReshapeOp | tfl.SqueezeOp | tfl.ExpandDimsOp) -> list[SSAValue]:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the result's type says the shape."""
    return [build.reshape(build.storage(op.input), shape_of(op.output))]


def transpose(build: Builder, op: tfl.TransposeOp) -> list[SSAValue]:
    """TRANSPOSE by a constant permutation."""
    perms = constant_integers(op.perm, "the permutation")
    return [build.insert(tosa.TransposeOp(build.storage(op.input), perms, storage_type(op.output)))]


def concatenation(build: Builder, op: tfl.ConcatenationOp) -> list[SSAValue]:
    """CONCATENATION; inputs quantised otherwise than the output only if unsigned."""
    rank = len(shape_of(op.output))
    if op.fused_activation_function.data != "NONE":
        raise CannotConvert(f"fused activation {op.fused_activation_function.data}")
    output = quantization(op.output)
    values = [_matching(build, value, output) for value in op.values]
    axis = _axis(op.axis.value.data, rank)
    return [build.insert(tosa.ConcatOp(values, axis, storage_type(op.output)))]


def _matching(build: Builder, value: SSAValue, output: UniformQuantizedType | None) -> SSAValue:
    """The plain value of a concatenation's input, in the quantisation of its output."""
    type_ = quantization(value)
    plain = build.storage(value)
    if type_ is None or output is None or type_ == output:
        return plain
    x, y = per_tensor(value), output
    if (x.scale, x.zero_point) == (y.scale, y.zero_point):
        return plain
    if not tosa.is_unsigned(x.storage_type):
        raise CannotConvert("inputs are quantised otherwise than the output")
    # LiteRT: round(value * (x.scale * (1 / y.scale)) - zero point * that) in float32, then the output's zero point.
    scale = np.float32(x.scale) * (np.float32(1) / np.float32(y.scale))
    bias = np.float32(-x.zero_point) * scale

    def requantized(stored: Array) -> Array:
        real = stored.astype(np.float32) * scale + bias
        return (np.sign(real) * np.floor(np.abs(real) + np.float32(0.5))).astype(np.int64) + y.zero_point

    entries = fixed_point.table_of(requantized, tosa.value_range(y.storage_type), np.uint8)
    multiplier, shift = fixed_point.quantize_multiplier(x.scale / y.scale)
    plainly = fixed_point.table_of(
        lambda stored: fixed_point.double_round(stored - x.zero_point, multiplier, shift) + y.zero_point,
        tosa.value_range(y.storage_type),
        np.uint8,
    )
    if np.array_equal(entries, plainly):
        return build.rescale(plain, y.storage_type, (multiplier, shift), input_zp=x.zero_point, output_zp=y.zero_point)
    result = TensorType(y.storage_type, list(shape_of(value)))
    return build.insert(tosa.TableOp(plain, build.array(entries, y.storage_type), result))


def split(build: Builder, op: tfl.SplitOp | tfl.SplitVOp) -> list[SSAValue]:
    """SPLIT and SPLIT_V: one slice a result."""
    shape = shape_of(op.input)
    axis = _axis(constant_integers(op.axis, "the axis")[0], len(shape))
    plain = build.storage(op.input)
    results: list[SSAValue] = []
    start = 0
    for output in op.outputs:
        size = shape_of(output)
        results.append(build.slice(plain, [start if i == axis else 0 for i in range(len(shape))], size))
        start += size[axis]
    return results


def slice_(build: Builder, op: tfl.SliceOp) -> list[SSAValue]:
    """SLICE with a constant start."""
    begin = constant_integers(op.begin, "the start of a slice")
    return [build.slice(build.storage(op.input), begin, shape_of(op.output))]


def pad(build: Builder, op: tfl.PadOp | tfl.PadV2Op) -> list[SSAValue]:
    """PAD with the zero point, PADV2 with a constant; input, output and constant are quantised alike."""
    counts = constant_integers(op.padding, "the padding")
    type_ = quantization(op.input)
    if type_ != quantization(op.output):
        raise CannotConvert("a padding that changes the quantisation")
    fill = type_.zero_point if type_ is not None else 0
    if isinstance(op, tfl.PadV2Op):
        if quantization(op.constant_values) != type_:
            raise CannotConvert("the padding value is quantised otherwise")
        fill = constant_integers(op.constant_values, "the padding value")[0]
    result = storage_type(op.output)
    if not any(counts):
        return [build.storage(op.input)]
    return [
        build.insert(
            tosa.PadOp(build.storage(op.input), build.shape(counts), build.number(fill, result.element_type), result)
        )
    ]


def strided_slice(build: Builder, op: tfl.StridedSliceOp) -> list[SSAValue]:
    """STRIDED_SLICE with constant bounds and positive steps."""
    shape = shape_of(op.input)
    ranges = _ranges(op, shape)
    value = build.storage(op.input)
    counts = [len(range_) for range_ in ranges]
    if 0 in counts:
        raise CannotConvert("an empty slice")
    reach = [range_[-1] - range_[0] + 1 for range_ in ranges]
    steps = [range_.step if len(range_) > 1 else 1 for range_ in ranges]
    value = build.slice(value, [range_.start for range_ in ranges], reach)
    if len(shape) == 4 and steps[0] == steps[3] == 1:
        if max(steps) > 1:
            result = TensorType(tensor_type(value).element_type, counts)
            value = build.insert(tosa.MaxPool2DOp(value, result, kernel=(1, 1), stride=steps[1:3], pad=(0, 0, 0, 0)))
    else:
        for axis, step in enumerate(steps):
            if step > 1:
                value = _every(build, value, axis, step)
    return [build.reshape(value, shape_of(op.output))]


def _every(build: Builder, value: SSAValue, axis: int, step: int) -> SSAValue:
    """Every `step`-th element along `axis`, whose last one is taken: padded to whole steps, split, the first kept."""
    shape = list(shape_of(value))
    count = (shape[axis] - 1) // step + 1
    element_type = tensor_type(value).element_type
    counts = [0] * (2 * len(shape))
    counts[2 * axis + 1] = count * step - shape[axis]
    shape[axis] = count * step
    padded = tosa.PadOp(value, build.shape(counts), build.number(0, element_type), TensorType(element_type, shape))
    split_up = build.reshape(build.insert(padded), [*shape[:axis], count, step, *shape[axis + 1 :]])
    kept = [*shape[:axis], count, 1, *shape[axis + 1 :]]
    first = build.slice(split_up, [0] * len(kept), kept)
    return build.reshape(first, [*shape[:axis], count, *shape[axis + 1 :]])


def _ranges(op: tfl.StridedSliceOp, shape: tuple[int, ...]) -> list[range]:
    """For each dimension of the input, the indices that the slice takes; a dimension to drop has one."""
    begin = constant_integers(op.begin, "the start of a slice")
    end = constant_integers(op.end, "the end of a slice")
    strides = constant_integers(op.strides, "the step of a slice")

    def bit(mask: int, index: int) -> bool:
        return bool(mask >> index & 1)

    ellipsis_mask, new_axis_mask = op.ellipsis_mask.value.data, op.new_axis_mask.value.data
    named = sum(1 for i in range(len(begin)) if not bit(ellipsis_mask, i) and not bit(new_axis_mask, i))
    ranges: list[range] = []
    for i, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        if bit(ellipsis_mask, i):
            for _ in range(len(shape) - named):
                ranges.append(range(shape[len(ranges)]))
            continue
        if bit(new_axis_mask, i):
            continue
        if step <= 0:
            raise CannotConvert(f"a slice with step {step}")
        size = shape[len(ranges)]
        if bit(op.shrink_axis_mask.value.data, i):
            # A bound that the file leaves open is the first element here too.
            index = 0 if bit(op.begin_mask.value.data, i) else first + size if first < 0 else first
            ranges.append(range(index, index + 1))
            continue
        stop = first + last if op.offset else last
        start = None if bit(op.begin_mask.value.data, i) else first
        ranges.append(range(*slice(start, None if bit(op.end_mask.value.data, i) else stop, step).indices(size)))
    while len(ranges) < len(shape):
        ranges.append(range(shape[len(ranges)]))
    return ranges
