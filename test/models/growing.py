"""
Networks of any number of operators, one kind of graph each: what must not make compile time grow faster than they do.

`KINDS` maps a name to a function from a number of operators to a network with about as many. All tensors are small and
quantised alike, so that the operators alone make the size.
"""

from __future__ import annotations

from collections.abc import Callable

from network import Network
from operators import strided_slice
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
    axis = n.ints("axis", [1])
    for _ in range(count // 2):
        x = _conv(n, x)
        x = n.add_op("REVERSE_V2", [x, axis], [n.like(x, "reverse", x.shape)])
    return n.model(x)


def branches(count: int) -> Model:
    """A CPU operator beside each convolution, whose results are added: regions that hand over much."""
    n = Network(0)
    x = _input(n)
    axis = n.ints("axis", [1])
    for _ in range(count // 3):
        side = n.add_op("REVERSE_V2", [x, axis], [n.like(x, "reverse", x.shape)])
        x = _add(n, side, _conv(n, x))
    return n.model(x)


def lstm(count: int) -> Model:
    """An LSTM as Keras unrolls it: for each time step the gates, the state and the output, operator by operator."""
    n = Network(0)
    steps = max(1, count // 15)
    x = _input(n, (1, steps, 8))
    hidden = n.constant((1, STATE), 1 / 128, 0)
    cell = n.constant((1, STATE), SCALE, 0)
    weights: list[tuple[Tensor | None, Tensor | None]] = []
    for step in range(steps):
        now = strided_slice(n, x, [0, step, 0], [1, step + 1, 8], [1, 1, 1], shrink_axis_mask=2)
        sums = []
        for number, operand in enumerate((now, hidden)):
            if step:
                gate = n.tensor("dense", (1, 4 * STATE), SCALE, 0)
                n.add_op("FULLY_CONNECTED", [operand, *weights[number]], [gate])
            else:  # the same weights in each step
                gate = n.fully_connected(operand, 4 * STATE)
                gate.scale, gate.zero = SCALE, 0
                weights.append((n.ops[-1].inputs[1], n.ops[-1].inputs[2]))
            sums.append(gate)
        gates = n.split(_add(n, *sums), 4, 1)
        taken, kept, shown = (n.unary("LOGISTIC", gates[index], 1 / 256, -128) for index in (0, 1, 3))
        new = n.unary("TANH", gates[2], 1 / 128, 0)
        kept = n.binary("MUL", kept, cell, SCALE, 0)
        taken = n.binary("MUL", taken, new, 1 / 128, 0)
        cell = n.binary("ADD", kept, taken, SCALE, 0)
        hidden = n.binary("MUL", shown, n.unary("TANH", cell, 1 / 128, 0), 1 / 128, 0)
    return n.model(hidden)


KINDS: dict[str, Callable[[int], Model]] = {
    build.__name__: build
    for build in (
        convolutions, residual, additions, fan, elementwise, concat, split, slices, reshapes, alternation, branches,
        lstm,
    )
}  # fmt: skip
