"""
A window along one axis, as plain numbers: what legality asks and the lowering carries out, so that the two cannot
disagree about which windows the machine has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from npuc.hardware.accelerators import MAX_SUBKERNEL
from npuc.hardware.limits import CONVOLUTION, MAX_AFTER, MAX_BEFORE, MAX_DILATION, MAX_STRIDE


@dataclass(frozen=True)
class Axis:
    """
    `count` windows over `size` elements: window i meets element `i * stride + tap * dilation - before` with each of
    `kernel` taps. A negative `before` says that the first elements are not read.
    """

    size: int
    count: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0

    @property
    def reach(self) -> int:
        """Elements that one window spans."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def after(self) -> int:
        """Elements of padding that windows read behind the last element."""
        return max(0, (self.count - 1) * self.stride + self.reach - self.before - self.size)

    @property
    def is_whole(self) -> bool:
        """Whether one window is all there is, tap by tap."""
        return self.count == 1 and self.before == 0 and self.kernel == self.size == self.reach

    @property
    def tiles(self) -> bool:
        """Whether each window has elements of its own, none of them padding, and none are left over at the end."""
        return self.before == 0 and self.reach <= self.stride and self.size == self.count * self.stride

    @property
    def apart(self) -> int:
        """
        How many kernels, each for the windows with one rest of number / apart, make neighbours of taps; 1 where they
        are neighbours, where windows move on, where they are longer than all elements, or where one would lie behind
        these.
        """
        if self.stride > 1 or self.dilation == 1 or not self.size >= self.reach > 1:
            return 1
        rests = (rest for _, rest in self.rests(self.dilation))
        return self.dilation if all(rest.after < rest.reach for rest in rests) else 1

    def rests(self, step: int) -> list[tuple[int, Axis]]:
        """
        The windows with each rest of number / step, over the elements with one rest, whose first is given: all there
        are if `step` is 1, without dilation if it is `apart`. Where the count does not divide, some have one too many.
        """
        if step == 1:
            return [(0, self)]
        count = -(-self.count // step)
        phases: list[tuple[int, Axis]] = []
        for rest in range(step):
            groups, offset = divmod(rest - self.before, step)
            size = -(-(self.size - offset) // step)
            phases.append((offset, Axis(size, count, self.kernel, before=-groups)))
        return phases

    def divides(self, step: int) -> bool:
        """Whether windows of stride 1 that are `step` apart are all there is between multiples of `step`."""
        return self.stride == 1 and not (self.size % step or self.count % step or self.before % step)

    def taps(self) -> range:
        """
        The taps from the first to the last that meet an element in some window; all if none does. Where dilated windows
        meet padding only, so many more that each spans an element: a stripe has to have rows to read.
        """
        met = [tap for tap in range(self.kernel) if self._meets(tap)]
        if not met:
            return range(self.kernel)
        last = -(-self.before // self.dilation)
        first = (self.size - 1 + self.before - (self.count - 1) * self.stride) // self.dilation
        return range(max(0, min(met[0], first)), min(self.kernel, max(met[-1], last) + 1))

    def _meets(self, tap: int) -> bool:
        offset = tap * self.dilation - self.before
        first = max(0, -(offset // self.stride))
        return first < self.count and first * self.stride + offset < self.size

    def trimmed(self) -> Axis:
        """The same with no other taps than `taps`; a single window has no stride."""
        taps = self.taps()
        stride = 1 if self.count == 1 else self.stride
        return replace(self, kernel=len(taps), before=self.before - taps.start * self.dilation, stride=stride)

    def folded(self) -> Axis:
        """
        The same with stride 1 over groups of `stride` elements: padding in front is filled up to a whole group, as are
        taps. Taps must not be dilated.
        """
        before = -(-self.before // self.stride)
        kernel = -(-(self.kernel + before * self.stride - self.before) // self.stride)
        size = min(-(-self.size // self.stride), self.count - 1 + kernel - before)
        return Axis(size, self.count, kernel, before=before)

    def regions(self) -> tuple[tuple[int, Axis], ...]:
        """
        The axis in parts without padding, each with the number of the element that it begins at: the windows that are
        not clipped, and each one that is.
        """
        parts: list[tuple[int, Axis]] = []
        whole = 0
        for number in range(self.count):
            start = number * self.stride - self.before
            first, last = max(0, start), min(self.size, start + self.kernel)
            if last - first == self.kernel:
                if whole:
                    at, axis = parts.pop()
                    parts.append((at, Axis(last - at, axis.count + 1, self.kernel, self.stride)))
                else:
                    parts.append((first, Axis(self.kernel, 1, self.kernel)))
                whole += 1
            else:
                parts.append((first, Axis(last - first, 1, last - first)))
        return tuple(parts)


POINT = Axis(1, 1)
"""An axis of one element."""


@dataclass(frozen=True)
class Planes:
    """
    Rows and columns of a window, over a view of the feature map with so many of both, or (`exchanged`) over the feature
    map with its rows as columns and its columns as rows.
    """

    rows: Axis
    columns: Axis
    exchanged: bool = False

    @property
    def padded(self) -> bool:
        """Whether windows read padding."""
        return any((self.rows.before, self.rows.after, self.columns.before, self.columns.after))

    @property
    def averages(self) -> bool:
        """Whether the machine has an average of such windows, of the elements that are not padding."""
        return not self.padded or max(self.rows.reach, self.columns.reach) <= MAX_SUBKERNEL

    def fit(self, height: int, elements: int) -> bool:
        """Whether the machine has a window of so much height and so many elements, and padding."""
        axes = (self.rows, self.columns)
        return (
            self.rows.reach <= height
            and self.rows.reach * self.columns.reach <= elements
            and all(axis.before <= MAX_BEFORE and axis.after <= MAX_AFTER for axis in axes)
        )


def planes(rows: Axis, columns: Axis, limits: tuple[int, int], mixes: bool) -> Planes | None:
    """
    How the machine slides a window within `limits` (height, elements); None if it cannot.

    Taps along a line that are `dilation` apart are neighbours in one column of as many, so that nothing is multiplied
    by the zeros in between. Where the columns are done with in one window, the rows can be its columns, which may be
    longer, and can be folded without copies: if there is one column, or if the kernel `mixes` its channels, so that
    columns can be depth. One window over all elements of each channel can have any number of rows. At last rows and
    columns are exchanged.
    """
    for plane in _forms(Planes(rows.trimmed(), columns.trimmed()), limits[0], mixes):
        if plane.fit(*limits):
            return plane
    return None


def _forms(plane: Planes, most: int, mixes: bool) -> Iterator[Planes]:
    line = plane.rows if plane.columns == POINT else plane.columns
    if POINT in (plane.rows, plane.columns) and line.dilation > MAX_DILATION and line.divides(line.dilation):
        step = line.dilation
        yield Planes(
            Axis(line.size // step, line.count // step, line.kernel, before=line.before // step), Axis(step, step)
        )
    can_turn = plane.columns.is_whole and (mixes or plane.columns.size == 1)
    turned = Planes(POINT, plane.rows)
    if can_turn and plane.rows.stride > MAX_STRIDE:
        yield turned
    yield plane
    if can_turn:
        yield turned
    if not mixes and plane.rows.is_whole and plane.columns.is_whole:
        size = plane.rows.size * plane.columns.size
        height = max(rows for rows in range(1, most + 1) if size % rows == 0)
        yield Planes(Axis(height, 1, height), Axis(size // height, 1, size // height))
    yield Planes(plane.columns, plane.rows, exchanged=True)


# Transposed


@dataclass(frozen=True)
class Phase:
    """
    Results of a transposed convolution `stride` apart: the taps that reach them, in the order of the elements that they
    meet. For the first result that is the element `first` and those behind it, for each further one those one on. Where
    the kernel is shorter than the stride there may be no taps.
    """

    first: int
    taps: tuple[int, ...]


@dataclass(frozen=True)
class Spread:
    """
    `size` elements that each reach `kernel` of `count` results: element i those from `i * stride - crop` on.
    """

    size: int
    count: int
    kernel: int
    stride: int
    crop: int

    def phases(self) -> tuple[Phase, ...]:
        """The results with each rest of number / stride."""
        phases: list[Phase] = []
        for rest in range(self.stride):
            element, tap = divmod(rest + self.crop, self.stride)
            taps = tuple(range(tap, self.kernel, self.stride))[::-1]
            phases.append(Phase(element - len(taps) + 1 if taps else 0, taps))
        return tuple(phases)

    def dense(self, stride: int) -> Axis:
        """As a window of stride 1 over the elements with `stride - 1` zeros behind each."""
        return Axis(self.size * stride, self.count, self.kernel, before=self.kernel - 1 - self.crop)


def zeros_between(rows: Spread, columns: Spread) -> int | None:
    """How often the machine repeats rows and columns, all but the first as 0: 1, 2, or None if it cannot."""
    # An axis of one element is the same under either stride: what follows its element is 0 in any case.
    for times in (1, 2):
        axes = [(axis, axis.dense(times)) for axis in (rows, columns)]
        if all(axis.stride == times or axis.size == 1 for axis, _ in axes):
            return times if Planes(axes[0][1], axes[1][1]).fit(*CONVOLUTION) else None
    return None


def phase_axes(rows: Spread, columns: Spread) -> list[tuple[Axis, Axis]]:
    """
    Rows and columns of the convolution for each phase of rows; phases of columns are channels of one kernel, whose
    window has the elements of them all.
    """
    across = [phase for phase in columns.phases() if phase.taps]
    first = min(phase.first for phase in across)
    last = max(phase.first + len(phase.taps) for phase in across)
    counts = [-(-axis.count // axis.stride) for axis in (rows, columns)]
    column = Axis(columns.size, counts[1], last - first, before=-first)
    return [
        (Axis(rows.size, counts[0], max(1, len(phase.taps)), before=-phase.first), column) for phase in rows.phases()
    ]


def has_phases(rows: Spread, columns: Spread) -> bool:
    """Whether the machine has the convolution of each phase."""
    return all(planes(*axes, CONVOLUTION, mixes=True) is not None for axes in phase_axes(rows, columns))
