from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class GateKind(models.TextChoices):
    STOP = "stop", _("Stop")
    """One row, only to be locked: alone by whoever stops or resumes, in share mode by every permit."""
    CAPACITY = "capacity", _("Capacity")
    """One row, locked by each claim, so that two dialers do not both take the last slot."""
    LINE = "line", _("Line")
    """One row a line: its next pace slot, and its breaker."""


class Gate(models.Model):
    """What must be open for a call to go out."""

    kind = models.CharField(max_length=10, choices=GateKind)
    name = models.CharField(max_length=60, default="all")
    next_slot_at = models.DateTimeField(null=True, blank=True)
    closed_until = models.DateTimeField(null=True, blank=True)
    """Nothing is claimed before: the phone company asked us to slow down."""
    account_problem = models.CharField(max_length=300, blank=True)
    """Key or credit refused: what the provider said, until a placement passes again."""

    class Meta:
        verbose_name = _("gate")
        verbose_name_plural = _("gates")
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="one_gate_per_name"),
            models.CheckConstraint(condition=Q(kind__in=GateKind.values), name="gate_kind_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Heartbeat(models.Model):
    """A process of ours that is alive. `beat_at` is the database's clock."""

    name = models.CharField(max_length=120, primary_key=True)
    kind = models.CharField(max_length=20)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")
        indexes = [models.Index(fields=["kind", "-beat_at"], name="heartbeat_newest")]

    def __str__(self) -> str:
        return self.name
