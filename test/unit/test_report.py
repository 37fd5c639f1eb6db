"""
The page of npu-profile: its data parse and add up; a browser, where there is one, shows it and does what it is told.

A browser needs the extra `browser` (playwright) and a Chromium or Chrome in the path, or in CHROMIUM.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from npuc.tools.compiling.compile import compile_tflite
from npuc.tools.pipeline import Target
from npuc.tools.profiling.advice import Advice, Lever
from npuc.tools.profiling.levels import LEVELS, Levels
from npuc.tools.profiling.page import MOST_STRIPES, as_html, page_data
from npuc.tools.profiling.profile import Profile, profile

MODELS = Path(__file__).parents[1] / "models"
REPORTED = {
    "tour": Target("ethos-u55-128", limit=24000),
    "digits_cnn": Target("ethos-u65-256", memory_mode="Dedicated_Sram"),
    "custom_in_the_middle": Target("ethos-u55-128"),
    "strange_names": Target("ethos-u55-128"),
}


@pytest.fixture(scope="module", params=sorted(REPORTED))
def reported(request: pytest.FixtureRequest) -> tuple[str, Profile]:
    data = compile_tflite((MODELS / f"{request.param}.tflite").read_bytes(), REPORTED[request.param]).data
    return request.param, profile(data)


def embedded(page: str) -> dict[str, Any]:
    """What a page of one file shows."""
    (file,) = contents(page)["files"]
    return file


def contents(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_the_page_holds_all_that_it_shows(reported: tuple[str, Profile]) -> None:
    name, one = reported
    page = as_html(one, f"folder/{name}.tflite")
    assert "{{" not in page.split('id="data">')[0]
    # Nothing is fetched: no address but that of a namespace.
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(?:link|img|iframe)\b|\bsrc=|fetch\(|import\(|@import|url\(", page)
    data = embedded(page)
    assert data["name"] == f"{name}.tflite"
    assert data == json.loads(json.dumps(page_data(one, f"{name}.tflite")))


def test_what_it_shows_adds_up(reported: tuple[str, Profile]) -> None:
    _, one = reported
    data = page_data(one, "x")
    assert sum(row["cycles"] for row in data["rows"]) == data["cycles"] == one.cycles
    assert sum(sum(row["causes"].values()) for row in data["rows"]) == one.cycles
    assert sum(row["macs"] for row in data["rows"]) == sum(data["events"]["macs"]) == data["macs"]
    events, lives = data["events"], data["lives"]
    assert len({len(events[key]) for key in events if key != "titles"}) == 1
    assert len({len(lives[key]) for key in lives if key != "names"}) == 1
    assert len(events["start"]) == sum(row["launches"] + row["transfers"] for row in data["rows"])
    assert all(0 <= start <= end <= data["cycles"] for start, end in zip(events["start"], events["end"], strict=True))
    assert max(height for _, height in data["heights"]) == data["peak"]["bytes"] <= data["sram"]
    assert sum(size for _, _, size in data["peak"]["held"]) == data["peak"]["bytes"]
    ends = [at + size for at, size in zip(lives["address"], lives["size"], strict=True)]
    assert max(ends) <= data["sram"]


def test_the_schedule_is_shown_as_it_is_run(reported: tuple[str, Profile]) -> None:
    _, one = reported
    data = page_data(one, "x")
    launches, buffers = [0] * len(data["rows"]), [0] * len(data["rows"])
    for group in data["schedule"]:
        for member in group["members"]:
            launches[member["row"]] += member["launches"]
            buffers[member["row"]] += len(member["buffers"])
            assert len(member["stripes"]) == min(member["launches"], MOST_STRIPES)
            assert sum(member["buffers"]) <= data["sram"]
    for row, count, filled in zip(data["rows"], launches, buffers, strict=True):
        assert row["launches"] == count
        assert filled <= row["transfers"]
    together = [group for group in data["schedule"] if len(group["members"]) > 1]
    assert len(together) == sum(count > 1 for _, _, _, count in data["cascades"])


@pytest.fixture(scope="module")
def explained() -> tuple[str, dict[str, Any]]:
    """The page of a compile that was watched, with advice."""
    source, target, levels = (MODELS / "tour.tflite").read_bytes(), REPORTED["tour"], Levels()
    one = profile(compile_tflite(source, target, watchers=[levels]).data)
    levers = [Lever("strategy", "--optimise Size", 9, one.sram + 1), Lever("limit", "--arena-cache-size 16", 8, 16)]
    text = as_html(one, "tour.tflite", advice=Advice(one.cycles, one.sram, levers, 7, None), levels=levels)
    return text, embedded(text)


def test_a_page_of_a_compile_has_the_ir_of_each_operator(explained: tuple[str, dict[str, Any]]) -> None:
    _, data = explained
    for row in data["rows"]:
        for operator in row["operators"]:
            known = data["levels"][f"{operator['subgraph']}:{operator['number']}"]
            assert [*known] == [*LEVELS] == data["levelNames"]
            assert any(f"tfl.{operator['type'].lower()}" in line for line in known["tfl"])
            assert all("npu_cmd." in line or line.startswith("...") for line in known["commands"])
            assert any("block <" in line for line in known["planned"])
            assert not any("block <" in line for line in known["schedule"])
        # Of the launches of a cascade the first are shown, and how many there are.
        if row["launches"] > 12:
            assert len(known["commands"]) == 13


@pytest.fixture(scope="module")
def two() -> tuple[Profile, Profile]:
    """A network for two machines."""
    source = (MODELS / "digits_cnn.tflite").read_bytes()
    first, second = (profile(compile_tflite(source, Target(f"ethos-u55-{macs}")).data) for macs in (128, 32))
    return first, second


def test_two_files_are_on_one_page(two: tuple[Profile, Profile]) -> None:
    first, second = two
    data = contents(as_html(first, "a.tflite", (second, "b.tflite")))
    assert [file["name"] for file in data["files"]] == ["a.tflite", "b.tflite"]
    for number, file in enumerate(data["files"]):
        assert sum(line["cycles"][number] for line in data["lines"]) == file["cycles"]
        named = sorted(row for line in data["lines"] for row in line["rows"][number])
        assert named == [*range(len(file["rows"]))]
        for line in data["lines"]:
            assert sum(file["rows"][row]["cycles"] for row in line["rows"][number]) == line["cycles"][number]


def test_names_cannot_end_the_script() -> None:
    one = profile(compile_tflite((MODELS / "digits_cnn.tflite").read_bytes(), Target("ethos-u55-128")).data)
    page = as_html(one, "</script><b>{{script}}&.tflite")
    assert page.count("</script>") == 2
    assert "<title>script&gt;&lt;b&gt;{{script}}&amp;.tflite</title>" in page
    assert embedded(page)["name"] == "script><b>{{script}}&.tflite"
    assert "<!--" not in as_html(one, "<!--<script>.tflite")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless browser; the tests that want one are skipped where there is none."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright (extra `browser`) is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("there is no Chromium to open the page in")
    with driver.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def shown(browser: Any, reported: tuple[str, Profile], tmp_path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The page of a network in the browser, and its data; nothing may go wrong while a test uses it."""
    name, one = reported
    path = tmp_path / f"{name}.html"
    path.write_text(as_html(one, f"{name}.tflite"))
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("file:") else faults.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=10000)
    yield page, embedded(path.read_text())
    page.close()
    assert faults == []


