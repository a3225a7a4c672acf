"""Who holds what was torn down, in words, and what makes it let go.

The garbage collector says which objects refer to a value. Here they are named as what they are to
their user: a displayed result, the last error, ``server.model``, ``models[0]`` in a function that
runs. What is only part of something else is named by what has that in turn, a few deep at most.

The collector sees only what it tracks. Where it sees nothing that helps, the rest is looked for
from the other side (``untracked.py``).

Invariants: nothing of the user's runs, and nothing is kept, no frame and no snapshot of a
function's variables. Each step takes a walk over all objects, so it is done once for a value, where
that is given up, and never under a lock.
"""

from __future__ import annotations

import functools
import gc
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from warmcache._core.state.entry import Entry
from warmcache._texts import text_of

from .running import frames, is_of_ours, variables
from .untracked import untracked, values, vars_of

_FEW = 4
_DEEP = 5
_WALKS = 12  # over all objects, at most
_INDEXED = (list, tuple, deque)
_CACHED = type(functools.lru_cache(len))
_PARTS: tuple[type, ...] = (  # what is in there has no name of its own
    *(set, frozenset, types.CellType, types.MethodType, types.BuiltinMethodType),
    *(types.MethodWrapperType, _CACHED),
)
_ATOMS = (str, int, bytes, float, type(None))
_HEAP_TYPE = 1 << 9  # a flag of classes that are written in Python
_SUSPENDED = {
    types.GeneratorType: "gi_frame",
    types.CoroutineType: "cr_frame",
    types.AsyncGeneratorType: "ag_frame",
}
_ERRORS = ("last_exc", "last_value", "last_traceback")
_UNSEEN = "a variable of a function that is running, or by a C library"


class Step(NamedTuple):
    """What leads from a thing to what is in there, and whether ``del`` can be said of that."""

    text: str
    deletable: bool = True


class HeldBy(NamedTuple):
    """What holds something: a path that leads to it, what it is called, what makes it let go.

    ``{}`` stands for the path; of what makes it let go, for as much of it as can be deleted. Where
    there is no path, nothing leads further from there.
    """

    path: str
    called: str = "{}"
    remedies: str = ""
    deleted: str | None = None
    entry: Entry | None = None  # that has it, which is warm itself

    @property
    def text(self) -> str:
        what = self.path if self.entry is None else text_of(self.entry.key)
        return self.called.replace("{}", what)

    @property
    def remedy(self) -> str:
        return self.remedies.replace("{}", self.path if self.deleted is None else self.deleted)

    def part(self, step: Step) -> HeldBy:
        """Return what lies in there."""
        if not self.path:
            return self
        path, deleted = self.path + step.text, self.path if self.deleted is None else self.deleted
        return self._replace(path=path, deleted=path if step.deletable else deleted)


def holders_of(objects: Sequence[Any]) -> list[HeldBy]:
    """Return who refers to ``objects``, the first few; those first that can be helped.

    Frames of this package and ``objects`` themselves are no answer.
    """
    few = list(objects[:_FEW])
    search = _Search(objects, few)
    found = search.found(few, _DEEP)
    search.close()
    few.clear()
    found.sort(key=lambda holder: not holder.remedy)
    return found[:_FEW] or [HeldBy("", _UNSEEN)]


def in_words(holders: Iterable[HeldBy]) -> tuple[str, tuple[str, ...]]:
    """Return who holds something, as a part of a sentence, and what to do about it."""
    texts: dict[str, list[str]] = {}
    for holder in holders:
        texts.setdefault(holder.remedy, []).append(holder.text)
    # What one remedy is for, is one: a result has several names.
    named = [" and ".join(sorted(each)) for remedy, each in texts.items() if remedy]
    return ", ".join([*named, *texts.get("", ())]), tuple(filter(None, texts))


