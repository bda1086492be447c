"""What would happen if a batch started now: how many now, later and never. Nothing is called by counting.

A small batch is counted while somebody waits. A large one is counted in pieces, a second's worth a
request, and its row keeps how far it is; another choice of agent or words begins anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime

from calls.dialer.batches import leads_of, our_number_of
from calls.eligibility import Decision, Verdict, decide_many
from calls.models import CallBatch, Lead
from calls.models.batch import BatchState

AT_ONCE = 2_000
"""Leads counted in one go: about half a second."""
PIECE = 250
A_REQUEST = 0.6
"""Seconds of counting in one request."""
GOES_STALE = timedelta(minutes=15)
SHOWN = 200
"""People kept for each of the three groups; the rest is counted."""


@dataclass(slots=True)
class Tally:
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Verdict.values, 0))
    reasons: dict[str, list[Any]] = field(default_factory=dict)
    """Code of the first reason that blocks: [its sentence, how many]."""
    shown: dict[str, list[list[Any]]] = field(default_factory=lambda: {v: [] for v in Verdict.values})
    """By verdict, the first SHOWN: [lead id, ISO time from which it may be or None, zone, [sentences]]."""
    first_later: list[str] = field(default_factory=list)
    """[ISO time, zone] of the first that may only be called later."""

    @property
    def to_call(self) -> int:
        return self.counts[Verdict.NOW] + self.counts[Verdict.LATER]

    def never_by_reason(self) -> list[tuple[str, str, int]]:
        """(code, sentence, how many), most first; each person counted by their first blocking reason."""
        found = [(code, text, n) for code, (text, n) in self.reasons.items()]
        return sorted(found, key=lambda reason: -reason[2])

    def add(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            verdict = decision.verdict
            self.counts[verdict] += 1
            blocking = [reason for reason in decision.reasons if reason.blocks]
            if verdict == Verdict.NEVER:
                entry = self.reasons.setdefault(blocking[0].code, [blocking[0].text, 0])
                entry[1] += 1
            zone = decision.zones[0] if decision.zones else ""
            at = decision.at.isoformat() if decision.at and verdict == Verdict.LATER else None
            if at and (not self.first_later or _moment(at) < _moment(self.first_later[0])):
                self.first_later = [at, zone]
            if len(self.shown[verdict]) < SHOWN and decision.lead is not None:
                told = blocking if verdict == Verdict.NEVER else decision.reasons
                self.shown[verdict].append([decision.lead.pk, at, zone, [reason.text for reason in told]])


def _moment(iso: str) -> datetime:
    found = parse_datetime(iso)
    assert found is not None
    return found


def is_large(batch: CallBatch) -> bool:
    return len(batch.lead_ids) > AT_ONCE


def counted_at_once(batch: CallBatch, *, now: datetime) -> Tally:
    """A small batch, as it stands in memory: agent, caller ID and variables need not be saved."""
    tally = Tally()
    tally.add(_decide(batch, batch.lead_ids, now=now))
    return tally


def counted_so_far(batch: CallBatch, *, now: datetime) -> Tally | None:
    """What is known of a large batch for the choices it has in memory; None: begin anew."""
    kept = batch.counted
    if kept.get("for") != _choices(batch) or _moment(kept["since"]) < now - GOES_STALE:
        return None
    return Tally(**kept["tally"])


def is_counted(batch: CallBatch) -> bool:
    return batch.counted_to >= len(batch.lead_ids)


def begin(batch: CallBatch, *, now: datetime) -> Tally:
    """Count from the start, for the choices that the batch has in memory."""
    tally = Tally()
    batch.counted_to = 0
    batch.counted = {"for": _choices(batch), "since": now.isoformat(), "tally": asdict(tally)}
    CallBatch.objects.filter(pk=batch.pk, state=BatchState.DRAFT).update(
        counted=batch.counted, counted_to=batch.counted_to
    )
    return tally


def count_on(batch: CallBatch, tally: Tally, *, now: datetime) -> None:
    """Go on for A_REQUEST seconds, and keep it unless another request has come as far meanwhile."""
    ids, reached = batch.lead_ids, batch.counted_to
    ends = time.monotonic() + A_REQUEST
    to = reached
    while to < len(ids):
        tally.add(_decide(batch, ids[to : to + PIECE], now=now))
        to = min(to + PIECE, len(ids))
        if time.monotonic() > ends:
            break
    kept = {**batch.counted, "tally": asdict(tally)}
    saved = CallBatch.objects.filter(pk=batch.pk, state=BatchState.DRAFT, counted_to=reached).update(
        counted=kept, counted_to=to
    )
    if saved:
        batch.counted, batch.counted_to = kept, to


def known_to_all(batch: CallBatch, names: Iterable[str]) -> set[str]:
    """Of these names, the own fields that every lead of the batch has: nothing to fill in for them."""
    ids = batch.lead_ids
    leads = Lead.objects.filter(pk__in=ids)
    return {name for name in names if not leads.exclude(custom__has_key=name).exists()} if ids else set()


def _decide(batch: CallBatch, ids: list[int], *, now: datetime) -> list[Decision]:
    return decide_many(
        leads_of(ids),
        now=now,
        agent=batch.agent,
        our_number=our_number_of(batch),
        variables=batch.variables,
    )


def _choices(batch: CallBatch) -> str:
    """All that the counting depends on beside the leads."""
    return "|".join([str(batch.agent_id), our_number_of(batch), *sorted(batch.variables)])
