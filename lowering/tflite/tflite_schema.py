"""
The TFLite schema as data, and a reader and a writer of flatbuffers that go by it.

One line a table, its fields in slot order: `name:type`, `name:type=default`, `_` for a slot out of use. A type in
brackets is a vector. `subgraph` is an `int` that holds a subgraph's index. The facts are those of TensorFlow Lite's
`schema.fbs`, version 3, as of LiteRT 2.3.

`read_model` turns a file into nested dictionaries, one a table, with an entry for every field; absent vectors, strings
and tables are None, an absent scalar has its default, a union is (table name, dictionary). `write_model` is
its inverse. Both go by the data below, so that there is no code for any one table.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flatbuffers import Builder

Table = dict[str, Any]
"""A decoded table: field name -> Python value."""

OPERATORS: tuple[str, ...] = tuple(
    """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM
MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS
SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND
SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN
EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2
GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG
SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT
UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU
SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE
MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5
SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO
RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE
RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD
STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE
STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS
STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE
STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH
STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE
STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE
STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE
STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
""".split()
)
"""Names of the builtin operators; the position is the builtin code."""

TENSOR_TYPES: tuple[str, ...] = tuple(
    """
FLOAT32 FLOAT16 INT32 UINT8 INT64 STRING BOOL INT16 COMPLEX64 INT8 FLOAT64 COMPLEX128 UINT64 RESOURCE VARIANT UINT32
UINT16 INT4 BFLOAT16 INT2 UINT4 FLOAT8_E4M3FN FLOAT8_E5M2
""".split()
)
"""Names of the element types; the position is the code."""

_ENUMS: dict[str, tuple[str, Sequence[str]]] = {
    # name: (stored as, names in order of value)
    "Activation": ("byte", "NONE RELU RELU_N1_TO_1 RELU6 TANH SIGN_BIT".split()),
    "CombinerType": ("byte", "SUM MEAN SQRTN".split()),
    "CustomOptionsFormat": ("byte", ["FLEXBUFFERS"]),
    "DimensionType": ("byte", "DENSE SPARSE_CSR".split()),
    "LSHProjectionType": ("byte", "UNKNOWN SPARSE DENSE".split()),
    "LSTMKernelType": ("byte", "FULL BASIC".split()),
    "MirrorPadMode": ("byte", "REFLECT SYMMETRIC".split()),
    "Padding": ("byte", "SAME VALID".split()),
    "ReduceWindowFunction": ("int", "UNSUPPORTED ADD MUL MINIMUM MAXIMUM ALL ANY".split()),
    "RngAlgorithm": ("byte", "DEFAULT PHILOX THREEFRY".split()),
    "StablehloComparisonDirection": (
        "uint",
        [f"STABLEHLO_COMPARISON_DIRECTION_{name}" for name in ("EQ", "NE", "GE", "GT", "LE", "LT")],
    ),
    "StablehloComparisonType": (
        "uint",
        [
            f"STABLEHLO_COMPARISON_TYPE_{name}"
            for name in ("NOTYPE", "FLOAT", "FLOAT_TOTAL_ORDER", "SIGNED", "UNSIGNED")
        ],
    ),
    "StablehloPrecisionConfig": ("uint", "DEFAULT HIGH HIGHEST".split()),
    "TensorType": ("byte", TENSOR_TYPES),
    "WeightsFormat": ("byte", "DEFAULT SHUFFLED4x16INT8".split()),
}

_MODEL_TABLES = """
CustomQuantization custom:[ubyte]
QuantizationParameters min:[float] max:[float] scale:[float] zero_point:[long] details_type:ubyte
    details:QuantizationDetails quantized_dimension:int
Int32Vector values:[int]
Uint16Vector values:[ushort]
Uint8Vector values:[ubyte]
DimensionMetadata format:DimensionType dense_size:int array_segments_type:ubyte array_segments:SparseIndexVector
    array_indices_type:ubyte array_indices:SparseIndexVector
