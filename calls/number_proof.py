"""The last step of a number's set-up: a call out that was picked up, a call in that an AI agent answered.

Only rows here prove it: the call went over the trunk with its credentials, or came over it, and its news came
back to us.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.utils.translation import ngettext

from agents.models import NumberSetup, NumberSetupStep, SetupStep
from agents.number_setup import prove
from calls import dialer, releasing
from calls.models import Call, Via
from calls.models.call_words import DESK_PROVIDER

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True, slots=True)
class Seen:
    """The calls that prove it, or else the newest that do not."""

    out: Call | None
    inbound: Call | None

    @property
    def out_at(self) -> datetime | None:
        return self.out.answered_at if self.out is not None else None

    @property
    def in_at(self) -> datetime | None:
        return self.inbound.answered_at if self.inbound is not None else None


def seen(setup: NumberSetup) -> Seen:
    """Since Retell has got the number; what people and menus do with it over Twilio alone proves nothing."""
    since = setup.steps.filter(step=SetupStep.IMPORT).values_list("at", flat=True).first()
    if since is None:
        return Seen(None, None)
    calls = Call.objects.filter(our_number=setup.number, requested_at__gte=since)
    calls = calls.exclude(provider=DESK_PROVIDER)
    return Seen(_best(calls.outbound()), _best(calls.inbound()))


def _best(calls: QuerySet[Call]) -> Call | None:
    answered = calls.exclude(answered_at=None).order_by("requested_at").first()
    return answered or calls.order_by("-requested_at").first()


def look(setup: NumberSetup, *, by: Any, now: datetime) -> NumberSetupStep:
    """Raises NotInTurn."""
    found = seen(setup)
    return prove(setup, out_at=found.out_at, in_at=found.in_at, by=by, now=now)


def ring(setup: NumberSetup, number: str, *, by: User, now: datetime) -> Call:
    """A test call from the new number to a telephone of ours. Raises what `dialer.ask` does."""
    return dialer.ask(
        number=number,
        agent=setup.outbound_agent,
        our_number=setup.number,
        by=by,
        via=Via.TEST,
        test=True,
        now=now,
    ).call


def still_rung_back(setup: NumberSetup, *, now: datetime) -> str:
    """Why it should not be taken from Retell: whom it called rings back. '' after tests alone."""
    lately = now - releasing.RING_BACK
    calls = Call.objects.outbound().filter(our_number=setup.number, test=False, sent_at__gte=lately)
    if not calls.exists():
        return ""
    return releasing.why_not_release(releasing.use_of(setup.number, now=now), now=now)


def why_not_take_back(setup: NumberSetup) -> str:
    """Why the number cannot be taken from Retell now; '' if it can."""
    count = Call.objects.filter(our_number=setup.number).open().count()
    if not count:
        return ""
    return ngettext(
        "%(count)d call of this number waits or is on: end it first.",
        "%(count)d calls of this number wait or are on: end them first.",
        count,
    ) % {"count": count}
