"""The whole dialer against a telephone network on loopback, on whichever database this run has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from agents.models import Agent
from agents.providers.registry import get_provider
from calls import dialer
from calls.dialer.loop import Dialer
from calls.models import Call, CallStatus, DoNotCall, Heartbeat, Transcript, Via
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("around_the_clock")]


@pytest.fixture(autouse=True)
def _fast(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 20.0
    settings.LOOK_FACTOR = 0.05


@pytest.fixture
def agent(live_server: Any, sandbox: Any) -> Agent:
    """The first agent and number that the telephone network has."""
    provider = get_provider()
    profile, number = provider.list_agents()[0], provider.list_numbers()[0]
    ours = factories.make_number(number=number.number, line=number.line)
    return factories.make_agent(provider_agent_id=profile.provider_agent_id, default_caller_id=ours)


@pytest.fixture
def run_dialers() -> Iterator[Callable[[int], list[Dialer]]]:
    running: list[tuple[Dialer, threading.Thread]] = []

    def start(count: int = 1) -> list[Dialer]:
        for n in range(count):
            one = Dialer(get_provider(), name=f"dialer {n}")
            thread = threading.Thread(target=one.run)
            thread.start()
            running.append((one, thread))
        return [one for one, _thread in running]

    yield start
    for one, _thread in running:
        one.stop()
    for _one, thread in running:
        thread.join(timeout=40)
        assert not thread.is_alive()


def ask(agent: Agent, last_two: str) -> Call:
    lead = factories.make_lead(f"+14155550{last_two:>03}", name="Ada Sample", company="Engines")
    return dialer.ask(lead=lead, agent=agent, via=Via.DESK, now=timezone.now()).call


def wait_until(true: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, [
            (call.counterpart, call.status, call.outcome, call.not_now_reason) for call in Call.objects.all()
        ]
        time.sleep(0.1)


def all_final() -> bool:
    return Call.objects.exists() and not Call.objects.filter(final=False).exists()


def test_scripted_people_end_as_their_script_says(
    agent: Agent, sandbox: Any, run_dialers: Callable[..., list[Dialer]]
) -> None:
    expected = {
        "101": ("connected", "interested"),
        "103": ("connected", "never_call"),
        "106": ("voicemail", "no_contact"),
        "108": ("busy", "no_contact"),
        "109": ("no_answer", "no_contact"),
        "111": ("invalid_number", "no_contact"),
    }
    calls = {ending: ask(agent, ending) for ending in expected}
    run_dialers()
    wait_until(all_final)
    for ending, (outcome, meaning) in expected.items():
        call = Call.objects.get(pk=calls[ending].pk)
        assert (call.outcome, call.proposed_disposition) == (outcome, meaning), ending
    talked = Call.objects.get(pk=calls["101"].pk)
    assert Transcript.objects.get(call=talked).turns
    assert talked.recording_url
    assert talked.cost_micros
    assert DoNotCall.objects.filter(number="+14155550103").exists()
    assert Heartbeat.objects.filter(kind="dialer").exists()


def test_our_rows_say_what_the_networks_ledger_says(
    agent: Agent, sandbox: Any, run_dialers: Callable[..., list[Dialer]]
) -> None:
    for n in range(20, 32):
        ask(agent, f"1{n}")
    run_dialers()
    wait_until(all_final)
    by_uuid = {ring["call_uuid"]: ring for ring in sandbox.ledger()["calls"]}
    assert Call.objects.outbound().count() == 12
    for call in Call.objects.outbound():
        ring = by_uuid[str(call.pk)]
        assert ring["call_id"] == call.provider_call_id
        assert ring["disconnection_reason"] == call.disconnection_reason


@pytest.mark.postgresql
def test_two_dialers_share_one_queue_and_nobody_is_called_twice(
    postgresql: None, agent: Agent, sandbox: Any, run_dialers: Callable[..., list[Dialer]]
) -> None:
    for n in range(20, 60):
        ask(agent, f"1{n}")
    run_dialers(2)
    wait_until(all_final, 120.0)
    rung = [ring["to_number"] for ring in sandbox.ledger()["calls"] if ring["direction"] == "outbound"]
    assert len(rung) == len(set(rung)) == 40


@pytest.mark.postgresql
def test_the_dialer_goes_on_after_the_database_dropped_its_connections(
    postgresql: None, agent: Agent, sandbox: Any, run_dialers: Callable[..., list[Dialer]]
) -> None:
    run_dialers()
    wait_until(lambda: Heartbeat.objects.exists())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    ask(agent, "101")
    wait_until(all_final)
    assert Call.objects.get().outcome == "connected"


def test_a_call_asked_to_be_hung_up_ends_within_seconds(
    agent: Agent, sandbox: Any, run_dialers: Callable[..., list[Dialer]], sales: Any
) -> None:
    sandbox.control("settings", speed=2.0)
    call = ask(agent, "101")
    run_dialers()
    wait_until(lambda: Call.objects.get(pk=call.pk).status == CallStatus.IN_PROGRESS)
    dialer.hang_up(call, by=sales, now=timezone.now())
    asked = time.monotonic()
    wait_until(lambda: Call.objects.get(pk=call.pk).status == CallStatus.ENDED)
    assert time.monotonic() - asked < 10
