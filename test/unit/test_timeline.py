"""The cost model of whole programs: order of events, waits and BLOCKDEP, on programs small enough to follow."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Literal, cast

import pytest

from npuc.analysis.accesses import Accesses, Span, box_spans, map_spans
from npuc.analysis.timeline import Event, Timeline, timeline
from npuc.dialects.npu import Element, IntsAttr
from npuc.dialects.npu_cmd import AllocOp, FeatureMap, LaunchOp, ProgramOp, Tiles
from npuc.hardware.accelerators import accelerator
from npuc.hardware.cycles import LAUNCH_WORDS, fetch_cycles
from npuc.hardware.memory import MemorySetup, memory_setup
from npuc.hardware.parameters import CostParameters
from npuc.tools.ir import make_context, parse_text

POOL = """
npu_cmd.pool max ifm %x <16x16x16xi8, nhwc> ofm %y <16x16x16xi8, nhwc> window <1x1> scale <1, shift 0, natural>
  activation <-128, 127> block <8x8x16> shram <ib_end 6, ab_start 14, acc 32> {blockdep}
  : !npu.buffer<4096, arena>, !npu.buffer<4096, arena>
"""
HEAD = """
%x = npu_cmd.input index <0> address <0> : !npu.buffer<4096, arena>
%y = npu_cmd.output index <0> address <4096> : !npu.buffer<4096, arena>
%c = npu_cmd.constant address <0> dense<0> : tensor<4096xui8> -> !npu.buffer<4096, read_only>
%b = npu_cmd.alloc address <8192> : !npu.buffer<4096, arena>
"""
DMA = "npu_cmd.dma from %c to %b size <4096> : !npu.buffer<4096, read_only>, !npu.buffer<4096, arena>\n"


MACHINE = accelerator("ethos-u55-128")
DEFAULT_SETUP = memory_setup(MACHINE)
COMMANDS = fetch_cycles(DEFAULT_SETUP, LAUNCH_WORDS)


def run(*commands: str, setup: MemorySetup = DEFAULT_SETUP) -> Timeline:
    text = f"npu_cmd.program @p {{ {HEAD} {' '.join(commands)} npu_cmd.stop }}"
    module = parse_text(make_context(), text.encode(), "test")
    (program,) = (op for op in module.ops if isinstance(op, ProgramOp))
    return timeline(program, MACHINE, setup)


def pool(blockdep: int) -> str:
    return POOL.replace("{blockdep}", f"blockdep <{blockdep}>")


def test_transfer_runs_beside_kernel() -> None:
    both = run(DMA, pool(0))
    transfer, kernel = both.events
    assert (transfer.start, kernel.start) == (0, COMMANDS)
    assert both.cycles == max(transfer.end, kernel.end)


def test_short_kernels_wait_for_their_commands() -> None:
    """Two kernels of one row are over before what launches the third has arrived."""
    tiny = pool(3).replace("16x16x16", "1x1x16").replace("8x8x16", "1x2x16")
    quick = DEFAULT_SETUP.with_parameters(CostParameters(start_cycles=0))
    kernels = run(*[tiny] * 6, setup=quick).events
    assert all(event.end - event.start < COMMANDS for event in kernels)
    starts = [event.start for event in kernels]
    assert [later - earlier for earlier, later in pairwise(starts)] == [COMMANDS] * 5
    long = [event.start for event in run(pool(3), pool(3), tiny).events]
    assert long[2] - long[1] > COMMANDS, "behind kernels that take longer commands are fetched ahead"


def test_wait_holds_the_kernel() -> None:
    transfer, kernel = run(DMA, "npu_cmd.wait dma pending <0>", pool(0)).events
    assert kernel.start == transfer.end
    assert kernel.stall == transfer.end


def test_one_outstanding_transfer_on_u55() -> None:
    first, second, kernel = run(DMA, DMA, pool(0)).events
    assert second.start == first.end
    assert kernel.start == first.end, "the command processor stands until the second transfer has been issued"


CONV = """
npu_cmd.conv ifm %x <16x16x16xi8, nhwc> ofm %y <16x16x16xi8, nhwc> weights {where} <160, 1024> scales {where} <0, 160>
  window <1x1> scale <per_channel, double_round> activation <-128, 127> block <2x2x16>
  shram <ib_end 6, ab_start 14, acc 32> blockdep <0>
  : !npu.buffer<4096, arena>, !npu.buffer<4096, arena>, !npu.buffer<4096, {space}>, !npu.buffer<4096, {space}>
