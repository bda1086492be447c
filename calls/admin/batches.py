"""Calling many: the sheet that says first what will happen, ten seconds to undo, then the way to the end."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminTextInputWidget

from agents.models import Agent, PhoneNumber
from calls import dialer
from calls.admin import words
from calls.admin.call_sheet import REMEMBERED, SpeakerForm, usual_agent, words_to_fill
from calls.admin.ready import ReadyCard, ready_card
from calls.admin.scope import OwnRowsMixin, ReadOnlyMixin
from calls.dialer import Tally, counting
from calls.eligibility import Verdict
from calls.models import Call, CallBatch, CallStatus, Lead, Outcome
from calls.models.batch import BatchState
from calls.models.call_words import ACTIVE
from calls.people import csv_lines
from calls.templatetags.leads import staff_name

TYPED_ABOVE = 200
"""Above this many calls the number is typed: nobody calls a thousand people by a slip."""
SHOWN = 200
"""People listed as not called on the page; the rest is counted."""
RECENT = 12
GO_ON = "go_on"
"""In the address of a large sheet: count a piece now. For a browser that runs no scripts."""


class BatchSheetForm(SpeakerForm):
    typed = forms.CharField(
        label=gettext_lazy("How many"),
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, to_call: int, count_again: bool, **kwargs: Any) -> None:
        """`count_again`: words filled in are counted with before *Call* is pressed, not after."""
        super().__init__(*args, **kwargs)
        self.to_call = to_call
        if count_again:
            for name in self.variable_names:
                self.fields[f"say_{name}"].widget.attrs["data-reload"] = ""
        if to_call <= TYPED_ABOVE:
            del self.fields["typed"]

    def chosen(self) -> str:
        """Agent, caller ID and words as a query string."""
        given = self.data if self.is_bound else self.initial
        names = ["agent", "our_number", *(f"say_{name}" for name in self.variable_names)]
        return urlencode({name: given.get(name) or "" for name in names})

    def clean_typed(self) -> str:
        typed = "".join(sign for sign in self.cleaned_data["typed"] if sign.isdigit())
        if typed != str(self.to_call):
            raise forms.ValidationError(_("Type %(count)d to call that many.") % {"count": self.to_call})
        return typed


class BatchChangeList(ChangeList):
    """Sheets that were opened and left are no batches."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[CallBatch]:
        rows: QuerySet[CallBatch] = super().get_queryset(request, *args, **kwargs)
        return rows.exclude(state=BatchState.DRAFT)


