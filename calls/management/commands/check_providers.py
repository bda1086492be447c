from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agents.providers.registry import get_provider
from agents.readiness import Level
from callcenter.checks import refuse_without_settings
from calls import provider_checks
from calls.models.clock import database_now

SIGN = {Level.GREEN: "ok   ", Level.AMBER: "?    ", Level.RED: "WRONG"}


class Command(BaseCommand):
    help = (
        "Looks whether calls can go out and their news can come back: key, signature, addresses, numbers, "
        "room, clocks. Says of each what to do, and ends with 1 when something is wrong."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_without_settings("check_providers")
        checks = provider_checks.look_and_keep(get_provider(), now=database_now())
        for check in checks:
            title = provider_checks.TITLES[check.code]
            self.stdout.write(f"{SIGN[check.level]}  {title}: {check.sentence}")
            if check.what_to_do:
                self.stdout.write(f"       {check.what_to_do}")
        wrong = [str(provider_checks.TITLES[each.code]) for each in checks if each.level == Level.RED]
        if wrong:
            raise CommandError(f"Wrong: {', '.join(wrong)}.")
