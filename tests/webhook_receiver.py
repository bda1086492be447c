"""A stand-in for the product's web server: real HTTP, keeps every request, answers as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    path: str
    body: bytes
    signature: str

    @cached_property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def event(self) -> str:
        return self.json["event"]


Answer = Callable[[Received], "tuple[int, Any]"]


def accept(_received: Received) -> tuple[int, Any]:
    return 204, None


class Receiver:
    """`answer` may be replaced at any time; it may sleep, as a slow server does."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Answer = accept
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got = Received(self.path, body, self.headers["x-retell-signature"])
                receiver.received.append(got)
                status, reply = receiver.answer(got)
                content = b"" if reply is None else json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhook/retell"

    def events(self, call_id: str) -> list[str]:
        return [got.event for got in self.of(call_id)]

    def of(self, call_id: str) -> list[Received]:
        return [got for got in list(self.received) if got.json.get("call", {}).get("call_id") == call_id]

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def eventually(found: Callable[[], Any], *, within_s: float = 15.0) -> Any:
    """The first true answer of `found`, asked again and again."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        answer = found()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {within_s} s: {found}")
