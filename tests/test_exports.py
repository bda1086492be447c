"""A long list is written to its file in the background, every lead once, whatever is killed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from openpyxl import load_workbook

from calls.lifecycle.tidy import tidy
from calls.models import Lead, LeadExport
from calls.people import export_jobs
from tests.factories import make_lead

pytestmark = pytest.mark.django_db
SignIn = Callable[[User], Client]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_jobs, "IN_REQUEST", 3)
    monkeypatch.setattr(export_jobs, "BUNCH", 2)


def rows_of(client: Client, job: LeadExport) -> list[list[str]]:
    answer = client.get(f"/admin/calls/leadexport/{job.pk}/file/")
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    return list(csv.reader(io.StringIO(text)))


@pytest.mark.usefixtures("small")
def test_a_long_list_goes_to_a_worker_and_comes_back_as_csv_and_workbook(
    sign_in: SignIn, manager: User, django_capture_on_commit_callbacks: Any
) -> None:
    names = [f"=SUM({n})" for n in range(7)]
    for name in names:
        make_lead(name=name)
    client = sign_in(manager)
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.get("/admin/calls/lead/export/")
    job = LeadExport.objects.get()
    assert answer["Location"] == f"/admin/calls/leadexport/{job.pk}/change/"
    assert "every 2s" in client.get(answer["Location"]).content.decode()
    assert client.get(f"/admin/calls/leadexport/{job.pk}/file/").status_code == 404
    export_jobs.run_export(job.pk)
    job.refresh_from_db()
    assert (job.state, job.row, job.parts.count()) == ("done", 7, 4)
    page = client.get(answer["Location"]).content.decode()
    assert "every 2s" not in page
    assert "Fetch as CSV" in page
    heading, *rows = rows_of(client, job)
    assert heading[0] == "name"
    assert sorted(row[0] for row in rows) == [f"'{name}" for name in names]
    book = b"".join(client.get(f"/admin/calls/leadexport/{job.pk}/file/?format=xlsx").streaming_content)  # type: ignore[attr-defined]
    sheet = load_workbook(io.BytesIO(book)).active
    cells = [row[0] for row in sheet.iter_rows(values_only=True)]  # type: ignore[union-attr]
    assert sorted(cells[1:]) == names  # type: ignore[type-var]


@pytest.mark.usefixtures("small")
def test_an_export_killed_between_two_parts_goes_on_there_and_a_second_worker_keeps_off(
    manager: User, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads = [make_lead(name=f"Lead {n}") for n in range(6)]
    job = export_jobs.begin_export([lead.pk for lead in leads], by=manager)
    written = export_jobs._write_part

    def dies(job: LeadExport) -> None:
        if job.row == 4:
            raise KeyboardInterrupt
        written(job)

    monkeypatch.setattr(export_jobs, "_write_part", dies)
    with pytest.raises(KeyboardInterrupt):
        export_jobs.run_export(job.pk)
    monkeypatch.setattr(export_jobs, "_write_part", written)
    export_jobs.run_export(job.pk)
    job.refresh_from_db()
    assert (job.state, job.row) == ("running", 4)
    assert export_jobs.stalled_exports() == []
    Lead.objects.filter(pk=leads[5].pk).delete()
    LeadExport.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert export_jobs.stalled_exports() == [job.pk]
    export_jobs.run_export(job.pk)
    names = [row[0] for row in rows_of(sign_in(manager), job)[1:]]
    assert names == ["Lead 0", "Lead 1", "Lead 2", "Lead 3", "Lead 4"]


@pytest.mark.usefixtures("small")
def test_a_worker_that_was_overtaken_leaves_no_part(manager: User) -> None:
    job = export_jobs.begin_export([make_lead().pk for _ in range(4)], by=manager)
    LeadExport.objects.filter(pk=job.pk).update(state="running", row=2)
    with pytest.raises(export_jobs.Overtaken):
        export_jobs._write_part(job)
    assert not job.parts.exists()


def test_exports_are_for_those_who_see_everyones_and_go_after_a_week(
    sales: User, manager: User, sign_in: SignIn
) -> None:
    job = export_jobs.begin_export([make_lead().pk], by=manager)
    export_jobs.run_export(job.pk)
    for at in ("", f"{job.pk}/change/", f"{job.pk}/file/", f"{job.pk}/progress/"):
        assert sign_in(sales).get(f"/admin/calls/leadexport/{at}").status_code == 403
    tidy(now=timezone.now() + timedelta(days=6))
    assert LeadExport.objects.exists()
    tidy(now=timezone.now() + timedelta(days=8))
    assert not LeadExport.objects.exists()
