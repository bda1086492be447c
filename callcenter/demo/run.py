"""Starts the parts of a demo in their order, and says where to find it."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from agents import sync
from agents.models import Agent, PhoneNumber
from agents.providers.abilities import Ability
from agents.providers.base import ProviderError
from agents.providers.registry import can, get_provider
from agents.sandbox.account import Account
from agents.sandbox.archive import Archive
from callcenter.demo import daytime, people, scenes, seed, smoke, statics
from callcenter.demo.home import AT_ONCE, SPEED, Home
from callcenter.demo.supervisor import Part, Supervisor

READY_S = 60.0
SMOKE_CAPACITY = 40
BOOKS_IN = "current"
"""The contract in which the network can be asked what it has, whatever calls are made under."""

Tell = Callable[[str], None]


class NotStarted(Exception):
    """A part did not come up; the text says which log to read."""


class Demo:
    """The demo in the folder and the environment this process was started with."""

    def __init__(self, home: Home, *, port: int, environment: dict[str, str], tell: Tell) -> None:
        self.home = home
        self.port = port
        self._environment = environment
        self._tell = tell
        self._supervisor = Supervisor(tell)

    def run(self) -> None:
        """Until it is asked to end. Raises NotStarted."""
        self._supervisor.obey_signals()
        try:
            first_time = self._prepare()
            self._start_processes(worker=True)
            if not self._supervisor.stopping:
                if scenes.open_first_batch(first_time=first_time, now=timezone.now()) is not None:
                    self._start("visitors", "demo", "--play", once=True)
                self._say_where()
            self._supervisor.run()
        finally:
            self._supervisor.stop()

    def smoke(self, count: int) -> bool:
        """Place `count` calls and compare. Raises NotStarted."""
        self._supervisor.obey_signals()
        try:
            call_command("migrate", verbosity=0, interactive=False)
            looks = can(Ability.LOOK_UP)
            speed = smoke.SPEED if looks else smoke.SPEED_WITHOUT_LOOKUPS
            self._start_network(speed=speed, capacity=SMOKE_CAPACITY)
            self._sync()
            self._start_processes(worker=False)
            return smoke.run(count, provider=get_provider(BOOKS_IN), tell=self._tell)
        finally:
            self._supervisor.stop()

    def _prepare(self) -> bool:
        """Database, people and static files. Whether this is the first time."""
        gathering = statics.start(self.home)
        try:
            call_command("migrate", verbosity=0, interactive=False)
            self._start_network(speed=SPEED, capacity=AT_ONCE * 2)
            self._sync()
            first_time = not seed.is_seeded()
            if first_time:
                self._fill()
            else:
                moved = daytime.wake(timezone.now())
                self._tell(f"Welcome back: everything is as you left it{_moved(moved)}.")
            statics.finish(self.home, gathering)
        except BaseException:
            if gathering is not None:
                gathering.kill()
            raise
        return first_time

    def _fill(self) -> None:
        self._tell("Inventing a thousand people and ninety days of calls with them (once, half a minute) ...")
        began = time.monotonic()
        archive = Archive(self.home.archive, Account(inbound_webhook_url=None, seed=1))
        self.home.archive.unlink(missing_ok=True)
        made = seed.fill(
            now=timezone.now(),
            provider=get_provider(BOOKS_IN),
            network_url=settings.RETELL_BASE_URL,
            archive=archive,
        )
        self._tell(f"{made.leads} leads, {made.calls} calls, {time.monotonic() - began:.0f} s.")

    def _sync(self) -> None:
        """Agents and numbers, as *Sync* on the desk does it; who has no caller ID gets the first one."""
        try:
            sync.sync(get_provider(BOOKS_IN), now=timezone.now())
        except ProviderError as error:
            raise NotStarted(f"The telephone network does not answer: {error.message}") from error
        first = PhoneNumber.objects.usable().order_by("pk").first()
        Agent.objects.filter(default_caller_id=None).update(default_caller_id=first)

    def _start_network(self, *, speed: float, capacity: int) -> None:
        port = settings.RETELL_BASE_URL.rpartition(":")[2]
        options = ["--port", port, "--speed", f"{speed:g}", "--seed", str(scenes.NETWORK_SEED)]
        options += ["--capacity", str(capacity), "--archive", str(self.home.archive)]
        self._start("sandbox", "sandbox", *options)
        self._wait("sandbox", f"{settings.RETELL_BASE_URL}/control/")

    def _start_processes(self, *, worker: bool) -> None:
        granian = Path(sys.executable).parent / "granian"
        server = [str(granian)] if granian.exists() else [sys.executable, "-m", "granian"]
        self._start_command(
            "web",
            [
                *server, "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(self.port),
                "--workers", "1", "--blocking-threads", "12", "callcenter.wsgi:application",
            ],
        )  # fmt: skip
        self._start("dialer", "dialer")
        if worker:
            self._start("worker", "db_worker", "--no-reload")
        self._wait("web", f"{settings.PUBLIC_BASE_URL}/health")

    def _start(self, name: str, *command: str, once: bool = False) -> None:
        self._start_command(name, [sys.executable, "manage.py", *command], once=once)

    def _start_command(self, name: str, command: list[str], *, once: bool = False) -> None:
        log = self.home.logs / f"{name}.log"
        part = Part(name=name, command=command, environment=self._environment, log=log, once=once)
        self._supervisor.start(part)

    def _wait(self, name: str, url: str) -> None:
        def answers() -> bool:
            try:
                return httpx.get(url, timeout=5).status_code < 500
            except httpx.HTTPError:
                return False

        if not self._supervisor.wait_for(answers, seconds=READY_S) and not self._supervisor.stopping:
            raise NotStarted(f"{name} did not start within {READY_S:.0f} s: see {self.home.logs / name}.log")

    def _say_where(self) -> None:
        self._tell("")
        self._tell(f"  The desk            http://127.0.0.1:{self.port}/admin/")
        self._tell(f"  The telephones      {settings.RETELL_BASE_URL}   (answer as the customer)")
        self._tell("")
        for what, one in (
            ("a salesperson", people.SALES[0]),
            ("a manager", people.MANAGER),
            ("an administrator", people.ADMINISTRATOR),
        ):
            self._tell(f"  Log in as {what:17} {one.username:6} password {people.PASSWORD}")
        others = ", ".join(one.username for one in people.SALES[1:])
        self._tell(f"  More salespeople, with the same password: {others}")
        self._tell("")
        self._tell(
            f"  Calls go out already. People of the list “{people.TRY_THESE}” do what their name says."
        )
        self._tell(f"  Logs are in {self.home.logs}. Ctrl-C ends everything; start again to go on.")
        self._tell("")


def _moved(many: int) -> str:
    return f"; {many} people live elsewhere now, where it is day" if many else ""


def forget(home: Home) -> None:
    """The folder of a demo that was for once only."""
    shutil.rmtree(home.folder, ignore_errors=True)
