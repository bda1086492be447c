"""The phone company at the far edge of the network: answers as told, remembers what it was sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from agents.providers.retell import RetellProvider

KEY = "key_test_0123456789abcdef"
ONLY_WHOLE = {"transcript", "transcript_object", "transcript_with_tool_calls"}
"""What a list of calls leaves out."""
Answer = Callable[[httpx.Request], httpx.Response]


def accepted(call_id: str = "call_far_1") -> httpx.Response:
    return httpx.Response(
        201, json={"call_id": call_id, "call_status": "registered", "call_type": "phone_call"}
    )


def says(status: int, message: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"status": "error", "message": message}, headers=headers)


@dataclass
class FarEnd:
    """`creates` answers create-phone-call in turn, the last for ever; `listed` is what list-calls finds."""

    creates: list[httpx.Response | Exception] = field(default_factory=lambda: [accepted()])
    listed: list[dict[str, Any]] = field(default_factory=list)
    concurrency: httpx.Response = field(
        default_factory=lambda: httpx.Response(200, json={"current_concurrency": 0, "concurrency_limit": 20})
    )
    key_info: httpx.Response = field(default_factory=lambda: httpx.Response(200, json={"org_id": "org_1"}))
    on_create: Callable[[], None] | None = None
    sent: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        if request.url.path == "/v2/create-phone-call":
            self.sent.append(json.loads(request.content))
            if self.on_create is not None:
                self.on_create()
            answer = self.creates.pop(0) if len(self.creates) > 1 else self.creates[0]
            if isinstance(answer, Exception):
                raise answer
            return answer
        if request.url.path == "/v3/list-calls":
            items = [{name: call[name] for name in call if name not in ONLY_WHOLE} for call in self.listed]
            return httpx.Response(200, json={"items": items, "has_more": False})
        if request.url.path.startswith("/v2/get-call/"):
            call_id = request.url.path.rsplit("/", 1)[1]
            found = next((call for call in self.listed if call["call_id"] == call_id), None)
            return httpx.Response(200, json=found) if found else says(422, "Cannot find requested asset")
        if request.url.path.startswith("/v2/stop-call/"):
            return httpx.Response(204)
        if request.url.path == "/get-concurrency":
            return self.concurrency
        if request.url.path == "/get-api-key-info":
            return self.key_info
        raise AssertionError(f"nobody answers {request.url.path}")

    def provider(self) -> RetellProvider:
        return RetellProvider(
            base_url="https://api.retell.test",
            api_key=KEY,
            webhook_keys=[KEY],
            transport=httpx.MockTransport(self),
            ask_deadline_s=1.0,
        )


def theirs(call_id: str, *, call_uuid: str | None = None, **fields: Any) -> dict[str, Any]:
    """A call as the phone company has it."""
    known: dict[str, Any] = {
        "call_id": call_id,
        "call_type": "phone_call",
        "agent_id": "agent_1",
        "agent_version": 1,
        "call_status": "registered",
        "direction": "outbound",
        "from_number": "+14155550199",
        "to_number": "+14155550101",
    }
    if call_uuid:
        known["metadata"] = {"call_uuid": call_uuid}
    return known | fields
