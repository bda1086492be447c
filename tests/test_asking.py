"""A call that is asked for is queued, adopted or refused, and always says why."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone

from agents.models import Agent
from calls import dialer, eligibility
from calls.models import Call, CallStatus, Direction, Lead, LeadPhone, Priority, Via
from tests import factories

pytestmark = [pytest.mark.django_db]
NOON = "2026-11-23T20:00:00+00:00"  # noon in Los Angeles
NIGHT = "2026-11-23T08:00:00+00:00"  # midnight there


def ask(lead: Lead, agent: Agent, **options: object) -> dialer.Asked:
    return dialer.ask(**{"lead": lead, "agent": agent, "via": Via.DESK, "now": timezone.now(), **options})  # type: ignore[arg-type]


@pytest.fixture
def lead() -> Lead:
    return factories.make_lead("+14155550142")


@pytest.fixture
def agent() -> Agent:
    return factories.make_agent()


@time_machine.travel(NOON, tick=False)
def test_a_click_is_due_at_once_and_gone_after_ten_minutes(lead: Lead, agent: Agent, sales: User) -> None:
    asked = ask(lead, agent, by=sales)
    call = asked.call
    assert asked.adopted is False
    assert (call.status, call.due_at, call.not_after) == (
        CallStatus.QUEUED,
        timezone.now(),
        timezone.now() + timedelta(minutes=10),
    )
    assert call.decision["verdict"] == "now"
    assert call.requests.get().user == sales


@time_machine.travel(NIGHT, tick=False)
def test_outside_hours_the_call_waits_for_nine_o_clock_there(lead: Lead, agent: Agent) -> None:
    call = ask(lead, agent).call
    assert call.due_at == timezone.now() + timedelta(hours=9)
    told = dialer.waiting(call, now=timezone.now())
    assert told is not None
    assert told.code == "outside_hours"
    assert "09:00" in told.text


@time_machine.travel(NOON, tick=False)
def test_a_second_request_adopts_the_queued_call_and_hurries_it(
    lead: Lead, agent: Agent, sales: User, manager: User
) -> None:
    later = timezone.now() + timedelta(hours=2)
    first = ask(lead, agent, by=manager, due_at=later, priority=Priority.BATCH).call
    second = ask(lead, agent, by=sales)
    assert second.adopted
    assert second.call.pk == first.pk
    assert (second.call.due_at, second.call.priority) == (timezone.now(), Priority.CLICK)
    assert [request.user for request in first.requests.all()] == [manager, sales]


@time_machine.travel(NOON, tick=False)
@pytest.mark.parametrize(
    "status",
    [
        CallStatus.DIALING,
        CallStatus.UNCONFIRMED,
        CallStatus.PLACED,
        CallStatus.RINGING,
        CallStatus.IN_PROGRESS,
    ],
)
def test_a_number_being_called_is_not_asked_for_again(lead: Lead, agent: Agent, status: str) -> None:
    there = factories.make_call(status=status, counterpart="+14155550142")
    with pytest.raises(dialer.OnThePhone) as refused:
        ask(lead, agent)
    assert refused.value.call == there


@time_machine.travel(NOON, tick=False)
def test_somebody_who_is_on_the_phone_with_us_is_not_called(lead: Lead, agent: Agent) -> None:
    factories.make_call(
        status=CallStatus.IN_PROGRESS, direction=Direction.INBOUND, counterpart="+14155550142"
    )
    with pytest.raises(dialer.OnThePhone):
        ask(lead, agent)


@time_machine.travel(NOON, tick=False)
def test_every_reason_is_told_not_only_the_first(lead: Lead, agent: Agent, sales: User) -> None:
    eligibility.opt_out("+14155550142", reason="asked", source="staff", now=timezone.now(), by=sales)
    LeadPhone.objects.update(state="wrong")
    Agent.objects.update(active=False)
    agent.refresh_from_db()
    with pytest.raises(dialer.NotAllowed) as refused:
        ask(lead, agent)
    assert {reason.code for reason in refused.value.reasons} >= {
        "do_not_call",
        "wrong_number",
        "agent_inactive",
    }
    assert not Call.objects.exists()


def test_an_unknown_time_zone_is_not_called(agent: Agent) -> None:
    with pytest.raises(dialer.NotAllowed) as refused:
        ask(factories.make_lead("+18005550142"), agent)
    assert [reason.code for reason in refused.value.reasons] == ["unknown_time_zone"]


@time_machine.travel(NOON, tick=False)
def test_an_outcome_nobody_knows_holds_the_number_for_a_day(lead: Lead, agent: Agent) -> None:
    ended = factories.make_call(status=CallStatus.ENDED, outcome="unknown", counterpart="+14155550142")
    Call.objects.filter(pk=ended.pk).update(ended_at=timezone.now(), disposition="")
    decision = eligibility.decide(lead, now=timezone.now(), agent=agent)
    assert [reason.code for reason in decision.reasons] == ["needs_a_look"]
    assert decision.at == timezone.now() + timedelta(days=1)
    Call.objects.filter(pk=ended.pk).update(disposition="no_contact")
    assert eligibility.decide(lead, now=timezone.now(), agent=agent).verdict == "now"


@time_machine.travel(NOON, tick=False)
def test_caller_id_is_given_then_the_agents_then_the_environments_then_the_only_one(
    lead: Lead, settings: LazySettings
) -> None:
    only = factories.make_number()
    bare = factories.make_agent(default_caller_id=None)
    assert dialer.caller_id_for(bare) == only.number
    factories.make_number()
    with pytest.raises(dialer.NoCallerId):
        dialer.caller_id_for(bare)
    settings.TWILIO_FROM_NUMBER = "+14155550177"
    assert dialer.caller_id_for(bare) == "+14155550177"
    owner = factories.make_agent(default_caller_id=only)
    assert dialer.caller_id_for(owner) == only.number
    other = factories.make_number()
    assert dialer.caller_id_for(owner, other.number) == other.number
    with pytest.raises(dialer.NoCallerId):
        dialer.caller_id_for(owner, "+14155550188")


@time_machine.travel(NOON, tick=False)
def test_a_call_that_could_never_be_made_in_time_is_refused(lead: Lead, agent: Agent) -> None:
    with pytest.raises(dialer.BadRequest):
        ask(lead, agent, not_after=timezone.now() - timedelta(seconds=1))


@time_machine.travel(NOON, tick=False)
def test_deciding_for_many_takes_as_many_queries_as_for_one(
    agent: Agent, django_assert_num_queries: object
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    few = [factories.make_lead()]
    many = few + [factories.make_lead() for _ in range(40)]
    counts = []
    for leads in (few, many):
        fresh = list(Lead.objects.filter(pk__in=[lead.pk for lead in leads]))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert len(eligibility.decide_many(fresh, now=timezone.now(), agent=agent)) == len(leads)
        counts.append(len(queries))
    assert counts[0] == counts[1]
