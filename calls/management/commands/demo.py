"""Everything at once on this machine: desk, dialer, worker and a telephone network with people to call."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents.providers.registry import CONTRACTS
from callcenter.demo import home as homes
from callcenter.demo import run, scenes
from callcenter.demo.home import HOME_VARIABLE, AlreadyRunning, Home, PortTaken


class Command(BaseCommand):
    help = "The whole product with invented people and telephones: no account, key or network is needed."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=None, help="of the desk (default: PORT, else 8000)")
        parser.add_argument(
            "--smoke",
            type=int,
            metavar="N",
            help="place N calls through everything, compare each with the network's ledger, and end",
        )
        parser.add_argument("--play", action="store_true", help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        folder = os.environ.get(HOME_VARIABLE)
        if folder is None:
            self._start_in_own_environment(options)
            return
        home = Home(Path(folder))
        if options["play"]:
            scenes.play()
            return
        port = int(settings.PUBLIC_BASE_URL.rpartition(":")[2])
        demo = run.Demo(home, port=port, environment=dict(os.environ), tell=self._tell)
        try:
            with home.lock():
                self._run(demo, options["smoke"])
        except AlreadyRunning as error:
            raise CommandError(f"A demo is running already, from {error}.") from error
        except run.NotStarted as error:
            raise CommandError(str(error)) from error

    def _run(self, demo: run.Demo, count: int | None) -> None:
        if count is None:
            demo.run()
            self._tell("Everything has ended.")
            return
        if not demo.smoke(count):
            raise CommandError(f"Not all is as it should be; logs: {demo.home.logs}")
        run.forget(demo.home)

    def _start_in_own_environment(self, options: dict[str, Any]) -> None:
        """Becomes the same command again, with settings of its own and none of this machine's."""
        smoke = options["smoke"]
        if smoke is not None and smoke < 1:
            raise CommandError("--smoke needs at least one call.")
        contract = os.environ.get("RETELL_CONTRACT", "") or "current"
        if contract not in CONTRACTS:
            raise CommandError(f"RETELL_CONTRACT must be one of: {', '.join(CONTRACTS)}.")
        home = (
            homes.usual_home(contract)
            if smoke is None
            else Home(Path(tempfile.mkdtemp(prefix="demo-smoke-")))
        )
        home.prepare()
        port = options["port"] or (homes.free_port() if smoke is not None else _usual_port())
        try:
            environment = homes.environment(
                home, port=port, sandbox_port=home.sandbox_port(), contract=contract, **_pace(smoke)
            )
        except PortTaken as error:
            if smoke is not None:
                run.forget(home)
            raise CommandError(
                f"Port {error} is taken by something else (perhaps a demo that is running). "
                f"Choose another: make demo PORT={port + 1}"
            ) from error
        arguments = [sys.executable, "manage.py", "demo"]
        if smoke is not None:
            arguments += ["--smoke", str(smoke)]
        os.chdir(settings.BASE_DIR)
        self.stdout.flush()
        os.execve(sys.executable, arguments, environment)  # noqa: S606  ourselves again

    def _tell(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _usual_port() -> int:
    given = os.environ.get("PORT", "")
    return int(given) if given.isdecimal() else 8000


def _pace(smoke: int | None) -> dict[str, Any]:
    if smoke is None:
        return {}
    return {"pace": 10.0, "at_once": 30}
