from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class AdoptionCause(models.TextChoices):
    SILENCE = "silence", _("No dialer had reported for ten minutes")
    RESTORED = "restored", _("An older copy of the data was brought back")


class Adoption(models.Model):
    """Catching up with the phone company before anything is dialled: these rows may be older than its.

    While one is open nothing is claimed.
    """

    cause = models.CharField(_("why"), max_length=10, choices=AdoptionCause)
    asked_at = models.DateTimeField(_("asked for"))
    since = models.DateTimeField(_("calls since"))
    next_key = models.CharField(max_length=300, blank=True)
    """Where the provider's list goes on; a dialer that dies here loses one page."""
    next_try_at = models.DateTimeField()
    problem = models.CharField(_("problem"), max_length=300, blank=True)
    listed = models.PositiveIntegerField(_("calls listed"), default=0)
    adopted = models.PositiveIntegerField(_("calls we did not know of"), default=0)
    done_at = models.DateTimeField(_("done"), null=True, blank=True)

    class Meta:
        verbose_name = _("catching up")
        verbose_name_plural = _("catching up")
        constraints = [
            models.UniqueConstraint(
                fields=["cause"], condition=Q(done_at__isnull=True), name="one_open_adoption_per_cause"
            ),
            models.CheckConstraint(
                condition=Q(cause__in=AdoptionCause.values), name="adoption_cause_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_cause_display()}, {self.asked_at:%Y-%m-%d %H:%M}"
