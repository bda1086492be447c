"""The front page: how the calling goes, against the days before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from agents.models import Agent
from calls.admin import cards, charts
from calls.admin.figures import rows_url
from calls.admin.now import right_now
from calls.models import Call, Lead
from calls.stats import (
    CALLS_IN,
    CARDS,
    ENDINGS,
    ENOUGH,
    FIGURES,
    INTERRUPTIONS,
    AgentRow,
    OverDays,
    Period,
    agents_side_by_side,
    heat_map,
    interruptions,
    over_days,
)

CHOICES = (7, 30, 90)
USUAL = 30


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for, as far as it makes sense."""

    period: Period
    days: int
    """One of `CHOICES`; 0: any other range."""
    agent: Agent | None
    problem: str = ""


def asked(query: QueryDict, *, now: datetime) -> Asked:
    agent = None
    wanted = str(query.get("agent", ""))[:9]
    if wanted.isdecimal():
        agent = Agent.objects.filter(pk=int(wanted)).first()
    first, last = query.get("from", "").strip(), query.get("to", "").strip()
    usual = Period.last_days(USUAL, now=now)
    if first or last:
        try:
            # Only one end given: a single day.
            ends = date.fromisoformat(first or last), date.fromisoformat(last or first)
        except ValueError:
            problem = _("“%(first)s” to “%(last)s” is not a range of days. Shown are the last %(days)d days.")
            return Asked(
                usual, USUAL, agent, problem % {"first": first[:20], "last": last[:20], "days": USUAL}
            )
        if not all(1990 < end.year < 2200 for end in ends):
            return Asked(usual, USUAL, agent, _("No calls were made in those years."))
        return Asked(Period.between(*ends), 0, agent)
    given = query.get("days", "")
    days = int(given) if given in map(str, CHOICES) else USUAL
    return Asked(Period.last_days(days, now=now), days, agent)


def front_page(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Adds to the admin's front page what this person may see of it."""
    if not request.user.has_perm("calls.view_call"):
        return context
    now = timezone.now()
    question = asked(request.GET, now=now)
    agent = question.agent.pk if question.agent else None
    calls = Call.objects.visible_to(request.user)
    counted = calls.filter(agent=agent) if agent else calls
    over = over_days(counted, question.period)
    anything = bool(over.now.value("dialled") or over.now.value("calls_in"))
    return {
        **context,
        "dashboard": {
            "asked": question,
            "choices": [(days, _address(days=days, agent=agent)) for days in CHOICES],
            "all_agents": Agent.objects.order_by("name"),
            "range": _range(question.period),
            "range_before": _range(question.period.before()),
            "cards": [cards.card(figure, over, agent=agent) for figure in CARDS],
            "calls_in": [cards.card(figure, over, agent=agent) for figure in CALLS_IN],
            "stacked": charts.stacked(over, ENDINGS, FIGURES["dialled"], agent=agent),
            "endings": ENDINGS,
            "dialled": FIGURES["dialled"],
            "reached": FIGURES["reached"],
            "enough": ENOUGH,
            "anything": anything,
            "steps": [] if anything else _first_steps(request.user, calls.exists()),
            "any_call_url": reverse("admin:calls_call_changelist"),
            **_heat(counted, over, agent),
            **({"agents": []} if agent else _agents(counted, over)),
        },
        "now": right_now(request.user, now=now),
    }


def _address(*, days: int, agent: int | None) -> str:
    return "?" + urlencode({"days": days, **({"agent": agent} if agent else {})})


def _range(period: Period) -> str:
    if period.first == period.last:
        return date_format(period.first, "j M Y")
    same_year = period.first.year == period.last.year
    return (
        f"{date_format(period.first, 'j M' if same_year else 'j M Y')} – {date_format(period.last, 'j M Y')}"
    )


def _heat(calls: Any, over: OverDays, agent: int | None) -> dict[str, Any]:
    found = heat_map(calls, over.period)
    weekdays = [WEEKDAYS[n] for n in range(7)]
    return {
        "heat_hours": found.hours,
        "heat": charts.heat(found, FIGURES["reached"], weekdays, over=over, agent=agent)
        if found.hours
        else [],
        "heat_levels": range(1, charts.HEAT_LEVELS + 1),
    }


@dataclass(frozen=True, slots=True)
class AgentLine:
    name: str
    url: str
    bars: list[charts.Bar]
    """Dialled, pick-up rate, reached a person."""
    rest: list[tuple[str, str]]
    """(shown, url): talk time, cost, conversions, interruptions where there are any."""


def _agents(calls: QuerySet[Call], over: OverDays) -> dict[str, Any]:
    period, rows = over.period, agents_side_by_side(over)
    interrupted = interruptions(calls, period)

    def column(id: str) -> list[charts.Bar]:
        figure = FIGURES[id]
        return charts.bars(
            [
                (
                    (row.totals.rate(id) or 0.0) if figure.over else float(row.totals.value(id)),
                    cards.shown(figure, row.totals),
                    rows_url(figure, period=period, agent=row.agent),
                )
                for row in rows
            ],
            top=1 if figure.over else 0,
        )

    rest = [FIGURES[id] for id in ("talk_time", "cost", "conversions")]

    def spoken_over(row: AgentRow) -> list[tuple[str, str]]:
        found = interrupted.get(row.agent)
        url = rows_url(INTERRUPTIONS, period=period, agent=row.agent)
        return [(cards.interrupted(found), url)] if interrupted else []

    lines = [
        AgentLine(
            row.name or _("No agent any more"),
            reverse("admin:agents_agent_change", args=[row.agent]) if row.agent else "",
            list(bars),
            [
                *((cards.shown(f, row.totals), rows_url(f, period=period, agent=row.agent)) for f in rest),
                *spoken_over(row),
            ],
        )
        for row, *bars in zip(rows, column("dialled"), column("picked_up"), column("reached"), strict=True)
    ]
    return {"agents": lines, "agent_columns": [*CARDS, *([INTERRUPTIONS] if interrupted else [])]}


@dataclass(frozen=True, slots=True)
class Step:
    done: bool
    title: str
    text: str
    url: str


def _first_steps(person: User | AnonymousUser, any_call: bool) -> list[Step]:
    """For a desk that has not called anybody yet. Empty once it has: then only the range is empty."""
    if any_call:
        return []
    return [
        Step(
            Agent.objects.exists(),
            _("Bring your AI agents here"),
            _(
                "They are made at the phone company; “Sync” on the page of AI agents fetches them "
                "and your numbers."
            ),
            reverse("admin:agents_agent_changelist"),
        ),
        Step(
            Lead.objects.visible_to(person).exists(),
            _("Bring your leads"),
            _(
                "Import a CSV or XLSX file, or add one by hand. Damaged numbers are shown before "
                "anything is kept."
            ),
            reverse("admin:calls_lead_changelist"),
        ),
        Step(
            False,
            _("Press “Call”"),
            _("On one lead, or on all of a list. You see beforehand who is called now, later and never."),
            reverse("admin:calls_lead_changelist"),
        ),
    ]
