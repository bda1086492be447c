"""PostgreSQL's pooled connections after the database went away."""

from __future__ import annotations

from typing import Any


def only_living(connection: Any) -> None:
    """The pool's `check`: raises for a connection that is dead, having thrown out all other dead ones too.

    psycopg_pool 3.3 waits 1, 2, 4 ... s between the dead connections that it meets, so that after a
    restart of the database whoever came first waited until its time was up, as long as many had been idle.
    """
    pool = connection._pool
    try:
        pool.check_connection(connection)
    except Exception:
        pool.check()
        raise
