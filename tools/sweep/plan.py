"""
What a sweep is to run: every combination of models, machines, strategies, limits and options of passes.

A combination is plain data and has a key: the hash of the model, of everything it is compiled with, and of the compiler
itself. Equal keys have equal results, so that a row that is there need not be made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Literal

from xdsl.utils.arg_spec import ArgSpec, parse_pipeline
from xdsl.utils.exceptions import ArgSpecParseError

import npuc
from npuc.hardware.accelerators import accelerator
from npuc.hardware.memory import BUILT_IN, default_names, system_files
from npuc.tools.errors import UserError
from npuc.tools.files import read_file
from npuc.tools.passes import available_passes, parse_passes
from npuc.tools.pipeline import Target, pipeline

Strategy = Literal["Performance", "Size"]
STRATEGIES: tuple[Strategy, ...] = ("Performance", "Size")
OURS = "npuc"
VELA = {"vela regor": (), "vela legacy": ("--debug-force-legacy-core",)}
"""Vela's two cores, and the options that each takes."""
COMPILERS = (OURS, *VELA)
ALIGNMENT = 16
"""Limits between two that are given are multiples of so many bytes, as addresses are."""
TFLITE = b"TFL3"
"""What a TFLite file has behind its first four bytes."""
_TOOLS = ("pipeline.py", "compiling/compile.py", "sweep/measure.py", "profiling/bounds.py", "profiling/profile.py")
"""Of the tools, those that a result depends on."""


def _hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Model:
    """A network by name."""

    name: str
    data: bytes = field(repr=False)
    """The TFLite file."""

    @property
    def sha256(self) -> str:
        """Of the file, in hexadecimal."""
        return _hash_of(self.data)


@dataclass(frozen=True)
class Combination:
    """What one row of a sweep is compiled with; None where the usual value is meant."""

    model: str
    """Its name."""
    sha256: str
    """Of the model."""
    accelerator: str
    system_config: str
    memory_mode: str
    strategy: Strategy = "Performance"
    limit: int | None = None
    """Bytes: `--arena-cache-size`."""
    options: tuple[tuple[str, str], ...] = ()
    """Of passes: `pass.option` and its value, as in the text of a pipeline."""
    compiler: str = OURS
    """One of `COMPILERS`."""
    version: str = ""
    """Of the compiler."""
    config: tuple[str, ...] = ()
    """Files in vela's .ini format, by path."""
    config_sha256: str = ""
    """Of what is in them."""

    @property
    def key(self) -> str:
        """A hash of everything that the result depends on, in hexadecimal."""
        known = {name: value for name, value in asdict(self).items() if name not in ("model", "config")}
        return _hash_of(json.dumps(known, sort_keys=True).encode())

    @property
    def target(self) -> Target:
        """The same as npu-compile has it."""
        strategy = "size" if self.strategy == "Size" else "performance"
        return Target(self.accelerator, self.config, self.system_config, self.memory_mode, self.limit, strategy)

    @property
    def pipeline(self) -> str:
        """The passes that it runs through; raises UserError for an option that none of them has."""
        return with_options(pipeline(self.target), self.options)

    @property
    def setting(self) -> str:
        """All but the model and the accelerator, in short."""
        compiler = "" if self.compiler == OURS else self.compiler
        limit = "" if self.limit is None else f"limit {self.limit}"
        options = (f"{name}={value}" for name, value in self.options)
        usual = default_names(accelerator(self.accelerator))[0]
        system = "" if self.system_config == usual else self.system_config
        return ", ".join(filter(None, (compiler, self.memory_mode, system, self.strategy, limit, *options)))


def combinations(
    models: Sequence[Model],
    accelerators: Sequence[str],
    memory_modes: Sequence[str | None] = (None,),
    strategies: Sequence[Strategy] = ("Performance",),
    limits: Sequence[int | None] = (None,),
    options: Mapping[str, Sequence[str]] | None = None,
    *,
    system_config: str | None = None,
    config: Sequence[str] = (),
    vela_version: str | None = None,
) -> list[Combination]:
    """
    Every combination, those of a model one behind the other, vela's points last.

    Limits are bytes; a memory mode of None is the usual one of each accelerator. Raises UserError for an accelerator
    that there is not, and for an option of a pass that there is not or whose value it does not take. Memory modes that
    an accelerator does not have are combinations that fail.
    """
    files = tuple(config)
    known = {BUILT_IN, *system_files()}
    contents = [_hash_of(read_file(path)) for path in files if Path(path).exists() or path not in known]
    ours = version()
    planned: list[Combination] = []
    for model, name in product(models, accelerators):
        sha256 = model.sha256
        try:
            usual = default_names(accelerator(name))
        except ValueError as error:
            raise UserError(str(error)) from None
        for mode in dict.fromkeys(mode or usual[1] for mode in memory_modes):
            machine = model.name, sha256, name, system_config or usual[0], mode
            for strategy, limit, chosen in product(strategies, limits, _choices(options or {})):
                planned.append(
                    Combination(*machine, strategy, limit, chosen, OURS, ours, files, " ".join(contents)),
                )
            if vela_version is not None:
                for core, strategy in product(VELA, STRATEGIES):
                    planned.append(
                        Combination(*machine, strategy, None, (), core, vela_version, files, " ".join(contents)),
                    )
    for one in {(one.accelerator, one.options): one for one in planned if one.options}.values():
        parse_passes(one.pipeline, available_passes())
    return list({one.key: one for one in planned}.values())


