"""The one HTTP client that speaks to providers.

A request that must not be made twice goes through `send_once`; what may be asked again goes through
`ask`. Neither ever holds its caller past the deadline: httpx has timeouts for each phase but none
for the whole, so a server that drips a byte a second would hold a thread for ever.

Both use a connection of their own: only of a fresh one is it known which socket the watchdog has to
close, and that nothing on it was sent before. `ask_at_once` is for what cannot wait for a new one.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import random
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

import httpx
from django.utils.translation import gettext as _

from agents.providers.base import NotSent, Unclear

USER_AGENT = "callcenter/0.1"
MAX_CONNECTIONS = 80
CONNECT_S = 5.0
POOL_S = 2.0
WRITE_S = 10.0
READ_S = 20.0
ASK_DEADLINE_S = 40.0
ASK_TRIES = 4
BACKOFF_FIRST_S = 0.5
BACKOFF_LONGEST_S = 8.0
KEPT_OPEN_S = 120.0
LARGEST_REFUSAL = 100_000
PASSING = frozenset({408, 429, *range(500, 600)})
"""Status codes after which the same question may get another answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `complete` is False when the body was cut off or could not be decoded."""

    status: int
    headers: httpx.Headers
    body: bytes
    complete: bool

    @property
    def retry_after_s(self) -> float | None:
        """Seconds from `retry-after-ms` or `retry-after` (seconds or an HTTP date), None without."""
        with contextlib.suppress(ValueError):
            return _not_negative(float(self.headers.get("retry-after-ms", "")) / 1000)
        given = self.headers.get("retry-after", "")
        with contextlib.suppress(ValueError):
            return _not_negative(float(given))
        with contextlib.suppress(ValueError):
            moment = parsedate_to_datetime(given)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return _not_negative((moment - datetime.now(UTC)).total_seconds())
        return None


def _not_negative(seconds: float) -> float | None:
    return max(seconds, 0.0) if seconds < float("inf") else None


class TooLate(Exception):
    """Raised inside httpcore, so that nothing (more) of the request is written."""


class Watchdog:
    """Holds one request to its deadline and knows whether any of it has left.

    Before the first byte it gives the request up; from then on a timer shuts the socket down, which
    wakes whoever is blocked on it. It works on a duplicate of the file descriptor: TLS detaches the
    first socket object, and a number that was closed may already belong to another connection.
    """

    def __init__(self, deadline: float) -> None:
        self.sent = False
        self.fired = False
        self._deadline = deadline
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(max(0.0, deadline - monotonic()), self._fire)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """httpx's `trace` extension: called before and after each step on the wire."""
        if event == "connection.connect_tcp.complete":
            self._watch(info["return_value"].get_extra_info("socket"))
        elif event == "http11.send_request_headers.started":
            self._refuse_if_late()
            # A proxy is asked for a tunnel first; that is not yet our request.
            self.sent = info["request"].method != b"CONNECT"
        elif event == "http11.send_request_body.started":
            self._refuse_if_late()

    def _watch(self, connected: socket.socket) -> None:
        with self._lock:
            self._socket = socket.socket(fileno=os.dup(connected.fileno()))
        self._refuse_if_late()

    def _refuse_if_late(self) -> None:
        if self.fired or monotonic() >= self._deadline:
            raise TooLate

    def _fire(self) -> None:
        with self._lock:
            self.fired = True
            if self._socket is not None:
                with contextlib.suppress(OSError):  # the other side was faster
                    self._socket.shutdown(socket.SHUT_RDWR)


