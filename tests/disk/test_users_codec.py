"""A codec that users write: it gets a folder, and its errors say whose they are."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from coded import coder_of

from warmcache._disk.codecs import CodecError, check_codec, coder_named


class Model:
    def __init__(self, weights: list[int], name: str) -> None:
        self.weights, self.name = weights, name


class Weights:
    """Writes the weights alone; the name is the call's."""

    def dump(self, value: Model, folder: Path) -> None:
        for number, weight in enumerate(value.weights):
            (folder / str(number)).write_text(str(weight))

    def load(self, folder: Path, name: str, *, first: int = 0) -> Model:
        files = sorted(folder.iterdir())[first:]
        return Model([int(file.read_text()) for file in files], name)


class Failing(Weights):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def dump(self, value: Model, folder: Path) -> None:
        (folder / "half").touch()
        raise self.error

    def load(self, folder: Path, name: str, *, first: int = 0) -> Model:
        raise self.error


class Safe(Weights):
    safe = True


def test_it_writes_a_folder_and_reads_it_for_the_call(tmp_path: Path) -> None:
    codec, value = Weights(), Model([1, 2], "a")
    coder = coder_of(value, codec)
    assert coder.dumps(value) is None and coder.size_of(value) is None
    coder.dump(value, tmp_path / "entry")
    found = coder_named(coder.name, codec)
    assert found is not None
    back = found.load(tmp_path / "entry", ("a",), {"first": 1})
    assert ([2], "a") == (back.weights, back.name)


def test_it_keeps_also_what_auto_would_have_kept() -> None:
    assert coder_of([1], Weights()).name.endswith(".Weights")


def test_what_another_codec_has_written_is_not_read() -> None:
    mine = coder_of(Model([], ""), Weights()).name
    assert coder_named("json", Weights()) is None
    assert coder_named("pickle", Weights()) is None
    assert coder_named(mine, Safe()) is None
    assert coder_named(mine, "auto") is None
    assert coder_named(mine, "pickle") is None


def test_a_folder_that_is_there_is_not_written_into(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        coder_of(Model([1], "a"), Weights()).dump(Model([1], "a"), tmp_path)
    assert [] == [*tmp_path.iterdir()]


def test_its_errors_say_which_codec_and_of_what_type(tmp_path: Path) -> None:
    cause = KeyError("layer")
    coder = coder_of(Model([1], "a"), Failing(cause))
    with pytest.raises(CodecError, match=r"Failing' cannot write .*\.Model: KeyError") as error:
        coder.dump(Model([1], "a"), tmp_path / "entry")
    assert cause is error.value.__cause__
    with pytest.raises(CodecError, match=r"Failing' cannot read what is stored: KeyError") as error:
        coder.load(tmp_path / "entry", ("a",), {})
    assert cause is error.value.__cause__
    with pytest.raises(CodecError, match="cannot read what is stored: TypeError"):
        coder_of(Model([1], "a"), Weights()).load(tmp_path / "entry", (), {"what": 1})


@pytest.mark.parametrize("code", [errno.EPIPE, errno.ENOENT, errno.EACCES, errno.ETIMEDOUT, None])
def test_an_error_of_the_system_is_its_own_unless_the_disk_cannot_be_written(
    code: int | None, tmp_path: Path
) -> None:
    cause = OSError("lost") if code is None else OSError(code, os.strerror(code))
    with pytest.raises(CodecError, match=r"Failing' cannot write .*\.Model: .*Error") as error:
        coder_of(Model([1], "a"), Failing(cause)).dump(Model([1], "a"), tmp_path / "entry")
    assert cause is error.value.__cause__


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_is_not_its_own_business_passes_through(error: BaseException, tmp_path: Path) -> None:
    coder = coder_of(Model([1], "a"), Failing(error))
    with pytest.raises(type(error)) as found:
        coder.dump(Model([1], "a"), tmp_path / "entry")
    assert error is found.value
    with pytest.raises(type(error)) as found:
        coder.load(tmp_path / "entry", ("a",), {})
    assert error is found.value


def test_a_payload_that_is_no_folder_is_refused() -> None:
    with pytest.raises(CodecError, match="there is none"):
        coder_of(Model([], ""), Weights()).loads(b"", (), {})


def test_it_is_safe_to_share_only_if_it_says_so() -> None:
    assert not coder_of(1, Weights()).safe
    assert coder_of(1, Safe()).safe


@pytest.mark.parametrize("codec", ["auto", "pickle", Weights()], ids=["auto", "pickle", "own"])
def test_a_codec_passes_the_check(codec: Any) -> None:
    assert codec is check_codec(codec)


class Async(Weights):
    async def dump(self, value: Model, folder: Path) -> None:  # type: ignore[override]
        pass


@pytest.mark.parametrize(
    ("codec", "said"),
    [
        ("json", "codec must be 'auto', 'pickle' or a codec, got 'json'"),
        (Weights, r"codec must be an object, got .*; write codec=Weights\(\.\.\.\)"),
        (None, "codec must be 'auto', 'pickle' or an object with dump and load, got None"),
        (open, "codec must be .* an object with dump and load"),
        (Async(), "codec.dump must not be async"),
    ],
    ids=["text", "class", "none", "function", "async"],
)
def test_what_is_no_codec_is_refused(codec: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        check_codec(codec)
