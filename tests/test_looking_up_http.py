"""Look-ups over real sockets: asked again where that is harmless, and never past the deadline."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from agents.providers import http
from agents.providers.base import Busy, NotFound, NotSent, ProviderError, Refused, Unclear
from agents.providers.retell import RetellProvider
from tests.raw_server import Handler, Server, answering, drip, provider, response

CALL = b'{"call_id":"call_1","call_status":"ended"}'


@pytest.mark.parametrize(
    "first", [response(429), response(500), response(503), b"", response(200, b"{", length=9)]
)
def test_a_look_up_is_asked_again_after_a_passing_failure(
    first: bytes, serve: Callable[[Handler], Server]
) -> None:
    server = serve(answering(first, response(200, CALL)))
    assert provider(server.url).fetch_call("call_1").facts.provider_call_id == "call_1"
    assert len(server.requests) == 2


def test_a_look_up_waits_as_long_as_it_is_told(serve: Callable[[Handler], Server]) -> None:
    server = serve(answering(response(429, b"", "Retry-After: 1"), response(200, CALL)))
    began = time.monotonic()
    provider(server.url).fetch_call("call_1")
    assert 1.0 <= time.monotonic() - began < 1.5


def test_a_look_up_told_to_wait_past_its_deadline_gives_up_at_once(
    serve: Callable[[Handler], Server],
) -> None:
    server = serve(answering(response(429, b"", "Retry-After: 60")))
    began = time.monotonic()
    with pytest.raises(Busy) as caught:
        provider(server.url).fetch_call("call_1")
    assert caught.value.retry_after_s == 60.0
    assert time.monotonic() - began < 0.5
    assert len(server.requests) == 1


def test_a_look_up_gives_up_after_a_few_tries(
    serve: Callable[[Handler], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(http, "sleep", waits.append)
    server = serve(answering(response(500)))
    with pytest.raises(Unclear):
        provider(server.url).fetch_call("call_1")
    assert len(server.requests) == http.ASK_TRIES
    assert [0.375 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits)] == [True, True, True]


def test_a_dripping_look_up_ends_at_its_deadline(serve: Callable[[Handler], Server]) -> None:
    server = serve(drip(b"HTTP/1.1 200 Created-and-so-on-and-on"))
    began = time.monotonic()
    with pytest.raises(Unclear):
        RetellProvider(base_url=server.url, api_key="key_test", ask_deadline_s=0.8).fetch_call("call_1")
    assert time.monotonic() - began < 1.3


def test_a_look_up_with_nobody_listening_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "sleep", lambda _seconds: None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotSent):
        provider(f"http://127.0.0.1:{port}").fetch_call("call_1")


@pytest.mark.parametrize(
    ("status", "error"), [(400, Refused), (401, Refused), (402, Refused), (404, NotFound), (422, NotFound)]
)
def test_a_definite_no_to_a_look_up_is_not_asked_again(
    status: int, error: type[ProviderError], serve: Callable[[Handler], Server]
) -> None:
    server = serve(answering(response(status, b'{"status":"error","message":"no"}')))
    with pytest.raises(error):
        provider(server.url).fetch_call("call_1")
    assert len(server.requests) == 1


def test_steering_is_sent_once(serve: Callable[[Handler], Server]) -> None:
    """Sent twice, the agent would be told twice."""
    server = serve(answering(response(500)))
    with pytest.raises(Unclear):
        provider(server.url).steer("call_1", context="The offer ends today.")
    assert len(server.requests) == 1