SparsityParameters traversal_order:[int] block_map:[int] dim_metadata:[DimensionMetadata]
VariantSubType shape:[int] type:TensorType has_rank:bool
Tensor shape:[int] type:TensorType buffer:uint name:string quantization:QuantizationParameters is_variable:bool
    sparsity:SparsityParameters shape_signature:[int] has_rank:bool variant_tensors:[VariantSubType]
    external_buffer:uint
OperatorCode deprecated_builtin_code:byte custom_code:string version:int=1 builtin_code:int
Operator opcode_index:uint inputs:[int] outputs:[int] builtin_options_type:ubyte builtin_options:BuiltinOptions
    custom_options:[ubyte] custom_options_format:CustomOptionsFormat mutating_variable_inputs:[bool]
    intermediates:[int] large_custom_options_offset:ulong large_custom_options_size:ulong
    builtin_options_2_type:ubyte builtin_options_2:BuiltinOptions2 debug_metadata_index:int=-1
SubGraph tensors:[Tensor] inputs:[int] outputs:[int] operators:[Operator] name:string debug_metadata_index:int=-1
Buffer data:[ubyte] offset:ulong size:ulong
ExternalBufferGroup name:string
ExternalBuffer id:uint group:uint offset:ulong length:ulong packing:string
Metadata name:string buffer:uint
TensorMap name:string tensor_index:uint
SignatureDef inputs:[TensorMap] outputs:[TensorMap] signature_key:string _ subgraph_index:uint
Model version:uint operator_codes:[OperatorCode] subgraphs:[SubGraph] description:string buffers:[Buffer]
    metadata_buffer:[int] metadata:[Metadata] signature_defs:[SignatureDef]
    external_buffer_groups:[ExternalBufferGroup] external_buffers:[ExternalBuffer]
"""

# The options tables, in the order of the union `BuiltinOptions` from 1 on.
_OPTIONS = """
Conv2DOptions padding:Padding stride_w:int stride_h:int fused_activation_function:Activation dilation_w_factor:int=1
    dilation_h_factor:int=1 quantized_bias_type:TensorType
DepthwiseConv2DOptions padding:Padding stride_w:int stride_h:int depth_multiplier:int
    fused_activation_function:Activation dilation_w_factor:int=1 dilation_h_factor:int=1
ConcatEmbeddingsOptions num_channels:int num_columns_per_channel:[int] embedding_dim_per_channel:[int]
LSHProjectionOptions type:LSHProjectionType
Pool2DOptions padding:Padding stride_w:int stride_h:int filter_width:int filter_height:int
    fused_activation_function:Activation
SVDFOptions rank:int fused_activation_function:Activation asymmetric_quantize_inputs:bool
RNNOptions fused_activation_function:Activation asymmetric_quantize_inputs:bool
FullyConnectedOptions fused_activation_function:Activation weights_format:WeightsFormat keep_num_dims:bool
    asymmetric_quantize_inputs:bool quantized_bias_type:TensorType quant_spec:[ubyte]
SoftmaxOptions beta:float
ConcatenationOptions axis:int fused_activation_function:Activation
AddOptions fused_activation_function:Activation pot_scale_int16:bool=true
L2NormOptions fused_activation_function:Activation
LocalResponseNormalizationOptions radius:int bias:float alpha:float beta:float
LSTMOptions fused_activation_function:Activation cell_clip:float proj_clip:float kernel_type:LSTMKernelType
    asymmetric_quantize_inputs:bool
