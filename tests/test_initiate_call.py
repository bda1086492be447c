"""`POST /initiate-call`: a bare number, through the same rules as every door, under both contracts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents.models import Agent
from agents.phone import E164
from agents.providers.registry import get_provider
from agents.sandbox.seeds import NUMBERS
from calls import dialer, eligibility
from calls.dialer import account, gate
from calls.dialer.loop import run_once
from calls.models import Call, CallStatus, Direction, Lead, Outcome, Via
from calls.models.access import IdempotentRequest
from calls.models.do_not_call import DoNotCallSource
from calls.models.lead import LeadSource
from tests import factories
from tests.api_client import Api, problem

if TYPE_CHECKING:
    from agents.sandbox.server import Sandbox

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 23, 20, tzinfo=UTC)  # noon in Los Angeles
NIGHT = datetime(2026, 11, 23, 8, tzinfo=UTC)  # midnight there
NUMBER = "+14155550142"
DOOR = "/initiate-call"


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def agent() -> Agent:
    return factories.make_agent(default_caller_id=factories.make_number(number="+12125550100"))


@pytest.fixture
def dialer_runs() -> None:
    gate.beat("dialer-1", "dialer", now=timezone.now())


def codes(told: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in told["reasons"]]


def nothing_was_kept() -> bool:
    return not Call.objects.exists() and not Lead.objects.exists()


@time_machine.travel(NOON, tick=False)
def test_a_number_nobody_knows_makes_a_lead_and_a_call(api: Api, agent: Agent, dialer_runs: None) -> None:
    gate.beat("dialer-1", "dialer", now=NOON)
    response = api.post(
        DOOR,
        {
            "to_number": NUMBER,
            "from_number": "+12125550100",
            "assistant_id": agent.provider_agent_id,
            "metadata": {"order": {"id": 4711}, "call_uuid": "theirs"},
            "retell_llm_dynamic_variables": {"offer": "10 %"},
        },
    )
    assert response.status_code == 200, response.content
    call = Call.objects.get()
    assert response.json() == {
        "status": "initiated",
        "call_id": str(call.pk),
        "assistant_id": agent.provider_agent_id,
        "provider_call_id": None,
        "waiting_for": None,
    }
    assert (call.counterpart, call.our_number, call.agent) == (NUMBER, "+12125550100", agent)
    assert (call.variables["offer"], call.metadata["order"]) == ("10 %", {"id": 4711})
    assert call.lead is not None
    assert (call.lead.source, call.lead.owner, call.lead.phones.get().number) == (
        LeadSource.API,
        None,
        NUMBER,
    )
    request = call.requests.get()
    assert (request.via, request.api_key) == (Via.API, api.key)


@time_machine.travel(NOON, tick=False)
def test_a_lead_without_a_name_is_not_called_by_its_number(api: Api, agent: Agent) -> None:
    api.post(DOOR, {"to_number": NUMBER})
    call = Call.objects.get()
    assert call.lead is not None
    assert call.lead.name == "+1 415-555-0142"
    assert (call.variables["name"], call.variables["first_name"]) == ("", "")
    api.post(
        DOOR, {"to_number": "+14155550143", "retell_llm_dynamic_variables": {"customer_name": "Ada Sample"}}
    )
    assert Lead.objects.latest("pk").name == "Ada Sample"


@time_machine.travel(NOON, tick=False)
def test_a_known_number_is_its_leads(api: Api, agent: Agent) -> None:
    _first, second = factories.make_lead(NUMBER), factories.make_lead(NUMBER, name="Bo Sample")
    factories.make_call("ended", lead=second, counterpart=NUMBER)
    assert api.post(DOOR, {"to_number": NUMBER, "assistant_id": agent.provider_agent_id}).status_code == 200
    assert Call.objects.get(status="queued").lead == second
    assert Lead.objects.count() == 2


@time_machine.travel(NOON, tick=False)
def test_a_key_with_an_owner_neither_sees_nor_calls_as_somebody_elses_lead(
    sales: User, manager: User, agent: Agent
) -> None:
    theirs = factories.make_lead(NUMBER, owner=manager)
    Api(owner=sales).post(DOOR, {"to_number": NUMBER})
    made = Lead.objects.exclude(pk=theirs.pk).get()
    assert (made.owner, Call.objects.get().lead) == (sales, made)


@time_machine.travel(NOON, tick=False)
def test_an_assistant_nobody_knows_gets_its_row(api: Api) -> None:
    factories.make_number(number="+12125550100")
    told = api.post(DOOR, {"to_number": NUMBER, "assistant_id": "asst_new"}).json()
    assert told["assistant_id"] == "asst_new"
    agent = Agent.objects.get()
    assert (agent.provider_agent_id, agent.name, agent.active) == ("asst_new", "asst_new", True)


@time_machine.travel(NOON, tick=False)
def test_without_an_assistant_the_only_one_or_the_last_one_calls(api: Api, agent: Agent) -> None:
    assert api.post(DOOR, {"to_number": NUMBER}).json()["assistant_id"] == agent.provider_agent_id
    other = factories.make_agent()
    told = problem(api.post(DOOR, {"to_number": "+14155550143"}), 422, "not_allowed")
    assert codes(told) == ["no_agent"]
    assert "assistant_id" in told["detail"]
    factories.make_call("ended", agent=other, counterpart="+14155550143")
    told = api.post(DOOR, {"to_number": "+14155550143"}).json()
    assert told["assistant_id"] == other.provider_agent_id


@pytest.mark.parametrize(
    "number",
    ["4155550142", "+1 415 555 0142", " +14155550142", "+04155550142", "+123456", "+1415555014212345", "tel"],
)
def test_a_number_that_is_not_e164_is_400_with_the_exact_rule(api: Api, agent: Agent, number: str) -> None:
    for field in ("to_number", "from_number"):
        told = problem(api.post(DOOR, {"to_number": NUMBER, field: number}), 400, "invalid")
        [error] = told["errors"][field]
        assert error["code"] == "not_e164"
        assert E164.pattern in error["detail"]
        assert number[:40] in error["detail"]
    assert nothing_was_kept()


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"to_number": 14155550142}, "to_number", "not_text"),
        ({"to_number": "+14155"}, "to_number", "not_e164"),
        ({"to_number": "+141555501"}, "to_number", "impossible"),
        ({"metadata": "order"}, "metadata", "not_a_dict"),
        ({"metadata": {"x": "y" * 50_000}}, "metadata", "too_large"),
        ({"retell_llm_dynamic_variables": {"a": 1}}, "retell_llm_dynamic_variables", "nested"),
        ({"queue": "no"}, "queue", "invalid"),
        ({"assistant": {}}, "assistant", "unknown_field"),
    ],
)
def test_a_body_that_cannot_be_read_is_400_by_field(
    api: Api, change: dict[str, Any], field: str, code: str
) -> None:
    told = problem(api.post(DOOR, {"to_number": NUMBER} | change), 400, "invalid")
    assert [each["code"] for each in told["errors"][field]] == [code]
    assert nothing_was_kept()


@time_machine.travel(NOON, tick=False)
def test_a_call_that_waits_already_is_adopted(api: Api, agent: Agent, sales: User) -> None:
    lead = factories.make_lead(NUMBER)
    waits = dialer.ask(
        lead=lead, agent=agent, via=Via.DESK, by=sales, now=NOON, due_at=NOON + timedelta(hours=2)
    ).call
    response = api.post(DOOR, {"to_number": NUMBER})
    assert (response.status_code, response.json()["call_id"]) == (200, str(waits.pk))
    waits.refresh_from_db()
    assert waits.due_at == NOON
    assert {request.via for request in waits.requests.all()} == {Via.DESK, Via.API}


@pytest.mark.parametrize("status", ["dialing", "unconfirmed", "placed", "ringing", "in_progress"])
@time_machine.travel(NOON, tick=False)
def test_a_number_on_the_phone_is_409(api: Api, agent: Agent, status: str) -> None:
    busy = factories.make_call(status, lead=factories.make_lead(NUMBER))
    told = problem(
        api.post(DOOR, {"to_number": NUMBER, "assistant_id": agent.provider_agent_id}), 409, "on_the_phone"
    )
    assert told["call"] == str(busy.pk)


@time_machine.travel(NOON, tick=False)
def test_one_who_rang_us_and_is_on_the_phone_is_409_and_makes_no_lead(api: Api, agent: Agent) -> None:
    factories.make_call("in_progress", lead=None, counterpart=NUMBER, direction=Direction.INBOUND)
    answer = api.post(DOOR, {"to_number": NUMBER, "assistant_id": agent.provider_agent_id})
    problem(answer, 409, "on_the_phone")
    assert not Lead.objects.exists()


@time_machine.travel(NOON, tick=False)
def test_what_may_never_be_is_422_with_every_reason_and_leaves_nothing_behind(api: Api, agent: Agent) -> None:
    eligibility.opt_out(NUMBER, reason="asked us", source=DoNotCallSource.STAFF, now=NOON)
    Agent.objects.update(active=False)
    body = {"to_number": NUMBER, "assistant_id": agent.provider_agent_id}
    told = problem(api.post(DOOR, body), 422, "not_allowed")
    assert set(codes(told)) >= {"do_not_call", "agent_inactive"}
    assert codes(problem(api.post(DOOR, {**body, "from_number": "+12125550199"}), 422, "not_allowed")) == [
        "no_caller_id"
    ]
    problem(api.post(DOOR, {"to_number": NUMBER, "assistant_id": "asst_new"}), 422, "not_allowed")
    assert nothing_was_kept()
    assert not Agent.objects.filter(provider_agent_id="asst_new").exists()


@time_machine.travel(NOON, tick=False)
def test_full_it_queues_or_says_429_with_the_place_when_it_must_not(
    api: Api, agent: Agent, settings: LazySettings
) -> None:
    settings.MAX_CONCURRENT_CALLS = 1
    gate.beat("dialer-1", "dialer", now=NOON)
    factories.make_call("in_progress", now=NOON)
    factories.make_call("queued", now=NOON - timedelta(seconds=5))
    body = {"to_number": NUMBER, "assistant_id": agent.provider_agent_id}
    before = Lead.objects.count()
    response = api.post(DOOR, {**body, "queue": False}, **{"Idempotency-Key": "order-1"})
    told = problem(response, 429, "no_free_line")
    assert told["place"] == 2
    assert int(response["Retry-After"]) == 90  # two calls of 45 s on one line
    assert (Call.objects.count(), Lead.objects.count(), IdempotentRequest.objects.count()) == (2, before, 0)
    told = api.post(DOOR, body, **{"Idempotency-Key": "order-1"}).json()
    assert (told["status"], told["waiting_for"]["code"], told["waiting_for"]["place"]) == (
        "queued",
        "capacity",
        2,
    )


@time_machine.travel(NOON, tick=False)
def test_free_lines_are_first_for_those_who_wait_already(
    api: Api, agent: Agent, settings: LazySettings
) -> None:
    settings.MAX_CONCURRENT_CALLS = 2
    gate.beat("dialer-1", "dialer", now=NOON)
    factories.make_call("in_progress", now=NOON)
    body = {"to_number": NUMBER, "assistant_id": agent.provider_agent_id, "queue": False}
    waits = factories.make_call("queued", now=NOON - timedelta(seconds=5))
    problem(api.post(DOOR, body), 429, "no_free_line")
    waits.delete()
    assert api.post(DOOR, body).json()["status"] == "initiated"


@time_machine.travel(NOON, tick=False)
def test_an_agent_on_as_many_calls_as_it_may_be_is_429(api: Api, agent: Agent) -> None:
    Agent.objects.update(max_concurrent_calls=1)
    factories.make_call("in_progress", now=NOON, agent=agent)
    problem(api.post(DOOR, {"to_number": NUMBER, "queue": False}), 429, "no_free_line")


@time_machine.travel(NIGHT, tick=False)
def test_at_night_it_waits_for_the_morning_unless_it_must_not_wait(api: Api, agent: Agent) -> None:
    told = problem(api.post(DOOR, {"to_number": NUMBER, "queue": False}), 422, "not_allowed")
    assert codes(told) == ["outside_hours"]
    assert told["reasons"][0]["until"] == "2026-11-23T17:00:00+00:00"
    assert nothing_was_kept()
    told = api.post(DOOR, {"to_number": NUMBER}).json()
    assert (told["status"], told["waiting_for"]["code"]) == ("queued", "outside_hours")


@time_machine.travel(NOON, tick=False)
def test_what_cannot_go_out_now_for_another_reason_is_503_when_it_must_not_wait(
    api: Api, agent: Agent
) -> None:
    body = {"to_number": NUMBER, "queue": False}
    response = api.post(DOOR, body)
    problem(response, 503, "no_dialer")
    assert response["Retry-After"] == "60"
    gate.beat("dialer-1", "dialer", now=NOON)
    account.account_refused("No credit", code="billing", now=NOON)
    assert "No credit" in problem(api.post(DOOR, body), 503, "account_problem")["detail"]
    assert nothing_was_kept()


@time_machine.travel(NOON, tick=False)
def test_while_calling_is_stopped_it_is_503_and_nothing_is_asked_for(
    api: Api, agent: Agent, manager: User
) -> None:
    dialer.stop(by=manager, reason="a drill", now=NOON)
    assert "a drill" in problem(api.post(DOOR, {"to_number": NUMBER}), 503, "calling_stopped")["detail"]
    assert nothing_was_kept()


def test_it_needs_a_key_that_may_call_and_post(client: Client, agent: Agent) -> None:
    body = {"to_number": NUMBER}
    assert client.post(DOOR, body, content_type="application/json").status_code == 401
    problem(Api("read").post(DOOR, body), 403, "scope_missing")
    problem(Api().get(DOOR), 405, "method_not_allowed")
    assert nothing_was_kept()


def test_too_many_requests_are_throttled_like_the_rest(
    api: Api, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calls.api.auth.KeyThrottle.THROTTLE_RATES", {"api_key": "2/minute"})
    answers = [api.post(DOOR, {"to_number": "x"}).status_code for _nth in range(3)]
    assert answers == [400, 400, 429]


@time_machine.travel(NOON, tick=False)
def test_the_same_idempotency_key_does_nothing_again_and_tells_the_call_as_it_is(
    api: Api, agent: Agent
) -> None:
    first = api.post(DOOR, {"to_number": NUMBER}, **{"Idempotency-Key": "order-1"})
    call = Call.objects.get()
    Call.objects.update(status=CallStatus.PLACED, sent_at=NOON, provider_call_id="call_77", **claimed())
    again = api.post(DOOR, {"to_number": NUMBER}, **{"Idempotency-Key": "order-1"})
    assert (first.status_code, again.status_code, again["Idempotent-Replayed"]) == (200, 200, "true")
    told = again.json()
    assert (told["call_id"], told["status"], told["provider_call_id"]) == (
        str(call.pk),
        "initiated",
        "call_77",
    )
    assert call.requests.count() == 1


def claimed() -> dict[str, Any]:
    return {"claimed_at": NOON, "placed_at": NOON, "request_body": b"{}"}


@time_machine.travel(NOON, tick=False)
def test_of_a_call_that_never_went_out_a_repeat_says_that_it_is_over(api: Api, agent: Agent) -> None:
    api.post(DOOR, {"to_number": NUMBER}, **{"Idempotency-Key": "order-1"})
    dialer.cancel(Call.objects.get(), reason="no longer", now=NOON)
    assert Call.objects.get().outcome == Outcome.CANCELED
    told = api.post(DOOR, {"to_number": NUMBER}, **{"Idempotency-Key": "order-1"}).json()
    assert told["status"] == "ended"


@pytest.mark.parametrize("contract", ["current", "article"])
@pytest.mark.django_db(transaction=True)
def test_the_telephone_rings_under_both_contracts(
    contract: str,
    api: Api,
    around_the_clock: None,
    start_sandbox: Callable[..., Sandbox],
    settings: LazySettings,
) -> None:
    settings.RETELL_CONTRACT = contract
    sandbox = start_sandbox()
    factories.make_number(number=NUMBERS[0])
    body = {
        "to_number": "+14155550109",
        "assistant_id": "agent_sandbox_ava",
        "metadata": {"order": "4711"},
        "retell_llm_dynamic_variables": {"offer": "10 %"},
    }
    call_id = api.post(DOOR, body, **{"Idempotency-Key": "order-1"}).json()["call_id"]
    assert run_once(get_provider()) == 1
    told = api.post(DOOR, body, **{"Idempotency-Key": "order-1"}).json()
    [rang] = sandbox.ledger()["calls"]
    assert (told["status"], told["call_id"]) == ("initiated", call_id)
    assert (rang["call_id"], rang["call_uuid"]) == (told["provider_call_id"], call_id)
    assert Call.objects.get().metadata == {"order": "4711"}
