"""One day through the public doors alone: a salesperson's browser, a telephone network, a dialer."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User

from tests.conftest import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("around_the_clock"),
]
FILE = """name;phone;company;reason
Ada Lovelace;(415) 555-0101;Engines Ltd;solar quote
Ben Bitte;+1 415 555 0115;Ringback AG;solar quote
Cat Careless;4.15556E+10;Spreadsheet Inc;solar quote
"""


def test_a_day_in_the_life(desk: None, page: Page, sales: User) -> None:
    log_in(page, sales)
    before = dialled(page)
    import_the_file(page)
    call_ada(page)
    listen_and_judge(page)
    be_rung_back(page)
    assert dialled(page) == before + 2


def log_in(page: Page, person: User) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill(person.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name=re.compile("log in", re.I)).click()
    page.wait_for_url("**/admin/")


def dialled(page: Page) -> int:
    page.goto("/admin/")
    card = page.locator(".dash-card", has=page.get_by_role("heading", name="Dialled", exact=True))
    return int(re.sub(r"\D", "", card.locator("a").first.inner_text()) or 0)


def import_the_file(page: Page) -> None:
    page.goto("/admin/calls/lead/")
    page.get_by_role("link", name="Import").first.click()
    page.set_input_files(
        "input[type=file]", {"name": "leads.csv", "mimeType": "text/csv", "buffer": FILE.encode()}
    )
    page.get_by_role("button", name="Look at the file").click()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_text("spreadsheet", exact=False).first.wait_for()


def call_ada(page: Page) -> None:
    page.goto("/admin/calls/lead/?q=4155550101")
    assert page.locator("#result_list tbody tr").count() == 1
    two_clicks(page)


def two_clicks(page: Page) -> None:
    """From the list to the live page of the call."""
    page.locator("#result_list tbody tr").get_by_role("link", name=re.compile("^call", re.I)).click()
    page.get_by_role("button", name="Call now", exact=True).click()
    page.wait_for_url(re.compile("/admin/calls/call/[0-9a-f-]{36}/"), timeout=30_000)


def listen_and_judge(page: Page) -> None:
    """The page fills itself: no reload until the conversation stands on it."""
    page.locator(".call-line-user").first.wait_for(timeout=60_000)
    page.get_by_role("heading", name="In short").wait_for(timeout=60_000)
    recording = page.locator("audio").get_attribute("src") or ""
    heard = page.request.get(recording, headers={"Range": "bytes=0-99"})
    assert heard.status == 206
    assert len(heard.body()) == 100
    page.get_by_role("button", name="Became a customer").click()
    page.get_by_text("Marked by").wait_for()


def be_rung_back(page: Page) -> None:
    page.goto("/admin/calls/lead/?q=Ringback")
    two_clicks(page)
    deadline = time.monotonic() + 60
    while True:
        page.goto("/admin/calls/call/?direction=inbound")
        if page.locator("#result_list tbody tr", has_text="Ben Bitte").count():
            return
        assert time.monotonic() < deadline, "nobody rang back"
        time.sleep(1)
