"""How much memory and processor each process takes. Reads /proc; elsewhere it knows nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

WARM_S = 15.0
"""By then a process has imported everything and done some work: growth counts from there."""
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1_048_576


@dataclass(slots=True)
class Life:
    """One process from its start to its end. MB of resident memory."""

    name: str
    began: float
    seen: float = 0.0
    warm_mb: float = 0.0
    last_mb: float = 0.0
    most_mb: float = 0.0
    cpu_s: float = 0.0

    @property
    def lasted_s(self) -> float:
        return self.seen - self.began

    @property
    def grew_mb(self) -> float:
        return self.last_mb - self.warm_mb if self.warm_mb else 0.0


@dataclass(slots=True)
class Memory:
    """`look` every second or so, from one thread."""

    lives: dict[int, Life] = field(default_factory=dict)

    def look(self, leaders: Mapping[str, int]) -> None:
        """`leaders`: name of a process -> id of the one we started; what it started counts by itself."""
        now = time.monotonic()
        for name, leader in leaders.items():
            for pid in _with_children(leader):
                mb = _resident_mb(pid)
                if mb is None:
                    continue
                life = self.lives.setdefault(pid, Life(name, now))
                life.seen, life.last_mb, life.most_mb = now, mb, max(mb, life.most_mb)
                life.cpu_s = _cpu_s(pid)
                if not life.warm_mb and life.lasted_s >= WARM_S:
                    life.warm_mb = mb

    def told(self) -> Iterable[str]:
        """A line for each kind of process: the largest ever, and the one that lived longest."""
        names = list(dict.fromkeys(life.name for life in self.lives.values()))
        for name in names:
            mine = [life for life in self.lives.values() if life.name == name]
            cpu_s, most_mb = sum(life.cpu_s for life in mine), max(life.most_mb for life in mine)
            # Not the small one that only looks after the others.
            working = [life for life in mine if life.most_mb > most_mb / 2]
            longest = max(working, key=lambda life: life.lasted_s)
            grew = max((life.grew_mb for life in mine), default=0.0)
            yield (
                f"{name:<12} {len(mine):>4} lives {cpu_s:7.1f} s of cpu  most {most_mb:6.1f} MB"
                f"  grew at most {grew:+6.1f} MB  (longest life {longest.lasted_s:.0f} s:"
                f" {longest.warm_mb:.1f} to {longest.last_mb:.1f} MB)"
            )


def _with_children(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        except OSError:
            continue
        found += map(int, children.split())
    return found


def _resident_mb(pid: int) -> float | None:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB
    except (OSError, IndexError, ValueError):
        return None


def _cpu_s(pid: int) -> float:
    try:
        numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / TICKS
    except (OSError, IndexError, ValueError):
        return 0.0
