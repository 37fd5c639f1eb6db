"""
`tfl`: the TFLite graph as it stands in the file, every option kept, under TensorFlow's own mnemonics.

Conventions, on which import, export, partition and the conversions rely:

- One function a subgraph, in file order; the first is the entry. One op an operator, in file order.
- Operands are in the order of TFLite's operator (`tfl.split` is `(axis, input)`), all of them SSA values: a weight,
  a shape or a permutation is the result of a constant op. An operand that the file leaves out (index -1) is absent
  when it is the last (`op.bias is None`), else the result of `tfl.no_value`, of type `none`.
- Options are properties with the names of the TFLite schema, which are TensorFlow's: `stride_h = 2 : i32`,
  `padding = "SAME"`, `fused_activation_function = "RELU6"`, `keep_dims = true`, `beta = 1.0 : f32`. Those that have
  their usual value (`dilation_*` 1, no activation, false ...) need not be written and are not printed.
- Read an integer as `op.stride_h.value.data`, a string as `op.padding.data`, a flag with `bool(op.keep_dims)`,
  a constant operand with `constant_value` (attribute) or `constant_array` (NumPy).
- A quantised tensor has element type `!quant.uniform`; see `quant.quantization`. Unsigned integers are `ui8` ...
- Constants are `tfl.pseudo_qconst` (quantised: the value has the storage type) and `tfl.pseudo_const` (all others).
  Both are `ConstantOp`. `tfl.pseudo_tensor` is a tensor with no bytes and no producer: a state variable or scratch.
- Operators without a class of their own are `tfl.builtin {operator = "SVDF", options = {...}}`, and those that are not
  TFLite's `tfl.custom`.
- A tensor's name is the location of the op that makes it (`loc("name")`; several results: `loc(fused["a", "b"])`),
  or of the function argument. What neither type nor location can say (shape signature, min/max, odd quantisation)
  is kept in the attribute `tfl.tensors`, one dictionary a result, or on the function argument in `tfl.tensor`.
- `npu.cpu_reason = "..."` on an op says why the partition left it to the CPU.

What the level refuses: any hardware, any layout. The rationale is in docs/dialects/tfl.md.
"""

import math
from abc import ABC
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeGuard

from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    ArrayAttr,
    BoolAttr,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    FusedLoc,
    IntegerAttr,
    IntegerType,
    LocationAttr,
    NameLoc,
    NoneType,
    StringAttr,
    TensorType,
    UnitAttr,
    i8,
    i32,
    i64,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, BlockArgument, Data, Operation, OpResult, SSAValue, TypeAttribute
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import AttrParser, Parser
from xdsl.printer import Printer
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.constants import from_bytes
from npuc.dialects.quant import quantization, storage_tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

TENSORS = "tfl.tensors"
"""Attribute of an op: an array with one dictionary a result of what type and location do not say."""
TENSOR = "tfl.tensor"
"""The same for a function argument, in its argument attributes."""
SPARSITY = "sparsity"
"""Entry of such a dictionary: how a constant that holds only what is not zero is stored, as in the file."""
OFFSET = "arena_offset"
"""Entry of such a dictionary: the tensor's place in the arena, in bytes."""
INTERMEDIATES = "tfl.intermediates"
"""Attribute of an op: the tensors that it only uses within itself, each `{name, type, ...}` or `unit`."""
CPU_REASON = "npu.cpu_reason"
"""Attribute of an op that the partition left to the CPU: the rule that it breaks, and the tensor."""

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
PADDINGS = ("SAME", "VALID")
WEIGHTS_FORMATS = ("DEFAULT", "SHUFFLED4x16INT8")

_ALLOWED = {
    "fused_activation_function": ACTIVATIONS,
    "padding": PADDINGS,
    "weights_format": WEIGHTS_FORMATS,
}
NO_ACTIVATION = StringAttr("NONE")
FALSE = BoolAttr.from_bool(False)
TRUE = BoolAttr.from_bool(True)
ZERO = IntegerAttr(0, i32)
ONE = IntegerAttr(1, i32)


