"""The inbox: what a provider told us or answered, as bytes, once."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef

from agents.providers.base import Report
from calls.call_id import made_at_ms
from calls.lifecycle import inbox
from calls.models import WebhookEvent
from calls.models.webhook_event import EventSource, EventState

OUR_ID = re.compile(rb'"call_uuid"\s*:\s*"([0-9a-fA-F-]{36})"')


def event_key(source: str, contract: str, body: bytes, about: UUID | None = None) -> str:
    """64 hexadecimal digits, of the same bytes always the same: when the call was made that they are about
    (ms, 12 digits; zeros if they do not tell), then 52 of sha256 over source, contract and body.

    `about`: that call, where the address that was signed with the body names it.

    The time keeps events of these minutes beside each other in the index by which a repeat is known. Chance
    alone would have each of them read, and log, a page of its own.
    """
    told = about or _our_id(body)
    digest = hashlib.sha256(source.encode() + b"\0" + contract.encode() + b"\0" + body).hexdigest()
    return f"{(told and made_at_ms(told)) or 0:012x}{digest[:52]}"


def _our_id(body: bytes) -> UUID | None:
    """Not read as JSON: this is before the row is stored, and only for where in the index it lies."""
    found = OUR_ID.search(body)
    try:
        return UUID(found[1].decode()) if found else None
    except ValueError:
        return None


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
    source = EventSource.WEBHOOK.value
    _store(
        body,
        key=event_key(source, contract, body if signed is None else signed, call_uuid),
        source=source,
        contract=contract,
        signature=signature[:300],
        now=now,
        call_uuid=call_uuid,
    )


def store_lookup(
    report: Report, *, now: datetime, contract: str = "current", call_uuid: UUID | None = None
) -> str:
    """What a look-up answered is a fact like any other, so a call can be derived again without asking.

    `call_uuid`: the call it was looked up for, which counts where the facts themselves name none. Returns
    the fact's key.
    """
    source = EventSource.LOOKUP.value
    return _store(
        report.body,
        key=event_key(source, contract, report.body),
        source=source,
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
    key: str,
    source: str,
    contract: str,
    signature: str,
    now: datetime,
    provider_call_id: str = "",
    name: str = "",
    call_uuid: UUID | None = None,
) -> str:
    event = inbox.Arrived(
        key=key,
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
        _is_the_newest(key, provider_call_id, now=now)
    return key


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
