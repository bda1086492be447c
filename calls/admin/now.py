"""What is happening at this moment: on the phone, waiting, and what a person should look at.

A part of the front page, and a page of its own that the browser asks for again every few seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from calls import dialer, recording_copies
from calls.admin import formats
from calls.admin.call_filters import ME
from calls.admin.figures import rows_url
from calls.models import (
    Call,
    CallBack,
    CallBackKind,
    Direction,
    Lead,
    NextAction,
    Outcome,
    WebhookEvent,
)
from calls.models.callback import CallBackState
from calls.models.recording import CopyState
from calls.models.visibility import sees_everything
from calls.models.webhook_event import EventState
from calls.stats import FIGURES, Figure, needs_a_look

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

    Person = User | AnonymousUser

SHOWN = 6
MISSED_WITHIN = timedelta(days=7)
EXPIRED_WITHIN = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class OnThePhone:
    call: Call
    who: str
    url: str
    inbound: bool
    status: str
    lasting: str


@dataclass(frozen=True, slots=True)
class Reason:
    code: str
    text: str
    count: str
    url: str


@dataclass(frozen=True, slots=True)
class Look:
    text: str
    count: str
    url: str
    formula: str


@dataclass(frozen=True, slots=True)
class Now:
    on_figure: Figure
    on_count: str
    room: str
    """Of the whole account: how many calls are on, of how many."""
    on_url: str
    on_the_phone: list[OnThePhone]
    waiting_figure: Figure
    waiting_count: str
    waiting_url: str
    waiting: list[Reason]
    looks: list[Look]


def right_now(person: Person, *, now: datetime) -> Now:
    calls = Call.objects.visible_to(person)
    on_figure, waiting_figure = FIGURES["on_now"], FIGURES["waiting_now"]
    active = calls.filter(on_figure.rows)
    first = (
        active.select_related("lead", "agent")
        .only(
            "status",
            "direction",
            "counterpart",
            "placed_at",
            "answered_at",
            "claimed_at",
            "lead__name",
            "agent__name",
        )
        .order_by(Coalesce("answered_at", "placed_at", "requested_at"))
    )
    listed = reverse("admin:calls_call_changelist")
    reasons = dialer.queue_summary(now=now, calls=calls.filter(waiting_figure.rows))
    return Now(
        on_figure=on_figure,
        on_count=formats.count(active.count()),
        room=_room(now),
        on_url=rows_url(on_figure),
        on_the_phone=[_line(call, now) for call in first[:SHOWN]],
        waiting_figure=waiting_figure,
        waiting_count=formats.count(sum(count for _code, _text, count in reasons)),
        waiting_url=rows_url(waiting_figure),
        waiting=[
            Reason(code, text, formats.count(count), f"{listed}?waits_for={code}")
            for code, text, count in reasons
        ],
        looks=_looks(person, now=now),
    )


def _room(now: datetime) -> str:
    """“7 of 16 (4 kept for calls in)”."""
    in_use, room = dialer.room_now(now=now)
    if not room.asked:
        text = _("%(used)d of %(most)d lines in use (our own number: the phone company has not said its own)")
        return text % {"used": in_use, "most": room.most}
    if not room.kept:
        return _("%(used)d of %(most)d lines in use") % {"used": in_use, "most": room.most}
    text = _("%(used)d of %(most)d lines in use (%(kept)d kept for calls in)")
    return text % {"used": in_use, "most": room.most, "kept": room.kept}


def _line(call: Call, now: datetime) -> OnThePhone:
    since = call.answered_at or call.placed_at or call.claimed_at
    return OnThePhone(
        call=call,
        who=call.lead.name if call.lead else call.counterpart_shown,
        url=reverse("admin:calls_call_change", args=[call.pk]),
        inbound=call.direction == Direction.INBOUND,
        status=call.get_status_display(),
        lasting=formats.clock((now - since).total_seconds()) if since else "",
    )


def _looks(person: Person, *, now: datetime) -> list[Look]:
    """Everything that waits for a person, each with the list that shows it, if this person may open it."""
    found = [
        Look(
            str(look.figure.label),
            formats.count(look.count),
            rows_url(look.figure, period=look.period),
            str(look.figure.formula),
        )
        for look in needs_a_look(Call.objects.visible_to(person), now=now)
    ]
    found += _look(
        _("Follow-ups by a person that are due"),
        _("Leads whose next action is a follow-up by a person, with a time that has come."),
        Lead.objects.visible_to(person)
        .filter(next_action=NextAction.FOLLOW_UP, next_action_at__lte=now)
        .count(),
        "calls_lead",
        {
            "next_action__exact": NextAction.FOLLOW_UP,
            "next_action_at__lte": now.isoformat(timespec="seconds"),
        },
    )
    since = now - MISSED_WITHIN
    found += _look(
        _("Promised call-backs that were missed"),
        _("Promises of the last seven days that could not be kept."),
        CallBack.objects.visible_to(person).filter(state=CallBackState.MISSED, due_at__gte=since).count(),
        "calls_callback",
        {"state__exact": CallBackState.MISSED, "due_at__gte": since.isoformat(timespec="seconds")},
    )
    found += _look(
        _("Tasks about people nobody knows"),
        _("Tasks for a person that belong to no lead, such as messages of unknown callers."),
        CallBack.objects.visible_to(person)
        .filter(kind=CallBackKind.TASK, state=CallBackState.OPEN, lead__isnull=True)
        .count(),
        "calls_callback",
        {"kind__exact": CallBackKind.TASK},
    )
    since = now - EXPIRED_WITHIN
    found += _look(
        _("Calls you asked for that were never made"),
        _("Calls of the last three days that you asked for and that could not go out in time."),
        Call.objects.visible_to(person)
        .asked_for_by(person)
        .filter(outcome=Outcome.EXPIRED, ended_at__gte=since)
        .count(),
        "calls_call",
        {
            "outcome": Outcome.EXPIRED,
            "asked_by": ME,
            "ended_at__gte": since.isoformat(timespec="seconds"),
        },
    )
    if settings.RECORDINGS == recording_copies.KEEP and sees_everything(person):
        found += _look(
            _("Recordings that could not be copied"),
            _("Calls whose recording was tried often and is still not kept here."),
            recording_copies.failed(),
            "calls_call",
            {"copy": CopyState.FAILED},
        )
    if person.has_perm("calls.view_webhookevent"):
        for state, formula in (
            (
                EventState.UNREADABLE,
                _("What the phone company sent, properly signed, that could not be read."),
            ),
            (EventState.INCIDENT, _("Events that say one of our calls rang a second time.")),
        ):
            found += _look(
                _("Stored events: %(state)s") % {"state": EventState(state).label.lower()},
                formula,
                WebhookEvent.objects.filter(state=state).count(),
                "calls_webhookevent",
                {"state__exact": state},
            )
    return found


def _look(text: str, formula: str, count: int, model: str, query: dict[str, str]) -> Sequence[Look]:
    if not count:
        return []
    return [
        Look(
            text, formats.count(count), f"{reverse(f'admin:{model}_changelist')}?{urlencode(query)}", formula
        )
    ]


def now_fragment(request: HttpRequest) -> HttpResponse:
    """Only the inside of the panel. Whoever is no longer signed in gets the whole page anew: the login."""
    if not admin.site.has_permission(request) or not request.user.has_perm("calls.view_call"):
        return HttpResponse(headers={"HX-Refresh": "true"})
    context: dict[str, Any] = {"now": right_now(request.user, now=timezone.now())}
    return render(request, "callcenter/dashboard/now.html", context)
