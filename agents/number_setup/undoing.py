"""Each step taken back: only what was made for this number is taken away, everything else stays as it is.

What others have come to use since is handed on to them, to be taken away with the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from agents.models import NumberSetup, PhoneNumber, SetupStep
from agents.number_setup.ends import Ends, gone_is_fine, keep
from agents.providers.base import NotFound

Undo = Callable[[NumberSetup, Ends, datetime], str]
"""Gives what to know of what stays; '' for nothing."""


def forget_proof(setup: NumberSetup, ends: Ends, now: datetime) -> str:
    keep(setup, called_out_at=None, called_in_at=None, completed_at=None)
    return ""


def take_from_retell(setup: NumberSetup, ends: Ends, now: datetime) -> str:
    forget_proof(setup, ends, now)
    stays = ""
    if setup.imported:
        gone_is_fine(lambda: ends.provider.remove_number(setup.number))
        keep(setup, imported=False)
        PhoneNumber.objects.filter(number=setup.number, gone_since=None).update(gone_since=now)
    elif setup.inbound_agent_id is not None:
        stays = _("Retell had the number before: it stays there, with the AI agents that it has now.")
    keep(setup, inbound_agent=None, outbound_agent=None, fallback_number="")
    PhoneNumber.objects.filter(number=setup.number).update(
        offered_at=None, offered_by=None, offered_reason=""
    )
    return stays


def detach(setup: NumberSetup, ends: Ends, now: datetime) -> str:
    """Off the trunk, and calls in are answered as they were before."""
    if not setup.attached:
        return ""
    number = ends.twilio.number(setup.number_sid)
    if number.trunk_sid == setup.trunk_sid:
        gone_is_fine(lambda: ends.trunks.detach_number(setup.trunk_sid, setup.number_sid))
    elif number.trunk_sid or number.voice_url or number.application_sid:
        keep(setup, attached=False)
        as_before = (setup.former_voice_url, setup.former_application_sid, "")
        if (number.voice_url, number.application_sid, number.trunk_sid) == as_before:
            return ""
        return _("Somebody has given the number another use meanwhile: that stays.")
    if setup.former_voice_url or setup.former_application_sid:
        ends.twilio.change_number(
            setup.number_sid,
            voice_url=setup.former_voice_url or None,
            voice_method=setup.former_voice_method or "POST",
            application_sid=setup.former_application_sid or None,
        )
    keep(setup, attached=False)
    return ""


def sign_out(setup: NumberSetup, ends: Ends, now: datetime) -> str:
    trunks, heir = ends.trunks, _others_on(setup).first()
    if setup.credential_sid:
        gone_is_fine(lambda: trunks.delete_credential(setup.list_sid, setup.credential_sid))
        keep(setup, credential_sid="")
    if setup.origination_made and heir is None:
        gone_is_fine(lambda: trunks.delete_origination_url(setup.trunk_sid, setup.origination_sid))
    elif setup.origination_made and heir is not None:
        keep(heir, origination_made=True)
    keep(setup, origination_sid="", origination_made=False)
    user = _others_on(setup).filter(list_sid=setup.list_sid).first()
    if user is not None:
        keep(
            user,
            list_attached=user.list_attached or setup.list_attached,
            list_made=user.list_made or setup.list_made,
        )
    elif setup.list_sid:
        if setup.list_attached:
            gone_is_fine(lambda: trunks.detach_list(setup.trunk_sid, setup.list_sid))
        if setup.list_made:
            gone_is_fine(lambda: trunks.delete_credential_list(setup.list_sid))
    keep(setup, list_sid="", list_made=False, list_attached=False, username="")
    return ""


def leave_trunk(setup: NumberSetup, ends: Ends, now: datetime) -> str:
    stays = ""
    heir = _others_on(setup).first()
    if setup.trunk_made and heir is not None:
        keep(heir, trunk_made=True)
    elif setup.trunk_made:
        stays = _delete_trunk(setup, ends)
    keep(setup, trunk_sid="", trunk_domain="", trunk_made=False)
    return stays


def _delete_trunk(setup: NumberSetup, ends: Ends) -> str:
    try:
        if ends.trunks.numbers_of(setup.trunk_sid):
            return _("Other numbers are on the trunk %(trunk)s: it stays.") % {"trunk": setup.trunk_domain}
        ends.trunks.delete_trunk(setup.trunk_sid)
    except NotFound:
        return ""
    return ""


def _others_on(setup: NumberSetup) -> QuerySet[NumberSetup]:
    """Other numbers that were set up here on the same trunk, the oldest first."""
    same = NumberSetup.objects.exclude(pk=setup.pk).filter(trunk_sid=setup.trunk_sid).exclude(trunk_sid="")
    return same.order_by("began_at")


UNDO: Mapping[str, Undo] = {
    SetupStep.PROOF: forget_proof,
    SetupStep.IMPORT: take_from_retell,
    SetupStep.ATTACH: detach,
    SetupStep.SIGN_IN: sign_out,
    SetupStep.TRUNK: leave_trunk,
}
