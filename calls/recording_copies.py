"""Recordings kept here too (RECORDINGS=copy), so that they can be heard when the phone company is away.

The copy's row is the queue; a task only says "look at the copy of call N". A copy is claimed with a
condition, written behind what a killed worker left, checked against the length that was announced, and
renamed into its place when it is whole: a file under its own name is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import httpx
import structlog
from django.conf import settings
from django.db.models import Q
from django.tasks import task
from django.utils import timezone

from agents.providers.base import Provider
from calls.models import Call, RecordingCopy
from calls.models.clock import ClockNow
from calls.models.recording import CopyState
from calls.recordings import (
    Recording,
    RecordingGone,
    RecordingUnavailable,
    fetch_recording,
)

log = structlog.get_logger(__name__)

KEEP = "copy"
LEASE = timedelta(seconds=60)
AT_A_SWEEP = 200
TRIES = 13
FIRST_WAIT_S = 60
LONGEST_WAIT_S = 6 * 3600
CHUNK = 1024 * 1024
TOTAL = re.compile(r"^bytes (\d+)-\d+/(\d+)$")
Open = Callable[[Call, str], Recording]


class Overtaken(Exception):
    """Another worker copies this one."""


class Broken(Exception):
    """What came is not what was announced; the next try starts anew or goes on."""


def want_copies(calls: Iterable[Call], *, now: datetime) -> None:
    """Called whenever facts of calls are written: of each that has a recording by now one copy is wanted."""
    if settings.RECORDINGS != KEEP:
        return
    wanted = [call for call in calls if call.recording_url and call.ended_at]
    RecordingCopy.objects.bulk_create(
        [RecordingCopy(call=call, next_try_at=now) for call in wanted], ignore_conflicts=True
    )


def due(*, now: datetime) -> list[uuid.UUID]:
    """Copies that a worker should make or go on with, given out once more: enqueue each."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=ClockNow())
    waiting = RecordingCopy.objects.filter(
        free, state__in=[CopyState.WAITING, CopyState.COPYING], next_try_at__lte=now
    )
    found = list(waiting.order_by("next_try_at").values_list("call_id", flat=True)[:AT_A_SWEEP])
    # So that the next sweep does not hand the same ones out again while they wait for a worker.
    RecordingCopy.objects.filter(pk__in=found).update(next_try_at=now + 5 * LEASE)
    return found


@task
def copy_recording(call_id: str) -> None:
    copy(uuid.UUID(call_id), now=timezone.now())


def enqueue_due(*, now: datetime) -> int:
    """Give what is due to workers. How many; called by whoever sweeps."""
    found = due(now=now)
    for call_id in found:
        copy_recording.enqueue(str(call_id))
    return len(found)


def copy(
    call_id: uuid.UUID, *, now: datetime, provider: Provider | None = None, fetch: Open | None = None
) -> bool:
    """Make or finish one copy, unless another worker is at it. True: it is kept here now."""
    token = uuid.uuid4()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=ClockNow())
    mine = RecordingCopy.objects.filter(free, pk=call_id, state__in=[CopyState.WAITING, CopyState.COPYING])
    if not mine.update(state=CopyState.COPYING, token=token, lease_until=ClockNow() + LEASE):
        return False
    row = RecordingCopy.objects.select_related("call").get(pk=call_id)
    row.token = token
    try:
        with _alone(row.unfinished_path) as part:
            content_type = _fill(row, part, fetch or _fetched_from(provider))
            digest, size = _checksum(part)
            _keep(row, content_type=content_type, digest=digest, size=size)
    except Overtaken:
        return False
    except (RecordingGone, RecordingUnavailable, Broken, httpx.HTTPError, OSError) as problem:
        _later(row, str(problem), now=now)
        return False
    return True


def _fetched_from(provider: Provider | None) -> Open:
    return lambda call, byte_range: fetch_recording(call, byte_range=byte_range, provider=provider)


