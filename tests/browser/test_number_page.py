"""A number's page on a telephone: its checklist, its first weeks, and giving it up, also without scripts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from agents.models import PhoneNumber
from calls.dialer import caps, ramp
from calls.dialer.ramp import Step
from calls.models import CallStatus, NumberRamp, NumberStanding, RampPlan
from tests import factories

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OpenPage = Callable[..., "Page"]
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def number(transactional_db: None) -> PhoneNumber:
    """New since six days, and called from today."""
    row, now = factories.make_number(number="+14155550101", label="Sales"), timezone.now()
    ava = factories.make_agent(name="Ava", default_caller_id=row)
    for nth in range(100, 134):
        called = factories.fiction_number(nth)
        factories.make_call(
            CallStatus.ENDED, now=now, agent=ava, our_number=row.number, lead=None, counterpart=called
        )
    ramp.set_plan(row, RampPlan.USUAL, now=now)
    NumberRamp.objects.update(day_one=caps.day_of(now)[0] - timedelta(days=5))
    return row


def test_an_administrator_notes_what_was_done_sets_the_calls_a_day_and_retires_it(
    number: PhoneNumber, administrator: User, open_page: OpenPage, pictures: Path | None
) -> None:
    page = open_page(administrator, viewport=PHONE, java_script_enabled=False)
    page.goto(f"/admin/agents/phonenumber/{number.pk}/change/")
    page.get_by_text("34 of 50 calls today, day 6 of 21.").wait_for()
    page.get_by_role("link", name="Note… Caller name (CNAM)").click()
    page.get_by_label("State", exact=True).select_option("Done")
    page.get_by_role("button", name="Keep").click()
    page.get_by_text("On which day was it done?").wait_for()
    page.get_by_label("Done on").fill("2026-03-02")
    page.get_by_label("Reference").fill("CN12")
    page.get_by_role("button", name="Keep").click()
    page.get_by_text("Done on 2 Mar 2026.").wait_for()
    assert NumberStanding.objects.get().noted_by == administrator

    page.locator("section", has=page.locator("#ramp-title")).get_by_role("link", name="Change…").click()
    page.locator("#id_plan").select_option("Steps of its own")
    page.get_by_label("Calls on each").first.fill("34")
    page.get_by_role("button", name="Keep").click()
    page.get_by_text("34 of 34 calls today").wait_for()
    assert ramp.steps_of(NumberRamp.objects.get())[0] == Step(7, 34)

    page.get_by_role("link", name="Give it up…").click()
    page.get_by_text("34 different numbers were called from it in the last 30 days.").wait_for()
    page.get_by_label("Reason, all the same").fill("labelled as spam")
    if pictures:
        page.screenshot(path=pictures / "number-give-up.png", full_page=True)
    page.get_by_role("button", name="Retire").click()
    page.get_by_text("is no caller ID any more").wait_for()
    page.get_by_role("button", name="Call from it again").click()
    page.get_by_text("may be called from again").wait_for()
    assert PhoneNumber.objects.usable().filter(pk=number.pk).exists()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_pages_fit_a_telephone_and_are_accessible(
    scheme: str,
    number: PhoneNumber,
    administrator: User,
    open_page: OpenPage,
    axe: Callable[..., None],
    pictures: Path | None,
) -> None:
    NumberStanding.objects.create(
        number=number, item="carriers", state="done", done_on="2026-03-02", noted_at=timezone.now(),
        reference="FCR" + "-1234567890" * 9,
    )  # fmt: skip
    page = open_page(administrator, viewport=PHONE, color_scheme=scheme)
    tails = {
        "page": f"{number.pk}/change/",
        "item": f"{number.pk}/standing/carriers/",
        "calls-a-day": f"{number.pk}/calls-a-day/",
        "give-up": f"{number.pk}/give-up/",
        "list": "",
    }
    for name, tail in tails.items():
        page.goto(f"/admin/agents/phonenumber/{tail}")
        page.locator("#content, #content-main").first.wait_for()
        if pictures:
            page.screenshot(path=pictures / f"number-{name}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
        axe(page)
