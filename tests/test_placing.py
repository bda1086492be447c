"""The send permit, and what each answer of the phone company means for the row."""

from __future__ import annotations

import uuid
from datetime import timedelta

import httpx
import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone

from calls import dialer, eligibility
from calls.dialer import account
from calls.dialer.claim import claim_next
from calls.dialer.place import permit, place
from calls.models import Call, CallStatus, Gate
from calls.models.clock import database_now
from tests.far_end import FarEnd, accepted, says
from tests.test_claiming import waiting_call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]


@pytest.fixture(autouse=True)
def _no_waiting_for_pace(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 100.0


def claimed(far: FarEnd) -> Call:
    waiting_call()
    call = claim_next(far.provider())
    assert isinstance(call, Call)
    return call


def placed_by(far: FarEnd) -> Call:
    call = claimed(far)
    place(call, far.provider())
    call.refresh_from_db()
    return call


def test_accepted_keeps_the_providers_id_and_climbs_to_placed() -> None:
    far = FarEnd([accepted("call_far_7")])
    call = placed_by(far)
    assert (call.status, call.provider_call_id) == (CallStatus.PLACED, "call_far_7")
    assert call.placed_at is not None
    assert call.sent_at is not None
    assert call.local_hour is not None
    assert len(far.sent) == 1
    assert far.sent[0]["idempotency_key"] == far.sent[0]["metadata"]["call_uuid"] == str(call.pk)


def test_a_refused_number_ends_the_call_as_invalid() -> None:
    call = placed_by(FarEnd([says(400, "to_number is not a valid E.164 phone number")]))
    assert (call.status, call.outcome) == (CallStatus.ENDED, "invalid_number")
    assert "E.164" in call.refusal


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_account_puts_the_call_back_and_rests_the_queue(status: int) -> None:
    far = FarEnd([says(status, "no")])
    call = placed_by(far)
    assert (call.status, call.sent_at, call.attempt) == (CallStatus.QUEUED, None, 1)
    assert account.account_problem()
    again = claim_next(far.provider())
    assert not isinstance(again, Call)
    assert again.why == "account_problem"


def test_one_accepted_call_clears_the_accounts_problem() -> None:
    placed_by(FarEnd([says(402, "no credit")]))
    Gate.objects.filter(kind="capacity").update(trial_at=database_now() - timedelta(seconds=1))
    Gate.objects.filter(kind="line").update(next_slot_at=None)
    far = FarEnd()
    call = claim_next(far.provider())
    assert isinstance(call, Call)
    place(call, far.provider())
    assert account.account_problem() == ""


def test_busy_puts_the_call_back_and_closes_the_line_for_as_long_as_asked() -> None:
    far = FarEnd([says(429, "slow down", **{"Retry-After": "7"})])
    call = placed_by(far)
    assert (call.status, call.sent_at, call.place_token) == (CallStatus.QUEUED, None, None)
    assert call.not_now_count == 1
    line = Gate.objects.get(kind="line", name=call.line)
    assert line.closed_until is not None
    assert timedelta(seconds=5) < line.closed_until - database_now() <= timedelta(seconds=7)


def test_what_could_not_connect_was_not_sent() -> None:
    call = placed_by(FarEnd([httpx.ConnectError("refused")]))
    assert (call.status, call.sent_at) == (CallStatus.QUEUED, None)


@pytest.mark.parametrize(
    "answer", [says(500, "oops"), says(503, "x"), httpx.ReadTimeout("late"), says(409, "conflict")]
)
def test_anything_unclear_is_never_dialled_again(answer: httpx.Response | Exception) -> None:
    far = FarEnd([answer])
    call = placed_by(far)
    assert call.status == CallStatus.UNCONFIRMED
    assert call.sent_at is not None
    assert call.next_look_at == call.sent_at + timedelta(seconds=5)
    Gate.objects.filter(kind="line").update(next_slot_at=None)
    assert not isinstance(claim_next(far.provider()), Call)
    assert len(far.sent) == 1


def test_an_accepted_answer_that_cannot_be_read_is_looked_up() -> None:
    call = placed_by(FarEnd([httpx.Response(201, content=b"<html>")]))
    assert (call.status, call.provider_call_id) == (CallStatus.PLACED, "")
    assert call.next_look_at is not None
    assert call.next_look_at < timezone.now() + timedelta(seconds=10)


def test_the_permit_is_given_once() -> None:
    call = claimed(FarEnd())
    assert call.place_token is not None
    assert permit(call.pk, call.place_token) is True
    assert permit(call.pk, call.place_token) is False


def test_no_permit_under_another_claims_token() -> None:
    call = claimed(FarEnd())
    assert permit(call.pk, uuid.uuid4()) is False


def test_no_permit_when_the_lease_has_run_out() -> None:
    call = claimed(FarEnd())
    Call.objects.filter(pk=call.pk).update(lease_until=database_now() - timedelta(milliseconds=1))
    assert call.place_token is not None
    assert permit(call.pk, call.place_token) is False


def test_no_permit_after_an_opt_out_and_the_call_ends_blocked(sales: User) -> None:
    far = FarEnd()
    call = claimed(far)
    out = eligibility.opt_out(call.counterpart, reason="asked", source="staff", now=timezone.now(), by=sales)
    assert [each.pk for each in out.marked] == [call.pk]
    place(call, far.provider())
    call.refresh_from_db()
    assert (call.status, call.outcome) == (CallStatus.ENDED, "blocked")
    assert far.sent == []


def test_no_permit_after_a_stop_and_the_call_waits(manager: User) -> None:
    far = FarEnd()
    call = claimed(far)
    dialer.stop(by=manager, reason="stop", now=timezone.now())
    place(call, far.provider())
    call.refresh_from_db()
    assert (call.status, call.sent_at) == (CallStatus.QUEUED, None)
    assert far.sent == []


def test_a_late_yes_is_taken_although_the_claim_was_lost_meanwhile() -> None:
    far = FarEnd([accepted("call_far_late")])
    call = claimed(far)
    far.on_create = lambda: Call.objects.filter(pk=call.pk).update(status=CallStatus.UNCONFIRMED) and None
    place(call, far.provider())
    call.refresh_from_db()
    assert (call.status, call.provider_call_id) == (CallStatus.PLACED, "call_far_late")


def test_a_late_no_under_an_old_token_changes_nothing() -> None:
    far = FarEnd([says(429, "busy")])
    call = claimed(far)
    far.on_create = lambda: Call.objects.filter(pk=call.pk).update(status=CallStatus.UNCONFIRMED) and None
    place(call, far.provider())
    call.refresh_from_db()
    assert call.status == CallStatus.UNCONFIRMED
    assert call.sent_at is not None


def test_a_yes_under_a_second_id_is_an_incident() -> None:
    far = FarEnd([accepted("call_far_b")])
    call = claimed(far)
    far.on_create = lambda: Call.objects.filter(pk=call.pk).update(provider_call_id="call_far_a") and None
    place(call, far.provider())
    call.refresh_from_db()
    assert call.provider_call_id == "call_far_a"
    assert "call_far_b" in call.incident
