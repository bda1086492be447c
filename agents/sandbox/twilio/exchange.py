"""Twilio's exchange: rings telephones, connects them, runs their TwiML, and tells what becomes of them.

Each leg has a thread of its own, since its TwiML is one thing after the other and is asked for over HTTP.
People's time runs on the network's clock. Whoever hangs up, redirects or joins says so under one lock and
wakes all.
"""

from __future__ import annotations

import itertools
import math
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime

from agents.sandbox.conversation import converse
from agents.sandbox.network import SETUP_S, SILENT_ENDS, Network
from agents.sandbox.people import Behaviour, behave
from agents.sandbox.phone_call import zone_of
from agents.sandbox.twilio.callbacks import Callbacks
from agents.sandbox.twilio.legs import OVER, STATUS_OF, Leg, Recording
from agents.sandbox.twilio.wire import new_sid, rfc2822

LONG_S = 86_400.0
A_LOOK_S = 0.5
ALONE_S = 180.0
"""A connected telephone on which nobody speaks is hung up after so long."""
HUMAN_AFTER_S, MACHINE_AFTER_S, BEEP_AFTER_S = 1.5, 3.0, 9.0
"""After the pick-up: when it is known who answered, and when a machine's message is over."""
ATTESTATION = "A"
"""How far the network vouches for the numbers of the account."""
EVENT_OF = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"}
OFFER = re.compile(r"\bpress (\d|one|two|three|four|five|six|seven|eight|nine|star)\b", re.I)
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS = {word: str(index) for index, word in enumerate(WORDS, start=1)} | {"star": "*"}
NEVER = re.compile(r"never|stop|remove|not (?:be )?call", re.IGNORECASE)


class Cut(Exception):
    """The leg has been hung up."""


class Redirected(Exception):
    """The leg has new TwiML."""


