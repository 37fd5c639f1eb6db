"""
PAD with the zero point, PADV2 with a constant; input, output and constant are quantised alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.dialects.quant import quantization
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, constant_integers, storage_type
from npuc.operators.support.deferred import deferred
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    from npuc.dialects import tosa
else:
    (tosa,) = deferred("npuc.dialects.tosa")


@irdl_op_definition
class PadOp(tfl.TflOp):
    """With the input's zero point around it; `padding` is rank x 2: before, after."""

    name = "tfl.pad"

    input = operand_def(TensorType)
    padding = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


@irdl_op_definition
class PadV2Op(tfl.TflOp):
    """With the value of the scalar `constant_values` around it; `padding` is rank x 2: before, after."""

    name = "tfl.padv2"

    input = operand_def(TensorType)
    padding = operand_def(TensorType)
    constant_values = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


def check_v2(op: PadV2Op) -> None:
    rules.integers(op.constant_values, "the value of the padding must be constant")
    rules.same_quantization(op, [op.constant_values], op.output)
    check(op)


def check(op: PadOp | PadV2Op) -> None:
    amounts = rules.integers(op.padding, "the amounts of padding must be constant")
    rules.require(all(amount >= 0 for amount in amounts), "the amounts of padding must not be negative", op.input)
    shape = rules.shape(op.input)
    rules.require(len(amounts) == 2 * len(shape), "there must be two amounts a dimension", op.padding)
    rules.same_quantization(op, [op.input], op.output)
    pairs = zip(amounts[::2], amounts[1::2], strict=True)
    rules.require_shape(op.output, [before + size + after for size, (before, after) in zip(shape, pairs, strict=True)])


def convert(build: Builder, op: PadOp | PadV2Op) -> list[SSAValue]:
    """PAD with the zero point, PADV2 with a constant; input, output and constant are quantised alike."""
    counts = constant_integers(op.padding, "the padding")
    type_ = quantization(op.input)
    fill = type_.zero_point if type_ is not None else 0
    if isinstance(op, PadV2Op):
        fill = constant_integers(op.constant_values, "the padding value")[0]
    result = storage_type(op.output)
    if not any(counts):
        return [build.storage(op.input)]
    return [
        build.insert(
            tosa.PadOp(build.storage(op.input), build.shape(counts), build.number(fill, result.element_type), result)
        )
    ]


MAX_RANK = 5
"""Of LiteRT's kernels."""

OPERATORS = (
    Operator(
        op=PadOp,
        kernels="none (the window of the kernel behind), or copies of the input and of a constant",
        check=check,
        convert=convert,
        arguments=("padding",),
        types=moving.TYPES,
        plain=True,
        rank=MAX_RANK,
        batches=True,
    ),
    Operator(
        op=PadV2Op,
        kernels="as PAD",
        check=check_v2,
        convert=convert,
        arguments=("padding", "constant_values"),
        types=moving.TYPES,
        plain=True,
        rank=MAX_RANK,
        batches=True,
    ),
)
