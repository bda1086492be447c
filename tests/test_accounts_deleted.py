"""What somebody began goes on after their account was deleted."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from calls import people
from calls.models import DoNotCall, Lead, LeadImport
from calls.models.imports import ImportState
from calls.people import export_jobs
from tests.factories import make_lead
from tests.test_imports import reasons

pytestmark = pytest.mark.django_db


def test_an_import_goes_on_after_whoever_brought_it_was_deleted(sales: User, manager: User) -> None:
    make_lead("+14155550101", name="Mine", owner=sales)
    make_lead("+14155550102", name="Theirs", owner=manager)
    lines = ("Name,Phone,DNC", "Ada,4155550101,", "Bert,4155550102,", "Cora,4155550103,", ",4155550104,yes")
    columns = {"Name": "name", "Phone": "phone", "DNC": "do_not_call"}
    job = LeadImport.objects.create(
        created_by=sales,
        file_name="leads.csv",
        content="\n".join(lines).encode(),
        columns=columns,
        country="US",
    )
    assert people.confirm(job)
    sales.delete()
    people.run(job.pk, now=timezone.now())
    job.refresh_from_db()
    assert (job.state, job.problem, job.created, job.updated) == (ImportState.DONE, "", 1, 1)
    assert set(Lead.objects.values_list("name", flat=True)) == {"Ada", "Theirs", "Cora"}
    assert reasons(job) == {3: "This lead belongs to somebody else."}
    assert DoNotCall.objects.in_force().filter(number="+14155550104").exists()


def test_an_export_is_finished_without_the_leads_that_belong_to_somebody(sales: User, manager: User) -> None:
    leads = [make_lead(name="Free"), make_lead(name="Theirs", owner=manager)]
    job = export_jobs.begin_export([lead.pk for lead in leads], by=sales)
    sales.delete()
    export_jobs.run_export(job.pk)
    job.refresh_from_db()
    assert job.state == "done"
    text = "".join(export_jobs.exported_csv(job))
    assert "Free" in text
    assert "Theirs" not in text