ResizeBilinearOptions _ _ align_corners:bool half_pixel_centers:bool
CallOptions subgraph:subgraph
ReshapeOptions new_shape:[int]
SkipGramOptions ngram_size:int max_skip_size:int include_all_ngrams:bool
SpaceToDepthOptions block_size:int
EmbeddingLookupSparseOptions combiner:CombinerType
MulOptions fused_activation_function:Activation
PadOptions
GatherOptions axis:int batch_dims:int
BatchToSpaceNDOptions
SpaceToBatchNDOptions
TransposeOptions
ReducerOptions keep_dims:bool
SubOptions fused_activation_function:Activation pot_scale_int16:bool=true
DivOptions fused_activation_function:Activation
SqueezeOptions squeeze_dims:[int]
SequenceRNNOptions time_major:bool fused_activation_function:Activation asymmetric_quantize_inputs:bool
StridedSliceOptions begin_mask:int end_mask:int ellipsis_mask:int new_axis_mask:int shrink_axis_mask:int offset:bool
ExpOptions
TopKV2Options
SplitOptions num_splits:int
LogSoftmaxOptions
CastOptions in_data_type:TensorType out_data_type:TensorType
DequantizeOptions
MaximumMinimumOptions
ArgMaxOptions output_type:TensorType
LessOptions
NegOptions
PadV2Options
GreaterOptions
GreaterEqualOptions
LessEqualOptions
SelectOptions
SliceOptions
TransposeConvOptions padding:Padding stride_w:int stride_h:int fused_activation_function:Activation
    quantized_bias_type:TensorType
SparseToDenseOptions validate_indices:bool
TileOptions
ExpandDimsOptions
EqualOptions
NotEqualOptions
ShapeOptions out_type:TensorType
PowOptions
ArgMinOptions output_type:TensorType
FakeQuantOptions min:float max:float num_bits:int narrow_range:bool
PackOptions values_count:int axis:int
LogicalOrOptions
OneHotOptions axis:int
LogicalAndOptions
LogicalNotOptions
UnpackOptions num:int axis:int
FloorDivOptions
SquareOptions
ZerosLikeOptions
FillOptions
BidirectionalSequenceLSTMOptions fused_activation_function:Activation cell_clip:float proj_clip:float
    merge_outputs:bool time_major:bool=true asymmetric_quantize_inputs:bool
BidirectionalSequenceRNNOptions time_major:bool fused_activation_function:Activation merge_outputs:bool
    asymmetric_quantize_inputs:bool
UnidirectionalSequenceLSTMOptions fused_activation_function:Activation cell_clip:float proj_clip:float time_major:bool
    asymmetric_quantize_inputs:bool diagonal_recurrent_tensors:bool
FloorModOptions
RangeOptions
ResizeNearestNeighborOptions align_corners:bool half_pixel_centers:bool
LeakyReluOptions alpha:float
SquaredDifferenceOptions
MirrorPadOptions mode:MirrorPadMode
AbsOptions
SplitVOptions num_splits:int
UniqueOptions idx_out_type:TensorType=INT32
ReverseV2Options
AddNOptions
GatherNdOptions
CosOptions
WhereOptions
RankOptions
ReverseSequenceOptions seq_dim:int batch_dim:int
MatrixDiagOptions
QuantizeOptions
MatrixSetDiagOptions
HardSwishOptions
IfOptions then_subgraph_index:subgraph else_subgraph_index:subgraph
WhileOptions cond_subgraph_index:subgraph body_subgraph_index:subgraph
DepthToSpaceOptions block_size:int
NonMaxSuppressionV4Options
NonMaxSuppressionV5Options
ScatterNdOptions
SelectV2Options
DensifyOptions
SegmentSumOptions
BatchMatMulOptions adj_x:bool adj_y:bool asymmetric_quantize_inputs:bool
CumsumOptions exclusive:bool reverse:bool
CallOnceOptions init_subgraph_index:subgraph
BroadcastToOptions
Rfft2dOptions
Conv3DOptions padding:Padding stride_d:int stride_w:int stride_h:int fused_activation_function:Activation
    dilation_d_factor:int=1 dilation_w_factor:int=1 dilation_h_factor:int=1
