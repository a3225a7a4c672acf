"""What a loader's code means: an edit of what it runs is another, an edit of its looks is not."""

from __future__ import annotations

import ast
import linecache
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from written_packages import Packages

from warmcache import KeyingError, warm
from warmcache._disk.code_digest import code_digest
from warmcache._disk.syntax import Stripped, encoded

HELPERS = """
    import functools
    import logging
    import threading
    from dataclasses import dataclass
    from enum import Enum

    SIZE = 3
    TABLE = {"a": [1, 2], "b": (3,)}
    logger = logging.getLogger("app")
    lock = threading.Lock()

    class Colour(Enum):
        RED = 1

    @dataclass
    class Settings:
        layers: int = 2

        def depth(self):
            return self.layers * SIZE

    class Base:
        width = 4

        def inherited(self):
            return self.width

    class Model(Base):
        def run(self, x):
            return twice(x) + self._hidden() + self.__private()

        def _hidden(self):
            return 1

        def __private(self):
            return 2

        @property
        def shown(self):
            return 5

        @classmethod
        def made(cls):
            return cls()

    def twice(x, times=2):
        return x * times

    @functools.lru_cache
    def kept(x):
        return x + 6

    def again(times):
        def decorate(function):
            @functools.wraps(function)
            def called(*args):
                return [function(*args) for _ in range(times)]
            return called
        return decorate

    @again(7)
    def repeated(x):
        return x + 8

    def adder(by):
        return lambda x: x + by

    nine, ten = adder(9), adder(10)
    CHOICES = {"nine": nine, "ten": ten, "eleven": functools.partial(twice, times=11)}
"""
MAIN = """
    from app import helpers
    from app.helpers import CHOICES, SIZE, TABLE, Model, Settings, kept, lock, logger, repeated

    WIDE = 100

    def load(name, scale=12):
        logger.info("loading")
        with lock:
            model = Model().run(kept(SIZE)) + repeated(TABLE["a"][0])
        return helpers.twice(model) + Settings().depth() + CHOICES[name](scale) + inner(name)

    def inner(name):
        from .late import lazily
        import app.later as later
        return [lazily(x) + later.deeper(x) + WIDE for x in name] + [helpers.Colour.RED]

    class Loader:
        offset = 13

        def __init__(self, base):
            self.base = base

        def load(self, name):
            return self._built(name) + self.base

        def _built(self, name):
            return name * self.offset

        def unused(self):
            return 14
"""
FILES = {
    "helpers": HELPERS,
    "late": "def lazily(x):\n    return x + 15\n",
    "later": "def deeper(x):\n    return x + 16\n",
}
EDITS = [  # of which file, what, and by what it is replaced
    ("main", "scale=12", "scale=121"),
    ("main", '"loading"', '"loads"'),
    ("main", "WIDE = 100", "WIDE = 101"),
    ("main", "CHOICES[name](scale) +", "CHOICES[name](scale) -"),
    ("main", "for x in name]", "for x in name if x]"),
    ("helpers", "SIZE = 3", "SIZE = 3.0"),
    ("helpers", '"a": [1, 2]', '"a": (1, 2)'),
    ("helpers", "self.layers * SIZE", "self.layers + SIZE"),
    ("helpers", "layers: int = 2", "layers: int = 3"),
    ("helpers", "layers: int", "layers: float"),
    ("helpers", "RED = 1", "RED = 2"),
    ("helpers", "return self.width", "return -self.width"),
    ("helpers", "width = 4", "width = 44"),
    ("helpers", "twice(x) + self._hidden()", "self._hidden() + twice(x)"),
    ("helpers", "return 1\n", "return 11\n"),
    ("helpers", "return 2\n", "return 22\n"),
    ("helpers", "return 5", "return 55"),
    ("helpers", "return cls()", "return None"),
    ("helpers", "times=2", "times=3"),
    ("helpers", "return x * times", "return times + x"),
    ("helpers", "x + 6", "x + 66"),
    ("helpers", "range(times)", "range(times + 1)"),
    ("helpers", "@again(7)", "@again(77)"),
    ("helpers", "x + 8", "x + 88"),
    ("helpers", "lambda x: x + by", "lambda x: by + x"),
    ("helpers", "adder(9), adder(10)", "adder(10), adder(9)"),
    ("helpers", '"nine": nine, "ten": ten', '"nine": ten, "ten": nine'),
    ("helpers", "times=11", "times=12"),
    ("late", "15", "151"),
    ("later", "16", "161"),
]
LOOKS = [
    ("main", "\n    WIDE", "\n\n\n    # how wide\n    WIDE"),
    ("main", "scale=12):", "scale: int = 12) -> list[int]:"),
    ("main", "(name, scale=12):\n", '(name,\n        scale=12):\n        """Load."""\n'),
    ("main", "        with lock:", "        # one at a time\n        with (lock):"),
    ("main", "model = Model()", "model: object = Model()"),
    ("helpers", "def run(self, x):", 'def run(self, x: int):\n            "Run it."\n'),
    ("helpers", "class Base:", 'class Base:\n        """What models share."""\n'),
    ("helpers", "SIZE = 3\n", "SIZE = (0x3)  # layers\n"),
    ("helpers", '"a": [1, 2], "b": (3,)', '"b": (3,), "a": [1, 2]'),
    ("helpers", '@again(7)\n', '@again(\n        7\n    )\n'),
    ("helpers", "def twice(x,", "def _unused():\n        pass\n\n    def twice(x,"),
    ("late", "def lazily(x):\n", 'def lazily(x):\n    """Think first."""\n'),
]  # fmt: skip


