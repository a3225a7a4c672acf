"""``@warm`` on classes: everything about the class is as without the decorator."""

from __future__ import annotations

import abc
import copy
import gc
import inspect
import pickle
import pydoc
from typing import Any, ClassVar, TypeVar

import pytest
from interpreters import forgets_classes

import warmcache
from warmcache import RemovalCause, warm

T = TypeVar("T")


class Base:
    registered: ClassVar[list[Any]] = []

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__()
        Base.registered = [c for c in Base.registered if c.__qualname__ != cls.__qualname__]
        Base.registered.append(cls)

    def hello(self) -> str:
        return "base"


@warm(policy="lru", maxsize=3)
class Model(Base):
    """A model.

    >>> Model("a") is Model("a")
    True
    """

    #: how many were made
    made = 0

    def __init__(self, name: str, dtype: str = "fp16") -> None:
        super().__init__()
        self.name = name
        self.dtype = dtype
        self.scratch = object()
        type(self).made += 1

    def hello(self) -> str:
        return f"{super().hello()} {__class__.__name__} {self.name}"  # type: ignore[name-defined]

    def old_hello(self) -> str:
        return super(Model, self).hello()  # noqa: UP008

    @property
    def nested(self) -> list[str]:
        def inner() -> list[str]:
            return [super(Model, self).hello(), *(f() for f in [lambda: __class__.__name__])]  # type: ignore[name-defined]

        return inner()

    @classmethod
    def named(cls, name: str) -> Model:
        return cls(name)

    @staticmethod
    def twice(x: int) -> int:
        return 2 * x

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "scratch"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, scratch=None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class Sub(Model):
    def __init__(self, name: str, more: int = 0) -> None:
        super().__init__(name)
        self.more = more

    def hello(self) -> str:
        return f"sub {super().hello()}"


@warm(policy="lru", maxsize=2)
class WarmSub(Sub):
    """A warm subclass of a subclass of a warm class."""


@pytest.fixture(autouse=True)
def _cold() -> None:
    Model.cache_clear()
    WarmSub.cache_clear()


def test_equal_calls_give_one_instance_and_others_another() -> None:
    made = Model.made
    model = Model("a")

    assert Model(name="a") is model is Model("a", "fp16") and Model("a", "fp32") is not model
    assert made + 2 == Model.made
    assert (2, 2, 3, 2) == Model.cache_info() and Model.contains("a") and Model.peek("a") is model


def test_the_class_stays_a_class() -> None:
    model = Model("a")

    assert isinstance(model, Model) and isinstance(model, Base) and type(model) is Model
    assert issubclass(Model, Base) and isinstance(Model, type) and not isinstance(1, Model)
    assert ("Model", "Model", __name__) == (Model.__name__, Model.__qualname__, Model.__module__)
    assert (Base,) == Model.__bases__ and (Model, Base, object) == Model.__mro__
    assert "<class 'test_warm_classes.Model'>" == repr(Model)
    assert "a" == Model.named("a").name and Model.named("a") is model
    assert 4 == Model.twice(2) == model.twice(2)
    match model:
        case Model(name="a"):
            pass
        case _:
            pytest.fail("no match")


def test_super_means_the_class_in_every_place() -> None:
    model = Model("a")

    assert ("base Model a", "base", ["base", "Model"]) == (
        model.hello(),
        model.old_hello(),
        model.nested,
    )


@forgets_classes
def test_the_original_class_is_forgotten_and_registries_know_the_new_one() -> None:
    gc.collect()
    assert [Model] == [c for c in Base.__subclasses__() if c.__name__ == "Model"]
    assert any(c is Model for c in Base.registered)


