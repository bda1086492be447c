"""The inbox: what a provider told us or answered, as bytes, once."""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef

from agents.providers.base import Report
from calls.lifecycle import inbox
from calls.models import WebhookEvent
from calls.models.webhook_event import EventSource, EventState


def event_key(source: str, contract: str, body: bytes) -> str:
    return hashlib.sha256(source.encode() + b"\0" + contract.encode() + b"\0" + body).hexdigest()


def store_webhook(
    body: bytes,
    *,
    signature: str,
    contract: str,
    now: datetime,
    signed: bytes | None = None,
    call_uuid: UUID | None = None,
) -> None:
    """One row, committed when this returns. A repeat collides with its key and changes nothing.

    `signed`: what the signature was made of, where that is not the body as it came; repeats are known by it.
    `call_uuid`: which of our calls it is about, where the address it came to says so.
    """
    _store(
        body,
        source=EventSource.WEBHOOK.value,
        contract=contract,
        signature=signature[:300],
        now=now,
        signed=signed,
        call_uuid=call_uuid,
    )


def store_lookup(
    report: Report, *, now: datetime, contract: str = "current", call_uuid: UUID | None = None
) -> str:
    """What a look-up answered is a fact like any other, so a call can be derived again without asking.

    `call_uuid`: the call it was looked up for, which counts where the facts themselves name none. Returns
    the fact's key.
    """
    return _store(
        report.body,
        source=EventSource.LOOKUP.value,
        contract=contract,
        signature="",
        now=now,
        provider_call_id=report.facts.provider_call_id,
        name="look-up",
        call_uuid=call_uuid,
    )


def _store(
    body: bytes,
    *,
    source: str,
    contract: str,
    signature: str,
    now: datetime,
    provider_call_id: str = "",
    name: str = "",
    call_uuid: UUID | None = None,
    signed: bytes | None = None,
) -> str:
    event = inbox.Arrived(
        key=event_key(source, contract, body if signed is None else signed),
        source=source,
        contract=contract,
        provider="twilio" if contract == "twilio" else "retell",
        body=body,
        signature=signature,
        received_at=now,
        next_try_at=now,
        provider_call_id=provider_call_id,
        name=name,
        call_uuid=call_uuid,
    )
    inbox.write(event)
    if source == EventSource.LOOKUP:
        _is_the_newest(event.key, provider_call_id, now=now)
    return event.key


def _is_the_newest(key: str, provider_call_id: str, *, now: datetime) -> None:
    """The same answer again is the newest answer again: of two look-ups that differ the later counts. Where
    another came between, it is read again, for the row has what that one said.
    """
    mine = WebhookEvent.objects.filter(key=key, received_at__lt=now)
    others = WebhookEvent.objects.filter(provider_call_id=provider_call_id, source=EventSource.LOOKUP)
    since = others.filter(received_at__gt=OuterRef("received_at"))
    mine.filter(Exists(since), applied_at__isnull=False).update(
        received_at=now, state=EventState.PENDING, next_try_at=now
    )
    mine.update(received_at=now)
