"""System checks: every wrong value of the environment has an id, a sentence and a hint."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from agents import phone
from agents.providers.registry import CONTRACTS
from callcenter import settings as environment

NEEDED = ("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "PUBLIC_BASE_URL", "RETELL_API_KEY")
NEEDED_BY_CONTRACT = {"article": ("RETELL_WEBHOOK_SECRET", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN")}
"""Beside the above, where RETELL_CONTRACT says so."""
RETELL_HOST = "api.retellai.com"
PACKS = {"none"}

Apps = Sequence[AppConfig] | None


def missing_settings() -> list[str]:
    given = {
        "SECRET_KEY": environment.SECRET_KEY_GIVEN,
        "ALLOWED_HOSTS": settings.ALLOWED_HOSTS,
        "DATABASE_URL": environment.DATABASE_URL,
        "PUBLIC_BASE_URL": settings.PUBLIC_BASE_URL,
        "RETELL_API_KEY": settings.RETELL_API_KEY,
        "RETELL_WEBHOOK_SECRET": settings.RETELL_WEBHOOK_SECRETS,
        "TWILIO_ACCOUNT_SID": settings.TWILIO_ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": settings.TWILIO_AUTH_TOKENS,
    }
    needed = (*NEEDED, *NEEDED_BY_CONTRACT.get(settings.RETELL_CONTRACT, ()))
    return [name for name in needed if not given[name]]


class NotConfigured(ImproperlyConfigured, CommandError):
    """Names what is missing or wrong. A command ends with this one line instead of a traceback."""


def refuse_without_settings(who: str) -> None:
    """Called by each process that talks to people or providers. Raises NotConfigured."""
    if settings.TESTING:
        return
    missing = missing_settings()
    if missing:
        raise NotConfigured(
            f"{who} needs {', '.join(missing)}: set in the environment or in .env (see .env.example)."
        )
    wrong = [message for message in environment_values(None) if message.is_serious()]
    if wrong:
        raise NotConfigured("; ".join(f"{message.id}: {message.msg}" for message in wrong))


def on_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def calls_the_sandbox() -> bool:
    """Whether the telephone network is one on this machine, where nobody's phone rings."""
    return on_loopback(settings.RETELL_BASE_URL)


def _wrong(name: str, says: str, hint: str, number: int) -> Error:
    return Error(f"{name} {says}.", hint=hint, id=f"callcenter.E{number:03d}")


def _zone_exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


HOURS = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)$")


def _hours_are_a_window(text: str) -> bool:
    if not HOURS.match(text):
        return False
    start, end = text.split("-")
    return start < end


Rule = tuple[str, Callable[[Any], bool], str, str, int]

