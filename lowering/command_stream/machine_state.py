"""
The one place that relates the attributes of `npu_cmd` launches to the registers of the machine, both ways.

`register_state` gives the whole state that an operation reads, as raw operands by register name; `build_launch` makes
the operation that reads a given state. Each piece is written and read by a pair of functions that stand together.

    ifm, ofm, ifm2        {IFM,OFM,IFM2}_REGION: the buffer's memory; _BASE0: its address + offset; _STRIDE_Y/X/C;
      <HxWxD...>          _ZERO_POINT; type, precision and format of _PRECISION; OFM_{HEIGHT,WIDTH,DEPTH}_M1 and
                          IFM_DEPTH_M1
      tiles               _WIDTH0_M1, _HEIGHT0_M1, _HEIGHT1_M1, _BASE1..3; without tiles the map's own size and 0
    weights, scales       {WEIGHT,SCALE}_REGION, _BASE, _LENGTH; a second range goes to WEIGHT1_*, SCALE1_* (core 1)
    window                KERNEL_{HEIGHT,WIDTH}_M1 (dilated), strides and dilation of KERNEL_STRIDE, IFM_PAD_*,
                          IFM_UPSCALE
    part_kernel           weight order of KERNEL_STRIDE
    scale                 OFM_PRECISION round and scale mode (per channel or global), OFM_SCALE
    operand_scales        scale mode of IFM_PRECISION, OPA_SCALE, OPB_SCALE. The attribute speaks of IFM and IFM2, the
                          machine of operands A and B, which `reversed` exchanges
    activation            ACTIVATION_MIN, ACTIVATION_MAX; function of ACTIVATION
    table                 function 16 + k of ACTIVATION: the table stands 256 * k bytes behind the machine's table base
    clip_range            that of ACTIVATION
    broadcast, reversed   IFM2_BROADCAST
    scalar                bit 7 of IFM2_BROADCAST, IFM2_SCALAR, IFM2_ZERO_POINT
    block                 OFM_BLK_{HEIGHT,WIDTH,DEPTH}_M1
    shram                 IFM_IB_END, AB_START, IFM2_IB_START, ACC_FORMAT
    blockdep              BLOCKDEP; 0, which is always safe, where it is missing

The size of the IFM is in no register: it follows from OFM and window. A decoded map has the size of its first tile,
which is at least that. Where a register holds what the machine ignores (clamp limits of a 32-bit OFM without table)
the nearest value that fits is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from xdsl.dialects.builtin import LocationAttr, StringAttr, UnitAttr
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation

from npuc.dialects.npu import (
    EXTERNAL_REGIONS,
    Activation,
    ActivationAttr,
    Block,
    BlockAttr,
    BufferType,
    Element,
    Function,
    IntsAttr,
    Layout,
    OperandScales,
    OperandScalesAttr,
    Rounding,
    Scale,
    ScaleAttr,
    Space,
    Upscale,
    Window,
    WindowAttr,
)
from npuc.dialects.npu_cmd import (
    REGIONS,
    BufferOp,
    ConstantOp,
    ConvOp,
    DepthwiseOp,
    DmaOp,
    ElementwiseOp,
    FeatureMap,
    FeatureMapAttr,
    InputOp,
    LaunchOp,
    MemoryOp,
    PoolOp,
    Shram,
    ShramAttr,
    Tiles,
    WeightedOp,
)
from npuc.hardware import registers
from npuc.hardware.accelerators import LUT_SLOT_BYTES, Accelerator
from npuc.hardware.registers import ADDRESS_BITS, BY_NAME, field, pack

State = dict[str, int]
"""Register name -> raw operand."""

SPACES: dict[int, Space] = {region: space for space, region in REGIONS.items()}
SHRAM_REGION = 0x103
"""DMA destination: SHRAM of both cores."""

_PRECISIONS = {8: 0, 16: 1, 32: 2}
_LAYOUTS: tuple[Layout, ...] = ("nhwc", "nhcwb16")
_ROUNDINGS: tuple[Rounding, ...] = ("double_round", "truncate", "natural")
_UPSCALES: tuple[Upscale, ...] = ("none", "nearest", "zeros")
_FUNCTIONS: dict[Function, int] = {"none": 0, "tanh": 3, "sigmoid": 4}
_FUNCTION_NAMES: dict[int, Function] = {code: name for name, code in _FUNCTIONS.items()}
_TABLE = 16
_ACC_BITS = (32, 40, 16)
_POOLS = {"max": "MAX", "average": "AVERAGE", "sum": "REDUCE_SUM"}


class Place(NamedTuple):
    """Where a buffer starts: base pointer (None for SHRAM) and bytes from there."""

    region: int | None
    address: int

    @property
    def base(self) -> int:
        """The base pointer of a buffer that a kernel reads or writes; ValueError for one in SHRAM."""
        if self.region is None:
            raise ValueError("a kernel reads and writes no buffer in SHRAM but its table")
        return self.region


def place(buffer: SSAValue) -> Place:
    """Where an allocated buffer starts; ValueError if it has no address yet."""
    type_, owner = buffer.type, buffer.owner
    assert isinstance(type_, BufferType)
    region = REGIONS.get(type_.space)
    if isinstance(owner, InputOp | MemoryOp) and type_.space == "external":
        return Place(EXTERNAL_REGIONS[owner.index.data[0] if owner.index is not None else 0], 0)
    if isinstance(owner, MemoryOp):
        return Place(region, 0)
    if not isinstance(owner, BufferOp | ConstantOp) or owner.address is None:
        name = f"%{buffer.name_hint}" if buffer.name_hint else f"a buffer of {type_.size} bytes"
        raise ValueError(f"{name} has no address")
    return Place(region, owner.address.data[0])


# ---------------------------------------------------------------------------------------------------------------------
# One register
# ---------------------------------------------------------------------------------------------------------------------


def operand(register: str, value: int) -> int:
    """The raw operand that makes a register say `value`; ValueError if it cannot."""
    entry = BY_NAME[register]
    low, high, raw = 0, entry.bits, value
    match entry.kind:
        case "minus_one":
            low, high, raw = 1, entry.bits + 1, value - 1
        case "signed":
            low, high, raw = -0x8000, 0xFFFF, value & 0xFFFF
        case "stride":
            low, high, raw = -(1 << 39), (1 << 39) - 1, value & ADDRESS_BITS
        case _:
            pass
    if not low <= value <= high:
        raise ValueError(f"{register} cannot hold {value}")
    return raw


def value_of(register: str, raw: int, signed: bool = True) -> int:
    """What a register says; `signed` tells how to read the 16 bits of a zero point, limit or scalar."""
    match BY_NAME[register].kind:
        case "minus_one":
            return raw + 1
        case "signed":
            return raw - 0x10000 if signed and raw & 0x8000 else raw
        case "stride":
            return raw - (1 << 40) if raw & 1 << 39 else raw
        case _:
            return raw


def _set(values: Mapping[str, int]) -> State:
    return {register: operand(register, value) for register, value in values.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Feature maps
# ---------------------------------------------------------------------------------------------------------------------


def write_feature_map(prefix: str, fm: FeatureMap, where: Place) -> State:
    """The registers of one feature map but its precision."""
    tiles = fm.tiles or Tiles(fm.width, fm.height, fm.height)
    right, below = tiles.width0 < fm.width, tiles.height0 < fm.height
    corner = right and tiles.height1 < fm.height
    state = {
        "REGION": where.base,
        "BASE0": where.address + fm.offset,
        "STRIDE_X": fm.stride_x,
        "STRIDE_Y": fm.stride_y,
        "STRIDE_C": fm.stride_c,
        "ZERO_POINT": fm.zero_point,
        "WIDTH0_M1": tiles.width0,
        "HEIGHT0_M1": tiles.height0,
        "HEIGHT1_M1": tiles.height1,
    }
    # The base of a tile that holds nothing is 0, as in every stream seen.
    for tile, offset, used in ((1, tiles.offset1, right), (2, tiles.offset2, below), (3, tiles.offset3, corner)):
        state[f"BASE{tile}"] = where.address + offset if used or offset else 0
    return _set({f"{prefix}_{name}": value for name, value in state.items()})


def read_feature_map(prefix: str, state: Mapping[str, int], size: tuple[int, int, int]) -> FeatureMap:
    """
    The feature map of at least `size` (height, width, depth) in a whole memory.

    An OFM has just that size; other maps take that of their first tile where they have no second.
    """

    def value(name: str) -> int:
        return value_of(f"{prefix}_{name}", state[f"{prefix}_{name}"], element.signed)

    element = read_element(prefix, state)
    height, width, depth = size
    tiles = Tiles(*(value(name) for name in ("WIDTH0_M1", "HEIGHT0_M1", "HEIGHT1_M1", "BASE1", "BASE2", "BASE3")))
    whole = tiles == Tiles(tiles.width0, tiles.height0, tiles.height0)
    if whole and (prefix == "OFM") <= ((tiles.height0, tiles.width0) == (height, width)):
        if tiles.height0 >= height and tiles.width0 >= width:
            height, width, tiles = tiles.height0, tiles.width0, None
    layout = _LAYOUTS[field(f"{prefix}_PRECISION", "format", state[f"{prefix}_PRECISION"])]
    strides = value("STRIDE_Y"), value("STRIDE_X"), value("STRIDE_C")
    return FeatureMap(height, width, depth, element, layout, value("ZERO_POINT"), value("BASE0"), *strides, tiles)


def write_element(prefix: str, element: Element, layout: Layout, **others: int) -> State:
    """The precision register of one feature map; `others` are its fields beside type, precision and format."""
    name = f"{prefix}_PRECISION"
    return {
        name: pack(
            name,
            type=int(element.signed),
            precision=_PRECISIONS[element.bits],
            format=_LAYOUTS.index(layout),
            **others,
        )
    }


def read_element(prefix: str, state: Mapping[str, int]) -> Element:
    """The element type that the precision register of a feature map says."""
    name = f"{prefix}_PRECISION"
    return Element(8 << field(name, "precision", state[name]), bool(field(name, "type", state[name])))


# ---------------------------------------------------------------------------------------------------------------------
# Window, weights
# ---------------------------------------------------------------------------------------------------------------------


def write_window(window: Window, part_kernel: bool) -> State:
    """The registers of window, padding and upscaling."""
    strides_and_dilations = (window.stride_y, window.stride_x, window.dilation_y, window.dilation_x)
    if max(window.stride_y, window.stride_x) > 4 or max(window.dilation_y, window.dilation_x) > 2:
        raise ValueError("KERNEL_STRIDE holds strides of 1 to 4 and dilations of 1 and 2")
    return {
        "KERNEL_STRIDE": registers.kernel_stride(*strides_and_dilations, part_kernel_first=part_kernel),
        "IFM_UPSCALE": pack("IFM_UPSCALE", mode=_UPSCALES.index(window.upscale)),
    } | _set(
        {
            "KERNEL_HEIGHT_M1": window.dilated_height,
            "KERNEL_WIDTH_M1": window.dilated_width,
            "IFM_PAD_TOP": window.top,
            "IFM_PAD_LEFT": window.left,
            "IFM_PAD_BOTTOM": window.bottom,
            "IFM_PAD_RIGHT": window.right,
        }
    )


def read_window(state: Mapping[str, int]) -> Window:
    """The window; ValueError where the registers say what a window does not."""
    word = state["KERNEL_STRIDE"]
    if field("KERNEL_STRIDE", "decomposition", word):
        raise ValueError("npu_cmd has no kernels in steps of 4x4")
    stride_y, stride_x = registers.strides(word)
    dilation_y = field("KERNEL_STRIDE", "dilation_y", word) + 1
    dilation_x = field("KERNEL_STRIDE", "dilation_x", word) + 1
    if state["KERNEL_HEIGHT_M1"] % dilation_y or state["KERNEL_WIDTH_M1"] % dilation_x:
        raise ValueError("the size of the kernel does not fit its dilation")
    return Window(
        state["KERNEL_HEIGHT_M1"] // dilation_y + 1,
        state["KERNEL_WIDTH_M1"] // dilation_x + 1,
        stride_y,
        stride_x,
        dilation_y,
        dilation_x,
        state["IFM_PAD_TOP"],
        state["IFM_PAD_LEFT"],
        state["IFM_PAD_BOTTOM"],
        state["IFM_PAD_RIGHT"],
        _UPSCALES[state["IFM_UPSCALE"]],
    )


def ifm_size(window: Window, ofm: FeatureMap, ifm_depth: int) -> tuple[int, int, int]:
    """Height, width and depth of the IFM that a window reads for an OFM; ValueError where padding is all it reads."""
    height = (ofm.height - 1) * window.stride_y + window.dilated_height - window.top - window.bottom
    width = (ofm.width - 1) * window.stride_x + window.dilated_width - window.left - window.right
    if height < 1 or width < 1:
        raise ValueError("the kernel reads nothing but padding")
    if window.upscale != "none":
        height, width = -(-height // 2), -(-width // 2)
    return height, width, ifm_depth


def write_ranges(name: str, ranges: tuple[int, ...], where: Place, cores: int) -> State:
    """The registers of the weight (`WEIGHT`) or scale streams (`SCALE`): an offset and a length for each core."""
    if len(ranges) != 2 * cores:
        raise ValueError(f"{name.lower()} ranges are an offset and a length for each of {cores} cores, not {ranges}")
    state = {f"{name}_REGION": where.base}
    for core in range(cores):
        prefix = f"{name}{core or ''}"
        state[f"{prefix}_BASE"] = where.address + ranges[2 * core]
        state[f"{prefix}_LENGTH"] = ranges[2 * core + 1]
    return _set(state)


def read_ranges(name: str, state: Mapping[str, int], cores: int) -> tuple[int, ...]:
    """Offset and length of the weight or scale stream of each core."""
    prefixes = [f"{name}{core or ''}" for core in range(cores)]
    return tuple(state[f"{prefix}_{which}"] for prefix in prefixes for which in ("BASE", "LENGTH"))


# ---------------------------------------------------------------------------------------------------------------------
# Scaling, activation, blocks
# ---------------------------------------------------------------------------------------------------------------------


def write_scale(scale: Scale) -> tuple[dict[str, int], State]:
    """The fields of OFM_PRECISION, and OFM_SCALE where it counts."""
    fields = {"scale_mode": int(scale.multiplier is not None), "round": _ROUNDINGS.index(scale.rounding)}
    if scale.multiplier is None:
        return fields, {}
    return fields, {"OFM_SCALE": _pair("OFM_SCALE", scale.multiplier, scale.shift or 0)}


def read_scale(state: Mapping[str, int]) -> Scale:
    """The scale. A kernel that scales nothing may still be set to `global`: then OFM_SCALE may never have been set."""
    rounding = _ROUNDINGS[field("OFM_PRECISION", "round", state["OFM_PRECISION"])]
    if not field("OFM_PRECISION", "scale_mode", state["OFM_PRECISION"]):
        return Scale(rounding)
    scale = state.get("OFM_SCALE", 1)
    return Scale(rounding, scale & 0xFFFF_FFFF, scale >> 32)


def _pair(register: str, multiplier: int, shift: int) -> int:
    if not 0 <= multiplier < 1 << 32 or not 0 <= shift < 64:
        raise ValueError(f"{register} cannot hold {multiplier} with shift {shift}")
    return shift << 32 | multiplier


def write_operand_scales(scales: OperandScales, is_reversed: bool) -> tuple[int, State]:
    """Scale mode of IFM_PRECISION, OPA_SCALE and OPB_SCALE."""
    if scales.which == "both":
        a, b = (scales.b, scales.a) if is_reversed else (scales.a, scales.b)
        if not (0 <= a < 1 << 16 and 0 <= b < 1 << 16):
            raise ValueError(f"two operand scales have 16 bits each, unlike {scales.a} and {scales.b}")
        return 0, {"OPA_SCALE": _pair("OPA_SCALE", a, scales.shift), "OPB_SCALE": b}
    mode = 1 if (scales.which == "ifm") != is_reversed else 2
    return mode, {"OPA_SCALE": _pair("OPA_SCALE", scales.a, scales.shift), "OPB_SCALE": 0}


def read_operand_scales(state: Mapping[str, int], is_reversed: bool) -> OperandScales:
    """The operand scales of ADD or SUB."""
    scale = state["OPA_SCALE"]
    a, shift = scale & 0xFFFF_FFFF, scale >> 32
    mode = field("IFM_PRECISION", "scale_mode", state["IFM_PRECISION"])
    if mode == 0:
        b = state["OPB_SCALE"]
        return OperandScales("both", *((b, a) if is_reversed else (a, b)), shift)
    return OperandScales("ifm" if (mode == 1) != is_reversed else "ifm2", a, shift=shift)


def write_activation(activation: Activation, table: int | None, clip_range: int, ofm: Element) -> State:
    """The registers of clamp, function and table; `table` counts the machine's slots."""
    low, high = activation.low, activation.high
    if ofm.bits == 32 and table is None:
        # A 32-bit OFM without table is not clamped.
        low, high = max(low, -0x8000), min(high, 0x7FFF)
    function = _FUNCTIONS[activation.function] if table is None else _TABLE + table
    return {
        "ACTIVATION": pack("ACTIVATION", function=function, clip_range=clip_range),
        **_set({"ACTIVATION_MIN": low, "ACTIVATION_MAX": high}),
    }


