"""Each wrong value is found, has an id and says what to do; each command says what it needs."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.checks import CheckMessage, run_checks

from callcenter import checks
from callcenter import settings as environment

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = (ROOT / ".env.example").read_text()
NAMES = re.findall(r"^([A-Z][A-Z0-9_]*)=", EXAMPLE, re.MULTILINE)

PRODUCTION = {
    "SECRET_KEY": "only-to-see-whether-production-settings-hold-0123456789",
    "ALLOWED_HOSTS": "calls.example.com",
    "PUBLIC_BASE_URL": "https://calls.example.com",
    "RETELL_API_KEY": "key_of_nobody",
}


def with_id(found: list[CheckMessage], number: str) -> list[CheckMessage]:
    return [message for message in found if message.id == f"callcenter.{number}"]


WRONG_VALUES: list[tuple[str, str, Any]] = [
    ("E011", "CALLING_HOURS", "9-20"),
    ("E011", "CALLING_HOURS", "20:00-09:00"),
    ("E011", "CALLING_HOURS", "09:00-24:30"),
    ("E011", "CALLING_HOURS", "09:00-09:00"),
    ("E012", "COMPANY_TIME_ZONE", "Mars/Olympus"),
    ("E012", "COMPANY_TIME_ZONE", "../etc/passwd"),
    ("E013", "DEFAULT_COUNTRY", "USA"),
    ("E014", "RETELL_CONTRACT", "tomorrow"),
    ("E015", "PROVIDER_TIMEOUT_S", 3.0),
    ("E015", "PROVIDER_TIMEOUT_S", 41.0),
    ("E016", "MAX_CONCURRENT_CALLS", 0),
    ("E017", "CALLS_PER_SECOND", 0.0),
    ("E017", "CALLS_PER_SECOND", -1.0),
    ("E018", "RULE_PACK", "atlantis"),
    ("E019", "RETELL_BASE_URL", "api.retellai.com"),
    ("E019", "RETELL_BASE_URL", "ftp://api.retellai.com"),
    ("E020", "TWILIO_FROM_NUMBER", "415 555 0100"),
    ("E021", "PUBLIC_BASE_URL", "calls.example.com"),
    ("E022", "RETELL_WEBHOOK_KEYS", ["one", "two", "three"]),
    ("E023", "LOG_LEVEL", "LOUD"),
    ("E024", "CELERY_BROKER_URL", "redis://127.0.0.1:6379/0"),
    ("E025", "LISTEN_DATABASE_URL", "sqlite:///calls.sqlite3"),
    ("E026", "INBOUND_RESERVE_PERCENT", -1.0),
    ("E026", "INBOUND_RESERVE_PERCENT", 91.0),
    ("E027", "DAILY_CALL_CAP", 0),
    ("E028", "RECORDINGS", "cassette"),
    ("E029", "RETELL_WEBHOOK_SECRETS", ["one", "two", "three"]),
    ("E030", "TWILIO_ACCOUNT_SID", "SK" + "0" * 32),
    ("E031", "TWILIO_AUTH_TOKENS", ["one", "two", "three"]),
    ("E032", "TWILIO_SHARED_KEYS", ["secret-without-an-id"]),
    ("E033", "TWILIO_BASE_URL", "api.twilio.com"),
]
RIGHT_VALUES: list[tuple[str, Any]] = [
    ("CALLING_HOURS", "00:00-24:00"),
    ("CALLING_HOURS", "09:00-20:00"),
    ("COMPANY_TIME_ZONE", "America/Argentina/Buenos_Aires"),
    ("DEFAULT_COUNTRY", "DE"),
    ("PROVIDER_TIMEOUT_S", 4.0),
    ("PROVIDER_TIMEOUT_S", 40.0),
    ("MAX_CONCURRENT_CALLS", 1),
    ("CALLS_PER_SECOND", 0.2),
    ("INBOUND_RESERVE_PERCENT", 0.0),
    ("DAILY_CALL_CAP", 1),
    ("RETELL_BASE_URL", "http://127.0.0.1:8765"),
    ("TWILIO_FROM_NUMBER", "+14155550100"),
    ("TWILIO_FROM_NUMBER", ""),
    ("RETELL_WEBHOOK_KEYS", ["old", "new"]),
    ("RETELL_WEBHOOK_SECRETS", ["old", "new"]),
    ("RETELL_CONTRACT", "article"),
]


@pytest.mark.parametrize(("number", "name", "value"), WRONG_VALUES)
def test_a_wrong_value_is_found_and_says_what_to_do(
    settings: LazySettings, number: str, name: str, value: Any
) -> None:
    setattr(settings, name, value)
    found = checks.environment_values(None)
    (message,) = with_id(found, number)
    assert message.is_serious()
    assert name.removesuffix("S") in message.msg
    assert message.hint
    assert len(found) == 1


@pytest.mark.parametrize(("name", "value"), RIGHT_VALUES)
def test_a_right_value_is_left_alone(settings: LazySettings, name: str, value: Any) -> None:
    setattr(settings, name, value)
    assert checks.environment_values(None) == []


def test_a_value_that_cannot_be_read_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(environment.UNREADABLE, "CALLS_PER_SECOND", "plenty")
    (message,) = with_id(checks.environment_values(None), "E010")
    assert "CALLS_PER_SECOND" in message.msg
    assert "plenty" in message.msg
    assert message.hint


@pytest.fixture
def production(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> LazySettings:
    settings.ALLOWED_HOSTS = ["calls.example.com"]
    settings.PUBLIC_BASE_URL = "https://calls.example.com"
    settings.RETELL_BASE_URL = "https://api.retellai.com"
    monkeypatch.setattr(environment, "SECRET_KEY_GIVEN", "given")
    monkeypatch.setattr(environment, "DATABASE_URL", "postgresql://calls@db/calls")
    return settings


def test_in_production_the_one_warning_is_about_the_rule_pack(production: LazySettings) -> None:
    (message,) = checks.deployment(None)
    assert message.id == "callcenter.W001"
    assert not message.is_serious()
    assert message.hint


def test_a_missing_variable_is_named(production: LazySettings) -> None:
    production.RETELL_API_KEY = ""
    (message,) = with_id(checks.deployment(None), "E001")
    assert "RETELL_API_KEY" in message.msg
    assert "PUBLIC_BASE_URL" not in message.msg
    assert message.hint


@pytest.mark.parametrize("address", ["http://127.0.0.1:8765", "http://localhost:8765", "http://[::1]:8765"])
def test_the_sandbox_is_refused_in_production(production: LazySettings, address: str) -> None:
    production.RETELL_BASE_URL = address
    (message,) = with_id(checks.deployment(None), "E002")
    assert message.is_serious()
    assert message.hint


def test_plain_http_is_refused_in_production(production: LazySettings) -> None:
    production.PUBLIC_BASE_URL = "http://calls.example.com"
    (message,) = with_id(checks.deployment(None), "E003")
    assert message.is_serious()
    assert message.hint


def test_the_checks_are_registered_with_django(production: LazySettings) -> None:
    production.LOG_LEVEL = "LOUD"
    assert with_id(run_checks(tags=["environment"]), "E023")
    assert with_id(run_checks(tags=["security"], include_deployment_checks=True), "W001")


def test_every_id_is_tried_here() -> None:
    source = Path(checks.__file__).read_text()
    ids = set(re.findall(r"callcenter\.([EW]\d{3})\"", source))
    ids |= {f"E{number:03d}" for *_, number in checks.RULES} | {"E010"}
    tried = {number for number, _, _ in WRONG_VALUES} | {"E001", "E002", "E003", "E010", "W001"}
    assert ids == tried


def test_the_example_lists_every_variable_that_is_read() -> None:
    source = Path(environment.__file__).read_text()
    read = set(re.findall(r"\b(?:text|several|number|truth)\(\s*\"([A-Z][A-Z0-9_]*)\"", source))
    assert len(read) > 15
    assert read == set(NAMES)
    assert len(NAMES) == len(set(NAMES))


def test_the_example_explains_every_variable() -> None:
    lines = EXAMPLE.splitlines()
    unexplained = [
        line
        for before, line in itertools.pairwise(lines)
        if re.match(r"[A-Z][A-Z0-9_]*=", line)
        and not before.startswith("# ")
        and not re.match(r"[A-Z][A-Z0-9_]*=", before)
    ]
    assert unexplained == []


def test_the_example_as_it_is_changes_nothing_but_what_must_be_filled_in() -> None:
    """Copied to .env unedited, it leaves the defaults: no value of it is a wrong one."""
    given = dict(line.split("=", 1) for line in EXAMPLE.splitlines() if re.match(r"[A-Z]", line))
    result = manage("check", "--fail-level", "WARNING", **given)
    assert result.returncode == 0, result.stderr


def start(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, with nothing of this product in its environment but `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**kept, **dict.fromkeys(NAMES, ""), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return start("manage.py", *arguments, **variables)


def test_tables_are_made_with_nothing_but_a_place(tmp_path: Path) -> None:
    result = manage("migrate", "--verbosity", "0", DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("command", ["sandbox", "demo"])
def test_what_people_try_first_needs_nothing(command: str) -> None:
    result = manage(command, "--help")
    assert result.returncode == 0, result.stderr
    assert "--port" in result.stdout


COMMANDS = {
    "dialer": ["dialer", "--once"],
    "db_worker": ["db_worker", "--batch"],
    "create_api_key": ["create_api_key", "CRM", "--scopes", "read,call"],
    "sync_agents": ["sync_agents"],
    "stop_calling": ["stop_calling"],
    "resume_calling": ["resume_calling"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_reaches_people_names_in_one_line_what_is_missing(command: str) -> None:
    result = manage(*COMMANDS[command])
    assert result.returncode != 0
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    for name in checks.NEEDED:
        assert name in line


def test_only_what_is_missing_is_named(production: LazySettings) -> None:
    production.TESTING = False
    checks.refuse_without_settings("dialer")
    production.PUBLIC_BASE_URL = ""
    with pytest.raises(checks.NotConfigured) as refused:
        checks.refuse_without_settings("dialer")
    assert [name for name in checks.NEEDED if name in str(refused.value)] == ["PUBLIC_BASE_URL"]


def test_a_wrong_value_stops_a_command_with_its_id() -> None:
    result = manage(
        "dialer", "--once", **PRODUCTION, CALLS_PER_SECOND="plenty", DATABASE_URL="sqlite://:memory:"
    )
    assert result.returncode != 0
    assert "callcenter.E010" in result.stderr
    assert "plenty" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_web_server_refuses_in_one_line(tmp_path: Path) -> None:
    result = start("-c", "import callcenter.wsgi", STATIC_ROOT=str(tmp_path))
    assert result.returncode != 0
    (line,) = result.stderr.strip().splitlines()
    assert "RETELL_API_KEY" in line


def test_production_settings_pass_djangos_deployment_check(tmp_path: Path) -> None:
    """Nothing is silenced but the note about PostgreSQL's covering indexes, which SQLite leaves out."""
    result = manage(
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        **PRODUCTION,
        DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3",
    )
    ids = re.findall(r"\((\w+\.[EW]\d+)\)", result.stderr)
    assert ids == ["callcenter.W001"]
