"""
The arena that TFLM needs for a TFLite file, by the rule of its planner (micro_allocation_info.cc,
greedy_memory_planner.cc), from the file alone, read with the classes that LiteRT ships:

- Every tensor of every subgraph counts that has bytes of its own: no constant, no variable without an offset.
- Its life is counted in operators: from the one that makes it (inputs of a subgraph from its start, what nothing makes
  from before all) to the last that reads it; outputs of a subgraph to its end. The subgraphs of IF, WHILE and CALL_ONCE
  run within their operator. What a subgraph that nothing runs holds, counts before all.
- Tensors with an offset in OfflineMemoryAllocation stay there. The others are placed largest first, each at the lowest
  gap among those that live at the same time. Sizes are rounded up to 16 bytes.

Without what kernels ask for themselves, which only the runtime knows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod

ALIGNMENT = 16
NEVER = -1
BY_SIZE = {
    1: ("UINT8", "INT8", "BOOL", "INT4"),
    2: ("INT16", "UINT16", "FLOAT16", "BFLOAT16"),
    4: ("INT32", "UINT32", "FLOAT32", "RESOURCE"),
    8: ("INT64", "UINT64", "FLOAT64", "COMPLEX64"),
    16: ("COMPLEX128",),
}
SIZES = {name: size for size, names in BY_SIZE.items() for name in names}
CALLS = {
    "IfOptionsT": ("thenSubgraphIndex", "elseSubgraphIndex"),
    "WhileOptionsT": ("condSubgraphIndex", "bodySubgraphIndex"),
    "CallOnceOptionsT": ("initSubgraphIndex",),
}


@dataclass
class Planned:
    """One tensor: its bytes, offset (None: the runtime's choice), and life in operators."""

    name: str
    bytes: int | None
    """None where the shape or the type has no fixed size."""
    offset: int | None
    is_constant: bool
    is_variable: bool
    first: int = NEVER
    last: int = NEVER

    @property
    def size(self) -> int:
        """Rounded up."""
        return -(-(self.bytes or 0) // ALIGNMENT) * ALIGNMENT

    @property
    def counts(self) -> bool:
        """Whether the planner places it."""
        return not self.is_constant and bool(self.bytes) and not (self.is_variable and self.offset is None)

    def meets(self, other: Planned) -> bool:
        """Whether both live at some time."""
        return self.first <= other.last and other.first <= self.last


def tensors_of(data: bytes) -> list[list[Planned]]:
    """The tensors of a file by subgraph, with their lives."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
    offsets: list[int] = []
    for entry in model.metadata or ():
        if entry.name == b"OfflineMemoryAllocation":
            raw = bytes(model.buffers[entry.buffer].data)
            offsets = list(struct.unpack(f"<{len(raw) // 4}i", raw))[3:]
    types = {number: name for name, number in vars(schema.TensorType).items() if not name.startswith("_")}
    found: list[list[Planned]] = []
    for subgraph in model.subgraphs:
        found.append([])
        for tensor in subgraph.tensors:
            shape = [int(n) for n in (tensor.shape if tensor.shape is not None else ())]
            element = SIZES.get(types[tensor.type])
            known = element is not None and min(shape, default=0) >= 0
            contents = model.buffers[tensor.buffer].data if tensor.buffer else None
            at = offsets[sum(map(len, found))] if offsets else -1
            size = (element or 0) * prod(shape) if known else None
            is_constant = contents is not None and len(contents) > 0
            name = (tensor.name or b"").decode()
            found[-1].append(Planned(name, size, None if at < 0 else at, is_constant, bool(tensor.isVariable)))
    now = 0

    def run(index: int) -> None:
        nonlocal now
        subgraph, tensors = model.subgraphs[index], found[index]

        def born(which: int) -> None:
            if tensors[which].first == NEVER:
                tensors[which].first = now

        for which in subgraph.inputs:
            born(which)
            tensors[which].last = now
        for operator in subgraph.operators if subgraph.operators is not None else ():
            now += 1
            for which in operator.outputs:
                born(which)
            for name in CALLS.get(type(operator.builtinOptions).__name__, ()):
                now += 1
                run(getattr(operator.builtinOptions, name))
            for which in (*operator.inputs, *operator.outputs):
                if which >= 0:
                    tensors[which].last = now
        for which in subgraph.outputs:
            born(which)
            tensors[which].last = now

    run(0)
    return found


def arena_of(data: bytes) -> int:
    """Bytes of the arena that the planner comes to."""
    planned = [tensor for tensors in tensors_of(data) for tensor in tensors if tensor.counts]
    fixed = [(tensor.offset, tensor) for tensor in planned if tensor.offset is not None]
    for tensor in sorted((one for one in planned if one.offset is None), key=lambda one: -one.size):
        at = 0
        for start, other in sorted(fixed, key=lambda place: place[0]):
            if other.meets(tensor):
                if start - at >= tensor.size:
                    break
                at = max(at, start + other.size)
        fixed.append((at, tensor))
    return max((start + tensor.size for start, tensor in fixed), default=0)


def check_plan(data: bytes, arena: int, fast: int) -> None:
    """
    Fails unless every tensor of a known size has a place, and the planner needs just `arena` bytes, or the `fast` ones
    of a fast memory, which TFLM lays at the start of the arena as well.
    """
    for tensors in tensors_of(data):
        for tensor in tensors:
            has_place = bool(tensor.bytes) and not tensor.is_constant and not tensor.is_variable
            assert (tensor.offset is not None) == has_place or tensor.bytes == 0, tensor
    assert arena_of(data) == max(arena, fast)
