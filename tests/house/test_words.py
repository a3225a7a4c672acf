"""One plain word for each idea: the glossary has them, and what they replaced is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^(\w.*)\n: ", GLOSSARY, re.MULTILINE)
WORDS = [word for term in TERMS for word in term.split(", ")]
# What a thing was called, as a pattern; what it is called now; where it must not come back.
GONE = [
    (r"\bSignal\b", "OneShot", ""),
    (r"\bHold\b(?! on)", "LeaseRecord", ""),
    (r"\bOrigin\b", "Source", ""),
    (r"\bclass Loaded\b|\bLoaded\(|entry\.how\b", "Provenance", ""),
    (r"\bSite\b", "CallSite", ""),
    (r"\bPressure\b", "Watermarks", ""),
    (r"\bPromises\b", "Ledger", ""),
    (r"\bEntryLease\b", "Lease", ""),
    (r"\bUnowned\b", "DisabledLease", ""),
    (r"\bmind_the_end\b", "tear_down_leftovers_of", ""),
    (r"\b(bury|buried)\b", "let_go", ""),
    (r"\bpark(s|ed|ing)?\b", "keep_forever", "src/warmcache/_process"),
    (r"\brelieve\b", "make_up", "src/warmcache/_core"),
    (r"\bsettle\(", "free_what_came_back", "src/warmcache/_core"),
    (r"\bSeat\b|\bseats?\b", "LoaderName", "src"),
    (r"\bTicket\b|\btickets?\b", "LocalLoader, ArrivedLoader", "src"),
    (r"\bFace\b", "PickledAttributes", ""),
    (r"\bsupplant", "take over a name", ""),
    (r"\badopt", "redirect", "src"),
    (r"\b_?strangers?\b", "foreign cache", "src/warmcache/_by_value"),
    (r"\bhome\b", "LoaderCache", "src/warmcache/_by_value"),
    (r"\bhome\b", "LoaderCache", "src/warmcache/_loaders"),
    (r"\bWanted\b", "Newcomer", "src/warmcache/_core"),
    (r"\brooms\b|\b(which|every|any) room\b", "folder", "tests/house"),
]


def _texts(folder: str) -> dict[str, str]:
    """Return what is written in a folder; without one, in all that is ours to word."""
    folders = [folder] if folder else ["src", "tests", "docs", "benchmarks", "examples"]
    files = [file for each in folders for file in (ROOT / each).rglob("*.*")]
    files += [] if folder else [*ROOT.glob("*.md")]
    written = [file for file in files if file.suffix in {".py", ".md"}]
    return {
        file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(written)
        if file != Path(__file__) and "_build" not in file.parts
    }


def test_the_glossary_is_sorted_and_explains_each_word_once() -> None:
    assert len(WORDS) > 80
    assert sorted(TERMS, key=str.lower) == TERMS
    assert sorted({*WORDS}) == sorted(WORDS)


def test_each_word_of_the_glossary_is_used() -> None:
    pages = {name: text for name, text in _texts("docs").items() if name != "docs/glossary.md"}
    everywhere = "\n".join([*_texts("src").values(), *pages.values()])

    def used(word: str) -> bool:  # as text, or in a name: call site, call_site, CallSite
        return bool(re.search(r"[\s_-]*".join(re.split(r"[ -]", word)), everywhere, re.IGNORECASE))

    assert [] == [word for word in WORDS if not used(word)]


@pytest.mark.parametrize(("was", "now", "where"), GONE, ids=lambda each: str(each)[:30])
def test_what_has_a_better_word_is_called_by_that(was: str, now: str, where: str) -> None:
    assert [] == [name for name, text in _texts(where).items() if re.search(was, text)], now
