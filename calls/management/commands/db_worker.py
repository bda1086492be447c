from __future__ import annotations

import os
import signal
import socket
import threading
import time
from argparse import ArgumentParser
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.tasks import default_task_backend
from django_tasks_db.management.commands.db_worker import Command as TasksWorker

from callcenter.checks import refuse_without_settings
from calls.dialer import beat
from calls.dialer.loop import HEARTBEAT_S
from calls.models.clock import database_now

log = structlog.get_logger(__name__)

JOBS_AT_ONCE = 2
"""Processes of one Celery worker. Without Celery a worker does one job at a time."""
AGAIN_S = 1.0


class Command(TasksWorker):
    """The library's worker, or Celery's where a broker is set; our settings asked for, and a heartbeat."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        if settings.CELERY_BROKER_URL:
            parser.add_argument(
                "--no-reload", action="store_true", help="as without Celery; it never reloads"
            )
        else:
            super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_without_settings("db_worker")
        stopping = threading.Event()
        beating = threading.Thread(target=_beat, args=(stopping,), name="heartbeat", daemon=True)
        beating.start()
        try:
            if settings.CELERY_BROKER_URL:
                backend: Any = default_task_backend
                backend.work(at_once=JOBS_AT_ONCE, log_level=settings.LOG_LEVEL)
            else:
                self._work(*args, **options)
        finally:
            stopping.set()

    def _work(self, *args: Any, **options: Any) -> None:
        """The library's worker ends when the database goes away while it asks for a job; ours asks again."""
        while True:
            try:
                super().handle(*args, **options)
            except (OperationalError, InterfaceError) as problem:
                if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                    raise  # told to end already: the library waits for a second signal with the default
                log.warning("no jobs are done: the database is away", why=str(problem))
                # Nothing is being done, so whoever ends us now need not wait.
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                connection.close()
                time.sleep(AGAIN_S)
            else:
                return


def _beat(stopping: threading.Event) -> None:
    name = f"worker {socket.gethostname()} {os.getpid()}"
    while not stopping.wait(HEARTBEAT_S):
        try:
            beat(name, "worker", now=database_now(), detail={"pid": os.getpid()})
        except DatabaseError:
            log.warning("no heartbeat: the database is away")
        finally:
            # Celery forks this process: nothing open is handed on.
            connection.close()
