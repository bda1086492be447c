"""Killed or frozen at every point of placing a call: another dialer finishes, and no phone rings twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings

from agents.models import Agent
from calls.models import Call, CallStatus, Priority
from tests.conftest import API_KEY
from tests.database import database_url
from tests.placing_process import TIMEOUT_S, Nursery
from tests.test_dialer_process import agent, all_final, ask, run_dialers, wait_until

__all__ = ["agent", "run_dialers"]
pytestmark = [
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("around_the_clock"),
    pytest.mark.skipif("not __import__('sys').platform.startswith('linux')", reason="reads /proc"),
]
KILLED = [
    "before the claim's commit",
    "after the claim",
    "before the permit",
    "after the permit",
    "in the POST, half written",
    "in the POST, before the answer",
    "after the answer",
    "before the row is written",
]
FROZEN = [
    "before the permit",
    "after the permit",
    "in the POST, before its body",
    "in the POST, before the answer",
]
NEVER_PERMITTED = ["before the claim's commit", "after the claim", "before the permit"]


@pytest.fixture(autouse=True)
def _fast(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 20.0
    settings.PROVIDER_TIMEOUT_S = TIMEOUT_S
    settings.LOOK_FACTOR = 0.02


@pytest.fixture
def nursery(sandbox: Any, transactional_db: None) -> Iterator[Nursery]:
    processes = Nursery(sandbox_url=sandbox.url, api_key=API_KEY, database_url=database_url())
    yield processes
    processes.end()


def creates_of(sandbox: Any, call: Call) -> list[str]:
    return [
        create["outcome"]
        for create in sandbox.ledger()["creates"]
        if create["idempotency_key"] == str(call.pk)
    ]


def assert_one_ring_each(sandbox: Any, calls: dict[str, Call]) -> None:
    ledger = sandbox.ledger()
    assert ledger["summary"]["placed_twice"] == {}
    assert ledger["summary"]["rung_at_once"] == {}
    rung = {ring["call_uuid"]: ring for ring in ledger["calls"]}
    for point, asked in calls.items():
        call = Call.objects.get(pk=asked.pk)
        assert str(call.pk) in rung, point
        assert call.provider_call_id == rung[str(call.pk)]["call_id"], point
        assert call.disconnection_reason == rung[str(call.pk)]["disconnection_reason"], point
        assert call.incident == "", point


def test_killed_at_any_point_another_dialer_finishes_and_the_phone_rings_once(
    agent: Agent, sandbox: Any, nursery: Nursery, run_dialers: Any
) -> None:
    calls = {}
    for nth, point in enumerate(KILLED):
        calls[point] = ask(agent, f"1{20 + nth}")
        nursery.start(point, "kill").until("")
        call = Call.objects.get(pk=calls[point].pk)
        if point == "before the claim's commit":
            assert call.status == CallStatus.QUEUED
            # Out of the way of the others, who each are to claim their own.
            Call.objects.filter(pk=call.pk).update(priority=Priority.CAMPAIGN)
            continue
        assert call.status == CallStatus.DIALING, point
        assert (call.sent_at is None) is (point in NEVER_PERMITTED), point
    for point in [*NEVER_PERMITTED, "after the permit"]:
        assert creates_of(sandbox, calls[point]) == [], point
    run_dialers()
    wait_until(all_final)
    assert_one_ring_each(sandbox, calls)


def test_frozen_past_its_lease_and_woken_it_sends_nothing_that_rings_again(
    agent: Agent, sandbox: Any, nursery: Nursery, run_dialers: Any
) -> None:
    calls, frozen = {}, []
    for nth, point in enumerate(FROZEN):
        calls[point] = ask(agent, f"1{40 + nth}")
        frozen.append(nursery.start(point, "freeze"))
        frozen[-1].until("T")
    since = time.monotonic()
    run_dialers()
    wait_until(lambda: not Call.objects.filter(placed_at=None).exists())
    time.sleep(max(0.0, TIMEOUT_S + 0.5 - (time.monotonic() - since)))
    before = {point: creates_of(sandbox, call) for point, call in calls.items()}
    for process in frozen:
        process.wake()
        process.until("")
    nursery.end()
    assert sorted(nursery.said) == sorted(f"done {point}" for point in FROZEN)
    for point in ("before the permit", "after the permit"):
        assert creates_of(sandbox, calls[point]) == before[point] == ["accepted"], point
    wait_until(all_final)
    assert_one_ring_each(sandbox, calls)


@pytest.mark.postgresql
def test_frozen_with_the_gate_in_its_hand_it_loses_it_and_the_others_go_on(
    postgresql: None, agent: Agent, sandbox: Any, nursery: Nursery, run_dialers: Any
) -> None:
    call = ask(agent, "160")
    frozen = nursery.start("before the claim's commit", "freeze")
    frozen.until("T")
    since = time.monotonic()
    run_dialers()
    wait_until(lambda: Call.objects.get(pk=call.pk).placed_at is not None)
    assert time.monotonic() - since < 20
    frozen.wake()
    frozen.until("")
    assert creates_of(sandbox, call) == ["accepted"]
