"""What npu-profile says adds up, and what is no stream that the machine could run it refuses in one line."""

import json
import os
import random
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from npuc.analysis.accesses import Accesses, Span, first_readers
from npuc.dialects.locations import source_name, sources
from npuc.dialects.npu_cmd import LaunchOp, ProgramOp
from npuc.lowering.debug_info import origins
from npuc.tools.errors import UserError
from npuc.tools.ir import load_module, make_context
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.npu_profile import main
from npuc.tools.pipeline import Target
from npuc.tools.profiling.attribution import CAUSES, By, rows
from npuc.tools.profiling.bounds import bounds, content, memory_peak
from npuc.tools.profiling.comparison import compare, comparison_data, comparison_text
from npuc.tools.profiling.matching import match_commands, name_host
from npuc.tools.profiling.node_data import node_data
from npuc.tools.profiling.page import as_html
from npuc.tools.profiling.profile import Profile, host_operators, load, profile
from npuc.tools.profiling.tables import as_csv, as_data, as_text
from npuc.tools.profiling.trace import as_trace
from npuc.tools.profiling.vela_database import name_commands

MODELS = Path(__file__).parents[1] / "models"
MODEL = MODELS / "op_conv_3x3.tflite"


def compiled(name: str, target: Target) -> bytes:
    return compile_tflite((MODELS / f"{name}.tflite").read_bytes(), target).data


def test_damaged_streams_are_refused_in_one_line() -> None:
    whole = compile_tflite(MODEL.read_bytes(), Target("ethos-u55-128")).data
    at = whole.index(b"COP1") + 32
    end = whole.index(struct.pack("<I", 0xFFFF0000), at)
    draw = random.Random(1)
    refused: list[str] = []
    for _ in range(60):
        data = bytearray(whole)
        word = draw.randrange(at, end, 4)
        data[word + 2 : word + 4] = struct.pack("<H", draw.choice((0, 1, 2, 15, 255, 4096, 65535)))
        try:
            found = profile(bytes(data), name="file.tflite")
        except UserError as error:
            refused.append(str(error))
        else:
            assert as_data(found)
            assert as_text(found, 3)
            assert as_html(found, "file")
            assert as_trace(found)
    assert len(refused) > 10
    assert all(text.startswith("file.tflite: ") and len(text.splitlines()) == 1 for text in refused)


def test_a_negative_number_of_rows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["file", "--top", "-1"]) == 1
    assert capsys.readouterr().err == "npu-profile: error: --top -1: a number of rows is not negative\n"


PROFILED = {
    "tour": Target("ethos-u55-128", limit=24000),
    "digits_cnn": Target("ethos-u65-256", memory_mode="Dedicated_Sram"),
    "custom_in_the_middle": Target("ethos-u55-128"),
    "many_tables": Target("ethos-u65-512"),
}


@pytest.fixture(scope="module", params=sorted(PROFILED))
def profiled(request: pytest.FixtureRequest) -> Profile:
    return profile(compiled(request.param, PROFILED[request.param]))


@pytest.mark.parametrize("by", ["operator", "command", "cascade"])
def test_every_figure_adds_up(profiled: Profile, by: By) -> None:
    table = rows(profiled, by)
    assert sum(row.cycles for row in table) == profiled.cycles > 0
    assert all(set(row.causes) <= set(CAUSES) and min(row.causes.values(), default=1) > 0 for row in table)
    assert sum(row.macs for row in table) == profiled.macs
    events = [event for one in profiled.timelines.values() for event in one.events]
    assert sum(row.launches for row in table) == sum(event.is_kernel for event in events)
    assert sum(row.transfers for row in table) == sum(not event.is_kernel for event in events)
    for area, (read, written) in profiled.traffic().items():
        assert sum(row.read[area] for row in table) == read
        assert sum(row.written[area] for row in table) == written
    data = as_data(profiled, by)
    assert sum(row["cycles"] for row in data["rows"]) == data["cycles"]
    lines = as_csv(profiled, by).splitlines()
    assert len(lines) == len(table) + 1


def test_each_cycle_belongs_to_what_runs(profiled: Profile) -> None:
    """Against a count cycle by cycle: kernels first, then transfers, then what starts next."""
    for one in profiled.timelines.values():
        if one.cycles > 30000:
            continue
        owner = [-1] * one.cycles
        order = sorted(range(len(one.events)), key=lambda n: (one.events[n].is_kernel, one.events[n].start))
        for number in order:
            event = one.events[number]
            owner[event.start : event.end] = [number] * (event.end - event.start)
        later = -1
        for time in reversed(range(one.cycles)):
            if owner[time] < 0:
                later = min(
                    (n for n, event in enumerate(one.events) if event.start > time),
                    key=lambda n: (one.events[n].start, n),
                )
                owner[time] = later
        by_event = {row.events[0].index: row.cycles for row in rows(profiled, "command")}
        for number, event in enumerate(one.events):
            if len(profiled.timelines) == 1:
                assert by_event[event.index] == owner.count(number)


