"""The one decision: every rule is asked and every reason is told.

`decide` gathers what the rules need with a fixed number of queries, for one lead or for thousands;
the rules themselves are pure functions of a `Situation` and `now`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q, prefetch_related_objects
from django.db.models.expressions import Combinable
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from agents import phone, readiness
from agents.models import Agent
from calls.eligibility import hours
from calls.models import Call, CallStatus, Direction, DoNotCall, Lead, Outcome, PhoneState, Stop

UNKNOWN_HOLDS = timedelta(days=1)
"""How long an outcome nobody knows keeps its number from being dialled, unless a person decides sooner."""


class Verdict(models.TextChoices):
    NOW = "now", gettext_lazy("Now")
    LATER = "later", gettext_lazy("Later")
    NEVER = "never", gettext_lazy("Never")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One rule's no. `blocks`: never; otherwise later, from `until` when that is known."""

    code: str
    text: str
    source: str
    blocks: bool = True
    until: datetime | None = None
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    verdict: Verdict
    at: datetime | None
    """When the call becomes possible: `now` for NOW, None for NEVER or when nobody can say."""
    number: str
    reasons: tuple[Reason, ...]
    zones: tuple[str, ...] = ()
    zone_source: str = ""
    day_ends: datetime | None = None
    """End of the calling hours that `at` lies in."""
    decided_at: datetime | None = None
    lead: Lead | None = field(default=None, compare=False)

    def snapshot(self) -> dict[str, Any]:
        """What is kept with the call, to answer years later why it was allowed."""
        return {
            "verdict": self.verdict.value,
            "at": self.at.isoformat() if self.at else None,
            "decided_at": self.decided_at.isoformat() if self.decided_at else None,
            "zones": list(self.zones),
            "zone_source": self.zone_source,
            "calling_hours": settings.CALLING_HOURS,
            "rule_pack": settings.RULE_PACK,
            "reasons": [
                {
                    "code": reason.code,
                    "source": reason.source,
                    "until": reason.until.isoformat() if reason.until else None,
                }
                for reason in self.reasons
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Whom to call, and how. `our_number` '' means none can be found, None that nobody asks yet."""

    lead: Lead | None
    number: str
    """'' for the lead's own."""
    agent: Agent | None
    our_number: str | None
    variables: frozenset[str]
    """Names of those the call brings along, beside the lead's own fields."""


type Problems = dict[tuple[int, frozenset[str]], tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that the rules look at, for one person."""

    lead: Lead | None
    number: str
    number_state: str
    asked_number: str
    agent: Agent | None
    agent_problems: tuple[str, ...]
    needs_caller_id: bool
    opted_out: DoNotCall | None
    in_the_way: Call | None
    stopped: str | None
    """The sentence of the stop that covers such a call."""
    zones: tuple[str, ...]
    zone_source: str


def decide(
    lead: Lead | None,
    *,
    now: datetime,
    agent: Agent | None = None,
    number: str = "",
    our_number: str | None = None,
    variables: Iterable[str] = (),
) -> Decision:
    """May this person (or this bare `number`, E.164) be dialled? `our_number` '' means none can be found.

    `variables`: names of those this call brings along, beside the lead's own fields.
    """
    wish = Wish(lead=lead, number=number, agent=agent, our_number=our_number, variables=frozenset(variables))
    return _decide([wish], now=now)[0]


def decide_many(
    leads: Iterable[Lead],
    *,
    now: datetime,
    agent: Agent | None = None,
    our_number: str | None = None,
    variables: Iterable[str] = (),
) -> list[Decision]:
    """As `decide`, in the same order, with the same few queries however many leads."""
    wishes = [
        Wish(lead=lead, number="", agent=agent, our_number=our_number, variables=frozenset(variables))
        for lead in leads
    ]
    return _decide(wishes, now=now)


def recheck(call: Call, *, now: datetime) -> Decision:
    """Ask again for a call that exists; it is not in its own way.

    Stops are not asked: claim and permit read them, under their lock.
    """
    return recheck_many([call], now=now)[0]


def recheck_many(calls: Sequence[Call], *, now: datetime) -> list[Decision]:
    """As `recheck`, in the same order, with the same few queries however many calls."""
    return _decide([_wish_of(call) for call in calls], now=now, besides=calls)


def recheck_alone(call: Call, *, now: datetime, number_state: str) -> Decision:
    """As `recheck`, without a query: for a caller who has just read that nobody opted out of the number,
    that no other call is in the way, and (`number_state`) what its lead knows of the number.
    """
    wish = _wish_of(call)
    problems = _agent_problems(wish, {})
    return judge(_situation(wish, wish.number, number_state, problems), now=now)


def _wish_of(call: Call) -> Wish:
    return Wish(
        lead=call.lead,
        number=call.counterpart,
        agent=call.agent,
        our_number=call.our_number,
        variables=frozenset(call.variables),
    )


def _decide(
    wishes: Sequence[Wish], *, now: datetime, besides: Sequence[Call] | None = None
) -> list[Decision]:
    leads = [wish.lead for wish in wishes if wish.lead is not None]
    prefetch_related_objects(leads, "phones")
    dialled = [_dialled(wish.lead, wish.number) for wish in wishes]
    numbers = {number for number, _state in dialled} - {""}
    opted_out = {entry.number: entry for entry in DoNotCall.objects.in_force().filter(number__in=numbers)}
    in_the_way = _calls_in_the_way(numbers, now=now, besides=besides or ())
    problems: Problems = {}
    stops = [] if besides else list(Stop.objects.in_force().select_related("agent", "lead_list"))
    return [
        judge(
            _situation(
                wish,
                number,
                state,
                _agent_problems(wish, problems),
                opted_out=opted_out.get(number),
                in_the_way=in_the_way.get(number),
                stopped=_stop_reason(stops, wish.lead, wish.agent, wish.our_number),
            ),
            now=now,
        )
        for wish, (number, state) in zip(wishes, dialled, strict=True)
    ]


def _situation(
    wish: Wish,
    number: str,
    number_state: str,
    agent_problems: tuple[str, ...],
    *,
    opted_out: DoNotCall | None = None,
    in_the_way: Call | None = None,
    stopped: str | None = None,
) -> Situation:
    zones, source = hours.zones(wish.lead, number)
    return Situation(
        lead=wish.lead,
        number=number,
        number_state=number_state,
        asked_number=wish.number,
        agent=wish.agent,
        agent_problems=agent_problems,
        needs_caller_id=wish.our_number == "",
        opted_out=opted_out,
        in_the_way=in_the_way,
        stopped=stopped,
        zones=zones,
        zone_source=source,
    )


def _agent_problems(wish: Wish, seen: Problems) -> tuple[str, ...]:
    """Why the agent is not ready, given what this call fills in. Leads mostly have the same fields."""
    if wish.agent is None:
        return ()
    supplied = wish.variables.union(wish.lead.custom if wish.lead else ())
    if (wish.agent.pk, supplied) not in seen:
        blocking = readiness.blocking(wish.agent, also_supplied=supplied)
        seen[wish.agent.pk, supplied] = tuple(str(check.sentence) for check in blocking)
    return seen[wish.agent.pk, supplied]


def _dialled(lead: Lead | None, asked: str) -> tuple[str, str]:
    """The number to dial and its state; the asked one, else the first valid one, else the first."""
    phones = list(lead.phones.all()) if lead is not None else []
    if asked:
        return asked, next((p.state for p in phones if p.number == asked), PhoneState.VALID)
    best = next((p for p in phones if p.state == PhoneState.VALID), phones[0] if phones else None)
    return (best.number, best.state) if best else ("", "")


def holds_number(since: datetime | Combinable) -> Q:
    """Calls to a number that keep it from being dialled; `since`: a day ago."""
    return ~Q(status=CallStatus.ENDED) | Q(
        status=CallStatus.ENDED, outcome=Outcome.UNKNOWN, disposition="", judged="", ended_at__gt=since
    )


def _calls_in_the_way(numbers: set[str], *, now: datetime, besides: Sequence[Call]) -> dict[str, Call]:
    found = Call.objects.filter(holds_number(now - UNKNOWN_HOLDS), counterpart__in=numbers)
    if besides:
        found = found.exclude(pk__in=[call.pk for call in besides])
    rank: dict[str, int] = {CallStatus.QUEUED: 1, CallStatus.ENDED: 2}
    # One number may have several (an inbound call while one waits): the most active is told.
    ordered = sorted(found.select_related("requested_by"), key=lambda call: -rank.get(call.status, 0))
    return {call.counterpart: call for call in ordered}


def _stop_reason(
    stops: Iterable[Stop], lead: Lead | None, agent: Agent | None, our_number: str | None
) -> str | None:
    """Of the first stop that covers such a call."""
    for stop in stops:
        if stop.covers(
            agent_id=agent.pk if agent else None,
            number=our_number or "",
            list_id=lead.list_id if lead else None,
        ):
            why = stop.reason or _("no reason given")
            return _("%(what)s: stopped. %(why)s") % {"what": stop, "why": why}
    return None


def judge(situation: Situation, *, now: datetime) -> Decision:
    """All rules, all reasons. Pure."""
    reasons = [
        *_about_the_number(situation),
        *_about_other_calls(situation),
        *_about_the_agent(situation),
    ]
    window = hours.window(settings.CALLING_HOURS)
    opening = hours.Hours(True, now, None)
    if situation.number and not situation.zones:
        reasons.append(
            Reason(
                code="unknown_time_zone",
                text=_("Nobody knows what time it is there. Set the lead's time zone."),
                source="calling hours",
            )
        )
    elif situation.zones:
        opening = hours.within(situation.zones, now, window)
        if opening.opens_at is None:
            reasons.append(
                Reason(
                    code="unknown_time_zone",
                    text=_(
                        "The time zones of this number never share a calling hour. Set the lead's time zone."
                    ),
                    source="calling hours",
                )
            )
        elif not opening.open:
            reasons.append(
                Reason(
                    code="outside_hours",
                    text=_("Outside calling hours (%(hours)s) there.") % {"hours": settings.CALLING_HOURS},
                    source="CALLING_HOURS",
                    blocks=False,
                    until=opening.opens_at,
                )
            )
    if situation.stopped is not None:
        reasons.append(
            Reason(
                code="stopped",
                text=situation.stopped,
                source="stop",
                blocks=False,
            )
        )
    if any(reason.blocks for reason in reasons):
        verdict, at = Verdict.NEVER, None
    elif reasons and any(reason.code != "waiting" for reason in reasons):
        untils = [reason.until for reason in reasons if reason.until and reason.code != "waiting"]
        verdict, at = Verdict.LATER, max(untils) if untils else None
    else:
        verdict, at = Verdict.NOW, now
    return Decision(
        verdict=verdict,
        at=at,
        number=situation.number,
        reasons=tuple(reasons),
        zones=situation.zones,
        zone_source=situation.zone_source,
        day_ends=opening.closes_at,
        decided_at=now,
        lead=situation.lead,
    )


def _about_the_number(situation: Situation) -> Iterable[Reason]:
    if not situation.number:
        yield Reason(code="no_number", text=_("There is no phone number."), source="lead")
        return
    if situation.number_state == PhoneState.WRONG:
        yield Reason(
            code="wrong_number",
            text=_("%(number)s was marked as wrong.") % {"number": phone.pretty(situation.number)},
            source="lead",
        )
    if not phone.is_e164(situation.number):
        yield Reason(code="invalid_number", text=_("The number cannot be dialled."), source="lead")
    entry = situation.opted_out
    if entry is not None:
        yield Reason(
            code="do_not_call",
            text=_("On the do-not-call list since %(day)s: %(reason)s")
            % {"day": entry.created_at.date().isoformat(), "reason": entry.reason},
            source=f"do-not-call entry {entry.pk}",
        )


def _about_other_calls(situation: Situation) -> Iterable[Reason]:
    call = situation.in_the_way
    if call is None:
        return
    if call.status == CallStatus.QUEUED:
        yield Reason(
            code="waiting",
            text=_("A call to this number is waiting already."),
            source="queue",
            blocks=False,
            until=call.due_at,
            call_id=str(call.pk),
        )
    elif call.status == CallStatus.ENDED:
        yield Reason(
            code="needs_a_look",
            text=_("Nobody knows yet whether the last call rang. Look at it first."),
            source="last call",
            blocks=False,
            until=call.ended_at + UNKNOWN_HOLDS if call.ended_at else None,
            call_id=str(call.pk),
        )
    else:
        text = (
            _("On the phone with us.")
            if call.direction == Direction.INBOUND
            else _("Being called by us right now.")
        )
        yield Reason(code="on_the_phone", text=text, source="call", call_id=str(call.pk))


def _about_the_agent(situation: Situation) -> Iterable[Reason]:
    agent = situation.agent
    if agent is None:
        return
    if not agent.active:
        yield Reason(
            code="agent_inactive",
            text=_("%(agent)s may not call. %(why)s") % {"agent": agent.name, "why": agent.paused_reason},
            source="agent",
        )
    for sentence in situation.agent_problems:
        yield Reason(code="agent_not_ready", text=sentence, source="readiness")
    if situation.needs_caller_id:
        yield Reason(
            code="no_caller_id",
            text=_(
                "There is no number to call from. Give the agent a default caller ID that people can"
                " ring back."
            ),
            source="agent",
        )
