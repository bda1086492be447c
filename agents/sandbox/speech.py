"""Text into speech, from clips made beforehand, with the time of every word.

`audio/<voice>.mp3` holds one voice's clips one after another and `audio/clips.json` says which words stand
where. All of it is MPEG-2 Layer III, mono, 16 kHz, 24 kbit/s, without a bit reservoir: every frame is 108
bytes and 36 ms and stands alone, so speech is put together by joining bytes, a browser plays it, and times
are exact. A sentence is covered with the longest clips that fit: the whole sentence, a phrase, a word of
the word bank, and at last syllables, so that anything can be said, only less well.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

FRAME_S = 0.036
FRAME_BYTES = 108
SILENT_FRAME = bytes([0xFF, 0xF3, 0x38, 0xC4]).ljust(FRAME_BYTES, b"\0")

VOICES = (
    "agent-en", "man-en", "woman-en", "device-en",
    "agent-de", "man-de", "woman-de",
    "agent-es", "man-es", "woman-es",
)  # fmt: skip

SAYS_ANYTHING = ("agent-en", "man-en", "woman-en", "agent-de", "man-de", "agent-es", "man-es")
"""Voices with clips for text that is not in a script: replies, digits, syllables, and in English words."""

COMMA_FRAMES = 4
SENTENCE_FRAMES = 9
LONGEST_WORD = 8
"""Syllables spoken of a word that has no clip; the rest of a monstrous word is passed over."""

AUDIO = Path(__file__).parent / "audio"
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")
SYLLABLE = re.compile(r"([^aeiou]*)([aeiou])[aeiou]*")
DIGITS = {
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "de": ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
    "es": ("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"),
}
ONSETS = "bdfghklmnrst"
VOWELS = "aeiou"
NEAR = str.maketrans("cjpqvwxyz", "kdbkffsis")
"""A consonant without syllables of its own -> the nearest that has; y counts as i."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word as written, and when it sounds: seconds from the start of what it is part of."""

    word: str
    start: float
    end: float


class Speech(NamedTuple):
    frames: bytes
    words: tuple[Word, ...]

    @property
    def seconds(self) -> float:
        return len(self.frames) // FRAME_BYTES * FRAME_S


class Clip(NamedTuple):
    """A run of frames and the start of each of its words, closed by the end of the last, in seconds."""

    frames: bytes
    marks: tuple[float, ...]


def silence(seconds: float) -> bytes:
    """Silence, to the nearest frame."""
    return SILENT_FRAME * round(seconds / FRAME_S)


@lru_cache(maxsize=2048)
def speak(voice: str, text: str) -> Speech:
    """`text` in a voice of VOICES. Every whitespace-separated word of it is timed, in order."""
    out = bytearray()
    words: list[Word] = []
    for sentence in SENTENCE_END.split(text.strip()):
        if out and sentence:
            out += SILENT_FRAME * SENTENCE_FRAMES
        _speak_sentence(voice, sentence.split(), out, words)
    return Speech(bytes(out), tuple(words))


def spoken_form(word: str) -> str:
    """A word as the clips know it: lower case, letters, digits and inner apostrophes only."""
    bare = "".join(c for c in word.lower().replace("’", "'") if c.isalnum() or c == "'")
    return bare.strip("'")


def syllables(word: str) -> list[str]:
    """Names of the syllable clips that stand in for a word without a clip of its own: `~ma`, `~ri`, `~a`."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(c))
    found = []
    for onset, vowel in SYLLABLE.findall("".join(_latin(c) for c in plain if c.isalnum())):
        consonants = [c for c in onset if c in ONSETS]
        found.append(f"~{consonants[-1] if consonants else ''}{vowel}")
    return found[:LONGEST_WORD] or ["~e"]


def _latin(char: str) -> str:
    if "a" <= char <= "z":
        return char.translate(NEAR)
    # Another script: some syllable, always the same one for the same sign.
    return ONSETS[ord(char) % len(ONSETS)] + VOWELS[ord(char) // len(ONSETS) % len(VOWELS)]


def _speak_sentence(voice: str, tokens: list[str], out: bytearray, words: list[Word]) -> None:
    at = 0
    while at < len(tokens):
        covered, clip = _longest(voice, tokens, at)
        start = len(out) // FRAME_BYTES * FRAME_S
        out += clip.frames
        for token, begin, end in zip(tokens[at : at + covered], clip.marks[:-1], clip.marks[1:], strict=True):
            words.append(Word(token, round(start + begin, 3), round(start + end, 3)))
        at += covered
        if at < len(tokens) and tokens[at - 1][-1] in ",;:–":
            out += SILENT_FRAME * COMMA_FRAMES


def _longest(voice: str, tokens: list[str], at: int) -> tuple[int, Clip]:
    bank = _bank(voice)
    forms = [spoken_form(token) for token in tokens[at:]]
    for length in range(min(bank.longest.get(forms[0], 0), len(forms)), 0, -1):
        clip = bank.clip(" ".join(forms[:length]))
        if clip is not None:
            return length, clip
    return 1, _plainly(bank, forms[0])


def _plainly(bank: Bank, form: str) -> Clip:
    frames = bytearray()
    for name in _parts(bank, form):
        clip = bank.clip(name)
        if clip is None:
            raise LookupError(f"{bank.voice} has no clip {name!r}: make the audio again, see audio/make.py")
        frames += clip.frames
    return Clip(bytes(frames), (0.0, len(frames) // FRAME_BYTES * FRAME_S))


def _parts(bank: Bank, form: str) -> Iterator[str]:
    for run in re.findall(r"[0-9]+|[^0-9]+", form):
        if run.isdecimal() and run.isascii():
            yield from (DIGITS[bank.language][int(digit)] for digit in run[:12])
        else:
            yield from syllables(run)


class Bank:
    """The clips of one voice, by the words they say."""

    def __init__(self, voice: str, index: Mapping[str, list[int]], audio: bytes) -> None:
        self.voice = voice
        self.language = voice.rpartition("-")[2]
        self._index = index
        self._audio = audio
        self.longest: dict[str, int] = {}
        for key in index:
            forms = key.split(" ")
            self.longest[forms[0]] = max(len(forms), self.longest.get(forms[0], 0))

    def clip(self, key: str) -> Clip | None:
        """The clip that says exactly these spoken forms, None if none does."""
        place = self._index.get(key)
        if place is None:
            return None
        first, count, *marks = place
        frames = self._audio[first * FRAME_BYTES : (first + count) * FRAME_BYTES]
        return Clip(frames, tuple(min(mark / 100, count * FRAME_S) for mark in marks))


@cache
def _index() -> Mapping[str, Mapping[str, list[int]]]:
    found: Mapping[str, Mapping[str, list[int]]] = json.loads(
        (AUDIO / "clips.json").read_text(encoding="utf-8")
    )
    return found


@cache
def _bank(voice: str) -> Bank:
    if voice not in VOICES:
        raise LookupError(f"no voice {voice!r}")
    return Bank(voice, _index()[voice], (AUDIO / f"{voice}.mp3").read_bytes())