def test_memory_is_never_more_than_there_is(profiled: Profile) -> None:
    peak = memory_peak(profiled)
    table = rows(profiled)
    assert max(row.alive for row in table) == peak.bytes <= profiled.sram
    assert all(row.holds <= row.alive for row in table if row.events[0].is_kernel)
    assert 0 <= peak.cycle <= profiled.timelines[peak.program].cycles
    assert sum(one.size for one in peak.held) == peak.bytes


def test_no_bound_is_above_what_it_bounds(profiled: Profile) -> None:
    known = bounds(profiled)
    assert 0 < known.cycles <= profiled.cycles
    assert known.resources[known.limiting] == known.cycles


def test_operators_of_a_cascade_are_one_row() -> None:
    found = profile(compiled("tour", PROFILED["tour"]))
    single = {row.sources[0].operator: row for row in rows(found)}
    joined = [row for row in rows(found, "cascade") if len(row.sources) > 1]
    assert joined
    for row in joined:
        parts = [single[source.operator] for source in row.sources if source.operator in single]
        assert row.cycles == sum(part.cycles for part in parts)
        assert row.launches > len(parts)


def test_a_trace_has_what_viewers_ask_for(profiled: Profile) -> None:
    trace = json.loads(json.dumps(as_trace(profiled)))["traceEvents"]
    assert {event["ph"] for event in trace} <= {"M", "X", "s", "f"}
    assert all(isinstance(event[key], int) for event in trace for key in ("pid", "tid"))
    shown = [event for event in trace if event["ph"] == "X"]
    end = max(event["ts"] + event["dur"] for event in shown)
    assert end == pytest.approx(profiled.milliseconds * 1000)
    names = {(event["pid"], event["tid"]): event["args"]["name"] for event in trace if event["name"] == "thread_name"}
    assert all((event["pid"], event["tid"]) in names for event in shown)
    starts, ends = ({event["id"]: event for event in trace if event["ph"] == phase} for phase in "sf")
    assert starts.keys() == ends.keys()
    assert all(ends[flow]["ts"] >= starts[flow]["ts"] for flow in starts)
    transfers = sum(names[event["pid"], event["tid"]] == "transfers" for event in shown)
    assert len(starts) <= transfers


def test_a_trace_processor_takes_a_trace(tmp_path: Path) -> None:
    """Perfetto's own, where the package is and finds its program."""
    perfetto = pytest.importorskip("perfetto.trace_processor", reason="the package perfetto is not installed")
    program = os.environ.get("TRACE_PROCESSOR") or shutil.which("trace_processor_shell")
    if program is None:
        pytest.skip("there is no trace_processor_shell in the path, nor in TRACE_PROCESSOR")
    one = profile(compiled("tour", PROFILED["tour"]))
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(as_trace(one)))
    config = perfetto.TraceProcessorConfig(bin_path=program)
    with perfetto.TraceProcessor(trace=str(path), config=config) as processor:

        def count(text: str) -> int:
            return next(iter(processor.query(text))).n

        assert count("select count(*) as n from slice") == sum(len(t.events) for t in one.timelines.values())
        assert count("select count(*) as n from stats where severity = 'error' and value > 0") == 0
        flows = sum(event["ph"] == "s" for event in as_trace(one)["traceEvents"])
        assert count("select count(*) as n from flow") == flows > 0
        end = count("select cast(max(ts + dur) - min(ts) as int) as n from slice")
        assert end == pytest.approx(one.milliseconds * 1e6, rel=0.001)


def test_a_transfer_leads_to_its_first_reader() -> None:
    def touches(reads: list[tuple[int, int]], writes: list[tuple[int, int]]) -> Accesses:
        return Accesses(*(tuple(Span("arena", *span) for span in spans) for spans in (reads, writes)))

    commands = [
        (False, touches([], [(0, 16)])),  # written over before anything reads it
        (False, touches([], [(8, 24)])),
        (False, touches([], [(32, 48)])),
        (True, touches([(20, 40)], [(64, 80)])),
        (True, touches([(32, 48)], [(80, 96)])),
    ]
    assert first_readers(commands) == [(1, 3), (2, 3)]


