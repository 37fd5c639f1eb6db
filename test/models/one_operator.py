"""
Models of one operator drawn at random, and what must hold of each: legality and lowering agree, and both with LiteRT.

    @examples(60)
    @given(st.data())
    def test_add(data):
        model = Model(Subgraph([x], [y], [Op("ADD", [x, x], [y])]))
        check(model, [[array_for_x]])

What `operators.support.legality` takes must compile to a file without CPU operators, break no rule of the simulator and
give LiteRT's bits; what it refuses must be refused by a rule in one line, and the model compiles all the same. The
normal suite draws the same few examples each time; with NPUC_NIGHTLY=1 in the environment many more, new ones each
time.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import golden
import numpy as np
import property_tests
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from tiny_writer import Model, Op, Subgraph, Tensor

from npuc.dialects.tfl import ConstantOp, NoValueOp, PseudoTensorOp, TflOp
from npuc.hardware.accelerators import ACCELERATORS
from npuc.lowering.tflite.import_tflite import import_tflite
from npuc.operators.support.legality import cpu_reason
from npuc.simulator import Session, load
from npuc.tools.errors import UserError
from npuc.tools.npu_compile import Compiled, compile_tflite
from npuc.tools.pipeline import Target

HAS_LITERT = importlib.util.find_spec("ai_edge_litert") is not None
RANGES = {
    "bool": (0, 1),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-(1 << 15), (1 << 15) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
}
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
"""Operators with weights: one test draws these, another all others that the NPU takes."""
ROOTS = ("RSQRT", "SQRT")
"""Operators that LiteRT stops at where their operand is negative: there is nothing to compare."""
TARGET = Target("ethos-u55-128")
TIGHT = 16
"""A limit in bytes that hardly any model keeps to: the refusal says which is the least."""
REFUSAL = re.compile(r"operator \S+ is not supported|\S[^\n]*: (tensor '[^\n]*' \([\dx?]*\)|[A-Z0-9_]+)")
"""A refusal: the rule that is broken, then the tensor (or operator) that breaks it."""


def examples(count: int) -> settings:
    """`property_tests.examples` of such models: small as they are, and shrinking them takes minutes."""
    return property_tests.examples(count, suppress_health_check=tuple(HealthCheck), phases=(Phase.generate,))


# Drawing


def scales(low: int = -40, high: int = 40) -> st.SearchStrategy[float]:
    """Positive float32 scales of 2^low to 2^high, every other a power of two."""
    exponents = st.integers(low, high)
    mantissas = st.integers(1 << 23, (1 << 24) - 1)
    ordinary = st.builds(lambda e, m: float(np.ldexp(np.float32(m), min(e, high - 1) - 23)), exponents, mantissas)
    return st.one_of(exponents.map(lambda e: 2.0**e), ordinary)


def near(scale: float, low: int, high: int) -> st.SearchStrategy[float]:
    """Scales of 2^low to 2^high times `scale`, every other by a power of two, within those of `scales`."""
    return scales(low, high).map(lambda factor: float(np.float32(min(max(scale * factor, 2.0**-40), 2.0**40))))


def zero_points(dtype: str) -> st.SearchStrategy[int]:
    """The zero points of a type, the ends and the middle often; 0 for wider types."""
    if dtype in ("int16", "int32"):
        return st.just(0)
    low, high = RANGES[dtype]
    return st.one_of(st.sampled_from((low, high, (low + high + 1) // 2)), st.integers(low, high))


def arrays(shape: Sequence[int], low: int, high: int, dtype: str) -> st.SearchStrategy[np.ndarray]:
    """Integers of low to high: from a seed, so that an example is drawn and shrunk quickly."""
    seeds = st.integers(0, (1 << 32) - 1)
    return seeds.map(lambda seed: np.random.default_rng(seed).integers(low, high, shape, dtype, endpoint=True))


def targets(tight: bool = property_tests.NIGHTLY) -> st.SearchStrategy[Target]:
    """
    Any accelerator and either strategy; if `tight`, every second one under Size has the least limit that can be kept.
    That takes about twice as long, so that the normal suite asks it of few examples.
    """
    names = st.sampled_from(sorted(ACCELERATORS))
    strategies: st.SearchStrategy[Literal["performance", "size"]] = st.sampled_from(("performance", "size"))
    limits = st.sampled_from((None, TIGHT)) if tight else st.none()
    return st.builds(
        lambda name, strategy, limit: Target(name, strategy=strategy, limit=limit if strategy == "size" else None),
        names,
        strategies,
        limits,
    )


# What must hold


@dataclass(frozen=True)
class Outcome:
    """Why the operator stays on the CPU (None if it does not), and how many elements equalled LiteRT's."""

    reason: str | None
    compared: int


def check(model: Model, inputs: Sequence[Sequence[np.ndarray]] = (), target: Target = TARGET) -> Outcome:
    """
    Legality, lowering, simulator and LiteRT agree on a model of one operator.

    Compared on random values, constants and ramps, and on `inputs` (an array for each of the model's inputs).
    """
    (subgraph,) = [model.subgraphs] if isinstance(model.subgraphs, Subgraph) else model.subgraphs
    data = model.to_bytes()
    text = describe(subgraph)
    sources = ConstantOp | NoValueOp | PseudoTensorOp
    (op,) = [op for op in import_tflite(data).walk() if isinstance(op, TflOp) and not isinstance(op, sources)]
    reason = cpu_reason(op)
    compiled = compile_within(data, target)
    if reason is not None:
        assert REFUSAL.fullmatch(reason), f"no rule: {reason!r}\n{text}"
        return Outcome(reason, 0)
    assert not compiled.summary.cpu_operators, f"{compiled.summary.cpu_reasons}\n{text}"
    return Outcome(None, _compared(data, compiled.data, subgraph, inputs))


def compile_within(data: bytes, target: Target) -> Compiled:
    """A compiled model; where nothing keeps to the limit, with the least one that can be kept to."""
    try:
        return compile_tflite(data, target)
    except UserError as error:
        least = re.search(r"the smallest found to work is (\d+)", str(error))
        if least is None:
            raise
    compiled = compile_tflite(data, replace(target, limit=int(least[1])))
    assert compiled.summary.scarce <= int(least[1]), f"{compiled.summary.scarce} bytes, the limit is {least[1]}"
    return compiled


def check_surrounded(model: Model, target: Target = TARGET) -> int:
    """
    A model of one operator with a RELU before and behind it, so that what the graph around an operator decides is at
    work: identities, folding, views. How many elements equalled LiteRT's; 0 if an operator is on the CPU, or if the
    model has several inputs, or tensors that RELU does not take.
    """
    (subgraph,) = [model.subgraphs] if isinstance(model.subgraphs, Subgraph) else model.subgraphs
    tensors = [*subgraph.inputs, *subgraph.outputs]
    if len(subgraph.inputs) != 1 or any(x.dtype == "int32" or x.dtype not in RANGES or not x.scales() for x in tensors):
        return 0
    first = _like(subgraph.inputs[0], "first")
    outputs = [_like(y, f"last_{number}") for number, y in enumerate(subgraph.outputs)]
    behind = [Op("RELU", [y], [z]) for y, z in zip(subgraph.outputs, outputs, strict=True)]
    whole = Subgraph([first], outputs, [Op("RELU", [first], [subgraph.inputs[0]]), *subgraph.ops, *behind])
    data = Model(whole).to_bytes()
    compiled = compile_within(data, target)
    return 0 if compiled.summary.cpu_operators else _compared(data, compiled.data, whole, ())


def _like(tensor: Tensor, name: str) -> Tensor:
    return Tensor(name, tensor.shape, tensor.dtype, tensor.scales()[0], tensor.zeros()[0])


def _compared(data: bytes, compiled: bytes, subgraph: Subgraph, inputs: Sequence[Sequence[np.ndarray]]) -> int:
    """How many elements equal LiteRT's, on the usual inputs and on these; none may differ."""
    text = describe(subgraph)
    session = Session(load(compiled))
    compared = 0
    for case in [*usual_inputs(subgraph.inputs), *inputs]:
        if any(op.name in ROOTS for op in subgraph.ops):
            case = [np.maximum(values, x.zeros()[0]) for values, x in zip(case, subgraph.inputs, strict=True)]
        result = session.run(dict(enumerate(case)))
        assert result.reports == [], f"{result.reports}\n{text}"
        if not HAS_LITERT:
            continue
        for tensor, expected in zip(subgraph.outputs, golden.run(data, case), strict=True):
            value = result.outputs[tensor.name].reshape(expected.shape)
            assert np.array_equal(value, expected), f"{difference(value, expected)}\n{text}"
            compared += expected.size
    return compared


def usual_inputs(tensors: Sequence[Tensor]) -> list[list[np.ndarray]]:
    """
    Random values, all least, all greatest, both ends in turn, a ramp through the range, and values about the zero
    point, where ties of power-of-two scales are. Ramps fall in every second input, ends stand the other way round.
    """
    rng = np.random.default_rng(0)
    cases: list[list[np.ndarray]] = [[] for _ in range(6)]
    for position, tensor in enumerate(tensors):
        low, high = RANGES[tensor.dtype]
        count = np.arange(int(np.prod(tensor.shape)), dtype=np.int64)
        if position % 2:
            count = -1 - count
        span = high - low + 1
        zero = tensor.zeros()[0] if tensor.scales() else 0
        cases[0].append(rng.integers(low, high, tuple(tensor.shape), tensor.dtype, endpoint=True))
        for case, values in zip(
            cases[1:],
            (
                np.full_like(count, low),
                np.full_like(count, high),
                np.where(count % 2, high, low),
                low + count * max(span // len(count), 1) % span,
                np.clip(zero + count % 41 - 20, low, high),
            ),
            strict=True,
        ):
            case.append(values.astype(tensor.dtype).reshape(tensor.shape))
    return cases


def difference(value: np.ndarray, expected: np.ndarray) -> str:
    """How many elements differ, and the first of them."""
    places = np.flatnonzero(value.reshape(-1) != expected.reshape(-1))
    first = places[0]
    return (
        f"{len(places)} of {expected.size} elements differ from LiteRT's, "
        f"number {first}: {value.reshape(-1)[first]} for {expected.reshape(-1)[first]}"
    )


def describe(subgraph: Subgraph) -> str:
    """The operator with all that it was drawn with, for the message of a failure."""

    def tensor(value: Tensor | None) -> str:
        if value is None:
            return "none"
        held = "" if value.data is None else f" = {_shortened(value.data)}"
        scale = "" if value.scale is None else f" scale {value.scale!r} zero {value.zero!r}"
        return f"{value.name}: {value.dtype}{list(value.shape)}{scale}{held}"

    lines: list[str] = []
    for op in subgraph.ops:
        lines.append(f"{op.name} {op.options}")
        lines += [f"  {tensor(value)}" for value in (*op.inputs, *op.outputs)]
    return "\n".join(lines)


def _shortened(values: Any) -> str:
    return np.array2string(values, threshold=64, max_line_width=1 << 16).replace("\n", "")
