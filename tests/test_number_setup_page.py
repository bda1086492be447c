"""*Add a number* in the admin: six cards, each step a button, what went wrong beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from number_setup_world import FALLBACK, FORMER, SECOND, World
from twilio_wire import OURS

from agents.models import NumberSetup, StepState
from agents.sandbox.server import Sandbox
from calls.dialer import ramp
from calls.models import Call, CallStatus, NumberRamp, RampPlan
from tests import factories

pytestmark = pytest.mark.django_db
BEGIN = "/admin/agents/phonenumber/set-up/"
LIST = "/admin/agents/phonenumber/"


@pytest.fixture
def world(start_sandbox: Callable[..., Sandbox], manager: User) -> Iterator[World]:
    world = World(start_sandbox(speed=100.0, seed=7), manager)
    yield world
    world.close()


@pytest.fixture
def desk(world: World, sign_in: Callable[[User], Client], manager: User) -> Client:
    return sign_in(manager)


def page_of(setup: NumberSetup) -> str:
    return f"{BEGIN}{setup.pk}/"


def press(client: Client, setup: NumberSetup, do: str, **fields: Any) -> str:
    """The page as it is after the press."""
    return client.post(page_of(setup), {"do": do, **fields}, follow=True).text


def states(setup: NumberSetup) -> dict[str, str]:
    return dict(setup.steps.values_list("step", "state"))


def test_from_the_list_to_a_number_at_retell_and_back_again(world: World, desk: Client) -> None:
    assert BEGIN in desk.get(LIST).text
    page = desk.get(BEGIN).text
    assert page.count('class="desk-card number-step') == 6
    assert OURS not in page
    looked = desk.post(BEGIN, {"do": "look"}).text
    assert "+1 212-555-0180" in looked
    assert "demo.twilio.com" in looked
    chosen = desk.post(BEGIN, {"do": "choose", "number_sid": world.number().sid, "label": "Reception"})
    setup = NumberSetup.objects.get()
    assert chosen["Location"] == page_of(setup)
    assert (setup.label, setup.began_by) == ("Reception", world.person)
    for step in ("trunk", "sign_in", "attach"):
        press(desk, setup, step)
        assert states(setup)[step] == StepState.DONE
    whom = world.whom()
    page = press(
        desk,
        setup,
        "import",
        inbound_agent=whom["inbound_agent"].pk,
        outbound_agent=whom["outbound_agent"].pk,
        fallback_number="(415) 555-0123",
    )
    setup.refresh_from_db()
    assert setup.fallback_number == FALLBACK
    assert f"Whoever rang it reached {FORMER}." in page
    assert "5 of 6 steps done." in page
    assert "Not yet" in desk.get(LIST).text
    assert "Its steps…" in desk.get(f"{LIST}{world.row(setup).pk}/change/").text
    assert world.passwords(setup)[0] not in page
    assert NumberRamp.objects.get(number=world.row(setup)).plan == RampPlan.USUAL
    gone = desk.post(page_of(setup), {"do": "take_all_back"}, follow=True)
    assert "is as it was before" in gone.text
    assert world.number().voice_url == FORMER
    assert not NumberSetup.objects.exists()
    logged = list(LogEntry.objects.values_list("change_message", flat=True))
    assert any("Retell gets the number" in message for message in logged)
    assert any("takes back everything" in message for message in logged)


def test_a_plan_that_somebody_chose_for_it_since_stays(world: World, desk: Client) -> None:
    setup = world.until("import")
    ramp.set_plan(world.row(setup), RampPlan.OWN, own_steps=[ramp.Step(3, 9)], now=timezone.now())
    whom = {name: getattr(value, "pk", value) for name, value in world.whom().items()}
    assert "Retell gets the number: done." in press(desk, setup, "import", **whom)
    assert NumberRamp.objects.get(number=world.row(setup)).plan == RampPlan.OWN


def test_steps_are_taken_back_one_by_one_from_the_last(world: World, desk: Client) -> None:
    setup = world.until("attach")
    assert "taken back." in press(desk, setup, "take_back")
    assert states(setup)["attach"] == StepState.OPEN
    assert world.number().voice_url == FORMER
    press(desk, setup, "take_back")
    press(desk, setup, "take_back")
    assert "is as it was before" in press(desk, setup, "take_back")
    assert not NumberSetup.objects.exists()


def test_what_went_wrong_stands_beside_its_step(world: World, desk: Client) -> None:
    setup = world.begin()
    page = press(desk, setup, "trunk", trunk="brightside.pstn.twilio.com")
    assert "+44 20 7946 0990" in page
    assert states(setup)["trunk"] == StepState.FAILED
    assert "come first" in press(desk, setup, "attach")
    assert "A trunk: done." in press(desk, setup, "trunk")


def test_a_form_that_is_not_right_comes_back_with_what_was_typed(world: World, desk: Client) -> None:
    setup = world.until("attach")
    whom = world.whom()
    fields = {"inbound_agent": whom["inbound_agent"].pk, "outbound_agent": whom["outbound_agent"].pk}
    page = press(desk, setup, "import", **fields, fallback_number="I have none")
    assert "I have none" in page
    assert "is not a phone number" in page
    assert "cannot fall back to itself" in press(desk, setup, "import", **fields, fallback_number=OURS)
    factories.make_number(number="+14155550144", fallback_number="+14155550145")
    page = press(desk, setup, "import", **fields, fallback_number="+14155550144")
    assert "falls back to another" in page
    assert states(setup)["import"] == StepState.OPEN


def test_the_proof_is_asked_for_and_looked_for_on_the_page(world: World, desk: Client) -> None:
    setup = world.until("import")
    assert "is not a phone number" in press(desk, setup, "ring", number="none")
    assert "Your telephone will ring" in press(desk, setup, "ring", number="+14155550101")
    call = Call.objects.get()
    assert (call.our_number, call.test, call.status) == (OURS, True, CallStatus.QUEUED)
    assert "1 call of this number waits or is on" in press(desk, setup, "take_all_back")
    assert "both have to be seen" in press(desk, setup, "proof")
    world.proved(setup)
    page = desk.get(page_of(setup)).text
    assert "Complete since" in page
    assert "Being set up:" not in desk.get(LIST).text


def test_only_an_administrator_offers_it_without_proof_with_a_reason_that_is_logged(
    world: World, desk: Client, sign_in: Callable[[User], Client], administrator: User
) -> None:
    setup = world.until("import")
    assert "Call from it all the same" not in desk.get(page_of(setup)).text
    assert desk.post(page_of(setup), {"do": "offer", "reason": "now"}).status_code == 403
    client = sign_in(administrator)
    assert "This field is required" in press(client, setup, "offer", reason="")
    page = press(client, setup, "offer", reason="The desk <b>moves</b>.")
    assert "The desk &lt;b&gt;moves&lt;/b&gt;." in page
    assert world.row(setup).is_usable
    assert LogEntry.objects.filter(
        user=administrator, change_message__contains="all the same: The desk"
    ).exists()
    press(client, setup, "offer_no_more")
    assert world.row(setup).held_back


def test_while_people_ring_back_only_an_administrator_takes_it_back_with_a_reason(
    world: World, desk: Client, sign_in: Callable[[User], Client], administrator: User
) -> None:
    setup = world.until("import")
    factories.make_call(status=CallStatus.ENDED, our_number=OURS, agent=setup.outbound_agent)
    assert "People ring back" in desk.get(page_of(setup)).text
    for do in ("take_back", "take_all_back"):
        assert "Only an administrator may go on" in press(desk, setup, do, reason="we moved")
    client = sign_in(administrator)
    assert "Only an administrator may go on" in press(client, setup, "take_back")
    assert states(setup)["import"] == StepState.DONE
    assert "is as it was before" in press(client, setup, "take_all_back", reason="we moved")
    assert LogEntry.objects.filter(user=administrator, change_message__contains="(we moved)").exists()


def test_who_may_not_add_numbers_sees_nothing_of_it(
    world: World, sign_in: Callable[[User], Client], sales: User
) -> None:
    setup = world.begin()
    client = sign_in(sales)
    assert BEGIN not in client.get(LIST).text
    assert client.get(BEGIN).status_code == 403
    assert client.post(BEGIN, {"do": "choose", "number_sid": world.number(SECOND).sid}).status_code == 403
    assert client.get(page_of(setup)).status_code == 403
    for do in ("trunk", "take_all_back", "offer", "ring"):
        assert client.post(page_of(setup), {"do": do}).status_code == 403
    assert states(setup)["trunk"] == StepState.OPEN
    assert NumberSetup.objects.count() == 1


def test_nothing_is_chosen_unless_it_is_there(world: World, desk: Client) -> None:
    assert "Choose a number first." in desk.post(BEGIN, {"do": "choose"}).text
    assert "no such thing" in desk.post(BEGIN, {"do": "choose", "number_sid": "PN" + "0" * 32}).text
    assert not NumberSetup.objects.exists()


def test_somebody_else_at_it_is_said(world: World, desk: Client) -> None:
    setup = world.begin()
    NumberSetup.objects.update(busy_until=timezone.now() + timedelta(minutes=1))
    assert "Somebody is at a step" in press(desk, setup, "trunk")


def test_where_no_number_can_be_set_up_the_page_says_why_and_asks_nobody(
    desk: Client, settings: LazySettings
) -> None:
    settings.TWILIO_ACCOUNT_SID = ""
    page = desk.post(BEGIN, {"do": "look"}).text
    assert "TWILIO_ACCOUNT_SID" in page
    assert "Look at the Twilio account" not in page
