"""The schema is what the doors do: said by a generator, and held against them by another program."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from agents import phone
from calls.api import fields
from calls.api.keys import make_key
from calls.dialer import gate
from tests import factories
from tests.test_api_calls import FIELDS

ROOT = Path(__file__).resolve().parent.parent
# A call that may never be is 422 by contract, however well-formed the request; a word that says nothing is
# 400. The coverage phase would send a request for every time zone there is.
CONFIG = """
[[operations]]
include-operation-id = ["calls_create", "initiate_call"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422", "429"]

[[operations]]
include-operation-id = ["calls_steer"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "429"]

[[operations]]
include-operation-id = ["leads_create", "leads_change"]
phases.coverage.enabled = false
"""


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    written = StringIO()
    call_command("spectacular", "--format", "openapi-json", "--validate", "--fail-on-warn", stdout=written)
    read: dict[str, Any] = json.loads(written.getvalue())
    return read


def test_every_door_of_the_contract_is_in_the_schema_and_no_other(schema: dict[str, Any]) -> None:
    doors = {path.removeprefix("/api/v1/"): set(methods) for path, methods in schema["paths"].items()}
    assert doors == {
        "agents/": {"get"},
        "agents/{id}/": {"get"},
        "leads/": {"get", "post"},
        "leads/{id}/": {"get", "patch"},
        "calls/": {"get", "post"},
        "calls/{id}/": {"get"},
        "calls/{id}/cancel/": {"post"},
        "calls/{id}/hang-up/": {"post"},
        "calls/{id}/steer/": {"post"},
        "do-not-call/": {"get", "post"},
        "/initiate-call": {"post"},
    }


def test_a_call_has_the_fields_of_the_contract(schema: dict[str, Any]) -> None:
    calls = schema["components"]["schemas"]
    assert sorted(calls["Call"]["properties"]) == sorted(FIELDS)
    assert sorted(calls["CallDetail"]["properties"]) == sorted([*FIELDS, "transcript", "events"])
    assert sorted(calls["Call"]["required"]) == sorted(FIELDS)


def test_every_operation_tells_its_problems_and_needs_a_key(schema: dict[str, Any]) -> None:
    for methods in schema["paths"].values():
        for operation in methods.values():
            assert {"400", "401", "403", "404", "429"} <= set(operation["responses"])
            assert operation["security"] == [{"apiKey": []}]
            assert operation["summary"]


@pytest.mark.parametrize(
    "number",
    ["+14155550142", "+442079460000", "+61491570006", "+493023125000", "+33199000000", "+3906123456"],
)
def test_the_pattern_of_a_number_is_what_the_doors_take(number: str) -> None:
    assert re.fullmatch(fields.phone_pattern(), number)
    assert phone.to_e164(number, country="US") == number


@pytest.mark.parametrize("number", ["4155550142", "+1415", "+999555010012", "+1415555014299", ""])
def test_the_pattern_of_a_number_is_no_wider_than_the_doors(number: str) -> None:
    assert not re.fullmatch(fields.phone_pattern(), number)


@pytest.mark.django_db
def test_the_schema_is_there_without_a_key(client: Client) -> None:
    response = client.get("/api/schema/")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("application/vnd.oai.openapi")


@pytest.mark.django_db(transaction=True)
@pytest.mark.long
@pytest.mark.one_engine
def test_schemathesis_finds_nothing(
    live_server: Any, around_the_clock: None, tmp_path: Path, schema: dict[str, Any]
) -> None:
    """All its checks: no 5xx, nothing undocumented, valid data taken, invalid data refused."""
    _key, secret = make_key("schemathesis", ["read", "call"])
    factories.make_transcript(factories.make_call("ended"))
    factories.make_call("in_progress")
    factories.make_call()
    # For as long as it takes: without one, what must not be queued is 503.
    gate.beat("dialer-1", "dialer", now=timezone.now() + timedelta(hours=1))
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    run = subprocess.run(
        [
            Path(sys.executable).parent / "schemathesis",
            *("--config-file", config, "run", f"{live_server.url}/api/schema/"),
            *("--header", f"Authorization: Bearer {secret}"),
            *("--max-examples", "10", "--seed", "7", "--workers", "2", "--no-color"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        # Where the other tests keep what hypothesis works out once.
        env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis")},
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"Tested: {sum(len(methods) for methods in schema['paths'].values())}\n" in run.stdout
