"""Older rows than what was dialled: after a silence, a failover or a backup nobody is called twice."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent
from agents.providers.base import Unclear
from calls import dialer
from calls.dialer import adopt, gate
from calls.dialer.claim import Nothing, claim_next
from calls.dialer.loop import Dialer
from calls.models import Adoption, AdoptionCause, Call, CallStatus, Heartbeat
from calls.models.clock import database_now
from tests import factories
from tests.conftest import in_ci
from tests.far_end import FarEnd, theirs
from tests.inbox import apply_pending
from tests.placing_process import TIMEOUT_S
from tests.postgres import NoServer, debian_programs, wheel_programs
from tests.test_claiming import waiting_call
from tests.test_dialer_process import agent, all_final, ask, run_dialers, wait_until

__all__ = ["agent", "run_dialers"]
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("around_the_clock")]
UUID = "6b0f2f4e-3f0b-4a6b-9f0a-0123456789ab"


@pytest.fixture(autouse=True)
def _fast(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 20.0
    settings.PROVIDER_TIMEOUT_S = TIMEOUT_S
    settings.LOOK_FACTOR = 0.02
    cache.clear()


def silence(minutes: float) -> None:
    gate.beat("gone", "dialer", now=database_now() - timedelta(minutes=minutes))


def look(far: FarEnd) -> None:
    """What the dialer's thread does until there is nothing more, then what it stored is read."""
    one = Dialer(far.provider(), name="back again")
    one.step_heartbeat()
    while not one.step_adopt():
        pass
    apply_pending(now=timezone.now() + timedelta(seconds=1))


def made(call: Call, call_id: str = "call_9", **fields: Any) -> dict[str, Any]:
    ended = {"call_status": "ended", "disconnection_reason": "user_hangup", "duration_ms": 9000}
    times = {"start_timestamp": 1795341600000, "end_timestamp": 1795341609000}
    return theirs(call_id, call_uuid=str(call.pk), to_number=call.counterpart, **{**ended, **times, **fields})


@pytest.mark.django_db
def test_after_ten_minutes_of_silence_nothing_is_claimed_before_it_was_asked_what_was_made() -> None:
    call = waiting_call()
    silence(11)
    blocked = claim_next(FarEnd().provider())
    assert isinstance(blocked, Nothing)
    assert blocked.why == "catching_up"
    far = FarEnd(listed=[made(call)])
    look(far)
    call.refresh_from_db()
    assert (call.status, call.outcome, call.provider_call_id) == ("ended", "connected", "call_9")
    adoption = Adoption.objects.get()
    assert (adoption.cause, adoption.adopted, adoption.done_at is not None) == (
        AdoptionCause.SILENCE,
        1,
        True,
    )
    assert isinstance(claim_next(far.provider()), Nothing)


@pytest.mark.django_db
def test_what_was_not_made_is_dialled_once_that_is_known() -> None:
    call = waiting_call()
    silence(11)
    far = FarEnd()
    look(far)
    claimed = claim_next(far.provider())
    assert isinstance(claimed, Call)
    assert claimed.pk == call.pk


@pytest.mark.django_db
def test_a_call_that_lists_leave_out_is_found_by_our_id_before_its_turn() -> None:
    call = waiting_call()
    silence(11)

    class LeavesOut(FarEnd):
        def provider(self) -> Any:
            provider = super().provider()
            whole = provider.recent_calls
            provider.recent_calls = lambda **asked: type(whole(**asked))(reports=(), next_key=None)  # type: ignore[method-assign]
            return provider

    far = LeavesOut(listed=[made(call, call_status="not_connected", disconnection_reason="dial_no_answer")])
    look(far)
    call.refresh_from_db()
    assert (call.status, call.outcome) == ("ended", "no_answer")


@pytest.mark.django_db
def test_a_call_due_tomorrow_is_looked_up_tomorrow() -> None:
    call = waiting_call(due_at=timezone.now() + timedelta(days=1))
    silence(11)
    look(FarEnd())
    call.refresh_from_db()
    assert call.look_first
    Call.objects.filter(pk=call.pk).update(due_at=timezone.now())
    call.refresh_from_db()
    waits = dialer.waiting(call, now=timezone.now())
    assert waits is not None
    assert waits.code == "catching_up"
    assert isinstance(claim_next(FarEnd().provider()), Nothing)
    look(FarEnd())
    assert isinstance(claim_next(FarEnd().provider()), Call)