def _edited(file: str, old: str, new: str) -> dict[str, str]:
    files = {"main": MAIN, **FILES}
    assert old in files[file]
    return files | {file: files[file].replace(old, new)}


def _digest(packages: Packages, files: dict[str, str], what: str = "load") -> str:
    rest = {name: text for name, text in files.items() if name != "main"}
    return packages.digest(files["main"], what, **rest)


@pytest.mark.parametrize(("file", "old", "new"), EDITS)
def test_an_edit_of_what_it_runs_is_another_digest(
    packages: Packages, file: str, old: str, new: str
) -> None:
    before = packages.digest(MAIN, **FILES)
    assert before != _digest(packages, _edited(file, old, new))


@pytest.mark.parametrize(("file", "old", "new"), LOOKS)
def test_an_edit_of_its_looks_is_the_same_digest(
    packages: Packages, file: str, old: str, new: str
) -> None:
    before = packages.digest(MAIN, **FILES)
    assert before == _digest(packages, _edited(file, old, new))


def test_what_it_does_not_read_does_not_count(packages: Packages) -> None:
    before = packages.digest(MAIN, **FILES)
    assert before == packages.digest(f"{MAIN}\n    OTHER = object\n", **FILES)
    assert before == packages.digest(MAIN, other="SIZE = 4", **FILES)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("name * self.offset", "name + self.offset", False),
        ("offset = 13", "offset = 131", False),
        ("return 14", "return 141", True),  # a method that it does not call
    ],
)
def test_of_a_method_what_it_reads_of_its_class_counts(
    packages: Packages, old: str, new: str, same: bool
) -> None:
    before = packages.digest(MAIN, "Loader.load", **FILES)
    assert same == (before == _digest(packages, _edited("main", old, new), "Loader.load"))


def test_decorators_of_ours_do_not_count_and_those_of_others_do(packages: Packages) -> None:
    plain = packages.digest("def load(x):\n    return x\n")
    ours = """
        import functools
        import warmcache
        from warmcache import warm as kept
        cheap = functools.partial(kept, policy="lru")

        @{}
        def load(x):
            return x
    """
    for decorator in ("kept", "kept(maxsize=2)", "warmcache.warm(ttl=9)", "cheap(maxsize=3)"):
        assert plain == packages.digest(ours.format(decorator)), decorator
    other = "def mark(f):\n    return f\n\n@mark\ndef load(x):\n    return x\n"
    assert plain != packages.digest(other)
    assert packages.digest(other) != packages.digest(other.replace("return f", "return (f)(f)"))


def test_another_loader_that_it_calls_counts_by_its_code(packages: Packages) -> None:
    text = """
        from warmcache import warm

        @warm(maxsize={})
        def part(x):
            return x + {}

        class Maker:
            @warm
            def made(self, x):
                return x + {}

        def load(x):
            return part(x) + Maker().made(x)
    """
    before = packages.digest(text.format(1, 2, 3))
    assert before == packages.digest(text.format(9, 2, 3))
    assert before != packages.digest(text.format(1, 9, 3))
    assert before != packages.digest(text.format(1, 2, 9))


