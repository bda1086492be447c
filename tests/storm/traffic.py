"""Who asks for calls, who rings us, who never wants to be called again, and who stops it all."""

from __future__ import annotations

import heapq
import io
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import httpx
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from agents.models import Agent, PhoneNumber
from calls import dialer
from calls.models import Call, CallStatus, Lead
from tests.storm import database
from tests.storm.client import Client
from tests.storm.notes import Notes, OptOut, Stop
from tests.storm.world import World

CALLS = "/api/v1/calls/"
STOPS_AT = (0.35, 0.7)
"""Shares of the calls asked for at which all calling is stopped for a while."""
TICK_S = 0.05
REMEMBERED = 400
"""Of the newest calls asked for, for those who opt out, ring back and are called again."""


class Traffic(threading.Thread):
    """Half the calls are asked for in batches, half one by one through REST."""

    def __init__(
        self, world: World, notes: Notes, client: Client, desk: User, people: Sequence[tuple[Lead, str]]
    ) -> None:
        super().__init__(name="traffic", daemon=True)
        self.asked = 0
        self.over = False
        self._world, self._notes, self._client = world, notes, client
        self._plan = world.plan
        self._luck = world.plan.luck("traffic")
        self._desk = desk
        self._people: Iterator[tuple[Lead, str]] = iter(people)
        self._agents = list(Agent.objects.exclude(default_caller_id=None).order_by("pk"))
        self._ours = list(PhoneNumber.objects.usable().values_list("number", flat=True))
        self._known: deque[tuple[Lead, str]] = deque(maxlen=REMEMBERED)
        self._errands: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._stopping = threading.Lock()
        self._backlog_at = 0.0
        self._backlog = 0

    def run(self) -> None:
        try:
            self._ask_for_all()
            while self._errands:
                self._do_errands()
                time.sleep(TICK_S)
        except Exception as problem:
            self._notes.problems.append(f"traffic: {type(problem).__name__}: {problem}")
            raise
        finally:
            connection.close()
            self.over = True

    def _ask_for_all(self) -> None:
        plan = self._plan
        batches = max(1, plan.calls // 2 // plan.batch_size)
        opened = 0
        stops = [plan.calls * share for share in STOPS_AT]
        while self.asked < plan.calls:
            self._do_errands()
            if stops and self.asked >= stops[0]:
                stops.pop(0)
                self._in_background(self._stop_for_a_while)
            if self._too_many_wait():
                time.sleep(TICK_S)
            elif opened < batches and self.asked >= opened * plan.calls / batches:
                opened += 1
                self._open_batch()
            else:
                self._ask_for_one()

    def _too_many_wait(self) -> bool:
        if time.monotonic() - self._backlog_at > 0.3:
            waiting = Call.objects.filter(status=CallStatus.QUEUED)
            self._backlog = database.patiently(waiting.count)
            self._backlog_at = time.monotonic()
        return self._backlog >= self._plan.backlog

    # Calls

    def _open_batch(self) -> None:
        chosen = list(
            itertools.islice(self._people, min(self._plan.batch_size, self._plan.calls - self.asked))
        )
        agent = self._luck.choice(self._agents)

        def open_and_start() -> None:
            batch = dialer.open_batch(
                by=self._desk, lead_ids=[lead.pk for lead, _ in chosen], agent=agent, now=timezone.now()
            )
            dialer.start_batch(batch, now=timezone.now())

        database.patiently(open_and_start)
        self.asked += len(chosen)
        self._known.extend(chosen)
        for person in chosen:
            self._mischief(person, soon_s=15.0)

    def _ask_for_one(self) -> None:
        person = next(self._people)
        self.asked += 1
        self._known.append(person)
        call_id = self._ask(person[0])
        self._mischief(person, soon_s=3.0)
        if call_id and self._luck.random() < self._plan.cancel_share:
            self._later(self._luck.uniform(0, 2), lambda: self._cancel(call_id))

    def _ask(self, lead: Lead) -> str:
        """The call's id, '' when it was refused."""
        agent = self._luck.choice(self._agents)
        body = {"lead": lead.pk, "agent": agent.pk}
        for _try in itertools.count():
            status, told = self._client.post(CALLS, body, key=f"storm-{next(self._order)}")
            self._notes.answers[f"calls {status}"] += 1
            if status != 503:
                break
            # Stopped: other systems are told to come back later.
            time.sleep(0.5)
        if status in (200, 201):
            self._notes.promised.add(told["id"])
            return str(told["id"])
        if status not in (409, 422):
            self._notes.problems.append(f"a call was answered {status}: {told}")
        return ""

    def _cancel(self, call_id: str) -> None:
        status, _told = self._client.post(f"{CALLS}{call_id}/cancel/", {"reason": "storm"})
        self._notes.answers[f"cancel {status}"] += 1

    # What people do besides

    def _mischief(self, person: tuple[Lead, str], *, soon_s: float) -> None:
        plan, luck = self._plan, self._luck
        number = person[1]
        if luck.random() < plan.opt_out_share:
            self._later(luck.uniform(0, soon_s), lambda: self._opt_out(number))
        if luck.random() < plan.ring_in_share:
            caller, to = luck.choice(self._known)[1], luck.choice(self._ours)
            self._later(luck.uniform(0, soon_s), lambda: self._ring_in(caller, to))
        if luck.random() < plan.again_share:
            again = luck.choice(self._known)[0]
            self._later(luck.uniform(0, soon_s), lambda: self._ask(again) and None)

    def _opt_out(self, number: str) -> None:
        status, _told = self._client.post("/api/v1/do-not-call/", {"number": number, "reason": "storm"})
        self._notes.answers[f"do-not-call {status}"] += 1
        if status == 201:
            self._notes.opt_outs.append(OptOut(number, database.now()))

    def _ring_in(self, caller: str, ours: str) -> None:
        try:
            self._world.control("inbound", from_number=caller, to_number=ours)
        except httpx.HTTPError as problem:
            self._notes.problems.append(f"nobody could ring in: {problem}")
        else:
            self._notes.ring_ins += 1

    def _later(self, seconds: float, errand: Callable[[], None]) -> None:
        heapq.heappush(self._errands, (time.monotonic() + seconds, next(self._order), errand))

    def _do_errands(self) -> None:
        while self._errands and self._errands[0][0] <= time.monotonic():
            heapq.heappop(self._errands)[2]()

    # Stop and resume

    def _in_background(self, act: Callable[[], None]) -> None:
        threading.Thread(target=act, name="stop", daemon=True).start()

    def _stop_for_a_while(self) -> None:
        """With the commands an operator has, in this process: starting another would only take longer."""
        try:
            with self._stopping:
                database.patiently(lambda: call_command("stop_calling", reason="storm", stdout=io.StringIO()))
                since = database.now()
                time.sleep(self._plan.stop_lasts_s)
                until = database.now()
                database.patiently(lambda: call_command("resume_calling", stdout=io.StringIO()))
                self._notes.stops.append(Stop(since, until))
        finally:
            connection.close()
