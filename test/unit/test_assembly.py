"""Operations of clauses: their operands by name."""

import pytest
from execute_region import parse, region_of
from xdsl.dialects.builtin import ModuleOp

from npuc.dialects.npu_schedule import ElementwiseOp

MAP = "tensor<1x4x4x16xi8>"


def module() -> ModuleOp:
    return parse(f"""
  func.func @npu_0(%x: {MAP}, %y: {MAP}) -> {MAP} attributes {{npu.region}} {{
    %one = npu_schedule.elementwise abs %x zero_points <0, 0> activation <-128, 127> : ({MAP}) -> {MAP}
    %two = npu_schedule.elementwise max %one, %y zero_points <0, 0, 0> activation <-128, 127>
      : ({MAP}, {MAP}) -> {MAP}
    func.return %two : {MAP}
  }}""")


def test_operands_in_segments_have_names_and_cannot_be_written() -> None:
    region = region_of(module())
    x, y = region.args
    one, two = (op for op in region.body.block.ops if isinstance(op, ElementwiseOp))
    assert (one.ifm, one.ifm2, one.table) == (x, None, None)
    assert (two.ifm, two.ifm2, two.table) == (one.result, y, None)
    two.operands[0] = x
    assert two.ifm is x
    with pytest.raises(AttributeError):
        two.ifm = y  # pyright: ignore[reportAttributeAccessIssue]
    assert two.ifm is x
