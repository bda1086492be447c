"""`POST /webhook/retell` and `/webhook/retell/inbound`.

The order is the contract: signature over the raw bytes, then one row, committed, then 200. Nothing is
read or applied here except what is being said right now, which is no fact. Nothing of a stranger is kept.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
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


class SignedDoor(APIView):
    """Authenticated by signature alone: no session, no key, no throttle, no parser, no negotiation."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes: list[Any] = []
    parser_classes: list[Any] = []
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Nothing of what DRF asks first applies here; it costs a tenth of the whole answer."""

    def signed_body(self, request: Request, provider: Provider) -> Signed | HttpResponse:
        """The raw bytes and their signature, or the answer that refuses them: 413 or 401, no row."""
        raw = request._request
        try:
            length = int(raw.META.get("CONTENT_LENGTH") or 0)
        except ValueError:
            length = 0
        if length > LARGEST_BODY:
            return JsonResponse({"detail": "larger than 8 MiB"}, status=413)
        body = raw.body
        if len(body) > LARGEST_BODY:
            return JsonResponse({"detail": "larger than 8 MiB"}, status=413)
        signature = raw.headers.get(provider.signature_header)
        try:
            known_by = provider.verify(body, signature, now=timezone.now())
        except BadSignature as refusal:
            count_refusal(refusal.cause_code, now=timezone.now())
            return JsonResponse({"detail": str(refusal), "code": refusal.cause_code}, status=401)
        return Signed(body, signature or "", known_by)


class RetellWebhook(SignedDoor):
    def post(self, request: Request) -> HttpResponse:
        provider = get_provider()
        signed = self.signed_body(request, provider)
        if isinstance(signed, HttpResponse):
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
            return JsonResponse(
                {"detail": "not kept, send it again"}, status=503, headers={"Retry-After": "5"}
            )
        return HttpResponse(status=200)


class RetellInbound(SignedDoor):
    """Who is calling? Answered within a second, with an empty answer when we cannot."""

    def post(self, request: Request) -> HttpResponse:
        provider = get_provider()
        signed = self.signed_body(request, provider)
        if isinstance(signed, HttpResponse):
            return signed
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