def test_annotations_count_where_something_reads_them(packages: Packages) -> None:
    seen = """
        def checked(f):
            return f

        @checked
        def load(x: {}) -> int:
            return x
    """
    assert packages.digest(seen.format("int")) != packages.digest(seen.format("float"))


def test_no_chain_of_helpers_is_too_long(packages: Packages) -> None:
    chain = "".join(f"def f{at}(x):\n    return f{at + 1}(x)\n\n" for at in range(999))
    text = chain + "def f999(x):\n    return x + {}\n\ndef load(x):\n    return f0(x)\n"
    assert packages.digest(text.format(1)) == packages.digest(text.format(1))
    assert packages.digest(text.format(1)) != packages.digest(text.format(2))


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize(
    "base", ["object", "typing.NamedTuple", "pydantic.BaseModel", "enum.Enum", "typing.Protocol"]
)
def test_an_edit_of_a_class_that_it_reads_is_another_digest(
    packages: Packages, base: str, future: str
) -> None:
    text = f"""{future}
import enum, pydantic, typing

class Read({base}):
    x: int = 3

    def run(self):
        return 4

def load(x):
    return Read
"""
    found = [text, text.replace("= 3", "= 33"), text.replace("4", "44")]
    found += [text.replace("int", "str")] if base not in ("enum.Enum",) else []
    assert len(found) == len({*map(packages.digest, found)})
    assert packages.digest(text) == packages.digest(text.replace("4", "4  # four"))


def test_what_is_registered_for_a_type_counts(packages: Packages) -> None:
    text = """
        import functools

        @functools.singledispatch
        def of(x):
            return x

        @of.register
        def _(x: int):
            return x + {}

        def load(x):
            return of(x)
    """
    assert packages.digest(text.format(1)) == packages.digest(text.format(1))
    assert packages.digest(text.format(1)) != packages.digest(text.format(2))


def test_functions_that_call_each_other_have_a_digest(packages: Packages) -> None:
    text = """
        def load(x):
            return other(x - 1) if x else 0

        def other(x):
            return load(x - {}) if x else 1
    """
    assert packages.digest(text.format(1)) == packages.digest(text.format(1))
    assert packages.digest(text.format(1)) != packages.digest(text.format(2))


def test_what_has_no_order_has_one_digest(packages: Packages) -> None:
    text = """
        def one(x): return x + 1
        def two(x): return one(x) + 2
        def three(x): return two(x) + {}
        CHOICES = {{one, two, three}}
        TABLE = {{{}}}

        def load(x):
            return [each(x) for each in CHOICES] + [*TABLE]
    """
    rows = ["'a': one", "'b': two", "'c': three"]
    found = {packages.digest(text.format(3, ", ".join(order))) for order in (rows, rows[::-1])}
    assert 1 == len(found)
    assert found != {packages.digest(text.format(4, ", ".join(rows)))}


# -- what has no digest, and what is known by its name ---------------------------------


@pytest.mark.parametrize(
    ("constant", "named"),
    [
        ("open", None),  # built in
        ("Client()", "CLIENT: a app.main.Client"),
        ("[Client()]", r"CLIENT\[0\]: a app.main.Client"),
        ("{'a': {'b': Client()}}", r"CLIENT\['a'\]\['b'\]: a app.main.Client"),
        ("lambda: Client()", None),
        ("Client", None),
        ("(x for x in [])", "CLIENT: a generator"),
    ],
)
def test_a_constant_that_cannot_be_told_from_others_is_refused(
    packages: Packages, constant: str, named: str | None
) -> None:
    text = f"class Client:\n    pass\n\nCLIENT = {constant}\n\ndef load(x):\n    return CLIENT, x\n"
    if named is None:
        assert packages.digest(text)
        return
    with pytest.raises(KeyingError, match=f"the code of load, {named} cannot be told.*code=False"):
        packages.digest(text)


