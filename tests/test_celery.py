"""Background jobs through Celery, with a real RabbitMQ and real worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.contrib.auth.models import User

from calls import people
from calls.models import Heartbeat, Lead, LeadImport
from calls.models.clock import ClockNow
from calls.models.imports import ImportState
from calls.people import tasks
from tests.conftest import API_KEY, in_ci
from tests.database import database_url
from tests.factories import fiction_number
from tests.rabbitmq import Broker, NoBroker

pytestmark = [
    pytest.mark.long,
    # Several machines means PostgreSQL: SQLite is for one.
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("postgresql"),
]

ROOT = Path(__file__).resolve().parent.parent
ROWS = 1_200
Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    try:
        with Broker() as running:
            yield running.url
    except NoBroker as reason:
        if in_ci():
            pytest.fail(str(reason))
        pytest.skip(str(reason))


@pytest.fixture
def app(broker: str, settings: Any) -> Celery:
    """What the web process and the dialer enqueue with."""
    from callcenter import celery_backend

    celery_backend.app.conf.broker_url = broker
    settings.TASKS = {"default": {"BACKEND": "callcenter.celery_backend.CeleryBackend"}}
    celery_backend.app.control.purge()
    return celery_backend.app


def waiting(app: Celery) -> int:
    """Messages in the queue that no worker holds; those of a worker that ended are back in it."""
    with app.connection_for_write() as line:
        return int(line.default_channel.queue_declare("callcenter", passive=True).message_count)


@pytest.fixture
def start_worker(broker: str, tmp_path: Path) -> Iterator[Start]:
    """`make worker` as an operator runs it, in a process group of its own."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "CELERY_BROKER_URL": broker,
        "SECRET_KEY": "only-for-this-test-0123456789",
        "ALLOWED_HOSTS": "testserver",
        "PUBLIC_BASE_URL": "http://testserver",
        "RETELL_API_KEY": API_KEY,
    }
    running = []
    (tmp_path / "workers.log").touch()

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "db_worker", "--no-reload"],
                cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        kill(process)
    print((tmp_path / "workers.log").read_text())


def kill(process: subprocess.Popen[bytes]) -> None:
    """With all it started, as when the machine goes."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def make_import(by: User, rows: int = ROWS) -> LeadImport:
    lines = ["Name,Phone", *(f"Person {n},{fiction_number(n)}" for n in range(rows))]
    job = LeadImport.objects.create(
        created_by=by, owner=by, file_name="many.csv", country="US", rows=rows,
        content="\n".join(lines).encode(), columns={"Name": "name", "Phone": "phone"},
    )  # fmt: skip
    assert people.confirm(job)
    return job


def wait_until(true: Callable[[], bool], within_s: float = 45.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, list(LeadImport.objects.values("state", "row", "problem"))
        time.sleep(0.02)


def progress(job: LeadImport) -> tuple[str, int]:
    return LeadImport.objects.values_list("state", "row").get(pk=job.pk)


def test_a_job_finishes_when_its_worker_is_killed_in_the_middle(
    app: Celery, start_worker: Start, sales: User
) -> None:
    job = make_import(sales)
    tasks.enqueue(job.pk)
    first = start_worker()
    wait_until(lambda: progress(job)[1] > 0)
    kill(first)
    state, row = progress(job)
    assert state == ImportState.RUNNING
    assert 0 < row < ROWS
    # As if its lease had run out: the message that it never acknowledged is what brings the job back.
    LeadImport.objects.filter(pk=job.pk).update(lease_until=ClockNow())
    start_worker()
    wait_until(lambda: progress(job)[0] == ImportState.DONE)
    job.refresh_from_db()
    assert (job.created, job.updated, Lead.objects.count()) == (ROWS, 0, ROWS)


def test_a_job_delivered_twice_runs_once(app: Celery, start_worker: Start, sales: User) -> None:
    job = make_import(sales, 300)
    tasks.enqueue(job.pk)
    tasks.enqueue(job.pk)
    assert waiting(app) == 2
    worker = start_worker()
    wait_until(lambda: progress(job)[0] == ImportState.DONE and waiting(app) == 0)
    worker.terminate()
    worker.wait(20)
    assert waiting(app) == 0, "both were taken and acknowledged"
    job.refresh_from_db()
    assert (job.created, job.updated, Lead.objects.count()) == (300, 0, 300)
    assert Heartbeat.objects.filter(kind="worker").count() <= 1


def test_a_broker_that_is_away_neither_fails_nor_delays_who_enqueues(settings: Any, sales: User) -> None:
    from callcenter import celery_backend

    celery_backend.app.conf.broker_url = "amqp://guest:guest@127.0.0.1:9//"
    settings.TASKS = {"default": {"BACKEND": "callcenter.celery_backend.CeleryBackend"}}
    job = make_import(sales, 2)
    began = time.monotonic()
    tasks.enqueue(job.pk)
    assert time.monotonic() - began < 3
    assert progress(job) == (ImportState.CONFIRMED, 0), "the sweeper gives it out again"
