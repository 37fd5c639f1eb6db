"""
LiteRT as the host: runs the operators that stay on the CPU, and the original model as the reference.

LiteRT is an optional dependency (extra `run`); it is imported when first needed, and its absence is a HostError. What
it has no kernel for (an SVDF with an 8-bit state), TFLM runs where `tflite-micro` is installed; never what LiteRT
refuses, because TFLM takes damaged models on trust.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npuc.simulator.stream import StreamError
from npuc.simulator.tflite import CompiledModel, read_model


class HostError(StreamError):
    """Something that LiteRT cannot run, or LiteRT's absence: one line."""


class _Unsupported(HostError):
    """A sound model for which LiteRT has no kernel."""


def _modules() -> tuple[Any, Any]:
    try:
        from ai_edge_litert import interpreter, schema_py_generated
    except ImportError:
        raise HostError("CPU operators and references need LiteRT: pip install ai-edge-litert") from None
    return interpreter, schema_py_generated


_SVDF = "27"
_SVDF_STATE = 4
_LARGEST_TFLM_ARENA = 1 << 28


@contextmanager
def _damage(what: str) -> Generator[None]:
    """
    Turns what the schema's readers and the interpreters' wrappers raise on a damaged model into a HostError.

    They check nothing, so it may be any exception.
    """
    try:
        yield
    except StreamError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise HostError(f"{what}: {type(error).__name__} {text[:200]}".rstrip()) from None


class _LiteRt:
    """LiteRT's reference kernels on one model; tensors by position."""

    def __init__(self, data: bytes, keep_all: bool):
        module, _ = _modules()
        parsed = read_model(data)
        for operator in parsed.operators:
            state = (
                operator.inputs[_SVDF_STATE] if operator.kind == _SVDF and len(operator.inputs) > _SVDF_STATE else -1
            )
            if state >= 0 and parsed.tensors[state].dtype.itemsize == 1:
                # LiteRT takes the state for 16-bit and writes beyond it; TFLM knows 8-bit states.
                raise _Unsupported(f"LiteRT cannot run operator {operator.index}: an SVDF with an 8-bit state")
        with _damage("LiteRT refuses the model"):
            self._interpreter = module.Interpreter(
                model_content=data,
                experimental_op_resolver_type=module.OpResolverType.BUILTIN_REF,
                experimental_preserve_all_tensors=keep_all,
                num_threads=1,
            )
            self._interpreter.allocate_tensors()

    def run(self, inputs: Sequence[NDArray]) -> list[NDArray]:
        found = self._interpreter
        with _damage("LiteRT fails"):
            for value, detail in zip(inputs, found.get_input_details(), strict=True):
                found.set_tensor(detail["index"], value.reshape(detail["shape"]))
            found.reset_all_variables()
            found.invoke()
            return [found.get_tensor(detail["index"]) for detail in found.get_output_details()]

    def tensors(self) -> list[tuple[str, NDArray]]:
        kept: list[tuple[str, NDArray]] = []
        for detail in self._interpreter.get_tensor_details():
            try:
                kept.append((detail["name"], self._interpreter.get_tensor(detail["index"])))
            except ValueError:  # a tensor without data, such as an unused optional one
                continue
        return kept


class _Tflm:
    """TFLM's kernels on one model; of the tensors only the outputs can be seen."""

    def __init__(self, data: bytes, refusal: HostError):
        try:
            from tflite_micro import runtime  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise refusal from None
        model = read_model(data)
        self._names = [model.tensors[i].name for i in model.outputs]
        arena = 16384 + 4 * sum(tensor.bytes for tensor in model.tensors if tensor.data is None)
        if arena > _LARGEST_TFLM_ARENA:
            raise refusal
        with _damage(f"{refusal}; and TFLM refuses the model"):
            self._interpreter = runtime.Interpreter.from_bytes(data, arena_size=arena)
        self._outputs: list[NDArray] = []

    def run(self, inputs: Sequence[NDArray]) -> list[NDArray]:
        with _damage("TFLM fails"):
            self._interpreter.reset()
            for position, value in enumerate(inputs):
                shape = self._interpreter.get_input_details(position)["shape"]
                self._interpreter.set_input(np.ascontiguousarray(value).reshape(shape), position)
            self._interpreter.invoke()
            self._outputs = [self._interpreter.get_output(i) for i in range(len(self._names))]
        return self._outputs

    def tensors(self) -> list[tuple[str, NDArray]]:
        return list(zip(self._names, self._outputs, strict=True))


