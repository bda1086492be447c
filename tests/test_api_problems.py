"""Whatever is wrong, the answer is a problem that a program can read, and never half a page of HTML."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.test import Client
from drf_spectacular.views import SpectacularAPIView
from rest_framework.renderers import JSONRenderer

from calls.api import calls as call_doors
from calls.api.pages import Docs
from calls.api.parsers import LARGEST_BODY
from calls.models import Lead
from tests import factories
from tests.api_client import AGENTS, CALLS, LEADS, Api, problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> Api:
    return Api()


def send(api: Api, body: bytes, content_type: str = "application/json") -> Any:
    return api.client.post(LEADS, body, content_type=content_type)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b'{"name": NaN}',
        b"",
        b"[" * 100_000,
        b"[" * 40 + b"]" * 40,
        b'{"custom": {"a": 1e999}}',
        b'{"name": "a\\u0000b"}',
        b'{"custom": {"a\\u0000": 1}}',
        b'{"name": "\\ud800"}',
    ],
)
def test_a_body_that_is_no_json_we_could_keep_is_400(api: Api, body: bytes) -> None:
    told = send(api, body)
    assert told.status_code == 400
    assert told["Content-Type"] == "application/problem+json"
    assert told.json()["code"] in {"parse_error", "invalid"}
    assert not Lead.objects.exists()


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"7"])
def test_json_that_is_no_object_is_400(api: Api, body: bytes) -> None:
    problem(send(api, body), 400, "invalid")


def test_a_body_too_large_is_413(api: Api) -> None:
    body = b'{"name": "' + b"n" * LARGEST_BODY + b'"}'
    problem(send(api, body), 413, "too_large")


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"]
)
def test_a_body_that_is_not_said_to_be_json_is_415(api: Api, content_type: str) -> None:
    problem(send(api, b"name=Ada", content_type), 415, "unsupported_media_type")


def test_a_method_that_is_not_there_is_405_and_says_which_are(api: Api) -> None:
    told = api.client.delete(AGENTS)
    problem(told, 405, "method_not_allowed")
    assert set(told["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_an_answer_that_cannot_be_had_is_406(api: Api) -> None:
    problem(api.get(AGENTS, headers={"Accept": "text/html"}), 406, "not_acceptable")


@pytest.mark.parametrize("path", ["/api/v1/nothing/", "/api/v2/calls/", "/api/v1/leads/x/", "/api/"])
def test_an_address_where_nothing_is_is_404(client: Client, path: str) -> None:
    for method in (client.get, client.post):
        problem(method(path), 404, "not_found")


def test_an_address_without_its_last_slash_is_told_so_and_not_redirected(api: Api) -> None:
    told = api.client.post(LEADS.rstrip("/"), {"name": "Ada"}, content_type="application/json")
    assert "slash" in problem(told, 404, "not_found")["detail"]


def test_a_database_that_does_not_answer_is_503_with_a_time_to_come_back(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(call_doors.dialer, "ask", locked)
    body = {"lead": factories.make_lead().pk, "agent": factories.make_agent().pk}
    told = api.post(CALLS, body, **{"Idempotency-Key": "k"})
    assert told["X-Request-ID"] == problem(told, 503, "database_busy")["request_id"]
    assert told["Retry-After"] == "1"
    monkeypatch.undo()
    assert api.post(CALLS, body, **{"Idempotency-Key": "k"}).status_code == 201


def test_a_mistake_of_ours_is_500_with_the_id_under_which_the_log_has_it(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(call_doors.dialer, "ask", lambda **_given: 1 / 0)
    body = {"lead": factories.make_lead().pk, "agent": factories.make_agent().pk}
    told = api.post(CALLS, body, **{"Idempotency-Key": "k", "X-Request-ID": "crm-4711"})
    problem(told, 500, "server_error")
    assert (told.json()["request_id"], told["X-Request-ID"]) == ("crm-4711", "crm-4711")
    (line,) = [record for record in caplog.records if record.name == "calls.api.problems"]
    assert "crm-4711" in line.getMessage()
    assert "ZeroDivisionError" in line.getMessage()
    assert "ZeroDivision" not in told.content.decode()
    monkeypatch.undo()
    assert api.post(CALLS, body, **{"Idempotency-Key": "k"}).status_code == 201


@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/"])
def test_a_problem_is_json_where_answers_are_not(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(SpectacularAPIView, "get", lambda *_args, **_options: 1 / 0)
    monkeypatch.setattr(Docs, "get", lambda *_args, **_options: 1 / 0)
    problem(client.get(path), 500, "server_error")


def test_an_id_that_could_forge_a_log_line_is_replaced(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_doors.dialer, "ask", lambda **_given: 1 / 0)
    body = {"lead": factories.make_lead().pk, "agent": factories.make_agent().pk}
    told = api.post(CALLS, body, **{"X-Request-ID": "a level=info event=fine"})
    assert re.fullmatch("[0-9a-f]{32}", problem(told, 500, "server_error")["request_id"])


def test_a_mistake_outside_of_the_views_is_a_problem_as_well(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JSONRenderer, "render", lambda *_args, **_options: 1 / 0)
    api.client.raise_request_exception = False
    told = api.get(AGENTS)
    assert told["X-Request-ID"] == problem(told, 500, "server_error")["request_id"]


def test_a_host_that_is_not_ours_is_a_problem_as_well(api: Api, settings: LazySettings) -> None:
    settings.ALLOWED_HOSTS = ["calls.example.com"]
    problem(api.get(AGENTS), 400, "invalid")


def test_hostile_text_comes_back_as_it_went_in(api: Api) -> None:
    hostile = "<script>alert(1)</script> {{ 7 * 7 }} '; DROP TABLE calls_lead; -- \u202e\U0001f4de"
    told = api.post(LEADS, {"name": hostile, "phone": "+14155550101", "custom": {hostile: hostile}})
    assert told["Content-Type"] == "application/json"
    assert told["X-Content-Type-Options"] == "nosniff"
    assert (told.json()["name"], told.json()["custom"]) == (hostile, {hostile: hostile})
