from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from callcenter.checks import refuse_without_settings
from calls import dialer


class Command(BaseCommand):
    help = "Stops all calling: no call goes out after this returns. People who ring are still answered."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", default="stopped from the command line")

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_without_settings("stop_calling")
        dialer.stop(by=None, reason=options["reason"], now=timezone.now())
        self.stdout.write("Calling is stopped. `resume_calling` starts it again.")
