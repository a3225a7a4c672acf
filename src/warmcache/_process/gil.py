"""Whether there is a GIL, which only builds without it can do without."""

import sys

# How Python was built: while it runs, an import may switch the GIL on for a while.
FREE_THREADED = "free-threading" in sys.version
