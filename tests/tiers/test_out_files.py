"""A loader that writes files: they are kept on disk, and delivered to where a call wants them."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from disk_programs import Program
from gates import Gate

from warmcache import DiskTier, WarmMissError, disabled, no_load, warm
from warmcache._loaders.out_files import Delivery

CAP = 20.0


class Rendering:
    """A loader that writes the product of its arguments, what it was told, and how often it ran."""

    def __init__(self) -> None:
        self.paths: list[Any] = []

    def loader(self, tier: DiskTier, **options: Any) -> Any:
        @warm(disk=tier, name="render", code=False, out_files="loc", **options)
        def render(x: int, y: int = 2, *, loc: Any) -> list[int]:
            self.paths.append(loc)
            with open(loc, "x") as file:  # noqa: PTH123  # nothing is there yet
                file.write(str(x * y))
            return [x, y]

        return render


@pytest.fixture
def rendering() -> Rendering:
    return Rendering()


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in which nothing but what was delivered may be left."""
    folder = tmp_path / "out"
    folder.mkdir()
    yield folder
    assert [] == [path.name for path in folder.rglob(".warm-*")]


def is_full(*args: object, **kwargs: object) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# -- permacache's own cases, whatever became of the copies -------------------------------------


def test_a_file_is_written_once_and_copied_to_wherever_it_is_wanted(
    rendering: Rendering, tier: DiskTier, out: Path
) -> None:
    render = rendering.loader(tier)
    for name in ("abc", "abc", "./abc", "def", "ghi"):
        assert [123, 2] == render(123, loc=os.path.join(out, name))  # noqa: PTH118
        assert "246" == (out / name).read_text()
    assert 1 == len(rendering.paths)
    assert {"abc", "def", "ghi"} == {path.name for path in out.iterdir()}


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("hi"), Path.unlink])
def test_the_loader_runs_once_also_when_all_copies_were_edited_or_deleted(
    spoil: Any, rendering: Rendering, tier: DiskTier, out: Path
) -> None:
    render = rendering.loader(tier)
    for name in ("abc", "def"):
        render(123, loc=out / name)
    for name in ("abc", "def"):
        spoil(out / name)
    for name in ("abc", "ghi", "def"):
        assert [123, 2] == render(123, loc=out / name)
        assert "246" == (out / name).read_text()
    assert 1 == len(rendering.paths)


def test_calls_that_take_turns_at_one_place_have_their_own_contents(
    rendering: Rendering, tier: DiskTier, out: Path
) -> None:
    render = rendering.loader(tier)
    for x, name in [(1, "abc"), (2, "def"), (1, "def"), (2, "abc"), (1, "abc")]:
        assert [x, 2] == render(x, loc=out / name)
        assert str(2 * x) == (out / name).read_text()
    assert 2 == len(rendering.paths)


def test_several_files_of_one_call_are_delivered_together(tier: DiskTier, out: Path) -> None:
    calls = []

    @warm(disk=tier, name="render", code=False, out_files=["first", "second"])
    def render(first: str, x: int, second: Path, *more: int) -> None:
        calls.append((type(first), type(second)))
        Path(first).write_text(f"first {x} {more}")
        second.write_text(f"second {x}")

    for folder in ("a", "b"):
        (out / folder).mkdir()
        assert render(str(out / folder / "1.txt"), 5, out / folder / "2", 6, 7) is None
        assert "first 5 (6, 7)" == (out / folder / "1.txt").read_text()
        assert "second 5" == (out / folder / "2").read_text()
    ((first, second),) = calls
    assert first is str and issubclass(second, Path)


# -- what the loader is told, and what is delivered --------------------------------------------


def test_the_loader_is_told_of_a_private_path_with_the_suffix_of_the_one_that_is_wanted(
    rendering: Rendering, tier: DiskTier, out: Path
) -> None:
    render = rendering.loader(tier)
    for name, told in [("a.png", "loc.png"), ("v1.2.nii.gz", "loc.nii.gz"), ("b.x.png", "")]:
        render(1, loc=str(out / name))
        if told:
            path = Path(rendering.paths[-1])
            assert told == path.name
            assert path.parent.parent == out and path.parent.name.startswith(".warm-")
    assert 2 == len(rendering.paths)