def _host(data: bytes, keep_all: bool = False) -> _LiteRt | _Tflm:
    try:
        return _LiteRt(data, keep_all)
    except _Unsupported as refusal:
        return _Tflm(data, refusal)


def _pack(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _without_bad_axes(data: bytes) -> bytes:
    """
    The model with per-axis quantisation taken from tensors that have not the axis.

    TFLM accepts such metadata (person_detect's biases carry it) and LiteRT does not; no kernel uses it.
    """
    _, schema = _modules()
    with _damage("the model is damaged"):
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        for subgraph in model.subgraphs:
            for tensor in subgraph.tensors:
                quantisation = tensor.quantization
                rank = 0 if tensor.shape is None else len(tensor.shape)
                if quantisation and quantisation.scale is not None and quantisation.quantizedDimension >= max(rank, 1):
                    quantisation.quantizedDimension = 0
        return _pack(model)


def operator_names(model: CompiledModel) -> list[str]:
    """The operators' names as in the TFLite schema."""
    _, schema = _modules()
    names = {str(code): name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    return [names.get(operator.kind, operator.kind) for operator in model.operators]


class CpuOperator:
    """One operator of a compiled file as a model of its own; every tensor it reads or writes is an input or output."""

    def __init__(self, model: CompiledModel, index: int):
        source = model.operators[index]
        self.feeds = [
            i
            for i in dict.fromkeys(source.inputs)
            if i >= 0 and model.tensors[i].data is None and not model.tensors[i].is_variable
        ]
        self.results = list(source.outputs)
        with _damage(f"operator {index} is damaged"):
            alone = self._alone(model, index)
        self._host = _host(alone)

    def _alone(self, model: CompiledModel, index: int) -> bytes:
        _, schema = _modules()
        whole = schema.ModelT.InitFromPackedBuf(model.source, 0)
        graph = whole.subgraphs[0]
        operator = graph.operators[index]
        inner = [] if operator.intermediates is None else list(operator.intermediates)
        used = [i for i in dict.fromkeys([*model.operators[index].inputs, *self.results, *inner]) if i >= 0]
        numbers = {old: new for new, old in enumerate(used)}
        graph.tensors = [graph.tensors[i] for i in used]
        operator.inputs = np.array([numbers.get(i, -1) for i in model.operators[index].inputs], np.int32)
        operator.outputs = np.array([numbers.get(i, -1) for i in self.results], np.int32)
        operator.intermediates = np.array([numbers[i] for i in inner], np.int32) if inner else None
        graph.operators = [operator]
        graph.inputs = np.array([numbers[i] for i in self.feeds], np.int32)
        graph.outputs = np.array([numbers[i] for i in self.results], np.int32)
        whole.signatureDefs = None
        whole.metadata = None
        return _pack(whole)

    def run(self, values: Mapping[int, NDArray]) -> dict[int, NDArray]:
        """Feeds tensors by their index in the compiled file; gives the operator's outputs likewise."""
        return dict(zip(self.results, self._host.run([values[i] for i in self.feeds]), strict=True))


class Reference:
    """The original model in reference kernels: LiteRT's, every intermediate tensor kept, or else TFLM's."""

    def __init__(self, data: bytes):
        try:
            self._host = _LiteRt(data, keep_all=True)
        except HostError:
            self._host = _host(_without_bad_axes(data), keep_all=True)

    def run(self, inputs: Mapping[int, NDArray]) -> list[NDArray]:
        """Outputs by position, for inputs by position."""
        return self._host.run([inputs[position] for position in range(len(inputs))])

    def tensors(self) -> list[tuple[str, NDArray]]:
        """Every tensor of the last run as (name, values), in the order of the file."""
        return self._host.tensors()
