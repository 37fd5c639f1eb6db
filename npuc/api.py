"""
The compiler as a library: what `import npuc` gives. The commands call the same functions.

A model is a path, the bytes of a file, or what `compile` gave. What its caller can do something about is raised as
`UserError`, one line. docs/library.md shows all of it at work.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from npuc.tools.compiling.compile import Compiled, compile_tflite
from npuc.tools.errors import UserError
from npuc.tools.files import read_file
from npuc.tools.ir import decode_streams, load_module, make_context
from npuc.tools.passes import PassFailure, available_passes, parse_passes, pass_factories, run_passes
from npuc.tools.pipeline import Target
from npuc.tools.verification import verify

if TYPE_CHECKING:
    from npuc.simulator.compare import Comparison
    from npuc.simulator.runner import Inputs, RunResult
    from npuc.tools.profiling.profile import Profile
    from npuc.tools.sweep.run import sweep

__all__ = ["Compiled", "Model", "Target", "UserError", "compile", "optimise", "profile", "run", "sweep"]

Model = str | PathLike[str] | bytes | Compiled
"""A path, the bytes of a file, or what `compile` gave."""


def compile(  # the name of what it does, of the module, not of Python
    model: Model,
    target: Target | None = None,
    *,
    pipeline: str | None = None,
    passes: Sequence[type[ModulePass]] = (),
    over_limit: Literal["refuse", "warn"] = "refuse",
    dump: str | None = None,
) -> Compiled:
    """
    Compile a TFLite model, as `npu-compile` does.

    `target` says what for, with the defaults of `npu-compile`; its limit is in bytes. `pipeline`, a text, takes the
    place of the usual passes and of the target; it may name `passes`, classes of one's own. `over_limit` "warn": where
    no schedule keeps to the limit, the smallest that is found, and `summary.missed` says by how many bytes it is over.
    `dump` is a folder for the module after each pass.

    In the result `data` are the bytes of the compiled file, `summary` has sizes in bytes and times in cycles of the
    core and milliseconds, and `profile` is what `profile` gives, or None where nothing is on the NPU. Raises UserError.
    """
    data, name = _read(model)
    return compile_tflite(
        data,
        target,
        name=name,
        passes=pipeline,
        own=pass_factories(passes),
        over_limit=over_limit,
        dump=dump,
        want_figures=True,
    )


def optimise(
    module: ModuleOp | Model,
    pipeline: str,
    *,
    passes: Sequence[type[ModulePass]] = (),
) -> ModuleOp:
    """
    Run a pipeline, a text such as "npu-set-target,tfl-partition", over a module, as `npu-opt` does; gives a new module.

    `module` may be a file as well: a TFLite model, a compiled one, whose command streams are decoded, or a text in MLIR
    syntax. `passes` are classes of one's own that the pipeline names. The module is verified before the first pass and
    after each. Raises UserError, which names the pass.
    """
    ctx, name = make_context(), "module"
    if isinstance(module, ModuleOp):
        result = module.clone()
    else:
        data, name = _read(module, name)
        result = load_module(ctx, data, name)
        decode_streams(ctx, result, name)
    verify(result, name)
    chain = parse_passes(pipeline, available_passes() | pass_factories(passes))
    try:
        run_passes(ctx, result, chain, file=name)
    except PassFailure as failure:
        raise UserError(failure.message) from failure
    return result


@overload
def run(compiled: Model, reference: None = None, *, inputs: Inputs | None = None, seed: int = 0) -> RunResult: ...


@overload
def run(compiled: Model, reference: Model, *, inputs: Inputs | None = None, seed: int = 0) -> Comparison: ...


def run(
    compiled: Model,
    reference: Model | None = None,
    *,
    inputs: Inputs | None = None,
    seed: int = 0,
) -> RunResult | Comparison:
    """
    One inference of a compiled file on the simulated NPU, its CPU operators on LiteRT.

    `inputs` are arrays by the tensors' names or positions, of the tensors' own shapes and types; those that are absent
    are drawn from `seed`, which chooses their kind, too. Without a reference the result has `outputs`, arrays by the
    tensors' names, and `reports`, a line for each race, undefined byte or broken rule of layout. With `reference`, the
    model that the file was compiled from, it is a comparison with LiteRT: whether it is `exact`, the `differences`,
    the `reports`, and `result` as before. Raises UserError for what cannot be run.
    """
    from npuc.simulator.isolation import SourceError
    from npuc.simulator.runner import Session, load
    from npuc.simulator.stream import StreamError

    data, name = _read(compiled)
    source = None if reference is None else _read(reference, "reference")
    try:
        loaded = load(data)
        if source is None:
            return Session(loaded).run(inputs, seed)
        from npuc.simulator.compare import Comparer

        return Comparer(loaded, source[0]).run(inputs, seed)
    except SourceError as error:
        raise UserError(f"{name if source is None else source[1]}: {error}") from None
    except StreamError as error:
        raise UserError(f"{name}: {error}") from None


def profile(
    compiled: Model,
    *,
    config: Sequence[str] = (),
    system_config: str | None = None,
    memory_mode: str | None = None,
) -> Profile:
    """
    How long a compiled file takes, ours or vela's, and what for, as `npu-profile` does.

    The system and its memories are those that the file names; `config` are files in vela's `.ini` format. The result
    has `cycles` of the core, `milliseconds`, `arena` and `fast` in bytes, and a timeline for each region. Raises
    UserError.
    """
    from npuc.tools.profiling.profile import profile as profile_bytes

    data, name = _read(compiled)
    return profile_bytes(data, name=name, config=config, system_config=system_config, memory_mode=memory_mode)


def _read(model: Model, name: str = "model.tflite") -> tuple[bytes, str]:
    """Bytes, and what messages call them; raises UserError."""
    if isinstance(model, Compiled):
        return model.data, name
    if isinstance(model, bytes):
        return model, name
    path = str(Path(model))
    return read_file(path), path


def __getattr__(name: str) -> object:
    if name == "sweep":  # what it needs is for sweeps alone
        from npuc.tools.sweep.run import sweep

        return sweep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
