"""The phone company's door: signature over the bytes, then one row, then 200."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from werkzeug.test import EnvironBuilder

from agents.providers import retell_signature
from calls import live
from calls.lifecycle import NotStored
from calls.models import LiveTranscript, SignatureRefusal, WebhookEvent
from calls.webhooks import door, refusals
from tests.conftest import API_KEY
from tests.far_end import theirs
from tests.webhook_receiver import eventually

pytestmark = [pytest.mark.django_db]
DOOR = "/webhook/retell"
BODY = json.dumps(
    {"event": "call_ended", "call": theirs("call_1") | {"transcript": "Agent: ¿Qué tal? 😀"}}
).encode()


class AtTheDoor(Client):
    """Asks as a web server does that serves `callcenter.wsgi`: most webhooks never come to the view."""

    def generic(self, method: str, path: str, data: Any = b"", *args: Any, **extra: Any) -> Any:
        headers = dict(extra.get("headers") or {})
        kept: list[tuple[str, Any]] = []
        asked = EnvironBuilder(path, method=method, data=data, headers=headers).get_environ()
        if not door.answers(asked):
            return super().generic(method, path, data, *args, **extra)
        body = b"".join(door.application(asked, lambda status, told: kept.append((status, told))))
        ((status, told),) = kept
        return Told(body, int(status.split()[0]), dict(told))


@dataclass(frozen=True, slots=True)
class Told:
    content: bytes
    status_code: int
    headers: dict[str, str]

    def json(self) -> Any:
        return json.loads(self.content)


@pytest.fixture(params=[Client, AtTheDoor], ids=["view", "door"])
def client(request: pytest.FixtureRequest) -> Client:
    made: Client = request.param()
    return made


def signed(body: bytes, *, key: str = API_KEY, age: timedelta = timedelta(0)) -> str:
    return retell_signature.sign(body, key, now=timezone.now() - age)


def post(client: Client, body: bytes = BODY, **headers: str) -> Any:
    return client.generic("POST", DOOR, body, content_type="application/json", headers=headers)


def test_a_signed_event_is_kept_byte_for_byte_and_answered_200(client: Client) -> None:
    assert post(client, **{"x-retell-signature": signed(BODY)}).status_code == 200
    event = WebhookEvent.objects.get()
    assert bytes(event.body) == BODY
    assert (event.source, event.state) == ("webhook", "pending")


def test_a_repeat_is_answered_200_and_adds_nothing(client: Client) -> None:
    for _ in range(3):
        assert post(client, **{"x-retell-signature": signed(BODY)}).status_code == 200
    assert WebhookEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: "", "missing"),
        (lambda: "nonsense", "malformed"),
        (lambda: signed(BODY, key="another key"), "wrong"),
        (lambda: signed(b"{}"), "wrong"),
        (lambda: signed(BODY, age=timedelta(minutes=6)), "stale"),
        (lambda: "71e3ed568ff70de15adc0e9a673cb9d116da1842d942e7ec3bb98da42aa8d85d", "malformed"),
    ],
)
def test_what_is_not_properly_signed_is_refused_and_not_kept(
    client: Client, make: Callable[[], str], cause: str
) -> None:
    signature = make()
    answer = post(client, **({"x-retell-signature": signature} if signature else {}))
    assert answer.status_code == 401
    assert answer.json()["code"] == cause
    assert not WebhookEvent.objects.exists()


def written() -> None:
    """Refusals are counted beside the request."""
    if refusals._writing is not None:
        refusals._writing.result(timeout=10)


@pytest.mark.django_db(transaction=True)
def test_refusals_are_counted_by_cause(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "FLUSH_EVERY_S", 0.0)

    def counted() -> set[str]:
        post(client)
        post(client, **{"x-retell-signature": "nonsense"})
        return {row.cause for row in SignatureRefusal.objects.all()}

    eventually(lambda: counted() >= {"missing", "malformed"})
    written()


@pytest.mark.django_db(transaction=True)
def test_a_stranger_does_not_wait_for_the_database_and_is_counted_later(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "FLUSH_EVERY_S", 0.0)
    monkeypatch.setattr(refusals, "_counted", Counter())
    let_go = Event()

    def stuck(**_: Any) -> None:
        let_go.wait(10)
        raise OperationalError("the database is gone")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(SignatureRefusal.objects, "get_or_create", stuck)
        started = time.monotonic()
        for _ in range(5):
            assert post(client).status_code == 401
        assert time.monotonic() - started < 5
        let_go.set()
        written()
    assert not SignatureRefusal.objects.exists()
    post(client)
    written()
    post(client)
    written()
    assert sum(SignatureRefusal.objects.values_list("count", flat=True)) == 7


def test_both_keys_of_a_rotation_are_accepted(client: Client, settings: LazySettings) -> None:
    settings.RETELL_WEBHOOK_KEYS = ["old key 1", "new key 2"]
    for key in settings.RETELL_WEBHOOK_KEYS:
        assert post(client, **{"x-retell-signature": signed(BODY, key=key)}).status_code == 200
    assert post(client, **{"x-retell-signature": signed(BODY)}).status_code == 401


def test_more_than_eight_mebibytes_is_refused_unread(client: Client) -> None:
    large = b"x" * (8 * 1024 * 1024 + 1)
    assert post(client, large, **{"x-retell-signature": signed(large)}).status_code == 413
    assert not WebhookEvent.objects.exists()


def test_a_signed_body_that_cannot_be_read_is_kept(client: Client) -> None:
    broken = b"\xff\xfe{"
    assert post(client, broken, **{"x-retell-signature": signed(broken)}).status_code == 200
    assert bytes(WebhookEvent.objects.get().body) == broken


def said(*lines: str) -> bytes:
    turns = [{"role": "user", "content": line, "words": []} for line in lines]
    call = theirs("call_1", call_status="ongoing") | {"transcript_with_tool_calls": turns}
    return json.dumps({"event": "transcript_updated", "call": call}).encode()


def heard() -> list[str]:
    """Once what is being said was written, beside the request."""
    if live._writing is not None:
        live._writing.result(timeout=10)
    kept = LiveTranscript.objects.first()
    return [turn["content"] for turn in kept.turns] if kept else []


@pytest.mark.django_db(transaction=True)
def test_what_is_being_said_is_shown_and_is_no_fact(client: Client) -> None:
    for body in (said("Hello", "Who is this?"), said("Hello")):
        assert post(client, body, **{"x-retell-signature": signed(body)}).status_code == 200
        assert heard() == ["Hello", "Who is this?"]
    assert not WebhookEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_is_being_said_does_not_wait_for_the_database(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = Event()
    keep = live._keep

    def stuck(waiting: list[live.Heard]) -> None:
        let_go.wait(10)
        keep(waiting)

    monkeypatch.setattr(live, "_keep", stuck)
    started = time.monotonic()
    for count in (1, 3, 2):
        body = said(*(["Hello"] * count))
        assert post(client, body, **{"x-retell-signature": signed(body)}).status_code == 200
    assert time.monotonic() - started < 5
    let_go.set()
    assert heard() == ["Hello"] * 3


def test_the_door_is_never_redirected(client: Client, settings: LazySettings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert post(client, **{"x-retell-signature": signed(BODY)}).status_code == 200
    assert client.get("/admin/").status_code == 301


def test_other_methods_are_refused(client: Client) -> None:
    assert client.get(DOOR).status_code == 405


def test_what_cannot_be_kept_is_sent_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise NotStored("the database answers nobody")

    monkeypatch.setattr("calls.webhooks.retell.store_webhook", away)
    answer = post(client, **{"x-retell-signature": signed(BODY)})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_a_mistake_of_ours_at_the_door_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("calls.webhooks.retell.store_webhook", broken)
    assert post(AtTheDoor(), **{"x-retell-signature": signed(BODY)}).status_code == 503


def test_a_body_of_unknown_length_is_left_to_the_view() -> None:
    asked = EnvironBuilder(DOOR, method="POST", data=BODY).get_environ()
    assert door.answers(asked)
    del asked["CONTENT_LENGTH"]
    assert not door.answers(asked)
