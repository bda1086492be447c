"""What a refusal, or an end that is nobody's doing, closes: the account, a line, an agent or a caller ID."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from agents.providers.base import Fault, RefusalScope, Refused
from calls.dialer import gate, stops
from calls.dialer.account import account_refused
from calls.dialer.stops import Target
from calls.models import Call, Direction, Stop
from calls.models.clock import database_now
from calls.models.gate import AccountProblem
from calls.models.stop import StopCause

NOTHING_NAMED = "refused"
"""The code of a refusal that names neither the person, a country nor a list."""
RECENT = timedelta(hours=1)
"""An end that we hear of later than this closes nothing: it may long have been mended."""
WITHIN = timedelta(minutes=30)
ENOUGH = 3
"""One such end may be about one person's telephone or one moment; so many within that time are not,"""
ONE_IN = 20
"""if they are also so large a part of what ended: some carrier or other blocks a few of a thousand calls."""


def refused(call: Call, error: Refused, *, now: datetime) -> bool:
    """The provider refused to place: close what the refusal is about. True: the call itself may wait.

    Under the call's lock, so that nobody takes it again before what refuses it is closed.
    """
    if error.scope == RefusalScope.ACCOUNT:
        account_refused(error.message, code=error.code, now=now)
    elif error.scope == RefusalScope.AGENT and call.agent is not None:
        _pause(Target(agent=call.agent), error.message, now)
    elif error.scope == RefusalScope.NUMBER and call.our_number:
        _pause(Target(number=call.our_number), error.message, now)
    else:
        return False
    return True


def lies_with_them(error: Refused) -> bool:
    """Whether a person could make the call that the provider will not: the reason is its own, or its agent's.

    Not where it is the person's number, a country or list that is closed to us, our caller ID (whose calls
    all wait), or the account, with which everything waits until somebody acts.
    """
    return error.scope == RefusalScope.AGENT or (
        error.scope == RefusalScope.CALL and error.code == NOTHING_NAMED
    )


def ended(call: Call, *, why: str = "") -> None:
    """A call out has just been heard to be over, `why` in words. Nothing for what people do."""
    if call.direction != Direction.OUTBOUND or not call.fault:
        return
    now = database_now()
    if now - (call.ended_at or now) > RECENT:
        return
    if call.fault == Fault.ACCOUNT:
        why = _("A call ended because the account may not pay for it.")
        account_refused(why, code=AccountProblem.BILLING, now=now)
    elif call.fault == Fault.CAPACITY:
        gate.close_line(call.line, now=now)
    elif call.fault == Fault.AGENT and call.agent is not None:
        _pause_if_enough(Target(agent=call.agent), call, why, now)
    elif call.fault == Fault.NUMBER and call.our_number:
        _pause_if_enough(Target(number=call.our_number), call, why, now)


def _pause_if_enough(target: Target, call: Call, why: str, now: datetime) -> None:
    resumed = Stop.objects.filter(**target.row(), resumed_at__isnull=False).order_by("-resumed_at").first()
    since = max(filter(None, [now - WITHIN, resumed.resumed_at if resumed else None]))
    over = Call.objects.outbound().filter(ended_at__gt=since)
    over = over.filter(agent=target.agent) if target.agent else over.filter(our_number=target.number)
    count = over.filter(fault=call.fault).count()
    if count >= ENOUGH and count * ONE_IN >= over.count():
        text = _("%(count)d calls within half an hour ended with “%(reason)s”.")
        _pause(target, text % {"count": count, "reason": why or call.disconnection_reason}, now)


def _pause(target: Target, why: str, now: datetime) -> None:
    stops.stop(by=None, reason=why, now=now, target=target, cause=StopCause.REFUSED)
