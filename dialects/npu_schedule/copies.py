"""
What moves a feature map and computes nothing: a copy by a kernel, a transfer by DMA.
"""

from __future__ import annotations

from typing import ClassVar

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.assembly import Clause, ClauseOp, clause_op_definition
from npuc.dialects.feature_maps import element_of, is_brick, layout_of, nhwc, verify_written
from npuc.dialects.launch import verify_launch
from npuc.dialects.npu import BlockAttr, IntsAttr
from npuc.dialects.npu_schedule.kernels import verify_rows
from npuc.hardware.shram import MICRO_BLOCK_DEPTH, Dims, Format, Kernel


def copying(dims: Dims, bits: int, ifm_format: Format, ofm_format: Format) -> Kernel:
    """
    The launch that copies a map of such elements: an average pool of one element, or, of linear maps whose channels do
    not fill micro-blocks, the maximum of each element and the least of its type, which takes the time of its output
    alone (by the cost model). 32-bit elements are moved as pairs of 16 bits.
    """
    units = max(1, bits // 16)
    dims, bits = dims._replace(depth=dims.depth * units), min(bits, 16)
    pool = Kernel("avg_pool", dims, dims, ifm_bits=bits, ofm_bits=bits, ifm_format=ifm_format, ofm_format=ofm_format)
    if dims.depth % MICRO_BLOCK_DEPTH == 0 or not ifm_format == ofm_format == "nhwc":
        return pool
    return pool._replace(kind="elementwise", operation="max", ifm2=Dims(1, 1, 1), ifm2_scalar=True)


@irdl_op_definition
class CopyOp(IRDLOperation):
    """A feature map copied to memory of its own, byte for byte; stands where a view alone would not do."""

    name = "npu_schedule.copy"
    ifm = operand_def(TensorType)
    result = result_def(TensorType)
    block = opt_prop_def(BlockAttr)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$ifm (`block` $block^)? attr-dict `:` type($ifm) `->` type($result)"

    def __init__(self, ifm: SSAValue, result_type: Attribute | None = None):
        super().__init__(operands=[ifm], result_types=[result_type or ifm.type])

    def launch(self) -> Kernel:
        """The launch that makes the copy."""
        return copying(Dims(*nhwc(self.ifm)), element_of(self.ifm).bits, layout_of(self.ifm), layout_of(self.result))

    def verify_(self) -> None:
        if nhwc(self.ifm) != nhwc(self.result) or element_of(self.ifm) != element_of(self.result):
            raise VerifyException("a copy has the shape and element type of what it copies")
        verify_written(self.result)
        if element_of(self.ifm).bits == 32 and (is_brick(self.ifm) or is_brick(self.result)):
            raise VerifyException("32-bit feature maps are copied in linear layout only")
        verify_launch(self, self.launch(), self.block)


@clause_op_definition
class TransferOp(ClauseOp):
    """
    A feature map brought to another place by DMA, beside the kernels that run meanwhile: a constant or an operand of
    the region to a faster memory, or a value between the arena and the fast memory beside it. Byte for byte, so that
    source and result are stored alike, and the source has no gaps.

    Outside of a cascade it is brought whole. Inside of one it brings the rows that its readers want, at most `stripe`
    at a time, always one launch ahead of them, and a rolling buffer of `rolling` rows holds what is needed of them.
    """

    name = "npu_schedule.transfer"
    source = operand_def(TensorType)
    result = result_def(TensorType)
    stripe = opt_prop_def(IntsAttr)
    rolling = opt_prop_def(IntsAttr)
    traits = traits_def(Pure())

    CLAUSES: ClassVar[tuple[Clause, ...]] = (
        Clause(operand="source"),
        Clause("stripe", attribute="stripe", payload=IntsAttr),
        Clause("rolling", attribute="rolling", payload=IntsAttr),
    )

    def __init__(self, source: SSAValue, result_type: Attribute, rolling: int | None = None):
        super().__init__(
            operands=[source],
            result_types=[result_type],
            properties={} if rolling is None else {"rolling": IntsAttr((rolling,))},
        )

    def verify_(self) -> None:
        if nhwc(self.source) != nhwc(self.result) or element_of(self.source) != element_of(self.result):
            raise VerifyException("a transfer keeps shape and element type")
        verify_written(self.result)
        if is_brick(self.source) != is_brick(self.result):
            raise VerifyException("a transfer keeps the layout: only kernels change it")
        verify_rows(nhwc(self.result)[0], self.stripe, self.rolling)
