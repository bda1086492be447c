"""A new number is offered once a call out and a call in were seen here; until then it is kept back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone
from number_setup_world import FALLBACK, LONDON, World
from twilio_wire import LEAD, OURS, STAFF
from webhook_receiver import eventually

from agents import number_completion, number_setup
from agents.models import Agent, NumberSetup, PhoneNumber, StepState
from agents.number_setup import NotInTurn
from agents.providers.registry import get_provider
from agents.sandbox.server import Sandbox
from calls import dialer, number_proof
from calls.dialer.loop import run_once
from calls.lifecycle.apply import apply_due
from calls.models import Call, CallStatus, Direction, Outcome
from tests import factories

OUR_DOOR = "https://desk.example.com/webhook/retell/inbound"
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("around_the_clock")]


@pytest.fixture
def world(
    live_server: Any, start_sandbox: Callable[..., Sandbox], settings: LazySettings, manager: User
) -> Iterator[World]:
    settings.CALLS_PER_SECOND = 50.0
    world = World(start_sandbox(speed=200.0, seed=7), manager)
    yield world
    world.close()


def once(call: Call, true: Callable[[Call], object]) -> Call:
    def look() -> Call | None:
        while apply_due(now=timezone.now()):
            pass
        call.refresh_from_db()
        return call if true(call) else None

    found: Call = eventually(look)
    return found


def call_out(world: World, setup: NumberSetup) -> Call:
    call = number_proof.ring(setup, STAFF, by=world.person, now=timezone.now())
    run_once(get_provider())
    return once(call, lambda call: call.status == CallStatus.ENDED)


def call_in(world: World) -> Call:
    rung = world.sandbox.control("twilio/inbound", from_number=LEAD, to_number=OURS)
    assert rung["problem"] == ""
    call = eventually(lambda: Call.objects.filter(direction=Direction.INBOUND).first())
    return once(call, lambda call: call.status == CallStatus.ENDED)


def look(world: World, setup: NumberSetup) -> tuple[str, str]:
    row = number_proof.look(setup, by=world.person, now=timezone.now())
    setup.refresh_from_db()
    return row.state, row.problem


def test_a_call_out_and_a_call_in_that_made_rows_complete_it(world: World) -> None:
    setup = world.until("import")
    assert setup.outbound_agent is not None
    assert look(world, setup)[0] == StepState.OPEN
    assert OURS not in PhoneNumber.objects.usable().values_list("number", flat=True)
    out = call_out(world, setup)
    assert (out.our_number, out.outcome, out.test) == (OURS, Outcome.CONNECTED, True)
    state, problem = look(world, setup)
    assert (state, "both have to be seen" in problem, setup.completed_at) == (StepState.OPEN, True, None)
    assert call_in(world).answered_at is not None
    assert look(world, setup) == (StepState.DONE, "")
    assert setup.completed_at is not None
    row = world.row(setup)
    assert (row.held_back, row.is_usable) == (False, True)
    assert Agent.objects.get(pk=setup.outbound_agent_id).default_caller_id == row


def test_a_wrong_password_shows_in_the_call_and_a_new_one_mends_it(world: World) -> None:
    setup = world.until("import")
    world.trunks.change_password(setup.list_sid, setup.credential_sid, "Somebody-Changed-1")
    failed = call_out(world, setup)
    assert (failed.outcome, failed.fault, failed.answered_at) == (Outcome.FAILED, "number", None)
    assert look(world, setup)[0] == StepState.OPEN
    dialer.resume(by=world.person, reason="mended", now=timezone.now(), target=dialer.Target(number=OURS))
    assert world.run(setup, "sign_in") == (StepState.DONE, "")
    assert call_out(world, setup).outcome == Outcome.CONNECTED


def test_until_it_is_complete_only_a_test_calls_from_it(world: World, settings: LazySettings) -> None:
    setup = world.until("import")
    agent = setup.outbound_agent
    assert agent is not None
    Agent.objects.filter(pk=agent.pk).update(default_caller_id=world.row(setup))
    agent.refresh_from_db()
    with pytest.raises(dialer.NoCallerId, match="not offered as caller ID"):
        dialer.caller_id_for(agent, OURS)
    with pytest.raises(dialer.NoCallerId):
        dialer.caller_id_for(agent)
    settings.TWILIO_FROM_NUMBER = OURS
    with pytest.raises(dialer.NoCallerId):
        dialer.caller_id_for(agent)
    assert dialer.caller_id_for(agent, OURS, test=True) == OURS
    world.proved(setup)
    agent.refresh_from_db()
    assert dialer.caller_id_for(agent) == OURS


def test_what_works_no_longer_is_kept_back_again_and_offered_when_it_is_mended(world: World) -> None:
    setup = world.until("import")
    world.proved(setup)
    world.sync()
    assert world.row(setup).is_usable
    world.sandbox.account.change_number(OURS, {"inbound_agents": None})
    world.sync()
    setup.refresh_from_db()
    assert (world.row(setup).held_back, setup.completed_at) == (True, None)
    assert number_setup.missing(setup, world.row(setup)) == ["inbound_agent"]
    assert world.run(setup, "import") == (StepState.DONE, "")
    assert world.row(setup).is_usable


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"inbound_webhook_url": "https://elsewhere.example.com/hook"}, "inbound_webhook"),
        ({"fallback_number": None}, "fallback_number"),
    ],
)
def test_our_own_address_and_a_number_to_fall_back_to_belong_to_it(
    world: World, changes: dict[str, Any], missing: str
) -> None:
    setup = world.until("import")
    world.proved(setup)
    world.sandbox.account.change_number(OURS, changes)
    world.sync()
    assert world.row(setup).held_back
    assert number_setup.missing(setup, world.row(setup)) == [missing]


def test_a_step_that_fails_when_it_is_repeated_keeps_it_back(world: World) -> None:
    setup = world.until("import")
    world.proved(setup)
    world.sandbox.control("faults", answer_401={"next": 1})
    assert world.run(setup, "sign_in")[0] == StepState.FAILED
    assert world.row(setup).held_back
    assert world.run(setup, "sign_in") == (StepState.DONE, "")
    assert world.row(setup).is_usable


def test_a_reason_offers_it_all_the_same_and_can_be_withdrawn(world: World, administrator: User) -> None:
    setup = world.until("import")
    row = world.row(setup)
    number_completion.offer(row, reason="The desk is being painted.", by=administrator, now=timezone.now())
    assert world.row(setup).is_usable
    assert (setup.completed_at, world.row(setup).offered_by) == (None, administrator)
    world.sync()
    assert world.row(setup).is_usable
    number_completion.offer(row, reason=" ", by=administrator, now=timezone.now())
    assert world.row(setup).held_back


@pytest.mark.parametrize(
    ("agents", "asked", "usable"),
    [
        (None, None, False),
        (None, OUR_DOOR, False),
        (None, "https://elsewhere.example.com/hook", True),
        ([{"agent_id": "agent_sandbox_lena", "weight": 1}], None, True),
    ],
    ids=["nobody", "we-are-asked-and-have-nobody", "somebody-else-is-asked", "an-agent-of-ours"],
)
def test_a_number_that_was_never_set_up_here_is_kept_back_where_nobody_would_answer_it(
    world: World, settings: LazySettings, agents: object, asked: str | None, usable: bool
) -> None:
    settings.PUBLIC_BASE_URL = OUR_DOOR.removesuffix("/webhook/retell/inbound")
    world.sandbox.account.change_number(LONDON, {"inbound_agents": agents, "inbound_webhook_url": asked})
    world.sync()
    row = PhoneNumber.objects.get(number=LONDON)
    assert (row.inbound_agent is not None, row.is_usable) == (agents is not None, usable)


def test_it_is_offered_by_itself_once_somebody_answers_it(world: World) -> None:
    agent = factories.make_agent()
    world.sandbox.account.change_number(LONDON, {"inbound_agents": None, "inbound_webhook_url": None})
    world.sync()
    row = PhoneNumber.objects.get(number=LONDON)
    Agent.objects.filter(pk=agent.pk).update(default_caller_id=row)
    agent.refresh_from_db()
    with pytest.raises(dialer.NoCallerId, match="whoever rings it back might reach nobody"):
        dialer.caller_id_for(agent)
    someone = [{"agent_id": "agent_sandbox_lena", "weight": 1}]
    world.sandbox.account.change_number(LONDON, {"inbound_agents": someone})
    world.sync()
    agent.refresh_from_db()
    assert dialer.caller_id_for(agent) == LONDON


def test_a_number_that_was_added_by_hand_is_not_judged(world: World) -> None:
    row = factories.make_number(number="+14155550142", inbound_agent=None)
    number_completion.judge(row, now=timezone.now())
    assert row.is_usable


def test_a_sync_between_import_and_proof_does_not_offer_it(world: World) -> None:
    setup = world.until("import")
    PhoneNumber.objects.filter(number=OURS).delete()
    world.sync()
    assert world.row(setup).held_back
    assert world.row(setup).fallback_number == FALLBACK


def test_it_is_not_taken_back_while_a_call_of_it_is_on(world: World) -> None:
    setup = world.until("import")
    assert number_proof.why_not_take_back(setup) == ""
    call = factories.make_call(status=CallStatus.IN_PROGRESS, our_number=OURS, agent=setup.outbound_agent)
    assert "1 call of this number" in number_proof.why_not_take_back(setup)
    Call.objects.filter(pk=call.pk).delete()
    assert number_proof.why_not_take_back(setup) == ""


def test_what_people_and_menus_do_over_twilio_alone_proves_nothing(world: World) -> None:
    setup = world.until("import")
    for more in (
        {"desk_number": STAFF, "lead": None},
        {"direction": Direction.INBOUND, "lead": None, "counterpart": LEAD},
    ):
        factories.make_call(status=CallStatus.ENDED, our_number=OURS, agent=None, provider="twilio", **more)
    seen = number_proof.seen(setup)
    assert (seen.out, seen.inbound) == (None, None)


def test_nothing_is_proved_before_retell_has_it(world: World) -> None:
    setup = world.until("attach")
    factories.make_call(status=CallStatus.ENDED, our_number=OURS, agent=None, desk_number=STAFF)
    assert number_proof.seen(setup).out is None
    with pytest.raises(NotInTurn):
        number_proof.look(setup, by=world.person, now=timezone.now())
