"""A planned call as the product would have it: told by the telephone network, read by our own reader.

Each call is put together as the network's own call, shown as it shows one that is over, and folded into
columns by `lifecycle.derive`. So history can be fetched, played and compared like any call of today. Only
the stored events are left out: nothing of it was ever delivered, and a row that says so would be untrue.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from agents import variables as supplied
from agents.models import Agent, PhoneNumber
from agents.providers.base import Provider
from agents.sandbox.account import Account
from agents.sandbox.archive import nothing_said
from agents.sandbox.conversation import converse
from agents.sandbox.network import ANALYSIS_S, SETUP_S, TRANSFER_DESTINATION
from agents.sandbox.people import Behaviour
from agents.sandbox.phone_call import PhoneCall, transfer_moments
from agents.sandbox.phone_call import Stage as OnTheNetwork
from agents.sandbox.retell_call import call_object
from agents.sandbox.voices import token
from callcenter.demo.history import CALLERS, Planned, PlannedBatch
from callcenter.demo.zones import zone_of
from calls import dispositions
from calls.eligibility import Decision, Reason, Verdict
from calls.lifecycle.derive import Derived, Fact, derive
from calls.models import Call, CallBatch, CallStatus, Direction, Lead, Priority, Transcript

SPEAKERS = {"agent": "Agent", "user": "User", "transfer_target": "Transfer Target"}
CLICK_LASTS = timedelta(minutes=10)
CLAIMED_BEFORE = timedelta(milliseconds=90)
WAITED = timedelta(minutes=10)
"""A batch's call that went out so much later had waited for nine o'clock there."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One call in both books."""

    planned: Planned
    call: Call
    transcript: Transcript | None
    on_the_network: PhoneCall