@irdl_attr_definition
class ConstBytesAttr(Data[bytes]):
    """Bytes that only somebody else understands: `#tfl.const_bytes<"0x010401">`."""

    name = "tfl.const_bytes"

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f'<"0x{self.data.hex().upper()}">')

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> bytes:
        with parser.in_angle_brackets():
            if parser.parse_optional_keyword("__elided__") is not None:
                parser.raise_error("these bytes were left out when the file was printed")
            text = parser.parse_str_literal()
        if text.startswith("0x"):
            try:
                return bytes.fromhex(text[2:])
            except ValueError:
                pass
        parser.raise_error('expected bytes such as "0x010401"')


@irdl_attr_definition
class OpaqueType(Data[str], TypeAttribute):
    """An element type of TFLite that MLIR's builtin types lack: `!tfl.opaque<STRING>`."""

    name = "tfl.opaque"

    def print_parameter(self, printer: Printer) -> None:
        printer.print_string(f"<{self.data}>")

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> str:
        with parser.in_angle_brackets():
            return parser.parse_identifier()


class TflOp(IRDLOperation, ABC):
    """
    Syntax shared by all: `tfl.add %a, %b {options and attributes} : (tensor<...>, tensor<...>) -> tensor<...>`.

    Options that equal their default are not printed.
    """

    @classmethod
    def parse(cls, parser: Parser) -> "TflOp":
        operands = parser.parse_optional_undelimited_comma_separated_list(
            parser.parse_optional_unresolved_operand, parser.parse_unresolved_operand
        )
        start = parser.pos
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        function_type = parser.parse_function_type()
        known = cls.get_irdl_definition().properties
        op = cls.create(
            operands=parser.resolve_operands(operands or (), function_type.inputs.data, start),
            result_types=function_type.outputs.data,
            properties={name: attr for name, attr in attributes.items() if name in known},
            attributes={name: attr for name, attr in attributes.items() if name not in known},
        )
        op.fill_in_defaults()
        return op

    def fill_in_defaults(self) -> None:
        """Gives every option that is missing its usual value, where it has one."""
        for name, definition in self.get_irdl_definition().properties.items():
            if definition.default_value is not None:
                self.properties.setdefault(name, definition.default_value)

    def print(self, printer: Printer) -> None:
        if self.operands:
            printer.print_string(" ")
            printer.print_list(self.operands, printer.print_operand)
        shown: dict[str, Attribute] = {}
        for name, definition in self.get_irdl_definition().properties.items():
            if name in self.properties and self.properties[name] != definition.default_value:
                shown[name] = self.properties[name]
        printer.print_op_attributes(shown | self.attributes)
        printer.print_string(" : ")
        printer.print_function_type(self.operand_types, self.result_types)

    def verify_(self) -> None:
        for name, allowed in _ALLOWED.items():
            chosen = self.properties.get(name)
            if isinstance(chosen, StringAttr) and chosen.data not in allowed:
                raise VerifyException(f"{name} must be one of {', '.join(allowed)}, not {chosen.data}")


# Constants and other tensors that no operator makes


