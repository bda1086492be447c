"""Our calls against the phone company's list, once an hour: what differed, and what was done about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from calls.admin.scope import ReadOnlyMixin
from calls.models import CallStatus, ComparedCall, Comparison, Outcome
from calls.models.comparison import WhatWasDone

SHOWN = 500
NAMES = {
    "outcome": gettext_lazy("how it ended"),
    "duration_ms": gettext_lazy("talk time"),
    "cost_micros": gettext_lazy("cost"),
    "disconnection_reason": gettext_lazy("reason, as the phone company says it"),
    "ended_at": gettext_lazy("ended"),
    "status": gettext_lazy("status"),
}


@admin.register(Comparison)
class ComparisonAdmin(ReadOnlyMixin, ModelAdmin):
    list_display = ["started_at", "window", "state", "ours", "theirs", "differed", "corrected", "foreign"]
    show_full_result_count = False
    list_fullwidth = True
    sortable_by = ["started_at"]
    actions = None
    fields = [
        "started_at", "finished_at", "state", "since", "until", "ours", "theirs", "foreign", "problem",
        "what_differed",
    ]  # fmt: skip
    readonly_fields = fields

    class Media:
        css = {"all": ["calls/leads.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Comparison]:
        rows: QuerySet[Comparison] = super().get_queryset(request)
        return rows.annotate(
            found=Count("differences"),
            healed=Count("differences", filter=Q(differences__done=WhatWasDone.HEALED)),
        )

    @admin.display(description=gettext_lazy("calls of"))
    def window(self, run: Comparison) -> str:
        return f"{_short(run.since)} – {_short(run.until)}"

    @admin.display(description=gettext_lazy("differed"))
    def differed(self, run: Any) -> int:
        return int(run.found)

    @admin.display(description=gettext_lazy("corrected"))
    def corrected(self, run: Any) -> int:
        return int(run.healed)

    @admin.display(description=gettext_lazy("what differed"))
    def what_differed(self, run: Comparison) -> str:
        found = run.differences.select_related("call")[:SHOWN]
        rows = [(one, one.call.counterpart_shown if one.call else "", _lines(one)) for one in found]
        return render_to_string("admin/calls/comparison/differences.html", {"rows": rows, "most": SHOWN})


def _short(moment: Any) -> str:
    return str(date_format(timezone.localtime(moment), "j M H:i"))


def _lines(one: ComparedCall) -> list[tuple[Any, str, str]]:
    """(name, as we had it, as they say) in staff's words."""
    return [
        (NAMES.get(name, name), _said(name, ours), _said(name, theirs))
        for name, (ours, theirs) in one.differs.items()
    ]


def _said(name: str, text: str) -> str:
    if not text:
        return "–"
    if name == "outcome" and text in Outcome.values:
        return str(Outcome(text).label)
    if name == "status" and text in CallStatus.values:
        return str(CallStatus(text).label)
    if name == "duration_ms":
        return f"{int(text) / 1000:.1f} s"
    if name == "cost_micros":
        return f"{int(text) / 1_000_000:.4f}"
    if name == "ended_at":
        return date_format(timezone.localtime(datetime.fromisoformat(text)), "j M, H:i:s")
    return text
