"""What wakes a dialer's threads: one statement a fifth of a second for all of them, and PostgreSQL's NOTIFY.

A hint, never the truth: every thread asks again by itself, on waking and after a while without. So the
conditions here may be wider than what a thread will do, and one that is missing costs only time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from callcenter.connections import connect_to_listen
from calls.lifecycle.apply import due_events
from calls.models import Call, CallBack, CallBackKind, CallBatch, CallStatus, Fallback, FallbackState
from calls.models.batch import BatchState
from calls.models.callback import CallBackState
from calls.models.hint import CHANNEL

log = structlog.get_logger(__name__)

PEEK_S = 0.2
RECONNECT_S = 1.0
NEARLY = timedelta(minutes=5)
ON = (CallStatus.PLACED, CallStatus.RINGING, CallStatus.IN_PROGRESS)


def signs() -> dict[str, list[QuerySet[Any]]]:
    """Rows that, where there are any, give the thread of that name something to do."""
    calls, now = Call.objects, Now()
    looks = calls.filter(next_look_at__lte=now)
    return {
        "place": [calls.due(now), calls.filter(replay_wanted=True, status=CallStatus.UNCONFIRMED)],
        "apply": [due_events(now)],
        "settle": [
            calls.filter(status=CallStatus.DIALING, lease_until__lte=now),
            calls.filter(status=CallStatus.QUEUED, not_after__lte=now),
            looks.filter(status=CallStatus.UNCONFIRMED),
        ],
        "look": [looks.filter(status__in=ON), looks.filter(status=CallStatus.ENDED, final=False)],
        "hang-up": [
            calls.filter(Q(hang_up_at__lte=now) | Q(cancel_requested_at__isnull=False), status__in=ON)
        ],
        "fill": [
            CallBatch.objects.filter(state=BatchState.FILLING),
            CallBatch.objects.exclude(cancel_reason=""),
            CallBack.objects.filter(
                kind=CallBackKind.PROMISE, state=CallBackState.OPEN, due_at__lte=now + NEARLY
            ),
            Fallback.objects.filter(state=FallbackState.DUE),
        ],
    }


class Bells:
    """One for each kind of thread; a thread that waits is woken by its own."""

    def __init__(self) -> None:
        self._bells = {name: threading.Event() for name in signs()}

    def ring(self, names: Iterable[str]) -> None:
        """Names that nobody has are passed over: another release may have sent them."""
        for name in names:
            if name in self._bells:
                self._bells[name].set()

    def ring_all(self) -> None:
        self.ring(self._bells)

    def wait(self, name: str, at_most: float) -> None:
        self._bells[name].wait(at_most)
        self._bells[name].clear()


class Watch:
    """`look` is repeated by one thread. It keeps one connection, outside the pool."""

    def __init__(self, bells: Bells) -> None:
        self._bells = bells
        self._names: list[str] = []
        self._sql, self._params = "", ()
        self._line: psycopg.Connection[Any] | None = None
        self._peeked = 0.0

    def look(self) -> float:
        """Wake whoever has something to do; returns how long (s) to wait before the next look."""
        if connection.vendor != "postgresql":
            with connection.cursor() as cursor:
                self._ring(cursor.execute(*self._peek()).fetchone())
            return PEEK_S
        try:
            self._listen()
        except psycopg.Error as error:
            log.warning("not listening", why=str(error).strip()[:200])
            self.close()
            # What was told meanwhile is not told again.
            self._bells.ring_all()
            return RECONNECT_S
        return 0.0

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _listen(self) -> None:
        if self._line is None:
            self._line = connect_to_listen()
            self._line.execute(f"LISTEN {CHANNEL}")
        left = self._peeked + PEEK_S - time.monotonic()
        for told in self._line.notifies(timeout=max(0.0, left), stop_after=1):
            self._bells.ring(told.payload.split(","))
        if time.monotonic() >= self._peeked + PEEK_S:
            self._ring(self._line.execute(*self._peek()).fetchone())
            self._peeked = time.monotonic()

    def _peek(self) -> tuple[Any, Any]:
        """Compiled once: the clock in it is the database's."""
        if not self._sql:
            parts, params = [], []
            for name, rows in signs().items():
                for wanted in rows:
                    sql, values = wanted.query.exists().get_compiler(connection=connection).as_sql()
                    parts.append(f"EXISTS({sql})")
                    params += values
                    self._names.append(name)
            self._sql, self._params = f"SELECT {', '.join(parts)}", tuple(params)
        return self._sql, self._params

    def _ring(self, seen: Any) -> None:
        self._bells.ring({name for name, true in zip(self._names, seen, strict=True) if true})