HashtableOptions table_id:int key_dtype:TensorType value_dtype:TensorType
HashtableFindOptions
HashtableImportOptions
HashtableSizeOptions
VarHandleOptions container:string shared_name:string
ReadVariableOptions
AssignVariableOptions
RandomOptions seed:long seed2:long
BucketizeOptions boundaries:[float]
GeluOptions approximate:bool
DynamicUpdateSliceOptions
UnsortedSegmentProdOptions
UnsortedSegmentMaxOptions
UnsortedSegmentMinOptions
UnsortedSegmentSumOptions
ATan2Options
SignOptions
BitcastOptions
BitwiseXorOptions
RightShiftOptions
"""

# The options tables of the union `BuiltinOptions2`, likewise.
_OPTIONS_2 = """
StablehloConcatenateOptions dimension:long
StablehloBroadcastInDimOptions broadcast_dimensions:[long]
StablehloSliceOptions start_indices:[long] limit_indices:[long] strides:[long]
StablehloConvolutionOptions window_strides:[long] padding:[long] lhs_dilation:[long] rhs_dilation:[long]
    window_reversal:[bool] input_batch_dimension:long input_feature_dimension:long input_spatial_dimensions:[long]
    kernel_input_feature_dimension:long kernel_output_feature_dimension:long kernel_spatial_dimensions:[long]
    output_batch_dimension:long output_feature_dimension:long output_spatial_dimensions:[long]
    feature_group_count:long batch_group_count:long precision_config:[StablehloPrecisionConfig]
StablehloCustomCallOptions call_target_name:string has_side_effect:bool backend_config:string api_version:int
    called_computations:[subgraph] custom_attributes:[ubyte]
StablehloReduceOptions dimensions:[long] body_subgraph_index:subgraph
StablehloScatterOptions indices_are_sorted:bool update_window_dims:[long] inserted_window_dims:[long]
    scatter_dims_to_operand_dims:[long] index_vector_dim:long unique_indices:bool
    update_computation_subgraph_index:subgraph
StablehloCompareOptions comparison_direction:StablehloComparisonDirection compare_type:StablehloComparisonType
StablehloDynamicSliceOptions slice_sizes:[long]
StablehloPadOptions edge_padding_low:[long] edge_padding_high:[long] interior_padding:[long]
StablehloIotaOptions iota_dimension:long
StablehloDotGeneralOptions lhs_batching_dimensions:[long] rhs_batching_dimensions:[long]
    lhs_contracting_dimensions:[long] rhs_contracting_dimensions:[long] precision_config:[StablehloPrecisionConfig]
StablehloReduceWindowOptions window_dimensions:[long] window_strides:[long] base_dilations:[long]
    window_dilations:[long] padding:[long] body_subgraph_index:subgraph
StablehloSortOptions dimension:long is_stable:bool comparator_subgraph_index:subgraph
StablehloWhileOptions cond_subgraph_index:subgraph body_subgraph_index:subgraph
StablehloGatherOptions offset_dims:[long] collapsed_slice_dims:[long] start_index_map:[long] index_vector_dim:long
    slice_sizes:[long] indices_are_sorted:bool
StablehloTransposeOptions permutation:[long]
DilateOptions
StablehloRngBitGeneratorOptions algorithm:RngAlgorithm
ReduceWindowOptions reduce_function:ReduceWindowFunction
StableHLOCompositeOptions name:string decomposition_subgraph_index:subgraph composite_attributes:[ubyte]
    composite_attributes_format:CustomOptionsFormat version:int
