"""The webhook signature of `../article.txt`: bare hex HMAC-SHA256 under RETELL_WEBHOOK_SECRET.

Over the raw body; or, as the text itself checks it, over the body written anew without white space between
its parts, which is accepted only for a body that differs from that in white space alone. There is no time
in it, so whoever recorded a request can send it again for ever: see `Provider.stops_replays`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable

from agents.providers.base import BadSignature

HEADER = "x-retell-signature"
FORM = re.compile(r"[0-9a-f]{64}")
LONGEST_REWRITTEN = 512 * 1024
"""Larger bodies are checked as they came: rewriting one costs a stranger nothing, and us time."""
# A string is passed over whole, closed or not, so that the search never goes back.
PARTS = re.compile(rb'("(?:[^"\\]|\\.)*"?)|[ \t\r\n]+', re.DOTALL)


def digest(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify(body: bytes, signature: str | None, *, secrets: Iterable[str]) -> bytes:
    """What was signed, by which a repeat is known, however it is spaced. Raises BadSignature."""
    if not signature:
        raise BadSignature("The signature header is missing.", cause_code="missing")
    if FORM.fullmatch(signature) is None:
        raise BadSignature("The signature header is not 64 hex digits.", cause_code="malformed")
    rewritten = without_white_space(body) if len(body) <= LONGEST_REWRITTEN else body
    keys = [secret for secret in secrets if secret]
    if _fits(body, signature, keys):
        return rewritten if rewritten == body or _is_json(body) else body
    if rewritten != body and _fits(rewritten, signature, keys) and _is_json(body):
        return rewritten
    raise BadSignature("The signature was made with another secret or body.", cause_code="wrong")


def _fits(body: bytes, signature: str, keys: Iterable[str]) -> bool:
    """Every secret is tried, so that the time taken does not tell which one fits."""
    matches = [hmac.compare_digest(digest(body, key), signature) for key in keys]
    return any(matches)


def without_white_space(body: bytes) -> bytes:
    """The same JSON with nothing between its parts; strings, numbers and order stay as they are."""
    return PARTS.sub(lambda part: part[1] or b"", body)


def _is_json(body: bytes) -> bool:
    """Without this, white space inside a number would make another number of it."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
