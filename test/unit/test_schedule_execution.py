"""
Random NPU regions, lowered by every choice of optimising passes, run in the simulator and equal a plain evaluation.

Kernels of all kinds, views, cascades with random stripes and rolling buffers; nothing may be reported. To look at one:
`python -c "..."` with `random_region(seed, '"ethos-u55-128"').text`.
"""

import numpy as np
import pytest
from execute_region import LOWERING, apply, execute, parse, region_of, run
from property_tests import seeds
from random_decisions import overlap_at_random, place_at_random, transfer_at_random
from random_region import random_region
from schedule_reference import evaluate
from xdsl.utils.exceptions import VerifyException

from npuc.dialects.npu import IntsAttr
from npuc.dialects.npu_cmd import OverlapOp, ProgramOp
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


@pytest.mark.parametrize("name", ACCELERATORS)
def test_random_overlaps_in_both_directions_equal_the_plain_evaluation(name: str) -> None:
    """Results over operands that die, as near as launches allow or farther, downwards and upwards; no hazard."""
    counts = np.zeros(2, int)
    for number in seeds(8):
        seed = 8 * list(ACCELERATORS).index(name) + number
        rng = np.random.default_rng(seed)
        made = random_region(seed, f'"{name}"')
        wanted = evaluate(region_of(parse(made.text)), made.arguments)
        module = parse(made.text)
        apply(module, ["npu-schedule-select-formats"])
        counts += overlap_at_random(module, rng)
        passes = list(LOWERING)
        if number % 2:
            passes.insert(1, "npu-cmd-hoist-dma")
        if number % 3 == 0:
            passes.insert(0, "npu-schedule-reuse-ifm")
        found = execute(module, made.arguments, passes)
        assert not found.reports, "\n".join([f"seed {seed}", *map(str, found.reports)])
        for have, want in zip(found.results, wanted, strict=True):
            np.testing.assert_array_equal(have, want, err_msg=f"seed {seed}")
    assert counts.min() >= 1


OVER = """module attributes {npu.target = #npu.target<"ethos-u55-128">} {
  func.func @npu_0(%x: tensor<1x16x8x16xi8>) -> tensor<1x16x8x16xi8> attributes {npu.region} {
    %y = npu_schedule.cascade -> tensor<1x16x8x16xi8> {
      %1 = npu_schedule.pool max %x window <3x3, pad 1 1 1 1> zero_points <0, 0> activation <-128, 127>
           stripe <4>WALK : (tensor<1x16x8x16xi8>, tensor<1x16x8x16xi8>) -> tensor<1x16x8x16xi8>
      npu_schedule.yield %1 : tensor<1x16x8x16xi8>
    }
    func.return %y : tensor<1x16x8x16xi8>
  }
}"""
WALKS = [(" over %x at <-640>", -128), (" upwards over %x at <640>", 128)]
ROWS = np.random.default_rng(5).integers(-128, 128, (1, 16, 8, 16)).astype(np.int8)


@pytest.mark.parametrize(("walk", "row"), WALKS)
def test_an_overlap_one_row_too_far_is_refused(walk: str, row: int) -> None:
    """As near as the launches allow is right, a row nearer is one line."""
    text = OVER.replace("WALK", walk)
    found = execute(parse(text), [ROWS])
    assert not found.reports
    np.testing.assert_array_equal(found.results[0], evaluate(region_of(parse(text)), [ROWS])[0])
    nearest = 5 * row
    with pytest.raises(VerifyException, match=f"rows that are still to be read .* at (most|least) {nearest}\\n"):
        parse(text.replace(str(nearest), str(4 * row)))


@pytest.mark.parametrize(("walk", "row"), WALKS)
def test_an_overlap_one_row_too_far_is_caught_by_the_simulator(walk: str, row: int) -> None:
    """A fault behind the verifier's back: the result is wrong."""
    module = parse(OVER.replace("WALK", walk))
    wanted = evaluate(region_of(module), [ROWS])[0]
    apply(module, LOWERING[:1])
    (program,) = (op for op in module.ops if isinstance(op, ProgramOp))
    (overlap,) = (op for op in program.body.block.ops if isinstance(op, OverlapOp))
    given = IntsAttr((overlap.distance - row,))
    overlap.at_most, overlap.at_least = (given, None) if overlap.at_most else (None, given)
    apply(module, LOWERING[1:])
    found = run(module, [ROWS])
    assert found.reports or (found.results[0] != wanted).any()