def pixels(page: Any) -> str:
    """What the timeline looks like, once it is drawn."""
    return page.evaluate(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame("
        "() => done(document.getElementById('timeline').toDataURL()))))"
    )


def names(page: Any) -> list[int]:
    """The numbers of the rows of the table, as they stand."""
    return page.eval_on_selector_all("#operators tbody tr", "lines => lines.map(line => Number(line.dataset.row))")


def test_a_browser_sorts_searches_and_filters(shown: tuple[Any, dict[str, Any]]) -> None:
    page, data = shown
    cycles = [row["cycles"] for row in data["rows"]]
    assert [cycles[n] for n in names(page)] == sorted(cycles, reverse=True)
    page.click("#operators th button[data-key=cycles]")
    assert [cycles[n] for n in names(page)] == sorted(cycles)
    assert page.get_attribute("#operators th.sorted", "aria-sort") == "ascending"
    wanted = data["rows"][0]["type"]
    page.keyboard.press("/")
    page.keyboard.type(wanted.lower())
    expected = {n for n, row in enumerate(data["rows"]) if wanted in row["name"] or wanted in str(row["operators"])}
    assert set(names(page)) == expected
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert len(names(page)) == len(data["rows"])
    page.click("#filters button >> nth=0")
    assert len({data["rows"][n]["bound"] for n in names(page)}) == 1


def test_a_browser_shows_what_is_chosen(shown: tuple[Any, dict[str, Any]]) -> None:
    page, data = shown
    before = pixels(page)
    line = page.locator("#operators tbody tr").first
    row = data["rows"][int(line.get_attribute("data-row"))]
    line.click()
    assert line.get_attribute("aria-selected") == "true"
    assert row["type"] in page.inner_text("#detail h3")
    assert f"{row['cycles']:,}" in page.inner_text("#detail")
    assert pixels(page) != before
    page.keyboard.press("Escape")
    assert page.locator("#detail h3").count() == 0
    # The first kernel in the timeline.
    page.locator("#timeline").scroll_into_view_if_needed()
    box = page.locator("#timeline").bounding_box()
    first = min(
        (n for n, kind in enumerate(data["events"]["kind"]) if data["kinds"][kind] != "transfer"),
        key=lambda n: data["events"]["start"][n],
    )
    middle = (data["events"]["start"][first] + data["events"]["end"][first]) / 2 / data["cycles"]
    at = box["x"] + 92 + middle * (box["width"] - 102), box["y"] + 6 + 30 + 12
    page.mouse.move(*at)
    assert data["events"]["titles"][data["events"]["title"][first]] in page.inner_text("#tip")
    page.mouse.click(*at)
    chosen = page.locator("#operators tr[aria-selected=true]")
    assert int(chosen.get_attribute("data-row")) == data["events"]["row"][first]


def test_a_browser_zooms_moves_and_changes_its_colours(shown: tuple[Any, dict[str, Any]]) -> None:
    page, data = shown
    whole = pixels(page)
    page.click("#in")
    near = pixels(page)
    assert near != whole
    page.locator("#timeline").focus()
    page.keyboard.press("ArrowRight")
    assert pixels(page) != near
    page.keyboard.press("0")
    assert pixels(page) == whole
    page.locator("#timeline").scroll_into_view_if_needed()
    page.mouse.move(*(page.locator("#timeline").bounding_box()[key] + 200 for key in ("x", "y")))
    page.mouse.wheel(0, -400)
    assert pixels(page) != whole
    page.click("#all")
    page.select_option("#colour", "cause")
    assert data["causes"][data["rows"][0]["bound"]] in page.inner_text("#legend")
    page.select_option("#colour", "kind")
    assert pixels(page) == whole
    page.click("#theme")
    assert pixels(page) != whole
    for memory in {one["name"] for one in data["memories"] if one["area"] in data["traffic"]}:
        page.select_option("#memory", memory)
        areas = [one["area"] for one in data["memories"] if one["name"] == memory]
        points = [
            row for row in data["rows"] if row["macs"] and any(row["read"].get(a, row["written"].get(a)) for a in areas)
        ]
        assert page.locator("#roofline circle").count() == len(points)
    assert page.locator("#host tbody tr").count() == len(data["host"])


def test_a_browser_shows_either_of_two_files(browser: Any, two: tuple[Profile, Profile], tmp_path: Path) -> None:
    first, second = two
    path = tmp_path / "two.html"
    path.write_text(as_html(first, "a.tflite", (second, "b.tflite")))
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=10000)
    lines = contents(path.read_text())["lines"]
    assert page.locator("#lines tbody tr").count() == len(lines)
    assert f"{first.cycles:,} cycles" in page.inner_text("#tiles")
    for number, one in enumerate((first, second)):
        assert f"{one.cycles:,} cycles" in page.inner_text(f"#beside .side >> nth={number}")
    page.click("#lines tbody tr >> nth=0")
    assert lines[0]["name"].split(" ")[1] in page.inner_text("#detail h3")
    page.click("#switch button >> nth=1")
    page.wait_for_function("document.getElementById('name')?.textContent === 'b.tflite'")
    assert f"{second.cycles:,} cycles" in page.inner_text("#tiles")
    assert page.get_attribute("#switch button >> nth=1", "aria-pressed") == "true"
    page.close()


