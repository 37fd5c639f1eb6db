"""
How long the machine takes: an estimate for one kernel launch in blocks of a given size, and for a DMA.

It steers choices and lets two command streams be compared by one model; it is no promise. Nobody outside Arm can time
each unit, so the rates are those of the model that Arm ships in vela, its coarse steps replaced by exact counts
(docs/hardware.md says which), and what is not known is a parameter with two ends (`npuc.hardware.parameters`). All
figures are cycles of the core, bytes, or elements.

MACs. The array multiplies the 8 channels of an IFM micro-block for all elements of an OFM micro-block in a cycle, and
stays with one micro-block for four of them: 32 channels of one kernel element (depth first; 16 channels of 16 bits), or
8 channels of 4 kernel elements (part kernel first; 2 of 16 bits), or 4 kernel elements of a depthwise kernel (16 bits:
at half speed), or one kernel element of a pool, at least four (16 bits: half speed but for 32 MACs). Such a *step* goes
over all micro-blocks of the block's area, but takes no less time than its weights need to be decoded: 4 cycles for each
channel of an OFM micro-block. A kernel of more than 8 rows or columns is walked in sub-kernels.

    steps(depth first)  = kernel elements * ceil(IFM depth / 32)
    steps(part kernel)  = sum over sub-kernels of ceil(elements / 4) * ceil(IFM depth / 8)
    mac(block)          = steps * max(weight decoding, 4 * micro-blocks of the area) * micro-blocks in depth, one core's

Output. An element of the OFM takes `Accelerator.output_rates` cycles; a block no less than its scales take to arrive.

Pipeline. While a block is output the next is calculated, and four blocks are under way at most, so that no stage can be
quicker than a quarter of a block's whole way, including the latency of the memories that it comes from and goes to:

    compute = sum over blocks of max(mac, output, quarter) + min(mac, output) of the last

Memory. Every OFM block fetches what it needs of the IFM again, for every sub-kernel and, unless each channel depends
on one channel only, for every block in depth; every block of the area reads all weights again; scales are read and the
OFM is written once. A transfer shorter than a burst takes as long as one. What uses one port adds up. A memory gives no
more than its rate, and than what it has under way in its latency (`Memory.read_rate`, `write_rate`); the weights of a
core get no more than that core has under way (`Memory.weight_rate`):

    port = sum over transfers of bytes * max(1, burst length / run of consecutive bytes) / rate
    cycles = start + max(compute, port 0, port 1, weights / weight rate)

DMA. Read and write go on together, unless they use one port: start + max(latency + bytes / rate) of both ends.

Commands. The command stream lies with the constants. Its words arrive at the rate of that memory, and each takes the
command processor a cycle. It is fetched ahead, so that commands cost time only where kernels are shorter than the
arrival of what launches them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from heapq import heapify, heappop, heappush
from math import ceil
from typing import Literal, NamedTuple

from npuc.hardware.accelerators import MAX_SUBKERNEL, Accelerator, Block
from npuc.hardware.memory import Area, Memory, MemorySetup
from npuc.hardware.parameters import CostParameters
from npuc.hardware.shram import BRICK, Dims, Format, Kernel, acc_bits, block_extents, illegal_reason, layout, round_up

BLOCKS_IN_FLIGHT = 4
SCALE_BYTES = 10
"""Of one channel's bias, scale and shift in the scale stream."""
SCALE_BURST = 256
LONGEST_NHWC_WRITE = 64
WEIGHTS_PER_CYCLE = 8
NEARLY = 1 / 128
"""Share of its time for which a better block is not looked for."""
LAUNCH_WORDS = 27
"""Words of a command stream that set up and start a kernel between kernels of other kinds."""
DMA_WORDS = 8
"""Words of a command stream that set up and start a transfer."""
WORD_BYTES = 4
OPERATIONS_AHEAD = 2
"""So many kernels and transfers before its turn the commands of an operation can be fetched."""
PORT_WEIGHT = 1 / 8
"""What a cycle of a busy port, which a DMA could have had, counts in the choice of blocks."""


