"""
Placing live ranges in one memory: plain data in, addresses out.

Two ranges that are alive at the same time must not overlap in memory. No placement can be lower than the largest sum of
sizes alive at one time; `lower_bound` is that sum. A placement follows from an order: each range in turn takes the
lowest address that is free during its life. The search first tries a few orders that follow from the ranges, by how
crowded their busiest moment is, by size, by how many they meet; mostly one of them reaches the bound. While none does,
it climbs: it gives ranges that hold up a highest one other turns in the order, and keeps what is no worse. Where that
has not helped for a while it climbs from the next of the first orders, since where a climb ends is luck. It draws from
a generator with a fixed seed. It ends at the bound, which proves that nothing is lower; where nothing has got lower for
`QUIET` orders, since little ever does after that; or after as many orders as were asked for.

Where a short climb has not helped, orders that fill the memory from below are tried as well, in the end some that are
drawn. These reach the bound more often, but use memory again as soon as it is free, so that launches wait for each
other more. Climbs begin at them, too: where nothing reached the bound before, more of what one can begin with does more
than a longer climb.

A `Rule` lets a range lie over another one that is about to die, so far before or behind it as their launches allow. The
search then forbids only what the rule leaves: one end of what two ranges that meet keep each other from. It places that
one first which is to lie lower. The bound counts with the nearest that rules allow, as planners do.

The answer depends on nothing but sizes, rules and which ranges meet: neither on how times are counted, nor on the order
in which ranges are given, nor on who has asked before. So a planner that knows launches and a pass that knows commands
get the same answer, and a search that one of them has begun is carried on for the other.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heappop, heapreplace
from itertools import accumulate, chain, cycle, groupby
from operator import add
from random import Random
from typing import NamedTuple

ALIGNMENT = 16
"""Of every address, in bytes."""
QUESTION_TRIES = 1000
"""Orders tried to find out whether ranges fit."""
TRIES = 5000
"""Orders tried while the result is above the lower bound; those that ever reach it mostly do in a few hundred."""
QUIET = 500
"""So many orders without a lower placement end the search."""
FEW = 150
"""Orders tried before those that fill the memory from below."""
ORDERS = 6
"""Orders to begin with."""
DRAWN = 60
"""Orders that fill the memory from below, the next range drawn at random."""
SPREAD = 7
"""How far chance decides there: what a range takes of memory and time counts once up to once more than this."""
PATIENCE = 150
"""Orders that a climb tries without getting lower before another climb begins."""


@dataclass(frozen=True)
class LiveRange:
    """`size` bytes that are needed from time `start` to time `end`, both included."""

    start: int
    end: int
    size: int

    @property
    def rounded(self) -> int:
        """Size rounded up to the alignment."""
        return -(-self.size // ALIGNMENT) * ALIGNMENT

    def meets(self, other: LiveRange) -> bool:
        """Whether both are alive at some time."""
        return self.start <= other.end and other.start <= self.end


class Rule(NamedTuple):
    """
    A range may begin at most `at` bytes behind another one, or at least so many if `behind`, though both are alive;
    both by number, `at` a multiple of the alignment.
    """

    upper: int
    lower: int
    at: int
    behind: bool

    def saved(self, upper: int, lower: int) -> int:
        """Bytes less than both sizes together that two such ranges take at best."""
        return max(0, shared_bytes(upper, lower, self.best(upper, lower)))

    def best(self, upper: int, lower: int) -> int:
        """How far behind the other it begins at best: within it if it may."""
        return max(self.at, lower - upper) if self.behind else min(self.at, 0)

    def forbidden(self, upper: int, lower: int) -> tuple[int, int]:
        """Between which distances behind the other it may not begin; both ends are allowed."""
        return (-upper, min(lower, self.at)) if self.behind else (max(-upper, self.at), lower)


def shared_bytes(upper: int, lower: int, at: int) -> int:
    """
    How many bytes less than both together two buffers of these sizes take from the lowest to the highest, if the first
    begins so many bytes behind the second; negative if there is a gap.
    """
    return min(at + upper, lower) - max(at, 0)


@dataclass(frozen=True)
class Allocation:
    """An address for each live range, the bytes used in all, and the bytes that no placement can do without."""

    addresses: tuple[int, ...]
    height: int
    bound: int


def lower_bound(ranges: Sequence[LiveRange], rules: Sequence[Rule] = ()) -> int:
    """The largest sum of rounded sizes alive at one time, less what rules save."""
    return max((total for _, total in usage(ranges, rules)), default=0)


def usage(ranges: Sequence[LiveRange], rules: Sequence[Rule] = ()) -> list[tuple[int, int]]:
    """Bytes alive from each time at which that changes: (time, bytes), in order of time; rules at their best."""
    steps: dict[int, int] = {}
    for r in ranges:
        steps[r.start] = steps.get(r.start, 0) + r.rounded
        steps[r.end + 1] = steps.get(r.end + 1, 0) - r.rounded
    for rule in rules:
        upper, lower = ranges[rule.upper], ranges[rule.lower]
        if upper.meets(lower):
            saved, start, end = (
                rule.saved(upper.rounded, lower.rounded),
                max(upper.start, lower.start),
                min(upper.end, lower.end),
            )
            steps[start] -= saved
            steps[end + 1] += saved
    total = 0
    curve: list[tuple[int, int]] = []
    for time in sorted(steps):
        total += steps[time]
        curve.append((time, total))
    return curve


def _neighbours(ranges: Sequence[LiveRange]) -> list[list[int]]:
    """For each range, the indices of those alive at the same time as it."""
    order = sorted(range(len(ranges)), key=lambda i: ranges[i].start)
    found: list[list[int]] = [[] for _ in ranges]
    alive: list[int] = []
    for i in order:
        alive = [j for j in alive if ranges[j].end >= ranges[i].start]
        for j in alive:
            found[i].append(j)
            found[j].append(i)
        alive.append(i)
    return found


def _crowding(ranges: Sequence[LiveRange], rules: Sequence[Rule]) -> list[int]:
    """For each range, the most bytes alive at one time during its life."""
    curve = usage(ranges, rules)
    times = [time for time, _ in curve]
    return [
        max(total for _, total in curve[bisect_right(times, r.start) - 1 : bisect_right(times, r.end)]) for r in ranges
    ]


@dataclass
class _Placement:
    """
    Each range in turn at the lowest address that is free during its life.

    `turns` has for each range its place in the order, `below` the range it stands on (-1 for none), `height` is the end
    of the highest.
    """

    order: list[int]
    turns: list[int]
    addresses: list[int]
    below: list[int]
    height: int


class _Search:
    """
    The climbs over orders of some ranges, as far as somebody has asked for.

    `found` are the placements that were lower than all before them, each with the number of orders tried by then. So an
    answer is the same, however far somebody else has looked.
    """

    def __init__(self, ranges: Sequence[LiveRange], rules: Sequence[Rule] = ()) -> None:
        self.sizes = [r.rounded for r in ranges]
        self.neighbours = _neighbours(ranges)
        self.bound = lower_bound(ranges, rules)
        self.rules = rules
        self.tries = -ORDERS
        """The first orders do not count."""
        self.random = Random(0)
        self.found: list[tuple[int, _Placement]] = []
        self._steps = self._orders_and_climbs(ranges)

    def reach(self, height: int, tries: int) -> _Placement:
        """
        The first placement that is no higher than this, or than can be; else the lowest of so many orders, or of those
        up to `QUIET` behind the last that was lower than all before it.
        """
        height = max(height, self.bound)
        while not self.found or self.found[-1][1].height > height:
            if self.found and self.tries >= min(tries, self.found[-1][0] + QUIET):
                break
            self.tries += 1
            next(self._steps)
        _, best = self.found[0]
        for tried, placement in self.found[1:]:
            if best.height <= height or tried > tries:
                break
            best = placement
        return best

    def _orders_and_climbs(self, ranges: Sequence[LiveRange]) -> Generator[None]:
        """The first orders, a few climbs from them, orders that fill from below, climbs from all; one order a step."""
        starts: list[_Placement] = []
        filling, drawn = _filling_orders(ranges, self.rules, self.neighbours), self._drawn_orders(ranges)
        for orders in (_orders(ranges, self.rules), chain(filling, drawn)):
            for order in orders:
                starts.append(self._place(self._ordered(order)))
                self._take(starts[-1])
                yield
            starts.sort(key=lambda placement: placement.height)
            if self.tries < FEW:
                for _ in self._climbs(starts):
                    yield
                    if self.tries >= FEW:
                        break
        yield from self._climbs(starts)

    def _ordered(self, order: list[int]) -> list[int]:
        """An order as rules want it."""
        return order

    def _drawn_orders(self, ranges: Sequence[LiveRange]) -> Iterator[list[int]]:
        """Orders that fill the memory from below, each time with one of the ranges that take most of it for longest."""
        taken = [r.rounded * (r.end - r.start + 1) for r in ranges]
        for _ in range(DRAWN):
            ranks = [(-share * (1 + SPREAD * self.random.random()),) for share in taken]
            yield _filling_order(self.sizes, self.neighbours, ranks)

    def _take(self, placement: _Placement) -> None:
        if not self.found or placement.height < self.found[-1][1].height:
            self.found.append((self.tries, placement))

    def _climbs(self, starts: Sequence[_Placement]) -> Generator[None]:
        """Climbs from all of these, again and again; one order a step."""
        for current in cycle(starts):
            patience = PATIENCE
            while patience:
                tops = [
                    i
                    for i, (at, size) in enumerate(zip(current.addresses, self.sizes, strict=True))
                    if at + size == current.height
                ]
                better: _Placement | None = None
                while better is None and patience:
                    patience -= 1
                    better = self._with_other_order(current, _draw(self.random, tops))
                    if better is not None:
                        if better.height < current.height:
                            patience = PATIENCE
                        self._take(better)
                    yield
                if better is not None:
                    current = better

    def _with_other_order(self, current: _Placement, top: int) -> _Placement | None:
        """
        The placement of an order that may lower a range that ends highest; None if it is higher than the current one.

        Mostly that range, or one that it stands on, gets its turn before one that lives beside it. Now and then any of
        these ranges and those beside them takes the turn of another, or any two are exchanged.
        """
        random, turns = self.random, current.turns
        pile = [top]
        while current.below[pile[-1]] >= 0:
            pile.append(current.below[pile[-1]])
        if random.random() < 0.8:
            moved = top if random.random() < 0.5 else _draw(random, pile)
            start = turns[moved]
            earlier = [turns[i] for i in self.neighbours[moved] if turns[i] < start]
            return self._changed(current, start, _draw(random, earlier) if earlier else 0, False)
        near = sorted({i for member in pile for i in (member, *self.neighbours[member])})
        start = turns[_draw(random, near)]
        end = turns[_draw(random, near if random.random() < 0.7 else current.order)]
        return self._changed(current, start, end, random.random() < 0.5)

    def _changed(self, current: _Placement, start: int, end: int, exchange: bool) -> _Placement | None:
        """
        The placement with the range of turn `start` at turn `end`, and the other way round for an exchange; None if it
        is higher than the current one.

        Only those ranges find another address before which other neighbours are placed now, or the same ones elsewhere.
        """
        order, turns = current.order.copy(), current.turns.copy()
        moved = [order[start]]
        if exchange:
            moved.append(order[end])
            order[start], order[end] = order[end], order[start]
        else:
            order.insert(end, order.pop(start))
        first, last = min(start, end), max(start, end)
        for turn in range(first, last + 1):
            turns[order[turn]] = turn
        asked = bytearray(len(order))
        for i in moved:
            asked[i] = 1
            for j in self.neighbours[i]:
                if first <= turns[j] <= last:
                    asked[j] = 1
        addresses, below = current.addresses.copy(), current.below.copy()
        for i in order[first:]:
            if not asked[i]:
                continue
            at, below[i] = self._lowest(i, turns, addresses)
            if at != addresses[i]:
                if at + self.sizes[i] > current.height:
                    return None
                addresses[i] = at
                turn = turns[i]
                for j in self.neighbours[i]:
                    if turns[j] > turn:
                        asked[j] = 1
        return _Placement(order, turns, addresses, below, self._height(addresses))

    def _place(self, order: list[int]) -> _Placement:
        """The placement of an order."""
        turns, addresses, below = [0] * len(order), [0] * len(order), [-1] * len(order)
        for turn, i in enumerate(order):
            turns[i] = turn
        for i in order:
            addresses[i], below[i] = self._lowest(i, turns, addresses)
        return _Placement(order, turns, addresses, below, self._height(addresses))

    def _lowest(self, i: int, turns: list[int], addresses: list[int]) -> tuple[int, int]:
        """The lowest address that is free during the life of a range, and the range below it, -1 for none."""
        sizes, turn = self.sizes, turns[i]
        size, at, support = sizes[i], 0, -1
        for start, j in sorted([(addresses[j], j) for j in self.neighbours[i] if turns[j] < turn]):
            if start - at >= size:
                break
            top = start + sizes[j]
            if top > at:
                at, support = top, j
        return at, support

    def _height(self, addresses: list[int]) -> int:
        """The end of the highest range."""
        return max(map(add, addresses, self.sizes))


class _RuledSearch(_Search):
    """The same where some ranges may lie over others."""

    def __init__(self, ranges: Sequence[LiveRange], rules: Sequence[Rule]) -> None:
        super().__init__(ranges, rules)
        self._free: dict[tuple[int, int], tuple[int, int]] = {}
        """Of two ranges between which distances the first may not begin behind the second, where a rule says so."""
        self._lower: dict[int, list[int]] = {}
        """Of a range those that are to be placed before it, because they are to lie lower."""
        for upper, lower, at, behind in rules:
            low, high = Rule(upper, lower, at, behind).forbidden(self.sizes[upper], self.sizes[lower])
            self._free[upper, lower] = low, high
            self._free[lower, upper] = -high, -low
            first, second = (lower, upper) if behind else (upper, lower)
            self._lower.setdefault(second, []).append(first)

    def _ordered(self, order: list[int]) -> list[int]:
        found: dict[int, None] = {}
        for i in order:
            waiting = [i]
            while waiting:
                before = [j for j in self._lower.get(waiting[-1], ()) if j not in found and j not in waiting]
                if before:
                    waiting.append(before[0])
                else:
                    found[waiting.pop()] = None
        return list(found)

    def _lowest(self, i: int, turns: list[int], addresses: list[int]) -> tuple[int, int]:
        sizes, free, turn = self.sizes, self._free, turns[i]
        at, support = 0, -1
        taken: list[tuple[int, int, int]] = []
        for j in self.neighbours[i]:
            if turns[j] < turn:
                low, high = free.get((i, j)) or (-sizes[i], sizes[j])
                taken.append((addresses[j] + low, addresses[j] + high, j))
        for low, high, j in sorted(taken):
            if low >= at:
                break
            if high > at:
                at, support = high, j
        return at, support


def _orders(ranges: Sequence[LiveRange], rules: Sequence[Rule]) -> Iterator[list[int]]:
    crowding = _crowding(ranges, rules)
    starts, ends = sorted(r.start for r in ranges), sorted(r.end for r in ranges)
    met = [bisect_right(starts, r.end) - bisect_left(ends, r.start) for r in ranges]
    size = [r.rounded for r in ranges]
    keys: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-crowding[i], -met[i] * size[i], ranges[i].start),
        lambda i: (-size[i], ranges[i].start),
        lambda i: (-crowding[i], -size[i]),
        lambda i: (ranges[i].start, -size[i]),
        lambda i: (-met[i], -size[i]),
        lambda i: (-met[i] * size[i],),
    )
    assert len(keys) == ORDERS
    for key in keys:
        yield sorted(range(len(ranges)), key=key)


def _filling_orders(
    ranges: Sequence[LiveRange], rules: Sequence[Rule], neighbours: Sequence[Sequence[int]]
) -> Iterator[list[int]]:
    """Orders that fill the memory from below, each time by the range that can lie lowest on those before it."""
    crowding = _crowding(ranges, rules)
    length = [r.end - r.start + 1 for r in ranges]
    size = [r.rounded for r in ranges]
    keys: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-length[i] * size[i],),
        lambda i: (-crowding[i], -length[i], -size[i]),
        lambda i: (ranges[i].start, -size[i]),
    )
    for key in keys:
        yield _filling_order(size, neighbours, [key(i) for i in range(len(ranges))])


def _filling_order(
    sizes: Sequence[int], neighbours: Sequence[Sequence[int]], ranks: Sequence[tuple[float, ...]]
) -> list[int]:
    """The order that fills the memory from below; of ranges that can lie equally low that of the least rank first."""
    lowest = [0] * len(sizes)
    waiting = [(0, rank, i) for i, rank in enumerate(ranks)]
    heapify(waiting)
    order: list[int] = []
    while waiting:
        at, rank, i = waiting[0]
        if at < lowest[i]:  # others have been placed below it since
            heapreplace(waiting, (lowest[i], rank, i))
            continue
        heappop(waiting)
        order.append(i)
        top = at + sizes[i]
        for j in neighbours[i]:
            if lowest[j] < top:
                lowest[j] = top
    return order


def allocate(
    ranges: Sequence[LiveRange], tries: int | None = None, enough: int = 0, rules: Sequence[Rule] = ()
) -> Allocation:
    """
    Addresses for all ranges, of which some may lie over others by rules; `height` is the end of the highest. Tries so
    many orders (TRIES) to reach the bound, or `enough` bytes where that is more, and ends earlier where many of them in
    a row have not helped. Where it reaches them, so it does with more tries, and where less is enough.
    """
    if not ranges:
        return Allocation((), 0, 0)
    moments = in_moments(ranges)
    parts = _parts(moments, rules)
    order = sorted(range(len(ranges)), key=lambda i: (moments[i].start, moments[i].end, -moments[i].size, parts[i]))
    turns = {i: turn for turn, i in enumerate(order)}
    known = sorted(rule._replace(upper=turns[rule.upper], lower=turns[rule.lower]) for rule in rules)
    search = _search(tuple(moments[i] for i in order), tuple(known))
    best = search.reach(enough, TRIES if tries is None else tries)
    addresses = dict(zip(order, best.addresses, strict=True))
    return Allocation(tuple(addresses[i] for i in range(len(ranges))), best.height, search.bound)


def _parts(ranges: Sequence[LiveRange], rules: Sequence[Rule]) -> list[list[tuple[int, ...]]]:
    """What rules say of each range, whatever the numbers are."""
    parts: list[list[tuple[int, ...]]] = [[] for _ in ranges]
    for upper, lower, at, behind in rules:
        for own, one, other in ((0, upper, lower), (1, lower, upper)):
            parts[one].append((own, at, behind, ranges[other].start, ranges[other].end, ranges[other].size))
    for part in parts:
        part.sort()
    return parts


class Needs(NamedTuple):
    """What is needed of a memory at each of some times, in bytes."""

    sums: Sequence[int]
    """What is alive takes."""
    tops: Sequence[int]
    """Where the highest of that ends, by addresses that have been found."""
    height: int
    """Where the highest at any time ends, by the same addresses."""

    @staticmethod
    def anyhow(total: int, times: int) -> Needs:
        """At most, at so many times, where all that there ever is takes `total` bytes together."""
        return Needs([total] * times, [total] * times, total)

    @property
    def top(self) -> int:
        """The highest at these times."""
        return max(self.tops, default=0)

    def gaps(self, most: int) -> list[int]:
        """
        For each time the bytes that have to be taken for gaps so that all keeps to `most` bytes; 0 where it does.

        While something lies above that, what is alive has to become less where it is most.
        """
        found: list[int] = []
        for above, those in groupby(zip(self.sums, self.tops, strict=True), key=lambda one: one[1] > most):
            run = list(those)
            free = min(most - size for size, _ in run)
            found += [top - most + max(0, free) if above else 0 for _, top in run]
        return found


def needs(ranges: Sequence[LiveRange], times: Sequence[int], enough: int, rules: Sequence[Rule] = ()) -> Needs:
    """
    What ranges, of which some may lie over others by rules, need at some times, in order. Addresses for all of them are
    looked for until they keep to `enough` bytes; those that `allocate` finds do so as well then.
    """
    tops, steps = [0] * len(times), [0] * (len(times) + 1)
    found = allocate(ranges, QUESTION_TRIES, enough, rules)
    for rule in rules:
        upper, lower = ranges[rule.upper], ranges[rule.lower]
        first = bisect_left(times, max(upper.start, lower.start))
        stop = max(first, bisect_right(times, min(upper.end, lower.end)))
        saved = rule.saved(upper.rounded, lower.rounded)
        steps[first] -= saved
        steps[stop] += saved
    for one, address in zip(ranges, found.addresses, strict=True):
        top, first, stop = address + one.rounded, bisect_left(times, one.start), bisect_right(times, one.end)
        steps[first] += one.rounded
        steps[stop] -= one.rounded
        for index in range(first, stop):
            if tops[index] < top:
                tops[index] = top
    return Needs(list(accumulate(steps[:-1])), tops, found.height)


@lru_cache(maxsize=8)
def _search(ranges: tuple[LiveRange, ...], rules: tuple[Rule, ...]) -> _Search:
    return _RuledSearch(ranges, rules) if rules else _Search(ranges)


def in_moments(ranges: Sequence[LiveRange]) -> list[LiveRange]:
    """
    The same ranges, sizes rounded, and times counted in moments at which as many of them as can be are alive together.

    So ranges of equal sizes that meet alike are equal, whatever their times were counted in.
    """
    starts = sorted({r.start for r in ranges})
    moments: list[int] = []
    begun = 0
    for end in sorted({r.end for r in ranges}):
        # The first end behind new starts: before that nothing has given way to them.
        if begun < len(starts) and starts[begun] <= end:
            moments.append(end)
            begun = bisect_right(starts, end)
    return [LiveRange(bisect_left(moments, r.start), bisect_right(moments, r.end) - 1, r.rounded) for r in ranges]


def _draw(random: Random, choices: Sequence[int]) -> int:
    # Not `choice`, of which Python does not promise that it draws the same in every version.
    return choices[int(random.random() * len(choices))]
