"""Retell at the far end of the network: answers by path, remembers what was asked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import retell

from agents.providers.base import (
    PlaceOrder,
)
from agents.providers.retell import RetellProvider

BASE = "https://api.retell.test"
KEY = "key_test_0123456789abcdef"
UUID = "8e3b7f2c-5f0e-4c39-9b1f-3c1d6f0a2b11"
TO, FROM = "+14155550100", "+14155550101"
SINCE = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SINCE_MS = 1795341600000

CALL = {"call_id": "call_1", "call_status": "ended", "call_type": "phone_call"}
AGENT: dict[str, Any] = {
    "agent_id": "agent_1",
    "agent_name": "Nora",
    "version": 4,
    "is_published": False,
    "base_version": 3,
    "voice_id": "retell-Cimo",
    "language": "en-US",
    "last_modification_timestamp": 1795341600000,
    "response_engine": {"type": "retell-llm", "llm_id": "llm_1", "version": 4},
}
LLM: dict[str, Any] = {
    "llm_id": "llm_1",
    "version": 4,
    "last_modification_timestamp": 1795341600000,
    "start_speaker": "agent",
    "begin_message": "Hello {{ first_name }}, this is Nora, an AI assistant.",
    "general_prompt": "You call for {{company}}. It is {{current_time_{{zone}} }}, {{current_hour}}.",
    "states": [{"name": "offer", "state_prompt": "Offer {{product}} to {{budget}}; call {{user_number}}."}],
    "general_tools": [
        {
            "type": "extract_dynamic_variable",
            "name": "note",
            "description": "What they say",
            "variables": [{"type": "string", "name": "budget", "description": "Their budget"}],
        }
    ],
    "default_dynamic_variables": {"company": "Acme"},
}
NUMBER: dict[str, Any] = {
    "phone_number": FROM,
    "phone_number_type": "custom",
    "nickname": "Main line",
    "last_modification_timestamp": 1795341600000,
    "inbound_agents": [{"agent_id": "agent_1", "weight": 1.0}],
    "outbound_agents": [{"agent_id": "agent_1", "weight": 0.5}, {"agent_id": "agent_2", "weight": 0.5}],
    "sip_outbound_trunk_config": {"termination_uri": "acme.pstn.twilio.com", "transport": "TCP"},
}


@dataclass
class Wire:
    """Answers by method and path, and remembers what was asked."""

    answers: Mapping[str, Any]
    seen: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.answers.get(f"{request.method} {request.url.path}")
        if callable(answer):
            answer = answer(request)
        if answer is None:
            return httpx.Response(404, json={"status": "error", "message": "Not found"})
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def asked(self) -> list[tuple[str, str, Any]]:
        return [shape(request) for request in self.seen]


def shape(request: httpx.Request) -> tuple[str, str, Any]:
    target = request.url.raw_path.decode()
    return request.method, target, json.loads(request.content) if request.content else None


def ours(answers: Mapping[str, Any]) -> tuple[RetellProvider, Wire]:
    wire = Wire(answers)
    provider = RetellProvider(
        base_url=BASE, api_key=KEY, webhook_keys=[KEY], transport=httpx.MockTransport(wire)
    )
    return provider, wire


def theirs(ask: Callable[[retell.Retell], object], answer: Any = None) -> httpx.Request:
    """The request that Retell's own library makes."""
    seen: list[httpx.Request] = []

    def remember(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=answer if answer is not None else {})

    client = retell.Retell(
        api_key=KEY,
        base_url=BASE,
        http_client=httpx.Client(transport=httpx.MockTransport(remember)),
        max_retries=0,
    )
    ask(client)
    return seen[0]


def order(**changes: Any) -> PlaceOrder:
    given: dict[str, Any] = {
        "call_uuid": UUID,
        "to_number": TO,
        "from_number": FROM,
        "provider_agent_id": "agent_1",
        "agent_version": "4",
        "variables": {"first_name": "Zoë 👍", "empty": ""},
        "metadata": {"lead": "17"},
    }
    return PlaceOrder(**{**given, **changes})


def place(provider: RetellProvider, body: bytes | None = None) -> Any:
    body = body if body is not None else provider.placement(order())
    return provider.place(body, give_up_s=5.0, started=time.monotonic())


LISTED = {"items": [], "has_more": False}
FILTER_OURS = {"type": "string", "op": "eq", "key": "call_uuid", "value": UUID}


ANSWERS: dict[str, Any] = {
    "POST /v2/create-phone-call": httpx.Response(201, json=CALL),
    "GET /v2/get-call/call_1": CALL,
    "POST /v3/list-calls": LISTED,
    "POST /v2/stop-call/call_1": httpx.Response(204),
    "PATCH /v2/update-live-call/call_1": {"success": True},
    "POST /v2/list-agents": LISTED,
    "GET /get-agent/agent_1": AGENT,
    "GET /get-retell-llm/llm_1": LLM,
    "GET /list-agent-versions/agent_1": {
        "items": [
            {"version": 4, "is_published": False, "last_modification_timestamp": 2},
            {"version": 3, "is_published": True, "last_modification_timestamp": 1},
        ],
        "has_more": False,
    },
    "PATCH /update-agent/agent_1": AGENT,
    "PATCH /update-retell-llm/llm_1": LLM,
    "GET /v2/list-phone-numbers": {"items": [NUMBER], "has_more": False},
    f"PATCH /update-phone-number/{FROM}": NUMBER,
    "GET /get-concurrency": {"current_concurrency": 3, "concurrency_limit": 20},
    "GET /get-api-key-info": {"org_id": "org_1", "org_name": "Acme", "api_key_name": "desk"},
}
