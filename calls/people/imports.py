"""A file of leads, from preview to the last row.

The row of the import is the queue: a task only says "look at import N". Each bunch of rows commits
together with how far the file is done, on the condition that nobody else has done it meanwhile, so that
a killed worker loses nothing and a second one doubles nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from calls import eligibility
from calls.models import LeadImport, RefusedPart
from calls.models.clock import ClockNow
from calls.models.do_not_call import DoNotCallSource
from calls.models.imports import ImportState
from calls.people import merge
from calls.people.columns import column_problems
from calls.people.reading import Table, UnreadableFile, read_table
from calls.people.rows import Row, read_rows

IN_REQUEST = 2_000
"""Rows imported while whoever confirmed waits; more go to a worker."""
PREVIEW_ROWS = 5_000
BUNCH = 50
"""The most rows a transaction. On SQLite nobody else can write meanwhile, so one that took long is
followed by a smaller one."""
FIRST_BUNCH = 25
FEWEST = 5
LONG_S = 0.1
"""Seconds. Half of what the design allows, with room for a disk that is busy."""
LEASE = timedelta(seconds=60)
TRIES = 3


class Overtaken(Exception):
    """Another worker has gone on with this import."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would do. `counted` rows of `total` were looked at."""

    header: tuple[str, ...]
    first: list[Row]
    total: int
    counted: int
    new: int
    updated: int
    opted_out: int
    refused: list[tuple[Row, str]]
    problems: list[str]


def preview(job: LeadImport) -> Preview:
    """Raises UnreadableFile. Reads, writes nothing."""
    table = read_table(bytes(job.content), job.file_name)
    problems = column_problems(job.columns)
    rows = [] if problems else read_rows(table, job.columns, country=job.country, most=PREVIEW_ROWS)
    made = merge.plan(rows, by=job.created_by) if rows else merge.Plan()
    if rows and len(made.refused) == len(rows) and not any(row.do_not_call for row in rows):
        problems = [
            _("No row could be imported like this: look at the reasons below and choose the columns again.")
        ]
    return Preview(
        header=table.header,
        first=rows[:8] or _unread(table, job.columns),
        total=len(table.rows),
        counted=len(rows),
        new=len(made.new),
        updated=len(made.known),
        opted_out=sum(row.do_not_call and bool(row.phones) for row in rows),
        refused=made.refused,
        problems=problems,
    )


def _unread(table: Table, columns: dict[str, str]) -> list[Row]:
    return [
        Row(number=number, values=dict(zip(table.header, cells, strict=False)))
        for number, cells in table.rows[:8]
    ]


def confirm(job: LeadImport) -> bool:
    """From preview to the queue. False: it was confirmed before."""
    return bool(
        LeadImport.objects.filter(pk=job.pk, state=ImportState.UPLOADED).update(
            state=ImportState.CONFIRMED, lease_until=ClockNow() + LEASE
        )
    )


def stalled() -> list[int]:
    """Imports that a worker should have taken or gone on with, given out once more: enqueue each."""
    unfinished = LeadImport.objects.filter(
        state__in=[ImportState.CONFIRMED, ImportState.RUNNING], lease_until__lt=ClockNow()
    )
    found = list(unfinished.values_list("pk", flat=True))
    # So that the next sweep does not hand the same one out again while it waits for a worker.
    LeadImport.objects.filter(pk__in=found, state=ImportState.CONFIRMED).update(
        lease_until=ClockNow() + LEASE
    )
    return found


def run(import_id: int, *, now: datetime) -> None:
    """Import what is left of one file, unless another worker is at it. Raises what it could not foresee."""
    if not _claim(import_id):
        return
    job = LeadImport.objects.select_related("created_by", "list", "owner").get(pk=import_id)
    try:
        table = read_table(bytes(job.content), job.file_name)
        rows = read_rows(table, job.columns, country=job.country)
        many = min(FIRST_BUNCH, BUNCH)
        while job.row < len(rows):
            began = time.monotonic()
            _import_bunch(job, rows[job.row : job.row + many], now=now)
            many = next_bunch(many, took_s=time.monotonic() - began)
    except Overtaken:
        return
    except UnreadableFile as problem:
        _fail(job, str(problem))
        return
    except Exception as problem:
        _fail(job, f"{type(problem).__name__}: {problem}")
        raise
    LeadImport.objects.filter(pk=job.pk, state=ImportState.RUNNING, row=len(rows)).update(
        state=ImportState.DONE, finished_at=ClockNow(), lease_until=None
    )


def next_bunch(many: int, *, took_s: float) -> int:
    """How many rows the next transaction takes after one of `many` took so long."""
    if took_s > LONG_S:
        return max(min(int(many * LONG_S / took_s), many // 2), min(FEWEST, BUNCH))
    return min(many * 2, BUNCH) if took_s < LONG_S / 3 else many


def _claim(import_id: int) -> bool:
    free = Q(state=ImportState.CONFIRMED) | Q(state=ImportState.RUNNING, lease_until__lt=ClockNow())
    return bool(
        LeadImport.objects.filter(free, pk=import_id).update(
            state=ImportState.RUNNING, lease_until=ClockNow() + LEASE
        )
    )


def _fail(job: LeadImport, problem: str) -> None:
    LeadImport.objects.filter(pk=job.pk, row=job.row).update(
        state=ImportState.FAILED, problem=problem, finished_at=ClockNow(), lease_until=None
    )


def _import_bunch(job: LeadImport, rows: Sequence[Row], *, now: datetime) -> None:
    """Opt-outs first, each on its own: between the two, nobody new can be called who must not be."""
    for row in rows:
        if row.do_not_call:
            for number in row.phones:
                _opt_out(job, number, now=now)
    for left in reversed(range(TRIES)):
        try:
            with transaction.atomic():
                _write_bunch(job, rows, now=now)
        except IntegrityError:
            # The same person was added by somebody else between our look and our insert: look again.
            if not left:
                raise
        else:
            return


def _opt_out(job: LeadImport, number: str, *, now: datetime) -> None:
    eligibility.opt_out(
        number,
        reason=_("Import of %(file)s") % {"file": job.file_name},
        source=DoNotCallSource.IMPORT,
        now=now,
        by=job.created_by,
    )


def _write_bunch(job: LeadImport, rows: Sequence[Row], *, now: datetime) -> None:
    made = merge.plan(rows, by=job.created_by)
    merge.write(made, into=job.list, owner=job.owner, now=now)
    refused: list[dict[str, Any]] = [
        {"row": row.number, "reason": reason, "values": dict(row.values)} for row, reason in made.refused
    ]
    done: dict[str, Any] = {
        "row": job.row + len(rows),
        "created": F("created") + len(made.new),
        "updated": F("updated") + len(made.known),
        "lease_until": ClockNow() + LEASE,
    }
    if refused:
        RefusedPart.objects.create(job=job, first_row=job.row, entries=refused)
        done["refused_rows"] = F("refused_rows") + len(refused)
    if not LeadImport.objects.filter(pk=job.pk, state=ImportState.RUNNING, row=job.row).update(**done):
        raise Overtaken
    job.row += len(rows)
