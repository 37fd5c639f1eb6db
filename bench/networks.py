"""
The networks that schedules are measured on: the files of a folder, and some of our own.

Our own are of kinds that the folder lacks. They are made when asked for, with random weights from a fixed seed:
detectors with SiLU and a head of distributions (as YOLOv8, but without TRANSPOSE) in two sizes, a larger network for
poses of the same blocks, a face detector of depthwise blocks with PRELU written out, a network of fire modules, one
that shuffles channels, a detector on maps of six sizes (as SSD), and one that segments (as U-Net).

    python bench/networks.py DIR        writes them as files
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "models"
sys.path.insert(0, str(ROOT / "test" / "models"))

import network as models  # noqa: E402
import operator_models  # noqa: E402
from tiny_writer import Tensor  # noqa: E402

SCALE, ZERO = 0.05, -8
"""Of every feature map that is joined with others."""


@dataclass(frozen=True)
class Network:
    """A model by name: a file, or one of `OWN`."""

    name: str
    path: Path | None = None

    @property
    def group(self) -> str:
        """Which geometric mean it is part of."""
        return "own" if self.path is None else "shared"

    def read(self) -> bytes:
        """The bytes of the model."""
        return OWN[self.name]() if self.path is None else self.path.read_bytes()


def networks(folder: Path) -> list[Network]:
    """The .tflite files that lie in a folder itself, in the order of their size, and the own networks."""
    files = sorted(folder.glob("*.tflite"), key=lambda path: (path.stat().st_size, path.name))
    return [*(Network(path.stem, path) for path in files), *(Network(name) for name in OWN)]


class Builder(models.Network):
    """Blocks of networks; feature maps that are joined have `SCALE` and `ZERO`."""

    def sum_of_products(
        self, x: Tensor, depth: int, kernel: int = 3, stride: int = 1, activation: str = "NONE"
    ) -> Tensor:
        """A convolution whose weights are scaled so that its result fills `SCALE` and `ZERO`."""
        return self._rescaled(self.conv(x, depth, (kernel, kernel), (stride, stride), activation=activation))

    def each_channel(self, x: Tensor, kernel: int = 3, stride: int = 1) -> Tensor:
        """The same of a depthwise convolution."""
        return self._rescaled(self.depthwise(x, (kernel, kernel), (stride, stride)))

    def _rescaled(self, y: Tensor) -> Tensor:
        factor = SCALE / y.scales()[0]
        for operand in self.ops[-1].inputs[1:]:
            assert operand is not None
            scales = [float(np.float32(scale * factor)) for scale in operand.scales()]
            operand.scale = scales if len(scales) > 1 else scales[0]
        y.scale, y.zero = SCALE, ZERO
        return y

    def silu(self, x: Tensor) -> Tensor:
        """x times its logistic function."""
        return self.binary("MUL", x, self.unary("LOGISTIC", x, 1 / 256, -128), SCALE, ZERO)

    def conv_silu(self, x: Tensor, depth: int, kernel: int = 3, stride: int = 1) -> Tensor:
        return self.silu(self.sum_of_products(x, depth, kernel, stride))

    def prelu(self, x: Tensor) -> Tensor:
        """What is negative times a factor of its channel, as converters write it without PRELU."""
        zeros = Tensor(self.name("zeros"), (1, 1, 1, 1), "int8", SCALE, ZERO, data=np.full((1, 1, 1, 1), ZERO, np.int8))
        positive = self.unary("RELU", x, SCALE, ZERO)
        negative = self.extremum("MINIMUM", x, zeros)
        factors = self.constant((1, 1, 1, x.shape[-1]), 1 / 256, -20)
        return self.binary("ADD", positive, self.binary("MUL", negative, factors, SCALE / 4, 90), SCALE, ZERO)

    def mixed(self, x: Tensor, groups: int) -> Tensor:
        """The first channel of each group, then the second of each, and so on."""
        _, height, width, depth = x.shape
        rows = self.reshape(x, (height * width, groups, depth // groups))
        y = self.like(x, "mixed", (height * width, depth // groups, groups))
        self.add_op("TRANSPOSE", [rows, self.ints("axes", [0, 2, 1])], [y])
        return self.reshape(y, x.shape)

    def stage(self, x: Tensor, depth: int, count: int, shortcut: bool = True) -> Tensor:
        """Half of the channels through `count` pairs of convolutions; all intermediate results joined and mixed."""
        parts = self.split(self.conv_silu(x, depth, 1), 2, 3)
        for _ in range(count):
            y = self.conv_silu(self.conv_silu(parts[-1], depth // 2), depth // 2)
            parts.append(self.binary("ADD", parts[-1], y, SCALE, ZERO) if shortcut else y)
        return self.conv_silu(self.concat(parts, 3), depth, 1)

    def pyramid(self, x: Tensor, depth: int) -> Tensor:
        """Ever larger neighbourhoods side by side."""
        parts = [self.conv_silu(x, depth // 2, 1)]
        for _ in range(3):
            parts.append(self.pool("MAX_POOL_2D", parts[-1], (5, 5), (1, 1), "SAME"))
        return self.conv_silu(self.concat(parts, 3), depth, 1)

    def upscaled(self, x: Tensor) -> Tensor:
        return operator_models.resize(self, x, 2 * x.shape[1], 2 * x.shape[2])

    def backbone(self, size: int, width: int, count: int) -> list[Tensor]:
        """Feature maps at an eighth, a sixteenth and a thirty-second of an image's size, made in both directions."""
        x = self.conv_silu(self.input((1, size, size, 3), 1 / 255, -128), width, 3, 2)
        x = self.stage(self.conv_silu(x, 2 * width, 3, 2), 2 * width, count)
        fine = self.stage(self.conv_silu(x, 4 * width, 3, 2), 4 * width, 2 * count)
        middle = self.stage(self.conv_silu(fine, 8 * width, 3, 2), 8 * width, 2 * count)
        coarse = self.stage(self.conv_silu(middle, 16 * width, 3, 2), 16 * width, count)
        coarse = self.pyramid(coarse, 16 * width)
        middle = self.stage(self.concat([self.upscaled(coarse), middle], 3), 8 * width, count, False)
        fine = self.stage(self.concat([self.upscaled(middle), fine], 3), 4 * width, count, False)
        down = self.concat([self.conv_silu(fine, 4 * width, 3, 2), middle], 3)
        middle = self.stage(down, 8 * width, count, False)
        down = self.concat([self.conv_silu(middle, 8 * width, 3, 2), coarse], 3)
        return [fine, middle, self.stage(down, 16 * width, count, False)]

    def branch(self, maps: Sequence[Tensor], depth: int, outputs: int) -> Tensor:
        """Two convolutions and a mixture on each map, and the values of all cells as rows."""
        rows: list[Tensor] = []
        for x in maps:
            y = self.sum_of_products(self.conv_silu(self.conv_silu(x, depth), depth), outputs, 1)
            rows.append(self.reshape(y, (1, y.shape[1] * y.shape[2], outputs)))
        return self.concat(rows, 1)

    def distances(self, rows: Tensor, bins: int) -> Tensor:
        """The expectation of each of four distributions a row."""
        _, count, depth = rows.shape
        shares = self.reshape(rows, (1, count, depth // bins, bins))
        shares = self.unary("SOFTMAX", shares, 1 / 256, -128, beta=1.0)
        name = self.name("weights")
        steps = np.round(np.arange(bins) * 127 / (bins - 1)).astype(np.int8).reshape(1, 1, 1, bins)
        weights = Tensor(name, (1, 1, 1, bins), "int8", (bins - 1) / 127, 0, data=steps)
        bias = Tensor(self.name("bias"), (1,), "int32", (bins - 1) / 127 / 256, 0, data=np.zeros(1, np.int32))
        y = self.tensor("expectation", (1, count, depth // bins, 1), bins / 256, -128)
        self.add_op("CONV_2D", [shares, weights, bias], [y], padding="VALID", activation="NONE", stride_h=1, stride_w=1)
        return self.reshape(y, (1, count, depth // bins))

    def boxes(self, distances: Tensor) -> Tensor:
        """Centre and size from the distances to four sides."""
        _, count, _ = distances.shape
        near, far = self.split(distances, 2, 2)
        cells = self.constant((1, count, 2), 1 / 8, -128)
        first = self.binary("SUB", cells, near, SCALE * 4, 0)
        last = self.binary("ADD", cells, far, SCALE * 4, 0)
        half = self.constant((1, 1, 1), 1 / 256, -128)
        centre = self.binary("MUL", self.binary("ADD", first, last, SCALE * 8, 0), half, SCALE * 4, 0)
        size = self.binary("SUB", last, first, SCALE * 4, 0)
        strides = self.constant((1, count, 1), 1 / 8, -128)
        return self.binary("MUL", self.concat([centre, size], 2), strides, 2.5, 0)


def detector(size: int, width: int, classes: int = 20) -> bytes:
    """Boxes and classes of an image of `size` squared, from `width` channels on."""
    n = Builder(size + width)
    maps = n.backbone(size, width, 1)
    boxes = n.boxes(n.distances(n.branch(maps, 4 * width, 64), 16))
    return n.model(boxes, n.unary("LOGISTIC", n.branch(maps, 4 * width, classes), 1 / 256, -128)).to_bytes()


def pose(size: int, width: int) -> bytes:
    """Boxes, one class and seventeen points of an image, twice as deep."""
    n = Builder(size + width)
    maps = n.backbone(size, width, 2)
    boxes = n.boxes(n.distances(n.branch(maps, 4 * width, 64), 16))
    person = n.unary("LOGISTIC", n.branch(maps, 4 * width, 1), 1 / 256, -128)
    return n.model(boxes, person, n.branch(maps, 4 * width, 51)).to_bytes()


def face(size: int) -> bytes:
    """Depthwise blocks, each with a sum around it and PRELU written out, and two scales of boxes and scores."""
    n = Builder(size)
    x = n.prelu(n.sum_of_products(n.input((1, size, size, 3), 1 / 128, 0), 24, 5, 2))
    maps: list[Tensor] = []
    for depth, blocks in ((24, 2), (32, 3), (48, 3), (96, 5), (96, 4)):
        for number in range(blocks):
            stride = 2 if number == 0 and depth > 24 else 1
            y = n.sum_of_products(n.each_channel(x, 3, stride), depth, 1)
            if stride == 2:
                x = n.pool("MAX_POOL_2D", x, (2, 2), (2, 2))
            if depth > x.shape[-1]:
                x = n.pad(x, ((0, 0), (0, 0), (0, 0), (0, depth - x.shape[-1])))
            x = n.prelu(n.binary("ADD", x, y, SCALE, ZERO))
        maps.append(x)
    results: list[Tensor] = []
    for values in (1, 16):
        rows: list[Tensor] = []
        for x, anchors in ((maps[-2], 2), (maps[-1], 6)):
            y = n.sum_of_products(x, anchors * values, 1)
            rows.append(n.reshape(y, (1, y.shape[1] * y.shape[2] * anchors, values)))
        results.append(n.concat(rows, 1))
    return n.model(*results).to_bytes()


def fire(size: int) -> bytes:
    """Modules that squeeze the channels and expand them in two ways side by side."""
    n = Builder(size)
    x = n.sum_of_products(n.input((1, size, size, 3), 1 / 128, 0), 64, 3, 2, "RELU")
    for module, (squeezed, expanded) in enumerate(((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (64, 256))):
        if module in (0, 2, 4):
            x = n.pool("MAX_POOL_2D", x, (3, 3), (2, 2), "SAME")
        y = n.sum_of_products(x, squeezed, 1, 1, "RELU")
        x = n.concat([n.sum_of_products(y, expanded, kernel, 1, "RELU") for kernel in (1, 3)], 3)
    x = n.sum_of_products(x, 100, 1, 1, "RELU")
    return n.model(operator_models.mean(n, x, [1, 2], False)).to_bytes()


def shuffle(size: int) -> bytes:
    """Blocks that leave half of the channels as they are and mix the channels of both halves."""
    n = Builder(size)
    x = n.sum_of_products(n.input((1, size, size, 3), 1 / 128, 0), 24, 3, 2, "RELU")
    x = n.pool("MAX_POOL_2D", x, (3, 3), (2, 2), "SAME")
    for depth, blocks in ((48, 4), (96, 8), (192, 4)):
        for number in range(blocks):
            if number == 0:
                left = n.sum_of_products(n.each_channel(x, 3, 2), depth // 2, 1, 1, "RELU")
                right, stride = x, 2
            else:
                left, right = n.split(x, 2, 3)
                stride = 1
            y = n.each_channel(n.sum_of_products(right, depth // 2, 1, 1, "RELU"), 3, stride)
            y = n.sum_of_products(y, depth // 2, 1, 1, "RELU")
            x = n.mixed(n.concat([left, y], 3), 2)
    x = n.sum_of_products(x, 256, 1, 1, "RELU")
    return n.model(n.fully_connected(operator_models.mean(n, x, [1, 2], False), 100)).to_bytes()


def ssd(size: int) -> bytes:
    """Depthwise blocks with shortcuts, and two convolutions on maps of six sizes: boxes and classes of all cells."""
    n = Builder(size)
    x = n.sum_of_products(n.input((1, size, size, 3), 1 / 128, 0), 16, 3, 2, "RELU6")
    maps: list[Tensor] = []
    for depth, blocks in ((24, 2), (32, 3), (64, 3), (96, 2)):
        for number in range(blocks):
            y = n.sum_of_products(x, 6 * x.shape[-1], 1, 1, "RELU6")
            y = n.sum_of_products(n.each_channel(y, 3, 1 if number else 2), depth, 1)
            x = n.binary("ADD", x, y, SCALE, ZERO) if number else y
        maps.append(x)
    maps = maps[2:]
    for depth in (128, 96, 96, 64):
        y = n.sum_of_products(maps[-1], depth // 2, 1, 1, "RELU6")
        maps.append(n.sum_of_products(n.each_channel(y, 3, 2), depth, 1, 1, "RELU6"))
    results: list[Tensor] = []
    for values in (4, 21):
        rows: list[Tensor] = []
        for number, x in enumerate(maps):
            anchors = 6 if number else 3
            y = n.sum_of_products(n.each_channel(x), anchors * values, 1)
            rows.append(n.reshape(y, (1, y.shape[1] * y.shape[2] * anchors, values)))
        results.append(n.concat(rows, 1))
    return n.model(results[0], n.unary("LOGISTIC", results[1], 1 / 256, -128)).to_bytes()


def unet(size: int, width: int) -> bytes:
    """Maps made smaller four times and larger again, each joined with the one of its size."""
    n = Builder(size)
    x = n.input((1, size, size, 3), 1 / 128, 0)
    joined: list[Tensor] = []
    for level in range(5):
        if level:
            joined.append(x)
            x = n.pool("MAX_POOL_2D", x, (2, 2), (2, 2))
        for _ in range(2):
            x = n.sum_of_products(x, width << level, 3, 1, "RELU")
    for level in reversed(range(4)):
        x = n.sum_of_products(n.upscaled(x), width << level, 3, 1, "RELU")
        x = n.concat([joined[level], x], 3)
        for _ in range(2):
            x = n.sum_of_products(x, width << level, 3, 1, "RELU")
    return n.model(n.sum_of_products(x, 2, 1)).to_bytes()


OWN: dict[str, Callable[[], bytes]] = {
    "own_silu_detector_128": lambda: detector(128, 8),
    "own_silu_detector_256": lambda: detector(256, 16),
    "own_silu_pose_224": lambda: pose(224, 24),
    "own_face_128": lambda: face(128),
    "own_fire_224": lambda: fire(224),
    "own_shuffle_160": lambda: shuffle(160),
    "own_ssd_192": lambda: ssd(192),
    "own_unet_128": lambda: unet(128, 8),
}


def main() -> None:
    """Write the own networks."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, build in OWN.items():
        (folder / f"{name}.tflite").write_bytes(build())


if __name__ == "__main__":
    main()
