"""The storm's judges find what they are there for: each is shown a run in which its promise was broken."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from calls.models import Call, CallStatus, Outcome
from tests import factories
from tests.storm import limits
from tests.storm.books import differences
from tests.storm.database import Permit
from tests.storm.notes import Stop
from tests.storm.plan import plan_for
from tests.storm.weather import blows

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NUMBER = "+14155550141"


def permit(seconds: float, number: str = NUMBER) -> Permit:
    return Permit(uuid.uuid4(), "line", number, "sent", NOON + timedelta(seconds=seconds))


def test_a_steady_pace_is_never_over_and_one_second_of_jitter_is_allowed() -> None:
    steady = [n / 10 for n in range(100)]
    assert limits.over_pace(steady, per_second=10, jitter_s=0) == 0
    late = sorted([*steady, *[5.0] * 8])
    assert limits.over_pace(late, per_second=10, jitter_s=0) > 0
    assert limits.over_pace(late, per_second=10, jitter_s=1.0) == 0


def test_a_pace_a_little_too_fast_is_found_in_the_long_run() -> None:
    hurried = [n / 11 for n in range(300)]
    assert limits.over_pace(hurried, per_second=10, jitter_s=1.0) > 0


def test_most_within_counts_the_fullest_span() -> None:
    assert limits.most_within([0.0, 0.5, 0.9, 2.0], 1.0) == 3
    assert limits.most_within([], 1.0) == 0


def test_calls_that_touch_are_not_on_at_once_and_overlapping_ones_are() -> None:
    assert limits.most_at_once([(0, 10), (10, 20)]) == (1, [1, 1])
    assert limits.most_at_once([(0, 10), (9, 20), (9, 12), (30, 40)]) == (3, [1, 2, 3, 1])


def test_a_permit_after_the_first_opt_out_of_its_number_is_found() -> None:
    permits = [permit(1), permit(3), permit(3, "+14155550142")]
    opt_outs = [(NUMBER, NOON + timedelta(seconds=5)), (NUMBER, NOON + timedelta(seconds=2))]
    assert limits.after_opt_out(permits, opt_outs) == [permits[1]]


def test_a_permit_between_stop_and_resume_is_found() -> None:
    stop = Stop(NOON + timedelta(seconds=2), NOON + timedelta(seconds=4))
    permits = [permit(1), permit(3), permit(5)]
    assert limits.while_stopped(permits, [stop]) == [permits[1]]


def test_the_same_seed_brings_the_same_blows() -> None:
    first, second = blows(plan_for(300, 7, "postgresql")), blows(plan_for(300, 7, "postgresql"))
    other = blows(plan_for(300, 8, "postgresql"))
    drawn = [first() for _ in range(20)]
    assert drawn == [second() for _ in range(20)]
    assert drawn != [other() for _ in range(20)]


def ended_call() -> Call:
    return factories.make_call(
        status=CallStatus.ENDED,
        outcome=Outcome.CONNECTED,
        counterpart=NUMBER,
        our_number="+12125550190",
        provider_call_id="call_1",
        disconnection_reason="user_hangup",
        duration_ms=9_000,
        answered_at=NOON,
        ended_at=NOON + timedelta(seconds=3),
        cost_micros=1_234_500,
        summary="They said hello.",
        sentiment="positive",
        successful=True,
        in_voicemail=False,
        analysis={"interested": True},
    )


ENTRY = {
    "call_id": "call_1",
    "direction": "outbound",
    "from_number": "+12125550190",
    "to_number": NUMBER,
    "kind": "interested",
    "stage": "over",
    "connected": True,
    "disconnection_reason": "user_hangup",
}
TOLD = {
    "start_timestamp": int(NOON.timestamp() * 1000),
    "end_timestamp": int(NOON.timestamp() * 1000) + 3_000,
    "duration_ms": 9_000,
    "call_cost": {"combined_cost": 123.45},
    "call_analysis": {
        "call_summary": "They said hello.",
        "user_sentiment": "Positive",
        "call_successful": True,
        "in_voicemail": False,
        "custom_analysis_data": {"interested": True},
    },
}


@pytest.mark.django_db
def test_a_call_as_the_network_tells_it_differs_in_nothing() -> None:
    assert differences(ended_call(), ENTRY, TOLD) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "entry", "told"),
    [
        ("outcomes", {"disconnection_reason": "dial_busy"}, {}),
        ("outcomes", {"stage": "talking"}, {}),
        ("durations", {}, {"duration_ms": 9_001}),
        ("durations", {}, {"start_timestamp": 1}),
        ("transcripts", {}, {"transcript": "Agent: Hello.\n"}),
        ("transcripts", {}, {"transcript_object": [{"role": "agent", "content": "Hello."}]}),
        ("analyses", {}, {"call_analysis": {"call_summary": "Another."}}),
        ("costs", {}, {"call_cost": {"combined_cost": 123.46}}),
        ("ids", {"to_number": "+14155550142"}, {}),
    ],
)
def test_each_kind_of_difference_is_found(kind: str, entry: dict[str, str], told: dict[str, object]) -> None:
    found = differences(ended_call(), ENTRY | entry, TOLD | told)
    assert {what for what, _says in found} == {kind}
