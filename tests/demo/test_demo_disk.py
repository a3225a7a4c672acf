"""The demo with a disk: what one run has converted, the next one reads."""

import dataclasses
import io
import subprocess
import sys
from contextlib import contextmanager

import demo_zoo
import pytest
from rich.console import Console

from warmcache import cli
from warmcache.demo import DemoError, _run
from warmcache.demo._checks import checks
from warmcache.demo._journal import Load
from warmcache.demo._kept import open_tier
from warmcache.demo._options import Options
from warmcache.demo._picture import _times
from warmcache.demo._spec import chosen
from warmcache.demo._summary import compared, models, show
from warmcache.demo._tally import Tally
from warmcache.demo._worker import _counted
from warmcache.demo._workers import perform_both
from warmcache.tiers import worth

KEPT = ["fifteen", "thirty", "twenty"]


@pytest.fixture(autouse=True)
def everything_is_kept(monkeypatch):
    monkeypatch.setattr(worth, "_MARGIN", -1.0)
    monkeypatch.setattr(worth.Worth, "has_read", lambda *_, instead_of: False)


@pytest.fixture
def options(tmp_path):
    return Options(requests=200, budget=75, threads=4, seed=1, disk=tmp_path / "disk")


@pytest.fixture
def perform(options):
    """Return a run in which everything is loaded anew but for what is on disk, and its models."""

    def run(**said):
        zoo = demo_zoo.Zoo()
        return _run.perform(
            dataclasses.replace(options, **said), demo_zoo.savable_specs_of(zoo)
        ), zoo

    return run


def sources(outcome):
    """Return whether loads of what can be saved came from disk, those of the rehearsal too."""
    loads = [*outcome.journal.before, *outcome.journal.loads]
    return {load.from_disk for load in loads if load.name in KEPT}


# -- serving -----------------------------------------------------------------------


def test_a_first_run_converts_each_once_and_reads_it_after_that(perform):
    outcome, zoo = perform()
    assert KEPT == sorted(name for name in zoo.loaded if name in KEPT)
    assert {*KEPT} == {*zoo.read}
    assert all(check.holds for check in checks(outcome))


def test_a_second_run_converts_nothing(perform):
    perform()
    outcome, zoo = perform()
    assert [] == [name for name in zoo.loaded if name in KEPT]
    assert {True} == sources(outcome)
    assert all(check.holds for check in checks(outcome))


def test_what_cannot_be_saved_is_loaded_as_ever(perform):
    perform()
    outcome, zoo = perform()
    assert {"forty", "ten", "tokenizer"} == {*zoo.loaded}
    assert not any(load.from_disk for load in outcome.journal.loads if load.name not in KEPT)


def test_without_a_disk_nothing_is_kept(perform, tmp_path):
    outcome, zoo = perform(disk=None)
    assert ([], {False}, None) == (zoo.read, sources(outcome), outcome.on_disk)
    assert [] == [*tmp_path.iterdir()]


def test_what_was_read_is_torn_down_too(perform):
    _, zoo = perform()
    assert sorted([*zoo.loaded, *zoo.read]) == sorted(zoo.closed)


def test_loads_of_the_rehearsal_are_not_among_those_of_the_run(perform):
    outcome, _ = perform()
    assert outcome.stats.loads == len(outcome.journal.loads)
    assert {False} == {load.from_disk for load in outcome.journal.before}


def test_another_version_is_converted_anew(perform, options):
    perform()
    zoo = demo_zoo.Zoo()
    specs = [
        dataclasses.replace(each, saved=each.saved and dataclasses.replace(each.saved, version="2"))
        for each in demo_zoo.savable_specs_of(zoo)
    ]
    _run.perform(options, specs)
    assert KEPT == sorted(name for name in zoo.loaded if name in KEPT)


def test_what_is_dear_is_served_only_with_a_disk(zoo, options):
    specs = demo_zoo.savable_specs_of(zoo)
    assert specs == chosen(specs, options)
    without = chosen(specs, dataclasses.replace(options, disk=None))
    assert ["fifteen"] == [spec.name for spec in specs if spec not in without]


# -- what it says ------------------------------------------------------------------


