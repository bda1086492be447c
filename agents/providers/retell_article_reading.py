"""What the webhooks of `../article.txt` say, read into `CallFacts` and `LiveEvent`.

Two envelopes: flat (`call_id`, `call_duration` in seconds, `call_analysis` or `analysis`) and nested
(`call: {...}`, `timestamp` in ms); the event's name is in `event` or `type`. Where both envelopes are used
and differ, the nested value counts.

No reason is given when a call ends. How it ended is inferred, from the first row that fits:

    what is known                                        how it ended          picked up by
    a reason after all, in the words of today's API      as that table says    as that table says
    the analysis heard voicemail                         voicemail             a machine
    the person is heard in the transcript                connected             a person
    it lasted 0 seconds, and nobody is heard             no answer             nobody
    it lasted longer, or the agent is heard              connected             unclear
    it began, and no length is given                     connected             unclear     (lifecycle.derive)
    none of these                                        failed, review        nobody      (lifecycle.derive)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog

from agents.providers import retell_reading as today
from agents.providers.base import (
    AnsweredBy,
    CallFacts,
    Ending,
    EventKind,
    Outcome,
    ProviderEvent,
    RetryClass,
    Stage,
    Turn,
    Unreadable,
)
from agents.providers.live import LiveEvent, LiveKind

log = structlog.get_logger(__name__)

FACTS: Mapping[str, Stage] = {
    "call_started": Stage.CONNECTED,
    "call_ended": Stage.ENDED,
    "call_analyzed": Stage.ANALYSED,
}
LIVE: Mapping[str, LiveKind] = {
    "speech_started": LiveKind.PERSON_SPEAKS,
    "agent_start_talking": LiveKind.AGENT_SPEAKS,
    "agent_stop_talking": LiveKind.AGENT_SILENT,
    "transcript": LiveKind.SAID,
}
LIVE_NAMES = tuple(f'"{name}"'.encode() for name in LIVE)
ENVELOPE = frozenset({"event", "type", "call", "timestamp"})
SPEAKERS = {"agent": "agent", "assistant": "agent", "user": "user", "customer": "user", "caller": "user"}
ONE_ROLE_ONLY = "user"
"""Whose words `transcript` brings when it names nobody: what the agent says we gave it to say."""

VOICEMAIL = Ending(
    outcome=Outcome.VOICEMAIL,
    answered_by=AnsweredBy.MACHINE,
    retry=RetryClass.LATER,
    evidence="inferred: the analysis heard voicemail",
)
TALKED = Ending(
    outcome=Outcome.CONNECTED,
    answered_by=AnsweredBy.PERSON,
    retry=RetryClass.NO,
    evidence="inferred: the person is heard in the transcript",
)
LASTED = Ending(
    outcome=Outcome.CONNECTED,
    answered_by=AnsweredBy.UNCLEAR,
    retry=RetryClass.REVIEW,
    evidence="inferred: it lasted, and nobody but the AI agent is known to have spoken",
)
NOBODY = Ending(
    outcome=Outcome.NO_ANSWER,
    answered_by=AnsweredBy.NOBODY,
    retry=RetryClass.LATER,
    evidence="inferred: it lasted 0 seconds",
)


def read_event(body: bytes) -> ProviderEvent:
    """Raises Unreadable."""
    value = today.read_object(body)
    name = name_of(value)
    if name in LIVE:
        return ProviderEvent(name=name, kind=EventKind.LIVE, facts=None)
    if name not in FACTS:
        return ProviderEvent(name=name, kind=EventKind.OTHER, facts=None)
    return ProviderEvent(name=name, kind=EventKind.FACT, facts=_facts(value, FACTS[name]))


def read_live(body: bytes) -> LiveEvent | None:
    """Any other body is not even parsed: the webhook door asks this each time."""
    if not any(name in body for name in LIVE_NAMES):
        return None
    try:
        value = today.read_object(body)
        name = name_of(value)
    except Unreadable:
        return None
    call = opened(value)
    call_id = call.get("call_id")
    if name not in LIVE or not isinstance(call_id, str) or not 0 < len(call_id) <= today.LONGEST_ID:
        return None
    return LiveEvent(
        provider_call_id=call_id,
        call_uuid=today.our_id(call),
        kind=LIVE[name],
        turns=(_said(call),) if LIVE[name] is LiveKind.SAID else (),
        final=call.get("is_final") is not False,
        utterance_id=_text(call, "last_utterance_id") or _text(call, "utterance_id"),
        at=_stamp(value),
    )


def name_of(value: Mapping[str, Any]) -> str:
    name = value.get("event") or value.get("type")
    if not isinstance(name, str) or not name:
        raise Unreadable("The body names no event.")
    return name


def opened(value: Mapping[str, Any]) -> dict[str, Any]:
    """The call, out of either envelope."""
    flat = {key: value[key] for key in value.keys() - ENVELOPE}
    nested = value.get("call")
    if not isinstance(nested, dict):
        return flat
    differing = sorted(key for key in flat.keys() & nested.keys() if flat[key] != nested[key])
    if differing:
        log.warning("an event says two things; what its call says counts", fields=differing)
    return flat | nested


def _facts(value: Mapping[str, Any], stage: Stage) -> CallFacts:
    call = opened(value)
    analysis = _first(call, "call_analysis", "analysis")
    as_today = {**call, "call_analysis": _analysis(analysis)}
    if "duration_ms" not in call:
        as_today["duration_ms"] = _duration_ms(call)
    if turns := _turns(call, analysis):
        as_today["transcript_object"] = turns
    text = _text(call, "transcript") or _text(analysis, "transcript")
    as_today["transcript"] = text
    facts = today.read_call(as_today, stage=stage)
    happened = _stamp(value)
    changes: dict[str, Any] = {"undated": happened is None}
    if stage is Stage.CONNECTED and facts.started_at is None:
        changes["started_at"] = happened
    if stage >= Stage.ENDED and facts.ending is None:
        changes["ending"] = infer(facts, text)
    if stage is Stage.ENDED and facts.ended_at is None:
        changes["ended_at"] = happened
    return dataclasses.replace(facts, **changes)


def infer(facts: CallFacts, text: str = "") -> Ending | None:
    """By the table above; None where this event alone shows nothing."""
    roles = {turn.role for turn in facts.turns or () if turn.content.strip()}
    heard = "user" in roles or _speaks(text, "user")
    if facts.in_voicemail:
        return VOICEMAIL
    if heard:
        return TALKED
    if facts.duration_ms == 0 and not roles:
        return NOBODY
    if facts.duration_ms or roles or text.strip():
        return LASTED
    return None


def _speaks(text: str, role: str) -> bool:
    return any(
        SPEAKERS.get(line.partition(":")[0].strip().lower()) == role and line.partition(":")[2].strip()
        for line in text.splitlines()
    )


def _turns(*places: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The transcript as turns: given as such, or read from lines that begin with who spoke."""
    for place in places:
        for name in ("transcript_object", "transcript_with_tool_calls", "transcript", "messages"):
            given = place.get(name)
            if isinstance(given, list):
                lines = [_turn(line) for line in given if isinstance(line, dict)]
            elif isinstance(given, str):
                lines = _from_lines(given)
            else:
                continue
            if lines:
                return lines
    return []


