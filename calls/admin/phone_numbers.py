"""Our phone numbers: what they are called, on which line they are, who answers, and who is asked first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from agents import readiness, sync
from agents.models import NumberSetup, PhoneNumber
from agents.providers.abilities import WHY_NOT, Ability
from agents.providers.base import ProviderError
from agents.providers.registry import can, get_provider
from callcenter.connections import hand_back
from calls import dialer
from calls.admin.number_check import NumberCheckViews
from calls.admin.number_offering import NumberOfferViews, offering
from calls.admin.number_ramp import NumberRampViews, ramp_facts, ramps_said
from calls.admin.number_release import NumberReleaseViews
from calls.admin.number_setup import NumberSetupViews
from calls.admin.number_standing import NumberStandingViews, checklist, standing_said


class NumberChangeList(ChangeList):
    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.ours = readiness.our_inbound_webhook(settings.PUBLIC_BASE_URL)
        rows = list(self.result_list)
        lines, stops = dialer.lines_said(now=timezone.now()), dialer.in_force()
        standing, ramps = standing_said(rows), ramps_said(rows)
        for row in rows:
            row.standing_said, row.ramp_said = standing[row.pk], ramps[row.pk]
            row.line_said = lines.get(row.line, "")
            row.stop = next((each for each in stops if each.number == row.number), None)
            row.asks_us = bool(self.ours and readiness.same_address(row.inbound_webhook_url, self.ours))
        self.result_list = rows
        self.may_change = request.user.has_perm("agents.change_phonenumber")
        self.may_sync = can(Ability.CATALOGUE)
        self.why_no_sync = "" if self.may_sync else WHY_NOT[Ability.CATALOGUE]
        self.may_ask_us = self.may_change and can(Ability.ASK_INBOUND)
        self.may_set_up = self.may_change and request.user.has_perm("agents.add_phonenumber")
        self.begun = list(NumberSetup.objects.filter(completed_at=None)) if self.may_set_up else []


@admin.register(PhoneNumber)
class PhoneNumberAdmin(
    NumberSetupViews,
    NumberCheckViews,
    NumberOfferViews,
    NumberStandingViews,
    NumberRampViews,
    NumberReleaseViews,
    ModelAdmin,
):
    list_display = ["number", "label", "line", "active", "inbound_agent", "inbound_webhook_url"]
    list_select_related = ["inbound_agent"]
    search_fields = ["number", "label"]
    sortable_by: Sequence[str] = []
    list_per_page = 100
    show_full_result_count = False
    list_fullwidth = True
    actions = None
    fields = [
        "number",
        "label",
        "line",
        "how_the_line_is",
        "active",
        "its_set_up",
        "paused",
        "inbound_agent",
        "inbound_webhook_url",
        "fallback_number",
        "last_synced_at",
        "gone_since",
    ]
    readonly_fields = [
        "active",
        "its_set_up",
        "fallback_number",
        "how_the_line_is",
        "paused",
        "number",
        "inbound_agent",
        "inbound_webhook_url",
        "last_synced_at",
        "gone_since",
    ]

    change_form_outer_after_template = "admin/agents/phonenumber/after_form.html"

    class Media:
        css = {"all": ["calls/leads.css", "calls/calls.css"]}

    @admin.display(description=gettext_lazy("how the line is"))
    def how_the_line_is(self, row: PhoneNumber) -> str:
        return dialer.lines_said(now=timezone.now()).get(row.line) or _("It works as usual.")

    @admin.display(description=gettext_lazy("set-up"))
    def its_set_up(self, row: PhoneNumber) -> Any:
        setup = NumberSetup.objects.filter(number=row.number).first()
        check = format_html(
            '<a class="desk-link" href="{}">{}</a>',
            reverse("admin:agents_phonenumber_check", args=[row.pk]),
            _("Check it…"),
        )
        if setup is None:
            return format_html("{} {}", _("It came from the phone company."), check)
        page = reverse("admin:agents_numbersetup_page", args=[setup.pk])
        told = _("Not complete.") if setup.completed_at is None else _("Set up from here.")
        return format_html('{} <a class="desk-link" href="{}">{}</a> {}', told, page, _("Its steps…"), check)

    @admin.display(description=gettext_lazy("calls from it"))
    def paused(self, row: PhoneNumber) -> Any:
        stop = next((each for each in dialer.in_force() if each.number == row.number), None)
        if stop is None:
            return format_html(
                '{} <a class="desk-link" href="{}?number={}">{}</a>',
                _("Go out."),
                reverse("admin:calling"),
                row.number.replace("+", "%2B"),
                _("Stop them…"),
            )
        return format_html(
            '{} {} <a class="desk-link" href="{}">{}</a>',
            _("Stopped."),
            stop.reason,
            reverse("admin:calling"),
            _("Put it back…"),
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Else numbers are bought or brought at the phone company; a sync brings them here."""
        return bool(request.user.has_perm("agents.add_phonenumber")) and not can(Ability.CATALOGUE)

    def get_fields(self, request: HttpRequest, obj: PhoneNumber | None = None) -> Sequence[str]:
        return self.fields if obj is not None else ["number", "label", "line", "active", "ramp_up"]

    def get_readonly_fields(self, request: HttpRequest, obj: PhoneNumber | None = None) -> Sequence[str]:
        return self.readonly_fields if obj is not None else []

    def has_delete_permission(self, request: HttpRequest, obj: PhoneNumber | None = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[NumberChangeList]:
        return NumberChangeList

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("default_for_agents")

    def get_urls(self) -> list[URLPattern]:
        def at(tail: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
            wrapped = self.admin_site.admin_view(view)
            found: URLPattern = path(f"<int:number_id>/{tail}", wrapped, name=f"agents_phonenumber_{name}")
            return found

        return [
            at("ask-us/", require_POST(self.ask_us), "ask_us"),
            at("offer/", self.offer, "offer"),
            at("standing/<slug:item>/", self.note_standing, "note_standing"),
            at("calls-a-day/", self.set_ramp, "set_ramp"),
            at("give-up/", self.release, "release"),
            at("use-again/", require_POST(self.use_again), "use_again"),
            at("check/", self.check_view, "check"),
            *self.setup_urls(),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        about = page_facts(request, row) if row is not None else {}
        answer: HttpResponse = super().change_view(
            request, object_id, form_url, {**about, **(extra_context or {})}
        )
        return answer

    def ask_us(self, request: HttpRequest, number_id: int) -> HttpResponse:
        """Have the phone company ask us who is calling."""
        row = self.number_or_404(request, number_id, "agents.change_phonenumber")
        ours = readiness.our_inbound_webhook(settings.PUBLIC_BASE_URL)
        if not ours:
            messages.error(request, _("PUBLIC_BASE_URL is not set: nobody knows where we can be reached."))
            return redirect("admin:agents_phonenumber_changelist")
        hand_back()
        try:
            profile = get_provider().set_inbound_webhook(row.number, ours)
        except ProviderError as error:
            messages.error(
                request, _("The phone company did not change it: %(why)s") % {"why": error.message}
            )
        else:
            sync.store_number(row, profile, now=timezone.now())
            self.log_change(request, row, f"asked when it rings: {ours}")
            messages.success(
                request, _("When %(number)s rings, we are asked who is calling.") % {"number": row}
            )
        return redirect("admin:agents_phonenumber_changelist")


def page_facts(request: HttpRequest, row: PhoneNumber) -> dict[str, Any]:
    """What stands below the form."""
    person, items = request.user, checklist(row)
    return {
        "number": row,
        "checklist": items,
        "checked": sum(item.done for item in items),
        **offering(request, row),
        **ramp_facts(row),
        "may_change": person.has_perm("agents.change_phonenumber"),
        "may_set_ramp": person.has_perm("calls.change_dailycap"),
    }
