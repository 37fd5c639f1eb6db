"""Models that the TensorFlow converter does not make: odd quantisation, odd graphs, networks of genuine uint8."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from at_steps import inputs_at_steps, set_columns
from entry import Entry
from network import Network
from operator_models import logistic
from tiny_writer import Model, Op, Sparse, Subgraph, Tensor, constant

MAPS = (1, 8, 8, 8)


def models() -> Iterator[Entry]:
    """All of them."""
    yield uint8_net()
    yield bias_axis_3()
    yield if_with_subgraphs()
    yield custom_in_the_middle()
    yield far_ratios()
    yield custom_beside()
    yield streaming()
    yield leaky_relu_of_a_view()
    yield newer_versions()
    yield from described()
    yield from ties()
    yield from between_steps()
    yield from int16_biases()
    yield scaled_sums_wrap()
    for seed, build in enumerate(GRAPHS):
        n = Network(1000 + seed)
        outputs = build(n)
        data = n.model(*(outputs if isinstance(outputs, list) else [outputs])).to_bytes()
        yield Entry(build.__name__, data, (build.__doc__ or "").rstrip("."), ON_CPU.get(build, []))


def ties() -> Iterator[Entry]:
    """Scales that are powers of two and small weights: a quarter of the sums lies between two results."""
    for seed, (dtype, shift) in enumerate({"int8": 2, "uint8": 2, "int16": 3}.items()):
        n = Network(20 + seed, dtype)
        x = n.input((6, 24), 2.0**-6)
        y = n.fully_connected(x, 16)
        weights, bias = n.ops[-1].inputs[1:]
        assert weights is not None
        assert bias is not None
        zero = weights.zeros()[0]
        weights.data = (zero + n.rng.integers(-2, 3, weights.shape)).astype(weights.dtype)
        weights.scale, bias.scale, y.scale = 2.0**-5, 2.0**-11, 2.0 ** (shift - 11)
        bias.data = n.rng.integers(-40, 41, bias.shape).astype(bias.dtype)
        about = f"FULLY_CONNECTED {dtype}: sums that lie between two results, of both signs"
        yield Entry(f"fully_connected_ties_{dtype}", n.model(y).to_bytes(), about)


def between_steps() -> Iterator[Entry]:
    """Ordinary scales of 16 bits, where 31 bits of a multiplier tell wrong results from right ones only far out."""
    for seed, per_channel in enumerate((False, True)):
        n = Network(30 + seed, "int16")
        x = n.input((16, 24))
        y = n.fully_connected(x, 6, "RELU" if per_channel else "NONE", per_channel)
        weights = n.ops[-1].inputs[1]
        assert weights is not None
        assert weights.data is not None
        set_columns(weights.data, 0)
        samples = inputs_at_steps(n.ops[-1], n.rng, 4)
        name = "fully_connected_steps_per_channel" if per_channel else "fully_connected_steps"
        about = "FULLY_CONNECTED int16: sums at the places where the result steps"
        yield Entry(name, n.model(y).to_bytes(), about, samples=samples)


def int16_biases() -> Iterator[Entry]:
    """int16 with biases, and so sums, of 32 bits: where the option says so, results round twice."""
    n = Network(40, "int16")
    x = n.input((1, 4, 5, 8))
    y = n.conv(x, 8)
    z = n.transpose_conv(y, 6)
    out = n.fully_connected(n.reshape(z, (1, 8 * 10 * 6)), 12)
    for op in n.ops:
        bias = op.inputs[-1]
        if op.name != "RESHAPE":
            assert bias is not None
            assert bias.data is not None
            bias.data, bias.dtype = bias.data.astype(np.int32), "int32"
            op.options["quantized_bias_type"] = "int32"
    yield Entry("int16_bias_32", n.model(out).to_bytes(), "int16 with biases of 32 bits, as quantized_bias_type says")


def scaled_sums_wrap() -> Entry:
    """int16 sums times a scale of 200: LiteRT wraps what 32 bits do not hold, which the NPU cannot do."""
    n = Network(50, "int16")
    x = n.input((1, 4, 5, 8), 0.5)
    y = n.conv(x, 8, per_channel=False)
    weights, bias = n.ops[-1].inputs[1:]
    assert weights is not None
    assert bias is not None
    weights.scale, bias.scale, y.scale = 0.25, 0.125, 0.125 / 200
    return Entry("scaled_sums_wrap", n.model(n.unary("RELU", y)).to_bytes(), "sums that wrap in LiteRT", [0])


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


def bias_axis_3() -> Entry:
    """As tflm_person_detect: the bias of a depthwise convolution names dimension 3, though it has only one."""

    def build(axis: int) -> bytes:
        n = Network(2)
        y = n.conv(n.depthwise(n.input((1, 8, 7, 6)), stride=(2, 2), activation="RELU6"), 10, (1, 1))
        for op in n.ops:
            assert op.inputs[2] is not None
            op.inputs[2] = replace(op.inputs[2], axis=axis)
        return n.model(y).to_bytes()

    return Entry("bias_axis_3", build(3), "biases quantised along dimension 3 of 1; LiteRT refuses it", twin=build(0))


def if_with_subgraphs() -> Entry:
    """Three subgraphs: IF chooses one of two; convolutions before and after it and inside one branch."""
    n = Network(3)
    condition = Tensor("condition", (1,), "bool")
    x = n.input((1, 6, 6, 4))
    before = n.conv(x, 8)
    branches = []
    for number in range(2):
        b = Network(4 + number)
        b_in = b.input(before.shape, before.scales()[0], before.zeros()[0])
        b_out = b.conv(b_in, 8) if number else b.unary("RELU", b_in)
        b_out.scale, b_out.zero = 0.3, 7
        branches.append(Subgraph(b.inputs, [b_out], b.ops, f"branch_{number}"))
    chosen = n.tensor("if", before.shape, 0.3, 7)
    n.add_op("IF", [condition, before], [chosen], then_subgraph_index=1, else_subgraph_index=2)
    after = n.conv(chosen, 5, (1, 1))
    model = Model([Subgraph([condition, x], [after], n.ops), *branches])
    return Entry("if_with_subgraphs", model.to_bytes(), "IF between two convolutions, with its branches", cpu=[1])


def custom_in_the_middle() -> Entry:
    """A custom operator that no runtime here knows, between two convolutions."""
    n = Network(6)
    x = n.conv(n.input((1, 6, 6, 4)), 8)
    y = n.like(x, "secret", x.shape)
    n.add_op("CUSTOM", [x], [y], custom="SecretSauce", custom_options=bytes(range(37)))
    about = "an unknown custom operator between two convolutions"
    return Entry("custom_in_the_middle", n.model(n.conv(y, 4)).to_bytes(), about, cpu=[1], golden=False)


def far_ratios() -> Entry:
    """Operators whose scales are too far apart for TFLite's 32 bits, between some that are not."""
    n = Network(8)
    x = n.input(MAPS, 1e6, 0)
    outputs = [
        n.unary("ABS", x, 1e-4, 0),
        n.unary("RELU", x, 1e-4, 0),
        n.unary("LEAKY_RELU", x, 1e-4, 0, alpha=0.1),
        n.binary("MUL", x, x, 1e-4, 0),
        n.binary("SUB", x, x, 1e-4, 0),
        n.quantize(x, 1e-4, 0),
        n.add_op("MEAN", [x, n.ints("axes", [1, 2])], [n.tensor("mean", (1, 1, 1, 8), 1e-4, 0)], keep_dims=True),
        n.unary("HARD_SWISH", n.unary("ABS", x, 0.02, 0), 5e-5, 0),
        n.unary("RELU6", x, 1e-9, 0),
        n.unary("ABS", x),
    ]
    about = "scales too far apart for 32 bits; what LiteRT makes of them is no multiple of the values"
    return Entry("far_ratios", n.model(*outputs).to_bytes(), about, cpu=range(10), golden=False)


