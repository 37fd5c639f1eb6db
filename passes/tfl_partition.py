"""
Decide what the NPU takes and outline it.

Assumes a `tfl` module as the import leaves it; works on its first function, the main subgraph. Decides operator by
operator with one predicate (npuc.operators.support.legality); an operator that already carries `npu.cpu_reason` stays
on the CPU, whoever wrote that, and one that the predicate refuses is given it. Operators of the types that the option
`ignore` names stay on the CPU without being asked about. A region between operators of the CPU that would hold nothing
but a few cheap operators is weighed against the round trip that it costs the host, if the option `round-trip` says how
many of its cycles that takes: nobody publishes it, and it differs from system to system. Where the operators cost less
there (`host_cycles` of their records) they stay on the CPU. All operators that the NPU takes then go into as few
functions `@npu_0`, `@npu_1` ... (`private`, `npu.region`) as the CPU operators between them allow, each called by an
`npu.invoke`:

    %2 = tfl.conv_2d %0, %1 {...}                          func.func private @npu_0(%0) attributes {npu.region} {
    %3 = tfl.builtin %2 {operator = "GATHER"}       ->       %1 = ..., %2 = tfl.conv_2d %0, %1 ...
    return %3                                              func.func @main(%0) {
                                                             %2 = npu.invoke @npu_0(%0)
                                                             %3 = tfl.builtin %2 {..., npu.cpu_reason = "..."}

Operators whose result only a later region needs, or the caller, wait for that region where the host holds fewer bytes
meanwhile. Regions are numbered in the order in which they run. Constants are copied into each region that uses them.
Operators that the NPU would take but whose results nothing uses are dropped, and so are tensors that no operator makes
or reads: a runtime would give them memory. CPU operators keep their order where they have state. What names, shape
signatures and the like the region's results have, the invoke carries.

Leaves everything else as it is; the operators within the regions are lowered by others, and must be.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from math import inf, prod

from xdsl.builder import Builder
from xdsl.context import Context
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FusedLoc,
    ModuleOp,
    NoneAttr,
    StringAttr,
    TensorType,
    UnitAttr,
    i32,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, OpResult, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint
from xdsl.utils.exceptions import PassFailedException

from npuc.analysis.host import value_bytes
from npuc.dialects import tfl
from npuc.dialects.constants import from_numpy
from npuc.dialects.npu import PARTITIONED_ATTR, REGION_ATTR, InvokeOp, host_functions
from npuc.operators import operator_of
from npuc.operators.support import rules
from npuc.operators.support.float_borders import borders
from npuc.operators.support.legality import cpu_reason

IGNORED = "it is among those that tfl-partition leaves to the CPU by its option ignore"


@dataclass(frozen=True)
class TflPartitionPass(ModulePass):
    """Decide what the NPU takes and outline it into functions that the host invokes."""

    name = "tfl-partition"

    round_trip: int = 0
    ignore: tuple[str, ...] = ()
    """Operators that stay on the CPU, by their names in the TFLite schema."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.round_trip < 0:
            raise PassFailedException(f"a round trip takes no fewer than 0 cycles, not {self.round_trip}")
        if self.ignore:
            from npuc.lowering.tflite.tflite_schema import OPERATORS

            for name in self.ignore:
                if name not in OPERATORS:
                    raise PassFailedException(f"ignore: no operator of TFLite is called {name}")
        functions = host_functions(op)
        at_border = borders(functions[0].body.block) if functions else set[Operation]()
        for number, function in enumerate(functions):
            for operator in list(function.body.block.ops):
                if tfl.is_operator(operator) and tfl.CPU_REASON not in operator.attributes:
                    if rules.operator_name(operator) in self.ignore:
                        reason = IGNORED
                    else:
                        reason = cpu_reason(operator)
                        if number and reason is None:
                            reason = _elsewhere(operator, function)
                    if operator in at_border:
                        reason = f"{rules.BORDER}: {reason}"
                    if reason is not None:
                        operator.attributes[tfl.CPU_REASON] = StringAttr(reason)
        if functions:
            block = functions[0].body.block
            _drop_dead(block)
            if self.round_trip:
                _weigh_round_trips(block, self.round_trip)
            _outline(op, block)
        op.attributes[PARTITIONED_ATTR] = UnitAttr()


