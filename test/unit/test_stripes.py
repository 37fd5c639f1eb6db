"""The order in which a cascade runs and the rows alive on the way, against what a rolling buffer would really hold."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from property_tests import examples

from npuc.dialects.npu import Window
from npuc.dialects.stripes import Input, Reach, Stage, _Run, count, unroll


@pytest.mark.parametrize(
    ("window", "stripe", "rows"),
    [
        (Window(), 1, 1),
        (Window(3, 3, top=1), 1, 3),
        (Window(3, 3, top=1), 4, 6),
        (Window(3, 3, 2, 2), 1, 3),
        (Window(3, 3, 2, 2), 2, 5),
        (Window(5, 5, top=2, dilation_y=2), 1, 9),
    ],
)
def test_one_consumer_keeps_what_its_launch_sees(window: Window, stripe: int, rows: int) -> None:
    reach = Reach.of(window, 64)
    height = (64 + 2 * window.top - window.dilated_height) // window.stride_y + 1
    stages = [Stage(64, stripe * window.stride_y), Stage(height, stripe, (Input(0, reach),), leaves=True)]
    assert unroll(stages).alive[0] == rows


def test_a_skipped_value_keeps_the_lag_of_its_branch() -> None:
    """x -> three windows of 3x3 -> x + ...: a row of the sum is made when x is three rows further; a window sees 3."""
    reach = Reach.of(Window(3, 3, top=1), 32)
    branch = [Stage(32, 1, (Input(k, reach),)) for k in range(3)]
    total = Stage(32, 1, (Input(0, Reach(32)), Input(3, Reach(32))), leaves=True)
    assert unroll([Stage(32, 1), *branch, total]).alive == [4, 3, 3, 1, 1]


def test_a_transfer_brings_the_rows_of_the_next_launch_beside_the_current_one() -> None:
    """The rows that a launch reads are not written over by the transfer that is issued behind it."""
    reach = Reach.of(Window(3, 3, top=1), 16)
    stages = [Stage(16, 16, ahead=True), Stage(16, 4, (Input(0, reach),), leaves=True)]
    found = unroll(stages)
    assert found.launches == [
        (0, 0, 5),
        (1, 0, 4),
        (0, 5, 9),
        (1, 4, 8),
        (0, 9, 13),
        (1, 8, 12),
        (0, 13, 16),
        (1, 12, 16),
    ]
    # Rows 3 to 12 while rows 4 to 7 are made.
    assert found.alive[0] == 10


@examples(200)
@given(st.data())
def test_what_runs_ahead_writes_over_nothing_that_the_launch_before_it_reads(data: st.DataObject) -> None:
    height, window, stride = (data.draw(st.integers(*ends)) for ends in ((8, 40), (1, 5), (1, 3)))
    reach = Reach(height, stride, window, data.draw(st.integers(0, window - 1)))
    rows = (height + reach.top - window) // stride + 1
    reader = Stage(rows, data.draw(st.integers(1, 6)), (Input(0, reach),), leaves=True)
    found = unroll([Stage(height, data.draw(st.integers(1, 9)), ahead=True), reader])
    alive, read = found.alive[0], range(0)
    for stage, start, stop in found.launches:
        if stage:
            read = range(reach.first(start), reach.end(stop))
        else:
            assert not {row % alive for row in range(start, stop)} & {row % alive for row in read if row < start}


def test_a_broadcast_row_needs_everything_above_it() -> None:
    """A gate computed from the whole map: nothing can be dropped before it is known."""
    stages = [
        Stage(16, 1),
        Stage(1, 1, (Input(0, Reach(16, window=16)),)),
        Stage(16, 1, (Input(0, Reach(16)), Input(1, Reach(1, whole=True))), leaves=True),
    ]
    assert unroll(stages).alive[0] == 16


@st.composite
def cascades(draw: st.DrawFn) -> list[Stage]:
    """Chains with random windows, some stages with a second operand from further up."""
    stages = [Stage(draw(st.integers(4, 40)), draw(st.integers(1, 6)), ahead=draw(st.booleans()))]
    for _ in range(draw(st.integers(1, 5))):
        height = stages[-1].height
        skips = [k for k, s in enumerate(stages[:-1]) if s.height == height]
        last = len(stages) - 1
        if skips and draw(st.booleans()):
            inputs = [Input(draw(st.sampled_from(skips)), Reach(height)), Input(last, Reach(height))]
            granule = None
        else:
            up = draw(st.sampled_from([1, 1, 1, 2]))
            window = draw(st.integers(1, min(5, height)))
            stride = draw(st.integers(1, 3)) if up == 1 else 1
            top = draw(st.integers(0, window - 1))
            reach = Reach(height, stride, window, top, up)
            inputs, granule = [Input(last, reach)], reach if up > 1 else None
            height = (height * up + top - window) // stride + 1
        stages.append(Stage(height, draw(st.integers(1, 8)), tuple(inputs), draw(st.integers(0, 4)) == 0, granule))
    return stages


@examples(300)
@given(cascades())
def test_rolling_buffers_of_the_rows_alive_never_lose_a_row_that_is_read(stages: list[Stage]) -> None:
    """Play the launches on buffers of exactly `alive` rows: each row read is the one last written to its slot."""
    found = unroll(stages)
    held: list[dict[int, int]] = [{} for _ in stages]
    done = [0] * len(stages)
    for index, start, stop in found.launches:
        stage = stages[index]
        assert start == done[index]
        assert start < stop <= min(stage.height, start + stage.stripe + (stage.granule is not None))
        for producer, reach in stage.inputs:
            for row in range(reach.first(start), reach.end(stop)):
                assert held[producer][row % found.alive[producer]] == row
        for row in range(start, stop):
            held[index][row % found.alive[index]] = row
        done[index] = stop
    for index, stage in enumerate(stages):
        if stage.leaves or index == len(stages) - 1:
            assert done[index] == stage.height


@examples(300)
@given(cascades(), st.integers(1, 6))
def test_counting_agrees_with_running(stages: list[Stage], factor: int) -> None:
    """The same launches and rows alive, also of cascades so tall that most of them are not run."""
    tall = [_taller(stages[0], stages[0].height * factor, [])]
    for stage in stages[1:]:
        inputs: list[Input] = []
        for producer, reach in stage.inputs:
            height = tall[producer].height
            inputs.append(Input(producer, reach._replace(height=height)))
        _, reach = inputs[-1]
        tall.append(_taller(stage, (reach.height * reach.up + reach.top - reach.window) // reach.stride + 1, inputs))
    found, counted = unroll(tall), count(tuple(tall))
    assert counted.alive == found.alive
    for index, launches in enumerate(counted.launches):
        assert launches == Counter(stop - start for stage, start, stop in found.launches if stage == index)


def _taller(stage: Stage, height: int, inputs: list[Input]) -> Stage:
    granule = None if stage.granule is None else inputs[-1].reach
    return replace(stage, height=height, inputs=tuple(inputs), granule=granule)


def test_counting_does_not_run_what_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    once = _Run.launch

    def launch(run: _Run, index: int, target: int) -> None:
        made.append(index)
        once(run, index, target)

    monkeypatch.setattr(_Run, "launch", launch)
    reach = Reach.of(Window(3, 3, top=1), 60000)
    stages = [Stage(60000, 1), *(Stage(60000, 1, (Input(k, reach),)) for k in range(8))]
    assert sum(count(tuple(stages)).launches[0].values()) == 60000
    assert len(made) < 500
