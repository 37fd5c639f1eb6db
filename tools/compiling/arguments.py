"""
The command line of `npu-compile`: its own options, and all of vela 5.2.

Names and defaults are vela's. What an option of vela does here is one of three things: the same, the nearest that there
is, or nothing; an option that does nothing is in `WITHOUT_EFFECT` with one line that says so. docs/vela.md lists them
all, and a test holds the page against this file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import PurePath

from npuc import __version__
from npuc.tools.command_line import command_line
from npuc.tools.errors import UserError
from npuc.tools.stages import STAGES

WITHOUT_EFFECT = {
    "verbose-packing": "nothing is packed into passes: --verbose-schedule shows cascades",
    "verbose-tensor-purpose": "tensors have no such mark: --verbose-allocation says what the bytes hold",
    "force-symmetric-int-weights": "weights keep their zero points, so that results stay those of the model",
    "debug-force-legacy-core": "there is one core",
    "debug-force-regor": "there is one core",
    "disable-chaining": "Ethos-U55 and Ethos-U65 do not chain kernels",
    "disable-fwd": "Ethos-U55 and Ethos-U65 do not forward results",
}
"""Options of vela that are taken and do nothing here, with why."""
WITHOUT_EFFECT_OF_VALUE = {
    "tensor-allocator": "there is one allocator, which searches for the lowest peak as HillClimb does",
    "recursion-limit": "nothing depends on it",
    "hillclimb-max-iterations": "the allocator stops by itself",
    "experimental-softmax-int16-neg-exp-range": "int16 SOFTMAX equals LiteRT's",
}
"""The same of options with a value."""
Group = argparse._ArgumentGroup  # pyright: ignore[reportPrivateUsage]
ALLOCATORS = ("LinearAlloc", "Greedy", "HillClimb")
VERBOSE = {
    "config": "print the memories of the system",
    "graph": "print the operators, and the kernels that they become",
    "quantization": "print type, scale and zero point of each tensor",
    "tensor-format": "print memory and layout of each feature map",
    "schedule": "print the cascades, as `npu-profile --by cascade` does",
    "allocation": "print what lies where, and from which cycle to which",
    "high-level-command-stream": "print the commands, as `npu-profile --by command` does",
    "register-command-stream": "print the words of the command streams",
    "operators": "print how many operators of each type there are",
    "weights": "print the size of the weights, before and after encoding",
    "cycle-estimate": "print the cycles, and for how many of them each part is busy",
    "performance": "print a table by operator, and write it to DIR/MODEL_per-layer.csv",
    "progress": "print a line for each pass",
}
"""What `--verbose-NAME` does."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = command_line("npu-compile", "Compile quantised TFLite models for Arm Ethos-U55/U65")
    out.add_argument("models", metavar="MODEL.tflite", nargs="*")
    _target(out)
    _output(out)
    _passes(out)
    _questions(out)
    _verbose(out.add_argument_group("what to print"))
    _without_effect(out.add_argument_group("options of vela without effect"))
    return out


def _target(out: argparse.ArgumentParser) -> None:
    out.add_argument("--accelerator-config", default="ethos-u55-256", metavar="NAME")
    out.add_argument(
        "--config",
        metavar="FILE.ini",
        action="append",
        help="system configurations and memory modes in vela's format: a file, or one of --list-config-files",
    )
    out.add_argument("--system-config", metavar="NAME", help="of the file, or built in (--list-configs)")
    out.add_argument("--memory-mode", metavar="NAME")
    out.add_argument(
        "--arena-cache-size",
        type=int,
        metavar="BYTES",
        help="memory there is for feature maps: a limit, and to be spent. Without it, and where the memory mode names "
        "no size, Performance takes no more than whole feature maps need, and no buffers beside them",
    )
    out.add_argument(
        "--over-limit",
        choices=("refuse", "warn"),
        default="refuse",
        help="where no schedule keeps to the limit: an error, or the smallest that is found and a warning",
    )
    out.add_argument(
        "--optimise",
        choices=("Performance", "Size"),
        default="Performance",
        help="cycles first, or the least memory at no more than 1.25 times those cycles",
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
        "--ignore-ops", action="append", metavar="OP[,OP...]", help="operators that stay on the CPU, such as SOFTMAX"
    )
    out.add_argument(
        "--max-block-dependency",
        type=int,
        choices=range(4),
        metavar="{0,1,2,3}",
        help="most blocks of a kernel that may be under way when the next one starts",
    )
    out.add_argument("--disable-cascading", action="store_true", help="leave out the passes that form cascades")
    out.add_argument("--disable-buffering", action="store_true", help="leave out the passes that buffer weights")
    out.add_argument("--disable-ifm-reuse", action="store_true", help="leave out the pass that keeps an IFM in SHRAM")