def read_activation(state: Mapping[str, int], ofm: Element) -> tuple[Activation, int | None, int]:
    """Activation, slot of the table and clip range."""
    code = field("ACTIVATION", "function", state["ACTIVATION"])
    table = code - _TABLE if code >= _TABLE else None
    function = _FUNCTION_NAMES.get(code, "table")
    clip_range = field("ACTIVATION", "clip_range", state["ACTIVATION"])
    # The clamp comes before the table, in the range that `clip_range` says, else in the OFM's own.
    signed = ofm.signed if clip_range == 0 else clip_range != 2
    low, high = (value_of(name, state[name], signed) for name in ("ACTIVATION_MIN", "ACTIVATION_MAX"))
    return Activation(low, high, function), table, clip_range


def write_block(block: Block, shram: Shram, blockdep: int) -> State:
    """The registers of block, SHRAM layout and block dependency."""
    if shram.acc not in _ACC_BITS:
        raise ValueError(f"accumulators have {', '.join(map(str, _ACC_BITS))} bits, not {shram.acc}")
    return {"ACC_FORMAT": pack("ACC_FORMAT", format=_ACC_BITS.index(shram.acc))} | _set(
        {
            "OFM_BLK_HEIGHT_M1": block.height,
            "OFM_BLK_WIDTH_M1": block.width,
            "OFM_BLK_DEPTH_M1": block.depth,
            "IFM_IB_END": shram.ib_end,
            "AB_START": shram.ab_start,
            "BLOCKDEP": blockdep,
        }
    )


