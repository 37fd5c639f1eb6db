"""Runs a compiled TFLite file whole: its `ethos-u` operators on the simulated NPU, the others on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npuc.simulator.execute import Executor, Trace
from npuc.simulator.inputs import random_inputs
from npuc.simulator.litert import Host
from npuc.simulator.memory import ExecutionError, Memory, Region, Report
from npuc.simulator.plan import Plan, changed, kept
from npuc.simulator.stream import Op, Program, parse_payload
from npuc.simulator.tflite import (
    ETHOS_U_OPTIONS,
    LARGEST_TENSOR,
    CompiledModel,
    FileError,
    Operator,
    Tensor,
    initial_state,
    read_model,
)

Inputs = Mapping[Any, NDArray]
"""Values of the model's inputs, of the tensors' own types, by tensor name or position."""

_FIRST_IO_REGION = 3
_REGIONS = 8


@dataclass(frozen=True)
class RunResult:
    """
    What one run gave: output values by tensor name, or NAME:POSITION where several outputs have it; every broken rule,
    and the operations executed. `by_index` has the values by tensor as well.

    An output is absent that a CPU operator would have made which no runtime here can run.
    """

    outputs: dict[str, NDArray]
    reports: list[Report]
    ops: list[Op] = field(repr=False)
    by_index: dict[int, NDArray] = field(default_factory=dict[int, NDArray], repr=False)


def load(source: str | PathLike[str] | bytes) -> CompiledModel:
    """Reads a compiled TFLite file; raises FileError (or OSError for the path)."""
    return read_model(source if isinstance(source, bytes) else Path(source).read_bytes())


def _extent(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without its unit dimensions, which place no element elsewhere."""
    return tuple(extent for extent in shape if extent != 1)


def given_inputs(model: CompiledModel, inputs: Inputs, complete: bool = False) -> dict[int, NDArray]:
    """
    The values for a model's inputs by position; raises FileError for what the model cannot take.

    That is a name or position that is none of its inputs, an input given twice, another type or shape and, if
    `complete`, an input that is missing.
    """
    positions: dict[Any, list[int]] = {position: [position] for position in range(len(model.inputs))}
    for position, index in enumerate(model.inputs):
        positions.setdefault(model.tensors[index].name, []).append(position)
    known = ", ".join(f"{i} {model.tensors[index].name!r}" for i, index in enumerate(model.inputs))
    values: dict[int, NDArray] = {}
    for key, given in inputs.items():
        if key not in positions:
            raise FileError(f"{key!r} is no input of the model, which takes {known or 'none'}")
        if len(positions[key]) > 1:
            raise FileError(f"input {key!r} is the name of several: give them by position")
        position = positions[key][0]
        tensor = model.tensors[model.inputs[position]]
        value = np.asarray(given)
        if position in values:
            raise FileError(f"input {position} {tensor.name!r} is given by name and by position")
        # Strings, for which NumPy has no type, are objects.
        same = value.dtype == tensor.dtype or (tensor.dtype.kind == "V" and value.dtype.kind == "O")
        if not same or _extent(value.shape) != _extent(tensor.shape):
            raise FileError(
                f"input {tensor.name!r} takes {tensor.dtype.name} {tensor.shape}, not {value.dtype.name} {value.shape}"
            )
        values[position] = value
    if complete and len(values) < len(model.inputs):
        missing = next(i for i in range(len(model.inputs)) if i not in values)
        raise FileError(f"input {missing} {model.tensors[model.inputs[missing]].name!r} is missing, of {known}")
    return values


class Session:
    """
    A compiled file ready to run: its streams decoded, its CPU operators built.

    CPU operators that no runtime here can run are left out, with those of the CPU that read what they would make; in
    the place of their results the NPU reads zero points. `notes` says which those are, and which run in other than
    LiteRT's reference kernels.

    `executor` runs each stream; bench/witness_faults.py puts one in its place that reorders what may be reordered.
    """

    executor: type[Executor] = Executor

    def __init__(self, model: CompiledModel):
        self.model = model
        self.plan = Plan(model)
        self.programs: dict[int, Program] = {}
        self.state: dict[int, NDArray] = {}
        for tensor in model.tensors:
            if min(tensor.shape, default=0) < 0:
                raise FileError(f"tensor {tensor.index} {tensor.name!r} has no fixed shape: {tensor.shape}")
        for operator in model.operators:
            if operator.is_npu:
                self.programs[operator.index] = self._program(operator)
        on_cpu = [operator.index for operator in model.operators if not operator.is_npu]
        self.host = Host(model, on_cpu, what="a CPU operator") if on_cpu else None
        self.notes = self.host.notes() if self.host else []

    def _program(self, operator: Operator) -> Program:
        if operator.options != ETHOS_U_OPTIONS:
            raise FileError(f"operator {operator.index}: custom options {operator.options.hex()} are not the driver's")
        if len(operator.inputs) < 4 or min(*operator.inputs, *operator.outputs) < 0:
            raise FileError(f"operator {operator.index}: an ethos-u operator has at least four inputs")
        payload = self.model.tensors[operator.inputs[0]].data
        if payload is None:
            raise FileError(f"operator {operator.index}: its command stream has no data")
        return parse_payload(payload.tobytes())

    @property
    def keeps_state(self) -> bool:
        """Whether an inference can depend on the one before it."""
        remembers = self.host is not None and self.host.plan.remembers
        return remembers or any(tensor.is_variable for tensor in self.model.tensors)

    def run(
        self, inputs: Inputs | None = None, seed: int = 0, trace: Trace | None = None, invocation: int = 0
    ) -> RunResult:
        """
        One inference. Invocation 0 begins with fresh state, any other with what the one before has left.

        Raises ExecutionError where a stream cannot be executed.
        """
        if not invocation:
            self.state = initial_state(self.model)
            if self.host:
                self.host.restart()
        try:
            return _Run(self, inputs or {}, seed, trace, invocation).result()
        except MemoryError:
            raise ExecutionError("the run needs more memory than there is") from None


