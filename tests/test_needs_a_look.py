"""The page of calls nobody is sure about: what was tried, a person's word, and news that come after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from calls import eligibility
from calls.admin.needs_a_look import badge
from calls.lifecycle.reconcile import look_for_analysis
from calls.models import Call, CallStatus, CallStep, Judgement, Lead, StepKind
from tests import factories
from tests.far_end import FarEnd, theirs
from tests.inbox import apply_pending
from tests.test_applying import END, START, tell, tell_whole_call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]
PAGE = "/admin/needs-a-look/"
SignIn = Callable[[User], Client]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    cache.clear()


@pytest.fixture
def unknown() -> Call:
    """Sent, looked up and sent again in vain; nobody knows."""
    now = timezone.now()
    call = factories.make_call(
        status=CallStatus.ENDED, outcome="unknown", answered_by="", provider_call_id="", placed_at=None,
        answered_at=None, duration_ms=None, final=False, lead=factories.make_lead(name="Grace Sample"),
        outcome_evidence="Nothing was heard of it for an hour after it was sent.",
    )  # fmt: skip
    Call.objects.filter(pk=call.pk).update(next_look_at=now + timedelta(hours=1))
    for kind, found, answer in (
        (StepKind.SENT, None, "No clear answer came from api.retell.test (ReadTimeout)."),
        (StepKind.LOOK, False, "It has no such call."),
        (StepKind.LOOK, None, "Retell answered with status 500."),
        (StepKind.REPLAY, None, "Retell says: <b>slow down</b>"),
    ):
        CallStep.objects.create(call=call, kind=kind, at=now, found=found, answer=answer)
    call.refresh_from_db()
    return call


def decide(client: Client, call: Call, judgement: str) -> Any:
    return client.post(f"{PAGE}{call.pk}/", {"judgement": judgement}, follow=True)


def allowed(call: Call) -> list[str]:
    assert call.lead is not None
    lead = Lead.objects.get(pk=call.lead.pk)
    decision = eligibility.decide(lead, number=call.counterpart, agent=call.agent, now=timezone.now())
    return [reason.code for reason in decision.reasons]


def test_the_page_tells_what_was_tried_and_the_navigation_counts_it(
    unknown: Call, sales: User, sign_in: SignIn
) -> None:
    page = sign_in(sales).get(PAGE).content.decode()
    for said in (
        "Grace Sample",
        "Sent to the phone company; no clear answer came",
        "it has no such call",
        "it gave no answer",
        "Sent again as the same call",
        "&lt;b&gt;slow down&lt;/b&gt;",
    ):
        assert said in page
    for word in ("unconfirmed", "claimed", "settle", "reconcile", "derive"):
        assert word not in page
    assert "Needs a look" in sign_in(sales).get("/admin/").content.decode()
    request: Any = type("Request", (), {"user": sales})()
    assert badge(request) == "1"


@pytest.mark.parametrize(("judgement", "outcome"), [("called", "unknown"), ("not_called", "failed")])
def test_what_a_person_says_frees_the_number_and_ends_the_looking(
    judgement: str, outcome: str, unknown: Call, sales: User, sign_in: SignIn
) -> None:
    assert "needs_a_look" in allowed(unknown)
    decide(sign_in(sales), unknown, judgement)
    unknown.refresh_from_db()
    assert (unknown.judged, unknown.judged_by, unknown.outcome) == (judgement, sales, outcome)
    assert (unknown.final, unknown.next_look_at) == (True, None)
    assert "needs_a_look" not in allowed(unknown)
    client = sign_in(sales)
    assert "Nothing to look at" in client.get(PAGE).content.decode()
    assert "looked at it" in client.get(f"/admin/calls/call/{unknown.pk}/change/").content.decode()


def test_the_calls_own_page_leads_to_the_decision(unknown: Call, sales: User, sign_in: SignIn) -> None:
    page = sign_in(sales).get(f"/admin/calls/call/{unknown.pk}/change/").content.decode()
    assert "Nobody knows whether it rang." in page
    assert f"{PAGE}#call-{unknown.pk}" in page


def test_calling_again_asks_for_a_second_call_and_keeps_the_first(
    unknown: Call, sales: User, sign_in: SignIn
) -> None:
    decide(sign_in(sales), unknown, "again")
    unknown.refresh_from_db()
    again = Call.objects.exclude(pk=unknown.pk).get()
    assert (again.status, again.counterpart, again.requested_by) == ("queued", unknown.counterpart, sales)
    assert (unknown.status, unknown.judged) == ("ended", "again")


def test_calling_again_undoes_itself_where_it_is_refused(unknown: Call, sales: User, sign_in: SignIn) -> None:
    eligibility.opt_out(unknown.counterpart, reason="asked", source="staff", now=timezone.now(), by=sales)
    page = decide(sign_in(sales), unknown, "again").content.decode()
    unknown.refresh_from_db()
    assert unknown.judged == ""
    assert Call.objects.count() == 1
    assert "do-not-call list" in page


def test_later_news_correct_the_outcome_after_a_person_decided(
    unknown: Call, sales: User, sign_in: SignIn
) -> None:
    decide(sign_in(sales), unknown, "not_called")
    tell_whole_call("call_9", call_uuid=str(unknown.pk))
    apply_pending(now=timezone.now() + timedelta(seconds=1))
    unknown.refresh_from_db()
    assert (unknown.status, unknown.outcome, unknown.provider_call_id) == ("ended", "connected", "call_9")


def test_what_turns_out_to_be_on_after_a_person_decided_is_looked_up_until_its_end(
    unknown: Call, sales: User, sign_in: SignIn
) -> None:
    decide(sign_in(sales), unknown, "not_called")
    tell("call_started", "call_9", call_uuid=str(unknown.pk), start_timestamp=START, call_status="ongoing")
    apply_pending(now=timezone.now() + timedelta(seconds=1))
    times = {"start_timestamp": START, "end_timestamp": END, "duration_ms": END - START}
    ended = theirs("call_9", **times, call_status="ended", disconnection_reason="agent_hangup")
    later = timezone.now() + timedelta(minutes=5)
    assert look_for_analysis(FarEnd(listed=[ended]).provider(), now=later)
    apply_pending(now=later)
    unknown.refresh_from_db()
    assert (unknown.status, unknown.outcome, unknown.duration_ms) == ("ended", "connected", END - START)


def test_it_goes_on_being_looked_up_for_a_day_and_each_look_is_told(unknown: Call) -> None:
    far = FarEnd()
    for hours in (2.1, 6.1, 12.1, 24.1):
        now = timezone.now()
        Call.objects.filter(pk=unknown.pk).update(sent_at=now - timedelta(hours=hours), next_look_at=now)
        assert look_for_analysis(far.provider(), now=now)
    unknown.refresh_from_db()
    assert (unknown.final, unknown.next_look_at, unknown.outcome) == (True, None, "unknown")
    assert CallStep.objects.filter(call=unknown, kind=StepKind.LOOK).count() == 6


def test_an_incident_is_red_on_every_page_until_somebody_has_seen_it(sales: User, sign_in: SignIn) -> None:
    call = factories.make_call(status=CallStatus.IN_PROGRESS, provider_call_id="call_1")
    tell("call_started", "call_2", call_uuid=str(call.pk), call_status="ongoing")
    apply_pending(now=timezone.now() + timedelta(seconds=1))
    client = sign_in(sales)
    assert "One call may have rung twice" in client.get("/admin/calls/lead/").content.decode()
    assert "call_2" in client.get(PAGE).content.decode()
    decide(client, call, "seen")
    cache.clear()
    assert "may have rung twice" not in client.get("/admin/calls/lead/").content.decode()
    tell("call_ended", "call_3", call_uuid=str(call.pk), call_status="ended")
    apply_pending(now=timezone.now() + timedelta(seconds=1))
    assert Call.objects.get(pk=call.pk).judged == ""


def test_nobody_decides_what_is_known_or_was_decided(unknown: Call, sales: User, sign_in: SignIn) -> None:
    known = factories.make_call(status=CallStatus.ENDED)
    client = sign_in(sales)
    for call in (known, unknown, unknown):
        page = decide(client, call, "called").content.decode()
    assert "nothing to decide" in page
    known.refresh_from_db()
    assert known.judged == ""
    assert decide(client, unknown, "perhaps").status_code == 404


def test_without_the_right_to_call_the_page_only_shows(unknown: Call, sign_in: SignIn, db: None) -> None:
    person = User.objects.create_user("eva", is_staff=True)
    client = sign_in(person)
    assert client.get(PAGE).status_code == 403
    assert decide(client, unknown, "called").status_code == 403


def test_calls_of_another_owners_leads_are_not_shown(
    unknown: Call, sales: User, manager: User, sign_in: SignIn
) -> None:
    Lead.objects.update(owner=manager)
    assert "Grace Sample" not in sign_in(sales).get(PAGE).content.decode()
    assert decide(sign_in(sales), unknown, "called").status_code == 404
    assert "Grace Sample" in sign_in(manager).get(PAGE).content.decode()


def test_a_second_call_found_under_our_id_is_an_incident(unknown: Call) -> None:
    far = FarEnd(
        listed=[theirs(f"call_{n}", call_uuid=str(unknown.pk), to_number=unknown.counterpart) for n in (1, 2)]
    )
    Call.objects.filter(pk=unknown.pk).update(next_look_at=timezone.now())
    assert look_for_analysis(far.provider(), now=timezone.now())
    apply_pending(now=timezone.now() + timedelta(seconds=1))
    unknown.refresh_from_db()
    assert "call_1" in unknown.incident
    assert "call_2" in unknown.incident
    assert unknown.judged != Judgement.SEEN