class _Search:
    """One search for who refers to something. It must not find what it refers to itself.

    So no function in here may close over what it is looking at.
    """

    def __init__(self, *ours: Any) -> None:
        self._passed_over = {id(each) for each in ours}
        self._left = _WALKS
        self._untracked: list[Any] | None = None

    def close(self) -> None:
        """Forget what it has looked at."""
        self._untracked = None

    def found(self, objects: list[Any], deep: int) -> list[HeldBy]:
        self._left -= 1
        found = _running(objects)
        asked = tuple(objects)  # what the collector is asked with, which refers to them, too
        self._passed_over.add(id(asked))
        found += self._all_named(gc.get_referrers(*asked), objects, deep)
        helps = any(holder.remedy for holder in found)
        if not helps and not all(map(gc.is_tracked, objects)):  # else what has them is tracked, too
            if self._untracked is None:
                self._untracked = untracked()
                self._passed_over.add(id(self._untracked))
            found += self._all_named(_that_have(self._untracked, objects), objects, deep)
        return list(dict.fromkeys(found))

    def _all_named(self, referrers: list[Any], objects: list[Any], deep: int) -> list[HeldBy]:
        """Return what ``referrers`` are to their user, but for those that are passed over."""
        found: list[HeldBy] = []
        self._passed_over |= {id(objects), id(referrers)}
        for holder in referrers:
            if id(holder) not in self._passed_over:
                found += self._named(holder, objects, deep)
        referrers.clear()
        holder = None  # it may be a frame, which must not refer to itself
        return found

    def _named(self, holder: Any, objects: list[Any], deep: int) -> list[HeldBy]:
        """Return what ``holder``, which refers to ``objects``, is to its user."""
        if isinstance(holder, types.FrameType):
            return _of_frame(holder, objects)
        if isinstance(holder, threading.Thread):
            return [_of_thread(holder)]
        if type(holder) is Entry:
            return [HeldBy("", "{}, which is warm", "evict that, too", entry=holder)]
        if isinstance(holder, types.FunctionType):
            return [HeldBy("", f"function {holder.__qualname__}()", "drop that function")]
        frame = _frame_of_suspended(holder)
        if frame is not None:
            return _by_variable(frame, objects, ", which is suspended", "have that end")
        if type(holder) is dict:
            return self._of_dict(holder, objects, deep)
        if _is_ipythons(holder):
            return []  # its own, which keeps what has a name here besides
        return self._inside(holder, _steps(holder, objects), _called(holder), deep)

    def _of_dict(self, holder: dict[Any, Any], objects: list[Any], deep: int) -> list[HeldBy]:
        keys = _keys(holder, objects)
        module = _module_with(holder)
        if module is not None:
            return _of_module(module, keys, objects)
        shell = _shell()
        if shell is not None and holder is shell.user_ns.get("_oh"):
            return [HeldBy(f"Out[{key}]", "{}", _forget_result(shell, objects)) for key in keys]
        if shell is not None and holder is shell.user_ns_hidden:
            return _of_hidden(shell, keys, objects)
        owner = _owner(holder)
        if owner is None:
            return self._inside(holder, _items(keys), "a dict", deep)
        if isinstance(owner, threading.Thread):
            return [_of_thread(owner)]
        if _is_ipythons(owner) or isinstance(owner, types.FrameType):
            return []  # the frame itself is found, too
        return self._inside(owner, _attributes(owner, keys), _called(owner), deep)

    def _inside(self, whole: Any, steps: list[Step], name: str, deep: int) -> list[HeldBy]:
        """Return what ``whole`` is part of, with the ``steps`` from there; else by its ``name``."""
        if isinstance(whole, type):
            return _of_class(whole, steps)
        if deep and steps and self._left > 0:
            known = [each for each in self.found([whole], deep - 1) if each.remedy]
            if known:  # of Out[3] and _, the name that stays
                outer = min(known, key=lambda each: each.path.startswith("_"))
                if type(whole) is _CACHED and "`del {}`" in outer.remedies:
                    outer = outer._replace(remedies="`{}.cache_clear()`")
                return [outer.part(step) for step in steps]
        attribute = steps[0].text[1:] if steps and steps[0].text.startswith(".") else ""
        return [HeldBy("", f"attribute {attribute!r} of {name}" if attribute else name)]


