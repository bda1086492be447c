"""Ninety days of calls that never were: who was called when, and how it went.

Pure: the same people and the same `now` give the same plan.
Busy weekdays, quiet weekends, hours as people keep them where they live. One week went badly for everybody;
one caller ID tires; agents differ. How each call *ends* comes from the conversations and silences of the
telephone network's own people, so that whatever is read here could have been said there.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from agents.sandbox.people import NEAREST, NEVER_PICKED_UP
from agents.sandbox.scripts import SCRIPTS, find
from agents.sandbox.seeds import NUMBERS
from callcenter.demo.home import COMPANY_ZONE
from callcenter.demo.people import SALES, Person
from callcenter.demo.zones import opening, zone_of
from calls.dialer.batches import UNDO
from calls.lifecycle.reachability import LOOKED_BACK
from calls.models import Disposition

DAYS = 90
BAD_WEEK = range(38, 45)
"""Days ago: when everybody's results were poor."""
TIRING_SINCE = 56
TIRING = NUMBERS[2]
WEEKDAY_CALLS = 57
WEEKEND_CALLS = 6
MOST_ATTEMPTS = 6
"""To one person in all this time; a call that was promised is made nevertheless."""
BATCHES = 2
"""On a weekday. What else is called is a click each."""
BATCH_OF = (9, 30)
BETWEEN_CALLS = timedelta(seconds=2.4)
REFUSED = 2
"""People at most whom a batch did not call, for one of `Gone`'s reasons."""
FORGOTTEN = 0.12
"""Share of promises that nobody kept."""
LATEST = LOOKED_BACK + timedelta(minutes=5)
"""No call of the history is younger: it would seem a call the phone company never told us about."""
RING_BACKS = 0.022
STRANGERS = 24

HOURS: Mapping[int, float] = {9: 6, 10: 11, 11: 12, 12: 7, 13: 8, 14: 11, 15: 12, 16: 11, 17: 9, 18: 8, 19: 4}
"""When calls are made, by the hour there."""
REACHED_AT: Mapping[int, float] = {
    9: 0.8, 10: 1.25, 11: 1.2, 12: 0.75, 13: 0.7, 14: 0.9, 15: 0.95, 16: 1.05, 17: 1.3, 18: 1.35, 19: 1.0,
}  # fmt: skip
"""How readily people pick up, by the hour there."""

KINDS: Mapping[str, float] = {
    "no_answer": 37, "voicemail": 22, "busy": 4, "declined": 3, "screening": 1.5, "ivr": 0.4, "silent": 0.3,
    "blocked": 0.2, "failed": 0.4, "error": 0.2, "spam": 0.1,
    "not_interested": 8.5, "interested": 7.5, "callback": 4.5, "price": 3.5, "hangs_up": 3, "annoyed": 2.0,
    "gatekeeper": 2.2, "transfer_missed": 0.6, "language": 0.2, "do_not_call": 0.42, "wrong_number": 0.28,
}  # fmt: skip
PERSONS = frozenset(
    {
        "not_interested", "interested", "callback", "price", "hangs_up", "annoyed", "gatekeeper",
        "transfer_missed", "language", "do_not_call", "wrong_number",
    }
)  # fmt: skip
RINGS_US: Mapping[str, float] = {"you_called_me": 61, "returns_call": 37, "do_not_call": 2}
NUMBER_GONE = 0.006
"""Share of people whose number does not exist."""
REST_DAYS: Mapping[str, int] = {
    "not_interested": 24,
    "annoyed": 45,
    "gatekeeper": 8,
    "interested": 6,
    "price": 9,
}
"""How long somebody is left alone after such a call; five days after any other."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An agent as it works: its line, and how its results compare.

    `talks`: how readily people pick up for it; `wins`: how many of them it interests.
    """

    key: str
    our_number: str
    language: str
    topic: str
    wins: float
    talks: float

    @property
    def provider_agent_id(self) -> str:
        return f"agent_sandbox_{self.key}"