def test_signature_docs_help_and_source_are_those_of_the_class() -> None:
    def same(name: str, dtype: str = "fp16") -> None: ...

    assert inspect.signature(same) == inspect.signature(Model)
    assert "(name: 'str', more: 'int' = 0) -> 'None'" == str(inspect.signature(Sub))
    assert str(inspect.signature(Sub)) == str(inspect.signature(WarmSub))
    assert (Model.__doc__ or "").startswith("A model.")
    assert inspect.getsource(Model).startswith('@warm(policy="lru", maxsize=3)\nclass Model')
    shown = pydoc.render_doc(Model, renderer=pydoc.plaintext)
    assert "class Model(Base)" in shown and "A model." in shown and "_warm_call" not in shown


def test_a_wrong_call_fails_as_without_the_decorator() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        Model()  # type: ignore[call-arg]


def test_pickled_and_copied_instances_are_new_ones() -> None:
    model = Model("a")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        twin = pickle.loads(pickle.dumps(model, protocol))
        assert twin is not model and twin == model and type(twin) is Model and twin.scratch is None
    for twin in (copy.copy(model), copy.deepcopy(model)):
        assert twin is not model and twin == model and type(twin) is Model
    assert pickle.loads(pickle.dumps(Model)) is Model is copy.deepcopy(Model)
    assert pickle.loads(pickle.dumps(Model("b"))) is not Model.peek("b")
    assert type(pickle.loads(pickle.dumps(WarmSub("a")))) is WarmSub


def test_a_subclass_is_its_own_class_and_makes_new_instances() -> None:
    Model("a")
    sub = Sub("a", 1)

    assert type(sub) is Sub and isinstance(sub, Model) and sub is not Sub("a", 1)
    assert "sub base Model a" == sub.hello() and "base" == sub.old_hello()
    assert "a" == Sub.named("a").name and type(Sub.named("a")) is Sub
    for name in ("lease", "cache_info", "cache", "evict"):
        with pytest.raises(AttributeError, match=r"Sub.*is not warm itself; decorate it too"):
            getattr(Sub, name)
        assert not hasattr(sub, name)


def test_a_subclass_can_be_warm_itself_and_shares_nothing() -> None:
    sub = WarmSub("a", 1)

    assert WarmSub("a", more=1) is sub and type(sub) is WarmSub
    assert WarmSub.cache is not Model.cache and (1, 1, 2, 1) == WarmSub.cache_info()
    assert "sub base Model a" == sub.hello() and not Model.contains("a")


def test_two_warm_classes_can_have_a_common_subclass() -> None:
    @warm
    class Left:
        pass

    @warm
    class Right(metaclass=abc.ABCMeta):  # noqa: B024
        def __init__(self) -> None:
            self.right = True

    class Both(Left, Right):
        pass

    assert Left() is Left() and Right() is Right()
    assert type(Both()) is Both and Both() is not Both() and Both().right


def test_lease_evict_and_teardown_work_on_a_class() -> None:
    closed: list[Any] = []

    @warm(policy="lru", maxsize=1, teardown="close")
    class Connection:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            closed.append(self.name)

    with Connection.lease("a") as connection:
        assert connection is Connection("a")
        Connection.evict("a")
        assert [] == closed
    assert ["a"] == closed
    Connection.warm_up(["b", "c"])
    assert ["a", "b"] == closed
    [removal] = Connection.evict("c")
    assert RemovalCause.EXPLICIT is removal.cause and "Connection('c')" == repr(removal.key)
    assert Connection.cache_key("c") == removal.key
    with warmcache.no_load(), pytest.raises(warmcache.WarmMissError):
        Connection("d")
    with warmcache.disabled():
        assert Connection("d") is not Connection("d")


def test_a_class_attribute_called_as_ours_is_the_classs_own() -> None:
    @warm
    class Flat:
        lease = "until May"

        @classmethod
        def cache(cls) -> str:
            return "under the doormat"

        def evict(self) -> str:
            return "tomorrow"

    flat = Flat()
    assert flat is Flat()
    assert ("until May", "until May", "under the doormat") == (
        Flat.lease,
        flat.lease,
        Flat.cache(),
    )
    assert "tomorrow" == flat.evict() == Flat.evict(flat)
    assert (1, 1) == Flat.cache_info()[:2]
