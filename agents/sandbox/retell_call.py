"""Retell's call object, as get-call, list-calls and the webhooks show it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from agents.sandbox.conversation import Turn
from agents.sandbox.phone_call import Event, PhoneCall

NOT_CONNECTED = frozenset(
    {
        "dial_no_answer", "dial_busy", "user_declined", "dial_failed", "invalid_destination",
        "marked_as_spam", "network_blocked", "telephony_provider_permission_denied",
        "telephony_provider_unavailable", "sip_routing_error", "manual_stopped",
    }
)  # fmt: skip
ERRORS = frozenset(
    {
        "concurrency_limit_reached", "no_concurrency_fallback", "no_valid_payment", "credit_exhausted",
        "budget_reached", "scam_detected", "registered_call_timeout",
    }
)  # fmt: skip
"""Ends that Retell calls `error`, beside all that begin with error_."""

TARIFF = {"retell_platform": 0.0917, "elevenlabs_tts": 0.0667, "gpt_5_mini": 0.02, "us_telephony": 0.025}
"""What the sandbox reckons with, in US cents a second; it bills nobody."""

EVENT_NAMES: dict[Event, str] = {
    Event.CONNECTED: "call_started",
    Event.TURN: "transcript_updated",
    Event.TRANSFER_STARTED: "transfer_started",
    Event.TRANSFER_CANCELLED: "transfer_cancelled",
    Event.TRANSFER_BRIDGED: "transfer_bridged",
    Event.TRANSFER_ENDED: "transfer_ended",
    Event.ENDED: "call_ended",
    Event.ANALYSED: "call_analyzed",
}
DEFAULT_EVENTS = ("call_started", "call_ended", "call_analyzed")
"""Sent for an agent whose `webhook_events` is not set."""

RecordingUrl = Callable[[PhoneCall], str]


def status_of(call: PhoneCall) -> str:
    if not call.over:
        return "ongoing" if call.connected else "registered"
    if call.reason in ERRORS or call.reason.startswith("error_"):
        return "error"
    return "ended" if call.connected else "not_connected"


def call_object(
    call: PhoneCall, recording_url: RecordingUrl, *, with_transcripts: bool = True
) -> dict[str, Any]:
    """All that is known of the call now; what is not known yet is absent, never null."""
    body = basics(call)
    if call.connected:
        body["start_timestamp"] = call.answered_ms
    if not call.over:
        return body
    body["disconnection_reason"] = call.reason
    if call.connected:
        body["end_timestamp"] = call.ended_ms
        body["duration_ms"] = call.duration_ms()
        if call.storage != "basic_attributes_only":
            if with_transcripts:
                body.update(transcripts(call))
            body["recording_url"] = recording_url(call)
        body["latency"] = latency(call)
        body["llm_token_usage"] = token_usage(call)
        body["collected_dynamic_variables"] = dict(call.variables)
    body["call_cost"] = cost(call)
    if call.analysed:
        body["call_analysis"] = call.analysis()
    return body


def basics(call: PhoneCall) -> dict[str, Any]:
    body: dict[str, Any] = {
        "call_id": call.id,
        "call_type": "phone_call",
        "agent_id": call.agent["agent_id"],
        "agent_version": call.agent["version"],
        "agent_name": call.agent.get("agent_name"),
        "call_status": status_of(call),
        "direction": call.direction,
        "from_number": call.from_number,
        "to_number": call.to_number,
        "telephony_identifier": {"twilio_call_sid": "CA" + call.id.removeprefix("call_")},
        "data_storage_setting": call.storage,
        "opt_in_signed_url": bool(call.agent.get("opt_in_signed_url")),
    }
    if call.metadata is not None:
        body["metadata"] = call.metadata
    if call.given_variables is not None:
        body["retell_llm_dynamic_variables"] = call.given_variables
    if call.sip_headers is not None:
        body["custom_sip_headers"] = call.sip_headers
    return body


def transcripts(call: PhoneCall) -> dict[str, Any]:
    turns = call.so_far()
    names = {"agent": "Agent", "user": "User", "transfer_target": "Transfer Target"}
    return {
        "transcript": "".join(f"{names[turn.role]}: {turn.content}\n" for turn in turns),
        "transcript_object": [utterance(turn) for turn in turns],
        "transcript_with_tool_calls": with_tool_calls(call, turns),
    }


def utterance(turn: Turn) -> dict[str, Any]:
    return {
        "role": turn.role,
        "content": turn.content,
        "words": [
            {"word": word.word, "start": round(word.start, 3), "end": round(word.end, 3)}
            for word in turn.words
        ],
    }


def with_tool_calls(call: PhoneCall, turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """What was said with what was done in between, in order of time."""
    items: list[tuple[float, dict[str, Any]]] = [(turn.start_s, utterance(turn)) for turn in turns]
    heard_s = turns[-1].end_s if turns else 0.0
    if call.transfer_at_s is not None:
        items += transfer_items(call, heard_s)
    items += [
        (second, {"role": "injected", "content": text, "time_sec": second}) for text, second in call.injected
    ]
    items.sort(key=lambda item: item[0])
    return [item for _, item in items]


def transfer_items(call: PhoneCall, heard_s: float) -> list[tuple[float, dict[str, Any]]]:
    assert call.transfer_at_s is not None
    tried_s, known_s = call.transfer_at_s
    tool = {"tool_call_id": f"tool_{call.id[-8:]}"}
    items: list[tuple[float, dict[str, Any]]] = []
    if heard_s + 0.01 >= tried_s:
        arguments = json.dumps({"destination": call.transfer_to})
        invocation = {"role": "tool_call_invocation", "name": "transfer_call", "arguments": arguments, **tool}
        items.append((tried_s, invocation))
    if heard_s + 0.01 >= known_s:
        taken = call.reason in {"call_transfer", "transfer_bridged"}
        content = "Transferred." if taken else "The transfer was not answered."
        items.append((known_s, {"role": "tool_call_result", "content": content, "successful": taken, **tool}))
    return items


def cost(call: PhoneCall) -> dict[str, Any]:
    """In US cents. A call nobody picked up costs nothing."""
    seconds = call.duration_ms() / 1000 if call.connected else 0.0
    costs = {product: round(price * seconds, 4) for product, price in TARIFF.items() if seconds}
    return {
        "combined_cost": round(sum(costs.values()), 4),
        "product_costs": [
            {"product": product, "unit_price": TARIFF[product], "cost": part}
            for product, part in costs.items()
        ],
        "total_duration_seconds": round(seconds),
        "total_duration_unit_price": round(sum(TARIFF.values()), 4) if seconds else 0,
    }


def latency(call: PhoneCall) -> dict[str, Any]:
    chance = Random(f"latency:{call.customer}:{call.attempt}")  # noqa: S311  repeatable on purpose
    count = max(1, sum(turn.role == "agent" for turn in call.conversation.turns) if call.conversation else 1)

    def group(usual_ms: float) -> dict[str, Any]:
        values = sorted(round(usual_ms * chance.uniform(0.7, 1.6)) for _ in range(count))

        def percentile(share: float) -> int:
            return values[min(count - 1, int(share * count))]

        return {
            "p50": percentile(0.5),
            "p90": percentile(0.9),
            "p95": percentile(0.95),
            "p99": percentile(0.99),
            "min": values[0],
            "max": values[-1],
            "num": count,
            "values": values,
        }

    return {"e2e": group(980), "asr": group(180), "llm": group(520), "tts": group(240)}


def token_usage(call: PhoneCall) -> dict[str, Any]:
    turns = [turn for turn in call.conversation.turns if turn.role == "agent"] if call.conversation else []
    values = [420 + 3 * len(turn.content) + 60 * place for place, turn in enumerate(turns)]
    return {
        "values": values,
        "average": round(sum(values) / len(values), 1) if values else 0,
        "num_requests": len(values),
    }


def event_body(event: Event, call: PhoneCall, recording_url: RecordingUrl) -> dict[str, Any]:
    """The webhook's JSON: `call_started` basic, `call_ended` without analysis, the rest whole."""
    body: dict[str, Any] = {"event": EVENT_NAMES[event]}
    if event is Event.CONNECTED:
        body["call"] = {**basics(call), "start_timestamp": call.answered_ms}
        return body
    body["call"] = call_object(call, recording_url)
    if event is Event.TURN and call.storage != "basic_attributes_only":
        body["transcript_with_tool_calls"] = with_tool_calls(call, call.so_far())
    elif event in {Event.TRANSFER_STARTED, Event.TRANSFER_BRIDGED, Event.TRANSFER_CANCELLED}:
        body["transfer_destination"] = call.transfer_to
        body["transfer_option"] = {"type": "cold_transfer"}
    elif event is Event.ENDED:
        body["call"].pop("call_analysis", None)
    return body
