"""
Cascades: kernels and transfers that run stripe by stripe, and what they are to the walk over stripes
(`npuc.dialects.stripes`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    region_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import IsTerminator, Pure, SingleBlockImplicitTerminator
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.feature_maps import nhwc, row_bytes
from npuc.dialects.npu_schedule.constants import ConstantOp, ScalesOp
from npuc.dialects.npu_schedule.copies import TransferOp
from npuc.dialects.npu_schedule.kernels import CASCADE, ElementwiseOp, KernelOp
from npuc.dialects.stripes import Input, Stage, Unrolled, bytes_before, turned, unroll
from npuc.dialects.views import ConcatOp, SliceOp, keeps_rows, row_sources
from npuc.hardware.alignment import ALIGNMENT


@irdl_op_definition
class YieldOp(IRDLOperation):
    """What leaves a cascade."""

    name = "npu_schedule.yield"
    values = var_operand_def(TensorType)
    traits = traits_def(IsTerminator())
    assembly_format = "$values attr-dict `:` type($values)"

    def __init__(self, values: Sequence[SSAValue]):
        super().__init__(operands=[list(values)])


@irdl_op_definition
class CascadeOp(IRDLOperation):
    """
    Kernels that run stripe by stripe, on demand of the last one (`npuc.dialects.stripes`): a value that stays inside
    lives in a rolling buffer of `rolling` rows, one that is yielded, or has no `rolling`, in a whole feature map.

    A value may be read through slices and concats that keep rows, and are inside as well: the parts of a concat share
    one rolling buffer, and each kernel writes its channels or columns of the rows.

    A transfer may be one of its stages: it brings rows of what lies outside, beside the kernels.

        %y = npu_schedule.cascade -> tensor<1x32x32x16xi8> {
          %near = npu_schedule.transfer %x rolling <10> : (tensor<1x32x32x8xi8>) -> tensor<1x32x32x8xi8>
          %1 = npu_schedule.conv2d %near, ... window <3x3, pad 1 1 1 1> stripe <4> : ...

    A result may lie over what the cascade is the last to read, so far before it that no launch writes a row that one is
    still to read; or so far behind it, if all kernels walk `upwards`, from the last rows to the first:

        %y = npu_schedule.cascade -> tensor<1x32x32x16xi8> {
          %1 = npu_schedule.pool max %x ... window <3x3, pad 1 1 1 1> stripe <4> over %x at <-2560> : ...
    """

    name = CASCADE
    body = region_def("single_block")
    outputs = var_result_def(TensorType)
    traits = traits_def(Pure(), SingleBlockImplicitTerminator(YieldOp))
    assembly_format = "attr-dict-with-keyword `->` type($outputs) $body"

    def __init__(self, body: Region, result_types: Sequence[Attribute]):
        super().__init__(regions=[body], result_types=[list(result_types)])

    @property
    def stages(self) -> tuple[KernelOp | TransferOp, ...]:
        """The kernels and transfers of the cascade in program order: the stages of `unrolled`."""
        return tuple(op for op in self.body.block.ops if isinstance(op, KernelOp | TransferOp))

    @property
    def kernels(self) -> tuple[KernelOp, ...]:
        """The kernels of the cascade in program order."""
        return tuple(op for op in self.stages if isinstance(op, KernelOp))

    @property
    def yielded(self) -> tuple[SSAValue, ...]:
        """What leaves the cascade, in the order of its results."""
        last = self.body.block.last_op
        assert isinstance(last, YieldOp)
        return tuple(last.values)

    @property
    def upwards(self) -> bool:
        """Whether it walks from the last rows to the first."""
        return any(op.upwards is not None for op in self.kernels)

    def unrolled(self) -> Unrolled:
        """The launches in order; VerifyException if a rolling buffer is too low for what is alive in it."""
        walk = self._walk()
        return turned(walk, stages_of(self.stages, self.yielded)) if self.upwards else walk

    def _walk(self) -> Unrolled:
        """The same, rows counted from the last one where it walks upwards."""
        stages = self.stages
        found = unroll(stages_of(stages, self.yielded))
        for op, rows in zip(stages, found.alive, strict=True):
            if op.rolling is not None and op.result not in self.yielded and rows > op.rolling.data[0]:
                raise VerifyException(f"{rows} rows are alive in a rolling buffer of {op.rolling.data[0]}")
        return found

    def nearest(self, op: KernelOp) -> int:
        """
        How many bytes behind what the result of one of its kernels lies over it may begin: at most so many, or at least
        where the cascade walks upwards, a multiple of 16. Both are taken to have no gaps.
        """
        return self._nearest(op, self._walk())

    def _nearest(self, op: KernelOp, walk: Unrolled) -> int:
        value, stages = op.laid_over, self.stages
        assert value is not None
        readers = [
            (index, one.walked(value))
            for index, one in enumerate(stages)
            if isinstance(one, KernelOp)
            for read in one.feature_maps
            if read is value
        ]
        if not readers:
            raise VerifyException("a result lies over what its own cascade reads, and nothing reads later")
        row, read_row = row_bytes(op.result), row_bytes(value)
        apart = bytes_before(walk.launches, stages.index(op), row, readers, read_row)
        if self.upwards:
            # As far as its end lies behind the other end.
            behind = apart + nhwc(value)[0] * read_row - nhwc(op.result)[0] * row
            return -(-behind // ALIGNMENT) * ALIGNMENT
        return -apart // ALIGNMENT * ALIGNMENT

    def verify_(self) -> None:
        last = self.body.block.last_op
        if not isinstance(last, YieldOp) or list(last.operand_types) != list(self.result_types):
            raise VerifyException("a cascade yields exactly its results")
        for op in self.body.block.ops:
            if not isinstance(op, KernelOp | TransferOp | ConstantOp | ScalesOp | YieldOp) and not keeps_rows(op):
                raise VerifyException(
                    f"a cascade holds kernels, transfers, constants, and views that keep rows, not {op.name}"
                )
            if isinstance(op, ConcatOp | SliceOp):
                self._verify_view(op)
            if isinstance(op, TransferOp):
                self._verify_transfer(op)
            if isinstance(op, ElementwiseOp) and op.in_place is not None:
                # Stripes take turns: another kernel may read the operand's rows after this one has written them.
                raise VerifyException("a kernel of a cascade cannot be in_place")
        kernels = self.kernels
        if self.upwards and any(op.upwards is None for op in kernels):
            raise VerifyException("the kernels of a cascade walk in one direction: all are `upwards`, or none is")
        if self.upwards and any(op.sliding.upscale != "none" for op in kernels):
            raise VerifyException("a cascade that upscales does not walk upwards")
        walk = self._walk()
        for op in kernels:
            if op.at is not None:
                self._verify_over(op, walk)

    def _verify_over(self, op: KernelOp, walk: Unrolled) -> None:
        """A result that lies over an operand leaves alone what is still to be read of it."""
        value = op.laid_over
        assert value is not None
        assert op.at is not None
        if op.result not in self.yielded:
            raise VerifyException("what lies over an operand of its cascade leaves the cascade")
        if isinstance(value.owner, Operation) and value.owner.parent_op() is self:
            raise VerifyException("a result lies over what was there before its cascade")
        if sum(one.laid_over is value for one in self.kernels) > 1:
            raise VerifyException("two results do not lie over one feature map")
        nearest, at = self._nearest(op, walk), op.at.data[0]
        if self.upwards and at < nearest:
            raise VerifyException(
                f"it writes over rows that are still to be read {at} bytes behind what it lies over: at least {nearest}"
            )
        if not self.upwards and at > nearest:
            raise VerifyException(
                f"it writes over rows that are still to be read {at} bytes behind what it lies over: at most {nearest}"
            )

    def _verify_view(self, op: ConcatOp | SliceOp) -> None:
        kernels = [source.owner for source in row_sources(op.result)]
        if not all(isinstance(one, KernelOp) and one.parent_op() is self for one in kernels):
            raise VerifyException("a view in a cascade is one of what its kernels write")
        if op.result in self.yielded:
            raise VerifyException("what is yielded is the result of a kernel: a view of it stands outside")
        if isinstance(op, ConcatOp) and len({one.rolling for one in kernels if isinstance(one, KernelOp)}) > 1:
            raise VerifyException("the parts of a concat lie in one rolling buffer: `rolling` is the same for all")

    def _verify_transfer(self, op: TransferOp) -> None:
        owner = op.source.owner
        if isinstance(owner, KernelOp | TransferOp) and owner.parent_op() is self:
            raise VerifyException("a transfer of a cascade brings what lies outside of it")
        if op.result in self.yielded:
            raise VerifyException("a transfer of a cascade brings what is read inside of it")


def rolling_of(root: SSAValue) -> int | None:
    """Rows of the rolling buffer that holds all that lies in a root; None where it is whole."""
    owner = row_sources(root)[0].owner
    if not isinstance(owner, KernelOp | TransferOp) or not isinstance(root.owner, Operation) or owner.rolling is None:
        return None
    return owner.rolling.data[0] if isinstance(root.owner.parent_op(), CascadeOp) else None


def stages_of(
    ops: Sequence[KernelOp | TransferOp], leaving: Collection[SSAValue], stripes: Sequence[int] | None = None
) -> list[Stage]:
    """
    The stages that kernels and transfers in program order are in one cascade, the results `leaving` it given.

    `stripes` are rows a launch for each of them; None takes those that are written on them, or all rows. Rows are
    counted from the last one where the kernels walk upwards.
    """
    index: dict[SSAValue, int] = {op.result: k for k, op in enumerate(ops)}
    stages: list[Stage] = []
    for k, op in enumerate(ops):
        height = nhwc(op.result)[0]
        written = op.stripe.data[0] if op.stripe is not None else height
        if isinstance(op, TransferOp):
            stages.append(Stage(height, written if stripes is None else stripes[k], ahead=True))
            continue
        own = op.reach(op.feature_maps[0])
        stages.append(
            Stage(
                height,
                written if stripes is None else stripes[k],
                tuple(
                    Input(index[source], op.walked(value))
                    for value in op.feature_maps
                    for source in row_sources(value)
                    if source in index
                ),
                op.result in leaving,
                own if own.up > 1 else None,
            )
        )
    return stages
