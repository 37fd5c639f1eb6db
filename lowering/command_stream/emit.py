"""
The parts of a compiled network as bytes: a driver payload for each NPU region and the read-only memory they share.

Every program is allocated: constants have addresses in the one read-only memory, the operands and results of regions
in the arena. A decoded program says the same by `npu_cmd.memory`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.dialects.constants import as_numpy
from npuc.dialects.npu import BufferType, Space, target_of
from npuc.dialects.npu_cmd import BufferOp, ConstantOp, InputOp, MemoryOp, OutputOp, ProgramOp
from npuc.hardware.accelerators import accelerator
from npuc.hardware.alignment import ALIGNMENT
from npuc.lowering.command_stream.encode import encode
from npuc.lowering.command_stream.machine_state import place
from npuc.lowering.command_stream.payload import wrap

ARENA_SIZE = "npu.arena_size"
"""Attribute of the module: bytes of the arena that its programs use."""
FAST_SIZE = "npu.fast_size"
"""The same of a fast memory beside a slow arena, absent where there is none."""


class Boundary(NamedTuple):
    """Arena offsets of the operands and of the results of one region, by index; None for what is external."""

    inputs: dict[int, int | None]
    outputs: dict[int, int]


class Parts(NamedTuple):
    """All that a driver needs to run the regions of a module."""

    payloads: dict[str, bytes]
    """Region -> driver payload."""
    read_only: bytes
    arena_size: int
    fast_size: int | None
    """None where there is no fast memory beside the arena."""
    boundaries: dict[str, Boundary]


def programs_of(module: ModuleOp) -> dict[str, ProgramOp]:
    """The programs of a module by name."""
    return {op.sym_name.data: op for op in module.ops if isinstance(op, ProgramOp)}


def emit(module: ModuleOp) -> Parts:
    """
    Encodes all programs of a module.

    Raises PassFailedException, in one line, where something is not allocated, does not fit its memory or cannot be
    encoded; VerifyException where the module names no machine.
    """
    programs = programs_of(module)
    acc = accelerator(target_of(module).accelerator.data)
    has_fast = FAST_SIZE in module.attributes or any(
        True for program in programs.values() for _ in buffers_in(program, "fast")
    )
    try:
        return Parts(
            {name: wrap(encode(program, acc), acc) for name, program in programs.items()},
            read_only_bytes(programs.values()),
            memory_size(module, ARENA_SIZE, "arena", programs.values()),
            memory_size(module, FAST_SIZE, "fast", programs.values()) if has_fast else None,
            {name: boundary(program) for name, program in programs.items()},
        )
    except ValueError as error:
        raise PassFailedException(str(error)) from error


def parts(module: ModuleOp) -> dict[str, bytes]:
    """
    Files for whoever loads a network by hand: `<region>.payload.bin` for each region, `read_only.bin`, and
    `memory.json` with the sizes of arena and fast memory and the arena offsets of operands and results, null for what
    is external.
    """
    emitted = emit(module)
    files = {f"{name}.payload.bin": payload for name, payload in emitted.payloads.items()}
    files["read_only.bin"] = emitted.read_only
    regions = {
        name: {"inputs": list(edge.inputs.values()), "outputs": list(edge.outputs.values())}
        for name, edge in emitted.boundaries.items()
    }
    memory = {"arena_size": emitted.arena_size, "fast_size": emitted.fast_size or 0, "regions": regions}
    import json

    files["memory.json"] = (json.dumps(memory, indent=2) + "\n").encode()
    return files


def read_only_bytes(programs: Iterable[ProgramOp]) -> bytes:
    """
    The read-only memory that the programs share: every constant at its address, gaps 0, a multiple of 16 long.

    Raises ValueError where a constant has no address, or two that differ have the same bytes.
    """
    pieces: list[tuple[int, bytes]] = []
    for program in programs:
        for op in program.body.block.ops:
            if isinstance(op, ConstantOp):
                pieces.append((place(op.result).address, as_numpy(op.value).tobytes()))
            elif isinstance(op, MemoryOp) and op.data is not None:
                pieces.append((0, as_numpy(op.data).tobytes()))
    memory = bytearray()
    for address, data in sorted(pieces, key=lambda piece: piece[0]):
        memory.extend(bytes(max(0, address - len(memory))))
        shared = bytes(memory[address : address + len(data)])
        if shared != data[: len(shared)]:
            raise ValueError(f"two constants that differ lie at byte {address} of the read-only memory")
        memory.extend(data[len(shared) :])
    return bytes(memory) + bytes(-len(memory) % ALIGNMENT)


def buffers_in(program: ProgramOp, space: Space) -> Iterator[tuple[SSAValue, BufferType]]:
    """The buffers of a program in one memory."""
    for op in program.body.block.ops:
        if isinstance(op, BufferOp) and op.buffer.space == space:
            yield op.result, op.buffer


def memory_size(module: ModuleOp, attribute: str, space: Space, programs: Iterable[ProgramOp]) -> int:
    """
    Bytes of a memory: what the module says, else the end of the last buffer there.

    Raises ValueError where a buffer has no address or ends behind what the module says.
    """
    end, name = 0, ""
    for program in programs:
        for buffer, type_ in buffers_in(program, space):
            stop = place(buffer).address + type_.size
            if stop > end:
                end, name = stop, program.sym_name.data
    said = module.attributes.get(attribute)
    if not isinstance(said, IntegerAttr):
        return end
    if end > said.value.data:
        raise ValueError(f"@{name} uses {end} bytes of the {space} memory, {attribute} says {said.value.data}")
    return said.value.data


def boundary(program: ProgramOp) -> Boundary:
    """Where the operands and results of a region lie; ValueError where one has no address."""
    edge = Boundary({}, {})
    for op in program.body.block.ops:
        if isinstance(op, InputOp | OutputOp):
            index = op.index.data[0]
            if isinstance(op, OutputOp):
                edge.outputs[index] = place(op.result).address
            else:
                edge.inputs[index] = None if op.buffer.space == "external" else place(op.result).address
    return edge
