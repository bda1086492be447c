"""Whatever door somebody takes: a telephone on the do-not-call list does not ring, and the next one does.

Each door is taken for two people, one of whom asked never to be called. The sandbox's ledger then holds the
other's call alone: so each test would also notice a door that has stopped working.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents.models import Agent
from agents.providers.registry import get_provider
from agents.sandbox.seeds import NUMBERS
from calls import dialer, eligibility
from calls.dialer import gate
from calls.dialer.claim import claim_some
from calls.dialer.loop import run_once, send
from calls.models import Call, CallBack, CallBatch, CallStatus, Lead, Outcome, Via
from calls.models.clock import database_now
from tests import factories
from tests.api_client import CALLS, Api
from tests.test_arrows import DOORS as DOOR_PACKAGES
from tests.test_arrows import TREES, within

if TYPE_CHECKING:
    from agents.sandbox.server import Sandbox

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]
BARRED, FREE = "+14155550101", "+14155550109"
LEADS = "/admin/calls/lead/"
ASKING = {"ask", "call_now", "initiate", "judge", "open_batch", "promise", "start_batch"}
"""The verbs that may end in a call."""


@dataclass(frozen=True)
class World:
    """One desk, one key, one AI agent, and two people to call."""

    desk: Client
    person: User
    api: Api
    agent: Agent
    barred: Lead
    free: Lead

    @property
    def leads(self) -> Sequence[Lead]:
        return (self.barred, self.free)

    def waiting(self, lead: Lead, **fields: Any) -> Call:
        """A call that waits, as an older copy of the rows or a hand in the database may leave one."""
        now = timezone.now()
        known = {"due_at": now + timedelta(hours=1), "not_after": now + timedelta(hours=2), **fields}
        return factories.make_call(
            lead=lead, agent=self.agent, counterpart=number_of(lead), our_number=NUMBERS[0], **known
        )

    def batch(self, leads: Sequence[Lead]) -> CallBatch:
        chosen = {"action": "call_selected", "index": "0", "select_across": "0"}
        self.desk.post(LEADS, {**chosen, "_selected_action": [lead.pk for lead in leads]})
        return CallBatch.objects.get()

    def start(self, batch: CallBatch) -> None:
        self.desk.post(f"/admin/calls/callbatch/{batch.pk}/sheet/", {"agent": self.agent.pk})


def number_of(lead: Lead) -> str:
    return lead.phones.get().number


@pytest.fixture
def world(db: None, client: Client, manager: User, settings: LazySettings) -> World:
    settings.CALLS_PER_SECOND = 1000.0
    client.force_login(manager)
    ours = factories.make_number(number=NUMBERS[0])
    agent = factories.make_agent(provider_agent_id="agent_sandbox_ava", default_caller_id=ours)
    barred, free = factories.make_lead(BARRED, name="Bea"), factories.make_lead(FREE, name="Fred")
    return World(client, manager, Api(), agent, barred, free)


def dial_everything() -> None:
    """Whatever waits for a later moment has come to it; what is filled only now, in a second round."""
    for _round in range(2):
        now = timezone.now()
        CallBatch.objects.update(undo_until=now - timedelta(seconds=1))
        Call.objects.filter(status=CallStatus.QUEUED).update(due_at=now)
        run_once(get_provider())
        if not Call.objects.filter(status=CallStatus.QUEUED).exists():
            return


def nothing_more() -> None:
    """All that is left to do is the dialer's."""


def rang(sandbox: Sandbox) -> list[str]:
    """Every number that the phone company was asked to call."""
    return [call["to_number"] for call in sandbox.ledger()["calls"]]


# Asked for while the number is on the list


def call_sheet(world: World) -> None:
    for lead in world.leads:
        world.desk.post(f"{LEADS}{lead.pk}/call/", {"agent": world.agent.pk, "our_number": ""})


def lead_call_now(world: World) -> None:
    for lead in world.leads:
        waits = world.waiting(lead)
        world.desk.post(f"{LEADS}{lead.pk}/call-now/", {"call": str(waits.pk)})