def _steps(holder: Any, objects: list[Any]) -> list[Step]:
    """Return what leads from ``holder`` to ``objects``."""
    if isinstance(holder, _INDEXED):
        deletable = not isinstance(holder, tuple)
        places = [at for at, each in enumerate(holder) if _is_one_of(each, objects)]
        return [Step(f"[{at}]", deletable) for at in places]
    if isinstance(holder, _PARTS):
        return [Step("")]
    if type(holder) is functools.partial:
        parts = {"func": holder.func, "args": holder.args, "keywords": holder.keywords}
        return [Step(f".{name}", deletable=False) for name in _keys(parts, objects)]
    found = _items(_keys(holder, objects)) if isinstance(holder, dict) else []
    found += _attributes(holder, _keys(vars_of(holder) or {}, objects))
    for kind in type(holder).__mro__:
        for name, slot in list(vars(kind).items()):
            if isinstance(slot, types.MemberDescriptorType):
                try:
                    held = slot.__get__(holder)
                except (AttributeError, TypeError):
                    continue
                deletable = bool(kind.__flags__ & _HEAP_TYPE) and not _is_frozen(holder)
                found += [Step(f".{name}", deletable)] if _is_one_of(held, objects) else []
    return found


def _items(keys: list[Any]) -> list[Step]:
    """Return what leads from a dict to what it has by ``keys``, which only some can write."""
    return [Step(f"[{key!r}]") if _is_written(key) else Step("[...]", False) for key in keys]


def _is_written(key: Any) -> bool:
    return type(key) in _ATOMS or (type(key) is tuple and all(map(_is_written, key)))


def _attributes(owner: Any, names: list[Any]) -> list[Step]:
    deletable = not _is_frozen(owner)
    return [Step(f".{name}", deletable) for name in names]


def _is_frozen(owner: Any) -> bool:
    """Whether ``owner`` is of a dataclass whose attributes cannot be deleted."""
    return bool(getattr(getattr(type(owner), "__dataclass_params__", None), "frozen", False))


def _that_have(containers: list[Any], objects: list[Any]) -> list[Any]:
    wanted = {id(each) for each in objects}
    return [each for each in containers if not wanted.isdisjoint(map(id, values(each)))]


def _of_module(module: str, names: list[Any], objects: list[Any]) -> list[HeldBy]:
    shell = _shell()
    found = []
    for name in names:
        if shell is not None and module == "__main__" and _is_result(name):
            if name in _LAST_RESULTS:  # the others are Out's
                found.append(HeldBy(name, "{}", _forget_result(shell, objects)))
        elif module == "builtins" and name == "_":
            found.append(HeldBy(name, "{}, the last result", "evaluate something else, as `0`"))
        elif module == "__main__":
            found.append(HeldBy(name, "__main__.{}", "`del {}`"))
        else:
            found.append(HeldBy(f"{module}.{name}", "{}", "`del {}`"))
    return found


def _of_class(cls: type, attributes: list[Step]) -> list[HeldBy]:
    module = "" if cls.__module__ == "__main__" else f"{cls.__module__}."
    name = f"{module}{cls.__qualname__}"
    return [HeldBy(f"{name}{each.text}", "{}", "`del {}`") for each in attributes]


def _of_thread(thread: threading.Thread) -> HeldBy:
    return HeldBy("", f"thread {thread.name!r}", "wait for that thread to end")


# -- functions -------------------------------------------------------------------------


def _of_frame(frame: types.FrameType, objects: list[Any]) -> list[HeldBy]:
    """Return what a frame is that does not run: a traceback has it."""
    if is_of_ours(frame):
        return []
    last = _last_errors()
    if any(frame is failed for failed in _frames_of(last.values())):
        forget = " = ".join([*last, "None"])
        return [HeldBy("", f"the last error, {next(iter(last))}", f"`{forget}`")]
    return _by_variable(frame, objects, ", which a traceback keeps", "drop that error")


def _by_variable(
    frame: types.FrameType, objects: list[Any], state: str, remedy: str
) -> list[HeldBy]:
    called = f"{{}} in {frame.f_code.co_qualname}(){state}"
    return [HeldBy(name, called, remedy) for name in _keys(dict(variables(frame)), objects)]


