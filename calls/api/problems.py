"""Every refusal is `application/problem+json` (RFC 9457) with a `code` for each reason.

`type, title, status, detail, code` always; `reasons` [{code, detail, until}] when a rule said no;
`errors` {field: [{code, detail}]} when the request itself is wrong; `call` the id of a call in the way;
`place` in the queue (1: next) where every line is in use and the request must not wait;
`request_id` when the fault is ours (5xx): the same as in the log line, and as the caller's X-Request-ID.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.exceptions import APIException, ErrorDetail
from rest_framework.request import Request

from calls.eligibility import Reason

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
REQUEST_ID = "X-Request-ID"
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
BODY = "body"
"""The name under which errors of the request as a whole are listed."""


class Conflict(APIException):
    status_code = HTTPStatus.CONFLICT
    default_code = "conflict"


class Stopped(APIException):
    """A stop covers what is asked for."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_code = "calling_stopped"


class NotNow(APIException):
    """What is asked for cannot be done at this moment; `wait_s` seconds later it may be."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    place: int | None = None

    def __init__(self, detail: str, code: str, *, wait_s: float) -> None:
        super().__init__(detail, code)
        self.wait = wait_s


class Full(NotNow):
    """Every line is in use."""

    status_code = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, detail: str, *, place: int, wait_s: float) -> None:
        super().__init__(detail, "no_free_line", wait_s=wait_s)
        self.place = place


class LengthRequired(APIException):
    status_code = HTTPStatus.LENGTH_REQUIRED
    default_code = "length_required"


class TooLarge(APIException):
    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


def problem_body(
    status: int,
    code: str,
    detail: str,
    *,
    reasons: Iterable[Reason] = (),
    errors: Mapping[str, list[dict[str, str]]] | None = None,
    call: str = "",
    place: int | None = None,
    request_id: str = "",
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
    }
    told = [
        {
            "code": reason.code,
            "detail": str(reason.text),
            "until": reason.until.isoformat() if reason.until else None,
        }
        for reason in reasons
    ]
    if told:
        body["reasons"] = told
    if errors:
        body["errors"] = errors
    if call:
        body["call"] = call
    if place is not None:
        body["place"] = place
    if request_id:
        body["request_id"] = request_id
    return body


def answer(body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> JsonResponse:
    """JSON whatever the view renders otherwise: the schema is YAML, its pages are HTML."""
    return JsonResponse(
        body,
        status=body["status"],
        headers=dict(headers or {}),
        content_type=MEDIA_TYPE,
        json_dumps_params={"ensure_ascii": False},
    )


def problem_response(error: Exception, context: Mapping[str, Any]) -> JsonResponse:
    """DRF's exception handler. What nobody foresaw is a problem too, and logged with its traceback."""
    request: Request = context["request"]
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, DjangoPermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, (OperationalError, InterfaceError)):
        # Nothing was committed; under the same Idempotency-Key it can safely be asked again.
        id = _id_of(request)
        log.error("database did not answer an API request", request=id, path=request.path, problem=str(error))
        text = _("The database did not answer. Ask again.")
        return answer(
            problem_body(503, "database_busy", text, request_id=id),
            headers={"Retry-After": "1", REQUEST_ID: id},
        )
    if not isinstance(error, APIException):
        id = _id_of(request)
        log.error("API request failed", request=id, method=request.method, path=request.path, exc_info=error)
        return answer(_our_fault(id), headers={REQUEST_ID: id})
    headers = {}
    if isinstance(error, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
        headers["WWW-Authenticate"] = getattr(error, "auth_header", None) or "Bearer"
    if isinstance(error, (exceptions.Throttled, NotNow)):
        headers["Retry-After"] = str(max(1, math.ceil(getattr(error, "wait", None) or 0)))
    return answer(_body_of(error), headers=headers)


def server_error(request: HttpRequest) -> JsonResponse:
    """The same where DRF does not reach: middleware, and the writing of an answer."""
    id = _id_of(request)
    log.error("API request failed", request=id, method=request.method, path=request.path, exc_info=True)
    return answer(_our_fault(id), headers={REQUEST_ID: id})


def bad_request(request: HttpRequest) -> JsonResponse:
    """A request that Django itself turned away, such as one for a host that is not ours."""
    text = _("The request cannot be read as it is.")
    return answer(problem_body(400, "invalid", text))


def _our_fault(id: str) -> dict[str, Any]:
    text = _("Something went wrong here. It is in the log under the request's id.")
    return problem_body(500, "server_error", text, request_id=id)


def _id_of(request: HttpRequest | Request) -> str:
    """The caller's own, when it can stand in a log line; else one of ours."""
    given = request.headers.get(REQUEST_ID, "")
    return given if SANE_ID.fullmatch(given) else uuid.uuid4().hex


def _body_of(error: APIException) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        errors = _by_field(error.detail)
        first = next(iter(errors.items()), None)
        detail = _("The request cannot be read as it is.")
        if first is not None:
            detail = f"{first[0]}: {first[1][0]['detail']}"
        return problem_body(error.status_code, "invalid", detail, errors=errors)
    if isinstance(error.detail, ErrorDetail):
        place = getattr(error, "place", None)
        return problem_body(error.status_code, str(error.detail.code), str(error.detail), place=place)
    return problem_body(
        error.status_code, error.default_code, str(error.detail), errors=_by_field(error.detail)
    )


def _by_field(detail: Any) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for path, one in _leaves(detail, ()):
        found.setdefault(".".join(path) or BODY, []).append({"code": str(one.code), "detail": str(one)})
    return found


def _leaves(detail: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], ErrorDetail]]:
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _leaves(inner, path if name == "non_field_errors" else (*path, str(name)))
    elif isinstance(detail, (list, tuple)):
        for inner in detail:
            yield from _leaves(inner, path)
    else:
        yield path, detail
