"""
The words of a command stream -> `npu_cmd.program`.

A stream knows memories, not buffers: every operand is a whole memory (`npu_cmd.memory`) and every offset absolute.
Encoding the program again makes the machine stand the same at every operation, in all registers that it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from xdsl.dialects.builtin import DenseIntOrFPElementsAttr
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.utils.exceptions import PassFailedException

from npuc.dialects.npu import Space
from npuc.dialects.npu_cmd import MemoryOp, ProgramOp, StopOp, WaitOp
from npuc.hardware import registers
from npuc.hardware.accelerators import Accelerator
from npuc.hardware.registers import Register
from npuc.lowering.command_stream.machine_state import State, build_dma, build_launch


class Command(NamedTuple):
    """One command of a stream: the word where it stands, and a register with its operand or an operation."""

    position: int
    target: Register | registers.Operation
    operand: int


class Memory(NamedTuple):
    """One memory that a stream addresses: size in bytes, and what it holds if that is known."""

    size: int
    data: DenseIntOrFPElementsAttr | None = None


def read_commands(words: Sequence[int]) -> Iterator[Command]:
    """The commands of a stream in order; PassFailedException that names the word which is none."""
    position = 0
    while position < len(words):
        word = words[position]
        opcode, wide = word & 0x3FF, bool(word & registers.WIDE_CONTROL)
        target = (registers.WIDE if wide else registers.NARROW).get(opcode)
        if target is None and not wide:
            target = registers.OPERATION_BY_OPCODE.get(opcode)
        if target is None or word & (registers.RESERVED_WORD_BITS | 1 << 15):
            raise PassFailedException(f"word {position} of the command stream, {word:#010x}, is no command")
        if wide and position + 1 == len(words):
            raise PassFailedException(f"the command stream is cut short in {target.mnemonic}, word {position}")
        yield Command(position, target, (word >> 16) << 32 | words[position + 1] if wide else word >> 16)
        position += 1 + wide


def decode(words: Sequence[int], acc: Accelerator, name: str, memories: Mapping[Space | int, Memory]) -> ProgramOp:
    """
    The program `@name` of a stream for one accelerator.

    `memories` says how large each memory is, external ones by the number of the operand. Raises PassFailedException,
    naming the word, for a stream that `npu_cmd` cannot express or that reads a register which no word has set.
    """
    block = Block()
    made: dict[Space | int, MemoryOp] = {}

    def memory(space: Space | int) -> SSAValue:
        if space not in made:
            if space not in memories:
                what = f"{space} memory" if isinstance(space, str) else f"operand {space}"
                raise ValueError(f"there is no {what}")
            size, data = memories[space]
            made[space] = op = (
                MemoryOp(size, space, data) if isinstance(space, str) else MemoryOp(size, "external", data, space)
            )
            op.result.name_hint = op.buffer.space
        return made[space].result

    state = State()
    ops: list[Operation] = []
    for position, target, operand in read_commands(words):
        if ops and isinstance(ops[-1], StopOp):
            raise PassFailedException(f"word {position} of the command stream comes after NPU_OP_STOP")
        if isinstance(target, Register):
            if problem := _problem(target, operand, acc):
                raise PassFailedException(f"{target.mnemonic} at word {position}: {problem}")
            state[target.name] = operand
            continue
        try:
            op = _operation(target, operand, state, acc, memory)
        except KeyError as error:
            raise PassFailedException(
                f"{target.mnemonic} at word {position} reads NPU_SET_{error.args[0]}, which no word sets"
            ) from error
        except ValueError as error:
            raise PassFailedException(f"{target.mnemonic} at word {position}: {error}") from error
        ops.append(op)
    if not ops or not isinstance(ops[-1], StopOp):
        raise PassFailedException("the command stream ends without NPU_OP_STOP")
    block.add_ops([*made.values(), *ops])
    return ProgramOp(name, Region(block))


def _problem(register: Register, operand: int, acc: Accelerator) -> str | None:
    """Why no word may set a register so; None if one may."""
    if register.u65_only and acc.product != "U65":
        return f"{acc.name} has no such register"
    if operand & ~register.bits:
        return f"{operand:#x} has bits that the register has not"
    for field in register.fields:
        if field.values and field.get(operand) not in dict(field.values):
            return f"{field.name} cannot be {field.get(operand)}"
    return None


def _operation(
    target: registers.Operation,
    param: int,
    state: State,
    acc: Accelerator,
    memory: Callable[[Space | int], SSAValue],
) -> Operation:
    if target.name not in _DECODED or (target.params and param not in dict(target.params)):
        raise ValueError(f"npu_cmd has no such operation, with param {param}")
    match target.name:
        case "STOP":
            return StopOp()
        case "DMA_WAIT":
            return WaitOp("dma", param)
        case "KERNEL_WAIT":
            return WaitOp("kernel", param)
        case "DMA_START":
            return build_dma(state, memory)
        case _:
            if acc.product == "U65" and state["PARALLEL_MODE"] != acc.cores - 1:
                raise ValueError(f"PARALLEL_MODE {state['PARALLEL_MODE']} is not that of all cores of {acc.name}")
            return build_launch(target.name, dict(target.params)[param], state, acc, memory)


_DECODED = registers.KERNEL_OPERATIONS | {"STOP", "DMA_START", "DMA_WAIT", "KERNEL_WAIT"}
