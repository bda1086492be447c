"""How stored events reach the disk: one at a time, or in groups by one thread of a process that serves.

A commit that waits for the disk costs the same for one row and for thirty, so a busy door hands its rows
to a writer and answers when their group is committed. Correctness needs none of it: without `open_group`
each row is written where it came.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import structlog
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
    connections,
)

from calls.models import WebhookEvent, hint
from calls.models.webhook_event import EventState

log = structlog.get_logger(__name__)

LONGEST_GROUP = 64
WAITS_S = 8.0
"""Before the phone company gives up after ten seconds; it sends the event again."""
STALLED_AFTER_S = 0.5
"""A commit takes milliseconds, on a busy disk tenths of a second: after so long it may not be back soon."""
WAIT_WHILE_STALLED = 4
"""Half of the threads `make web` starts a process with: the others are for who answers without the disk."""
LOOKS_EVERY_S = 0.05


class NotStored(Exception):
    """The row is not known to be on disk; whoever sent it must send it again."""


class Arrived(NamedTuple):
    """What makes one row differ from another when it is stored; all else of it is the same for all.

    Not the model: its instance and its values for the database took a third of a webhook's time. Plain
    strings only, no members of an enumeration: psycopg would look each up.
    """

    key: str
    source: str
    contract: str
    provider: str
    body: bytes
    signature: str
    received_at: datetime
    next_try_at: datetime
    name: str = ""
    provider_call_id: str = ""
    call_uuid: UUID | None = None


def _held() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False, slots=True)
class _Waiting:
    event: Arrived
    done: threading.Lock = field(default_factory=_held)
    """Released once: a quarter of what an Event costs, where every webhook waits for one."""
    error: Exception | None = None


class GroupWriter:
    """One thread that commits what many requests brought: the fewer writers, the larger their groups.

    While it commits, any number may wait for it. While it does not, the first few may, in case the
    database is back in a moment; all others are told at once to send again, so that threads of the web
    server remain for requests that can be answered without it.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._inside: list[_Waiting] = []
        self._busy_since: float | None = None
        """When the group in hand was taken, or something of it was committed; None while none is in hand."""
        self._something = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._closed = False

    def store(self, event: Arrived) -> None:
        """Committed when this returns. Raises NotStored, after 8 s at the latest."""
        entry = _Waiting(event)
        with self._something:
            if self._stalled() and len(self._inside) >= WAIT_WHILE_STALLED:
                raise NotStored("The database answers nobody, and enough wait for it.")
            self._waiting.append(entry)
            self._inside.append(entry)
            self._have_thread()
            self._something.notify()
        try:
            self._wait(entry)
        finally:
            with self._something:
                self._inside.remove(entry)
        if entry.error is not None:
            raise NotStored(str(entry.error)) from entry.error

    def _have_thread(self) -> None:
        """It does not follow into a forked process."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._thread = threading.Thread(target=self._write_until_closed, name="inbox", daemon=True)
            self._thread.start()

    def _wait(self, entry: _Waiting) -> None:
        until = time.monotonic() + WAITS_S
        while not entry.done.acquire(timeout=LOOKS_EVERY_S):
            with self._something:
                too_many = self._stalled() and self._inside.index(entry) >= WAIT_WHILE_STALLED
                if not too_many and time.monotonic() < until:
                    continue
                # What the writer has in hand it finishes; the rest comes again with its sender.
                if entry in self._waiting:
                    self._waiting.remove(entry)
            raise NotStored("The database did not answer in time.")

    def _stalled(self) -> bool:
        return self._busy_since is not None and time.monotonic() - self._busy_since > STALLED_AFTER_S

    def close(self) -> None:
        """Write what waits, end the thread, give its connection back."""
        with self._something:
            self._closed = True
            self._something.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _write_until_closed(self) -> None:
        try:
            while group := self._next_group():
                try:
                    self._write(group)
                    hint.tell("apply")
                except Exception as error:
                    log.exception("the inbox could not write", rows=len(group))
                    for entry in group:
                        entry.error = entry.error or error
                self._finish(group)
        finally:
            connections.close_all()

    def _finish(self, group: list[_Waiting]) -> None:
        with self._something:
            if not self._waiting or not all(_is_away(entry.error) for entry in group):
                self._busy_since = None
        for entry in group:
            entry.done.release()

    def _next_group(self) -> list[_Waiting]:
        """Waits for one; empty when closed and nothing is left."""
        with self._something:
            while not self._waiting and not self._closed:
                self._something.wait()
            group = self._waiting[:LONGEST_GROUP]
            del self._waiting[:LONGEST_GROUP]
            if group:
                # A database that was away for the last group has not come back by our trying again.
                self._busy_since = self._busy_since or time.monotonic()
            return group

    def _write(self, group: list[_Waiting]) -> None:
        try:
            # In one order everywhere: two groups with the same repeats must not wait for each other.
            write_rows(sorted((entry.event for entry in group), key=lambda event: event.key))
        except DatabaseError as error:
            log.warning("a group is written row by row", rows=len(group), why=str(error))
            # A broken connection is replaced here; a bad row must not fail its neighbours.
            close_old_connections()
            for entry in group:
                try:
                    write_rows([entry.event])
                except DatabaseError as problem:
                    entry.error = problem
                    close_old_connections()
                if not _is_away(entry.error):
                    self._busy_since = time.monotonic()


def _is_away(error: Exception | None) -> bool:
    """Whether nobody answered; a row that was refused was refused by somebody."""
    return isinstance(error, (OperationalError, InterfaceError))


def write_rows(events: list[Arrived]) -> None:
    """In one statement. A repeat collides with its key and changes nothing.

    Not `bulk_create(ignore_conflicts=True)`: SQLite's OR IGNORE drops a row that breaks any constraint,
    silently, and what was answered with 200 would be lost.
    """
    if connection.vendor == "postgresql":
        _write_columns(events)
        return
    fields: list[Any] = [WebhookEvent._meta.get_field(name) for name in Arrived._fields]
    row = f"({', '.join(['%s'] * len(fields))}, {_SAME_FOR_ALL})"
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_INTO} VALUES {', '.join([row] * len(events))} ON CONFLICT (key) DO NOTHING",
            [
                field.get_db_prep_save(value, connection)
                for event in events
                for field, value in zip(fields, event, strict=True)
            ],
        )


_INTO = f"INSERT INTO {WebhookEvent._meta.db_table} ({', '.join(Arrived._fields)}, state, tries, problem)"
_SAME_FOR_ALL = f"'{EventState.PENDING.value}', 0, ''"


def _write_columns(events: list[Arrived]) -> None:
    """Each column as one binary array, so that bodies go as they are: Django's own cursor writes every byte
    as two letters of the statement.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(_insert_of_arrays(), [list(column) for column in zip(*events, strict=True)])


@cache
def _insert_of_arrays() -> bytes:
    # The type has no length: a cast to one that has would cut what is too long, silently.
    kinds = [str(WebhookEvent._meta.get_field(name).db_type(connection)) for name in Arrived._fields]
    arrays = ", ".join(f"%b::{kind.partition('(')[0]}[]" for kind in kinds)
    return f"{_INTO} SELECT *, {_SAME_FOR_ALL} FROM unnest({arrays}) ON CONFLICT (key) DO NOTHING".encode()  # noqa: S608  our own names


_group: GroupWriter | None = None


def open_group() -> None:
    """From now on this process writes in groups: for one that does nothing but serve."""
    global _group
    _group = GroupWriter()


def write(event: Arrived) -> None:
    """One row, committed when this returns. Raises NotStored or DatabaseError."""
    if _group is None or connection.in_atomic_block:
        write_rows([event])
        hint.tell("apply")
    else:
        _group.store(event)
