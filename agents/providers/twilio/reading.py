"""What Twilio tells of a call that a person makes, as facts: callbacks that were pushed, and look-ups.

Such a call is two legs. Ours (the *desk*'s) is rung by REST and is the call's id; a Dial in it rings the
person's, and a Dial in that one a colleague's. Every fact names our leg's sid. How it ended follows from
the person's leg by `ENDINGS`:

| status | answered by | SIP | how it ended | who picked up |
|---|---|---|---|---|
| completed | human | | connected | a person |
| completed | unknown, or nobody found out | | connected | not clear |
| completed | machine_start, machine_end_... | | voicemail | a machine |
| completed | fax | | connected | a machine |
| busy | | 603 | declined | |
| busy | | any other | busy | |
| no-answer | | | no answer | |
| failed | | 404, 410, 484, 604 | invalid number | |
| failed | | 403, 607, 608 | blocked | |
| failed | | any other | failed | |
| canceled | | | cancelled: we gave up before anybody picked up | |

Without such a leg, the person was never rung: failed where a Dial says that it could not, else cancelled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.providers.base import (
    AnsweredBy,
    CallFacts,
    Ending,
    Fault,
    Outcome,
    RetryClass,
    Stage,
    Unreadable,
)
from agents.providers.twilio import resources as read
from agents.providers.twilio.callbacks import Callback, Family
from agents.providers.twilio.resources import OVER, Leg

DIALLED_BY_US = "outbound-dial"
RUNG_BY_US = "outbound-api"
RINGING, ANSWERED = "ringing", "in-progress"
NO_SUCH_NUMBER = frozenset({"404", "410", "484", "604"})
NOT_LET_THROUGH = frozenset({"403", "607", "608"})
DECLINED = "603"


@dataclass(frozen=True, slots=True)
class Meant:
    outcome: Outcome
    retry: RetryClass
    answered_by: AnsweredBy = AnsweredBy.NOBODY


ENDINGS: Mapping[tuple[str, str], Meant] = {
    ("completed", "human"): Meant(Outcome.CONNECTED, RetryClass.NO, AnsweredBy.PERSON),
    ("completed", "unknown"): Meant(Outcome.CONNECTED, RetryClass.NO, AnsweredBy.UNCLEAR),
    ("completed", "machine"): Meant(Outcome.VOICEMAIL, RetryClass.LATER, AnsweredBy.MACHINE),
    ("completed", "fax"): Meant(Outcome.CONNECTED, RetryClass.REVIEW, AnsweredBy.MACHINE),
    ("busy", "declined"): Meant(Outcome.DECLINED, RetryClass.LATER),
    ("busy", ""): Meant(Outcome.BUSY, RetryClass.LATER),
    ("no-answer", ""): Meant(Outcome.NO_ANSWER, RetryClass.LATER),
    ("failed", "no such number"): Meant(Outcome.INVALID_NUMBER, RetryClass.NO),
    ("failed", "not let through"): Meant(Outcome.BLOCKED, RetryClass.REVIEW),
    ("failed", ""): Meant(Outcome.FAILED, RetryClass.SOON),
    ("canceled", ""): Meant(Outcome.CANCELED, RetryClass.LATER),
}


def ending_of(status: str, *, answered_by: str = "", sip: str = "") -> Ending:
    """How the person's telephone came to its end. A status nobody has heard of is marked as such."""
    detail = ""
    if status == "completed":
        detail = "machine" if answered_by.startswith("machine") else answered_by
        detail = detail if detail in {"human", "machine", "fax"} else "unknown"
    elif status == "busy" and sip == DECLINED:
        detail = "declined"
    elif status == "failed" and sip in NO_SUCH_NUMBER:
        detail = "no such number"
    elif status == "failed" and sip in NOT_LET_THROUGH:
        detail = "not let through"
    meant = ENDINGS.get((status, detail), Meant(Outcome.FAILED, RetryClass.REVIEW))
    found = [
        f"Twilio: {status}",
        f"answered by {answered_by}" if answered_by else "",
        f"SIP {sip}" if sip else "",
    ]
    return Ending(
        outcome=meant.outcome,
        answered_by=meant.answered_by,
        retry=meant.retry,
        known=(status, detail) in ENDINGS,
        stopped=status == "canceled",
        evidence=", ".join(filter(None, found)),
    )