def _on_npu(op: Operation) -> bool:
    return tfl.is_operator(op) and tfl.CPU_REASON not in op.attributes


def _elsewhere(op: Operation, function: FuncOp) -> str:
    rule = f"only the main subgraph is taken, not '{function.sym_name.data}', which IF, WHILE or the like run"
    return rules.refusal(rule, op.results[0])


def _drop_dead(block: Block) -> None:
    """Drops what the NPU would take and nothing uses."""
    for op in reversed(list(block.ops)):
        if _on_npu(op) and not any(result.uses for result in op.results):
            op.detach()
            op.erase()


def _weigh_round_trips(block: Block, round_trip: int) -> None:
    """Leaves regions to the CPU that cost it less than the round trip to the NPU, both in its cycles."""
    regions: dict[int, list[Operation]] = {}
    for op, stage in _stages(block).items():
        if _on_npu(op):
            regions.setdefault(stage, []).append(op)
    for ops in regions.values():
        cycles = sum(map(_host_cycles, ops))
        if cycles < round_trip and _is_between_cpu(ops):
            for op in ops:
                rule = f"as a region by itself, a round trip of {round_trip} cycles of the CPU"
                rule += f", it is worth about {cycles:.0f} of them"
                op.attributes[tfl.CPU_REASON] = StringAttr(rules.refusal(rule, op.results[0]))


def _host_cycles(op: Operation) -> float:
    """About how long the host takes for an operator; without end for one that is always worth a round trip."""
    record = operator_of(op)
    # No file says what is marked `npu.through_float`: the host cannot run it.
    if record is None or record.host_cycles is None or "npu.through_float" in op.attributes:
        return inf
    return record.host_cycles * max(prod(rules.shape(value)) for value in (*op.operands, *op.results))


def _is_between_cpu(ops: list[Operation]) -> bool:
    """Whether operators read what the CPU makes, and the CPU reads what they make."""
    makers = (value.owner for op in ops for value in op.operands)
    readers = (use.operation for op in ops for result in op.results for use in result.uses)
    return any(map(_on_cpu, makers)) and any(map(_on_cpu, readers))


def _on_cpu(op: Operation | Block) -> bool:
    return isinstance(op, Operation) and tfl.is_operator(op) and not _on_npu(op)


def _outline(module: ModuleOp, block: Block) -> None:
    for op in block.ops:
        if isinstance(op, tfl.TflOp) and _on_npu(op):
            _make_shapes_constant(op)
    stages = _waiting(block, _stages(block))
    count = max((stage for op, stage in stages.items() if _on_npu(op)), default=-1) + 1
    members: list[list[Operation]] = [[] for _ in range(count)]
    for op, stage in stages.items():
        if _on_npu(op):
            members[stage].append(op)
    _order(block, stages)
    for number, ops in enumerate(members):
        _outline_region(module, f"npu_{number}", ops)
    for op in reversed(list(block.ops)):
        if isinstance(op, tfl.ConstantOp | tfl.PseudoTensorOp) and not op.output.uses:
            op.detach()
            op.erase()


def _make_shapes_constant(op: tfl.TflOp) -> None:
    """The result's type says the shape; an operand that is computed, or an input, would tie the region to it."""
    record = operator_of(op)
    for name in record.from_result if record is not None else ():
        value = getattr(op, name)
        if value is None or tfl.constant_value(value) is not None:
            continue
        import numpy as np

        result = op.results[0].type
        assert isinstance(result, TensorType)
        constant = tfl.PseudoConstOp(from_numpy(np.array(result.get_shape(), np.int32), i32))
        constant.location = tfl.tensor_location(value)
        Builder(InsertPoint.before(op)).insert(constant)
        op.operands[op.operands.index(value)] = constant.output


