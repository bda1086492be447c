"""Monitors are told the truth, without a key, and are never redirected."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from calls import dialer
from calls.models import Heartbeat, WebhookEvent
from calls.public import health
from tests import factories

pytestmark = pytest.mark.django_db


def test_health_counts_the_calls_from_dialing_to_in_progress(client: Client) -> None:
    for status in ("queued", "dialing", "unconfirmed", "placed", "ringing", "in_progress", "ended"):
        factories.make_call(status)
    told = client.get("/health").json()
    assert (told["status"], told["active_calls"]) == ("healthy", 5)
    assert set(told) == {"status", "active_calls", "timestamp"}
    assert abs(told["timestamp"] - time.time() * 1000) < 60_000


@pytest.mark.parametrize("path", ["/health", "/readyz", "/metrics"])
def test_monitors_are_not_redirected_to_https(client: Client, settings: LazySettings, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get(path).status_code == 200
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


def test_without_a_database_health_and_readiness_are_503(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_kwargs: object) -> object:
        raise DatabaseError("gone")

    monkeypatch.setattr(connection, "cursor", broken)
    monkeypatch.setattr(connection, "chunked_cursor", broken)
    health._seen_current.cache_clear()
    told = client.get("/health")
    assert (told.status_code, told.json()["status"]) == (503, "unhealthy")
    told = client.get("/readyz")
    assert (told.status_code, told.json()["checks"]["database"]) == (503, "does not answer")


def test_ready_tells_of_the_dialer_and_does_not_depend_on_it(client: Client) -> None:
    told = client.get("/readyz")
    assert (told.status_code, told.json()["status"]) == (200, "ready")
    assert told.json()["checks"] == {"database": "ok", "migrations": "ok", "dialer": "never reported"}
    now = timezone.now()
    beat = Heartbeat.objects.create(name="d1", kind="dialer", started_at=now, beat_at=now)
    assert client.get("/readyz").json()["checks"]["dialer"] == "ok"
    Heartbeat.objects.filter(pk=beat.pk).update(beat_at=now - timedelta(minutes=5))
    assert client.get("/readyz").json()["checks"]["dialer"].startswith("silent for 30")


def test_not_ready_while_a_migration_is_missing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    health._seen_current.cache_clear()
    monkeypatch.setattr(health, "_nothing_to_migrate", lambda: False)
    told = client.get("/readyz")
    assert (told.status_code, told.json()["checks"]["migrations"]) == (503, "not applied")


def metrics(client: Client) -> dict[str, float]:
    response = client.get("/metrics")
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in response.content.decode().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r'callcenter_[a-z_]+(\{[a-z]+="[a-z_]+"\})? [0-9.]+', line) for line in lines), (
        lines
    )
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_metrics_are_numbers_of_the_queue_the_inbox_and_the_processes(client: Client) -> None:
    now = timezone.now()
    factories.make_call(now=now - timedelta(seconds=90))
    factories.make_call(now=now + timedelta(hours=1))
    factories.make_call("placed")
    WebhookEvent.objects.create(key="k", body=b"{}", received_at=now - timedelta(seconds=30), next_try_at=now)
    Heartbeat.objects.create(name="d1", kind="dialer", started_at=now, beat_at=now - timedelta(seconds=7))
    dialer.stop(by=None, reason="drill", now=now)
    told = metrics(client)
    assert told['callcenter_calls{status="queued"}'] == 2
    assert told['callcenter_calls{status="ended"}'] == 0
    assert told["callcenter_calls_due"] == 1
    assert 90 <= told["callcenter_calls_due_oldest_seconds"] < 150
    assert told["callcenter_webhook_inbox"] == 1
    assert 30 <= told["callcenter_webhook_inbox_oldest_seconds"] < 90
    assert told["callcenter_slots_in_use"] == 1
    assert told["callcenter_stopped"] == 1
    assert 7 <= told['callcenter_heartbeat_age_seconds{kind="dialer"}'] < 67


def test_metrics_name_nobody(client: Client) -> None:
    call = factories.make_call()
    assert call.lead is not None
    text = client.get("/metrics").content.decode()
    assert call.counterpart not in text
    assert call.lead.name not in text
