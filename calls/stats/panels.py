"""What the dashboard is made of: grouped queries, answered as frozen dataclasses.

Every panel takes the calls that the asker may see (`Call.objects.visible_to(user)`). Counts and sums are
grouped by currency as well, since money of two currencies is never added, and put together afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, QuerySet
from django.db.models.functions import TruncDate

from agents.models import Agent
from calls.models import Call, Interruption
from calls.models.call import NEEDS_A_LOOK
from calls.stats.definitions import (
    CALLS_IN,
    CARDS,
    DIALLED,
    DIALLED_AND_ENDED,
    ENDINGS,
    PARTS,
    TO_LOOK_AT,
    Figure,
    Unit,
    figure,
)
from calls.stats.period import Period, company_zone

Calls = QuerySet[Call]

ENOUGH = 20
"""A rate over fewer calls says more about chance than about the hour."""
LOOKED_BACK = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Totals:
    """Figures by id: how many, ms, or millionths (those by currency)."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    money: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def value(self, id: str) -> int:
        return self.numbers.get(id, 0)

    def amounts(self, id: str) -> list[tuple[str, int]]:
        """(currency, millionths), the largest first."""
        return sorted(self.money.get(id, {}).items(), key=lambda pair: -pair[1])

    def rate(self, id: str) -> float | None:
        """None where nothing was dialled and ended: a rate of nothing is not zero."""
        below = self.value(figure(id).over)
        return self.value(id) / below if below else None


def added(rows: Iterable[Mapping[str, Any]], figures: Iterable[Figure]) -> Totals:
    """Adds the rows of a query grouped at least by currency."""
    numbers: Counter[str] = Counter()
    money: dict[str, Counter[str]] = {}
    chosen = list(figures)
    for row in rows:
        for one in chosen:
            value = int(row[one.id])
            if one.unit is not Unit.MICROS:
                numbers[one.id] += value
            elif value:
                money.setdefault(one.id, Counter())[row["currency"]] += value
    return Totals(dict(numbers), {id: dict(counter) for id, counter in money.items()})


def _expressions(figures: Iterable[Figure]) -> dict[str, Any]:
    return {one.id: one.expression for one in figures}


def _within(calls: Calls, period: Period) -> Calls:
    return calls.filter(requested_at__gte=period.start, requested_at__lt=period.end)


@dataclass(frozen=True, slots=True)
class OverDays:
    """The cards, their course, calls a day by outcome and agents side by side; and the cards before."""

    period: Period
    now: Totals
    before: Totals
    by_day: Mapping[date, Totals]
    """Every day of the period, also those without a call."""
    by_agent: Mapping[int | None, Totals]
    """By the agent's primary key; None: calls without an agent."""


def over_days(calls: Calls, period: Period) -> OverDays:
    """Two queries. The first, by day and agent, is read three ways, as that costs less than three."""
    cards = [*CARDS, *PARTS, *CALLS_IN]
    figures = [*cards, *ENDINGS]
    by_day: dict[date, list[Mapping[str, Any]]] = {day: [] for day in period.days}
    by_agent: dict[int | None, list[Mapping[str, Any]]] = {}
    days = _within(calls, period).annotate(day=TruncDate("requested_at", tzinfo=company_zone()))
    for row in days.order_by().values("day", "agent", "currency").annotate(**_expressions(figures)):
        by_day[row["day"]].append(row)
        by_agent.setdefault(row["agent"], []).append(row)
    before = _within(calls, period.before()).order_by().values("currency").annotate(**_expressions(cards))
    return OverDays(
        period=period,
        now=added((row for rows in by_day.values() for row in rows), figures),
        before=added(before, cards),
        by_day={day: added(rows, figures) for day, rows in by_day.items()},
        by_agent={agent: added(rows, cards) for agent, rows in by_agent.items()},
    )


@dataclass(frozen=True, slots=True)
class HeatCell:
    weekday: int
    hour: int
    reached: int
    ended: int

    @property
    def rate(self) -> float | None:
        return self.reached / self.ended if self.ended else None

    @property
    def enough(self) -> bool:
        return self.ended >= ENOUGH


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Reached a person, by weekday (0 is Monday) and hour where the person called was."""

    hours: list[int]
    rows: list[list[HeatCell]]
    """Seven, Monday first; each with one cell an hour of `hours`."""

    @property
    def ended(self) -> int:
        return sum(cell.ended for row in self.rows for cell in row)


def heat_map(calls: Calls, period: Period) -> HeatMap:
    rows = (
        _within(calls, period)
        .filter(DIALLED_AND_ENDED, local_hour__isnull=False, local_weekday__isnull=False)
        .order_by()
        .values("local_weekday", "local_hour")
        .annotate(reached=figure("reached").expression, ended=Count("*"))
    )
    cells: dict[tuple[int, int], HeatCell] = {}
    for row in rows:
        weekday, hour = int(row["local_weekday"] or 0), int(row["local_hour"] or 0)
        cells[weekday, hour] = HeatCell(weekday, hour, row["reached"], row["ended"])
    if not cells:
        return HeatMap([], [])
    seen = {hour for _, hour in cells}
    hours = list(range(min(seen), max(seen) + 1))
    empty = [[HeatCell(weekday, hour, 0, 0) for hour in hours] for weekday in range(7)]
    return HeatMap(hours, [[cells.get((cell.weekday, cell.hour), cell) for cell in row] for row in empty])


@dataclass(frozen=True, slots=True)
class AgentRow:
    agent: int | None
    name: str
    totals: Totals


def agents_side_by_side(over: OverDays) -> list[AgentRow]:
    """Agents that dialled in the period, the busiest first."""
    dialled = {agent: totals for agent, totals in over.by_agent.items() if totals.value("dialled")}
    names = dict(Agent.objects.filter(pk__in=[agent for agent in dialled if agent]).values_list("pk", "name"))
    lines = [AgentRow(agent, names.get(agent or 0, ""), totals) for agent, totals in dialled.items()]
    return sorted(lines, key=lambda line: (-line.totals.value("dialled"), line.name))


@dataclass(frozen=True, slots=True)
class Interrupted:
    times: int
    silence_ms: float | None
    """On average; None where nobody told when the agent was silent."""


def interruptions(calls: Calls, period: Period) -> Mapping[int | None, Interrupted]:
    """By the agent's primary key. Empty, and asked in no time, where the provider stops its agents itself."""
    if not Interruption.objects.exists():
        return {}
    counted = _within(calls, period).filter(DIALLED)
    rows = (
        Interruption.objects.filter(call__in=counted.order_by().values("pk"))
        .order_by()
        .values("call__agent")
        .annotate(times=Count("pk"), silence=Avg("silence_ms"))
    )
    return {row["call__agent"]: Interrupted(row["times"], row["silence"]) for row in rows}


@dataclass(frozen=True, slots=True)
class ToLookAt:
    figure: Figure
    count: int
    period: Period


def needs_a_look(calls: Calls, *, now: datetime) -> list[ToLookAt]:
    """What a person should look at among the calls of the last thirty days, today included."""
    period = Period.last_days(LOOKED_BACK.days, now=now)
    counts = _within(calls, period).filter(NEEDS_A_LOOK).aggregate(**_expressions(TO_LOOK_AT))
    return [ToLookAt(one, counts[one.id], period) for one in TO_LOOK_AT if counts[one.id]]


__all__ = ["ENOUGH", "AgentRow", "HeatCell", "HeatMap", "Interrupted", "OverDays", "ToLookAt", "Totals"]
