"""
Faults of vela's that show in what its file holds, each proved by experiment: with the same fault put into the source
model, or mended in the compiled file, stream and reference agree to the last bit.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from types import MappingProxyType
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from npuc.hardware import registers
from npuc.simulator import CompiledModel, Op, Session, load
from npuc.simulator.compare import Comparer
from npuc.simulator.convolution import Weights
from npuc.simulator.execute import Executor
from npuc.simulator.inputs import KINDS
from npuc.simulator.tflite import read_model

schema: Any = import_module("ai_edge_litert.schema_py_generated")


def packed(model: Any) -> bytes:
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _agree(compiled: CompiledModel, source: bytes, once: bool) -> bool:
    """Whether they agree for inputs of every kind; with `once` sums are rounded as LiteRT's FULLY_CONNECTED does."""
    comparer = Comparer(compiled, source)
    programs = comparer.session.programs
    for index, program in list(programs.items()) if once else ():
        programs[index] = replace(program, ops=tuple(rounding_once(op) for op in program.ops))
    runs = (comparer.run(seed=seed) for seed in range(len(KINDS)))
    return all(run.exact and not run.reports for run in runs)


def rounding_once(op: Op) -> Op:
    """The operation with NATURAL rounding, if it is a sum."""
    if op.name != "CONV" and op.mode != "REDUCE_SUM":
        return op
    precision = op.state["OFM_PRECISION"] | registers.pack("OFM_PRECISION", round=2)
    return replace(op, state=MappingProxyType({**op.state, "OFM_PRECISION": precision}))


def weights_held(compiled: CompiledModel) -> list[NDArray[np.int8]]:
    """The 8-bit weights of each convolution of a stream, channel by channel."""
    held: list[NDArray[np.int8]] = []

    class Looking(Executor):
        def weights(self, *args: Any, **kwargs: Any) -> Weights:
            weights = super().weights(*args, **kwargs)
            held.append(weights.matrix.T.astype(np.int8))
            return weights

    session = Session(compiled)
    session.executor = Looking
    session.run(seed=0)
    return held


def sparse_read_as_dense(compiled: CompiledModel, source: bytes) -> bool:
    """
    Whether the first FULLY_CONNECTED has the bytes from its sparse weights on for dense ones, those of the file beyond
    their end too; the one behind DENSIFY no bias; and all else is right.
    """
    model = schema.ModelT.InitFromPackedBuf(source, 0)
    graph = model.subgraphs[0]
    plain, behind = (op for op in graph.operators if len(op.inputs) == 3)
    weights = graph.tensors[plain.inputs[1]]
    stored = np.asarray(model.buffers[weights.buffer].data, np.uint8).tobytes()
    shape = tuple(weights.shape)
    read = [held for held in weights_held(compiled) if held.shape == shape and held.tobytes().startswith(stored)]
    if len(read) != 1 or read[0].tobytes() not in source:
        return False
    held = read[0]
    data = schema.BufferT()
    data.data = held.reshape(-1).view(np.uint8)
    dense = schema.TensorT()
    dense.name, dense.shape, dense.type, dense.quantization = "held", weights.shape, weights.type, weights.quantization
    dense.buffer = len(model.buffers)
    model.buffers.append(data)
    plain.inputs = np.array([plain.inputs[0], len(graph.tensors), plain.inputs[2]], np.int32)
    behind.inputs = np.array([*behind.inputs[:2], -1], np.int32)
    graph.tensors.append(dense)
    return _agree(compiled, packed(model), once=True)


def strides_extended(compiled: CompiledModel, source: bytes) -> bool:
    """Whether words that set strides have bits beyond 40, all equal to the sign, and the file is right without them."""
    words = np.frombuffer(compiled.source[: len(compiled.source) // 4 * 4], np.uint32).copy()
    code, operand = words & 0xFFFF, words >> 16
    strides = [register.opcode | 1 << 14 for register in registers.REGISTERS if register.kind == "stride"]
    extended = np.isin(code, strides) & (operand == 0xFFFF)
    words[extended] &= 0x00FFFFFF
    return bool(extended.any()) and _agree(load(words.tobytes() + compiled.source[words.nbytes :]), source, once=False)


def data_lost(compiled: CompiledModel, source: bytes) -> bool:
    """Whether constants have lost their data, and the file is right with it."""
    given = {tensor.name: tensor.data for tensor in read_model(source).tensors if tensor.data is not None}
    lost = {tensor.name for tensor in compiled.tensors if tensor.data is None} & given.keys()
    model = schema.ModelT.InitFromPackedBuf(compiled.source, 0)
    for tensor in model.subgraphs[0].tensors:
        name = tensor.name.decode()
        if name in lost:
            buffer = schema.BufferT()
            buffer.data = given[name].view(np.uint8).reshape(-1)
            tensor.buffer = len(model.buffers)
            model.buffers.append(buffer)
    return bool(lost) and _agree(load(packed(model)), source, once=False)
