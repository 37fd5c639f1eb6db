"""
A small writer of TFLite files for what the TensorFlow converter will not make: odd quantisation, several
subgraphs, custom operators, genuine uint8 operators, unusual graph shapes.

    x = Tensor("x", (1, 8, 8, 4), "int8", scale=0.05, zero=-3)
    y = Tensor("y", (1, 8, 8, 4), "int8", scale=0.1)
    data = Model(Subgraph([x], [y], [Op("ADD", [x, x], [y], activation="RELU")])).to_bytes()

It writes exactly what it is told and checks nothing but names: a file that no runtime accepts can be made too.
It shares no code with the compiler's own reader and writer, so that one is a test of the other.
Slot numbers and codes are those of TensorFlow's `schema.fbs` (version 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import flatbuffers
import numpy as np

TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9, "resource": 13, "int4": 17}
ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3, "TANH": 4}
PADDINGS = {"SAME": 0, "VALID": 1}

# Options table -> (tag in the BuiltinOptions union, fields in slot order as name:kind=default).
_OPTIONS = {
    "Conv2D": (
        1,
        "padding:i8 stride_w:i32=1 stride_h:i32=1 activation:i8 dilation_w:i32=1 dilation_h:i32=1 "
        "quantized_bias_type:i8",
    ),
    "DepthwiseConv2D": (
        2,
        "padding:i8 stride_w:i32=1 stride_h:i32=1 depth_multiplier:i32=1 activation:i8 dilation_w:i32=1 "
        "dilation_h:i32=1",
    ),
    "Pool2D": (5, "padding:i8 stride_w:i32=1 stride_h:i32=1 filter_width:i32 filter_height:i32 activation:i8"),
    "Svdf": (6, "rank:i32 activation:i8"),
    "FullyConnected": (
        8,
        "activation:i8 weights_format:i8 keep_num_dims:bool asymmetric_quantize_inputs:bool quantized_bias_type:i8",
    ),
    "Softmax": (9, "beta:f32=1"),
    "Concatenation": (10, "axis:i32 activation:i8"),
    "Add": (11, "activation:i8 pot_scale_int16:set=1"),
    "Reshape": (17, "new_shape:ints"),
    "Mul": (21, "activation:i8"),
    "Pad": (22, ""),
    "Gather": (23, "axis:i32 batch_dims:i32"),
    "Transpose": (26, ""),
    "Reducer": (27, "keep_dims:bool"),
    "Sub": (28, "activation:i8 pot_scale_int16:set=1"),
    "Squeeze": (30, "squeeze_dims:ints"),
    "StridedSlice": (
        32,
        "begin_mask:i32 end_mask:i32 ellipsis_mask:i32 new_axis_mask:i32 shrink_axis_mask:i32 offset:bool",
    ),
    "Split": (35, "num_splits:i32"),
    "Dequantize": (38, ""),
    "MaximumMinimum": (39, ""),
    "Less": (41, ""),
    "Slice": (48, ""),
    "TransposeConv": (49, "padding:i8 stride_w:i32=1 stride_h:i32=1 activation:i8 quantized_bias_type:i8"),
    "Tile": (51, ""),
    "ExpandDims": (52, ""),
    "ResizeNearestNeighbor": (74, "align_corners:bool half_pixel_centers:bool"),
    "LeakyRelu": (75, "alpha:f32"),
    "Abs": (78, ""),
    "ReverseV2": (81, ""),
    "Quantize": (89, ""),
    "HardSwish": (91, ""),
    "If": (92, "then_subgraph_index:i32 else_subgraph_index:i32"),
    "While": (93, "cond_subgraph_index:i32 body_subgraph_index:i32"),
    "DepthToSpace": (94, "block_size:i32"),
    "CallOnce": (103, "init_subgraph_index:i32"),
    "VarHandle": (111, "container:text shared_name:text"),
    "ReadVariable": (112, ""),
    "AssignVariable": (113, ""),
    "L2Norm": (12, "activation:i8"),
    "ResizeBilinear": (15, "unused_0:i32 unused_1:i32 align_corners:bool half_pixel_centers:bool"),
    "SpaceToDepth": (19, "block_size:i32"),
    "BatchToSpaceND": (24, ""),
    "SpaceToBatchND": (25, ""),
    "Div": (29, "activation:i8"),
    "Exp": (33, ""),
    "LogSoftmax": (36, ""),
    "Cast": (37, "in_data_type:i8 out_data_type:i8"),
    "ArgMax": (40, "output_type:i8"),
    "Neg": (42, ""),
    "PadV2": (43, ""),
    "Greater": (44, ""),
    "GreaterEqual": (45, ""),
    "LessEqual": (46, ""),
    "Equal": (53, ""),
    "NotEqual": (54, ""),
    "Shape": (55, "out_type:i8"),
    "Pow": (56, ""),
    "ArgMin": (57, "output_type:i8"),
    "Pack": (59, "values_count:i32 axis:i32"),
    "LogicalOr": (60, ""),
    "LogicalAnd": (62, ""),
    "LogicalNot": (63, ""),
    "Unpack": (64, "num:i32 axis:i32"),
    "FloorDiv": (65, ""),
    "FloorMod": (72, ""),
    "Square": (66, ""),
    "ZerosLike": (67, ""),
    "Fill": (68, ""),
    "UnidirectionalSequenceLSTM": (
        71,
        "activation:i8 cell_clip:f32 proj_clip:f32 time_major:bool asymmetric_quantize_inputs:bool "
        "diagonal_recurrent_tensors:bool",
    ),
    "Range": (73, ""),
    "SquaredDifference": (76, ""),
    "MirrorPad": (77, "mode:i8"),
    "SplitV": (79, "num_splits:i32"),
    "Unique": (80, "idx_out_type:i8"),
    "GatherNd": (83, ""),
    "Cos": (84, ""),
    "Where": (85, ""),
    "Rank": (86, ""),
    "ScatterNd": (97, ""),
    "Select": (47, ""),
    "SelectV2": (98, ""),
    "BatchMatMul": (101, "adj_x:bool adj_y:bool asymmetric_quantize_inputs:bool"),
    "Cumsum": (102, "exclusive:bool reverse:bool"),
    "BroadcastTo": (104, ""),
    "Gelu": (116, "approximate:bool"),
    "DynamicUpdateSlice": (117, ""),
    "Sign": (123, ""),
}

# Operator -> (builtin code, its options table).
OPERATORS: dict[str, tuple[int, str | None]] = {
    "ADD": (0, "Add"),
    "AVERAGE_POOL_2D": (1, "Pool2D"),
    "CONCATENATION": (2, "Concatenation"),
    "CONV_2D": (3, "Conv2D"),
    "DEPTHWISE_CONV_2D": (4, "DepthwiseConv2D"),
    "DEPTH_TO_SPACE": (5, "DepthToSpace"),
    "DENSIFY": (124, None),
    "DEQUANTIZE": (6, "Dequantize"),
    "FULLY_CONNECTED": (9, "FullyConnected"),
    "LOGISTIC": (14, None),
    "MAX_POOL_2D": (17, "Pool2D"),
    "MUL": (18, "Mul"),
    "RELU": (19, None),
    "RELU_N1_TO_1": (20, None),
    "RELU6": (21, None),
    "RESHAPE": (22, "Reshape"),
    "SOFTMAX": (25, "Softmax"),
    "SVDF": (27, "Svdf"),
    "TANH": (28, None),
    "CUSTOM": (32, None),
    "PAD": (34, "Pad"),
    "GATHER": (36, "Gather"),
    "TRANSPOSE": (39, "Transpose"),
    "MEAN": (40, "Reducer"),
    "SUB": (41, "Sub"),
    "SQUEEZE": (43, "Squeeze"),
    "STRIDED_SLICE": (45, "StridedSlice"),
    "SPLIT": (49, "Split"),
    "MAXIMUM": (55, "MaximumMinimum"),
    "MINIMUM": (57, "MaximumMinimum"),
    "LESS": (58, "Less"),
    "SLICE": (65, "Slice"),
    "TRANSPOSE_CONV": (67, "TransposeConv"),
    "TILE": (69, "Tile"),
    "EXPAND_DIMS": (70, "ExpandDims"),
    "RESIZE_NEAREST_NEIGHBOR": (97, "ResizeNearestNeighbor"),
    "LEAKY_RELU": (98, "LeakyRelu"),
    "ABS": (101, "Abs"),
    "REVERSE_V2": (105, "ReverseV2"),
    "QUANTIZE": (114, "Quantize"),
    "HARD_SWISH": (117, "HardSwish"),
    "IF": (118, "If"),
    "WHILE": (119, "While"),
    "CALL_ONCE": (129, "CallOnce"),
    "VAR_HANDLE": (142, "VarHandle"),
    "READ_VARIABLE": (143, "ReadVariable"),
    "ASSIGN_VARIABLE": (144, "AssignVariable"),
    "RELU_0_TO_1": (152, None),
    "ARG_MAX": (56, "ArgMax"),
    "ARG_MIN": (79, "ArgMin"),
    "BATCH_MATMUL": (126, "BatchMatMul"),
    "BATCH_TO_SPACE_ND": (37, "BatchToSpaceND"),
    "BROADCAST_ARGS": (145, None),
    "BROADCAST_TO": (130, "BroadcastTo"),
    "CAST": (53, "Cast"),
    "COS": (108, "Cos"),
    "CUMSUM": (128, "Cumsum"),
    "DIV": (42, "Div"),
    "DYNAMIC_UPDATE_SLICE": (151, "DynamicUpdateSlice"),
    "ELU": (111, None),
    "EQUAL": (71, "Equal"),
    "EXP": (47, "Exp"),
    "FILL": (94, "Fill"),
    "FLOOR_DIV": (90, "FloorDiv"),
    "FLOOR_MOD": (95, "FloorMod"),
    "GATHER_ND": (107, "GatherNd"),
    "GELU": (150, "Gelu"),
    "GREATER": (61, "Greater"),
    "GREATER_EQUAL": (62, "GreaterEqual"),
    "L2_NORMALIZATION": (11, "L2Norm"),
    "LESS_EQUAL": (63, "LessEqual"),
    "LOG": (73, None),
    "LOGICAL_AND": (86, "LogicalAnd"),
    "LOGICAL_NOT": (87, "LogicalNot"),
    "LOGICAL_OR": (84, "LogicalOr"),
    "LOG_SOFTMAX": (50, "LogSoftmax"),
    "MIRROR_PAD": (100, "MirrorPad"),
    "NEG": (59, "Neg"),
    "NOT_EQUAL": (72, "NotEqual"),
    "PACK": (83, "Pack"),
    "PADV2": (60, "PadV2"),
    "POW": (78, "Pow"),
    "PRELU": (54, None),
    "RANGE": (96, "Range"),
    "RANK": (110, "Rank"),
    "REDUCE_MAX": (82, "Reducer"),
    "REDUCE_MIN": (89, "Reducer"),
    "REDUCE_PROD": (81, "Reducer"),
    "RESIZE_BILINEAR": (23, "ResizeBilinear"),
    "RSQRT": (76, None),
    "SCATTER_ND": (122, "ScatterNd"),
    "SELECT": (64, "Select"),
    "SELECT_V2": (123, "SelectV2"),
    "SHAPE": (77, "Shape"),
    "SIGN": (158, "Sign"),
    "SIN": (66, None),
    "SPACE_TO_BATCH_ND": (38, "SpaceToBatchND"),
    "SPACE_TO_DEPTH": (26, "SpaceToDepth"),
    "SPLIT_V": (102, "SplitV"),
    "SQRT": (75, None),
    "SQUARE": (92, "Square"),
    "SQUARED_DIFFERENCE": (99, "SquaredDifference"),
    "SUM": (74, "Reducer"),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (44, "UnidirectionalSequenceLSTM"),
    "UNIQUE": (103, "Unique"),
    "UNPACK": (88, "Unpack"),
    "WHERE": (109, "Where"),
    "ZEROS_LIKE": (93, "ZerosLike"),
}


@dataclass(frozen=True)
class Sparse:
    """
    How a constant is stored: only what is not zero, in blocks. `order` are the dimensions from the outermost to the
    innermost level, `blocks` the sizes of blocks by dimension (behind those of the tensor in the order), `csr` the
    dimensions whose levels are sparse. `index` is the type of segments and indices.
    """

    order: Sequence[int]
    csr: Sequence[int]
    blocks: Mapping[int, int] = field(default_factory=dict)
    index: str = "int32"

    def encode(self, data: np.ndarray) -> tuple[np.ndarray, list[tuple[int, list[int], list[int]]]]:
        """The values, and of each level the dense size, segments and indices."""
        rank, blocked = data.ndim, list(self.blocks)
        sizes = [size // self.blocks.get(axis, 1) for axis, size in enumerate(data.shape)]
        sizes += [self.blocks[axis] for axis in blocked]
        levels: list[tuple[int, list[int], list[int]]] = [(sizes[dimension], [0], []) for dimension in self.order]
        values: list[object] = []

        def part(known: Mapping[int, int]) -> np.ndarray:
            cut = []
            for axis, size in enumerate(data.shape):
                at = range(size)
                if axis in known:
                    step = self.blocks.get(axis, 1)
                    at = range(known[axis] * step, (known[axis] + 1) * step)
                if axis in blocked and rank + blocked.index(axis) in known:
                    at = [i for i in at if i % self.blocks[axis] == known[rank + blocked.index(axis)]]
                cut.append(list(at))
            return data[np.ix_(*cut)]

        def visit(level: int, known: dict[int, int]) -> None:
            if level == len(self.order):
                values.append(part(known).item())
                return
            dimension = self.order[level]
            for index in range(sizes[dimension]):
                below = {**known, dimension: index}
                if dimension not in self.csr:
                    visit(level + 1, below)
                elif part(below).any():
                    levels[level][2].append(index)
                    visit(level + 1, below)
            levels[level][1].append(len(levels[level][2]))

        visit(0, {})
        return np.array(values, data.dtype), levels


@dataclass(eq=False)
class Tensor:
    """
    One tensor. `scale` (and `zero`) may be a list: quantised per slice of dimension `axis`. `scale=None` leaves
    the quantisation out. `data` makes it a constant, also `int4` with an integer an element. `signature` is the shape
    with -1 where it is dynamic.
    """

    name: str
    shape: Sequence[int]
    dtype: str = "int8"
    scale: float | Sequence[float] | None = None
    zero: int | Sequence[int] = 0
    axis: int = 0
    data: np.ndarray | None = None
    variable: bool = False
    sparse: Sparse | None = None
    signature: Sequence[int] | None = None

    def scales(self) -> list[float]:
        """The scales as a list, empty when the tensor is not quantised."""
        if self.scale is None:
            return []
        return [float(self.scale)] if isinstance(self.scale, int | float) else [float(s) for s in self.scale]

    def zeros(self) -> list[int]:
        """One zero point a scale."""
        zeros = [self.zero] if isinstance(self.zero, int) else list(self.zero)
        return zeros * len(self.scales()) if len(zeros) == 1 else zeros


def constant(name: str, data: np.ndarray, **quantisation: object) -> Tensor:
    """A constant tensor with the shape and type of `data`."""
    return Tensor(name, data.shape, data.dtype.name, data=data, **quantisation)  # type: ignore[arg-type]


class Op:
    """
    One operator. An input that is left out is None. `options` are the fields of `_OPTIONS`; padding,
    activation and types by name. `custom` names a custom operator, whose options are the bytes `custom_options`.
    `intermediates` are tensors of its own, which say how an LSTM scales.
    """

    def __init__(
        self,
        name: str,
        inputs: Sequence[Tensor | None],
        outputs: Sequence[Tensor],
        *,
        version: int = 1,
        custom: str | None = None,
        custom_options: bytes = b"",
        intermediates: Sequence[Tensor] = (),
        **options: object,
    ):
        code, table = OPERATORS[name]
        known = {f.split(":")[0] for f in _OPTIONS[table][1].split()} if table else set()
        if unknown := set(options) - known:
            raise ValueError(f"{name} has no option {', '.join(sorted(unknown))}")
        self.name, self.code, self.table, self.version = name, code, table, version
        self.inputs, self.outputs, self.options = list(inputs), list(outputs), options
        self.custom, self.custom_options = custom, custom_options
        self.intermediates = list(intermediates)


@dataclass(eq=False)
class Subgraph:
    """Tensors get their indices in order of first mention: inputs, then operator by operator, then `extra`."""

    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    ops: Sequence[Op]
    name: str = "main"
    extra: Sequence[Tensor] = ()

    def tensors(self) -> list[Tensor]:
        """All tensors of the subgraph in index order."""
        found: dict[Tensor, None] = dict.fromkeys(self.inputs)
        for op in self.ops:
            found.update(dict.fromkeys(t for t in (*op.inputs, *op.outputs, *op.intermediates) if t is not None))
        found.update(dict.fromkeys((*self.outputs, *self.extra)))
        return list(found)


@dataclass(eq=False)
class Model:
    """
    A file of one or several subgraphs. `own_buffers` gives every tensor that holds no data an empty buffer of its
    own, as the TensorFlow converter does; otherwise they all name buffer 0. Constants with the same array object
    share a buffer. `outside` puts the data of buffers and of custom options behind the flatbuffer, as in files of more
    than 2 GiB. `signatures` maps a key to (subgraph index, {name: input}, {name: output}).
    """

    subgraphs: Subgraph | Sequence[Subgraph]
    description: str = "npuc tiny writer"
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    own_buffers: bool = False
    outside: bool = False
    signatures: Mapping[str, tuple[int, Mapping[str, Tensor], Mapping[str, Tensor]]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The flatbuffer, identifier `TFL3`, buffers 16-byte aligned."""
        if not self.outside:
            return _Writer(self).write()
        # Offsets are numbers of one size, so that the flatbuffer is as long with any others.
        start = len(_Writer(self, 1 << 32).write())
        writer = _Writer(self, start)
        return writer.write() + bytes(writer.behind)


