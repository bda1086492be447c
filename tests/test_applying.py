"""From the inbox to the rows: early, late, twice, foreign, broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent
from calls import search
from calls.admin.call_story import conversation
from calls.dialer.loop import Dialer
from calls.lifecycle import apply as applying
from calls.lifecycle import fold
from calls.lifecycle.apply import apply_due
from calls.lifecycle.facts import store_webhook
from calls.models import Call, CallBack, CallStatus, Direction, Lead, Transcript, WebhookEvent
from tests import factories
from tests.far_end import FarEnd, theirs
from tests.inbox import apply_pending, apply_singly

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]
FACTS = (
    *("status", "outcome", "answered_by", "answered_at", "ended_at", "duration_ms", "cost_micros"),
    *("sentiment", "summary", "successful", "analysis", "disconnection_reason", "final"),
)
WAYS = {"one by one": apply_singly, "many together": apply_pending}
START, END = 1_795_341_600_000, 1_795_341_660_000


def tell(event: str, call_id: str = "call_1", **fields: Any) -> None:
    body = json.dumps({"event": event, "call": theirs(call_id, **fields)}).encode()
    store_webhook(body, signature="v=1,d=x", contract="current", now=timezone.now())


def tell_whole_call(call_id: str = "call_1", **fields: Any) -> None:
    tell("call_started", call_id, start_timestamp=START, call_status="ongoing", **fields)
    ended = {
        **fields,
        "start_timestamp": START,
        "end_timestamp": END,
        "duration_ms": END - START,
        "disconnection_reason": "user_hangup",
        "call_status": "ended",
        "transcript": "Agent: Hello\nUser: Hi\n",
        "transcript_object": [
            {"role": "agent", "content": "Hello", "words": [{"word": "Hello", "start": 0.1, "end": 0.6}]},
            {"role": "user", "content": "Hi", "words": [{"word": "Hi", "start": 0.9, "end": 1.1}]},
        ],
        "call_cost": {"combined_cost": 12.5, "product_costs": [], "total_duration_seconds": 60},
    }
    tell("call_ended", call_id, **ended)
    analysis = {"call_summary": "They talked.", "user_sentiment": "Positive", "call_successful": True}
    custom = fields.get("custom", {"interested": True})
    tell("call_analyzed", call_id, **{**ended, "call_analysis": analysis | {"custom_analysis_data": custom}})


Apply = Callable[..., None]


@pytest.fixture(params=WAYS)
def apply(request: pytest.FixtureRequest) -> Apply:
    """Reads all that is due, by default a second from now: both ways must leave the same rows."""

    def read(now: datetime | None = None) -> None:
        WAYS[request.param](now=now or timezone.now() + timedelta(seconds=1))

    return read


def test_a_whole_conversation_fills_the_row_and_its_transcript(apply: Apply) -> None:
    lead = factories.make_lead()
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1", lead=lead)
    tell_whole_call(call_uuid=str(call.pk))
    apply()
    call.refresh_from_db()
    assert (call.status, call.outcome, call.answered_by) == (CallStatus.ENDED, "connected", "person")
    assert (call.duration_ms, call.cost_micros, call.currency) == (60_000, 125_000, "USD")
    assert (call.sentiment, call.summary, call.successful) == ("positive", "They talked.", True)
    assert call.final
    assert call.slot_until is None
    assert call.next_look_at is None
    assert [turn["content"] for turn in call.transcript.turns] == ["Hello", "Hi"]
    assert call.proposed_disposition == "interested"
    lead.refresh_from_db()
    assert lead.status == "interested"


def test_events_repeated_and_reordered_leave_equal_rows(apply: Apply) -> None:
    rows = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1, 2, 0)):
        WebhookEvent.objects.all().delete()
        Call.objects.all().delete()
        call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
        tell_whole_call(call_uuid=str(call.pk))
        events = list(WebhookEvent.objects.order_by("id"))
        for n in order:
            WebhookEvent.objects.exclude(pk=events[n].pk).update(
                next_try_at=timezone.now() + timedelta(days=1)
            )
            WebhookEvent.objects.filter(pk=events[n].pk).update(next_try_at=timezone.now(), state="pending")
            apply()
        call.refresh_from_db()
        rows.append({name: getattr(call, name) for name in FACTS})
        assert Transcript.objects.get(call=call).text == "Agent: Hello\nUser: Hi\n"
    assert all(row == rows[0] for row in rows)


def test_the_transcript_that_the_analysis_brings_again_is_not_written_again() -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    tell_whole_call(call_uuid=str(call.pk))
    analysis = WebhookEvent.objects.latest("pk")
    WebhookEvent.objects.filter(pk=analysis.pk).update(next_try_at=timezone.now() + timedelta(hours=1))
    apply_pending(now=timezone.now())
    Transcript.objects.update(text="kept")
    apply_pending(now=timezone.now() + timedelta(hours=2))
    assert Call.objects.get().final
    assert Transcript.objects.get().text == "kept"


def test_many_events_take_no_more_statements_than_a_few() -> None:
    def statements(calls: int) -> int:
        for n in range(calls):
            call = factories.make_call(
                status=CallStatus.PLACED, provider_call_id=f"call_{calls}_{n}", lead=factories.make_lead()
            )
            tell_whole_call(call.provider_call_id, call_uuid=str(call.pk))
        with CaptureQueriesContext(connection) as asked:
            assert apply_due(now=timezone.now()) == 3 * calls
        assert Call.objects.filter(final=True, proposed_disposition="interested").count() >= calls
        assert set(Lead.objects.values_list("status", flat=True)) == {"interested"}
        return len(asked)

    few = statements(2)
    assert statements(12) == few


def test_what_two_calls_of_one_bunch_say_of_their_lead_is_all_kept() -> None:
    lead = factories.make_lead(time_zone="America/New_York")
    at = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT10:00")
    said: tuple[dict[str, Any], ...] = ({"callback_time": at}, {"interested": True})
    for n, custom in enumerate(said):
        call = factories.make_call(
            status=CallStatus.PLACED,
            provider_call_id=f"call_{n}",
            lead=lead,
            agent=factories.make_agent(),
            counterpart=f"+1212555010{n}",
        )
        tell_whole_call(call.provider_call_id, call_uuid=str(call.pk), custom=custom)
    assert apply_due(now=timezone.now()) == 6
    lead.refresh_from_db()
    promise = CallBack.objects.get()
    assert (lead.status, lead.next_action, lead.next_action_at) == ("interested", "call_back", promise.due_at)


def test_a_dialer_goes_on_after_a_full_bunch_and_lets_events_gather_after_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MOST", "MOST_ON_SQLITE"):
        monkeypatch.setattr(applying, name, 2)
    dialer = Dialer(FarEnd().provider())
    for n in range(3):
        call = factories.make_call(status=CallStatus.PLACED, provider_call_id=f"call_{n}")
        tell("call_started", call.provider_call_id, call_uuid=str(call.pk), start_timestamp=START)
    assert dialer.step_apply() == 0.0
    assert 0.0 < dialer.step_apply() < 0.2
    assert not WebhookEvent.objects.exclude(state="applied").exists()
    assert dialer.step_apply() == 0.5


def test_long_transcripts_are_not_all_held_in_memory_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    tell_whole_call(call_uuid=str(call.pk))
    sizes = [len(event.body) for event in WebhookEvent.objects.order_by("pk")]
    monkeypatch.setattr(applying, "MOST_BYTES", sizes[0] + sizes[1])
    assert [apply_due(now=timezone.now()) for _ in range(3)] == [2, 1, 0]
    monkeypatch.setattr(applying, "MOST_BYTES", 1)
    WebhookEvent.objects.update(state="pending", next_try_at=timezone.now())
    assert [apply_due(now=timezone.now()) for _ in range(4)] == [1, 1, 1, 0]
    assert Call.objects.get().final


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_dialers_share_what_is_due_and_neither_waits_for_the_other() -> None:
    calls = [
        factories.make_call(
            status=CallStatus.PLACED, provider_call_id=f"call_{n}", lead=factories.make_lead()
        )
        for n in range(4)
    ]
    for call in calls:
        tell("call_started", call.provider_call_id, call_uuid=str(call.pk), start_timestamp=START)
    done: list[int] = []

    def other() -> None:
        try:
            done.append(apply_due(now=timezone.now()))
        finally:
            connection.close()

    with transaction.atomic():
        held = WebhookEvent.objects.order_by("pk")[:2].select_for_update()
        assert [event.state for event in held] == ["pending", "pending"]
        thread = Thread(target=other)
        thread.start()
        thread.join(10)
        assert done == [2]
    assert apply_due(now=timezone.now()) == 2
    assert set(Call.objects.values_list("status", flat=True)) == {CallStatus.IN_PROGRESS}


def test_a_transcript_that_came_as_text_only_is_shown_and_found(apply: Apply) -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    body = theirs("call_1", call_status="ended") | {"transcript": "Agent: Hello\nUser: Rhubarb, please."}
    for key in ("transcript_object", "transcript_with_tool_calls"):
        body.pop(key, None)
    raw = json.dumps({"event": "call_ended", "call": body}).encode()
    store_webhook(raw, signature="", contract="current", now=timezone.now())
    apply()
    assert [(line.role, line.text) for line in conversation(call)] == [
        ("agent", "Hello"),
        ("user", "Rhubarb, please."),
    ]
    assert Call.objects.filter(search.calls_matching("rhubarb")).get() == call


def test_an_event_that_comes_before_our_own_post_has_returned_finds_its_call_by_our_id(apply: Apply) -> None:
    call = factories.make_call(status=CallStatus.DIALING)
    tell("call_started", call_uuid=str(call.pk), start_timestamp=START, call_status="ongoing")
    apply()
    call.refresh_from_db()
    assert (call.status, call.provider_call_id) == (CallStatus.IN_PROGRESS, "call_1")


def test_the_status_never_falls(apply: Apply) -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    tell_whole_call(call_uuid=str(call.pk))
    apply()
    tell("call_started", call_uuid=str(call.pk), start_timestamp=START + 1, call_status="ongoing")
    apply()
    call.refresh_from_db()
    assert call.status == CallStatus.ENDED


def test_our_id_under_a_second_provider_id_is_an_incident_and_changes_nothing_else(apply: Apply) -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    tell("call_started", "call_2", call_uuid=str(call.pk), start_timestamp=START, call_status="ongoing")
    apply()
    call.refresh_from_db()
    assert call.status == CallStatus.PLACED
    assert "call_2" in call.incident
    assert WebhookEvent.objects.get().state == "incident"


def test_a_call_of_another_system_is_foreign_after_an_hour(apply: Apply) -> None:
    tell("call_ended", "call_other", call_status="ended", disconnection_reason="user_hangup")
    apply()
    event = WebhookEvent.objects.get()
    assert event.state == "waiting"
    later = timezone.now() + timedelta(hours=1, minutes=1)
    WebhookEvent.objects.update(next_try_at=later)
    apply(later)
    event.refresh_from_db()
    assert event.state == "foreign"
    assert not Call.objects.exists()


def test_an_unreadable_body_is_kept_and_listed(apply: Apply) -> None:
    store_webhook(b"\xff{not json", signature="v=1,d=x", contract="current", now=timezone.now())
    apply()
    event = WebhookEvent.objects.get()
    assert event.state == "unreadable"
    assert bytes(event.body) == b"\xff{not json"


def test_one_event_that_fails_does_not_stop_the_others(apply: Apply, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    fine = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_2")
    real = fold.fold_facts

    def fold_facts(call: Call, *facts: Any, **options: Any) -> Any:
        if call.pk == poisoned.pk:
            raise RuntimeError("poison")
        return real(call, *facts, **options)

    monkeypatch.setattr(fold, "fold_facts", fold_facts)
    for call in (poisoned, fine):
        tell(
            "call_started",
            call.provider_call_id,
            call_uuid=str(call.pk),
            start_timestamp=START,
            call_status="ongoing",
        )
    now = timezone.now() + timedelta(milliseconds=10)
    apply(now)
    fine.refresh_from_db()
    assert fine.status == CallStatus.IN_PROGRESS
    event = WebhookEvent.objects.get(provider_call_id="call_1")
    assert "RuntimeError: poison" in event.problem
    assert event.next_try_at == now + timedelta(seconds=1)
    monkeypatch.undo()
    apply(timezone.now() + timedelta(hours=2))
    poisoned.refresh_from_db()
    assert poisoned.status == CallStatus.IN_PROGRESS


@pytest.mark.postgresql
def test_an_event_of_which_not_even_its_name_can_be_kept_does_not_stop_the_others(
    postgresql: None, apply: Apply, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is due first: were it to fail where failures are written down, nothing behind it would be read."""
    fine = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_2")
    tell("call_started", "call_1", start_timestamp=START)
    tell("call_started", "call_2", call_uuid=str(fine.pk), start_timestamp=START)
    real = applying.read_facts

    def read_facts(event: WebhookEvent, provider: Any) -> Any:
        name, kind, facts = real(event, provider)
        return (name, kind, facts) if b"call_2" in bytes(event.body) else (f"{name}\x00", kind, facts)

    monkeypatch.setattr(applying, "read_facts", read_facts)
    apply()
    fine.refresh_from_db()
    assert fine.status == CallStatus.IN_PROGRESS
    broken = WebhookEvent.objects.get(state="failing")
    assert (broken.name, broken.tries) == ("call_started\\x00", 1)
    assert "DataError" in broken.problem


