"""A figure as a card: its value, what it is made of, the change against the period before, its course."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _

from calls.admin import formats
from calls.admin.charts import Spark, spark
from calls.admin.figures import rows_url
from calls.stats import FIGURES, Figure, Interrupted, OverDays, Totals, Unit


class Trend(StrEnum):
    UP = "up"
    DOWN = "down"
    SAME = "same"


COSTS = {"cost", "cost_in"}
"""More of it is not better: shown without a judging colour."""


@dataclass(frozen=True, slots=True)
class Change:
    trend: Trend
    shown: str
    before: str
    judged: bool


@dataclass(frozen=True, slots=True)
class Card:
    figure: Figure
    value: str
    url: str
    note: str
    note_url: str
    change: Change | None
    """None where there was nothing before to compare with, or money of several currencies."""
    spark: Spark | None


def card(figure: Figure, over: OverDays, *, agent: int | None) -> Card:
    note, part = _note(figure, over.now)
    return Card(
        figure=figure,
        value=shown(figure, over.now),
        url=rows_url(figure, period=over.period, agent=agent),
        note=note,
        note_url=rows_url(part, period=over.period, agent=agent) if part else "",
        change=_change(figure, over),
        spark=spark([_measure(figure, totals) for totals in over.by_day.values()]),
    )


def shown(figure: Figure, totals: Totals) -> str:
    if figure.over:
        return formats.percent(totals.rate(figure.id))
    if figure.unit is Unit.MS:
        return formats.talk(totals.value(figure.id))
    if figure.unit is Unit.MICROS:
        return formats.amounts(totals.amounts(figure.id))
    return formats.count(totals.value(figure.id))


def interrupted(found: Interrupted | None) -> str:
    """How often, and after how long there was silence."""
    if found is None:
        return formats.count(0)
    if found.silence_ms is None:
        return formats.count(found.times)
    return _("%(times)s · %(ms)s ms") % {
        "times": formats.count(found.times),
        "ms": formats.count(round(found.silence_ms)),
    }


def _measure(figure: Figure, totals: Totals) -> float | None:
    """One number to compare and to draw. Of several currencies, the largest amount."""
    if figure.over:
        return totals.rate(figure.id)
    if figure.unit is Unit.MICROS:
        amounts = totals.amounts(figure.id)
        return float(amounts[0][1]) if amounts else 0.0
    return float(totals.value(figure.id))


def _change(figure: Figure, over: OverDays) -> Change | None:
    if len(over.now.amounts(figure.id)) > 1 or len(over.before.amounts(figure.id)) > 1:
        return None
    before, now = _measure(figure, over.before), _measure(figure, over.now)
    if before is None or now is None or (not before and not figure.over):
        return None
    difference = now - before
    if figure.over:
        text = _("%(points)s points") % {"points": formats.decimal(abs(difference) * 100)}
    else:
        text = formats.percent(abs(difference) / before)
    small = abs(difference) < 0.0005 if figure.over else abs(difference) / before < 0.0005
    trend = Trend.SAME if small else Trend.UP if difference > 0 else Trend.DOWN
    return Change(trend, text, shown(figure, over.before), figure.id not in COSTS)


def _note(figure: Figure, now: Totals) -> tuple[str, Figure | None]:
    """What a value is made of, and the other figure in that sentence, to link to."""
    reached = now.value("reached")
    amounts = now.amounts(figure.id)
    if figure.over:
        counts = {"part": formats.count(now.value(figure.id)), "whole": formats.count(now.value(figure.over))}
        return _("%(part)s of %(whole)s dialled and ended") % counts, FIGURES[figure.over]
    if figure.id == "dialled":
        ended = formats.count(now.value("dialled_ended"))
        return _("%(count)s have ended") % {"count": ended}, FIGURES["dialled_ended"]
    if not reached:
        return "", None
    if figure.id == "talk_time":
        average = formats.talk(round(now.value("talk_time") / reached))
        return _("%(time)s on average") % {"time": average}, FIGURES["reached"]
    if figure.id == "conversions":
        share = formats.percent(now.value("conversions") / reached)
        return _("%(share)s of the calls that reached a person") % {"share": share}, FIGURES["reached"]
    if figure.id == "cost" and len(amounts) == 1:
        each = formats.money(round(amounts[0][1] / reached), amounts[0][0])
        return _("%(money)s for each person reached") % {"money": each}, FIGURES["reached"]
    return "", None
