"""``warmcache demo``: real models under a memory budget that cannot hold them all.

A map of the package, from the top down:

===============  ================================================================
``_run``         the whole of it, from the options to the exit code
``_workers``     several processes under one budget, and under split ones
``_worker``      what one of them does
``_tally``       the bytes that they have together
``_summary``     what is said at the end, and whether the answers were right
``_picture``     the timeline as a PNG
``_screen``      the live view in a terminal
``_plain``       the lines where there is none
``_models``      which models there are, and how their answers are checked
``_minilm``      sentence embeddings, in several forms
``_quantized``   matrices as 8-bit and 4-bit numbers
``_silero``      voice activity detection
``_server``      requests through ``@warm`` loaders: the part to read first
``_kept``        models on disk, for the next load and the next run
``_parked``      models moved to the host while others need their room
``_journal``     what was in memory when
``_compare``     what other ways would have paid
``_requests``    the skewed stream of requests
``_spec``        what the demo knows of a model before it is loaded
===============  ================================================================

beside them ``_libraries`` (imports the demo extra), ``_sentences`` and ``_sounds``. Only
``_minilm``, ``_quantized``, ``_silero`` and ``_picture`` need the demo extra when they are
imported, and ``_run`` imports them once it is known to be there.
"""

from __future__ import annotations

from warmcache._public import found_here

from ._options import DemoError, Options
from ._run import run

__all__ = ["DemoError", "Options", "run"]

found_here(globals())
