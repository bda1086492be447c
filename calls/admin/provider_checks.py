"""The phone company and we: each check as it was found last, what to do, and a look at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from agents.providers.registry import get_provider
from agents.readiness import Check
from calls import provider_checks
from calls.admin.banners import CACHE_KEY
from calls.models import ProviderCheck
from calls.models.clock import database_now


@dataclass(frozen=True, slots=True)
class Shown:
    title: Any
    check: ProviderCheck | Check


def page(request: HttpRequest) -> HttpResponse:
    """POST looks now, and waits for the phone company: a person asked for exactly that."""
    if not request.user.has_perm("calls.resume_calling"):
        raise PermissionDenied
    if request.method == "POST":
        provider_checks.look_and_keep(get_provider(), now=database_now())
        cache.delete(CACHE_KEY)
        return redirect("admin:provider_checks")
    rows = {row.code: row for row in ProviderCheck.objects.all()}
    found = [(provider_checks.TITLES[code], rows[code]) for code in provider_checks.ORDER if code in rows]
    context = {
        **admin.site.each_context(request),
        "title": _("Phone company"),
        "checks": [Shown(title, row) for title, row in found],
        "checked_at": max((row.checked_at for _title, row in found), default=None),
    }
    return TemplateResponse(request, "callcenter/provider_checks.html", context)
