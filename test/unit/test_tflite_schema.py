"""The schema as data agrees with LiteRT's own reader of TFLite files, and with the op classes."""

import re
from types import ModuleType
from typing import Any

import pytest

from npuc.dialects.tfl import ConstantOp, TflOp
from npuc.lowering.tflite import tflite_schema
from npuc.lowering.tflite.tflite_schema import (
    OPERATORS,
    TENSOR_TYPES,
    TFLiteError,
    options_tables,
    read_model,
    tables,
    unions,
    write_model,
)
from npuc.operators import tfl_dialect


@pytest.fixture(scope="module")
def litert() -> ModuleType:
    return pytest.importorskip("ai_edge_litert.schema_py_generated")


def camel(name: str) -> str:
    return re.sub(r"_+(\w)", lambda m: m[1].upper(), "_" + name)


def test_enumerations_and_unions(litert: ModuleType) -> None:
    def names(cls: type) -> list[str]:
        return sorted((n for n in vars(cls) if not n.startswith("_")), key=lambda n: getattr(cls, n))

    assert names(litert.BuiltinOperator) == list(OPERATORS)
    assert names(litert.TensorType) == list(TENSOR_TYPES)
    assert names(litert.BuiltinOptions) == list(unions()["BuiltinOptions"])
    assert names(litert.BuiltinOptions2) == list(unions()["BuiltinOptions2"])
    assert names(litert.QuantizationDetails) == list(unions()["QuantizationDetails"])
    litert_name = {"Activation": "ActivationFunctionType", "WeightsFormat": "FullyConnectedOptionsWeightsFormat"}
    for enum, (_, ours) in tflite_schema._ENUMS.items():
        assert names(getattr(litert, litert_name.get(enum, enum))) == list(ours), enum


def test_every_field_of_every_table(litert: ModuleType) -> None:
    import flatbuffers
    from flatbuffers import number_types

    flags = {
        "bool": number_types.BoolFlags, "byte": number_types.Int8Flags, "ubyte": number_types.Uint8Flags,
        "int": number_types.Int32Flags, "uint": number_types.Uint32Flags, "long": number_types.Int64Flags,
        "ulong": number_types.Uint64Flags, "float": number_types.Float32Flags, "subgraph": number_types.Int32Flags,
    }  # fmt: skip

    class Recorder(flatbuffers.Builder):
        """Notes which slot each generated `Add` function writes, with which width and default."""

        def __getattribute__(self, name: str) -> Any:
            if name.startswith("Prepend"):
                return lambda slot, value, default: seen.append((slot, name, default))
            return super().__getattribute__(name)

    checked = 0
    for table, fields in tables().items():
        for slot, field in enumerate(fields):
            if field is None:
                continue
            seen: list[tuple[int, str, Any]] = []
            getattr(litert, f"{table}Add{camel(field.name)}")(Recorder(16), 0)
            ((their_slot, their_writer, their_default),) = seen
            assert their_slot == slot, (table, field)
            if field.default is not None:
                stored, names = tflite_schema._ENUMS.get(field.type, (field.type, None))
                ours = field.default if names is None else names.index(field.default)
                assert their_default == ours, (table, field)
                width = re.search(r"Prepend(\w+)Slot", their_writer)
                assert width is not None
                size = {"Bool": 1}.get(width[1]) or int(re.sub(r"\D", "", width[1])) // 8
                assert size == flags[stored].bytewidth, (table, field)
            checked += 1
    assert checked > 250


def test_classes_have_the_fields_of_their_options_table() -> None:
    classes = 0
    for op in tfl_dialect().operations:
        name = op.name.removeprefix("tfl.").upper()
        if name not in OPERATORS or name == "CUSTOM" or issubclass(op, ConstantOp):
            continue
        assert issubclass(op, TflOp)
        table = options_tables().get(name)
        fields = {f.name for f in tables()[table] if f is not None} if table else set()
        assert set(op.get_irdl_definition().properties) == fields, name
        classes += 1
    assert classes >= 34


def test_buffers_are_aligned() -> None:
    data = [bytes([i] * (5 * i + 1)) for i in range(1, 9)]
    file = write_model({"version": 3, "buffers": [{"data": d} for d in data], "description": "x" * 7})
    assert read_model(file)["buffers"] == [{"data": d, "offset": 0, "size": 0} for d in data]
    for d in data:
        assert file.index(d) % 16 == 0


def test_overlapping_vectors_are_bounded() -> None:
    """One megabyte that a thousand buffers share would be a gigabyte."""
    file = bytearray(write_model({"version": 3, "buffers": [{"data": bytes(100_000)}] + [{"data": b"abcd"}] * 100}))
    big = file.index(bytes(100_000)) - 4
    for position in range(0, len(file) - 4, 4):
        if position != big and file[position : position + 4] == (4).to_bytes(4, "little"):
            if file[position + 4 : position + 8] == b"abcd":
                file[position : position + 4] = (100_000).to_bytes(4, "little")
    file += bytes(100_000)
    with pytest.raises(TFLiteError, match="overlap"):
        read_model(bytes(file))
