"""The few database connections a process has, and when not to hold one."""

from __future__ import annotations

from django.db import close_old_connections, connection


def hand_back() -> None:
    """Give the pooled connection back before waiting for somebody else (I5); the next query takes one again.

    Inside a transaction nothing is done: closing would lose it.
    """
    if not connection.in_atomic_block:
        close_old_connections()