StablehloShiftLeftOptions
StablehloCaseOptions branch_subgraph_indices:[subgraph]
"""

# Operators whose options table is not called as they are.
_SHARED_OPTIONS = {
    "Conv3DOptions": "CONV_3D_TRANSPOSE",
    "L2NormOptions": "L2_NORMALIZATION",
    "MaximumMinimumOptions": "MAXIMUM MINIMUM",
    "Pool2DOptions": "AVERAGE_POOL_2D MAX_POOL_2D L2_POOL_2D",
    "RandomOptions": "RANDOM_STANDARD_NORMAL RANDOM_UNIFORM MULTINOMIAL",
    "ReducerOptions": "MEAN SUM REDUCE_PROD REDUCE_MAX REDUCE_MIN REDUCE_ANY REDUCE_ALL",
    "SequenceRNNOptions": "UNIDIRECTIONAL_SEQUENCE_RNN",
}

_SCALARS = {
    "bool": "?",
    "byte": "b",
    "ubyte": "B",
    "ushort": "H",
    "int": "i",
    "uint": "I",
    "long": "q",
    "ulong": "Q",
    "float": "f",
    "subgraph": "i",
}
"""Scalar types and their format letters in `struct`."""

IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16
"""Bytes; XNNPACK, TFLM and the Ethos-U driver all want constants so aligned in the file."""


class TFLiteError(Exception):
    """A file that is no TFLite model, or a model that cannot be represented; the text is one line for the user."""


@dataclass(frozen=True)
class Field:
    """One field of a table."""

    name: str
    type: str
    """A scalar, an enumeration, `string`, a table or a union, by name."""
    is_vector: bool
    default: Any
    """Value of an absent scalar or enumeration; None for all else."""


@cache
def tables() -> dict[str, tuple[Field | None, ...]]:
    """Table name -> its fields by slot, None for a slot out of use."""
    found: dict[str, tuple[Field | None, ...]] = {}
    for text in (_MODEL_TABLES, _OPTIONS, _OPTIONS_2):
        for line in text.replace("\n    ", " ").strip().split("\n"):
            name, *fields = line.split()
            found[name] = tuple(None if field == "_" else _field(field) for field in fields)
    return found


def _field(text: str) -> Field:
    name, _, rest = text.partition(":")
    type_, _, default = rest.partition("=")
    if type_.startswith("["):
        return Field(name, type_[1:-1], True, None)
    if type_ in _ENUMS:
        return Field(name, type_, False, default or _ENUMS[type_][1][0])
    if type_ == "bool":
        return Field(name, type_, False, default == "true")
    if type_ == "float":
        return Field(name, type_, False, 0.0)
    return Field(name, type_, False, int(default or 0) if type_ in _SCALARS else None)


@cache
def unions() -> dict[str, tuple[str, ...]]:
    """Union name -> table names; the position is the value of the type field, 0 being nothing."""

    def names(text: str) -> Iterable[str]:
        return (line.split()[0] for line in text.strip().split("\n") if not line.startswith(" "))

    return {
        "BuiltinOptions": ("NONE", *names(_OPTIONS)),
        "BuiltinOptions2": ("NONE", *names(_OPTIONS_2)),
        "QuantizationDetails": ("NONE", "CustomQuantization", "BlockwiseQuantization", "MultiAxisQuantization"),
        "SparseIndexVector": ("NONE", "Int32Vector", "Uint16Vector", "Uint8Vector"),
    }


@cache
def options_tables() -> dict[str, str]:
    """Builtin operator -> the table that its options are in; operators without one are left out."""
    spelt = {
        name.removesuffix("Options").lower(): name
        for u in ("BuiltinOptions", "BuiltinOptions2")
        for name in unions()[u]
    }
    tables = {name: spelt[key] for name in OPERATORS if (key := name.replace("_", "").lower()) in spelt}
    tables |= {name: table for table, users in _SHARED_OPTIONS.items() for name in users.split()}
    return tables


def default_table(name: str) -> Table:
    """The table with every field at its default."""
    return {field.name: field.default for field in tables()[name] if field is not None}


def is_enum(type_: str) -> bool:
    return type_ in _ENUMS


def enum_names(type_: str) -> Sequence[str]:
    """The names of an enumeration's values, in their order."""
    return _ENUMS[type_][1]


# Reading


