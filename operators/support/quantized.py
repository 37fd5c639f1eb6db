"""Quantised operands as storage integers, and back."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from npuc.dialects import tfl
from npuc.dialects.constants import machine_constant
from npuc.dialects.quant import StorageCastOp, UniformQuantizedType, machine_tensor, quantization
from npuc.operators.support.kernels import Emitter, shape_of


def quantized(value: SSAValue) -> UniformQuantizedType:
    """The per-tensor quantisation of a value that the partition let into a region."""
    type_ = quantization(value)
    assert type_ is not None
    return type_


def numbers(value: SSAValue) -> tuple[int, ...]:
    """The integers of a constant operand such as a list of axes."""
    array = tfl.constant_array(value)
    assert array is not None
    return tuple(int(v) for v in array.reshape(-1))


class QuantizedEmitter(Emitter):
    """An emitter for operations on quantised tensors."""

    def storage(self, value: SSAValue) -> SSAValue:
        """The integers of a quantised value."""
        constant = tfl.constant_value(value)
        if constant is not None:
            return self.dense(machine_constant(constant))
        if isinstance(value.owner, StorageCastOp):
            return value.owner.input
        plain = machine_tensor(value.type)
        return value if plain == value.type else self.insert(StorageCastOp(value, plain)).result

    def replace_by_words(self, value: SSAValue) -> None:
        """
        The anchor's result of 64 bits becomes `value`, of 32 bits, the lower half of each element before the upper one.
        Nothing on the NPU reads it: it leaves the region.
        """
        result = self.anchor.results[0]
        value = self.view(value, (*shape_of(result), 2))
        value.name_hint = result.name_hint
        result.replace_all_uses_with(value)
        Rewriter.erase_op(self.anchor)

    def replace(self, results: Sequence[SSAValue]) -> None:
        """The anchor's results become `results`, in the shape and quantisation that they had."""
        for old, new in zip(self.anchor.results, results, strict=True):
            cast = self.view(new, shape_of(old))
            if cast.type != old.type:
                cast = self.insert(StorageCastOp(cast, old.type)).result
            cast.name_hint = old.name_hint
            old.replace_all_uses_with(cast)
        Rewriter.erase_op(self.anchor)
