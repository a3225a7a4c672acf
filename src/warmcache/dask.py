"""Warm on Dask: tasks run where what they want is warm, and lease it while they run.

::

    import warmcache.dask as wd

    future = wd.submit(client, answer, "a", question, warm=partial(load, "a"))
    futures = wd.map(client, answer, names, questions, warm=[partial(load, n) for n in names])

``load`` is a loader, and ``answer`` a function that calls it. It takes the extra
``pip install "warmcache[dask]"``, on the scheduler and on workers too.
"""

from __future__ import annotations

import asyncio
import inspect
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from ._engines.wanted import Wanted, one_each
from ._extras import brought_by, how_to_install
from ._public import list_public

with brought_by("dask", "dask", "distributed", "tornado", what=__name__):
    from dask import (  # pyright: ignore[reportMissingImports]
        annotate,  # pyright: ignore[reportAttributeAccessIssue]
    )
    from dask.tokenize import tokenize  # pyright: ignore[reportMissingImports]
    from dask.utils import funcname  # pyright: ignore[reportMissingImports]
    from distributed import Client, Future  # pyright: ignore[reportMissingImports]

    from ._engines.dask_scheduler import MARK, WarmScheduler
    from ._engines.dask_worker import WarmWorker, under_lease, under_lease_async

__all__ = ["install", "map", "submit"]

list_public(globals())


def install(client: Client) -> Any:
    """Have the cluster of ``client`` route marked tasks, and close caches as workers end.

    It registers a plugin with the scheduler and one with all workers, present and future.
    Doing so again changes nothing. :func:`submit` and :func:`map` do so by themselves, once for
    each client. With an asynchronous client, await what it returns, before they do.
    """
    _clients.add(client)
    registered = [client.register_plugin(plugin) for plugin in (WarmWorker(), WarmScheduler())]
    return asyncio.gather(*registered) if client.asynchronous else None


_clients: weakref.WeakSet[Any] = weakref.WeakSet()  # for which it was tried


def _install_once(client: Client) -> None:
    """Install what routes, unless this was tried; tasks run without it, and that is said once."""
    if client in _clients:
        return
    try:
        installing = install(client)
    except Exception as error:
        _warn_of(error)
        return
    if installing is not None:
        warnings.warn(
            "Dask alone decides where the first tasks run, for what routes them is only being "
            "installed: await warmcache.dask.install(client) before the first task",
            stacklevel=3,
        )
        installing.add_done_callback(_told)


def _told(installing: asyncio.Future[Any]) -> None:
    if not installing.cancelled() and (error := installing.exception()) is not None:
        _warn_of(error)


def _warn_of(error: BaseException) -> None:
    warnings.warn(
        f"Dask alone decides where tasks run, for what routes them cannot be installed: "
        f"{type(error).__name__}: {error}; the scheduler and the workers need warmcache, too: "
        f"{how_to_install('dask')}",
        stacklevel=4,
    )


def submit(
    client: Client, function: Callable[..., Any], /, *args: Any, warm: Any, **kwargs: Any
) -> Future:
    """Submit a task, as ``client.submit`` does, that runs where ``warm`` is warm.

    The task leases it for as long as it runs, and loads it first if need be, so that
    ``function`` finds it warm and nobody tears it down meanwhile.

    Args:
        client: the client of a cluster, on which :func:`install` is called if it was not.
        function: what to call; an ``async`` one if the loader is.
        args: for ``function``.
        warm: a call of a loader, as ``functools.partial(load, "a")``, or a loader that needs
            no arguments.
        kwargs: for ``client.submit`` (``key``, ``pure``, ``retries``, ...), or else for
            ``function``. With ``workers`` or ``resources``, Dask alone decides.

    Raises:
        TypeError: ``warm`` is not that, or one of loader and function is ``async``.
    """
    wanted = Wanted.of(warm)
    body = _body(function, [wanted])
    _install_once(client)
    if kwargs.get("key") is None:
        kwargs["key"] = _keys(client.submit, function, [wanted], [args], kwargs)[0]
    with annotate(**{MARK: wanted.name}):  # pyright: ignore[reportCallIssue]
        return client.submit(body, kwargs["key"], wanted, function, *args, **kwargs)


def map(
    client: Client, function: Callable[..., Any], /, *iterables: Any, warm: Any, **kwargs: Any
) -> list[Future]:
    """Submit many tasks, as ``client.map`` does, that each run where its ``warm`` is warm.

    Args:
        client: as of :func:`submit`.
        function: what to call with an element of each of ``iterables``.
        iterables: as many as ``function`` takes; the shortest ends it.
        warm: as of :func:`submit`, for all tasks; or several of them, one for each task.
        kwargs: for ``client.map``, or else for ``function``.

    Raises:
        TypeError: as :func:`submit`.
        ValueError: there are not as many of ``warm``, or of ``key``, as tasks.
    """
    calls = [*zip(*iterables, strict=False)]
    wanted = _each(warm, len(calls))
    body = _body(function, wanted)
    if not isinstance(kwargs.get("key"), list):
        kwargs["key"] = _keys(client.map, function, wanted, calls, kwargs)
    if len(kwargs["key"]) != len(calls):
        raise ValueError(f"there are {len(kwargs['key'])} keys for {len(calls)} tasks")
    names = {key: each.name for key, each in zip(kwargs["key"], wanted, strict=True)}
    if not calls:
        return []
    _install_once(client)
    with annotate(**{MARK: names.get}):  # pyright: ignore[reportCallIssue]
        columns = [[*column] for column in zip(*calls, strict=True)]
        functions = [function] * len(calls)
        return client.map(body, kwargs["key"], wanted, functions, *columns, **kwargs)  # type: ignore[no-any-return]


def _each(warm: Any, count: int) -> list[Wanted]:
    """Return what each of ``count`` tasks wants; what many want is made once."""
    each, made = one_each(warm, count), dict[int, Wanted]()
    return [made.get(id(one)) or made.setdefault(id(one), Wanted.of(one)) for one in each]


def _body(function: Callable[..., Any], wanted: Iterable[Wanted]) -> Callable[..., Any]:
    is_async = inspect.iscoroutinefunction(function)
    for each in wanted:
        if each.is_async != is_async:
            raise TypeError(
                f"{each.name} is of {'an' if each.is_async else 'no'} async loader, and "
                f"{funcname(function)}() is {'an' if is_async else 'no'} async function; "
                f"a task can lease it only if both are, or none"
            )
    return under_lease_async if is_async else under_lease


def _keys(
    method: Callable[..., Any],
    function: Callable[..., Any],
    wanted: list[Wanted],
    calls: list[Any],
    kwargs: dict[str, Any],
) -> list[str]:
    """Return keys for tasks as Dask makes them: of one meaning if pure, or else all unique."""
    options = inspect.signature(method).parameters
    prefix = kwargs.get("key") or funcname(function)
    if not kwargs.get("pure", options["pure"].default):
        return [f"{prefix}-{uuid.uuid4()}" for _ in calls]
    own = {name: value for name, value in kwargs.items() if name not in options}
    token = tokenize(function, own)
    return [
        f"{prefix}-{tokenize(token, each.loader, each.args, each.kwargs, *call)}"
        for each, call in zip(wanted, calls, strict=True)
    ]
