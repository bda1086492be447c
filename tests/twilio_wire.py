"""The official package pointed at our sandbox, and a stand-in for our web server that answers in TwiML."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from agents.sandbox.twilio.contract import FIXED_SID, FIXED_TOKEN

STAFF = "+14155550101"
"""Picks up and presses what is offered; +1 415 555 0116 and 0106 are a lead and a mailbox."""
LEAD, MAILBOX, NEVER_CALL, BUSY, NOBODY, HANGS_UP, INVALID = (
    "+14155550116", "+14155550106", "+14155550103", "+14155550108", "+14155550109", "+14155550105",
    "+14155550111",
)  # fmt: skip
OURS = "+12125550180"


class _Redirecting(TwilioHttpClient):
    """All of Twilio's hosts are the sandbox."""

    def __init__(self, address: str) -> None:
        super().__init__(timeout=10)
        self._address = address

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        return super().request(method, self._address + parts.path + query, *args, **kwargs)


def official(address: str, *, sid: str = FIXED_SID, token: str = FIXED_TOKEN) -> Client:
    return Client(sid, token, http_client=_Redirecting(address))


class Told(NamedTuple):
    path: str
    fields: dict[str, str]
    signature: str
    token: str
    url: str
    content_type: str


Answering = Callable[[Told], str | int | None]


class Answerer:
    """Real HTTP. `answers` maps a path to TwiML, a status, or a function that gives either; else 204."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.answers: dict[str, str | int | Answering] = {}
        answerer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                told = Told(
                    path=self.path,
                    fields=dict(parse_qsl(body, keep_blank_values=True)),
                    signature=self.headers["X-Twilio-Signature"],
                    token=self.headers["I-Twilio-Idempotency-Token"],
                    url=answerer.url + self.path,
                    content_type=self.headers["Content-Type"],
                )
                answerer.told.append(told)
                given = answerer.answers.get(urlsplit(self.path).path)
                reply = given(told) if callable(given) else given
                content = reply.encode() if isinstance(reply, str) else b""
                self.send_response(reply if isinstance(reply, int) else 200)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def at(self, path: str) -> list[Told]:
        return [told for told in list(self.told) if urlsplit(told.path).path == path]

    def signed_by(self, token: str) -> bool:
        """Whether the official validator takes every request."""
        validator = RequestValidator(token)
        return all(validator.validate(told.url, told.fields, told.signature) for told in list(self.told))

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
