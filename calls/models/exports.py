from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ExportState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class LeadExport(models.Model):
    """Leads on their way into a file, too many for one request. A killed export goes on at `row`."""

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("by"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("asked for"), auto_now_add=True)
    lead_ids = models.JSONField(default=list)
    """Those the list showed when it was asked for, in its order."""
    state = models.CharField(_("state"), max_length=8, choices=ExportState, default=ExportState.WAITING)
    rows = models.PositiveIntegerField(_("leads"), default=0)
    row = models.PositiveIntegerField(_("leads done"), default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    problem = models.TextField(_("problem"), blank=True)

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ExportState.values), name="export_state_is_known")
        ]

    def __str__(self) -> str:
        return f"{self.rows}"


class LeadExportPart(models.Model):
    """Some rows of the file, committed together with how far the export is."""

    export = models.ForeignKey(LeadExport, on_delete=models.CASCADE, related_name="parts")
    first_row = models.PositiveIntegerField()
    text = models.TextField()
    """Lines of CSV, without the heading."""

    class Meta:
        verbose_name = _("part of an export")
        verbose_name_plural = _("parts of exports")
        ordering = ["first_row"]
        constraints = [
            models.UniqueConstraint(fields=["export", "first_row"], name="one_part_per_row_of_an_export")
        ]

    def __str__(self) -> str:
        return f"{self.export_id}: {self.first_row}"