CALLERS = {
    "ava": Caller("ava", NUMBERS[0], "en", "solar", 1.0, 1.0),
    "maya": Caller("maya", TIRING, "en", "insurance", 1.35, 1.1),
    "nora": Caller("nora", NUMBERS[1], "en", "software", 0.7, 0.85),
    "lucia": Caller("lucia", NUMBERS[3], "es", "solar", 1.15, 1.2),
    "lena": Caller("lena", NUMBERS[0], "en", "", 1.0, 1.0),
}

BATCHES_BY: Mapping[str, float] = {"ava": 4, "maya": 3, "nora": 3, "lucia": 1}


class Gone(enum.StrEnum):
    """Why a person is called no more; as `calls.eligibility` has it."""

    DO_NOT_CALL = "do_not_call"
    WRONG_NUMBER = "wrong_number"


@dataclass(frozen=True, slots=True)
class Refused:
    """Somebody with this number is called no more since that day."""

    number: str
    why: Gone
    since: date


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """One press of *Call* on several people, of whom some were not called."""

    by: str
    agent: str
    started: datetime
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One call of the past. `at`: when it was dialled, or rang in. `person` None: somebody unknown."""

    person: Person | None
    number: str
    direction: str
    at: datetime
    agent: str
    our_number: str
    kind: str
    script: str | None
    reason: str
    rings_s: float
    attempt: int
    promised: bool
    """It was made because it had been promised."""
    batch: PlannedBatch | None
    said: str
    """What a person of the staff said it meant; '' when nobody said anything."""
    said_after: timedelta

    @property
    def connects(self) -> bool:
        return self.script is not None


@dataclass(slots=True)
class Course:
    """How it goes with one person."""

    person: Person
    exists: bool
    attempts: int = 0
    refusals: int = 0
    rests_until: date | None = None
    promise: datetime | None = None
    done: bool = False
    gone: Refused | None = None


@dataclass(slots=True)
class History:
    now: datetime
    luck: Random
    earliest: datetime
    calls: list[Planned] = field(default_factory=list)


def plan(people: Sequence[Person], now: datetime) -> list[Planned]:
    """In order of time."""
    luck = Random(f"history:{now:%Y-%m-%d %H}")  # noqa: S311  invented people, not secrets
    # Whole days as the dashboard counts them, so that ninety days are compared with nothing, not with a rest.
    first_day = now.astimezone(zone_of(COMPANY_ZONE)).date() - timedelta(days=DAYS - 1)
    history = History(now, luck, earliest=datetime.combine(first_day, time(), zone_of(COMPANY_ZONE)))
    courses = [Course(person, luck.random() >= NUMBER_GONE) for person in people if person.called]
    # A day longer, since it is tomorrow already where some of them live.
    for ago in range(DAYS, -2, -1):
        day = now.date() - timedelta(days=ago)
        _one_day(history, courses, day)
    _strangers(history)
    return sorted(history.calls, key=lambda call: call.at)


def _one_day(history: History, courses: Sequence[Course], day: date) -> None:
    luck = history.luck
    quiet = day.weekday() >= 5
    usual = WEEKEND_CALLS if quiet else WEEKDAY_CALLS * (1 + 0.1 * (day.weekday() in (1, 2)))
    many = round(usual * luck.uniform(0.88, 1.12))
    free = [course for course in courses if _may_be_called(course, day, history.now)]
    promised = [course for course in free if course.promise is not None]
    others = [course for course in free if course.promise is None and course.attempts < MOST_ATTEMPTS]
    in_batches: set[int] = set()
    for _ in range(0 if quiet else BATCHES):
        rest = [course for course in others if id(course) not in in_batches]
        in_batches |= _batch(history, courses, rest, day)
    singles = [course for course in others if id(course) not in in_batches]
    left = min(len(singles), max(many - len(promised) - len(in_batches), 0))
    for course in promised + luck.sample(singles, k=left):
        if course.promise is not None and luck.random() < FORGOTTEN:
            course.promise = None
            continue
        at = course.promise or _moment(luck, day, course.person.zone)
        if history.earliest <= at < history.now - LATEST:
            _call(history, course, at)


def _batch(history: History, everybody: Sequence[Course], free: Sequence[Course], day: date) -> set[int]:
    """Some of a salesperson's people for one agent; who may not be called yet is called at nine there.

    Returns who was called, by identity.
    """
    luck = history.luck
    by = luck.choice(SALES).username
    agent = luck.choices(list(BATCHES_BY), weights=list(BATCHES_BY.values()))[0]
    mine = [course for course in free if course.person.agent == agent and course.person.owner in (by, "")]
    if len(mine) < BATCH_OF[0]:
        return set()
    chosen = luck.sample(mine, k=min(len(mine), luck.randint(*BATCH_OF)))
    started = _moment(luck, day, chosen[0].person.zone)
    due = [(course, opening(course.person.zone, started + UNDO)) for course in chosen]
    if not history.earliest <= started or max(at for _, at in due) >= history.now - LATEST - timedelta(
        hours=1
    ):
        return set()
    gone = [c for c in everybody if c.gone and c.person.agent == agent and c.person.owner in (by, "")]
    refused = luck.sample(gone, k=min(len(gone), luck.randint(0, REFUSED)))
    batch = PlannedBatch(by, agent, started, tuple(course.gone for course in refused if course.gone))
    for place, (course, at) in enumerate(due):
        _call(history, course, at + place * BETWEEN_CALLS, batch)
    return {id(course) for course in chosen}


def _may_be_called(course: Course, day: date, now: datetime) -> bool:
    if course.done or (now.date() - day).days > course.person.known_for_days:
        return False
    if course.promise is not None:
        return course.promise.astimezone(zone_of(course.person.zone)).date() == day
    return course.rests_until is None or course.rests_until <= day


def _moment(luck: Random, day: date, zone: str) -> datetime:
    hour = luck.choices(list(HOURS), weights=list(HOURS.values()))[0]
    there = datetime.combine(day, time(hour, luck.randrange(60), luck.randrange(60)), zone_of(zone))
    return there.astimezone(UTC)


def _call(history: History, course: Course, at: datetime, batch: PlannedBatch | None = None) -> None:
    luck, person, caller = history.luck, course.person, CALLERS[course.person.agent]
    promised, course.promise = course.promise is not None, None
    course.attempts += 1
    kind = _kind(luck, course, caller, at, ago=(history.now - at).days, promised=promised)
    call = _planned(luck, person, caller, kind, at, attempt=course.attempts, promised=promised, batch=batch)
    history.calls.append(call)
    _what_follows(luck, course, call)
    if kind in {"no_answer", "declined", "voicemail"} and luck.random() < RING_BACKS:
        _rings_back(history, course, call)


def _kind(luck: Random, course: Course, caller: Caller, at: datetime, *, ago: int, promised: bool) -> str:
    if not course.exists:
        return "invalid"
    weights = dict(KINDS)
    hour = at.astimezone(zone_of(course.person.zone)).hour
    persons = REACHED_AT.get(hour, 1.0) * caller.talks * (2.2 if promised else 1.0)
    machines = 1.0
    if ago in BAD_WEEK:
        persons, machines = persons * 0.4, machines * 0.45
    if caller.our_number == TIRING and ago < TIRING_SINCE:
        tired = (TIRING_SINCE - ago) / TIRING_SINCE
        persons, machines = persons * (1 - 0.6 * tired), machines * (1 - 0.35 * tired)
        weights["spam"] += 7 * tired
    for kind in weights:
        if kind in PERSONS:
            weights[kind] *= persons
        elif kind in {"voicemail", "screening"}:
            weights[kind] *= machines
    weights["interested"] *= caller.wins
    return luck.choices(list(weights), weights=list(weights.values()))[0]


def _planned(
    luck: Random,
    person: Person,
    caller: Caller,
    kind: str,
    at: datetime,
    *,
    attempt: int,
    promised: bool,
    batch: PlannedBatch | None,
) -> Planned:
    script = None if kind in NEVER_PICKED_UP else script_of(luck, kind, caller, "outbound")
    silence = NEVER_PICKED_UP.get(kind)
    said = _said(luck, script, kind)
    return Planned(
        person=person,
        number=person.second_number if person.second_number and luck.random() < 0.15 else person.number,
        direction="outbound",
        at=at,
        agent=caller.key,
        our_number=caller.our_number,
        kind=kind,
        script=script,
        reason=silence.disconnection_reason if silence else SCRIPTS[script].ends if script else "",
        rings_s=round(luck.uniform(*silence.rings_s) if silence else luck.uniform(3, 18), 1),
        attempt=attempt,
        promised=promised,
        batch=batch,
        said=said,
        said_after=timedelta(minutes=luck.randint(4, 240)),
    )


def script_of(luck: Random, kind: str, caller: Caller, direction: str) -> str:
    """One conversation of this kind, in the agent's language and about its business where there is one."""
    for try_kind, language in (
        (kind, caller.language),
        (NEAREST.get(kind, kind), caller.language),
        (kind, "en"),
    ):
        if found := find(kind=try_kind, language=language, direction=direction):
            about = [script.id for script in found if script.topic == caller.topic]
            return luck.choice(about or [script.id for script in found])
    raise LookupError(f"no conversation of kind {kind!r} for a call {direction}")


