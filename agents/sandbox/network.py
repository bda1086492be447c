"""The telephone network: who rings whom, who picks up, what is said and how it ends.

It speaks no provider's HTTP. A contract (retell.py) places calls on it, listens to its events and asks, for
a call coming in, which agent shall answer. People's time (ringing, talking, ringing back) runs on the
network's clock, `speed` times as fast as the wall's; timestamps are the wall's.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, Protocol

from agents.sandbox.account import now_ms
from agents.sandbox.archive import Archive
from agents.sandbox.conversation import Conversation, LiveTalk, converse
from agents.sandbox.people import Behaviour, behave
from agents.sandbox.phone_call import (
    Event,
    PhoneCall,
    Stage,
    cut,
    home_of,
    language_of,
    seed_of,
    transfer_moments,
)
from agents.sandbox.scheduler import Scheduler
from agents.sandbox.seeds import topic_of

SETUP_S = 0.6
"""Between the order and the first ring."""
ANALYSIS_S = 3.0
HOLD_S = 60.0
"""How long a held call rings, in real seconds: somebody has to find the button."""
THINKING_S = 0.7
"""How long an agent takes to answer somebody on the customer page, in real seconds."""
SILENCE_S = 180.0
"""A call on the customer page nobody speaks in ends after so many real seconds."""
TRANSFER_DESTINATION = "+12125550199"
SILENT_ENDS = frozenset(
    {"invalid_destination", "network_blocked", "marked_as_spam", "dial_failed", "dial_busy"}
)
"""Ends without any telephone having rung."""


class NoSuchCall(LookupError):
    """The network never had a call of that id."""


class NotPossible(ValueError):
    """The call is not at a point where that can be done; the text says why."""


class Contract(Protocol):
    """What a contract does for the network."""

    def tell(self, event: Event, call: PhoneCall) -> None:
        """Called under the network's lock: take what is needed, send it elsewhere."""

    def ask_inbound(self, call: PhoneCall) -> None:
        """Find the agent for a call coming in, then `answer_inbound` or `turn_away`. Must not block."""


