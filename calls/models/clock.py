"""The database's clock: the only one that decides (I10). Two machines' clocks are never compared."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection, models
from django.db.models import Func
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware


class ClockNow(Func):
    """Wall time at the moment the row is looked at, also after waiting for its lock.

    `Now()` is the transaction's or statement's start on PostgreSQL, and so would be older than the wait.
    """

    template = "CLOCK_TIMESTAMP()"
    output_field = models.DateTimeField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler, connection, template="STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f', 'NOW')", **context
        )


def database_now() -> datetime:
    """The database's wall clock, aware UTC. Ask after taking a lock, never before."""
    sql = (
        "SELECT CLOCK_TIMESTAMP()"
        if connection.vendor == "postgresql"
        else "SELECT STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql)
        (value,) = cursor.fetchone()
    if isinstance(value, datetime):
        return value
    parsed = parse_datetime(value)
    if parsed is None:
        raise ValueError(f"the database's clock reads {value!r}")
    return make_aware(parsed) if is_naive(parsed) else parsed


def skips_locked_rows() -> bool:
    """Whether a row that another process holds can be passed over. SQLite has one writer: nothing to skip."""
    return bool(connection.features.has_select_for_update_skip_locked)
