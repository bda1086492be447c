"""The front page as people see it: by day, at night, on a telephone, by keyboard, and while calls go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils import timezone

from agents.models import Agent
from calls import dialer
from calls.models import Call
from tests.factories import make_agent, make_call, make_lead

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OpenPage = Callable[..., "Page"]
LOOKS = [
    pytest.param({"viewport": {"width": 1440, "height": 1000}}, id="light"),
    pytest.param({"viewport": {"width": 1440, "height": 1000}, "color_scheme": "dark"}, id="dark"),
    pytest.param({"viewport": {"width": 390, "height": 844}}, id="phone"),
    pytest.param({"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}, id="dark-phone"),
]
ENDS = [
    ("connected", "person"),
    ("voicemail", "machine"),
    ("screened", "screening"),
    ("no_answer", ""),
    ("busy", ""),
]


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def weeks(manager: User) -> list[Agent]:
    """Six weeks of two agents, a full cell and a thin one, a call in, one on the phone, and a stop."""
    agents = [make_agent(name="Renewals"), make_agent(name="Win-back <b>bold</b>")]
    lead = make_lead(name="Ada <script>window.hurt = 1</script>")
    now = timezone.now()
    rows = []
    for n in range(160):
        at = now - timedelta(days=n % 42, minutes=n)
        outcome, answered_by = ENDS[n % len(ENDS)]
        rows.append(
            Call(
                lead=lead, agent=agents[n % 3 == 0], counterpart="+14155550101", our_number="+14155550100",
                direction="inbound" if n % 12 == 0 else "outbound", requested_at=at, due_at=at, placed_at=at,
                ended_at=at, status="ended", outcome=outcome, answered_by=answered_by, duration_ms=60_000,
                cost_micros=90_000, currency="USD", local_hour=10 if n % 4 else 17, local_weekday=n % 2,
                proposed_disposition="converted" if n % 25 == 0 else "", provider_call_id=f"call_{n}",
            )
        )  # fmt: skip
    Call.objects.bulk_create(rows)
    make_call("in_progress", lead=lead, now=now)
    dialer.stop(by=manager, reason="a drill", now=now)
    return agents


def scrolls_sideways(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@pytest.mark.parametrize("look", LOOKS)
def test_the_front_page_is_clean_in_every_look(
    look: dict[str, object],
    weeks: list[Agent],
    manager: User,
    open_page: OpenPage,
    axe: Callable[..., None],
    pictures: Path | None,
    request: pytest.FixtureRequest,
) -> None:
    page = open_page(manager, **look)
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
    page.goto("/admin/")
    page.get_by_text("All calling is stopped").wait_for()
    page.get_by_role("heading", name="AI agents side by side").wait_for()
    for disclosure in page.locator("details").all():
        disclosure.evaluate("element => { element.open = true }")
    axe(page)
    assert not scrolls_sideways(page)
    assert told == []
    assert page.evaluate("window.hurt") is None
    if pictures:
        page.screenshot(path=pictures / f"dashboard-{request.node.callspec.id}.png", full_page=True)


def test_an_empty_desk_is_clean_too(sales: User, open_page: OpenPage, axe: Callable[..., None]) -> None:
    page = open_page(sales, viewport={"width": 390, "height": 844})
    page.goto("/admin/")
    page.get_by_text("Three steps to the first call").wait_for()
    axe(page)
    assert not scrolls_sideways(page)


def test_a_call_appears_by_itself_while_the_page_is_open(manager: User, open_page: OpenPage) -> None:
    page = open_page(manager)
    page.goto("/admin/")
    page.get_by_text("Nobody. Calls appear here").wait_for()
    make_call("in_progress", lead=make_lead(name="Grace Hopper"))
    page.get_by_role("link", name="Grace Hopper").wait_for(timeout=12_000)


def test_refreshing_does_not_take_the_keyboard_away(
    weeks: list[Agent], manager: User, open_page: OpenPage
) -> None:
    page = open_page(manager)
    page.goto("/admin/")
    page.locator("#now-on-count").focus()
    with page.expect_response("**/admin/now/"):
        pass
    page.wait_for_timeout(300)
    assert page.evaluate("document.activeElement.id") == "now-on-count"


def test_a_figure_leads_to_the_calls_behind_it_and_its_formula_opens(
    weeks: list[Agent], manager: User, open_page: OpenPage
) -> None:
    page = open_page(manager)
    page.goto("/admin/?days=90")
    card = page.locator(".dash-card", has=page.get_by_role("heading", name="Dialled", exact=True))
    card.get_by_text("What it counts").click()
    card.get_by_text("Calls out that the phone company accepted.").wait_for()
    dialled = int(card.locator(".dash-value").inner_text())
    card.locator(".dash-value a").click()
    page.wait_for_url("**/admin/calls/call/?figure=dialled*")
    page.get_by_text(f"{dialled} calls").first.wait_for()
    assert Call.objects.outbound().count() == dialled


def test_a_stop_is_ended_from_the_banner(weeks: list[Agent], manager: User, open_page: OpenPage) -> None:
    page = open_page(manager)
    page.goto("/admin/calls/lead/")
    page.get_by_role("link", name="Resume calling…").click()
    page.get_by_label("Why it may go on").fill("the drill is over")
    page.get_by_role("button", name="Resume calling").click()
    page.get_by_text("All calling: goes on.").wait_for()
    assert not dialer.stop_state().stopped


def test_menus_open_by_keyboard(weeks: list[Agent], manager: User, open_page: OpenPage) -> None:
    page = open_page(manager, viewport={"width": 1440, "height": 900})
    page.goto("/admin/")
    page.locator(".desk-user").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Dark").wait_for()
    page.get_by_role("button", name="Dark").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.classList.contains('dark')")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Search leads and pages").focus()
    page.keyboard.press("Enter")
    page.get_by_placeholder("Type to search").wait_for()


@pytest.mark.parametrize("look", LOOKS[::2])
def test_every_share_of_the_heat_map_fits_its_cell(
    look: dict[str, object], manager: User, open_page: OpenPage
) -> None:
    """Whatever hours calls may go out: the widest share in the boldest letters, around the clock."""
    now = timezone.now()
    for hour in range(24):
        for _call in range(20):
            make_call("ended", now=now, lead=None, local_hour=hour, local_weekday=2)
    page = open_page(manager, **look)
    page.goto("/admin/")
    cells = page.locator(".dash-heat td a")
    assert cells.all_inner_texts() == ["100 %"] * 24
    assert cells.evaluate_all("all => all.filter(one => one.scrollWidth > one.clientWidth).length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
