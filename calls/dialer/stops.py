"""Stops: of everything, of an agent, a caller ID or a list. No permit later than a stop commits (I3).

One lock for all of them: a stop is written under the gate row of kind `stop`, which each permit holds in
share mode while it reads, as a new statement, the stops in force. So one of the two is first, and a
stop of something that nobody had ever stopped before needs no row of its own to be waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from agents.models import Agent
from agents.providers.abilities import Ability
from agents.providers.base import NotOffered
from agents.providers.registry import can, who_can
from calls.models import Call, CallStatus, Gate, LeadList
from calls.models.clock import database_now
from calls.models.gate import GateKind
from calls.models.stop import Stop, StopCause, StopScope

if TYPE_CHECKING:
    from django.contrib.auth.models import User

log = structlog.get_logger(__name__)

ON = (CallStatus.PLACED, CallStatus.RINGING)
RUNNING = (CallStatus.DIALING, CallStatus.UNCONFIRMED, *ON, CallStatus.IN_PROGRESS)
KIND_OF_LEFT: Mapping[str, str] = {CallStatus.IN_PROGRESS: "on", CallStatus.UNCONFIRMED: "checking"}


@dataclass(frozen=True, slots=True)
class StopState:
    """The stop of everything."""

    stopped: bool
    reason: str = ""
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What to stop or to resume. Nothing given: everything."""

    agent: Agent | None = None
    number: str = ""
    lead_list: LeadList | None = None

    @property
    def scope(self) -> StopScope:
        if self.agent is not None:
            return StopScope.AGENT
        if self.number:
            return StopScope.NUMBER
        return StopScope.LIST if self.lead_list is not None else StopScope.EVERYTHING

    def row(self) -> dict[str, object]:
        """As the columns of a stop."""
        scope = self.scope
        return {
            "scope": scope,
            "agent": self.agent,
            "number": self.number if scope == StopScope.NUMBER else "",
            "lead_list": self.lead_list if scope == StopScope.LIST else None,
        }


EVERYTHING = Target()


@dataclass(frozen=True, slots=True)
class Left:
    """What still runs although it is stopped. Calls in are not counted: they go on being answered."""

    on_the_phone: int
    being_placed: int
    checking: int
    """Sent, and nobody knows yet whether it rings."""
    hanging_up: int
    """Of all these, how many are being hung up."""
    can_be_hung_up: int
    """Of all these, how many the phone company can be told to hang up."""

    @property
    def total(self) -> int:
        return self.on_the_phone + self.being_placed + self.checking


def stop(
    *,
    by: User | None,
    reason: str,
    now: datetime,
    target: Target = EVERYTHING,
    cause: str = StopCause.PERSON,
) -> Stop:
    """From this commit on no call that it covers gets a permit. What is stopped already stays as it is."""
    with transaction.atomic():
        _lock()
        row = target.row()
        found = Stop.objects.in_force().filter(**row).first()
        if found is not None:
            return found
        made = Stop.objects.create(**row, cause=cause, reason=reason[:300], stopped_by=by, stopped_at=now)
    log.warning("calling stopped", what=str(made), why=reason, cause=cause)
    return made


def resume(*, by: User | None, reason: str, now: datetime, target: Target = EVERYTHING) -> bool:
    """End the stop of exactly this. False: it was not stopped. Raises ValueError: a person gave no reason."""
    if by is not None and not reason.strip():
        raise ValueError("a reason is needed to resume calling")
    with transaction.atomic():
        _lock()
        ended = (
            Stop.objects.in_force()
            .filter(**target.row())
            .update(resumed_by=by, resumed_at=now, resumed_reason=reason.strip()[:300])
        )
    return bool(ended)


def _lock() -> None:
    Gate.objects.get_or_create(kind=GateKind.STOP, name="all")
    Gate.objects.select_for_update().get(kind=GateKind.STOP, name="all")


def in_force() -> Sequence[Stop]:
    """The stops that hold at this moment, that of everything first."""
    found = Stop.objects.in_force().select_related("agent", "lead_list", "stopped_by")
    return sorted(found, key=lambda each: (each.scope != StopScope.EVERYTHING, each.stopped_at))


def stop_state(stops: Iterable[Stop] | None = None) -> StopState:
    """Whether everything is stopped."""
    for each in in_force() if stops is None else stops:
        if each.scope == StopScope.EVERYTHING:
            return StopState(True, each.reason, str(each.stopped_by or ""), each.stopped_at)
    return StopState(False)


