"""What happens instead of a call that Retell definitely refuses: by the agent's setting, once, and never on a
doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone
from twilio_wire import LEAD, OURS, STAFF
from webhook_receiver import eventually

from agents.models import Agent, WhenRefused
from agents.providers.registry import get_provider
from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox
from calls import dialer, eligibility
from calls.dialer import fallback
from calls.dialer.claim import claim_next
from calls.dialer.loop import run_once
from calls.dialer.place import place
from calls.dialer.promises import queue_next_promise
from calls.lifecycle.apply import apply_due
from calls.models import (
    Call,
    CallBack,
    CallRequest,
    CallStatus,
    Fallback,
    Gate,
    NextAction,
    Outcome,
    Priority,
    StaffPhone,
    Stop,
    Via,
)
from calls.models.stop import StopCause
from tests import factories
from tests.conftest import API_KEY, TWILIO_SID, TWILIO_TOKEN
from tests.far_end import FarEnd, says
from tests.test_claiming import waiting_call

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("around_the_clock")]
SignIn = Callable[[User], Client]


@pytest.fixture(autouse=True)
def _no_waiting_for_pace(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 100.0


@pytest.fixture
def network(live_server: Any, settings: LazySettings) -> Iterator[Sandbox]:
    with Sandbox(
        speed=400, seed=7, api_key=API_KEY, twilio_sid=TWILIO_SID, twilio_token=TWILIO_TOKEN
    ) as sandbox:
        settings.PUBLIC_BASE_URL = live_server.url
        settings.TWILIO_BASE_URL = settings.RETELL_BASE_URL = sandbox.url
        settings.TWILIO_FROM_NUMBER = OURS
        yield sandbox


def agent_that(when_refused: str) -> Agent:
    return factories.make_agent(
        provider_agent_id="agent_sandbox_ava",
        name="Ava",
        default_caller_id=factories.make_number(number=NUMBERS[0]),
        when_refused=when_refused,
    )


def ask(by: User | None, agent: Agent, number: str = LEAD) -> Call:
    lead = factories.make_lead(number, time_zone="America/New_York", name="Zoë Müller", owner=by)
    return dialer.ask(lead=lead, agent=agent, by=by, via=Via.DESK, now=timezone.now()).call


def refuse_the_next(network: Sandbox) -> None:
    network.control("faults", create_400={"next": 1})


def run() -> None:
    run_once(get_provider())


def step() -> None:
    while fallback.step(now=timezone.now()):
        pass


def rung(network: Sandbox) -> list[str]:
    """By Twilio."""
    legs: list[dict[str, Any]] = network._http.get("/control/ledger/twilio").json()["legs"]
    return [leg["to"] for leg in legs]


def answered(said: httpx.Response, when_refused: str, **fields: Any) -> Call:
    """A call of an agent with that setting, placed and answered with this by Retell."""
    far = FarEnd([said])
    call = waiting_call(agent=factories.make_agent(when_refused=when_refused), **fields)
    claimed = claim_next(far.provider())
    assert isinstance(claimed, Call)
    place(claimed, far.provider())
    call.refresh_from_db()
    return call


class TestRingTheDesk:
    def test_whoever_asked_is_rung_and_connected_and_the_two_calls_name_each_other(
        self, network: Sandbox, sales: User, sign_in: SignIn
    ) -> None:
        StaffPhone.objects.create(user=sales, number=STAFF)
        refuse_the_next(network)
        call = ask(sales, agent_that(WhenRefused.DESK))
        run()
        call.refresh_from_db()
        assert (call.status, call.outcome) == (CallStatus.ENDED, Outcome.FAILED)
        row = Fallback.objects.get()
        made = row.made
        assert made is not None
        assert (row.call, row.state, made.desk_number, made.counterpart) == (call, "done", STAFF, LEAD)
        assert (made.agent, made.provider, made.our_number) == (None, "twilio", OURS)
        assert CallRequest.objects.get(call=made).via == Via.FALLBACK

        def over() -> bool:
            while apply_due(now=timezone.now()):
                pass
            made.refresh_from_db()
            return made.status == CallStatus.ENDED and made.answered_at is not None

        eventually(over)
        assert rung(network) == [STAFF, LEAD]
        assert made.outcome == Outcome.CONNECTED
        client = sign_in(sales)
        first = client.get(f"/admin/calls/call/{call.pk}/change/").text
        second = client.get(f"/admin/calls/call/{made.pk}/change/").text
        for page, other in ((first, made), (second, call)):
            head, story = page.split("What happened", 1)
            assert f"/admin/calls/call/{other.pk}/change/" in head
            assert f"/admin/calls/call/{other.pk}/change/" in story
        assert "Whoever asked is rung instead" in first
        assert "The voice of this call is not available" in first
        assert "Made instead of a call by Ava" in second

    def test_without_a_telephone_or_a_person_it_is_a_task_that_says_so(
        self, network: Sandbox, sales: User
    ) -> None:
        network.control("faults", create_400={"next": 2})
        agent = agent_that(WhenRefused.DESK)
        ask(sales, agent)
        ask(None, agent, "+14155550117")
        run()
        notes = {task.promised_by: task.note for task in CallBack.objects.all()}
        assert "has not said at which telephone" in notes[sales]
        assert "Nobody who may call asked for it." in notes[None]
        assert rung(network) == []

    def test_a_telephone_of_ours_that_is_in_use_is_left_alone(self, network: Sandbox, sales: User) -> None:
        StaffPhone.objects.create(user=sales, number=STAFF)
        factories.make_call(
            CallStatus.IN_PROGRESS, agent=None, provider="twilio", desk_number=STAFF, our_number=OURS
        )
        refuse_the_next(network)
        ask(sales, agent_that(WhenRefused.DESK))
        run()
        row = Fallback.objects.get()
        assert row.task is not None
        assert "Your telephone is busy" in row.task.note

    def test_a_refused_call_from_a_telephone_has_no_fallback_of_its_own(
        self, network: Sandbox, sales: User, settings: LazySettings
    ) -> None:
        settings.TWILIO_FROM_NUMBER = "+13035550100"  # which is not in the account
        StaffPhone.objects.create(user=sales, number=STAFF)
        refuse_the_next(network)
        ask(sales, agent_that(WhenRefused.DESK))
        run()
        made = Call.objects.get(provider="twilio")
        assert (made.status, made.fault) == (CallStatus.ENDED, "desk")
        assert not Fallback.objects.filter(call=made).exists()
        assert Fallback.objects.count() == 1


class TestATask:
    def test_it_stands_with_the_lead_says_why_and_is_done_by_a_person(
        self, network: Sandbox, sales: User, sign_in: SignIn
    ) -> None:
        refuse_the_next(network)
        call = ask(sales, agent_that(WhenRefused.TASK))
        run()
        task = CallBack.objects.get()
        assert (task.kind, task.lead, task.promised_in) == ("task", call.lead, call)
        assert call.lead is not None
        call.lead.refresh_from_db()
        assert call.lead.next_action == NextAction.FOLLOW_UP
        client = sign_in(sales)
        pages = [
            client.get("/admin/calls/callback/").text,
            client.get(f"/admin/calls/lead/{call.lead.pk}/change/").text,
            client.get(f"/admin/calls/call/{call.pk}/change/").text,
        ]
        for page in pages[:2]:
            assert "The voice of this call is not available" in page
        assert "To be done by a person" in pages[0]
        assert "For a person to do:" in pages[1]
        assert "A person got a task instead" in pages[2]
        assert not queue_next_promise(now=timezone.now())
        client.post(
            f"/admin/calls/lead/{call.lead.pk}/drop-promise/", {"promise": task.pk, "done": "1"}, follow=True
        )
        task.refresh_from_db()
        call.lead.refresh_from_db()
        assert (task.state, call.lead.next_action) == ("done", NextAction.NONE)
        assert "Done by" in task.note

    def test_tasks_are_ticked_off_in_the_list(self, sales: User, sign_in: SignIn) -> None:
        call = answered(says(400, "No."), WhenRefused.TASK)
        promised = dialer.promise(
            call.lead,
            number=LEAD,
            at=timezone.now() + timedelta(days=1),
            agent=call.agent,
            now=timezone.now(),
        )
        step()
        task = CallBack.objects.get(kind="task")
        sign_in(sales).post(
            "/admin/calls/callback/",
            {"action": "finish", "index": "0", "_selected_action": [task.pk, promised.pk]},
        )
        task.refresh_from_db()
        promised.refresh_from_db()
        assert (task.state, promised.state) == ("done", "open")

    def test_one_call_never_has_two(self) -> None:
        call = answered(says(400, "No."), WhenRefused.TASK)
        step()
        assert fallback.decide_on(call, why="again", now=timezone.now()).state == "done"
        step()
        dialer.give_task(call, why="again", now=timezone.now())
        assert (Fallback.objects.count(), CallBack.objects.count()) == (1, 1)
        with pytest.raises(IntegrityError), transaction.atomic():
            Fallback.objects.create(call=call, wanted="desk", why="twice", decided_at=timezone.now())


class TestWhenItIsSureAndWhoseReasonItIs:
    def test_nothing_is_the_default_and_changes_nothing(self) -> None:
        call = answered(says(400, "No."), WhenRefused.NOTHING)
        assert factories.make_agent().when_refused == WhenRefused.NOTHING
        assert (call.status, call.outcome) == (CallStatus.ENDED, Outcome.FAILED)
        waits = answered(says(422, "Agent agent_1 is suspended"), WhenRefused.NOTHING)
        assert waits.status == CallStatus.QUEUED
        step()
        assert not Fallback.objects.exists()

    @pytest.mark.parametrize(
        ("status", "message", "instead"),
        [
            (400, "The voice of this call is not available", True),
            (422, "Agent agent_1 is suspended", True),
            (400, "to_number is not a valid number", False),
            (400, "Calls to this country are not enabled", False),
            (400, "This number is on the do not call list", False),
            (422, "from_number is not allowed to make outbound calls", False),
            (401, "Invalid API key", False),
            (402, "No valid payment method or out of credit", False),
            (429, "Too many requests", False),
        ],
    )
    def test_only_a_definite_no_for_a_reason_of_retells_has_a_fallback(
        self, status: int, message: str, instead: bool
    ) -> None:
        call = answered(says(status, message), WhenRefused.TASK)
        assert Fallback.objects.filter(call=call).exists() is instead
        if instead:
            assert (call.status, call.outcome) == (CallStatus.ENDED, Outcome.FAILED)

    @pytest.mark.parametrize(
        ("fault", "setting"),
        [
            ("create_500_before", {"next": 1}),
            ("create_500_after", {"next": 1}),
            ("create_disconnect_after", {"next": 1}),
            ("create_hang_after", {"next": 1, "seconds": 3}),
        ],
    )
    def test_never_while_it_is_not_known_whether_it_rang(
        self, network: Sandbox, sales: User, settings: LazySettings, fault: str, setting: dict[str, float]
    ) -> None:
        settings.PROVIDER_TIMEOUT_S = 1
        StaffPhone.objects.create(user=sales, number=STAFF)
        network.control("faults", **{fault: setting})
        call = ask(sales, agent_that(WhenRefused.DESK))
        claimed = claim_next(get_provider())
        assert isinstance(claimed, Call)
        place(claimed, get_provider())
        call.refresh_from_db()
        assert call.status == CallStatus.UNCONFIRMED
        Gate.objects.filter(kind="line").update(
            breaker="open", breaker_reason="all fail", tries_at=timezone.now() + timedelta(minutes=5)
        )
        step()
        assert not Fallback.objects.exists()
        # Nor when nobody will ever know.
        Call.objects.filter(pk=call.pk).update(status=CallStatus.ENDED, outcome=Outcome.UNKNOWN)
        step()
        assert not Fallback.objects.exists()
        assert not CallBack.objects.exists()
        assert rung(network) == []

    def test_a_late_no_under_an_old_claim_decides_nothing(self) -> None:
        far = FarEnd([says(400, "No.")])
        call = waiting_call(agent=factories.make_agent(when_refused=WhenRefused.TASK))
        claimed = claim_next(far.provider())
        assert isinstance(claimed, Call)

        def lease_runs_out() -> None:
            Call.objects.filter(pk=call.pk).update(status=CallStatus.UNCONFIRMED, place_token=None)

        far.on_create = lease_runs_out
        place(claimed, far.provider())
        call.refresh_from_db()
        assert call.status == CallStatus.UNCONFIRMED
        assert not Fallback.objects.exists()


class TestAnOptOutInBetween:
    @pytest.mark.parametrize("wanted", [WhenRefused.TASK, WhenRefused.DESK])
    def test_it_wins_over_a_fallback_that_is_due(self, sales: User, wanted: str) -> None:
        StaffPhone.objects.create(user=sales, number=STAFF)
        call = answered(says(400, "No."), wanted, requested_by=sales)
        eligibility.opt_out(call.counterpart, reason="asked", source="staff", now=timezone.now())
        step()
        row = Fallback.objects.get()
        assert (row.state, row.made, row.task) == ("left", None, None)
        assert "do-not-call" in row.note
        assert Call.objects.count() == 1

    def test_it_drops_the_task_and_cancels_the_call_made_instead(self, sales: User) -> None:
        StaffPhone.objects.create(user=sales, number=STAFF)
        done = []
        for wanted in (WhenRefused.TASK, WhenRefused.DESK):
            call = answered(says(400, "No."), wanted, requested_by=sales)
            step()
            eligibility.opt_out(call.counterpart, reason="asked", source="staff", now=timezone.now())
            done.append(Fallback.objects.get(call=call))
        task, made = done[0].task, done[1].made
        assert task is not None
        assert task.state == "dropped"
        assert made is not None
        assert (made.status, made.outcome) == (CallStatus.ENDED, Outcome.CANCELED)

    def test_whoever_is_on_the_phone_with_us_by_then_is_left_alone(self) -> None:
        call = answered(says(400, "No."), WhenRefused.TASK)
        factories.make_call(CallStatus.IN_PROGRESS, direction="inbound", counterpart=call.counterpart)
        step()
        assert Fallback.objects.get().state == "left"


class TestABreakerThatIsOpen:
    def rests(self, line: str = "default") -> None:
        Gate.objects.update_or_create(
            kind="line",
            name=line,
            defaults={
                "breaker": "open",
                "breaker_reason": "5 of 6 calls failed",
                "tries_at": timezone.now() + timedelta(minutes=1),
            },
        )

    def test_a_call_somebody_waits_for_is_done_otherwise_and_a_batch_waits(self) -> None:
        agent = factories.make_agent(when_refused=WhenRefused.TASK)
        click = waiting_call(agent=agent, priority=Priority.CLICK)
        batch = waiting_call(agent=agent, priority=Priority.BATCH)
        other = waiting_call(priority=Priority.CLICK)
        self.rests()
        step()
        row = Fallback.objects.get()
        assert row.call == click
        assert row.task is not None
        assert "5 of 6 calls failed" in row.task.note
        click.refresh_from_db()
        assert (click.status, click.outcome, click.sent_at) == (CallStatus.ENDED, Outcome.FAILED, None)
        for waits in (batch, other):
            waits.refresh_from_db()
            assert waits.status == CallStatus.QUEUED

    def test_what_may_not_be_called_now_or_is_stopped_or_on_another_line_waits_as_before(
        self, manager: User
    ) -> None:
        agent = factories.make_agent(when_refused=WhenRefused.TASK)
        waiting_call(agent=agent)
        waiting_call(agent=agent, due_at=timezone.now() + timedelta(minutes=5))
        self.rests("another line")
        step()
        self.rests()
        dialer.stop(by=manager, reason="a drill", now=timezone.now())
        step()
        assert not Fallback.objects.exists()
        dialer.resume(by=manager, reason="over", now=timezone.now())
        step()
        assert Fallback.objects.count() == 1

    @pytest.mark.parametrize(("cause", "instead"), [(StopCause.REFUSED, True), (StopCause.PERSON, False)])
    def test_an_agent_that_retell_refused_is_such_a_breaker_and_one_that_a_person_stopped_is_not(
        self, cause: str, instead: bool
    ) -> None:
        agent = factories.make_agent(when_refused=WhenRefused.TASK)
        call = waiting_call(agent=agent)
        dialer.stop(
            by=None, reason="suspended", now=timezone.now(), target=dialer.Target(agent=agent), cause=cause
        )
        assert Stop.objects.in_force().exists()
        step()
        assert Fallback.objects.filter(call=call).exists() is instead


def test_the_setting_is_on_the_agents_form_and_page(manager: User, sign_in: SignIn) -> None:
    agent = factories.make_agent()
    client = sign_in(manager)
    form = client.get(f"/admin/agents/agent/{agent.pk}/edit/").text
    assert "A person gets a task" in form
    client.post(
        f"/admin/agents/agent/{agent.pk}/change/",
        {"active": "on", "when_refused": "desk", "default_caller_id": agent.default_caller_id_id or ""},
    )
    agent.refresh_from_db()
    assert agent.when_refused == WhenRefused.DESK
    assert (
        "Whoever asked is rung, and makes the call"
        in client.get(f"/admin/agents/agent/{agent.pk}/change/").text
    )