def test_another_suffix_is_another_call_for_it_may_mean_another_format(
    tier: DiskTier, out: Path
) -> None:
    @warm(disk=tier, name="render", code=False, out_files="loc")
    def render(loc: Path) -> None:
        loc.write_text(loc.suffix)

    for name in ("a.png", "b.pdf", "c.png", "d"):
        render(out / name)
        assert (out / name).suffix == (out / name).read_text()
    assert 3 == tier.stats().writes


def test_a_delivered_file_is_as_a_new_one_and_no_edit_of_it_is_one_of_what_is_kept(
    tier: DiskTier, out: Path
) -> None:
    @warm(disk=tier, name="render", code=False, out_files="loc")
    def render(loc: Path) -> None:
        loc.touch(mode=0o600)
        loc.write_text("whole")
        loc.chmod(0o755)

    before = os.umask(0o027)
    try:
        for name in ("a", "b", "a"):
            render(out / name)
            assert 0o640 == stat.S_IMODE((out / name).stat().st_mode)
            with (out / name).open("r+") as file:  # in place
                file.write("WRONG")
    finally:
        os.umask(before)
    render(out / "c")
    assert "whole" == (out / "c").read_text()


def test_what_is_linked_to_is_kept_and_delivered(tier: DiskTier, out: Path) -> None:
    (out / "original").write_text("contents")

    @warm(disk=tier, name="render", code=False, out_files="loc")
    def render(loc: Path) -> None:
        loc.symlink_to(os.path.relpath(out / "original", loc.parent))

    for name in ("a", "b"):
        render(out / name)
        assert "contents" == (out / name).read_text() and not (out / name).is_symlink()


def test_a_link_is_followed_to_the_file_that_is_wanted(
    rendering: Rendering, tier: DiskTier, out: Path
) -> None:
    (out / "link").symlink_to(out / "file")
    rendering.loader(tier)(1, loc=out / "link")
    assert (out / "link").is_symlink() and "2" == (out / "file").read_text()


def test_a_reader_sees_the_old_file_or_the_new_one(tier: DiskTier, out: Path) -> None:
    (out / "a").write_text("old")
    seen = []

    @warm(disk=tier, name="render", code=False, out_files="loc")
    def render(loc: Path) -> None:
        loc.write_text("half")
        seen.append((out / "a").read_text())
        loc.write_text("new")

    with (out / "a").open() as file:
        render(out / "a")
        assert ["old", "old", "new"] == [*seen, file.read(), (out / "a").read_text()]


