from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


def no_rows() -> list[dict[str, object]]:
    """The first migration names it."""
    return []


class ImportState(models.TextChoices):
    UPLOADED = "uploaded", _("Uploaded")
    CONFIRMED = "confirmed", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class LeadImport(models.Model):
    """One file of leads, from preview to the last row. A killed import goes on at `row`."""

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("by"), null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(_("uploaded"), auto_now_add=True)
    file_name = models.CharField(_("file"), max_length=200)
    content = models.BinaryField()
    columns = models.JSONField(_("columns"), default=dict, blank=True)
    """{file's column: our field}."""
    list = models.ForeignKey(
        "calls.LeadList",
        verbose_name=_("into list"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner of the leads"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    country = models.CharField(_("country of numbers without one"), max_length=2, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=ImportState, default=ImportState.UPLOADED)
    rows = models.PositiveIntegerField(_("rows"), default=0)
    row = models.PositiveIntegerField(_("rows done"), default=0)
    created = models.PositiveIntegerField(_("new"), default=0)
    updated = models.PositiveIntegerField(_("updated"), default=0)
    refused_rows = models.PositiveIntegerField(_("refused"), default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    problem = models.TextField(_("problem"), blank=True)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ImportState.values), name="import_state_is_known")
        ]

    def __str__(self) -> str:
        return self.file_name

    @property
    def refused(self) -> Iterator[dict[str, Any]]:
        """{row, reason, values} of each refused row, in order; a part in memory at a time."""
        for entries in self.refused_parts.values_list("entries", flat=True).iterator(chunk_size=20):
            yield from entries


class RefusedPart(models.Model):
    """What one bunch of an import refused, so that no bunch writes again what those before it did."""

    job = models.ForeignKey(LeadImport, on_delete=models.CASCADE, related_name="refused_parts")
    first_row = models.PositiveIntegerField()
    entries = models.JSONField(default=list)
    """[{row, reason, values}]"""

    class Meta:
        verbose_name = _("refused rows of an import")
        verbose_name_plural = _("refused rows of imports")
        ordering = ["first_row"]
        constraints = [
            models.UniqueConstraint(fields=["job", "first_row"], name="one_refused_part_per_bunch")
        ]

    def __str__(self) -> str:
        return f"{self.job_id}: {self.first_row}"
