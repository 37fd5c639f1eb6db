"""
`npu-profile COMPILED.tflite`: where the cycles, the bytes and the SRAM go, from the command stream alone.

The file may be ours or vela's: its streams are decoded and run through one model (npuc.analysis.timeline), so that two
compilers are compared by one judge. `--json` prints everything as data, `--trace` writes events for a trace viewer
(chrome://tracing, Perfetto), `--html` a page with the timeline of kernels, transfers and memory.
"""

from __future__ import annotations

import argparse
import html
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.utils.exceptions import DiagnosticException

from npuc.analysis.timeline import Event, Timeline, timeline
from npuc.dialects.locations import source_name
from npuc.dialects.npu import target_of
from npuc.dialects.npu_cmd import DmaOp, ElementwiseOp, PoolOp, ProgramOp
from npuc.hardware.accelerators import Accelerator, accelerator
from npuc.hardware.memory import MemorySetup, memory_setup
from npuc.hardware.parameters import DEFAULT, CostParameters
from npuc.lowering.command_stream.emit import ARENA_SIZE, FAST_SIZE
from npuc.tools import driver
from npuc.tools.driver import UserError


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

    @property
    def cycles(self) -> int:
        """All programs, one after the other."""
        return sum(one.cycles for one in self.timelines.values())

    @property
    def sram(self) -> int:
        """Bytes of the memory that is SRAM: the arena, or the fast memory beside one in slow memory."""
        return (self.fast or 0) if self.setup.spilling else self.arena

    def traffic(self) -> dict[str, tuple[int, int]]:
        """Bytes read and written, by area."""
        found: dict[str, tuple[int, int]] = {}
        for one in self.timelines.values():
            for area, (read, written) in one.traffic().items():
                before = found.get(area, (0, 0))
                found[area] = before[0] + read, before[1] + written
        return found


def profile(
    data: bytes,
    *,
    name: str = "model.tflite",
    config: Sequence[str] = (),
    system_config: str | None = None,
    memory_mode: str | None = None,
    parameters: CostParameters = DEFAULT,
) -> Profile:
    """Profile the bytes of a compiled file, by costs with certain parameters; raises UserError."""
    ctx = driver.make_context()
    module = driver.load_module(ctx, data, name, "tflite")
    driver.decode_streams(ctx, module, name)
    return profile_module(module, name, config, system_config, memory_mode, parameters)


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
    target = target_of(programs[0])
    machine = accelerator(target.accelerator.data)
    try:
        setup = memory_setup(
            machine,
            tuple(config),
            system_config or target.system.data or None,
            memory_mode or target.memory.data or None,
        ).with_parameters(parameters)
    except ValueError as error:
        raise UserError(str(error)) from None
    try:
        timelines = {p.sym_name.data: timeline(p, machine, setup) for p in programs}
    except ValueError as error:  # a kernel that the machine cannot do
        raise UserError(f"{name}: {error}") from None
    except DiagnosticException as error:
        raise UserError(driver.format_error(error, name)) from None
    sizes = [module.attributes.get(name) for name in (ARENA_SIZE, FAST_SIZE)]
    arena, fast = (size.value.data if isinstance(size, IntegerAttr) else None for size in sizes)
    return Profile(machine, setup, timelines, arena or 0, fast)


def title(event: Event) -> str:
    """`conv 24x24x16` or `dma 1008`, with the tensor's name where it is known."""
    op = event.op
    if isinstance(op, DmaOp):
        text = f"dma {op.size.data[0]}"
    else:
        kind = f" {op.kind.data}" if isinstance(op, PoolOp | ElementwiseOp) else ""
        ofm = op.ofm_map.data
        text = f"{op.name.removeprefix('npu_cmd.')}{kind} {ofm.height}x{ofm.width}x{ofm.depth}"
    name = source_name(op.location)
    return f"{text} {name}" if name else text


def as_data(found: Profile) -> dict[str, Any]:
    """The profile as JSON data."""
    return {
        "accelerator": found.machine.name,
        "system_config": found.setup.system_config,
        "memory_mode": found.setup.memory_mode,
        "cycles": found.cycles,
        "arena_bytes": found.arena,
        "fast_bytes": found.fast,
        "sram_bytes": found.sram,
        "traffic": {area: {"read": r, "written": w} for area, (r, w) in found.traffic().items()},
        "programs": {
            name: {
                "cycles": one.cycles,
                "kernel_cycles": one.busy(True),
                "dma_cycles": one.busy(False),
                "events": [
                    {
                        "index": event.index,
                        "what": title(event),
                        "start": event.start,
                        "end": event.end,
                        "stall": event.stall,
                        "read": event.read,
                        "written": event.written,
                    }
                    for event in one.events
                ],
            }
            for name, one in found.timelines.items()
        },
    }


