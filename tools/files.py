"""Files as bytes: read at once, written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from npuc.tools import process
from npuc.tools.errors import UserError, one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_LINKS = 40
"""As many links behind each other as the system follows."""


def read_file(path: str | None) -> bytes:
    """The bytes of a file, or of standard input where `path` is None; raises UserError."""
    try:
        return sys.stdin.buffer.read() if path is None else Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{'<stdin>' if path is None else path}: {error.strerror}") from None


def read_arrays(path: Path) -> dict[str, NDArray]:
    """The arrays of an .npz file by their names; raises UserError."""
    from tokenize import TokenError
    from zipfile import BadZipFile
    from zlib import error as DamagedStream

    import numpy as np

    damage = BadZipFile, DamagedStream, EOFError, KeyError, MemoryError, OSError, RuntimeError, TokenError, ValueError
    data = read_file(str(path))
    if not data.startswith(b"PK"):
        raise UserError(f"{path}: not an .npz file")
    try:
        with np.load(BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except damage as error:
        raise UserError(f"{path}: damaged .npz file: {one_line(str(error))}") from None
    for name, values in arrays.items():
        if not isinstance(values, np.ndarray):  # as it gives what no .npy file is
            raise UserError(f"{path}: damaged .npz file: '{name}' is no array")
    return arrays


def make_folder(path: Path) -> None:
    """Makes a folder and those around it, as far as they are not there; raises UserError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def write_file(path: str | None, data: bytes) -> None:
    """
    Writes all bytes to a file, or to standard output where `path` is None; raises UserError.

    The file appears whole or not at all.
    """
    if path is not None:
        write_files([(Path(path), data)])
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_files(files: Sequence[tuple[Path, bytes]]) -> None:
    """
    Writes files, all of them whole or none; raises UserError.

    The bytes go to neighbours first, which take the files' names when all are written. Links stay, and what they name
    is written; a file that is there keeps its mode. What is no file, such as a pipe, is written as it stands.
    """
    parts: list[tuple[str, str]] = []
    path = Path()
    try:
        for number, (path, data) in enumerate(files):
            descriptor = descriptor_of(path)
            if descriptor is not None:
                sys.stdout.flush()
                with open(descriptor, "wb", closefd=False) as stream:
                    stream.write(data)
                continue
            target, mode = _target(path)
            if any(target == other for _, other in parts):
                raise UserError(f"{path}: two outputs would be this file")
            if mode is not None and not stat.S_ISREG(mode):
                Path(target).write_bytes(data)
                continue
            part = str(Path(target).with_name(f".npuc-{os.getpid()}-{number}.part"))
            parts.append((part, target))
            process.begin(part)
            Path(part).write_bytes(data)
            if mode is not None:
                os.chmod(part, stat.S_IMODE(mode))
        with process.signals_held():
            for part, target in parts:
                os.replace(part, target)
                process.finish(part)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    finally:
        for part, _ in parts:
            with suppress(OSError):  # what has its name, or could not be written, is not there
                os.unlink(part)
            process.finish(part)


def _target(path: Path) -> tuple[str, int | None]:
    """The file that a path names behind all links, and its mode where there is one; raises OSError."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:  # also behind a link, which is then where the file is to be
        return os.path.realpath(path), None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return os.path.realpath(path), mode


def descriptor_of(path: Path) -> int | None:
    """Which open file of the process a path such as /dev/stdout names; None for the path of a file."""
    name = str(path)
    for _ in range(MAX_LINKS):
        folder = os.path.realpath(os.path.dirname(name) or ".")
        if folder in (f"/proc/{os.getpid()}/fd", "/dev/fd"):
            return int(os.path.basename(name)) if os.path.basename(name).isdigit() else None
        if not os.path.islink(name):
            return None
        name = os.path.join(folder, os.readlink(name))
    return None