RULES: list[Rule] = [
    (
        "CALLING_HOURS",
        _hours_are_a_window,
        "must be two times of one day, the first before the second",
        "For example 09:00-20:00; 24:00 is allowed as the end.",
        11,
    ),
    (
        "COMPANY_TIME_ZONE",
        _zone_exists,
        "is not a time zone",
        "For example Europe/Berlin or America/New_York.",
        12,
    ),
    (
        "DEFAULT_COUNTRY",
        lambda value: value in phonenumbers.SUPPORTED_REGIONS,
        "is not a country code",
        "Two letters, such as US or DE: the country of numbers written without one.",
        13,
    ),
    (
        "RETELL_CONTRACT",
        lambda value: value in CONTRACTS,
        "is not a contract this release speaks",
        f"One of: {', '.join(CONTRACTS)}.",
        14,
    ),
    (
        "PROVIDER_TIMEOUT_S",
        lambda value: 5 <= value <= 40 or value == 4,
        "must be between 5 and 40 seconds",
        "30 is the default. Longer than 40 would outlast the first look-ups.",
        15,
    ),
    (
        "MAX_CONCURRENT_CALLS",
        lambda value: value >= 1,
        "must be at least 1",
        "How many calls may be on at once.",
        16,
    ),
    (
        "CALLS_PER_SECOND",
        lambda value: 0 < value <= 1000,
        "must be above 0 and at most 1000",
        "New calls a second on one line.",
        17,
    ),
    ("RULE_PACK", lambda value: value in PACKS, "is not a rule pack of this release", "none.", 18),
    (
        "RETELL_BASE_URL",
        lambda value: urlsplit(value).scheme in {"http", "https"} and bool(urlsplit(value).netloc),
        "is not an address",
        f"https://{RETELL_HOST}, or the sandbox's http://127.0.0.1:PORT.",
        19,
    ),
    (
        "TWILIO_FROM_NUMBER",
        lambda value: not value or phone.is_e164(value),
        "is not a number in E.164",
        "For example +14155550100.",
        20,
    ),
    (
        "PUBLIC_BASE_URL",
        lambda value: (
            not value or (urlsplit(value).scheme in {"http", "https"} and bool(urlsplit(value).netloc))
        ),
        "is not an address",
        "Where the outside reaches this site, such as https://calls.example.com, without a path.",
        21,
    ),
    (
        "RETELL_WEBHOOK_KEYS",
        lambda value: len(value) <= 2,
        "holds more than two keys",
        "RETELL_WEBHOOK_KEY takes one key, or two with a comma between while they are being rotated.",
        22,
    ),
    (
        "RETELL_WEBHOOK_SECRETS",
        lambda value: len(value) <= 2,
        "holds more than two secrets",
        "RETELL_WEBHOOK_SECRET takes one secret, or two with a comma between while they are being rotated.",
        29,
    ),
    (
        "TWILIO_ACCOUNT_SID",
        lambda value: not value or re.fullmatch(r"AC[0-9a-f]{32}", value) is not None,
        "is not the SID of an account",
        "AC and 32 hex digits, as Twilio's console shows it; not the SID of an API key (SK).",
        30,
    ),
    (
        "TWILIO_AUTH_TOKENS",
        lambda value: len(value) <= 2,
        "holds more than two tokens",
        "TWILIO_AUTH_TOKEN takes one token, or two with a comma between while they are being rotated: the "
        "one "
        "we ask with first.",
        31,
    ),
    (
        "TWILIO_SHARED_KEYS",
        lambda value: len(value) <= 2 and all(re.fullmatch(r"[^:=\s]+:\S+", key) for key in value),
        "is not a key's id and its secret",
        "TWILIO_SHARED_KEY takes ID:SECRET, or two with a comma between while they are being rotated.",
        32,
    ),
    (
        "TWILIO_BASE_URL",
        lambda value: (
            not value or (urlsplit(value).scheme in {"http", "https"} and bool(urlsplit(value).netloc))
        ),
        "is not an address",
        "Leave it out for Twilio itself; the sandbox's is http://127.0.0.1:PORT.",
        33,
    ),
    (
        "LOG_LEVEL",
        lambda value: value in {"DEBUG", "INFO", "WARNING", "ERROR"},
        "is not a log level",
        "DEBUG, INFO, WARNING or ERROR.",
        23,
    ),
    (
        "CELERY_BROKER_URL",
        lambda value: (
            not value or (urlsplit(value).scheme in {"amqp", "amqps"} and settings.CELERY_INSTALLED)
        ),
        "is not the address of a RabbitMQ, or Celery is not installed",
        "amqp://user:password@host:5672/vhost, and .venv/bin/pip install -c requirements-dev.txt celery.",
        24,
    ),
    (
        "LISTEN_DATABASE_URL",
        lambda value: not value or urlsplit(value).scheme in {"postgres", "postgresql"},
        "is not the address of a PostgreSQL",
        "postgresql://user:password@host:5432/callcenter, past the pooler that DATABASE_URL leads to.",
        25,
    ),
    (
        "INBOUND_RESERVE_PERCENT",
        lambda value: 0 <= value <= 90,
        "must be between 0 and 90 percent",
        "20 is the default: of 20 calls at once, 4 are kept for people who ring.",
        26,
    ),
    (
        "DAILY_CALL_CAP",
        lambda value: value >= 1,
        "must be at least 1",
        "Calls out a day. To stop calling there is a button, and `manage.py stop_calling`.",
        27,
    ),
    (
        "RECORDINGS",
        lambda value: value in {"stream", "copy"},
        "is neither stream nor copy",
        "stream fetches each recording when it is played; copy keeps one here as well.",
        28,
    ),
]


@register("environment")
def environment_values(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """E010 a value that cannot be read at all; E011-E033 a value that can be read and is wrong."""
    found: list[CheckMessage] = [
        _wrong(name, f"cannot be read: “{raw}”", "A number, or true or false, as .env.example shows.", 10)
        for name, raw in environment.UNREADABLE.items()
    ]
    found += [
        _wrong(name, says, hint, number)
        for name, fine, says, hint, number in RULES
        if not fine(getattr(settings, name))
    ]
    return found


@register(Tags.security, deploy=True)
def deployment(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    missing = missing_settings()
    if missing:
        found.append(Error(f"Not set: {', '.join(missing)}.", hint="See .env.example.", id="callcenter.E001"))
    if calls_the_sandbox():
        found.append(
            Error(
                "RETELL_BASE_URL points at this machine: the sandbox rings nobody.",
                hint=f"Remove it, so that https://{RETELL_HOST} is used.",
                id="callcenter.E002",
            )
        )
    if settings.PUBLIC_BASE_URL and not settings.PUBLIC_BASE_URL.startswith("https://"):
        found.append(
            Error(
                "PUBLIC_BASE_URL is not https.",
                hint="Logins and webhooks would cross the network in the open.",
                id="callcenter.E003",
            )
        )
    if settings.RULE_PACK == "none":
        found.append(
            Warning(
                "RULE_PACK is none: only CALLING_HOURS, do-not-call and the hard rules are checked.",
                hint="Ask your counsel which rules bind you before the first call goes out.",
                id="callcenter.W001",
            )
        )
    return found


__all__ = [
    "NotConfigured",
    "calls_the_sandbox",
    "checks",
    "deployment",
    "environment_values",
    "missing_settings",
    "refuse_without_settings",
]
