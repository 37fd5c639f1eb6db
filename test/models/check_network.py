"""
One random network on one random machine, compiled and run: exact, within its limit, and nothing reported.

The reference is LiteRT, where it is installed. Else it is the same network compiled without any pass that only
optimises, and a network with operators for the host cannot be run.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, replace

import numpy as np
from random_network import wild_network

from npuc.simulator import Session, load
from npuc.simulator.compare import Comparer, first_difference
from npuc.simulator.litert import HostError
from npuc.tools.errors import UserError
from npuc.tools.npu_compile import Compiled, compile_tflite
from npuc.tools.pipeline import OPTIONAL, Target, pipeline

HAS_LITERT = importlib.util.find_spec("ai_edge_litert") is not None
ACCELERATORS = ("ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512")
INPUTS = 2
"""Random inputs that a network is run on."""


@dataclass(frozen=True)
class Outcome:
    """What became of a network: `kind` is `exact`, `not run`, or what is wrong; `comparisons` counts equal arrays."""

    seed: int
    target: Target
    left_out: frozenset[str]
    kind: str
    text: str = ""
    comparisons: int = 0
    npu_operators: int = 0
    cpu_operators: int = 0

    @property
    def passed(self) -> bool:
        """Nothing is wrong, as far as could be seen."""
        return self.kind in ("exact", "not run")

    def __str__(self) -> str:
        t = self.target
        limit = "" if t.limit is None else f", limit {t.limit}"
        without = f", without {' '.join(sorted(self.left_out))}" if self.left_out else ""
        machine = f"{t.accelerator}, {t.memory_mode}, {t.strategy}{limit}{without}"
        return f"seed {self.seed} ({machine}): {self.kind}{': ' * bool(self.text)}{self.text}"


class _Wrong(Exception):
    """What is wrong, by kind and in words."""


def drawn_target(seed: int) -> tuple[Target, float | None, frozenset[str]]:
    """A machine; in half of all cases a limit, as a share of the memory without one, in others passes to leave out."""
    rng = np.random.default_rng((seed, 1))
    name = ACCELERATORS[int(rng.integers(len(ACCELERATORS)))]
    modes = ("Sram_Only", "Shared_Sram", *(("Dedicated_Sram",) if "u65" in name else ()))
    mode = modes[int(rng.integers(len(modes)))]
    target = Target(name, memory_mode=mode, strategy="size" if rng.random() < 0.5 else "performance")
    share = float(rng.uniform(0, 1.1)) if rng.random() < 0.5 else None
    left_out = frozenset(p for p in sorted(OPTIONAL) if rng.random() < 0.3)
    return target, share, left_out if share is None and rng.random() < 0.5 else frozenset()


def check_network(seed: int) -> Outcome:
    """The network, machine and limit of a seed; whatever goes wrong is in the outcome."""
    return check(wild_network(seed), seed, *drawn_target(seed))


def check(data: bytes, seed: int, target: Target, share: float | None, left_out: frozenset[str]) -> Outcome:
    """A network on a machine; `share` of the memory that it takes without a limit is the limit."""
    try:
        compiled = _compiled(data, target, left_out)
        if share is not None:
            target = replace(target, limit=int(share * _limited_bytes(compiled)) // 16 * 16)
            target, compiled = _limited(data, target)
        summary = compiled.summary
        on_cpu = sum(summary.cpu_operators.values())
        found = Outcome(seed, target, left_out, "exact", "", 0, summary.npu_operators, on_cpu)
        if HAS_LITERT:
            return replace(found, comparisons=_against_litert(compiled, data))
        if on_cpu:
            return replace(found, kind="not run", text="operators on the CPU need LiteRT")
        return replace(found, comparisons=_against_plain(compiled, data, target))
    except _Wrong as wrong:
        return Outcome(seed, target, left_out, *wrong.args)


def _compiled(data: bytes, target: Target, left_out: frozenset[str]) -> Compiled:
    try:
        return compile_tflite(data, target, passes=pipeline(target, left_out))
    except UserError as error:
        raise _Wrong("not compiled", str(error)) from error
    except Exception as error:
        raise _Wrong("fails", f"{type(error).__name__}: {error}") from error


def _limited(data: bytes, target: Target) -> tuple[Target, Compiled]:
    """Compiled with the target's limit, or the smallest that its refusal names."""
    try:
        compiled = compile_tflite(data, target)
    except UserError as error:
        named = re.search(r"the smallest found to work is (\d+)$", str(error))
        if named is None:
            raise _Wrong("not compiled", str(error)) from error
        target = replace(target, limit=int(named[1]))
        try:
            compiled = compile_tflite(data, target)
        except UserError as again:
            raise _Wrong("the limit that was named is refused", str(again)) from again
    except Exception as error:
        raise _Wrong("fails", f"{type(error).__name__}: {error}") from error
    assert target.limit is not None
    if (size := _limited_bytes(compiled)) > target.limit:
        raise _Wrong("above the limit", f"{size} bytes, the limit is {target.limit}")
    return target, compiled


def _limited_bytes(compiled: Compiled) -> int:
    """Bytes of the memory that limits are for: the fast memory, where there is one beside a slow arena."""
    return compiled.summary.scarce


def _against_litert(compiled: Compiled, data: bytes) -> int:
    try:
        comparer = Comparer(load(compiled.data), data)
    except HostError as error:
        raise _Wrong("no reference", str(error)) from error
    count = 0
    for seed in range(INPUTS):
        try:
            comparison = comparer.run(seed=seed)
        except Exception as error:
            raise _Wrong("does not run", f"{type(error).__name__}: {error}") from error
        if comparison.reports:
            raise _Wrong("reported", str(comparison.reports[0]))
        if comparison.differences:
            raise _Wrong("differs", f"{comparison.differences[0]} (first wrong: {comparison.first_wrong})")
        if comparison.wrong:
            raise _Wrong("seems to differ", str(comparison.wrong[0]))
        count += len(comparison.result.outputs)
    return count


def _against_plain(compiled: Compiled, data: bytes, target: Target) -> int:
    target = replace(target, limit=None)
    sessions = [Session(load(one.data)) for one in (compiled, _compiled(data, target, OPTIONAL))]
    count = 0
    for seed in range(INPUTS):
        ours, plain = (session.run(seed=seed) for session in sessions)
        for result in (ours, plain):
            if result.reports:
                raise _Wrong("reported", str(result.reports[0]))
        for name, value in ours.outputs.items():
            difference = first_difference(name, value, plain.outputs[name])
            if difference:
                raise _Wrong("differs from the plain schedule", str(difference))
            count += 1
    return count
