"""Everything in the inbox read, as the dialer does it, or one event at a time."""

from __future__ import annotations

from datetime import datetime

from calls.lifecycle.apply import apply_due, apply_next


def apply_pending(*, now: datetime) -> None:
    while apply_due(now=now):
        pass


def apply_singly(*, now: datetime) -> None:
    while apply_next(now=now):
        pass
