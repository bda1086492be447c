"""What one of us does with a call without AI while it is on, against the sandbox over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from desk_wire import HOLD_LINE, done, in_talk, legs, once, press, story, telephones, together
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from twilio_wire import LEAD, MAILBOX, STAFF
from webhook_receiver import eventually

from agents.providers.base import Unclear
from agents.providers.registry import get_provider
from agents.sandbox.server import Sandbox
from calls import desk_talk, dialer, recordings
from calls.dialer.loop import Dialer
from calls.lifecycle import reconcile
from calls.models import (
    Call,
    CallStatus,
    DeskAction,
    DeskState,
    DeskTalk,
    Outcome,
    VoicemailMessage,
)
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("around_the_clock")]


@pytest.fixture
def network(live_server: Any, settings: LazySettings) -> Iterator[Sandbox]:
    with telephones(settings, live_server.url) as sandbox:
        yield sandbox


@pytest.fixture
def talking(network: Sandbox, sales: User) -> Call:
    return in_talk(sales)


class TestHold:
    def test_they_wait_and_come_back_and_whoever_calls_hears_nothing_of_them(
        self, network: Sandbox, talking: Call, sales: User, sign_in: Callable[[User], Client]
    ) -> None:
        client = sign_in(sales)
        page = press(client, talking, "hold")
        assert "Take off hold" in page
        assert "line by line" not in page
        eventually(lambda: legs(network)[LEAD]["heard"].count(HOLD_LINE) >= 2)
        eventually(lambda: "They are on hold." in legs(network)[STAFF]["heard"])
        assert legs(network)[LEAD]["status"] == legs(network)[STAFF]["status"] == "in-progress"
        page = press(client, talking, "off-hold")
        assert "They are being connected with you again." in page
        together(network, talking, LEAD, STAFF)
        assert desk_talk.state_of(talking) == DeskState.ROOM
        told = story(client, talking)
        assert told.index("Ana put them on hold") < told.index("Ana took them back")
        press(client, talking, "hold")
        together(network, talking)
        done(talking)
        press(client, talking, "off-hold")
        together(network, talking, LEAD, STAFF)
        network.control("twilio/hang-up", number=LEAD)
        call = once(talking, lambda call: call.status == CallStatus.ENDED)
        assert (call.outcome, call.answered_by) == (Outcome.CONNECTED, "person")
        eventually(lambda: legs(network)[STAFF]["status"] == "completed")
        assert len(legs(network)) == 2

    def test_who_hangs_up_while_they_are_on_hold_leaves_nobody_waiting(
        self, network: Sandbox, talking: Call, sales: User
    ) -> None:
        desk_talk.hold(talking, by=sales, now=timezone.now())
        eventually(lambda: HOLD_LINE in legs(network)[LEAD]["heard"])
        network.control("twilio/hang-up", number=STAFF)
        once(talking, lambda call: call.desk_ended_at)
        assert talking.status == CallStatus.IN_PROGRESS
        eventually(lambda: legs(network)[LEAD]["status"] == "completed")
        assert "nobody can talk to you" in legs(network)[LEAD]["heard"][-1]
        assert once(talking, lambda call: call.status == CallStatus.ENDED).outcome == Outcome.CONNECTED

    def test_what_no_telephone_comes_back_to_ask_for_is_hung_up(
        self, network: Sandbox, talking: Call, sales: User
    ) -> None:
        """They are alone in the conference, which ends by no other's leaving."""
        put_down = timezone.now()
        Call.objects.filter(pk=talking.pk).update(desk_ended_at=put_down)
        talk = DeskTalk.objects.create(call=talking, state=DeskState.COLLEAGUE, since=put_down)
        twilio, soon = get_provider("twilio"), put_down + timedelta(seconds=5)
        assert not reconcile.hang_up_marked(twilio, now=soon)
        DeskTalk.objects.filter(pk=talk.pk).update(state=DeskState.ROOM)
        assert not reconcile.hang_up_marked(twilio, now=put_down)
        assert reconcile.hang_up_marked(twilio, now=soon)
        eventually(lambda: legs(network)[LEAD]["status"] == "completed")

    def test_hanging_up_on_the_page_ends_both_also_on_hold(
        self, network: Sandbox, talking: Call, sales: User
    ) -> None:
        desk_talk.hold(talking, by=sales, now=timezone.now())
        assert dialer.hang_up(talking, by=sales, now=timezone.now())
        Dialer(get_provider()).step_hang_up()
        eventually(lambda: {leg["status"] for leg in legs(network).values()} == {"completed"})
        once(talking, lambda call: call.status == CallStatus.ENDED)

    def test_an_unclear_answer_is_said_and_they_can_be_taken_back_from_wherever_they_are(
        self, network: Sandbox, talking: Call, sales: User, sign_in: Callable[[User], Client]
    ) -> None:
        provider = get_provider("twilio")
        with pytest.MonkeyPatch.context() as patched:

            def unheard(*_: Any, **__: Any) -> None:
                raise Unclear("no answer came back")

            patched.setattr(provider, "move_theirs", unheard)
            page = press(client := sign_in(sales), talking, "hold")
        assert "It is not clear whether that was done" in page
        assert "Not known to be done" in story(client, talking)
        assert legs(network)[LEAD]["heard"] == []
        assert "try again in a moment" in press(client, talking, "off-hold")
        DeskAction.objects.update(at=timezone.now() - timedelta(seconds=6))
        press(client, talking, "off-hold")
        together(network, talking, LEAD, STAFF)


