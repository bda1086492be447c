"""Mona writes a telephone menu, reads what will be heard, and leads a number to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect
from twilio_wire import OURS, STAFF

from calls.models import Menu, StaffPhone, VoicePlace

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from agents.sandbox.server import Sandbox

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def choose(page: Page, key: int, what: str, *, words: str = "", desk: str = "") -> None:
    row = f"keys-{key - 1}"
    page.locator(f"[name={row}-key]").select_option(str(key))
    page.locator(f"[name={row}-what]").select_option(label=what)
    if words:
        page.locator(f"[name={row}-offered_as]").fill(words)
    if desk:
        page.locator(f"[name={row}-desk]").select_option(label=desk)


def test_a_menu_is_written_read_changed_and_reached(
    live_server: Any,
    sandbox: Sandbox,
    manager: User,
    open_page: Callable[..., Page],
    axe: Callable[..., None],
    pictures: Path | None,
) -> None:
    StaffPhone.objects.create(user=manager, number=STAFF)
    page = open_page(manager)
    page.goto("/admin/calls/menu/add/")
    page.get_by_label("Name").fill("Front door")
    page.get_by_label("Greeting").fill("Welcome to Brightside.")
    choose(page, 1, "A telephone of ours", words="to ask about a bill", desk="Mona: +1 415-555-0101")
    choose(page, 2, "A message to leave")
    choose(page, 9, "Never call again")
    axe(page)
    page.get_by_role("button", name="Save", exact=True).click()
    said = "Welcome to Brightside. Press 1 to ask about a bill. Press 2 to leave a message."
    expect(page.get_by_text(said)).to_be_visible()
    expect(page.get_by_text("None: nobody can reach it.")).to_be_visible()

    page.get_by_role("link", name="Edit").click()
    page.locator("[name=keys-1-offered_as]").fill("to tell us what is broken")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Press 2 to tell us what is broken.").first).to_be_visible()

    page.get_by_role("button", name="Ask Twilio").click()
    number = page.get_by_role("listitem").filter(has_text=re.compile(r"\+1 212-555-0180"))
    number.get_by_text("Point it here…").click()
    number.get_by_role("button", name="Change it at Twilio").click()
    expect(page.get_by_text("hears this menu from now on")).to_be_visible()
    assert VoicePlace.objects.get(name=OURS).menu == Menu.objects.get()
    axe(page)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    if pictures is not None:
        page.screenshot(path=pictures / "menu.png", full_page=True)
    page.get_by_role("button", name="Put it back as it was").click()
    expect(page.get_by_text("is as it was before")).to_be_visible()
