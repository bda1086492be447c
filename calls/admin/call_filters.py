"""The filters above the list of calls. The dashboard links through them and through plain lookups."""

from __future__ import annotations

import uuid
from datetime import datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter

from agents.models import Agent
from calls import dialer
from calls.admin import figures
from calls.admin.lead_filters import Choice, SelectFilter
from calls.models import Call, CallBatch, CallStatus, Direction, Disposition, Outcome, Sentiment
from calls.models.recording import CopyState
from calls.models.visibility import sees_everything
from calls.recording_copies import KEEP
from calls.stats import company_zone

BATCHES_OFFERED = 20
ME = "me"


class DirectionFilter(SelectFilter):
    title, parameter_name = _("In or out"), "direction"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return list(Direction.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        return queryset.filter(direction=self.value()) if self.value() else queryset


class StatusFilter(SelectFilter):
    """In the words of the page: two of our states are both *Calling*."""

    title, parameter_name = _("Status"), "status"
    CALLING = (CallStatus.DIALING, CallStatus.PLACED, CallStatus.RINGING)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return [
            ("open", _("Not yet ended")),
            (CallStatus.QUEUED, CallStatus.QUEUED.label),
            ("calling", _("Calling")),
            (CallStatus.UNCONFIRMED, _("Checking with the phone company")),
            (CallStatus.IN_PROGRESS, CallStatus.IN_PROGRESS.label),
            (CallStatus.ENDED, CallStatus.ENDED.label),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        value = self.value()
        if value == "open":
            return queryset.exclude(status=CallStatus.ENDED)
        if value == "calling":
            return queryset.filter(status__in=self.CALLING)
        return queryset.filter(status=value) if value else queryset


class OutcomeFilter(SelectFilter):
    title, parameter_name = _("How it ended"), "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return list(Outcome.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        return queryset.filter(outcome=self.value()) if self.value() else queryset


class DispositionFilter(SelectFilter):
    """A person's word; where there is none, what the analysis proposes."""

    title, parameter_name = _("What it meant"), "meaning"
    NONE = "-"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return [*Disposition.choices, (self.NONE, _("nothing said yet"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        value = self.value()
        if not value:
            return queryset
        wanted = "" if value == self.NONE else value
        return queryset.filter(
            Q(disposition="", proposed_disposition=wanted) | (Q(disposition=wanted) & ~Q(disposition=""))
        )


class AgentFilter(SelectFilter):
    title, parameter_name = _("AI agent"), "agent__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return [(str(pk), name) for pk, name in Agent.objects.values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(agent=int(value)) if value.isdecimal() else queryset.none()


class SentimentFilter(SelectFilter):
    title, parameter_name = _("Sentiment"), "sentiment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return list(Sentiment.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        return queryset.filter(sentiment=self.value()) if self.value() else queryset


class BatchFilter(SelectFilter):
    title, parameter_name = _("Batch"), "batch"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        batches = CallBatch.objects.exclude(started_at=None).order_by("-created_at")
        if not sees_everything(request.user):
            batches = batches.filter(created_by=request.user.pk)
        found = [(str(batch.pk), str(batch)) for batch in batches[:BATCHES_OFFERED]]
        asked = request.GET.get(self.parameter_name, "")
        if asked and asked not in dict(found):
            found.append((asked, str(_("the one you came from"))))
        return found

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        if not self.value():
            return queryset
        try:
            return queryset.filter(batch=uuid.UUID(str(self.value())))
        except ValueError:
            return queryset.none()


class WaitingFilter(SelectFilter):
    """The calls behind one line of *Waiting* on the dashboard."""

    title, parameter_name = _("Waits for"), "waits_for"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return list(dialer.WAITS_FOR.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        code = self.value()
        if not code:
            return queryset
        everybodys = Call.objects.visible_to(request.user)
        return queryset.filter(pk__in=dialer.waiting_for(code, now=timezone.now(), calls=everybodys))


class AskedByFilter(SelectFilter):
    title, parameter_name = _("Asked for by"), "asked_by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return [(ME, _("me"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        return queryset.asked_for_by(request.user) if self.value() == ME else queryset  # type: ignore[attr-defined]


class CopyFilter(SelectFilter):
    title, parameter_name = _("Recording kept here"), "copy"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return list(CopyState.choices) if settings.RECORDINGS == KEEP else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        return queryset.filter(recording_copy__state=self.value()) if self.value() else queryset


class TestFilter(SelectFilter):
    title, parameter_name = _("Test calls"), "test"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return [("no", _("left out")), ("yes", _("only these"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        if self.value() not in {"yes", "no"}:
            return queryset
        return queryset.filter(test=self.value() == "yes")


class FigureFilter(SelectFilter, figures.FigureFilter):
    """As a plain <select>, like its neighbours."""


class DayFilter(RangeDateFilter):
    """Whole days, both included, as the company counts them."""

    template = "admin/calls/call/filter_days.html"

    @property
    def first(self) -> str:
        return str(self.used_parameters.get(f"{self.parameter_name}_from", ""))

    @property
    def last(self) -> str:
        return str(self.used_parameters.get(f"{self.parameter_name}_to", ""))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        first, last = self._moment(self.first), self._moment(self.last)
        if first is not None:
            queryset = queryset.filter(requested_at__gte=first)
        if last is not None:
            queryset = queryset.filter(requested_at__lt=last + timedelta(days=1))
        return queryset

    def _moment(self, given: str) -> datetime | None:
        """The first moment of the day given; None without one. A day on is added on the wall clock."""
        try:
            day = parse_date(given)
        except ValueError:
            return None
        return datetime.combine(day, time.min, company_zone()) if day else None
