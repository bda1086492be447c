"""The account at the provider: refused as a whole, asked again, and the room it has.

Nothing is spent while it is refused: what was put back waits. A probe that passes lets calls go on where
the key was the trouble; where it was the credit no probe can tell, so one call may try.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db.models import F, Q

from agents.providers.abilities import Ability
from agents.providers.base import Provider, ProviderError, RefusalScope, Refused
from calls.models import Call, Gate
from calls.models.clock import database_now
from calls.models.gate import AccountProblem, GateKind

log = structlog.get_logger(__name__)

ASK_EVERY = timedelta(seconds=10)
STALE_AFTER = timedelta(seconds=45)
"""After this long without an answer the provider's number says nothing any more."""
PROBE_AFTER = timedelta(seconds=60)
PROBE_AT_MOST = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Theirs:
    """What the provider said, and how many slots we held when it was asked."""

    limit: int
    in_use: int
    reserved: int
    ours_then: int
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Room:
    """`most`: so many calls of ours, out and in, may be on before no more go out."""

    most: int
    kept: int
    """Of the provider's limit, for people who ring us."""
    asked: bool
    """False: the provider did not say, and our own number is all there is."""


def reserve(limit: int, *, percent: float, theirs: int) -> int:
    """What is kept for calls in: at least one, the provider's own reserve if larger, never everything."""
    ours = max(1, int(limit * percent / 100)) if percent > 0 else 0
    return max(0, min(max(ours, theirs), limit - 1))


def room(*, ours: int, theirs: Theirs | None, percent: float, now: datetime) -> Room:
    """min(ours, their limit - reserve - what others use there). Calls of ours count where we count them."""
    if theirs is None or theirs.limit <= 0 or now - theirs.asked_at > STALE_AFTER:
        return Room(ours, 0, False)
    kept = reserve(theirs.limit, percent=percent, theirs=theirs.reserved)
    others = max(0, theirs.in_use - theirs.ours_then)
    return Room(max(0, min(ours, theirs.limit - kept - others)), kept, True)


def room_of(row: Gate | None, *, now: datetime) -> Room:
    theirs = None
    if row is not None and row.their_limit is not None and row.asked_at is not None:
        theirs = Theirs(row.their_limit, row.their_in_use, row.their_reserved, row.ours_then, row.asked_at)
    return room(
        ours=settings.MAX_CONCURRENT_CALLS,
        theirs=theirs,
        percent=settings.INBOUND_RESERVE_PERCENT,
        now=now,
    )


def the_row() -> Gate | None:
    return Gate.objects.filter(kind=GateKind.CAPACITY, name="all").first()


def ask_capacity(provider: Provider) -> bool:
    """Ask the provider for its room, if nobody has for ten seconds. False: not our turn, or no answer."""
    if Ability.CAPACITY not in provider.abilities:
        return False
    now = database_now()
    due = Q(ask_at__isnull=True) | Q(ask_at__lte=now)
    mine = Gate.objects.filter(due, kind=GateKind.CAPACITY, name="all").update(ask_at=now + ASK_EVERY)
    if not mine:
        return False
    ours_then = Call.objects.holding_slot(now).count()
    try:
        said = provider.capacity()
    except ProviderError as error:
        log.warning("the phone company does not say how much room there is", why=str(error))
        return False
    Gate.objects.filter(kind=GateKind.CAPACITY, name="all").update(
        their_limit=max(0, said.limit),
        their_in_use=max(0, said.in_use),
        their_reserved=max(0, said.reserved_inbound),
        ours_then=ours_then,
        asked_at=database_now(),
    )
    return True


@dataclass(frozen=True, slots=True)
class AccountState:
    """`problem` '' while the account is fine; `code` is an AccountProblem."""

    problem: str = ""
    code: str = ""


def account_state() -> AccountState:
    row = the_row()
    return AccountState(row.account_problem, row.account_code) if row else AccountState()


def account_problem() -> str:
    return account_state().problem


def room_now(*, now: datetime) -> tuple[int, Room]:
    """How many slots are held at this moment, out and in, and how many may be."""
    return Call.objects.holding_slot(now).count(), room_of(the_row(), now=now)


def account_refused(problem: str, *, code: str, now: datetime) -> None:
    """No call passes until a person acts: the queue rests. Refused again, it is asked less often."""
    row = Gate.objects.get_or_create(kind=GateKind.CAPACITY, name="all")[0]
    wait = min(PROBE_AFTER * (1 << min(row.account_refusals, 8)), PROBE_AT_MOST)
    Gate.objects.filter(pk=row.pk).update(
        account_problem=problem[:300] or code,
        account_code=code if code in AccountProblem.values else AccountProblem.BILLING,
        account_refusals=F("account_refusals") + 1,
        probe_at=now + wait,
        trial_at=None,
    )
    log.warning("the account was refused", why=code)


def account_fine() -> bool:
    """A placement has passed, a probe says so, or a person. False: there was no problem."""
    return bool(
        Gate.objects.filter(kind=GateKind.CAPACITY, name="all")
        .exclude(account_problem="")
        .update(account_problem="", account_code="", account_refusals=0, probe_at=None, trial_at=None)
    )


def probe_account(provider: Provider) -> bool:
    """Ask whether the account is good again, when that is due. True: something changed."""
    now = database_now()
    refused = Gate.objects.filter(kind=GateKind.CAPACITY, name="all").exclude(account_problem="")
    row = refused.filter(probe_at__lte=now).first()
    if row is None or not refused.filter(probe_at=row.probe_at).update(probe_at=now + PROBE_AFTER):
        return False
    if Ability.CAPACITY not in provider.abilities:
        # Nothing but a call can tell: one may try.
        return bool(refused.update(trial_at=database_now()))
    try:
        provider.account()
        provider.capacity()
    except Refused as error:
        if error.scope == RefusalScope.ACCOUNT:
            refused.update(account_problem=error.message[:300])
        return False
    except ProviderError as error:
        log.info("the account could not be probed", why=str(error))
        return False
    if row.account_code == AccountProblem.AUTHENTICATION:
        return account_fine()
    return bool(refused.update(trial_at=database_now()))
