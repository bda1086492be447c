"""Calls under the article's contract, from the queue to the transcript, over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from agents.models import Agent
from agents.providers.registry import get_provider
from agents.sandbox.article import sign
from agents.sandbox.seeds import NUMBERS
from callcenter import checks
from callcenter.demo import home as homes
from calls import dialer, live
from calls.dialer import account, adopt
from calls.dialer.loop import Dialer
from calls.dialer.settle import settle_next
from calls.lifecycle.compare import compare_next
from calls.lifecycle.reconcile import hang_up_marked, look_at_quiet, look_for_analysis
from calls.models import Call, CallStatus, Heartbeat, LiveTranscript, Outcome, Transcript, WebhookEvent
from calls.models.gate import Gate, GateKind
from calls.models.webhook_event import EventState
from tests import factories
from tests.conftest import WEBHOOK_SECRET
from tests.inbox import apply_pending
from tests.webhook_receiver import eventually

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from agents.sandbox.server import Sandbox

pytestmark = pytest.mark.usefixtures("around_the_clock")
INTERESTED, NO_ANSWER, VOICEMAIL, SILENT = (
    "+14155550101",
    "+14155550109",
    "+14155550121",
    "+14155550122",
)


@pytest.fixture(autouse=True)
def _article(settings: LazySettings) -> None:
    settings.RETELL_CONTRACT = "article"
    settings.CALLS_PER_SECOND = 20.0


@pytest.fixture
def dialing(live_server: Any, start_sandbox: Callable[..., Sandbox]) -> Iterator[Sandbox]:
    """A telephone network that speaks this contract, and a dialer."""
    sandbox = start_sandbox(speed=40.0)
    running = Dialer(get_provider(), name="dialer of the article")
    thread = threading.Thread(target=running.run)
    thread.start()
    yield sandbox
    running.stop()
    thread.join(timeout=40)


def ask(number: str, *, by: User) -> Call:
    agent = factories.make_agent(
        provider_agent_id="agent_sandbox_ava",
        default_caller_id=factories.make_number(number=NUMBERS[0]),
    )
    lead = factories.make_lead(number)
    return dialer.ask(lead=lead, agent=agent, by=by, via="desk", now=timezone.now()).call


def over(call: Call) -> bool:
    call.refresh_from_db()
    return call.status == CallStatus.ENDED and call.final


def events_of(sandbox: Sandbox, call: Call) -> list[str]:
    return [delivery["event"] for delivery in sandbox.ledger(call.provider_call_id)["webhooks"]]


def test_a_call_is_dialled_heard_and_ends_with_its_transcript(dialing: Sandbox, sales: User) -> None:
    call = ask(INTERESTED, by=sales)
    eventually(lambda: over(call), within_s=60)
    assert (call.outcome, call.answered_by) == (Outcome.CONNECTED, "person")
    assert call.outcome_evidence == "inferred: the person is heard in the transcript"
    assert (call.disconnection_reason, call.retry_class) == ("", "no")
    assert call.answered_at is not None
    assert call.summary
    assert call.sentiment == "positive"
    assert call.analysis["interested"] is True
    [entry] = dialing.ledger()["calls"]
    assert (call.duration_ms, call.provider_call_id) == (entry["duration_ms"], entry["call_id"])
    turns = Transcript.objects.get(call=call).turns
    assert {turn["role"] for turn in turns} == {"agent", "user"}
    told = events_of(dialing, call)
    assert set(told) == {
        *("call_started", "call_ended", "call_analyzed"),
        *("speech_started", "agent_start_talking", "agent_stop_talking", "transcript"),
    }
    # What happens at the moment is no fact, and is not kept as one.
    assert set(WebhookEvent.objects.values_list("name", flat=True)) == {
        *("call_started", "call_ended", "call_analyzed"),
    }


@pytest.mark.parametrize(
    ("number", "outcome", "answered_by"),
    [
        (NO_ANSWER, Outcome.NO_ANSWER, ""),
        (VOICEMAIL, Outcome.VOICEMAIL, "machine"),
        (SILENT, Outcome.CONNECTED, "unclear"),
    ],
)
def test_how_it_ended_is_inferred_and_said_to_be(
    dialing: Sandbox, sales: User, manager: User, client: Client, number: str, outcome: str, answered_by: str
) -> None:
    call = ask(number, by=sales)
    eventually(lambda: over(call), within_s=60)
    assert (call.outcome, call.answered_by) == (outcome, answered_by)
    client.force_login(manager)
    page = client.get(f"/admin/calls/call/{call.pk}/change/").content.decode()
    assert "inferred: " in page


def test_what_is_said_is_followed_while_it_is_said(dialing: Sandbox, sales: User) -> None:
    dialing.control("settings", speed=4)
    call = ask(INTERESTED, by=sales)

    def heard() -> list[dict[str, Any]]:
        row = LiveTranscript.objects.first()
        return row.turns if row else []

    eventually(lambda: any(turn.get("partial") for turn in heard()), within_s=60)
    eventually(lambda: any(not turn.get("partial") for turn in heard()), within_s=60)
    assert {turn["role"] for turn in heard()} == {"user"}
    assert LiveTranscript.objects.get().utterance_id.startswith("utt_")
    dialing.control("settings", speed=400)
    eventually(lambda: over(call), within_s=60)
    # The transcript that comes with the analysis has both sides.
    assert {turn["role"] for turn in Transcript.objects.get(call=call).turns} == {"agent", "user"}


def test_people_interrupt_and_the_first_words_come_in_part(dialing: Sandbox, sales: User) -> None:
    numbers = [f"+1415555010{last}" for last in (1, 2, 3)] + ["+14155550118", "+14155550116"]
    calls = [Call.objects.get(pk=ask_again(number, sales).pk) for number in numbers]
    for call in calls:
        eventually(lambda call=call: over(call), within_s=60)
    interrupted = parts = 0
    for call in calls:
        speaks, told = False, dialing.ledger(call.provider_call_id)["webhooks"]
        for event in sorted(
            (json.loads(each["body"]) for each in told), key=lambda one: one.get("timestamp") or 0
        ):
            name = event.get("event")
            if name in ("agent_start_talking", "agent_stop_talking"):
                speaks = name == "agent_start_talking"
            interrupted += name == "speech_started" and speaks
            parts += name == "transcript" and not event["call"]["is_final"]
    assert interrupted >= 1
    assert parts >= len(calls)


def ask_again(number: str, by: User) -> Call:
    agent = Agent.objects.first()
    if agent is None:
        return ask(number, by=by)
    return dialer.ask(
        lead=factories.make_lead(number), agent=agent, by=by, via="desk", now=timezone.now()
    ).call


def test_an_unclear_answer_is_never_sent_again_and_a_webhook_settles(dialing: Sandbox, sales: User) -> None:
    dialing.control("faults", create_disconnect_after={"next": 1})
    call = ask(INTERESTED, by=sales)
    eventually(lambda: over(call), within_s=60)
    assert call.outcome == Outcome.CONNECTED
    summary = dialing.ledger()["summary"]
    assert (summary["calls"], summary["placed_twice"]) == (1, {})
    assert sum(summary["creates"].values()) == 1


def test_events_that_overtake_our_own_answer_find_their_call(dialing: Sandbox, sales: User) -> None:
    dialing.control("faults", create_hang_after={"next": 1, "seconds": 2})
    call = ask(NO_ANSWER, by=sales)
    eventually(lambda: over(call), within_s=60)
    assert call.outcome == Outcome.NO_ANSWER


@pytest.mark.parametrize("envelope", ["flat", "nested"])
def test_each_envelope_alone_tells_all_of_a_call(dialing: Sandbox, sales: User, envelope: str) -> None:
    dialing.control("settings", article_envelope=envelope)
    call = ask(INTERESTED, by=sales)
    eventually(lambda: over(call), within_s=60)
    assert (call.outcome, call.answered_by) == (Outcome.CONNECTED, "person")


def test_lost_and_doubled_and_reordered_events_leave_the_same_call(dialing: Sandbox, sales: User) -> None:
    dialing.control("faults", webhook_double={"probability": 0.5}, webhook_reorder={"probability": 0.5})
    call = ask(INTERESTED, by=sales)
    eventually(lambda: over(call), within_s=90)
    assert (call.outcome, call.answered_by, bool(call.summary)) == (Outcome.CONNECTED, "person", True)


# Without a telephone network: what silence means where nothing can be looked up.


def sent(ago: timedelta, status: str = CallStatus.UNCONFIRMED, **fields: Any) -> Call:
    call = factories.make_call(status=status, **fields)
    at = timezone.now() - ago
    Call.objects.filter(pk=call.pk).update(sent_at=at, next_look_at=at + timedelta(seconds=5))
    call.refresh_from_db()
    return call


@pytest.mark.django_db
def test_an_unknown_outcome_waits_a_day_and_then_needs_a_look(manager: User, client: Client) -> None:
    call = sent(timedelta(hours=3))
    now = timezone.now()
    assert settle_next(get_provider(), now=now)
    call.refresh_from_db()
    assert (call.status, call.replay_wanted) == (CallStatus.UNCONFIRMED, False)
    assert call.next_look_at == call.sent_at + timedelta(days=1)
    assert not settle_next(get_provider(), now=now)
    assert settle_next(get_provider(), now=call.sent_at + timedelta(days=1))
    call.refresh_from_db()
    assert (call.status, call.outcome) == (CallStatus.ENDED, Outcome.UNKNOWN)
    assert call.outcome_evidence == "Nothing was heard of it for a day after it was sent."
    client.force_login(manager)
    assert str(call.pk) in client.get("/admin/needs-a-look/").content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("status", [CallStatus.PLACED, CallStatus.IN_PROGRESS])
def test_a_call_whose_end_is_never_told_is_given_up_after_a_day(status: str) -> None:
    call = sent(timedelta(hours=1), status, answered_at=timezone.now() - timedelta(minutes=50))
    assert look_at_quiet(get_provider(), now=timezone.now())
    call.refresh_from_db()
    assert call.status == status
    held = call.slot_until is not None and call.slot_until > timezone.now() + timedelta(minutes=30)
    # No call lasts longer than two hours: so long one in conversation keeps its place.
    assert held is (status == CallStatus.IN_PROGRESS)
    assert not look_at_quiet(get_provider(), now=timezone.now())
    assert look_at_quiet(get_provider(), now=timezone.now() + timedelta(hours=23, seconds=10))
    call.refresh_from_db()
    assert (call.status, call.outcome) == (CallStatus.ENDED, Outcome.UNKNOWN)


@pytest.mark.django_db
def test_what_cannot_be_asked_is_not_asked(settings: LazySettings) -> None:
    """The base URL leads nowhere: an attempt would be an error."""
    provider = get_provider()
    factories.make_call(status=CallStatus.ENDED, outcome=Outcome.CONNECTED, final=False)
    Call.objects.update(next_look_at=timezone.now())
    assert compare_next(provider, now=timezone.now()) is False
    assert account.ask_capacity(provider) is False
    assert look_for_analysis(provider, now=timezone.now())
    marked = factories.make_call(status=CallStatus.PLACED, provider_call_id="call_7")
    Call.objects.filter(pk=marked.pk).update(cancel_requested_at=timezone.now())
    assert hang_up_marked(provider, now=timezone.now()) is False


@pytest.mark.django_db
def test_where_no_probe_can_tell_one_call_may_try_after_a_refusal() -> None:
    account.account_refused("Wrong key.", code="authentication", now=timezone.now() - timedelta(minutes=2))
    assert account.probe_account(get_provider())
    row = Gate.objects.get(kind=GateKind.CAPACITY, name="all")
    assert (row.account_problem, row.trial_at is not None) == ("Wrong key.", True)


def post(client: Client, event: dict[str, Any]) -> None:
    body = json.dumps(event).encode()
    headers = {"x-retell-signature": sign(body, 0, WEBHOOK_SECRET)}
    answer = client.generic("POST", "/webhook/retell", body, content_type="application/json", headers=headers)
    assert answer.status_code == 200
    if live._writing is not None:
        live._writing.result(timeout=10)


@pytest.mark.django_db(transaction=True)
def test_an_event_for_a_call_long_ended_changes_nothing(client: Client) -> None:
    long_ago = timezone.now() - timedelta(days=2)
    call = factories.make_call(
        status=CallStatus.ENDED,
        outcome=Outcome.CONNECTED,
        answered_by="person",
        provider_call_id="call_old",
        ended_at=long_ago,
        final=True,
    )
    before = Call.objects.filter(pk=call.pk).values().get()
    for event in (
        {"event": "call_ended", "call_id": "call_old", "call_duration": 0},
        {"event": "speech_started", "call_id": "call_old"},
        {"event": "transcript", "call": {"call_id": "call_old", "transcript": "x"}},
    ):
        post(client, event)
    apply_pending(now=timezone.now())
    assert Call.objects.filter(pk=call.pk).values().get() == before
    assert WebhookEvent.objects.get(provider_call_id="call_old").state == EventState.IGNORED
    assert not LiveTranscript.objects.filter(pk="call_old").exists()


@pytest.mark.django_db
def test_late_news_of_an_unknown_outcome_still_counts(client: Client) -> None:
    factories.make_call(
        status=CallStatus.ENDED,
        outcome=Outcome.UNKNOWN,
        provider_call_id="call_late",
        ended_at=timezone.now() - timedelta(days=2),
    )
    post(client, {"event": "call_ended", "call_id": "call_late", "call_duration": 0})
    apply_pending(now=timezone.now())
    assert Call.objects.get().outcome == Outcome.NO_ANSWER


@pytest.mark.django_db(transaction=True)
def test_a_live_event_of_some_time_ago_is_not_what_happens_now(client: Client) -> None:
    old_ms = round((time.time() - 600) * 1000)
    post(client, {"event": "speech_started", "call": {"call_id": "call_1"}, "timestamp": old_ms})
    assert not LiveTranscript.objects.filter(pk="call_1").exists()
    post(client, {"event": "speech_started", "call": {"call_id": "call_1"}, "timestamp": old_ms + 600_000})
    assert LiveTranscript.objects.get(pk="call_1").speaking == "person"


@pytest.mark.django_db(transaction=True)
def test_parts_grow_into_whole_turns_whatever_overtakes_what(client: Client) -> None:
    now_ms = round(time.time() * 1000)

    def told(after_ms: int, text: str, final: bool) -> None:
        call = {"call_id": "call_1", "transcript": text, "is_final": final}
        post(client, {"event": "transcript", "call": call, "timestamp": now_ms + after_ms})

    def heard() -> list[tuple[str, bool]]:
        turns = LiveTranscript.objects.get(pk="call_1").turns
        return [(turn["content"], bool(turn.get("partial"))) for turn in turns]

    told(0, "Wait what's my", False)
    assert heard() == [("Wait what's my", True)]
    told(900, "Wait, what's my balance?", True)
    told(300, "Wait what's my", False)
    assert heard() == [("Wait, what's my balance?", False)]
    told(3000, "And the", False)
    told(1500, "Hello?", True)
    told(1500, "Hello?", True)
    assert heard() == [("Wait, what's my balance?", False), ("Hello?", False), ("And the", True)]


@pytest.mark.django_db
def test_a_call_made_under_the_other_contract_keeps_what_was_told_then(
    client: Client, settings: LazySettings
) -> None:
    """Its events are read as they were signed, whatever is set today."""
    factories.make_call(status=CallStatus.PLACED, provider_call_id="call_1")
    now = timezone.now()
    WebhookEvent.objects.create(
        key="k", body=json.dumps({"event": "call_ended", "call": {
            "call_id": "call_1", "disconnection_reason": "dial_busy"}}).encode(),
        contract="current", received_at=now, next_try_at=now,
    )  # fmt: skip
    apply_pending(now=now)
    post(client, {"event": "call_analyzed", "call_id": "call_1", "analysis": {"summary": "Busy."}})
    apply_pending(now=timezone.now())
    call = Call.objects.get()
    assert (call.outcome, call.outcome_evidence, call.summary) == (Outcome.BUSY, "dial_busy", "Busy.")


@pytest.mark.django_db
def test_nobody_asks_who_is_calling_and_the_door_is_harmless(client: Client) -> None:
    body = b'{"event":"call_inbound","call_inbound":{"from_number":"+14155550101"}}'
    headers = {"x-retell-signature": sign(body, 0, WEBHOOK_SECRET)}
    answer = client.generic("POST", "/webhook/retell/inbound", body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {})


def test_people_who_ring_are_told_of_in_this_contract(dialing: Sandbox) -> None:
    factories.make_agent(provider_agent_id="agent_sandbox_ava", default_caller_id=None)
    factories.make_number(number=NUMBERS[0])
    dialing.control("inbound", from_number="+14155550133", to_number=NUMBERS[0])
    eventually(lambda: Call.objects.inbound().filter(status=CallStatus.ENDED).exists(), within_s=60)
    call = Call.objects.inbound().get()
    assert (call.counterpart, call.answered_at is not None) == ("+14155550133", True)


@pytest.mark.django_db
@pytest.mark.parametrize("restored", [True, False], ids=["restored", "silence"])
def test_where_nobody_can_be_asked_what_waited_in_an_older_copy_is_left_to_a_person(restored: bool) -> None:
    call = factories.make_call()
    now = timezone.now()
    if restored:
        adopt.begin_after_restore(now=now)
    else:
        Heartbeat.objects.create(name="d", kind="dialer", beat_at=now - timedelta(minutes=20), started_at=now)
        assert adopt.begin_after_silence(now=now)
    assert adopt.catching_up() is not None
    provider = get_provider()
    assert adopt.adopt_next(provider, now=now)
    assert adopt.catching_up() is None
    assert adopt.look_before_next(provider, now=now)
    call.refresh_from_db()
    if restored:
        assert (call.status, call.outcome) == (CallStatus.ENDED, Outcome.UNKNOWN)
    else:
        assert (call.status, call.look_first) == (CallStatus.QUEUED, False)


@pytest.mark.parametrize("contract", ["article", "tomorrow"])
def test_the_demo_is_told_the_contract_and_its_secrets(
    contract: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETELL_CONTRACT", contract)
    monkeypatch.delenv(homes.HOME_VARIABLE, raising=False)
    if contract == "tomorrow":
        with pytest.raises(CommandError, match="current, article"):
            call_command("demo", port=homes.free_port())
        return
    home = homes.Home(tmp_path)
    home.prepare()
    told = homes.environment(home, port=homes.free_port(), sandbox_port=1, contract=contract)
    assert told["RETELL_CONTRACT"] == "article"
    assert all(told[name] for name in ("RETELL_WEBHOOK_SECRET", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"))
    assert homes.usual_home(contract).folder != homes.usual_home("current").folder


def test_what_the_contract_needs_is_missed_by_name(settings: LazySettings) -> None:
    settings.RETELL_WEBHOOK_SECRETS = settings.TWILIO_AUTH_TOKENS = []
    settings.TWILIO_ACCOUNT_SID = ""
    needed = {"RETELL_WEBHOOK_SECRET", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"}
    assert needed <= set(checks.missing_settings())
    settings.RETELL_CONTRACT = "current"
    assert not needed & set(checks.missing_settings())
