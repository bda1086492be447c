"""Lost claims, unclear answers, quiet calls: looked up until somebody knows, never dialled again."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone

from agents.providers.retell import RetellProvider
from calls import dialer
from calls.dialer.settle import recover_next_claim, settle_next
from calls.lifecycle.reconcile import hang_up_marked, look_at_quiet, look_for_analysis
from calls.models import Call, CallStatus, Transcript, WebhookEvent
from calls.models.clock import database_now
from tests import factories
from tests.far_end import KEY, FarEnd, says, theirs
from tests.inbox import apply_pending

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]
NUMBER = "+14155550141"


def sent(seconds_ago: float, **fields: object) -> Call:
    call = factories.make_call(status=CallStatus.UNCONFIRMED, counterpart=NUMBER, **fields)
    at = timezone.now() - timedelta(seconds=seconds_ago)
    Call.objects.filter(pk=call.pk).update(sent_at=at, next_look_at=at + timedelta(seconds=5))
    call.refresh_from_db()
    return call


def test_a_lease_gone_before_anything_was_sent_puts_the_call_back() -> None:
    call = factories.make_call(status=CallStatus.DIALING)
    Call.objects.filter(pk=call.pk).update(lease_until=database_now() - timedelta(seconds=1))
    assert recover_next_claim()
    call.refresh_from_db()
    assert (call.status, call.place_token, call.slot_until) == (CallStatus.QUEUED, None, None)


def test_a_lease_gone_after_the_permit_is_never_taken_for_unsent() -> None:
    call = factories.make_call(status=CallStatus.DIALING)
    now = database_now()
    Call.objects.filter(pk=call.pk).update(
        lease_until=now - timedelta(seconds=1), sent_at=now - timedelta(seconds=40)
    )
    assert recover_next_claim()
    call.refresh_from_db()
    assert call.status == CallStatus.UNCONFIRMED


def test_a_lease_that_runs_is_left_alone() -> None:
    factories.make_call(status=CallStatus.DIALING)
    assert recover_next_claim() is False


def test_a_look_up_that_finds_the_call_is_evidence() -> None:
    call = sent(6)
    far = FarEnd(listed=[theirs("call_9", call_uuid=str(call.pk), to_number=NUMBER, call_status="ongoing")])
    assert settle_next(far.provider(), now=timezone.now())
    apply_pending(now=timezone.now())
    call.refresh_from_db()
    assert (call.status, call.provider_call_id) == (CallStatus.IN_PROGRESS, "call_9")
    assert WebhookEvent.objects.get().source == "lookup"


def test_a_look_up_that_finds_a_call_already_over_brings_what_was_said() -> None:
    call = sent(6)
    over = theirs(
        "call_far_1",
        call_uuid=str(call.pk),
        call_status="ended",
        disconnection_reason="user_hangup",
        start_timestamp=1_790_000_000_000,
        end_timestamp=1_790_000_009_000,
        duration_ms=9_000,
        transcript="Agent: Hello.\n",
        transcript_object=[{"role": "agent", "content": "Hello.", "words": []}],
        call_analysis={"call_summary": "They said hello."},
    )
    assert settle_next(FarEnd(listed=[over]).provider(), now=timezone.now())
    apply_pending(now=timezone.now())
    assert Transcript.objects.get(call=call).text == "Agent: Hello.\n"


def test_a_look_up_that_finds_nothing_leaves_it_unconfirmed_and_plans_the_next() -> None:
    call = sent(6)
    settle_next(FarEnd().provider(), now=timezone.now())
    call.refresh_from_db()
    assert call.status == CallStatus.UNCONFIRMED
    assert call.sent_at is not None
    assert call.next_look_at == call.sent_at + timedelta(seconds=15)


def test_a_look_up_that_cannot_answer_says_nothing(settings: LazySettings) -> None:
    call = sent(4000)
    Call.objects.filter(pk=call.pk).update(looks=1)

    def broken(request: httpx.Request) -> httpx.Response:
        return says(401, "bad key")

    from agents.providers.retell import RetellProvider

    settle_next(
        RetellProvider(
            base_url="https://x.test",
            api_key="key_1",
            transport=httpx.MockTransport(broken),
            ask_deadline_s=0.5,
        ),
        now=timezone.now(),
    )
    call.refresh_from_db()
    assert call.looks_unanswered == 1


def test_with_no_evidence_for_an_hour_the_outcome_is_unknown_and_holds_no_slot() -> None:
    call = sent(3601)
    settle_next(FarEnd().provider(), now=timezone.now())
    call.refresh_from_db()
    assert (call.status, call.outcome, call.slot_until) == (CallStatus.ENDED, "unknown", None)


def test_late_evidence_replaces_an_unknown_outcome() -> None:
    call = sent(3601)
    settle_next(FarEnd().provider(), now=timezone.now())
    ended = theirs(
        "call_9", call_uuid=str(call.pk), to_number=NUMBER, call_status="not_connected",
        disconnection_reason="dial_no_answer",
    )  # fmt: skip
    later = timezone.now() + timedelta(hours=2)
    assert look_for_analysis(FarEnd(listed=[ended]).provider(), now=later)
    apply_pending(now=later)
    call.refresh_from_db()
    assert (call.status, call.outcome) == (CallStatus.ENDED, "no_answer")


def test_a_quiet_call_is_looked_up_and_a_lost_end_is_found() -> None:
    call = factories.make_call(status=CallStatus.IN_PROGRESS, provider_call_id="call_9")
    Call.objects.filter(pk=call.pk).update(next_look_at=timezone.now() - timedelta(seconds=1))
    times = {"start_timestamp": 1795341600000, "end_timestamp": 1795341660000, "duration_ms": 60000}
    ended = theirs("call_9", call_status="ended", disconnection_reason="agent_hangup", **times)
    assert look_at_quiet(FarEnd(listed=[ended]).provider(), now=timezone.now())
    apply_pending(now=timezone.now())
    call.refresh_from_db()
    assert (call.status, call.outcome, call.duration_ms) == (CallStatus.ENDED, "connected", 60_000)
    assert call.final is False
    assert call.next_look_at is not None


def test_an_ended_call_without_analysis_is_asked_about_and_then_let_go() -> None:
    call = factories.make_call(status=CallStatus.ENDED, provider_call_id="call_9", final=False)
    far = FarEnd(listed=[theirs("call_9", call_status="ended", disconnection_reason="agent_hangup")])
    now = timezone.now()
    for look in range(9):
        Call.objects.filter(pk=call.pk, final=False).update(next_look_at=now)
        looked = look_for_analysis(far.provider(), now=now)
        if not looked:
            assert look == 8
    call.refresh_from_db()
    assert (call.final, call.next_look_at) == (True, None)


def test_a_call_cancelled_while_it_rings_is_hung_up() -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_9")
    Call.objects.filter(pk=call.pk).update(cancel_requested_at=timezone.now())
    far = FarEnd()
    assert hang_up_marked(far.provider(), now=timezone.now())
    assert far.asked == ["POST /v2/stop-call/call_9"]
    assert hang_up_marked(far.provider(), now=timezone.now()) is False


def test_who_was_cancelled_and_answers_before_the_phone_company_obeyed_is_not_cut_off(sales: User) -> None:
    call = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_9")
    assert dialer.cancel(call, reason="wrong list", now=timezone.now())
    now, far = timezone.now(), FarEnd()
    assert hang_up_marked(far.provider(), now=now)
    again = now + timedelta(seconds=6)
    assert hang_up_marked(far.provider(), now=again)
    Call.objects.filter(pk=call.pk).update(status=CallStatus.IN_PROGRESS)
    assert hang_up_marked(far.provider(), now=again + timedelta(seconds=6)) is False
    # Unless a person asks for exactly that.
    assert dialer.hang_up(call, by=sales, now=again)
    assert hang_up_marked(far.provider(), now=again)
    assert far.asked == ["POST /v2/stop-call/call_9"] * 3


def test_a_cancelled_call_in_conversation_goes_on() -> None:
    call = factories.make_call(status=CallStatus.IN_PROGRESS, provider_call_id="call_9")
    Call.objects.filter(pk=call.pk).update(cancel_requested_at=timezone.now())
    far = FarEnd()
    assert hang_up_marked(far.provider(), now=timezone.now()) is False
    assert far.asked == []


def test_one_call_that_cannot_be_fetched_hides_no_other_from_the_look() -> None:
    ids = [f"call_{n}" for n in range(3)]
    for call_id in ids:
        call = factories.make_call(status=CallStatus.IN_PROGRESS, provider_call_id=call_id)
        Call.objects.filter(pk=call.pk).update(next_look_at=timezone.now() - timedelta(seconds=1))
    far = FarEnd(listed=[theirs(i, call_status="ended", disconnection_reason="user_hangup") for i in ids])

    def broken(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/call_0"):
            return says(400, "this one cannot be shown")
        return far(request)

    provider = RetellProvider(
        base_url="https://api.retell.test", api_key=KEY, transport=httpx.MockTransport(broken)
    )
    assert look_at_quiet(provider, now=timezone.now())
    apply_pending(now=timezone.now())
    ended = Call.objects.filter(status=CallStatus.ENDED).values_list("provider_call_id", flat=True)
    assert sorted(ended) == ids[1:]
    assert Call.objects.get(provider_call_id="call_0").next_look_at is not None