class Recorder:
    """Turns plans into rows, one after another: each knows how the call before it went."""

    def __init__(
        self,
        *,
        agents: Mapping[str, Agent],
        lines: Mapping[str, PhoneNumber],
        provider: Provider,
        network_url: str,
        luck: Random,
        batches: Mapping[PlannedBatch, CallBatch],
    ) -> None:
        """`agents`: by the key of the network's agent; `lines`: our numbers."""
        self._batches = batches
        self._agents = agents
        self._lines = lines
        self._provider = provider
        self._network_url = network_url
        self._luck = luck
        self._account = Account(inbound_webhook_url=None, seed=1)
        # The account hands out copies; one of each agent will do, nobody changes them here.
        self._speakers = {key: self._account.agent(f"agent_sandbox_{key}") for key in CALLERS}
        self._defaults = {
            key: self._account.variables_for(agent, {}) for key, agent in self._speakers.items()
        }
        self._last: dict[str, Call] = {}

    def record(self, planned: Planned, lead: Lead | None, owner_id: int | None) -> Recorded:
        call = self._asked_for(planned, lead, owner_id)
        heard = self._heard(planned, call)
        derived = self._derived(heard)
        for name, value in derived.columns.items():
            setattr(call, name, value)
        call.ended_at = derived.columns["ended_at"] or _moment(heard.ended_ms)
        assert call.ended_at is not None
        call.status, call.final = CallStatus.ENDED, True
        call.analysed_at = call.ended_at + timedelta(seconds=ANALYSIS_S)
        call.proposed_disposition = dispositions.proposed(
            call, opted_out=derived.opted_out, asked_call_back=derived.asked_call_back
        )
        call.promise = str(call.analysis.get("promise") or "")[:300]
        if planned.person is not None and call.summary:
            self._last[planned.person.number] = call
        transcript = None
        if derived.turns is not None:
            transcript = Transcript(call=call, turns=derived.turns, text=derived.text)
        elif heard.so_far():
            transcript = _transcript(call, heard)
        return Recorded(planned, call, transcript, heard)

    def _derived(self, heard: PhoneCall) -> Derived:
        """Mostly without the transcript: it is most of a call, and would be taken apart word by word."""
        storage = heard.storage
        if heard.transfer_at_s is None:
            heard.storage = "basic_attributes_only"
        body = call_object(heard, self._url)
        heard.storage = storage
        if heard.connected:
            body["recording_url"] = self._url(heard)
        facts = self._provider.read_call(json.dumps(body).encode())
        return derive([Fact(facts, fetched=True, key="")])

    def _asked_for(self, planned: Planned, lead: Lead | None, owner_id: int | None) -> Call:
        """The row as it stood when the call was sent, or when it rang in."""
        agent, line = self._agents[planned.agent], self._lines[planned.our_number]
        call = Call(
            pk=self._uuid(),
            direction=planned.direction,
            lead=lead,
            agent=agent,
            counterpart=planned.number,
            our_number=line.number,
            line=line.line,
            requested_at=planned.at,
            provider=agent.provider,
            provider_call_id=f"call_{self._uuid().hex}",
            variables=supplied.values_for(self._known(planned, lead), agent=agent),
            attempt=planned.attempt,
            priority=Priority.CALL_BACK if planned.promised else Priority.CLICK,
        )
        if planned.person is not None:
            there = planned.at.astimezone(zone_of(planned.person.zone))
            call.local_hour, call.local_weekday = there.hour, there.weekday()
        if planned.direction == Direction.INBOUND:
            return call
        asked = planned.at - timedelta(seconds=self._luck.uniform(0.4, 6.0))
        call.requested_by_id = None if planned.promised else owner_id
        call.not_after = asked + CLICK_LASTS
        if planned.batch is not None:
            asked = planned.batch.started + timedelta(seconds=self._luck.uniform(0.2, 2.5))
            batch = self._batches[planned.batch]
            call.batch, call.requested_by_id, call.priority = batch, batch.created_by_id, Priority.BATCH
            call.not_after = self._day_ends(planned)
        call.requested_at = asked
        call.due_at = planned.at - CLAIMED_BEFORE if planned.batch is not None else asked
        call.claimed_at = planned.at - CLAIMED_BEFORE
        call.sent_at = planned.at
        call.placed_at = planned.at + timedelta(milliseconds=180)
        call.decision = self._decision(planned, lead, asked)
        return call

    def _known(self, planned: Planned, lead: Lead | None) -> dict[str, str]:
        if lead is None or planned.person is None:
            return {"caller_known": "false"}
        last = self._last.get(planned.person.number)
        return {
            **lead.custom,
            "name": lead.name,
            "first_name": lead.first_name,
            "company": lead.company,
            "time_zone": lead.time_zone,
            "reason_we_called": lead.reason,
            "last_call_summary": last.summary if last else "",
            "open_promise": last.promise if last else "",
        }

    def _decision(self, planned: Planned, lead: Lead | None, asked: datetime) -> dict[str, Any]:
        assert planned.person is not None
        later = planned.batch is not None and planned.at - asked > WAITED
        night = Reason(code="outside_hours", text="", source="CALLING_HOURS", blocks=False, until=planned.at)
        return Decision(
            verdict=Verdict.LATER if later else Verdict.NOW,
            at=planned.at if later else asked,
            number=planned.number,
            reasons=(night,) if later else (),
            zones=(planned.person.zone,),
            zone_source="stated" if lead is not None and lead.time_zone else "number",
            day_ends=self._day_ends(planned),
            decided_at=asked,
        ).snapshot()

    def _day_ends(self, planned: Planned) -> datetime:
        assert planned.person is not None
        there = planned.at.astimezone(zone_of(planned.person.zone))
        return there.replace(hour=20, minute=0, second=0, microsecond=0).astimezone(UTC)

    def _heard(self, planned: Planned, call: Call) -> PhoneCall:
        """The same call as the telephone network has it, over and analysed."""
        agent = self._speakers[planned.agent]
        inbound = planned.direction == Direction.INBOUND
        heard = PhoneCall(
            id=call.provider_call_id,
            direction=planned.direction,
            from_number=planned.number if inbound else planned.our_number,
            to_number=planned.our_number if inbound else planned.number,
            created_ms=_ms(planned.at),
            agent=agent,
            metadata={"call_uuid": str(call.pk)},
            given_variables=call.variables,
            variables={**self._defaults[planned.agent], **call.variables},
            storage=agent["data_storage_setting"],
            attempt=planned.attempt,
            stage=OnTheNetwork.OVER,
            reason=planned.reason,
            rang_ms=_ms(planned.at + timedelta(seconds=SETUP_S)),
            analysed=True,
        )
        picked_up = planned.at + timedelta(seconds=SETUP_S + planned.rings_s)
        if not planned.connects:
            heard.ended_ms = _ms(picked_up)
            heard.conversation = nothing_said(heard)
            return heard
        said = converse(
            _behaviour(planned),
            variables=heard.variables,
            now=picked_up,
            local_tz=planned.person.zone if planned.person is not None else None,
            seed=self._luck.getrandbits(32),
        )
        heard.conversation, heard.heard_s = said, said.duration_s
        heard.answered_ms = _ms(picked_up)
        heard.ended_ms = _ms(picked_up + timedelta(seconds=said.duration_s))
        if planned.kind.startswith("transfer"):
            heard.transfer_to, heard.transfer_at_s = TRANSFER_DESTINATION, transfer_moments(said)
        return heard

    def _url(self, call: PhoneCall) -> str:
        assert call.conversation is not None
        return f"{self._network_url}/recordings/{token(call.conversation)}.mp3"

    def _uuid(self) -> uuid.UUID:
        """Random, and the same for the same demo."""
        return uuid.UUID(int=self._luck.getrandbits(128), version=4)


def _transcript(call: Call, heard: PhoneCall) -> Transcript:
    """As `lifecycle` stores it; a test holds one against the long way through our reader."""
    turns = heard.so_far()
    rows: list[dict[str, Any]] = [
        {
            "role": turn.role,
            "content": turn.content,
            "start_s": turn.words[0].start,
            "end_s": turn.words[-1].end,
            "words": [[word.word, word.start, word.end] for word in turn.words],
        }
        for turn in turns
    ]
    return Transcript(
        call=call, turns=rows, text="".join(f"{SPEAKERS[turn.role]}: {turn.content}\n" for turn in turns)
    )


def _behaviour(planned: Planned) -> Behaviour:
    return Behaviour(
        kind=planned.kind,
        script=planned.script,
        disconnection_reason=planned.reason,
        rings_s=planned.rings_s,
        connects=planned.connects,
        rings_back_after_s=None,
    )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _moment(ms: int | None) -> datetime | None:
    return datetime.fromtimestamp(ms / 1000, UTC) if ms is not None else None
