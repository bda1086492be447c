"""Step 1: which numbers the Twilio account has, and which of them can be set up."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from agents.models import NumberSetup, NumberSetupStep, PhoneNumber, SetupStep, StepState
from agents.number_setup.ends import SetupProblem, both_ends
from agents.phone import is_e164
from agents.providers.abilities import WHY_NOT, Ability
from agents.providers.registry import can
from agents.providers.twilio.resources import Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A number of the account. `why_not`: '' when it can be set up."""

    number: Number
    why_not: str


def why_not() -> str:
    """Why no number can be set up here; '' if one can."""
    if not can(Ability.CATALOGUE):
        return str(WHY_NOT[Ability.CATALOGUE])
    if not settings.TWILIO_ACCOUNT_SID or not settings.TWILIO_AUTH_TOKENS:
        return _(
            "Numbers come from a Twilio account: an administrator sets TWILIO_ACCOUNT_SID and "
            "TWILIO_AUTH_TOKEN."
        )
    if not settings.PUBLIC_BASE_URL:
        return _("PUBLIC_BASE_URL is not set: nobody would know whom to ask when the number rings.")
    return ""


def candidates() -> list[Candidate]:
    """Every number of the account, those that can be set up first. Asks Twilio: raises ProviderError."""
    with both_ends() as ends:
        numbers = ends.twilio.numbers()
    here, begun = _known()
    found = [Candidate(number=each, why_not=_why_not(each, here, begun)) for each in numbers]
    return sorted(found, key=lambda each: (bool(each.why_not), each.number.number))


def _known() -> tuple[set[str], set[str]]:
    """Numbers that are ours, and those being set up."""
    here = PhoneNumber.objects.filter(gone_since=None).values_list("number", flat=True)
    return set(here), set(NumberSetup.objects.values_list("number", flat=True))


def _why_not(number: Number, here: set[str], begun: set[str]) -> str:
    if number.number in begun:
        return _("It is being set up already.")
    if number.number in here:
        return _("It is one of ours already.")
    if not number.voice:
        return _("It cannot be used for calls.")
    if not is_e164(number.number):
        return _("It is no telephone number.")
    return ""


def begin(number_sid: str, *, label: str, by: Any, now: datetime) -> NumberSetup:
    """Nothing is changed at Twilio yet. Raises SetupProblem, ProviderError."""
    with both_ends() as ends:
        number = ends.twilio.number(number_sid)
    if problem := _why_not(number, *_known()):
        raise SetupProblem(problem)
    try:
        with transaction.atomic():
            setup = NumberSetup.objects.create(
                number=number.number,
                number_sid=number.sid,
                label=label[:80],
                mark=secrets.token_hex(4),
                began_at=now,
                began_by_id=by.pk,
            )
            NumberSetupStep.objects.bulk_create(
                NumberSetupStep(
                    setup=setup,
                    step=step,
                    state=StepState.DONE if step == SetupStep.NUMBER else StepState.OPEN,
                    at=now if step == SetupStep.NUMBER else None,
                    by_id=by.pk if step == SetupStep.NUMBER else None,
                )
                for step in SetupStep.values
            )
    except IntegrityError as error:
        raise SetupProblem(_("It is being set up already.")) from error
    return setup
