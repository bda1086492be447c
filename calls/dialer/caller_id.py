"""Which number of ours a call goes out from, when nobody said which."""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings

from agents.models import Agent, PhoneNumber


def usual_number(agent: Agent | None, *, without: Collection[str] = ()) -> str:
    """The agent's default (a person has none) > TWILIO_FROM_NUMBER > the only active number; else ''.

    As if those of `without`, and those that are kept back, were not there.
    """
    default = agent.default_caller_id if agent is not None else None
    if default is not None and default.number not in without and default.is_usable:
        return default.number
    configured = str(settings.TWILIO_FROM_NUMBER)
    if configured and configured not in without and not PhoneNumber.objects.keeps_back(configured):
        return configured
    active = PhoneNumber.objects.usable().exclude(number__in=without).values_list("number", flat=True)[:2]
    return active[0] if len(active) == 1 else ""


def line_of(our_number: str) -> str:
    line = PhoneNumber.objects.filter(number=our_number).values_list("line", flat=True).first()
    return line or "default"
