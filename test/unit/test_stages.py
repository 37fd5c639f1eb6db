"""Named stages divide any pipeline: each pass is in one of them, in the pipeline's order."""

from __future__ import annotations

from itertools import pairwise

import pytest

from npuc.tools.passes import available_passes, parse_passes
from npuc.tools.pipeline import OPTIONAL, Target, pipeline
from npuc.tools.stages import STAGES, between


@pytest.mark.parametrize("leave_out", [frozenset(), OPTIONAL], ids=["all", "least"])
def test_stages_one_after_the_other_are_the_pipeline(leave_out: frozenset[str]) -> None:
    passes = parse_passes(pipeline(Target(integer_io=True), leave_out), available_passes())
    parts = [between(passes, start, stop) for start, stop in pairwise([None, *STAGES])]
    assert sum(parts, ()) == passes
    assert between(passes, "schedule", "commands") == parts[3] + parts[4]
    assert between(passes, "file", None) == ()


def test_a_pass_of_ones_own_is_in_the_stage_of_the_one_before_it() -> None:
    passes = parse_passes("convert-tfl-to-tosa,cse,convert-tosa-to-npu-schedule,cse", available_passes())
    assert [pass_.name for pass_ in between(passes, "tfl", "tosa")] == ["convert-tfl-to-tosa", "cse"]
    assert [pass_.name for pass_ in between(passes, "tosa", "schedule")] == ["convert-tosa-to-npu-schedule", "cse"]
