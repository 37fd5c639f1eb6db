"""Models made by the TensorFlow converter: trained and untrained networks, and each operator alone as it writes it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
from entry import Entry
from sklearn.datasets import load_digits

layers = tf.keras.layers
INT8 = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
INT16X8 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8


def models() -> Iterator[Entry]:
    """All of them. Single-threaded and seeded, so that the same TensorFlow makes the same files again."""
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for build in (
        digits_cnn,
        digits_autoencoder,
        residual_net,
        separable_net,
        int16x8_net,
        open_batch_net,
        unet,
        hard_swish_net,
    ):
        tf.keras.utils.set_random_seed(1)
        yield build()
    for name, (shapes, function) in OPERATORS.items():
        tf.keras.utils.set_random_seed(1)
        yield Entry(f"tf_{name}", operator(shapes, function), "one operator, as the TensorFlow converter writes it")
    tf.keras.utils.set_random_seed(1)
    data = operator([(1, 6, 6, 4)], lambda x: tf.nn.relu(tf.nn.conv2d(x, _weights(3, 3, 4, 4), 1, "SAME")), tf.uint8)
    yield Entry("tf_quantize", data, "uint8 interface of an int8 network: QUANTIZE at both ends")


# -- networks


def digits_cnn() -> Entry:
    """Three convolutions, trained on scikit-learn's handwritten digits."""
    train, test, labels, test_labels = digits()
    net = tf.keras.Sequential(
        [
            layers.Input((8, 8, 1), batch_size=1),
            layers.Conv2D(12, 3, padding="same", activation="relu"),
            layers.Conv2D(24, 3, padding="same", strides=2, activation="relu"),
            layers.Conv2D(24, 3, padding="same", activation="relu"),
            layers.MaxPool2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    trainee = _with_batch(net)
    trainee.compile(tf.keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    trainee.fit(train, labels, batch_size=64, epochs=12, verbose=0)
    net.set_weights(trainee.get_weights())
    data = convert(net, [train[i : i + 1] for i in range(200)])
    score = accuracy(data, test, test_labels)
    if score < 0.95:
        raise SystemExit(f"digits_cnn is right for only {score:.1%} of the test digits")
    about = "a small CNN trained on scikit-learn's digits; the last eight cases are test digits"
    return Entry("digits_cnn", data, about, samples=quantise(data, test[:8]))


def digits_autoencoder() -> Entry:
    """Fully connected, trained to reproduce the digits through a bottleneck of 8."""
    train, test, _, _ = (a.reshape(len(a), -1) for a in digits())
    net = tf.keras.Sequential(
        [
            layers.Input((64,), batch_size=1),
            layers.Dense(48, activation="relu"),
            layers.Dense(8, activation="relu"),
            layers.Dense(48, activation="relu"),
            layers.Dense(64),
        ]
    )
    trainee = _with_batch(net)
    trainee.compile(tf.keras.optimizers.Adam(3e-3), "mse")
    trainee.fit(train, train, batch_size=64, epochs=30, verbose=0)
    net.set_weights(trainee.get_weights())
    data = convert(net, [train[i : i + 1] for i in range(200)])
    about = "a fully connected autoencoder trained on the digits; the last eight cases are test digits"
    return Entry("digits_autoencoder", data, about, samples=quantise(data, test[:8]))


def residual_net() -> Entry:
    """ResNet blocks with batch normalisation: one identity shortcut, one by a strided 1x1 convolution."""
    inputs = x = layers.Input((16, 16, 3), batch_size=1)
    x = _conv(x, 8, 3)
    for depth, stride in ((8, 1), (16, 2), (24, 2)):
        shortcut = x if stride == 1 else _conv(x, depth, 1, stride, activation=None)
        y = _conv(_conv(x, depth, 3, stride), depth, 3, activation=None)
        x = layers.ReLU()(layers.Add()([shortcut, y]))
    x = layers.Dense(10, activation="softmax")(layers.Flatten()(layers.AveragePooling2D(4)(x)))
    return _untrained("residual_net", inputs, x, "a residual network with batch normalisation folded in")


def separable_net() -> Entry:
    """As MobileNet v1 and v2: depthwise-separable convolutions with ReLU6, one inverted residual."""
    inputs = x = layers.Input((24, 24, 3), batch_size=1)
    x = _conv(x, 8, 3, 2, "relu6")
    for depth, stride in ((16, 1), (24, 2)):
        x = _depthwise(x, 3, stride)
        x = _conv(x, depth, 1, activation="relu6")
    y = _depthwise(_conv(x, 48, 1, activation="relu6"), 3)
    x = layers.Add()([x, _conv(y, 24, 1, activation=None)])
    x = layers.GlobalAveragePooling2D()(x)
    return _untrained("separable_net", inputs, layers.Dense(5)(x), "depthwise-separable with ReLU6, MEAN at the end")


def int16x8_net() -> Entry:
    """16-bit activations, 8-bit weights."""
    inputs = x = layers.Input((12, 12, 2), batch_size=1)
    x = _conv(x, 8, 3)
    y = _depthwise(x, 3)
    x = layers.Add()([x, y])
    x = layers.LeakyReLU(negative_slope=0.2)(_conv(x, 12, 3, 2, None))
    x = layers.Activation("tanh")(layers.Dense(6)(layers.Flatten()(x)))
    return _untrained("int16x8_net", inputs, x, "16-bit activations: conv, depthwise, add, leaky ReLU, tanh", INT16X8)


def open_batch_net() -> Entry:
    """As most networks in the wild: flattened with the batch left open, by SHAPE, STRIDED_SLICE and PACK."""
    net = tf.keras.Sequential([layers.Input((8, 8, 2)), layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(4)])
    rng = np.random.default_rng(1)
    data = convert_exported(net, [rng.uniform(-1, 1, (1, 8, 8, 2)).astype(np.float32) for _ in range(20)])
    about = "batch left open: RESHAPE to a computed shape, which may stay on the CPU with what computes it"
    return Entry("open_batch_net", data, about, cpu=[1, 2, 3, 4])


def unet() -> Entry:
    """Down and up again: TRANSPOSE_CONV, RESIZE_NEAREST_NEIGHBOR, skip connections by CONCATENATION."""
    inputs = x = layers.Input((16, 16, 1), batch_size=1)
    first = _conv(x, 8, 3)
    second = _conv(layers.MaxPool2D()(first), 12, 3)
    x = _conv(layers.MaxPool2D()(second), 16, 3)
    x = layers.Concatenate()([layers.Conv2DTranspose(8, 3, 2, "same")(x), second])
    x = layers.Concatenate()([tf.keras.ops.image.resize(_conv(x, 8, 3), (16, 16), "nearest"), first])
    x = layers.Conv2D(2, 1, activation="sigmoid")(x)
    return _untrained("unet", inputs, x, "down and up again: transposed convolution, nearest neighbour, concatenation")


def hard_swish_net() -> Entry:
    """As MobileNet v3: hard swish, and a squeeze-and-excite branch that scales the channels."""
    inputs = x = layers.Input((16, 16, 3), batch_size=1)
    x = _hard_swish(_conv(x, 8, 3, 2, None))
    x = _hard_swish(_depthwise(_conv(x, 16, 1, 1, None), 5, activation=None))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(16, 1)(layers.Conv2D(4, 1, activation="relu")(gate))
    x = layers.Multiply()([x, layers.Activation("sigmoid")(gate)])
    x = layers.Dense(6)(layers.GlobalAveragePooling2D()(_conv(x, 12, 1, 1, None)))
    return _untrained("hard_swish_net", inputs, x, "hard swish, and channels scaled by a squeeze-and-excite branch")


def _conv(x: Any, depth: int, kernel: int, stride: int = 1, activation: str | None = "relu") -> Any:
    x = layers.BatchNormalization()(layers.Conv2D(depth, kernel, stride, "same", use_bias=False)(x))
    return layers.Activation(activation)(x) if activation else x


def _depthwise(x: Any, kernel: int, stride: int = 1, activation: str | None = "relu6") -> Any:
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False)(x))
    return layers.Activation(activation)(x) if activation else x


def _hard_swish(x: Any) -> Any:
    return layers.Multiply()([x, layers.Rescaling(1 / 6)(layers.ReLU(6.0)(layers.Rescaling(1.0, 3.0)(x)))])


def _untrained(name: str, inputs: Any, outputs: Any, about: str, ops: Any = INT8) -> Entry:
    """A network with random weights and random batch statistics, calibrated on random pictures."""
    net = tf.keras.Model(inputs, outputs)
    rng = np.random.default_rng(1)
    for layer in net.layers:
        if isinstance(layer, layers.BatchNormalization):
            n = layer.gamma.shape[0]
            layer.set_weights(
                [rng.uniform(0.5, 1.5, n), rng.normal(0, 0.3, n), rng.normal(0, 0.3, n), rng.uniform(0.3, 1.5, n)]
            )
    pictures = [rng.uniform(-1, 1, inputs.shape).astype(np.float32) for _ in range(50)]
    return Entry(name, convert(net, pictures, ops), about)


def _with_batch(net: Any) -> Any:
    """The same sequential network for batches of any size, to train it with."""
    return tf.keras.Sequential(
        [layers.Input(net.input_shape[1:]), *[type(x).from_config(x.get_config()) for x in net.layers]]
    )


@cache
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and test pictures in -1..1, [n, 8, 8, 1], and their labels."""
    pictures, labels = load_digits(return_X_y=True)
    pictures = (pictures.reshape(-1, 8, 8, 1) / 8 - 1).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(pictures))
    train, test = order[:1400], order[1400:]
    return pictures[train], pictures[test], labels[train], labels[test]


# -- single operators


def _weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(0, 0.3, shape).astype(np.float32)


MAP = (1, 8, 8, 8)
Function = Callable[..., Any]
OPERATORS: dict[str, tuple[list[tuple[int, ...]], Function]] = {
    "conv_2d": ([(1, 9, 8, 5)], lambda x: tf.nn.conv2d(x, _weights(3, 3, 5, 11), 2, "SAME") + _weights(11)),
    "depthwise_conv_2d": ([MAP], lambda x: tf.nn.depthwise_conv2d(x, _weights(3, 3, 8, 1), [1, 1, 1, 1], "SAME")),
    "fully_connected": ([(1, 24)], lambda x: tf.linalg.matmul(x, _weights(24, 10)) + _weights(10)),
    "transpose_conv": ([(1, 5, 6, 8)], lambda x: tf.nn.conv2d_transpose(x, _weights(3, 3, 7, 8), (1, 10, 12, 7), 2)),
    "average_pool_2d": ([MAP], lambda x: tf.nn.avg_pool2d(x, 3, 2, "SAME")),
    "max_pool_2d": ([MAP], lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID")),
    "add": ([MAP, MAP], lambda a, b: a + b),
    "sub": ([MAP, MAP], lambda a, b: a - b),
    "mul": ([MAP, MAP], lambda a, b: a * b),
    "minimum": ([MAP, MAP], tf.minimum),
    "maximum": ([MAP, MAP], tf.maximum),
    "abs": ([MAP], tf.abs),
    "relu": ([MAP], tf.nn.relu),
    "relu6": ([MAP], tf.nn.relu6),
    "relu_n1_to_1": ([MAP], lambda x: tf.minimum(tf.maximum(x, -1.0), 1.0)),
    "leaky_relu": ([MAP], lambda x: tf.nn.leaky_relu(x, 0.15)),
    "logistic": ([MAP], tf.sigmoid),
    "tanh": ([MAP], tf.tanh),
    "hard_swish": ([MAP], lambda x: x * tf.nn.relu6(x + 3.0) * (1 / 6)),
    "softmax": ([(1, 20)], tf.nn.softmax),
    "concatenation": ([(1, 4, 4, 6), (1, 4, 4, 10)], lambda a, b: tf.concat([a, b], 3)),
    "split": ([(1, 4, 4, 16)], lambda x: tf.split(x, 2, 3)),
    "slice": ([MAP], lambda x: tf.slice(x, [0, 1, 2, 0], [1, 5, 4, 8])),
    "strided_slice": ([MAP], lambda x: x[:, 1::2, ::2, :]),
    "reshape": ([MAP], lambda x: tf.reshape(x, (1, 64, 8))),
    "squeeze": ([(1, 1, 6, 8)], lambda x: tf.squeeze(x, [1])),
    "expand_dims": ([(1, 6, 8)], lambda x: tf.expand_dims(x, 1)),
    "pad": ([MAP], lambda x: tf.pad(x, [[0, 0], [1, 0], [2, 1], [0, 0]])),
    "mean": ([MAP], lambda x: tf.reduce_mean(x, [1, 2])),
    "resize_nearest_neighbor": (
        [(1, 4, 5, 8)],
        lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, (8, 10), half_pixel_centers=True),
    ),
}


def operator(shapes: list[tuple[int, ...]], function: Function, interface: Any = tf.int8) -> bytes:
    """A function of float tensors, quantised to int8; each input is calibrated on -4..4 times its position."""
    rng = np.random.default_rng(7)
    examples = [
        [rng.uniform(-4 - i, 4 + i, shape).astype(np.float32) for i, shape in enumerate(shapes)] for _ in range(20)
    ]
    traced = tf.function(function).get_concrete_function(*[tf.TensorSpec(s, tf.float32) for s in shapes])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
    return _quantised(converter, examples, INT8, interface)


# -- conversion


def convert(net: Any, examples: list[np.ndarray], ops: Any = INT8) -> bytes:
    """A Keras network, fully quantised after calibration on `examples`, its batch fixed to 1."""
    traced = tf.function(net).get_concrete_function(tf.TensorSpec(net.input_shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
    return _quantised(converter, [[e] for e in examples], ops, tf.int16 if ops is INT16X8 else tf.int8)


def convert_exported(net: Any, examples: list[np.ndarray]) -> bytes:
    """The same by way of a saved model, whose batch is left open."""
    with tempfile.TemporaryDirectory() as folder:
        net.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        return _quantised(converter, [[e] for e in examples], INT8, tf.int8)


def _quantised(converter: Any, examples: list[list[np.ndarray]], ops: Any, interface: Any) -> bytes:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter(examples)
    converter.target_spec.supported_ops = [ops]
    converter.inference_input_type = converter.inference_output_type = interface
    return converter.convert()


def quantise(model: bytes, pictures: np.ndarray) -> list[list[np.ndarray]]:
    """Pictures as inputs of the one-input model."""
    import golden

    detail = golden.interpreter(model).get_input_details()[0]
    scale, zero = detail["quantization"]
    values = np.clip(np.round(pictures / scale) + zero, -128, 127).astype(np.int8)
    return [[v[np.newaxis]] for v in values]


def accuracy(model: bytes, pictures: np.ndarray, labels: np.ndarray) -> float:
    """The share of pictures whose largest output is the label's."""
    import golden

    guesses = [int(np.argmax(golden.run(model, case)[0])) for case in quantise(model, pictures)]
    return float(np.mean(np.array(guesses) == labels))
