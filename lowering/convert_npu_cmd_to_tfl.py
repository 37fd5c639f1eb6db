"""
Linear programs become `ethos-u` operators: `npu_cmd` to `tfl`.

Assumes programs with addresses and waits, a target on the module, and host functions in `tfl` that reach the programs
through `npu.invoke`. Each invoke becomes the custom operator that TFLM's Ethos-U kernel runs: its inputs are the driver
payload, the read-only memory that all regions share, the arena twice (or arena and fast memory), then what the region
reads. The tensors that regions read and write get their arena offsets, so that no runtime moves them; all others are
planned by the runtime. A value that two regions touch must lie at one address in both.

The metadata says which version of npuc made the file and, where the module has `npu.pipeline`, by which passes.
docs/artefacts.md describes the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

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
    i64,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

import npuc
from npuc.dialects.constants import from_bytes
from npuc.dialects.locations import OperationError, source_name
from npuc.dialects.npu import InvokeOp
from npuc.dialects.npu_cmd import AllocOp, MemoryOp, OutputOp, ProgramOp
from npuc.dialects.quant import storage_tensor
from npuc.dialects.tfl import (
    TENSOR,
    TENSORS,
    ConstantOp,
    ConstBytesAttr,
    CustomOp,
    PseudoConstOp,
    PseudoTensorOp,
    tensor_infos,
)
from npuc.hardware.alignment import ALIGNMENT
from npuc.lowering.emit import Parts, emit, programs_of
from npuc.lowering.machine_state import place

CUSTOM_CODE = "ethos-u"
CUSTOM_OPTIONS = bytes((1, 4, 1))
"""A flexbuffer whose root is the 8-bit integer 1: the payload is for an Ethos-U."""
PIPELINE = "npu.pipeline"
"""Attribute of the module: the pipeline that made it, as text."""
OFFSET = "arena_offset"
UI8 = IntegerType(8, Signedness.UNSIGNED)


@dataclass(frozen=True)
class ConvertNpuCmdToTflPass(ModulePass):
    """Turn NPU programs into `ethos-u` operators of a TFLite graph."""

    name = "convert-npu-cmd-to-tfl"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        programs = programs_of(op)
        invokes = [invoke for invoke in op.walk() if isinstance(invoke, InvokeOp)]
        if not invokes and not programs:
            return
        found = emit(op)
        offsets = _host_offsets(invokes, found)
        if not any(isinstance(inner, MemoryOp) for program in programs.values() for inner in program.body.block.ops):
            # Programs that were decoded keep the plan of their file; where they were made here, another plan of the
            # host's tensors would not know what the regions use.
            _forget_offsets(op)
            for invoke in invokes:
                _check_survivors(invoke, offsets, programs)
        for value, offset in offsets.items():
            _set_offset(value, offset)
        memories: dict[Block, list[SSAValue]] = {}
        for invoke in invokes:
            block = invoke.parent
            assert block is not None
            if block not in memories:
                memories[block] = _memories(block, invoke, found)
            _to_custom(invoke, memories[block], found)
        for program in programs.values():
            Rewriter.erase_op(program)
        _note_versions(op)


def _host_offsets(invokes: list[InvokeOp], found: Parts) -> dict[SSAValue, int]:
    """Where the values that regions read and write lie in the arena."""
    offsets: dict[SSAValue, int] = {}
    first: dict[SSAValue, str] = {}
    for invoke in invokes:
        name = invoke.callee.string_value()
        if name not in found.boundaries:
            raise OperationError(invoke, f"it calls @{name}, which is no npu_cmd.program")
        edge = found.boundaries[name]
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
                    before = f"byte {offsets[value]} in @{first[value]}"
                    raise OperationError(invoke, f"{tensor} lies at {before}, but at {at} in @{name}")
                if at % ALIGNMENT:
                    raise OperationError(invoke, f"{tensor} lies at byte {at}, which is no multiple of {ALIGNMENT}")
                first.setdefault(value, name)
    return offsets


def _check_survivors(invoke: InvokeOp, offsets: dict[SSAValue, int], programs: dict[str, ProgramOp]) -> None:
    """Refuses a region that writes over a host tensor which is needed after it."""
    block = invoke.parent
    assert block is not None
    position = {op: index for index, op in enumerate(block.ops)}
    here = position[invoke]
    name = invoke.callee.string_value()
    written = [
        (place(op.result).address, op.buffer.size)
        for op in programs[name].body.block.ops
        if isinstance(op, AllocOp | OutputOp) and op.buffer.space == "arena"
    ]
    for value, start in offsets.items():
        owner = value.owner
        if owner is not block and not (isinstance(owner, Operation) and position.get(owner, here) < here):
            continue
        if all(position.get(use.operation, here) <= here for use in value.uses):
            continue
        type_ = storage_tensor(value.type)
        assert isinstance(type_, TensorType)
        size = type_.element_type.compile_time_size * prod(type_.get_shape())
        if any(start < at + length and at < start + size for at, length in written):
            raise OperationError(invoke, f"@{name} writes over {_tensor_name(value)}, which is needed after it")


def _tensor_name(value: SSAValue) -> str:
    location = value.location if isinstance(value, BlockArgument) else value.owner.location  # pyright: ignore
    return f"tensor '{source_name(location)}'"


def _memories(block: Block, before: Operation, found: Parts) -> list[SSAValue]:
    """Read-only memory, arena and fast memory as tensors of one subgraph."""

    def named(op: Operation, name: str) -> SSAValue:
        op.location = NameLoc(StringAttr(name), NoneAttr())
        Rewriter.insert_op(op, InsertPoint.before(before))
        return op.results[0]

    # A tensor without any byte would count as one that the runtime has to place.
    read_only = found.read_only or bytes(ALIGNMENT)
    values = [named(_bytes(read_only), "ethos_u_read_only")]
    sizes = {"ethos_u_scratch": found.arena_size, "ethos_u_scratch_fast": found.fast_size}
    for name, size in sizes.items():
        if size or name == "ethos_u_scratch":
            tensor = PseudoTensorOp(TensorType(UI8, [size]))
            tensor.attributes[TENSORS] = ArrayAttr([DictionaryAttr({OFFSET: IntegerAttr(0, i64)})])
            values.append(named(tensor, name))
    return values if len(values) == 3 else [*values, values[1]]


def _bytes(data: bytes) -> PseudoConstOp:
    return PseudoConstOp(from_bytes(TensorType(UI8, [len(data)]), data))


def _to_custom(invoke: InvokeOp, memories: list[SSAValue], found: Parts) -> None:
    payload = _bytes(found.payloads[invoke.callee.string_value()])
    payload.location = NameLoc(StringAttr("ethos_u_command_stream"), NoneAttr())
    inputs = [payload.output, *memories, *invoke.arguments]
    custom = CustomOp(CUSTOM_CODE, inputs, [value.type for value in invoke.res], CUSTOM_OPTIONS)
    custom.attributes |= invoke.attributes
    custom.location = invoke.location
    Rewriter.insert_op(payload, InsertPoint.before(invoke))
    Rewriter.replace_op(invoke, custom)


def _set_offset(value: SSAValue, offset: int) -> None:
    """Notes a tensor's place in the arena where the TFLite export looks for it."""
    entry = {OFFSET: IntegerAttr(offset, i64)}
    owner = value.owner
    if isinstance(owner, Operation):
        infos = [info.data if info is not None else {} for info in tensor_infos(owner)]
        index = owner.results.index(value)
        infos[index] = dict(infos[index]) | entry
        owner.attributes[TENSORS] = ArrayAttr([DictionaryAttr(dict(info)) for info in infos])
        return
    function = owner.parent_op()
    assert isinstance(function, FuncOp)
    assert isinstance(value, BlockArgument)
    arguments = _argument_attributes(function)
    info = arguments[value.index].get(TENSOR)
    arguments[value.index][TENSOR] = DictionaryAttr(
        (dict(info.data) if isinstance(info, DictionaryAttr) else {}) | entry
    )
    function.arg_attrs = ArrayAttr([DictionaryAttr(attributes) for attributes in arguments])


