"""
Size and speed of the weight encoder, beside vela's codec when a Python that has it is given.

    python bench/weights.py ../shared/models --vela-python ~/vela/bin/python

For every convolution-like operator of every model the weights are ordered and coded as for ethos-u55-256: once as one
stream per operator, and once more in slices of 16 output channels, as weight buffers want them. Times are the best of
a few runs over a whole model, ordering included. Vela's codec runs in its own process and codes the same volumes.
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from npuc.hardware.shram import prefers_part_kernel
from npuc.hardware.weights import WeightOrder, encode

CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV = 3, 4, 9, 67
WEIGHT_TYPES = {3: np.uint8, 9: np.int8}
BLOCK_DEPTH = 32
SLICE = 16

VELA_SCRIPT = """
import json, sys, time
import numpy as np
from ethosu import mlw_codec
volumes = np.load(sys.argv[1])
requests = [(volumes[f"arr_{i}"], *order) for i, order in enumerate(json.loads(sys.argv[2]))]
times = []
for _ in range(int(sys.argv[3])):
    start = time.process_time()
    sizes = [len(mlw_codec.reorder_encode(8, 8, volume, *order)[0]) for volume, *order in requests]
    times.append(time.process_time() - start)
print(json.dumps([sum(sizes), min(times)]))
"""

Request = tuple[np.ndarray, WeightOrder]


class Table:
    """A flatbuffer table, read where it lies."""

    def __init__(self, data: bytes, position: int) -> None:
        self.data, self.position = data, position
        self.vtable = position - struct.unpack_from("<i", data, position)[0]

    def field(self, index: int) -> int | None:
        """Where a field's value stands, or None."""
        slot = 4 + 2 * index
        size: int = struct.unpack_from("<H", self.data, self.vtable)[0]
        offset: int = struct.unpack_from("<H", self.data, self.vtable + slot)[0] if slot < size else 0
        return self.position + offset if offset else None

    def number(self, index: int, form: str) -> int:
        """A scalar field, 0 if absent."""
        at = self.field(index)
        return 0 if at is None else struct.unpack_from(form, self.data, at)[0]

    def table(self, index: int) -> "Table | None":
        """A field that is a table."""
        at = self.field(index)
        return None if at is None else Table(self.data, at + struct.unpack_from("<I", self.data, at)[0])

    def numbers(self, index: int, dtype: str) -> np.ndarray:
        """A field that is a vector of numbers."""
        at = self.field(index)
        if at is None:
            return np.empty(0, dtype)
        at += struct.unpack_from("<I", self.data, at)[0]
        return np.frombuffer(self.data, dtype, struct.unpack_from("<I", self.data, at)[0], at + 4)

    def tables(self, index: int) -> "list[Table]":
        """A field that is a vector of tables."""
        at = self.field(index)
        if at is None:
            return []
        at += struct.unpack_from("<I", self.data, at)[0] + 4
        offsets = self.numbers(index, "<u4")
        return [Table(self.data, at + 4 * i + int(offset)) for i, offset in enumerate(offsets)]


