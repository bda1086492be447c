"""Once an hour our calls are held against the phone company's list, and what differs is healed from it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents.phone import pretty
from agents.providers.abilities import TODAYS
from agents.providers.base import CallFacts, NotFound, Page, PlaceOrder, Report, Stage, Unclear
from agents.providers.registry import get_provider
from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox
from calls.lifecycle import compare, schedule
from calls.lifecycle.compare import compare_next
from calls.models import Call, CallStatus, ComparedCall, Comparison, WebhookEvent
from tests import factories
from tests.inbox import apply_pending

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]
BUSY, NO_ANSWER, TALKS = "+14155550108", "+14155550109", "+14155550101"


@pytest.fixture
def at_once(settings: LazySettings) -> None:
    settings.LOOK_FACTOR = 0.0


def placed(*numbers: str, call_uuid: str = "", from_number: str = NUMBERS[0]) -> list[str]:
    """Provider ids of calls that the network has made and analysed, one to each number."""
    provider, ids = get_provider(), []
    for number in numbers:
        order = PlaceOrder(
            call_uuid=call_uuid or str(uuid.uuid4()),
            to_number=number,
            from_number=from_number,
            provider_agent_id="agent_sandbox_ava",
            agent_version=None,
            variables={"first_name": "Mia"},
            metadata={},
        )
        ids.append(
            provider.place(provider.placement(order), give_up_s=5, started=time.monotonic()).provider_call_id
        )
    deadline = time.monotonic() + 30
    while not all(provider.fetch_call(one).facts.stage >= Stage.ANALYSED for one in ids):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return ids


def compare_all(provider: Any = None) -> Comparison:
    """Every step of one comparison, with a dialer that applies meanwhile."""
    for _step in range(40):
        compare_next(provider or get_provider(), now=timezone.now())
        apply_pending(now=timezone.now() + timedelta(seconds=1))
        run = Comparison.objects.latest("started_at")
        if run.state in ("done", "failed"):
            return run
        Comparison.objects.filter(pk=run.pk).update(next_step_at=timezone.now())
    raise AssertionError(f"comparison stays in {run.state}: {run.problem}")


def found(run: Comparison) -> dict[str, tuple[str, str]]:
    return {one.provider_call_id: (one.kind, one.done) for one in run.differences.all()}


@pytest.mark.usefixtures("at_once")
def test_what_was_lost_differs_or_is_unknown_is_healed_from_their_account(start_sandbox: Any) -> None:
    start_sandbox(speed=200.0)
    factories.make_number(number=NUMBERS[0])
    busy, no_answer, talked, lost = placed(BUSY, NO_ANSWER, TALKS, TALKS)
    ours = get_provider().fetch_call(lost).facts.call_uuid
    wrong = factories.make_call("ended", provider_call_id=busy, duration_ms=None, cost_micros=None)
    on = factories.make_call(CallStatus.IN_PROGRESS, provider_call_id=talked)
    fine = factories.make_call(CallStatus.PLACED, provider_call_id=no_answer)
    unlinked = factories.make_call(CallStatus.UNCONFIRMED, pk=uuid.UUID(ours))
    gone = factories.make_call("ended", provider_call_id="call_nobody_knows")
    Call.objects.filter(pk=fine.pk).update(placed_at=timezone.now() - timedelta(days=2))  # too old to compare
    run = compare_all()
    assert run.state == "done"
    assert found(run) == {
        busy: ("different", "healed"),
        talked: ("different", "healed"),
        lost: ("missing_here", "healed"),
        "call_nobody_knows": ("missing_there", "nothing"),
    }
    wrong.refresh_from_db()
    assert (wrong.outcome, wrong.disconnection_reason) == ("busy", "dial_busy")
    on.refresh_from_db()
    assert (on.status, on.outcome, on.final) == (CallStatus.ENDED, "connected", True)
    assert on.cost_micros == get_provider().fetch_call(talked).facts.cost_micros
    unlinked.refresh_from_db()
    assert (unlinked.provider_call_id, unlinked.status) == (lost, CallStatus.ENDED)
    gone.refresh_from_db()
    assert gone.outcome == "connected"
    Comparison.objects.update(started_at=timezone.now() - timedelta(hours=2))
    assert set(found(compare_all())) == {"call_nobody_knows"}


@pytest.mark.usefixtures("at_once")
def test_calls_of_another_use_of_the_account_are_counted_and_left_out(start_sandbox: Any) -> None:
    start_sandbox(speed=200.0)
    placed(TALKS, TALKS)
    run = compare_all()
    assert (run.state, run.theirs, run.foreign, run.ours) == ("done", 2, 2, 0)
    assert not run.differences.exists()
    assert not WebhookEvent.objects.exists()
    assert not Call.objects.exists()


def listed(n: int, **fields: Any) -> Report:
    facts = CallFacts(provider_call_id=f"call_{n}", stage=Stage.ENDED, direction="outbound", **fields)
    return Report(body=b"{}", facts=facts)


class Company:
    """A phone company with three pages of somebody else's calls, that fails where it is told to."""

    abilities = TODAYS

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.fails = False

    def recent_calls(self, *, since: Any, until: Any = None, key: str | None = None) -> Page:
        self.asked.append(key)
        if self.fails:
            raise Unclear("the line is dead")
        n = int(key or 0)
        return Page(reports=(listed(n),), next_key=str(n + 1) if n < 2 else None)

    def fetch_calls(self, ids: list[str]) -> list[Report]:
        self.asked.append(len(ids))
        return []

    def fetch_call(self, provider_call_id: str) -> Report:
        raise NotFound("gone")


