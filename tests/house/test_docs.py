"""What the README, the docs and the examples say is run, and has to be true."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import warmcache

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(warmcache.__file__).parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MARKS = {  # of pages whose examples take more than the tests do
    **{
        f"docs/howto/{name}.md": pytest.mark.engines
        for name in ("dask", "executors", "globus-compute", "parsl", "ray")
    },
    "docs/howto/web-server.md": pytest.mark.servers,
}
EXAMPLES = sorted({*(ROOT / "examples").glob("*.py")} - {ROOT / "examples/server.py"})
WRITTEN = {"warmcache-demo/"}  # by what the page is about
# Where the files lie that pages name; without a folder, it is any.
TREES = [ROOT, *(ROOT / each for each in ("src/warmcache", "tests", "benchmarks", "examples"))]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def policies_as_before() -> Iterator[None]:
    before = set(warmcache.policies.names())
    yield
    for name in set(warmcache.policies.names()) - before:
        warmcache.policies.unregister(name)


def _close_caches(namespace: dict[str, Any]) -> None:
    """Close what the page made, so that nothing is left to print when the tests end."""
    for thing in namespace.values():
        cache = thing if isinstance(thing, warmcache.Cache) else getattr(thing, "cache", None)
        if isinstance(cache, warmcache.Cache):
            cache.close()


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=MARKS.get(_name(p), ())) for p in PAGES],
    ids=_name,
)
def test_the_examples_on_the_page_do_what_it_says(
    page: Path, policies_as_before: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sybil.document import Document
    from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    parsers = PythonCodeBlockParser(doctest_optionflags=flags), SkipParser()
    # Where Parsl's scripts are.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("WARMCACHE_NODE", str(tmp_path))  # where nobody is but who the page begins
    monkeypatch.chdir(tmp_path)  # where pages keep things on disk
    document = Document.parse(str(page), *parsers)
    document.namespace["__name__"] = "page"
    examples = [*document.examples()]
    for example in examples:
        example.evaluate()  # which raises what the page does not say
    _close_caches(document.namespace)
    prompts = sum(isinstance(example.parsed, doctest.Example) for example in examples)
    assert page.read_text(encoding="utf-8").count(">>> ") == prompts, "not all of them are run"


def test_the_pages_have_examples() -> None:
    assert ROOT / "README.md" in PAGES
    assert 10 < sum("```python" in page.read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize("example", EXAMPLES, ids=_name)
def test_the_example_prints_what_its_docstring_says(example: Path) -> None:
    source = example.read_text(encoding="utf-8")
    block = re.search(r'It prints::\n\n(.*?)\n(?="""|\S)', source, re.DOTALL)
    assert block is not None, "the docstring does not say what it prints"
    ran = _run(str(example))
    assert ("", 0) == (ran.stderr, ran.returncode)
    assert textwrap.dedent(block[1]).strip() == ran.stdout.strip()


