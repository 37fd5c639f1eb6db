"""Names of source tensors, as locations carry them, and errors that say which operation they are about."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from xdsl.dialects.builtin import ArrayAttr, FusedLoc, NameLoc, StringAttr
from xdsl.ir import Attribute, Operation
from xdsl.utils.exceptions import DiagnosticException, PassFailedException


def source_name(location: Attribute) -> str:
    """The name in `loc("name")`, the first where several are fused; empty where there is none."""
    if isinstance(location, NameLoc):
        assert isinstance(location.desc, StringAttr)
        return location.desc.data
    if isinstance(location, FusedLoc) and isinstance(location.locations, ArrayAttr):
        return next((name for one in location.locations.data if (name := source_name(one))), "")
    return ""


def describe(op: Operation) -> str:
    """`npu_cmd.conv (Conv1/Relu6)`: an operation as an error message names it."""
    name = source_name(op.location)
    return f"{op.name} ({name})" if name else op.name


class OperationError(PassFailedException):
    """What a pass cannot do with an operation; whoever shows it to the user adds where the operation comes from."""

    def __init__(self, op: Operation, reason: str):
        super().__init__(f"{describe(op)}: {reason}")
        self.op = op
        self.reason = reason


@contextmanager
def concerning(op: Operation) -> Generator[None, None, None]:
    """What goes wrong meanwhile is about `op`, if it does not say itself which operation it is about."""
    try:
        yield
    except OperationError:
        raise
    except DiagnosticException as error:
        raise OperationError(op, str(error)) from error