@pytest.mark.usefixtures("at_once")
def test_it_goes_on_where_a_killed_process_stopped_and_counts_nothing_twice() -> None:
    company = Company()
    now = timezone.now()
    compare_next(company, now=now)  # type: ignore[arg-type]
    # Killed in the middle of the second page: its claim is there, its page is not.
    assert compare._claim(now) is not None
    assert compare_next(company, now=now) is False  # type: ignore[arg-type]
    assert company.asked == [None]
    Comparison.objects.update(lease_until=now - timedelta(hours=1))
    run = compare_all(company)
    assert (run.theirs, run.foreign) == (3, 3)
    assert company.asked == [None, "1", "2"]


@pytest.mark.usefixtures("at_once")
def test_a_process_that_was_overtaken_writes_nothing() -> None:
    company = Company()
    now = timezone.now()

    def overtake(**_page: Any) -> Page:
        Comparison.objects.update(lease_until=now - timedelta(hours=1))
        other = compare._claim(now)
        assert other is not None
        return Page(reports=(listed(1),), next_key=None)

    company.recent_calls = overtake  # type: ignore[method-assign]
    assert compare_next(company, now=now) is True  # type: ignore[arg-type]
    run = Comparison.objects.get()
    assert (run.state, run.theirs, run.foreign) == ("theirs", 0, 0)


def test_it_is_once_an_hour_reaches_back_to_the_last_one_and_leaves_out_the_newest() -> None:
    company = Company()
    now = timezone.now()
    first = compare_all(company)
    assert first.started_at - first.since == timedelta(hours=6)
    assert compare_next(company, now=now + timedelta(minutes=59)) is False  # type: ignore[arg-type]
    Comparison.objects.update(until=now - timedelta(days=3))
    later = now + timedelta(minutes=61)
    assert compare_next(company, now=later) is True  # type: ignore[arg-type]
    second = Comparison.objects.latest("started_at")
    assert second.since == now - timedelta(days=3)
    assert second.until == later - timedelta(seconds=schedule.COMPARE_LEAVE_OUT_S)


@pytest.mark.usefixtures("at_once")
def test_a_phone_company_that_does_not_answer_is_asked_less_and_less_and_then_given_up() -> None:
    company = Company()
    company.fails = True
    run = compare_all(company)
    assert (run.state, run.failures, run.problem) == ("failed", 8, "the line is dead")
    assert len(company.asked) == 8


@pytest.mark.usefixtures("at_once")
def test_ours_are_asked_for_a_hundred_at_a_time() -> None:
    agent = factories.make_agent()
    for n in range(205):
        factories.make_call("ended", lead=None, agent=agent, provider_call_id=f"call_x{n}")
    company = Company()
    run = compare_all(company)
    assert company.asked == [None, "1", "2", 100, 100, 5]
    assert (run.ours, run.differences.count()) == (205, 205)


def test_the_page_shows_what_differed_and_what_was_done(
    administrator: User, manager: User, sign_in: Callable[[User], Client]
) -> None:
    now = timezone.now()
    run = Comparison.objects.create(
        since=now, until=now, started_at=now, next_step_at=now, state="done", ours=17, theirs=19, foreign=3
    )
    call = factories.make_call("ended")
    ComparedCall.objects.create(
        comparison=run, kind="different", provider_call_id="call_1", call=call, done="healed",
        differs={
            "outcome": ["busy", "connected"],
            "duration_ms": ["", "61000"], "cost_micros": ["5", "125000"]},
    )  # fmt: skip
    ComparedCall.objects.create(
        comparison=run, kind="missing_there", provider_call_id="<script>x", done="nothing"
    )
    client = sign_in(administrator)
    assert "17" in client.get("/admin/calls/comparison/").content.decode()
    page = client.get(f"/admin/calls/comparison/{run.pk}/change/").content.decode()
    for said in (
        pretty(call.counterpart), "how it ended: Busy → Talked", "talk time: – → 61.0 s",
        "cost: 0.0000 → 0.1250", "Corrected here",
        "Missing at the phone company", "Nothing: only reported", "&lt;script&gt;x",
    ):  # fmt: skip
        assert said in page
    assert sign_in(manager).get("/admin/calls/comparison/").status_code == 403


def test_two_that_start_at_once_start_one() -> None:
    now = timezone.now()
    assert compare._start(now) is True
    assert compare._start(now) is False
    Comparison.objects.update(started_at=now - timedelta(hours=2))
    assert compare._start(now) is True
    assert Comparison.objects.count() == 1


def test_where_there_is_nothing_nothing_is_found(sandbox: Sandbox) -> None:
    run = compare_all()
    assert (run.state, run.theirs, run.ours, run.foreign) == ("done", 0, 0, 0)
