"""Each of Retell's words means one thing of ours, and nonsense in a field costs that field alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retell.types import PhoneCallResponse

from agents.providers.base import (
    AnsweredBy,
    CallFacts,
    Outcome,
    RetryClass,
    Turn,
)
from agents.providers.retell import RetellProvider
from agents.providers.retell_reading import ENDINGS
from tests.any_text import ANY_SIGN

RETELL = RetellProvider(base_url="http://127.0.0.1:1", api_key="key_test")
UUID = "8e3b7f2c-5f0e-4c39-9b1f-3c1d6f0a2b11"


def reading(**call: Any) -> CallFacts:
    return RETELL.read_call(json.dumps({"call_id": "call_1", **call}).encode())


@pytest.mark.parametrize("reason", ENDINGS)
def test_each_reason_is_read_to_its_row(reason: str) -> None:
    facts = reading(call_status="ended", disconnection_reason=reason, start_timestamp=1795341605000)
    assert facts.disconnection_reason == reason
    assert facts.ending == ENDINGS[reason]
    assert facts.ending.known


@pytest.mark.parametrize(
    ("reason", "outcome", "answered_by", "retry"),
    [
        ("user_hangup", "connected", "person", "no"),
        ("user_requested_callback", "connected", "person", "review"),
        ("inactivity", "connected", "unclear", "later"),
        ("voicemail_reached", "voicemail", "machine", "later"),
        ("ivr_reached", "screened", "screening", "later"),
        ("dial_no_answer", "no_answer", "", "later"),
        ("dial_busy", "busy", "", "later"),
        ("user_declined", "declined", "", "later"),
        ("invalid_destination", "invalid_number", "", "no"),
        ("marked_as_spam", "blocked", "", "fix"),
        ("telephony_provider_unavailable", "failed", "", "soon"),
        ("credit_exhausted", "failed", "unclear", "fix"),
        ("error_llm_websocket_lost_connection", "failed", "unclear", "review"),
    ],
)
def test_the_rows_that_decide_what_happens_next(
    reason: str, outcome: str, answered_by: str, retry: str
) -> None:
    ending = ENDINGS[reason]
    assert (ending.outcome, ending.answered_by, ending.retry) == (outcome, answered_by, retry)


def test_only_one_reason_is_an_opt_out_and_two_are_want_of_room() -> None:
    assert [reason for reason, ending in ENDINGS.items() if ending.opted_out] == ["user_requested_dnc"]
    assert {reason for reason, ending in ENDINGS.items() if ending.fault == "capacity"} == {
        "concurrency_limit_reached",
        "no_concurrency_fallback",
    }


@pytest.mark.parametrize("reason", ["machine_detected", "error_twilio", "invented_tomorrow", "<b>x</b>"])
def test_an_unknown_reason_is_kept_and_treated_as_other(reason: str) -> None:
    facts = reading(call_status="error", disconnection_reason=reason, duration_ms=4_000)
    assert facts.disconnection_reason == reason
    assert facts.ending is not None
    assert (facts.ending.known, facts.ending.retry) == (False, RetryClass.REVIEW)
    assert (facts.ending.outcome, facts.ending.answered_by) == (Outcome.FAILED, AnsweredBy.UNCLEAR)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("manual_stopped", Outcome.NO_ANSWER),
        ("inactivity", Outcome.NO_ANSWER),
        ("error_retell", Outcome.FAILED),
        ("credit_exhausted", Outcome.FAILED),
        ("invented_tomorrow", Outcome.FAILED),
    ],
)
def test_what_leaves_it_open_who_answered_means_nobody_when_the_call_never_began(
    reason: str, outcome: Outcome
) -> None:
    facts = reading(call_status="error", disconnection_reason=reason)
    assert facts.ending is not None
    assert (facts.ending.outcome, facts.ending.answered_by) == (outcome, AnsweredBy.NOBODY)
    assert facts.started_at is None


def test_a_call_without_a_reason_has_no_ending() -> None:
    assert reading(call_status="ended").ending is None
    assert reading(call_status="ended", disconnection_reason="").ending is None


@pytest.mark.parametrize(
    ("cents", "micros"),
    [
        (0, 0),
        (1, 10_000),
        (17.345, 173_450),
        (0.1 + 0.2, 3_000),
        (12.34567, 123_457),
        (-1, None),
        (True, None),
        ("12", None),
        (None, None),
        (1e300, None),
    ],
)
def test_cents_become_whole_millionths_of_a_dollar(cents: object, micros: int | None) -> None:
    facts = reading(call_cost={"combined_cost": cents})
    assert facts.cost_micros == micros
    assert facts.currency == ("USD" if micros is not None else None)


def test_a_cost_that_is_no_object_is_absent() -> None:
    assert reading(call_cost=12).cost_micros is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Positive", "positive"),
        ("Neutral", "neutral"),
        ("Negative", "negative"),
        ("Unknown", "unknown"),
        ("Furious", "unknown"),
        (None, None),
        (5, None),
    ],
)
def test_sentiment_is_one_of_four_words(given: object, expected: str | None) -> None:
    assert reading(call_analysis={"user_sentiment": given}).sentiment == expected


@pytest.mark.parametrize("given", [-1, 2**31, 1e30, "71890", None, True, [], {}])
def test_a_duration_no_column_can_hold_is_absent(given: object) -> None:
    assert reading(duration_ms=given).duration_ms is None


@pytest.mark.parametrize("given", [-1, 0, 10**15, 1e30, "2026-11-22", None, True, []])
def test_a_time_no_calendar_has_is_absent(given: object) -> None:
    assert reading(call_status="ended", end_timestamp=given).ended_at is None


def test_the_last_time_a_calendar_has_is_read() -> None:
    assert reading(end_timestamp=253_402_300_799_999).ended_at == datetime(
        9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC
    )


def test_a_duration_that_is_not_given_follows_from_the_times() -> None:
    call = {"start_timestamp": 1795341605000, "end_timestamp": 1795341610000}
    assert reading(call_status="ended", disconnection_reason="user_hangup", **call).duration_ms == 5_000
    assert reading(call_status="ended", disconnection_reason="dial_busy", **call).duration_ms is None


@pytest.mark.parametrize("number", ["anonymous", "sip:zoe@example.com", "", None, 14155550100, "004420"])
def test_a_caller_without_a_number_has_none(number: object) -> None:
    assert reading(from_number=number).from_number is None


@pytest.mark.parametrize(
    "metadata", [None, [], "x", {"call_uuid": 5}, {"call_uuid": "strange"}, {"call_uuid": ""}]
)
def test_only_a_uuid_is_an_id_of_ours(metadata: object) -> None:
    assert reading(metadata=metadata).call_uuid is None


def test_our_id_is_read_in_one_spelling() -> None:
    assert reading(metadata={"call_uuid": UUID.upper()}).call_uuid == UUID


def test_what_no_database_can_hold_is_replaced() -> None:
    body = (
        b'{"call_id":"call_1","transcript":"a\\u0000b \\ud83d c \\ud83d\\ude00 \\uDC00",'
        b'"call_analysis":{"custom_analysis_data":{"k\\u0000":[NaN,Infinity,1e999,"\\u0000"]}}}'
    )
    facts = RETELL.read_call(body)
    assert facts.transcript == "a\ufffdb \ufffd c 😀 \ufffd"
    assert facts.analysis == {"k\ufffd": [None, None, None, "\ufffd"]}


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//example.com/x", "https://x/" + "y" * 2000, 5]
)
def test_a_recording_is_somewhere_on_the_web_or_nowhere(url: object) -> None:
    assert reading(recording_url=url).recording_url is None


def test_words_that_are_too_long_are_cut() -> None:
    facts = reading(call_status="s" * 500, disconnection_reason="r" * 500, transfer_destination="+" * 500)
    assert (len(facts.live_status or ""), len(facts.disconnection_reason or "")) == (40, 80)
    assert len(facts.transfer_to or "") == 120
    assert facts.ending is not None
    assert not facts.ending.known


def test_hostile_words_stay_as_they_are() -> None:
    said = "<script>alert(1)</script> {{ x }} %s \u202e"
    facts = reading(transcript_object=[{"role": "user", "content": said, "words": []}])
    assert facts.turns == (Turn(role="user", content=said),)


@pytest.mark.parametrize(
    "line",
    [None, 5, [], {}, {"role": "node_transition"}, {"role": "invented", "content": "x"}, {"role": ["user"]}],
)
def test_lines_that_nobody_said_are_left_out(line: object) -> None:
    turns = reading(transcript_object=[line, {"role": "user", "content": "Yes"}]).turns
    assert turns is not None
    assert [turn.content for turn in turns] == ["Yes"]


@pytest.mark.parametrize("words", [None, 5, [5], [{"word": 5}], [{"word": "x", "start": "a", "end": None}]])
def test_words_without_times_leave_the_turn_whole(words: object) -> None:
    turns = reading(transcript_object=[{"role": "user", "content": "Yes", "words": words}]).turns
    assert turns == (Turn(role="user", content="Yes"),)


def test_where_the_words_were_scrubbed_the_scrubbed_ones_are_read() -> None:
    facts = reading(
        scrubbed_transcript_with_tool_calls=[{"role": "user", "content": "I am [NAME]", "words": []}],
        scrubbed_recording_url="https://recordings.example.com/scrubbed.wav",
    )
    assert facts.turns == (Turn(role="user", content="I am [NAME]"),)
    assert facts.recording_url == "https://recordings.example.com/scrubbed.wav"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(ANY_SIGN, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(ANY_SIGN, max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(PhoneCallResponse.model_fields)), JUNK, max_size=12))
def test_nonsense_in_any_field_never_loses_the_call(fields: dict[str, Any]) -> None:
    body = json.dumps({"event": "call_ended", "call": {**fields, "call_type": "phone_call", "call_id": "x"}})
    facts = RETELL.read_event(body.encode()).facts
    assert facts is not None
    assert facts.provider_call_id == "x"
    assert facts.duration_ms is None or 0 <= facts.duration_ms < 2**31
    assert "\x00" not in (facts.transcript or "")
