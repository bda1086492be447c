"""Every page of the desk and every route of REST, as each kind of staff, with hostile text in every row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from agents.models import NumberSetup, PhoneNumber, SetupStep
from calls import dialer, eligibility
from calls.api.keys import make_key
from calls.models import (
    CallBack,
    CallBatch,
    CallRequest,
    CallStatus,
    CarrierRate,
    DoNotCall,
    Heartbeat,
    Lead,
    LeadImport,
    LeadList,
    LiveTranscript,
    Menu,
    MenuKey,
    Note,
    Transcript,
    VoicemailMessage,
    VoicePlace,
    WebhookEvent,
)
from tests import factories

pytestmark = [pytest.mark.django_db]
HOSTILE = """<script>alert('x')</script>"><img src=x onerror=alert(1) x-init="alert(2)">'{{7*7}}\u202e"""
RAW = re.compile(r"<script>alert|<img src=x|onerror=alert\(1\) x-init=\"alert", re.IGNORECASE)
# What ends the session or leaves the site; a recording speaks HTTP, and has tests of its own.
NOT_WALKED = {"logout", "view_on_site", "jsi18n", "calls_call_recording"}
# Who may open the list of each table: Sales, Managers, Administrators.
LISTS = {
    "agents.Agent": (True, True, True),
    "agents.PhoneNumber": (True, True, True),
    "calls.Lead": (True, True, True),
    "calls.LeadList": (True, True, True),
    "calls.VoicemailMessage": (False, True, True),
    "calls.Call": (True, True, True),
    "calls.CallBatch": (True, True, True),
    "calls.CallBack": (True, True, True),
    "calls.DoNotCall": (True, True, True),
    "calls.LeadImport": (True, True, True),
    "calls.LeadExport": (False, True, True),
    "calls.ApiKey": (False, False, True),
    "calls.WebhookEvent": (False, False, True),
    "calls.Comparison": (False, False, True),
    "calls.Menu": (False, True, True),
    "calls.CarrierRate": (False, False, True),
    "calls.Heartbeat": (False, False, True),
    "auth.User": (False, False, True),
    "auth.Group": (False, False, True),
    "django_tasks_database.DBTaskResult": (False, False, False),
}


