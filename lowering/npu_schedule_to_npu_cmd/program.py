"""
The program under construction: commands in order, constants shared, and a `free` after the last use of each buffer.
"""

from __future__ import annotations

from collections.abc import Iterable

from xdsl.dialects.builtin import IntegerType, Signedness, TensorType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from npuc.dialects.constants import from_bytes
from npuc.dialects.npu import BufferType, IntsAttr, Space
from npuc.dialects.npu_cmd import AllocOp, ConstantOp, FreeOp, InputOp, OutputOp, ProgramOp, StopOp


def raw(data: bytes) -> ConstantOp:
    """A constant of raw bytes."""
    type_ = TensorType(IntegerType(8, Signedness.UNSIGNED), [len(data)])
    return ConstantOp(from_bytes(type_, data), len(data))


class ProgramBuilder:
    """Collects the operations of one `npu_cmd.program`."""

    def __init__(self) -> None:
        self._head: list[Operation] = []
        self._body: list[Operation] = []
        self._constants: dict[bytes, SSAValue] = {}
        self._last_use: dict[SSAValue, int] = {}

    def input(self, index: int, size: int, space: Space) -> SSAValue:
        """The buffer of the region's operand `index`."""
        return self._boundary(InputOp, index, size, space)

    def output(self, index: int, size: int) -> SSAValue:
        """The buffer of the region's result `index`."""
        return self._boundary(OutputOp, index, size, "arena")

    def _boundary(self, kind: type[InputOp | OutputOp], index: int, size: int, space: Space) -> SSAValue:
        op = kind.create(result_types=[BufferType(size, space)], properties={"index": IntsAttr((index,))})
        self._head.append(op)
        return op.results[0]

    def constant(self, data: bytes) -> SSAValue:
        """Read-only bytes, padded to 16; equal bytes are one constant."""
        data += bytes(-len(data) % 16)
        if data not in self._constants:
            op = raw(data)
            self._head.append(op)
            self._constants[data] = op.result
        return self._constants[data]

    def alloc(self, size: int, space: Space) -> SSAValue:
        """A buffer that lives from here to its last use."""
        op = AllocOp(size, space)
        self._body.append(op)
        self._last_use[op.result] = len(self._body) - 1
        return op.result

    def emit(self, op: Operation, location: Operation | None = None) -> None:
        """Append a command; it keeps the location of the operation that it comes from."""
        if location is not None:
            op.location = location.location
        for value in op.operands:
            if value in self._last_use:
                self._last_use[value] = len(self._body)
        self._body.append(op)

    def keep(self, values: Iterable[SSAValue]) -> None:
        """Buffers that live on until after what was emitted last."""
        for value in values:
            if value in self._last_use:
                self._last_use[value] = len(self._body) - 1

    def finish(self, name: str, attributes: dict[str, Attribute]) -> ProgramOp:
        """The program, with every buffer freed after its last use."""
        frees: dict[int, list[SSAValue]] = {}
        for value, index in self._last_use.items():
            frees.setdefault(index, []).append(value)
        ops: list[Operation] = [*self._head]
        for index, op in enumerate(self._body):
            ops.append(op)
            ops += [FreeOp(value) for value in frees.get(index, ())]
        ops.append(StopOp())
        return ProgramOp(name, Region(Block(ops)), attributes)