def test_model_explorer_gets_a_value_for_each_operator_that_has_kernels(profiled: Profile) -> None:
    data = node_data(profiled)
    table = [row for row in rows(profiled) if row.sources]
    numbers = {str(row.sources[0].operator.number) for row in table}
    for figure in data.values():
        # The fields that its node_data_builder.GraphNodeData has, and has to have.
        assert figure.keys() == {"name", "results", "gradient"}
        assert figure["results"].keys() == numbers
        assert all(value.keys() == {"value"} for value in figure["results"].values())
        assert [one["stop"] for one in figure["gradient"]] == [0, 0.5, 1]
    cycles, used, sram = (data[key]["results"] for key in ("cycles", "utilisation", "sram"))
    assert sum(one["value"] for one in cycles.values()) == sum(row.cycles for row in table)
    rate = profiled.machine.total_macs
    macs = sum(used[number]["value"] / 100 * cycles[number]["value"] * rate for number in numbers)
    assert macs == pytest.approx(profiled.macs, rel=0.01)
    assert max(one["value"] for one in sram.values()) <= profiled.sram


def test_two_files_are_aligned_by_operator() -> None:
    first = profile(compiled("digits_cnn", Target("ethos-u55-128")))
    second = profile(compiled("digits_cnn", Target("ethos-u55-32")))
    lines = compare(first, second)
    assert sum(line.cycles[0] for line in lines) == first.cycles
    assert sum(line.cycles[1] for line in lines) == second.cycles
    assert all(line.first and line.second for line in lines)
    differences = [abs(line.difference) for line in lines]
    assert differences == sorted(differences, reverse=True)
    data = comparison_data(first, second)
    assert sum(line["difference"] for line in data["lines"]) == second.cycles - first.cycles
    assert "times as many" in comparison_text(first, second, ("a", "b"), 3)


def test_a_file_without_names_is_profiled_by_shape() -> None:
    named = profile(compiled("digits_cnn", Target("ethos-u55-128")))
    bare = profile(compiled("digits_cnn", Target("ethos-u55-128", debug_info=False)))
    assert bare.cycles == named.cycles
    assert not any(row.sources for row in rows(bare))
    assert sum(row.cycles for row in rows(bare)) == bare.cycles
    lines = compare(named, bare)
    assert sum(line.difference for line in lines) == 0


def database(module: ModuleOp) -> bytes:
    """What vela would write about a decoded file of ours, of which it says what each launch works for."""
    (program,) = (op for op in module.ops if isinstance(op, ProgramOp))
    known = [sources(op.location)[0].operator for op in origins(program) if isinstance(op, LaunchOp)]
    tables = {
        "cmdstream": ['"id"', "1"],
        "queue": ['"offset","cmdstream_id","optimised_id"', *(f"{n},1,{o.number + 50}" for n, o in enumerate(known))],
        "optimised": ['"id","source_id"', *(f"{o.number + 50},{o.number + 7}" for o in dict.fromkeys(known))],
        "source": ['"id","operator","ext_key"', *(f'{o.number + 7},"Op",{o.number}' for o in dict.fromkeys(known))],
    }
    text = "".join(
        f'<table name="{name}">\n<![CDATA[\n' + "\n".join(lines) + "\n]]>\n</table>\n" for name, lines in tables.items()
    )
    return f'<?xml version="1.0"?>\n<debug source="x">\n{text}</debug>'.encode()


def test_commands_get_the_names_of_a_debug_database() -> None:
    named = load(compiled("digits_cnn", Target("ethos-u55-128")), "named.tflite")
    bare = load(compiled("digits_cnn", Target("ethos-u55-128", debug_info=False)), "bare.tflite")
    reference = load((MODELS / "digits_cnn.tflite").read_bytes(), "source.tflite")
    text = database(named)
    name_commands(bare, text, "debug.xml", reference)
    ours, given = (
        [sources(op.location) for program in module.ops if isinstance(program, ProgramOp) for op in origins(program)]
        for module in (named, bare)
    )
    # Also of transfers, which the database does not know.
    assert [one[0].operator for one in given] == [one[0].operator for one in ours]
    for damaged in (b"no xml", text.replace(b"ext_key", b"other"), text.replace(b'name="queue"', b'name="q"')):
        with pytest.raises(UserError, match=r"^debug\.xml: it is no debug database"):
            name_commands(bare, damaged, "debug.xml", None)
    shorter = text.replace(b"\n0,1,", b"\n0,9,", 1)
    with pytest.raises(UserError, match=r"^debug\.xml: it is about \d+ kernels, @npu_0 has \d+"):
        name_commands(bare, shorter, "debug.xml", None)


