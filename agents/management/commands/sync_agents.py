"""Bring agents and numbers in line with the phone company's."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from agents import sync
from agents.providers.base import ProviderError
from agents.providers.registry import get_provider
from callcenter.checks import refuse_without_settings


class Command(BaseCommand):
    help = "Fetch agents and phone numbers: new ones are added, gone ones marked, none deleted."

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_without_settings("sync_agents")
        try:
            synced = sync.sync(get_provider(), now=timezone.now())
        except ProviderError as error:
            raise CommandError(f"The phone company could not be asked: {error.message}") from error
        for what, tally in (("AI agents", synced.agents), ("phone numbers", synced.numbers)):
            self.stdout.write(f"{what}: {tally.new} new, {tally.known} renewed, {tally.gone} gone")
