"""Some calls through everything, held against the telephone network's ledger to the cent and the word."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

import httpx
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from agents.models import Agent
from agents.phone import pretty
from agents.providers.base import Provider
from callcenter.demo import people, seed
from callcenter.demo.people import Person
from calls import dialer
from calls.lifecycle.derive import Fact, derive
from calls.models import Call, CallStatus, Lead, Outcome

SPEED = 40.0
SPEED_WITHOUT_LOOKUPS = 10.0
"""The network also sends again what was not answered so many times as fast; lost then is lost for good."""
PACE = 10.0
PATIENCE = timedelta(seconds=90)
"""Beside two seconds for each call."""

# What each kind of person (docs/sandbox.md) must have become, whatever was sent about it.
EXPECTED: Mapping[str, str] = {
    "no_answer": Outcome.NO_ANSWER, "busy": Outcome.BUSY, "declined": Outcome.DECLINED,
    "invalid": Outcome.INVALID_NUMBER, "blocked": Outcome.BLOCKED, "spam": Outcome.BLOCKED,
    "failed": Outcome.FAILED, "error": Outcome.FAILED, "voicemail": Outcome.VOICEMAIL,
    "ivr": Outcome.SCREENED,
    "interested": Outcome.CONNECTED, "callback": Outcome.CONNECTED, "do_not_call": Outcome.CONNECTED,
    "wrong_number": Outcome.CONNECTED, "hangs_up": Outcome.CONNECTED, "not_interested": Outcome.CONNECTED,
    "annoyed": Outcome.CONNECTED, "price": Outcome.CONNECTED, "gatekeeper": Outcome.CONNECTED,
    "language": Outcome.CONNECTED, "transfer_missed": Outcome.CONNECTED,
}  # fmt: skip

TOLD_BY_ARTICLE = ("summary", "sentiment", "successful", "analysis")
"""The columns of an ended call that the article's contract tells too."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One call, and where its row and the ledger differ (nowhere: it is as it should be)."""

    call: Call
    differences: list[str]


def leads_to_call(count: int, *, now: datetime) -> list[Lead]:
    """`count` people who may be called now: first those of docs/sandbox.md, then anybody."""
    staff = seed.make_staff(now)
    scripted = people.try_these(now)
    some: Sequence[Person] = scripted
    if count > len(scripted):
        others = people.people(now)[len(scripted) :]
        home = scripted[0].zone
        some = [*scripted, *(_at(home, person) for person in others)]
    return seed.make_leads(some[:count], staff, now=now)


def _at(zone: str, person: Person) -> Person:
    return replace(person, zone=zone, stated=True, second_number="")


def place(leads: Sequence[Lead], *, tell: Callable[[str], None], now: datetime) -> list[Call]:
    """Call them all as one batch and wait for the end of the last, or until patience is over."""
    ana = User.objects.get(username=people.SALES[0].username)
    agent = Agent.objects.get(name__startswith="Ava")
    batch = dialer.open_batch(by=ana, lead_ids=[lead.pk for lead in leads], agent=agent, now=now)
    dialer.start_batch(batch, now=now)
    tell(f"{len(leads)} calls asked for; they go out when the ten seconds for Undo are over.")
    calls = Call.objects.filter(batch=batch)
    until = time.monotonic() + PATIENCE.total_seconds() + 2 * len(leads)
    while time.monotonic() < until:
        over = calls.filter(status=CallStatus.ENDED, final=True).count()
        batch.refresh_from_db(fields=["filled_to"])
        if batch.filled_to == len(leads) and over == calls.count():
            break
        time.sleep(0.2)
    return list(calls.select_related("lead", "transcript").order_by("sent_at", "requested_at"))


