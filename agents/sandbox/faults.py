"""What can be made to go wrong, and when: by chance or for the next few times."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

NAMES: Mapping[str, str] = {
    "create_429": "create-phone-call answers 429 and no call is made",
    "create_500_before": "create-phone-call answers 500 and no call is made",
    "create_500_after": "the call is made, create-phone-call answers 500",
    "create_hang_after": "the call is made, the answer comes after `seconds`",
    "create_disconnect_after": "the call is made, the connection is closed without an answer",
    "create_unreadable": "the call is made, create-phone-call answers 201 with a body that is not JSON",
    "make_500_after": "what a number needs is made (`event`: the last part of its path), the answer is 500",
    "create_400": "create-phone-call answers 400 for a reason of its own and no call is made",
    "create_402": "create-phone-call answers 402: no credit",
    "answer_401": "any endpoint answers 401 to the right key",
    "stop_utterance_500": "stop-utterance answers 500 and the agent talks on",
    "read_429": "any endpoint that reads answers 429 with Retry-After: 1",
    "read_500": "any endpoint that reads answers 500",
    "read_hang": "any endpoint that reads answers after `seconds`",
    "webhook_drop": "the event is never sent",
    "webhook_double": "the event is sent twice",
    "webhook_delay": "the event is sent after `seconds`",
    "webhook_reorder": "the event is sent after the next one of its call",
    "webhook_bad_signature": "the event is sent with a signature by another key",
}


class UnknownFault(ValueError):
    """No fault of that name, or a setting it does not have."""


@dataclass(slots=True)
class Fault:
    """`next` times for certain, and besides that with `probability`; only for `event`, when given.

    `up_to`: at each strike `seconds` is drawn between `seconds` and this.
    """

    probability: float = 0.0
    next: int = 0
    seconds: float = 0.0
    up_to: float = 0.0
    event: str = ""
    taken: int = field(default=0, compare=False)


_SETTINGS = ("probability", "next", "seconds", "up_to", "event")


class Faults:
    """Seeded, so that a run can be repeated: threads may come in any order, each draw is of its own key."""

    def __init__(self, seed: int) -> None:
        self._lock = threading.Lock()
        self.reset(seed)

    def reset(self, seed: int) -> None:
        with self._lock:
            self._seed = seed
            self._asked: Counter[tuple[str, str, str]] = Counter()
            self._set: dict[str, Fault] = {}

    def set(self, name: str, setting: Mapping[str, Any] | None) -> None:
        """`setting` None takes the fault away. Raises UnknownFault."""
        if name not in NAMES:
            raise UnknownFault(f"There is no fault “{name}”. Known: {', '.join(NAMES)}.")
        with self._lock:
            if setting is None:
                self._set.pop(name, None)
                return
            try:
                fault = Fault(
                    probability=float(setting.get("probability", 0)),
                    next=int(setting.get("next", 0)),
                    seconds=float(setting.get("seconds", 0)),
                    up_to=float(setting.get("up_to", 0)),
                    event=str(setting.get("event", "")),
                )
            except (TypeError, ValueError) as error:
                raise UnknownFault(f"The setting of “{name}” cannot be read: {error}.") from error
            unknown = set(setting) - set(_SETTINGS)
            if unknown:
                raise UnknownFault(f"“{name}” has no setting {', '.join(sorted(unknown))}.")
            self._set[name] = fault

    def take(self, name: str, *, event: str = "", key: str = "") -> Fault | None:
        """The fault, if it strikes now. `key`: whom; the same one fares the same in every run of a seed."""
        with self._lock:
            fault = self._set.get(name)
            if fault is None or (fault.event and fault.event != event):
                return None
            asked = (name, event, key)
            self._asked[asked] += 1
            luck = random.Random(f"{self._seed}:{asked}:{self._asked[asked]}")  # noqa: S311  repeatable on purpose
            if fault.next > 0:
                fault.next -= 1
            elif not luck.random() < fault.probability:
                return None
            fault.taken += 1
            return replace(fault, seconds=luck.uniform(fault.seconds, max(fault.seconds, fault.up_to)))

    def state(self) -> dict[str, dict[str, Any]]:
        with self._lock:
            return {name: asdict(fault) for name, fault in self._set.items()}
