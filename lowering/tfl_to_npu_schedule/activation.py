"""HARD_SWISH of 8 bits by a table; LOGISTIC and TANH of 16 bits by the NPU's own functions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import TensorType

from npuc.analysis.activations import hard_swish_factors
from npuc.analysis.fixed_point import quantize_multiplier, round_shift, table_of
from npuc.dialects import tfl
from npuc.dialects.npu import Scale
from npuc.dialects.quant import UniformQuantizedType
from npuc.lowering.npu_kernels import full_range, shape_of, tensor
from npuc.lowering.tfl_to_npu_schedule.common import QuantizedEmitter, quantized

if TYPE_CHECKING:
    from numpy.typing import NDArray

FUNCTION_SCALE = 3 * 4096
"""Steps of the functions' argument from one whole number to the next."""


def lower_hard_swish(op: tfl.HardSwishOp, emit: QuantizedEmitter) -> None:
    """Replace an 8-bit hard-swish by a copy through its table."""
    source, target = quantized(op.input), quantized(op.output)
    table = emit.constant(hard_swish_table(source, target), target.storage_type)
    emit.replace([emit.look_up(emit.feature_map(emit.storage(op.input)), table, target.storage_type)])


def hard_swish_table(source: UniformQuantizedType, target: UniformQuantizedType) -> NDArray[Any]:
    """
    The 256 results of TFLite's 16-bit fixed-point hard-swish: x * relu6(x + 3) / 6, where the factor is brought to
    [0, 1] by adding 1 to x / 3, saturated, and halving.
    """
    import numpy as np

    from npuc.dialects.constants import numpy_dtype

    low, high = -(1 << 15), (1 << 15) - 1
    result, argument = hard_swish_factors(source, target)
    output_multiplier, output_exponent = _narrow_multiplier(result)
    factor_multiplier, factor_exponent = _narrow_multiplier(argument)

    def high_mul(a: NDArray[Any], b: Any) -> NDArray[Any]:
        return np.clip((a * b + (1 << 14)) >> 15, low, high)

    def entries(stored: NDArray[Any]) -> NDArray[Any]:
        x = (stored - source.zero_point) << 7
        scaled = high_mul(x, output_multiplier)
        factor = x
        if factor_exponent > 0:
            factor = np.clip(factor << factor_exponent - 1, low, high)
        factor = high_mul(factor, factor_multiplier)
        if factor_exponent > 0:
            factor = np.clip(factor << 1, low, high)
        else:
            factor = round_shift(factor, -factor_exponent)
        factor = (factor + (1 << 15)) >> 1
        # Towards zero: this product is TFLite's only one that does not round.
        product = factor * scaled
        product = np.sign(product) * (np.abs(product) >> 15)
        return round_shift(product, -output_exponent) + target.zero_point

    type_ = numpy_dtype(target.storage_type)
    return table_of(entries, (int(np.iinfo(type_).min), int(np.iinfo(type_).max)), type_)


def _narrow_multiplier(real: float) -> tuple[int, int]:
    """A 16-bit multiplier m and exponent e with m * 2^(e - 15) near `real`."""
    multiplier, shift = quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, (1 << 15) - 1), 31 - shift


def lower_function(op: tfl.LogisticOp | tfl.TanhOp, emit: QuantizedEmitter) -> None:
    """Replace a 16-bit LOGISTIC or TANH by a copy through the NPU's function."""
    value = emit.feature_map(emit.storage(op.input))
    tanh = isinstance(op, tfl.TanhOp)
    activation = replace(full_range(value), function="tanh" if tanh else "sigmoid")
    result_type = TensorType(tensor(value).element_type, list(shape_of(value)))
    scale = function_scale(quantized(op.input).scale, tanh=tanh)
    emit.replace([emit.pool("average", value, result_type, scale=scale, activation=activation)])


def function_scale(real: float, *, tanh: bool) -> Scale:
    """The scale from a 16-bit quantisation to the functions' argument. Source: TFLite's preparation of both."""
    whole = {2.0**-12: 3} | ({2.0**-11: 6} if tanh else {})
    if real in whole:
        return Scale("natural", whole[real], 0)
    multiplier, shift = real * FUNCTION_SCALE, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier, shift = multiplier * 2, shift + 1
    return Scale("natural", int(multiplier), shift)
