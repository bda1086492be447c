"""A call's conversation as it is heard, from a script: who says what, and when, to the word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time
from random import Random
from typing import Any

from agents.sandbox.live_talk import LiveTalk
from agents.sandbox.names import sounds_like_a_woman
from agents.sandbox.people import Behaviour
from agents.sandbox.scripts import SCRIPTS, Script, render
from agents.sandbox.talk import Conversation, Timeline, Turn, analysis_of, broken_off, local_time, on_frame

__all__ = ["Conversation", "LiveTalk", "Turn", "converse"]

CALLBACK = re.compile(r"\+(\d+) (\d\d):(\d\d)")

PAUSES_S: Mapping[str, tuple[float, float]] = {
    "agent": (0.5, 1.1),
    "user": (0.35, 0.95),
    "transfer_target": (0.6, 1.2),
}


def converse(
    what: Behaviour | str,
    *,
    variables: Mapping[str, str],
    now: datetime,
    local_tz: str | None,
    seed: int | str,
) -> Conversation:
    """The conversation that a behaviour (or a script's id) leads to.

    `variables` are the call's dynamic variables; missing and empty ones take the script's defaults.
    `now` (aware) is when the call was picked up and `local_tz` the callee's zone: call-back times follow from
    them. Raises LookupError for a script that does not exist, ValueError for a naive `now`.
    """
    if now.tzinfo is None:
        raise ValueError("now must be aware")
    script_id, reason = (
        (what.script, what.disconnection_reason) if isinstance(what, Behaviour) else (what, "")
    )
    made_of = {
        "script": script_id,
        "variables": dict(variables),
        "now": now.isoformat(),
        "local_tz": local_tz,
        "seed": seed,
        "reason": reason,
    }
    if script_id is None:
        return _nobody(reason, made_of)
    script = SCRIPTS[script_id]
    luck = Random(f"{seed}:{script.id}")  # noqa: S311  pauses, not secrets
    timeline = Timeline(voices_of(script, variables))
    for line in script.turns:
        pause = line.pause_s if line.pause_s is not None else luck.uniform(*PAUSES_S[line.role])
        text = render(line.text, variables, script.defaults)
        timeline.add(line.role, text, pause_s=pause, voice=line.voice)
    return Conversation(
        script=script.id,
        language=script.language,
        turns=tuple(timeline.turns),
        duration_s=on_frame(timeline.end_s + script.tail_s),
        disconnection_reason=reason or script.ends,
        analysis=_analysis(script, variables, now=now, local_tz=local_tz),
        made_of=made_of,
    )


def voices_of(script: Script, variables: Mapping[str, str]) -> dict[str, str]:
    """Whose voice each role has, by the script's speakers and, for the person called, the first name."""
    person = "woman" if sounds_like_a_woman(str(variables.get("first_name") or "")) else "man"
    cast = {
        "person": f"{person}-{script.language}",
        "spanish": f"{person}-es",
        "reception": f"woman-{script.language}",
        "device": "device-en",
    }
    voices = {
        "agent": f"agent-{script.language}",
        "user": cast["person"],
        "transfer_target": cast["reception"],
    }
    return voices | {role: cast[speaker] for role, speaker in script.speakers.items()}


def _analysis(
    script: Script, variables: Mapping[str, str], *, now: datetime, local_tz: str | None
) -> dict[str, Any]:
    callback = ""
    if match := CALLBACK.fullmatch(script.analysis.callback):
        callback = local_time(now, local_tz, days=int(match[1]), at=time(int(match[2]), int(match[3])))
    summary = render(script.analysis.summary, variables, script.defaults)
    return analysis_of(script.analysis, summary=summary, callback_time=callback)


def _nobody(reason: str, made_of: dict[str, Any]) -> Conversation:
    return Conversation(
        script=None,
        language="en",
        turns=(),
        duration_s=0.0,
        disconnection_reason=reason,
        analysis=broken_off(()),
        made_of=made_of,
    )