@contextmanager
def _alone(path: Path) -> Iterator[IO[bytes]]:
    """The unfinished file, for this process alone: one that was frozen past its lease may still be in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as part:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Overtaken from error
        yield part


def _fill(row: RecordingCopy, part: IO[bytes], fetch: Open) -> str:
    """Append what is missing; returns the content type. Raises Broken when it does not add up."""
    have = part.seek(0, os.SEEK_END)
    sound = fetch(row.call, f"bytes={have}-" if have else "")
    try:
        if sound.status == 416:
            # The file is there to its last byte, or longer than it may be.
            if sound.content_range != f"bytes */{have}":
                part.truncate(0)
                raise Broken("what was copied is not a part of it")
            return row.content_type
        first, total = _announced(sound)
        if first != have:
            part.truncate(first)
        for chunk in sound.chunks:
            part.write(chunk)
            if part.tell() // CHUNK != (part.tell() - len(chunk)) // CHUNK:
                _still_ours(row, sound.content_type)
    finally:
        sound.close()
    part.flush()
    if total is not None and part.tell() != total:
        raise Broken(f"{part.tell()} bytes of {total} came")
    return sound.content_type


def _announced(sound: Recording) -> tuple[int, int | None]:
    """The first byte that comes, and how many there are in all."""
    if sound.status == 206 and (match := TOTAL.match(sound.content_range)):
        return int(match[1]), int(match[2])
    return 0, sound.length


def _still_ours(row: RecordingCopy, content_type: str) -> None:
    mine = RecordingCopy.objects.filter(pk=row.pk, token=row.token, state=CopyState.COPYING)
    if not mine.update(lease_until=ClockNow() + LEASE, content_type=content_type[:60]):
        raise Overtaken


def _checksum(part: IO[bytes]) -> tuple[str, int]:
    """Of what is on disk, not of what was sent."""
    part.flush()
    os.fsync(part.fileno())
    part.seek(0)
    digest = hashlib.sha256()
    while piece := part.read(CHUNK):
        digest.update(piece)
    size = part.seek(0, os.SEEK_END)
    if not size:
        raise Broken("nothing came")
    return digest.hexdigest(), size


def _keep(row: RecordingCopy, *, content_type: str, digest: str, size: int) -> None:
    _still_ours(row, content_type)
    row.unfinished_path.replace(row.path)
    folder = os.open(row.path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    kept = RecordingCopy.objects.filter(pk=row.pk, token=row.token).update(
        state=CopyState.KEPT,
        sha256=digest,
        size=size,
        copied_at=ClockNow(),
        lease_until=None,
        token=None,
        problem="",
    )
    if not kept:
        raise Overtaken


def _later(row: RecordingCopy, problem: str, *, now: datetime) -> None:
    tries = row.tries + 1
    wait = timedelta(seconds=min(FIRST_WAIT_S * 2**row.tries, LONGEST_WAIT_S))
    log.warning("recording not copied", call=str(row.pk), tries=tries, why=problem)
    RecordingCopy.objects.filter(pk=row.pk, token=row.token).update(
        state=CopyState.FAILED if tries >= TRIES else CopyState.WAITING,
        tries=tries,
        next_try_at=now + wait,
        problem=problem[:300],
        lease_until=None,
        token=None,
    )


def try_again(call: Call, *, now: datetime) -> bool:
    """A person asks for it after the last try failed. False: there is nothing that failed."""
    failed = RecordingCopy.objects.filter(call=call, state=CopyState.FAILED)
    return bool(failed.update(state=CopyState.WAITING, tries=0, next_try_at=now))


def failed() -> int:
    """How many are not kept here after the last try."""
    return RecordingCopy.objects.filter(state=CopyState.FAILED).count()


def try_all_again(*, now: datetime) -> int:
    """Such as when a disk has room again. A sweep hands out a few hundred a minute. How many."""
    again = RecordingCopy.objects.filter(state=CopyState.FAILED)
    return again.update(state=CopyState.WAITING, tries=0, next_try_at=now)


def failure_of(call: Call) -> RecordingCopy | None:
    """Its copy, when the last try failed."""
    return RecordingCopy.objects.filter(call=call, state=CopyState.FAILED).first()


def delete(call: Call, *, now: datetime) -> bool:
    """Delete our copy for good; it is not made again nor fetched for anybody. True: there was a file."""
    RecordingCopy.objects.update_or_create(
        call=call,
        defaults={"state": CopyState.DELETED, "token": None, "lease_until": None, "problem": ""},
        create_defaults={"state": CopyState.DELETED, "next_try_at": now},
    )
    row = RecordingCopy.objects.get(pk=call.pk)
    there = row.path.exists()
    for path in (row.path, row.unfinished_path):
        path.unlink(missing_ok=True)
    return there
