"""A word to the dialers that there is something to do, sooner than their next poll (PostgreSQL's NOTIFY).

Only a hint: one that is lost costs a poll. It is never sent inside the transaction it tells of, which
would make commits wait for each other, and at most every 50 ms a process, however much there is to tell.
"""

from __future__ import annotations

import os
import threading
import time
from functools import partial

import structlog
from django.db import DatabaseError, InterfaceError, connection, transaction

log = structlog.get_logger(__name__)

CHANNEL = "callcenter"
AT_MOST_EVERY_S = 0.05


class _Crier:
    """One thread a process that has something to tell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._something = threading.Event()
        self._topics: set[str] = set()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def tell(self, topic: str) -> None:
        with self._lock:
            self._topics.add(topic)
            # A thread does not follow into a forked process.
            if self._thread is None or not self._thread.is_alive() or self._pid != os.getpid():
                self._pid = os.getpid()
                self._thread = threading.Thread(target=self._repeat, name="hints", daemon=True)
                self._thread.start()
        self._something.set()

    def _repeat(self) -> None:
        while True:
            self._something.wait()
            with self._lock:
                self._something.clear()
                topics, self._topics = self._topics, set()
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, ",".join(sorted(topics))])
            except (DatabaseError, InterfaceError) as error:
                log.debug("hint not sent", why=str(error))
            finally:
                connection.close()
            time.sleep(AT_MOST_EVERY_S)


_crier = _Crier()


def tell(topic: str) -> None:
    """Once what is being written is committed: the thread of that name has something to do.

    On SQLite nobody listens: its dialer looks into the same file often enough.
    """
    if connection.vendor != "postgresql":
        return
    if connection.in_atomic_block:
        transaction.on_commit(partial(_crier.tell, topic))
    else:
        # `on_commit` takes a connection from the pool only to find that there is no transaction.
        _crier.tell(topic)
