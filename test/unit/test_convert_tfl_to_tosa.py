"""convert-tfl-to-tosa against LiteRT's reference kernels, operator by operator and on whole networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from property_tests import seeds
from random_network import random_network
from tiny_writer import Model, Op, Subgraph, Tensor
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, NameLoc, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls
from xdsl.interpreters.func import FuncFunctions
from xdsl.ir import Operation

from npuc.dialects import tfl
from npuc.dialects.constants import as_numpy
from npuc.interpreters.tosa import TosaFunctions, run
from npuc.lowering.convert_tfl_to_tosa import ConvertTflToTosaPass
from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.operators import all_operators, operator_of

if TYPE_CHECKING:
    from conftest import TestModel

litert: Any = pytest.importorskip("ai_edge_litert.interpreter")

Array = np.ndarray


def converted(data: bytes) -> ModuleOp:
    module = import_tflite(data)
    ConvertTflToTosaPass().apply(Context(), module)
    module.verify()
    return module


def main(module: ModuleOp) -> str:
    return next(op.sym_name.data for op in module.ops if isinstance(op, FuncOp))


def left_over(module: ModuleOp) -> list[tfl.TflOp]:
    """Operations that are still tfl, but for constants."""
    sources = tfl.ConstantOp | tfl.NoValueOp | tfl.PseudoTensorOp
    return [op for op in module.walk() if isinstance(op, tfl.TflOp) and not isinstance(op, sources)]


class Reference:
    """LiteRT's reference kernels on one file: outputs, and every tensor by name."""

    def __init__(self, data: bytes):
        self.interpreter = litert.Interpreter(
            model_content=data,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        self.interpreter.allocate_tensors()
        self.inputs = self.interpreter.get_input_details()
        self.outputs = self.interpreter.get_output_details()

    def random(self, seed: int, shape: Sequence[int]) -> list[Array]:
        """Values over the whole types; but a list of `i32` is the `shape` of a transposed convolution's output."""
        random = np.random.default_rng(seed)
        return [
            np.array(shape, np.int32)
            if d["dtype"] == np.int32 and len(d["shape"]) == 1
            else random.integers(
                np.iinfo(d["dtype"]).min, np.iinfo(d["dtype"]).max, d["shape"], d["dtype"], endpoint=True
            )
            for d in self.inputs
        ]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        for detail, values in zip(self.inputs, inputs, strict=True):
            self.interpreter.set_tensor(detail["index"], values)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(d["index"]) for d in self.outputs]

    def tensor(self, op: Operation) -> Array:
        """What LiteRT computed for the tensor that `op` makes."""
        assert isinstance(op.location, NameLoc)
        name = op.location.desc.data
        found = [d["index"] for d in self.interpreter.get_tensor_details() if d["name"] == name]
        return self.interpreter.get_tensor(found[0])


def reference_functions(reference: Reference) -> type[InterpreterFunctions]:
    """For operators that stay tfl: LiteRT's own results, so that a whole network runs."""

    def take(self: Any, interpreter: Interpreter, op: Operation, args: PythonValues) -> PythonValues:
        return (reference.tensor(op),)

    def constant(self: Any, interpreter: Interpreter, op: Any, args: PythonValues) -> PythonValues:
        return (as_numpy(op.value),)

    direct = [record.op for record in all_operators().values() if record.lower is not None]
    methods: dict[str, Any] = {op.name: impl(op)(take) for op in direct}
    methods |= {op.name: impl(op)(constant) for op in (tfl.PseudoConstOp, tfl.PseudoQConstOp)}
    return register_impls(type("ReferenceFunctions", (InterpreterFunctions,), methods))


