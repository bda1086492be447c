"""Exports of long lists: how far they are, and the file when it is whole."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from calls.admin.scope import OwnRowsMixin, ReadOnlyMixin
from calls.models import LeadExport
from calls.models.exports import ExportState
from calls.models.visibility import SEE_EVERYONES
from calls.people import export_jobs, xlsx_file


@admin.register(LeadExport)
class LeadExportAdmin(ReadOnlyMixin, OwnRowsMixin, ModelAdmin):
    list_display = ["created_at", "created_by", "state", "rows", "row", "finished_at"]
    list_select_related = ["created_by"]
    list_per_page = 50
    show_full_result_count = False
    list_fullwidth = True
    actions = None

    class Media:
        css = {"all": ["calls/leads.css"]}

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("lead_ids")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(SEE_EVERYONES))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        def at(tail: str, view: Any, name: str) -> Any:
            return path(
                f"<path:object_id>/{tail}/", self.admin_site.admin_view(view), name=f"calls_leadexport_{name}"
            )

        own = [at("file", self.file, "file"), at("progress", self.progress_view, "progress")]
        return [*own, *super().get_urls()]

    def job_or_404(self, request: HttpRequest, object_id: str) -> LeadExport:
        if not self.has_view_permission(request):
            raise PermissionDenied
        job: LeadExport | None = self.get_object(request, unquote(object_id))
        if job is None:
            raise Http404
        return job

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        job = self.job_or_404(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Export"),
            "original": job,
            **progress(job),
        }
        return TemplateResponse(request, "admin/calls/leadexport/page.html", context)

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        job = self.job_or_404(request, object_id)
        return TemplateResponse(request, "admin/calls/leadexport/progress.html", progress(job))

    def file(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        job = self.job_or_404(request, object_id)
        if job.state != ExportState.DONE:
            raise Http404
        name = f"{_('leads')}-{timezone.localdate(job.created_at):%Y-%m-%d}"
        if request.GET.get("format") == "xlsx" and job.rows <= export_jobs.AS_WORKBOOK:
            book = xlsx_file(export_jobs.exported_rows(job))
            return FileResponse(book, as_attachment=True, filename=f"{name}.xlsx")
        answer = StreamingHttpResponse(export_jobs.exported_csv(job), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        return answer


def progress(job: LeadExport) -> dict[str, Any]:
    return {
        "job": job,
        "percent": 100 * job.row // job.rows if job.rows else 100,
        "alive": job.state in (ExportState.WAITING, ExportState.RUNNING),
        "done": job.state == ExportState.DONE,
        "as_workbook": job.rows <= export_jobs.AS_WORKBOOK,
    }
