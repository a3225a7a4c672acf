"""A web framework and pandas take records as they are."""

from __future__ import annotations

from typing import Any

import pytest

from warmcache import EntryInfo, Removal, Stats, warm


class Model:
    def __repr__(self) -> str:
        return "<model>"


@pytest.fixture
def load() -> Any:
    @warm(maxsize=9, tags=["text"])
    def load(name: object) -> Model:
        return Model()

    load("ada"), load(("bob", 1)), load("ada")
    load.cache["by hand", None] = Model()
    return load


@pytest.mark.servers
@pytest.mark.parametrize("annotated", ["as what they are", "as anything", "not at all"])
def test_an_endpoint_may_return_them(load: Any, annotated: str) -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()

    def stats():
        return load.cache.stats()

    def entries():
        return load.cache.entries()

    def evicted():
        return load.evict("ada")

    def both():
        return {"cache": load.cache.stats(), "info": load.cache_info().as_dict()}

    kinds: dict[Any, Any] = {stats: Stats, entries: list[EntryInfo], evicted: list[Removal]}
    for endpoint in (stats, entries, evicted, both):
        if "as what they are" == annotated and endpoint in kinds:
            endpoint.__annotations__["return"] = kinds[endpoint]
        if "as anything" == annotated:  # pydantic knows no schema then
            endpoint.__annotations__["return"] = dict[str, Any] if endpoint is both else Any
        app.get(f"/{endpoint.__name__}")(endpoint)
    with TestClient(app) as client:
        assert load.cache.stats().as_dict() == client.get("/stats").json()
        calls = [entry["call"] for entry in client.get("/entries").json()]
        assert ["load('ada')", "load(('bob', 1))", "('by hand', None)"] == calls
        assert 1 == client.get("/both").json()["info"]["hits"]
        (removal,) = client.get("/evicted").json()
        assert ("explicit", ["text"]) == (removal["cause"], removal["tags"])
        assert {"explicit": 1} == client.get("/stats").json()["removals"]
        assert 200 == client.get("/openapi.json").status_code


@pytest.mark.notebooks
@pytest.mark.parametrize("plain", [True, False], ids=["as_dict", "as they are"])
def test_a_frame_has_a_row_an_entry_and_a_column_a_field(load: Any, plain: bool) -> None:
    import pandas

    entries = load.cache.entries()
    frame = pandas.DataFrame([each.as_dict() for each in entries] if plain else entries)
    assert [*entries[0]] == [*frame.columns] and 3 == len(frame)
    assert ["load('ada')", "load(('bob', 1))", "('by hand', None)"] == [*frame["call"]]
    assert "model" not in frame.to_string() and 4 == frame["uses"].sum()


@pytest.mark.notebooks
def test_a_frame_of_removals_counts_by_cause(load: Any) -> None:
    import pandas

    frame = pandas.DataFrame(load.cache.evict(3))
    assert {"explicit": 3} == frame["cause"].value_counts().to_dict()
