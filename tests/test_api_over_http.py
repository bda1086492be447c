"""The doors over real sockets: many at once, and the day of a system that syncs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from calls.api.keys import make_key
from calls.models import Call, CallRequest, Lead
from calls.models.access import IdempotentRequest
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("around_the_clock")]


@pytest.fixture
def api(live_server: Any) -> Iterator[httpx.Client]:
    _key, secret = make_key("CRM", ["read", "call"])
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=f"{live_server.url}/api/v1", headers=headers, timeout=60) as client:
        yield client


def at_once(how_many: int, act: Any) -> list[httpx.Response]:
    with ThreadPoolExecutor(how_many) as pool:
        return list(pool.map(lambda _nth: act(), range(how_many)))


def test_one_key_sent_eight_times_at_once_is_one_call_and_eight_times_201(api: httpx.Client) -> None:
    body = {"lead": factories.make_lead().pk, "agent": factories.make_agent().pk}
    answers = at_once(8, lambda: api.post("/calls/", json=body, headers={"Idempotency-Key": "order-7"}))
    assert [answer.status_code for answer in answers] == [201] * 8, [answer.text for answer in answers]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert Call.objects.count() == CallRequest.objects.count() == IdempotentRequest.objects.count() == 1


def test_eight_different_keys_at_once_are_one_call_asked_for_eight_times(api: httpx.Client) -> None:
    body = {"lead": factories.make_lead().pk, "agent": factories.make_agent().pk}
    keys = iter(range(8))
    answers = at_once(
        8, lambda: api.post("/calls/", json=body, headers={"Idempotency-Key": f"order-{next(keys)}"})
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 7}
    assert Call.objects.count() == 1
    assert CallRequest.objects.count() == 8


def test_one_unknown_number_asked_for_eight_times_at_once_is_one_lead_and_one_call(
    api: httpx.Client, live_server: Any
) -> None:
    factories.make_agent()
    answers = at_once(
        8, lambda: api.post(f"{live_server.url}/initiate-call", json={"to_number": "+14155550142"})
    )
    assert [answer.status_code for answer in answers] == [200] * 8, [answer.text for answer in answers]
    assert len({answer.json()["call_id"] for answer in answers}) == 1
    assert (Lead.objects.count(), Call.objects.count(), CallRequest.objects.count()) == (1, 1, 8)
    assert Call.objects.get().lead == Lead.objects.get()


def test_one_external_id_sent_eight_times_at_once_is_one_lead(api: httpx.Client) -> None:
    body = {"name": "Ada Sample", "phone": "+14155550142", "external_id": "crm-1"}
    answers = at_once(8, lambda: api.post("/leads/", json=body))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 7}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Lead.objects.count() == 1


def test_a_body_sent_in_chunks_is_refused_and_not_read_as_empty(api: httpx.Client) -> None:
    pieces = iter([b'{"name": "Ada Sample", ', b'"phone": "+14155550142"}'])
    told = api.post("/leads/", content=pieces, headers={"Content-Type": "application/json"})
    assert (told.status_code, told.json()["code"]) == (411, "length_required")
    assert not Lead.objects.exists()


def test_from_a_new_lead_to_a_call_taken_back(api: httpx.Client) -> None:
    agent = factories.make_agent()
    assert [each["id"] for each in api.get("/agents/").json()["results"]] == [agent.pk]
    assert api.get(f"/agents/{agent.pk}/").json()["provider_agent_id"] == agent.provider_agent_id
    lead = api.post("/leads/", json={"name": "Ada Sample", "phone": "+14155550142"}).json()
    call = api.post("/calls/", json={"lead": lead["id"], "agent": agent.pk}).json()
    listed = api.get("/calls/", params={"to_number": "+14155550142", "status": "queued"}).json()["results"]
    assert [each["id"] for each in listed] == [call["id"]]
    opted_out = api.post("/do-not-call/", json={"number": "+14155550142", "reason": "Wrote to us"})
    assert (opted_out.status_code, opted_out.json()["canceled"]) == (201, [call["id"]])
    refused = api.post("/calls/", json={"lead": lead["id"], "agent": agent.pk})
    assert refused.status_code == 422
    assert [reason["code"] for reason in refused.json()["reasons"]] == ["do_not_call"]
    assert api.get(f"/calls/{call['id']}/").json()["status"] == "ended"