@pytest.mark.parametrize(
    ("name", "target", "share"),
    [
        ("tour", PROFILED["tour"], 0.95),
        ("unet", Target("ethos-u55-128"), 1),
        ("custom_in_the_middle", PROFILED["custom_in_the_middle"], 1),
        ("two_islands", Target("ethos-u65-256"), 1),
    ],
)
def test_commands_are_matched_with_a_source_by_what_they_make(name: str, target: Target, share: float) -> None:
    source = (MODELS / f"{name}.tflite").read_bytes()
    named = load(compile_tflite(source, target).data, "named.tflite")
    data = compile_tflite(source, replace(target, debug_info=False)).data
    bare = load(data, "bare.tflite")
    reference = load(source, "source.tflite")
    match_commands(bare, data, "bare.tflite", reference, source, "source.tflite")
    name_host(bare, reference)
    ours, found = (
        [sources(op.location) for program in module.ops if isinstance(program, ProgramOp) for op in origins(program)]
        for module in (named, bare)
    )
    right = sum(bool({s.operator for s in a} & {s.operator for s in b}) for a, b in zip(ours, found, strict=True))
    assert right >= share * len(ours) > 0
    hosts = [[one.source.operator for one in host_operators(module)] for module in (named, bare)]
    assert hosts[0] == hosts[1]


def test_a_file_is_not_matched_with_another_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bare.tflite"
    path.write_bytes(compiled("digits_cnn", Target("ethos-u55-128", debug_info=False)))
    assert main([str(path), "--reference", str(MODELS / "two_islands.tflite")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"npu-profile: error: {path}: ")


def test_the_summary_of_a_compile_says_what_a_profile_of_the_file_says() -> None:
    target = PROFILED["digits_cnn"]
    found = compile_tflite((MODELS / "digits_cnn.tflite").read_bytes(), target, want_figures=True)
    summary, known = found.summary, profile(found.data)
    assert (summary.cycles, summary.macs) == (known.cycles, known.macs)
    assert summary.milliseconds == pytest.approx(known.milliseconds)
    assert summary.least_cycles == bounds(known).cycles
    assert summary.at_peak == [(one.name, one.size) for one in memory_peak(known).held[:3]]
    assert summary.file == len(found.data)


def test_what_the_host_gives_has_its_name() -> None:
    found = profile(compiled("tour", PROFILED["tour"]))
    source = load_module(make_context(), (MODELS / "tour.tflite").read_bytes(), "tour", "tflite")
    (main,) = (op for op in source.ops if isinstance(op, FuncOp))
    names = {f"{source_name(argument.location)}, from the host" for argument in main.body.block.args}
    lives = [life for one in found.timelines.values() for life in one.lives("arena")]
    given = {content(life, name, found) for name in found.timelines for life in lives if life.writer is None}
    assert given == names


def test_a_script_answers_what_people_ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the JSON alone: what takes the time and why, what holds the memory, what another compiler does otherwise."""
    ours, theirs, text = tmp_path / "ours.tflite", tmp_path / "theirs.tflite", tmp_path / "theirs.xml"
    ours.write_bytes(compiled("unet", Target("ethos-u55-128")))
    named = compiled("unet", Target("ethos-u55-128", strategy="size"))
    theirs.write_bytes(compiled("unet", Target("ethos-u55-128", strategy="size", debug_info=False)))
    text.write_bytes(database(load(named, "named.tflite")))

    assert main([str(ours), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    five = sorted(found["rows"], key=lambda row: -row["cycles"])[:5]
    assert all(row["operators"][0]["type"].isupper() and row["bound"] in CAUSES for row in five)
    assert sum(row["share"] for row in found["rows"]) == pytest.approx(1)
    holds = found["peak"]["holds"]
    tensors = {operator["tensor"].split(";")[0] for row in found["rows"] for operator in row["operators"]}
    assert any(any(tensor in one["name"] for tensor in tensors) for one in holds)
    assert sum(one["bytes"] for one in holds) == found["peak"]["bytes"] <= found["sram_bytes"]
    assert max(found["bounds"]["cycles"].values()) <= found["cycles"]

    reference = str(MODELS / "unet.tflite")
    arguments = [str(ours), str(theirs), "--debug-db", str(text), "--reference", reference, "--json"]
    assert main(arguments) == 0
    both = json.loads(capsys.readouterr().out)
    assert sum(line["difference"] for line in both["lines"]) == both["cycles"][1] - both["cycles"][0]
    assert all(all(line["rows"]) for line in both["lines"])  # every operator is found in both
    assert main([str(theirs), "--debug-db", str(ours)]) == 1
    assert "it is no debug database of vela" in capsys.readouterr().err