@pytest.fixture
def world(sales: User, manager: User, administrator: User) -> dict[str, Any]:
    """One row of everything, each with hostile text wherever somebody outside can write."""
    now = timezone.now()
    agent = factories.make_agent(name=HOSTILE[:120], opening_line=HOSTILE)
    shelf = LeadList.objects.create(name=HOSTILE[:120])
    lead = factories.make_lead(
        "+14155550191", name=HOSTILE, company=HOSTILE, reason=HOSTILE, list=shelf, custom={HOSTILE: HOSTILE}
    )
    said = {"summary": HOSTILE, "promise": HOSTILE[:300], "refusal": HOSTILE, "analysis": {HOSTILE: HOSTILE}}
    call = factories.make_call(
        status=CallStatus.ENDED,
        lead=lead,
        counterpart="+14155550191",
        agent=agent,
        disconnection_reason=HOSTILE[:80],
        **said,
    )
    turns = [
        {"role": "user", "content": HOSTILE, "start_s": 0.0, "end_s": 1.0, "words": [[HOSTILE, 0.0, 1.0]]}
    ]
    Transcript.objects.create(call=call, turns=turns, text=HOSTILE)
    LiveTranscript.objects.create(provider_call_id=call.provider_call_id, turns=turns, received_at=now)
    CallRequest.objects.create(call=call, user=sales, via="desk", requested_at=now)
    Note.objects.create(lead=lead, call=call, author=sales, text=HOSTILE)
    event = WebhookEvent.objects.create(
        key="k",
        body=HOSTILE.encode(),
        received_at=now,
        next_try_at=now,
        name=HOSTILE[:60],
        call=call,
        problem=HOSTILE,
    )
    batch = dialer.open_batch(by=sales, lead_ids=[lead.pk], agent=agent, now=now, variables={"x": HOSTILE})
    opted_out = eligibility.opt_out("+14155550192", reason=HOSTILE, source="staff", now=now, by=sales).entry
    promise = dialer.promise(
        lead, number="+14155550191", at=now + timedelta(days=1), agent=agent, now=now, note=HOSTILE
    )
    beat = Heartbeat.objects.create(name=HOSTILE[:120], kind="dialer", started_at=now, beat_at=now)
    file = LeadImport.objects.create(
        created_by=sales,
        file_name=f"{HOSTILE[:100]}.csv",
        content=f"name;phone\n{HOSTILE};+14155550193\n".encode(),
        columns={"name": "name", "phone": "phone"},
        refused_rows=1,
    )
    file.refused_parts.create(
        first_row=0, entries=[{"row": 2, "reason": HOSTILE, "values": {"name": HOSTILE}}]
    )
    setup = NumberSetup.objects.create(
        number="+14155550194", number_sid="PN1", mark="a1", label=HOSTILE[:80], began_at=now, trunk_sid="TK1",
        trunk_domain=HOSTILE[:100], attached=True, former_voice_url=HOSTILE, username=HOSTILE[:32],
    )  # fmt: skip
    for each in (factories.make_number(number=setup.number), agent.default_caller_id):
        PhoneNumber.objects.filter(pk=each.pk).update(
            last_synced_at=now, offered_reason=HOSTILE, offered_at=now, offered_by=administrator
        )
    for step in SetupStep.values:
        setup.steps.create(step=step, state="done", problem=HOSTILE, at=now, by=manager)
    key, _secret = make_key(HOSTILE[:80], ["read"], by=administrator)
    menu = Menu.objects.create(name=HOSTILE[:80], greeting=HOSTILE, notice=HOSTILE, goodbye=HOSTILE)
    MenuKey.objects.create(menu=menu, key=1, what="message", offered_as=HOSTILE[:120])
    VoicePlace.objects.create(kind="number", sid="PN1", name=HOSTILE[:120], leads_to=HOSTILE, seen_at=now)
    stop = dialer.stop(by=sales, reason=HOSTILE, now=now, target=dialer.Target(lead_list=shelf))
    return {
        "agents.Agent": agent,
        "agents.PhoneNumber": agent.default_caller_id,
        "agents.NumberSetup": setup,
        "calls.Lead": lead,
        "calls.LeadList": shelf,
        "calls.Call": call,
        "calls.CallBatch": batch,
        "calls.CallBack": promise,
        "calls.DoNotCall": opted_out,
        "calls.LeadImport": file,
        "calls.ApiKey": key,
        "calls.WebhookEvent": event,
        "calls.Heartbeat": beat,
        "calls.Menu": menu,
        "calls.CarrierRate": CarrierRate.objects.create(prefix="+1", per_minute="0.01"),
        "calls.VoicemailMessage": VoicemailMessage.objects.create(user=sales, text=HOSTILE),
        "calls.Stop": stop,
        "auth.User": sales,
        "auth.Group": Group.objects.get(name="Sales"),
    }


def routes(under: Any = None, prefix: str = "/") -> Iterator[tuple[str, str]]:
    """(path with its placeholders, name) of every route."""
    for entry in (under or get_resolver()).url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, path)
        elif isinstance(entry, URLPattern):
            yield path, entry.name or ""


def pages(world: dict[str, Any]) -> list[str]:
    """Every route of the desk with the world's ids filled in."""
    ids = {label.replace(".", "_").lower(): row.pk for label, row in world.items()}
    found = []
    for path, name in routes():
        if not path.startswith("/admin/") or "(?P" in path or name in NOT_WALKED:
            continue
        pk = next((value for model, value in ids.items() if name.startswith(f"{model}_")), None)
        if "<" in path:
            if pk is None or path.count("<") > 1:
                continue
            path = re.sub(r"<[^>]+>", str(pk), path)
        found.append(path)
    return found


def test_the_table_of_lists_names_every_table_of_the_desk() -> None:
    assert {model._meta.label for model in admin.site._registry} == set(LISTS)


