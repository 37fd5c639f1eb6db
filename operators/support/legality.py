"""
What the NPU takes of a TFLite graph: one predicate, `cpu_reason`, which tfl-partition asks and nobody decides again.

The rules are those of the Ethos-U55/U65 as vela's two cores state them (hardware limits) and of TFLite's kernels (which
types go together). Those of all operators stand here, those of one in its file. After the partition an operator that
cannot be lowered is a fault of the compiler, so a rule belongs in its record as soon as some lowering relies on it.

A refusal is one line: the rule that is broken, then the tensor that breaks it.
"""

from __future__ import annotations

import math

from xdsl.dialects.builtin import DYNAMIC_INDEX, IntegerType, Signedness, TensorType
from xdsl.ir import Operation, SSAValue

from npuc.dialects import tfl
from npuc.operators import all_operators, operator_of
from npuc.operators.support import rules
from npuc.operators.support.record import Operator
from npuc.operators.support.rules import operator_name

_LEFT_TO_CPU = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "LSTM keeps its state in variable tensors, which the NPU does not write",
    "SVDF": "SVDF keeps its state in a variable tensor, which the NPU does not write",
    "LOG_SOFTMAX": "LiteRT computes LOG_SOFTMAX in floats, which the NPU does not",
    "L2_NORMALIZATION": "L2_NORMALIZATION shifts each row by a number of its own, ties away from zero: no kernel does",
}
"""Operators that have no record for a reason that is worth telling; docs/rationale.md has the figures."""


def cpu_reason(op: Operation) -> str | None:
    """Why the NPU cannot take `op`, in one line; None if it can."""
    record = operator_of(op)
    if record is None:
        floats = next((value for value in (*op.operands, *op.results) if rules.is_float(value)), None)
        if floats is not None:
            return rules.refusal(rules.FLOATS, floats)
        if operator_name(op) in _LEFT_TO_CPU:
            return rules.refusal(_LEFT_TO_CPU[operator_name(op)], op.results[0])
        return f"operator {operator_name(op)} is not supported"
    assert isinstance(op, tfl.TflOp)
    try:
        check_tensors(record, op)
        record.check(op)
    except rules.Refused as refusal:
        return str(refusal)
    return None


def supported_operators() -> set[str]:
    """The operators that the NPU takes in some form, by their names in the TFLite schema."""
    return {record.name for record in all_operators().values()}


def check_tensors(record: Operator, op: tfl.TflOp) -> None:
    """What holds for the tensors of every operator, and for its feature maps."""
    for value in (*op.operands, *op.results):
        rules.require(
            not tfl.is_sparse(value), "constants must be dense, TFLite computes otherwise with sparse ones", value
        )
    feature_maps = [value for value in op.operands if record.is_data(op, value)]
    if all(tfl.constant_value(value) is not None for value in feature_maps):
        raise rules.Refused(f"operators must have an input that is not constant: {record.name}")
    for value in (*feature_maps, *op.results):
        _check_element(record, op, value)
        _check_shape(record, op, value)
        rules.require(not isinstance(value.owner, tfl.PseudoTensorOp), "tensors must not be variable", value)


def _check_element(record: Operator, op: tfl.TflOp, value: SSAValue) -> None:
    element_type = value.type.element_type if isinstance(value.type, TensorType) else None
    if record.plain and isinstance(element_type, IntegerType):
        signed = element_type.signedness.data != Signedness.UNSIGNED
        _require_type(record, op, value, element_type.bitwidth, signed)
        return
    element = rules.element(value)
    rules.require(not element.is_per_axis, "feature maps must be quantised per tensor", value)
    width = element.data.storage_width
    _require_type(record, op, value, width, element.data.signed)
    if width > 8 and not any(value is getattr(op, name) for name in record.offset):
        rules.require(element.zero_point == 0, f"{width} bit tensors must have the zero point 0", value)
    rules.require(2.0**-100 < element.scale < 2.0**100, "scales must be between 2^-100 and 2^100", value)


def _require_type(record: Operator, op: tfl.TflOp, value: SSAValue, width: int, signed: bool) -> None:
    name = "bool" if width == 1 else f"{'int' if signed else 'uint'}{width}"
    others = {"int32": record.wide, "int64": record.words}.get(name, ())
    wide = any(value is getattr(op, which) for which in others)
    why = f", {record.others}" if record.others else ""
    rules.require(name in record.types or wide, f"{record.name} must be of {' or '.join(record.types)}{why}", value)


def _check_shape(record: Operator, op: tfl.TflOp, value: SSAValue) -> None:
    shape = rules.shape(value)
    limit = rules.MAX_DIMENSION
    rules.require(DYNAMIC_INDEX not in shape, "shapes must be constant", value)
    rules.require(-1 not in rules.shape_signature(value)[1:], "only the first dimension may be open", value)
    rules.require(len(shape) <= record.rank, f"tensors must have at most {record.rank} dimensions", value)
    rules.require(all(1 <= size <= limit for size in shape), f"dimensions must be 1 to {limit}", value)
    if len(shape) >= 4:
        if not record.batches:
            rules.require(math.prod(shape[:-3]) == 1, "the batch must be 1", value)
        rows = math.prod(shape[:-2])
        rules.require(rows <= limit, f"all batches together must have at most {limit} rows", value)
