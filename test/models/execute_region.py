"""Lower, encode and simulate one NPU region by itself, without a TFLite file around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xdsl.context import Context
from xdsl.dialects.builtin import Builtin, IntegerAttr, ModuleOp, TensorType
from xdsl.dialects.func import Func, FuncOp
from xdsl.ir import Attribute
from xdsl.parser import Parser
from xdsl.passes import PassPipeline

from npuc.analysis.machine import machine_of
from npuc.dialects.constants import as_numpy, numpy_dtype
from npuc.dialects.npu import EXTERNAL_REGIONS, NPU
from npuc.dialects.npu_cmd import NPU_CMD, ConstantOp, InputOp, OutputOp, ProgramOp
from npuc.dialects.npu_schedule import NPU_SCHEDULE
from npuc.lowering.command_stream.encode import encode
from npuc.lowering.command_stream.payload import wrap
from npuc.registry import all_passes
from npuc.simulator import Report, execute_payload

LOWERING = (
    "convert-npu-schedule-to-npu-cmd",
    "npu-cmd-allocate",
    "npu-cmd-assign-lut-slots",
    "npu-cmd-insert-waits",
    "npu-cmd-set-blockdep",
)
"""From the schedule to a program that can be encoded; only the last can be left out."""


@dataclass
class Execution:
    """What the simulated region returned, and every rule that its stream broke."""

    results: list[NDArray]
    reports: list[Report]
    module: ModuleOp


def context() -> Context:
    """A context with the dialects below tosa."""
    ctx = Context()
    for dialect in (Builtin, Func, NPU, NPU_SCHEDULE, NPU_CMD):
        ctx.load_dialect(dialect)
    return ctx


def parse(text: str) -> ModuleOp:
    """A verified module."""
    module = Parser(context(), text).parse_module()
    module.verify()
    return module


def region_of(module: ModuleOp) -> FuncOp:
    """The only function."""
    return next(op for op in module.ops if isinstance(op, FuncOp))


def apply(module: ModuleOp, passes: Sequence[str]) -> None:
    """Run passes by name; the module is verified after each."""
    known = all_passes()
    PassPipeline(tuple(known[name]()() for name in passes), lambda _, m, __: m.verify()).apply(context(), module)
    module.verify()


def execute(module: ModuleOp, arguments: Sequence[NDArray], passes: Sequence[str] = LOWERING) -> Execution:
    """Lower the only region of `module` by `passes` and run it; arguments in the order of the region's."""
    result_types = region_of(module).function_type.outputs.data
    apply(module, passes)
    return run(module, arguments, result_types)


def run(module: ModuleOp, arguments: Sequence[NDArray], result_types: Sequence[Attribute] | None = None) -> Execution:
    """Run the only program of `module`; by default its results have the types of the arguments."""
    machine = machine_of(module)
    program = next(op for op in module.ops if isinstance(op, ProgramOp))
    constants = np.zeros(_size(module, "read_only"), np.uint8)
    # What nobody has written is noise, so that reading it shows.
    noise = np.random.default_rng(0)
    arena, fast = (noise.integers(0, 256, _size(module, space), np.uint8) for space in ("arena", "fast"))
    places: dict[int, int] = {}
    regions: dict[int, NDArray[np.uint8]] = {0: constants, 1: arena, 2: fast}
    for op in program.body.block.ops:
        if isinstance(op, InputOp) and op.buffer.space == "external":
            index = op.index.data[0]
            regions[EXTERNAL_REGIONS[index]] = np.frombuffer(arguments[index].tobytes(), np.uint8)
        elif isinstance(op, ConstantOp | InputOp | OutputOp):
            assert op.address is not None
            at = op.address.data[0]
            if isinstance(op, ConstantOp):
                data = as_numpy(op.value)
                constants[at : at + data.size] = data
            elif isinstance(op, InputOp):
                data = np.frombuffer(arguments[op.index.data[0]].tobytes(), np.uint8)
                arena[at : at + data.size] = data
            else:
                places[op.index.data[0]] = at
    reports = execute_payload(wrap(encode(program, machine), machine), regions)
    results: list[NDArray] = []
    for index in sorted(places):
        if result_types is None:
            dtype, shape = arguments[index].dtype, arguments[index].shape
        else:
            type_ = result_types[index]
            assert isinstance(type_, TensorType)
            dtype, shape = numpy_dtype(type_.element_type), type_.get_shape()
        at = places[index]
        size = int(np.prod(shape)) * dtype.itemsize
        results.append(arena[at : at + size].view(dtype).reshape(shape).copy())
    return Execution(results, reports, module)


def _size(module: ModuleOp, space: str) -> int:
    size = module.attributes.get(f"npu.{space}_size", IntegerAttr(0, 64))
    assert isinstance(size, IntegerAttr)
    return size.value.data
