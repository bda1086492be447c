"""The page between an action and its doing: what it will do, to which rows, and why if a reason is kept."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

SHOWN = 50


def confirmed(request: HttpRequest) -> bool:
    return request.POST.get("confirmed") == "1"


def ask(
    request: HttpRequest,
    model_admin: ModelAdmin[Any],
    rows: QuerySet[Any],
    *,
    title: Any,
    text: Any,
    button: Any,
    reason: bool = False,
    problem: Any = "",
) -> TemplateResponse:
    """Posts the same action again, with `confirmed` and, where one is kept, `reason`."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": title,
        "text": text,
        "button": button,
        "reason": reason,
        "given": request.POST.get("reason", ""),
        "problem": problem,
        "rows": rows[:SHOWN],
        "count": rows.count(),
        "action": request.POST.get("action", ""),
        "select_across": request.POST.get("select_across", "0"),
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "checkbox_name": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/calls/confirm.html", context)
