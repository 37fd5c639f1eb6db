"""
One NPU region becomes one program: roots become buffers, kernels become launches, cascades are unrolled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.dialects.builtin import StringAttr, UnitAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.exceptions import VerifyException

from npuc.analysis.storage import Storage, storage_bytes, tensor_type
from npuc.analysis.weights import buffer_sizes, constant_of
from npuc.dialects import npu_cmd
from npuc.dialects.launch import padding
from npuc.dialects.locations import OperationError, concerning
from npuc.dialects.npu import (
    EXTERNAL_REGIONS,
    Activation,
    ActivationAttr,
    BlockAttr,
    BufferType,
    IntsAttr,
    OperandScales,
    OperandScalesAttr,
    Scale,
    ScaleAttr,
    Space,
    Window,
    WindowAttr,
)
from npuc.dialects.npu_cmd import DmaOp, FeatureMap, FeatureMapAttr, LaunchOp, ProgramOp, Shram, ShramAttr
from npuc.dialects.npu_schedule import (
    CascadeOp,
    ConcatOp,
    ConstantOp,
    ConvKernelOp,
    CopyOp,
    DepthwiseConv2DOp,
    ElementwiseOp,
    KernelOp,
    PoolOp,
    ReshapeOp,
    ScalesOp,
    SliceOp,
    TransferOp,
    TransposeOp,
    WeightBuffersOp,
    is_brick,
    nhwc,
    rolling_of,
    space_of,
)
from npuc.dialects.stripes import pieces
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.alignment import ALIGNMENT
from npuc.hardware.shram import Kernel, acc_bits, illegal_reason, largest_block, layout, round_up
from npuc.lowering.npu_schedule_to_npu_cmd.maps import FeatureMaps
from npuc.lowering.npu_schedule_to_npu_cmd.program import ProgramBuilder
from npuc.lowering.npu_schedule_to_npu_cmd.weights import Streams, WeightSlice, encode_weights

UNSCALED = Scale("natural", 1, 0)
"""What stands in the scale registers of a kernel that does not scale."""

OPERANDS_AS_THEY_ARE = OperandScales("both", 1, 1)
"""What ADD and SUB, which always read the registers of their operands' scales, are told where there are none."""

CLIP_TO_INDEX = {True: 3, False: 2}
"""Clip range of a table with 32-bit entries: whether its 8-bit index is signed, which its clamp tells."""


_NO_LAUNCH = (ConstantOp, ScalesOp, WeightBuffersOp, ReshapeOp, TransposeOp, SliceOp, ConcatOp, ReturnOp)
"""What becomes no command of its own."""


