"""What the families share: reading constant operands, and the scale of a `tosa.rescale`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.dialects import tosa
from npuc.dialects.constants import as_numpy
from npuc.dialects.npu import Activation, Rounding, Scale
from npuc.operators.support.kernels import full_range, shape_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SHIFT = 63
"""Largest shift of a scale."""

ROUNDING: dict[tosa.RoundingMode, Rounding] = {
    tosa.RoundingMode.DOUBLE_ROUND: "double_round",
    tosa.RoundingMode.SINGLE_ROUND: "natural",
    tosa.RoundingMode.INEXACT_ROUND: "natural",
}
"""The NPU's name of each rounding; both define the same function, see docs/dialects/npu_schedule.md."""


def numbers(attribute: DenseArrayBase[Any]) -> tuple[int, ...]:
    """Elements of an array attribute such as `pad`."""
    return tuple(int(v) for v in attribute.get_values())


def constant(value: SSAValue, what: str) -> NDArray[Any]:
    """The array of a constant operand; any other operand is an error that names `what` it is."""
    attribute = tosa.constant_attribute(value)
    if attribute is None:
        raise PassFailedException(f"the NPU needs {what} to be constant")
    return as_numpy(attribute)


def scalar(value: SSAValue, what: str) -> int:
    """The number of a constant operand with one element."""
    return int(constant(value, what).reshape(-1)[0])


def shape_numbers(value: SSAValue, what: str) -> tuple[int, ...]:
    """The numbers of a constant `!tosa.shape`."""
    numbers = tosa.shape_values(value)
    if numbers is None:
        raise PassFailedException(f"the NPU needs {what} to be constant")
    return numbers


def per_tensor_scale(op: tosa.RescaleOp) -> Scale:
    """The one scale of a rescale; one that differs by channel is an error (only convolutions have that)."""
    multiplier = constant(op.multiplier, "a multiplier").reshape(-1)
    shift = constant(op.shift, "a shift").reshape(-1)
    if (multiplier != multiplier[0]).any() or (shift != shift[0]).any():
        raise PassFailedException("the NPU rescales by channel only the result of a convolution")
    return Scale(ROUNDING[op.rounding_mode.data], int(multiplier[0]), int(shift[0]))


def zero_points(op: tosa.RescaleOp) -> tuple[int, int]:
    """Input and output zero point of a rescale."""
    return scalar(op.input_zp, "a zero point"), scalar(op.output_zp, "a zero point")


def clamp_of(op: tosa.ClampOp) -> Activation:
    """The bounds of a clamp, within the type."""
    type_range = full_range(op.output)
    bounds: list[int] = []
    for bound in (op.min_val, op.max_val):
        if not isinstance(bound, IntegerAttr):
            raise PassFailedException("the NPU clamps integers only")
        bounds.append(bound.value.data)
    return Activation(max(bounds[0], type_range.low), min(bounds[1], type_range.high))


def untrimmed(value: SSAValue) -> SSAValue:
    """
    The operand of a window before a `tosa.slice` from the origin that only took off rows and columns which no
    window reads: the NPU's windows need not end at the edge.
    """
    owner = value.owner
    if not isinstance(owner, tosa.SliceOp) or any(shape_numbers(owner.start, "the start of a slice")):
        return value
    before, after = shape_of(owner.input1), shape_of(value)
    return owner.input1 if len(after) == 4 and (before[0], before[3]) == (after[0], after[3]) else value
