"""Retell's bodies are what its own types say they are, and each is read to the same facts of ours."""

from __future__ import annotations

import json
import typing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from retell.types import AgentResponse, CallListResponse, PhoneCallResponse

from agents.providers.base import (
    AnsweredBy,
    CallFacts,
    EventKind,
    InboundAsk,
    Outcome,
    Stage,
    Unreadable,
)
from agents.providers.retell import RetellProvider
from agents.providers.retell_agents import DEFAULT_EVENTS, NEEDED_EVENTS, variables_in
from agents.providers.retell_reading import ENDINGS, EVENTS, STATUSES

PAYLOADS = Path(__file__).parent / "payloads" / "retell"
RETELL = RetellProvider(base_url="http://127.0.0.1:1", api_key="key_test")
UUID = "8e3b7f2c-5f0e-4c39-9b1f-3c1d6f0a2b11"
STARTED = datetime(2026, 11, 22, 10, 0, 5, tzinfo=UTC)
ENDED = datetime(2026, 11, 22, 10, 1, 16, 890000, tzinfo=UTC)


def payload(name: str) -> bytes:
    return (PAYLOADS / f"{name}.json").read_bytes()


def event(name: str) -> CallFacts:
    facts = RETELL.read_event(payload(name)).facts
    assert facts is not None
    return facts


def reading(**call: Any) -> CallFacts:
    return RETELL.read_call(json.dumps({"call_id": "call_1", **call}).encode())


def literals(annotation: Any) -> set[str]:
    """All values of the Literals inside an annotation."""
    if typing.get_origin(annotation) is typing.Literal:
        return set(typing.get_args(annotation))
    return set().union(*(literals(part) for part in typing.get_args(annotation)), set())


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.json")), ids=lambda path: path.stem)
def test_every_recorded_body_is_one_that_retells_types_accept(path: Path) -> None:
    body = json.loads(path.read_bytes())
    if "items" in body:
        CallListResponse.model_validate(body)
    elif body.get("event") == "call_inbound":
        assert RETELL.read_inbound(path.read_bytes()).provider_call_id == "call_inbound"
    else:
        PhoneCallResponse.model_validate(body.get("call", body))


def test_every_reason_of_retells_library_has_its_row_and_no_other() -> None:
    reasons = literals(PhoneCallResponse.model_fields["disconnection_reason"].annotation)
    assert len(reasons) == 39
    assert set(ENDINGS) == reasons


def test_every_event_of_retells_library_is_known_and_no_other() -> None:
    events = literals(AgentResponse.model_fields["webhook_events"].annotation)
    assert set(EVENTS) == events
    assert events >= NEEDED_EVENTS > DEFAULT_EVENTS


def test_every_status_of_retells_library_is_known_and_no_other() -> None:
    assert set(STATUSES) == literals(PhoneCallResponse.model_fields["call_status"].annotation)


BASIC: dict[str, Any] = {
    "provider_call_id": "call_5f0e4c399b1f",
    "call_uuid": UUID,
    "direction": "outbound",
    "to_number": "+442079460123",
    "from_number": "+14155550101",
    "provider_agent_id": "agent_7c1d",
    "agent_version": "3",
}


def test_a_call_that_was_picked_up() -> None:
    assert event("call_started") == CallFacts(
        **BASIC, stage=Stage.CONNECTED, started_at=STARTED, live_status="ongoing"
    )


def test_a_call_that_has_ended_although_its_status_is_behind() -> None:
    facts = event("call_ended")
    assert facts.stage is Stage.ENDED
    assert facts.live_status == "registered"
    assert (facts.started_at, facts.ended_at, facts.duration_ms) == (STARTED, ENDED, 71_890)
    assert facts.disconnection_reason == "agent_hangup"
    assert facts.ending == ENDINGS["agent_hangup"]
    assert (facts.cost_micros, facts.currency) == (173_450, "USD")
    assert facts.recording_url == "https://recordings.example.com/call_5f0e4c399b1f/recording.wav"
    assert facts.transcript is not None
    assert facts.transcript.startswith("Agent: Hello Zoë")
    assert (facts.summary, facts.sentiment, facts.successful, facts.analysis) == (None, None, None, None)


