"""Whoever shows the product picks the ringing telephone up, and the desk's page of the call follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from agents.models import Agent
from calls import dialer
from calls.models import DoNotCall, Via
from tests import factories

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("around_the_clock"),
]
NUMBER = "+14155550101"


def test_what_the_customer_types_stands_on_the_desks_page(
    desk: None, sandbox: Any, open_page: Callable[..., Page], sales: User
) -> None:
    sandbox.control("settings", speed=3.0)
    agent = Agent.objects.filter(active=True, name__startswith="Ava").get()
    lead = factories.make_lead(NUMBER, name="Ada Lovelace")
    customer, staff = open_page(None), open_page(sales)
    customer.goto(f"{sandbox.url}/")
    sandbox.control("hold", number=NUMBER, on=True)
    call = dialer.ask(lead=lead, agent=agent, via=Via.DESK, by=sales, now=timezone.now()).call
    staff.goto(f"/admin/calls/call/{call.pk}/change/")
    ringing = customer.locator("a[href^='/calls/']", has_text="0101").first
    ringing.wait_for(timeout=30_000)
    ringing.click()
    customer.get_by_role("button", name="Pick up").click()
    customer.get_by_label("Say something").fill("Please take me off your list and never call again.")
    customer.get_by_role("button", name="Say", exact=True).click()
    staff.get_by_text("take me off your list").first.wait_for(timeout=30_000)
    customer.get_by_role("button", name="Hang up").click()
    staff.get_by_text("The analysis says “Never call again”").wait_for(timeout=60_000)
    assert DoNotCall.objects.filter(number=NUMBER).exists()
