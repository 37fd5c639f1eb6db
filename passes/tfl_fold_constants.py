"""
`tfl-fold-constants`: shapes are known, and what operators make of constants is constant.

Assumes a `tfl` module as the import leaves it. In the main subgraph an input whose first dimension alone is open keeps
the batch that the file gives it, as a runtime allocates it; what follows from that for the shapes of all tensors is
written into their types, and their `shape_signature` goes. So SHAPE, and STRIDED_SLICE, PACK, PROD and the like behind
it, become constants, as does every operator that moves, quantises or computes integers from constants alone:

    %1 = tfl.builtin %x {operator = "SHAPE"}
    %2 = tfl.strided_slice %1, ...
    %3 = tfl.pack %2, %n {values_count = 2 : i32}         ->   %3 = tfl.pseudo_const dense<[1, 288]>
    %4 = tfl.reshape %x, %3                                    %4 = tfl.reshape %x, %3

A tensor whose shape depends on what is open elsewhere, or on data, is left open in all dimensions, so that the NPU does
not take it. Results of the network are still made by their operators. A constant that would be much larger than those
that it is made of is left to the host.

Arithmetic on quantised constants is done by the tosa that the operator would become on the NPU, which is exact. What
becomes kernels without tosa, and arithmetic on floats, is left alone. Decides nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xdsl.context import Context
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, DictionaryAttr, ModuleOp, TensorType, i32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.host import value_bytes
from npuc.dialects import tfl
from npuc.dialects.npu import host_functions
from npuc.dialects.quant import quantization, storage_tensor
from npuc.operators import operator_of
from npuc.operators.support.rules import operator_name, shape_signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNATURE = "shape_signature"
MAX_GROWTH = 1 << 16
"""Bytes that a folded constant may have beyond those of its operands."""
OF_DATA = frozenset(
    """
    CUSTOM IF NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 STABLEHLO_CASE STABLEHLO_CUSTOM_CALL STABLEHLO_WHILE UNIQUE
    WHERE WHILE
    """.split()
)
"""Operators whose results have shapes that depend on values."""


@dataclass(frozen=True)
class TflFoldConstantsPass(ModulePass):
    """Shapes are known, and what operators make of constants is constant."""

    name = "tfl-fold-constants"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for number, function in enumerate(host_functions(op)):
            block = function.body.block
            changed: set[SSAValue] = set()
            if number == 0:
                for argument in block.args:
                    _close_argument(argument)
            for inner in list(block.ops):
                if isinstance(inner, tfl.TflOp) and inner.operands:
                    if number == 0 and any(map(_is_open, inner.results)):
                        _close_results(inner, changed)
                    _fold(inner)
            _erase_unread_constants(block)
            if number == 0:
                function.update_function_type()


def _is_open(value: SSAValue) -> bool:
    """Whether the file leaves a dimension of a tensor open."""
    return -1 in shape_signature(value) or _shape(value) is None


def _shape(value: SSAValue) -> tuple[int, ...] | None:
    """The shape in the type of a tensor; None if it has none of known size."""
    if not isinstance(value.type, TensorType) or DYNAMIC_INDEX in value.type.get_shape():
        return None
    return value.type.get_shape()


def _set_signature(value: SSAValue, signature: Attribute | None) -> None:
    info = tfl.tensor_info(value)
    data = {key: attr for key, attr in (info.data if info is not None else {}).items() if key != SIGNATURE}
    if signature is not None:
        data[SIGNATURE] = signature
    tfl.set_tensor_infos({value: DictionaryAttr(data)})


def _close_argument(argument: SSAValue) -> None:
    if _is_open(argument) and _shape(argument) is not None and -1 not in shape_signature(argument)[1:]:
        _set_signature(argument, None)


def _close_results(op: tfl.TflOp, changed: set[SSAValue]) -> None:
    """
    Gives results that the file leaves open the shapes that the operator makes; `changed` are those that have others
    than in the file. Where they cannot be known all their dimensions are open.
    """
    made = _result_shapes(op, changed)
    for number, result in enumerate(op.results):
        if not _is_open(result):
            continue
        assert isinstance(result.type, TensorType)
        if made is None:
            _set_signature(result, DenseArrayBase.from_list(i32, [-1] * len(result.type.get_shape())))
            continue
        _set_signature(result, None)
        if made[number] != _shape(result):
            type_ = TensorType(result.type.element_type, made[number], result.type.encoding)
            changed.add(Rewriter.replace_value_with_new_type(result, type_))


def _result_shapes(op: tfl.TflOp, changed: set[SSAValue]) -> list[tuple[int, ...]] | None:
    """The shapes that an operator makes, each of its results one; None where they cannot be known."""
    if any(isinstance(value.type, TensorType) and _is_open(value) for value in op.operands):
        return None
    from npuc.analysis.tfl_values import Call, result_shapes

    name = operator_name(op)
    made = result_shapes(Call(op, name), [_shape(value) or () for value in op.operands])
    if made is None and changed.isdisjoint(op.operands) and not isinstance(op, tfl.CustomOp) and name not in OF_DATA:
        # As the file has it, where only the batch is open.
        made = [s for one in op.results if -1 not in shape_signature(one)[1:] and (s := _shape(one)) is not None]
    return made if made is not None and len(made) == len(op.results) else None


def _fold(op: tfl.TflOp) -> None:
    """Replaces the results of an operator by constants, if they can be known."""
    before = sum(len(one.data.data) for value in op.operands if (one := tfl.constant_value(value)) is not None)
    if sum(value_bytes(result) or 0 for result in op.results) > before + MAX_GROWTH:
        return
    name = operator_name(op)
    made: list[NDArray[Any]] | None = None
    if name in ("SHAPE", "RANK"):
        made = _described(op, name)
    elif not isinstance(op, tfl.ConstantOp) and all(tfl.constant_value(value) is not None for value in op.operands):
        from npuc.analysis.tfl_values import EVALUATED, Call, evaluate

        made = evaluate(Call(op, name)) if name in EVALUATED else None
        if made is None:
            made = _computed(op)
    if made is None:
        return
    for result, values in zip(op.results, made, strict=True):
        if _shape(result) != values.shape or _is_open(result):
            return
    for result, values in zip(list(op.results), made, strict=True):
        constant = _constant(result, values)
        Rewriter.insert_op(constant, InsertPoint.before(op))
        result.replace_uses_with_if(constant.output, lambda use: not isinstance(use.operation, ReturnOp))
    if not any(result.uses for result in op.results):
        Rewriter.erase_op(op)


def _described(op: tfl.TflOp, name: str) -> list[NDArray[Any]] | None:
    """What SHAPE and RANK make of a tensor of known shape."""
    (operand,) = op.operands
    shape = _shape(operand)
    if shape is None or (name == "SHAPE" and _is_open(operand)):
        return None
    import numpy as np

    from npuc.dialects.constants import numpy_dtype

    type_ = op.results[0].type
    assert isinstance(type_, TensorType)
    return [np.array(shape if name == "SHAPE" else len(shape), numpy_dtype(type_.element_type))]


def _computed(op: tfl.TflOp) -> list[NDArray[Any]] | None:
    """What an operator makes of quantised constants, by the tosa that it would become; None if it would become none."""
    record = operator_of(op)
    if record is None or record.goes_directly(op):
        return None
    from npuc.interpreters.tosa import run
    from npuc.lowering.convert_tfl_to_tosa import convert_block
    from npuc.operators.support.legality import cpu_reason

    data = [value for value in dict.fromkeys(op.operands) if record.is_data(op, value)]
    arrays = [array for value in data if (array := tfl.constant_array(value)) is not None]
    block = Block(arg_types=[value.type for value in data])
    copies: dict[SSAValue, SSAValue] = dict(zip(data, block.args, strict=True))
    for value in dict.fromkeys(op.operands):
        if value not in copies and isinstance(value.owner, tfl.ConstantOp):
            block.add_op(constant := value.owner.clone())
            copies[value] = constant.output
    copy = op.clone(copies)
    block.add_ops((copy, ReturnOp(*copy.results)))
    function = FuncOp("main", (block.arg_types, copy.result_types), Region(block))
    if cpu_reason(copy) is not None:
        return None
    convert_block(block, in_region=True, asked=True)
    try:
        return run(ModuleOp([function]), arrays)
    except ArithmeticError:  # TOSA leaves the result open
        return None


def _constant(result: SSAValue, values: NDArray[Any]) -> tfl.ConstantOp:
    from npuc.dialects.constants import from_numpy

    stored = storage_tensor(result.type)
    assert isinstance(stored, TensorType)
    value = from_numpy(values, stored.element_type)
    make = tfl.PseudoConstOp if quantization(result.type) is None else tfl.PseudoQConstOp
    constant = make(value, result.type)
    constant.location = tfl.tensor_location(result)
    info = tfl.tensor_info(result)
    if info is not None:
        tfl.set_tensor_infos({constant.output: info})
    return constant


def _erase_unread_constants(block: Block) -> None:
    unread: list[Operation] = [op for op in block.ops if isinstance(op, tfl.ConstantOp) and not op.output.uses]
    for op in unread:
        Rewriter.erase_op(op)
