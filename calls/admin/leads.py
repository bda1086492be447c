"""The list of leads, and the way from it to their pages, calls, batches, imports and exports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from calls import dialer
from calls.admin import lead_filters as filters
from calls.admin.call_sheet import CallSheetViews
from calls.admin.desk_call import DeskCallViews
from calls.admin.lead_form import LeadForm, PhoneInline
from calls.admin.lead_page import LeadPageViews
from calls.admin.scope import VisibleToMixin
from calls.eligibility import decide_many, local_times
from calls.models import Call, Lead, LeadList
from calls.models.visibility import SEE_EVERYONES
from calls.people import csv_lines, export_jobs, export_rows, tasks, xlsx_file


class LeadChangeList(ChangeList):
    """Adds to each row of the page what the list shows of it: with the same few queries for 1 and for 100."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Lead]:
        rows: QuerySet[Lead] = super().get_queryset(request, *args, **kwargs)
        newest = (
            Call.objects.filter(lead=OuterRef("pk"), test=False).order_by("-requested_at").values("pk")[:1]
        )
        return rows.annotate(last_call_id=Subquery(newest))

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: list[Any] = list(self.result_list)
        # Not counted (show_full_result_count), and so not to be compared with by the page's heading.
        self.full_result_count = self.result_count
        describe(self.result_list, now=timezone.now())
        self.may_call = request.user.has_perm("calls.place_call")
        for spec in self.filter_specs:
            spec.all_choices = list(spec.choices(self))
        self.cut = any(getattr(spec, "cut", False) for spec in self.filter_specs)


def describe(leads: Sequence[Any], *, now: datetime) -> None:
    calls = Call.objects.defer("request_body", "summary", "analysis").in_bulk(
        [lead.last_call_id for lead in leads if lead.last_call_id]
    )
    for lead, decision in zip(leads, decide_many(leads, now=now), strict=True):
        lead.decision = decision
        lead.last_call = calls.get(lead.last_call_id)
        lead.clocks = [local for _zone, local in local_times(lead, decision.number, now)]
        lead.opens_at = (
            decision.at.astimezone(lead.clocks[0].tzinfo) if decision.at and lead.clocks else decision.at
        )
        lead.overdue = bool(lead.next_action and lead.next_action_at and lead.next_action_at < now)
        lead.owner_name = filters.shown_name(lead.owner)


