"""What the article's contract tells of a call: three facts, and every moment somebody begins or stops.

An interruption is heard before it is understood: speech_started comes while the agent still talks, the
first words a quarter of a second later, and the agent's words end where its line ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from agents.sandbox.conversation import Conversation, Turn
from agents.sandbox.phone_call import Event, PhoneCall
from agents.sandbox.retell_call import utterance

RECOGNISED_AFTER_S = 0.25
"""From the first sound to the first words."""
PART_WORDS = 3
BEFORE_THE_END_S = 0.8
BEGINS_AGAIN_S = 0.3
LIVE = ("speech_started", "agent_start_talking", "agent_stop_talking", "transcript")


@dataclass(frozen=True, slots=True)
class Interrupting:
    """How people interrupt."""

    share: float = 0.35
    """How often somebody begins before the agent has finished, where it is their turn next."""
    times: int = 1
    """How many times in such a turn ("Wait... no wait... actually...")."""


@dataclass(frozen=True, slots=True)
class Moment:
    """`at_s` after the pick-up. `utterance`: which line of the agent's it is about; None before its first."""

    at_s: float
    name: str
    utterance: int | None
    text: str = ""
    final: bool = True


def moments(conversation: Conversation, how: Interrupting) -> Iterator[Moment]:
    """In order of time, turn by turn."""
    spoken: int | None = None
    for index, turn in enumerate(conversation.turns):
        before = conversation.turns[index - 1] if index else None
        if turn.role == "user":
            yield from _person(turn, spoken, begun_s=_interrupts(before, turn, how))
        else:
            spoken = index
            follows = conversation.turns[index + 1] if index + 1 < len(conversation.turns) else None
            yield Moment(turn.start_s, "agent_start_talking", index)
            begun_s = _interrupts(turn, follows, how)
            if begun_s is not None and follows is not None:
                for again in range(how.times):
                    yield Moment(begun_s + again * BEGINS_AGAIN_S, "speech_started", index)
                yield Moment(
                    begun_s + RECOGNISED_AFTER_S, "transcript", index, _first_words(follows), final=False
                )
            yield Moment(turn.end_s, "agent_stop_talking", index)


def moments_of_typed(turn: Turn, index: int) -> Iterator[Moment]:
    """The same for a line that somebody typed, or that answers it."""
    if turn.role == "user":
        yield from _person(turn, index - 1 if index else None, begun_s=None)
        return
    yield Moment(turn.start_s, "agent_start_talking", index)
    yield Moment(turn.end_s, "agent_stop_talking", index)


def _person(turn: Turn, spoken: int | None, *, begun_s: float | None) -> Iterator[Moment]:
    if begun_s is None:
        yield Moment(turn.start_s, "speech_started", spoken)
        if len(turn.words) > PART_WORDS:
            part = _first_words(turn)
            yield Moment(turn.start_s + RECOGNISED_AFTER_S, "transcript", spoken, part, final=False)
    yield Moment(turn.end_s, "transcript", spoken, turn.content)


def _interrupts(agent: Turn | None, person: Turn | None, how: Interrupting) -> float | None:
    """When the person began, if that was before the agent had finished."""
    if agent is None or person is None or agent.role != "agent" or person.role != "user":
        return None
    begun_s = agent.end_s - BEFORE_THE_END_S - (how.times - 1) * BEGINS_AGAIN_S
    luck = Random(f"{agent.content}:{person.content}").random()  # noqa: S311  repeatable on purpose
    return begun_s if luck < how.share and begun_s > agent.start_s else None


def _first_words(turn: Turn) -> str:
    return " ".join(turn.content.split()[:PART_WORDS])


def utterance_id(call: PhoneCall, utterance: int) -> str:
    return f"utt_{call.id[-8:]}_{utterance}"


def live_body(call: PhoneCall, moment: Moment, *, at_ms: int) -> dict[str, Any]:
    """Always nested, as the article shows its event log."""
    about: dict[str, Any] = {"call_id": call.id}
    if call.metadata is not None:
        about["metadata"] = call.metadata
    if moment.name == "transcript":
        about |= {"transcript": moment.text, "is_final": moment.final}
    elif moment.utterance is not None:
        about["last_utterance_id"] = utterance_id(call, moment.utterance)
    if moment.name == "speech_started":
        about["transcript"] = ""
    return {"event": moment.name, "call": about, "timestamp": at_ms}


def body_of(event: Event, call: PhoneCall, *, envelope: str) -> dict[str, Any]:
    """`mixed`: each event of each call in one of the article's spellings, always the same one."""
    name = {Event.CONNECTED: "call_started", Event.ENDED: "call_ended", Event.ANALYSED: "call_analyzed"}[
        event
    ]
    luck = Random(f"{call.id}:{name}")  # noqa: S311  repeatable on purpose
    nested = envelope == "nested" or (envelope == "mixed" and luck.random() < 0.5)
    about = _about(event, call, analysis="call_analysis" if nested or luck.random() < 0.5 else "analysis")
    if nested:
        stamp = {Event.CONNECTED: call.answered_ms}.get(event, call.ended_ms)
        return {"event": name, "call": about, "timestamp": stamp}
    return {"event" if luck.random() < 0.5 else "type": name, **about}


def _about(event: Event, call: PhoneCall, *, analysis: str) -> dict[str, Any]:
    about: dict[str, Any] = {
        "call_id": call.id,
        "direction": call.direction,
        "from_number": call.from_number,
        "to_number": call.to_number,
    }
    if call.metadata is not None:
        about["metadata"] = call.metadata
    if event is Event.CONNECTED:
        return about | {"status": "ongoing"}
    about |= {"status": "ended", "call_duration": call.duration_ms() / 1000 if call.connected else 0}
    if event is Event.ANALYSED:
        found = call.analysis()
        own = found.pop("custom_analysis_data", {})
        turns = [utterance(turn) for turn in call.so_far()]
        about[analysis] = {"transcript": turns, **found, "custom_analysis": own}
    return about
