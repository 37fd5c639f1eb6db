"""
Linear programs become `ethos-u` operators: `npu_cmd` to `tfl`.

Assumes programs with addresses and waits, a target on the module, and host functions in `tfl` that reach the programs
through `npu.invoke`. Each invoke becomes the custom operator that TFLM's Ethos-U kernel runs: its inputs are the driver
payload, the read-only memory that all regions share, the arena twice (or arena and fast memory), then what the region
reads. The tensors that regions read and write get their arena offsets, so that no runtime moves them; other tensors of
the host have those that `npu-cmd-allocate` gave them. A value that two regions touch must lie at one address in both,
and nothing that is needed at one time may share bytes.

The metadata says which version of npuc made the file and, where the module has `npu.pipeline` and `npu.origin`, by
which passes and of what; and, unless `debug-info` is false, which operator of the source each command works for
(`npuc.lowering.debug_info`).
docs/artefacts.md describes the file.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from xdsl.context import Context
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    IntegerAttr,
    IntegerType,
    ModuleOp,
    NameLoc,
    NoneAttr,
    Signedness,
    StringAttr,
    TensorType,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.utils.exceptions import PassFailedException

import npuc
from npuc.analysis.host import host_times
from npuc.dialects.constants import from_bytes
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import LEAST_ATTR, InvokeOp
from npuc.dialects.npu_cmd import AllocOp, MemoryOp, OutputOp, ProgramOp
from npuc.dialects.tfl import (
    ConstantOp,
    ConstBytesAttr,
    CustomOp,
    PseudoConstOp,
    PseudoTensorOp,
    arena_offset,
    set_arena_offsets,
    tensor_name,
)
from npuc.hardware.alignment import ALIGNMENT
from npuc.lowering.command_stream.emit import ARENA_SIZE, Parts, emit, programs_of
from npuc.lowering.command_stream.machine_state import place
from npuc.lowering.debug_info import SOURCES, encode_sources, host_operators, most_bytes

CUSTOM_CODE = "ethos-u"
CUSTOM_OPTIONS = bytes((1, 4, 1))
"""A flexbuffer whose root is the 8-bit integer 1: the payload is for an Ethos-U."""
PIPELINE = "npu.pipeline"
"""Attribute of the module: the pipeline that made it, as text."""
ORIGIN = "npu.origin"
"""Attribute of the module: what else made it, as JSON (npuc.tools.origin)."""
UI8 = IntegerType(8, Signedness.UNSIGNED)


@dataclass(frozen=True)
class ConvertNpuCmdToTflPass(ModulePass):
    """Turn NPU programs into `ethos-u` operators of a TFLite graph."""

    name = "convert-npu-cmd-to-tfl"

    debug_info: bool = True
    """Whether the file says which operator of the source each command works for."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        programs = programs_of(op)
        invokes = [invoke for invoke in op.walk() if isinstance(invoke, InvokeOp)]
        if not invokes and not programs:
            return
        parts = emit(op)
        set_arena_offsets(_edge_offsets(invokes, parts))
        if not any(isinstance(inner, MemoryOp) for program in programs.values() for inner in program.body.block.ops):
            # What a decoded program writes where is not known; its file's plan stays as it is.
            parts = parts._replace(arena_size=_check_plan(op, parts.arena_size, programs))
        sources = b""
        if self.debug_info:
            order = [programs[invoke.callee.string_value()] for invoke in invokes]
            size = len(parts.read_only) + sum(map(len, parts.payloads.values()))
            least = op.attributes.get(LEAST_ATTR)
            known = least.value.data if isinstance(least, IntegerAttr) else 0
            sources = encode_sources(order, host_operators(op), most_bytes(size), known)
        memories: dict[Block, list[SSAValue]] = {}
        for invoke in invokes:
            block = invoke.parent
            assert block is not None
            if block not in memories:
                memories[block] = _memories(block, invoke, parts)
            _to_custom(invoke, memories[block], parts)
        for program in programs.values():
            Rewriter.erase_op(program)
        _note_origin(op, sources)


