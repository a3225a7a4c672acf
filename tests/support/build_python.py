"""Builds an interpreter from a CPython source tree, for tox to run the tests with.

::

    python tests/support/build_python.py SOURCE_TREE PREFIX [--disable-gil] [--jobs N]

It is for an interpreter that neither the system nor a version manager has: one that is too new,
or one without the GIL. ``SOURCE_TREE`` is an unpacked source release from python.org, the
upstream tarball of a distribution's source package (without the distribution's patches), or a
checkout of CPython. It stays clean: the build has a temporary folder of its own.

Needed are a C compiler, make, and the headers of what the standard library wraps: OpenSSL, libffi,
zlib, bzip2, lzma, SQLite, readline and libuuid, and zstd from 3.14 on. What has no headers is
left out of the interpreter; a module that pip or the tests cannot do without is an error.

Without profile-guided and link-time optimization: a build takes minutes, and no benchmark should
run on it.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Where the headers were missing, make says so and goes on.
_NEEDED = ("bz2", "ctypes", "hashlib", "lzma", "sqlite3", "ssl", "zlib")


class BuildError(Exception):
    """What stopped the build, for the person who started it."""


def version_of(tree: Path) -> str:
    """The version of the CPython source tree ``tree``, such as ``"3.14.0"``."""
    header = tree / "Include" / "patchlevel.h"
    try:
        found = re.search(r'^#define\s+PY_VERSION\s+"([^"]+)"', header.read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found is None or not os.access(tree / "configure", os.X_OK):
        raise BuildError(
            f"{tree} is no CPython source tree: it needs an executable `configure` and an"
            " `Include/patchlevel.h` that defines PY_VERSION; unpack a source release and name"
            " the folder that it makes"
        )
    return found[1]


def run(command: Sequence[str | Path], folder: Path) -> None:
    """Run one step in ``folder``, its output shown."""
    words = [str(word) for word in command]
    print(f"+ {shlex.join(words)}", flush=True)
    try:
        status = subprocess.run(words, cwd=folder).returncode
    except OSError as error:
        raise BuildError(f"cannot run {words[0]}: {error.strerror}") from error
    if status:
        raise BuildError(f"this failed with exit status {status}: {shlex.join(words)}")


def build(tree: Path, prefix: Path, *, disable_gil: bool, jobs: int) -> Path:
    """Configure, build and install ``tree`` at ``prefix``; return the interpreter."""
    version = version_of(tree)
    if (tree / "pyconfig.h").exists():
        raise BuildError(f"{tree} was built in place: run `make distclean` there first")
    options = [f"--prefix={prefix}"]
    if disable_gil:
        options.append("--disable-gil")
    if not any((tree / "Lib" / "ensurepip" / "_bundled").glob("pip-*.whl")):
        print("The source tree has no pip of its own: the interpreter is installed without one.")
        options.append("--without-ensurepip")
    kind = "without the GIL" if disable_gil else "with the GIL"
    print(f"Building CPython {version} {kind} for {prefix}.", flush=True)
    with tempfile.TemporaryDirectory(prefix="build-python-") as folder:
        place = Path(folder)
        run([tree / "configure", *options], place)
        run(["make", f"-j{jobs}"], place)
        run(["make", "install"], place)
    suffix = "t" if disable_gil else ""
    python = prefix / "bin" / f"python{'.'.join(version.split('.')[:2])}{suffix}"
    # Isolated: what the environment says of modules is not asked.
    run([python, "-I", "-c", f"import {', '.join(_NEEDED)}, sys; print(sys.version)"], prefix)
    return python


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source_tree", type=Path, help="the unpacked CPython sources")
    parser.add_argument("prefix", type=Path, help="where to install, such as FOLDER/3.14t")
    parser.add_argument("--disable-gil", action="store_true", help="build it free-threaded")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="for make -j")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what the command line asks for; return the exit status."""
    asked = _parsed(arguments)
    tree, prefix = asked.source_tree.resolve(), asked.prefix.resolve()
    try:
        python = build(tree, prefix, disable_gil=asked.disable_gil, jobs=asked.jobs)
    except BuildError as error:
        print(f"build_python: {error}", file=sys.stderr)
        return 1
    print(f"Installed {python}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
