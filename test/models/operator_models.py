"""Single-operator models: every operator that must be on the NPU, in the variants that change how it is lowered."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from entry import Entry
from network import Network
from tiny_writer import Tensor

Build = Callable[[Network], Tensor | list[Tensor]]
MAPS = (1, 5, 6, 9)
DEEP = (1, 3, 5, 19)
SMALL = (1, 3, 3, 9)


def models() -> Iterator[Entry]:
    """All of them; the seed of each is its position in the list of its type."""
    for dtype, table in (("int8", INT8), ("uint8", UINT8), ("int16", INT16)):
        for seed, (name, (build, about)) in enumerate(table.items()):
            network = Network(seed, dtype)
            outputs = build(network)
            model = network.model(*(outputs if isinstance(outputs, list) else [outputs]))
            suffix = "" if dtype == "int8" else f"_{dtype}"
            yield Entry(f"op_{name}{suffix}", model.to_bytes(), f"{network.ops[-1].name} {dtype}: {about}")


def strided_slice(n: Network, x: Tensor, begin: list[int], end: list[int], strides: list[int], **masks: int) -> Tensor:
    """STRIDED_SLICE; `end` holds the plain ends, masks only say which of them the file leaves open."""
    shape = [len(range(*s)) for s in zip(begin, end, strides, strict=True)]
    if shrink := masks.get("shrink_axis_mask", 0):
        shape = [s for axis, s in enumerate(shape) if not shrink >> axis & 1]
    inputs = [x, n.ints("begin", begin), n.ints("end", end), n.ints("strides", strides)]
    return n.add_op("STRIDED_SLICE", inputs, [n.like(x, "strided_slice", shape)], **masks)


def slice_(n: Network, x: Tensor, begin: list[int], size: list[int]) -> Tensor:
    """SLICE; a size of -1 means up to the end."""
    shape = [x.shape[i] - b if s < 0 else s for i, (b, s) in enumerate(zip(begin, size, strict=True))]
    return n.add_op("SLICE", [x, n.ints("begin", begin), n.ints("size", size)], [n.like(x, "slice", shape)])


def mean(n: Network, x: Tensor, axes: list[int], keep: bool, same_scale: bool = False) -> Tensor:
    """MEAN over `axes`."""
    shape = [1 if i in axes else s for i, s in enumerate(x.shape)]
    if not keep:
        shape = [s for i, s in enumerate(x.shape) if i not in axes]
    scale, zero = x.scales()[0], x.zeros()[0]
    y = n.like(x, "mean", shape) if same_scale else n.tensor("mean", shape, n.scale(scale * 0.9), zero)
    return n.add_op("MEAN", [x, n.ints("axes", axes)], [y], keep_dims=keep)


def resize(n: Network, x: Tensor, height: int, width: int, **options: bool) -> Tensor:
    """RESIZE_NEAREST_NEIGHBOR."""
    shape = (x.shape[0], height, width, x.shape[3])
    return n.add_op(
        "RESIZE_NEAREST_NEIGHBOR", [x, n.ints("size", [height, width])], [n.like(x, "resize", shape)], **options
    )


def softmax(n: Network, shape: tuple[int, ...], beta: float = 1.0) -> Tensor:
    """SOFTMAX with its fixed output scale."""
    scale, zero = {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)}[n.dtype]
    span = 65536 if n.dtype == "int16" else 256
    return n.unary("SOFTMAX", n.input(shape, scale=n.scale(8 / span)), scale, zero, beta=beta)


def logistic(n: Network) -> Tensor:
    """LOGISTIC with its fixed output scale."""
    scale, zero = {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)}[n.dtype]
    return n.unary("LOGISTIC", _wide(n), scale, zero)


def tanh(n: Network) -> Tensor:
    """TANH with its fixed output scale."""
    scale, zero = {"int8": (1 / 128, 0), "uint8": (1 / 128, 128), "int16": (1 / 32768, 0)}[n.dtype]
    return n.unary("TANH", _wide(n), scale, zero)


def _wide(n: Network) -> Tensor:
    """An input of -8..8 or so, in a size that takes every 8-bit value."""
    return n.input(DEEP, scale=n.scale(16 / (65536 if n.dtype == "int16" else 256)))


def _same(n: Network, op: str, *shapes: tuple[int, ...]) -> Tensor:
    a = n.input(shapes[0])
    return n.extremum(op, a, n.input(shapes[-1], scale=a.scales()[0], zero=a.zeros()[0]))


def _two(n: Network, op: str, first: tuple[int, ...] = DEEP, second: tuple[int, ...] = DEEP, **kw: object) -> Tensor:
    return n.binary(op, n.input(first), n.input(second, scale=n.scale(0.02)), **kw)  # type: ignore[arg-type]


def _same_scales(n: Network, op: str, **kw: object) -> Tensor:
    a = n.input(MAPS, scale=0.0371)
    return n.binary(op, a, n.input(MAPS, scale=0.0371), 0.0742, **kw)  # type: ignore[arg-type]


def _powers_of_two(
    n: Network, op: str, a: int, b: int, shape: tuple[int, ...] = SMALL, nearly: float = 1.0, **options: bool
) -> Tensor:
    x, y = n.input(SMALL, 2.0**a), n.input(shape, 2.0**b * nearly)
    return n.binary(op, x, y, 2.0 ** max(a, b), activation="RELU6", **options)


def _concat(n: Network, axis: int, *sizes: int) -> Tensor:
    shapes = [[*MAPS[:axis], s, *MAPS[axis + 1 :]] for s in sizes]
    first = n.input(shapes[0])
    rest = [n.input(s, scale=first.scales()[0], zero=first.zeros()[0]) for s in shapes[1:]]
    return n.concat([first, *rest], axis)


CONVOLUTIONS: dict[str, tuple[Build, str]] = {
    "conv_3x3": (lambda n: n.conv(n.input((1, 9, 7, 5)), 12), "3x3 SAME, odd sizes"),
    "conv_3x3_valid": (lambda n: n.conv(n.input((1, 9, 7, 5)), 12, padding="VALID"), "3x3 VALID"),
    "conv_stride2": (
        lambda n: n.conv(n.input((1, 10, 9, 8)), 16, stride=(2, 2)),
        "stride 2 SAME, padding differs by axis",
    ),
    "conv_stride2_valid": (
        lambda n: n.conv(n.input((1, 10, 9, 8)), 16, stride=(2, 2), padding="VALID"),
        "stride 2 VALID",
    ),
    "conv_stride3": (lambda n: n.conv(n.input((1, 11, 13, 4)), 8, stride=(3, 3)), "stride 3"),
    "conv_stride2x1": (
        lambda n: n.conv(n.input((1, 12, 7, 4)), 8, (3, 5), (2, 1)),
        "strides and kernel differ by axis",
    ),
    "conv_dilation2": (lambda n: n.conv(n.input((1, 12, 12, 8)), 8, dilation=(2, 2)), "dilation 2"),
    "conv_1x1": (lambda n: n.conv(n.input((1, 6, 7, 24)), 33, (1, 1)), "1x1, depth no multiple of a brick"),
    "conv_1x1_stride2": (lambda n: n.conv(n.input((1, 8, 8, 16)), 16, (1, 1), (2, 2)), "1x1 with stride 2"),
    "conv_11x13": (lambda n: n.conv(n.input((1, 14, 15, 2)), 4, (11, 13)), "a kernel larger than a sub-kernel"),
    "conv_1x1_spatial": (lambda n: n.conv(n.input((1, 1, 1, 40)), 20, (1, 1)), "one by one pixel"),
    "conv_relu": (lambda n: n.conv(n.input(MAPS), 8, activation="RELU"), "fused RELU"),
    "conv_relu6": (lambda n: n.conv(n.input(MAPS), 8, activation="RELU6"), "fused RELU6"),
    "conv_relu_n1_to_1": (lambda n: n.conv(n.input(MAPS), 8, activation="RELU_N1_TO_1"), "fused RELU_N1_TO_1"),
    "conv_per_tensor": (lambda n: n.conv(n.input(MAPS), 8, per_channel=False), "one scale for all weights"),
    "depthwise": (lambda n: n.depthwise(n.input((1, 9, 7, 12))), "3x3 stride 1"),
    "depthwise_stride2": (lambda n: n.depthwise(n.input((1, 10, 9, 16)), stride=(2, 2)), "3x3 stride 2"),
    "depthwise_valid": (lambda n: n.depthwise(n.input((1, 10, 9, 20)), (5, 3), padding="VALID"), "5x3 VALID"),
    "depthwise_multiplier": (
        lambda n: n.depthwise(n.input((1, 9, 8, 1)), (4, 3), (2, 2), multiplier=8),
        "one input channel, multiplier 8",
    ),
    "depthwise_dilation2": (lambda n: n.depthwise(n.input((1, 12, 11, 8)), dilation=(2, 2)), "dilation 2"),
    "depthwise_relu6": (lambda n: n.depthwise(n.input(MAPS), activation="RELU6"), "fused RELU6"),
    "fully_connected": (lambda n: n.fully_connected(n.input((1, 40)), 24), "batch 1"),
    "fully_connected_batch4": (lambda n: n.fully_connected(n.input((4, 24)), 10), "batch 4"),
    "fully_connected_relu": (lambda n: n.fully_connected(n.input((1, 17)), 9, "RELU"), "odd sizes, fused RELU"),
    "fully_connected_no_bias": (lambda n: n.fully_connected(n.input((1, 32)), 16, bias=False), "bias left out"),
}

POOLS: dict[str, tuple[Build, str]] = {
    "average_pool": (lambda n: n.pool("AVERAGE_POOL_2D", n.input(MAPS)), "2x2 VALID"),
    "average_pool_same": (
        lambda n: n.pool("AVERAGE_POOL_2D", n.input((1, 7, 9, 5)), (3, 3), padding="SAME"),
        "3x3 SAME: fewer elements at the edges",
    ),
    "average_pool_stride1": (
        lambda n: n.pool("AVERAGE_POOL_2D", n.input((1, 7, 9, 8)), (3, 2), (1, 1), "SAME"),
        "3x2 SAME, stride 1",
    ),
    "average_pool_global": (
        lambda n: n.pool("AVERAGE_POOL_2D", n.input((1, 7, 6, 12)), (7, 6), (7, 6)),
        "the whole map",
    ),
    "average_pool_relu6": (lambda n: n.pool("AVERAGE_POOL_2D", n.input(MAPS, 0.06), activation="RELU6"), "fused RELU6"),
    "max_pool": (lambda n: n.pool("MAX_POOL_2D", n.input(MAPS)), "2x2 VALID"),
    "max_pool_same": (lambda n: n.pool("MAX_POOL_2D", n.input((1, 7, 9, 5)), (3, 3), padding="SAME"), "3x3 SAME"),
    "max_pool_relu": (
        lambda n: n.pool("MAX_POOL_2D", n.input(MAPS), (3, 3), (1, 1), activation="RELU"),
        "3x3 stride 1, fused RELU",
    ),
}

ELEMENTWISE: dict[str, tuple[Build, str]] = {
    "add": (lambda n: _two(n, "ADD"), "different scales"),
    "add_same_scales": (lambda n: _same_scales(n, "ADD"), "equal scales"),
    "add_relu": (lambda n: _two(n, "ADD", activation="RELU"), "fused RELU"),
    "add_broadcast_channels": (lambda n: _two(n, "ADD", MAPS, (1, 1, 1, 9)), "second operand broadcast over H and W"),
    "add_broadcast_first": (lambda n: _two(n, "ADD", (1, 1, 6, 1), MAPS), "first operand broadcast over H and C"),
    "add_constant": (lambda n: n.binary("ADD", n.input(MAPS), n.constant(MAPS, 0.013)), "a constant operand"),
    "add_scalar": (lambda n: n.binary("ADD", n.input(MAPS), n.constant((), 0.013)), "a scalar constant"),
    "sub": (lambda n: _two(n, "SUB"), "different scales"),
    "sub_same_scales": (lambda n: _same_scales(n, "SUB"), "equal scales"),
    "sub_broadcast_first": (lambda n: _two(n, "SUB", (1, 5, 1, 9), MAPS), "first operand broadcast over W"),
    "sub_scalar_first": (lambda n: n.binary("SUB", n.constant((), 0.03), n.input(MAPS)), "constant minus tensor"),
    "mul": (lambda n: _two(n, "MUL"), "different scales"),
    "mul_broadcast": (lambda n: _two(n, "MUL", MAPS, (1, 1, 1, 9)), "broadcast over H and W"),
    "mul_scalar": (
        lambda n: n.binary("MUL", n.input(MAPS), n.constant((1,), 0.013), activation="RELU6"),
        "a constant of one element, fused RELU6",
    ),
    "leaky_relu": (
        lambda n: n.unary("LEAKY_RELU", x := n.input(MAPS), n.scale(x.scales()[0]), alpha=0.1),
        "slope 0.1, rescaled",
    ),
    "leaky_relu_steep": (lambda n: n.unary("LEAKY_RELU", n.input(MAPS), n.scale(0.05), alpha=1.7), "slope above 1"),
    "leaky_relu_negative": (
        lambda n: n.unary("LEAKY_RELU", n.input(MAPS), n.scale(0.03), alpha=-0.3),
        "negative slope",
    ),
    "abs": (lambda n: n.unary("ABS", n.input(MAPS)), "quantised as its input"),
    "abs_rescale": (lambda n: n.unary("ABS", n.input(MAPS), n.scale(0.015), -100), "another scale"),
    "quantize": (
        lambda n: n.quantize(x := n.input(MAPS), n.scale(1.6 * x.scales()[0]), 0 if n.dtype == "int16" else 7),
        "another scale and zero point",
    ),
    "quantize_finer": (lambda n: n.quantize(n.input(MAPS), n.scale(0.004), -20), "a finer scale: saturates"),
}
CLAMPS: dict[str, tuple[Build, str]] = {
    "relu": (lambda n: n.unary("RELU", n.input(MAPS)), "quantised as its input"),
    "relu_rescale": (
        lambda n: n.unary("RELU", n.input(MAPS), n.scale(0.015), -128 if n.dtype == "int8" else 0),
        "another scale",
    ),
    "relu6": (
        lambda n: n.unary("RELU6", n.input(MAPS, 0.06), 6 / 255, -128 if n.dtype == "int8" else 0),
        "rescaled to 0..6",
    ),
    "relu_n1_to_1": (lambda n: n.unary("RELU_N1_TO_1", n.input(MAPS)), "quantised as its input"),
    "hard_swish": (
        lambda n: n.unary("HARD_SWISH", _wide(n), n.scale(8 / 256), -110 if n.dtype == "int8" else 12),
        "-8..8",
    ),
    "hard_swish_narrow": (lambda n: n.unary("HARD_SWISH", n.input(MAPS), n.scale(0.01)), "-2.5..2.5, rescaled"),
}
TABLES: dict[str, tuple[Build, str]] = {
    "logistic": (logistic, "-8..8"),
    "tanh": (tanh, "-8..8"),
}
EXTREMA: dict[str, tuple[Build, str]] = {
    "minimum": (lambda n: _same(n, "MINIMUM", MAPS), "two tensors"),
    "maximum": (lambda n: _same(n, "MAXIMUM", MAPS), "two tensors"),
    "maximum_broadcast": (lambda n: _same(n, "MAXIMUM", MAPS, (1, 1, 1, 9)), "second operand broadcast over H and W"),
}
SOFTMAXES: dict[str, tuple[Build, str]] = {
    "softmax": (lambda n: softmax(n, (1, 10)), "ten classes"),
    "softmax_rows": (lambda n: softmax(n, (1, 4, 3, 17), 0.7), "many rows, beta 0.7"),
}

MOVES: dict[str, tuple[Build, str]] = {
    "concat_channels": (lambda n: _concat(n, 3, 5, 16, 2), "three inputs, odd depths"),
    "concat_height": (lambda n: _concat(n, 1, 2, 3), "axis 1"),
    "concat_width": (lambda n: _concat(n, 2, 4, 1, 2), "axis 2"),
    "split_channels": (lambda n: n.split(n.input((1, 4, 5, 24)), 3, 3), "three parts, depth 8"),
    "split_height": (lambda n: n.split(n.input((1, 6, 4, 5)), 2, 1), "axis 1"),
    "slice": (lambda n: slice_(n, n.input((1, 9, 10, 12)), [0, 2, 3, 4], [1, 5, -1, 7]), "all axes, a size of -1"),
    "strided_slice": (
        lambda n: strided_slice(n, n.input((1, 9, 10, 12)), [0, 1, 2, 3], [1, 8, 9, 12], [1, 1, 1, 1]),
        "stride 1",
    ),
    "strided_slice_stride2": (
        lambda n: strided_slice(n, n.input((1, 9, 10, 12)), [0, 1, 0, 0], [1, 9, 10, 12], [1, 2, 2, 1]),
        "stride 2 in H and W",
    ),
    "strided_slice_masks": (
        lambda n: strided_slice(
            n, n.input((1, 9, 10, 12)), [0, 0, 2, 0], [1, 9, 9, 12], [1, 1, 1, 1], begin_mask=11, end_mask=11
        ),
        "open begin and end",
    ),
    "strided_slice_shrink": (
        lambda n: strided_slice(
            n, n.input((1, 9, 10, 12)), [0, 4, 0, 0], [1, 5, 10, 12], [1, 1, 1, 1], shrink_axis_mask=2
        ),
        "drops an axis",
    ),
    "reshape": (lambda n: n.reshape(n.input((1, 4, 6, 10)), (1, 12, 2, 10)), "rank 4 to 4"),
    "reshape_flat": (lambda n: n.reshape(n.input((1, 4, 6, 5)), (1, 120)), "rank 4 to 2"),
    "squeeze": (
        lambda n: n.add_op(
            "SQUEEZE", [x := n.input((1, 1, 6, 10))], [n.like(x, "squeeze", (6, 10))], squeeze_dims=[0, 1]
        ),
        "axes 0 and 1",
    ),
    "expand_dims": (
        lambda n: n.add_op(
            "EXPAND_DIMS", [x := n.input((6, 10)), n.ints("axis", 0)], [n.like(x, "expand", (1, 6, 10))]
        ),
        "axis 0",
    ),
    "pad": (lambda n: n.pad(n.input((1, 6, 7, 9)), [(0, 0), (1, 2), (3, 0), (0, 0)]), "H and W, not symmetric"),
    "pad_channels": (lambda n: n.pad(n.input((1, 6, 5, 9)), [(0, 0), (0, 0), (0, 0), (3, 4)]), "C"),
    "mean": (lambda n: mean(n, n.input((1, 7, 6, 12)), [1, 2], False), "H and W"),
    "mean_keep": (lambda n: mean(n, n.input((1, 7, 6, 12)), [1, 2], True), "H and W, dimensions kept"),
    "mean_height": (lambda n: mean(n, n.input((1, 7, 6, 12)), [1], True), "H only"),
    "mean_width": (lambda n: mean(n, n.input((1, 7, 6, 12)), [2], False), "W only"),
    "mean_same_scale": (lambda n: mean(n, n.input((1, 4, 4, 8)), [1, 2], True, True), "quantised as its input"),
    "mean_large": (lambda n: mean(n, n.input((1, 20, 30, 4)), [1, 2], True), "more elements than a pool takes"),
}
RESIZES: dict[str, tuple[Build, str]] = {
    "resize_x2": (lambda n: resize(n, n.input((1, 5, 6, 9)), 10, 12), "x2"),
    "resize_x4": (lambda n: resize(n, n.input((1, 3, 4, 8)), 12, 16), "x4"),
    "resize_x2_align_corners": (
        lambda n: resize(n, n.input((1, 5, 6, 8)), 9, 11, align_corners=True),
        "(n-1)*2+1, corners aligned",
    ),
    "resize_x2_half_pixel": (
        lambda n: resize(n, n.input((1, 5, 6, 8)), 10, 12, half_pixel_centers=True),
        "x2, half-pixel centres",
    ),
    "resize_from_1x1": (lambda n: resize(n, n.input((1, 1, 1, 8)), 5, 3), "one pixel to many"),
}

INT8: dict[str, tuple[Build, str]] = {
    **CONVOLUTIONS,
    "fully_connected_per_channel": (lambda n: n.fully_connected(n.input((1, 32)), 16, per_channel=True), "per channel"),
    "transpose_conv": (lambda n: n.transpose_conv(n.input((1, 5, 6, 8)), 7), "3x3 stride 2 SAME"),
    "transpose_conv_valid": (
        lambda n: n.transpose_conv(n.input((1, 5, 6, 8)), 7, padding="VALID"),
        "3x3 stride 2 VALID",
    ),
    "transpose_conv_stride1": (
        lambda n: n.transpose_conv(n.input((1, 5, 6, 8)), 7, stride=(1, 1)),
        "3x3 stride 1 SAME",
    ),
    "transpose_conv_stride1_valid": (
        lambda n: n.transpose_conv(n.input((1, 5, 6, 4)), 7, (4, 2), (1, 1), "VALID"),
        "4x2 stride 1 VALID",
    ),
    "transpose_conv_2x2": (lambda n: n.transpose_conv(n.input((1, 4, 5, 8)), 8, (2, 2)), "kernel equals stride"),
    "transpose_conv_4x4": (lambda n: n.transpose_conv(n.input((1, 4, 5, 8)), 5, (4, 4)), "4x4 stride 2 SAME"),
    "transpose_conv_stride1x2": (
        lambda n: n.transpose_conv(n.input((1, 1, 9, 4)), 6, (1, 4), (1, 2)),
        "one row, stride 1x2",
    ),
    **POOLS,
    **ELEMENTWISE,
    **CLAMPS,
    **TABLES,
    **EXTREMA,
    **SOFTMAXES,
    **MOVES,
    **RESIZES,
    "quantize_to_int16": (lambda n: n.quantize(n.input(MAPS), n.scale(0.0002), 0, "int16"), "to int16"),
    "quantize_to_uint8": (
        lambda n: n.quantize(x := n.input(MAPS), x.scales()[0], x.zeros()[0] + 128, "uint8"),
        "to uint8, only the zero point moves",
    ),
    "strided_slice_shrink_open": (
        lambda n: strided_slice(
            n, n.input(SMALL), [0, 2, 0, 0], [1, 3, 3, 9], [1, 1, 1, 1], begin_mask=2, shrink_axis_mask=2
        ),
        "drops an axis whose begin is open: the first row",
    ),
}
# Which of the int8 models above exist with uint8 and int16 feature maps too.
ALSO_UINT8 = """
    conv_3x3 conv_stride2_valid conv_1x1 conv_relu6 depthwise depthwise_stride2 depthwise_multiplier
    fully_connected fully_connected_batch4 average_pool_same max_pool_same add add_same_scales sub mul leaky_relu
    quantize relu relu6 hard_swish logistic tanh minimum maximum softmax softmax_rows concat_channels split_channels
    slice strided_slice_stride2 reshape pad mean mean_keep resize_x2
