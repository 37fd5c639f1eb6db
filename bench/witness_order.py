"""
Every order that the machine may take, and whether each computes the same: an oracle beside the hazard check.

It is written from the rules of docs/simulator.md ("Order") and shares with the simulator only the register map and the
regions; not its feature maps, jobs or queues. A stream becomes events (a DMA's begin and end, a kernel's fetches of
weights, its first jobs' reads, its blocks' writes) and what must come before what, so the legal orders are those of a
partial order. Two accesses that meet are safe in all of them if one event precedes the other in it. Where that is not
so, an order that exchanges them is built and executed.

Executed are not values but tags, one a byte: where an input byte came from, or a digest of an operation with all the
tags that it read. Equal tags are equal bytes for every input, so equal tags of the outputs are a proof.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from npuc.hardware import registers
from npuc.simulator import Op, Program
from npuc.simulator.memory import Memory, Region

Bytes = NDArray[np.int64]
"""Addresses of bytes; all memories lie one behind the other."""

QUEUE_OF_KERNELS = 2
APART = 3  # BLOCKDEP counts no further, so the blocks at either end of a kernel are events of their own
BRICK = 16
TABLES = 2048  # bytes of lookup tables at the end of SHRAM
NOTHING = np.zeros(0, np.int64)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
COMMUTATIVE = frozenset({"MUL", "MIN", "MAX"})
UNSCALED = frozenset({"MIN", "MAX", "CLZ", "SHL"})


class Space:
    """The memories that an operator's regions show, and its SHRAM, as one space of bytes."""

    def __init__(self, regions: Mapping[int, Region], cores: int, shram: int):
        self.regions = regions
        self.bases: dict[int, int] = {}
        memories: list[Memory] = list({id(r.memory): r.memory for r in regions.values()}.values())
        self.size = 0
        for memory in memories:
            self.bases[id(memory)] = self.size
            self.size += memory.size
        self.shram = [self.size + core * shram for core in range(cores)]
        self.size += cores * shram
        # Bytes that the stream finds: constants by their values, so that copies of them are alike; all others by place.
        self.tags = np.arange(self.size, dtype=np.uint64) + np.uint64(1 << 32)
        for region in regions.values():
            if region.read_only:
                base = self.bases[id(region.memory)]
                self.tags[base : base + region.memory.size] = region.memory.data

    def at(self, index: int, address: int) -> int:
        region = self.regions[index & 7]
        return self.bases[id(region.memory)] + region.origin + address

    def span(self, index: int, address: int, length: int) -> Bytes:
        return self.at(index, address) + np.arange(length)