def as_text(found: Profile, most: int) -> str:
    """A table of the commands that take longest, and the sums."""
    lines = [f"{found.machine.name}, {found.setup.system_config}, {found.setup.memory_mode}"]
    events = [(name, event) for name, one in found.timelines.items() for event in one.events]
    events.sort(key=lambda pair: pair[1].start - pair[1].end)
    lines.append(f"{'cycles':>10} {'share':>6}  command")
    for name, event in events[:most]:
        length = event.end - event.start
        lines.append(f"{length:10} {length / max(found.cycles, 1):6.1%}  @{name} {event.index}: {title(event)}")
    lines.append(f"cycles  {found.cycles}")
    for name, one in found.timelines.items():
        lines.append(f"  @{name}: {one.cycles}, kernels {one.busy(True)}, transfers {one.busy(False)}")
    lines.append(f"arena   {found.arena} bytes")
    if found.fast is not None:
        lines.append(f"fast    {found.fast} bytes")
    lines += [f"  {area}: {r} bytes read, {w} written" for area, (r, w) in found.traffic().items()]
    return "\n".join(lines)


def as_trace(found: Profile) -> dict[str, Any]:
    """Events for a trace viewer; a cycle is shown as a microsecond."""
    events: list[dict[str, Any]] = []
    for number, (name, one) in enumerate(found.timelines.items()):
        events.append({"ph": "M", "pid": number, "name": "process_name", "args": {"name": f"@{name}"}})
        events += [
            {
                "ph": "X",
                "pid": number,
                "tid": "kernels" if event.is_kernel else "transfers",
                "name": title(event),
                "ts": event.start,
                "dur": event.end - event.start,
                "args": {"index": event.index, "read": event.read, "written": event.written},
            }
            for event in one.events
        ]
    return {"traceEvents": events}


# A picture, in pixels: margins around the plot, its width, the height of a lane of events and of the memory below them.
LEFT, TOP, BOTTOM, WIDTH, LANE, MEMORY = 76, 26, 34, 1110, 24, 300
LETTER = 6.4
"""Width of a letter; a label is written where it fits."""
KERNELS = ("#77aadd", "#99ddff", "#44bb99", "#bbcc33", "#aaaa00", "#eedd88")
TRANSFERS, HOST, LIMIT = "#ee8866", "#cccccc", "#bb2222"


def as_svg(one: Timeline, found: Profile, limit: int | None = None, frame: tuple[int, int] | None = None) -> str:
    """
    One program as a picture: kernels and transfers over time, and below them which bytes of SRAM hold something.

    A kernel and what it writes have one colour, which its stripes share. `limit` is drawn as a line; `frame` gives the
    cycles and bytes that the axes reach, so that pictures can be compared.
    """
    space = "fast" if found.setup.spilling else "arena"
    cycles, top = frame or (one.cycles, max(one.high_water(space), limit or 0))
    cycles, top = max(cycles, 1), max(top, 1)
    memory = TOP + 2 * LANE + 8
    names = dict.fromkeys(_source(event) for event in one.events if event.is_kernel)
    colours = {name: KERNELS[number % len(KERNELS)] for number, name in enumerate(names)}

    def x(time: float) -> float:
        return LEFT + time / cycles * WIDTH

    def y(address: float) -> float:
        return memory + MEMORY * (1 - address / top)

    def colour(event: Event | None) -> str:
        return HOST if event is None else colours[_source(event)] if event.is_kernel else TRANSFERS

    parts: list[str] = []
    floor = memory + MEMORY
    for at, label in _ticks(cycles, "k", 1000):
        parts += [_line(x(at), memory, x(at), floor + 4), _text(x(at), floor + 16, label, "middle")]
    parts.append(_text(LEFT + WIDTH, floor + 30, "cycles", "end"))
    for at, label in _ticks(top, " KiB", 1024):
        parts += [_line(LEFT - 4, y(at), LEFT + WIDTH, y(at)), _text(LEFT - 8, y(at) + 4, label, "end")]
    for number, label in enumerate(("kernels", "transfers")):
        parts.append(_text(LEFT - 8, TOP + LANE * number + 15, label, "end"))
    for e in one.events:
        above = TOP + (0 if e.is_kernel else LANE)
        parts += _box(x(e.start), x(e.end), above, LANE - 3, colour(e), title(e), _source(e))
    for life in one.lives(space):
        start, size, writer = life.span.start, life.span.end - life.span.start, life.writer
        what = "from the host" if writer is None else title(writer)
        name = "from the host" if writer is None else _source(writer)
        if writer is not None and not writer.is_kernel:
            name = f"for {name}"
        high, low = y(start + size), y(start)
        text = f"{what}: bytes {start} to {start + size}, cycles {life.start} to {life.end}"
        parts += _box(x(life.start), x(life.end), high, low - high, colour(writer), text, name)
    if limit is not None:
        parts.append(_line(LEFT, y(limit), LEFT + WIDTH, y(limit), f'stroke="{LIMIT}" stroke-width="1.5"'))
        parts.append(_text(LEFT + WIDTH, y(limit) - 4, f"limit {limit}", "end", LIMIT))
    at = LEFT
    for name, fill in (*colours.items(), ("transfers and weights", TRANSFERS), ("from the host", HOST)):
        wide = 24 + LETTER * len(name)
        if at + wide > LEFT + WIDTH:
            break
        parts += [*_box(at, at + 12, 6, 12, fill, name, ""), _text(at + 16, 16, name)]
        at += wide
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 8} {floor + BOTTOM}" '
        f'width="{LEFT + WIDTH + 8}" height="{floor + BOTTOM}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>'
    )