def _edge_offsets(invokes: list[InvokeOp], parts: Parts) -> Mapping[SSAValue, int | None]:
    """Where the values that regions read and write lie in the arena; None for what is external."""
    offsets: dict[SSAValue, int | None] = {}
    first: dict[SSAValue, str] = {}
    for invoke in invokes:
        name = invoke.callee.string_value()
        if name not in parts.boundaries:
            raise OperationError(invoke, f"it calls @{name}, which is no npu_cmd.program")
        edge = parts.boundaries[name]
        for what, values, places in (
            ("input", invoke.arguments, edge.inputs),
            ("output", invoke.res, edge.outputs),
        ):
            for index, value in enumerate(values):
                tensor = _tensor_name(value)
                if index not in places:
                    raise OperationError(invoke, f"@{name} has no npu_cmd.{what} {index} for {tensor}")
                if isinstance(value.owner, ConstantOp):
                    raise OperationError(
                        invoke, f"{what} {index} of @{name}, {tensor}, is a constant: it is not in the arena"
                    )
                at = places[index]
                if offsets.setdefault(value, at) != at:
                    before = _where(offsets[value])
                    raise OperationError(
                        invoke, f"{tensor} lies {before} in @{first[value]}, but {_where(at)} in @{name}"
                    )
                if at is not None and at % ALIGNMENT:
                    raise OperationError(invoke, f"{tensor} lies at byte {at}, which is no multiple of {ALIGNMENT}")
                first.setdefault(value, name)
    return offsets


def _where(offset: int | None) -> str:
    return "outside of the arena" if offset is None else f"at byte {offset}"


