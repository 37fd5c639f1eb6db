"""
`tfl-fold-dequantize`: QUANTIZE of what DEQUANTIZE makes of integers becomes one operator on integers.

Assumes a `tfl` module, and works on its main function. Converters leave such pairs where a part of a network was
quantised by itself, where the scales of two parts differ, or around what they have no integer form for:

    %1 = tfl.builtin %0 {operator = "DEQUANTIZE"}
    %2 = tfl.quantize %1                                ->      %2 = tfl.quantize %0

Operators on floats may stand between. What moves elements does so with integers instead; it then reads QUANTIZE. A
function of one element, of those that floats determine (`quantize.FUNCTIONS`), becomes part of QUANTIZE:

    %2 = tfl.builtin %1 {operator = "SQUARE"}
    %3 = tfl.concatenation %2, %1                       ->      %2 = tfl.quantize %0 {npu.through_float = ["SQUARE"]}
    %4 = tfl.quantize %3                                        %4 = tfl.concatenation %2, %0

The results are those of the floats, for each value that there is: all are tried, with LiteRT's float arithmetic. Where
QUANTIZE between integers rounds some of them otherwise, the new operator is marked `npu.through_float` if it is from 8
bits to 8 bits, and becomes a table; others stay as they are. So do those of which LiteRT may make anything, beyond 32
bits, and what the NPU would refuse. Floats that something else reads as well end what is followed; a DEQUANTIZE that
something else reads stays.

Decides nothing else. `tfl-remove-identities` drops the pairs that change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr, TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.dialects import tfl
from npuc.dialects.npu import host_functions
from npuc.dialects.quant import UniformQuantizedType, quantization
from npuc.operators import operator_of, quantize
from npuc.operators.quantize import FUNCTIONS, THROUGH_FLOAT, QuantizeOp
from npuc.operators.support.deferred import deferred
from npuc.operators.support.legality import cpu_reason
from npuc.operators.support.rules import operator_name

if TYPE_CHECKING:
    import numpy as np
else:
    (np,) = deferred("numpy")

MOVES = frozenset({"CONCATENATION", "EXPAND_DIMS", "PACK", "RESHAPE", "SQUEEZE", "TRANSPOSE"})
"""Operators of one result that move elements as they are, whatever their type is."""

MOST_VALUES = 100
"""So many floats are followed from one QUANTIZE."""


@dataclass(frozen=True)
class TflFoldDequantizePass(ModulePass):
    """QUANTIZE of what DEQUANTIZE makes becomes one operator on integers."""

    name = "tfl-fold-dequantize"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        # Elsewhere the NPU takes nothing.
        for inner in [inner for function in host_functions(op)[:1] for inner in function.body.block.ops]:
            if isinstance(inner, QuantizeOp) and tfl.CPU_REASON not in inner.attributes:
                target = quantization(inner.output)
                if target is not None and not target.is_per_axis:
                    _fold(inner, target)


def _fold(op: QuantizeOp, target: UniformQuantizedType) -> None:
    """Puts operators on integers in the place of `op`, if there are some that make the same."""
    integers = _Integers(op, target)
    value = integers.of(op.input)
    if value is None:
        integers.drop()
        return
    assert isinstance(value.owner, Operation)
    value.owner.location = op.location
    floats = op.input
    Rewriter.replace_op(op, [], [value])
    integers.drop()
    _erase_unread(floats)


@dataclass
class _Integers:
    """What is made on integers in the place of one QUANTIZE."""

    op: QuantizeOp
    target: UniformQuantizedType
    made: list[Operation] = field(default_factory=list[Operation])
    followed: int = 0

    def of(self, floats: SSAValue) -> SSAValue | None:
        """What QUANTIZE makes of floats, from the integers that they are made of; None if they are made otherwise."""
        op = floats.owner
        self.followed += 1
        if not isinstance(op, tfl.TflOp) or tfl.CPU_REASON in op.attributes or self.followed > MOST_VALUES:
            return None
        if operator_name(op) in MOVES and floats.has_one_use():
            return self._moved(op)
        between: list[str] = []
        while operator_name(op) in FUNCTIONS and len(op.operands) == 1 and op.results[0].has_one_use():
            between.insert(0, operator_name(op))
            before = op.operands[0].owner
            if not isinstance(before, tfl.TflOp) or tfl.CPU_REASON in before.attributes:
                return None
            op = before
        return self._quantized(op.operands[0], floats, between) if operator_name(op) == "DEQUANTIZE" else None

    def _moved(self, op: tfl.TflOp) -> SSAValue | None:
        record = operator_of(op)
        assert record is not None
        operands: list[SSAValue] = []
        for value in op.operands:
            whole = self.of(value) if record.is_data(op, value) else value
            if whole is None:
                return None
            operands.append(whole)
        return self._insert(type(op), operands, op.results[0], op)

    def _quantized(self, source: SSAValue, floats: SSAValue, between: list[str]) -> SSAValue | None:
        before = quantization(source)
        if before is None or before.is_per_axis or before.data.storage_width > 16:
            return None
        values = quantize.through_float(before, self.target, between)
        if values is None:
            return None
        if not between:
            plain = self._insert(QuantizeOp, [source], floats)
            if plain is not None and np.array_equal(quantize.rescaled(before, self.target), values):
                return plain
        return self._insert(QuantizeOp, [source], floats, between=between)

    def _insert(
        self,
        kind: type[tfl.TflOp],
        operands: list[SSAValue],
        floats: SSAValue,
        like: tfl.TflOp | None = None,
        between: list[str] | None = None,
    ) -> SSAValue | None:
        """An operator that makes integers in the place of floats; None if the NPU does not take it."""
        assert isinstance(floats.type, TensorType)
        new = kind.create(
            operands=operands,
            result_types=[TensorType(self.target, floats.type.get_shape())],
            properties=dict(like.properties) if like is not None else {},
            attributes=dict(like.attributes) if like is not None else {},
        )
        if between is not None:
            new.attributes[THROUGH_FLOAT] = ArrayAttr([StringAttr(name) for name in between])
        new.location = tfl.tensor_location(floats)
        Rewriter.insert_op(new, InsertPoint.before(self.op))
        self.made.append(new)
        return new.results[0] if cpu_reason(new) is None else None

    def drop(self) -> None:
        """Takes back what has been made and nothing reads."""
        for new in reversed(self.made):
            if not new.results[0].uses:
                Rewriter.erase_op(new)


def _erase_unread(value: SSAValue) -> None:
    """Drops what made floats that nothing reads any more."""
    op = value.owner
    if value.uses or not isinstance(op, tfl.TflOp):
        return
    if operator_name(op) in MOVES | FUNCTIONS | {"DEQUANTIZE"}:
        operands = list(op.operands)
        Rewriter.erase_op(op)
        for operand in operands:
            _erase_unread(operand)
