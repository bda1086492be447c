"""What `stop_calling` and `resume_calling` are to stop or resume, as options of a command."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Q

from agents import phone
from agents.models import Agent
from calls.dialer import Target
from calls.models import LeadList


def add_target(parser: ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--agent", metavar="NAME", help="only calls by this AI agent: its name, or its id here")
    one.add_argument("--number", metavar="E164", help="only calls from this caller ID, such as +14155550100")
    one.add_argument("--list", metavar="NAME", help="only calls to leads of this list")


def target_of(options: Mapping[str, Any]) -> Target:
    """Raises CommandError for an agent, number or list that there is not."""
    if name := options["agent"]:
        own = Q(pk=int(name)) if name.isdecimal() else Q(name=name)
        found = list(Agent.objects.filter(own)[:2])
        if len(found) != 1:
            raise CommandError(f"There is no one AI agent “{name}”: give its id.")
        return Target(agent=found[0])
    if number := options["number"]:
        if not phone.is_e164(number):
            raise CommandError(f"“{number}” is no number in E.164, such as +14155550100.")
        return Target(number=number)
    if name := options["list"]:
        shelf = LeadList.objects.filter(name=name).first()
        if shelf is None:
            raise CommandError(f"There is no list “{name}”.")
        return Target(lead_list=shelf)
    return Target()
