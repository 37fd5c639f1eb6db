"""
What must hold of buffers of weights, each invariant a test that is named after it (docs/weight_buffers.md lists them).

A region has one convolution that the test slices as it likes; what the lowering makes of it is looked at as commands,
and run.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from execute_region import LOWERING, apply, execute, parse, region_of
from hypothesis import given
from hypothesis import strategies as st
from property_tests import examples
from random_network import random_network
from random_region import random_region
from schedule_reference import evaluate
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.ir import Operation, SSAValue

from npuc.analysis.live_ranges import live_ranges
from npuc.analysis.machine import machine_of
from npuc.analysis.weights import cuts_of, slice_sizes
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import BufferType
from npuc.dialects.npu_cmd import AllocOp, DmaOp, FreeOp, LaunchOp, ProgramOp, WaitOp, WeightedOp
from npuc.dialects.npu_schedule import ConvKernelOp, WeightBuffersOp
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target, pipeline
from npuc.tools.profiling.profile import profile

SPLIT = "npu-schedule-split-weight-buffers"
CONVERT, *PLACE = LOWERING
U55, U65 = '"ethos-u55-128"', '"ethos-u65-512", "Ethos_U65_Embedded", "Shared_Sram"'
DEDICATED = '"ethos-u65-512", "Ethos_U65_Client_Server", "Dedicated_Sram_384KB"'


def tensor(values: np.ndarray, element: str) -> str:
    """A dense constant of these values."""
    shape = "x".join(map(str, values.shape))
    return f'dense<"0x{values.tobytes().hex().upper()}"> : tensor<{shape}x{element}>'


def conv(
    name: str,
    ifm: str,
    depths: tuple[int, int],
    height: int,
    seed: int,
    decisions: str,
    extra: str = "",
    noise: int = 1,
) -> str:
    """A 3x3 convolution from `depths[0]` to `depths[1]` channels; of every 32 channels the first 16 take more bytes."""
    rng = np.random.default_rng(seed)
    into, out = depths
    weights = rng.integers(-3, 4, (out, 3, 3, into)).astype(np.int8)
    heavy = (np.arange(out) // 16) % 2 == 0
    weights[heavy] = rng.integers(-127, 128, (int(heavy.sum()), 3, 3, into)).astype(np.int8)
    bias = rng.integers(-1000, 1000, out).astype(np.int64)
    map_in, map_out = f"tensor<1x{height}x{height}x{into}xi8>", f"tensor<1x{height}x{height}x{out}xi8>"
    kind = f"tensor<{out}x3x3x{into}xi8>"
    return f"""
    %w{name} = npu_schedule.constant {tensor(weights, "i8")}
    %s{name} = npu_schedule.scales {{bias = {tensor(bias, "i64")}, multiplier = dense<1200000000> : tensor<{out}xi32>,
      shift = dense<38> : tensor<{out}xi8>}} : !npu_schedule.scales<{out}>
    %{name} = npu_schedule.conv2d {ifm}, %w{name}, %s{name} window <3x3, pad 1 1 1 1> zero_points <0, 0>
      scale <per_channel, double_round> activation <-128, 127> {decisions}
      : ({map_in}, {kind}, !npu_schedule.scales<{out}>{extra}) -> {map_out}"""


def region(
    body: str, into: int, out: int, height: int, result: str, target: str = U55, limit: int | None = None
) -> str:
    """A module with one region."""
    limited = "" if limit is None else f", npu.sram_limit = {limit} : i64"
    return f"""module attributes {{npu.target = #npu.target<{target}>}} {{
  func.func @npu_0(%x: tensor<1x{height}x{height}x{into}xi8>) -> tensor<1x{height}x{height}x{out}xi8>
      attributes {{npu.region{limited}}} {{{body}
    func.return %{result} : tensor<1x{height}x{height}x{out}xi8>
  }}
}}"""


def one(decisions: str, depth: int = 80, target: str = U55) -> str:
    """A region with one convolution from 16 to `depth` channels."""
    return region(conv("y", "%x", (16, depth), 4, 1, f"block <2x2x16> {decisions}"), 16, depth, 4, "y", target)


def exact(text: str, passes: list[str]) -> ModuleOp:
    """Run a region: it must equal its evaluation and break no rule. Returns the lowered module."""
    module = parse(text)
    type_ = region_of(module).function_type.inputs.data[0]
    values = np.random.default_rng(7).integers(-128, 128, type_.get_shape()).astype(np.int8)
    (wanted,) = evaluate(region_of(module), [values])
    found = execute(module, [values], passes)
    assert not found.reports, "\n".join(map(str, found.reports))
    np.testing.assert_array_equal(found.results[0], wanted)
    return found.module


@dataclass
class Lowered:
    """Commands of a program before addresses: what the invariants speak about."""

    ops: list[Operation]

    @property
    def buffers(self) -> list[SSAValue]:
        """Buffers that transfers fill, in the order in which they are made."""
        return [
            op.result
            for op in self.ops
            if isinstance(op, AllocOp) and any(isinstance(u.operation, DmaOp) for u in op.result.uses)
        ]

    @property
    def launches(self) -> list[WeightedOp]:
        return [op for op in self.ops if isinstance(op, WeightedOp)]

    @property
    def transfers(self) -> list[DmaOp]:
        return [op for op in self.ops if isinstance(op, DmaOp)]

    def freed(self, buffer: SSAValue) -> int:
        return next(i for i, op in enumerate(self.ops) if isinstance(op, FreeOp) and op.source is buffer)

    def at(self, op: Operation) -> int:
        return self.ops.index(op)


def lowered(text: str, *passes: str) -> Lowered:
    """The commands of a region after these passes."""
    module = parse(text)
    apply(module, passes)
    return Lowered(list(next(op for op in module.ops if isinstance(op, ProgramOp)).body.block.ops))


def size(buffer: SSAValue) -> int:
    type_ = buffer.type
    assert isinstance(type_, BufferType)
    return type_.size


def sizes_of(text: str) -> list[int]:
    """Bytes of each slice of the only convolution."""
    module = parse(text)
    kernel = next(op for op in module.walk() if isinstance(op, ConvKernelOp))
    return slice_sizes([(kernel, cuts_of(kernel))], machine_of(module))[0]


FIVE = "slices <0, 16, 32, 48, 64, 80> buffers <2>"
FOUR = "slices <0, 16, 32, 48, 64> buffers <2>"


@pytest.mark.parametrize("target", [U55, U65])
def test_a1_buffers_hold_the_largest_even_and_the_largest_odd_slice(target: str) -> None:
    """Sizes count every core's streams and scales, each padded to 16."""
    text = one(FIVE, target=target)
    slices = sizes_of(text)
    found = lowered(text, SPLIT, CONVERT)
    assert [size(b) for b in found.buffers] == [max(slices[::2]), max(slices[1::2])]
    # What is transferred is what the oracle has measured: the streams of all cores in one run.
    assert [op.size.data[0] for op in found.transfers] == slices
    assert all(length % 16 == 0 for length in slices)


