"""A manager adds a number: six cards, from the Twilio account to one call out and one call in; and back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone
from twilio_wire import LEAD, OURS, STAFF
from webhook_receiver import eventually

from agents import sync
from agents.models import NumberSetup, PhoneNumber
from agents.providers.registry import get_provider
from calls.dialer.loop import Dialer
from calls.models import Call

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
    sandbox = start_sandbox(speed=100.0, seed=7)
    settings.CALLS_PER_SECOND = 5.0
    sync.sync(get_provider(), now=timezone.now())
    dialer = Dialer(get_provider(), name="dialer of the number")
    thread = threading.Thread(target=dialer.run)
    thread.start()
    yield sandbox
    dialer.stop()
    thread.join(timeout=40)


def picked_up(direction: str) -> bool:
    return Call.objects.filter(our_number=OURS, direction=direction, answered_at__isnull=False).exists()


def test_from_the_account_to_a_complete_number_on_a_telephone_in_the_dark(
    network: Sandbox,
    manager: User,
    open_page: Callable[..., Page],
    axe: Callable[..., None],
    pictures: Path | None,
) -> None:
    page = open_page(manager, viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.goto("/admin/agents/phonenumber/")
    page.get_by_role("link", name="Add a number").click()
    page.get_by_role("button", name="Look at the Twilio account").click()
    page.get_by_text("+1 212-555-0180").wait_for()
    axe(page)
    page.get_by_role("radio").first.check()
    page.get_by_label("What it is called here").fill("Reception")
    page.get_by_role("button", name="Choose it").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for step, title in (
        ("trunk", "A trunk"),
        ("sign_in", "Credentials, and the way to Retell"),
        ("attach", "The number goes onto the trunk"),
    ):
        page.locator(f"#step-{step}").get_by_role("button", name="Do it").click()
        page.get_by_text(f"{title}: done.").wait_for()
    retell = page.locator("#step-import").get_by_role("button", name="Do it")
    page.get_by_label("Who answers").select_option(label="Lena, reception")
    page.get_by_label("Who calls").select_option(label="Ava, first contact")
    page.get_by_label("Number to fall back to").fill("I have none")
    retell.click()
    page.get_by_text("“I have none” is not a phone number.", exact=True).wait_for()
    page.get_by_label("Number to fall back to").fill("(415) 555-0123")
    retell.click()
    page.get_by_text("5 of 6 steps done.").wait_for()
    axe(page)
    if pictures:
        page.screenshot(path=pictures / "adding-a-number.png", full_page=True)
    page.get_by_label("My telephone").fill(STAFF)
    page.get_by_role("button", name="Call me from it").click()
    page.get_by_text("Your telephone will ring.").wait_for()
    eventually(lambda: picked_up("outbound"), within_s=40)
    page.get_by_role("button", name="Look for the two calls").click()
    page.get_by_text("A call out was picked up").wait_for()
    page.get_by_text("both have to be seen").wait_for()
    assert PhoneNumber.objects.get(number=OURS).held_back
    assert network.control("twilio/inbound", from_number=LEAD, to_number=OURS)["problem"] == ""
    eventually(lambda: picked_up("inbound"), within_s=40)
    page.get_by_role("button", name="Look for the two calls").click()
    page.get_by_text("Complete since").wait_for()
    assert NumberSetup.objects.get().completed_at is not None
    assert PhoneNumber.objects.get(number=OURS).is_usable
    if pictures:
        page.screenshot(path=pictures / "number-complete.png", full_page=True)
    page.get_by_role("link", name="Check…").click()
    page.get_by_role("button", name="Look now").click()
    page.get_by_text("The trunk knows the user that Retell signs in with.").wait_for()
    assert page.locator(".ready-red").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    axe(page)
    if pictures:
        page.screenshot(path=pictures / "number-check.png", full_page=True)


def test_without_scripts_in_the_light_it_is_done_and_taken_back(
    network: Sandbox, manager: User, open_page: Callable[..., Page], axe: Callable[..., None]
) -> None:
    page = open_page(manager, java_script_enabled=False, color_scheme="light")
    page.goto("/admin/agents/phonenumber/set-up/")
    page.get_by_role("button", name="Look at the Twilio account").click()
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Choose it").click()
    page.locator("#step-trunk").get_by_role("button", name="Do it").click()
    page.locator("#step-trunk").get_by_text("made for this number").wait_for()
    page.get_by_text("Take everything back…").click()
    page.get_by_role("button", name="Take everything back").click()
    page.get_by_text("is as it was before").wait_for()
    assert not NumberSetup.objects.exists()
