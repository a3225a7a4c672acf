"""A worker process for each model, started and stopped by one generator.

It prints::

    starting upper
    HELLO
    HELLO AGAIN
    stopping upper
    starting title
    Hello
    stopping title
"""

import subprocess
import sys
from collections.abc import Iterator

from warmcache import warm

PROGRAM = "import sys\nfor line in sys.stdin: print(line.strip().{}(), flush=True)"


@warm(policy="lru", maxsize=1)
def worker(method: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that answers each line; what follows the yield ends it."""
    print("starting", method)
    command = [sys.executable, "-c", PROGRAM.format(method)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        print("stopping", method)


def ask(method: str, text: str) -> None:
    """Print what the worker for ``method`` makes of ``text``."""
    with worker.lease(method) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        print(text, file=process.stdin, flush=True)
        print(process.stdout.readline().strip())


def main() -> None:
    """Ask two workers, of which one at a time is alive."""
    ask("upper", "hello")
    ask("upper", "hello again")
    ask("title", "hello")
    worker.cache_clear()


if __name__ == "__main__":
    main()
