"""What a refusal closes, what room there is, and the breaker of a line: rules as tables, gates as rows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from agents.providers.base import Report
from calls import dialer
from calls.dialer import account, breaker, gate
from calls.dialer.account import Room, Theirs, reserve, room
from calls.dialer.ask import _attempt
from calls.dialer.breaker import Health, Tally, Trial, judge, judge_trial, rest
from calls.dialer.claim import Nothing, claim_next
from calls.dialer.place import place
from calls.lifecycle.apply import apply_due
from calls.lifecycle.facts import store_lookup
from calls.models import Call, CallStatus, Gate, LeadPhone, Stop
from calls.models.clock import database_now
from tests import factories
from tests.far_end import FarEnd, accepted, says, theirs
from tests.test_claiming import waiting_call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]
NOW = factories.at("2026-03-02 14:30")
SignIn = Callable[[User], Client]


@pytest.fixture(autouse=True)
def _no_waiting_for_pace(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 100.0


def go(far: FarEnd) -> Call | Nothing:
    """Claim and place one call."""
    Gate.objects.filter(kind="line").update(next_slot_at=None)
    call = claim_next(far.provider())
    if isinstance(call, Call):
        place(call, far.provider())
        call.refresh_from_db()
    return call


def ends(call: Call, reason: str, *, ago: timedelta = timedelta()) -> None:
    """The phone company tells how a call ended."""
    ended = int((timezone.now() - ago).timestamp() * 1000)
    told = theirs(
        call.provider_call_id,
        call_uuid=str(call.pk),
        call_status="not_connected",
        disconnection_reason=reason,
        end_timestamp=ended,
    )
    report = FarEnd().provider().read_call(json.dumps(told).encode())
    assert report.ending is not None
    store_lookup(Report(body=json.dumps(told).encode(), facts=report), now=timezone.now())
    apply_due(now=timezone.now())
    call.refresh_from_db()
    assert call.status == CallStatus.ENDED


@pytest.mark.parametrize(
    ("message", "scope"),
    [
        ("from_number is not allowed to make outbound calls", "number"),
        ("Agent agent_1 is suspended", "agent"),
    ],
)
def test_a_refusal_of_an_agent_or_a_caller_id_pauses_it_says_why_and_spends_nothing(
    message: str, scope: str, manager: User
) -> None:
    far = FarEnd([says(422, message)])
    call = waiting_call()
    other = waiting_call(due_at=timezone.now() - timedelta(seconds=1))
    go(far)
    call.refresh_from_db()
    assert (call.status, call.sent_at) == (CallStatus.QUEUED, None)
    stop = Stop.objects.in_force().get()
    assert (stop.scope, stop.cause) == (scope, "refused")
    assert message in stop.reason
    assert message in call.refusal
    waits = dialer.waiting(call, now=timezone.now())
    assert waits is not None
    assert message in waits.text
    went = go(FarEnd([accepted()]))
    assert isinstance(went, Call)
    assert went.pk == other.pk
    target = dialer.Target(agent=stop.agent, number=stop.number)
    dialer.resume(by=manager, reason="mended there", now=timezone.now(), target=target)
    went = go(FarEnd([accepted("call_far_2")]))
    assert isinstance(went, Call)
    assert went.pk == call.pk


def test_a_country_we_may_not_call_ends_the_call_and_three_pause_the_caller_id() -> None:
    agent = factories.make_agent()
    for n in range(3):
        assert not Stop.objects.exists(), n
        call = waiting_call(agent=agent)
        go(FarEnd([says(422, "Destination country is not supported")]))
        call.refresh_from_db()
        assert (call.status, call.outcome, call.fault) == (CallStatus.ENDED, "failed", "number")
        assert LeadPhone.objects.get(lead=call.lead).state == "valid"
        assert _attempt(call.lead, call.counterpart) == 1
    assert "Destination country" in Stop.objects.in_force().get().reason


def test_a_number_that_does_not_exist_is_marked_and_never_dialled_again() -> None:
    call = waiting_call()
    go(FarEnd([says(400, "to_number is not a valid E.164 phone number")]))
    call.refresh_from_db()
    assert (call.status, call.outcome) == (CallStatus.ENDED, "invalid_number")
    assert LeadPhone.objects.get(lead=call.lead).state == "wrong"


@pytest.mark.parametrize(("status", "code"), [(401, "authentication"), (402, "billing"), (403, "billing")])
def test_a_refused_account_rests_the_queue_until_a_probe_passes(status: int, code: str) -> None:
    call = waiting_call()
    waiting_call()
    go(FarEnd([says(status, "no")]))
    call.refresh_from_db()
    assert (call.status, call.sent_at) == (CallStatus.QUEUED, None)
    assert account.account_state().code == code
    far = FarEnd(key_info=says(status, "still no"))
    Gate.objects.update(probe_at=database_now() - timedelta(seconds=1))
    account.probe_account(far.provider())
    assert isinstance(go(far), Nothing)
    assert far.sent == []
    Gate.objects.filter(kind="capacity").update(probe_at=database_now() - timedelta(seconds=1))
    far = FarEnd()
    assert account.probe_account(far.provider())
    assert isinstance(go(far), Call)
    assert account.account_problem() == ""


def test_after_a_probe_one_call_tries_and_when_refused_the_next_probe_comes_later() -> None:
    for _ in range(3):
        waiting_call()
    go(FarEnd([says(402, "no credit")]))
    far = FarEnd([says(402, "no credit")])
    Gate.objects.filter(kind="capacity").update(probe_at=database_now() - timedelta(seconds=1))
    account.probe_account(far.provider())
    go(far), go(far), go(far)
    assert len(far.sent) == 1
    row = account.the_row()
    assert row is not None
    assert row.probe_at is not None
    assert row.probe_at > database_now() + timedelta(seconds=90)


def test_a_manager_says_the_account_is_mended(manager: User, sales: User, sign_in: SignIn) -> None:
    account.account_refused("no credit <b>", code="billing", now=timezone.now())
    assert sign_in(sales).post("/admin/calling/mended/").status_code == 403
    client = sign_in(manager)
    page = client.get("/admin/calling/").content.decode()
    assert "no credit &lt;b&gt;" in page
    client.post("/admin/calling/mended/")
    assert account.account_problem() == ""


@pytest.mark.parametrize(
    ("count", "least", "most"), [(0, 0.7, 1.3), (1, 1.4, 2.6), (3, 5.6, 10.4), (40, 42.0, 78.0)]
)
def test_a_line_told_not_now_rests_longer_each_time_with_jitter(
    count: int, least: float, most: float
) -> None:
    found = {gate.backoff_s(count) for _ in range(50)}
    assert all(least <= seconds <= most for seconds in found)
    assert len(found) > 1


def test_busy_counts_by_line_until_one_passes_and_an_absurd_wait_is_cut() -> None:
    waiting_call()
    go(FarEnd([says(429, "slow down", **{"Retry-After": "999999"})]))
    line = Gate.objects.get(kind="line")
    assert line.closed_until is not None
    assert line.closed_until < database_now() + timedelta(minutes=11)
    assert line.not_nows == 1
    Gate.objects.filter(kind="line").update(closed_until=None)
    go(FarEnd())
    line.refresh_from_db()
    assert line.not_nows == 0


@pytest.mark.parametrize(
    ("limit", "percent", "their_own", "kept"),
    [
        (20, 20, 0, 4),
        (4, 20, 0, 1),
        (2, 20, 0, 1),
        (1, 20, 0, 0),
        (20, 0, 0, 0),
        (20, 20, 6, 6),
        (10, 90, 20, 9),
    ],
)
def test_what_is_kept_for_people_who_ring(limit: int, percent: float, their_own: int, kept: int) -> None:
    assert reserve(limit, percent=percent, theirs=their_own) == kept


def they_say(limit: int, in_use: int, ours_then: int, seconds_ago: float = 1) -> Theirs:
    return Theirs(limit, in_use, 0, ours_then, NOW - timedelta(seconds=seconds_ago))


@pytest.mark.parametrize(
    ("ours", "said", "expected"),
    [
        (20, they_say(20, 0, 0), Room(16, 4, True)),
        (10, they_say(20, 0, 0), Room(10, 4, True)),
        (20, they_say(20, 7, 7), Room(16, 4, True)),
        (20, they_say(20, 12, 7), Room(11, 4, True)),
        (20, they_say(20, 3, 7), Room(16, 4, True)),
        (20, they_say(20, 30, 0), Room(0, 4, True)),
        (20, they_say(0, 0, 0), Room(20, 0, False)),
        (20, they_say(20, 0, 0, seconds_ago=60), Room(20, 0, False)),
        (20, None, Room(20, 0, False)),
    ],
)
def test_room_is_the_least_of_ours_and_what_they_leave_us(
    ours: int, said: Theirs | None, expected: Room
) -> None:
    assert room(ours=ours, theirs=said, percent=20, now=NOW) == expected


def test_the_phone_company_is_asked_once_in_ten_seconds_by_whichever_dialer_comes_first() -> None:
    far = FarEnd(concurrency=httpx.Response(200, json={"current_concurrency": 9, "concurrency_limit": 10}))
    assert account.ask_capacity(far.provider())
    assert not account.ask_capacity(far.provider())
    assert far.asked.count("GET /get-concurrency") == 1
    waiting_call()
    full = claim_next(far.provider())
    assert isinstance(full, Nothing)
    assert full.why == "capacity"
    waits = dialer.waiting(Call.objects.get(), now=timezone.now())
    assert waits is not None
    gate.beat("dialer-1", "dialer", now=timezone.now())
    waits = dialer.waiting(Call.objects.get(), now=timezone.now())
    assert waits is not None
    assert waits.code == "capacity"
    assert "2 more are kept for people who ring us" in waits.text


def test_a_phone_company_that_cannot_be_asked_leaves_our_own_number_and_the_dashboard_says_so(
    sales: User, sign_in: SignIn
) -> None:
    client = sign_in(sales)
    assert not account.ask_capacity(FarEnd(concurrency=says(500, "oops")).provider())
    assert "0 of 20 lines in use (our own number" in client.get("/admin/").content.decode()
    Gate.objects.update(ask_at=None)
    account.ask_capacity(FarEnd().provider())
    assert "0 of 16 lines in use (4 kept for calls in)" in client.get("/admin/").content.decode()


@pytest.mark.parametrize(
    ("failed", "done", "health"),
    [(0, 0, "fine"), (2, 2, "fine"), (3, 3, "slow"), (3, 15, "slow"), (3, 16, "fine"), (4, 4, "slow"),
     (5, 10, "broken"), (5, 11, "slow"), (50, 100, "broken"), (10, 100, "fine")],
)  # fmt: skip
def test_when_a_line_is_slowed_and_when_it_rests(failed: int, done: int, health: str) -> None:
    assert judge(Tally(failed, done)) == Health(health)


def test_a_line_rests_twice_as_long_each_time_and_never_over_ten_minutes() -> None:
    assert [rest(n).total_seconds() for n in (1, 2, 3, 9)] == [30, 60, 120, 600]


@pytest.mark.parametrize(
    ("fields", "minutes", "shown"),
    [
        ({"status": "placed"}, 1, Trial.WAIT),
        ({"status": "placed"}, 8, Trial.WORKED),
        ({"status": "in_progress"}, 1, Trial.WORKED),
        ({"status": "queued"}, 1, Trial.FAILED),
        ({"status": "unconfirmed"}, 1, Trial.FAILED),
        ({"status": "ended", "outcome": "no_answer"}, 1, Trial.WORKED),
        ({"status": "ended", "outcome": "failed", "fault": "line"}, 1, Trial.FAILED),
        ({"status": "ended", "outcome": "failed", "fault": "agent"}, 1, Trial.WORKED),
    ],
)
def test_what_the_one_call_that_tries_shows(fields: dict[str, Any], minutes: int, shown: Trial) -> None:
    assert judge_trial(Call(**fields), since=NOW - timedelta(minutes=minutes), now=NOW) == shown


def failed_calls(count: int, *, line: str = "default") -> None:
    for _ in range(count):
        call = factories.make_call(
            status="ended", line=line, outcome="failed", fault="line", answered_at=None
        )
        Call.objects.filter(pk=call.pk).update(ended_at=database_now())


def test_a_breaker_opens_one_call_tries_and_its_end_closes_it(manager: User, sign_in: SignIn) -> None:
    failed_calls(5)
    waiting_call(), waiting_call(), waiting_call(line="other")
    breaker.review()
    line = Gate.objects.get(kind="line", name="default")
    assert line.breaker == "open"
    far = FarEnd([accepted("call_a"), accepted("call_b"), accepted("call_c")])
    on_other = go(far)
    assert isinstance(on_other, Call)
    assert on_other.line == "other"
    assert isinstance(go(far), Nothing)
    gate.beat("dialer-1", "dialer", now=timezone.now())
    waits = dialer.waiting(Call.objects.filter(status="queued").latest("due_at"), now=timezone.now())
    assert waits is not None
    assert (waits.code, "5 of 5 calls failed" in waits.text) == ("line_rests", True)
    number = factories.make_number()
    page = sign_in(manager).get(f"/admin/agents/phonenumber/{number.pk}/change/").content.decode()
    assert "5 of 5 calls failed" in page
    Gate.objects.filter(pk=line.pk).update(tries_at=database_now())
    trial = go(far)
    assert isinstance(trial, Call)
    assert isinstance(go(far), Nothing)
    line.refresh_from_db()
    assert (line.breaker, line.trial_call) == ("trying", trial.pk)
    ends(trial, "dial_no_answer")
    breaker.review()
    line.refresh_from_db()
    assert line.breaker == "closed"
    assert isinstance(go(far), Call)


def test_a_trial_that_fails_makes_the_line_rest_longer() -> None:
    failed_calls(5)
    waiting_call()
    breaker.review()
    Gate.objects.filter(kind="line").update(tries_at=database_now())
    trial = go(FarEnd())
    assert isinstance(trial, Call)
    ends(trial, "sip_routing_error")
    breaker.review()
    line = Gate.objects.get(kind="line")
    assert (line.breaker, line.openings) == ("open", 2)
    assert line.tries_at is not None
    assert line.tries_at > database_now() + timedelta(seconds=50)


def test_some_failures_only_slow_a_line(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 1.0
    failed_calls(3)
    gate.gate("line", "default")
    breaker.review()
    line = Gate.objects.get(kind="line")
    assert (line.breaker, line.pace_factor) == ("closed", 4)
    assert gate.pace_interval(line) == timedelta(seconds=4)
    Call.objects.update(ended_at=database_now() - timedelta(minutes=6))
    breaker.review()
    line.refresh_from_db()
    assert line.pace_factor == 1


def test_failures_that_are_not_the_lines_do_not_open_it() -> None:
    failed_calls(8)
    Call.objects.update(fault="agent")
    gate.gate("line", "default")
    breaker.review()
    assert Gate.objects.get(kind="line").breaker == "closed"


@pytest.mark.django_db(transaction=True)
def test_two_dialers_at_a_line_that_rests_let_one_call_try() -> None:
    failed_calls(5)
    for _ in range(4):
        waiting_call()
    breaker.review()
    Gate.objects.filter(kind="line").update(tries_at=database_now())
    both = threading.Barrier(2)
    claimed: list[Call] = []

    def claim() -> None:
        both.wait()
        for _ in range(10):
            found = claim_next(FarEnd().provider())
            if isinstance(found, Call):
                claimed.append(found)
        connection.close()

    threads = [threading.Thread(target=claim) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(claimed) == 1
