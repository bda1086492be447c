"""Twilio as a call's provider, contract "twilio": calls that people make, without AI, and their news."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.utils.translation import gettext as _

from agents.providers.abilities import Ability
from agents.providers.base import (
    Accepted,
    BadSignature,
    CallFacts,
    EventKind,
    NotFound,
    NotOffered,
    PlaceOrder,
    ProviderEvent,
    RefusalScope,
    Refused,
    Report,
)
from agents.providers.drafts import AgentDraft
from agents.providers.limited import LimitedProvider
from agents.providers.live import LiveEvent
from agents.providers.twilio import calls_in
from agents.providers.twilio import signature as signatures
from agents.providers.twilio.answers import Over
from agents.providers.twilio.callbacks import read_callback
from agents.providers.twilio.orders import LegOrder, encode
from agents.providers.twilio.reading import ANSWERED, RUNG_BY_US, callback_facts, look_facts
from agents.providers.twilio.resources import Leg
from agents.providers.twilio.rest import Twilio
from agents.providers.twilio.twiml import Twiml, address

DESK_RINGS_S = 25
TWILIO_TAKES_UP_TO = timedelta(seconds=60)
"""Between a request and the leg that it makes; we give up sooner than Twilio does."""
CLOCKS_DIFFER = timedelta(seconds=10)


class TwilioProvider(LimitedProvider):
    """No AI agents here: what asks for one is NotOffered."""

    name: ClassVar[str] = "twilio"
    contract: ClassVar[str] = "twilio"
    idempotent: ClassVar[bool] = False
    signature_header: ClassVar[str] = signatures.HEADER
    stops_replays: ClassVar[bool] = False
    abilities: ClassVar[frozenset[Ability]] = frozenset({Ability.HANG_UP, Ability.LOOK_UP, Ability.MOVE})

    def __init__(self, twilio: Twilio) -> None:
        self.twilio = twilio

    @classmethod
    def from_settings(cls) -> Self:
        return cls(Twilio.from_settings())

    def close(self) -> None:
        self.twilio.close()

    # A call that a person makes

    def placement(self, order: PlaceOrder) -> bytes:
        """Our own telephone is rung, and asks us what to say. Raises NotOffered without one."""
        if not order.desk_number:
            raise NotOffered(Ability.CREATE_AGENT)
        rings = LegOrder(
            to_number=order.desk_number,
            from_number=order.from_number,
            url=address(f"/webhook/twilio/voice/desk/{order.call_uuid}"),
            fallback_url=address(f"/webhook/twilio/voice/sorry/{order.call_uuid}"),
            status_callback=address(f"/webhook/twilio/status/{order.call_uuid}"),
            ring_s=DESK_RINGS_S,
        )
        return encode(rings.fields())

    def place(self, body: bytes, *, give_up_s: float, started: float) -> Accepted:
        """What Twilio refuses concerns this call alone: account and numbers are the AI agents' too, whose
        line is another.
        """
        try:
            return self.twilio.ring_as_written(body, give_up_s=give_up_s, started=started)
        except Refused as error:
            raise Refused(
                error.message,
                scope=RefusalScope.CALL,
                # It is our own telephone that was to be rung.
                code="desk" if error.code in {"invalid_number", "geography"} else error.code,
                http_status=error.http_status,
                body=error.body,
            ) from error

    def fetch_call(self, provider_call_id: str) -> Report:
        body = self.twilio.whole_call(provider_call_id)
        return Report(body=body, facts=self.read_call(body))

    def find_call(self, call_uuid: str, *, to_number: str, since: datetime) -> list[Report]:
        """Twilio carries no id of ours: the leg to our own telephone (`to_number`) that began when the
        request was sent. Two such prove nothing, and are none: a telephone is rung for one call at a time.
        """
        rung = [leg for leg in self.twilio.find_legs(to_number=to_number, since=since) if _then(leg, since)]
        if len(rung) != 1:
            return []
        report = self.fetch_call(rung[0].sid)
        return [Report(body=report.body, facts=dataclasses.replace(report.facts, call_uuid=call_uuid))]

    def fetch_calls(self, provider_call_ids: Sequence[str]) -> list[Report]:
        """One by one: what a call is, its legs say together."""
        found = []
        for sid in provider_call_ids:
            try:
                found.append(self.fetch_call(sid))
            except NotFound:
                continue
        return found

    def hang_up(self, provider_call_id: str) -> None:
        """Ours, and with it theirs, wherever it has been sent meanwhile, and whoever theirs was connected to.
        Raises what `Twilio.hang_up` does; one that is over is fine.
        """
        self.twilio.hang_up(provider_call_id)
        for theirs in self.twilio.children(provider_call_id):
            if not theirs.over:
                self.twilio.hang_up(theirs.sid)

    def move_theirs(self, provider_call_id: str, *, call_uuid: str, keys: str = "") -> None:
        """Theirs is the leg that ours rang. Out of a Dial: ours then asks that Dial's `action`."""
        legs = self.twilio.children(provider_call_id)
        theirs = next((leg.sid for leg in legs if leg.status == ANSWERED), "")
        asks = address(f"/webhook/twilio/voice/desk-them/{call_uuid}")
        if not theirs:
            raise NotFound(_("They are not on the line any more."))
        if not keys:
            self._move(theirs, url=asks)
            return
        pressing = Twiml()
        pressing.keys(keys)
        pressing.redirect(asks)
        self._move(theirs, twiml=str(pressing))

    def move_colleague(self, leg_id: str, *, call_uuid: str) -> None:
        self._move(leg_id, url=address(f"/webhook/twilio/voice/desk-colleague/{call_uuid}"))

    def _move(self, leg: str, *, url: str = "", twiml: str = "") -> None:
        try:
            self.twilio.redirect(leg, url=url, twiml=twiml, repeat=not twiml)
        except Over as over:
            raise NotFound(_("They are not on the line any more.")) from over

    def recording_headers(self) -> Mapping[str, str]:
        return self.twilio.credentials()

    # What it tells

    def verify(self, body: bytes, signature: str | None, *, now: datetime) -> bytes:
        """The address is a part of what Twilio signs: see `signature.verify`."""
        raise BadSignature("Twilio signs the address as well.", cause_code="malformed")

    def read_event(self, body: bytes) -> ProviderEvent:
        told = read_callback(body)
        url = self.twilio.recording_url(told.recording_sid) if told.recording_sid else ""
        facts = calls_in.message_facts(told, recording_url=url)
        if facts is None and calls_in.came_in(told):
            facts = calls_in.facts_of(told)
        elif facts is None:
            facts = callback_facts(told, recording_url=url)
        kind = EventKind.OTHER if facts is None else EventKind.FACT
        return ProviderEvent(name=told.name, kind=kind, facts=facts)

    def read_call(self, body: bytes) -> CallFacts:
        url = self.twilio.recording_url("SID").replace("/SID.", "/{}.")
        return calls_in.look(body, recording_url=url) or look_facts(body, recording_url=url)

    def read_live(self, body: bytes) -> LiveEvent | None:
        return None

    # What it has not

    def create_agent(self, draft: AgentDraft) -> str:
        raise NotOffered(Ability.CREATE_AGENT)

    def stop_utterance(self, provider_call_id: str, utterance_id: str) -> None:
        raise NotOffered(Ability.BARGE_IN)


def _then(leg: Leg, since: datetime) -> bool:
    at = leg.created_at
    return (
        leg.direction == RUNG_BY_US
        and at is not None
        and since - CLOCKS_DIFFER <= at <= since + TWILIO_TAKES_UP_TO
    )
