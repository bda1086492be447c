"""RECORDINGS=copy: each recording is kept here too, whole or not at all, and heard when nobody answers."""

from __future__ import annotations

import fcntl
import hashlib
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from agents.providers.base import NotFound
from calls import recording_copies
from calls.models import Call, RecordingCopy
from calls.recordings import Recording, RecordingUnavailable, fetch_recording, open_recording
from tests import factories
from tests.inbox import apply_pending
from tests.test_applying import END, START, tell
from tests.test_recordings import SOUND, URL, PhoneCompany, storage

pytestmark = pytest.mark.django_db
WHOLE = hashlib.sha256(SOUND).hexdigest()


@pytest.fixture(autouse=True)
def _keeping(settings: LazySettings, tmp_path: Path) -> None:
    settings.RECORDINGS = "copy"
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def wanted() -> RecordingCopy:
    call = factories.make_call("ended", recording_url=URL)
    recording_copies.want_copies([call], now=timezone.now())
    return RecordingCopy.objects.get()


class Storage:
    """Fetches from a phone company; `asked` are the ranges. `cuts`: bytes after which a connection breaks."""

    def __init__(self, *, cuts: int = 0, answer: Any = URL, **options: Any) -> None:
        self.asked: list[str] = []
        self.cuts, self.answer, self.options = cuts, answer, options

    def __call__(self, call: Call, byte_range: str) -> Recording:
        self.asked.append(byte_range)
        company: Any = PhoneCompany(self.answer)
        sound = fetch_recording(call, byte_range=byte_range, provider=company, client=storage(**self.options))
        if not self.cuts:
            return sound

        def broken() -> Any:
            sent = 0
            for chunk in sound.chunks:
                yield chunk[: self.cuts - sent]
                sent += len(chunk)
                if sent >= self.cuts:
                    raise OSError("connection reset")

        return Recording(
            sound.status, sound.content_type, sound.length, sound.content_range, broken(), sound.source
        )


def copy(row: RecordingCopy, fetch: Any) -> bool:
    done = recording_copies.copy(row.pk, now=timezone.now(), fetch=fetch)
    row.refresh_from_db()
    return done


def test_a_call_whose_recording_is_told_of_wants_one_copy(settings: LazySettings) -> None:
    for mode, wanted in (("stream", 0), ("copy", 1)):
        settings.RECORDINGS = mode
        call = factories.make_call("placed", provider_call_id=f"call_{mode}")
        for event in ("call_ended", "call_analyzed"):
            tell(
                event, f"call_{mode}", call_uuid=str(call.pk), call_status="ended", start_timestamp=START,
                end_timestamp=END, disconnection_reason="user_hangup", recording_url=URL,
            )  # fmt: skip
        apply_pending(now=timezone.now() + timedelta(seconds=1))
        assert RecordingCopy.objects.count() == wanted


def test_it_is_copied_whole_checksummed_and_then_heard_without_the_phone_company(
    wanted: RecordingCopy, sales: User, client: Client
) -> None:
    assert copy(wanted, Storage()) is True
    assert (wanted.state, wanted.size, wanted.sha256) == ("kept", len(SOUND), WHOLE)
    assert wanted.path.read_bytes() == SOUND
    assert not wanted.unfinished_path.exists()
    client.force_login(sales)  # RETELL_BASE_URL leads nowhere in tests
    answer = client.get(f"/admin/calls/call/{wanted.pk}/recording")
    assert (answer.status_code, answer["Content-Length"]) == (200, str(len(SOUND)))
    assert b"".join(answer.streaming_content) == SOUND  # type: ignore[attr-defined]
    part = client.get(f"/admin/calls/call/{wanted.pk}/recording", headers={"range": "bytes=100-199"})
    assert (part.status_code, part["Content-Range"]) == (206, f"bytes 100-199/{len(SOUND)}")
    assert b"".join(part.streaming_content) == SOUND[100:200]  # type: ignore[attr-defined]
    last = client.get(f"/admin/calls/call/{wanted.pk}/recording", headers={"range": "bytes=-5"})
    assert b"".join(last.streaming_content) == SOUND[-5:]  # type: ignore[attr-defined]
    past = client.get(f"/admin/calls/call/{wanted.pk}/recording", headers={"range": "bytes=999999-"})
    assert (past.status_code, past["Content-Range"]) == (416, f"bytes */{len(SOUND)}")


@pytest.mark.parametrize("ranges", [True, False], ids=["storage-knows-ranges", "storage-does-not"])
def test_a_copy_that_broke_off_goes_on_where_it_was(wanted: RecordingCopy, ranges: bool) -> None:
    broken = Storage(cuts=100_000, ranges=ranges)
    assert copy(wanted, broken) is False
    assert (wanted.state, wanted.tries, wanted.problem) == ("waiting", 1, "connection reset")
    assert wanted.unfinished_path.stat().st_size == 100_000
    assert not wanted.path.exists()
    whole = Storage(ranges=ranges)
    assert copy(wanted, whole) is True
    assert whole.asked == ["bytes=100000-"]
    assert hashlib.sha256(wanted.path.read_bytes()).hexdigest() == wanted.sha256 == WHOLE


