"""The opt-out (I3): once committed, nothing covered by it gets a send permit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction

from calls.models import Call, CallBack, CallStatus, Direction, DoNotCall, Lead, Outcome
from calls.models.callback import CallBackState
from calls.models.clock import database_now
from calls.models.lead import NextAction

if TYPE_CHECKING:
    from django.contrib.auth.models import User

DROPPED: dict[str, str] = {"state": CallBackState.DROPPED, "note": "do not call"}
"""As columns: what becomes of a promise to call back."""
MARKED = (CallStatus.DIALING, CallStatus.UNCONFIRMED, CallStatus.PLACED, CallStatus.RINGING)


@dataclass(frozen=True, slots=True)
class OptOut:
    entry: DoNotCall
    canceled: list[Call]
    """Were waiting; ended."""
    marked: list[Call]
    """Were being placed; will be hung up if nobody has answered yet."""


def opt_out(
    number: str,
    *,
    reason: str,
    source: str,
    now: datetime,
    by: User | None = None,
    lead: Lead | None = None,
    call: Call | None = None,
) -> OptOut:
    """Never call `number` (E.164) again. One transaction; repeating it changes nothing more.

    Locks every call to the number not yet ended *before* it inserts: a permit either committed before
    this lock, or waits for it and then sees the mark and the entry. Calls in conversation go on.
    """
    with transaction.atomic():
        promises = CallBack.objects.filter(
            number=number, state__in=[CallBackState.OPEN, CallBackState.QUEUED]
        )
        # Before the calls: whoever makes a call of a promise locks them in this order.
        list(promises.order_by("pk").select_for_update(of=("self",)).values_list("pk"))
        open_calls = list(
            Call.objects.select_for_update(of=("self",))
            .filter(counterpart=number, direction=Direction.OUTBOUND)
            .open()
            .order_by("pk")
        )
        entry = DoNotCall.objects.in_force().filter(number=number).order_by("created_at").first()
        if entry is None:
            if call is not None and DoNotCall.objects.filter(call=call).exists():
                # This call's opt-out was lifted by a person since: the same words do not undo that.
                return OptOut(DoNotCall.objects.get(call=call), [], [])
            entry = DoNotCall.objects.create(
                number=number,
                reason=reason[:300],
                source=source,
                lead=lead,
                call=call,
                created_by=by,
                created_at=now,
            )
        ended_at = database_now()
        canceled = [each for each in open_calls if each.status == CallStatus.QUEUED]
        marked = [each for each in open_calls if each.status in MARKED]
        why: dict[str, Any] = {
            "cancel_requested_at": ended_at,
            "cancel_reason": f"do not call: {entry.reason}"[:300],
        }
        Call.objects.filter(pk__in=[each.pk for each in canceled]).update(
            status=CallStatus.ENDED,
            outcome=Outcome.CANCELED,
            ended_at=ended_at,
            slot_until=None,
            final=True,
            **why,
        )
        Call.objects.filter(pk__in=[each.pk for each in marked], cancel_requested_at=None).update(**why)
        promises.update(**DROPPED)
        if lead is not None:
            Lead.objects.filter(pk=lead.pk).update(next_action=NextAction.NONE, next_action_at=None)
    return OptOut(entry, canceled, marked)


def lift(entry: DoNotCall, *, by: User, reason: str, now: datetime) -> None:
    """A person takes the entry back, by name and with a reason. Raises ValueError without one."""
    if not reason.strip():
        raise ValueError("a reason is needed to call this number again")
    DoNotCall.objects.in_force().filter(pk=entry.pk).update(
        lifted_at=now, lifted_by=by, lifted_reason=reason[:300]
    )
