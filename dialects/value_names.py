"""
Names of SSA values after the tensors of a model: `model/conv1/Relu;model/conv1/BiasAdd` is `%model_conv1_Relu`.

Converters join the names of all operators that they have fused, the last of them first; that one is the value's. What
MLIR allows in no identifier becomes `_`. A number at the end is kept apart by a dot, `conv_1` is `%conv.1`: of `_1`
the printer makes a number of its own. A name that begins with a digit gets a `t` before it.

Importing a model names its tensors. What passes make knows its tensor by its location; that is where a value gets its
name from when IR is printed (`name_values`). Names of hand-written IR stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.irdl import IRDLOperation

from npuc.dialects.locations import result_locations, source_name

LONGEST = 60
"""Characters of a name; of a longer one the end is kept."""

WRITTEN = ("ofm",)
"""Operands that are the tensor which an operation makes."""
ON_THE_WAY = ("source", "destination")
"""Operands of transfers: who uses the value next knows better what it is."""

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_$.-]+")
_NUMBER_AT_END = re.compile(r"_+(\d+)$")
_EDGES = "_.-"


def identifier(name: str) -> str | None:
    """What an SSA value is called after a tensor; None where nothing of its name can be kept."""
    text = _FORBIDDEN.sub("_", name.split(";")[0]).strip(_EDGES)
    if len(text) > LONGEST:
        text = text[-LONGEST:]
        text = text[text.find("_") + 1 :].strip(_EDGES)
    text = _NUMBER_AT_END.sub(r".\1", text)
    if not text:
        return None
    return text if text[0].isalpha() else f"t{text}"


def identifiers(names: Iterable[str]) -> list[str | None]:
    """The identifiers of tensors of one subgraph, no two of them alike."""
    used = _Used()
    return [None if (one := identifier(name)) is None else used.unlike(one) for name in names]


def name_values(module: ModuleOp) -> None:
    """
    Name the values that have no name after the tensors that their operations make. Of several in one function the last
    is the tensor; the others, which are on the way to it, have their operation behind its name: `%conv1.scales`.

    Where an operation does not say what it makes, as those that reserve memory do not, the first that uses the value
    says it: what it writes is the tensor, what it reads is called after the operand, `%conv1.weights`.
    """
    for function in module.body.ops:
        if function.regions:
            _name_values(function)


def _name_values(function: Operation) -> None:
    used = _Used()
    makers: dict[str, list[tuple[SSAValue, Operation]]] = {}
    nameless: dict[SSAValue, tuple[str, str] | None] = {}
    """Values of which nothing is known yet: the tensor of the first operation that uses them, and as what it does."""
    for op in function.walk():
        locations = [identifier(source_name(one)) for one in result_locations(op.location)]
        stem = locations[0] if locations else None
        for index, value in enumerate(op.results):
            made = locations[min(index, len(locations) - 1)] if locations else None
            if value.name_hint is not None:
                used.add(value.name_hint)
            elif made is not None:
                makers.setdefault(made, []).append((value, op))
            else:
                nameless[value] = None
        if stem is None:
            continue
        for index, value in enumerate(op.operands):
            if value in nameless and ((known := nameless[value]) is None or known[1] in ON_THE_WAY):
                nameless[value] = stem, _operand_name(op, index)
    for stem, values in makers.items():
        *before, (last, _) = values
        last.name_hint = used.unlike(stem)
        for value, op in before:
            value.name_hint = used.unlike(f"{stem}.{op.name.rpartition('.')[2]}")
    for value, known in nameless.items():
        if known is not None:
            stem, operand = known
            value.name_hint = used.unlike(stem if operand in WRITTEN else f"{stem}.{operand}")


def _operand_name(op: Operation, index: int) -> str:
    """What an operand of an operation is called."""
    definition = type(op).get_irdl_definition() if isinstance(op, IRDLOperation) else None
    for name, _ in definition.operands if definition is not None else ():
        operand = getattr(op, name)
        if operand is op.operands[index] or (isinstance(operand, tuple) and op.operands[index] in operand):
            return name
    return "operand"


class _Used:
    """Names that values have. Of the numbers behind each name it knows how far they are taken: many may be alike."""

    def __init__(self) -> None:
        self._names = set[str]()
        self._last: dict[str, int] = {}

    def add(self, name: str) -> None:
        """A value has this name."""
        self._names.add(name)

    def unlike(self, name: str) -> str:
        """A name that is not used yet, and is from now on."""
        one = name
        if one in self._names:
            number = self._last.get(name, 1)
            while one in self._names:
                number += 1
                one = f"{name}.{number}"
            self._last[name] = number
        self._names.add(one)
        return one
