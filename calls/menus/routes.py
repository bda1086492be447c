"""Which of our numbers lead to a menu, by what Twilio says; and leading one there, so that it can be undone.

A number on no trunk has a voice URL. One on a trunk has none: its calls go to the AI agents' address, and
only where that fails does Twilio ask the *trunk's* address for disasters, which all its numbers share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from agents import phone
from agents.providers.twilio import resources
from agents.providers.twilio.rest import Twilio
from agents.providers.twilio.trunk import Trunking
from agents.providers.twilio.twiml import address
from calls.models import Menu, PlaceKind, VoicePlace

if TYPE_CHECKING:
    from django.contrib.auth.models import User

GIVE_UP_S = 10.0
OURS = re.compile(r"/webhook/twilio/voice/menu/([0-9a-f-]{36})")
SAID = ["kind", "name", "leads_to", "menu", "trunk", "application", "numbers", "seen_at"]
"""What a look at Twilio renews."""


class CannotPoint(Exception):
    """It is on a trunk, or was changed by somebody else meanwhile; the text says so."""


def address_of(menu: Menu) -> str:
    return address(f"/webhook/twilio/voice/menu/{menu.pk}")


def why_not_to_be_pointed() -> str:
    """Why nothing can be pointed from here; '' if it can."""
    if not settings.TWILIO_ACCOUNT_SID or not settings.TWILIO_AUTH_TOKENS:
        return _(
            "This needs a Twilio account: an administrator sets TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN."
        )
    if not settings.PUBLIC_BASE_URL:
        return _("PUBLIC_BASE_URL is not set: nobody knows where we can be reached.")
    return ""


def look(*, now: datetime) -> None:
    """Ask Twilio for every number and trunk, and keep what it says. Speaks HTTP. Raises ProviderError."""
    twilio = Twilio.from_settings(ask_deadline_s=GIVE_UP_S)
    try:
        _keep(twilio.numbers(), Trunking(twilio).trunks(), now=now)
    finally:
        twilio.close()


def _keep(numbers: Sequence[resources.Number], trunks: Sequence[resources.Trunk], *, now: datetime) -> None:
    found = list(_places(numbers, trunks, now))
    with transaction.atomic():
        VoicePlace.objects.bulk_create(
            found, update_conflicts=True, unique_fields=["sid"], update_fields=SAID
        )
        # What is not there any more has nothing that could be put back.
        VoicePlace.objects.exclude(sid__in=[place.sid for place in found]).delete()


def _places(
    numbers: Sequence[resources.Number], trunks: Sequence[resources.Trunk], now: datetime
) -> Iterator[VoicePlace]:
    menus = {str(menu.pk): menu for menu in Menu.objects.all()}
    domains = {trunk.sid: trunk.domain or trunk.label for trunk in trunks}
    for one in numbers:
        if one.voice:
            unused = bool(one.trunk_sid or one.application_sid)
            yield VoicePlace(
                kind=PlaceKind.NUMBER,
                sid=one.sid,
                name=one.number,
                leads_to="" if unused else one.voice_url[:2000],
                menu=None if unused else menus.get(_menu_in(one.voice_url)),
                trunk=domains.get(one.trunk_sid, one.trunk_sid),
                application=bool(one.application_sid),
                seen_at=now,
            )
    for trunk in trunks:
        yield VoicePlace(
            kind=PlaceKind.TRUNK,
            sid=trunk.sid,
            name=domains[trunk.sid],
            leads_to=trunk.disaster_url[:2000],
            menu=menus.get(_menu_in(trunk.disaster_url)),
            numbers=sorted(one.number for one in numbers if one.trunk_sid == trunk.sid),
            seen_at=now,
        )


def _menu_in(url: str) -> str:
    """The id in an address of ours; '' for any other."""
    if not settings.PUBLIC_BASE_URL or not url.startswith(settings.PUBLIC_BASE_URL):
        return ""
    found = OURS.match(url[len(settings.PUBLIC_BASE_URL) :])
    return found[1] if found else ""


def point(place: VoicePlace, menu: Menu, *, by: User | None, now: datetime) -> None:
    """Lead it to the menu from now on. Speaks HTTP. Raises CannotPoint, ProviderError.

    How it was is written down before it is changed, and stays as it first was however often it is pointed.
    """
    twilio = Twilio.from_settings(ask_deadline_s=GIVE_UP_S)
    try:
        former = _as_it_is(twilio, place)
        if not _menu_in(former.get("voice_url") or former.get("disaster_url") or ""):
            # Whatever is there now is somebody else's doing, and what an undoing has to bring back.
            VoicePlace.objects.filter(pk=place.pk).update(former=former, pointed_at=now, pointed_by=by)
        _change(twilio, place, _leading_to(menu, place.kind))
        _keep(twilio.numbers(), Trunking(twilio).trunks(), now=now)
    finally:
        twilio.close()


def undo(place: VoicePlace, *, now: datetime) -> None:
    """As it was before. Speaks HTTP. Raises CannotPoint where somebody changed it since, ProviderError."""
    if place.former is None:
        raise CannotPoint(_("Nothing is known of how %(place)s was before.") % {"place": place})
    twilio = Twilio.from_settings(ask_deadline_s=GIVE_UP_S)
    try:
        current = _as_it_is(twilio, place)
        ours = _menu_in(current.get("voice_url") or current.get("disaster_url") or "")
        if ours:
            _change(twilio, place, place.former)
        VoicePlace.objects.filter(pk=place.pk).update(former=None, pointed_at=None, pointed_by=None)
        _keep(twilio.numbers(), Trunking(twilio).trunks(), now=now)
    finally:
        twilio.close()
    if not ours:
        raise CannotPoint(
            _("%(place)s has been changed at Twilio since, and was left as it is.") % {"place": place}
        )


def _as_it_is(twilio: Twilio, place: VoicePlace) -> dict[str, str]:
    """What `_change` would bring back. Raises CannotPoint for a number whose own address is never asked."""
    if place.kind == PlaceKind.TRUNK:
        return {"disaster_url": Trunking(twilio).trunk(place.sid).disaster_url}
    number = twilio.number(place.sid)
    if number.trunk_sid:
        raise CannotPoint(
            _("%(number)s is on a trunk: a menu can only be that trunk's fallback.")
            % {"number": phone.pretty(number.number)}
        )
    if number.application_sid:
        raise CannotPoint(
            _("%(number)s belongs to an application at Twilio, which would overrule it: take it off there.")
            % {"number": phone.pretty(number.number)}
        )
    return {
        "voice_url": number.voice_url,
        "voice_method": number.voice_method,
        "fallback_url": number.fallback_url,
        "status_callback": number.status_callback,
    }


def _leading_to(menu: Menu, kind: str) -> dict[str, str]:
    if kind == PlaceKind.TRUNK:
        return {"disaster_url": address_of(menu)}
    return {
        "voice_url": address_of(menu),
        "fallback_url": address("/webhook/twilio/voice/sorry"),
        "status_callback": address("/webhook/twilio/status"),
    }


def _change(twilio: Twilio, place: VoicePlace, fields: dict[str, str]) -> None:
    if place.kind == PlaceKind.TRUNK:
        Trunking(twilio).change_trunk(place.sid, **fields)
    else:
        twilio.change_number(place.sid, **fields)
