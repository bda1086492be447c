"""The sandbox's HTTP server: one address for Retell's two contracts, Twilio, the control doors and the
customer page.

with Sandbox(speed=50, seed=1, api_key="key_test", webhook_url=url) as sandbox:
    Retell(api_key="key_test", base_url=sandbox.url).call.create_phone_call(...)
    sandbox.control("faults", webhook_drop={"next": 1})
    sandbox.ledger()["summary"]
"""

from __future__ import annotations

import io
import json
import logging
import socketserver
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx
from werkzeug.exceptions import Forbidden, HTTPException, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Request, Response

from agents.sandbox.account import Account
from agents.sandbox.article import FIXED_SECRET, ArticleContract
from agents.sandbox.control import Control
from agents.sandbox.faults import Faults
from agents.sandbox.ledger import Ledger
from agents.sandbox.network import Network
from agents.sandbox.phone import CustomerPage
from agents.sandbox.recordings import Recordings
from agents.sandbox.retell import SIGNATURE_HEADER, Disconnect, RetellContract, sign
from agents.sandbox.retell_answers import ApiError
from agents.sandbox.twilio.contract import FIXED_SID, FIXED_TOKEN, TwilioContract
from agents.sandbox.webhooks import Courier

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)

FIXED_KEY = "key_sandbox_0123456789abcdef"
"""Accepted when RETELL_API_KEY is not set."""
MAX_BODY = 2_000_000


