"""
What goes wrong for a reason that the user can do something about, in one line.

All of it ends in a `UserError`, whose text begins with where: `file:line:column`, or the file and the tensor's name.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ArrayAttr, FileLineColLoc, FusedLoc, LocationAttr, NameLoc
from xdsl.utils.exceptions import ParseError

from npuc.dialects.locations import OperationError


class UserError(Exception):
    """An error that the user can do something about; the text is one line that says where and what."""


def describe_location(location: LocationAttr, file: str | None = None) -> str:
    """`file:line:column`, or the file and the tensor's name, as far as they are known."""
    match location:
        case FileLineColLoc() if location.filename.data != "tflite":
            return f"{location.filename.data}:{location.line.data}:{location.column.data}"
        case NameLoc():
            parts = [file, f"'{location.desc.data}'"]
        case FusedLoc():
            inner = location.locations.data if isinstance(location.locations, ArrayAttr) else ()
            parts = [file, *(f"'{item.desc.data}'" for item in inner[:1] if isinstance(item, NameLoc))]
        case _:
            parts = [file]
    return ": ".join(part for part in parts if part)


def format_error(error: BaseException, file: str | None = None, doing: str = "") -> str:
    """
    One line for an error of parsing, verifying or transforming, which begins with where: the place and name of an
    operation as far as the error knows one, else `file`. `doing` is what was being done, behind the place.
    """
    if isinstance(error, ParseError):
        where = error.span.get_location()
        return f"{where.file}:{where.line}:{where.col}: {one_line(error.msg)}"
    if isinstance(error, OperationError):
        parts = [describe_location(error.op.location, file), doing, f"'{error.op.name}'", one_line(error.reason)]
    else:
        parts = [file, doing, one_line(str(error))]
    return ": ".join(part for part in parts if part)


def one_line(text: str) -> str:
    """The text with each run of white space as one space."""
    return " ".join(text.split())
