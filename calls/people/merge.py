"""A row of somebody's file meets the leads that are there already.

An existing lead (the same id in the other system, else the same number) is changed only where the file
has a value. Nothing here ever removes a number, a do-not-call entry or a wrong-number mark.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import F, Q
from django.utils.translation import gettext as _

from calls.models import Lead, LeadList, LeadPhone, ZoneSource
from calls.models.lead import LeadSource
from calls.people.rows import Row

PLAIN = ("name", "company", "email", "reason", "external_id")


@dataclass(slots=True)
class Plan:
    """What a bunch of rows will do: looked up, nothing written yet."""

    new: list[Row] = field(default_factory=list)
    known: list[tuple[Row, Lead]] = field(default_factory=list)
    opts_out: list[Row] = field(default_factory=list)
    """Rows of a do-not-call list, that make no lead."""
    refused: list[tuple[Row, str]] = field(default_factory=list)


def plan(rows: Sequence[Row], *, by: Any) -> Plan:
    """Match rows to leads, with a fixed number of queries. Leads that `by` cannot see are not changed.

    `by` None: whoever brought the file has no account any more. Their own leads are nobody's now and are
    changed; a row of somebody else's goes into the file of refused rows, for another to bring.
    """
    made = Plan()
    good = [row for row in rows if not row.problems and not row.only_opts_out]
    by_id, by_number, visible = _existing(good, by)
    for row in rows:
        if row.problems:
            made.refused.append((row, " ".join(row.problems)))
            continue
        if row.only_opts_out:
            made.opts_out.append(row)
            continue
        lead, problem = _match(row, by_id, by_number)
        if lead is not None and lead.pk not in visible:
            problem = _("This lead belongs to somebody else.")
        if problem:
            made.refused.append((row, problem))
        elif lead is None:
            made.new.append(row)
        else:
            made.known.append((row, lead))
    return made


def _existing(rows: Sequence[Row], by: Any) -> tuple[dict[str, Lead], dict[str, list[Lead]], set[int]]:
    ids = {row.external_id for row in rows} - {""}
    numbers = {row.phones[0] for row in rows}
    leads = {
        lead.pk: lead
        for lead in Lead.objects.filter(
            Q(external_id__in=ids) | Q(phones__number__in=numbers)
        ).prefetch_related("phones")
    }
    by_number: dict[str, list[Lead]] = defaultdict(list)
    for lead in sorted(leads.values(), key=lambda each: each.pk):
        for one in lead.phones.all():
            if one.number in numbers:
                by_number[one.number].append(lead)
    by_id = {
        lead.external_id: lead for lead in leads.values() if lead.external_id in ids and lead.external_id
    }
    visible = set(Lead.objects.visible_to(by).filter(pk__in=leads).values_list("pk", flat=True))
    return by_id, by_number, visible


def _match(row: Row, by_id: dict[str, Lead], by_number: dict[str, list[Lead]]) -> tuple[Lead | None, str]:
    if row.external_id in by_id:
        return by_id[row.external_id], ""
    same = by_number.get(row.phones[0], [])
    if row.external_id:
        # A lead with an id of its own is another person on the same telephone.
        same = [lead for lead in same if not lead.external_id]
    if len(same) > 1:
        same = [lead for lead in same if lead.name.casefold() == row.name.casefold()]
        if len(same) != 1:
            return None, _("Several leads have this number, and none or more than one has this name.")
    return (same[0] if same else None), ""


def write(made: Plan, *, into: LeadList | None, owner: Any, now: datetime) -> None:
    """In the caller's transaction. List and owner go to new leads, and to known ones that have none."""
    _create(made.new, into=into, owner=owner)
    _update(made.known, into=into, owner=owner, now=now)


def _create(rows: Sequence[Row], *, into: LeadList | None, owner: Any) -> None:
    leads = Lead.objects.bulk_create(
        [
            Lead(
                name=row.name,
                company=row.company,
                email=row.email,
                reason=row.reason,
                external_id=row.external_id or None,
                time_zone=row.time_zone,
                time_zone_source=ZoneSource.STATED if row.time_zone else ZoneSource.UNKNOWN,
                custom=dict(row.custom),
                list=into,
                owner=owner,
                source=LeadSource.IMPORT,
            )
            for row in rows
        ]
    )
    LeadPhone.objects.bulk_create(
        [
            LeadPhone(lead=lead, number=number, position=position)
            for row, lead in zip(rows, leads, strict=True)
            for position, number in enumerate(row.phones)
        ]
    )


def _update(known: Sequence[tuple[Row, Lead]], *, into: LeadList | None, owner: Any, now: datetime) -> None:
    for row, lead in known:
        # One statement a changed lead: a single one for all of them took twenty times as long.
        changed = _changes(row, lead, into=into, owner=owner)
        if changed:
            Lead.objects.filter(pk=lead.pk).update(**changed, updated_at=now)
    _add_numbers(known)


def _changes(row: Row, lead: Lead, *, into: LeadList | None, owner: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {name: getattr(row, name) for name in PLAIN if getattr(row, name)}
    wanted["custom"] = {**lead.custom, **row.custom}
    wanted["list_id"] = lead.list_id or (into.pk if into else None)
    wanted["owner_id"] = lead.owner_id or (owner.pk if owner else None)
    if row.time_zone:
        wanted |= {"time_zone": row.time_zone, "time_zone_source": ZoneSource.STATED}
    return {name: value for name, value in wanted.items() if value != getattr(lead, name)}


def _add_numbers(known: Sequence[tuple[Row, Lead]]) -> None:
    """A new first number is the one to dial from now on; a new second one goes last."""
    moved: list[int] = []
    added: list[LeadPhone] = []
    for row, lead in known:
        had = {one.number: one.position for one in lead.phones.all()}
        if row.phones[0] not in had:
            moved.append(lead.pk)
            added.append(LeadPhone(lead=lead, number=row.phones[0], position=0))
        last = max(had.values(), default=0) + 2
        added += [LeadPhone(lead=lead, number=one, position=last) for one in row.phones[1:] if one not in had]
    LeadPhone.objects.filter(lead_id__in=moved).update(position=F("position") + 1)
    LeadPhone.objects.bulk_create(added)
