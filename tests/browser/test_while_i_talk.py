"""Ana is on the telephone with a lead: she holds, presses keys, brings a colleague in, leaves a message."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone
from twilio_wire import LEAD, MAILBOX, OURS, STAFF

from agents.providers.registry import get_provider
from calls import dialer
from calls.dialer.loop import Dialer
from calls.models import Call, StaffPhone, Via, VoicemailMessage
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
    sandbox = start_sandbox(speed=30.0, seed=7, twilio_sid=TWILIO_SID, twilio_token=TWILIO_TOKEN)
    sandbox.control("settings", people_stay=True)
    settings.TWILIO_BASE_URL, settings.TWILIO_FROM_NUMBER = sandbox.url, OURS
    settings.RECORDING_NOTICE = ""
    dialer = Dialer(get_provider(), name="dialer of the page")
    thread = threading.Thread(target=dialer.run)
    thread.start()
    yield sandbox
    dialer.stop()
    thread.join(timeout=40)


def call_from_the_desk(by: User, number: str) -> Call:
    lead = factories.make_lead(number, time_zone="America/New_York", name="Zoë Müller", owner=by)
    return dialer.ask(lead=lead, agent=None, desk_number=STAFF, by=by, via=Via.DESK, now=timezone.now()).call


def test_hold_keys_and_a_colleague_are_each_a_press_away(
    network: Sandbox,
    sales: User,
    manager: User,
    open_page: Callable[..., Page],
    axe: Callable[..., None],
    pictures: Path | None,
) -> None:
    manager.first_name = "Ben"
    manager.save(update_fields=["first_name"])
    StaffPhone.objects.create(user=manager, number="+14155550124")
    call = call_from_the_desk(sales, LEAD)
    page = open_page(sales, viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.goto(f"/admin/calls/call/{call.pk}/change/")
    page.get_by_role("button", name="Hold", exact=True).click(timeout=20_000)
    page.get_by_text("On hold", exact=True).wait_for()
    page.get_by_role("button", name="Take off hold").click()
    page.get_by_text("Keys…").click(timeout=20_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    axe(page)
    if pictures:
        page.screenshot(path=pictures / "while-i-talk.png", full_page=True)
    page.get_by_role("button", name="5", exact=True).click()
    page.get_by_text("The keys were pressed.").wait_for()
    page.get_by_text("Keys…").click(timeout=20_000)
    page.get_by_label("Several keys").fill("12#")
    page.get_by_role("button", name="Press", exact=True).click()
    page.get_by_text("Ana pressed keys towards them").nth(1).wait_for()
    page.get_by_text("Transfer to a colleague…").click(timeout=20_000)
    page.get_by_label("Colleague").select_option(label="Ben")
    page.get_by_role("button", name="Ring them").click()
    page.get_by_text("Ben took the call").wait_for(timeout=20_000)
    page.get_by_role("button", name="Join them").click()
    page.get_by_text("Talking, with a colleague").wait_for(timeout=20_000)
    if pictures:
        page.screenshot(path=pictures / "with-a-colleague.png", full_page=True)
    page.get_by_role("button", name="Hang up").click()
    page.get_by_text("Ended after").wait_for(timeout=20_000)
    page.get_by_text("While you talk").wait_for(state="detached")


def test_a_message_is_left_on_a_mailbox(
    network: Sandbox, sales: User, open_page: Callable[..., Page], axe: Callable[..., None]
) -> None:
    VoicemailMessage.objects.create(text="Hello {name}, this is {caller}.")
    call = call_from_the_desk(sales, MAILBOX)
    page = open_page(sales)
    page.goto(f"/admin/calls/call/{call.pk}/change/")
    page.get_by_text("Leave a message and hang up…").click(timeout=20_000)
    page.get_by_text("“Hello Zoë Müller, this is Ana.”").wait_for()
    axe(page)
    page.get_by_role("button", name="Leave this message").click()
    page.get_by_text("The message is being left. You are free.").wait_for()
    page.get_by_text("Ended after").wait_for(timeout=20_000)
    page.get_by_text("Ana left a message: “Hello Zoë Müller, this is Ana.”").wait_for()
