"""Staff read times where the company is, not where the server is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from calls.models import CallStatus
from tests import factories


@pytest.mark.django_db
def test_a_calls_page_shows_the_companys_time(
    settings: LazySettings, sign_in: Callable[[User], Client], sales: User
) -> None:
    call = factories.make_call(
        status=CallStatus.ENDED,
        requested_at=datetime(2026, 11, 20, 23, 30, tzinfo=UTC),
        lead=factories.make_lead(),
    )
    shown = {}
    for zone in ("UTC", "Asia/Tokyo"):
        settings.COMPANY_TIME_ZONE = zone
        shown[zone] = sign_in(sales).get(f"/admin/calls/call/{call.pk}/change/").content.decode()
    assert "20 Nov 2026, 23:30" in shown["UTC"]
    assert "21 Nov 2026, 08:30" in shown["Asia/Tokyo"]
