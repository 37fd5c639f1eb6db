"""
Choose the OFM block of every kernel and copy: the one in which it takes the fewest estimated cycles.

Assumes a target on the module, and formats, stripes and slices as they are to stay: the cost of a block depends on all
three. Decides `block` where there is none; one that stands in the IR is respected. A kernel that runs in stripes or
depth slices is timed by the launches that it will become, as long as what suits them is legal for the whole as well.
Where memory for buffers of weights is left below `npu.sram_limit`, whole schedules are timed: with blocks for weights
in place, and with blocks for weights in buffers; where a memory may be quicker than it is taken to be, with blocks that
are good by both costs as well (`npuc.planning.blocks`).
Kernels with equal weights get blocks of one depth where that costs little for what it saves: the depth decides the
order of the weights, and weights in one order are stored once.

Without this pass every kernel gets the largest legal block: slower, and just as right.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from npuc.analysis.host import NOTHING_HELD, held_by_host
from npuc.analysis.machine import limit_of, machine_of, places_of, setup_of
from npuc.analysis.weights import block_of, weights_key_but_for_depth
from npuc.dialects.locations import OperationError
from npuc.dialects.npu import BlockAttr
from npuc.dialects.npu_schedule import ConvKernelOp, CopyOp, KernelOp, nhwc
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.cycles import kernel_cost, raw_weight_bytes
from npuc.hardware.memory import MemorySetup
from npuc.hardware.shram import Kernel, illegal_reason
from npuc.planning.blocks import quickest_blocks
from npuc.planning.forms import Form, of_channels
from npuc.planning.network import Network, scheduled_functions
from npuc.planning.tasks import suitable_block

CYCLES_A_BYTE = 1 / 16
"""What kernels may take longer for each byte of weights that need not be stored again; it would be read in about 1."""


@dataclass(frozen=True)
class NpuScheduleSelectBlocksPass(ModulePass):
    """Write the quickest block on every kernel that has none."""

    name = "npu-schedule-select-blocks"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = [k for k in op.walk() if isinstance(k, KernelOp | CopyOp) and k.block is None]
        if not kernels:
            return
        machine, setup, held = machine_of(op), setup_of(op), held_by_host(op)
        blocks: dict[KernelOp | CopyOp, Block] = {}
        forms: dict[KernelOp | CopyOp, Form] = {}
        for function in scheduled_functions(op):
            network = Network(function, held.get(function.sym_name.data, NOTHING_HELD))
            for kernel in function.walk():
                if isinstance(kernel, KernelOp | CopyOp) and kernel.block is None:
                    form = forms[kernel] = network.form(kernel)
                    launch = _launch(kernel, form)
                    try:
                        blocks[kernel] = suitable_block(form.whole, launch, machine, setup, places_of(kernel))
                    except ValueError as error:
                        raise OperationError(kernel, str(error)) from error
            limit = limit_of(function, network.space)
            if limit is not None:
                blocks |= quickest_blocks(network, machine, setup, limit)
        for kernel in kernels:
            kernel.block = BlockAttr(blocks[kernel])
        sharing: dict[Hashable, list[ConvKernelOp]] = {}
        for kernel in kernels:
            if isinstance(kernel, ConvKernelOp):
                key = weights_key_but_for_depth(kernel, block_of(kernel, machine), machine)
                sharing.setdefault(key, []).append(kernel)
        for equal in sharing.values():
            if len({block_of(kernel, machine).depth for kernel in equal}) > 1:
                _align([(kernel, forms[kernel]) for kernel in equal], machine, setup)


def _align(formed: Sequence[tuple[ConvKernelOp, Form]], machine: Accelerator, setup: MemorySetup) -> None:
    """Give kernels with equal weights blocks of one depth where that costs little: one copy serves them all."""
    kernels = [op for op, _ in formed]
    blocks = [block_of(op, machine) for op in kernels]

    def cycles(chosen: Sequence[Block]) -> int:
        return sum(
            _launches(op) * kernel_cost(machine, setup, _launch(op, form), block, places_of(op)).cycles
            for (op, form), block in zip(formed, chosen, strict=True)
        )

    choices: list[list[Block]] = []
    for depth in sorted({block.depth for block in blocks}):
        choice = [block._replace(depth=depth) for block in blocks]
        launches = ((form.whole, _launch(op, form)) for op, form in formed)
        if not any(illegal_reason(machine, one, b) for both, b in zip(launches, choice, strict=True) for one in both):
            choices.append(choice)
    best = min(choices, key=cycles, default=blocks)
    saved = raw_weight_bytes(kernels[0].launch()) * (len({block.depth for block in blocks}) - 1)
    if cycles(best) <= cycles(blocks) + saved * CYCLES_A_BYTE:
        for op, block in zip(kernels, best, strict=True):
            op.block = BlockAttr(block)


def _launches(op: ConvKernelOp) -> int:
    """About how many launches a kernel becomes: stripes times depth slices."""
    stripes = 1 if op.stripe is None else -(-nhwc(op.result)[0] // op.stripe.data[0])
    return stripes * (1 if op.slices is None else len(op.slices.data) - 1)


def _launch(op: KernelOp | CopyOp, form: Form) -> Kernel:
    """One launch of a kernel that runs in stripes or depth slices; the kernel itself if it runs whole."""
    rows = op.stripe.data[0] if isinstance(op, KernelOp) and op.stripe is not None else nhwc(op.result)[0]
    launch = form.usual(rows)
    if isinstance(op, ConvKernelOp) and op.slices is not None:
        return of_channels(launch, max(end - start for start, end in pairwise(op.slices.data)))
    return launch
