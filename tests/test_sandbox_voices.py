"""A recording is as long as its conversation, and says what the transcript says when it says it."""

from __future__ import annotations

import base64
import json
import re
import zlib
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from agents.sandbox.conversation import Conversation, LiveTalk, converse
from agents.sandbox.names import COMPANIES, FIRST_NAMES, LOCAL_NAMES, REASONS, SUMMARIES
from agents.sandbox.scripts import SCRIPTS
from agents.sandbox.speech import (
    AUDIO,
    FRAME_BYTES,
    FRAME_S,
    SAYS_ANYTHING,
    SILENT_FRAME,
    VOICES,
    speak,
    spoken_form,
    syllables,
)
from agents.sandbox.voices import from_token, recording, token

if TYPE_CHECKING:
    from playwright.sync_api import Page

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
HEADER = b"\xff\xf3\x38"
"""MPEG-2 Layer III, no checksum, 24 kbit/s, 16 kHz, no padding."""

CLIPS = json.loads((AUDIO / "clips.json").read_text(encoding="utf-8"))

DECODE = """async (sound) => {
  const bytes = Uint8Array.from(atob(sound), (c) => c.charCodeAt(0));
  const audio = await new OfflineAudioContext(1, 16000, 16000).decodeAudioData(bytes.buffer);
  const samples = audio.getChannelData(0);
  const loud = [], pitch = [], size = 640;
  for (let at = 0; at + size <= samples.length; at += size) {
    const part = samples.subarray(at, at + size);
    let power = 0;
    for (const x of part) power += x * x;
    loud.push(Math.sqrt(power / size));
    let best = 0, lag = 0;
    for (let shift = 53; shift <= 213; shift++) {
      let same = 0, one = 0, other = 0;
      for (let i = 0; i + shift < size; i++) {
        same += part[i] * part[i + shift]; one += part[i] ** 2; other += part[i + shift] ** 2;
      }
      const alike = same / Math.sqrt(one * other + 1e-9);
      if (alike > best * 1.02) { best = alike; lag = shift; }
    }
    pitch.push(best > 0.8 && power / size > 4e-4 ? 16000 / lag : 0);
  }
  return {seconds: audio.duration, loud, pitch};
}"""


def talk(script: str, **variables: str) -> Conversation:
    return converse(script, variables=variables, now=NOW, local_tz="Europe/Berlin", seed=1)


def typed(*replies: str) -> Conversation:
    talk = LiveTalk(variables={"first_name": "Xiomara"}, now=NOW, local_tz="Europe/Berlin")
    talk.agent_says(talk.next_agent_line(""))
    for reply in replies:
        talk.user_says(reply)
        talk.agent_says(talk.next_agent_line(reply))
    return talk.finish("user_hangup")


def frames(sound: bytes) -> list[bytes]:
    return [sound[at : at + FRAME_BYTES] for at in range(0, len(sound), FRAME_BYTES)]


def heard(page: Page, conversation: Conversation) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(DECODE, base64.b64encode(recording(conversation)).decode())
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_recording_is_as_long_as_its_conversation(script: str) -> None:
    conversation = talk(script, first_name="Priya", company="Acorn Kitchens")
    sound = recording(conversation)
    assert len(sound) % FRAME_BYTES == 0
    assert len(sound) // FRAME_BYTES * FRAME_S == pytest.approx(conversation.duration_s, abs=0.02)


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_is_silent_exactly_where_nobody_speaks(script: str) -> None:
    conversation = talk(script)
    parts = frames(recording(conversation))
    spoken = set()
    for turn in conversation.turns:
        first, last = round(turn.start_s / FRAME_S), round(turn.end_s / FRAME_S)
        spoken.update(range(first, last))
        assert sum(part != SILENT_FRAME for part in parts[first:last]) > 0.5 * (last - first)
    assert all(part == SILENT_FRAME for place, part in enumerate(parts) if place not in spoken)


@pytest.mark.parametrize("voice", VOICES)
def test_every_frame_of_every_voice_stands_alone(voice: str) -> None:
    for part in frames((AUDIO / f"{voice}.mp3").read_bytes()):
        assert len(part) == FRAME_BYTES
        assert part[:3] == HEADER
        assert part[4] == 0, "refers to bits of an earlier frame"


def test_the_clips_are_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in AUDIO.iterdir()) < 7_500_000


def test_every_line_of_every_script_was_spoken_beforehand() -> None:
    for script in SCRIPTS:
        for name in ("Sara", "Martin", ""):
            for turn in talk(script, first_name=name, company="Acorn Kitchens").turns:
                pieces = speak(turn.voice, turn.spoken)
                assert len(pieces.words) == len(turn.content.split())
                assert all(known(turn.voice, word) for word in turn.content.split()), turn.content


def known(voice: str, word: str) -> bool:
    return spoken_form(word) in {form for key in CLIPS[voice] for form in key.split()}


