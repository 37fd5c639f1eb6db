"""
Pieces of networks as TensorFlow's converter writes them, to see what stays on the CPU, what is exact and what it costs.

    python bench/blocks.py write DIR                      makes them (needs the extra `models`)
    python bench/blocks.py run DIR [--vela VELA] [--accelerators NAME,...]

Transformer block, patch embedding, detection heads of three kinds, segmentation heads, a shuffle unit, temporal
convolutions, an LSTM: random weights from a seed, calibrated on random inputs, int8 in and out. `run` compiles each for
each accelerator in its usual memories and by both strategies, compares with LiteRT in the simulator, and prints
operators on the CPU, SRAM and cycles; with --vela those of its two cores beside them, read from their files by the same
model. SRAM is what a runtime needs: the arena, or the fast memory beside a slow one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "test" / "models"))

Shapes = list[tuple[int, ...]]


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    """Random weights whose sums keep about the variance of what they multiply."""
    fan_in = int(np.prod(shape[:-1]))
    return np.random.default_rng((seed, *shape)).normal(0, fan_in**-0.5, shape).astype(np.float32)


def blocks() -> dict[str, tuple[Shapes, Callable[..., Any]]]:
    """Name -> shapes of the inputs, and the function of float tensors."""
    import tensorflow as tf

    def dense(x: Any, size: int, seed: int = 0) -> Any:
        return tf.matmul(x, weights(x.shape[-1], size, seed=seed)) + weights(1, size, seed=seed)[0]

    def conv(x: Any, size: int, kernel: int = 1, stride: int = 1, dilation: int = 1, seed: int = 0) -> Any:
        kernels = weights(kernel, kernel, x.shape[-1], size, seed=seed)
        return tf.nn.conv2d(x, kernels, stride, "SAME", dilations=dilation) + weights(1, size, seed=seed)[0]

    def depthwise(x: Any, kernel: int = 3, stride: int = 1) -> Any:
        return tf.nn.depthwise_conv2d(x, weights(kernel, kernel, x.shape[-1], 1), [1, stride, stride, 1], "SAME")

    def silu(x: Any) -> Any:
        return x * tf.sigmoid(x)

    def layer_norm(x: Any) -> Any:
        mean = tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.math.squared_difference(x, mean), -1, keepdims=True)
        return (x - mean) * tf.math.rsqrt(variance + 1e-3)

    def attention(x: Any, heads: int = 2) -> Any:
        batch, length, width = x.shape

        def split(seed: int) -> Any:
            return tf.transpose(tf.reshape(dense(x, width, seed), (batch, length, heads, width // heads)), (0, 2, 1, 3))

        query, key, value = split(1), split(2), split(3)
        scores = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) * (width // heads) ** -0.5)
        joined = tf.reshape(tf.transpose(tf.matmul(scores, value), (0, 2, 1, 3)), (batch, length, width))
        return dense(joined, width, 4)

    def transformer(x: Any) -> Any:
        x = x + attention(layer_norm(x))
        return x + dense(tf.nn.gelu(dense(layer_norm(x), 64, 5), approximate=True), x.shape[-1], 6)

    def yolov5(x: Any) -> Any:
        x = conv(silu(conv(x, 32, 3)), 3 * 13)
        _, height, width, _ = x.shape
        y = tf.sigmoid(tf.transpose(tf.reshape(x, (1, height, width, 3, 13)), (0, 3, 1, 2, 4)))
        place, size, rest = tf.split(y, (2, 2, 9), -1)
        return tf.reshape(tf.concat([place * 2.0 - 0.5, tf.square(size * 2.0), rest], -1), (1, -1, 13))

    def yolov8(x: Any) -> Any:
        boxes, classes = conv(silu(conv(x, 32, 3)), 64), conv(silu(conv(x, 32, 3, seed=1)), 10, seed=2)
        _, height, width, _ = x.shape
        count = height * width
        bins = tf.transpose(tf.reshape(boxes, (1, count, 4, 16)), (0, 2, 1, 3))
        expected = tf.reduce_sum(tf.nn.softmax(bins) * np.arange(16, dtype=np.float32), -1)
        start, end = tf.split(expected, 2, 1)
        return tf.concat([tf.concat([(end - start) * 0.5, start + end], 1),
                          tf.transpose(tf.sigmoid(tf.reshape(classes, (1, count, 10))), (0, 2, 1))], 1)  # fmt: skip

    def ssd(x: Any, y: Any) -> Any:
        maps = [tf.nn.relu6(depthwise(x)), tf.nn.relu6(depthwise(y))]
        boxes = tf.concat([tf.reshape(conv(one, 3 * 4), (1, -1, 4)) for one in maps], 1)
        scores = tf.concat([tf.reshape(conv(one, 3 * 6, seed=1), (1, -1, 6)) for one in maps], 1)
        return tf.concat([boxes, tf.sigmoid(scores)], -1)

    def up(x: Any, factor: int = 2) -> Any:
        _, height, width, _ = x.shape
        return tf.compat.v1.image.resize_bilinear(x, (height * factor, width * factor), half_pixel_centers=True)

    def unet(x: Any) -> Any:
        first = tf.nn.relu(conv(x, 12, 3))
        second = tf.nn.relu(conv(tf.nn.max_pool2d(first, 2, 2, "SAME"), 24, 3))
        deep = tf.nn.relu(conv(tf.nn.max_pool2d(second, 2, 2, "SAME"), 32, 3))
        x = tf.nn.relu(conv(tf.concat([up(deep), second], -1), 24, 3, seed=1))
        return conv(tf.concat([up(x), first], -1), 3)

    def deeplab(x: Any) -> Any:
        _, height, width, _ = x.shape
        pooled = tf.nn.relu(conv(tf.reduce_mean(x, (1, 2), keepdims=True), 16))
        pooled = tf.compat.v1.image.resize_bilinear(pooled, (height, width), align_corners=True)
        wide = tf.nn.relu(conv(x, 16, 3, dilation=2))
        x = conv(tf.nn.relu(conv(tf.concat([pooled, wide, tf.nn.relu(conv(x, 16))], -1), 16)), 5)
        return tf.compat.v1.image.resize_bilinear(x, (4 * height, 4 * width))

    def shuffle(x: Any) -> Any:
        left, right = tf.split(x, 2, -1)
        right = tf.nn.relu(conv(depthwise(tf.nn.relu(conv(right, right.shape[-1]))), right.shape[-1], seed=1))
        joined = tf.concat([left, right], -1)
        _, height, width, depth = joined.shape
        mixed = tf.transpose(tf.reshape(joined, (1, height, width, 2, depth // 2)), (0, 1, 2, 4, 3))
        return tf.reshape(mixed, (1, height, width, depth))

    def temporal(x: Any) -> Any:
        for dilation in (1, 2, 4):
            kernels = weights(3, x.shape[-1], 16, seed=dilation)
            padded = tf.pad(x, ((0, 0), (2 * dilation, 0), (0, 0)))
            y = tf.nn.relu(tf.nn.conv1d(padded, kernels, 1, "VALID", dilations=dilation))
            x = y if dilation == 1 else x + y
        return dense(tf.reduce_mean(x, 1), 6)

    def patches(x: Any) -> Any:
        tokens = tf.nn.conv2d(x, weights(8, 8, 3, 32), 8, "VALID") + weights(1, 32)[0]
        return tf.reshape(tokens, (1, -1, 32)) + weights(1, 16, 32)[0]

    def lstm(x: Any) -> Any:
        size = 16
        hidden = state = tf.zeros((1, size))
        for step in range(x.shape[1]):
            gates = dense(x[:, step], 4 * size) + tf.matmul(hidden, weights(size, 4 * size, seed=1))
            enter, forget, fresh, leave = tf.split(gates, 4, -1)
            state = tf.sigmoid(forget) * state + tf.sigmoid(enter) * tf.tanh(fresh)
            hidden = tf.sigmoid(leave) * tf.tanh(state)
        return dense(hidden, 6)

    return {
        "transformer": ([(1, 16, 32)], transformer),
        "patch_embedding": ([(1, 32, 32, 3)], patches),
        "yolov5_head": ([(1, 8, 8, 24)], yolov5),
        "yolov8_head": ([(1, 8, 8, 24)], yolov8),
        "ssd_head": ([(1, 10, 10, 24), (1, 5, 5, 32)], ssd),
        "unet": ([(1, 32, 32, 3)], unet),
        "deeplab_head": ([(1, 9, 9, 32)], deeplab),
        "shuffle_unit": ([(1, 8, 8, 32)], shuffle),
        "temporal_convolutions": ([(1, 32, 12)], temporal),
        "keyword_lstm": ([(1, 12, 10)], lstm),
    }


def write(folder: Path) -> int:
    """Converts all of them; how many this version of TensorFlow does not convert, each of which is named."""
    import converted

    folder.mkdir(parents=True, exist_ok=True)
    missing = 0
    for name, (shapes, function) in blocks().items():
        try:
            (folder / f"{name}.tflite").write_bytes(converted.operator(shapes, function))
        except Exception as error:  # TensorFlow raises whatever it likes; the rest is written all the same
            print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
            missing += 1
    return missing


def run(folder: Path, vela: str | None, accelerators: list[str]) -> int:
    """Prints the table; 0 if every run is exact."""
    from npuc.simulator import load
    from npuc.simulator.compare import Comparer
    from npuc.tools.npu_compile import compile_tflite
    from npuc.tools.sweep.measure import Job, measure, profiled
    from npuc.tools.sweep.plan import OURS, STRATEGIES, combinations, read_models
    from npuc.tools.sweep.row import Row
    from npuc.tools.sweep.vela import vela_version

    def cells(row: Row) -> list[str]:
        if row.cycles is None:
            return ["-", "-", row.error or row.state]
        return [f"{row.cpu_operators}", f"{row.sram}", f"{row.cycles}"]

    inexact = 0
    compilers = (OURS, "vela regor", "vela legacy")[: 3 if vela is not None else 1]
    print("block", "accelerator", "strategy", "exact", *(f"{c}: CPU, SRAM, cycles" for c in compilers), sep="\t")
    version = None if vela is None else vela_version(vela)
    for path in sorted(folder.glob("*.tflite")):
        [model] = read_models([path])
        planned = combinations([model], accelerators, strategies=STRATEGIES, vela_version=version)
        for one in planned:
            if one.compiler != OURS:
                continue
            compiled = compile_tflite(model.data, one.target, name=path.name).data
            comparison = Comparer(load(compiled), model.data).run(seed=1)
            exact = comparison.exact and not comparison.reports
            inexact += not exact
            rows = [profiled(compiled, one)] + [
                measure(Job(other, model.data, False, vela, None))
                for compiler in compilers[1:]
                for other in planned
                if (other.compiler, other.accelerator, other.strategy) == (compiler, one.accelerator, one.strategy)
            ]
            print(path.stem, one.accelerator, one.strategy, "yes" if exact else "NO",
                  *(", ".join(cells(row)) for row in rows), sep="\t", flush=True)  # fmt: skip
    return 1 if inexact else 0


def main() -> int:
    """0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("write", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vela", metavar="COMMAND")
    parser.add_argument("--accelerators", default="ethos-u55-128,ethos-u65-512")
    args = parser.parse_args()
    if args.action == "write":
        return 1 if write(args.folder) else 0
    return run(args.folder, args.vela, args.accelerators.split(","))


if __name__ == "__main__":
    sys.exit(main())
