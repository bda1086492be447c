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


class Breaker(models.TextChoices):
    CLOSED = "closed", _("Works")
    OPEN = "open", _("Rests: too many calls failed")
    TRYING = "trying", _("One call tries")


class AccountProblem(models.TextChoices):
    AUTHENTICATION = "authentication", _("The key is not accepted")
    BILLING = "billing", _("No credit, or no way to pay")


class Gate(models.Model):
    """What must be open for a call to go out."""

    kind = models.CharField(max_length=10, choices=GateKind)
    name = models.CharField(max_length=60, default="all")
    next_slot_at = models.DateTimeField(null=True, blank=True)
    closed_until = models.DateTimeField(null=True, blank=True)
    """Nothing is claimed before: the phone company asked us to slow down."""
    not_nows = models.PositiveIntegerField(default=0)
    """A line: how often in a row it was told "not now"; what the rest grows with."""

    # A line's breaker (dialer.breaker)
    breaker = models.CharField(_("state"), max_length=8, choices=Breaker, default=Breaker.CLOSED)
    breaker_at = models.DateTimeField(null=True, blank=True)
    """When the breaker last changed: calls that ended before say nothing any more."""
    breaker_reason = models.CharField(_("why"), max_length=300, blank=True)
    tries_at = models.DateTimeField(null=True, blank=True)
    """Open: when one call may try."""
    trial_call = models.UUIDField(null=True, blank=True)
    openings = models.PositiveIntegerField(default=0)
    pace_factor = models.PositiveSmallIntegerField(default=1)
    """How many times as long as usual it waits between two calls."""

    # The account (dialer.account); on the row of kind capacity
    account_problem = models.CharField(max_length=300, blank=True)
    """Key or credit refused: what the provider said, until a placement passes or a person resumes."""
    account_code = models.CharField(max_length=14, choices=AccountProblem, blank=True)
    account_refusals = models.PositiveIntegerField(default=0)
    probe_at = models.DateTimeField(null=True, blank=True)
    trial_at = models.DateTimeField(null=True, blank=True)
    """A probe has passed: one call may try."""

    # What the provider says it has room for (dialer.capacity); on the row of kind capacity
    ask_at = models.DateTimeField(null=True, blank=True)
    asked_at = models.DateTimeField(null=True, blank=True)
    their_limit = models.PositiveIntegerField(null=True, blank=True)
    their_in_use = models.PositiveIntegerField(default=0)
    their_reserved = models.PositiveIntegerField(default=0)
    ours_then = models.PositiveIntegerField(default=0)
    """How many slots of ours were held when it was asked."""

    # What was spent today (dialer.caps); on the row of kind capacity
    day = models.DateField(null=True, blank=True)
    day_calls = models.PositiveIntegerField(default=0)
    """Claimed in that day: never less than were sent."""
    day_talked_ms = models.PositiveBigIntegerField(default=0)
    day_micros = models.PositiveBigIntegerField(default=0)
    spent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("gate")
        verbose_name_plural = _("gates")
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="one_gate_per_name"),
            models.CheckConstraint(condition=Q(kind__in=GateKind.values), name="gate_kind_is_known"),
            models.CheckConstraint(condition=Q(breaker__in=Breaker.values), name="breaker_is_known"),
            models.CheckConstraint(condition=Q(pace_factor__gte=1), name="pace_factor_slows"),
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
