"""The page of calls nobody is sure about, in light, in the dark and on a phone, decided with a click."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils import timezone

from calls.models import Call, CallStatus, CallStep, StepKind
from tests.factories import make_call, make_lead

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("around_the_clock"),
]
LOOKS = [
    pytest.param({}, id="light"),
    pytest.param({"color_scheme": "dark"}, id="dark"),
    pytest.param({"viewport": {"width": 390, "height": 844}}, id="phone"),
]


@pytest.fixture
def unknown() -> Call:
    cache.clear()
    sent = timezone.now() - timedelta(minutes=64)
    call = make_call(
        status=CallStatus.ENDED, now=sent, outcome="unknown", answered_by="", provider_call_id="",
        placed_at=None, answered_at=None, duration_ms=None, cost_micros=None, currency="", final=False,
        lead=make_lead(name="Grace Sample"), next_look_at=sent + timedelta(hours=2),
        outcome_evidence="Nothing was heard of it for an hour after it was sent.",
    )  # fmt: skip
    for seconds, kind, found, answer in (
        (0, StepKind.SENT, None, "No clear answer came from api.retellai.com (ReadTimeout)."),
        (5, StepKind.LOOK, False, "It has no such call."),
        (15, StepKind.LOOK, None, "Retell answered with status 500."),
        (45, StepKind.LOOK, False, "It has no such call."),
        (46, StepKind.REPLAY, None, "Retell says: Internal server error"),
    ):
        at = sent + timedelta(seconds=seconds)
        CallStep.objects.create(call=call, kind=kind, at=at, found=found, answer=answer)
    make_call(
        status=CallStatus.ENDED,
        lead=make_lead(name="Ada Sample"),
        incident="The phone company knows this call under two ids: call_1f0 and call_2c7.",
    )
    return call


@pytest.mark.parametrize("look", LOOKS)
def test_what_was_tried_is_read_and_decided(
    look: dict[str, Any],
    unknown: Call,
    manager: User,
    open_page: Callable[..., Page],
    axe: Callable[..., None],
    pictures: Path | None,
    request: pytest.FixtureRequest,
) -> None:
    page = open_page(manager, **look)
    page.goto("/admin/needs-a-look/")
    page.get_by_text("Sent to the phone company; no clear answer came").wait_for()
    page.get_by_text("One call may have rung twice").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    axe(page, "#content-main")
    if pictures:
        page.screenshot(path=pictures / f"needs-a-look-{request.node.callspec.id}.png", full_page=True)
    page.get_by_role("button", name="It was not called").click()
    page.get_by_text("Kept as not called").wait_for()
    assert page.get_by_text("Grace Sample").count() == 0
    page.get_by_role("button", name="I have seen it").click()
    page.get_by_text("Nothing to look at").wait_for()
    unknown.refresh_from_db()
    assert (unknown.outcome, unknown.judged, unknown.judged_by) == ("failed", "not_called", manager)
