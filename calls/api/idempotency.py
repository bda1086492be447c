"""`Idempotency-Key`: a request that is sent again does nothing again and is answered the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request

from calls.api.problems import Conflict
from calls.models import ApiKey, Call
from calls.models.access import IdempotentRequest

HEADER = "Idempotency-Key"
LONGEST = 200
NOT_ANSWERED = 0
PARAMETER = OpenApiParameter(
    HEADER,
    {"type": "string", "pattern": "^[ -~]*$", "maxLength": LONGEST},
    OpenApiParameter.HEADER,
    description="The same key and body again: the same status code, the call as it is now.",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status code with a call, or with a problem's body."""

    status: int
    call: Call | None = None
    problem: dict[str, Any] = field(default_factory=dict)
    replayed: bool = False


def key_of(request: Request) -> str:
    """The header's value, '' without one. Raises ValidationError: too long, or not printable ASCII."""
    key = str(request.headers.get(HEADER, "")).strip()
    if len(key) > LONGEST or not key.isascii() or not key.isprintable():
        raise ValidationError(
            {HEADER: _("At most %(most)d printable ASCII characters.") % {"most": LONGEST}},
            "idempotency_key_invalid",
        )
    return key


def once(api_key: ApiKey, key: str, body: Any, act: Callable[[], Answer]) -> Answer:
    """Do `act` under this key, or answer what it answered before, the call as it is now.

    The key is written first, in the transaction that `act` writes in. A second request with the same key
    waits at the unique constraint for the first to commit and then answers the same; of a first that
    died, nothing is left, and the second acts. Raises Conflict when the body is another one.
    """
    known = _known(api_key, key)
    if known is None:
        try:
            with transaction.atomic():
                row = _begun(api_key, key, body)
                answer = act()
                _answered(row, answer)
        except IntegrityError:
            known = _known(api_key, key)
            if known is None:
                raise
        else:
            return answer
    return _again(known, body)


def once_said(api_key: ApiKey, key: str, body: Any, act: Callable[[], Answer]) -> Answer:
    """As `once`, where `act` says something to somebody far away, while no transaction may be open.

    So the key is kept first. An APIException of `act` means that nothing was said: the key is free again.
    Of what was begun and has no answer, because it goes on or broke off, nobody knows: Conflict.
    """
    known = _known(api_key, key)
    if known is not None:
        return _again(known, body)
    try:
        row = _begun(api_key, key, body)
    except IntegrityError:
        known = _known(api_key, key)
        if known is None:
            raise
        return _again(known, body)
    try:
        answer = act()
    except APIException:
        row.delete()
        raise
    _answered(row, answer)
    return answer


def _begun(api_key: ApiKey, key: str, body: Any) -> IdempotentRequest:
    with transaction.atomic():
        return IdempotentRequest.objects.create(
            api_key=api_key, key=key, body_digest=_digest(body), status_code=NOT_ANSWERED
        )


def _answered(row: IdempotentRequest, answer: Answer) -> None:
    IdempotentRequest.objects.filter(pk=row.pk).update(
        status_code=answer.status, call=answer.call, answer=answer.problem
    )


def _again(known: IdempotentRequest, body: Any) -> Answer:
    if known.body_digest != _digest(body):
        raise Conflict(_("This Idempotency-Key was used for another request."), "idempotency_key_reused")
    if known.status_code == NOT_ANSWERED:
        raise Conflict(_("This was begun already, and nobody knows yet what came of it."), "unclear")
    return Answer(known.status_code, known.call, known.answer, replayed=True)


def _digest(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _known(api_key: ApiKey, key: str) -> IdempotentRequest | None:
    return IdempotentRequest.objects.select_related("call").filter(api_key=api_key, key=key).first()
