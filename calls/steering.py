"""A word to the AI agent of a call that is on: context, an answer now, other values of its variables.

A person, or another system, asked for exactly that, so the request waits for the phone company. What was
said is written down before it goes out: if nobody hears the answer, the timeline still has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext as _

from agents.providers.abilities import Ability
from agents.providers.base import NotOffered, ProviderError
from agents.providers.registry import can, get_provider
from callcenter.connections import hand_back
from calls.models import ApiKey, Call, CallStatus, Steering

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LONGEST_CONTEXT = 2000
LONGEST_VALUE = 1000
MOST_VARIABLES = 100


class NotOn(Exception):
    """Nobody is in conversation on that call."""


class NothingToSay(ValueError):
    """Neither context nor an answer nor a variable, or too much of it; the text says what to do."""


def steer(
    call: Call,
    *,
    now: datetime,
    by: User | None = None,
    api_key: ApiKey | None = None,
    context: str = "",
    answer_now: bool = False,
    variables: Mapping[str, str | None] | None = None,
) -> Steering:
    """Say it, and wait until it was taken.

    Raises NotOffered, NotOn and NothingToSay, which leave no trace; and ProviderError, which is kept.
    """
    if not can(Ability.STEER):
        raise NotOffered(Ability.STEER)
    if call.desk_number:
        raise NotOn(_("No AI agent takes part in this call."))
    changed = dict(variables or {})
    _check(context, answer_now, changed)
    on = Call.objects.filter(pk=call.pk, status=CallStatus.IN_PROGRESS).exclude(provider_call_id="")
    provider_call_id = on.values_list("provider_call_id", flat=True).first()
    if provider_call_id is None:
        raise NotOn(_("Nobody is in conversation on this call."))
    said = Steering.objects.create(
        call=call,
        user_id=by.pk if by else None,
        api_key=api_key,
        said_at=now,
        context=context,
        answer_now=answer_now,
        variables=changed,
    )
    hand_back()
    try:
        get_provider().steer(provider_call_id, context=context, answer_now=answer_now, variables=changed)
    except ProviderError as error:
        Steering.objects.filter(pk=said.pk).update(problem=error.message[:300])
        raise
    Steering.objects.filter(pk=said.pk).update(taken_at=timezone.now())
    return said


def _check(context: str, answer_now: bool, variables: Mapping[str, str | None]) -> None:
    if not context and not answer_now and not variables:
        raise NothingToSay(_("Write what the AI agent should know, or let it answer now."))
    if len(context) > LONGEST_CONTEXT:
        raise NothingToSay(_("At most %(most)d characters can be told at once.") % {"most": LONGEST_CONTEXT})
    if len(variables) > MOST_VARIABLES:
        raise NothingToSay(_("At most %(most)d variables can be given.") % {"most": MOST_VARIABLES})
    if any(len(value or "") > LONGEST_VALUE for value in variables.values()):
        raise NothingToSay(_("A value is at most %(most)d characters.") % {"most": LONGEST_VALUE})
