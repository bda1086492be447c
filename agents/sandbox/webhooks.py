"""Signed delivery of a contract's webhooks, as patient and as sloppy as the real thing.

One event is tried up to four times. Events of one call are begun in order, and while the receiver answers
promptly they arrive so; one that hangs or fails holds nobody back, so retries may overtake.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from agents.sandbox.account import now_ms
from agents.sandbox.faults import Fault, Faults
from agents.sandbox.ledger import Delivery, Ledger
from agents.sandbox.posting import Answer, Poster, PostFailed
from agents.sandbox.scheduler import Scheduler

BACK_OFF_S = (2.0, 8.0, 30.0)
"""Before the second, third and fourth attempt, on the network's clock. The real spacing is unpublished."""
PATIENCE_S = 1.0
"""How long the next event of a call waits for the one before it to be answered, in real seconds."""
REORDER_S = 5.0
"""A reordered event goes out after so many real seconds at the latest."""
WORKERS = 32

Sign = Callable[[bytes, int, str], str]
"""(body, epoch ms, key) -> the signature header's value."""


@dataclass(slots=True)
class Signer:
    """How one contract signs. `key` can be changed while running, as a customer rotates it."""

    sign: Sign
    key: str


@dataclass(slots=True, kw_only=True)
class Parcel:
    """One event on its way. `body` is fixed when it happened; the signature is new at every attempt."""

    call_id: str
    event: str
    url: str
    body: bytes
    timeout_s: float
    key: str = ""
    """Whose event it is, the same in every run: faults strike by it."""
    signer: Signer | None = None
    """None: the courier's own."""
    answered: Callable[[Answer | None], None] | None = None
    """Told of the last attempt: the 2xx answer, or None after every attempt failed."""
    attempt: int = 0


@dataclass(slots=True)
class Lane:
    """The first attempts of one call's events, one after the other."""

    call_id: str
    waiting: deque[Parcel] = field(default_factory=deque)
    held_back: list[Parcel] = field(default_factory=list)
    turn: int = 0
    busy: bool = False


class Courier:
    """Thread-safe. `key` signs; it can be changed while running, as a customer rotates it."""

    def __init__(
        self, *, key: str, sign: Sign, header: str, ledger: Ledger, faults: Faults, scheduler: Scheduler
    ):
        self.key = key
        self.faults = faults
        self._sign = sign
        self._header = header
        self._ledger = ledger
        self._scheduler = scheduler
        self._lock = threading.Lock()
        self._lanes: dict[str, Lane] = {}
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="sandbox-webhook")
        self._poster = Poster()
        self._stopped = False

    def send(self, parcel: Parcel) -> None:
        """Put an event in its call's lane, or let a fault have it."""

        def strikes(fault: str) -> Fault | None:
            return self.faults.take(fault, event=parcel.event, key=parcel.key)

        if strikes("webhook_drop"):
            self._ledger.dropped(parcel.call_id, parcel.event)
            if parcel.answered is not None:
                parcel.answered(None)
            return
        delay = strikes("webhook_delay")
        if delay is not None:
            self._scheduler.after_wall(delay.seconds, lambda: self._hand_over(parcel))
        elif strikes("webhook_reorder"):
            self._hold_back(parcel)
        else:
            self._queue(parcel)
        if strikes("webhook_double"):
            twin = Parcel(
                call_id=parcel.call_id,
                event=parcel.event,
                url=parcel.url,
                body=parcel.body,
                timeout_s=parcel.timeout_s,
                key=parcel.key,
                signer=parcel.signer,
            )
            self._hand_over(twin)

    def forget(self) -> None:
        """Whatever still waits is not sent."""
        with self._lock:
            self._lanes.clear()

    def stop(self) -> None:
        self._stopped = True
        self.forget()
        self._poster.give_up()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._poster.close()

    def _lane(self, call_id: str) -> Lane:
        return self._lanes.setdefault(call_id, Lane(call_id))

    def _queue(self, parcel: Parcel) -> None:
        with self._lock:
            lane = self._lane(parcel.call_id)
            lane.waiting.append(parcel)
            lane.waiting.extend(lane.held_back)
            lane.held_back.clear()
            ready = self._next(lane)
        self._dispatch(ready)

    def _hold_back(self, parcel: Parcel) -> None:
        with self._lock:
            self._lane(parcel.call_id).held_back.append(parcel)

        def release() -> None:
            with self._lock:
                lane = self._lanes.get(parcel.call_id)
                if lane is None or parcel not in lane.held_back:
                    return
                lane.held_back.remove(parcel)
                lane.waiting.append(parcel)
                ready = self._next(lane)
            self._dispatch(ready)

        self._scheduler.after_wall(REORDER_S, release)

    def _next(self, lane: Lane) -> tuple[Lane, Parcel, int] | None:
        """The lane's next parcel if it may go, with the turn it goes in. Under the lock."""
        if lane.busy:
            return None
        if not lane.waiting:
            if not lane.held_back:
                self._lanes.pop(lane.call_id, None)
            return None
        lane.busy = True
        lane.turn += 1
        return lane, lane.waiting.popleft(), lane.turn

    def _dispatch(self, ready: tuple[Lane, Parcel, int] | None) -> None:
        if ready is None:
            return
        lane, parcel, turn = ready
        self._hand_over(parcel, lambda: self._done(lane, turn))
        self._scheduler.after_wall(PATIENCE_S, lambda: self._done(lane, turn))

    def _done(self, lane: Lane, turn: int) -> None:
        """The parcel of that turn was answered, or has been waited for long enough."""
        with self._lock:
            if not lane.busy or lane.turn != turn:
                return
            lane.busy = False
            ready = self._next(lane)
        self._dispatch(ready)

    def _hand_over(self, parcel: Parcel, done: Callable[[], None] | None = None) -> None:
        if self._stopped:
            return
        try:
            self._pool.submit(self._attempt, parcel, done)
        except RuntimeError:  # the pool was shut down between the question and the call
            return

    def _attempt(self, parcel: Parcel, done: Callable[[], None] | None) -> None:
        if self._stopped:
            return
        response = self._post(parcel)
        if done is not None:
            done()
        if self._stopped:
            return
        if response is not None and response.accepted:
            if parcel.answered is not None:
                parcel.answered(response)
        elif parcel.attempt <= len(BACK_OFF_S):
            self._scheduler.after(BACK_OFF_S[parcel.attempt - 1], lambda: self._hand_over(parcel))
        elif parcel.answered is not None:
            parcel.answered(None)

    def _post(self, parcel: Parcel) -> Answer | None:
        parcel.attempt += 1
        at_ms = now_ms()
        wrong = self.faults.take("webhook_bad_signature", event=parcel.event, key=parcel.key)
        signer = parcel.signer or Signer(self._sign, self.key)
        signature = signer.sign(parcel.body, at_ms, "key_of_somebody_else" if wrong else signer.key)
        started = time.monotonic()
        response, error = None, ""
        try:
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "retell-sandbox",
                self._header: signature,
            }
            response = self._poster.post(parcel.url, parcel.body, headers, timeout_s=parcel.timeout_s)
        except PostFailed as problem:
            error = str(problem)
        self._ledger.delivered(
            Delivery(
                at_ms=at_ms,
                call_id=parcel.call_id,
                event=parcel.event,
                url=parcel.url,
                attempt=parcel.attempt,
                status=response.status if response is not None else 0,
                error=error,
                elapsed_ms=round((time.monotonic() - started) * 1000),
                signature=signature,
                body_sha256=hashlib.sha256(parcel.body).hexdigest(),
                body=parcel.body.decode(),
            )
        )
        return response
