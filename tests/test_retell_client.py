"""We ask Retell what its own library would ask, and know a no from a perhaps."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
import retell
from retell_wire import (
    ANSWERS,
    BASE,
    FILTER_OURS,
    FROM,
    KEY,
    SINCE,
    SINCE_MS,
    TO,
    UUID,
    Wire,
    order,
    ours,
    place,
    shape,
    theirs,
)

from agents.providers.base import (
    Busy,
    ProviderError,
    RefusalScope,
    Refused,
    Unclear,
)
from agents.providers.retell import RetellProvider

# What we ask on the left of each pair, what Retell's library asks for the same on the right.
SAME: dict[str, tuple[Callable[[RetellProvider], object], Callable[[retell.Retell], object]]] = {
    "create-phone-call": (
        place,
        lambda sdk: sdk.call.create_phone_call(
            from_number=FROM,
            to_number=TO,
            override_agent_id="agent_1",
            override_agent_version=4,
            idempotency_key=UUID,
            metadata={"lead": "17", "call_uuid": UUID},
            retell_llm_dynamic_variables={"first_name": "Zoë 👍", "empty": ""},
        ),
    ),
    "create-phone-call with overrides": (
        lambda us: place(
            us,
            us.placement(
                order(agent_version="prod", overrides={"ring_time_ms": 20000, "opening_line": "Hello!"})
            ),
        ),
        lambda sdk: sdk.call.create_phone_call(
            from_number=FROM,
            to_number=TO,
            override_agent_id="agent_1",
            override_agent_version="prod",
            idempotency_key=UUID,
            metadata={"lead": "17", "call_uuid": UUID},
            retell_llm_dynamic_variables={"first_name": "Zoë 👍", "empty": ""},
            agent_override={"agent": {"ring_duration_ms": 20000}, "retell_llm": {"begin_message": "Hello!"}},
        ),
    ),
    "get-call": (lambda us: us.fetch_call("call_1"), lambda sdk: sdk.call.retrieve("call_1")),
    "list-calls by our id": (
        lambda us: us.find_call(UUID, to_number=TO, since=SINCE),
        lambda sdk: sdk.call.list(
            filter_criteria={"metadata": [FILTER_OURS]},
            limit=100,
            sort_order="ascending",
        ),
    ),
    "list-calls by their ids": (
        lambda us: us.fetch_calls(["call_1", "call_2"]),
        lambda sdk: sdk.call.list(
            filter_criteria={"call_id": {"type": "enum", "op": "in", "value": ["call_1", "call_2"]}},
            limit=100,
            sort_order="ascending",
        ),
    ),
    "list-calls since": (
        lambda us: us.recent_calls(since=SINCE, key="next-page"),
        lambda sdk: sdk.call.list(
            filter_criteria={
                "start_timestamp": {"type": "number", "op": "ge", "value": SINCE_MS},
                "call_type": {"type": "enum", "op": "in", "value": ["phone_call"]},
            },
            limit=100,
            sort_order="ascending",
            pagination_key="next-page",
        ),
    ),
    "list-calls between": (
        lambda us: us.recent_calls(since=SINCE, until=SINCE + timedelta(hours=1)),
        lambda sdk: sdk.call.list(
            filter_criteria={
                "start_timestamp": {"type": "range", "op": "bt", "value": [SINCE_MS, SINCE_MS + 3_600_000]},
                "call_type": {"type": "enum", "op": "in", "value": ["phone_call"]},
            },
            limit=100,
            sort_order="ascending",
        ),
    ),
    "stop-call": (lambda us: us.hang_up("call_1"), lambda sdk: sdk.call.stop("call_1")),
    "update-live-call": (
        lambda us: us.steer("call_1", context="10 % off", answer_now=True, variables={"price": "90"}),
        lambda sdk: sdk.call.update_live(
            "call_1",
            call_control={"additional_context": "10 % off", "trigger_response": True},
            fields_to_override={"override_dynamic_variables": {"price": "90"}},
        ),
    ),
    "list-agents": (
        lambda us: us.list_agents(),
        lambda sdk: sdk.agent.list(
            filter_criteria={"channel": {"type": "string", "op": "eq", "value": "voice"}}
        ),
    ),
    "get-agent": (
        lambda us: us.fetch_agent("agent_1", 3),
        lambda sdk: sdk.agent.retrieve("agent_1", version=3),
    ),
    "get-retell-llm": (
        lambda us: us.fetch_agent("agent_1"),
        lambda sdk: sdk.llm.retrieve("llm_1", version=4),
    ),
    "list-agent-versions": (
        lambda us: us.fetch_agent("agent_1"),
        lambda sdk: sdk.agent.list_versions("agent_1"),
    ),
    "list-agents for one": (
        lambda us: us.fetch_agent("agent_1"),
        lambda sdk: sdk.agent.list(filter_criteria={"query": "agent_1"}),
    ),
    "update-agent": (
        lambda us: us.fix_agent("agent_1", {"webhook_url": None, "ring_time_ms": 20000}),
        lambda sdk: sdk.agent.update("agent_1", webhook_url=None, ring_duration_ms=20000),
    ),
    "update-retell-llm": (
        lambda us: us.fix_agent("agent_1", {"default_variables": {"company": "Acme"}}),
        lambda sdk: sdk.llm.update("llm_1", default_dynamic_variables={"company": "Acme"}),
    ),
    "list-phone-numbers": (lambda us: us.list_numbers(), lambda sdk: sdk.phone_number.list()),
    "update-phone-number": (
        lambda us: us.set_inbound_webhook(FROM, "https://us.test/inbound"),
        lambda sdk: sdk.phone_number.update(FROM, inbound_webhook_url="https://us.test/inbound"),
    ),
    "update-phone-number without url": (
        lambda us: us.set_inbound_webhook(FROM, ""),
        lambda sdk: sdk.phone_number.update(FROM, inbound_webhook_url=None),
    ),
    "get-concurrency": (lambda us: us.capacity(), lambda sdk: sdk.concurrency.retrieve()),
    "get-api-key-info": (lambda us: us.account(), lambda sdk: sdk.identity.retrieve()),
}


@pytest.mark.parametrize("name", SAME)
def test_our_request_is_the_one_retells_library_makes(name: str) -> None:
    ask_us, ask_them = SAME[name]
    provider, wire = ours(ANSWERS)
    ask_us(provider)
    expected = theirs(ask_them)
    request = next(one for one in wire.seen if shape(one)[:2] == shape(expected)[:2])
    assert shape(request) == shape(expected)
    assert request.headers["authorization"] == expected.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept"] == "application/json"
    if request.content:
        assert request.headers["content-type"] == expected.headers["content-type"]


def test_every_request_names_the_product() -> None:
    provider, wire = ours(ANSWERS)
    provider.capacity()
    assert wire.seen[0].headers["user-agent"].startswith("callcenter/")


def test_the_same_order_gives_the_same_bytes_whatever_the_order_of_its_parts() -> None:
    provider, _wire = ours({})
    forward = order(variables={"a": "1", "b": "2"}, metadata={"x": 1, "y": 2})
    backward = order(variables={"b": "2", "a": "1"}, metadata={"y": 2, "x": 1})
    assert provider.placement(forward) == provider.placement(backward)


def test_nobody_can_pass_off_another_id_as_ours() -> None:
    provider, _wire = ours({})
    body = json.loads(provider.placement(order(metadata={"call_uuid": "theirs", "k": "v"})))
    assert body["metadata"] == {"call_uuid": UUID, "k": "v"}
    assert body["idempotency_key"] == UUID


def test_variables_are_sent_as_strings() -> None:
    provider, _wire = ours({})
    body = json.loads(provider.placement(order(variables={"n": 5, "yes": True})))
    assert body["retell_llm_dynamic_variables"] == {"n": "5", "yes": "True"}


def test_an_agent_that_is_not_pinned_has_no_version_in_the_order() -> None:
    provider, _wire = ours({})
    assert "override_agent_version" not in json.loads(provider.placement(order(agent_version=None)))


def test_half_a_character_in_a_name_can_be_sent() -> None:
    provider, _wire = ours({})
    body = json.loads(provider.placement(order(variables={"name": "\ud83d"})))
    assert body["retell_llm_dynamic_variables"] == {"name": "\ud83d"}


def test_what_cannot_be_changed_for_one_call_is_refused_before_it_is_sent() -> None:
    provider, _wire = ours({})
    with pytest.raises(ValueError, match="prompt"):
        provider.placement(order(overrides={"prompt": "Be rude."}))


@pytest.mark.parametrize(
    ("status", "message", "scope", "code"),
    [
        (400, "to_number is not a valid phone number", RefusalScope.CALL, "invalid_number"),
        (422, "Destination country is not supported", RefusalScope.CALL, "geography"),
        (400, "from_number and to_number must be E.164", RefusalScope.CALL, "refused"),
        (400, "Contact has do_not_call set", RefusalScope.CALL, "not_allowed"),
        (400, "idempotency_key is too long", RefusalScope.CALL, "refused"),
        (422, "Cannot find requested asset under given api key.", RefusalScope.AGENT, "not_allowed"),
        (400, "from_number is not bought from or imported to Retell", RefusalScope.NUMBER, "not_allowed"),
        (400, "No outbound agent id set up for phone number", RefusalScope.AGENT, "not_allowed"),
        (400, "The agent is suspended", RefusalScope.AGENT, "not_allowed"),
        (401, "API key is missing or invalid.", RefusalScope.ACCOUNT, "authentication"),
        (403, "Forbidden", RefusalScope.ACCOUNT, "billing"),
        (402, "Trial has ended, please add payment method.", RefusalScope.ACCOUNT, "billing"),
    ],
)
def test_a_definite_no_says_for_whom(status: int, message: str, scope: RefusalScope, code: str) -> None:
    answer = httpx.Response(status, json={"status": "error", "message": message})
    provider, wire = ours({"POST /v2/create-phone-call": answer})
    with pytest.raises(Refused) as caught:
        place(provider)
    assert (caught.value.scope, caught.value.code) == (scope, code)
    assert caught.value.http_status == status
    assert message in caught.value.message
    assert len(wire.seen) == 1


def test_a_refusal_without_words_is_this_calls() -> None:
    provider, _wire = ours({"POST /v2/create-phone-call": httpx.Response(400, content=b"<html>")})
    with pytest.raises(Refused) as caught:
        place(provider)
    assert (caught.value.scope, caught.value.code) == (RefusalScope.CALL, "refused")


def test_not_now_is_neither_a_no_nor_unclear() -> None:
    provider, _wire = ours({"POST /v2/create-phone-call": httpx.Response(429, headers={"retry-after": "3"})})
    with pytest.raises(Busy) as caught:
        place(provider)
    assert caught.value.retry_after_s == 3.0


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError]
)
def test_a_failure_after_connecting_is_unclear(error: type[httpx.TransportError]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("gone", request=request)

    provider, wire = ours({"POST /v2/create-phone-call": fail})
    with pytest.raises(Unclear):
        place(provider)
    assert len(wire.seen) == 1


@pytest.mark.parametrize("key", ["", "  ", "key with spaces", "key\nX-Evil: 1", "schlüssel"])
def test_without_a_usable_key_nothing_is_asked(key: str) -> None:
    wire = Wire(ANSWERS)
    provider = RetellProvider(base_url=BASE, api_key=key, transport=httpx.MockTransport(wire))
    for ask in (lambda: place(provider, b"{}"), provider.account, provider.list_numbers):
        with pytest.raises(Refused) as caught:
            ask()
        assert (caught.value.scope, caught.value.code) == (RefusalScope.ACCOUNT, "authentication")
    assert wire.seen == []


def test_the_key_is_in_no_message() -> None:
    provider, _wire = ours({})
    for ask in (lambda: place(provider), lambda: provider.fetch_call("call_1")):
        with pytest.raises(ProviderError) as caught:
            ask()
        assert KEY not in f"{caught.value!r}{caught.value.message}"
