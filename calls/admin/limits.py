"""Daily limits of the account: what was spent today, what may be, and who changed that."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calls import dialer
from calls.admin.banners import CACHE_KEY, MICROS, shown_amount
from calls.models import CapChange
from calls.models.caps import CapKind

LOGGED = 20


def field(label: Any, **options: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=1, max_value=10**9, **options)


class LimitsForm(forms.Form):
    """Empty: no limit."""

    calls = field(gettext_lazy("Calls out a day"))
    minutes = field(gettext_lazy("Minutes talked a day"))
    money = forms.DecimalField(
        label=gettext_lazy("Money spent a day"),
        required=False,
        min_value=Decimal("0.01"),
        max_digits=12,
        decimal_places=2,
        help_text=gettext_lazy("In the currency of the phone company's account."),
    )


@dataclass(frozen=True, slots=True)
class Used:
    label: str
    used: str
    most: str
    level: str
    percent: int


@dataclass(frozen=True, slots=True)
class Change:
    label: str
    who: Any
    when: Any
    before: str
    after: str


def page(request: HttpRequest) -> HttpResponse:
    person = request.user
    if not person.has_perm("calls.view_call"):
        raise PermissionDenied
    may_change = person.has_perm("calls.change_dailycap")
    if request.method == "POST" and not may_change:
        raise PermissionDenied
    states = dialer.caps.today(now=timezone.now())
    form = LimitsForm(
        request.POST or None,
        initial={
            each.kind: Decimal(each.most) / MICROS if each.kind == CapKind.MONEY and each.most else each.most
            for each in states
        },
    )
    if request.method == "POST" and form.is_valid() and isinstance(person, User):
        _keep(request, person, form.cleaned_data)
        return redirect("admin:limits")
    changes = CapChange.objects.select_related("changed_by")[:LOGGED]
    context = {
        **admin.site.each_context(request),
        "title": _("Daily limits"),
        "form": form,
        "may_change": may_change,
        "used": [
            Used(
                str(CapKind(each.kind).label),
                shown_amount(each.kind, each.used),
                shown_amount(each.kind, each.most),
                each.level,
                min(100, each.used * 100 // each.most) if each.most else 0,
            )
            for each in states
        ],
        "ends": dialer.caps.day_ends(timezone.now()),
        "changes": [
            Change(
                str(CapKind(each.kind).label),
                each.changed_by,
                each.changed_at,
                shown_amount(each.kind, each.before),
                shown_amount(each.kind, each.after),
            )
            for each in changes
        ],
    }
    return TemplateResponse(request, "callcenter/limits.html", context)


def _keep(request: HttpRequest, person: User, given: dict[str, Any]) -> None:
    now = timezone.now()
    money = given["money"]
    wanted = {
        CapKind.CALLS: given["calls"],
        CapKind.MINUTES: given["minutes"],
        CapKind.MONEY: int(money * MICROS) if money is not None else None,
    }
    changed = [kind for kind, most in wanted.items() if dialer.caps.set_limit(kind, most, by=person, now=now)]
    cache.delete(CACHE_KEY)
    if changed:
        messages.success(request, _("Kept. It holds from the next call on."))
