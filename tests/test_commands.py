"""Each command that an operator types does what it says, with nothing else on its output."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from agents.providers import registry
from calls import dialer
from calls.lifecycle.tidy import tidy
from calls.models import Call, CallBatch, CallStatus, Gate, Heartbeat, WebhookEvent
from tests import factories
from tests.far_end import FarEnd
from tests.test_claiming import waiting_call

pytestmark = [pytest.mark.django_db]


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_stop_and_resume_from_the_command_line() -> None:
    assert "stopped" in run("stop_calling", "--reason", "fire drill")
    state = dialer.stop_state()
    assert (state.stopped, state.reason) == (True, "fire drill")
    assert "goes on" in run("resume_calling")
    assert dialer.stop_state().stopped is False


def test_the_gates_are_there_from_the_first_migration_on() -> None:
    assert set(Gate.objects.values_list("kind", "name")) >= {("stop", "all"), ("capacity", "all")}


@pytest.mark.usefixtures("around_the_clock")
def test_dialer_once_places_what_is_due_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    far = FarEnd()
    monkeypatch.setattr("calls.management.commands.dialer.get_provider", far.provider)
    asked = registry.get_provider
    monkeypatch.setattr(
        registry, "get_provider", lambda name=None: asked(name) if name == "twilio" else far.provider()
    )
    call = waiting_call()
    assert run("dialer", "--once").strip() == "1 placed"
    call.refresh_from_db()
    assert call.status == CallStatus.PLACED
    assert Heartbeat.objects.filter(kind="dialer").exists()


def test_old_foreign_events_and_dead_processes_are_let_go() -> None:
    now = timezone.now()
    old = {"received_at": now - timedelta(days=8), "next_try_at": now, "body": b"{}"}
    WebhookEvent.objects.create(key="a", state="foreign", **old)
    WebhookEvent.objects.create(key="b", state="applied", **old)
    long_ago = now - timedelta(days=2)
    Heartbeat.objects.create(name="gone", kind="dialer", started_at=long_ago, beat_at=long_ago)
    Heartbeat.objects.create(name="here", kind="dialer", started_at=now, beat_at=now)
    assert tidy(now=now) == 2
    assert WebhookEvent.objects.get().key == "b"
    assert Heartbeat.objects.get().name == "here"


def test_sheets_that_were_left_go_after_a_week_and_batches_stay() -> None:
    now = timezone.now()
    left, fresh, done = (CallBatch.objects.create(selection={"ids": [1]}, state=state) for state in
                         ("draft", "draft", "done"))  # fmt: skip
    CallBatch.objects.filter(pk__in=[left.pk, done.pk]).update(created_at=now - timedelta(days=8))
    assert tidy(now=now) == 1
    assert set(CallBatch.objects.all()) == {fresh, done}


def test_a_call_we_hung_up_while_it_rang_is_cancelled_not_unanswered() -> None:
    from tests.inbox import apply_pending
    from tests.test_applying import tell

    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    Call.objects.filter(pk=call.pk).update(cancel_requested_at=timezone.now())
    tell("call_ended", call_uuid=str(call.pk), call_status="ended", disconnection_reason="manual_stopped")
    apply_pending(now=timezone.now() + timedelta(seconds=1))
    call.refresh_from_db()
    assert (call.status, call.outcome) == (CallStatus.ENDED, "canceled")


def test_a_call_that_nobody_answered_before_we_could_hang_up_is_unanswered() -> None:
    from tests.inbox import apply_pending
    from tests.test_applying import tell

    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    Call.objects.filter(pk=call.pk).update(cancel_requested_at=timezone.now())
    tell(
        "call_ended",
        call_uuid=str(call.pk),
        call_status="not_connected",
        disconnection_reason="dial_no_answer",
    )
    apply_pending(now=timezone.now() + timedelta(seconds=1))
    call.refresh_from_db()
    assert (call.status, call.outcome) == (CallStatus.ENDED, "no_answer")
