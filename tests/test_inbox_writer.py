"""Rows that many requests bring are committed in groups: none is lost, none fails for its neighbour."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import timezone

from callcenter import pool
from calls.lifecycle import inbox
from calls.lifecycle.facts import event_key
from calls.lifecycle.inbox import Arrived, GroupWriter, NotStored
from calls.models import WebhookEvent

pytestmark = pytest.mark.django_db(transaction=True)
TOGETHER = 40


def event(number: int, *, source: str = "webhook") -> Arrived:
    body = f'{{"number": {number}}}'.encode()
    now = timezone.now()
    return Arrived(event_key("webhook", "current", body), source, "current", "retell", body, "", now, now)


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[GroupWriter]:
    # On a busy machine a commit may take longer than a door in production should wait for one.
    monkeypatch.setattr(inbox, "STALLED_AFTER_S", 5.0)
    started = GroupWriter()
    yield started
    started.close()


def all_at_once(store: Callable[[Arrived], None], events: list[Arrived]) -> list[Future[None]]:
    barrier = threading.Barrier(len(events))

    def one(row: Arrived) -> None:
        barrier.wait(10)
        store(row)

    with ThreadPoolExecutor(len(events)) as pool:
        return [pool.submit(one, row) for row in events]


def test_what_came_together_is_there_when_each_is_answered(writer: GroupWriter) -> None:
    found = all_at_once(writer.store, [event(number) for number in range(TOGETHER)])
    assert [answer.exception() for answer in found] == [None] * TOGETHER
    assert WebhookEvent.objects.count() == TOGETHER


def test_few_commits_serve_many(writer: GroupWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    write_rows = inbox.write_rows

    def slow(events: list[Arrived]) -> None:
        groups.append(len(events))
        time.sleep(0.05)
        write_rows(events)

    monkeypatch.setattr(inbox, "write_rows", slow)
    all_at_once(writer.store, [event(number) for number in range(TOGETHER)])
    assert sum(groups) == TOGETHER
    assert len(groups) <= 4


def test_a_row_that_cannot_be_kept_fails_alone(writer: GroupWriter) -> None:
    events = [event(number) for number in range(TOGETHER)]
    events[7] = event(7, source="nonsense")
    found = all_at_once(writer.store, events)
    refused = [number for number, answer in enumerate(found) if isinstance(answer.exception(), NotStored)]
    assert refused == [7]
    assert WebhookEvent.objects.count() == TOGETHER - 1


def test_what_the_statement_adds_is_what_the_model_would(writer: GroupWriter) -> None:
    arrived = event(1)
    writer.store(arrived)
    stored, made = WebhookEvent.objects.get(), WebhookEvent(**arrived._asdict())
    made.pk = stored.pk
    names = [field.attname for field in WebhookEvent._meta.concrete_fields]
    assert {name: getattr(stored, name) for name in names} == {name: getattr(made, name) for name in names}


def test_a_repeat_within_a_group_is_kept_once(writer: GroupWriter) -> None:
    found = all_at_once(writer.store, [event(1) for _ in range(8)])
    assert [answer.exception() for answer in found] == [None] * 8
    assert WebhookEvent.objects.count() == 1


def test_a_database_that_is_away_is_said_and_not_waited_for(
    writer: GroupWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "WAITS_S", 0.2)
    held = threading.Event()
    monkeypatch.setattr(inbox, "write_rows", lambda events: held.wait(10))
    try:
        with pytest.raises(NotStored):
            writer.store(event(1))
    finally:
        held.set()


def test_while_nothing_commits_few_wait_and_the_others_are_told_at_once(
    writer: GroupWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    write_rows = inbox.write_rows

    def stuck(events: list[Arrived]) -> None:
        let_go.wait(10)
        write_rows(events)

    monkeypatch.setattr(inbox, "write_rows", stuck)
    monkeypatch.setattr(inbox, "STALLED_AFTER_S", 0.2)
    with ThreadPoolExecutor(TOGETHER) as pool:
        answers = [pool.submit(writer.store, event(number)) for number in range(TOGETHER)]
        time.sleep(1)
        told = [answer for answer in answers if answer.done()]
        assert len(told) == TOGETHER - inbox.WAIT_WHILE_STALLED
        assert all(isinstance(answer.exception(), NotStored) for answer in told)
        started = time.monotonic()
        with pytest.raises(NotStored):
            writer.store(event(TOGETHER))
        assert time.monotonic() - started < 0.5
        monkeypatch.setattr(inbox, "STALLED_AFTER_S", 5.0)
        let_go.set()
        assert [answer.exception() for answer in answers if answer not in told] == [None] * (
            inbox.WAIT_WHILE_STALLED
        )
    found = all_at_once(writer.store, [event(number) for number in range(TOGETHER)])
    assert [answer.exception() for answer in found] == [None] * TOGETHER
    assert WebhookEvent.objects.count() == TOGETHER


def test_a_row_that_was_refused_does_not_count_as_a_database_that_is_away(
    writer: GroupWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotStored):
        writer.store(event(0, source="nonsense"))
    monkeypatch.setattr(inbox, "STALLED_AFTER_S", 2.0)
    time.sleep(2.5)
    found = all_at_once(writer.store, [event(number) for number in range(TOGETHER)])
    assert [answer.exception() for answer in found] == [None] * TOGETHER


@pytest.mark.postgresql
@pytest.mark.parametrize("told", [True, False], ids=["all told", "told one after the other"])
def test_a_database_that_came_back_is_written_to_again(
    writer: GroupWriter, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    if not told:
        # A busy server has yet to say so on the other connections.
        monkeypatch.setattr(pool, "_something_came", lambda connection: False)
    writer.store(event(1))
    # Many idle connections, all of which die: the pool must not try one after the other.
    lent = [connection.pool.getconn() for _ in range(8)]
    for each in lent:
        connection.pool.putconn(each)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    writer.store(event(2))
    assert WebhookEvent.objects.count() == 2
