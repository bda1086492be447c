"""What a worker does for lead files: look at import N."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.tasks import task
from django.utils import timezone

from calls.people import imports


@task
def import_leads(import_id: int) -> None:
    imports.run(import_id, now=timezone.now())


def enqueue(import_id: int) -> None:
    """Once the confirmation is committed, and not if it is not."""
    transaction.on_commit(partial(import_leads.enqueue, import_id))


def resume_stalled() -> int:
    """Give imports whose worker died to another. How many; called by whoever sweeps."""
    found = imports.stalled()
    for import_id in found:
        enqueue(import_id)
    return len(found)
