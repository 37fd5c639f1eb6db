"""The coverage report: features by operation, and what no stream used."""

from npu_assembler import Assembler, place

from npuc.hardware import registers
from npuc.simulator import parse_payload
from npuc.simulator.coverage import coverage, unexercised


def test_features_of_two_operations():
    asm = Assembler()
    shape = (4, 4, 16)
    asm.kernel("POOL", 0, place("OFM", 0x1000, shape), place("IFM", 0x100, shape), IFM_PAD_TOP=1, KERNEL_HEIGHT_M1=1)
    lookup = registers.pack("ACTIVATION", function=18)
    scaled = place("OFM", 0x2000, shape, scale_mode=1)
    asm.kernel("POOL", 1, scaled, place("IFM", 0x1000, shape, brick=True), ACTIVATION=lookup, OFM_SCALE=3 | 40 << 32)
    total = coverage(parse_payload(asm.payload()).ops)
    assert total["POOL MAX: padding"] == 1
    assert total["POOL MAX: IFM_PRECISION.format = nhwc"] == 1
    assert total["POOL AVERAGE: IFM_PRECISION.format = nhcwb16"] == 1
    assert total["POOL AVERAGE: lookup 8 -> 8 bit"] == 1
    assert total["POOL AVERAGE: OFM_SCALE shift 32..63"] == 1
    assert "POOL AVERAGE: padding" not in total
    missing = unexercised(total)
    assert "CONV" in missing
    assert "ELEMENTWISE SHL" in missing
    assert "OFM_PRECISION.round = natural" in missing
    assert not {"POOL MAX", "IFM_PRECISION.format = nhwc", "ACTIVATION.function = lut2"} & set(missing)
