from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from callcenter.checks import refuse_without_settings
from calls import dialer


class Command(BaseCommand):
    help = "Resumes calling after `stop_calling` or the desk's stop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", default="resumed from the command line")

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_without_settings("resume_calling")
        dialer.resume(by=None, reason=options["reason"], now=timezone.now())
        self.stdout.write("Calling goes on.")
