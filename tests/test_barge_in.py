"""The person speaks over the AI agent: it is told to stop, once a turn, and the call's page says so."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.utils import timezone

from agents.providers import registry
from agents.providers.base import NotOffered
from agents.providers.registry import get_provider
from agents.sandbox.article import sign
from agents.sandbox.seeds import NUMBERS
from calls import barge_in, dialer, live
from calls.dialer.loop import Dialer
from calls.models import Call, CallStatus, Interruption
from tests import factories
from tests.conftest import WEBHOOK_SECRET
from tests.raw_server import Handler, Server, response
from tests.webhook_receiver import eventually

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from agents.sandbox.server import Sandbox

INTERESTED = "+14155550101"


@pytest.fixture(autouse=True)
def _article(settings: LazySettings, around_the_clock: None) -> Iterator[None]:
    settings.RETELL_CONTRACT = "article"
    settings.CALLS_PER_SECOND = 20.0
    yield
    # Its connections stay open, to a server that is gone.
    with registry._lock:
        built = list(registry._built.values())
        registry._built.clear()
    for provider in built:
        provider.close()


def handled() -> None:
    """Until all that was heard is written and acted on."""
    if live._writing is not None:
        live._writing.result(timeout=10)
    done = threading.Barrier(9)
    waits = [barge_in._threads.submit(done.wait, 10) for _ in range(8)]
    done.wait(10)
    for wait in waits:
        wait.result(timeout=10)


class Told:
    """The phone company's side: stop requests as they come, and webhooks to our door."""

    def __init__(self, serve: Callable[[Handler], Server], settings: LazySettings, client: Client) -> None:
        self.stops: list[dict[str, Any]] = []
        self.status = 200
        self.client = client
        self.began = timezone.now()
        self.server = serve(self._answer)
        settings.RETELL_BASE_URL = self.server.url
        agent = factories.make_agent()
        self.call = factories.make_call(
            status=CallStatus.IN_PROGRESS, provider_call_id="call_1", agent=agent, answered_at=self.began
        )

    def _answer(self, connection: socket.socket, request: bytes) -> None:
        """Closes the connection each time without saying so: the next request finds it dead."""
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /v2/stop-utterance ")
        self.stops.append(json.loads(body))
        connection.sendall(response(self.status, b"{}"))

    def tell(self, name: str, after_ms: int, **about: Any) -> None:
        """A webhook of the moment; nothing is waited for that it started."""
        at = self.began + timedelta(milliseconds=after_ms)
        event = {
            "event": name,
            "call": {"call_id": "call_1", **about},
            "timestamp": round(at.timestamp() * 1000),
        }
        body = json.dumps(event).encode()
        headers = {"x-retell-signature": sign(body, 0, WEBHOOK_SECRET)}
        answer = self.client.generic(
            "POST", "/webhook/retell", body, content_type="application/json", headers=headers
        )
        assert answer.status_code == 200

    def agent_says(self, utterance: str, after_ms: int) -> None:
        self.tell("agent_start_talking", after_ms, last_utterance_id=utterance)
        handled()

    def speech(self, after_ms: int, **about: Any) -> None:
        self.tell("speech_started", after_ms, transcript="", **about)
        handled()

    def silent(self, utterance: str, after_ms: int) -> None:
        self.tell("agent_stop_talking", after_ms, last_utterance_id=utterance)
        handled()

    def timeline(self, person: User) -> str:
        self.client.force_login(person)
        return self.client.get(f"/admin/calls/call/{self.call.pk}/change/").content.decode()


@pytest.fixture
def told(
    transactional_db: None,
    serve: Callable[[Handler], Server],
    settings: LazySettings,
    client: Client,
) -> Told:
    return Told(serve, settings, client)


def test_the_utterance_last_heard_of_is_cancelled_though_the_event_does_not_name_it(
    told: Told, manager: User
) -> None:
    told.agent_says("utt_xyz789", 0)
    told.speech(1200)
    assert told.stops == [{"call_id": "call_1", "utterance_id": "utt_xyz789"}]
    told.silent("utt_xyz789", 1540)
    one = Interruption.objects.get()
    assert (one.silence_ms, one.problem, one.call) == (340, "", told.call)
    page = told.timeline(manager)
    assert "It was silent after 340 ms" in page
    assert "1 interruption, silent after 340 ms on average" in page


