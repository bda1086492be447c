"""Any number of deliveries, in any order, gives the same row."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.providers.base import CallFacts, Stage, Turn
from calls.lifecycle.derive import Derived, Fact, derive
from tests.far_end import FarEnd

PAYLOADS = Path(__file__).parent / "payloads" / "retell"
PROVIDER = FarEnd().provider()


def pushed(name: str, **changes: Any) -> Fact:
    body = json.loads((PAYLOADS / f"{name}.json").read_text())
    body["call"] |= changes
    raw = json.dumps(body).encode()
    facts = PROVIDER.read_event(raw).facts
    assert facts is not None
    return Fact(facts, fetched=False, key=f"{name}{sorted(changes)}")


def fact(stage: Stage, *, fetched: bool = False, key: str = "k", **fields: Any) -> Fact:
    return Fact(CallFacts(provider_call_id="call_1", stage=stage, **fields), fetched=fetched, key=key)


EVENTS = [pushed("call_started"), pushed("call_ended"), pushed("call_analyzed")]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_every_order_of_a_calls_events_gives_the_same_columns(order: tuple[int, ...]) -> None:
    assert derive([EVENTS[n] for n in order]) == derive(EVENTS)


def some_facts() -> st.SearchStrategy[Fact]:
    moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
    return st.builds(
        fact,
        stage=st.sampled_from(Stage),
        fetched=st.booleans(),
        key=st.text("abc", min_size=3, max_size=3),
        started_at=st.none() | moments,
        ended_at=st.none() | moments,
        duration_ms=st.none() | st.integers(-5, 5000),
        summary=st.none() | st.sampled_from(["one", "two"]),
        cost_micros=st.none() | st.integers(-5, 10**6),
        successful=st.none() | st.booleans(),
        in_voicemail=st.none() | st.booleans(),
        transcript=st.none() | st.sampled_from(["", "hello"]),
    )


@settings(max_examples=300, deadline=None)
@given(facts=st.lists(some_facts(), min_size=1, max_size=6, unique_by=lambda f: f.key), data=st.data())
def test_order_and_repeats_change_nothing(facts: list[Fact], data: st.DataObject) -> None:
    once: Derived = derive(facts)
    shuffled = data.draw(st.permutations(facts)) + data.draw(st.lists(st.sampled_from(facts), max_size=4))
    assert derive(shuffled) == once
    assert (once.columns["duration_ms"] or 0) >= 0
    assert (once.columns["cost_micros"] or 0) >= 0


def test_what_is_absent_never_overwrites() -> None:
    ended = fact(Stage.ENDED, duration_ms=5000, summary="talked")
    analysed = fact(Stage.ANALYSED, sentiment="positive", key="z")
    assert derive([ended, analysed]).columns["summary"] == "talked"
    assert derive([ended, analysed]).columns["duration_ms"] == 5000


def said(*facts: Fact) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in derive(facts).turns or []]


def test_a_transcript_that_came_as_text_only_is_kept_as_who_said_what() -> None:
    text = "Agent: Hello: is this Ada?\nUser: Yes.\nI am.\n\nAgent:\nNote: a beep"
    only = fact(Stage.ENDED, transcript=text)
    assert derive([only]).text == text
    assert said(only) == [
        ("agent", "Hello: is this Ada?"),
        ("user", "Yes.\nI am."),
        ("agent", "Note: a beep"),
    ]
    assert said(fact(Stage.ENDED, transcript="No names at all")) == [("", "No names at all")]


def test_text_only_of_a_later_fact_does_not_hide_turns_with_their_times() -> None:
    text = fact(Stage.ANALYSED, key="a", transcript="Agent: Hello")
    turns = fact(Stage.ENDED, key="b", turns=(Turn(role="agent", content="Hello", start_s=0.5, end_s=1.0),))
    assert [turn["start_s"] for turn in derive([text, turns]).turns or []] == [0.5]


def test_what_we_fetched_outranks_what_was_pushed_at_the_same_stage() -> None:
    told, fetched = (
        fact(Stage.ENDED, duration_ms=1, key="z"),
        fact(Stage.ENDED, duration_ms=2, key="a", fetched=True),
    )
    assert derive([told, fetched]).columns["duration_ms"] == 2


def test_a_later_stage_outranks_what_was_fetched_earlier() -> None:
    early = fact(Stage.CONNECTED, summary="early", fetched=True)
    assert derive([early, fact(Stage.ANALYSED, summary="late", key="b")]).columns["summary"] == "late"


def test_voicemail_is_heard_by_the_reason_or_by_the_analysis() -> None:
    by_analysis = derive([pushed("call_analyzed_voicemail")])
    assert (by_analysis.columns["outcome"], by_analysis.columns["answered_by"]) == ("voicemail", "machine")
    by_reason = derive([pushed("call_ended", disconnection_reason="voicemail_reached")])
    assert by_reason.columns["outcome"] == "voicemail"


def test_a_reason_nobody_knows_is_kept_and_said() -> None:
    columns = derive([pushed("call_ended", disconnection_reason="abducted_by_aliens")]).columns
    assert columns["outcome"] == "failed"
    assert columns["disconnection_reason"] == "abducted_by_aliens"
    assert "does not know" in columns["outcome_evidence"]


def test_an_end_without_any_reason_is_inferred_and_says_so() -> None:
    columns = derive([fact(Stage.ENDED, duration_ms=4000)]).columns
    assert (columns["outcome"], columns["answered_by"]) == ("connected", "unclear")
    assert "inferred" in columns["outcome_evidence"]
