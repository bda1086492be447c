"""Each figure once (I8): what it is called, what it counts in words, the expression, the rows behind it.

A figure is a count or a sum over the calls that its `rows` select; a rate is a figure divided by
another (`over`). Counts and sums add up over days, agents and currencies, so a panel may group as it
likes and add afterwards; rates are divided last. `rows_query` gives the query string with which the list
of calls shows exactly the rows behind a figure, through the filter of the same name.

Calls out are counted on the day on which they were asked for. Sources: the trade's definitions, with the
two names that mean opposite things in it left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from django.db.models import Aggregate, Count, Exists, OuterRef, Q, Sum
from django.utils.translation import gettext_lazy as _

from agents.providers.base import Fault
from calls.models import AnsweredBy, CallStatus, Direction, Disposition, Interruption, Outcome
from calls.models.call import INCIDENT, UNDECIDED
from calls.models.call_words import ACTIVE
from calls.stats.period import Period

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    Text = str | _StrPromise


class Unit(Enum):
    CALLS = "calls"
    MS = "ms"
    MICROS = "micros"
    """Millionths of a currency: added up for each currency on its own."""


@dataclass(frozen=True, slots=True)
class Figure:
    id: str
    label: Text
    formula: Text
    rows: Q
    unit: Unit = Unit.CALLS
    over: str = ""
    """The figure to divide by; empty: not a rate."""

    @property
    def expression(self) -> Aggregate:
        if self.unit is Unit.MS:
            return Sum("duration_ms", filter=self.rows, default=0)
        if self.unit is Unit.MICROS:
            return Sum("cost_micros", filter=self.rows, default=0)
        # Never null, and in the dashboard's index, which the id is not.
        return Count("requested_at", filter=self.rows)


def means(disposition: Disposition) -> Q:
    """A person's word; where there is none, what the analysis proposes."""
    return Q(disposition=disposition) | Q(disposition="", proposed_disposition=disposition)


# In each, the condition that fewest calls meet stands first: the database tests in this order and stops.
REAL = Q(test=False)
"""A test call rings one of our own telephones to hear an agent. It is no business and counts in no figure."""
OUT = REAL & Q(direction=Direction.OUTBOUND)
IN = REAL & Q(direction=Direction.INBOUND)
ENDED = Q(status=CallStatus.ENDED)
ACCEPTED = OUT & Q(placed_at__isnull=False)
DIALLED = ~Q(fault=Fault.DESK) & ACCEPTED
"""Not where a person calls and only our own telephone rang: no attempt was made to reach anybody."""
DIALLED_AND_ENDED = DIALLED & ENDED
BY_A_PERSON = Q(answered_by=AnsweredBy.PERSON)
BUSY = [Outcome.BUSY, Outcome.DECLINED]
NAMED = [Outcome.CONNECTED, Outcome.VOICEMAIL, Outcome.SCREENED, Outcome.NO_ANSWER, *BUSY]

CARDS = [
    Figure(
        "dialled",
        _("Dialled"),
        _(
            "Calls out that the phone company accepted. Calls without AI for which only our own telephone "
            "rang are left out; test calls too, here and in every figure."
        ),
        DIALLED,
    ),
    Figure(
        "picked_up",
        _("Pick-up rate"),
        _("Picked up by anyone or anything (a person, voicemail, call screening) ÷ dialled and ended."),
        ~Q(answered_by="") & DIALLED_AND_ENDED,
        over="dialled_ended",
    ),
    Figure(
        "reached",
        _("Reached a person"),
        _("Picked up by a person ÷ dialled and ended."),
        BY_A_PERSON & DIALLED_AND_ENDED,
        over="dialled_ended",
    ),
    Figure(
        "talk_time",
        _("Talk time"),
        _(
            "The length of all calls, dialled and ended, in which a person picked up, added up. "
            "Voicemail is left out. The average is over the same calls."
        ),
        BY_A_PERSON & DIALLED_AND_ENDED,
        unit=Unit.MS,
    ),
    Figure(
        "cost",
        _("Cost"),
        _(
            "What the phone company charged for calls out, also where only our own telephone rang, as far as "
            "it has said so. Each currency on its own."
        ),
        ACCEPTED & Q(cost_micros__isnull=False),
        unit=Unit.MICROS,
    ),
    Figure(
        "conversions",
        _("Conversions"),
        _(
            "Dialled calls that meant “Became a customer”: a person's word; where there is none, "
            "what the analysis says. The share is of the calls that reached a person."
        ),
        means(Disposition.CONVERTED) & DIALLED,
    ),
]

