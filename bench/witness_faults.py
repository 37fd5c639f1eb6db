"""
Seeds faults into good command streams and asks whether the simulator catches each that can do harm.

    python bench/witness_faults.py COMPILED.tflite ORIGINAL.tflite [--count 100] [--seed 0]

A fault is caught if the stream is refused, something is reported, or `npu-run --reference` would call it wrong: an
output differs, or an intermediate tensor. Every operation's result is compared with the good run's, over the inputs
that `npu-run` draws by default and constructed ones; one that changes and is not caught counts as missed, but for steps
inside an operator (softmax), which the source model does not have: they are listed as caught only beside the good
stream. What no run shows must be harmless in every order that the machine may take (witness_order.py) and for a reason:
the outputs are proven to be the same functions of the input, or, where that is not so, no result of any operation
changed ("tested", and not proven).
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from witness_order import NOTHING, TABLES, Footprint, Orders, Space, Transfer

from npuc.hardware import registers
from npuc.simulator import CompiledModel, Op, Program, StreamError, load, parse_words
from npuc.simulator.compare import Comparer
from npuc.simulator.execute import Executor
from npuc.simulator.inputs import default_runs, random_inputs
from npuc.simulator.memory import Access, Region, Report
from npuc.simulator.products import Product

TELLING_INPUTS = 8
MORE_INPUTS = 64
CANDIDATES = 400
CAUGHT = "caught"
REFUSED, REPORTED = f"{CAUGHT}: refused", f"{CAUGHT}: reported "
OUTPUT, INTERMEDIATE = f"{CAUGHT}: an output differs", f"{CAUGHT}: an intermediate differs"
BESIDE = "only beside the good stream"
PROVEN, TESTED = "harmless, proven", "harmless, tested"
MISSED = "MISSED"
CLEAR = "\r\033[K"


def encode(ops: list[Op]) -> list[int]:
    """Words that give every operation the state it carries, setting what changed."""
    words: list[int] = []
    current: dict[str, int] = {}
    for op in ops:
        for name, operand in op.state.items():
            if current.get(name) != operand:
                current[name] = operand
                words += registers.set_words(name, operand)
        words.append(registers.operation_word(op.name, op.param))
    return words


def changed(op: Op, **operands: int) -> Op:
    return replace(op, state=MappingProxyType({**op.state, **operands}))


@dataclass
class Fault:
    """
    One mutation: what was done, and the operations that come of it.

    `places` are their places in the good stream, `at` is that of the operation which was changed, dropped or moved, and
    `changed` it as it is now, if it was changed.
    """

    what: str
    ops: list[Op]
    places: list[int]
    at: int
    changed: Op | None = None


def _shift(register: str, by: int) -> Callable[[Op], Op | None]:
    def apply(op: Op) -> Op | None:
        if register not in op.state or op.state[register] + by < 0:
            return None
        operand = op.state[register] + by
        return None if operand & ~registers.BY_NAME[register].bits else changed(op, **{register: operand})

    return apply


def _swap(first: str, second: str) -> Callable[[Op], Op | None]:
    def apply(op: Op) -> Op | None:
        if first not in op.state or second not in op.state or op.state[first] == op.state[second]:
            return None
        return changed(op, **{first: op.state[second], second: op.state[first]})

    return apply


def _flip(register: str, mask: int) -> Callable[[Op], Op | None]:
    return lambda op: changed(op, **{register: op.state[register] ^ mask}) if register in op.state else None


def _blockdep(value: int) -> Callable[[Op], Op | None]:
    def apply(op: Op) -> Op | None:
        return changed(op, BLOCKDEP=value) if op.state.get("BLOCKDEP", 3) < value else None

    return apply


CHANGES: dict[str, Callable[[Op], Op | None]] = {
    **{f"BLOCKDEP raised to {n}": _blockdep(n) for n in (1, 2, 3)},
    **{
        f"{name} {by:+d}": _shift(name, by)
        for name, steps in {
            "IFM_BASE0": (16, -16),
            "IFM2_BASE0": (16, -16),
            "OFM_BASE0": (16, -16),
            "DMA0_SRC": (16, -16),
            "DMA0_DST": (16, -16),
            "DMA0_LEN": (-16, 16, -64),
            "WEIGHT_BASE": (16, -16),
            "WEIGHT_LENGTH": (16, -16),
            "SCALE_BASE": (16, -16),
            "SCALE_LENGTH": (-16,),
            "IFM_ZERO_POINT": (1,),
            "OFM_ZERO_POINT": (1,),
            "ACTIVATION_MAX": (-1,),
            "ACTIVATION_MIN": (1,),
            "OFM_SCALE": (1 << 32, 1 << 20),
            "IFM_STRIDE_Y": (16,),
            "OFM_STRIDE_Y": (16,),
            "IFM_STRIDE_C": (16,),
            "IFM_HEIGHT0_M1": (-1,),
            "IFM_DEPTH_M1": (-1, 1),
            "OFM_HEIGHT_M1": (-1, 1),
            "OFM_DEPTH_M1": (-1,),
            "IFM_PAD_TOP": (1, -1),
            "KERNEL_WIDTH_M1": (1, -1),
            "OFM_BLK_DEPTH_M1": (8, -8),
            "OFM_BLK_WIDTH_M1": (8,),
            "IFM_IB_END": (-2, 4),
            "AB_START": (2, -4),
            "ACTIVATION": (1,),
        }.items()
        for by in steps
    },
    "IFM and OFM swapped": _swap("IFM_BASE0", "OFM_BASE0"),
    "IFM and IFM2 swapped": _swap("IFM_BASE0", "IFM2_BASE0"),
    "weights and scales swapped": _swap("WEIGHT_BASE", "SCALE_BASE"),
    "weight order flipped": _flip("KERNEL_STRIDE", 4),
    "stride flipped": _flip("KERNEL_STRIDE", 1),
    "IFM format flipped": _flip("IFM_PRECISION", 0x40),
    "OFM format flipped": _flip("OFM_PRECISION", 0x40),
    "OFM rounding flipped": _flip("OFM_PRECISION", 0x8000),
}


def faults(ops: list[Op], rng: random.Random) -> Iterator[Fault]:
    """Faults without end: a kind is drawn first, so that the rare ones come as often as the common ones."""
    kinds = ["dropped wait", "weakened wait", "dropped operation", "order of two operations", *CHANGES]
    while True:
        kind = rng.choice(kinds)
        order = list(range(len(ops) - 1))
        rng.shuffle(order)
        for i in order:
            op = ops[i]
            places = list(range(len(ops)))
            other: Op | None = None
            if kind == "dropped wait" and op.name.endswith("_WAIT"):
                del places[i]
            elif kind == "weakened wait" and op.name.endswith("_WAIT"):
                if op.param < registers.OPERATION_BY_NAME[op.name].param_bits:
                    other = replace(op, param=op.param + 1)
            elif kind == "dropped operation" and (op.is_kernel or op.name == "DMA_START"):
                del places[i]
            elif kind == "order of two operations" and i + 1 < len(ops) - 1:
                if (op.is_kernel or ops[i + 1].is_kernel) and not op.name.endswith("_WAIT"):
                    places[i : i + 2] = i + 1, i
            elif kind in CHANGES:
                other = CHANGES[kind](op)
            if other is not None or places != list(range(len(ops))):
                mutated = [other if other is not None and place == i else ops[place] for place in places]
                yield Fault(f"{kind}: {op}", mutated, places, i, other)
                break


def inputs_of(model: CompiledModel, seed: int) -> list[dict[int, NDArray]]:
    """What `npu-run` draws, and more by which little stays hidden: constant, a slope, extremes side by side, small."""
    found = [random_inputs(model, seed + i) for i in range(default_runs(model))]
    rng = np.random.default_rng(seed)

    def every(make: Callable[[NDArray, int, int, int], NDArray]) -> None:
        values = dict(found[0])
        for position, index in enumerate(model.inputs):
            tensor = model.tensors[index]
            if tensor.dtype.kind in "iu":
                limits = np.iinfo(tensor.dtype)
                low, high = int(limits.min), int(limits.max)
                number = np.arange(values[position].size).reshape(values[position].shape)
                made = make(number, low, high, tensor.zero_point)
                values[position] = np.clip(made, low, high).astype(tensor.dtype)
        found.append(values)

    every(lambda n, low, high, zero: np.full(n.shape, low))
    every(lambda n, low, high, zero: np.full(n.shape, high))
    every(lambda n, low, high, zero: np.full(n.shape, zero))
    every(lambda n, low, high, zero: low + n * (high - low) // max(n.size - 1, 1))
    every(lambda n, low, high, zero: np.where(n % 2, low, high))
    every(lambda n, low, high, zero: zero + rng.integers(-8, 9, n.shape))
    every(lambda n, low, high, zero: np.where(rng.random(n.shape) < 0.05, high, zero))
    return found


def telling_inputs(comparer: Comparer, seed: int) -> list[dict[int, NDArray]]:
    """Of many random inputs of every amplitude those whose outputs have the most values: where nothing saturates."""
    model = comparer.original
    noise = np.random.default_rng(seed)
    found: list[tuple[int, int, dict[int, NDArray]]] = []
    for number in range(CANDIDATES):
        values = random_inputs(model, seed)
        for position, index in enumerate(model.inputs):
            tensor = model.tensors[index]
            if tensor.dtype.kind in "iu":
                limits = np.iinfo(tensor.dtype)
                reach = max((int(limits.max) - int(limits.min)) >> number % 8, 1)
                made = tensor.zero_point + noise.integers(-reach, reach + 1, values[position].shape)
                values[position] = np.clip(made, limits.min, limits.max).astype(tensor.dtype)
        tensors = comparer.reference.run(values)
        found.append((-sum(np.unique(tensors[i]).size for i in model.outputs), number, values))
    return [values for _, _, values in sorted(found, key=lambda one: one[:2])]


@dataclass
class Outcome:
    """What a stream gave for one input: outputs, reports, and every operation's result by its place."""

    outputs: dict[str, NDArray]
    reports: list[Report]
    written: dict[int, NDArray]