@pytest.mark.parametrize(
    "constant",
    [
        "numpy",
        "numpy.exp",
        "numpy.zeros",
        "numpy.float32",
        "numpy.arange(3)",
        "re.compile('a')",
        "logging.getLogger('a')",
        "os.environ",
        "object()",
        "threading.RLock()",
        "contextvars.ContextVar('a')",
        "typing.TypeVar('a')",
        "list[int] | None",
        "types.MappingProxyType({1: 2})",
        "enum.Enum('Made', 'A B')",
        "collections.namedtuple('Made', 'a b')",
        "dataclasses.make_dataclass('Made', ['a'])",
        "functools.partial(os.fspath, 'a')",
        "random.Random",
        "math.sqrt",
        "str.upper",
        "datetime.timezone.utc",
    ],
)
def test_what_is_often_read_has_a_digest(packages: Packages, constant: str) -> None:
    modules = "collections contextvars dataclasses datetime enum functools logging math numpy os"
    text = f"""
        import {", ".join(f"{modules} random re threading types typing".split())}
        CONSTANT = {constant}

        def load(x):
            return CONSTANT, x
    """
    assert packages.digest(text) == packages.digest(text)
    assert packages.digest(text) != packages.digest(text.replace(f"T = {constant}", "T = 1"))


def test_constants_of_arrays_are_told_apart(packages: Packages) -> None:
    text = "import numpy\nTABLE = numpy.array({})\n\ndef load(x):\n    return TABLE\n"
    assert packages.digest(text.format([1, 2])) != packages.digest(text.format([1, 3]))


def test_what_is_installed_is_its_name(packages: Packages) -> None:
    text = "from {} import {} as used\n\ndef load(x):\n    return used(x)\n"
    assert packages.digest(text.format("attrs", "define")) == packages.digest(
        text.format("attr", "define")
    )
    assert packages.digest(text.format("attrs", "define")) != packages.digest(
        text.format("attrs", "frozen")
    )


def test_what_its_functions_store_to_does_not_count(packages: Packages) -> None:
    text = """
        class Model:
            made = 0

        _model = Model()
        count = 0

        def load(x):
            return helper(x), _model, count

        def helper(x):
            global _model, count
            count += 1
            _model = Model()
            Model.made += 1
            return x
    """
    main = packages.load({"app/main.py": text})
    before = code_digest(main.load)
    main.load(1)
    assert before == code_digest(main.load)


def test_with_code_false_there_is_none() -> None:
    assert "" == code_digest(lambda: object(), code=False)


# -- where it is written ------------------------------------------------------------------


def test_what_is_edited_while_it_is_loaded_keeps_its_meaning(packages: Packages) -> None:
    text = "SIZE = 1\n\ndef load(x):\n    return x + SIZE\n\ndef kept(x):\n    return x\n"
    main = packages.load({"app/main.py": text})
    file = Path(str(main.__file__))
    file.write_text(text.replace("x + SIZE", "x - SIZE"))
    linecache.clearcache()
    edited = code_digest(main.load)
    assert packages.digest(text) != edited != packages.digest(file.read_text())
    assert packages.digest(text, "kept") == code_digest(main.kept)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return 1", "return 2"),
        ("size = 3", "size = 4"),
        ("width: int", "width: float"),
        ("def run(self)", "def go(self):\n        pass\n\n    def run(self)"),
    ],
)
def test_a_class_that_is_edited_while_it_is_loaded_keeps_its_meaning(
    packages: Packages, old: str, new: str
) -> None:
    text = """class Model:
    size = 3
    width: int = 5

    def run(self):
        return 1


def load(x):
    return Model().run()
"""
    main = packages.load({"app/main.py": text})
    file = Path(str(main.__file__))
    file.write_text(text.replace(old, new))
    linecache.clearcache()
    assert code_digest(main.load) != packages.digest(file.read_text())


def test_lines_that_moved_are_found_again(packages: Packages) -> None:
    text = "def load(x):\n    return [(lambda y: y + 1)(x), (lambda y: y + 2)(x)]\n"
    main = packages.load({"app/main.py": text})
    before = packages.digest(text)
    main = packages.load({"app/main.py": text})
    Path(str(main.__file__)).write_text(f"# a line\n\n\n{text}")
    linecache.clearcache()
    assert before == code_digest(main.load)


def test_lambdas_of_one_line_are_told_apart(packages: Packages) -> None:
    text = (
        "one, two = lambda x: x + 1, lambda x: x + 2\nmake = lambda y: lambda: y\nmade = make(3)\n"
    )
    found = [packages.digest(text, what) for what in ("one", "two", "make", "made")]
    assert 4 == len({*found})
    assert found[0] == packages.digest(
        text.replace("x + 2", "x + 3").replace("\nm", "\n\nm"), "one"
    )
    assert found[3] != packages.digest(text.replace("make(3)", "make(4)"), "made")


