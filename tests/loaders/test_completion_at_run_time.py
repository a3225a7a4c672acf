"""What IPython and ``help()`` offer of ``warm`` and of warm classes: they look at what is there."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import warmcache
from warmcache import WarmClass, cli, warm

OFFERED = {"lease", "alease", "cache", "evict", "peek", "contains", "warm_up", "cache_info"}


@warm(maxsize=2)
class Model:
    def __init__(self, name: str) -> None:
        self.name = name


@warm(maxsize=2)
class Typed(WarmClass):
    pass


class Smaller(Model):
    pass


def offered(text: str, *, jedi: bool) -> set[str]:
    """Return what IPython offers at the end of ``text``."""
    shell = InteractiveShell()
    shell.user_ns.update(warm=warm, Model=Model, Typed=Typed)
    shell.Completer.use_jedi = jedi
    with provisionalcompleter():
        return {each.text.lstrip(".") for each in shell.Completer.completions(text, len(text))}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("jedi", [False, True])
def test_the_options_of_warm_are_offered(jedi: bool) -> None:
    assert "maxsize=" in offered("warm(max", jedi=jedi)
    assert "teardown=" in offered("warm(tear", jedi=jedi)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("jedi", [False, True])
@pytest.mark.parametrize("name", ["Model", "Typed"])
def test_what_a_warm_class_can_do_is_offered(name: str, jedi: bool) -> None:
    assert offered(f"{name}.", jedi=jedi) >= OFFERED


def test_of_a_subclass_that_is_not_warm_and_of_an_instance_it_is_not() -> None:
    assert not OFFERED & {*dir(Smaller)} and not OFFERED & {*dir(Model("a"))}


def test_the_signature_of_warm_has_every_option_and_still_takes_any() -> None:
    parameters = inspect.signature(warm).parameters
    every = {*warmcache.policies.registry.options("ttl"), "cache", "policy", "teardown", "key"}
    assert every - {"headroom", "poll", "learn"} >= {"maxsize", "ttl", "budget"}
    for name in ("maxsize", "budget", "device", "ttl", "idle_ttl", "wait", "key", "size", "tags"):
        assert inspect.Parameter.KEYWORD_ONLY is parameters[name].kind
    assert inspect.Parameter.VAR_KEYWORD is [*parameters.values()][-1].kind


def test_the_module_of_the_command_lists_what_is_public() -> None:
    public: Any = [name for name in dir(cli) if not name.startswith("_")]
    assert ["main"] == public
