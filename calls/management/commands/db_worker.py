from __future__ import annotations

import os
import socket
import threading
from typing import Any

from django.db import DatabaseError, connection
from django_tasks_db.management.commands.db_worker import Command as TasksWorker

from callcenter.checks import refuse_without_settings
from calls.dialer import gate
from calls.dialer.loop import HEARTBEAT_S
from calls.models.clock import database_now


class Command(TasksWorker):
    """The library's worker, with our settings asked for and a heartbeat beside it."""

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_without_settings("db_worker")
        stopping = threading.Event()
        beating = threading.Thread(target=_beat, args=(stopping,), name="heartbeat", daemon=True)
        beating.start()
        try:
            super().handle(*args, **options)
        finally:
            stopping.set()


def _beat(stopping: threading.Event) -> None:
    name = f"worker {socket.gethostname()} {os.getpid()}"
    while not stopping.wait(HEARTBEAT_S):
        try:
            gate.beat(name, "worker", now=database_now(), detail={"pid": os.getpid()})
        except DatabaseError:
            connection.close()
