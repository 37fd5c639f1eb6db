"""
Compiled files become readable: each `ethos-u` operator of a `tfl` module becomes an `npu_cmd.program` and an invoke.

Takes files of any compiler. The stream is decoded, the operator's tensors give the sizes of the memories, the file's
offline plan the arena offsets of what the region reads and writes, and the payload the accelerator. A region speaks of
whole memories; the operands and results stand beside them, for their addresses alone. Read-only memory is printed
once, by the first program that reads it. Where the metadata says which operators of the source the commands work for,
that becomes their locations. `convert-npu-cmd-to-tfl` is the way back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TypeGuard

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, StringAttr, TensorType, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter
from xdsl.traits import SymbolOpInterface
from xdsl.utils.exceptions import PassFailedException

from npuc.dialects.constants import as_numpy
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import LEAST_ATTR, TARGET_ATTR, BufferType, IntsAttr, InvokeOp, Space, TargetAttr
from npuc.dialects.npu_cmd import InputOp, MemoryOp, OutputOp, ProgramOp
from npuc.dialects.quant import storage_tensor
from npuc.dialects.tfl import CustomOp, PseudoTensorOp, arena_offset, constant_value
from npuc.hardware.accelerators import Accelerator
from npuc.lowering.command_stream.decode import Memory, decode
from npuc.lowering.command_stream.emit import ARENA_SIZE, FAST_SIZE
from npuc.lowering.command_stream.payload import unwrap
from npuc.lowering.convert_npu_cmd_to_tfl import CUSTOM_CODE, CUSTOM_OPTIONS
from npuc.lowering.debug_info import SOURCES, decode_sources, host_operators, restore_sources, take_entry

DAMAGED_SOURCES = "npu.damaged_sources"
"""Attribute of a module whose commands have no names, because what the file says about them is damaged: why."""
SHRAM_BYTES = 48 * 1024
FIRST_TENSOR = 4
"""Operands of the operator before those that the region reads: payload, read-only memory, arena, fast memory."""


@dataclass(frozen=True)
class ConvertTflToNpuCmdPass(ModulePass):
    """Decode `ethos-u` operators into NPU programs."""

    name = "convert-tfl-to-npu-cmd"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        custom_ops = [inner for inner in op.walk() if is_ethos_u(inner)]
        names = _free_names(op)
        machine: Accelerator | None = None
        shown: set[SSAValue] = set()
        sizes: dict[Space, int] = {}
        programs: list[ProgramOp] = []
        for custom in custom_ops:
            acc, program = _decode(custom, next(names), shown, sizes)
            if machine is not None and acc is not machine:
                raise OperationError(custom, f"it is made for {acc.name}, others for {machine.name}")
            machine = acc
            _replace(custom, program)
            op.body.block.add_op(program)
            programs.append(program)
        _restore(op, programs)
        if machine is not None:
            op.attributes[TARGET_ATTR] = TargetAttr(machine.name)
            op.attributes[ARENA_SIZE] = IntegerAttr(sizes["arena"], i64)
            if "fast" in sizes:
                op.attributes[FAST_SIZE] = IntegerAttr(sizes["fast"], i64)


def _restore(module: ModuleOp, programs: list[ProgramOp]) -> None:
    """Turns what the metadata says of the source into locations; where it is damaged, nothing but names is lost."""
    data = take_entry(module)
    if data is None:
        return
    try:
        known = decode_sources(data)
        restore_sources(known, programs, host_operators(module))
        if known.least:
            module.attributes[LEAST_ATTR] = IntegerAttr(known.least, i64)
    except ValueError as error:
        module.attributes[DAMAGED_SOURCES] = StringAttr(f"metadata {SOURCES}: {error}")


def is_ethos_u(op: Operation) -> TypeGuard[CustomOp]:
    """Whether `op` is an operator that Arm's driver runs."""
    return isinstance(op, CustomOp) and op.custom_code.data == CUSTOM_CODE


