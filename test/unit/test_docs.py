"""The pages that are made from the source are up to date."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def maker(name: str) -> ModuleType:
    """A script of docs/."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_operator_reference() -> None:
    module = maker("make_operator_reference")
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run python docs/make_operator_reference.py"


def test_links_lead_somewhere() -> None:
    """Each relative link of a page names a file that is there."""
    pages = [*DOCS.parent.glob("*.md"), *DOCS.rglob("*.md"), *(DOCS.parent / "test").rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))]
    assert len(links) > 50
    assert not [(page, link) for page, link in links if "://" not in link and not (page.parent / link).exists()]


def test_pass_reference() -> None:
    module = maker("make_pass_reference")
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run python docs/make_pass_reference.py"


def test_timelines() -> None:
    module = maker("make_timelines")
    files = module.files()
    for path, text in files.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python docs/make_timelines.py"
    assert set((DOCS / "timelines").iterdir()) == {path for path in files if path.suffix == ".svg"}


def test_every_step_of_the_timelines_shows_something() -> None:
    """Cascades save bytes; every step after them saves cycles within the limit."""
    module = maker("make_timelines")
    profiles = [module.step(target, leave_out) for _, target, leave_out, _ in module.STEPS]
    (whole, _), *rest = profiles
    assert rest[0][0].sram < whole.sram / 2
    cycles = [profile.cycles for profile, _ in rest]
    assert cycles == sorted(cycles, reverse=True)
    assert len(set(cycles)) == len(cycles)
    assert all(profile.sram <= limit for profile, limit in rest)


def test_what_pages_show_is_what_comes_out() -> None:
    module = maker("snippets")
    assert sum(map(module.check, module.pages())) >= 10


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("    %y = tfl.conv_2d %x, %w, %b : i32\n", "IR that nothing checks"),
        ("```\n%y\n```\n", "IR that nothing checks"),
        ("```mlir\nfunc.func @f() { func.return }\n```\n", "`input`, `from` or `after`"),
        ("```mlir input\nfunc.func @f() {\n```\n", "page.md:1"),
        (
            "```mlir input\nfunc.func @f() { func.return }\n```\n```mlir after\nfunc.func @g() {\n```\n",
            "what comes out",
        ),
    ],
)
def test_a_page_that_shows_something_else_is_noticed(tmp_path: Path, page: str, reason: str) -> None:
    module = maker("snippets")
    path = tmp_path / "page.md"
    path.write_text(page, encoding="utf-8")
    with pytest.raises(module.Disagreement, match=reason):
        module.check(path)


def test_lines_of_a_page_match_values_by_any_name() -> None:
    pattern = maker("snippets").pattern("%x = a ... %y\n...\nb %x\n")
    assert pattern.search("%3 = a with %4\nmore\nb %3\n")
    assert not pattern.search("%3 = a with %4\nmore\nb %4\n")
    assert not pattern.search("%3 = a\nb %3\n")
