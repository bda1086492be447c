"""A call nobody is sure about is sent again only when looks found nothing: the same bytes, every gate."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone

from agents.providers.base import Accepted
from agents.providers.retell import RetellProvider
from calls import dialer, eligibility
from calls.dialer.claim import Nothing, claim_next
from calls.dialer.loop import send
from calls.dialer.place import accepted
from calls.dialer.replay import permit
from calls.dialer.settle import settle_next
from calls.lifecycle import schedule
from calls.lifecycle.facts import store_webhook
from calls.models import Call, CallStatus, CallStep, Gate, Lead, LeadList, StepKind, WebhookEvent
from calls.models.clock import database_now
from tests import factories
from tests.far_end import FarEnd, says, theirs
from tests.far_end import accepted as yes
from tests.inbox import apply_pending
from tests.test_claiming import waiting_call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("around_the_clock")]


class Deaf(FarEnd):
    """Takes calls, but cannot be asked about them."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v3/list-calls":
            return says(401, "no")
        return super().__call__(request)


@pytest.fixture(autouse=True)
def _no_waiting_for_pace(settings: LazySettings) -> None:
    settings.CALLS_PER_SECOND = 1000.0


def unclear(far: FarEnd) -> Call:
    """A call whose POST got no clear answer; what follows is answered with the rest of `far.creates`."""
    waiting_call()
    call = claim_next(far.provider())
    assert isinstance(call, Call)
    send(call, far.provider())
    call.refresh_from_db()
    assert call.status == CallStatus.UNCONFIRMED
    return call


def look(call: Call, far: FarEnd, *seconds: int) -> None:
    """The looks at so many seconds after sending, each with the clock of the row moved back to it."""
    for after in seconds:
        now = database_now()
        Call.objects.filter(pk=call.pk).update(sent_at=now - timedelta(seconds=after), next_look_at=now)
        assert settle_next(far.provider(), now=database_now())


def claim(far: FarEnd) -> Call | Nothing:
    Gate.objects.filter(kind="line").update(next_slot_at=None)
    return claim_next(far.provider())


def replayed(call: Call, far: FarEnd) -> bool:
    """Claims and sends what may be sent again; whether that was anything."""
    before = len(far.sent)
    claimed = claim(far)
    if isinstance(claimed, Nothing):
        return False
    assert claimed.pk == call.pk
    send(claimed, far.provider())
    return len(far.sent) == before + 1


def lost_answer(*then: httpx.Response | Exception) -> FarEnd:
    return FarEnd([httpx.ReadTimeout("late"), *then])


def test_a_replay_goes_out_after_the_look_at_45_seconds_with_the_same_bytes_and_key() -> None:
    far = lost_answer(yes("call_far_1"))
    call = unclear(far)
    for seconds in (5, 15):
        look(call, far, seconds)
        assert not replayed(call, far)
    look(call, far, 45)
    call.refresh_from_db()
    sent_at, token = call.sent_at, call.place_token
    assert replayed(call, far)
    assert far.sent[0] == far.sent[1]
    call.refresh_from_db()
    assert (call.status, call.provider_call_id) == (CallStatus.PLACED, "call_far_1")
    assert call.sent_at == sent_at
    assert call.replayed_at is not None
    assert call.place_token != token


def test_while_it_is_claimed_for_a_replay_it_stays_unconfirmed_and_is_claimed_once() -> None:
    far = lost_answer(yes())
    call = unclear(far)
    look(call, far, 5, 15, 45)
    claimed = claim(far)
    assert isinstance(claimed, Call)
    assert Call.objects.get(pk=call.pk).status == CallStatus.UNCONFIRMED
    Call.objects.filter(pk=call.pk).update(replay_wanted=True)
    assert isinstance(claim(far), Nothing)


@pytest.mark.parametrize(
    "answer",
    [
        says(400, "bad to_number"),
        says(401, "key"),
        says(429, "slow"),
        says(500, "x"),
        httpx.ConnectError("x"),
    ],
    ids=["400", "401", "429", "500", "not sent"],
)
def test_only_a_yes_counts_on_a_replay(answer: httpx.Response | Exception) -> None:
    far = lost_answer(answer)
    call = unclear(far)
    look(call, far, 5, 15, 45)
    assert replayed(call, far)
    call.refresh_from_db()
    assert call.status == CallStatus.UNCONFIRMED
    assert call.sent_at is not None
    assert call.lease_until is None
    assert not Gate.objects.exclude(account_problem="").exists()
    step = CallStep.objects.get(call=call, kind=StepKind.REPLAY)
    assert step.found is None
    assert step.answer


def test_three_replays_at_most_when_looks_answer_not_there() -> None:
    far = lost_answer(says(500, "x"))
    call = unclear(far)
    went = []
    for seconds in schedule.AFTER_SENDING:
        look(call, far, seconds)
        went += [seconds] if replayed(call, far) else []
    assert went == [45, 75, 105]


