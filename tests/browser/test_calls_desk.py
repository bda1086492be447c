"""Calls and agents as people use them: listening, following live, on a phone, in the dark, by keyboard."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from agents import sync
from agents.models import Agent
from agents.providers.base import PlaceOrder
from agents.providers.registry import get_provider
from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox
from calls import search
from calls.lifecycle.derive import turns_as_json
from calls.models import Call, LiveTranscript, Note, Transcript
from tests.factories import make_agent, make_call, make_lead, make_transcript

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("around_the_clock"),
]

OpenPage = Callable[..., "Page"]
INTERESTED = "+12125550101"
HOSTILE = (
    '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script></script>'
    '" x-data="{a: window.hurt=1}" x-init="window.hurt=1'
)
LOOKS = [
    pytest.param({}, id="light"),
    pytest.param({"color_scheme": "dark"}, id="dark"),
    pytest.param({"viewport": {"width": 390, "height": 844}}, id="phone"),
]


def address(call: Call) -> str:
    return f"/admin/calls/call/{call.pk}/change/"


@pytest.fixture
def spoken(start_sandbox: Callable[..., Sandbox]) -> Call:
    """A conversation that took place on the sandbox, with its transcript and its recording there."""
    start_sandbox(speed=300.0, webhook_url=None)
    provider = get_provider()
    call_uuid = uuid.uuid4()
    order = PlaceOrder(
        call_uuid=str(call_uuid),
        to_number=INTERESTED,
        from_number=NUMBERS[0],
        provider_agent_id="agent_sandbox_ava",
        agent_version=None,
        variables={"first_name": "Mia"},
        metadata={},
    )
    placed = provider.place(provider.placement(order), give_up_s=5, started=time.monotonic())
    for _try in range(200):
        facts = provider.fetch_call(placed.provider_call_id).facts
        if facts.recording_url and facts.turns:
            break
        time.sleep(0.05)
    assert facts.turns
    call = make_call(
        "ended",
        id=call_uuid,
        lead=make_lead(INTERESTED, name="Mia Novak"),
        agent=make_agent(name="Ava"),
        provider_call_id=placed.provider_call_id,
        recording_url=facts.recording_url,
        duration_ms=facts.duration_ms,
        summary="Agreed to a visit.",
        proposed_disposition="interested",
        sentiment="positive",
        successful=True,
        analysis={"interested": True, "callback_time": ""},
    )
    Transcript.objects.create(call=call, turns=turns_as_json(facts.turns), text=facts.transcript or "")
    search.index_transcript(call.pk, facts.transcript or "")
    return call


def no_wider_than_the_window(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_of_calls_and_agents_is_clean(
    spoken: Call,
    administrator: User,
    open_page: OpenPage,
    axe: Callable[..., None],
    look: dict[str, object],
    pictures: Path | None,
) -> None:
    sync.sync(get_provider(), now=timezone.now())
    Note.objects.create(call=spoken, author=administrator, text="Sounds like a good fit.")
    live = make_call("in_progress")
    LiveTranscript.objects.create(
        provider_call_id=live.provider_call_id,
        turns=[{"role": "agent", "content": "Hello."}, {"role": "user", "content": "Who is this?"}],
        received_at=timezone.now(),
    )
    waiting = make_call("queued")
    missed = make_call("ended", outcome="no_answer", answered_by="", answered_at=None, duration_ms=None)
    clara = Agent.objects.get(name__startswith="Clara")
    page = open_page(administrator, **look)
    paths = {
        "calls": "/admin/calls/call/",
        "calls-found": "/admin/calls/call/?q=roof",
        "calls-none": "/admin/calls/call/?q=nobody-at-all",
        "call": address(spoken),
        "call-live": address(live),
        "call-waiting": address(waiting),
        "call-missed": address(missed),
        "agents": "/admin/agents/agent/",
        "agent": f"/admin/agents/agent/{clara.pk}/change/",
        "agent-edit": f"/admin/agents/agent/{clara.pk}/edit/",
        "numbers": "/admin/agents/phonenumber/",
    }
    for name, path in paths.items():
        page.goto(path)
        page.wait_for_timeout(600)
        for fold in page.locator("#content details").all():
            fold.evaluate("fold => { fold.open = true; }")
        axe(page, "#content")
        no_wider_than_the_window(page)
        if pictures:
            page.screenshot(path=pictures / f"{name}.png", full_page=True)


def playing(page: Page) -> bool:
    return bool(page.evaluate("!document.querySelector('audio').paused"))


def position(page: Page) -> float:
    return float(page.evaluate("document.querySelector('audio').currentTime"))


def test_a_click_on_a_line_plays_it_and_lights_line_and_word(
    spoken: Call, sales: User, open_page: OpenPage
) -> None:
    page = open_page(sales)
    page.goto(address(spoken))
    page.wait_for_function("document.querySelector('audio').readyState >= 1")
    line = page.locator(".call-line").nth(3)
    start = Transcript.objects.get(call=spoken).turns[3]["start_s"]
    line.get_by_role("button").click()
    page.wait_for_function("!document.querySelector('audio').paused")
    assert start - 0.1 <= position(page) <= start + 3
    line.locator(".call-word.is-said").first.wait_for()
    assert "is-spoken" in str(line.get_attribute("class"))
    assert page.locator(".is-spoken").count() == 1
    assert page.locator(".call-lane-agent i").count() > 2
    assert page.locator(".call-lane-user i").count() > 2


def test_the_keyboard_plays_jumps_and_walks_from_line_to_line(
    spoken: Call, sales: User, open_page: OpenPage
) -> None:
    page = open_page(sales)
    page.goto(address(spoken))
    page.wait_for_function("document.querySelector('audio').readyState >= 1")
    starts = [turn["start_s"] for turn in Transcript.objects.get(call=spoken).turns]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert position(page) == pytest.approx(starts[2] if starts[0] <= 0.1 else starts[1], abs=0.05)
    before = position(page)
    page.keyboard.press("ArrowRight")
    assert position(page) == pytest.approx(before + 5, abs=0.05)
    page.keyboard.press("ArrowLeft")
    assert position(page) == pytest.approx(before, abs=0.05)
    page.keyboard.press("Space")
    page.wait_for_function("!document.querySelector('audio').paused")
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('audio').paused")
    page.locator("textarea[name=text]").focus()
    page.keyboard.press("Space")
    assert not playing(page)
    page.get_by_label("Speed").select_option("1.5")
    assert page.evaluate("document.querySelector('audio').playbackRate") == 1.5


def test_a_recording_that_is_gone_is_said_in_place_of_the_player(
    sandbox: Any, sales: User, open_page: OpenPage
) -> None:
    call = make_call("ended")
    make_transcript(call)
    page = open_page(sales)
    page.goto(address(call))
    page.get_by_text("The phone company no longer knows this call.").wait_for()
    assert page.get_by_role("button", name="Play", exact=True).count() == 0


def test_without_javascript_the_browser_s_own_player_stands_there(
    spoken: Call, sales: User, open_page: OpenPage
) -> None:
    page = open_page(sales, java_script_enabled=False)
    page.goto(address(spoken))
    assert page.locator("audio[controls]").count() == 1
    assert page.locator(".call-line").count() > 4
    page.locator("button[name=disposition][value=interested]").click()
    assert page.locator("button[value=interested][aria-pressed=true]").count() == 1


def test_the_page_of_a_live_call_fills_itself_and_comes_to_rest(sales: User, open_page: OpenPage) -> None:
    call = make_call("placed")
    page = open_page(sales)
    asked: list[str] = []
    page.on("response", lambda answer: asked.append(str(answer.status)) if "/live/" in answer.url else None)
    page.goto(address(call))
    page.get_by_role("button", name="Hang up").wait_for()

    def becomes(**columns: Any) -> None:
        Call.objects.filter(pk=call.pk).update(**columns)

    becomes(status="in_progress", answered_at=timezone.now())
    page.get_by_text("Picked up").first.wait_for()
    said = [{"role": "user", "content": "Who is this?"}]
    live = LiveTranscript.objects.create(
        provider_call_id=call.provider_call_id, turns=said, received_at=timezone.now()
    )
    page.get_by_text("Who is this?").wait_for()
    note = page.locator("textarea[name=text]")
    note.fill("Half a note")
    live.turns = [*said, {"role": "agent", "content": HOSTILE}]
    live.save()
    page.get_by_text("window.hurt=1").first.wait_for()
    page.wait_for_timeout(2500)
    assert asked[-1] == "304"
    assert note.input_value() == "Half a note"
    make_transcript(call, ("user", "Who was that?"))
    becomes(
        status="ended", outcome="connected", answered_by="person", ended_at=timezone.now(), duration_ms=4000
    )
    page.get_by_text("Waiting for the analysis").wait_for()
    becomes(
        final=True, summary="A short one.", proposed_disposition="not_interested", analysed_at=timezone.now()
    )
    page.get_by_text("A short one.").wait_for()
    page.get_by_role("button", name="Call again", exact=True).wait_for()
    page.wait_for_timeout(1500)
    rest = len(asked)
    page.wait_for_timeout(2500)
    assert len(asked) == rest
    assert page.evaluate("window.hurt") is None


def test_a_part_somebody_works_in_waits(sales: User, open_page: OpenPage) -> None:
    call = make_call("in_progress")
    page = open_page(sales)
    page.goto(address(call))
    button = page.locator("button[name=disposition]").first
    button.focus()
    Call.objects.filter(pk=call.pk).update(summary="Something new.")
    page.wait_for_timeout(2500)
    assert button.evaluate("button => button === document.activeElement")
    assert page.get_by_text("Something new.").count() == 0
    button.evaluate("button => button.blur()")
    page.get_by_text("Something new.").wait_for()


def test_words_that_were_said_lead_from_the_list_to_the_call(
    spoken: Call, sales: User, open_page: OpenPage
) -> None:
    page = open_page(sales)
    page.goto("/admin/calls/call/")
    page.get_by_label("Search", exact=True).fill("south roof")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"q=south"))
    assert page.locator("mark").first.inner_text().lower() in {"south", "roof"}
    page.get_by_role("link", name="Mia Novak").click()
    page.get_by_role("heading", name="Conversation").wait_for()


def test_call_me_first_is_one_field_and_one_button(sales: User, open_page: OpenPage) -> None:
    agent = make_agent(name="Ava")
    page = open_page(sales)
    page.goto(f"/admin/agents/agent/{agent.pk}/change/")
    page.get_by_label("My number").fill("415 555 0101")
    page.get_by_role("button", name="Call me").click()
    page.wait_for_url(re.compile(r"/admin/calls/call/[0-9a-f-]+/change/"))
    page.get_by_role("heading", name="Test call").wait_for()