def weight_requests(model: Path) -> Iterator[Request]:
    """The weight volume of every operator of the model that has one, less its zero point."""
    data = model.read_bytes()
    root = Table(data, struct.unpack_from("<I", data)[0])
    codes = [max(code.number(0, "<b"), code.number(3, "<i")) for code in root.tables(1)]
    buffers = root.tables(4)
    for graph in root.tables(2):
        tensors = graph.tables(0)
        for operator in graph.tables(3):
            code, inputs = codes[operator.number(0, "<I")], operator.numbers(1, "<i4")
            if code not in (CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV):
                continue
            tensor = tensors[inputs[1]]
            raw = buffers[tensor.number(2, "<I")].numbers(0, "u1")
            dtype = WEIGHT_TYPES.get(tensor.number(1, "<b"))
            if dtype is None or not len(raw) or tensor.table(6):  # a sparse tensor's bytes are no volume
                continue
            shape = tensor.numbers(0, "<i4").tolist()
            quantization = tensor.table(4)
            zero_points = quantization.numbers(3, "<i8") if quantization else np.empty(0)
            volume = raw.view(dtype).astype(np.int16).reshape(shape if len(shape) == 4 else (shape[0], 1, 1, -1))
            volume -= np.int16(zero_points[0] if len(zero_points) else 0)
            if code == DEPTHWISE_CONV_2D:
                volume = volume.transpose(3, 1, 2, 0)
            if code == TRANSPOSE_CONV:
                volume = volume[:, ::-1, ::-1]
            ifm = tensors[inputs[2 if code == TRANSPOSE_CONV else 0]]
            ifm_bits = 16 if ifm.number(1, "<b") == 7 else 8
            part_kernel = code in (CONV_2D, TRANSPOSE_CONV) and prefers_part_kernel(
                volume.shape[3], (volume.shape[1], volume.shape[2]), ifm_bits
            )
            kind = "depthwise" if code == DEPTHWISE_CONV_2D else "conv"
            yield (
                np.ascontiguousarray(volume),
                WeightOrder(kind, part_kernel, ifm_bits, (1, 1), BLOCK_DEPTH, 8, 8, 1),
            )


def sliced(requests: list[Request]) -> list[Request]:
    """The same weights, a request for every 16 output channels."""
    return [
        (volume[start : start + SLICE], order) for volume, order in requests for start in range(0, len(volume), SLICE)
    ]


def measure(requests: list[Request], runs: int) -> tuple[int, float]:
    """Bytes and best time of our encoder."""
    times: list[float] = []
    size = 0
    for _ in range(runs):
        start = time.process_time()
        size = sum(len(stream) for streams in encode(requests) for stream in streams)
        times.append(time.process_time() - start)
    return size, min(times)


def measure_vela(requests: list[Request], runs: int, python: str) -> tuple[int, float]:
    """Bytes and best time of vela's codec, measured inside its process."""
    orders = [
        [o.block_depth, o.kind == "depthwise", o.part_kernel, o.ifm_bits, 8 // o.dilation[0], 8 // o.dilation[1]]
        for _, o in requests
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "volumes.npz"
        np.savez(file, *(volume for volume, _ in requests))
        command = [python, "-c", VELA_SCRIPT, str(file), json.dumps(orders), str(runs)]
        size, seconds = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return size, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="TFLite files, or folders of them")
    parser.add_argument("--vela-python", help="a Python that can import ethosu.mlw_codec")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    files = [
        file for path in arguments.models for file in (sorted(path.rglob("*.tflite")) if path.is_dir() else [path])
    ]
    if not files:
        sys.exit("no .tflite file there")
    columns = f"{'streams':>8}{'weights':>9}{'bytes':>9}{'ms':>8}"
    if arguments.vela_python:
        columns += f"{'vela bytes':>11}{'vela ms':>8}{'bytes':>7}{'time':>7}"
    print(f"{'model':44}{'':7}{columns}")
    totals: dict[str, np.ndarray] = {}
    for file in files:
        whole = list(weight_requests(file))
        if not whole:
            continue
        for name, requests in (("whole", whole), ("sliced", sliced(whole))):
            row = [len(requests), sum(volume.size for volume, _ in requests), *measure(requests, arguments.runs)]
            if arguments.vela_python:
                row += measure_vela(requests, arguments.runs, arguments.vela_python)
            totals[name] = totals.get(name, np.zeros(len(row))) + row
            print_row(file.stem, name, row)
    for name, row in totals.items():
        print_row("all", name, row.tolist())


def print_row(model: str, name: str, row: list[float]) -> None:
    streams, weights, size, seconds, *vela = row
    line = f"{model:44}{name:7}{streams:8.0f}{weights:9.0f}{size:9.0f}{seconds * 1e3:8.1f}"
    if vela:
        line += f"{vela[0]:11.0f}{vela[1] * 1e3:8.1f}{size / vela[0]:7.3f}{seconds / vela[1]:7.2f}"
    print(line)


if __name__ == "__main__":
    main()
