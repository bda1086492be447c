"""Once an hour: recent calls against the phone company's own list, healed from what it says.

One unit of work a step: a page of their list, a hundred ids of ours, or the look whether it helped. The
run's row is claimed before each step and says where to go on, so that a killed dialer loses one step.
No transaction is open while HTTP is spoken. Whatever differs is fetched whole and stored as a fact, so
that it derives like anything else; nothing is written into a call from here.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from agents.models import PhoneNumber
from agents.providers.abilities import Ability
from agents.providers.base import NotFound, Provider, ProviderError, Report, Stage
from calls.lifecycle import schedule
from calls.lifecycle.derive import Fact, derive
from calls.lifecycle.facts import store_lookup
from calls.lifecycle.fold import told
from calls.models import Call, CallStatus, ComparedCall, Comparison, Direction, WebhookEvent
from calls.models.clock import ClockNow
from calls.models.comparison import SEEN_AT, UNFINISHED, ComparisonState, DifferenceKind, WhatWasDone
from calls.models.webhook_event import EventState

log = structlog.get_logger(__name__)

A_REQUEST = 100
LEASE = timedelta(seconds=120)
"""Renewed before each request: longer than one with all its repeats."""
GIVES_UP_AFTER = 8
"""Failures in one comparison; the next one reaches back as far."""
BACK_OFF_S = 30
COMPARED = ("outcome", "duration_ms", "cost_micros", "disconnection_reason", "ended_at")


class Overtaken(Exception):
    """Another process has taken this comparison: what this one knows is old."""


def compare_next(provider: Provider, *, now: datetime) -> bool:
    """One step of the comparison that is on, or the start of the next. True: there is more to do."""
    if Ability.LOOK_UP not in provider.abilities:
        return False
    run = _claim(now)
    if run is None:
        return False
    step = {
        ComparisonState.THEIRS: _read_their_list,
        ComparisonState.OURS: _look_up_ours,
        ComparisonState.AFTER: _see_whether_it_helped,
    }[ComparisonState(run.state)]
    try:
        step(run, provider, now)
    except Overtaken:
        log.warning("comparison was taken over", started=str(run.started_at))
    except ProviderError as error:
        _failed(run, str(error), now=now)
    except DatabaseError:
        raise
    except Exception as error:
        log.exception("comparison failed")
        _failed(run, f"{type(error).__name__}: {error}", now=now)
    return True


def _claim(now: datetime) -> Comparison | None:
    """The comparison that is on and that nobody is at, or the next one if it is time; under our token."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=ClockNow())
    unfinished = Comparison.objects.filter(state__in=UNFINISHED)
    if not unfinished.exists() and not _start(now):
        return None
    token = uuid.uuid4()
    taken = unfinished.filter(free, next_step_at__lte=now).update(token=token, lease_until=ClockNow() + LEASE)
    return Comparison.objects.get(token=token) if taken else None


def _start(now: datetime) -> bool:
    """Whether it is time. Two that start at once collide on a constraint; one of them goes on."""
    newest = Comparison.objects.order_by("-started_at").first()
    if newest is not None and newest.started_at > now - schedule.scaled(schedule.COMPARE_EVERY_S):
        return False
    done = Comparison.objects.filter(state=ComparisonState.DONE).order_by("-until").first()
    since = now - timedelta(seconds=schedule.COMPARE_BACK_S)
    if done is not None:
        since = max(min(since, done.until), now - timedelta(seconds=schedule.COMPARE_MOST_S))
    until = now - schedule.scaled(schedule.COMPARE_LEAVE_OUT_S)
    try:
        with transaction.atomic():
            Comparison.objects.create(since=since, until=until, started_at=now, next_step_at=now)
    except IntegrityError:
        log.info("another process has started the comparison")
    return True


def _keep(run: Comparison, **columns: Any) -> None:
    """Write how far it is, if it is still ours. Raises Overtaken."""
    if not Comparison.objects.filter(pk=run.pk, token=run.token).update(**columns):
        raise Overtaken
    for name in ("state", "page_key"):
        if name in columns:
            setattr(run, name, columns[name])


