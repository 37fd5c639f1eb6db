"""
The register map of the Ethos-U55/U65 command stream as plain data, read by both the encoder and the simulator.

A word is `param << 16 | control << 14 | opcode`. With control 0 it is a whole command (`wide` False: the operand is the
16-bit param); with control 1 a second word follows (`wide` True: the operand is `param << 32 | second word`). The two
controls number their opcodes separately. Names are those of Arm's register headers without `NPU_SET_` and `NPU_OP_`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

WIDE_CONTROL = 1 << 14
RESERVED_WORD_BITS = 0x3C00
STOP_PARAM = 0xFFFF
MAX_STREAM_BYTES = 1 << 24


class Field(NamedTuple):
    """A bit field of a register; `values` names its legal values, where they are an enumeration."""

    name: str
    low: int
    width: int
    values: tuple[tuple[int, str], ...] = ()

    @property
    def mask(self) -> int:
        return (1 << self.width) - 1

    def get(self, value: int) -> int:
        return value >> self.low & self.mask


class Register(NamedTuple):
    """
    One register.

    `bits` masks the operand's legal bits (for `wide` ones within 48 bits). `kind` says how to read the operand:
    number, minus_one (the value less one), signed (16 bit two's complement), address, stride (signed address), length,
    scale (32 bits, shift above), or fields.
    """

    name: str
    opcode: int
    wide: bool
    group: str
    kind: str
    bits: int
    fields: tuple[Field, ...] = ()
    u65_only: bool = False

    @property
    def mnemonic(self) -> str:
        return "NPU_SET_" + self.name


class Operation(NamedTuple):
    """One command that does something; `params` names its legal params, empty where `param_bits` alone rules."""

    name: str
    opcode: int
    param_bits: int
    params: tuple[tuple[int, str], ...] = ()

    @property
    def mnemonic(self) -> str:
        return "NPU_OP_" + self.name


POOL_MODES = ((0, "MAX"), (1, "AVERAGE"), (2, "REDUCE_SUM"))
ELEMENTWISE_MODES = (
    (0, "MUL"),
    (1, "ADD"),
    (2, "SUB"),
    (3, "MIN"),
    (4, "MAX"),
    (5, "LRELU"),
    (6, "ABS"),
    (7, "CLZ"),
    (8, "SHR"),
    (9, "SHL"),
)
UNARY_ELEMENTWISE = frozenset({"LRELU", "ABS", "CLZ"})

OPERATIONS: tuple[Operation, ...] = (
    Operation("STOP", 0x000, 0xFFFF),
    Operation("IRQ", 0x001, 0xFFFF),
    Operation("CONV", 0x002, 0, ((0, ""),)),
    Operation("DEPTHWISE", 0x003, 0, ((0, ""),)),
    Operation("POOL", 0x005, 0x7, POOL_MODES),
    Operation("ELEMENTWISE", 0x006, 0x3F, ELEMENTWISE_MODES),
    Operation("DMA_START", 0x010, 0, ((0, ""),)),
    Operation("DMA_WAIT", 0x011, 0xF),
    Operation("KERNEL_WAIT", 0x012, 0x3),
    Operation("PMU_MASK", 0x013, 0x1),
)
KERNEL_OPERATIONS = frozenset({"CONV", "DEPTHWISE", "POOL", "ELEMENTWISE"})

_SIGNEDNESS = Field("type", 0, 1, ((0, "unsigned"), (1, "signed")))
_WIDTHS = ((0, "8"), (1, "16"), (2, "32"))
_FORMAT = Field("format", 6, 2, ((0, "nhwc"), (1, "nhcwb16")))
_ROUND = Field("round", 14, 2, ((0, "double"), (1, "truncate"), (2, "natural")))

IFM_PRECISION_FIELDS = (
    _SIGNEDNESS,
    Field("precision", 2, 2, _WIDTHS),
    _FORMAT,
    Field("scale_mode", 8, 2, ((0, "16"), (1, "opa32"), (2, "opb32"))),
    _ROUND,
)
IFM2_PRECISION_FIELDS = IFM_PRECISION_FIELDS[:3]
OFM_PRECISION_FIELDS = (
    _SIGNEDNESS,
    Field("precision", 1, 2, _WIDTHS),
    _FORMAT,
    Field("scale_mode", 8, 1, ((0, "per_channel"), (1, "global"))),
    _ROUND,
)
KERNEL_STRIDE_FIELDS = (
    Field("stride_x_low", 0, 1),
    Field("stride_y_low", 1, 1),
    Field("weight_order", 2, 1, ((0, "depth_first"), (1, "part_kernel_first"))),
    Field("dilation_x", 3, 1, ((0, "1"), (1, "2"))),
    Field("dilation_y", 4, 1, ((0, "1"), (1, "2"))),
    Field("decomposition", 5, 1, ((0, "8x8"), (1, "4x4"))),
    Field("stride_x_high", 6, 1),
    Field("stride_y_high", 9, 1),
)
ACTIVATION_FIELDS = (
    Field(
        "function",
        0,
        5,
        ((0, "none"), (3, "tanh"), (4, "sigmoid"), *((16 + i, f"lut{i}") for i in range(8))),
    ),
    Field("clip_range", 12, 3, ((0, "ofm"), (2, "u8"), (3, "s8"), (5, "s16"))),
)
IFM2_BROADCAST_FIELDS = (
    Field("broadcast_h", 0, 1),
    Field("broadcast_w", 1, 1),
    Field("broadcast_c", 2, 1),
    Field("reverse_operands", 6, 1),
    Field("scalar", 7, 1),
)
DMA_REGION_FIELDS = (
    Field("region", 0, 3),
    Field("internal", 8, 1, ((0, "external"), (1, "internal"))),
    Field("stride_mode", 9, 2, ((0, "1d"), (1, "2d"), (2, "3d"))),
)
IFM_UPSCALE_FIELDS = (Field("mode", 0, 2, ((0, "none"), (1, "nearest"), (2, "zeros"))),)
ACC_FORMAT_FIELDS = (Field("format", 0, 2, ((0, "int32"), (1, "int40"), (2, "fp16"))),)
PARALLEL_MODE_FIELDS = (Field("mode", 0, 1, ((0, "single"), (1, "dual_depth"))),)

ADDRESS_BITS = 0xFF_FFFF_FFFF
SCALE_BITS = 0x3F_FFFF_FFFF


def _bits(fields: tuple[Field, ...]) -> int:
    mask = 0
    for field in fields:
        mask |= field.mask << field.low
    return mask


def _narrow(name: str, opcode: int, group: str, kind: str, bits: int = 0xFFFF, u65_only: bool = False) -> Register:
    return Register(name, opcode, False, group, kind, bits, (), u65_only)


def _fields(name: str, opcode: int, group: str, fields: tuple[Field, ...], u65_only: bool = False) -> Register:
    return Register(name, opcode, False, group, "fields", _bits(fields), fields, u65_only)


def _wide(name: str, opcode: int, group: str, kind: str, bits: int, u65_only: bool = False) -> Register:
    return Register(name, opcode, True, group, kind, bits, (), u65_only)


def _feature_map(prefix: str, narrow: int, wide: int, precision: Register, offset: int) -> tuple[Register, ...]:
    """The registers that place one feature map; IFM, OFM and IFM2 number them alike but for `offset`."""
    return (
        precision,
        _narrow(f"{prefix}_ZERO_POINT", narrow + 0x9 - offset, prefix, "signed"),
        _narrow(f"{prefix}_WIDTH0_M1", narrow + 0xA, prefix, "minus_one"),
        _narrow(f"{prefix}_HEIGHT0_M1", narrow + 0xB, prefix, "minus_one"),
        _narrow(f"{prefix}_HEIGHT1_M1", narrow + 0xC, prefix, "minus_one"),
        _narrow(f"{prefix}_REGION", narrow + 0xF, prefix, "number", 0x7),
        *(_wide(f"{prefix}_BASE{tile}", wide + tile, prefix, "address", ADDRESS_BITS) for tile in range(4)),
        *(
            _wide(f"{prefix}_STRIDE_{axis}", wide + 4 + i, prefix, "stride", ADDRESS_BITS)
            for i, axis in enumerate("XYC")
        ),
    )


REGISTERS: tuple[Register, ...] = (
    *_feature_map("IFM", 0x100, 0x000, _fields("IFM_PRECISION", 0x105, "IFM", IFM_PRECISION_FIELDS), 0),
    _narrow("IFM_PAD_TOP", 0x100, "KERNEL", "number", 0x7F),
    _narrow("IFM_PAD_LEFT", 0x101, "KERNEL", "number", 0x7F),
    _narrow("IFM_PAD_RIGHT", 0x102, "KERNEL", "number", 0xFF),
    _narrow("IFM_PAD_BOTTOM", 0x103, "KERNEL", "number", 0xFF),
    _narrow("IFM_DEPTH_M1", 0x104, "IFM_DEPTH", "minus_one"),
    _fields("IFM_UPSCALE", 0x107, "KERNEL", IFM_UPSCALE_FIELDS),
    _narrow("IFM_IB_END", 0x10D, "BLOCK", "number", 0x3F),
    *_feature_map("OFM", 0x110, 0x010, _fields("OFM_PRECISION", 0x114, "OFM", OFM_PRECISION_FIELDS), 1),
    _narrow("OFM_WIDTH_M1", 0x111, "OFM", "minus_one"),
    _narrow("OFM_HEIGHT_M1", 0x112, "OFM", "minus_one"),
    _narrow("OFM_DEPTH_M1", 0x113, "OFM", "minus_one"),
    _narrow("OFM_BLK_WIDTH_M1", 0x115, "BLOCK", "minus_one", 0x3F),
    _narrow("OFM_BLK_HEIGHT_M1", 0x116, "BLOCK", "minus_one", 0x1F),
    _narrow("OFM_BLK_DEPTH_M1", 0x117, "BLOCK", "minus_one", 0x7F),
    _narrow("KERNEL_WIDTH_M1", 0x120, "KERNEL", "minus_one"),
    _narrow("KERNEL_HEIGHT_M1", 0x121, "KERNEL", "minus_one"),
    _fields("KERNEL_STRIDE", 0x122, "KERNEL", KERNEL_STRIDE_FIELDS),
    _fields("PARALLEL_MODE", 0x123, "PARALLEL", PARALLEL_MODE_FIELDS, u65_only=True),
    _fields("ACC_FORMAT", 0x124, "BLOCK", ACC_FORMAT_FIELDS),
    _fields("ACTIVATION", 0x125, "ACTIVATION", ACTIVATION_FIELDS),
    _narrow("ACTIVATION_MIN", 0x126, "ACTIVATION", "signed"),
    _narrow("ACTIVATION_MAX", 0x127, "ACTIVATION", "signed"),
    _narrow("WEIGHT_REGION", 0x128, "WEIGHTS", "number", 0x7),
    _narrow("SCALE_REGION", 0x129, "SCALES", "number", 0x7),
    _narrow("AB_START", 0x12D, "BLOCK", "number", 0x3F),
    _narrow("BLOCKDEP", 0x12F, "BLOCK", "number", 0x3),
    _fields("DMA0_SRC_REGION", 0x130, "DMA", DMA_REGION_FIELDS),
    _fields("DMA0_DST_REGION", 0x131, "DMA", DMA_REGION_FIELDS),
    _narrow("DMA0_SIZE0", 0x132, "DMA_STRIDED", "number", u65_only=True),
    _narrow("DMA0_SIZE1", 0x133, "DMA_STRIDED", "number", u65_only=True),
    _fields("IFM2_BROADCAST", 0x180, "IFM2_BROADCAST", IFM2_BROADCAST_FIELDS),
    _narrow("IFM2_SCALAR", 0x181, "IFM2_SCALAR", "signed"),
    *_feature_map("IFM2", 0x180, 0x080, _fields("IFM2_PRECISION", 0x185, "IFM2", IFM2_PRECISION_FIELDS), 0),
    _narrow("IFM2_IB_START", 0x18D, "IFM2_BUFFER", "number", 0x3F),
    _wide("WEIGHT_BASE", 0x020, "WEIGHTS", "address", ADDRESS_BITS),
    _wide("WEIGHT_LENGTH", 0x021, "WEIGHTS", "length", 0xFFFF_FFFF),
    _wide("SCALE_BASE", 0x022, "SCALES", "address", ADDRESS_BITS),
    _wide("SCALE_LENGTH", 0x023, "SCALES", "length", 0xF_FFFF),
    _wide("OFM_SCALE", 0x024, "OFM_SCALE", "scale", SCALE_BITS),
    _wide("OPA_SCALE", 0x025, "OPERAND_SCALES", "scale", SCALE_BITS),
    _wide("OPB_SCALE", 0x026, "OPERAND_SCALES", "scale", 0xFFFF),
    _wide("DMA0_SRC", 0x030, "DMA", "address", ADDRESS_BITS),
    _wide("DMA0_DST", 0x031, "DMA", "address", ADDRESS_BITS),
    _wide("DMA0_LEN", 0x032, "DMA", "length", ADDRESS_BITS),
    _wide("DMA0_SKIP0", 0x033, "DMA_STRIDED", "stride", ADDRESS_BITS, u65_only=True),
    _wide("DMA0_SKIP1", 0x034, "DMA_STRIDED", "stride", ADDRESS_BITS, u65_only=True),
    _wide("WEIGHT1_BASE", 0x090, "WEIGHTS1", "address", ADDRESS_BITS, u65_only=True),
    _wide("WEIGHT1_LENGTH", 0x091, "WEIGHTS1", "length", 0xFFFF_FFFF, u65_only=True),
    _wide("SCALE1_BASE", 0x092, "SCALES1", "address", ADDRESS_BITS, u65_only=True),
    _wide("SCALE1_LENGTH", 0x093, "SCALES1", "length", 0xF_FFFF, u65_only=True),
)

BY_NAME: dict[str, Register] = {register.name: register for register in REGISTERS}
NARROW: dict[int, Register] = {register.opcode: register for register in REGISTERS if not register.wide}
WIDE: dict[int, Register] = {register.opcode: register for register in REGISTERS if register.wide}
OPERATION_BY_NAME: dict[str, Operation] = {operation.name: operation for operation in OPERATIONS}
OPERATION_BY_OPCODE: dict[int, Operation] = {operation.opcode: operation for operation in OPERATIONS}
GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(register.name for register in REGISTERS if register.group == group)
    for group in dict.fromkeys(register.group for register in REGISTERS)
}
"""Group name -> register names. What an operation reads is a union of whole groups (`groups_read`)."""

# Arm's headers leave IFM, OFM, kernel, block and activation registers to every kernel operation; the rest is told by
# mode bits. Elementwise operations have no kernel, no padding and no up-scaling.
_ALWAYS = ("IFM", "OFM", "BLOCK", "ACTIVATION")


def groups_read(operation: str, mode: str, state: Mapping[str, int], cores: int = 1) -> tuple[str, ...]:
    """
    The register groups that one operation reads, given the raw operands of the registers that select them.

    `mode` is the name of the operation's param ("" where it has none), `cores` 2 for ethos-u65-512. Raises KeyError
    with the register's name if a selecting register (OFM_PRECISION, IFM2_BROADCAST) has no value.
    """
    if operation == "DMA_START":
        return ("DMA",)
    if operation not in KERNEL_OPERATIONS:
        return ()
    global_scale = bool(field("OFM_PRECISION", "scale_mode", state["OFM_PRECISION"]))
    groups: list[str] = list(_ALWAYS)
    if operation == "ELEMENTWISE":
        if mode not in UNARY_ELEMENTWISE:
            broadcast = state["IFM2_BROADCAST"]
            groups.append("IFM2_BROADCAST")
            if field("IFM2_BROADCAST", "scalar", broadcast):
                groups.append("IFM2_SCALAR")
            else:
                groups += ["IFM2", "IFM2_BUFFER"]
        if mode in ("ADD", "SUB"):
            groups.append("OPERAND_SCALES")
        if global_scale:
            groups.append("OFM_SCALE")
        return tuple(groups)
    groups.append("KERNEL")
    if operation == "CONV" or mode == "REDUCE_SUM":
        groups.append("IFM_DEPTH")
    if operation == "POOL":
        return (*groups, "OFM_SCALE") if global_scale else tuple(groups)
    groups.append("WEIGHTS")
    groups.append("OFM_SCALE" if global_scale else "SCALES")
    if cores > 1:
        groups.append("WEIGHTS1")
        if not global_scale:
            groups.append("SCALES1")
    return tuple(groups)


def extra_registers_read(operation: str, mode: str, state: Mapping[str, int]) -> tuple[str, ...]:
    """Registers read beside whole groups: a scalar IFM2 still has a zero point and a type."""
    if operation == "ELEMENTWISE" and mode not in UNARY_ELEMENTWISE:
        if field("IFM2_BROADCAST", "scalar", state["IFM2_BROADCAST"]):
            return ("IFM2_PRECISION", "IFM2_ZERO_POINT")
    return ()


_FIELD: dict[tuple[str, str], Field] = {
    (register.name, entry.name): entry for register in REGISTERS for entry in register.fields
}
_PLACE: dict[tuple[str, str], tuple[int, int]] = {key: (entry.low, entry.mask) for key, entry in _FIELD.items()}


def field(register: str, name: str, value: int) -> int:
    """The field `name` of a raw operand of `register`."""
    low, mask = _PLACE[register, name]
    return value >> low & mask


def pack(register: str, **values: int) -> int:
    """The raw operand of a register made of fields; raises ValueError for a value that its field does not hold."""
    operand = 0
    for name, value in values.items():
        entry = _FIELD[register, name]
        if value & ~entry.mask or (entry.values and value not in dict(entry.values)):
            raise ValueError(f"{register}.{name} cannot be {value}")
        operand |= value << entry.low
    return operand


def kernel_stride(
    stride_y: int,
    stride_x: int,
    dilation_y: int = 1,
    dilation_x: int = 1,
    part_kernel_first: bool = False,
    decomposition_4x4: bool = False,
) -> int:
    """The operand of KERNEL_STRIDE for strides 1..4 and dilations 1..2."""
    return pack(
        "KERNEL_STRIDE",
        stride_x_low=stride_x - 1 & 1,
        stride_y_low=stride_y - 1 & 1,
        weight_order=int(part_kernel_first),
        dilation_x=dilation_x - 1,
        dilation_y=dilation_y - 1,
        decomposition=int(decomposition_4x4),
        stride_x_high=stride_x - 1 >> 1,
        stride_y_high=stride_y - 1 >> 1,
    )


def strides(value: int) -> tuple[int, int]:
    """(stride y, stride x) of an operand of KERNEL_STRIDE."""
    x = field("KERNEL_STRIDE", "stride_x_low", value) | field("KERNEL_STRIDE", "stride_x_high", value) << 1
    y = field("KERNEL_STRIDE", "stride_y_low", value) | field("KERNEL_STRIDE", "stride_y_high", value) << 1
    return y + 1, x + 1


def set_words(register: str, operand: int) -> tuple[int, ...]:
    """
    The one or two words that set a register to a raw operand.

    Negative operands become two's complement (16 bits, or 40 for addresses and strides). Raises ValueError for an
    operand with bits that the register has not.
    """
    entry = BY_NAME[register]
    if operand < 0:
        operand &= ADDRESS_BITS if entry.wide else 0xFFFF
    if operand & ~entry.bits:
        raise ValueError(f"{register} cannot hold {operand:#x}")
    if not entry.wide:
        return (operand << 16 | entry.opcode,)
    return (operand >> 32 << 16 | WIDE_CONTROL | entry.opcode, operand & 0xFFFF_FFFF)


def operation_word(operation: str, param: int = 0) -> int:
    """The word of an operation; raises ValueError for a param that it has not."""
    entry = OPERATION_BY_NAME[operation]
    if param & ~entry.param_bits or (entry.params and param not in dict(entry.params)):
        raise ValueError(f"{operation} cannot have param {param}")
    return param << 16 | entry.opcode


# The driver payload that wraps a command stream.
PAYLOAD_FOURCC = 0x31504F43  # "COP1"
ACTION_CONFIG = 1
ACTION_COMMAND_STREAM = 2
ACTION_NOP = 5
ARCHITECTURE_MAJOR = 1
