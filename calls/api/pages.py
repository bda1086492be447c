"""The documentation page, and the answer where nothing is."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Docs(SpectacularSwaggerSplitView):
    """Swagger, from our own files alone, under the strict content policy: no script or style in the page."""

    template_name = "api/docs.html"


class NothingHere(APIView):
    """404 as a problem. Addresses end with a slash; a redirect would drop the body of a POST."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes: list[Any] = []
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        detail = _("There is nothing at this address.")
        if not request.path.endswith("/"):
            detail += " " + _("Addresses here end with a slash.")
        raise NotFound(detail)

    def get(self, request: Request, **_kwargs: Any) -> Response:
        raise NotFound
