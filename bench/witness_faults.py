"""
Seeds faults into good command streams and asks whether the simulator catches each that can do harm.

    python bench/witness_faults.py COMPILED.tflite [--count 100] [--seed 0]

A fault is caught if the stream is refused, something is reported, or an output differs from the good stream's. Of what
is not caught this says why it is harmless. For faults of order that is no matter of taste: the mutated stream is also
executed in other orders that the machine may take (DMA as late as waits and queues allow, kernels as late as they
allow, blocks running ahead by BLOCKDEP over stale bytes), and if one of them changes a byte of an output the fault
counts as missed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from npuc.hardware import registers
from npuc.simulator import Op, Program, RunResult, Session, StreamError, load, parse_words
from npuc.simulator.execute import Executor
from npuc.simulator.memory import Access
from npuc.simulator.shram import Jobs, ifm_block_depth

QUEUE_OF_KERNELS = 2


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


class LateDma(Executor):
    """Starts each DMA only when a wait, the queue's depth or the end of the stream makes it."""

    def run(self, program: Program) -> None:
        pending: list[Op] = []
        depth = 2 if self.product.u65 else 1

        def flush(keep: int) -> None:
            while len(pending) > keep:
                self.dma(pending.pop(0))

        for op in program.ops:
            if op.is_kernel:
                self.kernel(op)
            elif op.name == "DMA_START":
                flush(depth - 1)
                pending.append(op)
            elif op.name == "DMA_WAIT":
                flush(op.param)
        flush(0)


class LateKernels(Executor):
    """Runs each kernel only when a wait, the queue's depth or the end of the stream makes it."""

    def run(self, program: Program) -> None:
        pending: list[Op] = []

        def flush(keep: int) -> None:
            while len(pending) > keep:
                self.kernel(pending.pop(0))

        for op in program.ops:
            if op.is_kernel:
                flush(QUEUE_OF_KERNELS - 1)
                pending.append(op)
            elif op.name == "DMA_START":
                self.dma(op)
            elif op.name == "KERNEL_WAIT":
                flush(op.param)
        flush(0)


