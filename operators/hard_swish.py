"""
HARD_SWISH of 8 bits by a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.quant import UniformQuantizedType, to_float32
from npuc.operators.support import rules
from npuc.operators.support.deferred import deferred
from npuc.operators.support.quantized import QuantizedEmitter, quantized
from npuc.operators.support.record import BYTES, NO_KERNEL, Operator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from npuc.operators.support import fixed_point
else:
    np, fixed_point = deferred("numpy", "npuc.operators.support.fixed_point")


@irdl_op_definition
class HardSwishOp(tfl.UnaryOp):
    name = "tfl.hard_swish"


def check(op: HardSwishOp) -> None:
    rules.check_unary(op)
    result, argument = hard_swish_factors(rules.element(op.input), rules.element(op.output))
    # TFLite shifts 16-bit values by less than 16 bits, and the result only to the right.
    rules.require(2.0**-16 <= result < 1, "the result's scale must be from 1/128 to 512 of the operand's", op.output)
    rules.require(2.0**-16 <= argument < 2.0**16, "HARD_SWISH must have a scale from 3 * 2^-24 to 768", op.input)


def lower(op: HardSwishOp, emit: QuantizedEmitter) -> None:
    """Replace an 8-bit hard-swish by a copy through its table."""
    source, target = quantized(op.input), quantized(op.output)
    table = emit.constant(hard_swish_table(source, target), target.storage_type)
    emit.replace([emit.look_up(emit.feature_map(emit.storage(op.input)), table, target.storage_type)])


def hard_swish_table(source: UniformQuantizedType, target: UniformQuantizedType) -> NDArray[Any]:
    """
    The 256 results of TFLite's 16-bit fixed-point hard-swish: x * relu6(x + 3) / 6, where the factor is brought to
    [0, 1] by adding 1 to x / 3, saturated, and halving.
    """
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
            factor = fixed_point.round_shift(factor, -factor_exponent)
        factor = (factor + (1 << 15)) >> 1
        # Towards zero: this product is TFLite's only one that does not round.
        product = factor * scaled
        product = np.sign(product) * (np.abs(product) >> 15)
        return fixed_point.round_shift(product, -output_exponent) + target.zero_point

    type_ = numpy_dtype(target.storage_type)
    return fixed_point.table_of(entries, (int(np.iinfo(type_).min), int(np.iinfo(type_).max)), type_)


def hard_swish_factors(source: UniformQuantizedType, target: UniformQuantizedType) -> tuple[float, float]:
    """What TFLite scales the operand by, in steps of 1/128: to the result, and to 32768 for an argument of 3."""
    fine = to_float32(source.scale / 128)
    return to_float32(fine / target.scale), to_float32(fine / (3 / (1 << 15)))


def _narrow_multiplier(real: float) -> tuple[int, int]:
    """A 16-bit multiplier m and exponent e with m * 2^(e - 15) near `real`."""
    multiplier, shift = fixed_point.quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, (1 << 15) - 1), 31 - shift


OPERATORS = (
    Operator(
        op=HardSwishOp,
        kernels="a copy with a table",
        check=check,
        lower=lower,
        types=BYTES,
        others=NO_KERNEL,
        rank=6,
        batches=True,
    ),
)
