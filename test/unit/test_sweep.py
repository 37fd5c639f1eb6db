"""npu-sweep: what is planned is made once, kept whole, and compared; whatever ends a process ends no more than that."""

import csv
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from npuc.tools.errors import UserError
from npuc.tools.npu_compile import compile_tflite
from npuc.tools.npu_sweep import main
from npuc.tools.pipeline import Target
from npuc.tools.sweep.answers import Died
from npuc.tools.sweep.measure import Job, difference, measure
from npuc.tools.sweep.page import as_html, page_data
from npuc.tools.sweep.pareto import front, fronts, knee
from npuc.tools.sweep.plan import (
    COMPILERS,
    Combination,
    Model,
    combinations,
    read_limits,
    read_models,
    read_options,
    version,
    with_options,
)
from npuc.tools.sweep.pool import completed, each
from npuc.tools.sweep.row import Row
from npuc.tools.sweep.run import Progress, sweep
from npuc.tools.sweep.store import Store
from npuc.tools.sweep.vela import compile_by_vela

MODELS = Path(__file__).parents[1] / "models"
SMALL = MODELS / "op_add.tflite"
DIGITS = MODELS / "digits_cnn.tflite"
WHERE = "a", "0" * 64, "ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram"


def row(sram: int, cycles: int, compiler: str = "npuc", **changes: Any) -> Row:
    """A row of some schedule."""
    return replace(Row(Combination(*WHERE, limit=sram, compiler=compiler), cycles=cycles, sram=sram), **changes)


# Plan


def test_every_combination_is_planned_once() -> None:
    model = Model("a", b"x")
    planned = combinations(
        [model, Model("b", b"y")],
        ["ethos-u55-128", "ethos-u65-256"],
        [None, "Sram_Only", "Sram_Only"],
        ["Performance", "Size"],
        [None, 1000],
        {"npu-schedule-limit-sram.slowdown": ["1.1", "2.0"]},
        vela_version="vela 5.2.0",
    )
    # Models, accelerators, modes; then strategies, limits and values, and beside them vela's four points.
    assert len(planned) == len({one.key for one in planned}) == 2 * 2 * 2 * (2 * 2 * 2 + 4)
    assert {one.memory_mode for one in planned} == {"Shared_Sram", "Dedicated_Sram_384KB", "Sram_Only"}
    assert planned[0].sha256 == model.sha256
    assert planned[0].version == version()


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "1" * 64},
        {"accelerator": "ethos-u55-256"},
        {"memory_mode": "Sram_Only"},
        {"system_config": "x"},
        {"strategy": "Size"},
        {"limit": 5},
        {"options": (("a.b", "1"),)},
        {"version": "2"},
        {"compiler": "vela regor"},
        {"config_sha256": "3"},
    ],
)
def test_a_key_changes_with_what_the_result_depends_on(change: dict[str, Any]) -> None:
    one = Combination(*WHERE)
    assert replace(one, **change).key != one.key
    assert replace(one, model="renamed").key == one.key


def test_options_become_part_of_the_pipeline() -> None:
    text = 'a{x=1 y="z"},b'
    assert with_options(text, [("a.x", "2"), ("b.some-name", "word"), ("b.flag", "true")]) == (
        'a{x=2 y="z"},b{some_name="word" flag=true}'
    )
    (one,) = combinations([Model("a", b"")], ["ethos-u55-128"], options={"npu-schedule-limit-sram.slowdown": ["1.5"]})
    assert 'npu-schedule-limit-sram{strategy="performance" slowdown=1.5}' in one.pipeline


def test_limits_are_read() -> None:
    assert read_limits("none,1000,2000:4000:3") == [None, 1000, 2000, 2992, 4000]
    assert read_limits("100:104:3") == [100, 104]


