"""A worker killed with -9 in the middle of a file is followed by one that goes on where it was."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django_tasks_db.management.commands.db_worker import Command as TasksWorker

from calls.management.commands import db_worker
from calls.models import Lead, LeadExport, LeadImport, LeadPhone
from calls.models.clock import ClockNow
from calls.people import confirm, export_jobs, tasks
from tests.conftest import API_KEY
from tests.database import database_url
from tests.factories import fiction_number

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]
ROOT = Path(__file__).resolve().parent.parent
ROWS = 4_000
Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Start]:
    """`make worker` as an operator runs it, on the database of this test."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "CELERY_BROKER_URL": "",
        "SECRET_KEY": "only-for-this-test-0123456789",
        "ALLOWED_HOSTS": "testserver",
        "PUBLIC_BASE_URL": "http://testserver",
        "RETELL_API_KEY": API_KEY,
    }
    running: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "db_worker", "--no-reload", "--interval", "0.1"],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=10)


def wait_until(true: Callable[[], bool], tmp_path: Path, within_s: float = 120.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, (tmp_path / "workers.log").read_text()[-3000:]
        time.sleep(0.02)


def kill_in_the_middle(worker: subprocess.Popen[bytes], job: Any, tmp_path: Path) -> int:
    """-9 once some rows are done; returns how many."""

    def begun() -> bool:
        job.refresh_from_db(fields=["row", "state"])
        return job.row > 0

    wait_until(begun, tmp_path)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(timeout=10)
    job.refresh_from_db(fields=["row", "state"])
    assert job.state == "running"
    assert 0 < job.row < ROWS
    return int(job.row)


def done(job: Any) -> bool:
    job.refresh_from_db(fields=["row", "state"])
    return bool(job.state == "done")


def test_an_import_whose_worker_is_killed_adds_every_row_once(
    sales: User, start_worker: Start, tmp_path: Path, client: Client
) -> None:
    # Ids tell apart who shares a telephone: there are only so many numbers for fiction.
    lines = [f"Lead {n},{fiction_number(n)},x{n}" for n in range(ROWS)]
    content = "\n".join(["name,phone,id", *lines])
    job = LeadImport.objects.create(
        created_by=sales, file_name="long.csv", content=content.encode(), country="US", rows=ROWS,
        columns={"name": "name", "phone": "phone", "id": "external_id"},
    )  # fmt: skip
    confirm(job)
    tasks.enqueue(job.pk)
    so_far = kill_in_the_middle(start_worker(), job, tmp_path)
    assert tasks.resume_stalled() == 0, "its lease still runs"
    LeadImport.objects.filter(pk=job.pk).update(lease_until=ClockNow())
    assert tasks.resume_stalled() == 1
    start_worker()
    client.force_login(sales)
    seen = []

    def followed() -> bool:
        page = client.get(f"/admin/calls/leadimport/{job.pk}/progress/").content.decode()
        seen.append(page)
        return done(job)

    wait_until(followed, tmp_path)
    job.refresh_from_db()
    assert (job.row, job.created, job.updated, job.refused_rows) == (ROWS, ROWS, 0, 0)
    assert Lead.objects.count() == LeadPhone.objects.count() == ROWS > so_far
    assert Lead.objects.values("external_id").distinct().count() == ROWS
    assert "hx-get" in seen[0]
    assert "hx-get" not in client.get(f"/admin/calls/leadimport/{job.pk}/progress/").content.decode()


def test_an_export_whose_worker_is_killed_writes_every_lead_once(
    manager: User, start_worker: Start, tmp_path: Path, client: Client
) -> None:
    leads = Lead.objects.bulk_create([Lead(name=f"Lead {n}") for n in range(ROWS)])
    LeadPhone.objects.bulk_create(
        [LeadPhone(lead=lead, number=fiction_number(n)) for n, lead in enumerate(leads)]
    )
    job = export_jobs.begin_export([lead.pk for lead in leads], by=manager)
    tasks.enqueue_export(job.pk)
    so_far = kill_in_the_middle(start_worker(), job, tmp_path)
    LeadExport.objects.filter(pk=job.pk).update(lease_until=ClockNow())
    assert tasks.resume_stalled() == 1
    start_worker()
    wait_until(lambda: done(job), tmp_path)
    client.force_login(manager)
    answer = client.get(f"/admin/calls/leadexport/{job.pk}/file/")
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    names = [row["name"] for row in csv.DictReader(io.StringIO(text))]
    assert names == [lead.name for lead in leads]
    assert len(names) > so_far


def test_a_worker_goes_on_when_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def work(*_: Any, **__: Any) -> None:
        asked.append("for a job")
        signal.signal(signal.SIGTERM, lambda *_: None)
        if len(asked) < 3:
            raise OperationalError("server closed the connection unexpectedly")

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(db_worker, "AGAIN_S", 0.0)
    monkeypatch.setattr(TasksWorker, "handle", work)
    try:
        db_worker.Command()._work()
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    assert len(asked) == 3
