"""How Sphinx builds these pages: ``sphinx-build -W -b html docs docs/_build``."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import warmcache
from warmcache import __version__
from warmcache._loaders.calls import Caller

PACKAGE = Path(warmcache.__file__).parent

project = "warmcache"
author = "the warmcache authors"
copyright = "the warmcache authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_mock_imports = ["dask", "distributed", "parsl", "ray", "tornado"]
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 120
python_use_unqualified_type_names = True
add_module_names = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "  # what is copied is what is to be typed
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["phone.css"]
html_title = f"warmcache {version}"


def _borrow_docstring(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Describe what ``Warm`` declares for type checkers by what implements it."""
    owner, _, method = name.rpartition(".")
    if owner == "warmcache.Warm" and not lines:
        lines.extend((inspect.getdoc(getattr(Caller, method, None)) or "").splitlines())


def _shorten_signature(
    app: object, what: str, name: str, obj: object, options: object, args: str | None, returns: str
) -> tuple[str | None, str]:
    """Write ``*args, **kwargs`` where a parameter specification says no more."""
    return args and re.sub(r"\*args: \S+, \*\*kwargs: [^,)]+", "*args, **kwargs", args), returns


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", _borrow_docstring)
    app.connect("autodoc-process-signature", _shorten_signature)
    # Classes say that they are of a public module. The order of their members is in the files.
    files = [ModuleAnalyzer.for_file(file, file.stem) for file in PACKAGE.rglob("*.py")]
    for analyzer in files:
        analyzer.analyze()
    order = {name: place for file in files for name, place in file.tagorder.items()}
    for module in ("", ".caches", ".memory", ".probes", ".routing", ".executors"):
        analyzer = ModuleAnalyzer.for_module(f"warmcache{module}")
        analyzer.analyze()
        analyzer.tagorder = order
