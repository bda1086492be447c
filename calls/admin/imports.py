"""Importing leads: upload, look at what would happen, confirm, and fetch what was refused."""

from __future__ import annotations

from itertools import islice
from typing import Any

import phonenumbers
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from calls import people
from calls.admin.lead_filters import shown_name, staff
from calls.admin.scope import OwnRowsMixin, ReadOnlyMixin
from calls.models import LeadImport, LeadList
from calls.models.imports import ImportState
from calls.models.visibility import sees_everything
from calls.people import csv_lines, refused_rows, tasks

LARGEST = 10 * 1024 * 1024
SHOWN = 50


def country_choices() -> list[tuple[str, str]]:
    codes = sorted(phonenumbers.SUPPORTED_REGIONS)
    return [(code, f"{code} (+{phonenumbers.country_code_for_region(code)})") for code in codes]


class ImportForm(forms.Form):
    """Where the leads of a file go. `file` only when uploading."""

    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("CSV or XLSX, with a heading; at most 10 MB and 50,000 rows."),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.tsv,.txt,.xlsx"}),
    )
    list = forms.ModelChoiceField(
        label=gettext_lazy("Into list"),
        queryset=LeadList.objects.all(),
        required=False,
        empty_label=gettext_lazy("no list"),
        widget=UnfoldAdminSelectWidget,
    )
    new_list = forms.CharField(
        label=gettext_lazy("Or a new list"), required=False, max_length=120, widget=UnfoldAdminTextInputWidget
    )
    owner = forms.ModelChoiceField(
        label=gettext_lazy("Owner"),
        queryset=User.objects.none(),
        required=False,
        empty_label=gettext_lazy("nobody: everyone sees them"),
        widget=UnfoldAdminSelectWidget,
    )
    country = forms.ChoiceField(
        label=gettext_lazy("Country"),
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("For numbers without a country in front, such as 0171 or (415)."),
    )

    def __init__(self, *args: Any, user: Any, with_file: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        owner: Any = self.fields["owner"]
        owner.queryset = staff() if sees_everything(user) else staff().filter(pk=user.pk)
        owner.label_from_instance = shown_name
        country: Any = self.fields["country"]
        country.choices = country_choices()
        if not with_file:
            del self.fields["file"]

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > LARGEST:
            raise forms.ValidationError(_("The file is larger than 10 MB. Split it."))
        return file

    def chosen_list(self) -> LeadList | None:
        """The new list is made here, once the rest of the form has been found in order."""
        name = self.cleaned_data["new_list"].strip()
        if name:
            return LeadList.objects.get_or_create(name=name)[0]
        chosen: LeadList | None = self.cleaned_data["list"]
        return chosen


@admin.register(LeadImport)
class LeadImportAdmin(ReadOnlyMixin, OwnRowsMixin, ModelAdmin):
    list_display = [
        "file_name",
        "created_at",
        "created_by",
        "state",
        "rows",
        "created",
        "updated",
        "refused_rows",
    ]
    list_select_related = ["created_by"]
    list_per_page = 50
    show_full_result_count = False
    list_fullwidth = True

    class Media:
        css = {"all": ["calls/leads.css"]}

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("content")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("calls.import_lead"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("calls.import_lead"))

    def get_urls(self) -> list[URLPattern]:
        def at(tail: str, view: Any, name: str) -> Any:
            return path(
                f"<path:object_id>/{tail}/", self.admin_site.admin_view(view), name=f"calls_leadimport_{name}"
            )

        own = [at("refused", self.refused_file, "refused"), at("progress", self.progress_view, "progress")]
        return [*own, *super().get_urls()]

    def job_or_404(self, request: HttpRequest, object_id: str) -> LeadImport:
        if not self.has_view_permission(request):
            raise PermissionDenied
        job: LeadImport | None = self.get_object(request, unquote(object_id))
        if job is None:
            raise Http404
        return job

    def page_context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "title": title}

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        initial = {"owner": request.user.pk, "country": settings.DEFAULT_COUNTRY}
        bound = (request.POST, request.FILES) if request.method == "POST" else (None, None)
        form = ImportForm(*bound, user=request.user, with_file=True, initial=initial)
        if request.method == "POST" and form.is_valid():
            job = self.take_file(request, form)
            if job is not None:
                return redirect("admin:calls_leadimport_change", job.pk)
        context = {
            **self.page_context(request, _("Import leads")),
            "form": form,
            "columns": people.Column.choices[:-2],
        }
        return TemplateResponse(request, "admin/calls/leadimport/upload.html", context)

    def take_file(self, request: HttpRequest, form: ImportForm) -> LeadImport | None:
        file = form.cleaned_data["file"]
        content = file.read()
        try:
            table = people.read_table(content, file.name)
        except people.UnreadableFile as problem:
            form.add_error("file", str(problem))
            return None
        return LeadImport.objects.create(
            created_by_id=request.user.pk,
            file_name=file.name[:200],
            content=content,
            columns=people.guess_columns(table.header),
            list=form.chosen_list(),
            owner=form.cleaned_data["owner"],
            country=form.cleaned_data["country"],
            rows=len(table.rows),
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Before it is confirmed, what would happen; after that, what did."""
        job = self.job_or_404(request, object_id)
        if job.state != ImportState.UPLOADED:
            context = {**self.page_context(request, _("Import")), "original": job, **result_facts(job)}
            return TemplateResponse(request, "admin/calls/leadimport/result.html", context)
        initial = {"list": job.list_id, "owner": job.owner_id, "country": job.country}
        form = ImportForm(request.POST or None, user=request.user, with_file=False, initial=initial)
        if request.method == "POST" and form.is_valid():
            self.keep_choices(request, job, form)
            if "confirm" in request.POST and self.confirmed(request, job):
                return redirect("admin:calls_leadimport_change", job.pk)
            if "confirm" not in request.POST:
                return redirect("admin:calls_leadimport_change", job.pk)
        preview = people.preview(job)
        context = {
            **self.page_context(request, _("Import: look first")),
            "original": job,
            "job": job,
            "form": form,
            "preview": preview,
            "mapping": [
                {
                    "position": position,
                    "header": header,
                    "column": job.columns.get(header, ""),
                    "cells": [row.values.get(header, "") for row in preview.first[:4]],
                }
                for position, header in enumerate(preview.header)
            ],
            "columns": people.Column.choices,
            "refused": preview.refused[:SHOWN],
            "shown_most": SHOWN,
            "in_background": job.rows > people.IN_REQUEST,
        }
        return TemplateResponse(request, "admin/calls/leadimport/preview.html", context)

    def keep_choices(self, request: HttpRequest, job: LeadImport, form: ImportForm) -> None:
        """The select of the Nth column is `column_N`: no name from the file becomes a field's name."""
        for position, header in enumerate(people.read_table(bytes(job.content), job.file_name).header):
            chosen = request.POST.get(f"column_{position}")
            if chosen in people.Column.values:
                job.columns[header] = chosen
        job.list, job.owner = form.chosen_list(), form.cleaned_data["owner"]
        job.country = form.cleaned_data["country"]
        LeadImport.objects.filter(pk=job.pk, state=ImportState.UPLOADED).update(
            columns=job.columns, list=job.list, owner=job.owner, country=job.country
        )

    def confirmed(self, request: HttpRequest, job: LeadImport) -> bool:
        """True when the import has been given to this request or to a worker."""
        for problem in people.preview(job).problems:
            messages.error(request, problem)
            return False
        if not people.confirm(job):
            messages.warning(request, _("This file is being imported already."))
        elif job.rows <= people.IN_REQUEST:
            people.run(job.pk, now=timezone.now())
        else:
            tasks.enqueue(job.pk)
        return True

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        job = self.job_or_404(request, object_id)
        return TemplateResponse(request, "admin/calls/leadimport/progress.html", result_facts(job))

    def refused_file(self, request: HttpRequest, object_id: str) -> StreamingHttpResponse:
        job = self.job_or_404(request, object_id)
        answer = StreamingHttpResponse(
            csv_lines(refused_rows(list(job.refused))), content_type="text/csv; charset=utf-8"
        )
        answer["Content-Disposition"] = f'attachment; filename="refused-{job.pk}.csv"'
        return answer


def result_facts(job: LeadImport) -> dict[str, Any]:
    return {
        "job": job,
        "percent": 100 * job.row // job.rows if job.rows else 100,
        "alive": job.state in (ImportState.CONFIRMED, ImportState.RUNNING),
        "only_opted_out": max(0, job.row - job.created - job.updated - job.refused_rows),
        "refused": list(islice(job.refused, SHOWN)),
        "shown_most": SHOWN,
    }
