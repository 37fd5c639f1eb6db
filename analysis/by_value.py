"""
Kernels of 8 bits whose results depend on one value of each operand: what they compute, for arrays of values.

The rules are the machine's (docs/simulator.md, where the evidence is): operands less their zero points, the operation,
the scale with its rounding, the zero point of the OFM, the clamp, the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import DenseIntOrFPElementsAttr
from xdsl.ir import SSAValue

from npuc.analysis.storage import base_of
from npuc.dialects.constants import as_numpy
from npuc.dialects.npu import Scale, Window
from npuc.dialects.npu_schedule import ConstantOp, ElementwiseOp, KernelOp, PoolOp, element_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.int64]

SHIFT = 20
"""Bits by which ADD and SUB shift 8-bit operands to the left before they scale them."""
SCALED, UNSCALED = ("add", "sub", "mul", "abs"), ("min", "max")
"""Elementwise kernels that are known here: with a scale of their results, and without."""


def works_by_value(kernel: KernelOp) -> bool:
    """Whether each result of a kernel depends on one element of each operand alone, in 8 bits, by a rule known here."""
    if any(element_of(value).bits != 8 for value in (kernel.result, *kernel.feature_maps)):
        return False
    if kernel.activation.data.function not in ("none", "table"):
        return False
    if kernel.activation.data.function == "table" and table_of(kernel) is None:
        return False
    if any(decision is not None for decision in (kernel.block, kernel.cascade, kernel.stripe, kernel.rolling)):
        return False
    if isinstance(kernel, ElementwiseOp) and kernel.in_place is not None:
        return False
    scale = kernel.scale.data if kernel.scale is not None else None
    scales = scale is not None and scale.multiplier is not None and scale.rounding in ("natural", "double_round")
    match kernel:
        case PoolOp():
            return kernel.kind.data == "average" and kernel.window.data == Window() and scales
        case ElementwiseOp():
            if kernel.kind.data not in (SCALED if scales else UNSCALED if scale is None else ()):
                return False
            sums = kernel.kind.data in ("add", "sub")
            return not sums or (kernel.operand_scales is not None and kernel.operand_scales.data.which != "both")
        case _:
            return False


def takes_table(kernel: KernelOp) -> bool:
    """Whether a kernel with an 8-bit result can look it up in a table, possibly in place of one that it has."""
    if element_of(kernel.result).bits != 8:
        return False
    function = kernel.activation.data.function
    return function == "none" or (function == "table" and table_of(kernel) is not None)


def table_of(kernel: KernelOp) -> NDArray[np.integer] | None:
    """The constant table of a kernel, an entry a value of 8 bits; None if it has none of the type of its result."""
    value = None if kernel.table_value is None else base_of(kernel.table_value)
    if value is None or not isinstance(value.owner, ConstantOp):
        return None
    entries = _constant(value.owner)
    return entries if entries.size == 256 and entries.dtype == _dtype(kernel.result) else None


def uniform(value: SSAValue) -> int | None:
    """The value that all elements of a constant have; None for what is not constant, or has several."""
    owner = base_of(value).owner
    if not isinstance(owner, ConstantOp):
        return None
    elements = _constant(owner).reshape(-1)
    return int(elements[0]) if elements.size and (elements == elements[0]).all() else None


def every_value(value: SSAValue) -> Values:
    """All 256 values that an element of 8 bits can have, from the least up."""
    import numpy as np

    low, high = element_of(value).range
    return np.arange(low, high + 1)


def results(kernel: KernelOp, operands: Mapping[SSAValue, Values]) -> Values:
    """What a kernel that works by value makes of its operands, given by the feature maps that it reads."""
    import numpy as np

    *inputs, output_zp = kernel.zero_points.data
    values = [operands[map_] - zero for map_, zero in zip(kernel.feature_maps, inputs, strict=True)]
    total = _operation(kernel, values)
    if kernel.scale is not None:
        total = scaled(total, kernel.scale.data)
    clamp = kernel.activation.data
    low, high = element_of(kernel.result).range
    total = np.clip(total + output_zp, max(low, clamp.low), min(high, clamp.high))
    table = table_of(kernel) if clamp.function == "table" else None
    return total if table is None else table[total - low].astype(np.int64)


def _operation(kernel: KernelOp, values: list[Values]) -> Values:
    import numpy as np

    if not isinstance(kernel, ElementwiseOp):
        return values[0]
    if kernel.kind.data == "abs":
        return np.abs(values[0])
    first, second = values
    if kernel.operand_scales is not None:
        scales = kernel.operand_scales.data
        if scales.which == "ifm":
            first, second = _operand(first, scales.a, scales.shift), second << (SHIFT - 1)
        elif scales.which == "ifm2":
            first, second = first << (SHIFT - 1), _operand(second, scales.a, scales.shift)
    if kernel.is_reversed is not None:
        first, second = second, first
    match kernel.kind.data:
        case "add":
            return first + second
        case "sub":
            return first - second
        case "mul":
            return first * second
        case "min":
            return np.minimum(first, second)
        case _:
            return np.maximum(first, second)


def _operand(values: Values, multiplier: int, shift: int) -> Values:
    return _rounded_twice(values * multiplier, shift, 31 - SHIFT)


def scaled(values: Values, scale: Scale) -> Values:
    """`values` of up to 31 bits times the scale, rounded as the machine does."""
    assert scale.multiplier is not None
    assert scale.shift is not None
    if scale.rounding == "double_round":
        return _rounded_twice(values * scale.multiplier, scale.shift, 31)
    return _rounded_up(values * scale.multiplier, scale.shift)


def _rounded_twice(product: Values, shift: int, first: int) -> Values:
    """Divided by 2^shift: with halves up to bit `first`, then with halves away from zero."""
    import numpy as np

    part = _rounded_up(product, min(shift, first))
    return np.sign(part) * _rounded_up(np.abs(part), shift - min(shift, first))


def _rounded_up(product: Values, shift: int) -> Values:
    return (product + ((1 << shift) >> 1)) >> shift


def _constant(op: ConstantOp) -> NDArray[np.integer]:
    attribute: DenseIntOrFPElementsAttr = op.value
    return as_numpy(attribute)


def _dtype(value: SSAValue) -> str:
    return "int8" if element_of(value).range[0] < 0 else "uint8"
