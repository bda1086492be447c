"""Django's Tasks API over Celery and RabbitMQ, for background jobs on several machines (`CELERY_BROKER_URL`).

A message only says which task to run on which row. It is acknowledged when the job is done, so the job of
a killed worker is given to another at once; it may come twice, which each task's conditional claim answers.
No result is kept: the row has it.
"""

from __future__ import annotations

import uuid
from typing import Any

import structlog
from celery import Celery
from django.conf import settings
from django.db import connections
from django.tasks import Task, TaskResult, TaskResultStatus
from django.tasks.backends.base import BaseTaskBackend
from django.utils import timezone
from django.utils.json import normalize_json
from django.utils.module_loading import import_string
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)

app = Celery("callcenter", broker=settings.CELERY_BROKER_URL)
app.conf.update(
    task_default_queue="callcenter",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    # Whoever enqueues is answering a request: a broker that is away must not hold it up.
    broker_connection_timeout=3,
    broker_transport_options={"confirm_publish": True, "read_timeout": 5, "write_timeout": 5},
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
)


@app.task(name="callcenter.run")
def run(path: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    task = import_string(path)
    if not isinstance(task, Task):
        raise TypeError(f"{path} is not a task")
    task.call(*args, **kwargs)


class CeleryBackend(BaseTaskBackend):
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """A broker that is away loses nothing: the row is there, and the sweeper enqueues it again."""
        self.validate_task(task)
        said: Any = normalize_json({"args": list(args), "kwargs": dict(kwargs)})
        result: Any = TaskResult(
            task=task, id=str(uuid.uuid4()), status=TaskResultStatus.READY, enqueued_at=timezone.now(),
            started_at=None, finished_at=None, last_attempted_at=None, backend=self.alias, errors=[],
            worker_ids=[], **said,
        )  # fmt: skip
        try:
            run.apply_async([task.module_path, *said.values()], task_id=result.id)
        except OperationalError as error:
            log.warning("task not enqueued, the sweeper will", task=task.module_path, why=str(error))
        return result

    def work(self, *, at_once: int, log_level: str) -> None:
        """Be a worker until SIGTERM; what is being done is finished first."""
        # Each process of a worker has one thread; a pool opened before the fork would share its sockets.
        connections.settings["default"].get("OPTIONS", {}).pop("pool", None)
        quiet = ["--without-gossip", "--without-mingle"]
        app.worker_main(["worker", f"--concurrency={at_once}", f"--loglevel={log_level}", *quiet])
