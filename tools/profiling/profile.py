"""
The timelines of a compiled file: what all views of it start from.

The file may be ours or vela's: its streams are decoded and run through one model (npuc.analysis.timeline), so that two
compilers are compared by the same costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import IntegerAttr, ModuleOp, StringAttr
from xdsl.utils.exceptions import DiagnosticException

from npuc.analysis.timeline import Timeline, timeline
from npuc.dialects.locations import Source, sources
from npuc.dialects.npu import LEAST_ATTR, InvokeOp, Space, target_of
from npuc.dialects.npu_cmd import InputOp, ProgramOp
from npuc.dialects.tfl import CPU_REASON, is_operator, tensor_name
from npuc.hardware.accelerators import Accelerator, accelerator
from npuc.hardware.memory import MemorySetup, memory_setup
from npuc.hardware.parameters import DEFAULT, CostParameters
from npuc.lowering.command_stream.emit import ARENA_SIZE, FAST_SIZE
from npuc.tools.errors import UserError, format_error
from npuc.tools.ir import decode_streams, load_module, make_context


@dataclass(frozen=True)
class HostOperator:
    """An operator that stays on the CPU."""

    source: Source
    reason: str
    """Empty where the file does not say it."""


@dataclass(frozen=True)
class Profile:
    """The timelines of the programs of one file, by name, in the order in which they stand."""

    machine: Accelerator
    setup: MemorySetup
    timelines: dict[str, Timeline]
    arena: int
    """Bytes of the arena that a runtime must have: what regions use, and all values of the host."""
    fast: int | None
    """Bytes of the fast memory beside it; None where the file has none."""
    host: list[HostOperator] = field(default_factory=list[HostOperator])
    least: int | None = None
    """Bytes of SRAM in which the best cascades could run; None where the file does not say it."""
    inputs: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict[str, list[tuple[int, int, str]]])
    """Of each program the tensors in the arena that the host gives it: first and last byte plus one, and name."""

    @property
    def cycles(self) -> int:
        """All programs, one after the other."""
        return sum(one.cycles for one in self.timelines.values())

    @property
    def milliseconds(self) -> float:
        """The same at the clock of the system."""
        return self.cycles / self.setup.core_clock * 1000

    @property
    def scarce(self) -> Space:
        """The memory that is SRAM: the arena, or the fast memory beside one in slow memory."""
        return "fast" if self.setup.spilling else "arena"

    @property
    def sram(self) -> int:
        """Bytes of the memory that is SRAM."""
        return (self.fast or 0) if self.setup.spilling else self.arena

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all launches."""
        return sum(event.cost.macs for one in self.timelines.values() for event in one.events if event.cost is not None)

    @property
    def utilisation(self) -> float:
        """Share of what the MAC array could have done in the time."""
        return self.macs / max(1, self.cycles * self.machine.total_macs)

    def traffic(self) -> dict[str, tuple[int, int]]:
        """Bytes read and written, by area."""
        total: dict[str, tuple[int, int]] = {}
        for one in self.timelines.values():
            for area, (read, written) in one.traffic().items():
                before = total.get(area, (0, 0))
                total[area] = before[0] + read, before[1] + written
        return total


def profile(
    data: bytes,
    *,
    name: str = "model.tflite",
    config: Sequence[str] = (),
    system_config: str | None = None,
    memory_mode: str | None = None,
    parameters: CostParameters = DEFAULT,
) -> Profile:
    """Profile the bytes of a compiled file, or a text of `npu_cmd`; raises UserError."""
    return profile_module(load(data, name), name, config, system_config, memory_mode, parameters)


def load(data: bytes, name: str) -> ModuleOp:
    """The module of a compiled file, decoded, or of a text; raises UserError."""
    ctx = make_context()
    module = load_module(ctx, data, name)
    decode_streams(ctx, module, name)
    return module


def profile_module(
    module: ModuleOp,
    name: str,
    config: Sequence[str],
    system_config: str | None,
    memory_mode: str | None,
    parameters: CostParameters = DEFAULT,
) -> Profile:
    """Profile a module of programs with addresses."""
    programs = [op for op in module.ops if isinstance(op, ProgramOp)]
    if not programs:
        raise UserError(f"{name}: nothing to profile: the file has no ethos-u operator")
    try:
        target = target_of(programs[0])
        machine = accelerator(target.accelerator.data)
        setup = memory_setup(
            machine,
            tuple(config),
            system_config or target.system.data or None,
            memory_mode or target.memory.data or None,
        ).with_parameters(parameters)
    except ValueError as error:
        raise UserError(str(error)) from None
    except DiagnosticException as error:
        raise UserError(format_error(error, name)) from None
    return profile_of(module, machine, setup, name)


def profile_of(module: ModuleOp, machine: Accelerator, setup: MemorySetup, name: str) -> Profile:
    """The same, for a machine and memories that are known."""
    programs = [op for op in module.ops if isinstance(op, ProgramOp)]
    try:
        timelines = {p.sym_name.data: timeline(p, machine, setup) for p in programs}
    except ValueError as error:  # a kernel that the machine cannot do
        raise UserError(f"{name}: {error}") from None
    except DiagnosticException as error:
        raise UserError(format_error(error, name)) from None
    sizes = [module.attributes.get(name) for name in (ARENA_SIZE, FAST_SIZE, LEAST_ATTR)]
    arena, fast, least = (size.value.data if isinstance(size, IntegerAttr) else None for size in sizes)
    return Profile(machine, setup, timelines, arena or 0, fast, host_operators(module), least, region_inputs(module))


def region_inputs(module: ModuleOp) -> dict[str, list[tuple[int, int, str]]]:
    """Where the programs of a module find in the arena what the host gives them, by program."""
    invokes = {op.callee.string_value(): op for op in module.walk() if isinstance(op, InvokeOp)}
    inputs: dict[str, list[tuple[int, int, str]]] = {}
    for program in module.ops:
        invoke = invokes.get(program.sym_name.data) if isinstance(program, ProgramOp) else None
        if invoke is None or not isinstance(program, ProgramOp):
            continue
        places = inputs[program.sym_name.data] = []
        for op in program.body.block.ops:
            if isinstance(op, InputOp) and op.address is not None and op.buffer.space == "arena":
                index, at = op.index.data[0], op.address.data[0]
                if index < len(invoke.arguments):
                    places.append((at, at + op.buffer.size, tensor_name(invoke.arguments[index])))
    return inputs


def host_operators(module: ModuleOp) -> list[HostOperator]:
    """The operators of a module that stay on the CPU, as far as they are known to come from a source."""
    host: list[HostOperator] = []
    for op in module.walk():
        known = sources(op.location) if is_operator(op) else ()
        if known:
            reason = op.attributes.get(CPU_REASON)
            host.append(HostOperator(known[0], reason.data if isinstance(reason, StringAttr) else ""))
    return host
