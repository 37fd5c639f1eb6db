"""
TFLite file -> `tfl`: every subgraph a function, every operator an op, nothing lost.

The order of operators is kept. Constants stand before the op that first uses them; those that nothing uses, and other
tensors that nothing refers to, stand before the return. What the file says and neither type nor location can hold is
kept in `tfl.*` attributes (see the docstring of npuc.dialects.tfl), each left out where it has its usual value:

- on the module: `tfl.description`, `tfl.metadata`, `tfl.metadata_buffers`, `tfl.signature_defs`;
- on a function: `tfl.subgraph_name` where it cannot be the symbol, `tfl.debug_metadata_index`;
- on an op: `tfl.version` (1), `tfl.absent_operands` (how many operands of -1 at the end are left out),
  `tfl.intermediates`, `tfl.mutating_variable_inputs`, `tfl.custom_options`, `tfl.debug_metadata_index`;
- on a tensor (`tfl.tensors`, `tfl.tensor`): `shape_signature`, `has_rank` (of a scalar), `variant_tensors`,
  `sparsity` (of a constant that holds only what is not zero, as its `#tfl.const_bytes`), `arena_offset` (bytes, from
  the metadata OfflineMemoryAllocation), and of its quantisation `scale`, `zero_point`,
  `quantized_dimension`, `min`, `max`, `custom` where they are not what its type would be written as.

Not kept, because no runtime can tell: the order and sharing of buffers, operator codes and tensors, buffers that
nothing uses, whether data lies behind the flatbuffer, an options table of another operator's kind, and quantisation
tables that say nothing. DENSIFY of a sparse constant is a dense constant. An operator that reads a sparse one reads it
as it stands in the file: TFLite's kernels do not compute with it what they compute with the dense one.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    BoolAttr,
    CompileTimeFixedBitwidthType,
    ComplexType,
    DenseArrayBase,
    DictionaryAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    LocationAttr,
    ModuleOp,
    NoneType,
    Signedness,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    UnitAttr,
    bf16,
    f16,
    f32,
    f64,
    i1,
    i8,
    i16,
    i32,
    i64,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.constants import from_bytes
from npuc.dialects.locations import Source, SourceOperator, joined, name_location, operator_location
from npuc.dialects.quant import UniformQuantizedType, storage_tensor
from npuc.dialects.tfl import (
    INTERMEDIATES,
    SPARSITY,
    TENSOR,
    TENSORS,
    BuiltinOp,
    ConstBytesAttr,
    CustomOp,
    NoValueOp,
    OpaqueType,
    PseudoConstOp,
    PseudoQConstOp,
    PseudoTensorOp,
    TflOp,
)
from npuc.dialects.value_names import identifiers
from npuc.lowering.tflite.sparsity import dense, positions
from npuc.lowering.tflite.tflite_schema import (
    OPERATORS,
    Field,
    Table,
    TFLiteError,
    default_table,
    is_enum,
    options_tables,
    read_model,
    tables,
    unions,
)
from npuc.operators import operator_class

OFFLINE_ALLOCATION = "OfflineMemoryAllocation"
"""Name of the metadata that gives tensors their places in the arena."""

ui8 = IntegerType(8, Signedness.UNSIGNED)
ui16 = IntegerType(16, Signedness.UNSIGNED)
ui32 = IntegerType(32, Signedness.UNSIGNED)
ui64 = IntegerType(64, Signedness.UNSIGNED)

ELEMENT_TYPES: dict[str, Attribute] = {
    "FLOAT32": f32,
    "FLOAT16": f16,
    "INT32": i32,
    "UINT8": ui8,
    "INT64": i64,
    "BOOL": i1,
    "INT16": i16,
    "COMPLEX64": ComplexType(f32),
    "INT8": i8,
    "FLOAT64": f64,
    "COMPLEX128": ComplexType(f64),
    "UINT64": ui64,
    "UINT32": ui32,
    "UINT16": ui16,
    "INT4": IntegerType(4),
    "BFLOAT16": bf16,
    "UINT4": IntegerType(4, Signedness.UNSIGNED),
}
"""TFLite's element types in the IR; those that MLIR lacks are `!tfl.opaque`."""

_KEPT_AS_BYTES = ("INT4", "UINT4", "BFLOAT16", "COMPLEX64", "COMPLEX128")
"""Types whose constants stay the file's bytes: packed, or of a `dense` form that xDSL does not read back."""

SPARSITY_FIELD = Field(SPARSITY, "SparsityParameters", False, None)


def import_tflite(data: bytes) -> ModuleOp:
    """
    The module of a TFLite file's bytes.

    Raises TFLiteError, with a text of one line, for a file that is damaged, newer than the schema known here, or
    that uses blockwise quantisation or data in other files.
    """
    return _Importer(read_model(data), data).module()


def to_attribute(field: Field, value: Any, symbols: list[str]) -> Attribute:
    """
    A field's value as an attribute; `symbols` are the functions' names by subgraph index.

    A union is a dictionary with one entry, of the table's name.
    """
    if field.type in unions():
        name, table = value
        return DictionaryAttr({name: table_attribute(name, table, symbols)})
    if field.is_vector:
        match field.type:
            case "ubyte":
                return ConstBytesAttr(value)
            case "int" | "ushort":
                return DenseArrayBase.from_list(i32, value)
            case "long":
                return DenseArrayBase.from_list(i64, value)
            case "bool":
                return DenseArrayBase.from_list(i1, [int(v) for v in value])
            case "float":
                return float_array(value)
            case _:
                element = Field(field.name, field.type, False, None)
                return ArrayAttr([to_attribute(element, v, symbols) for v in value])
    if is_enum(field.type) or field.type == "string":
        return StringAttr(value)
    match field.type:
        case "bool":
            return BoolAttr.from_bool(value)
        case "byte":
            return IntegerAttr(value, i8)
        case "ubyte":
            return IntegerAttr(value, ui8)
        case "int":
            return IntegerAttr(value, i32)
        case "uint":
            return IntegerAttr(value, ui32)
        case "long":
            return IntegerAttr(value, i64)
        case "ulong":
            return IntegerAttr(value, ui64)
        case "float":
            return FloatAttr(value, f32)
        case "subgraph":
            value = int(value)
            if not 0 <= value < len(symbols):
                raise TFLiteError(f"{field.name} refers to subgraph {value} of {len(symbols)}")
            return SymbolRefAttr(symbols[value])
        case _:
            return table_attribute(field.type, value, symbols)


def table_attribute(name: str, values: Table, symbols: list[str]) -> DictionaryAttr:
    """A table as a dictionary of its fields, left out where absent, as those are that say of which type a union is."""
    return DictionaryAttr(
        {
            field.name: to_attribute(field, values[field.name], symbols)
            for field in tables()[name]
            if field is not None and values.get(field.name) is not None
        }
    )


def float_array(values: Sequence[float]) -> Attribute:
    """`array<f32: ...>`, or the bytes where the textual form of some value would not read back."""
    if all(abs(value) < 1e6 for value in values):
        return DenseArrayBase.from_list(f32, values)
    return ConstBytesAttr(struct.pack(f"<{len(values)}f", *values))


def quantized_type(storage: Attribute, shape: Sequence[int], quantization: Table | None) -> Attribute:
    """
    The element type that says best how a tensor is quantised, or `storage` where the file says nothing usable.

    Several scales go along `quantized_dimension`; where that does not fit, along the only dimension that they fit.
    """
    scales, zero_points = (quantization or {}).get("scale"), (quantization or {}).get("zero_point")
    if not scales or not isinstance(storage, IntegerType) or storage == i1:
        return storage
    count = len(scales)
    zero_points = zero_points or (0,)
    if len(zero_points) == 1:
        zero_points = zero_points * count
    if len(zero_points) != count:
        return storage
    try:
        if count == 1:
            return UniformQuantizedType.per_tensor(storage, scales[0], zero_points[0])
        assert quantization is not None
        axis = quantization["quantized_dimension"]
        if not (0 <= axis < len(shape) and shape[axis] == count):
            fitting = [index for index, size in enumerate(shape) if size == count]
            if len(fitting) != 1:
                return storage
            axis = fitting[0]
        return UniformQuantizedType.per_axis(storage, axis, scales, zero_points)
    except VerifyException:  # a scale that is 0, negative or not finite, or a zero point out of range
        return storage


def canonical_quantization(element: Attribute) -> Table:
    """The quantisation table that a type is written as."""
    table = default_table("QuantizationParameters")
    if isinstance(element, UniformQuantizedType):
        table |= {"scale": element.scales, "zero_point": element.zero_points, "quantized_dimension": element.axis or 0}
    return table