class Places(NamedTuple):
    """Which areas the operands of a kernel lie in."""

    ifm: Area = "cache"
    ifm2: Area = "cache"
    ofm: Area = "cache"
    weights: Area = "constants"
    """Weights, and scales where these are not apart."""
    scales: Area | None = None
    """Scales that are apart from the weights."""


class KernelCost(NamedTuple):
    """What one kernel launch takes."""

    cycles: int
    """The whole launch with all its blocks, if nothing else uses the machine or its ports."""
    compute_cycles: int
    """The same without regard to memory bandwidth."""
    mac_cycles: int
    output_cycles: int
    port_cycles: tuple[int, int]
    """Time that each AXI port is busy."""
    fill_cycles: int
    """From launch to the first block's IFM in SHRAM, and from the last element's output to its being in memory: to be
    added where no neighbouring kernel overlaps."""
    macs: int
    """Multiply-accumulates that the operator is defined by."""
    blocks: int
    ifm_read: int
    """Bytes; so are all that follow."""
    ifm2_read: int
    weights_read: int
    scales_read: int
    ofm_written: int

    @property
    def traffic(self) -> int:
        """All bytes moved."""
        return self.ifm_read + self.ifm2_read + self.weights_read + self.scales_read + self.ofm_written


def _subkernels(size: int, dilation: int) -> list[int]:
    """Elements of the parts that a kernel of `size` elements along an axis is walked in."""
    step = MAX_SUBKERNEL // dilation
    return [min(step, size - start) for start in range(0, size, step)]


