"""One press of *Call* on several leads: shown first, undone for ten seconds, filled in pieces, followed."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from agents.models import Agent, PhoneNumber
from calls.dialer import expecting
from calls.dialer.account import room_now
from calls.dialer.ask import (
    BadRequest,
    NotAllowed,
    OnThePhone,
    ask,
    caller_id_for,
    cancel,
    cancel_waiting,
    signed,
)
from calls.eligibility import Decision, decide_many
from calls.models import Call, CallBatch, CallStatus, Lead, Priority, Via
from calls.models.batch import BatchState
from calls.models.call_words import ACTIVE
from calls.models.clock import skips_locked_rows

if TYPE_CHECKING:
    from django.contrib.auth.models import User

UNDO = timedelta(seconds=10)
MOST_LEADS = 50_000
A_PIECE = 25
"""Leads decided about together, and the most that are queued in one transaction."""
A_PIECE_LASTS = 0.1
"""Seconds after which a piece is committed as far as it came: on SQLite everybody waits for it."""
CANCELLED_AT_ONCE = 250
AT_MOST_IN_A_REQUEST = 1.0
"""Seconds that whoever pressed *Undo* or *Cancel the rest* waits; the dialer does what is left."""


@dataclass(frozen=True, slots=True)
class Progress:
    total: int
    """Leads in the selection."""
    queued: int
    """Already turned into calls or refused."""
    waiting: int
    calling: int
    on_the_phone: int
    ended: int
    by_outcome: dict[str, int]
    refused: list[dict[str, Any]]
    untouched: int
    """Nobody looked at them: the rest was cancelled before."""
    expected_end: datetime | None

    @property
    def not_called(self) -> int:
        return len(self.refused) + self.untouched


def open_batch(
    *,
    by: User,
    lead_ids: Sequence[int],
    agent: Agent | None,
    now: datetime,
    our_number: str = "",
    variables: Mapping[str, str] | None = None,
) -> CallBatch:
    """Keep a selection on the server, as a draft. Raises BadRequest when it is empty or too large."""
    if not lead_ids:
        raise BadRequest(_("No lead is selected."))
    if len(lead_ids) > MOST_LEADS:
        raise BadRequest(_("At most %(most)d leads can be called in one batch.") % {"most": MOST_LEADS})
    return CallBatch.objects.create(
        created_by_id=by.pk,
        selection={"ids": list(lead_ids)},
        agent=agent,
        caller_id=PhoneNumber.objects.filter(number=our_number).first() if our_number else None,
        variables=dict(variables or {}),
    )


def our_number_of(batch: CallBatch) -> str:
    """The number it calls from; '' when there is none."""
    if batch.agent is None:
        return ""
    try:
        return caller_id_for(batch.agent, batch.caller_id.number if batch.caller_id else "")
    except BadRequest:
        return ""


def leads_of(ids: Sequence[int]) -> list[Lead]:
    """In the order of the selection; leads deleted since are left out."""
    found = Lead.objects.prefetch_related("phones").in_bulk(list(ids))
    return [found[pk] for pk in ids if pk in found]


def start_batch(batch: CallBatch, *, now: datetime) -> bool:
    """Begin: the dialer queues the calls, none is due before the ten seconds for *Undo* are over."""
    return bool(
        CallBatch.objects.filter(pk=batch.pk, state=BatchState.DRAFT, agent__isnull=False).update(
            state=BatchState.FILLING, started_at=now, undo_until=now + UNDO
        )
    )


def undo_batch(batch: CallBatch, *, by: User | None, now: datetime) -> bool:
    """Within ten seconds: nothing of it is called. False: too late, use `cancel_rest`."""
    undone = CallBatch.objects.filter(
        pk=batch.pk, state__in=[BatchState.FILLING, BatchState.RUNNING], undo_until__gt=now
    ).update(state=BatchState.UNDONE, cancel_reason=signed(_("Batch undone"), by))
    if undone:
        _cancel_for(AT_MOST_IN_A_REQUEST, batch)
        # One that a dialer took in this very moment: its permit is refused, or its phone hung up.
        for call in Call.objects.filter(batch=batch, status__in=ACTIVE):
            cancel(call, by=by, reason=_("Batch undone"), now=now)
    return bool(undone)


def cancel_rest(batch: CallBatch, *, by: User | None, now: datetime) -> int:
    """What still waits is not called; calls that are on go on. Returns how many waited.

    A second of it is done at once, the calls due soonest first; the dialer does what is left then.
    """
    CallBatch.objects.filter(pk=batch.pk, state__in=[BatchState.FILLING, BatchState.RUNNING]).update(
        state=BatchState.CANCELLED, cancel_reason=signed(_("Rest of the batch cancelled"), by)
    )
    waited = Call.objects.filter(batch=batch, status=CallStatus.QUEUED).count()
    _cancel_for(AT_MOST_IN_A_REQUEST, batch)
    return waited


def _cancel_for(seconds: float, batch: CallBatch) -> None:
    ends = time.monotonic() + seconds
    while _cancel_piece(batch.pk) and time.monotonic() < ends:
        pass


def _cancel_piece(batch_pk: uuid.UUID) -> bool:
    """End the next calls of a batch that is being cancelled. True: there may be more."""
    batch = CallBatch.objects.only("cancel_reason").get(pk=batch_pk)
    if not batch.cancel_reason:
        return False
    waiting = Call.objects.filter(batch=batch_pk).order_by("due_at")
    if cancel_waiting(waiting, reason=batch.cancel_reason, most=CANCELLED_AT_ONCE):
        return True
    CallBatch.objects.filter(pk=batch_pk).update(cancel_reason="")
    return False


def cancel_next() -> bool:
    """Go on with a batch whose cancelling was cut off. True: there may be more."""
    cut_off = CallBatch.objects.exclude(cancel_reason="").values_list("pk", flat=True).first()
    return cut_off is not None and _cancel_piece(cut_off)


def fill_next(*, now: datetime) -> bool:
    """Queue the next piece of one started batch. True: there may be more.

    1. Decide about the piece, with no transaction open: on SQLite everybody would wait for it.
    2. Lock the batch, if it is still where it was: another filler, *Undo* or *Cancel* may have been first.
    3. Queue for at most A_PIECE_LASTS. `filled_to` is written with the calls themselves, so that a killed
       filler goes on where it was.
    """
    batch = (
        CallBatch.objects.filter(state=BatchState.FILLING)
        .select_related("agent__default_caller_id", "caller_id", "created_by")
        .order_by("started_at")
        .first()
    )
    if batch is None:
        return False
    ids, reached = batch.lead_ids, batch.filled_to
    piece = ids[reached : reached + A_PIECE]
    decisions = {
        decision.lead.pk: decision
        for decision in decide_many(
            leads_of(piece),
            now=now,
            agent=batch.agent,
            our_number=our_number_of(batch),
            variables=batch.variables,
        )
        if decision.lead is not None
    }
    with transaction.atomic():
        still = CallBatch.objects.filter(pk=batch.pk, state=BatchState.FILLING, filled_to=reached)
        if still.select_for_update(skip_locked=skips_locked_rows()).first() is None:
            return False
        ends = time.monotonic() + A_PIECE_LASTS
        refused = []
        for pk in piece:
            problem = _queue(batch, decisions[pk], now=now) if pk in decisions else None
            if problem:
                refused.append({"lead": pk, "code": problem[0], "text": problem[1]})
            batch.filled_to += 1
            if time.monotonic() > ends:
                break
        if batch.filled_to >= len(ids):
            batch.state = BatchState.RUNNING
        batch.refused.extend(refused)
        batch.save(update_fields=["filled_to", "state", *(["refused"] if refused else [])])
    return True


def _queue(batch: CallBatch, decision: Decision, *, now: datetime) -> tuple[str, str] | None:
    """None when queued or adopted, else (code, sentence)."""
    assert batch.agent is not None
    due_at = max(decision.at or now, batch.undo_until or now)
    try:
        ask(
            lead=decision.lead,
            number=decision.number,
            agent=batch.agent,
            by=batch.created_by,
            via=Via.DESK,
            now=now,
            our_number=batch.caller_id.number if batch.caller_id else "",
            variables=batch.variables,
            due_at=due_at,
            not_after=max(decision.day_ends, due_at + UNDO) if decision.day_ends else None,
            priority=Priority.BATCH,
            batch=batch,
            decision=decision,
        )
    except NotAllowed as refusal:
        first = next(reason for reason in refusal.reasons if reason.blocks)
        return first.code, first.text
    except OnThePhone as busy:
        return "on_the_phone", str(busy)
    except BadRequest as problem:
        return "refused", str(problem)
    return None


def finish_batches() -> int:
    """Running batches of which nothing is left to do."""
    left = Call.objects.open().filter(batch__isnull=False).values("batch")
    return (
        CallBatch.objects.filter(state=BatchState.RUNNING).exclude(pk__in=left).update(state=BatchState.DONE)
    )


def progress(batch: CallBatch, *, now: datetime) -> Progress:
    rows = Call.objects.filter(batch=batch).values("status", "outcome").annotate(n=Count("pk")).order_by()
    by_status: Counter[str] = Counter()
    by_outcome: Counter[str] = Counter()
    for row in rows:
        by_status[row["status"]] += row["n"]
        if row["outcome"]:
            by_outcome[row["outcome"]] += row["n"]
    on_the_phone = by_status[CallStatus.IN_PROGRESS]
    waiting = by_status[CallStatus.QUEUED]
    unqueued = max(0, len(batch.lead_ids) - batch.filled_to) if batch.state == BatchState.FILLING else 0
    return Progress(
        total=len(batch.lead_ids),
        queued=batch.filled_to,
        waiting=waiting + unqueued,
        calling=sum(by_status[status] for status in ACTIVE) - on_the_phone,
        on_the_phone=on_the_phone,
        ended=by_status[CallStatus.ENDED],
        by_outcome=dict(by_outcome),
        refused=list(batch.refused),
        untouched=max(0, len(batch.lead_ids) - batch.filled_to) if batch.state == BatchState.CANCELLED else 0,
        expected_end=_expected_end(batch, waiting + unqueued, now),
    )


def _expected_end(batch: CallBatch, left: int, now: datetime) -> datetime | None:
    """When the last call is expected to go out, or when the last one is due if that is later."""
    if not left:
        return None
    _in_use, room = room_now(now=now)
    paced = now + timedelta(seconds=left / expecting.calls_per_second(most=room.most))
    last_due = (
        Call.objects.filter(batch=batch, status=CallStatus.QUEUED)
        .order_by("-due_at")
        .values_list("due_at", flat=True)
        .first()
    )
    return max(paced, last_due) if last_due else paced