def _still_ours(run: Comparison) -> None:
    _keep(run, lease_until=ClockNow() + LEASE)


def _failed(run: Comparison, problem: str, *, now: datetime) -> None:
    failures = run.failures + 1
    log.warning("comparison failed", failures=failures, why=problem)
    columns: dict[str, Any] = {"failures": failures, "problem": problem[:500], "lease_until": None}
    if failures >= GIVES_UP_AFTER:
        columns |= {"state": ComparisonState.FAILED, "finished_at": now}
    else:
        columns["next_step_at"] = now + schedule.scaled(BACK_OFF_S * 2**failures)
    Comparison.objects.filter(pk=run.pk, token=run.token).update(**columns)


def _read_their_list(run: Comparison, provider: Provider, now: datetime) -> None:
    """One page: what of it is not here, and how many are none of ours."""
    page = provider.recent_calls(since=run.since, until=run.until, key=run.page_key or None)
    known = _known(page.reports)
    foreign = 0
    for report in page.reports:
        facts = report.facts
        call = known.get(facts.provider_call_id) or known.get(facts.call_uuid or "")
        if call is not None and call.provider_call_id == facts.provider_call_id:
            continue
        if call is None and not _on_our_numbers(report):
            foreign += 1
            continue
        if call is not None and call.provider_call_id:
            kind = DifferenceKind.SECOND_ID
        else:
            kind = DifferenceKind.MISSING_HERE
        done = WhatWasDone.NOTHING
        if call is not None or facts.direction == Direction.INBOUND:
            # Its facts find or make its row, as a webhook would have.
            _still_ours(run)
            _fetch(provider, facts.provider_call_id, now=now)
            if kind == DifferenceKind.MISSING_HERE:
                done = WhatWasDone.FETCHED
        _note(run, kind, facts.provider_call_id, call, {}, done)
    following = page.next_key if page.next_key != run.page_key else None
    _keep(
        run,
        theirs=F("theirs") + len(page.reports),
        foreign=F("foreign") + foreign,
        page_key=following or "",
        state=ComparisonState.THEIRS if following else ComparisonState.OURS,
        lease_until=None,
    )


def _known(reports: Sequence[Report]) -> dict[str, Call]:
    """Our rows of these calls, by the provider's id and by ours."""
    by_provider = [report.facts.provider_call_id for report in reports]
    ours = [found for report in reports if (found := _as_uuid(report.facts.call_uuid))]
    rows = Call.objects.filter(Q(provider_call_id__in=by_provider) | Q(pk__in=ours))
    known = {str(call.pk): call for call in rows}
    return known | {call.provider_call_id: call for call in rows if call.provider_call_id}


