"""Are the numbers that we call from known at Twilio too, and does its account work?"""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from agents import phone
from agents.models import PhoneNumber
from agents.providers.base import ProviderError, RefusalScope, Refused
from agents.providers.twilio.rest import Twilio
from agents.readiness import Check, Level
from callcenter.checks import calls_the_sandbox
from callcenter.connections import hand_back

CODE = "twilio"
GIVE_UP_S = 10.0
TRUNK = ".pstn.twilio.com"
"""What a line ends with whose numbers reach Retell over a trunk of ours."""
SHOWN = 5


def at_twilio() -> Check | None:
    """None where there is no account to ask, or only a sandbox that does not speak for Twilio."""
    if not settings.TWILIO_ACCOUNT_SID or not settings.TWILIO_AUTH_TOKENS:
        return None
    if calls_the_sandbox() and not settings.TWILIO_BASE_URL:
        return None
    ours = _ours()
    hand_back()
    twilio = Twilio.from_settings(ask_deadline_s=GIVE_UP_S)
    try:
        account = twilio.account()
        theirs = {each.number: each for each in twilio.numbers()}
        known = {*theirs, *twilio.verified_numbers()}
    except ProviderError as error:
        return _failed(error)
    finally:
        twilio.close()
    if account.status in ("suspended", "closed"):
        return Check(
            code=CODE,
            level=Level.RED,
            sentence=_("Twilio's account is %(status)s.") % {"status": account.status},
            what_to_do=_("Put it in order in Twilio's console: nothing can be called over it."),
        )
    if missing := sorted(ours - known):
        return _warning(
            _("Twilio does not have %(numbers)s in this account.") % {"numbers": _some(missing)},
            _("Check TWILIO_ACCOUNT_SID, or whether the number was released or belongs to another account."),
        )
    if silent := sorted(number for number in ours if number in theirs and not theirs[number].voice):
        return _warning(
            _("Twilio does not let %(numbers)s make calls.") % {"numbers": _some(silent)},
            _("Choose numbers that can be used for voice."),
        )
    if account.kind == "Trial":
        return _warning(
            _("Twilio's account is a trial: it calls only numbers that were verified there."),
            _("Upgrade it in Twilio's console."),
        )
    return Check(
        code=CODE,
        level=Level.GREEN,
        sentence=_("Twilio has all %(count)d that should be there.") % {"count": len(ours)},
    )


def _ours() -> set[str]:
    """The numbers that are Twilio's: all under the article's contract, else those on a trunk."""
    usable = PhoneNumber.objects.usable()
    if settings.RETELL_CONTRACT != "article":
        return set(usable.filter(line__endswith=TRUNK).values_list("number", flat=True))
    return {*usable.values_list("number", flat=True), settings.TWILIO_FROM_NUMBER} - {""}


def _failed(error: ProviderError) -> Check:
    if isinstance(error, Refused) and error.scope == RefusalScope.ACCOUNT:
        return Check(
            code=CODE,
            level=Level.RED,
            sentence=_("Twilio refuses us: %(why)s") % {"why": error.message},
            what_to_do=_("Check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, and start everything anew."),
        )
    return _warning(
        _("Not known: Twilio could not be asked. %(why)s") % {"why": error.message},
        _("Look again later; if it lasts, check the way out of this network."),
    )


def _warning(sentence: str, what_to_do: str) -> Check:
    return Check(code=CODE, level=Level.AMBER, sentence=sentence, what_to_do=what_to_do)


def _some(numbers: list[str]) -> str:
    shown = ", ".join(phone.pretty(each) for each in numbers[:SHOWN])
    more = len(numbers) - SHOWN
    return _("%(names)s and %(more)d more") % {"names": shown, "more": more} if more > 0 else shown
