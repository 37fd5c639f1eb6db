"""
What would make a compiled network quicker, or smaller in SRAM: levers, each of them tried.

A lever is one thing that whoever compiles can change: the strategy, a limit, what a pass decides, a memory mode,
another accelerator, where inputs lie, integers instead of floats, an operator at the end that the host can do without.
Each is compiled from the source model with all else as it was, and its figures stand beside those of the file. Nothing
is estimated, and what lowers neither cycles nor SRAM is left out. A file that another compiler made is compared with
what `npu-compile` makes for the same machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.ir import Operation, OpResult, SSAValue

from npuc.dialects.locations import sources
from npuc.dialects.npu import host_functions
from npuc.dialects.tfl import ConstBytesAttr, is_operator
from npuc.hardware.accelerators import ACCELERATORS, accelerator
from npuc.lowering.tflite.export_tflite import export_tflite
from npuc.tools.command_line import progress as progress_line
from npuc.tools.command_line import show_step
from npuc.tools.compiling.compile import compile_tflite
from npuc.tools.compiling.summary import Summary
from npuc.tools.errors import UserError
from npuc.tools.ir import load_module, make_context
from npuc.tools.passes import available_passes, parse_passes
from npuc.tools.pipeline import BUFFERING, CASCADING, OPTIONAL, Target
from npuc.tools.profiling.profile import Profile
from npuc.tools.profiling.tables import columns

EVERYTHING = 1 << 26
"""Bytes of a limit that no network of this size of machine reaches."""
MATTERS = 0.005
"""What changes neither figure by more than this share is no lever."""
DISPENSABLE = ("SOFTMAX", "LOGISTIC", "LOG_SOFTMAX", "TANH")
"""Operators that keep the order of values, so that at the end of a network a host may do without or in their place."""
CASTS = ("QUANTIZE", "DEQUANTIZE")
"""What may stand behind them."""
DECISIONS = (
    ("cascade", "--disable-cascading", CASCADING),
    ("order", "kernels in the order of the file", frozenset({"npu-schedule-order-kernels"})),
    ("buffers", "--disable-buffering", BUFFERING),
    ("overlap", "no result over an operand", frozenset({"npu-schedule-overlap-results"})),
)
"""Kinds of levers, what they are, and the passes that may be better left out: `--pipeline` without them does that."""
MEMORY_MODES = {
    "U55": ("Shared_Sram", "Sram_Only"),
    "U65": ("Dedicated_Sram_256KB", "Dedicated_Sram_384KB", "Dedicated_Sram_512KB", "Dedicated_Sram", "Shared_Sram"),
}
"""Those that come with the compiler, by product."""


@dataclass(frozen=True)
class Lever:
    """Something to change, and what comes of it."""

    kind: str
    """`strategy`, `limit`, `cascade`, `order`, `memory`, `accelerator`, `input`, `operator` ..."""
    what: str
    """In words, with the option to give where there is one."""
    cycles: int
    sram: int
    """Bytes of the memory that is SRAM."""


@dataclass(frozen=True)
class Advice:
    """The figures of a file, and the levers that lower one of them; those first that lower most."""

    cycles: int
    sram: int
    levers: list[Lever]
    tried: int
    """How many were compiled."""
    least: int | None
    """Bytes of SRAM that the best cascades need, of those that were compiled."""


@dataclass(frozen=True)
class _Trial:
    kind: str
    what: str
    source: bytes
    target: Target


Progress = Callable[[int, int, str], None]
"""Called with the number of a trial, how many there are, and what it is."""


def advise(profile: Profile, source: bytes, name: str, target: Target, progress: Progress | None = None) -> Advice:
    """
    Tries what would change a profile of a file made from `source`, whose name is `name`, for `target`.

    Raises UserError where the source itself cannot be compiled.
    """
    first = compile_tflite(source, target, name=name, want_figures=True).summary
    trials = list(_trials(source, name, target, first))
    least = [first.least_sram or 0]
    levers = [] if _is_same(first, profile) else [Lever("compiler", "npu-compile", first.cycles, _sram(first))]
    for number, trial in enumerate(trials):
        if progress is not None:
            progress(number, len(trials), trial.what)
        try:
            found = compile_tflite(trial.source, trial.target, name=name, want_figures=True).summary
        except UserError:  # a limit that is missed, memories that a machine has not
            continue
        if found.cycles and trial.kind == "strategy":
            least.append(found.least_sram or 0)
        if found.cycles:
            levers.append(Lever(trial.kind, trial.what, found.cycles, _sram(found)))
    kept = [one for one in levers if _helps(one, profile)]
    # Of two that come to the same the simpler one, which stands first.
    best = {(one.cycles, one.sram): one for one in reversed(kept)}
    order = sorted(best.values(), key=lambda one: min(_ratios(one, profile)))
    return Advice(profile.cycles, profile.sram, order, len(trials) + 1, profile.least or max(least) or None)


def tried(profile: Profile, source: bytes, name: str, target: Target) -> Advice:
    """The same, shown on a terminal as it goes on."""
    with progress_line("what would change it"):
        return advise(profile, source, name, target, show_step if sys.stderr.isatty() else None)


def _sram(summary: Summary) -> int:
    return summary.scarce


def _is_same(summary: Summary, profile: Profile) -> bool:
    return (summary.cycles, _sram(summary)) == (profile.cycles, profile.sram)


def _ratios(lever: Lever, profile: Profile) -> tuple[float, float]:
    return lever.cycles / max(1, profile.cycles), lever.sram / max(1, profile.sram)


def _helps(lever: Lever, profile: Profile) -> bool:
    return min(_ratios(lever, profile)) < 1 - MATTERS


def _trials(source: bytes, name: str, target: Target, now: Summary) -> Iterator[_Trial]:
    """All that is worth a try for a source that compiles to what `now` says."""
    sram = _sram(now)
    if target.strategy != "size":
        yield _Trial("strategy", "--optimise Size", source, replace(target, strategy="size"))
    else:
        yield _Trial("strategy", "--optimise Performance", source, replace(target, strategy="performance"))
    for size, what in ((3 * sram // 4, ""), (3 * sram // 2, ""), (2 * sram, ""), (EVERYTHING, ", all that it can use")):
        limit = size // 16 * 16
        option = f"--arena-cache-size {limit}{what}"
        yield _Trial("limit", option, source, replace(target, limit=limit, strategy="performance"))
    for kind, what, left_out in DECISIONS:
        if not left_out <= target.leave_out:
            yield _Trial(kind, what, source, replace(target, leave_out=target.leave_out | left_out))
    if not target.external_inputs:
        yield _Trial("input", "--external-inputs", source, replace(target, external_inputs=True))
    if not target.integer_io and now.cpu_operators.keys() & {*CASTS}:
        yield _Trial("input", "--integer-io", source, replace(target, integer_io=True))
    product = accelerator(target.accelerator).product
    for mode in MEMORY_MODES.get(product, ()):
        if mode != now.memory_mode:
            option = f"--memory-mode {mode}"
            yield _Trial("memory", option, source, replace(target, memory_mode=mode))
    for machine in ACCELERATORS.values():
        if machine.product == product and machine.total_macs > accelerator(target.accelerator).total_macs:
            option = f"--accelerator-config {machine.name}"
            yield _Trial("accelerator", option, source, replace(target, accelerator=machine.name))
    shorter = _without_last(source, name)
    if shorter is not None:
        what, data = shorter
        yield _Trial("operator", f"without {what} at the end, which the host can do", data, target)


def _without_last(source: bytes, name: str) -> tuple[str, bytes] | None:
    """A network without an operator at its end that keeps the order of values, and which that is."""
    module = load_module(make_context(), source, name, "tflite")
    for function in host_functions(module)[:1]:
        end = function.body.block.last_op
        for index, value in enumerate(end.operands if end is not None else ()):
            maker = value
            if _type(maker) in CASTS:
                maker = _maker(maker).operands[0]
            if end is None or _type(maker) not in DISPENSABLE or not _type(before := _maker(maker).operands[0]):
                continue
            operator = sources(_maker(maker).location)[0].operator
            end.operands[index] = before
            for one in dict.fromkeys((value, maker)):
                if not one.uses:
                    _maker(one).detach()
                    _maker(one).erase()
            function.update_function_type()
            return f"{operator.number} {operator.type}", export_tflite(module)
    return None


def _maker(value: SSAValue) -> Operation:
    assert isinstance(value, OpResult)
    return value.owner


def _type(value: SSAValue) -> str:
    """The type of the operator that makes a value; empty where none does."""
    if not isinstance(value, OpResult) or not is_operator(value.owner):
        return ""
    known = sources(value.owner.location)
    return known[0].operator.type if known else ""


def target_of_file(module: ModuleOp) -> Target | None:
    """What a decoded file of ours was compiled for, by the pipeline in its metadata; None where there is none."""
    entries = module.attributes.get("tfl.metadata")
    for entry in entries.data if isinstance(entries, ArrayAttr) else ():
        if isinstance(entry, DictionaryAttr) and entry.data.get("name") == StringAttr("npuc_pipeline"):
            data = entry.data.get("data")
            return _target(data.data.decode(errors="replace")) if isinstance(data, ConstBytesAttr) else None
    return None


def _target(text: str) -> Target | None:
    from npuc.lowering.convert_npu_cmd_to_tfl import ConvertNpuCmdToTflPass
    from npuc.passes.npu_cmd_set_blockdep import MOST, NpuCmdSetBlockdepPass
    from npuc.passes.npu_schedule_limit_sram import NpuScheduleLimitSramPass
    from npuc.passes.npu_set_target import NpuSetTargetPass
    from npuc.passes.tfl_partition import TflPartitionPass

    try:
        chain = parse_passes(text, available_passes())
    except UserError:  # of another version
        return None
    names = {one.name for one in chain}
    target = Target(leave_out=OPTIONAL - names, integer_io="tfl-drop-float-borders" in names)
    known = False
    for one in chain:
        match one:
            case NpuSetTargetPass():
                known = True
                target = replace(target, **{field.name: getattr(one, field.name) for field in fields(one)})
            case TflPartitionPass():
                target = replace(target, round_trip=one.round_trip, ignore=one.ignore)
            case NpuScheduleLimitSramPass():
                target = replace(target, strategy=one.strategy)
            case NpuCmdSetBlockdepPass():
                target = replace(target, block_dependency=None if one.most == MOST else one.most)
            case ConvertNpuCmdToTflPass():
                target = replace(target, debug_info=one.debug_info)
            case _:
                pass
    return target if known else None


def target_of_profile(profile: Profile, config: tuple[str, ...]) -> Target:
    """The machine and the memories of a file of which nothing else is known."""
    return Target(profile.machine.name, config, profile.setup.system_config, profile.setup.memory_mode)


def advice_data(advice: Advice) -> dict[str, Any]:
    """Advice as JSON data: cycles, bytes of SRAM, and of each lever what it saves (negative where it costs)."""
    return {
        "cycles": advice.cycles,
        "sram_bytes": advice.sram,
        "tried": advice.tried,
        "best_cascades": advice.least,
        "levers": [
            {
                "kind": one.kind,
                "what": one.what,
                "cycles": one.cycles,
                "sram_bytes": one.sram,
                "cycles_saved": advice.cycles - one.cycles,
                "sram_saved": advice.sram - one.sram,
            }
            for one in advice.levers
        ],
    }


def advice_text(advice: Advice) -> str:
    """A table of the levers."""
    head = f"what would change it, of {advice.tried} tried; now {advice.cycles:,} cycles, {advice.sram:,} bytes of SRAM"
    if advice.least:
        head += f"; the best cascades could do with {advice.least:,} bytes"
    if not advice.levers:
        return f"{head}\n  nothing lowers either"
    cells = [
        [
            one.what,
            f"{one.cycles:,}",
            _change(one.cycles, advice.cycles),
            f"{one.sram:,}",
            _change(one.sram, advice.sram),
        ]
        for one in advice.levers
    ]
    return "\n".join([head, *columns(["lever", "cycles", "", "SRAM", ""], cells, left={0})])


def _change(now: int, before: int) -> str:
    return f"{(now - before) / max(1, before):+.1%}"
