"""
STRIDED_SLICE with constant bounds and positive steps.

Steps in height and width of a rank 4 tensor are a `slice` and a `max_pool2d` whose window is one element and whose
stride is the step. Along other dimensions the steps become a dimension of their own, of which one element is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import BoolAttr, IntegerAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, CannotConvert, constant_integers, shape_of, tensor_type
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
else:
    (tosa,) = deferred("npuc.dialects.tosa")


@irdl_op_definition
class StridedSliceOp(tfl.TflOp):
    """`input[begin:end:strides]`, each 1-D with one integer a dimension; the masks have one bit a dimension."""

    name = "tfl.strided_slice"

    input = operand_def(TensorType)
    begin = operand_def(TensorType)
    end = operand_def(TensorType)
    strides = operand_def(TensorType)
    output = result_def(TensorType)
    begin_mask = prop_def(IntegerAttr, tfl.ZERO)
    end_mask = prop_def(IntegerAttr, tfl.ZERO)
    ellipsis_mask = prop_def(IntegerAttr, tfl.ZERO)
    new_axis_mask = prop_def(IntegerAttr, tfl.ZERO)
    shrink_axis_mask = prop_def(IntegerAttr, tfl.ZERO)
    offset = prop_def(BoolAttr, tfl.FALSE)
    traits = traits_def(Pure())


def check(op: StridedSliceOp) -> None:
    begin, end, strides = (
        rules.integers(operand, "begin, end and strides must be constant") for operand in (op.begin, op.end, op.strides)
    )
    rules.same_quantization(op, [op.input], op.output)
    rules.require(op.ellipsis_mask.value.data == 0, "STRIDED_SLICE must have no ellipsis", op.input)
    new, shrunk = op.new_axis_mask.value.data, op.shrink_axis_mask.value.data
    rules.require(not (new and shrunk), "STRIDED_SLICE must not both add and drop dimensions", op.input)
    rules.require(all(stride > 0 for stride in strides), "strides must be positive", op.input)
    rank = len(rules.shape(op.input))
    fixed = [stride for axis, stride in enumerate(strides) if axis + 4 - rank not in (1, 2)]
    rules.require(all(stride == 1 for stride in fixed), "only height and width may have strides above 1", op.input)
    rules.require(new == 0, "STRIDED_SLICE must not add dimensions", op.input)
    rules.require(not op.offset, "the end must not be counted from the beginning", op.input)
    shape = rules.shape(op.input)
    rules.require(
        len(begin) == len(end) == len(strides) == rank, "begin and end must have one element a dimension", op.begin
    )
    sizes: list[int] = []
    for axis, whole in enumerate(shape):
        first = 0 if op.begin_mask.value.data >> axis & 1 else begin[axis]
        last = whole if op.end_mask.value.data >> axis & 1 else end[axis]
        if shrunk >> axis & 1:
            first += whole if first < 0 else 0
            rules.require(0 <= first < whole, "an index must lie within the input", op.begin)
        else:
            sizes.append(len(range(*slice(first, last, strides[axis]).indices(whole))))
    rules.require_shape(op.output, sizes)


def convert(build: Builder, op: StridedSliceOp) -> list[SSAValue]:
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


def _ranges(op: StridedSliceOp, shape: tuple[int, ...]) -> list[range]:
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


OPERATORS = (
    Operator(
        op=StridedSliceOp,
        kernels="none, or a copy",
        check=check,
        convert=convert,
        arguments=("begin", "end", "strides"),
    ),
)