class KeepAliveHandler(WSGIRequestHandler):
    """HTTP/1.1 with connections kept open: Werkzeug's own handler closes every one."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        body = self._read_body(environ)
        if body is None:
            self.close_connection = True
            self.send_error(413)
            return
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        try:
            response = Response.from_app(self.server.app, environ, buffered=True)
        except Disconnect:
            self.close_connection = True
            return
        content = response.get_data()
        self.send_response(response.status_code)
        for name, value in response.headers.items():
            if name.lower() not in {"content-length", "connection"}:
                self.send_header(name, value)
        if response.status_code not in {204, 304}:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def _read_body(self, environ: WSGIEnvironment) -> bytes | None:
        """All of it, or the rest would be taken for the next request. None: too long."""
        if environ.get("HTTP_TRANSFER_ENCODING"):
            body = io.BufferedReader(environ["wsgi.input"]).read(MAX_BODY + 1)
            return body if len(body) <= MAX_BODY else None
        length = int(environ.get("CONTENT_LENGTH") or 0)
        return self.rfile.read(length) if length <= MAX_BODY else None

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        logger.debug("%s %s %s", self.command, self.path, code)


class Server(ThreadedWSGIServer):
    def server_bind(self) -> None:
        """Without asking who the address is: a name server that does not answer would hold everything up."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class Sandbox:
    """A telephone network on loopback. `start` and `stop`, or use it as a context manager."""

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        speed: float = 10.0,
        seed: int = 1,
        api_key: str = FIXED_KEY,
        webhook_secret: str = FIXED_SECRET,
        twilio_sid: str = FIXED_SID,
        twilio_token: str = FIXED_TOKEN,
        contract: str = "current",
        webhook_url: str | None = None,
        inbound_webhook_url: str | None = None,
        pace: float = 0.0,
        capacity: int = 20,
    ) -> None:
        """`pace`: calls a second on each line, 0 for no limit. `contract`: in which calls in are told of.

        `inbound_webhook_url`, which the numbers start with, stands beside `webhook_url` unless given.
        """
        if inbound_webhook_url is None and webhook_url is not None:
            inbound_webhook_url = webhook_url.rstrip("/") + "/inbound"
        self.api_key = api_key
        self.stopping = threading.Event()
        self.faults = Faults(seed)
        self.ledger_book = Ledger()
        self.network = Network(seed=seed, speed=speed)
        self.account = Account(inbound_webhook_url=inbound_webhook_url, seed=seed)
        self.recordings = Recordings(key=api_key)
        self.courier = Courier(
            key=api_key,
            sign=sign,
            header=SIGNATURE_HEADER,
            ledger=self.ledger_book,
            faults=self.faults,
            scheduler=self.network.scheduler,
        )
        self.retell = RetellContract(
            api_key=api_key,
            network=self.network,
            account=self.account,
            courier=self.courier,
            ledger=self.ledger_book,
            faults=self.faults,
            recording_url=self.recordings.url_of,
            stopping=self.stopping,
        )
        self.article = ArticleContract(today=self.retell, secret=webhook_secret)
        self.twilio = TwilioContract(
            account_sid=twilio_sid,
            token=twilio_token,
            network=self.network,
            retell=self.retell,
            ledger=self.ledger_book,
            faults=self.faults,
            stopping=self.stopping,
        )
        self.network.rings_in_under = contract
        self.retell.webhook_url = webhook_url
        self.retell.pace.per_second = pace
        self.retell.capacity = capacity
        self._doors = (
            self.retell,
            self.article,
            self.twilio,
            Control(self),
            CustomerPage(self),
            self.recordings,
        )
        self._urls = self._map()
        self._server = Server(host, port, self, KeepAliveHandler)
        self._thread: threading.Thread | None = None
        self.url = f"http://{host}:{self._server.port}"
        self.recordings.base_url = self.url
        self._http = httpx.Client(base_url=self.url, timeout=30)

    def _map(self) -> Map:
        rules: list[Rule] = []
        for door in self._doors:
            for rule in door.rules():
                rule.endpoint = (door, rule.endpoint)
                rules.append(rule)
        return Map(rules, strict_slashes=False, merge_slashes=False)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        return self._answer(request)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        try:
            origin = request.headers.get("Origin")
            if origin is not None and origin != request.host_url.rstrip("/"):
                raise Forbidden("Another site's page may not speak to the sandbox.")
            (door, endpoint), values = self._urls.bind_to_environ(request.environ).match()
        except NotFound:
            return ApiError(404, f"Cannot {request.method} {request.path}").response()
        except HTTPException as problem:
            return ApiError(problem.code or 500, problem.description or problem.name).response()
        try:
            response: Response = door.serve(request, endpoint, values)
        except Disconnect:
            raise
        except Exception:
            logger.exception("The sandbox could not answer %s %s", request.method, request.path)
            return ApiError(500, "The sandbox failed; its log says why.").response()
        return response

    def reset(self, seed: int | None = None) -> None:
        """Calls, ledger, keys and faults are gone; settings and agents stay."""
        self.network.reset(seed)
        self.courier.forget()
        self.retell.keys.forget()
        self.article.forget()
        self.twilio.forget()
        self.recordings.forget()
        self.ledger_book.clear()
        self.faults.reset(self.network.seed)

    def start(self) -> Self:
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="sandbox-http",
            daemon=True,
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        self.stopping.set()
        self._http.close()
        self._server.shutdown()
        self.network.stop()
        self.courier.stop()
        self.twilio.stop()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def serve_forever(self) -> None:
        """In this thread, until interrupted."""
        try:
            self._server.serve_forever()
        finally:
            self.stopping.set()
            self.network.stop()
            self.courier.stop()
            self.twilio.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def control(self, what: str, **body: Any) -> Any:
        """POST /control/<what> over HTTP, as anybody would. Raises httpx.HTTPStatusError."""
        response = self._http.post(f"/control/{what}", content=json.dumps(body))
        return response.raise_for_status().json()

    def book(self, name: str) -> Iterator[dict[str, Any]]:
        """`calls`, `creates`, `webhooks` or `dropped` of the ledger, however many they are."""
        after: int | None = 0
        while after is not None:
            page = (
                self._http.get(f"/control/ledger/{name}", params={"after": after}).raise_for_status().json()
            )
            yield from page["items"]
            after = page["next"]

    def ledger(self, call_id: str = "") -> Any:
        """The whole ledger, or all about one call with its webhooks."""
        path = f"/control/ledger/{call_id}" if call_id else "/control/ledger"
        return self._http.get(path).raise_for_status().json()
