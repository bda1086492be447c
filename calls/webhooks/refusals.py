"""How many webhooks were refused and why, for the banner that finds the cause. No bytes are kept."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import datetime

from django.db.models import F

from calls.models import SignatureRefusal

FLUSH_EVERY_S = 2.0

_lock = threading.Lock()
_counted: Counter[str] = Counter()
_flushed_at = 0.0


def count_refusal(cause: str, *, now: datetime) -> None:
    """Count one; written at most every two seconds a process: a flood of forgeries costs few writes."""
    global _flushed_at
    with _lock:
        _counted[cause] += 1
        if time.monotonic() - _flushed_at < FLUSH_EVERY_S:
            return
        _flushed_at = time.monotonic()
        taken = dict(_counted)
        _counted.clear()
    minute = now.replace(second=0, microsecond=0)
    for name, count in taken.items():
        row, _made = SignatureRefusal.objects.get_or_create(minute=minute, cause=name)
        SignatureRefusal.objects.filter(pk=row.pk).update(count=F("count") + count)