def test_a_file_that_cannot_be_part_of_it_is_thrown_away(wanted: RecordingCopy) -> None:
    wanted.unfinished_path.parent.mkdir(parents=True)
    wanted.unfinished_path.write_bytes(SOUND + b"more than there is")
    assert copy(wanted, Storage()) is False
    assert copy(wanted, Storage()) is True
    assert wanted.sha256 == WHOLE


def test_a_worker_killed_before_the_last_step_left_a_whole_file_that_is_taken_up(
    wanted: RecordingCopy,
) -> None:
    wanted.unfinished_path.parent.mkdir(parents=True)
    wanted.unfinished_path.write_bytes(SOUND)
    RecordingCopy.objects.update(state="copying", lease_until=timezone.now() - timedelta(seconds=1))
    assert copy(wanted, Storage()) is True
    assert wanted.sha256 == WHOLE


def test_failures_wait_longer_each_time_and_end(wanted: RecordingCopy) -> None:
    waits = []
    for _try in range(recording_copies.TRIES):
        before = timezone.now()
        assert copy(wanted, Storage(answer=NotFound("gone"))) is False
        waits.append(round((wanted.next_try_at - before).total_seconds()))
    assert waits[:4] == [60, 120, 240, 480]
    assert max(waits) == recording_copies.LONGEST_WAIT_S
    assert wanted.state == "failed"
    assert recording_copies.due(now=timezone.now() + timedelta(days=9)) == []


def test_two_workers_make_one_copy(wanted: RecordingCopy) -> None:
    taken: list[bool] = []

    def fetch(call: Call, byte_range: str) -> Recording:
        taken.append(recording_copies.copy(wanted.pk, now=timezone.now(), fetch=Storage()))
        return Storage()(call, byte_range)

    assert copy(wanted, fetch) is True
    assert taken == [False]


def test_one_that_was_frozen_past_its_lease_and_still_holds_the_file_is_left_alone(
    wanted: RecordingCopy,
) -> None:
    wanted.unfinished_path.parent.mkdir(parents=True)
    with wanted.unfinished_path.open("ab") as frozen:
        fcntl.flock(frozen, fcntl.LOCK_EX)
        assert copy(wanted, Storage()) is False
    assert wanted.state == "copying"
    RecordingCopy.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert copy(wanted, Storage()) is True


def test_due_copies_are_given_out_once_until_they_should_be_done(wanted: RecordingCopy) -> None:
    now = timezone.now() + timedelta(seconds=1)
    assert recording_copies.due(now=now) == [wanted.pk]
    assert recording_copies.due(now=now) == []
    assert recording_copies.due(now=now + timedelta(minutes=6)) == [wanted.pk]


def test_a_deleted_recording_is_played_to_nobody_and_not_made_again(wanted: RecordingCopy) -> None:
    copy(wanted, Storage())
    out = StringIO()
    call_command("delete_recording", str(wanted.pk), stdout=out)
    assert "Deleted." in out.getvalue()
    assert wanted.call.provider_call_id in out.getvalue()
    assert not wanted.path.exists()
    company: Any = PhoneCompany()
    with pytest.raises(Exception, match="deleted"):
        open_recording(wanted.call, provider=company, client=storage())
    assert company.asked == []
    recording_copies.want_copies([wanted.call], now=timezone.now())
    assert copy(wanted, Storage()) is False
    assert wanted.state == "deleted"


def test_a_copy_that_somebody_removed_by_hand_is_fetched_again_to_be_heard(wanted: RecordingCopy) -> None:
    copy(wanted, Storage())
    wanted.path.unlink()
    company: Any = PhoneCompany()
    sound = open_recording(wanted.call, provider=company, client=storage())
    assert b"".join(sound.chunks) == SOUND


def test_a_copy_is_shut_to_who_may_not_see_the_call(
    sales: User, manager: User, client: Client, wanted: RecordingCopy
) -> None:
    copy(wanted, Storage())
    Call.objects.filter(pk=wanted.pk).update(lead=factories.make_lead(owner=manager))
    client.force_login(sales)
    assert client.get(f"/admin/calls/call/{wanted.pk}/recording").status_code == 404


def test_a_phone_company_that_is_away_costs_a_try_and_no_file(wanted: RecordingCopy) -> None:
    def away(call: Call, byte_range: str) -> Recording:
        raise RecordingUnavailable("away")

    assert copy(wanted, away) is False
    assert (wanted.state, wanted.problem, wanted.path.exists()) == ("waiting", "away", False)
