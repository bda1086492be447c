"""Fills the demo's database once: staff, leads, ninety days of calls and what followed from them.

In one transaction, while nothing else runs: a start that is cut off leaves nothing behind.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.db import transaction

from agents.models import Agent, PhoneNumber
from agents.providers.base import Provider
from agents.sandbox.archive import Archive
from agents.sandbox.people import STAFF_NUMBERS
from callcenter.demo import aftermath, batches, history, people
from callcenter.demo.people import Person
from callcenter.demo.record import Recorded, Recorder
from calls import dialer, search
from calls.models import (
    Call,
    CallBack,
    CallRequest,
    Direction,
    DoNotCall,
    Lead,
    LeadList,
    LeadPhone,
    LeadStatus,
    Note,
    PhoneState,
    StaffPhone,
    Transcript,
    Via,
    ZoneSource,
)
from calls.models.do_not_call import DoNotCallSource
from calls.models.lead import LeadSource, PhoneKind

CHUNK = 500
OPTED_OUT_BY_MAIL = 6
"""People whom staff entered as never to be called, without any call."""
PROMISES_AHEAD = 14
"""Call-backs that staff promised for the days to come."""


@dataclass(frozen=True, slots=True)
class Seeded:
    leads: int
    calls: int


def is_seeded() -> bool:
    return User.objects.exists()


def fill(*, now: datetime, provider: Provider, network_url: str, archive: Archive) -> Seeded:
    """Agents and numbers must have been synced. The same `now` and the same agents give the same rows."""
    luck = Random(f"rows:{now:%Y-%m-%d %H}")  # noqa: S311  invented people, not secrets
    with _no_collecting(), transaction.atomic():
        staff = make_staff(now)
        invented = people.people(now)
        leads = make_leads(invented, staff, now=now)
        recorded = _past(
            invented, leads, staff, now=now, provider=provider, network_url=network_url, luck=luck
        )
        _opt_outs_by_mail(invented, leads, staff, now=now, luck=luck)
        _promises_ahead(invented, leads, staff, now=now, luck=luck)
        archive.keep_all(each.on_the_network for each in recorded)
    return Seeded(len(leads), len(recorded))


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Half a million words are alive until they are written: looking for garbage among them takes a sixth."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def make_staff(now: datetime) -> dict[str, User]:
    """By username. One hash for all: a slow one for each would only delay the start."""
    password = make_password(people.PASSWORD)
    staff = {}
    for one in people.STAFF:
        user = User.objects.create(
            username=one.username,
            first_name=one.first_name,
            last_name=one.last_name,
            email=f"{one.username}@brightside-solar.example",
            is_staff=True,
            password=password,
            date_joined=now - timedelta(days=400),
        )
        user.groups.add(Group.objects.get(name=one.group))
        staff[one.username] = user
        StaffPhone.objects.create(user=user, number=STAFF_NUMBERS[len(staff) - 1])
    return staff


def make_leads(invented: Sequence[Person], staff: Mapping[str, User], *, now: datetime) -> list[Lead]:
    """In the order of `invented`."""
    lists = {
        name: LeadList.objects.get_or_create(name=name)[0] for name in sorted({p.list for p in invented})
    }
    leads = [
        Lead(
            name=person.name,
            company=person.company,
            email=person.email,
            list=lists[person.list],
            owner=staff.get(person.owner),
            time_zone=person.zone if person.stated else "",
            time_zone_source=ZoneSource.STATED if person.stated else ZoneSource.UNKNOWN,
            custom=dict(person.custom),
            source=LeadSource.IMPORT,
            reason=person.reason,
        )
        for person in invented
    ]
    Lead.objects.bulk_create(leads, batch_size=CHUNK)
    phones = []
    for place, (person, lead) in enumerate(zip(invented, leads, strict=True)):
        # The moment of its making is set by the database layer, whatever is given. Lists begin with the
        # newest: those to try stand first.
        age = timedelta(days=person.known_for_days, minutes=30 + lead.pk % 500)
        lead.created_at = lead.updated_at = now - (
            timedelta(seconds=place) if person.list == people.TRY_THESE else age
        )
        phones.append(LeadPhone(lead=lead, number=person.number, kind=PhoneKind.MOBILE))
        if person.second_number:
            phones.append(LeadPhone(lead=lead, number=person.second_number, kind=PhoneKind.WORK, position=1))
    LeadPhone.objects.bulk_create(phones, batch_size=CHUNK)
    Lead.objects.bulk_update(leads, ["created_at", "updated_at"], batch_size=CHUNK)
    return leads


def _past(
    invented: Sequence[Person],
    leads: Sequence[Lead],
    staff: Mapping[str, User],
    *,
    now: datetime,
    provider: Provider,
    network_url: str,
    luck: Random,
) -> list[Recorded]:
    lead_of = {person.number: lead for person, lead in zip(invented, leads, strict=True)}
    sales = [staff[one.username] for one in people.SALES]
    owners = {lead.pk: lead.owner or luck.choice(sales) for lead in leads}
    agents = {agent.provider_agent_id.removeprefix("agent_sandbox_"): agent for agent in Agent.objects.all()}
    lines = PhoneNumber.objects.in_bulk(field_name="number")
    plan = history.plan(invented, now)
    recorder = Recorder(
        batches=batches.make(plan, leads=lead_of, staff=staff, agents=agents, lines=lines),
        agents=agents,
        lines=lines,
        provider=provider,
        network_url=network_url,
        luck=luck,
    )
    recorded = []
    for planned in plan:
        lead = lead_of[planned.person.number] if planned.person is not None else None
        recorded.append(recorder.record(planned, lead, owners[lead.pk].pk if lead is not None else None))
    after = aftermath.follow(
        recorded, leads={lead.pk: lead for lead in leads}, owners=owners, now=now, luck=luck
    )
    _write_calls(recorded)
    _write_aftermath(after, leads)
    return recorded


def _write_calls(recorded: Sequence[Recorded]) -> None:
    calls = [each.call for each in recorded]
    Call.objects.bulk_create(calls, batch_size=CHUNK)
    CallRequest.objects.bulk_create(
        (
            CallRequest(
                call=call,
                user_id=call.requested_by_id,
                via=Via.DESK if call.requested_by_id else Via.CALL_BACK,
                batch=call.batch,
                requested_at=call.requested_at,
            )
            for call in calls
            if call.direction == Direction.OUTBOUND
        ),
        batch_size=CHUNK,
    )
    transcripts = [each.transcript for each in recorded if each.transcript is not None]
    Transcript.objects.bulk_create(transcripts, batch_size=CHUNK)
    search.index_transcripts([(transcript.call_id, transcript.text) for transcript in transcripts])


def _write_aftermath(after: aftermath.Aftermath, leads: Sequence[Lead]) -> None:
    DoNotCall.objects.bulk_create(after.opt_outs, batch_size=CHUNK)
    CallBack.objects.bulk_create(after.call_backs, batch_size=CHUNK)
    notes = [note for note, _ in after.notes]
    Note.objects.bulk_create(notes, batch_size=CHUNK)
    for note, written in after.notes:
        note.created_at = written
    Note.objects.bulk_update(notes, ["created_at"], batch_size=CHUNK)
    for call_back in after.call_backs:
        assert call_back.promised_in is not None
        assert call_back.promised_in.analysed_at is not None
        call_back.created_at = call_back.promised_in.analysed_at
    CallBack.objects.bulk_update(after.call_backs, ["created_at"], batch_size=CHUNK)
    Lead.objects.bulk_update(leads, ["status", "next_action", "next_action_at"], batch_size=CHUNK)
    for lead_id, number in after.wrong:
        LeadPhone.objects.filter(lead_id=lead_id, number=number).update(state=PhoneState.WRONG)


def _opt_outs_by_mail(
    invented: Sequence[Person],
    leads: Sequence[Lead],
    staff: Mapping[str, User],
    *,
    now: datetime,
    luck: Random,
) -> None:
    known = [(person, lead) for person, lead in zip(invented, leads, strict=True) if person.called]
    DoNotCall.objects.bulk_create(
        DoNotCall(
            number=person.number,
            reason="Wrote to us: no calls, please.",
            source=DoNotCallSource.STAFF,
            lead=lead,
            created_by=staff[people.MANAGER.username],
            created_at=now - timedelta(hours=luck.uniform(2, 12)),
        )
        for person, lead in luck.sample(known, k=min(OPTED_OUT_BY_MAIL, len(known)))
        if not DoNotCall.objects.in_force().filter(number=person.number).exists()
    )


def _promises_ahead(
    invented: Sequence[Person],
    leads: Sequence[Lead],
    staff: Mapping[str, User],
    *,
    now: datetime,
    luck: Random,
) -> None:
    agents = {agent.provider_agent_id: agent for agent in Agent.objects.all()}
    warm = [
        (person, lead)
        for person, lead in zip(invented, leads, strict=True)
        if lead.status in (LeadStatus.CONTACTED, LeadStatus.INTERESTED) and lead.owner and person.called
    ]
    opted_out = DoNotCall.objects.numbers_among(person.number for person, _ in warm)
    for person, lead in luck.sample(warm, k=min(PROMISES_AHEAD, len(warm))):
        if person.number in opted_out:
            continue
        there = now.astimezone(ZoneInfo(person.zone)) + timedelta(days=luck.randint(1, 6))
        dialer.promise(
            lead,
            number=person.number,
            at=there.replace(hour=luck.randint(10, 17), minute=luck.choice((0, 30)), second=0, microsecond=0),
            agent=agents[f"agent_sandbox_{person.agent}"],
            now=now,
            by=lead.owner,
            note=luck.choice(("Asked for a quieter moment.", "Wants to have the papers at hand.")),
        )
