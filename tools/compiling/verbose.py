"""
What `--verbose-NAME` and their like print: sections of text, each made at the pass where there is something to see.

Most of it is what other tools say of the compiled file, `npu-profile` above all. A section begins with its title.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Operation, SSAValue

from npuc.dialects.locations import first_name, source_name, sources
from npuc.dialects.npu import LayoutAttr, is_region
from npuc.dialects.npu_schedule import CopyOp, KernelOp, space_of
from npuc.dialects.quant import storage_tensor
from npuc.dialects.tfl import is_operator, tensor_name
from npuc.operators.support.rules import operator_name
from npuc.tools.compiling.compile import Watcher
from npuc.tools.compiling.summary import Summary
from npuc.tools.errors import describe_location
from npuc.tools.pipeline import COMMANDS
from npuc.tools.profiling.profile import Profile

EVERYTHING = 1 << 30
"""Rows of a table that is to have all of them."""


class Verbose(Watcher):
    """Collects the sections that a command line asks for."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.started = time.perf_counter()
        self.sections: list[str] = []

    def text(self, summary: Summary) -> str:
        """All sections, and how long it took where that is asked for."""
        if self.args.verbose_weights:
            sizes = [("original", summary.source_weights), ("encoded", summary.encoded_weights)]
            self._add("Weights", [f"{name:8} {size / 1024:.2f} KiB" for name, size in sizes])
        took = f"\nCompilation took {time.perf_counter() - self.started:.6f} s\n" if self.args.timing else ""
        return "".join(self.sections) + took

    def before(self, index: int, count: int, name: str, module: ModuleOp) -> None:
        """See the model as it came, the network as it is partitioned, and its kernels once all of them are planned."""
        args = self.args
        if index == 0:
            self.sections = []
            self._imported(module)
        if args.verbose_progress:
            self._add("", [f"[{index + 1}/{count}] {name}"])
        if name == COMMANDS[0]:
            if args.verbose_graph:
                self._add("Kernels", _kernels(module))
            if args.verbose_tensor_format:
                self._add("Memory and layout of feature maps", _formats(module))

    def _imported(self, module: ModuleOp) -> None:
        args = self.args
        if args.verbose_operators:
            counts = Counter(operator_name(op) for op in module.walk() if is_operator(op))
            self._add("Operators", [f"{name} {count}" for name, count in counts.items()])
        if args.verbose_graph:
            self._add("Graph", _operators(module))
        if args.verbose_quantization:
            self._add("Quantisation", _quantisation(module))
        if args.show_subgraph_io_summary:
            self._add("Inputs and outputs", _inputs_and_outputs(module))

    def finished(self, module: ModuleOp, profile: Profile | None) -> None:
        """See the programs with all addresses."""
        args = self.args
        if args.show_cpu_operations:
            self._add("Where operators run", _places(module, profile))
        if profile is None:
            return
        from npuc.tools.profiling.tables import as_text

        if args.verbose_config:
            self._add("Memories", _memories(profile))
        if args.verbose_schedule:
            self._add("Schedule", [as_text(profile, EVERYTHING, "cascade")])
        if args.verbose_allocation:
            self._add("Allocation", _allocation(profile))
        if args.verbose_high_level_command_stream:
            self._add("Commands", [as_text(profile, EVERYTHING, "command")])
        if args.verbose_register_command_stream:
            from npuc.lowering.command_stream.print_asm import asm

            self._add("Command streams", [asm(module)])
        if args.verbose_performance:
            self._add("Performance", [as_text(profile, EVERYTHING)])
        if args.verbose_cycle_estimate:
            self._add("Cycles", _cycles(profile))

    def _add(self, title: str, lines: Iterable[str]) -> None:
        head = f"\n{title}\n{'-' * len(title)}\n" if title else ""
        self.sections.append(head + "".join(f"{line}\n" for line in lines))


def _operators(module: ModuleOp) -> Iterator[str]:
    for op in module.walk():
        if is_operator(op):
            number = next((f"{one.operator.number:4}" for one in sources(op.location)), "    ")
            yield f"{number} {operator_name(op):24} {first_name(source_name(op.location))}"


