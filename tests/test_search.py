"""Calls are found by what was said, by name and by number, the same way on both engines."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from django.db import connection

from calls import search
from calls.models import Call, Direction, Lead, LeadPhone, Transcript

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)


def call_saying(text: str, *, name: str = "Mia Novak", number: str = "+14155550101") -> Call:
    lead = Lead.objects.create(name=name, company="Rooftop Ltd")
    LeadPhone.objects.create(lead=lead, number=number)
    call = Call.objects.create(
        direction=Direction.INBOUND,
        lead=lead,
        counterpart=number,
        requested_at=NOW,
        status="ended",
        outcome="connected",
        provider_call_id=uuid.uuid4().hex,
    )
    Transcript.objects.create(call=call, text=text)
    search.index_transcript(call.pk, text)
    return call


def found(query: str) -> set[Call]:
    return set(Call.objects.filter(search.calls_matching(query)))


@pytest.mark.parametrize(
    "query",
    [
        "quote",
        "QUOTE",
        "solar quote",
        "quote solar",
        '"solar quote"',
        "quo",
        "muller",
        "Müller",
        "call-back",
        "back call-b",
        "don't",
        "10.50",
        "ana@example.com",
        "café",
        "cafe",
    ],
)
def test_a_word_in_any_spelling_finds_the_call_that_said_it(query: str) -> None:
    call = call_saying(
        "Agent: Hi Frau Müller, about the solar quote at 10.50: a call-back?\n"
        "User: I don't know. Write to ana@example.com or meet me in the café."
    )
    call_saying("Agent: Something else entirely.", name="Ana Roy", number="+14155550102")
    assert found(query) == {call}


@pytest.mark.parametrize("query", ["quotes", "quo solar", '"quote solar"', '"solar quo"', "nothing"])
def test_other_words_do_not(query: str) -> None:
    call_saying("Agent: about the solar quote.")
    assert found(query) == set()


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "'",
        "a'b",
        "(",
        ")",
        "* OR *",
        "NEAR(a b)",
        "zz:*",
        "a & b | !c",
        "\\",
        "-",
        "text:x",
        "'); --",
        "<->",
        '"zz',
        "%",
        "a\x00zz",
    ],
)
def test_operators_of_the_engines_are_only_text(query: str) -> None:
    call_saying("Agent: Nothing of the kind.")
    assert found(query) == set()


@pytest.mark.parametrize(
    "query",
    ["+14155550101", "(415) 555-0101", "415.555.0101", "0014155550101", "4155550101", "5550101", "1 415"],
)
def test_a_number_in_any_spelling_finds_its_calls(query: str) -> None:
    call = call_saying("")
    call_saying("", number="+442079460001")
    assert found(query) == {call}


def test_a_national_number_with_its_zero_is_found() -> None:
    call = call_saying("", number="+442079460001")
    call_saying("")
    assert found("020 7946 0001") == {call}


def test_a_name_and_a_company_find_their_calls() -> None:
    call = call_saying("")
    assert found("novak mia") == {call}
    assert found("rooftop") == {call}


def test_a_new_transcript_replaces_the_old_one() -> None:
    call = call_saying("first words")
    Transcript.objects.filter(call=call).update(text="second words")
    search.index_transcript(call.pk, "second words")
    assert found("first") == set()
    assert found("second") == {call}


def test_the_sentence_found_is_the_one_that_says_most() -> None:
    text = "Agent: About the price. We can talk.\nUser: The price of the Müller quote?"
    pieces = search.sentence_found(text, "muller price")
    assert "".join(piece.text for piece in pieces) == "User: The price of the Müller quote?"
    assert [piece.text for piece in pieces if piece.hit] == ["price", "Müller"]


def test_a_long_sentence_is_cut_around_its_hits() -> None:
    text = "one " * 60 + "needle " + "two " * 60
    pieces = search.sentence_found(text, "needle")
    shown = "".join(piece.text for piece in pieces)
    assert "needle" in shown
    assert len(shown) < 100


def test_nothing_found_gives_no_sentence() -> None:
    assert search.sentence_found("Agent: Hello.", "price") == []


@pytest.mark.postgresql
@pytest.mark.usefixtures("postgresql")
def test_postgresql_answers_from_its_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = Call.objects.filter(search.said("solar quote")).explain()
    assert "transcript_words" in plan


def test_words_of_a_deleted_call_are_forgotten_and_of_others_kept() -> None:
    gone, kept = call_saying("a secret quote"), call_saying("another quote", number="+14155550102")
    gone.delete()
    assert found("quote") == {kept}
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT call_id FROM calls_transcript_words")
            assert cursor.fetchall() == [(kept.pk.hex,)]
            cursor.execute("SELECT 1 FROM calls_transcript_words WHERE calls_transcript_words MATCH 'secret'")
            assert cursor.fetchall() == []
