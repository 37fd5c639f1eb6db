"""
`tfl` -> TFLite file: the inverse of the import, for any module that holds nothing but `tfl`.

Functions become subgraphs in their order, `tfl` ops operators in theirs; tensors are numbered as they appear: the
function's arguments, then the results of its ops (constants included). Equal constants share a buffer, each at a
16-byte boundary of the file. Everything the import keeps in `tfl.*` attributes is written back.

Whoever builds a module by hand need only know:
- names of tensors are the locations of the ops that make them;
- `arena_offset` in a tensor's dictionary (`tfl.tensors`, `tfl.tensor`) puts it there in the metadata
  OfflineMemoryAllocation, all tensors without it get -1; the metadata is written if any tensor has one;
- an operator of version other than 1 says so in `tfl.version`.
"""

import struct
from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    DictionaryAttr,
    FloatAttr,
    FusedLoc,
    IntegerAttr,
    LocationAttr,
    ModuleOp,
    NameLoc,
    NoneType,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    i1,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Operation, SSAValue

from npuc.dialects.quant import storage_tensor
from npuc.dialects.tfl import (
    INTERMEDIATES,
    TENSOR,
    BuiltinOp,
    ConstantOp,
    ConstBytesAttr,
    CustomOp,
    NoValueOp,
    OpaqueType,
    PseudoTensorOp,
    TflOp,
    tensor_infos,
)
from npuc.lowering.tflite.import_tflite import ELEMENT_TYPES, OFFLINE_ALLOCATION, SPARSITY_FIELD, canonical_quantization
from npuc.lowering.tflite.tflite_schema import (
    OPERATORS,
    TENSOR_TYPES,
    Field,
    Table,
    TFLiteError,
    enum_names,
    is_enum,
    options_tables,
    tables,
    unions,
    write_model,
)

DESCRIPTION = "written by npuc"
"""Of a file whose source has none."""
_TYPE_NAMES = {attr: name for name, attr in ELEMENT_TYPES.items()}
_BUILTIN_OPTIONS = frozenset(unions()["BuiltinOptions"])


def export_tflite(module: ModuleOp) -> bytes:
    """
    The TFLite file of a `tfl` module.

    Raises TFLiteError, with a text of one line, where the module holds what a TFLite file cannot.
    """
    return write_model(_Exporter(module).model())