def call_page_now(world: World) -> None:
    for lead in world.leads:
        world.desk.post(f"/admin/calls/call/{world.waiting(lead).pk}/call-now/")


def call_page_again(world: World) -> None:
    for lead in world.leads:
        over = factories.make_call("ended", lead=lead, agent=world.agent, outcome=Outcome.NO_ANSWER)
        world.desk.post(f"/admin/calls/call/{over.pk}/call-again/")


def needs_a_look_again(world: World) -> None:
    for lead in world.leads:
        unknown = factories.make_call("ended", lead=lead, agent=world.agent, outcome=Outcome.UNKNOWN)
        world.desk.post(f"/admin/needs-a-look/{unknown.pk}/", {"judgement": "again"})


def agent_calls_me(world: World) -> None:
    for lead in world.leads:
        world.desk.post(f"/admin/agents/agent/{world.agent.pk}/call-me/", {"number": number_of(lead)})


def many(world: World) -> None:
    world.start(world.batch(world.leads))


def call_back(world: World) -> None:
    for lead in world.leads:
        later = {"when_0": "2031-03-03", "when_1": "10:00", "when": "2031-03-03T10:00"}
        posted = {"agent": world.agent.pk, "number": number_of(lead), "note": "", **later}
        world.desk.post(f"{LEADS}{lead.pk}/call-back/", posted)
    assert CallBack.objects.filter(number=FREE).exists()
    CallBack.objects.update(due_at=timezone.now())


def rest(world: World) -> None:
    for lead in world.leads:
        world.api.post(CALLS, {"lead": lead.pk, "agent": world.agent.pk})


def initiate(world: World) -> None:
    for lead in world.leads:
        body = {"to_number": number_of(lead), "assistant_id": world.agent.provider_agent_id}
        world.api.post("/initiate-call", body)


def initiate_unknown(world: World) -> None:
    Lead.objects.all().delete()
    for number in (BARRED, FREE):
        world.api.post("/initiate-call", {"to_number": number, "queue": True})


def adoption_by_rest(world: World) -> None:
    for lead in world.leads:
        world.waiting(lead)
        world.api.post(CALLS, {"lead": lead.pk, "agent": world.agent.pk})


def left_in_the_queue(world: World) -> None:
    for lead in world.leads:
        world.waiting(lead)


def restored(world: World) -> None:
    """An older copy of the rows: what waits in it is looked up, then dialled."""
    left_in_the_queue(world)
    gate.beat("gone", "dialer", now=database_now() - timedelta(minutes=11))


DOORS: dict[Callable[[World], None], str] = {
    call_sheet: "calls.admin.call_sheet:CallSheetViews.place",
    lead_call_now: "calls.admin.call_sheet:CallSheetViews.call_now_view",
    call_page_now: "calls.admin.call_page:CallPageViews.call_now",
    call_page_again: "calls.admin.call_page:CallPageViews.call_again",
    needs_a_look_again: "calls.admin.needs_a_look:decide",
    agent_calls_me: "calls.admin.agents:AgentAdmin.call_me",
    many: "calls.admin.leads:LeadAdmin._open_batch calls.admin.batches:CallBatchAdmin.start",
    call_back: "calls.admin.lead_page:LeadPageViews.call_back_view",
    rest: "calls.api.calls:ask",
    initiate: "calls.api.initiate:_initiate",
    initiate_unknown: "",
    adoption_by_rest: "",
    left_in_the_queue: "",
    restored: "",
}
"""Each, and the functions behind it that ask."""
FROM_A_TELEPHONE = {"calls.admin.desk_call:DeskCallViews._call_from_phone"}
"""Rings at Twilio, and asks once more when a key is pressed: test_calling_from_a_telephone walks it."""


@pytest.mark.parametrize("knock", DOORS, ids=lambda knock: knock.__name__)
def test_behind_no_door_does_a_number_on_the_list_ring(
    knock: Callable[[World], None], world: World, sandbox: Sandbox
) -> None:
    factories.make_opt_out(BARRED)
    knock(world)
    dial_everything()
    assert rang(sandbox) == [FREE]


# On its way already when the number comes onto the list