def _free_names(module: ModuleOp) -> Iterator[str]:
    taken = {
        name.data
        for op in module.ops
        if (trait := op.get_trait(SymbolOpInterface)) is not None and (name := trait.get_sym_attr_name(op)) is not None
    }
    number = 0
    while True:
        if (name := f"npu_{number}") not in taken:
            yield name
        number += 1


def _decode(
    custom: CustomOp, name: str, shown: set[SSAValue], sizes: dict[Space, int]
) -> tuple[Accelerator, ProgramOp]:
    """The program of one operator; `shown` are the read-only tensors that a program holds already."""
    if custom.custom_option is None or custom.custom_option.data != CUSTOM_OPTIONS:
        raise OperationError(custom, "its options are not those of an Ethos-U payload")
    if len(custom.inputs) < FIRST_TENSOR:
        raise OperationError(custom, f"it has {len(custom.inputs)} inputs; the first {FIRST_TENSOR} are its memories")
    stream, read_only, arena, fast = custom.inputs[:FIRST_TENSOR]
    payload = constant_value(stream)
    if payload is None:
        raise OperationError(custom, "its command stream is no constant")
    data = constant_value(read_only)
    memories: dict[Space | int, Memory] = {
        "read_only": Memory(_bytes(read_only), None if read_only in shown else data),
        "arena": Memory(_bytes(arena)),
        "fast": Memory(_bytes(fast)),
        "shram": Memory(SHRAM_BYTES),
    }
    for index, value in enumerate(custom.inputs[FIRST_TENSOR:]):
        memories[index] = Memory(_bytes(value))
    try:
        acc, words = unwrap(as_numpy(payload).tobytes())
        program = decode(words, acc, name, memories)
    except (ValueError, PassFailedException) as error:
        raise OperationError(custom, str(error)) from error
    spaces = {op.buffer.space for op in program.body.block.ops if isinstance(op, MemoryOp)}
    if "read_only" in spaces:
        shown.add(read_only)
    sizes["arena"] = max(sizes.get("arena", 0), _bytes(arena))
    if "fast" in spaces or fast is not arena:
        sizes["fast"] = max(sizes.get("fast", 0), _bytes(fast))
    return acc, program


def _bytes(value: SSAValue) -> int:
    type_ = storage_tensor(value.type)
    if not isinstance(type_, TensorType) or min(type_.get_shape(), default=1) < 0:
        raise PassFailedException(f"an operand of an ethos-u operator is {type_}: its size is not known")
    return type_.element_type.compile_time_size * prod(type_.get_shape())


def _replace(custom: CustomOp, program: ProgramOp) -> None:
    """Puts an invoke in the operator's place, and what it reads and writes at the head of the program."""
    inputs = list(custom.inputs[FIRST_TENSOR:])
    edges: list[Operation] = []
    memories = [op for op in program.body.block.ops if isinstance(op, MemoryOp)]
    external = {op.index.data[0] for op in memories if op.index is not None}
    for kind, values in ((InputOp, inputs), (OutputOp, custom.outputs)):
        for index, value in enumerate(values):
            properties: dict[str, Attribute] = {"index": IntsAttr((index,))}
            offset = arena_offset(value)
            if offset is not None:
                properties["address"] = IntsAttr((offset,))
            space: Space = "external" if kind is InputOp and offset is None and index in external else "arena"
            edges.append(kind.create(result_types=[BufferType(_bytes(value), space)], properties=properties))
    first = program.body.block.first_op
    assert first is not None
    program.body.block.insert_ops_before(edges, first)
    program.location = custom.location
    invoke = InvokeOp(program.sym_name.data, inputs, [value.type for value in custom.outputs])
    invoke.attributes |= custom.attributes
    invoke.location = custom.location
    memories = custom.inputs[:FIRST_TENSOR]
    Rewriter.replace_op(custom, invoke)
    for owner in dict.fromkeys(value.owner for value in memories):
        if isinstance(owner, Operation) and not any(value.uses for value in owner.results):
            if isinstance(owner, PseudoTensorOp) or constant_value(owner.results[0]) is not None:
                Rewriter.erase_op(owner)