def _stages(block: Block) -> dict[Operation, int]:
    """
    For each operator the number of its region, if it is on the NPU, else of the last region that must run before it (-1
    for none).

    Along every path the number grows exactly where the path returns from the CPU to the NPU. So no path leaves a region
    and comes back (regions are convex), and there are no more regions than some path needs.
    """
    stages: dict[Operation, int] = {}
    last_stateful = -1
    for op in block.ops:
        if not tfl.is_operator(op):
            continue
        before = [value.owner for value in op.operands if isinstance(value.owner, Operation)]
        if _on_npu(op):
            stages[op] = max((stages[o] + (not _on_npu(o)) for o in before if o in stages), default=0)
        else:
            stages[op] = max((stages[o] for o in before if o in stages), default=-1)
            if tfl.is_stateful(op):
                stages[op] = last_stateful = max(stages[op], last_stateful)
    return stages


def _waiting(block: Block, stages: dict[Operation, int]) -> dict[Operation, int]:
    """
    The stages, where runs of operators wait for the later region that first needs their result if the host then holds
    fewer bytes between the two: an operand in place of the result.

    Not if that region would then need more memory than anything has between the two as it is.
    """
    waits = dict(stages)
    if not any(map(_on_npu, stages)):
        return waits
    lives = _Lives(block, stages)
    for op in reversed(list(stages)):
        if not _on_npu(op) or len(op.results) != 1:
            continue
        goal = min((waits.get(use.operation, lives.last) for use in op.results[0].uses), default=lives.last)
        if goal > waits[op]:
            waits |= dict.fromkeys(_run_that_waits(op, goal, waits, lives), goal)
    # Regions that have nothing left are no regions.
    used = sorted({stage for op, stage in waits.items() if _on_npu(op)})
    return {op: bisect_right(used, stage) - 1 for op, stage in waits.items()}


class _Lives:
    """What is alive when, in the order in which the operators would run."""

    def __init__(self, block: Block, stages: dict[Operation, int]):
        self.last = max(stage for op, stage in stages.items() if _on_npu(op))
        order = sorted(stages, key=lambda op: (stages[op], not _on_npu(op)))
        times = {op: time for time, op in enumerate(order)}
        self.first: dict[int, int] = {}
        """When a region begins."""
        self.behind: dict[int, int] = {}
        """When the host goes on after a region."""
        for time, op in enumerate(order):
            if _on_npu(op):
                self.first.setdefault(stages[op], time)
                self.behind[stages[op]] = time + 1
        count = len(order)
        alive, across = [0] * (count + 1), [0] * (count + 1)
        for value in (*block.args, *(result for op in order for result in op.results)):
            size = value_bytes(value) or 0
            start = times[value.owner] if isinstance(value.owner, Operation) else 0
            end = max((times.get(use.operation, count - 1) for use in value.uses), default=start)
            alive[start] += size
            alive[end + 1] -= size
            across[start + 1] += size
            across[end + 1] -= size
        self.alive = list(accumulate(alive))
        """Bytes alive while an operator runs."""
        self.across = list(accumulate(across))
        """Bytes from operators before it that it, or a later one, needs."""


