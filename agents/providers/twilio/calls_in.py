"""Somebody rang a number that asks us what they shall hear: what is told and asked of that leg, as facts.

The leg that came in is the call's id. How it ended follows from what became of it on our side, and none of it
is in the event of its end:

| what happened | how it ended | who spoke |
|---|---|---|
| a Dial connected them with somebody | connected | a person |
| they left a message | voicemail | |
| else: they heard the menu, and nobody of us | no answer | |

A look-up cannot tell a telephone of ours that took the call from one that was only picked up, so it says
nothing of it. Talk time is that with somebody, or of the message.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agents.phone import is_e164
from agents.providers.base import AnsweredBy, CallFacts, Ending, Outcome, RetryClass, Stage, Unreadable
from agents.providers.twilio import resources as read
from agents.providers.twilio.callbacks import Callback, Family
from agents.providers.twilio.reading import cost_of, settled
from agents.providers.twilio.resources import Leg

CAME_IN = frozenset({"inbound", "trunking-originating"})
WITHHELD = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})
"""What Twilio gives as the number of a caller who withholds it: ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN and
UNAVAILABLE, as they are spelled on a telephone's keys."""
HEARD_A_MENU, LEFT_A_MESSAGE, TALKED = 1, 2, 3
"""Of facts about a call that is on, the strongest says how it ended."""


def came_in(told: Callback) -> bool:
    return told.direction in CAME_IN and not told.parent_sid


def caller(told: Callback) -> str:
    """E.164; '' for a number that is withheld."""
    return _known(told.from_number)


def _known(number: str) -> str:
    return number if is_e164(number) and number not in WITHHELD else ""


def facts_of(told: Callback) -> CallFacts:
    """Of a callback that `came_in`."""
    about: dict[str, Any] = {
        "provider_call_id": told.leg_sid,
        "direction": "inbound",
        "to_number": told.to_number or None,
        "from_number": caller(told) or None,
    }
    if told.over and told.family == Family.PROGRESS:
        return CallFacts(
            stage=Stage.ENDED,
            ended_at=told.at,
            undated=told.at is None,
            live_status=told.status,
            disconnection_reason=told.status,
            **about,
        )
    if told.family == Family.DOCUMENT and not told.error_code:
        return CallFacts(
            stage=Stage.CONNECTED,
            strength=HEARD_A_MENU,
            undated=True,
            ending=_ending(Outcome.NO_ANSWER),
            **about,
        )
    if told.family == Family.DIALLED and told.was_bridged:
        return CallFacts(
            stage=Stage.CONNECTED,
            strength=TALKED,
            duration_ms=None if told.dialled_s is None else told.dialled_s * 1000,
            ending=_ending(Outcome.CONNECTED, AnsweredBy.PERSON),
            **about,
        )
    return CallFacts(stage=Stage.KNOWN, **about)


def message_facts(told: Callback, *, recording_url: str) -> CallFacts | None:
    """Of a recording that a Record made: it names no direction, and its leg alone. None for any other."""
    if (
        told.family != Family.RECORDING
        or told.recording_source != "RecordVerb"
        or told.recording_status != "completed"
    ):
        return None
    return CallFacts(
        provider_call_id=told.leg_sid,
        stage=Stage.CONNECTED,
        strength=LEFT_A_MESSAGE,
        duration_ms=None if told.recording_s is None else told.recording_s * 1000,
        recording_url=recording_url,
        ending=_ending(Outcome.VOICEMAIL),
    )


def _ending(outcome: Outcome, who: AnsweredBy = AnsweredBy.NOBODY) -> Ending:
    return Ending(outcome=outcome, answered_by=who, retry=RetryClass.NO)


def look(body: bytes, *, recording_url: str) -> CallFacts | None:
    """What `rest.Twilio.whole_call` answered of such a leg; None of any other. `recording_url` ends in `{}`
    for a recording's sid. Raises Unreadable.
    """
    leg, children, recordings = _read(body)
    if leg.direction not in CAME_IN:
        return None
    message = next((one for one in recordings if one.source == "RecordVerb"), None)
    about: dict[str, Any] = {
        "provider_call_id": leg.sid,
        "direction": "inbound",
        "to_number": leg.to_number or None,
        "from_number": _known(leg.from_number) or None,
        "live_status": leg.status,
        "recording_url": recording_url.replace("{}", message.sid) if message else None,
        "duration_ms": message.duration_s * 1000 if message and message.duration_s else None,
        "ending": _ending(Outcome.VOICEMAIL) if message else None,
    }
    if not leg.over:
        return CallFacts(stage=Stage.CONNECTED, strength=0, started_at=leg.started_at, **about)
    return CallFacts(
        stage=settled([leg, *children], recordings),
        ended_at=leg.ended_at,
        disconnection_reason=leg.status,
        **about,
        **cost_of([leg, *children]),
    )


def _read(body: bytes) -> tuple[Leg, Sequence[Leg], Sequence[read.Recording]]:
    try:
        found = json.loads(body)
        recordings = [read.recording(item) for item in found["recordings"]]
        children = [read.leg(item) for item in found["children"]]
        return read.leg(found["leg"]), children, [one for one in recordings if one.status != "absent"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable("This is no look-up of a call.") from error
