"""One model of a command line: read, compiled, written with all that belongs to it, and what is to be said of it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xdsl.dialects.builtin import ModuleOp

from npuc.tools.command_line import note
from npuc.tools.compiling.arguments import wants_sections
from npuc.tools.compiling.compile import Compiled, Watcher, compile_tflite
from npuc.tools.errors import UserError
from npuc.tools.files import make_folder, read_file, write_files
from npuc.tools.passes import load_pass_files
from npuc.tools.pipeline import BUFFERING, CASCADING, IFM_REUSE, Target
from npuc.tools.process import CLEAR_LINE

if TYPE_CHECKING:
    from npuc.tools.profiling.levels import Levels
    from npuc.tools.profiling.profile import Profile


class Result(NamedTuple):
    """What came of a model."""

    output: Path
    text: str
    """For people."""
    data: dict[str, Any]
    """The same for programs."""
    warning: str
    """One line, or empty."""


def target_of(args: argparse.Namespace) -> Target:
    """What a command line says of the target; raises UserError."""
    ignored = ",".join(args.ignore_ops or ()).upper().split(",")
    return Target(
        accelerator=args.accelerator_config,
        # Forward slashes, since a backslash has a meaning in the text of a pipeline.
        config=tuple(Path(one).as_posix() for one in args.config or ()),
        system_config=args.system_config,
        memory_mode=args.memory_mode,
        limit=args.arena_cache_size,
        strategy="size" if args.optimise == "Size" else "performance",
        external_inputs=args.external_inputs,
        integer_io=args.integer_io,
        round_trip=args.round_trip,
        debug_info=not args.no_debug_info,
        ignore=tuple(name for name in ignored if name),
        block_dependency=args.max_block_dependency,
        leave_out=(CASCADING if args.disable_cascading else frozenset())
        | (BUFFERING if args.disable_buffering else frozenset())
        | (IFM_REUSE if args.disable_ifm_reuse else frozenset()),
    )


class _Progress(Watcher):
    """A line on the terminal that says which pass runs."""

    def before(self, index: int, count: int, name: str, module: ModuleOp) -> None:
        note(f"{CLEAR_LINE}[{index + 1}/{count}] {name}", end="")


class _Files(Watcher):
    """Makes the files beside the model that depend on its programs."""

    def __init__(self, args: argparse.Namespace, name: str) -> None:
        self.args, self.name = args, name
        self.made: dict[str, bytes] = {}
        """By the end of their names."""

    def finished(self, module: ModuleOp, profile: Profile | None) -> None:
        """Later the programs are bytes of a file."""
        args = self.args
        self.made = {}
        if args.output_format == "raw":
            from npuc.tools.compiling.raw import npz

            self.made[f"{args.suffix}.npz"] = npz(module, self.name)
        if profile is None:
            return
        if args.enable_debug_db:
            from npuc.tools.compiling.tables import debug_database

            self.made["_debug.xml"] = debug_database(self.name, module).encode()
        if args.verbose_performance:
            from npuc.tools.compiling.tables import per_layer_csv

            self.made["_per-layer.csv"] = per_layer_csv(profile).encode()


def compile_model(model: str, args: argparse.Namespace, progress: bool = False) -> Result:
    """Compiles one model of a command line and writes its files; raises UserError."""
    base = Path(args.output_dir) / Path(model).stem
    ending = f"{args.suffix}{'.npz' if args.output_format == 'raw' else '.tflite'}"
    output = base.with_name(base.name + ending) if args.output is None else Path(args.output)
    files, verbose = _Files(args, model), None
    watchers: list[Watcher] = [*([_Progress()] if progress else []), *([files] if args.output is None else [])]
    if wants_sections(args):
        from npuc.tools.compiling.verbose import Verbose

        verbose = Verbose(args)
        watchers.append(verbose)
    levels: Levels | None = None
    if args.report is not None:
        from npuc.tools.profiling.levels import Levels

        levels = Levels()
        watchers.append(levels)
    data = read_file(model)
    own = load_pass_files(args.load_pass)
    try:
        compiled = compile_tflite(
            data,
            target_of(args),
            name=model,
            passes=args.pipeline,
            own=own,
            verify_each=args.verify_each,
            dump=args.dump_ir,
            inline=args.inline_constants,
            want_parts=args.parts_dir is not None,
            want_figures=True,
            over_limit=args.over_limit,
            watchers=watchers,
        )
    finally:
        if progress:
            note(CLEAR_LINE, end="")
    page, advice = (None, "") if levels is None else _report(compiled, str(output), data, levels, args, model)
    _write(compiled, output, base, files.made, page, args, model)
    summary = compiled.summary
    text = f"{'' if verbose is None else verbose.text(summary)}{output}\n{summary.text()}{advice}"
    warning = ""
    if summary.missed and args.over_limit == "warn":
        warning = f"{model}: no schedule keeps to {summary.scarce_limit} bytes: this one is {summary.missed} over"
    return Result(output, text, {"model": model, "output": str(output), **asdict(summary)}, warning)


def _write(
    compiled: Compiled,
    output: Path,
    base: Path,
    beside: dict[str, bytes],
    page: bytes | None,
    args: argparse.Namespace,
    model: str,
) -> None:
    """Writes the model and what belongs to it, all of it or nothing; raises UserError."""
    files: list[tuple[Path, bytes]] = [] if args.output_format == "raw" else [(output, compiled.data)]
    if args.output_format == "raw" and not beside:
        raise UserError(f"--output-format raw: nothing of {model} is on the NPU")
    files += [(base.with_name(base.name + ending), data) for ending, data in beside.items()]
    if args.output is None:
        from npuc.tools.compiling.summary_csv import summary_csv

        name = f"{base.name}_summary_{compiled.summary.system_config}.csv"
        files.append((base.with_name(name), summary_csv(base.name, target_of(args), compiled).encode()))
    if args.parts_dir is not None:
        files += [(Path(args.parts_dir) / name, data) for name, data in compiled.parts.items()]
    if page is not None:
        files.append((Path(args.report), page))
    for path, _ in files:
        make_folder(path.parent)
    write_files(files)


def _report(
    compiled: Compiled, name: str, source: bytes, levels: Levels, args: argparse.Namespace, model: str
) -> tuple[bytes, str]:
    """The page about a compiled file of which something is on the NPU, and lines about what would change it."""
    from npuc.tools.profiling.advice import advice_text, tried
    from npuc.tools.profiling.page import as_html
    from npuc.tools.profiling.profile import profile

    if compiled.profile is None:
        raise UserError(f"--report: nothing of {model} is on the NPU, so that there is nothing to show")
    config, system, mode = args.config or (), args.system_config, args.memory_mode
    known = profile(compiled.data, name=name, config=config, system_config=system, memory_mode=mode)
    # Another pipeline is not one that trials would run.
    advice = tried(known, source, model, target_of(args)) if args.pipeline is None else None
    text = "" if advice is None else f"\n{advice_text(advice)}"
    return as_html(known, name, advice=advice, levels=levels).encode(), text