class Network:
    """Thread-safe. All calls of one run, kept until `reset`."""

    def __init__(self, *, seed: int, speed: float) -> None:
        self.lock = threading.RLock()
        self.seed = seed
        self.scheduler = Scheduler(speed, name="sandbox-network")
        self.calls: dict[str, PhoneCall] = {}
        self._open: dict[str, PhoneCall] = {}
        self.held_numbers: set[str] = set()
        self.hold_all = False
        self.rings_back = True
        self.analysis_s = ANALYSIS_S
        self.archive: Archive | None = None
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._contracts: dict[str, Contract] = {}
        self.rings_in_under = "current"

    def speaks(self, contract: Contract, name: str = "current") -> None:
        self._contracts[name] = contract

    def call(self, call_id: str) -> PhoneCall:
        """Raises NoSuchCall."""
        with self.lock:
            found = self.calls.get(call_id)
            if found is None and self.archive is not None:
                found = self.archive.find(call_id)
            if found is None:
                raise NoSuchCall(call_id)
            return found

    def calls_from(self, first: int, count: int | None = None) -> list[PhoneCall]:
        """In the order they came about. The calls themselves go on changing meanwhile."""
        with self.lock:
            return list(islice(self.calls.values(), first, None if count is None else first + count))

    def open_calls(self) -> list[PhoneCall]:
        with self.lock:
            return list(self._open.values())

    def reset(self, seed: int | None = None) -> None:
        """Every call is forgotten, nothing more will be told about them."""
        with self.lock:
            self.scheduler.clear()
            self.calls.clear()
            self._open.clear()
            self._attempts.clear()
            self.held_numbers.clear()
            self.hold_all = False
            if seed is not None:
                self.seed = seed

    def resume(self) -> None:
        """What the archive left unfinished is finished: a call that was on broke off with the network."""
        if self.archive is None:
            return
        for call in self.archive.unfinished():
            with self.lock:
                if self.calls.setdefault(call.id, call) is not call:
                    continue
                if call.over:
                    self._tell(Event.ENDED, call)
                    self._later(call, self.analysis_s, partial(self._analyse, call), even_over=True)
                else:
                    self._end(call, "error_unknown")

    def stop(self) -> None:
        self.scheduler.stop()

    # Calls that come about

    def place(self, call: PhoneCall, *, refused_with: str = "") -> None:
        """Dial out. `call` is new, with agent, numbers and variables filled in.

        `refused_with`: it ends with that reason before any telephone rings.
        """
        with self.lock:
            behaviour = self._enter(call)
            if refused_with:
                self._later(call, SETUP_S, lambda: self._end(call, refused_with))
            else:
                self._later(call, SETUP_S, lambda: self._ring(call, behaviour))

    def ring_in(self, *, from_number: str, to_number: str, held: bool = False) -> PhoneCall:
        """Somebody rings one of our numbers; the contract is asked who answers.

        `held`: whoever is on the customer page speaks for the caller.
        """
        call = PhoneCall(
            id=new_call_id(),
            direction="inbound",
            from_number=from_number,
            to_number=to_number,
            created_ms=now_ms(),
            contract=self.rings_in_under,
            held=held,
        )
        with self.lock:
            self.calls[call.id] = self._open[call.id] = call
            call.stage = Stage.RINGING
            call.rang_ms = now_ms()
            contract = self._contracts.get(call.contract)
        if contract is not None:
            contract.ask_inbound(call)
        return call

    def answer_inbound(
        self,
        call: PhoneCall,
        *,
        agent: dict[str, Any],
        given_variables: dict[str, str] | None,
        variables: dict[str, str],
        metadata: dict[str, Any] | None,
    ) -> None:
        with self.lock:
            if call.over or call.id not in self.calls:
                return
            call.agent = agent
            call.storage = agent.get("data_storage_setting") or "everything"
            call.given_variables, call.variables, call.metadata = given_variables, variables, metadata
            behaviour = self._enter(call)
            if call.held:
                self._later(call, 1.0, lambda: self._begin_live(call))
            else:
                self._later(call, 1.0, lambda: self._begin_scripted(call, behaviour))

    def turn_away(self, call: PhoneCall, reason: str) -> None:
        """Nobody answers for us: the caller is cut off and no contract ever hears of the call."""
        with self.lock:
            call.stage, call.reason, call.ended_ms = Stage.OVER, reason, now_ms()
            self._open.pop(call.id, None)

    # What the provider's customer does with a call

    def hang_up_for_us(self, call_id: str) -> None:
        """Raises NoSuchCall, NotPossible (it is over)."""
        with self.lock:
            call = self.call(call_id)
            if call.over:
                raise NotPossible("The call has already ended.")
            self._end(call, "manual_stopped")

    def steer(self, call_id: str, *, context: str, answer_now: bool) -> None:
        """Raises NoSuchCall, NotPossible (not connected or over)."""
        with self.lock:
            call = self._talking(call_id)
            if context:
                call.injected.append((context, round(self.elapsed_s(call), 2)))
            if answer_now and call.live is not None:
                self._later_wall(call, THINKING_S, lambda: self._agent_answers(call, ""))

    # What whoever is on the customer page does

    def holds(self, number: str) -> bool:
        return self.hold_all or number in self.held_numbers

    def hold(self, number: str, on: bool) -> None:
        with self.lock:
            (self.held_numbers.add if on else self.held_numbers.discard)(number)

    def pick_up(self, call_id: str) -> None:
        """Raises NoSuchCall, NotPossible."""
        with self.lock:
            call = self.call(call_id)
            if call.stage is not Stage.RINGING or call.direction != "outbound":
                raise NotPossible("This telephone is not ringing.")
            call.drop_timers()
            call.held = True
            self._begin_live(call)

    def say(self, call_id: str, text: str) -> None:
        """Raises NoSuchCall, NotPossible."""
        with self.lock:
            call = self._talking(call_id)
            if call.live is None:
                raise NotPossible("Somebody else is speaking on this call.")
            call.drop_timers()
            call.live.user_says(text, at_s=self.elapsed_s(call))
            self._tell(Event.TURN, call)
            self._later_wall(call, THINKING_S, lambda: self._agent_answers(call, text))

    def hang_up_for_customer(self, call_id: str) -> None:
        """Declines while it rings, hangs up after. Raises NoSuchCall, NotPossible."""
        with self.lock:
            call = self.call(call_id)
            if call.over:
                raise NotPossible("The call has already ended.")
            self._end(call, "user_hangup" if call.connected else "user_declined")

    # The life of a call; all under the lock

    def _enter(self, call: PhoneCall) -> Behaviour:
        key = (call.direction, call.customer)
        self._attempts[key] += 1
        call.attempt = self._attempts[key]
        self.calls[call.id] = self._open[call.id] = call
        call.behaviour = behave(
            call.customer,
            seed=self.seed,
            attempt=call.attempt,
            language=language_of(call.agent),
            direction=call.direction,
            topic=topic_of(call.agent),
        )
        self._keep(call)
        return call.behaviour

    def _ring(self, call: PhoneCall, behaviour: Behaviour) -> None:
        if self.holds(call.customer):
            call.stage, call.rang_ms, call.held = Stage.RINGING, now_ms(), True
            self._later_wall(call, HOLD_S, lambda: self._end(call, "dial_no_answer"))
            return
        if behaviour.disconnection_reason not in SILENT_ENDS:
            call.stage, call.rang_ms = Stage.RINGING, now_ms()
        patience_s = (call.agent.get("ring_duration_ms") or 30000) / 1000
        if not behaviour.connects:
            self._later(call, behaviour.rings_s, lambda: self._end(call, behaviour.disconnection_reason))
        elif behaviour.rings_s > patience_s:
            self._later(call, patience_s, lambda: self._end(call, "dial_no_answer"))
        else:
            self._later(call, behaviour.rings_s, lambda: self._begin_scripted(call, behaviour))

    def _connect(self, call: PhoneCall) -> None:
        call.stage = Stage.TALKING
        call.answered_ms = now_ms()
        call.answered_at_network_s = self.scheduler.now()

    def _begin_scripted(self, call: PhoneCall, behaviour: Behaviour) -> None:
        whole = self._conversation(call, behaviour)
        limit_s = (call.agent.get("max_call_duration_ms") or 3_600_000) / 1000
        reason = behaviour.disconnection_reason
        if whole.duration_s > limit_s:
            whole, reason = cut(whole, limit_s, "max_duration_reached"), "max_duration_reached"
        call.conversation = whole
        self._connect(call)
        self._tell(Event.CONNECTED, call)
        self._plan_transfer(call, behaviour)
        self._next_turn(call, 0, reason)

    def _conversation(self, call: PhoneCall, behaviour: Behaviour) -> Conversation:
        return converse(
            behaviour,
            variables=call.variables,
            now=datetime.now(UTC),
            local_tz=home_of(call),
            seed=seed_of(self.seed, call),
        )

    def _next_turn(self, call: PhoneCall, index: int, reason: str) -> None:
        """One timer at a time: the next turn's last word, or the end."""
        assert call.conversation is not None
        elapsed_s = self.elapsed_s(call)
        turns = call.conversation.turns
        if index >= len(turns):
            self._later(call, call.conversation.duration_s - elapsed_s, lambda: self._end(call, reason))
            return
        said_s = turns[index].end_s

        def said() -> None:
            call.heard_s = max(call.heard_s, said_s + 0.001)
            self._tell(Event.TURN, call)
            self._next_turn(call, index + 1, reason)

        self._later(call, said_s - elapsed_s, said)

    def _plan_transfer(self, call: PhoneCall, behaviour: Behaviour) -> None:
        if not behaviour.kind.startswith("transfer") or call.conversation is None:
            return
        call.transfer_to = TRANSFER_DESTINATION
        offer_s, back_s = call.transfer_at_s = transfer_moments(call.conversation)
        taken = behaviour.disconnection_reason in {"call_transfer", "transfer_bridged"}
        self._later(call, offer_s, lambda: self._tell(Event.TRANSFER_STARTED, call))
        answer = Event.TRANSFER_BRIDGED if taken else Event.TRANSFER_CANCELLED
        self._later(call, back_s, lambda: self._tell(answer, call))

    def _begin_live(self, call: PhoneCall) -> None:
        call.live = LiveTalk(
            variables=call.variables,
            now=datetime.now(UTC),
            local_tz=home_of(call),
            language=language_of(call.agent),
            seed=seed_of(self.seed, call),
        )
        self._connect(call)
        self._tell(Event.CONNECTED, call)
        self._later_wall(call, THINKING_S, lambda: self._agent_answers(call, ""))

    def _agent_answers(self, call: PhoneCall, heard: str) -> None:
        assert call.live is not None
        line = call.live.next_agent_line(heard)
        if line:
            call.live.agent_says(line, at_s=self.elapsed_s(call))
            self._tell(Event.TURN, call)
        if call.live.wants_to_hang_up:
            self._later_wall(call, 2.0, lambda: self._end(call, "agent_hangup"))
        else:
            self._later_wall(call, SILENCE_S, lambda: self._end(call, "inactivity"))

    def _end(self, call: PhoneCall, reason: str) -> None:
        call.drop_timers()
        if call.live is not None:
            call.conversation = call.live.finish(reason)
        elif call.connected and reason == "manual_stopped" and call.conversation is not None:
            call.conversation = cut(call.conversation, self.elapsed_s(call), reason)
        elif call.behaviour is not None and not call.connected:
            silence = replace(call.behaviour, script=None, disconnection_reason=reason)
            call.conversation = self._conversation(call, silence)
        call.stage, call.reason, call.ended_ms = Stage.OVER, reason, now_ms()
        self._open.pop(call.id, None)
        self._keep(call)
        self._tell(Event.ENDED, call)
        self._later(call, self.analysis_s, lambda: self._analyse(call), even_over=True)
        behaviour = call.behaviour
        if (
            self.rings_back
            and call.direction == "outbound"
            and not call.connected
            and behaviour is not None
            and behaviour.rings_back_after_s is not None
        ):
            self.scheduler.after(behaviour.rings_back_after_s, lambda: self._ring_back(call))

    def _ring_back(self, call: PhoneCall) -> None:
        with self.lock:
            wanted = self.rings_back and call.id in self.calls
        if wanted:
            self.ring_in(from_number=call.customer, to_number=call.ours, held=self.holds(call.customer))

    def _analyse(self, call: PhoneCall) -> None:
        call.analysed = True
        self._keep(call)
        self._tell(Event.ANALYSED, call)

    def _keep(self, call: PhoneCall) -> None:
        if self.archive is not None:
            self.archive.keep(call)

    def _talking(self, call_id: str) -> PhoneCall:
        call = self.call(call_id)
        if call.stage is not Stage.TALKING:
            raise NotPossible("The call is not ongoing.")
        return call

    def elapsed_s(self, call: PhoneCall) -> float:
        """Seconds of audio since it was picked up. A call on the customer page runs in real time."""
        if call.live is not None and call.answered_ms is not None:
            return (now_ms() - call.answered_ms) / 1000
        return self.scheduler.now() - call.answered_at_network_s

    def _tell(self, event: Event, call: PhoneCall) -> None:
        if contract := self._contracts.get(call.contract):
            contract.tell(event, call)

    def in_call(self, call: PhoneCall, at_s: float, step: Callable[[], None]) -> None:
        """Do it so many seconds after the pick-up, unless the call is over by then. Under the lock."""
        self._later(call, at_s - self.elapsed_s(call), step)

    def _guarded(self, call: PhoneCall, step: Callable[[], None], even_over: bool) -> Callable[[], None]:
        def run() -> None:
            with self.lock:
                if self.calls.get(call.id) is call and (even_over or not call.over):
                    step()

        return run

    def _later(
        self, call: PhoneCall, seconds: float, step: Callable[[], None], *, even_over: bool = False
    ) -> None:
        call.timers.append(self.scheduler.after(seconds, self._guarded(call, step, even_over)))

    def _later_wall(self, call: PhoneCall, seconds: float, step: Callable[[], None]) -> None:
        call.timers.append(self.scheduler.after_wall(seconds, self._guarded(call, step, False)))


def new_call_id() -> str:
    """Never repeated, not even by the same seed: the customer's database outlives the sandbox."""
    return f"call_{uuid.uuid4().hex}"
