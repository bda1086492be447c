"""PostgreSQL's pooled connections after the database went away."""

from __future__ import annotations

import select
import time
from typing import Any

SURE_FOR_S = 1.0
"""How long a connection that has answered is taken without being asked, unless its other end has closed
or another came back broken since: asking is an exchange with the database, and a dialer borrows one twice
a call."""


def only_living(connection: Any) -> None:
    """The pool's `check`: raises for a connection that is dead, having thrown out all other dead ones too.

    psycopg_pool 3.3 waits 1, 2, 4 ... s between the dead connections that it meets, so that after a
    restart of the database whoever came first waited until its time was up, as long as many had been idle.
    """
    pool, now = connection._pool, time.monotonic()
    # A server that goes away tells one connection after the other: what one has met awaits them all.
    lost = pool.get_stats().get("returns_bad", 0)
    answered_at, lost_then = getattr(connection, "answered", (-SURE_FOR_S, lost))
    if now - answered_at < SURE_FOR_S and lost == lost_then and not _something_came(connection):
        return
    try:
        pool.check_connection(connection)
    except Exception:
        pool.check()
        raise
    connection.answered = (now, lost)


def _something_came(connection: Any) -> bool:
    """A server that ends a connection says so; one that is well says nothing unasked."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
