"""
`npu-profile COMPILED [OTHER]`: where the cycles, the bytes and the SRAM go, from the command stream alone.

The file may be ours or vela's, or a text of `npu_cmd`. It prints a table by source operator, by command or by cascade;
with two files it prints both side by side. `--json` and `--csv` print it as data, `--trace` writes events for a trace
viewer (Perfetto, chrome://tracing), `--html` a page. What is in them is for the files of npuc/tools/profiling to say.

A file of ours knows which operators its commands work for. For one that does not, as vela's, `--reference SOURCE` finds
it out by running both; vela's debug database says it without that. With `--advise` the reference is compiled anew in
other ways, to see what would lower cycles or SRAM.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xdsl.dialects.builtin import ModuleOp

from npuc.dialects.npu_cmd import ProgramOp
from npuc.tools.command_line import command_line, exit_code, progress
from npuc.tools.errors import UserError
from npuc.tools.files import make_folder, read_file, write_files
from npuc.tools.profiling.profile import Profile, load, profile_module

if TYPE_CHECKING:
    from npuc.tools.profiling.advice import Advice

TFLITE = b"TFL3"
"""What a TFLite file has behind its first four bytes."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = command_line("npu-profile", "Cycles, bytes and SRAM of compiled TFLite files")
    out.add_argument("model", metavar="COMPILED", help="a compiled TFLite file, or a text of npu_cmd with addresses")
    out.add_argument("other", metavar="OTHER", nargs="?", help="another one of the same network, to compare with")
    out.add_argument("--config", metavar="FILE.ini", action="append", default=[])
    out.add_argument("--system-config", metavar="NAME")
    out.add_argument("--memory-mode", metavar="NAME")
    out.add_argument(
        "--by", choices=("operator", "command", "cascade"), default="operator", help="what a row of the table is"
    )
    out.add_argument("--top", type=int, default=10, metavar="N", help="how many rows to print")
    out.add_argument(
        "--debug-db",
        metavar="FILE.xml",
        help="vela's debug database (--enable-debug-db), for the file that does not say what its commands work for",
    )
    out.add_argument(
        "--reference",
        metavar="SOURCE.tflite",
        help="the model that was compiled: where a file does not say what its commands work for, both run to find out",
    )
    out.add_argument(
        "--advise",
        action="store_true",
        help="say what would lower cycles or SRAM, and by how much: compiles the reference anew for each. This takes "
        "minutes for a large network",
    )
    out.add_argument("--json", action="store_true", help="print everything as JSON")
    out.add_argument("--csv", action="store_true", help="print the table as comma-separated values")
    out.add_argument("--trace", metavar="FILE.json", help="write events for a trace viewer")
    out.add_argument(
        "--node-data", metavar="DIR", help="write cycles.json, utilisation.json and sram.json for Model Explorer"
    )
    out.add_argument("--html", metavar="FILE.html", help="write a page with timeline, memory and tables")
    return out


def run(arguments: Sequence[str] | None) -> None:
    """Profile as the command line says; raises UserError."""
    args = parser().parse_args(arguments)
    if args.top < 0:
        raise UserError(f"--top {args.top}: a number of rows is not negative")
    if args.other is not None and (args.csv or args.trace or args.node_data or args.by != "operator"):
        raise UserError("two files are compared by operator, as text, with --json or --html")
    if args.advise and (args.reference is None or args.csv):
        raise UserError("--advise compiles the model anew: give it by --reference SOURCE, and no --csv")
    read = [_profile(path, args) for path in (args.model, args.other) if path is not None]
    profiles = [one for one, _ in read]
    first = profiles[0]
    advice = _advice(first, read[0][1], args) if args.advise else None
    files: list[tuple[Path, bytes]] = []
    if args.trace:
        from npuc.tools.profiling.trace import as_trace

        files.append((Path(args.trace), json.dumps(as_trace(first)).encode()))
    if args.node_data:
        from npuc.tools.profiling.node_data import node_data

        folder = Path(args.node_data)
        make_folder(folder)
        files += [(folder / f"{key}.json", json.dumps(data).encode()) for key, data in node_data(first).items()]
    if args.html:
        from npuc.tools.profiling.page import as_html

        other = None if args.other is None else (profiles[1], args.other)
        files.append((Path(args.html), as_html(first, args.model, other, advice).encode()))
    write_files(files)
    print(_text(profiles, advice, args))


def _advice(first: Profile, module: ModuleOp, args: argparse.Namespace) -> Advice:
    from npuc.tools.profiling.advice import target_of_file, target_of_profile, tried

    target = target_of_file(module) or target_of_profile(first, tuple(args.config or ()))
    return tried(first, read_file(args.reference), args.reference, target)


def _profile(path: str, args: argparse.Namespace) -> tuple[Profile, ModuleOp]:
    """The profile of a file, and the file decoded."""
    data = read_file(path)
    module = load(data, path)
    if args.debug_db is not None or args.reference is not None:
        from npuc.tools.profiling.vela_database import has_names

        if not has_names([op for op in module.ops if isinstance(op, ProgramOp)]):
            _name(module, data, path, args)
    return profile_module(module, path, args.config, args.system_config, args.memory_mode), module


def _name(module: ModuleOp, data: bytes, path: str, args: argparse.Namespace) -> None:
    """Finds out what the commands of a file work for that does not say it."""
    from npuc.tools.profiling.matching import match_commands, name_host
    from npuc.tools.profiling.vela_database import name_commands

    where: str | None = args.reference
    if where is None:
        name_commands(module, read_file(args.debug_db), args.debug_db, None)
        return
    source = read_file(where)
    reference = load(source, where)
    if args.debug_db is not None:
        name_commands(module, read_file(args.debug_db), args.debug_db, reference)
    elif data[4:8] == TFLITE:
        with progress(f"{path}: running it beside {where}, to see what its commands work for"):
            match_commands(module, data, path, reference, source, where)
    name_host(module, reference)


def _text(profiles: list[Profile], advice: Advice | None, args: argparse.Namespace) -> str:
    """What is printed."""
    from npuc.tools.profiling.tables import as_csv, as_data, as_text

    if args.csv:
        return as_csv(profiles[0], args.by).rstrip("\n")
    if len(profiles) > 1:
        from npuc.tools.profiling.comparison import comparison_data, comparison_text

        data = comparison_data(*profiles) if args.json else {}
        text = "" if args.json else comparison_text(profiles[0], profiles[1], (args.model, args.other), args.top)
    else:
        data = as_data(profiles[0], args.by) if args.json else {}
        text = "" if args.json else as_text(profiles[0], args.top, args.by)
    if advice is not None:
        from npuc.tools.profiling.advice import advice_data, advice_text

        data["advice"] = advice_data(advice)
        text += f"\n{advice_text(advice)}"
    return json.dumps(data, indent=2) if args.json else text


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tool; 0, or 1 after one line on standard error."""
    return exit_code("npu-profile", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
