"""Placing over real sockets: what is provably not sent, what is unclear, and never longer than allowed."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable
from email.utils import formatdate

import pytest

from agents.providers import http
from agents.providers.base import Accepted, Busy, NotSent, ProviderError, Unclear
from tests.raw_server import Handler, Server, answering, drip, provider, response

BODY = b'{"to_number":"+14155550100","from_number":"+14155550101"}'
ACCEPTED = b'{"call_id":"call_1","call_status":"registered"}'


def place(url: str, *, give_up_s: float = 1.0, started: float | None = None) -> Accepted | ProviderError:
    began = time.monotonic() if started is None else started
    try:
        return provider(url).place(BODY, give_up_s=give_up_s, started=began)
    except ProviderError as error:
        return error


def test_a_clear_yes_is_accepted(serve: Callable[[Handler], Server]) -> None:
    server = serve(answering(response(201, ACCEPTED)))
    assert place(server.url) == Accepted(provider_call_id="call_1", body=ACCEPTED)
    assert server.requests[0].startswith(b"POST /v2/create-phone-call HTTP/1.1")
    assert server.requests[0].endswith(b"\r\n\r\n" + BODY)


def test_nobody_listening_means_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert isinstance(place(f"http://127.0.0.1:{port}"), NotSent)


def test_a_name_that_does_not_resolve_means_not_sent() -> None:
    assert isinstance(place("http://nowhere.invalid"), NotSent)


def test_past_the_deadline_nothing_is_sent(serve: Callable[[Handler], Server]) -> None:
    server = serve(answering(response(201, ACCEPTED)))
    assert isinstance(place(server.url, give_up_s=1.0, started=time.monotonic() - 1.0), NotSent)
    time.sleep(0.1)
    assert server.connections == 0


def test_a_deadline_that_passes_while_connecting_sends_nothing(
    serve: Callable[[Handler], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process may stand still between connecting and writing: the clock is read just before."""
    server = serve(answering(response(201, ACCEPTED)))
    connected = threading.Event()
    watch = http.Watchdog._watch

    def freeze(self: http.Watchdog, connection: socket.socket) -> None:
        watch(self, connection)
        connected.set()

    real = time.monotonic
    monkeypatch.setattr(http.Watchdog, "_watch", freeze)
    monkeypatch.setattr(http, "monotonic", lambda: real() + (60.0 if connected.is_set() else 0.0))
    assert isinstance(place(server.url, give_up_s=5.0), NotSent)
    time.sleep(0.1)
    assert server.connections == 1
    assert server.requests == []


