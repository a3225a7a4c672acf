"""What belongs to an owner is kept on disk where that says what it is in another process."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import warmcache
from warmcache import Context, DiskTier, KeyingError, warm


class Kept(Context):
    """One that says what it is in another process."""

    def __init__(self, nside: int) -> None:
        self.nside = nside
        self.loads: list[str] = []

    def __warm_key__(self) -> int:
        return self.nside

    @warm(disk="of contexts: method", code=False)
    def load(self, name: str) -> list[str]:
        self.loads.append(name)
        return [name]

    @warm(disk="of contexts: odd", code=False)
    def odd(this, self: int) -> list[int]:  # noqa: N805
        return [self]


now: list[Kept] = []
LOADERS: dict[str, Any] = {
    "argument": warm(code=False, disk="of contexts: argument", name="argument", per="ctx")(
        lambda ctx, name: Kept.load.__wrapped__(ctx, name)
    ),
    "callable": warm(code=False, disk="of contexts: callable", name="call", per=lambda: now[-1])(
        lambda name: Kept.load.__wrapped__(now[-1], name)
    ),
}


def loaded(how: str, ctx: Kept) -> Any:
    if how == "argument":
        return LOADERS["argument"](ctx, "a")
    now[:] = [ctx]
    return LOADERS["callable"]("a") if how == "callable" else ctx.load("a")


@pytest.mark.parametrize("how", ["argument", "method", "callable"])
def test_what_belongs_to_a_context_with_a_key_is_kept_on_disk(how: str, tmp_path: Path) -> None:
    warmcache.disk(f"of contexts: {how}", path=tmp_path / "tier")
    first, second, other = Kept(1), Kept(1), Kept(2)
    assert ["a"] == loaded(how, first) == loaded(how, second)
    assert loaded(how, first) is not loaded(how, second), "in memory they share nothing"
    loaded(how, other)
    first.close()
    assert ["a"] == loaded(how, third := Kept(1))
    assert [["a"], [], ["a"], []] == [each.loads for each in (first, second, other, third)]
    now.clear()


def test_without_a_key_nothing_of_it_can_be_kept_on_disk(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path / "tier")
    load: Any = warm(per="ctx", disk=tier, name="load")(lambda ctx, name: [name])
    with pytest.raises(KeyingError, match="Context"):
        load(Context(), "a")
    mine: Any = warm(per=threading.current_thread, disk=tier, name="mine")(lambda: [1])
    with pytest.raises(KeyingError, match="Thread"):
        mine()
    assert 0 == len(load.cache)


@dataclass
class Fields(Context):
    """One that is known by its fields."""

    nside: int


def test_a_dataclass_is_known_by_its_fields(tmp_path: Path) -> None:
    loads: list[int] = []

    def loader(ctx: Fields) -> list[int]:
        loads.append(ctx.nside)
        return [ctx.nside]

    load: Any = warm(per="ctx", disk=DiskTier(tmp_path / "tier"), name="by fields")(loader)
    contexts = [Fields(1), Fields(1), Fields(2)]
    assert [[1], [1], [2]] == [load(ctx) for ctx in contexts]
    assert [1, 2] == loads


class Noting:
    """A codec that notes what it is called with."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def dump(self, value: list[str], folder: Path) -> None:
        (folder / "value").write_text(value[0])

    def load(self, folder: Path, *args: Any, **kwargs: Any) -> list[str]:
        self.seen.append((args, kwargs))
        return [(folder / "value").read_text()]


def test_the_codec_is_given_all_arguments_the_owner_among_them(tmp_path: Path) -> None:
    codec = Noting()
    load: Any = warm(per="ctx", disk=DiskTier(tmp_path / "tier"), name="noted", codec=codec)(
        lambda name, ctx, *, deep=False: [name]
    )
    first, second = Kept(1), Kept(1)
    load("a", first)
    assert ["a"] == load("a", second)
    assert [(("a", second), {"deep": False})] == codec.seen
    assert load.forget("a", first)
    load.cache_clear()
    load("a", second)
    assert 1 == len(codec.seen), "it was loaded, for nothing lay there"


def test_an_owner_stands_for_no_argument_that_is_called_as_it_is(tier: DiskTier) -> None:
    warmcache.disk("of contexts: odd", path=tier.path)
    ctx = Kept(1)
    by_key: Any = warm(per="key", key=lambda x: x, disk=tier, name="function", code=False)(
        lambda key, x: [x]
    )
    assert [[1], [2]] == [ctx.odd(1), ctx.odd(2)]
    assert [[1], [2]] == [by_key(ctx, 1), by_key(ctx, 2)]
