"""
Random NPU regions, lowered by every choice of optimising passes, run in the simulator and equal a plain evaluation.

Kernels of all kinds, views, cascades with random stripes and rolling buffers; nothing may be reported. To look at one:
`python -c "..."` with `random_region(seed, '"ethos-u55-128"').text`.
"""

import numpy as np
import pytest
from execute_region import LOWERING, apply, execute, parse, region_of
from property_tests import seeds
from random_decisions import place_at_random, transfer_at_random
from random_region import random_region
from schedule_reference import evaluate

from npuc.hardware.accelerators import ACCELERATORS

OPTIONAL = (
    "npu-schedule-select-formats",
    "npu-schedule-reuse-ifm",
    "npu-schedule-select-blocks",
    "npu-schedule-split-weight-buffers",
    "npu-cmd-hoist-dma",
)
SEEDS = 14


@pytest.mark.parametrize("name", ACCELERATORS)
@pytest.mark.parametrize("number", seeds(SEEDS))
def test_lowered_random_regions_equal_their_evaluation(name: str, number: int) -> None:
    seed = SEEDS * list(ACCELERATORS).index(name) + number
    made = random_region(seed, f'"{name}"')
    wanted = evaluate(region_of(parse(made.text)), made.arguments)
    # All optimising passes, none, and one left out in turn.
    left_out = number % (len(OPTIONAL) + 2)
    chosen = [p for i, p in enumerate(OPTIONAL) if left_out not in (i, len(OPTIONAL))]
    lowering = LOWERING if number % 3 else LOWERING[:-1]
    passes = [p for p in chosen if p.startswith("npu-schedule")] + list(lowering)
    at = passes.index(LOWERING[0]) + 1
    passes[at:at] = [p for p in chosen if p.startswith("npu-cmd")]
    found = execute(parse(made.text), made.arguments, passes)
    assert not found.reports, "\n".join(map(str, found.reports))
    for index, (have, want) in enumerate(zip(found.results, wanted, strict=True)):
        np.testing.assert_array_equal(have, want, err_msg=f"result {index} of seed {seed}")


PLACES = {
    "ethos-u55-128": '"ethos-u55-128"',
    "ethos-u65-256": '"ethos-u65-256", "Ethos_U65_High_End", "Dedicated_Sram_512KB"',
    "external": '"ethos-u55-256", external_inputs',
}


@pytest.mark.parametrize("target", PLACES)
def test_random_places_and_transfers_equal_the_plain_evaluation(target: str) -> None:
    """Values here and there, constants, inputs and spilled values brought whole and row by row; no hazard."""
    fast = whole = rolling = 0
    for number in seeds(25):
        seed = 25 * list(PLACES).index(target) + number
        rng = np.random.default_rng(seed)
        made = random_region(seed, PLACES[target])
        wanted = evaluate(region_of(parse(made.text)), made.arguments)
        module = parse(made.text)
        apply(module, ["npu-schedule-select-formats", "npu-schedule-place-inputs"])
        if target == "ethos-u65-256":
            fast += place_at_random(module, rng)
        counts = transfer_at_random(module, rng)
        whole, rolling = whole + counts[0], rolling + counts[1]
        passes = list(LOWERING)
        if number % 2:
            passes.insert(1, "npu-cmd-hoist-dma")
        found = execute(module, made.arguments, passes)
        assert not found.reports, "\n".join([f"seed {seed}", *map(str, found.reports)])
        for have, want in zip(found.results, wanted, strict=True):
            np.testing.assert_array_equal(have, want, err_msg=f"seed {seed}")
    assert whole > 5
    assert rolling > 5
    assert (fast > 5) == (target == "ethos-u65-256")