@pytest.mark.django_db
def test_telling_what_many_wait_for_costs_as_many_queries_as_for_one(
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    gate.beat("here", "dialer", now=database_now())
    waiting_call()
    with CaptureQueriesContext(connection) as one:
        dialer.queue_summary(now=timezone.now())
    for _ in range(4):
        waiting_call(look_first=True)
    with django_assert_num_queries(len(one)):
        summary = dialer.queue_summary(now=timezone.now())
    assert {code: count for code, _text, count in summary}["catching_up"] == 4


@pytest.mark.django_db
def test_a_call_these_rows_never_heard_of_gets_its_row() -> None:
    ours = factories.make_number(number="+14155550199")
    speaker = factories.make_agent(provider_agent_id="agent_1", default_caller_id=ours)
    lead = factories.make_lead("+14155550101")
    silence(11)
    far = FarEnd(listed=[theirs("call_9", call_uuid=UUID, start_timestamp=1795341600000)])
    far.listed.append(theirs("call_10", call_uuid=UUID.replace("6", "7"), from_number="+12125550177"))
    look(far)
    call = Call.objects.get()
    assert (str(call.pk), call.provider_call_id, call.status) == (UUID, "call_9", "placed")
    assert (call.lead, call.agent, call.counterpart) == (lead, speaker, "+14155550101")


@pytest.mark.django_db
def test_while_the_phone_company_gives_no_answer_nothing_goes_out_and_every_page_says_so(
    sales: User, sign_in: Callable[[User], Client]
) -> None:
    waiting_call()
    silence(11)
    far = FarEnd()
    one = Dialer(far.provider())
    one.step_heartbeat()
    now = database_now()
    one.provider = broken()
    adopt.adopt_next(one.provider, now=now)
    assert isinstance(claim_next(far.provider()), Nothing)
    page = sign_in(sales).get("/admin/calls/lead/").content.decode()
    assert "Catching up with the phone company" in page
    assert "No answer yet" in page
    assert adopt.adopt_next(far.provider(), now=now + timedelta(seconds=11))
    cache.clear()
    assert "Catching up" not in sign_in(sales).get("/admin/calls/lead/").content.decode()


def broken() -> Any:
    provider = FarEnd().provider()

    def no_answer(**asked: Any) -> Any:
        raise Unclear("Retell answered with status 500.")

    provider.recent_calls = no_answer  # type: ignore[method-assign]
    return provider


@pytest.mark.django_db
@pytest.mark.parametrize("minutes", [0.0, 9.0])
def test_a_short_silence_is_nothing_to_catch_up_with(minutes: float) -> None:
    waiting_call()
    silence(minutes)
    look(FarEnd())
    assert not Adoption.objects.exists()
    assert isinstance(claim_next(FarEnd().provider()), Call)


@pytest.mark.django_db
def test_a_first_start_has_nothing_to_catch_up_with() -> None:
    waiting_call()
    look(FarEnd())
    assert not Adoption.objects.exists()


@pytest.fixture
def backup(tmp_path: Path, transactional_db: None) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """(copy the database, bring the copy back), as docs/operations.md says."""
    if connection.vendor == "sqlite":
        copy = tmp_path / "copy.sqlite3"
        yield (lambda: _sqlite_copy(_file(), copy)), (lambda: _sqlite_copy(copy, _file()))
        return
    dump = tmp_path / "copy.dump"
    known = connection.settings_dict
    login = ["-h", str(known["HOST"] or "127.0.0.1"), "-p", str(known["PORT"] or 5432), "-U", known["USER"]]
    programs = _programs()

    def save() -> None:
        _run([programs / "pg_dump", *login, "-Fc", "-f", dump, known["NAME"]])

    def bring_back() -> None:
        _let_go()
        _run([programs / "pg_restore", *login, "--clean", "--if-exists", "-1", "-d", known["NAME"], dump])

    yield save, bring_back


def _file() -> Path:
    return Path(connection.settings_dict["NAME"])


def _sqlite_copy(source: Path, target: Path) -> None:
    _let_go()
    with sqlite3.connect(source) as one, sqlite3.connect(target) as other:
        one.backup(other)
    one.close()
    other.close()


def _let_go() -> None:
    connections.close_all()
    if connection.vendor == "postgresql":
        connection.close_pool()


def _run(command: list[Any]) -> None:
    subprocess.run([str(part) for part in command], check=True, timeout=60)


def _programs() -> Path:
    """Those of the server's own version."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        major = int(cursor.fetchone()[0]) // 10_000
    for find in (debian_programs, wheel_programs):
        try:
            found = find()
        except NoServer:
            continue
        said = subprocess.run([found / "pg_dump", "--version"], capture_output=True, text=True, check=False)
        if f" {major}." in said.stdout:
            return found
    why = f"no pg_dump of PostgreSQL {major}"
    if in_ci():
        pytest.fail(why)
    pytest.skip(why)


@pytest.mark.django_db(transaction=True)
def test_an_older_copy_brought_back_rings_nobody_a_second_time(
    backup: tuple[Callable[[], None], Callable[[], None]], agent: Agent, sandbox: Any, run_dialers: Any
) -> None:
    save, bring_back = backup
    waiting = [ask(agent, ending) for ending in ("101", "109", "108")]
    save()
    later = ask(agent, "105")
    first = run_dialers()[0]
    wait_until(all_final)
    first.stop()
    wait_until(lambda: Heartbeat.objects.exists())
    rung = {ring["call_uuid"] for ring in sandbox.ledger()["calls"]}
    assert rung == {str(call.pk) for call in [*waiting, later]}
    stopped(first)

    bring_back()
    assert set(Call.objects.values_list("status", flat=True)) == {CallStatus.QUEUED}
    assert not Call.objects.filter(pk=later.pk).exists()
    call_command("stop_calling", "--reason", "restored", "--restored")
    run_dialers()
    wait_until(lambda: not Adoption.objects.filter(done_at=None).exists())
    call_command("resume_calling")
    new = ask(agent, "106")
    wait_until(all_final)

    ledger = sandbox.ledger()
    assert ledger["summary"]["placed_twice"] == {}
    assert ledger["summary"]["outbound"] == len(waiting) + 2
    by_uuid = {ring["call_uuid"]: ring for ring in ledger["calls"]}
    for call in [*waiting, later, new]:
        row = Call.objects.get(pk=call.pk)
        assert row.disconnection_reason == by_uuid[str(call.pk)]["disconnection_reason"]
        assert row.incident == ""


def stopped(one: Dialer) -> None:
    """Its threads have let go of the database, so that a copy can be brought back."""
    names = {worker.name for worker in one._workers()}
    end = time.monotonic() + 20
    while any(thread.name in names for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_the_programs_for_copies_are_named_in_the_handbook() -> None:
    text = (Path(__file__).parent.parent / "docs" / "operations.md").read_text()
    for said in ("stop_calling --restored", "pg_dump", "pg_restore", ".backup"):
        assert said in text
