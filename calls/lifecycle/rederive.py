"""Every call computed again from its facts, and held against its row. There must be no difference.

Streams: one bunch of ids in memory, one call's facts at a time. A difference is looked at a second time
under the call's lock, as facts may be arriving meanwhile.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from agents.providers.base import Stage
from calls.lifecycle.derive import Derived, derive
from calls.lifecycle.fold import facts_of, fold, meant, told
from calls.models import Call, CallStatus, Transcript, WebhookEvent
from calls.models.call_words import CLIMB

BUNCH = 200


@dataclass(frozen=True, slots=True)
class Difference:
    call_id: uuid.UUID
    fields: dict[str, tuple[Any, Any]]
    """{column: (as the row has it, as the facts say)}"""


@dataclass(slots=True)
class Count:
    looked_at: int = 0
    without_facts: int = 0
    """Never reached a provider, or told of before facts were kept."""
    differing: int = 0
    healed: int = 0
    mine: list[Difference] = field(default_factory=list)
    """What `rederive_some` found; emptied by whoever reports it."""


def rederive_all(*, heal: bool, now: datetime) -> Iterator[Count]:
    """Every call, in bunches; yields the same growing count after each, with that bunch's differences."""
    count, last = Count(), uuid.UUID(int=0)
    while True:
        some = list(Call.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BUNCH])
        if not some:
            yield count
            return
        for call_id in some:
            _rederive_one(call_id, count, heal=heal, now=now)
        last = some[-1]
        yield count
        count.mine.clear()


def _rederive_one(call_id: uuid.UUID, count: Count, *, heal: bool, now: datetime) -> None:
    call = Call.objects.select_related("lead", "agent").filter(pk=call_id).first()
    if call is None:
        return
    count.looked_at += 1
    found = differences(call)
    if found is None:
        count.without_facts += 1
        return
    if not found:
        return
    with transaction.atomic():
        locked = (
            Call.objects.select_for_update(of=("self",))
            .select_related("lead", "agent")
            .filter(pk=call_id)
            .first()
        )
        found = differences(locked) if locked is not None else None
        if locked is None or not found:
            return
        count.differing += 1
        count.mine.append(Difference(call_id, found))
        if heal:
            fold({locked: facts_of([locked])[locked.pk]}, known={}, now=now)
            count.healed += 1


def differences(call: Call) -> dict[str, tuple[Any, Any]] | None:
    """{column: (is, should be)} of what follows from the facts alone; None without any fact."""
    facts = facts_of([call])[call.pk]
    if not facts:
        return None
    derived = derive(facts)
    wanted = _wanted(call, derived)
    found = {
        name: (getattr(call, name), value) for name, value in wanted.items() if getattr(call, name) != value
    }
    if derived.turns is not None:
        kept = Transcript.objects.filter(call=call).first()
        if kept is None or kept.turns != derived.turns or kept.text != derived.text:
            found["transcript"] = (kept.text if kept else None, derived.text)
    return found


def _wanted(call: Call, derived: Derived) -> dict[str, Any]:
    columns = told(call, derived)
    columns["status"] = max(call.status, derived.status, key=CLIMB.index)
    if columns["ended_at"] is None:
        # The provider names no end: the moment at which it was heard of stays.
        columns["ended_at"] = call.ended_at
    if derived.stage == Stage.ANALYSED:
        columns["final"] = True
    should = copy.copy(call)
    for name, value in columns.items():
        setattr(should, name, value)
    if should.status == CallStatus.ENDED and not should.outcome:
        return columns
    return columns | meant(should, derived)


def unread() -> int:
    """Events that have still to be applied: their calls may differ tomorrow without being wrong today."""
    return WebhookEvent.objects.filter(state="pending").count()
