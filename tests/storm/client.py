"""Another system: asks through REST, and asks again with the same key until it is answered."""

from __future__ import annotations

import time
from typing import Any

import httpx

PATIENCE_S = 180.0
PAUSE_S = 0.2


class NoAnswer(Exception):
    """Nothing definite came for minutes."""


class Client:
    """That calling is stopped (503) is given back; after other 5xx and lost connections it asks again."""

    def __init__(self, base_url: str, secret: str) -> None:
        self._http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {secret}"},
            timeout=15,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def post(self, path: str, body: dict[str, Any], key: str = "") -> tuple[int, dict[str, Any]]:
        """Status and JSON. Raises NoAnswer."""
        headers = {"Idempotency-Key": key} if key else {}
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                answer = self._http.post(path, json=body, headers=headers)
                found = answer.json() if answer.content else {}
            except (httpx.HTTPError, ValueError):
                time.sleep(PAUSE_S)
                continue
            stopped = answer.status_code == 503 and found.get("code") == "calling_stopped"
            if answer.status_code == 429 or (answer.status_code >= 500 and not stopped):
                time.sleep(PAUSE_S)
                continue
            return answer.status_code, found
        raise NoAnswer(f"POST {path} was not answered for {PATIENCE_S:.0f} s")
