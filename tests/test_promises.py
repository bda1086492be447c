"""A promised call-back is a due date on its own row, turned into a call minutes before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents.models import Agent
from calls import dialer, eligibility
from calls.dialer.claim import expire_overdue
from calls.dialer.promises import miss_unplaced, queue_next_promise
from calls.models import Call, CallBack, CallStatus, Lead, NextAction, Priority
from tests import factories

pytestmark = [pytest.mark.django_db]
NOON = "2026-11-23T20:00:00+00:00"  # in Los Angeles
NUMBER = "+14155550171"


@pytest.fixture
def lead() -> Lead:
    return factories.make_lead(NUMBER)


@pytest.fixture
def agent() -> Agent:
    return factories.make_agent()


def promised(lead: Lead, agent: Agent | None, minutes: float) -> CallBack:
    now = timezone.now()
    return dialer.promise(lead, number=NUMBER, at=now + timedelta(minutes=minutes), agent=agent, now=now)


@time_machine.travel(NOON, tick=False)
def test_a_promise_becomes_a_call_five_minutes_before_and_lasts_half_an_hour(
    lead: Lead, agent: Agent
) -> None:
    promise = promised(lead, agent, 4)
    assert queue_next_promise(now=timezone.now())
    call = Call.objects.get()
    assert (call.priority, call.due_at) == (Priority.CALL_BACK, promise.due_at)
    assert call.not_after == promise.due_at + timedelta(minutes=30)
    promise.refresh_from_db()
    assert (promise.state, promise.call) == ("queued", call)
    assert queue_next_promise(now=timezone.now()) is False


@time_machine.travel(NOON, tick=False)
def test_a_promise_further_off_waits(lead: Lead, agent: Agent) -> None:
    promised(lead, agent, 60)
    assert queue_next_promise(now=timezone.now()) is False
    assert not Call.objects.exists()


@time_machine.travel(NOON, tick=False)
def test_a_promise_whose_time_has_passed_is_missed_not_made_late(lead: Lead, agent: Agent) -> None:
    promise = promised(lead, agent, -31)
    assert queue_next_promise(now=timezone.now())
    promise.refresh_from_db()
    assert promise.state == "missed"
    assert not Call.objects.exists()


@time_machine.travel(NOON, tick=False)
def test_a_promise_to_somebody_who_opted_out_since_is_dropped(lead: Lead, agent: Agent) -> None:
    promise = promised(lead, agent, 1)
    eligibility.opt_out(NUMBER, reason="asked", source="staff", now=timezone.now())
    assert queue_next_promise(now=timezone.now()) is False
    promise.refresh_from_db()
    assert promise.state == "dropped"


@time_machine.travel(NOON, tick=False)
def test_a_promise_adopts_the_call_that_waits_already(lead: Lead, agent: Agent) -> None:
    waiting = dialer.ask(
        lead=lead, agent=agent, via="desk", now=timezone.now(), due_at=timezone.now() + timedelta(hours=3)
    )
    promised(lead, agent, 2)
    queue_next_promise(now=timezone.now())
    call = Call.objects.get()
    assert call.pk == waiting.call.pk
    assert call.priority == Priority.CALL_BACK


@time_machine.travel(NOON, tick=False)
def test_dropping_a_promise_clears_the_leads_next_action(lead: Lead, agent: Agent, sales: User) -> None:
    promise = promised(lead, agent, 60)
    lead.refresh_from_db()
    assert lead.next_action == "call_back"
    dialer.drop_promise(promise, by=sales, now=timezone.now())
    lead.refresh_from_db()
    assert (lead.next_action, lead.next_action_at) == ("", None)


@time_machine.travel(NOON, tick=False)
def test_one_promise_that_cannot_be_kept_does_not_hold_up_the_next(lead: Lead, agent: Agent) -> None:
    broken = promised(lead, None, 1)
    other = factories.make_lead("+14155550172")
    now = timezone.now()
    fine = dialer.promise(other, number="+14155550172", at=now + timedelta(minutes=2), agent=agent, now=now)
    while queue_next_promise(now=now):
        pass
    broken.refresh_from_db(), fine.refresh_from_db()
    assert (broken.state, fine.state) == ("missed", "queued")
    assert Call.objects.get().status == CallStatus.QUEUED


@time_machine.travel(NOON, tick=False)
def test_a_missed_promise_leaves_the_lead_to_a_person_now(lead: Lead, agent: Agent) -> None:
    promised(lead, agent, -40)
    while queue_next_promise(now=timezone.now()):
        pass
    lead.refresh_from_db()
    assert (lead.next_action, lead.next_action_at) == (NextAction.FOLLOW_UP, timezone.now())


@time_machine.travel(NOON, tick=False)
def test_a_promise_whose_call_never_went_out_is_missed(lead: Lead, agent: Agent) -> None:
    promise = promised(lead, agent, 4)
    queue_next_promise(now=timezone.now())
    assert miss_unplaced(now=timezone.now()) == 0
    late = timezone.now() + timedelta(hours=1)
    assert expire_overdue(now=late) == 1
    assert miss_unplaced(now=late) == 1
    promise.refresh_from_db()
    lead.refresh_from_db()
    assert (promise.state, promise.note) == ("missed", "Not made in time.")
    assert (lead.next_action, lead.next_action_at) == (NextAction.FOLLOW_UP, late)
    assert miss_unplaced(now=late) == 0


def test_the_list_opens_on_what_is_still_to_come_soonest_first(
    sign_in: Callable[[User], Client], manager: User, agent: Agent
) -> None:
    now = timezone.now()
    made = {
        name: CallBack.objects.create(
            lead=factories.make_lead(name=name), number=factories.next_number(), due_at=now + due, state=state
        )
        for name, due, state in [
            ("Later", timedelta(hours=2), "open"),
            ("Sooner", timedelta(hours=1), "queued"),
            ("Kept", timedelta(hours=-1), "done"),
            ("Missed", timedelta(hours=-2), "missed"),
        ]
    }
    client = sign_in(manager)

    def shown(query: str) -> list[CallBack]:
        return list(client.get(f"/admin/calls/callback/{query}").context["cl"].result_list)

    assert shown("") == [made["Sooner"], made["Later"]]
    assert shown("?state__exact=missed") == [made["Missed"]]
    assert len(shown("?state__exact=all")) == 4
