"""The few database connections a process has, and when not to hold one."""

from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from django.db import close_old_connections, connection


def hand_back() -> None:
    """Give the pooled connection back before waiting for somebody else (I5); the next query takes one again.

    Inside a transaction nothing is done: closing would lose it.
    """
    if not connection.in_atomic_block:
        close_old_connections()


def connect_to_listen() -> psycopg.Connection[Any]:
    """A connection outside the pool, for LISTEN. Not through a pooler, which hands connections round:
    `LISTEN_DATABASE_URL` leads past it. Raises psycopg.Error.
    """
    there = settings.LISTEN_DATABASE or connection.settings_dict
    return psycopg.connect(
        dbname=there["NAME"],
        user=there["USER"] or None,
        password=there["PASSWORD"] or None,
        host=there["HOST"] or None,
        port=there["PORT"] or None,
        application_name="callcenter watch",
        autocommit=True,
        connect_timeout=5,
        # A machine that vanishes is noticed.
        tcp_user_timeout=10_000,
        keepalives_idle=10,
    )
