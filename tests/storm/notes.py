"""What the harness did and was answered, for the verdict. Appending is safe from any thread."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """All calling was stopped for certain between the two moments, by the database's clock."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class OptOut:
    """`number` was never to be called again from `since` on at the latest, by the database's clock."""

    number: str
    since: datetime


@dataclass(slots=True)
class Notes:
    stops: list[Stop] = field(default_factory=list)
    opt_outs: list[OptOut] = field(default_factory=list)
    promised: set[str] = field(default_factory=set)
    """Ids of calls that REST answered with 201 or 200: none may be lost."""
    answers: Counter[str] = field(default_factory=Counter)
    forged: Counter[str] = field(default_factory=Counter)
    """kind of forgery and the status it was answered with"""
    forged_accepted: list[str] = field(default_factory=list)
    ring_ins: int = 0
    problems: list[str] = field(default_factory=list)
    """What the harness itself could not do."""
