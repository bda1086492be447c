from __future__ import annotations

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from calls import recording_copies
from calls.models import Call


class Command(BaseCommand):
    help = "Deletes our copy of a call's recording for good, and plays it to nobody any more."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("call", type=uuid.UUID, help="the call's id, as in the address of its page")

    def handle(self, *args: Any, **options: Any) -> None:
        call = Call.objects.filter(pk=options["call"]).first()
        if call is None:
            raise CommandError("There is no such call.")
        there = recording_copies.delete(call, now=timezone.now())
        self.stdout.write("Deleted." if there else "There was no copy; it is played to nobody any more.")
        if call.provider_call_id:
            self.stdout.write(f"Retell may still have it: delete the call {call.provider_call_id} there too.")
