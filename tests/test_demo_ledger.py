"""`demo --smoke` says no as soon as one call is another than in the network's ledger."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management.base import CommandError

from agents.providers.registry import get_provider
from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox
from callcenter.demo import smoke
from callcenter.demo.home import Home
from calls.lifecycle.derive import Fact, derive
from calls.management.commands.demo import Command
from calls.models import Call, CallStatus, Transcript
from tests import factories
from tests.conftest import API_KEY

# A demo always lives in SQLite.
pytestmark = pytest.mark.one_engine

INTERESTED = "+14155550101"
Told = list[str]


def place(sandbox: Sandbox, call_uuid: uuid.UUID, number: str = INTERESTED) -> dict[str, Any]:
    """A call on the network, over and analysed, as it tells of it."""
    answer = httpx.post(
        f"{sandbox.url}/v2/create-phone-call",
        headers={"Authorization": f"Bearer {API_KEY}"},
        json={"from_number": NUMBERS[0], "to_number": number, "metadata": {"call_uuid": str(call_uuid)}},
    )
    call_id = answer.raise_for_status().json()["call_id"]
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found: dict[str, Any] = sandbox.ledger(call_id)
        if found["analysed"]:
            return found
        time.sleep(0.02)
    pytest.fail("the call was never analysed")


@pytest.fixture
def network(start_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return start_sandbox(speed=1000.0)


@pytest.fixture
def call(db: None, network: Sandbox) -> Call:
    """Our row of such a call, equal to the ledger in all."""
    pk = uuid.uuid4()
    told = place(network, pk)["retell"]
    derived = derive([Fact(get_provider().read_call(json.dumps(told).encode()), fetched=True, key="")])
    call = factories.make_call(
        CallStatus.ENDED,
        pk=pk,
        provider_call_id=told["call_id"],
        counterpart=INTERESTED,
        our_number=NUMBERS[0],
        **derived.columns,
    )
    Transcript.objects.create(call=call, turns=derived.turns, text=derived.text)
    return Call.objects.select_related("transcript", "lead").get(pk=call.pk)


def run(calls: list[Call], monkeypatch: pytest.MonkeyPatch) -> tuple[bool, Told]:
    """The comparison alone: what would be placed was."""
    told: Told = []
    monkeypatch.setattr(smoke, "leads_to_call", lambda count, now: [])
    monkeypatch.setattr(smoke, "place", lambda leads, tell, now: calls)
    return smoke.run(1, provider=get_provider(), tell=told.append), told


def test_a_call_equal_to_the_ledger_is_right(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    right, told = run([call], monkeypatch)
    assert right, told
    assert told[0].startswith("ok ")
    assert "1 of 1 calls ended exactly as the network's ledger says." in told


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("cost_micros", 1, "cost_micros"),
        ("duration_ms", 1, "length"),
        ("outcome", "voicemail", "how it ended"),
        ("disconnection_reason", "user_hangup", "reason"),
        ("analysis", {"interested": False}, "analysis"),
        ("status", CallStatus.IN_PROGRESS, "over"),
        ("counterpart", "+14155550102", "number"),
        ("text", "Agent: something else\n", "transcript"),
        ("turns", [], "turns"),
    ],
)
def test_one_difference_is_told_and_fails_the_whole(
    call: Call, monkeypatch: pytest.MonkeyPatch, field: str, value: object, said: str
) -> None:
    setattr(call.transcript if field in {"text", "turns"} else call, field, value)
    right, told = run([call], monkeypatch)
    assert not right
    assert told[0].startswith("NOT")
    assert f"\n      {said}: " in told[0]


def test_a_call_of_which_the_network_has_two_fails(
    call: Call, network: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(network, call.pk)
    right, told = run([call], monkeypatch)
    assert not right
    assert "the network has 2 calls of it" in told[0]
    assert "1 were placed twice" in told[-1]


def test_a_call_only_the_network_knows_fails(
    call: Call, network: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(network, uuid.uuid4(), "+14155550108")
    right, told = run([call], monkeypatch)
    assert not right
    assert told[0].startswith("ok ")


def test_then_the_command_ends_with_an_error_and_keeps_the_logs(tmp_path: Path) -> None:
    class Differs:
        home = Home(tmp_path)

        def smoke(self, count: int) -> bool:
            return False

    with pytest.raises(CommandError, match="Not all is as it should be"):
        Command()._run(Differs(), 1)  # type: ignore[arg-type]
    assert tmp_path.exists()
