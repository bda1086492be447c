"""One person at a time at one number: a step is done, or taken back, and what came of it is written down."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from agents import sync
from agents.models import NumberSetup, NumberSetupStep, PhoneNumber, SetupStep, StepState
from agents.number_completion import judge
from agents.number_setup.ends import Ends, SetupProblem, both_ends
from agents.number_setup.steps import VERBS, Given
from agents.number_setup.undoing import UNDO
from agents.providers.base import NotFound, ProviderError, Unclear

log = structlog.get_logger(__name__)

BUSY_FOR = timedelta(minutes=4)
"""Longer than any step takes; whoever died in the middle holds it no longer."""
ORDER: tuple[str, ...] = tuple(SetupStep.values)


class SomebodyIsAtIt(Exception):
    """Another request works on this number."""

    def __init__(self) -> None:
        super().__init__(_("Somebody is at a step of this number right now: look again in a moment."))


class NotInTurn(Exception):
    """The step cannot be done, or taken back, before or after another one; the text says which."""


def states_of(setup: NumberSetup) -> dict[str, NumberSetupStep]:
    """In their order."""
    rows = {row.step: row for row in setup.steps.all()}
    return {step: rows[step] for step in ORDER if step in rows}


def may_run(setup: NumberSetup, step: str) -> bool:
    """Everything before it is done."""
    states = states_of(setup)
    return all(states[each].state == StepState.DONE for each in ORDER[: ORDER.index(step)])


def last_begun(setup: NumberSetup) -> str:
    """The step that is taken back next."""
    return [step for step, row in states_of(setup).items() if row.state != StepState.OPEN][-1]


def run_step(setup: NumberSetup, step: str, given: Given, *, by: Any, now: datetime) -> NumberSetupStep:
    """Steps 2 to 5, for the first time or again. What goes wrong is kept with the step.

    Raises NotInTurn, SomebodyIsAtIt.
    """
    with _at_work(setup):
        if not may_run(setup, step):
            raise NotInTurn(_("The steps before it come first."))
        with both_ends() as ends:
            state, problem = StepState.DONE, ""
            try:
                VERBS[step](setup, ends, given)
                if step in (SetupStep.IMPORT, SetupStep.SIGN_IN):
                    _keep_number(setup, ends, now=now)
            except (ProviderError, SetupProblem) as error:
                state, problem = _gone_wrong(setup, step, error)
        return _write_down(setup, step, state, problem, by=by, now=now)


def take_back(setup: NumberSetup, step: str, *, by: Any, now: datetime) -> NumberSetupStep | None:
    """The step that was begun last; with the first the set-up itself is gone, and the answer None.

    Raises NotInTurn, SomebodyIsAtIt.
    """
    with _at_work(setup):
        if last_begun(setup) != step:
            raise NotInTurn(_("The steps after it are taken back first."))
        return _undo(setup, step, by=by, now=now)


def take_all_back(setup: NumberSetup, *, by: Any, now: datetime) -> NumberSetupStep | None:
    """From the last to the first. None: all is as it was; else the step at which it stopped.

    Raises SomebodyIsAtIt.
    """
    with _at_work(setup):
        while (step := last_begun(setup)) != SetupStep.NUMBER:
            row = _undo(setup, step, by=by, now=now)
            if row is not None and row.state != StepState.OPEN:
                return row
        return _undo(setup, step, by=by, now=now)


def prove(
    setup: NumberSetup, *, out_at: datetime | None, in_at: datetime | None, by: Any, now: datetime
) -> NumberSetupStep:
    """When a call out was picked up and one in was answered, as far as they were seen.

    What was seen once stays so. Raises NotInTurn.
    """
    if not may_run(setup, SetupStep.PROOF):
        raise NotInTurn(_("The steps before it come first."))
    setup.called_out_at, setup.called_in_at = setup.called_out_at or out_at, setup.called_in_at or in_at
    setup.save(update_fields=["called_out_at", "called_in_at"])
    state, problem = StepState.DONE, ""
    if setup.called_out_at is None or setup.called_in_at is None:
        state = StepState.OPEN
        problem = _("A call out that was picked up, and a call in that was answered: both have to be seen.")
    return _write_down(setup, SetupStep.PROOF, state, problem, by=by, now=now)


def _undo(setup: NumberSetup, step: str, *, by: Any, now: datetime) -> NumberSetupStep | None:
    if step == SetupStep.NUMBER:
        setup.delete()
        for row in PhoneNumber.objects.filter(number=setup.number):
            judge(row, now=now)
        return None
    state, problem = StepState.OPEN, ""
    with both_ends() as ends:
        try:
            problem = UNDO[step](setup, ends, now)
        except (ProviderError, SetupProblem) as error:
            state, why = _gone_wrong(setup, step, error)
            problem = _("It could not be taken back. %(why)s") % {"why": why}
    return _write_down(setup, step, state, problem, by=by, now=now)


def _gone_wrong(setup: NumberSetup, step: str, error: Exception) -> tuple[StepState, str]:
    unclear = isinstance(error, Unclear)
    told = error.message if isinstance(error, ProviderError) else str(error)
    log.warning("a step of a number's set-up failed", number=setup.number, step=step, unclear=unclear)
    return (StepState.UNCLEAR if unclear else StepState.FAILED), told


def _keep_number(setup: NumberSetup, ends: Ends, *, now: datetime) -> None:
    """The row of the number as Retell has it now, kept back from the first moment."""
    if setup.inbound_agent_id is None:
        return
    try:
        profile = ends.provider.fetch_number(setup.number)
    except NotFound:
        return
    row, _made = PhoneNumber.objects.get_or_create(
        number=setup.number,
        defaults={
            "label": (setup.label or profile.label)[:80],
            "line": profile.line[:60],
            "provider": sync.PROVIDER,
            "held_back": True,
        },
    )
    sync.store_number(row, profile, now=now)


def _write_down(
    setup: NumberSetup, step: str, state: StepState, problem: str, *, by: Any, now: datetime
) -> NumberSetupStep:
    tried = state != StepState.OPEN
    NumberSetupStep.objects.filter(setup=setup, step=step).update(
        state=state, problem=problem, at=now if tried else None, by=by.pk if tried else None
    )
    _judge(setup, now=now)
    return NumberSetupStep.objects.get(setup=setup, step=step)


def _judge(setup: NumberSetup, *, now: datetime) -> None:
    for row in PhoneNumber.objects.filter(number=setup.number):
        judge(row, now=now)
    setup.refresh_from_db()


@contextmanager
def _at_work(setup: NumberSetup) -> Iterator[None]:
    """Raises SomebodyIsAtIt. The database's clock decides."""
    token = uuid.uuid4()
    free = Q(busy_until=None) | Q(busy_until__lt=Now())
    if not NumberSetup.objects.filter(free, pk=setup.pk).update(
        busy_until=Now() + BUSY_FOR, busy_token=token
    ):
        raise SomebodyIsAtIt
    setup.refresh_from_db()
    try:
        yield
    finally:
        NumberSetup.objects.filter(busy_token=token).update(busy_until=None, busy_token=None)
