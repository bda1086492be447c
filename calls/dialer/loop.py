"""The dialer: one process, a few threads, each doing one unit of work at a time.

A thread's connection may be lost with the database; the thread goes on when the database is back.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from agents.providers.base import Provider
from agents.providers.registry import carriers, provider_of
from calls import desk_talk, provider_checks, recording_copies
from calls.dialer import account, adopt, breaker, fallback, gate, settle
from calls.dialer.batches import cancel_next, fill_next, finish_batches
from calls.dialer.claim import Nothing, claim_next, claim_some, expire_overdue
from calls.dialer.place import place
from calls.dialer.promises import miss_unplaced, queue_next_promise
from calls.dialer.replay import replay
from calls.dialer.watch import Bells, Watch
from calls.lifecycle import reconcile
from calls.lifecycle.apply import apply_due, at_a_time
from calls.lifecycle.compare import compare_next
from calls.lifecycle.tidy import tidy
from calls.models import Call, CallStatus
from calls.models.clock import database_now
from calls.people.tasks import resume_stalled

log = structlog.get_logger(__name__)

FEWEST_PLACERS, MOST_PLACERS = 6, 64
HEARTBEAT_S = 5.0
DATABASE_GONE_S = 1.0
TIDY_EVERY_S = 60.0
UNTOLD_S = 1.0
"""How long a thread with nothing to do waits for its bell before it looks for itself."""
BETWEEN_CLAIMS_S = 0.05
MOST_TOGETHER = 16
"""Calls claimed in one transaction at most, to keep it short."""
BETWEEN_EVENTS_S = 0.1
"""So that the next ones are applied together: a bunch of ten takes nearly as long as one of fifty."""
GATES_EVERY_S = 1.0
COMPARE_LOOKS_S = 10.0
CHECK_LOOKS_S = 10.0


@dataclass(frozen=True, slots=True)
class Worker:
    name: str
    step: Callable[[], float]
    """Does one unit of work; returns how long (s) to wait before the next, 0 for at once."""
    bell: str = ""
    """What wakes it earlier, when it found nothing to do."""
    idle_s: float = 0.5
    """A step that returns this or more found nothing: then the thread waits for its bell, a while at most."""


class Dialer:
    """`run` until `stop`; `step` methods are what the threads repeat, and what tests call once."""

    def __init__(self, provider: Provider, *, name: str = "") -> None:
        self.provider = provider
        self.name = name or f"dialer {socket.gethostname()} {os.getpid()}"
        self._stopping = threading.Event()
        self._looking = threading.Lock()
        self._claimed: deque[Call] = deque()
        """Claimed together, each for one placer that is free. Under `_looking`."""
        self._claim_after = 0.0
        self._counting = threading.Lock()
        self._free = 0
        """Placers that look for work or wait for it."""
        self._bells = Bells()
        self._watch = Watch(self._bells)

    def run(self) -> None:
        """Blocks until `stop`; what is being placed is finished first."""
        threads = [
            threading.Thread(target=self._repeat, args=(worker,), name=worker.name, daemon=True)
            for worker in self._workers()
        ]
        for thread in threads:
            thread.start()
        log.info("dialer started", name=self.name, threads=len(threads))
        while not self._stopping.wait(0.5):
            pass
        for thread in threads:
            thread.join(timeout=settings.PROVIDER_TIMEOUT_S + 5)
        self._watch.close()
        log.info("dialer stopped", name=self.name)

    def stop(self) -> None:
        self._stopping.set()
        self._bells.ring_all()

    def _workers(self) -> list[Worker]:
        placers = [Worker(f"place-{n}", self.step_place) for n in range(_placers())]
        return [
            *placers,
            Worker("apply", self.step_apply, bell="apply"),
            Worker("settle", self.step_settle, bell="settle"),
            Worker("look", self.step_look, bell="look"),
            Worker("adopt", self.step_adopt),
            Worker("hang-up", self.step_hang_up, bell="hang-up"),
            Worker("fill", self.step_fill, bell="fill"),
            Worker("watch", self._watch.look),
            Worker("gates", self.step_gates),
            Worker("check", self.step_check),
            Worker("heartbeat", self.step_heartbeat),
            Worker("tidy", self.step_tidy),
            Worker("compare", self.step_compare),
        ]

    def _repeat(self, worker: Worker) -> None:
        while not self._stopping.is_set():
            try:
                pause = worker.step()
            except (DatabaseError, InterfaceError) as error:
                log.warning("database problem", thread=worker.name, why=str(error).strip()[:200])
                connection.close()
                pause = DATABASE_GONE_S
            except Exception:
                log.exception("thread goes on after an error", thread=worker.name)
                pause = DATABASE_GONE_S
            if pause:
                _lend_connection_back()
                if worker.bell and pause >= worker.idle_s:
                    self._bells.wait(worker.bell, UNTOLD_S)
                else:
                    self._stopping.wait(pause)
        connection.close()

    def step_place(self) -> float:
        """One placer looks for work at a time, for all who wait; they wait for that, and cost nothing."""
        _lend_connection_back()
        call = self._next_call()
        if call is not None:
            send(call, self.provider)
        return 0.0

    def _next_call(self) -> Call | None:
        """As many are claimed together as placers are free, so that none waits between claim and permit."""
        with self._counting:
            self._free += 1
        with self._looking:
            try:
                if not self._claimed and not self._stopping.is_set():
                    self._claimed.extend(self._claim())
            finally:
                with self._counting:
                    self._free -= 1
            return self._claimed.popleft() if self._claimed else None

    def _claim(self) -> list[Call]:
        """Waits a moment where there is nothing. Straight after a bunch too, so that the next can be one."""
        if self._free < MOST_TOGETHER:
            self._stopping.wait(max(0.0, self._claim_after - time.monotonic()))
        claimed = claim_some(self.provider, most=min(self._free, MOST_TOGETHER))
        if not isinstance(claimed, Nothing):
            self._claim_after = time.monotonic() + BETWEEN_CLAIMS_S
            return claimed
        _lend_connection_back()
        if claimed.why == "empty":
            self._bells.wait("place", UNTOLD_S)
        else:
            self._stopping.wait(min(claimed.again, 0.2 if claimed.why in ("pace", "capacity") else 0.5))
        return []

    def step_apply(self) -> float:
        done = apply_due(now=timezone.now())
        if done >= at_a_time():
            return 0.0
        return BETWEEN_EVENTS_S if done else 0.5

    def step_settle(self) -> float:
        now = database_now()
        again = settle.recover_next_claim()
        for carrier in carriers(self.provider):
            again = settle.settle_next(carrier, now=now) or again
        expire_overdue(now=now)
        return 0.0 if again else 0.5

    def step_look(self) -> float:
        now = database_now()
        again = False
        for carrier in carriers(self.provider):
            again = reconcile.look_at_quiet(carrier, now=now) or again
            again = reconcile.look_for_analysis(carrier, now=now) or again
        return 0.1 if again else 0.5

    def step_adopt(self) -> float:
        now = database_now()
        again = adopt.adopt_next(self.provider, now=now)
        again = adopt.look_before_next(self.provider, now=now) or again
        return 0.0 if again else 1.0

    def step_hang_up(self) -> float:
        now = timezone.now()
        told = [reconcile.hang_up_marked(carrier, now=now) for carrier in carriers(self.provider)]
        told += [desk_talk.free_ours(carrier, now=now) for carrier in carriers(self.provider)]
        return 0.05 if any(told) else 0.5

    def step_fill(self) -> float:
        now = timezone.now()
        again = cancel_next()
        again = fill_next(now=now) or again
        again = queue_next_promise(now=now) or again
        again = fallback.step(now=now) or again
        if not again:
            finish_batches()
            miss_unplaced(now=now)
        return 0.02 if again else 0.5

    def step_tidy(self) -> float:
        tidy(now=timezone.now())
        # The task engine never runs a job again whose worker was killed; its row knows how far it came.
        resume_stalled()
        recording_copies.enqueue_due(now=timezone.now())
        return TIDY_EVERY_S

    def step_gates(self) -> float:
        """The account and its room are asked by one dialer, whichever comes first; lines are reviewed."""
        account.ask_capacity(self.provider)
        account.probe_account(self.provider)
        breaker.review()
        return GATES_EVERY_S

    def step_check(self) -> float:
        """At the start and every few minutes, by whichever dialer comes first."""
        now = database_now()
        wait = provider_checks.seconds_to_next_look(now=now)
        if not wait:
            provider_checks.look_and_keep(self.provider, now=now)
        return min(max(wait, 1.0), CHECK_LOOKS_S)

    def step_compare(self) -> float:
        return 0.5 if compare_next(self.provider, now=timezone.now()) else COMPARE_LOOKS_S

    def step_heartbeat(self) -> float:
        """Whether all were silent for long is asked before this one ends the silence."""
        now = database_now()
        adopt.begin_after_silence(now=now)
        gate.beat(self.name, "dialer", now=now, detail={"pid": os.getpid()})
        return HEARTBEAT_S


def send(claimed: Call, provider: Provider) -> None:
    """A claim that left its call unconfirmed is a replay."""
    carrier = provider_of(claimed.provider, provider)
    (replay if claimed.status == CallStatus.UNCONFIRMED else place)(claimed, carrier)


def _placers() -> int:
    """One a call a second on a line: a provider takes a third of a second, and there may be three lines."""
    return min(MOST_PLACERS, max(FEWEST_PLACERS, round(settings.CALLS_PER_SECOND)))


def _lend_connection_back() -> None:
    """A thread that waits needs no connection: a dozen share the pool. SQLite keeps its file open."""
    if connection.vendor == "postgresql":
        connection.close()


def run_once(provider: Provider) -> int:
    """Everything that is due, in this thread, then return how many calls were placed (`dialer --once`)."""
    dialer = Dialer(provider)
    dialer.step_heartbeat()
    while not dialer.step_adopt():
        pass
    dialer.step_gates()
    placed = 0
    deadline = time.monotonic() + 3600
    while time.monotonic() < deadline:
        while (
            cancel_next()
            or fill_next(now=timezone.now())
            or queue_next_promise(now=timezone.now())
            or fallback.step(now=timezone.now())
        ):
            pass
        dialer.step_settle()
        claimed = claim_next(provider)
        if isinstance(claimed, Call):
            send(claimed, provider)
            placed += 1
            continue
        if claimed.why == "pace" and claimed.again <= 1.0:
            time.sleep(claimed.again)
            continue
        break
    while apply_due(now=timezone.now()):
        pass
    dialer.step_look()
    dialer.step_hang_up()
    return placed