def test_a3_buffers_are_independent_and_may_differ_in_size() -> None:
    found = lowered(one(FIVE), SPLIT, CONVERT)
    even, odd = found.buffers
    assert even.owner is not odd.owner
    assert size(even) > size(odd) + 1000
    exact(one(FIVE), [SPLIT, *LOWERING])


def test_a4_slice_i_passes_through_buffer_i_modulo_their_number() -> None:
    found = lowered(one(FIVE), SPLIT, CONVERT)
    for index, (launch, transfer) in enumerate(zip(found.launches, found.transfers, strict=True)):
        assert launch.weights is transfer.destination is found.buffers[index % 2]


def test_a4_one_transfer_brings_the_streams_of_both_cores() -> None:
    found = lowered(one(FIVE, target=U65), SPLIT, CONVERT)
    assert len(found.transfers) == 5
    for launch in found.launches:
        ranges = sorted(pairs(launch.weight_ranges.data) + pairs(launch.scale_ranges.data))
        assert len(ranges) == 4
        # Core after core, without gaps.
        assert all(start + length == following for (start, length), (following, _) in pairwise(ranges))
    exact(one(FIVE, target=U65), [SPLIT, *LOWERING])


def pairs(ranges: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(zip(ranges[::2], ranges[1::2], strict=True))


@pytest.mark.parametrize(("decisions", "depth", "longest"), [(FIVE, 80, 0), (FOUR, 64, 1)])
def test_a5_the_buffer_of_the_last_slice_lives_longest(decisions: str, depth: int, longest: int) -> None:
    """(slices - 1) modulo 2: an odd number of slices ends in buffer 0, an even one in buffer 1."""
    found = lowered(one(decisions, depth), SPLIT, CONVERT)
    ends = [found.freed(buffer) for buffer in found.buffers]
    assert ends[longest] > found.at(found.launches[-1]) > ends[1 - longest]


def test_a6_the_first_buffer_may_be_filled_under_the_kernel_before_the_second_need_not_be() -> None:
    body = conv("a", "%x", (16, 16), 8, 3, "block <2x2x16>") + conv("y", "%a", (16, 80), 8, 1, f"block <2x2x16> {FIVE}")
    text = region(body, 16, 80, 8, "y", limit=1 << 20)
    found = lowered(text, SPLIT, CONVERT, "npu-cmd-hoist-dma")
    before, first = found.launches[:2]
    assert found.at(before) < found.at(found.transfers[0]) < found.at(first)
    # It follows the launch directly, so that nothing that the kernel before needs has been freed.
    between = found.ops[found.at(before) + 1 : found.at(found.transfers[0])]
    assert all(isinstance(op, AllocOp) for op in between)
    exact(text, [SPLIT, CONVERT, "npu-cmd-hoist-dma", *PLACE])


def test_a6_a_first_kernel_cannot_be_prefetched() -> None:
    found = lowered(one(FIVE), SPLIT, CONVERT, "npu-cmd-hoist-dma")
    assert found.at(found.transfers[0]) < found.at(found.launches[0])
    exact(one(FIVE), [SPLIT, CONVERT, "npu-cmd-hoist-dma", *PLACE])


def test_a7_a_buffer_that_is_used_once_is_alive_from_its_transfer_to_its_kernel() -> None:
    text = one("slices <0, 16, 32> buffers <2>", 32)
    found = lowered(text, SPLIT, CONVERT)
    for buffer, launch, transfer in zip(found.buffers, found.launches, found.transfers, strict=True):
        assert isinstance(buffer.owner, AllocOp)
        assert found.at(buffer.owner) < found.at(transfer) < found.at(launch) < found.freed(buffer)
    # The second is filled beside the kernel that reads the first: they must not share memory.
    assert found.freed(found.buffers[0]) > found.at(found.transfers[1])
    exact(text, [SPLIT, *LOWERING])


def test_a8_in_the_tail_only_the_buffer_used_last_is_alive() -> None:
    text = one(FIVE)
    found = lowered(text, SPLIT, CONVERT)
    last = found.at(found.launches[-1])
    alive = [b for b in found.buffers if found.freed(b) > last]
    assert alive == [found.launches[-1].weights]


def planned(limit: int, depth: int = 96, decisions: str = "") -> ConvKernelOp:
    """The decisions about a convolution that runs after another one, with so many bytes to spend."""
    body = conv("a", "%x", (16, 16), 8, 3, "block <4x4x16> slices <0, 16>") + conv(
        "y", "%a", (16, depth), 8, 1, f"block <2x2x16> {decisions}"
    )
    module = parse(region(body, 16, depth, 8, "y", limit=limit))
    apply(module, ["npu-schedule-buffer-weights"])
    return [op for op in module.walk() if isinstance(op, ConvKernelOp)][-1]


def test_a2_a9_the_sum_of_the_pair_is_held_against_the_limit() -> None:
    alive = 8 * 8 * (16 + 96)
    seen = set()
    for room in range(0, 16384, 1024):
        kernel = planned(alive + room)
        sizes = slice_sizes([(kernel, cuts_of(kernel))], machine_of(kernel))[0]
        count = kernel.buffers.data[0] if kernel.buffers is not None else 0
        seen.add((count, len(sizes) > 1))
        if count == 2:
            assert len(sizes) > 1
            assert max(sizes[::2]) + max(sizes[1::2]) <= room
        elif count == 1:
            assert max(sizes) <= room
        else:
            assert kernel.slices is None, "slices that pass through no buffer are undone"
    assert {(0, False), (2, True)} <= seen


def test_b11_the_kernel_at_the_peak_gets_no_buffer() -> None:
    assert planned(8 * 8 * (16 + 96)).buffers is None


@pytest.mark.parametrize("short", [0, 16], ids=["room beside the pool", "16 bytes short"])
def test_b9_a_buffer_that_is_filled_under_a_kernel_is_charged_there(short: int) -> None:
    """
    A pool takes 8192 bytes, the convolution behind it far less. Its weights are worth a buffer only if that is filled
    while the pool runs, and there it is the pool's room that counts.
    """
    pool = """
    %p = npu_schedule.pool max %x window <7x7, pad 3 3 3 3> zero_points <0, 0> activation <-128, 127>
      : (tensor<1x16x16x16xi8>) -> tensor<1x16x16x16xi8>"""
    body = conv("y", "%p", (16, 16), 16, 1, "").replace(
        "window <3x3, pad 1 1 1 1>", "window <3x3, stride 3x3, pad 0 0 1 1>"
    )
    text = region(pool + body, 16, 16, 16, "y")
    whole, small = "tensor<1x16x16x16xi8>", "tensor<1x5x5x16xi8>"
    for place in ("!npu_schedule.scales<16>) -> ", f"(%x: {whole}) -> ", "func.return %y : "):
        text = text.replace(place + whole, place + small)
    module = parse(text)
    (kernel,) = (op for op in module.walk() if isinstance(op, ConvKernelOp))
    size = slice_sizes([(kernel, cuts_of(kernel))], machine_of(module))[0][0]
    region_of(module).attributes["npu.sram_limit"] = IntegerAttr(8192 + size - short, 64)
    apply(module, ["npu-schedule-select-blocks", "npu-schedule-buffer-weights"])
    assert (kernel.buffers is None) == bool(short)


@pytest.mark.parametrize("strategy", ["size", "performance"])
def test_b10_a_network_is_not_slower_than_without_buffers(models, strategy: Literal["size", "performance"]) -> None:
    """By the clock, which counts BLOCKDEP; addresses decide that, and the planner cannot: that is the thousandth."""
    target = Target("ethos-u55-128", strategy=strategy)
    without = pipeline(target, frozenset({"npu-schedule-buffer-weights", SPLIT}))
    gained = 0
    names = (
        "digits_cnn",
        "residual_net",
        "separable_net",
        "uint8_net",
        "unet",
        "tour",
        "int16x8_net",
        "hard_swish_net",
    )
    networks = {name: models[name].path.read_bytes() for name in names}
    networks |= {f"random {seed}": random_network(seed) for seed in (7, 8, 9)}
    for name, data in networks.items():
        have, bare = (profile(compile_tflite(data, target, passes=p).data).cycles for p in (pipeline(target), without))
        assert have <= bare * 1.001, name
        gained += have < bare
    assert gained >= 4


def test_decisions_that_stand_in_the_ir_stay() -> None:
    kernel = planned(1 << 20, decisions="slices <0, 32, 96> buffers <1>")
    assert cuts_of(kernel) == (0, 32, 96)
    assert kernel.buffers is not None
    assert kernel.buffers.data == (1,)


def cascaded(decisions: str) -> str:
    inner = conv("a", "%x", (16, 32), 8, 3, f"block <2x2x16> stripe <2> rolling <4> {decisions}")
    inner += conv("b", "%a", (32, 32), 8, 4, f"block <2x2x16> stripe <2> {decisions}")
    kind = "tensor<1x8x8x32xi8>"
    return region(
        f"\n    %y = npu_schedule.cascade -> {kind} {{{inner}\n    npu_schedule.yield %b : {kind}\n    }}",
        16,
        32,
        8,
        "y",
    )


def test_a10_in_a_cascade_one_transfer_serves_all_stripes() -> None:
    found = lowered(cascaded("buffers <1>"), SPLIT, CONVERT)
    assert len(found.launches) > 6
    assert len(found.transfers) == 2
    exact(cascaded("buffers <1>"), [SPLIT, *LOWERING])
    # Slices in a cascade are brought again for every stripe: slow, and just as right.
    exact(cascaded("slices <0, 16, 32> buffers <1>"), [SPLIT, *LOWERING])


def test_a10_the_planner_gives_kernels_of_a_cascade_one_full_depth_buffer() -> None:
    module = parse(cascaded(""))
    apply(module, ["npu-schedule-buffer-weights"])
    kernels = [op for op in module.walk() if isinstance(op, ConvKernelOp)]
    assert any(op.buffers is not None for op in kernels)
    for op in kernels:
        assert op.slices is None
        assert op.buffers is None or op.buffers.data == (1,)


def test_a12_a_buffer_smaller_than_its_slices_is_refused() -> None:
    """What a buffer holds is measured against the final encoding, so a stale size cannot pass."""
    head = "\n    %b = npu_schedule.weight_buffers : !npu.buffer<160, arena>"
    body = head + conv("y", "%x", (16, 32), 4, 1, "block <2x2x16> buffers <1> through %b", ", !npu.buffer<160, arena>")
    module = parse(region(body, 16, 32, 4, "y"))
    with pytest.raises(OperationError, match=r"conv2d: slice 0 has .* bytes and does not fit a buffer of 160"):
        apply(module, [CONVERT])


def test_a13_a_single_buffer_of_slices_holds_the_largest_of_all() -> None:
    """Also where the odd slices are the larger ones: here slices of 16, 48, 16 channels."""
    text = one("slices <0, 16, 64, 80> buffers <1>")
    slices = sizes_of(text)
    assert slices.index(max(slices)) == 1
    (buffer,) = lowered(text, SPLIT, CONVERT).buffers
    assert size(buffer) == max(slices)
    exact(text, [SPLIT, *LOWERING])
    exact(text, LOWERING)


def test_a14_the_transfer_of_the_next_slice_runs_beside_the_kernel() -> None:
    """Issued right behind the launch, with no wait between, if there are two buffers; behind a wait if there is one."""
    for count, waits in ((2, 0), (1, 1)):
        module = exact(one(f"slices <0, 16, 32> buffers <{count}>", 32), [SPLIT, *LOWERING])
        ops = list(next(op for op in module.ops if isinstance(op, ProgramOp)).body.block.ops)
        commands = [op for op in ops if isinstance(op, LaunchOp | DmaOp | WaitOp)]
        first = next(i for i, op in enumerate(commands) if isinstance(op, LaunchOp))
        second = next(i for i, op in enumerate(commands) if isinstance(op, DmaOp) and i > first)
        between = commands[first + 1 : second]
        assert len(between) == waits
        assert all(isinstance(op, WaitOp) and op.kind.data == "kernel" for op in between)


def test_a15_no_slice_is_overwritten_while_it_is_read_nor_read_before_it_is_there() -> None:
    module = exact(one(FIVE), [SPLIT, *LOWERING])
    ops = list(next(op for op in module.ops if isinstance(op, ProgramOp)).body.block.ops)
    commands = [op for op in ops if isinstance(op, LaunchOp | DmaOp | WaitOp)]
    for index, op in enumerate(commands):
        if isinstance(op, LaunchOp):
            assert any(isinstance(c, WaitOp) and c.kind.data == "dma" for c in commands[max(0, index - 2) : index])
    # From the third transfer on a buffer is used again: the kernel before the last one must be done.
    transfers = [i for i, op in enumerate(commands) if isinstance(op, DmaOp)]
    for index in transfers[2:]:
        before = commands[index - 1]
        assert isinstance(before, WaitOp)
        assert (before.kind.data, before.pending.data) == ("kernel", (1,))


def twice(bias: str) -> str:
    weights = "\n    %w = npu_schedule.constant dense<3> : tensor<16x1x1x16xi8>"
    text = ""
    for name, ifm, number in (("a", "%x", "0"), ("y", "%a", bias)):
        text += f"""
    %s{name} = npu_schedule.scales {{bias = dense<{number}> : tensor<16xi64>,
      multiplier = dense<1200000000> : tensor<16xi32>, shift = dense<38> : tensor<16xi8>}} : !npu_schedule.scales<16>
    %{name} = npu_schedule.conv2d {ifm}, %w, %s{name} window <1x1> zero_points <0, 0>
      scale <per_channel, double_round> activation <-128, 127> buffers <1>
      : (tensor<1x8x8x16xi8>, tensor<16x1x1x16xi8>, !npu_schedule.scales<16>) -> tensor<1x8x8x16xi8>"""
    return region(weights + text, 16, 16, 8, "y")


def test_a16_neighbours_with_equal_weights_share_one_buffer_and_one_transfer() -> None:
    found = lowered(twice("0"), SPLIT, CONVERT)
    assert len(found.transfers) == len(found.buffers) == 1
    assert found.freed(found.buffers[0]) > found.at(found.launches[1])
    exact(twice("0"), [SPLIT, *LOWERING])


def test_a16_equal_weights_with_other_scales_are_another_stream() -> None:
    """Scales stand in the stream: the buffer carries what the encoding of its own kernel contains."""
    assert len(lowered(twice("5"), SPLIT, CONVERT).transfers) == 2
    exact(twice("5"), [SPLIT, *LOWERING])


def test_dedicated_sram_takes_buffers_into_the_fast_memory() -> None:
    found = lowered(one(FIVE, target=DEDICATED), SPLIT, CONVERT)
    assert all(buffer.type.space == "fast" for buffer in found.buffers)
    whole = lowered(one(FIVE, target=DEDICATED), CONVERT)
    assert all(buffer.type.space == "fast" for buffer in whole.buffers)
    exact(one(FIVE, target=DEDICATED), [SPLIT, *LOWERING])


def test_nothing_is_buffered_where_constants_are_as_fast_as_the_arena() -> None:
    module = parse(one("", target='"ethos-u55-128", "Ethos_U55_High_End_Embedded", "Sram_Only"'))
    apply(module, ["npu-schedule-buffer-weights"])
    assert not any(isinstance(op, WeightBuffersOp) or "buffers" in op.properties for op in module.walk())


@examples(20)
@given(data=st.data())
def test_any_slices_and_buffers_are_exact_and_within_the_limit(data: st.DataObject) -> None:
    """Slices, buffers and room are chosen by the test, hoisting and the order of passes as well."""
    target = data.draw(st.sampled_from(['"ethos-u55-32"', U55, '"ethos-u55-256"', '"ethos-u65-256"', U65, DEDICATED]))
    depths = [16, *(16 * data.draw(st.integers(1, 5)) for _ in range(data.draw(st.integers(1, 2))))]
    height = data.draw(st.integers(1, 6))
    body = ""
    for number, ends in enumerate(pairwise(depths)):
        inner = data.draw(st.sets(st.integers(1, max(1, ends[1] // 16 - 1))))
        cuts = sorted({0, ends[1], *(16 * cut for cut in inner if 16 * cut < ends[1])})
        count = data.draw(st.sampled_from([None, 1, 2]))
        decisions = f"slices <{', '.join(map(str, cuts))}>" + (f" buffers <{count}>" if count else "")
        ifm = "%x" if number == 0 else f"%v{number - 1}"
        body += conv(f"v{number}", ifm, (ends[0], ends[1]), height, number, decisions)
    text = region(body, 16, depths[-1], height, f"v{len(depths) - 2}", target)
    split = [SPLIT] if data.draw(st.booleans()) else []
    base = parse(text)
    apply(base, [*split, CONVERT])
    room = data.draw(st.integers(0, 4096))
    usages = {space: max(live_ranges(base).usage(space)) for space in ("arena", "fast")}
    limited = text.replace("{npu.region}", f"{{npu.region, npu.sram_limit = {usages['arena'] + room} : i64}}", 1)
    module = exact(limited, [*split, CONVERT, "npu-cmd-hoist-dma", *PLACE])
    bound = module.attributes["npu.arena_bound"]
    assert isinstance(bound, IntegerAttr)
    assert bound.value.data <= usages["arena"] + room


@examples(12)
@given(data=st.data())
def test_planned_buffers_are_exact_and_within_the_limit(data: st.DataObject) -> None:
    """The planner decides, from nothing to plenty of room, and the allocated arena stays within the limit."""
    target = data.draw(st.sampled_from(['"ethos-u55-32"', U55, '"ethos-u55-256"', '"ethos-u65-256"', U65]))
    depths = [16, *(16 * data.draw(st.integers(1, 5)) for _ in range(data.draw(st.integers(1, 2))))]
    height = data.draw(st.integers(1, 6))
    body = ""
    for number, ends in enumerate(pairwise(depths)):
        ifm = "%x" if number == 0 else f"%v{number - 1}"
        body += conv(f"v{number}", ifm, (ends[0], ends[1]), height, number, "")
    text = region(body, 16, depths[-1], height, f"v{len(depths) - 2}", target)
    plain = parse(text)
    apply(plain, [CONVERT])
    limit = max(live_ranges(plain).usage("arena")) + data.draw(st.integers(0, 30000))
    limited = text.replace("{npu.region}", f"{{npu.region, npu.sram_limit = {limit} : i64}}", 1)
    split = [SPLIT] if data.draw(st.booleans()) else []
    chain = ["npu-schedule-select-blocks", "npu-schedule-buffer-weights", *split, CONVERT, "npu-cmd-hoist-dma", *PLACE]
    module = exact(limited, chain)
    used = module.attributes["npu.arena_size"]
    assert isinstance(used, IntegerAttr)
    assert used.value.data <= limit


@examples(40)
@given(st.integers(0, 10**6), st.sampled_from(['"ethos-u55-32"', U55, U65, DEDICATED]), st.booleans(), st.booleans())
def test_pinned_buffers_beyond_the_limit_leave_the_result_as_it_is(
    seed: int, target: str, split: bool, hoist: bool
) -> None:
    """Pinned buffers in random regions, and a limit that leaves room for none or few of them: exact all the same."""
    made = random_region(seed, target)
    wanted = evaluate(region_of(parse(made.text)), made.arguments)
    module = parse(made.text)
    region_of(module).attributes["npu.sram_limit"] = IntegerAttr(seed % 3 * 2048, 64)
    chain = ["npu-schedule-select-blocks", *[SPLIT] * split, CONVERT, *["npu-cmd-hoist-dma"] * hoist]
    found = execute(module, made.arguments, [*chain, *PLACE])
    assert not found.reports
    for have, want in zip(found.results, wanted, strict=True):
        np.testing.assert_array_equal(have, want)
