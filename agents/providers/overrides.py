"""What one call may have differently from its agent, by our names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LONGEST = 500


@dataclass(frozen=True, slots=True)
class Overridable:
    """A text, unless it has a range; `whole`: no fractions."""

    low: float | None = None
    high: float | None = None
    whole: bool = False

    @property
    def text(self) -> bool:
        return self.low is None

    def takes(self, value: object) -> bool:
        if self.low is None or self.high is None:
            return isinstance(value, str) and 0 < len(value) <= LONGEST
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Overriding:
    """What `PlaceOrder.overrides` may name under a contract."""

    names: Mapping[str, Overridable]
    of_the_words: frozenset[str] = frozenset()
    """Those that only an agent has whose words are at the provider."""
    needs_draft: bool = False
    """A call that changes its agent brings all of it."""
