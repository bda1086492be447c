"""What is said in one call, laid out in time: turns, the conversation they make, and the timeline.

Times are seconds of audio from the moment somebody picks up, laid out on the clips that the recording is made
of (speech.py), so that transcript and recording cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from agents.sandbox.scripts import Analysis, Role
from agents.sandbox.speech import FRAME_S, Word, speak


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One person speaking until another does. `words` cover `content`, in order.

    `spoken` is the whole line; it says more than `content` only where the call broke off in the middle.
    """

    role: Role
    content: str
    words: tuple[Word, ...]
    voice: str
    spoken: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """All that was said in one call. `analysis` is Retell's call_analysis; `made_of` can make it again.

    A call that nobody picked up is a conversation without turns that lasts 0 s.
    """

    script: str | None
    language: str
    turns: tuple[Turn, ...]
    duration_s: float
    disconnection_reason: str
    analysis: dict[str, Any]
    made_of: dict[str, Any] = field(repr=False)

    def as_of(self, seconds: float) -> Conversation:
        """The conversation as it stood `seconds` after the pick-up: the last turn cut at a word.

        One that is cut before its last word concludes nothing: what was not said was not agreed.
        """
        if seconds >= self.duration_s:
            return self
        heard = tuple(turn for turn in (_cut(turn, seconds) for turn in self.turns) if turn.words)
        whole = bool(self.turns) and heard == self.turns
        return replace(
            self,
            turns=heard,
            duration_s=on_frame(max(seconds, heard[-1].end_s if heard else 0.0)),
            analysis=self.analysis if whole else broken_off(heard),
            made_of={**self.made_of, "until_s": seconds},
        )


class Timeline:
    """Puts one line after another and knows where the audio ends."""

    def __init__(self, voices: Mapping[str, str]) -> None:
        """`voices`: who speaks for each role, names of speech.VOICES."""
        self.turns: list[Turn] = []
        self.end_s = 0.0
        self._voices = voices

    def add(self, role: Role, text: str, *, pause_s: float, voice: str = "") -> Turn:
        """One line after `pause_s` of silence, in the role's voice or in another."""
        voice = voice or self._voices[role]
        start = on_frame(self.end_s + pause_s)
        speech = speak(voice, text)
        self.end_s = on_frame(start + speech.seconds)
        words = tuple(
            Word(word.word, round(start + word.start, 3), round(start + word.end, 3)) for word in speech.words
        )
        turn = Turn(
            role=role, content=text, words=words, voice=voice, spoken=text, start_s=start, end_s=self.end_s
        )
        self.turns.append(turn)
        return turn


def on_frame(seconds: float) -> float:
    """The nearest moment at which a frame of audio begins."""
    return round(round(seconds / FRAME_S) * FRAME_S, 3)


def local_time(now: datetime, local_tz: str | None, *, days: int, at: time) -> str:
    """ISO date and time with offset on the callee's own clock, `days` from their today."""
    here = now.astimezone(ZoneInfo(local_tz)) if local_tz else now
    return datetime.combine(here.date() + timedelta(days=days), at, here.tzinfo).isoformat()


def analysis_of(facts: Analysis, *, summary: str, callback_time: str) -> dict[str, Any]:
    """Facts in the shape of Retell's `call_analysis`."""
    return {
        "call_summary": summary,
        "user_sentiment": facts.sentiment,
        "call_successful": facts.successful,
        "in_voicemail": facts.in_voicemail,
        "custom_analysis_data": {
            "interested": facts.interested,
            "callback_time": callback_time,
            "do_not_call": facts.do_not_call,
            "wrong_number": facts.wrong_number,
            "objection": facts.objection,
            "promise": facts.promise,
        },
    }


def broken_off(heard: tuple[Turn, ...]) -> dict[str, Any]:
    """The analysis of a conversation that ended before anything was concluded."""
    spoke = any(turn.role == "user" for turn in heard)
    facts = Analysis(sentiment="Neutral" if spoke else "Unknown")
    if not heard:
        return analysis_of(facts, summary="Nobody said a word.", callback_time="")
    return analysis_of(facts, summary="The call was broken off before anything was agreed.", callback_time="")


def _cut(turn: Turn, seconds: float) -> Turn:
    words = tuple(word for word in turn.words if word.start <= seconds)
    if len(words) == len(turn.words):
        return turn
    text = " ".join(word.word for word in words)
    return replace(turn, content=text, words=words, end_s=words[-1].end if words else turn.start_s)
