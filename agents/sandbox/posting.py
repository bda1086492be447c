"""POST over connections kept open, one for each thread and host.

A pool shared by the webhook workers spent most of its time on its own lock; here no two threads share
anything. A connection the other side has closed meanwhile is noticed before it is used.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

MAX_ANSWER = 1_000_000


class PostFailed(Exception):
    """No answer: could not connect, took too long, closed in the middle."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Raises ValueError."""
        return json.loads(self.body)


class Poster:
    """Thread-safe: every thread has its own connections."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._all: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()
        self._given_up = False

    def give_up(self) -> None:
        """Whoever waits for an answer gets none, and nothing more is sent.

        The sockets are shut, not closed: a closed one's number may be another's before its thread wakes.
        """
        with self._lock:
            self._given_up = True
            for connection in self._all:
                if connection.sock is not None:
                    with contextlib.suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """After `give_up`, when no thread posts any more."""
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all.clear()

    def post(self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> Answer:
        """Redirects are not followed. Raises PostFailed."""
        parts = urlsplit(url)
        path = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        try:
            connection = self._connection(parts.scheme, parts.netloc, timeout_s)
            connection.request("POST", path, body=body, headers=dict(headers))
            response = connection.getresponse()
            answer = Answer(response.status, response.read(MAX_ANSWER))
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._forget(parts.scheme, parts.netloc)
            raise PostFailed(f"{type(error).__name__}: {error}") from error
        if response.will_close or not response.isclosed():
            self._forget(parts.scheme, parts.netloc)
        return answer

    def _connection(self, scheme: str, host: str, timeout_s: float) -> http.client.HTTPConnection:
        open_ones = self._open_ones()
        connection = open_ones.get((scheme, host))
        if connection is not None and connection.sock is not None and not _closed_by_peer(connection):
            connection.sock.settimeout(timeout_s)
            return connection
        self._forget(scheme, host)
        kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        connection = open_ones[scheme, host] = kind(host, timeout=timeout_s)
        with self._lock:
            if self._given_up:
                raise PostFailed("The sandbox is being stopped.")
            self._all.add(connection)
        return connection

    def _open_ones(self) -> dict[tuple[str, str], http.client.HTTPConnection]:
        if not hasattr(self._mine, "connections"):
            self._mine.connections = {}
        found: dict[tuple[str, str], http.client.HTTPConnection] = self._mine.connections
        return found

    def _forget(self, scheme: str, host: str) -> None:
        connection = self._open_ones().pop((scheme, host), None)
        if connection is not None:
            connection.close()
            with self._lock:
                self._all.discard(connection)


def _closed_by_peer(connection: http.client.HTTPConnection) -> bool:
    """Anything to read on an idle connection is its end."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))