CALLS_IN = [
    Figure("calls_in", _("Calls in"), _("Calls to our numbers."), IN),
    Figure(
        "calls_in_known",
        _("Known callers"),
        _("Calls in from the number of exactly one lead."),
        IN & Q(lead__isnull=False),
    ),
    Figure(
        "talk_time_in",
        _("Talk time, calls in"),
        _("The length of all ended calls in, added up."),
        IN & ENDED & Q(duration_ms__isnull=False),
        unit=Unit.MS,
    ),
    Figure(
        "cost_in",
        _("Cost, calls in"),
        _("What the phone company charged for calls in, as far as it has said so. Each currency on its own."),
        IN & Q(cost_micros__isnull=False),
        unit=Unit.MICROS,
    ),
]

ENDINGS = [
    Figure(
        "ended_connected",
        _("Talked"),
        _("Dialled, and a conversation began."),
        Q(outcome=Outcome.CONNECTED) & DIALLED,
    ),
    Figure(
        "ended_voicemail",
        _("Voicemail"),
        _("Dialled, and a machine picked up."),
        Q(outcome=Outcome.VOICEMAIL) & DIALLED,
    ),
    Figure(
        "ended_screened",
        _("Call screening"),
        _("Dialled, and the telephone asked who is calling."),
        Q(outcome=Outcome.SCREENED) & DIALLED,
    ),
    Figure(
        "ended_no_answer",
        _("No answer"),
        _("Dialled, and nobody picked up."),
        Q(outcome=Outcome.NO_ANSWER) & DIALLED,
    ),
    Figure(
        "ended_busy",
        _("Busy or declined"),
        _("Dialled, and the line was busy or the call was turned away."),
        Q(outcome__in=BUSY) & DIALLED,
    ),
    Figure(
        "ended_other",
        _("Did not get through"),
        _("Dialled, and ended in any other way: invalid number, blocked, failed, cancelled, not known."),
        ~Q(outcome__in=NAMED) & DIALLED_AND_ENDED,
    ),
    Figure("not_ended", _("Not yet ended"), _("Dialled, and still going on."), ~ENDED & DIALLED),
]
"""Together every dialled call, each exactly once."""

PARTS = [
    Figure("dialled_ended", _("Dialled and ended"), _("Dialled calls that have ended."), DIALLED_AND_ENDED),
]

INTERRUPTIONS = Figure(
    "interrupted",
    _("Interruptions"),
    _(
        "Dialled calls in which the person spoke over the AI agent and it was told to stop: how often, and "
        "after how many milliseconds it was silent on average, as far as that was told."
    ),
    Q(Exists(Interruption.objects.filter(call=OuterRef("pk")))) & DIALLED,
)

# No figures but work that waits for a person: a test call that rang twice is looked at like any other.
TO_LOOK_AT = [
    Figure(
        "look_unknown",
        _("Calls whose end is not known"),
        _("Ended calls of which the phone company never said how, and nobody here has said what they meant."),
        UNDECIDED,
    ),
    Figure(
        "look_review",
        _("Calls somebody should listen to"),
        _("Calls that meant “Needs a look”: a person's word; where there is none, what the analysis says."),
        means(Disposition.REVIEW),
    ),
    Figure(
        "look_incident",
        _("Calls with an incident"),
        _(
            "Calls about which the phone company told us something that should not happen, "
            "such as a second ring, and that nobody here has marked as seen."
        ),
        INCIDENT,
    ),
]

RIGHT_NOW = [
    Figure(
        "on_now",
        _("On the phone now"),
        _("Calls being placed, ringing or in conversation at this moment, in and out."),
        REAL & Q(status__in=ACTIVE),
    ),
    Figure(
        "waiting_now",
        _("Waiting"),
        _("Calls that were asked for and have not gone out yet."),
        REAL & Q(status=CallStatus.QUEUED),
    ),
]

FIGURES: Mapping[str, Figure] = {
    figure.id: figure
    for figure in [*CARDS, *PARTS, *CALLS_IN, *ENDINGS, INTERRUPTIONS, *TO_LOOK_AT, *RIGHT_NOW]
}


def figure(id: str) -> Figure:
    """Raises KeyError for an id that is none."""
    return FIGURES[id]


def rows_query(
    figure: Figure,
    *,
    period: Period | None = None,
    agent: int | None = None,
    weekday: int | None = None,
    hour: int | None = None,
) -> dict[str, str]:
    """The list's query parameters for exactly the rows behind a figure. Weekday and hour: the callee's."""
    query = {"figure": figure.id}
    if period is not None:
        query["requested_at_from"] = period.first.isoformat()
        query["requested_at_to"] = period.last.isoformat()
    if agent is not None:
        query["agent__id__exact"] = str(agent)
    if weekday is not None:
        query["local_weekday__exact"] = str(weekday)
    if hour is not None:
        query["local_hour__exact"] = str(hour)
    return query
