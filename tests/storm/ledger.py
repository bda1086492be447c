"""The network's own account of what happened, fetched when all is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from tests.storm.world import World

AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Heard:
    """One attempt to ask our web who answers a call coming in. `status` 0: no answer."""

    call_id: str
    at_ms: int
    elapsed_ms: int
    status: int
    error: str


class Ledger:
    def __init__(self, world: World) -> None:
        self._http = httpx.Client(base_url=world.sandbox_url, timeout=120)
        self._key = world.key
        whole = self._http.get("/control/ledger").raise_for_status().json()
        self.summary: dict[str, Any] = whole["summary"]
        self.calls: list[dict[str, Any]] = whole["calls"]
        self.creates: list[dict[str, Any]] = whole["creates"]

    def told(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Each call as the network knows it, and as the provider's API shows it to whoever asks now."""
        shown = [entry for entry in self.calls if entry["agent_id"]]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from zip(shown, pool.map(lambda entry: self._shown(entry["call_id"]), shown), strict=True)

    def _shown(self, call_id: str) -> dict[str, Any]:
        answer = self._http.get(
            f"/v2/get-call/{call_id}", headers={"Authorization": f"Bearer {self._key}"}
        ).raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def inbound_questions(self) -> list[Heard]:
        """Every attempt of every question who answers."""
        return [
            Heard(one["call_id"], one["at_ms"], one["elapsed_ms"], one["status"], one["error"])
            for entry in self.calls
            if entry["direction"] == "inbound"
            for one in self._http.get(f"/control/ledger/{entry['call_id']}").json()["webhooks"]
            if one["event"] == "call_inbound"
        ]
