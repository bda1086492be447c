"""Conferences: who is in one, who comes and goes, and what is told of it."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from urllib.parse import urljoin

from agents.sandbox.twilio.callbacks import Callbacks
from agents.sandbox.twilio.exchange import Exchange
from agents.sandbox.twilio.legs import Conference, Leg, Member, Wants
from agents.sandbox.twilio.wire import new_sid, rfc2822, truth


class Rooms:
    """Guarded by the exchange's lock. A name is free again once its conference has ended."""

    def __init__(self, *, exchange: Exchange, callbacks: Callbacks) -> None:
        self._exchange, self._callbacks = exchange, callbacks
        self.all: dict[str, Conference] = {}

    def forget(self) -> None:
        self.all.clear()

    def find(self, name: str) -> Conference | None:
        """By its sid, or the one of that name that goes on."""
        found = self.all.get(name)
        return found or next(
            (room for room in self.all.values() if room.name == name and room.status != "completed"), None
        )

    def open(self, name: str, account_sid: str) -> Conference:
        with self._exchange.changed:
            room = self.find(name)
            if room is None:
                room = Conference(sid=new_sid("CF"), account_sid=account_sid, name=name, created=time.time())
                self.all[room.sid] = room
            return room

    def sit_in(self, leg: Leg, noun: ET.Element, *, base: str, longest_s: float) -> Mapping[str, str]:
        """On the leg's thread, until it leaves, is removed or the conference ends. Raises Cut, Redirected."""
        exchange = self._exchange
        room = self.open((noun.text or "").strip(), leg.account_sid)
        member = Member(
            leg=leg,
            ends_it=truth(noun.get("endConferenceOnExit")),
            starts_it=truth(noun.get("startConferenceOnEnter"), default=True),
            muted=truth(noun.get("muted")),
            coach=noun.get("coach", ""),
        )
        leg.label = noun.get("participantLabel", leg.label)
        recording = None
        with exchange.changed:
            if not room.wants.url and noun.get("statusCallback"):
                url = (
                    urljoin(base, noun.get("statusCallback", "")) if base else noun.get("statusCallback", "")
                )
                room.wants = Wants(url, frozenset(noun.get("statusCallbackEvent", "").split()))
            others = bool(room.members)
            room.members.append(member)
            leg.conference = room
            starts = member.starts_it and room.status == "init"
            if starts:
                room.status = "in-progress"
            exchange.changed.notify_all()
        if starts:
            self._tell(room, "start", "conference-start", leg)
            if noun.get("record", "do-not-record") != "do-not-record":
                recording = exchange.record(
                    leg, source="Conference", url=noun.get("recordingStatusCallback", "")
                )
                recording.conference_sid = room.sid
        self._tell(room, "join", "participant-join", leg)
        why = "participant_hung_up"
        try:
            # Whoever was there first stays; whoever is brought in talks as long as their conversation is.
            stays_s = min(longest_s, exchange.talks_s(leg) if others else longest_s)
            self._stay(leg, member, room, stays_s)
            why = "participant_removed_via_api" if member.removed else "participant_hung_up"
        finally:
            self._leave(room, member, why)
            if recording is not None:
                exchange.finish_recording(recording)
        if others and not member.removed and room.status != "completed":
            exchange.hang_up(leg)
        return {"DialCallStatus": "answered", "DialCallSid": "", "DialBridged": "true"}

    def _stay(self, leg: Leg, member: Member, room: Conference, stays_s: float) -> None:
        def gone() -> bool:
            return member.removed or room.status == "completed"

        exchange = self._exchange
        until = exchange.network.scheduler.now() + stays_s
        while (left := until - exchange.network.scheduler.now()) > 0:
            if len(room.members) < 2:
                if not exchange.wait(
                    leg, min(left, exchange.alone_s()), until=lambda: gone() or len(room.members) > 1
                ):
                    return
            else:
                exchange.wait(leg, left, until=lambda: gone() or len(room.members) < 2)
            if gone():
                return

    def _leave(self, room: Conference, member: Member, why: str) -> None:
        with self._exchange.changed:
            member.leg.conference = None
            if member in room.members:
                room.members.remove(member)
            ends = room.status != "completed" and (member.ends_it or not room.members)
            if ends:
                room.status = "completed"
                room.reason = (
                    "participant-with-end-conference-on-exit-left"
                    if member.ends_it
                    else "last-participant-left"
                )
            self._exchange.changed.notify_all()
        self._tell(room, "leave", "participant-leave", member.leg, ReasonParticipantLeft=why)
        if ends:
            self._tell(room, "end", "conference-end", member.leg, ReasonConferenceEnded=room.reason or "")

    def end(self, room: Conference) -> None:
        """By REST."""
        with self._exchange.changed:
            room.status, room.reason = "completed", "conference-ended-via-api"
            self._exchange.changed.notify_all()

    def remove(self, member: Member) -> None:
        with self._exchange.changed:
            member.removed = True
            self._exchange.changed.notify_all()

    def _tell(self, room: Conference, wanted: str, event: str, leg: Leg, **more: str) -> None:
        if wanted not in room.wants.events:
            return
        with self._exchange.changed:
            room.sequence += 1
            sequence = room.sequence
            member = room.member(leg.sid)
        about = {
            "AccountSid": room.account_sid,
            "ConferenceSid": room.sid,
            "FriendlyName": room.name,
            "StatusCallbackEvent": event,
            "SequenceNumber": str(sequence),
            "Timestamp": rfc2822(time.time()) or "",
            "CallSid": leg.sid,
            "Muted": str(bool(member and member.muted)).lower(),
            "Hold": str(bool(member and member.hold)).lower(),
            "EndConferenceOnExit": str(bool(member and member.ends_it)).lower(),
            "StartConferenceOnEnter": str(bool(member is None or member.starts_it)).lower(),
            **({"ParticipantLabel": leg.label} if leg.label else {}),
            **more,
        }
        self._callbacks.tell(leg.sid, event, room.wants.url, about)
