"""Stop all calling, or a part of it: what it covers, what it leaves, who may end it, and the page for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from agents.models import Agent
from calls import dialer
from calls.api.keys import make_key
from calls.dialer import Target
from calls.dialer.claim import Nothing, claim_next
from calls.dialer.place import permit
from calls.models import Call, CallStatus, Direction, Gate, Lead, LeadList, Stop
from calls.models.clock import database_now
from tests import factories
from tests.far_end import FarEnd
from tests.test_claiming import waiting_call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]
SignIn = Callable[[User], Client]
PAGE = "/admin/calling/"


def stop(target: Target | None = None, **fields: Any) -> Stop:
    return dialer.stop(
        **{"by": None, "reason": "a drill", "now": timezone.now(), "target": target or Target(), **fields}
    )


def claim() -> Call | Nothing:
    Gate.objects.filter(kind="line").update(next_slot_at=None)
    return claim_next(FarEnd().provider())


def parts() -> dict[str, tuple[Target, Call, Call]]:
    """Of each part: how to stop it, a waiting call that it covers, and one that it does not."""
    agent, shelf = factories.make_agent(name="Ava"), LeadList.objects.create(name="Old customers")
    listed = waiting_call(agent=factories.make_agent())
    Lead.objects.filter(pk=listed.lead_id).update(list=shelf)
    by_agent, from_number, other = waiting_call(agent=agent), waiting_call(), waiting_call()
    return {
        "agent": (Target(agent=agent), by_agent, other),
        "number": (Target(number=from_number.our_number), from_number, other),
        "list": (Target(lead_list=shelf), listed, other),
    }


@pytest.mark.parametrize("what", ["agent", "number", "list"])
def test_a_stop_of_a_part_keeps_that_part_waiting_and_lets_the_rest_go(what: str) -> None:
    target, covered, other = parts()[what]
    Call.objects.exclude(pk__in=[covered.pk, other.pk]).delete()
    made = stop(target)
    went = claim()
    assert isinstance(went, Call)
    assert went.pk == other.pk
    assert isinstance(claim(), Nothing)
    covered.refresh_from_db()
    assert covered.status == CallStatus.QUEUED
    waits = dialer.waiting(covered, now=timezone.now())
    assert waits is not None
    assert (waits.code, waits.text) == ("stopped", f"{made}: stopped. a drill")
    dialer.resume(by=None, reason="over", now=timezone.now(), target=target)
    assert isinstance(claim(), Call)


@pytest.mark.parametrize("what", ["agent", "number", "list"])
def test_no_permit_for_a_claimed_call_that_a_stop_of_a_part_covers(what: str) -> None:
    target, covered, other = parts()[what]
    Call.objects.exclude(pk__in=[covered.pk, other.pk]).delete()
    claimed = [call for call in (claim(), claim()) if isinstance(call, Call)]
    assert len(claimed) == 2
    stop(target)
    given = {}
    for call in claimed:
        assert call.place_token is not None
        given[call.pk] = permit(call.pk, call.place_token)
    assert given == {covered.pk: False, other.pk: True}
    covered.refresh_from_db()
    assert (covered.status, covered.sent_at) == (CallStatus.QUEUED, None)


def test_stopping_twice_keeps_the_first_and_resuming_what_is_not_stopped_does_nothing(manager: User) -> None:
    first = stop()
    assert stop(reason="again").pk == first.pk
    assert dialer.stop_state().reason == "a drill"
    assert dialer.resume(by=manager, reason="over", now=timezone.now())
    assert not dialer.resume(by=manager, reason="over", now=timezone.now())
    first.refresh_from_db()
    assert (first.resumed_by, first.resumed_reason) == (manager, "over")


def test_a_person_resumes_with_a_reason_only(manager: User) -> None:
    stop()
    with pytest.raises(ValueError, match="reason"):
        dialer.resume(by=manager, reason="  ", now=timezone.now())
    assert dialer.stop_state().stopped


def test_what_is_left_is_counted_without_calls_in_and_without_what_was_never_sent() -> None:
    made = stop()
    for status in ("in_progress", "in_progress", "placed", "ringing", "unconfirmed"):
        factories.make_call(status=status)
    factories.make_call(status="dialing")
    factories.make_call(status="queued")
    factories.make_call(status="in_progress", direction=Direction.INBOUND)
    left = dialer.left(made)
    assert (left.on_the_phone, left.being_placed, left.checking, left.hanging_up) == (2, 2, 1, 0)


def test_hanging_up_what_is_left_asks_for_each_once_and_leaves_calls_in_and_other_parts_alone() -> None:
    agent = factories.make_agent()
    mine = [factories.make_call(status=s, agent=agent) for s in ("in_progress", "placed", "unconfirmed")]
    others = factories.make_call(status="in_progress")
    inward = factories.make_call(status="in_progress", direction=Direction.INBOUND, agent=agent)
    made = stop(Target(agent=agent))
    assert dialer.hang_up_left(made, by=None, now=database_now()) == 3
    assert dialer.hang_up_left(made, by=None, now=database_now()) == 0
    assert dialer.left(made).hanging_up == 3
    for call in [*mine, others, inward]:
        call.refresh_from_db()
    assert [bool(call.hang_up_at) for call in mine] == [True, True, False]
    assert mine[2].cancel_requested_at is not None
    assert (others.hang_up_at, inward.hang_up_at) == (None, None)


def test_every_page_leads_to_the_stop_in_one_click_for_those_who_may_call(
    sales: User, sign_in: SignIn
) -> None:
    client = sign_in(sales)
    for path in ("/admin/", "/admin/calls/lead/", "/admin/password_change/"):
        assert 'id="stop-calling"' in client.get(path).content.decode()
    sales.groups.clear()
    assert 'id="stop-calling"' not in client.get("/admin/").content.decode()
    assert client.get(PAGE).status_code == 403
    assert client.post(f"{PAGE}stop/").status_code == 403
    assert not dialer.stop_state().stopped


def test_sales_staff_stop_everything_and_see_what_is_left(sales: User, sign_in: SignIn) -> None:
    client = sign_in(sales)
    for status in ("in_progress", "placed", "placed"):
        factories.make_call(status=status)
    answer = client.post(f"{PAGE}stop/", {"scope": "everything", "reason": "wrong price"}, follow=True)
    page = answer.content.decode()
    assert dialer.stop_state().stopped
    assert "1 on the phone, 2 being placed" in page
    assert "Hang up?" in page
    assert "wrong price" in page
    assert "http-equiv" in page  # without scripts it follows by itself too
    client.post(f"{PAGE}hang-up/", {"stop": Stop.objects.get().pk})
    fragment = client.get(f"{PAGE}left/{Stop.objects.get().pk}/").content.decode()
    assert "being hung up" in fragment
    assert "hx-get" in fragment
    Call.objects.update(status="ended", outcome="connected")
    fragment = client.get(f"{PAGE}left/{Stop.objects.get().pk}/").content.decode()
    assert "No call out is left" in fragment
    assert "hx-get" not in fragment
    assert "http-equiv" not in client.get(PAGE).content.decode()
    assert LogEntry.objects.filter(user=sales).count() == 2


def test_an_agent_a_caller_id_and_a_list_are_stopped_from_the_page(sales: User, sign_in: SignIn) -> None:
    agent, shelf = factories.make_agent(name="Ava"), LeadList.objects.create(name="Old customers")
    number = agent.default_caller_id
    assert number is not None
    client = sign_in(sales)
    for scope, value in (("agent", agent.pk), ("number", number.number), ("list", shelf.pk)):
        client.post(f"{PAGE}stop/", {"scope": scope, scope: value})
    assert {each.scope for each in Stop.objects.in_force()} == {"agent", "number", "list"}
    for scope, value in (("agent", "x"), ("agent", 0), ("number", "+14155550000"), ("list", ""), ("moon", 1)):
        client.post(f"{PAGE}stop/", {"scope": scope, scope: value})
    assert Stop.objects.count() == 3


def test_managers_resume_with_a_reason_and_it_is_written_down(
    sales: User, manager: User, sign_in: SignIn
) -> None:
    made = stop()
    client = sign_in(sales)
    assert 'name="reason" maxlength="300" required' not in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}resume/", {"stop": made.pk, "reason": "fine"}).status_code == 403
    client = sign_in(manager)
    assert "Say why" in client.post(f"{PAGE}resume/", {"stop": made.pk}, follow=True).content.decode()
    assert dialer.stop_state().stopped
    page = client.post(f"{PAGE}resume/", {"stop": made.pk, "reason": "price mended"}, follow=True)
    assert not dialer.stop_state().stopped
    assert "price mended" in page.content.decode()
    assert LogEntry.objects.get().user == manager


def test_a_stop_of_a_part_is_told_on_every_page(sales: User, sign_in: SignIn) -> None:
    from django.core.cache import cache

    stop(Target(agent=factories.make_agent(name="<b>Ava</b>")), by=sales)
    cache.clear()
    page = sign_in(sales).get("/admin/calls/lead/").content.decode()
    assert re.search(r"Calls by &lt;b&gt;Ava&lt;/b&gt;: stopped by ana", page)


@pytest.mark.parametrize("part", [False, True])
def test_rest_answers_503_for_a_call_that_a_stop_covers_and_201_when_it_is_over(
    part: bool, client: Client, administrator: User
) -> None:
    agent, lead = factories.make_agent(), factories.make_lead()
    other = factories.make_agent()
    _key, secret = make_key("robot", ["call"], by=administrator)
    target = Target(agent=agent) if part else Target()
    stop(target)

    def ask(speaker: Agent) -> Any:
        return client.post(
            "/api/v1/calls/",
            {"lead": lead.pk, "agent": speaker.pk},
            content_type="application/json",
            headers={"authorization": f"Bearer {secret}", "idempotency-key": f"k{speaker.pk}"},
        )

    refused = ask(agent)
    assert (refused.status_code, refused.json()["code"]) == (503, "calling_stopped")
    assert refused["Content-Type"] == "application/problem+json"
    assert "a drill" in refused.json()["detail"]
    assert not Call.objects.exists()
    assert ask(other).status_code == (201 if part else 503)
    Call.objects.all().delete()
    dialer.resume(by=None, reason="over", now=timezone.now(), target=target)
    assert ask(agent).status_code == 201


def test_a_click_at_the_desk_waits_for_the_end_of_a_stop() -> None:
    stop()
    asked = dialer.ask(
        lead=factories.make_lead(), agent=factories.make_agent(), via="desk", now=timezone.now()
    )
    assert asked.call.status == CallStatus.QUEUED


def test_the_commands_take_the_parts_too() -> None:
    agent, _shelf = factories.make_agent(name="Ava"), LeadList.objects.create(name="Old customers")
    call_command("stop_calling", "--agent", "Ava")
    call_command("stop_calling", "--agent", str(agent.pk))
    call_command("stop_calling", "--number", "+14155550100")
    call_command("stop_calling", "--list", "Old customers")
    assert Stop.objects.in_force().count() == 3
    call_command("resume_calling", "--list", "Old customers")
    call_command("resume_calling", "--number", "+14155550100")
    assert [each.agent for each in Stop.objects.in_force()] == [agent]
    for words in (["--agent", "Nobody"], ["--number", "12"], ["--list", "None such"]):
        with pytest.raises(CommandError):
            call_command("stop_calling", *words)


def test_a_stop_lasts_however_long_and_claims_find_nothing_meanwhile() -> None:
    stop(now=timezone.now() - timedelta(days=3))
    waiting_call()
    nothing = claim()
    assert isinstance(nothing, Nothing)
    assert nothing.why == "stopped"