@admin.register(CallBatch)
class CallBatchAdmin(ReadOnlyMixin, OwnRowsMixin, ModelAdmin):
    list_display = ["when", "asker", "agent", "state", "selected", "called"]
    list_select_related = ["created_by", "agent"]
    list_per_page = 50
    show_full_result_count = False
    list_fullwidth = True

    class Media:
        css = {"all": ["calls/leads.css"]}

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(call_count=Count("calls"))

    @admin.display(description=gettext_lazy("when"), ordering="created_at")
    def when(self, batch: CallBatch) -> str:
        return date_format(timezone.localtime(batch.started_at or batch.created_at), "D j M Y, H:i")

    @admin.display(description=gettext_lazy("asked for by"), ordering="created_by")
    def asker(self, batch: CallBatch) -> str:
        return staff_name(batch.created_by) or "–"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BatchChangeList]:
        return BatchChangeList

    @admin.display(description=gettext_lazy("leads"))
    def selected(self, batch: CallBatch) -> int:
        return len(batch.lead_ids)

    @admin.display(description=gettext_lazy("calls"))
    def called(self, batch: Any) -> int:
        return int(batch.call_count)

    def get_urls(self) -> list[URLPattern]:
        def at(tail: str, view: Any, name: str) -> Any:
            return path(
                f"<path:object_id>/{tail}/", self.admin_site.admin_view(view), name=f"calls_callbatch_{name}"
            )

        own = [
            at("sheet", self.sheet_view, "sheet"),
            at("count", self.count_view, "count"),
            at("undo", require_POST(self.undo), "undo"),
            at("cancel", require_POST(self.cancel_rest), "cancel"),
            at("progress", self.progress_view, "progress"),
            at("not-called", self.not_called, "not_called"),
        ]
        return [*own, *super().get_urls()]

    def batch_or_404(
        self, request: HttpRequest, object_id: str, *, permission: str = "calls.view_callbatch"
    ) -> CallBatch:
        if not request.user.has_perm(permission):
            raise PermissionDenied
        try:
            batch: CallBatch | None = self.get_object(request, unquote(object_id))
        except ValidationError:
            batch = None
        if batch is None:
            raise Http404
        return batch

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A batch that has not started is its sheet; one that has is its progress."""
        batch = self.batch_or_404(request, object_id)
        if batch.state == BatchState.DRAFT:
            return redirect("admin:calls_callbatch_sheet", batch.pk)
        context = {
            **self.page_context(request, batch, _("Batch")),
            **progress_facts(batch, now=timezone.now()),
        }
        return TemplateResponse(request, "admin/calls/callbatch/page.html", context)

    def page_context(self, request: HttpRequest, batch: CallBatch, title: str) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": batch,
            "batch": batch,
            "title": title,
            "may_call": request.user.has_perm("calls.place_call"),
        }

    def sheet_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        batch = self.batch_or_404(request, object_id, permission="calls.place_call")
        if batch.state != BatchState.DRAFT:
            return redirect("admin:calls_callbatch_change", batch.pk)
        now = timezone.now()
        given = request.POST if request.method == "POST" else request.GET
        choose(request, batch, given)
        if counting.is_large(batch):
            tally = counting.counted_so_far(batch, now=now) or counting.begin(batch, now=now)
            if GO_ON in request.GET:
                counting.count_on(batch, tally, now=now)
            counted = counting.is_counted(batch)
        else:
            tally, counted = counting.counted_at_once(batch, now=now), True
        form, ready = sheet_form(request, batch, to_call=tally.to_call if counted else 0)
        if request.method == "POST" and form.is_valid():
            refusal = why_not(batch, tally, ready, counted=counted)
            if not refusal and self.start(request, batch, form, now=now):
                return redirect("admin:calls_callbatch_change", batch.pk)
            form.add_error(None, refusal or _("It has been started already."))
        context = {
            **self.page_context(request, batch, _("Call %(count)d leads") % {"count": len(batch.lead_ids)}),
            **sheet_facts(batch, tally, ready, form, counted=counted),
        }
        return TemplateResponse(request, "admin/calls/callbatch/sheet.html", context)

    def count_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The part of a large sheet that asks for itself until everybody is counted.

        A GET that writes: only how far the counting is, which any other request would find the same.
        """
        batch = self.batch_or_404(request, object_id, permission="calls.place_call")
        if batch.state != BatchState.DRAFT:
            return HttpResponse(headers={"HX-Refresh": "true"})
        now = timezone.now()
        choose(request, batch, request.GET)
        tally = counting.counted_so_far(batch, now=now)
        if tally is None:
            # Begun anew by another window with other choices: two that restart each other never end.
            return TemplateResponse(
                request,
                "admin/calls/callbatch/overtaken.html",
                {"batch": batch, "choices": request.GET.urlencode()},
            )
        counting.count_on(batch, tally, now=now)
        counted = counting.is_counted(batch)
        form, ready = sheet_form(request, batch, to_call=tally.to_call if counted else 0)
        context = {"batch": batch, **sheet_facts(batch, tally, ready, form, counted=counted)}
        return TemplateResponse(request, "admin/calls/callbatch/counting.html", context)

    def start(self, request: HttpRequest, batch: CallBatch, form: BatchSheetForm, *, now: datetime) -> bool:
        """False: it was started by an earlier press."""
        batch.agent = form.cleaned_data["agent"]
        batch.variables = form.variables()
        CallBatch.objects.filter(pk=batch.pk, state=BatchState.DRAFT).update(
            agent=batch.agent, caller_id=batch.caller_id, variables=batch.variables
        )
        kept = request.session.get(REMEMBERED, {})
        request.session[REMEMBERED] = {
            **kept,
            "agent": form.cleaned_data["agent"].pk,
            "our_number": form.cleaned_data["our_number"],
            "variables": {**kept.get("variables", {}), str(form.cleaned_data["agent"].pk): form.variables()},
        }
        return dialer.start_batch(batch, now=now)

    def undo(self, request: HttpRequest, object_id: str) -> HttpResponse:
        batch = self.batch_or_404(request, object_id, permission="calls.place_call")
        if dialer.undo_batch(batch, by=request.user, now=timezone.now()):  # type: ignore[arg-type]
            messages.success(request, _("Undone: nobody of this batch is called."))
        else:
            messages.warning(request, _("Too late to undo. “Cancel the rest” stops what has not gone out."))
        return redirect("admin:calls_callbatch_change", batch.pk)

    def cancel_rest(self, request: HttpRequest, object_id: str) -> HttpResponse:
        batch = self.batch_or_404(request, object_id, permission="calls.place_call")
        count = dialer.cancel_rest(batch, by=request.user, now=timezone.now())  # type: ignore[arg-type]
        told = ngettext(
            "%(count)d waiting call was cancelled.", "%(count)d waiting calls were cancelled.", count
        )
        messages.success(request, told % {"count": count})
        return redirect("admin:calls_callbatch_change", batch.pk)

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The fragment that the page fetches again and again while the batch lives."""
        batch = self.batch_or_404(request, object_id)
        context = {
            "batch": batch,
            "may_call": request.user.has_perm("calls.place_call"),
            **progress_facts(batch, now=timezone.now()),
        }
        return TemplateResponse(request, "admin/calls/callbatch/progress.html", context)

    def not_called(self, request: HttpRequest, object_id: str) -> StreamingHttpResponse:
        """Who was not called and why, as CSV."""
        batch = self.batch_or_404(request, object_id)
        rows = [[str(_("lead")), str(_("company")), str(_("number")), str(_("reason"))]]
        leads = Lead.objects.prefetch_related("phones").in_bulk([entry["lead"] for entry in batch.refused])
        for entry in batch.refused:
            lead = leads.get(entry["lead"])
            numbers = [one.number for one in lead.phones.all()] if lead else []
            rows.append(
                [
                    lead.name if lead else "",
                    lead.company if lead else "",
                    *(numbers[:1] or [""]),
                    entry["text"],
                ]
            )
        answer = StreamingHttpResponse(csv_lines(rows), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="not-called.csv"'
        return answer


def choose(request: HttpRequest, batch: CallBatch, given: Any) -> None:
    """Agent, caller ID and words as the sheet now has them, on the batch in memory, for its counting.

    Words that nothing is said about are those this person used last with this agent.
    """
    agents = Agent.objects.callable_now().select_related("default_caller_id")
    chosen = given.get("agent", "")
    if chosen.isdecimal():
        batch.agent = agents.filter(pk=int(chosen)).first() or batch.agent
    batch.agent = batch.agent or usual_agent()
    if "our_number" in given:
        number = given["our_number"]
        batch.caller_id = PhoneNumber.objects.usable().filter(number=number).first() if number else None
    said = {name.removeprefix("say_"): value for name, value in given.items() if name.startswith("say_")}
    kept = request.session.get(REMEMBERED, {}).get("variables", {}).get(str(batch.agent_id), {})
    asked = words_to_fill(batch.agent, {})
    words_said = said if said else {**kept, **batch.variables}
    batch.variables = {name: words_said[name] for name in asked if words_said.get(name)}


def remembered_choices(batch: CallBatch) -> dict[str, Any]:
    caller_id = batch.caller_id.number if batch.caller_id else ""
    said = {f"say_{name}": value for name, value in batch.variables.items()}
    return {**said, "agent": batch.agent_id, "our_number": caller_id}


def sheet_form(
    request: HttpRequest, batch: CallBatch, *, to_call: int
) -> tuple[BatchSheetForm, ReadyCard | None]:
    asked = words_to_fill(batch.agent, {})
    known = counting.known_to_all(batch, asked)
    arguments: dict[str, Any] = {
        "speaker": batch.agent,
        "known": dict.fromkeys(known, ""),
        "to_call": to_call,
        "count_again": counting.is_large(batch),
    }
    ready = ready_card(batch.agent, supplied={*known, *batch.variables})
    if request.method == "POST":
        return BatchSheetForm(request.POST, **arguments), ready
    return BatchSheetForm(initial=remembered_choices(batch), **arguments), ready


def why_not(batch: CallBatch, tally: Tally, ready: ReadyCard | None, *, counted: bool) -> str:
    """Why the button does nothing; '' when it calls."""
    if ready is None:
        return _("No AI agent may call. Ask a manager to add one.")
    if ready.stops:
        return " ".join(check.sentence for check in ready.stops)
    if not counted:
        return _("First everybody is counted: %(done)d of %(all)d.") % {
            "done": batch.counted_to,
            "all": len(batch.lead_ids),
        }
    return "" if tally.to_call else _("Nobody of these may be called.")


def sheet_facts(
    batch: CallBatch, tally: Tally, ready: ReadyCard | None, form: BatchSheetForm, *, counted: bool
) -> dict[str, Any]:
    """Now, later and never, each with its first people and their reasons; and whether it may begin."""
    total = len(batch.lead_ids)
    leads = Lead.objects.in_bulk([entry[0] for entries in tally.shown.values() for entry in entries])
    labels = {Verdict.NOW: _("now"), Verdict.LATER: _("later"), Verdict.NEVER: _("never")}
    return {
        "groups": [
            {
                "code": verdict.value,
                "label": label,
                "count": tally.counts[verdict],
                "shown": [
                    (leads[pk], their_time(at, zone), texts)
                    for pk, at, zone, texts in tally.shown[verdict]
                    if pk in leads
                ],
            }
            for verdict, label in labels.items()
        ],
        "first_later": their_time(*tally.first_later) if tally.first_later else None,
        "never_by_reason": [
            (words.REASONS.get(code, text), count) for code, text, count in tally.never_by_reason()
        ],
        "shown_most": counting.SHOWN,
        "counted": counted,
        "counted_to": batch.counted_to,
        "total": total,
        "percent": 100 * batch.counted_to // total if total else 100,
        "choices": form.chosen(),
        "form": form,
        "ready": ready,
        "to_call": tally.to_call,
        "typed_above": TYPED_ABOVE,
        "why_not": why_not(batch, tally, ready, counted=counted),
    }


def their_time(at: str | None, zone: str) -> datetime | None:
    moment = parse_datetime(at) if at else None
    return moment.astimezone(ZoneInfo(zone) if zone else timezone.get_current_timezone()) if moment else None


def progress_facts(batch: CallBatch, *, now: datetime) -> dict[str, Any]:
    progress = dialer.progress(batch, now=now)
    calls = (
        Call.objects.filter(batch=batch).select_related("lead").defer("request_body", "summary", "analysis")
    )
    first_waiting = calls.filter(status=CallStatus.QUEUED).order_by("due_at", "requested_at").first()
    leads = Lead.objects.in_bulk([entry["lead"] for entry in progress.refused[:SHOWN]])
    handled = progress.ended + progress.not_called
    return {
        "progress": progress,
        "alive": batch.state in (BatchState.FILLING, BatchState.RUNNING),
        "percent": 100 * handled // progress.total if progress.total else 100,
        "handled": handled,
        "outcomes": outcome_slices(progress.by_outcome),
        "waits": dialer.waiting(first_waiting, now=now) if first_waiting else None,
        "undo_seconds": max(0, int((batch.undo_until - now).total_seconds())) if batch.undo_until else 0,
        "on_now": list(calls.filter(status__in=ACTIVE).order_by("-claimed_at")[:RECENT]),
        "recent": list(
            calls.filter(status=CallStatus.ENDED).order_by(F("ended_at").desc(nulls_last=True))[:RECENT]
        ),
        "refused": [(leads.get(entry["lead"]), entry["text"]) for entry in progress.refused[:SHOWN]],
        "shown_most": SHOWN,
    }


def outcome_slices(by_outcome: dict[str, int]) -> list[dict[str, Any]]:
    """The picture: one slice an outcome, start and width in thousandths of the bar."""
    total = sum(by_outcome.values())
    slices: list[dict[str, Any]] = []
    done = 0
    for outcome in Outcome:
        count = by_outcome.get(outcome, 0)
        if count:
            start, done = done, done + count
            slices.append(
                {
                    "code": outcome.value,
                    "label": outcome.label,
                    "count": count,
                    "x": 1000 * start / total,
                    "width": 1000 * count / total,
                }
            )
    return slices
