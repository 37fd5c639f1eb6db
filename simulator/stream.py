"""
From driver payload to operations: each with the whole register state that it reads.

Nothing is guessed. A word that the map does not know, a reserved bit, a register of another product, an operation
that reads a register which no word has set, and anything after STOP is a StreamError whose one line names the word.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from npuc.hardware import registers
from npuc.simulator.products import PRODUCT_BY_CONFIG, Product


class StreamError(ValueError):
    """A payload or command stream that no NPU would run as meant: one line that names the word."""


@dataclass(frozen=True, slots=True)
class Op:
    """
    One operation of a command stream.

    `mode` names the param of POOL and ELEMENTWISE ("" elsewhere); `word` is the index of its word in the command
    stream, `index` that of the operation. `state` holds the raw operands (param above bit 32 for wide registers) of
    all the registers it reads, and of no other.
    """

    name: str
    mode: str
    param: int
    word: int
    index: int
    state: Mapping[str, int]

    @property
    def is_kernel(self) -> bool:
        return self.name in registers.KERNEL_OPERATIONS

    def get(self, register: str, field: str) -> int:
        return registers.field(register, field, self.state[register])

    def signed(self, register: str) -> int:
        """A 16-bit two's complement operand."""
        value = self.state[register]
        return value - 0x10000 if value & 0x8000 else value

    def __str__(self) -> str:
        mode = " " + self.mode if self.mode else f" {self.param}" if self.name.endswith("_WAIT") else ""
        return f"NPU_OP_{self.name}{mode} (operation {self.index}, word {self.word})"


@dataclass(frozen=True, slots=True)
class Program:
    """A decoded command stream; `words` is the stream itself."""

    product: Product
    ops: tuple[Op, ...]
    words: tuple[int, ...]


def _words(data: bytes, what: str) -> tuple[int, ...]:
    if len(data) % 4:
        raise StreamError(f"{what} word {len(data) // 4}: cut short, {len(data)} bytes are no multiple of 4")
    return struct.unpack(f"<{len(data) // 4}I", data)


def parse_payload(data: bytes) -> Program:
    """Reads a driver payload ("COP1") as the driver does, and the command stream in it."""
    words = _words(bytes(data), "payload")
    if not words or words[0] != registers.PAYLOAD_FOURCC:
        found = f"{words[0]:#010x}" if words else "nothing"
        raise StreamError(f"payload word 0: {found} is not 'COP1' ({registers.PAYLOAD_FOURCC:#010x})")
    product: Product | None = None
    position = 1
    while position < len(words):
        word = words[position]
        action = word & 0xFF
        if action == registers.ACTION_CONFIG:
            if position + 2 >= len(words):
                raise StreamError(f"payload word {position}: cut short in the config action")
            config, identity = words[position + 1 : position + 3]
            product = PRODUCT_BY_CONFIG.get(config)
            if product is None:
                raise StreamError(
                    f"payload word {position + 1}: config {config:#010x} is no Ethos-U55 or Ethos-U65 that is known"
                )
            if identity >> 28 != registers.ARCHITECTURE_MAJOR:
                raise StreamError(
                    f"payload word {position + 2}: architecture version {identity >> 28} is not "
                    f"{registers.ARCHITECTURE_MAJOR}"
                )
            position += 3
        elif action == registers.ACTION_NOP:
            position += 1
        elif action == registers.ACTION_COMMAND_STREAM:
            if product is None:
                raise StreamError(f"payload word {position}: command stream before any config action")
            length = word >> 16 | (word >> 8 & 0xFF) << 16
            position += 1
            if position % 4:
                raise StreamError(f"payload word {position}: the command stream is not 16-byte aligned")
            if position + length > len(words):
                raise StreamError(
                    f"payload word {position - 1}: command stream of {length} words cut short at "
                    f"{len(words) - position}"
                )
            if position + length < len(words):
                raise StreamError(f"payload word {position + length}: words after the command stream")
            return parse_words(words[position:], product)
        else:
            raise StreamError(f"payload word {position}: {word:#010x} is no action that the driver takes")
    raise StreamError(f"payload word {len(words)}: cut short, there is no command stream")


