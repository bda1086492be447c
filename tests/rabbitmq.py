"""A RabbitMQ of our own for a test: in a temporary directory, on ports of its own, gone afterwards.

The machine's own broker, if it has one, is never touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
GREETING = b"AMQP\0\0\x09\x01"


class NoBroker(Exception):
    """This machine has no RabbitMQ; the message says how to get it."""


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Broker:
    """`with Broker() as broker:` runs one; `broker.url` is its CELERY_BROKER_URL. Raises NoBroker."""

    def __enter__(self) -> Self:
        if not PROGRAM.is_file():
            raise NoBroker("no RabbitMQ on this machine (Debian: apt install rabbitmq-server)")
        self._home = Path(tempfile.mkdtemp(prefix="callcenter-mq-"))
        self._port, nodes, names = _free_ports(3)
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"
        (self._home / "plugins").write_text("[].")
        self._environment = {
            **os.environ,
            "HOME": str(self._home),
            "RABBITMQ_NODENAME": f"callcenter-{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(nodes),
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(self._home / "rows"),
            "RABBITMQ_LOG_BASE": str(self._home / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._home / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._home / "none"),
            "RABBITMQ_CONF_ENV_FILE": str(self._home / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
        }
        with (self._home / "log").open("wb") as log:
            self._server = subprocess.Popen(
                [PROGRAM],
                env=self._environment,
                cwd=self._home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"RabbitMQ did not start:\n{(self._home / 'log').read_text()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as line:
                line.sendall(GREETING)
                return bool(line.recv(8))
        except OSError:
            return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The session is ours alone; only the name server leaves it, and is asked to end on its own port.
        os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait()
        if epmd := shutil.which("epmd"):
            until = time.monotonic() + 5
            while time.monotonic() < until:
                asked = [epmd, "-port", self._environment["ERL_EPMD_PORT"], "-kill"]
                said = subprocess.run(
                    asked, env=self._environment, capture_output=True, text=True, check=False
                )
                if "Killed" in said.stdout or "Cannot connect" in said.stdout + said.stderr:
                    break
                time.sleep(0.1)
        shutil.rmtree(self._home, ignore_errors=True)