def _same_outputs(a: Outcome, b: Outcome) -> bool:
    return all(np.array_equal(values, b.outputs[name]) for name, values in a.outputs.items())


def _differ(a: NDArray, b: NDArray) -> bool:
    """Whether two OFMs differ where both have elements; what one has more is judged by who reads it."""
    part = tuple(slice(0, min(sizes)) for sizes in zip(a.shape, b.shape, strict=True))
    return not np.array_equal(a[part], b[part])


class _Watched(Executor):
    """Keeps the regions of the operator under test."""

    target = -1
    seen: Mapping[int, Region] = MappingProxyType({})

    def run(self, program: Program) -> None:
        if self.operator == self.target:
            type(self).seen = self.regions
        super().run(program)


def actor_of(op: Op, product: Product, space: Space, destroys: Sequence[int]) -> Footprint | Transfer | None:
    """What an operation touches; `destroys` says how much of each core's lookup tables its buffers cover."""
    if op.is_kernel:
        starts = [end - TABLES for end in (*space.shram[1:], space.size)]
        lost = [np.arange(start, start + size) for start, size in zip(starts, destroys, strict=False)]
        return Footprint(op, space, product.u65, product.cores, np.concatenate([NOTHING, *lost]))
    if op.name != "DMA_START":
        return None
    length = op.state["DMA0_LEN"]
    source = space.span(op.state["DMA0_SRC_REGION"], op.state["DMA0_SRC"], length)
    if op.get("DMA0_DST_REGION", "internal"):
        cores = op.get("DMA0_DST_REGION", "region")
        starts = [start for core, start in enumerate(space.shram) if cores >> core & 1]
        return Transfer(op, source, [start + op.state["DMA0_DST"] + np.arange(length) for start in starts])
    return Transfer(op, source, [space.span(op.state["DMA0_DST_REGION"], op.state["DMA0_DST"], length)])