class _Run:
    """The memories of one inference."""

    def __init__(self, session: Session, inputs: Inputs, seed: int, trace: Trace | None, invocation: int):
        self.session = session
        self.model = session.model
        self.trace = trace
        self.reports: list[Report] = []
        self.ops: list[Op] = []
        self.values: dict[int, NDArray] = {}
        self.left_out: set[int] = set()
        self.constants: dict[int, Memory] = {}
        self.fast: dict[int, Memory] = {}
        self.external: dict[int, Memory] = {}
        self.arena = Memory("arena", self._arena_size())
        for index, value in session.state.items():
            self.store(self.model.tensors[index], value)
        given = given_inputs(self.model, inputs)
        drawn = random_inputs(self.model, seed, invocation)
        for position, index in enumerate(self.model.inputs):
            tensor = self.model.tensors[index]
            self.store(tensor, given.get(position, drawn[position]).reshape(tensor.shape))

    def _arena_size(self) -> int:
        size = 0
        for operator in self.model.npu_operators:
            size = max(size, self.model.tensors[operator.inputs[2]].bytes)
        for tensor in self.model.tensors:
            if tensor.offset is not None and tensor.data is None:
                size = max(size, tensor.offset + tensor.bytes)
        if size > LARGEST_TENSOR:
            raise FileError(f"the file plans an arena of {size} bytes")
        return size

    def in_arena(self, tensor: Tensor) -> bool:
        # Handles and what else NumPy has no type for pass from one CPU operator to the next as they are.
        return tensor.offset is not None and tensor.data is None and tensor.dtype.kind != "V"

    def outside_arena(self, tensor: Tensor) -> bool:
        """Whether the caller keeps an input wherever it likes: the file's plan has no place for it."""
        return tensor.index in self.model.inputs and tensor.offset is None and tensor.dtype.kind != "V"

    def _external(self, tensor: Tensor) -> Memory:
        """The memory of an input that lies outside of the arena."""
        if tensor.index not in self.external:
            memory = Memory(f"input {tensor.name!r}", tensor.bytes)
            memory.data[:] = np.ascontiguousarray(self.values[tensor.index]).view(np.uint8).reshape(-1)
            memory.written[:] = True
            self.values[tensor.index] = memory.data.view(tensor.dtype).reshape(tensor.shape)
            self.external[tensor.index] = memory
        return self.external[tensor.index]

    def store(self, tensor: Tensor, value: NDArray) -> None:
        if not self.in_arena(tensor):
            self.values[tensor.index] = value
            return
        assert tensor.offset is not None
        raw = np.ascontiguousarray(value).view(np.uint8).reshape(-1)
        if raw.size != tensor.bytes:
            raise FileError(f"tensor {tensor.name!r} takes {tensor.bytes} bytes, its operator gives {raw.size}")
        self.arena.data[tensor.offset : tensor.offset + raw.size] = raw
        self.arena.written[tensor.offset : tensor.offset + raw.size] = True

    def fetch(self, tensor: Tensor, reader: str, operator: int) -> NDArray:
        if not self.in_arena(tensor):
            if tensor.index not in self.values:
                raise FileError(f"{reader} reads tensor {tensor.name!r}, which nothing has written")
            return self.values[tensor.index]
        assert tensor.offset is not None
        end = tensor.offset + tensor.bytes
        if not self.arena.written[tensor.offset : end].all():
            text = f"{reader} reads tensor {tensor.name!r}, of which some bytes were never written"
            self.reports.append(Report("uninitialised", text, (), operator))
        return self.arena.data[tensor.offset : end].view(tensor.dtype).reshape(tensor.shape).copy()

    def result(self) -> RunResult:
        for operator in self.model.operators:
            if operator.is_npu:
                self._npu(operator)
            else:
                self._cpu(operator)
        outputs: dict[int, NDArray] = {}
        for index in self.model.outputs:
            tensor = self.model.tensors[index]
            if index in self.left_out:
                continue
            if index in self.model.inputs or tensor.data is None:
                outputs[index] = self.fetch(tensor, "the caller", len(self.model.operators))
            elif not tensor.is_sparse:
                outputs[index] = tensor.data.view(tensor.dtype).reshape(tensor.shape)
        for index in self.session.state:
            self.session.state[index] = self.fetch(self.model.tensors[index], "the next run", len(self.model.operators))
        names = [self.model.tensors[index].name for index in outputs]
        by_name = {
            name if names.count(name) == 1 else f"{name}:{self.model.outputs.index(index)}": value
            for name, (index, value) in zip(names, outputs.items(), strict=True)
        }
        return RunResult(by_name, self.reports, self.ops, outputs)

    def _cpu(self, operator: Operator) -> None:
        host = self.session.host
        assert host is not None
        number = host.piece_of.get(operator.index)
        if number is None:
            self.left_out.update(operator.outputs)
            for tensor in (self.model.tensors[i] for i in operator.outputs if i >= 0):
                if tensor.dtype.kind != "V":
                    self.store(tensor, np.full(tensor.shape, tensor.zero_point).astype(tensor.dtype))
            return
        name = f"CPU operator {operator.index}"
        feeds = {i: self.fetch(self.model.tensors[i], name, operator.index) for i in host.plan.pieces[number].feeds}
        self.reports += self.session.plan.collisions(operator)
        for index, value in host.run([number], feeds).items():
            self.store(self.model.tensors[index], value)

    def _npu(self, operator: Operator) -> None:
        program = self.session.programs[operator.index]
        regions = self._regions(operator, program)
        executor = self.session.executor(program.product, regions, operator.index, self.trace, self.reports)
        across = self.session.plan.across(operator)
        before = kept(across, self.arena.data)
        executor.run(program)
        self.reports += changed(operator, across, before, self.arena.data)
        self.ops += program.ops

    def _regions(self, operator: Operator, program: Program) -> dict[int, Region]:
        tensors = [self.model.tensors[i] for i in operator.inputs]
        regions: dict[int, Region] = {}
        constant = tensors[1]
        if constant.index not in self.constants:
            data = np.zeros(0, np.uint8) if constant.data is None else constant.data
            self.constants[constant.index] = Memory("read-only data", data.size, data)
        memory = self.constants[constant.index]
        regions[0] = Region(0, memory, 0, memory.size, read_only=True)
        regions[1] = Region(1, self.arena, tensors[2].offset or 0, tensors[2].bytes)
        scratch = tensors[3]
        if scratch.index == tensors[2].index:
            # Without a fast memory of its own, region 2 is the arena again.
            regions[2] = Region(2, self.arena, scratch.offset or 0, scratch.bytes)
        else:
            if scratch.index not in self.fast:
                self.fast[scratch.index] = Memory("fast memory", scratch.bytes)
            regions[2] = Region(2, self.fast[scratch.index], 0, scratch.bytes)
        outputs = [self.model.tensors[i] for i in operator.outputs]
        for index, tensor in enumerate([*tensors[4:], *outputs], _FIRST_IO_REGION):
            if index < _REGIONS and tensor.index in operator.inputs and self.outside_arena(tensor):
                memory = self._external(tensor)
                # What the second port of U55 reaches is only read.
                regions[index] = Region(index, memory, 0, memory.size, read_only=not program.product.u65)
                continue
            if tensor.offset is None or tensor.data is not None:
                raise FileError(
                    f"operator {operator.index}: tensor {tensor.name!r} has no place in the arena for the NPU to reach"
                )
            if index < _REGIONS:
                regions[index] = Region(index, self.arena, tensor.offset, tensor.bytes)
        return regions