def read_block(state: Mapping[str, int], has_ifm2: bool) -> tuple[Block, Shram, int]:
    """Block, SHRAM layout and block dependency."""
    block = Block(state["OFM_BLK_HEIGHT_M1"] + 1, state["OFM_BLK_WIDTH_M1"] + 1, state["OFM_BLK_DEPTH_M1"] + 1)
    ib2_start = state["IFM2_IB_START"] if has_ifm2 else None
    return (
        block,
        Shram(state["IFM_IB_END"], state["AB_START"], _ACC_BITS[state["ACC_FORMAT"]], ib2_start),
        state["BLOCKDEP"],
    )


# ---------------------------------------------------------------------------------------------------------------------
# Operations
# ---------------------------------------------------------------------------------------------------------------------


def operation_of(op: IRDLOperation) -> tuple[str, str]:
    """Name and mode of the machine's operation for a launch or transfer."""
    match op:
        case ConvOp():
            return "CONV", ""
        case DepthwiseOp():
            return "DEPTHWISE", ""
        case PoolOp():
            return "POOL", _POOLS[op.kind.data]
        case ElementwiseOp():
            return "ELEMENTWISE", op.kind.data.upper()
        case _:
            assert isinstance(op, DmaOp)
            return "DMA_START", ""


def register_state(op: IRDLOperation, acc: Accelerator) -> State:
    """
    Every register that a launch or transfer reads, and the few more that are always set beside them.

    Raises ValueError, in one line without the operation's name, where a buffer has no address or a register cannot
    hold what the operation says.
    """
    if isinstance(op, DmaOp):
        return write_dma(op)
    assert isinstance(op, LaunchOp)
    ifm, ofm = op.ifm_map.data, op.ofm_map.data
    scale_fields, state = write_scale(op.scale.data)
    table = _table_slot(op, acc)
    clip_range = op.clip_range.data[0] if op.clip_range else 0
    scale_mode = 0
    state |= write_feature_map("IFM", ifm, place(op.ifm))
    state |= write_feature_map("OFM", ofm, place(op.ofm))
    state |= write_element("OFM", ofm.element, ofm.layout, **scale_fields)
    state |= _set({"OFM_HEIGHT_M1": ofm.height, "OFM_WIDTH_M1": ofm.width, "OFM_DEPTH_M1": ofm.depth})
    state |= write_activation(op.activation.data, table, clip_range, ofm.element)
    state |= write_block(op.block.data, op.shram.data, op.blockdep.data[0] if op.blockdep else 0)
    # Only convolutions and sums over the depth are known to read it; everything seen sets it for all kernels.
    state |= _set({"IFM_DEPTH_M1": ifm.depth})
    match op:
        case WeightedOp():
            state |= write_window(op.window.data, op.part_kernel is not None)
            state |= write_ranges("WEIGHT", op.weight_ranges.data, place(op.weights), acc.cores)
            state |= write_ranges("SCALE", op.scale_ranges.data, place(op.scales), acc.cores)
        case PoolOp():
            state |= write_window(op.window.data, False)
        case _:
            assert isinstance(op, ElementwiseOp)
            # Elementwise kernels have no window; up-scaling is switched off as everything seen does.
            state |= {"IFM_UPSCALE": 0}
            scale_mode, more = _write_ifm2(op)
            state |= more
    state |= write_element("IFM", ifm.element, ifm.layout, scale_mode=scale_mode, round=0)
    return state


