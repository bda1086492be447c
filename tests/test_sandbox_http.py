"""The official client and its types judge what the sandbox speaks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from retell import APIStatusError, AuthenticationError, BadRequestError, Retell, UnprocessableEntityError
from retell.types import (
    AgentListResponse,
    AgentListVersionsResponse,
    AgentResponse,
    CallListResponse,
    ConcurrencyRetrieveResponse,
    LlmListResponse,
    LlmResponse,
    PhoneCallResponse,
    PhoneNumberListResponse,
    PhoneNumberResponse,
)
from retell.types.identity_retrieve_response import IdentityRetrieveResponse
from webhook_receiver import Receiver, eventually

from agents.sandbox.seeds import NUMBERS
from agents.sandbox.server import Sandbox

KEY = "key_test_0123456789abcdef"
OURS = NUMBERS[0]
INTERESTED = "+14155550101"
EVENTS = {
    "call_started", "call_ended", "call_analyzed", "transcript_updated", "transfer_started",
    "transfer_bridged", "transfer_cancelled", "transfer_ended",
}  # fmt: skip


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def sandbox(receiver: Receiver) -> Iterator[Sandbox]:
    with Sandbox(speed=400, seed=7, api_key=KEY, webhook_url=receiver.url) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def client(sandbox: Sandbox) -> Iterator[Retell]:
    with Retell(api_key=KEY, base_url=sandbox.url, max_retries=0) as client:
        yield client


def place(client: Retell, to_number: str = INTERESTED, **more: object) -> PhoneCallResponse:
    return client.call.create_phone_call(from_number=OURS, to_number=to_number, **more)


def analysed(sandbox: Sandbox, call_id: str) -> dict:
    return eventually(lambda: (found := sandbox.ledger(call_id)) and found["analysed"] and found)


@pytest.fixture(scope="module")
def finished(sandbox: Sandbox, client: Retell) -> PhoneCallResponse:
    """One call from beginning to analysis."""
    call = place(
        client,
        metadata={"call_uuid": "7c1f", "note": "naïve ☎"},
        retell_llm_dynamic_variables={"first_name": "Zoë", "company": "Müller & Söhne"},
    )
    assert call.call_status == "registered"
    analysed(sandbox, call.call_id)
    return client.call.retrieve(call.call_id)


def raw(sandbox: Sandbox, method: str, path: str, body: object = None) -> dict:
    response = httpx.request(
        method, sandbox.url + path, json=body, headers={"Authorization": f"Bearer {KEY}"}, timeout=10
    )
    assert response.is_success, response.text
    return response.json()


def test_a_call_lives_from_registered_to_analysed(finished: PhoneCallResponse) -> None:
    assert finished.call_status == "ended"
    assert finished.disconnection_reason == "agent_hangup"
    assert finished.direction == "outbound"
    assert finished.metadata == {"call_uuid": "7c1f", "note": "naïve ☎"}
    assert "Zoë" in finished.transcript
    assert finished.duration_ms > 20_000
    assert finished.call_analysis.call_successful is True
    assert finished.call_analysis.custom_analysis_data["interested"] is True
    assert finished.call_cost.combined_cost == pytest.approx(
        sum(item.cost for item in finished.call_cost.product_costs)
    )
    assert finished.latency.e2e.p50 > 0
    assert finished.telephony_identifier.twilio_call_sid.startswith("CA")


def test_words_stand_in_order_and_inside_the_call(finished: PhoneCallResponse) -> None:
    starts = [word.start for turn in finished.transcript_object for word in turn.words]
    assert starts == sorted(starts)
    assert finished.transcript_object[-1].words[-1].end * 1000 <= finished.duration_ms
    for turn in finished.transcript_object:
        assert " ".join(word.word for word in turn.words) == turn.content


def test_the_recording_plays_whole_and_in_parts(finished: PhoneCallResponse) -> None:
    whole = httpx.get(finished.recording_url)
    assert whole.status_code == 200
    assert whole.headers["Content-Type"] == "audio/mpeg"
    part = httpx.get(finished.recording_url, headers={"Range": "bytes=1000-1999"})
    assert part.status_code == 206
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(whole.content)}"
    assert part.content == whole.content[1000:2000]
    beyond = httpx.get(finished.recording_url, headers={"Range": "bytes=999999999-"})
    assert beyond.status_code == 416


def test_a_recording_link_outlives_the_sandbox(finished: PhoneCallResponse) -> None:
    path = httpx.URL(finished.recording_url).path
    with Sandbox(api_key=KEY) as another:
        assert httpx.get(another.url + path).content == httpx.get(finished.recording_url).content
        assert httpx.get(another.url + "/recordings/nonsense.mp3").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "type_"),
    [
        ("POST", "/v3/list-calls", {"limit": 5}, CallListResponse),
        ("POST", "/v2/list-agents", {}, AgentListResponse),
        ("GET", "/get-agent/agent_sandbox_ava", None, AgentResponse),
        ("GET", "/get-agent/agent_sandbox_clara", None, AgentResponse),
        ("GET", "/list-agent-versions/agent_sandbox_maya", None, AgentListVersionsResponse),
        ("GET", "/get-retell-llm/llm_sandbox_ava", None, LlmResponse),
        ("GET", "/v2/list-retell-llms", None, LlmListResponse),
        ("GET", "/v2/list-phone-numbers", None, PhoneNumberListResponse),
        ("GET", f"/get-phone-number/{OURS}", None, PhoneNumberResponse),
        ("GET", "/get-concurrency", None, ConcurrencyRetrieveResponse),
        ("GET", "/get-api-key-info", None, IdentityRetrieveResponse),
    ],
)
def test_every_answer_validates_against_the_official_type(
    sandbox: Sandbox, finished: PhoneCallResponse, method: str, path: str, body: object, type_: type
) -> None:
    type_.model_validate(raw(sandbox, method, path, body))


def test_every_webhook_verifies_and_validates(sandbox: Sandbox, client: Retell, receiver: Receiver) -> None:
    numbers = [INTERESTED, "+14155550106", "+14155550109", "+14155550111", "+14155550113", "+14155550114"]
    calls = [place(client, number, metadata={"call_uuid": number}) for number in numbers]
    for call in calls:
        analysed(sandbox, call.call_id)
    eventually(lambda: all("call_analyzed" in receiver.events(call.call_id) for call in calls))
    got = [received for call in calls for received in receiver.of(call.call_id)]
    assert {received.event for received in got} >= {"call_started", "call_ended", "transcript_updated"}
    for received in got:
        assert received.event in EVENTS
        assert client.verify(received.body.decode(), KEY, received.signature)
        assert not client.verify(received.body.decode() + " ", KEY, received.signature)
        PhoneCallResponse.model_validate(received.json["call"])


def test_webhooks_say_no_more_than_their_event_knows(
    sandbox: Sandbox, receiver: Receiver, finished: PhoneCallResponse
) -> None:
    eventually(lambda: "call_analyzed" in receiver.events(finished.call_id))
    by_event = {received.event: received.json for received in receiver.of(finished.call_id)}
    assert "transcript" not in by_event["call_started"]["call"]
    assert "end_timestamp" not in by_event["call_started"]["call"]
    assert "call_analysis" not in by_event["call_ended"]["call"]
    assert by_event["call_ended"]["call"]["transcript"] == finished.transcript
    assert by_event["call_analyzed"]["call"] == json.loads(finished.to_json(exclude_unset=True))
    first = next(got for got in receiver.of(finished.call_id) if got.event == "transcript_updated")
    assert len(first.json["transcript_with_tool_calls"]) == 1


def test_unset_metadata_and_variables_are_absent(sandbox: Sandbox, client: Retell) -> None:
    call = place(client, "+14155550108")
    found = raw(sandbox, "GET", f"/v2/get-call/{call.call_id}")
    assert "metadata" not in found
    assert "retell_llm_dynamic_variables" not in found


@pytest.mark.parametrize(
    "criteria",
    [
        {"call_id": {"type": "string", "op": "eq", "value": "ID"}},
        {"call_id": {"type": "enum", "op": "in", "value": ["ID", "call_nobody"]}},
        {"metadata": [{"type": "string", "op": "eq", "key": "call_uuid", "value": "7c1f"}]},
        {
            "call_id": {"type": "string", "op": "eq", "value": "ID"},
            "to_number": {"type": "string", "op": "eq", "value": INTERESTED},
            "from_number": {"type": "string", "op": "eq", "value": OURS},
            "start_timestamp": {"type": "range", "op": "bt", "value": [0, 9_999_999_999_999]},
            "call_status": {"type": "enum", "op": "in", "value": ["ended", "error"]},
            "direction": {"type": "enum", "op": "in", "value": ["outbound"]},
            "call_type": {"type": "enum", "op": "in", "value": ["phone_call"]},
            "agent": [{"agent_id": "agent_sandbox_ava", "version": [0]}],
            "call_successful": {"type": "boolean", "op": "eq", "value": True},
            "combined_cost": {"type": "number", "op": "gt", "value": 0},
            "duration_ms": {"type": "number", "op": "ge", "value": 1000},
            "dynamic_variables": [{"type": "string", "op": "sw", "key": "company", "value": "Müller"}],
            "custom_analysis_data": [{"type": "boolean", "op": "eq", "key": "interested", "value": True}],
            "disconnection_reason": {"type": "enum", "op": "in", "value": ["agent_hangup"]},
            "user_sentiment": {"type": "enum", "op": "in", "value": ["Positive"]},
            "in_voicemail": {"type": "boolean", "op": "eq", "value": False},
        },
    ],
)
def test_list_calls_finds_one_call_by_its_filters(
    client: Retell, finished: PhoneCallResponse, criteria: dict
) -> None:
    criteria = json.loads(json.dumps(criteria).replace("ID", finished.call_id))
    page = client.call.list(filter_criteria=criteria, include_total=True)
    assert [item.call_id for item in page.items] == [finished.call_id]
    assert page.total == 1
    assert page.items[0].recording_url == finished.recording_url
    raw_item = json.loads(page.items[0].to_json(exclude_unset=True))
    assert not {name for name in raw_item if "transcript" in name}


@pytest.mark.parametrize(
    "criteria",
    [
        {"call_status": {"type": "enum", "op": "in", "value": ["registered"]}},
        {"to_number": {"type": "string", "op": "gt", "value": "1"}},
        {"to_number": "+14155550101"},
        {"metadata": [{"type": "string", "op": "eq", "value": "no key"}]},
        {"colour": {"type": "string", "op": "eq", "value": "blue"}},
        {"start_timestamp": {"type": "range", "op": "bt", "value": ["a", "b"]}},
    ],
)
def test_a_filter_retell_does_not_have_is_refused(client: Retell, criteria: dict) -> None:
    with pytest.raises(BadRequestError):
        client.call.list(filter_criteria=criteria)


def test_pages_of_calls_meet_without_gap_or_overlap(sandbox: Sandbox, client: Retell) -> None:
    for _ in range(3):
        place(client, "+14155550108")
    seen: list[str] = []
    page = client.call.list(limit=2)
    while True:
        seen += [item.call_id for item in page.items]
        if not page.has_more:
            break
        page = client.call.list(limit=2, pagination_key=page.pagination_key)
    assert len(seen) == len(set(seen)) == len(sandbox.ledger()["calls"])
    assert [item.call_id for item in client.call.list(skip=1, limit=2).items] == seen[1:3]
    with pytest.raises(BadRequestError):
        client.call.list(skip=1, pagination_key=seen[0])


def test_stop_hangs_up_a_live_call_once(sandbox: Sandbox, client: Retell, receiver: Receiver) -> None:
    sandbox.control("settings", speed=40)
    try:
        call = place(client, "+14155550118")
        eventually(lambda: "transcript_updated" in receiver.events(call.call_id))
        assert client.call.update_live(
            call.call_id,
            fields_to_override={
                "metadata": {"call_uuid": "steered"},
                "override_dynamic_variables": {"x": "1"},
            },
            call_control={"additional_context": "They have just paid.", "trigger_response": True},
        ).success
        client.call.stop(call.call_id)
        ended = client.call.retrieve(call.call_id)
        assert (ended.call_status, ended.disconnection_reason) == ("ended", "manual_stopped")
        assert ended.metadata == {"call_uuid": "steered"}
        assert {"role": "injected", "content": "They have just paid."}.items() <= next(
            item.model_dump() for item in ended.transcript_with_tool_calls if item.role == "injected"
        ).items()
        with pytest.raises(BadRequestError):
            client.call.stop(call.call_id)
        with pytest.raises(BadRequestError):
            client.call.update_live(call.call_id, call_control={"trigger_response": True})
        assert client.call.update(call.call_id, metadata={"call_uuid": "after"}).metadata == {
            "call_uuid": "after"
        }
    finally:
        sandbox.control("settings", speed=400)


def test_agents_prompts_and_numbers_are_read_and_changed(client: Retell) -> None:
    agents = client.agent.list()
    assert len(agents.items) == 6
    versions = client.agent.list_versions("agent_sandbox_maya")
    pinned = client.phone_number.retrieve(NUMBERS[2]).outbound_agents[0]
    assert pinned.agent_version < max(item.version for item in versions.items)
    assert client.agent.retrieve("agent_sandbox_maya", version=pinned.agent_version).version == 3

    clara = client.agent.retrieve("agent_sandbox_clara")
    assert clara.webhook_url
    assert "policy_number" in client.llm.retrieve(clara.response_engine.llm_id).general_prompt
    mended = client.agent.update(
        "agent_sandbox_clara", webhook_url=None, webhook_events=["call_ended"], enable_dnc_detection=True
    )
    assert mended.webhook_url is None
    assert mended.enable_dnc_detection is True
    assert mended.last_modification_timestamp >= clara.last_modification_timestamp
    with pytest.raises(BadRequestError):
        client.agent.update("agent_sandbox_clara", webhook_events=["speech_started"])

    llm = client.llm.update("llm_sandbox_clara", default_dynamic_variables={"policy_number": "4711"})
    assert llm.default_dynamic_variables == {"policy_number": "4711"}
    assert len(client.llm.list().items) == 6

    numbers = client.phone_number.list().items
    assert [number.phone_number for number in numbers] == list(NUMBERS)
    changed = client.phone_number.update(OURS, nickname="Front desk", inbound_webhook_url=None)
    assert (changed.nickname, changed.inbound_webhook_url) == ("Front desk", None)
    assert client.concurrency.retrieve().concurrency_limit == 20
    assert client.identity.retrieve().org_id


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.call.retrieve("call_nobody"),
        lambda client: client.call.stop("call_nobody"),
        lambda client: client.call.update_live("call_nobody", call_control={"trigger_response": True}),
        lambda client: client.agent.retrieve("agent_nobody"),
        lambda client: client.agent.retrieve("agent_sandbox_ava", version=99),
        lambda client: client.llm.retrieve("llm_nobody"),
        lambda client: client.phone_number.retrieve("+12125550155"),
        lambda client: client.call.create_phone_call(from_number="+12125550155", to_number=INTERESTED),
        lambda client: place(client, override_agent_id="agent_nobody"),
    ],
)
def test_an_unknown_asset_is_422(client: Retell, ask) -> None:
    with pytest.raises(UnprocessableEntityError) as refusal:
        ask(client)
    assert refusal.value.body["status"] == "error"
    assert "Cannot find" in refusal.value.body["message"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"to_number": INTERESTED}, "from_number"),
        ({"from_number": OURS}, "to_number"),
        ({"from_number": OURS, "to_number": "4155550101"}, "E.164"),
        ({"from_number": OURS, "to_number": INTERESTED, "metadata": "text"}, "metadata"),
        ({"from_number": OURS, "to_number": INTERESTED, "metadata": {"x": "y" * 50_001}}, "50kB"),
        (
            {"from_number": OURS, "to_number": INTERESTED, "retell_llm_dynamic_variables": {"age": 7}},
            "strings",
        ),
        ({"from_number": OURS, "to_number": INTERESTED, "override_agent_id": 7}, "override_agent_id"),
        ({"from_number": OURS, "to_number": INTERESTED, "agent_override": {"voice": {}}}, "agent_override"),
        ([], "object"),
        ("{", "JSON"),
    ],
)
def test_a_wrong_request_is_400_and_says_why(sandbox: Sandbox, body: object, said: str) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    response = httpx.post(
        sandbox.url + "/v2/create-phone-call", content=content, headers={"Authorization": f"Bearer {KEY}"}
    )
    assert response.status_code == 400
    assert response.json()["status"] == "error"
    assert said in response.json()["message"]


def test_another_key_is_401(sandbox: Sandbox) -> None:
    with pytest.raises(AuthenticationError):
        Retell(api_key="key_of_somebody_else", base_url=sandbox.url, max_retries=0).identity.retrieve()
    assert httpx.get(sandbox.url + "/get-concurrency").status_code == 401


def test_one_connection_carries_many_requests(sandbox: Sandbox, client: Retell) -> None:
    with httpx.Client(base_url=sandbox.url, headers={"Authorization": f"Bearer {KEY}"}) as http:
        streams = set()
        for _ in range(5):
            with http.stream("GET", "/get-concurrency") as response:
                streams.add(response.extensions["network_stream"].get_extra_info("client_addr"))
                response.read()
            assert http.post("/v2/stop-call/call_nobody", json={}).status_code == 422
        assert len(streams) == 1


def test_another_sites_page_may_not_speak_to_the_sandbox(sandbox: Sandbox) -> None:
    refused = httpx.post(sandbox.url + "/control/reset", headers={"Origin": "https://example.com"})
    assert refused.status_code == 403
    with pytest.raises(APIStatusError):
        Retell(
            api_key=KEY,
            base_url=sandbox.url,
            max_retries=0,
            default_headers={"Origin": "https://example.com"},
        ).identity.retrieve()