class TestKeys:
    def test_keys_reach_their_side_and_the_talk_goes_on(
        self, network: Sandbox, talking: Call, sales: User, sign_in: Callable[[User], Client]
    ) -> None:
        client = sign_in(sales)
        assert "The keys were pressed." in press(client, talking, "keys", keys="4 2#")
        together(network, talking, LEAD, STAFF)
        assert "[keys 42#]" in legs(network)[LEAD]["heard"]
        done(talking)
        press(client, talking, "keys", keys="7")
        eventually(lambda: "[keys 7]" in legs(network)[LEAD]["heard"])
        together(network, talking, LEAD, STAFF)
        told = story(client, talking)
        assert "Ana pressed keys towards them" in told
        assert "3 keys" in told
        assert "42#" not in told
        assert not any("42#" in str(row) for row in DeskAction.objects.values())

    @pytest.mark.parametrize("keys", ["", "call me", "1" * 33])
    def test_what_is_no_key_is_not_sent(
        self, network: Sandbox, talking: Call, sales: User, keys: str
    ) -> None:
        with pytest.raises(desk_talk.NotPossible, match=r"0 to 9"):
            desk_talk.press(talking, keys, by=sales, now=timezone.now())
        assert not DeskAction.objects.exists()

    def test_a_refusal_leaves_them_where_they_were(
        self, network: Sandbox, talking: Call, sales: User, sign_in: Callable[[User], Client]
    ) -> None:
        network.control("twilio/hang-up", number=LEAD)
        eventually(lambda: legs(network)[LEAD]["status"] == "completed")
        page = press(sign_in(sales), talking, "keys", keys="1")
        assert "They are not on the line any more." in page
        assert desk_talk.state_of(talking) == DeskState.BRIDGED
        assert DeskAction.objects.get().problem


