"""A number of the test area code does what the table says; all the others are as people are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from agents.sandbox.people import (
    BY_NUMBER,
    INBOUND_MIX,
    MIX,
    NEVER_PICKED_UP,
    PEOPLE,
    STAFF_NUMBERS,
    TEST_NUMBERS,
    Behaviour,
    behave,
)
from agents.sandbox.scripts import SCRIPTS

DOCS = Path(__file__).parent.parent / "docs" / "sandbox.md"
ANYONE = [f"+1{area}55501{last:02d}" for area in range(500, 700) for last in range(100)]


@pytest.fixture(scope="module")
def twenty_thousand() -> list[Behaviour]:
    return [behave(number, seed=7, attempt=1) for number in ANYONE]


def table_of(heading: str) -> list[list[str]]:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


@pytest.mark.parametrize("last", BY_NUMBER)
def test_a_number_of_the_table_does_the_same_at_every_attempt_and_seed(last: str) -> None:
    person = BY_NUMBER[last]
    for seed, attempt in ((1, 1), (1, 2), (99, 7)):
        behaviour = behave(f"{TEST_NUMBERS}01{last}", seed=seed, attempt=attempt)
        assert behaviour.kind == person.kind
        assert behaviour.disconnection_reason == person.disconnection_reason
        assert behaviour.connects is (person.kind not in NEVER_PICKED_UP)
        assert (behaviour.script is None) is (person.kind in NEVER_PICKED_UP)


@pytest.mark.parametrize("number", STAFF_NUMBERS)
def test_a_telephone_of_the_staff_is_always_picked_up(number: str) -> None:
    for seed, attempt in ((1, 1), (1, 2), (99, 7)):
        assert behave(number, seed=seed, attempt=attempt).connects


def test_the_documented_table_is_the_table() -> None:
    said = {row[0][-2:]: (row[0], row[1], row[2]) for row in table_of("Dial")}
    meant = {
        last: (f"+1 415 555 01{last}", person.label, f"`{person.disconnection_reason}`")
        for last, person in BY_NUMBER.items()
    }
    assert said == meant


def test_the_documented_mix_is_the_mix_and_comes_to_a_hundred() -> None:
    said = {row[0].split("`")[1]: float(row[1].removesuffix("%")) for row in table_of("Any other number")}
    assert said == dict(MIX)
    assert sum(MIX.values()) == pytest.approx(100)
    assert sum(INBOUND_MIX.values()) == pytest.approx(100)


def test_the_mix_is_near_life(twenty_thousand: list[Behaviour]) -> None:
    kinds = Counter(behaviour.kind for behaviour in twenty_thousand)
    share = {kind: count / len(twenty_thousand) * 100 for kind, count in kinds.items()}
    assert 55 <= share["no_answer"] + share["voicemail"] <= 65
    assert 25 <= sum(share.get(kind, 0) for kind in PEOPLE) <= 35
    assert 4 <= share["interested"] <= 8
    assert 2 <= share["busy"] <= 6
    assert share["invalid"] + share["blocked"] + share["failed"] < 3
    assert set(share) == set(MIX)


def test_a_few_of_those_who_missed_the_call_ring_back(twenty_thousand: list[Behaviour]) -> None:
    back = [behaviour for behaviour in twenty_thousand if behaviour.rings_back_after_s is not None]
    assert 0.004 < len(back) / len(twenty_thousand) < 0.016
    assert {behaviour.kind for behaviour in back} == {"no_answer", "declined"}
    assert all(45 <= (behaviour.rings_back_after_s or 0) <= 900 for behaviour in back)


def test_the_missed_call_of_the_table_is_answered_a_minute_later() -> None:
    assert behave("+14155550115", seed=3, attempt=1).rings_back_after_s == 60
    assert behave("+14155550109", seed=3, attempt=1).rings_back_after_s is None


def test_the_same_seed_number_and_attempt_give_the_same_behaviour() -> None:
    assert [behave(number, seed=5, attempt=2) for number in ANYONE[:300]] == [
        behave(number, seed=5, attempt=2) for number in ANYONE[:300]
    ]


def test_another_attempt_or_seed_may_turn_out_otherwise() -> None:
    first = [behave(number, seed=5, attempt=1).kind for number in ANYONE[:300]]
    assert first != [behave(number, seed=5, attempt=2).kind for number in ANYONE[:300]]
    assert first != [behave(number, seed=6, attempt=1).kind for number in ANYONE[:300]]


def test_a_number_that_does_not_exist_never_does() -> None:
    gone = [number for number in ANYONE if behave(number, seed=7, attempt=1).kind == "invalid"]
    assert gone
    assert {behave(number, seed=7, attempt=attempt).kind for number in gone for attempt in (2, 3)} == {
        "invalid"
    }


@pytest.mark.parametrize(
    "number", ["+12125550101", "+442079460102", "+14155550199", "+141555501011", "+14155560101"]
)
def test_only_numbers_of_the_table_are_scripted(number: str) -> None:
    kinds = {behave(number, seed=seed, attempt=1).kind for seed in range(60)}
    assert len(kinds) > 1


@pytest.mark.parametrize("language", ["en-US", "de-DE", "es-ES", "es", "fr-FR"])
def test_everybody_has_a_conversation_in_every_language(language: str) -> None:
    spoken = language[:2] if language[:2] in {"en", "de", "es"} else "en"
    for number in ANYONE[:400]:
        for direction in ("outbound", "inbound"):
            behaviour = behave(number, seed=1, attempt=1, language=language, direction=direction)
            if behaviour.script is None:
                continue
            script = SCRIPTS[behaviour.script]
            assert script.direction in {direction, "both"}
            if behaviour.kind in {"interested", "callback", "do_not_call", "voicemail", "hangs_up"}:
                assert script.language == spoken


def test_an_agent_of_another_language_meets_the_same_person_in_it() -> None:
    assert behave("+14155550103", seed=1, attempt=1, language="de-DE").script == "de_never_again"
    assert behave("+14155550128", seed=1, attempt=1, language="en-US").script == "de_interested"


def test_a_topic_is_preferred_where_there_is_a_choice() -> None:
    chosen = set()
    for number in ANYONE[:4000]:
        behaviour = behave(number, seed=1, attempt=1, topic="insurance")
        if behaviour.kind == "interested":
            chosen.add(behaviour.script)
    assert chosen == {"insurance_renewal"}


def test_people_who_ring_us_always_talk() -> None:
    for last, kind in (("15", "you_called_me"), ("03", "do_not_call"), ("02", "returns_call")):
        behaviour = behave(f"{TEST_NUMBERS}01{last}", seed=1, attempt=1, direction="inbound")
        assert behaviour.kind == kind
        assert behaviour.connects
    drawn = Counter(behave(number, seed=1, attempt=1, direction="inbound").kind for number in ANYONE[:3000])
    assert set(drawn) == set(INBOUND_MIX)
