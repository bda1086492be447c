"""What a worker does for lead files: look at import N, look at export N."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.tasks import task
from django.utils import timezone

from calls.people import export_jobs, imports


@task
def import_leads(import_id: int) -> None:
    imports.run(import_id, now=timezone.now())


@task
def export_leads(export_id: int) -> None:
    export_jobs.run_export(export_id)


def enqueue_export(export_id: int) -> None:
    transaction.on_commit(partial(export_leads.enqueue, export_id))


def enqueue(import_id: int) -> None:
    """Once the confirmation is committed, and not if it is not."""
    transaction.on_commit(partial(import_leads.enqueue, import_id))


def resume_stalled() -> int:
    """Give imports and exports whose worker died to another. How many; called by whoever sweeps."""
    found, exports = imports.stalled(), export_jobs.stalled_exports()
    for import_id in found:
        enqueue(import_id)
    for export_id in exports:
        enqueue_export(export_id)
    return len(found) + len(exports)
