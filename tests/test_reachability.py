"""Whether the phone company reaches us is judged by what came, what was refused, and what was placed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from calls.lifecycle.reachability import Cause, Evidence, gather, judge
from calls.models import SignatureRefusal, WebhookEvent
from tests.factories import at, make_call

NOW = at("2026-11-20 18:00")


def ago(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def placed(*seconds: float) -> list[datetime]:
    return [NOW - ago(each) for each in seconds]


def test_three_calls_placed_and_nothing_heard_for_two_minutes_is_silence() -> None:
    found = judge(Evidence(placed=placed(300, 200, 121)), now=NOW)
    assert found is not None
    assert (found.cause, found.unheard) == (Cause.NO_REQUESTS, 3)
    assert "PUBLIC_BASE_URL" in found.sentence


def test_two_calls_are_not_enough_nor_is_a_third_placed_just_now() -> None:
    assert judge(Evidence(placed=placed(300, 200)), now=NOW) is None
    assert judge(Evidence(placed=placed(300, 200, 119)), now=NOW) is None


def test_anything_verified_since_ends_the_silence() -> None:
    heard = Evidence(placed=placed(300, 200, 150), last_verified=NOW - ago(100), verified=1)
    assert judge(heard, now=NOW) is None


def test_calls_before_the_last_good_webhook_do_not_count() -> None:
    mixed = Evidence(placed=placed(900, 800, 700, 300, 200), last_verified=NOW - ago(600), verified=1)
    assert judge(mixed, now=NOW) is None


@pytest.mark.parametrize(("refused", "cause"), [("wrong", Cause.WRONG_KEY), ("stale", Cause.CLOCK_OFF)])
def test_most_signatures_refused_says_which_of_key_and_clock(refused: str, cause: Cause) -> None:
    found = judge(Evidence(refused={refused: 3}, verified=2), now=NOW)
    assert found is not None
    assert (found.cause, found.refused) == (cause, 3)


def test_a_few_refusals_among_many_good_ones_are_no_alarm() -> None:
    assert judge(Evidence(refused={"wrong": 3}, verified=3), now=NOW) is None
    assert judge(Evidence(refused={"wrong": 2}, verified=0), now=NOW) is None


def test_strangers_without_a_signature_raise_no_alarm() -> None:
    assert judge(Evidence(refused={"missing": 500, "malformed": 20}), now=NOW) is None


def test_unsigned_requests_explain_a_silence() -> None:
    found = judge(Evidence(placed=placed(300, 300, 300), refused={"missing": 5}), now=NOW)
    assert found is not None
    assert found.cause == Cause.UNSIGNED


def test_a_wrong_key_explains_more_than_strangers_do() -> None:
    found = judge(Evidence(placed=placed(300, 300, 300), refused={"missing": 50, "wrong": 2}), now=NOW)
    assert found is not None
    assert found.cause == Cause.WRONG_KEY


@pytest.mark.django_db
def test_the_evidence_is_read_from_the_rows() -> None:
    for seconds in (300, 240, 180):
        make_call("placed", now=NOW - ago(seconds), lead=None)
    make_call("placed", now=NOW - timedelta(hours=3), lead=None)
    make_call("in_progress", now=NOW - ago(300), lead=None, direction="inbound")
    SignatureRefusal.objects.create(minute=NOW - ago(180), cause="wrong", count=4)
    SignatureRefusal.objects.create(minute=NOW - ago(120), cause="wrong", count=2)
    SignatureRefusal.objects.create(minute=NOW - timedelta(hours=1), cause="stale", count=9)
    evidence = gather(now=NOW)
    assert len(evidence.placed) == 3
    assert dict(evidence.refused) == {"wrong": 6}
    assert (evidence.last_verified, evidence.verified) == (None, 0)
    found = judge(evidence, now=NOW)
    assert found is not None
    assert (found.cause, found.unheard, found.refused) == (Cause.WRONG_KEY, 3, 6)


@pytest.mark.django_db
def test_looking_up_ourselves_is_not_being_reached() -> None:
    for nth, source in enumerate(("lookup", "webhook")):
        WebhookEvent.objects.create(
            key=str(nth), source=source, body=b"{}", received_at=NOW - ago(60 * (nth + 1)), next_try_at=NOW
        )
    evidence = gather(now=NOW)
    assert (evidence.last_verified, evidence.verified) == (NOW - ago(120), 1)
