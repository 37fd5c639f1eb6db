"""
What is said about a compiled model: a few lines for people, or the same as data.

`observe` fills it in from the module as it is just before it becomes a file again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, IntegerAttr, ModuleOp, StringAttr
from xdsl.ir import Operation, SSAValue

from npuc.analysis.machine import setup_of
from npuc.operators.support.rules import BORDER, FLOATS
from npuc.tools.errors import UserError, describe_location

if TYPE_CHECKING:
    from npuc.tools.profiling.profile import Profile


@dataclass
class Summary:
    """
    What was compiled; sizes in bytes. The arena is what a runtime must have: what regions use, and all values of the
    host that have a known size. What kernels of the runtime ask for themselves comes on top. Nothing is
    planned, and the arena is 0, where no operator is on the NPU.
    """

    accelerator: str
    system_config: str = ""
    memory_mode: str = ""
    cycles: int = 0
    """Of all regions, by the clock of npuc.hardware; 0 where that was not asked for. So are all that follow."""
    milliseconds: float = 0.0
    macs: int = 0
    utilisation: float = 0.0
    """Share of what the MAC array could have done in the time."""
    least_cycles: int = 0
    """What no schedule of the same kernels falls short of."""
    least_by: str = ""
    """The part of the machine that is so busy."""
    at_peak: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Name and bytes of the three largest values that lie in SRAM where most of it is needed."""
    file: int = 0
    """The whole file, which lies in flash."""
    arena: int = 0
    arena_lower_bound: int = 0
    least_sram: int | None = None
    """Bytes of the scarce memory in which the best cascades could run; None where the schedule did not ask."""
    scarce_limit: int | None = None
    """What the schedule was to keep to: the largest `npu.sram_limit` of its regions."""
    fast: int | None = None
    """None where there is no fast memory beside the arena."""
    read_only: int = 0
    external: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes of the inputs that lie outside of the arena, by name, where that was asked for."""
    internal: dict[str, str] = field(default_factory=dict[str, str])
    """Why others do not."""
    source_weights: int = 0
    """Of the filters of operators on the NPU, as the model that came has them."""
    encoded_weights: int = 0
    """Of the weight and scale streams that they become."""
    npu_operators: int = 0
    folded_operators: int = 0
    """Those of the source that are neither on the NPU nor on the CPU: folded into constants, or without effect."""
    cpu_operators: dict[str, int] = field(default_factory=dict[str, int])
    cpu_reasons: list[str] = field(default_factory=list[str])

    @property
    def scarce(self) -> int:
        """Bytes of the memory that limits are for: the fast memory, or the arena where there is none."""
        return self.arena if self.fast is None else self.fast

    @property
    def missed(self) -> int:
        """Bytes of it that are more than the limit."""
        return 0 if self.scarce_limit is None else max(0, self.scarce - self.scarce_limit)

    def text(self) -> str:
        """A few lines for people."""
        least = f"; the best cascades {self.least_sram / 1024:.1f}" if self.least_sram else ""
        here, there = (least, "") if self.fast is None else ("", f" ({least[2:]})" if least else "")
        arena = f"{self.arena / 1024:.1f} KiB (these live ranges need {self.arena_lower_bound / 1024:.1f}{here})"
        lines = [
            f"accelerator   {self.accelerator}, {self.system_config}, {self.memory_mode}",
            f"arena         {arena if self.npu_operators else 'as the runtime plans it, nothing is on the NPU'}",
        ]
        if self.cycles:
            lines.insert(1, f"cycles        {self.cycles:,} ({self.milliseconds:.3f} ms), {self._bound()}")
        if self.at_peak:
            values = ", ".join(f"{name} {size / 1024:.1f}" for name, size in self.at_peak)
            lines.append(
                f"              at the peak of {'the arena' if self.fast is None else 'fast memory'}: {values}"
            )
        if self.missed:
            lines.append(f"              {self.missed} bytes more than the {self.scarce_limit} that were to be kept to")
        if self.fast is not None:
            lines.append(f"fast memory   {self.fast / 1024:.1f} KiB{there}")
        lines.append(f"read-only     {self.read_only / 1024:.1f} KiB, in a file of {self.file / 1024:.1f}")
        lines += [f"external      {size / 1024:.1f} KiB of input '{name}'" for name, size in self.external.items()]
        lines += [f"              input '{name}' lies in the arena: {why}" for name, why in self.internal.items()]
        on_cpu = ", ".join(f"{count} {name}" for name, count in sorted(self.cpu_operators.items())) or "none"
        folded = f"{self.folded_operators} folded; " if self.folded_operators else ""
        lines.append(f"operators     {self.npu_operators} in NPU regions; {folded}on the CPU: {on_cpu}")
        lines += [f"  {reason}" for reason in self.cpu_reasons if FLOATS not in reason]
        on_floats = [reason for reason in self.cpu_reasons if FLOATS in reason]
        # One line for a float network; one for its borders, which can go.
        for at_border in (False, True):
            alike = [reason for reason in on_floats if (BORDER in reason) == at_border]
            others = f" (the first of {len(alike)} alike)" if len(alike) > 1 else ""
            lines += [f"  {reason}{others}" for reason in alike[:1]]
        return "\n".join(lines)

    def _bound(self) -> str:
        least = f"at least {self.least_cycles:,} whatever the schedule ({self.least_by})"
        return f"{self.macs:,} MACs, {self.utilisation:.1%} of the array; {least}"


def operator_counts(module: ModuleOp) -> Counter[str]:
    """Operators of the model by name, constants and functions left out."""
    from npuc.dialects.tfl import is_operator
    from npuc.operators.support.rules import operator_name

    return Counter(operator_name(op) for op in module.walk() if is_operator(op))


def operators_in_regions(module: ModuleOp) -> int:
    from npuc.dialects.npu import is_region
    from npuc.dialects.tfl import is_operator

    return sum(is_operator(op) for region in module.ops if is_region(region) for op in region.walk())


def source_weights(module: ModuleOp) -> int:
    """Bytes of the constant filters of the operators in NPU regions, as the model that came has them."""
    from npuc.dialects.constants import as_numpy
    from npuc.dialects.npu import is_region
    from npuc.dialects.tfl import ConstantOp

    operands = (getattr(op, "filter", None) for f in module.ops if is_region(f) for op in f.walk())
    filters = {value.owner for value in operands if isinstance(value, SSAValue)}
    values = (one.value for one in filters if isinstance(one, ConstantOp))
    return sum(
        as_numpy(value).nbytes if isinstance(value, DenseIntOrFPElementsAttr) else len(value.data) for value in values
    )


def encoded_weights(module: ModuleOp) -> int:
    """Bytes of the weight and scale streams in read-only memory, each once."""
    sizes: dict[tuple[int, ...], int] = {}
    from npuc.dialects.npu_cmd import ConstantOp, ProgramOp

    for program in module.ops:
        if isinstance(program, ProgramOp):
            for op in program.body.block.ops:
                if isinstance(op, ConstantOp) and op.address is not None and _is_stream(op.result):
                    sizes[tuple(op.address.data)] = op.result.type.size
    return sum(sizes.values())


def _is_stream(value: SSAValue) -> bool:
    """Whether kernels read a buffer as weights or scales, themselves or after a transfer."""
    from npuc.dialects.npu_cmd import DmaOp, WeightedOp

    for use in value.uses:
        op = use.operation
        if isinstance(op, DmaOp) and value is op.source and _is_stream(op.destination):
            return True
        if isinstance(op, WeightedOp) and value in (*op.values_of("weights"), *op.values_of("scales")):
            return True
    return False


def integer_attribute(module: ModuleOp, name: str) -> int:
    value = module.attributes.get(name)
    return value.value.data if isinstance(value, IntegerAttr) else 0


def _reason(op: Operation) -> str | None:
    reason = op.attributes.get("npu.cpu_reason")
    if not isinstance(reason, StringAttr):
        return None
    from npuc.operators.support.rules import operator_name

    return f"{operator_name(op)} ({describe_location(op.location)}): {reason.data}"


def observe(module: ModuleOp, before: Counter[str], summary: Summary) -> None:
    """Fill in the summary from the module as it is just before it becomes a file again."""
    from npuc.dialects.npu import LEAST_ATTR, LIMIT_ATTR, TARGET_ATTR, TargetAttr

    target = module.attributes.get(TARGET_ATTR)
    if isinstance(target, TargetAttr):
        summary.accelerator = target.accelerator.data
        summary.system_config, summary.memory_mode = target.system.data, target.memory.data
    summary.arena = integer_attribute(module, "npu.arena_size")
    summary.least_sram = integer_attribute(module, LEAST_ATTR) or None
    summary.arena_lower_bound = integer_attribute(module, "npu.arena_bound")
    limits = [p.attributes[LIMIT_ATTR] for p in module.ops if LIMIT_ATTR in p.attributes]
    summary.scarce_limit = max((one.value.data for one in limits if isinstance(one, IntegerAttr)), default=None)
    summary.fast = integer_attribute(module, "npu.fast_size") if "npu.fast_size" in module.attributes else None
    summary.read_only = integer_attribute(module, "npu.read_only_size")
    if isinstance(target, TargetAttr) and target.external_inputs:
        _observe_inputs(module, summary)
    left = operator_counts(module)
    summary.folded_operators = (before - left).total() - summary.npu_operators
    summary.cpu_operators = dict(left)
    summary.cpu_reasons = [reason for op in module.walk() if (reason := _reason(op)) is not None]


def observe_time(module: ModuleOp, name: str, summary: Summary) -> Profile | None:
    """How long the network takes, and what lies in SRAM where most of it is needed; None without any program."""
    from npuc.dialects.npu_cmd import ProgramOp

    if not any(isinstance(op, ProgramOp) for op in module.ops):
        return None
    from npuc.analysis.machine import machine_of
    from npuc.tools.profiling.bounds import bounds, memory_peak
    from npuc.tools.profiling.profile import profile_of

    try:
        profile = profile_of(module, machine_of(module), setup_of(module), name)
    except UserError:  # whatever keeps a program from being written, which the next pass says
        return None
    least = bounds(profile)
    summary.cycles, summary.milliseconds = profile.cycles, profile.milliseconds
    summary.macs, summary.utilisation = profile.macs, profile.utilisation
    summary.least_cycles, summary.least_by = least.cycles, least.limiting
    summary.encoded_weights = encoded_weights(module)
    summary.at_peak = [(one.name, one.size) for one in memory_peak(profile).held[:3]]
    return profile


def _observe_inputs(module: ModuleOp, summary: Summary) -> None:
    """Which inputs lie outside of the arena, and why others do not."""
    from npuc.analysis.host import external_values, main_function, value_bytes, why_in_arena
    from npuc.dialects.tfl import tensor_name

    main, external = main_function(module), external_values(module)
    for index, value in enumerate(main.body.block.args if main is not None else ()):
        name = tensor_name(value) or str(index)
        if value in external:
            summary.external[name] = value_bytes(value) or 0
        else:
            summary.internal[name] = why_in_arena(value) or "the pass that places inputs was left out"
