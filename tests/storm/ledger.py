"""The network's own account of what happened, fetched when all is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from tests.storm.world import World

AT_ONCE = 4
PAGE = 5000


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
        self.summary: dict[str, Any] = self._get("/control/ledger/summary")
        self.calls = list(self._pages("calls"))
        self.creates = list(self._pages("creates"))

    def told(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Each call as the network knows it, and as the provider's API shows it to whoever asks now."""
        shown = [entry for entry in self.calls if entry["agent_id"]]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from zip(shown, pool.map(lambda entry: self._shown(entry["call_id"]), shown), strict=True)

    def inbound_questions(self) -> list[Heard]:
        """Every attempt of every question who answers."""
        return [
            Heard(one["call_id"], one["at_ms"], one["elapsed_ms"], one["status"], one["error"])
            for one in self._pages("webhooks")
            if one["event"] == "call_inbound"
        ]

    def _shown(self, call_id: str) -> dict[str, Any]:
        return self._get(f"/v2/get-call/{call_id}", Authorization=f"Bearer {self._key}")

    def _pages(self, book: str) -> Iterator[dict[str, Any]]:
        after: int | None = 0
        while after is not None:
            page = self._get(f"/control/ledger/{book}?after={after}&limit={PAGE}")
            yield from page["items"]
            after = page["next"]

    def _get(self, path: str, **headers: str) -> dict[str, Any]:
        found: dict[str, Any] = self._http.get(path, headers=headers).raise_for_status().json()
        return found
