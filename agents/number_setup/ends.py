"""Both ends of a number's line, and how what they did is written down between two questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agents.models import NumberSetup
from agents.providers.base import NotFound, Provider, Unclear
from agents.providers.registry import get_provider
from agents.providers.twilio.rest import Twilio
from agents.providers.twilio.trunk import Trunking
from callcenter.connections import hand_back

GIVE_UP_S = 10.0


class SetupProblem(Exception):
    """What a step found does not let it go on; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Ends:
    twilio: Twilio
    trunks: Trunking
    provider: Provider


@contextmanager
def both_ends() -> Iterator[Ends]:
    """For one step; a person waits for it, so that each question is given up after ten seconds."""
    hand_back()
    twilio = Twilio.from_settings(ask_deadline_s=GIVE_UP_S)
    try:
        yield Ends(twilio, Trunking(twilio), get_provider())
    finally:
        twilio.close()


def keep(setup: NumberSetup, **columns: Any) -> None:
    """Written at once, so that what was made is known whatever comes next."""
    for name, value in columns.items():
        setattr(setup, name, value)
    NumberSetup.objects.filter(pk=setup.pk).update(**columns)
    hand_back()


def found_or_made[Thing](look: Callable[[], Thing | None], make: Callable[[], Thing]) -> Thing:
    """Never made twice: looked for first, and again when the answer was unclear."""
    found = look()
    return found if found is not None else made_or_found(make, look)


def made_or_found[Thing](make: Callable[[], Thing], look: Callable[[], Thing | None]) -> Thing:
    """Raises Unclear when it is not to be found after an unclear answer: it may yet come to be."""
    try:
        return make()
    except Unclear:
        found = look()
        if found is None:
            raise
        return found


def gone_is_fine(delete: Callable[[], object]) -> None:
    try:
        delete()
    except NotFound:
        return