class Seeder:
    """A good compiled file with its longest stream under test, and its source model."""

    def __init__(self, compiled: bytes, original: bytes, seed: int = 0):
        self.comparer = Comparer(load(compiled), original)
        self.session = self.comparer.session
        self.target = max(self.session.programs, key=lambda i: len(self.session.programs[i].ops))
        self.program = self.session.programs[self.target]
        telling = telling_inputs(self.comparer, seed)
        self.inputs = inputs_of(self.comparer.original, seed) + telling[:TELLING_INPUTS]
        self.drawn = default_runs(self.comparer.original)
        # For what those bring to light in an operation, but in no output.
        self.more_inputs = telling[TELLING_INPUTS:][:MORE_INPUTS]
        self.actors: dict[tuple[object, ...], Footprint | Transfer | None] = {}
        self.meetings: dict[tuple[int, ...], bool] = {}
        watched = type("Watched", (_Watched,), {"target": self.target})
        self.session.executor = watched
        places = list(range(len(self.program.ops)))
        self.good = [self._run(value, places) for value in self.inputs]
        self.session.executor = Executor
        steps = self.comparer.run(self.inputs[0], trace=True).steps
        ops = self.program.ops
        # The operations whose results the source model has too; the others are steps inside one of its operators.
        self.recognised = {
            step.op.index
            for step in steps
            if step.equals and step.op.index < len(ops) and step.op is ops[step.op.index]
        }
        product = self.program.product
        self.space = Space(watched.seen, product.cores, product.banks * 1024)
        self.outputs = np.concatenate(
            [self.space.span(1, offset - watched.seen[1].origin, size) for offset, size in self._alive()]
        )
        self.orders = self._orders(self.program)

    def _alive(self) -> list[tuple[int, int]]:
        """Where in the arena lies what is read after the operator: its outputs, and all that later ones still need."""
        model = self.session.model
        made = {*model.inputs, *(t.index for t in model.tensors if t.is_variable)}
        made |= {i for op in model.operators if op.index <= self.target for i in op.outputs}
        read = {*model.outputs, *(t.index for t in model.tensors if t.is_variable)}
        read |= {i for op in model.operators if op.index > self.target for i in op.inputs[4 if op.is_npu else 0 :]}
        kept = [model.tensors[i] for i in sorted(made & read)]
        return [(tensor.offset, tensor.bytes) for tensor in kept if tensor.offset is not None and tensor.data is None]

    def _by(self, number: int) -> str:
        return "" if number < self.drawn else ", with a constructed input only"

    def _run(self, value: dict[int, NDArray], places: Sequence[int]) -> Outcome:
        """One run; results by the place of the operation in the good stream, for the stream under test only."""
        written: dict[int, NDArray] = {}
        clobbered: dict[int, list[Access]] = {}
        ops = self.session.programs[self.target].ops

        def look(op: Op, reads: Sequence[Access], writes: Sequence[Access], ofm: NDArray | None) -> None:
            if op.index < len(ops) and op is ops[op.index] and ofm is not None:
                written[places[op.index]] = ofm
                clobbered[op.index] = list(writes[1:])

        feeds = {self.comparer.positions[position]: array for position, array in value.items()}
        result = self.session.run(feeds, trace=look)
        self.clobbered = clobbered
        return Outcome(result.outputs, result.reports, written)

    def actor(self, op: Op) -> Footprint | Transfer | None:
        """What an operation of the stream under test touches, as it was when it last ran."""
        destroys = [access.high - access.low for access in self.clobbered.get(op.index, [])]
        key = op.name, op.param, *op.state.items(), *destroys
        if key not in self.actors:
            self.actors[key] = actor_of(op, self.program.product, self.space, destroys)
        return self.actors[key]

    def _orders(self, program: Program) -> Orders:
        actors = [self.actor(op) for op in program.ops]
        return Orders(program, actors, self.space, self.outputs, self.meetings)

    def judge(self, fault: Fault) -> tuple[str, str]:
        """(verdict, how or why); the verdicts stand at the top of this file."""
        try:
            program = parse_words(encode(fault.ops), self.program.product)
            self.session.programs[self.target] = program
            verdict = self._execute(fault)
            if verdict is None:
                return self._reason(fault, self._orders(program))
            if verdict[0] == REPORTED + "hazard" and self._orders(program).harm(0):
                return f"{verdict[0]}, and an order shows the harm", verdict[1]
            return verdict
        except StreamError as error:
            return REFUSED, str(error)
        finally:
            self.session.programs[self.target] = self.program

    def _execute(self, fault: Fault) -> tuple[str, str] | None:
        """The verdict if a run shows the fault."""
        odd: list[tuple[int, int]] = []
        for number, (value, good) in enumerate(zip(self.inputs, self.good, strict=True)):
            found = self._run(value, fault.places)
            if len(found.reports) > len(good.reports):
                kinds = Counter(report.kind for report in found.reports)
                kinds.subtract(report.kind for report in good.reports)
                return REPORTED + max(kinds, key=lambda kind: kinds[kind]), str(found.reports[-1])
            if not _same_outputs(found, good):
                return OUTPUT + self._by(number), "an output differs"
            other = [place for place, ofm in found.written.items() if _differ(ofm, good.written[place])]
            odd += [(number, min(other))] if other else []
        for number, _ in odd:
            comparison = self.comparer.run(self.inputs[number])
            if not comparison.exact:
                return INTERMEDIATE + self._by(number), str(comparison.first_wrong)
        if not odd:
            return None
        # Something is wrong that no input of these brings to light. Others may.
        program = self.session.programs[self.target]
        places = list(range(len(self.program.ops)))
        for value in self.more_inputs:
            found = self._run(value, fault.places)
            self.session.programs[self.target] = self.program
            good = self._run(value, places)
            self.session.programs[self.target] = program
            if not _same_outputs(found, good):
                return OUTPUT + self._by(len(self.inputs)), "an output differs"
        first = self.program.ops[odd[0][1]]
        shown = f"{first} computes other values, which no output shows with {len(self.inputs) + MORE_INPUTS} inputs"
        return MISSED if first.index in self.recognised else BESIDE, shown

    def _reason(self, fault: Fault, orders: Orders) -> tuple[str, str]:
        """Why a fault that no run shows is harmless, or that it is not."""
        harm = orders.harm()
        if harm:
            return MISSED, harm
        tags = orders.in_order[1][self.outputs]
        if not np.array_equal(tags, self.orders.in_order[1][self.outputs]):
            return (
                TESTED,
                f"no operation's result changes, with {len(self.inputs)} inputs, {self.drawn} of them npu-run's",
            )
        good, now = ([digest for _, digest in found.in_order[0]] for found in (self.orders, orders))
        if fault.changed is None or not fault.changed.is_kernel:
            if sorted(good) == sorted(now):
                return PROVEN, "every operation computes the same of the same, and all that meet are still in order"
            return PROVEN, "nothing that is read depends on it, and all that meet are still in order"
        if good == now:
            return PROVEN, f"{self._same(fault)}; all that meet are still in order"
        return PROVEN, "what it computes otherwise is never read, and all that meet are still in order"

    def _same(self, fault: Fault) -> str:
        """Why a changed kernel computes the same: which of its registers changed and yet tell it nothing else."""
        assert fault.changed is not None
        before, after = self.program.ops[fault.at], fault.changed
        names = [name for name, operand in after.state.items() if before.state[name] != operand]
        old, new = self.actor(replace(before, index=-1)), self.actor(replace(after, index=-1))
        assert isinstance(old, Footprint)
        assert isinstance(new, Footprint)
        if any(name.startswith(("IFM_BASE", "IFM2_BASE", "OFM_BASE")) for name in names):
            return "the same bytes lie there, or the operands may be exchanged"
        if np.array_equal(old.ofm, new.ofm) and all(np.array_equal(old.inputs[p], new.inputs[p]) for p in old.inputs):
            where = all("STRIDE_" in n or "0_M1" in n or "PRECISION" in n for n in names)
            if where and old.function == new.function and not any("rounding" in fault.what for _ in names):
                return "every element lies where it lay"
        return f"{' and '.join(names)}: nothing that the operation computes depends on it"


