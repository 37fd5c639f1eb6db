"""
ARG_MAX and ARG_MIN of 8 bits: the place of the first of the greatest (or least) values along an axis.

Of up to 128 values the greatest key is looked for, which is 128 times the value, plus how many values are left:

    %k = depthwise_conv2d %x            value * 128 + (count - 1 - place), 16 bits; ADD where it is not the depth
    %g = pool max %k, through a table   the key's lowest 7 bits
    %y = sub count - 1, %g              32 bits; or a convolution, where that is quicker

Of more the greatest value is found first, and every other one made so small that its place does not matter:

    %m = pool max %x                    MIN of halves for ARG_MIN, and `sub %m, %x`
    %d = sub %x, %m                     0, or -32768
    %k = add %d, count - 1 - place      negative, unless it is one of the greatest
    %g = pool max %k
    %y = sub count - 1, %g

Keys have twice the bits of values. Along the depth of a large map they are made and reduced in bands of rows, so that
those of one band are alive at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from xdsl.dialects.builtin import StringAttr, TensorType, i8, i16, i32
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.dialects.npu import Activation, Element, OperandScales, Scale, Window
from npuc.hardware.limits import MAX_EXTENT
from npuc.operators.support import alternatives, reductions, rules
from npuc.operators.support.builder import shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import IDENTITY, UNSCALED, folded, tensor
from npuc.operators.support.quantized import QuantizedEmitter, numbers
from npuc.operators.support.record import BYTES, NO_KERNEL, Operator
from npuc.operators.support.reductions import Reduction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from npuc.dialects import npu_schedule
else:
    np, npu_schedule = deferred("numpy", "npuc.dialects.npu_schedule")


class _ArgOp(tfl.TflOp):
    """Along the one dimension that the constant `axis` holds, which goes."""

    input = operand_def(TensorType)
    axis = operand_def(TensorType)
    output = result_def(TensorType)
    output_type = prop_def(StringAttr, StringAttr("FLOAT32"))
    traits = traits_def(Pure())


@irdl_op_definition
class ArgMaxOp(_ArgOp):
    name = "tfl.arg_max"


@irdl_op_definition
class ArgMinOp(_ArgOp):
    name = "tfl.arg_min"


KEY_PLACES = 1 << 7
"""Places that a key of 16 bits has beside a value of 8; the segments of a table for 16 bits are as long."""
MAX_PLACES = 1 << 15
KEYS_A_BAND = 1 << 18
"""About so many keys are alive at a time: few beside the map, and enough for the launches of a band."""


def check(op: ArgMaxOp | ArgMinOp) -> None:
    name = rules.operator_name(op)
    axes = rules.integers(op.axis, "the axis must be constant")
    rules.require(len(axes) == 1, f"{name} must be along one axis", op.axis)
    shape = rules.shape(op.input)
    axis = rules.axis_of(axes[0], len(shape), op.input)
    rules.require_shape(op.output, rules.without(shape, axis))
    rules.require(1 < shape[axis] <= MAX_PLACES, f"{name} must be of 2 to {MAX_PLACES} values", op.input)
    possible = reductions.one_pool(shape, [axis]) is not None
    rules.require(possible, f"no side of the axis may have more than {MAX_EXTENT} elements", op.input)


def lower(op: ArgMaxOp | ArgMinOp, emit: QuantizedEmitter) -> None:
    """Replace an index by its kernels."""
    shape = shape_of(op.input)
    axis = numbers(op.axis)[0] % len(shape)
    reduction = reductions.one_pool(shape, [axis])
    assert reduction is not None
    value, least = emit.storage(op.input), isinstance(op, ArgMinOp)
    along = 3 if reduction.window is None else 1 if reduction.window == (shape[axis], 1) else 2
    map_ = emit.view(value, reduction.ifm)
    left = emit.concat([_behind(emit, band, along, least) for band in _bands(emit, map_, reduction)], 1)
    if shape[axis] <= KEY_PLACES:
        lowest_bits = emit.constant(np.full(512, KEY_PLACES << 16, np.int32))
        left = emit.look_up(left, lowest_bits, i16)
    words = 1 if tensor(op.output).element_type == i32 else 2
    column = emit.view(left, (1, *folded(math.prod(shape_of(left))), 1))
    forms = (
        lambda: _subtracted(emit, shape[axis] - 1, left if words == 1 else column, words),
        lambda: _weighed(emit, shape[axis] - 1, column, words),
    )
    place = alternatives.quickest(emit, forms)
    if words == 1:
        emit.replace([place])
    else:
        emit.replace_by_words(place)


def _subtracted(emit: QuantizedEmitter, count: int, left: SSAValue, words: int) -> SSAValue:
    """`count` less a 16-bit value, in 32 bits or 64. No place is negative: the upper half of 64 bits is 0."""
    constant = emit.constant(np.full((1, 1, 1, 1), count, np.int16))
    return emit.concat([_less(emit, left, other) for other in (constant, left)[:words]], 3)


def _weighed(emit: QuantizedEmitter, count: int, left: SSAValue, words: int) -> SSAValue:
    """The same by a convolution, whose biases are `count` and 0: one kernel for both halves."""
    return emit.convolution(
        npu_schedule.Conv2DOp,
        left,
        emit.constant(np.array([-1, 0], np.int8)[:words].reshape(words, 1, 1, 1), i8),
        emit.scales(np.array([count, 0])[:words], np.ones(words), np.zeros(words)),
        TensorType(i32, [*shape_of(left)[:3], words]),
        window=Window(),
        zero_points=(0, 0),
        rounding=Scale("natural"),
    )


def _less(emit: QuantizedEmitter, value: SSAValue, other: SSAValue) -> SSAValue:
    """`other` less a 16-bit value, in 32 bits."""
    wide = TensorType(i32, list(shape_of(value)))
    return emit.elementwise("sub", value, other, wide, scale=IDENTITY, operand_scales=UNSCALED, is_reversed=True)


class _Band(NamedTuple):
    """Rows of a map, and the pool that reduces them."""

    value: SSAValue
    reduction: Reduction


def _bands(emit: QuantizedEmitter, value: SSAValue, reduction: Reduction) -> Iterator[_Band]:
    """A map in bands of rows, where it is reduced over the depth; each is sliced when it is asked for."""
    _, height, width, depth = reduction.ifm
    count = 1 if reduction.window is not None else -(-math.prod(reduction.ifm) // KEYS_A_BAND)
    rows = -(-height // count)
    for first in range(0, height, rows):
        size = (min(rows, height - first), width, depth)
        yield _Band(emit.slice(value, (first, 0, 0), size), replace(reduction, ifm=(1, *size)))


def _behind(emit: QuantizedEmitter, band: _Band, along: int, least: bool) -> SSAValue:
    """
    How many values stand behind the first of the greatest (or least); of up to 128 in the lowest 7 bits, below it.
    """
    key = _few if shape_of(band.value)[along] <= KEY_PLACES else _many
    return key(emit, band.value, along, band.reduction, least)


def _few(emit: QuantizedEmitter, value: SSAValue, along: int, reduction: Reduction, least: bool) -> SSAValue:
    """The greatest keys of up to 128 values."""
    shape = shape_of(value)
    depth, wide = shape[3], TensorType(i16, list(shape))
    behind = np.arange(shape[along])[::-1]
    # The value with a sign, whatever its zero point is.
    zero_point = 0 if Element.of(tensor(value).element_type).signed else 1 << 7
    weight = np.array(-KEY_PLACES, np.int8) if least else np.array(KEY_PLACES, np.uint8)
    keys = emit.convolution(
        npu_schedule.DepthwiseConv2DOp,
        value,
        emit.constant(np.full((depth, 1, 1, 1), weight), Element(8, signed=least).type),
        emit.scales(behind if along == 3 else np.zeros(depth), np.ones(depth), np.zeros(depth)),
        wide,
        window=Window(),
        zero_points=(zero_point, 0),
        rounding=Scale("natural"),
    )
    if along != 3:
        keys = _plus(emit, keys, behind, along)
    return reductions.emit_extreme(emit, "max", reduction, keys)


def _many(emit: QuantizedEmitter, value: SSAValue, along: int, reduction: Reduction, least: bool) -> SSAValue:
    """How many of any number of values stand behind the first of the greatest (or least)."""
    extreme = reductions.emit_extreme(emit, "min" if least else "max", reduction, value)
    shape = list(shape_of(value))
    column = [1 if axis == along else size for axis, size in enumerate(shape)]
    smaller = emit.elementwise(
        "sub",
        value,
        emit.view(extreme, column),
        TensorType(i16, shape),
        scale=IDENTITY,
        operand_scales=OperandScales("both", MAX_PLACES, MAX_PLACES),
        activation=Activation(-MAX_PLACES, 0),
        is_reversed=least,
    )
    keys = _plus(emit, smaller, np.arange(shape[along])[::-1], along)
    return reductions.emit_extreme(emit, "max", reduction, keys)


def _plus(emit: QuantizedEmitter, value: SSAValue, numbers: NDArray[np.int64], along: int) -> SSAValue:
    """16-bit values and a number for each place along an axis."""
    shape = [numbers.size if axis == along else 1 for axis in range(4)]
    constant = emit.constant(numbers.astype(np.int16).reshape(shape))
    return emit.elementwise("add", value, constant, tensor(value), scale=IDENTITY, operand_scales=UNSCALED)


def _record(op: type[_ArgOp]) -> Operator:
    return Operator(
        op=op,
        kernels="a DEPTHWISE kernel, as REDUCE_MAX, and SUB; two more, and REDUCE_MAX twice, for more than 128 values",
        check=check,
        lower=lower,
        arguments=("axis",),
        types=BYTES,
        others=NO_KERNEL,
        wide=("output",),
        words=("output",),
        plain=True,
        rank=5,
        batches=True,
    )


OPERATORS = (_record(ArgMaxOp), _record(ArgMinOp))
