"""
Golden data: what inputs a test model is tried with, what LiteRT's reference kernels answer, and how it is stored.

NAME.npz holds `input_0`, `input_1`, ... and `output_0`, ... with one case per first index, and `litert`, the version
string of the runtime that answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

RANDOM_CASES = 3
CORNERS = ("low", "high", "zero", "alternate", "ramp")
CASES = RANDOM_CASES + len(CORNERS)


@dataclass(frozen=True)
class Golden:
    """Cases of one model: `inputs[case][input]`, `outputs[case][output]`, in the order of the file's inputs."""

    inputs: list[list[np.ndarray]]
    outputs: list[list[np.ndarray]]
    litert: str

    def __iter__(self) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
        return zip(self.inputs, self.outputs, strict=True)

    @property
    def comparisons(self) -> int:
        """How many arrays a test that uses every case compares."""
        return sum(len(outputs) for outputs in self.outputs)


def load(path: Path) -> Golden:
    """Read NAME.npz."""
    with np.load(path) as arrays:
        inputs = [arrays[f"input_{i}"] for i in range(sum(key.startswith("input_") for key in arrays))]
        outputs = [arrays[f"output_{i}"] for i in range(sum(key.startswith("output_") for key in arrays))]
        cases = range(len(outputs[0]))
        return Golden(
            [[a[case] for a in inputs] for case in cases],
            [[a[case] for a in outputs] for case in cases],
            str(arrays["litert"]),
        )


def save(path: Path, golden: Golden) -> None:
    """Write NAME.npz; the same data gives the same bytes."""
    arrays = {f"input_{i}": np.stack(a) for i, a in enumerate(zip(*golden.inputs, strict=True))}
    arrays |= {f"output_{i}": np.stack(a) for i, a in enumerate(zip(*golden.outputs, strict=True))}
    np.savez_compressed(path, litert=np.array(golden.litert), **arrays)


def interpreter(model: bytes) -> Any:
    """
    A LiteRT interpreter of the reference kernels, or of its usual ones where these lack one (ELU) or misread values
    (SUM); ready to run.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        made = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        usable = not _sums_values_with_signs(made)
    except ValueError as error:
        if "Didn't find op" not in str(error):
            raise
        usable = False
    if not usable:
        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        made = Interpreter(model_content=model, experimental_op_resolver_type=kernels)
    made.allocate_tensors()
    return made


def _sums_values_with_signs(litert: Any) -> bool:
    """Whether there is a SUM of int8 or int16: its reference kernel takes all values for uint8."""
    sums = [op["inputs"][0] for op in litert._get_ops_details() if op["op_name"] == "SUM"]
    types = {detail["index"]: detail["dtype"] for detail in litert.get_tensor_details()}
    return any(types[index] in (np.int8, np.int16) for index in sums)


def run(model: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """One inference of an interpreter of its own: nothing else makes LiteRT forget resources."""
    litert = interpreter(model)
    for detail, data in zip(litert.get_input_details(), inputs, strict=True):
        litert.set_tensor(detail["index"], data)
    litert.invoke()
    return [litert.get_tensor(detail["index"]) for detail in litert.get_output_details()]


def make_inputs(litert: Any, seed: int) -> list[list[np.ndarray]]:
    """Three random cases over the full range of the types, then the corners."""
    rng = np.random.default_rng(seed)
    details = litert.get_input_details()
    cases = [[_random(rng, d) for d in details] for _ in range(RANDOM_CASES)]
    return cases + [[_corner(kind, d, position) for position, d in enumerate(details)] for kind in CORNERS]


def make(model: bytes, seed: int, samples: Sequence[Sequence[np.ndarray]] = ()) -> Golden:
    """The usual inputs for the model, then `samples`, and LiteRT's answers."""
    from ai_edge_litert import __version__

    inputs = make_inputs(interpreter(model), seed) + [list(case) for case in samples]
    return Golden(inputs, [run(model, case) for case in inputs], __version__)


def _limits(dtype: np.dtype) -> tuple[float, float]:
    if dtype.kind == "f":
        return -1.0, 1.0
    if dtype.kind == "b" or dtype.itemsize > 2:  # int32 inputs are conditions and counters here
        return 0, 1
    info = np.iinfo(dtype)
    return info.min, info.max


def _random(rng: np.random.Generator, detail: dict[str, Any]) -> np.ndarray:
    dtype = np.dtype(detail["dtype"])
    low, high = _limits(dtype)
    if dtype.kind == "f":
        return rng.uniform(low, high, detail["shape"]).astype(dtype)
    return rng.integers(low, high, detail["shape"], endpoint=True).astype(dtype)


def _corner(kind: str, detail: dict[str, Any], position: int) -> np.ndarray:
    """
    All lowest, all highest, all zero points, both ends in turn (the other way round in every second input), or a ramp
    through the range (falling in every second input), which takes every value if the tensor is large enough.
    """
    dtype = np.dtype(detail["dtype"])
    low, high = _limits(dtype)
    data = np.full(int(np.prod(detail["shape"])), low, dtype)
    if kind == "high":
        data[:] = high
    elif kind == "zero":
        data[:] = detail["quantization"][1]
    elif kind == "alternate":
        data[(position + 1) % 2 :: 2] = high
    elif kind == "ramp":
        steps = int(high - low) + 1 if dtype.kind in "iu" else 256
        ramp = low + np.arange(data.size) * max(steps // data.size, 1) % steps * ((high - low) / (steps - 1))
        data[:] = ramp if position % 2 == 0 else high + low - ramp
    return data.reshape(detail["shape"])
