"""A telephone network that is started again still knows its calls, and finishes those it broke off."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from agents.sandbox.account import Account
from agents.sandbox.archive import Archive
from agents.sandbox.network import NoSuchCall
from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import FIXED_KEY, Sandbox

INTERESTED = "+14155550101"
RINGS_LONG = "+14155550109"
AUTHORIZED = {"Authorization": f"Bearer {FIXED_KEY}"}


def network(path: Path, **options: Any) -> Sandbox:
    sandbox = Sandbox(**{"speed": 1000.0, **options})
    sandbox.network.archive = Archive(path, sandbox.account)
    return sandbox


def dial(sandbox: Sandbox, number: str) -> str:
    answer = httpx.post(
        f"{sandbox.url}/v2/create-phone-call",
        headers=AUTHORIZED,
        json={"from_number": NUMBERS[0], "to_number": number},
    )
    return str(answer.raise_for_status().json()["call_id"])


def fetched(sandbox: Sandbox, call_id: str) -> dict[str, Any]:
    answer = httpx.get(f"{sandbox.url}/v2/get-call/{call_id}", headers=AUTHORIZED)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def wait_until_analysed(sandbox: Sandbox, call_id: str) -> dict[str, Any]:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found = fetched(sandbox, call_id)
        if "call_analysis" in found:
            return found
        time.sleep(0.02)
    pytest.fail(f"{call_id} was never analysed")


def test_a_call_is_told_the_same_after_a_restart_and_plays(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with network(path) as first:
        call_id = dial(first, INTERESTED)
        before = wait_until_analysed(first, call_id)
    with network(path) as second:
        after = fetched(second, call_id)
        sound = httpx.get(after["recording_url"])
    ports = (first.url, second.url)
    assert {**after, "recording_url": ""} == {**before, "recording_url": ""}
    assert after["recording_url"].removeprefix(ports[1]) == before["recording_url"].removeprefix(ports[0])
    assert sound.status_code == 200
    assert len(sound.content) > 50_000


def test_a_call_that_broke_off_with_the_network_is_ended_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with network(path, speed=0.01) as first:
        call_id = dial(first, RINGS_LONG)
    with network(path) as second:
        second.network.resume()
        found = wait_until_analysed(second, call_id)
    assert found["disconnection_reason"] == "error_unknown"
    assert found["call_status"] == "error"
    assert list(Archive(path, Account(inbound_webhook_url=None, seed=1)).unfinished()) == []


def test_a_call_that_was_never_made_is_unknown_with_an_archive_too(tmp_path: Path) -> None:
    with network(tmp_path / "calls.jsonl") as sandbox, pytest.raises(NoSuchCall):
        sandbox.network.call("call_nobody_made")


def test_what_others_add_to_the_file_is_found_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with network(path) as writer, network(path) as reader:
        call_id = dial(writer, INTERESTED)
        told = wait_until_analysed(writer, call_id)
        assert fetched(reader, call_id)["transcript"] == told["transcript"]
