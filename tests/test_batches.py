"""Many at once: shown before, undone for ten seconds, filled in pieces, followed to the end."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from agents.models import Agent
from calls import dialer, eligibility
from calls.dialer import counting
from calls.dialer.batches import cancel_next, fill_next, finish_batches
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
    tally = counting.counted_at_once(batch, now=timezone.now())
    assert tally.counts == {"now": 2, "later": 1, "never": 2}
    assert tally.to_call == 3
    assert {code for code, _text, _n in tally.never_by_reason()} == {"do_not_call", "on_the_phone"}
    assert tally.first_later == ["2026-11-24T08:00:00+00:00", "Europe/Berlin"]
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
    monkeypatch.setattr("calls.dialer.batches.A_PIECE_LASTS", 60.0)
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


def many(sales: User, count: int) -> CallBatch:
    leads = [factories.make_lead() for _ in range(count)]
    return dialer.open_batch(
        by=sales, lead_ids=[lead.pk for lead in leads], agent=factories.make_agent(), now=timezone.now()
    )


@time_machine.travel(NOON, tick=False)
def test_a_piece_is_committed_as_far_as_its_time_goes(sales: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calls.dialer.batches.A_PIECE_LASTS", -1.0)
    batch = many(sales, 3)
    dialer.start_batch(batch, now=timezone.now())
    assert fill_next(now=timezone.now())
    batch.refresh_from_db()
    assert (batch.filled_to, Call.objects.filter(batch=batch).count()) == (1, 1)
    fill()
    batch.refresh_from_db()
    assert (batch.state, batch.filled_to, Call.objects.filter(batch=batch).count()) == ("running", 3, 3)


@time_machine.travel(NOON, tick=False)
def test_a_lead_deleted_after_the_press_does_not_stop_the_filling(sales: User) -> None:
    batch = many(sales, 3)
    Lead.objects.filter(pk=batch.lead_ids[1]).delete()
    dialer.start_batch(batch, now=timezone.now())
    fill()
    batch.refresh_from_db()
    assert (batch.state, batch.filled_to, Call.objects.filter(batch=batch).count()) == ("running", 3, 2)


@time_machine.travel(NOON, tick=False)
def test_cancelling_thousands_is_not_waited_for_and_goes_on_after_a_kill(
    sales: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calls.dialer.batches.CANCELLED_AT_ONCE", 2)
    monkeypatch.setattr("calls.dialer.batches.AT_MOST_IN_A_REQUEST", -1.0)
    batch = many(sales, 5)
    dialer.start_batch(batch, now=timezone.now())
    fill()
    waiting = Call.objects.filter(batch=batch, status=CallStatus.QUEUED)
    assert dialer.cancel_rest(batch, by=sales, now=timezone.now()) == 5
    assert waiting.count() == 3
    while cancel_next():
        pass
    assert not waiting.exists()
    cancelled = Call.objects.filter(batch=batch).values_list("outcome", "cancel_reason", "final").distinct()
    assert list(cancelled) == [("canceled", f"Rest of the batch cancelled ({sales.username})", True)]
    batch.refresh_from_db()
    assert (batch.state, batch.cancel_reason) == ("cancelled", "")


@time_machine.travel(NOON, tick=False)
def test_undo_also_stops_the_call_that_a_dialer_just_took(sales: User) -> None:
    batch = many(sales, 2)
    dialer.start_batch(batch, now=timezone.now())
    fill()
    taken = Call.objects.filter(batch=batch).first()
    assert taken is not None
    Call.objects.filter(pk=taken.pk).update(
        status=CallStatus.DIALING,
        claimed_at=timezone.now(),
        request_body=b"{}",
        place_token=uuid.uuid4(),
        lease_until=timezone.now() + timedelta(seconds=5),
    )
    assert dialer.undo_batch(batch, by=sales, now=timezone.now())
    taken.refresh_from_db()
    assert taken.cancel_requested_at is not None
    assert not Call.objects.filter(batch=batch, status=CallStatus.QUEUED).exists()


@time_machine.travel(NOON, tick=False)
def test_a_large_batch_is_counted_in_pieces_that_add_up(
    batch: CallBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "PIECE", 2)
    monkeypatch.setattr(counting, "A_REQUEST", -1.0)
    now = timezone.now()
    counting.begin(batch, now=now)
    reached = []
    while not counting.is_counted(batch):
        batch = CallBatch.objects.select_related("agent").get(pk=batch.pk)
        tally = counting.counted_so_far(batch, now=now)
        assert tally is not None
        counting.count_on(batch, tally, now=now)
        reached.append(batch.counted_to)
    assert reached == [2, 4, 5]
    assert counting.counted_so_far(batch, now=now) == counting.counted_at_once(batch, now=now)
    assert counting.counted_so_far(batch, now=now + timedelta(hours=1)) is None
    batch.variables = {"plan": "Premium"}
    assert counting.counted_so_far(batch, now=now) is None


@time_machine.travel(NOON, tick=False)
def test_two_windows_that_count_the_same_do_not_count_anybody_twice(
    batch: CallBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "PIECE", 2)
    monkeypatch.setattr(counting, "A_REQUEST", -1.0)
    now = timezone.now()
    counting.begin(batch, now=now)
    one, other = (CallBatch.objects.select_related("agent").get(pk=batch.pk) for _ in range(2))
    for window in (one, other):
        tally = counting.counted_so_far(window, now=now)
        assert tally is not None
        counting.count_on(window, tally, now=now)
    batch.refresh_from_db()
    assert batch.counted_to == 2
    assert sum(batch.counted["tally"]["counts"].values()) == 2


def test_only_what_every_lead_knows_is_not_asked_for(sales: User) -> None:
    leads = [factories.make_lead(custom={"plan": "A", "size": 1}), factories.make_lead(custom={"plan": "B"})]
    batch = dialer.open_batch(by=sales, lead_ids=[lead.pk for lead in leads], agent=None, now=timezone.now())
    assert counting.known_to_all(batch, ["plan", "size", "it's “odd”"]) == {"plan"}
