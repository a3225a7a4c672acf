"""Where a value may have a tensor, each a function that puts one there."""

from __future__ import annotations

import functools
import itertools
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any


def in_an_exception(tensor: Any) -> Any:
    return ValueError(tensor)


def in_a_default(tensor: Any) -> Any:
    return lambda tensor=tensor: tensor


def in_a_keyword_default(tensor: Any) -> Any:
    def function(*, tensor: Any = tensor) -> Any:
        return tensor

    return function


def in_a_generator(tensor: Any) -> Any:
    def generator(tensor: Any) -> Iterator[Any]:
        yield
        yield tensor

    made = generator(tensor)
    next(made)
    return made


def in_a_cached_function(tensor: Any) -> Any:
    @functools.lru_cache
    def function() -> Any:
        return found.pop()

    found = [tensor]
    function()
    return function


def in_a_thread_local(tensor: Any) -> Any:
    local = threading.local()
    local.tensor = tensor
    return local


def in_a_queue(tensor: Any) -> Any:
    made: queue.Queue[Any] = queue.Queue()
    made.put(tensor)
    return made


def in_a_future(tensor: Any) -> Any:
    future: Future[Any] = Future()
    future.set_result(tensor)
    return future


def in_a_weak_dictionary(tensor: Any) -> Any:
    key, made = threading.Event(), weakref.WeakKeyDictionary[Any, Any]()
    made[key] = tensor
    return [key, made]


def in_a_partials_attribute(tensor: Any) -> Any:
    function: Any = functools.partial(print)
    function.tensor = tensor
    return function


HIDING_PLACES: dict[str, Callable[[Any], Any]] = {
    "bound method of C": lambda tensor: tensor.add,
    "dict's method": lambda tensor: {1: tensor}.get,
    "dict's view": lambda tensor: {1: tensor}.values(),
    "iterator": lambda tensor: iter([tensor]),
    "cycle": lambda tensor: itertools.cycle([tensor]),
    **{
        function.__name__.removeprefix("in_a_").removeprefix("in_an_"): function
        for function in (
            *(in_an_exception, in_a_default, in_a_keyword_default, in_a_generator),
            *(in_a_cached_function, in_a_thread_local, in_a_queue, in_a_future),
            *(in_a_weak_dictionary, in_a_partials_attribute),
        )
    },
}

# What has one there may be the program's: only what shares bytes with the rest is the value's.
SHARED = {"cached_function", "exception", "future", "queue", "thread_local"}
