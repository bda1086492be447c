"""One line of a call's timeline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, or is happening. `kind`: done, now, bad. `link`: an address of ours."""

    at: datetime | None
    icon: str
    text: str
    detail: str = ""
    kind: str = "done"
    link: str = ""
    link_text: str = ""