def _never_rung(status: str) -> Ending:
    return Ending(
        outcome=Outcome.CANCELED,
        answered_by=AnsweredBy.NOBODY,
        retry=RetryClass.NO,
        stopped=True,
        evidence=f"our own telephone: {status}; theirs was not rung",
        fault=Fault.DESK,
    )


NOT_DIALLED = Ending(
    outcome=Outcome.FAILED,
    answered_by=AnsweredBy.NOBODY,
    retry=RetryClass.REVIEW,
    evidence="Twilio could not ring that number",
)


def callback_facts(told: Callback, *, recording_url: str = "") -> CallFacts | None:
    """None for what says nothing of such a call. `recording_url` of the recording that it names."""
    if told.family == Family.PROGRESS and told.direction == DIALLED_BY_US:
        return _of_their_telephone(told)
    if told.family == Family.PROGRESS and told.direction == RUNG_BY_US and not told.parent_sid:
        return _of_ours(told)
    if told.parent_sid:
        return None
    if told.family == Family.DIALLED and told.dialled_status == "failed" and not told.dialled_sid:
        return CallFacts(provider_call_id=told.leg_sid, stage=Stage.ENDED, strength=1, ending=NOT_DIALLED)
    if (
        told.family == Family.RECORDING
        and told.recording_source == "DialVerb"
        and told.recording_status == "completed"
    ):
        return CallFacts(provider_call_id=told.leg_sid, stage=Stage.KNOWN, recording_url=recording_url)
    return None


def _of_ours(told: Callback) -> CallFacts:
    if told.status not in OVER:
        return CallFacts(provider_call_id=told.leg_sid, stage=Stage.KNOWN, direction="outbound")
    return CallFacts(
        provider_call_id=told.leg_sid,
        stage=Stage.ENDED,
        strength=0,
        direction="outbound",
        ended_at=told.at,
        desk_ended_at=told.at,
        disconnection_reason=f"desk {told.status}",
        ending=_never_rung(told.status),
    )


def _of_their_telephone(told: Callback) -> CallFacts | None:
    if not told.parent_sid:
        return None
    about: dict[str, Any] = {
        "provider_call_id": told.parent_sid,
        "direction": "outbound",
        "to_number": told.to_number,
        "from_number": told.from_number,
        "live_status": told.status,
        "attestation": told.attestation or None,
    }
    if told.status == RINGING:
        return CallFacts(stage=Stage.RINGING, ringing_at=told.at, **about)
    if told.status == ANSWERED:
        return CallFacts(stage=Stage.CONNECTED, started_at=told.at, **about)
    if told.status not in OVER:
        return CallFacts(stage=Stage.KNOWN, **about)
    return CallFacts(
        stage=Stage.ENDED,
        ended_at=told.at,
        duration_ms=None if told.duration_s is None else told.duration_s * 1000,
        disconnection_reason=f"{told.status} {told.sip_code}"
        if told.status in {"busy", "failed"}
        else told.status,
        ending=ending_of(told.status, answered_by=told.answered_by, sip=told.sip_code),
        **about,
    )


