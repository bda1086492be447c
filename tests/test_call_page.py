"""A call's page: it tells what happened, fills itself while the call lives, and does what its buttons say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from calls.admin import call_story
from calls.models import (
    Call,
    CallRequest,
    CallStatus,
    DoNotCall,
    LiveTranscript,
    Note,
    Outcome,
    Transcript,
    Via,
    WebhookEvent,
)
from tests.factories import make_agent, make_call, make_lead, make_opt_out, make_transcript

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]

SignIn = Callable[[User], Client]
HOSTILE = '<script>alert(1)</script></script>" x-data="{a:alert(2)}" onload=x'


def page(client: Client, call: Call) -> str:
    answer = client.get(f"/admin/calls/call/{call.pk}/change/")
    assert answer.status_code == 200
    return answer.content.decode()


def live(client: Client, call: Call, **headers: str) -> HttpResponse:
    return client.get(f"/admin/calls/call/{call.pk}/live/", headers=headers)  # type: ignore[return-value]


def press(client: Client, call: Call, what: str, **fields: str) -> Any:
    return client.post(f"/admin/calls/call/{call.pk}/{what}/", fields, follow=True)


@pytest.fixture
def desk(sign_in: SignIn, sales: User) -> Client:
    return sign_in(sales)


def test_an_ended_call_tells_its_story(desk: Client, sales: User) -> None:
    call = make_call(
        "ended",
        lead=make_lead("+14155550101", name="Mia Novak"),
        summary="She wants a visit.",
        analysis={"call_back": True, "budget": 180, "topics": ["roof", "price"], "empty": None},
        proposed_disposition="interested",
        disconnection_reason="user_hangup",
        analysed_at=timezone.now(),
    )
    CallRequest.objects.create(call=call, user=sales, via=Via.DESK, requested_at=call.requested_at)
    make_transcript(call, ("agent", "Hello Mia."), ("user", "Hello there."))
    body = page(desk, call)
    for said in (
        "Mia Novak",
        "Asked for by Ana",
        "The phone company is calling",
        "A person picked up",
        "Ended after 1 min 00 s: Talked",
        "The phone company said: user_hangup",
        "She wants a visit.",
        "Call back",
        "roof, price",
        "Hello there.",
        "The analysis says “Interested”",
    ):
        assert said in body, said


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("queued", "Waiting"),
        ("dialing", "Calling"),
        ("unconfirmed", "Checking with the phone company: will not be called twice"),
        ("placed", "Calling"),
        ("in_progress", "On the phone"),
    ],
)
def test_a_call_that_is_not_over_says_where_it_is_in_staff_s_words(
    desk: Client, status: str, words: str
) -> None:
    body = page(desk, make_call(status))
    assert words in body
    for never in ("unconfirmed", "claimed", "lease", "reconcile", "payload", "eligibility"):
        assert never not in body.replace("data-", "").split('id="content-main"')[1].lower(), never


def test_what_the_phone_company_says_that_nobody_knows_is_shown_as_it_came(desk: Client) -> None:
    call = make_call("ended", outcome="failed", answered_by="", disconnection_reason="moon_in_the_way")
    assert "The phone company said: moon_in_the_way" in page(desk, call)


def test_somebody_else_s_call_is_not_there(desk: Client, manager: User) -> None:
    call = make_call("ended", lead=make_lead(owner=manager))
    for path in ("change/", "live/", "recording"):
        assert desk.get(f"/admin/calls/call/{call.pk}/{path}").status_code == 404
    for what in ("note", "never", "disposition", "call-again"):
        assert desk.post(f"/admin/calls/call/{call.pk}/{what}/").status_code == 404
    assert desk.get("/admin/calls/call/no-such-id/change/").status_code == 404


def test_hostile_words_stay_text_everywhere(desk: Client) -> None:
    call = make_call(
        "ended",
        lead=make_lead(name=HOSTILE, company=HOSTILE),
        agent=make_agent(name=HOSTILE),
        summary=HOSTILE,
        promise=HOSTILE,
        analysis={HOSTILE: HOSTILE},
        variables={HOSTILE: HOSTILE},
        disconnection_reason=HOSTILE[:80],
        incident=HOSTILE,
        outcome="failed",
    )
    make_transcript(call, ("user", HOSTILE), (HOSTILE, HOSTILE))
    for body in (page(desk, call), live(desk, call).content.decode()):
        assert "<script>alert" not in body
        assert '" x-data="{a' not in body


def test_words_are_lit_where_they_stand_in_the_text() -> None:
    call = make_call("ended")
    turn = {
        "role": "user",
        "content": "A, well: a quote!",
        "start_s": 1.0,
        "end_s": 3.0,
        "words": [
            ["A", 1.0, 1.1],
            ["well", 1.2, 1.4],
            ["unsaid", 1.5, 1.6],
            ["a ", 1.7, 1.8],
            ["quote", 1.9, 2.2],
        ],
    }
    (line,) = call_story.lines([turn], call)
    assert line.text == "A, well: a quote!"
    assert [piece.text for piece in line.pieces if piece.spoken] == ["A", "well", "a", "quote"]
    assert line.words == [(1.0, 1.1), (1.2, 1.4), (1.7, 1.8), (1.9, 2.2)]


def test_a_transcript_that_came_as_text_only_is_still_a_conversation() -> None:
    call = make_call("ended", agent=make_agent(name="Ava"), lead=make_lead(name="Mia"))
    Transcript.objects.create(call=call, text="Agent: Hello: you?\nUser: Yes.\nsomething else")
    told = [(line.speaker, line.text) for line in call_story.conversation(call)]
    assert told == [("Ava", "Hello: you?"), ("Mia", "Yes."), ("", "something else")]


def test_what_is_being_said_appears_and_304_says_that_nothing_has_changed(desk: Client) -> None:
    call = make_call("in_progress")
    first = live(desk, call)
    assert first.status_code == 200
    assert "X-Call-Final" not in first.headers
    assert live(desk, call, if_none_match=first["ETag"]).status_code == 304
    LiveTranscript.objects.create(
        provider_call_id=call.provider_call_id,
        turns=[{"role": "user", "content": "Who is this?"}],
        received_at=timezone.now(),
    )
    second = live(desk, call, if_none_match=first["ETag"])
    assert second.status_code == 200
    assert "Who is this?" in second.content.decode()
    make_transcript(call, ("user", "Who was that?"))
    assert "Who is this?" not in live(desk, call).content.decode()


def test_the_page_stops_asking_once_nothing_more_comes(desk: Client) -> None:
    assert live(desk, make_call("ended", final=True))["X-Call-Final"] == "1"
    assert "X-Call-Final" not in live(desk, make_call("ended", final=False)).headers
    assert "X-Call-Again" not in live(desk, make_call("ended", final=False)).headers


def test_an_analysis_that_comes_hours_after_the_end_still_reaches_an_open_page(desk: Client) -> None:
    """Asked for every half minute as long as a look is planned; also while nothing changes (304)."""
    now = timezone.now()
    long_ago = now - timedelta(hours=1)
    call = make_call("ended", final=False, now=long_ago, next_look_at=now + timedelta(hours=5))
    first = live(desk, call)
    assert first["X-Call-Again"] == "30"
    again = live(desk, call, if_none_match=first["ETag"])
    assert (again.status_code, again["X-Call-Again"]) == (304, "30")
    Call.objects.filter(pk=call.pk).update(final=True, next_look_at=None)
    last = live(desk, call, if_none_match=first["ETag"])
    assert "X-Call-Again" not in last.headers
    assert last["X-Call-Final"] == "1"
    given_up = make_call("ended", final=False, now=long_ago, next_look_at=None)
    assert live(desk, given_up)["X-Call-Final"] == "1"


def test_a_waiting_call_can_be_cancelled(desk: Client) -> None:
    call = make_call("queued")
    press(desk, call, "cancel")
    call.refresh_from_db()
    assert (call.status, call.outcome) == (CallStatus.ENDED, Outcome.CANCELED)
    assert "(ana)" in call.cancel_reason


def test_a_call_due_later_can_be_made_now(desk: Client) -> None:
    later = timezone.now() + timedelta(hours=3)
    call = make_call("queued", due_at=later, not_after=later + timedelta(hours=1))
    assert "Call now instead" in page(desk, call)
    assert "Call now instead" not in page(desk, make_call("queued"))
    press(desk, call, "call-now")
    call.refresh_from_db()
    assert call.due_at is not None
    assert call.due_at <= timezone.now()


def test_a_call_on_the_line_can_be_hung_up(desk: Client) -> None:
    call = make_call("in_progress")
    assert "Hang up" in page(desk, call)
    press(desk, call, "hang-up")
    call.refresh_from_db()
    assert call.hang_up_at is not None


@pytest.mark.parametrize(
    ("status", "what"), [("queued", "To be called"), ("placed", "We called"), ("ended", "We called")]
)
def test_it_says_who_called_whom_only_where_it_came_to_that(desk: Client, status: str, what: str) -> None:
    head = page(desk, make_call(status)).partition("call-way-outbound")[2][:400]
    assert what in head


def test_what_was_cancelled_says_whether_it_is_hung_up(desk: Client, settings: Any) -> None:
    cancelled = {"cancel_requested_at": timezone.now()}
    ringing, talking = make_call("placed", **cancelled), make_call("in_progress", **cancelled)
    assert "hung up as soon as it can be" in page(desk, ringing)
    assert "the conversation goes on" in page(desk, talking)
    settings.RETELL_CONTRACT = "article"
    assert "it had gone out already" in page(desk, ringing)


def test_hanging_up_stands_before_the_end_it_brought(desk: Client) -> None:
    call = make_call("ended", disconnection_reason="manual_stopped")
    assert call.ended_at is not None
    Call.objects.filter(pk=call.pk).update(hang_up_at=call.ended_at + timedelta(seconds=5))
    shown = page(desk, call)
    assert shown.index("Told to hang up") < shown.index("Ended after")


def test_call_again_queues_a_new_call_and_goes_to_its_page(desk: Client) -> None:
    call = make_call("ended")
    answer = press(desk, call, "call-again")
    again = Call.objects.exclude(pk=call.pk).get()
    assert (again.lead, again.counterpart, again.status) == (call.lead, call.counterpart, "queued")
    assert answer.redirect_chain[-1][0] == f"/admin/calls/call/{again.pk}/change/"


def test_call_again_says_why_not(desk: Client) -> None:
    call = make_call("ended")
    make_opt_out(call.counterpart, reason="shouted at us")
    body = page(desk, call)
    assert "Call again" not in body
    assert "Cannot be called: do-not-call" in body
    assert "shouted at us" in press(desk, call, "call-again").content.decode()
    assert Call.objects.count() == 1


def test_never_call_again_wants_a_reason_and_cancels_what_waits(desk: Client, sales: User) -> None:
    call = make_call("ended")
    waiting = make_call("queued", lead=call.lead, counterpart=call.counterpart)
    press(desk, call, "never", reason="  ")
    assert not DoNotCall.objects.exists()
    press(desk, call, "never", reason="Please stop")
    entry = DoNotCall.objects.get()
    assert (entry.number, entry.reason, entry.created_by) == (call.counterpart, "Please stop", sales)
    waiting.refresh_from_db()
    assert waiting.outcome == Outcome.CANCELED


def test_a_disposition_is_one_click_and_a_person_s_word(desk: Client, sales: User) -> None:
    call = make_call("ended", proposed_disposition="not_interested")
    press(desk, call, "disposition", disposition="interested")
    call.refresh_from_db()
    assert (call.disposition, call.disposition_by) == ("interested", sales)
    assert "Marked “Interested” by Ana" in page(desk, call)
    press(desk, call, "disposition", disposition="nonsense")
    call.refresh_from_db()
    assert call.disposition == "interested"


def test_notes_stand_on_the_call_and_on_its_lead(desk: Client, sales: User) -> None:
    call = make_call("ended")
    press(desk, call, "note", text=f"Call her sister {HOSTILE}")
    note = Note.objects.get()
    assert (note.call, note.lead, note.author) == (call, call.lead, sales)
    body = page(desk, call)
    assert "Call her sister" in body
    assert "<script>alert" not in body
    press(desk, call, "note", text="   ")
    assert Note.objects.count() == 1


def test_stored_events_are_for_administrators(sign_in: SignIn, sales: User, administrator: User) -> None:
    call = make_call("ended")
    WebhookEvent.objects.create(
        key="k",
        call=call,
        name="call_ended",
        body=f'{{"event": "{HOSTILE}"}}'.encode() + b"\xff",
        received_at=timezone.now(),
        next_try_at=timezone.now(),
    )
    assert "call_ended" not in page(sign_in(sales), call)
    body = page(sign_in(administrator), call)
    assert "call_ended" in body
    assert "&lt;script&gt;alert(1)" in body
    assert "<script>alert" not in body


@pytest.mark.parametrize(
    "what", ["cancel", "call-now", "call-again", "never", "note", "hang-up", "disposition"]
)
def test_who_may_only_look_can_press_nothing(client: Client, what: str) -> None:

    looker = User.objects.create_user("vera", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_call"))
    client.force_login(looker)
    call = make_call("ended")
    assert client.get(f"/admin/calls/call/{call.pk}/change/").status_code == 200
    assert (
        client.post(f"/admin/calls/call/{call.pk}/{what}/", {"reason": "x", "text": "x"}).status_code == 403
    )
    assert client.get(f"/admin/calls/call/{call.pk}/{what}/").status_code == 405


def test_an_inbound_call_from_nobody_known_has_a_page(desk: Client) -> None:
    call = make_call("ended", lead=None, agent=None, direction="inbound", our_number="+14155550100")
    body = page(desk, call)
    assert "Unknown caller" in body
    assert "They rang" in body


def test_a_caller_who_withholds_the_number_has_a_page_and_cannot_be_called_or_blocked(desk: Client) -> None:
    call = make_call("ended", direction="inbound", lead=None, counterpart="", our_number="+14155550199")
    body = page(desk, call)
    assert "Unknown caller" in body
    assert "Withheld number" in body
    assert "Call again" not in body
    assert "Never call again…" not in body
    assert "there is nothing to call" in press(desk, call, "call-again").content.decode()
    assert "no number could be blocked" in press(desk, call, "never", reason="Asked.").content.decode()
    marked = press(desk, call, "disposition", disposition="never_call").content.decode()
    assert "Marked “Never call again”" in marked
    assert "no number could be blocked" in marked
    assert not DoNotCall.objects.exists()


def test_a_withheld_number_is_told_on_the_list(desk: Client) -> None:
    make_call("ended", direction="inbound", lead=None, counterpart="", our_number="+14155550199")
    listed = desk.get("/admin/calls/call/").content.decode()
    assert "Withheld number" in listed
