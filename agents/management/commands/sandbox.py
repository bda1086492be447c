"""A telephone network on this machine, for trying the product without any account."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents.providers.registry import CONTRACTS
from agents.sandbox.archive import Archive
from agents.sandbox.article import FIXED_SECRET
from agents.sandbox.server import FIXED_KEY, Sandbox
from agents.sandbox.twilio.contract import FIXED_SID, FIXED_TOKEN

RESUME_AFTER_S = 10.0
"""By then whoever is told of the calls left unfinished, started together with us, should listen."""
HEADROOM = 1.5
"""How much faster than CALLS_PER_SECOND the sandbox still accepts calls on one line."""


class Command(BaseCommand):
    help = "Run a telephone network on this machine that speaks Retell and Twilio: no database, no account."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument(
            "--port", type=int, default=8765, help="port; 0 takes a free one (default: %(default)s)"
        )
        parser.add_argument(
            "--speed", type=float, default=10.0, help="how fast people live (default: %(default)s)"
        )
        parser.add_argument(
            "--seed", type=int, default=1, help="who picks up what, repeatable (default: %(default)s)"
        )
        parser.add_argument(
            "--webhook-url",
            default=None,
            help="where events go (default: PUBLIC_BASE_URL + /webhook/retell)",
        )
        parser.add_argument("--capacity", type=int, default=20, help="calls at once (default: %(default)s)")
        parser.add_argument(
            "--archive",
            type=Path,
            default=None,
            help="a file that keeps calls for the next start (default: none)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0.01 <= options["speed"] <= 10_000:
            raise CommandError("--speed must be between 0.01 and 10000.")
        base_url = os.environ.get("PUBLIC_BASE_URL", "").rstrip("/")
        webhook_url = options["webhook_url"] or (f"{base_url}/webhook/retell" if base_url else None)
        key = os.environ.get("RETELL_API_KEY", "") or FIXED_KEY
        try:
            pace = float(os.environ.get("CALLS_PER_SECOND", "") or 1.0) * HEADROOM
        except ValueError as error:
            raise CommandError("CALLS_PER_SECOND must be a number.") from error
        contract = os.environ.get("RETELL_CONTRACT", "") or "current"
        if contract not in CONTRACTS:
            raise CommandError(f"RETELL_CONTRACT must be one of: {', '.join(CONTRACTS)}.")
        secret = os.environ.get("RETELL_WEBHOOK_SECRET", "").partition(",")[0].strip() or FIXED_SECRET
        token = os.environ.get("TWILIO_AUTH_TOKEN", "").partition(",")[0].strip() or FIXED_TOKEN
        sandbox = Sandbox(
            host=options["host"],
            port=options["port"],
            speed=options["speed"],
            seed=options["seed"],
            api_key=key,
            webhook_secret=secret,
            twilio_sid=os.environ.get("TWILIO_ACCOUNT_SID", "").strip() or FIXED_SID,
            twilio_token=token,
            contract=contract,
            webhook_url=webhook_url,
            pace=pace,
            capacity=options["capacity"],
        )
        if options["archive"] is not None:
            sandbox.network.archive = Archive(options["archive"], sandbox.account)
            sandbox.network.scheduler.after_wall(RESUME_AFTER_S, sandbox.network.resume)
        shown = key if key == FIXED_KEY else "the one in RETELL_API_KEY"
        self.stdout.write(
            f"Sandbox: {sandbox.url}  (set RETELL_BASE_URL to this; open it to answer as the customer)"
        )
        self.stdout.write(f"Key: {shown}")
        if contract == "article":
            mine = secret if secret == FIXED_SECRET else "the one in RETELL_WEBHOOK_SECRET"
            self.stdout.write(f"Secret that signs events: {mine}")
        self.stdout.write(f"Events go to: {webhook_url or 'nowhere: give --webhook-url or PUBLIC_BASE_URL'}")
        self.stdout.write(
            f"{options['speed']:g} times as fast as life, seed {options['seed']}. Ctrl-C ends it."
        )
        self.stdout.flush()
        # A shell without a terminal starts background jobs with interrupts ignored; ours must count.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sandbox.serve_forever()
        self.stdout.write("Sandbox stopped.")
