"""Row scope in the admin: the one mixin."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from calls.models import Call, Lead
from calls.models.visibility import sees_everything


class VisibleToMixin:
    """Lists, pages, actions and autocompletes show only what `visible_to` lets this person see.

    For models whose manager has `visible_to(user)`: leads and calls.
    """

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: Any = super().get_queryset(request)  # type: ignore[misc]
        return rows.visible_to(request.user)  # type: ignore[no-any-return]


class ReadOnlyMixin:
    """Rows that the machine writes: looked at here, changed only by named actions."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class OwnRowsMixin:
    """Batches and imports: one's own, and everybody's for those who see everything."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        return rows if sees_everything(request.user) else rows.filter(created_by=request.user.pk)


def may_see(request: HttpRequest, call: Call) -> bool:
    return Call.objects.visible_to(request.user).filter(pk=call.pk).exists()


def to_call_in_the_way(request: HttpRequest, call: Call, lead: Lead) -> HttpResponse:
    """Their number is on the phone with us: to that call, unless it is one that this person may not see."""
    if may_see(request, call):
        messages.warning(request, _("That number is on the phone with us already: this is the call."))
        return redirect("admin:calls_call_change", call.pk)
    messages.warning(request, _("That number is on the phone with us already, with a colleague's lead."))
    return redirect("admin:calls_lead_change", lead.pk)