class _Importer:
    def __init__(self, model: Table, data: bytes):
        self.model = model
        self.data = data
        self.subgraphs: list[Table] = model["subgraphs"] or []
        self.buffers: list[Table] = model["buffers"] or []
        self.codes: list[tuple[str, str | None, int]] = [self.operator_code(c) for c in model["operator_codes"] or []]
        self.symbols = self.unique_symbols()
        self.arena_offsets: dict[tuple[int, int], int] = {}

    def module(self) -> ModuleOp:
        model = self.model
        if model["version"] != 3:
            raise TFLiteError(f"schema version {model['version']} is not supported, only 3")
        if not self.subgraphs:
            raise TFLiteError("the model has no subgraph")
        if model["external_buffer_groups"] or model["external_buffers"]:
            raise TFLiteError("constants in other files are not supported")
        attributes: dict[str, Attribute] = {}
        if model["description"]:
            attributes["tfl.description"] = StringAttr(model["description"])
        if model["metadata"]:
            attributes["tfl.metadata"] = ArrayAttr([self.metadata(entry) for entry in model["metadata"]])
        if model["metadata_buffer"]:
            blobs = [ConstBytesAttr(self.buffer(index) or b"") for index in model["metadata_buffer"]]
            attributes["tfl.metadata_buffers"] = ArrayAttr(blobs)
        if model["signature_defs"]:
            attributes["tfl.signature_defs"] = ArrayAttr([self.signature(entry) for entry in model["signature_defs"]])
        functions = [_SubgraphImporter(self, index).function() for index in range(len(self.subgraphs))]
        return ModuleOp(functions, attributes)

    def operator_code(self, code: Table) -> tuple[str, str | None, int]:
        number = max(code["deprecated_builtin_code"], code["builtin_code"])
        if not 0 <= number < len(OPERATORS):
            raise TFLiteError(f"builtin operator {number} is not known; the file is newer than this reader, or damaged")
        return OPERATORS[number], code["custom_code"], code["version"]

    def unique_symbols(self) -> list[str]:
        taken: set[str] = set()
        symbols: list[str] = []
        for index, subgraph in enumerate(self.subgraphs):
            stem = subgraph["name"] or ("main" if index == 0 else f"subgraph_{index}")
            symbol, suffix = stem, 0
            while symbol in taken:
                suffix += 1
                symbol = f"{stem}_{suffix}"
            taken.add(symbol)
            symbols.append(symbol)
        return symbols

    def buffer(self, index: int) -> bytes | None:
        """The data of a buffer; None where there is none, as in buffer 0."""
        if not 0 <= index < len(self.buffers):
            raise TFLiteError(f"buffer {index} does not exist, there are {len(self.buffers)}")
        buffer = self.buffers[index]
        if buffer["offset"] > 1:
            return self.outside(buffer["offset"], buffer["size"], f"buffer {index}")
        return buffer["data"]

    def outside(self, offset: int, size: int, what: str) -> bytes:
        """Bytes of the file behind the flatbuffer, which is where large models keep theirs."""
        if offset + size > len(self.data):
            raise TFLiteError(f"{what} ends at byte {offset + size} of a file of {len(self.data)}")
        return self.data[offset : offset + size]

    def metadata(self, entry: Table) -> DictionaryAttr:
        name, data = entry["name"] or "", self.buffer(entry["buffer"]) or b""
        if name == OFFLINE_ALLOCATION and self.offline_allocation(data):
            return DictionaryAttr(
                {"name": StringAttr(name), "header": DenseArrayBase.from_list(i32, struct.unpack_from("<2i", data))}
            )
        return DictionaryAttr({"name": StringAttr(name), "data": ConstBytesAttr(data)})

    def offline_allocation(self, data: bytes) -> bool:
        """Notes the arena offsets of all tensors; False where the metadata does not fit the tensors."""
        tensors = [(s, t) for s, subgraph in enumerate(self.subgraphs) for t in range(len(subgraph["tensors"] or []))]
        if len(data) != 4 * (3 + len(tensors)):
            return False
        _, _, count, *offsets = struct.unpack(f"<{len(data) // 4}i", data)
        if count != len(tensors):
            return False
        self.arena_offsets = {key: offset for key, offset in zip(tensors, offsets, strict=True) if offset != -1}
        return True

    def signature(self, entry: Table) -> DictionaryAttr:
        index = entry["subgraph_index"]
        if index >= len(self.subgraphs):
            raise TFLiteError(f"a signature refers to subgraph {index} of {len(self.subgraphs)}")

        def positions(which: str) -> DictionaryAttr:
            tensors: Sequence[int] = self.subgraphs[index][which] or ()
            found: dict[str, Attribute] = {}
            for item in entry[which] or []:
                name, tensor = item["name"] or "", item["tensor_index"]
                if tensor not in tensors or name in found:
                    raise TFLiteError(f"the signature's entry '{name}' is not one of the subgraph's {which}")
                found[name] = IntegerAttr(tensors.index(tensor), i64)
            return DictionaryAttr(found)

        return DictionaryAttr(
            {
                "key": StringAttr(entry["signature_key"] or ""),
                "subgraph": SymbolRefAttr(self.symbols[index]),
                "inputs": positions("inputs"),
                "outputs": positions("outputs"),
            }
        )