def _table_slot(op: LaunchOp, acc: Accelerator) -> int | None:
    tables = op.values_of("table")
    if not tables:
        return None
    where = place(tables[0])
    if where.region is not None:
        raise ValueError("a table stands in SHRAM")
    offset = where.address + (op.table_offset.data[0] if op.table_offset else 0) - acc.lut_base
    slot, rest = divmod(offset, LUT_SLOT_BYTES)
    if rest or not 0 <= slot < 8:
        raise ValueError(f"a table stands 256 * k bytes behind SHRAM byte {acc.lut_base}, k from 0 to 7, not {offset}")
    return slot


def _write_ifm2(op: ElementwiseOp) -> tuple[int, State]:
    scale_mode, state = 0, State()
    is_reversed = op.is_reversed is not None
    if op.operand_scales is not None:
        scale_mode, state = write_operand_scales(op.operand_scales.data, is_reversed)
    if op.ifm2 is None and op.scalar is None:
        return scale_mode, state
    bits = op.broadcast.data[0] if op.broadcast else 0
    if bits & ~7:
        raise ValueError(f"broadcast has three bits, unlike {bits}")
    state["IFM2_BROADCAST"] = bits | is_reversed << 6 | (op.scalar is not None) << 7
    if op.ifm2 is not None:
        assert op.ifm2_map is not None
        fm, shram = op.ifm2_map.data, op.shram.data
        if shram.ib2_start is None:
            raise ValueError("two IFMs need ib2_start in shram")
        state |= write_feature_map("IFM2", fm, place(op.ifm2)) | write_element("IFM2", fm.element, fm.layout)
        return scale_mode, state | _set({"IFM2_IB_START": shram.ib2_start})
    assert op.scalar is not None
    value, zero_point = op.scalar.data
    # A scalar has the type of the IFM; its format bits are those of the IFM too in everything seen.
    fm = op.ifm_map.data
    state |= write_element("IFM2", fm.element, fm.layout)
    return scale_mode, state | _set({"IFM2_SCALAR": value, "IFM2_ZERO_POINT": zero_point})


