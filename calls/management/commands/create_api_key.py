"""`create_api_key NAME --scopes read,call`: the key, and nothing else, on stdout."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from callcenter.checks import refuse_without_settings
from calls.api.keys import make_key


class Command(BaseCommand):
    help = "Makes an API key. It is shown once and never again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="What it is for; shown in the admin.")
        parser.add_argument("--scopes", default="read", help="read, call, or both with a comma between.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            refuse_without_settings("create_api_key")
            scopes = [scope.strip() for scope in str(options["scopes"]).split(",") if scope.strip()]
            _key, secret = make_key(options["name"], scopes)
        except (ImproperlyConfigured, ValueError) as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(secret)
