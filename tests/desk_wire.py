"""A call without AI that is on: our telephone and theirs at the sandbox, and the buttons of its page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from twilio_wire import LEAD, OURS, STAFF
from webhook_receiver import eventually

from agents.providers.registry import get_provider
from agents.sandbox.server import Sandbox
from calls import dialer
from calls.dialer.loop import run_once
from calls.lifecycle.apply import apply_due
from calls.models import Call, CallStatus, Via
from tests import factories
from tests.conftest import API_KEY, TWILIO_SID, TWILIO_TOKEN

HOLD_LINE = "Please hold the line."


@contextmanager
def telephones(settings: LazySettings, url: str) -> Iterator[Sandbox]:
    """Twilio, with people who stay on the line; `url` is ours."""
    with Sandbox(
        speed=60, seed=7, api_key=API_KEY, twilio_sid=TWILIO_SID, twilio_token=TWILIO_TOKEN
    ) as sandbox:
        settings.PUBLIC_BASE_URL = url
        settings.TWILIO_BASE_URL = settings.RETELL_BASE_URL = sandbox.url
        settings.TWILIO_FROM_NUMBER = OURS
        settings.CALLS_PER_SECOND = 50.0
        settings.RECORDING_NOTICE = ""
        sandbox.control("settings", people_stay=True)
        yield sandbox


def in_talk(by: User, number: str = LEAD) -> Call:
    lead = factories.make_lead(number, time_zone="America/New_York", name="Zoë Müller", owner=by)
    call = dialer.ask(lead=lead, agent=None, desk_number=STAFF, by=by, via=Via.DESK, now=timezone.now()).call
    run_once(get_provider())
    return once(call, lambda call: call.status == CallStatus.IN_PROGRESS)


def once(call: Call, true: Callable[[Call], object]) -> Call:
    """What is told is applied until that is so of the call."""

    def look() -> Call | None:
        while apply_due(now=timezone.now()):
            pass
        call.refresh_from_db()
        return call if true(call) else None

    found: Call = eventually(look)
    return found


def legs(network: Sandbox) -> dict[str, dict[str, Any]]:
    """By the telephone's number."""
    found = network._http.get("/control/ledger/twilio").json()["legs"]
    assert len(found) == len({leg["to"] for leg in found})
    return {leg["to"]: leg for leg in found}


def together(network: Sandbox, call: Call, *numbers: str) -> None:
    """These telephones, and no others, are in the call's conference."""

    def meet() -> bool:
        inside = {to for to, leg in legs(network).items() if leg["in_conference"] == call.provider_call_id}
        return inside == set(numbers)

    eventually(meet)


def done(call: Call) -> None:
    """Whatever was asked for: their telephone has come for it."""
    eventually(lambda: not call.desk_actions.filter(done_at=None, problem="").exists())


def press(client: Client, call: Call, what: str, **given: Any) -> str:
    """A button of the call's page; what the page then says."""
    answer = client.post(f"/admin/calls/call/{call.pk}/desk/{what}/", given)
    assert answer["Location"] == f"/admin/calls/call/{call.pk}/change/"
    return client.get(answer["Location"]).text


def story(client: Client, call: Call) -> str:
    page = client.get(f"/admin/calls/call/{call.pk}/change/").text
    return page[page.index("What happened") :]
