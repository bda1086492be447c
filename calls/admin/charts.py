"""The dashboard's pictures as numbers: what the templates draw, without a line of script.

Coordinates are text, so that no locale writes a comma into them. All pictures are stretched to their
place by the browser (`preserveAspectRatio="none"`), so widths are counted in days and heights in hundredths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.formats import date_format
from django.utils.functional import Promise

from calls.admin import formats
from calls.admin.figures import rows_url
from calls.stats import Figure, HeatMap, OverDays

Text = str | Promise
HEIGHT = 100
HEAT_LEVELS = 6
LABELS = 7
"""Days named under the columns, about."""


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def ceiling(highest: int) -> int:
    """The next round number that four equal steps divide: the top of an axis."""
    if highest <= 4:
        return 4
    power = int(10 ** (len(str(highest)) - 1))
    for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10):
        top = round(step * power)
        if top >= highest and top % 4 == 0:
            return top
    return -(-highest // 4) * 4


@dataclass(frozen=True, slots=True)
class Spark:
    """A course over days. `line` and `area` are SVG points; the box is `width` by 100."""

    width: int
    line: str
    area: str


def spark(values: Sequence[float | None]) -> Spark | None:
    """None for fewer than two known values: a point is no course. Days without a value are passed over."""
    known = [(x, value) for x, value in enumerate(values) if value is not None]
    if len(known) < 2 or not any(value for _, value in known):
        return None
    top = max(value for _, value in known)
    points = [f"{x},{_n(HEIGHT - 92 * value / top)}" for x, value in known]
    line = " ".join(points)
    return Spark(len(values) - 1, line, f"{known[0][0]},{HEIGHT} {line} {known[-1][0]},{HEIGHT}")


@dataclass(frozen=True, slots=True)
class Segment:
    figure: Figure
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Column:
    day: date
    x: str
    label: str
    """Empty for most days: few are named."""
    title: str
    url: str
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class Cell:
    count: int
    shown: str
    url: str


@dataclass(frozen=True, slots=True)
class DayRow:
    day: date
    total: Cell
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Key:
    figure: Figure
    cell: Cell


@dataclass(frozen=True, slots=True)
class Stacked:
    """Dialled calls a day, each column cut by how they ended."""

    columns: list[Column]
    width: int
    scale: list[str]
    """From the top down, five numbers."""
    keys: list[Key]
    rows: list[DayRow]
    """The same as a table, newest first; days without calls left out."""


BAR, GAP = 8, 2


def stacked(over: OverDays, endings: Sequence[Figure], whole: Figure, *, agent: int | None) -> Stacked:
    period = over.period
    top = ceiling(max((totals.value(whole.id) for totals in over.by_day.values()), default=0))
    every = max(1, math.ceil(len(period.days) / LABELS))
    columns, rows = [], []
    for n, day in enumerate(period.days):
        totals, one = over.by_day[day], period.one(day)
        in_all = totals.value(whole.id)
        url = rows_url(whole, period=one, agent=agent)
        segments, y = [], float(HEIGHT)
        for figure in endings:
            height = HEIGHT * totals.value(figure.id) / top
            if height:
                y -= height
                segments.append(Segment(figure, _n(y), _n(height)))
        said = [
            f"{totals.value(figure.id)} {str(figure.label).lower()}"
            for figure in endings
            if totals.value(figure.id)
        ]
        named = date_format(day, "j M") if n % every == 0 else ""
        title = f"{date_format(day, 'D j M')}: {formats.count(in_all)}"
        columns.append(
            Column(
                day,
                _n(n * (BAR + GAP) + GAP / 2),
                named,
                f"{title} ({', '.join(said)})" if said else title,
                url,
                segments,
            )
        )
        if in_all:
            cells = [
                _cell(count, rows_url(figure, period=one, agent=agent) if count else "")
                for figure in endings
                for count in [totals.value(figure.id)]
            ]
            rows.append(DayRow(day, _cell(in_all, url), cells))
    return Stacked(
        columns=columns,
        width=len(columns) * (BAR + GAP),
        scale=[formats.count(top * quarter // 4) for quarter in (4, 3, 2, 1, 0)],
        keys=[
            Key(figure, _cell(over.now.value(figure.id), rows_url(figure, period=period, agent=agent)))
            for figure in endings
            if over.now.value(figure.id)
        ],
        rows=rows[::-1],
    )


def _cell(count: int, url: str) -> Cell:
    return Cell(count, formats.count(count), url)


@dataclass(frozen=True, slots=True)
class Heat:
    hour: int
    level: int
    """0: nothing known or too few; 1 palest to 6 darkest."""
    enough: bool
    ended: int
    reached: int
    shown: str
    url: str


@dataclass(frozen=True, slots=True)
class HeatRow:
    weekday: Text
    cells: list[Heat]


def heat(
    map_: HeatMap, reached: Figure, weekdays: Sequence[Text], *, over: OverDays, agent: int | None
) -> list[HeatRow]:
    """Colours are relative to the best cell with enough calls: the question is which hours are better."""
    best = max((cell.rate or 0 for row in map_.rows for cell in row if cell.enough), default=0)
    lines = []
    for weekday, row in zip(weekdays, map_.rows, strict=True):
        cells = []
        for cell in row:
            level = 0
            if cell.enough and cell.rate is not None:
                level = max(1, math.ceil(HEAT_LEVELS * cell.rate / best)) if best else 1
            shown = "" if cell.rate is None else f"{round(cell.rate * 100)} %"
            url = rows_url(reached, period=over.period, agent=agent, weekday=cell.weekday, hour=cell.hour)
            cells.append(Heat(cell.hour, level, cell.enough, cell.ended, cell.reached, shown, url))
        lines.append(HeatRow(weekday, cells))
    return lines


@dataclass(frozen=True, slots=True)
class Bar:
    shown: str
    url: str
    width: str
    """Hundredths of a full bar."""


def bars(values: Sequence[tuple[float, str, str]], *, top: float = 0) -> list[Bar]:
    """(value, shown, url), drawn relative to `top`; without one, to the largest."""
    top = top or max((value for value, _, _ in values), default=0)
    return [Bar(shown, url, _n(100 * value / top) if top else "0") for value, shown, url in values]