class TestLeavingAMessage:
    def test_the_mailbox_hears_it_and_whoever_calls_is_free(
        self, network: Sandbox, sales: User, sign_in: Callable[[User], Client]
    ) -> None:
        VoicemailMessage.objects.create(text="Hello {name}, this is {caller}. I will try again tomorrow.")
        call = in_talk(sales, MAILBOX)
        client = sign_in(sales)
        said = "Hello Zoë Müller, this is Ana. I will try again tomorrow."
        assert said in client.get(f"/admin/calls/call/{call.pk}/change/").text
        assert "You are free." in press(client, call, "message")
        eventually(lambda: legs(network)[STAFF]["status"] == "completed")
        call = once(call, lambda call: call.status == CallStatus.ENDED)
        assert legs(network)[MAILBOX]["heard"] == [said]
        assert "Your message is being left. Goodbye." in legs(network)[STAFF]["heard"]
        assert (call.outcome, call.answered_by) == (Outcome.VOICEMAIL, "machine")
        assert said in story(client, call)

    def test_ones_own_goes_before_the_one_for_everybody(
        self, network: Sandbox, talking: Call, sales: User, manager: User
    ) -> None:
        assert desk_talk.message_for(talking, sales) == ""
        with pytest.raises(desk_talk.NotPossible, match="No message is prepared"):
            desk_talk.leave_message(talking, by=sales, now=timezone.now())
        VoicemailMessage.objects.create(text="From all of us.")
        VoicemailMessage.objects.create(user=sales, text="From Ana.")
        assert desk_talk.message_for(talking, sales) == "From Ana."
        assert desk_talk.message_for(talking, manager) == "From all of us."

    def test_it_is_left_from_hold_as_well(self, network: Sandbox, talking: Call, sales: User) -> None:
        VoicemailMessage.objects.create(text="Please ring back.")
        desk_talk.hold(talking, by=sales, now=timezone.now())
        done(talking)
        desk_talk.leave_message(talking, by=sales, now=timezone.now())
        eventually(lambda: legs(network)[STAFF]["status"] == "completed")
        call = once(talking, lambda call: call.status == CallStatus.ENDED)
        assert legs(network)[LEAD]["heard"][-1] == "Please ring back."
        # What Twilio took for a person was a mailbox to whoever listened.
        assert (call.outcome, call.answered_by) == (Outcome.VOICEMAIL, "machine")

    def test_a_manager_writes_them_and_a_seller_does_not(
        self, sales: User, manager: User, sign_in: Callable[[User], Client]
    ) -> None:
        assert sign_in(sales).get("/admin/calls/voicemailmessage/").status_code == 403
        client = sign_in(manager)
        client.post("/admin/calls/voicemailmessage/add/", {"user": "", "text": "For everybody."})
        again = client.post("/admin/calls/voicemailmessage/add/", {"user": "", "text": "Another."})
        assert "There is one for everybody already." in again.text
        assert VoicemailMessage.objects.get().text == "For everybody."