def test_what_was_said_and_done_becomes_turns() -> None:
    turns = event("call_ended").turns
    assert turns is not None
    assert [(turn.role, turn.content) for turn in turns] == [
        ("agent", "Hello Zoë, this is Nora, an AI assistant of Acme. ¿Qué tal?"),
        ("user", "Fine 👍 please call me tomorrow at ten."),
        ("user", "1"),
        ("tool", 'book callback({"at":"10:00"})'),
        ("tool", '{"booked":true}'),
        ("user", "Here is my mail: zoe@example.com"),
        ("tool", "The offer ends today."),
        ("agent", "I will. Goodbye!"),
    ]
    assert (turns[0].start_s, turns[0].words[0].word, turns[0].words[0].end_s) == (0.6, "Hello", 0.9)
    assert turns[0].end_s == turns[0].words[-1].end_s
    assert (turns[5].start_s, turns[5].end_s) == (8.2, None)


def test_an_analysed_call() -> None:
    facts = event("call_analyzed")
    assert facts.stage is Stage.ANALYSED
    assert facts.summary == "Zoë asked to be called back tomorrow at ten."
    assert (facts.sentiment, facts.successful, facts.in_voicemail) == ("positive", True, False)
    assert facts.analysis == {
        "interest": "some",
        "callback_time": "tomorrow 10:00",
        "budget": 250,
        "right_person": True,
    }


def test_voicemail_keeps_both_its_signals_apart() -> None:
    facts = event("call_analyzed_voicemail")
    assert facts.ending is not None
    assert (facts.ending.outcome, facts.ending.answered_by) == (Outcome.VOICEMAIL, AnsweredBy.MACHINE)
    assert facts.in_voicemail is True
    assert facts.sentiment == "unknown"
    assert facts.analysis is None
    late = reading(disconnection_reason="agent_hangup", call_analysis={"in_voicemail": True}, duration_ms=9)
    assert late.ending == ENDINGS["agent_hangup"]
    assert late.in_voicemail is True


def test_a_call_nobody_took_was_not_picked_up_although_it_began() -> None:
    facts = event("call_ended_no_answer")
    assert facts.stage is Stage.ENDED
    assert facts.ending == ENDINGS["dial_no_answer"]
    assert (facts.started_at, facts.duration_ms) == (None, None)
    assert facts.ended_at is not None
    assert (facts.turns, facts.transcript) == (None, None)


def test_the_transcript_so_far_is_no_fact() -> None:
    read = RETELL.read_event(payload("transcript_updated"))
    assert read.kind is EventKind.LIVE
    assert read.facts is not None
    assert read.facts.turns is not None
    assert [turn.role for turn in read.facts.turns] == ["agent", "user"]


@pytest.mark.parametrize("name", ["transfer_started", "transfer_bridged", "transfer_cancelled"])
def test_a_transfer_says_where_to(name: str) -> None:
    facts = event(name)
    assert (facts.stage, facts.transfer_to) == (Stage.CONNECTED, "+14155550150")
    assert facts.call_uuid == UUID


@pytest.mark.parametrize("name", ["call_ended_transferred", "transfer_ended"])
def test_a_transferred_call_says_where_it_went(name: str) -> None:
    facts = event(name)
    assert facts.transfer_to == "+14155550150"
    assert facts.ending == ENDINGS["call_transfer"]


def test_an_inbound_call_carries_no_id_of_ours() -> None:
    facts = event("call_started_inbound")
    assert (facts.direction, facts.call_uuid) == ("inbound", None)
    assert (facts.from_number, facts.to_number) == ("+442079460123", "+14155550101")


@pytest.mark.parametrize(
    ("name", "kind", "stage"),
    [(name, kind, stage) for name, (kind, stage) in EVENTS.items()],
)
def test_an_events_stage_is_its_names_whatever_the_status_says(
    name: str, kind: EventKind, stage: Stage
) -> None:
    for status in STATUSES:
        body = json.dumps({"event": name, "call": {"call_id": "call_1", "call_status": status}}).encode()
        read = RETELL.read_event(body)
        assert (read.name, read.kind) == (name, kind)
        assert read.facts is not None
        assert read.facts.stage is stage


@pytest.mark.parametrize(
    "body",
    [
        {"event": "chat_ended", "chat": {"chat_id": "chat_1"}},
        {"event": "call_inbound", "call_inbound": {"from_number": "+14155550100"}},
        {"event": "call_ended", "call": {"call_type": "web_call", "call_id": "call_1"}},
        {"event": "something_new", "call": None},
    ],
)
def test_what_is_no_telephone_call_is_neither_fact_nor_error(body: dict[str, Any]) -> None:
    read = RETELL.read_event(json.dumps(body).encode())
    assert (read.kind, read.facts) == (EventKind.OTHER, None)


