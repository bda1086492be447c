"""How big a storm is, how fast, and what goes wrong how often: from calls, seed and engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

HANG_S = 7.0
"""How long the network leaves a request hanging: past PROVIDER_TIMEOUT_S and the lease that follows it."""
DELAY_S = 2.0

FAULTS: Mapping[str, Mapping[str, Any]] = {
    "webhook_drop": {"probability": 0.05},
    "webhook_double": {"probability": 0.20},
    "webhook_delay": {"probability": 0.10, "seconds": DELAY_S},
    "webhook_reorder": {"probability": 0.11},  # of the nine tenths that are not delayed: a fifth together
    "create_429": {"probability": 0.05},
    "create_500_before": {"probability": 0.03},
    "create_500_after": {"probability": 0.03},
    "create_hang_after": {"probability": 0.02, "seconds": HANG_S},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Seconds are real ones unless their name says otherwise."""

    calls: int
    seed: int
    engine: str
    speed: float = 30.0
    """How fast people live."""
    look_factor: float = 0.03
    provider_timeout_s: float = 4.0
    at_once: int = 14
    room_at_provider: int = 30
    """Calls at once that the network takes: more than ours, so that a refusal for it would be our fault."""
    pace: float = 5.0
    """New calls a second on a line."""
    kill_every_s: float = 4.0
    database_restart_every_s: float = 60.0
    longest_freeze_s: float = 8.0
    backlog: int = 120
    """No new calls are asked for while so many wait."""
    stop_lasts_s: float = 4.0
    forge_every_s: float = 0.3
    ring_in_share: float = 0.05
    opt_out_share: float = 0.04
    again_share: float = 0.06
    cancel_share: float = 0.02
    batch_size: int = 100
    rest_s: float = 120.0
    """How long it may take to come to rest once the storm is over."""

    @property
    def dialers(self) -> int:
        return 2 if self.engine == "postgresql" else 1

    @property
    def compared_within_s(self) -> float:
        """Once an hour, by our waiting times; longer when a killed dialer's lease has to run out first."""
        return 2 * 3600 * self.look_factor + 150

    @property
    def remembers_keys_s(self) -> float:
        """The network forgets idempotency keys as early, measured in our waiting times, as the real one."""
        return 3600 * self.look_factor

    def luck(self, what: str) -> Random:
        """A stream of its own for each part, so that one drawing more does not change another."""
        return Random(f"storm:{self.seed}:{what}")


def plan_for(calls: int, seed: int, engine: str) -> Plan:
    """A short storm has to fit as much weather into half a minute as a long one into half an hour."""
    if engine == "sqlite":
        # One writer: a frozen process holds everybody up for as long as it is frozen.
        return Plan(
            calls=calls, seed=seed, engine=engine, pace=4.0, at_once=8, longest_freeze_s=2.0,
            kill_every_s=5.0 if calls <= 1000 else 10.0, backlog=60, batch_size=max(10, min(100, calls // 4)),
            look_factor=0.03,
        )  # fmt: skip
    if calls <= 1000:
        return Plan(
            calls=calls, seed=seed, engine=engine, look_factor=0.03, kill_every_s=4.0,
            database_restart_every_s=15.0, longest_freeze_s=6.0, stop_lasts_s=2.5,
            batch_size=max(20, calls // 4),
        )  # fmt: skip
    # At ten a second twenty thousand last half an hour.
    return Plan(
        calls=calls, seed=seed, engine=engine, pace=10.0, at_once=26, room_at_provider=50, kill_every_s=8.0,
        database_restart_every_s=180.0, rest_s=300.0,
    )  # fmt: skip
