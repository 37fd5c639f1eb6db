"""Names of source tensors, as locations carry them."""

from __future__ import annotations

from xdsl.dialects.builtin import ArrayAttr, FusedLoc, NameLoc, StringAttr
from xdsl.ir import Attribute, Operation


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
