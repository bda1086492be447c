"""Many at once: shown before, undone for ten seconds, filled in pieces, followed to the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from agents.models import Agent
from calls import dialer, eligibility
from calls.dialer.batches import fill_next, finish_batches
from calls.models import Call, CallBatch, CallStatus, Lead
from tests import factories

pytestmark = [pytest.mark.django_db]
NOON = "2026-11-23T20:00:00+00:00"  # in Los Angeles; 21:00 in Berlin


@pytest.fixture
def leads(sales: User) -> list[Lead]:
    """Two who may be called now, one later, one never, one on the phone."""
    now = [factories.make_lead("+14155550181"), factories.make_lead("+14155550182")]
    later = factories.make_lead("+14155550183", time_zone="Europe/Berlin")
    never = factories.make_lead("+14155550184")
    eligibility.opt_out("+14155550184", reason="asked", source="staff", now=timezone.now())
    talking = factories.make_lead("+14155550185")
    factories.make_call(status=CallStatus.IN_PROGRESS, counterpart="+14155550185")
    return [*now, later, never, talking]


@pytest.fixture
def batch(leads: list[Lead], sales: User) -> CallBatch:
    agent: Agent = factories.make_agent()
    return dialer.open_batch(by=sales, lead_ids=[lead.pk for lead in leads], agent=agent, now=timezone.now())


def fill() -> None:
    while fill_next(now=timezone.now()):
        pass


@time_machine.travel(NOON, tick=False)
def test_the_preview_counts_now_later_and_never_and_writes_nothing(batch: CallBatch) -> None:
    shown = dialer.preview(batch, now=timezone.now())
    assert (len(shown.now), len(shown.later), len(shown.never)) == (2, 1, 2)
    assert {code for code, _text, _n in shown.never_by_reason()} == {"do_not_call", "on_the_phone"}
    assert shown.first_later is not None
    assert shown.first_later.at is not None
    assert Call.objects.filter(batch=batch).count() == 0


@time_machine.travel(NOON, tick=False)
def test_no_call_of_a_batch_is_due_before_the_time_to_undo_it_is_over(batch: CallBatch) -> None:
    assert dialer.start_batch(batch, now=timezone.now())
    assert dialer.start_batch(batch, now=timezone.now()) is False
    fill()
    due = Call.objects.filter(batch=batch).order_by("due_at")
    assert due.count() == 3
    assert due[0].due_at == timezone.now() + timedelta(seconds=10)
    batch.refresh_from_db()
    assert {row["code"] for row in batch.refused} == {"do_not_call", "on_the_phone"}


@time_machine.travel(NOON, tick=False)
def test_a_batch_call_lasts_until_the_callees_day_is_over(batch: CallBatch) -> None:
    dialer.start_batch(batch, now=timezone.now())
    fill()
    here = Call.objects.get(counterpart="+14155550181")
    assert here.not_after is not None
    assert here.not_after.isoformat() == "2026-11-24T04:00:00+00:00"
    there = Call.objects.get(counterpart="+14155550183")
    assert there.due_at is not None
    assert there.due_at.isoformat() == "2026-11-24T08:00:00+00:00"


def test_undo_within_ten_seconds_leaves_nothing_to_call(batch: CallBatch, sales: User) -> None:
    with time_machine.travel(NOON, tick=False):
        dialer.start_batch(batch, now=timezone.now())
        fill()
        assert dialer.undo_batch(batch, by=sales, now=timezone.now())
        assert not Call.objects.filter(batch=batch, status=CallStatus.QUEUED).exists()
    batch.refresh_from_db()
    assert batch.state == "undone"


@time_machine.travel(NOON, tick=False)
def test_undo_after_ten_seconds_is_refused(batch: CallBatch, sales: User) -> None:
    dialer.start_batch(batch, now=timezone.now())
    assert dialer.undo_batch(batch, by=sales, now=timezone.now() + timedelta(seconds=11)) is False


@time_machine.travel(NOON, tick=False)
def test_cancelling_the_rest_leaves_what_is_on(batch: CallBatch, sales: User) -> None:
    dialer.start_batch(batch, now=timezone.now())
    fill()
    on = Call.objects.get(counterpart="+14155550181")
    factories_on = {"status": CallStatus.PLACED, "provider_call_id": "call_x"}
    Call.objects.filter(pk=on.pk).update(**factories_on)
    assert dialer.cancel_rest(batch, by=sales, now=timezone.now()) == 2
    on.refresh_from_db()
    assert on.status == CallStatus.PLACED
    told = dialer.progress(batch, now=timezone.now())
    assert (told.total, told.waiting, told.calling, told.ended) == (5, 0, 1, 2)


@time_machine.travel(NOON, tick=False)
def test_a_filler_that_was_killed_goes_on_where_it_was(
    sales: User, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Callable[..., object]
) -> None:
    monkeypatch.setattr("calls.dialer.batches.A_PIECE", 3)
    many = [factories.make_lead() for _ in range(8)]
    batch = dialer.open_batch(
        by=sales, lead_ids=[lead.pk for lead in many], agent=factories.make_agent(), now=timezone.now()
    )
    dialer.start_batch(batch, now=timezone.now())
    assert fill_next(now=timezone.now())
    batch.refresh_from_db()
    assert batch.filled_to == 3
    fill()
    assert Call.objects.filter(batch=batch).count() == 8


@time_machine.travel(NOON, tick=False)
def test_a_batch_is_done_when_nothing_of_it_is_left(batch: CallBatch) -> None:
    dialer.start_batch(batch, now=timezone.now())
    fill()
    assert finish_batches() == 0
    Call.objects.filter(batch=batch).update(status=CallStatus.ENDED, outcome="no_answer")
    assert finish_batches() == 1


def test_an_empty_selection_is_refused(sales: User) -> None:
    with pytest.raises(dialer.BadRequest):
        dialer.open_batch(by=sales, lead_ids=[], agent=None, now=timezone.now())