""".split()
ALSO_INT16 = """
    conv_3x3 conv_stride2 conv_1x1 conv_relu depthwise depthwise_stride2 fully_connected average_pool max_pool add
    add_same_scales add_broadcast_channels sub mul leaky_relu relu transpose_conv quantize logistic tanh minimum maximum
    concat_channels split_channels slice strided_slice_stride2 reshape pad mean mean_keep
""".split()
UINT8: dict[str, tuple[Build, str]] = {name: INT8[name] for name in ALSO_UINT8} | {
    "quantize_to_int8": (
        lambda n: n.quantize(x := n.input(MAPS), x.scales()[0], x.zeros()[0] - 128, "int8"),
        "to int8, only the zero point moves",
    ),
    "quantize_to_int8_rescale": (
        lambda n: n.quantize(n.input(MAPS), n.scale(0.04), 3, "int8"),
        "to int8, another scale",
    ),
}
INT16: dict[str, tuple[Build, str]] = {name: INT8[name] for name in ALSO_INT16} | {
    "quantize_to_int8": (lambda n: n.quantize(n.input(MAPS), n.scale(0.03), -9, "int8"), "to int8"),
    "add_powers_of_two": (lambda n: _powers_of_two(n, "ADD", -8, -9), "scales 2^-8 and 2^-9: the second is shifted"),
    "sub_powers_of_two": (
        lambda n: _powers_of_two(n, "SUB", -11, -8),
        "scales 2^-11 and 2^-8: the first is shifted",
    ),
    "sub_powers_of_two_broadcast": (
        lambda n: _powers_of_two(n, "SUB", -8, -10, SMALL[3:]),
        "scales of 2^-8 and 2^-10, broadcast",
    ),
    "add_nearly_powers_of_two": (
        lambda n: _powers_of_two(n, "ADD", -8, -9, nearly=1.0006),
        "a scale that TFLite takes for a power of two",
    ),
    "add_powers_of_two_scaled": (
        lambda n: _powers_of_two(n, "ADD", -8, -9, pot_scale_int16=False),
        "scales of 2^-8 and 2^-9, but the option wants them as any others",
    ),
}