def test_functions_of_one_text_are_told_apart_by_what_they_were_made_with(
    packages: Packages,
) -> None:
    text = "def make(by):\n    return lambda x: x + by\n\n"
    text += "made = [make(1), make(2)]\ndefaults = [lambda x, by=by: x + by for by in (1, 2)]\n"
    text += "keywords = [lambda x, *, by=by: x + by for by in (1, 2)]\n"
    for name in ("made", "defaults", "keywords"):
        first, second = (packages.digest(text, f"{name}[{at}]") for at in (0, 1))
        assert first != second
        assert first == packages.digest(text.replace("make(2)", "make(3)"), f"{name}[0]")


def test_texts_that_parsers_split_in_other_ways_are_the_same() -> None:
    def of(*values: ast.expr) -> bytes:
        return encoded(Stripped(lambda _: False).visit(ast.JoinedStr([*values])))

    x = ast.FormattedValue(ast.Name("x"), -1)
    assert of(x, x) == of(x, ast.Constant(""), x)  # as CPython 3.12.1 has a format's
    assert of(ast.Constant("ab"), x) == of(ast.Constant("a"), ast.Constant("b"), x)
    assert of(ast.Constant("a"), x) != of(x, ast.Constant("a"))


def test_what_an_import_hook_rewrites_has_a_digest() -> None:
    def asserting(x: int) -> int:
        assert x == 1  # which pytest compiles to something else
        return x

    def asserting_more(x: int) -> int:
        assert x == 2
        return x

    assert code_digest(asserting) == code_digest(asserting)
    assert code_digest(asserting) != code_digest(asserting_more)


def cell(name: str, text: str, known: dict[str, Any]) -> None:
    """Run a cell as notebooks do, its text known to linecache alone."""
    text = textwrap.dedent(text)
    linecache.cache[name] = len(text), None, text.splitlines(True), name
    exec(compile(text, name, "exec"), known)


CELL = """
    from dataclasses import dataclass

    @dataclass
    class Settings:
        layers: int = {}

    def load(x):
        return Settings(){}
"""


def test_cells_of_a_notebook_are_read_where_they_are_kept(monkeypatch: Any) -> None:
    known: dict[str, Any] = {"__name__": "__main__"}
    main = type(sys)("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(linecache, "cache", dict(linecache.cache))
    known = vars(main)
    digests = []
    edits = [(1, ""), (1, "  # looks"), (2, ""), (2, ".layers"), (1, "")]
    for number, edit in enumerate(edits):
        cell(f"/tmp/ipykernel_1/{number}.py", CELL.format(*edit), known)
        digests.append(code_digest(known["load"]))
    assert digests[0] == digests[1] == digests[4]
    assert 3 == len({*digests})


PROGRAM = """
import sys
from warmcache._disk.code_digest import code_digest
HELP = {"a": 1}
class Thing:
    size = 3
    def run(self): return HELP
def helper(x): return Thing().run(), x + %s
def load(x): return helper(x)
print(code_digest(load))
"""


def _printed(*command: str, **environment: str) -> str:
    known = {**os.environ, **environment}
    return subprocess.check_output([sys.executable, *command], text=True, env=known, timeout=50)


def test_without_a_source_it_is_of_the_bytecode_without_line_numbers() -> None:
    before = _printed("-c", PROGRAM % 1, PYTHONHASHSEED="1")
    assert before == _printed("-c", "\n\n" + PROGRAM % 1, PYTHONHASHSEED="2")
    assert before != _printed("-c", PROGRAM % 2, PYTHONHASHSEED="1")


def test_a_script_and_what_lies_beside_it_count(tmp_path: Path) -> None:
    script, beside = tmp_path / "script.py", tmp_path / "beside.py"
    script.write_text("import beside\n" + (PROGRAM % 1).replace("x + 1", "beside.more(x)"))
    beside.write_text("def more(x):\n    return x + 1\n")
    before = _printed(str(script))
    assert before == _printed(str(script), PYTHONHASHSEED="5", PYTHONDONTWRITEBYTECODE="1")
    beside.write_text("def more(x):\n    return x + 23\n")
    assert before != _printed(str(script))


@warm
def ours(x: int) -> int:
    """Stand for a loader that a test decorates."""
    return x


def test_a_loader_and_its_function_are_one() -> None:
    assert code_digest(ours) == code_digest(ours.__wrapped__)
