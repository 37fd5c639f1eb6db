"""
Which source operators the commands of a file that vela made work for, from vela's own debug database.

`vela --enable-debug-db` writes MODEL_debug.xml: tables of comma-separated values. `queue` has a line for each launch,
in order, with the operator after vela's optimiser that it belongs to; `optimised` says of each of those which it came
from, and `source` gives the number (`ext_key`) of that in the TFLite file. Transfers are not there: they work for what
the first kernel works for that reads what they bring. Nor are names of tensors; a reference model has them.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from xml.etree import ElementTree

from xdsl.dialects.builtin import ModuleOp

from npuc.analysis.accesses import accesses, first_readers
from npuc.dialects.locations import Source, SourceOperator, operator_location, sources
from npuc.dialects.npu import target_of
from npuc.dialects.npu_cmd import LaunchOp, ProgramOp
from npuc.dialects.tfl import is_operator
from npuc.hardware.accelerators import accelerator
from npuc.lowering.debug_info import origins
from npuc.tools.errors import UserError


def name_commands(module: ModuleOp, database: bytes, name: str, reference: ModuleOp | None) -> None:
    """
    Gives the commands of a decoded file the locations that a debug database says, in the words of the reference model
    where that is known; raises UserError.
    """
    names = {} if reference is None else operators_of(reference)
    programs = [op for op in module.ops if isinstance(op, ProgramOp)]
    streams = read(database, name)
    if len(streams) != len(programs):
        raise UserError(f"{name}: it is about {len(streams)} command streams, the file has {len(programs)}")
    for program, stream in zip(programs, streams, strict=True):
        ops = origins(program)
        launches = [op for op in ops if isinstance(op, LaunchOp)]
        if len(launches) != len(stream):
            raise UserError(f"{name}: it is about {len(stream)} kernels, @{program.sym_name.data} has {len(launches)}")
        for op, operator in zip(launches, stream, strict=True):
            if operator is not None:
                op.location = operator_location(names.get(operator.number, Source(operator, "")))
        machine = accelerator(target_of(program).accelerator.data)
        for transfer, reader in first_readers([(isinstance(op, LaunchOp), accesses(op, machine)) for op in ops]):
            ops[transfer].location = ops[reader].location


def operators_of(module: ModuleOp) -> dict[int, Source]:
    """The operators of a model's first subgraph by number."""
    known = (source for op in module.walk() if is_operator(op) for source in sources(op.location)[:1])
    return {source.operator.number: source for source in known if not source.operator.subgraph}


def read(database: bytes, name: str) -> list[list[SourceOperator | None]]:
    """For each command stream the source operator of each launch; raises UserError."""
    try:
        tables = {
            table.get("name", ""): list(csv.DictReader((table.text or "").strip().splitlines()))
            for table in ElementTree.fromstring(database).iter("table")
        }
        operators = {
            row["id"]: SourceOperator(0, int(row["ext_key"]), row["operator"])
            for row in tables["source"]
            if int(row["ext_key"]) >= 0 and len(row["operator"]) > 0  # None, which has no length, in a short row
        }
        origin = {row["id"]: operators.get(row["source_id"]) for row in tables["optimised"]}
        streams = [row["id"] for row in tables["cmdstream"]]
        return [
            [origin.get(row["optimised_id"]) for row in tables["queue"] if row["cmdstream_id"] == stream]
            for stream in streams
        ]
    except (ElementTree.ParseError, LookupError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{name}: it is no debug database of vela: {type(error).__name__} {error}") from None


def has_names(programs: Sequence[ProgramOp]) -> bool:
    """Whether the commands of a file say what they work for."""
    return any(sources(op.location) for program in programs for op in origins(program))