def _output(out: argparse.ArgumentParser) -> None:
    out.add_argument("--output-dir", default="output", metavar="DIR")
    out.add_argument("-o", "--output", metavar="FILE.tflite", help="instead of DIR/MODEL_npuc.tflite, and nothing else")
    out.add_argument(
        "--suffix", default="_npuc", metavar="TEXT", help="instead of _npuc: `--suffix=_vela` names files as vela does"
    )
    out.add_argument(
        "--output-format",
        choices=("tflite", "raw"),
        default="tflite",
        help="raw: the network, which has to be one region, as arrays in DIR/MODEL_npuc.npz",
    )
    out.add_argument("--parts-dir", metavar="DIR", help="also write command streams and read-only data as files")
    out.add_argument("--json", action="store_true", help="print the summary as JSON")
    out.add_argument(
        "--report",
        metavar="FILE.html",
        help="write a page that shows where time and memory go, and what would change it: compiles for that some times",
    )
    out.add_argument("--enable-debug-db", action="store_true", help="write DIR/MODEL_debug.xml, tables as vela's")
    out.add_argument(
        "--no-debug-info", action="store_true", help="leave out which operator of the source each command works for"
    )
    out.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="processes for several models")


def _passes(out: argparse.ArgumentParser) -> None:
    out.add_argument(
        "--dump-ir", metavar="DIR", help="write the module after each pass to files in DIR, and an index.md"
    )
    out.add_argument("--inline-constants", action="store_true", help="there, large constants stand in the text itself")
    out.add_argument(
        "--to",
        choices=STAGES[:-1],
        metavar="LEVEL",
        help=f"write the module once this is done, as DIR/MODEL_LEVEL.mlir: {', '.join(STAGES[:-1])}",
    )
    out.add_argument("--pipeline", metavar="PASSES", help="run these passes in place of the usual ones")
    out.add_argument(
        "--load-pass", metavar="FILE.py", action="append", default=[], help="passes for --pipeline in a Python file"
    )
    out.add_argument("--print-pipeline", action="store_true", help="print the passes that would run, and stop")
    out.add_argument(
        "--rebuild", metavar="COMPILED.tflite", help="make the bytes of this file again, as it says that it was made"
    )
    out.add_argument("--source", metavar="MODEL.tflite", help="of what --rebuild makes them")
    out.add_argument(
        "--verify-each", action="store_true", help="verify after every pass, not only where a level is complete"
    )


def _questions(out: argparse.ArgumentParser) -> None:
    out.add_argument("--version", action="version", version=__version__)
    out.add_argument("--api-version", action="version", version=f"{__version__} (there is no API like vela's)")
    out.add_argument("--supported-ops-report", action="store_true", help="write SUPPORTED_OPS.md, and stop")
    out.add_argument("--list-config-files", action="store_true", help="print the built-in files for --config, and stop")
    out.add_argument("--list-configs", metavar="FILE.ini", help="print the names in one of them, and stop")


def _verbose(out: Group) -> None:
    out.add_argument("--verbose-all", action="store_true", help="all of these")
    for name, text in VERBOSE.items():
        out.add_argument(f"--verbose-{name}", action="store_true", help=text)
    out.add_argument("--show-cpu-operations", action="store_true", help="print where each operator runs")
    out.add_argument("--show-subgraph-io-summary", action="store_true", help="print inputs and outputs of the network")
    out.add_argument("--timing", action="store_true", help="print how long the compiler took")


