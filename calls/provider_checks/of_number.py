"""One number, looked at from end to end: which of the known failures keeps its calls from passing?

Asked of Retell and Twilio, and read from the newest calls here. A SIP password can be read nowhere: a wrong
one shows in a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents import phone, readiness
from agents.models import NumberSetup, PhoneNumber
from agents.providers.base import Fault, NotFound, NumberProfile, Provider, ProviderError
from agents.readiness import Check, Level
from callcenter.connections import hand_back
from calls.models import Call, Outcome
from calls.models.call_words import DESK_PROVIDER
from calls.provider_checks.of_trunk import line, lines_at_twilio

NUMBER_TITLES: Mapping[str, Any] = {
    "retell": gettext_lazy("The number at Retell"),
    "account": gettext_lazy("The Twilio account"),
    "at_twilio": gettext_lazy("The number at Twilio"),
    "termination": gettext_lazy("Where Retell sends its calls"),
    "attached": gettext_lazy("The number on the trunk"),
    "credentials": gettext_lazy("Signing in to the trunk"),
    "origination": gettext_lazy("Where the trunk sends calls in"),
    "transfers": gettext_lazy("Transfers"),
    "agents": gettext_lazy("Who answers"),
    "webhook": gettext_lazy("Who is asked when it rings"),
    "fallback": gettext_lazy("When nobody can answer"),
    "geo": gettext_lazy("Countries"),
    "last_out": gettext_lazy("The last call out"),
    "last_in": gettext_lazy("The last call in"),
}
ORDER = tuple(NUMBER_TITLES)
LATELY = timedelta(days=30)


def look_at_number(row: PhoneNumber, provider: Provider, *, now: datetime) -> list[Check]:
    """Every line, in their order. Seconds, outside any transaction; changes nothing."""
    out, inbound = _newest(row, now=now)
    needed = NumberSetup.objects.filter(number=row.number).exists()
    hand_back()
    profile, at_retell = _at_retell(row, provider)
    checks = [at_retell, _last_out(out), _last_in(inbound)]
    if profile is not None:
        checks += [_agents(profile), _webhook(profile, needed=needed), _fallback(profile, needed=needed)]
    checks += lines_at_twilio(row.number, profile, countries=_countries(row, out))
    return sorted(checks, key=lambda check: ORDER.index(check.code))


def _newest(row: PhoneNumber, *, now: datetime) -> tuple[Call | None, Call | None]:
    calls = Call.objects.filter(our_number=row.number, requested_at__gt=now - LATELY)
    calls = calls.exclude(provider=DESK_PROVIDER)
    ended = calls.outbound().exclude(sent_at=None).exclude(outcome="")
    return ended.order_by("-requested_at").first(), calls.inbound().order_by("-requested_at").first()


def _at_retell(row: PhoneNumber, provider: Provider) -> tuple[NumberProfile | None, Check]:
    try:
        profile = provider.fetch_number(row.number)
    except NotFound:
        return None, line(
            "retell",
            Level.RED,
            _("Retell does not have it: calls from it fail, calls to it reach nobody."),
            _("Repeat the step “Retell gets the number” of its set-up, or import it there and press Sync."),
        )
    except ProviderError as error:
        return None, line(
            "retell",
            Level.AMBER,
            _("Not known: Retell could not be asked. %(why)s") % {"why": error.message},
            _("Look again later."),
        )
    return profile, line("retell", Level.GREEN, _("Retell has it."))


def _agents(profile: NumberProfile) -> Check:
    if not profile.inbound_agent_ids:
        return line(
            "agents",
            Level.RED,
            _("No AI agent answers when it rings: whoever rings is cut off unless we name one in time."),
            _("Bind an inbound agent to it: repeat the step “Retell gets the number”, or do it there."),
        )
    return line("agents", Level.GREEN, _("An AI agent answers when it rings."))


def _webhook(profile: NumberProfile, *, needed: bool) -> Check:
    ours = readiness.our_inbound_webhook(settings.PUBLIC_BASE_URL)
    theirs = profile.inbound_webhook_url or ""
    if ours and readiness.same_address(theirs, ours):
        return line("webhook", Level.GREEN, _("We are asked who is calling."))
    told = (
        _("Somebody else is asked: %(address)s.") % {"address": theirs} if theirs else _("Nobody is asked.")
    )
    return line(
        "webhook",
        Level.RED if needed else Level.AMBER,
        _("%(who)s The AI agent does not know who is calling.") % {"who": told},
        _("Press “Fix…” beside it in the list of phone numbers."),
    )


def _fallback(profile: NumberProfile, *, needed: bool) -> Check:
    if profile.fallback_number:
        return line(
            "fallback",
            Level.GREEN,
            _("%(number)s is rung when Retell has no room.")
            % {"number": phone.pretty(profile.fallback_number)},
        )
    return line(
        "fallback",
        Level.RED if needed else Level.AMBER,
        _("When Retell has no room for a call, whoever rings is cut off."),
        _("Give it a number to fall back to, at Retell or in the step “Retell gets the number”."),
    )


def _countries(row: PhoneNumber, out: Call | None) -> list[str]:
    """The country of the last call that the trunk would not take first, then those we usually call."""
    refused = phone.country_of(out.counterpart) if out is not None and _denied(out) else ""
    found = dict.fromkeys([refused, phone.country_of(row.number), settings.DEFAULT_COUNTRY])
    return [country for country in found if country]


def _denied(call: Call) -> bool:
    return call.outcome == Outcome.FAILED and call.fault == Fault.NUMBER


def _last_out(call: Call | None) -> Check:
    if call is None:
        return line(
            "last_out",
            Level.AMBER,
            _("None in thirty days: whether the password fits, only a call tells."),
            _("Call your own telephone from an AI agent's page."),
        )
    when = _shown(call.requested_at)
    if _denied(call):
        return line(
            "last_out",
            Level.RED,
            _("%(when)s: the trunk would not take it (%(reason)s).")
            % {"when": when, "reason": call.disconnection_reason},
            _(
                "If the lines above are in order, it is the password: repeat the step “Credentials, and the "
                "way to Retell”, which makes a new one on both sides."
            ),
        )
    if call.fault == Fault.LINE:
        return line(
            "last_out",
            Level.RED,
            _("%(when)s: it did not get through to a trunk (%(reason)s).")
            % {"when": when, "reason": call.disconnection_reason},
            _(
                "Where Retell sends its calls may be wrong; Twilio may have an outage; or more calls went "
                "out in a second than the trunk takes (one, unless Twilio raised it)."
            ),
        )
    return line(
        "last_out",
        Level.GREEN,
        _("%(when)s: %(outcome)s.") % {"when": when, "outcome": call.get_outcome_display()},
    )


def _last_in(call: Call | None) -> Check:
    if call is None:
        return line(
            "last_in",
            Level.AMBER,
            _("None in thirty days: nobody knows whether one would reach us."),
            _("Ring it from your own telephone."),
        )
    when = _shown(call.requested_at)
    if call.answered_at is None:
        return line(
            "last_in",
            Level.AMBER,
            _("%(when)s: it reached us, and no AI agent answered.") % {"when": when},
            _("Look at its page for why, and at who answers above."),
        )
    return line("last_in", Level.GREEN, _("%(when)s: it was answered.") % {"when": when})


def _shown(moment: datetime) -> str:
    return date_format(timezone.localtime(moment), "j M, H:i T")