def seed_faults(compiled: Path, original: Path, count: int, seed: int) -> Counter[str]:
    """Seeds `count` faults into one file and prints what was not caught; returns the verdicts counted."""
    seeder = Seeder(compiled.read_bytes(), original.read_bytes(), seed)
    verdicts: Counter[str] = Counter()
    broken = seeder.orders.harm()
    if broken:
        verdicts[MISSED] += 1
        print(f"  {compiled.stem}: the good stream itself is {MISSED}: {broken}")
    source = faults(list(seeder.program.ops), random.Random(seed))
    for number in range(count):
        fault = next(source)
        verdict, why = seeder.judge(fault)
        verdicts[verdict] += 1
        if sys.stderr.isatty():
            print(f"\r\033[K[{number + 1}/{count}] {compiled.stem}", end="", file=sys.stderr, flush=True)
        if not verdict.startswith(CAUGHT):
            print(f"{CLEAR if sys.stderr.isatty() else ''}  {verdict}: {fault.what}: {why}", flush=True)
    if sys.stderr.isatty():
        print(CLEAR, end="", file=sys.stderr, flush=True)
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("compiled", type=Path)
    parser.add_argument("original", type=Path)
    parser.add_argument("--count", type=int, default=100, help="number of faults")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    verdicts = seed_faults(arguments.compiled, arguments.original, arguments.count, arguments.seed)
    for verdict, number in verdicts.most_common():
        print(f"{number:5} {verdict}")
    return 1 if verdicts[MISSED] else 0


if __name__ == "__main__":
    sys.exit(main())
