"""A word to the AI agent while somebody speaks to it: it answers, and the page says who said what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from agents.models import Agent
from calls import dialer
from calls.models import Via
from tests import factories

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("around_the_clock"),
]
NUMBER = "+14155550101"


def test_a_word_to_the_agent_of_a_call_that_is_on(
    desk: None, sandbox: Any, open_page: Callable[..., Page], axe: Callable[..., None], sales: User
) -> None:
    sandbox.control("settings", speed=20.0)
    sandbox.control("hold", number=NUMBER, on=True)
    agent = Agent.objects.filter(active=True, name__startswith="Ava").get()
    lead = factories.make_lead(NUMBER, name="Ada Lovelace")
    call = dialer.ask(lead=lead, agent=agent, via=Via.DESK, by=sales, now=timezone.now()).call
    staff, customer = open_page(sales, viewport={"width": 390, "height": 844}), open_page(None)
    staff.goto(f"/admin/calls/call/{call.pk}/change/")
    assert staff.get_by_text("A word to the AI agent").count() == 0
    customer.goto(f"{sandbox.url}/")
    ringing = customer.locator("a[href^='/calls/']", has_text="0101").first
    ringing.wait_for(timeout=30_000)
    ringing.click()
    customer.get_by_role("button", name="Pick up").click()
    # It comes by itself, and what is being typed stays while the page follows the call.
    box = staff.get_by_label("What it should know")
    box.wait_for(timeout=30_000)
    box.fill("They have just paid.")
    staff.get_by_text("Change a variable…").click()
    staff.get_by_label("Variable").fill("price")
    staff.get_by_label("From now on").fill("90")
    staff.wait_for_timeout(1000)
    assert box.input_value() == "They have just paid."
    axe(staff)
    staff.get_by_role("button", name="Let it answer now").click()
    staff.get_by_text("The AI agent was told.").wait_for()
    staff.get_by_text("Ana told the AI agent: “They have just paid.”").wait_for()
    staff.get_by_text("Ana changed “price” to “90”").wait_for()
    call.refresh_from_db()
    there = sandbox.ledger(call.provider_call_id)
    assert (there["injected"], there["changed_variables"]) == (["They have just paid."], {"price": "90"})
    customer.get_by_role("button", name="Hang up").click()
    staff.get_by_text("A word to the AI agent").wait_for(state="detached", timeout=30_000)
