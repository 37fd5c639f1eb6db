"""
QUANTIZE between integers: rescaled by the double quotient of the scales; of what DEQUANTIZE made, a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ArrayAttr, StringAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.constants import numpy_dtype
from npuc.dialects.quant import UniformQuantizedType
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, per_tensor, scale_of, shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.dialects import tosa
    from npuc.operators.support import fixed_point
    from npuc.operators.support.fixed_point import Array
else:
    np, tosa, fixed_point = deferred("numpy", "npuc.dialects.tosa", "npuc.operators.support.fixed_point")


THROUGH_FLOAT = "npu.through_float"
FUNCTIONS = frozenset({"ABS", "NEG", "RSQRT", "SQRT", "SQUARE"})
"""
Operators on floats that are rounded alike wherever these are those of IEEE 754: others depend on a library. Behind CEIL
LiteRT 2.3 rounds quotients otherwise.
"""
MOST_STEPS = (1 << 31) - (1 << 16)
"""So many steps of the result's scale and a zero point of 16 bits still fit 32 bits."""


@irdl_op_definition
class QuantizeOp(tfl.UnaryOp):
    """
    To the quantisation of the result, from floats or from another one. No file has `npu.through_float`: it marks the
    QUANTIZE that stands for a DEQUANTIZE as well, and for the operators on floats that it names, which come between.
    Its results are rounded as LiteRT rounds those of all of them.
    """

    name = "tfl.quantize"


def check(op: QuantizeOp) -> None:
    """From integers to integers; other element types are refused as for all operators."""
    rules.require_shape(op.output, rules.shape(op.input))
    source, target = rules.element(op.input), rules.element(op.output)
    if THROUGH_FLOAT in op.attributes:
        bytes_only = source.data.storage_width == target.data.storage_width == 8
        rules.require(bytes_only, "QUANTIZE through floats must be from 8 bits to 8 bits", op.output)
        rules.require(set(functions(op)) <= FUNCTIONS, "QUANTIZE through floats must know what is between", op.output)
        known = through_float(source, target, functions(op)) is not None
        rules.require(known, "no quotient of QUANTIZE through floats may leave 32 bits", op.output)
        return
    known = source.data.storage_width == 8 or target.data.signed
    rules.require(known, "QUANTIZE from 16 or 32 bits must give signed integers", op.output)
    rules.require_scalable(rules.values(op.input), source.scale / target.scale, op.output)


def convert(build: Builder, op: QuantizeOp) -> list[SSAValue]:
    """QUANTIZE between integers: rescaled by the double quotient of the scales."""
    x, output = per_tensor(op.input, 8, 16, 32), per_tensor(op.output, 8, 16, 32)
    value = build.storage(op.input)
    if THROUGH_FLOAT in op.attributes:
        values = through_float(x, output, functions(op))
        assert values is not None
        entries = build.array(values.astype(numpy_dtype(output.storage_type)), output.storage_type)
        return [build.insert(tosa.TableOp(value, entries, TensorType(output.storage_type, list(shape_of(op.output)))))]
    return [
        build.rescale(
            value,
            output.storage_type,
            scale_of(x.scale / output.scale),
            input_zp=x.zero_point,
            output_zp=output.zero_point,
        )
    ]


def rescaled(source: UniformQuantizedType, target: UniformQuantizedType) -> Array:
    """What QUANTIZE makes of all values of 8 or 16 bits, from the least up."""
    scaled = fixed_point.double_round(_every(source), *scale_of(source.scale / target.scale))
    return np.clip(scaled + target.zero_point, *tosa.value_range(target.storage_type))


def functions(op: QuantizeOp) -> tuple[str, ...]:
    """The operators on floats that a QUANTIZE stands for as well, by name, the first one first."""
    between = op.attributes.get(THROUGH_FLOAT)
    names = between.data if isinstance(between, ArrayAttr) else ()
    return tuple(name.data for name in names if isinstance(name, StringAttr))


def through_float(
    source: UniformQuantizedType, target: UniformQuantizedType, between: Sequence[str] = ()
) -> Array | None:
    """
    What QUANTIZE makes of what DEQUANTIZE, and the functions behind it, make of all values of 8 or 16 bits, from the
    least up: a product and a quotient in float32, halves away from zero. Source: LiteRT's reference kernels. None where
    a quotient leaves the 32 bits in which these add the zero point, or is no number: then they make anything.
    """
    with np.errstate(all="ignore"):
        real = _every(source).astype(np.float32) * np.float32(source.scale)
        for name in between:
            real = _function(name, real)
        steps = real / np.float32(target.scale)
    if not (np.abs(steps) < MOST_STEPS).all():
        return None
    wide = steps.astype(np.float64)
    rounded = np.copysign(np.floor(np.abs(wide) + 0.5), wide).astype(np.int64)
    return np.clip(rounded + target.zero_point, *tosa.value_range(target.storage_type))


def _function(name: str, real: Array) -> Array:
    """One of `FUNCTIONS`, in float32."""
    if name == "RSQRT":
        return np.float32(1) / np.sqrt(real)
    return {"ABS": np.abs, "NEG": np.negative, "SQRT": np.sqrt, "SQUARE": np.square}[name](real)


def _every(source: UniformQuantizedType) -> Array:
    least, greatest = tosa.value_range(source.storage_type)
    return np.arange(least, greatest + 1, dtype=np.int64) - source.zero_point


OPERATORS = (
    Operator(
        op=QuantizeOp,
        kernels="one copy with a scale; MUL from 32 bits; a copy with a table for DEQUANTIZE to QUANTIZE of 8 bits",
        check=check,
        convert=convert,
        wide=("input",),
        rank=6,
        batches=True,
        host_cycles=4.0,
    ),
)