class TestWhenItCannotBeDone:
    def test_a_call_that_is_over_says_so(
        self, network: Sandbox, talking: Call, sales: User, sign_in: Callable[[User], Client]
    ) -> None:
        network.control("twilio/hang-up", number=LEAD)
        once(talking, lambda call: call.status == CallStatus.ENDED)
        client = sign_in(sales)
        for what in ("hold", "off-hold", "keys", "join"):
            assert "The call is over." in press(client, talking, what, keys="1")
        assert "While you talk" not in client.get(f"/admin/calls/call/{talking.pk}/change/").text
        assert not DeskAction.objects.exists()

    def test_whoever_may_not_call_or_does_not_see_the_call_can_do_nothing(
        self, network: Sandbox, talking: Call, sales: User, sign_in: Callable[[User], Client]
    ) -> None:
        looker = User.objects.create_user("looker", is_staff=True)
        client = sign_in(looker)
        for what in ("hold", "off-hold", "keys", "transfer", "join", "message"):
            assert client.post(f"/admin/calls/call/{talking.pk}/desk/{what}/").status_code == 403
        other = User.objects.create_user("other", is_staff=True)
        other.groups.add(*sales.groups.all())
        assert sign_in(other).post(f"/admin/calls/call/{talking.pk}/desk/hold/").status_code == 404
        assert sign_in(sales).post(f"/admin/calls/call/{talking.pk}/desk/dance/").status_code == 404
        assert not DeskAction.objects.exists()

    def test_what_they_are_to_hear_before_they_are_recorded_is_not_cut_short(
        self, network: Sandbox, talking: Call, sales: User, settings: LazySettings
    ) -> None:
        settings.RECORDING_NOTICE = "This call is recorded."
        assert talking.answered_at is not None
        with pytest.raises(desk_talk.NotPossible, match="just hearing"):
            desk_talk.hold(talking, by=sales, now=talking.answered_at + timedelta(seconds=1))

    def test_meanwhile_the_page_says_so_and_offers_nothing_of_it(
        self,
        network: Sandbox,
        talking: Call,
        sales: User,
        sign_in: Callable[[User], Client],
        settings: LazySettings,
    ) -> None:
        client, page = sign_in(sales), f"/admin/calls/call/{talking.pk}/change/"
        assert "/desk/hold/" in client.get(page).text
        settings.RECORDING_NOTICE = "This is a notice of many words. " * 100
        told = client.get(page).text
        assert "They are hearing that the call is recorded." in told
        assert "/desk/hold/" not in told
        assert "/desk/transfer/" not in told

    def test_an_ai_agents_call_cannot_be_held(self, network: Sandbox, sales: User) -> None:
        call = factories.make_call(CallStatus.IN_PROGRESS)
        with pytest.raises(desk_talk.NotPossible, match="AI agent"):
            desk_talk.hold(call, by=sales, now=timezone.now())

    def test_two_who_press_at_once_do_one_thing(self, network: Sandbox, talking: Call, sales: User) -> None:
        told: list[str] = []

        def hold() -> None:
            try:
                desk_talk.hold(talking, by=sales, now=timezone.now())
                told.append("done")
            except desk_talk.NotPossible as reason:
                told.append(str(reason))

        threads = [threading.Thread(target=hold) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(told), told.count("done")) == (2, 1)
        assert DeskAction.objects.count() == 1


def test_what_was_recorded_in_parts_is_heard_in_parts(
    network: Sandbox, sales: User, settings: LazySettings, sign_in: Callable[[User], Client]
) -> None:
    settings.RECORDING_NOTICE = "Recorded."
    call = in_talk(sales)
    assert call.answered_at is not None
    eventually(lambda: legs(network)[LEAD]["was_bridged"])
    later = call.answered_at + timedelta(seconds=5)
    desk_talk.hold(call, by=sales, now=later)
    done(call)
    desk_talk.off_hold(call, by=sales, now=later)
    together(network, call, LEAD, STAFF)
    network.control("twilio/hang-up", number=LEAD)
    once(call, lambda call: call.status == CallStatus.ENDED)
    eventually(lambda: legs(network)[STAFF]["status"] == "completed")
    Call.objects.filter(pk=call.pk).update(next_look_at=timezone.now())
    assert reconcile.look_for_analysis(get_provider("twilio"), now=timezone.now())
    call = once(call, lambda call: call.final)
    assert len(call.further_recordings) == 1
    assert call.recording_url not in call.further_recordings
    assert "Recording, part 2" in sign_in(sales).get(f"/admin/calls/call/{call.pk}/change/").text
    for part in (1, 2):
        sound = recordings.open_recording(call, part=part)
        assert len(b"".join(sound.chunks)) > 10_000
    with pytest.raises(recordings.RecordingGone):
        recordings.open_recording(call, part=3)


def test_a_telephone_of_ours_left_alone_in_the_conference_is_hung_up(
    network: Sandbox, talking: Call, sales: User
) -> None:
    desk_talk.press(talking, "1", by=sales, now=timezone.now())
    together(network, talking, LEAD, STAFF)
    Call.objects.filter(pk=talking.pk).update(
        status=CallStatus.ENDED, outcome=Outcome.CONNECTED, ended_at=timezone.now()
    )
    twilio = get_provider("twilio")
    assert not desk_talk.free_ours(twilio, now=timezone.now())
    assert desk_talk.free_ours(twilio, now=timezone.now() + timedelta(seconds=30))
    eventually(lambda: legs(network)[STAFF]["status"] == "completed")
    assert not desk_talk.free_ours(twilio, now=timezone.now() + timedelta(seconds=30))