def _turn(line: Mapping[str, Any]) -> dict[str, Any]:
    role = str(line.get("role") or "").lower()
    return {
        **line,
        "role": SPEAKERS.get(role, role),
        "content": _text(line, "content") or _text(line, "text"),
    }


def _from_lines(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        speaker, _colon, said = line.partition(":")
        role = SPEAKERS.get(speaker.strip().lower())
        if role and said.strip():
            found.append({"role": role, "content": said.strip()})
        elif found and line.strip():
            found[-1]["content"] += " " + line.strip()
    return found


def _said(call: Mapping[str, Any]) -> Turn:
    role = SPEAKERS.get(_text(call, "role").lower(), ONE_ROLE_ONLY)
    return Turn(role=role, content=_text(call, "transcript"))


KNOWN_OF_ANALYSIS: Mapping[str, Sequence[str]] = {
    "call_summary": ("call_summary", "summary"),
    "user_sentiment": ("user_sentiment", "sentiment"),
    "call_successful": ("call_successful", "successful"),
    "in_voicemail": ("in_voicemail", "voicemail"),
}
CUSTOM = ("custom_analysis_data", "custom_analysis", "custom")


def _analysis(given: Mapping[str, Any]) -> dict[str, Any]:
    """In the words of today's API; what neither knows is the customer's own."""
    read: dict[str, Any] = {}
    named = {"transcript", "transcript_object", *CUSTOM}
    for name, spellings in KNOWN_OF_ANALYSIS.items():
        named |= set(spellings)
        read[name] = next((given[spelling] for spelling in spellings if spelling in given), None)
    own = {key: value for key, value in given.items() if key not in named}
    for name in CUSTOM:
        if isinstance(given.get(name), dict):
            own |= given[name]
    if own:
        read["custom_analysis_data"] = own
    return {name: value for name, value in read.items() if value is not None}


def _first(source: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((source[name] for name in names if isinstance(source.get(name), dict)), {})


def _duration_ms(call: Mapping[str, Any]) -> int | None:
    """`call_duration` is in seconds; `duration_ms` says what it is."""
    seconds = call.get("call_duration")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return round(seconds * 1000) if 0 <= seconds * 1000 <= today.LARGEST_MS else None


def _stamp(value: Mapping[str, Any]) -> datetime | None:
    return today.moment(value, "timestamp")


def _text(source: Mapping[str, Any], key: str) -> str:
    given = source.get(key)
    return given if isinstance(given, str) else ""
