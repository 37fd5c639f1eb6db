"""
One custom assembly for operations with many properties: a row of clauses.

    %y = npu_schedule.conv2d %x, %w, %s window <3x3, pad 1 1 1 1> scale <per_channel, double_round> {...}
           : (tensor<...>, ...) -> tensor<...>

An operation lists its clauses; each is a keyword (or none, for the leading operands), operands, a payload
attribute in its bare form, or both. Optional clauses are left out when absent. Attributes that no clause
names follow as an ordinary dictionary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate
from struct import unpack
from typing import Any, ClassVar, Self, TypeVar, cast

from xdsl.dialects.builtin import DenseArrayBase, FunctionType, StringAttr, UnitAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    OperandDef,
    OptionalDef,
    OptOperandDef,
    VariadicDef,
    VarOperandDef,
    irdl_op_definition,
)
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.printer import Printer

from npuc.dialects.npu import Payload, read_word


@dataclass(frozen=True)
class Clause:
    """
    `keyword %operand, %operand <attribute>`; an empty keyword makes a leading operand. `operand` and `attribute`
    name an operand definition (single, optional or variadic) and a property of the operation. An attribute without
    payload is a flag: the keyword alone.
    """

    keyword: str = ""
    operand: str = ""
    attribute: str = ""
    payload: type[Payload[Any]] | None = None


@cache
def _definition_index(op: type[IRDLOperation], name: str) -> int:
    """Which of an operation's definitions of operands has this name."""
    return [other for other, _ in op.get_irdl_definition().operands].index(name)


@lru_cache(maxsize=256)
def _segment_ends(sizes: bytes) -> tuple[int, ...]:
    """Where each segment of operands begins, and the last one ends; `sizes` are 32-bit integers, low byte first."""
    return tuple(accumulate(unpack(f"<{len(sizes) // 4}i", sizes), initial=0))


def _operands(index: int, definition: OperandDef) -> property:
    """Gives the operands of one definition as xDSL's accessors do, which read the segment sizes anew each time."""
    optional, variadic = isinstance(definition, OptionalDef), isinstance(definition, VariadicDef)

    def operands(op: ClauseOp) -> SSAValue | Sequence[SSAValue] | None:
        values = op.segment(index)
        if optional:
            return values[0] if values else None
        return values if variadic else values[0]

    return property(operands)


OpT = TypeVar("OpT", bound="ClauseOp")


def clause_op_definition(cls: type[OpT]) -> type[OpT]:
    """`irdl_op_definition` for operations of clauses; those with segments of operands find these quicker."""
    irdl_op_definition(cls)
    definition = cls.get_irdl_definition()
    if any(isinstance(option, AttrSizedOperandSegments) for option in definition.options):
        for index, (name, one) in enumerate(definition.operands):
            setattr(cls, name, _operands(index, one))
    return cls


