"""Rows that are valid in every constraint, with the fewest words. Each takes any field of its model.

Numbers come from the ranges set aside for fiction (+1 NPA 555-0100 to 0199): nobody's telephone.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from agents.models import Agent, PhoneNumber
from calls.models import Call, CallStatus, Direction, DoNotCall, Lead, LeadPhone, Outcome, Transcript

# Each lies in one time zone, so that a lead's local time is known from its number alone.
WRITTEN_OUT = (415, 212, 303)
"""Area codes of the numbers that stand in tests: what is drawn must never be one of them."""
DRAWN = (312, 206, 305, 404, 512, 617, 702, 713, 718, 773, 818, 916)
COUNTER = itertools.count()


def fiction_number(nth: int, codes: Sequence[int] = WRITTEN_OUT + DRAWN) -> str:
    """The nth number of fiction, E.164; a hundred an area code before they repeat."""
    area, line = codes[nth % len(codes)], nth // len(codes) % 100
    return f"+1{area}55501{line:02d}"


def next_number() -> str:
    return fiction_number(next(COUNTER), DRAWN)


def make_number(**fields: Any) -> PhoneNumber:
    """A number of ours."""
    fields.setdefault("number", next_number())
    fields.setdefault("label", "Front desk")
    return PhoneNumber.objects.create(**fields)


def make_agent(**fields: Any) -> Agent:
    """An AI agent that may call, from a caller ID of its own unless `default_caller_id` is given."""
    fields.setdefault("name", "Nora")
    fields.setdefault("provider_agent_id", f"agent_{uuid.uuid4().hex[:24]}")
    fields.setdefault("language", "en-US")
    if "default_caller_id" not in fields:
        fields["default_caller_id"] = make_number()
    return Agent.objects.create(**fields)


def make_lead(number: str | None = None, **fields: Any) -> Lead:
    """A lead with one valid number; `number=""` for a lead without any."""
    fields.setdefault("name", "Ada Sample")
    lead = Lead.objects.create(**fields)
    if number != "":
        LeadPhone.objects.create(lead=lead, number=number or next_number())
    return lead


def _reached(status: str, now: datetime) -> dict[str, Any]:
    """What a call of this status must or would have by then."""
    known: dict[str, Any] = {"requested_at": now, "due_at": now, "not_after": now + timedelta(minutes=10)}
    if status == CallStatus.QUEUED:
        return known
    known |= {"claimed_at": now, "request_body": b"{}", "slot_until": now + timedelta(minutes=5)}
    if status == CallStatus.DIALING:
        return known | {"place_token": uuid.uuid4(), "lease_until": now + timedelta(seconds=5)}
    known |= {"sent_at": now}
    if status == CallStatus.UNCONFIRMED:
        return known | {"next_look_at": now + timedelta(seconds=5)}
    known |= {"provider_call_id": f"call_{uuid.uuid4().hex}", "placed_at": now}
    if status in (CallStatus.PLACED, CallStatus.RINGING):
        return known
    known |= {"answered_at": now + timedelta(seconds=8)}
    if status == CallStatus.IN_PROGRESS:
        return known
    return known | {
        "ended_at": now + timedelta(seconds=68),
        "duration_ms": 60_000,
        "cost_micros": 120_000,
        "currency": "USD",
        "outcome": Outcome.CONNECTED,
        "answered_by": "person",
        "slot_until": None,
        "final": True,
    }


def make_call(status: str = CallStatus.QUEUED, *, now: datetime | None = None, **fields: Any) -> Call:
    """A call as it stands at `status`, asked for at `now`. Any field may be given, None included.

    Without a lead one is made; with `lead=None` the number alone is called. The agent and our number
    are made too unless given.
    """
    now = now or timezone.now()
    row = _reached(status, now)
    if fields.get("direction") == Direction.INBOUND:
        for name in (
            "due_at",
            "not_after",
            "claimed_at",
            "request_body",
            "place_token",
            "lease_until",
            "sent_at",
        ):
            row.pop(name, None)
    if "lead" not in fields:
        fields["lead"] = make_lead(fields.get("counterpart"))
    if "counterpart" not in fields:
        phone = fields["lead"].phones.first() if fields["lead"] else None
        fields["counterpart"] = phone.number if phone else next_number()
    if "agent" not in fields:
        fields["agent"] = make_agent()
    if "our_number" not in fields:
        caller_id = fields["agent"].default_caller_id if fields["agent"] else None
        fields["our_number"] = caller_id.number if caller_id else next_number()
    return Call.objects.create(**{"status": status, **row, **fields})


def make_transcript(call: Call, *lines: tuple[str, str]) -> Transcript:
    """`lines`: (role, words), four seconds each."""
    said = lines or (("agent", "Hello, this is Nora, an AI assistant."), ("user", "Hello."))
    turns = [
        {"role": role, "content": words, "start_s": 4.0 * nth, "end_s": 4.0 * nth + 3.5, "words": []}
        for nth, (role, words) in enumerate(said)
    ]
    text = "\n".join(f"{role}: {words}" for role, words in said)
    return Transcript.objects.create(call=call, turns=turns, text=text)


def make_opt_out(number: str, **fields: Any) -> DoNotCall:
    """A do-not-call row alone. What an opt-out does to calls is `calls.people`'s; call that for it."""
    fields.setdefault("reason", "asked not to be called")
    fields.setdefault("source", "staff")
    fields.setdefault("created_at", timezone.now())
    return DoNotCall.objects.create(number=number, **fields)


def at(text: str) -> datetime:
    """'2026-03-02 14:30' as an aware UTC datetime."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