@pytest.fixture
def outcome(perform):
    """A run whose loads are these."""
    outcome, _ = perform()
    journal = outcome.journal
    journal.before[:] = [Load("twenty", 0, 3.0, 20), Load("ten", 0, 1.0, 10)]
    journal.loads[:] = [
        Load("tokenizer", 0, 0.5, 1),
        Load("twenty", 1, 1.25, 20, 3.0),
        Load("twenty", 2, 2.25, 20, 3.0),
    ]
    requests = [each for each in outcome.requests if each.model == "twenty"][:4]
    return dataclasses.replace(outcome, requests=requests)


def said(outcome):
    console = Console(file=io.StringIO(), width=110)
    show(outcome, checks(outcome), console)
    return " ".join(console.file.getvalue().split())


def test_the_summary_has_what_was_converted_read_and_saved(outcome, options):
    text = said(outcome)
    assert "converted twenty, in 3.00 s" in text
    assert (
        "read from disk instead 2 loads in 0.50 s, for which loaders had taken 6.00 s: 5.50 s saved"
    ) in text
    assert f"on disk 3 models, {outcome.on_disk.bytes / 1024:.2f} KiB, in" in text
    assert "load seconds paid 1.00 in 3 loads" in text


def test_a_model_has_its_loads_from_disk_and_their_seconds(outcome):
    console = Console(file=io.StringIO(), width=110)
    console.print(models(outcome))
    [row] = [line.split() for line in console.file.getvalue().splitlines() if "twenty" in line]
    assert ["2", "3.000", "2", "0.250"] == row[4:8]


def test_other_ways_have_no_disk_and_pay_what_the_loaders_took(outcome):
    paid, cold, counted = compared(outcome)
    assert (1.0, 4 * 3.5, 3.5) == (paid.seconds, cold.seconds, counted.seconds)


def test_without_a_disk_nothing_is_said_of_it(perform):
    outcome, _ = perform(disk=None)
    assert "disk" not in said(outcome)


def test_the_picture_says_how_many_loads_came_from_disk(outcome):
    loads = [load for load in outcome.journal.loads if load.name == "twenty"]
    assert "(2 loads, 2 from disk)" == _times(loads)
    assert "(1 load)" == _times([Load("ten", 0, 1.0, 10)])


# -- workers -----------------------------------------------------------------------


@contextmanager
def unseen():
    yield lambda standing: None


def test_workers_convert_once_for_all_and_the_next_run_nothing(options):
    options = dataclasses.replace(options, workers=2, budget=150, requests=120)
    specs = demo_zoo.savable_models()
    converted = []
    for _ in range(2):
        ways = perform_both(options, specs, demo_zoo.savable_models, unseen)
        journals = [way.outcome.journal for way in ways]
        loads = [load for each in journals for load in (*each.before, *each.loads)]
        converted.append(
            sorted(load.name for load in loads if load.name in KEPT and not load.from_disk)
        )
        for way in ways:
            assert way.outcome.journal.peak() <= 150
            assert all(check.holds for check in checks(way.outcome))
    assert [KEPT, []] == converted


def test_what_is_read_counts_from_before_that_until_it_fails(tmp_path, zoo):
    tally, seen = Tally(tmp_path / "tally", 1), []

    def read(device, folder):
        seen.append(tally.parts()[0])
        raise OSError("no such weights")

    saved = dataclasses.replace(zoo.saved("ten", 10), read=read)
    spec = _counted(zoo.spec("ten", 10, saved=saved), tally)
    with pytest.raises(OSError, match="no such weights"):
        spec.saved.read("cpu", tmp_path)
    assert ([10], 0) == (seen, tally.parts()[0])
    tally.close()


# -- the option --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [([], None), (["--disk"], "out/disk"), (["--disk=there"], "there"), (["--disk", "x"], "x")],
)
def test_the_folder_is_the_one_that_is_said_or_inside_of_out(said, expected, monkeypatch):
    seen = []
    monkeypatch.setattr(cli, "run", lambda options: seen.append(options.disk) or 0)
    assert 0 == cli.main(["demo", "--out=out", *said])
    assert [expected and cli.Path(expected)] == seen


def refused(options, capsys):
    assert 2 == cli.main(["demo", f"--out={options.disk.parent}", f"--disk={options.disk}"])
    told = capsys.readouterr()
    assert ("", 1) == (told.out, told.err.count("\n"))
    return told.err


def test_a_folder_that_others_may_write_to_is_refused_in_one_line(options, capsys):
    options.disk.mkdir()
    options.disk.chmod(0o777)
    error = refused(options, capsys)
    assert error.startswith("warmcache demo: error: --disk: others may write to the folder ")


