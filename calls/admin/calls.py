"""The list of calls, and the way from it to a call's page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import IGNORED_PARAMS
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from calls import recording_copies, search
from calls.admin import call_filters as filters
from calls.admin.call_page import CallPageViews
from calls.admin.call_tone import tone
from calls.admin.formats import money, talk
from calls.admin.scope import ReadOnlyMixin, VisibleToMixin
from calls.dialer import look, waiting
from calls.models import Call, CallStatus, Transcript
from calls.models.recording import CopyState
from calls.models.visibility import sees_everything

WIDE_COLUMNS = ("request_body", "analysis", "metadata", "variables", "summary", "recording_url", "refusal")

RARE = (
    filters.SentimentFilter,
    filters.BatchFilter,
    filters.WaitingFilter,
    filters.TestFilter,
    filters.FigureFilter,
)
"""Filters that are folded away until one of them is in use."""


class CallChangeList(ChangeList):
    """Adds to each row of the page what the list shows of it: with the same few queries for 1 and for 100."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Not counted (show_full_result_count), and so not to be compared with by the page's heading.
        self.full_result_count = self.result_count
        calls: list[Call] = list(self.result_list)
        self.result_list = calls
        describe(calls, query=self.query, now=timezone.now())
        for spec in self.filter_specs:
            spec.all_choices = list(spec.choices(self))
        self.everyday_filters = [spec for spec in self.filter_specs if type(spec) not in RARE]
        self.rare_filters = [spec for spec in self.filter_specs if type(spec) in RARE]
        self.rare_in_use = any(spec.value() for spec in self.rare_filters)
        shows_failed = request.GET.get(filters.CopyFilter.parameter_name) == CopyState.FAILED
        self.copies_failed = (
            recording_copies.failed() if shows_failed and sees_everything(request.user) else 0
        )
        drawn = {name for spec in self.filter_specs for name in spec.expected_parameters()}
        self.kept_lookups = [
            (name, value)
            for name, values in self.filter_params.items()
            if name not in drawn and name not in IGNORED_PARAMS
            for value in values
        ]
        """Conditions of a dashboard's link that no filter draws: kept when another filter is changed."""


def describe(calls: Sequence[Any], *, query: str, now: datetime) -> None:
    """What a row shows beyond its columns: words, the reason for waiting, the sentence found."""
    desk = look(now=now) if any(call.status == CallStatus.QUEUED for call in calls) else None
    texts = _texts(calls) if query and search.terms(query) else {}
    for call in calls:
        call.shown_number = call.counterpart_shown
        call.tone = tone(call)
        call.waits = waiting(call, now=now, desk=desk, place=False) if desk else None
        call.talked = talk(call.duration_ms) if call.duration_ms and call.answered_at else ""
        call.price = money(call.cost_micros, call.currency) if call.cost_micros is not None else ""
        call.found = search.sentence_found(texts.get(call.pk, ""), query)


def _texts(calls: Sequence[Call]) -> dict[Any, str]:
    found = Transcript.objects.filter(call__in=[call.pk for call in calls])
    return dict(found.values_list("call_id", "text"))


@admin.register(Call)
class CallAdmin(VisibleToMixin, ReadOnlyMixin, CallPageViews, ModelAdmin):
    list_display = [
        "direction",
        "counterpart",
        "outcome",
        "meaning",
        "sentiment",
        "duration_ms",
        "cost_micros",
        "agent",
        "requested_at",
    ]
    list_display_links = ["counterpart"]
    list_select_related = ["lead", "agent", "batch", "requested_by"]
    list_filter = [
        ("requested_at", filters.DayFilter),
        filters.DirectionFilter,
        filters.StatusFilter,
        filters.OutcomeFilter,
        filters.DispositionFilter,
        filters.AgentFilter,
        filters.SentimentFilter,
        filters.BatchFilter,
        filters.WaitingFilter,
        filters.AskedByFilter,
        filters.CopyFilter,
        filters.TestFilter,
        filters.FigureFilter,
    ]
    search_fields = ["counterpart"]
    search_help_text = _("Number, name, or words that were said")
    sortable_by: Sequence[str] = []
    ordering = ["-requested_at"]
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_fullwidth = True
    actions = None

    class Media:
        css = {"all": ["calls/leads.css", "calls/calls.css"]}
        js = ["calls/sheet.js"]

    @admin.display(description=_("what it meant"))
    def meaning(self, call: Call) -> str:
        return call.meaning

    def get_queryset(self, request: HttpRequest) -> QuerySet[Call]:
        rows: QuerySet[Call] = super().get_queryset(request)
        return rows.defer(*WIDE_COLUMNS)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CallChangeList]:
        return CallChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Call], search_term: str
    ) -> tuple[QuerySet[Call], bool]:
        return queryset.filter(search.calls_matching(search_term)), False

    def get_urls(self) -> list[URLPattern]:
        return [*self.page_urls(), *super().get_urls()]