def _without_effect(out: Group) -> None:
    for name, text in WITHOUT_EFFECT.items():
        out.add_argument(f"--{name}", action="store_true", help=text)
    choices = {"tensor-allocator": ALLOCATORS}
    for name, text in WITHOUT_EFFECT_OF_VALUE.items():
        type_ = str if name in choices else float if "range" in name else int
        out.add_argument(f"--{name}", type=type_, choices=choices.get(name), metavar="VALUE", help=text)
    out.add_argument("--cpu-tensor-alignment", type=int, default=16, metavar="BYTES", help="always 16")
    out.add_argument("--cop-format", choices=("COP1", "COP2"), default="COP1", help="always COP1")
    out.add_argument("--separate-io-regions", action="store_true", help="see --external-inputs, which is near to it")


def read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, `internal-default` and abbreviations resolved; raises UserError for what cannot be together."""
    args = parser().parse_args(arguments)
    if args.accelerator_config.startswith("ethos-u85"):
        raise UserError(f"--accelerator-config {args.accelerator_config}: npuc compiles for Ethos-U55 and Ethos-U65")
    for name in ("system_config", "memory_mode"):
        if getattr(args, name) == "internal-default":
            setattr(args, name, None)
    if args.cpu_tensor_alignment < 16 or args.cpu_tensor_alignment & (args.cpu_tensor_alignment - 1):
        raise UserError(f"--cpu-tensor-alignment {args.cpu_tensor_alignment}: it is a power of 2 of at least 16")
    reach = args.experimental_softmax_int16_neg_exp_range
    if reach is not None and not 0 < reach < 65535:
        raise UserError(f"--experimental-softmax-int16-neg-exp-range {reach:g}: it lies between 0 and 65535")
    if args.separate_io_regions and args.cop_format == "COP1":
        raise UserError("--separate-io-regions: it goes with --cop-format COP2")
    if args.jobs < 1:
        raise UserError(f"--jobs {args.jobs}: it takes at least one process")
    if args.verbose_all:
        for name in VERBOSE:
            setattr(args, f"verbose_{name.replace('-', '_')}", True)
    if (args.rebuild is None) != (args.source is None):
        raise UserError("--rebuild COMPILED and --source MODEL go together")
    if args.rebuild is not None:
        if args.models:
            raise UserError(f"{args.models[0]}: --rebuild makes one file of what --source names")
        args.models = [args.source]
    if not (args.supported_ops_report or args.list_config_files or args.list_configs or args.print_pipeline):
        _check_models(args)
    return args


def _check_models(args: argparse.Namespace) -> None:
    if not args.models:
        raise UserError("no model is named (see --help)")
    if PurePath(f"a{args.suffix}").name != f"a{args.suffix}":
        raise UserError(f"--suffix {args.suffix}: it is part of a file's name, not of a folder's")
    if args.output is not None and args.output_format == "raw":
        raise UserError("--output-format raw: it goes with --output-dir, not with --output")
    if len(args.models) == 1:
        return
    for name in ("output", "parts_dir", "report", "dump_ir"):
        if getattr(args, name) is not None:
            raise UserError(f"--{name.replace('_', '-')}: it is for one model, not for {len(args.models)}")
    stems: dict[str, str] = {}
    for model in args.models:
        other = stems.setdefault(PurePath(model).stem, model)
        if other is not model:
            raise UserError(f"{other} and {model} would be written to one file")


def wants_sections(args: argparse.Namespace) -> bool:
    """Whether a command line asks for more to be printed than the summary."""
    flags = [value for name, value in vars(args).items() if name.startswith("verbose_")]
    return any(flags) or args.show_cpu_operations or args.show_subgraph_io_summary or args.timing


def notes(args: argparse.Namespace) -> list[str]:
    """One line for each option that does not do what it does for vela."""
    given = [
        f"--{name}: {text}"
        for name, text in (WITHOUT_EFFECT | WITHOUT_EFFECT_OF_VALUE).items()
        if getattr(args, name.replace("-", "_")) not in (None, False)
    ]
    if args.cpu_tensor_alignment > 16:
        given.append(f"--cpu-tensor-alignment {args.cpu_tensor_alignment}: tensors lie at multiples of 16 bytes")
    if args.cop_format != "COP1":
        given.append(f"--cop-format {args.cop_format}: driver payloads are COP1, the format of Ethos-U55 and Ethos-U65")
    if args.separate_io_regions:
        given.append("--separate-io-regions: inputs and outputs lie in the arena, inputs not with --external-inputs")
    return given