@pytest.mark.parametrize(
    ("voice", "texts"),
    [
        ("agent-en", (*FIRST_NAMES, *REASONS, *SUMMARIES, *(f"Hi {name}" for name in FIRST_NAMES))),
        ("woman-en", COMPANIES),
        ("agent-de", LOCAL_NAMES["de"]),
        ("agent-es", LOCAL_NAMES["es"]),
    ],
)
def test_the_names_of_the_demo_are_clips_of_their_own(voice: str, texts: tuple[str, ...]) -> None:
    assert not [text for text in texts if " ".join(map(spoken_form, text.split())) not in CLIPS[voice]]


@pytest.mark.parametrize("voice", SAYS_ANYTHING)
@pytest.mark.parametrize(
    "text",
    [
        "Xiomara Wrzesniewski",
        "42",
        "0049 30 1234",
        "...",
        "– yes –",
        "漢字かな",
        "Grüße, ñandú!",
        "a" * 5000,
        "<b>&amp;",
    ],
)
def test_anything_can_be_said(voice: str, text: str) -> None:
    speech = speak(voice, text)
    assert [word.word for word in speech.words] == text.split()
    assert speech.seconds < 1 + 3 * len(text.split()) + 0.4 * len(re.findall(r"\d", text))


def test_a_strange_name_is_said_by_syllables() -> None:
    assert syllables("Xiomara") == ["~si", "~ma", "~ra"]
    assert syllables("grrr") == ["~e"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_token_gives_the_conversation_back(script: str) -> None:
    conversation = talk(script, first_name='Zoë "{{', company="Fuß & Söhne")
    again = from_token(token(conversation))
    assert again == conversation
    assert recording(again) == recording(conversation)
    assert re.fullmatch(r"[\w-]+", token(conversation))


def test_a_token_of_a_call_that_broke_off_gives_the_part_that_was() -> None:
    cut = talk("solar_interested").as_of(21.5)
    assert from_token(token(cut)) == cut
    assert (
        recording(talk("solar_interested"))[: len(recording(cut)) - FRAME_BYTES]
        == recording(cut)[:-FRAME_BYTES]
    )


def test_a_token_of_a_typed_conversation_gives_it_back() -> None:
    conversation = typed("Who's that?", "Call me tomorrow at ten, ¿sí?")
    again = from_token(token(conversation))
    assert again == conversation
    assert recording(again) == recording(conversation)


@pytest.mark.parametrize(
    "rubbish",
    [
        "",
        "abc",
        "ä",
        "../../etc/passwd",
        base64.urlsafe_b64encode(zlib.compress(b"[]")).decode(),
        base64.urlsafe_b64encode(zlib.compress(b'{"script":"nobody"}')).decode(),
        base64.urlsafe_b64encode(zlib.compress(b'{"live":[["agent","x",0,"y"]],"language":"en"}')).decode(),
        base64.urlsafe_b64encode(zlib.compress(b" " * 90_000_000)).decode(),
    ],
)
def test_no_token_is_a_value_error(rubbish: str) -> None:
    with pytest.raises(ValueError, match="not a token"):
        from_token(rubbish)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("script", "name"), [("solar_interested", "Paul"), ("de_interested", "Klaus"), ("es_interested", "Pablo")]
)
def test_a_browser_hears_a_woman_and_a_man_at_the_transcripts_times(
    page: Page, script: str, name: str
) -> None:
    conversation = talk(script, first_name=name)
    sound = heard(page, conversation)
    assert sound["seconds"] == pytest.approx(conversation.duration_s, abs=0.15)
    pitches: dict[str, list[float]] = {"agent": [], "user": []}
    for turn in conversation.turns:
        first, last = int(turn.words[0].start / 0.04), int(turn.words[-1].end / 0.04)
        loud = sound["loud"][first:last]
        assert max(loud) > 0.08
        assert median(loud) > 0.01
        pitches[turn.role] += [pitch for pitch in sound["pitch"][first:last] if pitch]
    between = zip(conversation.turns, conversation.turns[1:], strict=False)
    for before, after in between:
        gap = sound["loud"][int(before.end_s / 0.04) + 3 : int(after.start_s / 0.04)]
        assert max(gap, default=0) < 0.01
    assert median(pitches["agent"]) > 1.25 * median(pitches["user"])
    assert 75 < median(pitches["user"]) < 160


@pytest.mark.browser
def test_a_browser_hears_a_typed_reply_with_a_strange_name(page: Page) -> None:
    conversation = typed("Xiomara Wrzesniewski speaking, who is this?")
    sound = heard(page, conversation)
    reply = conversation.turns[1]
    assert max(sound["loud"][int(reply.start_s / 0.04) : int(reply.end_s / 0.04)]) > 0.08
    assert sound["seconds"] == pytest.approx(conversation.duration_s, abs=0.15)