def write_dma(op: DmaOp) -> State:
    """The registers of one transfer."""
    source, destination = place(op.source), place(op.destination)
    if source.region is None:
        raise ValueError("nothing is copied out of SHRAM")
    offsets = [offset.data[0] if offset else 0 for offset in (op.source_offset, op.destination_offset)]
    return {
        "DMA0_SRC_REGION": source.region,
        "DMA0_DST_REGION": SHRAM_REGION if destination.region is None else destination.region,
    } | _set(
        {
            "DMA0_SRC": source.address + offsets[0],
            "DMA0_DST": destination.address + offsets[1],
            "DMA0_LEN": op.size.data[0],
        }
    )


def build_dma(state: Mapping[str, int], memory: Callable[[Space | int], SSAValue]) -> DmaOp:
    """The transfer that reads `state`; ValueError where npu_cmd has none."""
    source, destination = state["DMA0_SRC_REGION"], state["DMA0_DST_REGION"]
    to = memory("shram") if destination == SHRAM_REGION else _memory(destination, memory)
    return DmaOp(_memory(source, memory), to, state["DMA0_LEN"], state["DMA0_SRC"], state["DMA0_DST"])


def _memory(region: int, memory: Callable[[Space | int], SSAValue]) -> SSAValue:
    if region in EXTERNAL_REGIONS:
        return memory(EXTERNAL_REGIONS.index(region))
    if region not in SPACES:
        raise ValueError(f"npu_cmd knows base pointers 0 to {EXTERNAL_REGIONS[-1]}, not region {region:#x}")
    return memory(SPACES[region])


