"""The API's documentation is read and tried in a browser: our own files alone, the strict policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from calls.api.keys import make_key
from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_works_and_nothing_is_blocked_or_fetched_elsewhere(
    open_page: Callable[..., Page], live_server: Any, pictures: Path | None, width: int
) -> None:
    agent = factories.make_agent(name="Nora")
    _key, secret = make_key("CRM", ["read"])
    page = open_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    elsewhere: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith((live_server.url, "data:")) else elsewhere.append(asked.url)
        ),
    )
    answer = page.goto("/api/docs/")
    assert answer is not None
    assert "unsafe" not in answer.headers["content-security-policy"]
    expect(page.get_by_text("Call centre API")).to_be_visible()
    paths = page.request.get("/api/schema/?format=json").json()["paths"]
    expect(page.locator(".opblock")).to_have_count(sum(len(methods) for methods in paths.values()))
    page.get_by_role("button", name="Authorize").click()
    page.get_by_label("Value").fill(secret)
    page.get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close").click()
    page.locator("#operations-agents-agents_list .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    expect(page.locator(".live-responses-table")).to_contain_text(agent.provider_agent_id)
    if pictures:
        page.screenshot(path=pictures / f"api-docs-{width}.png", full_page=True)
    assert complaints == []
    assert elsewhere == []