def test_in_one_turn_it_is_cancelled_once_and_in_the_next_again(told: Told) -> None:
    told.agent_says("utt_1", 0)
    for after_ms in (900, 1000, 1100):
        told.speech(after_ms, last_utterance_id="utt_1")
    told.silent("utt_1", 1300)
    told.agent_says("utt_2", 2000)
    told.speech(2500)
    assert [stop["utterance_id"] for stop in told.stops] == ["utt_1", "utt_2"]


def test_whoever_speaks_while_the_agent_is_silent_interrupts_nobody(told: Told) -> None:
    told.speech(0)
    told.agent_says("utt_1", 500)
    told.silent("utt_1", 900)
    told.speech(1500, last_utterance_id="utt_1")
    assert told.stops == []
    assert not Interruption.objects.exists()


def test_an_utterance_of_which_only_the_interruption_tells_is_cancelled(told: Told) -> None:
    told.speech(0, last_utterance_id="utt_9")
    assert told.stops == [{"call_id": "call_1", "utterance_id": "utt_9"}]


def test_an_interruption_in_a_call_that_is_not_ours_or_over_cancels_nothing(told: Told) -> None:
    Call.objects.update(status=CallStatus.ENDED, outcome="connected", ended_at=timezone.now())
    told.speech(0, last_utterance_id="utt_1")
    Call.objects.update(provider_call_id="another", status=CallStatus.IN_PROGRESS, outcome="")
    told.speech(10, last_utterance_id="utt_1")
    assert told.stops == []


def test_a_failure_is_on_the_timeline_and_the_call_lives_on(told: Told, manager: User) -> None:
    told.status = 500
    told.agent_says("utt_1", 0)
    told.speech(900)
    page = told.timeline(manager)
    assert "the AI agent could not be told to stop, and finished its sentence" in page
    assert Call.objects.get().status == CallStatus.IN_PROGRESS
    # It finished by itself; the next turn is cancelled as ever.
    told.silent("utt_1", 2000)
    told.status = 200
    told.agent_says("utt_2", 3000)
    told.speech(3300)
    assert len(told.stops) == 2
    assert list(Interruption.objects.values_list("problem", flat=True).order_by("pk"))[1] == ""


def test_with_a_window_only_words_confirm_an_interruption(told: Told) -> None:
    told.call.agent.confirm_interruption_ms = 150  # type: ignore[union-attr]
    told.call.agent.save()  # type: ignore[union-attr]
    told.agent_says("utt_1", 0)
    told.speech(500)
    told.tell("transcript", 560, transcript="Yes.", is_final=True)
    handled()
    told.speech(2000)
    assert told.stops == []
    told.tell("transcript", 2100, transcript="Wait what's my", is_final=False)
    eventually(lambda: len(told.stops) == 1)
    handled()
    assert Interruption.objects.count() == 1


def test_the_window_is_set_on_the_agents_form(told: Told, manager: User) -> None:
    told.client.force_login(manager)
    agent = told.call.agent
    assert agent is not None
    path = f"/admin/agents/agent/{agent.pk}/"
    assert "barking dog" in told.client.get(f"{path}edit/").content.decode()
    given = {
        "active": "on",
        "paused_reason": "",
        "pinned_version": "",
        "confirm_interruption_ms": "300",
        "when_refused": "nothing",
    }
    assert told.client.post(f"{path}change/", given).status_code == 302
    agent.refresh_from_db()
    assert agent.confirm_interruption_ms == 300
    answer = told.client.post(f"{path}change/", {**given, "confirm_interruption_ms": "3000"})
    assert answer.status_code == 200
    agent.refresh_from_db()
    assert agent.confirm_interruption_ms == 300


def test_a_bark_has_no_words_and_cancels_nothing(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barge_in, "WORDS_WITHIN_S", 0.2)
    told.call.agent.confirm_interruption_ms = 100  # type: ignore[union-attr]
    told.call.agent.save()  # type: ignore[union-attr]
    told.agent_says("utt_1", 0)
    asked: list[str] = []
    known = live.as_heard
    monkeypatch.setattr(live, "as_heard", lambda call_id: (asked.append(call_id), known(call_id))[1])
    told.speech(500)
    # Looked at once as it began, and then until there is no more use in looking.
    eventually(lambda: len(asked) >= 4)
    threading.Event().wait(0.3)
    assert told.stops == []


