"""Reading what the customer sends under the article's contract, and refusing it in the article's words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Response

from agents.sandbox.retell_answers import ApiError
from agents.sandbox.retell_requests import number_in, read_json, read_metadata, read_strings

__all__ = ["CallOrder", "number_in", "read_assistant", "read_call", "read_stop", "refusal"]

E164 = re.compile(r"^\+[1-9]\d{1,14}$")
CODES: Mapping[int, str] = {
    400: "invalid_request",
    401: "unauthorized",
    403: "insufficient_credits",
    429: "rate_limited",
}
ENGINES = ("retell-llm", "custom-llm")
RANGES: Mapping[tuple[str, str], tuple[float, float]] = {
    ("model", "temperature"): (0, 2),
    ("model", "max_tokens"): (1, 4096),
    ("voice", "speed"): (0.5, 2),
    ("voice", "stability"): (0, 1),
    ("voice", "similarity_boost"): (0, 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOrder:
    from_number: str
    to_number: str
    assistant_id: str
    assistant: dict[str, Any] | None
    """In place of the id: an assistant for this call alone."""
    metadata: dict[str, Any]
    variables: dict[str, str]


def refusal(problem: ApiError) -> Response:
    """`message` and `codes`, as the article reads them."""
    code = "invalid_phone_number" if problem.why == "number not E.164" else CODES.get(problem.status, "error")
    body = json.dumps({"message": problem.message, "codes": [code]}, ensure_ascii=False)
    return Response(body, status=problem.status, headers=problem.headers, content_type="application/json")


def read_call(body: bytes) -> CallOrder:
    found = read_json(body)
    assistant_id, assistant = found.get("assistant_id"), found.get("assistant")
    if (assistant_id is None) == (assistant is None):
        raise ApiError(400, "Give either assistant_id or assistant, not both", why="not one assistant")
    if assistant is not None:
        assistant = check_assistant(assistant)
    elif not isinstance(assistant_id, str) or not assistant_id:
        raise ApiError(400, "assistant_id must be a string")
    return CallOrder(
        from_number=_number(found, "from_number"),
        to_number=_number(found, "to_number"),
        assistant_id=assistant_id or "",
        assistant=assistant,
        metadata=read_metadata(found.get("metadata")) or {},
        variables=read_strings(found.get("retell_llm_dynamic_variables"), "retell_llm_dynamic_variables")
        or {},
    )


def read_assistant(body: bytes) -> dict[str, Any]:
    return check_assistant(read_json(body))


def read_stop(body: bytes) -> tuple[str, str]:
    """The call's id and the utterance's."""
    found = read_json(body)
    given = found.get("call_id"), found.get("utterance_id")
    if not all(isinstance(one, str) and one for one in given):
        raise ApiError(400, "call_id and utterance_id must be strings")
    return str(given[0]), str(given[1])


def check_assistant(found: object) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ApiError(400, "assistant must be an object")
    if not isinstance(found.get("name"), str) or not found["name"]:
        raise ApiError(400, "name must be a string")
    for part, needed in (
        ("model", ("provider", "model")),
        ("voice", ("provider", "voice_id")),
        ("transcriber", ("provider", "language")),
        ("response_engine", ("type", "llm_websocket_url")),
    ):
        given = found.get(part)
        if not isinstance(given, dict) or not all(
            isinstance(given.get(name), str) and given[name] for name in needed
        ):
            raise ApiError(400, f"{part} must be an object with {', '.join(needed)}")
    for (part, name), (low, high) in RANGES.items():
        value = found[part].get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ApiError(400, f"{part}.{name} must be between {low:g} and {high:g}")
    engine = found["response_engine"]
    if engine["type"] not in ENGINES or not engine["llm_websocket_url"].startswith(("wss://", "ws://")):
        raise ApiError(400, "response_engine must have a known type and a WebSocket address")
    return found


def _number(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not E164.match(value):
        raise ApiError(400, f"Invalid phone number format: {name}", why="number not E.164")
    return value
