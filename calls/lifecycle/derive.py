"""All facts of a call in, its columns out. Pure, and free of the order in which facts came.

Field by field the fact with the highest rank that *has* the field wins: how far it says the call was (and of
its end the one that tells of the person's own telephone), then fetched by us over pushed to us, then its own
end or start time, then when it was fetched (what a call cost may be settled later), then its hash. Absent
never overwrites. The signature's time is no part of it: it changes with each retry of the same event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agents.providers.base import CallFacts, Ending, Fault, Stage, Turn
from calls.models import AnsweredBy, CallStatus, Outcome

STATUS_OF = {
    Stage.KNOWN: CallStatus.PLACED,
    Stage.RINGING: CallStatus.RINGING,
    Stage.CONNECTED: CallStatus.IN_PROGRESS,
    Stage.ENDED: CallStatus.ENDED,
    Stage.ANALYSED: CallStatus.ENDED,
}

SPEAKERS = frozenset({"agent", "user"})


@dataclass(frozen=True, slots=True)
class Fact:
    facts: CallFacts
    fetched: bool
    key: str
    fetched_at: float = 0.0
    """Seconds since the epoch; 0 for what was pushed, whose arrival means nothing."""

    @property
    def rank(self) -> tuple[int, int, int, bool, float, float, str]:
        facts = self.facts
        moment = facts.ended_at or facts.started_at
        told = moment.timestamp() if moment else 0.0
        over = min(facts.stage, Stage.ENDED)
        return (over, facts.strength, facts.stage, self.fetched, told, self.fetched_at, self.key)


@dataclass(frozen=True, slots=True)
class Derived:
    """`columns` of Call; the transcript apart, because it is kept apart."""

    stage: Stage
    status: CallStatus
    columns: dict[str, Any]
    said: tuple[Turn, ...]
    text: str
    stopped: bool
    """Hung up on our side of the line."""
    opted_out: bool
    asked_call_back: bool

    @property
    def turns(self) -> list[dict[str, Any]] | None:
        """As `Transcript` keeps them; None when nothing was said."""
        return turns_as_json(self.said) if self.text else None


def derive(facts: Iterable[Fact]) -> Derived:
    """Raises ValueError without any fact."""
    found = list(facts)
    ranked = sorted(_without_ours(found), key=lambda fact: fact.rank, reverse=True)
    if not ranked:
        raise ValueError("a call without facts cannot be derived")

    def best(field: str, fine: Callable[[Any], bool] = lambda value: True) -> Any:
        for fact in ranked:
            value = getattr(fact.facts, field)
            if value is not None and fine(value):
                return value
        return None

    stage = Stage(max(fact.facts.stage for fact in ranked))
    columns: dict[str, Any] = {
        "provider_status": best("live_status") or "",
        "disconnection_reason": (best("disconnection_reason") or "")[:80],
        "ringing_at": best("ringing_at"),
        "answered_at": best("started_at"),
        "ended_at": best("ended_at"),
        "duration_ms": best("duration_ms", lambda ms: ms >= 0),
        "cost_micros": best("cost_micros", lambda micros: micros >= 0),
        "currency": best("currency") or "",
        "sentiment": best("sentiment") or "",
        "summary": best("summary") or "",
        "successful": best("successful"),
        "in_voicemail": best("in_voicemail"),
        "analysis": dict(best("analysis") or {}),
        "recording_url": (best("recording_url") or "")[:2000],
        "attestation": (best("attestation") or "")[:1],
        "further_recordings": list(best("further_recordings") or ()),
        "transfer_to": (best("transfer_to") or "")[:120],
        "desk_ended_at": max(filter(None, (fact.facts.desk_ended_at for fact in found)), default=None),
    }
    ending: Ending | None = best("ending")
    if stage >= Stage.ENDED:
        if ending and ending.evidence:
            columns["answered_at"] = _picked_up(ending, columns)
        columns |= _how_it_ended(ending, columns)
    turns: tuple[Turn, ...] | None = best("turns", bool)
    text: str = best("transcript", bool) or (
        "\n".join(f"{turn.role}: {turn.content}" for turn in turns) if turns else ""
    )
    return Derived(
        stage=stage,
        status=STATUS_OF[stage],
        columns=columns,
        said=turns or tuple(turns_of(text)),
        text=text,
        stopped=bool(ending and ending.stopped),
        opted_out=bool(ending and ending.opted_out),
        asked_call_back=bool(ending and ending.call_back),
    )


def _without_ours(facts: list[Fact]) -> list[Fact]:
    """Where theirs is known to have been dialled, the end of our own telephone says nothing of the call's."""
    dialled = any(fact.facts.strength > 0 and fact.facts.to_number for fact in facts)
    return [fact for fact in facts if fact.facts.strength > 0] if dialled else facts


def _picked_up(ending: Ending, columns: dict[str, Any]) -> datetime | None:
    """Where how it ended is inferred: every call may be told to have begun, and its beginning may be lost."""
    if not ending.answered_by:
        return None
    began: datetime | None = columns["answered_at"]
    if began is None and columns["ended_at"] is not None and columns["duration_ms"]:
        began = columns["ended_at"] - timedelta(milliseconds=columns["duration_ms"])
    return began


def _how_it_ended(ending: Ending | None, columns: dict[str, Any]) -> dict[str, Any]:
    talked = columns["answered_at"] is not None or bool(columns["duration_ms"])
    if ending is None:
        outcome = Outcome.CONNECTED if talked else Outcome.FAILED
        return {
            "outcome": outcome,
            "answered_by": AnsweredBy.UNCLEAR if talked else "",
            "outcome_evidence": "inferred: no reason was given, only its times",
            "retry_class": "review",
            "fault": Fault.NONE,
        }
    outcome, answered_by = Outcome(ending.outcome.value), ending.answered_by.value
    evidence = ending.evidence or columns["disconnection_reason"]
    # Voicemail has two signals: the reason for the end, and what the analysis heard.
    if columns["in_voicemail"] and outcome == Outcome.CONNECTED:
        outcome, answered_by, evidence = (
            Outcome.VOICEMAIL,
            AnsweredBy.MACHINE,
            f"{evidence}; the analysis heard voicemail",
        )
    if not ending.known:
        evidence = f"{evidence}: a reason this release does not know"
    return {
        "outcome": outcome,
        "answered_by": answered_by,
        "outcome_evidence": evidence[:200],
        "retry_class": ending.retry.value,
        "fault": ending.fault.value,
    }


def turns_of(text: str) -> Iterator[Turn]:
    """What can be told of a transcript that came as text only: `Agent: ...`, line by line, without times.

    A line that names nobody goes on with the one before it.
    """
    role, said = "", ""
    for line in filter(str.strip, text.splitlines()):
        who, colon, words = line.partition(":")
        if colon and who.strip().lower() in SPEAKERS:
            if said:
                yield Turn(role=role, content=said)
            role, said = who.strip().lower(), words.strip()
        else:
            said = f"{said}\n{line.strip()}" if said else line.strip()
    if said:
        yield Turn(role=role, content=said)


def turns_as_json(turns: Iterable[Turn]) -> list[dict[str, Any]]:
    """[{role, content, start_s, end_s, words: [[word, start_s, end_s], ...]}]"""
    return [
        {
            "role": turn.role,
            "content": turn.content,
            "start_s": turn.start_s,
            "end_s": turn.end_s,
            "words": [[word.word, word.start_s, word.end_s] for word in turn.words],
        }
        for turn in turns
    ]
