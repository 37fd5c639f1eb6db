"""
LOGISTIC and TANH: of 8 bits a table of what LiteRT computes in float32; of 16 bits the NPU's own functions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition

from npuc.dialects import tfl
from npuc.dialects.npu import Scale
from npuc.operators.support import rules
from npuc.operators.support.builder import Builder, is_16_bit, shape_of
from npuc.operators.support.deferred import deferred
from npuc.operators.support.kernels import full_range, tensor
from npuc.operators.support.quantized import QuantizedEmitter, quantized
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    import numpy as np

    from npuc.operators.support import tables
    from npuc.operators.support.tables import Floats, Library
else:
    np, tables = deferred("numpy", "npuc.operators.support.tables")


@irdl_op_definition
class LogisticOp(tfl.UnaryOp):
    name = "tfl.logistic"


@irdl_op_definition
class TanhOp(tfl.UnaryOp):
    name = "tfl.tanh"


def check_logistic(op: LogisticOp) -> None:
    _check_function(op)
    steps = 1 << (15 if rules.element(op.output).data.storage_width == 16 else 8)
    rules.require(rules.element(op.output).scale == 1 / steps, f"LOGISTIC must give a scale of 1/{steps}", op.output)


def check_tanh(op: TanhOp) -> None:
    _check_function(op)
    element = rules.element(op.output)
    fixed = element.data.storage_width == 8 or rules.powers_of_two([element.scale]) == [-15]
    rules.require(fixed, "TANH of 16 bits must give a scale of 1/32768", op.output)


def _check_function(op: LogisticOp | TanhOp) -> None:
    rules.check_unary(op)
    element = rules.element(op.input)
    if element.data.storage_width == 16:
        # The argument, in steps of 1 / (3 * 4096), must fit 32 bits.
        rules.require(element.scale < 5.0, f"{rules.operator_name(op)} of 16 bits must have a scale below 5", op.input)
    else:
        tables.check_function(op, tanh if isinstance(op, TanhOp) else logistic)


def logistic(x: Floats, limits: tuple[np.float32, np.float32], library: Library) -> Floats:
    return np.float32(1) / (np.float32(1) + library(np.exp, -x))


def tanh(x: Floats, limits: tuple[np.float32, np.float32], library: Library) -> Floats:
    return library(np.tanh, x)


def convert_logistic(build: Builder, op: LogisticOp) -> list[SSAValue]:
    """LOGISTIC on 8 bit."""
    return tables.real_function(build, op, logistic)


def convert_tanh(build: Builder, op: TanhOp) -> list[SSAValue]:
    """TANH on 8 bit."""
    return tables.real_function(build, op, tanh)


FUNCTION_SCALE = 3 * 4096
"""Steps of the functions' argument from one whole number to the next."""


def lower(op: LogisticOp | TanhOp, emit: QuantizedEmitter) -> None:
    """Replace a 16-bit LOGISTIC or TANH by a copy through the NPU's function."""
    value = emit.feature_map(emit.storage(op.input))
    tanh = isinstance(op, TanhOp)
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


OPERATORS = (
    Operator(
        op=LogisticOp,
        kernels="a copy with a table (8 bits) or with the NPU's function (16 bits)",
        check=check_logistic,
        convert=convert_logistic,
        lower=lower,
        directly=is_16_bit,
        rank=6,
        batches=True,
    ),
    Operator(
        op=TanhOp,
        kernels="as LOGISTIC",
        check=check_tanh,
        convert=convert_tanh,
        lower=lower,
        directly=is_16_bit,
        rank=6,
        batches=True,
    ),
)
