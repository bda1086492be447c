"""The stop in the header: two clicks on a telephone's screen, and without JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache

from calls import dialer
from calls.models import Call, CallStatus
from tests import factories

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OpenPage = Callable[..., "Page"]
PHONE = {"width": 390, "height": 844}


@pytest.fixture(autouse=True)
def _four_on_the_phone(transactional_db: None) -> None:
    cache.clear()
    for status in ("in_progress",) * 4 + ("placed",) * 2:
        factories.make_call(status=status)


@pytest.mark.parametrize("start", ["/admin/", "/admin/calls/lead/", "/admin/calls/call/"])
def test_two_clicks_stop_everything_without_scripts_at_390_pixels(
    start: str, sales: User, open_page: OpenPage, pictures: Path | None
) -> None:
    page = open_page(sales, viewport=PHONE, java_script_enabled=False)
    page.goto(start)
    page.locator("#stop-calling").click()
    page.get_by_role("button", name="Stop all calling").click()
    page.get_by_text("4 on the phone, 2 being placed").wait_for()
    assert dialer.stop_state().stopped
    page.get_by_role("button", name="Hang up?").click()
    page.get_by_text("6 calls are being hung up").wait_for()
    if pictures:
        page.screenshot(path=pictures / "stop-no-scripts.png", full_page=True)
    Call.objects.update(status=CallStatus.ENDED, outcome="connected")
    # The browser asks again by itself.
    page.get_by_text("No call out is left").wait_for(timeout=10_000)


def test_the_page_follows_what_is_left_to_its_end_by_itself(
    sales: User, open_page: OpenPage, axe: Callable[..., None], pictures: Path | None
) -> None:
    for scheme in ("light", "dark"):
        page = open_page(sales, viewport=PHONE, color_scheme=scheme)
        page.goto("/admin/calls/call/")
        if pictures:
            page.screenshot(path=pictures / f"stop-header-{scheme}.png")
        page.locator("#stop-calling").click()
        if scheme == "light":
            page.get_by_role("button", name="Stop all calling").click()
        page.get_by_text("4 on the phone, 2 being placed").wait_for()
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        if pictures:
            page.screenshot(path=pictures / f"stop-{scheme}.png", full_page=True)
    Call.objects.filter(status="placed").update(status=CallStatus.ENDED, outcome="connected")
    page.get_by_text("4 on the phone", exact=False).wait_for()
    Call.objects.update(status=CallStatus.ENDED, outcome="connected")
    page.get_by_text("No call out is left").wait_for()