class ConstantOp(TflOp, ABC):
    """Syntax: `tfl.pseudo_const dense<[1, 2]> : tensor<2xi32>`, with `-> type` where the result's type differs."""

    value = prop_def(DenseIntOrFPElementsAttr | ConstBytesAttr)
    output = result_def(TensorType)
    traits = traits_def(Pure())

    def verify_(self) -> None:
        if isinstance(self.value, DenseIntOrFPElementsAttr) and is_sparse(self.output):
            raise VerifyException("a sparse constant holds its bytes in the file, as #tfl.const_bytes")

    def __init__(self, value: DenseIntOrFPElementsAttr | ConstBytesAttr, result_type: Attribute | None = None):
        if result_type is None and isinstance(value, DenseIntOrFPElementsAttr):
            result_type = value.type
        super().__init__(properties={"value": value}, result_types=[result_type])

    @classmethod
    def parse(cls, parser: Parser) -> "ConstantOp":
        attributes = parser.parse_optional_attr_dict()
        value = parser.parse_attribute()
        if parser.parse_optional_punctuation("->") is not None:
            result_type: Attribute = parser.parse_type()
        elif isinstance(value, DenseIntOrFPElementsAttr):
            result_type = value.type
        else:
            parser.raise_error("expected `->` and the type of the constant")
        return cls.create(properties={"value": value}, attributes=attributes, result_types=[result_type])

    def print(self, printer: Printer) -> None:
        printer.print_op_attributes(self.attributes)
        printer.print_string(" ")
        _print_constant(self.value, printer)
        if not isinstance(self.value, DenseIntOrFPElementsAttr) or self.value.type != self.output.type:
            printer.print_string(" -> ")
            printer.print_attribute(self.output.type)


def _print_constant(value: Attribute, printer: Printer) -> None:
    # xDSL reads a hexadecimal element of a float `dense` as an integer's value, and prints NaN, infinities and
    # whole numbers of more than six digits so. Its hexadecimal form of the whole constant has no such trap.
    if isinstance(value, DenseIntOrFPElementsAttr) and len(value) <= 100:
        if any(isinstance(v, float) and not abs(v) < 1e6 for v in value.get_values()):
            printer.print_string(f'dense<"0x{value.data.data.hex().upper()}"> : ')
            printer.print_attribute(value.type)
            return
    printer.print_attribute(value)


@irdl_op_definition
class PseudoConstOp(ConstantOp):
    """
    A constant that is not quantised: `dense` where MLIR has the element type, else the file's bytes as they are.

        %shape = tfl.pseudo_const dense<[1, 10]> : tensor<2xi32>
        %text = tfl.pseudo_const #tfl.const_bytes<"0x00"> -> tensor<1x!tfl.opaque<STRING>>
    """

    name = "tfl.pseudo_const"

    def verify_(self) -> None:
        super().verify_()
        value, type_ = self.value, self.output.type
        if isinstance(value, DenseIntOrFPElementsAttr):
            if value.type != type_:
                raise VerifyException("a constant has the type of its value; a quantised one is tfl.pseudo_qconst")
            _verify_length(value)


@irdl_op_definition
class PseudoQConstOp(ConstantOp):
    """
    A quantised constant; its value has the storage type.

        %w = tfl.pseudo_qconst dense<7> : tensor<4xi8> -> tensor<4x!quant.uniform<i8:f32, 0.5>>
    """

    name = "tfl.pseudo_qconst"

    def verify_(self) -> None:
        super().verify_()
        value, type_ = self.value, self.output.type
        if quantization(type_) is None:
            raise VerifyException("tfl.pseudo_qconst makes a quantised tensor")
        if isinstance(value, DenseIntOrFPElementsAttr):
            if value.type != storage_tensor(type_):
                raise VerifyException("the value of tfl.pseudo_qconst has the storage type and shape of the result")
            _verify_length(value)


def _verify_length(value: DenseIntOrFPElementsAttr) -> None:
    if len(value) != math.prod(value.get_shape()):
        raise VerifyException("a constant holds as many bytes as its shape asks for")


@irdl_op_definition
class PseudoTensorOp(TflOp):
    """A tensor with neither bytes nor producer: state (`is_variable`), or memory that a custom operator asks for."""

    name = "tfl.pseudo_tensor"

    is_variable = opt_prop_def(UnitAttr)
    output = result_def(TensorType)

    def __init__(self, result_type: Attribute, is_variable: bool = False):
        super().__init__(properties={"is_variable": UnitAttr() if is_variable else None}, result_types=[result_type])


@irdl_op_definition
class NoValueOp(TflOp):
    """The operand that is not there (tensor index -1): `%none = tfl.no_value : () -> none`."""

    name = "tfl.no_value"

    output = result_def(NoneType)
    traits = traits_def(Pure())

    def __init__(self):
        super().__init__(result_types=[NoneType()])


