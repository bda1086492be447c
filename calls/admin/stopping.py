"""Stop all calling, or a part of it; what is left running, followed to its end; and going on again.

Works without JavaScript: the browser then asks for the page again by itself while something is left.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from agents.models import Agent, PhoneNumber
from agents.providers.abilities import WHY_NOT, Ability
from agents.providers.base import NotOffered
from agents.providers.registry import can
from calls import dialer
from calls.admin.banners import CACHE_KEY
from calls.dialer import Left, Target
from calls.models import Gate, LeadList, Stop
from calls.models.gate import GateKind
from calls.models.stop import StopScope

LOGGED = 10


@dataclass(frozen=True, slots=True)
class Shown:
    """A stop with what it left running, for the page and for the part of it that is asked for again."""

    stop: Stop
    left: Left
    sentence: str
    may_hang_up: bool
    why_not: str
    """Why some of it cannot be hung up, where the phone company cannot be told to."""


def may_stop(person: User | AnonymousUser) -> bool:
    """Whoever may call may stop."""
    return person.has_perm("calls.stop_calling") or person.has_perm("calls.place_call")


def page(request: HttpRequest) -> HttpResponse:
    person = request.user
    if not (may_stop(person) or person.has_perm("calls.resume_calling")):
        raise PermissionDenied
    stops = [shown(each, person) for each in dialer.in_force()]
    over = Stop.objects.exclude(resumed_at=None).select_related(
        "agent", "lead_list", "stopped_by", "resumed_by"
    )
    context = {
        **admin.site.each_context(request),
        "title": _("Stop calling"),
        "stops": stops,
        "account": dialer.account_state(),
        "all_stopped": any(each.stop.scope == StopScope.EVERYTHING for each in stops),
        "following": any(each.left.total for each in stops),
        "may_stop": may_stop(person),
        "may_resume": person.has_perm("calls.resume_calling"),
        "agents": Agent.objects.order_by("name"),
        "numbers": PhoneNumber.objects.order_by("label", "number"),
        "lists": LeadList.objects.order_by("name"),
        "chosen": {name: request.GET.get(name, "")[:40] for name in ("agent", "number", "list")},
        "over": over.order_by("-resumed_at")[:LOGGED],
    }
    return TemplateResponse(request, "callcenter/stop/page.html", context)


def shown(stop: Stop, person: User | AnonymousUser) -> Shown:
    left = dialer.left(stop)
    may = bool(left.can_be_hung_up) and person.has_perm("calls.hang_up_call")
    why_not = "" if can(Ability.HANG_UP) else str(WHY_NOT[Ability.HANG_UP])
    return Shown(stop, left, said(left), may, why_not if left.can_be_hung_up < left.total else "")


def said(left: Left) -> str:
    """What is left, in words: “4 on the phone, 2 being placed”. '' when nothing is."""
    parts = []
    if left.on_the_phone:
        parts.append(_("%(count)d on the phone") % {"count": left.on_the_phone})
    if left.being_placed:
        parts.append(_("%(count)d being placed") % {"count": left.being_placed})
    if left.checking:
        parts.append(_("%(count)d being checked with the phone company") % {"count": left.checking})
    return ", ".join(parts)


def left_fragment(request: HttpRequest, stop_id: int) -> HttpResponse:
    """Only what one stop has left. Whoever is no longer signed in gets the whole page anew: the login."""
    if not admin.site.has_permission(request) or not (
        may_stop(request.user) or request.user.has_perm("calls.resume_calling")
    ):
        return HttpResponse(headers={"HX-Refresh": "true"})
    stop = get_object_or_404(Stop.objects.select_related("agent", "lead_list"), pk=stop_id)
    return render(request, "callcenter/stop/left.html", {"each": shown(stop, request.user)})


@require_POST
def stop_calling(request: HttpRequest) -> HttpResponse:
    person = request.user
    if not isinstance(person, User) or not may_stop(person):
        raise PermissionDenied
    target = _target(request.POST)
    if target is None:
        messages.error(request, _("Choose what to stop."))
        return redirect("admin:calling")
    stop = dialer.stop(
        by=person, reason=request.POST.get("reason", "").strip(), now=timezone.now(), target=target
    )
    _written_down(person, stop, f"Stopped: {stop.reason}")
    messages.success(request, _("%(what)s: stopped. Nothing more goes out.") % {"what": stop})
    return redirect("admin:calling")


def _target(given: QueryDict) -> Target | None:
    """None: a part is asked for that there is not."""
    scope = given.get("scope", StopScope.EVERYTHING)
    if scope == StopScope.EVERYTHING:
        return Target()
    chosen = given.get(scope, "")
    if scope == StopScope.NUMBER:
        number = PhoneNumber.objects.filter(number=chosen).first()
        return Target(number=number.number) if number else None
    if not chosen.isdecimal():
        return None
    if scope == StopScope.AGENT:
        agent = Agent.objects.filter(pk=int(chosen)).first()
        return Target(agent=agent) if agent else None
    shelf = LeadList.objects.filter(pk=int(chosen)).first() if scope == StopScope.LIST else None
    return Target(lead_list=shelf) if shelf else None


@require_POST
def resume_calling(request: HttpRequest) -> HttpResponse:
    person = request.user
    if not isinstance(person, User) or not person.has_perm("calls.resume_calling"):
        raise PermissionDenied
    stop = get_object_or_404(
        Stop.objects.select_related("agent", "lead_list"), pk=_id(request.POST.get("stop", ""))
    )
    reason = request.POST.get("reason", "").strip()
    if not reason:
        messages.error(request, _("Say why calling goes on: it is kept."))
        return redirect("admin:calling")
    target = Target(agent=stop.agent, number=stop.number, lead_list=stop.lead_list)
    if dialer.resume(by=person, reason=reason, now=timezone.now(), target=target):
        _written_down(person, stop, f"Resumed: {reason}")
        messages.success(request, _("%(what)s: goes on.") % {"what": stop})
    return redirect("admin:calling")


@require_POST
def hang_up_left(request: HttpRequest) -> HttpResponse:
    person = request.user
    if not isinstance(person, User) or not person.has_perm("calls.hang_up_call"):
        raise PermissionDenied
    stop = get_object_or_404(Stop.objects.in_force(), pk=_id(request.POST.get("stop", "")))
    try:
        count = dialer.hang_up_left(stop, by=person, now=timezone.now())
    except NotOffered as reason:
        messages.error(request, reason.message)
        return redirect("admin:calling")
    _written_down(person, stop, f"Hung up what was left: {count}")
    messages.success(
        request,
        ngettext("%(count)d call is being hung up.", "%(count)d calls are being hung up.", count)
        % {"count": count},
    )
    return redirect("admin:calling")


@require_POST
def account_mended(request: HttpRequest) -> HttpResponse:
    """A manager says that key or credit is in order: calls go on at once."""
    person = request.user
    if not isinstance(person, User) or not person.has_perm("calls.resume_calling"):
        raise PermissionDenied
    if dialer.account_fine():
        cache.delete(CACHE_KEY)
        gate = Gate.objects.get(kind=GateKind.CAPACITY, name="all")
        LogEntry.objects.log_actions(
            person.pk, [gate], CHANGE, "Said the account is mended.", single_object=True
        )
        messages.success(request, _("Calling goes on."))
    return redirect("admin:calling")


def _id(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 18 else 0


def _written_down(person: User, stop: Stop, what: str) -> None:
    cache.delete(CACHE_KEY)
    LogEntry.objects.log_actions(person.pk, [stop], CHANGE, what, single_object=True)
