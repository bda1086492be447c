"""A word to the AI agent of a call that is on: said once, written down, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from agents.providers.base import NotOffered
from agents.sandbox.phone_call import PhoneCall
from agents.sandbox.server import Sandbox
from calls import steering
from calls.models import Call, CallStatus, Steering
from calls.models.access import IdempotentRequest
from tests.api_client import CALLS, Api, problem
from tests.factories import make_call
from tests.webhook_receiver import eventually

pytestmark = pytest.mark.django_db


@pytest.fixture
def on(start_sandbox: Callable[..., Sandbox]) -> tuple[Sandbox, Call]:
    """A call in conversation, there and here."""
    sandbox = start_sandbox(speed=0.01)
    there = PhoneCall(
        id="call_steered",
        direction="outbound",
        from_number="+12125550100",
        to_number="+14155550101",
        created_ms=0,
        agent=sandbox.account.agent("agent_sandbox_ava"),
        given_variables={"price": "100"},
        held=True,
    )
    sandbox.network.hold("+14155550101", True)
    sandbox.network.place(there)
    sandbox.control("settings", speed=1000)
    eventually(lambda: there.stage == "ringing")
    sandbox.network.pick_up(there.id)
    here = make_call(
        "in_progress",
        provider_call_id=there.id,
        answered_at=timezone.now(),
        variables={"price": "100", "first_name": "Ada"},
    )
    return sandbox, here


def at_the_phone_company(sandbox: Sandbox) -> dict[str, Any]:
    return dict(sandbox.ledger("call_steered"))


def page(client: Client, call: Call) -> str:
    return client.get(f"/admin/calls/call/{call.pk}/change/").content.decode()


def say(client: Client, call: Call, **given: str) -> str:
    answer = client.post(f"/admin/calls/call/{call.pk}/steer/", given, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_what_was_said_reaches_the_call_and_stands_on_the_timeline(
    on: tuple[Sandbox, Call], sales: User, client: Client
) -> None:
    sandbox, call = on
    call.requested_by = sales
    call.save()
    client.force_login(sales)
    shown = page(client, call)
    assert "A word to the AI agent" in shown
    assert '<option value="price">' in shown
    told = say(client, call, context="They have just paid.", variable="price", value="90 <b>")
    assert "The AI agent was told." in told
    assert "Ana told the AI agent: “They have just paid.”" in told
    assert "Ana changed “price” to “90 &lt;b&gt;”" in told
    there = at_the_phone_company(sandbox)
    assert there["injected"] == ["They have just paid."]
    assert there["changed_variables"] == {"price": "90 <b>"}
    assert "Ana let the AI agent answer" in say(client, call, answer_now="1")
    one, two = Steering.objects.all()
    assert (one.user, one.answer_now, two.answer_now, two.context) == (sales, False, True, "")
    assert one.taken_at is not None


def test_over_rest_it_is_said_and_who_said_it_is_known(
    on: tuple[Sandbox, Call], manager: User, client: Client
) -> None:
    sandbox, call = on
    api = Api()
    body = {"context": "Offer ten per cent.", "answer_now": True, "variables": {"price": "90", "old": None}}
    answer = api.post(f"{CALLS}{call.pk}/steer/", body)
    assert (answer.status_code, answer.json()["id"]) == (200, str(call.pk))
    there = at_the_phone_company(sandbox)
    assert (there["injected"], there["changed_variables"]) == (
        ["Offer ten per cent."],
        {"price": "90", "old": None},
    )
    assert Steering.objects.get().api_key == api.key
    client.force_login(manager)
    shown = page(client, call)
    assert f"{api.key} told the AI agent: “Offer ten per cent.”" in shown
    assert f"{api.key} put “old” back as it was" in shown


def test_sent_again_under_its_idempotency_key_it_is_not_said_again(on: tuple[Sandbox, Call]) -> None:
    sandbox, call = on
    api, body, key = Api(), {"context": "Offer ten per cent."}, {"Idempotency-Key": "word-1"}
    path = f"{CALLS}{call.pk}/steer/"
    first, again = api.post(path, body, **key), api.post(path, body, **key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert "Idempotent-Replayed" not in first
    assert (again["Idempotent-Replayed"], again.json()["id"]) == ("true", str(call.pk))
    assert at_the_phone_company(sandbox)["injected"] == ["Offer ten per cent."]
    problem(api.post(path, {"context": "Another."}, **key), 409, "idempotency_key_reused")
    other = make_call("in_progress", provider_call_id="call_2")
    problem(api.post(f"{CALLS}{other.pk}/steer/", body, **key), 409, "idempotency_key_reused")
    assert api.post(path, body, **{"Idempotency-Key": "word-2"}).status_code == 200
    assert at_the_phone_company(sandbox)["injected"] == ["Offer ten per cent."] * 2


def test_a_refusal_is_on_the_timeline_and_what_was_typed_is_not_lost(
    on: tuple[Sandbox, Call], manager: User, client: Client
) -> None:
    sandbox, call = on
    sandbox.network.hang_up_for_customer("call_steered")
    client.force_login(manager)
    shown = say(client, call, context="They have just paid.")
    assert "The AI agent was not told." in shown
    assert "You wrote: They have just paid." in shown
    assert "It was not taken" in shown
    assert Steering.objects.get().taken_at is None
    problem(Api().post(f"{CALLS}{call.pk}/steer/", {"answer_now": True}), 409, "not_taken")


def test_without_an_answer_nobody_knows_whether_it_was_said(settings: LazySettings, monkeypatch: Any) -> None:
    from agents.providers.base import Unclear

    def silent(*_: Any, **__: Any) -> None:
        raise Unclear("No clear answer came.")

    monkeypatch.setattr("agents.providers.retell.RetellProvider.steer", silent)
    call = make_call("in_progress", provider_call_id="call_1")
    told = problem(Api().post(f"{CALLS}{call.pk}/steer/", {"context": "x"}), 409, "unclear")
    assert told["detail"] == "No clear answer came."
    assert Steering.objects.get().problem == "No clear answer came."
    api, key = Api(), {"Idempotency-Key": "word-1"}
    for _time in range(2):
        problem(api.post(f"{CALLS}{call.pk}/steer/", {"context": "x"}, **key), 409, "unclear")
    assert Steering.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_what_broke_off_while_it_was_said_is_not_said_again(monkeypatch: Any) -> None:
    said: list[bool] = []

    def breaks_off(*_: Any, **__: Any) -> None:
        said.append(connection.in_atomic_block)
        raise RuntimeError("the process is killed")

    monkeypatch.setattr("agents.providers.retell.RetellProvider.steer", breaks_off)
    call = make_call("in_progress", provider_call_id="call_1")
    api, path, key = Api(), f"{CALLS}{call.pk}/steer/", {"Idempotency-Key": "word-1"}
    api.client.raise_request_exception = False
    assert api.post(path, {"context": "x"}, **key).status_code == 500
    problem(api.post(path, {"context": "x"}, **key), 409, "unclear")
    assert said == [False]


def test_where_nothing_was_said_the_idempotency_key_is_free_again() -> None:
    call = make_call("queued")
    api, key = Api(), {"Idempotency-Key": "word-1"}
    problem(api.post(f"{CALLS}{call.pk}/steer/", {"context": "x"}, **key), 409, "not_on")
    assert not IdempotentRequest.objects.exists()


@pytest.mark.parametrize("status", [each for each in CallStatus.values if each != CallStatus.IN_PROGRESS])
def test_nobody_is_told_anything_unless_in_conversation(status: str, manager: User, client: Client) -> None:
    """The base URL leads nowhere: an attempt would be an error."""
    call = make_call(status)
    client.force_login(manager)
    assert "A word to the AI agent" not in page(client, call)
    assert "Nobody is in conversation" in say(client, call, context="x")
    problem(Api().post(f"{CALLS}{call.pk}/steer/", {"context": "x"}), 409, "not_on")
    assert not Steering.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"context": "", "answer_now": False, "variables": {}},
        {"context": "x" * 2001},
        {"variables": {"price": "x" * 1001}},
        {"variables": {"price": 90}},
        {"contxt": "x"},
    ],
)
def test_nothing_or_too_much_is_refused(body: dict[str, Any]) -> None:
    call = make_call("in_progress", provider_call_id="call_1")
    problem(Api().post(f"{CALLS}{call.pk}/steer/", body), 400, "invalid")
    assert not Steering.objects.exists()


def test_nothing_typed_is_said_on_the_page(manager: User, client: Client) -> None:
    call = make_call("in_progress", provider_call_id="call_1")
    client.force_login(manager)
    assert "Write what the AI agent should know" in say(client, call, context="  ", value="90")


def test_what_the_contract_cannot_do_is_not_offered_and_says_why(
    settings: LazySettings, manager: User, client: Client
) -> None:
    settings.RETELL_CONTRACT = "article"
    call = make_call("in_progress", provider_call_id="call_1")
    client.force_login(manager)
    shown = page(client, call)
    assert "A word to the AI agent" not in shown
    assert "takes no word into a call that is on" in shown
    assert "takes no word into a call that is on" in say(client, call, context="x")
    told = problem(Api().post(f"{CALLS}{call.pk}/steer/", {"context": "x"}), 409, "not_offered")
    assert "takes no word into a call that is on" in told["detail"]
    with pytest.raises(NotOffered):
        steering.steer(call, context="x", now=timezone.now())
    assert not Steering.objects.exists()


def test_it_needs_the_permission_and_a_key_that_may_call(manager: User, client: Client) -> None:
    call = make_call("in_progress", provider_call_id="call_1")
    manager.groups.clear()
    manager.user_permissions.add(*permissions("view_call", "see_everyones"))
    client.force_login(manager)
    assert client.post(f"/admin/calls/call/{call.pk}/steer/", {"context": "x"}).status_code == 403
    assert "A word to the AI agent" not in page(client, call)
    problem(Api("read").post(f"{CALLS}{call.pk}/steer/", {"context": "x"}), 403, "scope_missing")


def permissions(*names: str) -> list[Any]:
    from django.contrib.auth.models import Permission

    return list(Permission.objects.filter(codename__in=names))