def constant_value(value: SSAValue | None) -> DenseIntOrFPElementsAttr | None:
    """
    The `dense` attribute (storage integers if quantised) behind a constant operand; None if it is not constant. Signed
    integers of 4 bits, of which the file has two a byte, are given as `i8`.
    """
    owner = value.owner if value is not None else None
    if not isinstance(owner, ConstantOp):
        return None
    if isinstance(owner.value, DenseIntOrFPElementsAttr):
        return owner.value
    stored = storage_tensor(owner.output.type)
    if isinstance(stored, TensorType) and stored.element_type == IntegerType(4) and not is_sparse(owner.output):
        return _unpacked(owner.value, stored.get_shape())
    return None


@lru_cache(maxsize=64)
def _unpacked(packed: ConstBytesAttr, shape: tuple[int, ...]) -> DenseIntOrFPElementsAttr | None:
    count = math.prod(shape)
    if len(packed.data) != -(-count // 2):
        return None
    values = bytearray(2 * len(packed.data))
    values[::2], values[1::2] = packed.data.translate(_LOW_NIBBLES), packed.data.translate(_HIGH_NIBBLES)
    return from_bytes(TensorType(i8, shape), bytes(values[:count]))


def constant_array(value: SSAValue | None) -> "NDArray | None":
    """The same as a read-only NumPy array of the tensor's shape; None if the operand is not constant."""
    from npuc.dialects.constants import as_numpy

    attr = constant_value(value)
    return None if attr is None else as_numpy(attr)


_LOW_NIBBLES = bytes((byte & 15) - 16 * (byte >> 3 & 1) & 255 for byte in range(256))
_HIGH_NIBBLES = bytes((byte >> 4) - 16 * (byte >> 7) & 255 for byte in range(256))
"""The signed integer of 8 bits for half of a byte."""


# Operators without a class, and other people's


@irdl_op_definition
class BuiltinOp(TflOp):
    """
    A builtin operator that the compiler only carries along: `tfl.builtin %x {operator = "CAST", options = {...}}`.

    `operator` is its name in the TFLite schema, `options` the fields of its options table, absent when the file has
    none; `options_type` names the table where it is not the operator's usual one. References to subgraphs are symbols.
    """

    name = "tfl.builtin"

    operator_name = prop_def(StringAttr, prop_name="operator")
    options = opt_prop_def(DictionaryAttr)
    options_type = opt_prop_def(StringAttr)
    inputs = var_operand_def()
    outputs = var_result_def()

    def __init__(
        self,
        operator: str,
        inputs: Sequence[SSAValue],
        result_types: Sequence[Attribute],
        options: DictionaryAttr | None = None,
    ):
        super().__init__(
            operands=[inputs],
            result_types=[result_types],
            properties={"operator": StringAttr(operator), "options": options},
        )


@irdl_op_definition
class CustomOp(TflOp):
    """
    An operator that is not TFLite's own: `{custom_code = "ethos-u", custom_option = #tfl.const_bytes<"0x010401">}`.

    `custom_option` holds the operator's option bytes, absent when the file has none.
    """

    name = "tfl.custom"

    custom_code = prop_def(StringAttr)
    custom_option = opt_prop_def(ConstBytesAttr)
    inputs = var_operand_def()
    outputs = var_result_def()

    def __init__(
        self,
        custom_code: str,
        inputs: Sequence[SSAValue],
        result_types: Sequence[Attribute],
        custom_option: bytes | None = None,
    ):
        super().__init__(
            operands=[inputs],
            result_types=[result_types],
            properties={
                "custom_code": StringAttr(custom_code),
                "custom_option": None if custom_option is None else ConstBytesAttr(custom_option),
            },
        )


_STATEFUL = frozenset(
    """
    ASSIGN_VARIABLE CALL CALL_ONCE HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE IF MULTINOMIAL
    RANDOM_STANDARD_NORMAL RANDOM_UNIFORM READ_VARIABLE STABLEHLO_CASE STABLEHLO_COMPOSITE STABLEHLO_CUSTOM_CALL
    STABLEHLO_RNG_BIT_GENERATOR STABLEHLO_WHILE VAR_HANDLE WHILE
    """.split()
)
"""Builtin operators that read or write what is not among their operands, or may."""


def is_operator(op: Operation) -> TypeGuard[TflOp]:
    """Whether an operation is an operator of the file, not a constant or another tensor that nothing makes."""
    return isinstance(op, TflOp) and not isinstance(op, ConstantOp | PseudoTensorOp | NoValueOp)


def is_stateful(op: Operation) -> bool:
    """Whether an operator reads or writes more than its operands and results, or may. Such ones keep their order."""
    if isinstance(op, BuiltinOp):
        has_state = op.operator_name.data in _STATEFUL
    else:
        has_state = not op.has_trait(Pure)
    return has_state or any(isinstance(value.owner, PseudoTensorOp) for value in op.operands)


# Operators with a class: those that the compiler reasons about


class UnaryOp(TflOp, ABC):
    """One tensor in, one out, element by element."""

    input = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


class BinaryOp(TflOp, ABC):
    """Two tensors in, one out, element by element; a dimension of 1 is broadcast."""

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    output = result_def(TensorType)
    traits = traits_def(Pure())


class ReducerOp(TflOp, ABC):
    """Many elements become one, along the dimensions in `axis`, which stay as 1 with `keep_dims`."""

    input = operand_def(TensorType)
    axis = operand_def(TensorType)
    output = result_def(TensorType)
    keep_dims = prop_def(BoolAttr, FALSE)
    traits = traits_def(Pure())


class PoolOp(TflOp, ABC):
    """A window of `filter_height` x `filter_width` over an NHWC tensor."""

    input = operand_def(TensorType)
    output = result_def(TensorType)
    padding = prop_def(StringAttr)
    stride_h = prop_def(IntegerAttr)
    stride_w = prop_def(IntegerAttr)
    filter_height = prop_def(IntegerAttr)
    filter_width = prop_def(IntegerAttr)
    fused_activation_function = prop_def(StringAttr, NO_ACTIVATION)
    traits = traits_def(Pure())


class ResizeOp(TflOp, ABC):
    """An NHWC tensor to the height and width that `size` (1-D, two integers) holds."""

    input = operand_def(TensorType)
    size = operand_def(TensorType)
    output = result_def(TensorType)
    align_corners = prop_def(BoolAttr, FALSE)
    half_pixel_centers = prop_def(BoolAttr, FALSE)
    traits = traits_def(Pure())


def tensor_infos(op: Operation) -> tuple[DictionaryAttr | None, ...]:
    """For each result of `op`, what type and location do not say of it; None where there is nothing."""
    infos = op.attributes.get(TENSORS)
    if not isinstance(infos, ArrayAttr) or len(infos) != len(op.results):
        return (None,) * len(op.results)
    return tuple(info if isinstance(info, DictionaryAttr) and info.data else None for info in infos.data)


def tensor_info(value: SSAValue) -> DictionaryAttr | None:
    """What type and location do not say of one value: a result, or an argument of a function."""
    if isinstance(value, OpResult):
        infos = value.op.attributes.get(TENSORS)
        if not isinstance(infos, ArrayAttr) or len(infos) != len(value.op.results):
            return None
        info = infos.data[value.index]
        return info if isinstance(info, DictionaryAttr) and info.data else None
    if isinstance(value, BlockArgument) and isinstance(function := value.block.parent_op(), FuncOp):
        if function.arg_attrs is not None:
            info = function.arg_attrs.data[value.index].data.get(TENSOR)
            return info if isinstance(info, DictionaryAttr) else None
    return None


def is_sparse(value: SSAValue) -> bool:
    """Whether a tensor is stored as only what is not zero; its bytes mean nothing without its `sparsity`."""
    info = tensor_info(value)
    return info is not None and SPARSITY in info.data


def arena_offset(value: SSAValue) -> int | None:
    """Where a tensor lies in the arena, in bytes, if that is decided: `arena_offset` of its dictionary."""
    info = tensor_info(value)
    offset = info.data.get(OFFSET) if info is not None else None
    return offset.value.data if isinstance(offset, IntegerAttr) else None


def without_arena_offset(intermediate: Attribute) -> Attribute:
    """An entry of `tfl.intermediates`, without its place in the arena."""
    if not isinstance(intermediate, DictionaryAttr) or OFFSET not in intermediate.data:
        return intermediate
    return DictionaryAttr({key: attr for key, attr in intermediate.data.items() if key != OFFSET})


def set_arena_offsets(offsets: Mapping[SSAValue, int | None]) -> None:
    """Write down where tensors lie in the arena; None for a place that is not decided."""
    changed: dict[SSAValue, DictionaryAttr] = {}
    for value, offset in offsets.items():
        info = tensor_info(value)
        data = {key: attr for key, attr in (info.data if info is not None else {}).items() if key != OFFSET}
        if offset is not None:
            data[OFFSET] = IntegerAttr(offset, i64)
        elif info is None or OFFSET not in info.data:
            continue
        changed[value] = DictionaryAttr(data)
    set_tensor_infos(changed)


def set_tensor_infos(infos: Mapping[SSAValue, DictionaryAttr]) -> None:
    """Write down what type and location do not say of tensors, in place of what is known of them."""
    changed: dict[Operation, dict[int, DictionaryAttr]] = {}
    for value, info in infos.items():
        if isinstance(value, OpResult):
            changed.setdefault(value.op, {})[value.index] = info
        elif isinstance(value, BlockArgument) and isinstance(function := value.block.parent_op(), FuncOp):
            changed.setdefault(function, {})[value.index] = info
    # All tensors of one operation at once: there may be thousands.
    for owner, found in changed.items():
        if isinstance(owner, FuncOp):
            arguments: list[dict[str, Attribute]] = [{} for _ in owner.body.block.args]
            if owner.arg_attrs is not None:
                arguments = [dict(attributes.data) for attributes in owner.arg_attrs]
            for index, info in found.items():
                arguments[index].pop(TENSOR, None)
                if info.data:
                    arguments[index][TENSOR] = info
            owner.arg_attrs = ArrayAttr([DictionaryAttr(attributes) for attributes in arguments])
        else:
            known = [one if one is not None else DictionaryAttr({}) for one in tensor_infos(owner)]
            known = [found.get(index, one) for index, one in enumerate(known)]
            owner.attributes.pop(TENSORS, None)
            if any(one.data for one in known):
                owner.attributes[TENSORS] = ArrayAttr(known)


def tensor_location(value: SSAValue) -> LocationAttr:
    """The location of one value, which holds its TFLite name: `loc("name")` where it has one."""
    if isinstance(value, BlockArgument):
        return value.location
    assert isinstance(value, OpResult)
    location = value.op.location
    if isinstance(location, FusedLoc) and isinstance(location.locations, ArrayAttr):
        if value.index < len(location.locations.data):
            inner = location.locations.data[value.index]
            return inner if isinstance(inner, NameLoc) else UNKNOWN_LOC
    return location


def tensor_name(value: SSAValue) -> str:
    """The TFLite name of a value; empty if it has none."""
    location = tensor_location(value)
    return location.desc.data if isinstance(location, NameLoc) else ""


OPERATIONS = (
    BuiltinOp,
    CustomOp,
    NoValueOp,
    PseudoConstOp,
    PseudoQConstOp,
    PseudoTensorOp,
)
"""What every graph has. `npuc.operators` makes the dialect of these and of the operators that have a class."""
ATTRIBUTES = (ConstBytesAttr, OpaqueType)
