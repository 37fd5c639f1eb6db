"""
In which direction each cascade of a cut walks, so that all results that lie over operands find addresses.

A cut is checked before there is any IR of it: one moment for each of its segments, the tensors that are alive then, its
rolling buffers, and what each direction allows its result (`npuc.planning.overlaps`). `npuc.analysis.allocation` finds
addresses for that as it will for the commands, whose live ranges are within these. Always in one direction, a chain of
results drifts through the memory. So each cascade first takes that by which all that lies one over the other, from the
first operand on, stretches least. While that does not fit, the directions of some are turned, of those first that end
highest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from npuc.analysis.allocation import LiveRange, Rule, allocate
from npuc.planning.network import Network

TRIES = 40
"""Orders tried for each choice of directions."""
ROUNDS = 24
"""So many choices are tried."""


class Part(NamedTuple):
    """A segment of a cut: items `start` to `stop`."""

    start: int
    stop: int
    inside: frozenset[int]
    """Tensors that only live in its rolling buffers."""
    buffers: Sequence[int]
    """Bytes of these."""
    rules: tuple[Rule, Rule] | None
    """How its result, a tensor, may lie over another one, if it walks downwards, and upwards; None if it does not."""
    fixed: bool | None
    """Whether it walks upwards, where that is given."""


class Directions(NamedTuple):
    """Which parts walk upwards, and the bytes that the cut takes so."""

    upwards: list[bool]
    height: int


def directions(network: Network, parts: Sequence[Part], limit: int) -> Directions:
    """The directions in which a cut fits in `limit` bytes; those in which it takes least if none are found."""
    ranges, numbers = _ranges(network, parts)
    open_ = [index for index, part in enumerate(parts) if part.rules is not None and part.fixed is None]
    upwards = _least_stretch(network, parts)

    def asked() -> tuple[int, list[int]]:
        """Bytes that the directions as they are take, and which parts end highest."""
        rules: list[Rule] = []
        for part, up in zip(parts, upwards, strict=True):
            if part.rules is not None:
                rule = part.rules[up]
                rules.append(rule._replace(upper=numbers[rule.upper], lower=numbers[rule.lower]))
        found = allocate(ranges, TRIES, limit, rules)
        return found.height, _tops(ranges, found.addresses, len(parts))

    best, tops = asked()
    chosen = upwards.copy()
    tried = {tuple(upwards)}
    for _ in range(ROUNDS):
        if best <= limit:
            break
        upwards = chosen.copy()
        for index in sorted(open_, key=lambda index: -max(tops[max(0, index - 1) : index + 2])):
            upwards[index] = not upwards[index]
            if tuple(upwards) not in tried:
                break
            upwards[index] = not upwards[index]
        else:
            break
        tried.add(tuple(upwards))
        height, tops_then = asked()
        if height < best:
            best, tops, chosen = height, tops_then, upwards.copy()
    return Directions(chosen, best)


def _tops(ranges: Sequence[LiveRange], addresses: Sequence[int], count: int) -> list[int]:
    """Where what ends highest of all that is alive at each of so many moments ends."""
    tops = [0] * count
    following = list(range(count + 1))
    """By moment one from which on the next is found for which nothing is known yet."""

    def open_from(moment: int) -> int:
        passed: list[int] = []
        while following[moment] != moment:
            passed.append(moment)
            moment = following[moment]
        for one in passed:
            following[one] = moment
        return moment

    ends = ((address + one.rounded, one.start, one.end) for one, address in zip(ranges, addresses, strict=True))
    for top, start, end in sorted(ends, reverse=True):
        moment = open_from(min(max(0, start), count))
        while moment < count and moment <= end:
            tops[moment] = top
            following[moment] = moment + 1
            moment = open_from(moment)
    return tops


def _ranges(network: Network, parts: Sequence[Part]) -> tuple[list[LiveRange], dict[int, int]]:
    """What needs an address, by the numbers of parts; and which of that a tensor is."""
    moments: list[int] = []
    for moment, part in enumerate(parts):
        moments += [moment] * (part.stop - part.start + 1)
    end = len(parts)
    inside = frozenset[int]().union(*(part.inside for part in parts))
    owners = list(range(len(network.tensors)))
    for part in parts:
        item = network.items[part.start]
        if part.start == part.stop and item.saved and not item.rules and not part.buffers and part.rules is None:
            old = next(index for index in item.over if network.tensors[index].size)
            owners[item.writes[0]] = owners[old]
    lives: dict[int, tuple[int, int, int]] = {}
    for index, tensor in enumerate(network.tensors):
        if not tensor.size or index in inside:
            continue
        first = -1 if tensor.first < 0 else moments[tensor.first]
        last = end if tensor.last >= len(moments) else moments[tensor.last] if tensor.last >= 0 else -1
        start, stop, size = lives.get(owners[index], (first, last, tensor.size))
        lives[owners[index]] = min(start, first), max(stop, last), max(size, tensor.size)
    ranges = [LiveRange(*life) for life in lives.values()]
    numbers = {owner: number for number, owner in enumerate(lives)}
    if network.host_bytes:
        ranges.append(LiveRange(-1, end, network.host_bytes))
    for moment, part in enumerate(parts):
        own = network.items[part.start].own if part.start == part.stop else 0
        ranges += [LiveRange(moment, moment, size) for size in (*part.buffers, own) if size]
    return ranges, {index: numbers[owner] for index, owner in enumerate(owners) if owner in numbers}


def _least_stretch(network: Network, parts: Sequence[Part]) -> list[bool]:
    """The direction of each part by which chains of results stretch least."""
    stretches: dict[int, tuple[int, int, int]] = {}
    """By tensor the lowest and highest byte of its chain, and where it begins itself."""
    upwards: list[bool] = []
    for part in parts:
        if part.rules is None:
            upwards.append(bool(part.fixed))
            continue
        written, old = part.rules[0][:2]
        size, other = network.tensors[written].size, network.tensors[old].size
        low, high, begin = stretches.get(old, (0, other, 0))
        choices: list[tuple[int, bool, tuple[int, int, int]]] = []
        for up, rule in zip((False, True), part.rules, strict=True):
            if part.fixed in (None, up):
                at = begin + rule.best(size, other)
                reach = min(low, at), max(high, at + size), at
                choices.append((reach[1] - reach[0], up, reach))
        _, up, stretches[written] = min(choices)
        upwards.append(up)
    return upwards
