"""Another cascade rule: each kernel whose only reader is the convolution after it runs stripe by stripe with that."""

from dataclasses import dataclass

from xdsl.passes import ModulePass

from npuc.dialects.npu import IntsAttr
from npuc.dialects.npu_schedule import ConvKernelOp, KernelOp, nhwc
from npuc.dialects.stripes import Input, Reach, Stage, unroll


@dataclass(frozen=True)
class CascadePairsPass(ModulePass):
    """Plan cascades of two kernels, so many rows at a time."""

    name = "cascade-pairs"
    rows: int = 4

    def apply(self, ctx, op):
        readers = [k for k in op.walk() if isinstance(k, ConvKernelOp) and isinstance(k.ifm.owner, KernelOp)]
        for number, reader in enumerate(readers):
            producer = reader.ifm.owner
            if len(list(reader.ifm.uses)) > 1 or producer.cascade or producer.parent != reader.parent:
                continue
            height, rows = nhwc(reader.ifm)[0], nhwc(reader.result)[0]
            first, last = min(height, self.rows * reader.sliding.stride_y), min(rows, self.rows)
            held = unroll(
                [Stage(height, first), Stage(rows, last, (Input(0, Reach.of(reader.sliding, height)),))]
            ).alive
            producer.cascade = reader.cascade = IntsAttr((number,))
            producer.stripe, reader.stripe, producer.rolling = (IntsAttr((n,)) for n in (first, last, held[0]))