def _choices(options: Mapping[str, Sequence[str]]) -> Iterator[tuple[tuple[str, str], ...]]:
    for values in product(*options.values()):
        yield tuple(zip(options, values, strict=True))


def with_options(text: str, options: Sequence[tuple[str, str]]) -> str:
    """
    A pipeline's text with options of its passes, each as `pass.option` and its value.

    Raises UserError where there is no such pass, or the value cannot be read.
    """
    passes = list(parse_pipeline(text))
    for name, value in options:
        pass_name, _, option = name.rpartition(".")
        places = [at for at, spec in enumerate(passes) if spec.name == pass_name]
        if not option or not places:
            import difflib

            close = difflib.get_close_matches(pass_name or option, [spec.name for spec in passes], 1)
            hint = f", did you mean {close[0]}?" if close else ""
            raise UserError(f"--options {name}={value}: the pipeline has no pass {pass_name or option!r}{hint}")
        for at in places:
            earlier = passes[at].normalize_parameter_names().parameters
            chosen = _value(name, option, value).normalize_parameter_names().parameters
            passes[at] = ArgSpec(pass_name, {**earlier, **chosen})
    return ",".join(str(spec) for spec in passes)


def _value(name: str, option: str, value: str) -> ArgSpec:
    """The value as a pipeline has it: a number, true or false, or text."""
    # A word is text, which a pipeline may have without quotes, but for some characters.
    for text in (value, json.dumps(value)):
        try:
            (spec,) = parse_pipeline(f"x{{{option}={text}}}")
            return spec
        except (ArgSpecParseError, ValueError):
            continue
    raise UserError(f"--options {name}={value}: not a name and a value of an option")


def read_limits(text: str) -> list[int | None]:
    """
    The limits of a text: `none`, bytes, or LOW:HIGH:COUNT for so many evenly from LOW to HIGH, in multiples of 16
    between these; several with commas. Raises UserError.
    """
    limits: list[int | None] = []
    for part in text.split(","):
        numbers = part.split(":")
        if part == "none":
            limits.append(None)
        elif len(numbers) == 1 and part.isdecimal():
            limits.append(int(part))
        elif len(numbers) == 3 and all(number.isdecimal() for number in numbers):
            low, high, count = map(int, numbers)
            if high < low or count < 2:
                raise UserError(f"--limits {part}: LOW:HIGH:COUNT needs LOW up to HIGH and a COUNT of 2 or more")
            between = [
                low + (high - low) * step // (count - 1) // ALIGNMENT * ALIGNMENT for step in range(1, count - 1)
            ]
            limits += [low, *(limit for limit in between if limit > low), high]
        else:
            raise UserError(f"--limits {part}: neither none, nor bytes, nor LOW:HIGH:COUNT")
    return list(dict.fromkeys(limits))


def read_options(texts: Sequence[str]) -> dict[str, list[str]]:
    """The values of each option of `pass.option=value,value`; raises UserError."""
    options: dict[str, list[str]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or "." not in name or not values:
            raise UserError(f"--options {text}: not PASS.OPTION=VALUE,VALUE")
        options.setdefault(name, []).extend(values.split(","))
    return options


def read_strategies(text: str) -> list[Strategy]:
    """The names of strategies, with commas; raises UserError."""
    unknown = [name for name in text.split(",") if name not in STRATEGIES]
    if unknown:
        raise UserError(f"--strategies {unknown[0]}: neither {' nor '.join(STRATEGIES)}")
    return [one for one in STRATEGIES if one in text.split(",")]


def read_models(paths: Sequence[str | Path]) -> list[Model]:
    """The files, and those that lie in a folder; named as they are without the ending. Raises UserError."""
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(path.glob("*.tflite"))
            if not inside:
                raise UserError(f"{path}: no .tflite file is in this folder")
            files += inside
        else:
            files.append(path)
    models = [Model(path.stem, read_file(str(path))) for path in files]
    for path, model in zip(files, models, strict=True):
        if model.data[4:8] != TFLITE:
            raise UserError(f"{path}: not a TFLite model")
    return models


@cache
def version() -> str:
    """Of npuc: its number, and a hash of the source of all that compiles, times and proves."""
    folder = Path(npuc.__file__).parent
    inside = [folder / "tools" / name for name in _TOOLS]
    for part in sorted(one for one in folder.iterdir() if one.is_dir() and one.name != "tools"):
        inside += sorted(path for path in part.rglob("*") if path.suffix in (".py", ".ini"))
    digest = hashlib.sha256()
    for path in inside:
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return f"{npuc.__version__}+{digest.hexdigest()[:12]}"