def _said(luck: Random, script: str | None, kind: str) -> str:
    """A person's word on a conversation: what it was, and for some of the interested, that they bought."""
    if script is None or kind not in PERSONS:
        return ""
    facts = SCRIPTS[script].analysis
    if luck.random() < 0.3 or facts.do_not_call or facts.wrong_number:
        return ""
    if facts.callback:
        return Disposition.CALL_BACK
    if facts.interested:
        return Disposition.CONVERTED if luck.random() < 0.28 else Disposition.INTERESTED
    return Disposition.NOT_INTERESTED if kind in {"not_interested", "annoyed", "price"} else ""


def _what_follows(luck: Random, course: Course, call: Planned) -> None:
    there = call.at.astimezone(zone_of(course.person.zone)).date()
    course.rests_until = there + timedelta(days=REST_DAYS.get(call.kind, 5) + luck.randint(0, 4))
    if call.script is None:
        course.done = call.kind == "invalid"
        course.gone = (
            Refused(course.person.number, Gone.WRONG_NUMBER, call.at.date()) if course.done else None
        )
        return
    facts = SCRIPTS[call.script].analysis
    if call.said == Disposition.CONVERTED or facts.do_not_call or facts.wrong_number:
        course.done = True
        if facts.do_not_call or facts.wrong_number:
            why = Gone.DO_NOT_CALL if facts.do_not_call else Gone.WRONG_NUMBER
            course.gone = Refused(course.person.number, why, call.at.date())
    elif facts.callback:
        days, _, clock = facts.callback.removeprefix("+").partition(" ")
        moment = time.fromisoformat(clock)
        day = there + timedelta(days=int(days))
        course.promise = datetime.combine(day, moment, zone_of(course.person.zone)).astimezone(UTC)
    elif call.kind in {"not_interested", "annoyed"}:
        course.refusals += 1
        course.done = course.refusals >= 3


