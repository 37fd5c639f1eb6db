"""
MIRROR_PAD: borders that are read backwards from the inside.
"""

from __future__ import annotations

from xdsl.dialects.builtin import StringAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, constant_integers, shape_of
from npuc.operators.support.record import Operator


@irdl_op_definition
class MirrorPadOp(tfl.TflOp):
    """
    The input mirrored beyond its ends, with the outermost element (`mode` SYMMETRIC) or without it (REFLECT).
    `paddings` is rank x 2: before, after.
    """

    name = "tfl.mirror_pad"

    input = operand_def(TensorType)
    paddings = operand_def(TensorType)
    output = result_def(TensorType)
    mode = prop_def(StringAttr)
    traits = traits_def(Pure())


def _indices(op: MirrorPadOp, size: int, before: int, after: int) -> list[int]:
    """The source indices along an axis."""
    less = 1 if op.mode.data == "REFLECT" else 0
    left = range(before - 1 + less, less - 1, -1)
    right = range(size - 1 - less, size - 1 - less - after, -1)
    return [*left, *range(size), *right]


def check(op: MirrorPadOp) -> None:
    rules.require(op.mode.data in ("REFLECT", "SYMMETRIC"), "the mode must be REFLECT or SYMMETRIC", op.input)
    amounts = rules.integers(op.paddings, "the amounts of padding must be constant")
    rules.same_quantization(op, [op.input], op.output)
    shape = rules.shape(op.input)
    rules.require(len(amounts) == 2 * len(shape), "there must be two amounts a dimension", op.paddings)
    most = [size - 1 if op.mode.data == "REFLECT" else size for size in shape for _ in range(2)]
    inside = all(0 <= amount <= limit for amount, limit in zip(amounts, most, strict=True))
    rules.require(inside, "there must not be more padding than there is to mirror", op.input)
    padded = shape
    for axis in reversed(range(len(shape))):
        indices = _indices(op, shape[axis], *amounts[2 * axis : 2 * axis + 2])
        padded = moving.check_gathered(op.input, padded, axis, indices)
    rules.require_shape(op.output, padded)


def convert(build: Builder, op: MirrorPadOp) -> list[SSAValue]:
    """One axis after the other, the innermost first."""
    amounts = constant_integers(op.paddings, "the padding")
    value = build.storage(op.input)
    for axis in reversed(range(len(shape_of(value)))):
        indices = _indices(op, shape_of(value)[axis], *amounts[2 * axis : 2 * axis + 2])
        value = moving.gather(build, value, axis, indices)
    return [value]


OPERATORS = (
    Operator(
        op=MirrorPadOp,
        kernels="a copy for each border, and of the input",
        check=check,
        convert=convert,
        arguments=("paddings",),
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        host_cycles=1.0,
        batches=True,
    ),
)
