"""
What is known of the programs of a network as files with vela's names and columns: a table by operator, and a debug
database. What a column means for vela it means here as far as there is such a thing; docs/vela.md says where not.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp

from npuc.dialects.locations import SourceOperator, sources
from npuc.dialects.npu_cmd import LaunchOp, ProgramOp
from npuc.hardware.accelerators import accelerator
from npuc.hardware.registers import KERNEL_OPERATIONS, Operation
from npuc.tools.compiling.figures import MEMORIES, csv_text
from npuc.tools.profiling.attribution import Row, rows
from npuc.tools.profiling.bounds import memory_peak
from npuc.tools.profiling.profile import Profile

PER_LAYER = (
    "Original Operator,NNG Operator,Target,Staging Usage,Peak% (Staging),Op Cycles,Network% (cycles),NPU,SRAM AC,"
    "DRAM AC,OnFlash AC,OffFlash AC,MAC Count,Network% (MAC),Util% (MAC),Name"
).split(",")


def per_layer_csv(profile: Profile) -> str:
    """A line for each operator under vela's titles, those of the host last; cycles and bytes."""
    peak = max(1, memory_peak(profile).bytes)
    lines: list[Sequence[object]] = [PER_LAYER, *(_layer(row, profile, peak) for row in rows(profile))]
    for one in profile.host:
        lines.append([one.source.operator.type, "", "CPU", *[0] * (len(PER_LAYER) - 4), one.source.tensor])
    return csv_text(lines)


def _layer(row: Row, profile: Profile, peak: int) -> list[object]:
    setup = profile.setup
    ports = {m.name: int(m.port[-1]) for m in (setup.constants, setup.arena, setup.cache)}
    busy = [sum(event.ports[ports[name]] for event in row.events) if name in ports else 0 for name in MEMORIES]
    kinds = dict.fromkeys(event.op.name.removeprefix("npu_cmd.") for event in row.events if event.is_kernel)
    return [
        row.kind,
        "+".join(kinds),
        "NPU",
        row.alive,
        100 * row.alive / peak,
        row.cycles,
        100 * row.cycles / max(1, profile.cycles),
        sum(event.end - event.start for event in row.events if event.is_kernel),
        *busy,
        row.macs,
        100 * row.macs / max(1, profile.macs),
        100 * row.macs / max(1, row.cycles * profile.machine.total_macs),
        row.name,
    ]


def debug_database(name: str, module: ModuleOp) -> str:
    """
    Tables in vela's form that say which source operator each launch works for: `source`, `optimised` (one line for each
    launch: nothing here is what vela's optimiser leaves), `cmdstream`, and `queue` with the byte where a launch stands
    in its stream. Raises PassFailedException where a program cannot be encoded.
    """
    from npuc.lowering.command_stream.decode import read_commands
    from npuc.lowering.command_stream.encode import encode

    machine = accelerator(_target_name(module))
    operators: dict[SourceOperator, int] = {}
    optimised: list[Sequence[object]] = [("id", "source_id", "operator")]
    queue: list[Sequence[object]] = [("offset", "cmdstream_id", "optimised_id")]
    programs = [op for op in module.ops if isinstance(op, ProgramOp)]
    for stream, program in enumerate(programs, 1):
        commands = read_commands(encode(program, machine))
        places = [
            4 * command.position
            for command in commands
            if isinstance(command.target, Operation) and command.target.name in KERNEL_OPERATIONS
        ]
        launches = [op for op in program.body.block.ops if isinstance(op, LaunchOp)]
        for op, place in zip(launches, places, strict=True):
            origin = sources(op.location)[:1]
            source = operators.setdefault(origin[0].operator, len(operators) + 1) if origin else 0
            optimised.append((len(optimised), source, op.name.removeprefix("npu_cmd.")))
            queue.append((place, stream, len(optimised) - 1))
    tables = {
        "cmdstream": [("id",), *((number,) for number in range(1, len(programs) + 1))],
        "queue": queue,
        "optimised": optimised,
        "source": [
            ("id", "operator", "ext_key"),
            *((number, operator.type, operator.number) for operator, number in operators.items()),
        ],
    }
    from xml.sax.saxutils import quoteattr

    body = "".join(
        f'<table name="{title}">\n<![CDATA[\n{csv_text(lines)}]]>\n</table>\n' for title, lines in tables.items()
    )
    return f"<?xml version='1.0' encoding='UTF-8'?>\n<debug source={quoteattr(name)}>\n{body}</debug>\n"


def _target_name(module: ModuleOp) -> str:
    from npuc.dialects.npu import target_of

    return target_of(module).accelerator.data