def test_a_policy_shipped_as_the_page_shows_is_found_by_name(tmp_path: Path) -> None:
    page = (ROOT / "docs/howto/policies.md").read_text(encoding="utf-8")
    [module] = re.findall(r"```python\n(# cheapest/__init__\.py\n.*?)```", page, re.DOTALL)
    [project] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    [(group, points)] = tomllib.loads(project)["project"]["entry-points"].items()
    (tmp_path / "cheapest").mkdir()
    (tmp_path / "cheapest/__init__.py").write_text(module, encoding="utf-8")
    installed = tmp_path / "cheapest-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: cheapest\nVersion: 1.0\n")
    lines = [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (installed / "entry_points.txt").write_text("\n".join(lines) + "\n")
    [name] = points
    program = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from warmcache import warm
        @warm(policy={name!r}, maxsize=1)
        def load(): ...
        print(type(load.cache).__module__)
    """
    ran = _run("-c", textwrap.dedent(program))
    assert ("cheapest\n", "") == (ran.stdout, ran.stderr)


def test_the_script_on_the_page_of_executors_prints_the_answers(tmp_path: Path) -> None:
    page = (ROOT / "docs/howto/executors.md").read_text(encoding="utf-8")
    defined, main = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[:2]
    script = tmp_path / "script.py"  # which the page cannot be: processes import it
    script.write_text(defined + main, encoding="utf-8")
    ran = _run(str(script))
    answers = [f"{name}: {number}?" for number, name in enumerate(["ada", "bob"] * 4)]
    assert (f"ada: who?\n{answers}\n", "") == (ran.stdout, ran.stderr)


def test_the_reference_lists_every_public_name_and_module_with_a_line_each() -> None:
    page = (ROOT / "docs/reference/index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[`([\w.]+)`\]\(\w+\.md\) \| \S.*\S \|$", page, re.MULTILINE)
    modules = [name for name in listed if "." in name]
    public = sorted({file.stem for file in PACKAGE.glob("[!_]*") if file.suffix != ".typed"})
    assert [f"warmcache.{name}" for name in public] == modules
    assert sorted({*warmcache.__all__} - {*public}) == [name for name in listed if "." not in name]


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{_name(page)}: {target}")
    assert [] == broken


@pytest.mark.parametrize("folder", ["howto", "coming-from"])
def test_each_page_of_the_folder_is_in_its_index_by_its_title_and_with_a_line(folder: str) -> None:
    index = (ROOT / "docs" / folder / "index.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^- \[(.+?)\]\(([\w-]+\.md)\): \S.*$", index, re.MULTILINE))
    pages = {page for page in (ROOT / "docs" / folder).glob("*.md") if page.stem != "index"}
    assert {page.read_text(encoding="utf-8").splitlines()[0]: page.name for page in pages} == {
        f"# {title}": name for title, name in listed.items()
    }


@pytest.mark.parametrize(
    "part",
    [
        r"## What is promised\n.*?\ntake a lease\.\n",
        r"```python\nfrom warmcache .*?load b\n```",
    ],
    ids=["the promises", "the first lines of code"],
)
def test_the_index_shows_what_the_readme_does(part: str) -> None:
    pages = [ROOT / "README.md", ROOT / "docs/index.md"]
    readme, index = (re.search(part, page.read_text(encoding="utf-8"), re.DOTALL) for page in pages)
    assert readme is not None and index is not None
    assert readme[0] == index[0]


def test_the_tests_that_the_pages_name_are_there() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    there = set(re.findall(r"def (test_\w+)", tests))
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"`(test_\w+)`", pages))
    assert len(named) > 10
    assert set() == named - there


def _is_there(path: str, *folders: Path) -> bool:
    if "/" in path:
        return any((tree / path).exists() for tree in (*folders, *TREES))
    return any(any(tree.rglob(path)) for tree in TREES[1:])


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_the_files_and_folders_that_the_page_names_are_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    named = set(re.findall(r"`([\w./-]+\.py|[\w./-]+/)`", text)) - WRITTEN
    assert [] == sorted(path for path in named if not _is_there(path))


def test_the_files_that_the_code_names_are_there() -> None:
    missing = []
    for file in sorted((ROOT / "src").rglob("*.py")):
        for path in re.findall(r"\b[\w/]+\.py\b", file.read_text(encoding="utf-8")):
            if not _is_there(path, file.parent):
                missing.append(f"{_name(file)}: {path}")
    assert [] == missing


def test_the_drawing_of_the_architecture_is_the_contract_of_imports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]["layers"]
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    [drawing] = re.findall(r"```\n( cli .*?)```", page, re.DOTALL)
    drawn: list[set[str]] = []
    for line in drawing.splitlines():
        names = line[:35].replace("/", " ").replace("|", " ").split()
        if names and line.startswith(" |"):
            drawn[-1] |= {*names}
        elif names:
            drawn.append({*names})
    core = [{"_core", floor} for floor in ("drivers", "plans", "state")]
    layers = [{*layer.split(" | ")} for layer in contract]
    where = layers.index({"_core"})
    assert [*layers[:where], *core, *layers[where + 1 :]] == [{"__main__"}, *drawn]
