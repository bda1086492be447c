"""What Retell's answers mean: documented status codes, and the error texts that stand in for codes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from agents.providers import retell_reading as reading
from agents.providers.base import (
    Busy,
    NotFound,
    RefusalScope,
    Refused,
    Report,
    Unclear,
    Unreadable,
)
from agents.providers.http import Answer

LONGEST_MESSAGE = 250
CALLEE_WORDS = re.compile(r"\bto[_ ]number|destination|callee|number to call|contact", re.IGNORECASE)
CALLER_WORDS = re.compile(
    r"\bfrom[_ ]number|caller id|agent|suspended|requested asset|outbound", re.IGNORECASE
)
OUR_NUMBER_WORDS = re.compile(r"\bfrom[_ ]number|caller id|outbound", re.IGNORECASE)
AGENT_WORDS = re.compile(r"agent|suspended", re.IGNORECASE)
PLACE_WORDS = re.compile(r"geo[ _-]?permission|international|countr(?:y|ies)\b(?! code)", re.IGNORECASE)
"""Where we may not call: the person's number is fine."""
DO_NOT_CALL_WORDS = re.compile(r"do[_ -]not[_ -]call|\bdnc\b", re.IGNORECASE)


def failure(answer: Answer, *, missing: tuple[int, ...] = (404,)) -> NotFound | Busy | Refused | Unclear:
    said = _message(answer)
    known: dict[str, Any] = {"http_status": answer.status, "body": answer.body}
    if answer.status in missing:
        return NotFound(said, **known)
    match answer.status:
        case 429:
            return Busy(said, retry_after_s=answer.retry_after_s, **known)
        case 401:
            return Refused(said, scope=RefusalScope.ACCOUNT, code="authentication", **known)
        case 402 | 403:
            return Refused(said, scope=RefusalScope.ACCOUNT, code="billing", **known)
        case status if 400 <= status < 500 and status not in {408, 409}:
            return Refused(said, **known)
    return unclear(answer)


def unclear(answer: Answer) -> Unclear:
    return Unclear(
        _message(answer),
        http_status=answer.status,
        body=answer.body,
        retry_after_s=answer.retry_after_s,
    )


def refused_call(answer: Answer) -> Refused:
    """There is no code in Retell's errors, so the words decide; what they leave open is this call's."""
    said = _said(answer)
    scope, code = RefusalScope.CALL, "refused"
    if DO_NOT_CALL_WORDS.search(said):
        code = "not_allowed"
    elif PLACE_WORDS.search(said):
        code = "geography"
    elif CALLEE_WORDS.search(said):
        code = "refused" if CALLER_WORDS.search(said) else "invalid_number"
    elif CALLER_WORDS.search(said):
        ours = OUR_NUMBER_WORDS.search(said) and not AGENT_WORDS.search(said)
        scope, code = RefusalScope.NUMBER if ours else RefusalScope.AGENT, "not_allowed"
    return Refused(_message(answer), scope=scope, code=code, http_status=answer.status, body=answer.body)


def _message(answer: Answer) -> str:
    if said := _said(answer):
        return _("Retell says: %(message)s") % {"message": said[:LONGEST_MESSAGE]}
    return _("Retell answered with status %(status)d.") % {"status": answer.status}


def _said(answer: Answer) -> str:
    try:
        said = reading.read_object(answer.body).get("message")
    except Unreadable:
        return ""
    return said if isinstance(said, str) else ""


def read_answer(answer: Answer) -> dict[str, Any]:
    try:
        return reading.read_object(answer.body)
    except Unreadable as error:
        raise Unclear(
            _("Retell's answer cannot be read."), http_status=answer.status, body=answer.body
        ) from error


def for_another_contract() -> Refused:
    """A request is written down once: after RETELL_CONTRACT was changed it must not go out as it is."""
    return Refused(
        _(
            "This call was prepared when this site spoke to Retell in another way, and was not sent. "
            "Ask for it anew."
        )
    )


def read_list(answer: Answer) -> dict[str, Any]:
    listed = read_answer(answer)
    if not isinstance(listed.get("items"), list) or not all(isinstance(i, dict) for i in listed["items"]):
        raise Unclear(_("Retell's answer is no list."), http_status=answer.status, body=answer.body)
    return listed


def report(body: bytes) -> Report:
    try:
        return Report(body=body, facts=reading.read_fetched(reading.read_object(body)))
    except Unreadable as error:
        raise Unclear(_("Retell's answer is no call."), body=body) from error


def report_item(item: Mapping[str, Any]) -> Report:
    """An item's own bytes: the page's would make one fact of a hundred calls."""
    return report(encode(item))


def read_call_id(body: bytes) -> str:
    try:
        given = reading.read_object(body).get("call_id")
    except Unreadable:
        return ""
    return given if isinstance(given, str) else ""


def encode(body: Mapping[str, Any]) -> bytes:
    """The same object gives the same bytes; escaped, since a name may hold half a surrogate pair."""
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