def mac_steps(kernel: Kernel, part_kernel: bool) -> int:
    """Steps of the MAC array over the area of a block; see the module's text. 0 for elementwise kernels."""
    if kernel.kind == "elementwise":
        return 0
    parts = [
        height * width
        for height in _subkernels(kernel.kernel[0], kernel.dilation[0])
        for width in _subkernels(kernel.kernel[1], kernel.dilation[1])
    ]
    if kernel.kind == "depthwise":
        return sum(-(-part // 4) for part in parts)
    if kernel.kind in ("max_pool", "avg_pool"):
        return sum(max(4, part) for part in parts)
    if part_kernel:
        step = 2 if kernel.ifm_bits == 16 else 4
        return sum(-(-part // step) for part in parts) * -(-kernel.ifm.depth // 8)
    return sum(parts) * -(-kernel.ifm.depth // (16 if kernel.ifm_bits == 16 else 32))


def macs(kernel: Kernel) -> int:
    """Multiply-accumulates that the operator is defined by; comparisons and additions of pools count."""
    if kernel.kind == "elementwise":
        return 0
    of_one = kernel.kernel[0] * kernel.kernel[1] * (1 if kernel.by_channel else kernel.ifm.depth)
    return kernel.ofm.elements * of_one


def raw_weight_bytes(kernel: Kernel) -> int:
    """Bytes of the weights before encoding: what is assumed where the encoded size is not known."""
    if kernel.kind not in ("conv", "depthwise"):
        return 0
    depth = kernel.ifm.depth if kernel.kind == "conv" else 1
    return kernel.kernel[0] * kernel.kernel[1] * depth * kernel.ofm.depth


def _output_rate(acc: Accelerator, kernel: Kernel) -> float:
    rates = acc.output_rates
    if kernel.kind == "elementwise":
        if kernel.ifm_bits == 32:
            rate = rates.binary32 if kernel.binary else rates.unary32
        elif kernel.operation == "mul":
            rate = rates.mul_to_32 if kernel.ofm_bits == 32 else rates.mul
        else:
            rate = rates.add if kernel.operation in ("add", "sub") else rates.other
    elif kernel.kind == "max_pool":
        rate = rates.max_pool
    else:
        rate = rates.mul if acc_bits(kernel) == 40 else rates.other
    return max(rate, rates.lut) if kernel.lut else rate


def least_output_cycles(acc: Accelerator, kernel: Kernel) -> float:
    """Cycles in which the output stage makes the OFM of a kernel, in whatever blocks."""
    return _output_rate(acc, kernel) * kernel.ofm.elements


class _Stream(NamedTuple):
    """Cycles that one byte takes on its port, with and without loss by short accesses."""

    port: int
    per_byte: float
    shortest_access: int

    def cycles(self, size: float, run: int) -> float:
        return size * self.per_byte * max(1.0, self.shortest_access / run)


def _reads(memory: Memory) -> _Stream:
    return _Stream(port_of(memory), 1 / memory.read_rate, memory.shortest_access)


def _writes(memory: Memory) -> _Stream:
    return _Stream(port_of(memory), 1 / memory.write_rate, memory.shortest_access)


def _stored_depth(depth: int, layout: Format) -> int:
    return round_up(depth, BRICK) if layout == "nhcwb16" else depth


class _Axis(NamedTuple):
    """How many rows (or columns) of the IFM, as upscaled, the blocks along an axis fetch."""

    for_each: int
    """For each row of the OFM, over all sub-kernels."""
    for_block: int
    """More for each block, where windows reach into the next; negative where strides leave gaps."""
    padding: int
    window: int
    """Of one sub-kernel, less one stride."""
    stride: int

    def fetched(self, size: int, blocks: int) -> int:
        """For an OFM of `size` in so many blocks; padding is not fetched."""
        return max(1, size * self.for_each + blocks * self.for_block - self.padding)

    def at_once(self, size: int) -> int:
        """For a block of `size`."""
        return size * self.stride + self.window


def _axis(size: int, dilation: int, stride: int, padding: int, nearest: int) -> _Axis:
    # A part of p elements makes n outputs from (n - 1) * stride + (p - 1) * dilation + 1 inputs.
    spans = [(part - 1) * dilation + 1 + nearest for part in _subkernels(size, dilation)]
    return _Axis(len(spans) * stride, sum(spans) - len(spans) * stride, padding, max(spans) - stride, stride)


@dataclass(frozen=True, eq=False)
class _Model:
    """What the cost of a launch needs whatever its block is."""

    acc: Accelerator
    kernel: Kernel
    one_row: bool
    """Both rows of the OFM micro-block serve a one-row OFM, as twice the columns."""
    steps: int
    least_step: int
    """Cycles in which a step's weights are decoded."""
    area_step: int
    """Cycles that a step spends on one micro-block."""
    rate: float
    latency: int
    """Of an IFM block's read and an OFM block's write."""
    scale_latency: float
    """Cycles in which the scales of one channel arrive."""
    rows: _Axis
    columns: _Axis
    upscale: int
    ifm_depth: int
    """Channels fetched at once, as stored; 0: those of the OFM block."""
    ifm: _Stream
    ifm2: _Stream
    ofm: _Stream
    weights: _Stream
    scales: _Stream
    weight_bytes: int
    """Of the whole stream, read once."""
    weight_rate: float
    """Bytes a cycle in which weights arrive."""
    scale_bytes: int
    parameters: CostParameters


@lru_cache(maxsize=1024)
def _model(acc: Accelerator, setup: MemorySetup, kernel: Kernel, places: Places, weight_bytes: int) -> _Model:
    bits16 = kernel.ifm_bits == 16
    weighted = kernel.kind not in ("max_pool", "avg_pool", "elementwise")
    area_step = 4 if weighted else 1
    if bits16 and (kernel.kind == "depthwise" or (not weighted and acc.macs > 32)):
        area_step *= 2
    scaled = kernel.kind in ("conv", "depthwise")
    top, bottom, left, right = kernel.pad
    nearest = int(kernel.upscale == "nearest")
    ifm, ifm2, ofm, weights = (setup.memory(area) for area in places[:4])
    scales = weights if places.scales is None else setup.memory(places.scales)
    return _Model(
        acc,
        kernel,
        kernel.kind == "conv" and kernel.ofm.height == 1 and kernel.kernel[0] == 1 and acc.ofm_ublock.height == 2,
        mac_steps(kernel, kernel.part_kernel),
        32 * acc.ofm_ublock.depth // WEIGHTS_PER_CYCLE if weighted else 0,
        area_step,
        _output_rate(acc, kernel),
        ifm.read_latency + ofm.write_latency,
        SCALE_BYTES * scales.read_latency / SCALE_BURST if scaled else 0.0,
        _axis(kernel.kernel[0], kernel.dilation[0], kernel.stride[0], top + bottom, nearest),
        _axis(kernel.kernel[1], kernel.dilation[1], kernel.stride[1], left + right, nearest),
        1 if kernel.upscale == "none" else 2,
        0 if kernel.by_channel else 16 if bits16 or kernel.part_kernel else 32,
        _reads(ifm),
        _reads(ifm2),
        _writes(ofm),
        _reads(weights),
        _reads(scales),
        weight_bytes,
        weights.weight_rate,
        SCALE_BYTES * kernel.ofm.depth if scaled else 0,
        setup.parameters,
    )


def _pieces(size: int, step: int) -> tuple[tuple[int, int], ...]:
    """The blocks along an axis: (their size, how many)."""
    full, rest = divmod(size, step)
    if not full:
        return ((rest, 1),)
    return ((step, full), (rest, 1)) if rest else ((step, full),)


def _area(model: _Model, height: int, width: int) -> int:
    """Micro-blocks of a block's area."""
    unit = model.acc.ofm_ublock
    if model.one_row:
        return -(-width // (unit.height * unit.width))
    return -(-height // unit.height) * -(-width // unit.width)


class _Compute(NamedTuple):
    steady: float
    """Of all blocks, one behind the other."""
    drain: float
    """More, until the last block is out."""
    mac: float
    output: float


def _compute(model: _Model, block: Block) -> _Compute:
    """Cycles of the pipeline, see the module's text."""
    kernel, unit, cores = model.kernel, model.acc.ofm_ublock, model.acc.cores
    steady = total_mac = total_output = drain = 0.0
    # Elementwise kernels work on the padding of bricks, too.
    depth = _stored_depth(kernel.ofm.depth, kernel.ofm_format) if kernel.kind == "elementwise" else kernel.ofm.depth
    depths = [(-(-piece // cores), count) for piece, count in _pieces(depth, block.depth)]
    for height, down in _pieces(kernel.ofm.height, block.height):
        for width, across in _pieces(kernel.ofm.width, block.width):
            step = model.steps * max(model.least_step, model.area_step * _area(model, height, width))
            element = model.rate * height * width
            for core_depth, deep in depths:
                mac = step * -(-core_depth // unit.depth)
                output = max(element, model.scale_latency) * core_depth * cores
                count = down * across * deep
                steady += max(mac, output, (model.latency + mac + output) / BLOCKS_IN_FLIGHT) * count
                total_mac += mac * count
                total_output += output * count
                drain = min(mac, output)
    return _Compute(steady, drain, total_mac, total_output)


class _Traffic(NamedTuple):
    """Bytes, and cycles on each port."""

    ifm: int
    ifm2: int
    weights: int
    ofm: int
    port0: float
    port1: float
    weight_stream: float
    """Cycles in which the weights arrive, with the port to themselves."""


def _run(depth_at_once: int, columns: int, dims: Dims, layout: Format, apart: bool, element: int) -> int:
    """
    Consecutive bytes of a feature map in a block: a row of a brick, or of whole pixels, or one pixel, or part of it.
    """
    columns = min(columns, 1 if apart and layout == "nhwc" else dims.width)
    if layout == "nhcwb16":
        return BRICK * columns * element
    return dims.depth * columns * element if depth_at_once >= dims.depth else depth_at_once * element


def _second_operand(kernel: Kernel, ifm2: Dims, blocks: tuple[int, int, int], again: bool) -> int:
    """
    Elements of IFM2 that a launch fetches, in so many blocks along height, width and depth; `again` is
    `CostParameters.broadcast_fetched_again`.

    Blocks follow each other in depth, then along the width, then down. Each fetches its part of IFM2, unless it is the
    very part of the block before, as where IFM2 is broadcast.
    """
    down, across, deep = blocks
    elements = _stored_depth(ifm2.depth, kernel.ifm2_format)
    if not again:
        return elements * ifm2.height * ifm2.width
    changes = deep > 1 and ifm2.depth == kernel.ofm.depth
    for own, whole, count in ((ifm2.width, kernel.ofm.width, across), (ifm2.height, kernel.ofm.height, down)):
        if own == whole:
            elements *= own
            changes = changes or count > 1
        elif changes:
            elements *= count
    return elements


def _traffic(model: _Model, block: Block) -> _Traffic:
    """What a launch moves, see the module's text."""
    kernel = model.kernel
    ofm, ifm, ifm2 = kernel.ofm, kernel.ifm, kernel.ifm2
    down, across, deep = -(-ofm.height // block.height), -(-ofm.width // block.width), -(-ofm.depth // block.depth)
    ifm_element, ofm_element = kernel.ifm_bits // 8, kernel.ofm_bits // 8
    ports = [0.0, 0.0]

    rows = -(-model.rows.fetched(ofm.height, down) // model.upscale)
    columns = -(-model.columns.fetched(ofm.width, across) // model.upscale)
    depth = _stored_depth(ifm.depth, kernel.ifm_format) * (1 if kernel.by_channel else deep)
    ifm_bytes = rows * columns * depth * ifm_element
    at_once = model.ifm_depth or block.depth
    at_once_wide = -(-model.columns.at_once(block.width) // model.upscale)
    run = _run(at_once, at_once_wide, ifm, kernel.ifm_format, kernel.ifm_apart, ifm_element)
    ports[model.ifm.port] += model.ifm.cycles(ifm_bytes, run)

    ifm2_bytes = 0
    if ifm2 is not None and not kernel.ifm2_scalar:
        ifm2_bytes = (
            _second_operand(kernel, ifm2, (down, across, deep), model.parameters.broadcast_fetched_again) * ifm_element
        )
        run = _run(block.depth, block.width, ifm2, kernel.ifm2_format, kernel.ifm2_apart, ifm_element)
        ports[model.ifm2.port] += model.ifm2.cycles(ifm2_bytes, run)

    weight_bytes = model.weight_bytes * down * across
    ports[model.weights.port] += weight_bytes * model.weights.per_byte
    ports[model.scales.port] += model.scale_bytes * model.scales.per_byte

    ofm_bytes = ofm.height * ofm.width * _stored_depth(ofm.depth, kernel.ofm_format) * ofm_element
    run = _run(block.depth, block.width, ofm, kernel.ofm_format, kernel.ofm_apart, ofm_element)
    if kernel.ofm_format == "nhwc":
        run = min(run, LONGEST_NHWC_WRITE)
    written = model.ofm.cycles(ofm_bytes, run)
    port = model.ofm.port
    ports[port] = max(ports[port], written) if model.parameters.duplex else ports[port] + written
    return _Traffic(
        ifm_bytes, ifm2_bytes, weight_bytes, ofm_bytes, ports[0], ports[1], weight_bytes / model.weight_rate
    )


def _fill(model: _Model, block: Block) -> float:
    """Cycles before the first block can be worked on, and after the last one has been."""
    kernel = model.kernel
    ofm = kernel.ofm
    rows = min(model.rows.at_once(min(block.height, ofm.height)) // model.upscale, kernel.ifm.height)
    columns = min(model.columns.at_once(min(block.width, ofm.width)) // model.upscale, kernel.ifm.width)
    depth = min(model.ifm_depth or block.depth, kernel.ifm.depth)
    arrival = max(1, rows) * max(1, columns) * depth * (kernel.ifm_bits // 8) * model.ifm.per_byte
    return model.parameters.fill_share * (model.latency + arrival)


@lru_cache(maxsize=16384)
def kernel_cost(
    acc: Accelerator,
    setup: MemorySetup,
    kernel: Kernel,
    block: Block,
    places: Places = Places(),  # noqa: B008 (a constant)
    weight_bytes: int | None = None,
) -> KernelCost:
    """
    What `kernel` takes in OFM blocks of `block`, which is legal (`illegal_reason`); ValueError if it is not.

    `weight_bytes`: the encoded weights without scales, of all cores; None assumes a byte a weight.
    """
    problem = illegal_reason(acc, kernel, block)
    if problem is not None:
        raise ValueError(problem)
    model = _model(acc, setup, kernel, places, raw_weight_bytes(kernel) if weight_bytes is None else weight_bytes)
    compute = _compute(model, block)
    traffic = _traffic(model, block)
    total = compute.steady + compute.drain
    start = setup.parameters.start_cycles
    return KernelCost(
        ceil(max(total, traffic.port0, traffic.port1, traffic.weight_stream)) + start,
        ceil(total) + start,
        ceil(compute.mac),
        ceil(compute.output),
        (ceil(traffic.port0), ceil(traffic.port1)),
        ceil(_fill(model, block)),
        macs(kernel),
        -(-kernel.ofm.height // block.height)
        * -(-kernel.ofm.width // block.width)
        * -(-kernel.ofm.depth // block.depth),
        traffic.ifm,
        traffic.ifm2,
        traffic.weights,
        model.scale_bytes,
        traffic.ofm,
    )


def fetch_cycles(setup: MemorySetup, words: int) -> int:
    """Cycles until so many words of a command stream have arrived, one behind the other."""
    return max(words, ceil(words * WORD_BYTES / setup.constants.read_rate))


def launch_cycles(setup: MemorySetup, cycles: int, fill_cycles: int) -> int:
    """Cycles from launch to launch of a kernel in a row of launches none of which overlap."""
    return max(cycles + fill_cycles, fetch_cycles(setup, LAUNCH_WORDS))


def port_of(memory: Memory) -> int:
    """The number of the AXI port that a memory hangs on, an index of `KernelCost.port_cycles`."""
    return int(memory.port == "Axi1")


def idle_cycles(cost: KernelCost, memory: Memory) -> int:
    """Cycles of a launch in which the port of a memory has nothing to do."""
    return max(0, cost.cycles - cost.port_cycles[port_of(memory)])


class _Sizes(NamedTuple):
    """The block sizes that cut an axis into equally many pieces."""

    pieces: int
    sizes: Sequence[int]
    """Ascending."""


def _by_pieces(size: int, steps: Sequence[int]) -> list[_Sizes]:
    """Block sizes, given ascending, by the pieces that they cut an axis of `size` into."""
    found: dict[int, list[int]] = {}
    for step in steps:
        found.setdefault(-(-size // step), []).append(step)
    return [_Sizes(*item) for item in found.items()]


class _Score(NamedTuple):
    """How good a block is; less is better."""

    total: float
    moved: int


def _score(model: _Model, block: Block) -> _Score:
    compute, traffic = _compute(model, block), _traffic(model, block)
    busy = (traffic.port0 + traffic.port1) * PORT_WEIGHT
    return _Score(
        max(compute.steady + compute.drain, traffic.port0, traffic.port1, traffic.weight_stream) + busy,
        traffic.ifm + traffic.ifm2 + traffic.weights + traffic.ofm,
    )


def _least_compute(model: _Model, depth: int, down: int, across: int) -> float:
    """What `_compute` does not fall short of in blocks of so many channels, at least `down` times `across` of them."""
    kernel, unit, cores = model.kernel, model.acc.ofm_ublock, model.acc.cores
    ofm = kernel.ofm
    stored = _stored_depth(ofm.depth, kernel.ofm_format) if kernel.kind == "elementwise" else ofm.depth
    depths = [(-(-piece // cores), count) for piece, count in _pieces(stored, depth)]
    if model.one_row:
        area = -(-ofm.width // (unit.height * unit.width))
    else:
        area = -(-ofm.height // unit.height) * -(-ofm.width // unit.width)
    blocks = down * across
    mac = model.steps * max(model.least_step * blocks, model.area_step * area)
    mac *= sum(-(-piece // unit.depth) * count for piece, count in depths)
    output = max(model.rate * ofm.height * ofm.width, model.scale_latency * blocks)
    output *= sum(piece * count for piece, count in depths) * cores
    waits = model.latency * blocks * sum(count for _, count in depths)
    return max(mac, output, (waits + mac + output) / BLOCKS_IN_FLIGHT)


class _Search:
    """
    The search for the best block of one launch, best bound first.

    A *band* is all blocks of one depth whose heights cut the OFM into equally many pieces; its *cells* are the blocks
    whose widths do, too. What a launch moves depends on these counts, but for longer runs in wider blocks.
    """

    def __init__(self, acc: Accelerator, kernel: Kernel, model: _Model):
        self.acc, self.kernel, self.model = acc, kernel, model
        heights, widths, self.depths = block_extents(acc, kernel.ofm)
        self.heights = _by_pieces(kernel.ofm.height, heights)
        self.widths = _by_pieces(kernel.ofm.width, widths)
        self.best: tuple[float, int, Block] | None = None

    def run(self) -> Block | None:
        """The best block; None if none is legal."""
        queue: list[tuple[float, int, int, int, int]] = []
        """
        Bands and cells by their bounds, of equals the narrower: depth, index of widths (-1 for a band), index of
        heights, last index of widths.
        """
        for depth in self.depths:
            last = len(self.widths)
            for row in range(len(self.heights)):
                # Taller blocks are no wider.
                while last and not self._fits(self.heights[row].sizes[0], self.widths[last - 1].sizes[0], depth):
                    last -= 1
                if not last:
                    break
                queue.append((self._bound(depth, row, last - 1), depth, -1, row, last - 1))
        heapify(queue)
        while queue:
            bound, depth, column, row, last = heappop(queue)
            if not self._gains(bound):
                break
            if column >= 0:
                self._score(bound, depth, row, column)
                continue
            for column in range(last + 1):
                if self._gains(bound := self._bound(depth, row, column, column)):
                    heappush(queue, (bound, depth, column, row, column))
        return None if self.best is None else self.best[2]

    def _fits(self, *block: int) -> bool:
        return layout(self.acc, self.kernel, Block(*block)) is not None

    def _gains(self, bound: float) -> bool:
        """Whether blocks that do not fall short of `bound` could be worth a change."""
        return self.best is None or bound < self.best[0] * (1 - NEARLY)

    def _bound(self, depth: int, row: int, last: int, first: int = 0) -> float:
        """What no block of a band falls short of, from the widths of index `first` to those of index `last`."""
        model, rows = self.model, self.heights[row]
        compute = _least_compute(model, depth, rows.pieces, self.widths[last].pieces)
        traffic = _traffic(model, Block(rows.sizes[0], self.widths[last].sizes[-1], depth))
        port0, port1 = traffic.port0, traffic.port1
        compute = max(compute, traffic.weight_stream)
        if model.columns.for_block < 0 and first < last:
            # Strides leave gaps between blocks, which narrow blocks do not read; the rest grows with their number.
            port0 = port1 = 0.0
        return max(compute, port0, port1) + (port0 + port1) * PORT_WEIGHT

    def _score(self, bound: float, depth: int, row: int, column: int) -> None:
        """Score the blocks of a cell, as far as they can gain."""
        for height in self.heights[row].sizes:
            for width in self.widths[column].sizes:
                if not self._gains(bound) or not self._fits(height, width, depth):
                    break
                block = Block(height, width, depth)
                score = _score(self.model, block)
                if self.best is None or (*score, block[::-1]) < (*self.best[:2], self.best[2][::-1]):
                    self.best = (score.total, score.moved, block)


@lru_cache(maxsize=4096)
def best_block(
    acc: Accelerator,
    setup: MemorySetup,
    kernel: Kernel,
    places: Places = Places(),  # noqa: B008 (a constant)
    weight_bytes: int | None = None,
) -> Block:
    """
    The legal block in which `kernel` takes the fewest estimated cycles, `PORT_WEIGHT` of its ports' time added, or one
    that takes at most `NEARLY` of that more; of equals the one that moves fewer bytes, then the smallest by depth,
    height and width. ValueError if no block is legal.
    """
    model = _model(acc, setup, kernel, places, raw_weight_bytes(kernel) if weight_bytes is None else weight_bytes)
    block = _Search(acc, kernel, model).run()
    if block is None:
        raise ValueError(f"no legal block for {kernel.kind} to {kernel.ofm} on {acc.name}")
    return block


Bound = Literal["mac", "weights", "output", "latency", "port 0", "port 1"]
"""
What a launch is no quicker than: the MAC array; weights, that is their arrival or decoding; the output stage; the way
of a block through the pipeline; one of the two AXI ports.
"""


@lru_cache(maxsize=16384)
def bound_of(
    acc: Accelerator,
    setup: MemorySetup,
    kernel: Kernel,
    block: Block,
    places: Places = Places(),  # noqa: B008 (a constant)
    weight_bytes: int | None = None,
) -> Bound:
    """Which of the terms of `kernel_cost` for the same launch decides."""
    cost = kernel_cost(acc, setup, kernel, block, places, weight_bytes)
    if cost.cycles > cost.compute_cycles:
        busiest = max(range(2), key=lambda port: cost.port_cycles[port])
        if cost.cycles - setup.parameters.start_cycles > cost.port_cycles[busiest]:
            return "weights"
        return "port 0" if busiest == 0 else "port 1"
    if 2 * max(cost.mac_cycles, cost.output_cycles) < cost.compute_cycles:
        return "latency"
    if cost.output_cycles > cost.mac_cycles:
        return "output"
    model = _model(acc, setup, kernel, places, raw_weight_bytes(kernel) if weight_bytes is None else weight_bytes)
    area = _area(model, min(block.height, kernel.ofm.height), min(block.width, kernel.ofm.width))
    return "weights" if model.area_step * area < model.least_step else "mac"


class DmaCost(NamedTuple):
    """What one transfer takes."""

    cycles: int
    """If nothing else uses its ports."""
    port_cycles: tuple[int, int]
    """Time that each AXI port is busy."""


def dma_cost(source: Memory, destination: Memory | None, length: int) -> DmaCost:
    """What a DMA of `length` bytes takes; `destination` None is SHRAM, which does not limit it."""
    ports = [0, 0]
    read = round_up(length, source.shortest_access) / source.read_rate
    ports[port_of(source)] = ceil(read)
    cycles = source.read_latency + read
    parameters = source.parameters
    if destination is not None:
        write = round_up(length, destination.shortest_access) / destination.write_rate
        port = port_of(destination)
        ports[port] = max(ports[port], ceil(write)) if parameters.duplex else ports[port] + ceil(write)
        cycles = max(cycles, destination.write_latency + write, ports[port])
    return DmaCost(ceil(parameters.start_cycles + cycles), (ports[0], ports[1]))


def dma_cycles(source: Memory, destination: Memory | None, length: int) -> int:
    """Cycles that a DMA of `length` bytes takes, if nothing else uses its ports."""
    return dma_cost(source, destination, length).cycles


@lru_cache(maxsize=256)
def dma_between(source: Memory, destination: Memory | None) -> Callable[[int], int]:
    """`dma_cycles` from one memory to another, which remembers sizes: planners ask about few, again and again."""
    return lru_cache(maxsize=16384)(partial(dma_cycles, source, destination))
