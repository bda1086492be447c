"""What follows from what a call meant: whichever fact tells of it, in whatever order, and however often."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from agents.providers.base import Report
from calls import eligibility
from calls.lifecycle.facts import store_lookup
from calls.models import Call, CallBack, CallStatus, Direction, DoNotCall, WebhookEvent
from tests import factories
from tests.far_end import FarEnd, theirs
from tests.test_applying import END, START, Apply, apply, tell, tell_whole_call

__all__ = ["apply"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]


def test_never_call_me_again_cancels_what_waits_and_stays(apply: Apply) -> None:
    lead = factories.make_lead("+14155550132")
    call = factories.make_call(
        status=CallStatus.PLACED, provider_call_id="call_1", lead=lead, counterpart="+14155550132"
    )
    tell_whole_call(call_uuid=str(call.pk), custom={"do_not_call": True})
    apply()
    entry = DoNotCall.objects.get()
    assert (entry.number, entry.call, entry.source) == ("+14155550132", call, "call")
    assert [r.code for r in eligibility.decide(lead, now=timezone.now()).reasons] == ["do_not_call"]
    WebhookEvent.objects.update(state="pending", next_try_at=timezone.now())
    apply()
    assert DoNotCall.objects.count() == 1


def test_an_opt_out_that_a_person_lifted_is_not_written_again_by_the_same_call(
    apply: Apply, manager: Any
) -> None:
    call = factories.make_call(
        status=CallStatus.PLACED, provider_call_id="call_1", lead=factories.make_lead()
    )
    tell_whole_call(call_uuid=str(call.pk), custom={"do_not_call": True})
    apply()
    eligibility.lift(DoNotCall.objects.get(), by=manager, reason="asked to be called", now=timezone.now())
    Call.objects.update(analysed_at=None)
    WebhookEvent.objects.update(state="pending", next_try_at=timezone.now())
    apply()
    assert not DoNotCall.objects.in_force().exists()


@pytest.mark.parametrize("later", ["a look-up", "an analysis made again"])
def test_an_opt_out_that_only_a_later_fact_tells_of_is_kept(apply: Apply, later: str) -> None:
    lead = factories.make_lead("+14155550134")
    call = factories.make_call(
        status=CallStatus.PLACED, provider_call_id="call_1", lead=lead, counterpart="+14155550134"
    )
    tell_whole_call(call_uuid=str(call.pk))
    apply()
    assert not DoNotCall.objects.exists()
    ended = {"start_timestamp": START, "end_timestamp": END, "call_status": "ended"}
    if later == "a look-up":
        analysis = {"call_summary": "They talked."}
        found = theirs("call_1", **ended, disconnection_reason="user_requested_dnc", call_analysis=analysis)
        provider = FarEnd().provider()
        body = json.dumps(found).encode()
        store_lookup(Report(body=body, facts=provider.read_call(body)), now=timezone.now())
    else:
        analysis = {"call_summary": "Heard anew.", "custom_analysis_data": {"do_not_call": True}}
        tell("call_analyzed", **ended | {"end_timestamp": END + 1, "call_analysis": analysis})
    apply()
    call.refresh_from_db()
    assert call.proposed_disposition == "never_call"
    assert DoNotCall.objects.get().number == "+14155550134"
    lead.refresh_from_db()
    assert lead.status == "not_interested"


def test_a_promise_is_made_once_in_the_callees_time(apply: Apply) -> None:
    lead = factories.make_lead("+14155550133", time_zone="America/New_York")
    call = factories.make_call(
        status=CallStatus.PLACED,
        provider_call_id="call_1",
        lead=lead,
        counterpart="+14155550133",
        agent=factories.make_agent(),
    )
    tomorrow = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT10:00")
    tell_whole_call(
        call_uuid=str(call.pk), custom={"callback_time": tomorrow, "promise": "Call tomorrow at ten"}
    )
    apply()
    WebhookEvent.objects.update(state="pending", next_try_at=timezone.now())
    apply()
    promise = CallBack.objects.get()
    assert promise.due_at.astimezone(ZoneInfo("America/New_York")).strftime("%H:%M") == "10:00"
    lead.refresh_from_db()
    assert (lead.next_action, lead.next_action_at) == ("call_back", promise.due_at)


@pytest.mark.parametrize("first", ["promise", "opt-out"])
def test_of_two_calls_with_one_person_the_opt_out_leaves_no_promise_open(apply: Apply, first: str) -> None:
    number, tomorrow = "+14155550135", (timezone.now() + timedelta(days=1)).isoformat()
    lead, agent = factories.make_lead(number), factories.make_agent()
    said = {"promise": {"callback_time": tomorrow}, "opt-out": {"do_not_call": True}}
    for name in sorted(said, key=lambda name: name != first):
        call = factories.make_call(
            status=CallStatus.PLACED,
            provider_call_id=f"call_{name}",
            lead=lead,
            counterpart=number,
            agent=agent,
            direction=Direction.INBOUND,
        )
        tell_whole_call(call.provider_call_id, call_uuid=str(call.pk), direction="inbound", custom=said[name])
    apply()
    promise = CallBack.objects.get()
    assert (promise.state, promise.note) == ("dropped", "do not call")
    lead.refresh_from_db()
    assert (lead.next_action, lead.next_action_at) == ("", None)
    assert DoNotCall.objects.get().number == number
