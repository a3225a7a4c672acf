"""Import time, in fresh interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial

from .contenders import Cachetools, installed
from .timing import Line, Settings, interleave

_CODE = """
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""


def import_time(settings: Settings) -> list[Line]:
    """Importing each library, and all that it imports, in an interpreter of its own."""
    title = "import"
    modules: dict[str, str] = {}
    for contender in installed():
        if contender.module not in modules.values():  # cachetools stands here once
            modules[contender.name] = contender.module
    rounds = max(3, settings.slow_rounds // 2)
    with tempfile.TemporaryDirectory() as compiled:
        # Everybody's bytecode is there, whatever this environment says about writing it:
        # the round that goes unrecorded has compiled it.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        measures = {name: partial(_import, module, environment) for name, module in modules.items()}
        samples = interleave(measures, rounds, tick=partial(settings.tick, title))
    return [Line.beside("import", title, Cachetools.name, samples)]


def _import(module: str, environment: dict[str, str]) -> float:
    command = [sys.executable, "-c", _CODE.format(module=module)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(done.stdout)
