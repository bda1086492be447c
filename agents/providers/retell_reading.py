"""What Retell says about a call, read into `CallFacts`. Source: retell-sdk 6.2.13 and its webhook page.

The tables come first: Retell's word on the left, ours on the right. Unknown words are kept raw.
"""

from __future__ import annotations

import dataclasses
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from agents.phone import is_e164
from agents.providers.base import (
    AnsweredBy,
    CallFacts,
    Ending,
    EventKind,
    Fault,
    InboundAsk,
    Outcome,
    ProviderEvent,
    RetryClass,
    Stage,
    Turn,
    Unreadable,
    Word,
)
from agents.providers.live import LiveEvent, LiveKind


def _ends(
    outcome: Outcome,
    answered_by: AnsweredBy,
    retry: RetryClass,
    fault: Fault = Fault.NONE,
    **flags: Any,
) -> Ending:
    return Ending(outcome=outcome, answered_by=answered_by, retry=retry, fault=fault, **flags)


# UNCLEAR leaves it to the call itself whether anybody answered (see `_settled`); the others are certain.
ENDINGS: Mapping[str, Ending] = {
    # a conversation
    "user_hangup": _ends(Outcome.CONNECTED, AnsweredBy.PERSON, RetryClass.NO),
    "agent_hangup": _ends(Outcome.CONNECTED, AnsweredBy.PERSON, RetryClass.NO),
    "user_requested_dnc": _ends(Outcome.CONNECTED, AnsweredBy.PERSON, RetryClass.NO, opted_out=True),
    "user_requested_callback": _ends(Outcome.CONNECTED, AnsweredBy.PERSON, RetryClass.REVIEW, call_back=True),
    "call_transfer": _ends(Outcome.CONNECTED, AnsweredBy.PERSON, RetryClass.NO),
    "transfer_bridged": _ends(Outcome.CONNECTED, AnsweredBy.PERSON, RetryClass.NO),
    "transfer_cancelled": _ends(Outcome.CONNECTED, AnsweredBy.PERSON, RetryClass.REVIEW),
    "call_take_over": _ends(Outcome.CONNECTED, AnsweredBy.PERSON, RetryClass.NO),
    "max_duration_reached": _ends(Outcome.CONNECTED, AnsweredBy.PERSON, RetryClass.NO),
    "inactivity": _ends(Outcome.CONNECTED, AnsweredBy.UNCLEAR, RetryClass.LATER),
    # stopped by us or in the dashboard, perhaps while it was still ringing
    "manual_stopped": _ends(Outcome.CONNECTED, AnsweredBy.UNCLEAR, RetryClass.NO, stopped=True),
    # a machine
    "voicemail_reached": _ends(Outcome.VOICEMAIL, AnsweredBy.MACHINE, RetryClass.LATER),
    # Retell has no reason of its own for a phone that screens callers: its agent talks to the screener
    # (`call_screening_option`), and what was not talked through ends here, with the menus of companies.
    "ivr_reached": _ends(Outcome.SCREENED, AnsweredBy.SCREENING, RetryClass.LATER),
    # nobody
    "dial_no_answer": _ends(Outcome.NO_ANSWER, AnsweredBy.NOBODY, RetryClass.LATER),
    "dial_busy": _ends(Outcome.BUSY, AnsweredBy.NOBODY, RetryClass.LATER),
    "user_declined": _ends(Outcome.DECLINED, AnsweredBy.NOBODY, RetryClass.LATER),
    "invalid_destination": _ends(Outcome.INVALID_NUMBER, AnsweredBy.NOBODY, RetryClass.NO),
    "marked_as_spam": _ends(Outcome.BLOCKED, AnsweredBy.NOBODY, RetryClass.FIX, Fault.NUMBER),
    "network_blocked": _ends(Outcome.BLOCKED, AnsweredBy.NOBODY, RetryClass.FIX, Fault.NUMBER),
    "dial_failed": _ends(Outcome.FAILED, AnsweredBy.NOBODY, RetryClass.LATER),
    "telephony_provider_permission_denied": _ends(
        Outcome.FAILED, AnsweredBy.NOBODY, RetryClass.FIX, Fault.NUMBER
    ),
    "telephony_provider_unavailable": _ends(Outcome.FAILED, AnsweredBy.NOBODY, RetryClass.SOON, Fault.LINE),
    "sip_routing_error": _ends(Outcome.FAILED, AnsweredBy.NOBODY, RetryClass.FIX, Fault.LINE),
    "registered_call_timeout": _ends(Outcome.FAILED, AnsweredBy.NOBODY, RetryClass.SOON, Fault.LINE),
    "error_user_not_joined": _ends(Outcome.FAILED, AnsweredBy.NOBODY, RetryClass.NO),
    # no room
    "concurrency_limit_reached": _ends(Outcome.FAILED, AnsweredBy.NOBODY, RetryClass.SOON, Fault.CAPACITY),
    "no_concurrency_fallback": _ends(Outcome.FAILED, AnsweredBy.NOBODY, RetryClass.SOON, Fault.CAPACITY),
    # the account; it can happen in the middle of a conversation
    "no_valid_payment": _ends(Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.FIX, Fault.ACCOUNT),
    "credit_exhausted": _ends(Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.FIX, Fault.ACCOUNT),
    "budget_reached": _ends(Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.FIX, Fault.ACCOUNT),
    "scam_detected": _ends(Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.FIX, Fault.AGENT),
    # our agent or Retell itself
    "error_llm_websocket_open": _ends(Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.FIX, Fault.AGENT),
    "error_llm_websocket_lost_connection": _ends(Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.REVIEW),
    "error_llm_websocket_runtime": _ends(Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.REVIEW),
    "error_llm_websocket_corrupt_payload": _ends(
        Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.FIX, Fault.AGENT
    ),
    "error_no_audio_received": _ends(Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.LATER),
    "error_asr": _ends(Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.LATER),
    "error_retell": _ends(Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.SOON, Fault.LINE),
    "error_unknown": _ends(Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.SOON, Fault.LINE),
}
OTHER_ENDING = _ends(Outcome.FAILED, AnsweredBy.UNCLEAR, RetryClass.REVIEW, known=False)