def test_a_deadline_that_passes_after_the_headers_is_unclear(
    serve: Callable[[Handler], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(answering(response(201, ACCEPTED)))
    late = threading.Event()
    trace = http.Watchdog.trace

    def freeze(self: http.Watchdog, event: str, info: dict[str, object]) -> None:
        trace(self, event, info)
        if event == "http11.send_request_headers.complete":
            late.set()

    real = time.monotonic
    monkeypatch.setattr(http.Watchdog, "trace", freeze)
    monkeypatch.setattr(http, "monotonic", lambda: real() + (60.0 if late.is_set() else 0.0))
    assert isinstance(place(server.url, give_up_s=5.0), Unclear)


def test_a_server_that_never_finishes_tls_is_given_up_in_time_and_saw_no_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        outcome = place(f"https://127.0.0.1:{listener.getsockname()[1]}", give_up_s=0.7)
        assert isinstance(outcome, NotSent)
        assert 0.6 <= time.monotonic() - began < 1.2
        connection, _address = listener.accept()
        with connection:
            connection.settimeout(1.0)
            assert BODY not in connection.recv(65536)


SLOW: dict[str, Handler] = {
    "says nothing": lambda _connection, _request: time.sleep(5),
    "drips its status line": drip(b"HTTP/1.1 201 Created-and-so-on-and-on-and-on"),
    "drips headers": lambda connection, request: (
        connection.sendall(b"HTTP/1.1 201 X\r\n"),
        drip(b"X-Slow: y\r\n")(connection, request),
    )[-1],
    "drips the body of a refusal": lambda connection, request: (
        connection.sendall(response(400, b"", length=5000)),
        drip(b"nothing ")(connection, request),
    )[-1],
    "drips a body without length": lambda connection, request: (
        connection.sendall(b"HTTP/1.1 400 X\r\nConnection: close\r\n\r\n"),
        drip(b"nothing ")(connection, request),
    )[-1],
}


@pytest.mark.parametrize("handler", SLOW.values(), ids=SLOW.keys())
def test_a_slow_server_holds_nobody_past_the_deadline(
    handler: Handler, serve: Callable[[Handler], Server]
) -> None:
    server = serve(handler)
    began = time.monotonic()
    outcome = place(server.url, give_up_s=1.0)
    assert isinstance(outcome, Unclear)
    assert 0.9 <= time.monotonic() - began < 1.5
    assert len(server.requests) == 1


def test_an_acceptance_whose_body_drips_is_accepted_at_the_deadline(
    serve: Callable[[Handler], Server],
) -> None:
    def handler(connection: socket.socket, request: bytes) -> None:
        connection.sendall(response(201, b"", length=5000))
        drip(b'{"call_id":"call_1"')(connection, request)

    server = serve(handler)
    began = time.monotonic()
    outcome = place(server.url, give_up_s=1.0)
    assert isinstance(outcome, Accepted)
    assert outcome.provider_call_id == ""
    assert time.monotonic() - began < 1.5


UNREADABLE = {
    "torn": response(201, ACCEPTED[:20], length=len(ACCEPTED)),
    "no JSON": response(201, b"<html>"),
    "empty": response(201),
    "no id": response(201, b'{"call_status":"registered"}'),
    "an id that is none": response(201, b'{"call_id":7}'),
    "a list": response(201, b"[]"),
    "no UTF-8": response(201, b'{"call_id":"\xff"}'),
    "torn compression": response(201, gzip.compress(ACCEPTED)[:20], "Content-Encoding: gzip"),
    "no compression": response(201, ACCEPTED, "Content-Encoding: gzip"),
    "bottomless": response(201, b"[" * 200_000),
}


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_acceptance_that_cannot_be_read_is_still_one(
    answer: bytes, serve: Callable[[Handler], Server]
) -> None:
    server = serve(answering(answer))
    outcome = place(server.url)
    assert isinstance(outcome, Accepted)
    assert outcome.provider_call_id == ""
    assert len(server.requests) == 1


UNCLEAR = {
    "500": response(500, b'{"status":"error","message":"An unexpected server error occurred."}'),
    "502": response(502, b"<html>Bad gateway</html>"),
    "503 with Retry-After": response(503, b"", "Retry-After: 0"),
    "408": response(408),
    "409": response(409, b'{"status":"error","message":"conflict"}'),
    "404": response(404, b"{}"),
    "redirect": response(307, b"", "Location: /v2/elsewhere"),
    "no answer": b"",
    "half a status line": b"HTTP/1.1 2",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a torn refusal": response(400, b'{"mess', length=500),
    "a torn busy": response(429, b'{"mess', length=500),
}


@pytest.mark.parametrize("answer", UNCLEAR.values(), ids=UNCLEAR.keys())
def test_what_is_no_clear_answer_is_unclear_and_never_sent_again(
    answer: bytes, serve: Callable[[Handler], Server]
) -> None:
    server = serve(answering(answer))
    assert isinstance(place(server.url), Unclear)
    time.sleep(0.1)
    assert server.connections == 1
    assert len(server.requests) == 1


def test_a_connection_that_is_reset_after_the_request_is_unclear(
    serve: Callable[[Handler], Server],
) -> None:
    def handler(connection: socket.socket, _request: bytes) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    server = serve(handler)
    assert isinstance(place(server.url), Unclear)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Retry-After: 7", 7.0),
        ("Retry-After-Ms: 2500", 2.5),
        ("X-Nothing: 1", None),
        ("Retry-After: x", None),
    ],
)
def test_too_many_requests_is_a_definite_not_now(
    header: str, seconds: float | None, serve: Callable[[Handler], Server]
) -> None:
    server = serve(answering(response(429, b'{"status":"error","message":"slow down"}', header)))
    outcome = place(server.url)
    assert isinstance(outcome, Busy)
    assert outcome.retry_after_s == seconds
    assert len(server.requests) == 1


def test_a_date_to_retry_after_is_understood(serve: Callable[[Handler], Server]) -> None:
    server = serve(answering(response(429, b"", f"Retry-After: {formatdate(time.time() + 30, usegmt=True)}")))
    outcome = place(server.url)
    assert isinstance(outcome, Busy)
    assert outcome.retry_after_s == pytest.approx(30, abs=2)


def test_every_placement_has_a_connection_of_its_own(serve: Callable[[Handler], Server]) -> None:
    """Of a connection that was used before nobody knows whether the server has already left it."""
    server = serve(answering(response(201, ACCEPTED, "Connection: keep-alive")))
    retell = provider(server.url)
    for _time in range(3):
        retell.place(BODY, give_up_s=1.0, started=time.monotonic())
    assert server.connections == 3


def test_when_every_connection_is_taken_the_next_is_not_sent(serve: Callable[[Handler], Server]) -> None:
    released = threading.Event()

    def handler(connection: socket.socket, _request: bytes) -> None:
        released.wait(5)
        connection.sendall(response(201, ACCEPTED))

    server = serve(handler)
    retell = provider(server.url)

    def take() -> None:
        retell.place(BODY, give_up_s=10.0, started=time.monotonic())

    takers = [threading.Thread(target=take) for _taker in range(http.MAX_CONNECTIONS)]
    for taker in takers:
        taker.start()
    while len(server.requests) < http.MAX_CONNECTIONS:
        time.sleep(0.01)
    with pytest.raises(NotSent):
        retell.place(BODY, give_up_s=0.5, started=time.monotonic())
    released.set()
    for taker in takers:
        taker.join()
    assert len(server.requests) == http.MAX_CONNECTIONS


def test_watchdogs_leave_neither_threads_nor_sockets_behind(serve: Callable[[Handler], Server]) -> None:
    server = serve(answering(response(201, ACCEPTED)))
    retell = provider(server.url)
    for _time in range(20):
        retell.place(BODY, give_up_s=30.0, started=time.monotonic())
    time.sleep(0.2)
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
