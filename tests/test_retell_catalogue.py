"""Retell's agents, numbers and account, as the readiness card needs them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from django.conf import LazySettings
from retell_wire import AGENT, ANSWERS, FROM, KEY, LLM, NUMBER, TO, UUID, ours

from agents.providers.base import (
    Account,
    AnalysisField,
    Capacity,
    InboundReply,
    RefusalScope,
    Refused,
)
from agents.providers.registry import get_provider
from agents.providers.retell import RetellProvider


def test_an_agent_is_read_with_its_words_and_versions() -> None:
    provider, wire = ours(ANSWERS)
    profile = provider.fetch_agent("agent_1")
    assert (profile.name, profile.version, profile.published, profile.newest_version) == ("Nora", 4, False, 3)
    assert profile.opening_line == LLM["begin_message"]
    assert "Offer {{product}}" in profile.prompt
    assert profile.variables_used == {"first_name", "company", "zone", "product"}
    assert profile.default_variables == {"company": "Acme"}
    assert profile.missing_events == {"transcript_updated"}
    assert (profile.webhook_url, profile.voicemail_action, profile.screening_answer) == (None, "", False)
    assert (profile.ring_time_ms, profile.max_call_ms) == (30_000, 3_600_000)
    assert profile.engine_id == "llm_1"
    assert {"opening_line", "events", "webhook_url"} <= profile.editable
    assert ("GET", "/get-retell-llm/llm_1?version=4", None) in wire.asked()


def test_an_agents_settings_are_read() -> None:
    agent = {
        **AGENT,
        "language": ["en-US", "es-ES"],
        "webhook_url": "https://elsewhere.test/",
        "webhook_events": ["call_ended", "transcript_updated", "transfer_started"],
        "enable_dnc_detection": True,
        "opt_in_signed_url": True,
        "ring_duration_ms": 45_000,
        "max_call_duration_ms": 600_000,
        "voicemail_option": {"action": {"type": "static_text", "text": "Hi {{nickname}}"}},
        "call_screening_option": {"agent_identity": "Nora of {{office}}", "call_purpose": "an offer"},
        "post_call_analysis_data": [
            {"type": "system-presets", "name": "call_summary"},
            {"type": "string", "name": "callback_time", "description": "When"},
            {"type": "enum", "name": "interest", "description": "How much", "choices": ["none", "some"]},
            {"type": "boolean", "name": "right_person", "description": "?"},
            {"type": "number", "name": "budget", "description": "USD"},
        ],
    }
    provider, _wire = ours({**ANSWERS, "GET /get-agent/agent_1": agent})
    profile = provider.fetch_agent("agent_1")
    assert profile.language == "en-US, es-ES"
    assert profile.webhook_url == "https://elsewhere.test/"
    assert profile.missing_events == {"call_started", "call_analyzed"}
    assert profile.detects_do_not_call
    assert profile.signed_recordings
    assert (profile.voicemail_action, profile.screening_answer) == ("static_text", True)
    assert (profile.ring_time_ms, profile.max_call_ms) == (45_000, 600_000)
    assert {"nickname", "office"} <= profile.variables_used
    assert profile.analysis_fields == (
        AnalysisField(name="callback_time", kind="text", description="When"),
        AnalysisField(name="interest", kind="selector", description="How much", choices=("none", "some")),
        AnalysisField(name="right_person", kind="boolean", description="?"),
        AnalysisField(name="budget", kind="number", description="USD"),
    )


def test_an_agent_whose_words_are_elsewhere_is_read_without_them() -> None:
    engine = {"type": "custom-llm", "llm_websocket_url": "wss://llm.test"}
    provider, _wire = ours({**ANSWERS, "GET /get-agent/agent_1": {**AGENT, "response_engine": engine}})
    profile = provider.fetch_agent("agent_1")
    assert (profile.engine_id, profile.prompt, profile.opening_line) == ("", "", None)
    assert "opening_line" not in profile.editable
    with pytest.raises(Refused):
        provider.fix_agent("agent_1", {"opening_line": "Hello"})


def test_a_flow_is_read_for_what_its_nodes_say() -> None:
    flow = {
        "conversation_flow_id": "flow_1",
        "version": 0,
        "global_prompt": "For {{company}}",
        "start_speaker": "user",
        "default_dynamic_variables": {"company": "Acme"},
        "nodes": [
            {
                "type": "conversation",
                "instruction": {"type": "prompt", "text": "Ask {{first_name}} {{when}}"},
            },
            {"type": "extract_dynamic_variables", "variables": [{"name": "when", "type": "string"}]},
        ],
    }
    engine = {"type": "conversation-flow", "conversation_flow_id": "flow_1", "version": 0}
    provider, _wire = ours({
        **ANSWERS,
        "GET /get-agent/agent_1": {**AGENT, "response_engine": engine},
        "GET /get-conversation-flow/flow_1": flow,
    })  # fmt: skip
    profile = provider.fetch_agent("agent_1")
    assert profile.variables_used == {"company", "first_name"}
    assert (profile.opening_line, profile.engine_id) == ("", "flow_1")


def test_an_agent_that_waits_says_so_and_one_that_improvises_too() -> None:
    for change, expected in (
        ({"start_speaker": "user"}, ""),
        ({"begin_message": ""}, ""),
        ({"begin_message": None}, None),
    ):
        provider, _wire = ours({**ANSWERS, "GET /get-retell-llm/llm_1": {**LLM, **change}})
        assert provider.fetch_agent("agent_1").opening_line == expected


def test_all_agents_are_read_page_by_page_and_the_deleted_left_out() -> None:
    def pages(request: httpx.Request) -> Any:
        if "pagination_key" not in json.loads(request.content):
            one = {"agent_id": "agent_1", "is_suspended": True}
            return {"items": [one], "has_more": True, "pagination_key": "k2"}
        return {"items": [{"agent_id": "agent_gone", "is_suspended": False}], "has_more": False}

    provider, _wire = ours({**ANSWERS, "POST /v2/list-agents": pages})
    assert [(one.provider_agent_id, one.suspended) for one in provider.list_agents()] == [("agent_1", True)]


def test_a_server_that_repeats_its_page_does_not_hold_us() -> None:
    provider, wire = ours({
        "GET /v2/list-phone-numbers": {"items": [NUMBER], "has_more": True, "pagination_key": "same"},
    })  # fmt: skip
    assert len(provider.list_numbers()) == 2
    assert len(wire.seen) == 2


def test_without_a_list_of_versions_the_agents_own_word_is_taken() -> None:
    for published, expected in ((True, 4), (False, None)):
        answers = {**ANSWERS, "GET /get-agent/agent_1": {**AGENT, "is_published": published}}
        del answers["GET /list-agent-versions/agent_1"]
        assert ours(answers)[0].fetch_agent("agent_1").newest_version == expected


def test_mending_an_agent_changes_only_what_was_found() -> None:
    agent = {
        **AGENT,
        "post_call_analysis_data": [
            {"type": "system-presets", "name": "call_summary"},
            {"type": "string", "name": "old", "description": "x", "examples": ["y"]},
        ],
    }
    provider, wire = ours({
        **ANSWERS,
        "GET /get-agent/agent_1": agent,
        "PATCH /update-agent/agent_1": agent,
        "PATCH /update-retell-llm/llm_1": LLM,
    })  # fmt: skip
    provider.fix_agent(
        "agent_1",
        {
            "events": frozenset({"call_started", "call_ended", "call_analyzed", "transcript_updated"}),
            "webhook_url": None,
            "voicemail_action": "hangup",
            "detects_do_not_call": True,
            "analysis_fields": (
                AnalysisField(name="old", kind="text", description="x"),
                AnalysisField(name="callback_time", kind="text", description="When to call back"),
            ),
            "opening_line": "Hello, this is Nora, an AI assistant of Acme.",
        },
    )
    changes = {path: body for method, path, body in wire.asked() if method == "PATCH"}
    assert changes == {
        "/update-retell-llm/llm_1": {"begin_message": "Hello, this is Nora, an AI assistant of Acme."},
        "/update-agent/agent_1": {
            "webhook_events": ["call_analyzed", "call_ended", "call_started", "transcript_updated"],
            "webhook_url": None,
            "voicemail_option": {"action": {"type": "hangup"}},
            "enable_dnc_detection": True,
            "post_call_analysis_data": [
                {"type": "system-presets", "name": "call_summary"},
                {"type": "string", "name": "old", "description": "x", "examples": ["y"]},
                {"type": "string", "name": "callback_time", "description": "When to call back"},
            ],
        },
    }


@pytest.mark.parametrize(
    "changes", [{"suspended": False}, {"opening_line": "Hi", "voicemail_action": "static_text"}]
)
def test_what_cannot_be_mended_here_is_not_half_mended(changes: dict[str, Any]) -> None:
    provider, wire = ours({**ANSWERS, "PATCH /update-agent/agent_1": AGENT})
    with pytest.raises(ValueError, match=r"[Cc]an"):
        provider.fix_agent("agent_1", changes)
    assert not [request for request in wire.seen if request.method == "PATCH"]


def test_a_number_is_read_with_its_line() -> None:
    provider, _wire = ours(ANSWERS)
    (number,) = provider.list_numbers()
    assert (number.number, number.label, number.line) == (FROM, "Main line", "custom:acme.pstn.twilio.com")
    assert number.inbound_agent_ids == ("agent_1",)
    assert number.outbound_agent_ids == ("agent_1", "agent_2")
    assert number.inbound_webhook_url is None
    assert number.country == "US"


def test_numbers_of_one_telephony_account_share_a_line() -> None:
    one, two = (
        {**NUMBER, "phone_number": number, "phone_number_type": "retell-twilio"} for number in (TO, FROM)
    )
    provider, _wire = ours({"GET /v2/list-phone-numbers": {"items": [one, two], "has_more": False}})
    assert {number.line for number in provider.list_numbers()} == {"retell-twilio"}


def test_capacity_and_account() -> None:
    provider, _wire = ours(ANSWERS)
    assert provider.capacity() == Capacity(in_use=3, limit=20, reserved_inbound=0)
    assert provider.account() == Account(account_id="org_1", name="Acme", key_name="desk")


def test_a_server_that_cannot_name_the_account_still_tells_whether_the_key_is_good() -> None:
    answers = {key: value for key, value in ANSWERS.items() if key != "GET /get-api-key-info"}
    assert ours(answers)[0].account() == Account(account_id="", name="")
    answers["GET /get-concurrency"] = httpx.Response(401, json={"message": "API key is missing or invalid."})
    with pytest.raises(Refused) as caught:
        ours(answers)[0].account()
    assert caught.value.scope is RefusalScope.ACCOUNT


def test_the_answer_to_who_is_calling() -> None:
    provider, _wire = ours({})
    reply = InboundReply(
        provider_agent_id="agent_1",
        agent_version="4",
        variables={"first_name": "Zoë"},
        metadata={"call_uuid": UUID},
    )
    assert provider.inbound_answer(reply) == {
        "call_inbound": {
            "override_agent_id": "agent_1",
            "override_agent_version": 4,
            "dynamic_variables": {"first_name": "Zoë"},
            "metadata": {"call_uuid": UUID},
        }
    }
    assert provider.inbound_answer(InboundReply()) == {"call_inbound": {}}


def test_settings_make_the_provider(settings: LazySettings) -> None:
    settings.RETELL_BASE_URL = "http://127.0.0.1:1"
    settings.RETELL_API_KEY = KEY
    settings.RETELL_WEBHOOK_KEYS = ["old", KEY]
    settings.RETELL_CONTRACT = "current"
    provider = get_provider()
    assert isinstance(provider, RetellProvider)
    assert get_provider() is provider
    settings.RETELL_API_KEY = "another"
    assert get_provider() is not provider
