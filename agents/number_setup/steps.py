"""Steps 2 to 5 at Twilio and Retell. Each looks at what is there first, and may be done again at any time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from agents import phone, readiness
from agents.models import Agent, NumberSetup, SetupStep
from agents.number_setup.ends import Ends, SetupProblem, found_or_made, keep, made_or_found
from agents.providers.base import NotFound, NumberProfile, ProviderError, Unclear
from agents.providers.numbers import NumberOrder
from agents.providers.twilio.resources import Credential, CredentialList, Number, OriginationUrl, Trunk
from agents.providers.twilio.trunk import DOMAIN, RETELL_SIP, leads_to_retell, new_password

LONGEST_NAME = 20
SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a person says with a step. `trunk`: its domain or id, '' to have one chosen."""

    trunk: str = ""
    inbound_agent: Agent | None = None
    outbound_agent: Agent | None = None
    fallback_number: str = ""


def name_of(setup: NumberSetup) -> str:
    """What everything made for it is called at Twilio."""
    return f"Call centre {setup.mark}"


def domain_of(setup: NumberSetup) -> str:
    company = re.sub(r"[^a-z0-9]+", "-", settings.COMPANY_NAME.lower())[:LONGEST_NAME].strip("-")
    return f"{company or 'calls'}{_ending(setup)}"


def _ending(setup: NumberSetup) -> str:
    return f"-{setup.mark}{DOMAIN}"


# 2: a trunk


def trunk(setup: NumberSetup, ends: Ends, given: Given) -> None:
    """The one the number is on, the one asked for, the one of another number set up here, else a new one."""
    number = ends.twilio.number(setup.number_sid)

    def look() -> Trunk | None:
        known = {each.sid: each for each in ends.trunks.trunks()}
        if setup.list_sid and (setup.trunk_sid not in known or number.trunk_sid not in ("", setup.trunk_sid)):
            raise SetupProblem(
                _("The trunk of this set-up is gone, or the number is on another: take back what follows.")
            )
        return _trunk_to_use(setup, number, known, given.trunk.strip())

    found = found_or_made(
        look, lambda: ends.trunks.create_trunk(label=name_of(setup), domain=domain_of(setup))
    )
    if setup.list_sid and found.sid != setup.trunk_sid:
        raise SetupProblem(_("Another trunk can be used once the steps that follow are taken back."))
    _check_fit(setup, ends, found)
    keep(
        setup,
        trunk_sid=found.sid,
        trunk_domain=found.domain,
        trunk_made=found.domain.endswith(_ending(setup)),
    )


def _trunk_to_use(
    setup: NumberSetup, number: Number, known: Mapping[str, Trunk], wanted: str
) -> Trunk | None:
    if number.trunk_sid:
        here = known.get(number.trunk_sid)
        if here is not None and wanted and wanted not in (here.sid, here.domain):
            raise SetupProblem(
                _("The number is on the trunk %(trunk)s. Take it off there in Twilio's console, or use that.")
                % {"trunk": here.domain or here.label}
            )
        return here
    if wanted:
        chosen = next((each for each in known.values() if wanted in (each.sid, each.domain)), None)
        if chosen is None:
            raise SetupProblem(_("The account has no trunk %(trunk)s.") % {"trunk": wanted})
        return chosen
    if setup.trunk_sid in known:
        return known[setup.trunk_sid]
    own = next((each for each in known.values() if each.domain.endswith(_ending(setup))), None)
    others = NumberSetup.objects.exclude(pk=setup.pk).exclude(trunk_sid="")
    shared = (known.get(sid) for sid in others.values_list("trunk_sid", flat=True))
    return own or next((each for each in shared if each is not None), None)


def _check_fit(setup: NumberSetup, ends: Ends, found: Trunk) -> None:
    """Credentials on a trunk are asked of all of its numbers: those that call without them would fail."""
    if not found.domain:
        raise SetupProblem(
            _("The trunk %(trunk)s has no termination domain: give it one in Twilio's console.")
            % {"trunk": found.label}
        )
    if found.secure:
        raise SetupProblem(
            _("The trunk %(trunk)s takes encrypted calls only, which are not set up from here: use another.")
            % {"trunk": found.domain}
        )
    if found.asks_password:
        return
    others = [
        phone.pretty(each.number)
        for each in ends.trunks.numbers_of(found.sid)
        if each.sid != setup.number_sid
    ]
    if others:
        raise SetupProblem(
            _(
                "%(numbers)s call over the trunk %(trunk)s without a password, and would fail once it asks "
                "for one. Use another trunk; a number that is on it is taken off in Twilio's console."
            )
            % {"numbers": ", ".join(others[:SHOWN]), "trunk": found.domain}
        )


# 3: credentials, and the way to Retell


def sign_in(setup: NumberSetup, ends: Ends, given: Given) -> None:
    """A user of this number's own on the trunk. Where Retell has the number, both get a new password."""
    attached = {each.sid for each in ends.trunks.lists_of(setup.trunk_sid)}
    if not setup.list_sid or setup.list_sid not in {each.sid for each in ends.trunks.credential_lists()}:
        made = found_or_made(
            lambda: _list_to_use(setup, ends, attached),
            lambda: ends.trunks.create_credential_list(name_of(setup)),
        )
        keep(setup, list_sid=made.sid, list_made=made.label == name_of(setup))
    if setup.list_sid not in attached:
        keep(setup, list_attached=True)
        _attach_list(setup, ends)
    digits = setup.number.removeprefix("+")
    keep(setup, username=f"cc-{digits}-{setup.mark}")
    password = renew_password(setup, ends)
    origin = found_or_made(
        lambda: _origin_to_use(setup, ends),
        lambda: ends.trunks.create_origination_url(setup.trunk_sid, label=name_of(setup)),
    )
    keep(setup, origination_sid=origin.sid, origination_made=origin.label == name_of(setup))
    if setup.inbound_agent is not None and _is_at_retell(setup, ends):
        ends.provider.change_number(order_of(setup, password))


