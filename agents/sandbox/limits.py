"""What the provider allows: calls a second on each line, and the same request only once an hour."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

Carrier = Callable[[Mapping[str, Any], str, str], str]
"""(trunk, number to call from, number called) -> why no call passes, in Retell's word; '' when it does."""
CarrierIn = Callable[[str], str]
"""(our number) -> why calls to it do not come over its trunk; '' when they do."""


class Pace:
    """A bucket of starts for each line. `per_second` 0: no limit. Thread-safe; real seconds."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def allows(self, line: str) -> bool:
        """Take one start, if the line has one. A line at rest saves up two, no more."""
        if self.per_second <= 0:
            return True
        with self._lock:
            now = time.monotonic()
            room = max(2.0, self.per_second)
            saved, since = self._buckets.get(line, (room, now))
            saved = min(room, saved + (now - since) * self.per_second)
            allowed = saved >= 1
            self._buckets[line] = (saved - 1 if allowed else saved, now)
            return allowed


class OtherRequest(ValueError):
    """The key came with another body than the first time."""


@dataclass(frozen=True, slots=True)
class _Kept:
    body_sha256: bytes
    call_id: str
    until: float


class IdempotencyKeys:
    """Which accepted request made which call. Real seconds: the customer's replays run on real clocks."""

    WINDOW_S = 3600.0

    def __init__(self) -> None:
        self.window_s = self.WINDOW_S
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def call_of(self, key: str, body: bytes) -> str | None:
        """The call this request made before. Raises OtherRequest."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept.until < time.monotonic():
                return None
            if kept.body_sha256 != sha256(body).digest():
                raise OtherRequest(key)
            return kept.call_id

    def keep(self, key: str, body: bytes, call_id: str) -> None:
        with self._lock:
            self._kept[key] = _Kept(sha256(body).digest(), call_id, time.monotonic() + self.window_s)

    def forget(self) -> int:
        """All keys; how many there were."""
        with self._lock:
            count = len(self._kept)
            self._kept.clear()
            return count
