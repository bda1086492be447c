"""A call's page: what happened, what was said, what it meant, and what to do next."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_POST

from agents import phone
from agents.providers.abilities import WHY_NOT, Ability
from agents.providers.base import NotOffered
from agents.providers.registry import can
from callcenter.connections import hand_back
from calls import desk_talk, dialer, dispositions, eligibility, recording_copies, recordings
from calls.admin import call_story as story
from calls.admin.call_instead import instead
from calls.admin.call_overrides import overrides_shown
from calls.admin.call_steering import CallSteeringViews, steering_facts
from calls.admin.call_tone import tone
from calls.admin.call_while_on import interrupted
from calls.admin.carrier_rates import carrier_estimate
from calls.admin.desk_talk import DeskTalkViews, desk_talk_facts
from calls.admin.formats import money, talk
from calls.dialer import BadRequest, NotAllowed, OnThePhone
from calls.eligibility import Verdict, local_times
from calls.models import Call, CallStatus, Disposition, DoNotCall, Note, Outcome, Via, WebhookEvent
from calls.models.do_not_call import DoNotCallSource
from calls.models.visibility import SEE_EVERYONES
from calls.models.webhook_event import EventSource

ON_THE_LINE = (CallStatus.PLACED, CallStatus.RINGING, CallStatus.IN_PROGRESS)
BEING_PLACED = (CallStatus.DIALING, CallStatus.UNCONFIRMED)
LIVELY_AFTER_THE_END = timedelta(minutes=10)
"""How long an open page asks every second or so; after that calmly, while an analysis may still come."""
CALMLY_S = 30
LONGEST_BODY = 100_000
WITHHELD = gettext_lazy(
    "The number was withheld, so no number could be blocked. If you know it, write it down under Do not call."
)
ATTESTATIONS = {
    "A": gettext_lazy("A: the carrier knows us, and that the number is ours"),
    "B": gettext_lazy("B: the carrier knows us, and not whether the number is ours"),
    "C": gettext_lazy("C: the carrier only passed the call on"),
}
PARTS = ("head", "next", "story", "player", "talk", "desk", "steer", "meaning")


class CallPageViews(CallSteeringViews, DeskTalkViews):
    """The part of the calls' admin that is the page and its buttons. Mixed into a ModelAdmin of Call."""

    admin_site: Any
    opts: Any
    log_change: Any

    def page_urls(self) -> list[URLPattern]:
        def at(tail: str, view: Callable[..., HttpResponseBase], name: str) -> URLPattern:
            found: URLPattern = path(
                f"<uuid:call_id>/{tail}", self.admin_site.admin_view(view), name=f"calls_call_{name}"
            )
            return found

        all_again = self.admin_site.admin_view(require_POST(self.copy_all_again))
        return [
            path("copy-again/", all_again, name="calls_call_copy_all_again"),
            at("live/", require_GET(self.live), "live"),
            at("recording", require_GET(self.recording), "recording"),
            at("copy-again/", require_POST(self.copy_again), "copy_again"),
            at("disposition/", require_POST(self.set_disposition), "disposition"),
            at("note/", require_POST(self.add_note), "note"),
            at("steer/", require_POST(self.steer), "steer"),
            at("desk/<slug:what>/", require_POST(self.desk_do), "desk"),
            at("hang-up/", require_POST(self.hang_up), "hang_up"),
            at("cancel/", require_POST(self.cancel), "cancel"),
            at("call-now/", require_POST(self.call_now), "call_now"),
            at("call-again/", require_POST(self.call_again), "call_again"),
            at("never/", require_POST(self.never), "never"),
        ]

    def call_or_404(self, request: HttpRequest, call_id: UUID | str, *permissions: str) -> Call:
        """The call if this person may see it: PermissionDenied without `permissions`, 404 out of scope."""
        if not request.user.has_perms(["calls.view_call", *permissions]):
            raise PermissionDenied
        rows = Call.objects.visible_to(request.user).select_related(
            "lead", "agent", "batch", "requested_by", "disposition_by", "judged_by"
        )
        rows = rows.prefetch_related("interruptions")
        try:
            return rows.defer("request_body").get(pk=call_id)
        except (Call.DoesNotExist, ValueError, TypeError) as error:
            raise Http404 from error

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            call = self.call_or_404(request, UUID(object_id))
        except ValueError as error:
            raise Http404 from error
        may_see_events = request.user.has_perm("calls.view_webhookevent")
        context = {
            **self.admin_site.each_context(request),
            **page_facts(request, call, now=timezone.now()),
            "opts": self.opts,
            "original": call,
            "title": _("Call"),
            "notes": Note.objects.filter(call=call).select_related("author"),
            "may_note": request.user.has_perm("calls.add_note"),
            "events": stored_events(call) if may_see_events else None,
            "details": details(call),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/calls/call/page.html", context)

    def live(self, request: HttpRequest, call_id: UUID) -> HttpResponseBase:
        """The parts of the page that change by themselves; 304 while nothing has."""
        call = self.call_or_404(request, call_id)
        facts = page_facts(request, call, now=timezone.now())
        body = render_to_string("admin/calls/call/live.html", facts)
        etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
        response = HttpResponse(body, headers={"ETag": etag, "Cache-Control": "private, no-cache"})
        answer = get_conditional_response(request, etag=etag, response=response) or response
        # After the comparison: "304, not modified" keeps no header of ours.
        if not facts["follow"]:
            answer["X-Call-Final"] = "1"
        elif facts["calm"]:
            answer["X-Call-Again"] = str(CALMLY_S)
        return answer

    def recording(self, request: HttpRequest, call_id: UUID) -> HttpResponseBase:
        call = self.call_or_404(request, call_id)
        # Neither the phone company's answer nor the listening may hold one of the few connections.
        hand_back()
        try:
            part = int(request.GET.get("part", "1")) if request.GET.get("part", "1").isdecimal() else 0
            sound = recordings.open_recording(call, byte_range=request.headers.get("Range", ""), part=part)
        except recordings.RecordingGone as gone:
            return HttpResponse(str(gone), status=404, content_type="text/plain; charset=utf-8")
        except recordings.RecordingUnavailable as problem:
            return HttpResponse(str(problem), status=503, content_type="text/plain; charset=utf-8")
        response = StreamingHttpResponse(sound.chunks, status=sound.status, content_type=sound.content_type)
        response["Accept-Ranges"] = "bytes"
        response["Cache-Control"] = "private, no-store"
        response["Content-Disposition"] = "inline"
        if sound.length is not None:
            response["Content-Length"] = str(sound.length)
        if sound.content_range:
            response["Content-Range"] = sound.content_range
        return response

    def copy_again(self, request: HttpRequest, call_id: UUID) -> HttpResponse:
        call = self.call_or_404(request, call_id, SEE_EVERYONES)
        if recording_copies.try_again(call, now=timezone.now()):
            self.log_change(request, call, "copy the recording again")
            messages.success(request, _("The recording is copied again in a moment."))
        else:
            messages.warning(request, _("It is being copied, or is kept here already."))
        return self._back(call)

    def copy_all_again(self, request: HttpRequest) -> HttpResponse:
        """From the list of those that failed, which is empty then: back to all calls."""
        if not request.user.has_perms(["calls.view_call", SEE_EVERYONES]):
            raise PermissionDenied
        count = recording_copies.try_all_again(now=timezone.now())
        messages.success(
            request,
            ngettext(
                "%(count)d recording is copied again in a moment.",
                "%(count)d recordings are copied again, a few hundred a minute.",
                count,
            )
            % {"count": count},
        )
        return redirect("admin:calls_call_changelist")

    def set_disposition(self, request: HttpRequest, call_id: UUID) -> HttpResponse:
        call = self.call_or_404(request, call_id, "calls.place_call")
        try:
            dispositions.set_disposition(
                call,
                request.POST.get("disposition", ""),
                by=request.user,  # type: ignore[arg-type]
                now=timezone.now(),
            )
        except ValueError:
            messages.error(request, _("Choose what the call meant."))
        else:
            meaning = Disposition(call.disposition).label
            self.log_change(request, call, f"disposition: {call.disposition}")
            messages.success(request, _("Marked “%(meaning)s”.") % {"meaning": meaning})
            if call.disposition == Disposition.NEVER_CALL and not call.counterpart:
                messages.warning(request, WITHHELD)
        return self._back(call)

    def add_note(self, request: HttpRequest, call_id: UUID) -> HttpResponse:
        call = self.call_or_404(request, call_id, "calls.add_note")
        text = request.POST.get("text", "").replace("\x00", "").strip()
        if text:
            Note.objects.create(call=call, lead=call.lead, author_id=request.user.pk, text=text)
        else:
            messages.error(request, _("There is nothing in the note."))
        return self._back(call)

    def hang_up(self, request: HttpRequest, call_id: UUID) -> HttpResponse:
        call = self.call_or_404(request, call_id, "calls.hang_up_call")
        try:
            told = dialer.hang_up(call, by=request.user, now=timezone.now())  # type: ignore[arg-type]
        except NotOffered as reason:
            messages.error(request, reason.message)
            return self._back(call)
        if told:
            self.log_change(request, call, "hang up")
            messages.success(request, _("The phone company is being told to hang up."))
        else:
            messages.warning(request, _("The call is not on the line any more."))
        return self._back(call)

    def cancel(self, request: HttpRequest, call_id: UUID) -> HttpResponse:
        call = self.call_or_404(request, call_id, "calls.place_call")
        if dialer.cancel(call, by=request.user, reason=_("Cancelled on the call's page"), now=timezone.now()):  # type: ignore[arg-type]
            self.log_change(request, call, "cancel")
            messages.success(request, _("Cancelled."))
        else:
            messages.warning(request, _("Too late to cancel: it is in conversation, or over."))
        return self._back(call)

    def call_now(self, request: HttpRequest, call_id: UUID) -> HttpResponse:
        call = self.call_or_404(request, call_id, "calls.place_call")
        return self._ask(request, call, lambda: dialer.call_now(call, by=request.user, now=timezone.now()))  # type: ignore[arg-type]

    def call_again(self, request: HttpRequest, call_id: UUID) -> HttpResponse:
        call = self.call_or_404(request, call_id, "calls.place_call")
        agent = call.agent
        if not call.counterpart:
            messages.error(request, _("The number was withheld: there is nothing to call."))
            return self._back(call)
        if agent is None and not call.desk_number:
            messages.error(request, _("Choose an AI agent on the lead's page."))
            return self._back(call)
        own = desk_talk.phone_of(request.user) if call.desk_number else ""
        if call.desk_number and not own:
            messages.error(request, _("Say on the lead's page at which telephone you are to be rung."))
            return self._back(call)

        def ask() -> Call:
            asked = dialer.ask(
                lead=call.lead,
                number=call.counterpart,
                agent=agent,
                desk_number=own,
                by=request.user,  # type: ignore[arg-type]
                via=Via.TEST if call.test else Via.DESK,
                test=call.test,
                now=timezone.now(),
            )
            if asked.adopted:
                messages.info(request, _("A call to this number was waiting already: it is this one."))
            return asked.call

        return self._ask(request, call, ask)

    def never(self, request: HttpRequest, call_id: UUID) -> HttpResponse:
        call = self.call_or_404(request, call_id, "calls.add_donotcall")
        reason = request.POST.get("reason", "").replace("\x00", "").strip()
        if not call.counterpart:
            messages.error(request, WITHHELD)
            return self._back(call)
        if not reason:
            messages.error(request, _("Say why, so that whoever asks later can be answered."))
            return self._back(call)
        done = eligibility.opt_out(
            call.counterpart,
            reason=reason,
            source=DoNotCallSource.STAFF,
            now=timezone.now(),
            by=request.user,  # type: ignore[arg-type]
            lead=call.lead,
        )
        self.log_change(request, call, "never call again")
        told = _("%(number)s will never be called again.") % {"number": phone.pretty(call.counterpart)}
        cancelled = len(done.canceled) + len(done.marked)
        if cancelled:
            told += " " + _("Calls cancelled: %(count)d.") % {"count": cancelled}
        messages.success(request, told)
        return self._back(call)

    def _ask(self, request: HttpRequest, call: Call, ask: Callable[[], Call]) -> HttpResponse:
        try:
            return self._back(ask())
        except NotAllowed as refused:
            for reason in refused.reasons:
                messages.error(request, reason.text)
        except OnThePhone as busy:
            messages.warning(request, str(busy))
            return self._back(busy.call)
        except BadRequest as bad:
            messages.error(request, str(bad))
        return self._back(call)

    def _back(self, call: Call) -> HttpResponse:
        return redirect("admin:calls_call_change", call.pk)


def page_facts(request: HttpRequest, call: Call, *, now: datetime) -> dict[str, Any]:
    """What the parts show that change while the call lives."""
    user = request.user
    waits = dialer.waiting(call, now=now)
    lines = story.conversation(call)
    over = call.status == CallStatus.ENDED
    opt_out = (
        DoNotCall.objects.in_force().filter(number=call.counterpart).select_related("created_by").first()
    )
    may_call = user.has_perm("calls.place_call")
    decision = (
        eligibility.decide(call.lead, number=call.counterpart, agent=call.agent, now=now)
        if over and may_call and (call.agent or call.desk_number) and call.counterpart
        else None
    )
    may_hang_up = user.has_perm("calls.hang_up_call") and call.status in ON_THE_LINE
    can_hang_up = can(Ability.HANG_UP, name=call.provider)
    recent = call.ended_at is None or call.ended_at > now - LIVELY_AFTER_THE_END
    return {
        "call": call,
        "tone": tone(call),
        "number": call.counterpart_shown,
        "our_number": phone.pretty(call.our_number) if call.our_number else "",
        "clocks": [local for _zone, local in local_times(call.lead, call.counterpart, now)],
        "talked": talk(call.duration_ms) if call.duration_ms and call.answered_at else "",
        "price": money(call.cost_micros, call.currency) if call.cost_micros is not None else "",
        "carrier_estimate": carrier_estimate(call),
        "live": call.status in ON_THE_LINE,
        "over": over,
        "follow": not over or (not call.final and (recent or call.next_look_at is not None)),
        "calm": over and not recent,
        "waits": waits,
        "interrupted": interrupted(call),
        "steps": story.timeline(call, waits=waits),
        "beside": list(instead(call)),
        "lines": lines,
        "times": [line.times for line in lines],
        "recorded": recordings.may_have_one(call),
        "further_parts": range(2, len(call.further_recordings) + 2),
        "copy_failed": recording_copies.failure_of(call) if user.has_perm(SEE_EVERYONES) else None,
        "analysis": analysis_rows(call),
        "raw_word": story.said_by_phone_company(call),
        "dispositions": Disposition.choices,
        "opt_out": opt_out,
        "needs_a_look": not call.judged
        and bool(call.incident or (over and call.outcome == Outcome.UNKNOWN and not call.disposition)),
        "decision": decision,
        "may_call": may_call,
        "may_hurry": may_call and _could_go_now(call, now=now),
        "may_hang_up": may_hang_up and can_hang_up,
        "can_hang_up": can_hang_up,
        "why_no_hang_up": WHY_NOT[Ability.HANG_UP] if may_hang_up and not can_hang_up else "",
        **steering_facts(request, call),
        **desk_talk_facts(request, call, now=now),
        "may_cancel": may_call and call.status in {CallStatus.QUEUED, *BEING_PLACED},
        "may_opt_out": user.has_perm("calls.add_donotcall") and bool(call.counterpart),
        "may_judge": may_call and (over or call.status == CallStatus.IN_PROGRESS),
    }


def _could_go_now(call: Call, *, now: datetime) -> bool:
    """It waits for a time that was asked for, and nothing but that keeps it from going out now."""
    if call.status != CallStatus.QUEUED or call.due_at is None or call.due_at <= now:
        return False
    return eligibility.recheck(call, now=now).verdict == Verdict.NOW


def analysis_rows(call: Call) -> list[tuple[str, str]]:
    """The agent's own analysis fields, as text."""
    return [(capfirst(str(name).replace("_", " ")), _shown(value)) for name, value in call.analysis.items()]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if value is None or value == "":
        return "–"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return str(value)


def details(call: Call) -> list[tuple[str, str]]:
    """What few need and nobody can do without when they do."""
    rows = [
        (_("Our id"), str(call.pk)),
        (_("Id at the phone company"), call.provider_call_id),
        (_("Its status there"), call.provider_status),
        (_("How we know how it ended"), call.outcome_evidence),
        (_("Attempt"), str(call.attempt)),
        (_("Attestation"), str(ATTESTATIONS.get(call.attestation, call.attestation))),
        (_("Our telephone"), phone.pretty(call.desk_number) if call.desk_number else ""),
        (_("Line"), call.line),
        *overrides_shown(call.overrides),
        *((f"{{{{{name}}}}}", str(value)) for name, value in call.variables.items()),
    ]
    return [(name, value) for name, value in rows if value]


def stored_events(call: Call) -> list[dict[str, Any]]:
    """Newest first; the body as it came, as far as it is text."""
    rows = WebhookEvent.objects.filter(call=call).order_by("-received_at")[:50]
    return [
        {
            "name": row.name or _("unnamed"),
            "source": EventSource(row.source).label,
            "state": row.get_state_display(),
            "received_at": row.received_at,
            "problem": row.problem,
            "body": bytes(row.body[:LONGEST_BODY]).decode("utf-8", "replace"),
            "cut": len(row.body) > LONGEST_BODY,
        }
        for row in rows
    ]
