"""The readiness card: each thing that makes calls fail, get lost or annoy has a light of its own."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from agents import readiness
from agents.models import Agent
from agents.providers.base import AgentProfile, AnalysisField
from agents.readiness import Check, Level
from agents.variables import SUPPLIED, spoken, values_for

OURS = "https://calls.example.com/webhook/retell"
READY = AgentProfile(
    provider_agent_id="agent_ava",
    name="Ava",
    version=3,
    published=True,
    newest_version=3,
    language="en-US",
    voice="Cimo",
    opening_line="Hi {{first_name}}, this is Ava, an AI assistant calling for {{company_name}}.",
    prompt="Ask {{first_name}} about {{product}}.",
    default_variables={"product": "solar"},
    variables_used=frozenset({"first_name", "company_name", "product"}),
    webhook_url=OURS,
    events=frozenset({"started", "ended"}),
    missing_events=frozenset(),
    analysis_fields=(AnalysisField(name="callback_time", kind="text"),),
    detects_do_not_call=True,
    voicemail_action="hangup",
    screening_answer=True,
    ring_time_ms=30_000,
    max_call_ms=900_000,
    signed_recordings=True,
    suspended=False,
    engine_id="llm_ava",
    editable=frozenset(
        {
            "webhook_url",
            "events",
            "analysis_fields",
            "detects_do_not_call",
            "voicemail_action",
            "ring_time_ms",
            "signed_recordings",
            "default_variables",
        }
    ),
)


def judged(profile: AgentProfile, *, pinned: str = "", heard: bool = False) -> list[Check]:
    return readiness.check_readiness(
        profile,
        public_base_url="https://calls.example.com",
        company_name="Brightside",
        pinned_version=pinned,
        supplied_variables=SUPPLIED,
        heard=heard,
    )


def check(code: str, *, pinned: str = "", heard: bool = False, **changes: Any) -> Check:
    checks = judged(dataclasses.replace(READY, **changes), pinned=pinned, heard=heard)
    return next(check for check in checks if check.code == code)


def test_an_agent_that_is_ready_is_green_all_over() -> None:
    assert {check.level for check in judged(READY)} == {Level.GREEN}
    assert readiness.light(judged(READY)) == Level.GREEN


def test_a_webhook_elsewhere_is_red_and_can_be_mended() -> None:
    found = check("webhook", webhook_url="https://old.example.com/hook")
    assert found.level == Level.RED
    assert "https://old.example.com/hook" in found.sentence
    assert found.fix == {"webhook_url": OURS}


@pytest.mark.parametrize(
    ("theirs", "level"),
    [
        (OURS, Level.GREEN),
        ("HTTPS://Calls.Example.COM/webhook/retell", Level.GREEN),
        (OURS + "/", Level.RED),
        ("http://calls.example.com/webhook/retell", Level.RED),
    ],
)
def test_only_the_exact_address_is_ours(theirs: str, level: str) -> None:
    assert check("webhook", webhook_url=theirs).level == level


def test_the_account_s_address_is_amber_until_something_has_come() -> None:
    assert check("webhook", webhook_url=None).level == Level.AMBER
    assert check("webhook", webhook_url=None, heard=True).level == Level.GREEN


def test_a_variable_nobody_fills_in_is_red_and_named() -> None:
    found = check("variables", variables_used=frozenset({"first_name", "policy_number"}))
    assert found.level == Level.RED
    assert "{{policy_number}}" in found.sentence
    assert found.fix == {"default_variables": {"product": "solar", "policy_number": ""}}


def test_a_suspended_agent_is_red() -> None:
    assert check("suspended", suspended=True).level == Level.RED


@pytest.mark.parametrize(
    ("code", "changes", "fixes"),
    [
        ("events", {"missing_events": frozenset({"analysed"})}, {"events"}),
        ("call_back", {"analysis_fields": ()}, {"analysis_fields"}),
        ("do_not_call", {"detects_do_not_call": False}, {"detects_do_not_call"}),
        ("says_ai", {"opening_line": "Hi, this is Sam from {{company_name}}."}, None),
        ("says_ai", {"opening_line": None}, None),
        ("says_ai", {"opening_line": ""}, None),
        ("says_company", {"opening_line": "Hi, I am an AI."}, None),
        ("voicemail", {"voicemail_action": ""}, {"voicemail_action"}),
        ("screening", {"screening_answer": False}, None),
        ("ring_time", {"ring_time_ms": 8_000}, {"ring_time_ms"}),
        ("ring_time", {"ring_time_ms": 120_000}, {"ring_time_ms"}),
        ("recordings", {"signed_recordings": False}, {"signed_recordings"}),
        ("version", {"published": False, "newest_version": None}, None),
    ],
)
def test_what_could_be_better_is_amber_says_so_and_says_what_to_do(
    code: str, changes: dict[str, Any], fixes: set[str] | None
) -> None:
    found = check(code, **changes)
    assert found.level == Level.AMBER
    assert found.sentence
    assert found.what_to_do
    assert (set(found.fix) if found.fix else None) == fixes


@pytest.mark.parametrize(
    "line",
    [
        "Hola, soy una asistente de inteligencia artificial de {{company_name}}.",
        "Guten Tag, hier ist die KI-Assistentin von {{company_name}}.",
        "Bonjour, je suis l'assistante IA de {{company_name}}.",
        "Hello, I'm an A.I. calling for Brightside.",
        "Hi, this is the virtual assistant of Brightside.",
    ],
)
def test_an_introduction_is_understood_in_several_languages(line: str) -> None:
    assert check("says_ai", opening_line=line).level == Level.GREEN
    assert check("says_company", opening_line=line).level == Level.GREEN


@pytest.mark.parametrize(
    "line",
    ["I said it again, wait.", "Kid, are you there?", "Maia from the bank.", "Bonjour, j'ai une question."],
)
def test_letters_inside_other_words_do_not_count(line: str) -> None:
    assert check("says_ai", opening_line=line).level == Level.AMBER


def test_a_pin_that_lags_behind_is_told() -> None:
    assert "5" in check("version", pinned="3", newest_version=5).sentence
    assert check("version", pinned="5", newest_version=5).level == Level.GREEN


def test_a_fix_the_provider_cannot_make_is_not_offered() -> None:
    assert check("recordings", signed_recordings=False, editable=frozenset()).fix is None


def test_the_worst_comes_first() -> None:
    levels = [
        check.level for check in judged(dataclasses.replace(READY, suspended=True, voicemail_action=""))
    ]
    assert levels[:2] == [Level.RED, Level.AMBER]


def test_a_profile_survives_its_row() -> None:
    stored = json.loads(json.dumps(readiness.profile_to_json(READY)))
    assert readiness.profile_from_json(stored) == READY


def agent(profile: AgentProfile | None = READY, **columns: Any) -> Agent:
    return Agent(name="Ava", profile=readiness.profile_to_json(profile) if profile else {}, **columns)


def test_an_agent_never_synced_may_call_but_is_not_green() -> None:
    assert readiness.blocking(agent(None)) == []
    assert readiness.light(readiness.checks_of(agent(None))) == Level.AMBER


def test_only_reds_block(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://calls.example.com"
    assert readiness.blocking(agent(dataclasses.replace(READY, voicemail_action=""))) == []
    blocked = readiness.blocking(agent(dataclasses.replace(READY, suspended=True)))
    assert [check.code for check in blocked] == ["suspended"]


def test_what_a_call_brings_along_is_supplied(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://calls.example.com"
    asks = agent(dataclasses.replace(READY, variables_used=frozenset({"policy_number"})))
    assert [check.code for check in readiness.blocking(asks)] == ["variables"]
    assert readiness.blocking(asks, also_supplied={"policy_number"}) == []


def test_every_supplied_variable_has_a_value(settings: Any) -> None:
    settings.COMPANY_NAME = "Brightside"
    values = values_for({"name": "Mia van Novak", "first_name": "Mia"}, agent=None)
    assert values.keys() >= SUPPLIED.keys()
    assert values["last_name"] == "van Novak"
    assert values["company_name"] == "Brightside"
    assert values["caller_known"] == "true"


def test_an_empty_value_gives_way_to_the_agent_s_default() -> None:
    polite = agent(dataclasses.replace(READY, default_variables={"first_name": "there"}))
    assert "first_name" not in values_for({}, agent=polite)
    assert values_for({}, agent=agent())["first_name"] == ""


def test_the_first_line_is_shown_as_it_will_be_spoken() -> None:
    pieces = spoken("Hi {{ first_name }}, about {{policy}}.", {"first_name": "<b>Mia</b>"}, {})
    assert "".join(piece.text for piece in pieces) == "Hi <b>Mia</b>, about {{policy}}."
    assert [piece.text for piece in pieces if piece.missing] == ["{{policy}}"]
