"""A request sent again under its Idempotency-Key does nothing again and is answered the same."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine
from django.utils import timezone

from agents.models import Agent
from calls import dialer, eligibility
from calls.models import Call, CallRequest, Lead
from calls.models.access import IdempotentRequest
from calls.models.do_not_call import DoNotCallSource
from tests import factories
from tests.api_client import CALLS, Api, problem

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 23, 20, tzinfo=UTC)  # noon in Los Angeles
NUMBER = "+14155550142"


@pytest.fixture(autouse=True)
def _noon() -> object:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def lead() -> Lead:
    return factories.make_lead(NUMBER)


@pytest.fixture
def agent() -> Agent:
    return factories.make_agent()


def test_the_same_request_again_is_201_and_the_call_as_it_is_now(api: Api, lead: Lead, agent: Agent) -> None:
    body = {"lead": lead.pk, "agent": agent.pk, "variables": {"b": "2", "a": "1"}}
    first = api.post(CALLS, body, **{"Idempotency-Key": "order-7"})
    call = Call.objects.get()
    dialer.cancel(call, reason="changed our mind", now=timezone.now())
    same = {"variables": {"a": "1", "b": "2"}, "agent": agent.pk, "lead": lead.pk}
    again = api.post(CALLS, same, **{"Idempotency-Key": "order-7"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"]
    assert (first.json()["status"], again.json()["status"]) == ("queued", "ended")
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert Call.objects.count() == CallRequest.objects.count() == 1


def test_a_take_over_is_200_again(api: Api, lead: Lead, agent: Agent) -> None:
    body = {"lead": lead.pk, "agent": agent.pk}
    api.post(CALLS, body)
    statuses = [api.post(CALLS, body, **{"Idempotency-Key": "k"}).status_code for _nth in range(3)]
    assert statuses == [200, 200, 200]
    assert CallRequest.objects.count() == 2


def test_another_body_under_the_same_key_is_409(api: Api, lead: Lead, agent: Agent) -> None:
    body = {"lead": lead.pk, "agent": agent.pk}
    api.post(CALLS, body, **{"Idempotency-Key": "k"})
    other = body | {"variables": {"a": "1"}}
    problem(api.post(CALLS, other, **{"Idempotency-Key": "k"}), 409, "idempotency_key_reused")
    assert CallRequest.objects.count() == 1


def test_a_refusal_is_answered_the_same_even_when_it_would_pass_now(
    api: Api, lead: Lead, agent: Agent, administrator: object
) -> None:
    entry = eligibility.opt_out(NUMBER, reason="asked us", source=DoNotCallSource.STAFF, now=NOON).entry
    body = {"lead": lead.pk, "agent": agent.pk}
    first = problem(api.post(CALLS, body, **{"Idempotency-Key": "k"}), 422, "not_allowed")
    eligibility.lift(entry, by=administrator, reason="asked again", now=NOON)  # type: ignore[arg-type]
    assert problem(api.post(CALLS, body, **{"Idempotency-Key": "k"}), 422, "not_allowed") == first
    assert api.post(CALLS, body, **{"Idempotency-Key": "k2"}).status_code == 201


def test_on_the_phone_is_409_again(api: Api, lead: Lead, agent: Agent) -> None:
    factories.make_call("in_progress", lead=lead)
    body = {"lead": lead.pk, "agent": agent.pk}
    first = problem(api.post(CALLS, body, **{"Idempotency-Key": "k"}), 409, "on_the_phone")
    assert problem(api.post(CALLS, body, **{"Idempotency-Key": "k"}), 409, "on_the_phone") == first


def test_a_body_that_could_not_be_read_leaves_the_key_unused(api: Api, lead: Lead, agent: Agent) -> None:
    problem(api.post(CALLS, {"lead": lead.pk}, **{"Idempotency-Key": "k"}), 400, "invalid")
    problem(
        api.post(CALLS, {"lead": 10**9, "agent": agent.pk}, **{"Idempotency-Key": "k"}), 404, "lead_not_found"
    )
    assert not IdempotentRequest.objects.exists()
    response = api.post(CALLS, {"lead": lead.pk, "agent": agent.pk}, **{"Idempotency-Key": "k"})
    assert response.status_code == 201


def test_a_key_is_its_owners_alone(api: Api, lead: Lead, agent: Agent) -> None:
    body = {"lead": lead.pk, "agent": agent.pk}
    api.post(CALLS, body, **{"Idempotency-Key": "k"})
    assert Api().post(CALLS, body, **{"Idempotency-Key": "k"}).status_code == 200


@pytest.mark.parametrize("key", ["k" * 201, "caf\u00e9"])
def test_a_key_too_long_or_unprintable_is_an_error(api: Api, lead: Lead, agent: Agent, key: str) -> None:
    body = {"lead": lead.pk, "agent": agent.pk}
    told = problem(api.post(CALLS, body, **{"Idempotency-Key": key}), 400, "invalid")
    assert list(told["errors"]) == ["Idempotency-Key"]
    assert not Call.objects.exists()


def test_without_a_key_the_second_request_takes_the_first_one_over(
    api: Api, lead: Lead, agent: Agent
) -> None:
    body = {"lead": lead.pk, "agent": agent.pk}
    assert [api.post(CALLS, body).status_code for _nth in range(2)] == [201, 200]
