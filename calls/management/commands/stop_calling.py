from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from callcenter.checks import refuse_without_settings
from calls import dialer
from calls.management.stop_target import add_target, target_of


class Command(BaseCommand):
    help = (
        "Stops all calling, or only calls by one agent, from one caller ID or to one list: no such call "
        "goes out after this returns. People who ring are still answered."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", default="stopped from the command line")
        add_target(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_without_settings("stop_calling")
        stop = dialer.stop(by=None, reason=options["reason"], now=timezone.now(), target=target_of(options))
        left = dialer.left(stop)
        self.stdout.write(
            f"{stop}: stopped. {left.on_the_phone} still on the phone, "
            f"{left.being_placed + left.checking} being placed. `resume_calling` starts it again."
        )