def build_launch(
    operation: str,
    mode: str,
    state: Mapping[str, int],
    acc: Accelerator,
    memory: Callable[[Space | int], SSAValue],
    location: LocationAttr | None = None,
) -> LaunchOp:
    """
    The launch that reads `state`; `memory` gives the whole memory of a space, or of an external operand by its number.

    Raises KeyError with the register's name where one that the operation reads was never set, and ValueError where
    npu_cmd cannot say what the state says.
    """
    ofm_size = state["OFM_HEIGHT_M1"] + 1, state["OFM_WIDTH_M1"] + 1, state["OFM_DEPTH_M1"] + 1
    ofm = read_feature_map("OFM", state, ofm_size)
    activation, table, clip_range = read_activation(state, ofm.element)
    if field("IFM_PRECISION", "round", state["IFM_PRECISION"]):
        raise ValueError("npu_cmd has no rounding mode of operands")
    operands: dict[str, SSAValue] = {"ofm": _memory(state["OFM_REGION"], memory)}
    operands["ifm"] = _memory(state["IFM_REGION"], memory)
    properties: dict[str, Attribute] = {
        "ofm_map": FeatureMapAttr(ofm),
        "scale": ScaleAttr(read_scale(state)),
        "activation": ActivationAttr(activation),
    }
    if clip_range:
        properties["clip_range"] = IntsAttr((clip_range,))
    if table is not None:
        operands["table"] = memory("shram")
        properties["table_offset"] = IntsAttr((acc.lut_base + LUT_SLOT_BYTES * table,))
    size, has_ifm2 = ofm_size, False
    if operation == "ELEMENTWISE":
        has_ifm2 = _build_ifm2(mode, state, ofm_size, operands, properties, memory)
    else:
        if field("IFM_PRECISION", "scale_mode", state["IFM_PRECISION"]):
            raise ValueError("only elementwise kernels scale operands")
        window = read_window(state)
        properties["window"] = WindowAttr(window)
        deep = operation == "CONV" or mode == "REDUCE_SUM"
        size = ifm_size(window, ofm, state["IFM_DEPTH_M1"] + 1 if deep else ofm.depth)
    properties["ifm_map"] = FeatureMapAttr(read_feature_map("IFM", state, size))
    if operation in ("CONV", "DEPTHWISE"):
        for name in ("WEIGHT", "SCALE"):
            operands[f"{name.lower()}s"] = _memory(state[f"{name}_REGION"], memory)
            properties[f"{name.lower()}_ranges"] = IntsAttr(read_ranges(name, state, acc.cores))
        if field("KERNEL_STRIDE", "weight_order", state["KERNEL_STRIDE"]):
            properties["part_kernel"] = UnitAttr()
    block, shram, blockdep = read_block(state, has_ifm2)
    properties |= {"block": BlockAttr(block), "shram": ShramAttr(shram), "blockdep": IntsAttr((blockdep,))}
    class_ = {"CONV": ConvOp, "DEPTHWISE": DepthwiseOp, "POOL": PoolOp, "ELEMENTWISE": ElementwiseOp}[operation]
    if operation == "POOL":
        properties["kind"] = StringAttr(next(kind for kind, name in _POOLS.items() if name == mode))
    elif operation == "ELEMENTWISE":
        properties["kind"] = StringAttr(mode.lower())
    names = [name for name, _ in class_.get_irdl_definition().operands]
    groups = [operands.get(name, ()) if name in ("ifm2", "table") else operands[name] for name in names]
    op = class_.build(operands=groups, properties=properties)
    if location is not None:
        op.location = location
    return cast(LaunchOp, op)


