"""Ana calls a lead herself: her telephone rings, she presses 1, and the page follows it to its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from twilio_wire import LEAD, OURS

from agents.providers.registry import get_provider
from calls.dialer.loop import Dialer
from calls.models import Call, StaffPhone
from tests import factories
from tests.conftest import TWILIO_SID, TWILIO_TOKEN

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from agents.sandbox.server import Sandbox

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("around_the_clock"),
]


@pytest.fixture
def network(
    live_server: Any, start_sandbox: Callable[..., Sandbox], settings: LazySettings
) -> Iterator[Sandbox]:
    sandbox = start_sandbox(speed=60.0, seed=7, twilio_sid=TWILIO_SID, twilio_token=TWILIO_TOKEN)
    settings.TWILIO_BASE_URL, settings.TWILIO_FROM_NUMBER = sandbox.url, OURS
    dialer = Dialer(get_provider(), name="dialer of the page")
    thread = threading.Thread(target=dialer.run)
    thread.start()
    yield sandbox
    dialer.stop()
    thread.join(timeout=40)


def test_a_number_is_asked_once_and_the_call_is_made_recorded_and_told(
    network: Sandbox,
    sales: User,
    open_page: Callable[..., Page],
    axe: Callable[..., None],
    pictures: Path | None,
) -> None:
    lead = factories.make_lead(LEAD, time_zone="America/New_York", name="Zoë Müller", owner=sales)
    page = open_page(sales, viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.goto(f"/admin/calls/lead/{lead.pk}/change/")
    page.get_by_role("link", name="Call from my phone").click()
    page.get_by_text("Before you are connected they hear").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    axe(page)
    page.get_by_label("My telephone").fill("I have none")
    page.get_by_role("button", name="Ring my phone").click()
    page.get_by_text("“I have none” is not a phone number.", exact=True).wait_for()
    if pictures:
        page.screenshot(path=pictures / "call-from-my-phone.png", full_page=True)
    page.get_by_label("My telephone").fill("(415) 555-0101")
    page.get_by_role("button", name="Ring my phone").click()
    page.get_by_text("Ana, without AI").first.wait_for()
    page.get_by_text("1 was pressed: they are called").wait_for(timeout=20_000)
    page.get_by_text("Ended after").wait_for(timeout=20_000)
    page.locator("audio").wait_for(state="attached", timeout=20_000)
    axe(page)
    if pictures:
        page.screenshot(path=pictures / "called-from-my-phone.png", full_page=True)
    assert StaffPhone.objects.get(user=sales).number == Call.objects.get().desk_number
    page.goto(f"/admin/calls/lead/{lead.pk}/call-from-my-phone/")
    assert page.get_by_label("My telephone").input_value() == "+14155550101"
