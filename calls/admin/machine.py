"""What the machine writes: stored events and processes. Looked at by administrators, changed by nobody."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import display

from calls.admin.scope import ReadOnlyMixin
from calls.dialer.gate import SILENT_AFTER
from calls.lifecycle.apply import read_again
from calls.models import Heartbeat, WebhookEvent
from calls.models.webhook_event import EventState

SHOWN = 200_000
"""Characters of a body on its page."""


def as_text(body: bytes | memoryview) -> str:
    """Bytes as a person reads them: JSON in lines, anything else as it came, nothing left out."""
    text = bytes(body).decode("utf-8", "backslashreplace")
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    return text[:SHOWN]


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
        "contract",
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
        count = read_again(WebhookEvent.objects.filter(pk__in=chosen.values("pk")), now=timezone.now())
        self.message_user(
            request,
            ngettext(
                "%(count)d event will be read again in a moment; nothing better known is replaced.",
                "%(count)d events will be read again in a moment; nothing better known is replaced.",
                count,
            )
            % {"count": count},
            messages.SUCCESS,
        )


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyMixin, ModelAdmin):
    list_display = ["name", "kind", "alive", "seen", "started_at", "shown_detail"]
    list_filter = ["kind"]
    ordering = ["-beat_at"]
    fields = ["name", "kind", "alive", "beat_at", "started_at", "shown_detail"]
    readonly_fields = fields
    actions = None

    @admin.display(description=gettext_lazy("alive"), boolean=True)
    def alive(self, process: Heartbeat) -> bool:
        return process.beat_at > timezone.now() - SILENT_AFTER

    @admin.display(description=gettext_lazy("last heard of"), ordering="beat_at")
    def seen(self, process: Heartbeat) -> str:
        now = timezone.now()
        if now - process.beat_at < SILENT_AFTER:
            return _("just now")
        return _("%(long)s ago") % {"long": timesince(process.beat_at, now)}

    @admin.display(description=gettext_lazy("detail"))
    def shown_detail(self, process: Heartbeat) -> str:
        detail: dict[str, Any] = process.detail if isinstance(process.detail, dict) else {}
        return " · ".join(f"{name} {value}" for name, value in sorted(detail.items()))
