"""When things happen on the network: one heap, one thread, one clock that may run fast."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Timer:
    """A promise to call `action`; `cancel` takes it back."""

    action: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass(order=True, slots=True)
class _Entry:
    due: float
    order: int
    timer: Timer = field(compare=False)


class Scheduler:
    """Calls functions later, in order of their due time, on a thread of its own.

    `after` counts seconds of the network's clock, which runs `speed` times as fast as the wall's;
    `after_wall` counts real seconds. Actions are short: what blocks belongs on another thread.
    """

    def __init__(self, speed: float, *, name: str) -> None:
        self._speed = speed
        self._anchor_wall = time.monotonic()
        self._anchor_network = 0.0
        self._changed = threading.Condition()
        self._scaled: list[_Entry] = []
        self._real: list[_Entry] = []
        self._order = itertools.count()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def speed(self) -> float:
        return self._speed

    def set_speed(self, speed: float) -> None:
        """What is due keeps its distance on the network's clock; the wall's distance changes."""
        with self._changed:
            self._anchor_network = self._network_now()
            self._anchor_wall = time.monotonic()
            self._speed = speed
            self._changed.notify()

    def now(self) -> float:
        """Seconds on the network's clock since it started."""
        with self._changed:
            return self._network_now()

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        with self._changed:
            return self._push(self._scaled, self._network_now() + max(0.0, seconds), action)

    def after_wall(self, seconds: float, action: Callable[[], None]) -> Timer:
        with self._changed:
            return self._push(self._real, time.monotonic() + max(0.0, seconds), action)

    def clear(self) -> None:
        with self._changed:
            self._scaled.clear()
            self._real.clear()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    def _network_now(self) -> float:
        return self._anchor_network + (time.monotonic() - self._anchor_wall) * self._speed

    def _push(self, heap: list[_Entry], due: float, action: Callable[[], None]) -> Timer:
        timer = Timer(action)
        heapq.heappush(heap, _Entry(due, next(self._order), timer))
        self._changed.notify()
        return timer

    def _wait_s(self) -> float:
        """Real seconds to the next due entry."""
        waits = [60.0]
        if self._scaled:
            waits.append((self._scaled[0].due - self._network_now()) / self._speed)
        if self._real:
            waits.append(self._real[0].due - time.monotonic())
        return min(waits)

    def _pop_due(self) -> Timer | None:
        if self._real and self._real[0].due <= time.monotonic():
            return heapq.heappop(self._real).timer
        if self._scaled and self._scaled[0].due <= self._network_now():
            return heapq.heappop(self._scaled).timer
        return None

    def _run(self) -> None:
        while True:
            with self._changed:
                timer = None
                while not self._stopped:
                    timer = self._pop_due()
                    if timer is not None:
                        break
                    self._changed.wait(max(0.0, self._wait_s()))
                if timer is None:
                    return
            if timer.cancelled:
                continue
            try:
                timer.action()
            except Exception:  # one broken call must not stop the whole network
                logger.exception("An action of the sandbox's network failed")
