"""Connections that may die: one for each database, checked before each use.

It prints::

    opened inventory
    there are 2 parts
    there are 2 parts
    closed inventory because: invalid
    opened inventory
    there are 0 parts
    closed inventory because: closed
"""

import sqlite3
from dataclasses import dataclass

from warmcache import Removal, warm


@dataclass
class Database:
    """A connection and the name it was opened under."""

    name: str
    connection: sqlite3.Connection

    def alive(self) -> bool:
        """Whether the connection still answers."""
        try:
            self.connection.execute("select 1")
        except sqlite3.Error:
            return False
        return True

    def close(self) -> None:
        """Close the connection."""
        print("closed", self.name, end=" ")
        self.connection.close()


def report(removal: Removal) -> None:
    """Say why a connection left; it is closed by now."""
    print("because:", removal.cause.value)


@warm(policy="lru", maxsize=4, teardown="close", validate=Database.alive, on_removal=report)
def database(name: str) -> Database:
    """Return the database called ``name``."""
    print("opened", name)
    connection = sqlite3.connect(":memory:")
    connection.execute("create table parts (name text)")
    return Database(name, connection)


def count(name: str) -> None:
    """Print how many parts there are; nobody can close the connection meanwhile."""
    with database.lease(name) as leased:
        [(number,)] = leased.connection.execute("select count(*) from parts")
        print(f"there are {number} parts")


def main() -> None:
    """Use one connection twice, lose it, and get another."""
    with database.lease("inventory") as leased:
        leased.connection.execute("insert into parts values ('bolt'), ('nut')")
    count("inventory")
    count("inventory")
    leased.connection.close()  # as a server would that restarts
    count("inventory")


if __name__ == "__main__":
    main()
