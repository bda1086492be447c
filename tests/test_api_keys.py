"""An API key is shown once, kept as a hash, does what its scopes say, and ends when it is revoked."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from calls.api import keys
from calls.api.auth import KeyThrottle
from calls.models import ApiKey
from tests import factories
from tests.api_client import AGENTS, CALLS, DO_NOT_CALL, LEADS, Api, problem

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 20, tzinfo=UTC)


def test_the_secret_is_nowhere_in_the_row() -> None:
    key, secret = keys.make_key("CRM", ["read"])
    row = ApiKey.objects.values().get(pk=key.pk)
    assert row["digest"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str(row)
    assert secret.startswith(key.prefix)
    assert len(secret) > 40


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "admin"]])
def test_a_key_needs_scopes_that_exist(scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="read, call"):
        keys.make_key("CRM", scopes)


@pytest.mark.parametrize("name", ["", "  ", "n" * 81])
def test_a_key_needs_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        keys.make_key(name, ["read"])


@pytest.mark.parametrize("path", [AGENTS, LEADS, CALLS, DO_NOT_CALL])
def test_without_a_key_every_door_is_shut(client: Client, path: str) -> None:
    for response in (client.get(path), client.post(path, {}, content_type="application/json")):
        problem(response, 401, "not_authenticated")
        assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Bearer", "malformed_key"),
        ("Bearer a b", "malformed_key"),
        ("Bearer cc_nobodys", "unknown_key"),
        ("Bearer caf\u00e9", "unknown_key"),
        ("Basic YTpi", "not_authenticated"),
        ("", "not_authenticated"),
    ],
)
def test_a_header_that_is_no_key_is_401(client: Client, header: str, code: str) -> None:
    response = client.get(AGENTS, headers={"Authorization": header})
    problem(response, 401, code)
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_session_of_the_desk_opens_no_api_door(client: Client, administrator: User) -> None:
    client.force_login(administrator)
    problem(client.get(AGENTS), 401, "not_authenticated")


def test_reading_needs_read_and_writing_needs_call() -> None:
    reader, writer = Api("read"), Api("call")
    assert reader.get(LEADS).status_code == 200
    problem(reader.post(LEADS, {"name": "Ada", "phone": "+14155550101"}), 403, "scope_missing")
    problem(writer.get(LEADS), 403, "scope_missing")
    assert writer.post(LEADS, {"name": "Ada", "phone": "+14155550101"}).status_code == 201


def test_a_revoked_key_is_refused_from_the_next_request_on() -> None:
    api = Api()
    assert api.get(AGENTS).status_code == 200
    keys.revoke(api.key, now=timezone.now())
    problem(api.get(AGENTS), 401, "revoked_key")


def test_revoking_again_keeps_the_first_moment() -> None:
    key, _secret = keys.make_key("CRM", ["read"])
    keys.revoke(key, now=NOW)
    keys.revoke(key, now=NOW + timedelta(days=1))
    key.refresh_from_db()
    assert key.revoked_at == NOW


def test_the_key_of_somebody_who_has_left_is_refused(sales: User) -> None:
    api = Api(owner=sales)
    sales.is_active = False
    sales.save(update_fields=["is_active"])
    problem(api.get(AGENTS), 401, "inactive_owner")


def test_use_is_noted_at_most_once_a_minute() -> None:
    api = Api()

    def last_used() -> datetime | None:
        api.key.refresh_from_db()
        return api.key.last_used_at

    with time_machine.travel(NOW, tick=False) as clock:
        api.get(AGENTS)
        assert last_used() == NOW
        clock.shift(59)
        api.get(AGENTS)
        assert last_used() == NOW
        clock.shift(2)
        api.get(AGENTS)
        assert last_used() == NOW + timedelta(seconds=61)


def test_a_hundred_requests_a_second_pass_and_a_flood_is_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(KeyThrottle, "timer", staticmethod(lambda: now))
    flood, other = Api(), Api()
    assert {flood.get(AGENTS).status_code for _nth in range(200)} == {200}
    told = flood.get(AGENTS)
    problem(told, 429, "throttled")
    assert int(told["Retry-After"]) >= 1
    assert other.get(AGENTS).status_code == 200
    now += 1.1
    assert flood.get(AGENTS).status_code == 200


def test_the_default_rate_is_no_lower_than_promised() -> None:
    throttle = KeyThrottle()
    assert throttle.num_requests / throttle.duration >= 100


def test_a_key_with_an_owner_sees_what_that_person_sees(sales: User, manager: User) -> None:
    hers = factories.make_lead(owner=sales, name="Hers")
    nobodys = factories.make_lead(name="Nobody's")
    his = factories.make_lead(owner=manager, name="His")
    call = factories.make_call(lead=his)

    def names(api: Api) -> set[str]:
        return {lead["name"] for lead in api.get(LEADS).json()["results"]}

    assert names(Api(owner=sales)) == {hers.name, nobodys.name}
    assert names(Api(owner=manager)) == names(Api()) == {"Hers", "Nobody's", "His"}
    api = Api(owner=sales)
    problem(api.get(f"{LEADS}{his.pk}/"), 404, "not_found")
    problem(api.patch(f"{LEADS}{his.pk}/", {"name": "Mine"}), 404, "not_found")
    problem(api.get(f"{CALLS}{call.pk}/"), 404, "not_found")
    problem(api.post(f"{CALLS}{call.pk}/cancel/"), 404, "not_found")
    problem(api.post(f"{CALLS}{call.pk}/hang-up/"), 404, "not_found")
    assert api.get(CALLS).json()["results"] == []
    told = api.post(CALLS, {"lead": his.pk, "agent": factories.make_agent().pk})
    problem(told, 404, "lead_not_found")


def test_the_command_prints_the_key_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_api_key", "Warehouse", "--scopes", "read,call")
    printed = capsys.readouterr()
    assert printed.err == ""
    key = keys.find_key(printed.out.strip())
    assert key is not None
    assert (key.name, key.scopes) == ("Warehouse", ["read", "call"])
    assert printed.out == printed.out.strip() + "\n"


@pytest.mark.parametrize("arguments", [("Warehouse", "--scopes", "fly"), ("", "--scopes", "read")])
def test_the_command_says_what_is_wrong_and_makes_no_key(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError):
        call_command("create_api_key", *arguments)
    assert capsys.readouterr().out == ""
    assert not ApiKey.objects.exists()
