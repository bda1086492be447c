"""The conversations, one JSON file each, and the types they are read into.

A script is written like a screenplay: `turns` are lines of [role, text], [role, text, pause] or [role,
text, pause, voice], the pause being the seconds before the line, or null. Roles are Retell's: agent, user,
transfer_target. `{{name|otherwise}}` is replaced by the call's variable or, where that is empty, by what
stands after the bar. `analysis` says what Retell would conclude.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

VARIABLE = re.compile(r"\{\{\s*(\w+)\s*(?:\|([^{}]*))?\}\}")
BRACES = re.compile(r"[{}]")
SPACE_BEFORE_SIGN = re.compile(r"\s+([,.!?])")

Role = Literal["agent", "user", "transfer_target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    role: Role
    text: str
    pause_s: float | None
    """Silence before the line; None leaves it to chance."""
    voice: str
    """Another voice than the role's for this line, of speech.VOICES; usually ""."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What was said, concluded. `callback` is "" or "+<days> HH:MM" in the callee's local time."""

    summary: str = ""
    sentiment: Literal["Positive", "Neutral", "Negative", "Unknown"] = "Unknown"
    successful: bool = False
    in_voicemail: bool = False
    interested: bool = False
    callback: str = ""
    do_not_call: bool = False
    wrong_number: bool = False
    objection: str = ""
    promise: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One conversation. `speakers` names who lends the user's (or transfer target's) voice, see speech.py."""

    id: str
    kind: str
    language: str
    direction: Literal["outbound", "inbound", "both"]
    topic: str
    ends: str
    tail_s: float
    defaults: Mapping[str, str]
    speakers: Mapping[str, str]
    turns: tuple[Line, ...]
    analysis: Analysis


def read(source: Mapping[str, Any]) -> Script:
    """A script from its JSON; KeyError and TypeError say what is missing or unknown."""
    lines = tuple(
        Line(role=role, text=text, pause_s=more[0] if more else None, voice=more[1] if more[1:] else "")
        for role, text, *more in source["turns"]
    )
    rest = {key: value for key, value in source.items() if key not in {"turns", "analysis"}}
    return Script(
        **{"topic": "", "tail_s": 0.5, "defaults": {}, "speakers": {}, **rest},
        turns=lines,
        analysis=Analysis(**source["analysis"]),
    )


def render(text: str, variables: Mapping[str, str], defaults: Mapping[str, str]) -> str:
    """`text` with its variables filled in: the call's, else the script's default, else the text's own."""

    def value(match: re.Match[str]) -> str:
        name, otherwise = match[1], match[2] or ""
        given = " ".join(BRACES.sub("", str(variables.get(name) or "")).split())
        return given or defaults.get(name, "") or otherwise

    return SPACE_BEFORE_SIGN.sub(r"\1", VARIABLE.sub(value, text)).strip()


def find(*, kind: str, language: str, direction: str) -> list[Script]:
    """All conversations of a kind in a language that fit a direction, by id."""
    return [
        script
        for script in SCRIPTS.values()
        if (script.kind, script.language) == (kind, language) and script.direction in {direction, "both"}
    ]


def _read_all() -> dict[str, Script]:
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.json")):
        script = read(json.loads(path.read_text(encoding="utf-8")))
        if script.id != path.stem:
            raise ValueError(f"{path.name} calls itself {script.id!r}")
        found[script.id] = script
    return found


SCRIPTS: Mapping[str, Script] = MappingProxyType(_read_all())
