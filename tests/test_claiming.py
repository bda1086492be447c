"""Which call goes out next: order, fairness, pace, capacity, and what may no longer be called."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone

from agents.models import Agent
from agents.providers.base import PlaceOrder
from calls import dialer, eligibility
from calls.dialer.claim import Nothing, claim_next
from calls.models import Call, CallStatus, Direction, DoNotCall, Gate, Lead, Priority
from calls.models.clock import database_now
from tests import factories
from tests.far_end import FarEnd

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]


@pytest.fixture(autouse=True)
def _no_waiting_for_pace(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 100.0


def waiting_call(**fields: object) -> Call:
    agent = fields.pop("agent", None) or factories.make_agent()
    lead = factories.make_lead()
    number = lead.phones.get().number
    return factories.make_call(
        status=CallStatus.QUEUED,
        lead=lead,
        counterpart=number,
        agent=agent,
        our_number=agent.default_caller_id.number,  # type: ignore[union-attr]
        **{"due_at": timezone.now() - timedelta(seconds=10), **fields},
    )


def claim() -> Call | Nothing:
    Gate.objects.filter(kind="line").update(next_slot_at=None)
    return claim_next(FarEnd().provider())


def claim_all() -> list[Call]:
    found = []
    while isinstance(call := claim(), Call):
        found.append(call)
    return found


def test_promises_go_before_clicks_before_batches() -> None:
    batch, click, promise = (
        waiting_call(priority=p) for p in (Priority.BATCH, Priority.CLICK, Priority.CALL_BACK)
    )
    assert [call.pk for call in claim_all()] == [promise.pk, click.pk, batch.pk]


def test_people_take_turns_however_much_one_of_them_asked_for(sales: User, manager: User) -> None:
    for _ in range(3):
        waiting_call(requested_by=sales, priority=Priority.BATCH)
    for _ in range(2):
        waiting_call(requested_by=manager, priority=Priority.BATCH)
    askers = [call.requested_by_id for call in claim_all()]
    assert sorted(askers[:2]) == sorted([sales.pk, manager.pk])
    assert sorted(askers[2:4]) == sorted([sales.pk, manager.pk])


def test_a_claim_sets_token_lease_slot_and_the_bytes_that_are_sent() -> None:
    waiting_call()
    call = claim()
    assert isinstance(call, Call)
    call.refresh_from_db()
    assert call.status == CallStatus.DIALING
    assert call.place_token is not None
    assert call.lease_until is not None
    assert call.lease_until > database_now()
    assert call.slot_until is not None
    assert str(call.pk).encode() in bytes(call.request_body or b"")


def test_a_line_lets_one_call_go_per_pace_interval(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 0.5
    waiting_call(), waiting_call()
    provider = FarEnd().provider()
    assert isinstance(claim_next(provider), Call)
    second = claim_next(provider)
    assert isinstance(second, Nothing)
    assert second.why == "pace"


def test_two_lines_do_not_wait_for_each_other(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 0.1
    waiting_call(line="a"), waiting_call(line="b")
    provider = FarEnd().provider()
    assert {call.line for call in (claim_next(provider), claim_next(provider)) if isinstance(call, Call)} == {
        "a",
        "b",
    }


def test_capacity_counts_slots_that_are_held_and_frees_those_that_ran_out(settings: LazySettings) -> None:
    settings.MAX_CONCURRENT_CALLS = 1
    waiting_call()
    held = factories.make_call(status=CallStatus.IN_PROGRESS)
    Call.objects.filter(pk=held.pk).update(slot_until=database_now() + timedelta(minutes=5))
    full = claim()
    assert isinstance(full, Nothing)
    assert full.why == "capacity"
    Call.objects.filter(pk=held.pk).update(slot_until=database_now() - timedelta(seconds=1))
    assert isinstance(claim(), Call)


def test_a_busy_agent_is_passed_over_for_another() -> None:
    busy, free = factories.make_agent(max_concurrent_calls=1), factories.make_agent()
    on = factories.make_call(status=CallStatus.IN_PROGRESS, agent=busy)
    Call.objects.filter(pk=on.pk).update(slot_until=database_now() + timedelta(minutes=5))
    waiting_call(agent=busy, priority=Priority.CALL_BACK)
    theirs = waiting_call(agent=free, priority=Priority.CAMPAIGN)
    assert [call.pk for call in claim_all()] == [theirs.pk]


def test_somebody_who_rang_us_meanwhile_is_left_alone() -> None:
    call = waiting_call()
    factories.make_call(
        status=CallStatus.IN_PROGRESS, direction=Direction.INBOUND, counterpart=call.counterpart
    )
    assert isinstance(claim(), Nothing)
    call.refresh_from_db()
    assert call.status == CallStatus.QUEUED


def test_what_is_past_its_reason_expires_in_the_same_pass() -> None:
    late = waiting_call(not_after=timezone.now() - timedelta(seconds=1))
    fine = waiting_call()
    claimed = claim()
    assert isinstance(claimed, Call)
    assert claimed.pk == fine.pk
    late.refresh_from_db()
    assert (late.status, late.outcome) == (CallStatus.ENDED, "expired")


def test_a_call_outside_hours_moves_to_the_opening_if_that_is_in_time(settings: LazySettings) -> None:
    now = timezone.now()
    local_hour = (now + timedelta(hours=2)).strftime("%H:00")
    if local_hour >= "22:00":
        local_hour = "22:00"
    Lead.objects.all().delete()
    in_time = waiting_call(not_after=now + timedelta(days=2))
    too_late = waiting_call(not_after=now + timedelta(minutes=1))
    Lead.objects.update(time_zone="UTC")
    # A window of one hour that begins about an hour or two from now: nothing is open at this moment.
    start = (now + timedelta(hours=2)).hour % 23
    settings.CALLING_HOURS = f"{start:02d}:00-{start + 1:02d}:00"
    assert isinstance(claim(), Nothing)
    in_time.refresh_from_db(), too_late.refresh_from_db()
    assert in_time.status == CallStatus.QUEUED
    assert in_time.due_at is not None
    assert in_time.due_at > now
    assert (too_late.status, too_late.outcome) == (CallStatus.ENDED, "expired")


def test_a_number_that_opted_out_ends_blocked_not_dialled(sales: User) -> None:
    call = waiting_call()
    # Entered past our verbs, as a restore or another program would.
    DoNotCall.objects.create(number=call.counterpart, reason="r", source="staff", created_at=timezone.now())
    assert isinstance(claim(), Nothing)
    call.refresh_from_db()
    assert (call.status, call.outcome) == (CallStatus.ENDED, "blocked")


def test_nothing_is_claimed_while_calling_is_stopped(manager: User) -> None:
    waiting_call()
    dialer.stop(by=manager, reason="fire drill", now=timezone.now())
    stopped = claim()
    assert isinstance(stopped, Nothing)
    assert stopped.why == "stopped"
    dialer.resume(by=manager, reason="over", now=timezone.now())
    assert isinstance(claim(), Call)


def test_an_inactive_agent_cancels_what_waits_for_it() -> None:
    call = waiting_call()
    Agent.objects.update(active=False)
    assert isinstance(claim(), Nothing)
    call.refresh_from_db()
    assert (call.status, call.outcome) == (CallStatus.ENDED, "canceled")
    assert "may not call" in call.outcome_evidence


def test_deciding_again_does_not_find_the_call_in_its_own_way() -> None:
    assert eligibility.recheck(waiting_call(), now=timezone.now()).verdict == "now"


def test_a_call_that_cannot_be_written_down_ends_and_lets_the_next_one_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad, fine = waiting_call(metadata={"bad": True}), waiting_call()
    far = FarEnd().provider()
    real = far.placement

    def placement(order: PlaceOrder) -> bytes:
        if order.metadata.get("bad"):
            raise ValueError("pinned version is no version")
        return real(order)

    monkeypatch.setattr(far, "placement", placement)
    found = [claim_next(far), claim_next(far)]
    bad.refresh_from_db()
    assert (bad.status, bad.outcome, bad.outcome_evidence) == (
        CallStatus.ENDED,
        "failed",
        "pinned version is no version",
    )
    assert [call.pk for call in found if isinstance(call, Call)] == [fine.pk]


def test_a_lead_with_a_zone_that_does_not_exist_is_not_called_and_holds_up_nobody() -> None:
    lost, fine = waiting_call(), waiting_call()
    Lead.objects.filter(pk=lost.lead_id).update(time_zone="Atlantis/Deep")
    assert [call.pk for call in claim_all()] == [fine.pk]
    lost.refresh_from_db()
    assert (lost.status, lost.outcome) == (CallStatus.ENDED, "canceled")
