"""Retell's webhook signature, as its own library computes it (retell-sdk 6.2.13, lib/webhook_auth.py).

`x-retell-signature: v=<unix ms>,d=<64 lower-case hex>`: HMAC-SHA256 keyed with the API key that has
the webhook badge, over the raw body followed at once by the decimal timestamp.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from agents.providers.base import BadSignature

HEADER = "x-retell-signature"
FRESH_MS = 300_000
FORM = re.compile(r"v=(\d+),d=([0-9a-f]{64})")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ms(moment: datetime) -> int:
    """Unix milliseconds, exactly: a float of seconds is off by one now and then."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def digest(body: bytes, key: str, stamp_ms: int) -> str:
    return hmac.new(key.encode(), body + str(stamp_ms).encode(), hashlib.sha256).hexdigest()


def sign(body: bytes, key: str, *, now: datetime) -> str:
    """The header that Retell would send with `body` at `now`."""
    stamp_ms = to_ms(now)
    return f"v={stamp_ms},d={digest(body, key, stamp_ms)}"


def verify(body: bytes, signature: str | None, *, keys: Iterable[str], now: datetime) -> None:
    """Raises BadSignature. Every key is tried, so that the time taken does not tell which one fits."""
    if not signature:
        raise BadSignature("The signature header is missing.", cause_code="missing")
    stamp_ms, given = _parse(signature)
    if abs(to_ms(now) - stamp_ms) > FRESH_MS:
        raise BadSignature("The signature is more than five minutes old or ahead.", cause_code="stale")
    matches = [hmac.compare_digest(digest(body, key, stamp_ms), given) for key in keys]
    if not any(matches):
        raise BadSignature("The signature was made with another key or body.", cause_code="wrong")


def _parse(signature: str) -> tuple[int, str]:
    found = FORM.fullmatch(signature)
    if found is None:
        raise BadSignature("The signature header is not v=<ms>,d=<hex>.", cause_code="malformed")
    try:
        return int(found[1]), found[2]
    except ValueError as error:  # more digits than Python converts
        raise BadSignature("The signature's time is no time.", cause_code="malformed") from error