EVENTS: Mapping[str, tuple[EventKind, Stage]] = {
    "call_started": (EventKind.FACT, Stage.CONNECTED),
    "call_ended": (EventKind.FACT, Stage.ENDED),
    "call_analyzed": (EventKind.FACT, Stage.ANALYSED),
    "transfer_started": (EventKind.FACT, Stage.CONNECTED),
    "transfer_bridged": (EventKind.FACT, Stage.CONNECTED),
    "transfer_cancelled": (EventKind.FACT, Stage.CONNECTED),
    # The leg after the agent has left: whether the call is over is said by call_ended.
    "transfer_ended": (EventKind.FACT, Stage.CONNECTED),
    "transcript_updated": (EventKind.LIVE, Stage.CONNECTED),
}
LIVE_NAMES = tuple(name.encode() for name, (kind, _stage) in EVENTS.items() if kind is EventKind.LIVE)
BESIDE_THE_CALL: tuple[str, ...] = ("transcript_with_tool_calls", "transfer_destination")
STATUSES: Mapping[str, Stage] = {
    "registered": Stage.KNOWN,
    "ongoing": Stage.CONNECTED,
    "ended": Stage.ENDED,
    "not_connected": Stage.ENDED,
    "error": Stage.ENDED,
}
SENTIMENTS = frozenset({"positive", "neutral", "negative", "unknown"})

