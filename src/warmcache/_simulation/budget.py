"""How much memory to replay a trace with."""

from __future__ import annotations

from dataclasses import dataclass

from warmcache import _checks as checks
from warmcache._sizes import parse_size

from .trace_file import Trace

_MOST = 1000  # times all that a trace asks for


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes, or entries of a trace that counts them; or a share of all that a trace asks for."""

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

    @classmethod
    def of_any(cls, budget: float | str) -> Budget:
        """Return the same for a number, too; a float up to 1.0 is a share. Raises ValueError."""
        if isinstance(budget, str):
            return cls.parse(budget)
        if isinstance(budget, float) and 0 < budget <= 1:
            return cls(share=budget)
        if not checks.size("budgets", budget) > 0:
            raise ValueError(f"a budget must be more than nothing, got {budget!r}")
        return cls(bytes=budget)

    def of(self, trace: Trace) -> int:
        """Return its whole bytes, or entries: of those one at least."""
        amount = self.bytes if self.bytes is not None else trace.footprint * (self.share or 0)
        return max(1, round(amount)) if trace.counts else int(amount)