def _signed(op: Op, register: str, u65: bool) -> int:
    bits = 40 if u65 else 32
    value = op.state[register] & (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


def _map(op: Op, prefix: str, shape: tuple[int, int, int], element: int, space: Space, u65: bool) -> Bytes:
    """The address of each byte of a feature map, (height, width, depth x element)."""
    state = op.state
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    width0, height0, height1 = (state[f"{prefix}_{name}_M1"] + 1 for name in ("WIDTH0", "HEIGHT0", "HEIGHT1"))
    right = x >= width0
    low = y >= np.where(right, height1, height0)
    bases = np.array([space.at(state[f"{prefix}_REGION"], state[f"{prefix}_BASE{tile}"]) for tile in range(4)])
    y, x = y - low * np.where(right, height1, height0), x - right * width0
    stride = {axis: _signed(op, f"{prefix}_STRIDE_{axis}", u65) for axis in "XYC"}
    start = bases[2 * low + right] + y * stride["Y"]
    c, byte = np.divmod(np.arange(shape[2] * element), element)
    if op.get(f"{prefix}_PRECISION", "format"):
        start = start + x * BRICK * element
        along = c // BRICK * stride["C"] + c % BRICK * element + byte
    else:
        start = start + x * stride["X"]
        along = c * element + byte
    return start[:, :, None] + along


class Box(NamedTuple):
    y: slice
    x: slice
    c: slice


@dataclass
class Footprint:
    """What one kernel touches, block by block, and what it computes."""

    op: Op
    space: Space
    product_u65: bool
    cores: int
    clobbered: Bytes

    @cached_property
    def block(self) -> tuple[int, int, int]:
        height, width, depth = (self.op.state[f"OFM_BLK_{name}_M1"] + 1 for name in ("HEIGHT", "WIDTH", "DEPTH"))
        return height, width, depth

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        height, width, depth = (self.op.state[f"OFM_{name}_M1"] + 1 for name in ("HEIGHT", "WIDTH", "DEPTH"))
        return height, width, depth

    def element(self, prefix: str) -> int:
        return 1 << self.op.get(f"{prefix}_PRECISION", "precision")

    @cached_property
    def ofm(self) -> Bytes:
        return _map(self.op, "OFM", self.shape, self.element("OFM"), self.space, self.product_u65)

    @cached_property
    def over_depth(self) -> bool:
        return self.op.name == "CONV" or self.op.mode == "REDUCE_SUM"

    @cached_property
    def inputs(self) -> dict[str, Bytes]:
        op, state = self.op, self.op.state
        found: dict[str, Bytes] = {}
        if op.name == "ELEMENTWISE":
            shapes = {"IFM": self.shape}
            if "IFM2_REGION" in state:
                bits = ("broadcast_h", "broadcast_w", "broadcast_c")
                height, width, depth = (
                    1 if op.get("IFM2_BROADCAST", bit) else extent for bit, extent in zip(bits, self.shape, strict=True)
                )
                shapes["IFM2"] = height, width, depth
        else:
            sizes: list[int] = []
            for axis, name, sides in ((0, "HEIGHT", ("TOP", "BOTTOM")), (1, "WIDTH", ("LEFT", "RIGHT"))):
                size = (self.shape[axis] - 1) * self.strides[axis] + state[f"KERNEL_{name}_M1"] + 1
                size -= sum(state[f"IFM_PAD_{side}"] for side in sides)
                sizes.append(-(-size // self.factor))
            shapes = {"IFM": (sizes[0], sizes[1], state["IFM_DEPTH_M1"] + 1 if self.over_depth else self.shape[2])}
        for prefix, shape in shapes.items():
            found[prefix] = _map(op, prefix, shape, self.element(prefix), self.space, self.product_u65)
        return found

    @cached_property
    def strides(self) -> tuple[int, int]:
        return registers.strides(self.op.state["KERNEL_STRIDE"])

    @cached_property
    def factor(self) -> int:
        return 2 if self.op.state.get("IFM_UPSCALE") else 1

    @cached_property
    def streams(self) -> dict[str, Bytes]:
        """Weights, scales and lookup table: what is not fetched block by block."""
        state, found = self.op.state, dict[str, Bytes]()
        for core, tail in enumerate(("", "1")[: self.cores]):
            channels = len(range(core, self.shape[2], self.cores))
            if "WEIGHT_REGION" in state and channels:
                base, length = state[f"WEIGHT{tail}_BASE"], state[f"WEIGHT{tail}_LENGTH"]
                found[f"weights{tail}"] = self.space.span(state["WEIGHT_REGION"], base, length)
            if "SCALE_REGION" in state and channels:
                # Ten bytes a channel; the rest of the length is nobody's.
                length = min(10 * channels, state[f"SCALE{tail}_LENGTH"])
                found[f"scales{tail}"] = self.space.span(state["SCALE_REGION"], state[f"SCALE{tail}_BASE"], length)
        function = self.op.get("ACTIVATION", "function")
        if function >= 16:
            length = TABLES if self.index_bits == 16 else 256 * self.element("OFM")
            for core in range(self.cores):
                end = self.space.shram[core + 1] if core + 1 < self.cores else self.space.size
                start = end - TABLES + 256 * (function - 16)
                found[f"table{core}"] = np.arange(start, start + length)
        return found

    @cached_property
    def index_bits(self) -> int:
        return {0: 8 * self.element("OFM"), 2: 8, 3: 8, 5: 16}[self.op.get("ACTIVATION", "clip_range")]

    @cached_property
    def blocks(self) -> list[tuple[tuple[int, int], ...]]:
        ranges = [
            [(low, min(low + step, extent)) for low in range(0, extent, step)]
            for extent, step in zip(self.shape, self.block, strict=True)
        ]
        return list(product(*ranges))

    @cached_property
    def jobs_of_block(self) -> int:
        if not self.over_depth:
            return 1
        element = self.element("IFM")
        return -(-(self.inputs["IFM"].shape[2] // element) // self.job_depth)

    @cached_property
    def job_depth(self) -> int:
        part_kernel = self.op.name == "CONV" and self.op.get("KERNEL_STRIDE", "weight_order")
        return 16 if part_kernel or self.element("IFM") == 2 else 32

    def written(self, block: int) -> Bytes:
        (y0, y1), (x0, x1), (c0, c1) = self.blocks[block]
        element = self.element("OFM")
        return self.ofm[y0:y1, x0:x1, c0 * element : c1 * element].reshape(-1)

    def _window(self, axis: int, low: int, high: int) -> slice:
        name, side = (("HEIGHT", "TOP"), ("WIDTH", "LEFT"))[axis]
        pad, kernel = self.op.state[f"IFM_PAD_{side}"], self.op.state[f"KERNEL_{name}_M1"] + 1
        first = max(low * self.strides[axis] - pad, 0)
        end = max((high - 1) * self.strides[axis] + kernel - pad, 0)
        return slice(first // self.factor, -(-end // self.factor))

    def read(self, job: int) -> list[tuple[str, Box]]:
        """What a job reads of the feature maps."""
        block, part = divmod(job, self.jobs_of_block)
        y, x, c = self.blocks[block]
        if self.op.name == "ELEMENTWISE":
            found: list[tuple[str, Box]] = []
            for prefix, fm in self.inputs.items():
                element = self.element(prefix)
                cuts = [
                    slice(0, 1) if size == 1 else slice(*part)
                    for size, part in zip((*fm.shape[:2], fm.shape[2] // element), (y, x, c), strict=True)
                ]
                cuts[2] = slice(cuts[2].start * element, cuts[2].stop * element)
                found.append((prefix, Box(*cuts)))
            return found
        element = self.element("IFM")
        if self.over_depth:
            c = part * self.job_depth, (part + 1) * self.job_depth
        depth = slice(c[0] * element, c[1] * element)
        return [("IFM", Box(self._window(0, *y), self._window(1, *x), depth))]

    def reads(self, jobs: range) -> Bytes:
        """The bytes that some jobs read, each once for each map."""
        masks = {prefix: np.zeros(fm.shape, np.bool_) for prefix, fm in self.inputs.items()}
        for job in jobs:
            for prefix, box in self.read(job):
                masks[prefix][box] = True
        return np.concatenate([self.inputs[prefix][mask] for prefix, mask in masks.items()])

    @cached_property
    def job_parts(self) -> list[Bytes]:
        """What the first jobs read, one by one, and then all others together."""
        count = len(self.blocks) * self.jobs_of_block
        cuts = [*range(min(count, APART) + 1), *([count] if count > APART else [])]
        return [self.reads(range(low, high)) for low, high in pairwise(cuts)]

    @cached_property
    def block_parts(self) -> list[tuple[range, Bytes]]:
        """What the first and the last blocks write, one by one, and those between together."""
        count = len(self.blocks)
        cuts = {0, count, *range(min(count, APART + 1)), *range(max(count - APART, 0), count)}
        return [
            (range(low, high), np.concatenate([self.written(block) for block in range(low, high)]))
            for low, high in pairwise(sorted(cuts))
        ]

    @cached_property
    def fetches(self) -> Bytes:
        return np.concatenate([NOTHING, *self.streams.values()])

    @cached_property
    def all_reads(self) -> Bytes:
        parts = [fm.reshape(-1) for fm in self.inputs.values()]
        return np.concatenate([*parts, *self.streams.values()])

    @cached_property
    def all_writes(self) -> Bytes:
        return np.concatenate([self.ofm.reshape(-1), self.clobbered])

    @cached_property
    def self_conflict(self) -> str:
        """How its early writes spoil its own later reads; "" if they do not."""
        if np.unique(self.ofm).size != self.ofm.size:
            return "two elements of its OFM share a byte"
        marks = np.full(self.space.size, -1, np.int32)
        marks[self.ofm.reshape(-1)] = 0
        met = {prefix: bool((marks[fm] >= 0).any()) for prefix, fm in self.inputs.items()}
        if len(self.blocks) > 1:
            for what, places in self.streams.items():
                if (marks[places] >= 0).any():
                    return f"an early block overwrites {what} that a later one needs"
        if not any(met.values()):
            return ""
        for block in range(len(self.blocks)):
            marks[self.written(block)] = block
        for job in range(len(self.blocks) * self.jobs_of_block):
            block = job // self.jobs_of_block
            for prefix, box in self.read(job):
                by = marks[self.inputs[prefix][box]]
                if ((by >= 0) & (by < block)).any():
                    return f"block {int(by[by >= 0].min())} overwrites what block {block} reads of its {prefix}"
        return ""

    @cached_property
    def function(self) -> tuple[object, ...]:
        """What it computes of what it reads: every register's part in it, and no register that has none."""
        op, state, shape = self.op, self.op.state, self.shape
        wide_in, wide_out = self.element("IFM") == 4, self.element("OFM") == 4
        table = op.get("ACTIVATION", "function") >= 16
        parts: list[object] = [op.name, op.mode, shape, *(fm.shape for fm in self.inputs.values())]
        parts += [op.get(f"{p}_PRECISION", f) for p in ("IFM", "OFM") for f in ("type", "precision")]
        if op.name == "ELEMENTWISE":
            parts.append(op.get("IFM_PRECISION", "scale_mode"))
            parts += [state.get(name) for name in ("OPA_SCALE", "OPB_SCALE", "IFM2_SCALAR", "IFM2_BROADCAST")]
            if op.mode in ("ADD", "SUB"):
                parts.append(op.get("IFM_PRECISION", "round"))
        else:
            names = ["IFM_PAD_TOP", "IFM_PAD_LEFT", "IFM_PAD_RIGHT", "IFM_PAD_BOTTOM", "IFM_UPSCALE", "ACC_FORMAT"]
            parts += [state[name] for name in (*names, "KERNEL_WIDTH_M1", "KERNEL_HEIGHT_M1")]
            # A stride needs a second row or column to count.
            parts += [stride for stride, size in zip(self.strides, shape, strict=False) if size > 1]
            parts += [op.get("KERNEL_STRIDE", f"dilation_{axis}") for axis in "yx"]
            parts += [op.name == "CONV" and op.get("KERNEL_STRIDE", "weight_order")]
        if op.name in ("CONV", "DEPTHWISE"):
            # The order of the weights follows the blocks in depth, if there is more than one.
            parts.append(min(self.block[2], -(-shape[2] // 8) * 8))
        if not wide_in and op.name != "ELEMENTWISE":
            parts.append(state["IFM_ZERO_POINT"])
        if not wide_out or table:
            lowest, highest = self.limits
            low, high = op.signed("ACTIVATION_MIN"), op.signed("ACTIVATION_MAX")
            parts += [state["OFM_ZERO_POINT"], max(low, lowest), min(high, highest)]
        parts.append((op.get("ACTIVATION", "function") if not table else 16, op.get("ACTIVATION", "clip_range")))
        padded = any(state.get(f"IFM_PAD_{side}") for side in ("TOP", "BOTTOM", "LEFT", "RIGHT"))
        unscaled = op.mode in UNSCALED or (op.mode == "AVERAGE" and padded)
        per_channel = op.name in ("CONV", "DEPTHWISE")
        scale_mode = op.get("OFM_PRECISION", "scale_mode")
        if not unscaled:
            scale = state.get("OFM_SCALE", 0)
            parts += [scale_mode, (scale >> 32, wide_in or scale & 0xFFFF_FFFF)]
            if per_channel or (scale_mode and scale >> 32) or op.mode in ("LRELU", "SHR"):
                parts.append(op.get("OFM_PRECISION", "round"))
        return tuple(parts)

    @cached_property
    def limits(self) -> tuple[int, int]:
        """The range of what the activation takes: of the OFM's type, or of a table's index."""
        clip = self.op.get("ACTIVATION", "clip_range")
        signed = clip != 2 if clip else self.op.get("OFM_PRECISION", "type")
        bits = self.index_bits
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def digest(self, tags: NDArray[np.uint64]) -> np.uint64:
        """The operation with the tags of all that it reads."""
        op = self.op
        operands: list[bytes] = []
        for prefix, fm in self.inputs.items():
            own = tags[fm].tobytes()
            if op.name == "ELEMENTWISE" and self.element("IFM") < 4:
                own += op.state[f"{prefix}_ZERO_POINT"].to_bytes(2, "little")
            operands.append(hashlib.blake2b(own, digest_size=16).digest())
        if op.name == "ELEMENTWISE" and "IFM2_SCALAR" in op.state:
            operands.append(op.state["IFM2_ZERO_POINT"].to_bytes(2, "little"))
        same_scales = op.state.get("OPA_SCALE") == op.state.get("OPB_SCALE")
        even = op.mode in COMMUTATIVE or (
            op.mode == "ADD" and same_scales and not op.get("IFM_PRECISION", "scale_mode")
        )
        if even and len({fm.shape for fm in self.inputs.values()}) == 1:
            operands.sort()
        text = hashlib.blake2b(repr(self.function).encode(), digest_size=8)
        for part in (*operands, *(tags[places].tobytes() for places in self.streams.values())):
            text.update(part)
        return np.uint64(int.from_bytes(text.digest(), "little"))

    def results(self, digest: np.uint64) -> NDArray[np.uint64]:
        """The tags of its OFM's bytes, by address."""
        return digest + np.arange(self.ofm.size, dtype=np.uint64).reshape(self.ofm.shape) * GOLDEN


@dataclass
class Transfer:
    """What one DMA touches."""

    op: Op
    source: Bytes
    targets: list[Bytes]

    def copy(self, tags: NDArray[np.uint64]) -> None:
        data = tags[self.source]
        for target in self.targets:
            tags[target] = data

    @property
    def all_reads(self) -> Bytes:
        return self.source

    @cached_property
    def all_writes(self) -> Bytes:
        return np.concatenate(self.targets)

    @cached_property
    def self_conflict(self) -> str:
        if any(np.intersect1d(self.source, t).size and not np.array_equal(self.source, t) for t in self.targets):
            return "it overwrites its own source"
        return ""


Actor = Footprint | Transfer


@dataclass
class Event:
    """Something that an operation does at once; `after` are the events that come before it in every legal order."""

    what: str
    actor: Actor | None
    after: list[int]
    reads: Bytes
    writes: Bytes


@dataclass
class Kernel:
    """The events of one kernel that others must know."""

    done: int
    last_read: int
    again: int
    blocks: int
    writes: list[tuple[range, int]]

    def finished(self, left: int) -> list[int]:
        """The event after which at most `left` of its blocks are unfinished."""
        block = self.blocks - 1 - left
        return [event for part, event in self.writes if block in part]


class Orders:
    """The legal orders of one stream. `meetings`, which events of two actors meet, may serve more than one stream."""

    def __init__(
        self,
        program: Program,
        actors: Sequence[Actor | None],
        space: Space,
        outputs: Bytes,
        meetings: dict[tuple[int, ...], bool] | None = None,
    ):
        self.program = program
        self.actors = [actor for actor in actors if actor is not None]
        self.space = space
        self.outputs = outputs
        self.meetings = {} if meetings is None else meetings
        self.events: list[Event] = []
        self.starts: list[int] = []
        self._build(actors)
        # As the bits of a number: all the events that come before one in every legal order.
        self.before: list[int] = []
        for event in self.events:
            mask = 0
            for other in event.after:
                mask |= self.before[other] | 1 << other
            self.before.append(mask)

    def _add(self, what: str, actor: Actor | None, after: Sequence[int], reads: Bytes, writes: Bytes) -> int:
        self.events.append(Event(what, actor, list(after), reads, writes))
        return len(self.events) - 1

    def _build(self, actors: Sequence[Actor | None]) -> None:
        depth = 2 if self.program.product.u65 else 1
        dmas: list[int] = []
        kernels: list[Kernel] = []
        issued: list[int] = []
        for op, actor in zip(self.program.ops, actors, strict=True):
            if isinstance(actor, Transfer):
                room = dmas[: max(len(dmas) - depth + 1, 0)]
                issued = [self._issue(actor, issued + room[-1:])]
                begin = self._add("begin", actor, issued, actor.source, actor.all_writes)
                dmas.append(self._add("end", actor, [begin, *dmas[-1:]], actor.source, actor.all_writes))
            elif isinstance(actor, Footprint):
                room = kernels[: max(len(kernels) - QUEUE_OF_KERNELS + 1, 0)]
                issued = [self._issue(actor, issued + [kernel.done for kernel in room[-1:]])]
                kernels.append(self._kernel(actor, issued[0], kernels[-1] if kernels else None))
            elif op.name.endswith("_WAIT"):
                done = dmas if op.name == "DMA_WAIT" else [kernel.done for kernel in kernels]
                ended = done[: max(len(done) - op.param, 0)]
                issued = [self._add("wait", None, issued + ended[-1:], NOTHING, NOTHING)]

    def _issue(self, actor: Actor, after: Sequence[int]) -> int:
        self.starts.append(len(self.events))
        return self._add("issue", actor, after, NOTHING, NOTHING)

    def _kernel(self, actor: Footprint, issue: int, previous: Kernel | None) -> Kernel:
        ahead = actor.op.state["BLOCKDEP"]

        def held(index: int) -> list[int]:
            """What job or block `index` waits for of the kernel before."""
            if previous is None:
                return []
            return previous.finished(max(ahead - index, 0)) if ahead else [previous.done]

        fetch = self._add(
            "fetch",
            actor,
            [issue] if ahead or previous is None else [issue, previous.done],
            actor.fetches,
            actor.clobbered,
        )
        reads: list[int] = []
        before = [issue, *([previous.last_read] if previous else [])]
        for index, part in enumerate(actor.job_parts):
            reads.append(self._add("read", actor, [*before, *held(index)], part, NOTHING))
            before = reads[-1:]
        again = self._add("fetch again", actor, [fetch, reads[-1]], actor.fetches, NOTHING)
        writes: list[tuple[range, int]] = []
        before = [issue, fetch, *([previous.last_read, previous.again] if previous else [])]
        for blocks, part in actor.block_parts:
            need = reads[min(blocks.stop * actor.jobs_of_block, len(reads)) - 1]
            last = [again] if blocks.stop == len(actor.blocks) else []
            event = self._add("write", actor, [*before, need, *held(blocks.start), *last], NOTHING, part)
            writes.append((blocks, event))
            before = [event]
        after = [*before, *([previous.done] if previous else [])]
        done = self._add("done", actor, after, NOTHING, actor.clobbered)
        return Kernel(done, reads[-1], again, len(actor.blocks), writes)

    def unordered(self) -> Iterator[tuple[int, int]]:
        """Pairs of events of two operations that meet in a byte, one writing, and that some order exchanges."""
        owners = [range(low, high) for low, high in pairwise([*self.starts, len(self.events)])]
        running: list[range] = []
        for new in owners:
            running = [old for old in running if not self.before[new.start] >> self._end(old) & 1]
            for old in running:
                yield from self._between(old, new)
            running.append(new)

    def _end(self, events: range) -> int:
        """An operation's last event; waits that follow it are nobody's."""
        actor = self.events[events.start].actor
        return max(n for n in events if self.events[n].actor is actor)

    def _between(self, old: range, new: range) -> Iterator[tuple[int, int]]:
        a, b = self.events[old.start].actor, self.events[new.start].actor
        assert a is not None
        assert b is not None
        key = id(a), id(b)
        if key not in self.meetings:
            self.meetings[key] = _meet(a.all_reads, a.all_writes, b.all_reads, b.all_writes)
        if not self.meetings[key]:
            return
        for first in old:
            for second in new:
                one, other = self.events[first], self.events[second]
                if one.actor is not a or other.actor is not b or self.before[second] >> first & 1:
                    continue
                key = id(a), id(b), first - old.start, second - new.start
                if key not in self.meetings:
                    self.meetings[key] = _meet(one.reads, one.writes, other.reads, other.writes)
                if self.meetings[key]:
                    yield first, second

    @cached_property
    def in_order(self) -> tuple[list[tuple[Actor, int]], NDArray[np.uint64]]:
        """Every operation alone, in the stream's order: what each kernel computes of what, and the tags at the end."""
        tags = self.space.tags.copy()
        digests: list[tuple[Actor, int]] = []
        for actor in self.actors:
            if isinstance(actor, Transfer):
                actor.copy(tags)
            else:
                digest = actor.digest(tags)
                digests.append((actor, int(digest)))
                tags[actor.ofm] = actor.results(digest)
                tags[actor.clobbered] = 0
        return digests, tags

    @cached_property
    def _expected(self) -> tuple[dict[int, NDArray[np.uint64]], dict[int, NDArray[np.uint64]]]:
        """The tags that each event then reads, and those that it writes."""
        tags = self.space.tags.copy()
        expected: dict[int, NDArray[np.uint64]] = {}
        results: dict[int, NDArray[np.uint64]] = {}
        for low, high in pairwise([*self.starts, len(self.events)]):
            actor = self.events[low].actor
            if isinstance(actor, Transfer):
                actor.copy(tags)
                continue
            assert actor is not None
            mine = [n for n in range(low, high) if self.events[n].actor is actor]
            expected.update({n: tags[self.events[n].reads] for n in mine})
            tags[actor.ofm] = actor.results(actor.digest(tags))
            results.update({n: tags[self.events[n].writes] for n in mine if self.events[n].what == "write"})
            tags[actor.clobbered] = 0
        return expected, results

    def exchanged(self, first: int, second: int) -> list[int]:
        """A legal order in which the later event of a pair comes first."""
        needed = self.before[second]
        early = [n for n in range(second + 1) if n < first or needed >> n & 1 or n == second]
        placed = set(early)
        return early + [n for n in range(len(self.events)) if n not in placed]

    def shuffled(self, rng: random.Random) -> list[int]:
        """A legal order by chance."""
        waiting = [len(set(event.after)) for event in self.events]
        followers: list[list[int]] = [[] for _ in self.events]
        for number, event in enumerate(self.events):
            for other in set(event.after):
                followers[other].append(number)
        ready = [n for n, count in enumerate(waiting) if not count]
        order: list[int] = []
        while ready:
            order.append(ready.pop(rng.randrange(len(ready))))
            for other in followers[order[-1]]:
                waiting[other] -= 1
                if not waiting[other]:
                    ready.append(other)
        return order

    def execute(self, order: Sequence[int], late: Sequence[int] = ()) -> str:
        """
        How an order comes out otherwise than the stream's own; "" if every read and every output is the same.

        A DMA copies when it begins, or, if its end is one of `late`, then.
        """
        expected, results = self._expected
        tags = self.space.tags.copy()
        for n in order:
            event = self.events[n]
            actor = event.actor
            if isinstance(actor, Transfer):
                if (event.what == "begin" and n + 1 not in late) or (event.what == "end" and n in late):
                    actor.copy(tags)
            elif actor is not None:
                if event.reads.size and not np.array_equal(tags[event.reads], expected[n]):
                    return f"{actor.op} reads other bytes"
                if event.writes.size:
                    tags[event.writes] = results.get(n, 0)
        if not np.array_equal(tags[self.outputs], self.in_order[1][self.outputs]):
            return "an output gets other bytes"
        return ""

    def harm(self, shuffles: int = 2) -> str:
        """
        How a legal order changes what is computed; "" if none does.

        Pairs that some order exchanges are tried in such an order. Beside them a few orders are drawn by chance: what
        they change without any such pair would be a mistake of this oracle, and counts all the same.
        """
        for actor in self.actors:
            if actor.self_conflict:
                return f"in {actor.op} {actor.self_conflict}"
        for first, second in self.unordered():
            shown = self.execute(self.exchanged(first, second), [first])
            if shown:
                one, other = self.events[first], self.events[second]
                assert one.actor is not None
                assert other.actor is not None
                return f"{shown} if a {other.what} of {other.actor.op} precedes a {one.what} of {one.actor.op}"
        rng = random.Random(0)
        for _ in range(shuffles):
            late = [n for n, event in enumerate(self.events) if event.what == "end" and rng.random() < 0.5]
            shown = self.execute(self.shuffled(rng), late)
            if shown:
                return f"{shown} in a random order"
        return ""


def _meet(reads: Bytes, writes: Bytes, later_reads: Bytes, later_writes: Bytes) -> bool:
    """Whether two accesses share a byte that one of them writes."""
    return _share(writes, later_reads) or _share(writes, later_writes) or _share(reads, later_writes)


def _share(a: Bytes, b: Bytes) -> bool:
    if not a.size or not b.size:
        return False
    low, high = int(max(a.min(), b.min())), int(min(a.max(), b.max()))
    if low > high:
        return False
    marks = np.zeros(high - low + 1, np.bool_)
    marks[a[(a >= low) & (a <= high)] - low] = True
    return bool(marks[b[(b >= low) & (b <= high)] - low].any())
