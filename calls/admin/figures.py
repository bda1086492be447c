"""The list of calls, narrowed to the rows behind a figure."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from calls.models import Call
from calls.stats import FIGURES, Figure, Period, rows_query


class FigureFilter(admin.SimpleListFilter):
    """Exactly the calls that a figure of the dashboard counted. Belongs on the list of calls."""

    title = _("Counted as")
    parameter_name = "figure"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(figure.id, figure.label) for figure in FIGURES.values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        figure = FIGURES.get(str(self.value() or ""))
        return queryset.filter(figure.rows) if figure else queryset


def rows_url(
    figure: Figure,
    *,
    period: Period | None = None,
    agent: int | None = None,
    weekday: int | None = None,
    hour: int | None = None,
) -> str:
    """The page that lists exactly the rows behind a figure."""
    query = rows_query(figure, period=period, agent=agent, weekday=weekday, hour=hour)
    # Ids, days and numbers: nothing to escape. A page of ninety days asks eight hundred times.
    return f"{_list_of_calls()}?{'&'.join(f'{name}={value}' for name, value in query.items())}"


@cache
def _list_of_calls() -> str:
    return reverse("admin:calls_call_changelist")
