"""What Django answers when no view has: a page for people, a problem for programs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from calls.api import problems

API = ("/api/", "/initiate-call")


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path_info.startswith(API):
        return problems.server_error(request)
    return defaults.server_error(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path_info.startswith(API):
        return problems.bad_request(request)
    return defaults.bad_request(request, exception)
