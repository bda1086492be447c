"""Row scope in the API: the one mixin."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

ONLY_VISIBLE = "What the key's owner may see; every row for a key without an owner. Any other row is 404."


class VisibleToMixin:
    """Lists and rows are those that `visible_to` lets the key's owner see; any other row is 404."""

    def get_queryset(self) -> QuerySet[Any]:
        rows: Any = super().get_queryset()  # type: ignore[misc]
        return rows.visible_to(self.request.user)  # type: ignore[attr-defined,no-any-return]
