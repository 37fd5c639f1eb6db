"""
Executes one command stream on its regions, operation by operation, in program order.

Whole operations are vectorised. What the operations touched goes to the hazard check, which judges the order. A state
that the rules of docs/simulator.md do not cover is an ExecutionError, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from npuc.hardware import registers
from npuc.simulator import arithmetic, shram
from npuc.simulator.convolution import (
    WeightLayout,
    Window,
    convolve,
    convolve_depthwise,
    load_weights,
    pool,
)
from npuc.simulator.hazards import HazardChecker
from npuc.simulator.memory import (
    Access,
    ExecutionError,
    FeatureMap,
    Memory,
    Region,
    Report,
    feature_map,
    is_written,
    mark_written,
    span,
    writes_twice,
)
from npuc.simulator.products import Product
from npuc.simulator.stream import Op, Program
from npuc.simulator.weights import Scales, WeightStreamError, decode_scale_stream

Integers = NDArray[np.int64]
Trace = Callable[[Op, Sequence[Access], Sequence[Access], "NDArray | None"], None]
"""Called after each kernel and DMA: operation, reads, writes, and the values of its OFM (height, width, depth)."""

_DTYPES = {(0, 0): "u1", (0, 1): "i1", (1, 1): "i2", (2, 1): "i4"}
_CLIP_RANGES = {2: np.dtype("u1"), 3: np.dtype("i1"), 5: np.dtype("i2")}


# Never scaled: with a global scale the register is read, but no stream has another than 1 there.
_UNSCALED = frozenset({"MIN", "MAX", "CLZ", "SHR", "SHL"})
_NARROW = frozenset({"u1", "i1", "i2"})
_WIDE = frozenset({"i4"})
# Types of the IFM that each operation takes, and those of the OFM; None where it is the IFM's own.
_TYPES = {
    "CONV": (_NARROW, _NARROW | _WIDE),
    "DEPTHWISE": (_NARROW, _NARROW | _WIDE),
    "POOL MAX": (_NARROW, None),
    "POOL AVERAGE": (_NARROW, _NARROW),
    "POOL REDUCE_SUM": (_NARROW | _WIDE, _NARROW | _WIDE),
    **{f"ELEMENTWISE {mode}": (_NARROW | _WIDE, _NARROW | _WIDE) for mode in ("MUL", "ADD", "SUB")},
    **{f"ELEMENTWISE {mode}": (_NARROW | _WIDE, None) for mode in ("MIN", "MAX")},
    **{f"ELEMENTWISE {mode}": (_NARROW, None) for mode in ("ABS", "LRELU")},
    **{f"ELEMENTWISE {mode}": (_WIDE, None) for mode in ("CLZ", "SHL")},
    "ELEMENTWISE SHR": (_WIDE, _NARROW | _WIDE),
}
# From one type to another that is shown for these alone: SQUARED_DIFFERENCE by regor widens its operands so.
_WIDENED = {("POOL AVERAGE", "i1", "i4")}
# Largest kernels, dilated: rows, and rows by columns.
_LARGEST_KERNEL = {"CONV": (64, 4096), "DEPTHWISE": (64, 4096), "POOL": (256, 65536)}
_LARGEST_STRIDE = 3
_LARGEST_PADDED_AVERAGE = 8
_LARGEST_PADDED_INPUT = 1 << 28
_PADS = ("IFM_PAD_TOP", "IFM_PAD_BOTTOM", "IFM_PAD_LEFT", "IFM_PAD_RIGHT")


def _check_types(op: Op, ifm: np.dtype, ofm: np.dtype) -> None:
    name = f"{op.name} {op.mode}".rstrip()
    takes, gives = _TYPES[name]
    if (name, ifm.str[1:], ofm.str[1:]) in _WIDENED:
        return
    if ifm.str[1:] not in takes or (ifm != ofm if gives is None else ofm.str[1:] not in gives):
        raise ExecutionError(f"{op} takes {ifm.name} to {ofm.name}, for which no rule is proven")


def _of_type(op: Op, register: str, dtype: np.dtype) -> int:
    """A zero point or scalar; one beyond its 8-bit type is read in more than one way."""
    value = op.signed(register)
    if dtype.itemsize == 1 and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        raise ExecutionError(f"{op} has NPU_SET_{register} {value}, which is no {dtype.name}")
    return value


def _dtype(op: Op, register: str) -> np.dtype:
    key = op.get(register, "precision"), op.get(register, "type")
    if key not in _DTYPES:
        raise ExecutionError(f"{op} has NPU_SET_{register} of an unsigned type wider than 8 bits")
    return np.dtype(_DTYPES[key])


@dataclass(slots=True)
class OutputStage:
    """What lies between accumulator and OFM: scaling, zero point, activation, clipping, lookup."""

    op: Op
    dtype: np.dtype
    multiplier: Integers | int
    shift: Integers | int
    rounding: int
    zero_point: int
    low: int
    high: int
    function: int
    table: NDArray | None
    index_base: int
    saturate_only: bool

    def finish(self, values: Integers, scaled: bool) -> NDArray:
        """Accumulators to OFM elements; `scaled` False where the operation has no scaling."""
        if scaled:
            values = self.scaled(values)
        if self.saturate_only:
            # A 32-bit OFM without lookup takes no zero point and no clip.
            return np.clip(values, -(1 << 31), (1 << 31) - 1).astype(self.dtype)
        if self.zero_point:
            values = values + self.zero_point
        if self.function == 3:
            values = arithmetic.tanh(values)
        elif self.function == 4:
            values = arithmetic.sigmoid(values)
        values = np.clip(values, self.low, self.high)
        if self.table is not None:
            if self.table.dtype == np.uint32:
                values = np.clip(arithmetic.lookup16(values, self.table), -32768, 32767)
            else:
                return self.table[values - self.index_base]
        return values.astype(self.dtype)

    def scaled(self, values: Integers) -> Integers:
        try:
            return arithmetic.scale(values, self.multiplier, self.shift, self.rounding, arithmetic.magnitude(values))
        except (NotImplementedError, OverflowError) as error:
            raise ExecutionError(f"{self.op}: {error}") from None


@dataclass(slots=True)
class Executor:
    """Runs programs of one product on its regions; SHRAM lives as long as the executor."""

    product: Product
    regions: Mapping[int, Region]
    operator: int = 0
    trace: Trace | None = None
    reports: list[Report] = field(default_factory=list)
    shrams: list[Memory] = field(default_factory=list)

    def __post_init__(self):
        self.shrams = [Memory(f"SHRAM of core {core}", self.product.banks * 1024) for core in range(self.product.cores)]

    def run(self, program: Program) -> None:
        """Executes to NPU_OP_STOP; raises ExecutionError at an operation that cannot be executed."""
        hazards = HazardChecker(self.product, self.operator, self.reports)
        for op in program.ops:
            if op.is_kernel:
                reads, writes, ofm, jobs = self.kernel(op)
                hazards.kernel(op, reads, writes, jobs)
                if self.trace:
                    self.trace(op, reads, writes, ofm)
            elif op.name == "DMA_START":
                reads, writes = self.dma(op)
                hazards.dma(op, reads, writes)
                if self.trace:
                    self.trace(op, reads, writes, None)
            elif op.name == "DMA_WAIT":
                hazards.dma_wait(op)
            elif op.name == "KERNEL_WAIT":
                hazards.kernel_wait(op)

    def report(self, kind: str, op: Op, message: str) -> None:
        self.reports.append(Report(kind, f"{op} {message}", (op.word,), self.operator))

    def region(self, op: Op, register: str) -> Region:
        index = op.state[register] & 7
        region = self.regions.get(index)
        if region is None:
            raise ExecutionError(f"{op} uses region {index}, which the operator does not provide")
        return region

    def check_read(self, op: Op, access: Access) -> None:
        if not is_written(access):
            self.report(
                "uninitialised",
                op,
                f"reads {access.what} at bytes {access.low:#x}..{access.high:#x} of {access.memory.name}, "
                "of which some were never written",
            )

    def check_write(self, op: Op, access: Access, region: Region) -> None:
        if region.read_only:
            raise ExecutionError(f"{op} writes {access.what} to {region}, which is read-only")

    # -- DMA

    def dma(self, op: Op) -> tuple[list[Access], list[Access]]:
        length = op.state["DMA0_LEN"]
        for register in ("DMA0_SRC_REGION", "DMA0_DST_REGION"):
            if op.get(register, "stride_mode"):
                raise ExecutionError(f"{op} is a 2D or 3D DMA, for which no rule is proven")
        if op.get("DMA0_SRC_REGION", "internal"):
            raise ExecutionError(f"{op} reads SHRAM, for which no rule is proven")
        if not length:
            raise ExecutionError(f"{op} has length 0")
        internal = op.get("DMA0_DST_REGION", "internal")
        aligned = [("length", length)] if internal or not self.product.u65 else []
        if not self.product.u65:
            aligned += [("source", op.state["DMA0_SRC"]), ("destination", op.state["DMA0_DST"])]
        elif internal:
            aligned.append(("destination", op.state["DMA0_DST"]))
        for what, value in aligned:
            if value % 16:
                self.report("alignment", op, f"has a {what} of {value:#x}, which is no multiple of 16")
        region = self.region(op, "DMA0_SRC_REGION")
        read = span("its source", region, op, op.state["DMA0_SRC"], length)
        data = read.memory.data[read.low : read.high]
        defined = read.memory.written[read.low : read.high]
        lanes = read.memory.lanes[read.low : read.high]
        # Lengths are rounded up to 16, so the last 15 bytes may be nobody's, and a map in bricks comes with all its
        # lanes; what is undefined stays so where it arrives.
        if not (defined | lanes)[: max(length - 15, 1)].all():
            self.check_read(op, span("its source", region, op, op.state["DMA0_SRC"], max(length - 15, 1)))
        writes: list[Access] = []
        if internal:
            mask = op.get("DMA0_DST_REGION", "region")
            if mask & ((1 << self.product.cores) - 1) == 0:
                raise ExecutionError(f"{op} has core mask {mask}, which names no core of {self.product.name}")
            if op.state["DMA0_DST"] < self.product.lut_base:
                raise ExecutionError(f"{op} writes SHRAM below its lookup tables, for which no rule is proven")
            for core, memory in enumerate(self.shrams):
                if mask >> core & 1:
                    shared = Region(0, memory, 0, memory.size)
                    writes.append(span("its destination", shared, op, op.state["DMA0_DST"], length))
        else:
            region = self.region(op, "DMA0_DST_REGION")
            writes.append(span("its destination", region, op, op.state["DMA0_DST"], length))
            self.check_write(op, writes[0], region)
        for write in writes:
            write.memory.data[write.low : write.high] = data
            write.memory.written[write.low : write.high] = defined
            write.memory.lanes[write.low : write.high] = lanes
        return [read], writes

    # -- kernels

    def kernel(self, op: Op) -> tuple[list[Access], list[Access], NDArray, shram.Jobs]:
        if self.product.u65 and op.get("PARALLEL_MODE", "mode") != self.product.cores - 1:
            mode = op.get("PARALLEL_MODE", "mode")
            raise ExecutionError(
                f"{op} runs with PARALLEL_MODE {mode} on {self.product.name}, for which no rule is proven"
            )
        if op.get("ACC_FORMAT", "format") == 2:
            raise ExecutionError(f"{op} has 16-bit floating point accumulators, for which no rule is proven")
        reads: list[Access] = []
        ofm_type = _dtype(op, "OFM_PRECISION")
        _check_types(op, _dtype(op, "IFM_PRECISION"), ofm_type)
        size = tuple(op.state[f"OFM_{axis}_M1"] + 1 for axis in ("HEIGHT", "WIDTH", "DEPTH"))
        bits40 = self.product.u65
        ofm_region = self.region(op, "OFM_REGION")
        ofm = feature_map(op, "OFM", ofm_region, bits40, ofm_type, (size[0], size[1], size[2]))
        write = ofm.access()
        self.check_write(op, write, ofm_region)
        if writes_twice(write):
            raise ExecutionError(f"{op} has an OFM whose strides or tiles put two elements at one byte")
        stage = self.output_stage(op, ofm_type, reads)
        if op.mode in _UNSCALED and (stage.multiplier, stage.shift) != (1, 0):
            raise ExecutionError(f"{op} has an OFM_SCALE other than 1, for which no rule is proven")
        if op.name == "ELEMENTWISE":
            maps, values = self.elementwise(op, ofm, stage, reads)
        elif op.name == "POOL":
            maps, values = self.pool(op, ofm, stage, reads)
        else:
            maps, values = self.convolution(op, ofm, stage, reads)
        layout = shram.check(op, self.product, maps, ofm, lambda kind, text: self.report(kind, op, text))
        ofm.write(write, values)
        mark_written(write)
        if ofm.stored_depth > ofm.depth:
            write = ofm.access(tuple(ofm.pieces(c=(0, ofm.stored_depth))))
            for piece in ofm.pieces(c=(ofm.depth, ofm.stored_depth)):
                piece.view(write.memory.written)[...] = False
                piece.view(write.memory.lanes)[...] = True
        writes = [write, *self.clobber(op, layout)]
        return reads, writes, values, shram.Jobs(op, self.product, maps, ofm)

    def clobber(self, op: Op, layout: shram.Layout) -> list[Access]:
        """Accumulators and input buffers leave nothing defined of a lookup table that lies below them."""
        start, end = self.product.lut_base, layout.end * 1024
        if end <= start or layout.uses_lut:
            return []
        for memory in self.shrams:
            memory.written[start:end] = False
        return [
            span("the lookup tables with its buffers", Region(0, memory, 0, memory.size), op, start, end - start)
            for memory in self.shrams
        ]

    def read_map(self, op: Op, fm: FeatureMap, reads: list[Access]) -> NDArray:
        access = fm.access()
        self.check_read(op, access)
        reads.append(access)
        return fm.read(access)

    def output_stage(self, op: Op, dtype: np.dtype, reads: list[Access]) -> OutputStage:
        multiplier: int | Integers = 1
        shift: int | Integers = 0
        if "OFM_SCALE" in op.state:
            multiplier = op.state["OFM_SCALE"] & 0xFFFF_FFFF
            shift = op.state["OFM_SCALE"] >> 32
        function = op.get("ACTIVATION", "function")
        clip = op.get("ACTIVATION", "clip_range")
        table = None
        index_type = _CLIP_RANGES[clip] if clip else dtype
        if function >= 16:
            table = self.lookup_table(op, function - 16, dtype, index_type, reads)
        elif clip:
            raise ExecutionError(f"{op} forces a clip range without a lookup table, for which no rule is proven")
        saturate_only = dtype.itemsize == 4 and table is None
        low, high = op.signed("ACTIVATION_MIN"), op.signed("ACTIVATION_MAX")
        if not saturate_only:
            limits = np.iinfo(index_type)
            low, high = max(low, int(limits.min)), min(high, int(limits.max))
            if low > high:
                raise ExecutionError(f"{op} has an empty clip range {low}..{high}")
        zero_point = op.signed("OFM_ZERO_POINT")
        if function in (3, 4):
            if dtype != np.int16:
                raise ExecutionError(f"{op} has TANH or SIGMOID on a {dtype.name} OFM, for which no rule is proven")
            if zero_point:
                raise ExecutionError(f"{op} has TANH or SIGMOID with a zero point, for which no rule is proven")
        rounding = op.get("OFM_PRECISION", "round")
        base = int(np.iinfo(index_type).min)
        return OutputStage(
            op, dtype, multiplier, shift, rounding, zero_point, low, high, function, table, base, saturate_only
        )

    def lookup_table(self, op: Op, slot: int, dtype: np.dtype, index_type: np.dtype, reads: list[Access]) -> NDArray:
        if index_type.itemsize == 1:
            entry, length = dtype, 256 * dtype.itemsize
            if dtype.itemsize == 2:
                raise ExecutionError(f"{op} looks up 16-bit values by 8-bit indices, for which no rule is proven")
        elif index_type == np.int16 and dtype == np.int16:
            entry, length = np.dtype("u4"), 2048
        else:
            raise ExecutionError(f"{op} looks up {dtype.name} by {index_type.name}, for which no rule is proven")
        address = self.product.lut_base + 256 * slot
        if (256 * slot) % length:
            raise ExecutionError(f"{op} has a {length}-byte table in slot {slot}, which is not aligned to its size")
        tables: list[NDArray] = []
        for memory in self.shrams:
            access = span("its lookup table", Region(0, memory, 0, memory.size), op, address, length)
            self.check_read(op, access)
            reads.append(access)
            tables.append(memory.data[address : address + length].view(entry))
        if any((table != tables[0]).any() for table in tables):
            raise ExecutionError(f"{op} has different lookup tables in its two cores")
        return tables[0].copy()

    # -- convolution and pooling

    def window(self, op: Op, ofm: FeatureMap) -> Window:
        y, x = registers.strides(op.state["KERNEL_STRIDE"])
        dilation = op.get("KERNEL_STRIDE", "dilation_y") + 1, op.get("KERNEL_STRIDE", "dilation_x") + 1
        height, width = op.state["KERNEL_HEIGHT_M1"], op.state["KERNEL_WIDTH_M1"]
        rows, elements = _LARGEST_KERNEL[op.name]
        if height + 1 > rows or (height + 1) * (width + 1) > elements:
            raise ExecutionError(f"{op} has a {height + 1} x {width + 1} kernel, larger than the NPU takes")
        if max(y, x) > _LARGEST_STRIDE:
            raise ExecutionError(f"{op} has strides {y} x {x}, for which no rule is proven")
        if height % dilation[0] or width % dilation[1]:
            raise ExecutionError(f"{op} has a {height + 1} x {width + 1} kernel that its dilation does not divide")
        kernel = height // dilation[0] + 1, width // dilation[1] + 1
        return Window((y, x), dilation, kernel, (ofm.height, ofm.width))

    def input_map(self, op: Op, window: Window, depth: int) -> tuple[FeatureMap, tuple[int, int]]:
        """The IFM and the extent (rows, columns) it has after up-scaling and without its padding."""
        extents: list[int] = []
        for axis, low, high, size in ((0, "TOP", "BOTTOM", "HEIGHT"), (1, "LEFT", "RIGHT", "WIDTH")):
            total = (window.output[axis] - 1) * window.stride[axis] + op.state[f"KERNEL_{size}_M1"] + 1
            extents.append(total - op.state[f"IFM_PAD_{low}"] - op.state[f"IFM_PAD_{high}"])
        factor = 2 if op.state["IFM_UPSCALE"] else 1
        size = -(-extents[0] // factor), -(-extents[1] // factor), depth
        region = self.region(op, "IFM_REGION")
        fm = feature_map(op, "IFM", region, self.product.u65, _dtype(op, "IFM_PRECISION"), size)
        return fm, (extents[0], extents[1])

    def padded_input(
        self, op: Op, fm: FeatureMap, extent: tuple[int, int], values: NDArray, fill: int, kind: type
    ) -> NDArray:
        """Zero-point-corrected, up-scaled and padded input."""
        zero = 0 if fm.dtype.itemsize == 4 else _of_type(op, "IFM_ZERO_POINT", fm.dtype)
        data = values.astype(kind)
        if zero:
            data -= zero
        rows, columns = extent
        upscale = op.state["IFM_UPSCALE"]
        if upscale == 1:
            data = data.repeat(2, axis=0).repeat(2, axis=1)[:rows, :columns]
        elif upscale == 2:
            spread = np.zeros((2 * fm.height, 2 * fm.width, fm.depth), kind)
            spread[::2, ::2] = data
            data = spread[:rows, :columns]
        pads = [op.state[name] for name in _PADS]
        if not any(pads):
            return data
        size = (rows + pads[0] + pads[1]) * (columns + pads[2] + pads[3]) * fm.depth
        if size > _LARGEST_PADDED_INPUT:
            raise ExecutionError(f"{op} has an IFM of {size} elements with its padding, more than the simulator holds")
        padded = np.full((rows + pads[0] + pads[1], columns + pads[2] + pads[3], fm.depth), fill, kind)
        padded[pads[0] : pads[0] + rows, pads[2] : pads[2] + columns] = data
        return padded

    def convolution(
        self, op: Op, ofm: FeatureMap, stage: OutputStage, reads: list[Access]
    ) -> tuple[list[FeatureMap], NDArray]:
        depthwise = op.name == "DEPTHWISE"
        window = self.window(op, ofm)
        if op.get("KERNEL_STRIDE", "decomposition"):
            raise ExecutionError(f"{op} has 4x4 kernel decomposition, for which no rule is proven")
        depth = ofm.depth if depthwise else op.state["IFM_DEPTH_M1"] + 1
        ifm, extent = self.input_map(op, window, depth)
        values = self.read_map(op, ifm, reads)
        weights = self.weights(op, ifm, ofm, window, depthwise, reads)
        global_scale = bool(op.get("OFM_PRECISION", "scale_mode"))
        if global_scale:
            raise ExecutionError(f"{op} has a global scale, so no bias: no rule is proven")
        scales = self.scales(op, ofm.depth, reads)
        stage.multiplier, stage.shift = scales.scale, scales.shift
        zero = op.signed("IFM_ZERO_POINT")
        limits = np.iinfo(ifm.dtype)
        largest = max(abs(int(limits.min) - zero), abs(int(limits.max) - zero))
        kind = np.float32 if largest * weights.largest_sum < 1 << 24 else np.float64
        padded = self.padded_input(op, ifm, extent, values, 0, kind)
        step = convolve_depthwise if depthwise else convolve
        result = np.empty((ofm.height, ofm.width, ofm.depth), ofm.dtype)
        self.finish_rows(op, step(padded, largest, weights, window), scales, stage, result)
        return [ifm], result

    def finish_rows(
        self, op: Op, rows: Iterable[tuple[int, int, Integers]], scales: Scales, stage: OutputStage, result: NDArray
    ) -> None:
        for first, end, accumulators in rows:
            accumulators += scales.bias
            self.check_accumulators(op, accumulators)
            result[first:end] = stage.finish(accumulators, True).reshape(end - first, *result.shape[1:])

    def check_accumulators(self, op: Op, values: Integers) -> None:
        limit = 1 << 31 if op.get("ACC_FORMAT", "format") == 0 else 1 << 39
        if arithmetic.magnitude(values) >= limit:
            self.report("overflow", op, f"has accumulators beyond {limit.bit_length()} bits")

    def streams(self, op: Op, kind: str, cores: int) -> list[tuple[Region, int, int]]:
        region = self.region(op, f"{kind}_REGION")
        names = [kind, kind + "1"][:cores]
        return [(region, op.state[name + "_BASE"], op.state[name + "_LENGTH"]) for name in names]

    def active_cores(self, op: Op, kind: str, depth: int) -> int:
        """Core 1 has no channel, and so no stream, where the OFM is one channel deep."""
        cores = self.product.cores
        if cores == 2 and depth == 1:
            if op.state[kind + "1_LENGTH"]:
                raise ExecutionError(f"{op} gives core 1 {kind.lower()}s, but it has no channel")
            return 1
        return cores

    def weights(self, op: Op, ifm: FeatureMap, ofm: FeatureMap, window: Window, depthwise: bool, reads: list[Access]):
        cores = self.active_cores(op, "WEIGHT", ofm.depth)
        block = op.state["OFM_BLK_DEPTH_M1"] + 1
        data: list[bytes] = []
        layouts: list[WeightLayout] = []
        for core, (region, base, length) in enumerate(self.streams(op, "WEIGHT", cores)):
            if base % 16 or length % 16 or not length:
                raise ExecutionError(f"{op} has weights of {length} bytes at {base:#x}: no multiples of 16")
            access = span("its weights", region, op, base, length)
            self.check_read(op, access)
            reads.append(access)
            data.append(access.memory.data[access.low : access.high].tobytes())
            layouts.append(
                WeightLayout(
                    (ofm.depth + self.product.cores - 1 - core) // self.product.cores,
                    window.kernel[0],
                    window.kernel[1],
                    1 if depthwise else ifm.depth,
                    depthwise,
                    bool(op.get("KERNEL_STRIDE", "weight_order")),
                    ifm.dtype.itemsize == 2,
                    (block + self.product.cores - 1 - core) // self.product.cores,
                    self.product.ublock[2],
                    8 // window.dilation[0],
                    8 // window.dilation[1],
                )
            )
        try:
            return load_weights(tuple(data), tuple(layouts))
        except WeightStreamError as error:
            raise ExecutionError(f"{op}: {error}") from None

    def scales(self, op: Op, depth: int, reads: list[Access]) -> Scales:
        cores = self.active_cores(op, "SCALE", depth)
        bias = np.zeros(depth, np.int64)
        scale, shift = bias.copy(), bias.copy()
        for core, (region, base, length) in enumerate(self.streams(op, "SCALE", cores)):
            if length % 16:
                raise ExecutionError(f"{op} has scales of {length} bytes, no multiple of 16")
            channels = len(range(core, depth, self.product.cores))
            # Only the entries are read; the bytes that fill up the length need never have been written.
            access = span("its scales", region, op, base, length)
            used = span("its scales", region, op, base, min(10 * channels, length))
            self.check_read(op, used)
            reads.append(access)
            try:
                part = decode_scale_stream(access.memory.data[access.low : access.high], channels)
            except ValueError as error:
                raise ExecutionError(f"{op}: {error}") from None
            bias[core :: self.product.cores] = part.bias
            scale[core :: self.product.cores] = part.scale
            shift[core :: self.product.cores] = part.shift
        return Scales(bias, scale, shift)

    def pool(
        self, op: Op, ofm: FeatureMap, stage: OutputStage, reads: list[Access]
    ) -> tuple[list[FeatureMap], NDArray]:
        window = self.window(op, ofm)
        if window.dilation != (1, 1):
            raise ExecutionError(f"{op} is a dilated pool, for which no rule is proven")
        pads = [op.state[name] for name in _PADS]
        if op.mode == "REDUCE_SUM":
            if any(pads):
                raise ExecutionError(f"{op} is padded, for which no rule is proven")
            return self.reduce_sum(op, ofm, stage, window, reads)
        height, width = window.kernel
        ifm, extent = self.input_map(op, window, ofm.depth)
        if max(pads[:2]) >= height or max(pads[2:]) >= width:
            raise ExecutionError(f"{op} has windows that lie in the padding as a whole: of nothing there is no result")
        values = self.read_map(op, ifm, reads)
        global_scale = bool(op.get("OFM_PRECISION", "scale_mode"))
        if op.mode == "MAX":
            padded = self.padded_input(op, ifm, extent, values, -(1 << 40), np.int64)
            result = pool(padded, window, largest=True)
            return [ifm], stage.finish(result, False)
        padded = self.padded_input(op, ifm, extent, values, 0, np.int64)
        sums = pool(padded, window, largest=False)
        self.check_accumulators(op, sums)
        if not any(pads):
            if not global_scale:
                raise ExecutionError(f"{op} has neither padding nor a global scale, for which no rule is proven")
            return [ifm], stage.finish(sums, True)
        if max(window.kernel) > _LARGEST_PADDED_AVERAGE:
            raise ExecutionError(f"{op} has a {height} x {width} kernel and padding, larger than the NPU takes")
        if (stage.multiplier, stage.shift) != (1, 0):
            raise ExecutionError(f"{op} is padded and has an OFM_SCALE other than 1, for which no rule is proven")
        if op.signed("IFM_ZERO_POINT") or op.signed("OFM_ZERO_POINT"):
            raise ExecutionError(f"{op} is padded and has zero points, for which no rule is proven")
        ones = np.ones((ifm.height, ifm.width, 1), np.int64)
        inside = self.padded_input(op, _unit(ifm), extent, ones + op.signed("IFM_ZERO_POINT"), 0, np.int64)
        return [ifm], stage.finish(arithmetic.divide_by_count(sums, pool(inside, window, largest=False)), False)

    def reduce_sum(
        self, op: Op, ofm: FeatureMap, stage: OutputStage, window: Window, reads: list[Access]
    ) -> tuple[list[FeatureMap], NDArray]:
        if window.kernel != (1, 1) or window.stride != (1, 1) or ofm.depth != 1 or op.state["IFM_UPSCALE"]:
            raise ExecutionError(f"{op} has a kernel, stride, up-scaling or OFM depth that a sum over depth has not")
        ifm, extent = self.input_map(op, window, op.state["IFM_DEPTH_M1"] + 1)
        values = self.read_map(op, ifm, reads)
        if ifm.brick and (ifm.dtype.itemsize == 4 or self.product.cores > 1):
            raise ExecutionError(f"{op} has an NHCWB16 IFM, for which no rule is proven")
        if not op.get("OFM_PRECISION", "scale_mode"):
            raise ExecutionError(f"{op} has no global scale, for which no rule is proven")
        padded = self.padded_input(op, ifm, extent, values, 0, np.int64)
        sums = padded.sum(axis=2, keepdims=True)
        self.check_accumulators(op, sums)
        return [ifm], stage.finish(sums, True)

    # -- elementwise

    def elementwise(
        self, op: Op, ofm: FeatureMap, stage: OutputStage, reads: list[Access]
    ) -> tuple[list[FeatureMap], NDArray]:
        size = ofm.height, ofm.width, ofm.depth
        dtype = _dtype(op, "IFM_PRECISION")
        ifm = feature_map(op, "IFM", self.region(op, "IFM_REGION"), self.product.u65, dtype, size)
        maps = [ifm]
        wide = dtype.itemsize == 4
        first = self.read_map(op, ifm, reads).astype(np.int64)
        if not wide:
            first -= _of_type(op, "IFM_ZERO_POINT", dtype)
        if op.mode in registers.UNARY_ELEMENTWISE:
            return maps, self.unary(op, first, stage)
        if _dtype(op, "IFM2_PRECISION") != dtype:
            raise ExecutionError(f"{op} has operands of different types")
        if op.get("IFM2_BROADCAST", "scalar"):
            second = np.full((1, 1, 1), _of_type(op, "IFM2_SCALAR", dtype), np.int64)
        else:
            extents = [
                1 if op.get("IFM2_BROADCAST", bit) else extent
                for bit, extent in zip(("broadcast_h", "broadcast_w", "broadcast_c"), size, strict=True)
            ]
            region = self.region(op, "IFM2_REGION")
            ifm2 = feature_map(op, "IFM2", region, self.product.u65, dtype, (extents[0], extents[1], extents[2]))
            maps.append(ifm2)
            second = self.read_map(op, ifm2, reads).astype(np.int64)
        if not wide:
            second -= _of_type(op, "IFM2_ZERO_POINT", dtype)
        if op.get("IFM2_BROADCAST", "reverse_operands"):
            first, second = second, first
        result = self.wide_binary(op, first, second, stage) if wide else self.binary(op, dtype, first, second, stage)
        return maps, np.broadcast_to(result, size)

    def unary(self, op: Op, values: Integers, stage: OutputStage) -> NDArray:
        scaled = bool(op.get("OFM_PRECISION", "scale_mode"))
        if op.mode == "CLZ":
            return stage.finish(arithmetic.leading_zeros(values), False)
        if op.mode == "ABS":
            return stage.finish(np.abs(values), scaled)
        if not scaled:
            raise ExecutionError(f"{op} has no global scale, for which no rule is proven")
        return stage.finish(np.where(values < 0, stage.scaled(np.minimum(values, 0)), values), False)

    def binary(self, op: Op, dtype: np.dtype, a: Integers, b: Integers, stage: OutputStage) -> NDArray:
        scaled = bool(op.get("OFM_PRECISION", "scale_mode"))
        if op.mode == "MUL":
            product = a * b
            self.check_accumulators(op, product)
            return stage.finish(product, scaled)
        if op.mode in ("MIN", "MAX"):
            return stage.finish(np.minimum(a, b) if op.mode == "MIN" else np.maximum(a, b), False)
        mode = op.get("IFM_PRECISION", "scale_mode")
        opa = op.state["OPA_SCALE"]
        if mode == 0:
            if opa >> 16:
                raise ExecutionError(f"{op} has an OPA_SCALE beyond 16 bits, or with a shift, in scale mode 0")
            a = a * opa
            b = b * op.state["OPB_SCALE"]
        else:
            if op.get("IFM_PRECISION", "round") != arithmetic.DOUBLE:
                raise ExecutionError(f"{op} rounds its operand otherwise than double, for which no rule is proven")
            if op.state["OPB_SCALE"]:
                raise ExecutionError(f"{op} has an OPB_SCALE in scale mode {mode}, for which no rule is proven")
            bits = 20 if dtype.itemsize == 1 else 15
            factor, shift = opa & 0xFFFF_FFFF, opa >> 32
            operand = a if mode == 1 else b
            operand = arithmetic.scale(
                operand, factor, shift, arithmetic.DOUBLE, arithmetic.magnitude(operand), first=31 - bits
            )
            a, b = (operand, b << bits - 1) if mode == 1 else (a << bits - 1, operand)
        total = a + b if op.mode == "ADD" else a - b
        self.check_accumulators(op, total)
        if mode == 0 and dtype.itemsize == 1 and scaled and stage.rounding == arithmetic.DOUBLE:
            # Two readings of the machine differ here, and no stream of Arm's tells which is right (docs/simulator.md):
            # one rounding, half away from zero, or two. Where they agree there is nothing to decide.
            once = arithmetic.divide_ties_away(total * stage.multiplier, np.asarray(stage.shift, np.int64))
            if not np.array_equal(once, stage.scaled(total)):
                self.report("inferred", op, "relies on how 8-bit scale mode 0 rounds, which is not proven")
            return stage.finish(once, False)
        return stage.finish(total, scaled)

    def wide_binary(self, op: Op, a: Integers, b: Integers, stage: OutputStage) -> NDArray:
        """32-bit operands: an exact result, of whose OFM_SCALE only the shift counts."""
        if op.mode in ("MIN", "MAX"):
            return stage.finish(np.minimum(a, b) if op.mode == "MIN" else np.maximum(a, b), False)
        if op.mode == "SHL":
            if int(b.min()) < 0 or int(b.max()) > 31:
                raise ExecutionError(f"{op} shifts by {int(b.min())}..{int(b.max())}, for which no rule is proven")
            result = a << b
            if arithmetic.magnitude(result) > 1 << 31 or int(result.max()) == 1 << 31:
                self.report("overflow", op, "shifts bits out of 32, for which no rule is proven")
            return stage.finish(result, False)
        if op.mode == "SHR":
            if int(b.min()) < 0 or int(b.max()) > 31:
                raise ExecutionError(f"{op} shifts by {int(b.min())}..{int(b.max())}, for which no rule is proven")
            if stage.rounding != arithmetic.NATURAL:
                raise ExecutionError(f"{op} rounds otherwise than natural, for which no rule is proven")
            return stage.finish(arithmetic.scale(a, 1, b, arithmetic.NATURAL, arithmetic.magnitude(a)), False)
        if op.mode != "MUL" and (
            (op.state["OPA_SCALE"], op.state["OPB_SCALE"]) != (1, 1) or op.get("IFM_PRECISION", "scale_mode")
        ):
            raise ExecutionError(f"{op} scales 32-bit operands, for which no rule is proven")
        result = a * b if op.mode == "MUL" else a + b if op.mode == "ADD" else a - b
        stage.multiplier = 1
        return stage.finish(result, bool(op.get("OFM_PRECISION", "scale_mode")))


def _unit(ifm: FeatureMap) -> FeatureMap:
    """The same map one channel deep, to count the elements that a window covers."""
    return FeatureMap(
        ifm.what,
        ifm.region,
        ifm.op,
        ifm.dtype,
        ifm.brick,
        ifm.height,
        ifm.width,
        1,
        ifm.stride_y,
        ifm.stride_x,
        ifm.stride_c,
        ifm.tiles,
    )