@admin.register(Lead)
class LeadAdmin(VisibleToMixin, LeadPageViews, CallSheetViews, DeskCallViews, ModelAdmin):
    form = LeadForm
    inlines = [PhoneInline]
    list_display = ["name", "number", "status", "last_contact", "next", "owner", "there"]
    list_display_links = ["name"]
    list_select_related = ["owner"]
    list_filter = [
        filters.StatusFilter,
        filters.ListFilter,
        filters.OwnerFilter,
        filters.OutcomeFilter,
        filters.NextActionFilter,
        filters.CallableFilter,
    ]
    search_fields = ["name", "company"]
    search_help_text = gettext_lazy("Name, company, or a number in any spelling")
    sortable_by = ["name", "status", "next"]
    ordering = ["-created_at"]
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_fullwidth = True
    warn_unsaved_form = True
    actions = ["call_selected"]
    fieldsets = [
        (None, {"fields": ["name", "company", "email", "reason"]}),
        (gettext_lazy("Where it stands"), {"fields": ["status", "next_action", "next_action_at"]}),
        (gettext_lazy("Whose"), {"fields": ["list", "owner"]}),
        (gettext_lazy("More"), {"fields": ["time_zone", "external_id", "custom_lines"]}),
    ]

    class Media:
        css = {"all": ["calls/leads.css"]}
        js = ["calls/sheet.js"]

    # The columns are drawn by templates/admin/calls/lead/change_list_results.html; these give them
    # heading and order.
    @admin.display(description="")
    def action_checkbox(self, obj: Lead) -> str:
        return ""

    @admin.display(description=gettext_lazy("number"))
    def number(self, lead: Any) -> str:
        return str(lead.decision.number)

    @admin.display(description=gettext_lazy("last contact"))
    def last_contact(self, lead: Any) -> str:
        return str(lead.last_call_id or "")

    @admin.display(description=gettext_lazy("next action"), ordering="next_action_at")
    def next(self, lead: Any) -> str:
        return str(lead.next_action)

    @admin.display(description=gettext_lazy("their time"))
    def there(self, lead: Any) -> str:
        return str(lead.decision.verdict)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LeadChangeList]:
        return LeadChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Lead], search_term: str
    ) -> tuple[QuerySet[Lead], bool]:
        return filters.searched(queryset, search_term), False

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                "call-all/",
                self.admin_site.admin_view(require_POST(self.call_all)),
                name="calls_lead_call_all",
            ),
            path("export/", self.admin_site.admin_view(self.export), name="calls_lead_export"),
            *self.page_urls(),
            *self.sheet_urls(),
            *self.desk_urls(),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "may_export": request.user.has_perm(SEE_EVERYONES),
            "may_import": request.user.has_perm("calls.import_lead"),
            "query": request.GET.urlencode(),
            "looked_at": filters.LOOKED_AT,
            **(extra_context or {}),
        }
        answer: HttpResponse = super().changelist_view(request, context)
        return answer

    def has_place_call_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("calls.place_call"))

    @admin.action(description=gettext_lazy("Call selected"), permissions=["place_call"])
    def call_selected(self, request: HttpRequest, queryset: QuerySet[Lead]) -> HttpResponse:
        return self._open_batch(request, queryset)

    def call_all(self, request: HttpRequest) -> HttpResponse:
        """The list as it is filtered: the same query string, read by the same code."""
        if not self.has_place_call_permission(request):
            raise PermissionDenied
        return self._open_batch(request, self.get_changelist_instance(request).get_queryset(request))

    def _open_batch(self, request: HttpRequest, leads: QuerySet[Lead]) -> HttpResponse:
        ids = list(leads.values_list("pk", flat=True))
        remembered = self.remembered(request)
        try:
            batch = dialer.open_batch(
                by=request.user,  # type: ignore[arg-type]
                lead_ids=ids,
                agent=remembered.agent,
                our_number=remembered.our_number,
                now=timezone.now(),
            )
        except dialer.BadRequest as problem:
            messages.error(request, str(problem))
            return redirect("admin:calls_lead_changelist")
        return redirect("admin:calls_callbatch_sheet", batch.pk)

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The filtered list as a file. Streams: memory does not grow with it."""
        if not request.user.has_perm(SEE_EVERYONES):
            raise PermissionDenied
        kind = "xlsx" if request.GET.get("format") == "xlsx" else "csv"
        filters_only = request.GET.copy()
        filters_only.pop("format", None)
        request.GET = filters_only  # type: ignore[assignment]
        leads = self.get_changelist_instance(request).get_queryset(request)
        ids = list(leads.values_list("pk", flat=True)[: export_jobs.IN_REQUEST + 1])
        if len(ids) > export_jobs.IN_REQUEST:
            job = export_jobs.begin_export(list(leads.values_list("pk", flat=True)), by=request.user)
            tasks.enqueue_export(job.pk)
            return redirect("admin:calls_leadexport_change", job.pk)
        name = f"{_('leads')}-{timezone.localdate():%Y-%m-%d}.{kind}"
        rows = export_rows(leads)
        if kind == "xlsx":
            return FileResponse(xlsx_file(rows), as_attachment=True, filename=name)
        answer = StreamingHttpResponse(csv_lines(rows), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer

    def response_change(self, request: HttpRequest, obj: Lead) -> HttpResponse:
        answer: HttpResponse = super().response_change(request, obj)
        if "_continue" in request.POST or "_addanother" in request.POST or "_popup" in request.POST:
            return answer
        return redirect("admin:calls_lead_change", obj.pk)

    def response_add(
        self, request: HttpRequest, obj: Lead, post_url_continue: str | None = None
    ) -> HttpResponse:
        answer: HttpResponse = super().response_add(request, obj, post_url_continue)
        if "_continue" in request.POST or "_addanother" in request.POST or "_popup" in request.POST:
            return answer
        return redirect("admin:calls_lead_change", obj.pk)


@admin.register(LeadList)
class LeadListAdmin(ModelAdmin):
    list_display = ["name", "leads_link", "created_at"]
    search_fields = ["name"]
    fields = ["name"]
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[LeadList]:
        rows: QuerySet[LeadList] = super().get_queryset(request)
        seen = Lead.objects.visible_to(request.user).filter(list=OuterRef("pk")).order_by().values("list")
        return rows.annotate(leads_seen=Subquery(seen.annotate(n=Count("pk")).values("n")))

    @admin.display(description=gettext_lazy("leads"))
    def leads_link(self, row: Any) -> Any:
        url = f"{reverse('admin:calls_lead_changelist')}?list={row.pk}"
        return format_html('<a class="desk-link" href="{}">{}</a>', url, row.leads_seen or 0)
