"""Ids of calls, and keys of what is told of them, follow time; chance alone tells those of a moment apart."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime

import pytest
from django.db import connection

from calls import search
from calls.call_id import made_at_ms, new_call_id
from calls.lifecycle.facts import event_key
from calls.models import Call, Direction, Transcript

MADE = 0x0199_AB12_CD34
"""A millisecond of September 2025."""
OF_ITS_TIME = uuid.UUID("0199ab12-cd34-7abc-8def-0123456789ab")
BY_CHANCE = uuid.UUID("6b1f0d5a-7c3e-4f52-9a10-d2f8c4b7e611")


def body(call: object) -> bytes:
    return b'{"event": "call_ended", "call": {"metadata": {"call_uuid" : "%s"}}}' % str(call).encode()


class TestACallsId:
    def test_is_a_uuid_of_version_seven_that_tells_when_it_was_made(self) -> None:
        before = time.time_ns() // 1_000_000
        made = new_call_id()
        assert (made.version, made.variant) == (7, uuid.RFC_4122)
        assert before <= (made_at_ms(made) or 0) <= time.time_ns() // 1_000_000

    def test_comes_after_those_of_earlier_milliseconds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ids = []
        for millisecond in (MADE, MADE + 1, MADE + 4096, MADE + (1 << 30)):
            monkeypatch.setattr(time, "time_ns", lambda now=millisecond: now * 1_000_000)
            ids.append(new_call_id())
        assert ids == sorted(ids)
        assert [made_at_ms(one) for one in ids] == [MADE, MADE + 1, MADE + 4096, MADE + (1 << 30)]

    def test_differs_from_all_others_of_its_millisecond(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: MADE * 1_000_000)
        assert len({new_call_id() for _ in range(20_000)}) == 20_000

    def test_made_by_chance_tells_no_time(self) -> None:
        assert made_at_ms(BY_CHANCE) is None


class TestAnEventsKey:
    def test_is_the_same_for_the_same_bytes_and_another_for_others(self) -> None:
        told = body(OF_ITS_TIME)
        key = event_key("webhook", "current", told)
        assert len(key) == 64
        assert key == event_key("webhook", "current", told)
        others = [
            event_key("lookup", "current", told),
            event_key("webhook", "article", told),
            event_key("webhook", "current", told + b" "),
        ]
        assert len({key, *others}) == 4

    def test_begins_with_when_the_call_was_made_that_it_is_about(self) -> None:
        assert event_key("webhook", "current", body(OF_ITS_TIME)).startswith("0199ab12cd34")
        assert event_key("webhook", "current", body(str(OF_ITS_TIME).upper())).startswith("0199ab12cd34")
        assert event_key("webhook", "twilio", b"CallSid=CA1", OF_ITS_TIME).startswith("0199ab12cd34")

    @pytest.mark.parametrize("told", [b"", b"\xff{", b'{"call_uuid": 7}', body(BY_CHANCE), body("-" * 36)])
    def test_begins_with_zeros_where_the_bytes_do_not_tell(self, told: bytes) -> None:
        key = event_key("webhook", "current", told)
        assert key.startswith("0" * 12)
        assert len(key) == 64


@pytest.mark.django_db
class TestWordsOfCallsOfOneMillisecond:
    @staticmethod
    def call_saying(call_id: uuid.UUID, text: str) -> Call:
        call = Call.objects.create(
            pk=call_id, direction=Direction.INBOUND, counterpart="", status="ended", outcome="connected",
            requested_at=datetime(2026, 11, 20, tzinfo=UTC), provider_call_id=call_id.hex,
        )  # fmt: skip
        Transcript.objects.create(call=call, text=text)
        search.index_transcript(call.pk, text)
        return call

    @staticmethod
    def found(query: str) -> set[Call]:
        return set(Call.objects.filter(search.calls_matching(query)))

    def test_are_kept_apart(self) -> None:
        one = self.call_saying(OF_ITS_TIME, "solar quote")
        other = self.call_saying(uuid.UUID(int=OF_ITS_TIME.int ^ 1), "garden quote")
        assert self.found("solar") == {one}
        assert self.found("quote") == {one, other}

    @pytest.mark.parametrize(
        "call_id",
        [
            OF_ITS_TIME,
            uuid.UUID("0199ab12-cd34-7abc-bdef-fedcba987654"),
            uuid.UUID("0199ab12-cd34-7abc-fdef-fedcba987654"),
            BY_CHANCE,
        ],
        ids=["version 7", "version 7, last digits above", "no version at all", "version 4"],
    )
    def test_go_with_their_call_whatever_made_its_id(self, call_id: uuid.UUID) -> None:
        gone = self.call_saying(call_id, "a secret quote")
        kept = self.call_saying(uuid.UUID(int=call_id.int ^ (1 << 100 | 1 << 1)), "another quote")
        gone.delete()
        assert self.found("quote") == {kept}
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("SELECT call_id FROM calls_transcript_words")
                assert cursor.fetchall() == [(kept.pk.hex,)]
