"""`POST /webhook/retell` and `/webhook/retell/inbound`.

The order is the contract: signature over the raw bytes, then one row, committed, then 200. Nothing is
read or applied here except what is being said right now, which is no fact. Nothing of a stranger is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import structlog
from django.db import DatabaseError, connection
from django.http import HttpResponse, JsonResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.views import APIView

from agents.providers.base import BadSignature, InboundAsk, InboundReply, Provider, Unreadable
from agents.providers.registry import get_provider
from calls import live
from calls.lifecycle import NotStored, answer_inbound, store_webhook
from calls.webhooks.refusals import count_refusal

log = structlog.get_logger(__name__)

LARGEST_BODY = 8 * 1024 * 1024
ANSWER_WITHIN_S = 0.7
"""An inbound caller hears nothing while the phone company waits: with everything around it, a second."""

# A thread of its own can be left behind when the database is slow; the request cannot.
_answering = ThreadPoolExecutor(max_workers=8, thread_name_prefix="inbound")


@dataclass(frozen=True, slots=True)
class Signed:
    body: bytes
    signature: str
    known_by: bytes
    """What was signed: the same for every repeat."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the phone company is told. By its status alone it knows whether to send the event again."""

    status: int
    told: Mapping[str, str] | None = None
    headers: Mapping[str, str] = MappingProxyType({})

    def response(self) -> HttpResponse:
        if self.told is None:
            return HttpResponse(status=self.status, headers=dict(self.headers))
        return JsonResponse(dict(self.told), status=self.status, headers=dict(self.headers))


KEPT = Answer(200)
TOO_LARGE = Answer(413, {"detail": "larger than 8 MiB"})
SEND_AGAIN = Answer(503, {"detail": "not kept, send it again"}, {"Retry-After": "5"})


def verified(provider: Provider, body: bytes, signature: str | None) -> Signed | Answer:
    """The raw bytes and their signature, or the answer that refuses them: 413 or 401, no row."""
    if len(body) > LARGEST_BODY:
        return TOO_LARGE
    now = timezone.now()
    try:
        known_by = provider.verify(body, signature, now=now)
    except BadSignature as refusal:
        count_refusal(refusal.cause_code, now=now)
        return Answer(401, {"detail": str(refusal), "code": refusal.cause_code})
    return Signed(body, signature or "", known_by)


def receive(provider: Provider, body: bytes, signature: str | None) -> Answer:
    """One webhook: committed when this says 200."""
    signed = verified(provider, body, signature)
    if isinstance(signed, Answer):
        return signed
    now = timezone.now()
    try:
        # A body that cannot be read is kept like any other, and listed when it is applied.
        if (said := provider.read_live(signed.body)) is not None:
            live.hear(said, now=now)
        else:
            store_webhook(
                signed.body,
                signature=signed.signature,
                contract=provider.contract,
                now=now,
                signed=signed.known_by,
            )
    except (NotStored, DatabaseError) as problem:
        log.warning("a webhook could not be kept; it will be sent again", why=str(problem))
        return SEND_AGAIN
    return KEPT


class SignedDoor(APIView):
    """Authenticated by signature alone: no session, no key, no throttle, no parser, no negotiation."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes: list[Any] = []
    parser_classes: list[Any] = []
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Nothing of what DRF asks first applies here."""

    def body_of(self, request: Request) -> bytes | None:
        """None: it says itself that it is too large, and is not read."""
        raw = request._request
        try:
            length = int(raw.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            length = 0
        return raw.body if length <= LARGEST_BODY else None


class RetellWebhook(SignedDoor):
    """`calls.webhooks.door` answers the same where many come a second."""

    def post(self, request: Request) -> HttpResponse:
        body = self.body_of(request)
        if body is None:
            return TOO_LARGE.response()
        provider = get_provider()
        return receive(provider, body, request._request.headers.get(provider.signature_header)).response()


class RetellInbound(SignedDoor):
    """Who is calling? Answered within a second, with an empty answer when we cannot."""

    def post(self, request: Request) -> HttpResponse:
        body = self.body_of(request)
        if body is None:
            return TOO_LARGE.response()
        provider = get_provider()
        signed = verified(provider, body, request._request.headers.get(provider.signature_header))
        if isinstance(signed, Answer):
            return signed.response()
        try:
            ask = provider.read_inbound(signed.body)
        except Unreadable as problem:
            log.warning("inbound question cannot be read", why=str(problem))
            return JsonResponse(provider.inbound_answer(InboundReply()))
        return JsonResponse(provider.inbound_answer(_answer(ask)))


def _answer(ask: InboundAsk) -> InboundReply:
    answering: Future[InboundReply] = _answering.submit(_answer_in_thread, ask)
    try:
        return answering.result(timeout=ANSWER_WITHIN_S)
    except TookTooLong:
        answering.cancel()
        log.warning("inbound question answered empty", why="the database took too long")
    except Exception:
        log.exception("inbound question answered empty")
    return InboundReply()


def _answer_in_thread(ask: InboundAsk) -> InboundReply:
    try:
        return answer_inbound(ask, now=timezone.now())
    finally:
        connection.close()
