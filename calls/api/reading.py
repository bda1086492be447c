"""Request bodies, read strictly: a misspelt `due_at` must not become a call right now."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request

from calls.api.problems import LengthRequired


class Body(serializers.Serializer[Any]):
    """A request body. A field it does not know is an error of that field."""

    unknown = _("There is no such field here.")

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            strange = {
                name: [ErrorDetail(str(self.unknown), code="unknown_field")]
                for name in data
                if name not in self.fields
            }
            if strange:
                raise ValidationError(strange)
        return super().to_internal_value(data)


def read(kind: type[Body], request: Request, *, partial: bool = False) -> dict[str, Any]:
    """The fields given, checked. Raises ValidationError, and LengthRequired for a body sent in chunks.

    WSGI has no end of such a body to offer: Django would read none, and a request without its fields.
    """
    if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
        raise LengthRequired(_("Send the body whole, with Content-Length."))
    body = kind(data=request.data, partial=partial)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)
