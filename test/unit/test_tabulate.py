"""
Networks whose operators all come from one 8-bit value become one kernel with a table, which is exact for every value.

Drawn at random: operators of one or two operands over any values so far or a scalar, scales of 2^-9 to 2^-2, any zero
points, in int8 and uint8, half of them behind a convolution. LiteRT says what is right where it is installed, else the
same network without the passes that only optimise.
"""

from __future__ import annotations

from collections import Counter

import golden
import numpy as np
import pytest
from network import FULL_RANGE, Network
from one_operator import HAS_LITERT, difference
from property_tests import seeds
from tiny_writer import Tensor

from npuc.simulator import Session, load
from npuc.tools.npu_compile import Compiled, compile_tflite
from npuc.tools.pipeline import OPTIONAL, Target, pipeline
from npuc.tools.profiling.profile import profile

EVERY = (1, 16, 16, 1)
"""A shape that holds each of 256 values."""
UNARY = ("LOGISTIC", "TANH", "RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "QUANTIZE", "ABS")
"""The last one for int8 alone: LiteRT has no other."""
BINARY = ("MUL", "MUL", "ADD", "SUB", "MINIMUM", "MAXIMUM")


class Drawn(Network):
    """A network of operators that all come from one value, each the operand of a later one."""

    def __init__(self, seed: int, dtype: str):
        super().__init__(seed, dtype)
        x = self.input(EVERY, self.any_scale(), self.any_zero())
        self.behind_convolution = bool(self.rng.integers(2))
        if self.behind_convolution:
            x = self.conv(x, 8, (1, 1), per_channel=dtype == "int8")
        self.values = [x]
        for _ in range(int(self.rng.integers(2, 7))):
            self.values.append(self.drawn_unary() if self.rng.integers(3) == 0 else self.drawn_binary())

    def any_scale(self) -> float:
        exponent = self.rng.uniform(-9, -2)
        return float(np.float32(2.0 ** (round(exponent) if self.rng.integers(4) == 0 else exponent)))

    def any_zero(self) -> int:
        low, high = FULL_RANGE[self.dtype]
        return int(self.rng.choice((low, high, (low + high + 1) // 2, int(self.rng.integers(low, high + 1)))))

    def drawn_unary(self) -> Tensor:
        x, name = self.values[-1], str(self.rng.choice(UNARY if self.dtype == "int8" else UNARY[:-1]))
        scale, zero = self.any_scale(), self.any_zero()
        if name in ("LOGISTIC", "TANH"):
            low, _ = FULL_RANGE[self.dtype]
            scale, zero = (1 / 256, low) if name == "LOGISTIC" else (1 / 128, low + 128)
        return self.unary(name, x, scale, zero, **({"alpha": 0.3} if name == "LEAKY_RELU" else {}))

    def drawn_binary(self) -> Tensor:
        name = str(self.rng.choice(BINARY))
        alike = name in ("MINIMUM", "MAXIMUM")
        x = self.values[-1]
        others = [y for y in self.values if not alike or (y.scale, y.zero) == (x.scale, x.zero)]
        other = others[int(self.rng.integers(len(others)))]
        if self.rng.integers(3) == 0:
            scale, zero = (x.scales()[0], x.zeros()[0]) if alike else (self.any_scale(), self.any_zero())
            other = self.constant((1,), scale, zero)
        a, b = (x, other) if self.rng.integers(2) else (other, x)
        if alike:
            return self.add_op(name, [a, b], [self.like(x, name.lower(), x.shape)])
        return self.binary(name, a, b, self.any_scale(), self.any_zero())


def kernels(compiled: Compiled) -> int:
    """How many kernels a compiled file launches."""
    timelines = profile(compiled.data).timelines.values()
    return sum(event.is_kernel for one in timelines for event in one.events)


def expected_of(data: bytes, values: np.ndarray, compiled: Compiled) -> np.ndarray | None:
    """The output that is right; None if nothing here can tell, since operators are left to LiteRT."""
    if HAS_LITERT:
        return golden.run(data, [values])[0]
    if compiled.summary.cpu_operators:
        return None
    target = Target("ethos-u55-128")
    plain = Session(load(compile_tflite(data, target, passes=pipeline(target, OPTIONAL)).data)).run({0: values})
    return next(iter(plain.outputs.values()))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_functions_of_one_value(dtype: str) -> None:
    outcomes: Counter[str] = Counter()
    for seed in seeds(40):
        drawn = Drawn(seed, dtype)
        data = drawn.model(drawn.values[-1]).to_bytes()
        low, high = FULL_RANGE[dtype]
        values = np.arange(low, high + 1).astype(dtype).reshape(EVERY)
        compiled = compile_tflite(data, Target("ethos-u55-128"))
        result = Session(load(compiled.data)).run({0: values})
        assert result.reports == [], f"seed {seed}: {result.reports}"
        expected = expected_of(data, values, compiled)
        if expected is None:
            continue
        (value,) = result.outputs.values()
        assert np.array_equal(value, expected), f"seed {seed}: {difference(value, expected)}"
        on_npu = not compiled.summary.cpu_operators
        outcomes["one kernel" if on_npu and kernels(compiled) == 1 else "more" if on_npu else "CPU"] += 1
        outcomes["behind a convolution"] += drawn.behind_convolution
    print(dtype, dict(outcomes))
    assert outcomes["one kernel"] >= 25


def test_what_lies_between_is_read_elsewhere() -> None:
    """x * f(x) where f(x) is a result too: two kernels, as f(x) is made anyway."""
    n = Network(1)
    x = n.input(EVERY, 0.05, 3)
    inner = n.unary("LOGISTIC", x, 1 / 256, -128)
    product = n.binary("MUL", x, inner, 0.05, 3)
    assert kernels(compile_tflite(n.model(product).to_bytes())) == 1
    assert kernels(compile_tflite(n.model(product, inner).to_bytes())) == 2


def test_a_silu_costs_its_convolution_alone() -> None:
    """With the pass a convolution and its SiLU are one kernel, without it three, and both compute the same."""
    n = Network(2)
    x = n.conv(n.input((1, 8, 8, 4), 0.05, 3), 16)
    data = n.model(n.binary("MUL", x, n.unary("LOGISTIC", x, 1 / 256, -128), 0.05, 3)).to_bytes()
    target = Target("ethos-u55-128")
    whole = compile_tflite(data, target)
    without = compile_tflite(data, target, passes=pipeline(target, frozenset({"npu-schedule-tabulate"})))
    assert (kernels(whole), kernels(without)) == (1, 3)
    values = np.random.default_rng(0).integers(-128, 128, (1, 8, 8, 4), np.int8)
    first, second = (Session(load(one.data)).run({0: values}).outputs for one in (whole, without))
    (a,), (b,) = first.values(), second.values()
    assert np.array_equal(a, b)
