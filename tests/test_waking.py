"""A dialer with nothing to do is woken, and never depends on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from calls.dialer import loop, watch
from calls.dialer.watch import Bells, Watch
from calls.models import CallBatch, CallStatus, WebhookEvent, hint
from calls.models.callback import CallBack
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bells() -> Bells:
    return Bells()


@pytest.fixture
def look(bells: Bells) -> Iterator[Watch]:
    one = Watch(bells)
    yield one
    one.close()


def rung(bells: Bells) -> set[str]:
    names = {name for name, bell in bells._bells.items() if bell.is_set()}
    for name in names:
        bells.wait(name, 0)
    return names


def look_for(look: Watch, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(look.look(), 0.05))


def waiting_event() -> None:
    now = timezone.now()
    WebhookEvent.objects.create(key="k", body=b"{}", received_at=now, next_try_at=now)


def promised() -> None:
    CallBack.objects.create(number="+14155550101", due_at=timezone.now() + timedelta(minutes=4))


PAST = timedelta(seconds=-5)
MAKES: list[tuple[str, Callable[[], Any]]] = [
    ("place", lambda: factories.make_call(CallStatus.QUEUED, due_at=timezone.now() + PAST)),
    ("apply", waiting_event),
    ("settle", lambda: factories.make_call(CallStatus.DIALING, lease_until=timezone.now() + PAST)),
    ("settle", lambda: factories.make_call(CallStatus.UNCONFIRMED, next_look_at=timezone.now() + PAST)),
    ("look", lambda: factories.make_call(CallStatus.PLACED, next_look_at=timezone.now() + PAST)),
    ("look", lambda: factories.make_call(CallStatus.ENDED, next_look_at=timezone.now() + PAST, final=False)),
    ("hang-up", lambda: factories.make_call(CallStatus.PLACED, hang_up_at=timezone.now() + PAST)),
    ("fill", promised),
    ("fill", lambda: CallBatch.objects.create(state="filling")),
]


@pytest.mark.parametrize(("thread", "make"), MAKES)
def test_each_kind_of_work_wakes_its_thread_and_no_other(
    look: Watch, bells: Bells, thread: str, make: Callable[[], Any]
) -> None:
    look_for(look, 0.3)
    assert rung(bells) == set()
    make()
    look_for(look, 0.5)
    assert rung(bells) == {thread}


def test_what_is_not_due_yet_wakes_nobody(look: Watch, bells: Bells) -> None:
    factories.make_call(CallStatus.QUEUED, due_at=timezone.now() + timedelta(hours=1))
    factories.make_call(CallStatus.PLACED, next_look_at=timezone.now() + timedelta(hours=1))
    look_for(look, 0.5)
    assert rung(bells) == set()


def test_every_thread_that_waits_for_a_bell_has_one(bells: Bells) -> None:
    workers = loop.Dialer(provider=None)._workers()  # type: ignore[arg-type]
    assert {worker.bell for worker in workers if worker.bell} | {"place"} == set(bells._bells)


def test_a_thread_that_nobody_tells_looks_for_itself(bells: Bells) -> None:
    began = time.monotonic()
    bells.wait("place", 0.1)
    assert time.monotonic() - began < 5


@pytest.fixture
def listening(look: Watch, bells: Bells, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bells]:
    """A watch that hears, and as good as never looks."""
    monkeypatch.setattr(watch, "PEEK_S", 3600.0)
    look._peeked = time.monotonic()
    stop = threading.Event()

    def listen() -> None:
        while not stop.is_set():
            pause = look.look()
            stop.wait(min(pause, 0.1))
        connection.close()

    # `notifies` returns only when told something: the last word ends it.
    thread = threading.Thread(target=listen)
    thread.start()
    until = time.monotonic() + 20
    while not _listeners():
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.1)
    yield bells
    stop.set()
    hint.tell("apply")
    thread.join(20)
    assert not thread.is_alive()


def _listeners() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'callcenter watch' AND query LIKE 'LISTEN%%'"
            " AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


def _rings(bells: Bells, name: str, within_s: float = 10.0) -> bool:
    return bells._bells[name].wait(within_s)


@pytest.mark.postgresql
def test_a_committed_click_is_told_and_one_rolled_back_is_not(postgresql: None, listening: Bells) -> None:
    with transaction.atomic():
        hint.tell("place")
        transaction.set_rollback(True)
    assert not _rings(listening, "place", 0.5)
    with transaction.atomic():
        hint.tell("place")
        assert not _rings(listening, "place", 0.3), "nothing is told before the commit"
    assert _rings(listening, "place")
    assert rung(listening) == {"place"}


@pytest.mark.postgresql
def test_a_process_with_much_to_tell_tells_it_seldom(
    postgresql: None, listening: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[set[str]] = []
    ring = listening.ring
    monkeypatch.setattr(listening, "ring", lambda names: (heard.append(set(names)), ring(names)))
    began = time.monotonic()
    while time.monotonic() - began < 0.5:
        hint.tell("apply")
        hint.tell("place")
    time.sleep(0.3)
    assert 1 <= len(heard) <= 0.5 / hint.AT_MOST_EVERY_S + 2


@pytest.mark.postgresql
def test_listening_survives_a_restart_of_the_database(
    postgresql: None, listening: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RECONNECT_S", 0.1)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'callcenter watch' AND datname = current_database()"
        )
    assert _rings(listening, "settle"), "what was told meanwhile is looked for"
    until = time.monotonic() + 20
    while not _listeners():
        assert time.monotonic() < until
        time.sleep(0.02)
    rung(listening)
    hint.tell("place")
    assert _rings(listening, "place")
