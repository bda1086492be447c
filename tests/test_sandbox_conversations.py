"""Conversations read like conversations, keep their times, and are analysed as what was said."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from agents.sandbox.conversation import Conversation, LiveTalk, converse
from agents.sandbox.names import COMPANIES, FIRST_NAMES, LOCAL_NAMES
from agents.sandbox.people import behave
from agents.sandbox.phone_call import PhoneCall, home_of
from agents.sandbox.scripts import SCRIPTS

NOON = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
BERLIN = "Europe/Berlin"
NAMED = {
    "first_name": "Maria",
    "company": "Acorn Kitchens",
    "agent_name": "Nora",
    "company_name": "Tallyboard",
}
SAYS_AI = re.compile(r"\bAI assistant|KI-Assistentin|inteligencia artificial")

talks = pytest.mark.parametrize("script", SCRIPTS)


def talk(script: str, **variables: str) -> Conversation:
    return converse(script, variables=variables, now=NOON, local_tz=BERLIN, seed=1)


def live(
    *replies: str, language: str = "en", end: str = "agent_hangup", **variables: str
) -> tuple[LiveTalk, Conversation]:
    talk = LiveTalk(variables=variables, now=NOON, local_tz=BERLIN, language=language)
    talk.agent_says(talk.next_agent_line(""))
    for reply in replies:
        talk.user_says(reply)
        if line := talk.next_agent_line(reply):
            talk.agent_says(line)
    return talk, talk.finish(end)


def test_there_are_enough_of_them() -> None:
    outbound = [script for script in SCRIPTS.values() if script.direction != "inbound"]
    assert len(outbound) >= 14
    assert len([script for script in SCRIPTS.values() if script.language != "en"]) >= 3
    assert len([script for script in SCRIPTS.values() if script.direction == "inbound"]) >= 2
    assert {script.language for script in SCRIPTS.values()} == {"en", "de", "es"}


@talks
@pytest.mark.parametrize(
    "variables", [{}, {"first_name": "", "company": " "}, {"first_name": "{{x}}", "company": "{"}, NAMED]
)
def test_nothing_ever_shows_a_brace(script: str, variables: dict[str, str]) -> None:
    conversation = talk(script, **variables)
    shown = [turn.content for turn in conversation.turns]
    shown += [str(conversation.analysis)[1:-1].replace("'custom_analysis_data': {", "").rstrip("}")]
    assert not any(sign in text for text in shown for sign in "{}|")
    assert not any(re.search(r"\s[,.!?]|^\W*$|  ", turn.content) for turn in conversation.turns)


@talks
def test_names_that_were_given_are_used(script: str) -> None:
    text = " ".join(line.text for line in SCRIPTS[script].turns)
    spoken = " ".join(turn.content for turn in talk(script, **NAMED).turns)
    for name, value in NAMED.items():
        assert (value in spoken) is bool(re.search(rf"{{{{{name}[|}}]", text))


@talks
def test_the_agent_says_that_it_is_an_ai_and_for_whom(script: str) -> None:
    lines = [line for line in SCRIPTS[script].turns if line.role == "agent"]
    if lines:
        assert SAYS_AI.search(lines[0].text)
        assert "{{company_name}}" in lines[0].text


@talks
def test_times_go_forward_and_stay_inside(script: str) -> None:
    conversation = talk(script, **NAMED)
    clock = 0.0
    for turn in conversation.turns:
        assert turn.content.split() == [word.word for word in turn.words]
        assert turn.start_s >= clock
        for word in turn.words:
            assert clock <= word.start < word.end
            clock = word.end
        assert clock <= turn.end_s <= conversation.duration_s


def test_people_speak_at_the_pace_of_people() -> None:
    for script in SCRIPTS:
        for turn in talk(script, **NAMED).turns:
            if len(turn.words) >= 6:
                assert 1.4 <= len(turn.words) / (turn.end_s - turn.start_s) <= 5.2, turn.content


@talks
def test_a_live_transcript_grows_into_the_whole(script: str) -> None:
    whole = talk(script, **NAMED)
    heard = 0
    for second in range(int(whole.duration_s) + 2):
        so_far = whole.as_of(second)
        words = [word for turn in so_far.turns for word in turn.words]
        assert words == [word for turn in whole.turns for word in turn.words][: len(words)]
        assert len(words) >= heard
        assert all(word.start <= second for word in words)
        heard = len(words)
    assert whole.as_of(whole.duration_s) == whole


def test_a_call_cut_short_concludes_nothing() -> None:
    cut = talk("solar_callback", **NAMED).as_of(9)
    assert cut.analysis["custom_analysis_data"]["callback_time"] == ""
    assert cut.analysis["call_successful"] is False
    assert cut.duration_s == pytest.approx(9, abs=0.4)


@talks
def test_the_analysis_is_that_of_the_kind(script: str) -> None:
    told = talk(script, **NAMED).analysis
    kind, data = SCRIPTS[script].kind, told["custom_analysis_data"]
    assert told["call_summary"]
    assert told["user_sentiment"] in {"Positive", "Neutral", "Negative", "Unknown"}
    assert told["in_voicemail"] is (kind == "voicemail")
    assert data["do_not_call"] is (kind == "do_not_call")
    assert bool(data["callback_time"]) is (kind == "callback")
    assert data["wrong_number"] is (kind == "wrong_number")
    if kind in {"interested", "returns_call"}:
        assert data["interested"]
        assert told["call_successful"]
        assert data["promise"]
    if kind in {"not_interested", "annoyed", "price", "wrong_number", "gatekeeper"}:
        assert not data["interested"]
        assert data["objection"]
    if kind in {"do_not_call", "annoyed"}:
        assert told["user_sentiment"] == "Negative"
        assert not told["call_successful"]
    if kind == "do_not_call":
        assert not data["interested"]


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("Europe/Berlin", "2026-11-24T10:00:00+01:00"),
        ("America/Los_Angeles", "2026-11-24T10:00:00-08:00"),
        ("Pacific/Auckland", "2026-11-25T10:00:00+13:00"),
        (None, "2026-11-24T10:00:00+00:00"),
    ],
)
def test_tomorrow_at_ten_is_on_the_callees_own_clock(zone: str | None, expected: str) -> None:
    behaviour = behave("+14155550102", seed=1, attempt=1)
    told = converse(behaviour, variables={}, now=NOON, local_tz=zone, seed=1).analysis
    assert told["custom_analysis_data"]["callback_time"] == expected


def test_a_clock_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        converse("wrong_number", variables={}, now=NOON.replace(tzinfo=None), local_tz=None, seed=1)


def test_nobody_says_a_word_where_nobody_picks_up() -> None:
    behaviour = behave("+14155550108", seed=1, attempt=1)
    silence = converse(behaviour, variables={}, now=NOON, local_tz=None, seed=1)
    assert (silence.turns, silence.duration_s, silence.disconnection_reason) == ((), 0.0, "dial_busy")


def test_the_demo_has_names_enough_and_no_name_twice() -> None:
    assert len(set(FIRST_NAMES)) == len(FIRST_NAMES) >= 150
    assert len(set(COMPANIES)) == len(COMPANIES) >= 60
    assert all(set(names) <= set(FIRST_NAMES) for names in LOCAL_NAMES.values())


def test_whoever_is_played_may_say_yes_twice_and_gets_a_visit() -> None:
    talk, conversation = live("Yes, go on.", "Sure, that works.", first_name="Maria")
    assert talk.wants_to_hang_up
    assert conversation.turns[0].content.startswith("Hi Maria. This is Ava. I'm an AI assistant calling for")
    assert conversation.analysis["custom_analysis_data"]["interested"]
    assert conversation.analysis["user_sentiment"] == "Positive"
    assert "Thursday" in conversation.analysis["custom_analysis_data"]["promise"]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Take me off your list!"),
        ("en", "please do not call me again"),
        ("de", "Rufen Sie mich nie wieder an."),
        ("es", "Borren mi número de su lista."),
    ],
)
def test_never_again_is_understood_and_ends_the_talk(language: str, text: str) -> None:
    talk, conversation = live(text, language=language)
    assert talk.wants_to_hang_up
    assert talk.next_agent_line("but") == ""
    assert conversation.analysis["custom_analysis_data"]["do_not_call"]
    assert conversation.analysis["user_sentiment"] == "Negative"


@pytest.mark.parametrize(
    ("language", "replies", "expected"),
    [
        ("en", ["Call me tomorrow at ten."], "2026-11-24T10:00:00+01:00"),
        ("en", ["I'm in a meeting.", "Tomorrow at 3 pm"], "2026-11-24T15:00:00+01:00"),
        ("en", ["Not now, I am busy", "on monday at half"], "2026-11-30T10:00:00+01:00"),
        ("en", ["call me back in two hours"], "2026-11-23T23:00:00+01:00"),
        ("en", ["Could you call back on Friday afternoon?"], "2026-11-27T15:00:00+01:00"),
        ("de", ["Rufen Sie bitte morgen um zehn an."], "2026-11-24T10:00:00+01:00"),
        ("es", ["Llámeme mañana a las diez."], "2026-11-24T10:00:00+01:00"),
    ],
)
def test_a_moment_that_was_typed_becomes_a_promise(language: str, replies: list[str], expected: str) -> None:
    talk, conversation = live(*replies, language=language)
    assert talk.wants_to_hang_up
    assert conversation.analysis["custom_analysis_data"]["callback_time"] == expected
    assert conversation.analysis["custom_analysis_data"]["promise"]


@pytest.mark.parametrize(
    ("replies", "objection", "ends"),
    [
        (["You have the wrong number."], "Wrong number.", True),
        (["What does it cost?"], "Price.", False),
        (["I'm not interested.", "We already have one."], "We already have one.", True),
        (["Can I speak to a real person?"], "Wants to speak to a person.", True),
        (["Who is this?"], "", False),
        (["Are you a robot?"], "", False),
    ],
)
def test_other_replies_are_met(replies: list[str], objection: str, ends: bool) -> None:
    talk, conversation = live(*replies)
    assert talk.wants_to_hang_up is ends
    assert conversation.analysis["custom_analysis_data"]["objection"] == objection
    assert not conversation.analysis["custom_analysis_data"]["interested"]


@pytest.mark.parametrize("language", ["en", "de", "es"])
def test_every_suggested_reply_gets_an_answer(language: str) -> None:
    opened = LiveTalk(variables={}, now=NOON, local_tz=BERLIN, language=language)
    opened.next_agent_line("")
    for reply in opened.suggested_replies():
        talk, _ = live(language=language)
        assert talk.next_agent_line(reply)
        assert talk.suggested_replies()


def test_whoever_says_nothing_is_not_judged() -> None:
    _, conversation = live(end="inactivity")
    assert conversation.analysis["user_sentiment"] == "Unknown"
    assert conversation.disconnection_reason == "inactivity"


def test_typed_replies_keep_the_time_they_were_given_at() -> None:
    talk = LiveTalk(variables={}, now=NOON, local_tz=BERLIN)
    talk.agent_says(talk.next_agent_line(""))
    reply = talk.user_says("yes", at_s=40)
    assert reply.start_s == pytest.approx(40, abs=0.02)
    late = talk.agent_says("Great.", at_s=12)
    assert late.start_s >= reply.end_s


@pytest.mark.parametrize(
    ("stated", "expected"),
    [("Asia/Tokyo", "Asia/Tokyo"), ("", "America/New_York"), ("Nowhere/At_all", "America/New_York")],
)
def test_people_live_where_the_customer_states_it_and_else_where_their_number_lies(
    stated: str, expected: str
) -> None:
    call = PhoneCall(
        id="call_x",
        direction="outbound",
        from_number="+12125550190",
        to_number="+16465550101",
        created_ms=0,
        variables={"time_zone": stated},
    )
    assert home_of(call) == expected
