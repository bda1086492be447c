"""What administrators and managers do by name: keys, do-not-call, promises, stored events, people."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.utils import timezone

from calls.api.keys import find_key, make_key
from calls.models import ApiKey, CallBack, DoNotCall, Heartbeat, WebhookEvent
from calls.models.callback import CallBackState
from calls.models.webhook_event import EventState
from tests.factories import make_agent, make_call, make_lead, make_opt_out

pytestmark = pytest.mark.django_db
SignIn = Callable[[User], Client]
KEYS, DO_NOT_CALL = "/admin/calls/apikey/", "/admin/calls/donotcall/"
PROMISES, EVENTS = "/admin/calls/callback/", "/admin/calls/webhookevent/"


def act(client: Client, path: str, action: str, *rows: Any, **data: str) -> Any:
    return client.post(path, {"action": action, "_selected_action": [row.pk for row in rows], **data})


# API keys


def test_a_key_is_shown_once_and_works(administrator: User, sign_in: SignIn) -> None:
    client = sign_in(administrator)
    answer = client.post(f"{KEYS}add/", {"name": "Shop", "scopes": ["read", "call"]})
    assert "no-store" in answer.headers["Cache-Control"]
    found = re.search(r'value="(cc_[^"]+)"', answer.content.decode())
    assert found is not None
    secret = found[1]
    key = find_key(secret)
    assert key is not None
    assert (key.name, key.scopes, key.created_by) == ("Shop", ["read", "call"], administrator)
    for path in (KEYS, f"{KEYS}{key.pk}/change/"):
        assert secret not in client.get(path).content.decode()
    assert secret not in str(list(LogEntry.objects.values()))


def test_a_key_without_name_or_scope_is_not_made(administrator: User, sign_in: SignIn) -> None:
    answer = sign_in(administrator).post(f"{KEYS}add/", {"name": " ", "scopes": ["everything"]})
    assert answer.status_code == 200
    assert answer.context["form"].errors.keys() == {"name", "scopes"}
    assert not ApiKey.objects.exists()


def test_revoking_asks_first_and_is_for_good(administrator: User, sign_in: SignIn) -> None:
    key, _secret = make_key("Shop", ["read"])
    client = sign_in(administrator)
    assert "Shop" in act(client, KEYS, "revoke", key).content.decode()
    key.refresh_from_db()
    assert key.revoked_at is None
    act(client, KEYS, "revoke", key, confirmed="1")
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_keys_are_the_administrators(manager: User, sign_in: SignIn) -> None:
    client = sign_in(manager)
    assert client.get(KEYS).status_code == 403
    assert client.post(f"{KEYS}add/", {"name": "Shop", "scopes": ["read"]}).status_code == 403
    assert not ApiKey.objects.exists()


# Do not call


def test_a_number_in_any_spelling_is_entered_and_its_calls_stop(sales: User, sign_in: SignIn) -> None:
    call = make_call("queued", counterpart="+14155550142")
    answer = sign_in(sales).post(
        f"{DO_NOT_CALL}add/", {"number": "(415) 555-0142", "reason": "wrote to us"}, follow=True
    )
    entry = DoNotCall.objects.get()
    assert (entry.number, entry.reason, entry.source, entry.created_by) == (
        "+14155550142",
        "wrote to us",
        "staff",
        sales,
    )
    call.refresh_from_db()
    assert (call.status, call.outcome) == ("ended", "canceled")
    assert "1 call to it was cancelled." in answer.content.decode()


def test_entering_a_number_twice_keeps_the_first_entry(sales: User, manager: User, sign_in: SignIn) -> None:
    make_opt_out("+14155550142", created_by=manager, reason="said so on the phone")
    answer = sign_in(sales).post(
        f"{DO_NOT_CALL}add/", {"number": "+14155550142", "reason": "again"}, follow=True
    )
    assert DoNotCall.objects.get().reason == "said so on the phone"
    assert "on the list already" in answer.content.decode()


@pytest.mark.parametrize("number", ["", "hello", "4.15556E+10", "123"])
def test_what_is_no_number_is_refused_with_a_sentence(number: str, sales: User, sign_in: SignIn) -> None:
    answer = sign_in(sales).post(f"{DO_NOT_CALL}add/", {"number": number, "reason": "asked"})
    assert answer.context["adminform"].form.errors["number"]
    assert not DoNotCall.objects.exists()


def test_lifting_needs_a_reason_and_a_manager_and_the_row_stays(
    sales: User, manager: User, sign_in: SignIn
) -> None:
    entry = make_opt_out("+14155550142")
    act(sign_in(sales), DO_NOT_CALL, "lift", entry, confirmed="1", reason="she called us")
    entry.refresh_from_db()
    assert entry.lifted_at is None
    client = sign_in(manager)
    assert (
        "A reason is needed."
        in act(client, DO_NOT_CALL, "lift", entry, confirmed="1", reason=" ").content.decode()
    )
    act(client, DO_NOT_CALL, "lift", entry, confirmed="1", reason="she called us and asked for it")
    entry.refresh_from_db()
    assert (entry.lifted_by, entry.lifted_reason) == (manager, "she called us and asked for it")


def test_nobody_deletes_or_rewrites_an_entry(administrator: User, sign_in: SignIn) -> None:
    entry = make_opt_out("+14155550142")
    client = sign_in(administrator)
    assert client.post(f"{DO_NOT_CALL}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{DO_NOT_CALL}{entry.pk}/change/", {"reason": "x"}).status_code == 403
    act(client, DO_NOT_CALL, "delete_selected", entry, post="yes")
    assert DoNotCall.objects.get().reason == "asked not to be called"


@pytest.mark.parametrize("query", ["415 555-0142", "+1 (415) 555 0142", "5550142", "wrote"])
def test_an_entry_is_found_by_number_in_any_spelling_or_reason(
    query: str, sales: User, sign_in: SignIn
) -> None:
    entry = make_opt_out("+14155550142", reason="wrote to us")
    make_opt_out("+12125550199")
    listed = sign_in(sales).get(DO_NOT_CALL, {"q": query}).context["cl"].queryset
    assert list(listed) == [entry]


# Promised call-backs


def test_dropping_a_promise_asks_first_and_leaves_others_alone(
    sales: User, manager: User, sign_in: SignIn
) -> None:
    agent, tomorrow = make_agent(), timezone.now() + timedelta(days=1)

    def promised(owner: User, state: str = CallBackState.OPEN) -> CallBack:
        lead = make_lead(owner=owner)
        return CallBack.objects.create(
            lead=lead, number=lead.phones.get().number, agent=agent, due_at=tomorrow, state=state
        )

    mine, theirs, kept = promised(sales), promised(manager), promised(sales, CallBackState.DONE)
    client = sign_in(sales)
    act(client, PROMISES, "drop", mine)
    mine.refresh_from_db()
    assert mine.state == CallBackState.OPEN
    act(client, PROMISES, "drop", mine, theirs, kept, confirmed="1")
    states = []
    for promise in (mine, theirs, kept):
        promise.refresh_from_db()
        states.append(promise.state)
    assert states == [CallBackState.DROPPED, CallBackState.OPEN, CallBackState.DONE]


# Stored events and processes


def stored(**fields: Any) -> WebhookEvent:
    now = timezone.now()
    return WebhookEvent.objects.create(
        **{"key": "k", "received_at": now, "next_try_at": now, "state": EventState.UNREADABLE, **fields}
    )


def test_a_body_is_shown_as_text_whatever_bytes_it_is(administrator: User, sign_in: SignIn) -> None:
    event = stored(body=b'{"name": "<b>\xff</b>"')
    page = sign_in(administrator).get(f"{EVENTS}{event.pk}/change/").content.decode()
    assert "{&quot;name&quot;: &quot;&lt;b&gt;\\xff&lt;/b&gt;&quot;" in page


def test_json_is_laid_out_in_lines(administrator: User, sign_in: SignIn) -> None:
    event = stored(body='{"name":"Zoë"}'.encode())
    page = sign_in(administrator).get(f"{EVENTS}{event.pk}/change/").content.decode()
    assert "{\n  &quot;name&quot;: &quot;Zoë&quot;\n}" in page


def test_events_are_read_again_on_request_by_administrators_only(
    administrator: User, manager: User, sign_in: SignIn
) -> None:
    event = stored(body=b"{}", tries=9)
    assert act(sign_in(manager), EVENTS, "read_again", event).status_code == 403
    act(sign_in(administrator), EVENTS, "read_again", event)
    event.refresh_from_db()
    assert (event.state, event.tries) == (EventState.PENDING, 0)


def test_the_list_of_events_does_not_fetch_their_bodies(administrator: User, sign_in: SignIn) -> None:
    stored(body=b"x" * 1000)
    answer = sign_in(administrator).get(EVENTS)
    assert "body" in answer.context["cl"].result_list[0].get_deferred_fields()


def test_processes_say_whether_they_live(administrator: User, sign_in: SignIn) -> None:
    now = timezone.now()
    for name, silent in (("dialer-1", 5), ("worker-1", 300)):
        beat = now - timedelta(seconds=silent)
        Heartbeat.objects.create(name=name, kind="dialer", started_at=now, beat_at=beat, detail={"pid": 7})
    page = sign_in(administrator).get("/admin/calls/heartbeat/").content.decode()
    assert "just now" in page
    assert "5\xa0minutes ago" in page
    assert "pid 7" in page


# People


def test_whoever_is_added_gets_past_the_login(administrator: User, sign_in: SignIn, client: Client) -> None:
    password = "a long enough phrase"
    sign_in(administrator).post(
        "/admin/auth/user/add/",
        {
            "username": "nia",
            "usable_password": "true",
            "password1": password,
            "password2": password,
            "groups": [Group.objects.get(name="Sales").pk],
        },
    )
    assert Client().login(username="nia", password=password)
    assert client.get("/admin/").status_code == 200
    nia = User.objects.get(username="nia")
    assert nia.is_staff
    assert nia.has_perm("calls.place_call")


def test_an_administrator_cannot_make_or_touch_a_superuser(administrator: User, sign_in: SignIn) -> None:
    root = User.objects.create_superuser("root")
    client = sign_in(administrator)
    own = f"/admin/auth/user/{administrator.pk}/"
    client.post(
        f"{own}change/", {"username": "ivo", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    )
    administrator.refresh_from_db()
    assert not administrator.is_superuser
    assert client.get(f"/admin/auth/user/{root.pk}/password/").status_code == 403
    assert client.post(f"/admin/auth/user/{root.pk}/delete/", {"post": "yes"}).status_code == 403


def test_saving_a_group_keeps_what_the_page_does_not_show(administrator: User, sign_in: SignIn) -> None:
    sales = Group.objects.get(name="Sales")
    other = Permission.objects.get(codename="view_session")
    sales.permissions.add(other)
    shown = Permission.objects.get(codename="view_lead")
    sign_in(administrator).post(
        f"/admin/auth/group/{sales.pk}/change/", {"name": "Sales", "permissions": [shown.pk]}
    )
    assert set(sales.permissions.all()) == {other, shown}
