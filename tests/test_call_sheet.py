"""Two clicks from the list to a call: the sheet, what it remembers, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents.models import Agent
from agents.readiness import profile_to_json
from calls.models import Call, CallStatus, LeadPhone, Priority
from tests.conftest import make_person
from tests.factories import make_agent, make_call, make_lead, make_number, make_opt_out, next_number
from tests.test_readiness import READY

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]

SignIn = Callable[[User], Client]
HERE = replace(READY, webhook_url="http://testserver/webhook/retell")


def sheet(lead_id: int) -> str:
    return f"/admin/calls/lead/{lead_id}/call/"


def test_the_second_click_queues_the_call_and_goes_to_its_page(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    lead = make_lead(owner=sales)
    client = sign_in(sales)
    assert "May be called now" in client.get(sheet(lead.pk)).content.decode()
    answer = client.post(sheet(lead.pk), {"agent": agent.pk, "our_number": ""})
    call = Call.objects.get()
    assert answer.headers["Location"] == f"/admin/calls/call/{call.pk}/change/"
    assert (call.lead, call.agent, call.requested_by) == (lead, agent, sales)
    assert (call.status, call.priority) == (CallStatus.QUEUED, Priority.CLICK)
    assert agent.default_caller_id is not None
    assert call.our_number == agent.default_caller_id.number


def test_opening_the_sheet_calls_nobody(sign_in: SignIn, sales: User) -> None:
    make_agent()
    sign_in(sales).get(sheet(make_lead().pk))
    assert not Call.objects.exists()


def with_plan(**fields: object) -> Agent:
    return make_agent(
        opening_line="Hi {{first_name}}, about {{plan}}?",
        profile={"variables_used": ["first_name", "plan"]},
        **fields,
    )


def test_agent_caller_id_and_words_are_remembered(sign_in: SignIn, sales: User) -> None:
    make_agent(name="Aaron")
    agent, ours = with_plan(name="Nora"), make_number()
    client = sign_in(sales)
    client.post(sheet(make_lead().pk), {"agent": agent.pk, "our_number": ours.number, "say_plan": "Premium"})
    assert Call.objects.get().variables["plan"] == "Premium"
    form = client.get(sheet(make_lead().pk)).context["form"]
    assert (form["agent"].value(), form["our_number"].value(), form["say_plan"].value()) == (
        agent.pk,
        ours.number,
        "Premium",
    )


def test_what_the_lead_itself_knows_is_not_asked_for(sign_in: SignIn, sales: User) -> None:
    with_plan()
    lead = make_lead(custom={"plan": "Basic"})
    answer = sign_in(sales).get(sheet(lead.pk))
    assert "say_plan" not in answer.context["form"].fields
    assert "".join(piece.text for piece in answer.context["first_line"]) == "Hi Ada, about Basic?"


def test_another_agent_brings_its_own_words_and_caller_id(sign_in: SignIn, sales: User) -> None:
    make_agent(name="Aaron")
    nora = with_plan(name="Nora")
    answer = sign_in(sales).get(sheet(make_lead().pk), {"agent": nora.pk})
    assert answer.context["speaker"] == nora
    assert "say_plan" in answer.context["form"].fields


def test_who_must_not_be_called_is_not_called_and_the_sheet_says_why(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    lead = make_lead()
    make_opt_out(lead.phones.get().number, reason="never again")
    client = sign_in(sales)
    page = client.get(sheet(lead.pk)).content.decode()
    assert "never again" in page
    assert "Call now" not in page
    answer = client.post(sheet(lead.pk), {"agent": agent.pk})
    assert answer.status_code == 200
    assert "never again" in answer.content.decode()
    assert not Call.objects.exists()


def test_a_person_on_the_phone_with_us_leads_to_that_call(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    lead = make_lead()
    busy = make_call("in_progress", lead=lead)
    answer = sign_in(sales).post(sheet(lead.pk), {"agent": agent.pk})
    assert answer.headers["Location"] == f"/admin/calls/call/{busy.pk}/change/"
    assert Call.objects.count() == 1


def test_nobody_is_led_to_a_colleagues_call_that_they_may_not_see(sign_in: SignIn, sales: User) -> None:
    """Two leads may have one telephone."""
    number, agent, ours = "+14155550101", make_agent(), make_number().number
    theirs = make_lead(number, owner=make_person("ben", "Sales"))
    mine = make_lead(number, owner=sales)
    call = make_call("queued", lead=theirs)
    client = sign_in(sales)
    page = client.get(sheet(mine.pk)).content.decode()
    assert "waiting already" in page
    assert "See the call" not in page
    Call.objects.filter(pk=call.pk).update(status="placed")
    for path, given in (
        (sheet(mine.pk), {"agent": agent.pk}),
        (
            f"/admin/calls/lead/{mine.pk}/call-from-my-phone/",
            {"own_number": "+1 415 555 0190", "our_number": ours},
        ),
    ):
        answer = client.post(path, given, follow=True)
        assert answer.redirect_chain == [(f"/admin/calls/lead/{mine.pk}/change/", 302)]
        assert "on the phone with us already, with a colleague" in answer.content.decode()


def test_a_waiting_call_is_told_and_can_be_made_now_instead(
    sign_in: SignIn, sales: User, manager: User
) -> None:
    lead = make_lead("+14155550101")
    later = timezone.now() + timedelta(hours=5)
    waiting = make_call(lead=lead, due_at=later, not_after=later + timedelta(hours=1), requested_by=manager)
    client = sign_in(sales)
    page = client.get(sheet(lead.pk)).content.decode()
    assert "waiting already" in page
    assert "Asked for by Mona" in page
    assert "Call now instead" in page
    answer = client.post(f"/admin/calls/lead/{lead.pk}/call-now/", {"call": str(waiting.pk)})
    assert answer.headers["Location"] == f"/admin/calls/call/{waiting.pk}/change/"
    waiting.refresh_from_db()
    assert waiting.due_at is not None
    assert waiting.due_at <= timezone.now()
    assert Call.objects.count() == 1


@pytest.mark.parametrize("given", ["", "rubbish", "00000000-0000-0000-0000-000000000000"])
def test_call_now_for_a_call_that_is_gone_says_so(sign_in: SignIn, sales: User, given: str) -> None:
    lead = make_lead()
    answer = sign_in(sales).post(f"/admin/calls/lead/{lead.pk}/call-now/", {"call": given}, follow=True)
    assert "That call is not waiting any more." in answer.content.decode()


def test_outside_hours_the_call_waits_for_the_morning_there(
    sign_in: SignIn, sales: User, settings: LazySettings
) -> None:
    there = timezone.now().astimezone(ZoneInfo("Asia/Tokyo"))
    settings.CALLING_HOURS = "09:00-20:00" if not 9 <= there.hour < 20 else "21:00-23:00"
    agent = make_agent()
    lead = make_lead(time_zone="Asia/Tokyo")
    client = sign_in(sales)
    page = client.get(sheet(lead.pk)).content.decode()
    assert "their time" in page
    client.post(sheet(lead.pk), {"agent": agent.pk})
    call = Call.objects.get()
    opens = int(settings.CALLING_HOURS[:2])
    assert call.due_at is not None
    assert call.not_after is not None
    assert call.due_at.astimezone(ZoneInfo("Asia/Tokyo")).hour == opens
    assert call.not_after - call.due_at > timedelta(hours=1)


def test_one_of_several_numbers_can_be_chosen(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    lead = make_lead()
    second = LeadPhone.objects.create(lead=lead, number=next_number(), position=1)
    sign_in(sales).post(sheet(lead.pk), {"agent": agent.pk, "number": second.number})
    assert Call.objects.get().counterpart == second.number


def test_a_number_that_is_not_the_leads_is_refused(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    lead = make_lead()
    LeadPhone.objects.create(lead=lead, number=next_number(), position=1)
    sign_in(sales).post(sheet(lead.pk), {"agent": agent.pk, "number": "+14155550199"})
    assert not Call.objects.exists()


def test_without_a_number_of_ours_the_sheet_says_so(sign_in: SignIn, sales: User) -> None:
    agent = make_agent(default_caller_id=None)
    page = sign_in(sales).post(sheet(make_lead().pk), {"agent": agent.pk}).content.decode()
    assert "There is no number to call from" in page
    assert not Call.objects.exists()


def test_without_the_permission_there_is_no_sheet(sign_in: SignIn, db: None) -> None:
    onlooker = User.objects.create_user("nils", is_staff=True)
    assert sign_in(onlooker).get(sheet(make_lead().pk)).status_code == 403


def test_the_sheet_shows_the_agents_readiness_and_red_calls_nobody(sign_in: SignIn, sales: User) -> None:
    agent = make_agent(profile=profile_to_json(replace(HERE, suspended=True, ring_time_ms=5_000)))
    lead = make_lead()
    client = sign_in(sales)
    page = " ".join(client.get(sheet(lead.pk)).content.decode().split())
    assert "the AI agent is not ready" in page
    assert 'disabled aria-describedby="call-why"' in page
    assert "The phone company has suspended this agent." in page
    assert "It gives up after 5 s of ringing" in page
    assert f"/admin/agents/agent/{agent.pk}/change/" in page
    assert client.post(sheet(lead.pk), {"agent": agent.pk}).status_code == 200
    assert not Call.objects.exists()


def test_words_the_agent_lacks_are_red_until_they_are_filled_in(sign_in: SignIn, sales: User) -> None:
    words = replace(HERE, variables_used=frozenset({"plan"}), default_variables={})
    agent = make_agent(profile=profile_to_json(words))
    lead = make_lead()
    client = sign_in(sales)
    page = client.get(sheet(lead.pk))
    assert page.context["ready"].fill_in
    assert "Fill it in on this page." in page.content.decode()
    assert not page.context["ready"].stops
    client.post(sheet(lead.pk), {"agent": agent.pk})
    assert not Call.objects.exists()
    client.post(sheet(lead.pk), {"agent": agent.pk, "say_plan": "Premium"})
    assert Call.objects.get().variables["plan"] == "Premium"


def test_an_agent_that_is_ready_is_said_to_be_in_one_line(sign_in: SignIn, sales: User) -> None:
    make_agent(name="Nora", profile=profile_to_json(HERE))
    answer = sign_in(sales).get(sheet(make_lead().pk))
    assert not [check.sentence for check in answer.context["ready"].lines]
    assert "Nora is ready" in answer.content.decode()
