"""
SPLIT and SPLIT_V: one slice a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import IntegerAttr, TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, traits_def, var_result_def
from xdsl.traits import Pure

from npuc.dialects import tfl
from npuc.operators.support import moving, rules
from npuc.operators.support.builder import Builder, axis_of, constant_integers, shape_of
from npuc.operators.support.record import Operator

if TYPE_CHECKING:
    pass


@irdl_op_definition
class SplitOp(tfl.TflOp):
    """Into `num_splits` equal parts along the axis that the constant `axis` holds."""

    name = "tfl.split"

    axis = operand_def(TensorType)
    input = operand_def(TensorType)
    outputs = var_result_def(TensorType)
    num_splits = prop_def(IntegerAttr)
    traits = traits_def(Pure())


@irdl_op_definition
class SplitVOp(tfl.TflOp):
    """Into parts of the sizes in `size_splits` (-1: what is left) along the axis that the constant `axis` holds."""

    name = "tfl.split_v"

    input = operand_def(TensorType)
    size_splits = operand_def(TensorType)
    axis = operand_def(TensorType)
    outputs = var_result_def(TensorType)
    num_splits = prop_def(IntegerAttr)
    traits = traits_def(Pure())


def check(op: SplitOp) -> None:
    parts = len(op.outputs)
    axis, sizes = _parts(op)
    whole = rules.shape(op.input)[axis]
    rules.require(whole % parts == 0, f"the axis must divide into {parts} equal parts", op.input)
    _check_results(op, axis, sizes or [whole // parts] * parts)


def check_v(op: SplitVOp) -> None:
    axis, sizes = _parts(op)
    rules.require(len(sizes) == len(op.outputs), "SPLIT_V must have a size for each result", op.size_splits)
    rest = [index for index, size in enumerate(sizes) if size == -1]
    rules.require(len(rest) <= 1, "at most one size may be -1", op.size_splits)
    for index in rest:
        sizes[index] = rules.shape(op.input)[axis] - sum(sizes) - 1
    whole = min(sizes) >= 0 and sum(sizes) == rules.shape(op.input)[axis]
    rules.require(whole, "the sizes must add up to that of the axis", op.size_splits)
    _check_results(op, axis, sizes)


def _parts(op: SplitOp | SplitVOp) -> tuple[int, list[int]]:
    """The axis, and the sizes of the parts as the operator gives them."""
    axes = rules.integers(op.axis, "the axis must be constant")
    rules.require(len(axes) == 1, f"{rules.operator_name(op)} must be along one axis", op.axis)
    parts = len(op.outputs)
    agrees = op.num_splits.value.data == parts >= 1
    rules.require(agrees, f"{rules.operator_name(op)} must have as many results as it says", op.input)
    shape = rules.shape(op.input)
    axis = rules.axis_of(axes[0], len(shape), op.input)
    sizes = rules.integers(op.size_splits, "the sizes must be constant") if isinstance(op, SplitVOp) else []
    return axis, sizes


def _check_results(op: SplitOp | SplitVOp, axis: int, sizes: Sequence[int]) -> None:
    shape = rules.shape(op.input)
    for output, size in zip(op.outputs, sizes, strict=True):
        rules.same_elements(op, op.input, output)
        rules.require_shape(output, (*shape[:axis], size, *shape[axis + 1 :]))


def convert(build: Builder, op: SplitOp | SplitVOp) -> list[SSAValue]:
    """SPLIT and SPLIT_V: one slice a result."""
    shape = shape_of(op.input)
    axis = axis_of(constant_integers(op.axis, "the axis")[0], len(shape))
    plain = build.storage(op.input)
    results: list[SSAValue] = []
    start = 0
    for output in op.outputs:
        size = shape_of(output)
        results.append(build.slice(plain, [start if i == axis else 0 for i in range(len(shape))], size))
        start += size[axis]
    return results


OPERATORS = (
    Operator(
        op=SplitOp,
        kernels="none, or a copy for a result that cannot be a view",
        check=check,
        convert=convert,
        arguments=("axis",),
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        batches=True,
        host_cycles=1.0,
    ),
    Operator(
        op=SplitVOp,
        kernels="as SPLIT",
        check=check_v,
        convert=convert,
        arguments=("size_splits", "axis"),
        types=moving.TYPES,
        plain=True,
        rank=moving.RANK,
        batches=True,
        host_cycles=1.0,
    ),
)
