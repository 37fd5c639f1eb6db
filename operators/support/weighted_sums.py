"""
The sums of CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV: how large they get, how LiteRT's reference
kernels scale them, and with which constants the machine does the same.

Legality asks here whether there are such constants, and the lowering takes them from here, so that the two cannot
disagree. What LiteRT does depends on types:

| operator | input | bias type | sums | scale in double | rounding |
| --- | --- | --- | --- | --- | --- |
| convolutions | i8 | i32 | 32 bits | input * weight / output | 31 bits, twice |
| convolutions | ui8 | i32 | 32 bits | float32(input * weight) / output | 31 bits, twice |
| CONV_2D, TRANSPOSE_CONV | i16 | i32 | 32 bits | as for i8 | 31 bits, twice |
| convolutions | i16 | i64 | 64 bits | as for i8 | 15 bits (the multiplier's upper half), once, halves up |
| FULLY_CONNECTED | i8, ui8 | i32 | 32 bits | as for i8 | in double, once, halves away from zero |
| FULLY_CONNECTED | i16 | i32, i64 | 32, 64 bits | as for i8 | in double, once, halves away from zero |

For 16-bit input the bias type is the option `quantized_bias_type`, 64 bits without it, whatever type the bias has.

Sums that outgrow their bits, and scaled sums beyond 32 bits, wrap in LiteRT; the machine saturates. Both are refused
where the weights, the bias, the input's range and the scales allow them, although the input may never get there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import SSAValue

from npuc.dialects import tfl
from npuc.dialects.quant import UniformQuantizedType, quantization
from npuc.operators.support import fixed_point
from npuc.operators.support.half_away import Range, Steps, one_step, several_steps

DEPTHWISE, FULLY_CONNECTED = "tfl.depthwise_conv_2d", "tfl.fully_connected"
Integers = NDArray[np.int64]
Result = TypeVar("Result")

MACHINE_BITS = {8: 32, 16: 40}
"""The machine's accumulators, by the width of the input."""
LEAST_SHIFT = 2
"""The least shift of a rescale in TOSA."""


class WeightedOp(Protocol):
    """An operation with weights and perhaps a bias, a value for each output channel."""

    @property
    def name(self) -> str: ...
    @property
    def input(self) -> SSAValue: ...
    @property
    def filter(self) -> SSAValue: ...
    @property
    def bias(self) -> SSAValue | None: ...
    @property
    def output(self) -> SSAValue: ...
    @property
    def fused_activation_function(self) -> StringAttr: ...


def channel_axis(op: WeightedOp) -> int:
    """The axis of the weights that counts output channels."""
    return 3 if op.name == DEPTHWISE else 0


class CannotScale(Exception):
    """No constants make the machine compute what LiteRT does: the rule that is broken; `value` breaks it."""

    def __init__(self, rule: str, value: SSAValue):
        super().__init__(rule)
        self.value = value


@dataclass(frozen=True)
class Scaling:
    """
    From sums to results, before the output's zero point: multipliers and shifts, one for all channels or one each, of
    32 bits or (`narrow`) 16, rounded twice or once; or the steps of each channel in their place.
    """

    multipliers: NDArray[np.int32] | NDArray[np.int16]
    shifts: NDArray[np.int8]
    twice: bool = False
    narrow: bool = False
    steps: tuple[Steps, ...] = ()


def bias_option(op: WeightedOp) -> StringAttr | None:
    """What the operator says of the type of its bias; None for DEPTHWISE_CONV_2D, which says nothing."""
    return getattr(op, "quantized_bias_type", None)


def bias_width(op: WeightedOp) -> int:
    """Bits of the bias, and of the sums, in LiteRT's kernel for an operator."""
    if _type(op.input).data.storage_width == 8:
        return 32
    option = bias_option(op)
    return 32 if option is not None and option.data == "INT32" else 64


def scaling(op: WeightedOp) -> Scaling:
    """
    The constants for an operator with constant weights and bias, of the types that LiteRT's kernels take.

    Raises CannotScale where there are none.
    """
    sums = _Sums(op)
    scales = _scales(op)
    sums.check_width()
    if not np.isfinite(scales).all():
        raise CannotScale("the result's scale must be above 2^-29 of its operands'", op.output)
    if op.name == FULLY_CONNECTED:
        return _rounded_once(op, sums, scales)
    try:
        multipliers, shifts = fixed_point.quantize_multipliers(scales)
    except ValueError:
        raise CannotScale("the result's scale must be above 2^-29 of its operands'", op.output) from None
    if bias_width(op) == 64:
        narrow, shifts = fixed_point.reduce_multipliers(multipliers, shifts)
        if int(shifts.min()) < LEAST_SHIFT:
            raise CannotScale("the result's scale must be above 2^-13 of its operands'", op.output)
        sums.check_results(narrow / np.ldexp(1.0, shifts.astype(np.int64)))
        return Scaling(narrow, shifts, narrow=True)
    # A scale of 1 and more begins with a shift to the left, in 32 bits.
    sums.check_results(np.ldexp(1.0, np.maximum(31 - shifts.astype(np.int64), 0)))
    return Scaling(multipliers, shifts, twice=True)