class StaleBlocks(Executor):
    """
    Lets each kernel see, in the jobs that BLOCKDEP allows to run ahead, what lay there before its predecessor.

    Raises StaleRead at the first block that comes out otherwise for it.
    """

    def run(self, program: Program) -> None:
        previous: tuple[Jobs, list[tuple[Access, list[np.ndarray]]]] | None = None
        for at, op in enumerate(program.ops):
            if op.is_kernel:
                ahead = op.state["BLOCKDEP"]
                following = next((o for o in program.ops[at + 1 :] if o.is_kernel or o.name == "STOP"), None)
                kept = _before(self, op) if following is not None and following.is_kernel else {}
                snapshots = self._stale(op, previous, ahead) if previous and ahead else []
                _, _, values, jobs = self.kernel(op)
                for block, memory in snapshots:
                    self._check(op, jobs, block, memory, values)
                outputs = jobs.last_outputs(3)
                previous = jobs, [(out, [kept_bytes(kept, piece) for piece in out.pieces]) for out in outputs]
            elif op.name == "DMA_START":
                self.dma(op)
            elif op.name == "KERNEL_WAIT" and op.param == 0:
                previous = None

    def _stale(self, op: Op, previous: tuple, ahead: int) -> list[tuple[int, dict]]:
        """For each job that runs ahead: its block, and the bytes that it then sees as they were."""
        _, outputs = previous
        probe = _jobs(self, op)
        inputs = probe.first_inputs(ahead)
        per_block = 1
        if op.name == "CONV" or op.mode == "REDUCE_SUM":
            ifm = probe.inputs[0]
            per_block = -(-ifm.depth // ifm_block_depth(op, ifm))
        found: list[tuple[int, dict]] = []
        for i, accesses in enumerate(inputs):
            stale: dict[int, tuple] = {}
            for output, old in outputs[: ahead - i]:
                memory = output.memory
                mask = np.zeros(memory.size, np.bool_)
                for access in accesses:
                    if access.memory is memory:
                        for piece in access.pieces:
                            piece.view(mask)[...] = True
                for piece, bytes_before in zip(output.pieces, old, strict=True):
                    view = piece.view(memory.data)
                    hit = piece.view(mask) & (view != bytes_before)
                    if hit.any():
                        copy = stale.setdefault(id(memory), (memory, memory.data.copy()))[1]
                        part = piece.view(copy)
                        part[hit] = bytes_before[hit]
            if stale:
                found.append((i // per_block, stale))
        return found

    def _check(self, op: Op, jobs: Jobs, block: int, stale: dict, values: np.ndarray) -> None:
        now = {key: (memory, memory.data.copy()) for key, (memory, _) in stale.items()}
        for memory, data in stale.values():
            memory.data[...] = data
        reports = len(self.reports)
        _, _, other, _ = self.kernel(op)
        del self.reports[reports:]
        for memory, data in now.values():
            memory.data[...] = data
        start = next(s for i, s in enumerate(jobs._blocks(False)) if i == block)
        box = tuple(slice(low, high) for low, high in jobs._box(start))
        if not np.array_equal(values[box], other[box]):
            raise StaleRead(f"{op} computes another block {block}")


class StaleRead(Exception):
    pass


def _jobs(executor: Executor, op: Op) -> Jobs:
    """The jobs of an operation, which is executed for it and undone."""
    memories = {id(r.memory): r.memory for r in executor.regions.values()}
    memories |= {id(m): m for m in executor.shrams}
    saved = [(m, m.data.copy(), m.written.copy()) for m in memories.values() if m.data.flags.writeable]
    reports = len(executor.reports)
    jobs = executor.kernel(op)[3]
    del executor.reports[reports:]
    for memory, data, written in saved:
        memory.data[...] = data
        memory.written[...] = written
    return jobs


def _before(executor: Executor, op: Op) -> dict[int, np.ndarray]:
    memory = executor.regions[op.state["OFM_REGION"]].memory
    return {id(memory): memory.data.copy()}


def kept_bytes(kept: dict[int, np.ndarray], piece) -> np.ndarray:
    for data in kept.values():
        return piece.view(data).copy()
    return np.zeros(piece.shape, np.uint8)


@dataclass
class Fault:
    """One mutation: what was done, and whether it is one of order (which only other interleavings can show)."""

    what: str
    ops: list[Op]
    of_order: bool


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
            mutated: list[Op] | None = None
            of_order = False
            if kind == "dropped wait" and op.name.endswith("_WAIT"):
                mutated, of_order = ops[:i] + ops[i + 1 :], True
            elif kind == "weakened wait" and op.name.endswith("_WAIT"):
                mutated, of_order = [*ops[:i], replace(op, param=op.param + 1), *ops[i + 1 :]], True
            elif kind == "dropped operation" and (op.is_kernel or op.name == "DMA_START"):
                mutated = ops[:i] + ops[i + 1 :]
            elif kind == "order of two operations" and i + 1 < len(ops) - 1:
                if (op.is_kernel or ops[i + 1].is_kernel) and not op.name.endswith("_WAIT"):
                    mutated = [*ops[:i], ops[i + 1], op, *ops[i + 2 :]]
            elif kind in CHANGES:
                other = CHANGES[kind](op)
                if other is not None:
                    mutated, of_order = [*ops[:i], other, *ops[i + 1 :]], kind.startswith("BLOCKDEP")
            if mutated is not None:
                yield Fault(f"{kind}: {op}", mutated, of_order)
                break


class Seeder:
    """A good compiled file with its longest stream under test, on a few random inputs."""

    INPUTS = 3

    def __init__(self, path: Path, seed: int = 0):
        self.session = Session(load(path))
        self.target = max(self.session.programs, key=lambda i: len(self.session.programs[i].ops))
        self.program = self.session.programs[self.target]
        self.seed = seed
        self.good = [self._traced(seed + i) for i in range(self.INPUTS)]

    def _traced(self, seed: int) -> tuple[RunResult, list[np.ndarray]]:
        written: list[np.ndarray] = []
        result = self.session.run(seed=seed, trace=lambda op, r, w, ofm: written.append(ofm))
        return result, written

    def interleave(self) -> str:
        """How another legal order of the mutated stream changes an output; "" if none tried does."""
        for executor in (LateDma, LateKernels, StaleBlocks):
            self.session.executor = executor
            try:
                for i, (good, _) in enumerate(self.good):
                    late = self.session.run(seed=self.seed + i)
                    for name, values in good.outputs.items():
                        if not np.array_equal(values, late.outputs[name]):
                            return f"{executor.__name__} changes output {name!r}"
            except (StreamError, StaleRead) as error:
                return f"{executor.__name__}: {error}"
            finally:
                self.session.executor = Executor
        return ""

    def judge(self, fault: Fault) -> tuple[str, str]:
        """(caught, harmless or MISSED; how or why)."""
        same = True
        try:
            words = encode(fault.ops)
            self.session.programs[self.target] = parse_words(words, self.program.product)
            for i, (good, good_written) in enumerate(self.good):
                result, written = self._traced(self.seed + i)
                if len(result.reports) > len(good.reports):
                    shown = " (an interleaving shows it)" if fault.of_order and self.interleave() else ""
                    return "caught" + shown, f"reported: {result.reports[-1]}"
                for name, values in good.outputs.items():
                    if not np.array_equal(values, result.outputs[name]):
                        return "caught", f"output {name!r} differs"
                same &= len(written) == len(good_written) and all(
                    a is None or b is None or np.array_equal(a, b) for a, b in zip(written, good_written, strict=True)
                )
        except (StreamError, ValueError) as error:
            return "caught", f"refused: {error}"
        if fault.of_order:
            shown = self.interleave()
            if shown:
                return "MISSED", shown
            return "harmless", "another wait, the queue's depth or the block order still keeps the operations apart"
        if same:
            return "harmless", "every operation writes the same values: nothing here depends on it"
        return "harmless", "an operation writes other values, but every output is the same: they were absorbed"


def seed_faults(path: Path, count: int, seed: int) -> Counter[str]:
    """Seeds `count` faults into one file and prints what was not caught; returns the verdicts counted."""
    seeder = Seeder(path, seed)
    verdicts: Counter[str] = Counter()
    source = faults(list(seeder.program.ops), random.Random(seed))
    for _ in range(count):
        fault = next(source)
        verdict, why = seeder.judge(fault)
        verdicts[verdict] += 1
        if not verdict.startswith("caught"):
            print(f"  {verdict}: {fault.what}: {why}")
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("compiled", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=100, help="faults seeded into each file")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    for path in arguments.compiled:
        verdicts = seed_faults(path, arguments.count, arguments.seed)
        print(f"{path.name}: {dict(verdicts)}")
        total += verdicts
    print(f"total: {dict(total)}")
    return 1 if total["MISSED"] else 0


if __name__ == "__main__":
    sys.exit(main())
