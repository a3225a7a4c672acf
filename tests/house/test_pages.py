"""The built pages fit: on a desk and on a phone, nothing makes a page scroll sideways."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.pages, pytest.mark.timeout(300)]
DOCS = Path(__file__).parents[2] / "docs"
WIDTHS = [1280, 390]
OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"
# What sticks out, for whoever has to mend it.
STICKS_OUT = """
[...document.querySelectorAll("article *")]
    .filter(each => each.getBoundingClientRect().right > window.innerWidth + 1)
    .filter(each => !each.closest("pre, .table-wrapper"))
    .slice(0, 5)
    .map(each => each.tagName + ": " + each.textContent.trim().slice(0, 60))
"""


def _chromium() -> dict[str, Any]:
    """Return which browser to start: the machine's."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return {"executable_path": found}
    pytest.fail("NO PAGE WAS LOOKED AT, for there is no Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The pages, built."""
    built = tmp_path_factory.mktemp("html")
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, built]
    done = subprocess.run(build, capture_output=True, text=True, timeout=200, check=False)
    assert 0 == done.returncode, done.stderr
    return sorted(built.rglob("*.html"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(**_chromium())
        yield started
        started.close()


# Wide code and wide tables whose end cannot be reached.
CUT_OFF = """
[...document.querySelectorAll("article pre, article .table-wrapper")]
    .filter(each => each.scrollWidth > each.clientWidth)
    .filter(each => !["auto", "scroll"].includes(getComputedStyle(each).overflowX))
    .map(each => each.textContent.trim().slice(0, 60))
"""


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_scrolls_sideways_and_what_is_wide_does(
    width: int, pages: list[Path], browser: Any
) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 900})
    assert len(pages) > 40
    wide, cut_off = {}, {}
    for page in pages:
        tab.goto(page.as_uri())
        if tab.evaluate(OVERFLOW) > 0:
            wide[page.name] = tab.evaluate(STICKS_OUT)
        if found := tab.evaluate(CUT_OFF):
            cut_off[page.name] = found
    tab.close()
    assert ({}, {}) == (wide, cut_off)


def test_what_is_copied_of_an_example_is_what_is_to_be_typed(
    pages: list[Path], browser: Any
) -> None:
    tab = browser.new_page()
    tab.goto((min(pages, key=lambda page: len(page.parts)).parent / "index.html").as_uri())
    example = tab.locator("div.highlight").filter(has_text=">>> ").first
    example.hover()
    example.locator("button.copybtn").click()
    tab.evaluate("document.body.prepend(document.createElement('textarea'))")
    tab.locator("textarea").focus()
    tab.keyboard.press("Control+V")
    copied = tab.locator("textarea").input_value().splitlines()
    tab.close()
    assert 'load("a") is load(name="a", dtype="fp16")' == copied[0].partition("  # ")[0]
    assert "load a" not in copied and 4 == len(copied)
