"""How many webhooks were refused and why, for the banner that finds the cause. No bytes are kept."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

import structlog
from django.db import DatabaseError, connection
from django.db.models import F

from calls.models import SignatureRefusal

log = structlog.get_logger(__name__)

FLUSH_EVERY_S = 2.0

_lock = threading.Lock()
_counted: Counter[tuple[datetime, str]] = Counter()
_flushed_at = 0.0
# Strangers must not hold the web's threads, whatever the database does.
_writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="refusals")
_writing: Future[None] | None = None


def count_refusal(cause: str, *, now: datetime) -> None:
    """Count one, without waiting. Written at most every two seconds a process: a flood costs few writes."""
    global _flushed_at, _writing
    with _lock:
        _counted[now.replace(second=0, microsecond=0), cause] += 1
        busy = _writing is not None and not _writing.done()
        if busy or time.monotonic() - _flushed_at < FLUSH_EVERY_S:
            return
        _flushed_at = time.monotonic()
        _writing = _writer.submit(_write)


def _write() -> None:
    with _lock:
        taken = dict(_counted)
        _counted.clear()
    try:
        while taken:
            (minute, name), count = next(iter(taken.items()))
            row, _made = SignatureRefusal.objects.get_or_create(minute=minute, cause=name)
            SignatureRefusal.objects.filter(pk=row.pk).update(count=F("count") + count)
            del taken[minute, name]
    except DatabaseError as problem:
        log.warning("refused webhooks are counted later", why=str(problem))
        with _lock:
            _counted.update(taken)
    finally:
        connection.close()
