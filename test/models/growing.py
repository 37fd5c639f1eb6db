"""
Networks of any number of operators, one kind of graph each: what must not make compile time grow faster than they do.

`KINDS` maps a name to a function from a number of operators to a network with about as many. All tensors are small and
quantised alike, so that the operators alone make the size.
"""

from __future__ import annotations

from collections.abc import Callable

from network import Network
from operator_models import strided_slice
from tiny_writer import Model, Tensor

MAP = (1, 8, 8, 8)
SCALE = 0.05
STATE = 16
"""Units of the LSTM."""


def _input(n: Network, shape: tuple[int, ...] = MAP) -> Tensor:
    return n.input(shape, SCALE, 3)


def _add(n: Network, a: Tensor, b: Tensor) -> Tensor:
    return n.binary("ADD", a, b, SCALE, 3)


def _conv(n: Network, x: Tensor, kernel: int = 3) -> Tensor:
    """A convolution whose result is quantised as its input, the weights' scale chosen to suit."""
    y = n.conv(x, x.shape[-1], (kernel, kernel), per_channel=False)
    (scale,) = y.scales()
    for operand in n.ops[-1].inputs[1:]:
        assert operand is not None
        operand.scale = operand.scales()[0] * SCALE / scale
    y.scale, y.zero = SCALE, 3
    return y


def convolutions(count: int) -> Model:
    """A chain of convolutions."""
    n = Network(0)
    x = _input(n)
    for _ in range(count):
        x = _conv(n, x)
    return n.model(x)


def residual(count: int) -> Model:
    """A convolution and an addition that goes around it, again and again."""
    n = Network(0)
    x = _input(n)
    for _ in range(count // 2):
        x = _add(n, x, _conv(n, x))
    return n.model(x)


def additions(count: int) -> Model:
    """Additions of one input to what was added before."""
    n = Network(0)
    first = x = _input(n)
    for _ in range(count):
        x = _add(n, x, first)
    return n.model(x)


def fan(count: int) -> Model:
    """Additions of constants, all to one input, each the result of the network."""
    n = Network(0)
    x = _input(n)
    other = n.constant((1, 1, 1, 8), SCALE, 0)
    return n.model(*(_add(n, x, other) for _ in range(count)))


def elementwise(count: int) -> Model:
    """A chain of operators with one feature map: magnitudes and tables in turn."""
    n = Network(0)
    x = _input(n)
    for index in range(count):
        x = n.unary(("ABS", "LEAKY_RELU")[index % 2], x, SCALE, 3, **({"alpha": 0.3} if index % 2 else {}))
    return n.model(x)


def concat(count: int) -> Model:
    """As many convolutions of one input, side by side in one result."""
    n = Network(0)
    x = _input(n)
    return n.model(n.concat([_conv(n, x, 1) for _ in range(count)], 3))


def split(count: int) -> Model:
    """One input in many parts, each changed, and all together again."""
    n = Network(0)
    parts = n.split(_input(n, (1, 8, 8, 4 * max(1, count // 2))), max(1, count // 2), 3)
    changed = [n.unary("ABS", part, SCALE, 3) for part in parts]
    squares = [n.binary("MUL", part, part, SCALE, 3) for part in changed]
    return n.model(n.concat(squares, 3))


def slices(count: int) -> Model:
    """Parts of one feature map, cut out one by one, and their sum."""
    n = Network(0)
    x = _input(n, (1, 8, count // 2 + 8, 8))
    first = _conv(n, x)
    total = strided_slice(n, first, [0, 0, 0, 0], [1, 8, 8, 8], [1, 1, 1, 1])
    for index in range(1, count // 2):
        part = strided_slice(n, first, [0, 0, index, 0], [1, 8, index + 8, 8], [1, 1, 1, 1])
        total = _add(n, total, part)
    return n.model(total)


def reshapes(count: int) -> Model:
    """Convolutions and reshapes in turn."""
    n = Network(0)
    x = _input(n)
    for index in range(count // 2):
        x = n.reshape(_conv(n, x), ((1, 4, 16, 8), MAP)[index % 2])
    return n.model(x)


def alternation(count: int) -> Model:
    """Convolutions, each followed by an operator that stays on the CPU."""
    n = Network(0)
    x = _input(n)
    for _ in range(count // 2):
        x = n.on_the_cpu(_conv(n, x))
    return n.model(x)


def branches(count: int) -> Model:
    """A CPU operator beside each convolution, whose results are added: regions that hand over much."""
    n = Network(0)
    x = _input(n)
    for _ in range(count // 3):
        x = _add(n, n.on_the_cpu(x), _conv(n, x))
    return n.model(x)


def lstm(count: int) -> Model:
    """
    An LSTM as Keras unrolls it: for each time step the gates, the state and the output, operator by operator, with the
    same weights in each; what the first step would make of a state of zeros is folded away.
    """
    n = Network(0)
    steps = max(1, count // 15)
    x = _input(n, (1, steps, 8))
    weights: dict[str, tuple[Tensor | None, Tensor | None]] = {}

    def dense(name: str, operand: Tensor) -> Tensor:
        if name in weights:
            gate = n.tensor("dense", (1, 4 * STATE), SCALE, 0)
            return n.add_op("FULLY_CONNECTED", [operand, *weights[name]], [gate])
        gate = n.fully_connected(operand, 4 * STATE)
        gate.scale, gate.zero = SCALE, 0
        _, *weights[name] = n.ops[-1].inputs  # type: ignore[assignment]
        return gate

    hidden: Tensor | None = None
    cell: Tensor | None = None
    for step in range(steps):
        now = strided_slice(n, x, [0, step, 0], [1, step + 1, 8], [1, 1, 1], shrink_axis_mask=2)
        total = dense("input", now)
        if hidden is not None:
            total = n.binary("ADD", total, dense("state", hidden), SCALE, 0)
        gates = n.split(total, 4, 1)
        taken, shown = (n.unary("LOGISTIC", gates[index], 1 / 256, -128) for index in (0, 3))
        state = n.binary("MUL", taken, n.unary("TANH", gates[2], 1 / 128, 0), SCALE, 0)
        if cell is not None:
            kept = n.binary("MUL", n.unary("LOGISTIC", gates[1], 1 / 256, -128), cell, SCALE, 0)
            state = n.binary("ADD", kept, state, SCALE, 0)
        cell = state
        hidden = n.binary("MUL", shown, n.unary("TANH", cell, 1 / 128, 0), 1 / 128, 0)
    assert hidden is not None
    return n.model(hidden)


KINDS: dict[str, Callable[[int], Model]] = {
    build.__name__: build
    for build in (
        convolutions, residual, additions, fan, elementwise, concat, split, slices, reshapes, alternation, branches,
        lstm,
    )
}  # fmt: skip