def _source(event: Event) -> str:
    """The tensor that an event makes, or the kind of its operation where that is not known."""
    return source_name(event.op.location) or title(event)


def _box(x0: float, x1: float, y: float, tall: float, colour: str, text: str, label: str) -> list[str]:
    """A rectangle with `text` for the mouse, and `label` in it if there is room."""
    wide = max(x1 - x0, 0.5)
    found = [
        f'<rect x="{x0:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}" fill="{colour}" '
        f'stroke="white" stroke-width="0.4"><title>{html.escape(text)}</title></rect>'
    ]
    if label and tall >= 11 and wide >= LETTER * len(label) + 4:
        found.append(_text((x0 + x1) / 2, y + tall / 2 + 4, label, "middle"))
    return found


def _text(x: float, y: float, text: str, anchor: str = "start", fill: str = "#222222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}">{html.escape(text)}</text>'


def _line(x0: float, y0: float, x1: float, y1: float, style: str = 'stroke="#999999" stroke-width="0.4"') -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" {style}/>'


def _ticks(most: int, unit: str, size: int) -> list[tuple[int, str]]:
    """Round numbers from 0 to `most` for an axis, at most a dozen, with their labels in units of `size`."""
    step = size
    while most / step > 12:
        step *= 5 if str(step // size)[0] == "2" else 2
    return [(at, f"{at // size}{unit}" if at else "0") for at in range(0, most + 1, step)]


def as_html(found: Profile, name: str) -> str:
    """A page with a picture of each program."""
    body = "".join(
        f"<h2>@{html.escape(program)}: {one.cycles} cycles</h2>{as_svg(one, found)}"
        for program, one in found.timelines.items()
    )
    return (
        f"<!doctype html><meta charset='utf-8'><title>{html.escape(name)}</title><h1>{html.escape(name)}</h1>"
        f"<p>{found.machine.name}, {found.cycles} cycles, {found.sram} bytes of SRAM. Time runs to the right; above, "
        f"kernels and transfers, below, what the bytes of SRAM hold, addresses upwards.</p>{body}"
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = driver.command_line("npu-profile", "Cycles, bytes and SRAM of a compiled TFLite file")
    out.add_argument("model", metavar="COMPILED.tflite")
    out.add_argument("--config", metavar="FILE.ini", action="append", default=[])
    out.add_argument("--system-config", metavar="NAME")
    out.add_argument("--memory-mode", metavar="NAME")
    out.add_argument("--top", type=int, default=10, metavar="N", help="how many commands to list")
    out.add_argument("--json", action="store_true", help="print everything as JSON")
    out.add_argument("--trace", metavar="FILE.json", help="write events for a trace viewer")
    out.add_argument("--html", metavar="FILE.html", help="write a page with a picture of the timeline")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tool; 0, or 1 after one line on standard error."""

    def run() -> None:
        args = parser().parse_args(arguments)
        if args.top < 0:
            raise UserError(f"--top {args.top}: a number of commands is not negative")
        found = profile(
            driver.read_file(args.model),
            name=args.model,
            config=args.config,
            system_config=args.system_config,
            memory_mode=args.memory_mode,
        )
        files: list[tuple[Path, bytes]] = []
        if args.trace:
            files.append((Path(args.trace), json.dumps(as_trace(found)).encode()))
        if args.html:
            files.append((Path(args.html), as_html(found, args.model).encode()))
        driver.write_files(files)
        print(json.dumps(as_data(found), indent=2) if args.json else as_text(found, args.top))

    return driver.exit_code("npu-profile", run)


if __name__ == "__main__":
    sys.exit(main())
