"""What the phone company told us, as it came: the inbox and everything in it that went wrong.

For administrators. Reading again is the only thing that can be done here.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from calls.admin.scope import ReadOnlyMixin
from calls.lifecycle import read_again
from calls.models import WebhookEvent
from calls.models.webhook_event import EventState

SHOWN = 200_000
"""Characters of a body on its page."""


def as_text(body: bytes | memoryview) -> str:
    """Bytes as a person reads them: JSON in lines, anything else as it came, nothing left out."""
    text = bytes(body).decode("utf-8", "backslashreplace")
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    return text[:SHOWN]


MOMENT = "%Y-%m-%dT%H:%M"
TROUBLE = (EventState.FAILING, EventState.UNREADABLE, EventState.INCIDENT, EventState.FOREIGN)
RECENT = timedelta(days=1)
"""How long a body that cannot be read is a matter for the banner; failing ones are until they pass."""

EXPLAINED = {
    EventState.FAILING: gettext_lazy(
        "Reading these ended in an error of ours. They are tried again by themselves, at most an hour apart;"
        " the error is on each one's page. Until then their calls lack what they say."
    ),
    EventState.UNREADABLE: gettext_lazy(
        "Signed by the phone company, but not in a form this release can read. Nothing is lost: they are"
        " kept as they came, and can be read again after an update."
    ),
    EventState.INCIDENT: gettext_lazy(
        "The phone company says one of our calls twice, under two ids: two telephones may have rung."
        " The call's own page says which."
    ),
    EventState.FOREIGN: gettext_lazy(
        "Calls of something else that uses the same account. They are not ours, are counted nowhere, and"
        " are deleted after a week."
    ),
}


def _choices() -> list[tuple[str, Any]]:
    return [("trouble", gettext_lazy("What went wrong")), ("", gettext_lazy("Everything"))]


def _moment_widget() -> UnfoldAdminTextInputWidget:
    return UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"})


class RangeForm(forms.Form):
    """Which stored events, by when they came, in the company's time."""

    since = forms.DateTimeField(
        label=gettext_lazy("Received from"), input_formats=[MOMENT], widget=_moment_widget()
    )
    until = forms.DateTimeField(label=gettext_lazy("Until"), input_formats=[MOMENT], widget=_moment_widget())
    which = forms.ChoiceField(
        label=gettext_lazy("Which"), choices=_choices, required=False, widget=UnfoldAdminSelectWidget
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("since") and given.get("until") and given["since"] >= given["until"]:
            raise forms.ValidationError(_("The second moment must be after the first."))
        return given

    def events(self) -> QuerySet[WebhookEvent]:
        given = self.cleaned_data
        found = WebhookEvent.objects.filter(received_at__gte=given["since"], received_at__lt=given["until"])
        return found.filter(state__in=TROUBLE) if given["which"] == "trouble" else found


def gone_wrong(*, now: datetime) -> int:
    """Events that an administrator should look at: for the banner and the navigation."""
    unreadable = Q(state=EventState.UNREADABLE, received_at__gt=now - RECENT)
    return WebhookEvent.objects.filter(Q(state=EventState.FAILING) | unreadable).count()


def _told(count: int) -> str:
    return ngettext(
        "%(count)d event will be read again in a moment; nothing better known is replaced.",
        "%(count)d events will be read again in a moment; nothing better known is replaced.",
        count,
    ) % {"count": count}


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnlyMixin, ModelAdmin):
    list_display = ["received_at", "name", "source", "shown_state", "provider_call_id", "its_call", "tries"]
    list_filter = ["state", "source"]
    list_filter_submit = True
    search_fields = ["provider_call_id"]
    search_help_text = gettext_lazy("Id at the phone company")
    show_full_result_count = False
    list_fullwidth = True
    sortable_by = ["received_at"]
    fields = [
        "received_at",
        "name",
        "source",
        "state",
        "its_call",
        "provider_call_id",
        "spoken",
        "tries",
        "next_try_at",
        "applied_at",
        "shown_problem",
        "signature",
        "key",
        "size",
        "shown_body",
    ]
    readonly_fields = fields
    actions = ["read_again"]
    list_before_template = "admin/calls/webhookevent/states.html"
    change_form_outer_before_template = "admin/calls/webhookevent/again.html"

    class Media:
        css = {"all": ["calls/leads.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEvent]:
        rows: QuerySet[WebhookEvent] = super().get_queryset(request)
        # One event's page shows its body; a list of them must not carry megabytes.
        return rows.defer("body", "problem") if self._is_list(request) else rows

    def _is_list(self, request: HttpRequest) -> bool:
        match = request.resolver_match
        return bool(match and match.url_name and match.url_name.endswith("_changelist"))

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("calls.replay_event"))

    @display(  # type: ignore[untyped-decorator]
        description=gettext_lazy("state"),
        ordering="state",
        label={
            EventState.APPLIED: "success",
            EventState.PENDING: "info",
            EventState.WAITING: "info",
            EventState.FAILING: "danger",
            EventState.UNREADABLE: "danger",
            EventState.INCIDENT: "danger",
            EventState.FOREIGN: "warning",
        },
    )
    def shown_state(self, event: WebhookEvent) -> tuple[str, str]:
        return event.state, event.get_state_display()

    @admin.display(description=gettext_lazy("call"))
    def its_call(self, event: WebhookEvent) -> str:
        if event.call_id is None:
            return ""
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:calls_call_change", args=[event.call_id]), _("its call")
        )

    @admin.display(description=gettext_lazy("body"))
    def shown_body(self, event: WebhookEvent) -> str:
        return format_html('<pre class="desk-pre" tabindex="0">{}</pre>', as_text(event.body))

    @admin.display(description=gettext_lazy("way of speaking"))
    def spoken(self, event: WebhookEvent) -> str:
        return event.contract

    @admin.display(description=gettext_lazy("size"))
    def size(self, event: WebhookEvent) -> str:
        return str(filesizeformat(len(event.body)))

    @admin.display(description=gettext_lazy("problem"))
    def shown_problem(self, event: WebhookEvent) -> str:
        return (
            format_html('<pre class="desk-pre" tabindex="0">{}</pre>', event.problem) if event.problem else ""
        )

    @admin.action(description=gettext_lazy("Read again"), permissions=["replay"])
    def read_again(self, request: HttpRequest, chosen: QuerySet[WebhookEvent]) -> None:
        some = WebhookEvent.objects.filter(pk__in=chosen.order_by().values("pk"))
        self.message_user(request, _told(read_again(some, now=timezone.now())), messages.SUCCESS)

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        own = [
            path("again/", site.admin_view(self.again_by_time), name="calls_webhookevent_again"),
            path(
                "<path:object_id>/again/",
                site.admin_view(require_POST(self.again)),
                name="calls_webhookevent_again_one",
            ),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        found = dict(
            WebhookEvent.objects.filter(state__in=TROUBLE)
            .order_by()
            .values_list("state")
            .annotate(count=Count("pk"))
        )
        chosen = request.GET.get("state__exact", "")
        context = {
            "states": [(state, state.label, found.get(state, 0)) for state in TROUBLE],
            "chosen_state": chosen,
            "explained": next((text for state, text in EXPLAINED.items() if state == chosen), ""),
            "may_replay": self.has_replay_permission(request),
            **(extra_context or {}),
        }
        answer: HttpResponse = super().changelist_view(request, context)
        return answer

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {"may_replay": self.has_replay_permission(request), **(extra_context or {})}
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One event, from its page."""
        if not self.has_replay_permission(request):
            raise PermissionDenied
        event = self.get_object(request, unquote(object_id))
        if event is None:
            raise Http404
        count = read_again(WebhookEvent.objects.filter(pk=event.pk), now=timezone.now())
        self.message_user(request, _told(count), messages.SUCCESS)
        return redirect("admin:calls_webhookevent_change", event.pk)

    def again_by_time(self, request: HttpRequest) -> HttpResponse:
        """A range of times: first how many that is, then, confirmed, all of them."""
        if not self.has_replay_permission(request):
            raise PermissionDenied
        local = timezone.localtime()
        first = {
            "since": (local - RECENT).strftime(MOMENT),
            "until": local.strftime(MOMENT),
            "which": "trouble",
        }
        form = RangeForm(request.POST or None, initial=first)
        count = None
        if request.method == "POST" and form.is_valid():
            events = form.events()
            if request.POST.get("confirmed") == "1":
                self.message_user(request, _told(read_again(events, now=timezone.now())), messages.SUCCESS)
                return redirect("admin:calls_webhookevent_changelist")
            count = events.count()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Read a range of times again"),
            "form": form,
            "count": count,
        }
        return TemplateResponse(request, "admin/calls/webhookevent/again_by_time.html", context)
