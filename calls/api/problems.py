"""Every refusal is `application/problem+json` (RFC 9457) with a `code` for each reason.

`type, title, status, detail, code` always; `reasons` [{code, detail, until}] when a rule said no;
`errors` {field: [{code, detail}]} when the request itself is wrong; `call` the id of a call in the way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import OperationalError
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.exceptions import APIException, ErrorDetail
from rest_framework.response import Response

from calls.eligibility import Reason

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
BODY = "body"
"""The name under which errors of the request as a whole are listed."""


class Conflict(APIException):
    status_code = HTTPStatus.CONFLICT
    default_code = "conflict"


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
    return body


def answer(body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status=body["status"], headers=dict(headers or {}), content_type=MEDIA_TYPE)


def problem_response(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler. None: not ours to answer, it is raised further."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, DjangoPermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, OperationalError):
        # Nothing was committed; under the same Idempotency-Key it can safely be asked again.
        log.error("database did not answer an API request", problem=str(error))
        return answer(
            problem_body(503, "database_busy", _("The database did not answer. Ask again.")),
            headers={"Retry-After": "1"},
        )
    if not isinstance(error, APIException):
        return None
    headers = {}
    if isinstance(error, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
        headers["WWW-Authenticate"] = getattr(error, "auth_header", None) or "Bearer"
    if isinstance(error, exceptions.Throttled):
        headers["Retry-After"] = str(max(1, math.ceil(getattr(error, "wait", None) or 0)))
    return answer(_body_of(error), headers=headers)


def _body_of(error: APIException) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        errors = _by_field(error.detail)
        first = next(iter(errors.items()), None)
        detail = _("The request cannot be read as it is.")
        if first is not None:
            detail = f"{first[0]}: {first[1][0]['detail']}"
        return problem_body(error.status_code, "invalid", detail, errors=errors)
    if isinstance(error.detail, ErrorDetail):
        return problem_body(error.status_code, str(error.detail.code), str(error.detail))
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
