"""One look at everything: what the phone company says when asked, and what our own rows say of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Max
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents import phone, readiness
from agents.models import Agent, PhoneNumber
from agents.providers.abilities import Ability
from agents.providers.base import Provider, ProviderError, RefusalScope, Refused
from agents.providers.registry import can
from agents.readiness import Check, Level
from callcenter.connections import hand_back
from calls.dialer import NoCallerId, account_state, caller_id_for
from calls.lifecycle import reachability
from calls.lifecycle.reachability import Cause
from calls.models import Call, WebhookEvent
from calls.models.clock import database_now
from calls.models.gate import AccountProblem
from calls.models.webhook_event import EventSource
from calls.provider_checks.at_twilio import at_twilio
from calls.provider_checks.reach import knock

TITLES: Mapping[str, Any] = {
    "key": gettext_lazy("Our key"),
    "webhook_key": gettext_lazy("Their signature"),
    "webhook_url": gettext_lazy("Where they tell us"),
    "reach": gettext_lazy("Our address"),
    "caller_ids": gettext_lazy("Numbers to call from"),
    "twilio": gettext_lazy("Numbers at Twilio"),
    "capacity": gettext_lazy("Room for calls"),
    "clock": gettext_lazy("Clocks"),
}
ORDER = tuple(TITLES)
SAYS_SOMETHING = timedelta(days=7)
"""What went well longer ago than this says nothing of today."""
CLOCK_WRONG = timedelta(minutes=4)
"""A signature more than five minutes off is refused."""
CLOCK_OFF = timedelta(seconds=30)
DATABASE_OFF = timedelta(seconds=5)
SHOWN = 5


def look(provider: Provider, *, now: datetime) -> list[Check]:
    """Every check, in `ORDER`; of Twilio only where there is an account.

    Asks the phone company and our own address: seconds, outside any transaction. What cannot be asked,
    because the contract has no such question or nobody answers, is amber.
    """
    heard_at = _heard_at()
    unreachable = reachability.judge(reachability.gather(now=now), now=now)
    key, answers = _key(provider, now=now)
    checks = [
        key,
        _webhook_key(heard_at, unreachable, now=now),
        _webhook_url(heard_at, unreachable, now=now),
        _reach(heard_at, now=now),
        _caller_ids(provider, answers=answers),
        _capacity(provider, answers=answers),
        _clock(provider),
    ]
    if twilio := at_twilio():
        checks.append(twilio)
    return sorted(checks, key=lambda check: ORDER.index(check.code))


def _heard_at() -> datetime | None:
    """When something with a good signature came last."""
    heard = WebhookEvent.objects.filter(source=EventSource.WEBHOOK, contract=settings.RETELL_CONTRACT)
    newest: datetime | None = heard.aggregate(at=Max("received_at"))["at"]
    return newest


def _key(provider: Provider, *, now: datetime) -> tuple[Check, bool]:
    """And whether the phone company answers at all."""
    refused = account_state()
    if refused.problem:
        return _red("key", _refuses(refused.problem), _mend(refused.code)), True
    if Ability.CAPACITY not in provider.abilities:
        taken = Call.objects.outbound().filter(requested_at__gt=now - SAYS_SOMETHING, test=False)
        taken_at = taken.aggregate(at=Max("placed_at"))["at"]
        if taken_at is not None:
            return _green("key", _("It took a call on %(when)s.") % {"when": _shown(taken_at)}), True
        return _unasked("key", _("Nobody can be asked whether our key is good: the first call tells.")), True
    hand_back()
    try:
        account = provider.account()
    except ProviderError as error:
        if isinstance(error, Refused) and error.scope == RefusalScope.ACCOUNT:
            return _red("key", _refuses(error.message), _mend(AccountProblem.AUTHENTICATION)), True
        return _unanswered("key", error), False
    name = f" ({account.key_name})" if account.key_name else ""
    return _green("key", _("The phone company accepts it%(name)s.") % {"name": name}), True


def _refuses(why: str) -> str:
    return _("The phone company refuses us: %(why)s.") % {"why": why.rstrip(".")}


def _mend(code: str) -> str:
    if code == AccountProblem.BILLING:
        return _("Put the credit or the payment method in order there.")
    return _("Put a valid key into RETELL_API_KEY and start the dialer and the site anew.")


def _webhook_key(
    heard_at: datetime | None, unreachable: reachability.Unreachable | None, *, now: datetime
) -> Check:
    article = settings.RETELL_CONTRACT == "article"
    name = "RETELL_WEBHOOK_SECRET" if article else "RETELL_WEBHOOK_KEY"
    if not (settings.RETELL_WEBHOOK_SECRETS if article else settings.RETELL_WEBHOOK_KEYS):
        return _red(
            "webhook_key",
            _("Nothing that the phone company tells us can be trusted: %(name)s is not set.")
            % {"name": name},
            _("Set it to what Retell signs with, and start the site anew."),
        )
    if unreachable is not None and unreachable.cause != Cause.NO_REQUESTS:
        return _red("webhook_key", unreachable.sentence, "")
    if heard_at is not None and now - heard_at < SAYS_SOMETHING:
        return _green(
            "webhook_key", _("It fits: the last news came on %(when)s.") % {"when": _shown(heard_at)}
        )
    return _unasked(
        "webhook_key",
        _("Nothing signed has come yet, or not for a week: nobody knows whether %(name)s fits.")
        % {"name": name},
        _("Call your own telephone from an AI agent's page."),
    )


def _webhook_url(
    heard_at: datetime | None, unreachable: reachability.Unreachable | None, *, now: datetime
) -> Check:
    """The addresses that the phone company keeps: of each agent, of the account, of each number."""
    ours = readiness.our_webhook(settings.PUBLIC_BASE_URL)
    if unreachable is not None and unreachable.cause == Cause.NO_REQUESTS:
        return _red("webhook_url", unreachable.sentence, _ours(ours))
    heard = heard_at is not None and now - heard_at < SAYS_SOMETHING
    elsewhere = []
    agents = list(Agent.objects.callable_now())
    for agent in agents:
        found = next(
            (each for each in readiness.checks_of(agent, heard=heard) if each.code == "webhook"), None
        )
        if found is not None and found.level == Level.RED:
            elsewhere.append(f"“{agent.name}”")
    if elsewhere:
        # One that is told elsewhere may not call until that is mended: the others go on.
        level = Level.RED if len(elsewhere) == len(agents) else Level.AMBER
        return Check(
            code="webhook_url",
            level=level,
            sentence=_("What happens on calls of %(agents)s is told to somebody else.")
            % {"agents": _some(elsewhere)},
            what_to_do=_("They do not call until it is mended, on the page of each. %(ours)s")
            % {"ours": _ours(ours)},
        )
    silent = [
        phone.pretty(row.number)
        for row in PhoneNumber.objects.usable()
        if not readiness.same_address(
            row.inbound_webhook_url, readiness.our_inbound_webhook(settings.PUBLIC_BASE_URL)
        )
    ]
    if silent and can(Ability.ASK_INBOUND):
        return Check(
            code="webhook_url",
            level=Level.AMBER,
            sentence=_("When %(numbers)s rings, we are not asked who is calling.")
            % {"numbers": _some(silent)},
            what_to_do=_("If people ring back on it: change that in the list of phone numbers."),
        )
    if heard:
        return _green("webhook_url", _("What happens on calls is told to us."))
    return _unasked(
        "webhook_url",
        _("Nothing has come yet, or not for a week: which address the phone company has is not known."),
        _ours(ours),
    )


def _ours(address: str) -> str:
    return _("Ours is %(address)s.") % {"address": address or "?"}


def _reach(heard_at: datetime | None, *, now: datetime) -> Check:
    hand_back()
    found = knock(settings.PUBLIC_BASE_URL)
    lately = heard_at is not None and now - heard_at < reachability.REFUSALS_WITHIN
    if found.level == Level.RED and lately:
        return Check(
            code=found.code,
            level=Level.AMBER,
            sentence=_("From here: %(what)s But news from the phone company arrives.")
            % {"what": found.sentence},
            what_to_do=found.what_to_do,
        )
    return found


def _caller_ids(provider: Provider, *, answers: bool) -> Check:
    code = "caller_ids"
    ours = {row.number for row in PhoneNumber.objects.usable()} | ({settings.TWILIO_FROM_NUMBER} - {""})
    if not ours:
        kept_back = PhoneNumber.objects.working().exists()
        return _red(
            code,
            _("There is no number to call from."),
            _("Those that are here might be rung back in vain: their pages under Phone numbers say why.")
            if kept_back
            else _("Bring the numbers here (Sync, or add them), or set TWILIO_FROM_NUMBER."),
        )
    without = [f"“{agent.name}”" for agent in Agent.objects.callable_now() if not _has_caller_id(agent)]
    if Ability.CATALOGUE not in provider.abilities:
        if without:
            return _no_caller_id(without)
        return _unasked(
            code, _("The phone company does not list its numbers: whether ours are among them, a call tells.")
        )
    if not answers:
        return _unanswered(code)
    hand_back()
    try:
        theirs = {each.number for each in provider.list_numbers()}
    except ProviderError as error:
        return _unanswered(code, error)
    if gone := sorted(ours - theirs):
        return _red(
            code,
            _("The phone company does not have %(numbers)s: calls from there fail.")
            % {"numbers": _some([phone.pretty(each) for each in gone])},
            _("Bring them back there, or press Sync and choose other numbers."),
        )
    known = set(PhoneNumber.objects.values_list("number", flat=True))
    if new := sorted(each for each in theirs - known if phone.is_e164(each)):
        return Check(
            code=code,
            level=Level.AMBER,
            sentence=_("The phone company has %(numbers)s, which are not known here.")
            % {"numbers": _some([phone.pretty(each) for each in new])},
            what_to_do=_("Press Sync in the list of phone numbers."),
        )
    if without:
        return _no_caller_id(without)
    return _green(code, _("The phone company has all %(count)d of ours.") % {"count": len(ours)})


def _has_caller_id(agent: Agent) -> bool:
    try:
        caller_id_for(agent)
    except NoCallerId:
        return False
    return True


def _no_caller_id(agents: Collection[str]) -> Check:
    return Check(
        code="caller_ids",
        level=Level.AMBER,
        sentence=_("AI agents without a number to call from: %(agents)s.") % {"agents": _some(list(agents))},
        what_to_do=_("Give each a default caller ID that people can ring back, or set TWILIO_FROM_NUMBER."),
    )


def _capacity(provider: Provider, *, answers: bool) -> Check:
    code, most = "capacity", settings.MAX_CONCURRENT_CALLS
    if Ability.CAPACITY not in provider.abilities:
        return _unasked(
            code,
            _("The phone company does not say how many calls it takes: at most %(most)d go out at once.")
            % {"most": most},
            _("MAX_CONCURRENT_CALLS must not be more than the account allows."),
        )
    if not answers:
        return _unanswered(code)
    hand_back()
    try:
        said = provider.capacity()
    except ProviderError as error:
        return _unanswered(code, error)
    known = {"used": said.in_use, "limit": said.limit, "most": most}
    if said.limit <= 0:
        return _unasked(code, _("The phone company did not say how many calls it takes."))
    if most > said.limit:
        return Check(
            code=code,
            level=Level.AMBER,
            sentence=_("MAX_CONCURRENT_CALLS is %(most)d, and the phone company takes %(limit)d at once.")
            % known,
            what_to_do=_("Theirs counts, less what is kept for people who ring. Set the same number here."),
        )
    if said.in_use >= said.limit:
        return Check(
            code=code,
            level=Level.AMBER,
            sentence=_("All %(limit)d lines there are in use.") % known,
            what_to_do=_("Calls wait for a free one. If that lasts, something else uses this account."),
        )
    return _green(code, _("%(used)d of %(limit)d calls at once; at most %(most)d are ours.") % known)


def _clock(provider: Provider) -> Check:
    ahead, database = provider.clock_ahead, database_now() - timezone.now()
    if ahead is not None and abs(ahead) > CLOCK_OFF:
        return Check(
            code="clock",
            level=Level.RED if abs(ahead) > CLOCK_WRONG else Level.AMBER,
            sentence=_("This machine's clock is %(seconds)d s off the phone company's.")
            % {"seconds": abs(ahead).total_seconds()},
            what_to_do=_("Set it by a time server. News that is five minutes off is turned away."),
        )
    if abs(database) > DATABASE_OFF:
        return Check(
            code="clock",
            level=Level.AMBER,
            sentence=_("This machine's clock is %(seconds)d s off the database's.")
            % {"seconds": abs(database).total_seconds()},
            what_to_do=_("Set both by a time server. Calls go by the database's clock."),
        )
    if ahead is None:
        return _green("clock", _("This machine and the database agree; the phone company's is not known."))
    return _green("clock", _("This machine, the database and the phone company agree."))


def _shown(moment: datetime) -> str:
    return date_format(timezone.localtime(moment), "j M, H:i T")


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    shown = ", ".join(names[:SHOWN])
    return _("%(names)s and %(more)d more") % {"names": shown, "more": more} if more > 0 else shown


def _green(code: str, sentence: str) -> Check:
    return Check(code=code, level=Level.GREEN, sentence=sentence)


def _red(code: str, sentence: str, what_to_do: str) -> Check:
    return Check(code=code, level=Level.RED, sentence=sentence, what_to_do=what_to_do)


def _unasked(code: str, sentence: str, what_to_do: str = "") -> Check:
    return Check(code=code, level=Level.AMBER, sentence=sentence, what_to_do=what_to_do)


def _unanswered(code: str, error: ProviderError | None = None) -> Check:
    return Check(
        code=code,
        level=Level.AMBER,
        sentence=_("Not known: the phone company could not be asked. %(why)s")
        % {"why": error.message if error else ""},
        what_to_do=_("Look again later; if it lasts, check RETELL_BASE_URL and the way out of this network."),
    )
