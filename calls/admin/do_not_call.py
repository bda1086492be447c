"""Do not call: entered for good, lifted only by name and with a reason, never deleted."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from agents import phone
from calls import eligibility
from calls.admin import confirm
from calls.admin.scope import ReadOnlyMixin
from calls.models import DoNotCall
from calls.models.do_not_call import DoNotCallSource


class DoNotCallForm(forms.ModelForm[DoNotCall]):
    number = forms.CharField(
        label=gettext_lazy("Number"),
        max_length=40,
        help_text=gettext_lazy("In any spelling; without a country it is one of yours."),
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "tel", "autocomplete": "off"}),
    )

    class Meta:
        model = DoNotCall
        fields = ["number", "reason"]

    def clean_number(self) -> str:
        return phone.to_e164(self.cleaned_data["number"], country=settings.DEFAULT_COUNTRY)


class InForceFilter(admin.SimpleListFilter):
    title = gettext_lazy("in force")
    parameter_name = "in_force"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", gettext_lazy("In force")), ("no", gettext_lazy("Lifted"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DoNotCall]) -> QuerySet[DoNotCall]:
        if self.value() in {"yes", "no"}:
            return queryset.filter(lifted_at__isnull=self.value() == "yes")
        return queryset


@admin.register(DoNotCall)
class DoNotCallAdmin(ReadOnlyMixin, ModelAdmin):
    form = DoNotCallForm
    list_display = ["shown_number", "reason", "source", "created_by", "created_at", "in_force", "lifted"]
    list_select_related = ["created_by", "lifted_by"]
    list_filter = [InForceFilter, "source"]
    list_filter_submit = True
    search_fields = ["number", "reason"]
    search_help_text = gettext_lazy("Number in any spelling, or reason")
    show_full_result_count = False
    list_fullwidth = True
    actions = ["lift"]
    looked_at = [
        "shown_number",
        "reason",
        "source",
        "created_by",
        "created_at",
        "call",
        "lifted_at",
        "lifted_by",
        "lifted_reason",
    ]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("calls.add_donotcall"))

    def has_lift_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("calls.lift_donotcall"))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["number", "reason"] if obj is None else self.looked_at

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [] if obj is None else self.looked_at

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DoNotCall], search_term: str
    ) -> tuple[QuerySet[DoNotCall], bool]:
        digits = "".join(sign for sign in search_term if sign.isdigit())
        if len(digits) >= 4 and not any(sign.isalpha() for sign in search_term):
            return queryset.filter(number__contains=digits.lstrip("0")), False
        found: tuple[QuerySet[DoNotCall], bool] = super().get_search_results(request, queryset, search_term)
        return found

    @admin.display(description=gettext_lazy("number"), ordering="number")
    def shown_number(self, entry: DoNotCall) -> str:
        return phone.pretty(entry.number)

    @admin.display(description=gettext_lazy("in force"), boolean=True, ordering="lifted_at")
    def in_force(self, entry: DoNotCall) -> bool:
        return entry.lifted_at is None

    @admin.display(description=gettext_lazy("lifted"))
    def lifted(self, entry: DoNotCall) -> str:
        return f"{entry.lifted_by}: {entry.lifted_reason}" if entry.lifted_at else ""

    def save_model(self, request: HttpRequest, obj: DoNotCall, form: Any, change: bool) -> None:
        """Calls to that number stop in the same transaction; the row in force takes the form's place."""
        person = request.user if isinstance(request.user, User) else None
        result = eligibility.opt_out(
            obj.number, reason=obj.reason, source=DoNotCallSource.STAFF, now=timezone.now(), by=person
        )
        obj.pk = result.entry.pk
        obj.refresh_from_db()
        if obj.created_by_id != (person and person.pk) or obj.reason != form.cleaned_data["reason"]:
            self.message_user(request, _("That number was on the list already; its entry stays as it was."))
        stopped = len(result.canceled) + len(result.marked)
        if stopped:
            self.message_user(
                request,
                ngettext(
                    "%(count)d call to it was cancelled.", "%(count)d calls to it were cancelled.", stopped
                )
                % {"count": stopped},
            )

    @admin.action(description=gettext_lazy("Lift: may be called again"), permissions=["lift"])
    def lift(self, request: HttpRequest, chosen: QuerySet[DoNotCall]) -> HttpResponse | None:
        entries = chosen.in_force()  # type: ignore[attr-defined]
        reason = request.POST.get("reason", "").strip()
        if not confirm.confirmed(request) or not reason:
            return confirm.ask(
                request,
                self,
                entries,
                title=_("Allow calls again"),
                text=_(
                    "These people asked never to be called again. Your name and the reason are kept; "
                    "the entry stays in the list."
                ),
                button=_("Lift"),
                reason=True,
                problem=_("A reason is needed.") if confirm.confirmed(request) else "",
            )
        now, count = timezone.now(), 0
        for entry in entries:
            eligibility.lift(entry, by=request.user, reason=reason, now=now)  # type: ignore[arg-type]
            self.log_change(request, entry, f"Lifted: {reason}")
            count += 1
        self.message_user(
            request,
            ngettext("%(count)d entry lifted.", "%(count)d entries lifted.", count) % {"count": count},
            messages.SUCCESS,
        )
        return None