def test_when_looks_cannot_answer_at_45_seconds_and_then_every_five_minutes_to_45() -> None:
    far = Deaf([httpx.ReadTimeout("late"), says(500, "x")])
    call = unclear(far)
    Call.objects.filter(pk=call.pk).update(not_after=None)
    went = []
    for seconds in schedule.AFTER_SENDING:
        look(call, far, seconds)
        went += [seconds] if replayed(call, far) else []
    assert went == [45, 345, 645, 945, 1245, 1545, 1845, 2145, 2445, 2700]


def test_looks_made_up_for_after_an_hour_lead_to_no_replay() -> None:
    far = lost_answer(yes())
    call = unclear(far)
    look(call, far, 3100, 3105, 3110)
    assert not replayed(call, far)


def test_a_contract_without_keys_is_never_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetellProvider, "idempotent", False)
    far = lost_answer(yes())
    call = unclear(far)
    look(call, far, 5, 15, 45, 75, 105)
    assert not replayed(call, far)


def test_a_call_that_was_found_is_not_sent_again() -> None:
    far = lost_answer(yes())
    call = unclear(far)
    look(call, far, 5, 15)
    far.listed = [theirs("call_9", call_uuid=str(call.pk), to_number=call.counterpart)]
    look(call, far, 45)
    assert not replayed(call, far)
    apply_pending(now=timezone.now())
    call.refresh_from_db()
    assert (call.status, call.provider_call_id) == (CallStatus.PLACED, "call_9")


def test_what_a_look_allowed_holds_only_until_the_next_one_is_due() -> None:
    far = lost_answer(yes())
    call = unclear(far)
    look(call, far, 5, 15, 45)
    Call.objects.filter(pk=call.pk).update(next_look_at=database_now())
    assert not replayed(call, far)


def test_nothing_is_sent_again_while_what_we_were_told_lies_unread() -> None:
    far = lost_answer(yes())
    call = unclear(far)
    look(call, far, 5, 15, 45)
    body = json.dumps({"event": "call_started", "call": theirs("call_9", call_uuid=str(call.pk))}).encode()
    store_webhook(body, signature="x", contract="current", now=database_now() - timedelta(seconds=5))
    assert not replayed(call, far)
    apply_pending(now=timezone.now())
    assert Call.objects.get(pk=call.pk).provider_call_id == "call_9"


def stop(call: Call, person: User) -> None:
    dialer.stop(by=person, reason="stop", now=timezone.now())


def stop_its_agent(call: Call, person: User) -> None:
    dialer.stop(by=person, reason="stop", now=timezone.now(), target=dialer.Target(agent=call.agent))


def stop_its_number(call: Call, person: User) -> None:
    dialer.stop(by=person, reason="stop", now=timezone.now(), target=dialer.Target(number=call.our_number))


def stop_its_list(call: Call, person: User) -> None:
    shelf = LeadList.objects.create(name="Old customers")
    Lead.objects.filter(pk=call.lead_id or 0).update(list=shelf)
    dialer.stop(by=person, reason="stop", now=timezone.now(), target=dialer.Target(lead_list=shelf))


STOPS = [stop, stop_its_agent, stop_its_number, stop_its_list]


def opt_out(call: Call, person: User) -> None:
    eligibility.opt_out(call.counterpart, reason="asked", source="staff", now=timezone.now(), by=person)


def too_late(call: Call, person: User) -> None:
    Call.objects.filter(pk=call.pk).update(not_after=database_now() - timedelta(milliseconds=1))


def lease_gone(call: Call, person: User) -> None:
    Call.objects.filter(pk=call.pk).update(lease_until=database_now() - timedelta(milliseconds=1))


def evidence(call: Call, person: User) -> None:
    Call.objects.filter(pk=call.pk).update(status=CallStatus.PLACED, provider_call_id="call_9")


@pytest.mark.parametrize("happens", [*STOPS, opt_out, too_late])
def test_no_claim_of_a_replay_against_a_stop_an_opt_out_or_its_time(
    happens: Callable[[Call, User], None], manager: User
) -> None:
    far = lost_answer(yes())
    call = unclear(far)
    look(call, far, 5, 15, 45)
    happens(call, manager)
    assert isinstance(claim(far), Nothing)


@pytest.mark.parametrize("happens", [*STOPS, opt_out, too_late, lease_gone, evidence])
def test_no_permit_for_a_replay_after_something_came_between(
    happens: Callable[[Call, User], None], manager: User
) -> None:
    far = lost_answer(yes())
    call = unclear(far)
    look(call, far, 5, 15, 45)
    claimed = claim(far)
    assert isinstance(claimed, Call)
    happens(call, manager)
    send(claimed, far.provider())
    assert len(far.sent) == 1
    call.refresh_from_db()
    assert call.replayed_at is None
    assert call.status == (CallStatus.PLACED if happens is evidence else CallStatus.UNCONFIRMED)


