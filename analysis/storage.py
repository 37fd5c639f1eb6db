"""
Where every tensor of an NPU region lives: the storage it is part of, its place there and its strides.

Views move no bytes. A `slice`, `reshape` or `transpose` lies where its source lies; the operands of a `concat` lie
inside its result, and what a cascade yields lies where the cascade's result lies. So several values share one *root*:
the value for which memory is found. Roots are function arguments, constants, and results of kernels, copies, transfers,
concats and cascades that nothing has placed elsewhere; an elementwise kernel with `in_place` writes where its operand
lies. Passes that remove copies, allocate, or address memory all ask here.

Some views are *whole*: reshapes, transposes, and slices that take everything, backwards along some axes. Where one of
them is placed (an operand of a concat), is a result of the region, which is linear memory, or is all that anybody sees
of a kernel's result, the kernel writes so that this is right: with other strides, exchanged or negative ones. Else the
kernel's result itself is linear, and who reads the view does so with other strides.

A value that would have to lie in two places, or a reshape that strides cannot express, is an OperationError: the
pass that made the IR left out a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice
from math import prod
from typing import Any, NamedTuple

from xdsl.dialects.builtin import TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, OpResult, SSAValue
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.locations import OperationError
from npuc.dialects.npu import Element
from npuc.dialects.npu_schedule import (
    CascadeOp,
    ConcatOp,
    ConstantOp,
    CopyOp,
    ElementwiseOp,
    KernelOp,
    ReshapeOp,
    SliceOp,
    TransferOp,
    TransposeOp,
    YieldOp,
    element_of,
    form_of,
    is_brick,
    nhwc,
)
from npuc.hardware.alignment import ALIGNMENT
from npuc.hardware.shram import BRICK, Kernel


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


class _Link(NamedTuple):
    """What says where a value lies: in `host` (None: in memory of its own), as operand `number` of `by`."""

    value: SSAValue
    host: SSAValue | None = None
    by: Operation | None = None
    number: int = 0


class Storage:
    """
    Placements of all tensors of one NPU region, each found when first asked for.

    A pass that changes where a value lies says so by `moved`; all else that is known stays. What is asked about readers
    (`reusable`, `overwriting_problem`) is right as long as they stay as they are.
    """

    def __init__(self, function: FuncOp):
        self._function = function
        self._places: dict[SSAValue, Placement] = {}
        self._origins: dict[SSAValue, SSAValue] = {}
        self._last_readers: dict[SSAValue, Operation] = {}
        """By origin."""
        self._members: dict[SSAValue, list[SSAValue]] | None = None
        self._starts: dict[ConcatOp, list[int]] = {}

    @property
    def roots(self) -> tuple[SSAValue, ...]:
        """The values for which memory is to be found, in the order in which they are first defined."""
        return tuple(self._by_root())

    def members(self, root: SSAValue) -> Sequence[SSAValue]:
        """All values that live in `root`, itself included, in program order."""
        return self._by_root()[root]

    def place(self, value: SSAValue) -> Placement:
        """Where `value` lives."""
        if value not in self._places:
            # A loop, because views of views, concats in concats and kernels in place can be any number deep.
            links: list[_Link] = []
            at: SSAValue | None = value
            while at is not None and at not in self._places:
                links.append(self._link(at))
                at = links[-1].host
            for link in reversed(links):
                self._put(link)
        return self._places[value]

    def root(self, value: SSAValue) -> SSAValue:
        """The value in whose storage `value` lives."""
        return self.place(value).root

    def is_dense(self, value: SSAValue) -> bool:
        """Whether a feature map has no gaps: its bytes are one run."""
        height, width, depth = nhwc(value)
        sizes = (height, width, -(-depth // BRICK) if is_brick(value) else depth)
        strides = zip(sizes, self.place(value).strides[-3:], natural_strides(tensor_type(value))[-3:], strict=True)
        return all(size == 1 or own == dense for size, own, dense in strides)

    def dense_source(self, value: SSAValue) -> SSAValue | None:
        """The feature map without gaps of which one is a whole view, or that it is itself; None if there is none."""
        at: SSAValue | None = value
        while at is not None and not (_is_map(at) and self.is_dense(at)):
            at = source_of_whole(at)
        return at

    def is_linear(self, value: SSAValue) -> bool:
        """Whether a tensor of any rank lies in its root as it would in memory of its own, from the first byte on."""
        type_, place = tensor_type(value), self.place(value)
        strides = zip(type_.get_shape(), place.strides, natural_strides(type_), strict=True)
        return not place.offset and all(size == 1 or own == natural for size, own, natural in strides)

    def columns_apart(self, value: SSAValue) -> bool:
        """Whether columns of a feature map, which is not in bricks, do not follow each other in memory."""
        _, width, depth = nhwc(value)
        return width > 1 and not is_brick(value) and self.place(value).stride_x != depth * element_of(value).size

    def goes_back(self, value: SSAValue) -> bool:
        """Whether rows or columns of a feature map follow each other backwards in memory."""
        height, width, _ = nhwc(value)
        place = self.place(value)
        return (height > 1 and place.stride_y < 0) or (width > 1 and place.stride_x < 0)

    def launch(self, op: KernelOp | CopyOp) -> Kernel:
        """The launch that computes a kernel or copy whole, its feature maps where they lie."""
        inputs = (op.ifm,) if isinstance(op, CopyOp) else op.feature_maps
        ifm, *others, ofm = map(self.columns_apart, (*inputs, op.result))
        return op.launch()._replace(ifm_apart=ifm, ifm2_apart=any(others), ofm_apart=ofm)

    def moved(self, value: SSAValue) -> list[SSAValue]:
        """Forget where `value`, which now lies elsewhere, and all that lies in it was; returns all these values."""
        members = inside(value)
        for member in members:
            if member in self._places:
                del self._places[member]
                self._last_readers.pop(self._origins.pop(member), None)
        self._members = None
        return members

    def reusable(self, op: ElementwiseOp) -> int | None:
        """
        The number of the first operand over which the OFM of `op` may be written; None if there is none, or if it is
        decided already where the OFM lies.
        """
        new = form_of(op.result)
        return next((index for index in self.all_reusable(op) if form_of(op.feature_maps[index]) == new), None)

    def all_reusable(self, op: ElementwiseOp) -> Iterator[int]:
        """The numbers of the operands over which the OFM of `op` could be written if they lay in the same memory."""
        group = whole_views_of(op.result)
        if op.in_place is not None or placing_uses(group):
            return
        if any(is_returned(member) and reshaped_from(member) is not op.result for member in group):
            # It is to be written under other strides than those of its operand.
            return
        new = form_of(op.result)[:-1]
        for index, value in enumerate(op.feature_maps):
            if form_of(value)[:-1] != new or not makes_bytes(base_of(value)):
                continue
            size = storage_bytes(tensor_type(self.root(value)))
            if isinstance(base_of(value).owner, TransferOp) and size % ALIGNMENT:
                # A DMA brings more than that, for which a result of the region has no memory.
                continue
            fills = size == storage_bytes(tensor_type(op.result)) and self.is_linear(value)
            if fills and self._can_lie(op.result, value) and self.overwriting_problem(op, index) is None:
                yield index

    def _can_lie(self, base: SSAValue, value: SSAValue) -> bool:
        """Whether a result and all its whole views can be seen where `value` lies."""
        try:
            self._group(base, base, self.place(value))
        except OperationError:
            return False
        return True

    def overwriting_problem(self, op: ElementwiseOp, index: int) -> str | None:
        """
        Why the OFM of `op` cannot be written where its operand `index` lies, though it fits there; None if it can.

        Others may not read that later. Nor may the kernel itself read it elsewhere than it writes: block by block it
        is done with what it reads under the mapping of the OFM, but may read the rest, through another view, when
        earlier blocks have been written over it.
        """
        old = op.feature_maps[index]
        place, origin = self.place(old), self._origins[old]
        last = self._last_reader(origin)
        if last is not op:
            return f"it overwrites in place what {last.name} reads later"
        for other, value in enumerate(op.feature_maps):
            there = self.place(value)
            if self._origins[value] is not origin or _mapping(there, value) == _mapping(place, old):
                continue
            if _meet((there, value), (place, old)):
                return f"it overwrites in place what it reads as operand {other} under another mapping"
        return None

    def lying_problem(self, op: KernelOp) -> str | None:
        """
        Why the result of a kernel of a cascade cannot lie over what stands there for that (`over`), however far apart;
        None if it can: both fill memory of their own, and nothing but that cascade, as it is, reads the operand then.
        """
        value, cascade = op.laid_over, op.parent_op()
        assert value is not None
        assert isinstance(cascade, CascadeOp)
        for what, one in (("it", op.result), ("what it lies over", value)):
            size = storage_bytes(tensor_type(self.root(one)))
            if not self.is_linear(one) or size != storage_bytes(tensor_type(one)):
                return f"{what} is part of other memory, or written under other strides than its own"
        root = self.root(value)
        if self.root(op.result).owner is not cascade:
            return "it lies in the memory of something else"
        if isinstance(root.owner, ConstantOp):
            return "what it lies over is a constant"
        if isinstance(root.owner, Operation) and root.owner.parent_op() is cascade:
            return "what it lies over is made by its own cascade"
        if not any(one is value for kernel in cascade.kernels for one in kernel.feature_maps):
            return "its cascade does not read what it lies over"
        for member in inside(root):
            for reader in (use.operation for use in member.uses):
                if isinstance(reader, SliceOp | ReshapeOp | TransposeOp | ConcatOp):
                    continue
                if reader.parent_op() is cascade:
                    if member is not value or not isinstance(reader, KernelOp):
                        return "its cascade reads what it lies over by a transfer or through another view"
                elif isinstance(reader, ReturnOp) or self._order[reader] > self._order[cascade]:
                    return f"{reader.name} needs what it lies over later"
        return None

    def _last_reader(self, origin: SSAValue) -> Operation:
        """The last operation that reads what lies in `origin`, before anything overwrites it; its writer if none."""
        if origin not in self._last_readers:
            assert isinstance(origin.owner, Operation)
            last = origin.owner
            for member in _inside(origin, overwriting=False):
                for reader in (use.operation for use in member.uses):
                    is_view = isinstance(reader, SliceOp | ReshapeOp | TransposeOp | ConcatOp)
                    if not is_view and self._order[reader] > self._order[last]:
                        last = reader
            self._last_readers[origin] = last
        return self._last_readers[origin]

    @cached_property
    def _order(self) -> dict[Operation, int]:
        """The number of each operation in program order, which no pass that keeps a `Storage` changes."""
        return {op: number for number, op in enumerate(self._function.body.walk())}

    def _by_root(self) -> dict[SSAValue, list[SSAValue]]:
        if self._members is not None:
            return self._members
        members: dict[SSAValue, list[SSAValue]] = {}
        values = [arg for block in self._function.body.blocks for arg in block.args]
        values += [result for op in self._function.body.walk() for result in op.results]
        for value in values:
            if isinstance(value.type, TensorType):
                members.setdefault(self.place(value).root, []).append(value)
        for op in self._function.body.walk():
            if isinstance(op, ElementwiseOp) and op.in_place is not None:
                problem = self.overwriting_problem(op, op.in_place.data[0])
                if problem is not None:
                    raise OperationError(op, problem)
        self._members = members
        return members

    def _link(self, value: SSAValue) -> _Link:
        owner = value.owner
        for _, user, _ in placing_uses([value]):
            if not makes_bytes(base_of(value)):
                raise OperationError(user, f"{_name(value)} cannot be placed by it: copy it first")
        source = source_of_whole(value)
        if source is None and isinstance(owner, SliceOp):
            return _Link(value, owner.source, owner)
        base = base_of(value)
        if makes_bytes(base):
            return self._link_of_made(base)
        if source is not None:
            assert isinstance(owner, Operation)
            return _Link(value, source, owner)
        return _Link(value)

    def _link_of_made(self, base: SSAValue) -> _Link:
        """Of a result and its whole views, any one of which may be operand of a concat, that which is placed itself."""
        group = whole_views_of(base)
        placing = placing_uses(group)
        writer = base.owner
        overwritten = writer.overwritten if isinstance(writer, ElementwiseOp) else None
        if len(placing) + (overwritten is not None) > 1:
            raise OperationError(_owner(base), "its result is placed twice: copy it first")
        if overwritten is not None:
            if not makes_bytes(base_of(overwritten)):
                raise OperationError(_owner(base), f"its result cannot be written over {_name(overwritten)}")
            return _Link(base, overwritten, _owner(base))
        if not placing:
            return _Link(next((member for member in group if is_returned(member)), None) or self._linear(base))
        value, user, index = placing[0]
        if isinstance(user, ConcatOp):
            return _Link(value, user.result, user, index)
        cascade = user.parent_op()
        assert isinstance(cascade, CascadeOp)
        return _Link(value, cascade.outputs[index], user, index)

    def _put(self, link: _Link) -> None:
        """Place a value whose host is placed; with a result all its whole views, or none of them."""
        value, host, by, number = link
        base = base_of(value)
        if host is None:
            place = _own_place(base, value)
        elif isinstance(by, ConcatOp):
            place = self._concat(by, number)
        elif isinstance(by, ElementwiseOp | YieldOp):
            place = self._places[host]
        else:
            place = _seen(self._places[host], value)
        origin = base if host is None or isinstance(by, ElementwiseOp) else self._origins[host]
        places = self._group(base, value, place) if makes_bytes(base) else {value: place}
        self._places |= places
        self._origins |= dict.fromkeys(places, origin)

    def _linear(self, base: SSAValue) -> SSAValue:
        """
        Which of a result and its whole views is linear, where nothing says how it lies: that through which all see it
        that read it, if strides can follow from there.
        """
        chain = seen_by_all(base)
        if reshaped_from(chain[-1]) is base or isinstance(base.owner, TransferOp):
            # Both are the same bytes in the same order; or DMA, which keeps the order, brings it.
            return base
        for value in reversed(chain):
            try:
                self._group(base, value, _own_place(base, value))
            except OperationError:
                continue
            return value
        return base

    def _group(self, base: SSAValue, value: SSAValue, place: Placement) -> dict[SSAValue, Placement]:
        """The places of a result and its whole views, one of which, `value`, lies at `place`."""
        places = {value: place}
        # From where the place is known back to the result itself, then forward to the other views.
        start = value
        while (source := source_of_whole(start)) is not None:
            places[source] = _behind(places[start], start)
            start = source
        for member in whole_views_of(base):
            source = source_of_whole(member)
            if member not in places and source is not None:
                places[member] = _seen(places[source], member)
        return places

    def _concat(self, op: ConcatOp, index: int) -> Placement:
        place, axis = self._places[op.result], op.axis.data[0]
        if op not in self._starts:
            sizes = (tensor_type(value).get_shape()[axis] for value in op.inputs)
            self._starts[op] = list(accumulate(sizes, initial=0))
        before = self._starts[op][index]
        if is_brick(op.result) and axis == 3:
            if before % BRICK:
                raise OperationError(op, f"a concat of bricks joins at multiples of {BRICK} channels, not {before}")
            before //= BRICK
        if is_brick(op.inputs[index]) != is_brick(op.result):
            raise OperationError(op, "the operands of a concat have the layout of its result")
        return Placement(place.root, place.offset + before * place.strides[axis], place.strides)


def _is_map(value: SSAValue) -> bool:
    """Whether a tensor is a feature map: of rank 4, and one image."""
    shape = tensor_type(value).get_shape()
    return len(shape) == 4 and shape[0] == 1


def reshaped_from(value: SSAValue) -> SSAValue:
    """The value of which `value` is a reshape, through any number of them: the same elements in the same order."""
    while isinstance(value.owner, ReshapeOp):
        value = value.owner.source
    return value


def source_of_whole(value: SSAValue) -> SSAValue | None:
    """What `value` is a view of if it is one of all elements, reshaped, transposed or backwards; else None."""
    owner = value.owner
    if isinstance(owner, ReshapeOp | TransposeOp) or (isinstance(owner, SliceOp) and owner.is_whole):
        return owner.source
    return None


def base_of(value: SSAValue) -> SSAValue:
    """The value of which `value` is a whole view, through any number of them."""
    while (source := source_of_whole(value)) is not None:
        value = source
    return value


def whole_views_of(value: SSAValue) -> list[SSAValue]:
    """`value` and all its whole views, sources first."""
    group = [value]
    for member in group:
        for use in member.uses:
            if isinstance(use.operation, ReshapeOp | TransposeOp | SliceOp):
                result = use.operation.result
                if source_of_whole(result) is not None:
                    group.append(result)
    return group


def _own_place(base: SSAValue, value: SSAValue) -> Placement:
    """Where `value`, a whole view of `base`, lies linear in the memory of that."""
    return Placement(base, 0, natural_strides(tensor_type(value)))


def seen_by_all(value: SSAValue) -> list[SSAValue]:
    """A result and those of its whole views, one of another, through which all see it that read it."""
    found = [value]
    while True:
        owner = value.owner
        # What a cascade yields may be read in the cascade, too.
        inner = owner.yielded[value.index] if isinstance(owner, CascadeOp) and isinstance(value, OpResult) else value
        uses = [use.operation for one in {inner, value} for use in islice(one.uses, 2)]
        views = [op.results[0] for op in uses if op.results and source_of_whole(op.results[0]) is value]
        if len(uses) - (inner is not value) != 1 or not views:
            return found
        value = views[0]
        found.append(value)


def is_returned(value: SSAValue) -> bool:
    """Whether `value` is a result of the region."""
    return any(isinstance(use.operation, ReturnOp) for use in value.uses)


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
    return isinstance(value.owner, KernelOp | CopyOp | TransferOp | ConcatOp | CascadeOp)


def inside(value: SSAValue) -> list[SSAValue]:
    """What `value` is a whole view of, and all that lies in that."""
    return _inside(base_of(value), overwriting=True)


def _inside(value: SSAValue, overwriting: bool) -> list[SSAValue]:
    """
    `value` and what lies in it: its views, what is joined in it or yielded to it, and what lies in those; also what is
    written over them in place if `overwriting`.
    """
    found: dict[SSAValue, None] = {value: None}
    waiting = [value]
    while waiting:
        value = waiting.pop()
        inside: list[SSAValue] = []
        if isinstance(value.owner, ConcatOp):
            inside += map(base_of, value.owner.inputs)
        elif isinstance(value.owner, CascadeOp):
            assert isinstance(value, OpResult)
            inside.append(base_of(value.owner.yielded[value.index]))
        for use in value.uses:
            user = use.operation
            if isinstance(user, SliceOp | ReshapeOp | TransposeOp) or (
                overwriting and isinstance(user, ElementwiseOp) and user.overwritten is value
            ):
                inside.append(user.results[0])
        waiting += (one for one in inside if one not in found)
        found |= dict.fromkeys(inside)
    return list(found)


def _mapping(place: Placement, value: SSAValue) -> tuple[int, list[tuple[int, int]]]:
    """Where the elements of a feature map lie: the first, and for each dimension their number and distance."""
    strides = (place.stride_y, place.stride_x, place.stride_c)
    return place.offset, [(n, stride if n > 1 else 0) for n, stride in zip(nhwc(value), strides, strict=True)]


def _meet(*maps: tuple[Placement, SSAValue]) -> bool:
    """Whether two feature maps of one root have bytes in common, as far as their first and last bytes tell."""
    bounds: list[tuple[int, int]] = []
    for place, value in maps:
        height, width, depth = nhwc(value)
        size = element_of(value).size
        if is_brick(value):
            depth, size = -(-depth // BRICK), BRICK * size
        reach = [(n - 1) * stride for n, stride in zip((height, width, depth), place.strides[-3:], strict=True)]
        first, last = (sum(end(0, step) for step in reach) for end in (min, max))
        bounds.append((place.offset + first, place.offset + last + size))
    (start, stop), (other_start, other_stop) = bounds
    return start < other_stop and other_start < stop


def _seen(place: Placement, view: SSAValue) -> Placement:
    """The place of a slice, or of a whole view, whose source lies at `place`."""
    owner = view.owner
    if isinstance(owner, TransposeOp):
        return _exchanged(place)
    if isinstance(owner, SliceOp):
        return _slice(place, owner)
    assert isinstance(owner, ReshapeOp)
    return _reshape(place, owner, owner.source, view)


def _behind(place: Placement, view: SSAValue) -> Placement:
    """The place of what `view`, which lies at `place`, is a whole view of."""
    owner = view.owner
    if isinstance(owner, TransposeOp):
        return _exchanged(place)
    if isinstance(owner, SliceOp):
        # Backwards along the same axes again.
        stride_y, stride_x = (
            (-1 if step < 0 else 1) * own
            for step, own in zip(owner.strides.data[:2], (place.stride_y, place.stride_x), strict=True)
        )
        offset = place.offset - owner.offsets.data[0] * stride_y - owner.offsets.data[1] * stride_x
        return Placement(place.root, offset, (place.strides[0], stride_y, stride_x, place.stride_c))
    assert isinstance(owner, ReshapeOp)
    return _reshape(place, owner, view, owner.source)


def _exchanged(place: Placement) -> Placement:
    batch, stride_y, stride_x, stride_c = place.strides
    return Placement(place.root, place.offset, (batch, stride_x, stride_y, stride_c))


def _slice(source: Placement, op: SliceOp) -> Placement:
    offsets, steps = op.offsets.data, op.strides.data
    unit = offsets[2]
    if is_brick(op.source):
        if offsets[2] % BRICK:
            raise OperationError(op, f"bricks are cut at multiples of {BRICK} channels, not at {offsets[2]}")
        unit = offsets[2] // BRICK
    offset = source.offset + offsets[0] * source.stride_y + offsets[1] * source.stride_x + unit * source.stride_c
    strides = (source.strides[0], source.stride_y * steps[0], source.stride_x * steps[1], source.stride_c)
    return Placement(source.root, offset, strides)


def _reshape(place: Placement, op: ReshapeOp, source: SSAValue, target: SSAValue) -> Placement:
    """The place of `target`, which has the bytes of `source`, which lies at `place`; `op` is the view of the two."""
    before, after = tensor_type(source), tensor_type(target)
    size = Element.of(before.element_type).size
    strides = reshaped_strides(before.get_shape(), place.strides, after.get_shape(), size)
    # Channels lie side by side: the machine has no stride for them.
    if strides is None or (after.get_shape() and after.get_shape()[-1] > 1 and strides[-1] != size):
        reason = f"{before} with strides {place.strides} cannot be seen as {after}: copy it first"
        raise OperationError(op, reason)
    return Placement(place.root, place.offset, strides)


def _owner(value: SSAValue) -> Operation:
    assert isinstance(value.owner, Operation)
    return value.owner


def _name(value: SSAValue) -> str:
    return f"a result of {value.owner.name}" if isinstance(value.owner, Operation) else "an argument"
