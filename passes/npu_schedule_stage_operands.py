"""
Bring operands to the scarce memory by DMA where the kernels that read them gain by it: `npu_schedule.transfer`.

Assumes a target on the module, feature maps placed and cascades formed, and on each region `npu.sram_limit` where the
memory is limited. Operands that lie in a slower memory than the one that schedules are planned for are constants,
operands of the region and spilled values. For kernels and cascades that read one it is timed where it is, brought whole
right before the first of them, as far as the kernels before do not hide that, and brought row by row beside them
(`npuc.planning.staging`). What is read through a transpose is brought as it lies, and seen so again. In the end the
whole schedule is timed with all transfers, with those of larger operands alone, and without any. A transfer row by row
is a stage of the cascade that reads it; a kernel that is in none becomes one with it. Transfers take memory that the
schedule leaves of the limit; so at its peak there are none.
`npu-cmd-hoist-dma` issues transfers early. Without this pass operands are read where they are: slower, and just as
right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from npuc.analysis.host import NOTHING_HELD, Held, held_by_host
from npuc.analysis.machine import UNLIMITED, limit_of, machine_of, scarce_space_of, setup_of
from npuc.analysis.storage import tensor_type
from npuc.dialects.feature_maps import stored
from npuc.dialects.npu import IntsAttr
from npuc.dialects.npu_schedule import CascadeOp, KernelOp, TransferOp, is_brick
from npuc.passes.npu_schedule_form_cascades import form
from npuc.planning.network import Network, scheduled_functions
from npuc.planning.schedules import score_as_it_stands
from npuc.planning.staging import Staged, Staging
from npuc.planning.tasks import Works

LEAST = (0, 1024)
"""
Operands of fewer bytes stay where they are: first none, and if the whole schedule is slower so, those of which a
transfer is mostly waiting.
"""


@dataclass(frozen=True)
class NpuScheduleStageOperandsPass(ModulePass):
    """Insert transfers of operands that are read from slow memory."""

    name = "npu-schedule-stage-operands"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = scheduled_functions(op)
        if not functions:
            return
        held = held_by_host(op)
        for function in functions:
            _stage(function, held.get(function.sym_name.data, NOTHING_HELD))


def _stage(function: FuncOp, held: Held) -> None:
    """Bring operands, or fewer of them, or none where the whole schedule is slower so."""
    machine, setup, space = machine_of(function), setup_of(function), scarce_space_of(function)
    limit = limit_of(function, space)
    limit = UNLIMITED if limit is None else limit
    plain: float | None = None
    for least in LEAST:
        network = Network(function, held)
        works = Works(network, machine, setup)
        chosen = Staging(network, works, limit, least).run()
        if not chosen:
            return
        if plain is None:
            plain = score_as_it_stands(works, limit)
        before = function.clone()
        cascades: dict[Operation, CascadeOp] = {}
        for staged in chosen:
            _transfer(staged, network, cascades)
        if score_as_it_stands(Works(Network(function, held), machine, setup), limit) <= plain:
            return
        Rewriter.replace_op(function, before)
        function = before


def _transfer(staged: Staged, network: Network, cascades: dict[Operation, CascadeOp]) -> None:
    """Let items read a copy in the scarce memory. `cascades` are those that kernels have become."""
    items, value, rolling, stripe = staged
    source = network.storage.dense_source(value)
    assert source is not None, "the planner asks for it"
    views: list[Operation] = []
    at = value
    while at is not source:
        assert isinstance(at.owner, Operation)
        views.insert(0, at.owner)
        (at,) = at.owner.operands
    if isinstance(source.owner, Operation) and source.owner in cascades:
        (source,) = cascades[source.owner].outputs
    value = views[-1].results[0] if views else source
    first = items[0]
    if stripe and first not in cascades:
        assert isinstance(first, KernelOp)
        first.stripe = IntsAttr((stripe,))
        cascades[first] = form(0, [first])
    outer = [cascades.get(item, item) for item in items]

    def near_type(value: SSAValue) -> TensorType[Any]:
        return stored(tensor_type(value), "nhcwb16" if is_brick(value) else "nhwc", network.space)

    transfer = TransferOp(source, near_type(source), rolling or None)
    transfer.location = first.location
    transfer.result.name_hint = source.name_hint
    near: SSAValue = transfer.result
    if rolling:
        assert isinstance(outer[0], CascadeOp)
        Rewriter.insert_op(transfer, InsertPoint.at_start(outer[0].body.block))
    else:
        Rewriter.insert_op(transfer, InsertPoint.before(outer[0]))
        for view in views:
            again = view.clone({view.operands[0]: near})
            near = Rewriter.replace_value_with_new_type(again.results[0], near_type(again.results[0]))
            Rewriter.insert_op(again, InsertPoint.before(outer[0]))
    for kernel in (k for item in outer for k in (item.kernels if isinstance(item, CascadeOp) else (item,))):
        for index, operand in enumerate(kernel.operands):
            if operand is value:
                kernel.operands[index] = near
