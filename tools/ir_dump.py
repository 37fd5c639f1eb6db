"""
`--dump-ir DIR`: the module before the first pass and after each, as files from which anybody can go on.

    00-input.mlir, 01-npu-set-target.mlir, ...   complete: with locations, so that the file in the end is the same
    01-npu-set-target.diff, ...                  what a pass has changed; none where it has changed nothing
    constants.npz                                large constants, each once: `dense_resource<constant_3>` in the text
    index.md                                     all passes, how much each has changed, and how to go on from there

`npu-opt` finds `constants.npz` beside the text that it reads. With `inline` constants stand in the text, which then is
complete by itself.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from difflib import unified_diff
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, ModuleOp
from xdsl.ir import Attribute
from xdsl.passes import ModulePass
from xdsl.printer import Printer

from npuc.dialects.value_names import name_values
from npuc.tools.errors import UserError
from npuc.tools.files import make_folder, write_file
from npuc.tools.ir import CONSTANTS_FILE, ELIDE_ABOVE, constant_name
from npuc.tools.passes import pipeline_text

INDEX_FILE = "index.md"
CONTEXT = 1
"""Lines around a change that a diff shows."""


class IrDump:
    """Writes the module after each pass to `DIR/01-name.mlir` .... Raises UserError."""

    def __init__(self, folder: str, passes: Sequence[ModulePass], inline: bool = False):
        self.folder, self.passes = Path(folder), list(passes)
        self._constants = None if inline else _Constants(self.folder / CONSTANTS_FILE)
        self._rows: list[str] = []
        self._going_on: list[str] = []
        self._before: list[str] = []
        make_folder(self.folder)

    def write(self, index: int, name: str, module: ModuleOp) -> None:
        """Writes `DIR/index-name.mlir` and what belongs to it; index 0 is the input."""
        stem = f"{index:02}-{name}"
        out = StringIO()
        name_values(module)
        _Printer(self._constants, out).print_op(module)
        text = out.getvalue() + "\n"
        if self._constants is not None:
            self._constants.save()
        write_file(str(self.folder / f"{stem}.mlir"), text.encode())
        lines = text.splitlines(keepends=True)
        self._rows.append(f"| [{stem}]({stem}.mlir) | {self._compare(stem, lines) if index else ''} |")
        self._before = lines
        if rest := self.passes[index:]:
            self._going_on.append(f"    npu-opt {stem}.mlir -p '{pipeline_text(rest)}' -t tflite -o FILE.tflite")
        self._write_index()

    def _compare(self, stem: str, lines: list[str]) -> str:
        """What the index says that a pass has changed, with a file that shows it."""
        path = self.folder / f"{stem}.diff"
        if lines == self._before:
            try:  # of an earlier dump
                path.unlink(missing_ok=True)
            except OSError as error:
                raise UserError(f"{path}: {error.strerror}") from None
            return "nothing"
        diff = list(unified_diff(self._before, lines, "before", "after", n=CONTEXT))
        write_file(str(path), "".join(diff).encode())
        gone, new = (sum(line.startswith(sign) for line in diff[2:]) for sign in "-+")
        return f"[{gone} lines gone, {new} new]({stem}.diff)"

    def _write_index(self) -> None:
        lines = ["# The module after each pass", "", "| pass | changed |", "| --- | --- |", *self._rows, ""]
        lines += ["To go on from one of them:", "", *self._going_on, ""]
        write_file(str(self.folder / INDEX_FILE), "\n".join(lines).encode())


class _Constants:
    """Constants by their contents, and the file that they are in."""

    def __init__(self, path: Path):
        self.path = path
        self._names: dict[bytes, str] = {}
        self._new: list[tuple[str, bytes]] = []
        self._mode = "w"

    def name_of(self, data: bytes) -> str:
        """What a constant is called; it is in the file once that is saved."""
        digest = hashlib.sha256(data).digest()
        if digest not in self._names:
            self._names[digest] = constant_name(len(self._names))
            self._new.append((self._names[digest], data))
        return self._names[digest]

    def save(self) -> None:
        """Adds to the file what is new; raises UserError."""
        if not self._new and self._mode == "a":
            return
        try:
            with zipfile.ZipFile(self.path, "w" if self._mode == "w" else "a") as archive:
                for name, data in self._new:
                    array = BytesIO()
                    np.lib.format.write_array(array, np.frombuffer(data, np.uint8), allow_pickle=False)
                    # The same time in each, so that the same constants are the same bytes.
                    archive.writestr(zipfile.ZipInfo(f"{name}.npy"), array.getvalue())
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}") from None
        self._new, self._mode = [], "a"


class _Printer(Printer):
    """Prints all of a module, large constants by their names."""

    def __init__(self, constants: _Constants | None, stream: StringIO):
        super().__init__(stream=stream, print_debuginfo=True)
        self._constants = constants

    def print_attribute(self, attribute: Attribute) -> None:
        if self._constants is not None and isinstance(attribute, DenseIntOrFPElementsAttr):
            data = attribute.data.data
            if len(data) > ELIDE_ABOVE:
                self.print_string(f"dense_resource<{self._constants.name_of(data)}> : ")
                self.print_attribute(attribute.type)
                return
        super().print_attribute(attribute)
