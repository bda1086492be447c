from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from calls.lifecycle import rederive

LONGEST = 120


class Command(BaseCommand):
    help = (
        "Computes every call again from its stored facts and mends what differs. With --check it only "
        "reports, and ends with 1 if anything does; nothing should."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; 1 if anything differs")

    def handle(self, *args: Any, **options: Any) -> None:
        count = rederive.Count()
        now = timezone.now()
        for count in rederive.rederive_all(heal=not options["check"], now=now):
            for one in count.mine:
                for name, (ours, facts) in one.fields.items():
                    self.stdout.write(f"{one.call_id} {name}: {_short(ours)}, its facts say {_short(facts)}")
        self.stdout.write(
            f"{count.looked_at} calls, {count.without_facts} of them without facts: "
            f"{count.differing} differ, {count.healed} mended."
        )
        if waiting := rederive.unread():
            self.stdout.write(f"{waiting} events are still to be read; the dialer reads them.")
        if options["check"] and count.differing:
            raise SystemExit(1)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