def test_what_is_no_folder_is_refused_in_one_line(options, capsys):
    options.disk.write_text("")
    assert "--disk: path=" in refused(options, capsys)


def test_without_filelock_it_says_what_to_install(options, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    assert 'install "warmcache[disk]"' in refused(options, capsys)


def test_nothing_is_made_for_a_run_that_keeps_nothing(options):
    assert open_tier(dataclasses.replace(options, disk=None)) is None
    assert not options.disk.exists()


def test_the_folder_that_cannot_be_used_is_a_demo_error(options):
    options.disk.write_text("")
    with pytest.raises(DemoError):
        open_tier(options)


# -- the real models ---------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm():
    from warmcache.demo._libraries import import_all

    import_all()
    from warmcache.demo import _minilm

    return _minilm


@pytest.fixture(scope="module")
def tokens(minilm):
    from warmcache.demo._sentences import PAIRS

    return minilm.Tokenizer("cpu")([sentence for pair in PAIRS for sentence in pair])


@pytest.mark.models
@pytest.mark.parametrize("name", ["minilm-int8", "minilm-int4", "minilm-fp32", "minilm-bf16"])
def test_what_is_read_answers_bit_for_bit_as_what_was_saved(name, minilm, tokens, tmp_path):
    form = minilm.FORMS[name]
    made = minilm.Encoder(form, "cpu")
    expected = made.embed(tokens).tobytes()
    made.save(tmp_path)
    read = minilm.Encoder.read(form, "cpu", tmp_path)
    assert expected == read.embed(tokens).tobytes() == made.embed(tokens).tobytes()
    assert minilm.encoder_weight(form) == made.weigh() == read.weigh()


@pytest.mark.models
def test_two_that_are_read_share_nothing(minilm, tokens, tmp_path):
    form = minilm.FORMS["minilm-int4"]
    minilm.Encoder(form, "cpu").save(tmp_path)
    one, other = (minilm.Encoder.read(form, "cpu", tmp_path) for _ in range(2))
    expected = other.embed(tokens).tobytes()
    for tensor in one._model.state_dict().values():
        tensor.zero_()
    assert expected == other.embed(tokens).tobytes()
    assert expected == minilm.Encoder.read(form, "cpu", tmp_path).embed(tokens).tobytes()


@pytest.mark.models
def test_tensors_of_another_form_are_refused(minilm, tmp_path):
    minilm.Encoder(minilm.FORMS["minilm-3-layers-bf16"], "cpu").save(tmp_path)
    with pytest.raises(ValueError, match="another model"):
        minilm.Encoder.read(minilm.FORMS["minilm-int4"], "cpu", tmp_path)


@pytest.mark.models
def test_four_bits_miss_little_of_a_matrix(minilm):
    from warmcache.demo._quantized import Int4

    torch = minilm.torch
    torch.manual_seed(0)
    matrix = torch.randn(48, 96)
    matrix[5, 32:64] = 0  # a group that has no largest element
    packed = Int4(matrix)
    assert (48 * 96 // 2, 2 * 48 * 3) == (packed.weight.nbytes, packed.scale.nbytes)
    found = packed.rows(lambda each: each)
    assert not found[5, 32:64].any()
    assert (found - matrix).norm() < 0.1 * matrix.norm()
    ids = torch.tensor([[3, 0], [47, 3]])
    assert found[ids].equal(packed.rows(lambda each: torch.nn.functional.embedding(ids, each)))


@pytest.mark.models
@pytest.mark.timeout(300)
def test_a_second_run_with_real_models_does_not_convert_again(tmp_path):
    command = [sys.executable, "-m", "warmcache", "demo", "--disk", "--requests=40"]
    converted = []
    for _ in range(2):
        ended = subprocess.run(
            [*command, f"--out={tmp_path}"], capture_output=True, text=True, timeout=140
        )
        assert 0 == ended.returncode, ended.stderr
        assert "WRONG" not in ended.stdout
        assert "read from disk instead" in ended.stdout
        [row] = [line for line in ended.stdout.splitlines() if line.startswith("converted ")]
        converted.append("minilm-int4" in row)
    assert [True, False] == converted
    assert "2 models, 34.1 MiB, in" in ended.stdout
