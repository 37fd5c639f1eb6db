"""
Makes docs/report.jpg, a picture of the report of the tour's network: `python docs/make_screenshot.py`.

It needs a browser as test/unit/test_report.py does, so that nothing else makes it again.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from npuc.tools.npu_compile import compile_tflite
from npuc.tools.pipeline import Target
from npuc.tools.profiling.page import as_html
from npuc.tools.profiling.profile import profile

DOCS = Path(__file__).parent
MODEL = DOCS.parent / "test" / "models" / "tour.tflite"
LIMIT = 24000
"""Bytes of SRAM, in which the network needs cascades."""


def main() -> None:
    """Compile, open the page, and take the picture."""
    path = next(found for name in ("chromium", "google-chrome") if (found := shutil.which(name)))
    found = profile(compile_tflite(MODEL.read_bytes(), Target("ethos-u55-128", limit=LIMIT)).data)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as running:
        page_path = Path(folder) / "tour.html"
        page_path.write_text(as_html(found, "tour.tflite"), encoding="utf-8")
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1240, "height": 1010}, color_scheme="light")
        page.goto(page_path.as_uri())
        page.wait_for_selector("html[data-ready]")
        page.screenshot(path=DOCS / "report.jpg", type="jpeg", quality=50)
        browser.close()


if __name__ == "__main__":
    main()
