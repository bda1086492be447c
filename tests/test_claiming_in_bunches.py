"""Several calls claimed in one transaction: each by the rules it would be claimed by alone."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from agents.providers.base import Provider
from calls import dialer
from calls.dialer import loop
from calls.dialer.claim import Nothing, claim_some
from calls.dialer.place import permit
from calls.models import Call, CallStatus, Direction, DoNotCall, Gate, Priority
from calls.models.clock import database_now
from calls.models.gate import AccountProblem, Breaker, GateKind
from calls.models.stop import StopCause
from tests import factories
from tests.far_end import FarEnd
from tests.test_claiming import waiting_call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]


@pytest.fixture(autouse=True)
def _a_fast_line(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 200.0


def bunch(most: int = 16) -> list[Call]:
    found = claim_some(FarEnd().provider(), most=most)
    return [] if isinstance(found, Nothing) else found


def alone(count: int) -> list[Call]:
    """The same calls claimed one by one, and put back."""
    found = []
    for _ in range(count):
        Gate.objects.filter(kind=GateKind.LINE).update(next_slot_at=None)
        found += bunch(1)
    Call.objects.filter(pk__in=[call.pk for call in found]).update(
        status=CallStatus.QUEUED, claimed_at=None, place_token=None, lease_until=None, slot_until=None
    )
    Gate.objects.filter(kind=GateKind.LINE).update(next_slot_at=None)
    return found


def test_a_bunch_holds_what_would_be_claimed_one_by_one_in_that_order(sales: User, manager: User) -> None:
    due = timezone.now() - timedelta(seconds=60)
    for nth in range(4):
        waiting_call(requested_by=sales, priority=Priority.BATCH, due_at=due + timedelta(seconds=nth))
    waiting_call(requested_by=manager, priority=Priority.BATCH, due_at=due + timedelta(seconds=30))
    waiting_call(requested_by=manager, priority=Priority.BATCH, due_at=due + timedelta(seconds=31))
    waiting_call(priority=Priority.CLICK)
    waiting_call(requested_by=sales, priority=Priority.CALL_BACK)
    expected = alone(8)
    assert [call.pk for call in bunch()] == [call.pk for call in expected]
    assert expected[0].priority == Priority.CALL_BACK


def test_the_turns_of_a_bunch_are_remembered_by_the_next(sales: User, manager: User) -> None:
    for _ in range(3):
        waiting_call(requested_by=sales, priority=Priority.BATCH)
        waiting_call(requested_by=manager, priority=Priority.BATCH)
    first = bunch(3)
    Gate.objects.update(next_slot_at=None)
    second = bunch(3)
    askers = [call.requested_by_id for call in [*first, *second]]
    assert all(one != other for one, other in itertools.pairwise(askers))


def test_each_call_of_a_bunch_has_its_own_token_lease_and_bytes_and_gets_its_own_permit() -> None:
    for _ in range(3):
        waiting_call()
    claimed = bunch()
    assert len({call.place_token for call in claimed}) == 3
    for call in claimed:
        assert call.place_token is not None
        row = Call.objects.get(pk=call.pk)
        assert (row.status, row.place_token) == (CallStatus.DIALING, call.place_token)
        assert str(call.pk).encode() in bytes(row.request_body or b"")
        assert permit(call.pk, call.place_token)


def test_a_bunch_is_what_the_pace_lets_go_in_a_tenth_of_a_second(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 50.0
    for _ in range(12):
        waiting_call()
    before = database_now()
    assert len(bunch()) == 5
    line = Gate.objects.get(kind=GateKind.LINE)
    assert line.next_slot_at is not None
    assert line.next_slot_at >= before + timedelta(seconds=0.1)


def test_a_slow_line_lets_one_go_and_a_line_that_slows_down_fewer(settings: LazySettings) -> None:
    for _ in range(6):
        waiting_call(line="a")
    settings.CALLS_PER_SECOND = 1.0
    assert len(bunch()) == 1
    settings.CALLS_PER_SECOND = 40.0
    Gate.objects.filter(kind=GateKind.LINE).update(next_slot_at=None, pace_factor=2)
    assert len(bunch()) == 2


def test_several_lines_share_a_bunch_each_by_its_own_pace(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 1.0
    for line in ("a", "a", "b", "b", "c"):
        waiting_call(line=line)
    assert sorted(call.line for call in bunch()) == ["a", "b", "c"]


def test_a_bunch_fills_the_slots_that_are_free_and_no_more(settings: LazySettings) -> None:
    settings.MAX_CONCURRENT_CALLS = 3
    held = factories.make_call(CallStatus.IN_PROGRESS)
    Call.objects.filter(pk=held.pk).update(slot_until=database_now() + timedelta(minutes=5))
    for _ in range(4):
        waiting_call()
    assert len(bunch()) == 2
    Gate.objects.update(next_slot_at=None)
    assert bunch() == []


def test_an_agent_gets_no_more_of_a_bunch_than_it_may_be_on_and_others_fill_it_up() -> None:
    limited, other = factories.make_agent(max_concurrent_calls=2), factories.make_agent()
    for _ in range(4):
        waiting_call(agent=limited, priority=Priority.CALL_BACK)
    for _ in range(3):
        waiting_call(agent=other, priority=Priority.BATCH)
    on = factories.make_call(CallStatus.IN_PROGRESS, agent=limited)
    Call.objects.filter(pk=on.pk).update(slot_until=database_now() + timedelta(minutes=5))
    assert [call.agent_id for call in bunch(4)] == [limited.pk, other.pk, other.pk, other.pk]


def test_a_bunch_ends_with_the_days_limit(settings: LazySettings) -> None:
    settings.DAILY_CALL_CAP = 3
    for _ in range(5):
        waiting_call()
    assert len(bunch(2)) == 2
    Gate.objects.update(next_slot_at=None)
    assert len(bunch()) == 1
    Gate.objects.update(next_slot_at=None)
    assert bunch() == []


def test_one_call_tries_where_the_line_rested_or_the_account_was_refused() -> None:
    for _ in range(4):
        waiting_call()
    now = database_now()
    bunch(1)
    lines = Gate.objects.filter(kind=GateKind.LINE)
    lines.update(breaker=Breaker.OPEN, breaker_at=now, tries_at=now, next_slot_at=None)
    assert len(bunch()) == 1
    assert lines.get().breaker == Breaker.TRYING
    lines.update(breaker=Breaker.CLOSED, trial_call=None, next_slot_at=None)
    Gate.objects.filter(kind=GateKind.CAPACITY).update(
        account_problem="no credit", account_code=AccountProblem.BILLING, trial_at=now
    )
    assert len(bunch()) == 1
    lines.update(next_slot_at=None)
    assert bunch() == []


def test_what_may_not_be_called_is_dealt_with_and_its_place_in_the_bunch_goes_to_the_next(
    settings: LazySettings,
) -> None:
    late = waiting_call(not_after=timezone.now() - timedelta(seconds=1))
    opted_out, talking = waiting_call(), waiting_call()
    DoNotCall.objects.create(
        number=opted_out.counterpart, reason="r", source="staff", created_at=timezone.now()
    )
    factories.make_call(CallStatus.IN_PROGRESS, direction=Direction.INBOUND, counterpart=talking.counterpart)
    fine = [waiting_call() for _ in range(3)]
    assert [call.pk for call in bunch(3)] == [call.pk for call in fine]
    ended = {call.pk: call.outcome for call in Call.objects.filter(status=CallStatus.ENDED)}
    assert ended == {late.pk: "expired", opted_out.pk: "blocked"}


def test_a_stop_of_an_agent_keeps_its_calls_out_of_the_bunch(manager: User) -> None:
    stopped, other = waiting_call(), waiting_call()
    dialer.stop(
        by=manager,
        reason="r",
        now=timezone.now(),
        target=dialer.Target(agent=stopped.agent),
        cause=StopCause.PERSON,
    )
    assert [call.pk for call in bunch()] == [other.pk]


def test_a_stop_after_a_bunch_was_claimed_refuses_every_permit_of_it(manager: User) -> None:
    for _ in range(3):
        waiting_call()
    claimed = bunch()
    dialer.stop(by=manager, reason="fire drill", now=timezone.now())
    assert not any(permit(call.pk, call.place_token) for call in claimed if call.place_token)
    assert Call.objects.filter(status=CallStatus.QUEUED, sent_at=None).count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_dialer_claims_for_the_placers_that_are_free_and_each_gets_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(6):
        waiting_call()
    asked: list[int] = []

    def counted(provider: Provider, *, most: int) -> list[Call] | Nothing:
        asked.append(most)
        return claim_some(provider, most=most)

    monkeypatch.setattr(loop, "claim_some", counted)
    one = loop.Dialer(FarEnd().provider())
    given: list[Call | None] = []

    def placer() -> None:
        given.append(one._next_call())
        connection.close()

    placers = [threading.Thread(target=placer) for _ in range(4)]
    with one._looking:
        for each in placers:
            each.start()
        while one._free < 4:
            time.sleep(0.01)
    for each in placers:
        each.join(30)
    assert asked == [4]
    assert len({call.pk for call in given if call is not None}) == 4
    assert Call.objects.filter(status=CallStatus.DIALING).count() == 4


@pytest.mark.django_db(transaction=True)
def test_what_was_claimed_together_is_still_placed_when_the_dialer_is_told_to_stop() -> None:
    for _ in range(2):
        waiting_call()
    one = loop.Dialer(FarEnd().provider())
    one._claimed.extend(bunch(2))
    one.stop()
    assert {one._next_call() is not None for _ in range(2)} == {True}
    assert one._next_call() is None