def _run_that_waits(op: Operation, goal: int, stages: dict[Operation, int], lives: _Lives) -> list[Operation]:
    """The operators, `op` and some before it, that had better be in region `goal`; none if they had better not."""
    run: list[Operation] = []
    waiting: list[Operation] = []
    least = result = value_bytes(op.results[0]) or 0
    needed = most = 0
    at: Operation | Block | None = op
    while isinstance(at, Operation) and stages.get(at) == stages[op] and _on_npu(at) and len(at.results) == 1:
        if run and not at.results[0].has_one_use():
            break
        run.append(at)
        operands = [value for value in dict.fromkeys(at.operands) if value_bytes(value) is not None]
        sizes = [value_bytes(value) or 0 for value in (*operands, *at.results)]
        most = max(most, sum(sizes))
        # What the host needs until then anyway costs nothing.
        held = sum(
            size for value, size in zip(operands, sizes, strict=False) if not _is_needed(value, at, goal, stages)
        )
        if held < least:
            least, needed, waiting = held, most, list(run)
        at = operands[0].owner if len(operands) == 1 else None
    most_now = max(lives.alive[lives.behind[stages[op]] : lives.first[goal]], default=0)
    return waiting if needed + lives.across[lives.first[goal]] - result <= most_now else []


def _is_needed(value: SSAValue, without: Operation, stage: int, stages: dict[Operation, int]) -> bool:
    """Whether an operator other than one needs a value in a stage or later, or the caller."""
    return any(stages.get(use.operation, stage) >= stage for use in value.uses if use.operation is not without)


def _order(block: Block, stages: dict[Operation, int]) -> None:
    """Sorts the block by stage, each region before the CPU operators that may follow it; constants first."""
    terminator = block.last_op
    first = [op for op in block.ops if op not in stages and op is not terminator]
    in_order = sorted(stages, key=lambda op: (stages[op], not _on_npu(op)))
    for op in (*first, *in_order):
        op.detach()
    for op in (*first, *in_order):
        if terminator is None:
            block.add_op(op)
        else:
            block.insert_op_before(op, terminator)


def _outline_region(module: ModuleOp, name: str, ops: list[Operation]) -> None:
    inside = set(ops)
    invoke_before = ops[0]
    outside = list(dict.fromkeys(v for op in ops for v in op.operands if v.owner not in inside))
    inputs = [value for value in outside if not isinstance(value.owner, tfl.ConstantOp | tfl.NoValueOp)]
    outputs: list[SSAValue] = [
        result for op in ops for result in op.results if any(use.operation not in inside for use in result.uses)
    ]
    body = Block(arg_types=[value.type for value in inputs])
    invoke = InvokeOp(name, inputs, [value.type for value in outputs])
    Builder(InsertPoint.before(invoke_before)).insert(invoke)
    _describe_results(invoke, outputs)
    copies: dict[SSAValue, SSAValue] = dict(zip(inputs, body.args, strict=True))
    for value, argument in zip(inputs, body.args, strict=True):
        argument.location = tfl.tensor_location(value)
        argument.name_hint = value.name_hint
    for old, new in zip(outputs, invoke.results, strict=True):
        old.replace_uses_with_if(new, lambda use: use.operation not in inside)
    for op in ops:
        op.detach()
        for index, value in enumerate(op.operands):
            if value.owner in inside:
                continue
            if value not in copies:
                assert isinstance(value, OpResult)
                constant = value.op.clone()
                constant.location = value.op.location
                body.add_op(constant)
                copies[value] = constant.results[0]
            op.operands[index] = copies[value]
        body.add_op(op)
    end = ReturnOp(*outputs)
    end.location = invoke.location
    body.add_op(end)
    region = FuncOp(name, ([v.type for v in inputs], [v.type for v in outputs]), Region(body), "private")
    region.attributes[REGION_ATTR] = UnitAttr()
    module.body.block.add_op(region)


def _describe_results(invoke: InvokeOp, values: list[SSAValue]) -> None:
    """Gives the invoke the names of its results, and what else is known of them."""
    locations = [tfl.tensor_location(value) for value in values]
    if locations:
        invoke.location = locations[0] if len(locations) == 1 else FusedLoc(ArrayAttr(locations), NoneAttr())
    infos = [tfl.tensor_info(value) or DictionaryAttr({}) for value in values]
    if any(info.data for info in infos):
        invoke.attributes[tfl.TENSORS] = ArrayAttr(infos)