def test_an_event_this_release_does_not_know_still_names_its_call() -> None:
    body = {"event": "call_paused", "call": {"call_id": "call_1", "metadata": {"call_uuid": UUID}}}
    read = RETELL.read_event(json.dumps(body).encode())
    assert read.kind is EventKind.OTHER
    assert read.facts is not None
    assert (read.facts.call_uuid, read.facts.stage) == (UUID, Stage.KNOWN)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b'"call_ended"',
        b"{}",
        b'{"event":""}',
        b'{"event":7,"call":{"call_id":"call_1"}}',
        b'{"event":"call_ended"}',
        b'{"event":"call_ended","call":[]}',
        b'{"event":"call_ended","call":{}}',
        b'{"event":"call_ended","call":{"call_id":""}}',
        b'{"event":"call_ended","call":{"call_id":5}}',
        b'{"event":"call_ended","call":{"call_id":"' + b"x" * 121 + b'"}}',
        b"[" * 100_000,
        b'{"event":"call_ended","call":{"call_id":"x","duration_ms":' + b"9" * 5000 + b"}}",
    ],
)
def test_what_cannot_be_read_is_called_so(body: bytes) -> None:
    with pytest.raises(Unreadable):
        RETELL.read_event(body)


def test_a_call_as_looked_up_is_the_call_as_it_was_pushed() -> None:
    assert RETELL.read_call(payload("get_call")) == event("call_analyzed")


def test_a_call_just_placed_is_only_known() -> None:
    facts = RETELL.read_call(payload("get_call_registered"))
    assert facts == CallFacts(**BASIC, stage=Stage.KNOWN, live_status="registered")


def test_a_list_leaves_out_transcripts_and_says_nothing_about_them() -> None:
    items = [RETELL.read_call(json.dumps(one).encode()) for one in json.loads(payload("list_calls"))["items"]]
    assert [(one.stage, one.turns, one.transcript) for one in items] == [
        (Stage.ANALYSED, None, None),
        (Stage.ENDED, None, None),
    ]


@pytest.mark.parametrize(
    ("call", "stage"),
    [
        ({"call_status": "registered"}, Stage.KNOWN),
        ({"call_status": "ongoing"}, Stage.CONNECTED),
        ({"call_status": "ended"}, Stage.ENDED),
        ({"call_status": "not_connected"}, Stage.ENDED),
        ({"call_status": "error"}, Stage.ENDED),
        ({"call_status": "newly invented"}, Stage.KNOWN),
        ({}, Stage.KNOWN),
        ({"call_status": "registered", "disconnection_reason": "user_hangup"}, Stage.ENDED),
        ({"call_status": "ended", "call_analysis": {"call_successful": True}}, Stage.ANALYSED),
        ({"call_status": "ended", "call_analysis": {}}, Stage.ENDED),
        ({"call_status": "ended", "call_analysis": None}, Stage.ENDED),
        ({"call_status": "ongoing", "call_analysis": {"call_successful": True}}, Stage.CONNECTED),
    ],
)
def test_a_look_ups_stage_is_its_status(call: dict[str, Any], stage: Stage) -> None:
    assert reading(**call).stage is stage


def test_who_is_calling_is_read() -> None:
    assert RETELL.read_inbound(payload("call_inbound")) == InboundAsk(
        from_number="+442079460123",
        to_number="+14155550101",
        provider_call_id="call_inbound",
        provider_agent_id="agent_7c1d",
    )


def test_a_withheld_number_is_empty() -> None:
    ask = RETELL.read_inbound(b'{"call_inbound":{"from_number":"anonymous","to_number":"+14155550101"}}')
    assert (ask.from_number, ask.provider_call_id) == ("", None)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"call_inbound":5}'])
def test_no_question_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        RETELL.read_inbound(body)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Hello {{name}}, {{ company }}!", {"name", "company"}),
        ("{{current_time}} {{current_time_Europe/Madrid}} {{current_calendar_[timezone]}}", set()),
        ("{{current_time_{{my_zone}} }}", {"my_zone"}),
        ("{{session_duration}} {{direction}} {{user_number}} {{agent_number}} {{call_id}}", set()),
        ("{{current_timezone}} {{current_agent}}", {"current_timezone", "current_agent"}),
        ("{name} {{}} {{ }} }}{{ {{a}", set()),
        ("{{first name}} {{x-caller}}", {"first name", "x-caller"}),
    ],
)
def test_variables_that_need_a_value_are_found(text: str, names: set[str]) -> None:
    assert variables_in(text) == names
