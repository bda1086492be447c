"""The recording of a conversation, and the token from which it can be made again.

A recording is an MP3 file: the clips of speech.py with silence between them. Nothing is stored: the token in
a recording's link holds all that the conversation was made of, so a link works after a restart.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import replace
from datetime import datetime
from typing import Any

from agents.sandbox.conversation import converse
from agents.sandbox.speech import FRAME_BYTES, FRAME_S, SILENT_FRAME, VOICES, speak
from agents.sandbox.talk import Conversation, Timeline, on_frame

CONTENT_TYPE = "audio/mpeg"
LARGEST_TOKEN = 256 * 1024
"""Bytes a token may unpack to; a link is public, and this keeps it from filling the memory."""


def recording(conversation: Conversation) -> bytes:
    """The conversation as audio/mpeg, exactly as long as `duration_s` to the frame (36 ms)."""
    out = bytearray()
    for turn in conversation.turns:
        _silence_until(out, turn.start_s)
        out += speak(turn.voice, turn.spoken).frames
    _silence_until(out, conversation.duration_s)
    return bytes(out)


def token(conversation: Conversation) -> str:
    """All that the conversation was made of, in URL-safe characters; always the same for the same."""
    plain = json.dumps(conversation.made_of, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(zlib.compress(plain.encode(), 9)).decode().rstrip("=")


def from_token(text: str) -> Conversation:
    """The conversation a token was made from. Raises ValueError for anything else."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        # What lies beyond the limit stays packed, and what is cut off is no JSON.
        made_of = json.loads(zlib.decompressobj().decompress(packed, LARGEST_TOKEN))
        made = _live(made_of) if "live" in made_of else _scripted(made_of)
    except (
        binascii.Error,
        zlib.error,
        UnicodeError,
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
    ) as error:
        raise ValueError(f"not a token of a recording: {error}") from error
    return made.as_of(float(made_of["until_s"])) if "until_s" in made_of else made


def _scripted(made_of: dict[str, Any]) -> Conversation:
    made = converse(
        str(made_of["script"]),
        variables={str(name): str(value) for name, value in made_of["variables"].items()},
        now=datetime.fromisoformat(made_of["now"]),
        local_tz=made_of["local_tz"],
        seed=made_of["seed"],
    )
    return replace(made, disconnection_reason=made_of["reason"] or made.disconnection_reason, made_of=made_of)


def _live(made_of: dict[str, Any]) -> Conversation:
    timeline = Timeline({})
    for role, voice, start_s, text in made_of["live"]:
        if voice not in VOICES:
            raise ValueError(f"no voice {voice!r}")
        timeline.add(role, str(text), pause_s=float(start_s) - timeline.end_s, voice=voice)
    return Conversation(
        script=None,
        language=made_of["language"],
        turns=tuple(timeline.turns),
        duration_s=on_frame(timeline.end_s + float(made_of["tail_s"])),
        disconnection_reason=made_of["reason"],
        analysis=made_of["analysis"],
        made_of=made_of,
    )


def _silence_until(out: bytearray, seconds: float) -> None:
    missing = round(seconds / FRAME_S) - len(out) // FRAME_BYTES
    if missing < 0:
        del out[missing * FRAME_BYTES :]
    else:
        out += SILENT_FRAME * missing
