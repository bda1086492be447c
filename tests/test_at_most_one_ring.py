"""A provider that loses answers, lags, forgets or mumbles: by its own ledger no telephone rings twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings

from agents.models import Agent
from calls.models import Call, CallStatus, CallStep
from tests.placing_process import TIMEOUT_S
from tests.test_dialer_process import agent, all_final, ask, run_dialers, wait_until

__all__ = ["agent", "run_dialers"]
pytestmark = [
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("around_the_clock"),
]
TOLD_NOTHING = {"webhook_drop": {"probability": 1}}
PEOPLE = ("101", "106", "109")


@pytest.fixture(autouse=True)
def _fast(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 20.0
    settings.PROVIDER_TIMEOUT_S = TIMEOUT_S
    settings.LOOK_FACTOR = 0.02


def placed() -> bool:
    return not Call.objects.filter(provider_call_id="").exists()


def assert_one_ring_each(sandbox: Any, calls: list[Call]) -> Counter[str]:
    """Returns how the requests for calls were answered."""
    ledger = sandbox.ledger()
    assert ledger["summary"]["placed_twice"] == {}
    assert ledger["summary"]["outbound"] == len(calls)
    by_uuid = {ring["call_uuid"]: ring for ring in ledger["calls"]}
    for asked in calls:
        call = Call.objects.get(pk=asked.pk)
        assert call.provider_call_id == by_uuid[str(call.pk)]["call_id"]
        assert call.incident == ""
    return Counter(create["outcome"] for create in ledger["creates"])


def test_an_answer_lost_before_anything_rang_is_made_good_by_one_replay(
    agent: Agent, sandbox: Any, run_dialers: Callable[..., Any]
) -> None:
    sandbox.control("faults", create_500_before={"next": len(PEOPLE)})
    calls = [ask(agent, person) for person in PEOPLE]
    run_dialers()
    wait_until(all_final)
    answered = assert_one_ring_each(sandbox, calls)
    assert answered["accepted"] == len(PEOPLE)
    for asked in calls:
        call = Call.objects.get(pk=asked.pk)
        assert call.replayed_at is not None
        assert call.sent_at is not None
        assert call.replayed_at > call.sent_at


def test_a_search_that_lags_behind_every_look_leads_to_replays_and_to_no_second_ring(
    agent: Agent, sandbox: Any, run_dialers: Callable[..., Any]
) -> None:
    # Looks at 0.1 to 2.1 s: none of them finds what has been ringing since the first request.
    sandbox.control("settings", list_lag_s=6)
    sandbox.control("faults", create_500_after={"next": len(PEOPLE)}, **TOLD_NOTHING)
    calls = [ask(agent, person) for person in PEOPLE]
    run_dialers()
    wait_until(placed)
    answered = assert_one_ring_each(sandbox, calls)
    assert answered["replayed"] >= len(PEOPLE)


def test_a_provider_that_forgot_the_keys_is_asked_first_and_sent_nothing_again(
    agent: Agent, sandbox: Any, run_dialers: Callable[..., Any]
) -> None:
    sandbox.control("settings", idempotency_window_s=0)
    sandbox.control("faults", create_disconnect_after={"next": len(PEOPLE)}, **TOLD_NOTHING)
    calls = [ask(agent, person) for person in PEOPLE]
    run_dialers()
    wait_until(placed)
    answered = assert_one_ring_each(sandbox, calls)
    assert sum(answered.values()) == len(PEOPLE)


def test_a_yes_that_cannot_be_read_is_looked_up(
    agent: Agent, sandbox: Any, run_dialers: Callable[..., Any]
) -> None:
    sandbox.control("settings", idempotency_window_s=0)
    sandbox.control("faults", create_unreadable={"next": len(PEOPLE)}, **TOLD_NOTHING)
    calls = [ask(agent, person) for person in PEOPLE]
    run_dialers()
    wait_until(placed)
    answered = assert_one_ring_each(sandbox, calls)
    assert sum(answered.values()) == len(PEOPLE)


def test_a_provider_that_cannot_be_asked_is_sent_the_same_request_and_rings_once(
    agent: Agent, sandbox: Any, run_dialers: Callable[..., Any]
) -> None:
    # Every question fails, and every request for a call is taken: the first without an answer.
    never_asked = {"read_429": {"probability": 1}}
    sandbox.control("faults", create_hang_after={"next": 1, "seconds": 20}, **never_asked, **TOLD_NOTHING)
    call = ask(agent, "109")
    run_dialers()
    wait_until(lambda: Call.objects.get(pk=call.pk).status == CallStatus.UNCONFIRMED)
    wait_until(placed)
    sandbox.control("faults", read_429=None)
    wait_until(lambda: Call.objects.get(pk=call.pk).status == CallStatus.ENDED)
    assert_one_ring_each(sandbox, [call])
    steps = CallStep.objects.filter(call=call)
    assert steps.filter(kind="replay", found=True).count() == 1