@pytest.mark.parametrize("who", ["sales", "manager", "administrator"])
def test_every_list_opens_for_those_who_may_and_for_nobody_else(
    who: str, world: dict[str, Any], client: Client, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(who))
    place = ["sales", "manager", "administrator"].index(who)
    opened = {}
    for label in LISTS:
        app, model = label.lower().split(".")
        opened[label] = client.get(f"/admin/{app}/{model}/").status_code == 200
    assert opened == {label: allowed[place] for label, allowed in LISTS.items()}


@pytest.mark.parametrize("who", ["sales", "manager", "administrator"])
def test_no_page_breaks_and_no_hostile_text_becomes_markup(
    who: str, world: dict[str, Any], client: Client, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(who))
    client.raise_request_exception = False
    visited = pages(world)
    assert len(visited) > 80
    broken, opened = [], 0
    for path in visited:
        answer = client.get(path)
        if answer.status_code >= 500:
            broken.append((path, answer.status_code))
        if answer.status_code == 200:
            opened += 1
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
            if "html" in answer["Content-Type"] and (raw := RAW.search(body.decode())):
                broken.append((path, raw[0]))
    assert broken == []
    assert opened > 20


def test_a_stranger_sees_no_page(world: dict[str, Any], client: Client) -> None:
    for path in pages(world):
        answer = client.get(path)
        if path != "/admin/login/":
            assert answer.status_code in {302, 404, 405} or not answer.content, path
            assert "login" in answer.get("Location", "login"), path


def test_sales_staff_do_not_see_another_owners_lead_or_its_calls(
    world: dict[str, Any], client: Client, sales: User, manager: User, sign_in: Callable[[User], Client]
) -> None:
    Lead.objects.update(owner=manager)
    CallRequest.objects.all().delete()
    sign_in(sales)
    for label in ("calls.Lead", "calls.Call"):
        app, model = label.lower().split(".")
        answer = client.get(f"/admin/{app}/{model}/{world[label].pk}/change/")
        assert answer.status_code in {302, 404}
        assert b"+1 415-555-0191" not in client.get(f"/admin/{app}/{model}/").content
    sign_in(manager)
    assert client.get(f"/admin/calls/lead/{world['calls.Lead'].pk}/change/").status_code == 200


@pytest.mark.parametrize(
    ("scopes", "may_read", "may_write"),
    [(["read"], True, False), (["call"], False, True), (["read", "call"], True, True)],
)
def test_every_route_of_rest_asks_for_its_scope(
    scopes: list[str],
    may_read: bool,
    may_write: bool,
    world: dict[str, Any],
    client: Client,
    administrator: User,
) -> None:
    _key, secret = make_key("robot", scopes, by=administrator)
    rest = [path for path, _name in routes() if path.startswith("/api/v1/")]
    assert len(rest) >= 7
    ids = {"agents": "agents.Agent", "leads": "calls.Lead", "calls": "calls.Call"}
    for path in rest:
        row = world.get(ids.get(path.split("/")[3], ""))
        filled = re.sub(r"<[^>]+>", str(row.pk) if row else "", path)
        assert client.get(filled).status_code in {401, 405}
        headers = {"authorization": f"Bearer {secret}"}
        read = client.get(filled, headers=headers).status_code
        assert read in ({200, 405} if may_read else {403, 405}), filled
        write = client.post(filled, b"{}", content_type="application/json", headers=headers).status_code
        assert (write in {403, 405}) is not may_write or write == 405, (filled, write)


def test_nothing_was_changed_by_looking(world: dict[str, Any], client: Client, administrator: User) -> None:
    client.force_login(administrator)
    before = (
        CallBatch.objects.get().state,
        DoNotCall.objects.in_force().count(),
        CallBack.objects.get().state,
    )
    for path in pages(world):
        client.get(path)
    batches = CallBatch.objects.filter(pk=world["calls.CallBatch"].pk)
    assert (batches.get().state, DoNotCall.objects.in_force().count(), CallBack.objects.get().state) == before
