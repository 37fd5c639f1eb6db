"""Models that the TensorFlow converter does not make: odd quantisation, odd graphs, networks of genuine uint8."""

from __future__ import annotations

from collections.abc import Iterator

from entry import Entry
from network import Network


def models() -> Iterator[Entry]:
    """All of them."""
    yield uint8_net()


def uint8_net() -> Entry:
    """As the quantised networks of 2018: uint8 everywhere, asymmetric weights, one scale a tensor."""
    n = Network(1, "uint8")
    x = n.input((1, 16, 16, 3), 1 / 128, 128)
    y = n.conv(x, 8, stride=(2, 2), activation="RELU6")
    for depth, stride in ((16, 1), (24, 2), (24, 1)):
        z = n.depthwise(y, stride=(stride, stride), activation="RELU6")
        z = n.conv(z, depth, (1, 1), activation="RELU6")
        y = n.binary("ADD", y, z) if z.shape == y.shape else z
    y = n.pool("AVERAGE_POOL_2D", y, (4, 4), (4, 4))
    y = n.conv(y, 10, (1, 1))
    y = n.reshape(y, (1, 10))
    y = n.unary("SOFTMAX", y, 1 / 256, 0, beta=8 / 256 / y.scales()[0])
    return Entry("uint8_net", n.model(y).to_bytes(), "a uint8 inverted-residual network with asymmetric weights")