class HttpClient:
    """Thread-safe. `transport` replaces the network in tests."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        content_type: str = "application/json",
        transport: httpx.BaseTransport | None = None,
        ask_deadline_s: float = ASK_DEADLINE_S,
    ) -> None:
        self._ask_deadline_s = ask_deadline_s
        self._content_type = content_type
        self._dated: tuple[str, datetime] | None = None
        """The newest answer's `date`, and when it came."""
        self._client = httpx.Client(
            base_url=base_url,
            headers={"User-Agent": USER_AGENT, "Accept": "application/json", **headers},
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=0),
            follow_redirects=False,
            transport=transport,
            trust_env=not _is_loopback(base_url),
        )
        self._kept_open = httpx.Client(
            base_url=base_url,
            headers=self._client.headers,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEPT_OPEN_S),
            follow_redirects=False,
            transport=transport,
            trust_env=not _is_loopback(base_url),
        )

    def close(self) -> None:
        self._client.close()
        self._kept_open.close()

    @property
    def clock_ahead(self) -> timedelta | None:
        """How far their clock is ahead of ours, by the newest answer's `date` (whole seconds, RFC 9110)."""
        if self._dated is None:
            return None
        with contextlib.suppress(ValueError):
            moment = parsedate_to_datetime(self._dated[0])
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - self._dated[1]
        return None

    def send_once(
        self,
        method: str,
        path: str,
        *,
        deadline: float,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        read_s: float | None = None,
    ) -> Answer:
        """Send once, whatever happens. `deadline` is on `time.monotonic()`'s clock.

        Raises NotSent when nothing of the request has left this machine, Unclear when something has
        and no status line came back in time. An answer whose body was cut off is an Answer.
        """
        left = deadline - monotonic()
        if left <= 0:
            raise NotSent(_("The time to send this request had passed; it was not sent."))
        with Watchdog(deadline) as watch:
            request = self._client.build_request(
                method,
                path,
                content=body,
                params=params,
                headers={"Content-Type": self._content_type} if body is not None else None,
                timeout=httpx.Timeout(
                    connect=min(CONNECT_S, left),
                    pool=min(POOL_S, left),
                    write=min(WRITE_S, left),
                    read=min(read_s or left, left),
                ),
                extensions={"trace": watch.trace},
            )
            try:
                response = self._client.send(request, stream=True)
            except TooLate as error:
                raise _failure(watch, _("no time was left to send it")) from error
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                raise NotSent(
                    _("Could not connect to %(host)s (%(error)s); nothing was sent.")
                    % {"host": request.url.host, "error": type(error).__name__}
                ) from error
            except httpx.HTTPError as error:
                # Without a trace (a replaced transport) `sent` tells nothing: unclear is the safe side.
                raise Unclear(
                    _("No clear answer came from %(host)s (%(error)s).")
                    % {"host": request.url.host, "error": type(error).__name__}
                ) from error
            if date := response.headers.get("date"):
                self._dated = date, datetime.now(UTC)
            return _read(response, watch)

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        repeat: bool = True,
    ) -> Answer:
        """Ask, and ask again after a passing failure (connection, 408, 429, 5xx) until the deadline.

        `repeat=False` for a request that does something again when it is sent again. Returns the
        last answer whatever its status; raises NotSent or Unclear when none came.
        """
        deadline = monotonic() + self._ask_deadline_s
        for attempt in range(ASK_TRIES):
            last = not repeat or attempt == ASK_TRIES - 1
            wait = _backoff_s(attempt)
            try:
                answer = whole(
                    self.send_once(method, path, deadline=deadline, body=body, params=params, read_s=READ_S)
                )
            except (NotSent, Unclear):
                if last or monotonic() + wait >= deadline:
                    raise
            else:
                given = answer.retry_after_s
                wait = wait if given is None else given
                if answer.status not in PASSING or last or monotonic() + wait >= deadline:
                    return answer
            sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def ask_at_once(self, method: str, path: str, *, body: bytes, within_s: float) -> Answer:
        """Ask what is worthless when late, and harmless when it arrives twice: over a connection kept open.

        That spares the handshakes, a hundred milliseconds to a far provider. One that the other side
        closed meanwhile is replaced, once. Raises NotSent or Unclear.
        """
        deadline = monotonic() + within_s
        last: httpx.HTTPError | None = None
        for _try in range(2):
            left = deadline - monotonic()
            if left <= 0:
                break
            try:
                with self._kept_open.stream(
                    method, path, content=body, headers={"Content-Type": "application/json"}, timeout=left
                ) as response:
                    return _read_until(response, deadline)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                raise NotSent(
                    _("Could not connect (%(error)s); nothing was sent.") % {"error": type(error).__name__}
                ) from error
            except httpx.HTTPError as error:
                last = error
                if isinstance(error, httpx.TimeoutException):
                    break
        raise Unclear(_("No clear answer came (%(error)s).") % {"error": type(last).__name__}) from last


def whole(answer: Answer) -> Answer:
    """Raises Unclear for one that was cut off."""
    if not answer.complete:
        raise Unclear(_("The answer was cut off."), http_status=answer.status, body=answer.body)
    return answer


def _read(response: httpx.Response, watch: Watchdog) -> Answer:
    """A body without a length looks whole when its connection is shut down, so the watchdog is asked."""
    parts: list[bytes] = []
    whole = True
    try:
        parts.extend(response.iter_bytes())
    except httpx.HTTPError:
        whole = False
    finally:
        response.close()
    return Answer(
        status=response.status_code,
        headers=response.headers,
        body=b"".join(parts),
        complete=whole and not watch.fired,
    )


def _read_until(response: httpx.Response, deadline: float) -> Answer:
    """No more than a refusal says: whoever drips holds its caller no longer than the deadline."""
    body, complete = b"", True
    for part in response.iter_bytes():
        body += part
        if monotonic() >= deadline or len(body) > LARGEST_REFUSAL:
            complete = False
            break
    return Answer(status=response.status_code, headers=response.headers, body=body, complete=complete)


def _failure(watch: Watchdog, why: str) -> NotSent | Unclear:
    if watch.sent:
        return Unclear(_("Only part of the request was sent: %(why)s.") % {"why": why})
    return NotSent(_("The request was given up: %(why)s.") % {"why": why})


def _backoff_s(attempt: int) -> float:
    """Doubling from half a second, with jitter so that threads do not come back together."""
    longest = min(BACKOFF_FIRST_S * 2.0**attempt, BACKOFF_LONGEST_S)
    return longest * random.uniform(0.75, 1.0)  # noqa: S311 - spreads retries, hides nothing


def _is_loopback(base_url: str) -> bool:
    """A sandbox on this machine is never behind the company's proxy."""
    host = httpx.URL(base_url).host
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