def look_facts(body: bytes, *, recording_url: str = "") -> CallFacts:
    """What `rest.Twilio.whole_call` answered. `recording_url` ends in `{}` for a recording's sid.

    Twilio does not keep how a leg that nobody picked up was refused (its SIP code), nor when it rang: a
    look-up alone says busy of a declined call, failed of a number that does not exist, and is the weaker
    for it. Raises Unreadable.
    """
    found = _read(body)
    ours, theirs, recordings = found.ours, found.theirs, found.recordings
    urls = [recording_url.replace("{}", one.sid) for one in recordings]
    about: dict[str, Any] = {
        "provider_call_id": ours.sid,
        "direction": "outbound",
        "recording_url": urls[0] if urls else None,
        "further_recordings": tuple(urls[1:]) or None,
        "desk_ended_at": ours.ended_at if ours.over else None,
    }
    if theirs is None:
        if not ours.over:
            return CallFacts(stage=Stage.KNOWN, **about)
        return CallFacts(
            stage=settled([ours], recordings),
            strength=0,
            ended_at=ours.ended_at,
            disconnection_reason=f"desk {ours.status}",
            ending=_never_rung(ours.status),
            **about,
            **cost_of([ours]),
        )
    about |= {
        "to_number": theirs.to_number,
        "from_number": theirs.from_number,
        "live_status": theirs.status,
    }
    if not theirs.over:
        stage = {RINGING: Stage.RINGING, ANSWERED: Stage.CONNECTED}.get(theirs.status, Stage.KNOWN)
        return CallFacts(stage=stage, started_at=_picked_up(theirs), **about)
    return CallFacts(
        stage=settled(found.legs, recordings),
        started_at=_picked_up(theirs),
        ended_at=theirs.ended_at,
        duration_ms=None if theirs.duration_s is None else theirs.duration_s * 1000,
        strength=1 if theirs.status in {"busy", "failed"} else 2,
        disconnection_reason=theirs.status,
        ending=ending_of(theirs.status, answered_by=theirs.answered_by),
        **about,
        **cost_of(found.legs),
    )


@dataclass(frozen=True, slots=True)
class _Looked:
    """Our leg, the first that it rang, the colleagues' that theirs rang, and what was recorded, in time."""

    ours: Leg
    theirs: Leg | None
    colleagues: Sequence[Leg]
    recordings: Sequence[read.Recording]

    @property
    def legs(self) -> Sequence[Leg]:
        return [self.ours, *([self.theirs] if self.theirs else []), *self.colleagues]


def _read(body: bytes) -> _Looked:
    try:
        found = json.loads(body)
        ours = read.leg(found["leg"])
        children = sorted(map(read.leg, found["children"]), key=lambda leg: (_when(leg.created_at), leg.sid))
        colleagues = [read.leg(item) for item in found.get("colleagues", [])]
        told = map(read.recording, [*found["recordings"], *found.get("further", [])])
        recordings = {one.sid: one for one in told}.values()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable("This is no look-up of a call.") from error
    whole = [one for one in recordings if one.status not in {"absent", "failed"}]
    whole.sort(key=lambda one: (_when(one.started_at), one.sid))
    return _Looked(ours, children[0] if children else None, colleagues, whole)


def _when(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


def _picked_up(leg: Leg) -> datetime | None:
    return leg.started_at if leg.status in {ANSWERED, "completed"} else None


def settled(legs: Sequence[Leg], recordings: Sequence[read.Recording]) -> Stage:
    """ANALYSED, the last there is to know, once the price of what was talked and the recording are there."""
    priced = all(leg.over and (leg.cost_micros is not None or not leg.duration_s) for leg in legs)
    return Stage.ANALYSED if priced and all(one.status == "completed" for one in recordings) else Stage.ENDED


def cost_of(legs: Sequence[Leg]) -> dict[str, Any]:
    """Of both telephones together; None while one of them is not settled."""
    known = [leg.cost_micros for leg in legs if leg.cost_micros is not None]
    if not known or any(leg.cost_micros is None and leg.duration_s for leg in legs):
        return {"cost_micros": None, "currency": None}
    return {"cost_micros": sum(known), "currency": next((leg.currency for leg in legs if leg.currency), None)}
