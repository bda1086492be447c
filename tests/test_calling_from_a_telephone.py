"""A person calls without AI: their telephone is rung, they press 1, the lead is rung; one row tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from twilio_wire import BUSY, HANGS_UP, INVALID, LEAD, MAILBOX, NEVER_CALL, NOBODY, OURS, STAFF
from webhook_receiver import eventually

from agents.providers.registry import get_provider
from agents.sandbox.server import Sandbox
from calls import dialer, eligibility, recordings
from calls.dialer.loop import Dialer, run_once
from calls.dialer.settle import settle_next
from calls.lifecycle import reconcile
from calls.lifecycle.apply import apply_due, apply_next
from calls.models import Call, CallStatus, Outcome, StaffPhone, Stop, Via, WebhookEvent
from calls.models.do_not_call import DoNotCallSource
from calls.models.webhook_event import EventState
from tests import factories
from tests.conftest import API_KEY, TWILIO_SID, TWILIO_TOKEN

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("around_the_clock")]


@pytest.fixture
def network(live_server: Any, settings: LazySettings) -> Iterator[Sandbox]:
    with Sandbox(
        speed=400, seed=7, api_key=API_KEY, twilio_sid=TWILIO_SID, twilio_token=TWILIO_TOKEN
    ) as sandbox:
        settings.PUBLIC_BASE_URL = live_server.url
        settings.TWILIO_BASE_URL = settings.RETELL_BASE_URL = sandbox.url
        settings.TWILIO_FROM_NUMBER = OURS
        settings.CALLS_PER_SECOND = 50.0
        yield sandbox


def ask(by: User, number: str = LEAD, *, desk: str = STAFF, **more: Any) -> Call:
    lead = factories.make_lead(number, time_zone="America/New_York", name="Zoë Müller")
    return dialer.ask(
        lead=lead, agent=None, desk_number=desk, by=by, via=Via.DESK, now=timezone.now(), **more
    ).call


def place() -> None:
    run_once(get_provider())


def once(call: Call, true: Callable[[Call], object]) -> Call:
    """What is told is applied until that is so of the call."""

    def look() -> Call | None:
        while apply_due(now=timezone.now()):
            pass
        call.refresh_from_db()
        return call if true(call) else None

    found: Call = eventually(look)
    return found


def legs(sandbox: Sandbox) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox._http.get("/control/ledger/twilio").json()["legs"]
    return found


def over(call: Call) -> bool:
    return call.status == CallStatus.ENDED


class TestFromAClickToTheEnd:
    def test_the_lead_is_rung_once_one_was_pressed_and_all_of_it_is_on_the_page(
        self, network: Sandbox, sales: User, sign_in: Callable[[User], Client]
    ) -> None:
        lead = factories.make_lead(LEAD, time_zone="America/New_York", name="Zoë Müller", owner=sales)
        client = sign_in(sales)
        sheet = client.get(f"/admin/calls/lead/{lead.pk}/call-from-my-phone/")
        assert "This call is recorded." in sheet.text
        asked = client.post(
            f"/admin/calls/lead/{lead.pk}/call-from-my-phone/",
            {"own_number": "+1 415 555 0101", "our_number": ""},
        )
        call = Call.objects.get()
        assert asked["Location"] == f"/admin/calls/call/{call.pk}/change/"
        assert StaffPhone.objects.get(user=sales).number == call.desk_number == STAFF
        assert call.agent is None
        place()
        call = once(call, lambda call: over(call) and call.recording_url)
        assert (call.outcome, call.answered_by) == (Outcome.CONNECTED, "person")
        assert (call.duration_ms or 0) > 1000
        times = [call.placed_at, call.let_through_at, call.ringing_at, call.answered_at, call.ended_at]
        assert None not in times
        ours, theirs = legs(network)
        assert (ours["to"], theirs["to"], theirs["from"]) == (STAFF, LEAD, OURS)
        assert theirs["heard"] == ["This call is recorded."]
        assert "Press 1 to be connected to Zoë Müller." in ours["heard"][0]
        page = client.get(f"/admin/calls/call/{call.pk}/change/").text
        story = page[page.index("What happened") :]
        told = ("Our telephone is rung", "1 was pressed", "Their telephone rings", "Ended after")
        assert sorted(told, key=story.index) == list(told)
        assert "Ana, without AI" in page
        sound = recordings.open_recording(call)
        assert (sound.status, sound.content_type) == (200, "audio/mpeg")
        assert len(b"".join(sound.chunks)) > 10_000

    def test_the_price_of_both_telephones_comes_with_a_look_and_ends_the_looking(
        self, network: Sandbox, sales: User
    ) -> None:
        call = ask(sales)
        place()
        once(call, lambda call: over(call) and call.recording_url)
        eventually(lambda: all(leg["status"] == "completed" for leg in legs(network)))
        Call.objects.filter(pk=call.pk).update(next_look_at=timezone.now())
        assert reconcile.look_for_analysis(get_provider("twilio"), now=timezone.now())
        call = once(call, lambda call: call.final)
        assert call.cost_micros == sum(round(abs(float(leg["price"])) * 1e6) for leg in legs(network))
        assert (call.currency, call.outcome, call.answered_by) == ("USD", Outcome.CONNECTED, "person")

    def test_a_mailbox_of_ours_is_never_connected_and_costs_the_lead_no_attempt(
        self, network: Sandbox, sales: User
    ) -> None:
        call = ask(sales, desk=MAILBOX)
        place()
        call = once(call, over)
        assert [leg["to"] for leg in legs(network)] == [MAILBOX]
        assert (call.outcome, call.fault, call.answered_at) == (Outcome.CANCELED, "desk", None)
        again = dialer.ask(
            lead=call.lead, agent=None, desk_number=STAFF, by=sales, via=Via.DESK, now=timezone.now()
        )
        assert again.call.attempt == 1

    @pytest.mark.parametrize(
        ("number", "outcome", "answered_by"),
        [
            (BUSY, Outcome.BUSY, ""),
            (NOBODY, Outcome.NO_ANSWER, ""),
            (INVALID, Outcome.INVALID_NUMBER, ""),
            (MAILBOX, Outcome.VOICEMAIL, "machine"),
            (HANGS_UP, Outcome.CONNECTED, "person"),
        ],
    )
    def test_how_their_telephone_ended_is_how_the_call_ended(
        self, network: Sandbox, sales: User, number: str, outcome: str, answered_by: str
    ) -> None:
        call = ask(sales, number)
        place()
        once(call, lambda call: over(call) and call.fault != "desk")
        eventually(
            lambda: all(leg["status"] not in {"queued", "ringing", "in-progress"} for leg in legs(network))
        )
        while apply_due(now=timezone.now()):
            pass
        call.refresh_from_db()
        assert (call.outcome, call.answered_by) == (outcome, answered_by)
        assert bool(call.answered_at) == bool(answered_by)

    def test_hanging_up_on_the_page_ends_both_telephones(self, network: Sandbox, sales: User) -> None:
        network.control("settings", people_stay=True)
        call = ask(sales)
        place()
        call = once(call, lambda call: call.status == CallStatus.IN_PROGRESS)
        assert dialer.hang_up(call, by=sales, now=timezone.now())
        Dialer(get_provider()).step_hang_up()
        call = once(call, over)
        assert eventually(lambda: {leg["status"] for leg in legs(network)} == {"completed"})
        assert call.outcome == Outcome.CONNECTED


class TestTheSameRules:
    def test_a_lead_on_the_do_not_call_list_is_not_offered_nor_rung(
        self, network: Sandbox, sales: User, sign_in: Callable[[User], Client]
    ) -> None:
        lead = factories.make_lead(LEAD, time_zone="America/New_York", owner=sales)
        factories.make_opt_out(LEAD)
        answer = sign_in(sales).post(
            f"/admin/calls/lead/{lead.pk}/call-from-my-phone/", {"own_number": STAFF}
        )
        assert "May not be called." in answer.text
        assert "Ring my phone" not in answer.text
        with pytest.raises(dialer.NotAllowed):
            dialer.ask(lead=lead, agent=None, desk_number=STAFF, by=sales, via=Via.DESK, now=timezone.now())
        assert legs(network) == []

    def test_who_opts_out_while_our_telephone_rings_is_not_rung(self, network: Sandbox, sales: User) -> None:
        network.control("twilio/keys", number=STAFF, digits=["", "", ""])
        call = ask(sales)
        place()
        eligibility.opt_out(
            LEAD, reason="said so", source=DoNotCallSource.STAFF, now=timezone.now(), by=sales
        )
        found = dialer.let_through(call.pk)
        assert found.call is None
        assert "cancelled" in found.why
        call = once(call, over)
        assert [leg["to"] for leg in legs(network)] == [STAFF]
        assert call.outcome == Outcome.CANCELED

    def test_a_stop_between_click_and_key_keeps_them_from_being_rung(
        self, network: Sandbox, sales: User
    ) -> None:
        call = factories.make_call(
            CallStatus.PLACED, agent=None, provider="twilio", desk_number=STAFF, counterpart=LEAD,
            our_number=OURS, provider_call_id="CA1",
        )  # fmt: skip
        assert dialer.let_through(call.pk).call == call
        dialer.stop(by=sales, reason="fire alarm", now=timezone.now())
        assert "fire alarm" in dialer.let_through(call.pk).why
        dialer.resume(by=sales, reason="over", now=timezone.now())
        Call.objects.filter(pk=call.pk).update(status=CallStatus.RINGING)
        assert dialer.let_through(call.pk).call is None
        Call.objects.filter(pk=call.pk).update(status=CallStatus.ENDED, outcome=Outcome.UNKNOWN)
        assert dialer.let_through(call.pk).call is None

    def test_what_waits_for_an_ai_agent_is_made_by_the_person_instead(
        self, network: Sandbox, sales: User
    ) -> None:
        agent = factories.make_agent(default_caller_id=factories.make_number(number=OURS))
        lead = factories.make_lead(LEAD, time_zone="America/New_York")
        later = timezone.now() + timedelta(hours=1)
        waits = dialer.ask(
            lead=lead, agent=agent, via=Via.API, now=timezone.now(), due_at=later, our_number=""
        ).call
        asked = dialer.ask(
            lead=lead, agent=None, desk_number=STAFF, by=sales, via=Via.DESK, now=timezone.now()
        )
        assert (asked.adopted, asked.call.pk) == (True, waits.pk)
        waits.refresh_from_db()
        assert (waits.agent, waits.provider, waits.desk_number) == (None, "twilio", STAFF)
        place()
        assert once(waits, over).outcome == Outcome.CONNECTED

    def test_one_telephone_of_ours_takes_one_call_at_a_time(self, network: Sandbox, sales: User) -> None:
        first = ask(sales)
        with pytest.raises(dialer.OwnPhoneBusy) as refused:
            ask(sales, NOBODY)
        assert refused.value.call == first

    @pytest.mark.parametrize("whose", ["opted out", "lead", "ours"])
    def test_what_is_no_telephone_of_ours_is_not_rung_as_one(
        self, network: Sandbox, sales: User, whose: str
    ) -> None:
        number = NEVER_CALL
        if whose == "opted out":
            factories.make_opt_out(number)
        elif whose == "lead":
            factories.make_lead(number)
        else:
            factories.make_number(number=number)
        with pytest.raises(dialer.BadRequest):
            ask(sales, desk=number)

    def test_without_a_twilio_account_it_is_not_offered_and_says_why(
        self, sales: User, sign_in: Callable[[User], Client], settings: LazySettings
    ) -> None:
        settings.TWILIO_ACCOUNT_SID = ""
        lead = factories.make_lead(owner=sales)
        client = sign_in(sales)
        assert "call-from-my-phone" not in client.get(f"/admin/calls/lead/{lead.pk}/change/").text
        assert "needs a Twilio account" in client.get(f"/admin/calls/lead/{lead.pk}/call/").text
        sheet = client.post(f"/admin/calls/lead/{lead.pk}/call-from-my-phone/", {"own_number": STAFF})
        assert "needs a Twilio account" in sheet.text
        with pytest.raises(dialer.BadRequest, match="TWILIO_ACCOUNT_SID"):
            ask(sales)
        assert not Call.objects.exists()


class TestWhatIsTold:
    def test_an_unclear_answer_is_looked_up_and_never_sent_again(self, network: Sandbox, sales: User) -> None:
        # Whoever picks up asks us what to say, which is evidence too.
        network.control("settings", speed=0.1)
        network.control("faults", create_500_after={"next": 1}, webhook_drop={"next": 100})
        call = ask(sales)
        place()
        call.refresh_from_db()
        assert call.status == CallStatus.UNCONFIRMED
        assert [leg["to"] for leg in legs(network)].count(STAFF) == 1
        Call.objects.filter(pk=call.pk).update(next_look_at=timezone.now())
        assert settle_next(get_provider("twilio"), now=timezone.now())
        call = once(call, lambda call: call.status != CallStatus.UNCONFIRMED)
        assert call.provider_call_id == legs(network)[0]["sid"]
        assert len([leg for leg in legs(network) if leg["to"] == STAFF]) == 1

    def test_in_any_order_and_doubled_the_callbacks_say_the_same(self, network: Sandbox, sales: User) -> None:
        network.control("faults", webhook_double={"next": 100})
        call = ask(sales)
        place()
        once(call, lambda call: over(call) and call.recording_url)
        eventually(lambda: {leg["status"] for leg in legs(network)} == {"completed"})
        while apply_due(now=timezone.now()):
            pass
        call.refresh_from_db()
        columns = (
            *("status", "outcome", "answered_by", "duration_ms", "answered_at", "ended_at", "ringing_at"),
            *("recording_url", "disconnection_reason", "provider_call_id", "outcome_evidence", "fault"),
        )
        first = {name: getattr(call, name) for name in columns}
        kept = WebhookEvent.objects.filter(state=EventState.APPLIED)
        backwards = list(kept.order_by("-pk").values_list("pk", flat=True))
        kept.update(state=EventState.PENDING, applied_at=None, next_try_at=timezone.now())
        Call.objects.filter(pk=call.pk).update(
            status=CallStatus.PLACED, outcome="", answered_by="", duration_ms=None, answered_at=None,
            ended_at=None, ringing_at=None, recording_url="", disconnection_reason="", outcome_evidence="",
        )  # fmt: skip
        for event in backwards:
            apply_next(now=timezone.now(), only=[event])
        call.refresh_from_db()
        assert {name: getattr(call, name) for name in columns} == first

    def test_without_any_callback_looks_alone_tell_how_it_ended(self, network: Sandbox, sales: User) -> None:
        network.control("faults", webhook_drop={"next": 100})
        call = ask(sales)
        place()
        eventually(
            lambda: (
                (all_ := legs(network)) and len(all_) == 2 and all(x["status"] == "completed" for x in all_)
            )
        )
        Call.objects.filter(pk=call.pk).update(next_look_at=timezone.now())
        assert reconcile.look_at_quiet(get_provider("twilio"), now=timezone.now())
        call = once(call, over)
        assert (call.outcome, call.answered_by) == (Outcome.CONNECTED, "person")
        assert None not in (call.duration_ms, call.answered_at, call.cost_micros)
        assert call.recording_url

    def test_twilios_refusal_ends_this_call_and_stops_no_ai_agent(
        self, network: Sandbox, sales: User
    ) -> None:
        call = ask(sales, our_number=factories.make_number(number="+13035550100").number)
        place()
        call.refresh_from_db()
        assert (call.status, call.outcome, call.fault) == (CallStatus.ENDED, Outcome.FAILED, "desk")
        assert "not in the Twilio account" in call.refusal
        assert not Stop.objects.exists()
        assert not dialer.account_state().problem
        assert legs(network) == []