def test_the_place_counts_from_where_the_call_was_made(
    tier: DiskTier, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @warm(disk=tier, name="render", code=False, out_files="loc")
    def render(loc: str) -> None:
        os.chdir("/")
        Path(loc).write_text("contents")

    monkeypatch.chdir(out)
    render("a")
    assert "contents" == (out / "a").read_text()


# -- one load ----------------------------------------------------------------------------------


def test_of_two_threads_with_two_places_one_loads_and_both_have_their_file(
    tier: DiskTier, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, waits = [], threading.Event()
    alone = tier._store.alone

    def is_waited_for(*args: Any) -> Any:
        if loads:
            waits.set()
        return alone(*args)

    monkeypatch.setattr(tier._store, "alone", is_waited_for)

    @warm(disk=tier, name="render", code=False, out_files="loc")
    def render(x: int, loc: Path) -> None:
        loads.append(x)
        second.append(pool.submit(render, 1, out / "b"))
        assert waits.wait(CAP)
        loc.write_text("contents")

    second: list[Any] = []
    with ThreadPoolExecutor(1) as pool:
        render(1, out / "a")
        second[0].result(CAP)
    assert [1] == loads
    assert ["contents", "contents"] == [(out / name).read_text() for name in "ab"]


def test_of_several_processes_one_loads_and_all_have_their_file(tmp_path: Path, out: Path) -> None:
    program = Program(
        tmp_path,
        """
        import sys
        from warmcache import warm

        @warm(disk=sys.argv[1], name="render", out_files="loc")
        def render(x, loc):
            print("loaded", flush=True)
            with open(loc, "w") as file:
                file.write(str(x))

        sys.stdin.readline()
        render(5, loc=sys.argv[2])
        """,
    )
    assert "loaded\n" == "".join(program.at_once(*(str(out / name) for name in "abcd")))
    assert 4 * ["5"] == [(out / name).read_text() for name in "abcd"]


def test_what_is_gone_from_disk_is_loaded_again(
    rendering: Rendering, tier: DiskTier, out: Path
) -> None:
    render = rendering.loader(tier)
    render(1, loc=out / "a")
    assert render.forget(1, loc=out / "any") and not render.forget(1, loc=out / "any")
    render(1, loc=out / "b")
    tier.clear()  # as another process may
    render(1, loc=out / "c")
    assert 3 == len(rendering.paths)
    assert 3 * ["2"] == [(out / name).read_text() for name in "abc"]


# -- memory, scopes ----------------------------------------------------------------------------


def test_nothing_of_it_is_in_memory(rendering: Rendering, tier: DiskTier, out: Path) -> None:
    render = rendering.loader(tier)
    render(1, loc=out / "a")
    with render.lease(1, loc=out / "b") as value:
        assert [1, 2] == value
    render.warm_up([{"x": 1, "loc": out / "c"}])
    assert 3 * ["2"] == [(out / name).read_text() for name in "abc"]
    assert 0 == len(render.cache) and not render.contains(1, loc=out / "a")
    assert (0, 3) == render.cache_info()[:2]


def test_where_caching_is_off_the_loader_writes_to_where_it_is_told(
    rendering: Rendering, tier: DiskTier, out: Path
) -> None:
    render = rendering.loader(tier)
    with disabled():
        render(1, loc=out / "a")
    assert [out / "a"] == rendering.paths and "2" == (out / "a").read_text()
    assert 0 == tier.stats().writes


def test_where_loading_is_forbidden_what_is_kept_is_delivered(
    rendering: Rendering, tier: DiskTier, out: Path
) -> None:
    render = rendering.loader(tier)
    render(1, loc=out / "a")
    with no_load():
        render(1, loc=out / "b")
        with pytest.raises(WarmMissError, match="neither warm nor on disk"):
            render(2, loc=out / "c")
    assert ["a", "b"] == sorted(path.name for path in out.iterdir())


def test_what_validate_refuses_is_written_again(
    rendering: Rendering, tier: DiskTier, out: Path
) -> None:
    good = [True]
    render = rendering.loader(tier, validate=lambda value: good[0])
    render(1, loc=out / "a"), render(1, loc=out / "b")
    good[0] = False
    render(1, loc=out / "c")
    assert 2 == len(rendering.paths) and "2" == (out / "c").read_text()


def test_files_are_kept_however_short_their_load_was(
    rendering: Rendering, tier: DiskTier, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warmcache.tiers import worth

    monkeypatch.setattr(worth, "_MARGIN", 1e9)
    monkeypatch.setattr(worth.Worth, "has_read", lambda *_, instead_of: True)
    render = rendering.loader(tier)
    for name in "abc":
        render(1, loc=out / name)
    assert 1 == len(rendering.paths)
    assert (0, 0) == (tier.stats().not_worth, tier.stats().slower)


# -- methods, async ----------------------------------------------------------------------------


def test_files_belong_to_no_owner(tier: DiskTier, out: Path) -> None:
    said: Any = {"disk": tier, "name": "render", "code": False, "out_files": "loc"}
    with pytest.raises(TypeError, match="out_files= does not go with per=.*; leave per= out"):
        warm(per="ctx", **said)(lambda ctx, loc: None)
    render = warm(**said)(lambda ctx, loc: loc.write_text(ctx))
    for ctx in "aba":
        render(ctx, out / ctx)
    assert ["a", "b"] == [(out / ctx).read_text() for ctx in "ab"]
    assert 2 == tier.stats().writes


class Scene:
    """What says what stands for it in other processes."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    def __warm_key__(self) -> str:
        return "scene"

    def render(self, x: int, loc: Path) -> int:
        self.calls.append(x)
        loc.write_text(str(x))
        return x

    def twice(cls, x: int, loc: Path) -> int:  # noqa: N805
        loc.write_text(str(2 * x))
        return x


def test_a_method_writes_files(tier: DiskTier, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decorate = warm(disk=tier, name="render", code=False, out_files="loc")
    monkeypatch.setattr(Scene, "render", decorate(Scene.render))
    monkeypatch.setattr(Scene, "twice", decorate(classmethod(Scene.twice)))
    calls: list[int] = []
    for name in "ab":
        assert 7 == Scene(calls).render(7, out / name)
        assert "7" == (out / name).read_text()
        assert 7 == Scene.twice(7, loc=out / name)  # type: ignore[call-arg]
        assert "14" == (out / name).read_text()
    assert [7] == calls and 2 == tier.stats().writes


async def test_an_async_loader_writes_files(tier: DiskTier, out: Path) -> None:
    loads = []

    @warm(disk=tier, name="render", code=False, out_files="loc", loop_bound=False)
    async def render(x: int, loc: Path) -> int:
        loads.append(x)
        await asyncio.sleep(0)
        loc.write_text(str(x))  # noqa: ASYNC240
        return x

    assert [5, 5] == await asyncio.gather(render(5, out / "a"), render(5, out / "b"))
    assert 5 == await render(5, out / "c") and [5] == loads
    assert 3 * ["5"] == [(out / name).read_text() for name in "abc"]
    assert await render.forget(5, out / "a")

    @warm(disk=tier, name="nothing", code=False, out_files="loc", loop_bound=False)
    async def nothing(loc: Path) -> None: ...

    with pytest.raises(FileNotFoundError, match=r"nothing\(\) wrote no file to loc"):
        await nothing(out / "d")


@pytest.mark.race
@pytest.mark.parametrize(
    ("of", "name"),
    [
        (Delivery, "begin"),
        (DiskTier, "_fetch"),
        (Delivery, "check"),
        (DiskTier, "_keep"),
        (Delivery, "deliver"),
    ],
)
async def test_files_that_a_thread_is_busy_with_outlive_the_call_that_is_cancelled(
    of: Any, name: str, tier: DiskTier, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @warm(disk=tier, name="render", code=False, out_files=["loc", "log"], loop_bound=False)
    async def render(x: int, loc: Path, log: Path) -> int:
        loc.write_text(str(x))  # noqa: ASYNC240
        log.write_text("done")  # noqa: ASYNC240
        return x

    gate, work = Gate(), getattr(of, name)

    def slowly(*args: Any, **kwargs: Any) -> Any:
        gate.wait()
        return work(*args, **kwargs)

    monkeypatch.setattr(of, name, slowly)
    task = asyncio.create_task(render(5, out / "a", out / "b"))
    await asyncio.to_thread(gate.until_reached)
    task.cancel()
    await asyncio.sleep(0)
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {} == tier.stats().failures
    assert 5 == await render(5, out / "a", out / "b") and "5" == (out / "a").read_text()
    assert 1 == tier.stats().writes


# -- what fails --------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["read", "write", "alone"])
def test_whatever_fails_on_the_disk_the_caller_has_the_file(
    word: str, rendering: Rendering, tier: DiskTier, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = rendering.loader(tier)
    monkeypatch.setattr(tier._store, word, is_full)
    for name in "ab":
        assert [3, 2] == render(3, loc=out / name)
        assert "6" == (out / name).read_text()
    assert tier.stats().failures


@pytest.mark.parametrize("what", ["loc", "value"])
def test_what_is_damaged_on_disk_is_written_again(
    what: str, rendering: Rendering, tier: DiskTier, out: Path
) -> None:
    render = rendering.loader(tier)
    render(3, loc=out / "a")
    (kept,) = [path for path in (tier.path / "o").rglob(what) if path.is_file()]
    kept.unlink()
    kept.mkdir()
    render(3, loc=out / "b")
    assert 2 == len(rendering.paths) and "6" == (out / "b").read_text()


def test_a_value_that_no_codec_keeps_comes_with_its_file_each_time(
    tier: DiskTier, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @warm(disk=tier, name="render", code=False, out_files="loc")
    def render(loc: Path) -> object:
        loc.write_text("contents")
        return object()

    for name in "ab":
        assert object is type(render(out / name)) and "contents" == (out / name).read_text()
    assert 2 == tier.stats().unkept
    assert "no safe codec keeps object exactly" in caplog.text


def test_a_codec_of_the_users_keeps_the_value_beside_the_file(tier: DiskTier, out: Path) -> None:
    class Text:
        def dump(self, value: object, folder: Path) -> None:
            (folder / "text").write_text(repr(value))

        def load(self, folder: Path, *args: Any, **kwargs: Any) -> Any:
            return (folder / "text").read_text()

    @warm(disk=tier, name="render", code=False, out_files="loc", codec=Text())
    def render(loc: Path) -> object:
        loc.write_text("contents")
        return object

    assert object is render(out / "a")
    assert "<class 'object'>" == render(out / "b")
    assert "contents" == (out / "b").read_text()


def test_what_is_read_a_second_time_takes_the_place_of_the_first(tmp_path: Path) -> None:
    from warmcache._disk.codecs import coder_for

    file, kept = tmp_path / "file", tmp_path / "kept"
    file.write_text("contents")
    coder = coder_for(["value"], files={"loc": file})
    assert coder is not None and coder.size_of(["value"]) > len("contents")  # type: ignore[operator]
    coder.dump(["value"], kept)
    for _ in range(2):
        file.write_text("of another process, which was not whole")
        assert ["value"] == coder.load(kept, (), {})
        assert "contents" == file.read_text()


def test_a_loader_that_wrote_no_file_is_an_error_and_nothing_is_kept(
    tier: DiskTier, out: Path
) -> None:
    @warm(disk=tier, name="nothing", code=False, out_files="loc")
    def nothing(loc: str) -> None: ...

    with pytest.raises(FileNotFoundError, match=r"nothing\(\) wrote no file to loc") as raised:
        nothing(str(out / "a"))
    assert str(out / "a") == raised.value.filename
    assert 0 == tier.stats().entries and [] == [*out.iterdir()]

    @warm(disk=tier, name="folder", code=False, out_files="loc")
    def folder(loc: str) -> None:
        Path(loc).mkdir()

    with pytest.raises(IsADirectoryError, match=r"folder\(\) made a folder of loc"):
        folder(str(out / "a"))
    assert 0 == tier.stats().entries and [] == [*out.iterdir()]


def test_a_loader_that_fails_leaves_what_was_there(tier: DiskTier, out: Path) -> None:
    (out / "a").write_text("old")

    @warm(disk=tier, name="render", code=False, out_files="loc")
    def render(loc: Path) -> None:
        loc.write_text("half")
        raise ValueError("in the midst of it")

    with pytest.raises(ValueError, match="in the midst"):
        render(out / "a")
    assert "old" == (out / "a").read_text() and 0 == tier.stats().entries


def test_where_no_file_can_be_made_nothing_is_loaded(
    rendering: Rendering, tier: DiskTier, out: Path
) -> None:
    render = rendering.loader(tier)
    for path, error in [
        (out / "missing" / "a", FileNotFoundError),
        (out, IsADirectoryError),
        (f"{out}/a/", IsADirectoryError),
    ]:
        with pytest.raises(error) as raised:
            render(1, loc=path)
        assert str(path) == raised.value.filename
    for no_path in (None, 5, b"a"):
        with pytest.raises(TypeError, match="loc must be the path of a file to be written"):
            render(1, loc=no_path)
    assert [] == rendering.paths


def test_what_cannot_be_put_in_its_place_is_an_error_about_that_place(
    tier: DiskTier, out: Path
) -> None:
    @warm(disk=tier, name="render", code=False, out_files="loc")
    def render(loc: Path) -> None:
        loc.write_text("contents")
        (out / "a" / "b").mkdir(parents=True, exist_ok=True)

    with pytest.raises(OSError) as raised:
        render(out / "a")
    assert str(out / "a") == raised.value.filename


# -- what is refused ---------------------------------------------------------------------------


def render(scene: str, loc: str, *args: str, **kwargs: str) -> None: ...


@pytest.mark.parametrize("names", ["nobody", ["loc", "nobody"], "args", "kwargs"])
def test_what_is_no_argument_of_its_own_is_refused(names: Any, tier: DiskTier) -> None:
    with pytest.raises(TypeError, match=r"no argument of render\(\); there are: scene, loc"):
        warm(disk=tier, out_files=names)(render)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"disk": None}, "out_files= is about what lies on disk: say disk=, too"),
        ({"teardown": print}, "teardown= does not go with out_files="),
        ({"key": {"loc": str}}, "key= names 'loc', which out_files= takes out of the key"),
    ],
)
def test_what_does_not_go_with_files_is_refused(
    options: dict[str, Any], why: str, tier: DiskTier
) -> None:
    with pytest.raises(TypeError, match=why):
        warm(**{"disk": tier, "out_files": "loc", **options})(render)


def test_a_class_or_a_generator_writes_no_files(tier: DiskTier) -> None:
    with pytest.raises(TypeError, match="Scene is a class, and what it gives are instances"):
        warm(disk=tier, out_files="calls")(Scene)
    with pytest.raises(TypeError, match="is a generator"):

        @warm(disk=tier, out_files="loc")
        def load(loc: str) -> Iterator[int]:
            yield 1


def test_a_key_of_ones_own_goes_with_files(tier: DiskTier, out: Path) -> None:
    loads = []

    @warm(
        disk=tier, name="render", code=False, out_files="loc", key=lambda scene, loc: scene.lower()
    )
    def render(scene: str, loc: Path) -> None:
        loads.append(scene)
        loc.write_text(scene)

    render("A", out / "a"), render("a", out / "b")
    assert ["A"] == loads and "A" == (out / "b").read_text()


# -- what is there already ---------------------------------------------------------------------


def test_many_deliver_each_their_file(rendering: Rendering, tier: DiskTier, out: Path) -> None:
    render = rendering.loader(tier)
    render.many([{"x": 2, "loc": out / name} for name in ("a.txt", "b.txt", "c.png")])
    assert ["4"] * 3 == [(out / name).read_text() for name in ("a.txt", "b.txt", "c.png")]
    assert 2 == len(rendering.paths)


def test_a_private_file_stays_so(rendering: Rendering, tier: DiskTier, out: Path) -> None:
    render = rendering.loader(tier)
    for name in ("a", "b"):
        (out / name).touch(0o600)
        render(2, loc=out / name)
        assert (0o600, "4") == ((out / name).stat().st_mode & 0o777, (out / name).read_text())


def test_what_is_no_regular_file_is_not_replaced(
    rendering: Rendering, tier: DiskTier, out: Path
) -> None:
    os.mkfifo(out / "pipe")
    with pytest.raises(OSError, match="out_files= delivers regular files alone"):
        rendering.loader(tier)(2, loc=out / "pipe")
    assert (out / "pipe").is_fifo()
    assert [] == rendering.paths


def test_any_suffix_will_do(rendering: Rendering, tier: DiskTier, out: Path) -> None:
    rendering.loader(tier)(2, loc=out / "x.new")
    assert "4" == (out / "x.new").read_text()
