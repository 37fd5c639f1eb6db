"""
One model, from the bytes of a TFLite file to those of one with `ethos-u` operators.

The work is done by the passes of `npuc.tools.pipeline`. What is added here is what they say as data, a limit that works
where the given one does not, and UserErrors, one line each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from npuc.analysis.machine import LimitError, setup_of
from npuc.hardware.accelerators import accelerator
from npuc.tools.compiling.summary import (
    Summary,
    integer_attribute,
    observe,
    observe_time,
    operator_counts,
    operators_in_regions,
    source_weights,
)
from npuc.tools.errors import UserError
from npuc.tools.ir import load_module, make_context
from npuc.tools.origin import note_origin
from npuc.tools.passes import PassFailure, available_passes, parse_passes, run_passes
from npuc.tools.pipeline import EMIT, Target, pipeline
from npuc.tools.verification import verify

if TYPE_CHECKING:
    from npuc.tools.profiling.profile import Profile

ALLOCATE = "npu-cmd-allocate"
PARTITION = "tfl-partition"
VERIFIED = frozenset((PARTITION, "convert-tfl-to-npu-schedule", "convert-npu-schedule-to-npu-cmd", EMIT))
"""
Passes after which the module is verified: those behind which a level is complete, from the network that came in. Of
tosa there is nothing left once the schedule is complete, and verifying both would take as long again.
"""


class Watcher:
    """Sees a compilation on its way. This one looks at nothing."""

    def before(self, index: int, count: int, name: str, module: ModuleOp) -> None:
        """Pass `index` of `count` is about to run; before the first one the module is the model as it came."""

    def finished(self, module: ModuleOp, profile: Profile | None) -> None:
        """The module is about to become a file; there is no profile where nothing is on the NPU."""


@dataclass(frozen=True)
class Compiled:
    """
    A compiled model and what is to be said about it; `parts` are the same bytes as files for whoever loads them by
    hand: a driver payload for each region, the read-only memory, and a description of the memories.
    """

    data: bytes
    summary: Summary
    parts: dict[str, bytes]
    profile: Profile | None = None
    """How long the network takes and where its values lie; None where nothing is on the NPU, or figures not wanted."""


def compile_tflite(
    data: bytes,
    target: Target | None = None,
    *,
    name: str = "model.tflite",
    passes: str | None = None,
    own: Mapping[str, Callable[[], type[ModulePass]]] | None = None,
    verify_each: bool = False,
    dump: str | None = None,
    inline: bool = False,
    want_parts: bool = False,
    want_figures: bool = False,
    over_limit: Literal["refuse", "warn"] = "refuse",
    watchers: Sequence[Watcher] = (),
) -> Compiled:
    """
    Compile the bytes of a TFLite file.

    `passes` takes the place of the whole pipeline, the target included, and ends in a file as that does; it may name
    passes of one's `own`, too. Raises UserError, one line, for whatever its caller can do something about. `dump` is a
    folder for the module after each pass, whose large constants are `inline` or in a file of their own. `want_figures`:
    the summary says how long the network takes, and what for. `over_limit`: whether a limit that no schedule keeps to
    is an error, or answered with the smallest schedule that is found; `summary.missed` then says by how much it is
    over. `watchers` see each pass; in that case they see two compilations, one after the other.
    """
    from npuc.dialects.tfl import CustomOp
    from npuc.lowering.convert_npu_cmd_to_tfl import CUSTOM_CODE

    target = target or Target()
    ctx = make_context()
    module = load_module(ctx, data, name, "tflite")
    if any(isinstance(op, CustomOp) and op.custom_code.data == CUSTOM_CODE for op in module.walk()):
        raise UserError(f"{name}: already compiled: it holds ethos-u operators")
    before = operator_counts(module)
    chain = parse_passes(pipeline(target) if passes is None else passes, available_passes() | dict(own or {}))
    if not any(pass_.name == EMIT for pass_ in chain):
        raise UserError(f"--pipeline: it does not end in a file: {EMIT} is not among its passes")
    note_origin(module, chain, data)
    files = None
    if dump is not None:
        from npuc.tools.ir_dump import IrDump

        files = IrDump(dump, chain, inline)
    summary = Summary(target.accelerator)
    part_files: dict[str, bytes] = {}
    profile: Profile | None = None

    def started(index: int, pass_: ModulePass) -> None:
        nonlocal profile
        for watcher in watchers:
            watcher.before(index, len(chain), pass_.name, module)
        if pass_.name == EMIT:
            observe(module, before, summary)
            profile = observe_time(module, name, summary) if want_figures else None
            for watcher in watchers:
                watcher.finished(module, profile)
            if want_parts:
                from npuc.lowering.command_stream.emit import parts

                part_files.update(parts(module))

    def done(index: int, pass_: ModulePass, _: ModuleOp) -> None:
        if files is not None:
            files.write(index + 1, pass_.name, module)
        if pass_.name == PARTITION:
            summary.npu_operators = operators_in_regions(module)
            summary.source_weights = source_weights(module) if want_figures else 0
        if not verify_each and pass_.name in VERIFIED:
            verify(module, name)

    if files is not None:
        files.write(0, "input", module)
    try:
        run_passes(ctx, module, chain, file=name, verify_each=verify_each, before=started, after=done)
    except PassFailure as failure:
        cause = failure.__cause__
        if passes is None and isinstance(cause, LimitError):
            reach = 1 << accelerator(target.accelerator).address_bits
            if cause.need > reach:
                line = f"{cause.need} bytes must be held at one time, {target.accelerator} addresses {reach}"
                raise UserError(f"{name}: {line}") from None
            least = _smallest_limit(data, target, name, cause.need)
            if over_limit == "warn":
                compiled = compile_tflite(
                    data,
                    replace(target, limit=least),
                    name=name,
                    verify_each=verify_each,
                    dump=dump,
                    inline=inline,
                    want_parts=want_parts,
                    want_figures=want_figures,
                    watchers=watchers,
                )
                compiled.summary.scarce_limit = cause.limit
                return compiled
            line = f"{name}: the limit is {cause.limit} bytes of SRAM, the smallest found to work is {least}"
            raise UserError(line) from None
        raise UserError(failure.message) from None
    from npuc.lowering.tflite.export_tflite import export_tflite
    from npuc.lowering.tflite.tflite_schema import TFLiteError

    _refuse_unfinished(module, chain[-1].name)
    try:
        if not summary.npu_operators:
            # Nothing for the NPU: the model as it came, or as it came but for the description that loaders ask for.
            source = load_module(ctx, data, name, "tflite")
            described = "tfl.description" in source.attributes
            result = data if described else export_tflite(source)
        else:
            result = export_tflite(module)
        summary.file = len(result)
        return Compiled(result, summary, part_files, profile)
    except TFLiteError as error:
        raise UserError(f"{name}: {error}") from None


def _smallest_limit(data: bytes, target: Target, name: str, need: int) -> int:
    """
    A limit with which a model compiles, the smallest that is found from `need` bytes on, where the planner begins.

    Planners add up what is alive, and an allocator may leave gaps; so what is named has been tried.
    """

    def size(limit: int) -> tuple[int, bool]:
        """The bytes that a schedule for this limit needs, and whether it keeps to it."""
        ctx = make_context()
        module = load_module(ctx, data, name, "tflite")
        text = pipeline(replace(target, limit=limit))
        chain = parse_passes(text[: text.index(ALLOCATE) + len(ALLOCATE)], available_passes())
        try:
            run_passes(ctx, module, chain, file=name, verify_each=False)
        except PassFailure as failure:
            if isinstance(failure.__cause__, LimitError):
                return failure.__cause__.need, False
            raise UserError(failure.message) from None
        space = "fast" if setup_of(module).spilling else "arena"
        return integer_attribute(module, f"npu.{space}_size"), True

    limit, fits = need, False
    while not fits:
        reached, fits = size(limit)
        if not fits:
            limit = reached
        elif reached < limit and size(reached)[1]:
            limit = reached
    return limit


def _refuse_unfinished(module: ModuleOp, last: str) -> None:
    """Refuses a module that holds more than a file can, as after a pipeline with passes left out; raises UserError."""
    from xdsl.dialects.func import FuncOp, ReturnOp

    from npuc.dialects.tfl import TflOp

    for op in module.walk():
        if op is not module and not isinstance(op, FuncOp | ReturnOp | TflOp):
            raise UserError(f"--pipeline: it does not end in a file: after {last} the module still holds {op.name}")
