"""Passes that fail in the three ways there are."""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i32
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from npuc.operators.pool_2d import MaxPool2DOp


@dataclass(frozen=True)
class RefusePass(ModulePass):
    """Refuses whatever it is given."""

    name = "refuse"
    reason: str = "on a whim"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise PassFailedException(self.reason)


@dataclass(frozen=True)
class CrashPass(ModulePass):
    name = "crash"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise KeyError("no such thing")


@dataclass(frozen=True)
class SpoilPass(ModulePass):
    """Leaves a pool that does not verify."""

    name = "spoil"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for pool in op.walk():
            if isinstance(pool, MaxPool2DOp):
                pool.properties["padding"] = IntegerAttr(1, i32)
