"""A ``validate`` that raises: which exceptions say that a value is not good."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

import pytest

from warmcache import RemovalCause, warm
from warmcache.testing import assert_consistent


class Connection:
    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.closed = 0

    def ping(self) -> bool:
        if self.error is not None:
            raise self.error
        return True

    def close(self) -> None:
        self.closed += 1


def connecting(**options: Any) -> Any:
    @warm(policy="lru", maxsize=2, teardown="close", **options)
    def connect(host: str) -> Connection:
        return Connection()

    return connect


@pytest.mark.parametrize(
    "error", [OSError("gone"), ValueError(), StopIteration(), type("Own", (Exception,), {})()]
)
def test_a_check_that_raises_means_that_the_value_is_torn_down_and_loaded_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    connect = connecting(validate=Connection.ping)
    first = connect("a")
    first.error = error
    second = connect("a")

    assert second is not first and 1 == first.closed and 0 == second.closed
    assert {RemovalCause.INVALID: 1} == connect.cache.stats().removals
    assert f"validate of {connect.cache_key('a')!r} raised" in caplog.text
    assert_consistent(connect.cache)


@pytest.mark.parametrize("errors", [OSError, (KeyError, OSError)])
def test_only_the_errors_that_were_named_mean_that(errors: Any) -> None:
    connect = connecting(validate=Connection.ping, validate_errors=errors)
    first = connect("a")
    first.error = ConnectionError("gone")
    second = connect("a")
    assert second is not first

    second.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        connect("a")
    assert connect.peek("a") is second and 0 == second.closed
    assert [0] == [entry.leases for entry in connect.cache.entries()]


@pytest.mark.parametrize("error", [OSError(), StopIteration()])
def test_where_no_errors_are_named_all_reach_the_caller(error: Exception) -> None:
    connect = connecting(validate=Connection.ping, validate_errors=())
    first = connect("a")
    first.error = error
    with pytest.raises(type(error)):
        connect("a")
    assert connect.peek("a") is first


def test_an_interrupt_of_the_check_reaches_the_caller_and_the_value_stays() -> None:
    connect = connecting(validate=Connection.ping)
    first = connect("a")
    first.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        connect("a")
    assert connect.peek("a") is first
    assert [0] == [entry.leases for entry in connect.cache.entries()]


def test_what_the_check_raised_keeps_nothing_alive() -> None:
    def check(connection: Connection) -> bool:
        raise OSError("gone")

    connect = connecting(validate=check)
    watch = weakref.ref(connect("a"))
    connect("a")
    assert watch() is None


@pytest.mark.parametrize(
    "errors", [3, "OSError", OSError(), BaseException, [OSError], (OSError, 3)]
)
def test_what_names_no_exceptions_is_refused(errors: Any) -> None:
    with pytest.raises(TypeError, match="validate_errors must be a class of exceptions"):
        connecting(validate=Connection.ping, validate_errors=errors)


def test_a_validation_that_needs_the_room_of_what_it_validates_is_refused_at_once() -> None:
    @warm(policy="lru", maxsize=1, validate=lambda value: load("b"), validate_errors=())
    def load(name: str) -> str:
        return name

    load("a")
    with pytest.raises(ValueError, match="only the caller itself"):
        load("a")


# -- async -----------------------------------------------------------------------------


class AsyncConnection(Connection):
    async def ping(self) -> bool:  # type: ignore[override]
        await asyncio.sleep(0)
        return self.error is None or super().ping()


def connecting_async(**options: Any) -> Any:
    @warm(policy="lru", maxsize=2, teardown="close", **options)
    async def connect(host: str) -> AsyncConnection:
        return AsyncConnection()

    return connect


@pytest.mark.parametrize("error", [None, OSError("gone")])
@pytest.mark.parametrize(
    "validate", [AsyncConnection.ping, lambda connection: connection.ping()], ids=["def", "lambda"]
)
async def test_an_async_check_of_an_async_loader_is_awaited(validate: Any, error: Any) -> None:
    connect = connecting_async(validate=validate)
    first = await connect("a")
    assert await connect("a") is first
    async with connect.lease("a") as again:
        assert again is first
    first.error = error or OSError("gone")
    assert await connect("a") is not first and 1 == first.closed
    assert_consistent(connect.cache)


async def test_an_async_check_that_says_no_means_that_the_value_is_loaded_again() -> None:
    async def dead(_: Any) -> bool:
        return False

    connect = connecting_async(validate=dead)
    first = await connect("a")
    assert await connect("a") is not first and 1 == first.closed


async def test_who_is_cancelled_in_an_async_check_holds_nothing_and_the_value_stays() -> None:
    checking = asyncio.Event()

    async def check(_: Any) -> bool:
        checking.set()
        return await asyncio.Event().wait()

    connect = connecting_async(validate=check)
    first = await connect("a")
    task = asyncio.create_task(connect("a"))
    await checking.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connect.peek("a") is first
    assert [0] == [entry.leases for entry in connect.cache.entries()]
