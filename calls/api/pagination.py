"""Cursor pages: results, next, previous. A page stays where it was while rows are added."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import ErrorDetail, NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.views import APIView

MOST = 200


class Pages(CursorPagination):
    """`page_size` 1 to 200, 50 when not given; newest first unless the view's `ordering` says otherwise."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = MOST
    ordering = "-id"

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        return getattr(view, "ordering", None) or (self.ordering,)

    def get_page_size(self, request: Request) -> int:
        raw = request.query_params.get(self.page_size_query_param)
        if raw is None:
            return self.page_size
        if not (raw.isascii() and raw.isdigit() and len(raw) < 5 and 1 <= int(raw) <= MOST):
            raise ValidationError(
                {self.page_size_query_param: _("A whole number from 1 to %(most)d.") % {"most": MOST}},
                "out_of_range",
            )
        return int(raw)

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        self._refuse_unknown(request, view)
        try:
            return super().paginate_queryset(queryset, request, view)
        except (DjangoValidationError, ValueError) as error:
            # The cursor can be read, and is not one of ours: its position is no value of the column.
            raise NotFound(self.invalid_cursor_message) from error

    def _refuse_unknown(self, request: Request, view: APIView | None) -> None:
        """A filter that is misspelt must not become "everything"."""
        filters = getattr(view, "filterset_class", None)
        known = [
            *(filters.base_filters if filters else ()),
            self.cursor_query_param,
            self.page_size_query_param,
        ]
        text = _("There is no such parameter here. There are: %(known)s.") % {"known": ", ".join(known)}
        strange = {
            name: [ErrorDetail(text, code="unknown_parameter")]
            for name in request.query_params
            if name not in known
        }
        if strange:
            raise ValidationError(strange)

    def decode_cursor(self, request: Request) -> Cursor | None:
        cursor = super().decode_cursor(request)
        if cursor is not None and not any(cursor):
            # Decoding skips what it cannot read; starting over from the first page would never end.
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {
                "name": self.cursor_query_param,
                "in": "query",
                "description": "From `next` or `previous` of another page; unknown: 404.",
                "schema": {"type": "string"},
            },
            {
                "name": self.page_size_query_param,
                "in": "query",
                "description": "How many results a page.",
                "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": self.page_size},
            },
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }
