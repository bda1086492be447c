"""The demo's people: who works here, and the thousand leads they call. All of them are invented.

First names and companies are those that the telephone network has a voice for, so that every recording is
spoken throughout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random

from agents.sandbox.names import COMPANIES, FIRST_NAMES, LOCAL_NAMES, REASONS
from agents.sandbox.people import BY_NUMBER, TEST_NUMBERS
from callcenter.demo import numbers, zones

HOW_MANY = 1000
PASSWORD = "sunny-desk"  # noqa: S105  of invented people, on loopback, printed at the start
TRY_THESE = "Try these"
FRESH = "Trade fair"
BY_NUMBER_ALONE = 190
"""People whose time zone nobody stated: it follows from their number."""


@dataclass(frozen=True, slots=True)
class Staff:
    username: str
    first_name: str
    last_name: str
    group: str


SALES = (
    Staff("ana", "Ana", "Ruiz", "Sales"),
    Staff("ben", "Ben", "Carter", "Sales"),
    Staff("chloe", "Chloe", "Martin", "Sales"),
    Staff("omar", "Omar", "Haddad", "Sales"),
)
MANAGER = Staff("mona", "Mona", "Lindqvist", "Managers")
ADMINISTRATOR = Staff("ivo", "Ivo", "Brandt", "Administrators")
STAFF = (*SALES, MANAGER, ADMINISTRATOR)
OWNERS = {"ana": 28, "ben": 19, "chloe": 18, "omar": 15, "": 20}


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One list: which agent calls it, how many are on it, and what is known of them."""

    list: str
    agent: str
    count: int
    reasons: Sequence[str]
    custom: Mapping[str, Sequence[str]]
    spanish: bool = False
    called: float = 0.95
    """Share of those who have been called before."""


def _segments() -> tuple[Segment, ...]:
    scripted = len(BY_NUMBER)
    solar = {
        "roof": ("pitched", "flat", "not known"),
        "power_bill": ("90 USD", "140 USD", "210 USD", "320 USD"),
    }
    rest = (
        Segment(
            list="Insurance renewals",
            agent="maya",
            count=250,
            reasons=(REASONS[2], REASONS[6]),
            custom={
                "policy_number": ("HM-20481", "HM-31176", "HM-40952", "HM-58813"),
                "renews": ("next month",),
            },
        ),
        Segment(
            list="Software demos",
            agent="nora",
            count=200,
            reasons=(REASONS[3], REASONS[1]),
            custom={
                "team_size": ("4", "12", "30", "85"),
                "works_with_now": ("spreadsheets", "paper", "another tool"),
            },
        ),
        Segment(
            list="España, placas solares",
            agent="lucia",
            count=79,
            # In the agent's own language: its conversations have a reason of their own where this is empty.
            reasons=("",),
            custom={"tejado": ("plano", "inclinado")},
            spanish=True,
        ),
        Segment(list=FRESH, agent="ava", count=90, reasons=(REASONS[7],), custom=solar, called=0.0),
    )
    website = HOW_MANY - scripted - sum(segment.count for segment in rest)
    first = Segment(
        list="Solar quotes, website",
        agent="ava",
        count=website,
        reasons=(REASONS[0], REASONS[1], REASONS[5]),
        custom=solar,
    )
    return (first, *rest)


SEGMENTS = _segments()


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One lead to be. `zone` is where they live; `stated`: whether the lead says so, or only its number."""

    name: str
    company: str
    email: str
    number: str
    second_number: str
    zone: str
    stated: bool
    list: str
    agent: str
    owner: str
    reason: str
    custom: Mapping[str, str]
    known_for_days: int
    called: bool

    @property
    def first_name(self) -> str:
        return self.name.split()[0]


def people(now: datetime) -> list[Person]:
    """All of them, as they are when the demo starts at `now`: the same moment, the same people."""
    luck = Random(f"people:{now:%Y-%m-%d %H}")  # noqa: S311  invented people, not secrets
    numbered = numbers.at_home(luck)
    names = _names(luck)
    drafts = [_draft(segment, names, luck) for segment in SEGMENTS for _ in range(segment.count)]
    luck.shuffle(drafts)
    scripted = try_these(now)
    settled = _settle(drafts, now, numbered, luck, already_open=len(scripted))
    return [*scripted, *settled]


def try_these(now: datetime) -> list[Person]:
    """One lead for each telephone of docs/sandbox.md, named for what happens; it is day where they live."""
    luck = Random("try these")  # noqa: S311
    home = zones.best(now)
    found = []
    for digits, person in sorted(BY_NUMBER.items()):
        first = luck.choice(FIRST_NAMES)
        company = luck.choice(COMPANIES)
        found.append(
            Person(
                name=f"{first} ({person.label})",
                company=company,
                email=_email(first, digits, company),
                number=f"{TEST_NUMBERS}01{digits}",
                second_number="",
                zone=home,
                stated=True,
                list=TRY_THESE,
                agent="ava",
                owner="",
                reason=REASONS[0],
                custom={},
                known_for_days=0,
                called=False,
            )
        )
    return found


def _draft(segment: Segment, names: Iterator[str], luck: Random) -> Person:
    name = next(names)
    if segment.spanish:
        name = f"{luck.choice(LOCAL_NAMES['es'])} {name.split()[1]}"
    company = luck.choice(COMPANIES)
    called = luck.random() < segment.called
    return Person(
        name=name,
        company=company,
        email=_email(name.split()[0], name.split()[1], company),
        number="",
        second_number="",
        zone="",
        stated=True,
        list=segment.list,
        agent=segment.agent,
        owner=luck.choices(list(OWNERS), weights=list(OWNERS.values()))[0],
        reason=luck.choice(segment.reasons),
        custom={field: luck.choice(values) for field, values in segment.custom.items()},
        known_for_days=_known_for(luck) if called else luck.randint(0, 3),
        called=called,
    )


def _known_for(luck: Random) -> int:
    """Half of them since before the history begins, the others came bit by bit."""
    return luck.randint(90, 200) if luck.random() < 0.5 else luck.randint(4, 90)


def _settle(
    drafts: Sequence[Person],
    now: datetime,
    numbered: dict[str, Iterator[str]],
    luck: Random,
    *,
    already_open: int,
) -> list[Person]:
    """Give everybody a home and a number. How many live where it is day is counted, not left to chance."""
    anywhere, spain = zones.Spread(now), zones.Spread(now, zones.SPANISH_PLACES)
    foreign = [zone for zone, codes in numbers.AREA_CODES.items() if len(codes) >= 5]
    settled: list[Person] = []
    stay: list[Person] = []
    is_open = already_open
    by_number = BY_NUMBER_ALONE
    for draft in drafts:
        if draft.agent == "lucia":
            home = spain.zone(luck, open_now=luck.random() < zones.OPEN_SHARE)
            settled.append(replace(draft, zone=home, number=next(numbered[luck.choice(foreign)])))
        elif by_number and luck.random() < 0.5:
            by_number -= 1
            home = luck.choice(list(numbered))
            settled.append(replace(draft, zone=home, number=next(numbered[home]), stated=False))
        else:
            stay.append(draft)
            continue
        is_open += zones.time_left(home, now) is not None
    wanted = round(zones.OPEN_SHARE * (len(drafts) + already_open)) - is_open
    day = set(luck.sample(range(len(stay)), k=min(max(wanted, 0), len(stay))))
    for place, draft in enumerate(stay):
        home = anywhere.zone(luck, open_now=place in day)
        number = next(numbered[home if home in numbered else luck.choice(foreign)])
        second = (
            next(numbered[home if home in numbered else luck.choice(foreign)]) if luck.random() < 0.08 else ""
        )
        settled.append(replace(draft, zone=home, number=number, second_number=second))
    return settled


BEGINNINGS = (
    "Ash", "Brack", "Cald", "Dray", "Ell", "Fen", "Gar", "Hart", "Ives", "Kel", "Lark", "Mar", "Nor", "Oak",
    "Pem", "Quill", "Ros", "Sel", "Thorn", "Wex", "Yar", "Zell",
)  # fmt: skip
ENDINGS = (
    "bridge", "combe", "dale", "den", "field", "ford", "ham", "leigh", "low", "more", "stead", "ton", "wick",
    "wood",
)  # fmt: skip


def _names(luck: Random) -> Iterator[str]:
    """First and invented last names, no pair twice."""
    seen: set[str] = set()
    while True:
        name = f"{luck.choice(FIRST_NAMES)} {luck.choice(BEGINNINGS)}{luck.choice(ENDINGS)}"
        if name not in seen:
            seen.add(name)
            yield name


def _email(first: str, last: str, company: str) -> str:
    """At a domain that can never exist (RFC 2606)."""
    house = re.sub(r"[^a-z]+", "-", company.lower()).strip("-")
    return f"{first.lower()}.{last.lower()}@{house}.example"
