"""The filters above the list of leads, and its search. Each is a plain <select> with one parameter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db.models import Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agents import phone
from calls.eligibility import Verdict, decide_many
from calls.models import Call, CallStatus, Lead, LeadList, LeadPhone, LeadStatus, NextAction, Outcome

LOOKED_AT = 5_000
"""Leads that one use of the "may be called" filter decides about."""
PHONE_LIKE = re.compile(r"^[\d\s()+./-]*\d[\d\s()+./-]*$")
NOBODY, NEVER = "-", "none"

Choice = tuple[str, Any]


class SelectFilter(admin.SimpleListFilter):
    """Offers `lookups`, with *all* first."""

    template = "admin/calls/filter_select.html"

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        yield {"value": "", "label": _("any"), "selected": not self.value()}
        for value, label in self.lookup_choices:
            yield {"value": value, "label": label, "selected": self.value() == str(value)}

    def has_output(self) -> bool:
        return True


class StatusFilter(SelectFilter):
    title, parameter_name = _("Status"), "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return list(LeadStatus.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Lead]) -> QuerySet[Lead]:
        return queryset.filter(status=self.value()) if self.value() else queryset


class ListFilter(SelectFilter):
    title, parameter_name = _("List"), "list"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return [
            *((str(pk), name) for pk, name in LeadList.objects.values_list("pk", "name")),
            (NOBODY, _("no list")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Lead]) -> QuerySet[Lead]:
        return by_key(queryset, "list", self.value())


class OwnerFilter(SelectFilter):
    title, parameter_name = _("Owner"), "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        me = str(request.user.pk)
        others = [(str(user.pk), shown_name(user)) for user in staff() if str(user.pk) != me]
        return [(me, _("me")), (NOBODY, _("nobody")), *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Lead]) -> QuerySet[Lead]:
        return by_key(queryset, "owner", self.value())


class OutcomeFilter(SelectFilter):
    title, parameter_name = _("Last call"), "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return [(NEVER, _("never called")), *Outcome.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Lead]) -> QuerySet[Lead]:
        if not self.value():
            return queryset
        if self.value() == NEVER:
            return queryset.exclude(pk__in=Call.objects.filter(lead__isnull=False, test=False).values("lead"))
        # Two steps: a condition beside the window's own would choose among calls before they are ranked.
        last = Call.objects.filter(pk__in=newest_ended_calls().values("pk"), outcome=self.value())
        return queryset.filter(pk__in=last.values("lead"))


class NextActionFilter(SelectFilter):
    title, parameter_name = _("Next action"), "next"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        actions = [(value, label) for value, label in NextAction.choices if value]
        return [
            ("due", _("due by now")),
            ("today", _("due by tonight")),
            *actions,
            (NOBODY, _("nothing planned")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Lead]) -> QuerySet[Lead]:
        value = self.value()
        now = timezone.localtime()
        if value in ("due", "today"):
            until = now if value == "due" else now.replace(hour=23, minute=59, second=59)
            return queryset.exclude(next_action="").filter(next_action_at__lte=until)
        if value == NOBODY:
            return queryset.filter(next_action="")
        return queryset.filter(next_action=value) if value else queryset


class CallableFilter(SelectFilter):
    """The same decision as everywhere, made lead by lead: the last filter, on at most LOOKED_AT."""

    title, parameter_name = _("May be called"), "may"
    cut = False
    """There were more than were decided about: the page says so."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Choice]:
        return list(Verdict.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Lead]) -> QuerySet[Lead]:
        if self.value() not in Verdict.values:
            return queryset
        leads, self.cut = narrowed(queryset, request)
        decisions = decide_many(leads, now=timezone.now())
        wanted = [
            lead.pk for lead, found in zip(leads, decisions, strict=True) if found.verdict == self.value()
        ]
        return queryset.filter(pk__in=wanted)


def narrowed(queryset: QuerySet[Lead], request: HttpRequest) -> tuple[list[Lead], bool]:
    """The newest leads that the search leaves, at most LOOKED_AT, and whether there are more."""
    leads = list(searched(queryset, request.GET.get("q", "")).order_by("-created_at")[: LOOKED_AT + 1])
    return leads[:LOOKED_AT], len(leads) > LOOKED_AT


def by_key(queryset: QuerySet[Lead], name: str, value: str | None) -> QuerySet[Lead]:
    if value == NOBODY:
        return queryset.filter(**{f"{name}__isnull": True})
    if value and value.isdecimal():
        return queryset.filter(**{name: int(value)})
    return queryset.none() if value else queryset


def newest_ended_calls() -> QuerySet[Call]:
    """One call a lead: the last that is over. One pass over the calls, not one search a lead."""
    place = Window(RowNumber(), partition_by="lead", order_by="-requested_at")
    ended = Call.objects.filter(lead__isnull=False, status=CallStatus.ENDED, test=False)
    return ended.annotate(place=place).filter(place=1)


def staff() -> QuerySet[AbstractUser]:
    users: QuerySet[AbstractUser] = get_user_model()._default_manager.filter(is_active=True, is_staff=True)
    return users.order_by("first_name", "username")


def shown_name(user: AbstractUser | None) -> str:
    return (user.get_full_name() or user.get_username()) if user else ""


def searched(leads: QuerySet[Lead], text: str) -> QuerySet[Lead]:
    """A number in any spelling, or every word somewhere in name, company, e-mail, id or number."""
    text = text.strip()
    if not text:
        return leads
    if PHONE_LIKE.match(text) and len(phone.digits(text)) >= 3:
        return leads.filter(pk__in=LeadPhone.objects.filter(_number_is(text)).values("lead"))
    for word in text.split()[:8]:
        found = (
            Q(name__icontains=word)
            | Q(company__icontains=word)
            | Q(email__icontains=word)
            | Q(external_id__icontains=word)
        )
        if PHONE_LIKE.match(word) and len(phone.digits(word)) >= 4:
            found |= Q(pk__in=LeadPhone.objects.filter(_number_is(word)).values("lead"))
        leads = leads.filter(found)
    return leads


def _number_is(text: str) -> Q:
    """Its digits somewhere in a number, without a trunk zero; or, when it can be read whole, that number."""
    found = Q(number__contains=phone.digits(text).lstrip("0"))
    try:
        found |= Q(number=phone.to_e164(text, country=settings.DEFAULT_COUNTRY))
    except phone.BadNumber:
        return found
    return found
