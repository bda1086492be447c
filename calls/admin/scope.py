"""Row scope in the admin: the one mixin."""

from __future__ import annotations

from typing import Any

from django.db.models import Model, QuerySet
from django.http import HttpRequest

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
