"""The leads desk as people use it: with a pointer, with keys, on a phone, in the dark, without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from calls.dialer.batches import fill_next
from calls.models import Call, CallBack, CallBatch, DoNotCall, Lead, Note
from calls.models.batch import BatchState
from tests.factories import make_agent, make_call, make_lead, make_opt_out

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("around_the_clock"),
]

OpenPage = Callable[..., "Page"]
LIST = "/admin/calls/lead/"
HURT = "window.hurt=1"
HOSTILE = f'<img src=x onerror="{HURT}"><script>{HURT}</script>" x-data="{{a: {HURT}}}" x-init="{HURT}'
LOOKS = [
    pytest.param({}, id="light"),
    pytest.param({"color_scheme": "dark"}, id="dark"),
    pytest.param({"viewport": {"width": 390, "height": 844}}, id="phone"),
]


@pytest.fixture
def desk(sales: User) -> Lead:
    """A lead with a past, among others of every kind."""
    agent = make_agent(opening_line="Hi {{first_name}}, this is Nora, the AI assistant of {{company_name}}.")
    lead = make_lead("+14155550101", name="Ada Lovelace", company="Engines", owner=sales, reason="A quote")
    make_call("ended", lead=lead, agent=agent, summary="Wants to compare offers.", promise="the brochure")
    Note.objects.create(lead=lead, author=sales, text="Prefers mornings.")
    make_opt_out(make_lead(name="Opted Out", status="not_interested").phones.get().number, created_by=sales)
    make_lead("", name="Numberless", status="unreachable")
    make_lead(name="Somebody New", next_action="call", next_action_at=timezone.now() - timedelta(hours=2))
    return lead


def no_wider_than_the_window(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def nothing_of_a_list_is_out_of_sight(page: Page) -> None:
    around = page.locator("#result_list").locator("..")
    assert around.evaluate("around => around.scrollWidth <= around.clientWidth")


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_of_the_desk_is_clean(
    desk: Lead,
    sales: User,
    open_page: OpenPage,
    axe: Callable[..., None],
    look: dict[str, object],
    pictures: Path | None,
) -> None:
    make_call("in_progress", lead=make_lead())
    batch = CallBatch.objects.create(
        created_by=sales,
        agent=make_agent(name="Otto"),
        state=BatchState.RUNNING,
        started_at=timezone.now(),
        selection={"ids": [desk.pk]},
        filled_to=1,
        refused=[{"lead": desk.pk, "code": "do_not_call", "text": "take me off"}],
    )
    for outcome in ("connected", "voicemail", "no_answer"):
        make_call("ended", batch=batch, outcome=outcome)
    draft = CallBatch.objects.create(
        created_by=sales, selection={"ids": list(Lead.objects.values_list("pk", flat=True))}
    )
    promised = {"agent": batch.agent, "due_at": timezone.now() + timedelta(hours=3), "promised_by": sales}
    CallBack.objects.create(lead=desk, number=desk.phones.get().number, note="After lunch, " * 12, **promised)
    page = open_page(sales, **look)
    paths = {
        "leads": LIST,
        "none": f"{LIST}?q=nobody-at-all",
        "lead": f"{LIST}{desk.pk}/change/",
        "edit": f"{LIST}{desk.pk}/edit/",
        "sheet": f"{LIST}{desk.pk}/call/",
        "never": f"{LIST}{desk.pk}/never/",
        "call-back": f"{LIST}{desk.pk}/call-back/",
        "batch-sheet": f"/admin/calls/callbatch/{draft.pk}/sheet/",
        "batch": f"/admin/calls/callbatch/{batch.pk}/change/",
        "promises": "/admin/calls/callback/",
        "import": "/admin/calls/leadimport/add/",
    }
    for name, path in paths.items():
        page.goto(path)
        page.wait_for_load_state("networkidle")
        axe(page, "#content")
        no_wider_than_the_window(page)
        if name in {"leads", "promises"}:
            nothing_of_a_list_is_out_of_sight(page)
        if pictures:
            page.screenshot(path=pictures / f"{name}.png", full_page=True)


def test_two_clicks_from_the_list_to_the_call(
    desk: Lead, sales: User, open_page: OpenPage, axe: Callable[..., None]
) -> None:
    page = open_page(sales)
    page.goto(LIST)
    page.get_by_role("link", name="Call Ada Lovelace").click()
    dialog = page.get_by_role("dialog", name="Call Ada Lovelace")
    dialog.get_by_text("May be called now").wait_for()
    axe(page, "#desk-dialog")
    dialog.get_by_role("button", name="Call now").click()
    page.wait_for_url(re.compile(r"/admin/calls/call/[0-9a-f-]+/change/"))
    assert Call.objects.filter(lead=desk, status="queued").exists()


def test_the_sheet_opens_closes_and_calls_with_keys_alone(
    desk: Lead, sales: User, open_page: OpenPage
) -> None:
    page = open_page(sales)
    page.goto(LIST)
    link = page.get_by_role("link", name="Call Ada Lovelace")
    link.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("May be called now").wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert link.evaluate("link => link === document.activeElement")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Call now").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/admin/calls/call/[0-9a-f-]+/change/"))


def test_another_agent_in_the_sheet_shows_its_own_first_line(
    desk: Lead, sales: User, open_page: OpenPage
) -> None:
    make_agent(name="Otto", opening_line="Guten Tag {{first_name}}!")
    page = open_page(sales)
    page.goto(LIST)
    page.get_by_role("link", name="Call Ada Lovelace").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Hi Ada, this is Nora").wait_for()
    dialog.get_by_role("combobox", name="AI agent").select_option(label="Otto")
    dialog.get_by_text("Guten Tag Ada!").wait_for()


def test_without_javascript_the_same_two_clicks_call(desk: Lead, sales: User, open_page: OpenPage) -> None:
    page = open_page(sales, java_script_enabled=False)
    page.goto(f"{LIST}{desk.pk}/call/")
    page.locator("button[type=submit]", has_text="Call now").click()
    assert Call.objects.filter(lead=desk, status="queued").exists()


def test_three_clicks_call_all_of_a_filtered_list_and_ten_seconds_undo_it(
    desk: Lead, sales: User, open_page: OpenPage
) -> None:
    page = open_page(sales)
    page.goto(f"{LIST}?status=new")
    page.get_by_role("button", name=re.compile("Call all 2")).click()
    page.get_by_text("2 now").first.wait_for()
    page.get_by_role("button", name="Call 2 leads").click()
    undo = page.get_by_role("button", name=re.compile("Undo"))
    undo.wait_for()
    while fill_next(now=timezone.now()):
        pass
    page.get_by_text("Running").first.wait_for()
    undo.click()
    page.get_by_text("Undone: nobody of this batch is called.").wait_for()
    assert not Call.objects.filter(status="queued").exists()


def test_the_page_of_a_batch_fills_itself(desk: Lead, sales: User, open_page: OpenPage) -> None:
    batch = CallBatch.objects.create(
        created_by=sales,
        agent=make_agent(),
        state=BatchState.RUNNING,
        started_at=timezone.now(),
        selection={"ids": [desk.pk]},
    )
    page = open_page(sales)
    page.goto(f"/admin/calls/callbatch/{batch.pk}/change/")
    page.get_by_text("None has ended yet.").wait_for()
    make_call("ended", batch=batch, outcome="voicemail")
    page.get_by_role("link", name="Voicemail").wait_for()


def test_selected_rows_can_be_called(desk: Lead, sales: User, open_page: OpenPage) -> None:
    page = open_page(sales)
    page.goto(LIST)
    page.get_by_label("Select Ada Lovelace").check()
    page.get_by_role("button", name="Call selected").click()
    page.get_by_role("button", name="Call 1 lead").wait_for()
    assert CallBatch.objects.get().lead_ids == [desk.pk]


def test_a_file_is_looked_at_and_imported(sales: User, open_page: OpenPage, axe: Callable[..., None]) -> None:
    page = open_page(sales)
    page.goto("/admin/calls/leadimport/add/")
    content = "Name;Mobile;Plan\nAda;(415) 555-0101;Premium\nDamaged;4.15556E+10;\n"
    page.get_by_label("File").set_input_files(
        {"name": "fair.csv", "mimeType": "text/csv", "buffer": content.encode()}
    )
    page.get_by_label("Or a new list").fill("Fair")
    page.get_by_role("button", name="Look at the file").click()
    page.get_by_text("A spreadsheet has damaged this number").wait_for()
    axe(page, "#content")
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_text("Fetch them as a CSV file").wait_for()
    axe(page, "#content")
    assert Lead.objects.get().custom == {"Plan": "Premium"}


def test_what_others_wrote_never_runs(desk: Lead, sales: User, open_page: OpenPage) -> None:
    lead = make_lead(
        name=HOSTILE,
        company=HOSTILE,
        reason=HOSTILE,
        owner=sales,
        custom={HOSTILE: HOSTILE, "items": HOSTILE},
    )
    Note.objects.create(lead=lead, author=sales, text=HOSTILE)
    make_opt_out(lead.phones.get().number, reason=HOSTILE, created_by=sales)
    make_call("ended", lead=lead, summary=HOSTILE, promise=HOSTILE)
    batch = CallBatch.objects.create(
        created_by=sales, agent=make_agent(name=HOSTILE[:120]), selection={"ids": [lead.pk]}
    )
    page = open_page(sales)
    for path in (
        LIST,
        f"{LIST}{lead.pk}/change/",
        f"{LIST}{lead.pk}/edit/",
        f"{LIST}{lead.pk}/call/",
        f"{LIST}{lead.pk}/never/",
        f"/admin/calls/callbatch/{batch.pk}/sheet/",
    ):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.hurt") is None, path
    DoNotCall.objects.all().delete()
    page.goto(LIST)
    page.locator(f"a[data-sheet][href$='/{lead.pk}/call/']").click()
    page.get_by_role("dialog").wait_for()
    assert page.evaluate("window.hurt") is None


def test_a_lead_is_read_without_scrolling(desk: Lead, sales: User, open_page: OpenPage) -> None:
    page = open_page(sales, viewport={"width": 1440, "height": 900})
    page.goto(f"{LIST}{desk.pk}/change/")
    for heading in ("Why we call", "May we call now?", "Last contacts", "Everything so far"):
        box = page.get_by_role("heading", name=heading).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 900
