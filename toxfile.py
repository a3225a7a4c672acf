"""Has tox find the interpreters that pyenv installed, whichever of them are selected."""

import os
from pathlib import Path

_pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
os.environ["PATH"] = os.pathsep.join(
    [os.environ["PATH"], *map(str, sorted(_pyenv.glob("versions/3.*/bin")))]
)