def custom_beside() -> Entry:
    """A custom operator in a branch of its own: beside it and before it everything can be known."""
    n = Network(8)
    x = n.conv(n.input((1, 6, 6, 4)), 8)
    y = n.like(x, "secret", x.shape)
    n.add_op("CUSTOM", [x], [y], custom="SecretSauce")
    outputs = [n.conv(x, 4), n.binary("ADD", n.conv(y, 8), n.conv(x, 8))]
    about = "an unknown custom operator in one of two branches, which meet behind it"
    return Entry("custom_beside", n.model(*outputs).to_bytes(), about, cpu=[1], golden=False)


def streaming() -> Entry:
    """As microWakeWord's streaming networks: rows in a resource, filled once and shifted at each invocation."""
    n = Network(9)
    shape = (1, 3, 1, 8)

    def handle() -> tuple[Tensor, Op]:
        tensor = Tensor("ring", (), "resource")
        return tensor, Op("VAR_HANDLE", [], [tensor], shared_name="ring")

    start = Network(10)
    x = n.input((1, 1, 1, 8))
    first = constant("first", start.rng.integers(-128, 128, shape).astype(np.int8), scale=x.scale, zero=x.zero)
    (inner, named), (ring, named_again) = handle(), handle()
    once = Subgraph([], [], [named, Op("ASSIGN_VARIABLE", [inner, first], [])], "once")
    n.add_op("RELU", [x], [y := n.like(x, "relu", x.shape)])
    n.ops += [Op("CALL_ONCE", [], [], init_subgraph_index=1), named_again]
    n.add_op("READ_VARIABLE", [ring], [kept := n.like(x, "kept", shape)])
    rows = n.concat([kept, y], 1)
    newest = n.like(x, "newest", shape)
    ends = [n.ints("bound", value) for value in ((0, 1, 0, 0), (1, 4, 1, 8), (1, 1, 1, 1))]
    n.add_op("STRIDED_SLICE", [rows, *ends], [newest])
    n.ops.append(Op("ASSIGN_VARIABLE", [ring, newest], []))
    z = n.conv(rows, 12, (4, 1), padding="VALID", activation="RELU")
    model = Model([Subgraph(n.inputs, [n.fully_connected(n.reshape(z, (1, 12)), 4)], n.ops), once])
    about = "a resource that keeps three rows from one invocation to the next"
    return Entry("streaming", model.to_bytes(), about, cpu=[1, 2, 3, 6])


