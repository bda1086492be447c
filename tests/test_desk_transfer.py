"""A colleague takes over a call without AI, or does not, against the sandbox over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from desk_wire import in_talk, legs, once, press, story, telephones, together
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from twilio_wire import LEAD, MAILBOX, OURS, STAFF
from webhook_receiver import eventually

from agents.providers.registry import get_provider
from agents.sandbox.server import Sandbox
from calls import desk_talk
from calls.dialer.loop import Dialer
from calls.lifecycle import reconcile
from calls.models import Call, CallStatus, DeskAction, DeskState, Outcome, StaffPhone
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("around_the_clock")]

COLLEAGUE = "+14155550124"


@pytest.fixture
def network(live_server: Any, settings: LazySettings) -> Iterator[Sandbox]:
    with telephones(settings, live_server.url) as sandbox:
        yield sandbox


@pytest.fixture
def talking(network: Sandbox, sales: User) -> Call:
    return in_talk(sales)


@pytest.fixture
def ben(manager: User) -> User:
    manager.first_name, manager.last_name = "Ben", "Okoro"
    manager.save(update_fields=["first_name", "last_name"])
    StaffPhone.objects.create(user=manager, number=COLLEAGUE)
    return manager


def test_who_presses_1_has_the_call_and_whoever_called_may_leave(
    network: Sandbox, talking: Call, sales: User, ben: User, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(sales)
    press(client, talking, "transfer", colleague=ben.pk)
    eventually(lambda: desk_talk.state_of(talking) == DeskState.HANDED_OVER)
    assert "Ana has Zoë Müller on the line. Press 1" in legs(network)[COLLEAGUE]["heard"][0]
    assert legs(network)[COLLEAGUE]["from"] == OURS
    eventually(lambda: any("Ben Okoro has taken the call" in said for said in legs(network)[STAFF]["heard"]))
    network.control("twilio/hang-up", number=STAFF)
    talking = once(talking, lambda call: call.desk_ended_at)
    Dialer(get_provider()).step_hang_up()
    assert talking.status == CallStatus.IN_PROGRESS
    assert {legs(network)[one]["status"] for one in (LEAD, COLLEAGUE)} == {"in-progress"}
    told = story(client, talking)
    assert "Ana let Ben Okoro be rung for them" in told
    assert "Ben Okoro took the call" in told
    network.control("twilio/hang-up", number=COLLEAGUE)
    call = once(talking, lambda call: call.status == CallStatus.ENDED)
    assert (call.outcome, call.answered_by) == (Outcome.CONNECTED, "person")


def test_whoever_stays_can_join_and_leave_again(
    network: Sandbox, talking: Call, sales: User, ben: User, sign_in: Callable[[User], Client]
) -> None:
    client = sign_in(sales)
    press(client, talking, "transfer", colleague=ben.pk)
    eventually(lambda: desk_talk.state_of(talking) == DeskState.HANDED_OVER)
    assert "You are being connected with both." in press(client, talking, "join")
    together(network, talking, LEAD, STAFF, COLLEAGUE)
    assert "A colleague has the call with you." in press(client, talking, "hold")
    network.control("twilio/hang-up", number=STAFF)
    together(network, talking, LEAD, COLLEAGUE)
    network.control("twilio/hang-up", number=COLLEAGUE)
    once(talking, lambda call: call.status == CallStatus.ENDED)


def test_where_nobody_takes_it_they_come_back(
    network: Sandbox, talking: Call, sales: User, ben: User, sign_in: Callable[[User], Client]
) -> None:
    StaffPhone.objects.filter(user=ben).update(number=MAILBOX)
    client = sign_in(sales)
    press(client, talking, "transfer", colleague=ben.pk)
    together(network, talking, LEAD, STAFF)
    assert "Nobody took it." in story(client, talking)
    assert desk_talk.state_of(talking) == DeskState.ROOM


def test_they_can_be_taken_back_while_the_colleague_is_rung(
    network: Sandbox, talking: Call, sales: User, ben: User
) -> None:
    network.control("twilio/keys", number=COLLEAGUE, digits=["", "", "", "", ""])
    desk_talk.transfer(talking, ben, by=sales, now=timezone.now())
    eventually(lambda: legs(network).get(COLLEAGUE, {}).get("status") == "in-progress")
    desk_talk.off_hold(talking, by=sales, now=timezone.now())
    together(network, talking, LEAD, STAFF)
    eventually(lambda: legs(network)[COLLEAGUE]["status"] in {"completed", "canceled"})


def test_where_nobody_is_left_they_are_told_so(
    network: Sandbox, talking: Call, sales: User, ben: User
) -> None:
    network.control("twilio/keys", number=COLLEAGUE, digits=[""] * 9)
    desk_talk.transfer(talking, ben, by=sales, now=timezone.now())
    eventually(lambda: desk_talk.state_of(talking) == DeskState.COLLEAGUE)
    network.control("twilio/hang-up", number=STAFF)
    once(talking, lambda call: call.desk_ended_at)
    eventually(lambda: legs(network)[LEAD]["status"] == "completed")
    assert "nobody can talk to you" in legs(network)[LEAD]["heard"][-1]


def test_only_a_colleague_with_a_free_telephone_of_their_own_is_rung(
    network: Sandbox, talking: Call, sales: User, manager: User
) -> None:
    def ring(whom: User) -> None:
        desk_talk.transfer(talking, whom, by=sales, now=timezone.now())

    with pytest.raises(desk_talk.NotPossible, match="at which telephone"):
        ring(manager)
    phone = StaffPhone.objects.create(user=manager, number=COLLEAGUE)
    with pytest.raises(desk_talk.NotPossible, match="Choose a colleague"):
        ring(sales)
    busy = factories.make_call(
        CallStatus.PLACED,
        agent=None,
        provider="twilio",
        desk_number=COLLEAGUE,
        our_number=OURS,
        counterpart="+13035550143",
    )
    with pytest.raises(desk_talk.NotPossible, match="is on the telephone"):
        ring(manager)
    busy.delete()
    phone.number = LEAD
    phone.save()
    with pytest.raises(desk_talk.NotPossible, match="number of a lead"):
        ring(manager)
    assert not DeskAction.objects.exists()


def test_the_price_of_the_colleagues_telephone_is_looked_up_with_the_others(
    network: Sandbox, talking: Call, sales: User, ben: User
) -> None:
    network.control("faults", webhook_drop={"next": 1000})
    desk_talk.transfer(talking, ben, by=sales, now=timezone.now())
    eventually(lambda: desk_talk.state_of(talking) == DeskState.HANDED_OVER)
    for one in (STAFF, COLLEAGUE):
        network.control("twilio/hang-up", number=one)
    eventually(lambda: {leg["status"] for leg in legs(network).values()} == {"completed"})
    Call.objects.filter(pk=talking.pk).update(next_look_at=timezone.now())
    assert reconcile.look_at_quiet(get_provider("twilio"), now=timezone.now())
    call = once(talking, lambda call: call.final)
    assert call.cost_micros == sum(round(abs(float(leg["price"])) * 1e6) for leg in legs(network).values())
    assert len(legs(network)) == 3
    assert (call.outcome, call.desk_ended_at is not None) == (Outcome.CONNECTED, True)