def _check_plan(module: ModuleOp, arena_size: int, programs: dict[str, ProgramOp]) -> int:
    """
    Bytes of the arena with the host's values in it.

    Refuses a plan in which what is needed at one time shares bytes, or that is larger than the module says.
    """
    host = host_times(module)
    placed = {v: (at, at + one.size) for v, one in host.values.items() if (at := arena_offset(v)) is not None}
    for value, (_, end) in placed.items():
        if end > arena_size and ARENA_SIZE in module.attributes:
            raise PassFailedException(f"{_tensor_name(value)} ends at byte {end}, {ARENA_SIZE} is {arena_size}")
        arena_size = max(arena_size, end)
    starts: dict[int, list[SSAValue]] = {}
    for value, (at, end) in placed.items():
        if at < end:
            starts.setdefault(host.values[value].start, []).append(value)
    invokes = {span.start: op for op, span in host.spans.items() if isinstance(op, InvokeOp)}
    alive = _Alive()
    for time in sorted({*starts, *invokes}):
        invoke = invokes.get(time)
        # What a region reads for the last time may lie where it writes: its program keeps the order.
        alive.drop(time if invoke is None else time + 1)
        if invoke is not None:
            name = invoke.callee.string_value()
            for start, end in _written(programs[name]):
                value = alive.meeting(start, end)
                if value is not None:
                    raise OperationError(invoke, f"@{name} writes over {_tensor_name(value)}, which is needed after it")
        for value in starts.get(time, []):
            other = alive.meeting(*placed[value])
            if other is not None:
                raise PassFailedException(
                    f"{_tensor_name(other)} and {_tensor_name(value)} are needed at one time and share bytes"
                )
            alive.add(value, *placed[value], host.values[value].end)
    return -(-arena_size // ALIGNMENT) * ALIGNMENT


def _written(program: ProgramOp) -> list[tuple[int, int]]:
    """Bytes of the arena that a program may write, from and to, in order and apart."""
    ranges: list[tuple[int, int]] = []
    buffers = (op for op in program.body.block.ops if isinstance(op, AllocOp | OutputOp) and op.buffer.space == "arena")
    for start, end in sorted((at := place(op.result).address, at + op.buffer.size) for op in buffers):
        if ranges and start <= ranges[-1][1]:
            ranges[-1] = ranges[-1][0], max(end, ranges[-1][1])
        else:
            ranges.append((start, end))
    return ranges


class _Alive:
    """Values of the host that are needed at one time, by where they lie; no two share bytes."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        """In order."""
        self._values: dict[int, tuple[SSAValue, int]] = {}
        """By where they start: each value, and where it ends."""
        self._needed: list[tuple[int, int]] = []
        """A heap of the times until which they are needed, and where they start."""

    def add(self, value: SSAValue, start: int, end: int, until: int) -> None:
        """One more, at bytes `start` to `end`, which meets none of the others."""
        insort(self._starts, start)
        self._values[start] = value, end
        heappush(self._needed, (until, start))

    def drop(self, time: int) -> None:
        """Forget what is needed only before a time."""
        while self._needed and self._needed[0][0] < time:
            _, start = heappop(self._needed)
            del self._values[start]
            del self._starts[bisect_left(self._starts, start)]

    def meeting(self, start: int, end: int) -> SSAValue | None:
        """One that shares bytes `start` to `end`, if there is any."""
        number = bisect_left(self._starts, end)
        if not number:
            return None
        value, stop = self._values[self._starts[number - 1]]
        return value if stop > start else None


def _tensor_name(value: SSAValue) -> str:
    return f"tensor '{tensor_name(value)}'"


def _memories(block: Block, before: Operation, parts: Parts) -> list[SSAValue]:
    """Read-only memory, arena and fast memory as tensors of one subgraph."""

    def named(op: Operation, name: str) -> SSAValue:
        op.location = NameLoc(StringAttr(name), NoneAttr())
        Rewriter.insert_op(op, InsertPoint.before(before))
        return op.results[0]

    # A tensor without any byte would count as one that the runtime has to place.
    read_only = parts.read_only or bytes(ALIGNMENT)
    values = [named(_bytes(read_only), "ethos_u_read_only"), named(_memory(parts.arena_size), "ethos_u_scratch")]
    if parts.fast_size is None:
        return [*values, values[1]]
    return [*values, named(_memory(parts.fast_size), "ethos_u_scratch_fast")]


def _memory(size: int) -> PseudoTensorOp:
    """A memory without contents that starts where the arena does."""
    tensor = PseudoTensorOp(TensorType(UI8, [size]))
    set_arena_offsets({tensor.output: 0})
    return tensor


def _bytes(data: bytes) -> PseudoConstOp:
    return PseudoConstOp(from_bytes(TensorType(UI8, [len(data)]), data))


def _to_custom(invoke: InvokeOp, memories: list[SSAValue], parts: Parts) -> None:
    payload = _bytes(parts.payloads[invoke.callee.string_value()])
    payload.location = NameLoc(StringAttr("ethos_u_command_stream"), NoneAttr())
    inputs = [payload.output, *memories, *invoke.arguments]
    custom = CustomOp(CUSTOM_CODE, inputs, [value.type for value in invoke.res], CUSTOM_OPTIONS)
    custom.attributes |= invoke.attributes
    custom.location = invoke.location
    Rewriter.insert_op(payload, InsertPoint.before(invoke))
    Rewriter.replace_op(invoke, custom)


def _note_origin(module: ModuleOp, sources: bytes) -> None:
    """Writes into the file's metadata what made it, and from what."""
    notes = {"npuc_version": npuc.__version__.encode()}
    for name, attribute in (("npuc_pipeline", PIPELINE), ("npuc_origin", ORIGIN)):
        text = module.attributes.get(attribute)
        if isinstance(text, StringAttr):
            notes[name] = text.data.encode()
    if sources:
        notes[SOURCES] = sources
    metadata = module.attributes.get("tfl.metadata")
    entries: list[Attribute] = list(metadata.data) if isinstance(metadata, ArrayAttr) else []
    names = [entry.data.get("name") if isinstance(entry, DictionaryAttr) else None for entry in entries]
    for name, data in notes.items():
        entry = DictionaryAttr({"name": StringAttr(name), "data": ConstBytesAttr(data)})
        if StringAttr(name) in names:
            entries[names.index(StringAttr(name))] = entry
        else:
            entries.append(entry)
    module.attributes["tfl.metadata"] = ArrayAttr(entries)