def leaky_relu_of_a_view() -> Entry:
    """LEAKY_RELU that hardly changes its input: what the NPU computes on the way comes near the input's views."""
    n = Network(11, "int16")
    x = n.reshape(n.input((1, 4, 5, 8), 0.001), (1, 2, 10, 8))
    a, b = n.split(x, 2, 3)
    outputs = [n.unary("LEAKY_RELU", t, 0.00098, alpha=0.99) for t in (x, a, b)]
    outputs.append(n.unary("RELU", n.unary("LEAKY_RELU", n.binary("ADD", a, b), 0.002, alpha=0.95), 0.002))
    about = "LEAKY_RELU of views and parts of the input, nearly equal to them"
    return Entry("leaky_relu_of_a_view", n.model(*outputs).to_bytes(), about)


def newer_versions() -> Entry:
    """Operators in versions that LiteRT's reference kernels lack and its default kernels have."""

    def build(depth_to_space: int, tile: int) -> bytes:
        n = Network(12)
        x = n.conv(n.input((1, 6, 5, 4)), 8)
        y = n.like(x, "depth_to_space", (1, 12, 10, 2))
        n.add_op("DEPTH_TO_SPACE", [x], [y], block_size=2, version=depth_to_space)
        z = n.conv(y, 6, stride=(2, 2))
        tiled = n.like(z, "tile", (1, 12, 5, 6))
        n.add_op("TILE", [z, n.ints("times", [1, 2, 1, 1])], [tiled], version=tile)
        return n.model(tiled, n.conv(tiled, 4)).to_bytes()

    about = "DEPTH_TO_SPACE 2 and TILE 3, which LiteRT's reference kernels lack, between convolutions"
    return Entry("newer_versions", build(2, 3), about, twin=build(1, 2))


def described() -> Iterator[Entry]:
    """The same two convolutions, the file's envelope varied."""

    def build(**options: object) -> bytes:
        n = Network(7)
        y = n.conv(n.conv(n.input((1, 6, 5, 4)), 8, activation="RELU"), 6, (1, 1))
        if options.pop("names", False):
            for t in Subgraph(n.inputs, [y], n.ops).tensors():
                t.name = {"bias_0": "", "conv_0": 'a/b;c:d "e" \\ %f\n', "conv_1": "größe_畳み込み"}.get(t.name, "same")
        if batch := options.pop("signature", None):
            for t in (n.inputs[0], *(op.outputs[0] for op in n.ops)):
                t.signature = [-1 if i in batch else s for i, s in enumerate(t.shape)]  # type: ignore[operator]
        if options.pop("signatures", False):
            options["signatures"] = {"serving_default": (0, {"image": n.inputs[0]}, {"label": y})}
        return n.model(y, **options).to_bytes()

    yield Entry("own_buffers", build(own_buffers=True), "every tensor without data has an empty buffer of its own")
    metadata = {"min_runtime_version": b"1.5.0\0\0\0", "blob": bytes(range(256)), "empty": b""}
    about = "metadata (also empty), a signature and a description"
    yield Entry("metadata", build(metadata=metadata, signatures=True, description="two convolutions ✓"), about)
    yield Entry("strange_names", build(names=True), "tensor names that are empty, equal, quoted, or not ASCII")
    yield Entry(
        "behind_the_flatbuffer", build(outside=True, metadata=metadata), "data of buffers behind the flatbuffer"
    )
    yield Entry("open_batch", build(signature=[0]), "the shape signature leaves the batch open")
    yield Entry("open_height", build(signature=[1]), "the shape signature leaves the height open", cpu=[0, 1])


