"""Somebody rings a number with a menu: what they hear and press, what follows, and the row that tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from twilio_wire import LEAD, MAILBOX, OURS, STAFF
from webhook_receiver import eventually

from agents.providers.registry import get_provider
from agents.providers.twilio.rest import Twilio
from agents.providers.twilio.signature import sign
from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox
from calls import menus, recordings
from calls.lifecycle import reconcile
from calls.lifecycle.apply import apply_due
from calls.lifecycle.rederive import rederive_all
from calls.models import (
    Call,
    CallBack,
    CallStatus,
    DoNotCall,
    Lead,
    Menu,
    MenuKey,
    MenuPress,
    Outcome,
    StaffPhone,
    VoicePlace,
    WebhookEvent,
)
from tests import factories
from tests.conftest import API_KEY, TWILIO_SID, TWILIO_TOKEN

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("around_the_clock")]
ANONYMOUS = "+266696687"
DEMO = "https://demo.twilio.com/welcome/voice/"


@pytest.fixture
def network(live_server: Any, settings: LazySettings) -> Iterator[Sandbox]:
    with Sandbox(
        speed=400,
        seed=7,
        api_key=API_KEY,
        twilio_sid=TWILIO_SID,
        twilio_token=TWILIO_TOKEN,
        webhook_url=f"{live_server.url}/webhook/retell",
    ) as sandbox:
        settings.PUBLIC_BASE_URL = live_server.url
        settings.TWILIO_BASE_URL = settings.RETELL_BASE_URL = sandbox.url
        yield sandbox


def make_menu(**fields: Any) -> Menu:
    given = {"name": "Front door", "greeting": "Welcome to Brightside.", **fields}
    return Menu.objects.create(**given)


def make_desk(number: str = STAFF, login: str = "dana") -> StaffPhone:
    return StaffPhone.objects.create(user=User.objects.create_user(login), number=number)


@pytest.fixture
def menu(db: None) -> Menu:
    """1 an AI agent, 2 a telephone of ours, 3 a message, 9 never again."""
    made = make_menu()
    agent = factories.make_agent(name="Lena", provider_agent_id="agent_sandbox_lena", default_caller_id=None)
    factories.make_number(number=NUMBERS[0], inbound_agent=agent)
    MenuKey.objects.create(menu=made, key=1, what="agent", agent=agent)
    MenuKey.objects.create(menu=made, key=2, what="desk", desk=make_desk(), offered_as="to ask about a bill")
    MenuKey.objects.create(menu=made, key=3, what="message")
    MenuKey.objects.create(menu=made, key=9, what="never")
    return made


@pytest.fixture
def lead(db: None) -> Lead:
    return factories.make_lead(LEAD, time_zone="America/New_York", name="Zoë Müller")


def point(menu: Menu, number: str = OURS) -> VoicePlace:
    menus.look(now=timezone.now())
    place = VoicePlace.objects.get(name=number)
    menus.point(place, menu, by=None, now=timezone.now())
    place.refresh_from_db()
    return place


def legs(network: Sandbox) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = network._http.get("/control/ledger/twilio").json()["legs"]
    return found


def ring(network: Sandbox, *keys: str, caller: str = LEAD, number: str = OURS) -> dict[str, Any]:
    """Until they have hung up: their leg, with what it heard."""
    network.control("twilio/keys", number=caller, digits=list(keys))
    sid = network.control("twilio/inbound", from_number=caller, to_number=number)["sid"]

    def over() -> dict[str, Any] | None:
        found = legs(network)
        done = all(leg["status"] not in {"queued", "ringing", "in-progress"} for leg in found)
        return next((leg for leg in found if leg["sid"] == sid), None) if done else None

    leg: dict[str, Any] = eventually(over)
    return leg


def told(leg: dict[str, Any], true: Callable[[Call], object] = lambda call: True) -> Call:
    """Its row, once all that was told is applied and that is so."""

    def look() -> Call | None:
        while apply_due(now=timezone.now()):
            pass
        call = Call.objects.filter(provider_call_id=leg["sid"]).first()
        return call if call is not None and call.status == CallStatus.ENDED and true(call) else None

    found: Call = eventually(look)
    return found


class TestAKey:
    def test_a_telephone_of_ours_is_rung_and_connected_and_all_of_it_is_on_one_page(
        self, network: Sandbox, menu: Menu, lead: Lead, manager: User, sign_in: Callable[[User], Client]
    ) -> None:
        point(menu)
        leg = ring(network, "2")
        offered = (
            "Welcome to Brightside. Press 1 to speak with our AI assistant. Press 2 to ask about a bill. "
            "Press 3 to leave a message. Press 9 never to be called again."
        )
        assert leg["heard"] == [offered]
        desk = next(leg for leg in legs(network) if leg["to"] == STAFF)
        assert desk["heard"] == ["A call from Zoë Müller. Press 1 to take it."]
        assert desk["was_bridged"]
        call = told(leg)
        assert (call.direction, call.lead, call.counterpart, call.our_number) == ("inbound", lead, LEAD, OURS)
        assert (call.outcome, call.answered_by, call.agent) == (Outcome.CONNECTED, "person", None)
        assert (call.duration_ms or 0) > 1000
        page = sign_in(manager).get(f"/admin/calls/call/{call.pk}/change/").text
        story = page[page.index("What happened") :]
        steps = ("They rang", "The menu “Front door” answered", "They pressed 2", "Our telephone is rung")
        assert sorted(steps, key=story.index) == list(steps)

    def test_an_ai_agent_is_rung_at_a_number_it_answers(
        self, network: Sandbox, menu: Menu, lead: Lead
    ) -> None:
        point(menu)
        leg = ring(network, "1")
        rung = next(leg for leg in legs(network) if leg["to"] == NUMBERS[0])
        assert (rung["from"], rung["was_bridged"]) == (LEAD, True)
        call = told(leg)
        assert call.outcome == Outcome.CONNECTED
        assert MenuPress.objects.get().told == "Lena is rung at +1 212-555-0190"
        theirs = eventually(lambda: Call.objects.filter(provider="retell").first())
        assert (theirs.direction, theirs.lead, theirs.our_number) == ("inbound", lead, NUMBERS[0])

    def test_a_mailbox_of_ours_is_not_connected_and_a_message_can_be_left(
        self, network: Sandbox, menu: Menu, lead: Lead, manager: User, sign_in: Callable[[User], Client]
    ) -> None:
        menu.keys.filter(key=2).update(desk=make_desk(MAILBOX, "mo"))
        point(menu)
        leg = ring(network, "2")
        assert not leg["was_bridged"]
        assert leg["heard"][1:3] == ["Nobody can take your call right now.", menu.notice]
        call = told(leg, lambda call: call.recording_url)
        assert (call.outcome, call.answered_by) == (Outcome.VOICEMAIL, "")

    def test_a_message_is_recorded_heard_through_our_door_and_a_task_for_a_person(
        self, network: Sandbox, menu: Menu, lead: Lead, manager: User, sign_in: Callable[[User], Client]
    ) -> None:
        point(menu)
        leg = ring(network, "3")
        assert leg["heard"][1:] == [menu.notice, menu.goodbye]
        call = told(leg, lambda call: call.recording_url)
        assert (call.outcome, (call.duration_ms or 0) > 1000) == (Outcome.VOICEMAIL, True)
        sound = recordings.open_recording(call)
        assert (sound.status, sound.content_type) == (200, "audio/mpeg")
        assert len(b"".join(sound.chunks)) > 10_000
        Call.objects.filter(pk=call.pk).update(next_look_at=timezone.now())
        assert reconcile.look_for_analysis(get_provider("twilio"), now=timezone.now())
        call = told(leg, lambda call: call.final)
        assert (call.outcome, call.currency) == (Outcome.VOICEMAIL, "USD")
        task = CallBack.objects.get()
        assert (task.kind, task.lead, task.promised_in) == ("task", lead, call)
        page = sign_in(manager).get(f"/admin/calls/call/{call.pk}/change/").text
        assert "A person got a task" in page

    def test_never_call_again_is_done_before_it_is_said(
        self, network: Sandbox, menu: Menu, lead: Lead
    ) -> None:
        waiting = factories.make_call(CallStatus.QUEUED, lead=lead, counterpart=LEAD)
        point(menu)
        leg = ring(network, "9")
        assert leg["heard"][1:] == ["Your number will not be called again.", menu.goodbye]
        entry = DoNotCall.objects.get()
        call = told(leg)
        assert (entry.number, entry.call, entry.lead) == (LEAD, call, lead)
        waiting.refresh_from_db()
        assert (waiting.status, waiting.outcome) == (CallStatus.ENDED, Outcome.CANCELED)

    def test_who_withholds_their_number_is_told_that_we_do_not_know_it(
        self, network: Sandbox, menu: Menu
    ) -> None:
        point(menu)
        leg = ring(network, "9", caller=ANONYMOUS)
        assert "Your number is withheld" in leg["heard"][1]
        assert not DoNotCall.objects.exists()
        assert told(leg).counterpart == ""

    def test_a_message_of_somebody_who_withholds_their_number_is_looked_at(
        self, network: Sandbox, menu: Menu
    ) -> None:
        point(menu)
        call = told(ring(network, "3", caller=ANONYMOUS), lambda call: call.recording_url)
        assert call.meaning == "review"
        assert not CallBack.objects.exists()

    def test_a_message_of_somebody_nobody_knows_is_a_task_on_the_front_page(
        self, network: Sandbox, menu: Menu, manager: User, sign_in: Callable[[User], Client]
    ) -> None:
        point(menu)
        told(ring(network, "3"), lambda call: call.recording_url)
        Call.objects.update(next_look_at=timezone.now())
        reconcile.look_for_analysis(get_provider("twilio"), now=timezone.now())
        eventually(lambda: apply_due(now=timezone.now()) or CallBack.objects.exists())
        assert "Tasks about people nobody knows" in sign_in(manager).get("/admin/now/").text


class TestSilenceAndWrongKeys:
    def test_the_keys_are_offered_as_often_as_set_and_then_we_say_goodbye(
        self, network: Sandbox, menu: Menu
    ) -> None:
        Menu.objects.update(at_end="goodbye")
        point(menu)
        leg = ring(network, "", "7", "")
        sentences = [heard.split(" Press")[0] for heard in leg["heard"]]
        assert sentences == [
            "Welcome to Brightside.", menu.silence, menu.wrong_key, menu.silence, menu.goodbye,
        ]  # fmt: skip
        call = told(leg)
        assert (call.outcome, call.answered_by, call.duration_ms) == (Outcome.NO_ANSWER, "", None)
        assert list(MenuPress.objects.values_list("turn", "key", "what")) == [
            (1, "", ""), (2, "7", ""), (3, "", ""),
        ]  # fmt: skip

    def test_by_default_they_can_leave_a_message_at_the_end(self, network: Sandbox, menu: Menu) -> None:
        Menu.objects.update(tries=1)
        point(menu)
        assert ring(network, "")["heard"][1:3] == [menu.silence, menu.notice]

    def test_a_menu_that_was_deleted_says_so_and_the_call_has_its_row(
        self, network: Sandbox, menu: Menu
    ) -> None:
        point(menu)
        menu.delete()
        leg = ring(network)
        assert leg["heard"] == ["Nobody can be reached at this number. Goodbye."]
        assert told(leg).outcome == Outcome.NO_ANSWER


class TestFacts:
    def ask(self, client: Client, script: str, about: Any, **more: str) -> str:
        form = {
            "AccountSid": TWILIO_SID, "CallSid": "CA" + "5" * 32, "From": LEAD, "To": OURS,
            "CallStatus": "in-progress", "Direction": "inbound", **more,
        }  # fmt: skip
        path = f"/webhook/twilio/voice/{script}/{about}"
        answer = client.post(
            path,
            urlencode(form),
            content_type="application/x-www-form-urlencoded",
            headers={"X-Twilio-Signature": sign("http://testserver" + path, form, TWILIO_TOKEN)},
        )
        assert answer.status_code == 200
        return answer.text

    def test_the_same_questions_again_are_one_call_one_press_and_one_opt_out(
        self, client: Client, menu: Menu, lead: Lead
    ) -> None:
        first = [self.ask(client, "menu", menu.pk) for _time in range(2)]
        call = Call.objects.get()
        second = [self.ask(client, "menu-key-1", call.pk, Digits="9") for _time in range(2)]
        assert first[0] == first[1]
        assert second[0] == second[1]
        assert "will not be called again" in second[0]
        counts = [model.objects.count() for model in (Call, MenuPress, DoNotCall)]
        assert counts == [1, 1, 1]
        while apply_due(now=timezone.now()):
            pass
        assert Call.objects.count() == 1
        assert set(WebhookEvent.objects.values_list("state", "call")) == {("applied", call.pk)}

    def test_what_is_told_before_the_row_is_there_makes_the_same_row(
        self, client: Client, menu: Menu
    ) -> None:
        self.ask(client, "menu", menu.pk)
        Call.objects.all().delete()
        WebhookEvent.objects.update(state="pending", call=None)
        while apply_due(now=timezone.now()):
            pass
        call = Call.objects.get()
        assert (call.provider, call.agent, call.status) == ("twilio", None, CallStatus.IN_PROGRESS)
        self.ask(client, "menu", menu.pk)
        assert Call.objects.get() == call

    def test_a_question_nobody_signed_makes_nothing(self, client: Client, menu: Menu) -> None:
        form = urlencode({"AccountSid": TWILIO_SID, "CallSid": "CA1", "From": LEAD, "To": OURS})
        answer = client.post(
            f"/webhook/twilio/voice/menu/{menu.pk}", form, content_type="application/x-www-form-urlencoded"
        )
        assert answer.status_code == 403
        assert not Call.objects.exists()

    def test_a_key_for_a_call_nobody_knows_is_answered(self, client: Client, menu: Menu) -> None:
        assert "not known any more" in self.ask(client, "menu-key-1", uuid4(), Digits="9")
        assert not DoNotCall.objects.exists()

    def test_an_end_that_is_never_told_is_looked_up(self, network: Sandbox, menu: Menu) -> None:
        Menu.objects.update(at_end="goodbye", tries=1)
        point(menu)
        network.control("faults", webhook_drop={"next": 1, "event": "completed"})
        leg = ring(network, "")
        while apply_due(now=timezone.now()):
            pass
        call = Call.objects.get(provider_call_id=leg["sid"])
        assert call.status == CallStatus.IN_PROGRESS
        Call.objects.update(next_look_at=timezone.now())
        assert reconcile.look_at_quiet(get_provider("twilio"), now=timezone.now())
        assert told(leg).outcome == Outcome.NO_ANSWER

    def test_every_row_is_what_its_facts_say(self, network: Sandbox, menu: Menu, lead: Lead) -> None:
        point(menu)
        for keys in (["2"], ["3"], ["", "", ""]):
            told(ring(network, *keys))
        *_all, count = rederive_all(heal=False, now=timezone.now())
        assert (count.looked_at, count.without_facts, count.differing) == (3, 0, 0)


class TestWhoGetsThere:
    def test_a_number_is_pointed_here_from_the_page_and_put_back_as_it_was(
        self, network: Sandbox, menu: Menu, manager: User, sign_in: Callable[[User], Client]
    ) -> None:
        client = sign_in(manager)
        page = f"/admin/calls/menu/{menu.pk}/"
        assert "None: nobody can reach it." in client.get(f"{page}change/").text
        client.post(f"{page}look/")
        place = VoicePlace.objects.get(name=OURS)
        assert place.leads_to == DEMO
        client.post(f"{page}point/", {"sid": place.sid})
        place.refresh_from_db()
        shown = client.get(f"{page}change/").text
        here = shown[shown.index("Which of our numbers lead here") : shown.index("Others")]
        assert "+1 212-555-0180" in here
        assert "Mona" in here
        number = Twilio.from_settings().number(place.sid)
        assert number.voice_url.startswith(menus.address_of(menu).partition("#")[0])
        assert number.fallback_url
        assert number.status_callback
        client.post(f"{page}undo/", {"sid": place.sid})
        number = Twilio.from_settings().number(place.sid)
        assert (number.voice_url, number.fallback_url, number.status_callback) == (DEMO, "", "")
        place.refresh_from_db()
        assert (place.menu, place.former) == (None, None)

    def test_from_one_menu_to_another_it_still_goes_back_to_where_it_first_was(
        self, network: Sandbox, menu: Menu
    ) -> None:
        other = make_menu(name="Back door")
        point(menu)
        place = point(other)
        assert (place.menu, place.former["voice_url"]) == (other, DEMO)
        menus.undo(place, now=timezone.now())
        assert Twilio.from_settings().number(place.sid).voice_url == DEMO

    def test_what_somebody_changed_since_is_left_as_it_is(self, network: Sandbox, menu: Menu) -> None:
        place = point(menu)
        theirs = "https://example.org/theirs"
        Twilio.from_settings().change_number(place.sid, voice_url=theirs)
        with pytest.raises(menus.CannotPoint):
            menus.undo(place, now=timezone.now())
        place.refresh_from_db()
        assert (place.menu, place.leads_to, place.former) == (None, theirs, None)

    def test_a_number_on_a_trunk_is_not_pointed_but_its_trunk_falls_back_here(
        self, network: Sandbox, menu: Menu, manager: User, sign_in: Callable[[User], Client]
    ) -> None:
        menus.look(now=timezone.now())
        on_trunk = VoicePlace.objects.get(name=NUMBERS[2])
        assert on_trunk.trunk
        with pytest.raises(menus.CannotPoint, match="on a trunk"):
            menus.point(on_trunk, menu, by=None, now=timezone.now())
        place = point(menu, on_trunk.trunk)
        assert NUMBERS[2] in place.numbers
        page = sign_in(manager).get(f"/admin/calls/menu/{menu.pk}/change/").text
        assert "When it does not reach the AI agents" in page
        for origins in network.twilio.holdings.origins.values():
            for origin in origins.values():
                origin["enabled"] = False
        leg = ring(network, "9", number=NUMBERS[2])
        assert leg["heard"][1] == "Your number will not be called again."
        menus.undo(place, now=timezone.now())
        place.refresh_from_db()
        assert (place.leads_to, place.menu) == ("", None)

    def test_without_a_twilio_account_nothing_is_offered_and_the_page_says_why(
        self, menu: Menu, manager: User, sign_in: Callable[[User], Client], settings: LazySettings
    ) -> None:
        settings.TWILIO_ACCOUNT_SID = ""
        page = sign_in(manager).get(f"/admin/calls/menu/{menu.pk}/change/").text
        assert "This needs a Twilio account" in page
        assert "Ask Twilio" not in page

    def test_a_menu_somebody_is_led_to_cannot_be_deleted(
        self, network: Sandbox, menu: Menu, manager: User, sign_in: Callable[[User], Client]
    ) -> None:
        place = point(menu)
        client = sign_in(manager)
        assert client.post(f"/admin/calls/menu/{menu.pk}/delete/", {"post": "yes"}).status_code == 403
        menus.undo(place, now=timezone.now())
        assert client.post(f"/admin/calls/menu/{menu.pk}/delete/", {"post": "yes"}).status_code == 302
        assert not Menu.objects.exists()