def read_model(data: bytes) -> Table:
    """
    The `Model` table of a TFLite file.

    Every offset and length is checked, and what is decoded is bounded by the file's size, so that any bytes
    whatever end in a model or in a TFLiteError.
    """
    if not data:
        raise TFLiteError("the file is empty")
    if data[4:8] != IDENTIFIER:
        raise TFLiteError("not a TFLite model: the identifier TFL3 is missing")
    reader = _Reader(data)
    return reader.table("Model", reader.scalar("I", 0))


class _Reader:
    def __init__(self, data: bytes):
        self.data = data
        self.tables = tables()
        # Shared vectors are legal, so a hostile file could make one megabyte stand for many. No honest file
        # comes near twice its own size, counting each table as a few words.
        self.budget = 2 * len(data) + 65536

    def scalar(self, format_: str, position: int) -> Any:
        size = struct.calcsize("<" + format_)
        if position < 0 or position + size > len(self.data):
            raise TFLiteError(f"damaged TFLite file: byte {position} lies outside the file of {len(self.data)} bytes")
        return struct.unpack_from("<" + format_, self.data, position)[0]

    def charge(self, size: int) -> None:
        self.budget -= size
        if self.budget < 0:
            raise TFLiteError("damaged TFLite file: its parts overlap to more than twice its size")

    def table(self, name: str, position: int) -> Table:
        self.charge(32)
        vtable = position - self.scalar("i", position)
        vtable_size, table_size = self.scalar("H", vtable), self.scalar("H", vtable + 2)
        fields = self.tables[name]
        self.bytes(vtable, min(vtable_size, 4 + 2 * len(fields)))
        decoded: Table = {}
        union_type = 0
        for slot, field in enumerate(fields):
            if field is None:
                continue
            entry = 4 + 2 * slot
            offset = self.scalar("H", vtable + entry) if entry + 2 <= vtable_size else 0
            if offset >= max(table_size, 4):
                raise TFLiteError(
                    f"damaged TFLite file: field {field.name} of the {name} at byte {position} is outside it"
                )
            value = field.default if offset == 0 else self.field(field, position + offset, union_type)
            if field.name.endswith("_type") and field.type == "ubyte":
                union_type = value
            else:
                decoded[field.name] = value
        return decoded

    def field(self, field: Field, position: int, union_type: int) -> Any:
        if field.is_vector:
            return self.vector(field.type, self.follow(position))
        if field.type in _SCALARS:
            return self.scalar(_SCALARS[field.type], position)
        if field.type in _ENUMS:
            stored, names = _ENUMS[field.type]
            return self.enum(field.type, names, self.scalar(_SCALARS[stored], position))
        target = self.follow(position)
        if field.type == "string":
            return self.string(target)
        names = unions().get(field.type)
        if names is None:
            return self.table(field.type, target)
        if union_type == 0:
            return None
        if union_type >= len(names):
            raise TFLiteError(f"{field.type} {union_type} is not known; the file is newer than this reader, or damaged")
        if names[union_type] not in self.tables:
            raise TFLiteError(f"{names[union_type]} is not supported")
        return names[union_type], self.table(names[union_type], target)

    def enum(self, type_: str, names: Sequence[str], value: int) -> str:
        if not 0 <= value < len(names):
            raise TFLiteError(f"{type_} {value} is not known; the file is newer than this reader, or damaged")
        return names[value]

    def follow(self, position: int) -> int:
        return position + self.scalar("I", position)

    def bytes(self, position: int, size: int) -> bytes:
        if position < 0 or position + size > len(self.data):
            raise TFLiteError(
                f"damaged TFLite file: {size} bytes at byte {position} lie outside the file of {len(self.data)} bytes"
            )
        return self.data[position : position + size]

    def string(self, position: int) -> str:
        size = self.scalar("I", position)
        self.charge(size)
        try:
            return self.bytes(position + 4, size).decode()
        except UnicodeDecodeError:
            raise TFLiteError(f"damaged TFLite file: the name at byte {position} is not UTF-8") from None

    def vector(self, type_: str, position: int) -> Any:
        count = self.scalar("I", position)
        start = position + 4
        stored, names = _ENUMS.get(type_, (type_, None))
        if stored == "ubyte":
            self.charge(count)
            return self.bytes(start, count)
        letter = _SCALARS.get(stored, "I")
        size = count * struct.calcsize("<" + letter)
        self.charge(size)
        values = struct.unpack(f"<{count}{letter}", self.bytes(start, size))
        if names is not None:
            return tuple(self.enum(type_, names, value) for value in values)
        if stored in _SCALARS:
            return values
        return [self.table(type_, start + 4 * index + offset) for index, offset in enumerate(values)]