def run(
    model: CompiledModel | str | PathLike[str] | bytes,
    inputs: Inputs | None = None,
    seed: int = 0,
    trace: Trace | None = None,
) -> RunResult:
    """
    One inference of a compiled file.

    `inputs` gives arrays of the tensors' own types by tensor name or position; those absent are drawn from `seed`.
    Raises FileError, StreamError or ExecutionError, each one line, for what cannot be run; broken rules of order,
    definedness and layout are in the result's reports.
    """
    loaded = model if isinstance(model, CompiledModel) else load(model)
    return Session(loaded).run(inputs, seed, trace)


def execute_payload(
    payload: bytes, regions: Mapping[int, NDArray[np.uint8]], read_only: Sequence[int] = (0,)
) -> list[Report]:
    """
    Executes a lone driver payload on regions given as byte arrays, which it changes; returns what it broke.

    Every byte of a region counts as written; arrays that cannot be written are read-only as well. Raises StreamError or
    ExecutionError.
    """
    program = parse_payload(payload)
    prepared: dict[int, Region] = {}
    for index, data in regions.items():
        if data.dtype != np.uint8 or data.ndim != 1 or not data.flags.c_contiguous:
            raise ValueError(f"region {index} is no contiguous array of bytes")
        memory = Memory(f"region {index}", data.size, data)
        prepared[index] = Region(index, memory, 0, data.size, index in read_only or not data.flags.writeable)
    executor = Executor(program.product, prepared)
    executor.run(program)
    return executor.reports


__all__ = ["CompiledModel", "ExecutionError", "Report", "RunResult", "Session", "execute_payload", "load", "run"]
