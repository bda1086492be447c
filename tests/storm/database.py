"""The database as the harness sees it: patient while it restarts, with a log of every send permit."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, connection

from calls.models.clock import database_now

PATIENCE_S = 90.0

# A trigger sees every permit, also one that a definite "not now" takes back afterwards.
ON_POSTGRESQL = """
CREATE TABLE storm_permit (call_id uuid, line text, counterpart text, kind text, at timestamptz);
CREATE FUNCTION storm_note_permit() RETURNS trigger AS $$
BEGIN
  IF NEW.sent_at IS NOT NULL AND NEW.sent_at IS DISTINCT FROM OLD.sent_at THEN
    INSERT INTO storm_permit VALUES (NEW.id, NEW.line, NEW.counterpart, 'sent', NEW.sent_at);
  END IF;
  IF NEW.replayed_at IS NOT NULL AND NEW.replayed_at IS DISTINCT FROM OLD.replayed_at THEN
    INSERT INTO storm_permit VALUES (NEW.id, NEW.line, NEW.counterpart, 'replayed', NEW.replayed_at);
  END IF;
  RETURN NULL;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER storm_permits AFTER UPDATE OF sent_at, replayed_at ON calls_call
  FOR EACH ROW EXECUTE FUNCTION storm_note_permit();
"""
ON_SQLITE = (
    "CREATE TABLE storm_permit (call_id text, line text, counterpart text, kind text, at text)",
    *(
        f"CREATE TRIGGER storm_{kind} AFTER UPDATE OF {column} ON calls_call"
        f" WHEN NEW.{column} IS NOT NULL AND NEW.{column} IS NOT OLD.{column} BEGIN"
        f" INSERT INTO storm_permit VALUES (NEW.id, NEW.line, NEW.counterpart, '{kind}', NEW.{column}); END"
        for kind, column in (("sent", "sent_at"), ("replayed", "replayed_at"))
    ),
)


@dataclass(frozen=True, slots=True)
class Permit:
    call_id: uuid.UUID
    line: str
    counterpart: str
    kind: str
    """sent or replayed"""
    at: datetime


def patiently[Found](ask: Callable[[], Found]) -> Found:
    """`ask`, again and again while the database is away."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except (DatabaseError, InterfaceError):
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def now() -> datetime:
    return patiently(database_now)


def log_permits() -> None:
    with connection.cursor() as cursor:
        for statement in (ON_POSTGRESQL,) if connection.vendor == "postgresql" else ON_SQLITE:
            cursor.execute(statement)


def permits() -> list[Permit]:
    """In the order of their moments."""
    rows = _rows("SELECT call_id, line, counterpart, kind, at FROM storm_permit ORDER BY at")
    return [Permit(_as_uuid(row[0]), row[1], row[2], row[3], _as_moment(row[4])) for row in rows]


def opt_outs_committed() -> list[tuple[str, datetime]]:
    """(number, moment of the commit) of every entry. Only PostgreSQL knows when it committed what."""
    if connection.vendor != "postgresql":
        return []
    return _rows("SELECT number, pg_xact_commit_timestamp(xmin) FROM calls_donotcall")


def events_containing(marker: bytes) -> int:
    """Stored bodies in which `marker` occurs."""
    found = "position(%s::bytea in body) > 0" if connection.vendor == "postgresql" else "instr(body, %s) > 0"
    return int(_rows(f"SELECT count(*) FROM calls_webhookevent WHERE {found}", [marker])[0][0])


def _rows(sql: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or [])
        return cursor.fetchall()


def _as_uuid(found: Any) -> uuid.UUID:
    return found if isinstance(found, uuid.UUID) else uuid.UUID(str(found))


def _as_moment(found: Any) -> datetime:
    moment = found if isinstance(found, datetime) else datetime.fromisoformat(str(found))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
