"""The command: what it refuses, in one line, and how it ends."""

import pytest

from warmcache import __version__, cli

BAD = {
    "--requests": ["0", "-1", "many", "1.5"],
    "--budget": ["", "lots", "-3MB", "3 parsecs", "nan"],
    "--policy": ["", "lruu", "ttl", "tlru"],
    "--seed": ["x", ""],
    "--threads": ["0", "two"],
    "--workers": ["0", "-1", "two", "1.5", "17"],
    "--host": ["", "lots", "-3MB", "3 parsecs", "nan"],
}


def exit_code(*arguments):
    try:
        return cli.main(arguments)
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize(
    ("option", "value"), [(option, value) for option, values in BAD.items() for value in values]
)
def test_a_bad_value_ends_with_2_and_one_line_that_names_the_option(
    option, value, capsys, tmp_path
):
    assert 2 == exit_code("demo", "--out", str(tmp_path), f"{option}={value}")
    said = capsys.readouterr()
    assert "" == said.out
    assert said.err.startswith("warmcache demo: error: ")
    assert option in said.err
    assert said.err.count("\n") == 1 == said.err.endswith("\n")


def test_an_unknown_policy_is_answered_with_those_that_exist(capsys):
    exit_code("demo", "--policy", "lruu")
    assert "did you mean 'lru'? There are: auto, cost, fifo, gdsf, " in capsys.readouterr().err


def test_a_policy_that_needs_more_is_answered_with_those_that_do_not(capsys):
    exit_code("demo", "--policy", "ttl")
    assert (
        "needs more than a maxsize: ttl. The demo can use: auto, cost, fifo, "
        in capsys.readouterr().err
    )


def test_a_folder_that_cannot_be_made_ends_with_2_and_one_line(capsys, tmp_path):
    (tmp_path / "taken").write_text("")
    assert 2 == exit_code("demo", "--out", str(tmp_path / "taken" / "below"))
    error = capsys.readouterr().err
    assert error.startswith("warmcache demo: error: --out: cannot make the folder")
    assert 1 == error.count("\n")


def test_a_missing_library_ends_with_2_and_one_line_that_names_the_extra(
    capsys, monkeypatch, tmp_path
):
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setitem(cli.sys.modules, "numpy", None)
    assert 2 == exit_code("demo", "--out", str(tmp_path))
    error = capsys.readouterr().err
    assert 'numpy is not installed; install the demo extra: pip install "warmcache[demo]"' in error
    assert 1 == error.count("\n")


def test_an_interrupt_ends_with_130(capsys, monkeypatch):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", interrupted)
    assert 130 == exit_code("demo")
    assert "warmcache: interrupted\n" == capsys.readouterr().err


def test_the_options_reach_the_demo(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(cli, "run", lambda options: seen.append(options) or 0)
    options = ("--requests=7", "--budget=1.5MiB", "--policy=lfu", "--seed=3", "--threads=2")
    assert 0 == exit_code("demo", *options, "--workers=5", f"--out={tmp_path}")
    told = dict(requests=7, budget=1_572_864, policy="lfu", seed=3, threads=2, workers=5)
    assert cli.Options(**told, out=tmp_path) == seen.pop()


def test_a_budget_that_is_not_said_grows_with_the_workers(monkeypatch):
    seen = []
    monkeypatch.setattr(cli, "run", lambda options: seen.append(options.budget) or 0)
    for workers in (1, 3):
        exit_code("demo", f"--workers={workers}")
    assert [160 * 2**20, 480 * 2**20] == seen


def test_the_exit_code_of_the_demo_is_the_commands(monkeypatch):
    monkeypatch.setattr(cli, "run", lambda options: 1)
    assert 1 == exit_code("demo")


def test_the_version_is_the_packages(capsys):
    assert 0 == exit_code("--version")
    assert f"warmcache {__version__}\n" == capsys.readouterr().out


def test_help_names_every_option_with_its_default(capsys):
    assert 0 == exit_code("demo", "--help")
    text = capsys.readouterr().out
    for option in (*BAD, "--out", "--disk"):
        assert option in text
    assert "(160.0 MiB, for each worker)" in " ".join(text.split())


def test_no_command_ends_with_2_and_one_line(capsys):
    assert 2 == exit_code()
    assert 1 == capsys.readouterr().err.count("\n")