def _as_uuid(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return None


def _on_our_numbers(report: Report) -> bool:
    """Rung in on, or dialled from, a number of ours; anything else is another use of the account."""
    facts = report.facts
    number = facts.to_number if facts.direction == Direction.INBOUND else facts.from_number
    return bool(number) and PhoneNumber.objects.filter(number=number).exists()


def _look_up_ours(run: Comparison, provider: Provider, now: datetime) -> None:
    """The next hundred of our calls by id: what is not there, and what is told otherwise there."""
    mine = list(_ours_after(run)[:A_REQUEST])
    if mine:
        there = {
            report.facts.provider_call_id: report
            for report in provider.fetch_calls([call.provider_call_id for call in mine])
        }
        for call in mine:
            _still_ours(run)
            _compare_one(run, call, there.get(call.provider_call_id), provider, now)
    if len(mine) == A_REQUEST:
        last = mine[-1]
        _keep(
            run, ours=F("ours") + len(mine), page_key=f"{last.moment.isoformat()} {last.pk}", lease_until=None
        )
        return
    waits = run.differences.filter(done=WhatWasDone.FETCHED).exists()
    after = schedule.scaled(schedule.COMPARE_AFTER_S) if waits else timedelta(0)
    _keep(
        run,
        ours=F("ours") + len(mine),
        page_key="",
        state=ComparisonState.AFTER,
        next_step_at=now + after,
        lease_until=None,
    )


def _ours_after(run: Comparison) -> QuerySet[Any]:
    """The AI agents' calls of this time that the phone company knows, in the order of the index, from where
    we were.
    """
    rows = (
        Call.objects.filter(desk_number="")
        .exclude(provider_call_id="")
        .annotate(moment=SEEN_AT)
        .filter(moment__gte=run.since, moment__lt=run.until)
        .order_by("moment", "pk")
    )
    if not run.page_key:
        return rows
    moment, last = run.page_key.split(" ")
    return rows.filter(Q(moment__gt=moment) | Q(moment=moment, pk__gt=last), moment__gte=moment)


def _compare_one(
    run: Comparison, call: Call, report: Report | None, provider: Provider, now: datetime
) -> None:
    if report is None:
        # A list may lag or leave out what a look at the call itself finds.
        try:
            report = provider.fetch_call(call.provider_call_id)
        except NotFound:
            _note(run, DifferenceKind.MISSING_THERE, call.provider_call_id, call, {}, WhatWasDone.NOTHING)
            return
    differs = differing(call, report)
    if differs:
        _fetch(provider, call.provider_call_id, now=now)
        _note(run, DifferenceKind.DIFFERENT, call.provider_call_id, call, differs, WhatWasDone.FETCHED)


def differing(call: Call, report: Report) -> dict[str, list[str]]:
    """{column: [as we have it, as they say]}, of what an ended call can differ in; empty while it is on.

    What they leave out is no difference, nor is a reason of theirs that we know better (a call that we
    hung up ourselves).
    """
    if report.facts.stage < Stage.ENDED:
        return {}
    derived = derive([Fact(report.facts, fetched=True, key="")])
    theirs = told(call, derived)
    found = {
        name: [_text(getattr(call, name)), _text(theirs[name])]
        for name in COMPARED
        if theirs[name] not in (None, "") and getattr(call, name) != theirs[name]
    }
    if call.status != CallStatus.ENDED:
        found["status"] = [str(call.status), str(CallStatus.ENDED)]
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _fetch(provider: Provider, provider_call_id: str, *, now: datetime) -> None:
    """The whole call into the inbox, also when the same words are there already."""
    key = store_lookup(provider.fetch_call(provider_call_id), now=now)
    WebhookEvent.objects.filter(key=key, applied_at__isnull=False).update(
        state=EventState.PENDING, next_try_at=now
    )


def _note(
    run: Comparison,
    kind: DifferenceKind,
    provider_call_id: str,
    call: Call | None,
    differs: dict[str, list[str]],
    done: WhatWasDone,
) -> None:
    ComparedCall.objects.update_or_create(
        comparison=run,
        provider_call_id=provider_call_id,
        defaults={"kind": kind, "call": call, "differs": differs, "done": done},
    )


def _see_whether_it_helped(run: Comparison, provider: Provider, now: datetime) -> None:
    """By now what was fetched has been applied: what is still different is said to be so."""
    for one in run.differences.filter(done=WhatWasDone.FETCHED).select_related("call")[:A_REQUEST]:
        call = Call.objects.filter(provider_call_id=one.provider_call_id).first()
        # Missing here: nothing is noted as different, so that its row exists is enough.
        healed = call is not None and all(
            _text(getattr(call, name)) == theirs for name, (_ours, theirs) in one.differs.items()
        )
        one.done = WhatWasDone.HEALED if healed else WhatWasDone.STAYS
        one.call = one.call or call
        one.save(update_fields=["done", "call"])
    if run.differences.filter(done=WhatWasDone.FETCHED).exists():
        _keep(run, lease_until=None)
        return
    _keep(run, state=ComparisonState.DONE, finished_at=now, lease_until=None, problem="")
