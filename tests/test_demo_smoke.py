"""`manage.py demo`: needs nothing, says what is wrong, and its calls end as the network's ledger says."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from callcenter.demo import home as homes
from callcenter.demo.home import AlreadyRunning, Home, PortTaken

SMOKE_CALLS = 5
# What a real installation has set must never reach the demo.
SOMETHING_REAL = {
    "RETELL_API_KEY": "key_of_a_real_account",
    "RETELL_BASE_URL": "http://127.0.0.1:9",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/real",
    "CALLING_HOURS": "03:00-03:01",
    "SECRET_KEY": "real",
}


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "demo", *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, **SOMETHING_REAL},
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.long
def test_calls_through_everything_end_as_the_ledger_says() -> None:
    ran = demo("--smoke", str(SMOKE_CALLS))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    assert sum(line.startswith("ok ") for line in lines) == SMOKE_CALLS
    assert f"{SMOKE_CALLS} of {SMOKE_CALLS} calls ended exactly as the network's ledger says." in lines


def test_a_taken_port_is_said_with_what_to_type_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = demo("--smoke", "1", "--port", str(port))
    assert list(tmp_path.iterdir()) == []
    assert ran.returncode != 0
    assert f"Port {port} is taken" in ran.stderr
    assert f"make demo PORT={port + 1}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_no_call_at_all_is_no_proof() -> None:
    ran = demo("--smoke", "0")
    assert ran.returncode != 0
    assert "at least one" in ran.stderr


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.prepare()
    return home


def test_nothing_set_on_this_machine_reaches_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SOMETHING_REAL.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TWILIO_FROM_NUMBER", "+14155550100")
    environment = homes.environment(home, port=homes.free_port(), sandbox_port=1)
    assert not set(SOMETHING_REAL.values()) & set(environment.values())
    assert "TWILIO_FROM_NUMBER" not in environment
    assert environment["CALLING_HOURS"] == "09:00-20:00"
    assert environment["RETELL_BASE_URL"] == "http://127.0.0.1:1"
    assert environment["DATABASE_URL"] == f"sqlite:///{home.folder}/demo.sqlite3"


def test_its_keys_are_made_once_and_for_its_owner_alone(home: Home) -> None:
    first = home.kept()
    assert home.kept() == first
    assert (home.folder / "keys.json").stat().st_mode & 0o777 == 0o600
    assert home.sandbox_port() == home.sandbox_port()


def test_two_cannot_share_one_folder(home: Home) -> None:
    with home.lock(), pytest.raises(AlreadyRunning):
        home.lock()
    with home.lock() as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def test_a_port_in_use_is_refused(home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortTaken):
            homes.environment(home, port=taken.getsockname()[1], sandbox_port=1)
