"""Twilio's door: signature, then one row, then the answer; what it asks is always answered in TwiML."""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone
from twilio_wire import BUSY, OURS, STAFF, official
from webhook_receiver import eventually

from agents.providers.base import Unreadable
from agents.providers.twilio.callbacks import Family, read_callback
from agents.providers.twilio.signature import sign
from agents.providers.twilio.twiml import address
from agents.sandbox.server import Sandbox
from calls.lifecycle import NotStored, reachability
from calls.lifecycle.apply import apply_next
from calls.models import SignatureRefusal, WebhookEvent
from calls.models.webhook_event import EventState
from calls.webhooks import twilio as door
from tests.conftest import TWILIO_SID, TWILIO_TOKEN

ABOUT = uuid.UUID(int=7)
RINGS = {"CallSid": "CA1", "AccountSid": TWILIO_SID, "CallStatus": "ringing", "To": STAFF, "From": OURS}


def post(client: Client, path: str, fields: dict[str, str] = RINGS, **headers: str) -> Any:
    url = "http://testserver" + path
    return client.generic(
        "POST",
        path,
        urlencode(fields),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": sign(url, fields, TWILIO_TOKEN), **headers},
    )


def spoken(answer: Any) -> list[str]:
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/xml")
    return [child.tag for child in ET.fromstring(answer.content)]


