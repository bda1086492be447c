"""A call to a bare number: whose it is and who speaks are found, or made, and the call is asked for.

All in one transaction: of a request that is refused nothing stays, neither lead nor agent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F, Max, Q
from django.utils.translation import gettext as _

from agents import phone
from agents.models import Agent
from calls.dialer import expecting
from calls.dialer.ask import Asked, BadRequest, NotAllowed, ask, caller_id_for
from calls.dialer.waiting import Waiting, ahead_of, look, waiting
from calls.eligibility import Decision, decide
from calls.models import ApiKey, Call, Lead, Via
from calls.models.lead import LeadSource
from calls.people import add_lead

if TYPE_CHECKING:
    from django.contrib.auth.models import User

NAMED_BY = ("name", "full_name", "customer_name", "first_name")
"""Variables that tell the name of a person not known yet, the best first."""


class NoAgent(BadRequest):
    """None is named, and it cannot be told which one is meant."""


class Full(Exception):
    """Every line is taken, and who asked does not want to wait."""

    def __init__(self, *, place: int, wait: timedelta) -> None:
        super().__init__(
            _("Every line is in use; this call would be number %(place)d in the queue.") % {"place": place}
        )
        self.place = place
        """1: the next to go out."""
        self.wait = wait


class NotNow(Exception):
    """Something else holds it up, and who asked does not want to wait."""

    def __init__(self, waits: Waiting) -> None:
        super().__init__(waits.text)
        self.waits = waits


@dataclass(frozen=True, slots=True)
class Wanted:
    """`agent_id`: as the phone company knows it, '' for the usual one. `queue` False: now or not at all."""

    number: str
    agent_id: str = ""
    our_number: str = ""
    variables: Mapping[str, str] | None = None
    metadata: Mapping[str, Any] | None = None
    queue: bool = True


def initiate(wanted: Wanted, *, api_key: ApiKey, by: Any, owner: User | None, now: datetime) -> Asked:
    """`by` is who sees leads (`visible_to`), `owner` whose key it is.

    Raises what `ask` raises, NoAgent, and unless it may queue: Full, NotNow, and NotAllowed for a call that
    may be made later only.
    """
    with transaction.atomic():
        lead, made = _lead_of(wanted, by=by, owner=owner)
        agent = _agent_for(wanted, lead)
        variables = wanted.variables or {}
        our_number = caller_id_for(agent, wanted.our_number)
        decision = decide(
            lead, now=now, agent=agent, number=wanted.number, our_number=our_number, variables=variables
        )
        asked = ask(
            lead=lead,
            number=wanted.number,
            agent=agent,
            by=owner,
            api_key=api_key,
            via=Via.API,
            now=now,
            our_number=wanted.our_number,
            variables=variables,
            metadata=wanted.metadata,
            decision=decision,
            wait_for_stop=False,
        )
        if made and asked.call.lead_id not in (None, lead.pk):
            # Somebody else asked for the same unknown number at the same moment.
            lead.delete()
        if not wanted.queue:
            _now_or_not_at_all(asked.call, decision, now=now)
        return asked


def _lead_of(wanted: Wanted, *, by: Any, owner: User | None) -> tuple[Lead, bool]:
    """Of several with this number the one called last on it, else the one known longest."""
    known = (
        Lead.objects.visible_to(by)
        .filter(pk__in=Lead.objects.filter(phones__number=wanted.number).values("pk"))
        .annotate(called=Max("calls__requested_at", filter=Q(calls__counterpart=wanted.number)))
        .order_by(F("called").desc(nulls_last=True), "pk")
        .first()
    )
    if known is not None:
        return known, False
    told = wanted.variables or {}
    name = next((told[each].strip() for each in NAMED_BY if told.get(each, "").strip()), "")
    made = add_lead(
        name=(name or phone.pretty(wanted.number))[:200],
        phone=wanted.number,
        source=LeadSource.API,
        owner_id=owner.pk if owner else None,
    )
    return made, True


def _agent_for(wanted: Wanted, lead: Lead) -> Agent:
    """The one named; else who called that number last, else the only one that may call. Raises NoAgent."""
    agents = Agent.objects.select_related("default_caller_id")
    if wanted.agent_id:
        return agents.get_or_create(
            provider=Agent._meta.get_field("provider").default,
            provider_agent_id=wanted.agent_id,
            defaults={"name": wanted.agent_id},
        )[0]
    usable = agents.callable_now()
    last = Call.objects.outbound().filter(counterpart=wanted.number, test=False, agent__in=usable)
    called = last.order_by("-requested_at").values_list("agent", flat=True).first()
    if called is not None:
        return usable.get(pk=called)
    some = list(usable[:2])
    if len(some) == 1:
        return some[0]
    raise NoAgent(
        _("Several AI agents may call: name one in assistant_id.")
        if some
        else _("There is no AI agent that may call: name one in assistant_id.")
    )


def _now_or_not_at_all(call: Call, decision: Decision, *, now: datetime) -> None:
    """Those ahead of it take the free lines first."""
    assert call.due_at is not None
    if call.due_at > now:
        raise NotAllowed(decision)
    desk = look(now=now)
    ahead = ahead_of(call, now)
    if desk.in_use + ahead >= desk.room.most or call.agent_id in desk.agents_full:
        pace = expecting.calls_per_second(most=desk.room.most)
        raise Full(place=ahead + 1, wait=timedelta(seconds=math.ceil((ahead + 1) / pace)))
    held_up = waiting(call, now=now, desk=desk, place=False)
    if held_up is not None and held_up.code != "pace":
        raise NotNow(held_up)