# -- quantisation


def extreme_scales(n: Network) -> list[Tensor]:
    """Multipliers far below 2^-31, and above 1."""
    x = n.input((1, 5, 5, 4), scale=1e-6, zero=-128)
    weights = [1e-30, 1e-9, 1.0, 300.0, 0.02, 7e-4]
    y = n.conv(x, 6)
    _rescale_weights(n.ops[-1], weights)
    y.scale = 2e-3
    z = n.conv(y, 6, (1, 1))
    _rescale_weights(n.ops[-1], [w * 1e3 for w in (1e-6, 1e-3, 1e-2, 0.2, 0.5, 1.0)])
    z.scale = 0.9
    return [y, z]


def _rescale_weights(op: Op, scales: Sequence[float]) -> None:
    x, weights, bias = op.inputs
    assert x is not None
    assert weights is not None
    assert bias is not None
    weights.scale = list(scales)
    bias.scale = [float(np.float32(x.scales()[0]) * np.float32(s)) for s in scales]


def zero_channel(n: Network) -> Tensor:
    """Channels whose weights are all zero, as pruned networks have them, one with a bias of zero too."""
    y = n.conv(n.input((1, 5, 5, 4)), 6)
    weights, bias = n.ops[-1].inputs[1:]
    assert weights is not None
    assert bias is not None
    assert weights.data is not None
    assert bias.data is not None
    weights.data[[1, 4]] = 0
    bias.data[4] = 0
    return y


def large_bias(n: Network) -> list[Tensor]:
    """Biases near the ends of int32 in some channels, cancelled by nothing."""
    y = n.conv(n.input((1, 5, 5, 4)), 6)
    z = n.fully_connected(n.input((1, 20)), 5)
    for op in n.ops:
        bias = op.inputs[2]
        assert bias is not None
        assert bias.data is not None
        bias.data[:2] = (2_140_000_000, -2_140_000_000)
    return [y, z]


def ends_of_zero_points(n: Network) -> Tensor:
    """Zero points at both ends of the range."""
    a, b = n.input(MAPS, 0.02, -128), n.input(MAPS, 0.03, 127)
    return n.conv(n.binary("ADD", a, b, 0.04, 127), 8)


def far_apart(n: Network) -> list[Tensor]:
    """ADD and SUB of operands whose scales differ by factors of 1000 and 2^20."""
    a, b, c = n.input(MAPS, 0.5), n.input(MAPS, 0.0005), n.input(MAPS, 0.5 * 2.0**-20)
    return [n.binary("ADD", a, b, 0.5), n.binary("SUB", c, a, 0.6), n.binary("MUL", b, c, 1e-9)]


def equal_in_value(n: Network) -> Tensor:
    """A chain of operators that all keep the scale: clamps and pools without rescaling."""
    x = n.unary("RELU", n.input(MAPS))
    return n.unary("RELU", n.pool("MAX_POOL_2D", n.unary("RELU", x), (3, 3), (1, 1), "SAME"))


def uint8_concat_rescale(n: Network) -> Tensor:
    """uint8 CONCATENATION may rescale each input to the output's scale."""
    parts = [
        Tensor(f"part_{i}", (1, 4, 4, d), "uint8", s, z)
        for i, (d, s, z) in enumerate([(4, 0.02, 3), (8, 0.05, 128), (2, 0.011, 200)])
    ]
    n.inputs += parts
    y = Tensor("joined", (1, 4, 4, 14), "uint8", 0.05, 128)
    return n.add_op("CONCATENATION", parts, [y], axis=3)


# -- graphs


def residual(n: Network) -> Tensor:
    """A tensor consumed twice."""
    x = n.conv(n.input(MAPS), 8, activation="RELU")
    return n.binary("ADD", x, n.conv(n.conv(x, 8, activation="RELU"), 8), activation="RELU")


def same_operand_twice(n: Network) -> list[Tensor]:
    """ADD, MUL and CONCATENATION of a tensor with itself."""
    x = n.conv(n.input(MAPS), 8)
    return [n.binary("ADD", x, x), n.binary("MUL", x, x), n.concat([x, x, x], 3)]


def consumed_output(n: Network) -> list[Tensor]:
    """Outputs in the middle of the chain, one of them listed twice."""
    x = n.input(MAPS)
    y = n.conv(x, 8)
    z = n.conv(y, 8)
    return [y, z, n.conv(z, 4), y]


