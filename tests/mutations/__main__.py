"""Changes the source in one place at a time, and says which changes no test notices.

    python tests/mutations --sample 400 --seed 1

Each change is tried in a copy of the tree, by the tests that run its line: first those that have
noticed other changes of its file, and those of the core; then the fastest first, for as long as the
``--patience`` lasts. What makes no difference that anybody could see is listed in
``equivalent.txt``, with the reason. Ends with 1 when less than ``--at-least`` per cent of the rest
are caught.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants import Mutant, mutants_of
from reach import Reach, reach_of
from tree import Tree
from worker import PASSED, TIMED_OUT

ROOT = Path(__file__).parents[2]
TESTS = [f"tests/{folder}" for folder in ("core", "caches", "loaders", "memory", "process")]
NEAR = TESTS[0]  # what is most about the core
FEW = 30  # tests that are run by themselves first: to collect all takes longer
UNREACHED = "not reached"


class Trial:
    """Every mutant tried once, by as many workers as there are trees."""

    def __init__(self, mutants: Sequence[Mutant], reach: Reach, patience: float) -> None:
        self.ended: dict[Mutant, str] = {}
        self._mutants = mutants
        self._reach = reach
        self._patience = patience  # seconds of tests for each
        self._noticed: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by which test
        self._todo = iter(enumerate(mutants))
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def work(self, tree: Tree) -> None:
        while True:
            with self._lock:
                number, mutant = next(self._todo, (0, None))
            if mutant is None:
                return
            source = (tree.path / mutant.file).read_bytes()
            tree.write(mutant.file, mutant.of(source), stamp=number)
            ended = self._tried(tree, mutant)
            tree.write(mutant.file, source, stamp=len(self._mutants) + number)
            with self._lock:
                self.ended[mutant] = ended
                self._report()

    def _tried(self, tree: Tree, mutant: Mutant) -> str:
        tests, ended = [*self._worth_it(mutant)], UNREACHED
        for some in filter(None, (tests[:FEW], tests[FEW:])):
            outcome = tree.outcome(some, self._reach.seconds)
            ended = outcome.ended
            if ended != PASSED:
                self._noticed[mutant.file].update(outcome.failed)
                break
        return ended

    def _worth_it(self, mutant: Mutant) -> Iterator[str]:
        """Yield the tests to be run, the most promising first, until the patience is over."""
        seconds, noticed = self._reach.seconds, self._noticed[mutant.file]
        tests = sorted(self._reach.tests(mutant), key=seconds.__getitem__)
        promising = sorted(tests, key=lambda test: (-noticed[test], not test.startswith(NEAR)))
        spent = 0.0
        for test in dict.fromkeys([*promising[:FEW], *tests]):
            if spent < self._patience:
                spent += seconds[test]
                yield test

    def _report(self) -> None:
        done, missed = len(self.ended), len(self.missed())
        left = (time.monotonic() - self._began) / done * (len(self._mutants) - done) / 60
        line = f"{done} of {len(self._mutants)}, {missed} not caught, {left:.0f} min left"
        print(f"\r{line}  ", end="", file=sys.stderr, flush=True)

    def missed(self) -> list[Mutant]:
        """Return the mutants that no test has noticed, or runs."""
        return [each for each, ended in self.ended.items() if ended in (PASSED, UNREACHED)]


def _leave_out_what_fails_here(tree: Tree, reach: Reach) -> None:
    """Have ``reach`` know only tests that pass in ``tree``, where nothing is changed yet.

    What they take there is less than where it was measured which lines they run.
    """
    tests, passed = sorted(reach.seconds), dict[str, float]()
    while tests:
        outcome = tree.outcome(tests, reach.seconds)
        passed |= outcome.seconds
        if outcome.ended == PASSED:
            break
        if not outcome.failed:
            raise SystemExit(f"a test has {outcome.ended}, though nothing was changed")
        failed = outcome.failed[0]
        print(f"{failed} fails, though nothing was changed: it is left out", file=sys.stderr)
        tests = tests[tests.index(failed) + 1 :]
        del passed[failed]
    reach.seconds = passed


def _sampled(mutants: Sequence[Mutant], size: int, seed: int) -> list[Mutant]:
    """Return ``size`` of ``mutants`` by chance, of each file as many as its share is."""
    chance = random.Random(seed)
    mixed = sorted(mutants, key=lambda mutant: (mutant.file, chance.random()))
    step = len(mixed) / size
    chosen = [mixed[int(number * step)] for number in range(size)] if step > 1 else mixed
    return sorted(chosen, key=lambda mutant: chance.random())


def _equivalent(mutants: Sequence[Mutant], listed: Path) -> set[str]:
    """Return the changes that are known to make no difference; each must still be possible."""
    lines = listed.read_text().splitlines() if listed.exists() else []
    known = {line for line in lines if line and not line.startswith("#")}
    gone = known - {mutant.change for mutant in mutants}
    if gone:
        raise SystemExit("\n".join([f"{listed} has what cannot be changed any more:", *gone]))
    return known


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("mutations", description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="of the tree; it has a src folder")
    parser.add_argument("--source", default="src/warmcache/_core", help="the folder to change")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="what may notice it")
    parser.add_argument("--sample", type=int, help="how many changes to try; by default all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="at once")
    parser.add_argument("--patience", type=float, default=60, help="seconds of tests for each")
    parser.add_argument("--at-least", type=float, default=0, help="per cent that must be caught")
    parser.add_argument("--only", default="", help="of these changes, those with this text")
    return parser.parse_args()


def main() -> int:
    wanted = _arguments()
    files = sorted((wanted.root / wanted.source).rglob("*.py"))
    mutants = [
        mutant
        for file in files
        for mutant in mutants_of(file.relative_to(wanted.root).as_posix(), file.read_bytes())
    ]
    known = _equivalent(mutants, wanted.root / "tests/mutations/equivalent.txt")
    mutants = [each for each in mutants if each.change not in known and wanted.only in str(each)]
    if not mutants:
        raise SystemExit(
            f"there is nothing to change in {wanted.source} with {wanted.only!r} in it"
        )
    mutants = _sampled(mutants, wanted.sample or len(mutants), wanted.seed)
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder).resolve() / str(number) for number in range(wanted.workers)]
        trees = [Tree(wanted.root, copy) for copy in copies]
        reach = reach_of(trees[0], wanted.source, wanted.tests)
        _leave_out_what_fails_here(trees[0], reach)
        trial = Trial(mutants, reach, wanted.patience)
        with ThreadPoolExecutor(len(trees)) as pool:
            list(pool.map(trial.work, trees))  # which raises what they do
        for tree in trees:
            tree.close()
    print(file=sys.stderr)
    for mutant in sorted(trial.missed(), key=lambda each: (each.file, each.lines[0])):
        print(f"{'not noticed' if trial.ended[mutant] == PASSED else UNREACHED}: {mutant}")
    caught, hung = len(mutants) - len(trial.missed()), [*trial.ended.values()].count(TIMED_OUT)
    share = 100 * caught / len(mutants)
    version = "Python " + ".".join(map(str, sys.version_info[:3]))
    sample = f"; a sample with seed {wanted.seed}" if wanted.sample else ""
    print(f"caught {caught} of {len(mutants)} ({hung} hung), {share:.1f} %, by {version}{sample}")
    return 0 if share >= wanted.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
