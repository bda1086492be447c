from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from callcenter.checks import refuse_without_settings
from calls import dialer
from calls.management.stop_target import add_target, target_of


class Command(BaseCommand):
    help = "Resumes calling after `stop_calling` or the desk's stop, of all or of what is named."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", default="resumed from the command line")
        add_target(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_without_settings("resume_calling")
        ended = dialer.resume(
            by=None, reason=options["reason"], now=timezone.now(), target=target_of(options)
        )
        self.stdout.write("Calling goes on." if ended else "It was not stopped.")
        for stop in dialer.in_force():
            self.stdout.write(f"Still stopped: {stop}.")
