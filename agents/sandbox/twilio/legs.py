"""Telephones on Twilio's side of the network: legs, the conferences they meet in, what is recorded of
them."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from agents.sandbox.people import Behaviour
from agents.sandbox.phone_call import PhoneCall
from agents.sandbox.twilio.wire import VERSION, rfc2822

OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
PRICE_A_MINUTE = 0.014
STATUS_OF = {
    "dial_no_answer": ("no-answer", "487"),
    "dial_busy": ("busy", "486"),
    "user_declined": ("busy", "603"),
    "invalid_destination": ("failed", "404"),
    "network_blocked": ("failed", "403"),
    "marked_as_spam": ("failed", "608"),
    "dial_failed": ("failed", "503"),
}
"""How a telephone that nobody picked up ends: Twilio's status and the SIP answer. A decline is busy to
Twilio."""
MACHINES = frozenset({"voicemail", "screening", "ivr"})


@dataclass(frozen=True, slots=True)
class Source:
    """Where a leg's TwiML comes from: given, or asked for. `with_it` are fields beside the usual ones."""

    twiml: str = ""
    url: str = ""
    method: str = "POST"
    fallback: str = ""
    with_it: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Wants:
    """Who is told of a leg, of what."""

    url: str = ""
    events: frozenset[str] = frozenset({"completed"})


@dataclass(eq=False, slots=True, kw_only=True)
class Leg:
    """Mutable, guarded by the exchange's lock. Moments are epoch s; `..._network` s on the network's
    clock."""

    sid: str
    account_sid: str
    to: str
    from_: str
    direction: str
    created: float
    source: Source = field(default_factory=Source)
    wants: Wants = field(default_factory=Wants)
    parent: Leg | None = None
    ring_s: float = 60.0
    longest_s: float = 14_400.0
    detect: str = ""
    detect_url: str = ""
    digits: str = ""
    label: str = ""
    records: bool = False
    records_url: str = ""
    status: str = "queued"
    person: Behaviour | None = None
    talks_s: float = 0.0
    """How long the person stays once connected with somebody."""
    waited_ms: int = 0
    rang: float | None = None
    answered: float | None = None
    answered_network: float = 0.0
    ended: float | None = None
    duration_s: int = 0
    answered_by: str = ""
    sip: str = "200"
    sequence: int = 0
    ready: bool = False
    """Rung by a Dial, answered, and through its whisper."""
    bridged: Leg | None = None
    was_bridged: bool = False
    conference: Conference | None = None
    agents_call: PhoneCall | None = None
    """Rung by a Dial, at a number that an AI agent answers: its call on the network."""
    redirect: Source | None = None
    cut: str = ""
    """The status that it is to end with, as soon as its thread looks."""
    heard: list[str] = field(default_factory=list)
    keys: deque[str] = field(default_factory=deque)
    """What the person presses at the next questions; '' nothing, however they are told."""
    pressed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.status in OVER

    @property
    def is_machine(self) -> bool:
        return self.person is not None and self.person.kind in MACHINES

    def as_json(self) -> dict[str, Any]:
        billed = math.ceil(self.duration_s / 60) * PRICE_A_MINUTE if self.over else 0
        uri = f"/{VERSION}/Accounts/{self.account_sid}/Calls/{self.sid}"
        return {
            "sid": self.sid,
            "account_sid": self.account_sid,
            "parent_call_sid": self.parent.sid if self.parent else None,
            "to": self.to,
            "from": self.from_,
            "to_formatted": self.to,
            "from_formatted": self.from_,
            "status": self.status,
            "direction": self.direction,
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.ended or self.answered or self.created),
            "start_time": rfc2822(self.answered),
            "end_time": rfc2822(self.ended),
            "duration": str(self.duration_s) if self.over else None,
            "price": f"-{billed:.5f}" if billed else None,
            "price_unit": "USD",
            "answered_by": self.answered_by or None,
            "queue_time": str(self.waited_ms),
            "api_version": VERSION,
            "forwarded_from": None,
            "caller_name": None,
            "trunk_sid": None,
            "uri": uri + ".json",
            "subresource_uris": {"recordings": uri + "/Recordings.json"},
        }

    def basics(self) -> dict[str, str]:
        """What every request about it tells."""
        told = {
            "CallSid": self.sid,
            "AccountSid": self.account_sid,
            "From": self.from_,
            "To": self.to,
            "Caller": self.from_,
            "Called": self.to,
            "CallStatus": self.status,
            "ApiVersion": VERSION,
            "Direction": self.direction,
        }
        for who in ("From", "To"):
            told |= {who + place: "" for place in ("City", "State", "Zip", "Country")}
        return told | ({"ParentCallSid": self.parent.sid} if self.parent else {})


