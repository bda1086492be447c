"""The part of a number's way that is Twilio's: account, number, trunk, credentials, addresses, countries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.conf import settings
from django.utils.translation import gettext as _

from agents.providers.base import NotFound, NumberProfile, ProviderError, RefusalScope, Refused
from agents.providers.twilio.resources import Number, Trunk
from agents.providers.twilio.rest import Twilio
from agents.providers.twilio.trunk import Trunking, leads_to_retell, same_trunk, sip_host
from agents.readiness import Check, Level

GIVE_UP_S = 10.0


def line(code: str, level: Level, sentence: str, what_to_do: str = "") -> Check:
    return Check(code=code, level=level, sentence=sentence, what_to_do=what_to_do)


def lines_at_twilio(number: str, profile: NumberProfile | None, *, countries: Sequence[str]) -> list[Check]:
    """`profile`: as Retell has the number; None when it has it not, or could not be asked."""
    if profile is not None and not profile.trunk_domain:
        return [line("termination", Level.GREEN, _("It was bought at Retell: no trunk of ours is needed."))]
    if not settings.TWILIO_ACCOUNT_SID or not settings.TWILIO_AUTH_TOKENS:
        return [
            line(
                "account",
                Level.AMBER,
                _("Twilio is not asked: TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set."),
                _("An administrator sets them."),
            )
        ]
    twilio = Twilio.from_settings(ask_deadline_s=GIVE_UP_S)
    found: list[Check] = []
    try:
        for check in _lines(twilio, number, profile, countries):
            found.append(check)
    except ProviderError as error:
        found.append(_unanswered(error))
    finally:
        twilio.close()
    return found


def _lines(
    twilio: Twilio, number: str, profile: NumberProfile | None, countries: Sequence[str]
) -> Iterator[Check]:
    yield _account(twilio)
    ours = next(iter(twilio.numbers(number)), None)
    yield _at_twilio(ours)
    trunks = Trunking(twilio)
    known = trunks.trunks()
    used = None
    if profile is not None:
        used = next((each for each in known if same_trunk(each.domain, profile.trunk_domain)), None)
        yield _termination(used, profile)
    here = next((each for each in known if ours is not None and each.sid == ours.trunk_sid), None)
    if ours is not None:
        yield _attached(ours, here, used)
    if used is not None and profile is not None:
        yield _credentials(trunks, used, profile)
    if here is not None:
        yield _origination(trunks, here)
        yield _transfers(here)
    yield _geo(twilio, countries)


def _unanswered(error: ProviderError) -> Check:
    if isinstance(error, Refused) and error.scope == RefusalScope.ACCOUNT:
        return line(
            "account",
            Level.RED,
            _("Twilio refuses us: %(why)s") % {"why": error.message},
            _("Check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, and start everything anew."),
        )
    return line(
        "account",
        Level.AMBER,
        _("Not known: Twilio could not be asked. %(why)s") % {"why": error.message},
        _("Look again later."),
    )


def _account(twilio: Twilio) -> Check:
    account = twilio.account()
    if account.status != "active":
        return line(
            "account",
            Level.RED,
            _("It is %(status)s: no call passes.") % {"status": account.status},
            _("Put it in order in Twilio's console."),
        )
    if account.kind == "Trial":
        return line(
            "account",
            Level.AMBER,
            _("It is a trial: only telephones verified there can be called, four at once."),
            _("Upgrade it in Twilio's console."),
        )
    return line("account", Level.GREEN, _("It is active."))


def _at_twilio(ours: Number | None) -> Check:
    if ours is None:
        return line(
            "at_twilio",
            Level.RED,
            _("The account does not have it: no trunk takes calls from it."),
            _("Check TWILIO_ACCOUNT_SID, or whether the number was released."),
        )
    if not ours.voice:
        return line("at_twilio", Level.RED, _("It cannot be used for calls."), _("Choose another number."))
    return line("at_twilio", Level.GREEN, _("The account has it."))


def _termination(used: Trunk | None, profile: NumberProfile) -> Check:
    if used is None:
        return line(
            "termination",
            Level.RED,
            _("To %(domain)s, which is no trunk of the account: they reach nobody.")
            % {"domain": profile.trunk_domain},
            _("Repeat the step “Retell gets the number”, or set the termination URI there."),
        )
    if used.secure:
        return line(
            "termination",
            Level.AMBER,
            _("To %(domain)s, which takes encrypted calls only.") % {"domain": used.domain},
            _("Use TLS for this number at Retell, or switch secure trunking off."),
        )
    return line("termination", Level.GREEN, _("To the trunk %(domain)s.") % {"domain": used.domain})


def _attached(ours: Number, here: Trunk | None, used: Trunk | None) -> Check:
    if not ours.trunk_sid:
        return line(
            "attached",
            Level.RED,
            _("It is on no trunk: whoever rings it reaches %(address)s, not Retell.")
            % {"address": ours.voice_url or _("nobody")},
            _("Repeat the step “The number goes onto the trunk”."),
        )
    if used is not None and (here is None or here.sid != used.sid):
        return line(
            "attached",
            Level.RED,
            _("It is on the trunk %(here)s, and Retell calls over %(used)s.")
            % {"here": here.domain if here is not None else ours.trunk_sid, "used": used.domain},
            _("Put it onto the trunk that Retell uses, or give Retell the address of the other."),
        )
    return line("attached", Level.GREEN, _("It is on it."))


def _credentials(trunks: Trunking, used: Trunk, profile: NumberProfile) -> Check:
    again = _("Repeat the step “Credentials, and the way to Retell”.")
    if not used.auth:
        return line(
            "credentials",
            Level.RED,
            _("Neither credentials nor a list of addresses are on the trunk: it takes no call."),
            again,
        )
    if not used.asks_password:
        return line(
            "credentials",
            Level.AMBER,
            _("It lets Retell in by address: any of Retell's customers who knows it could call over it."),
            _("Better credentials: but then every number on the trunk needs them."),
        )
    users = {user.username for each in trunks.lists_of(used.sid) for user in trunks.credentials(each.sid)}
    if profile.trunk_username not in users:
        told = (
            _("The trunk does not know the user “%(name)s” that Retell signs in with.")
            if profile.trunk_username
            else _("Retell signs in without a user name, and the trunk asks for one.")
        )
        return line("credentials", Level.RED, told % {"name": profile.trunk_username}, again)
    if used.asks_address:
        return line(
            "credentials",
            Level.AMBER,
            _("The user is known, and a list of addresses is asked too: Retell's must all be on it."),
            _("Take that list off the trunk: the credentials are enough."),
        )
    return line("credentials", Level.GREEN, _("The trunk knows the user that Retell signs in with."))


def _origination(trunks: Trunking, here: Trunk) -> Check:
    again = _("Repeat the step “Credentials, and the way to Retell”.")
    on = [each for each in trunks.origination_urls(here.sid) if each.enabled]
    if not on:
        return line(
            "origination",
            Level.RED,
            _("Nowhere: no origination URL is switched on, and whoever rings is cut off."),
            again,
        )
    others = [each for each in on if not leads_to_retell(each)]
    shown = ", ".join(sip_host(each.sip_url) for each in others)
    if len(others) == len(on):
        return line("origination", Level.RED, _("To %(hosts)s, and not to Retell.") % {"hosts": shown}, again)
    if others:
        return line(
            "origination",
            Level.AMBER,
            _("To Retell, and to %(hosts)s as well: some calls go there.") % {"hosts": shown},
            _("Take away what is not Retell's in Twilio's console."),
        )
    return line("origination", Level.GREEN, _("To Retell."))


def _transfers(here: Trunk) -> Check:
    if here.hands_on:
        return line("transfers", Level.GREEN, _("An AI agent can hand a caller on."))
    return line(
        "transfers",
        Level.AMBER,
        _("The trunk refuses them: an AI agent cannot hand a caller on."),
        _("If it should: enable call transfer, with PSTN transfer, for the trunk in Twilio's console."),
    )


def _geo(twilio: Twilio, countries: Sequence[str]) -> Check:
    closed = []
    for country in countries:
        try:
            if not twilio.may_call(country):
                closed.append(country)
        except NotFound:
            continue
    if closed:
        return line(
            "geo",
            Level.RED,
            _("The account may not call %(countries)s: such calls are refused.")
            % {"countries": ", ".join(closed)},
            _("Allow it in Twilio's console under Voice, Geo permissions."),
        )
    return line(
        "geo", Level.GREEN, _("The account may call %(countries)s.") % {"countries": ", ".join(countries)}
    )