class Ledger:
    """What the telephone network says happened."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._http = httpx.Client(base_url=settings.RETELL_BASE_URL, timeout=30)
        whole = self._get("/control/ledger")
        self.summary: dict[str, Any] = whole["summary"]
        self._by_our_id: dict[str, list[dict[str, Any]]] = {}
        for entry in whole["calls"]:
            if entry["direction"] == "outbound":
                self._by_our_id.setdefault(str(entry["call_uuid"]), []).append(entry)

    @property
    def outbound(self) -> int:
        return sum(len(entries) for entries in self._by_our_id.values())

    def judge(self, call: Call) -> Verdict:
        entries = self._by_our_id.get(str(call.pk), [])
        if len(entries) != 1:
            return Verdict(call, [f"the network has {len(entries)} calls of it"])
        [entry] = entries
        return Verdict(call, [*self._as_it_happened(call, entry), *self._as_it_was_told(call, entry)])

    def _as_it_happened(self, call: Call, entry: Mapping[str, Any]) -> list[str]:
        """Against the network's own words."""
        pairs = {
            "number": (call.counterpart, entry["to_number"]),
            "caller ID": (call.our_number, entry["from_number"]),
            "id": (call.provider_call_id, entry["call_id"]),
            "over": (call.status == CallStatus.ENDED, entry["stage"] == "over"),
            "picked up": (call.answered_at is not None, entry["connected"]),
            "reason": (call.disconnection_reason, entry["disconnection_reason"]),
        }
        if settings.RETELL_CONTRACT == "article":
            # It gives no reasons: what can be inferred without them.
            pairs.pop("reason")
            pairs["how it ended"] = (call.outcome, _inferred(entry))
        elif entry["kind"] in EXPECTED:
            pairs["how it ended"] = (call.outcome, EXPECTED[entry["kind"]])
        if entry["connected"]:
            pairs["length"] = (call.duration_ms, entry["duration_ms"])
        return _differing(pairs)

    def _as_it_was_told(self, call: Call, entry: Mapping[str, Any]) -> list[str]:
        """Against the account of it that the network gives to whoever asks now."""
        told = json.dumps(self._get(f"/control/ledger/{entry['call_id']}")["retell"]).encode()
        derived = derive([Fact(self._provider.read_call(told), fetched=True, key="")])
        columns = dict(derived.columns)
        # A link may be signed anew each time; where a call was to be transferred only its own event says.
        columns.pop("recording_url")
        columns.pop("transfer_to")
        if columns["ended_at"] is None:
            columns.pop("ended_at")
        if settings.RETELL_CONTRACT == "article":
            columns = {name: columns[name] for name in TOLD_BY_ARTICLE}
        pairs = {name: (getattr(call, name), value) for name, value in columns.items()}
        transcript = getattr(call, "transcript", None)
        if settings.RETELL_CONTRACT != "article":
            pairs["transcript"] = (transcript.text if transcript else "", derived.text)
        turns = derived.turns
        if settings.RETELL_CONTRACT == "article":
            turns = [turn for turn in turns or () if turn["role"] != "tool"] or None
        pairs["turns"] = (transcript.turns if transcript else None, turns)
        return _differing(pairs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def _get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()


def _inferred(entry: Mapping[str, Any]) -> str:
    if not entry["connected"]:
        return Outcome.NO_ANSWER
    return Outcome.VOICEMAIL if entry["kind"] == "voicemail" else Outcome.CONNECTED


def _differing(pairs: Mapping[str, tuple[Any, Any]]) -> list[str]:
    return [
        f"{name}: {ours!r}, the network says {theirs!r}"
        for name, (ours, theirs) in pairs.items()
        if ours != theirs
    ]


def line(verdict: Verdict) -> str:
    call = verdict.call
    seconds = f"{call.duration_ms / 1000:.1f} s" if call.duration_ms else "-"
    cost = f"{call.cost_micros / 1_000_000:.4f} {call.currency}" if call.cost_micros else "-"
    mark = "ok " if not verdict.differences else "NOT"
    how = call.get_outcome_display() or call.get_status_display()
    who = call.lead.name if call.lead else ""
    found = "".join(f"\n      {difference}" for difference in verdict.differences)
    return f"{mark} {pretty(call.counterpart):18} {how:24.24} {seconds:>8} {cost:>11}  {who}{found}"


def run(count: int, *, provider: Provider, tell: Callable[[str], None]) -> bool:
    """Places `count` calls and says how each went. Whether all ended as the ledger says."""
    now = timezone.now()
    calls = place(leads_to_call(count, now=now), tell=tell, now=now)
    with Ledger(provider) as ledger:
        verdicts = [ledger.judge(call) for call in calls]
    for verdict in verdicts:
        tell(line(verdict))
    right = sum(not verdict.differences for verdict in verdicts)
    twice, at_once = ledger.summary["placed_twice"], ledger.summary["rung_at_once"]
    tell("")
    tell(f"{right} of {count} calls ended exactly as the network's ledger says.")
    tell(
        f"It knows {ledger.outbound} calls from us; {len(twice)} were placed twice, "
        f"{len(at_once)} numbers rang twice at once."
    )
    return right == count == len(calls) == ledger.outbound and not twice and not at_once
