"""Who picks up: what the person (or machine) behind a number does when it rings.

A number of the test area code does what its last two digits say, always. Every other number draws from a
mix near life, from its own seed: the same (seed, number, attempt) always gives the same behaviour, on any
machine. docs/sandbox.md shows both tables to people who try the product, and a test holds it against these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

from agents.sandbox.scripts import SCRIPTS, find

TEST_NUMBERS = "+1415555"
"""Numbers +1 415 555 0100 to 0199: the North American range that belongs to no one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What happens when one number is dialled once.

    `kind` names the behaviour; `script` the conversation, None where nobody says a word;
    `disconnection_reason` is Retell's word for how it ends; `rings_s` is the time until someone picks up or
    the network gives up; `connects` is false where no call_started is sent; `rings_back_after_s` counts from
    the end of the call.
    """

    kind: str
    script: str | None
    disconnection_reason: str
    rings_s: float
    connects: bool
    rings_back_after_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One row of the table of scripted numbers.

    `script` pins one conversation among those of its kind; an agent of another language than English talks to
    the same kind of person in that language, where there is one.
    """

    kind: str
    label: str
    script: str | None = None
    rings_back_after_s: float | None = None

    @property
    def disconnection_reason(self) -> str:
        """How a call to this person ends, in Retell's words."""
        if self.kind in NEVER_PICKED_UP:
            return NEVER_PICKED_UP[self.kind].disconnection_reason
        return SCRIPTS[self.script or find(kind=self.kind, language="en", direction="outbound")[0].id].ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A way for a call to end without anybody picking up."""

    disconnection_reason: str
    rings_s: tuple[float, float]


NEVER_PICKED_UP: Mapping[str, Silence] = MappingProxyType(
    {
        "no_answer": Silence(disconnection_reason="dial_no_answer", rings_s=(24.0, 30.0)),
        "busy": Silence(disconnection_reason="dial_busy", rings_s=(0.8, 2.5)),
        "declined": Silence(disconnection_reason="user_declined", rings_s=(2.5, 9.0)),
        "invalid": Silence(disconnection_reason="invalid_destination", rings_s=(0.3, 1.2)),
        "blocked": Silence(disconnection_reason="network_blocked", rings_s=(0.5, 2.0)),
        "spam": Silence(disconnection_reason="marked_as_spam", rings_s=(0.5, 2.0)),
        "failed": Silence(disconnection_reason="dial_failed", rings_s=(1.0, 6.0)),
    }
)

BY_NUMBER: Mapping[str, Person] = MappingProxyType(
    {
        "01": Person(kind="interested", script="solar_interested", label="answers and is interested"),
        "02": Person(kind="callback", script="solar_callback", label="asks for a call back tomorrow at ten"),
        "03": Person(kind="do_not_call", script="solar_never_again", label="asks never to be called again"),
        "04": Person(kind="wrong_number", label="wrong number"),
        "05": Person(kind="hangs_up", label="hangs up at once"),
        "06": Person(
            kind="voicemail", script="voicemail_message", label="voicemail; the agent leaves a message"
        ),
        "07": Person(kind="screening", script="screening_refused", label="a phone that screens callers"),
        "08": Person(kind="busy", label="busy"),
        "09": Person(kind="no_answer", label="no answer"),
        "10": Person(kind="declined", label="declines the call"),
        "11": Person(kind="invalid", label="invalid number"),
        "12": Person(kind="blocked", label="blocked by the carrier"),
        "13": Person(kind="transfer_missed", label="wants a colleague; the transfer is taken by no one"),
        "14": Person(kind="error", label="the provider breaks down in the middle of the call"),
        "15": Person(
            kind="no_answer", label="no answer, and rings back a minute after", rings_back_after_s=60.0
        ),
        "16": Person(kind="not_interested", script="not_interested", label="not interested, politely"),
        "17": Person(kind="annoyed", label="not interested, and annoyed"),
        "18": Person(kind="price", label="asks many questions about the price"),
        "19": Person(kind="gatekeeper", label="a receptionist who lets no one through"),
        "20": Person(kind="language", label="wants to go on in Spanish"),
        "21": Person(kind="voicemail", script="voicemail_no_message", label="voicemail; the agent hangs up"),
        "22": Person(kind="silent", label="picks up and says nothing"),
        "23": Person(kind="ivr", label="a menu: press one for ..."),
        "24": Person(kind="interested", script="insurance_renewal", label="renews the insurance"),
        "25": Person(kind="interested", script="software_demo", label="books a software demo"),
        "26": Person(kind="interested", script="dental_reminder", label="confirms a dental appointment"),
        "27": Person(kind="screening", script="screening_passed", label="screens the caller, then answers"),
        "28": Person(kind="interested", script="de_interested", label="is interested, in German"),
        "29": Person(kind="interested", script="es_interested", label="is interested, in Spanish"),
        "30": Person(kind="spam", label="our caller ID is marked as spam"),
        "31": Person(kind="failed", label="the network fails to dial"),
    }
)
"""Last two digits of a number in the test area code -> who is there."""

MIX: Mapping[str, float] = MappingProxyType(
    {
        "no_answer": 38.0,
        "voicemail": 22.0,
        "not_interested": 6.5,
        "interested": 6.0,
        "callback": 4.0,
        "price": 3.0,
        "hangs_up": 3.0,
        "annoyed": 2.5,
        "gatekeeper": 2.0,
        "do_not_call": 1.5,
        "wrong_number": 1.0,
        "transfer_missed": 0.5,
        "busy": 4.0,
        "declined": 3.0,
        "screening": 1.5,
        "invalid": 0.7,
        "blocked": 0.3,
        "failed": 0.3,
        "error": 0.2,
    }
)
"""What every other number does, in per cent of dialled calls."""

INBOUND_MIX: Mapping[str, float] = MappingProxyType(
    {"you_called_me": 55.0, "returns_call": 33.0, "do_not_call": 12.0}
)
"""What people who ring us say, in per cent of calls in."""

RINGS_US_AS = MappingProxyType(
    {"do_not_call": "do_not_call", "interested": "returns_call", "callback": "returns_call"}
)
"""What the people of the table say when they ring us, by their kind; all others ask why we called."""

PEOPLE = frozenset(
    {
        "interested", "callback", "do_not_call", "wrong_number", "hangs_up", "not_interested", "annoyed",
        "price", "gatekeeper", "transfer_missed", "language", "you_called_me", "returns_call",
    }
)  # fmt: skip
"""Kinds in which a human being was on the line."""

RINGS_BACK_OF_MISSED = 0.02
"""Share of missed and declined calls whose owner rings back within a quarter of an hour."""

NEAREST = MappingProxyType(
    {
        "annoyed": "not_interested",
        "price": "not_interested",
        "gatekeeper": "not_interested",
        "transfer_missed": "callback",
        "error": "interested",
        "language": "interested",
        "returns_call": "you_called_me",
    }
)
"""What stands in for a kind that a language has no conversation of; failing that, English."""


STAFF_NUMBERS = tuple(f"{TEST_NUMBERS}018{digit}" for digit in range(10))
"""Telephones of whoever works here: somebody picks up, presses what is asked, and talks."""
STAFF = Person(kind="price", label="one of the staff: picks up and presses what is asked")


def scripted(number: str) -> Person | None:
    """The row of the table for this E.164 number, None if it draws from the mix."""
    if number in STAFF_NUMBERS:
        return STAFF
    if number.startswith(TEST_NUMBERS + "01") and len(number) == len(TEST_NUMBERS) + 4:
        return BY_NUMBER.get(number[-2:])
    return None


def behave(
    number: str,
    *,
    seed: int,
    attempt: int,
    language: str = "en",
    direction: str = "outbound",
    topic: str = "",
) -> Behaviour:
    """What `number` (E.164) does at this attempt (1, 2, ...), the same on every machine.

    `direction` "inbound" asks what its owner says when ringing us. `topic` (solar, insurance, software,
    dental) prefers the conversations of that business where a kind has several.
    """
    luck = _random(seed, number, attempt, direction)
    person = scripted(number)
    if direction == "inbound":
        kind = RINGS_US_AS.get(person.kind, "you_called_me") if person else _draw(INBOUND_MIX, luck)
        return _talk(kind, luck, language=language, direction=direction, topic=topic)
    if person is not None:
        if person.kind in NEVER_PICKED_UP:
            return _silence(person.kind, luck, rings_back_after_s=person.rings_back_after_s)
        return _talk(
            person.kind, luck, language=language, direction=direction, topic=topic, script=person.script
        )
    kind = _outbound_kind(number, luck, seed=seed)
    if kind in NEVER_PICKED_UP:
        rings_back = kind in {"no_answer", "declined"} and luck.random() < RINGS_BACK_OF_MISSED
        return _silence(
            kind, luck, rings_back_after_s=round(luck.uniform(45, 900), 1) if rings_back else None
        )
    return _talk(kind, luck, language=language, direction=direction, topic=topic)


def _random(*key: object) -> Random:
    digest = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
    return Random(int.from_bytes(digest[:8]))  # noqa: S311  people, not secrets


def _draw(mix: Mapping[str, float], luck: Random) -> str:
    return luck.choices(list(mix), weights=list(mix.values()))[0]


def _outbound_kind(number: str, luck: Random, *, seed: int) -> str:
    # A number that does not exist stays so at every attempt; all the rest is drawn anew.
    if _random(seed, number, "exists").random() * 100 < MIX["invalid"]:
        return "invalid"
    return _draw({kind: share for kind, share in MIX.items() if kind != "invalid"}, luck)


def _silence(kind: str, luck: Random, *, rings_back_after_s: float | None) -> Behaviour:
    way = NEVER_PICKED_UP[kind]
    return Behaviour(
        kind=kind,
        script=None,
        disconnection_reason=way.disconnection_reason,
        rings_s=round(luck.uniform(*way.rings_s), 1),
        connects=False,
        rings_back_after_s=rings_back_after_s,
    )


def _talk(
    kind: str, luck: Random, *, language: str, direction: str, topic: str, script: str | None = None
) -> Behaviour:
    wanted = language.replace("_", "-").split("-")[0].lower()
    if script is None or (SCRIPTS[script].language == "en" and wanted != "en"):
        script = luck.choice(_scripts_of(kind, wanted=wanted, direction=direction, topic=topic))
    machine = kind in {"voicemail", "screening", "ivr"}
    return Behaviour(
        kind=kind,
        script=script,
        disconnection_reason=SCRIPTS[script].ends,
        rings_s=round(luck.uniform(14, 22) if machine else luck.uniform(3, 16), 1),
        connects=True,
        rings_back_after_s=None,
    )


def _scripts_of(kind: str, *, wanted: str, direction: str, topic: str) -> list[str]:
    for try_kind, try_language in ((kind, wanted), (NEAREST.get(kind, kind), wanted), (kind, "en")):
        found = find(kind=try_kind, language=try_language, direction=direction)
        if found:
            about = [script.id for script in found if script.topic == topic]
            return about or [script.id for script in found]
    raise LookupError(f"no conversation of kind {kind!r} for a call {direction}")