def test_a_browser_shows_ir_schedule_and_levers(
    browser: Any, explained: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    text, data = explained
    path = tmp_path / "explained.html"
    path.write_text(text)
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=10000)
    stages = page.locator("#schedule .stage")
    assert stages.count() == sum(len(group["members"]) for group in data["schedule"])
    assert page.locator("#schedule .together").count() == sum(len(group["members"]) > 1 for group in data["schedule"])
    stages.first.click()
    assert stages.first.get_attribute("aria-pressed") == "true"
    chosen = page.locator("#operators tr[aria-selected=true]")
    number = int(chosen.get_attribute("data-row"))
    assert number == data["schedule"][0]["members"][0]["row"]
    operator = data["rows"][number]["operators"][0]
    for level in LEVELS:
        page.click(f"#detail .tabs button >> text={level}")
        assert page.get_attribute(f"#detail .tabs button[data-level={level}]", "aria-selected") == "true"
        line = data["levels"][f"{operator['subgraph']}:{operator['number']}"][level][-1]
        assert line in page.inner_text("#detail pre")
    levers = page.locator("#levers tbody tr")
    assert levers.count() == len(data["advice"]["levers"])
    assert "−" in levers.nth(0).inner_text()
    assert "+" in levers.nth(0).inner_text()
    page.close()
    assert faults == []


