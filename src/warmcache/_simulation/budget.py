"""How much memory to replay a trace with."""

from __future__ import annotations

from dataclasses import dataclass

from warmcache._sizes import parse_size

from .trace_file import Trace

_MOST = 1000  # times all that a trace asks for


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes, or a share of all that a trace asks for."""

    bytes: float | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Return what ``"20%"`` or ``"4GiB"`` means. Raises ValueError."""
        text = text.strip()
        if not text.endswith("%"):
            budget = cls(bytes=parse_size(text))
        else:
            try:
                budget = cls(share=float(text[:-1]) / 100)
            except ValueError:
                raise ValueError(f"{text!r} is no percentage") from None
        if not 0 < (budget.bytes or budget.share or 0):
            raise ValueError(f"a budget must be more than nothing, got {text!r}")
        if budget.share is not None and budget.share > _MOST:
            raise ValueError(f"a budget must be a share, or a few times all there is, got {text!r}")
        return budget

    def of(self, trace: Trace) -> int:
        """Return its whole bytes."""
        amount = self.bytes if self.bytes is not None else trace.footprint * (self.share or 0)
        return int(amount)
