"""
Faults seeded into streams of the compiler's own: each is caught, or harmless in every order for a reason that holds.

The seeds are such that no fault makes a kernel overwrite its own input, which only the oracle of orders sees.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from witness_faults import BESIDE, CAUGHT, INTERMEDIATE, MISSED, PROVEN, TESTED, Fault, Seeder, faults

from npuc.simulator import Op
from npuc.simulator.memory import Access
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target

COUNT = 30


@pytest.fixture(scope="module", params=["ethos-u55-128", "ethos-u65-512"])
def seeder(models, request: pytest.FixtureRequest) -> Seeder:
    data = models["digits_cnn"].path.read_bytes()
    return Seeder(compile_tflite(data, Target(request.param)).data, data)


def changed(seeder: Seeder, at: int, **operands: int) -> Fault:
    op = seeder.program.ops[at]
    other = replace(op, state=MappingProxyType({**op.state, **operands}))
    places = list(range(len(seeder.program.ops)))
    ops = [other if place == at else seeder.program.ops[place] for place in places]
    return Fault("changed", ops, places, at, other)


def kernels(seeder: Seeder, *names: str) -> list[tuple[int, Op]]:
    return [(i, op) for i, op in enumerate(seeder.program.ops) if op.name in names]


def test_the_good_stream_is_safe_in_every_order(seeder: Seeder):
    assert [good.reports for good in seeder.good] == [[]] * len(seeder.good)
    assert seeder.orders.harm(shuffles=8) == ""


def test_the_oracle_reads_the_same_maps_from_the_registers_as_the_simulator(seeder: Seeder):
    bases = {region.memory.name: seeder.space.bases[id(region.memory)] for region in seeder.space.regions.values()}
    checked = 0

    def places(accesses: Sequence[Access]) -> set[int]:
        found: set[int] = set()
        for access in accesses:
            marks = np.zeros(access.memory.size, np.bool_)
            for piece in access.pieces:
                piece.view(marks)[...] = True
            found.update((bases[access.memory.name] + np.flatnonzero(marks)).tolist())
        return found

    def look(op: Op, reads: Sequence[Access], writes: Sequence[Access], ofm: object) -> None:
        nonlocal checked
        if op.is_kernel:
            actor = seeder.actor(op)
            maps = [access for access in reads if access.what in ("IFM", "IFM2")]
            assert set(np.concatenate([fm.reshape(-1) for fm in actor.inputs.values()]).tolist()) == places(maps)
            own, written = set(actor.ofm.reshape(-1).tolist()), places(writes[:1])
            # The simulator takes what lies in the padding lanes of a last brick as lost; the oracle leaves it be.
            depth = op.state["OFM_DEPTH_M1"] + 1
            assert own <= written
            assert len(written - own) in (0, len(own) // depth * (-depth % 16))
            # Block by block it is the same again.
            assert set(np.concatenate([part for _, part in actor.block_parts]).tolist()) == own
            checked += 1

    seeder.session.run(trace=look)
    assert checked > 5


def test_no_fault_is_missed(seeder: Seeder):
    source = faults(list(seeder.program.ops), random.Random(0))
    verdicts: Counter[str] = Counter()
    for _ in range(COUNT):
        fault = next(source)
        verdict, why = seeder.judge(fault)
        assert verdict != MISSED, f"{fault.what}: {why}"
        verdicts[verdict] += 1
    assert sum(count for verdict, count in verdicts.items() if verdict.startswith(CAUGHT)) > COUNT // 2
    assert verdicts[PROVEN]
    assert len(verdicts) > 3
    # Inside softmax some changes drown.
    assert verdicts[BESIDE] <= 1


def test_a_fault_that_softmax_hides_is_caught_by_an_intermediate(seeder: Seeder):
    """A zero point is the same for all that softmax compares, so no output changes, whatever the input."""
    at, op = kernels(seeder, "CONV")[-1]
    verdict, why = seeder.judge(changed(seeder, at, OFM_ZERO_POINT=op.state["OFM_ZERO_POINT"] + 1 & 0xFFFF))
    assert verdict == INTERMEDIATE
    assert str(op).split(",")[0] in why


def test_a_harmless_fault_is_proven_by_what_it_does_not_change(seeder: Seeder):
    at, op = next((i, op) for i, op in kernels(seeder, "CONV", "DEPTHWISE") if not op.get("IFM_PRECISION", "format"))
    verdict, why = seeder.judge(changed(seeder, at, IFM_STRIDE_C=op.state["IFM_STRIDE_C"] + 16))
    assert (verdict, why) == (PROVEN, "every element lies where it lay; all that meet are still in order")


def test_a_bound_that_is_not_reached_is_tested_and_not_proven(seeder: Seeder):
    at, op = kernels(seeder, "CONV")[-1]
    low = op.state["ACTIVATION_MIN"]
    before = [int(good.written[at].min()) for good in seeder.good]
    assert min(before) > (low ^ 0x8000) - 0x8000 + 1
    verdict, _ = seeder.judge(changed(seeder, at, ACTIVATION_MIN=low + 1 & 0xFFFF))
    assert verdict == TESTED


def test_every_dropped_wait_is_caught_or_needed_by_nobody(seeder: Seeder):
    """A wait that is not needed changes nothing that the oracle finds; of the others the checker must tell."""
    caught = 0
    for at, op in enumerate(seeder.program.ops):
        if op.name.endswith("_WAIT"):
            places = [place for place in range(len(seeder.program.ops)) if place != at]
            fault = Fault("dropped", [seeder.program.ops[place] for place in places], places, at)
            verdict, _ = seeder.judge(fault)
            assert verdict != MISSED
            assert verdict == PROVEN or verdict.endswith("an order shows the harm")
            caught += verdict != PROVEN
    assert caught


def test_a_crash_is_not_a_refusal(seeder: Seeder, monkeypatch: pytest.MonkeyPatch):
    def crash(*_: object, **__: object) -> None:
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(seeder.session, "run", crash)
    at, op = kernels(seeder, "CONV")[0]
    with pytest.raises(ValueError, match="broadcast"):
        seeder.judge(changed(seeder, at, OFM_ZERO_POINT=op.state["OFM_ZERO_POINT"] + 1 & 0xFFFF))
