"""Calls of which nobody knows whether they rang, and those that may have rung twice: a person decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from calls import dialer
from calls.admin.figures import rows_url
from calls.dialer import BadRequest, NotAllowed, NothingToDecide, OnThePhone
from calls.models import Call, CallStatus, CallStep, Judgement, Outcome, StepKind
from calls.models.call import INCIDENT, UNDECIDED
from calls.stats import FIGURES

SHOWN = 50

ICONS = {StepKind.SENT: "outgoing_mail", StepKind.LOOK: "search", StepKind.REPLAY: "replay"}


@dataclass(frozen=True, slots=True)
class Tried:
    at: datetime
    icon: str
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class Item:
    call: Call
    number: str
    incident: bool
    unknown: bool
    tried: Sequence[Tried]


def waiting_for_a_person(request: HttpRequest) -> QuerySet[Call]:
    return Call.objects.visible_to(request.user).filter(UNDECIDED | INCIDENT)


def badge(request: HttpRequest) -> str:
    """In the navigation, on every page; nothing when there is nothing."""
    count = waiting_for_a_person(request).count()
    return str(count) if count else ""


@require_GET
def needs_a_look(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("calls.view_call"):
        raise PermissionDenied
    rows = waiting_for_a_person(request)
    count = rows.count()
    steps = Prefetch("steps", queryset=CallStep.objects.order_by("at", "pk"))
    calls = rows.select_related("lead", "agent", "requested_by").defer("request_body").prefetch_related(steps)
    review = FIGURES["look_review"]
    context = {
        **admin.site.each_context(request),
        "title": _("Needs a look"),
        # Calls that may have rung twice come first.
        "items": [_item(call) for call in calls.order_by("-incident", "-requested_at")[:SHOWN]],
        "count": count,
        "more": max(0, count - SHOWN),
        "may_decide": request.user.has_perm("calls.place_call"),
        "review": Call.objects.visible_to(request.user).filter(review.rows).count(),
        "review_label": review.label,
        "review_url": rows_url(review),
    }
    return TemplateResponse(request, "admin/calls/call/needs_a_look.html", context)


def _item(call: Call) -> Item:
    return Item(
        call=call,
        number=call.counterpart_shown,
        incident=bool(call.incident),
        unknown=call.status == CallStatus.ENDED and call.outcome == Outcome.UNKNOWN,
        tried=[_tried(step) for step in call.steps.all()],
    )


def _tried(step: CallStep) -> Tried:
    kind = StepKind(step.kind)
    text = {
        StepKind.SENT: _("Sent to the phone company; no clear answer came"),
        StepKind.REPLAY: _("Sent again as the same call, so that at most one phone rings"),
        StepKind.LOOK: {
            True: _("Looked up at the phone company: it has the call"),
            False: _("Looked up at the phone company: it has no such call"),
            None: _("Looked up at the phone company: it gave no answer"),
        }[step.found],
    }[kind]
    if kind == StepKind.REPLAY and step.found:
        text = _("Sent again as the same call: the phone company took it")
    answer = "" if kind != StepKind.SENT and step.found is not None else step.answer
    return Tried(step.at, ICONS[kind], text, answer)


@require_POST
def decide(request: HttpRequest, call_id: UUID) -> HttpResponse:
    """One button: `judgement` is what the person says."""
    person = request.user
    if isinstance(person, AnonymousUser) or not person.has_perms(["calls.view_call", "calls.place_call"]):
        raise PermissionDenied
    call = Call.objects.visible_to(person).filter(pk=call_id).first()
    if call is None or request.POST.get("judgement") not in Judgement.values:
        raise Http404
    judgement = Judgement(request.POST["judgement"])
    try:
        decided = dialer.judge(call, judgement, by=person)
    except NotAllowed as refused:
        for reason in refused.reasons:
            messages.error(request, reason.text)
        return redirect("admin:needs_a_look")
    except (NothingToDecide, OnThePhone, BadRequest) as problem:
        messages.warning(request, str(problem))
        return redirect("admin:needs_a_look")
    LogEntry.objects.log_actions(person.pk, [call], CHANGE, f"judged: {judgement}", single_object=True)
    told = {
        Judgement.CALLED: _("Kept as called. The number may be called again."),
        Judgement.NOT_CALLED: _("Kept as not called. The number may be called again."),
        Judgement.AGAIN: _("A new call to this number is asked for."),
        Judgement.SEEN: _("Marked as seen."),
    }
    messages.success(request, told[judgement])
    if judgement == Judgement.AGAIN:
        return redirect("admin:calls_call_change", decided.pk)
    return redirect("admin:needs_a_look")
