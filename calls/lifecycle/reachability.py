"""Does the phone company reach us, and if not, why?

Calls get their news from signed webhooks; look-ups only catch what was lost. So silence after placing, or
signatures that do not fit, is something staff must be told, with the cause that the counts point to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.db.models import Count, Max, Q, Sum
from django.utils.translation import gettext_lazy as _

from calls.models import Call, Direction, SignatureRefusal, WebhookEvent
from calls.models.webhook_event import EventSource

SILENCE = timedelta(minutes=2)
"""Every call that was placed has news within this: it began, or nobody picked up."""
UNHEARD = 3
LOOKED_BACK = timedelta(hours=1)
ASKED_WITHIN = timedelta(days=2)
"""Bounds the query by the index there is: what is placed now was asked for lately, with rare exceptions."""
REFUSALS_WITHIN = timedelta(minutes=10)
"""Also how long a wrong key or clock is reported after it was put right."""


class Cause(StrEnum):
    """Shown to people as `SENTENCES` says it."""

    NO_REQUESTS = "no_requests"
    WRONG_KEY = "wrong_key"
    CLOCK_OFF = "clock_off"
    UNSIGNED = "unsigned"


SENTENCES = {
    Cause.NO_REQUESTS: _(
        "No request of theirs arrives. Check that PUBLIC_BASE_URL is what the outside sees, that it is "
        "entered with the phone company, and that nothing in between turns it away."
    ),
    Cause.WRONG_KEY: _(
        "Their requests arrive, signed with another key. Check that RETELL_WEBHOOK_KEY is the key that "
        "carries the webhook badge."
    ),
    Cause.CLOCK_OFF: _(
        "Their requests arrive with a time more than five minutes from ours. Check this machine's clock."
    ),
    Cause.UNSIGNED: _(
        "Requests arrive without a signature that can be read. Check that the proxy in front passes on the "
        "header x-retell-signature."
    ),
}

SENTENCES_BY_CONTRACT = {
    "article": {
        Cause.WRONG_KEY: _(
            "Their requests arrive, signed with another secret. Check that RETELL_WEBHOOK_SECRET is the one "
            "that Retell signs with."
        ),
    },
}

# What a refusal was for, as `calls.webhooks` counts it, and what that says.
CAUSE_OF_REFUSAL = {
    "wrong": Cause.WRONG_KEY,
    "stale": Cause.CLOCK_OFF,
    "missing": Cause.UNSIGNED,
    "malformed": Cause.UNSIGNED,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    placed: Sequence[datetime] = ()
    """When calls out were placed, within `LOOKED_BACK`."""
    last_verified: datetime | None = None
    """When the last webhook with a good signature came, of any call."""
    verified: int = 0
    """How many came within `REFUSALS_WITHIN`."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """How many were refused within `REFUSALS_WITHIN`, by the code of the refusal."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    cause: Cause
    unheard: int
    """Calls placed more than two minutes ago with nothing heard from the phone company since."""
    refused: int

    @property
    def sentence(self) -> str:
        own = SENTENCES_BY_CONTRACT.get(settings.RETELL_CONTRACT, {})
        return str(own.get(self.cause) or SENTENCES[self.cause])


def judge(evidence: Evidence, *, now: datetime) -> Unreachable | None:
    """None while all is well.

    Two signs: three calls placed and nothing verified for two minutes; or most signatures refused. Anybody
    can send us requests without a signature, so those alone raise no alarm: they only explain a silence.
    """
    since = evidence.last_verified or now - LOOKED_BACK
    unheard = sum(1 for moment in evidence.placed if since < moment <= now - SILENCE)
    by_cause: dict[Cause, int] = {}
    for code, count in evidence.refused.items():
        cause = CAUSE_OF_REFUSAL.get(code, Cause.UNSIGNED)
        by_cause[cause] = by_cause.get(cause, 0) + count
    signed = by_cause.get(Cause.WRONG_KEY, 0) + by_cause.get(Cause.CLOCK_OFF, 0)
    silent = unheard >= UNHEARD
    if not silent and not (signed >= UNHEARD and signed > evidence.verified):
        return None
    refused = sum(by_cause.values())
    if not refused:
        return Unreachable(Cause.NO_REQUESTS, unheard, 0)
    if signed:
        by_cause.pop(Cause.UNSIGNED, None)
    return Unreachable(max(by_cause, key=lambda cause: by_cause[cause]), unheard, refused)


def gather(*, now: datetime) -> Evidence:
    """Three short queries, each over an indexed or small range. What Twilio tells says nothing of Retell."""
    told = WebhookEvent.objects.filter(source=EventSource.WEBHOOK, received_at__gt=now - LOOKED_BACK)
    news = told.exclude(contract="twilio").aggregate(
        last=Max("received_at"), recent=Count("pk", filter=Q(received_at__gt=now - REFUSALS_WITHIN))
    )
    refused = (
        SignatureRefusal.objects.filter(minute__gt=now - REFUSALS_WITHIN)
        .exclude(cause="twilio")
        .values("cause")
        .annotate(many=Sum("count"))
    )
    placed = Call.objects.filter(
        direction=Direction.OUTBOUND, requested_at__gt=now - ASKED_WITHIN, placed_at__gt=now - LOOKED_BACK
    ).values_list("placed_at", flat=True)
    return Evidence(
        placed=[moment for moment in placed if moment is not None],
        last_verified=news["last"],
        verified=news["recent"],
        refused={row["cause"]: row["many"] for row in refused},
    )