def average_scale(elements: int) -> Scale:
    """The scale that makes a sum of `elements` their average, ties away from zero."""
    bits = (elements - 1).bit_length()
    return Scale("natural", ((1 << (31 + bits)) + (1 << bits)) // elements, 31 + bits)


class RegionLowering:
    """The state of lowering one function."""

    def __init__(self, function: FuncOp, machine: Accelerator, weight_space: Space, streams: Streams):
        self.function = function
        self.machine = machine
        self.weight_space: Space = weight_space
        self.streams = streams
        self.builder = ProgramBuilder()
        self.storage = Storage(function)
        self.maps = FeatureMaps(self.storage)
        self.blocks: dict[KernelOp, Block] = {}
        self.slices: dict[ConvKernelOp, list[WeightSlice]] = {}
        self.tables: dict[KernelOp, SSAValue] = {}
        self.weight_buffers: dict[SSAValue | ConvKernelOp, SSAValue] = {}
        """Buffers of weights, by their value or, where they are not values, by their kernel."""
        self.held: dict[tuple[SSAValue, int], SSAValue] = {}
        """Which slice, a constant, stands at a place of such a buffer."""

    def run(self) -> ProgramOp:
        """The program of the whole function."""
        block = self.function.body.block
        for index, argument in enumerate(block.args):
            self.maps.buffers[argument] = self._input(index, argument)
        last = block.last_op
        if not isinstance(last, ReturnOp):
            raise OperationError(self.function, "an NPU region ends in func.return")
        for index, value in enumerate(last.operands):
            with concerning(last):
                self._output(index, value)
        kernels = [op for op in self.function.body.walk() if isinstance(op, KernelOp)]
        for op in kernels:
            with concerning(op):
                self.blocks[op] = self._block(op.launch(), op.block)
        self.slices = encode_weights(
            [(op, self.blocks[op]) for op in kernels if isinstance(op, ConvKernelOp)], self.machine, self.streams
        )
        for op in block.ops:
            with concerning(op):
                self._lower(op)
        return self.builder.finish(self.function.sym_name.data, dict(self.function.attributes))

    def _input(self, index: int, value: SSAValue) -> SSAValue:
        space = space_of(value)
        if space == "fast" or (space == "external" and index >= len(EXTERNAL_REGIONS)):
            raise OperationError(self.function, f"operand {index} of a region cannot be {space}")
        return self.builder.input(index, storage_bytes(tensor_type(value)), space)

    def _output(self, index: int, value: SSAValue) -> None:
        place = self.storage.place(value)
        if place.root in self.maps.buffers or isinstance(place.root.owner, ConstantOp):
            raise VerifyException(f"result {index} of the region shares its memory: copy it first")
        if space_of(place.root) != "arena":
            raise VerifyException(f"result {index} of the region lies in the arena, where the host reads it")
        bricks = any(is_brick(member) for member in self.storage.members(place.root))
        if bricks or not self.storage.is_linear(value):
            raise VerifyException(f"result {index} of the region must be linear memory of its own")
        self.maps.buffers[place.root] = self.builder.output(index, storage_bytes(tensor_type(place.root)))

    def _block(self, kernel: Kernel, chosen: BlockAttr | None) -> Block:
        if chosen is None:
            return largest_block(self.machine, kernel)
        problem = illegal_reason(self.machine, kernel, chosen.data)
        if problem is not None:
            raise VerifyException(problem)
        return chosen.data

    # -----------------------------------------------------------------------------------------------------------------

    def _lower(self, op: Operation) -> None:
        if isinstance(op, KernelOp):
            self._prepare(op.feature_maps, op.result)
            self._emit_rows(op, 0, nhwc(op.result)[0])
        elif isinstance(op, CopyOp):
            self._prepare([op.ifm], op.result)
            self._copy(op)
        elif isinstance(op, TransferOp):
            self._prepare([op.source], op.result)
            self._transfer(op, 0, nhwc(op.result)[0])
        elif isinstance(op, CascadeOp):
            self._cascade(op)
        elif not isinstance(op, _NO_LAUNCH):
            raise OperationError(op, "it is not of npu_schedule: lower it first")

    def _prepare(self, inputs: Sequence[SSAValue], result: SSAValue) -> None:
        """Buffers for what a kernel reads and writes."""
        for value in inputs:
            root = self.storage.root(value)
            if root not in self.maps.buffers:
                if not isinstance(root.owner, ConstantOp):
                    raise VerifyException("a feature map is read before anything has written it")
                self.maps.buffers[root] = self.builder.constant(constant_of(root, "a feature map").tobytes())
        root = self.storage.root(result)
        if root not in self.maps.buffers:
            size = storage_bytes(tensor_type(root))
            if isinstance(root.owner, TransferOp):
                size = round_up(size, ALIGNMENT)
            self.maps.buffers[root] = self._alloc(size, space_of(root))

    def _alloc(self, size: int, space: Space) -> SSAValue:
        """A buffer in the arena, or in a fast memory where there is one beside it."""
        if space == "fast" != self.weight_space:
            raise VerifyException("in this memory mode there is no fast memory beside the arena")
        return self.builder.alloc(size, space)

    def _table(self, op: KernelOp) -> SSAValue | None:
        """
        The kernel's table in SHRAM, brought there on its first launch; on machines whose other kernels overwrite
        tables, on every launch.
        """
        value = op.table_value
        if value is None:
            return None
        if op not in self.tables or not self.machine.reserved_end_banks:
            data = constant_of(value, "a table").tobytes()
            source = self.builder.constant(data)
            self.tables[op] = self.builder.alloc(len(data), "shram")
            self.builder.emit(DmaOp(source, self.tables[op], len(data)), op)
        return self.tables[op]

    def _emit_rows(self, op: KernelOp, start: int, stop: int) -> None:
        """
        The launches that compute OFM rows [start, stop), one for each depth slice.

        Where weights pass through buffers, the transfer of a slice is issued right behind the launch before, so that
        the two run side by side.
        """
        weighted = isinstance(op, ConvKernelOp)
        if weighted:
            self._bring(op, 0)
        table = self._table(op)
        count = len(self.slices[op]) if weighted else 1
        for index in range(count):
            launch = self._launch(op, start, stop, index, table)
            self.builder.emit(launch, op)
            if weighted and index + 1 < count:
                self._bring(op, index + 1)
                # What the launch reads must not give way to a transfer that runs beside it.
                self.builder.keep(launch.operands)

    def _weights_at(self, op: ConvKernelOp, index: int) -> tuple[SSAValue, int]:
        """Buffer from which a slice is read, and the offset of the slice there."""
        part = self.slices[op][index]
        streams = self.builder.constant(part.data)
        if op.buffers is None:
            return streams, 0
        count = op.buffers.data[0]
        if op.through:
            value = op.through[index % count]
            type_ = value.type
            assert isinstance(type_, BufferType)
            if len(part.data) > type_.size:
                raise VerifyException(
                    f"slice {index} has {len(part.data)} bytes and does not fit a buffer of {type_.size}"
                )
            if value not in self.weight_buffers:
                self.weight_buffers[value] = self._alloc(type_.size, type_.space)
            return self.weight_buffers[value], 0
        sizes = buffer_sizes([len(one.data) for one in self.slices[op]], count)
        if op not in self.weight_buffers:
            self.weight_buffers[op] = self.builder.alloc(sum(sizes), self.weight_space)
        return self.weight_buffers[op], sum(sizes[: index % count])

    def _bring(self, op: ConvKernelOp, index: int) -> None:
        """Transfer a slice to its buffer, unless it is read in place or stands there already."""
        if op.buffers is None:
            return
        data = self.slices[op][index].data
        streams = self.builder.constant(data)
        buffer, offset = self._weights_at(op, index)
        if self.held.get((buffer, offset)) is not streams:
            self.held[buffer, offset] = streams
            self.builder.emit(DmaOp(streams, buffer, len(data), destination_offset=offset), op)

    def _launch(self, op: KernelOp, start: int, stop: int, index: int, table: SSAValue | None) -> LaunchOp:
        window = op.sliding
        ifm, result = op.feature_maps[0], op.result
        ifm_h, ifm_w, _ = nhwc(ifm)
        _, ofm_w, ofm_c = nhwc(result)
        zero_points = op.zero_points.data
        channels = (0, ofm_c)
        part: WeightSlice | None = None
        if isinstance(op, ConvKernelOp):
            part = self.slices[op][index]
            channels = (part.start, part.end)
        first, last, top, bottom = ifm_rows(op, start, stop)
        _, left, _, right = padding(window, (ifm_h, ifm_w), (stop - start, ofm_w))
        by_channel = isinstance(op, DepthwiseConv2DOp)
        ifm_buffer, ifm_map = self.maps.view(ifm, zero_points[0], (first, last), channels if by_channel else None)
        ofm_buffer, ofm_map = self.maps.view(result, zero_points[-1], (start, stop), channels)
        operands: dict[str, Sequence[SSAValue]] = {"ifm": [ifm_buffer], "ofm": [ofm_buffer]}
        properties: dict[str, Attribute] = {
            "ifm_map": FeatureMapAttr(ifm_map),
            "ofm_map": FeatureMapAttr(ofm_map),
            "scale": op.scale or ScaleAttr(UNSCALED),
            "activation": ActivationAttr(clamp_to_registers(op.activation.data, ofm_map.element.bits)),
        }
        if table is not None:
            operands["table"] = [table]
            if ofm_map.element.bits == 32:
                properties["clip_range"] = IntsAttr((CLIP_TO_INDEX[op.activation.data.low < 0],))
        properties |= self._shram(op.launch(), self.blocks[op])
        if isinstance(op, ConvKernelOp):
            assert part is not None
            streams, at = self._weights_at(op, index)
            scales, scales_at = (streams, at) if part.scales is None else (self.builder.constant(part.scales), 0)
            operands |= {"weights": [streams], "scales": [scales]}
            properties |= {
                "weight_ranges": IntsAttr(shifted(part.weight_ranges, at)),
                "scale_ranges": IntsAttr(shifted(part.scale_ranges, scales_at)),
                "window": WindowAttr(replace(window, top=top, left=left, bottom=bottom, right=right)),
            }
            if op.part_kernel:
                properties["part_kernel"] = UnitAttr()
            return (npu_cmd.DepthwiseOp if by_channel else npu_cmd.ConvOp).of(operands, properties)
        if isinstance(op, PoolOp):
            properties |= {
                "kind": op.kind,
                "window": WindowAttr(replace(window, top=top, left=left, bottom=bottom, right=right)),
            }
            if op.kind.data == "average" and op.scale is None and not any((top, left, bottom, right)):
                # The stripe has lost the padding that made the NPU divide by itself.
                properties["scale"] = ScaleAttr(average_scale(window.height * window.width))
            return npu_cmd.PoolOp.of(operands, properties)
        assert isinstance(op, ElementwiseOp)
        properties["kind"] = op.kind
        if op.is_reversed is not None:
            properties["reversed"] = UnitAttr()
        if op.operand_scales is not None:
            properties["operand_scales"] = op.operand_scales
        elif op.kind.data in ("add", "sub"):
            properties["operand_scales"] = OperandScalesAttr(OPERANDS_AS_THEY_ARE)
        if op.ifm2 is not None:
            self._second(op, op.ifm2, (start, stop), operands, properties)
        return npu_cmd.ElementwiseOp.of(operands, properties)

    def _second(
        self,
        op: ElementwiseOp,
        ifm2: SSAValue,
        rows: tuple[int, int],
        operands: dict[str, Sequence[SSAValue]],
        properties: dict[str, Attribute],
    ) -> None:
        """IFM2 of a binary kernel: a number in a register, or a feature map that may be broadcast."""
        zero_point = op.zero_points.data[1]
        if op.has_scalar:
            value = int(constant_of(ifm2, "a scalar").reshape(-1)[0])
            properties["scalar"] = IntsAttr((value, zero_point))
            return
        full, own = nhwc(op.result), nhwc(ifm2)
        bits = sum(1 << axis for axis in range(3) if own[axis] == 1 and full[axis] != 1)
        if bits:
            properties["broadcast"] = IntsAttr((bits,))
        buffer, fm = self.maps.view(ifm2, zero_point, rows if own[0] != 1 else (0, 1))
        operands["ifm2"] = [buffer]
        properties["ifm2_map"] = FeatureMapAttr(fm)

    def _shram(self, kernel: Kernel, block: Block) -> dict[str, Attribute]:
        """Block and SHRAM layout of a launch."""
        found = layout(self.machine, kernel, block)
        assert found is not None, "the block has been checked"
        ib2 = found.ib2_start if kernel.binary and not kernel.ifm2_scalar else None
        return {
            "block": BlockAttr(block),
            "shram": ShramAttr(Shram(found.ib_end, found.ab_start, acc_bits(kernel), ib2)),
        }

    def _transfer(self, op: TransferOp, start: int, stop: int) -> None:
        """One DMA of rows [start, stop), or two where a rolling buffer wraps; both sides are dense."""
        for what, value in (("source", op.source), ("result", op.result)):
            if not self.storage.is_dense(value):
                raise VerifyException(f"the {what} of a transfer has gaps: copy it instead")
        from_, to = self.storage.place(op.source), self.storage.place(op.result)
        source, destination = self.maps.buffers[from_.root], self.maps.buffers[to.root]
        height = nhwc(op.source)[0]
        row = storage_bytes(tensor_type(op.source)) // height
        rows = self.maps.rolling.get(to.root, height)
        filled = storage_bytes(tensor_type(to.root)) if to.root not in self.maps.rolling else rows * row
        for first, end in pieces(start, stop, rows):
            at, size = to.offset + first % rows * row, (end - first) * row
            if at + size == filled:
                # It may carry on into what both buffers have behind the feature map.
                size = min(
                    round_up(size, self.machine.external_dma_alignment),
                    buffer_size(source) - from_.offset - first * row,
                    buffer_size(destination) - at,
                )
            self._dma(op, size, source, destination, from_.offset + first * row, at)

    def _dma(
        self, op: TransferOp, size: int, source: SSAValue, destination: SSAValue, offset: int, destination_offset: int
    ) -> None:
        """One DMA."""
        step = self.machine.external_dma_alignment
        if size % step or offset % step or destination_offset % step:
            raise VerifyException(f"{self.machine.name} transfers multiples of {step} bytes, from and to such bytes")
        self.builder.emit(DmaOp(source, destination, size, offset, destination_offset), op)

    def _copy(self, op: CopyOp) -> None:
        """A copy, in the form that its launch has."""
        kernel = op.launch()
        height, _, depth = nhwc(op.ifm)
        factor = kernel.ifm.depth // depth
        views: list[tuple[SSAValue, FeatureMap]] = []
        for value in (op.ifm, op.result):
            buffer, fm = self.maps.view(value, 0, (0, height))
            if factor > 1 and fm.layout != "nhwc":
                raise VerifyException("32-bit feature maps are copied in linear layout only")
            element = replace(fm.element, bits=kernel.ifm_bits)
            if factor > 1:
                fm = replace(fm, depth=fm.depth * factor, stride_c=element.size)
            views.append((buffer, replace(fm, element=element)))
        (source, ifm_map), (destination, ofm_map) = views
        # It may go through rows and columns in either order: what it reads goes forwards.
        for axis, stride in (("y", ifm_map.stride_y), ("x", ifm_map.stride_x)):
            if stride < 0:
                ifm_map, ofm_map = turned(ifm_map, axis), turned(ofm_map, axis)
        operands = {"ifm": [source], "ofm": [destination]}
        low, high = ofm_map.element.range
        properties: dict[str, Attribute] = {
            "ifm_map": FeatureMapAttr(ifm_map),
            "ofm_map": FeatureMapAttr(ofm_map),
            "activation": ActivationAttr(Activation(low, high)),
            **self._shram(kernel, self._block(kernel, op.block)),
        }
        if kernel.kind == "elementwise":
            properties |= {
                "kind": StringAttr(kernel.operation),
                "scalar": IntsAttr((low, 0)),
                "scale": ScaleAttr(UNSCALED),
            }
            launch = npu_cmd.ElementwiseOp.of(operands, properties)
        else:
            properties |= {
                "kind": StringAttr("average"),
                "window": WindowAttr(Window()),
                "scale": ScaleAttr(average_scale(1)),
            }
            launch = npu_cmd.PoolOp.of(operands, properties)
        self.builder.emit(launch, op)

    # -----------------------------------------------------------------------------------------------------------------

    def _cascade(self, cascade: CascadeOp) -> None:
        """Unroll a cascade; what stays inside lives in a rolling buffer of as many rows as its producer says."""
        stages = cascade.stages
        produced = {op.result for op in stages}
        for op in stages:
            root = self.storage.root(op.result)
            rows = rolling_of(root)
            if rows is not None and root not in self.maps.buffers:
                self.maps.rolling[root] = rows
                self.maps.buffers[root] = self._alloc(rows * self.storage.place(root).stride_y, space_of(root))
        for op in stages:
            inputs = (op.source,) if isinstance(op, TransferOp) else op.feature_maps
            self._prepare([v for v in inputs if v not in produced], op.result)
        over = {op for op in cascade.kernels if op.at is not None}
        for op in over:
            with concerning(op):
                if (problem := self.storage.lying_problem(op)) is not None:
                    raise VerifyException(f"its result cannot lie over an operand: {problem}")
        for index, start, stop in cascade.unrolled().launches:
            op = stages[index]
            if isinstance(op, TransferOp):
                self._transfer(op, start, stop)
                continue
            if op in over:
                over.remove(op)
                self._lay_over(op)
            self._emit_rows(op, start, stop)

    def _lay_over(self, op: KernelOp) -> None:
        """Say how a result may lie over an operand."""
        value, at = op.laid_over, op.at
        assert value is not None
        assert at is not None
        source, under = (self.maps.buffers[self.storage.root(one)] for one in (op.result, value))
        which = "at_least" if op.upwards is not None else "at_most"
        self.builder.emit(npu_cmd.OverlapOp.of({"source": [source], "under": [under]}, {which: at}), op)


def buffer_size(value: SSAValue) -> int:
    """Bytes of a buffer."""
    assert isinstance(value.type, BufferType)
    return value.type.size


def shifted(ranges: Sequence[int], by: int) -> tuple[int, ...]:
    """Ranges (offset, length, ...) from another start."""
    return tuple(value + by * (i % 2 == 0) for i, value in enumerate(ranges))


def clamp_to_registers(activation: Activation, ofm_bits: int) -> Activation:
    """The clamp as 16-bit registers hold it; a 32-bit OFM without table is not clamped at all."""
    if ofm_bits == 32 and activation.function == "none":
        return replace(activation, low=-(1 << 15), high=(1 << 15) - 1)
    return activation


def turned(fm: FeatureMap, axis: str) -> FeatureMap:
    """A feature map without tiles from the last to the first row ("y") or column ("x")."""
    if axis == "y":
        return replace(fm, offset=fm.offset + (fm.height - 1) * fm.stride_y, stride_y=-fm.stride_y)
    return replace(fm, offset=fm.offset + (fm.width - 1) * fm.stride_x, stride_x=-fm.stride_x)


def ifm_rows(op: KernelOp, start: int, stop: int) -> tuple[int, int, int, int]:
    """IFM rows [first, last) that OFM rows [start, stop) read, and the rows of padding above and below them."""
    window = op.sliding
    height = nhwc(op.feature_maps[0])[0]
    up = 1 if window.upscale == "none" else 2
    first = start * window.stride_y - window.top
    last = (stop - 1) * window.stride_y + window.dilated_height - window.top
    low, high = max(first, 0), min(last, height * up)
    if low % up:
        raise VerifyException("a stripe of an upscaled IFM starts between two of its rows")
    return low // up, -(-high // up), low - first, max(0, last - height * up)
