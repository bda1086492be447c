"""What Twilio's answers mean: its error codes as our errors, each with a sentence on what to do.

Both error bodies are read, `{"code", "message", "status"}` and RFC 9457 (`code`, `title`, `detail`,
`errors`), and neither is needed: a proxy's page in HTML is an answer too. Codes as in
twilio.com/docs/api/errors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents.providers.base import Busy, NotFound, RefusalScope, Refused, Unclear
from agents.providers.http import Answer

LONGEST_MESSAGE = 250
NOT_IN_PROGRESS = 21220
RATE = frozenset({20429, 10004, 16021})
"""Never processed: too many requests at once, too many calls at once, a full conference."""
MISSING = 20404


class Over(Refused):
    """The call is not, or no longer, in progress: whoever hung up was faster."""


@dataclass(frozen=True, slots=True)
class Meaning:
    scope: RefusalScope
    code: str
    todo: Promise


_ACCOUNT, _NUMBER, _CALL = RefusalScope.ACCOUNT, RefusalScope.NUMBER, RefusalScope.CALL
MEANINGS: Mapping[int, Meaning] = {
    20003: Meaning(
        _ACCOUNT,
        "authentication",
        gettext_lazy(
            "Twilio does not accept the account or its token: compare TWILIO_ACCOUNT_SID and "
            "TWILIO_AUTH_TOKEN "
            "with the console, and look whether the account is suspended."
        ),
    ),
    20008: Meaning(
        _ACCOUNT,
        "authentication",
        gettext_lazy("These are Twilio's test credentials: use those of the live account."),
    ),
    20005: Meaning(
        _ACCOUNT, "billing", gettext_lazy("The Twilio account is not active: open its console to see why.")
    ),
    10001: Meaning(
        _ACCOUNT, "billing", gettext_lazy("The Twilio account is not active: open its console to see why.")
    ),
    20403: Meaning(
        _ACCOUNT,
        "billing",
        gettext_lazy(
            "The Twilio account is suspended or closed: look at its billing, or ask Twilio's support."
        ),
    ),
    70051: Meaning(
        _ACCOUNT,
        "not_allowed",
        gettext_lazy(
            "The credentials may not do this: use the account's own token instead of a restricted key."
        ),
    ),
    10002: Meaning(_ACCOUNT, "not_allowed", gettext_lazy("A trial account may not do this: upgrade it.")),
    10005: Meaning(
        _ACCOUNT,
        "not_allowed",
        gettext_lazy("Calls are switched off for the Twilio account: ask its support."),
    ),
    21210: Meaning(
        _NUMBER,
        "not_allowed",
        gettext_lazy(
            "The number to call from is not in the Twilio account: choose one of its numbers, or verify "
            "this one."
        ),
    ),
    21212: Meaning(_NUMBER, "not_allowed", gettext_lazy("The number to call from is none: correct it.")),
    573002: Meaning(
        _NUMBER,
        "not_allowed",
        gettext_lazy(
            "A trial account may call this person only from the number Twilio assigned: upgrade it."
        ),
    ),
    21211: Meaning(_CALL, "invalid_number", gettext_lazy("The number called is none: correct it.")),
    21214: Meaning(_CALL, "invalid_number", gettext_lazy("The number called cannot be reached: check it.")),
    21217: Meaning(
        _CALL, "invalid_number", gettext_lazy("The number called does not seem to be valid: check it.")
    ),
    13224: Meaning(
        _CALL, "invalid_number", gettext_lazy("The number called is none, or its network is out of reach.")
    ),
    21215: Meaning(
        _CALL,
        "geography",
        gettext_lazy(
            "The Twilio account may not call this country: allow it in the console under Voice, Geo "
            "permissions."
        ),
    ),
    13227: Meaning(
        _CALL,
        "geography",
        gettext_lazy(
            "The Twilio account may not call this country: allow it in the console under Voice, Geo "
            "permissions."
        ),
    ),
    21216: Meaning(
        _CALL,
        "not_allowed",
        gettext_lazy(
            "Twilio blocks calls to this number. For +1 numbers the account needs an approved business "
            "profile; "
            "otherwise ask its support."
        ),
    ),
    13225: Meaning(
        _CALL, "not_allowed", gettext_lazy("Twilio blocks calls to this number: ask its support.")
    ),
    21219: Meaning(
        _CALL,
        "not_allowed",
        gettext_lazy(
            "A trial account may only call numbers verified in its console: verify this one, or upgrade."
        ),
    ),
    573005: Meaning(
        _CALL,
        "not_allowed",
        gettext_lazy(
            "A trial account may only call numbers verified in its console: finish that, or upgrade."
        ),
    ),
    21205: Meaning(
        _CALL, "refused", gettext_lazy("Twilio cannot use the address we gave it: look at PUBLIC_BASE_URL.")
    ),
    21201: Meaning(_CALL, "invalid_number", gettext_lazy("No number to call was given.")),
}
BY_STATUS: Mapping[int, Meaning] = {
    401: MEANINGS[20003],
    402: MEANINGS[20403],
    403: Meaning(
        _ACCOUNT,
        "not_allowed",
        gettext_lazy("Twilio does not allow this: look at the account in its console."),
    ),
}


@dataclass(frozen=True, slots=True)
class Said:
    """An error body, whichever of the two it is. `code` None: it names none."""

    code: int | None
    message: str


def read_error(body: bytes) -> Said:
    """Raises nothing: what is no error body says nothing."""
    try:
        found = json.loads(body)
    except ValueError:
        return Said(None, "")
    if not isinstance(found, dict):
        return Said(None, "")
    code = found.get("code")
    said = found.get("message") or found.get("detail") or found.get("title") or ""
    details = [
        str(item["detail"])
        for item in found.get("errors") or []
        if isinstance(item, dict) and isinstance(item.get("detail"), str)
    ]
    number = int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdecimal()) else None
    return Said(number, " ".join([str(said), *details]).strip())


def failure(answer: Answer) -> NotFound | Busy | Refused | Unclear:
    """Any answer but a 2xx."""
    said = read_error(answer.body)
    known: dict[str, Any] = {"http_status": answer.status, "body": answer.body}
    if answer.status == 404 or said.code == MISSING:
        return NotFound(_sentence(answer, said, _("Twilio has no such thing in this account.")), **known)
    if answer.status == 429 or said.code in RATE:
        told = _sentence(
            answer, said, _("Twilio takes no more at this moment; it can be tried again shortly.")
        )
        return Busy(told, retry_after_s=answer.retry_after_s, **known)
    if said.code == NOT_IN_PROGRESS:
        return Over(_sentence(answer, said, _("The call is over already.")), code="over", **known)
    if not 400 <= answer.status < 500 or answer.status in {408, 409}:
        told = _sentence(answer, said, _("Twilio gave no clear answer: whether it was done is not known."))
        return Unclear(told, retry_after_s=answer.retry_after_s, **known)
    meaning = MEANINGS.get(said.code or 0) or BY_STATUS.get(answer.status)
    if meaning is None:
        return Refused(_sentence(answer, said, _("Twilio refused it.")), **known)
    return Refused(
        _sentence(answer, said, str(meaning.todo)), scope=meaning.scope, code=meaning.code, **known
    )


def _sentence(answer: Answer, said: Said, todo: str) -> str:
    if not said.message:
        return f"{todo} " + _("(Twilio answered with status %(status)d.)") % {"status": answer.status}
    if said.code is None:
        return f"{todo} " + _("(Twilio says: %(message)s)") % {"message": said.message[:LONGEST_MESSAGE]}
    return f"{todo} " + _("(Twilio's error %(code)d: %(message)s)") % {
        "code": said.code,
        "message": said.message[:LONGEST_MESSAGE],
    }


def read_object(answer: Answer) -> dict[str, Any]:
    """The body of a 2xx. Raises Unclear."""
    try:
        found = json.loads(answer.body)
    except ValueError as error:
        raise Unclear(
            _("Twilio's answer cannot be read."), http_status=answer.status, body=answer.body
        ) from error
    if not isinstance(found, dict):
        raise Unclear(_("Twilio's answer cannot be read."), http_status=answer.status, body=answer.body)
    return found
