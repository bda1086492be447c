"""Our rows, straight from the database, against the network's ledger: one line a promise."""

from __future__ import annotations

import contextlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.management import call_command

from calls.models import Call, CallStatus, Outcome, WebhookEvent
from calls.models.webhook_event import EventState
from tests.storm import database, limits, people
from tests.storm.books import differences
from tests.storm.forgery import MARKER
from tests.storm.ledger import Heard, Ledger
from tests.storm.notes import Notes
from tests.storm.plan import Plan

JITTER_S = 1.0
"""Between a slot of the pace and its permit, and again between the permit and the provider."""
ANSWER_IN_MS = 2_000
"""A caller hears nothing while the question is open; the provider itself would wait for ten seconds."""
SHOWN = 8
NEVER_RANG = (Outcome.CANCELED, Outcome.BLOCKED, Outcome.EXPIRED, Outcome.UNKNOWN, Outcome.FAILED)
CHUNK = 1000


@dataclass(slots=True)
class Line:
    """One promise. `found` must be empty; `remark` says what was counted."""

    promise: str
    found: list[str] = field(default_factory=list)
    remark: str = ""

    @property
    def held(self) -> bool:
        return not self.found


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known when the storm is over."""

    plan: Plan
    notes: Notes
    ledger: Ledger
    trouble: Sequence[Sequence[float]]
    """Epoch ms from, to: web was killed or frozen, or had not answered again yet."""
    deaths: Sequence[str]


def judge(case: Case) -> list[Line]:
    permits = database.permits()
    return [
        _double_rings(case.ledger, permits),
        _not_ended(),
        *_books(case),
        _unknown(case),
        _promised(case.notes),
        _forged(case.notes),
        _after_opt_out(case, permits),
        Line(
            "permits while calling was stopped",
            [
                f"{one.kind} {one.call_id} at {one.at}"
                for one in limits.while_stopped(permits, case.notes.stops)
            ],
            f"{len(case.notes.stops)} stops",
        ),
        _capacity(case),
        *_pace(case, permits),
        _inbound(case),
        _events(),
        _computed_again(),
        _import(),
        Line("processes that ended by themselves", list(case.deaths)),
        Line("what the harness could not do", list(case.notes.problems)),
    ]


def _double_rings(ledger: Ledger, permits: Sequence[database.Permit]) -> Line:
    twice = {**ledger.summary["placed_twice"]}
    at_once = {**ledger.summary["rung_at_once"]}
    incidents = Call.objects.exclude(incident="").values_list("pk", "incident")
    sent_again = sum(one.kind == "replayed" for one in permits)
    known_there = sum(one["outcome"] == "replayed" for one in ledger.creates)
    return Line(
        "double rings",
        [f"call {call} was placed as {' and '.join(ids)}" for call, ids in twice.items()]
        + [f"{number} rang for {' and '.join(ids)} at once" for number, ids in at_once.items()]
        + [f"incident on {call}: {text}" for call, text in incidents],
        f"{ledger.summary['rings']} telephones rang; {sent_again} requests were sent again,"
        f" {known_there} of them known there",
    )


def _not_ended() -> Line:
    still_open = Call.objects.open()
    return Line(
        "calls not ended",
        [f"{call.pk} is {call.status}, sent {call.sent_at}" for call in still_open],
        f"{Call.objects.filter(status=CallStatus.ENDED).count()} ended",
    )


def _books(case: Case) -> list[Line]:
    """What happened there and what we wrote, call by call."""
    lines = {
        kind: Line(f"{kind} that differ")
        for kind in ("outcomes", "durations", "transcripts", "analyses", "costs", "ids")
    }
    missing = Line("calls of the network that we do not have")
    compared: Counter[str] = Counter()
    known: set[str] = set()
    for group in _in_chunks(case.ledger.told()):
        rows = _rows([entry["call_id"] for entry, _told in group])
        for entry, told in group:
            call = rows.get(entry["call_id"])
            known.add(entry["call_id"])
            compared[entry["direction"]] += 1
            if call is None:
                missing.found.append(f"{entry['direction']} {entry['call_id']} of {entry['call_uuid']}")
                continue
            for kind, says in differences(call, entry, told):
                who = f"{call.pk} ({entry['kind']}, {entry['disconnection_reason']})"
                lines[kind].found.append(f"{who}: {says}")
    missing.remark = f"{compared['outbound']} out and {compared['inbound']} in were compared"
    return [*lines.values(), missing, _invented(known)]


def _rows(ids: Iterable[str]) -> dict[str, Call]:
    found = Call.objects.select_related("transcript").filter(provider_call_id__in=list(ids))
    return {call.provider_call_id: call for call in found}


def _in_chunks[One](found: Iterable[One]) -> Iterable[list[One]]:
    group: list[One] = []
    for one in found:
        group.append(one)
        if len(group) == CHUNK:
            yield group
            group = []
    yield group


def unheard_of(ledger: Ledger) -> bool:
    """Whether the network has a call of ours without any row here."""
    there = {entry["call_id"] for entry in ledger.calls if entry["agent_id"]}
    ids = Call.objects.exclude(provider_call_id="").values_list("provider_call_id", flat=True)
    return not there <= set(ids.iterator(chunk_size=CHUNK))


def _invented(known: set[str]) -> Line:
    """Rows that say a telephone rang which the network never rang."""
    line = Line("calls of ours that the network does not have")
    outcomes: Counter[str] = Counter()
    ended = Call.objects.filter(status=CallStatus.ENDED)
    columns = ended.values_list("pk", "provider_call_id", "outcome", "outcome_evidence")
    for pk, provider_call_id, outcome, evidence in columns.iterator(chunk_size=CHUNK):
        if provider_call_id in known:
            continue
        outcomes[f"{outcome} ({evidence[:60]})" if evidence else outcome] += 1
        if provider_call_id or outcome not in NEVER_RANG:
            line.found.append(f"{pk} ended as {outcome} under the id {provider_call_id or 'none'}")
    line.remark = ", ".join(f"{many} {outcome}" for outcome, many in outcomes.items()) or "none"
    return line


def _unknown(case: Case) -> Line:
    """`unknown` is right only of a call that the network, asked again and again, has never had."""
    there = {entry["call_uuid"] for entry in case.ledger.calls}
    unknown = Call.objects.filter(outcome=Outcome.UNKNOWN).values_list("pk", flat=True)
    found = [str(pk) for pk in unknown]
    return Line(
        "unknown although the network has it",
        [pk for pk in found if pk in there],
        f"{sum(pk not in there for pk in found)} unknown of which no telephone ever rang",
    )


def _promised(notes: Notes) -> Line:
    there = {str(pk) for pk in Call.objects.values_list("pk", flat=True).iterator(chunk_size=CHUNK)}
    return Line(
        "calls promised by REST and lost",
        sorted(notes.promised - there),
        ", ".join(f"{what}: {many}" for what, many in sorted(notes.answers.items())),
    )


def _forged(notes: Notes) -> Line:
    stored = database.events_containing(MARKER.encode())
    found = [*notes.forged_accepted, *([f"{stored} stored events of forgers"] if stored else [])]
    refused: defaultdict[str, int] = defaultdict(int)
    for what, many in notes.forged.items():
        refused[what.rpartition(": ")[2]] += many
    told = ", ".join(f"{status}: {many}" for status, many in sorted(refused.items()))
    return Line("forged accepted", found, f"{notes.forged.total()} sent ({told})")


def _after_opt_out(case: Case, permits: Sequence[database.Permit]) -> Line:
    asked = [(one.number, one.since) for one in case.notes.opt_outs]
    committed = database.opt_outs_committed()
    late = limits.after_opt_out(permits, [*asked, *committed])
    return Line(
        "permits after a covering opt-out",
        [f"{one.kind} {one.call_id} to {one.counterpart} at {one.at}" for one in late],
        f"{len(asked)} through REST, {max(0, len(committed) - len(asked))} said on calls;"
        f" {len(permits)} permits",
    )


def _capacity(case: Case) -> Line:
    far = 2**60
    spans = [
        (entry["created_ms"], entry["ended_ms"] or far)
        for entry in case.ledger.calls
        if entry["direction"] == "outbound"
    ]
    most, levels = limits.most_at_once(spans)
    refused = [one for one in case.ledger.creates if one["outcome"] == "over capacity"]
    limit = case.plan.at_once
    return Line(
        "capacity over its limit",
        [f"{level} at once" for level in levels if level > limit]
        + [f"refused by the network for it at {one['at_ms']}" for one in refused],
        f"at most {most} of {limit} at once",
    )


def _pace(case: Case, permits: Sequence[database.Permit]) -> list[Line]:
    plan = case.plan
    ours = limits.by_line(permits)
    refused = [one for one in case.ledger.creates if one["outcome"] == "over pace"]
    theirs: defaultdict[str, list[float]] = defaultdict(list)
    line_of = _lines_by_call()
    for entry in case.ledger.calls:
        if entry["direction"] == "outbound":
            theirs[line_of.get(entry["call_uuid"], "?")].append(entry["created_ms"] / 1000)
    told = [
        _pace_line("pace over its limit, by permits", plan.pace, ours, JITTER_S),
        _pace_line("pace over its limit, at the network", plan.pace, theirs, 2 * JITTER_S),
    ]
    told[1].found += [f"refused by the network for it at {one['at_ms']}" for one in refused]
    return told


def _pace_line(promise: str, pace: float, lines: Mapping[str, list[float]], jitter_s: float) -> Line:
    found, remark = [], []
    for name, moments in sorted(lines.items()):
        moments.sort()
        over = limits.over_pace(moments, per_second=pace, jitter_s=jitter_s)
        found += [f"on {name}"] * over
        in_ten = limits.most_within(moments, 10.0) / 10
        remark.append(f"{name}: {limits.most_within(moments, 1.0)} in a second, {in_ten:.1f}/s in ten")
    return Line(promise, found, f"{pace:g}/s; at most {'; '.join(remark)}")


def _lines_by_call() -> dict[str, str]:
    outbound = Call.objects.outbound().values_list("pk", "line")
    return {str(pk): line for pk, line in outbound.iterator(chunk_size=CHUNK)}


def _inbound(case: Case) -> Line:
    asked = case.ledger.inbound_questions()
    troubled = [one for one in asked if _in_trouble(one, case.trouble)]
    fair = [one for one in asked if one not in troubled]
    late = [one for one in fair if one.status != 200 or one.elapsed_ms > ANSWER_IN_MS]
    times = sorted(one.elapsed_ms for one in fair) or [0]
    return Line(
        "inbound answered late",
        [f"{one.call_id}: {one.status} {one.error} after {one.elapsed_ms} ms" for one in late],
        f"{len(fair)} questions, median {times[len(times) // 2]} ms, longest {times[-1]} ms;"
        f" {len(troubled)} more while web was down",
    )


def _in_trouble(heard: Heard, trouble: Sequence[Sequence[float]]) -> bool:
    return any(since <= heard.at_ms + heard.elapsed_ms and heard.at_ms <= until for since, until in trouble)


def _events() -> Line:
    """What was told and not understood: nothing of it may be left."""
    left = WebhookEvent.objects.exclude(state__in=[EventState.APPLIED, EventState.IGNORED])
    states = Counter(left.values_list("state", flat=True))
    problems = left.exclude(problem="").values_list("pk", "state", "problem")
    return Line(
        "events left unread or in error",
        [f"event {pk} ({state}): {problem.strip().splitlines()[-1]}" for pk, state, problem in problems],
        ", ".join(f"{many} {state}" for state, many in states.items())
        or f"{WebhookEvent.objects.count()} read",
    )


def _computed_again() -> Line:
    """Every call computed anew from the facts that are stored of it."""
    told = io.StringIO()
    with contextlib.suppress(SystemExit):
        call_command("rederive", "--check", stdout=told)
    # What comes late, after all was quiet, may just be waiting; left unread is a line of its own.
    lines = [line for line in told.getvalue().strip().splitlines() if "still to be read" not in line]
    *differing, counted = lines
    return Line("calls that their stored facts tell otherwise", differing, counted)


def _import() -> Line:
    state, made, there = people.imported()
    found = [] if made == there else [f"it says {made}, there are {there}"]
    if state == "failed":
        found.append("it failed: see the worker's log")
    return Line("leads imported twice or lost", found, f"{there} leads, import {state}")


def table(lines: Sequence[Line]) -> str:
    """As it is printed: what failed is shown with its first cases."""
    told = []
    for line in lines:
        mark = "ok " if line.held else "NOT"
        told.append(f"{mark} {line.promise:<42} {len(line.found):>5}   {line.remark}".rstrip())
        told += [f"         {case[:300]}" for case in line.found[:SHOWN]]
        if len(line.found) > SHOWN:
            told.append(f"         and {len(line.found) - SHOWN} more")
    return "\n".join(told)


def facts(case: Case) -> dict[str, Any]:
    """What the network counted, for the record."""
    summary = case.ledger.summary
    return {"requests for a call": summary["creates"], "webhooks": summary["webhooks"]}