def _argument_attributes(function: FuncOp) -> list[dict[str, Attribute]]:
    if function.arg_attrs is None:
        return [{} for _ in function.body.block.args]
    return [dict(attributes.data) for attributes in function.arg_attrs]


def _forget_offsets(module: ModuleOp) -> None:
    """Drops the arena offsets that the source file gave its tensors."""

    def without(info: Attribute | None) -> DictionaryAttr:
        known = info.data if isinstance(info, DictionaryAttr) else {}
        return DictionaryAttr({key: value for key, value in known.items() if key != OFFSET})

    for op in module.walk():
        if TENSORS in op.attributes:
            infos = [without(info) for info in tensor_infos(op)]
            op.attributes[TENSORS] = ArrayAttr(infos)
        if isinstance(op, FuncOp) and op.arg_attrs is not None:
            arguments = _argument_attributes(op)
            for attributes in arguments:
                if TENSOR in attributes:
                    attributes[TENSOR] = without(attributes[TENSOR])
            op.arg_attrs = ArrayAttr([DictionaryAttr(attributes) for attributes in arguments])


def _note_versions(module: ModuleOp) -> None:
    """Writes into the file's metadata what made it."""
    notes = {"npuc_version": npuc.__version__}
    pipeline = module.attributes.get(PIPELINE)
    if isinstance(pipeline, StringAttr):
        notes["npuc_pipeline"] = pipeline.data
    metadata = module.attributes.get("tfl.metadata")
    entries: list[Attribute] = list(metadata.data) if isinstance(metadata, ArrayAttr) else []
    names = [entry.data.get("name") if isinstance(entry, DictionaryAttr) else None for entry in entries]
    for name, text in notes.items():
        entry = DictionaryAttr({"name": StringAttr(name), "data": ConstBytesAttr(text.encode())})
        if StringAttr(name) in names:
            entries[names.index(StringAttr(name))] = entry
        else:
            entries.append(entry)
    module.attributes["tfl.metadata"] = ArrayAttr(entries)