def refused(text: str, *arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(arguments)) == 1
    out = capsys.readouterr()
    assert (out.out, out.err) == ("", f"npu-sweep: error: {text}\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["missing.tflite"], "missing.tflite: No such file or directory"),
        (["EMPTY"], "EMPTY: no .tflite file is in this folder"),
        ([__file__], f"{__file__}: not a TFLite model"),
        (
            [str(SMALL), "--accelerators", "ethos-u55"],
            "unknown accelerator 'ethos-u55': expected one of ethos-u55-32, ethos-u55-64, ethos-u55-128, "
            "ethos-u55-256, ethos-u65-256, ethos-u65-512",
        ),
        ([str(SMALL), "--limits", "1k"], "--limits 1k: neither none, nor bytes, nor LOW:HIGH:COUNT"),
        (
            [str(SMALL), "--limits", "9:5:3"],
            "--limits 9:5:3: LOW:HIGH:COUNT needs LOW up to HIGH and a COUNT of 2 or more",
        ),
        ([str(SMALL), "--strategies", "Speed"], "--strategies Speed: neither Performance nor Size"),
        ([str(SMALL), "--jobs", "0"], "--jobs 0: at least one process is needed"),
        ([str(SMALL), "--options", "slowdown"], "--options slowdown: not PASS.OPTION=VALUE,VALUE"),
        (
            [str(SMALL), "--options", "npu-cmd-hoist.x=1"],
            "--options npu-cmd-hoist.x=1: the pipeline has no pass 'npu-cmd-hoist', did you mean npu-cmd-hoist-dma?",
        ),
        ([str(SMALL), "--vela", "/missing/vela"], "/missing/vela: No such file or directory"),
    ],
)
def test_what_cannot_be_swept_is_one_line(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [one.replace("EMPTY", str(tmp_path)) for one in arguments]
    refused(text.replace("EMPTY", str(tmp_path)), *arguments, "--database", str(tmp_path / "a.sqlite"), capsys=capsys)
    assert list(tmp_path.iterdir()) == []


def test_an_option_that_a_pass_does_not_take_is_one_line() -> None:
    model = [Model("a", b"")]
    with pytest.raises(UserError, match="npu-schedule-limit-sram: no option slow: it has"):
        combinations(model, ["ethos-u55-128"], options={"npu-schedule-limit-sram.slow": ["1"]})
    with pytest.raises(UserError, match=r"option slowdown=.*must be of type"):
        combinations(model, ["ethos-u55-128"], options={"npu-schedule-limit-sram.slowdown": ["much"]})
    with pytest.raises(UserError, match="ethos-u55-1"):
        combinations(model, ["ethos-u55-1"])
    assert read_options(["a.b=1,2", "a.b=3"]) == {"a.b": ["1", "2", "3"]}


# Compare


def test_the_front_is_what_nothing_beats() -> None:
    rows = [row(10, 100), row(20, 100), row(20, 50), row(15, 120), row(30, 50), row(40, 45), row(5, 400)]
    assert [(one.sram, one.cycles) for one in front(rows)] == [(5, 400), (10, 100), (20, 50), (40, 45)]
    best = knee(front(rows))
    assert best is not None
    assert best.sram == 10
    assert knee([row(1, 2), row(2, 1)]) is None
    assert knee([row(0, 10), row(5, 5), row(10, 0)]) is None


def test_what_failed_or_is_vela_s_is_not_on_the_front() -> None:
    rows = [
        row(10, 100),
        row(5, 90, state="failed", proven=False),
        row(8, 50, "vela regor"),
        row(12, 50, "vela legacy"),
        row(0, 0),
    ]
    (one,) = fronts(rows)
    assert one.best == [rows[0]]
    assert one.ours == [rows[0]]
    assert one.others == [rows[2], rows[3]]
    assert one.failed == [rows[1]]
    assert one.beside(rows[2]) is None
    assert one.beside(rows[3]) is rows[0]


def test_the_page_holds_all_that_it_shows() -> None:
    rows = [
        row(10, 100, least_cycles=50, least_by="output stage", proven=True),
        row(20, 60, least_cycles=50),
        row(40, 50, least_cycles=50),
        row(15, 80, "vela regor", least_cycles=50),
        replace(row(5, 90), state="failed", error="</script>", cycles=None, sram=None),
    ]
    page = as_html(rows)
    assert not re.search(r"<(?:link|img|iframe)\b|\bsrc=|fetch\(|import\(|@import|url\(", page)
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "{{" not in page.split('id="data">')[0]
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data = json.loads(text)
    assert data == json.loads(json.dumps(page_data(rows)))
    (one,) = data["fronts"]
    assert [(p["sram"], p["by"], p["front"], p["knee"]) for p in one["points"]] == [
        (10, 0, True, False),
        (20, 0, True, True),
        (40, 0, True, False),
        (15, 1, False, False),
    ]
    assert one["points"][3]["beside"] == 100 / 80
    assert one["failed"] == [{"setting": "Shared_Sram, Performance, limit 5", "error": "</script>"}]
    assert page_data([]) == {"compilers": COMPILERS, "fronts": []}


DRIVEN = """<script>
const said = {errors: window.errors}, press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", {key}));
const all = (selector) => [...document.querySelectorAll(selector)], failed = document.getElementById("failed");
const chosen = (id) => all(`#${id} tr[aria-selected="true"] td`).map((cell) => cell.textContent);
said.marks = ["circle.mark", "path.mark", "rect.mark", "circle.knee"].map((mark) => all(mark).length);
press("k");
said.knee = [chosen("points").slice(0, 2), all(".mark.chosen").length];
press("ArrowDown");
said.next = chosen("points").slice(0, 2);
press("f");
said.only = all("#points tbody tr").length;
press("l");
press("ArrowRight");
said.other = [chosen("networks")[1], failed.hidden, failed.innerText];
said.theme = document.documentElement.dataset.theme;
document.getElementById("theme").click();
said.themes = [said.theme, document.documentElement.dataset.theme].sort();
document.body.innerHTML = "";
document.body.textContent = JSON.stringify(said);
</script></body>"""
"""A script that does what a reader does, and leaves what came of it."""


def test_a_browser_draws_steps_and_changes_its_colours(tmp_path: Path) -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = os.environ.get("CHROMIUM") or next((path for name in names if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip("there is no Chromium to open the page in")
    figures: dict[str, Any] = {"least_cycles": 50, "milliseconds": 0.5, "cycles_low": 40, "cycles_high": 99}
    figures["cpu_operators"] = 0
    rows = [row(*point, **figures) for point in ((10, 100), (20, 60), (40, 50), (50, 55))]
    rows += [row(*point, core, **figures) for point, core in (((15, 80), "vela regor"), ((16, 70), "vela legacy"))]
    other = replace(rows[0].made_of, accelerator="ethos-u65-256", limit=None)
    rows.append(Row(other, "failed", "no such <b>schedule</b>"))
    page = as_html(rows).replace("<body>", "<body><script>window.errors=[];window.onerror=(e)=>errors.push(e)</script>")
    path = tmp_path / "a.html"
    path.write_text(page.replace("</body>", DRIVEN), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    ran = subprocess.run([*command, "--dump-dom", path.as_uri()], capture_output=True, encoding="utf-8", timeout=60)
    (text,) = re.findall(r"<body>(.*)</body>", ran.stdout, re.DOTALL)
    said = json.loads(unescape(text))
    assert said["errors"] == []
    assert said["marks"] == [4, 1, 1, 1]
    assert said["knee"] == [["Shared_Sram, Performance, limit 20", "20"], 1]
    assert said["next"] == ["Shared_Sram, Performance, limit 40", "40"]
    assert said["only"] == 5
    assert said["other"][:2] == ["ethos-u65-256", False]
    assert "no such <b>schedule</b>" in said["other"][2]
    assert said["themes"] == ["dark", "light"]


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """bench/corpus.py as a module."""
    spec = spec_from_file_location("corpus", MODELS.parents[1] / "bench" / "corpus.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "corpus", module)
    spec.loader.exec_module(module)
    return module


def test_the_corpus_is_a_table_of_three_compilers(corpus: Any) -> None:
    ((group, model),) = corpus.corpus("^digits_cnn$")
    assert (group, model.name) == ("Of test/models", "digits_cnn")
    figures = {
        ("npuc", "Performance"): (30000, 200),
        ("npuc", "Size"): (9000, 400),
        ("vela regor", "Performance"): (20000, 150),
        ("vela regor", "Size"): (10240, 300),
        ("vela legacy", "Performance"): (40000, 180),
    }
    rows = [
        replace(
            row(sram, cycles, least_cycles=100, cycles_low=cycles - 50, cycles_high=cycles + 50, cpu_operators=1),
            made_of=replace(one, compiler=compiler, strategy=strategy),
        )
        for (compiler, strategy), (sram, cycles) in figures.items()
        for one in [Combination("digits_cnn", model.sha256, *WHERE[2:])]
    ]
    rows.append(Row(replace(rows[4].made_of, strategy="Size"), "failed", "vela legacy Size: no file"))
    # Once more in the 20,000 bytes of vela's quickest.
    (within,) = corpus.within_vela(rows)
    assert (within.limit, within.strategy, within.compiler) == (20000, "Performance", "npuc")
    inside = {
        rows[0].made_of.key: replace(rows[0], made_of=within, cycles=140, cycles_low=90, cycles_high=190, sram=19456)
    }
    (line,) = corpus.lines(rows, inside)
    assert line.ratios == (90 / 100, 190 / 200)
    text = corpus.page([(group, model)], {model.sha256: [line]}, ["a command"])
    cells = "0.1 | 0.2 in 29.3 | 0.4 in 8.8 | 0.1 in 19.0 | 0.1 in 19.5 | 0.3 in 10.0 | 0.2 in 39.1 | – | 2.00 / 1.50"
    assert f"| ethos-u55-128 | {cells} | 0.900 / 0.950 |\n" in text
    assert "| ethos-u55-128 | 1 | 0.900 / 0.950 | 0 | 0.879 | 2.000 | 1.500 |\n" in text
    assert f"\n### digits_cnn\n\nsha256 `{model.sha256}`\n" in text
    assert "\n- ethos-u55-128, vela legacy Size: vela legacy Size: no file\n" in text


# Keep


def test_a_row_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    rows = [
        row(10, 100, proven=True, utilisation=0.25, seconds=1.5, least_by="output stage"),
        Row(Combination(*WHERE, options=(("a.b", "1"),), config=("x.ini",)), "failed", "no such schedule"),
    ]
    for one in rows:
        with Store(tmp_path / "a.sqlite") as store:
            store.put(one)
    with Store(tmp_path / "a.sqlite") as store:
        kept = store.rows([*(one.made_of for one in rows), Combination(*WHERE, limit=7)])
    assert kept == {one.made_of.key: one for one in rows}


def test_a_file_of_others_is_not_touched(tmp_path: Path) -> None:
    text, other, newer = tmp_path / "a.txt", tmp_path / "b.sqlite", tmp_path / "c.sqlite"
    text.write_text("no database at all, but long enough to be taken for one" * 20)
    for path, pragma in ((other, "user_version = 3"), (newer, "user_version = 9")):
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA {pragma}")
            connection.execute("CREATE TABLE t (x)")
    with sqlite3.connect(newer) as connection:
        connection.execute(f"PRAGMA application_id = {0x6E707573}")
    for path, reason in ((text, "not a database"), (other, "not one of npu-sweep"), (newer, "format 9, not 1")):
        before = path.read_bytes()
        with pytest.raises(UserError, match=f"{path.name}.*{reason}"):
            Store(path)
        assert path.read_bytes() == before
    with pytest.raises(UserError, match="unable to open"):
        Store(tmp_path / "missing" / "a.sqlite")


# Run


def test_a_process_that_dies_is_one_answer() -> None:
    """`eval` takes down its process, raises, or answers."""
    items = ["0", "1", "__import__('os').kill(__import__('os').getpid(), 9)", "1 / 0", "4"]
    answers = list(each(eval, items, 1))
    assert [item for item, _ in answers] == items
    texts = [str(answer) for _, answer in answers if isinstance(answer, Died)]
    assert texts == ["its process ended: SIGKILL", "ZeroDivisionError: division by zero"]
    assert [answer for _, answer in answers if not isinstance(answer, Died)] == [0, 1, 4]
    assert list(completed(eval, [])) == []


def test_a_program_is_not_run_again_by_its_processes(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        f"from npuc.tools.sweep.run import sweep\nprint(*(row.state for row in sweep([{str(SMALL)!r}], jobs=1)))\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(MODELS.parents[1])}
    ran = subprocess.run([sys.executable, program], env=environment, capture_output=True, encoding="utf-8")
    assert (ran.stdout, ran.stderr) == ("done\n", "")


def same(rows: list[Row]) -> list[dict[str, Any]]:
    """What is the same whoever made the rows."""
    return [{name: value for name, value in one.data().items() if name != "seconds"} for one in rows]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row], list[Progress]]:
    """Two schedules that work, a limit that none keeps to, and a machine that has no such memory mode."""
    database = tmp_path_factory.mktemp("sweep") / "a.sqlite"
    told: list[Progress] = []
    rows = sweep(
        [DIGITS],
        accelerators=["ethos-u55-128"],
        memory_modes=[None, "Dedicated_Sram"],
        limits=[None, 100],
        options={"npu-schedule-limit-sram.slowdown": ["1.25"]},
        database=database,
        jobs=1,
        progress=told.append,
    )
    return database, rows, told


def test_a_sweep_measures_what_the_compiler_makes(swept: tuple[Path, list[Row], list[Progress]]) -> None:
    _, rows, told = swept
    compiled = compile_tflite(DIGITS.read_bytes(), Target("ethos-u55-128"), want_figures=True)
    one = rows[0]
    assert (one.cycles, one.sram, one.macs, one.least_cycles) == (
        compiled.summary.cycles,
        compiled.summary.arena,
        compiled.summary.macs,
        compiled.summary.least_cycles,
    )
    assert one.cpu_operators == len(compiled.summary.cpu_operators) == 0
    assert one.cycles_low is not None
    assert one.cycles_high is not None
    assert one.cycles is not None
    assert one.cycles_low <= one.cycles <= one.cycles_high
    assert [one.state for one in rows] == ["done", "failed", "failed", "failed"]
    assert rows[1].error is not None
    assert "the limit is 100 bytes" in rows[1].error
    assert rows[2].error is not None
    assert "OffChipFlash" in rows[2].error
    assert [(one.done, one.total) for one in told] == [(done, 4) for done in range(5)]
    assert told[0].seconds_left is None
    assert told[-1].seconds_left == 0
    assert all(one.seconds_left is not None for one in told[1:])


def test_what_is_there_is_not_run_again(
    swept: tuple[Path, list[Row], list[Progress]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database, rows, _ = swept
    files = [str(tmp_path / f"a.{kind}") for kind in ("csv", "json")]
    arguments = [str(DIGITS), "--accelerators", "ethos-u55-128", "--memory-modes", "Shared_Sram,Dedicated_Sram"]
    arguments += ["--options", "npu-schedule-limit-sram.slowdown=1.25"]
    # That there is no schedule is a result, but not if that is all.
    assert main([*arguments, "--limits", "100", "--database", str(database)]) == 1
    assert "2 failed" in capsys.readouterr().out
    arguments += ["--limits", "none,100"]
    assert main([*arguments, "--database", str(database), "--csv", files[0], "--json", files[1]]) == 0
    out = capsys.readouterr()
    assert out.err == "[4/4] 0 s in all\n"
    lines = out.out.splitlines()
    assert lines[0] == "digits_cnn, ethos-u55-128: 1 schedules, 1 on the front, 3 failed".replace(
        "1 s", "1 s", 1
    ).replace("1 schedules", "1 schedule")
    assert lines[2].endswith("Shared_Sram, Performance, npu-schedule-limit-sram.slowdown=1.25")
    assert f"{rows[0].cycles:,}" in lines[2]
    assert lines[3].startswith("  failed: ")
    with open(files[0], encoding="utf-8", newline="") as file:
        assert [one["key"] for one in csv.DictReader(file)] == [one.made_of.key for one in rows]
    data = json.loads(Path(files[1]).read_text(encoding="utf-8"))
    assert data["rows"] == [one.data() for one in rows]
    assert data["fronts"][0]["front"] == [rows[0].made_of.key]


def test_rows_that_are_to_be_proven_or_died_are_run_again(tmp_path: Path) -> None:
    database = tmp_path / "a.sqlite"
    (first,) = sweep([SMALL], database=database, jobs=1)
    assert first.state == "done"
    assert first.proven is None
    with Store(database) as store:
        store.put(Row(first.made_of, "died", "its process ended: SIGKILL"))
    (second,) = sweep([SMALL], database=database, jobs=1, prove=True)
    assert second == replace(first, proven=True, seconds=second.seconds)
    told: list[Progress] = []
    assert sweep([SMALL], database=database, prove=True, progress=told.append) == [second]
    assert sweep([SMALL], database=database, progress=told.append) == [second]
    assert [one.done for one in told] == [1, 1]


def test_a_wrong_file_is_not_proven() -> None:
    """A file that computes something else of the same inputs, and a source that cannot be run."""
    other = compile_tflite((MODELS / "op_sub.tflite").read_bytes()).data
    source = SMALL.read_bytes()
    text = difference(other, source)
    assert text is not None
    assert text.startswith("--prove: seed 0")
    assert "differs" in text
    # What depends on the custom operator is not compared.
    (model,) = read_models([MODELS / "custom_in_the_middle.tflite"])
    (planned,) = combinations([model], ["ethos-u55-128"])
    made = measure(Job(planned, model.data, prove=True))
    assert (made.state, made.cpu_operators) == ("done", 1)
    assert made.cycles


def test_a_worker_of_another_version_gives_no_result() -> None:
    (planned,) = combinations(read_models([SMALL]), ["ethos-u55-128"])
    made = measure(Job(replace(planned, version="0"), SMALL.read_bytes()))
    assert made.state == "died"
    assert made.error == f"the worker has npuc {version()}, not 0"


def test_what_was_kept_survives_a_kill(tmp_path: Path) -> None:
    """Ended in the middle by SIGKILL and by Ctrl-C, a sweep leaves whole rows, no process, and goes on from there."""
    database = tmp_path / "a.sqlite"
    accelerators = "ethos-u55-32,ethos-u55-64,ethos-u55-128,ethos-u55-256"
    command = [sys.executable, "-m", "npuc.tools.npu_sweep", str(SMALL), "--accelerators", accelerators]
    command += ["--limits", "none,4000", "--jobs", "1", "--database", str(database)]
    environment = {**os.environ, "PYTHONPATH": str(MODELS.parents[1])}
    kept: list[tuple[int, str]] = []
    for number in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE)
        while process.poll() is None and len(places(database)) <= len(kept):
            time.sleep(0.01)
        # As a terminal does, to all of the group; or to the one that keeps the rows.
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        assert process.stderr is not None
        # Its processes have this pipe, too: it ends when they have.
        assert process.stderr.read() == b""
        assert process.wait() in (-number, 128 + number)
        before, kept = kept, places(database)
        # None was made twice: it would have another place.
        assert kept[: len(before)] == before
        assert len(before) < len(kept) < 8


def places(database: Path) -> list[tuple[int, str]]:
    """The keys in a database, each with its place there."""
    if not database.exists():
        return []
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT rowid, key FROM results ORDER BY rowid").fetchall()
    except sqlite3.OperationalError:  # nothing is written yet
        return []
    finally:
        connection.close()


# A cluster


@pytest.fixture
def cluster() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The address of a scheduler on the loopback, and its two workers."""
    distributed = pytest.importorskip("distributed", reason="no distributed here (extra `cluster`)")
    environment = {**os.environ, "PYTHONPATH": str(MODELS.parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    dask = (
        [sys.executable, "-m", "distributed.cli.dask_scheduler"],
        [sys.executable, "-m", "distributed.cli.dask_worker"],
    )
    # The scheduler says where it listens; nothing shows a page.
    scheduler = subprocess.Popen(
        [*dask[0], "--host", "127.0.0.1", "--port", "0", "--no-dashboard"], env=environment, stderr=subprocess.PIPE
    )
    workers: list[subprocess.Popen[bytes]] = []
    try:
        assert scheduler.stderr is not None
        address = next(m[0].decode() for m in (re.search(rb"tcp://\S+:\d+", x) for x in scheduler.stderr) if m)
        for number in range(2):
            arguments = [address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", str(number)]
            workers.append(subprocess.Popen([*dask[1], *arguments], env=environment, stderr=subprocess.DEVNULL))
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield address, workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()
        assert scheduler.stderr is not None
        scheduler.stderr.close()


def test_a_cluster_makes_the_same_rows_though_a_worker_dies(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    address, workers = cluster
    asked: dict[str, Any] = {
        "accelerators": ["ethos-u55-32", "ethos-u55-128", "ethos-u65-256"],
        "limits": [None, 16],
        "prove": True,
    }
    database = tmp_path / "a.sqlite"

    def one_dies(progress: Progress) -> None:
        if progress.done == 2:
            workers[0].kill()

    rows = sweep([SMALL], database=database, scheduler=address, progress=one_dies, **asked)
    assert workers[0].wait() == -signal.SIGKILL
    assert workers[1].poll() is None
    assert same(rows) == same(sweep([SMALL], jobs=1, **asked))
    assert sorted({one.state for one in rows}) == ["done", "failed"]
    assert sum(one.proven is True for one in rows) >= 3
    assert sweep([SMALL], database=database, **asked) == rows


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="no distributed here (extra `cluster`)")
    monkeypatch.setattr("npuc.tools.sweep.cluster.ANSWER_WITHIN", 0.2)
    with pytest.raises(UserError, match=r"--scheduler tcp://127.0.0.1:9: no scheduler answers"):
        sweep([SMALL], scheduler="tcp://127.0.0.1:9", database=tmp_path / "a.sqlite")
    with pytest.raises(UserError, match="--scheduler here: not an address such as"):
        sweep([SMALL], scheduler="here")


def test_a_cluster_without_dask_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match="--scheduler: distributed is not installed"):
        sweep([SMALL], scheduler="tcp://127.0.0.1:9")


# Vela


def test_vela_s_files_are_kept_and_its_errors_are_a_row(tmp_path: Path) -> None:
    """A stand-in for vela: it writes what it is given, or fails where it is asked for Size."""
    vela = tmp_path / "vela"
    vela.write_text(
        f"#!{sys.executable}\nimport shutil, sys\nfrom pathlib import Path\n"
        "print('5.9' if '--version' in sys.argv else 'compiling')\n"
        "if '--version' in sys.argv: sys.exit()\n"
        "if 'Size' in sys.argv: sys.exit('Error: too small')\n"
        "out = Path(sys.argv[sys.argv.index('--output-dir') + 1])\n"
        "shutil.copy(Path(__file__).with_name('made.tflite'), out / 'network_vela.tflite')\n"
    )
    vela.chmod(0o755)
    made = compile_tflite(SMALL.read_bytes(), Target("ethos-u55-256")).data
    (tmp_path / "made.tflite").write_bytes(made)
    rows = sweep([SMALL], vela=str(vela), cache=str(tmp_path / "cache"), jobs=1)
    ours, *theirs = rows
    assert [one.made_of.compiler for one in theirs] == ["vela regor"] * 2 + ["vela legacy"] * 2
    assert {one.made_of.version for one in theirs} == {"vela 5.9"}
    for one in theirs:
        if one.made_of.strategy == "Size":
            assert (one.state, one.error) == ("failed", f"{one.made_of.compiler} Size: Error: too small")
        else:
            assert (one.cycles, one.sram) == (ours.cycles, ours.sram)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    vela.unlink()
    assert compile_by_vela(str(vela), SMALL.read_bytes(), theirs[0].made_of, str(tmp_path / "cache")) == made