def test_an_inbound_call_to_one_of_our_numbers_makes_its_row_and_finds_the_person(apply: Apply) -> None:
    ours = factories.make_number()
    lead = factories.make_lead("+14155550131")
    tell(
        "call_started", direction="inbound", to_number=ours.number, from_number="+14155550131",
        start_timestamp=START, call_status="ongoing",
    )  # fmt: skip
    apply()
    call = Call.objects.get()
    assert (call.direction, call.lead, call.counterpart) == (Direction.INBOUND, lead, "+14155550131")
    assert call.status == CallStatus.IN_PROGRESS


@pytest.mark.postgresql
@pytest.mark.parametrize("way", WAYS)
def test_the_row_of_an_inbound_call_that_another_process_made_first_is_locked_before_it_is_folded(
    postgresql: None, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = factories.make_number()
    theirs_first = factories.make_call(
        status=CallStatus.PLACED, direction=Direction.INBOUND, counterpart="+14155550131"
    )

    def lost_the_race(**_: Any) -> Call:
        Call.objects.filter(pk=theirs_first.pk).update(provider_call_id="call_1")
        return Call.objects.get(pk=theirs_first.pk)

    monkeypatch.setattr(applying, "new_inbound_call", lost_the_race)
    tell("call_started", direction="inbound", to_number=ours.number, from_number="+14155550131")
    with CaptureQueriesContext(connection) as asked:
        WAYS[way](now=timezone.now())
    statements = [query["sql"] for query in asked]
    made = next(n for n, sql in enumerate(statements) if sql.startswith('UPDATE "calls_call"'))
    folded = next(n for n, sql in enumerate(statements) if n > made and sql.startswith('UPDATE "calls_call"'))
    assert any('"calls_call"' in sql and "FOR UPDATE" in sql for sql in statements[made:folded])


def test_a_test_call_moves_no_lead(apply: Apply, db: None) -> None:
    lead = factories.make_lead()
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1", lead=lead, test=True)
    tell_whole_call(call_uuid=str(call.pk))
    apply()
    lead.refresh_from_db()
    assert lead.status == "new"


def test_hostile_text_is_stored_as_text(apply: Apply) -> None:
    call = factories.make_call(
        status=CallStatus.PLACED, provider_call_id="call_1", lead=factories.make_lead()
    )
    tell_whole_call(call_uuid=str(call.pk), custom={"reason": "<script>x</script>\x00 \ud83d\ude00 ' OR 1=1"})
    apply()
    call.refresh_from_db()
    assert "<script>x</script>" in call.analysis["reason"]
    assert Lead.objects.count() == 1
    assert not Agent.objects.filter(name="").exists()
