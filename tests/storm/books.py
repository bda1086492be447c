"""One call of ours against the network's account of it, read without any code of the product's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from calls.models import Call, CallStatus, Outcome

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROS_PER_CENT = 10_000
HOW_IT_ENDED: Mapping[str, str] = {
    "dial_no_answer": Outcome.NO_ANSWER, "dial_busy": Outcome.BUSY, "user_declined": Outcome.DECLINED,
    "invalid_destination": Outcome.INVALID_NUMBER, "network_blocked": Outcome.BLOCKED,
    "marked_as_spam": Outcome.BLOCKED, "dial_failed": Outcome.FAILED, "error_retell": Outcome.FAILED,
    "voicemail_reached": Outcome.VOICEMAIL, "ivr_reached": Outcome.SCREENED,
    "user_hangup": Outcome.CONNECTED, "agent_hangup": Outcome.CONNECTED, "inactivity": Outcome.CONNECTED,
    "user_requested_callback": Outcome.CONNECTED, "user_requested_dnc": Outcome.CONNECTED,
    "transfer_cancelled": Outcome.CONNECTED, "manual_stopped": Outcome.CONNECTED,
}  # fmt: skip
"""What each of the network's reasons means for a call; a phone that screens callers is not judged by it."""
SPEAKERS = {"agent", "user", "transfer_target"}


def differences(call: Call, entry: Mapping[str, Any], told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what kind of thing differs, both sides of it). `entry` is the ledger's, `told` get-call's."""
    analysis = told.get("call_analysis") or {}
    transcript = getattr(call, "transcript", None)
    connected = entry["connected"]
    pairs: list[tuple[str, Any, Any]] = [
        ("ids", call.provider_call_id, entry["call_id"]),
        ("ids", call.direction, entry["direction"]),
        ("ids", _theirs(call), (entry["from_number"], entry["to_number"])),
        ("outcomes", call.status == CallStatus.ENDED, entry["stage"] == "over"),
        ("outcomes", call.disconnection_reason, entry["disconnection_reason"]),
        ("outcomes", _fitting(call, entry, analysis), call.outcome),
        ("durations", call.duration_ms, told.get("duration_ms")),
        ("durations", call.answered_at, _moment(told.get("start_timestamp")) if connected else None),
        ("transcripts", transcript.text if transcript else "", told.get("transcript") or ""),
        ("transcripts", _our_turns(transcript), _their_turns(told)),
        ("analyses", call.summary, analysis.get("call_summary") or ""),
        ("analyses", call.sentiment, (analysis.get("user_sentiment") or "").lower()),
        ("analyses", call.successful, analysis.get("call_successful")),
        ("analyses", call.in_voicemail, analysis.get("in_voicemail")),
        ("analyses", call.analysis, analysis.get("custom_analysis_data") or {}),
        ("costs", call.cost_micros, _micros(told)),
    ]
    if connected:
        pairs.append(("durations", call.ended_at, _moment(told.get("end_timestamp"))))
    return [
        (kind, f"{_short(ours)}, the network says {_short(theirs)}")
        for kind, ours, theirs in pairs
        if ours != theirs
    ]


def _theirs(call: Call) -> tuple[str, str]:
    pair = (call.our_number, call.counterpart)
    return pair if call.direction == "outbound" else (pair[1], pair[0])


def _fitting(call: Call, entry: Mapping[str, Any], analysis: Mapping[str, Any]) -> str:
    """How the call ended, in our words; where the network's do not tell, whatever we say."""
    if entry["kind"] == "screening":
        return call.outcome
    if entry["disconnection_reason"] == "manual_stopped" and not entry["connected"]:
        return Outcome.CANCELED
    outcome = HOW_IT_ENDED.get(entry["disconnection_reason"], call.outcome)
    heard_voicemail = outcome == Outcome.CONNECTED and analysis.get("in_voicemail")
    return Outcome.VOICEMAIL if heard_voicemail else outcome


def _our_turns(transcript: Any) -> list[tuple[str, str]]:
    turns = transcript.turns if transcript else []
    return [(turn["role"], turn["content"]) for turn in turns if turn["role"] in SPEAKERS]


def _their_turns(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(line["role"], line["content"]) for line in told.get("transcript_object") or []]


def _moment(ms: int | None) -> datetime | None:
    return EPOCH + timedelta(milliseconds=ms) if ms else None


def _micros(told: Mapping[str, Any]) -> int | None:
    cents = (told.get("call_cost") or {}).get("combined_cost")
    return None if cents is None else round(Decimal(str(cents)) * MICROS_PER_CENT)


def _short(value: object) -> str:
    return repr(value)[:120]
