"""
The words of command streams, annotated: byte offset, words, mnemonic, what it means, and the source of operations.

    @npu_0 for ethos-u55-128, 74 words
    0000  0001010f           NPU_SET_IFM_REGION         1
    0004  00004000 00002c60  NPU_SET_IFM_BASE0          11360
    ...
    0124  00000002           NPU_OP_CONV                // Conv1/Relu6
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from xdsl.dialects.builtin import ModuleOp

from npuc.dialects.constants import as_numpy
from npuc.dialects.locations import OperationError, describe, source_name
from npuc.dialects.npu import target_of
from npuc.dialects.npu_cmd import ProgramOp, WaitOp, commands
from npuc.dialects.tfl import constant_value
from npuc.hardware.accelerators import accelerator
from npuc.hardware.registers import Operation, Register, strides
from npuc.lowering.command_stream.decode import read_commands
from npuc.lowering.command_stream.encode import encode
from npuc.lowering.command_stream.machine_state import value_of
from npuc.lowering.command_stream.payload import unwrap
from npuc.lowering.convert_tfl_to_npu_cmd import is_ethos_u
from npuc.lowering.debug_info import decode_sources, entry_of, expanded


def asm(module: ModuleOp) -> str:
    """
    All streams of a module: those of programs as they are encoded, those in `ethos-u` operators as they stand.

    Raises PassFailedException, in one line, where a program cannot be encoded or a payload not be read.
    """
    streams: list[str] = []
    known = _known_sources(module)
    for op in module.walk():
        if isinstance(op, ProgramOp):
            acc = accelerator(target_of(op).accelerator.data)
            sources = [source_name(command.location) for command in commands(op) if not isinstance(command, WaitOp)]
            streams.append(_stream(f"@{op.sym_name.data}", acc.name, encode(op, acc), sources))
        elif is_ethos_u(op):
            payload = constant_value(op.inputs[0]) if op.inputs else None
            if payload is None:
                raise OperationError(op, "its command stream is no constant")
            try:
                acc, words = unwrap(as_numpy(payload).tobytes())
            except ValueError as error:
                raise OperationError(op, str(error)) from error
            streams.append(_stream(describe(op), acc.name, words, next(known, ())))
    return "\n".join(streams)


def _known_sources(module: ModuleOp) -> Iterator[Iterable[str]]:
    """For each `ethos-u` operator, what its commands other than waits make, as far as the file says it undamaged."""
    data = entry_of(module)
    if data is None:
        return
    try:
        programs = decode_sources(data).programs
    except ValueError:  # commands have no names then
        return
    for runs in programs:
        yield ("" if location is None else source_name(location) for location in expanded(runs))


def _stream(name: str, machine: str, words: Sequence[int], sources: Iterable[str]) -> str:
    lines = [f"{name} for {machine}, {len(words)} words", *annotate(words, sources)]
    return "\n".join(lines) + "\n"


def annotate(words: Sequence[int], sources: Iterable[str] = ()) -> Iterator[str]:
    """One line a command; `sources` names where the operations other than waits come from."""
    source = iter(sources)
    for position, target, operand in read_commands(words):
        count = 2 if isinstance(target, Register) and target.wide else 1
        text = " ".join(f"{word:08x}" for word in words[position : position + count])
        if isinstance(target, Register):
            meaning = _register(target, operand)
        else:
            meaning = dict(target.params).get(operand, str(operand))
            if name := "" if _is_wait(target) else next(source, ""):
                meaning = f"{meaning:<8}// {name}"
        yield f"{4 * position:04x}  {text:<17}  {target.mnemonic:<25}  {meaning}".rstrip()


def _is_wait(target: Operation) -> bool:
    return target.name.endswith("_WAIT")


def _register(register: Register, operand: int) -> str:
    match register.kind:
        case "fields":
            named = [(field.name, field.get(operand), dict(field.values)) for field in register.fields]
            fields = [
                f"{name}={values.get(value, value)}" for name, value, values in named if not name.startswith("stride_")
            ]
            if register.name == "KERNEL_STRIDE":
                fields.insert(0, "stride={}x{}".format(*strides(operand)))
            return " ".join(fields)
        case "scale":
            return f"{operand & 0xFFFF_FFFF} >> {operand >> 32}"
        case _:
            return str(value_of(register.name, operand))