def compare(data: bytes, seeds: Sequence[int]) -> int:
    """
    Runs a file at level tosa and in LiteRT; every tensor that enters a tfl operator or leaves the network must be
    equal. The number of elements compared.
    """
    module = converted(data)
    assert all(
        record is not None and record.goes_directly(op) for op in left_over(module) for record in (operator_of(op),)
    )
    reference = Reference(data)
    compared = 0

    class Watch(Interpreter.Listener):
        def will_interpret_op(self, op: Operation, args: PythonValues) -> None:
            nonlocal compared
            if isinstance(op, tfl.TflOp) and args and isinstance(op.operands[0].owner, Operation):
                expected = reference.tensor(op.operands[0].owner)
                assert np.array_equal(args[0], expected), f"the operand of {op.name} differs"
                compared += expected.size

    result = next(op for op in module.ops if isinstance(op, FuncOp)).function_type.outputs.data[0]
    assert isinstance(result, TensorType)
    for seed in seeds:
        inputs = reference.random(seed, result.get_shape())
        expected = reference.run(inputs)
        interpreter = Interpreter(module, listeners=(Watch(),))
        for functions in (FuncFunctions, TosaFunctions, reference_functions(reference)):
            interpreter.register_implementations(functions())
        for found, wanted in zip(interpreter.call_op(main(module), tuple(inputs)), expected, strict=True):
            assert np.array_equal(found, wanted), f"{np.sum(found != wanted)} of {wanted.size} differ, seed {seed}"
            compared += wanted.size
    return compared


def test_models(models: dict[str, TestModel]) -> None:
    """Every committed model that becomes wholly tosa gives its golden outputs."""
    compared = 0
    for model in models.values():
        if not model.comparisons:
            continue
        module = converted(model.path.read_bytes())
        if left_over(module):
            continue
        for inputs, outputs in model.golden():
            for found, wanted in zip(run(module, inputs, main(module)), outputs, strict=True):
                assert np.array_equal(found.reshape(wanted.shape), wanted), f"{model.name}: {model.about}"
                compared += 1
    assert compared >= 1900


WITH_TFL = ("digits_cnn", "residual_net", "separable_net", "uint8_net", "int16x8_net", "hard_swish_net", "unet")


@pytest.mark.parametrize("name", WITH_TFL)
def test_networks_with_tfl_operators(models: dict[str, TestModel], name: str) -> None:
    assert compare(models[name].path.read_bytes(), range(2)) > 0


def test_random_networks() -> None:
    compared = sum(compare(random_network(seed), (0,)) for seed in seeds(12))
    assert compared > 10000


SHARED = {
    "mlperf_kws_int8", "mlperf_resnet8_int8", "mlperf_vww_int8", "mlperf_ad01_int8", "mlperf_strww_int8",
    "coral_mobilenet_v1_0.25_128_quant", "coral_split_concat", "tflm_micro_speech_quantized", "tflm_hello_world_int8",
    "coral_mobilenet_v2_1.0_224_quant", "coral_tf2_mobilenet_v2_1.0_224_ptq",
}  # fmt: skip


def test_shared_models(shared_models: Path | None) -> None:
    if shared_models is None:
        pytest.skip("no shared models")
    paths = [path for path in shared_models.glob("*.tflite") if path.stem in SHARED]
    paths += shared_models.glob("seanet/*.tflite")
    for path in paths:
        assert compare(path.read_bytes(), (0,)) > 0, path
    assert len(paths) == len(SHARED) + 45


# Operators with random quantisations, on as many values as make a wrong rounding show


LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


def tensor(random: np.random.Generator, name: str, shape: Sequence[int], dtype: str, least: float = 0.004) -> Tensor:
    low, high = LIMITS[dtype]
    zero = 0 if dtype == "int16" else int(random.integers(low, high, endpoint=True))
    return Tensor(name, shape, dtype, scale=float(np.float32(random.uniform(least, 0.1))), zero=zero)


def network(inputs: list[Tensor], output: Tensor, operator: str, operands: list[Any], **options: Any) -> bytes:
    return Model(Subgraph(inputs, [output], [Op(operator, operands, [output], **options)])).to_bytes()


DTYPES = ("int8", "uint8", "int16")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operator", ["ADD", "SUB", "MUL"])
def test_arithmetic(operator: str, dtype: str) -> None:
    compared = 0
    for seed in range(8):
        random = np.random.default_rng(seed)
        a, b, y = (tensor(random, name, (1, 64, 32, 16), dtype) for name in "aby")
        if operator == "MUL":
            y.scale = float(np.float32(a.scale * b.scale * random.uniform(50, 300)))
        activation = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")[seed % 4]
        compared += compare(network([a, b], y, operator, [a, b], activation=activation), (seed,))
    assert compared == 8 * 64 * 32 * 16