@pytest.mark.django_db
class TestTheDoor:
    def test_what_is_told_is_kept_as_it_came_with_the_call_that_it_is_about(self, client: Client) -> None:
        answer = post(client, f"/webhook/twilio/status/{ABOUT}")
        assert (answer.status_code, answer.content) == (204, b"")
        event = WebhookEvent.objects.get()
        assert (event.contract, event.provider, event.call_uuid) == ("twilio", "twilio", ABOUT)
        assert read_callback(bytes(event.body)).status == "ringing"

    def test_it_is_read_without_a_failure_and_is_no_fact_of_retells(self, client: Client) -> None:
        post(client, f"/webhook/twilio/status/{ABOUT}")
        post(client, "/webhook/twilio/status", {"AccountSid": TWILIO_SID, "Unheard": "of"})
        while apply_next(now=timezone.now()):
            pass
        states = set(WebhookEvent.objects.values_list("name", "state"))
        assert states == {("document", EventState.IGNORED), ("", EventState.UNREADABLE)}
        assert reachability.gather(now=timezone.now()).verified == 0

    def test_text_that_no_database_can_hold_is_read_without_it(self, client: Client) -> None:
        told = {**RINGS, "CallStatus": "ring\x00ing", "CallbackSource": "call-progress-events"}
        assert post(client, "/webhook/twilio/status", told).status_code == 204
        while apply_next(now=timezone.now()):
            pass
        event = WebhookEvent.objects.get()
        assert (event.name, event.state) == ("progress ring\ufffding", EventState.IGNORED)

    def test_a_question_is_answered_in_twiml_even_when_nobody_knows_the_answer(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("no")

        monkeypatch.setattr(door, "VOICES", {**door.VOICES, "broken": broken})
        for script in ("sorry", "never-heard-of", "broken"):
            assert spoken(post(client, f"/webhook/twilio/voice/{script}/{ABOUT}")) == ["Say", "Hangup"]
        assert WebhookEvent.objects.count() == 3

    def test_the_same_question_again_is_answered_again_and_kept_once(self, client: Client) -> None:
        for _time in range(2):
            again = post(client, "/webhook/twilio/voice/sorry", **{"I-Twilio-Idempotency-Token": "t1"})
            assert spoken(again) == ["Say", "Hangup"]
        assert WebhookEvent.objects.count() == 1
        post(client, "/webhook/twilio/voice/sorry", **{"I-Twilio-Idempotency-Token": "t2"})
        assert WebhookEvent.objects.count() == 2

    def test_what_cannot_be_kept_is_asked_for_again(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> None:
            raise NotStored("the disk is full")

        monkeypatch.setattr(door, "store_webhook", full)
        assert post(client, "/webhook/twilio/status").status_code == 503
        assert post(client, "/webhook/twilio/voice/sorry").status_code == 503

    def test_what_is_too_large_is_not_read(self, client: Client) -> None:
        answer = post(client, "/webhook/twilio/status", {**RINGS, "Long": "x" * door.LARGEST_FORM})
        assert answer.status_code == 413
        assert not WebhookEvent.objects.exists()

    def test_what_is_refused_is_counted_apart_from_retells(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counted: list[str] = []
        monkeypatch.setattr(door, "count_refusal", lambda cause, *, now: counted.append(cause))
        for _time in range(5):
            post(client, "/webhook/twilio/status", **{"X-Twilio-Signature": "A" * 27 + "="})
        assert counted == ["twilio"] * 5
        SignatureRefusal.objects.create(minute=timezone.now(), cause="twilio", count=50)
        assert reachability.gather(now=timezone.now()).refused == {}

    def test_a_path_that_is_none_is_not_found(self, client: Client) -> None:
        assert post(client, "/webhook/twilio/status/not-an-id").status_code == 404
        assert client.get("/webhook/twilio/status").status_code == 405


class TestReading:
    @pytest.mark.parametrize(
        ("fields", "family", "name"),
        [
            ({"CallbackSource": "call-progress-events"}, Family.PROGRESS, "progress ringing"),
            ({"CallStatus": "completed", "CallDuration": "49"}, Family.PROGRESS, "progress completed"),
            ({"AnsweredBy": "human", "MachineDetectionDuration": "900"}, Family.DETECTED, "detected human"),
            (
                {"RecordingStatus": "completed", "RecordingSid": "RE1"},
                Family.RECORDING,
                "recording completed",
            ),
            ({"DialCallStatus": "busy", "DialCallSid": "CA2"}, Family.DIALLED, "dialled busy"),
            ({"Digits": ""}, Family.PRESSED, "pressed"),
            ({"AnsweredBy": "machine_start"}, Family.DOCUMENT, "document"),
            (
                {"ConferenceSid": "CF1", "StatusCallbackEvent": "participant-join"},
                Family.CONFERENCE,
                "conference participant-join",
            ),
        ],
    )
    def test_each_kind_is_told_apart(self, fields: dict[str, str], family: Family, name: str) -> None:
        body = "&".join(f"{key}={value}" for key, value in {**RINGS, **fields}.items()).encode()
        callback = read_callback(body)
        assert (callback.family, callback.name) == (family, name)

    def test_what_names_nothing_or_is_no_form_cannot_be_read(self) -> None:
        for body in (b"", b"a=1", b"\xff\xfe", b'{"CallSid": "CA1"}'):
            with pytest.raises(Unreadable):
                read_callback(body)


@pytest.mark.django_db(transaction=True)
class TestFromTheSandbox:
    @pytest.fixture
    def sandbox(self) -> Iterator[Sandbox]:
        with Sandbox(speed=400, seed=7, twilio_sid=TWILIO_SID, twilio_token=TWILIO_TOKEN) as sandbox:
            yield sandbox

    def test_a_whole_call_is_told_asked_about_and_kept(
        self, sandbox: Sandbox, live_server: Any, settings: LazySettings
    ) -> None:
        settings.PUBLIC_BASE_URL = live_server.url
        client = official(sandbox.url, sid=TWILIO_SID, token=TWILIO_TOKEN)
        client.calls.create(
            to=STAFF,
            from_=OURS,
            url=address(f"/webhook/twilio/voice/sorry/{ABOUT}"),
            status_callback=address(f"/webhook/twilio/status/{ABOUT}"),
            status_callback_event=["initiated", "ringing", "answered", "completed"],
        )
        kept = eventually(lambda: (rows := WebhookEvent.objects.all()).count() == 5 and list(rows))
        told = [read_callback(bytes(event.body)) for event in kept]
        assert {event.call_uuid for event in kept} == {ABOUT}
        progress = sorted(
            (one for one in told if one.family is Family.PROGRESS), key=lambda one: one.sequence
        )
        assert [one.status for one in progress] == ["initiated", "ringing", "in-progress", "completed"]
        assert progress[-1].over
        (leg,) = sandbox._http.get("/control/ledger/twilio").json()["legs"]
        assert "went wrong" in leg["heard"][0]

    def test_doubled_callbacks_are_one_row_and_wrongly_signed_ones_none(
        self, sandbox: Sandbox, live_server: Any, settings: LazySettings
    ) -> None:
        settings.PUBLIC_BASE_URL = live_server.url
        client = official(sandbox.url, sid=TWILIO_SID, token=TWILIO_TOKEN)
        there = {"status_callback": address("/webhook/twilio/status"), "twiml": "<Response/>", "from_": OURS}
        sandbox.control("faults", webhook_double={"next": 1})
        double = client.calls.create(to=BUSY, **there).sid
        eventually(lambda: len(sandbox.ledger_book.deliveries(double)) == 2)
        sandbox.control("faults", webhook_bad_signature={"next": 1})
        wrong = client.calls.create(to=BUSY, **there).sid
        (refused,) = eventually(lambda: sandbox.ledger_book.deliveries(wrong))
        assert refused["status"] == 403
        assert WebhookEvent.objects.count() == 1
