"""What goes over the wire under the article's contract, against the sandbox over real HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agents.providers.abilities import Ability
from agents.providers.base import Accepted, Busy, NotOffered, PlaceOrder, RefusalScope, Refused, Unclear
from agents.providers.drafts import AgentDraft
from agents.providers.retell import RetellProvider
from agents.providers.retell_article import ArticleProvider
from agents.sandbox.seeds import NUMBERS
from tests.conftest import API_KEY, WEBHOOK_SECRET
from tests.raw_server import Handler, Server, answering, response

if TYPE_CHECKING:
    from agents.sandbox.server import Sandbox

UUID = "8e3b7f2c-5f0e-4c39-9b1f-3c1d6f0a2b11"
OTHER_UUID = "8e3b7f2c-5f0e-4c39-9b1f-3c1d6f0a2b12"
TO = "+14155550101"
AVA = "agent_sandbox_ava"
DRAFT = AgentDraft(
    name="Outbound Sales Agent", voice_id="21m00Tcm4TlvDq8ikWAM", engine_url="wss://example.com/llm"
)
ORDER = PlaceOrder(
    call_uuid=UUID,
    to_number=TO,
    from_number=NUMBERS[0],
    provider_agent_id=AVA,
    agent_version=None,
    variables={"customer_name": "Zoë 👍"},
    metadata={"campaign": "spring", "call_uuid": "not ours"},
)


def speaking_to(url: str, *, key: str = API_KEY) -> ArticleProvider:
    return ArticleProvider(base_url=url, api_key=key, webhook_secrets=[WEBHOOK_SECRET], timeout_s=5.0)


@pytest.fixture
def provider(sandbox: Sandbox) -> Iterator[ArticleProvider]:
    spoken = speaking_to(sandbox.url)
    yield spoken
    spoken.close()


def place(provider: Any, body: bytes | None = None, order: PlaceOrder = ORDER) -> Accepted:
    body = provider.placement(order) if body is None else body
    accepted: Accepted = provider.place(body, give_up_s=5.0, started=time.monotonic())
    return accepted


def refusal(ask: Callable[[], Any]) -> Refused:
    with pytest.raises(Refused) as caught:
        ask()
    return caught.value


def test_a_call_is_placed_with_the_fields_of_the_contract_and_our_id(
    provider: ArticleProvider, sandbox: Sandbox
) -> None:
    body = json.loads(provider.placement(ORDER))
    assert body == {
        "from_number": NUMBERS[0],
        "to_number": TO,
        "assistant_id": AVA,
        "metadata": {"campaign": "spring", "call_uuid": UUID},
        "retell_llm_dynamic_variables": {"customer_name": "Zoë 👍"},
    }
    accepted = place(provider)
    assert accepted.status == "initiated"
    [call] = sandbox.ledger()["calls"]
    assert (call["call_id"], call["call_uuid"]) == (accepted.provider_call_id, UUID)


@pytest.mark.parametrize("name", ["status", "call_status"])
def test_the_status_is_read_under_either_spelling(serve: Callable[[Handler], Server], name: str) -> None:
    server = serve(answering(response(201, json.dumps({"call_id": "call_9", name: "queued"}).encode())))
    accepted = place(speaking_to(server.url))
    assert (accepted.provider_call_id, accepted.status) == ("call_9", "queued")
    assert server.requests[0].startswith(b"POST /v1/call HTTP/1.1")


def test_an_assistant_is_created_once_and_used_again(provider: ArticleProvider, sandbox: Sandbox) -> None:
    made = provider.create_agent(DRAFT)
    for call_uuid, number in ((UUID, TO), (OTHER_UUID, "+14155550102")):
        place(provider, order=replace(ORDER, provider_agent_id=made, call_uuid=call_uuid, to_number=number))
    assert {call["agent_id"] for call in sandbox.ledger()["calls"]} == {made}


def test_the_assistant_sent_has_every_field_of_the_contract(serve: Callable[[Handler], Server]) -> None:
    server = serve(answering(response(201, b'{"assistant_id":"a1b2"}')))
    assert speaking_to(server.url).create_agent(replace(DRAFT, transcriber_model="nova-2")) == "a1b2"
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/assistant HTTP/1.1")
    assert json.loads(body) == {
        "name": "Outbound Sales Agent",
        "model": {"provider": "openai", "model": "gpt-4-turbo", "temperature": 0.7, "max_tokens": 500},
        "voice": {
            "provider": "elevenlabs",
            "voice_id": "21m00Tcm4TlvDq8ikWAM",
            "speed": 1.0,
            "stability": 0.5,
            "similarity_boost": 0.75,
        },
        "transcriber": {"provider": "deepgram", "model": "nova-2", "language": "en-US"},
        "response_engine": {"type": "retell-llm", "llm_websocket_url": "wss://example.com/llm"},
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 2.1),
        ("temperature", -0.1),
        ("max_tokens", 0),
        ("max_tokens", 5000),
        ("speed", 0.4),
        ("stability", 1.1),
        ("similarity_boost", -0.1),
        ("engine", "another"),
        ("engine_url", "https://example.com"),
        ("engine_url", "ws://example.com"),
        ("engine_url", "wss://"),
        ("name", ""),
        ("voice_id", ""),
        ("language", ""),
    ],
)
def test_an_assistant_out_of_its_ranges_never_reaches_the_wire(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        speaking_to("http://127.0.0.1:9").create_agent(replace(DRAFT, **{name: value}))


def test_an_assistant_whose_answer_was_lost_is_not_created_twice(serve: Callable[[Handler], Server]) -> None:
    server = serve(answering(response(503, b"")))
    with pytest.raises(Unclear):
        speaking_to(server.url).create_agent(DRAFT)
    assert len(server.requests) == 1


def test_an_assistant_may_come_with_the_call(provider: ArticleProvider, sandbox: Sandbox) -> None:
    place(provider, order=replace(ORDER, provider_agent_id="", draft=DRAFT))
    assert len(sandbox.ledger()["calls"]) == 1


def test_both_or_neither_assistant_is_refused_before_the_wire(
    provider: ArticleProvider, sandbox: Sandbox
) -> None:
    for order in (replace(ORDER, draft=DRAFT), replace(ORDER, provider_agent_id="")):
        with pytest.raises(ValueError, match="one AI agent"):
            provider.placement(order)
    both = json.loads(provider.placement(ORDER)) | {"assistant": {"name": "x"}}
    refusal(lambda: place(provider, json.dumps(both).encode()))
    assert sandbox.ledger()["creates"] == []


@pytest.mark.parametrize("number", ["4155550101", "+0155550101", "+1415555010x", ""])
def test_a_number_that_is_none_is_refused_before_the_wire(number: str) -> None:
    with pytest.raises(ValueError, match="country code"):
        speaking_to("http://127.0.0.1:9").placement(replace(ORDER, to_number=number))


def test_a_request_prepared_under_one_contract_never_goes_out_under_the_other(sandbox: Sandbox) -> None:
    today = RetellProvider(base_url=sandbox.url, api_key=API_KEY)
    article = speaking_to(sandbox.url)
    for sent_by, made_by in ((today, article), (article, today)):
        body = made_by.placement(ORDER)
        assert "another way" in refusal(lambda by=sent_by, body=body: place(by, body)).message  # type: ignore[misc]
    assert sandbox.ledger()["creates"] == []


def test_two_calls_within_five_seconds_stay_two_because_each_carries_its_id(
    provider: ArticleProvider, sandbox: Sandbox
) -> None:
    plain = {**json.loads(provider.placement(ORDER)), "metadata": {"campaign": "spring"}}
    merged = {place(provider, json.dumps(plain).encode()).provider_call_id for _ in range(2)}
    assert len(merged) == 1
    ours = {
        place(
            provider, order=replace(ORDER, call_uuid=call_uuid, to_number=f"+1415555011{index}")
        ).provider_call_id
        for index, call_uuid in enumerate((UUID, OTHER_UUID))
    }
    assert len(ours) == 2
    assert sandbox.ledger()["summary"]["calls"] == 3


def test_401_says_which_key_to_put_right(sandbox: Sandbox) -> None:
    error = refusal(lambda: place(speaking_to(sandbox.url, key="key_wrong")))
    assert (error.scope, error.code) == (RefusalScope.ACCOUNT, "authentication")
    assert "RETELL_API_KEY" in error.message
    assert "Invalid API key (unauthorized)" in error.message
    assert refusal(lambda: speaking_to(sandbox.url, key="key_wrong").create_agent(DRAFT)).code == error.code


def test_403_says_to_add_credit(provider: ArticleProvider, sandbox: Sandbox) -> None:
    sandbox.control("faults", create_402={"next": 1})
    error = refusal(lambda: place(provider))
    assert (error.scope, error.code) == (RefusalScope.ACCOUNT, "billing")
    assert "add some" in error.message
    assert "insufficient_credits" in error.message


def test_429_is_a_definite_not_now(provider: ArticleProvider, sandbox: Sandbox) -> None:
    sandbox.control("faults", create_429={"next": 1})
    with pytest.raises(Busy, match="CALLS_PER_SECOND"):
        place(provider)


def test_400_says_what_to_correct(provider: ArticleProvider) -> None:
    unknown = json.loads(provider.placement(ORDER)) | {"assistant_id": "gone"}
    error = refusal(lambda: place(provider, json.dumps(unknown).encode()))
    assert (error.scope, error.code) == (RefusalScope.AGENT, "not_allowed")
    assert "Create the AI agent again" in error.message
    foreign = json.loads(provider.placement(ORDER)) | {"from_number": "+12125550111"}
    error = refusal(lambda: place(provider, json.dumps(foreign).encode()))
    assert error.scope == RefusalScope.NUMBER
    bad = json.loads(provider.placement(ORDER)) | {"to_number": "4155550101"}
    error = refusal(lambda: place(provider, json.dumps(bad).encode()))
    assert (error.scope, error.code) == (RefusalScope.CALL, "invalid_number")
    assert "Correct the person's number" in error.message


@pytest.mark.parametrize(
    "body",
    [
        {"message": "No.", "codes": ["a", "b"]},
        {"error": {"message": "No.", "codes": ["a", "b"]}},
        {"error": "No. (a, b)"},
    ],
)
def test_message_and_codes_are_read_from_either_place(
    serve: Callable[[Handler], Server], body: dict[str, Any]
) -> None:
    server = serve(answering(response(400, json.dumps(body).encode())))
    assert refusal(lambda: place(speaking_to(server.url))).message.endswith("Retell says: No. (a, b)")


def test_where_nobody_speaks_this_contract_the_refusal_says_so(serve: Callable[[Handler], Server]) -> None:
    server = serve(answering(response(404, b"Cannot POST /v1/call")))
    error = refusal(lambda: place(speaking_to(server.url)))
    assert "check RETELL_BASE_URL" in error.message


@pytest.mark.parametrize("fault", ["create_500_after", "create_disconnect_after", "create_500_before"])
def test_an_answer_that_says_nothing_leaves_open_whether_it_rang(
    provider: ArticleProvider, sandbox: Sandbox, fault: str
) -> None:
    sandbox.control("faults", **{fault: {"next": 1}})
    with pytest.raises(Unclear):
        place(provider)


def test_an_answer_without_a_readable_id_is_accepted_all_the_same(
    provider: ArticleProvider, sandbox: Sandbox
) -> None:
    sandbox.control("faults", create_unreadable={"next": 1})
    assert place(provider).provider_call_id == ""


def test_what_the_contract_has_not_is_never_asked_and_says_why(serve: Callable[[Handler], Server]) -> None:
    server = serve(answering(response(200, b"{}")))
    provider = speaking_to(server.url)
    assert not provider.idempotent
    assert provider.abilities == {Ability.CREATE_AGENT, Ability.BARGE_IN, Ability.OVERRIDE}
    for ask in (
        lambda: provider.fetch_call("c"),
        lambda: provider.fetch_calls(["c"]),
        lambda: provider.hang_up("c"),
        lambda: provider.steer("c", context="x"),
        provider.list_agents,
        provider.list_numbers,
        provider.capacity,
        provider.account,
    ):
        with pytest.raises(NotOffered, match="as this site is set up"):
            ask()
    assert server.connections == 0


def test_without_a_key_nothing_is_sent(serve: Callable[[Handler], Server]) -> None:
    server = serve(answering(response(200, b"{}")))
    assert refusal(lambda: place(speaking_to(server.url, key=""))).code == "authentication"
    assert server.connections == 0
