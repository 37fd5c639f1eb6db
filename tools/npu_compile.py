"""
`npu-compile MODEL.tflite`: the model with what the NPU supports turned into `ethos-u` operators.

Option names and defaults are vela's. The work is done by the passes of `npuc.tools.pipeline`; what this tool adds is
the file, a summary, and one line instead of a traceback.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from xdsl.dialects.builtin import IntegerAttr, ModuleOp, StringAttr
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from npuc.analysis.machine import LimitError, setup_of
from npuc.hardware.accelerators import accelerator
from npuc.operators.support.rules import BORDER, FLOATS
from npuc.tools import driver
from npuc.tools.driver import PassFailure, UserError
from npuc.tools.pipeline import EMIT, Target, pipeline
from npuc.tools.process import CLEAR_LINE

ALLOCATE = "npu-cmd-allocate"
PARTITION = "tfl-partition"
VERIFIED = frozenset((PARTITION, "convert-tfl-to-npu-schedule", "convert-npu-schedule-to-npu-cmd", EMIT))
"""
Passes after which the module is verified: those behind which a level is complete, from the network that came in. Of
tosa there is nothing left once the schedule is complete, and verifying both would take as long again.
"""
STANDARD_OUTPUT = 1
"""Its file descriptor."""


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
    at_peak: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes of the three largest values that lie in SRAM where most of it is needed, by name."""
    file: int = 0
    """The whole file, which lies in flash."""
    arena: int = 0
    arena_lower_bound: int = 0
    scarce_limit: int | None = None
    """What the schedule was to keep to: the largest `npu.sram_limit` of its regions."""
    fast: int | None = None
    """None where there is no fast memory beside the arena."""
    read_only: int = 0
    external: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes of the inputs that lie outside of the arena, by name, where that was asked for."""
    internal: dict[str, str] = field(default_factory=dict[str, str])
    """Why others do not."""
    npu_operators: int = 0
    folded_operators: int = 0
    """Those of the source that are neither on the NPU nor on the CPU: folded into constants, or without effect."""
    cpu_operators: dict[str, int] = field(default_factory=dict[str, int])
    cpu_reasons: list[str] = field(default_factory=list[str])

    @property
    def scarce(self) -> int:
        """Bytes of the memory that limits are for: the fast memory, or the arena where there is none."""
        return self.arena if self.fast is None else self.fast

    def text(self) -> str:
        """A few lines for people."""
        arena = f"{self.arena / 1024:.1f} KiB (these live ranges need {self.arena_lower_bound / 1024:.1f})"
        lines = [
            f"accelerator   {self.accelerator}, {self.system_config}, {self.memory_mode}",
            f"arena         {arena if self.npu_operators else 'as the runtime plans it, nothing is on the NPU'}",
        ]
        if self.cycles:
            lines.insert(1, f"cycles        {self.cycles:,} ({self.milliseconds:.3f} ms), {self._bound()}")
        if self.at_peak:
            values = ", ".join(f"{name} {size / 1024:.1f}" for name, size in self.at_peak.items())
            lines.append(
                f"              at the peak of {'the arena' if self.fast is None else 'fast memory'}: {values}"
            )
        if self.scarce_limit is not None and self.scarce > self.scarce_limit:
            missed = self.scarce - self.scarce_limit
            lines.append(f"              {missed} bytes more than the {self.scarce_limit} that were to be kept to")
        if self.fast is not None:
            lines.append(f"fast memory   {self.fast / 1024:.1f} KiB")
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


@dataclass(frozen=True)
class Compiled:
    """
    A compiled model and what is to be said about it; `parts` are the same bytes as files for whoever loads them by
    hand: a driver payload for each region, the read-only memory, and a description of the memories.
    """

    data: bytes
    summary: Summary
    parts: dict[str, bytes]


def operator_counts(module: ModuleOp) -> Counter[str]:
    """Operators of the model by name, constants and functions left out."""
    from npuc.dialects.tfl import is_operator
    from npuc.operators.support.rules import operator_name

    return Counter(operator_name(op) for op in module.walk() if is_operator(op))


def _operators_in_regions(module: ModuleOp) -> int:
    from npuc.dialects.npu import is_region
    from npuc.dialects.tfl import is_operator

    return sum(is_operator(op) for region in module.ops if is_region(region) for op in region.walk())


def _integer(module: ModuleOp, name: str) -> int:
    value = module.attributes.get(name)
    return value.value.data if isinstance(value, IntegerAttr) else 0


def _reason(op: Operation) -> str | None:
    reason = op.attributes.get("npu.cpu_reason")
    if not isinstance(reason, StringAttr):
        return None
    from npuc.operators.support.rules import operator_name

    return f"{operator_name(op)} ({driver.describe_location(op.location)}): {reason.data}"


def compile_tflite(
    data: bytes,
    target: Target | None = None,
    *,
    name: str = "model.tflite",
    passes: str | None = None,
    verify_each: bool = False,
    dump: str | None = None,
    want_parts: bool = False,
    want_figures: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Compiled:
    """
    Compile the bytes of a TFLite file.

    `passes` takes the place of the whole pipeline, the target included, and ends in a file as that does. Raises
    UserError, one line, for whatever its caller can do something about; `progress` is called with the index and number
    of passes and the pass's name. `want_figures`: the summary says how long the network takes, and what for.
    """
    from npuc.dialects.tfl import CustomOp
    from npuc.lowering.convert_npu_cmd_to_tfl import CUSTOM_CODE

    target = target or Target()
    ctx = driver.make_context()
    module = driver.load_module(ctx, data, name, "tflite")
    if any(isinstance(op, CustomOp) and op.custom_code.data == CUSTOM_CODE for op in module.walk()):
        raise UserError(f"{name}: already compiled: it holds ethos-u operators")
    before = operator_counts(module)
    chain = driver.parse_passes(pipeline(target) if passes is None else passes, driver.available_passes())
    if not any(pass_.name == EMIT for pass_ in chain):
        raise UserError(f"--pipeline: it does not end in a file: {EMIT} is not among its passes")
    module.attributes["npu.pipeline"] = StringAttr(driver.pipeline_text(chain))
    files = driver.IrDump(dump) if dump is not None else None
    summary = Summary(target.accelerator)
    found: dict[str, bytes] = {}

    def started(index: int, pass_: ModulePass) -> None:
        if progress is not None:
            progress(index, len(chain), pass_.name)
        if pass_.name == EMIT:
            _observe(module, before, summary)
            if want_figures:
                _observe_time(module, name, summary)
            if want_parts:
                from npuc.lowering.command_stream.emit import parts

                found.update(parts(module))

    def done(index: int, pass_: ModulePass, _: ModuleOp) -> None:
        if files is not None:
            files.write(index + 1, pass_.name, module)
        if pass_.name == PARTITION:
            summary.npu_operators = _operators_in_regions(module)
        if not verify_each and pass_.name in VERIFIED:
            driver.verify(module, name)

    if files is not None:
        files.write(0, "input", module)
    try:
        driver.run_passes(ctx, module, chain, file=name, verify_each=verify_each, before=started, after=done)
    except PassFailure as failure:
        cause = failure.__cause__
        if passes is None and isinstance(cause, LimitError):
            reach = 1 << accelerator(target.accelerator).address_bits
            if cause.need > reach:
                line = f"{cause.need} bytes must be held at one time, {target.accelerator} addresses {reach}"
                raise UserError(f"{name}: {line}") from None
            least = _smallest_limit(data, target, name, cause.need)
            line = f"{name}: the limit is {cause.limit} bytes of SRAM, the smallest found to work is {least}"
            raise UserError(line) from None
        raise UserError(failure.message) from None
    from npuc.lowering.tflite.export_tflite import export_tflite
    from npuc.lowering.tflite.tflite_schema import TFLiteError

    _refuse_unfinished(module, chain[-1].name)
    try:
        if not summary.npu_operators:
            # Nothing for the NPU: the model as it came, or as it came but for the description that loaders ask for.
            source = driver.load_module(ctx, data, name, "tflite")
            described = "tfl.description" in source.attributes
            result = data if described else export_tflite(source)
        else:
            result = export_tflite(module)
        summary.file = len(result)
        return Compiled(result, summary, found)
    except TFLiteError as error:
        raise UserError(f"{name}: {error}") from None


def _smallest_limit(data: bytes, target: Target, name: str, need: int) -> int:
    """
    A limit with which a model compiles, the smallest that is found from `need` bytes on, where the planner begins.

    Planners add up what is alive, and an allocator may leave gaps; so what is named has been tried.
    """

    def size(limit: int) -> tuple[int, bool]:
        """The bytes that a schedule for this limit needs, and whether it keeps to it."""
        ctx = driver.make_context()
        module = driver.load_module(ctx, data, name, "tflite")
        text = pipeline(replace(target, limit=limit))
        chain = driver.parse_passes(text[: text.index(ALLOCATE) + len(ALLOCATE)], driver.available_passes())
        try:
            driver.run_passes(ctx, module, chain, file=name, verify_each=False)
        except PassFailure as failure:
            if isinstance(failure.__cause__, LimitError):
                return failure.__cause__.need, False
            raise UserError(failure.message) from None
        space = "fast" if setup_of(module).spilling else "arena"
        return _integer(module, f"npu.{space}_size"), True

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


def _observe(module: ModuleOp, before: Counter[str], summary: Summary) -> None:
    """Fill in the summary from the module as it is just before it becomes a file again."""
    from npuc.dialects.npu import LIMIT_ATTR, TARGET_ATTR, TargetAttr

    target = module.attributes.get(TARGET_ATTR)
    if isinstance(target, TargetAttr):
        summary.accelerator = target.accelerator.data
        summary.system_config, summary.memory_mode = target.system.data, target.memory.data
    summary.arena = _integer(module, "npu.arena_size")
    summary.arena_lower_bound = _integer(module, "npu.arena_bound")
    limits = [p.attributes[LIMIT_ATTR] for p in module.ops if LIMIT_ATTR in p.attributes]
    summary.scarce_limit = max((one.value.data for one in limits if isinstance(one, IntegerAttr)), default=None)
    summary.fast = _integer(module, "npu.fast_size") if "npu.fast_size" in module.attributes else None
    summary.read_only = _integer(module, "npu.read_only_size")
    if isinstance(target, TargetAttr) and target.external_inputs:
        _observe_inputs(module, summary)
    left = operator_counts(module)
    summary.folded_operators = (before - left).total() - summary.npu_operators
    summary.cpu_operators = dict(left)
    summary.cpu_reasons = [reason for op in module.walk() if (reason := _reason(op)) is not None]


def _observe_time(module: ModuleOp, name: str, summary: Summary) -> None:
    """How long the network takes, and what lies in SRAM where most of it is needed."""
    from npuc.dialects.npu_cmd import ProgramOp

    if not any(isinstance(op, ProgramOp) for op in module.ops):
        return
    from npuc.analysis.machine import machine_of
    from npuc.tools.profiling.bounds import bounds, memory_peak
    from npuc.tools.profiling.profile import profile_of

    try:
        profile = profile_of(module, machine_of(module), setup_of(module), name)
    except UserError:  # whatever keeps a program from being written, which the next pass says
        return
    least = bounds(profile)
    summary.cycles, summary.milliseconds = profile.cycles, profile.milliseconds
    summary.macs, summary.utilisation = profile.macs, profile.utilisation
    summary.least_cycles, summary.least_by = least.cycles, least.limiting
    summary.at_peak = {one.name: one.size for one in memory_peak(profile).held[:3]}


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


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = driver.command_line("npu-compile", "Compile a quantised TFLite model for Arm Ethos-U55/U65")
    out.add_argument("model", metavar="MODEL.tflite")
    out.add_argument("--accelerator-config", default="ethos-u55-256", metavar="NAME")
    out.add_argument("--config", metavar="FILE.ini", help="system configurations and memory modes in vela's format")
    out.add_argument("--system-config", metavar="NAME")
    out.add_argument("--memory-mode", metavar="NAME")
    out.add_argument(
        "--arena-cache-size",
        type=int,
        metavar="BYTES",
        help="memory there is for feature maps: a limit, and to be spent. Without it, and where the memory mode names "
        "no size, Performance takes no more than whole feature maps need, and no buffers beside them",
    )
    out.add_argument(
        "--external-inputs", action="store_true", help="inputs of the network lie outside of the arena where they can"
    )
    out.add_argument(
        "--integer-io", action="store_true", help="drop QUANTIZE of float inputs and DEQUANTIZE of float outputs"
    )
    out.add_argument(
        "--round-trip",
        type=int,
        default=0,
        metavar="CYCLES",
        help="what an invocation of the NPU costs the host: cheaper regions between its operators stay on the CPU",
    )
    out.add_argument(
        "--optimise",
        choices=("Performance", "Size"),
        default="Performance",
        help="cycles first, or the least memory at no more than 1.25 times those cycles",
    )
    out.add_argument("--output-dir", default="output", metavar="DIR")
    out.add_argument("-o", "--output", metavar="FILE.tflite", help="instead of DIR/MODEL_npuc.tflite")
    out.add_argument("--parts-dir", metavar="DIR", help="also write command streams and read-only data as files")
    out.add_argument("--json", action="store_true", help="print the summary as JSON")
    out.add_argument("--report", metavar="FILE.html", help="write a page that shows where time and memory go")
    out.add_argument(
        "--no-debug-info", action="store_true", help="leave out which operator of the source each command works for"
    )
    out.add_argument("--dump-ir", metavar="DIR", help="write the module after each pass to files in DIR")
    out.add_argument("--pipeline", metavar="PASSES", help="run these passes in place of the usual ones")
    out.add_argument("--print-pipeline", action="store_true", help="print the passes that would run, and stop")
    out.add_argument(
        "--verify-each", action="store_true", help="verify after every pass, not only where a level is complete"
    )
    return out


def _show_progress(index: int, count: int, name: str) -> None:
    driver.note(f"{CLEAR_LINE}[{index + 1}/{count}] {name}", end="")


def run(arguments: Sequence[str] | None) -> None:
    """Compile as the command line says; raises UserError."""
    args = parser().parse_args(arguments)
    target = Target(
        args.accelerator_config,
        args.config,
        args.system_config,
        args.memory_mode,
        args.arena_cache_size,
        "size" if args.optimise == "Size" else "performance",
        args.external_inputs,
        args.integer_io,
        args.round_trip,
        not args.no_debug_info,
    )
    if args.print_pipeline:
        print(pipeline(target) if args.pipeline is None else args.pipeline)
        return
    data = driver.read_file(args.model)
    terminal = sys.stderr.isatty()
    try:
        compiled = compile_tflite(
            data,
            target,
            name=args.model,
            passes=args.pipeline,
            verify_each=args.verify_each,
            dump=args.dump_ir,
            want_parts=args.parts_dir is not None,
            want_figures=True,
            progress=_show_progress if terminal else None,
        )
    finally:
        if terminal:
            driver.note(CLEAR_LINE, end="")
    output = Path(args.output_dir) / f"{Path(args.model).stem}_npuc.tflite"
    if args.output is not None:
        output = Path(args.output)
    files = [(output, compiled.data)]
    if args.parts_dir is not None:
        files += [(Path(args.parts_dir) / name, data) for name, data in compiled.parts.items()]
    if args.report is not None:
        if not compiled.summary.npu_operators:
            raise UserError(f"--report: nothing of {args.model} is on the NPU, so that there is nothing to show")
        files.append((Path(args.report), _report(compiled.data, str(output), args)))
    for path, _ in files:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path.parent}: {error.strerror}") from None
    driver.write_files(files)
    text = f"{output}\n{compiled.summary.text()}"
    if args.json:
        import json

        text = json.dumps({"output": str(output), **asdict(compiled.summary)}, indent=2)
    if driver.descriptor_of(output) == STANDARD_OUTPUT:  # nothing may stand behind the model
        driver.note(text)
    else:
        print(text)


def _report(data: bytes, name: str, args: argparse.Namespace) -> bytes:
    """The page about a compiled file of which something is on the NPU."""
    from npuc.tools.profiling.page import as_html
    from npuc.tools.profiling.profile import profile

    config = [] if args.config is None else [args.config]
    known = profile(data, name=name, config=config, system_config=args.system_config, memory_mode=args.memory_mode)
    return as_html(known, name).encode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tool; 0, or 1 after one line on standard error."""
    return driver.exit_code("npu-compile", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