def _kernels(module: ModuleOp) -> Iterator[str]:
    for region in module.ops:
        if is_region(region):
            for op in region.walk():
                if op is not region and op.results:
                    yield f"{op.name.removeprefix('npu_schedule.'):24} {first_name(source_name(op.location))}"


def _formats(module: ModuleOp) -> Iterator[str]:
    for region in module.ops:
        for op in region.walk() if is_region(region) else ():
            if not isinstance(op, KernelOp | CopyOp):
                continue
            type_ = op.result.type
            encoding = type_.encoding
            layout = encoding.layout.data if isinstance(encoding, LayoutAttr) else "nhwc"
            shape = "x".join(str(size) for size in type_.get_shape())
            yield f"{space_of(op.result):8} {layout:8} {shape:20} {first_name(source_name(op.location))}"


def _values(module: ModuleOp) -> Iterator[SSAValue]:
    for op in module.walk():
        for region in op.regions:
            for block in region.blocks:
                yield from block.args
        yield from op.results


def _quantisation(module: ModuleOp) -> Iterator[str]:
    for value in _values(module):
        name = tensor_name(value)
        if name and isinstance(value.type, TensorType):
            yield f"{value.type.element_type}  {'x'.join(str(n) for n in value.type.get_shape())}  {first_name(name)}"


def _inputs_and_outputs(module: ModuleOp) -> Iterator[str]:
    from xdsl.dialects.func import FuncOp, ReturnOp

    for function in module.ops:
        if not isinstance(function, FuncOp) or not function.body.blocks:
            continue
        end = function.body.block.last_op
        yield function.sym_name.data
        for what, values in (
            ("in", function.body.block.args),
            ("out", end.operands if isinstance(end, ReturnOp) else ()),
        ):
            for value in values:
                yield f"  {what:4} {tensor_name(value)} {storage_tensor(value.type)}"


def _places(module: ModuleOp, profile: Profile | None) -> Iterator[str]:
    on_npu = dict.fromkeys(
        source
        for one in (profile.timelines.values() if profile is not None else ())
        for event in one.events
        for source in sources(event.op.location)
    )
    for op in module.walk():
        if is_operator(op):
            yield f"CPU: {operator_name(op)} = {describe_location(op.location)}: {_reason(op)}"
    for source in on_npu:
        yield f"NPU: {source.operator.type} = {first_name(source.tensor)}"


def _reason(op: Operation) -> str:
    from xdsl.dialects.builtin import StringAttr

    reason = op.attributes.get("npu.cpu_reason")
    return reason.data if isinstance(reason, StringAttr) else ""


def _memories(profile: Profile) -> Iterator[str]:
    setup = profile.setup
    yield f"{setup.system_config}, {setup.memory_mode}, {setup.core_clock / 1e6:g} MHz"
    yield f"cache size {setup.arena_cache_size} bytes{'' if setup.sized else ' (all that can be addressed)'}"
    for area in ("constants", "arena", "cache"):
        memory = setup.memory(area)
        yield (
            f"{area:9} in {memory.name} on {memory.port}: {memory.bytes_per_cycle:g} bytes a cycle, bursts of "
            f"{memory.burst_length}, latency {memory.read_latency} to read and {memory.write_latency} to write"
        )


def _allocation(profile: Profile) -> Iterator[str]:
    from npuc.tools.profiling.bounds import content

    for program, one in profile.timelines.items():
        for space in ("arena", "fast"):
            for life in sorted(one.lives(space), key=lambda life: (life.span.start, life.start)):
                span = life.span
                yield (
                    f"@{program} {space:5} {span.start:#010x} to {span.end:#010x} ({span.end - span.start:8} bytes), "
                    f"cycles {life.start:9} to {life.end:9}: {content(life, program, profile)}"
                )


def _cycles(profile: Profile) -> Iterator[str]:
    from npuc.tools.profiling.bounds import bounds

    yield f"all {profile.cycles}, {profile.milliseconds:.3f} ms, {1000 / profile.milliseconds:.2f} inferences/s"
    for name, count in bounds(profile).of_schedule.items():
        yield f"{name} {count}"
    for name, one in profile.timelines.items():
        yield f"@{name}: {one.cycles}, kernels {one.busy(True)}, transfers {one.busy(False)}"
