"""A long list of leads becomes a file in the background, from the press of the button to the last row.

The row of the export is the queue, as with imports: each part of the file commits together with how far
it is, on the condition that nobody else has written it meanwhile.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from calls.models import Lead, LeadExport, LeadExportPart
from calls.models.clock import ClockNow
from calls.models.exports import ExportState
from calls.people.exports import HEADING, bunch_rows, csv_lines

IN_REQUEST = 2_000
"""Leads exported while whoever asked waits; more go to a worker."""
AS_WORKBOOK = 10_000
"""The most that is made into a workbook while somebody waits for it."""
BUNCH = 500
LEASE = timedelta(seconds=60)


class Overtaken(Exception):
    """Another worker has gone on with this export."""


def begin_export(lead_ids: Sequence[int], *, by: Any) -> LeadExport:
    """The row that a worker will look at: enqueue it."""
    return LeadExport.objects.create(
        created_by_id=by.pk, lead_ids=list(lead_ids), rows=len(lead_ids), lease_until=ClockNow() + LEASE
    )


def stalled_exports() -> list[int]:
    """Exports that a worker should have taken or gone on with, given out once more: enqueue each."""
    unfinished = LeadExport.objects.filter(
        state__in=[ExportState.WAITING, ExportState.RUNNING], lease_until__lt=ClockNow()
    )
    found = list(unfinished.values_list("pk", flat=True))
    LeadExport.objects.filter(pk__in=found, state=ExportState.WAITING).update(lease_until=ClockNow() + LEASE)
    return found


def run_export(export_id: int) -> None:
    """Write what is left of one export, unless another worker is at it. Raises what it could not foresee."""
    free = Q(state=ExportState.WAITING) | Q(state=ExportState.RUNNING, lease_until__lt=ClockNow())
    if not LeadExport.objects.filter(free, pk=export_id).update(
        state=ExportState.RUNNING, lease_until=ClockNow() + LEASE
    ):
        return
    job = LeadExport.objects.select_related("created_by").get(pk=export_id)
    try:
        while job.row < job.rows:
            _write_part(job)
    except Overtaken:
        return
    except Exception as problem:
        LeadExport.objects.filter(pk=job.pk, row=job.row).update(
            state=ExportState.FAILED,
            problem=f"{type(problem).__name__}: {problem}",
            finished_at=ClockNow(),
            lease_until=None,
        )
        raise
    LeadExport.objects.filter(pk=job.pk, state=ExportState.RUNNING, row=job.rows).update(
        state=ExportState.DONE, finished_at=ClockNow(), lease_until=None
    )


def _write_part(job: LeadExport) -> None:
    """Read outside the transaction; a lead deleted meanwhile is left out."""
    some = job.lead_ids[job.row : job.row + BUNCH]
    leads = (
        Lead.objects.visible_to(job.created_by)
        .filter(pk__in=some)
        .select_related("list", "owner")
        .prefetch_related("phones")
    )
    by_id = {lead.pk: lead for lead in leads}
    lines = csv_lines(bunch_rows([by_id[pk] for pk in some if pk in by_id]))
    text = "".join(line for line in lines if line != "\ufeff")
    with transaction.atomic():
        LeadExportPart.objects.get_or_create(export=job, first_row=job.row, defaults={"text": text})
        if not LeadExport.objects.filter(pk=job.pk, state=ExportState.RUNNING, row=job.row).update(
            row=job.row + len(some), lease_until=ClockNow() + LEASE
        ):
            raise Overtaken
    job.row += len(some)


def exported_csv(job: LeadExport) -> Iterator[str]:
    """The whole file, a part in memory at a time."""
    yield from csv_lines([HEADING])
    yield from job.parts.values_list("text", flat=True).iterator(chunk_size=20)


def exported_rows(job: LeadExport) -> Iterator[list[str]]:
    """The same as rows, for a workbook, where no cell can be a formula: without the apostrophes."""
    yield HEADING
    for text in job.parts.values_list("text", flat=True).iterator(chunk_size=20):
        for row in csv.reader(io.StringIO(text, newline="")):
            yield [
                cell[1:] if cell.startswith(("'=", "'+", "'-", "'@", "'\t", "'\r", "'\n")) else cell
                for cell in row
            ]
