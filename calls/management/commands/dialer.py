from __future__ import annotations

import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from agents.providers.registry import get_provider
from callcenter.checks import refuse_without_settings
from calls.dialer.loop import Dialer, run_once


class Command(BaseCommand):
    help = "Places calls that are due, reads what the phone company says, and looks up what it does not say."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="do what is due now, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_without_settings("dialer")
        provider = get_provider()
        if options["once"]:
            self.stdout.write(f"{run_once(provider)} placed")
            return
        dialer = Dialer(provider)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: dialer.stop())
        dialer.run()