"""


def test_a_transfer_shares_the_port_with_a_kernel_that_reads_in_place() -> None:
    """With 2x2 blocks the kernel reads its weights 64 times: from flash that is all that the port can do."""
    alone = run(DMA).cycles
    in_place = CONV.replace("{where}", "%c").replace("{space}", "read_only")
    buffered = CONV.replace("{where}", "%d").replace("{space}", "arena")
    more = "%d = npu_cmd.alloc address <12288> : !npu.buffer<4096, arena>\n"
    (kernel,) = run(more, in_place).events
    for both in (run(more, in_place, DMA), run(more, DMA, in_place)):
        times = {event.is_kernel: event.end - event.start for event in both.events}
        assert times[False] == pytest.approx(2 * alone, rel=0.1)
        assert times[True] == pytest.approx(kernel.end - kernel.start + alone, rel=0.1)
    _, transfer = run(more, buffered, DMA).events
    assert transfer.end - transfer.start == alone


def test_blockdep_hides_the_fill() -> None:
    waiting, overlapping = run(pool(0), pool(0)), run(pool(0), pool(3))
    cost = waiting.events[1].cost
    assert cost is not None
    assert waiting.cycles - overlapping.cycles == cost.fill_cycles > 0


def test_lives_end_with_the_last_read() -> None:
    found = run(pool(0), DMA)
    spans = {(life.span.start, life.writer is None): life for life in found.lives("arena")}
    assert spans[0, True].end == found.events[0].end, "the input is needed until the kernel has read it"
    assert spans[8192, False].writer is found.events[1]
    assert found.high_water("arena") == 8192 + 4096


def test_what_is_written_in_part_lives_on_in_part() -> None:
    half = DMA.replace("to %b", "to %b <1024>").replace("size <4096>", "size <1024>")
    reader = pool(0).replace("ifm %x", "ifm %b")
    found = run(DMA, half, "npu_cmd.wait dma pending <0>", reader)
    first, second, kernel = found.events
    lives = {(life.span.start, life.span.end): (life.start, life.end) for life in found.lives("arena")}
    assert lives[9216, 10240] == (second.start, kernel.end)
    assert lives[8192, 9216] == lives[10240, 12288] == (first.start, kernel.end)
    assert lives[4096, 8192] == (kernel.start, found.cycles)


def test_lives_are_those_of_every_byte() -> None:
    """However spans cut each other, what is said of a range is what is true of each byte of it."""
    draw = random.Random(4)
    for _ in range(200):
        events: list[Event] = []
        for index in range(12):
            spans = [Span("arena", at, at + draw.randint(1, 8)) for at in draw.choices(range(16), k=2)]
            touched = Accesses((spans[0],), (spans[1],) if draw.random() < 0.6 else ())
            op = cast(LaunchOp, None)
            events.append(
                Event(index, op, index * 10, index * 10 + draw.randint(1, 25), 0, None, {}, {}, touched, (0, 0))
            )
        found = Timeline(events)
        by_byte: dict[int, list[tuple[int, int, Event | None]]] = {at: [] for at in range(24)}
        for event in events:
            for at in range(24):
                lives = by_byte[at]
                if any(span.start <= at < span.end for span in event.touched.reads):
                    start, end, writer = lives.pop() if lives else (0, 0, None)
                    lives.append((start, max(end, event.end), writer))
                if any(span.start <= at < span.end for span in event.touched.writes):
                    if lives:  # in place: no byte is held twice
                        start, end, writer = lives.pop()
                        lives.append((start, max(start, min(end, event.start)), writer))
                    lives.append((event.start, event.end, event))
        for lives in by_byte.values():
            if lives and lives[-1][2] is not None and lives[-1][1] == lives[-1][2].end:
                lives[-1] = (lives[-1][0], found.cycles, lives[-1][2])
        said: dict[int, list[tuple[int, int, Event | None]]] = {at: [] for at in range(24)}
        for life in found.lives("arena"):
            for at in range(life.span.start, life.span.end):
                said[at].append((life.start, life.end, life.writer))
        for at in range(24):
            assert sorted(said[at], key=_order) == sorted(by_byte[at], key=_order)


def _order(life: tuple[int, int, Event | None]) -> tuple[int, int, int]:
    start, end, writer = life
    return start, end, -1 if writer is None else writer.index


@pytest.mark.parametrize("layout", ["nhwc", "nhcwb16"])
def test_a_map_is_one_span_a_tile_however_tall(layout: Literal["nhwc", "nhcwb16"]) -> None:
    buffer = AllocOp(1 << 30, "arena")
    buffer.address = IntsAttr((4096,))
    tall = FeatureMap(30000, 8, 24, Element(8, True), layout, 0, 64, 512, 24, 128, Tiles(6, 20000, 10000, 77, 99, 33))
    spans = map_spans(buffer.result, tall)
    rows = box_spans(buffer.result, tall, (0, 30000, 0, 8, 0, 24))
    assert len(spans) <= 4 < len(rows)
    assert {min(r.start for r in rows), max(r.end for r in rows)} <= {edge for s in spans for edge in (s.start, s.end)}
    assert all(any(s.start <= row.start and row.end <= s.end for s in spans) for row in rows)


@pytest.mark.parametrize("area", ["arena", "constants"])
def test_traffic(area: str) -> None:
    read, written = run(DMA, pool(0)).traffic()[area]
    assert (read, written) == {"constants": (4096, 0), "arena": (4096, 8192)}[area]