def covering(call: Call, stops: Iterable[Stop]) -> Stop | None:
    """The first of `stops` that covers this call."""
    stops = list(stops)
    lead = call.lead if stops else None
    list_id = lead.list_id if lead is not None else None
    return next(
        (
            each
            for each in stops
            if each.covers(agent_id=call.agent_id, number=call.our_number, list_id=list_id)
        ),
        None,
    )


def lock_call_and_stops(call_id: UUID) -> None:
    """Inside a permit's transaction: the call is locked, and stops as they are. A stop or an opt-out being
    committed is waited for, a later one waits for us; ask in a *new statement* what they said.

    SQLite has one writer at a time, so the transaction itself is both locks.
    """
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        if not _locked_both(cursor, call_id):
            Gate.objects.get_or_create(kind=GateKind.STOP, name="all")
            _locked_both(cursor, call_id)


def _locked_both(cursor: Any, call_id: UUID) -> bool:
    """False: there is no such call, or no row to lock for stops."""
    cursor.execute(
        "SELECT 1 FROM calls_call c, calls_gate g WHERE c.id = %s AND g.kind = 'stop' AND g.name = 'all'"
        " FOR UPDATE OF c FOR SHARE OF g",
        [call_id],
    )
    return cursor.fetchone() is not None


def stopped_under_lock(call: Call) -> Stop | None:
    """Inside a permit's transaction: a stop being committed is waited for, a later one waits for us.

    SQLite has one writer at a time, so the transaction itself is that lock.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM calls_gate WHERE kind = 'stop' AND name = 'all' FOR SHARE")
            if cursor.fetchone() is None:
                Gate.objects.get_or_create(kind=GateKind.STOP, name="all")
                return stopped_under_lock(call)
    return covering(call, in_force())


def not_stopped(calls: QuerySet[Call], stops: Iterable[Stop]) -> QuerySet[Call]:
    """`calls` without those that `stops` cover."""
    for each in stops:
        calls = calls.exclude(_condition(each))
    return calls


def _condition(stop: Stop) -> Q:
    if stop.scope == StopScope.AGENT:
        return Q(agent=stop.agent_id)
    if stop.scope == StopScope.NUMBER:
        return Q(our_number=stop.number)
    if stop.scope == StopScope.LIST:
        return Q(lead__isnull=False, lead__list=stop.lead_list_id)
    return Q(pk__isnull=False)


def still_running(stop: Stop) -> QuerySet[Call]:
    """Calls out that it covers and that were sent before it. What is claimed and unsent is put back."""
    sent = Call.objects.outbound().filter(status__in=RUNNING, sent_at__isnull=False)
    return sent.filter(_condition(stop))


def left(stop: Stop) -> Left:
    counts = {"on": 0, "placed": 0, "checking": 0, "hanging": 0, "able": 0}
    carriers = who_can(Ability.HANG_UP)
    for status, hang_up_at, cancelled_at, carrier in still_running(stop).values_list(
        "status", "hang_up_at", "cancel_requested_at", "provider"
    ):
        counts[KIND_OF_LEFT.get(status, "placed")] += 1
        if carrier in carriers:
            counts["able"] += 1
            counts["hanging"] += bool(status != CallStatus.IN_PROGRESS if cancelled_at else hang_up_at)
    return Left(counts["on"], counts["placed"], counts["checking"], counts["hanging"], counts["able"])


def hang_up_left(stop: Stop, *, by: User | None, now: datetime) -> int:
    """End what the stop left running: a dialer tells the phone company within two seconds. How many.

    What was sent and not yet answered for is marked, and hung up as soon as it is known to ring. Raises
    NotOffered where nothing that runs can be hung up.
    """
    running = still_running(stop).filter(provider__in=who_can(Ability.HANG_UP))
    if not can(Ability.HANG_UP) and not running.exists():
        raise NotOffered(Ability.HANG_UP)
    who = by.get_username() if by else _("another system")
    why = _("hung up by %(who)s after a stop") % {"who": who}
    known = Q(status__in=[*ON, CallStatus.IN_PROGRESS])
    on = running.filter(known).exclude(hang_up_at__isnull=False, cancel_requested_at__isnull=True)
    count = (
        Call.objects.filter(pk__in=list(on.values_list("pk", flat=True)))
        .filter(known)
        .update(hang_up_at=now, cancel_requested_at=None, cancel_reason=why)
    )
    unanswered = Q(status__in=[CallStatus.DIALING, CallStatus.UNCONFIRMED], cancel_requested_at__isnull=True)
    marked = Call.objects.filter(pk__in=list(running.filter(unanswered).values_list("pk", flat=True)))
    return count + marked.filter(unanswered).update(cancel_requested_at=database_now(), cancel_reason=why)