def test_of_several_processes_one_may_cancel(told: Told) -> None:
    """Threads with connections of their own, as processes are: the guard is the database's."""
    speech = barge_in.Speech(told.call.pk, "call_1", "utt_1", timezone.now())

    def one(_n: int) -> int | None:
        try:
            return barge_in.take(speech)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as processes:
        taken = list(processes.map(one, range(8)))
    assert len([each for each in taken if each]) == 1


def test_the_guard_is_released_after_five_seconds_without_news(told: Told) -> None:
    def take(at: datetime) -> int | None:
        return barge_in.take(barge_in.Speech(told.call.pk, "call_1", "utt_1", at))

    now = timezone.now()
    assert take(now)
    assert take(now) is None
    Interruption.objects.update(taken_at=now - timedelta(seconds=4))
    assert take(now) is None
    Interruption.objects.update(taken_at=now - timedelta(seconds=6))
    assert take(now)


def test_an_utterance_that_has_stopped_is_not_cancelled_again_by_whoever_comes_late(told: Told) -> None:
    """They found the agent speaking, and come to the guard when it has been released."""
    speech = barge_in.Speech(told.call.pk, "call_1", "utt_1", told.began + timedelta(milliseconds=900))
    assert barge_in.take(speech)
    told.silent("utt_1", 1100)
    assert barge_in.take(speech) is None
    assert barge_in.take(barge_in.Speech(told.call.pk, "call_1", "utt_2", told.began))


def test_silence_that_was_told_before_the_interruption_is_not_its_own(told: Told) -> None:
    told.agent_says("utt_1", 0)
    told.speech(900)
    told.tell("agent_stop_talking", 800)
    handled()
    assert Interruption.objects.get().released_at is None
    told.silent("utt_1", 1100)
    assert Interruption.objects.get().silence_ms == 200


def test_todays_contract_leaves_it_to_the_provider(told: Told, settings: LazySettings) -> None:
    settings.RETELL_CONTRACT = "current"
    with pytest.raises(NotOffered, match="by itself when the person speaks"):
        get_provider().stop_utterance("call_1", "utt_1")


@pytest.fixture
def dialing(live_server: Any, start_sandbox: Callable[..., Sandbox]) -> Iterator[Sandbox]:
    sandbox = start_sandbox(speed=50.0)
    running = Dialer(get_provider(), name="dialer of interruptions")
    thread = threading.Thread(target=running.run)
    thread.start()
    yield sandbox
    running.stop()
    thread.join(timeout=40)


def test_a_conversation_of_five_interruptions_has_one_cancellation_a_turn_and_the_time_to_silence(
    dialing: Sandbox, sales: User, manager: User, client: Client
) -> None:
    dialing.control("settings", article_interrupts=1, article_interrupts_times=7)
    agent = factories.make_agent(
        provider_agent_id="agent_sandbox_ava", default_caller_id=factories.make_number(number=NUMBERS[0])
    )
    lead = factories.make_lead(INTERESTED)
    call = dialer.ask(lead=lead, agent=agent, by=sales, via="desk", now=timezone.now()).call

    eventually(lambda: Call.objects.get().status in (CallStatus.PLACED, CallStatus.IN_PROGRESS))
    dialing.control("settings", speed=10)

    def stops() -> list[dict[str, Any]]:
        call.refresh_from_db()
        if not call.provider_call_id:
            return []
        found: list[dict[str, Any]] = dialing.ledger(call.provider_call_id)["stops"]
        return found

    eventually(lambda: len(stops()) >= 5, within_s=60)
    dialing.control("settings", speed=400)
    eventually(lambda: Call.objects.get().status == CallStatus.ENDED, within_s=60)
    handled()
    said = [stop["utterance_id"] for stop in stops()]
    assert len(said) == len(set(said)), "one cancellation a turn"
    first = list(Interruption.objects.all()[:5])
    assert [one.utterance_id for one in first] == said[:5]
    assert any(stop["running"] for stop in stops())
    measured = [one.silence_ms for one in first[:4]]
    assert all(ms is not None for ms in measured)
    client.force_login(manager)
    page = client.get(f"/admin/calls/call/{call.pk}/change/").content.decode()
    assert page.count("It was silent after") >= 4