def queued(world: World) -> Callable[[], None]:
    for lead in world.leads:
        dialer.ask(lead=lead, agent=world.agent, via=Via.DESK, by=world.person, now=timezone.now())
    return nothing_more


def promised(world: World) -> Callable[[], None]:
    for lead in world.leads:
        at = timezone.now()
        dialer.promise(lead, number=number_of(lead), at=at, agent=world.agent, now=at)
    return nothing_more


def batch_drafted(world: World) -> Callable[[], None]:
    batch = world.batch(world.leads)

    def go() -> None:
        world.start(batch)

    return go


def batch_started(world: World) -> Callable[[], None]:
    world.start(world.batch(world.leads))
    return nothing_more


def batch_filled(world: World) -> Callable[[], None]:
    world.start(world.batch(world.leads))
    run_once(get_provider())
    assert Call.objects.filter(status=CallStatus.QUEUED).count() == 2
    return nothing_more


def claimed(world: World) -> Callable[[], None]:
    """The thread that will place it has it; the permit is still to come."""
    queued(world)
    taken = claim_some(get_provider(), most=2)
    assert isinstance(taken, list)
    assert len(taken) == 2

    def go() -> None:
        for call in taken:
            send(call, get_provider())

    return go


def unclear(world: World) -> Callable[[], None]:
    """Sent once without a clear answer; looks found nothing, and it may be sent again."""
    claimed(world)
    now = database_now()
    Call.objects.update(
        status=CallStatus.UNCONFIRMED,
        sent_at=now - timedelta(seconds=50),
        next_look_at=now + timedelta(minutes=5),
        replay_wanted=True,
        lease_until=None,
    )
    return nothing_more


def unclear_and_claimed(world: World) -> Callable[[], None]:
    """The thread that will send it again has it."""
    unclear(world)
    taken = [call for _nth in range(2) for call in _claimed_again()]
    assert len(taken) == 2

    def go() -> None:
        for call in taken:
            send(call, get_provider())

    return go


def _claimed_again() -> Iterator[Call]:
    taken = claim_some(get_provider(), most=2)
    assert isinstance(taken, list), taken
    yield from taken


STAGES = (
    queued, promised, batch_drafted, batch_started, batch_filled, claimed, unclear, unclear_and_claimed,
)  # fmt: skip


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
@pytest.mark.parametrize("entered", ["by opting out", "as a row alone"])
def test_a_number_that_comes_onto_the_list_on_the_way_does_not_ring_any_more(
    stage: Callable[[World], Callable[[], None]], entered: str, world: World, sandbox: Sandbox
) -> None:
    go = stage(world)
    if entered == "as a row alone":
        factories.make_opt_out(BARRED)
    else:
        eligibility.opt_out(BARRED, reason="asked", source="staff", now=timezone.now())
    go()
    dial_everything()
    assert rang(sandbox) == [FREE]


def test_every_door_that_asks_for_calls_is_walked() -> None:
    asks = {where for where, _name in calls_of({f"dialer.{verb}" for verb in ASKING}, DOOR_PACKAGES)}
    walked = {place for places in DOORS.values() for place in places.split()}
    assert asks == walked | FROM_A_TELEPHONE


def test_a_request_that_makes_a_telephone_ring_is_sent_from_two_places_behind_a_permit() -> None:
    sends = {"provider.place", "self.provider.place", "twilio.ring", "twilio.invite"}
    assert {where for where, _name in calls_of(sends, ("calls", "callcenter"))} == {
        "calls.dialer.place:place",
        "calls.dialer.replay:replay",
    }


def calls_of(names: set[str], packages: tuple[str, ...]) -> set[tuple[str, str]]:
    """(module:function, name) of every call of one of these, as it is written."""
    return {
        (f"{module}:{where}", name)
        for module, tree in TREES.items()
        if within(module, packages)
        for where, function in _functions(tree)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in names
    }


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Top-level functions and methods, with their names."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{each.name}", each) for each in node.body if _is_function(each))
        elif isinstance(node, ast.FunctionDef):
            yield node.name, node


def _is_function(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef)