class _SubgraphImporter:
    def __init__(self, model: _Importer, index: int):
        self.model = model
        self.index = index
        self.subgraph = model.subgraphs[index]
        self.tensors: list[Table] = self.subgraph["tensors"] or []
        self.operators: list[Table] = self.subgraph["operators"] or []
        self.values: dict[int, SSAValue] = {}
        self.types: list[TensorType[Attribute]] = []
        self.produced: set[int] = set()
        self.made_dense: set[int] = set()
        """Sparse constants of which DENSIFY has made a dense one."""
        self.block = Block()

    def function(self) -> FuncOp:
        self.find_producers()
        self.types = [self.type(tensor) for tensor in range(len(self.tensors))]
        infos: list[DictionaryAttr] = []
        inputs = self.subgraph["inputs"] or ()
        for tensor in inputs:
            argument = self.block.insert_arg(self.types[tensor], len(self.block.args))
            argument.location = name_location(self.tensors[tensor]["name"] or "")
            self.values[tensor] = argument
            infos.append(DictionaryAttr(self.info(tensor)))
        for number, operator in enumerate(self.operators):
            self.add_operator(number, operator)
        outputs = [self.value(tensor, "an output of the subgraph") for tensor in self.subgraph["outputs"] or ()]
        kept = {i for operator in self.operators for i in operator["intermediates"] or ()}
        for tensor in range(len(self.tensors)):
            if tensor not in self.values and tensor not in kept | self.made_dense:
                self.value(tensor, "a tensor")
        self.block.add_op(ReturnOp(*outputs))
        for tensor, name in enumerate(identifiers(one["name"] or "" for one in self.tensors)):
            if tensor in self.values:
                self.values[tensor].name_hint = name
        function = FuncOp(
            self.model.symbols[self.index],
            ([argument.type for argument in self.block.args], [value.type for value in outputs]),
            Region(self.block),
            "private" if self.index else None,
            arg_attrs=ArrayAttr([DictionaryAttr({TENSOR: info} if info.data else {}) for info in infos])
            if any(info.data for info in infos)
            else None,
        )
        name = self.subgraph["name"]
        if name and name != self.model.symbols[self.index]:
            function.attributes["tfl.subgraph_name"] = StringAttr(name)
        self.add_debug_index(function, self.subgraph)
        return function

    def find_producers(self) -> None:
        """
        Checks that every tensor comes from one place, so that it can be an SSA value.

        Compiled files let several `ethos-u` operators write parts of one tensor. Such a tensor lies where the offline
        plan says, and so does the value that each of these operators makes.
        """
        origin: dict[int, str] = {}
        for tensor in self.subgraph["inputs"] or ():
            self.check(tensor, "an input of the subgraph")
            if tensor in origin:
                raise TFLiteError(f"{self.describe(tensor)} is an input twice")
            origin[tensor] = "an input of the subgraph"
        in_parts: set[int] = set()
        for number, operator in enumerate(self.operators):
            code = operator["opcode_index"]
            is_custom = code < len(self.model.codes) and self.model.codes[code][0] == "CUSTOM"
            for tensor in operator["outputs"] or ():
                if tensor == -1:
                    continue
                self.check(tensor, f"an output of operator {number}")
                if is_custom and (self.index, tensor) in self.model.arena_offsets:
                    if tensor in in_parts:
                        continue
                    in_parts.add(tensor)
                if tensor in origin:
                    raise TFLiteError(f"{self.describe(tensor)} is {origin[tensor]} and an output of operator {number}")
                origin[tensor] = f"an output of operator {number}"
        for tensor, what in origin.items():
            if self.model.buffer(self.tensors[tensor]["buffer"]):
                raise TFLiteError(f"{self.describe(tensor)} is constant and {what}")
        self.produced = set(origin)

    def describe(self, tensor: int) -> str:
        return f"tensor {tensor} ('{self.tensors[tensor]['name'] or ''}') of subgraph {self.index}"

    def check(self, tensor: int, what: str) -> None:
        if not 0 <= tensor < len(self.tensors):
            raise TFLiteError(f"{what} is tensor {tensor}, but subgraph {self.index} has {len(self.tensors)} tensors")

    # Tensors

    def type(self, index: int) -> TensorType[Attribute]:
        tensor = self.tensors[index]
        if tensor["external_buffer"]:
            raise TFLiteError(f"{self.describe(index)} has its data in another file, which is not supported")
        shape: Sequence[int] = tensor["shape"] or ()
        if any(size < -1 for size in shape):
            raise TFLiteError(f"{self.describe(index)} has a negative dimension")
        storage = ELEMENT_TYPES.get(tensor["type"]) or OpaqueType(tensor["type"])
        element = quantized_type(storage, shape, tensor["quantization"])
        return TensorType(element, [DYNAMIC_INDEX if size == -1 else size for size in shape])

    def info(self, index: int) -> dict[str, Attribute]:
        """What the tensor's type, location and constant do not say of it."""
        tensor = self.tensors[index]
        found: dict[str, Attribute] = {}
        quantization: Table = tensor["quantization"] or default_table("QuantizationParameters")
        canonical = canonical_quantization(self.types[index].element_type)
        for field in tables()["QuantizationParameters"]:
            if field is None or field.name == "details_type":
                continue
            value = quantization[field.name]
            if field.name == "details":
                if value is not None:
                    found["custom"] = ConstBytesAttr(value[1]["custom"] or b"")
            # An empty vector says as little as none.
            elif (value or None) != (canonical[field.name] or None):
                empty = () if field.is_vector else 0
                found[field.name] = to_attribute(field, value or empty, [])
        if tensor["shape_signature"] is not None:
            found["shape_signature"] = DenseArrayBase.from_list(i32, tensor["shape_signature"])
        if tensor["has_rank"] and not tensor["shape"]:
            found["has_rank"] = UnitAttr()
        if tensor["variant_tensors"]:
            field = Field("variant_tensors", "VariantSubType", True, None)
            found["variant_tensors"] = to_attribute(field, tensor["variant_tensors"], [])
        if tensor["sparsity"] is not None:
            found[SPARSITY] = to_attribute(SPARSITY_FIELD, tensor["sparsity"], [])
        if (self.index, index) in self.model.arena_offsets:
            found["arena_offset"] = IntegerAttr(self.model.arena_offsets[self.index, index], i64)
        return found

    def value(self, index: int, what: str) -> SSAValue:
        """The SSA value of a tensor that `what` refers to; makes it where no operator does."""
        if index in self.values:
            return self.values[index]
        self.check(index, what)
        if index in self.produced:
            raise TFLiteError(f"{what} is {self.describe(index)}, which only a later operator makes")
        tensor, type_ = self.tensors[index], self.types[index]
        data = self.model.buffer(tensor["buffer"])
        is_empty = 0 in type_.get_shape()
        if data or (data is not None and is_empty):
            if tensor["is_variable"]:
                raise TFLiteError(f"{self.describe(index)} is variable and has data, which TFLite does not allow")
            op: Operation = self.constant(index, data, type_)
            if tensor["sparsity"] is not None:
                self.dense(index, data)
        else:
            op = PseudoTensorOp(type_, tensor["is_variable"])
        op.location = name_location(tensor["name"] or "")
        if info := self.info(index):
            op.attributes[TENSORS] = ArrayAttr([DictionaryAttr(info)])
        self.block.add_op(op)
        self.values[index] = op.results[0]
        return op.results[0]

    def dense(self, index: int, data: bytes) -> bytes | None:
        """
        A sparse constant made dense; None where its type is one whose values are not told apart.

        Raises TFLiteError where the description of the constant does not fit.
        """
        tensor = self.tensors[index]
        shape: Sequence[int] = tensor["shape"] or ()
        element = self.stored(index).element_type
        try:
            if tensor["type"] in _KEPT_AS_BYTES or not isinstance(element, CompileTimeFixedBitwidthType):
                positions(tensor["sparsity"], shape)
                return None
            return dense(data, tensor["sparsity"], shape, element.compile_time_size)
        except TFLiteError as error:
            raise TFLiteError(f"{self.describe(index)}: {error}") from None

    def stored(self, index: int) -> TensorType[Attribute]:
        """A tensor's type without its quantisation."""
        stored = storage_tensor(self.types[index])
        assert isinstance(stored, TensorType)
        return stored

    def constant(self, index: int, data: bytes, type_: TensorType[Attribute]) -> Operation:
        stored = self.stored(index)
        make = PseudoConstOp if stored == type_ else PseudoQConstOp
        element, tensor = stored.element_type, self.tensors[index]
        if isinstance(element, OpaqueType) or tensor["type"] in _KEPT_AS_BYTES or tensor["sparsity"] is not None:
            return make(ConstBytesAttr(data), type_)
        shape = stored.get_shape()
        assert isinstance(element, CompileTimeFixedBitwidthType)
        if DYNAMIC_INDEX in shape or math.prod(shape) * element.compile_time_size != len(data):
            raise TFLiteError(f"{self.describe(index)} is {stored} but its buffer holds {len(data)} bytes")
        return make(from_bytes(stored, data), type_)

    # Operators

    def add_operator(self, number: int, operator: Table) -> None:
        code = operator["opcode_index"]
        if code >= len(self.model.codes):
            raise TFLiteError(f"operator {number} has code {code}, but the model has {len(self.model.codes)}")
        builtin, custom_code, version = self.model.codes[code]
        what = f"operator {number} ({custom_code or builtin})"
        if builtin == "DENSIFY":
            self.add_dense(operator, what)
            return
        operands, absent = self.operands(operator["inputs"] or (), what, builtin)
        outputs: Sequence[int] = operator["outputs"] or ()
        types = [NoneType() if tensor == -1 else self.types[tensor] for tensor in outputs]
        try:
            op = self.operation(builtin, custom_code, operator, operands, types)
        except TFLiteError as error:
            raise TFLiteError(f"{what}: {error}") from None
        if version != 1:
            op.attributes["tfl.version"] = IntegerAttr(version, i32)
        if absent:
            op.attributes["tfl.absent_operands"] = IntegerAttr(absent, i64)
        self.add_details(op, operator, what)
        op.location = self.location(outputs, number, custom_code or builtin)
        infos = [DictionaryAttr(self.info(tensor) if tensor != -1 else {}) for tensor in outputs]
        if any(info.data for info in infos):
            op.attributes[TENSORS] = ArrayAttr(infos)
        try:
            op.verify()
        except VerifyException as error:
            raise TFLiteError(f"{what} is malformed: {error}") from None
        self.block.add_op(op)
        self.values |= {tensor: result for tensor, result in zip(outputs, op.results, strict=True) if tensor != -1}

    def add_dense(self, operator: Table, what: str) -> None:
        """DENSIFY of a constant is that constant, which has been made dense; no runtime takes it of another operand."""
        inputs, outputs = operator["inputs"] or (), operator["outputs"] or ()
        if len(inputs) != 1 or len(outputs) != 1:
            raise TFLiteError(f"{what} has {len(inputs)} inputs and {len(outputs)} outputs")
        self.check(inputs[0], f"an input of {what}")
        stored = self.model.buffer(self.tensors[inputs[0]]["buffer"])
        if not stored or inputs[0] in self.produced or self.tensors[inputs[0]]["sparsity"] is None:
            raise TFLiteError(f"an input of {what} is {self.describe(inputs[0])}, which is no sparse constant")
        if self.tensors[outputs[0]]["sparsity"] is not None:
            raise TFLiteError(f"an output of {what} is {self.describe(outputs[0])}, which is sparse")
        data = self.dense(inputs[0], stored)
        if data is None:
            raise TFLiteError(f"{what} of {self.tensors[inputs[0]]['type']} is not supported")
        op = self.constant(outputs[0], data, self.types[outputs[0]])
        op.location = name_location(self.tensors[outputs[0]]["name"] or "")
        if info := self.info(outputs[0]):
            op.attributes[TENSORS] = ArrayAttr([DictionaryAttr(info)])
        self.block.add_op(op)
        self.values[outputs[0]] = op.results[0]
        self.made_dense.add(inputs[0])

    def operands(self, inputs: Sequence[int], what: str, builtin: str) -> tuple[list[SSAValue], int]:
        """The operands, and how many absent ones are left out at the end, where a class of ours has them optional."""
        present = len(inputs)
        if operator_class(builtin) is not None:
            while present and inputs[present - 1] == -1:
                present -= 1
        operands: list[SSAValue] = []
        for tensor in inputs[:present]:
            if tensor == -1:
                none = NoValueOp()
                self.block.add_op(none)
                operands.append(none.output)
            else:
                operands.append(self.value(tensor, f"an input of {what}"))
        return operands, len(inputs) - present

    def operation(
        self,
        builtin: str,
        custom_code: str | None,
        operator: Table,
        operands: Sequence[SSAValue],
        types: Sequence[Attribute],
    ) -> TflOp:
        options: tuple[str, Table] | None = operator["builtin_options"] or operator["builtin_options_2"]
        if builtin == "CUSTOM":
            return CustomOp(custom_code or "", operands, types, self.custom_options(operator))
        own_table = options_tables().get(builtin)
        op_class = operator_class(builtin)
        if op_class is None:
            op = BuiltinOp(builtin, operands, types)
            if options is not None:
                op.properties["options"] = table_attribute(*options, self.model.symbols)
                if options[0] != own_table:
                    op.properties["options_type"] = StringAttr(options[0])
            return op
        properties: dict[str, Attribute] = {}
        if own_table is not None:
            # An operator reads only its own kind of options, and does with the defaults without them.
            values = options[1] if options is not None and options[0] == own_table else default_table(own_table)
            properties = dict(table_attribute(own_table, values, self.model.symbols).data)
        return op_class.create(operands=operands, result_types=types, properties=properties)

    def custom_options(self, operator: Table) -> bytes | None:
        offset, size = operator["large_custom_options_offset"], operator["large_custom_options_size"]
        return self.model.outside(offset, size, "its options") if offset > 1 else operator["custom_options"]

    def add_details(self, op: TflOp, operator: Table, what: str) -> None:
        if not isinstance(op, CustomOp) and (custom_options := self.custom_options(operator)):
            op.attributes["tfl.custom_options"] = ConstBytesAttr(custom_options)
        if any(operator["mutating_variable_inputs"] or ()):
            field = Field("mutating_variable_inputs", "bool", True, None)
            flags = to_attribute(field, operator["mutating_variable_inputs"], [])
            op.attributes["tfl.mutating_variable_inputs"] = flags
        if operator["intermediates"]:
            op.attributes[INTERMEDIATES] = ArrayAttr(
                [self.intermediate(tensor, what) for tensor in operator["intermediates"]]
            )
        self.add_debug_index(op, operator)

    def intermediate(self, index: int, what: str) -> Attribute:
        """A tensor that an operator only uses within itself: `{name, type, ...}`; `unit` where it is left out."""
        if index == -1:
            return UnitAttr()
        self.check(index, f"an intermediate of {what}")
        tensor = self.tensors[index]
        if index in self.produced or self.model.buffer(tensor["buffer"]) or tensor["is_variable"]:
            raise TFLiteError(f"an intermediate of {what} is {self.describe(index)}, which has other uses")
        known = {"name": StringAttr(tensor["name"] or ""), "type": self.types[index]}
        return DictionaryAttr(known | self.info(index))

    def add_debug_index(self, op: Operation, table: Table) -> None:
        if table["debug_metadata_index"] != -1:
            op.attributes["tfl.debug_metadata_index"] = IntegerAttr(table["debug_metadata_index"], i32)

    def location(self, outputs: Sequence[int], number: int, type_: str) -> LocationAttr:
        operator = SourceOperator(self.index, number, type_)
        names = [
            operator_location(Source(operator, "" if tensor == -1 else self.tensors[tensor]["name"] or ""))
            for tensor in outputs or (-1,)
        ]
        return joined(names)
