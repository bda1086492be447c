"""API keys: made here, shown once, revoked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from calls.admin import confirm
from calls.admin.scope import ReadOnlyMixin
from calls.api import keys
from calls.models import ApiKey
from calls.models.access import Scope


class KeyForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=keys.LONGEST_NAME,
        help_text=gettext_lazy("Of the system that will use it."),
        widget=UnfoldAdminTextInputWidget,
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("May"), choices=Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    owner = forms.ModelChoiceField(
        label=gettext_lazy("Sees what this person sees"),
        queryset=User.objects.filter(is_active=True).order_by("username"),
        required=False,
        empty_label=gettext_lazy("everything"),
        widget=UnfoldAdminSelectWidget,
    )


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyMixin, ModelAdmin):
    list_display = [
        "name",
        "starts_with",
        "may",
        "owner",
        "created_by",
        "created_at",
        "last_used_at",
        "works",
    ]
    list_select_related = ["owner", "created_by"]
    search_fields = ["name", "prefix"]
    show_full_result_count = False
    list_fullwidth = True
    fields = ["name", "starts_with", "may", "owner", "created_by", "created_at", "last_used_at", "revoked_at"]
    readonly_fields = fields
    actions = ["revoke"]

    @admin.display(description=gettext_lazy("starts with"), ordering="prefix")
    def starts_with(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    @admin.display(description=gettext_lazy("may"))
    def may(self, key: ApiKey) -> str:
        return " · ".join(str(Scope(scope).label) for scope in key.scopes if scope in Scope.values)

    @admin.display(description=gettext_lazy("works"), boolean=True, ordering="revoked_at")
    def works(self, key: ApiKey) -> bool:
        return key.revoked_at is None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("calls.add_apikey"))

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("calls.change_apikey"))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = KeyForm(request.POST or None, initial={"scopes": [Scope.READ]})
        context = {**self.admin_site.each_context(request), "opts": self.opts, **(extra_context or {})}
        if request.method != "POST" or not form.is_valid():
            shown = {**context, "title": _("A new API key"), "form": form}
            return TemplateResponse(request, "admin/calls/apikey/add.html", shown)
        person = request.user if isinstance(request.user, User) else None
        key, secret = keys.make_key(**form.cleaned_data, by=person)
        self.log_addition(request, key, [{"added": {}}])
        # Answered at once instead of redirecting: a secret that travels to another page is stored on the way.
        shown = {**context, "title": _("Copy the key"), "key": key, "secret": secret}
        return TemplateResponse(
            request, "admin/calls/apikey/made.html", shown, headers={"Cache-Control": "no-store"}
        )

    @admin.action(description=gettext_lazy("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[ApiKey]) -> HttpResponse | None:
        if not confirm.confirmed(request):
            return confirm.ask(
                request,
                self,
                chosen,
                title=_("Revoke API keys"),
                text=_("From the next request on these are refused. A revoked key cannot be brought back."),
                button=_("Revoke"),
            )
        now, count = timezone.now(), 0
        for key in chosen:
            keys.revoke(key, now=now)
            self.log_change(request, key, "Revoked.")
            count += 1
        self.message_user(
            request,
            ngettext("%(count)d key revoked.", "%(count)d keys revoked.", count) % {"count": count},
            messages.SUCCESS,
        )
        return None