def input_is_output(n: Network) -> list[Tensor]:
    """One input goes straight to the outputs and into a convolution; another is used by nothing."""
    x = n.input((1, 6, 6, 4))
    n.input((1, 3))
    return [x, n.conv(x, 4)]


def several_inputs(n: Network) -> list[Tensor]:
    """Three inputs of different shapes and types, three outputs."""
    a, b = n.input((1, 8, 8, 4)), n.input((1, 4, 4, 8))
    c = n.input((1, 4, 4, 8), 0.01, 130, dtype="uint8")
    c = n.quantize(c, b.scales()[0], b.zeros()[0])
    a = n.conv(a, 8, stride=(2, 2))
    return [n.binary("ADD", a, b), n.extremum("MAXIMUM", b, c), n.concat([c, b], 1)]


def concat_of_concat(n: Network) -> Tensor:
    """CONCATENATION feeding CONCATENATION, along the same and another axis, then a convolution."""
    a, b = n.input((1, 4, 4, 3), 0.05, 4), n.input((1, 4, 4, 5), 0.05, 4)
    inner = n.concat([a, b], 3)
    wide = n.concat([inner, n.unary("RELU", b), inner], 3)
    return n.conv(n.concat([wide, wide], 1), 6)


def split_to_concat(n: Network) -> list[Tensor]:
    """SPLIT whose parts are shuffled by CONCATENATION; one part is also an output."""
    x = n.conv(n.input((1, 5, 5, 6)), 24)
    a, b, c = n.split(x, 3, 3)
    return [n.concat([c, n.unary("RELU", a), b], 3), n.concat([b, a], 2), c]


def reshape_between(n: Network) -> Tensor:
    """Convolutions with RESHAPEs between them that move rows into columns and into channels."""
    x = n.conv(n.input((1, 6, 4, 8)), 16)
    x = n.conv(n.reshape(x, (1, 4, 6, 16)), 8)
    x = n.conv(n.reshape(x, (1, 2, 3, 32)), 12)
    return n.fully_connected(n.reshape(x, (1, 72)), 7)


def reshape_forms(n: Network) -> list[Tensor]:
    """RESHAPE with the shape only as an option, only as an input, and with -1 in it."""
    x = n.conv(n.input((1, 4, 6, 5)), 5)
    outputs = [n.like(x, "reshape", s) for s in ((1, 120), (4, 30), (1, 2, 12, 5))]
    n.add_op("RESHAPE", [x], [outputs[0]], new_shape=[1, 120])
    n.add_op("RESHAPE", [x, n.ints("shape", [4, 30])], [outputs[1]])
    n.add_op("RESHAPE", [x, n.ints("shape", [1, 2, -1, 5])], [outputs[2]])
    return outputs


def negative_axes(n: Network) -> list[Tensor]:
    """Axes counted from the end."""
    x = n.input((1, 4, 6, 8))
    halves = [n.like(x, "split", (1, 4, 3, 8)) for _ in range(2)]
    n.add_op("SPLIT", [n.ints("axis", -2), x], halves, num_splits=2)
    y = n.add_op("CONCATENATION", halves, [n.like(x, "concat", (1, 4, 3, 16))], axis=-1)
    z = n.add_op("EXPAND_DIMS", [y, n.ints("axis", -1)], [n.like(x, "expand", (1, 4, 3, 16, 1))])
    z = n.add_op("SQUEEZE", [z], [n.like(x, "squeeze", (4, 3, 16))], squeeze_dims=[0, -1])
    m = n.add_op("MEAN", [y, n.ints("axes", [-3, -2])], [n.like(y, "mean", (1, 16))])
    return [z, m]


def pad_then_conv(n: Network) -> list[Tensor]:
    """PAD as converters write it before a strided VALID convolution; a second consumer of the padded map."""
    x = n.pad(n.input((1, 7, 7, 4)), [(0, 0), (0, 1), (0, 1), (0, 0)])
    y = n.conv(x, 8, stride=(2, 2), padding="VALID")
    z = n.depthwise(n.pad(y, [(0, 0), (1, 1), (1, 1), (0, 0)]), padding="VALID")
    return [z, n.pool("MAX_POOL_2D", x)]


