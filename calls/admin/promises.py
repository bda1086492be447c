"""Promises and tasks: what was promised to whom, what a person is to do; done, or dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import display

from agents import phone
from calls import dialer
from calls.admin import confirm
from calls.admin.scope import ReadOnlyMixin, VisibleToMixin
from calls.models import CallBack
from calls.models.callback import CallBackState
from calls.templatetags.leads import staff_name


class StateFilter(admin.SimpleListFilter):
    """Without a choice, what is still to come: the list is somebody's work for today."""

    title, parameter_name = gettext_lazy("State"), "state__exact"
    ALL = "all"
    TO_COME = (CallBackState.OPEN, CallBackState.QUEUED)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*CallBackState.choices, (self.ALL, gettext_lazy("All"))]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        everything = next(super().choices(changelist))
        yield {**everything, "display": _("Still to come")}
        for value, label in self.lookup_choices:
            yield {
                "selected": self.value() == str(value),
                "query_string": changelist.get_query_string({self.parameter_name: value}),
                "display": label,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[CallBack]) -> QuerySet[CallBack]:
        value = self.value()
        if value == self.ALL:
            return queryset
        return queryset.filter(state=value) if value else queryset.filter(state__in=self.TO_COME)


@admin.register(CallBack)
class CallBackAdmin(VisibleToMixin, ReadOnlyMixin, ModelAdmin):
    list_display = ["when", "who", "shown_number", "agent", "shown_state", "promiser", "note"]
    list_select_related = ["lead", "agent", "promised_by"]
    list_filter = [StateFilter, "kind", "agent"]
    list_filter_submit = True
    search_fields = ["number", "lead__name", "note"]
    show_full_result_count = False
    ordering = ["due_at"]
    list_fullwidth = True
    fields = [
        "kind",
        "due_at",
        "lead",
        "shown_number",
        "agent",
        "state",
        "promised_in",
        "promised_by",
        "call",
        "note",
    ]
    readonly_fields = fields
    actions = ["finish", "drop"]

    class Media:
        css = {"all": ["calls/leads.css"]}

    def has_finish_permission(self, request: HttpRequest) -> bool:
        return self.has_drop_permission(request)

    def has_drop_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("calls.change_callback"))

    @admin.display(description=gettext_lazy("lead"), ordering="lead__name")
    def who(self, promise: CallBack) -> str:
        return promise.lead.name if promise.lead else _("Unknown caller")

    @admin.display(description=gettext_lazy("number"), ordering="number")
    def shown_number(self, promise: CallBack) -> str:
        return format_html('<span class="whitespace-nowrap">{}</span>', phone.pretty(promise.number))

    @admin.display(description=gettext_lazy("promised for"), ordering="due_at")
    def when(self, promise: CallBack) -> str:
        due_at = timezone.localtime(promise.due_at)
        return format_html('<span class="whitespace-nowrap">{}</span>', date_format(due_at, "D j M, H:i"))

    @admin.display(description=gettext_lazy("promised by"), ordering="promised_by", empty_value="")
    def promiser(self, promise: CallBack) -> str:
        return staff_name(promise.promised_by) or _("on a call")

    @display(  # type: ignore[untyped-decorator]
        description=gettext_lazy("state"),
        ordering="state",
        label={
            CallBackState.OPEN: "info",
            CallBackState.QUEUED: "warning",
            CallBackState.DONE: "success",
            CallBackState.MISSED: "danger",
        },
    )
    def shown_state(self, promise: CallBack) -> tuple[str, str]:
        return promise.state, promise.state_shown

    @admin.action(description=gettext_lazy("Done"), permissions=["finish"])
    def finish(self, request: HttpRequest, chosen: QuerySet[CallBack]) -> None:
        now, count = timezone.now(), 0
        person = request.user if isinstance(request.user, User) else None
        for task in chosen:
            if dialer.finish_task(task, by=person, now=now):
                self.log_change(request, task, "Done.")
                count += 1
        self.message_user(
            request,
            ngettext("%(count)d task done.", "%(count)d tasks done.", count) % {"count": count},
            messages.SUCCESS if count else messages.WARNING,
        )

    @admin.action(description=gettext_lazy("Drop"), permissions=["drop"])
    def drop(self, request: HttpRequest, chosen: QuerySet[CallBack]) -> HttpResponse | None:
        promises = chosen.filter(state=CallBackState.OPEN)
        if not confirm.confirmed(request):
            return confirm.ask(
                request,
                self,
                promises,
                title=_("Drop promises and tasks"),
                text=_(
                    "Whoever was promised a call will not get it, and these tasks are nobody's any more. "
                    "What is no longer open stays."
                ),
                button=_("Drop"),
            )
        now, count = timezone.now(), 0
        person = request.user if isinstance(request.user, User) else None
        for promise in promises:
            dialer.drop_promise(promise, by=person, now=now)
            self.log_change(request, promise, "Dropped.")
            count += 1
        self.message_user(
            request,
            ngettext("%(count)d dropped.", "%(count)d dropped.", count) % {"count": count},
            messages.SUCCESS,
        )
        return None