# Writing


def write_model(model: Table) -> bytes:
    """
    The TFLite file of a `Model` table; the data of every buffer starts at a multiple of 16 bytes.

    Raises TFLiteError for a model that is too large.
    """
    from flatbuffers import Builder
    from flatbuffers.builder import BuilderSizeError

    builder = Builder(1024)
    try:
        builder.Finish(_write_table(builder, "Model", model), file_identifier=IDENTIFIER)
    except BuilderSizeError:
        raise TFLiteError(
            "the model would be larger than 2 GiB, which a TFLite file cannot hold in one piece"
        ) from None
    return bytes(builder.Output())


def _write_table(builder: "Builder", name: str, values: Mapping[str, Any]) -> int:
    fields = tables()[name]
    offsets: dict[str, int] = {}
    scalars: dict[str, Any] = {}
    for field in fields:
        value = None if field is None else values.get(field.name)
        if field is None or value is None:
            continue
        if field.is_vector:
            offsets[field.name] = _write_vector(builder, field.type, value, BUFFER_ALIGNMENT if name == "Buffer" else 1)
        elif field.type == "string":
            offsets[field.name] = builder.CreateString(value)
        elif field.type in unions():
            offsets[field.name] = _write_table(builder, value[0], value[1])
            scalars[field.name + "_type"] = unions()[field.type].index(value[0])
        elif field.type in tables():
            offsets[field.name] = _write_table(builder, field.type, value)
        else:
            scalars[field.name] = value
    builder.StartObject(len(fields))
    for slot, field in enumerate(fields):
        if field is None:
            continue
        if field.name in offsets:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[field.name], 0)
        elif field.name in scalars:
            _write_scalar(builder, slot, field, scalars[field.name])
    return builder.EndObject()


def _write_scalar(builder: "Builder", slot: int, field: Field, value: Any) -> None:
    type_, default = field.type, field.default
    if type_ in _ENUMS:
        type_, names = _ENUMS[type_]
        value, default = names.index(value), names.index(default)
    prepend = {
        "bool": builder.PrependBoolSlot,
        "byte": builder.PrependInt8Slot,
        "ubyte": builder.PrependUint8Slot,
        "int": builder.PrependInt32Slot,
        "uint": builder.PrependUint32Slot,
        "long": builder.PrependInt64Slot,
        "ulong": builder.PrependUint64Slot,
        "float": builder.PrependFloat32Slot,
        "subgraph": builder.PrependInt32Slot,
    }
    prepend[type_](slot, value, default)


def _write_vector(builder: "Builder", type_: str, values: Any, alignment: int) -> int:
    stored, names = _ENUMS.get(type_, (type_, None))
    if names is not None:
        values = [names.index(value) for value in values]
    if stored not in _SCALARS:
        offsets = [_write_table(builder, type_, value) for value in values]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    letter = _SCALARS[stored]
    size = struct.calcsize("<" + letter)
    data = values if stored == "ubyte" else struct.pack(f"<{len(values)}{letter}", *values)
    # The vector of the elements' bytes, then the count that counts elements instead.
    builder.Prep(max(size, alignment), len(data))
    builder.StartVector(size, len(values), size)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return builder.EndVector()
