"""The people of a storm: numbers that belong to no one, in places whose time is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import phonenumbers
from django.contrib.auth.models import User
from django.db.models import Count

from agents.phone import zones_of
from calls.models import Lead, LeadImport, LeadList, LeadPhone
from calls.people import imports
from calls.people.tasks import enqueue

CHUNK = 500
FIRST_NAMES = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Niklaus")
IMPORTED = "storm import"


def numbers() -> Iterator[str]:
    """+1 NPA 555-0100 to 0199 of every area code with a known time, all codes in turn: 42,500 of them."""
    codes = [code for code in range(201, 990) if _exists(f"+1{code}5550123")]
    for ending in range(100, 200):
        for code in codes:
            yield f"+1{code}5550{ending}"


def _exists(number: str) -> bool:
    return phonenumbers.is_valid_number(phonenumbers.parse(number)) and bool(zones_of(number))


def make_leads(numbers: Sequence[str]) -> list[Lead]:
    leads = [
        Lead(
            name=f"{FIRST_NAMES[place % len(FIRST_NAMES)]} Storm {place}", company="Engines", reason="a storm"
        )
        for place in range(len(numbers))
    ]
    Lead.objects.bulk_create(leads, batch_size=CHUNK)
    phones = [LeadPhone(lead=lead, number=number) for lead, number in zip(leads, numbers, strict=True)]
    LeadPhone.objects.bulk_create(phones, batch_size=CHUNK)
    return leads


def start_import(numbers: Sequence[str], by: User) -> None:
    """A file of leads for the worker, which is killed over it."""
    lines = ["name,phone", *(f"Import {place},{number}" for place, number in enumerate(numbers))]
    job = LeadImport.objects.create(
        created_by=by,
        file_name="storm.csv",
        content="\n".join(lines).encode(),
        columns={"name": "name", "phone": "phone"},
        country="US",
        list=LeadList.objects.get_or_create(name=IMPORTED)[0],
    )
    if imports.confirm(job):
        enqueue(job.pk)


def imported() -> tuple[str, int, int]:
    """State of the import, leads it says it made, leads that are there of it: in one statement."""
    counted = LeadImport.objects.annotate(there=Count("list__leads"))
    state, made, there = counted.values_list("state", "created", "there").get()
    return state, made, there
