"""Webhooks that nobody may believe: forged, stale, tampered with, truncated. All along, against the web."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.db import connection

from agents.sandbox.retell import SIGNATURE_HEADER, sign
from calls.models import Call
from tests.storm import database
from tests.storm.notes import Notes
from tests.storm.world import World

MARKER = "FORGED-IN-THE-STORM"
"""In every body that must not be believed; no stored event may contain it."""
STALE_MS = 600_000
KINDS = ("unsigned", "forged", "stale", "ahead", "tampered", "truncated", "cut off")


class Forger(threading.Thread):
    """From `start` to `stop`: one false webhook after the other, about calls that are really on."""

    def __init__(self, world: World, notes: Notes) -> None:
        super().__init__(name="forger", daemon=True)
        self._world, self._notes = world, notes
        self._luck = world.plan.luck("forger")
        self._over = threading.Event()
        self._http = httpx.Client(timeout=15, limits=httpx.Limits(max_keepalive_connections=0))

    def run(self) -> None:
        while not self._over.wait(self._luck.uniform(0.3, 1.7) * self._world.plan.forge_every_s):
            kind = self._luck.choice(KINDS)
            try:
                self._send(kind, self._body())
            except httpx.HTTPError:
                self._notes.forged[f"{kind}: no answer"] += 1
        connection.close()

    def stop(self) -> None:
        self._over.set()
        self.join(30)

    def _body(self) -> bytes:
        """An end that did not happen, of the newest call the phone company knows."""
        newest = Call.objects.exclude(provider_call_id="").order_by("-requested_at")
        call = database.patiently(newest.values("pk", "provider_call_id", "counterpart", "our_number").first)
        told: dict[str, Any] = {
            "transcript": MARKER,
            "call_id": call["provider_call_id"] if call else "call_nobody",
            "call_type": "phone_call",
            "direction": "outbound",
            "to_number": call["counterpart"] if call else "+12125550100",
            "from_number": call["our_number"] if call else "+12125550190",
            "metadata": {"call_uuid": str(call["pk"])} if call else {},
            "call_status": "ended",
            "disconnection_reason": "user_hangup",
            "start_timestamp": int(time.time() * 1000) - 60_000,
            "end_timestamp": int(time.time() * 1000) + 60_000,
            "duration_ms": 999_999,
            "call_cost": {"combined_cost": 99_999},
        }
        return json.dumps({"event": "call_ended", "call": told}).encode()

    def _send(self, kind: str, body: bytes) -> None:
        key, now_ms = self._world.key, int(time.time() * 1000)
        if kind == "cut off":
            self._hang_up_in_the_middle(body, sign(body, now_ms, key))
            return
        sent, signature = body, sign(body, now_ms, key)
        if kind == "forged":
            signature = sign(body, now_ms, "key_of_somebody_else")
        elif kind in ("stale", "ahead"):
            signature = sign(body, now_ms + (STALE_MS if kind == "ahead" else -STALE_MS), key)
        elif kind == "tampered":
            signature = sign(body.replace(b"999999", b"1000"), now_ms, key)
        elif kind == "truncated":
            sent = body[: self._luck.randrange(len(body) // 2, len(body))]
        headers = {} if kind == "unsigned" else {SIGNATURE_HEADER: signature}
        answer = self._http.post(f"{self._world.web_url}/webhook/retell", content=sent, headers=headers)
        self._notes.forged[f"{kind}: {answer.status_code}"] += 1
        if answer.is_success:
            self._notes.forged_accepted.append(f"{kind} was answered {answer.status_code}")

    def _hang_up_in_the_middle(self, body: bytes, signature: str) -> None:
        """Rightly signed, but the connection is gone before all of it has come."""
        address = urlsplit(self._world.web_url)
        head = (
            f"POST /webhook/retell HTTP/1.1\r\nHost: {address.netloc}\r\n{SIGNATURE_HEADER}: {signature}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            with socket.create_connection((address.hostname or "", address.port or 80), timeout=5) as wire:
                wire.sendall(head.encode() + body[: len(body) // 2])
        except OSError:
            self._notes.forged["cut off: no connection"] += 1
        else:
            self._notes.forged["cut off: sent"] += 1
