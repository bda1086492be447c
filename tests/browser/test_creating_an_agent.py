"""An administrator creates an AI agent at the phone company, and it calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User

from agents.models import Agent
from agents.providers.registry import get_provider
from agents.sandbox.seeds import NUMBERS
from calls.dialer.loop import Dialer
from calls.models import Call, CallStatus
from tests import factories
from tests.webhook_receiver import eventually

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
    settings.RETELL_CONTRACT = "article"
    settings.TWILIO_FROM_NUMBER = NUMBERS[0]
    settings.CALLS_PER_SECOND = 5.0
    sandbox = start_sandbox(speed=40.0)
    dialer = Dialer(get_provider(), name="dialer of the page")
    thread = threading.Thread(target=dialer.run)
    thread.start()
    yield sandbox
    dialer.stop()
    thread.join(timeout=40)


def test_it_is_created_corrected_where_wrong_and_calls(
    network: Sandbox,
    administrator: User,
    open_page: Callable[..., Page],
    axe: Callable[..., None],
    pictures: Path | None,
) -> None:
    page = open_page(administrator)
    page.goto("/admin/agents/agent/")
    page.get_by_text("there is nothing to sync").wait_for()
    page.get_by_role("link", name="Create an AI agent").click()
    page.locator("[name=name]").fill("Outbound Sales Agent")
    page.locator("[name=voice_id]").fill("21m00Tcm4TlvDq8ikWAM")
    page.locator("[name=temperature]").fill("3")
    page.locator("[name=engine_url]").fill("https://your-server.com")
    page.get_by_role("button", name="Create at the phone company").click()
    page.get_by_text("less than or equal to 2").wait_for()
    page.get_by_text("It begins with wss://").wait_for()
    assert not Agent.objects.exists()
    axe(page)
    if pictures:
        page.screenshot(path=pictures / "create-agent.png", full_page=True)
    page.locator("[name=temperature]").fill("0.4")
    page.locator("[name=engine_url]").fill("wss://your-server.com/llm")
    page.get_by_role("button", name="Create at the phone company").click()
    page.get_by_text("Every call of this AI agent uses it.").wait_for()
    agent = Agent.objects.get()
    page.get_by_text(f"as {agent.provider_agent_id}").first.wait_for()
    axe(page)
    if pictures:
        page.screenshot(path=pictures / "created-agent.png", full_page=True)
    page.get_by_label("My number").fill("+1 415 555 0101")
    page.get_by_role("button", name="Call me").click()
    page.get_by_text("Its calls").wait_for(state="detached")
    call = eventually(lambda: Call.objects.filter(status=CallStatus.ENDED, final=True).first(), within_s=60)
    assert (call.agent, call.answered_by) == (agent, "person")
    [placed] = network.ledger()["calls"]
    assert placed["agent_id"] == agent.provider_agent_id


def test_again_on_its_page_on_a_telephone(
    network: Sandbox, administrator: User, open_page: Callable[..., Page], axe: Callable[..., None]
) -> None:
    agent = factories.make_agent(name="Nora", provider_agent_id="agent_of_before")
    page = open_page(administrator, viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.goto(f"/admin/agents/agent/{agent.pk}/change/")
    page.get_by_role("link", name="Create at the phone company…").click()
    assert page.locator("[name=name]").input_value() == "Nora"
    page.locator("[name=voice_id]").fill("rachel")
    page.locator("[name=engine_url]").fill("wss://your-server.com/llm")
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("button", name="Create at the phone company").click()
    page.get_by_text("Every call of this AI agent uses it.").wait_for()
    agent.refresh_from_db()
    assert agent.provider_agent_id != "agent_of_before"