@dataclass(eq=False, slots=True, kw_only=True)
class Member:
    """A leg in a conference."""

    leg: Leg
    ends_it: bool
    starts_it: bool
    muted: bool = False
    hold: bool = False
    coach: str = ""
    removed: bool = False


@dataclass(eq=False, slots=True, kw_only=True)
class Conference:
    sid: str
    account_sid: str
    name: str
    created: float
    status: str = "init"
    members: list[Member] = field(default_factory=list)
    wants: Wants = field(default_factory=Wants)
    sequence: int = 0
    reason: str | None = None

    def member(self, sid: str) -> Member | None:
        return next((member for member in self.members if member.leg.sid == sid), None)

    def as_json(self) -> dict[str, Any]:
        return {
            "sid": self.sid,
            "account_sid": self.account_sid,
            "friendly_name": self.name,
            "status": self.status,
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.created),
            "api_version": VERSION,
            "region": "us1",
            "reason_conference_ended": self.reason,
            "call_sid_ending_conference": None,
            "uri": f"/{VERSION}/Accounts/{self.account_sid}/Conferences/{self.sid}.json",
            "subresource_uris": {},
        }


def participant(conference: Conference | None, leg: Leg, member: Member | None) -> dict[str, Any]:
    room = conference.sid if conference else ""
    status = (
        "connected"
        if member
        else ("complete" if leg.over else leg.status.replace("in-progress", "connecting"))
    )
    return {
        "account_sid": leg.account_sid,
        "call_sid": leg.sid,
        "conference_sid": room,
        "label": leg.label or None,
        "status": status,
        "muted": bool(member and member.muted),
        "hold": bool(member and member.hold),
        "coaching": bool(member and member.coach),
        "call_sid_to_coach": member.coach or None if member else None,
        "start_conference_on_enter": member.starts_it if member else True,
        "end_conference_on_exit": member.ends_it if member else False,
        "date_created": rfc2822(leg.created),
        "date_updated": rfc2822(leg.created),
        "queue_time": str(leg.waited_ms),
        "uri": f"/{VERSION}/Accounts/{leg.account_sid}/Conferences/{room}/Participants/{leg.sid}.json",
    }


@dataclass(eq=False, slots=True, kw_only=True)
class Recording:
    sid: str
    leg: Leg
    source: str
    started: float
    started_network: float
    url: str = ""
    conference_sid: str = ""
    channels: int = 2
    status: str = "in-progress"
    duration_s: int | None = None

    @property
    def path(self) -> str:
        return f"/{VERSION}/Accounts/{self.leg.account_sid}/Recordings/{self.sid}"

    def as_json(self) -> dict[str, Any]:
        return {
            "sid": self.sid,
            "account_sid": self.leg.account_sid,
            "call_sid": self.leg.sid,
            "conference_sid": self.conference_sid or None,
            "status": self.status,
            "duration": None if self.duration_s is None else str(self.duration_s),
            "channels": self.channels,
            "source": self.source,
            "track": "both",
            "price": None,
            "price_unit": "USD",
            "error_code": None,
            "api_version": VERSION,
            "date_created": rfc2822(self.started),
            "date_updated": rfc2822(self.started),
            "start_time": rfc2822(self.started),
            "encryption_details": None,
            "subresource_uris": {},
            "uri": self.path + ".json",
        }