def _build_ifm2(
    mode: str,
    state: Mapping[str, int],
    ofm: tuple[int, int, int],
    operands: dict[str, SSAValue],
    properties: dict[str, Attribute],
    memory: Callable[[Space | int], SSAValue],
) -> bool:
    """Fills in the second operand; whether it is a feature map."""
    scale_mode = field("IFM_PRECISION", "scale_mode", state["IFM_PRECISION"])
    if scale_mode and mode not in ("ADD", "SUB"):
        raise ValueError(f"{mode} scales no operands")
    if mode in registers.UNARY_ELEMENTWISE:
        return False
    word = state["IFM2_BROADCAST"]
    is_reversed = bool(field("IFM2_BROADCAST", "reverse_operands", word))
    if is_reversed:
        properties["reversed"] = UnitAttr()
    if word & 7:
        properties["broadcast"] = IntsAttr((word & 7,))
    if mode in ("ADD", "SUB"):
        properties["operand_scales"] = OperandScalesAttr(read_operand_scales(state, is_reversed))
    if field("IFM2_BROADCAST", "scalar", word):
        signed = read_element("IFM2", state).signed
        properties["scalar"] = IntsAttr(
            (
                value_of("IFM2_SCALAR", state["IFM2_SCALAR"], signed),
                value_of("IFM2_ZERO_POINT", state["IFM2_ZERO_POINT"], signed),
            )
        )
        return False
    height, width, depth = (1 if word >> bit & 1 else full for bit, full in enumerate(ofm))
    operands["ifm2"] = _memory(state["IFM2_REGION"], memory)
    properties["ifm2_map"] = FeatureMapAttr(read_feature_map("IFM2", state, (height, width, depth)))
    return True