def shared_weights(n: Network) -> list[Tensor]:
    """Two convolutions and a third with the same weight tensor, the last with another bias."""
    x, y = n.input((1, 6, 6, 4), 0.03, 2), n.input((1, 6, 6, 4), 0.03, 2)
    a = n.conv(x, 8)
    first = n.ops[0]
    outputs = [a, n.like(a, "conv_again", a.shape), n.like(a, "conv_once_more", a.shape)]
    bias = first.inputs[2]
    assert bias is not None
    assert bias.data is not None
    other = replace(bias, name="other_bias", data=bias.data[::-1].copy())
    n.ops += [
        Op("CONV_2D", [y, *first.inputs[1:]], [outputs[1]], **first.options),
        Op("CONV_2D", [y, first.inputs[1], other], [outputs[2]], **first.options),
    ]
    return outputs


def weights_of_many_scales(n: Network) -> Tensor:
    """One weight tensor of several convolutions whose scales differ, two of them behind a CPU operator."""
    x = n.conv(n.input((1, 5, 5, 16)), 16, activation="RELU")
    first = n.ops[0]
    _, weights, bias = first.inputs
    assert weights is not None
    assert bias is not None
    for number in range(4):
        if number == 2:
            x = n.on_the_cpu(x)
        scales = [x.scales()[0] * scale for scale in weights.scales()]
        y = n.tensor("again", x.shape, x.scales()[0] * (1 + 0.1 * number), -128)
        n.add_op("CONV_2D", [x, weights, replace(bias, name=f"bias_{number}", scale=scales)], [y], **first.options)
        x = y
    return x


def sparse_weights(n: Network) -> Tensor:
    """Pruned weights, stored sparse in blocks and made dense by DENSIFY."""
    y = n.conv(n.input((1, 4, 4, 8)), 16, activation="RELU")
    _prune(n, 0, Sparse((0, 1, 2, 3, 4, 5), (1, 3), {0: 4, 3: 4}, "uint16"))
    n.ops.insert(0, _densify(n.ops[0]))
    y = n.fully_connected(n.reshape(y, (1, 256)), 6)
    _prune(n, -1, Sparse((0, 1, 2), (1,), {1: 16}))
    n.ops.insert(-1, _densify(n.ops[-1]))
    return y


def sparse_operand(n: Network) -> list[Tensor]:
    """Sparse weights that FULLY_CONNECTED reads as they stand, and another from DENSIFY, which gives other results."""
    y = n.fully_connected(n.input((4, 32), 2.0**-6), 12)
    op = n.ops[-1]
    weights, bias = op.inputs[1:]
    assert weights is not None
    assert bias is not None
    # Small weights and a factor of 0.18: the kernels' two ways of rounding often differ.
    weights.data = n.rng.integers(-1, 2, weights.shape).astype(weights.dtype)
    bias.data = n.rng.integers(-40, 41, bias.shape).astype(bias.dtype)
    weights.scale, bias.scale, y.scale = 2.0**-5, 2.0**-11, 2.0**-11 / 0.18
    _prune(n, -1, Sparse((0, 1, 2), (1,), {1: 16}, "uint8"))
    z = n.tensor("of_dense", y.shape, y.scales()[0], y.zeros()[0])
    n.ops.append(Op(op.name, op.inputs, [z], **op.options))
    n.ops.insert(-1, _densify(n.ops[-1]))
    return [n.unary("LEAKY_RELU", y, alpha=0.9), z]


