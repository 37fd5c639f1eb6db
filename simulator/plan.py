"""
Whether the arena offsets of a file keep what is needed apart, on the side of the host.

A tensor is alive from the operator that makes it (inputs, and tensors that nothing makes, from the start) to the last
that reads it, outputs to the end; state is alive always. What a stream does to its own operands and results is its own
affair, and hazards and wrong results show it. Here it is asked that no stream changes a tensor that lives across it,
and that no operator of the host writes into bytes of another tensor that it reads or that is needed later. Operators
that only change the shape may write where they read.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from npuc.simulator.memory import Report
from npuc.simulator.tflite import CompiledModel, Operator, Tensor

_SHAPE_ONLY = ("22", "43", "70")
"""RESHAPE, SQUEEZE and EXPAND_DIMS."""


class Plan:
    """The tensors of a file that lie in the arena, and which of them each operator must leave alone."""

    def __init__(self, model: CompiledModel):
        # Tensors that stand for whole memories are no tensors here.
        memories = {index for operator in model.npu_operators for index in operator.inputs[1:4]}
        self.tensors = {
            t.index: t
            for t in model.tensors
            if t.offset is not None and t.data is None and t.bytes and t.dtype.kind != "V" and t.index not in memories
        }
        end = len(model.operators)
        first = dict.fromkeys(self.tensors, -1)
        last = {index: end if tensor.is_variable else -1 for index, tensor in self.tensors.items()}
        for operator in model.operators:
            first |= {index: operator.index for index in operator.outputs if index in first}
            last |= {index: operator.index for index in (*operator.inputs, *operator.outputs) if index in last}
        last |= {index: end for index in last if index in model.outputs or self.tensors[index].is_variable}
        self._across: list[list[Tensor]] = [[] for _ in model.operators]
        for index, tensor in self.tensors.items():
            for number in range(first[index] + 1, last[index]):
                self._across[number].append(tensor)

    def across(self, operator: Operator) -> list[Tensor]:
        """What is there before an operator and needed after it, but for the state that it reads and so may change."""
        return [t for t in self._across[operator.index] if not (t.is_variable and t.index in operator.inputs)]

    def collisions(self, operator: Operator) -> Iterator[Report]:
        """What an operator of the host writes into."""
        read = () if operator.kind in _SHAPE_ONLY else operator.inputs
        kept = {t.index: t for t in self.across(operator)}
        kept |= {index: self.tensors[index] for index in read if index in self.tensors}
        for index in operator.outputs:
            tensor = self.tensors.get(index)
            if tensor is None:
                continue
            for other in kept.values():
                if other is not tensor and _span(tensor)[0] < _span(other)[1] and _span(other)[0] < _span(tensor)[1]:
                    text = f"CPU operator {operator.index} writes tensor {tensor.name!r} into tensor {other.name!r}"
                    yield Report("plan", text, (), operator.index)
            kept[index] = tensor


def _span(tensor: Tensor) -> tuple[int, int]:
    assert tensor.offset is not None
    return tensor.offset, tensor.offset + tensor.bytes


def kept(tensors: list[Tensor], arena: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The bytes of tensors, to be compared later."""
    return [arena[slice(*_span(tensor))].copy() for tensor in tensors]


def changed(
    operator: Operator, tensors: list[Tensor], before: list[NDArray[np.uint8]], arena: NDArray[np.uint8]
) -> Iterator[Report]:
    """A report for each tensor whose bytes are no longer as they were before an operator of the NPU."""
    for tensor, bytes_ in zip(tensors, before, strict=True):
        if not np.array_equal(bytes_, arena[slice(*_span(tensor))]):
            text = f"operator {operator.index} on the NPU writes over tensor {tensor.name!r}, which is needed after it"
            yield Report("plan", text, (), operator.index)