def _list_to_use(setup: NumberSetup, ends: Ends, attached: set[str]) -> CredentialList | None:
    """Its own, made before; or that of another number set up here on the same trunk."""
    known = ends.trunks.credential_lists()
    shared = set(
        NumberSetup.objects.exclude(pk=setup.pk)
        .filter(trunk_sid=setup.trunk_sid, list_sid__in=attached)
        .values_list("list_sid", flat=True)
    )
    own = next((each for each in known if each.label == name_of(setup)), None)
    return own or next((each for each in known if each.sid in shared), None)


def _attach_list(setup: NumberSetup, ends: Ends) -> None:
    try:
        ends.trunks.attach_list(setup.trunk_sid, setup.list_sid)
    except Unclear:
        if setup.list_sid not in {each.sid for each in ends.trunks.lists_of(setup.trunk_sid)}:
            raise


def renew_password(setup: NumberSetup, ends: Ends) -> str:
    """A new one at Twilio, from now on the only one that counts: for the request that brings it to Retell."""
    password = new_password()

    def look() -> Credential | None:
        users = ends.trunks.credentials(setup.list_sid)
        return next((each for each in users if each.username == setup.username), None)

    def make() -> Credential:
        return ends.trunks.create_credential(setup.list_sid, username=setup.username, password=password)

    user = look()
    if user is None:
        user = made_or_found(make, look)
    else:
        ends.trunks.change_password(setup.list_sid, user.sid, password)
    keep(setup, credential_sid=user.sid)
    return password


def _origin_to_use(setup: NumberSetup, ends: Ends) -> OriginationUrl | None:
    """One that leads to Retell and is switched on; its own is switched on again."""
    known = ends.trunks.origination_urls(setup.trunk_sid)
    own = next((each for each in known if each.label == name_of(setup)), None)
    if own is not None and not (own.enabled and leads_to_retell(own)):
        return ends.trunks.change_origination_url(setup.trunk_sid, own.sid, sip_url=RETELL_SIP, enabled=True)
    return own or next((each for each in known if each.enabled and leads_to_retell(each)), None)


# 4: onto the trunk


def attach(setup: NumberSetup, ends: Ends, given: Given) -> None:
    """How calls in were answered before is kept first: on a trunk it does not count, and may be gone."""
    number = ends.twilio.number(setup.number_sid)
    if number.trunk_sid == setup.trunk_sid:
        return
    if number.trunk_sid:
        raise SetupProblem(
            _("The number is on another trunk by now. Take it off there in Twilio's console first.")
        )
    keep(
        setup,
        attached=True,
        former_voice_url=number.voice_url,
        former_voice_method=number.voice_method[:4],
        former_application_sid=number.application_sid,
    )
    try:
        ends.trunks.attach_number(setup.trunk_sid, setup.number_sid)
    except Unclear:
        if ends.twilio.number(setup.number_sid).trunk_sid != setup.trunk_sid:
            raise
    except ProviderError:
        keep(setup, attached=False)
        raise


# 5: to Retell


def bring_to_retell(setup: NumberSetup, ends: Ends, given: Given) -> None:
    """Imported, or changed where Retell has it; with a new password on both sides each time."""
    keep(
        setup,
        inbound_agent=given.inbound_agent or setup.inbound_agent,
        outbound_agent=given.outbound_agent or setup.outbound_agent,
        fallback_number=given.fallback_number or setup.fallback_number,
    )
    if setup.inbound_agent is None or setup.outbound_agent is None or not setup.fallback_number:
        raise SetupProblem(_("Say who answers, who calls, and which number is rung when nobody can answer."))
    is_there = _is_at_retell(setup, ends)
    order = order_of(setup, renew_password(setup, ends))
    if not is_there:
        # From here on what Retell has is ours to take away again.
        keep(setup, imported=True)
        try:
            ends.provider.import_number(order)
        except Unclear:
            if not _is_at_retell(setup, ends):
                raise
        except ProviderError:
            keep(setup, imported=False)
            raise
    # The number to fall back to is not taken by an import.
    profile = ends.provider.change_number(order)
    _check_taken(setup, profile)


def _is_at_retell(setup: NumberSetup, ends: Ends) -> bool:
    try:
        ends.provider.fetch_number(setup.number)
    except NotFound:
        return False
    return True


def order_of(setup: NumberSetup, password: str) -> NumberOrder:
    assert setup.inbound_agent is not None
    assert setup.outbound_agent is not None
    return NumberOrder(
        number=setup.number,
        label=setup.label,
        trunk_domain=setup.trunk_domain,
        username=setup.username,
        password=password,
        inbound_agent_id=setup.inbound_agent.provider_agent_id,
        outbound_agent_id=setup.outbound_agent.provider_agent_id,
        inbound_webhook_url=readiness.our_inbound_webhook(settings.PUBLIC_BASE_URL),
        fallback_number=setup.fallback_number,
    )


def _check_taken(setup: NumberSetup, profile: NumberProfile) -> None:
    """An older server could leave out what it does not know."""
    if profile.fallback_number != setup.fallback_number:
        raise SetupProblem(
            _("Retell did not keep the number to fall back to: set it there, and press again.")
        )


Verb = Callable[[NumberSetup, Ends, Given], None]
VERBS: Mapping[str, Verb] = {
    SetupStep.TRUNK: trunk,
    SetupStep.SIGN_IN: sign_in,
    SetupStep.ATTACH: attach,
    SetupStep.IMPORT: bring_to_retell,
}
