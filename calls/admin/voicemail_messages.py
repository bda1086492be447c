"""What is said to mailboxes when one of us leaves a message: one for everybody, and one's own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from calls.models import VoicemailMessage
from calls.templatetags.leads import staff_name


@admin.register(VoicemailMessage)
class VoicemailMessageAdmin(ModelAdmin):
    list_display = ["whose", "text", "updated_at"]
    list_display_links = ["whose", "text"]
    list_select_related = ["user"]
    list_fullwidth = True
    when_empty = gettext_lazy(
        "What is said to a mailbox when somebody who calls from their own telephone presses “Leave a message "
        "and hang up”."
    )
    fields = ["user", "text"]
    ordering = ["user__username"]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user":
            kwargs["queryset"] = User.objects.filter(is_staff=True, is_active=True)
            kwargs["empty_label"] = _("Everybody who has none of their own")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description=gettext_lazy("whose"), ordering="user__username")
    def whose(self, message: VoicemailMessage) -> str:
        return staff_name(message.user) if message.user else _("Everybody who has none of their own")
