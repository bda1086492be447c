"""A server of bare sockets: answers wrongly, slowly, in pieces or not at all, as real networks do."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from agents.providers.retell import RetellProvider

Handler = Callable[[socket.socket, bytes], None]


class Server:
    """Hands each connection to `handler`, in a thread, once a request has come; remembers what came."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[bytes] = []
        self.connections = 0
        self.closing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self.listener.accept()
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self.threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            received = _receive(connection)
            if received:
                self.requests.append(received)
                self.handler(connection, received)

    def close(self) -> None:
        self.closing.set()
        self.listener.close()


def _receive(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            return received
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def response(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answering(*answers: bytes) -> Handler:
    """One answer a request, the last of them for all that follow."""
    left = list(answers)
    return lambda connection, _request: connection.sendall(left.pop(0) if len(left) > 1 else left[0])


def provider(url: str) -> RetellProvider:
    return RetellProvider(base_url=url, api_key="key_test", ask_deadline_s=3.0)


def drip(piece: bytes) -> Handler:
    """A byte now and then: no phase ever times out."""

    def handler(connection: socket.socket, _request: bytes) -> None:
        for byte in piece * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    return handler
