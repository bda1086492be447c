"""What the answers of `../article.txt` mean: four status codes, `message` and `codes`, each with what to do.

Both stand at the top of the body, or in an object called `error`. The codes are not listed anywhere, so
they are read as words, like the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.providers import retell_reading as today
from agents.providers.base import Busy, ProviderError, RefusalScope, Refused, Unclear, Unreadable
from agents.providers.http import Answer
from agents.providers.retell_answers import (
    AGENT_WORDS,
    CALLEE_WORDS,
    CALLER_WORDS,
    DO_NOT_CALL_WORDS,
    LONGEST_MESSAGE,
    OUR_NUMBER_WORDS,
    PLACE_WORDS,
)

KEY = gettext_lazy("Retell does not accept the key: put the right one into RETELL_API_KEY and start again.")
CREDIT = gettext_lazy(
    "Retell says that there is no credit: add some in its dashboard. Calls wait, and go on by themselves."
)
TOO_MUCH = gettext_lazy(
    "Retell asks us to slow down: the call waits. If it happens often, lower CALLS_PER_SECOND or "
    "MAX_CONCURRENT_CALLS."
)
NO_SUCH_DOOR = gettext_lazy(
    "Retell has no such address, or no such AI agent: check RETELL_BASE_URL and the way in which this site "
    "speaks to Retell, or create the AI agent again on its page."
)
TO_DO: Mapping[str, Promise] = {
    "invalid_number": gettext_lazy("Correct the person's number: + and country code first, no other signs."),
    "geography": gettext_lazy(
        "Allow calls to that country with the telephone company, or do not call there."
    ),
    "not_allowed": gettext_lazy("This person may not be called."),
    "agent": gettext_lazy("Create the AI agent again on its page, or choose another."),
    "number": gettext_lazy(
        "Check that the number we call from belongs to the Retell account, or set another."
    ),
    "refused": gettext_lazy("Correct what it names, then ask for the call again."),
}


def refusal_of_call(answer: Answer) -> ProviderError:
    """400 speaks of this call, its AI agent or our number; anything unlisted leaves open whether it rang."""
    match answer.status:
        case 400 | 422:
            return _about_the_call(answer)
        case 404 | 405:
            return Refused(
                _with(NO_SUCH_DOOR, answer), scope=RefusalScope.AGENT, code="not_allowed", **_raw(answer)
            )
    return _about_the_account(answer)


def refusal_of_agent(answer: Answer) -> ProviderError:
    match answer.status:
        case 404 | 405:
            return Refused(_with(NO_SUCH_DOOR, answer), **_raw(answer))
        case 400 | 422:
            return Refused(_with(TO_DO["refused"], answer), **_raw(answer))
    return _about_the_account(answer)


def refusal_of_stop(answer: Answer) -> ProviderError:
    """Nothing is to be done about it by staff: the agent has finished its sentence by itself."""
    if answer.status in (400, 404, 405, 409, 422):
        return Refused(_said(answer) or _("Retell did not stop it."), **_raw(answer))
    return _about_the_account(answer)


def _about_the_account(answer: Answer) -> ProviderError:
    match answer.status:
        case 401:
            return Refused(
                _with(KEY, answer), scope=RefusalScope.ACCOUNT, code="authentication", **_raw(answer)
            )
        case 402 | 403:
            return Refused(_with(CREDIT, answer), scope=RefusalScope.ACCOUNT, code="billing", **_raw(answer))
        case 429:
            return Busy(_with(TOO_MUCH, answer), retry_after_s=answer.retry_after_s, **_raw(answer))
    return Unclear(
        _said(answer) or _("Retell answered with status %(status)d.") % {"status": answer.status},
        retry_after_s=answer.retry_after_s,
        **_raw(answer),
    )


def _about_the_call(answer: Answer) -> Refused:
    said = _words(answer)
    scope, code, to_do = RefusalScope.CALL, "refused", "refused"
    if DO_NOT_CALL_WORDS.search(said):
        code = to_do = "not_allowed"
    elif PLACE_WORDS.search(said):
        code = to_do = "geography"
    elif CALLEE_WORDS.search(said):
        if not CALLER_WORDS.search(said):
            code = to_do = "invalid_number"
    elif OUR_NUMBER_WORDS.search(said) and not _names_agent(said):
        scope, code, to_do = RefusalScope.NUMBER, "not_allowed", "number"
    elif _names_agent(said):
        scope, code, to_do = RefusalScope.AGENT, "not_allowed", "agent"
    return Refused(_with(TO_DO[to_do], answer), scope=scope, code=code, **_raw(answer))


def _names_agent(said: str) -> bool:
    return bool(AGENT_WORDS.search(said)) or "assistant" in said.lower()


def read_call_id(body: bytes) -> str:
    """'' when it cannot be read: accepted all the same."""
    try:
        given = today.read_object(body).get("call_id")
    except Unreadable:
        return ""
    return given if isinstance(given, str) and len(given) <= today.LONGEST_ID else ""


def read_status(body: bytes) -> str:
    """`status`, or `call_status` as today's API spells it; '' without either."""
    try:
        found = today.read_object(body)
    except Unreadable:
        return ""
    given = found.get("status") or found.get("call_status")
    return given[: today.LONGEST_STATUS] if isinstance(given, str) else ""


def read_assistant_id(answer: Answer) -> str:
    """Raises Unclear: it may have been made, and nobody knows under which id."""
    try:
        given = today.read_object(answer.body).get("assistant_id")
    except Unreadable:
        given = None
    if not isinstance(given, str) or not 0 < len(given) <= today.LONGEST_ID:
        raise Unclear(_("Retell's answer names no AI agent; look in its dashboard."), **_raw(answer))
    return given


def _raw(answer: Answer) -> dict[str, Any]:
    return {"http_status": answer.status, "body": answer.body}


def _with(sentence: Promise, answer: Answer) -> str:
    said = _said(answer)
    return f"{sentence} {said}" if said else str(sentence)


def _said(answer: Answer) -> str:
    message, codes = _error(answer)
    if codes:
        message = f"{message} ({', '.join(codes)})" if message else ", ".join(codes)
    return _("Retell says: %(message)s") % {"message": message[:LONGEST_MESSAGE]} if message else ""


def _words(answer: Answer) -> str:
    message, codes = _error(answer)
    return " ".join([message, *codes])


def _error(answer: Answer) -> tuple[str, list[str]]:
    """Its message and its codes, from either place."""
    try:
        found = today.read_object(answer.body)
    except Unreadable:
        return "", []
    inner = found.get("error")
    places = [inner if isinstance(inner, dict) else {}, found]
    message = next((place["message"] for place in places if isinstance(place.get("message"), str)), "")
    if not message and isinstance(inner, str):
        message = inner
    codes: Any = next((place["codes"] for place in places if place.get("codes")), [])
    listed = codes if isinstance(codes, list) else [codes]
    return message, [str(code)[:60] for code in listed[:5] if isinstance(code, str | int)]
