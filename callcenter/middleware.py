"""Rules for every answer: which doors are never redirected, what a page may load, whose time it shows."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csp import ContentSecurityPolicyMiddleware
from django.utils import timezone

# A provider does not follow redirects, and a monitor must see health over plain http on loopback.
NEVER_REDIRECTED = ("/webhook/", "/health", "/readyz", "/metrics")


class PublicDoorsMiddleware:
    """Marks webhooks and health as secure enough, so that SecurityMiddleware does not redirect them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SECURE_SSL_REDIRECT and request.path_info.startswith(NEVER_REDIRECTED):
            request.META["HTTP_X_FORWARDED_PROTO"] = "https"
        return self.get_response(request)


class CompanyTimeMiddleware:
    """Staff read and write times in COMPANY_TIME_ZONE; a callee's own time is always said to be theirs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/admin/"):
            return self.get_response(request)
        with timezone.override(ZoneInfo(settings.COMPANY_TIME_ZONE)):
            return self.get_response(request)


class ContentSecurityMiddleware(ContentSecurityPolicyMiddleware):
    """Strict everywhere; under /admin/ what the theme was measured to need."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if request.path_info.startswith("/admin/") and not hasattr(response, "_csp_config"):
            response._csp_config = settings.ADMIN_CSP  # type: ignore[attr-defined]
        return super().process_response(request, response)
