"""
Where every tensor of an NPU region lives: the storage it is part of, its place there and its strides.

Views move no bytes. A `slice` or `reshape` lies where its source lies; the operands of a `concat` lie inside its
result, and what a cascade yields lies where the cascade's result lies. So several values share one *root*: the value
for which memory is found. Roots are function arguments, constants, and results of kernels, copies, concats and
cascades that nothing has placed elsewhere; an elementwise kernel with `in_place` writes where its operand lies. Passes
that remove copies, allocate, or address memory all ask here.

A value that would have to lie in two places, or a reshape that strides cannot express, is an OperationError: the
pass that made the IR left out a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from xdsl.dialects.builtin import TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.locations import OperationError
from npuc.dialects.npu import Element
from npuc.dialects.npu_schedule import (
    CascadeOp,
    ConcatOp,
    CopyOp,
    ElementwiseOp,
    KernelOp,
    ReshapeOp,
    SliceOp,
    YieldOp,
    is_brick,
)

BRICK = 16
"""Channels of a brick."""


@dataclass(frozen=True)
class Placement:
    """
    Bytes of one tensor inside its root: `offset` from the start of the root to the first element, and for each
    dimension the bytes from one element to the next. In bricks the last stride is that from brick to brick.
    """

    root: SSAValue
    offset: int
    strides: tuple[int, ...]

    @property
    def stride_y(self) -> int:
        """Bytes from row to row of a feature map."""
        return self.strides[-3]

    @property
    def stride_x(self) -> int:
        """Bytes from column to column."""
        return self.strides[-2]

    @property
    def stride_c(self) -> int:
        """Bytes from channel to channel, in bricks from brick to brick."""
        return self.strides[-1]


def tensor_type(value: SSAValue) -> TensorType[Any]:
    """The static tensor type of a value."""
    type_ = value.type
    if not isinstance(type_, TensorType) or min(type_.get_shape(), default=1) < 0:
        raise VerifyException(f"expected a static tensor, got {type_}")
    return type_


def natural_strides(type_: TensorType[Any]) -> tuple[int, ...]:
    """Strides in bytes of a tensor that fills its own storage."""
    shape, size = type_.get_shape(), Element.of(type_.element_type).size
    if is_brick(type_):
        row = -(-shape[3] // BRICK) * BRICK * shape[2] * size
        return (row * shape[1], row, BRICK * size, BRICK * shape[2] * size)
    return tuple(size * prod(shape[axis + 1 :]) for axis in range(len(shape)))


def storage_bytes(type_: TensorType[Any]) -> int:
    """Bytes of a tensor that fills its own storage; in bricks the depth is rounded up to 16."""
    shape, size = type_.get_shape(), Element.of(type_.element_type).size
    if is_brick(type_):
        return prod(shape[:3]) * -(-shape[3] // BRICK) * BRICK * size
    return prod(shape) * size


def reshaped_strides(
    shape: Sequence[int], strides: Sequence[int], new_shape: Sequence[int], size: int
) -> tuple[int, ...] | None:
    """
    Strides under which the same bytes, in the same order, have another shape; None where there are none.

    Runs of dimensions that correspond (equal products) are matched up, and each run of the old shape must be dense
    in itself. `size` is that of one element in bytes.
    """
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    # From the innermost dimension outwards: (elements of the run, stride of its innermost dimension).
    runs: list[tuple[int, int]] = []
    for n, s in reversed(old):
        if runs and s == runs[-1][0] * runs[-1][1]:
            runs[-1] = (runs[-1][0] * n, runs[-1][1])
        else:
            runs.append((n, s))
    result: list[int] = []
    left, step = runs[0] if runs else (1, size)
    following = iter(runs[1:])
    for n in reversed(new_shape):
        if left == 1 and n != 1:
            left, step = next(following)
        if left % n:
            return None
        result.append(step)
        step, left = step * n, left // n
    return tuple(reversed(result))


class Storage:
    """Placements of all tensors of one NPU region, each found when first asked for; valid until the IR changes."""

    def __init__(self, function: FuncOp):
        self._function = function
        self._places: dict[SSAValue, Placement] = {}

    @cached_property
    def _members(self) -> dict[SSAValue, list[SSAValue]]:
        members: dict[SSAValue, list[SSAValue]] = {}
        values = [arg for block in self._function.body.blocks for arg in block.args]
        values += [result for op in self._function.body.walk() for result in op.results]
        for value in values:
            if isinstance(value.type, TensorType):
                members.setdefault(self.place(value).root, []).append(value)
        for op in self._order:
            if isinstance(op, ElementwiseOp) and op.overwritten is not None:
                late = self._late_readers(op, members[self.root(op.overwritten)])
                if late:
                    raise OperationError(op, f"it overwrites in place what {late[0].name} reads later")
        return members

    @cached_property
    def _order(self) -> dict[Operation, int]:
        """The number of each operation in program order."""
        return {op: number for number, op in enumerate(self._function.body.walk())}

    def late_readers(self, op: ElementwiseOp, index: int) -> list[Operation]:
        """Who reads what now lies where operand `index` of `op` lies, in program order after `op`."""
        return self._late_readers(op, self._members[self.root(op.feature_maps[index])])

    def _late_readers(self, op: ElementwiseOp, members: Sequence[SSAValue]) -> list[Operation]:
        # What stems from the OFM is meant to be read.
        new: set[SSAValue] = {op.result}
        for value in members:
            owner = value.owner
            if isinstance(owner, SliceOp | ReshapeOp):
                source = owner.source
            else:
                source = owner.overwritten if isinstance(owner, ElementwiseOp) else None
            if source in new:
                new.add(value)
        readers = {use.operation for value in members if value not in new for use in value.uses}
        late = [reader for reader in readers if self._order[reader] > self._order[op]]
        late = [reader for reader in late if not isinstance(reader, SliceOp | ReshapeOp | ConcatOp)]
        return sorted(late, key=self._order.__getitem__)

    @property
    def roots(self) -> tuple[SSAValue, ...]:
        """The values for which memory is to be found, in the order in which they are first defined."""
        return tuple(self._members)

    def members(self, root: SSAValue) -> Sequence[SSAValue]:
        """All values that live in `root`, itself included, in program order."""
        return self._members[root]

    def place(self, value: SSAValue) -> Placement:
        """Where `value` lives."""
        if value not in self._places:
            self._places[value] = self._find(value)
        return self._places[value]

    def root(self, value: SSAValue) -> SSAValue:
        """The value in whose storage `value` lives."""
        return self.place(value).root

    def _find(self, value: SSAValue) -> Placement:
        owner = value.owner
        for _, user, _ in placing_uses([value]):
            if not makes_bytes(base_of(value)):
                raise OperationError(user, f"{_name(value)} cannot be placed by it: copy it first")
        if isinstance(owner, SliceOp):
            return self._slice(owner)
        base = base_of(value)
        if makes_bytes(base):
            self._place_group(base)
            return self._places[value]
        if isinstance(owner, ReshapeOp):
            return _reshape(self.place(owner.source), owner.source, value)
        return Placement(value, 0, natural_strides(tensor_type(value)))

    def _place_group(self, base: SSAValue) -> None:
        """Place a result together with all its reshapes, any one of which may be operand of a concat."""
        group = reshapes_of(base)
        placing = placing_uses(group)
        overwritten = base.owner.overwritten if isinstance(base.owner, ElementwiseOp) else None
        if len(placing) + (overwritten is not None) > 1:
            raise OperationError(_owner(base), "its result is placed twice: copy it first")
        if overwritten is not None:
            if not makes_bytes(base_of(overwritten)):
                raise OperationError(_owner(base), f"its result cannot be written over {_name(overwritten)}")
            start, place = base, self.place(overwritten)
        elif not placing:
            start, place = base, Placement(base, 0, natural_strides(tensor_type(base)))
        else:
            start, user, index = placing[0]
            place = self._concat(user, index) if isinstance(user, ConcatOp) else self._yield(user, index)
        self._places[start] = place
        # From where the place is known back to the result itself, then forward to the other reshapes.
        while isinstance(start.owner, ReshapeOp):
            source = start.owner.source
            self._places[source] = _reshape(self._places[start], start, source)
            start = source
        for member in group[1:]:
            if member not in self._places:
                assert isinstance(member.owner, ReshapeOp)
                source = member.owner.source
                self._places[member] = _reshape(self._places[source], source, member)

    def _slice(self, op: SliceOp) -> Placement:
        source = self.place(op.source)
        offsets, steps = op.offsets.data, op.strides.data
        unit = offsets[2]
        if is_brick(op.source):
            if offsets[2] % BRICK:
                raise OperationError(op, f"bricks are cut at multiples of {BRICK} channels, not at {offsets[2]}")
            unit = offsets[2] // BRICK
        offset = source.offset + offsets[0] * source.stride_y + offsets[1] * source.stride_x + unit * source.stride_c
        strides = (source.strides[0], source.stride_y * steps[0], source.stride_x * steps[1], source.stride_c)
        return Placement(source.root, offset, strides)

    def _concat(self, op: ConcatOp, index: int) -> Placement:
        place, axis = self.place(op.result), op.axis.data[0]
        before = sum(tensor_type(v).get_shape()[axis] for v in op.inputs[:index])
        if is_brick(op.result) and axis == 3:
            if before % BRICK:
                raise OperationError(op, f"a concat of bricks joins at multiples of {BRICK} channels, not {before}")
            before //= BRICK
        if is_brick(op.inputs[index]) != is_brick(op.result):
            raise OperationError(op, "the operands of a concat have the layout of its result")
        return Placement(place.root, place.offset + before * place.strides[axis], place.strides)

    def _yield(self, op: YieldOp, index: int) -> Placement:
        cascade = op.parent_op()
        assert isinstance(cascade, CascadeOp)
        return self.place(cascade.outputs[index])


def base_of(value: SSAValue) -> SSAValue:
    """The value of which `value` is a reshape, through any number of them."""
    while isinstance(value.owner, ReshapeOp):
        value = value.owner.source
    return value


def reshapes_of(value: SSAValue) -> list[SSAValue]:
    """`value` and all its reshapes, sources first."""
    group = [value]
    for member in group:
        group += [use.operation.result for use in member.uses if isinstance(use.operation, ReshapeOp)]
    return group


def placing_uses(group: Sequence[SSAValue]) -> list[tuple[SSAValue, ConcatOp | YieldOp, int]]:
    """The uses that decide where these values live: value, user and operand number."""
    return [
        (member, use.operation, use.index)
        for member in group
        for use in member.uses
        if isinstance(use.operation, ConcatOp | YieldOp)
    ]


def makes_bytes(value: SSAValue) -> bool:
    """Whether `value` is written where it is told to be, as against arguments, constants and views."""
    return isinstance(value.owner, KernelOp | CopyOp | ConcatOp | CascadeOp)


def _reshape(place: Placement, source: SSAValue, target: SSAValue) -> Placement:
    """The place of `target`, which has the bytes of `source`, which lies at `place`."""
    before, after = tensor_type(source), tensor_type(target)
    size = Element.of(before.element_type).size
    strides = reshaped_strides(before.get_shape(), place.strides, after.get_shape(), size)
    # Channels lie side by side: the machine has no stride for them.
    if strides is None or (after.get_shape() and after.get_shape()[-1] > 1 and strides[-1] != size):
        view = target if isinstance(target.owner, ReshapeOp) and target.owner.source is source else source
        reason = f"{before} with strides {place.strides} cannot be seen as {after}: copy it first"
        raise OperationError(_owner(view), reason)
    return Placement(place.root, place.offset, strides)


def _owner(value: SSAValue) -> Operation:
    assert isinstance(value.owner, Operation)
    return value.owner


def _name(value: SSAValue) -> str:
    return f"a result of {value.owner.name}" if isinstance(value.owner, Operation) else "an argument"