class Exchange:
    """Thread-safe. `legs` in the order they came about."""

    def __init__(self, *, network: Network, callbacks: Callbacks, follow: Callable[[Leg], None]) -> None:
        self.network, self.callbacks = network, callbacks
        self.changed = threading.Condition(threading.RLock())
        self.legs: dict[str, Leg] = {}
        self.recordings: dict[str, Recording] = {}
        self.per_second = 0.0
        """How many legs may begin by REST in a second; more of them wait. 0: any number."""
        self.people_stay = False
        """Nobody hangs up by themselves once connected: for who tries something out on a live call."""
        self.reaches_agents: Callable[[str], bool] = lambda number: False
        """Whether Retell answers that number: then a Dial to it is one of its calls in."""
        self.keys: dict[str, deque[str]] = {}
        self._follow = follow
        self._next_start = 0.0
        self._attempts: Counter[str] = Counter()
        self._threads: list[threading.Thread] = []
        self._stopped = False
        self._numbered = itertools.count()

    def forget(self) -> None:
        """Every leg is cut, nothing more is told of it."""
        with self.changed:
            for leg in self.legs.values():
                leg.wants = type(leg.wants)()
                leg.cut = leg.cut or "failed"
            self.legs.clear()
            self.recordings.clear()
            self.keys.clear()
            self._attempts.clear()
            self.changed.notify_all()

    def stop(self) -> None:
        self._stopped = True
        self.forget()
        for thread in self._threads:
            thread.join(timeout=2)

    def begin(self, leg: Leg) -> Leg:
        """It is rung (or has rung us) from now on, on a thread of its own."""
        with self.changed:
            self.legs[leg.sid] = leg
            waiting = self.keys.get(leg.from_ if leg.direction == "inbound" else leg.to)
            leg.keys = waiting if waiting is not None else leg.keys
            who = leg.from_ if leg.direction == "inbound" else leg.to
            self._attempts[who] += 1
            leg.person = self._person(leg, who)
            thread = threading.Thread(
                target=self._live, args=(leg,), name=f"sandbox-leg-{next(self._numbered)}", daemon=True
            )
            self._threads = [known for known in self._threads if known.is_alive()] + [thread]
        thread.start()
        return leg

    def _person(self, leg: Leg, who: str) -> Behaviour:
        direction = "inbound" if leg.direction == "inbound" else "outbound"
        person = behave(who, seed=self.network.seed, attempt=self._attempts[who], direction=direction)
        if person.connects:
            talk = converse(
                person, variables={}, now=datetime.now(UTC), local_tz=zone_of(who), seed=self.network.seed
            )
            leg.talks_s = talk.duration_s
        return person

    def talks_s(self, leg: Leg) -> float:
        """How long whoever was rung stays once connected."""
        return LONG_S if self.people_stay else leg.talks_s

    def alone_s(self) -> float:
        return LONG_S if self.people_stay else ALONE_S

    # What a leg's own thread does

    def wait(self, leg: Leg, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """So long by the network's clock, or until that is so: then True. Raises Cut, Redirected."""
        end = time.monotonic() + seconds / self.network.scheduler.speed
        with self.changed:
            while True:
                if leg.cut:
                    raise Cut
                if leg.redirect is not None:
                    raise Redirected
                if until is not None and until():
                    return True
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(left)

    def _live(self, leg: Leg) -> None:
        try:
            if leg.direction == "inbound":
                self.turn(leg, "ringing")
            elif not self._ring(leg):
                return
            self._follow(leg)
        except Cut:
            return
        except Redirected:
            leg.problems.append("was sent elsewhere while nothing followed its TwiML")
        finally:
            self._end(leg)

    def _ring(self, leg: Leg) -> bool:
        """Until somebody picks up. False: nobody did, and the leg's status says why."""
        if leg.direction == "outbound-dial" and self.reaches_agents(leg.to):
            return self._ring_agents(leg)
        person = leg.person
        assert person is not None
        self._wait_for_pace(leg)
        self.turn(leg, "initiated")
        self.wait(leg, SETUP_S)
        if person.disconnection_reason not in SILENT_ENDS:
            leg.rang = time.time()
            self.turn(leg, "ringing")
        patience_s = leg.ring_s
        if person.connects and person.rings_s <= patience_s:
            self.wait(leg, person.rings_s)
            self.pick_up(leg)
            return True
        self.wait(leg, min(person.rings_s, patience_s))
        reason = person.disconnection_reason if not person.connects else "dial_no_answer"
        if person.rings_s > patience_s:
            reason = "dial_no_answer"
        leg.cut, leg.sip = STATUS_OF[reason]
        return False

    def _ring_agents(self, leg: Leg) -> bool:
        """As `_ring`, where an AI agent picks up and talks for as long as whoever rang would.

        Patience is in real seconds: meanwhile our customer's server is asked who is calling.
        """
        leg.agents_call = call = self.network.ring_in(from_number=leg.from_, to_number=leg.to)
        leg.rang, leg.person = time.time(), None
        self.turn(leg, "ringing")
        until = time.monotonic() + leg.ring_s
        while not call.connected and not call.over and time.monotonic() < until:
            self.wait(leg, A_LOOK_S)
        if call.connected:
            self.pick_up(leg)
            return True
        leg.cut, leg.sip = STATUS_OF["dial_failed" if call.over else "dial_no_answer"]
        return False

    def talk_with_agents(self, leg: Leg) -> None:
        """Until the agent's call or the bridge is over. Raises Cut, Redirected."""
        while leg.agents_call is not None and not leg.agents_call.over and leg.bridged is not None:
            self.wait(leg, A_LOOK_S, until=lambda: leg.bridged is None)

    def _wait_for_pace(self, leg: Leg) -> None:
        if self.per_second <= 0 or leg.direction != "outbound-api":
            return
        with self.changed:
            start = max(self._next_start, time.monotonic())
            self._next_start = start + 1 / self.per_second
        late_s = start - time.monotonic()
        leg.waited_ms = max(0, round(late_s * 1000))
        self.wait(leg, late_s * self.network.scheduler.speed)

    def pick_up(self, leg: Leg) -> None:
        with self.changed:
            if leg.answered is not None:
                return
            leg.answered, leg.answered_network = time.time(), self.network.scheduler.now()
        self.turn(leg, "in-progress")
        self._hang_up_after(leg, leg.longest_s)
        if leg.person is not None and leg.person.kind == "hangs_up":
            self._hang_up_after(leg, 3.0)
        if leg.records:
            self.record(leg, source="OutboundAPI", url=leg.records_url)
        self._detect(leg)

    def _detect(self, leg: Leg) -> None:
        """Before the TwiML runs, or meanwhile where an address for the result was given."""
        if not leg.detect or leg.digits:
            return
        to_the_end = leg.detect == "DetectMessageEnd"
        after_s, found = HUMAN_AFTER_S, "human"
        if leg.is_machine:
            after_s = BEEP_AFTER_S if to_the_end else MACHINE_AFTER_S
            found = "machine_end_beep" if to_the_end else "machine_start"
        elif leg.person is not None and leg.person.kind == "silent":
            after_s, found = MACHINE_AFTER_S, "unknown"

        def known() -> None:
            leg.answered_by = found
            if leg.detect_url and not leg.over:
                about = {
                    "CallSid": leg.sid,
                    "AccountSid": leg.account_sid,
                    "To": leg.to,
                    "AnsweredBy": found,
                    "MachineDetectionDuration": str(round(after_s * 1000)),
                }
                self.callbacks.tell(leg.sid, "amd", leg.detect_url, about)

        if leg.detect_url:
            self.network.scheduler.after(after_s, known)
        else:
            self.wait(leg, after_s)
            known()

    def turn(self, leg: Leg, status: str) -> None:
        """A new status, told to whoever asked for it. `initiated` is what only callbacks say."""
        with self.changed:
            if leg.over:
                return
            leg.status = "queued" if status == "initiated" else status
            event = EVENT_OF.get(status, "completed")
            sequence = leg.sequence
            wanted = bool(leg.wants.url) and event in leg.wants.events
            if wanted:
                leg.sequence += 1
            about = leg.basics() | {
                "CallStatus": status,
                "CallbackSource": "call-progress-events",
                "SequenceNumber": str(sequence),
                "Timestamp": rfc2822(time.time()) or "",
            }
            if leg.direction != "inbound" and status != "initiated":
                about["StirStatus"] = ATTESTATION
            self.changed.notify_all()
        if status in OVER:
            about |= {"CallDuration": str(leg.duration_s), "Duration": str(math.ceil(leg.duration_s / 60))}
            about |= {"SipResponseCode": leg.sip} | (
                {"AnsweredBy": leg.answered_by} if leg.answered_by else {}
            )
        if wanted:
            self.callbacks.tell(leg.sid, event, leg.wants.url, about)

    def _end(self, leg: Leg) -> None:
        with self.changed:
            if leg.answered is not None:
                leg.cut = "completed"
                leg.duration_s = math.ceil(self.network.scheduler.now() - leg.answered_network)
            else:
                leg.cut = leg.cut or "canceled"
            leg.ended = time.time()
            recorded = [
                item for item in self.recordings.values() if item.leg is leg and item.duration_s is None
            ]
        self.turn(leg, leg.cut)
        for recording in recorded:
            self.finish_recording(recording)

    # What others do to a leg

    def hang_up(self, leg: Leg) -> bool:
        """False: it was over."""
        with self.changed:
            if leg.over or leg.cut:
                return False
            leg.cut = "completed" if leg.answered is not None else "canceled"
            self.changed.notify_all()
        return True

    def _hang_up_after(self, leg: Leg, seconds: float) -> None:
        def do() -> None:
            self.hang_up(leg)

        self.network.scheduler.after(seconds, do)

    # Keys

    def presses(self, leg: Leg, prompt: str, most: int) -> str:
        """What the person presses once the question was heard: as told by the control door, else by what was
        offered."""
        with self.changed:
            if leg.keys:
                pressed = leg.keys.popleft()[:most]
            elif leg.is_machine or (leg.person is not None and leg.person.kind == "silent"):
                pressed = ""
            else:
                pressed = self._chosen(leg, prompt)
            leg.pressed.append(pressed)
        return pressed

    def _chosen(self, leg: Leg, prompt: str) -> str:
        offers = [
            (sentence, DIGITS.get(found[1].lower(), found[1]))
            for sentence in re.split(r"[.;!?]", prompt)
            for found in OFFER.finditer(sentence)
        ]
        if not offers:
            return ""
        if leg.person is not None and leg.person.kind == "do_not_call":
            return next((key for about, key in offers if NEVER.search(about)), offers[0][1])
        return next((key for about, key in offers if not NEVER.search(about)), offers[0][1])

    # Recordings

    def record(self, leg: Leg, *, source: str, url: str) -> Recording:
        recording = Recording(
            sid=new_sid("RE"),
            leg=leg,
            source=source,
            started=time.time(),
            started_network=self.network.scheduler.now(),
            url=url,
        )
        with self.changed:
            self.recordings[recording.sid] = recording
        return recording

    def finish_recording(self, recording: Recording) -> None:
        with self.changed:
            if recording.duration_s is not None:
                return
            recording.duration_s = max(1, round(self.network.scheduler.now() - recording.started_network))
            recording.status = "completed"
        about = {
            "AccountSid": recording.leg.account_sid,
            "CallSid": recording.leg.sid,
            "RecordingSid": recording.sid,
            "RecordingUrl": f"https://api.twilio.com{recording.path}",
            "RecordingStatus": "completed",
            "RecordingDuration": str(recording.duration_s),
            "RecordingChannels": str(recording.channels),
            "RecordingSource": recording.source,
            "RecordingTrack": "both",
            "RecordingStartTime": rfc2822(recording.started) or "",
            "ErrorCode": "0",
        }
        self.callbacks.tell(recording.leg.sid, "recording", recording.url, about)
