"""What breaks, and when: drawn from the seed, so that the same storm comes again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.storm.plan import FAULTS, Plan
from tests.storm.world import World

TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class Blow:
    """After `gap_s`, `what` (kill or freeze) hits the process `whom`; a freeze lasts `lasts_s`."""

    gap_s: float
    what: str
    whom: str
    lasts_s: float


def blows(plan: Plan) -> Callable[[], Blow]:
    """Each call gives the next one; the order is the seed's."""
    luck = plan.luck("blows")
    dialers = [f"dialer-{number + 1}" for number in range(plan.dialers)]
    targets = ["web", "worker", *dialers]
    weights = [3.0, 1.0, *[6.0 / plan.dialers] * plan.dialers]

    def draw() -> Blow:
        return Blow(
            gap_s=luck.uniform(0.4, 1.6) * plan.kill_every_s,
            what=luck.choice(("kill", "freeze")),
            whom=luck.choices(targets, weights)[0],
            lasts_s=luck.uniform(0.5, plan.longest_freeze_s),
        )

    return draw


class Weather(threading.Thread):
    """From `start` to `calm`."""

    def __init__(self, world: World) -> None:
        super().__init__(name="weather", daemon=True)
        self.counted: Counter[str] = Counter()
        self._world = world
        self._over = threading.Event()
        self._thaws: list[tuple[float, str]] = []

    def run(self) -> None:
        plan, draw = self._world.plan, blows(self._world.plan)
        self._world.control("faults", **FAULTS)
        blow = draw()
        to_blow, to_restart = blow.gap_s, plan.database_restart_every_s / 2
        before = time.monotonic()
        while not self._over.wait(TICK_S):
            now = time.monotonic()
            passed, before = now - before, now
            self._thaw(now)
            if not self._world.all_up():
                # On a slow machine everybody takes longer to come back; hitting them again would prove less.
                continue
            to_blow, to_restart = to_blow - passed, to_restart - passed
            if to_blow <= 0:
                self._hit(blow, now)
                blow = draw()
                to_blow = blow.gap_s
            if plan.engine == "postgresql" and to_restart <= 0:
                self._restart_database()
                to_restart = plan.database_restart_every_s

    def calm(self) -> None:
        """No more blows; what is frozen goes on; the network does as it should."""
        self._over.set()
        self.join(60)
        self._thaw(float("inf"))
        self._world.control("faults")

    def _restart_database(self) -> None:
        crash = self._world.database_restarts % 2 == 0
        self._world.restart_database(crash=crash)
        self.counted["database crash" if crash else "database restart"] += 1

    def _hit(self, blow: Blow, now: float) -> None:
        if blow.what == "kill":
            self._world.kill(blow.whom)
        else:
            self._world.freeze(blow.whom)
            self._thaws.append((now + blow.lasts_s, blow.whom))
        self.counted[f"{blow.what} {blow.whom}"] += 1

    def _thaw(self, now: float) -> None:
        for due, whom in [one for one in self._thaws if one[0] <= now]:
            self._world.thaw(whom)
            self._thaws.remove((due, whom))