def from_attribute(field: Field, attr: Attribute, symbols: dict[str, int]) -> Any:
    """The inverse of `import_tflite.to_attribute`; raises TFLiteError where the attribute is of another kind."""
    value: Any = None
    if field.is_vector:
        element = Field(field.name, field.type, False, None)
        match attr:
            case ConstBytesAttr() if field.type == "float":
                value = struct.unpack(f"<{len(attr.data) // 4}f", attr.data[: len(attr.data) // 4 * 4])
            case ConstBytesAttr() if field.type == "ubyte":
                value = attr.data
            case DenseArrayBase() if field.type in ("int", "long", "float"):
                value = _values(attr)
            case DenseArrayBase() if field.type == "ushort":
                value = _values(attr)
                value = value if all(0 <= one < 1 << 16 for one in value) else None
            case DenseArrayBase() if field.type == "bool":
                value = [bool(flag) for flag in _values(attr)]
            case ArrayAttr():
                value = [from_attribute(element, item, symbols) for item in attr]
            case _:
                pass
    elif field.type in unions():
        if isinstance(attr, DictionaryAttr) and len(attr.data) == 1:
            ((name, table),) = attr.data.items()
            if name in unions()[field.type] and isinstance(table, DictionaryAttr):
                value = name, from_dictionary(name, table, symbols)
    elif field.type in tables():
        if isinstance(attr, DictionaryAttr):
            value = from_dictionary(field.type, attr, symbols)
    else:
        match attr:
            case StringAttr() if field.type == "string":
                value = attr.data
            case StringAttr() if is_enum(field.type) and attr.data in enum_names(field.type):
                value = attr.data
            case IntegerAttr() if field.type == "bool":
                value = bool(attr)
            case IntegerAttr() if field.type in ("byte", "ubyte", "int", "uint", "long", "ulong"):
                value = attr.value.data
            case FloatAttr() if field.type == "float":
                value = attr.value.data
            case SymbolRefAttr() if field.type == "subgraph":
                value = symbols.get(attr.string_value())
            case _:
                pass
    if value is None:
        raise TFLiteError(f"{field.name} = {attr} cannot be written as {field.type}")
    return value


def from_dictionary(name: str, attr: DictionaryAttr, symbols: dict[str, int]) -> Table:
    """A table from a dictionary of its fields; raises TFLiteError for a name that is no field of it."""
    fields = {field.name: field for field in tables()[name] if field is not None}
    unknown = attr.data.keys() - fields.keys()
    if unknown:
        raise TFLiteError(f"{name} has no field {min(unknown)}")
    return {key: from_attribute(fields[key], value, symbols) for key, value in attr.data.items()}


class _Exporter:
    def __init__(self, module: ModuleOp):
        self.module_op = module
        self.functions: list[FuncOp] = []
        for op in module.body.block.ops:
            if not isinstance(op, FuncOp):
                raise TFLiteError(f"{op.name} has no place in a TFLite file")
            self.functions.append(op)
        self.symbols = {function.sym_name.data: index for index, function in enumerate(self.functions)}
        self.codes: dict[tuple[str, str | None, int], int] = {}
        self.buffers: list[Table] = [{}]
        self.buffer_of: dict[bytes, int] = {}
        self.arena_offsets: list[int | None] = []

    def model(self) -> Table:
        if not self.functions:
            raise TFLiteError("the module has no function to write as a subgraph")
        attributes = self.module_op.attributes
        subgraphs = [_SubgraphExporter(self, function) for function in self.functions]
        model: Table = {"version": 3, "subgraphs": [subgraph.table() for subgraph in subgraphs]}
        model["signature_defs"] = [
            self.signature(e, subgraphs) for e in _dictionaries(attributes, "tfl.signature_defs")
        ]
        model["metadata"] = self.metadata()
        blobs = attributes.get("tfl.metadata_buffers")
        if isinstance(blobs, ArrayAttr):
            model["metadata_buffer"] = [self.buffer(_bytes(blob, "tfl.metadata_buffers")) for blob in blobs]
        description = attributes.get("tfl.description")
        # Loaders copy it unchecked.
        model["description"] = (isinstance(description, StringAttr) and description.data) or DESCRIPTION
        model["operator_codes"] = [
            {
                "deprecated_builtin_code": min(OPERATORS.index(name), 127),
                "builtin_code": OPERATORS.index(name),
                "custom_code": custom_code,
                "version": version,
            }
            for name, custom_code, version in self.codes
        ]
        model["buffers"] = self.buffers
        for field in ("signature_defs", "metadata"):
            model[field] = model[field] or None
        return model

    def buffer(self, data: bytes) -> int:
        """The index of the buffer with this data, made if there is none."""
        if data not in self.buffer_of:
            self.buffer_of[data] = len(self.buffers)
            self.buffers.append({"data": data})
        return self.buffer_of[data]

    def code(self, name: str, custom_code: str | None, version: int) -> int:
        return self.codes.setdefault((name, custom_code, version), len(self.codes))

    def metadata(self) -> list[Table]:
        entries: list[Table] = []
        planned = any(offset is not None for offset in self.arena_offsets)
        for entry in _dictionaries(self.module_op.attributes, "tfl.metadata"):
            name = _string(entry, "name", "tfl.metadata")
            header = entry.data.get("header")
            if name == OFFLINE_ALLOCATION and isinstance(header, DenseArrayBase):
                planned = False
                data = self.offline_allocation(_values(header))
            else:
                data = _bytes(entry.data.get("data"), "tfl.metadata")
            entries.append({"name": name, "buffer": self.buffer(data)})
        if planned:
            data = self.offline_allocation((0, len(self.functions)))
            entries.append({"name": OFFLINE_ALLOCATION, "buffer": self.buffer(data)})
        return entries

    def offline_allocation(self, header: Sequence[Any]) -> bytes:
        offsets = [-1 if offset is None else offset for offset in self.arena_offsets]
        return struct.pack(f"<{3 + len(offsets)}i", *header, len(offsets), *offsets)

    def signature(self, entry: DictionaryAttr, subgraphs: "list[_SubgraphExporter]") -> Table:
        what = "tfl.signature_defs"
        symbol = entry.data.get("subgraph")
        index = self.symbols.get(symbol.string_value()) if isinstance(symbol, SymbolRefAttr) else None
        if index is None:
            raise TFLiteError(f"{what} names no function of the module")

        def tensors(which: str, indices: Sequence[int]) -> list[Table]:
            names = entry.data.get(which)
            tables: list[Table] = []
            for name, position in names.data.items() if isinstance(names, DictionaryAttr) else ():
                if not isinstance(position, IntegerAttr) or not 0 <= position.value.data < len(indices):
                    raise TFLiteError(f"{what}: {name} is not among the {len(indices)} {which}")
                tables.append({"name": name, "tensor_index": indices[position.value.data]})
            return tables

        return {
            "signature_key": _string(entry, "key", what),
            "subgraph_index": index,
            "inputs": tensors("inputs", subgraphs[index].inputs),
            "outputs": tensors("outputs", subgraphs[index].outputs),
        }


class _SubgraphExporter:
    def __init__(self, model: _Exporter, function: FuncOp):
        self.model = model
        self.function = function
        self.tensors: list[Table] = []
        self.operators: list[Table] = []
        self.index_of: dict[SSAValue, int] = {}
        self.inputs: list[int] = []
        self.outputs: list[int] = []

    def table(self) -> Table:
        function = self.function
        if len(function.body.blocks) != 1:
            raise TFLiteError(f"@{function.sym_name.data} must have one block to be a subgraph")
        block = function.body.block
        attributes = function.arg_attrs.data if function.arg_attrs is not None else ()
        for number, argument in enumerate(block.args):
            info = attributes[number].data.get(TENSOR) if number < len(attributes) else None
            names = _names(argument.location)
            self.add_tensor(argument, names[0] if names else "", info if isinstance(info, DictionaryAttr) else None)
            self.inputs.append(self.index_of[argument])
        for op in block.ops:
            if isinstance(op, ReturnOp):
                self.outputs = [self.index(value) for value in op.operands]
            else:
                self.add_op(op)
        name = function.attributes.get("tfl.subgraph_name")
        return {
            "tensors": self.tensors,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "operators": self.operators,
            "name": name.data if isinstance(name, StringAttr) else function.sym_name.data,
            "debug_metadata_index": _integer(function, "tfl.debug_metadata_index", -1),
        }

    def index(self, value: SSAValue) -> int:
        return -1 if isinstance(value.type, NoneType) else self.index_of[value]

    def add_tensor(self, value: SSAValue, name: str, info: DictionaryAttr | None) -> Table:
        table = self.tensor(value.type, name, info)
        self.index_of[value] = len(self.tensors)
        self.tensors.append(table)
        offset = None if info is None else info.data.get("arena_offset")
        self.model.arena_offsets.append(offset.value.data if isinstance(offset, IntegerAttr) else None)
        return table

    def tensor(self, type_: Attribute, name: str, info: DictionaryAttr | None) -> Table:
        known = {} if info is None else info.data
        stored = storage_tensor(type_)
        if not isinstance(type_, TensorType) or not isinstance(stored, TensorType):
            raise TFLiteError(f"a value of type {type_} has no place in a TFLite file")
        element = stored.element_type
        type_name = element.data if isinstance(element, OpaqueType) else _TYPE_NAMES.get(element)
        if type_name not in TENSOR_TYPES:
            raise TFLiteError(f"TFLite has no tensors of {element}")
        quantization = canonical_quantization(type_.element_type)
        for field in tables()["QuantizationParameters"]:
            if field is not None and field.name in known:
                quantization[field.name] = from_attribute(field, known[field.name], {})
        custom = known.get("custom")
        if isinstance(custom, ConstBytesAttr):
            quantization["details"] = ("CustomQuantization", {"custom": custom.data})
        table: Table = {
            "shape": [-1 if size == DYNAMIC_INDEX else size for size in type_.get_shape()],
            "type": type_name,
            "name": name,
            "quantization": quantization,
            "has_rank": bool(type_.get_shape()) or "has_rank" in known,
        }
        for field in (
            Field("shape_signature", "int", True, None),
            Field("variant_tensors", "VariantSubType", True, None),
            SPARSITY_FIELD,
        ):
            if field.name in known:
                table[field.name] = from_attribute(field, known[field.name], {})
        return table

    def add_op(self, op: Operation) -> None:
        if not isinstance(op, TflOp):
            raise TFLiteError(f"{op.name} has no place in a TFLite file")
        infos = tensor_infos(op)
        names = _names(op.location)
        tables_: list[Table] = []
        for number, result in enumerate(op.results):
            if not isinstance(result.type, NoneType):
                name = names[number] if number < len(names) else ""
                tables_.append(self.add_tensor(result, name, infos[number]))
        match op:
            case ConstantOp():
                tables_[0]["buffer"] = self.model.buffer(_constant_bytes(op))
            case PseudoTensorOp():
                tables_[0]["is_variable"] = op.is_variable is not None
            case NoValueOp():
                pass
            case _:
                self.add_operator(op)

    def add_operator(self, op: TflOp) -> None:
        symbols = self.model.symbols
        operator: Table = {}
        custom_code = None
        if isinstance(op, CustomOp):
            name, custom_code = "CUSTOM", op.custom_code.data
            operator["custom_options"] = op.custom_option.data if op.custom_option is not None else None
        else:
            name = op.operator_name.data if isinstance(op, BuiltinOp) else op.name.removeprefix("tfl.").upper()
            if name not in OPERATORS:
                raise TFLiteError(f"TFLite has no operator {name}")
            options: DictionaryAttr | None = DictionaryAttr(op.properties)
            table_name = options_tables().get(name)
            if isinstance(op, BuiltinOp):
                options = op.options
                table_name = op.options_type.data if op.options_type is not None else table_name
            if options is not None and (table_name is not None or options.data):
                if table_name is None or table_name not in tables():
                    raise TFLiteError(f"{name} has no options table {table_name or ''}")
                field = "builtin_options" if table_name in _BUILTIN_OPTIONS else "builtin_options_2"
                operator[field] = (table_name, from_dictionary(table_name, options, symbols))
            custom_options = op.attributes.get("tfl.custom_options")
            if isinstance(custom_options, ConstBytesAttr):
                operator["custom_options"] = custom_options.data
        operator["opcode_index"] = self.model.code(name, custom_code, _integer(op, "tfl.version", 1))
        operator["inputs"] = [self.index(v) for v in op.operands] + [-1] * _integer(op, "tfl.absent_operands", 0)
        operator["outputs"] = [self.index(value) for value in op.results]
        flags = op.attributes.get("tfl.mutating_variable_inputs")
        if flags is not None:
            field = Field("mutating_variable_inputs", "bool", True, None)
            operator[field.name] = from_attribute(field, flags, {})
        intermediates = op.attributes.get(INTERMEDIATES)
        if isinstance(intermediates, ArrayAttr):
            operator["intermediates"] = [self.intermediate(item) for item in intermediates]
        operator["debug_metadata_index"] = _integer(op, "tfl.debug_metadata_index", -1)
        self.operators.append(operator)

    def intermediate(self, attr: Attribute) -> int:
        if not isinstance(attr, DictionaryAttr):
            return -1
        type_ = attr.data.get("type")
        if type_ is None:
            raise TFLiteError("an entry of tfl.intermediates has no type")
        self.tensors.append(self.tensor(type_, _string(attr, "name", "tfl.intermediates"), attr))
        offset = attr.data.get("arena_offset")
        self.model.arena_offsets.append(offset.value.data if isinstance(offset, IntegerAttr) else None)
        return len(self.tensors) - 1


def _values(attr: DenseArrayBase[Any]) -> tuple[Any, ...]:
    return tuple(attr.iter_values())


def _names(location: LocationAttr) -> list[str]:
    """The names that a location holds, one a result."""
    match location:
        case NameLoc():
            return [location.desc.data]
        case FusedLoc():
            locations = location.locations.data if isinstance(location.locations, ArrayAttr) else ()
            return [item.desc.data if isinstance(item, NameLoc) else "" for item in locations]
        case _:
            return []


def _constant_bytes(op: ConstantOp) -> bytes:
    value = op.value
    if isinstance(value, ConstBytesAttr):
        return value.data
    assert isinstance(value, DenseIntOrFPElementsAttr)
    if value.type.element_type == i1:
        # The IR spells a true as all bits set, TFLite as 1.
        return bytes(min(byte, 1) for byte in value.data.data)
    return value.data.data


def _dictionaries(attributes: dict[str, Attribute], name: str) -> list[DictionaryAttr]:
    value = attributes.get(name)
    return [item for item in value if isinstance(item, DictionaryAttr)] if isinstance(value, ArrayAttr) else []


def _string(attr: DictionaryAttr, key: str, what: str) -> str:
    value = attr.data.get(key)
    if not isinstance(value, StringAttr):
        raise TFLiteError(f"an entry of {what} has no {key}")
    return value.data


def _bytes(attr: Attribute | None, what: str) -> bytes:
    if not isinstance(attr, ConstBytesAttr):
        raise TFLiteError(f"an entry of {what} holds no #tfl.const_bytes")
    return attr.data


def _integer(op: Operation, name: str, default: int) -> int:
    value = op.attributes.get(name)
    return value.value.data if isinstance(value, IntegerAttr) else default
