"""
`tfl-remove-identities`: operators that change nothing, or that nobody needs, go.

Assumes a `tfl` module; the shapes in it are better known after `tfl-fold-constants`. An operator whose result has the
type of its operand, and whose options leave every element in its place, is replaced by its operand: RESHAPE, SQUEEZE,
EXPAND_DIMS, TRANSPOSE of dimensions of 1, CAST, QUANTIZE, SLICE and STRIDED_SLICE of the whole, PAD by 0, TILE by 1,
BROADCAST_TO, RESIZE_NEAREST_NEIGHBOR to the same size, pools of one element, and CONCATENATION, SPLIT and SPLIT_V of
one part. A RESHAPE of a RESHAPE reads what the first one reads. CONCATENATION loses the operands that have no elements.
An operator without state whose results nobody reads is dropped, on the CPU as well; so are constants.

A result of the network keeps its name: the operator that now makes it takes it over. Where there is no such operator,
as where an input is returned, or a value twice, the identity stays.

Decides nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, ModuleOp, StringAttr, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, OpResult, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.dialects import tfl
from npuc.dialects.locations import renamed
from npuc.dialects.npu import is_region
from npuc.operators.support.rules import operator_name, shape, shape_signature

ALWAYS = frozenset(
    """
    BROADCAST_TO CAST EXPAND_DIMS MIRROR_PAD PAD PADV2 QUANTIZE RESHAPE SLICE SPLIT SPLIT_V SQUEEZE TILE
    """.split()
)
"""Operators that change nothing whenever a result has the type of what they read."""
READS = {"SPLIT": 1}
"""Which operand is the feature map, where it is not the first."""


@dataclass(frozen=True)
class TflRemoveIdentitiesPass(ModulePass):
    """Operators that change nothing, or that nobody needs, go."""

    name = "tfl-remove-identities"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp) and not is_region(function) and function.body.blocks:
                block = function.body.block
                for inner in list(block.ops):
                    if tfl.is_operator(inner) and tfl.CPU_REASON not in inner.attributes:
                        _simplify(inner)
                _drop_unread(block)


def _simplify(op: tfl.TflOp) -> None:
    name = operator_name(op)
    if name == "CONCATENATION":
        kept = [value for value in op.operands if 0 not in shape(value)]
        if kept and len(kept) < len(op.operands):
            op.operands = kept
    elif name == "RESHAPE":
        before = op.operands[0].owner
        if isinstance(before, tfl.TflOp) and operator_name(before) == "RESHAPE" and _is_closed(before.operands[0]):
            op.operands[0] = before.operands[0]
    source = _unchanged(op, name)
    if source is not None:
        _replace(op.results[0], source)


def _is_closed(value: SSAValue) -> bool:
    return -1 not in shape_signature(value) and isinstance(value.type, TensorType) and value.type.has_static_shape()


def _unchanged(op: tfl.TflOp, name: str) -> SSAValue | None:
    """The operand that the only result of an operator equals; None if there is none."""
    if len(op.results) != 1 or len(op.operands) <= READS.get(name, 0):
        return None
    source, result = op.operands[READS.get(name, 0)], op.results[0]
    if source.type != result.type or not (_is_closed(source) and _is_closed(result)):
        return None
    if isinstance(source.owner, tfl.PseudoTensorOp) or tfl.is_sparse(source):
        return None
    if name in ALWAYS:
        return source
    if name == "CONCATENATION":
        return source if len(op.operands) == 1 and _has(op, fused_activation_function="NONE") else None
    if name == "RESIZE_NEAREST_NEIGHBOR":
        # With both it takes the next element.
        options = [op.properties.get(option) for option in ("align_corners", "half_pixel_centers")]
        return source if None not in options and not all(options) else None
    if name == "STRIDED_SLICE":
        steps = tfl.constant_array(op.operands[3])
        return source if steps is not None and (steps == 1).all() else None
    if name == "TRANSPOSE":
        order, rank = tfl.constant_array(op.operands[1]), len(shape(source))
        axes = [] if order is None else [int(axis) + rank * (axis < 0) for axis in order.reshape(-1)]
        moved = [axis for axis in axes if shape(source)[axis] > 1] if sorted(axes) == [*range(rank)] else None
        return source if moved is not None and moved == sorted(moved) else None
    if name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        ones = dict.fromkeys(("filter_height", "filter_width", "stride_h", "stride_w"), 1)
        return source if _has(op, fused_activation_function="NONE", **ones) else None
    return None


def _has(op: tfl.TflOp, **options: int | str) -> bool:
    """Whether options of an operator with a class have these values."""
    for name, value in options.items():
        attribute = op.properties.get(name)
        if isinstance(attribute, StringAttr):
            if attribute.data != value:
                return False
        elif not isinstance(attribute, IntegerAttr) or attribute.value.data != value:
            return False
    return True


def _replace(result: SSAValue, source: SSAValue) -> None:
    """Lets what reads `result` read `source`, which takes its name over where the network returns it."""
    returned = [use for use in result.uses if isinstance(use.operation, ReturnOp)]
    if returned and not _takes_name(result, source, len(returned)):
        result.replace_uses_with_if(source, lambda use: not isinstance(use.operation, ReturnOp))
        return
    result.replace_all_uses_with(source)


def _takes_name(result: SSAValue, source: SSAValue, count: int) -> bool:
    """Whether an operator can make a result of the network in place of another; if so it has the result's name."""
    if count > 1 or not isinstance(source, OpResult) or len(source.op.results) > 1 or not tfl.is_operator(source.op):
        return False
    if any(isinstance(use.operation, ReturnOp) for use in source.uses):
        return False
    source.op.location = renamed(source.op.location, tfl.tensor_name(result))
    tfl.set_tensor_infos({source: tfl.tensor_info(result) or DictionaryAttr({})})
    return True


def _drop_unread(block: Block) -> None:
    for op in reversed(list(block.ops)):
        if any(result.uses for result in op.results) or not isinstance(op, tfl.TflOp):
            continue
        if isinstance(op, tfl.ConstantOp | tfl.NoValueOp) or (tfl.is_operator(op) and not tfl.is_stateful(op)):
            Rewriter.erase_op(op)