class _Writer:
    def __init__(self, model: Model, end: int = 0):
        self.model = model
        self.end = end
        """Where what stands behind the flatbuffer begins; 0 if nothing does."""
        self.behind = bytearray()
        self.subgraphs = [model.subgraphs] if isinstance(model.subgraphs, Subgraph) else list(model.subgraphs)
        self.builder = flatbuffers.Builder(1024)
        self.buffers: list[bytes | None] = [None]
        self.shared: dict[int, int] = {}
        self.codes: list[tuple[int, str | None, int]] = []

    def write(self) -> bytes:
        b = self.builder
        subgraphs = self._tables([self._subgraph(s) for s in self.subgraphs])
        metadata = []
        for name, content in self.model.metadata.items():
            self.buffers.append(content)
            metadata.append(self._table(("ref", self._string(name)), ("u32", len(self.buffers) - 1)))
        metadata_vector = self._tables(metadata) if metadata else 0
        signatures = [self._signature(key, *value) for key, value in self.model.signatures.items()]
        signature_vector = self._tables(signatures) if signatures else 0
        codes = self._tables([self._code(*code) for code in self.codes])
        description = self._string(self.model.description)
        buffers = self._tables([self._data(d) for d in self.buffers])
        root = self._table(
            ("u32", 3),
            ("ref", codes),
            ("ref", subgraphs),
            ("ref", description),
            ("ref", buffers),
            None,
            ("ref", metadata_vector),
            ("ref", signature_vector),
        )
        b.Finish(root, b"TFL3")
        return bytes(b.Output())

    def _table(self, *slots: tuple[str, int | float | bool] | None) -> int:
        """
        A table of the given (kind, value) slots; zeros are left out, as the format's own defaults are. `set` is a
        boolean whose default is true.
        """
        b = self.builder
        b.StartObject(len(slots))
        add = {
            "ref": b.PrependUOffsetTRelativeSlot,
            "i8": b.PrependInt8Slot,
            "u8": b.PrependUint8Slot,
            "bool": b.PrependBoolSlot,
            "set": lambda number, value, _: b.PrependBoolSlot(number, value, True),
            "i32": b.PrependInt32Slot,
            "u32": b.PrependUint32Slot,
            "u64": b.PrependUint64Slot,
            "f32": b.PrependFloat32Slot,
        }
        for number, slot in enumerate(slots):
            if slot is not None:
                add[slot[0]](number, slot[1], 0)
        return b.EndObject()

    def _tables(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def _vector(self, values: Iterable[float], dtype: str) -> int:
        return self.builder.CreateNumpyVector(np.array(list(values), dtype))

    def _string(self, text: str) -> int:
        return self.builder.CreateString(text)

    def _bytes(self, data: bytes) -> int:
        """A byte vector that starts at a multiple of 16."""
        b = self.builder
        b.StartVector(1, len(data), 16)
        b.head -= len(data)
        b.Bytes[b.head : b.head + len(data)] = data
        return b.EndVector()

    def _place(self, data: bytes) -> tuple[tuple[str, int], tuple[str, int]]:
        """The slots of an offset and a size, for data behind the flatbuffer."""
        self.behind += bytes(-(self.end + len(self.behind)) % 16)
        place = self.end + len(self.behind)
        self.behind += data
        return ("u64", place), ("u64", len(data))

    def _data(self, data: bytes | None) -> int:
        if data is None:
            return self._table()
        return self._table(None, *self._place(data)) if self.end else self._table(("ref", self._bytes(data)))

    def _buffer(self, tensor: Tensor) -> int:
        if tensor.data is None:
            if not self.model.own_buffers:
                return 0
            self.buffers.append(None)
            return len(self.buffers) - 1
        if id(tensor.data) not in self.shared:
            data = tensor.data if tensor.sparse is None else tensor.sparse.encode(tensor.data)[0]
            if tensor.dtype == "int4":
                halves = np.append(data.reshape(-1).astype(np.uint8) & 15, np.zeros(data.size % 2, np.uint8))
                data = halves[::2] | halves[1::2] << 4
            self.buffers.append(np.ascontiguousarray(data).tobytes())
            self.shared[id(tensor.data)] = len(self.buffers) - 1
        return self.shared[id(tensor.data)]

    def _tensor(self, tensor: Tensor) -> int:
        quantisation = 0
        if scales := tensor.scales():
            scale = self._vector(scales, "<f4")
            zero = self._vector(tensor.zeros(), "<i8")
            quantisation = self._table(None, None, ("ref", scale), ("ref", zero), None, None, ("i32", tensor.axis))
        name = self._string(tensor.name)
        shape = self._vector(tensor.shape, "<i4")
        signature = self._vector(tensor.signature, "<i4") if tensor.signature is not None else 0
        return self._table(
            ("ref", shape),
            ("i8", TYPES[tensor.dtype]),
            ("u32", self._buffer(tensor)),
            ("ref", name),
            ("ref", quantisation),
            ("bool", tensor.variable),
            ("ref", 0 if tensor.sparse is None else self._sparsity(tensor.sparse, tensor.data)),
            ("ref", signature),
        )

    def _sparsity(self, sparse: Sparse, data: np.ndarray | None) -> int:
        assert data is not None
        tag, dtype = {"int32": (1, "<i4"), "uint16": (2, "<u2"), "uint8": (3, "u1")}[sparse.index]
        levels = []
        for dimension, (size, *arrays) in zip(sparse.order, sparse.encode(data)[1], strict=True):
            if dimension in sparse.csr:
                segments, indices = (self._table(("ref", self._vector(values, dtype))) for values in arrays)
                levels.append(
                    self._table(("i8", 1), None, ("u8", tag), ("ref", segments), ("u8", tag), ("ref", indices))
                )
            else:
                levels.append(self._table(None, ("i32", size)))
        order, blocks = self._vector(sparse.order, "<i4"), self._vector(sparse.blocks, "<i4")
        return self._table(("ref", order), ("ref", blocks), ("ref", self._tables(levels)))

    def _subgraph(self, subgraph: Subgraph) -> int:
        tensors = subgraph.tensors()
        index = {t: i for i, t in enumerate(tensors)}
        tables = self._tables([self._tensor(t) for t in tensors])
        ops = self._tables([self._op(op, index) for op in subgraph.ops])
        inputs = self._vector((index[t] for t in subgraph.inputs), "<i4")
        outputs = self._vector((index[t] for t in subgraph.outputs), "<i4")
        name = self._string(subgraph.name)
        return self._table(("ref", tables), ("ref", inputs), ("ref", outputs), ("ref", ops), ("ref", name))

    def _op(self, op: Op, index: dict[Tensor, int]) -> int:
        code = (op.code, op.custom, op.version)
        if code not in self.codes:
            self.codes.append(code)
        inputs = self._vector((-1 if t is None else index[t] for t in op.inputs), "<i4")
        outputs = self._vector((index[t] for t in op.outputs), "<i4")
        options = self._options(op) if op.table else 0
        behind = self._place(op.custom_options) if op.custom_options and self.end else ()
        custom = self._bytes(op.custom_options) if op.custom_options and not behind else 0
        return self._table(
            ("u32", self.codes.index(code)),
            ("ref", inputs),
            ("ref", outputs),
            ("u8", _OPTIONS[op.table][0] if op.table else 0),
            ("ref", options),
            ("ref", custom),
            None,
            None,
            ("ref", self._vector((index[t] for t in op.intermediates), "<i4") if op.intermediates else 0),
            *behind,
        )

    def _options(self, op: Op) -> int:
        assert op.table is not None
        slots: list[tuple[str, int | float | bool]] = []
        for entry in _OPTIONS[op.table][1].split():
            name, kind = entry.split(":")
            if kind == "text":
                slots.append(("ref", self._string(str(op.options.get(name, "")))))
                continue
            kind, default = [*kind.split("="), "0"][:2]
            value = op.options.get(name, float(default) if kind == "f32" else int(default))
            if name == "padding":
                value = PADDINGS[str(value)]
            elif name == "activation" and isinstance(value, str):
                value = ACTIVATIONS[value]
            elif isinstance(value, str):
                value = TYPES[value]
            if kind == "ints":
                slots.append(("ref", self._vector(value, "<i4") if value else 0))  # type: ignore[arg-type]
            else:
                slots.append((kind, value))  # type: ignore[arg-type]
        # A dilation or stride of 0 would read as the default 1.
        return self._table(*slots)

    def _code(self, code: int, custom: str | None, version: int) -> int:
        name = self._string(custom) if custom is not None else 0
        return self._table(("i8", min(code, 127)), ("ref", name), ("i32", version), ("i32", code))

    def _signature(self, key: str, subgraph: int, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> int:
        index = {t: i for i, t in enumerate(self.subgraphs[subgraph].tensors())}
        vectors = []
        for names in (inputs, outputs):
            entries = [self._table(("ref", self._string(n)), ("u32", index[t])) for n, t in names.items()]
            vectors.append(self._tables(entries))
        return self._table(
            ("ref", vectors[0]), ("ref", vectors[1]), ("ref", self._string(key)), None, ("u32", subgraph)
        )