@pytest.mark.parametrize("operator", ["ADD", "SUB"])
@pytest.mark.parametrize("logs", [(-10, -10, -10), (-11, -10, -10), (-10, -13, -10), (-11.0008, -10, -9.9995)])
def test_sixteen_bit_powers_of_two(operator: str, logs: tuple[float, float, float]) -> None:
    """The other algorithm that TFLite has for these, where the option asks for it; nearly is enough."""
    a, b, y = (Tensor(n, (1, 4, 64, 64), "int16", scale=2.0**log) for n, log in zip("aby", logs, strict=True))
    assert compare(network([a, b], y, operator, [a, b], pot_scale_int16=True), (0,)) == 1 << 14
    assert compare(network([a, b], y, operator, [a, b], pot_scale_int16=False), (0,)) == 1 << 14


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operator", ["RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "QUANTIZE", "ABS"])
def test_unary(operator: str, dtype: str) -> None:
    if (operator, dtype) in (("ABS", "uint8"), ("RELU_N1_TO_1", "int16")):
        pytest.skip("LiteRT has no such kernel")
    low, high = LIMITS[dtype]
    compared = 0
    for seed in range(6):
        random = np.random.default_rng(seed)
        x, y = (tensor(random, name, ((high - low + 1) // 16, 16), dtype) for name in "xy")
        options = (
            {"alpha": float(np.float32((0.01, 0.3, 0.99, 1.0, 1.7, 0.2)[seed]))} if operator == "LEAKY_RELU" else {}
        )
        data = network([x], y, operator, [x], **options)
        module = converted(data)
        every = np.arange(low, high + 1).astype(dtype).reshape(-1, 16)
        expected = Reference(data).run([every])[0]
        assert np.array_equal(run(module, [every], main(module))[0], expected), (seed, x, y)
        compared += every.size
    assert compared == 6 * (high - low + 1)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("operator", ["LOGISTIC", "TANH", "LEAKY_RELU"])
def test_tables(operator: str, dtype: str) -> None:
    low, high = LIMITS[dtype]
    for seed in range(12):
        random = np.random.default_rng(seed)
        x, y = tensor(random, "x", (1, 256), dtype), tensor(random, "y", (1, 256), dtype)
        if operator == "LEAKY_RELU":
            options = {"alpha": float(np.float32(random.uniform(-2, 2)))}
        else:
            options = {}
            y.scale = 1 / 256 if operator == "LOGISTIC" else 1 / 128
            y.zero = low if operator == "LOGISTIC" else low + 128
        data = network([x], y, operator, [x], **options)
        every = np.arange(low, high + 1).astype(dtype).reshape(1, -1)
        module = converted(data)
        assert np.array_equal(run(module, [every], main(module))[0], Reference(data).run([every])[0])


def weights(random: np.random.Generator, shape: Sequence[int], unsigned: bool, axis: int | None) -> Tensor:
    if unsigned:
        data, zero = random.integers(0, 256, shape).astype(np.uint8), int(random.integers(100, 150))
        return Tensor("w", shape, "uint8", scale=float(np.float32(random.uniform(0.002, 0.01))), zero=zero, data=data)
    data = random.integers(-127, 128, shape).astype(np.int8)
    if axis is None:
        return Tensor("w", shape, "int8", scale=float(np.float32(random.uniform(0.002, 0.01))), data=data)
    channels = shape[axis]
    scales = [float(s) for s in random.uniform(0.002, 0.01, channels).astype(np.float32)]
    return Tensor("w", shape, "int8", scale=scales, zero=[0] * channels, axis=axis, data=data)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"])
def test_products(operator: str, dtype: str) -> None:
    """Windows, strides, paddings and dilations at random; results of small range, so that each rounding shows."""
    compared = 0
    for seed in range(10):
        random = np.random.default_rng(seed)
        depth, channels, unsigned = int(random.integers(1, 9)), 16, dtype == "uint8"
        kernel, stride = random.integers(1, 4, 2).tolist(), random.integers(1, 3, 2).tolist()
        padding = ("SAME", "VALID")[seed % 2]
        options: dict[str, Any] = dict(padding=padding, stride_h=stride[0], stride_w=stride[1])
        size = (24, 23)
        x = tensor(random, "x", (1, *size, depth), dtype)
        per_axis = None if unsigned or seed % 3 == 0 else 0
        operands: list[Any] = [x]
        if operator == "DEPTHWISE_CONV_2D":
            channels = 2 * depth
            w = weights(random, (1, *kernel, channels), unsigned, None if per_axis is None else 3)
            options["depth_multiplier"] = 2
        elif operator == "FULLY_CONNECTED":
            x = tensor(random, "x", (500, depth), dtype)
            w = weights(random, (channels, depth), unsigned, per_axis)
            options = {}
        else:
            w = weights(random, (channels, *kernel, depth), unsigned, per_axis)
            if operator == "CONV_2D" and stride == [1, 1]:
                options |= dict(dilation_h=2, dilation_w=1)
        scales = np.atleast_1d(w.scale)
        bias_type, limit = ("int64", 1 << 20) if dtype == "int16" else ("int32", 3000)
        b = Tensor(
            "b", (channels,), bias_type, scale=[float(x.scale * s) for s in scales], zero=[0] * len(scales),
            data=random.integers(-limit, limit, channels).astype(bias_type),
        )  # fmt: skip
        if operator == "FULLY_CONNECTED":
            shape: tuple[int, ...] = (500, channels)
        elif operator == "TRANSPOSE_CONV":
            shape = (1, *(n * s if padding == "SAME" else (n - 1) * s + k
                          for n, s, k in zip(size, stride, kernel, strict=True)), channels)  # fmt: skip
        else:
            reach = [(k - 1) * options.get(f"dilation_{a}", 1) + 1 for k, a in zip(kernel, "hw", strict=True)]
            shape = (1, *(-(-n // s) if padding == "SAME" else (n - r) // s + 1
                          for n, s, r in zip(size, stride, reach, strict=True)), channels)  # fmt: skip
        y = tensor(random, "y", shape, dtype)
        spread = 60 * np.sqrt(w.data.size / channels) * (1 << (15 if dtype == "int16" else 7))
        y.scale = float(np.float32(x.scale * float(scales.max()) * spread / (1 << (14 if dtype == "int16" else 6))))
        operands = [x, w, b]
        if operator == "TRANSPOSE_CONV":
            operands = [Tensor("shape", (4,), "int32", data=np.array(shape, np.int32)), w, x, b]
        if operator != "TRANSPOSE_CONV" and seed % 4 == 3:
            options["activation"] = "RELU"
        compared += compare(network([x], y, operator, operands, **options), (seed,))
    assert compared > 30000


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operator", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pools(operator: str, dtype: str) -> None:
    for seed in range(6):
        random = np.random.default_rng(seed)
        x = tensor(random, "x", (1, 15, 14, 8), dtype)
        kernel, stride = random.integers(1, 6, 2).tolist(), random.integers(1, 4, 2).tolist()
        padding = ("SAME", "VALID")[seed % 2]
        shape = (1, *(-(-n // s) if padding == "SAME" else (n - k) // s + 1
                      for n, s, k in zip((15, 14), stride, kernel, strict=True)), 8)  # fmt: skip
        y = Tensor("y", shape, dtype, scale=x.scale, zero=x.zero)
        options = dict(padding=padding, stride_h=stride[0], stride_w=stride[1], filter_height=kernel[0])
        assert compare(network([x], y, operator, [x], filter_width=kernel[1], **options), (seed,)) > 0


def test_unsigned_concatenation_rescales() -> None:
    for seed in range(12):
        random = np.random.default_rng(seed)
        a, b, y = (tensor(random, name, (1, 256), "uint8", 0.05) for name in "aby")
        y.shape = (1, 512)
        data = network([a, b], y, "CONCATENATION", [a, b], axis=1)
        every = np.arange(256, dtype=np.uint8).reshape(1, -1)
        module = converted(data)
        found = run(module, [every, every], main(module))[0]
        assert np.array_equal(found, Reference(data).run([every, every])[0]), seed
