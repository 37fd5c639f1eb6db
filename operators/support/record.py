"""
The record of an operator: all that the compiler knows of one TFLite operator, in one place.

A file of `operators/` defines the class of its operator, and `OPERATORS`, its records (several where operators differ
in little). From these come the `tfl` dialect, what the partition takes, both conversions, and docs/operators.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from xdsl.ir import SSAValue

from npuc.dialects.tfl import TflOp

if TYPE_CHECKING:
    from npuc.operators.support.builder import Builder
    from npuc.operators.support.quantized import QuantizedEmitter

ElementName = Literal["int8", "uint8", "int16", "int32", "bool"]
BYTES: tuple[ElementName, ...] = ("int8", "uint8")
INTEGERS: tuple[ElementName, ...] = ("int8", "uint8", "int16")
"""The types of most operators."""
NO_KERNEL = "of other integers of 8 and 16 bits LiteRT has no kernel"
"""Why most operators that take fewer types do: there is nothing to be equal to."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator. The functions are given operations of the class `op` only."""

    op: type[TflOp]
    """Its class, whose docstring says what it computes."""
    kernels: str
    """What it becomes on the NPU, in a line for docs/operators.md."""
    check: Callable[[Any], None]
    """
    Raises `rules.Refused` unless the NPU takes this operation. What holds for the tensors of every operator
    (`legality.check_tensors`) has been asked before.
    """
    convert: Callable[[Builder, Any], list[SSAValue]] | None = None
    """Writes it as tosa operations: the plain values of its results. None if TOSA would shatter it."""
    lower: Callable[[Any, QuantizedEmitter], None] | None = None
    """Writes it as NPU kernels, where it does not become tosa."""
    directly: Callable[[Any], bool] | None = None
    """Whether it is lowered by `lower` although there is `convert`; never, if there is no such function."""
    data: tuple[str, ...] = ()
    """The operands that are feature maps; all of them, if none is named here or in `arguments`."""
    arguments: tuple[str, ...] = ()
    """The operands that are not: weights, axes, shapes."""
    types: tuple[ElementName, ...] = INTEGERS
    """Element types that its feature maps may have."""
    others: str = ""
    """Why of no other types, as the end of the rule that says so."""
    wide: tuple[str, ...] = ()
    """Operands and results that may also be of int32."""
    words: tuple[str, ...] = ()
    """Results that may also be of int64, which the lowering makes as pairs of 32 bits (`replace_by_words`)."""
    offset: tuple[str, ...] = ()
    """Results of int16 that may have a zero point."""
    plain: bool = False
    """Whether feature maps may be integers or truth values, which are not quantised."""
    rank: int = 4
    """Most dimensions of a feature map."""
    from_result: tuple[str, ...] = ()
    """Arguments that say no more than the result's type does: they need not be constant."""
    batches: bool = False
    """Whether rank 4 tensors may have a batch above 1."""
    host_cycles: float | None = None
    """
    About how many cycles an element costs that the host reads or makes: what a round trip to the NPU is weighed
    against. None for an operator that is always worth one.
    """

    @property
    def name(self) -> str:
        """The operator's name in the TFLite schema: `CONV_2D`."""
        return self.op.name.removeprefix("tfl.").upper()

    def goes_directly(self, op: TflOp) -> bool:
        """Whether an operation stays `tfl` on its way to npu_schedule."""
        if self.convert is None:
            return True
        return self.directly is not None and self.directly(op)

    def is_data(self, op: TflOp, value: SSAValue) -> bool:
        """Whether an operand is a feature map."""
        if self.data:
            return any(value is getattr(op, name) for name in self.data)
        return all(value is not getattr(op, name) for name in self.arguments)