MICROS_PER_CENT = 10_000
LARGEST_MS = 2**31 - 1
LARGEST_STAMP_MS = 253_402_300_799_999  # the last millisecond a datetime can hold
LARGEST_MICROS = 2**63 - 1
# Nothing of Retell's is longer; a body that claims so must not break the row it belongs to.
LONGEST_ID = 120
LONGEST_REASON = 80
LONGEST_STATUS = 40
LONGEST_URL = 2000
NUMBERS = (int, float)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`, with what no database can hold (NUL, half surrogates, NaN) replaced.

    Raises Unreadable.
    """
    try:
        text = body.decode()
        value = json.loads(text, parse_constant=lambda _name: None, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"The body is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unreadable("The body is no JSON object.")
    readable: dict[str, Any] = value
    if "\\u0000" in text or "\\ud" in text or "\\uD" in text:
        readable = _storable(value)
    return readable


def read_event(body: bytes) -> ProviderEvent:
    """How far the call is comes from the event's name: samples of `call_ended` still say "registered"."""
    value = read_object(body)
    name, call = value.get("event"), value.get("call")
    if not isinstance(name, str) or not name:
        raise Unreadable("The body names no event.")
    kind, stage = EVENTS.get(name, (EventKind.OTHER, Stage.KNOWN))
    if not isinstance(call, dict):
        if kind is EventKind.OTHER:
            return ProviderEvent(name=name, kind=kind, facts=None)
        raise Unreadable(f"{name} carries no call.")
    if call.get("call_type") == "web_call":
        return ProviderEvent(name=name, kind=EventKind.OTHER, facts=None)
    beside = {key: value[key] for key in BESIDE_THE_CALL if key in value}
    return ProviderEvent(name=name, kind=kind, facts=read_call({**beside, **call}, stage=stage))


def read_live(body: bytes) -> LiveEvent | None:
    """All that was said so far. Any other body is not even parsed: the webhook door asks this each time."""
    if not any(name in body for name in LIVE_NAMES):
        return None
    try:
        event = read_event(body)
    except Unreadable:
        return None
    if event.kind is not EventKind.LIVE or event.facts is None:
        return None
    return LiveEvent(
        provider_call_id=event.facts.provider_call_id,
        call_uuid=event.facts.call_uuid,
        kind=LiveKind.SO_FAR,
        turns=event.facts.turns or (),
    )


def read_fetched(call: Mapping[str, Any]) -> CallFacts:
    """A call as looked up, alone or in a list."""
    stage = STATUSES.get(str(call.get("call_status")), Stage.KNOWN)
    if _text(call, "disconnection_reason"):
        stage = Stage.ENDED
    if stage is Stage.ENDED and _object(call, "call_analysis"):
        stage = Stage.ANALYSED
    return read_call(call, stage=stage)


def read_call(call: Mapping[str, Any], *, stage: Stage) -> CallFacts:
    """Raises Unreadable when the call has no id; every other field may be absent or nonsense."""
    call_id = _text(call, "call_id")
    if call_id is None or len(call_id) > LONGEST_ID:
        raise Unreadable("The call has no call_id, or one that is none.")
    turns = _turns(call)
    reason = _text(call, "disconnection_reason")
    ending = ENDINGS.get(reason, OTHER_ENDING) if reason else None
    answered = _was_answered(call, ending, turns)
    analysis = _object(call, "call_analysis")
    return CallFacts(
        provider_call_id=call_id,
        stage=stage,
        call_uuid=our_id(call),
        direction=_one_of(call, "direction", {"inbound", "outbound"}),
        to_number=_number(call, "to_number"),
        from_number=_number(call, "from_number"),
        provider_agent_id=_text(call, "agent_id"),
        agent_version=_version(call),
        started_at=moment(call, "start_timestamp") if answered and stage > Stage.KNOWN else None,
        ended_at=moment(call, "end_timestamp"),
        duration_ms=_duration_ms(call, answered=answered),
        live_status=_short(call, "call_status", LONGEST_STATUS),
        disconnection_reason=_short(call, "disconnection_reason", LONGEST_REASON),
        ending=_settled(ending, answered=answered) if ending else None,
        turns=turns,
        transcript=_text(call, "transcript"),
        recording_url=_url(call, "recording_url") or _url(call, "scrubbed_recording_url"),
        cost_micros=_cost_micros(call),
        currency="USD" if _cost_micros(call) is not None else None,
        summary=_text(analysis, "call_summary"),
        sentiment=_sentiment(analysis),
        successful=_flag(analysis, "call_successful"),
        in_voicemail=_flag(analysis, "in_voicemail"),
        analysis=_object(analysis, "custom_analysis_data") or None,
        transfer_to=_transfer_to(call),
    )


def read_inbound(body: bytes) -> InboundAsk:
    """Numbers that are withheld come as ''. Raises Unreadable."""
    ask = read_object(body).get("call_inbound")
    if not isinstance(ask, dict):
        raise Unreadable("The body carries no call_inbound.")
    return InboundAsk(
        from_number=_number(ask, "from_number") or "",
        to_number=_number(ask, "to_number") or "",
        provider_call_id=_text(ask, "call_id"),
        provider_agent_id=_text(ask, "agent_id"),
    )


def carries_an_id(call: Mapping[str, Any]) -> bool:
    """Whether somebody has kept anything under the name of our id."""
    return "call_uuid" in _object(call, "metadata")


def start_ms(call: Mapping[str, Any]) -> int | None:
    """When Retell says the call began, answered or not."""
    return _whole(call, "start_timestamp", LARGEST_STAMP_MS)


def _was_answered(call: Mapping[str, Any], ending: Ending | None, turns: Sequence[Turn] | None) -> bool:
    """Calls that nobody took may carry a start_timestamp too: the moment of dialling."""
    if ending and ending.answered_by is AnsweredBy.NOBODY:
        return False
    said = turns or _text(call, "transcript")
    return bool(start_ms(call) or _whole(call, "duration_ms", LARGEST_MS) or said)


def _settled(ending: Ending, *, answered: bool) -> Ending:
    """Take the doubt out of UNCLEAR where the call never began."""
    if answered or ending.answered_by is not AnsweredBy.UNCLEAR:
        return ending
    outcome = Outcome.NO_ANSWER if ending.outcome is Outcome.CONNECTED else ending.outcome
    return dataclasses.replace(ending, outcome=outcome, answered_by=AnsweredBy.NOBODY)


def _duration_ms(call: Mapping[str, Any], *, answered: bool) -> int | None:
    given = _whole(call, "duration_ms", LARGEST_MS)
    if given is not None or not answered:
        return given
    start, end = start_ms(call), _whole(call, "end_timestamp", LARGEST_STAMP_MS)
    return end - start if start and end and 0 <= end - start <= LARGEST_MS else None


def _turns(call: Mapping[str, Any]) -> tuple[Turn, ...] | None:
    """An empty transcript is an absent one, so that it never overwrites a full one."""
    for key in ("transcript_with_tool_calls", "transcript_object", "scrubbed_transcript_with_tool_calls"):
        lines = call.get(key)
        if isinstance(lines, list):
            turns = tuple(turn for turn in map(_turn, lines) if turn is not None)
            if turns:
                return turns
    return None


def _turn(line: object) -> Turn | None:
    """None for what was neither said nor done: moves between the nodes of a flow, unknown roles."""
    if not isinstance(line, dict):
        return None
    role, at = line.get("role"), _seconds(line.get("time_sec"))
    match role:
        case "agent" | "user" | "transfer_target":
            words = _words(line.get("words"))
            return Turn(
                role=role,
                content=_said(line, "content"),
                start_s=words[0].start_s if words else None,
                end_s=words[-1].end_s if words else None,
                words=words,
            )
        case "tool_call_invocation":
            return Turn(role="tool", content=f"{_said(line, 'name')}({_said(line, 'arguments')})")
        case "tool_call_result":
            return Turn(role="tool", content=_said(line, "content"))
        case "injected":
            return Turn(role="tool", content=_said(line, "content"), start_s=at)
        case "dtmf":
            return Turn(role="user", content=_said(line, "digit"))
        case "sms":
            return Turn(role="user", content=_said(line, "content"), start_s=at)
    return None


def _words(raw: object) -> tuple[Word, ...]:
    found = []
    for item in raw if isinstance(raw, list) else ():
        if isinstance(item, dict) and isinstance(word := item.get("word"), str):
            start, end = _seconds(item.get("start")), _seconds(item.get("end"))
            if start is not None and end is not None:
                found.append(Word(word, start, end))
    return tuple(found)


def _cost_micros(call: Mapping[str, Any]) -> int | None:
    """`combined_cost` is in US cents, with fractions; through Decimal, since 0.1 + 0.2 is not 0.3."""
    cents = _object(call, "call_cost").get("combined_cost")
    if isinstance(cents, bool) or not isinstance(cents, int | float):
        return None
    micros = round(Decimal(str(cents)) * MICROS_PER_CENT)
    return micros if 0 <= micros <= LARGEST_MICROS else None


def _transfer_to(call: Mapping[str, Any]) -> str | None:
    """A string on the call, an object beside it in a transfer's own events."""
    target = call.get("transfer_destination")
    if isinstance(target, dict):
        return _short(target, "number", LONGEST_ID) or _short(target, "sip_uri", LONGEST_ID)
    return _short(call, "transfer_destination", LONGEST_ID)


def our_id(call: Mapping[str, Any]) -> str | None:
    """Others may keep anything in metadata under our name: only a UUID is ours."""
    try:
        return str(uuid.UUID(_text(_object(call, "metadata"), "call_uuid") or ""))
    except ValueError:
        return None


def _sentiment(analysis: Mapping[str, Any]) -> str | None:
    given = _text(analysis, "user_sentiment")
    if given is None:
        return None
    return given.lower() if given.lower() in SENTIMENTS else "unknown"


def _version(call: Mapping[str, Any]) -> str | None:
    given = call.get("agent_version")
    return str(given) if isinstance(given, int | str) and not isinstance(given, bool) else None


def _number(source: Mapping[str, Any], key: str) -> str | None:
    """E.164 or nothing: a withheld caller is "anonymous", a SIP caller an address."""
    given = _text(source, key)
    return given if given and is_e164(given) else None


def _one_of(source: Mapping[str, Any], key: str, allowed: set[str]) -> str | None:
    given = _text(source, key)
    return given if given in allowed else None


def _object(source: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    given = source.get(key)
    return given if isinstance(given, dict) else {}


def _text(source: Mapping[str, Any], key: str) -> str | None:
    given = source.get(key)
    return given if isinstance(given, str) and given else None


def _short(source: Mapping[str, Any], key: str, longest: int) -> str | None:
    given = _text(source, key)
    return given[:longest] if given else None


def _url(source: Mapping[str, Any], key: str) -> str | None:
    """Pages link to it, so nothing but the web."""
    given = _text(source, key)
    return (
        given if given and given.startswith(("https://", "http://")) and len(given) <= LONGEST_URL else None
    )


def _said(source: Mapping[str, Any], key: str) -> str:
    given = source.get(key)
    return given if isinstance(given, str) else ""


def _flag(source: Mapping[str, Any], key: str) -> bool | None:
    given = source.get(key)
    return given if isinstance(given, bool) else None


def _seconds(given: object) -> float | None:
    # By type and not `isinstance`, which would let a bool pass: asked twice for every word that was said.
    return float(given) if type(given) in NUMBERS and 0 <= given < LARGEST_MS else None  # type: ignore[operator, arg-type]


def _whole(source: Mapping[str, Any], key: str, largest: int) -> int | None:
    given = source.get(key)
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    return int(given) if 0 <= given <= largest else None


def moment(source: Mapping[str, Any], key: str) -> datetime | None:
    ms = _whole(source, key, LARGEST_STAMP_MS)
    return EPOCH + timedelta(milliseconds=ms) if ms else None


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value
