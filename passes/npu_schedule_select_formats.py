"""
Choose how each feature map lies in memory: linear (NHWC), or in bricks of 16 channels (NHCWB16).

Assumes a target on the module and feature maps that are linear or already decided. Tensors that share storage (see
`npuc.analysis.storage`: a concat with its operands, a slice with its source, a cascade with what it yields) change
together or not at all. Bricks are out of the question for what others see or see differently: arguments, results and
constants of the region, both sides of a reshape, what a hand has transferred, parts that do not join at multiples of 16
channels or skip columns, copies of 32-bit elements, and sums over the depth of 32 bits or on two cores.

Where they are possible the estimated cycles of all kernels that touch the tensors decide; near equals become bricks,
since any depth slice of them is consecutive. Bricks round the depth up to 16: what that adds in memory has to save at
least a cycle a byte. Changes tensor types in place. Without this pass everything is linear: slower, and just as right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from npuc.analysis.machine import machine_of, places_of, setup_of
from npuc.analysis.storage import Storage, storage_bytes, tensor_type
from npuc.dialects.feature_maps import stored
from npuc.dialects.locations import OperationError
from npuc.dialects.npu_schedule import (
    CascadeOp,
    ConcatOp,
    ConvKernelOp,
    CopyOp,
    DepthwiseConv2DOp,
    KernelOp,
    PoolOp,
    ReshapeOp,
    SliceOp,
    TransferOp,
    TransposeOp,
    YieldOp,
    copying,
    element_of,
    is_brick,
    nhwc,
    space_of,
)
from npuc.hardware.accelerators import Accelerator, Block
from npuc.hardware.cycles import PORT_WEIGHT, Places, best_block, kernel_cost
from npuc.hardware.memory import MemorySetup
from npuc.hardware.shram import BRICK, Dims, Format, Kernel, Kind

TOLERANCE = 1 / 64
"""Differences of the estimate that are not to be believed."""


@dataclass(frozen=True)
class NpuScheduleSelectFormatsPass(ModulePass):
    """Store feature maps in bricks where that is possible and pays."""

    name = "npu-schedule-select-formats"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in op.ops:
            if isinstance(function, FuncOp) and any(isinstance(k, KernelOp | CopyOp) for k in function.walk()):
                machine = machine_of(function)
                groups = [g for g in _groups(function) if not any(map(is_brick, g)) and _may_be_bricks(g, machine)]
                _Choice(machine, setup_of(function), Storage(function)).choose(groups)


def _groups(function: FuncOp) -> list[list[SSAValue]]:
    """The tensors of a function, those together that must have one layout, in program order."""
    parent: dict[SSAValue, SSAValue] = {}

    def find(value: SSAValue) -> SSAValue:
        while (above := parent.setdefault(value, value)) is not value:
            # Each step halves the way for who comes next.
            parent[value] = value = parent[above]
        return value

    def unite(first: SSAValue, others: Iterable[SSAValue] = ()) -> None:
        root = find(first)
        for value in others:
            parent[find(value)] = root

    for op in function.body.walk():
        match op:
            case ConcatOp():
                unite(op.result, op.inputs)
            case SliceOp():
                unite(op.source, [op.result])
            case CascadeOp():
                end = op.body.block.last_op
                assert isinstance(end, YieldOp)
                for inner, outer in zip(end.values, op.outputs, strict=True):
                    unite(outer, [inner])
            case KernelOp() | CopyOp():
                unite(op.result)
            case _:
                pass
    groups: dict[SSAValue, list[SSAValue]] = {}
    for value in list(parent):
        groups.setdefault(find(value), []).append(value)
    return list(groups.values())


def _may_be_bricks(group: list[SSAValue], machine: Accelerator) -> bool:
    """Whether everything that makes or uses these tensors can do so in bricks."""
    return all(
        _definition_allows(value) and all(_use_allows(use.operation, value, machine) for use in value.uses)
        for value in group
    )


def _definition_allows(value: SSAValue) -> bool:
    owner = value.owner
    shape = tensor_type(value).get_shape()
    if len(shape) != 4 or shape[0] != 1:
        return False
    match owner:
        case ConvKernelOp():
            return _cuts_allow(owner)
        case CopyOp():
            return element_of(value).bits != 32
        case SliceOp():
            return owner.offsets.data[2] % BRICK == 0 and owner.strides.data[0] > 0 and owner.strides.data[1] == 1
        case ConcatOp():
            inner = owner.inputs[:-1] if owner.axis.data == (3,) else ()
            return all(nhwc(part)[2] % BRICK == 0 for part in inner)
        case KernelOp() | CascadeOp():
            return True
        case _:
            # Arguments, constants, reshapes and transposes.
            return False


def _use_allows(user: object, value: SSAValue, machine: Accelerator) -> bool:
    match user:
        case PoolOp() if user.kind.data == "sum":
            return machine.cores == 1 and element_of(value).bits != 32
        case DepthwiseConv2DOp():
            return _cuts_allow(user)
        case CopyOp():
            return element_of(value).bits != 32
        case _:
            return not isinstance(user, ReshapeOp | TransposeOp | ReturnOp | TransferOp)


def _cuts_allow(op: ConvKernelOp) -> bool:
    """Depth slices of bricks start at whole bricks."""
    return op.slices is None or all(cut % BRICK == 0 for cut in op.slices.data[:-1])


@dataclass
class _Launch:
    """What is asked of an operation again and again."""

    kernel: Kernel
    places: Places
    inputs: tuple[SSAValue, ...]
    blocks: dict[Kind, Block]
    """Those of the layouts for which it is asked first; a copy may be a launch of another kind in others."""
    costs: dict[Kernel, float] = field(default_factory=dict[Kernel, float])


class _Choice:
    """The layouts of one function while they are being chosen; the IR changes at the end."""

    def __init__(self, machine: Accelerator, setup: MemorySetup, storage: Storage):
        self.machine = machine
        self.setup = setup
        self.storage = storage
        self.bricks: set[SSAValue] = set()
        self.launches: dict[KernelOp | CopyOp, _Launch] = {}

    def choose(self, groups: list[list[SSAValue]]) -> None:
        """Decide each group in turn, given the others as they are by then, and write the types."""
        padding = {id(group): _padding(group) for group in groups}
        for group in groups:
            if not padding[id(group)]:
                self.bricks.update(group)
        for group in groups:
            touching = _touching(group)
            self.bricks.update(group)
            in_bricks = sum(map(self._cost, touching))
            self.bricks.difference_update(group)
            linear = sum(map(self._cost, touching))
            if in_bricks + padding[id(group)] <= linear + (0 if padding[id(group)] else linear * TOLERANCE):
                self.bricks.update(group)
        for group in groups:
            for value in group:
                if value in self.bricks:
                    type_ = stored(tensor_type(value), "nhcwb16", space_of(value))
                    Rewriter.replace_value_with_new_type(value, type_)

    def _cost(self, op: KernelOp | CopyOp) -> float:
        """Estimated cycles, and a little for busy ports, with the layouts chosen so far."""
        if op not in self.launches:
            kernel = self.storage.launch(op)
            inputs = (op.ifm,) if isinstance(op, CopyOp) else op.feature_maps
            written: dict[Kind, Block] = {} if op.block is None else {kernel.kind: op.block.data}
            self.launches[op] = _Launch(kernel, places_of(op), inputs, written)
        launch = self.launches[op]
        formats: list[Format] = [self._format(value) for value in launch.inputs]
        kernel = launch.kernel
        if isinstance(op, CopyOp):
            made = copying(Dims(*nhwc(op.ifm)), element_of(op.ifm).bits, formats[0], self._format(op.result))
            kernel = made._replace(ifm_apart=kernel.ifm_apart, ofm_apart=kernel.ofm_apart)
        else:
            kernel = kernel._replace(ifm_format=formats[0], ifm2_format=formats[-1], ofm_format=self._format(op.result))
        if kernel not in launch.costs:
            try:
                if kernel.kind not in launch.blocks:
                    launch.blocks[kernel.kind] = best_block(self.machine, self.setup, kernel, launch.places)
                cost = kernel_cost(self.machine, self.setup, kernel, launch.blocks[kernel.kind], launch.places)
            except ValueError as error:
                raise OperationError(op, str(error)) from error
            launch.costs[kernel] = cost.cycles + sum(cost.port_cycles) * PORT_WEIGHT
        return launch.costs[kernel]

    def _format(self, value: SSAValue) -> Format:
        return "nhcwb16" if value in self.bricks or is_brick(value) else "nhwc"


def _padding(group: list[SSAValue]) -> int:
    """Bytes by which the storage of a group grows in bricks."""
    types = [tensor_type(value) for value in group]
    bricks = [stored(type_, "nhcwb16", "arena") for type_ in types]
    return max(map(storage_bytes, bricks)) - max(map(storage_bytes, types))


def _touching(group: list[SSAValue]) -> list[KernelOp | CopyOp]:
    """The kernels that make or read tensors of a group."""
    kernels: dict[KernelOp | CopyOp, None] = {}
    for value in group:
        for op in (value.owner, *(use.operation for use in value.uses)):
            if isinstance(op, KernelOp | CopyOp):
                kernels[op] = None
    return list(kernels)