def _rings_back(history: History, course: Course, missed: Planned) -> None:
    luck, caller = history.luck, CALLERS[missed.agent]
    at = missed.at + timedelta(minutes=luck.uniform(1, 90))
    if at >= history.now - LATEST:
        return
    kind = luck.choices(list(RINGS_US), weights=list(RINGS_US.values()))[0]
    history.calls.append(_inbound(luck, course.person, missed.number, caller, kind, at))
    if kind == "do_not_call":
        course.done, course.gone = True, Refused(course.person.number, Gone.DO_NOT_CALL, at.date())


def _strangers(history: History) -> None:
    """People who ring and are nobody's lead: a number of fiction each, of an area code no lead has."""
    luck = history.luck
    for line in range(STRANGERS):
        at = history.now - timedelta(days=luck.uniform(0.5, DAYS - 1.5), minutes=luck.uniform(0, 500))
        history.calls.append(
            _inbound(luck, None, f"+132155501{line:02d}", CALLERS["lena"], "you_called_me", at)
        )


def _inbound(
    luck: Random, person: Person | None, number: str, caller: Caller, kind: str, at: datetime
) -> Planned:
    script = script_of(luck, kind, caller, "inbound")
    return Planned(
        person=person,
        number=number,
        direction="inbound",
        at=at,
        agent=caller.key,
        our_number=caller.our_number,
        kind=kind,
        script=script,
        reason=SCRIPTS[script].ends,
        rings_s=1.0,
        attempt=1,
        promised=False,
        batch=None,
        said="",
        said_after=timedelta(),
    )
