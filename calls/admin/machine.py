"""The processes that run: looked at by administrators, changed by nobody."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from calls.admin.scope import ReadOnlyMixin
from calls.dialer import SILENT_AFTER
from calls.models import Heartbeat


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
