"""What happens on the demo's desk by itself: a batch goes out, one rings back, one wants no more calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import httpx
import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, Max, OuterRef, Q
from django.utils import timezone

from agents.models import Agent
from agents.sandbox.people import behave
from callcenter.demo import people
from calls import dialer
from calls.eligibility import Verdict, decide_many
from calls.models import Call, CallBack, CallBatch, Direction, Lead, Outcome
from calls.models.callback import CallBackState

log = structlog.get_logger(__name__)

NETWORK_SEED = 1
FIRST_NOW, FIRST_LATER = 70, 14
AGAIN_NOW, AGAIN_LATER = 25, 8
LEFT_ALONE = timedelta(hours=20)
RINGS_BACK_AFTER_S = 50.0
OPTS_OUT_AFTER_S = 95.0
GIVE_UP_AFTER_S = 600.0
FAR_ENOUGH = timedelta(minutes=10)
"""A call that is due sooner might go out before its person has rung."""


def open_first_batch(*, first_time: bool, now: datetime) -> CallBatch | None:
    """As a salesperson would: people who may be called, some who may later. None when there are none."""
    ana = User.objects.filter(username=people.SALES[0].username, is_active=True).first()
    agent = Agent.objects.filter(name__startswith="Ava").first()
    if ana is None or agent is None:
        return None
    many_now, many_later = (FIRST_NOW, FIRST_LATER) if first_time else (AGAIN_NOW, AGAIN_LATER)
    decisions = decide_many(_not_called_lately(ana, now), now=now, agent=agent)
    free = [decision for decision in decisions if not decision.reasons or decision.verdict == Verdict.LATER]
    at_once = [d.lead for d in free if d.verdict == Verdict.NOW and d.lead is not None]
    later = [d for d in free if d.verdict == Verdict.LATER and d.at is not None and d.at > now + FAR_ENOUGH]
    later.sort(key=lambda decision: not would_opt_out(decision.number))
    leads = [d.lead for d in later[:many_later] if d.lead is not None] + at_once[:many_now]
    if not leads:
        return None
    batch = dialer.open_batch(by=ana, lead_ids=[lead.pk for lead in leads], agent=agent, now=now)
    dialer.start_batch(batch, now=now)
    return batch


def _not_called_lately(ana: User, now: datetime) -> list[Lead]:
    """Those never called first. Nobody to whom a call or a promise is open."""
    lists = [segment.list for segment in people.SEGMENTS if segment.agent == "ava"]
    promised = CallBack.objects.filter(
        lead=OuterRef("pk"), state__in=[CallBackState.OPEN, CallBackState.QUEUED]
    )
    return list(
        Lead.objects.visible_to(ana)
        .filter(list__name__in=lists)
        .exclude(Exists(Call.objects.open().filter(lead=OuterRef("pk"))))
        .exclude(Exists(promised))
        .annotate(last=Max("calls__requested_at"))
        .filter(Q(last__isnull=True) | Q(last__lt=now - LEFT_ALONE))
        .order_by("last", "pk")
        .prefetch_related("phones")
    )


def would_opt_out(number: str) -> bool:
    """Whether the person behind `number`, ringing us for the first time, asks never to be called again."""
    return behave(number, seed=NETWORK_SEED, attempt=1, direction="inbound").kind == "do_not_call"


def play(*, stopped: Callable[[], bool] = lambda: False) -> None:
    """Within three minutes: a missed call is returned; a waiting call is cancelled by its own person."""
    began = time.monotonic()
    scenes: list[tuple[float, Callable[[], Call | None]]] = [
        (RINGS_BACK_AFTER_S, _missed),
        (OPTS_OUT_AFTER_S, _waiting_for_morning),
    ]
    while scenes and time.monotonic() - began < GIVE_UP_AFTER_S and not stopped():
        after, cast = scenes[0]
        if time.monotonic() - began >= after and (call := cast()) is not None:
            _rings_us(call)
            scenes.pop(0)
        time.sleep(1.0)


def _missed() -> Call | None:
    """Somebody who did not pick up a few minutes ago and is not talking to us since."""
    recent = Call.objects.filter(
        direction=Direction.OUTBOUND,
        outcome__in=[Outcome.NO_ANSWER, Outcome.DECLINED],
        ended_at__gt=timezone.now() - timedelta(minutes=10),
        lead__isnull=False,
    )
    return _first_free(recent.order_by("-ended_at"))


def _waiting_for_morning() -> Call | None:
    """Somebody whose call waits for the morning there, and who will ask for no more."""
    waiting = Call.objects.filter(
        direction=Direction.OUTBOUND,
        status="queued",
        due_at__gt=timezone.now() + FAR_ENOUGH,
        lead__isnull=False,
    )
    return _first_free(call for call in waiting.order_by("due_at") if would_opt_out(call.counterpart))


def _first_free(calls: Iterable[Call]) -> Call | None:
    for call in calls:
        if not Call.objects.inbound().filter(counterpart=call.counterpart, test=False).exists():
            return call
    return None


def _rings_us(call: Call) -> None:
    answer = httpx.post(
        f"{settings.RETELL_BASE_URL}/control/inbound",
        json={"from_number": call.counterpart, "to_number": call.our_number},
        timeout=10,
    )
    answer.raise_for_status()
    log.info("somebody rings", number=call.counterpart)
