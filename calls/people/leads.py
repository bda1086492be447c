"""One lead: added, or changed by somebody who names what is new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from calls.models import Lead, LeadPhone, PhoneState, ZoneSource

PLAIN = ("name", "company", "email", "reason", "custom")


class ExternalIdTaken(Exception):
    """Another lead has this id of the other system; `lead` is that one."""

    def __init__(self, lead: Lead) -> None:
        super().__init__(_("Another lead has this external id."))
        self.lead = lead


def add_lead(*, name: str, phone: str, source: str, owner_id: int | None = None, **known: Any) -> Lead:
    """A new lead with its number (E.164). `known`: company, email, reason, time_zone, custom, external_id.

    Raises ExternalIdTaken, also when two add the same id at the same moment.
    """
    external_id = known.get("external_id") or None
    lead = Lead(name=name, source=source, owner_id=owner_id, external_id=external_id)
    _take(lead, known)
    try:
        with transaction.atomic():
            lead.save(force_insert=True)
            LeadPhone.objects.create(lead=lead, number=phone)
    except IntegrityError as error:
        raise _taken(external_id, lead, error) from error
    return lead


def change_lead(lead: Lead, given: Mapping[str, Any]) -> Lead:
    """Change what `given` names: PLAIN, time_zone, external_id, phone (E.164). Raises ExternalIdTaken."""
    fields = {*_take(lead, given), "updated_at"}
    if "external_id" in given:
        lead.external_id = given["external_id"] or None
        fields.add("external_id")
    try:
        with transaction.atomic():
            lead.save(update_fields=fields)
            if given.get("phone"):
                dial_instead(lead, given["phone"])
    except IntegrityError as error:
        raise _taken(lead.external_id, lead, error) from error
    return lead


def dial_instead(lead: Lead, number: str) -> None:
    """`number` takes the place of the one that would be dialled. One marked as wrong stays marked."""
    with transaction.atomic():
        phones = list(LeadPhone.objects.select_for_update().filter(lead=lead))
        replaced = next((one for one in phones if one.state == PhoneState.VALID), None)
        known = next((one for one in phones if one.number == number), None)
        if known is not None and known == replaced:
            return
        position = replaced.position if replaced else 0
        if replaced is not None:
            replaced.delete()
        else:
            LeadPhone.objects.filter(lead=lead).update(position=F("position") + 1)
        if known is not None:
            LeadPhone.objects.filter(pk=known.pk).update(position=position)
        else:
            LeadPhone.objects.create(lead=lead, number=number, position=position)


def _take(lead: Lead, given: Mapping[str, Any]) -> set[str]:
    changed = {field for field in PLAIN if field in given}
    for field in changed:
        setattr(lead, field, given[field])
    if "time_zone" in given:
        lead.time_zone = given["time_zone"] or ""
        lead.time_zone_source = ZoneSource.STATED if lead.time_zone else ZoneSource.UNKNOWN
        changed |= {"time_zone", "time_zone_source"}
    return changed


def _taken(external_id: str | None, lead: Lead, error: IntegrityError) -> Exception:
    other = Lead.objects.filter(external_id=external_id).exclude(pk=lead.pk).first() if external_id else None
    return ExternalIdTaken(other) if other else error