def test_the_permit_of_a_replay_is_given_under_its_own_token_only() -> None:
    far = lost_answer(yes())
    call = unclear(far)
    old = call.place_token
    look(call, far, 5, 15, 45)
    claimed = claim(far)
    assert isinstance(claimed, Call)
    assert old is not None
    assert permit(call.pk, old) is False
    assert claimed.place_token is not None
    assert permit(call.pk, claimed.place_token) is True


def test_a_replay_takes_the_pace_of_its_line(settings: LazySettings) -> None:
    far = lost_answer(yes())
    call = unclear(far)
    look(call, far, 5, 15, 45)
    settings.CALLS_PER_SECOND = 0.1
    Gate.objects.filter(kind="line").update(next_slot_at=database_now() + timedelta(seconds=5))
    waiting = claim_next(far.provider())
    assert isinstance(waiting, Nothing)
    assert waiting.why == "pace"
    assert isinstance(claim(far), Call)
    assert isinstance(claim_next(far.provider()), Nothing)
    assert Gate.objects.get(kind="line", name=call.line).next_slot_at > database_now() + timedelta(seconds=8)  # type: ignore[operator]


def test_a_replay_goes_on_in_the_slot_it_holds_and_waits_for_one_it_has_lost(settings: LazySettings) -> None:
    settings.MAX_CONCURRENT_CALLS = 1
    far = lost_answer(yes())
    call = unclear(far)
    look(call, far, 5, 15, 45)
    factories.make_call(status=CallStatus.IN_PROGRESS)
    Call.objects.filter(pk=call.pk).update(slot_until=None)
    assert isinstance(claim(far), Nothing)
    Call.objects.filter(pk=call.pk).update(slot_until=database_now() + timedelta(minutes=1))
    assert isinstance(claim(far), Call)


def rest_the_line(call: Call) -> Any:
    Gate.objects.filter(kind="line", name=call.line).update(breaker="open", tries_at=database_now())
    return lambda: Gate.objects.get(kind="line", name=call.line).trial_call


def refuse_the_account(call: Call) -> Any:
    rows = Gate.objects.filter(kind="capacity")
    rows.update(account_problem="No credit", account_code="billing", trial_at=database_now())
    # A trial that was taken is not there for another call.
    return lambda: None if rows.get().trial_at else taken_by()


def taken_by() -> Any:
    return Call.objects.filter(claimed_at__isnull=False).latest("claimed_at").pk


@pytest.mark.parametrize("trouble", [rest_the_line, refuse_the_account])
def test_the_one_call_that_tries_is_a_fresh_one_and_no_replay(trouble: Callable[[Call], Any]) -> None:
    far = lost_answer(yes("call_fresh"), yes("call_again"))
    call = unclear(far)
    look(call, far, 5, 15, 45)
    who_tried = trouble(call)
    assert isinstance(claim(far), Nothing)
    assert who_tried() is None
    fresh = waiting_call()
    claimed = claim(far)
    assert isinstance(claimed, Call)
    assert (claimed.pk, who_tried()) == (fresh.pk, fresh.pk)
    send(claimed, far.provider())
    Gate.objects.filter(kind="line").update(breaker="closed", trial_call=None)
    assert replayed(call, far)


def test_the_first_request_answering_late_is_still_taken() -> None:
    far = lost_answer(says(500, "x"))
    call = unclear(far)
    look(call, far, 5, 15, 45)
    claimed = claim(far)
    assert isinstance(claimed, Call)
    accepted(call.pk, Accepted(provider_call_id="call_first", body=b"{}"))
    send(claimed, far.provider())
    assert len(far.sent) == 1
    assert Call.objects.get(pk=call.pk).provider_call_id == "call_first"


def test_a_yes_that_cannot_be_read_is_looked_up_and_not_sent_a_third_time() -> None:
    far = lost_answer(httpx.Response(201, content=b"<html>"))
    call = unclear(far)
    look(call, far, 5, 15, 45)
    assert replayed(call, far)
    call.refresh_from_db()
    assert (call.status, call.provider_call_id) == (CallStatus.PLACED, "")
    assert isinstance(claim(far), Nothing)


def test_evidence_by_number_and_time_counts_although_our_id_was_lost() -> None:
    far = lost_answer(yes())
    call = unclear(far)
    assert call.sent_at is not None
    begun = int(call.sent_at.timestamp() * 1000) + 2000
    far.listed = [theirs("call_9", to_number=call.counterpart, start_timestamp=begun, call_status="ongoing")]
    look(call, far, 5)
    apply_pending(now=timezone.now())
    call.refresh_from_db()
    assert (call.status, call.provider_call_id) == (CallStatus.IN_PROGRESS, "call_9")
    assert WebhookEvent.objects.get().call_uuid == call.pk


def test_what_was_tried_is_written_down_in_order() -> None:
    far = lost_answer(says(500, "out of order"))
    call = unclear(far)
    look(call, far, 5, 15, 45)
    assert replayed(call, far)
    steps: list[Any] = list(CallStep.objects.filter(call=call).order_by("pk").values_list("kind", "found"))
    assert steps == [("sent", None), *[("look", False)] * 3, ("replay", None)]
