"""What Twilio signed, told from what it did not, with the official package's validator, and closed where that
is not.

`X-Twilio-Signature` is over the address that Twilio asked for: PUBLIC_BASE_URL, path and query as they came,
whatever a proxy makes of host and scheme. A form's fields are part of it; of anything else the SHA-256 in
`bodySHA256` of the query is, and must be there. Signed with the account's token (HMAC-SHA1) or, where
`X-Twilio-Webhooks-Signature-Settings` names one of our shared keys, with that (HMAC-SHA256). There is no time
in it, so whoever recorded a request can send it again for ever.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, parse_qsl, urlsplit

from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator, get_signature_algorithm

from agents.providers.base import BadSignature

HEADER = "X-Twilio-Signature"
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"
TOKEN_HEADER = "I-Twilio-Idempotency-Token"  # noqa: S105  its name
FORM = "application/x-www-form-urlencoded"
LONGEST_SETTINGS = 300
MOST_FIELDS = 1000
SHA1 = re.compile(r"[A-Za-z0-9+/]{27}=")
SHA256 = re.compile(r"[A-Za-z0-9+/]{43}=")


class Form(dict[str, list[str]]):
    """Decoded fields with all their values, the way the validator asks for them."""

    def getall(self, name: str) -> list[str]:
        return self[name]

    def first(self, name: str, default: str = "") -> str:
        return next(iter(self.get(name, ())), default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A request as it came. `url` without what a proxy changed: the address that Twilio was given."""

    url: str
    body: bytes
    content_type: str
    signature: str
    settings: str = ""
    """The header that names a shared key."""


def read_form(body: bytes) -> Form:
    """Empty values stay. Raises ValueError for what is no form in UTF-8."""
    form = Form()
    pairs = parse_qsl(
        body.decode(), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MOST_FIELDS
    )
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def verify(arrived: Arrived, *, tokens: Sequence[str], shared_keys: Mapping[str, str] | None = None) -> Form:
    """The form that was signed, empty for another body. Raises BadSignature: missing, malformed or wrong."""
    if not arrived.signature:
        raise BadSignature("The signature header is missing.", cause_code="missing")
    algorithm, secrets = _secrets(arrived.settings, tokens, shared_keys or {})
    shape = SHA1 if algorithm == HMAC_SHA1 else SHA256
    if shape.fullmatch(arrived.signature) is None:
        raise BadSignature("The signature header is not the Base64 of a digest.", cause_code="malformed")
    form = _signed_form(arrived)
    # Every secret is tried, so that the time taken does not tell which one fits.
    matches = [_fits(arrived, form, secret, algorithm) for secret in secrets if secret]
    if not any(matches):
        raise BadSignature(
            "The signature was made with another token, for another address or other fields.",
            cause_code="wrong",
        )
    return form


def _fits(arrived: Arrived, form: Form, secret: str, algorithm: str) -> bool:
    try:
        return bool(
            RequestValidator(secret).validate(arrived.url, form, arrived.signature, algorithm) is True
        )
    except (TypeError, ValueError, AttributeError):  # such as a port that is none
        return False


def _secrets(header: str, tokens: Sequence[str], shared_keys: Mapping[str, str]) -> tuple[str, list[str]]:
    """Without the header the token; with it only the key that it names, and only as that is used."""
    if not header:
        return HMAC_SHA1, list(tokens)
    if len(header) > LONGEST_SETTINGS or get_signature_algorithm(header) != HMAC_SHA256:
        raise BadSignature("The signature was made in a way that is not taken.", cause_code="malformed")
    named = [part.partition("=")[2].strip() for part in header.split(",") if part.strip().startswith("key=")]
    if len(named) != 1:
        raise BadSignature("The signature's settings name no key.", cause_code="malformed")
    return HMAC_SHA256, [secret for key, secret in shared_keys.items() if key == named[0]]


def _signed_form(arrived: Arrived) -> Form:
    """A form's fields; for any other body nothing, once its hash in the query was found to be its own."""
    kind = arrived.content_type.split(";")[0].strip().lower()
    hashes = parse_qs(urlsplit(arrived.url).query).get("bodySHA256", [])
    if kind == FORM and not hashes:
        try:
            return read_form(arrived.body)
        except ValueError as error:
            raise BadSignature("The form cannot be read.", cause_code="malformed") from error
    if not arrived.body and not hashes:
        return Form()
    own = hashlib.sha256(arrived.body).hexdigest()
    if len(hashes) != 1 or not hmac.compare_digest(own.encode(), hashes[0].lower().encode()):
        raise BadSignature("The body is not the one whose hash was signed.", cause_code="wrong")
    return Form()


def sign(url: str, form: Mapping[str, str], token: str) -> str:
    """The header that Twilio would send, for a request by its token."""
    signed = Form({name: [value] for name, value in form.items()})
    return str(RequestValidator(token).compute_signature(url.partition("#")[0], signed))
