"""
What made a compiled file: the model, the passes with their options, versions, and what came from other files.

Two attributes of the module carry it until `convert-npu-cmd-to-tfl` writes them into the file's metadata:
`npu.pipeline`, the text of the pipeline, and `npu.origin`, a JSON object with

    npuc, xdsl  their versions
    source      sha256 of the TFLite file that came in, where one did
    passes      of each pass of the pipeline that is neither npuc's nor xDSL's, the sha256 of the file that defines it
    config      the texts of the configuration files that the pipeline names, without comments

so that the same bytes can be made again from the model and the files of those passes alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

import xdsl
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.passes import ModulePass

from npuc import __version__
from npuc.dialects.tfl import ConstBytesAttr
from npuc.hardware.memory import configuration_text
from npuc.lowering.convert_npu_cmd_to_tfl import ORIGIN, PIPELINE
from npuc.passes.npu_set_target import NpuSetTargetPass
from npuc.tools.errors import UserError
from npuc.tools.passes import pipeline_text


@dataclass(frozen=True)
class Origin:
    """What made a file; hashes are sha256 in hexadecimal digits, empty where there is nothing to hash."""

    pipeline: str
    npuc: str = __version__
    xdsl: str = ""
    source: str = ""
    passes: Mapping[str, str] = field(default_factory=dict[str, str])
    """By the names of passes that are not ours."""
    config: Mapping[str, str] = field(default_factory=dict[str, str])
    """Texts by the names of files."""


def note_origin(module: ModuleOp, passes: Sequence[ModulePass], source: bytes | None) -> None:
    """Writes on a module which passes run over it, and which TFLite file it was."""
    module.attributes[PIPELINE] = StringAttr(pipeline_text(passes))
    origin = Origin(
        "",
        xdsl=xdsl_version(),
        source="" if source is None else sha256(source).hexdigest(),
        passes={one.name: hash_of(type(one)) for one in passes if not _is_known(type(one))},
        config={name: text for one in passes if isinstance(one, NpuSetTargetPass) for name, text in _texts(one.config)},
    )
    known = {name: value for name, value in asdict(origin).items() if value}
    module.attributes[ORIGIN] = StringAttr(json.dumps(known, sort_keys=True, separators=(",", ":")))


def xdsl_version() -> str:
    """That of xDSL, from the name of its installation where there is one: asking Python for it takes far longer."""
    folder = Path(xdsl.__file__).parent
    installed = [one.name for one in folder.parent.glob("xdsl-*.dist-info")]
    return installed[0].split("-")[1].removesuffix(".dist") if len(installed) == 1 else str(xdsl.__version__)


def _is_known(pass_: type[ModulePass]) -> bool:
    """Whether a pass comes with the versions that are written down."""
    return pass_.__module__.partition(".")[0] in ("npuc", "xdsl")


def hash_of(pass_: type[ModulePass]) -> str:
    """The sha256 of the file that defines a pass; empty where it was typed in. What that file imports is not in it."""
    path = getattr(sys.modules.get(pass_.__module__), "__file__", None)
    return sha256(Path(path).read_bytes()).hexdigest() if path and Path(path).is_file() else ""


def _texts(files: Sequence[str]) -> list[tuple[str, str]]:
    """The files that are there, which built-in ones are not, without comments and empty lines."""
    texts: list[tuple[str, str]] = []
    for name in files:
        text = configuration_text(name)
        if text is None:  # built in, or the pass that reads it says what is wrong
            continue
        kept = [line.rstrip() for line in text.splitlines() if line.strip() and line.strip()[0] not in "#;"]
        texts.append((name, "".join(f"{line}\n" for line in kept)))
    return texts


def origin_of(module: ModuleOp, name: str) -> Origin:
    """What a compiled file, read as a module, says of itself; raises UserError where it says nothing."""
    metadata = module.attributes.get("tfl.metadata")
    entries: dict[str, bytes] = {}
    for entry in metadata.data if isinstance(metadata, ArrayAttr) else ():
        if isinstance(entry, DictionaryAttr):
            key, data = entry.data.get("name"), entry.data.get("data")
            if isinstance(key, StringAttr) and isinstance(data, ConstBytesAttr):
                entries[key.data] = data.data
    if "npuc_pipeline" not in entries:
        raise UserError(f"{name}: it does not say by which pipeline it was made")
    try:
        return Origin(entries["npuc_pipeline"].decode(), **json.loads(entries.get("npuc_origin", b"{}")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{name}: its metadata npuc_origin is damaged: {error}") from None


def check_passes(origin: Origin, available: Mapping[str, Callable[[], type[ModulePass]]], name: str) -> None:
    """Raises UserError unless the passes of others are there as they were when the file `name` was made."""
    from npuc.tools.passes import plugin_passes

    if not origin.passes:
        return
    factories = plugin_passes() | dict(available)
    for one, digest in origin.passes.items():
        if one not in factories:
            raise UserError(f"{name}: it was made by pass {one}, whose file --load-pass must name")
        if not digest or hash_of(factories[one]()) != digest:
            raise UserError(f"{name}: pass {one} is not the one that made it (sha256 {digest or 'unknown'})")
