"""A lead's page: why, may we now, what was; and what can be done from it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from calls.models import Call, CallBack, CallStatus, DoNotCall, LeadPhone, Note, Outcome
from calls.models.callback import CallBackState
from tests.factories import make_agent, make_call, make_lead, make_opt_out, next_number

pytestmark = pytest.mark.django_db

SignIn = Callable[[User], Client]


def page_of(client: Client, lead_id: int, query: str = "") -> str:
    answer = client.get(f"/admin/calls/lead/{lead_id}/change/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_says_why_we_call_and_what_was_promised(sign_in: SignIn, sales: User) -> None:
    lead = make_lead(reason="Asked for a quote", owner=sales)
    make_call("ended", lead=lead, promise="the brochure by Friday", summary="Wants the brochure.")
    CallBack.objects.create(
        lead=lead,
        number=lead.phones.get().number,
        due_at=timezone.now() + timedelta(days=1),
        note="about the price",
    )
    page = page_of(sign_in(sales), lead.pk)
    for words in ("Asked for a quote", "the brochure by Friday", "about the price", "Wants the brochure."):
        assert words in page


@pytest.mark.usefixtures("around_the_clock")
def test_it_says_that_we_may_call_now(sign_in: SignIn, sales: User) -> None:
    assert "Yes, now" in page_of(sign_in(sales), make_lead("+14155550101").pk)


def test_it_says_from_when_on_their_clock(sign_in: SignIn, sales: User, settings) -> None:  # type: ignore[no-untyped-def]
    there = timezone.now().astimezone(ZoneInfo("Europe/Berlin"))
    later = there + timedelta(hours=2)
    if later.date() != there.date():
        settings.CALLING_HOURS = "12:00-13:00"
    else:
        settings.CALLING_HOURS = f"{later:%H:%M}-24:00"
    page = page_of(sign_in(sales), make_lead(time_zone="Europe/Berlin").pk)
    assert "Not yet: from" in page
    assert "Outside calling hours" in page
    assert "Europe/Berlin" in page


@pytest.mark.usefixtures("around_the_clock")
def test_every_reason_why_not_is_shown_with_who_says_so(sign_in: SignIn, sales: User, manager: User) -> None:
    lead = make_lead(owner=sales)
    LeadPhone.objects.filter(lead=lead).update(state="wrong")
    make_opt_out(lead.phones.get().number, reason="take me off", created_by=manager)
    page = page_of(sign_in(sales), lead.pk)
    assert "was marked as wrong" in page
    assert "“take me off”" in page
    assert "Mona" in page
    assert "Says the lead" in page


def test_the_last_three_contacts_stand_above_the_rest(sign_in: SignIn, sales: User) -> None:
    lead = make_lead(owner=sales)
    for day in range(5):
        make_call("ended", lead=lead, now=timezone.now() - timedelta(days=day), summary=f"summary {day}")
    answer = sign_in(sales).get(f"/admin/calls/lead/{lead.pk}/change/")
    assert [call.summary for call in answer.context["contacts"]] == ["summary 0", "summary 1", "summary 2"]


def test_the_timeline_has_calls_both_ways_notes_and_do_not_call_newest_first(
    sign_in: SignIn, sales: User
) -> None:
    lead = make_lead(owner=sales)
    number = lead.phones.get().number
    now = timezone.now()
    make_call("ended", lead=lead, now=now - timedelta(days=3))
    make_call(
        "ended",
        lead=None,
        counterpart=number,
        direction="inbound",
        now=now - timedelta(days=2),
        agent=None,
        our_number=next_number(),
    )
    make_opt_out(number, created_at=now - timedelta(days=1))
    Note.objects.create(lead=lead, author=sales, text="a note")
    answer = sign_in(sales).get(f"/admin/calls/lead/{lead.pk}/change/")
    told = [(each.kind, getattr(each.row, "direction", "")) for each in answer.context["happenings"]]
    assert told == [("note", ""), ("opt_out", ""), ("call", "inbound"), ("call", "outbound")]


def test_a_long_timeline_is_turned_page_by_page(sign_in: SignIn, sales: User) -> None:
    lead = make_lead(owner=sales)
    for nth in range(35):
        note = Note.objects.create(lead=lead, author=sales, text=f"note {nth}.")
        Note.objects.filter(pk=note.pk).update(created_at=timezone.now() - timedelta(hours=nth))
    client = sign_in(sales)
    first = client.get(f"/admin/calls/lead/{lead.pk}/change/")
    rest = client.get(f"/admin/calls/lead/{lead.pk}/change/", {"before": first.context["older"]})
    texts = [each.row.text for each in [*first.context["happenings"], *rest.context["happenings"]]]
    assert texts == [f"note {nth}." for nth in range(35)]
    assert client.get(f"/admin/calls/lead/{lead.pk}/change/?before=rubbish").status_code == 200


def test_a_note_is_added_and_an_empty_one_is_not(sign_in: SignIn, sales: User) -> None:
    lead = make_lead(owner=sales)
    client = sign_in(sales)
    client.post(f"/admin/calls/lead/{lead.pk}/note/", {"text": " <b>hello</b> "})
    client.post(f"/admin/calls/lead/{lead.pk}/note/", {"text": "  "})
    assert [(note.text, note.author) for note in lead.notes.all()] == [("<b>hello</b>", sales)]
    assert "&lt;b&gt;hello" in page_of(client, lead.pk)


def test_never_call_again_needs_a_reason_and_cancels_what_waits(sign_in: SignIn, sales: User) -> None:
    lead = make_lead(owner=sales)
    second = LeadPhone.objects.create(lead=lead, number=next_number(), position=1)
    number = lead.phones.first().number  # type: ignore[union-attr]
    waiting = make_call(lead=lead, counterpart=number)
    client = sign_in(sales)
    url = f"/admin/calls/lead/{lead.pk}/never/"
    assert "This field is required" in client.post(url, {"numbers": [number]}).content.decode()
    assert not DoNotCall.objects.exists()
    client.post(url, {"reason": "asked on the phone", "numbers": [number, second.number]})
    assert {entry.number for entry in DoNotCall.objects.in_force()} == {number, second.number}
    entry = DoNotCall.objects.get(number=number)
    assert (entry.created_by, entry.reason, entry.lead) == (sales, "asked on the phone", lead)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.outcome) == (CallStatus.ENDED, Outcome.CANCELED)


def test_numbers_of_other_people_cannot_be_slipped_in(sign_in: SignIn, sales: User) -> None:
    lead = make_lead(owner=sales)
    sign_in(sales).post(f"/admin/calls/lead/{lead.pk}/never/", {"reason": "x", "numbers": ["+14155550199"]})
    assert not DoNotCall.objects.exists()


def test_only_a_manager_lifts_an_opt_out_and_only_with_a_reason(
    sign_in: SignIn, sales: User, manager: User
) -> None:
    lead = make_lead()
    entry = make_opt_out(lead.phones.get().number)
    url = f"/admin/calls/lead/{lead.pk}/lift/"
    assert sign_in(sales).post(url, {"entry": entry.pk, "reason": "please"}).status_code == 403
    client = sign_in(manager)
    client.post(url, {"entry": entry.pk, "reason": " "})
    entry.refresh_from_db()
    assert entry.lifted_at is None
    client.post(url, {"entry": entry.pk, "reason": "wrote to us"})
    entry.refresh_from_db()
    assert (entry.lifted_by, entry.lifted_reason) == (manager, "wrote to us")
    assert "wrote to us" in page_of(client, lead.pk)


def test_a_call_back_is_promised_on_the_clock_of_the_person(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    lead = make_lead(time_zone="Asia/Tokyo", owner=sales)
    day = (timezone.now() + timedelta(days=2)).date()
    client = sign_in(sales)
    client.post(
        f"/admin/calls/lead/{lead.pk}/call-back/",
        {
            "number": lead.phones.get().number,
            "when": f"{day}T10:00",
            "agent": agent.pk,
            "note": "about the price",
        },
    )
    promised = CallBack.objects.get()
    assert promised.due_at == datetime(day.year, day.month, day.day, 10, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert (promised.promised_by, promised.agent, promised.note) == (sales, agent, "about the price")
    client.post(f"/admin/calls/lead/{lead.pk}/drop-promise/", {"promise": promised.pk})
    promised.refresh_from_db()
    assert promised.state == CallBackState.DROPPED


def test_a_call_back_in_the_past_is_refused(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    lead = make_lead(time_zone="Asia/Tokyo")
    posted = {"number": lead.phones.get().number, "when": "2020-01-01T10:00", "agent": agent.pk}
    page = sign_in(sales).post(f"/admin/calls/lead/{lead.pk}/call-back/", posted).content.decode()
    assert "That is over already" in page
    assert not CallBack.objects.exists()


def test_nobody_is_promised_a_call_who_is_never_to_be_called(sign_in: SignIn, sales: User) -> None:
    agent = make_agent()
    lead = make_lead("+14155550101", time_zone="Asia/Tokyo")
    make_opt_out("+14155550101")
    day = (timezone.now() + timedelta(days=2)).date()
    posted = {"number": "+14155550101", "when": f"{day}T10:00", "agent": agent.pk}
    page = sign_in(sales).post(f"/admin/calls/lead/{lead.pk}/call-back/", posted).content.decode()
    assert "is on the do-not-call list: nobody may call there." in page
    assert not CallBack.objects.exists()


def test_a_call_that_waits_is_told_with_what_it_waits_for(sign_in: SignIn, sales: User) -> None:
    lead = make_lead("+14155550101", owner=sales)
    make_call(
        lead=lead, due_at=timezone.now() + timedelta(hours=5), not_after=timezone.now() + timedelta(hours=9)
    )
    page = page_of(sign_in(sales), lead.pk)
    assert "A call is waiting" in page
    assert "To be called" in page
    assert "We called" not in page
    assert Call.objects.get().counterpart == "+14155550101"