class _Machine:
    """The registers as they stand, and the operations met so far."""

    def __init__(self, words: Sequence[int], product: Product):
        self.words = words
        self.product = product
        self.state: dict[str, int] = {}
        self.checked: set[tuple[str, int]] = set()
        self.groups: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.ops: list[Op] = []

    def fail(self, position: int, reason: str) -> StreamError:
        return StreamError(f"word {position} ({self.words[position]:#010x}): {reason}")

    def set(self, position: int, register: registers.Register, operand: int) -> None:
        key = register.name, operand
        if key not in self.checked:
            self.check(position, register, operand)
            self.checked.add(key)
        self.state[register.name] = operand

    def check(self, position: int, register: registers.Register, operand: int) -> None:
        if register.u65_only and not self.product.u65:
            raise self.fail(position, f"{register.mnemonic} is no register of {self.product.name}")
        if operand & ~register.bits:
            raise self.fail(position, f"{register.mnemonic} has reserved bits set")
        for field in register.fields:
            if field.values and field.get(operand) not in dict(field.values):
                raise self.fail(position, f"{register.mnemonic} has undefined {field.name} {field.get(operand)}")

    def operate(self, position: int, operation: registers.Operation, param: int) -> None:
        modes = dict(operation.params)
        is_stop = operation.name == "STOP"
        if param & ~operation.param_bits or (modes and param not in modes):
            raise self.fail(position, f"{operation.mnemonic} has undefined param {param}")
        if is_stop and param != registers.STOP_PARAM:
            raise self.fail(position, f"{operation.mnemonic} has param {param:#x}, not {registers.STOP_PARAM:#x}")
        mode = modes.get(param, "")
        try:
            groups = registers.groups_read(operation.name, mode, self.state, self.product.cores)
            extra = registers.extra_registers_read(operation.name, mode, self.state) if groups else ()
            key = (*groups, *extra)
            names = self.groups.get(key)
            if names is None:
                names = tuple(name for group in groups for name in registers.GROUPS[group]) + extra
                if operation.name in registers.KERNEL_OPERATIONS and self.product.u65:
                    names += registers.GROUPS["PARALLEL"]
                self.groups[key] = names
            state = {name: self.state[name] for name in names}
        except KeyError as error:
            raise self.fail(
                position, f"{operation.mnemonic} {mode} reads NPU_SET_{error.args[0]}, which no word sets"
            ) from None
        self.ops.append(Op(operation.name, mode, param, position, len(self.ops), MappingProxyType(state)))


def parse_words(words: Sequence[int], product: Product) -> Program:
    """Decodes a command stream for one product; raises StreamError naming the word that it cannot take."""
    if 4 * len(words) > registers.MAX_STREAM_BYTES:
        raise StreamError(f"command stream of {len(words)} words is longer than 16 MiB")
    machine = _Machine(words, product)
    position, count = 0, len(words)
    while position < count:
        word = words[position]
        if word & registers.RESERVED_WORD_BITS or word & 1 << 15:
            raise machine.fail(position, "reserved bits of the command are set")
        opcode = word & 0x3FF
        if word & registers.WIDE_CONTROL:
            register = registers.WIDE.get(opcode)
            if register is None:
                raise machine.fail(position, f"unknown two-word command {opcode:#05x}")
            if position + 1 >= count:
                raise machine.fail(position, f"{register.mnemonic} cut short")
            machine.set(position, register, (word >> 16) << 32 | words[position + 1])
            position += 2
            continue
        register = registers.NARROW.get(opcode)
        if register is not None:
            machine.set(position, register, word >> 16)
        else:
            operation = registers.OPERATION_BY_OPCODE.get(opcode)
            if operation is None:
                raise machine.fail(position, f"unknown command {opcode:#05x}")
            machine.operate(position, operation, word >> 16)
            if operation.name == "STOP":
                if position + 1 < count:
                    raise machine.fail(position + 1, "words after NPU_OP_STOP")
                return Program(product, tuple(machine.ops), tuple(words))
        position += 1
    raise StreamError(f"word {count}: cut short, there is no NPU_OP_STOP")
