"""A person picked up our own telephone and asks to be connected: may theirs be rung *now*?"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from calls.dialer.stops import lock_call_and_stops, stopped_under_lock
from calls.eligibility import Verdict, recheck
from calls.models import Call, CallStatus
from calls.models.clock import database_now

NOT_YET_RUNG = (CallStatus.DIALING, CallStatus.UNCONFIRMED, CallStatus.PLACED)
"""News may come before our own request has returned; once theirs rings there is nothing more to ask."""


@dataclass(frozen=True, slots=True)
class LetThrough:
    """`call` may be rung; or not, and `why` says it in a sentence that can be spoken."""

    call: Call | None
    why: str = ""


def let_through(call_id: UUID) -> LetThrough:
    """As a send permit, for the second telephone: no later than an opt-out or a stop that covers it.

    What is marked as cancelled meanwhile is hung up as any call that nobody has answered. Asked again it says
    the same of a call that is still to be rung: Twilio asks twice when an answer was lost, and does one.
    """
    with transaction.atomic():
        lock_call_and_stops(call_id)
        rows = Call.objects.select_related("lead", "agent", "requested_by")
        call = rows.filter(pk=call_id).exclude(desk_number="").first()
        if call is None or call.status not in NOT_YET_RUNG or call.hang_up_at is not None:
            return LetThrough(None, _("This call is over."))
        if call.cancel_requested_at is not None:
            return LetThrough(None, _("This call was cancelled."))
        if (stop := stopped_under_lock(call)) is not None:
            return LetThrough(None, _("Calling is stopped. %(why)s") % {"why": stop.reason})
        now = database_now()
        decision = recheck(call, now=now)
        if decision.verdict != Verdict.NOW:
            return LetThrough(None, " ".join(reason.text for reason in decision.reasons))
        Call.objects.filter(pk=call_id, let_through_at=None).update(let_through_at=now)
    return LetThrough(call)