def many(data: dict[str, Any], times: int) -> dict[str, Any]:
    """The same schedule so many times, one behind the other."""
    rows, cycles = data["rows"], data["cycles"]

    def moved(name: str, value: int, number: int) -> int:
        if name in ("start", "end"):
            return value + number * cycles
        return value + number * len(rows) if name == "row" and value >= 0 else value

    def repeated(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {
            name: values if name in ("titles", "names") else [moved(name, v, n) for n in range(times) for v in values]
            for name, values in columns.items()
        }

    return data | {
        "cycles": cycles * times,
        "rows": [row | {"number": len(rows) * n + k} for n in range(times) for k, row in enumerate(rows)],
        "schedule": [
            group | {"members": [member | {"row": member["row"] + n * len(rows)} for member in group["members"]]}
            for n in range(times)
            for group in data["schedule"]
        ],
        "heights": [[at + n * cycles, height] for n in range(times) for at, height in data["heights"]],
        "events": repeated(data["events"]),
        "lives": repeated(data["lives"]),
    }


def test_a_page_of_many_operators_is_small_and_soon_there(browser: Any, tmp_path: Path) -> None:
    one = profile(compile_tflite((MODELS / "tour.tflite").read_bytes(), Target("ethos-u55-128", limit=24000)).data)
    text = as_html(one, "many.tflite")
    data = embedded(text)
    larger = many(data, 60)
    path = tmp_path / "many.html"
    path.write_text(text.replace(json.dumps(data, separators=(",", ":")), json.dumps(larger, separators=(",", ":"))))
    assert path.stat().st_size < 2_000_000
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=10000)
    assert page.locator("#operators tbody tr").count() == len(larger["rows"]) > 200
    assert page.evaluate("performance.now()") < 3000
    page.close()
