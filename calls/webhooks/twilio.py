"""`POST /webhook/twilio/status/...` and `POST /webhook/twilio/voice/<script>/...`.

The order is the contract, as at `/webhook/retell`: signature, then one row, committed, then the answer. The
address that was signed is PUBLIC_BASE_URL with the path and the query as they came, whatever a proxy made of
the rest. What is refused is 403 and leaves nothing. A repeat is known by `I-Twilio-Idempotency-Token`; since
that is not signed, by the address and the body as well, so that nobody who has seen a request can pass it off
as another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.request import Request

from agents.providers.base import BadSignature, Unreadable
from agents.providers.twilio.callbacks import Callback, read_callback
from agents.providers.twilio.signature import (
    HEADER,
    SETTINGS_HEADER,
    TOKEN_HEADER,
    Arrived,
    Form,
    verify,
)
from agents.providers.twilio.twiml import CONTENT_TYPE, Twiml
from calls.lifecycle import NotStored, store_webhook
from calls.webhooks import desk, desk_talk, menu
from calls.webhooks.refusals import count_refusal
from calls.webhooks.retell import SEND_AGAIN, TOO_LARGE, Answer, SignedDoor

log = structlog.get_logger(__name__)

CONTRACT = "twilio"
LARGEST_FORM = 256 * 1024

Voice = Callable[[Callback, UUID | None, datetime], Twiml]
"""(what was asked, about which row, now) -> what the leg shall do. The same may be asked twice."""


def sorry() -> Twiml:
    """Where nothing else can be said."""
    answer = Twiml()
    answer.say(_("We are sorry, something went wrong on our side. Please call again later. Goodbye."))
    answer.hang_up()
    return answer


VOICES: Mapping[str, Voice] = {
    "sorry": lambda asked, about, now: sorry(),
    **desk.VOICES,
    **desk_talk.VOICES,
    **menu.VOICES,
}
"""By the word in the path. `sorry` is the fallback of every other document."""


class TwilioDoor(SignedDoor):
    """Checks and stores; what is answered is the matter of the two below."""

    def taken(self, request: Request, about: UUID | None) -> bytes | HttpResponse:
        """The signed body, in the inbox by now; or the answer that refuses it."""
        raw = request._request
        body = self.body_of(request)
        if body is None or len(body) > LARGEST_FORM:
            return TOO_LARGE.response()
        query = raw.META.get("QUERY_STRING", "")
        path = raw.path + (f"?{query}" if query else "")
        now = timezone.now()
        arrived = Arrived(
            url=settings.PUBLIC_BASE_URL + path,
            body=body,
            content_type=raw.META.get("CONTENT_TYPE", ""),
            signature=raw.headers.get(HEADER, ""),
            settings=raw.headers.get(SETTINGS_HEADER, ""),
        )
        try:
            _of_our_account(verify(arrived, tokens=settings.TWILIO_AUTH_TOKENS, shared_keys=shared_keys()))
        except BadSignature as refusal:
            count_refusal(CONTRACT, now=now)
            log.info("a request of Twilio's was refused", why=str(refusal), path=raw.path)
            return Answer(403, {"detail": str(refusal), "code": refusal.cause_code}).response()
        token = raw.headers.get(TOKEN_HEADER, "")[:100]
        try:
            store_webhook(
                body,
                signature=arrived.signature,
                contract=CONTRACT,
                now=now,
                signed=b"\0".join((token.encode(), path.encode(), body)),
                call_uuid=about,
            )
        except (NotStored, DatabaseError) as problem:
            log.warning("a request of Twilio's could not be kept; it will be sent again", why=str(problem))
            return SEND_AGAIN.response()
        return body


class TwilioStatus(TwilioDoor):
    """What Twilio tells: 204."""

    def post(self, request: Request, about: UUID | None = None) -> HttpResponse:
        taken = self.taken(request, about)
        return taken if isinstance(taken, HttpResponse) else HttpResponse(status=204)


class TwilioVoice(TwilioDoor):
    """What a leg shall do: TwiML, whatever happens, because somebody is on the line."""

    def post(self, request: Request, script: str, about: UUID | None = None) -> HttpResponse:
        taken = self.taken(request, None if script == menu.FIRST else about)
        if isinstance(taken, HttpResponse):
            return taken
        return HttpResponse(str(_answer(taken, script, about)), content_type=CONTENT_TYPE)


def _answer(body: bytes, script: str, about: UUID | None) -> Twiml:
    now = timezone.now()
    try:
        asked = read_callback(body)
        if (voice := VOICES.get(script)) is not None:
            return voice(asked, about, now)
        log.warning("Twilio asks for what this release does not say", script=script)
    except Unreadable as problem:
        log.warning("Twilio's question cannot be read", why=str(problem))
    except Exception:
        log.exception("Twilio's question could not be answered", script=script)
    return sorry()


def _of_our_account(form: Form) -> None:
    """Raises BadSignature. What comes as JSON names no account in a place that was signed as such."""
    if form and form.first("AccountSid") != settings.TWILIO_ACCOUNT_SID:
        raise BadSignature("This is about another account.", cause_code="wrong")


def shared_keys() -> dict[str, str]:
    """By its id, as `X-Twilio-Webhooks-Signature-Settings` names it."""
    pairs = (key.partition(":") for key in settings.TWILIO_SHARED_KEYS)
    return {name: secret for name, _colon, secret in pairs if name and secret}