def _running(objects: list[Any]) -> list[HeldBy]:
    """Return which running functions have a variable that is one of ``objects``."""
    threads = {thread.ident: thread.name for thread in threading.enumerate()}
    here, found = threading.get_ident(), list[HeldBy]()
    for number, frame in frames():
        thread = "" if number == here else f" (thread {threads.get(number, number)!r})"
        found += _by_variable(frame, objects, thread, "`del {}` there")
    return found


def _last_errors() -> dict[str, Any]:
    """Return by what names the last error, or its traceback, is kept for debuggers."""
    names = {f"sys.{name}": getattr(sys, name, None) for name in _ERRORS}
    shell = _shell()
    if shell is not None:
        names["get_ipython().InteractiveTB.tb"] = getattr(shell.InteractiveTB, "tb", None)
    return {name: error for name, error in names.items() if error is not None}


def _frames_of(errors: Iterable[Any]) -> Iterator[types.FrameType]:
    pending: list[Any] = list(errors)
    seen: set[int] = set()
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, BaseException):
            pending += [each.__traceback__, each.__cause__, each.__context__]
            pending += getattr(each, "exceptions", ())
        elif isinstance(each, types.TracebackType):
            yield each.tb_frame
            pending.append(each.tb_next)


# -- what things are -------------------------------------------------------------------


def _keys(variables: dict[Any, Any], objects: list[Any]) -> list[Any]:
    known = dict.copy(variables) if isinstance(variables, dict) else variables.copy()
    return [key for key, held in known.items() if _is_one_of(held, objects)]


def _module_with(variables: dict[str, Any]) -> str | None:
    for module in list(sys.modules.values()):
        if vars_of(module) is variables:
            return str(module.__name__)
    return None


def _owner(variables: dict[str, Any]) -> Any:
    """Return the object or the class that has these ``variables``, if one has."""
    for owner in gc.get_referrers(variables):
        if vars_of(owner) is variables or isinstance(owner, types.FrameType):
            return owner
        if isinstance(owner, type) and variables.keys() == vars(owner).keys():
            return owner
    return None


def _frame_of_suspended(holder: Any) -> types.FrameType | None:
    kind = type(holder)
    for each, attribute in _SUSPENDED.items():
        if kind is each:
            return getattr(holder, attribute)  # type: ignore[no-any-return]
    return None


def _is_one_of(thing: Any, objects: list[Any]) -> bool:
    return any(thing is each for each in objects)


def _called(thing: Any) -> str:
    if type(thing).__name__.startswith("hamt"):  # which only contexts are made of
        return "a context variable"
    return f"a {type(thing).__qualname__}"


def _short(key: Any) -> str:
    return repr(key) if isinstance(key, str | int) else "..."


def _is_ipythons(thing: Any) -> bool:
    return str(type(thing).__module__).startswith("IPython.")


# -- IPython, which keeps what it has shown --------------------------------------------

_LAST_RESULTS = ("_", "__", "___")


def _shell() -> Any:
    """Return the shell of IPython, if this process runs one."""
    known: Callable[[], Any] | None = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return known() if known is not None else None


def _is_result(name: Any) -> bool:
    return name in _LAST_RESULTS or (name[:1] == "_" and name[1:].isdigit())


def _forget_result(shell: Any, objects: list[Any]) -> str:
    """Return what makes the shell forget a result that it has shown.

    To flush its cache leaves what is one of the last three: it has those in a second dictionary.
    """
    numbers = _keys(shell.user_ns.get("_oh", {}), objects)
    named = [name for name in _keys(shell.user_ns, objects) if name in _LAST_RESULTS]
    forget = f"run `%xdel {f'_{numbers[0]}' if numbers else named[0]}`" if numbers or named else ""
    if any(name in _LAST_RESULTS for name in _keys(shell.user_ns_hidden, objects)):
        return f"{forget} (`%reset -f out` leaves what is in _, __ and ___)"
    return f"{forget} or `%reset -f out`"


def _of_hidden(shell: Any, names: list[str], objects: list[Any]) -> list[HeldBy]:
    """Return what only the shell's second dictionary has, as after ``%reset -f out``."""
    if _keys(shell.user_ns, objects):
        return []
    remedy = "`del get_ipython().user_ns_hidden['{}']`"
    return [HeldBy(name, "{}, a result that IPython has hidden", remedy) for name in names]
