"""Passes by name or from a file, pipelines from text, and what runs them on a module."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, get_args, get_type_hints

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.transforms import get_all_passes
from xdsl.utils.arg_spec import ArgSpec, parse_pipeline
from xdsl.utils.exceptions import ArgSpecParseError, DiagnosticException, ShrinkException
from xdsl.utils.hints import isa, type_repr

from npuc.dialects.locations import OperationError
from npuc.registry import all_passes
from npuc.tools.errors import UserError, format_error, one_line
from npuc.tools.verification import verify_operations

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PLUGINS = "npuc.passes"
"""The group of entry points in which installed packages offer passes."""


def load_pass_file(path: str) -> dict[str, Callable[[], type[ModulePass]]]:
    """The passes that a Python file defines, by name; raises UserError."""
    spec = spec_from_file_location(f"npuc_loaded_{Path(path).stem}", path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise UserError(f"{path}: no such Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever somebody else's file may raise
        raise UserError(f"{path}: {type(error).__name__}: {one_line(str(error))}") from None
    passes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ModulePass) and value.__module__ == spec.name
    ]
    if not passes:
        raise UserError(f"{path}: defines no pass")
    return pass_factories(passes)


def _constant_factory(pass_: type[ModulePass]) -> Callable[[], type[ModulePass]]:
    return lambda: pass_


def load_pass_files(paths: Sequence[str]) -> dict[str, Callable[[], type[ModulePass]]]:
    """The passes of several files, by name; raises UserError."""
    return {name: factory for path in paths for name, factory in load_pass_file(path).items()}


def pass_factories(passes: Sequence[type[ModulePass]]) -> dict[str, Callable[[], type[ModulePass]]]:
    """Classes as `parse_passes` takes them, by name."""
    return {pass_.name: _constant_factory(pass_) for pass_ in passes}


def plugin_passes() -> dict[str, Callable[[], type[ModulePass]]]:
    """
    The passes of installed packages, by name: those of the entry-point group `npuc.passes`.

    An entry point has the name of its pass and names the class; it is imported when the pass is wanted. The metadata of
    all installed packages is read for it, so that nothing asks before a name is not known otherwise.
    """
    from importlib.metadata import entry_points

    return {entry.name: _plugin_factory(entry) for entry in entry_points(group=PLUGINS)}


def _plugin_factory(entry: EntryPoint) -> Callable[[], type[ModulePass]]:
    def load() -> type[ModulePass]:
        where = f"plug-in {entry.name} ({entry.value})"
        try:
            pass_ = entry.load()
        except Exception as error:  # whatever somebody else's package may raise
            raise UserError(f"{where}: {type(error).__name__}: {one_line(str(error))}") from None
        if not (isinstance(pass_, type) and issubclass(pass_, ModulePass) and pass_.name == entry.name):
            raise UserError(f"{where}: it is no pass of this name")
        return pass_

    return load


def available_passes() -> dict[str, Callable[[], type[ModulePass]]]:
    """Name -> factory of xDSL's passes and ours."""
    return get_all_passes() | all_passes()


def parse_passes(pipeline: str, available: Mapping[str, Callable[[], type[ModulePass]]]) -> tuple[ModulePass, ...]:
    """
    The passes of a pipeline's text, those of plug-ins included.

    Raises UserError that says at which column of the text it is wrong.
    """
    passes: list[ModulePass] = []
    position = 0
    try:
        for spec in parse_pipeline(pipeline):
            position = pipeline.index(spec.name, position)
            where = f"pipeline:1:{position + 1}"
            position += len(spec.name)
            if spec.name not in available:
                available = plugin_passes() | dict(available)
            if spec.name not in available:
                import difflib

                close = difflib.get_close_matches(spec.name, available, 1)
                hint = f", did you mean {close[0]}?" if close else ""
                raise UserError(f"{where}: unknown pass {spec.name}{hint}")
            pass_ = available[spec.name]()
            problem = _option_problem(pass_, spec)
            if problem is not None:
                raise UserError(f"{where}: {spec.name}: {problem}")
            try:
                passes.append(pass_.from_pass_spec(spec))
            except ValueError as error:  # one is missing, or a value that the pass itself refuses
                raise UserError(f"{where}: {spec.name}: {one_line(str(error))}") from None
    except ArgSpecParseError as error:
        # "... specification:", "pass-pipeline:1:7", the text, the carets, the message
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise UserError(f"{lines[1].replace('pass-pipeline', 'pipeline')}: {lines[-1].strip()}") from None
    return tuple(passes)


def _option_problem(pass_: type[ModulePass], spec: ArgSpec) -> str | None:
    """Which option a pass does not have, or not with such a value; xDSL's own message does not say which."""
    types = get_type_hints(pass_)
    names = [field.name for field in fields(pass_) if field.init]
    for name, values in spec.normalize_parameter_names().parameters.items():
        shown = name.replace("_", "-")
        if name not in names:
            has = f"it has {', '.join(other.replace('_', '-') for other in names)}" if names else "it has none"
            return f"no option {shown}: {has}"
        wanted = types[name]
        if not values and type(None) in get_args(wanted):
            continue
        # To Python a bool is an int.
        flag = any(isinstance(value, bool) for value in values) and "bool" not in type_repr(wanted)
        if flag or not (isa(values, wanted) or (len(values) == 1 and isa(values[0], wanted))):
            text = str(ArgSpec("", {shown: values})).removeprefix("{").removesuffix("}")
            return f"option {text}: the value must be of type {type_repr(wanted).removeprefix('typing.')}"
    return None


def pipeline_text(passes: Sequence[ModulePass]) -> str:
    """The text that `parse_passes` turns into these passes."""
    return ",".join(str(pass_) for pass_ in passes)


@dataclass
class PassFailure(Exception):
    """A pass raised, or left a module that does not verify."""

    index: int
    """Which pass of the pipeline."""
    message: str
    """One line."""
    details: str
    """The traceback where the fault is the compiler's; else empty."""


AfterPass = Callable[[int, ModulePass, ModuleOp], None]
"""Called after each pass with its index, the pass and the module."""


def run_passes(
    ctx: Context,
    module: ModuleOp,
    passes: Sequence[ModulePass],
    *,
    file: str | None = None,
    verify_each: bool = True,
    before: Callable[[int, ModulePass], None] | None = None,
    after: AfterPass | None = None,
) -> None:
    """Applies the passes in order; `after` sees the module once it is verified. Raises PassFailure."""
    for index, pass_ in enumerate(passes):
        if before is not None:
            before(index, pass_)
        try:
            pass_.apply(ctx, module)
        except ShrinkException:
            raise
        except DiagnosticException as error:
            raise PassFailure(index, format_error(error, file, pass_.name), "") from error
        except Exception as error:  # a fault of ours: one line for the user, the traceback into the reproducer
            import traceback

            doing = f"{pass_.name}: internal error: {type(error).__name__}"
            raise PassFailure(index, format_error(error, file, doing), traceback.format_exc()) from error
        if verify_each:
            try:
                verify_operations(module)
            except OperationError as error:
                doing = f"the module does not verify after {pass_.name}"
                raise PassFailure(index, format_error(error, file, doing), "") from error
        if after is not None:
            after(index, pass_, module)
