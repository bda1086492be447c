"""The article's webhooks in every spelling, and how a call ended when nobody says why."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.providers.base import AnsweredBy, CallFacts, EventKind, Outcome, Stage, Unreadable
from agents.providers.live import LiveKind
from agents.providers.retell_article_reading import read_event, read_live
from calls.lifecycle.derive import Fact, derive

UUID = "8e3b7f2c-5f0e-4c39-9b1f-3c1d6f0a2b11"
AT_MS = 1704067201200
AT = datetime(2024, 1, 1, 0, 0, 1, 200_000, tzinfo=UTC)
SAID = [{"role": "agent", "content": "Hello."}, {"role": "user", "content": "Wait, what's my balance?"}]


def read(**body: Any) -> CallFacts:
    facts = read_event(json.dumps(body).encode()).facts
    assert facts is not None
    return facts


def ended(*bodies: dict[str, Any]) -> dict[str, Any]:
    """The columns of a call of which these were told."""
    facts = [read(**{"call_id": "call_1", **body}) for body in bodies]
    return derive([Fact(each, False, str(place)) for place, each in enumerate(facts)]).columns


@pytest.mark.parametrize("name", ["event", "type"])
def test_the_flat_envelope_is_read_under_either_name(name: str) -> None:
    facts = read(**{name: "call_ended"}, call_id="call_1", call_duration=31.5, metadata={"call_uuid": UUID})
    assert (facts.provider_call_id, facts.stage, facts.duration_ms) == ("call_1", Stage.ENDED, 31_500)
    assert facts.call_uuid == UUID


@pytest.mark.parametrize("name", ["event", "type"])
def test_the_nested_envelope_is_read_with_its_time(name: str) -> None:
    facts = read(**{name: "call_ended"}, call={"call_id": "call_1", "call_duration": 8}, timestamp=AT_MS)
    assert (facts.provider_call_id, facts.duration_ms, facts.ended_at) == ("call_1", 8000, AT)
    assert read(event="call_started", call={"call_id": "call_1"}, timestamp=AT_MS).started_at == AT


@pytest.mark.parametrize("name", ["call_analysis", "analysis"])
@pytest.mark.parametrize("nested", [False, True])
def test_the_analysis_is_read_under_either_name_in_either_envelope(name: str, nested: bool) -> None:
    about: dict[str, Any] = {
        "call_id": "call_1",
        name: {
            "transcript": SAID,
            "sentiment": "Positive",
            "call_summary": "They asked for the balance.",
            "call_successful": True,
            "custom_analysis": {"promise": "A letter."},
            "interested": True,
        },
    }
    facts = read(event="call_analyzed", **({"call": about} if nested else about))
    assert facts.stage == Stage.ANALYSED
    assert (facts.sentiment, facts.summary, facts.successful) == (
        "positive",
        "They asked for the balance.",
        True,
    )
    assert facts.analysis == {"promise": "A letter.", "interested": True}
    assert [(turn.role, turn.content) for turn in facts.turns or ()] == [
        ("agent", "Hello."),
        ("user", "Wait, what's my balance?"),
    ]


def test_a_transcript_in_lines_is_read_as_turns() -> None:
    text = "Agent: Hello.\nUser: Wait,\nwhat's my balance?\n"
    facts = read(event="call_analyzed", call_id="call_1", call_analysis={"transcript": text})
    assert [turn.content for turn in facts.turns or ()] == ["Hello.", "Wait, what's my balance?"]


def test_where_both_envelopes_differ_the_nested_one_counts() -> None:
    facts = read(event="call_ended", call_id="call_2", call_duration=9, call={"call_id": "call_1"})
    assert (facts.provider_call_id, facts.duration_ms) == ("call_1", 9000)


def test_two_envelopes_of_one_event_say_the_same() -> None:
    flat = read(event="call_ended", call_id="call_1", call_duration=8)
    nested = read(event="call_ended", call={"call_id": "call_1", "call_duration": 8})
    assert flat == nested


INFERRED = [
    (
        "voicemail",
        [
            {"event": "call_ended", "call_duration": 20},
            {"event": "call_analyzed", "analysis": {"in_voicemail": True, "transcript": SAID}},
        ],
        (Outcome.VOICEMAIL, AnsweredBy.MACHINE, "inferred: the analysis heard voicemail"),
    ),
    (
        "the person is heard",
        [
            {"event": "call_ended", "call_duration": 20},
            {"event": "call_analyzed", "analysis": {"transcript": SAID}},
        ],
        (Outcome.CONNECTED, AnsweredBy.PERSON, "inferred: the person is heard in the transcript"),
    ),
    (
        "nothing but the length is known",
        [{"event": "call_started"}, {"event": "call_ended", "call_duration": 20}],
        (
            Outcome.CONNECTED,
            AnsweredBy.UNCLEAR,
            "inferred: it lasted, and nobody but the AI agent is known to have spoken",
        ),
    ),
    (
        "it lasted no time",
        [{"event": "call_ended", "call_duration": 0}],
        (Outcome.NO_ANSWER, AnsweredBy.NOBODY, "inferred: it lasted 0 seconds"),
    ),
    (
        "it began, and no length is given",
        [{"event": "call_started", "timestamp": AT_MS}, {"event": "call_ended"}],
        (Outcome.CONNECTED, AnsweredBy.UNCLEAR, "inferred: no reason was given, only its times"),
    ),
    (
        "nothing is known",
        [{"event": "call_ended"}],
        (Outcome.FAILED, "", "inferred: no reason was given, only its times"),
    ),
    (
        "a reason after all",
        [{"event": "call_ended", "call_duration": 0, "disconnection_reason": "dial_busy"}],
        (Outcome.BUSY, AnsweredBy.NOBODY, "dial_busy"),
    ),
]


@pytest.mark.parametrize(
    ("bodies", "expected"), [row[1:] for row in INFERRED], ids=[row[0] for row in INFERRED]
)
def test_how_it_ended_is_inferred_by_the_table_in_any_order(
    bodies: list[dict[str, Any]], expected: tuple[str, str, str]
) -> None:
    for told in (bodies, bodies[::-1]):
        columns = ended(*told)
        assert (columns["outcome"], columns["answered_by"], columns["outcome_evidence"]) == expected


def test_a_call_that_was_said_to_begin_and_lasted_no_time_was_not_picked_up() -> None:
    columns = ended(
        {"event": "call_started", "timestamp": AT_MS}, {"event": "call_ended", "call_duration": 0}
    )
    assert (columns["outcome"], columns["answered_at"]) == (Outcome.NO_ANSWER, None)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("speech_started", LiveKind.PERSON_SPEAKS),
        ("agent_start_talking", LiveKind.AGENT_SPEAKS),
        ("agent_stop_talking", LiveKind.AGENT_SILENT),
    ],
)
def test_who_speaks_is_live_and_no_fact(name: str, kind: LiveKind) -> None:
    call = {"call_id": "call_abc123", "last_utterance_id": "utt_xyz789"}
    body = json.dumps({"event": name, "call": call, "timestamp": AT_MS}).encode()
    live = read_live(body)
    assert live is not None
    assert (live.provider_call_id, live.kind, live.utterance_id, live.at) == (
        "call_abc123",
        kind,
        "utt_xyz789",
        AT,
    )
    assert read_event(body).kind == EventKind.LIVE


@pytest.mark.parametrize("final", [True, False])
def test_a_transcript_is_live_whole_or_in_part(final: bool) -> None:
    call = {"call_id": "call_abc123", "transcript": "Wait what's my", "is_final": final}
    live = read_live(json.dumps({"event": "transcript", "call": call, "timestamp": AT_MS}).encode())
    assert live is not None
    assert (live.kind, live.final, live.turns[0].role, live.turns[0].content) == (
        LiveKind.SAID,
        final,
        "user",
        "Wait what's my",
    )


def test_a_fact_that_only_speaks_of_live_events_is_none() -> None:
    assert (
        read_live(json.dumps({"event": "call_ended", "call_id": "c", "was": "transcript"}).encode()) is None
    )
    assert read_live(b'"transcript" and no JSON') is None


def test_an_event_of_a_name_nobody_knows_is_kept_and_left_alone() -> None:
    assert read_event(b'{"type":"tomorrow","call_id":"call_1"}').kind == EventKind.OTHER


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no JSON", b'{"event":"call_ended"}', b'{"event":7}'])
def test_what_names_no_event_or_no_call_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_event(body)


@pytest.mark.parametrize("seconds", [-1, "31", None, True, 1e300, [31]])
def test_a_length_that_is_none_is_left_out(seconds: Any) -> None:
    facts = read(event="call_ended", call_id="call_1", call_duration=seconds)
    assert facts.duration_ms is None
