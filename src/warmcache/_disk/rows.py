"""What the index says of each entry, in the tables of SQLite, and what is asked of it.

What only a store with limits asks for, an order or a sum, is kept from the first such store on, for
as many entries as there may be: each costs every write a bit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

VERSION = 1
_SCHEMA = f"""
create table entries(
    key text primary key, writer text, bytes int, old int, made real, seconds real, used real,
    uses int, boot text
) without rowid;
create index replaced on entries(key) where old > 0;
create table machine(boot text);
insert into machine values('');
pragma user_version = {VERSION};
"""
_SUMS = "select count(*), ifnull(sum(bytes + old), 0) from entries"
_ORDER = {"cost": "seconds * uses / bytes, used", "lru": "used"}
_NEEDED = {
    **{
        policy: f"create index if not exists by_{policy} on entries({_ORDER[policy]});"
        for policy in _ORDER
    },
    "ttl": "create index if not exists by_age on entries(made);",
    "sums": f"""
create table if not exists sums(entries int, bytes int);
insert into sums select * from ({_SUMS}) where not exists (select * from sums);
create trigger if not exists more after insert on entries begin
    update sums set entries = entries + 1, bytes = bytes + new.bytes + new.old;
end;
create trigger if not exists less after delete on entries begin
    update sums set entries = entries - 1, bytes = bytes - old.bytes - old.old;
end;
create trigger if not exists other after update of bytes, old on entries begin
    update sums set bytes = bytes + new.bytes + new.old - old.bytes - old.old;
end;
""",
}


class Row(NamedTuple):
    """What the index knows of an entry, or of one that is being written."""

    key: str
    writer: str
    bytes: int  # of all its files
    old: int  # bytes of the predecessor's files, as long as those may be there
    made: float
    seconds: float
    used: float
    uses: int
    boot: str  # in which its payload was found whole, if that was another than it was written in


class Rows:
    """The rows of the index, inside a transaction; their ``sums`` may be kept, or be added up."""

    def __init__(self, database: sqlite3.Connection, *, sums: bool) -> None:
        self._database = database
        self._sums = "select * from sums" if sums else _SUMS

    def make(self, needs: Iterable[str]) -> None:
        """Make the tables that are not there, and what is needed at each write."""
        made = self._database.execute("pragma user_version").fetchone()[0]
        scripts = [*([] if made else [_SCHEMA]), *(_NEEDED[each] for each in needs)]
        for statement in _statements("\n".join(scripts)):
            self._database.execute(statement)

    def find(self, key: str) -> Row | None:
        """Return the row of a key."""
        found = self._database.execute("select * from entries where key = ?", (key,)).fetchone()
        return None if found is None else Row._make(found)

    def put(self, row: Row) -> None:
        """Add a row, or replace the one of that key."""
        self._database.execute(
            "insert into entries values(?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict(key) do update "
            "set writer = excluded.writer, bytes = excluded.bytes, old = excluded.old, "
            "made = excluded.made, seconds = excluded.seconds, used = excluded.used, "
            "uses = excluded.uses, boot = excluded.boot",
            row,
        )

    def add(self, row: Row) -> bool:
        """Add a row; return whether there was none of that key."""
        done = self._database.execute(
            "insert or ignore into entries values(?, ?, ?, ?, ?, ?, ?, ?, ?)", row
        )
        return done.rowcount > 0

    def drop(self, keys: Iterable[str]) -> None:
        """Remove the rows of these keys."""
        each = ((key,) for key in keys)
        self._database.executemany("delete from entries where key = ?", each)

    def sums(self) -> tuple[int, int]:
        """Return how many entries there are, and the bytes of all."""
        found: tuple[int, int] = self._database.execute(self._sums).fetchone()
        return found

    def touch(self, uses: Iterable[tuple[float, int, str]]) -> None:
        """Note uses: when the last was, how many they were, and of what."""
        self._database.executemany(
            "update entries set used = max(used, ?), uses = uses + ? where key = ?", uses
        )

    def found_whole(self, key: str, boot: str) -> None:
        """Note that a payload was found whole since this boot."""
        self._database.execute("update entries set boot = ? where key = ?", (boot, key))

    def in_order(self, policy: str) -> Iterator[Row]:
        """Yield all rows, the next victim first."""
        order = _ORDER[policy]
        found = self._database.execute(f"select * from entries order by {order}")
        return map(Row._make, found)

    def made_before(self, time: float) -> Iterator[Row]:
        """Yield the rows of what was loaded before then, the oldest first."""
        found = self._database.execute(
            "select * from entries where made <= ? order by made", (time,)
        )
        return map(Row._make, found)

    def all(self) -> dict[str, Row]:
        """Return all rows by their keys."""
        found = self._database.execute("select * from entries")
        return {each[0]: Row._make(each) for each in found}

    def replaced(self) -> list[Row]:
        """Return the rows of those whose predecessor may still be there."""
        found = self._database.execute("select * from entries where old > 0")
        return [Row._make(each) for each in found]

    def checked_in(self) -> str:
        """Return the boot in which these rows were last compared with the files."""
        found: tuple[str] = self._database.execute("select boot from machine").fetchone()
        return found[0]

    def is_checked(self, boot: str) -> None:
        """Note that the rows were compared with the files."""
        self._database.execute("update machine set boot = ?", (boot,))


def _statements(script: str) -> Iterator[str]:
    """Yield the statements one by one: executescript() would commit."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