class ClauseOp(IRDLOperation):
    """Base class of operations printed as clauses; `CLAUSES` in the order in which they stand."""

    CLAUSES: ClassVar[tuple[Clause, ...]]
    KINDS: ClassVar[tuple[str, ...]] = ()
    """Values of the property `kind`, which then stands right after the name of the operation."""

    def segment(self, index: int) -> Sequence[SSAValue]:
        """The operands of the definition of that number, in an operation with segments of operands."""
        sizes = self.properties["operandSegmentSizes"]
        assert isinstance(sizes, DenseArrayBase)
        ends = _segment_ends(sizes.data.data)
        # What `operands` gives is an object that is made for each question.
        return self._operands[ends[index] : ends[index + 1]]

    def values_of(self, name: str) -> Sequence[SSAValue]:
        """The operands of one definition, absent ones left out."""
        if "operandSegmentSizes" in self.properties:
            return self.segment(_definition_index(type(self), name))
        found: SSAValue | Sequence[SSAValue] | None = getattr(self, name)
        return () if found is None else found if isinstance(found, tuple) else (cast(SSAValue, found),)

    @classmethod
    def of(
        cls,
        operands: Mapping[str, Sequence[SSAValue]],
        properties: Mapping[str, Attribute],
        result_types: Sequence[Attribute] = (),
        attributes: Mapping[str, Attribute] | None = None,
    ) -> Self:
        """Build the operation from operands by the names of their definitions; absent ones may be left out."""
        groups: list[SSAValue | Sequence[SSAValue]] = []
        for name, one in cls.get_irdl_definition().operands:
            values = operands.get(name, ())
            groups.append(values if isinstance(one, VarOperandDef | OptOperandDef) else values[0])
        return cls.build(
            operands=groups,
            result_types=list(result_types),
            properties=dict(properties),
            attributes=dict(attributes or {}),
        )

    def print(self, printer: Printer) -> None:
        shown = {"kind"} if self.KINDS else set[str]()
        if self.KINDS:
            kind = self.properties["kind"]
            assert isinstance(kind, StringAttr)
            printer.print_string(f" {kind.data}")
        separator = " "
        for clause in self.CLAUSES:
            shown.add(clause.attribute)
            operands = self.values_of(clause.operand) if clause.operand else ()
            attribute = self.properties.get(clause.attribute)
            if not operands and attribute is None:
                continue
            if clause.keyword:
                separator = " "
                printer.print_string(f" {clause.keyword}")
            if operands:
                printer.print_string(separator)
                printer.print_list(operands, printer.print_ssa_value)
                separator = " " if clause.keyword else ", "
            if isinstance(attribute, Payload):
                printer.print_string(" ")
                attribute.print_parameter(printer)
        # The segment sizes follow from the clauses.
        rest = {k: v for k, v in self.properties.items() if k not in shown and k != "operandSegmentSizes"}
        rest |= self.attributes
        if rest:
            printer.print_string(" ")
            printer.print_attr_dict(rest)
        # Types only where there are values: one list where either side is always empty, a function type otherwise.
        definition = self.get_irdl_definition()
        operand_types = [value.type for c in self.CLAUSES if c.operand for value in self.values_of(c.operand)]
        if definition.operands and definition.results:
            printer.print_string(" : ")
            printer.print_attribute(FunctionType.from_lists(operand_types, self.result_types))
        elif definition.operands or definition.results:
            printer.print_string(" : ")
            printer.print_list([*operand_types, *self.result_types], printer.print_attribute)

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        definition = cls.get_irdl_definition()
        operands: dict[str, list[UnresolvedOperand]] = {c.operand: [] for c in cls.CLAUSES if c.operand}
        properties: dict[str, Attribute] = {}
        if cls.KINDS:
            properties["kind"] = StringAttr(read_word(parser, cls.KINDS, "a kind"))
        leading = [c for c in cls.CLAUSES if not c.keyword]
        for index, clause in enumerate(leading):
            if index and not parser.parse_optional_punctuation(","):
                break
            operands[clause.operand].append(parser.parse_unresolved_operand())
        by_keyword = {c.keyword: c for c in cls.CLAUSES if c.keyword}
        while (keyword := parser.parse_optional_keyword_in(by_keyword)) is not None:
            clause = by_keyword[keyword]
            if clause.operand:
                operands[clause.operand].append(parser.parse_unresolved_operand())
                while parser.parse_optional_punctuation(","):
                    operands[clause.operand].append(parser.parse_unresolved_operand())
            if clause.payload is None and clause.attribute:
                properties[clause.attribute] = UnitAttr()
            if clause.payload is not None and (not clause.operand or parser.parse_optional_characters("<") is not None):
                if clause.operand:
                    # The bracket has been taken to see whether there is one.
                    properties[clause.attribute] = clause.payload.new(clause.payload.read(parser))
                    parser.parse_punctuation(">")
                else:
                    properties[clause.attribute] = clause.payload.parse_bare(parser)
        attributes = parser.parse_optional_attr_dict()
        inputs: Sequence[Attribute] = ()
        outputs: Sequence[Attribute] = ()
        if definition.operands and definition.results:
            parser.parse_punctuation(":")
            type_ = parser.parse_function_type()
            inputs, outputs = type_.inputs.data, type_.outputs.data
        elif definition.operands or definition.results:
            parser.parse_punctuation(":")
            types = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_type)
            inputs, outputs = (types, ()) if definition.operands else ((), types)
        flat = [value for group in operands.values() for value in group]
        if len(flat) != len(inputs):
            parser.raise_error(f"{len(flat)} operands, but {len(inputs)} operand types")
        resolved = iter(parser.resolve_operands(flat, inputs, parser.pos))
        for name, one in definition.operands:
            if not operands[name] and not isinstance(one, VarOperandDef | OptOperandDef):
                parser.raise_error(f"{cls.name} wants its operand {name}")
        values = {name: [next(resolved) for _ in group] for name, group in operands.items()}
        for name in definition.properties:
            if name in attributes:
                properties[name] = attributes.pop(name)
        return cls.of(values, properties, outputs, attributes)