def _prune(n: Network, number: int, sparse: Sparse) -> None:
    """Sets four fifths of the blocks of an operator's weights to zero, and stores the others."""
    weights = n.ops[number].inputs[1]
    assert weights is not None
    assert weights.data is not None
    rng, data = np.random.default_rng(5), weights.data.copy()
    steps = [sparse.blocks.get(axis, 1) for axis in range(data.ndim)]
    kept = rng.random([size // step for size, step in zip(data.shape, steps, strict=True)]) < 0.2
    for axis, step in enumerate(steps):
        kept = kept.repeat(step, axis)
    weights.data, weights.sparse = data * kept, sparse


def _densify(op: Op) -> Op:
    """DENSIFY of the weights of an operator, which then reads its result."""
    sparse = op.inputs[1]
    assert sparse is not None
    op.inputs[1] = replace(sparse, name=f"dense_{sparse.name}", data=None, sparse=None)
    return Op("DENSIFY", [sparse], [op.inputs[1]])


def tall_chain(n: Network) -> Tensor:
    """Tall thin maps through convolutions and pools: made for stripes."""
    x = n.input((1, 64, 8, 4))
    for depth, stride in ((8, 1), (8, 1), (12, 2), (12, 1)):
        x = n.conv(n.depthwise(x, stride=(stride, 1), activation="RELU6"), depth, (1, 1), activation="RELU")
    return n.conv(n.pool("MAX_POOL_2D", x), 4, (5, 3))


def deep_weights(n: Network) -> Tensor:
    """Few pixels and many channels: made for weight slices."""
    x = n.conv(n.input((1, 3, 3, 40)), 96, activation="RELU")
    return n.conv(n.conv(x, 72, (1, 1), activation="RELU"), 40, (2, 2))


def tour(n: Network) -> Tensor:
    """A pair to cascade, then weights to buffer: what test/tour/schedule.test and docs/timelines.md show"""
    x = n.input((1, 40, 40, 8))
    for depth, stride in ((32, 1), (16, 2), (24, 1), (64, 2)):
        x = n.conv(x, depth, stride=(stride, stride), activation="RELU", per_channel=False)
    return x


def many_tables(n: Network) -> Tensor:
    """More different look-up tables than the machine has slots, some used again."""
    x = logistic(n)
    for i in range(5):
        x = n.conv(x, 8, (1, 1))
        x.scale, x.zero = 0.05, 3 * i
        x = n.unary("TANH", x, 1 / 128, 0)
        x = n.unary("HARD_SWISH", x, 0.02, i)
        x = n.unary("LEAKY_RELU", x, alpha=0.1 * i)
    return x


def ranks(n: Network) -> list[Tensor]:
    """Value-by-value operators on tensors of rank 1, 2, 3."""
    a, b, c = n.input((37,)), n.input((9, 11)), n.input((3, 5, 17))
    return [
        n.binary("ADD", a, n.input((37,))),
        n.binary("MUL", b, n.input((11,))),
        n.binary("SUB", c, n.input((5, 1))),
        n.unary("RELU", c),
    ]


def rank_5(n: Network) -> Tensor:
    """Beyond rank 4."""
    return n.binary("ADD", n.input((1, 2, 3, 4, 5)), n.input((1, 2, 3, 4, 5)))


def batch_2(n: Network) -> Tensor:
    """A convolution of a batch."""
    return n.conv(n.input((2, 5, 5, 4)), 6)


def stride_4(n: Network) -> Tensor:
    """A stride beyond 3, with padding."""
    return n.conv(n.input((1, 13, 13, 4)), 6, (5, 5), (4, 4))


def fully_connected_ranks(n: Network) -> list[Tensor]:
    """FULLY_CONNECTED that flattens by itself, and one that keeps the dimensions before the last."""
    x = n.input((1, 2, 3, 8))
    flat = Tensor("flat", (1, 48), "int8", x.scale)
    weights, bias = n.weights((10, 48), 0, flat, False, "NONE")
    a = n.ofm("dense", (1, 10), x, weights, 48, "NONE")
    n.add_op("FULLY_CONNECTED", [x, weights, bias], [a])
    weights, bias = n.weights((6, 8), 0, x, False, "NONE")
    b = n.ofm("dense", (1, 2, 3, 6), x, weights, 8, "NONE")
    n.add_op("FULLY_CONNECTED", [x, weights, bias], [b], keep_num_dims=True)
    return [a, b]


def computed_weights(n: Network) -> Tensor:
    """A convolution whose weights are an input of the network."""
    x, w = n.input((1, 6, 6, 4), 0.02), n.input((5, 3, 3, 4), 0.01, 0)
    bias = constant("bias", np.arange(5, dtype=np.int32) * 300 - 700, scale=0.0002)
    return n.add_op("CONV_2D", [x, w, bias], [n.tensor("conv", (1, 6, 6, 5), 0.1)], padding="SAME")


def constant_operator(n: Network) -> Tensor:
    """ADD of two constants, whose sum is added to the input."""
    a = n.binary("ADD", n.constant((1, 1, 1, 8), 0.02), n.constant((1, 1, 1, 8), 0.03))
    return n.binary("ADD", n.input(MAPS), a)


def dead_operator(n: Network) -> Tensor:
    """A convolution whose result nothing uses."""
    x = n.conv(n.input(MAPS), 8)
    n.conv(x, 3)
    return n.conv(x, 5)


def no_operators(n: Network) -> Tensor:
    """Nothing but an input that is the output."""
    return n.input((1, 4))


# -- CPU operators between


def two_islands(n: Network) -> Tensor:
    """NPU, CPU, NPU."""
    x = n.conv(n.conv(n.input(MAPS), 8, activation="RELU"), 12)
    x = n.on_the_cpu(x, [5, 0, 7, 3, 3])
    return n.conv(n.conv(x, 8), 4, (1, 1))


def cpu_in_a_diamond(n: Network) -> Tensor:
    """A CPU operator in one arm only: what stands before and after it cannot be one NPU region."""
    x = n.conv(n.input(MAPS), 8)
    left = n.on_the_cpu(x)
    right = n.conv(x, 8)
    return n.binary("ADD", left, right)


def cpu_side_branch(n: Network) -> list[Tensor]:
    """A CPU operator reads what an NPU operator goes on with; two inputs, two outputs."""
    x = n.conv(n.input(MAPS), 8)
    return [n.on_the_cpu(x), n.conv(x, 8, activation="RELU"), n.unary("RELU", n.on_the_cpu(x, [1, 4]))]


def float_in_the_middle(n: Network) -> Tensor:
    """DEQUANTIZE, a float operator, QUANTIZE between convolutions."""
    x = n.conv(n.input((1, 6, 6, 4)), 6)
    x = n.add_op("DEQUANTIZE", [x], [Tensor("real", x.shape, "float32")])
    x = n.add_op("RELU", [x], [Tensor("rectified", x.shape, "float32")])
    x = n.quantize(x, 0.1, -128)
    return n.conv(x, 4)


def float_model(n: Network) -> Tensor:
    """Nothing is quantised."""
    x = Tensor("x", (1, 6, 6, 3), "float32")
    n.inputs.append(x)
    weights = constant("weights", n.rng.integers(-8, 9, (4, 3, 3, 3)).astype(np.float32) / 8)
    bias = constant("bias", n.rng.integers(-8, 9, 4).astype(np.float32) / 8)
    y = n.add_op("CONV_2D", [x, weights, bias], [Tensor("conv", (1, 6, 6, 4), "float32")], padding="SAME")
    return n.add_op("RELU6", [y], [Tensor("relu", (1, 6, 6, 4), "float32")])


def integer_operators(n: Network) -> list[Tensor]:
    """int32 arithmetic beside a quantised convolution."""
    a, b = Tensor("a", (4,), "int32"), Tensor("b", (4,), "int32")
    n.inputs += [a, b]
    total = n.add_op("ADD", [a, b], [Tensor("total", (4,), "int32")])
    return [total, n.conv(n.input((1, 5, 5, 4)), 4)]


def stateful(n: Network) -> Tensor:
    """SVDF, which keeps a variable tensor, between fully connected layers."""
    x = n.fully_connected(n.input((1, 24)), 16)
    filters, memory = 8, 5
    feature_data = n.rng.integers(-127, 128, (filters, 16)).astype(np.int8)
    time_data = n.rng.integers(-32767, 32768, (filters, memory)).astype(np.int16)
    feature = Tensor("feature", (filters, 16), "int8", 0.01, data=feature_data)
    time = Tensor("time", (filters, memory), "int16", 3e-5, data=time_data)
    state_scale = 20 * x.scales()[0] * 0.01
    bias = Tensor("svdf_bias", (filters,), "int32", state_scale * 3e-5, data=np.zeros(filters, np.int32))
    state = Tensor("state", (1, filters * memory), "int16", state_scale, variable=True)
    y = n.tensor("svdf", (1, filters), state_scale * 200, -128)
    n.add_op("SVDF", [x, feature, time, bias, state], [y], rank=1, activation="RELU")
    return n.fully_connected(y, 6)


Build = Callable[[Network], Tensor | list[Tensor]]
GRAPHS: list[Build] = [
    extreme_scales, zero_channel, large_bias, ends_of_zero_points, far_apart, equal_in_value, uint8_concat_rescale,
    residual, same_operand_twice, consumed_output, input_is_output, several_inputs, concat_of_concat, split_to_concat,
    reshape_between, reshape_forms, negative_axes, pad_then_conv, shared_weights, tall_chain, deep_weights, many_tables,
    ranks, rank_5, batch_2, stride_4, fully_connected_ranks, computed_weights, constant_operator, dead_operator,
    no_operators, two_islands, cpu_in_a_diamond, cpu_side_branch, float_in_the_middle, float_model, integer_operators,
    stateful, tour, weights_of_many_scales, sparse_weights, sparse_operand,
]  # fmt: skip
# Operators that may stay on the CPU: no kernel for them, or nothing that has to have one.
ON_CPU: dict[Build, list[int]] = {
    far_apart: [0, 1],
    negative_axes: [2, 3],
    rank_5: [0],
    computed_weights: [0],
    constant_operator: [0],
    dead_operator: [1],
    two_islands: [2],
    weights_of_many_scales: [3],
    sparse_operand: [0],
    cpu_in_a_diamond: [1],
    cpu_side_branch: [1, 3],
    float_in_the_middle: [1, 2, 3],
    float_model: [0, 1],
    integer_operators: [0],
    stateful: [1],
}