def _rounded_once(op: WeightedOp, sums: _Sums, scales: NDArray[np.float64]) -> Scaling:
    sums.check_results(scales)
    if float(scales.max()) >= 2.0**29:
        raise CannotScale("the result's scale must be above 2^-29 of its operands'", op.output)
    output = _type(op.output)
    limits = fixed_point.activation_limits(
        op.fused_activation_function.data, output.scale, output.zero_point, output.storage_limits
    )
    low, high = (limit - output.zero_point for limit in limits)
    ranges: list[tuple[float, Range]] = []
    for least, greatest in sums.whole():
        ranges = _ranges(scales, least, greatest, low, high)
        single = _all(one_step(scale, over) for scale, over in ranges)
        if single is not None:
            pairs = np.array(single, np.int64)
            return Scaling(pairs[:, 0].astype(np.int32), pairs[:, 1].astype(np.int8))
    steps = _all(several_steps(scale, over) for scale, over in ranges)
    if steps is None:
        raise CannotScale("scales must be such that 31-bit multipliers can round as TFLite's doubles do", op.output)
    nothing = np.zeros(len(steps))
    return Scaling(nothing.astype(np.int32), nothing.astype(np.int8), steps=tuple(steps))


def _all(results: Iterable[Result | None]) -> list[Result] | None:
    """A list of all, or None as soon as one is None."""
    kept: list[Result] = []
    for result in results:
        if result is None:
            return None
        kept.append(result)
    return kept


def _ranges(
    scales: NDArray[np.float64], least: Integers, greatest: Integers, low: int, high: int
) -> list[tuple[float, Range]]:
    """Scale and range of each channel, or of all where they share the scale."""
    if len(scales) == 1:
        return [(float(scales[0]), Range(int(least.min()), int(greatest.max()), low, high))]
    least, greatest = np.broadcast_to(least, scales.shape), np.broadcast_to(greatest, scales.shape)
    bounds = zip(scales.tolist(), least.tolist(), greatest.tolist(), strict=True)
    return [(scale, Range(first, last, low, high)) for scale, first, last in bounds]


def _scales(op: WeightedOp) -> NDArray[np.float64]:
    """The real scale from sums to results, one for all channels or one each, as exactly as LiteRT has it."""
    input_ = _type(op.input)
    products = input_.scale * np.array(_type(op.filter).scales, np.float64)
    if not input_.data.signed and not op.name == FULLY_CONNECTED:
        products = products.astype(np.float32).astype(np.float64)
    return products / _type(op.output).scale


class _Sums:
    """Bounds of an operator's sums, one element a channel or one for all."""

    def __init__(self, op: WeightedOp):
        self.op = op
        self.input, self.weights = _type(op.input), _type(op.filter)
        bias = tfl.constant_array(op.bias)
        self.bias: Integers = np.zeros(1, np.int64) if bias is None or not bias.size else bias.astype(np.int64)
        least, greatest = self.input.storage_limits
        # Padding counts as 0, which lies between.
        self.low, self.high = least - self.input.zero_point, greatest - self.input.zero_point

    def products(self) -> Iterator[tuple[Integers, Integers]]:
        """Least and greatest sums without bias: for any weights, then, where that does not serve, for these weights."""
        constant = tfl.constant_value(self.op.filter)
        assert constant is not None
        shape, axis = constant.get_shape(), channel_axis(self.op)
        least, greatest = self.weights.storage_limits
        largest = max(max(abs(least - z), abs(greatest - z)) for z in set(self.weights.zero_points))
        bound = np.array([math.prod(shape) // shape[axis] * largest * max(-self.low, self.high)])
        yield -bound, bound
        yield self.tight_products

    @cached_property
    def tight_products(self) -> tuple[Integers, Integers]:
        """Sums without bias that some input reaches where no padding is in the way."""
        weights = tfl.constant_array(self.op.filter)
        assert weights is not None
        axis = channel_axis(self.op)
        rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.int16)
        rows = rows - np.array(self.weights.zero_points, np.int16).reshape(-1, 1)
        total = rows.sum(axis=1, dtype=np.int64)
        absolute = np.abs(rows).sum(axis=1, dtype=np.int64)
        positive, negative = (absolute + total) // 2, (total - absolute) // 2
        return positive * self.low + negative * self.high, positive * self.high + negative * self.low

    def whole(self) -> Iterator[tuple[Integers, Integers]]:
        """Least and greatest sums: loose, then tight."""
        for least, greatest in self.products():
            yield least + self.bias, greatest + self.bias

    def check_width(self) -> None:
        """Sums must fit LiteRT's bits, and the machine's on the way, wherever it adds the bias."""
        reference, machine = bias_width(self.op), MACHINE_BITS[self.input.data.storage_width]
        bits = 0
        for least, greatest in self.products():
            whole = _largest(least + self.bias, greatest + self.bias)
            partial = _largest(least + np.minimum(self.bias, 0), greatest + np.maximum(self.bias, 0))
            if whole < 1 << (reference - 1) and partial < 1 << (machine - 1):
                return
            bits = reference if whole >= 1 << (reference - 1) else machine
        raise CannotScale(f"sums of products with their bias must fit {bits} bits", self.op.filter)

    def check_results(self, factors: NDArray[np.float64]) -> None:
        """Sums times a factor, one for all channels or one each, must fit 32 bits with a zero point added."""
        for least, greatest in self.whole():
            results = np.maximum(np.abs(least), np.abs(greatest)) * factors
            if float(results.max()) < 2.0**31 - 512:
                return
        raise CannotScale("scaled sums must fit 32 bits", self.op.output)


def _largest(least: Integers, greatest: Integers) -> int:
    return max(-int(least.min()), int(greatest.max()))


def _type(value: SSAValue) -> UniformQuantizedType:
    element = quantization(value)
    assert element is not None
    return element
