"""Has tox find the interpreters that pyenv installed, whichever of them are selected.

And those of a folder that ``WARMCACHE_PYTHONS`` names, one prefix each: where
``tests/support/build_python.py`` installed them, say.
"""

import os
from pathlib import Path

_pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
_found = sorted(_pyenv.glob("versions/3.*/bin"))
if _built := os.environ.get("WARMCACHE_PYTHONS"):
    _found += sorted(Path(_built).resolve().glob("*/bin"))
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *map(str, _found)])
