"""Records are attributes for programs, plain values for JSON, and units for people."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Hashable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest

from warmcache import CacheInfo, EntryInfo, Load, LRUCache, Removal, RemovalCause, Stats, warm
from warmcache.testing import ManualClock

MIB = 2**20


@dataclass(frozen=True)
class Point:
    x: int


class Unsayable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


def warm_things() -> Any:
    @warm(policy="lru", maxsize=2, tags=["text", "a"])
    def load(name: object, size: int = 1) -> list[object]:
        return [name]

    return load


def test_a_cause_is_its_text() -> None:
    removals = {RemovalCause.SIZE: 3}
    assert 3 == removals["size"] and {"size": 3} == removals  # type: ignore[index,comparison-overlap]
    assert "size" == str(RemovalCause.SIZE) == json.loads(json.dumps(RemovalCause.SIZE))
    assert hash("size") == hash(RemovalCause.SIZE) and RemovalCause.SIZE.evicted


def test_an_entry_of_a_loader_says_which_call_of_which_loader_it_is() -> None:
    load = warm_things()
    load("ada", size=4)
    (entry,) = load.cache.entries()
    assert ("load('ada', 4)", "load") == (entry.call, entry.loader)


def test_an_entry_of_the_mapping_has_the_text_of_its_key_and_no_loader() -> None:
    cache: LRUCache[Any, Any] = LRUCache(2)
    cache["k", 1] = 1
    (entry,) = cache.entries()
    assert ("('k', 1)", None) == (entry.call, entry.loader)


def test_what_is_handed_in_under_a_loaders_key_is_that_loaders() -> None:
    load = warm_things()
    load.cache[load.cache_key("ada")] = ["other"]
    (entry,) = load.cache.entries()
    assert ("load('ada', 1)", "load") == (entry.call, entry.loader)


KEYS: list[Hashable] = [
    *("text", 3, 2.5, None, True, b"bytes", ("a", ("b", 1)), frozenset({1})),
    *(Point(1), Unsayable(), object, float("nan"), "\ud800", 3j),
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: type(key).__name__)
def test_every_kind_of_key_goes_through_json(key: Hashable) -> None:
    load = warm_things()
    load(key)
    removed = load.cache.evict(key=load.cache_key(key))
    load(key)
    load.cache[key] = 1
    for record in [*removed, *load.cache.entries()]:
        known = json.loads(json.dumps(record.as_dict(), allow_nan=False))
        assert {"key": record.call, "call": record.call} == {
            name: known[name] for name in ("key", "call")
        }


def test_a_record_as_a_dictionary_has_all_its_fields_in_plain_types() -> None:
    load = warm_things()
    load("ada"), load("ada")
    (entry,) = load.cache.entries()
    assert {
        "key": "load('ada', 1)",
        "call": "load('ada', 1)",
        "loader": "load",
        "weight": 1,
        "uses": 2,
        "age": entry.age,
        "idle": entry.idle,
        "load_seconds": entry.load_seconds,
        "leases": 0,
        "state": "live",
        "tags": ["a", "text"],
        "weighed_by": None,
        "ends_in": None,
        "source": "loader",
    } == entry.as_dict()


def test_counts_as_a_dictionary_have_removals_by_the_text_of_their_cause() -> None:
    load = warm_things()
    load("ada"), load.evict("ada")
    plain = load.cache.stats().as_dict()
    assert {"explicit": 1} == plain["removals"]
    assert {str} == {type(cause) for cause in plain["removals"]}
    assert {"hits", "misses", "joined", "loads", "load_failures"} < plain.keys()
    assert {"hits": 0, "misses": 1, "maxsize": 2, "currsize": 0} == load.cache_info().as_dict()


@pytest.mark.parametrize(
    ("weight", "plain"), [(Fraction(3, 2), 1.5), (True, True), (math.inf, None), (2**70, 2**70)]
)
def test_a_weight_of_any_kind_is_a_number_that_json_knows(weight: Any, plain: Any) -> None:
    removal = Removal("a", RemovalCause.SIZE, weight, 0.0)
    assert plain == json.loads(json.dumps(removal.as_dict(), allow_nan=False))["weight"]


def test_a_weight_of_numpys_is_a_number_that_json_knows() -> None:
    numpy = pytest.importorskip("numpy")
    for weight in (numpy.int64(3), numpy.float32(0.5)):
        removal = Removal("a", RemovalCause.SIZE, weight, 0.0)
        assert weight == json.loads(json.dumps(removal.as_dict()))["weight"]


def test_a_record_is_a_mapping_of_what_it_is_as_a_dictionary() -> None:
    load = warm_things()
    load("ada")
    (entry,) = load.cache.entries()
    assert entry.as_dict() == dict(entry) == {**entry}
    assert len(entry) == len([*entry]) and "call" in entry and "_values" not in entry
    with pytest.raises(KeyError):
        entry["no such field"]


def test_a_record_cannot_be_changed() -> None:
    removal = Removal("a", RemovalCause.SIZE, 1, 0.0)
    with pytest.raises(AttributeError):
        removal.weight = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        removal.note = "mine"  # type: ignore[attr-defined]


def test_equal_records_are_equal_and_hash_alike() -> None:
    one, same = (Removal("a", RemovalCause.SIZE, 1, 0.0) for _ in range(2))
    other = Load("a", 0.0, 1)
    assert one == same and hash(one) == hash(same) and one != other
    assert one != one.as_dict()


def test_a_record_takes_its_fields_by_name_and_by_place_and_no_others() -> None:
    assert Load("a", 2.0, 1) == Load(key="a", weight=1, seconds=2.0, tags=frozenset())
    for wrong in ((), ("a", 1.0, 1, None, frozenset(), "more")):
        with pytest.raises(TypeError, match="takes key, seconds, weight"):
            Load(*wrong)
    with pytest.raises(TypeError):
        Load("a", 2.0, 1, wieght=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Load("a", 2.0, 1, key="b")  # type: ignore[misc]


def test_a_record_travels_with_its_key_as_text() -> None:
    load = warm_things()
    load("ada")
    (removal,) = load.evict("ada")
    there = pickle.loads(pickle.dumps(removal))
    assert "load('ada', 1)" == there.key
    assert (removal.cause, removal.weight, removal.tags) == (there.cause, there.weight, there.tags)
    assert (removal, hash(removal)) == (there, hash(there))
    assert (
        (removal.call, removal.loader) == (there.call, there.loader) == ("load('ada', 1)", "load")
    )
    assert there == pickle.loads(pickle.dumps(there)) and repr(removal) == repr(there)
    assert load.cache.stats() == pickle.loads(pickle.dumps(load.cache.stats()))


def test_what_it_had_to_go_for_and_entries_travel_too() -> None:
    told: list[Any] = []
    load = warm(maxsize=1, on_removal=told.append)(lambda name: name)
    load("a"), load("b")
    (removal,), (entry,) = told, load.cache.entries()
    for record in (removal, entry):
        there = pickle.loads(pickle.dumps(record))
        assert record == there and record.as_dict() == there.as_dict()
    assert removal.wanted_by == pickle.loads(pickle.dumps(removal)).wanted_by


def test_people_see_units() -> None:
    entry = EntryInfo("a", 86.7 * MIB, 2, 71.4, 0.064, 0.00312, 0, "live", ends_in=3600.0)
    assert (
        "EntryInfo(key='a', weight=86.7 MiB, uses=2, age=71 s, idle=0.06 s, load_seconds=3.1 ms, "
        "leases=0, state='live', tags=[], weighed_by=None, ends_in=3,600 s, source=None)"
    ) == repr(entry)
    removal = Removal("a", RemovalCause.SIZE, 3, 0.0)
    assert "cause='size', weight=3, age=0 s" in repr(removal)


def test_people_see_removals_by_their_cause() -> None:
    load = warm_things()
    load("ada"), load.evict("ada")
    assert "removals={'explicit': 1}" in repr(load.cache.stats())


def test_a_key_without_a_text_is_shown_all_the_same() -> None:
    assert "Unsayable object" in repr(Removal(Unsayable(), RemovalCause.SIZE, 1, 0.0))


def test_who_completes_sees_the_fields() -> None:
    for kind in (EntryInfo, Load, Removal, Stats):
        assert {"as_dict", *kind._fields} <= {*dir(kind)}
    assert {"as_dict"} <= {*dir(CacheInfo)}


def test_what_ends_never_ends_in_none() -> None:
    @warm(policy="lru", maxsize=2, ttl=math.inf, timer=ManualClock())
    def load(name: str) -> list[str]:
        return [name]

    load("ada")
    (entry,) = load.cache.entries()
    assert None is entry.as_dict()["ends_in"]


def test_pydantic_takes_records_and_writes_them_as_objects() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Answer(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        stats: Stats
        entries: list[EntryInfo]

    load = warm_things()
    load("ada")
    answer = Answer(stats=load.cache.stats(), entries=load.cache.entries())
    written = json.loads(answer.model_dump_json())
    assert 1 == written["stats"]["misses"] and "load('ada', 1)" == written["entries"][0]["call"]
    assert "object" == Answer.model_json_schema(mode="serialization")["properties"]["stats"]["type"]


@pytest.mark.parametrize("teardown", [None, lambda value: None])
def test_what_is_told_of_a_removal_has_all_its_fields(teardown: Any) -> None:
    told: list[Removal] = []
    cache: LRUCache[str, int] = LRUCache(1, on_removal=told.append, teardown=teardown)
    cache["a"] = cache["b"] = 1
    (removal,) = told
    for record in (removal, removal._newcomer):
        assert record is not None
        assert len(record._fields) == len(record._values)
