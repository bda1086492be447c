from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from callcenter.checks import refuse_without_settings
from calls import dialer
from calls.management.stop_target import add_target, target_of
from calls.models.clock import database_now


class Command(BaseCommand):
    help = (
        "Stops all calling, or only calls by one agent, from one caller ID or to one list: no such call "
        "goes out after this returns. People who ring are still answered."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reason", default="stopped from the command line")
        parser.add_argument(
            "--restored",
            action="store_true",
            help="an older copy of the data was brought back: the dialers first adopt what was called since",
        )
        add_target(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_without_settings("stop_calling")
        stop = dialer.stop(by=None, reason=options["reason"], now=timezone.now(), target=target_of(options))
        if options["restored"]:
            dialer.begin_after_restore(now=database_now())
        left = dialer.left(stop)
        self.stdout.write(
            f"{stop}: stopped. {left.on_the_phone} still on the phone, "
            f"{left.being_placed + left.checking} being placed. `resume_calling` starts it again."
        )
