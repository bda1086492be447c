"""Once an opt-out or a stop is committed nothing it covers is sent (I3), however threads interleave."""

from __future__ import annotations

import random
import threading
import time
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from calls import dialer, eligibility
from calls.dialer.place import permit
from calls.models import Call, CallBack, CallStatus, DoNotCall, LeadList, Stop
from calls.models.clock import database_now
from tests import factories

NUMBER = "+14155550161"


@pytest.mark.django_db
def test_an_opt_out_ends_what_waits_marks_what_is_being_placed_and_leaves_conversations(sales: User) -> None:
    waiting = factories.make_call(status=CallStatus.QUEUED, counterpart=NUMBER)
    out = eligibility.opt_out(NUMBER, reason="asked", source="staff", now=timezone.now(), by=sales)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.outcome) == (CallStatus.ENDED, "canceled")
    assert [call.pk for call in out.canceled] == [waiting.pk]
    for status in (CallStatus.DIALING, CallStatus.UNCONFIRMED, CallStatus.PLACED):
        Call.objects.all().delete()
        call = factories.make_call(status=status, counterpart=NUMBER)
        eligibility.opt_out(NUMBER, reason="again", source="staff", now=timezone.now(), by=sales)
        call.refresh_from_db()
        assert call.status == status
        assert call.cancel_requested_at is not None
    Call.objects.all().delete()
    talking = factories.make_call(status=CallStatus.IN_PROGRESS, counterpart=NUMBER)
    eligibility.opt_out(NUMBER, reason="again", source="staff", now=timezone.now(), by=sales)
    talking.refresh_from_db()
    assert talking.cancel_requested_at is None
    assert DoNotCall.objects.count() == 1


@pytest.mark.django_db
def test_an_opt_out_drops_the_promise_to_call_back(sales: User) -> None:
    lead = factories.make_lead(NUMBER)
    later = timezone.now() + timedelta(days=1)
    dialer.promise(lead, number=NUMBER, at=later, agent=None, now=timezone.now())
    eligibility.opt_out(NUMBER, reason="asked", source="staff", now=timezone.now(), lead=lead)
    assert CallBack.objects.get().state == "dropped"


@pytest.mark.django_db
def test_lifting_needs_a_person_and_a_reason_and_keeps_the_row(manager: User) -> None:
    entry = eligibility.opt_out(NUMBER, reason="asked", source="staff", now=timezone.now()).entry
    with pytest.raises(ValueError, match="reason"):
        eligibility.lift(entry, by=manager, reason="  ", now=timezone.now())
    eligibility.lift(entry, by=manager, reason="signed up again", now=timezone.now())
    entry.refresh_from_db()
    assert (entry.lifted_by, entry.lifted_reason) == (manager, "signed up again")
    assert not DoNotCall.objects.in_force().exists()


def part_of(call: Call, what: str) -> dialer.Target:
    """A stop of `what`, one that covers the call."""
    assert call.lead is not None
    return {
        "stop": dialer.Target(),
        "stop_agent": dialer.Target(agent=call.agent),
        "stop_number": dialer.Target(number=call.our_number),
        "stop_list": dialer.Target(lead_list=call.lead.list),
    }[what]


def race(call: Call, what: str, dice: random.Random) -> tuple[bool, datetime]:
    """Permit against opt-out or stop, each in a thread: was it given, and when was the other committed."""
    both = threading.Barrier(2)
    given: list[bool] = []
    committed: list[datetime] = []

    def forbid() -> None:
        both.wait()
        time.sleep(dice.random() * 0.01)
        if what == "opt_out":
            eligibility.opt_out(call.counterpart, reason="asked", source="staff", now=timezone.now())
        else:
            dialer.stop(by=None, reason="stop", now=timezone.now(), target=part_of(call, what))
        committed.append(database_now())
        connection.close()

    def allow() -> None:
        both.wait()
        time.sleep(dice.random() * 0.01)
        assert call.place_token is not None
        given.append(permit(call.pk, call.place_token))
        connection.close()

    threads = [threading.Thread(target=forbid), threading.Thread(target=allow)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return given[0], committed[0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("around_the_clock")
@pytest.mark.parametrize("what", ["opt_out", "stop", "stop_agent", "stop_number", "stop_list"])
def test_no_permit_is_later_than_the_commit_that_forbids_it(what: str) -> None:
    """Forty races. A permit's `sent_at` must be before the database's clock at that commit."""
    agent, shelf = factories.make_agent(), LeadList.objects.create(name="Old customers")
    dice = random.Random(7)
    won = 0
    for n in range(40):
        DoNotCall.objects.all().delete()
        Call.objects.all().delete()
        Stop.objects.all().delete()
        lead = factories.make_lead(f"+14155550{100 + n}", list=shelf)
        call = factories.make_call(
            status=CallStatus.DIALING, counterpart=f"+14155550{100 + n}", lead=lead, agent=agent
        )
        Call.objects.filter(pk=call.pk).update(lease_until=database_now() + timedelta(seconds=10))
        given, committed = race(call, what, dice)
        call.refresh_from_db()
        if given:
            won += 1
            assert call.sent_at is not None
            assert call.sent_at <= committed
        else:
            assert call.sent_at is None
    assert won < 40


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_an_opt_out_waits_for_a_promise_that_becomes_a_call_and_holds_nothing_it_needs() -> None:
    """A promise is locked before the call that it takes over: else each would wait for the other."""
    waiting = factories.make_call(status=CallStatus.QUEUED, counterpart=NUMBER)
    later = timezone.now() + timedelta(minutes=3)
    promise = dialer.promise(waiting.lead, number=NUMBER, at=later, agent=waiting.agent, now=timezone.now())

    def never() -> None:
        try:
            eligibility.opt_out(NUMBER, reason="asked", source="staff", now=timezone.now())
        finally:
            connection.close()

    thread = threading.Thread(target=never)
    with transaction.atomic():
        CallBack.objects.select_for_update().get(pk=promise.pk)
        thread.start()
        _until_somebody_waits()
        Call.objects.select_for_update(of=("self",), nowait=True).get(pk=waiting.pk)
    thread.join(10)
    waiting.refresh_from_db(), promise.refresh_from_db()
    assert (waiting.outcome, promise.state) == ("canceled", "dropped")


def _until_somebody_waits() -> None:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            # Within one transaction it is told the same for ever.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(waiting)
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("nobody waits for a lock")
